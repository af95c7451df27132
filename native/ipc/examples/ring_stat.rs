//! Looks at a ring from outside: whose it is, how far it is, and what came last.
//!
//! ```text
//! cargo run -p ipc --example ring_stat -- RUN/segments.sock market
//! ```
#![cfg_attr(
    loom,
    allow(unused, reason = "the shared rings are not built for the model checker")
)]

#[cfg(not(loom))]
fn main() -> Result<(), Box<dyn std::error::Error>> {
    use std::io::Write;

    use ipc::record::{ROW_BYTES, Record};
    use ipc::ring_buffer::RingReader;

    let arguments: Vec<String> = std::env::args().skip(1).collect();
    let [socket, name] = &arguments[..] else {
        return Err("usage: ring_stat SOCKET NAME".into());
    };
    let mut reader = RingReader::attach(socket.as_ref(), name)?;
    let mut rows = vec![0; usize::try_from(reader.backlog().max(1))? * ROW_BYTES];
    let result = reader.poll_into(&mut rows)?;
    let mut out = std::io::stdout().lock();
    writeln!(
        out,
        "{name}: writer process {}, epoch {}, {}; {} records written, {} slots",
        reader.writer_pid(),
        result.epoch,
        if result.writer_alive { "at work" } else { "gone" },
        reader.position(),
        reader.capacity(),
    )?;
    let (rows, _) = rows.as_chunks::<ROW_BYTES>();
    for row in rows.iter().take(result.records) {
        match Record::decode_row(row) {
            Ok((index, record)) => writeln!(out, "{index}: {record:?}")?,
            Err(error) => writeln!(out, "not a record: {error}")?,
        }
    }
    Ok(())
}

#[cfg(loom)]
fn main() {}

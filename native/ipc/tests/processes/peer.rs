//! The second process of the tests in this folder: writes a ring, or holds a parameter slot, until it is killed or its
//! standard input ends. It says `ready` on standard output when others may attach.

#[cfg(not(loom))]
mod checked;

#[cfg(not(loom))]
mod roles {
    use std::io::{Read, Write};
    use std::path::Path;
    use std::time::Duration;

    use domain::{Decimal, SlotId, Text, Timestamp};
    use ipc::parameters::{ParameterChange, ParameterWriter};
    use ipc::ring_buffer::RingWriter;
    use ipc::shared_memory::SegmentServer;

    use super::checked::payload;

    type Outcome = Result<(), Box<dyn std::error::Error>>;

    /// Records between two heartbeats.
    const BEAT: u64 = 1 << 12;

    fn say(word: &str) -> Outcome {
        let mut out = std::io::stdout();
        writeln!(out, "{word}")?;
        Ok(out.flush()?)
    }

    /// Returns when the parent closes our standard input, or is gone.
    fn wait_for_parent() -> Outcome {
        std::io::stdin().read_to_end(&mut Vec::new())?;
        Ok(())
    }

    /// `ring SOCKET NAME CAPACITY EPOCH COUNT`: publishes COUNT records (0: without end) as fast as it can.
    fn ring(socket: &Path, name: &str, [capacity, epoch, count]: [u64; 3]) -> Outcome {
        let mut writer = RingWriter::create(name, capacity, epoch)?;
        let server = SegmentServer::bind(socket)?;
        writer.offer(server.registry())?;
        std::thread::spawn(move || while server.serve_once(Some(Duration::from_secs(1))).is_ok() {});
        say("ready")?;
        while count == 0 || writer.published() < count {
            writer.publish_words(&payload(writer.published()));
            if writer.published() % BEAT == 0 {
                writer.heartbeat();
            }
        }
        wait_for_parent()
    }

    /// `parameters SOCKET NAME`: becomes the writer of a slot, writes one request, and keeps the slot.
    fn parameters(socket: &Path, name: &str) -> Outcome {
        let mut writer = ParameterWriter::attach(socket, name)?;
        let name = Text::new("entry_threshold").ok_or("a name that fits")?;
        let change = ParameterChange {
            name,
            value: Decimal::from_units(61_000_000),
        };
        writer.request(SlotId(1), &[change], Timestamp::EPOCH)?;
        say("ready")?;
        wait_for_parent()
    }

    pub(crate) fn run() -> Outcome {
        let arguments: Vec<String> = std::env::args().skip(1).collect();
        let arguments: Vec<&str> = arguments.iter().map(String::as_str).collect();
        match arguments[..] {
            ["ring", socket, name, capacity, epoch, count] => ring(
                Path::new(socket),
                name,
                [capacity.parse()?, epoch.parse()?, count.parse()?],
            ),
            ["parameters", socket, name] => parameters(Path::new(socket), name),
            _ => Err("usage: ring SOCKET NAME CAPACITY EPOCH COUNT | parameters SOCKET NAME".into()),
        }
    }
}

#[cfg(not(loom))]
fn main() -> Result<(), Box<dyn std::error::Error>> {
    roles::run()
}

#[cfg(loom)]
fn main() {}

//! Recorded sessions as JSON lines, read in place: what came, when, over which door.

use std::path::Path;

use bytes::Bytes;
use domain::{Decimal, Timestamp};
use serde::Deserialize;
use serde_json::value::RawValue;

/// What a line tells.
#[derive(Debug)]
pub(crate) enum Entry {
    /// The stream is open.
    Connected(Timestamp),
    /// A message, byte for byte.
    Received(Timestamp, Bytes),
    /// The answer to a REST request.
    Answer {
        ts_received: Timestamp,
        url: String,
        body: Bytes,
    },
}

impl Entry {
    /// When it came.
    pub(crate) const fn at(&self) -> Timestamp {
        match self {
            Self::Connected(at) | Self::Received(at, _) => *at,
            Self::Answer { ts_received, .. } => *ts_received,
        }
    }
}

#[derive(Deserialize)]
struct Line<'a> {
    t: &'a str,
    #[serde(borrow)]
    ts: Option<&'a RawValue>,
    url: Option<String>,
    data: Option<String>,
}

/// The entries of a recording in the order in which they came; `None`, with a line that says so, where it is absent.
pub(crate) fn entries(folder: &str, file: &str) -> Option<Vec<Entry>> {
    let shared = std::env::var_os("PY_RT_SHARED_DATA").map_or_else(
        || Path::new(env!("CARGO_MANIFEST_DIR")).join("../../../shared/data"),
        Into::into,
    );
    let path = shared.join(folder).join(file);
    let Ok(packed) = std::fs::read(&path) else {
        println!(
            "SKIPPED: no recorded data at {}: set PY_RT_SHARED_DATA",
            path.display()
        );
        return None;
    };
    let text = zstd::decode_all(packed.as_slice()).expect("zstd");
    let lines = text.split(|&byte| byte == b'\n').filter(|line| !line.is_empty());
    let mut entries: Vec<_> = lines.filter_map(entry).collect();
    // Answers stand before the stream that they came in between.
    entries.sort_by_key(Entry::at);
    Some(entries)
}

fn entry(line: &[u8]) -> Option<Entry> {
    let line: Line<'_> = serde_json::from_slice(line).expect("a line of the recording");
    let ts = line.ts.map(|seconds| {
        let seconds = Decimal::parse(seconds.get().as_bytes()).expect("seconds");
        Timestamp::from_nanos(seconds.units() * 10)
    });
    let data = line.data.map(Bytes::from);
    match line.t {
        "connect" => Some(Entry::Connected(ts?)),
        "recv" => Some(Entry::Received(ts?, data?)),
        "http" => Some(Entry::Answer {
            ts_received: ts?,
            url: line.url?,
            body: data?,
        }),
        _ => None,
    }
}

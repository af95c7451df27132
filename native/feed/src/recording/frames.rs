//! JSON lines into which each frame was spliced as it came: it is cut out as text and never read as JSON here, so that a
//! frame that is no JSON reaches the protocol, and numbers keep their digits.

use bytes::Bytes;
use domain::Timestamp;
use serde::Deserialize;
use serde::de::IgnoredAny;
use serde_json::value::RawValue;

use super::{Entry, RecordKind};

/// What the recorder itself writes before a frame.
#[derive(Deserialize)]
struct Head {
    rx_ns: i64,
    #[serde(default)]
    dir: Option<String>,
}

/// A line whose frame is not its last member, or one that describes the capture.
#[derive(Deserialize)]
struct Whole<'a> {
    #[serde(default)]
    rx_ns: Option<i64>,
    #[serde(default)]
    dir: Option<String>,
    #[serde(borrow, default)]
    frame: Option<&'a RawValue>,
    #[serde(default)]
    url: Option<String>,
    #[serde(default)]
    captured_at: Option<IgnoredAny>,
}

pub(super) fn is_one(line: &[u8]) -> bool {
    spliced(line).is_some()
        || serde_json::from_slice::<Whole<'_>>(line).is_ok_and(|whole| {
            whole.frame.is_some() && whole.rx_ns.is_some()
                || whole.url.is_some() && whole.captured_at.is_some()
        })
}

pub(super) fn read(line: &[u8]) -> Result<Option<Entry>, String> {
    if let Some((head, frame)) = spliced(line) {
        return Ok(Some(entry(head.rx_ns, head.dir.as_deref(), frame)));
    }
    let whole: Whole<'_> =
        serde_json::from_slice(line).map_err(|error| format!("not a line of frames: {error}"))?;
    match (whole.rx_ns, whole.frame, whole.url) {
        (Some(at), Some(frame), _) => Ok(Some(entry(at, whole.dir.as_deref(), frame.get().as_bytes()))),
        (None, Some(_), _) => Err("a frame without \"rx_ns\"".to_owned()),
        // The time is not known yet: a connection stands before all that came over it.
        (at, None, Some(url)) => {
            let at = Timestamp::from_nanos(at.unwrap_or_default());
            Ok(Some(Entry::new(at, RecordKind::Connected { url })))
        }
        (_, None, None) => Ok(None),
    }
}

fn entry(at: i64, direction: Option<&str>, frame: &[u8]) -> Entry {
    let frame = Bytes::copy_from_slice(frame);
    let kind = if direction == Some("tx") {
        RecordKind::Sent(frame)
    } else {
        RecordKind::Received(frame)
    };
    Entry::new(Timestamp::from_nanos(at), kind)
}

/// What stands before the frame, and the frame: the text up to the line's last brace.
fn spliced(line: &[u8]) -> Option<(Head, &[u8])> {
    const MARK: &[u8] = br#""frame":"#;
    let place = line.windows(MARK.len()).position(|window| window == MARK)?;
    let before = line[..place].trim_ascii_end().strip_suffix(b",")?;
    let frame = line[place + MARK.len()..].strip_suffix(b"}")?.trim_ascii();
    let head = [before, b"}"].concat();
    Some((serde_json::from_slice(&head).ok()?, frame))
}

//! JSON lines into which each frame was spliced as it came: it is cut out as text and never read as JSON here, so that a
//! frame that is no JSON reaches the protocol, and numbers keep their digits. Our own recorder writes these lines.
//!
//! | a line | says |
//! |---|---|
//! | `{"recording":"py_rt/1",...}` | who recorded what; nothing happened |
//! | `{"rx_ns":<ns>,"conn":"<name>","url":"<address>"}` | the connection was made |
//! | `{"rx_ns":<ns>,"conn":"<name>","frame":<message>}` | this came |
//! | `{"rx_ns":<ns>,"conn":"<name>","dir":"tx","frame":<message>}` | we sent this |
//! | `{"rx_ns":<ns>,"conn":"<name>","url":"<request>","answer":<body>}` | REST answered this |
//! | `{"rx_ns":<ns>,"conn":"<name>","closed":"<reason>"}` | the connection was lost |
//!
//! What cannot be spliced into a line (it has a line end, or is no JSON object or list by its ends) stands in `"text"` as
//! a JSON string, or in `"base64"` where it is not even text; `"is":"answer"` marks an answer then.

use std::borrow::Cow;

use base64::Engine;
use base64::engine::general_purpose::STANDARD;
use bytes::Bytes;
use domain::Timestamp;
use serde::Deserialize;
use serde::de::IgnoredAny;
use serde_json::value::RawValue;

use crate::record::{Entry, RecordKind};

/// What stands in `"recording"`.
pub(crate) const VERSION: &str = "py_rt/1";

/// Before a message of a socket that is spliced in.
const FRAME: &[u8] = br#""frame":"#;

/// Before an answer that is.
const BODY: &[u8] = br#""answer":"#;

const SENT: &str = "tx";
const ANSWER: &str = "answer";

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Splice {
    Frame,
    Answer,
}

/// What the recorder itself writes before a frame.
#[derive(Deserialize)]
struct Head {
    rx_ns: i64,
    #[serde(default)]
    conn: Option<String>,
    #[serde(default)]
    dir: Option<String>,
    #[serde(default)]
    url: Option<String>,
}

/// A line without a frame, or whose frame is not its last member.
#[derive(Deserialize)]
struct Whole<'a> {
    #[serde(default)]
    recording: Option<IgnoredAny>,
    #[serde(default)]
    rx_ns: Option<i64>,
    #[serde(default)]
    conn: Option<String>,
    #[serde(default)]
    dir: Option<String>,
    #[serde(borrow, default)]
    frame: Option<&'a RawValue>,
    #[serde(borrow, default)]
    text: Option<Cow<'a, str>>,
    #[serde(borrow, default)]
    base64: Option<Cow<'a, str>>,
    #[serde(borrow, default)]
    is: Option<Cow<'a, str>>,
    #[serde(default)]
    url: Option<String>,
    #[serde(default)]
    closed: Option<String>,
    #[serde(default)]
    captured_at: Option<IgnoredAny>,
}

pub(crate) fn is_one(line: &[u8]) -> bool {
    spliced(line).is_some()
        || serde_json::from_slice::<Whole<'_>>(line).is_ok_and(|whole| {
            whole.recording.is_some()
                || whole.rx_ns.is_some()
                || whole.url.is_some() && whole.captured_at.is_some()
        })
}

pub(crate) fn read(line: &[u8]) -> Result<Option<Entry>, String> {
    if let Some((head, splice, message)) = spliced(line) {
        return Ok(Some(head.entry(splice, Bytes::copy_from_slice(message))));
    }
    let whole: Whole<'_> =
        serde_json::from_slice(line).map_err(|error| format!("not a line of frames: {error}"))?;
    if whole.recording.is_some() {
        return Ok(None);
    }
    match (whole.rx_ns, whole.message()?) {
        (Some(rx_ns), Some((splice, message))) => Ok(Some(whole.head(rx_ns).entry(splice, message))),
        (None, Some(_)) => Err("a frame without \"rx_ns\"".to_owned()),
        (at, None) => Ok(whole.happened(at.unwrap_or_default())),
    }
}

impl Whole<'_> {
    fn message(&self) -> Result<Option<(Splice, Bytes)>, String> {
        let splice = if self.is.as_deref() == Some(ANSWER) {
            Splice::Answer
        } else {
            Splice::Frame
        };
        let message = if let Some(frame) = self.frame {
            Bytes::copy_from_slice(frame.get().as_bytes())
        } else if let Some(text) = &self.text {
            Bytes::copy_from_slice(text.as_bytes())
        } else if let Some(packed) = &self.base64 {
            let bytes = STANDARD.decode(packed.as_bytes());
            Bytes::from(bytes.map_err(|error| format!("\"base64\": {error}"))?)
        } else {
            return Ok(None);
        };
        Ok(Some((splice, message)))
    }

    fn head(self, rx_ns: i64) -> Head {
        Head {
            rx_ns,
            conn: self.conn,
            dir: self.dir,
            url: self.url,
        }
    }

    /// What happened to the connection. Where the time is not known yet, a connection stands before all that came over it.
    fn happened(self, rx_ns: i64) -> Option<Entry> {
        let kind = match (self.closed, self.url) {
            (Some(reason), _) => RecordKind::Disconnected { reason },
            (None, url) => RecordKind::Connected { url: url? },
        };
        Some(Entry {
            at: Timestamp::from_nanos(rx_ns),
            connection: self.conn,
            kind,
        })
    }
}

impl Head {
    fn entry(self, splice: Splice, message: Bytes) -> Entry {
        let kind = match splice {
            Splice::Answer => RecordKind::Answer {
                url: self.url,
                body: message,
            },
            Splice::Frame if self.dir.as_deref() == Some(SENT) => RecordKind::Sent(message),
            Splice::Frame => RecordKind::Received(message),
        };
        Entry {
            at: Timestamp::from_nanos(self.rx_ns),
            connection: self.conn,
            kind,
        }
    }
}

/// What stands before the message, and the message: the text up to the line's last brace.
fn spliced(line: &[u8]) -> Option<(Head, Splice, &[u8])> {
    let frame = place_of(line, FRAME);
    // Whichever comes first: the other may stand inside of the message.
    let answer = place_of(&line[..frame.unwrap_or(line.len())], BODY);
    let (place, mark, splice) = match (answer, frame) {
        (Some(place), _) => (place, BODY, Splice::Answer),
        (None, Some(place)) => (place, FRAME, Splice::Frame),
        (None, None) => return None,
    };
    let before = line[..place].trim_ascii_end().strip_suffix(b",")?;
    let message = line[place + mark.len()..].strip_suffix(b"}")?.trim_ascii();
    let head = serde_json::from_slice(&[before, b"}"].concat()).ok()?;
    Some((head, splice, message))
}

fn place_of(line: &[u8], mark: &[u8]) -> Option<usize> {
    line.windows(mark.len()).position(|window| window == mark)
}

/// Appends the line that tells what a recording is of; nothing happened in it.
pub(crate) fn write_head(out: &mut Vec<u8>, venue: &str, symbols: &[String], part: u64, began: Timestamp) {
    out.extend_from_slice(b"{\"recording\":\"");
    out.extend_from_slice(VERSION.as_bytes());
    out.extend_from_slice(b"\",\"venue\":");
    push_text(out, venue);
    out.extend_from_slice(b",\"symbols\":[");
    for (at, symbol) in symbols.iter().enumerate() {
        if at > 0 {
            out.push(b',');
        }
        push_text(out, symbol);
    }
    let rest = format!("],\"part\":{part},\"began_ns\":{}}}\n", began.nanos());
    out.extend_from_slice(rest.as_bytes());
}

/// Appends the line of what happened.
pub(crate) fn write(out: &mut Vec<u8>, at: Timestamp, connection: &str, kind: &RecordKind) {
    out.extend_from_slice(format!("{{\"rx_ns\":{},\"conn\":", at.nanos()).as_bytes());
    push_text(out, connection);
    match kind {
        RecordKind::Connected { url } => push_member(out, "url", url),
        RecordKind::Disconnected { reason } => push_member(out, "closed", reason),
        RecordKind::Received(message) => push_message(out, FRAME, message),
        RecordKind::Sent(message) => {
            push_member(out, "dir", SENT);
            push_message(out, FRAME, message);
        }
        RecordKind::Answer { url, body } => {
            if let Some(url) = url {
                push_member(out, "url", url);
            }
            if !can_be_spliced(body) {
                push_member(out, "is", ANSWER);
            }
            push_message(out, BODY, body);
        }
    }
    out.extend_from_slice(b"}\n");
}

/// Whether a message stands in a line as it came, and is cut out of it as it came.
fn can_be_spliced(message: &[u8]) -> bool {
    let is_whole = match (message.first(), message.last()) {
        (Some(b'{'), Some(b'}')) | (Some(b'['), Some(b']')) => message.len() > 1,
        _ => false,
    };
    is_whole
        && !message.iter().any(|byte| matches!(byte, b'\n' | b'\r'))
        && std::str::from_utf8(message).is_ok()
}

fn push_message(out: &mut Vec<u8>, mark: &[u8], message: &[u8]) {
    if can_be_spliced(message) {
        out.push(b',');
        out.extend_from_slice(mark);
        out.extend_from_slice(message);
    } else if let Ok(text) = std::str::from_utf8(message) {
        push_member(out, "text", text);
    } else {
        push_member(out, "base64", &STANDARD.encode(message));
    }
}

fn push_member(out: &mut Vec<u8>, name: &str, text: &str) {
    out.extend_from_slice(format!(",\"{name}\":").as_bytes());
    push_text(out, text);
}

fn push_text(out: &mut Vec<u8>, text: &str) {
    serde_json::to_writer(out, text).expect("text is written into memory");
}

//! cryptofeed's JSON lines: each says what it is, and holds the message as a JSON string.

use std::borrow::Cow;

use bytes::Bytes;
use serde::Deserialize;
use serde_json::value::RawValue;

use crate::record::{Entry, RecordKind, seconds};

/// What a line can be, by its `t`. Others say nothing of the wire.
const KINDS: [&str; 5] = ["header", "http", "connect", "send", "recv"];

#[derive(Deserialize)]
struct Raw<'a> {
    #[serde(borrow)]
    t: Cow<'a, str>,
    #[serde(borrow, default)]
    conn: Option<Cow<'a, str>>,
    #[serde(borrow, default)]
    ts: Option<&'a RawValue>,
    #[serde(borrow, default)]
    addr: Option<Cow<'a, str>>,
    #[serde(borrow, default)]
    url: Option<Cow<'a, str>>,
    #[serde(borrow, default)]
    data: Option<&'a RawValue>,
}

pub(crate) fn is_one(line: &[u8]) -> bool {
    serde_json::from_slice::<Raw<'_>>(line).is_ok_and(|raw| KINDS.contains(&raw.t.as_ref()))
}

pub(crate) fn read(line: &[u8]) -> Result<Option<Entry>, String> {
    let raw: Raw<'_> = serde_json::from_slice(line).map_err(|error| format!("not an entry: {error}"))?;
    let kind = match raw.t.as_ref() {
        "connect" => RecordKind::Connected {
            url: raw.addr.as_deref().unwrap_or_default().to_owned(),
        },
        "send" => RecordKind::Sent(message(&raw)?),
        "recv" => RecordKind::Received(message(&raw)?),
        "http" => RecordKind::Answer {
            url: raw.url.as_deref().map(str::to_owned),
            body: message(&raw)?,
        },
        _ => return Ok(None),
    };
    let at = raw.ts.and_then(|ts| seconds(ts.get()));
    Ok(Some(Entry {
        at: at.ok_or("\"ts\" is not a number of seconds")?,
        connection: raw.conn.map(Cow::into_owned),
        kind,
    }))
}

/// The exact text of the wire: what the JSON string spells.
fn message(raw: &Raw<'_>) -> Result<Bytes, String> {
    let data = raw.data.ok_or("an entry without \"data\"")?.get();
    if !data.starts_with('"') {
        return Ok(Bytes::copy_from_slice(data.as_bytes()));
    }
    let text: Cow<'_, str> =
        serde_json::from_str(data).map_err(|error| format!("\"data\" is not text: {error}"))?;
    Ok(Bytes::from(text.into_owned()))
}

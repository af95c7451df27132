//! cryptofeed's older text: who said what when, one line each.

use bytes::Bytes;
use domain::Timestamp;

use crate::record::{Entry, RecordKind, seconds};

/// The line that says what was recorded; nothing happened then.
const CONFIGURATION: &str = "configuration: ";

const SCHEMES: [&str; 4] = ["wss://", "ws://", "https://", "http://"];

pub(crate) fn is_one(line: &[u8]) -> bool {
    let Ok(text) = std::str::from_utf8(line) else {
        return false;
    };
    text.starts_with(CONFIGURATION) || read_text(text).is_ok()
}

pub(crate) fn read(line: &[u8]) -> Result<Option<Entry>, String> {
    // A message may be damaged; what stands around it is ASCII.
    match std::str::from_utf8(line) {
        Ok(text) if text.starts_with(CONFIGURATION) => Ok(None),
        Ok(text) => read_text(text).map(Some),
        Err(_) => received(line).map(Some),
    }
}

fn read_text(text: &str) -> Result<Entry, String> {
    if !SCHEMES.iter().any(|scheme| text.starts_with(scheme)) {
        return received(text.as_bytes());
    }
    if let Some((url, at)) = text.split_once(" <-> ") {
        let url = url.to_owned();
        return Ok(Entry::new(time(at)?, RecordKind::Connected { url }));
    }
    let sent = text.find(" <- ");
    let answered = text.find(" -> ");
    // Whichever comes first: the other may stand inside of the message.
    if let Some(place) = sent.filter(|&place| answered.is_none_or(|other| place < other)) {
        let (at, message) = stamped(&text.as_bytes()[place + " <- ".len()..])?;
        return Ok(Entry::new(at, RecordKind::Sent(Bytes::copy_from_slice(message))));
    }
    let place = answered.ok_or("an address without `<->`, `<-` or `->`")?;
    let (at, body) = stamped(&text.as_bytes()[place + " -> ".len()..])?;
    let kind = RecordKind::Answer {
        url: Some(text[..place].to_owned()),
        body: Bytes::copy_from_slice(body),
    };
    Ok(Entry::new(at, kind))
}

fn received(line: &[u8]) -> Result<Entry, String> {
    let (at, message) = stamped(line)?;
    Ok(Entry::new(
        at,
        RecordKind::Received(Bytes::copy_from_slice(message)),
    ))
}

/// Splits `<seconds>: <message>`.
fn stamped(line: &[u8]) -> Result<(Timestamp, &[u8]), String> {
    const MARK: &[u8] = b": ";
    let place = line.windows(MARK.len()).position(|window| window == MARK);
    let place = place.ok_or("not `<seconds>: <message>`")?;
    let at = std::str::from_utf8(&line[..place]).map_err(|_| "the time is not a number")?;
    Ok((time(at)?, &line[place + MARK.len()..]))
}

fn time(text: &str) -> Result<Timestamp, String> {
    seconds(text.trim()).ok_or_else(|| "the time is not a number of seconds".to_owned())
}

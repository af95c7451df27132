//! The venue's clock to the microsecond: the answer to a ping on a market socket says when the ping came in.

use std::sync::Arc;

use domain::Timestamp;
use futures_util::{SinkExt, StreamExt};
use rustls::ClientConfig;
use serde::Deserialize;
use tokio::time::timeout;
use tokio_tungstenite::tungstenite::Message;

use super::settings::Settings;
use crate::clock::{Clock, TimeSample};
use crate::error::{ParseError, VenueError};
use crate::iso8601;
use crate::websocket::{self, Socket};

/// Questions per sample; the one with the shortest round trip is kept.
const QUESTIONS: u64 = 4;

/// Messages in between that are passed over.
const OTHERS_MAX: usize = 64;

const REQUEST: &str = "time";

/// The best of a few questions, on a connection made for them.
pub(super) async fn sample(
    settings: &Settings,
    tls: &Arc<ClientConfig>,
    clock: &Arc<dyn Clock>,
) -> Result<TimeSample, VenueError> {
    let no_answer = |detail: String| VenueError::NoAnswer {
        request: REQUEST,
        detail,
    };
    let asked = timeout(settings.request_timeout, ask(settings, tls, clock));
    asked.await.map_err(|_| no_answer("timed out".to_owned()))?
}

async fn ask(
    settings: &Settings,
    tls: &Arc<ClientConfig>,
    clock: &Arc<dyn Clock>,
) -> Result<TimeSample, VenueError> {
    let opening = websocket::open(&settings.endpoints.stream, &[], tls, settings.connect_timeout);
    let mut socket = opening.await.map_err(|detail| VenueError::NotConnected {
        request: REQUEST,
        detail,
    })?;
    let mut best: Option<TimeSample> = None;
    for number in 1..=QUESTIONS {
        let sample = ping(&mut socket, number, clock).await?;
        let trip = |sample: &TimeSample| sample.received.0 - sample.sent.0;
        if best.as_ref().is_none_or(|best| trip(&sample) < trip(best)) {
            best = Some(sample);
        }
    }
    // Nothing is lost when the venue does not hear it.
    let _ = socket.close(None).await;
    best.ok_or_else(|| VenueError::NoAnswer {
        request: REQUEST,
        detail: "no question was asked".to_owned(),
    })
}

async fn ping(socket: &mut Socket, number: u64, clock: &Arc<dyn Clock>) -> Result<TimeSample, VenueError> {
    let broken = |detail: String| VenueError::NoAnswer {
        request: REQUEST,
        detail,
    };
    let text = format!(r#"{{"method":"ping","req_id":{number}}}"#);
    let sent = clock.monotonic();
    let sending = socket.send(Message::text(text)).await;
    sending.map_err(|error| broken(error.to_string()))?;
    for _ in 0..OTHERS_MAX {
        let next = socket.next().await.ok_or_else(|| broken("closed".to_owned()))?;
        let message = next.map_err(|error| broken(error.to_string()))?;
        let received = clock.monotonic();
        let Message::Text(text) = message else { continue };
        if let Some(server) = pong(text.as_bytes(), number)? {
            return Ok(TimeSample {
                sent,
                received,
                server,
            });
        }
    }
    Err(broken("no answer among many messages".to_owned()))
}

/// The time in the answer to our ping; `None` for any other message.
pub(super) fn pong(message: &[u8], number: u64) -> Result<Option<Timestamp>, VenueError> {
    #[derive(Deserialize)]
    struct Raw {
        #[serde(default)]
        method: Option<String>,
        #[serde(default)]
        req_id: Option<u64>,
        #[serde(default)]
        time_in: Option<String>,
    }
    let malformed = |source| VenueError::Malformed {
        what: "answer to a ping",
        source,
    };
    let raw: Raw = serde_json::from_slice(message).map_err(|error| malformed(error.into()))?;
    if raw.method.as_deref() != Some("pong") || raw.req_id != Some(number) {
        return Ok(None);
    }
    let time = raw
        .time_in
        .as_deref()
        .and_then(|text| iso8601::parse(text.as_bytes()));
    let missing = ParseError::Value {
        field: "time_in",
        problem: "an answer to a ping says when that came in, in UTC",
    };
    time.map(Some).ok_or_else(|| malformed(missing))
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    #[test]
    fn reads_the_answer_to_its_own_question_only() {
        // The documentation's example.
        let text = br#"{"method":"pong","req_id":101,"time_in":"2023-09-24T14:10:23.799685Z","time_out":"2023-09-24T14:10:23.799703Z"}"#;
        let expected = iso8601::parse(b"2023-09-24T14:10:23.799685Z");
        assert_eq!(pong(text, 101).unwrap(), expected);
        assert_eq!(pong(text, 102).unwrap(), None);
        assert_eq!(pong(br#"{"channel":"heartbeat"}"#, 101).unwrap(), None);
        assert!(pong(br#"{"method":"pong","req_id":101}"#, 101).is_err());
    }

    proptest! {
        #[test]
        fn bytes_of_any_kind_never_panic(bytes: Vec<u8>) {
            let _ = pong(&bytes, 1);
        }
    }
}

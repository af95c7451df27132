//! Messages of the account's own stream (channels `user`, `heartbeats` and `subscriptions`), read with `serde_json`: few
//! come, and none is in a hurry that a scanner would notice.

use std::borrow::Cow;

use domain::{ClientOrderId, OrderStatus, Quantity, RejectReason, Side, Text, Timestamp, VenueOrderId};
use serde::Deserialize;
use serde_json::value::RawValue;

use super::ids::venue_order_id;
use super::orders::{amount, order_status, reject_reason, side, time};
use crate::error::ParseError;
use crate::unknown::unknown_word;

/// Most orders in one message: the venue sends its snapshot by the fifty.
const MESSAGE_ORDERS_MAX: usize = 4_096;

/// The venue's words in a refusal are cut here, characters.
const REFUSAL_TEXT_MAX: usize = 200;

/// One of the account's orders, as it is now.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct UserOrder {
    /// Ours, or `None` when someone else placed it on our account.
    pub client_order_id: Option<ClientOrderId>,
    /// The venue's name of it.
    pub venue_order_id: VenueOrderId,
    /// What it trades.
    pub symbol: Text<24>,
    /// Its side.
    pub side: Side,
    /// Its state.
    pub status: OrderStatus,
    /// Base quantity executed so far. The venue names no execution here.
    pub filled: Quantity,
    /// Why it was refused, where it was.
    pub reject_reason: RejectReason,
    /// Whether it stands in a snapshot of open orders: it may have been so for long.
    pub is_snapshot: bool,
}

/// What a numbered message says.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum UserBody {
    /// Orders, in the venue's order.
    Orders(Vec<UserOrder>),
    /// The venue lives; the number counts seconds.
    Heartbeat {
        /// The venue's count.
        counter: u64,
    },
    /// What is subscribed on this connection.
    Subscriptions {
        /// Whether the account's orders are.
        has_user: bool,
    },
    /// A channel we do not use.
    Other,
}

/// One message of the connection.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum UserMessage {
    /// A message of a channel. All channels of a connection share one count.
    Numbered {
        /// `sequence_num`: each is the one before it plus one.
        sequence: u64,
        /// When the venue sent it.
        ts_sent: Timestamp,
        /// What it says.
        body: UserBody,
    },
    /// The venue refuses what we sent (`type` is `error`), in its words.
    Refused(String),
    /// JSON without a channel.
    Unnumbered,
}

#[derive(Deserialize)]
struct Outer<'a> {
    #[serde(borrow, default)]
    channel: Option<Cow<'a, str>>,
    #[serde(borrow, default, rename = "type")]
    kind: Option<Cow<'a, str>>,
    #[serde(borrow, default)]
    message: Option<Cow<'a, str>>,
    #[serde(borrow, default)]
    timestamp: Option<Cow<'a, str>>,
    #[serde(default)]
    sequence_num: Option<u64>,
    #[serde(borrow, default)]
    events: Option<&'a RawValue>,
}

#[derive(Deserialize)]
struct RawEvent<'a> {
    #[serde(borrow, rename = "type")]
    kind: Cow<'a, str>,
    #[serde(borrow, default)]
    orders: Option<Vec<RawOrder<'a>>>,
}

#[derive(Deserialize)]
struct RawOrder<'a> {
    #[serde(borrow)]
    order_id: Cow<'a, str>,
    #[serde(borrow, default)]
    client_order_id: Cow<'a, str>,
    #[serde(borrow)]
    product_id: Cow<'a, str>,
    #[serde(borrow)]
    order_side: Cow<'a, str>,
    #[serde(borrow)]
    status: Cow<'a, str>,
    #[serde(borrow)]
    cumulative_quantity: Cow<'a, str>,
    // The documentation has both spellings.
    #[serde(borrow, default, alias = "reject_Reason")]
    reject_reason: Cow<'a, str>,
}

#[derive(Deserialize)]
struct RawSubscriptions<'a> {
    #[serde(borrow)]
    subscriptions: RawChannels<'a>,
}

#[derive(Deserialize)]
struct RawChannels<'a> {
    #[serde(borrow, default)]
    user: Option<&'a RawValue>,
}

/// The count is a number on the wire and text in the documentation.
#[derive(Deserialize)]
struct RawHeartbeat<'a> {
    #[serde(borrow)]
    heartbeat_counter: &'a RawValue,
}

/// Reads one message.
///
/// # Errors
/// [`ParseError`] when it is not a message of the venue; nothing panics, whatever the bytes.
pub fn message(frame: &[u8]) -> Result<UserMessage, ParseError> {
    // A list would be read as fields in their order.
    if !frame.trim_ascii_start().starts_with(b"{") {
        return Err(ParseError::Value {
            field: "",
            problem: "a message is an object",
        });
    }
    let outer: Outer<'_> = serde_json::from_slice(frame)?;
    let Some(channel) = outer.channel else {
        return Ok(match outer.kind.as_deref() {
            Some("error") => {
                let words = outer.message.unwrap_or_default();
                UserMessage::Refused(words.chars().take(REFUSAL_TEXT_MAX).collect())
            }
            _ => UserMessage::Unnumbered,
        });
    };
    let missing = |field| ParseError::Value {
        field,
        problem: "a message of a channel has a time, a number and events",
    };
    let ts_sent = time(&outer.timestamp.ok_or_else(|| missing("timestamp"))?, "timestamp")?;
    let sequence = outer.sequence_num.ok_or_else(|| missing("sequence_num"))?;
    let events = outer.events.ok_or_else(|| missing("events"))?.get();
    let body = match channel.as_ref() {
        "user" => UserBody::Orders(orders(events)?),
        "heartbeats" => heartbeat(events)?,
        "subscriptions" => subscriptions(events)?,
        word => {
            unknown_word("channel of the account", word);
            UserBody::Other
        }
    };
    Ok(UserMessage::Numbered {
        sequence,
        ts_sent,
        body,
    })
}

fn orders(events: &str) -> Result<Vec<UserOrder>, ParseError> {
    let mut orders = Vec::new();
    for event in serde_json::from_str::<Vec<RawEvent<'_>>>(events)? {
        let is_snapshot = match event.kind.as_ref() {
            "snapshot" => true,
            "update" => false,
            _ => {
                return Err(ParseError::Value {
                    field: "type",
                    problem: "an event is a `snapshot` or an `update`",
                });
            }
        };
        for raw in event.orders.iter().flatten() {
            if orders.len() == MESSAGE_ORDERS_MAX {
                return Err(ParseError::TooMany {
                    field: "orders",
                    max: MESSAGE_ORDERS_MAX,
                });
            }
            orders.push(order(raw, is_snapshot)?);
        }
    }
    Ok(orders)
}

fn order(raw: &RawOrder<'_>, is_snapshot: bool) -> Result<UserOrder, ParseError> {
    let filled = amount(&raw.cumulative_quantity, "cumulative_quantity")?;
    Ok(UserOrder {
        client_order_id: ClientOrderId::parse(&raw.client_order_id),
        venue_order_id: venue_order_id(&raw.order_id)?,
        symbol: Text::new(&raw.product_id).ok_or(ParseError::Value {
            field: "product_id",
            problem: "a product is at most 24 printable ASCII bytes",
        })?,
        side: side(&raw.order_side)?,
        status: order_status(&raw.status, filled),
        filled,
        reject_reason: reject_reason(&raw.reject_reason),
        is_snapshot,
    })
}

fn subscriptions(events: &str) -> Result<UserBody, ParseError> {
    let events: Vec<RawSubscriptions<'_>> = serde_json::from_str(events)?;
    let has_user = events
        .last()
        .is_some_and(|event| event.subscriptions.user.is_some());
    Ok(UserBody::Subscriptions { has_user })
}

fn heartbeat(events: &str) -> Result<UserBody, ParseError> {
    let events: Vec<RawHeartbeat<'_>> = serde_json::from_str(events)?;
    let Some(event) = events.last() else {
        return Err(ParseError::Value {
            field: "events",
            problem: "a heartbeat has one event",
        });
    };
    let counter = event.heartbeat_counter.get().trim_matches('"');
    Ok(UserBody::Heartbeat {
        counter: serde_json::from_str(counter)?,
    })
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    const UPDATE: &str = r#"{"channel":"user","client_id":"","timestamp":"2026-04-07T14:30:06.000000Z","sequence_num":7,"events":[{"type":"update","orders":[{"order_id":"a1b2c3d4-e5f6-7890-abcd-ef1234567890","client_order_id":"e3-s1-42","cumulative_quantity":"0.3","leaves_quantity":"0.2","avg_price":"61837.1","total_fees":"1.2","status":"OPEN","product_id":"BTC-USD","creation_time":"2026-04-07T14:29:55.123456Z","order_side":"BUY","order_type":"Limit","cancel_reason":"","reject_Reason":""}]}]}"#;

    fn body(text: &str) -> UserBody {
        match message(text.as_bytes()).unwrap() {
            UserMessage::Numbered { body, .. } => body,
            other => panic!("{other:?}"),
        }
    }

    #[test]
    fn reads_an_order_as_it_is_now() {
        let UserMessage::Numbered {
            sequence,
            ts_sent,
            body,
        } = message(UPDATE.as_bytes()).unwrap()
        else {
            panic!("a numbered message")
        };
        assert_eq!(
            (sequence, ts_sent),
            (7, Timestamp::from_millis(1_775_572_206_000))
        );
        let UserBody::Orders(orders) = body else {
            panic!("orders")
        };
        assert_eq!(orders.len(), 1);
        assert_eq!(orders[0].client_order_id.unwrap().to_string(), "e3-s1-42");
        assert_eq!(orders[0].status, OrderStatus::PartiallyFilled);
        assert_eq!(orders[0].filled, Quantity::parse(b"0.3").unwrap());
        assert!(!orders[0].is_snapshot);
    }

    #[test]
    fn words_it_does_not_know_are_not_guessed() {
        let status = |word: &str| match body(&UPDATE.replace("\"OPEN\"", &format!("\"{word}\""))) {
            UserBody::Orders(orders) => orders[0].status,
            other => panic!("{other:?}"),
        };
        assert_eq!(status("CANCEL_QUEUED"), OrderStatus::PendingCancel);
        assert_eq!(status("FAILED"), OrderStatus::Canceled, "it has traded");
        assert_eq!(status("A_NEW_WORD"), OrderStatus::Unknown);
        assert!(message(UPDATE.replace("\"update\"", "\"replay\"").as_bytes()).is_err());
        assert!(message(UPDATE.replace("\"BUY\"", "\"BOTH\"").as_bytes()).is_err());
        assert!(message(UPDATE.replace("\"0.3\"", "\"-0.3\"").as_bytes()).is_err());
        assert!(message(UPDATE.replace("a1b2c3d4", "../x").as_bytes()).is_err());
    }

    #[test]
    fn reads_what_is_subscribed_and_what_is_refused() {
        let channel = |name: &str, events: &str| {
            body(&format!(
                r#"{{"channel":"{name}","timestamp":"2026-04-07T14:30:06Z","sequence_num":0,"events":{events}}}"#
            ))
        };
        let user = r#"[{"subscriptions":{"heartbeats":["heartbeats"],"user":["u-1"]}}]"#;
        assert_eq!(
            channel("subscriptions", user),
            UserBody::Subscriptions { has_user: true }
        );
        let only = r#"[{"subscriptions":{"heartbeats":["heartbeats"]}}]"#;
        assert_eq!(
            channel("subscriptions", only),
            UserBody::Subscriptions { has_user: false }
        );
        for count in ["9", "\"9\""] {
            let events = format!(r#"[{{"current_time":"x","heartbeat_counter":{count}}}]"#);
            assert_eq!(channel("heartbeats", &events), UserBody::Heartbeat { counter: 9 });
        }
        assert_eq!(channel("status", "[]"), UserBody::Other);
        let refused = message(br#"{"type":"error","message":"authentication failure"}"#).unwrap();
        assert_eq!(refused, UserMessage::Refused("authentication failure".to_owned()));
        assert_eq!(message(b"{}").unwrap(), UserMessage::Unnumbered);
        assert!(message(b"[1]").is_err());
    }

    proptest! {
        #[test]
        fn nothing_panics(at in 0usize..UPDATE.len(), byte: u8, tail in prop::collection::vec(any::<u8>(), 0..60)) {
            let mut frame = UPDATE.as_bytes().to_vec();
            frame[at] = byte;
            let _ = message(&frame);
            frame.truncate(at);
            frame.extend(&tail);
            let _ = message(&frame);
            let _ = message(&tail);
        }
    }
}

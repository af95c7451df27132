//! Signatures, nonces, and orders in the venue's words for either door.

use std::fmt;
use std::io::Write;
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};

use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;
use domain::{Instrument, Nanos, OrderRequest, OrderType, Price, Quantity, Side, TimeInForce, Timestamp};
use hmac::{Hmac, KeyInit, Mac};
use sha2::{Digest, Sha256, Sha512};
use zeroize::Zeroizing;

use super::client_id::WireId;
use super::rules::Names;
use super::settings::{SelfTradePrevention, Settings};
use crate::connector::OrderEntry;
use crate::error::{EncodeError, VenueError};
use crate::iso8601::Millis;
use crate::secret::Secret;
use crate::trading::EncodeOrders;

/// HMAC-SHA512 with its key already worked in.
#[derive(Clone)]
pub struct Signer {
    prepared: Hmac<Sha512>,
}

impl Signer {
    /// Prepares a private key, base64 as the venue hands it out.
    ///
    /// # Errors
    /// [`VenueError::Setting`] when it is not base64; the text is not repeated.
    pub fn new(secret: &Secret) -> Result<Self, VenueError> {
        let key = STANDARD.decode(secret.expose()).map(Zeroizing::new);
        let key = key.map_err(|_| VenueError::Setting {
            setting: "api_secret",
            problem: "not base64: it is the private key as the venue shows it, up to and with its last ="
                .to_owned(),
        })?;
        let prepared = Hmac::<Sha512>::new_from_slice(&key).expect("HMAC takes keys of any length");
        Ok(Self { prepared })
    }

    /// The value of `API-Sign` for a body that begins with its nonce, posted to `path`.
    #[must_use]
    pub fn sign(&self, path: &str, nonce: u64, body: &[u8]) -> String {
        let digest = Sha256::new()
            .chain_update(nonce.to_string())
            .chain_update(body)
            .finalize();
        let mut mac = self.prepared.clone();
        mac.update(path.as_bytes());
        mac.update(&digest);
        STANDARD.encode(mac.finalize().into_bytes())
    }
}

impl fmt::Debug for Signer {
    fn fmt(&self, out: &mut fmt::Formatter<'_>) -> fmt::Result {
        out.write_str("Signer(redacted)")
    }
}

/// Numbers that only rise: microseconds since 1970, or one more than the last.
///
/// A later start of the service begins above all that an earlier one used, as long as the system's clock is not set back
/// by more than the service was down; no request takes less than a microsecond. Two processes need a key each.
#[derive(Debug, Default)]
pub struct Nonces {
    last: AtomicU64,
}

impl Nonces {
    /// None used yet.
    #[must_use]
    pub const fn new() -> Self {
        Self {
            last: AtomicU64::new(0),
        }
    }

    /// The next one at a time of the system's clock, microseconds since 1970.
    pub fn next(&self, micros: u64) -> u64 {
        let rise = |last: u64| Some(micros.max(last.saturating_add(1)));
        match self.last.fetch_update(Ordering::Relaxed, Ordering::Relaxed, rise) {
            Ok(last) | Err(last) => micros.max(last.saturating_add(1)),
        }
    }
}

/// Puts orders into the venue's words. Holds no key: the request around an order is signed, or its connection.
#[derive(Debug, Clone)]
pub struct OrderEncoder {
    names: Arc<Names>,
    door: OrderEntry,
    deadline: Nanos,
    self_trade_prevention: SelfTradePrevention,
}

impl OrderEncoder {
    /// For one session. `deadline`: how long an order may wait to be matched, in the time of the orders' stamps.
    #[must_use]
    pub fn new(settings: &Settings, names: Arc<Names>, deadline: Nanos) -> Self {
        Self {
            names,
            door: settings.order_entry,
            deadline,
            self_trade_prevention: settings.self_trade_prevention,
        }
    }

    /// The time after which the venue does not match an order made at `ts`.
    pub(super) fn deadline(&self, ts: Timestamp) -> Millis {
        Millis(ts.plus(self.deadline))
    }

    /// A form without its nonce, as the body of `AddOrder`.
    fn form(&self, order: &OrderRequest, pair: &str, ts: Timestamp, out: &mut Vec<u8>) {
        let kind = if order.price.is_some() { "limit" } else { "market" };
        let (side, quantity) = (order.side, order.quantity);
        put(
            out,
            format_args!("ordertype={kind}&type={side}&pair={pair}&volume={quantity}"),
        );
        if let Some(price) = order.price {
            put(out, format_args!("&price={price}&timeinforce="));
            match order.time_in_force {
                TimeInForce::Ioc => put(out, format_args!("IOC")),
                // Whole seconds since 1970, and none before the time that was asked for.
                TimeInForce::Gtd(until) => put(out, format_args!("GTD&expiretm={}", seconds_up(until))),
                TimeInForce::Gtc | TimeInForce::Fok => put(out, format_args!("GTC")),
            }
        }
        // The fee in the quote asset, whatever the side: then the list of trades need not say which.
        put(out, format_args!("&oflags=fciq"));
        if order.post_only {
            put(out, format_args!("%2Cpost"));
        }
        let id = WireId(order.client_order_id);
        let prevention = self.self_trade_prevention.rest_word();
        put(
            out,
            format_args!("&cl_ord_id={id}&stptype={prevention}&deadline="),
        );
        push_form(self.deadline(ts), out);
    }

    /// The beginning of an `add_order`, up to the token.
    fn message(&self, order: &OrderRequest, symbol: &str, ts: Timestamp, out: &mut Vec<u8>) {
        let kind = if order.price.is_some() { "limit" } else { "market" };
        let side = match order.side {
            Side::Buy => "buy",
            Side::Sell => "sell",
        };
        let quantity = order.quantity;
        put(
            out,
            format_args!(
                r#"{{"method":"add_order","params":{{"order_type":"{kind}","side":"{side}","symbol":"{symbol}","order_qty":{quantity}"#
            ),
        );
        if let Some(price) = order.price {
            put(out, format_args!(r#","limit_price":{price},"time_in_force":"#));
            match order.time_in_force {
                TimeInForce::Ioc => put(out, format_args!(r#""ioc""#)),
                TimeInForce::Gtd(until) => {
                    let until = Millis(Timestamp::from_millis(seconds_up(until) * 1_000));
                    put(out, format_args!(r#""gtd","expire_time":"{until}""#));
                }
                TimeInForce::Gtc | TimeInForce::Fok => put(out, format_args!(r#""gtc""#)),
            }
        }
        if order.post_only {
            put(out, format_args!(r#","post_only":true"#));
        }
        let id = WireId(order.client_order_id);
        let prevention = self.self_trade_prevention.socket_word();
        let deadline = self.deadline(ts);
        put(
            out,
            format_args!(
                r#","fee_preference":"quote","cl_ord_id":"{id}","stp_type":"{prevention}","deadline":"{deadline}""#
            ),
        );
    }
}

impl EncodeOrders for OrderEncoder {
    /// Encodes a new order. `reduce_only` is a word of this venue for margin positions only, and a spot order that bore
    /// it would be refused: keeping it is the engine's part.
    fn encode_new_order(
        &mut self,
        order: &OrderRequest,
        instrument: &Instrument,
        ts: Timestamp,
        out: &mut Vec<u8>,
    ) -> Result<(), EncodeError> {
        check(order, instrument)?;
        out.clear();
        match self.door {
            OrderEntry::Rest => {
                let name = self.names.altname(instrument.id).ok_or(EncodeError::Instrument)?;
                self.form(order, name, ts, out);
            }
            OrderEntry::WebSocket => self.message(order, instrument.symbol.as_str(), ts, out),
        }
        Ok(())
    }
}

fn check(order: &OrderRequest, instrument: &Instrument) -> Result<(), EncodeError> {
    if order.instrument != instrument.id || !is_name(instrument.symbol.as_str()) {
        return Err(EncodeError::Instrument);
    }
    if order.quantity <= Quantity::ZERO || order.price.is_some_and(|price| price <= Price::ZERO) {
        return Err(EncodeError::NotPositive);
    }
    if (order.order_type == OrderType::Limit) != order.price.is_some() {
        return Err(EncodeError::Price);
    }
    if order.post_only && (order.price.is_none() || !order.time_in_force.rests()) {
        return Err(EncodeError::PostOnly);
    }
    // A market order trades at once or not at all: the venue has no word for the rest of it.
    if order.price.is_some() && order.time_in_force == TimeInForce::Fok {
        return Err(EncodeError::TimeInForce);
    }
    Ok(())
}

/// Whole seconds since 1970, rounded up.
const fn seconds_up(ts: Timestamp) -> i64 {
    const SECOND: i64 = 1_000_000_000;
    ts.nanos().div_euclid(SECOND) + (ts.nanos().rem_euclid(SECOND) > 0) as i64
}

/// A name that may stand in a form and in JSON as it is.
pub(super) fn is_name(text: &str) -> bool {
    let plain = |byte: u8| byte.is_ascii_alphanumeric() || matches!(byte, b'/' | b'.' | b'-' | b'_');
    !text.is_empty() && text.bytes().all(plain)
}

/// Appends to a buffer, which cannot fail.
fn put(out: &mut Vec<u8>, text: fmt::Arguments<'_>) {
    let _ = out.write_fmt(text);
}

/// A time as a value in a form.
pub(super) fn push_form(time: Millis, out: &mut Vec<u8>) {
    let start = out.len();
    put(out, format_args!("{time}"));
    let mut at = start;
    while let Some(colon) = out[at..].iter().position(|byte| *byte == b':') {
        at += colon;
        out.splice(at..=at, *b"%3A");
    }
}

#[cfg(test)]
mod tests {
    use domain::{ClientOrderId, Epoch, InstrumentId, SlotId};
    use proptest::prelude::*;

    use super::super::rules::tests::{btc_usd, names};
    use super::super::settings::Endpoints;
    use super::*;
    use crate::trading::NEW_ORDER_BYTES_MAX;

    /// The private key of the documentation's example.
    const PRIVATE: &str =
        "kQH5HW/8p1uGOVjbgWA7FunAmGO8lsSUXNsu3eow76sz84Q18fWxnyRzBHCd3pd5nE9qa99HAZtuZuj6F1huXg==";

    fn order() -> OrderRequest {
        OrderRequest {
            client_order_id: ClientOrderId {
                epoch: Epoch(3),
                slot: SlotId(1),
                counter: 42,
            },
            instrument: InstrumentId(0),
            side: Side::Buy,
            order_type: OrderType::Limit,
            price: Some(Price::parse(b"61837.6").unwrap()),
            quantity: Quantity::parse(b"0.001").unwrap(),
            time_in_force: TimeInForce::Gtc,
            post_only: false,
            reduce_only: false,
        }
    }

    fn encoded(door: OrderEntry, order: &OrderRequest) -> Result<String, EncodeError> {
        let mut settings = Settings::new(Endpoints::production());
        settings.order_entry = door;
        let mut encoder = OrderEncoder::new(&settings, names(), Nanos::from_secs(5));
        let mut out = Vec::with_capacity(NEW_ORDER_BYTES_MAX);
        let start = out.as_ptr();
        let ts = Timestamp::from_millis(1_723_161_255_208);
        encoder.encode_new_order(order, &btc_usd(), ts, &mut out)?;
        assert_eq!(out.as_ptr(), start, "the buffer grew");
        Ok(String::from_utf8(out).unwrap())
    }

    #[test]
    fn signs_like_the_venues_own_example() {
        // From the documentation, "Spot REST Authentication".
        let signer = Signer::new(&Secret::new(PRIVATE.to_owned()).unwrap()).unwrap();
        let body = b"nonce=1616492376594&ordertype=limit&pair=XBTUSD&price=37500&type=buy&volume=1.25";
        assert_eq!(
            signer.sign("/0/private/AddOrder", 1_616_492_376_594, body),
            "4/dpxb3iT4tp/ZCVEwSnEsLxx0bqyhLpdfOpc6fn7OR8+UClSV5n9E6aSS8MPtnRfp32bAb0nmbRn6H8ndwLUQ=="
        );
        assert!(!format!("{signer:?}").contains("kQH5"));
    }

    #[test]
    fn a_key_that_is_no_base64_is_named_and_not_shown() {
        let error = Signer::new(&Secret::new("not*base64".to_owned()).unwrap()).unwrap_err();
        let text = format!("{error} {error:?}");
        assert!(
            text.contains("api_secret") && !text.contains("not*base64"),
            "{text}"
        );
    }

    #[test]
    fn nonces_rise_whatever_the_clock_does() {
        let nonces = Nonces::new();
        assert_eq!([5, 5, 4, 9].map(|micros| nonces.next(micros)), [5, 6, 7, 9]);
        // The next life, a moment later.
        assert_eq!(Nonces::new().next(10), 10);
        let nonces = Nonces::new();
        let mut used: Vec<u64> = std::thread::scope(|scope| {
            let workers: Vec<_> = (0..4)
                .map(|_| scope.spawn(|| (0..1_000).map(|_| nonces.next(7)).collect::<Vec<_>>()))
                .collect();
            workers
                .into_iter()
                .flat_map(|worker| worker.join().unwrap())
                .collect()
        });
        used.sort_unstable();
        used.dedup();
        assert_eq!(used.len(), 4_000);
    }

    #[test]
    fn says_each_kind_of_order_as_a_form() {
        assert_eq!(
            encoded(OrderEntry::Rest, &order()).unwrap(),
            "ordertype=limit&type=buy&pair=XBTUSD&volume=0.001&price=61837.6&timeinforce=GTC&oflags=fciq\
             &cl_ord_id=00000003-0001-8707-9727-40000000002a&stptype=cancel-newest\
             &deadline=2024-08-08T23%3A54%3A20.208Z"
        );
        let maker = OrderRequest {
            post_only: true,
            side: Side::Sell,
            ..order()
        };
        let maker = encoded(OrderEntry::Rest, &maker).unwrap();
        assert!(
            maker.contains("&type=sell&") && maker.contains("&oflags=fciq%2Cpost&"),
            "{maker}"
        );
        let market = OrderRequest {
            order_type: OrderType::Market,
            price: None,
            ..order()
        };
        let market = encoded(OrderEntry::Rest, &market).unwrap();
        assert!(
            market.starts_with("ordertype=market&type=buy&pair=XBTUSD&volume=0.001&oflags="),
            "{market}"
        );
    }

    #[test]
    fn says_each_kind_of_order_as_a_message() {
        assert_eq!(
            encoded(OrderEntry::WebSocket, &order()).unwrap(),
            concat!(
                r#"{"method":"add_order","params":{"order_type":"limit","side":"buy","symbol":"BTC/USD","#,
                r#""order_qty":0.001,"limit_price":61837.6,"time_in_force":"gtc","fee_preference":"quote","#,
                r#""cl_ord_id":"00000003-0001-8707-9727-40000000002a","stp_type":"cancel_newest","#,
                r#""deadline":"2024-08-08T23:54:20.208Z""#
            )
        );
        let ioc = OrderRequest {
            time_in_force: TimeInForce::Ioc,
            ..order()
        };
        assert!(
            encoded(OrderEntry::WebSocket, &ioc)
                .unwrap()
                .contains(r#""time_in_force":"ioc""#)
        );
    }

    /// Every kind of order that the venue takes.
    fn kinds() -> Vec<OrderRequest> {
        let until = TimeInForce::Gtd(Timestamp::from_millis(1_723_161_300_001));
        let rests = [TimeInForce::Gtc, TimeInForce::Ioc, until].map(|time_in_force| OrderRequest {
            time_in_force,
            ..order()
        });
        let maker = OrderRequest {
            post_only: true,
            side: Side::Sell,
            ..order()
        };
        let market = OrderRequest {
            order_type: OrderType::Market,
            price: None,
            ..order()
        };
        rests.into_iter().chain([maker, market]).collect()
    }

    #[test]
    fn every_order_bears_self_trade_prevention() {
        for order in kinds() {
            let form = encoded(OrderEntry::Rest, &order).unwrap();
            assert_eq!(form.matches("&stptype=cancel-newest&").count(), 1, "{form}");
            let message = encoded(OrderEntry::WebSocket, &order).unwrap();
            assert_eq!(
                message.matches(r#""stp_type":"cancel_newest""#).count(),
                1,
                "{message}"
            );
        }
    }

    #[test]
    fn an_order_that_stays_until_a_time_says_so_in_whole_seconds_and_none_too_early() {
        let until = OrderRequest {
            time_in_force: TimeInForce::Gtd(Timestamp::from_millis(1_723_161_300_001)),
            post_only: true,
            ..order()
        };
        let form = encoded(OrderEntry::Rest, &until).unwrap();
        assert!(
            form.contains("&timeinforce=GTD&expiretm=1723161301&oflags=fciq%2Cpost&"),
            "{form}"
        );
        let message = encoded(OrderEntry::WebSocket, &until).unwrap();
        assert!(
            message.contains(
                r#""time_in_force":"gtd","expire_time":"2024-08-08T23:55:01.000Z","post_only":true"#
            ),
            "{message}"
        );
    }

    #[test]
    fn refuses_what_the_venue_has_no_words_for() {
        let cases = [
            (
                OrderRequest {
                    price: None,
                    ..order()
                },
                EncodeError::Price,
            ),
            (
                OrderRequest {
                    quantity: Quantity::ZERO,
                    ..order()
                },
                EncodeError::NotPositive,
            ),
            (
                OrderRequest {
                    instrument: InstrumentId(1),
                    ..order()
                },
                EncodeError::Instrument,
            ),
            (
                OrderRequest {
                    post_only: true,
                    time_in_force: TimeInForce::Ioc,
                    ..order()
                },
                EncodeError::PostOnly,
            ),
            (
                OrderRequest {
                    time_in_force: TimeInForce::Fok,
                    ..order()
                },
                EncodeError::TimeInForce,
            ),
        ];
        for (order, error) in cases {
            for door in [OrderEntry::Rest, OrderEntry::WebSocket] {
                assert_eq!(encoded(door, &order), Err(error));
            }
        }
    }

    proptest! {
        #[test]
        fn no_order_outgrows_its_buffer(units in 1i64.., epoch: u32, slot: u16, counter: u32) {
            let order = OrderRequest {
                client_order_id: ClientOrderId { epoch: Epoch(epoch), slot: SlotId(slot), counter },
                price: Some(Price::from_units(units)),
                quantity: Quantity::from_units(units),
                post_only: true,
                ..order()
            };
            for door in [OrderEntry::Rest, OrderEntry::WebSocket] {
                // Room for the nonce, or for the token and the request's number.
                prop_assert!(encoded(door, &order).unwrap().len() + 200 <= NEW_ORDER_BYTES_MAX);
            }
        }
    }
}

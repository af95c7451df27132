//! Orders as bytes, signed: what stands between a decision and the socket, without an allocation.

use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;
use domain::{AmendRequest, CancelRequest, Instrument, OrderRequest, Price, Side, TimeInForce, Timestamp};
use ed25519_dalek::pkcs8::DecodePrivateKey as _;
use ed25519_dalek::{Signer as _, SigningKey};
use hmac::{Hmac, KeyInit, Mac};
use sha2::Sha256;

use super::settings::{SelfTradePrevention, Settings};
use crate::encode::{check, push_client_order_id, push_integer, push_units};
use crate::error::{EncodeError, VenueError};
use crate::secret::Secret;
use crate::trading::EncodeOrders;

/// Signs with the account's secret: HMAC-SHA256 with its key already worked in, or Ed25519.
#[derive(Clone)]
pub struct Signer(Key);

#[derive(Clone)]
enum Key {
    // Each signature starts from a copy of the prepared state, so the secret is hashed once per session.
    Hmac(Hmac<Sha256>),
    Ed25519(Box<SigningKey>),
}

/// Longest signature as text: 64 bytes in base64.
const SIGNATURE_TEXT_MAX: usize = 88;

/// A signature as the venue reads it: hexadecimal for HMAC-SHA256, base64 for Ed25519.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Signature {
    text: [u8; SIGNATURE_TEXT_MAX],
    length: usize,
}

impl Signature {
    /// Its text, which needs no escapes in JSON.
    #[must_use]
    pub fn as_bytes(&self) -> &[u8] {
        &self.text[..self.length]
    }

    /// See [`Self::as_bytes`].
    #[must_use]
    pub fn as_str(&self) -> &str {
        std::str::from_utf8(self.as_bytes()).unwrap_or_default()
    }
}

impl Signer {
    /// Whether it signs by Ed25519.
    pub(super) const fn is_ed25519(&self) -> bool {
        matches!(self.0, Key::Ed25519(_))
    }

    /// Prepares a secret: a private key of Ed25519 in PEM, or any other text as a key of HMAC-SHA256.
    ///
    /// # Errors
    /// [`VenueError::Setting`] for a private key that is not one of Ed25519.
    pub fn new(secret: &Secret) -> Result<Self, VenueError> {
        if secret.is_pem() {
            let key = SigningKey::from_pkcs8_pem(secret.expose()).map_err(|_| VenueError::Setting {
                setting: "api_secret",
                problem: "a private key in PEM must be an Ed25519 key (PKCS #8: BEGIN PRIVATE KEY)"
                    .to_owned(),
            })?;
            return Ok(Self(Key::Ed25519(Box::new(key))));
        }
        let prepared = Hmac::<Sha256>::new_from_slice(secret.expose().as_bytes())
            .expect("HMAC takes keys of any length");
        Ok(Self(Key::Hmac(prepared)))
    }

    /// Appends `&signature=` and the signature of all that stands in `payload`, escaped as a form needs it.
    pub fn sign(&self, payload: &mut Vec<u8>) {
        let signature = self.signature(payload);
        payload.extend_from_slice(b"&signature=");
        for &byte in signature.as_bytes() {
            match byte {
                b'+' => payload.extend_from_slice(b"%2B"),
                b'/' => payload.extend_from_slice(b"%2F"),
                b'=' => payload.extend_from_slice(b"%3D"),
                plain => payload.push(plain),
            }
        }
    }

    /// The signature of `payload`.
    #[must_use]
    pub fn signature(&self, payload: &[u8]) -> Signature {
        let mut text = [0; SIGNATURE_TEXT_MAX];
        let length = match &self.0 {
            Key::Hmac(prepared) => {
                let mut mac = prepared.clone();
                mac.update(payload);
                write_hex(&mac.finalize().into_bytes(), &mut text)
            }
            Key::Ed25519(key) => {
                let signed = key.sign(payload).to_bytes();
                STANDARD.encode_slice(signed, &mut text).unwrap_or_default()
            }
        };
        Signature { text, length }
    }
}

/// Writes bytes in lower-case hexadecimal; how many digits.
fn write_hex(bytes: &[u8], out: &mut [u8]) -> usize {
    const DIGITS: &[u8; 16] = b"0123456789abcdef";
    for (pair, byte) in out.chunks_exact_mut(2).zip(bytes) {
        pair[0] = DIGITS[usize::from(byte >> 4)];
        pair[1] = DIGITS[usize::from(byte & 15)];
    }
    2 * bytes.len()
}

impl std::fmt::Debug for Signer {
    fn fmt(&self, out: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        out.write_str("Signer(redacted)")
    }
}

/// Puts orders into the venue's words and signs them. Cheap to clone; holds no connection.
#[derive(Debug, Clone)]
pub struct OrderEncoder {
    signer: Signer,
    recv_window_ms: i64,
    timestamp_margin_ms: i64,
    self_trade_prevention: SelfTradePrevention,
}

impl OrderEncoder {
    /// For one session.
    #[must_use]
    pub fn new(signer: Signer, settings: &Settings) -> Self {
        Self {
            signer,
            recv_window_ms: settings.recv_window.0 / 1_000_000,
            timestamp_margin_ms: settings.timestamp_margin.0 / 1_000_000,
            self_trade_prevention: settings.self_trade_prevention,
        }
    }

    /// Encodes and signs a cancel as the query of `DELETE /api/v3/order`. Clears `out` first.
    ///
    /// # Errors
    /// [`EncodeError::Instrument`] when the cancel names another instrument.
    pub fn encode_cancel(
        &self,
        cancel: &CancelRequest,
        instrument: &Instrument,
        ts: Timestamp,
        out: &mut Vec<u8>,
    ) -> Result<(), EncodeError> {
        if cancel.instrument != instrument.id {
            return Err(EncodeError::Instrument);
        }
        out.clear();
        out.extend_from_slice(b"symbol=");
        out.extend_from_slice(instrument.symbol.as_str().as_bytes());
        out.extend_from_slice(b"&origClientOrderId=");
        push_client_order_id(cancel.client_order_id, out);
        self.stamp_and_sign(ts, out);
        Ok(())
    }

    /// A signed query of `PUT /api/v3/order/amend/keepPriority`: the quantity of an order becomes less, its name and its place
    /// in the queue stay. Clears `out` first.
    ///
    /// # Errors
    /// [`EncodeError::Instrument`] when the change names another instrument.
    pub fn encode_amend(
        &self,
        amend: &AmendRequest,
        instrument: &Instrument,
        ts: Timestamp,
        out: &mut Vec<u8>,
    ) -> Result<(), EncodeError> {
        if amend.instrument != instrument.id {
            return Err(EncodeError::Instrument);
        }
        out.clear();
        out.extend_from_slice(b"symbol=");
        out.extend_from_slice(instrument.symbol.as_str().as_bytes());
        for name in [&b"&origClientOrderId="[..], b"&newClientOrderId="] {
            out.extend_from_slice(name);
            push_client_order_id(amend.client_order_id, out);
        }
        out.extend_from_slice(b"&newQty=");
        push_units(amend.terms.quantity.units(), out);
        self.stamp_and_sign(ts, out);
        Ok(())
    }

    /// Appends `recvWindow`, `timestamp` and the signature to parameters that are already there.
    pub fn stamp_and_sign(&self, ts: Timestamp, out: &mut Vec<u8>) {
        if !out.is_empty() {
            out.push(b'&');
        }
        out.extend_from_slice(b"recvWindow=");
        push_integer(self.recv_window_ms.unsigned_abs(), out);
        out.extend_from_slice(b"&timestamp=");
        push_integer(self.timestamp_ms(ts), out);
        self.signer.sign(out);
    }

    /// The timestamp that a signed request made at `ts` carries, milliseconds.
    #[must_use]
    pub fn timestamp_ms(&self, ts: Timestamp) -> u64 {
        ts.millis()
            .saturating_sub(self.timestamp_margin_ms)
            .max(0)
            .unsigned_abs()
    }

    /// How long after its timestamp a request may be taken, milliseconds.
    #[must_use]
    pub const fn recv_window_ms(&self) -> u64 {
        self.recv_window_ms.unsigned_abs()
    }

    pub(super) const fn self_trade_prevention(&self) -> SelfTradePrevention {
        self.self_trade_prevention
    }

    pub(super) const fn signer(&self) -> &Signer {
        &self.signer
    }
}

impl EncodeOrders for OrderEncoder {
    /// As the signed body of `POST /api/v3/order`. The client order id goes out in its text form, one to one.
    /// `reduce_only` is not a word of this venue: keeping it is the engine's part.
    fn encode_new_order(
        &mut self,
        order: &OrderRequest,
        instrument: &Instrument,
        ts: Timestamp,
        out: &mut Vec<u8>,
    ) -> Result<(), EncodeError> {
        check(order, instrument)?;
        out.clear();
        out.extend_from_slice(b"symbol=");
        out.extend_from_slice(instrument.symbol.as_str().as_bytes());
        out.extend_from_slice(match order.side {
            Side::Buy => b"&side=BUY",
            Side::Sell => b"&side=SELL",
        });
        match order.price {
            // The venue's "maker" type takes no time in force: it rests until canceled.
            Some(price) if order.post_only => push_price(b"&type=LIMIT_MAKER", price, out),
            Some(price) => {
                push_price(b"&type=LIMIT", price, out);
                out.extend_from_slice(match order.time_in_force {
                    // The venue has no word for an end: the engine cancels then.
                    TimeInForce::Gtc | TimeInForce::Gtd(_) => b"&timeInForce=GTC",
                    TimeInForce::Ioc => b"&timeInForce=IOC",
                    TimeInForce::Fok => b"&timeInForce=FOK",
                });
            }
            None => out.extend_from_slice(b"&type=MARKET"),
        }
        out.extend_from_slice(b"&quantity=");
        push_units(order.quantity.units(), out);
        out.extend_from_slice(b"&newClientOrderId=");
        push_client_order_id(order.client_order_id, out);
        out.extend_from_slice(b"&newOrderRespType=FULL");
        out.extend_from_slice(b"&selfTradePreventionMode=");
        out.extend_from_slice(self.self_trade_prevention.as_str().as_bytes());
        self.stamp_and_sign(ts, out);
        Ok(())
    }
}

fn push_price(kind: &[u8], price: Price, out: &mut Vec<u8>) {
    out.extend_from_slice(kind);
    out.extend_from_slice(b"&price=");
    push_units(price.units(), out);
}

#[cfg(test)]
mod tests {
    use domain::{ClientOrderId, Epoch, InstrumentId, OrderType, Quantity, SlotId};
    use proptest::prelude::*;

    use super::super::settings::Endpoints;
    use super::*;
    use crate::sample::instrument;
    use crate::trading::NEW_ORDER_BYTES_MAX;

    const SECRET: &str = "NhqPtmdSJYdKjVHjA7PZj4Mge3R5YNiP1e3UZjInClVN65XAbvqqM6A7H5fATj0j";

    fn signer() -> Signer {
        Signer::new(&Secret::new(SECRET.to_owned()).unwrap()).unwrap()
    }

    fn encoder() -> OrderEncoder {
        OrderEncoder::new(signer(), &Settings::new(Endpoints::production()))
    }

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
            price: Some(Price::parse(b"61837.63").unwrap()),
            quantity: Quantity::parse(b"0.001").unwrap(),
            time_in_force: TimeInForce::Gtc,
            post_only: false,
            reduce_only: false,
        }
    }

    fn encoded(order: &OrderRequest) -> Result<String, EncodeError> {
        let mut out = Vec::with_capacity(NEW_ORDER_BYTES_MAX);
        let start = out.as_ptr();
        let ts = Timestamp::from_millis(1_723_161_255_208);
        encoder().encode_new_order(order, &instrument(0, "BTCUSDT"), ts, &mut out)?;
        assert_eq!(out.as_ptr(), start, "the buffer grew");
        Ok(String::from_utf8(out).unwrap())
    }

    #[test]
    fn signs_like_the_venues_own_example() {
        // From the venue's documentation, "SIGNED Endpoint Examples for POST /api/v3/order".
        let mut payload = b"symbol=LTCBTC&side=BUY&type=LIMIT&timeInForce=GTC&quantity=1&price=0.1&recvWindow=5000&timestamp=1499827319559".to_vec();
        signer().sign(&mut payload);
        let text = String::from_utf8(payload).unwrap();
        let (_, signature) = text.split_once("&signature=").unwrap();
        assert_eq!(
            signature,
            "c8db56825ae71d6d79447849e617115f4a920fa2acdcab2b053c4b2838bd6b71"
        );
    }

    #[test]
    fn says_each_kind_of_order_in_the_venues_words() {
        let limit = encoded(&order()).unwrap();
        let expected = "symbol=BTCUSDT&side=BUY&type=LIMIT&price=61837.63&timeInForce=GTC&quantity=0.001\
             &newClientOrderId=e3-s1-42&newOrderRespType=FULL&selfTradePreventionMode=EXPIRE_TAKER\
             &recvWindow=1000&timestamp=1723161255208&signature=";
        assert!(limit.starts_with(expected), "{limit}");
        assert_eq!(limit.len(), expected.len() + 64);

        let market = OrderRequest {
            order_type: OrderType::Market,
            price: None,
            side: Side::Sell,
            ..order()
        };
        let market = encoded(&market).unwrap();
        assert!(
            market.contains("&side=SELL&type=MARKET&quantity=0.001&"),
            "{market}"
        );
        let maker = encoded(&OrderRequest {
            post_only: true,
            ..order()
        })
        .unwrap();
        assert!(
            maker.contains("&type=LIMIT_MAKER&price=61837.63&quantity="),
            "{maker}"
        );
        let fok = encoded(&OrderRequest {
            time_in_force: TimeInForce::Fok,
            ..order()
        })
        .unwrap();
        assert!(fok.contains("&timeInForce=FOK&"), "{fok}");
    }

    #[test]
    fn every_order_bears_self_trade_prevention() {
        let limits = [
            TimeInForce::Gtc,
            TimeInForce::Ioc,
            TimeInForce::Fok,
            TimeInForce::Gtd(Timestamp::from_millis(1_723_161_300_000)),
        ];
        let limits = limits.map(|time_in_force| OrderRequest {
            time_in_force,
            ..order()
        });
        let maker = OrderRequest {
            post_only: true,
            ..order()
        };
        let market = OrderRequest {
            order_type: OrderType::Market,
            price: None,
            ..order()
        };
        for order in limits.into_iter().chain([maker, market]) {
            let text = encoded(&order).unwrap();
            let count = text.matches("&selfTradePreventionMode=EXPIRE_TAKER&").count();
            assert_eq!(count, 1, "{text}");
        }
    }

    #[test]
    fn an_order_that_stays_until_a_time_stays_until_it_is_canceled() {
        let until = TimeInForce::Gtd(Timestamp::from_millis(1_723_161_300_000));
        let gtd = encoded(&OrderRequest {
            time_in_force: until,
            ..order()
        })
        .unwrap();
        assert_eq!(gtd, encoded(&order()).unwrap(), "the engine cancels it then");
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
                    order_type: OrderType::Market,
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
                    price: Some(Price::from_units(-1)),
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
        ];
        for (order, error) in cases {
            assert_eq!(encoded(&order), Err(error));
        }
    }

    #[test]
    fn encodes_a_cancel() {
        let cancel = CancelRequest {
            client_order_id: order().client_order_id,
            instrument: InstrumentId(0),
        };
        let mut out = Vec::new();
        let ts = Timestamp::from_millis(5);
        encoder()
            .encode_cancel(&cancel, &instrument(0, "BTCUSDT"), ts, &mut out)
            .unwrap();
        let text = String::from_utf8(out).unwrap();
        assert!(
            text.starts_with(
                "symbol=BTCUSDT&origClientOrderId=e3-s1-42&recvWindow=1000&timestamp=5&signature="
            )
        );
        let mut out = Vec::new();
        let other = instrument(1, "ETHUSDT");
        assert_eq!(
            encoder().encode_cancel(&cancel, &other, ts, &mut out),
            Err(EncodeError::Instrument)
        );
    }

    #[test]
    fn the_margin_comes_off_the_timestamp() {
        let mut settings = Settings::new(Endpoints::production());
        settings.timestamp_margin = domain::Nanos::from_millis(400);
        let encoder = OrderEncoder::new(signer(), &settings);
        assert_eq!(encoder.timestamp_ms(Timestamp::from_millis(1_000)), 600);
        assert_eq!(encoder.timestamp_ms(Timestamp::from_millis(100)), 0);
    }

    #[test]
    fn nothing_secret_is_printed() {
        let text = format!("{:?}", encoder());
        assert!(text.contains("redacted") && !text.contains("Nhq"), "{text}");
    }

    proptest! {
        #[test]
        fn no_order_outgrows_its_buffer(units in 1i64.., epoch: u32, slot: u16, counter: u32) {
            let id = ClientOrderId { epoch: Epoch(epoch), slot: SlotId(slot), counter };
            let order = OrderRequest {
                client_order_id: id,
                price: Some(Price::from_units(units)),
                quantity: Quantity::from_units(units),
                ..order()
            };
            prop_assert!(encoded(&order).unwrap().len() <= NEW_ORDER_BYTES_MAX);
        }
    }
}

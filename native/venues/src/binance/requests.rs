//! Requests of the WebSocket API as bytes: parameters by name, signed, as JSON.

use std::fmt;

use domain::{
    AmendRequest, CancelRequest, ClientOrderId, Instrument, OrderRequest, Side, TimeInForce, Timestamp,
};

use super::sign::OrderEncoder;
use crate::encode::{check, push_client_order_id, push_integer, push_units};
use crate::error::{EncodeError, VenueError};
use crate::secret::Secret;
use crate::trading::EncodeOrders;

/// Longest API key that fits beside an order into [`crate::NEW_ORDER_BYTES_MAX`]; the venue's have 64 bytes.
const API_KEY_BYTES_MAX: usize = 128;

/// Signed parameters on their way: what is signed, then the signature, is not kept between requests.
const PAYLOAD_BYTES_MAX: usize = 512;

/// Puts orders into requests of the WebSocket API. The id of a request that places an order is the order's own.
#[derive(Clone)]
pub(super) struct RequestEncoder {
    orders: OrderEncoder,
    api_key: Secret,
    payload: Vec<u8>,
}

impl fmt::Debug for RequestEncoder {
    /// Without what was signed last, in which the key stands.
    fn fmt(&self, out: &mut fmt::Formatter<'_>) -> fmt::Result {
        out.debug_struct("RequestEncoder").finish_non_exhaustive()
    }
}

impl RequestEncoder {
    /// For one session.
    ///
    /// # Errors
    /// [`VenueError::Setting`] for a key that the venue cannot have given.
    pub(super) fn new(orders: OrderEncoder, api_key: Secret) -> Result<Self, VenueError> {
        let text = api_key.expose();
        if text.len() > API_KEY_BYTES_MAX || text.contains(['"', '\\']) {
            return Err(VenueError::Setting {
                setting: "api_key",
                problem: format!("a key is at most {API_KEY_BYTES_MAX} bytes without quotes and backslashes"),
            });
        }
        Ok(Self {
            orders,
            api_key,
            payload: Vec::with_capacity(PAYLOAD_BYTES_MAX),
        })
    }

    /// A request that cancels an order, under the id `id`, which needs no escapes. Clears `out` first.
    ///
    /// # Errors
    /// [`EncodeError::Instrument`] when the cancel names another instrument.
    pub(super) fn encode_cancel(
        &mut self,
        id: &str,
        cancel: &CancelRequest,
        instrument: &Instrument,
        ts: Timestamp,
        out: &mut Vec<u8>,
    ) -> Result<(), EncodeError> {
        if cancel.instrument != instrument.id {
            return Err(EncodeError::Instrument);
        }
        let mut request = self.begin_about(id, "order.cancel", out);
        request.text("origClientOrderId", |out| {
            push_client_order_id(cancel.client_order_id, out);
        });
        request.end_about(instrument, ts);
        Ok(())
    }

    /// A request that lowers an order's quantity, under the id `id`, which needs no escapes. Clears `out` first.
    ///
    /// # Errors
    /// [`EncodeError::Instrument`] when the change names another instrument.
    pub(super) fn encode_amend(
        &mut self,
        id: &str,
        amend: &AmendRequest,
        instrument: &Instrument,
        ts: Timestamp,
        out: &mut Vec<u8>,
    ) -> Result<(), EncodeError> {
        if amend.instrument != instrument.id {
            return Err(EncodeError::Instrument);
        }
        let mut request = self.begin_about(id, "order.amend.keepPriority", out);
        let push_id = |out: &mut Vec<u8>| push_client_order_id(amend.client_order_id, out);
        request.text("newClientOrderId", push_id);
        request.text("newQty", |out| push_units(amend.terms.quantity.units(), out));
        request.text("origClientOrderId", push_id);
        request.end_about(instrument, ts);
        Ok(())
    }

    /// The beginning of a request about an order that is there; clears `out` first.
    fn begin_about<'a>(&'a mut self, id: &str, method: &str, out: &'a mut Vec<u8>) -> Parameters<'a> {
        out.clear();
        out.extend_from_slice(b"{\"id\":\"");
        out.extend_from_slice(id.as_bytes());
        out.extend_from_slice(b"\",\"method\":\"");
        out.extend_from_slice(method.as_bytes());
        out.extend_from_slice(b"\",\"params\":{");
        let mut request = self.begin(out);
        request.api_key();
        request
    }

    fn begin<'a>(&'a mut self, out: &'a mut Vec<u8>) -> Parameters<'a> {
        let Self {
            orders,
            api_key,
            payload,
        } = self;
        payload.clear();
        Parameters {
            orders,
            api_key,
            payload,
            out,
        }
    }
}

impl EncodeOrders for RequestEncoder {
    /// As a signed `order.place`. The client order id goes out in its text form, one to one.
    fn encode_new_order(
        &mut self,
        order: &OrderRequest,
        instrument: &Instrument,
        ts: Timestamp,
        out: &mut Vec<u8>,
    ) -> Result<(), EncodeError> {
        check(order, instrument)?;
        out.clear();
        begin_order(order.client_order_id, out);
        let mut request = self.begin(out);
        request.api_key();
        request.text("newClientOrderId", |out| {
            push_client_order_id(order.client_order_id, out);
        });
        request.word("newOrderRespType", "FULL");
        if let Some(price) = order.price {
            request.text("price", |out| push_units(price.units(), out));
        }
        request.text("quantity", |out| push_units(order.quantity.units(), out));
        request.recv_window();
        let mode = request.orders.self_trade_prevention();
        request.word("selfTradePreventionMode", mode.as_str());
        request.word("side", side(order.side));
        request.symbol(instrument);
        if order.price.is_some() && !order.post_only {
            request.word("timeInForce", time_in_force(order.time_in_force));
        }
        request.timestamp(ts);
        request.word(
            "type",
            match (order.price, order.post_only) {
                (None, _) => "MARKET",
                (Some(_), true) => "LIMIT_MAKER",
                (Some(_), false) => "LIMIT",
            },
        );
        request.sign();
        Ok(())
    }
}

fn begin_order(id: ClientOrderId, out: &mut Vec<u8>) {
    out.extend_from_slice(b"{\"id\":\"");
    push_client_order_id(id, out);
    out.extend_from_slice(b"\",\"method\":\"order.place\",\"params\":{");
}

const fn side(side: Side) -> &'static str {
    match side {
        Side::Buy => "BUY",
        Side::Sell => "SELL",
    }
}

const fn time_in_force(time_in_force: TimeInForce) -> &'static str {
    match time_in_force {
        // The venue has no word for an end: the engine cancels then.
        TimeInForce::Gtc | TimeInForce::Gtd(_) => "GTC",
        TimeInForce::Ioc => "IOC",
        TimeInForce::Fok => "FOK",
    }
}

/// Parameters in the order of their names, written twice: as JSON, and as the text that is signed.
struct Parameters<'a> {
    orders: &'a OrderEncoder,
    api_key: &'a Secret,
    payload: &'a mut Vec<u8>,
    out: &'a mut Vec<u8>,
}

impl Parameters<'_> {
    fn api_key(&mut self) {
        let key = self.api_key.expose();
        self.word("apiKey", key);
    }

    fn recv_window(&mut self) {
        let window = self.orders.recv_window_ms();
        self.number("recvWindow", window);
    }

    fn timestamp(&mut self, ts: Timestamp) {
        let timestamp = self.orders.timestamp_ms(ts);
        self.number("timestamp", timestamp);
    }

    fn word(&mut self, name: &str, value: &str) {
        self.text(name, |out| out.extend_from_slice(value.as_bytes()));
    }

    /// A value that needs no escapes.
    fn text(&mut self, name: &str, write: impl FnOnce(&mut Vec<u8>)) {
        self.member(name, b"\"", write);
    }

    fn number(&mut self, name: &str, value: u64) {
        self.member(name, b"", |out| push_integer(value, out));
    }

    fn member(&mut self, name: &str, quote: &[u8], write: impl FnOnce(&mut Vec<u8>)) {
        if !self.payload.is_empty() {
            self.payload.push(b'&');
        }
        self.payload.extend_from_slice(name.as_bytes());
        self.payload.push(b'=');
        let from = self.payload.len();
        write(self.payload);
        self.out.push(b'"');
        self.out.extend_from_slice(name.as_bytes());
        self.out.extend_from_slice(b"\":");
        self.out.extend_from_slice(quote);
        self.out.extend_from_slice(&self.payload[from..]);
        self.out.extend_from_slice(quote);
        self.out.push(b',');
    }

    /// What follows the names of an order, and the signature.
    fn end_about(mut self, instrument: &Instrument, ts: Timestamp) {
        self.recv_window();
        self.symbol(instrument);
        self.timestamp(ts);
        self.sign();
    }

    fn symbol(&mut self, instrument: &Instrument) {
        self.word("symbol", instrument.symbol.as_str());
    }

    fn sign(self) {
        self.out.extend_from_slice(b"\"signature\":\"");
        let signature = self.orders.signer().signature(self.payload);
        self.out.extend_from_slice(signature.as_bytes());
        self.out.extend_from_slice(b"\"}}");
    }
}

#[cfg(test)]
mod tests {
    use domain::{Epoch, InstrumentId, OrderTerms, OrderType, Price, Quantity, SlotId};
    use proptest::prelude::*;
    use serde_json::Value;

    use super::super::settings::{Endpoints, Settings};
    use super::super::sign::Signer;
    use super::*;
    use crate::sample::instrument;
    use crate::trading::NEW_ORDER_BYTES_MAX;

    fn secret(text: &str) -> Secret {
        Secret::new(text.to_owned()).unwrap()
    }

    /// An encoder with the longest key there is, and what checks its signatures.
    fn encoder() -> (RequestEncoder, Signer) {
        let signer = Signer::new(&secret("a-secret")).unwrap();
        let orders = OrderEncoder::new(signer.clone(), &Settings::new(Endpoints::production()));
        let key = secret(&"k".repeat(API_KEY_BYTES_MAX));
        (RequestEncoder::new(orders, key).unwrap(), signer)
    }

    fn order(units: i64, id: ClientOrderId) -> OrderRequest {
        OrderRequest {
            client_order_id: id,
            instrument: InstrumentId(0),
            side: Side::Sell,
            order_type: OrderType::Limit,
            price: Some(Price::from_units(units)),
            quantity: Quantity::from_units(units),
            time_in_force: TimeInForce::Ioc,
            post_only: false,
            reduce_only: false,
        }
    }

    /// The parameters, and whether the signature is that of all others by name.
    fn read(request: &[u8], signer: &Signer) -> (Value, bool) {
        let request: Value = serde_json::from_slice(request).unwrap();
        let params = request["params"].as_object().unwrap();
        let mut pairs: Vec<_> = params.iter().filter(|(name, _)| *name != "signature").collect();
        pairs.sort_by_key(|(name, _)| *name);
        let text = |value: &Value| value.as_str().map_or_else(|| value.to_string(), str::to_owned);
        let pairs = pairs
            .iter()
            .map(|(name, value)| format!("{name}={}", text(value)));
        let payload = pairs.collect::<Vec<_>>().join("&");
        let signature = signer.signature(payload.as_bytes());
        let is_signed = params["signature"] == signature.as_str();
        (request, is_signed)
    }

    proptest! {
        #[test]
        fn every_order_is_signed_by_the_names_of_its_parameters_within_its_buffer(
            units in 1i64.., epoch: u32, slot: u16, counter: u32, is_market: bool, post_only: bool,
        ) {
            let id = ClientOrderId { epoch: Epoch(epoch), slot: SlotId(slot), counter };
            let mut request = order(units, id);
            if is_market {
                (request.order_type, request.price) = (OrderType::Market, None);
            } else if post_only {
                (request.time_in_force, request.post_only) = (TimeInForce::Gtc, true);
            }
            let (mut encoder, signer) = encoder();
            let mut out = Vec::with_capacity(NEW_ORDER_BYTES_MAX);
            let start = out.as_ptr();
            let ts = Timestamp::from_millis(1_723_161_255_208);
            encoder.encode_new_order(&request, &instrument(0, "BTCUSDT"), ts, &mut out).unwrap();
            prop_assert_eq!(start, out.as_ptr(), "it grew");
            let (read, is_signed) = read(&out, &signer);
            prop_assert!(is_signed, "{}", read);
            prop_assert_eq!(read["id"].as_str().unwrap(), id.to_string());
            prop_assert_eq!(read["params"]["selfTradePreventionMode"].as_str(), Some("EXPIRE_TAKER"));
            prop_assert_eq!(read["params"].get("price").is_some(), !is_market);
            prop_assert_eq!(read["params"].get("timeInForce").is_some(), !is_market && !post_only);
        }
    }

    #[test]
    fn a_cancel_names_its_order_and_its_own_instrument_only() {
        let (mut encoder, signer) = encoder();
        let cancel = CancelRequest {
            client_order_id: ClientOrderId {
                epoch: Epoch(3),
                slot: SlotId(1),
                counter: 42,
            },
            instrument: InstrumentId(0),
        };
        let mut out = Vec::new();
        let ts = Timestamp::from_millis(5);
        let mut encode = |instrument| encoder.encode_cancel("cancel-7", &cancel, &instrument, ts, &mut out);
        assert_eq!(encode(instrument(1, "ETHUSDT")), Err(EncodeError::Instrument));
        encode(instrument(0, "BTCUSDT")).unwrap();
        let (read, is_signed) = read(&out, &signer);
        assert!(is_signed, "{read}");
        assert_eq!(
            (&read["id"], &read["method"], &read["params"]["origClientOrderId"]),
            (&"cancel-7".into(), &"order.cancel".into(), &"e3-s1-42".into())
        );
    }

    #[test]
    fn a_change_keeps_the_name_of_its_order_and_is_signed() {
        let (mut encoder, signer) = encoder();
        let amend = AmendRequest {
            client_order_id: ClientOrderId {
                epoch: Epoch(3),
                slot: SlotId(1),
                counter: 42,
            },
            instrument: InstrumentId(0),
            terms: OrderTerms {
                price: Price::from_units(1),
                quantity: Quantity::from_units(25_000_000),
            },
        };
        let mut out = Vec::new();
        let ts = Timestamp::from_millis(5);
        let mut encode = |instrument| encoder.encode_amend("change-7", &amend, &instrument, ts, &mut out);
        assert_eq!(encode(instrument(1, "ETHUSDT")), Err(EncodeError::Instrument));
        encode(instrument(0, "BTCUSDT")).unwrap();
        let (read, is_signed) = read(&out, &signer);
        assert!(is_signed, "{read}");
        assert_eq!(read["method"], "order.amend.keepPriority");
        for (name, value) in [
            ("origClientOrderId", "e3-s1-42"),
            ("newClientOrderId", "e3-s1-42"),
            ("newQty", "0.25"),
        ] {
            assert_eq!(read["params"][name], value);
        }
    }

    #[test]
    fn a_key_that_would_need_escapes_is_refused() {
        let orders = encoder().0.orders;
        for key in ["a\"b", "a\\b", &"k".repeat(API_KEY_BYTES_MAX + 1)] {
            let error = RequestEncoder::new(orders.clone(), secret(key)).unwrap_err();
            assert!(!error.to_string().contains(key), "{error}");
        }
    }
}

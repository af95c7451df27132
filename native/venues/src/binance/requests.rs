//! Requests of the WebSocket API as bytes: parameters by name, signed, as JSON.

use domain::{CancelRequest, ClientOrderId, Instrument, OrderRequest, Side, TimeInForce, Timestamp};

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
#[derive(Debug, Clone)]
pub(super) struct RequestEncoder {
    orders: OrderEncoder,
    api_key: Secret,
    payload: Vec<u8>,
}

impl RequestEncoder {
    /// For one session.
    ///
    /// # Errors
    /// [`VenueError::Setting`] for a key that the venue cannot have given.
    pub(super) fn new(orders: OrderEncoder, api_key: Secret) -> Result<Self, VenueError> {
        let text = api_key.expose();
        if text.len() > API_KEY_BYTES_MAX
            || !text
                .bytes()
                .all(|byte| byte.is_ascii_alphanumeric() || byte == b'-')
        {
            return Err(VenueError::Setting {
                setting: "api_key",
                problem: format!("a key is at most {API_KEY_BYTES_MAX} letters, digits and hyphens"),
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
        out.clear();
        out.extend_from_slice(b"{\"id\":\"");
        out.extend_from_slice(id.as_bytes());
        out.extend_from_slice(b"\",\"method\":\"order.cancel\",\"params\":{");
        let mut request = self.begin(out);
        request.api_key();
        request.text("origClientOrderId", |out| {
            push_client_order_id(cancel.client_order_id, out);
        });
        request.recv_window();
        request.text("symbol", |out| {
            out.extend_from_slice(instrument.symbol.as_str().as_bytes());
        });
        request.timestamp(ts);
        request.sign();
        Ok(())
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
        if let Some(mode) = request.orders.self_trade_prevention() {
            request.word("selfTradePreventionMode", mode.as_str());
        }
        request.word("side", side(order.side));
        request.text("symbol", |out| {
            out.extend_from_slice(instrument.symbol.as_str().as_bytes());
        });
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
        TimeInForce::Gtc => "GTC",
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

    fn sign(self) {
        self.out.extend_from_slice(b"\"signature\":\"");
        let signature = self.orders.signer().signature(self.payload);
        self.out.extend_from_slice(signature.as_bytes());
        self.out.extend_from_slice(b"\"}}");
    }
}

//! A session with Coinbase against a venue of the test's own.

use std::sync::Arc;
use std::time::Duration;

use base64::Engine;
use base64::engine::general_purpose::URL_SAFE_NO_PAD;
use domain::{
    CancelRequest, ClientOrderId, Currency, Epoch, Instrument, InstrumentId, InstrumentRules,
    InstrumentStatus, Money, OrderRequest, OrderType, Price, Quantity, Side, SlotId, Text, TimeInForce,
    Venue,
};
use p256::ecdsa::signature::Verifier;
use p256::pkcs8::LineEnding;
use serde_json::Value;
use venues::clock::ServerClock;
use venues::coinbase::{Credentials, Endpoints, RestClient, Settings};
use venues::{Instruments, Secret};

use super::{Http, Request, Sockets};

pub(crate) const KEY_NAME: &str = "organizations/0f/apiKeys/1e";
pub(crate) const BTC: InstrumentId = InstrumentId(0);

fn key() -> p256::SecretKey {
    p256::SecretKey::from_slice(&[7; 32]).unwrap()
}

/// The key in the venue's form.
pub(crate) fn private_key() -> String {
    key().to_sec1_pem(LineEnding::LF).unwrap().to_string()
}

pub(crate) fn credentials() -> Credentials {
    let name = Secret::new(KEY_NAME.to_owned()).unwrap();
    Credentials::new(name, Secret::pem(private_key()).unwrap())
}

/// The claims of a token whose signature is that of the tests' key.
pub(crate) fn claims(token: &str) -> Value {
    let (signed, signature) = token.rsplit_once('.').unwrap();
    let signature = URL_SAFE_NO_PAD.decode(signature).unwrap();
    let signature = p256::ecdsa::Signature::from_slice(&signature).unwrap();
    let key: p256::ecdsa::SigningKey = key().into();
    key.verifying_key().verify(signed.as_bytes(), &signature).unwrap();
    let (_, claims) = signed.split_once('.').unwrap();
    serde_json::from_slice(&URL_SAFE_NO_PAD.decode(claims).unwrap()).unwrap()
}

/// The claims of the token that a request bears.
pub(crate) fn request_claims(request: &Request) -> Value {
    claims(bearer(request))
}

pub(crate) fn bearer(request: &Request) -> &str {
    let line = request
        .headers
        .lines()
        .find_map(|line| line.strip_prefix("authorization: Bearer "));
    line.unwrap()
}

pub(crate) fn settings(http: &Http) -> Settings {
    let mut settings = Settings::new(Endpoints::loopback(http.address.port()));
    settings.request_timeout = Duration::from_millis(500);
    settings.connect_timeout = Duration::from_millis(400);
    settings
}

/// The same, with the streams elsewhere.
pub(crate) fn with_streams(http: &Http, sockets: &Sockets) -> Settings {
    let mut settings = settings(http);
    settings.endpoints.market = sockets.url();
    settings.endpoints.user = sockets.url();
    // What is said first leaves at the pace that connections keep.
    settings.connect_timeout = Duration::from_secs(4);
    settings.request_timeout = Duration::from_secs(5);
    settings
}

pub(crate) fn client(settings: Settings) -> Arc<RestClient> {
    let clock = Arc::new(ServerClock::local());
    Arc::new(RestClient::new(settings, Some(&credentials()), clock).unwrap())
}

pub(crate) fn instruments() -> Arc<Instruments> {
    let quote = Currency::new("USD").unwrap();
    let btc = Instrument {
        id: BTC,
        venue: Venue::Coinbase,
        symbol: Text::new("BTC-USD").unwrap(),
        base: Currency::new("BTC").unwrap(),
        quote,
        rules: InstrumentRules {
            tick_size: Price::from_units(1_000_000),
            lot_size: Quantity::from_units(1),
            min_price: Price::ZERO,
            max_price: Price::ZERO,
            min_quantity: Quantity::ZERO,
            max_quantity: Quantity::ZERO,
            min_notional: Money::zero(quote),
        },
        status: InstrumentStatus::Trading,
    };
    Arc::new(Instruments::new(vec![btc]).unwrap())
}

pub(crate) fn id(counter: u32) -> ClientOrderId {
    ClientOrderId {
        epoch: Epoch(3),
        slot: SlotId(1),
        counter,
    }
}

pub(crate) fn order() -> OrderRequest {
    OrderRequest {
        client_order_id: id(42),
        instrument: BTC,
        side: Side::Buy,
        order_type: OrderType::Limit,
        price: Some(Price::parse(b"61837.63").unwrap()),
        quantity: Quantity::parse(b"0.5").unwrap(),
        time_in_force: TimeInForce::Gtc,
        post_only: false,
        reduce_only: false,
    }
}

pub(crate) const fn cancel(client_order_id: ClientOrderId) -> CancelRequest {
    CancelRequest {
        client_order_id,
        instrument: BTC,
    }
}

/// The answer to an order that was taken.
pub(crate) fn placed(client_order_id: &str) -> String {
    format!(
        r#"{{"success":true,"success_response":{{"order_id":"v-{client_order_id}","product_id":"BTC-USD","side":"BUY","client_order_id":"{client_order_id}"}}}}"#
    )
}

/// An order as the venue lists it.
pub(crate) fn listed(client_order_id: &str, status: &str, filled: &str) -> String {
    format!(
        r#"{{"order_id":"v-{client_order_id}","product_id":"BTC-USD","order_configuration":{{"limit_limit_gtc":{{"base_size":"0.5","limit_price":"61837.63","post_only":false}}}},"side":"BUY","client_order_id":"{client_order_id}","status":"{status}","created_time":"2026-08-09T21:05:48Z","filled_size":"{filled}","last_fill_time":null}}"#
    )
}

pub(crate) fn order_list(orders: &[String], next: Option<&str>) -> String {
    format!(
        r#"{{"orders":[{}],"has_next":{},"cursor":"{}"}}"#,
        orders.join(","),
        next.is_some(),
        next.unwrap_or_default()
    )
}

/// An execution as the venue lists it.
pub(crate) fn fill(client_order_id: &str, number: u64, size: &str) -> String {
    format!(
        r#"{{"trade_id":"{number}","order_id":"v-{client_order_id}","trade_time":"2026-08-09T21:05:49Z","trade_type":"FILL","price":"61837","size":"{size}","commission":"0.01","product_id":"BTC-USD","liquidity_indicator":"TAKER","size_in_quote":false,"side":"BUY"}}"#
    )
}

pub(crate) fn fill_list(fills: &[String]) -> String {
    format!(r#"{{"fills":[{}],"cursor":""}}"#, fills.join(","))
}

use proptest::prelude::*;

use super::*;
use crate::entries::{Entry, entries};

const PRODUCT: &str = r#"{"products":[{"product_id":"BTC-USD","price":"68925.98","base_increment":"0.00000001","quote_increment":"0.01","quote_min_size":"1","quote_max_size":"150000000","base_min_size":"0.00000001","base_max_size":"3400","is_disabled":false,"status":"online","cancel_only":false,"limit_only":false,"post_only":false,"trading_disabled":false,"auction_mode":false,"product_type":"SPOT","quote_currency_id":"USD","base_currency_id":"BTC","view_only":false,"price_increment":"0.01"}]}"#;

fn product(change: impl Fn(String) -> String) -> Result<Instrument, VenueError> {
    let mut instruments = Vec::new();
    products(
        change(PRODUCT.to_owned()).as_bytes(),
        &["BTC-USD"],
        &mut instruments,
    )?;
    Ok(instruments[0])
}

fn replaced(from: &str, to: &str) -> Result<Instrument, VenueError> {
    assert!(PRODUCT.contains(from), "{from}");
    product(|body| body.replace(from, to))
}

#[test]
fn reads_the_rules_of_a_product() {
    let instrument = product(|body| body).unwrap();
    assert_eq!(instrument.venue, Venue::Coinbase);
    assert_eq!(instrument.rules.tick_size, Price::parse(b"0.01").unwrap());
    assert_eq!(instrument.rules.lot_size, Quantity::from_units(1));
    assert_eq!(instrument.rules.max_quantity, Quantity::parse(b"3400").unwrap());
    assert_eq!(instrument.rules.min_notional.to_string(), "1 USD");
    assert_eq!(instrument.status, InstrumentStatus::Trading);
    assert_eq!(
        (instrument.base.as_str(), instrument.quote.as_str()),
        ("BTC", "USD")
    );
}

#[test]
fn whatever_limits_orders_makes_it_not_tradable() {
    let status = |from: &str, to: &str| replaced(from, to).unwrap().status;
    for flag in ["cancel_only", "limit_only", "post_only", "auction_mode"] {
        let (from, to) = (format!("\"{flag}\":false"), format!("\"{flag}\":true"));
        assert_eq!(status(&from, &to), InstrumentStatus::CancelOnly, "{flag}");
    }
    for flag in ["trading_disabled", "is_disabled", "view_only"] {
        let (from, to) = (format!("\"{flag}\":false"), format!("\"{flag}\":true"));
        assert_eq!(status(&from, &to), InstrumentStatus::Halted, "{flag}");
    }
    assert_eq!(status("\"online\"", "\"delisted\""), InstrumentStatus::Halted);
    assert_eq!(status("\"online\"", "\"a_new_word\""), InstrumentStatus::Unknown);
    assert_eq!(status("\"SPOT\"", "\"FUTURE\""), InstrumentStatus::Unknown);
}

#[test]
fn a_missing_rule_is_an_error_and_long_bounds_are_rounded_to_the_safe_side() {
    assert!(replaced("\"trading_disabled\":false,", "").is_err());
    assert!(replaced("\"base_increment\":\"0.00000001\"", "\"base_increment\":\"0\"").is_err());
    assert!(
        replaced(
            "\"price_increment\":\"0.01\"",
            "\"price_increment\":\"0.000000001\""
        )
        .is_err()
    );
    let older = replaced(",\"price_increment\":\"0.01\"", "").unwrap();
    assert_eq!(older.rules.tick_size, Price::parse(b"0.01").unwrap());
    let long = replaced(
        "\"base_min_size\":\"0.00000001\"",
        "\"base_min_size\":\"26.7187147229469674\"",
    )
    .unwrap();
    assert_eq!(long.rules.min_quantity, Quantity::parse(b"26.71871473").unwrap());
    let unbounded = replaced("\"3400\"", "\"900000000000000\"").unwrap();
    assert_eq!(unbounded.rules.max_quantity, Quantity::ZERO);
    let unknown = products(br#"{"products":[]}"#, &["BTC-USD"], &mut Vec::new()).unwrap_err();
    assert!(matches!(unknown, VenueError::UnknownSymbol { symbol } if symbol == "BTC-USD"));
}

#[test]
fn reads_the_recorded_answer() {
    let recorded = entries("ws_coinbase_advanced_20260809", "COINBASE_first12s.jsonl.zst");
    let Some(Entry::Answer { body, .. }) = recorded.and_then(|all| all.into_iter().next()) else {
        return;
    };
    let mut instruments = Vec::new();
    products(&body, &["ETH-USD", "BTC-USDC"], &mut instruments).unwrap();
    let [eth, btc] = instruments[..] else {
        panic!("two instruments")
    };
    assert_eq!((eth.id, btc.id), (InstrumentId(0), InstrumentId(1)));
    assert_eq!(btc.quote.as_str(), "USDC");
    assert_eq!(eth.rules.tick_size, Price::parse(b"0.01").unwrap());
    assert_eq!(eth.status, InstrumentStatus::Trading);
    assert_eq!(btc.rules.max_quantity, Quantity::parse(b"3400").unwrap());
}

#[test]
fn reads_bars_newest_first_and_refuses_contradictions() {
    let span = Nanos::from_secs(60);
    let row = |start: i64| {
        format!(
            r#"{{"start":"{start}","low":"17414.36","high":"17417.99","open":"17417.74","close":"17417.38","volume":"1.87780853"}}"#
        )
    };
    let read = |rows: &[String]| {
        let body = format!(r#"{{"candles":[{}]}}"#, rows.join(","));
        bars(body.as_bytes(), InstrumentId(0), span)
    };
    let [first, second] = read(&[row(1_673_391_780), row(1_673_391_720)]).unwrap()[..] else {
        panic!("two bars")
    };
    assert_eq!(second.ts_open.since(first.ts_open), span);
    assert_eq!(first.high, Price::parse(b"17417.99").unwrap());
    assert!(read(&[row(1_673_391_720), row(1_673_391_780)]).is_err(), "rising");
    assert!(read(&[row(1_673_391_720), row(1_673_391_720)]).is_err(), "twice");
    assert!(read(&[row(1_673_391_721)]).is_err(), "off the grid");
    assert!(
        read(&[row(1_673_391_720).replace("17417.99", "17415")]).is_err(),
        "high below close"
    );
    assert!(read(&[row(i64::MAX)]).is_err());
    assert_eq!(granularity(Nanos::from_secs(900)), Some("FIFTEEN_MINUTE"));
    assert_eq!(granularity(Nanos::from_secs(180)), None);
}

#[test]
fn reads_the_time() {
    let time = server_time(
        br#"{"iso":"2023-11-14T22:13:20Z","epochSeconds":"1700000000","epochMillis":"1700000000123"}"#,
    );
    assert_eq!(time.unwrap(), Timestamp::from_millis(1_700_000_000_123));
    for text in ["-1", "x", "99999999999999999", ""] {
        assert!(
            server_time(format!(r#"{{"epochMillis":"{text}"}}"#).as_bytes()).is_err(),
            "{text}"
        );
    }
}

proptest! {
    #[test]
    fn nothing_panics(at in 0usize..PRODUCT.len(), byte: u8, tail in prop::collection::vec(any::<u8>(), 0..40)) {
        let mut body = PRODUCT.as_bytes().to_vec();
        body[at] = byte;
        let _ = products(&body, &["BTC-USD"], &mut Vec::new());
        body.truncate(at);
        body.extend(tail);
        let _ = products(&body, &["BTC-USD"], &mut Vec::new());
        let _ = bars(&body, InstrumentId(0), Nanos::from_secs(60));
        let _ = server_time(&body);
    }
}

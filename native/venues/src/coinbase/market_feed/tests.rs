use domain::Venue;
use serde_json::Value;

use super::super::settings::{Endpoints, Settings};
use super::super::sign::tests::{credentials, ec_pem};
use super::*;
use crate::clock::ServerClock;
use crate::sample::product;

fn streams(symbols: &[&str], has_key: bool) -> Result<MarketStreams, VenueError> {
    let listed = symbols.iter().enumerate();
    let listed = listed.map(|(id, symbol)| product(Venue::Coinbase, u16::try_from(id).unwrap(), symbol));
    let keys = has_key.then(|| credentials(&ec_pem()));
    let settings = Settings::new(Endpoints::production());
    let rest = RestClient::new(settings, keys.as_ref(), Arc::new(ServerClock::local()))?;
    MarketStreams::new(&Arc::new(rest), &Arc::new(Instruments::new(listed.collect())?))
}

fn hello(streams: &mut MarketStreams) -> Vec<Value> {
    let texts = streams.hello().unwrap();
    texts
        .iter()
        .map(|text| serde_json::from_str(text).unwrap())
        .collect()
}

#[test]
fn subscribes_heartbeats_first_and_each_channel_with_a_token_of_its_own() {
    let mut streams = streams(&["BTC-USD", "ETH-USD"], true).unwrap();
    let said = hello(&mut streams);
    let channels: Vec<_> = said
        .iter()
        .map(|text| text["channel"].as_str().unwrap())
        .collect();
    assert_eq!(
        channels,
        ["heartbeats", "level2", "market_trades", "ticker", "status"]
    );
    assert!(said[0].get("product_ids").is_none());
    assert_eq!(said[1]["product_ids"], serde_json::json!(["BTC-USD", "ETH-USD"]));
    let tokens: std::collections::BTreeSet<_> =
        said.iter().map(|text| text["jwt"].as_str().unwrap()).collect();
    assert_eq!(tokens.len(), 5);
    let again = streams.resync(InstrumentId(1)).unwrap();
    let again: Vec<Value> = again
        .iter()
        .map(|text| serde_json::from_str(text).unwrap())
        .collect();
    assert_eq!(
        (&again[0]["type"], &again[1]["type"]),
        (&"unsubscribe".into(), &"subscribe".into())
    );
    assert_eq!(again[1]["product_ids"], serde_json::json!(["ETH-USD"]));
}

#[test]
fn without_a_key_no_token_is_sent() {
    let mut streams = streams(&["BTC-USD"], false).unwrap();
    assert!(hello(&mut streams).iter().all(|text| text.get("jwt").is_none()));
}

#[test]
fn a_market_that_shares_a_book_is_refused_by_its_other_name() {
    assert!(streams(&["BTC-USDC"], false).is_err());
    assert!(streams(&["USDT-USDC"], false).is_ok());
    assert!(streams(&[], false).is_err());
}

#[test]
fn is_up_at_the_first_confirmation_and_given_up_without_heartbeats() {
    let mut streams = streams(&["BTC-USD"], false).unwrap();
    hello(&mut streams);
    let trades = br#"{"channel":"market_trades","timestamp":"x"}"#;
    let confirmed = br#"{"channel":"subscriptions","timestamp":"x"}"#;
    let refused = br#"{"type":"error","message":"authentication failure"}"#;
    assert!(matches!(streams.judge(refused), Judgement::Refused(words) if words.contains("authentication")));
    assert_eq!(streams.judge(trades), Judgement::Deliver);
    assert_eq!(streams.judge(confirmed), Judgement::Ready);
    assert_eq!(streams.judge(confirmed), Judgement::Deliver);
    assert_eq!(streams.judge(refused), Judgement::Ended);
    streams.heartbeats.timeout = Duration::ZERO;
    assert_eq!(streams.judge(trades), Judgement::Stalled);
    assert_eq!(streams.judge(&vec![b' '; 1 << 20]), Judgement::Stalled);
}

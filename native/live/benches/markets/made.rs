//! A small stream in each venue's words: ten levels a side, of which one changes with every message.

use domain::Venue;

/// Changes of a made stream.
const CHANGES: usize = 500;
const LEVELS: usize = 10;

/// What comes over the wire.
pub(crate) enum Body {
    /// REST's answer with a book.
    Answer(Vec<u8>),
    /// A message of the stream.
    Frame(Vec<u8>),
}

/// Price and quantity as the venue writes them: bids, asks, the best first.
type Sides = [Vec<(String, String)>; 2];

fn opening() -> Sides {
    let level = |price: usize| (format!("{price}.00000"), "1.00000000".to_owned());
    [
        (0..LEVELS).map(|far| level(61_799 - far)).collect(),
        (0..LEVELS).map(|far| level(61_800 + far)).collect(),
    ]
}

/// The symbol, and what is told of it.
pub(crate) fn stream(venue: Venue) -> (&'static str, Vec<Body>) {
    let mut book = opening();
    let (symbol, mut bodies) = match venue {
        Venue::Binance => ("BTCUSDT", vec![Body::Answer(binance_book(&book))]),
        Venue::Coinbase => ("BTC-USD", vec![Body::Frame(coinbase("snapshot", 0, &book))]),
        _ => ("XBT/USD", vec![Body::Frame(kraken_book(&book))]),
    };
    for number in 1..=CHANGES {
        let (side, far) = (number % 2, number / 2 % LEVELS);
        book[side][far].1 = format!("{}.{:08}", 1 + number % 9, number);
        let mut change: Sides = [Vec::new(), Vec::new()];
        change[side].push(book[side][far].clone());
        bodies.push(Body::Frame(match venue {
            Venue::Binance => binance_change(number, &change),
            Venue::Coinbase => coinbase("update", number, &change),
            _ => kraken_change(side, &change[side], &book),
        }));
    }
    (symbol, bodies)
}

fn pairs(levels: &[(String, String)], after: &str) -> String {
    let pair = |(price, quantity): &(String, String)| format!(r#"["{price}","{quantity}"{after}]"#);
    levels.iter().map(pair).collect::<Vec<_>>().join(",")
}

fn binance_book([bids, asks]: &Sides) -> Vec<u8> {
    let (bids, asks) = (pairs(bids, ""), pairs(asks, ""));
    format!(r#"{{"lastUpdateId":0,"bids":[{bids}],"asks":[{asks}]}}"#).into_bytes()
}

fn binance_change(number: usize, [bids, asks]: &Sides) -> Vec<u8> {
    let (bids, asks) = (pairs(bids, ""), pairs(asks, ""));
    format!(
        r#"{{"stream":"btcusdt@depth@100ms","data":{{"e":"depthUpdate","E":1723161255208,"s":"BTCUSDT","U":{number},"u":{number},"b":[{bids}],"a":[{asks}]}}}}"#
    )
    .into_bytes()
}

fn coinbase(kind: &str, number: usize, sides: &Sides) -> Vec<u8> {
    const TIME: &str = "2026-08-09T21:05:48.026294Z";
    let update = |side: &'static str| {
        move |(price, quantity): &(String, String)| {
            format!(
                r#"{{"side":"{side}","event_time":"{TIME}","price_level":"{price}","new_quantity":"{quantity}"}}"#
            )
        }
    };
    let bids = sides[0].iter().map(update("bid"));
    let updates = bids
        .chain(sides[1].iter().map(update("offer")))
        .collect::<Vec<_>>();
    format!(
        r#"{{"channel":"l2_data","timestamp":"{TIME}","sequence_num":{number},"events":[{{"type":"{kind}","product_id":"BTC-USD","updates":[{}]}}]}}"#,
        updates.join(",")
    )
    .into_bytes()
}

const KRAKEN_TIME: &str = r#","1617666423.230040""#;

fn kraken_book([bids, asks]: &Sides) -> Vec<u8> {
    let (bids, asks) = (pairs(bids, KRAKEN_TIME), pairs(asks, KRAKEN_TIME));
    format!(r#"[1,{{"as":[{asks}],"bs":[{bids}]}},"book-10","XBT/USD"]"#).into_bytes()
}

fn kraken_change(side: usize, change: &[(String, String)], [bids, asks]: &Sides) -> Vec<u8> {
    let digits = |text: &str| text.replace('.', "").trim_start_matches('0').to_owned();
    let of = |(price, quantity): &(String, String)| digits(price) + &digits(quantity);
    let summed: String = asks.iter().chain(bids).map(of).collect();
    let (key, levels) = (["b", "a"][side], pairs(change, KRAKEN_TIME));
    let sum = crc32fast::hash(summed.as_bytes());
    format!(r#"[1,{{"{key}":[{levels}],"c":"{sum}"}},"book-10","XBT/USD"]"#).into_bytes()
}

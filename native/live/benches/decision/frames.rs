//! Frames to decide on: the recorded stream, or one that the simulation makes in the venue's words.

use std::fmt::Write;

use domain::{
    Bar, BookUpdateKind, Currency, Instrument, InstrumentId, InstrumentRules, InstrumentStatus, Level,
    MarketEvent, Money, Nanos, Price, Quantity, Side, Text, Timestamp, Venue as Name,
};
use simulation::{
    FeeSchedule, FeedConfig, FlowConfig, LatencyModel, SimulatedVenue, Venue, VenueConfig, VenueEventBody,
};

use crate::recording;

pub(crate) const BTC: InstrumentId = InstrumentId(0);

/// Bars are this short so that ten minutes hold hundreds of them; what a closed bar sets off does not depend on it.
pub(crate) const BAR: Nanos = Nanos::from_secs(1);

/// Bars of the made stream.
const MADE_BARS: i64 = 600;

/// One message as it arrived.
pub(crate) struct Frame {
    pub(crate) received: Timestamp,
    pub(crate) bytes: Vec<u8>,
    /// The answer of REST `depth`, not a message of the stream.
    pub(crate) is_snapshot: bool,
}

/// Messages in order of arrival.
pub(crate) struct Session {
    pub(crate) name: &'static str,
    pub(crate) frames: Vec<Frame>,
}

impl Session {
    /// The recording, or why it is absent and a made stream stands in.
    pub(crate) fn find(wants_recording: bool) -> (Self, Option<String>) {
        if !wants_recording {
            return (made(), None);
        }
        match recording::lines() {
            Ok(lines) => (recorded(lines), None),
            Err(absent) => (made(), Some(absent)),
        }
    }
}

fn recorded(lines: Vec<recording::Line>) -> Session {
    let frame = |(received, bytes): recording::Line| Frame {
        received: Timestamp::from_nanos(received),
        is_snapshot: !bytes.starts_with(br#"{"stream""#),
        bytes,
    };
    Session {
        name: "recorded, Binance spot BTCUSDT, 650 s",
        frames: lines.into_iter().map(frame).collect(),
    }
}

pub(crate) fn instrument() -> Instrument {
    let quote = Currency::new("USDT").expect("a code");
    Instrument {
        id: BTC,
        venue: Name::Binance,
        symbol: Text::new("BTCUSDT").expect("a symbol"),
        base: Currency::new("BTC").expect("a code"),
        quote,
        rules: InstrumentRules {
            tick_size: Price::from_units(1_000_000),
            lot_size: Quantity::from_units(1_000),
            min_price: Price::from_units(1_000_000),
            max_price: Price::from_units(100_000_000_000_000),
            min_quantity: Quantity::from_units(1_000),
            max_quantity: Quantity::from_units(900_000_000_000),
            min_notional: Money::from_decimal_units(500_000_000, quote),
        },
        status: InstrumentStatus::Trading,
    }
}

/// Bars before the first frame, so that every feature is warm: a walk that ends near the frames' prices.
pub(crate) fn history(until: Timestamp, count: i64) -> Vec<Bar> {
    let close = |number: i64| {
        6_180_000_000_000 + number * 7_919 % 1_009 * 900_000 - number * 104_729 % 1_013 * 900_000
    };
    (-count..0)
        .map(|number| {
            let (open, close) = (close(number - 1), close(number));
            Bar {
                instrument: BTC,
                ts_open: until.plus(Nanos(number * BAR.0)),
                span: BAR,
                open: Price::from_units(open),
                high: Price::from_units(open.max(close)),
                low: Price::from_units(open.min(close)),
                close: Price::from_units(close),
                volume: Quantity::from_units(50_000_000 - number * 7_919 % 40_000_000),
            }
        })
        .collect()
}

/// A market over bars that wander, told in the venue's messages.
fn made() -> Session {
    let close = |number: i64| {
        (61_800_000_000 + number * 7_919 % 1_009 * 9_000 - number * 104_729 % 1_013 * 9_000) / 10_000
    };
    let price = |cents: i64| Price::from_units(cents * 1_000_000);
    let bar = |number: i64| {
        let (open, close) = (close(number - 1), close(number));
        Bar {
            instrument: BTC,
            ts_open: Timestamp::from_nanos((1_700_000_000 + number) * BAR.0),
            span: BAR,
            open: price(open),
            high: price(open.max(close) + 3),
            low: price(open.min(close) - 3),
            close: price(close),
            volume: Quantity::from_units((90_000 + number * 104_729 % 50_000) * 1_000),
        }
    };
    let config = VenueConfig {
        instrument: instrument(),
        flow: FlowConfig::with_seed(1),
        latency: LatencyModel::ZERO,
        fees: FeeSchedule::FREE,
        feed: FeedConfig {
            depth_interval: Nanos::from_millis(100),
            ..FeedConfig::FULL
        },
    };
    let mut venue = SimulatedVenue::new(config, (1..=MADE_BARS).map(bar).collect()).expect("a market");
    let mut frames = Vec::new();
    let mut last_update = 0;
    while let Some(event) = venue.next_event(Timestamp::from_nanos(i64::MAX)) {
        let VenueEventBody::Market(market) = event.body else {
            continue;
        };
        let Some((text, is_snapshot)) = told(&market, &mut last_update) else {
            continue;
        };
        frames.push(Frame {
            received: event.ts_received,
            bytes: text.into_bytes(),
            is_snapshot,
        });
    }
    Session {
        name: "made by the simulation",
        frames,
    }
}

/// The venue's message about it, and whether it is the snapshot.
fn told(event: &MarketEvent<'_>, last_update: &mut u64) -> Option<(String, bool)> {
    match event {
        MarketEvent::Book(update) => {
            let (bids, asks) = (list(update.bids), list(update.asks));
            let (first, last) = (*last_update + 1, update.update_id);
            *last_update = last;
            Some(match update.kind {
                BookUpdateKind::Snapshot => (
                    format!(r#"{{"lastUpdateId":{last},"bids":{bids},"asks":{asks}}}"#),
                    true,
                ),
                BookUpdateKind::Delta => {
                    let ms = update.ts_event.millis();
                    let text = format!(
                        r#"{{"stream":"btcusdt@depth@100ms","data":{{"e":"depthUpdate","E":{ms},"s":"BTCUSDT","U":{first},"u":{last},"b":{bids},"a":{asks}}}}}"#
                    );
                    (text, false)
                }
            })
        }
        MarketEvent::Trade(trade) => {
            let (ms, id) = (trade.ts_event.millis(), trade.trade_id.0);
            let (price, quantity, is_maker) = (trade.price, trade.quantity, trade.aggressor == Side::Sell);
            let text = format!(
                r#"{{"stream":"btcusdt@trade","data":{{"e":"trade","E":{ms},"s":"BTCUSDT","t":{id},"p":"{price}","q":"{quantity}","T":{ms},"m":{is_maker},"M":true}}}}"#
            );
            Some((text, false))
        }
        MarketEvent::Quote(quote) => {
            let (id, bid, ask) = (quote.update_id, quote.bid, quote.ask);
            let (bids, asks) = (quote.bid_quantity, quote.ask_quantity);
            let text = format!(
                r#"{{"stream":"btcusdt@bookTicker","data":{{"u":{id},"s":"BTCUSDT","b":"{bid}","B":"{bids}","a":"{ask}","A":"{asks}"}}}}"#
            );
            Some((text, false))
        }
        _ => None,
    }
}

fn list(levels: &[Level]) -> String {
    let mut text = "[".to_owned();
    for (at, level) in levels.iter().enumerate() {
        let comma = if at == 0 { "" } else { "," };
        let _ = write!(text, r#"{comma}["{}","{}"]"#, level.price, level.quantity);
    }
    text + "]"
}

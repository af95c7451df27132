//! What happens in bars, online: the bits of a recording's columns, whatever the ways of quotes and trades.

#![allow(clippy::unwrap_used, reason = "a test that cannot go on may panic")]

mod rig;

use std::collections::BTreeMap;

use domain::{
    BookInvalid, BookInvalidReason, BookUpdate, BookUpdateKind, Level, MarketEvent, Nanos, Price, Quantity,
    Side, Timestamp, Trade, TradeId,
};
use engine::signals::program::Input;
use engine::signals::{
    BarFlow, Beside, FLOW, FLOW_INPUTS, FeatureDef, FeatureEngine, FeatureKind, FeatureSpec, Flow, SpecError,
};
use engine::strategy::TopOfBook;
use engine::{Action, EngineConfig, EventBody, SlotProgram};
use proptest::prelude::*;
use rig::{BAR, BTC, Rig, SLOT, START, Silent, config, program};

/// How long a quote waits for trades before it closes a bar; trades are on their way for less than that.
const GRACE: i64 = 2_000_000_000;

const FEATURES: [(&str, &str); 13] = [
    ("spread", "spread / bid"),
    ("flow", "order_flow / (bid_quantity + ask_quantity)"),
    ("bids", "bid_added - bid_removed"),
    ("asks", "ask_added - ask_removed"),
    ("mid_variation", "mid_variation"),
    ("mid_path", "mid_path + ask"),
    ("updates", "quote_updates"),
    ("volume", "buy_volume - sell_volume"),
    ("trades", "trades"),
    ("largest", "largest_trade"),
    ("trade_variation", "trade_variation"),
    ("buys", "buy_intensity"),
    ("sells", "mean(sell_intensity, 2)"),
];

#[derive(Debug, Clone, Copy, PartialEq)]
enum Happened {
    /// The best prices; `None`: the book is lost.
    Top(Option<TopOfBook>),
    Trade(Trade),
}

/// What happened at a time of the venue.
type At = (Timestamp, Happened);

fn top(bid: i64, ask: i64, quantities: (i64, i64)) -> TopOfBook {
    TopOfBook {
        bid: Price::from_units(bid),
        bid_quantity: Quantity::from_units(quantities.0),
        ask: Price::from_units(ask),
        ask_quantity: Quantity::from_units(quantities.1),
    }
}

/// Quotes whose book is lost now and then, and does not always change.
fn quotes() -> impl Strategy<Value = Vec<At>> {
    let one = (0_i64..9_000, -2_i64..3, 1_i64..4, 1_i64..4, 1_i64..4, 0_u8..20);
    prop::collection::vec(one, 1..160).prop_map(|steps| {
        let (mut at, mut bid) = (rig_start(), 10_000_000_000_i64);
        let told = steps.into_iter().map(|(wait, step, spread, bids, asks, lost)| {
            at = at.plus(Nanos(wait * 1_000_000));
            bid += step * 1_000_000;
            let quantities = (bids * 50_000_000, asks * 50_000_000);
            let known = (lost > 0).then(|| top(bid, bid + spread * 1_000_000, quantities));
            (at, Happened::Top(known))
        });
        told.collect()
    })
}

fn trades() -> impl Strategy<Value = Vec<At>> {
    let one = (0_i64..20_000, -50_i64..50, 1_i64..90, any::<bool>());
    prop::collection::vec(one, 1..90).prop_map(|steps| {
        let mut at = rig_start();
        let told = steps.into_iter().map(|(wait, price, quantity, is_buy)| {
            at = at.plus(Nanos(wait * 1_000_000));
            let trade = Trade {
                instrument: BTC,
                ts_event: at,
                trade_id: TradeId(0),
                price: Price::from_units(10_000_000_000 + price * 1_000_000),
                quantity: Quantity::from_units(quantity * 10_000_000),
                aggressor: if is_buy { Side::Buy } else { Side::Sell },
            };
            (at, Happened::Trade(trade))
        });
        told.collect()
    })
}

fn rig_start() -> Timestamp {
    Timestamp::from_nanos(START)
}

/// Columns as a recording gives them: everything in order of the venue's time, quotes before trades.
fn recorded(quotes: &[At], trades: &[At]) -> BTreeMap<i64, [f64; FLOW]> {
    let mut all: Vec<At> = [quotes, trades].concat();
    all.sort_by_key(|(at, _)| *at);
    let last = all.last().map_or(0, |(at, _)| at.nanos().div_euclid(BAR.0));
    let (mut flow, mut next, mut columns) = (Flow::new(), 0, BTreeMap::new());
    for number in rig_start().nanos().div_euclid(BAR.0)..last {
        let close = Timestamp::from_nanos((number + 1) * BAR.0);
        while let Some((at, happened)) = all.get(next).filter(|(at, _)| *at < close) {
            match happened {
                Happened::Top(top) => flow.on_top(*at, *top),
                Happened::Trade(trade) => flow.on_trade(trade),
            }
            next += 1;
        }
        columns.insert(number, flow.close(close));
    }
    columns
}

/// In the order in which it is heard: trades are on their way for `way`.
fn heard(quotes: &[At], trades: &[At], way: i64) -> Vec<(Timestamp, At)> {
    let quotes = quotes.iter().map(|one| (one.0, *one));
    let trades = trades.iter().map(|one| (one.0.plus(Nanos(way)), *one));
    let mut all: Vec<_> = quotes.chain(trades).collect();
    all.sort_by_key(|(heard, _)| *heard);
    all
}

/// A lost book does not say when: it counts from the latest word that was heard.
fn with_losses_at_the_latest_word(heard: &[(Timestamp, At)]) -> Vec<At> {
    let mut latest = None;
    let told = heard.iter().filter_map(|(_, (at, happened))| match happened {
        Happened::Top(None) => latest.map(|latest| (latest, Happened::Top(None))),
        Happened::Trade(_) => {
            latest = latest.max(Some(*at));
            None
        }
        Happened::Top(_) => {
            latest = latest.max(Some(*at));
            Some((*at, *happened))
        }
    });
    told.collect()
}

fn bits(values: &[f64; FLOW]) -> [u64; FLOW] {
    values.map(f64::to_bits)
}

fn spec() -> FeatureSpec {
    let def = |(name, text): &(&str, &str)| FeatureDef {
        name: (*name).to_owned(),
        kind: FeatureKind::Expression((*text).to_owned()),
        restart_window: 0,
    };
    FeatureSpec {
        bar_span: BAR,
        events: None,
        slow: Vec::new(),
        features: FEATURES.iter().map(def).collect(),
    }
}

fn rig_of_flow() -> Rig {
    let mut rig = Rig::bare(EngineConfig {
        bar_close_grace: Nanos(GRACE),
        ..config()
    });
    rig.watch_trades();
    rig.deploy(SlotProgram {
        features: Some(spec()),
        ..program(SLOT, 1, Box::new(Silent))
    });
    rig
}

/// What a book that shows its best levels tells of it.
fn hear(rig: &mut Rig, ts_event: Timestamp, happened: Happened) -> Vec<Action> {
    let top = match happened {
        Happened::Trade(trade) => return rig.feed(EventBody::Market(MarketEvent::Trade(trade))),
        Happened::Top(None) => {
            let (instrument, reason) = (BTC, BookInvalidReason::Gap);
            return rig.feed(EventBody::Market(MarketEvent::BookInvalid(BookInvalid {
                instrument,
                reason,
            })));
        }
        Happened::Top(Some(top)) => top,
    };
    let level = |price, quantity| [Level { price, quantity }];
    rig.feed(EventBody::Market(MarketEvent::Book(BookUpdate {
        instrument: BTC,
        ts_event,
        kind: BookUpdateKind::Snapshot,
        update_id: 1,
        bids: &level(top.bid, top.bid_quantity),
        asks: &level(top.ask, top.ask_quantity),
    })))
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(96))]

    #[test]
    fn a_bar_has_the_bits_of_the_recording(quotes in quotes(), trades in trades(), way in 0..GRACE) {
        let mut online = BarFlow::new(BAR);
        let all = heard(&quotes, &trades, way);
        let (begun, mut last) = (all[0].1.0, rig_start());
        for (_, (at, happened)) in all {
            match happened {
                Happened::Top(top) => online.on_top(at, top, at.plus(Nanos(-GRACE))),
                Happened::Trade(trade) => online.on_trade(&trade),
            }
            last = last.max(at);
        }
        // Time passes, and everything closes.
        online.on_top(last.plus(Nanos(GRACE)), None, last);
        for (number, values) in recorded(&quotes, &trades) {
            prop_assert_eq!(online.of(number), None, "no bar has closed");
            online.confirm(number);
            // Where the watch begins, everything is known of each interval.
            if number >= begun.nanos().div_euclid(BAR.0) {
                prop_assert_eq!(online.of(number).map(bits), Some(bits(&values)), "bar {}", number);
            }
        }
    }

    #[test]
    fn the_engine_computes_features_of_them_as_research_does(quotes in quotes(), trades in trades(), way in 0..GRACE) {
        let all = heard(&quotes, &trades, way);
        let columns = recorded(&with_losses_at_the_latest_word(&all), &trades);
        let mut research = FeatureEngine::new(&spec()).unwrap();
        let (mut rig, mut expected) = (rig_of_flow(), Vec::new());
        for (now, (at, happened)) in all {
            rig.now = now;
            for action in hear(&mut rig, at, happened) {
                match action {
                    Action::BarClosed(bar) => {
                        let beside = Beside { flow: columns[&bar.number()], ..Beside::UNKNOWN };
                        let row = research.on_bar(&bar, &beside);
                        expected.push((bar, row));
                    }
                    Action::Signal(signal) => {
                        let (bar, row) = expected.last().copied().unwrap();
                        prop_assert_eq!(signal.ts_close, bar.ts_close());
                        let row = row.as_ref().map_or(&[][..], |row| row.as_slice());
                        let bits = |values: &[f32]| values.iter().map(|one| one.to_bits()).collect::<Vec<_>>();
                        prop_assert_eq!(bits(signal.features.as_slice()), bits(row), "bar {}", bar.number());
                    }
                    _ => {}
                }
            }
        }
    }
}

#[test]
fn a_book_that_is_told_again_has_not_changed() {
    let at = |seconds: i64| rig_start().plus(Nanos::from_secs(seconds));
    let known = top(100, 110, (5, 7));
    let (mut once, mut often) = (Flow::new(), Flow::new());
    once.on_top(at(1), Some(known));
    for second in 1..40 {
        often.on_top(at(second), Some(known));
    }
    let values = once.close(at(60));
    assert_eq!(bits(&values), bits(&often.close(at(60))));
    let updates = FLOW_INPUTS.iter().position(|one| *one == Input::QuoteUpdates);
    assert_eq!(values[updates.unwrap()], 0.0);
}

#[test]
fn what_happens_in_a_bar_stands_where_expressions_look_for_it() {
    let begin = Input::OF_BARS.len();
    assert_eq!(Input::ALL[begin..begin + FLOW], FLOW_INPUTS);
    let depth = FeatureDef {
        name: "depth".to_owned(),
        kind: FeatureKind::Expression("bid_depth / ask_depth".to_owned()),
        restart_window: 0,
    };
    let refused = FeatureEngine::new(&FeatureSpec {
        features: vec![depth],
        ..spec()
    });
    assert_eq!(
        refused.map(|_| ()),
        Err(SpecError::NotOnline("depth".to_owned(), "bid_depth".to_owned()))
    );
}

#[test]
fn a_bar_from_the_venues_history_says_nothing_of_what_happened_in_it() {
    let mut flow = BarFlow::new(BAR);
    let number = START / BAR.0;
    flow.on_top(rig_start(), Some(top(100, 110, (5, 7))), rig_start());
    let later = rig_start().plus(BAR);
    flow.on_top(later, None, later);
    assert_eq!(flow.of(number), None, "nothing of it was a bar of ours");
    flow.confirm(number);
    assert!(flow.of(number).is_some());
    flow.confirm(number + 1);
    assert_eq!(flow.of(number + 1), None, "it has not closed");
}

#[test]
fn a_quote_that_is_heard_after_a_trade_has_closed_its_bar_is_counted() {
    let mut rig = rig_of_flow();
    let late = |rig: &Rig| rig.engine.slots().next().unwrap().late_quotes;
    let at = |ns: i64| rig_start().plus(Nanos(ns));
    let quote = |bid| Happened::Top(Some(top(bid, bid + 1_000_000, (100_000_000, 100_000_000))));
    let trade = |ts_event| {
        Happened::Trade(Trade {
            instrument: BTC,
            ts_event,
            trade_id: TradeId(1),
            price: Price::from_units(10_000_000_000),
            quantity: Quantity::ONE,
            aggressor: Side::Buy,
        })
    };
    hear(&mut rig, at(BAR.0 - 3), quote(10_000_000_000));
    hear(&mut rig, at(BAR.0 - 2), trade(at(BAR.0 - 2)));
    hear(&mut rig, at(BAR.0 - 1), quote(10_001_000_000));
    assert_eq!(late(&rig), 0, "in order");
    hear(&mut rig, at(BAR.0), trade(at(BAR.0)));
    hear(&mut rig, at(BAR.0 - 1), quote(10_002_000_000));
    hear(&mut rig, at(BAR.0 + 1), quote(10_003_000_000));
    assert_eq!(late(&rig), 1);
}

//! Numbered changes and snapshots in any order: a book that stands is never crossed.

#![no_main]
#![allow(missing_docs, reason = "a target has no readers")]

use arbitrary::{Arbitrary, Result, Unstructured};
use domain::{BookInvalidReason, InstrumentId, Level, Price, Quantity, Timestamp};
use libfuzzer_sys::fuzz_target;
use venues::sequencer::{BestLevels, Diff, SequenceRule, Sequencer};

#[derive(Debug, Arbitrary)]
enum Step {
    Connected,
    Disconnected,
    Diff(u8, u8, u8, Side, Side),
    Snapshot(u8, Side, Side),
    Best(u8, u8, u8),
}

#[derive(Debug)]
struct Side(Vec<Level>);

impl<'a> Arbitrary<'a> for Side {
    fn arbitrary(bytes: &mut Unstructured<'a>) -> Result<Self> {
        let levels = bytes.arbitrary_iter::<(u8, u8)>()?.take(8);
        levels
            .map(|level| level.map(|(price, quantity)| this(price, quantity)))
            .collect::<Result<_>>()
            .map(Self)
    }
}

fn this(price: u8, quantity: u8) -> Level {
    Level {
        price: Price::from_units(i64::from(price) + 1),
        quantity: Quantity::from_units(i64::from(quantity)),
    }
}

fuzz_target!(|steps: Vec<Step>| {
    py_rt_fuzz::bounded(|| {
        for rule in [SequenceRule::BinanceSpot, SequenceRule::BinanceFutures] {
            let mut sequencer = Sequencer::new(InstrumentId(0), rule);
            for step in &steps {
                take(&mut sequencer, step);
                let (bid, ask) = sequencer.best();
                let crossed = bid.zip(ask).is_some_and(|(bid, ask)| bid.price >= ask.price);
                assert!(!(sequencer.is_synchronized() && crossed), "a crossed book stands");
            }
        }
    });
});

fn take(sequencer: &mut Sequencer, step: &Step) {
    let emit = &mut |_: domain::MarketEvent<'_>| {};
    match step {
        Step::Connected => sequencer.on_connected(),
        Step::Disconnected => sequencer.on_disconnected(BookInvalidReason::Disconnected, emit),
        Step::Diff(first, count, before, bids, asks) => {
            let first_update_id = u64::from(*first);
            let diff = Diff {
                ts_event: Timestamp::EPOCH,
                first_update_id,
                last_update_id: first_update_id + u64::from(*count % 4),
                previous_update_id: first_update_id.checked_sub(u64::from(*before % 4)),
                bids: &bids.0,
                asks: &asks.0,
            };
            sequencer.on_diff(&diff, emit);
        }
        Step::Snapshot(number, bids, asks) => {
            sequencer.on_snapshot(Timestamp::EPOCH, u64::from(*number), &bids.0, &asks.0, emit);
        }
        Step::Best(number, bid, ask) => {
            let best = BestLevels {
                update_id: u64::from(*number),
                bid: Some(this(*bid, 1)),
                ask: Some(this(*ask, 1)),
            };
            sequencer.on_best(best, emit);
        }
    }
}

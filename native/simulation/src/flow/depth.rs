//! The crowd's resting liquidity around the trade path, in ticks and lots.

use domain::{Price, Quantity, Side, Timestamp};

use super::{FlowEvent, FlowKind};
use crate::random::Stream;

/// Sizes and spacing of the crowd's levels.
#[derive(Debug, Clone, Copy)]
pub(super) struct DepthShape {
    pub(super) levels: usize,
    pub(super) gap_ppm: i64,
    pub(super) lots_min: i64,
    pub(super) lots_max: i64,
    pub(super) tick: i64,
    pub(super) lot: i64,
}

#[derive(Debug, Clone, Copy)]
struct Rung {
    price: i64,
    lots: i64,
}

/// One side of the crowd's book, best first.
#[derive(Debug)]
struct Ladder {
    side: Side,
    rungs: Vec<Rung>,
}

/// The crowd's book, and the events that say how it changes.
#[derive(Debug)]
pub(super) struct CrowdBook {
    shape: DepthShape,
    bids: Ladder,
    asks: Ladder,
}

/// Where changes are written: events of one instant.
pub(super) struct Sink<'a> {
    pub(super) ts: Timestamp,
    pub(super) events: &'a mut Vec<FlowEvent>,
}

impl Sink<'_> {
    pub(super) fn push(&mut self, kind: FlowKind) {
        self.events.push(FlowEvent { ts: self.ts, kind });
    }
}

impl Ladder {
    fn new(side: Side) -> Self {
        Self {
            side,
            rungs: Vec::new(),
        }
    }

    /// Whether `price` is nearer to the other side than `other`.
    fn is_better(&self, price: i64, other: i64) -> bool {
        match self.side {
            Side::Buy => price > other,
            Side::Sell => price < other,
        }
    }

    fn away(&self, price: i64, ticks: i64) -> i64 {
        price - self.side.sign() * ticks
    }
}

impl CrowdBook {
    pub(super) fn new(shape: DepthShape) -> Self {
        Self {
            shape,
            bids: Ladder::new(Side::Buy),
            asks: Ladder::new(Side::Sell),
        }
    }

    /// Moves the best prices: cancels come first on both sides, so that the book is never crossed in between.
    pub(super) fn move_to(&mut self, bid: i64, ask: i64, stream: &mut Stream, sink: &mut Sink<'_>) {
        self.retreat(Side::Buy, bid, sink);
        self.retreat(Side::Sell, ask, sink);
        self.refill(Side::Buy, bid, stream, sink);
        self.refill(Side::Sell, ask, stream, sink);
    }

    /// Adds to the best level until it holds more than `lots`, so that a trade of `lots` leaves it standing.
    pub(super) fn ensure_best(&mut self, side: Side, lots: i64, stream: &mut Stream, sink: &mut Sink<'_>) {
        let rest = self.size(0, stream);
        let shape = self.shape;
        if let Some(best) = self.ladder(side).rungs.first_mut() {
            let missing = lots + rest - best.lots;
            if missing > rest / 2 {
                best.lots += missing;
                sink.push(shape.add(side, best.price, missing));
            }
        }
    }

    /// Takes `lots` from the best level: the trade itself says so.
    pub(super) fn take_best(&mut self, side: Side, lots: i64) {
        let rungs = &mut self.ladder(side).rungs;
        if let Some(best) = rungs.first_mut() {
            best.lots -= lots;
            if best.lots <= 0 {
                rungs.remove(0);
            }
        }
    }

    /// One order somewhere in the book comes, grows or partly goes; the best prices stay.
    pub(super) fn flicker(&mut self, stream: &mut Stream, sink: &mut Sink<'_>) {
        let side = if stream.chance(50) { Side::Buy } else { Side::Sell };
        let shape = self.shape;
        let count = i64::try_from(self.ladder(side).rungs.len()).unwrap_or(0);
        let at = usize::try_from(stream.below(count)).unwrap_or(0);
        let size = self.size(at, stream);
        let grow = stream.chance(50);
        let part = stream.within(1, 60);
        let Some(rung) = self.ladder(side).rungs.get_mut(at) else {
            return;
        };
        let going = rung.lots * part / 100;
        if grow || going == 0 {
            rung.lots += size;
            sink.push(shape.add(side, rung.price, size));
        } else {
            rung.lots -= going;
            sink.push(shape.cancel(side, rung.price, going));
        }
    }

    fn ladder(&mut self, side: Side) -> &mut Ladder {
        match side {
            Side::Buy => &mut self.bids,
            Side::Sell => &mut self.asks,
        }
    }

    /// Cancels every level better than `best`.
    fn retreat(&mut self, side: Side, best: i64, sink: &mut Sink<'_>) {
        let shape = self.shape;
        let ladder = self.ladder(side);
        let gone = ladder
            .rungs
            .iter()
            .take_while(|rung| ladder.is_better(rung.price, best))
            .count();
        for rung in ladder.rungs.drain(..gone) {
            sink.push(shape.cancel(side, rung.price, rung.lots));
        }
    }

    /// Puts a level at `best`, levels between it and what stands, and more behind, up to the number of levels.
    fn refill(&mut self, side: Side, best: i64, stream: &mut Stream, sink: &mut Sink<'_>) {
        let shape = self.shape;
        let mut price = best;
        let mut at = 0;
        while at < shape.levels && price > 0 {
            let size = self.size(at, stream);
            let gap = stream.within(1, 2 * shape.gap(price) - 1);
            let ladder = self.ladder(side);
            match ladder.rungs.get(at).map(|rung| rung.price) {
                // The next standing level is at or before the next new one: it takes its place.
                Some(standing) if at > 0 && !ladder.is_better(price, standing) => price = standing,
                Some(standing) if standing == price => {}
                _ => {
                    ladder.rungs.insert(at, Rung { price, lots: size });
                    sink.push(shape.add(side, price, size));
                }
            }
            price = self.ladder(side).away(price, gap);
            at += 1;
        }
        let ladder = self.ladder(side);
        let keep = shape.levels.min(ladder.rungs.len());
        for rung in ladder.rungs.drain(keep..) {
            sink.push(shape.cancel(side, rung.price, rung.lots));
        }
    }

    /// A seeded size that falls off with the distance from the best price.
    fn size(&self, at: usize, stream: &mut Stream) -> i64 {
        let shape = &self.shape;
        let levels = i64::try_from(shape.levels).unwrap_or(1).max(1);
        let near = levels - i64::try_from(at).unwrap_or(0).min(levels - 1);
        let room = i128::from(shape.lots_max - shape.lots_min) * i128::from(near) / i128::from(levels);
        shape.lots_min + stream.within(0, i64::try_from(room).unwrap_or(0))
    }
}

impl DepthShape {
    fn gap(&self, price: i64) -> i64 {
        let gap = i128::from(price) * i128::from(self.gap_ppm) / 1_000_000;
        i64::try_from(gap).unwrap_or(1).max(1)
    }

    fn add(&self, side: Side, price: i64, lots: i64) -> FlowKind {
        FlowKind::Add {
            side,
            price: Price::from_units(price * self.tick),
            quantity: Quantity::from_units(lots * self.lot),
        }
    }

    fn cancel(&self, side: Side, price: i64, lots: i64) -> FlowKind {
        FlowKind::Cancel {
            side,
            price: Price::from_units(price * self.tick),
            quantity: Quantity::from_units(lots * self.lot),
        }
    }
}

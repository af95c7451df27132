//! Public events in Simple Binary Encoding, by the venue's schema `stream_1_0.xml` (id 1, version 0).

use axum::body::Bytes;
use domain::{Level, Price, Quantity, Side, Timestamp, Trade};
use simulation::{Best, DepthDiff};

/// The schema, and its version.
const SCHEMA: [u16; 2] = [1, 0];

/// The power of ten of all numbers.
const POWER: i8 = -8;

/// A message that is being written.
struct Message(Vec<u8>);

impl Message {
    fn new(block: u16, template: u16) -> Self {
        let mut message = Self(Vec::with_capacity(256));
        message.shorts(&[block, template]);
        message.shorts(&SCHEMA);
        message
    }

    fn shorts(&mut self, numbers: &[u16]) {
        self.0
            .extend(numbers.iter().flat_map(|number| number.to_le_bytes()));
    }

    fn longs(&mut self, numbers: &[i64]) {
        self.0
            .extend(numbers.iter().flat_map(|number| number.to_le_bytes()));
    }

    fn powers(&mut self) {
        self.0.extend([POWER.cast_unsigned(); 2]);
    }

    fn levels(&mut self, levels: &[Level]) {
        // Beyond what a group can hold nothing is told; no change has that many.
        let count = u16::try_from(levels.len()).unwrap_or(u16::MAX);
        self.shorts(&[16, count]);
        for level in levels.iter().take(usize::from(count)) {
            self.longs(&[level.price.units(), level.quantity.units()]);
        }
    }

    fn end(mut self, symbol: &str) -> Bytes {
        self.0.push(u8::try_from(symbol.len()).unwrap_or(u8::MAX));
        self.0.extend_from_slice(symbol.as_bytes());
        self.0.into()
    }
}

fn micros(ts: Timestamp) -> i64 {
    ts.nanos() / 1_000
}

fn number(number: u64) -> i64 {
    i64::try_from(number).unwrap_or(i64::MAX)
}

/// `DepthDiffStreamEvent`.
pub(super) fn depth_update(symbol: &str, diff: &DepthDiff<'_>) -> Bytes {
    let mut message = Message::new(26, 10_003);
    message.longs(&[
        // As the JSON of this venue has it: whole milliseconds.
        diff.ts.millis() * 1_000,
        number(diff.first_update_id),
        number(diff.last_update_id),
    ]);
    message.powers();
    message.levels(diff.bids);
    message.levels(diff.asks);
    message.end(symbol)
}

/// `TradesStreamEvent`.
pub(super) fn trade(symbol: &str, trade: &Trade) -> Bytes {
    let mut message = Message::new(18, 10_000);
    message.longs(&[trade.ts_event.millis() * 1_000; 2]);
    message.powers();
    message.shorts(&[25]);
    message.0.extend(1_u32.to_le_bytes());
    message.longs(&[
        number(trade.trade_id.0),
        trade.price.units(),
        trade.quantity.units(),
    ]);
    message.0.push(u8::from(trade.aggressor == Side::Sell));
    message.end(symbol)
}

/// `BestBidAskStreamEvent`; a side without liquidity is zero.
pub(super) fn best_bid_ask(symbol: &str, ts: Timestamp, best: &Best) -> Bytes {
    let mut message = Message::new(50, 10_001);
    message.longs(&[micros(ts), number(best.update_id)]);
    message.powers();
    for (price, quantity) in [best.bid, best.ask].map(Option::unwrap_or_default) {
        let (price, quantity): (Price, Quantity) = (price, quantity);
        message.longs(&[price.units(), quantity.units()]);
    }
    message.end(symbol)
}

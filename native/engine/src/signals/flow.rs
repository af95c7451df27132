//! What happened in a bar beside its prices: quotes, queues and trades, in one pass over the events.
//!
//! Everything is a sum, a mean over time or the last value of one bar, so that a bar's numbers depend on its own events and
//! on nothing else; the intensities fade over bars, and begin anew on a grid of time.

use domain::{Quantity, Side, Timestamp, Trade};

use super::program::Input;
use crate::strategy::TopOfBook;

/// Time in which what a trade adds to the intensity falls to 1/e, nanoseconds.
const FADING_NS: f64 = 10e9;
/// Step of the grid, from the epoch on, at which intensities begin anew, nanoseconds: of a trade one step ago less than
/// 1e-13 is left.
const STEP_NS: i64 = 300_000_000_000;

/// The inputs that a [`Flow`] gives, in its order.
pub const FLOW_INPUTS: [Input; FLOW] = [
    Input::Bid,
    Input::Ask,
    Input::BidQuantity,
    Input::AskQuantity,
    Input::BidDepth,
    Input::AskDepth,
    Input::Spread,
    Input::OrderFlow,
    Input::BidAdded,
    Input::BidRemoved,
    Input::AskAdded,
    Input::AskRemoved,
    Input::MidVariation,
    Input::MidPath,
    Input::QuoteUpdates,
    Input::BuyVolume,
    Input::SellVolume,
    Input::Trades,
    Input::LargestTrade,
    Input::TradeVariation,
    Input::BuyIntensity,
    Input::SellIntensity,
];

/// How many inputs these are.
pub const FLOW: usize = 22;

/// A sum of events that fade.
#[derive(Debug, Clone, Copy, Default)]
struct Fading {
    value: f64,
    at: i64,
}

impl Fading {
    fn fade(&mut self, now: i64) {
        let passed = now.saturating_sub(self.at).max(0) as f64;
        self.value *= libm::exp(-passed / FADING_NS);
        self.at = now;
    }

    fn add(&mut self, now: i64) {
        self.fade(now);
        self.value += 1.0;
    }
}

/// Fading trades of one side: what is said has between one and two steps behind it, wherever the stream began.
#[derive(Debug, Clone, Copy, Default)]
struct Intensity {
    step: Option<i64>,
    /// Begun with the step before this one, and with this one; `None` until the stream has seen a beginning.
    older: Option<Fading>,
    younger: Option<Fading>,
}

impl Intensity {
    fn pass(&mut self, now: i64) {
        let step = now.div_euclid(STEP_NS);
        let before = *self.step.get_or_insert(step);
        if step > before {
            let is_next = step - before == 1;
            self.older = if is_next {
                self.younger
            } else {
                Some(Fading::default())
            };
            self.younger = Some(Fading::default());
            self.step = Some(step);
        }
    }

    fn add(&mut self, now: i64) {
        self.pass(now);
        for fading in [&mut self.older, &mut self.younger].into_iter().flatten() {
            fading.add(now);
        }
    }

    /// NaN before it has a whole step behind it.
    fn at(&mut self, now: i64) -> f64 {
        self.pass(now);
        self.older.map_or(f64::NAN, |mut fading| {
            fading.fade(now);
            fading.value
        })
    }
}

/// Sums of one bar.
#[derive(Debug, Clone, Copy, Default)]
struct Sums {
    order_flow: f64,
    added: [f64; 2],
    removed: [f64; 2],
    mid_variation: f64,
    mid_path: f64,
    quote_updates: f64,
    spread_time: f64,
    quoted_time: f64,
    volume: [f64; 2],
    trades: f64,
    largest: f64,
    trade_variation: f64,
}

/// Watches one instrument's quotes and trades between two closes of its bars.
#[derive(Debug, Clone, Default)]
pub struct Flow {
    sums: Sums,
    top: Option<TopOfBook>,
    /// When the top was last looked at.
    top_at: i64,
    depth: Option<[Quantity; 2]>,
    last_trade: Option<i64>,
    /// Of buys and sells.
    intensities: [Intensity; 2],
}

impl Flow {
    /// Nothing is known.
    #[must_use]
    pub fn new() -> Self {
        Self::default()
    }

    /// The best prices as they are from now on; `None` while the book is not known.
    pub fn on_top(&mut self, ts_event: Timestamp, top: Option<TopOfBook>) {
        // Of a book that is told again, or changed elsewhere, nothing is to be said, however often that happens.
        if self.top == top {
            return;
        }
        self.pass(ts_event.nanos());
        if let (Some(before), Some(now)) = (self.top, top) {
            self.compare(&before, &now);
        }
        self.top = top;
    }

    /// Quantities within the depth that is looked at, bids and asks.
    pub const fn on_depth(&mut self, bids: Quantity, asks: Quantity) {
        self.depth = Some([bids, asks]);
    }

    /// A public trade.
    pub fn on_trade(&mut self, trade: &Trade) {
        let side = side(trade.aggressor);
        let quantity = trade.quantity.units() as f64;
        self.sums.volume[side] += quantity;
        self.sums.trades += 1.0;
        self.sums.largest = self.sums.largest.max(quantity);
        let price = trade.price.units();
        if let Some(before) = self.last_trade.replace(price) {
            let change = (price - before) as f64;
            self.sums.trade_variation += change * change;
        }
        let now = trade.ts_event.nanos();
        self.intensities[side].add(now);
        // The other side sees that time has passed: a stream may begin within a step.
        self.intensities[1 - side].pass(now);
    }

    /// The bar closes: its values, in the order of [`FLOW_INPUTS`], prices and quantities in units of 1e-8, unknown as NaN.
    pub fn close(&mut self, ts_close: Timestamp) -> [f64; FLOW] {
        let now = ts_close.nanos();
        self.pass(now);
        let price = |of: fn(&TopOfBook) -> i64| self.top.as_ref().map_or(f64::NAN, |top| of(top) as f64);
        let depth = |side: usize| self.depth.map_or(f64::NAN, |depth| depth[side].units() as f64);
        let intensities = self.intensities.each_mut().map(|side| side.at(now));
        let sums = &self.sums;
        // NaN where there was no quote at all.
        let spread = sums.spread_time / sums.quoted_time;
        let values = [
            price(|top| top.bid.units()),
            price(|top| top.ask.units()),
            price(|top| top.bid_quantity.units()),
            price(|top| top.ask_quantity.units()),
            depth(0),
            depth(1),
            spread,
            sums.order_flow,
            sums.added[0],
            sums.removed[0],
            sums.added[1],
            sums.removed[1],
            sums.mid_variation,
            sums.mid_path,
            sums.quote_updates,
            sums.volume[0],
            sums.volume[1],
            sums.trades,
            sums.largest,
            sums.trade_variation,
            intensities[0],
            intensities[1],
        ];
        self.sums = Sums::default();
        // A bar begins with what stood at the end of the one before, but its changes are its own.
        self.last_trade = None;
        values
    }

    /// Time passes with the top as it is.
    fn pass(&mut self, now: i64) {
        if let Some(top) = &self.top {
            let passed = now.saturating_sub(self.top_at).max(0) as f64;
            self.sums.spread_time += passed * (top.ask.units() - top.bid.units()) as f64;
            self.sums.quoted_time += passed;
        }
        self.top_at = self.top_at.max(now);
    }

    /// R. Cont, A. Kukanov and S. Stoikov, The Price Impact of Order Book Events, 2014, section 2.
    fn compare(&mut self, before: &TopOfBook, now: &TopOfBook) {
        let bid = queue(
            before.bid.units(),
            before.bid_quantity,
            now.bid.units(),
            now.bid_quantity,
        );
        // Of asks the lower price is the better one.
        let ask = queue(
            -before.ask.units(),
            before.ask_quantity,
            -now.ask.units(),
            now.ask_quantity,
        );
        let sums = &mut self.sums;
        sums.order_flow += bid.0 - bid.1 - ask.0 + ask.1;
        for (side, (added, removed)) in [bid, ask].into_iter().enumerate() {
            sums.added[side] += added;
            sums.removed[side] += removed;
        }
        // Twice the middle is a whole number, of one bit more.
        let twice = |top: &TopOfBook| (i128::from(top.bid.units()) + i128::from(top.ask.units())) as f64;
        let change = (twice(now) - twice(before)) / 2.0;
        sums.mid_variation += change * change;
        sums.mid_path += change.abs();
        sums.quote_updates += 1.0;
    }
}

/// What was added to and removed from the best queue of a side, larger prices being better.
fn queue(price_before: i64, before: Quantity, price: i64, now: Quantity) -> (f64, f64) {
    let (before, now) = (before.units() as f64, now.units() as f64);
    match price.cmp(&price_before) {
        std::cmp::Ordering::Greater => (now, 0.0),
        std::cmp::Ordering::Less => (0.0, before),
        std::cmp::Ordering::Equal => ((now - before).max(0.0), (before - now).max(0.0)),
    }
}

const fn side(aggressor: Side) -> usize {
    match aggressor {
        Side::Buy => 0,
        Side::Sell => 1,
    }
}

#[cfg(test)]
mod tests {
    use domain::{InstrumentId, Price, TradeId};

    use super::*;

    fn top(bid: i64, bid_quantity: i64, ask: i64, ask_quantity: i64) -> TopOfBook {
        TopOfBook {
            bid: Price::from_units(bid),
            bid_quantity: Quantity::from_units(bid_quantity),
            ask: Price::from_units(ask),
            ask_quantity: Quantity::from_units(ask_quantity),
        }
    }

    fn trade(ns: i64, price: i64, quantity: i64, aggressor: Side) -> Trade {
        Trade {
            instrument: InstrumentId(0),
            ts_event: Timestamp::from_nanos(ns),
            trade_id: TradeId(0),
            price: Price::from_units(price),
            quantity: Quantity::from_units(quantity),
            aggressor,
        }
    }

    fn value(values: &[f64; FLOW], input: Input) -> f64 {
        let at = FLOW_INPUTS
            .iter()
            .position(|one| *one == input)
            .expect("an input of a flow");
        values[at]
    }

    #[test]
    fn order_flow_counts_what_queues_gain_and_lose() {
        let mut flow = Flow::new();
        let at = Timestamp::from_nanos;
        flow.on_top(at(0), Some(top(100, 5, 102, 7)));
        flow.on_top(at(10), Some(top(100, 8, 102, 7)));
        flow.on_top(at(20), Some(top(101, 2, 102, 4)));
        flow.on_top(at(30), Some(top(101, 2, 103, 9)));
        let values = flow.close(at(40));
        // +3 bids; +2 at a better bid and 3 less asks; 4 asks gone.
        assert_eq!(value(&values, Input::OrderFlow), 3.0 + 2.0 + 3.0 + 4.0);
        assert_eq!(value(&values, Input::BidAdded), 5.0);
        assert_eq!(value(&values, Input::AskRemoved), 7.0);
        assert_eq!(value(&values, Input::MidVariation), 0.25 + 0.25);
        assert_eq!(value(&values, Input::MidPath), 1.0);
        assert_eq!(
            value(&values, Input::Spread),
            (20.0 * 2.0 + 10.0 + 10.0 * 2.0) / 40.0
        );
        assert_eq!(value(&values, Input::QuoteUpdates), 3.0);
        let next = flow.close(at(50));
        assert_eq!(
            (value(&next, Input::OrderFlow), value(&next, Input::Spread)),
            (0.0, 2.0)
        );
    }

    #[test]
    fn a_book_that_is_lost_is_unknown_and_compared_with_nothing() {
        let mut flow = Flow::new();
        let at = Timestamp::from_nanos;
        assert!(flow.close(at(5))[..7].iter().all(|value| value.is_nan()));
        flow.on_top(at(10), Some(top(100, 5, 102, 7)));
        flow.on_top(at(20), None);
        flow.on_top(at(30), Some(top(90, 1, 95, 1)));
        let values = flow.close(at(40));
        assert_eq!(value(&values, Input::OrderFlow), 0.0);
        assert_eq!(value(&values, Input::Spread), (10.0 * 2.0 + 10.0 * 5.0) / 20.0);
    }

    #[test]
    fn trades_are_summed_by_side_and_fade() {
        let mut flow = Flow::new();
        let second = 1_000_000_000;
        flow.on_trade(&trade(second, 100, 3, Side::Buy));
        flow.on_trade(&trade(2 * second, 104, 2, Side::Sell));
        flow.on_trade(&trade(3 * second, 101, 9, Side::Buy));
        let values = flow.close(Timestamp::from_nanos(13 * second));
        assert_eq!(value(&values, Input::BuyVolume), 12.0);
        assert_eq!(value(&values, Input::SellVolume), 2.0);
        assert_eq!(value(&values, Input::LargestTrade), 9.0);
        assert_eq!(value(&values, Input::TradeVariation), 16.0 + 9.0);
    }

    #[test]
    fn intensities_fade_and_do_not_depend_on_where_the_stream_began() {
        let second = 1_000_000_000;
        let watched_from = |from: i64| {
            let mut flow = Flow::new();
            let mut said = Vec::new();
            for at in from..1_500 {
                if at % 7 == 3 {
                    flow.on_trade(&trade(at * second, 100, 1, Side::Buy));
                }
                let values = flow.close(Timestamp::from_nanos((at + 1) * second));
                said.push(value(&values, Input::BuyIntensity));
            }
            said
        };
        let whole = watched_from(0);
        // A step of 300 s must have begun and passed.
        let known = whole.iter().position(|value| !value.is_nan());
        assert_eq!(known, Some(599));
        let exact: f64 = (0..1_000)
            .filter(|at| at % 7 == 3)
            .map(|at| libm::exp(-f64::from(1_000 - at) / 10.0))
            .sum();
        assert!((whole[999] - exact).abs() < 1e-12 * exact);
        let later = watched_from(437);
        assert_eq!(whole[899..], later[899 - 437..]);
        assert!(later[898 - 437].is_nan());
    }

    #[test]
    fn prices_at_the_end_of_their_range_are_compared() {
        let mut flow = Flow::new();
        let at = Timestamp::from_nanos;
        flow.on_top(at(0), Some(top(i64::MAX - 3, 1, i64::MAX - 1, 1)));
        flow.on_top(at(1), Some(top(1, 1, i64::MAX, 1)));
        assert!(value(&flow.close(at(2)), Input::MidPath) > 4e18);
    }
}

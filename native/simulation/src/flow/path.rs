//! The trades of one bar: they reproduce its open, high, low, close and volume exactly.

use domain::{Nanos, Side, Timestamp};

use crate::random::Stream;

/// Venues stamp trades in milliseconds.
const MILLISECOND: i64 = 1_000_000;
/// How often a trade repeats the price before it.
const REPEAT_PERCENT: i64 = 35;
/// Heaviest trade over lightest: 2 to this power, times eight.
const SIZE_OCTAVES: i64 = 12;

/// One bar in whole ticks and lots.
#[derive(Debug, Clone, Copy)]
pub(super) struct TickBar {
    pub(super) ts_open: Timestamp,
    pub(super) span: Nanos,
    pub(super) open: i64,
    pub(super) high: i64,
    pub(super) low: i64,
    pub(super) close: i64,
    pub(super) lots: i64,
}

/// A trade to come, with the quotes that stand when it happens.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) struct PlannedTrade {
    pub(super) ts: Timestamp,
    pub(super) price: i64,
    pub(super) lots: i64,
    pub(super) aggressor: Side,
    pub(super) bid: i64,
    pub(super) ask: i64,
}

/// How many trades a bar gets and how wide its quotes stand.
#[derive(Debug, Clone, Copy)]
pub(super) struct PathShape {
    pub(super) trades_min: i64,
    pub(super) trades_max: i64,
    pub(super) spread_min_ppm: i64,
    pub(super) spread_max_ppm: i64,
}

impl TickBar {
    /// Trades that the four prices demand: one print at each distinct place of the path.
    pub(super) fn trades_needed(&self) -> i64 {
        if self.low == self.high {
            return i64::from(self.lots > 0);
        }
        let ends = [self.open, self.close];
        2 + i64::from(!ends.contains(&self.high)) + i64::from(!ends.contains(&self.low))
    }
}

/// Plans the trades of `bar` into `out` (cleared first). A bar without volume gets none.
///
/// The caller has checked that the volume holds at least [`TickBar::trades_needed`] lots.
pub(super) fn plan(bar: &TickBar, shape: &PathShape, stream: &mut Stream, out: &mut Vec<PlannedTrade>) {
    out.clear();
    if bar.lots == 0 {
        return;
    }
    let wanted = stream.within(shape.trades_min, shape.trades_max);
    let count = wanted.max(bar.trades_needed()).min(bar.lots).min(bar.span.0);
    let unit = if bar.span.0 / MILLISECOND >= count.saturating_add(2) {
        MILLISECOND
    } else {
        1
    };
    for index in 0..count {
        out.push(PlannedTrade {
            ts: trade_time(bar, unit, index, count, stream),
            price: 0,
            lots: 1,
            aggressor: Side::Buy,
            bid: 0,
            ask: 0,
        });
    }
    place_prices(bar, stream, out);
    split_volume(bar.lots, stream, out);
    choose_quotes(bar, shape, stream, out);
}

/// First at the opening instant, last in the last unit of the bar, the others each in its own stretch.
fn trade_time(bar: &TickBar, unit: i64, index: i64, count: i64, stream: &mut Stream) -> Timestamp {
    let units = bar.span.0 / unit;
    let at = if index == 0 {
        0
    } else if index == count - 1 {
        units - 1
    } else {
        let stretch = |k: i64| 1 + scale(units - 2, k, count - 2);
        let (from, to) = (stretch(index - 1), stretch(index));
        stream.within(from, (to - 1).max(from))
    };
    bar.ts_open.plus(Nanos(at * unit))
}

/// `value * numerator / denominator` without overflow; the denominator is positive.
fn scale(value: i64, numerator: i64, denominator: i64) -> i64 {
    let wide = i128::from(value) * i128::from(numerator) / i128::from(denominator.max(1));
    i64::try_from(wide).unwrap_or(value)
}

/// Open first, close last, high and low once at least, a bridge with noise between these anchors.
fn place_prices(bar: &TickBar, stream: &mut Stream, out: &mut [PlannedTrade]) {
    let last = out.len() - 1;
    let ends = [bar.open, bar.close];
    let mut anchors = vec![(0, bar.open)];
    let (first, second) = inside_positions(last, stream);
    let extremes = if stream.chance(50) {
        [bar.high, bar.low]
    } else {
        [bar.low, bar.high]
    };
    let mut hidden = extremes.into_iter().filter(|price| !ends.contains(price));
    // The count of trades has room for each extreme that the ends do not show.
    match (hidden.next(), hidden.next()) {
        (Some(one), Some(other)) => anchors.extend([(first, one), (second, other)]),
        (Some(only), None) => anchors.push((if stream.chance(50) { first } else { second }, only)),
        _ => {}
    }
    anchors.push((last, bar.close));
    for pair in anchors.windows(2) {
        bridge(bar, pair[0], pair[1], stream, out);
    }
}

/// Two positions strictly inside `0..last`, ascending, and different where there are two.
fn inside_positions(last: usize, stream: &mut Stream) -> (usize, usize) {
    let inside = i64::try_from(last).unwrap_or(i64::MAX) - 1;
    let first = 1 + stream.below(inside);
    let mut second = 1 + stream.below(inside - 1);
    if inside > 1 && second >= first {
        second += 1;
    }
    let index = |position: i64| usize::try_from(position).unwrap_or(0);
    (index(first.min(second)), index(first.max(second)))
}

/// Prices from one anchor to the next: straight, with noise, now and then resting where they are.
fn bridge(
    bar: &TickBar,
    from: (usize, i64),
    to: (usize, i64),
    stream: &mut Stream,
    out: &mut [PlannedTrade],
) {
    let steps = i64::try_from(to.0 - from.0).unwrap_or(1);
    let noise = (bar.high - bar.low) / 12;
    out[from.0].price = from.1;
    for step in 1..steps {
        let at = from.0 + usize::try_from(step).unwrap_or(0);
        let straight = from.1 + scale(to.1 - from.1, step, steps);
        out[at].price = if stream.chance(REPEAT_PERCENT) {
            out[at - 1].price
        } else {
            (straight + stream.within(-noise, noise)).clamp(bar.low, bar.high)
        };
    }
    out[to.0].price = to.1;
}

/// Heavy-tailed sizes of at least one lot that sum to the volume.
fn split_volume(lots: i64, stream: &mut Stream, out: &mut [PlannedTrade]) {
    let count = i64::try_from(out.len()).unwrap_or(i64::MAX);
    let spare = i128::from(lots - count);
    let mut total: i128 = 0;
    // The weight stands in `lots` until the second pass.
    for trade in out.iter_mut() {
        trade.lots = stream.within(8, 15) << stream.below(SIZE_OCTAVES);
        total += i128::from(trade.lots);
    }
    let mut left = lots;
    for trade in out.iter_mut() {
        let share = spare * i128::from(trade.lots) / total;
        trade.lots = 1 + i64::try_from(share).unwrap_or(0);
        left -= trade.lots;
    }
    // What rounding left over, fewer lots than trades.
    let lucky = usize::try_from(stream.below(count)).unwrap_or(0);
    out[lucky].lots += left;
}

/// Who takes in each trade, and the quotes: the trade happens at the best price of the passive side, and
/// both quotes stay inside the bar's range where the range has room for two prices.
fn choose_quotes(bar: &TickBar, shape: &PathShape, stream: &mut Stream, out: &mut [PlannedTrade]) {
    let (mut last_price, mut last_side) = (bar.open, if stream.chance(50) { Side::Buy } else { Side::Sell });
    for trade in out.iter_mut() {
        let price = trade.price;
        let ranged = bar.low < bar.high;
        let side = if (ranged && price == bar.low) || price <= 1 {
            Side::Sell
        } else if (ranged && price == bar.high) || price > last_price {
            Side::Buy
        } else if price < last_price {
            Side::Sell
        } else {
            last_side
        };
        let spread_ppm = stream.within(shape.spread_min_ppm, shape.spread_max_ppm);
        let spread = scale(price, spread_ppm, 1_000_000).max(1);
        (trade.bid, trade.ask) = match side {
            Side::Buy => ((price - spread).max(if ranged { bar.low } else { 1 }), price),
            Side::Sell => (
                price,
                if ranged {
                    (price + spread).min(bar.high)
                } else {
                    price + spread
                },
            ),
        };
        trade.aggressor = side;
        (last_price, last_side) = (price, side);
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    const SHAPE: PathShape = PathShape {
        trades_min: 1,
        trades_max: 40,
        spread_min_ppm: 1,
        spread_max_ppm: 200,
    };

    /// Any bar whose volume its prices can be split into.
    fn any_bar() -> impl Strategy<Value = TickBar> {
        let prices = prop_oneof![Just(0i64), 1..4i64, 0..100_000i64];
        (
            1..1_000_000i64,
            prices.clone(),
            prices.clone(),
            prices,
            1..1_000_000_000i64,
            0..3i64,
        )
            .prop_map(|(base, a, b, c, lots, small)| {
                let mut sorted = [0, a, b, c];
                sorted.sort_unstable();
                let span = Nanos(900_000_000_000);
                let (low, high) = (base, base + sorted[3]);
                let mut bar = TickBar {
                    ts_open: Timestamp::from_nanos(span.0 * 7),
                    span,
                    open: base + a.min(sorted[3]),
                    high,
                    low,
                    close: base + b,
                    lots: if small == 0 { 1 } else { lots },
                };
                bar.lots = bar.lots.max(bar.trades_needed());
                bar
            })
    }

    proptest! {
        #[test]
        fn the_trades_are_the_bar(bar in any_bar(), seed in any::<u64>()) {
            let mut trades = Vec::new();
            plan(&bar, &SHAPE, &mut Stream::new(seed, "path", 0), &mut trades);
            prop_assert_eq!(trades[0].price, bar.open);
            prop_assert_eq!(trades[trades.len() - 1].price, bar.close);
            prop_assert_eq!(trades.iter().map(|t| t.price).max(), Some(bar.high));
            prop_assert_eq!(trades.iter().map(|t| t.price).min(), Some(bar.low));
            prop_assert_eq!(trades.iter().map(|t| t.lots).sum::<i64>(), bar.lots);
            prop_assert!(trades.iter().all(|t| t.lots >= 1));
            prop_assert_eq!(trades[0].ts, bar.ts_open);
            let inside = |t: &PlannedTrade| t.ts >= bar.ts_open && t.ts < bar.ts_open.plus(bar.span);
            prop_assert!(trades.iter().all(inside));
            prop_assert!(trades.windows(2).all(|pair| pair[0].ts < pair[1].ts));
        }

        #[test]
        fn a_trade_happens_at_the_best_passive_price(bar in any_bar(), seed in any::<u64>()) {
            let mut trades = Vec::new();
            plan(&bar, &SHAPE, &mut Stream::new(seed, "path", 0), &mut trades);
            for trade in trades {
                let passive = if trade.aggressor == Side::Buy { trade.ask } else { trade.bid };
                prop_assert_eq!(trade.price, passive);
                prop_assert!(0 < trade.bid && trade.bid < trade.ask);
                if bar.low < bar.high {
                    prop_assert!(bar.low <= trade.bid && trade.ask <= bar.high);
                }
            }
        }
    }

    #[test]
    fn a_bar_without_volume_has_no_trade() {
        let bar = TickBar {
            ts_open: Timestamp::EPOCH,
            span: Nanos(1_000),
            open: 5,
            high: 5,
            low: 5,
            close: 5,
            lots: 0,
        };
        let mut trades = Vec::new();
        plan(&bar, &SHAPE, &mut Stream::new(1, "path", 0), &mut trades);
        assert!(trades.is_empty());
        assert_eq!(bar.trades_needed(), 0);
    }

    #[test]
    fn three_trades_show_the_one_extreme_that_the_ends_do_not() {
        for seed in 0..200 {
            let bar = TickBar {
                ts_open: Timestamp::EPOCH,
                span: Nanos(1_000_000_000),
                open: 10,
                high: 20,
                low: 10,
                close: 15,
                lots: 3,
            };
            let mut trades = Vec::new();
            plan(&bar, &SHAPE, &mut Stream::new(seed, "path", 0), &mut trades);
            assert_eq!(trades.iter().map(|t| t.price).collect::<Vec<_>>(), [10, 20, 15]);
        }
    }
}

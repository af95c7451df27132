//! Bars that close by what happened instead of by the clock. M. López de Prado, Advances in Financial Machine Learning, 2018,
//! chapter 2.

use domain::{Bar, Decimal, InstrumentId, Nanos, Price, Quantity, SCALE, Side, Timestamp, Trade};

use super::features::Beside;
use super::flow::FLOW_INPUTS;
use super::program::Input;

/// Most trades of a bar of imbalance or runs, over those that are expected of one: a bar that waits for one side may wait for ever.
const STRETCH_MAX: f64 = 4.0;

/// Of a fair coin's tosses the more frequent side is so many roots of their number above a half, on average: 2 / sqrt(2 pi).
const ROOTS_ABOVE: f64 = 0.797_884_560_802_865_4;
/// Most bars over which a rule may average.
pub const AVERAGED_MAX: u16 = 10_000;

/// What a bar counts.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Measure {
    /// Trades.
    Ticks,
    /// Quantity.
    Volume,
    /// Price times quantity.
    Dollars,
}

/// When a bar closes.
#[derive(Debug, Clone, Copy, PartialEq)]
pub enum BarRule {
    /// At the end of an interval of so many nanoseconds, counted from the epoch; intervals without a trade have no bar.
    Time(i64),
    /// When so much was counted: trades, quantity or money, as people write it, to 1e-8.
    Size(Measure, f64),
    /// When buys over sells, or sells over buys, are more than was to be expected of a bar (2.3.2.1, 2.3.2.2), or than chance
    /// brings about in it.
    Imbalance(Measure, Expectation),
    /// When buys alone, or sells alone, are more than was to be expected of a bar (2.3.2.3).
    Run(Measure, Expectation),
}

/// What is expected of imbalance and run bars, and how fast they learn.
#[derive(Debug, Clone, Copy, PartialEq)]
pub struct Expectation {
    /// Trades of a bar. They are given and not learned: an average of lengths feeds on itself, and nothing brings it back.
    pub trades: f64,
    /// Bars over which sides are averaged (weight 2 / (n + 1)).
    pub bars: f64,
}

/// A rule of bars that close by what happened, as a feature set says it: exact, so that two of them can be held against each
/// other.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct EventRule {
    /// What a bar counts.
    pub measure: Measure,
    /// Of which it has enough.
    pub closing: Closing,
    /// Trades, quantity or money; of imbalance and runs the trades of the first bar. Above 0.
    pub size: Decimal,
}

/// When a bar has enough.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Closing {
    /// At its size.
    Size,
    /// As [`BarRule::Imbalance`], averaged over so many bars.
    Imbalance(u16),
    /// As [`BarRule::Run`], averaged over so many bars.
    Run(u16),
}

impl Measure {
    /// All of them.
    pub const ALL: [Self; 3] = [Self::Ticks, Self::Volume, Self::Dollars];

    /// Its word.
    #[must_use]
    pub const fn name(self) -> &'static str {
        match self {
            Self::Ticks => "ticks",
            Self::Volume => "volume",
            Self::Dollars => "dollars",
        }
    }
}

impl EventRule {
    /// The names of all rules.
    pub const NAMES: [&'static str; 9] = [
        "ticks",
        "volume",
        "dollars",
        "ticks_imbalance",
        "volume_imbalance",
        "dollars_imbalance",
        "ticks_run",
        "volume_run",
        "dollars_run",
    ];

    /// The rule of a name; `averaged` is of imbalance and runs only. `None` where there is no such rule.
    #[must_use]
    pub fn named(name: &str, size: Decimal, averaged: u16) -> Option<Self> {
        let (measure, closing) = match name.split_once('_') {
            None => (name, Closing::Size),
            Some((measure, "imbalance")) => (measure, Closing::Imbalance(averaged)),
            Some((measure, "run")) => (measure, Closing::Run(averaged)),
            Some(_) => return None,
        };
        let measure = Measure::ALL.into_iter().find(|one| one.name() == measure)?;
        Some(Self {
            measure,
            closing,
            size,
        })
    }

    /// Its name.
    #[must_use]
    pub fn name(&self) -> &'static str {
        let row = match self.closing {
            Closing::Size => 0,
            Closing::Imbalance(_) => 1,
            Closing::Run(_) => 2,
        };
        let column = Measure::ALL.iter().position(|one| *one == self.measure);
        Self::NAMES[row * Measure::ALL.len() + column.unwrap_or(0)]
    }

    /// Bars over which it averages.
    #[must_use]
    pub const fn averaged(&self) -> Option<u16> {
        match self.closing {
            Closing::Size => None,
            Closing::Imbalance(bars) | Closing::Run(bars) => Some(bars),
        }
    }

    /// Whether it has a size that closes bars: above 0, and where trades are counted or expected at least one of them; and bars to
    /// average over, where it does.
    #[must_use]
    pub fn is_whole(&self) -> bool {
        let least = if self.counts_trades() {
            Decimal::ONE
        } else {
            Decimal::from_units(1)
        };
        let averages = self
            .averaged()
            .is_none_or(|bars| (1..=AVERAGED_MAX).contains(&bars));
        self.size >= least && averages
    }

    /// Whether its size is a number of trades.
    #[must_use]
    pub fn counts_trades(&self) -> bool {
        self.measure == Measure::Ticks || self.closing != Closing::Size
    }

    /// What builds its bars.
    #[must_use]
    pub fn bar_rule(&self) -> BarRule {
        let bars = self.averaged().unwrap_or_default();
        self.sized(self.size.units() as f64 / SCALE as f64, bars.into())
    }

    /// The same rule of another size, averaged over so many bars where it averages.
    #[must_use]
    pub const fn sized(&self, size: f64, bars: f64) -> BarRule {
        let expected = Expectation { trades: size, bars };
        match self.closing {
            Closing::Size => BarRule::Size(self.measure, size),
            Closing::Imbalance(_) => BarRule::Imbalance(self.measure, expected),
            Closing::Run(_) => BarRule::Run(self.measure, expected),
        }
    }
}

/// A bar of trades.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct EventBar {
    /// Its first trade; of several bars that open at one instant each is set 1 ns behind the one before.
    pub ts_open: Timestamp,
    /// Its last; not before its open.
    pub ts_close: Timestamp,
    /// First price.
    pub open: Price,
    /// Highest.
    pub high: Price,
    /// Lowest.
    pub low: Price,
    /// Last.
    pub close: Price,
    /// Quantity.
    pub volume: Quantity,
    /// Of it, what was bought by those who took liquidity.
    pub buy_volume: Quantity,
    /// Trades.
    pub trades: u64,
}

impl EventBar {
    /// What features read of it beside the bar itself.
    pub(super) const INPUTS: [Input; 3] = [Input::BuyVolume, Input::SellVolume, Input::Trades];

    /// The values of these inputs.
    #[must_use]
    pub fn beside(&self) -> Beside {
        let sold = self.volume.units().saturating_sub(self.buy_volume.units());
        let values = [self.buy_volume.units() as f64, sold as f64, self.trades as f64];
        let mut beside = Beside::UNKNOWN;
        for (value, input) in values.into_iter().zip(Self::INPUTS) {
            if let Some(at) = FLOW_INPUTS.iter().position(|one| *one == input) {
                beside.flow[at] = value;
            }
        }
        beside
    }

    /// The bar as features read it: it spans the time from its first trade to its last.
    #[must_use]
    pub const fn as_bar(&self, instrument: InstrumentId) -> Bar {
        Bar {
            instrument,
            ts_open: self.ts_open,
            span: self.ts_close.since(self.ts_open),
            open: self.open,
            high: self.high,
            low: self.low,
            close: self.close,
            volume: self.volume,
        }
    }
}

/// Builds bars of one instrument's trades.
#[derive(Debug, Clone)]
pub struct EventBars {
    rule: BarRule,
    building: Option<EventBar>,
    /// Counted in the bar: buys and sells.
    counted: [f64; 2],
    /// The same together, exact: trades, quantity or money in units of 1e-8, 1e-8 and 1e-16.
    sum: i128,
    /// What a trade counts on average, buys and sells, each over all trades: over the bars before, which imbalance and runs are
    /// held against.
    of_trade: Option<[f64; 2]>,
    /// When the bar before opened.
    opened: Option<Timestamp>,
}

impl EventBars {
    /// No bar is begun.
    #[must_use]
    pub const fn new(rule: BarRule) -> Self {
        Self {
            rule,
            building: None,
            counted: [0.0; 2],
            sum: 0,
            of_trade: None,
            opened: None,
        }
    }

    /// Takes a trade; gives the bar that it closes. A bar of the clock is closed by the first trade behind it.
    pub fn on_trade(&mut self, trade: &Trade) -> Option<EventBar> {
        let by_clock = match (self.rule, &self.building) {
            (BarRule::Time(span), Some(bar)) => {
                let interval = |ts: Timestamp| ts.nanos().div_euclid(span.max(1));
                (interval(bar.ts_open) != interval(trade.ts_event)).then(|| self.close())
            }
            _ => None,
        };
        self.add(trade);
        by_clock
            .or_else(|| self.is_full().then(|| self.close()))
            .flatten()
    }

    /// The bar that is not closed.
    pub fn finish(&mut self) -> Option<EventBar> {
        self.close()
    }

    fn add(&mut self, trade: &Trade) {
        let is_buy = trade.aggressor == Side::Buy;
        let bought = if is_buy { trade.quantity } else { Quantity::ZERO };
        let total = |sum: Quantity, more: Quantity| sum.checked_add(more).unwrap_or(Quantity::MAX);
        let bar = self.building.get_or_insert(EventBar {
            ts_open: trade.ts_event,
            ts_close: trade.ts_event,
            open: trade.price,
            high: trade.price,
            low: trade.price,
            close: trade.price,
            volume: Quantity::ZERO,
            buy_volume: Quantity::ZERO,
            trades: 0,
        });
        bar.ts_close = trade.ts_event;
        bar.high = bar.high.max(trade.price);
        bar.low = bar.low.min(trade.price);
        bar.close = trade.price;
        bar.volume = total(bar.volume, trade.quantity);
        bar.buy_volume = total(bar.buy_volume, bought);
        bar.trades += 1;
        self.counted[usize::from(!is_buy)] += self.counts(trade);
        self.sum = self.sum.saturating_add(self.exactly(trade));
    }

    /// What a trade counts, in the units of `sum`.
    fn exactly(&self, trade: &Trade) -> i128 {
        let quantity = i128::from(trade.quantity.units());
        match self.rule {
            BarRule::Size(Measure::Volume, _) => quantity,
            BarRule::Size(Measure::Dollars, _) => quantity * i128::from(trade.price.units()),
            _ => i128::from(SCALE),
        }
    }

    /// What a trade counts, as people write it.
    fn counts(&self, trade: &Trade) -> f64 {
        const ONE: f64 = 1e8;
        let measure = match self.rule {
            BarRule::Time(_) => Measure::Ticks,
            BarRule::Size(measure, _) | BarRule::Imbalance(measure, _) | BarRule::Run(measure, _) => measure,
        };
        let quantity = trade.quantity.units() as f64 / ONE;
        match measure {
            Measure::Ticks => 1.0,
            Measure::Volume => quantity,
            Measure::Dollars => trade.price.units() as f64 / ONE * quantity,
        }
    }

    fn is_full(&self) -> bool {
        let [buys, sells] = self.counted;
        match self.rule {
            BarRule::Time(_) => false,
            BarRule::Size(measure, size) => self.sum >= exact(measure, size),
            BarRule::Imbalance(_, expected) => {
                self.has_enough(expected, (buys - sells).abs(), Self::imbalance)
            }
            BarRule::Run(_, expected) => self.has_enough(expected, buys.max(sells), Self::run),
        }
    }

    /// Whether so much is more than was to be expected. The first bar, of which nothing is expected yet, has its trades; a bar ends
    /// somewhere, however the market goes on.
    fn has_enough(&self, expected: Expectation, counted: f64, wanted: fn(f64, [f64; 2]) -> f64) -> bool {
        let trades = self.building.map_or(0, |bar| bar.trades) as f64;
        match self.of_trade {
            None => trades >= expected.trades,
            Some(of_trade) => {
                counted >= wanted(expected.trades, of_trade) || trades >= expected.trades * STRETCH_MAX
            }
        }
    }

    /// What buys exceed sells by, or sells buys, in so many trades: as learned, and at least what chance brings about, a root of
    /// their number. Without that bars of a balanced market would become ever shorter.
    fn imbalance(trades: f64, [of_buys, of_sells]: [f64; 2]) -> f64 {
        let chance = trades.sqrt() * (of_buys + of_sells);
        chance.max(trades * (of_buys - of_sells).abs())
    }

    /// What the more frequent side comes to in so many trades: as learned, and what chance adds to that.
    fn run(trades: f64, [of_buys, of_sells]: [f64; 2]) -> f64 {
        let chance = (trades * of_buys * of_sells).sqrt() * ROOTS_ABOVE;
        chance + trades * of_buys.max(of_sells)
    }

    fn shown(&self) -> [f64; 2] {
        let trades = self.building.map_or(1, |bar| bar.trades.max(1)) as f64;
        self.counted.map(|counted| counted / trades)
    }

    fn close(&mut self) -> Option<EventBar> {
        let mut bar = self.building?;
        if let BarRule::Imbalance(_, expected) | BarRule::Run(_, expected) = self.rule {
            self.learn(expected);
        }
        self.building = None;
        self.counted = [0.0; 2];
        self.sum = 0;
        let after = self.opened.map(|opened| opened.plus(Nanos(1)));
        bar.ts_open = after.map_or(bar.ts_open, |after| bar.ts_open.max(after));
        bar.ts_close = bar.ts_close.max(bar.ts_open);
        self.opened = Some(bar.ts_open);
        Some(bar)
    }

    fn learn(&mut self, expected: Expectation) {
        let weight = 2.0 / (expected.bars + 1.0);
        let toward = |before: f64, now: f64| before + weight * (now - before);
        let shown = self.shown();
        self.of_trade = Some(match self.of_trade {
            None => shown,
            Some([buys, sells]) => [toward(buys, shown[0]), toward(sells, shown[1])],
        });
    }
}

/// A size in the units in which it is counted.
#[expect(
    clippy::cast_possible_truncation,
    reason = "a float becomes the nearest, and what is beyond all the most"
)]
fn exact(measure: Measure, size: f64) -> i128 {
    let one = SCALE as f64;
    let units = (size * one).round();
    match measure {
        Measure::Ticks | Measure::Volume => units as i128,
        Measure::Dollars if units / one == size => (units as i128).saturating_mul(i128::from(SCALE)),
        // Money has more decimals than a size that is written as money.
        Measure::Dollars => (size * one * one).round() as i128,
    }
}

#[cfg(test)]
mod tests {
    use domain::TradeId;
    use proptest::prelude::*;

    use super::*;

    fn trades(steps: &[(i64, i64, bool)]) -> Vec<Trade> {
        let make = |(at, &(price, quantity, is_buy)): (usize, &(i64, i64, bool))| Trade {
            instrument: InstrumentId(0),
            ts_event: Timestamp::from_nanos(i64::try_from(at).unwrap() * 1_000),
            trade_id: TradeId(0),
            price: Price::from_units(price),
            quantity: Quantity::from_units(quantity),
            aggressor: if is_buy { Side::Buy } else { Side::Sell },
        };
        steps.iter().enumerate().map(make).collect()
    }

    fn bars(rule: BarRule, trades: &[Trade]) -> Vec<EventBar> {
        let mut builder = EventBars::new(rule);
        let mut made: Vec<_> = trades
            .iter()
            .filter_map(|trade| builder.on_trade(trade))
            .collect();
        made.extend(builder.finish());
        made
    }

    #[test]
    fn sizes_close_bars() {
        let one = 100_000_000;
        let made = trades(&[
            (10 * one, one, true),
            (12 * one, 2 * one, false),
            (9 * one, 3 * one, true),
            (9 * one, one, true),
        ]);
        let counts = |rule| bars(rule, &made).iter().map(|bar| bar.trades).collect::<Vec<_>>();
        assert_eq!(counts(BarRule::Size(Measure::Ticks, 3.0)), [3, 1]);
        assert_eq!(counts(BarRule::Size(Measure::Volume, 3.0)), [2, 1, 1]);
        assert_eq!(counts(BarRule::Size(Measure::Dollars, 34.0)), [2, 2]);
        assert_eq!(counts(BarRule::Time(2_000)), [2, 2]);
        let first = bars(BarRule::Size(Measure::Ticks, 3.0), &made)[0];
        assert_eq!(
            [first.open, first.high, first.low, first.close].map(|price| price.units() / one),
            [10, 12, 9, 9]
        );
        assert_eq!(
            (first.volume.units() / one, first.buy_volume.units() / one),
            (6, 4)
        );
    }

    #[test]
    fn sizes_are_reached_exactly() {
        let tenths = trades(&[(100_000_000, 10_000_000, true); 40]);
        for measure in [Measure::Volume, Measure::Dollars] {
            let made = bars(BarRule::Size(measure, 1.0), &tenths);
            assert_eq!(
                made.iter().map(|bar| bar.trades).collect::<Vec<_>>(),
                [10; 4],
                "{measure:?}"
            );
        }
        let thousandths = trades(&vec![(100_000_000, 100_000, true); 5_000]);
        let made = bars(BarRule::Size(Measure::Volume, 2.5), &thousandths);
        assert_eq!(made[0].trades, 2_500);
    }

    /// A market of two equal sides, before it a one-sided one: neither ends bars at once, nor never.
    #[test]
    fn bars_of_imbalance_and_runs_have_a_longest_and_do_not_vanish() {
        let mut state = 7_u64;
        let mut is_even = || {
            state = state
                .wrapping_mul(6_364_136_223_846_793_005)
                .wrapping_add(1_442_695_040_888_963_407);
            state >> 63 == 0
        };
        let steps: Vec<_> = (0..120_000)
            .map(|at| (100, 10, at < 20_000 || is_even()))
            .collect();
        let alternating: Vec<_> = (0..60_000)
            .map(|at| (100, 10, at < 1_000 || at % 2 == 0))
            .collect();
        let expected = Expectation {
            trades: 200.0,
            bars: 20.0,
        };
        for rule in [
            BarRule::Imbalance(Measure::Ticks, expected),
            BarRule::Run(Measure::Ticks, expected),
        ] {
            for steps in [&steps, &alternating] {
                let made = bars(rule, &trades(steps));
                let longest = made.iter().map(|bar| bar.trades).max().unwrap();
                assert!(longest <= 800, "{rule:?}: {longest}");
            }
            let fair = &bars(rule, &trades(&steps))[..];
            let fair = &fair[fair.len() / 2..];
            let mean = fair.iter().map(|bar| bar.trades).sum::<u64>() / fair.len() as u64;
            assert!((100..=400).contains(&mean), "{rule:?}: {mean}");
        }
    }

    #[test]
    fn one_sided_trading_closes_bars_of_imbalance_and_runs_sooner() {
        let steps: Vec<_> = (0..4_000)
            .map(|at| (100, 10, if at < 2_000 { at % 2 == 0 } else { true }))
            .collect();
        let made = trades(&steps);
        let expected = Expectation {
            trades: 50.0,
            bars: 20.0,
        };
        for rule in [
            BarRule::Imbalance(Measure::Ticks, expected),
            BarRule::Run(Measure::Ticks, expected),
        ] {
            let made = bars(rule, &made);
            let half = Timestamp::from_nanos(2_000 * 1_000);
            let (calm, sided) = made.split_at(made.partition_point(|bar| bar.ts_open < half));
            let mean =
                |bars: &[EventBar]| bars.iter().map(|bar| bar.trades).sum::<u64>() / bars.len().max(1) as u64;
            assert!(
                mean(&sided[..2]) < mean(calm),
                "{rule:?}: {} {}",
                mean(&sided[..2]),
                mean(calm)
            );
        }
    }

    #[test]
    fn bars_of_one_instant_open_one_after_the_other() {
        let mut steps = trades(&[(1, 1, true); 4]);
        for trade in &mut steps {
            trade.ts_event = Timestamp::from_nanos(7);
        }
        steps[3].ts_event = Timestamp::from_nanos(9);
        let made = bars(BarRule::Size(Measure::Ticks, 1.0), &steps);
        let times: Vec<_> = made
            .iter()
            .map(|bar| (bar.ts_open.nanos(), bar.ts_close.nanos()))
            .collect();
        assert_eq!(times, [(7, 7), (8, 8), (9, 9), (10, 10)]);
    }

    #[test]
    fn rules_have_their_names() {
        let size = Decimal::from_units(1_050_000_000);
        for name in EventRule::NAMES {
            let rule = EventRule::named(name, size, 20).unwrap();
            assert_eq!(rule.name(), name);
            assert_eq!(rule.averaged().is_some(), name.contains('_'));
        }
        let expected = Expectation {
            trades: 10.5,
            bars: 20.0,
        };
        let rule = EventRule::named("dollars_run", size, 20).unwrap();
        assert_eq!(rule.bar_rule(), BarRule::Run(Measure::Dollars, expected));
        for name in ["time", "ticks_", "volume_size", "run", ""] {
            assert_eq!(EventRule::named(name, size, 20), None, "{name}");
        }
    }

    proptest! {
        /// Whatever the rule, no trade is lost and none counts twice.
        #[test]
        fn bars_hold_all_trades_in_order(
            steps in prop::collection::vec((1_i64..1_000_000_000, 1_i64..1_000_000_000, any::<bool>()), 1..300),
            size in 0.5_f64..40.0, which in 0_usize..10,
        ) {
            let expected = Expectation { trades: size, bars: 10.0 };
            let measure = [Measure::Ticks, Measure::Volume, Measure::Dollars][which % 3];
            let rule = match which / 3 {
                0 => BarRule::Size(measure, size),
                1 => BarRule::Imbalance(measure, expected),
                2 => BarRule::Run(measure, expected),
                _ => BarRule::Time(7_000),
            };
            let all = trades(&steps);
            let made = bars(rule, &all);
            prop_assert_eq!(made.iter().map(|bar| bar.trades).sum::<u64>(), all.len() as u64);
            let volume: i64 = made.iter().map(|bar| bar.volume.units()).sum();
            prop_assert_eq!(volume, all.iter().map(|trade| trade.quantity.units()).sum::<i64>());
            let mut next = 0;
            for bar in &made {
                let end = next + usize::try_from(bar.trades).unwrap();
                let own = &all[next..end];
                prop_assert_eq!((bar.open, bar.close), (own[0].price, own[own.len() - 1].price));
                prop_assert_eq!(Some(bar.high), own.iter().map(|trade| trade.price).max());
                prop_assert_eq!(Some(bar.low), own.iter().map(|trade| trade.price).min());
                next = end;
            }
        }
    }
}

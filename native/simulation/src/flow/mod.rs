//! From real bars to a seeded sequence of order events.
//!
//! The trades of each bar reproduce its open, high, low, close and volume exactly. A book of resting
//! liquidity is kept around them: every trade happens at the standing best price of the passive side, and
//! the book is never crossed.

mod depth;
mod path;

use domain::{Bar, Instrument, Nanos, Price, Quantity, Side, Timestamp};

use self::depth::{CrowdBook, DepthShape, Sink};
use self::path::{PathShape, PlannedTrade, TickBar};
use crate::error::SimulationError;
use crate::random::Stream;

/// Most trades in one bar.
pub const TRADES_PER_BAR_MAX: u16 = 10_000;
/// Most price levels on one side of the crowd's book.
pub const LEVELS_MAX: u16 = 500;
/// Most changes of the book between two trades.
pub const QUIET_CHANGES_MAX: u16 = 100;
/// Widest spread and widest gap between levels, in millionths of the price.
pub const PPM_MAX: u32 = 100_000;

/// How long before the first bar the book stands.
pub const OPENING_LEAD: Nanos = Nanos(1_000_000_000);

/// How lively the market is. All ranges are inclusive.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct FlowConfig {
    /// Seed: the same seed and bars give the same events.
    pub seed: u64,
    /// Fewest trades in a bar with volume (more when its prices demand more), from 1.
    pub trades_min: u16,
    /// Most trades in a bar, up to [`TRADES_PER_BAR_MAX`].
    pub trades_max: u16,
    /// Price levels on each side, 1 to [`LEVELS_MAX`].
    pub levels: u16,
    /// Narrowest spread in millionths of the price (never below one tick).
    pub spread_min_ppm: u32,
    /// Widest spread in millionths of the price, up to [`PPM_MAX`].
    pub spread_max_ppm: u32,
    /// Mean gap between levels in millionths of the price, up to [`PPM_MAX`].
    pub level_gap_ppm: u32,
    /// Smallest size of a new level; at least one lot.
    pub quantity_min: Quantity,
    /// Largest size of a new level at the best price; deeper levels are smaller.
    pub quantity_max: Quantity,
    /// Most changes of the book between two trades, up to [`QUIET_CHANGES_MAX`].
    pub quiet_changes_max: u16,
}

impl FlowConfig {
    /// The defaults: 24 to 64 trades a bar, 20 levels about 0.2 basis points apart, a spread of 0.1 to 1 basis
    /// point, 0.05 to 4 units of base a level.
    #[must_use]
    pub const fn with_seed(seed: u64) -> Self {
        Self {
            seed,
            trades_min: 24,
            trades_max: 64,
            levels: 20,
            spread_min_ppm: 10,
            spread_max_ppm: 100,
            level_gap_ppm: 20,
            quantity_min: Quantity::from_units(5_000_000),
            quantity_max: Quantity::from_units(400_000_000),
            quiet_changes_max: 2,
        }
    }

    fn check(&self, lot: Quantity) -> Result<(), SimulationError> {
        let rules: [(&'static str, i64, bool, &'static str); 7] = [
            (
                "trades_min",
                self.trades_min.into(),
                self.trades_min >= 1,
                "1 or more",
            ),
            (
                "trades_max",
                self.trades_max.into(),
                (self.trades_min..=TRADES_PER_BAR_MAX).contains(&self.trades_max),
                "trades_min to 10000",
            ),
            (
                "levels",
                self.levels.into(),
                (1..=LEVELS_MAX).contains(&self.levels),
                "1 to 500",
            ),
            (
                "spread_max_ppm",
                self.spread_max_ppm.into(),
                (self.spread_min_ppm..=PPM_MAX).contains(&self.spread_max_ppm),
                "spread_min_ppm to 100000",
            ),
            (
                "level_gap_ppm",
                self.level_gap_ppm.into(),
                self.level_gap_ppm <= PPM_MAX,
                "0 to 100000",
            ),
            (
                "quantity_max",
                self.quantity_max.units(),
                self.quantity_max >= self.quantity_min && self.quantity_min >= lot,
                "at least quantity_min, which is at least one lot (units of 1e-8)",
            ),
            (
                "quiet_changes_max",
                self.quiet_changes_max.into(),
                self.quiet_changes_max <= QUIET_CHANGES_MAX,
                "0 to 100",
            ),
        ];
        match rules.into_iter().find(|rule| !rule.2) {
            Some((name, value, _, allowed)) => Err(SimulationError::Parameter { name, value, allowed }),
            None => Ok(()),
        }
    }
}

/// What the crowd does, or what the record says about the bar that begins.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum FlowKind {
    /// A bar of the record begins; its trades follow.
    BarOpened {
        /// Lowest recorded price.
        low: Price,
        /// Highest recorded price.
        high: Price,
        /// Volume above one lot for each trade: what others may take in the place of the crowd.
        spare: Quantity,
    },
    /// Liquidity comes to a level.
    Add {
        /// Side of the book.
        side: Side,
        /// Price.
        price: Price,
        /// How much comes.
        quantity: Quantity,
    },
    /// Liquidity leaves a level.
    Cancel {
        /// Side of the book.
        side: Side,
        /// Price.
        price: Price,
        /// How much leaves.
        quantity: Quantity,
    },
    /// The crowd takes from the best level of the other side.
    Trade {
        /// The best price of the passive side.
        price: Price,
        /// Quantity, at least one lot.
        quantity: Quantity,
        /// Who takes.
        aggressor: Side,
    },
    /// The record has no more bars: the book stays as it is.
    RecordEnded,
}

/// One event of the crowd at a point in venue time. Events of one instant belong together.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct FlowEvent {
    /// Venue time.
    pub ts: Timestamp,
    /// What happens.
    pub kind: FlowKind,
}

/// The generator: an iterator over the events of all bars, in time order.
#[derive(Debug)]
pub struct BarFlow {
    config: FlowConfig,
    tick: i64,
    lot: i64,
    bars: Vec<Bar>,
    next_bar: usize,
    ended: bool,
    book: CrowdBook,
    planned: Vec<PlannedTrade>,
    events: Vec<FlowEvent>,
    next_event: usize,
}

impl BarFlow {
    /// A flow over `bars`, which ascend on the grid of their span; holes between them are allowed.
    ///
    /// # Errors
    /// [`SimulationError`] names the first parameter or bar that makes it impossible.
    pub fn new(instrument: &Instrument, config: FlowConfig, bars: Vec<Bar>) -> Result<Self, SimulationError> {
        let rules = &instrument.rules;
        let (tick, lot) = (rules.tick_size.units().max(1), rules.lot_size.units().max(1));
        config.check(Quantity::from_units(lot))?;
        check_bars(&bars, tick, lot)?;
        let shape = DepthShape {
            levels: usize::from(config.levels),
            gap_ppm: config.level_gap_ppm.into(),
            lots_min: config.quantity_min.units() / lot,
            lots_max: config.quantity_max.units() / lot,
            tick,
            lot,
        };
        Ok(Self {
            config,
            tick,
            lot,
            bars,
            next_bar: 0,
            ended: false,
            book: CrowdBook::new(shape),
            planned: Vec::new(),
            events: Vec::new(),
            next_event: 0,
        })
    }

    /// The bars it plays, all of them.
    pub fn bars(&self) -> &[Bar] {
        &self.bars
    }

    /// How many bars it has begun to generate.
    pub fn bars_begun(&self) -> usize {
        self.next_bar
    }

    /// Time of the next event; `None` after the last.
    pub fn next_ts(&mut self) -> Option<Timestamp> {
        self.fill();
        self.events.get(self.next_event).map(|event| event.ts)
    }

    /// Generates bars until there is an event to hand out.
    fn fill(&mut self) {
        while self.next_event >= self.events.len() && !self.ended {
            self.events.clear();
            self.next_event = 0;
            if let Some(bar) = self.bars.get(self.next_bar).copied() {
                if self.next_bar == 0 {
                    self.open_book(&bar);
                }
                self.next_bar += 1;
                self.play(&bar);
            } else {
                self.ended = true;
                let ts = self.bars.last().map_or(Timestamp::EPOCH, Bar::ts_close);
                self.sink(ts).push(FlowKind::RecordEnded);
            }
        }
    }

    fn play(&mut self, bar: &Bar) {
        let ticks = in_ticks(bar, self.tick, self.lot);
        let shape = PathShape {
            trades_min: self.config.trades_min.into(),
            trades_max: self.config.trades_max.into(),
            spread_min_ppm: self.config.spread_min_ppm.into(),
            spread_max_ppm: self.config.spread_max_ppm.into(),
        };
        let mut path_stream = Stream::new(self.config.seed, "flow.path", bar.number());
        let mut book_stream = Stream::new(self.config.seed, "flow.book", bar.number());
        path::plan(&ticks, &shape, &mut path_stream, &mut self.planned);
        let planned = std::mem::take(&mut self.planned);
        let spare = planned.iter().map(|trade| trade.lots - 1).sum::<i64>() * self.lot;
        self.sink(bar.ts_open).push(FlowKind::BarOpened {
            low: bar.low,
            high: bar.high,
            spare: Quantity::from_units(spare),
        });
        if planned.is_empty() {
            self.play_quiet_bar(&ticks, &mut book_stream);
        }
        for (index, trade) in planned.iter().enumerate() {
            self.play_trade(trade, &mut book_stream);
            let until = planned.get(index + 1).map_or(trade.ts, |next| next.ts);
            self.play_quiet(trade.ts, until, &mut book_stream);
        }
        self.planned = planned;
    }

    fn sink(&mut self, ts: Timestamp) -> Sink<'_> {
        Sink {
            ts,
            events: &mut self.events,
        }
    }

    fn play_trade(&mut self, trade: &PlannedTrade, stream: &mut Stream) {
        let mut sink = Sink {
            ts: trade.ts,
            events: &mut self.events,
        };
        let passive = trade.aggressor.opposite();
        self.book.move_to(trade.bid, trade.ask, stream, &mut sink);
        self.book.ensure_best(passive, trade.lots, stream, &mut sink);
        self.book.take_best(passive, trade.lots);
        sink.push(FlowKind::Trade {
            price: Price::from_units(trade.price * self.tick),
            quantity: Quantity::from_units(trade.lots * self.lot),
            aggressor: trade.aggressor,
        });
    }

    /// The book before the first bar: quotes around its open, and nothing that an own order could trade with.
    fn open_book(&mut self, bar: &Bar) {
        let ts = Timestamp::from_nanos(bar.ts_open.nanos().saturating_sub(OPENING_LEAD.0));
        let mut stream = Stream::new(self.config.seed, "flow.open", bar.number());
        self.sink(ts).push(FlowKind::BarOpened {
            low: bar.open,
            high: bar.open,
            spare: Quantity::ZERO,
        });
        self.quote_around(ts, bar.open.units() / self.tick, &mut stream);
    }

    /// A bar in which nothing trades: the quotes stand around its price, and sizes change.
    fn play_quiet_bar(&mut self, bar: &TickBar, stream: &mut Stream) {
        self.quote_around(bar.ts_open, bar.close, stream);
        self.play_quiet(bar.ts_open, bar.ts_open.plus(bar.span), stream);
    }

    /// Moves the quotes to a seeded spread around `price` in ticks.
    fn quote_around(&mut self, ts: Timestamp, price: i64, stream: &mut Stream) {
        let mut sink = Sink {
            ts,
            events: &mut self.events,
        };
        let ppm = stream.within(
            self.config.spread_min_ppm.into(),
            self.config.spread_max_ppm.into(),
        );
        let spread = i64::try_from(i128::from(price) * i128::from(ppm) / 1_000_000)
            .unwrap_or(1)
            .max(1);
        let bid = (price - spread / 2).max(1);
        self.book.move_to(bid, bid + spread, stream, &mut sink);
    }

    /// Changes of the book strictly between two points in time, on whole milliseconds.
    fn play_quiet(&mut self, from: Timestamp, until: Timestamp, stream: &mut Stream) {
        const MILLISECOND: i64 = 1_000_000;
        let changes = stream.within(0, self.config.quiet_changes_max.into());
        let room = until.since(from).0 / MILLISECOND - 1;
        if room < changes {
            return;
        }
        for change in 0..changes {
            // Each change in its own stretch: they ascend.
            let low = 1 + room * change / changes;
            let high = (room * (change + 1) / changes).max(low);
            let at = stream.within(low, high) * MILLISECOND;
            let mut sink = Sink {
                ts: from.plus(Nanos(at)),
                events: &mut self.events,
            };
            self.book.flicker(stream, &mut sink);
        }
    }
}

impl Iterator for BarFlow {
    type Item = FlowEvent;

    fn next(&mut self) -> Option<FlowEvent> {
        self.fill();
        let event = self.events.get(self.next_event).copied();
        self.next_event += usize::from(event.is_some());
        event
    }
}

fn in_ticks(bar: &Bar, tick: i64, lot: i64) -> TickBar {
    TickBar {
        ts_open: bar.ts_open,
        span: bar.span,
        open: bar.open.units() / tick,
        high: bar.high.units() / tick,
        low: bar.low.units() / tick,
        close: bar.close.units() / tick,
        lots: bar.volume.units() / lot,
    }
}

fn check_bars(bars: &[Bar], tick: i64, lot: i64) -> Result<(), SimulationError> {
    if bars.is_empty() {
        return Err(SimulationError::NoBars);
    }
    let mut end = Timestamp::from_nanos(i64::MIN);
    for (index, bar) in bars.iter().enumerate() {
        let ts_open = bar.ts_open;
        if bar.span.0 <= 0 || ts_open.floor_to(bar.span) != ts_open || ts_open < end {
            return Err(SimulationError::Order { index, ts_open });
        }
        if !bar.is_consistent() {
            return Err(SimulationError::Inconsistent { index, ts_open });
        }
        let prices = [bar.open, bar.high, bar.low, bar.close];
        if let Some(price) = prices.into_iter().find(|price| price.units() % tick != 0) {
            return Err(SimulationError::OffTick {
                index,
                ts_open,
                price,
                tick: Price::from_units(tick),
            });
        }
        // A flat bar without volume is an empty one; any other shape needs a trade to show it.
        let needed = in_ticks(bar, tick, lot).trades_needed();
        if bar.volume.units() % lot != 0 || bar.volume.units() / lot < needed || needed > bar.span.0 {
            return Err(SimulationError::Volume {
                index,
                ts_open,
                volume: bar.volume,
                needed,
                lot: Quantity::from_units(lot),
            });
        }
        end = bar.ts_close();
    }
    Ok(())
}

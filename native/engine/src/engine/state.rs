//! The tables of the engine: instruments, slots, venues, balances.

use domain::{
    Balance, Bar, BundleDigest, Currency, Decimal, Instrument, Nanos, Price, SCALE, Timestamp, Venue,
};

use super::config::{EngineConfig, Flatten};
use super::event_series::AllSeries;
use crate::action::FeatureRow;
use crate::limits::CURRENCIES_MAX;
use crate::market::{BarBuilder, BarHistory, Book};
use crate::risk::{Drawdown, RiskLimits};
use crate::signals::{
    BarFlow, Beside, EventRule, FeatureEngine, FeatureSpec, SlowColumn, SlowFact, SlowParameters, SpecError,
};
use crate::slot::{SlotConfig, SlotProgram};

/// One instrument: its rules, book and bars.
#[derive(Debug)]
pub(super) struct InstrumentState {
    pub(super) instrument: Instrument,
    pub(super) book: Book,
    pub(super) bars: BarBuilder,
    pub(super) history: BarHistory,
    /// Bars that close by events, of the rules that programs read.
    pub(super) series: AllSeries,
    /// What happens in the bars; only of an instrument that a slot trades.
    pub(super) flow: Option<BarFlow>,
    /// What a record knows beside each bar, by the numbers of bars: then it counts, and not what is watched here.
    pub(super) recorded: Option<Vec<(i64, Beside)>>,
    grace: Nanos,
    /// Counts changes of the past in `history`: features built before are rebuilt.
    pub(super) revision: u32,
    /// Venue time of the data that the top of the book comes from.
    pub(super) data_ts: Timestamp,
    /// Best bid and ask that strategies were last told.
    pub(super) told: Option<(Price, Price)>,
}

impl InstrumentState {
    pub(super) fn new(instrument: Instrument, config: &EngineConfig) -> Self {
        let is_traded = config.slots.iter().any(|slot| slot.instrument == instrument.id);
        Self {
            instrument,
            book: Book::new(instrument.id),
            bars: BarBuilder::new(instrument.id, config.bar_span, config.bar_close_grace),
            history: BarHistory::new(),
            series: AllSeries::default(),
            flow: is_traded.then(|| BarFlow::new(config.bar_span)),
            recorded: None,
            grace: config.bar_close_grace,
            revision: 0,
            data_ts: Timestamp::EPOCH,
            told: None,
        }
    }

    /// Age of the data behind the top of the book: since they were received, and since the venue made them.
    pub(super) fn data_age(&self, now: Timestamp) -> Nanos {
        now.since(self.book.last_update()).max(now.since(self.data_ts))
    }

    /// The book stands as it does from a time of the venue on.
    pub(super) fn watch_top(&mut self, ts_event: Timestamp) {
        if let Some(flow) = &mut self.flow {
            let traded = ts_event.plus(Nanos(-self.grace.0));
            flow.on_top(ts_event, self.book.top(), traded);
        }
    }

    /// The book is lost.
    pub(super) fn lose_top(&mut self) {
        self.told = None;
        if let Some(flow) = &mut self.flow {
            flow.lose_top();
        }
    }

    /// Takes a closed bar into the history.
    pub(super) fn remember(&mut self, bar: Bar) {
        let follows = self
            .history
            .last()
            .is_none_or(|last| last.number() + 1 == bar.number());
        if !follows {
            if self.known(&bar) == Some(&bar) {
                return;
            }
            self.revision = self.revision.wrapping_add(1);
        }
        self.history.insert(bar);
    }

    /// Something became known from a time on: features that have seen a later close start over with it.
    pub(super) fn learn(&mut self, since: Timestamp) {
        let is_past = self.history.last().is_some_and(|last| since <= last.ts_close());
        if is_past {
            self.revision = self.revision.wrapping_add(1);
        }
    }

    /// The remembered bar of the same number.
    fn known(&self, bar: &Bar) -> Option<&Bar> {
        let bars = self.history.contiguous();
        let behind = bars.last()?.number().checked_sub(bar.number())?;
        let at = bars
            .len()
            .checked_sub(1)?
            .checked_sub(usize::try_from(behind).ok()?)?;
        bars.get(at)
    }
}

/// A program with its features, ready to run.
pub(super) struct Running {
    pub(super) program: SlotProgram,
    pub(super) features: Option<Features>,
    /// When the approval ends.
    pub(super) expires: Timestamp,
}

impl Running {
    /// Makes a program ready: its features see the bars that are remembered.
    pub(super) fn new(
        program: SlotProgram,
        history: &InstrumentState,
        slow: &SlowParameters,
    ) -> Result<Self, SpecError> {
        let features = match &program.features {
            None => None,
            Some(spec) => Some(Features::new(spec, history, slow)?),
        };
        let expires = program.expires;
        Ok(Self {
            program,
            features,
            expires,
        })
    }

    /// The slow parameters that its features read.
    pub(super) fn slow(&self) -> &[SlowColumn] {
        self.program.features.as_ref().map_or(&[], |spec| &spec.slow)
    }

    /// The rule of the events that close its bars; `None` where the clock does.
    pub(super) fn events(&self) -> Option<EventRule> {
        self.features
            .as_ref()
            .and_then(|features| features.engine.events())
    }

    /// Its features, where the clock closes their bars.
    pub(super) fn features_by_the_clock(&mut self) -> Option<&mut Features> {
        let features = self.features.as_mut();
        features.filter(|features| features.engine.events().is_none())
    }

    /// Whether its features read what a fact tells.
    pub(super) fn declares(&self, fact: &SlowFact) -> bool {
        let is_named = self.slow().iter().any(|column| column.name == fact.name);
        is_named && self.program.instrument == fact.instrument
    }

    pub(super) const fn digest(&self) -> BundleDigest {
        self.program.digest
    }
}

/// A program's features and what they have seen.
pub(super) struct Features {
    engine: FeatureEngine,
    revision: u32,
    last_number: Option<i64>,
}

impl Features {
    fn new(spec: &FeatureSpec, state: &InstrumentState, slow: &SlowParameters) -> Result<Self, SpecError> {
        let bars = state.history.contiguous();
        let mut features = Self {
            engine: FeatureEngine::new(spec)?,
            revision: state.revision,
            last_number: bars.last().map(Bar::number),
        };
        if spec.events.is_none() {
            features.warm(bars, state, slow);
        }
        Ok(features)
    }

    /// Bars of events count from an activation on, which is an event itself, and not from when a program was made ready:
    /// the features begin with the bars that are there already.
    pub(super) fn begin(&mut self, series: &AllSeries) {
        if let Some(series) = self.engine.events().and_then(|rule| series.of(rule)) {
            self.engine.warm_numbered(series.numbered());
        }
    }

    /// Whether the last bar had a row, and the next one will follow it.
    pub(super) fn is_warm(&self, state: &InstrumentState) -> bool {
        let goes_on = match self.engine.events() {
            None => self.revision == state.revision,
            Some(rule) => {
                let series = state.series.of(rule);
                series.is_some_and(|series| series.ends_with(self.engine.last_number()))
            }
        };
        goes_on && self.engine.is_warm()
    }

    /// The row of a bar that events closed.
    pub(super) fn follow_event(&mut self, number: i64, bar: &Bar, beside: &Beside) -> Option<FeatureRow> {
        self.engine.on_numbered(number, bar, beside)
    }

    fn warm(&mut self, bars: &[Bar], state: &InstrumentState, slow: &SlowParameters) {
        let spec = self.engine.slow().to_vec();
        let known = |bar| (bar, beside(&spec, bar, (state, slow)));
        self.engine.warm(bars.iter().map(known));
    }

    /// The row of the newest remembered bar, which must be `bar`; `None` while they are not warm.
    ///
    /// Features follow bar by bar. Where the past has changed or a bar is missing between, they start again
    /// from the bars that stand without a hole.
    pub(super) fn follow(
        &mut self,
        bar: &Bar,
        state: &InstrumentState,
        slow: &SlowParameters,
    ) -> Option<FeatureRow> {
        let number = bar.number();
        let next = self.last_number.is_none_or(|last| last + 1 == number);
        if self.revision != state.revision || !next {
            let bars = state.history.contiguous();
            let before = bars.len().saturating_sub(1);
            self.warm(&bars[..before], state, slow);
            self.revision = state.revision;
        }
        self.last_number = Some(number);
        let beside = beside(self.engine.slow(), bar, (state, slow));
        self.engine.on_bar(bar, &beside)
    }
}

/// What is known of a bar beside its prices.
fn beside(columns: &[SlowColumn], bar: &Bar, (state, slow): (&InstrumentState, &SlowParameters)) -> Beside {
    if let Some(recorded) = &state.recorded {
        let found = recorded.binary_search_by_key(&bar.number(), |(number, _)| *number);
        return found.map_or(Beside::UNKNOWN, |at| recorded[at].1);
    }
    let mut known = Beside::UNKNOWN;
    if let Some(flow) = state.flow.as_ref().and_then(|flow| flow.of(bar.number())) {
        known.flow = *flow;
    }
    for (value, column) in known.slow.iter_mut().zip(columns) {
        let outside = slow.at(bar.instrument, column, bar.ts_close());
        *value = outside.map_or(f64::NAN, |outside| column.unit.inside(outside));
    }
    known
}

/// One slot: its programs and its stops.
pub(super) struct SlotState {
    pub(super) config: SlotConfig,
    pub(super) active: Option<Running>,
    pub(super) staged: Option<Running>,
    /// The program before, kept hot for a rollback.
    pub(super) previous: Option<Running>,
    pub(super) drawdown: Drawdown,
    /// Only reducing until flat: a swap left the position to run off.
    pub(super) run_off: bool,
    pub(super) flatten: Option<Flatten>,
    /// The end of the approval has been told.
    pub(super) expiry_told: bool,
    /// Of the last program; zero before the first.
    pub(super) daily_volatility: Decimal,
    /// Orders of the strategy that risk denied one after the other.
    pub(super) denials_in_row: u32,
}

impl SlotState {
    pub(super) const fn new(config: SlotConfig) -> Self {
        Self {
            config,
            active: None,
            staged: None,
            previous: None,
            drawdown: Drawdown {
                peak: config.capital.units(),
            },
            run_off: false,
            flatten: None,
            expiry_told: false,
            daily_volatility: Decimal::ZERO,
            denials_in_row: 0,
        }
    }

    /// What runs, what is staged, and what ran before.
    pub(super) fn programs(&self) -> impl Iterator<Item = &Running> {
        [&self.active, &self.staged, &self.previous].into_iter().flatten()
    }

    /// The slot's own limits: its program's, or the service's before the first.
    pub(super) fn limits<'a>(&'a self, service: &'a RiskLimits) -> &'a RiskLimits {
        self.active
            .as_ref()
            .map_or(service, |running| &running.program.limits)
    }

    /// Whether the running approval has ended.
    pub(super) fn is_expired(&self, now: Timestamp) -> bool {
        self.active.as_ref().is_some_and(|running| now >= running.expires)
    }

    /// Share of the full size that the running approval allows.
    pub(super) fn size_scale(&self) -> Decimal {
        self.active
            .as_ref()
            .map_or(Decimal::ONE, |running| running.program.size_scale)
    }
}

/// What is known of a venue's connection.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) struct VenueLink {
    pub(super) online: bool,
    pub(super) reconciled: bool,
}

/// Totals (free and locked) by venue and currency, units of 1e-16, kept current with our own fills
/// between two words of the venue.
#[derive(Debug)]
pub(super) struct Balances {
    totals: Vec<(Venue, Currency, i128)>,
    /// What an asset of which the venue has said nothing counts as: nothing live, unlimited in a backtest.
    unheard: Option<i128>,
}

impl Balances {
    pub(super) fn new(require_reconciliation: bool) -> Self {
        Self {
            totals: Vec::with_capacity(CURRENCIES_MAX),
            unheard: require_reconciliation.then_some(0),
        }
    }

    /// The venue's word; `false` when the table is full.
    pub(super) fn set(&mut self, venue: Venue, balance: &Balance) -> bool {
        let (free, locked) = (
            i128::from(balance.free.units()),
            i128::from(balance.locked.units()),
        );
        let total = (free + locked) * i128::from(SCALE);
        let has_room = self.totals.len() < CURRENCIES_MAX;
        match self.entry(venue, balance.currency) {
            Some(known) => *known = total,
            None if has_room => self.totals.push((venue, balance.currency, total)),
            None => return false,
        }
        true
    }

    /// Our own fill moved it. What counts as nothing until the venue speaks begins with it; what counts as
    /// unlimited stays so.
    pub(super) fn add(&mut self, venue: Venue, currency: Currency, change: i128) {
        let begins = self.unheard.is_some() && self.totals.len() < CURRENCIES_MAX;
        match self.entry(venue, currency) {
            Some(total) => *total = total.saturating_add(change),
            None if begins => self.totals.push((venue, currency, change)),
            None => {}
        }
    }

    /// The total; `None` when nothing limits it.
    pub(super) fn total(&self, venue: Venue, currency: Currency) -> Option<i128> {
        let known = self
            .totals
            .iter()
            .find(|(at, of, _)| (*at, *of) == (venue, currency));
        known.map_or(self.unheard, |(_, _, total)| Some(*total))
    }

    /// The total as far as the venue has told.
    pub(super) fn heard(&self, venue: Venue, currency: Currency) -> Option<i128> {
        let known = self
            .totals
            .iter()
            .find(|(at, of, _)| (*at, *of) == (venue, currency));
        known.map(|(_, _, total)| *total)
    }

    fn entry(&mut self, venue: Venue, currency: Currency) -> Option<&mut i128> {
        let known = self
            .totals
            .iter_mut()
            .find(|(at, of, _)| (*at, *of) == (venue, currency));
        known.map(|(_, _, total)| total)
    }
}

//! What a backtest assumes about the account, the venue and the market, and the engine made from it.

use domain::{BundleDigest, Decimal, Epoch, Instrument, InstrumentId, Money, Nanos, SlotId, Timestamp};
use engine::risk::RiskLimits;
use engine::signals::{FeatureSpec, Model};
use engine::strategy::Strategy;
use engine::{BundleActivated, CarriedState, Engine, EngineConfig, OnSwap, SlotConfig, SlotProgram};
use simulation::{FeeSchedule, FlowConfig, LatencyModel};

use crate::error::BacktestError;

/// The one slot of a backtest.
pub const BACKTEST_SLOT: SlotId = SlotId(1);

/// The one life of a backtest.
pub const BACKTEST_EPOCH: Epoch = Epoch(1);

/// A backtest runs a program, not a bundle: its digest names none.
const DIGEST: BundleDigest = BundleDigest([0; 32]);

const NEVER: Timestamp = Timestamp::from_nanos(i64::MAX);

/// How long an order may stay without an answer; the simulated venue always answers.
const ORDER_ACK_TIMEOUT: Nanos = Nanos::from_secs(60);

/// The simulated feed is one queue: no quote overtakes a trade, so a quote closes a bar as well as a trade does.
const BAR_CLOSE_GRACE: Nanos = Nanos(0);

/// What is assumed.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Settings {
    /// What is traded, with the venue's rules; its id is 0.
    pub instrument: Instrument,
    /// What the strategy begins with, quote currency.
    pub capital: Money,
    /// Limits of the account.
    pub limits: RiskLimits,
    /// Standard deviation of daily returns, for the value at risk.
    pub daily_volatility: Decimal,
    /// Length of a bar, and the distance between points of equity.
    pub bar_span: Nanos,
    /// Delays between us and the venue.
    pub latency: LatencyModel,
    /// What the venue takes.
    pub fees: FeeSchedule,
    /// The market that is made from bars: its spread, depth and seed. Not used over quotes.
    pub flow: FlowConfig,
    /// Keep every signal in the report.
    pub keep_signals: bool,
}

/// What trades.
pub struct Program {
    /// Decides.
    pub strategy: Box<dyn Strategy>,
    /// Features of the bars; `None` for a strategy without.
    pub features: Option<FeatureSpec>,
    /// Scores the features.
    pub model: Option<Box<dyn Model>>,
}

impl std::fmt::Debug for Program {
    fn fmt(&self, out: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        out.debug_struct("Program")
            .field("features", &self.features)
            .field("has_model", &self.model.is_some())
            .finish_non_exhaustive()
    }
}

impl Settings {
    /// The engine with `program` staged under `limits`.
    pub(crate) fn engine(&self, program: Program, limits: RiskLimits) -> Result<Engine, BacktestError> {
        let mut engine = Engine::new(EngineConfig {
            epoch: BACKTEST_EPOCH,
            portfolio_currency: self.instrument.quote,
            instruments: vec![self.instrument],
            slots: vec![SlotConfig {
                slot: BACKTEST_SLOT,
                instrument: self.instrument.id,
                capital: self.capital,
            }],
            limits,
            bar_span: self.bar_span,
            bar_close_grace: BAR_CLOSE_GRACE,
            order_ack_timeout: ORDER_ACK_TIMEOUT,
            require_reconciliation: false,
            carried: CarriedState::default(),
        })?;
        if program.features.is_none() {
            engine.watch_no_flow(self.instrument.id);
        }
        engine.stage(SlotProgram {
            slot: BACKTEST_SLOT,
            digest: DIGEST,
            instrument: InstrumentId(0),
            features: program.features,
            model: program.model,
            strategy: program.strategy,
            limits,
            daily_volatility: self.daily_volatility,
            size_scale: Decimal::ONE,
            expires: NEVER,
            on_swap: OnSwap::Adopt,
        })?;
        Ok(engine)
    }

    /// The activation of the staged program.
    pub(crate) const fn activation() -> BundleActivated {
        BundleActivated {
            slot: BACKTEST_SLOT,
            digest: DIGEST,
            serial: 1,
            expires: NEVER,
        }
    }
}

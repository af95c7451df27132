//! Programs without a bundle behind them.

use domain::{BundleDigest, Decimal, Instrument, Nanos, SCALE, SlotId, Text, Timestamp};
use engine::risk::RiskLimits;
use engine::signals::program::Unit;
use engine::signals::{FeatureDef, FeatureKind, FeatureSpec, SlowColumn};
use engine::strategy::{BarView, Intents, SlotView, SmaCross, SmaCrossParameters, SmaSource, Strategy};
use engine::{BundleActivated, Decision, EngineConfig, OnSwap, SlotProgram};
use live::programs::{About, Approved, ProgramRefused, Programs};

use super::BTC;

/// Buys and sells on every cross of two short averages of closes.
pub(crate) const CROSS: BundleDigest = BundleDigest([7; 32]);

/// Wants nothing: only what a person asks for is sent.
pub(crate) const SILENT: BundleDigest = BundleDigest([8; 32]);

/// As [`SILENT`], by an older approval.
pub(crate) const OLDER: BundleDigest = BundleDigest([9; 32]);

/// As [`SILENT`], with a feature of a slow parameter: `rate` over the close.
pub(crate) const OF_RATE: BundleDigest = BundleDigest([10; 32]);

#[derive(Debug)]
pub(crate) struct TestPrograms {
    pub(crate) limits: RiskLimits,
}

impl TestPrograms {
    fn find(&self, slot: SlotId, digest: BundleDigest) -> Result<Approved, ProgramRefused> {
        let (strategy, serial): (Box<dyn Strategy>, _) = match digest {
            CROSS => (Box::new(cross()), 2),
            SILENT => (Box::new(Silent), 3),
            OLDER => (Box::new(Silent), 1),
            OF_RATE => (Box::new(Silent), 4),
            _ => return Err(ProgramRefused("no such bundle".to_owned())),
        };
        let program = SlotProgram {
            slot,
            digest,
            instrument: BTC,
            features: (digest == OF_RATE).then(of_rate),
            model: None,
            strategy,
            limits: self.limits,
            daily_volatility: Decimal::from_units(SCALE / 50),
            size_scale: Decimal::from_units(SCALE),
            expires: Timestamp::from_nanos(i64::MAX),
            on_swap: OnSwap::Adopt,
        };
        Ok(Approved {
            program,
            about: About {
                name: "test".to_owned(),
                version: "1.0.0".to_owned(),
                stage: "paper",
                serial,
                expires: Timestamp::from_nanos(i64::MAX),
            },
            parameters: Vec::new(),
        })
    }
}

impl Programs for TestPrograms {
    fn approved(
        &self,
        slot: SlotId,
        _: &Instrument,
        digest: BundleDigest,
    ) -> Result<Approved, ProgramRefused> {
        self.find(slot, digest)
    }

    fn recorded(
        &self,
        activation: &BundleActivated,
        _: &EngineConfig,
    ) -> Result<SlotProgram, ProgramRefused> {
        self.find(activation.slot, activation.digest)
            .map(|approved| approved.program)
    }
}

fn of_rate() -> FeatureSpec {
    FeatureSpec {
        bar_span: Nanos::from_secs(60),
        events: None,
        slow: vec![SlowColumn {
            name: Text::new("rate").unwrap(),
            unit: Unit::NONE,
            max_age: Nanos::from_secs(7 * 86_400),
        }],
        features: vec![FeatureDef {
            name: "rate_change".to_owned(),
            kind: FeatureKind::Expression("rate + delta(rate, 2)".to_owned()),
            restart_window: 0,
        }],
    }
}

fn cross() -> SmaCross {
    SmaCross::new(SmaCrossParameters {
        source: SmaSource::BarClose,
        fast: 1,
        slow: 3,
        position_size_pct: Decimal::from_units(SCALE / 20),
    })
    .unwrap()
}

struct Silent;

impl Strategy for Silent {
    fn on_bar(&mut self, _: &SlotView<'_>, _: &BarView<'_>, _: &mut Intents) -> Decision {
        Decision::Hold
    }
}

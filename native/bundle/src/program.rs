//! A verified bundle in the engine's terms.

use config::StrategyConfig;
use domain::{BundleDigest, Decimal, Instrument, InstrumentId, SlotId, Timestamp};
use engine::risk::RiskLimits;
use engine::signals::{FeatureSpec, Model};
use engine::strategy::ThresholdModel;
use engine::{OnSwap, SlotProgram};

use crate::content::Content;
use crate::error::BundleError;
use crate::keys::ApprovalStage;
use crate::manifest::{MANIFEST, STRATEGY};
use crate::verify::VerifiedBundle;

/// The quote currency of a strategy file that stands for the venue's dollar currency.
const DOLLAR: &str = "USD";

/// Currencies that count as dollars.
const DOLLARS: [&str; 4] = [DOLLAR, "USDT", "USDC", "FDUSD"];

/// What a model says of itself, as plain texts: whoever loaded it knows.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct ModelFacts<'m> {
    /// The name in its metadata.
    pub name: &'m str,
    /// Its features, in the order of a row.
    pub feature_names: &'m [String],
    /// Hash of the feature specification that it was trained on, lower-case hex.
    pub feature_spec_sha256: &'m str,
}

/// Everything of a slot's program but the model.
#[derive(Debug, Clone)]
pub struct ProgramParts {
    /// For which slot.
    pub slot: SlotId,
    /// The bundle's identity.
    pub digest: BundleDigest,
    /// What it trades.
    pub instrument: InstrumentId,
    /// Its features.
    pub features: FeatureSpec,
    /// Its strategy file.
    pub strategy: StrategyConfig,
    /// Its limits, none looser than the policy's.
    pub limits: RiskLimits,
    /// Standard deviation of daily returns in the training data.
    pub daily_volatility: Decimal,
    /// Share of the full size.
    pub size_scale: Decimal,
    /// When the approval ends.
    pub expires: Timestamp,
    /// What becomes of position and orders at the swap.
    pub on_swap: OnSwap,
    /// The approval's serial.
    pub serial: u64,
    /// The approval's stage.
    pub stage: ApprovalStage,
}

impl VerifiedBundle {
    /// Turns the bundle into the engine's types.
    ///
    /// # Errors
    /// [`BundleError`]: a limit that is looser than `policy`, another instrument, or a model that says of itself
    /// anything but what the bundle is.
    pub fn into_program_parts(
        self,
        policy: &RiskLimits,
        instrument: &Instrument,
        model: &ModelFacts<'_>,
    ) -> Result<ProgramParts, BundleError> {
        let (content, approval) = self.into_parts();
        content.check_model(model)?;
        content.check_limits(policy)?;
        check_instrument(&content, instrument)?;
        Ok(ProgramParts {
            slot: approval.slot,
            digest: content.digest(),
            instrument: instrument.id,
            features: content.features().clone(),
            strategy: content.strategy().clone(),
            limits: *content.limits(),
            daily_volatility: content.daily_volatility(),
            size_scale: approval.size_scale,
            expires: approval.expires,
            on_swap: content.strategy().on_swap,
            serial: approval.serial,
            stage: approval.stage,
        })
    }
}

impl ProgramParts {
    /// Joins the parts with their model.
    ///
    /// # Errors
    /// [`BundleError::NotAllowed`] when a parameter is outside the strategy's own range.
    pub fn into_program(self, model: Box<dyn Model>) -> Result<SlotProgram, BundleError> {
        let strategy = ThresholdModel::new(self.strategy.parameters, model.as_ref())
            .map_err(|error| BundleError::not_allowed(STRATEGY, error.key, "out of range", error.allowed))?;
        Ok(SlotProgram {
            slot: self.slot,
            digest: self.digest,
            instrument: self.instrument,
            features: Some(self.features),
            model: Some(model),
            strategy: Box::new(strategy),
            limits: self.limits,
            daily_volatility: self.daily_volatility,
            size_scale: self.size_scale,
            expires: self.expires,
            on_swap: self.on_swap,
        })
    }
}

fn check_instrument(content: &Content, instrument: &Instrument) -> Result<(), BundleError> {
    let (manifest, strategy) = (content.manifest(), content.strategy());
    if manifest.instrument != instrument.symbol.as_str() {
        let found = format!("{:?}", manifest.instrument);
        let allowed = format!("{:?}, what the slot trades", instrument.symbol.as_str());
        return Err(BundleError::not_allowed(MANIFEST, "instrument", found, allowed));
    }
    if strategy.venue != instrument.venue {
        let (found, allowed) = (strategy.venue.as_str(), instrument.venue.as_str());
        return Err(BundleError::not_allowed(
            STRATEGY,
            "strategy.exchange",
            found,
            allowed,
        ));
    }
    let quote = strategy.quote == instrument.quote
        || (strategy.quote.as_str() == DOLLAR && DOLLARS.contains(&instrument.quote.as_str()));
    if strategy.base != instrument.base || !quote {
        let found = format!("{}/{}", strategy.base, strategy.quote);
        let allowed = format!("{}/{}, what the slot trades", instrument.base, instrument.quote);
        return Err(BundleError::not_allowed(
            STRATEGY,
            "strategy.asset",
            found,
            allowed,
        ));
    }
    Ok(())
}

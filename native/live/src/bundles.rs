//! Programs from the bundle store: both signatures, approval, limits, model and golden rows, or nothing.

use std::path::PathBuf;

use bundle::{
    Admission, ApprovalStage, BundleError, Expectation, ModelFacts, ProgramParts, TrustedKeys,
    VerifiedBundle, verify, verify_recorded,
};
use config::Stage;
use domain::{BundleDigest, Decimal, Instrument, SCALE, SlotId, Timestamp};
use engine::risk::RiskLimits;
use engine::strategy::ThresholdParameters;
use engine::{BundleActivated, EngineConfig, ParameterId, SlotProgram};
use inference::{GoldenRows, TreeModel, verify_golden};
use tracing::debug;

use crate::clock::wall_now;
use crate::programs::{About, Approved, ProgramRefused, Programs};
use crate::setup::{Setup, read_trusted_keys};

/// The stages at which real money may be at stake.
const LIVE: [ApprovalStage; 4] = [
    ApprovalStage::Live10,
    ApprovalStage::Live25,
    ApprovalStage::Live50,
    ApprovalStage::Live100,
];

/// The store that the service's configuration names.
#[derive(Debug)]
pub struct StoredBundles {
    store: PathBuf,
    trusted_keys: PathBuf,
    stages: &'static [ApprovalStage],
    policy: RiskLimits,
    now: fn() -> Timestamp,
}

impl StoredBundles {
    /// As the configuration says.
    #[must_use]
    pub fn of(setup: &Setup) -> Self {
        let config = &setup.service.config;
        Self {
            store: PathBuf::from(&config.bundle_store),
            trusted_keys: PathBuf::from(&config.trusted_keys_file),
            stages: match config.stage {
                Stage::Dev | Stage::Paper => &[ApprovalStage::Paper],
                Stage::Prod => &LIVE,
            },
            policy: setup.limits,
            // Approvals are acts of people: this machine's time counts, however fast the venue's runs.
            now: wall_now,
        }
    }

    /// An approval names one stage; the service runs it when it is one of its own.
    fn verify(
        &self,
        keys: &TrustedKeys,
        slot: SlotId,
        digest: BundleDigest,
    ) -> Result<VerifiedBundle, BundleError> {
        let mut refused = None;
        for stage in self.stages {
            let expectation = Expectation {
                slot,
                stage: *stage,
                now: (self.now)(),
                // Which serial is a step forward is judged by the record, in `deploy`.
                admission: Admission::Deploy { serial_floor: 0 },
            };
            match verify(&self.store, digest, keys, &expectation) {
                Err(error @ BundleError::OtherStage { .. }) => refused = Some(error),
                other => return other,
            }
        }
        Err(refused.expect("a service has a stage"))
    }
}

impl Programs for StoredBundles {
    fn approved(
        &self,
        slot: SlotId,
        instrument: &Instrument,
        digest: BundleDigest,
    ) -> Result<Approved, ProgramRefused> {
        // As the list stands now: who signed may have lost the trust.
        let keys = read_trusted_keys(&self.trusted_keys).map_err(refused)?;
        let verified = self.verify(&keys, slot, digest).map_err(refused)?;
        let (manifest, approval) = (verified.content().manifest(), verified.approval());
        let about = About {
            name: manifest.name.clone(),
            version: manifest.version.to_string(),
            stage: approval.stage.as_str(),
            serial: approval.serial,
            expires: approval.expires,
        };
        let golden = GoldenRows::read(verified.content().golden_bytes()).map_err(refused)?;
        let (parts, mut model) = read(verified, &self.policy, instrument)?;
        let report = verify_golden(&mut model, &golden).map_err(refused)?;
        debug!(?digest, ?report, "golden rows");
        let parameters = parameters(&parts.strategy.parameters);
        Ok(Approved {
            program: parts.into_program(Box::new(model)).map_err(refused)?,
            about,
            parameters,
        })
    }

    fn recorded(
        &self,
        activation: &BundleActivated,
        config: &EngineConfig,
    ) -> Result<SlotProgram, ProgramRefused> {
        let BundleActivated {
            slot, digest, serial, ..
        } = *activation;
        let listed = config.slots.iter().find(|one| one.slot == slot);
        let instrument = listed.and_then(|slot| config.instruments.get(usize::from(slot.instrument.0)));
        let instrument = instrument.ok_or_else(|| refused("the record has no such slot"))?;
        let keys = read_trusted_keys(&self.trusted_keys).map_err(refused)?;
        let verified = verify_recorded(&self.store, digest, &keys, slot, serial).map_err(refused)?;
        let (parts, model) = read(verified, &config.limits, instrument)?;
        parts.into_program(Box::new(model)).map_err(refused)
    }
}

fn read(
    verified: VerifiedBundle,
    policy: &RiskLimits,
    instrument: &Instrument,
) -> Result<(ProgramParts, TreeModel), ProgramRefused> {
    let model = TreeModel::load(verified.content().model_bytes()).map_err(refused)?;
    let metadata = model.metadata();
    let facts = ModelFacts {
        name: metadata.name(),
        feature_names: metadata.feature_names(),
        feature_spec_sha256: metadata.feature_spec_sha256(),
    };
    let parts = verified
        .into_program_parts(policy, instrument, &facts)
        .map_err(refused)?;
    Ok((parts, model))
}

fn refused(error: impl std::fmt::Display) -> ProgramRefused {
    ProgramRefused(error.to_string())
}

/// What may be changed while running, as the strategy's file has it.
fn parameters(file: &ThresholdParameters) -> Vec<(ParameterId, Decimal)> {
    let whole = |number: u32| Decimal::from_units(i64::from(number) * SCALE);
    ParameterId::ALL
        .map(|parameter| {
            let value = match parameter {
                ParameterId::EntryThreshold => file.entry_threshold,
                ParameterId::ExitThreshold => file.exit_threshold,
                ParameterId::PositionSizePct => file.position_size_pct,
                ParameterId::LimitOffsetBps => whole(file.limit_offset_bps),
                ParameterId::TimeoutSeconds => whole(file.timeout_seconds),
            };
            (parameter, value)
        })
        .to_vec()
}

#[cfg(test)]
mod tests {
    use std::path::Path;

    use domain::{
        Currency, InstrumentId, InstrumentRules, InstrumentStatus, Money, Price, Quantity, Text, Venue,
    };

    use super::*;

    const GOOD: &str = "af703430f2e7dd4e91a50eee1c74b986afe5c8ddc0f067aa5dc241513610182e";

    /// A day on which the golden bundle's approval holds.
    fn in_time() -> Timestamp {
        Timestamp::from_millis(1_641_081_600_000)
    }

    fn golden(now: fn() -> Timestamp) -> StoredBundles {
        let folder = Path::new(env!("CARGO_MANIFEST_DIR")).join("../../tests/contract/bundle");
        let read = |name: &str| std::fs::read_to_string(folder.join(name)).unwrap();
        StoredBundles {
            store: folder.join("store"),
            trusted_keys: folder.join("trusted_keys.toml"),
            stages: &[ApprovalStage::Paper],
            policy: config::parse_risk_limits("policy.toml", &read("policy.toml")).unwrap(),
            now,
        }
    }

    fn instrument(symbol: &str) -> Instrument {
        let usdt = Currency::new("USDT").unwrap();
        Instrument {
            id: InstrumentId(0),
            venue: Venue::Binance,
            symbol: Text::new(symbol).unwrap(),
            base: Currency::new("BTC").unwrap(),
            quote: usdt,
            rules: InstrumentRules {
                tick_size: Price::from_units(1),
                lot_size: Quantity::from_units(1),
                min_price: Price::from_units(1),
                max_price: Price::MAX,
                min_quantity: Quantity::from_units(1),
                max_quantity: Quantity::MAX,
                min_notional: Money::zero(usdt),
            },
            status: InstrumentStatus::Trading,
        }
    }

    #[test]
    fn a_bundle_with_everything_in_order_becomes_a_program_with_its_parameters() {
        let digest = BundleDigest::from_hex(GOOD).unwrap();
        let approved = golden(in_time).approved(SlotId(1), &instrument("BTCUSDT"), digest);
        let approved = approved.unwrap();
        assert_eq!((approved.program.digest, approved.about.serial), (digest, 5));
        assert_eq!(
            (approved.about.name.as_str(), approved.about.stage),
            ("golden", "paper")
        );
        assert_eq!(approved.parameters.len(), ParameterId::ALL.len());
    }

    #[test]
    fn what_is_not_in_order_says_why() {
        let digest = BundleDigest::from_hex(GOOD).unwrap();
        let refusal = |bundles: &StoredBundles, slot, symbol| {
            let refused = bundles.approved(SlotId(slot), &instrument(symbol), digest);
            refused.unwrap_err().to_string()
        };
        let bundles = golden(in_time);
        assert!(refusal(&bundles, 2, "BTCUSDT").contains("slot"));
        assert!(refusal(&bundles, 1, "ETHUSDT").contains("BTCUSDT"));
        let late = refusal(&golden(wall_now), 1, "BTCUSDT");
        assert!(late.contains("expired"), "its month is over: {late}");
        let live = StoredBundles {
            stages: &LIVE,
            ..golden(in_time)
        };
        assert!(refusal(&live, 1, "BTCUSDT").contains("paper"));
        let tight = StoredBundles {
            policy: RiskLimits {
                max_order_rate_per_min: 1,
                ..bundles.policy
            },
            ..golden(in_time)
        };
        assert!(refusal(&tight, 1, "BTCUSDT").contains("max_order_rate_per_min"));
        let unknown = bundles.approved(SlotId(1), &instrument("BTCUSDT"), BundleDigest([0; 32]));
        assert!(unknown.is_err());
    }

    #[test]
    fn a_signature_counts_as_long_as_its_key_is_trusted() {
        let folder = tempfile::tempdir().unwrap();
        let trusted_keys = folder.path().join("trusted_keys.toml");
        let bundles = StoredBundles {
            trusted_keys: trusted_keys.clone(),
            ..golden(in_time)
        };
        let all = std::fs::read_to_string(golden(in_time).trusted_keys).unwrap();
        let no_approver: Vec<_> = all
            .split("[[key]]")
            .filter(|key| !key.contains("\"approver\""))
            .collect();
        let verdict = |keys: &str| {
            std::fs::write(&trusted_keys, keys).unwrap();
            let digest = BundleDigest::from_hex(GOOD).unwrap();
            let approved = bundles.approved(SlotId(1), &instrument("BTCUSDT"), digest);
            approved.map(|_| ()).map_err(|refused| refused.to_string())
        };
        assert_eq!(verdict(&all), Ok(()));
        let refused = verdict(&no_approver.join("[[key]]")).unwrap_err();
        assert!(refused.contains("not trusted"), "{refused}");
        assert!(verdict("[[key]]").is_err());
        assert_eq!(verdict(&all), Ok(()));
    }
}

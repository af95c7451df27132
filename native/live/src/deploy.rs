//! Bundles into slots: verified beside the deciding thread, swapped in between two events.

use std::collections::BTreeMap;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

use domain::{BundleDigest, Instrument, Money, SlotId, Timestamp};
use engine::{BundleActivated, ParameterId, SlotConfig, SlotProgram};
use journal::Scale;
use messaging::RefusalReason;
use thiserror::Error;
use tokio::sync::oneshot;
use tracing::{error, info, warn};
use venues::clock::{Clock, ServerClock};

use crate::clock::wall_now;
use crate::fact::{Deploy, Fact, FactSender};
use crate::programs::{About, Approved, ProgramRefused, Programs};
use crate::record::Begun;
use crate::service::NotDeciding;
use crate::session::Session;
use crate::way_back::WayBack;

/// Why a slot runs what it ran before.
#[derive(Debug, Clone, PartialEq, Eq, Error)]
pub enum DeployError {
    /// The bundle or its approval was refused.
    #[error("refused: {0}")]
    Refused(#[from] ProgramRefused),
    /// Its serial is not above the highest that was ever active there.
    #[error("serial {serial} is not above {highest}, the highest that was active in slot {}: a later approval is needed", .slot.0)]
    Serial {
        /// Which slot.
        slot: SlotId,
        /// The approval's.
        serial: u64,
        /// The highest so far.
        highest: u64,
    },
    /// No such slot.
    #[error("slot {} is not configured", .0.0)]
    UnknownSlot(SlotId),
    /// The slot has nothing to go back to.
    #[error("slot {} has no bundle before this one to go back to (one that was left for an earlier one is none): deploy the one that is to run", .0.0)]
    NothingBefore(SlotId),
    /// The engine did not take it.
    #[error("not activated: {0}")]
    NotActivated(String),
    /// Nobody decides any more.
    #[error(transparent)]
    NotDeciding(#[from] NotDeciding),
}

impl DeployError {
    /// Why, for programs, where there is a word for it.
    #[must_use]
    pub const fn code(&self) -> Option<RefusalReason> {
        match self {
            Self::Refused(_) | Self::Serial { .. } => Some(RefusalReason::BundleRefused),
            Self::UnknownSlot(_) => Some(RefusalReason::UnknownSlot),
            Self::NothingBefore(_) => Some(RefusalReason::NothingToRollBack),
            Self::NotDeciding(_) => Some(RefusalReason::ShuttingDown),
            Self::NotActivated(_) => None,
        }
    }
}

/// What has run, by slot.
#[derive(Debug, Default)]
struct Ledger {
    serials: BTreeMap<SlotId, u64>,
    /// What the bundles of this life say of themselves.
    about: BTreeMap<BundleDigest, About>,
    /// What runs in this life, and by which serial.
    active: BTreeMap<SlotId, (BundleDigest, u64)>,
    ways_back: BTreeMap<SlotId, WayBack>,
}

impl Ledger {
    fn activated(&mut self, activation: &BundleActivated, about: About) {
        let BundleActivated {
            slot, digest, serial, ..
        } = *activation;
        let highest = self.serials.entry(slot).or_insert(0);
        *highest = serial.max(*highest);
        self.about.insert(digest, about);
        self.active.insert(slot, (digest, serial));
        self.ways_back.entry(slot).or_default().ran(digest);
    }

    fn before(&self, slot: SlotId) -> Option<BundleDigest> {
        self.ways_back.get(&slot).and_then(WayBack::before)
    }
}

/// Deploys and rolls back.
#[derive(Debug)]
pub struct Deployer {
    programs: Arc<dyn Programs>,
    /// What each slot trades, and with how much.
    slots: BTreeMap<SlotId, (Instrument, Money)>,
    facts: FactSender,
    clock: Arc<ServerClock>,
    scale: Scale,
    ledger: Mutex<Ledger>,
    /// One deployment at a time: verifying takes a while, and its serial must still be the highest after.
    turn: tokio::sync::Mutex<()>,
}

impl Deployer {
    pub(crate) fn new(
        programs: Arc<dyn Programs>,
        facts: FactSender,
        session: &Session,
        begun: &Begun,
    ) -> Self {
        let instrument = |slot: &SlotConfig| {
            let instrument = session.instruments.get(slot.instrument)?;
            Some((slot.slot, (*instrument, slot.capital)))
        };
        let ledger = Ledger {
            serials: begun.serials.iter().copied().collect(),
            ways_back: begun.ways_back.iter().cloned().collect(),
            ..Ledger::default()
        };
        Self {
            programs,
            slots: begun.config.slots.iter().filter_map(instrument).collect(),
            facts,
            clock: Arc::clone(&session.clock),
            scale: session.scale,
            ledger: Mutex::new(ledger),
            turn: tokio::sync::Mutex::new(()),
        }
    }

    /// Verifies a bundle and lets it take its slot over. A bundle that runs there already by this approval is left
    /// alone.
    ///
    /// # Errors
    /// [`DeployError`]: the slot runs what it ran before.
    pub async fn deploy(&self, slot: SlotId, digest: BundleDigest) -> Result<(), DeployError> {
        let _turn = self.turn.lock().await;
        let approved = self.verify(slot, digest).await?;
        let serial = approved.about.serial;
        {
            let ledger = self.ledger();
            if ledger.active.get(&slot) == Some(&(digest, serial)) {
                return Ok(());
            }
            let highest = ledger.serials.get(&slot).copied().unwrap_or(0);
            if serial <= highest {
                return Err(DeployError::Serial {
                    slot,
                    serial,
                    highest,
                });
            }
        }
        self.activate(slot, approved).await
    }

    /// Back to the bundle that ran before, in this life or an earlier one, if its approval still holds.
    ///
    /// # Errors
    /// [`DeployError`]: the slot runs what it ran before.
    pub async fn roll_back(&self, slot: SlotId) -> Result<(), DeployError> {
        let _turn = self.turn.lock().await;
        let digest = self.before(slot).ok_or(DeployError::NothingBefore(slot))?;
        let approved = self.verify(slot, digest).await?;
        self.activate(slot, approved).await
    }

    /// Lets what ran when the last life ended run again, where its approval still holds.
    pub(crate) async fn restore(self: Arc<Self>, active: Vec<BundleActivated>) {
        let _turn = self.turn.lock().await;
        for BundleActivated { slot, digest, .. } in active {
            let restored = match self.verify(slot, digest).await {
                Ok(approved) => self.activate(slot, approved).await,
                Err(refused) => Err(refused),
            };
            if let Err(error) = restored {
                error!(slot = slot.0, ?digest, %error, "not running again: deploy another bundle");
            }
        }
    }

    async fn verify(&self, slot: SlotId, digest: BundleDigest) -> Result<Approved, DeployError> {
        let programs = Arc::clone(&self.programs);
        let (instrument, _) = *self.slots.get(&slot).ok_or(DeployError::UnknownSlot(slot))?;
        let verified =
            tokio::task::spawn_blocking(move || programs.approved(slot, &instrument, digest)).await;
        let refused = |_| ProgramRefused("verifying it ended in a defect".to_owned());
        Ok(verified.map_err(refused)??)
    }

    async fn activate(&self, slot: SlotId, approved: Approved) -> Result<(), DeployError> {
        let too_large = self
            .slots
            .get(&slot)
            .is_some_and(|(_, capital)| reaches_largest_order(*capital, &approved));
        let Approved {
            program,
            about,
            parameters,
        } = approved;
        let activation = BundleActivated {
            slot,
            digest: program.digest,
            serial: about.serial,
            expires: self.in_service_time(about.expires),
        };
        let (reply, result) = oneshot::channel();
        let deploy = Deploy {
            program: self.scaled(program),
            activation,
            parameters,
            reply,
        };
        let gone = |_| NotDeciding;
        self.facts
            .send(Fact::Deploy(Box::new(deploy)))
            .await
            .map_err(gone)?;
        let activated = result.await.map_err(|_| NotDeciding)?;
        activated.map_err(DeployError::NotActivated)?;
        let About {
            name,
            version,
            serial,
            ..
        } = &about;
        info!(slot = slot.0, name, version, serial, "deployed");
        if too_large {
            warn!(
                slot = slot.0,
                "capital x position_size_pct reaches max_order_size_usd: as soon as the slot has gained, risk denies \
                 its entries; lower one or raise the other"
            );
        }
        self.ledger().activated(&activation, about);
        Ok(())
    }

    /// Approvals end by the clocks that people approve by; the engine counts in service time.
    fn in_service_time(&self, expires: Timestamp) -> Timestamp {
        let left = expires.since(wall_now());
        self.clock.now().plus(self.clock.service_span(left))
    }

    fn scaled(&self, program: SlotProgram) -> SlotProgram {
        SlotProgram {
            limits: self.scale.limits(program.limits),
            ..program
        }
    }

    /// The bundle that a rollback of the slot goes back to.
    #[must_use]
    pub fn before(&self, slot: SlotId) -> Option<BundleDigest> {
        self.ledger().before(slot)
    }

    /// What a bundle that ran in this life says of itself.
    #[must_use]
    pub fn about(&self, digest: BundleDigest) -> Option<About> {
        self.ledger().about.get(&digest).cloned()
    }

    fn ledger(&self) -> MutexGuard<'_, Ledger> {
        self.ledger.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

/// Whether the slot's capital already asks for entries as large as any order may be.
fn reaches_largest_order(capital: Money, approved: &Approved) -> bool {
    let share = approved
        .parameters
        .iter()
        .find(|(parameter, _)| *parameter == ParameterId::PositionSizePct);
    let entry = share
        .and_then(|(_, share)| share.scale(capital.units()))
        .and_then(|entry| approved.program.size_scale.scale(entry));
    entry.is_some_and(|entry| entry >= approved.program.limits.max_order_size_usd.units())
}

//! Bundles into slots: verified beside the deciding thread, swapped in between two events.

use std::collections::{BTreeMap, BTreeSet};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

use domain::{BundleDigest, SlotId};
use engine::{BundleActivated, SlotProgram};
use thiserror::Error;
use tokio::sync::oneshot;
use tracing::{error, info};

use crate::fact::{Deploy, Fact, FactSender};
use crate::programs::{Approved, ProgramRefused, Programs};
use crate::record::Begun;
use crate::scale::Scale;
use crate::service::NotDeciding;

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
    /// The slot has nothing to go back to.
    #[error("slot {} has no bundle before this one in the record", .0.0)]
    NothingBefore(SlotId),
    /// The engine did not take it.
    #[error("not activated: {0}")]
    NotActivated(String),
    /// Nobody decides any more.
    #[error(transparent)]
    NotDeciding(#[from] NotDeciding),
}

/// What has run, by slot.
#[derive(Debug, Default)]
struct Ledger {
    serials: BTreeMap<SlotId, u64>,
    known: BTreeSet<(SlotId, BundleDigest)>,
    active: BTreeMap<SlotId, (BundleDigest, u64)>,
    previous: BTreeMap<SlotId, BundleDigest>,
}

impl Ledger {
    fn activated(&mut self, activation: &BundleActivated) {
        let BundleActivated {
            slot, digest, serial, ..
        } = *activation;
        let highest = self.serials.entry(slot).or_insert(0);
        *highest = serial.max(*highest);
        self.known.insert((slot, digest));
        if let Some((before, _)) = self.active.insert(slot, (digest, serial))
            && before != digest
        {
            self.previous.insert(slot, before);
        }
    }
}

/// Deploys and rolls back.
#[derive(Debug)]
pub struct Deployer {
    programs: Arc<dyn Programs>,
    facts: FactSender,
    scale: Scale,
    ledger: Mutex<Ledger>,
    /// One deployment at a time: verifying takes a while, and its serial must still be the highest after.
    turn: tokio::sync::Mutex<()>,
}

impl Deployer {
    pub(crate) fn new(programs: Arc<dyn Programs>, facts: FactSender, scale: Scale, begun: &Begun) -> Self {
        let ledger = Ledger {
            serials: begun.serials.iter().copied().collect(),
            known: begun.known.iter().copied().collect(),
            ..Ledger::default()
        };
        Self {
            programs,
            facts,
            scale,
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
        let serial = approved.serial;
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

    /// Back to the bundle that ran before, if its approval still holds.
    ///
    /// # Errors
    /// [`DeployError`]: the slot runs what it ran before.
    pub async fn roll_back(&self, slot: SlotId) -> Result<(), DeployError> {
        let _turn = self.turn.lock().await;
        let previous = self.ledger().previous.get(&slot).copied();
        let digest = previous.ok_or(DeployError::NothingBefore(slot))?;
        let approved = self.verify(slot, digest).await?;
        self.activate(slot, approved).await
    }

    /// Lets what ran when the last life ended run again, where its approval still holds.
    pub(crate) async fn restore(&self, active: Vec<BundleActivated>) {
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
        let verified = tokio::task::spawn_blocking(move || programs.approved(slot, digest)).await;
        let refused = |_| ProgramRefused("verifying it ended in a defect".to_owned());
        Ok(verified.map_err(refused)??)
    }

    async fn activate(&self, slot: SlotId, approved: Approved) -> Result<(), DeployError> {
        let Approved {
            program,
            serial,
            parameters,
            name,
        } = approved;
        let activation = BundleActivated {
            slot,
            digest: program.digest,
            serial,
            expires: program.expires,
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
        info!(slot = slot.0, bundle = name, serial, "deployed");
        self.ledger().activated(&activation);
        Ok(())
    }

    fn scaled(&self, program: SlotProgram) -> SlotProgram {
        SlotProgram {
            limits: self.scale.limits(program.limits),
            ..program
        }
    }

    fn ledger(&self) -> MutexGuard<'_, Ledger> {
        self.ledger.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

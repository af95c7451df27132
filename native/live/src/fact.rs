//! What other threads have to say to the one that decides, beside the frames of the streams.

use domain::{Bar, Instrument, OrderReport};
use engine::{BundleActivated, CommandKind, CommandRefusal, SlotProgram};
use tokio::sync::{mpsc, oneshot};

use crate::reconcile::Truth;
use crate::view::View;
use crate::wake::Wake;

/// Facts that may wait for the thread that decides.
pub(crate) const FACTS_MAX: usize = 4_096;

/// One thing to take in, between two frames.
#[derive(Debug)]
pub(crate) enum Fact {
    /// What the venue answered about orders, in order.
    Reports(Vec<OrderReport>),
    /// Bars of the past, oldest first.
    History(Vec<Bar>),
    /// What the venue says of our account.
    Truth(Box<Truth>),
    /// The venue could not be asked; `generation` as in [`Truth`].
    NoTruth {
        /// Of which question.
        generation: u64,
    },
    /// Rules of an instrument as the venue told them again.
    Rules(Box<Instrument>),
    /// A command of somebody who may give it.
    Command {
        /// What to do.
        kind: CommandKind,
        /// Where the result goes.
        reply: oneshot::Sender<Result<(), CommandRefusal>>,
    },
    /// A verified bundle is ready to take its slot over.
    Deploy(Box<Deploy>),
    /// Somebody wants to see the engine's state.
    Look(oneshot::Sender<Box<View>>),
    /// Cancel, reconcile, finish.
    Drain,
}

/// A program and its activation.
#[derive(Debug)]
pub(crate) struct Deploy {
    pub(crate) program: SlotProgram,
    pub(crate) activation: BundleActivated,
    pub(crate) reply: oneshot::Sender<Result<(), String>>,
}

/// Brings facts to the thread that decides, and wakes it.
#[derive(Debug, Clone)]
pub(crate) struct FactSender {
    queue: mpsc::Sender<Fact>,
    wake: Wake,
}

/// The thread that decides is gone.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) struct Gone;

impl FactSender {
    pub(crate) fn new(wake: Wake) -> (Self, mpsc::Receiver<Fact>) {
        let (queue, receiver) = mpsc::channel(FACTS_MAX);
        (Self { queue, wake }, receiver)
    }

    /// Waits for room where there is none.
    pub(crate) async fn send(&self, fact: Fact) -> Result<(), Gone> {
        self.queue.send(fact).await.map_err(|_| Gone)?;
        self.wake.wake();
        Ok(())
    }
}

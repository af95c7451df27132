//! What other threads have to say to the one that decides, beside the frames of the streams.

use domain::{Bar, Decimal, Instrument, OrderReport};
use engine::risk::DenyReason;
use engine::{BundleActivated, CommandKind, CommandRefusal, ParameterId, SlotProgram};
use tokio::sync::{mpsc, oneshot};

use crate::dead_man::Alarm;
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
        reply: oneshot::Sender<Result<(), Refused>>,
    },
    /// A kill whose flag stands already: see [`crate::stop_latch`].
    Kill(Answer),
    /// A verified bundle is ready to take its slot over.
    Deploy(Box<Deploy>),
    /// Somebody wants to see the engine's state.
    Look(oneshot::Sender<Box<View>>),
    /// Somebody wants the engine's state told in the order of what happens, under this number.
    Picture(u64),
    /// Something that a person must know and the engine need not.
    Alarm(Alarm),
    /// Cancel, reconcile, finish.
    Drain,
}

/// A program and its activation.
#[derive(Debug)]
pub(crate) struct Deploy {
    pub(crate) program: SlotProgram,
    pub(crate) activation: BundleActivated,
    /// The strategy's parameters as its file has them.
    pub(crate) parameters: Vec<(ParameterId, Decimal)>,
    pub(crate) reply: oneshot::Sender<Result<(), String>>,
}

/// Brings facts to the thread that decides, and wakes it.
#[derive(Debug, Clone)]
pub(crate) struct FactSender {
    queue: mpsc::Sender<Fact>,
    wake: Wake,
}

/// Why the engine did not carry a command out.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Refused {
    /// What the engine says.
    pub refusal: CommandRefusal,
    /// What risk has against the order, when the refusal is [`CommandRefusal::Denied`].
    pub denied: Option<DenyReason>,
}

/// How the engine took a command; `None` when it could not be recorded.
pub(crate) type CommandOutcome = Option<Result<(), Refused>>;

/// Where the outcome of a kill goes.
pub(crate) struct Answer(Box<dyn FnOnce(CommandOutcome) + Send>);

impl Answer {
    pub(crate) fn new(tell: impl FnOnce(CommandOutcome) + Send + 'static) -> Self {
        Self(Box::new(tell))
    }

    pub(crate) fn give(self, outcome: CommandOutcome) {
        (self.0)(outcome);
    }
}

impl std::fmt::Debug for Answer {
    fn fmt(&self, out: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        out.write_str("Answer")
    }
}

/// There is no room, or nobody who decides; the fact comes back.
#[derive(Debug)]
pub(crate) struct Full(pub(crate) Fact);

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

    /// Does not wait.
    #[expect(clippy::result_large_err, reason = "what could not be sent comes back whole")]
    pub(crate) fn try_send(&self, fact: Fact) -> Result<(), Full> {
        use mpsc::error::TrySendError::{Closed, Full as NoRoom};
        match self.queue.try_send(fact) {
            Ok(()) => {
                self.wake.wake();
                Ok(())
            }
            Err(NoRoom(fact) | Closed(fact)) => Err(Full(fact)),
        }
    }
}

//! A running service, as those who started it hold it.

use std::sync::Arc;

use engine::CommandKind;
use tokio::sync::oneshot;
use tokio::task::JoinSet;
use tracing::{error, info, warn};
use venues::switch::DeadMansSwitch;
use venues::{AccountFeed, Gateway, Instruments, MarketFeed};

use crate::account_lock::AccountLock;
use crate::deploy::Deployer;
use crate::doors::{self, Doors};
use crate::ending::Ended;
use crate::error::LiveError;
use crate::fact::{Answer, Fact, FactSender, Gone, Refused};
use crate::monitoring::{Counters, LatencyBoard};
use crate::reconcile::patiently;
use crate::run_folder::RunFolder;
use crate::stop_latch::StopLatch;
use crate::view::View;
use crate::watched::Watching;

/// A service at work. Dropping it ends it without a word; [`Service::drain`] ends it in order.
#[derive(Debug)]
pub struct Service {
    pub(crate) doors: Doors,
    pub(crate) folder: RunFolder,
    pub(crate) instruments: Arc<Instruments>,
    pub(crate) gateway: Arc<dyn Gateway>,
    /// The venue's dead man's switch, where the configuration sets one.
    pub(crate) switch: Option<Box<dyn DeadMansSwitch>>,
    /// One service for an account.
    pub(crate) _held: Option<AccountLock>,
    pub(crate) market: MarketFeed,
    /// The venues whose market is read beside.
    pub(crate) watching: Vec<Watching>,
    pub(crate) account: AccountFeed,
    /// What runs beside the deciding thread; ends with the service.
    pub(crate) tasks: JoinSet<()>,
    pub(crate) facts: FactSender,
    pub(crate) ended: oneshot::Receiver<Ended>,
    pub(crate) latch: StopLatch,
    pub(crate) deployer: Arc<Deployer>,
    pub(crate) counters: Arc<Counters>,
    pub(crate) latencies: Arc<LatencyBoard>,
}

/// The service has ended, or is about to.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
#[error("the service does not decide any more")]
pub struct NotDeciding;

impl From<Gone> for NotDeciding {
    fn from(_: Gone) -> Self {
        Self
    }
}

impl From<oneshot::error::RecvError> for NotDeciding {
    fn from(_: oneshot::error::RecvError) -> Self {
        Self
    }
}

/// Gives commands to the deciding thread. For those who have checked that they may.
#[derive(Debug, Clone)]
pub struct Commander {
    facts: FactSender,
    latch: StopLatch,
    deployer: Arc<Deployer>,
}

impl Commander {
    /// Gives a command; how the engine took it.
    ///
    /// # Errors
    /// [`NotDeciding`].
    pub async fn command(&self, kind: CommandKind) -> Result<Result<(), Refused>, NotDeciding> {
        let (reply, result) = oneshot::channel();
        self.facts.send(Fact::Command { kind, reply }).await?;
        Ok(result.await?)
    }

    /// Stops every order at once, then tells the engine, which latches it.
    ///
    /// # Errors
    /// [`NotDeciding`]: nothing leaves any more all the same.
    pub async fn kill(&self) -> Result<Result<(), Refused>, NotDeciding> {
        self.latch.kill_before_the_engine_hears();
        let (reply, result) = oneshot::channel();
        let answer = Answer::new(move |result| {
            // Whoever waited may have given up.
            let _ = reply.send(result);
        });
        self.facts.send(Fact::Kill(answer)).await?;
        result.await?.ok_or(NotDeciding)
    }

    /// For those who deploy bundles.
    #[must_use]
    pub fn deployer(&self) -> &Deployer {
        &self.deployer
    }

    /// A copy of the engine's state.
    ///
    /// # Errors
    /// [`NotDeciding`].
    pub async fn look(&self) -> Result<Box<View>, NotDeciding> {
        let (reply, result) = oneshot::channel();
        self.facts.send(Fact::Look(reply)).await?;
        Ok(result.await?)
    }
}

impl Service {
    /// For those who give commands.
    #[must_use]
    pub fn commander(&self) -> Commander {
        Commander {
            facts: self.facts.clone(),
            latch: self.latch.clone(),
            deployer: Arc::clone(&self.deployer),
        }
    }

    /// The run's folder.
    #[must_use]
    pub const fn folder(&self) -> &RunFolder {
        &self.folder
    }

    /// What has been counted.
    #[must_use]
    pub fn counters(&self) -> &Counters {
        &self.counters
    }

    /// Where time goes.
    #[must_use]
    pub fn latencies(&self) -> &LatencyBoard {
        &self.latencies
    }

    /// Runs until `stop` resolves or the service ends by itself, then ends in order.
    ///
    /// # Errors
    /// [`LiveError::Defect`] when the deciding thread ended on its own.
    pub async fn run_until(mut self, stop: impl Future<Output = ()>) -> Result<Ended, LiveError> {
        tokio::select! {
            () = stop => {
                // When nobody takes the fact, the end has come already.
                let _ = self.facts.send(Fact::Drain).await;
                let ended = (&mut self.ended).await;
                self.close(ended.ok()).await
            }
            ended = &mut self.ended => self.close(ended.ok()).await,
        }
    }

    /// Cancels, reconciles, writes and ends.
    ///
    /// # Errors
    /// As [`Self::run_until`].
    pub async fn drain(self) -> Result<Ended, LiveError> {
        self.run_until(std::future::ready(())).await
    }

    async fn close(mut self, ended: Option<Ended>) -> Result<Ended, LiveError> {
        let may_rest = ended
            .as_ref()
            .is_none_or(|ended| ended.fault.is_some() || ended.orders_left > 0);
        if may_rest {
            self.cancel_ours().await;
        }
        self.let_go_of_switch().await;
        drop(self.doors);
        doors::forget(&self.folder);
        self.market.stop().await;
        for watching in self.watching {
            watching.stop().await;
        }
        self.account.stop().await;
        self.tasks.shutdown().await;
        let Some(ended) = ended else {
            return Err(LiveError::Defect(
                "the deciding thread ended on its own; orders of ours were canceled as far as the venue answered"
                    .to_owned(),
            ));
        };
        info!(
            events = ended.events, orders_left = ended.orders_left, compared = ended.compared,
            reason = %ended.halt, "ended"
        );
        Ok(ended)
    }

    /// Takes the dead man's switch off once nothing rests; otherwise it runs out, and the venue cancels.
    async fn let_go_of_switch(&mut self) {
        let Some(switch) = self.switch.take() else { return };
        for instrument in self.instruments.iter() {
            let open = patiently(|| self.gateway.open_orders(instrument.id)).await;
            let rests = open.map(|open| open.iter().any(|view| view.client_order_id.is_some()));
            if !matches!(rests, Ok(false)) {
                error!(symbol = %instrument.symbol, ?rests,
                    "orders of ours may rest: the dead man's switch stays set, and the venue cancels them");
                return;
            }
        }
        if !switch.take_off().await {
            error!(
                "the dead man's switch may still be set: the venue cancels every order of the account when it runs out"
            );
        }
    }

    /// Nobody decides any more: what rests at the venue and carries an id of ours goes.
    async fn cancel_ours(&self) {
        error!("orders of ours may rest at the venue and nobody decides any more: canceling them");
        for instrument in self.instruments.iter() {
            match patiently(|| self.gateway.open_orders(instrument.id)).await {
                Ok(open) => {
                    for view in open {
                        let Some(client_order_id) = view.client_order_id else {
                            continue;
                        };
                        let cancel = domain::CancelRequest {
                            client_order_id,
                            instrument: instrument.id,
                        };
                        let reports = self.gateway.cancel(&cancel).await;
                        warn!(order = %client_order_id, ?reports, "canceled");
                    }
                }
                Err(error) => {
                    error!(symbol = %instrument.symbol, %error, "look at the venue: orders may rest");
                }
            }
        }
    }
}

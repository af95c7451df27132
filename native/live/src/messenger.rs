//! The thread that owns ZeroMQ: takes signed commands, answers, and publishes what happens.
//!
//! It decides nothing. A command is kept (`command_floors`), handed to the deciding thread or to the deployer,
//! and acknowledged twice: taken, then how it went. A question is answered from what the deciding thread told; one
//! about the whole engine through the same queue as everything else, so that the answer stands at one place in it.

use std::path::Path;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::thread::{self, JoinHandle};
use std::time::{Duration, Instant};

use config::ServiceConfig;
use domain::{BundleDigest, SlotId};
use messaging::telemetry::{BundleState, BundleStatus, CommandEvent, Snapshot, Telemetry};
use messaging::{
    Ack, Command, CommandKind, CommandRef, CommandServer, Context, Delivery, Identity, Incoming,
    PublisherConfig, Query, Refusal, RefusalReason, Reply, ServerConfig, SocketDirectory, TelemetryPublisher,
    VerifiedCommand,
};
use rtrb::Consumer;
use tokio::runtime::Handle;
use tokio::sync::oneshot;
use tokio::sync::oneshot::error::TryRecvError;
use tracing::{error, info, warn};

use crate::chronicle::{Chronicle, FILLS_KEPT};
use crate::clock::wall_now;
use crate::command_floors::CommandFloors;
use crate::deploy::DeployError;
use crate::error::LiveError;
use crate::fact::{Answer, CommandOutcome, Fact, FactSender, Refused};
use crate::setup::Setup;
use crate::stop_latch::StopLatch;
use crate::telemetry::{Service, all_pnl, all_positions};
use crate::told::{Told, What};
use crate::trust::{Trust, keyring};
use crate::view::View;
use crate::wishes::{Wish, code, wish, words};

/// The socket for commands, in the run folder.
pub const COMMAND_SOCKET: &str = "command.sock";

/// The socket for telemetry, in the run folder.
pub const TELEMETRY_SOCKET: &str = "telemetry.sock";

/// Longest wait for a command before telemetry is looked at again.
const POLL: Duration = Duration::from_millis(2);

/// Things published in one turn.
const TOLD_PER_TURN: usize = 1_024;

/// Commands and questions under way.
const PENDING_MAX: usize = 256;

/// Longest wait for the picture that a question needs.
const PICTURE_PATIENCE: Duration = Duration::from_secs(2);

/// Refusals of what is not genuine are put into the log no more often than this: anybody can send rubbish.
const REFUSAL_LOG_INTERVAL: Duration = Duration::from_secs(1);

/// The number of pictures that nobody asked for.
const UNASKED: u64 = 0;

/// A command whose end is not known yet.
#[derive(Debug)]
struct Pending {
    identity: Identity,
    reference: CommandRef,
    kind: CommandKind,
    outcome: Outcome,
}

/// Where the end of a command comes from.
#[derive(Debug)]
enum Outcome {
    Engine(oneshot::Receiver<Result<(), Refused>>),
    Kill(oneshot::Receiver<CommandOutcome>),
    Deploy(
        oneshot::Receiver<Result<(), DeployError>>,
        SlotId,
        Option<BundleDigest>,
    ),
}

/// A question that waits for a picture.
#[derive(Debug)]
struct Asked {
    picture: u64,
    identity: Identity,
    reference: CommandRef,
    query: Query,
    until: Instant,
}

/// What the thread works with.
pub(crate) struct Messenger {
    server: CommandServer,
    trust: Trust,
    publisher: TelemetryPublisher,
    floors: CommandFloors,
    service: Service,
    chronicle: Chronicle,
    told: Consumer<Told>,
    facts: FactSender,
    latch: StopLatch,
    runtime: Handle,
    slots: Vec<SlotId>,
    pending: Vec<Pending>,
    asked: Vec<Asked>,
    pictures: u64,
    is_first_picture: bool,
    picture_interval: Duration,
    next_picture: Instant,
    next_refusal_log: Instant,
    unlogged: u64,
}

/// What it is made with beside the configuration.
pub(crate) struct Parts {
    pub(crate) service: Service,
    pub(crate) floors: CommandFloors,
    pub(crate) told: Consumer<Told>,
    pub(crate) facts: FactSender,
    pub(crate) latch: StopLatch,
}

/// The thread; ends when this is dropped.
#[derive(Debug)]
pub(crate) struct MessageDoor {
    stop: Arc<AtomicBool>,
    thread: Option<JoinHandle<()>>,
}

impl Drop for MessageDoor {
    fn drop(&mut self) {
        self.stop.store(true, Ordering::Release);
        if let Some(thread) = self.thread.take() {
            // A panic there has been printed; there is nothing to add.
            let _ = thread.join();
        }
    }
}

impl MessageDoor {
    /// Opens both sockets in the run folder, whose absolute path this is. Call it inside a tokio runtime.
    pub(crate) fn open(folder: &Path, setup: &Setup, parts: Parts) -> Result<Self, LiveError> {
        let mut messenger = Messenger::open(folder, setup, parts)?;
        let stop = Arc::new(AtomicBool::new(false));
        let asked = Arc::clone(&stop);
        let thread = thread::Builder::new()
            .name("messages".to_owned())
            .spawn(move || messenger.run(&asked))
            .map_err(|source| LiveError::Defect(format!("no thread for messages: {source}")))?;
        Ok(Self {
            stop,
            thread: Some(thread),
        })
    }
}

impl Messenger {
    fn open(folder: &Path, setup: &Setup, parts: Parts) -> Result<Self, LiveError> {
        let config: &ServiceConfig = &setup.service.config;
        let context = Context::new();
        let directory = SocketDirectory::open(folder)?;
        let server = CommandServer::bind(
            &context,
            ServerConfig {
                endpoint: directory.endpoint(COMMAND_SOCKET)?,
                instance: config.name.clone(),
                keyring: keyring(&setup.keys).map_err(|error| LiveError::Files(vec![error.to_string()]))?,
                floors: parts.floors.all(),
                instruments: parts.service.instruments.clone(),
            },
        )?;
        let publisher = TelemetryPublisher::bind(
            &context,
            PublisherConfig {
                endpoint: directory.endpoint(TELEMETRY_SOCKET)?,
                instance: config.name.clone(),
                epoch: parts.service.epoch,
                instruments: parts.service.instruments.clone(),
            },
        )?;
        let Parts {
            service,
            floors,
            told,
            facts,
            latch,
        } = parts;
        Ok(Self {
            server,
            trust: Trust::new(Path::new(&config.trusted_keys_file), &setup.keys),
            publisher,
            floors,
            service,
            chronicle: Chronicle::default(),
            told,
            facts,
            latch,
            runtime: Handle::current(),
            slots: config.slots.iter().map(|slot| slot.slot).collect(),
            pending: Vec::with_capacity(PENDING_MAX),
            asked: Vec::with_capacity(PENDING_MAX),
            pictures: UNASKED,
            is_first_picture: true,
            picture_interval: Duration::from_nanos(u64::try_from(config.snapshot_interval.0).unwrap_or(0)),
            next_picture: Instant::now(),
            next_refusal_log: Instant::now(),
            unlogged: 0,
        })
    }

    fn run(&mut self, asked_to_stop: &AtomicBool) {
        while !asked_to_stop.load(Ordering::Acquire) {
            if let Err(error) = self.turn() {
                error!(%error, "no commands are heard and nothing is published any more; the local control socket works");
                return;
            }
        }
        // What was decided last is told all the same.
        self.publish_told();
        self.settle();
    }

    fn turn(&mut self) -> Result<(), messaging::MessagingError> {
        if let Some(keyring) = self.trust.news(Instant::now()) {
            self.server.set_keyring(keyring);
        }
        let wait = if self.told.is_empty() {
            POLL
        } else {
            Duration::ZERO
        };
        if let Some(incoming) = self.server.poll(wait, &wall_now)? {
            self.hear(incoming);
        }
        self.publish_told();
        self.settle();
        self.give_up_late_questions();
        if Instant::now() >= self.next_picture {
            self.next_picture = Instant::now() + self.picture_interval;
            // A full queue is busy with more urgent things; the next one comes soon.
            let _ = self.facts.try_send(Fact::Picture(UNASKED));
        }
        self.publisher.tend(wall_now())
    }

    fn hear(&mut self, incoming: Incoming) {
        let Incoming { identity, body } = incoming;
        match body {
            Ok(verified) => {
                // Questions too. What was refused before it got here is counted by its reason.
                self.service.counters.commands.add_one();
                self.obey(identity, verified);
            }
            Err(refusal) => {
                self.log(&refusal);
                self.refuse(&identity, None, &refusal);
            }
        }
    }

    fn log(&mut self, refusal: &Refusal) {
        let now = Instant::now();
        if now < self.next_refusal_log {
            self.unlogged += 1;
            return;
        }
        self.next_refusal_log = now + REFUSAL_LOG_INTERVAL;
        let unlogged = std::mem::take(&mut self.unlogged);
        let (reason, text) = (refusal.reason.as_str(), &refusal.text);
        warn!(reason, text, unlogged, "command refused");
    }

    fn obey(&mut self, identity: Identity, verified: VerifiedCommand) {
        let VerifiedCommand {
            reference, command, ..
        } = verified;
        if let Command::Query(query) = command {
            self.answer_or_ask(identity, reference, query);
            return;
        }
        let kind = command.kind();
        info!(command = kind.as_str(), key = %reference.key_id, counter = reference.counter, "command");
        if let Err(refusal) = self.keep(&reference, kind) {
            self.refuse(&identity, Some(kind), &refusal);
            return;
        }
        let wished = wish(&command, &reference, &self.service.instruments, &self.slots);
        let outcome = wished.and_then(|wished| self.begin(wished, &reference));
        match outcome {
            Ok(outcome) => {
                self.acknowledge(&identity, Some(kind), &Ack::accepted(&reference, wall_now()));
                self.pending.push(Pending {
                    identity,
                    reference,
                    kind,
                    outcome,
                });
            }
            Err(refusal) => self.refuse(&identity, Some(kind), &refusal),
        }
    }

    /// Puts the command's counter on disk. A stop is obeyed even when the disk is not.
    fn keep(&mut self, reference: &CommandRef, kind: CommandKind) -> Result<(), Refusal> {
        let Err(error) = self.floors.keep(reference.key_id, reference.counter) else {
            return Ok(());
        };
        let only_stops = matches!(
            kind,
            CommandKind::Kill
                | CommandKind::Pause
                | CommandKind::Cancel
                | CommandKind::ReduceOnly
                | CommandKind::Flatten
                | CommandKind::ManualCancel
        );
        error!(%error, only_stops, "a command's counter could not be kept");
        if only_stops {
            return Ok(());
        }
        let text = format!("its counter could not be kept on disk ({error}): only stops are obeyed now");
        Err(Refusal::of(reference, RefusalReason::WrongState, text))
    }

    fn begin(&mut self, wished: Wish, reference: &CommandRef) -> Result<Outcome, Refusal> {
        if self.pending.len() >= PENDING_MAX {
            let text = format!("{PENDING_MAX} commands are under way");
            return Err(Refusal::of(reference, RefusalReason::Busy, text));
        }
        match wished {
            Wish::Engine(kind) => {
                let (reply, result) = oneshot::channel();
                self.send(Fact::Command { kind, reply }, reference)?;
                Ok(Outcome::Engine(result))
            }
            Wish::KillAll => {
                self.latch.kill_before_the_engine_hears();
                let (reply, result) = oneshot::channel();
                let answer = Answer::new(move |outcome| {
                    // Whoever waited may have given up.
                    let _ = reply.send(outcome);
                });
                self.send(Fact::Kill(answer), reference)?;
                Ok(Outcome::Kill(result))
            }
            Wish::Deploy(slot, digest) => {
                self.tell_bundle(slot, digest, BundleState::Verifying, None);
                let deployer = Arc::clone(&self.service.deployer);
                let done = self.spawn(async move { deployer.deploy(slot, digest).await });
                Ok(Outcome::Deploy(done, slot, Some(digest)))
            }
            Wish::Rollback(slot) => {
                let deployer = Arc::clone(&self.service.deployer);
                let done = self.spawn(async move { deployer.roll_back(slot).await });
                Ok(Outcome::Deploy(done, slot, None))
            }
        }
    }

    fn spawn(
        &self,
        deployment: impl Future<Output = Result<(), DeployError>> + Send + 'static,
    ) -> oneshot::Receiver<Result<(), DeployError>> {
        let (reply, result) = oneshot::channel();
        self.runtime.spawn(async move {
            // Whoever waited may have given up.
            let _ = reply.send(deployment.await);
        });
        result
    }

    fn send(&self, fact: Fact, reference: &CommandRef) -> Result<(), Refusal> {
        self.facts.try_send(fact).map_err(|_| {
            let text = "the deciding thread takes nothing more at the moment";
            Refusal::of(reference, RefusalReason::Busy, text)
        })
    }

    /// Tells how commands went whose end has come.
    fn settle(&mut self) {
        let mut at = 0;
        while at < self.pending.len() {
            match self.pending[at].outcome.end() {
                None => at += 1,
                Some(end) => {
                    let pending = self.pending.swap_remove(at);
                    self.conclude(&pending, end);
                }
            }
        }
    }

    fn conclude(&mut self, pending: &Pending, end: Result<(), Failure>) {
        let reference = &pending.reference;
        let ack = match end {
            Ok(()) => Ack::applied(reference, wall_now()),
            Err(Failure { reason, text }) => {
                warn!(command = pending.kind.as_str(), text, "command failed");
                if let Outcome::Deploy(_, slot, Some(digest)) = pending.outcome {
                    self.tell_bundle(slot, digest, BundleState::Refused, Some(text.clone()));
                }
                Ack::failed(reference, wall_now(), reason, text)
            }
        };
        self.acknowledge(&pending.identity, Some(pending.kind), &ack);
    }

    fn tell_bundle(
        &mut self,
        slot: SlotId,
        digest: BundleDigest,
        state: BundleState,
        reason: Option<String>,
    ) {
        self.publish(&Telemetry::Bundle(BundleStatus {
            slot,
            digest,
            state,
            ts: wall_now(),
            content: None,
            reason,
        }));
    }

    fn answer_or_ask(&mut self, identity: Identity, reference: CommandRef, query: Query) {
        match query {
            Query::Orders {
                slot,
                open_only,
                limit,
            } => {
                let (orders, more) = self.chronicle.orders(slot, open_only, bounded(limit));
                self.answer(&identity, &reference, Reply::Orders { orders, more });
            }
            Query::Fills { slot, limit } => {
                let (fills, more) = self.chronicle.fills(slot, bounded(limit));
                self.answer(&identity, &reference, Reply::Fills { fills, more });
            }
            Query::Status | Query::Positions | Query::Pnl | Query::Snapshot => {
                self.pictures += 1;
                let picture = self.pictures;
                if self.asked.len() >= PENDING_MAX {
                    let text = format!("{PENDING_MAX} questions are under way");
                    let refusal = Refusal::of(&reference, RefusalReason::Busy, text);
                    self.refuse(&identity, None, &refusal);
                    return;
                }
                if let Err(refusal) = self.send(Fact::Picture(picture), &reference) {
                    self.refuse(&identity, None, &refusal);
                    return;
                }
                self.asked.push(Asked {
                    picture,
                    identity,
                    reference,
                    query,
                    until: Instant::now() + PICTURE_PATIENCE,
                });
            }
        }
    }

    fn publish_told(&mut self) {
        for _ in 0..TOLD_PER_TURN {
            let Ok(told) = self.told.pop() else { return };
            if let What::Picture(number, view) = &told.what {
                self.on_picture(*number, view);
                continue;
            }
            for telemetry in self.service.take(&told, &mut self.chronicle) {
                self.publish(&telemetry);
            }
        }
    }

    /// The whole engine, standing right here in the order of what happened.
    fn on_picture(&mut self, number: u64, view: &View) {
        if std::mem::take(&mut self.is_first_picture) {
            self.service.inherit(view, &mut self.chronicle);
        }
        self.chronicle.holds.look(view, &self.service.instruments);
        if number == UNASKED {
            let status = self.service.status(view, &self.chronicle);
            self.publish(&Telemetry::Service(Box::new(status)));
            for position in all_positions(view) {
                self.publish(&Telemetry::Position(position));
            }
            for pnl in all_pnl(view) {
                self.publish(&Telemetry::Pnl(pnl));
            }
            return;
        }
        let Some(at) = self.asked.iter().position(|asked| asked.picture == number) else {
            return;
        };
        let asked = self.asked.swap_remove(at);
        let reply = match asked.query {
            Query::Positions => Reply::Positions(all_positions(view)),
            Query::Pnl => Reply::Pnl(all_pnl(view)),
            Query::Snapshot => Reply::Snapshot(Box::new(self.snapshot(view))),
            _ => Reply::Status(Box::new(self.service.status(view, &self.chronicle))),
        };
        self.answer(&asked.identity, &asked.reference, reply);
    }

    fn snapshot(&self, view: &View) -> Snapshot {
        let limit = bounded(messaging::QUERY_LIMIT_MAX);
        Snapshot {
            epoch: self.service.epoch,
            ts: view.now,
            status: self.service.status(view, &self.chronicle),
            orders: self.chronicle.orders(None, false, limit).0,
            recent_fills: self.chronicle.fills(None, limit).0,
            positions: all_positions(view),
            pnl: all_pnl(view),
            balances: self.chronicle.balances(),
            as_of: self.publisher.sequences(),
        }
    }

    fn give_up_late_questions(&mut self) {
        let now = Instant::now();
        while let Some(at) = self.asked.iter().position(|asked| asked.until <= now) {
            let asked = self.asked.swap_remove(at);
            let text = "the deciding thread did not answer in time: ask again";
            let ack = Ack::failed(&asked.reference, wall_now(), None, text);
            self.acknowledge(&asked.identity, None, &ack);
        }
    }

    fn answer(&mut self, identity: &Identity, reference: &CommandRef, reply: Reply) {
        let ack = Ack::answer(reference, wall_now(), reply);
        self.acknowledge(identity, None, &ack);
    }

    fn refuse(&mut self, identity: &Identity, kind: Option<CommandKind>, refusal: &Refusal) {
        self.service.counters.commands_refused.add_one(refusal.reason);
        let ack = Ack::refused(refusal, wall_now());
        self.acknowledge(identity, kind, &ack);
        if kind.is_none() {
            let event = CommandEvent { kind, ack };
            self.publish(&Telemetry::Command(Box::new(event)));
        }
    }

    /// Sends an acknowledgement, and tells everybody of one that belongs to a command.
    fn acknowledge(&mut self, identity: &Identity, kind: Option<CommandKind>, ack: &Ack) {
        match self.server.reply(identity, ack) {
            Ok(Delivery::Sent) => {}
            Ok(undelivered) => warn!(?undelivered, "an acknowledgement reached nobody"),
            Err(error) => warn!(%error, "an acknowledgement was not sent"),
        }
        if kind.is_some() {
            let event = CommandEvent {
                kind,
                ack: ack.clone(),
            };
            self.publish(&Telemetry::Command(Box::new(event)));
        }
    }

    fn publish(&mut self, telemetry: &Telemetry) {
        if let Err(error) = self.publisher.publish(wall_now(), telemetry) {
            warn!(%error, topic = telemetry.topic().as_str(), "not published");
        }
    }
}

impl Outcome {
    /// The end, when it has come.
    fn end(&mut self) -> Option<Result<(), Failure>> {
        let gone = || Some(Err(Failure::unnamed("the service ended, or could not record it")));
        match self {
            Self::Engine(result) => match result.try_recv() {
                Ok(result) => Some(result.map_err(Failure::from)),
                Err(TryRecvError::Empty) => None,
                Err(TryRecvError::Closed) => gone(),
            },
            Self::Kill(result) => match result.try_recv() {
                Ok(Some(result)) => Some(result.map_err(Failure::from)),
                Ok(None) => Some(Err(Failure::unnamed(
                    "no order leaves any more, but the kill could not be recorded: it does not outlive this process",
                ))),
                Err(TryRecvError::Empty) => None,
                Err(TryRecvError::Closed) => gone(),
            },
            Self::Deploy(result, ..) => match result.try_recv() {
                Ok(result) => Some(result.map_err(|error| Failure {
                    reason: error.code(),
                    text: error.to_string(),
                })),
                Err(TryRecvError::Empty) => None,
                Err(TryRecvError::Closed) => gone(),
            },
        }
    }
}

/// Why a command that was accepted was not carried out.
struct Failure {
    /// For programs.
    reason: Option<RefusalReason>,
    /// For people.
    text: String,
}

impl Failure {
    fn unnamed(text: &str) -> Self {
        Self {
            reason: None,
            text: text.to_owned(),
        }
    }
}

impl From<Refused> for Failure {
    fn from(refused: Refused) -> Self {
        Self {
            reason: Some(code(refused.refusal)),
            text: words(refused),
        }
    }
}

fn bounded(limit: u32) -> usize {
    usize::try_from(limit).unwrap_or(FILLS_KEPT)
}

//! The service's own parts on the recording's time: what comes by sockets and threads there comes by calls here.

use std::collections::VecDeque;
use std::path::PathBuf;
use std::sync::Arc;
use std::sync::atomic::{AtomicU32, Ordering};

use domain::{Nanos, Timestamp};
use engine::{BundleActivated, EventBody, OrphanRule, PositionUpdate, SlotProgram};
use feed::Progress;
use feed::playback::Playback;
use tokio::sync::mpsc;
use venues::clock::{Clock, ServerClock};
use venues::{Gateway, Instruments, LastLook, ResyncRequester, StreamMessage, StreamMessageKind};

use super::Beginning;
use super::against::{Beside, Given, Run};
use super::decisions::{Decisions, Kept};
use super::refused;
use crate::account_watch::{AccountWatch, Rules};
use crate::comparison::Comparison;
use crate::desk::{ERRANDS_MAX, Errand};
use crate::driver::Driver;
use crate::egress::Egress;
use crate::error::LiveError;
use crate::link::{Link, Streams};
use crate::memory::Memory;
use crate::monitoring::Counters;
use crate::outputs::Outputs;
use crate::reconcile;
use crate::record::Begun;
use crate::run_folder::RunFolder;
use crate::setup::Setup;
use crate::simulated::{SimulatedAccount, SimulatedGateway, SimulatedStream};
use crate::told::Teller;
use crate::wiring;

/// Wall time at the first message, as chores count it: later than any pause that has begun.
const WALL_AT_FIRST: Nanos = Nanos::from_secs(3_600);

/// What came of a replay.
#[derive(Debug)]
pub(super) struct Played {
    pub(super) messages: u64,
    pub(super) decisions: Decisions,
    pub(super) positions: Vec<PositionUpdate>,
    pub(super) equity: domain::Money,
}

/// Everything that decides, and the recording.
pub(super) struct Player {
    playback: Playback,
    driver: Driver,
    link: Link,
    comparison: Comparison,
    gateway: SimulatedGateway,
    instruments: Arc<Instruments>,
    errands: mpsc::Receiver<Errand>,
    kept: Kept,
    first: Timestamp,
    _scratch: Scratch,
}

impl Player {
    pub(super) fn new(
        setup: &Setup,
        beginning: &Beginning,
        instruments: &Arc<Instruments>,
        playback: Playback,
        first: Timestamp,
    ) -> Result<Self, LiveError> {
        let config = &setup.service.config;
        let scratch = Scratch::new()?;
        let memory = Memory::create(config, &beginning.config.instruments, &scratch.folder)?;
        let clock = Arc::new(ServerClock::local());
        let listed = instruments.iter().copied();
        let account = SimulatedAccount::new(config, beginning.scale, listed);
        account.resume(beginning.config.epoch, &beginning.config);
        let gateway = SimulatedGateway {
            account: account.clone(),
            clock: Arc::clone(&clock) as Arc<dyn Clock>,
        };
        let (errands, taken_errands) = mpsc::channel(ERRANDS_MAX);
        let (latch, encoder) = (memory.latch.clone(), gateway.encoder());
        let (listed, epoch) = (Arc::clone(instruments), beginning.config.epoch);
        let egress = Egress::new(epoch, latch.clone(), encoder, listed, Arc::clone(&clock), errands);
        let counters = Arc::new(Counters::default());
        let (teller, _) = Teller::new(Arc::clone(&counters));
        let out = Outputs::new(egress, latch, memory.rings, teller, counters);
        let kept = Kept::default();
        let begun = begun(beginning, &kept, first);
        let venue = config.venue.venue;
        let (driver, _) = wiring::driver(begun, out, (Some(account.clone()), venue), first)?;
        let streams = Streams {
            market: playback.protocol(),
            account: Box::new(SimulatedStream::new(account.clone())),
            requester: ResyncRequester::to_nobody(),
            simulated: Some(account),
        };
        let folder = scratch.folder.path().to_owned();
        // Nobody else trades in a replay, and its account is new.
        let rules = Rules {
            orphans: OrphanRule::Cancel,
            second_look: Nanos(0),
        };
        let account_watch = AccountWatch::new(venue, Arc::clone(instruments), folder, None, rules);
        Ok(Self {
            playback,
            driver,
            link: Link::new(venue, Arc::clone(instruments), clock, streams),
            comparison: Comparison::new(venue, account_watch, rules.second_look),
            gateway,
            instruments: Arc::clone(instruments),
            errands: taken_errands,
            kept,
            first,
            _scratch: scratch,
        })
    }

    /// Plays all of it. What came to the run from beside the market comes where it came to the run; without a run the
    /// bundle is activated before the first message.
    pub(super) async fn play(
        mut self,
        beginning: Beginning,
        run: Option<&Run>,
        tell: &mut dyn FnMut(Progress),
    ) -> Result<Played, LiveError> {
        self.begin(&beginning);
        let mut given = run.map_or_else(VecDeque::new, |run| run.given.iter().copied().collect());
        if run.is_none() {
            given.push_back(Given {
                after: None,
                what: Beside::Activation,
            });
        }
        let mut program = Some(beginning.program);
        let mut messages = 0;
        let mut last = self.first;
        loop {
            self.give(&mut given, &mut program, beginning.activation, last)?;
            let Some(message) = self.playback.next_message().map_err(refused)? else {
                break;
            };
            tell(self.playback.progress());
            messages += 1;
            last = message.ts_received;
            self.take(&message).await;
            self.check_begin(run)?;
        }
        if program.is_some() {
            return Err(LiveError::Replay(
                "the recording ends before the place at which the run's bundle was activated".to_owned(),
            ));
        }
        let engine = self.driver.engine();
        Ok(Played {
            messages,
            positions: engine.positions().collect(),
            equity: engine.equity(),
            decisions: self.kept.decisions().clone(),
        })
    }

    fn begin(&mut self, beginning: &Beginning) {
        self.driver.begin(beginning.config.epoch);
        let up = StreamMessage {
            ts_received: self.first,
            kind: StreamMessageKind::Connected,
        };
        self.link.on_account(&up, &mut self.driver, &mut self.comparison);
    }

    /// Gives what came to the run by this time of the market.
    fn give(
        &mut self,
        given: &mut VecDeque<Given>,
        program: &mut Option<SlotProgram>,
        activation: BundleActivated,
        at: Timestamp,
    ) -> Result<(), LiveError> {
        let market_time = self.kept.decisions().market_time;
        while let Some(next) = given.pop_front_if(|next| next.after <= market_time) {
            match next.what {
                Beside::Bar(bar) => {
                    self.driver.give(at, EventBody::HistoricalBar(bar));
                }
                Beside::Activation => {
                    if let Some(program) = program.take() {
                        self.driver.deploy(at, program, activation).map_err(refused)?;
                    }
                }
            }
        }
        Ok(())
    }

    /// A recording that begins later lacks what the bundle decided on.
    fn check_begin(&self, run: Option<&Run>) -> Result<(), LiveError> {
        let first_heard = run.and_then(|run| run.first_heard);
        let is_late = first_heard.is_some() && self.kept.decisions().first_market_time > first_heard;
        if is_late {
            return Err(LiveError::Replay(
                "the recording begins after the run's bundle was activated: begin to record before that"
                    .to_owned(),
            ));
        }
        Ok(())
    }

    /// What is due before a message, the message, and what follows from it.
    async fn take(&mut self, message: &StreamMessage) {
        let at = message.ts_received;
        let wall = self.wall(at);
        let (driver, comparison) = (&mut self.driver, &mut self.comparison);
        self.link.pass_time(at, driver, comparison);
        self.link.on_market(message, driver, comparison);
        driver.take_back();
        comparison.tick(driver, wall);
        self.run_errands(at).await;
    }

    /// The desk's errands, answered at once.
    async fn run_errands(&mut self, at: Timestamp) {
        while let Ok(errand) = self.errands.try_recv() {
            let reports = match errand {
                Errand::Amend(amend) => self.gateway.amend_order(&amend, LastLook::always()).await,
                Errand::Cancel(cancel) => self.gateway.cancel(&cancel).await,
                Errand::Resolve(unknown) => self.gateway.resolve(unknown).await,
                Errand::Reconcile(question) => {
                    let wall = self.wall(at);
                    match reconcile::ask(&self.gateway, &self.instruments, &question).await {
                        Ok(truth) => self.comparison.on_truth(&truth, &mut self.driver, at, wall),
                        Err(_) => self
                            .comparison
                            .on_no_truth(question.generation, &self.driver, wall),
                    }
                    continue;
                }
                // An order left when it was handed over; there is no history behind a recording.
                _ => continue,
            };
            for report in reports {
                self.driver.give(at, EventBody::OrderReport(report));
            }
        }
    }

    fn wall(&self, at: Timestamp) -> Nanos {
        Nanos(WALL_AT_FIRST.0.saturating_add(at.since(self.first).0.max(0)))
    }
}

fn begun(beginning: &Beginning, kept: &Kept, first: Timestamp) -> Begun {
    Begun {
        config: beginning.config.clone(),
        record: Box::new(kept.clone()),
        last: first,
        active: Vec::new(),
        serials: Vec::new(),
        ways_back: Vec::new(),
    }
}

/// A run folder for the time of a replay.
struct Scratch {
    folder: RunFolder,
    path: PathBuf,
}

impl Scratch {
    fn new() -> Result<Self, LiveError> {
        static MADE: AtomicU32 = AtomicU32::new(0);
        let number = MADE.fetch_add(1, Ordering::Relaxed);
        let name = format!("py_rt_replay_{}_{number}", std::process::id());
        let path = std::env::temp_dir().join(name);
        let folder = RunFolder::open(&path)?;
        Ok(Self { folder, path })
    }
}

impl Drop for Scratch {
    fn drop(&mut self) {
        // What cannot be removed is a temporary folder that stays.
        let _ = std::fs::remove_dir_all(&self.path);
    }
}

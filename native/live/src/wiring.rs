//! Puts the service together: sockets, queues, threads.

use std::sync::Arc;
use std::thread;

use config::{Guard, ServiceConfig};
use domain::{Bar, Epoch, Instrument, InstrumentId, Nanos, Timestamp, Venue};
use engine::{CarriedState, Engine, EngineConfig, OrphanRule, SlotConfig};
use journal::ConfigText;
use messaging::InstrumentName;
use tokio::sync::{mpsc, oneshot};
use tokio::task::JoinSet;
use venues::clock::Clock;
use venues::retry::Jitter;
use venues::switch::DeadMansSwitch;
use venues::{AccountFeed, Credentials, FrameSink, MarketFeed, ResyncRequester};

use crate::account_lock::AccountLock;
use crate::account_watch::{AccountWatch, Rules};
use crate::clock;
use crate::command_floors::CommandFloors;
use crate::comparison::Comparison;
use crate::control::Control;
use crate::dead_man;
use crate::deploy::Deployer;
use crate::desk::{Desk, ERRANDS_MAX, Errand};
use crate::doors;
use crate::driver::Driver;
use crate::egress::Egress;
use crate::ending::Ended;
use crate::engine_loop::EngineLoop;
use crate::error::LiveError;
use crate::fact::FactSender;
use crate::holdings::ForeignHoldings;
use crate::inputs::Inputs;
use crate::link::{Link, Streams};
use crate::memory::Memory;
use crate::messenger;
use crate::monitoring::{Counters, LatencyBoard};
use crate::outputs::Outputs;
use crate::programs::Programs;
use crate::record::{Begun, Life, Recorder};
use crate::recording::Recording;
use crate::rules::{self, RulesWish};
use crate::run_folder::RunFolder;
use crate::service::Service;
use crate::session::Session;
use crate::setup::Setup;
use crate::simulated::SimulatedAccount;
use crate::stop_latch::StopLatch;
use crate::telemetry;
use crate::told::Teller;
use crate::wake::Wake;
use crate::watched::{Watch, Watched, Watching};

/// What the service is given beside its configuration.
#[derive(Debug)]
pub struct Ports {
    /// The venue's keys of the account; `None` where orders stay in this process.
    pub credentials: Option<Credentials>,
    /// Where the life is recorded.
    pub recorder: Box<dyn Recorder>,
    /// Where bundles come from.
    pub programs: Arc<dyn Programs>,
}

/// Connects, recovers, fetches history and starts to decide. Call it inside a tokio runtime.
///
/// # Errors
/// [`LiveError`]: nothing was started then, and nothing has left for the venue but questions.
pub async fn start(setup: &Setup, folder: RunFolder, ports: Ports) -> Result<Service, LiveError> {
    let config = &setup.service.config;
    let floors = CommandFloors::open(folder.path())?;
    let held = hold_account(config, ports.credentials.as_ref(), &folder)?;
    let session = Session::open(config, ports.credentials).await?;
    let begun = begin(ports.recorder, life(setup, folder.epoch(), &session)).await?;
    session.resume(folder.epoch(), &begun.config);
    let foreign = ForeignHoldings::load(folder.path())?;
    let history = session.history(config.engine.bar_span).await?;
    let memory = Memory::create(config, &session.listed(), &folder)?;
    let counters = Arc::new(Counters::default());
    // From here on orders could leave, some day.
    let switch = dead_man::set(&config.venue, &session.gateway, &counters).await?;

    counters.venues.show(config.venue.venue);
    let wake = Wake::default();
    let (facts, taken_facts) = FactSender::new(wake.clone());
    let (mut inputs, market_sink, account_sink) = Inputs::new(taken_facts, &wake);
    let (errands, taken_errands) = mpsc::channel(ERRANDS_MAX);
    let mut jitter = jitter(folder.epoch());
    let latch = memory.latch.clone();
    let egress = egress(folder.epoch(), &latch, &session, errands);
    let (teller, told) = Teller::new(Arc::clone(&counters));
    let out = Outputs::new(egress, latch.clone(), memory.rings, teller, Arc::clone(&counters));
    let deployer = Arc::new(Deployer::new(ports.programs, facts.clone(), &session, &begun));
    let active = begun.active.clone();
    let own = (session.simulated.clone(), config.venue.venue);
    let (driver, latencies) = driver(begun, out, own, session.clock.now())?;

    let wish = (driver.out().rules.clone(), jitter.split());
    let mut tasks = side_tasks(&session, config, switch.as_deref(), (&facts, &counters), wish);
    let desk = desk(&session, config.engine.bar_span, (&facts, &latch, &counters));
    tasks.spawn(desk.run(taken_errands, jitter.split()));
    let messages = messenger::Parts {
        service: about(setup, &folder, &session, &deployer, &counters, &latencies)?,
        floors,
        told,
        facts: facts.clone(),
        latch: latch.clone(),
    };
    let parts = doors::Parts {
        segments: memory.server,
        control: control(&latch, &facts, &counters, folder.epoch()),
        messages,
    };
    let doors = doors::open(&folder, setup, parts, &mut tasks).await?;
    let watching = watch(&session, &mut inputs, (&facts, &wake, &counters), &mut jitter);
    let (market, account) = feeds(&session, &counters, jitter, market_sink, account_sink)?;

    let link = link(config.venue.venue, &session, market.requester());
    let comparison = comparison(config.venue.venue, &session, &folder, foreign, config.orphans);
    let parts = (driver, link, comparison);
    let decide = EngineLoop::new(parts, inputs, memory.parameters, wake, &session);
    let ended = spawn_decider(decide, folder.epoch(), history)?;
    tasks.spawn(Arc::clone(&deployer).restore(active));
    Ok(Service {
        ended,
        deployer,
        instruments: session.instruments,
        doors,
        latencies,
        folder,
        gateway: session.gateway,
        switch,
        _held: held,
        market,
        watching,
        account,
        tasks,
        facts,
        latch,
        counters,
    })
}

/// One service for a key: none where orders stay in this process.
fn hold_account(
    config: &ServiceConfig,
    credentials: Option<&Credentials>,
    folder: &RunFolder,
) -> Result<Option<AccountLock>, LiveError> {
    let take =
        |keys: &Credentials| AccountLock::take(&keys.fingerprint(&config.venue.rest_url), folder.path());
    credentials.map(take).transpose()
}

/// The one way out, over the session's gateway.
fn egress(epoch: Epoch, latch: &StopLatch, session: &Session, errands: mpsc::Sender<Errand>) -> Egress {
    let (instruments, clock) = (Arc::clone(&session.instruments), Arc::clone(&session.clock));
    let encoder = session.gateway.encoder();
    Egress::new(epoch, latch.clone(), encoder, instruments, clock, errands)
}

/// What the service says of itself.
fn about(
    setup: &Setup,
    folder: &RunFolder,
    session: &Session,
    deployer: &Arc<Deployer>,
    counters: &Arc<Counters>,
    latencies: &Arc<LatencyBoard>,
) -> Result<telemetry::Service, LiveError> {
    let names = session.listed().into_iter().map(|instrument| {
        let name = InstrumentName {
            venue: instrument.venue,
            symbol: instrument.symbol,
        };
        (instrument.id, name)
    });
    Ok(telemetry::Service {
        instance: setup.service.config.name.clone(),
        run_id: folder.run_id(),
        epoch: folder.epoch(),
        ts_started: session.clock.now(),
        instruments: messaging::Instruments::new(names)?,
        deployer: Arc::clone(deployer),
        counters: Arc::clone(counters),
        latencies: Arc::clone(latencies),
    })
}

/// No two services, and no two lives, pause in step.
fn jitter(epoch: Epoch) -> Jitter {
    Jitter::seeded(u64::from(std::process::id()) ^ u64::from(epoch.0) << 32)
}

fn control(latch: &StopLatch, facts: &FactSender, counters: &Arc<Counters>, epoch: Epoch) -> Control {
    Control {
        epoch,
        latch: latch.clone(),
        facts: facts.clone(),
        counters: Arc::clone(counters),
    }
}

/// What keeps clock and rules true beside everything else.
fn side_tasks(
    session: &Session,
    config: &ServiceConfig,
    switch: Option<&dyn DeadMansSwitch>,
    (facts, counters): (&FactSender, &Arc<Counters>),
    wish: (RulesWish, Jitter),
) -> JoinSet<()> {
    let mut tasks = JoinSet::new();
    if let Some(switch) = switch {
        let watch = dead_man::watch(switch.statistics(), Arc::clone(counters), facts.clone());
        tasks.spawn(watch);
    }
    if let Guard::Watchdog(silence) = config.venue.guard {
        tasks.spawn(dead_man::expect_watchdog(
            silence,
            Arc::clone(counters),
            facts.clone(),
        ));
    }
    let reference = || Arc::clone(&session.reference);
    tasks.spawn(clock::keep_in_step(
        reference(),
        Arc::clone(&session.clock),
        Arc::clone(counters),
    ));
    let instruments = Arc::clone(&session.instruments);
    tasks.spawn(rules::keep_up(
        reference(),
        instruments,
        facts.clone(),
        Arc::clone(counters),
        wish,
    ));
    tasks
}

/// What decides, from the record's end or `now` on, whichever is later.
pub(crate) fn driver(
    begun: Begun,
    out: Outputs,
    own: (Option<SimulatedAccount>, Venue),
    now: Timestamp,
) -> Result<(Driver, Arc<LatencyBoard>), LiveError> {
    let (stage_clock, latencies) = LatencyBoard::new();
    let engine = Engine::with_probe(begun.config, stage_clock)
        .map_err(|error| LiveError::Files(vec![error.to_string()]))?;
    let start = now.max(begun.last);
    let recording = Recording::new(begun.record);
    let driver = Driver::new(engine, recording, out, own, start);
    Ok((driver, Arc::new(latencies)))
}

fn desk(
    session: &Session,
    bar_span: Nanos,
    (facts, latch, counters): (&FactSender, &StopLatch, &Arc<Counters>),
) -> Desk {
    Desk {
        gateway: Arc::clone(&session.gateway),
        reference: Arc::clone(&session.reference),
        instruments: Arc::clone(&session.instruments),
        bar_span,
        settle: session.settle,
        facts: facts.clone(),
        latch: latch.clone(),
        counters: Arc::clone(counters),
        resolving: Arc::default(),
    }
}

fn feeds(
    session: &Session,
    counters: &Counters,
    mut jitter: Jitter,
    market: impl FrameSink,
    account: impl FrameSink,
) -> Result<(MarketFeed, AccountFeed), LiveError> {
    let (connector, instruments) = (&session.connector, &session.instruments);
    let market = connector.market_feed(instruments, jitter.split(), Box::new(market))?;
    let account = connector.account_feed(instruments, jitter.split(), Box::new(account))?;
    counters.streams.watch(market.connections());
    counters.streams.watch(account.connections());
    counters.streams.watch(session.gateway.connections());
    Ok((market, account))
}

/// Begins with every watched venue; none of them is waited for.
fn watch(
    session: &Session,
    inputs: &mut Inputs,
    (facts, wake, counters): (&FactSender, &Wake, &Arc<Counters>),
    jitter: &mut Jitter,
) -> Vec<Watching> {
    let begin = |watched: &Watched| {
        counters.venues.show(watched.venue);
        let events = inputs.watch();
        let watch = Watch {
            watched: watched.clone(),
            clock: Arc::clone(&session.clock),
            facts: facts.clone(),
            counters: Arc::clone(counters),
            jitter: jitter.split(),
        };
        Watching::begin(watch, events, wake.clone())
    };
    session.watched.iter().map(begin).collect()
}

fn comparison(
    venue: Venue,
    session: &Session,
    folder: &RunFolder,
    foreign: Option<ForeignHoldings>,
    orphans: OrphanRule,
) -> Comparison {
    let instruments = Arc::clone(&session.instruments);
    let second_look = session.second_look();
    let rules = Rules { orphans, second_look };
    let account = AccountWatch::new(venue, instruments, folder.path().to_owned(), foreign, rules);
    Comparison::new(venue, account, second_look)
}

fn link(venue: Venue, session: &Session, requester: ResyncRequester) -> Link {
    let (instruments, clock) = (Arc::clone(&session.instruments), Arc::clone(&session.clock));
    let simulated = session.simulated.clone();
    let streams = Streams::of(&*session.connector, &instruments, &clock, requester, simulated);
    Link::new(venue, instruments, clock, streams)
}

/// What is known of this life before its record is open.
fn life(setup: &Setup, epoch: Epoch, session: &Session) -> Life {
    let sources = setup.service.sources.iter().chain([&setup.limits_source]);
    let texts = sources.map(|source| ConfigText {
        name: source.name.clone(),
        text: source.text.clone(),
    });
    Life {
        config: session
            .scale
            .config(engine_config(setup, epoch, session.listed())),
        texts: texts.chain([session.scale.text()]).collect(),
        now: session.clock.now(),
    }
}

pub(crate) fn engine_config(setup: &Setup, epoch: Epoch, instruments: Vec<Instrument>) -> EngineConfig {
    let config = &setup.service.config;
    let slots = config.slots.iter().map(|slot| SlotConfig {
        slot: slot.slot,
        // The configuration holds far fewer instruments than an id has numbers.
        instrument: InstrumentId(u16::try_from(slot.instrument).unwrap_or(u16::MAX)),
        capital: slot.capital,
    });
    EngineConfig {
        epoch,
        portfolio_currency: config.portfolio_currency,
        instruments,
        slots: slots.collect(),
        limits: setup.limits,
        bar_span: config.engine.bar_span,
        bar_close_grace: config.engine.bar_close_grace,
        order_ack_timeout: config.engine.order_ack_timeout,
        require_reconciliation: true,
        carried: CarriedState::default(),
    }
}

/// Recovery reads files for as long as it takes: not on a thread that serves sockets.
async fn begin(recorder: Box<dyn Recorder>, life: Life) -> Result<Begun, LiveError> {
    let begun = tokio::task::spawn_blocking(move || recorder.begin(life)).await;
    match begun {
        Ok(begun) => Ok(begun?),
        Err(ended) => Err(LiveError::Defect(format!("recovery ended: {ended}"))),
    }
}

fn spawn_decider(
    decide: EngineLoop,
    epoch: Epoch,
    history: Vec<Bar>,
) -> Result<oneshot::Receiver<Ended>, LiveError> {
    let (tell, ended) = oneshot::channel();
    thread::Builder::new()
        .name("decide".to_owned())
        .spawn(move || {
            // A panic drops the sender, and whoever waits learns of it that way.
            let _ = tell.send(decide.run(epoch, &history));
        })
        .map_err(|source| LiveError::Defect(format!("no thread to decide on: {source}")))?;
    Ok(ended)
}

//! A service beside a simulated venue, and a record that tells the test what passes.

#![allow(dead_code, reason = "each test file uses its part")]
#![allow(clippy::unwrap_used, reason = "tests")]

pub(crate) mod programs;
pub(crate) mod venue;
pub(crate) mod wires;

use std::net::SocketAddr;
use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::time::Duration;

use domain::{
    Bar, BookUpdate, BookUpdateKind, BundleDigest, ClientOrderId, InstrumentId, InstrumentStatus, Level,
    MarketEvent, OrderReport, OrderRequest, SlotId, Timestamp, VenueState,
};
use engine::risk::DenyReason;
use engine::{
    Action, Alert, BookedFill, CarriedState, CommandKind, ControlLevel, Difference, Event, EventBody,
    JournalHealth, OrderUpdate, Scope, Signal, VenuePosition,
};
use journal::Room;
use live::journal_record::{FOLDER, JournalRecorder};
use live::programs::Programs;
use live::record::{Begun, Life, Record, RecordFault, Recorder, Written};
use live::{Commander, LiveError, Ports, RunFolder, Service, Setup};
use programs::TestPrograms;
use tokio::sync::Mutex;
use tokio::sync::mpsc::{UnboundedReceiver, UnboundedSender, unbounded_channel};
use tokio::time::timeout;
use venue::SimulatedVenue;
use venues::Credentials;
use wires::Wire;

/// Longest wait for anything before a test fails.
pub(crate) const PATIENCE: Duration = Duration::from_secs(30);

pub(crate) const BTC: InstrumentId = InstrumentId(0);
pub(crate) const SLOT: SlotId = SlotId(1);

/// What passed through the engine, copied.
#[derive(Debug, Clone, PartialEq)]
pub(crate) enum Seen {
    Carried(Box<CarriedState>),
    Book {
        instrument: InstrumentId,
        is_snapshot: bool,
        update_id: u64,
        bids: Vec<Level>,
        asks: Vec<Level>,
    },
    BookInvalid,
    Historical(Bar),
    TradesComplete(Timestamp),
    Venue(VenueState),
    Rules(InstrumentStatus),
    Position(VenuePosition),
    Difference(Difference),
    Compared(Timestamp),
    Reconciled,
    Report(OrderReport),
    Command(CommandKind),
    Health(JournalHealth),
    Bar(Bar),
    Sent(OrderRequest),
    Canceled(ClientOrderId),
    Denied(DenyReason),
    Update(OrderUpdate),
    Fill(BookedFill),
    Control(Scope, ControlLevel),
    Alert(Alert),
    HistoryAsked(Timestamp, Timestamp),
    Signal(Box<Signal>),
    Finished,
}

/// The journal, overheard: what is recorded is told to the test, in order.
#[derive(Debug)]
struct Overheard {
    recorder: Box<dyn Recorder>,
    tell: UnboundedSender<Seen>,
    /// The disk is full for everything that may not use the reserve after so many events.
    full_after: Option<u64>,
    /// While the test holds it, nothing can be written.
    disk: Arc<Mutex<()>>,
}

#[derive(Debug)]
struct OverheardRecord {
    record: Box<dyn Record>,
    tell: UnboundedSender<Seen>,
    full_after: Option<u64>,
    disk: Arc<Mutex<()>>,
}

impl Recorder for Overheard {
    fn begin(self: Box<Self>, life: Life) -> Result<Begun, RecordFault> {
        let Self {
            recorder,
            tell,
            full_after,
            disk,
        } = *self;
        let begun = recorder.begin(life)?;
        let _ = tell.send(Seen::Carried(Box::new(begun.config.carried.clone())));
        let record = Box::new(OverheardRecord {
            record: begun.record,
            tell,
            full_after,
            disk,
        });
        Ok(Begun { record, ..begun })
    }
}

impl OverheardRecord {
    fn check(&self, room: Room) -> Result<(), RecordFault> {
        let full = self
            .full_after
            .is_some_and(|last| self.record.next_event() > last);
        if full && room == Room::Ordinary {
            return Err(RecordFault {
                text: "no space left on device".to_owned(),
                is_final: false,
            });
        }
        Ok(())
    }
}

impl Record for OverheardRecord {
    fn next_event(&self) -> u64 {
        self.record.next_event()
    }

    fn event(&mut self, event: &Event<'_>, room: Room) -> Result<(), RecordFault> {
        drop(self.disk.blocking_lock());
        self.check(room)?;
        self.record.event(event, room)?;
        if let Some(seen) = seen_event(event) {
            let _ = self.tell.send(seen);
        }
        Ok(())
    }

    fn actions(&mut self, ts: Timestamp, actions: &[Action], room: Room) -> Result<(), RecordFault> {
        self.check(room)?;
        self.record.actions(ts, actions, room)?;
        for seen in actions.iter().filter_map(seen_action) {
            let _ = self.tell.send(seen);
        }
        Ok(())
    }

    fn health(&self) -> JournalHealth {
        self.record.health()
    }

    fn written(&self) -> Written {
        self.record.written()
    }

    fn finish(self: Box<Self>) -> Result<(), RecordFault> {
        self.record.finish()?;
        let _ = self.tell.send(Seen::Finished);
        Ok(())
    }
}

fn seen_event(event: &Event<'_>) -> Option<Seen> {
    Some(match event.body {
        EventBody::Market(MarketEvent::Book(update)) => seen_book(&update),
        EventBody::Market(MarketEvent::BookInvalid(_)) => Seen::BookInvalid,
        EventBody::Market(MarketEvent::VenueStatus(status)) => Seen::Venue(status.state),
        EventBody::Market(MarketEvent::InstrumentUpdated(one)) => Seen::Rules(one.status),
        EventBody::HistoricalBar(bar) => Seen::Historical(bar),
        EventBody::TradesComplete { since, .. } => Seen::TradesComplete(since),
        EventBody::VenuePosition(position) => Seen::Position(position),
        EventBody::Difference(difference) => Seen::Difference(difference),
        EventBody::Compared(compared) => Seen::Compared(compared.through),
        EventBody::Reconciled { .. } => Seen::Reconciled,
        EventBody::OrderReport(report) => Seen::Report(report),
        EventBody::Command(command) => Seen::Command(command.kind),
        EventBody::JournalHealth(health) => Seen::Health(health),
        _ => return None,
    })
}

fn seen_book(update: &BookUpdate<'_>) -> Seen {
    Seen::Book {
        instrument: update.instrument,
        is_snapshot: update.kind == BookUpdateKind::Snapshot,
        update_id: update.update_id,
        bids: update.bids.to_vec(),
        asks: update.asks.to_vec(),
    }
}

fn seen_action(action: &Action) -> Option<Seen> {
    Some(match action {
        Action::BarClosed(bar) => Seen::Bar(*bar),
        Action::Submit(order) => Seen::Sent(*order.get()),
        Action::Cancel(cancel) => Seen::Canceled(cancel.client_order_id),
        Action::Denied { reason, .. } => Seen::Denied(*reason),
        Action::OrderUpdate(update) => Seen::Update(*update),
        Action::Fill(fill) => Seen::Fill(*fill),
        Action::Control { scope, level } => Seen::Control(*scope, *level),
        Action::Alert(alert) => Seen::Alert(*alert),
        Action::RequestHistory { from, to, .. } => Seen::HistoryAsked(*from, *to),
        Action::Signal(signal) => Seen::Signal(Box::new(*signal)),
        _ => return None,
    })
}

/// A service, its venue, and what has been seen.
pub(crate) struct Bench {
    pub(crate) wire: Wire,
    pub(crate) venue: SimulatedVenue,
    pub(crate) setup: Setup,
    pub(crate) home: tempfile::TempDir,
    pub(crate) seen: Vec<Seen>,
    /// While it is held, the thread that decides waits for its record.
    pub(crate) disk: Arc<Mutex<()>>,
    tape: UnboundedReceiver<Seen>,
    pub(crate) service: Service,
    pub(crate) commander: Commander,
}

impl Bench {
    /// Starts both; the service has begun its life when this returns.
    pub(crate) async fn start() -> Self {
        Self::start_with(None).await
    }

    pub(crate) async fn start_with(full_after: Option<u64>) -> Self {
        Self::start_by("rest", full_after).await
    }

    /// The same, with orders that leave as `[venue] order_entry` says.
    pub(crate) async fn start_by(order_entry: &str, full_after: Option<u64>) -> Self {
        Self::start_as(&format!("order_entry = \"{order_entry}\""), full_after).await
    }

    /// Over another venue's wire.
    pub(crate) async fn start_over(wire: Wire, order_entry: &str) -> Self {
        let lines = format!("order_entry = \"{order_entry}\"");
        Self::start_beside(wire, SimulatedVenue::start_over(wire).await, &lines, None).await
    }

    /// The same with others watched: each a wire and the port where it is.
    pub(crate) async fn start_watching(wire: Wire, watched: &[(Wire, u16)]) -> Self {
        let venue = SimulatedVenue::start_over(wire).await;
        Self::start_beside(wire, venue, &watch_lines(watched), None).await
    }

    /// The same with orphans treated as `[reconciliation] orphans` says.
    pub(crate) async fn start_with_orphans(rule: &str) -> Self {
        Self::start_as(&format!("[reconciliation]\norphans = \"{rule}\""), None).await
    }

    /// The same with orders that stay in the service, and these lines of `[simulated]`.
    pub(crate) async fn start_simulated(lines: &str) -> Self {
        Self::start_as(&format!("gateway = \"simulated\"\n[simulated]\n{lines}"), None).await
    }

    async fn start_as(venue_lines: &str, full_after: Option<u64>) -> Self {
        Self::start_beside(
            Wire::Binance,
            SimulatedVenue::start().await,
            venue_lines,
            full_after,
        )
        .await
    }

    /// Beside a venue that the test keeps itself, with orders that stay in the service, and others watched.
    pub(crate) async fn start_simulated_watching(address: SocketAddr, watched: &[(Wire, u16)]) -> Self {
        let venue = SimulatedVenue::kept_elsewhere(address);
        let lines = format!("gateway = \"simulated\"\n{}", watch_lines(watched));
        Self::start_beside(Wire::Binance, venue, &lines, None).await
    }

    pub(crate) async fn start_beside(
        wire: Wire,
        venue: SimulatedVenue,
        venue_lines: &str,
        full_after: Option<u64>,
    ) -> Self {
        let home = tempfile::tempdir().unwrap();
        let setup = Setup::load(&write_config(home.path(), wire, venue.port(), venue_lines)).unwrap();
        let disk = Arc::default();
        let (service, tape) = start_service(wire, &setup, full_after, &disk).await;
        let commander = service.commander();
        Self {
            wire,
            venue,
            setup,
            home,
            seen: Vec::new(),
            disk,
            tape,
            service,
            commander,
        }
    }

    /// Takes in what passes until something fits, and returns it.
    pub(crate) async fn until<T>(&mut self, what: &str, fits: impl Fn(&Seen) -> Option<T>) -> T {
        let search = async {
            loop {
                let seen = self.tape.recv().await?;
                let found = fits(&seen);
                self.seen.push(seen);
                if found.is_some() {
                    return found;
                }
            }
        };
        match timeout(PATIENCE, search).await {
            Ok(Some(found)) => found,
            Ok(None) => panic!("the service ended before this happened: {what}"),
            Err(elapsed) => panic!("{elapsed}: {what}; last seen: {:#?}", self.last(30)),
        }
    }

    pub(crate) async fn until_seen(&mut self, wanted: Seen) {
        let what = format!("{wanted:?}");
        self.until(&what, |seen| (*seen == wanted).then_some(())).await;
    }

    /// Until the account agrees and the book stands.
    pub(crate) async fn until_ready(&mut self) {
        self.until_seen(Seen::Reconciled).await;
        let snapshots = |seen: &Seen| {
            matches!(
                seen,
                Seen::Book {
                    instrument: BTC,
                    is_snapshot: true,
                    ..
                }
            )
        };
        if !self.seen.iter().any(snapshots) {
            self.until("a book", |seen| snapshots(seen).then_some(())).await;
        }
    }

    /// Everything that has passed and was not taken in yet.
    pub(crate) fn catch_up(&mut self) {
        while let Ok(seen) = self.tape.try_recv() {
            self.seen.push(seen);
        }
    }

    /// Runs a program in the slot.
    pub(crate) async fn deploy(&self, digest: BundleDigest) {
        self.commander.deployer().deploy(SLOT, digest).await.unwrap();
    }

    /// Ends this life and starts another in the same run folder, at the same venue.
    pub(crate) async fn restart(self) -> Self {
        self.restart_after(async |_| {}).await
    }

    /// The same; between the two lives something happens at the venue.
    pub(crate) async fn restart_after(self, meanwhile: impl AsyncFnOnce(&SimulatedVenue)) -> Self {
        let Self {
            wire,
            venue,
            setup,
            home,
            service,
            ..
        } = self;
        let ended = timeout(PATIENCE, service.drain())
            .await
            .expect("it ends")
            .unwrap();
        assert!(ended.fault.is_none() && ended.orders_left == 0, "{ended:?}");
        meanwhile(&venue).await;
        Self::live_again(wire, venue, setup, home).await
    }

    /// Another life in the same run folder, at the same venue.
    pub(crate) async fn live_again(
        wire: Wire,
        venue: SimulatedVenue,
        setup: Setup,
        home: tempfile::TempDir,
    ) -> Self {
        let disk = Arc::default();
        let (service, tape) = start_service(wire, &setup, None, &disk).await;
        let commander = service.commander();
        Self {
            wire,
            venue,
            setup,
            home,
            seen: Vec::new(),
            disk,
            tape,
            service,
            commander,
        }
    }

    /// Ends the service in order; its files stay as long as they are held.
    pub(crate) async fn end(self) -> (Setup, tempfile::TempDir, live::Ended) {
        let ended = timeout(PATIENCE, self.service.drain()).await.expect("it ends");
        (self.setup, self.home, ended.unwrap())
    }

    /// Ends the service in order; what passed until then is in `seen`.
    pub(crate) async fn drain(mut self) -> (live::Ended, Vec<Seen>, SimulatedVenue) {
        let ended = timeout(PATIENCE, self.service.drain())
            .await
            .expect("it ends")
            .unwrap();
        while let Ok(seen) = self.tape.try_recv() {
            self.seen.push(seen);
        }
        (ended, self.seen, self.venue)
    }

    pub(crate) fn last(&self, count: usize) -> &[Seen] {
        &self.seen[self.seen.len().saturating_sub(count)..]
    }
}

async fn start_service(
    wire: Wire,
    setup: &Setup,
    full_after: Option<u64>,
    disk: &Arc<Mutex<()>>,
) -> (Service, UnboundedReceiver<Seen>) {
    let credentials = wire.credentials(setup.service.config.venue.gateway);
    let started = start_on(setup, full_after, credentials, Arc::clone(disk));
    started.await.unwrap()
}

pub(crate) async fn try_start(
    setup: &Setup,
    full_after: Option<u64>,
) -> Result<(Service, UnboundedReceiver<Seen>), LiveError> {
    let credentials = Wire::Binance.credentials(setup.service.config.venue.gateway);
    try_start_with(setup, full_after, credentials).await
}

pub(crate) async fn try_start_with(
    setup: &Setup,
    full_after: Option<u64>,
    credentials: Option<Credentials>,
) -> Result<(Service, UnboundedReceiver<Seen>), LiveError> {
    start_on(setup, full_after, credentials, Arc::default()).await
}

async fn start_on(
    setup: &Setup,
    full_after: Option<u64>,
    credentials: Option<Credentials>,
    disk: Arc<Mutex<()>>,
) -> Result<(Service, UnboundedReceiver<Seen>), LiveError> {
    let (tell, tape) = unbounded_channel();
    let folder = RunFolder::open(&setup.run_folder())?;
    let programs = Arc::new(TestPrograms { limits: setup.limits });
    let ports = Ports {
        credentials,
        recorder: Box::new(Overheard {
            recorder: Box::new(JournalRecorder {
                dir: folder.file(FOLDER),
                settings: setup.service.config.journal,
                run_id: folder.run_id(),
                programs: Arc::clone(&programs) as Arc<dyn Programs>,
            }),
            tell,
            full_after,
            disk,
        }),
        programs,
    };
    let service = live::start(setup, folder, ports).await?;
    Ok((service, tape))
}

/// A configuration for replays: bars of a second, orders that stay here.
pub(crate) fn setup_of(home: &Path, venue: &str, symbol: &str, currency: &str) -> Setup {
    let path = write_config(home, Wire::Binance, 1, "gateway = \"simulated\"");
    let text = std::fs::read_to_string(&path).unwrap();
    let text = text
        .replace("name = \"binance\"", &format!("name = \"{venue}\""))
        .replace("\"BTCUSDT\"", &format!("\"{symbol}\""))
        .replace("\"USDT\"", &format!("\"{currency}\""))
        .replace("bar_seconds = 60", "bar_seconds = 1");
    std::fs::write(&path, text).unwrap();
    let limits = home.join("risk_limits.toml");
    let text = std::fs::read_to_string(&limits).unwrap();
    std::fs::write(&limits, text.replace("\"USDT\"", &format!("\"{currency}\""))).unwrap();
    Setup::load(&path).unwrap()
}

/// The tables of `[[watch]]`.
pub(crate) fn watch_lines(watched: &[(Wire, u16)]) -> String {
    let tables = watched
        .iter()
        .map(|(wire, port)| wire.watched(*port, wire.symbol()));
    tables.collect()
}

pub(crate) fn write_config(home: &Path, wire: Wire, port: u16, venue_lines: &str) -> PathBuf {
    let currency = wire.currency();
    let limits = include_str!("../../../../config/risk_limits.toml")
        .replace(
            "max_portfolio_concentration = 0.25",
            "max_portfolio_concentration = 1.0",
        )
        .replace("\"USDT\"", &format!("\"{currency}\""));
    std::fs::write(home.join("risk_limits.toml"), limits).unwrap();
    let keys = include_str!("../../../../tests/contract/bundle/trusted_keys.toml");
    std::fs::write(home.join("trusted_keys.toml"), keys).unwrap();
    let text = format!(
        r#"
[service]
name = "bench"
stage = "paper"
run_folder = "{home}/run"
bundle_store = "{home}/bundles"
trusted_keys_file = "{home}/trusted_keys.toml"
risk_limits_file = "{home}/risk_limits.toml"
portfolio_currency = "{currency}"
[venue]
name = "{name}"
{addresses}
{venue_lines}
[[instrument]]
symbol = "{symbol}"
[[slot]]
id = 1
symbol = "{symbol}"
capital = 100000.0
[engine]
bar_seconds = 60
[clock]
compression = {compression}.0
[telemetry]
metrics_port = 0
"#,
        home = home.display(),
        name = wire.name(),
        symbol = wire.symbol(),
        addresses = wire.addresses(port),
        compression = venue::COMPRESSION,
    );
    let path = home.join("service.toml");
    std::fs::write(&path, text).unwrap();
    path
}

//! A service beside a simulated venue, and a record that tells the test what passes.

#![allow(dead_code, reason = "each test file uses its part")]
#![allow(clippy::unwrap_used, reason = "tests")]

pub(crate) mod venue;

use std::path::{Path, PathBuf};
use std::time::Duration;

use domain::{
    Bar, BookUpdate, BookUpdateKind, BundleDigest, ClientOrderId, Decimal, InstrumentId, Level, MarketEvent,
    OrderReport, OrderRequest, SCALE, SlotId, Timestamp, VenueState,
};
use engine::risk::DenyReason;
use engine::strategy::{SmaCross, SmaCrossParameters, SmaSource};
use engine::{
    Action, Alert, BookedFill, BundleActivated, CommandKind, ControlLevel, EngineConfig, Event, EventBody,
    JournalHealth, OnSwap, OrderUpdate, Scope, SlotProgram, VenuePosition,
};
use live::record::{Begun, Record, RecordFault, Recorder};
use live::{Commander, Ports, RunFolder, Service, Setup};
use tokio::sync::mpsc::{UnboundedReceiver, UnboundedSender, unbounded_channel};
use tokio::time::timeout;
use venue::SimulatedVenue;
use venues::Secret;
use venues::binance::Credentials;

/// Longest wait for anything before a test fails.
pub(crate) const PATIENCE: Duration = Duration::from_secs(30);

pub(crate) const BTC: InstrumentId = InstrumentId(0);
pub(crate) const SLOT: SlotId = SlotId(1);

/// What passed through the engine, copied.
#[derive(Debug, Clone, PartialEq)]
pub(crate) enum Seen {
    Book {
        is_snapshot: bool,
        update_id: u64,
        bids: Vec<Level>,
        asks: Vec<Level>,
    },
    BookInvalid,
    Historical(Bar),
    TradesComplete(Timestamp),
    Venue(VenueState),
    Position(VenuePosition),
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
    Finished,
}

/// Keeps nothing but tells the test, in order. The durable record is the crate `journal`'s.
#[derive(Debug)]
struct Tape {
    tell: UnboundedSender<Seen>,
    /// Refuses the event after so many.
    breaks_at: Option<u64>,
}

impl Recorder for Tape {
    fn begin(self: Box<Self>, config: EngineConfig) -> Result<Begun, RecordFault> {
        let last = Timestamp::EPOCH;
        Ok(Begun {
            config,
            record: self,
            last,
        })
    }
}

impl Record for Tape {
    fn event(&mut self, event: &Event<'_>) -> Result<(), RecordFault> {
        if self.breaks_at.is_some_and(|last| event.seq > last) {
            return Err(RecordFault("no space left on device".to_owned()));
        }
        if let Some(seen) = seen_event(event) {
            let _ = self.tell.send(seen);
        }
        Ok(())
    }

    fn action(&mut self, _seq: u64, _ts: Timestamp, action: &Action) -> Result<(), RecordFault> {
        if let Some(seen) = seen_action(action) {
            let _ = self.tell.send(seen);
        }
        Ok(())
    }

    fn commit(&mut self) -> Result<(), RecordFault> {
        Ok(())
    }

    fn health(&mut self) -> JournalHealth {
        JournalHealth::Healthy
    }

    fn finish(&mut self) -> Result<(), RecordFault> {
        let _ = self.tell.send(Seen::Finished);
        Ok(())
    }
}

fn seen_event(event: &Event<'_>) -> Option<Seen> {
    Some(match event.body {
        EventBody::Market(MarketEvent::Book(update)) => seen_book(&update),
        EventBody::Market(MarketEvent::BookInvalid(_)) => Seen::BookInvalid,
        EventBody::Market(MarketEvent::VenueStatus(status)) => Seen::Venue(status.state),
        EventBody::HistoricalBar(bar) => Seen::Historical(bar),
        EventBody::TradesComplete { since, .. } => Seen::TradesComplete(since),
        EventBody::VenuePosition(position) => Seen::Position(position),
        EventBody::Reconciled { .. } => Seen::Reconciled,
        EventBody::OrderReport(report) => Seen::Report(report),
        EventBody::Command(command) => Seen::Command(command.kind),
        EventBody::JournalHealth(health) => Seen::Health(health),
        _ => return None,
    })
}

fn seen_book(update: &BookUpdate<'_>) -> Seen {
    Seen::Book {
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
        _ => return None,
    })
}

/// A service, its venue, and what has been seen.
pub(crate) struct Bench {
    pub(crate) venue: SimulatedVenue,
    pub(crate) setup: Setup,
    pub(crate) home: tempfile::TempDir,
    pub(crate) seen: Vec<Seen>,
    tape: UnboundedReceiver<Seen>,
    pub(crate) service: Service,
    pub(crate) commander: Commander,
}

impl Bench {
    /// Starts both; the service has begun its life when this returns.
    pub(crate) async fn start() -> Self {
        Self::start_with(None).await
    }

    pub(crate) async fn start_with(breaks_at: Option<u64>) -> Self {
        let venue = SimulatedVenue::start().await;
        let home = tempfile::tempdir().unwrap();
        let setup = Setup::load(&write_config(home.path(), venue.port())).unwrap();
        let (service, tape) = start_service(&setup, breaks_at).await;
        let commander = service.commander();
        Self {
            venue,
            setup,
            home,
            seen: Vec::new(),
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

    /// Runs a strategy in the slot.
    pub(crate) async fn deploy(&self, program: SlotProgram) {
        let activation = BundleActivated {
            slot: SLOT,
            digest: program.digest,
            serial: 1,
            expires: program.expires,
        };
        let deployed = self.commander.deploy(program, activation).await.unwrap();
        assert_eq!(deployed, Ok(()));
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

async fn start_service(setup: &Setup, breaks_at: Option<u64>) -> (Service, UnboundedReceiver<Seen>) {
    let (tell, tape) = unbounded_channel();
    let secret = |text: &str| Secret::new(text.to_owned()).unwrap();
    let ports = Ports {
        credentials: Credentials::new(secret(venue::API_KEY), secret(venue::API_SECRET)),
        recorder: Box::new(Tape { tell, breaks_at }),
    };
    let folder = RunFolder::open(&setup.run_folder()).unwrap();
    let service = live::start(setup, folder, ports).await.unwrap();
    (service, tape)
}

/// Spans in venue time: three hundred seconds of it pass in one.
fn write_config(home: &Path, port: u16) -> PathBuf {
    let limits = include_str!("../../../../config/risk_limits.toml")
        .replace("max_data_age_ms = 5000 ", "max_data_age_ms = 3600000 ")
        .replace(
            "max_portfolio_concentration = 0.25",
            "max_portfolio_concentration = 1.0",
        );
    std::fs::write(home.join("risk_limits.toml"), limits).unwrap();
    let text = format!(
        r#"
[service]
name = "bench"
stage = "paper"
run_folder = "{home}/run"
bundle_store = "{home}/bundles"
trusted_keys_file = "{home}/trusted_keys.toml"
risk_limits_file = "{home}/risk_limits.toml"
portfolio_currency = "USDT"
[venue]
name = "binance"
rest_url = "http://127.0.0.1:{port}"
ws_url = "ws://127.0.0.1:{port}"
ws_api_url = "ws://127.0.0.1:{port}/ws-api/v3"
[[instrument]]
symbol = "BTCUSDT"
[[slot]]
id = 1
symbol = "BTCUSDT"
capital = 100000.0
[engine]
bar_seconds = 60
order_ack_timeout_ms = 600000
[clock]
compression = {compression}.0
[telemetry]
metrics_port = 0
"#,
        home = home.display(),
        compression = venue::COMPRESSION,
    );
    let path = home.join("service.toml");
    std::fs::write(&path, text).unwrap();
    path
}

/// A tenth of the slot's money on every cross of two short averages.
pub(crate) fn sma_cross(setup: &Setup, source: SmaSource) -> SlotProgram {
    let parameters = SmaCrossParameters {
        source,
        fast: 1,
        slow: 3,
        position_size_pct: Decimal::from_units(SCALE / 20),
    };
    SlotProgram {
        slot: SLOT,
        digest: BundleDigest([7; 32]),
        instrument: BTC,
        features: None,
        model: None,
        strategy: Box::new(SmaCross::new(parameters).unwrap()),
        limits: setup.limits,
        daily_volatility: Decimal::from_units(SCALE / 50),
        size_scale: Decimal::from_units(SCALE),
        expires: Timestamp::from_nanos(i64::MAX),
        on_swap: OnSwap::Adopt,
    }
}

//! The tour itself: what is asked, in which order, and what this build expects of each answer.

mod market;
mod orders;
mod refusals;
mod sizes;

use std::collections::BTreeSet;
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::{Duration, Instant, SystemTime, UNIX_EPOCH};

use domain::{
    Balance, CancelRequest, ClientOrderId, Epoch, Instrument, InstrumentId, Nanos, OrderReportKind, SlotId,
    Timestamp,
};
use tokio::sync::OnceCell;
use tokio::time::{sleep, timeout};
use venues::clock::{Clock, REAL_TIME_PPB, Rate, ServerClock};
use venues::retry::Jitter;
use venues::{
    Connector, Gateway, Instruments, OrderEntry, OrderView, Reference, StalenessBounds, VenueError,
};

use crate::certificate::{Difference, Network, Outcome, Step};
use crate::error::CertifyError;
use crate::plan::Plan;
use crate::streams::{ACCOUNT, AccountWatch, MARKET, MarketWatch, queue};
use crate::wire::Wire;
use crate::words::Words;

/// Pause between two questions for what a venue does in its own time.
const ASK_AGAIN: Duration = Duration::from_millis(100);

/// Looks at the open orders without one of ours, after which none is on its way.
const LOOKS_WITHOUT: u32 = 2;

/// Least time for taking back what rests, however short a step may be otherwise.
const TAKE_BACK_LEAST: Duration = Duration::from_mins(1);

/// The slot that a tour's orders name: no service has it, and the epoch beside it is the time of the tour.
const SLOT: SlotId = SlotId(u16::MAX);

/// How far a message's time may be ahead of our own when it came, wall time.
const AHEAD_MAX: Nanos = Nanos::from_secs(5);

/// The one instrument of a tour's session.
pub(super) const TOURED: InstrumentId = InstrumentId(0);

/// A measured rate this near to the wall's is the wall's, parts per billion.
const REAL_TIME_TOLERANCE_PPB: i64 = REAL_TIME_PPB / 50;

/// Why a step is not as expected.
#[derive(Debug)]
pub(super) enum Odd {
    Differs(String),
    NotTried(String),
    NotOffered(String),
}

impl From<VenueError> for Odd {
    fn from(error: VenueError) -> Self {
        Self::Differs(error.to_string())
    }
}

/// What a step saw.
pub(super) type Found = Result<Vec<String>, Odd>;

pub(super) fn differs<T>(what: impl Into<String>) -> Result<T, Odd> {
    Err(Odd::Differs(what.into()))
}

/// Parts that speak to one account, over one door for orders.
#[derive(Debug)]
pub(super) struct Line {
    pub(super) connector: Box<dyn Connector>,
    pub(super) reference: Arc<dyn Reference>,
}

impl Line {
    fn open(
        plan: &Plan,
        credentials: venues::Credentials,
        door: OrderEntry,
        clock: Arc<dyn Clock>,
    ) -> Result<Self, VenueError> {
        let connector = venues::connect(plan.settings(door), credentials, clock)?;
        let reference = connector.reference();
        Ok(Self { connector, reference })
    }
}

/// What is kept from step to step.
#[derive(Debug)]
pub(crate) struct Tour {
    plan: Plan,
    words: Words,
    clock: Arc<ServerClock>,
    instrument: Instrument,
    instruments: Arc<Instruments>,
    line: Line,
    gateway: Arc<dyn Gateway>,
    market: MarketWatch,
    account: AccountWatch,
    epoch: Epoch,
    /// Every order that was sent.
    sent: Mutex<Vec<ClientOrderId>>,
    /// Until when an order may still arrive whose answer was not heard.
    in_doubt_until: Mutex<Option<Instant>>,
    /// Whether the dead man's switch may be set.
    is_switch_set: AtomicBool,
    /// What the account had at the beginning.
    funds: OnceCell<Vec<Balance>>,
    steps: Mutex<Vec<Step>>,
}

impl Tour {
    /// Anchors the clock, asks for the rules, refuses a key that may withdraw, and starts both streams.
    pub(crate) async fn open(plan: Plan, words: Words) -> Result<Self, CertifyError> {
        let clock = Arc::new(ServerClock::local());
        let as_clock = Arc::clone(&clock) as Arc<dyn Clock>;
        let line = Line::open(&plan, plan.credentials.clone(), OrderEntry::Rest, as_clock)
            .map_err(CertifyError::Venue)?;
        let steps = Steps {
            done: Mutex::default(),
            words: &words,
            patience: plan.patience,
        };
        let reference = &*line.reference;
        steps.run("server time", anchor(&plan, &clock, reference)).await;
        steps.must_stand()?;
        let listed = reference.instruments(&[&plan.symbol]).await;
        let instruments = listed.and_then(Instruments::new).map_err(CertifyError::Venue)?;
        let instruments = Arc::new(instruments);
        let instrument = *instruments.require(TOURED).map_err(CertifyError::Venue)?;
        steps.run("rules", async { market::rules(&instrument) }).await;
        let gateway = line
            .connector
            .gateway(&instruments)
            .map_err(CertifyError::Venue)?;
        refuse_withdrawals(&plan, &*gateway, &steps).await?;
        let steps = steps.done;
        let heard = (words.clone(), plan.wire.clone());
        let (market, account) = streams(&line, &instruments, &clock, &heard).map_err(CertifyError::Venue)?;
        Ok(Self {
            plan,
            words,
            clock,
            instrument,
            instruments,
            line,
            gateway,
            market,
            account,
            epoch: Epoch(wall_seconds()),
            sent: Mutex::default(),
            in_doubt_until: Mutex::default(),
            is_switch_set: AtomicBool::new(false),
            funds: OnceCell::new(),
            steps,
        })
    }

    /// Every step, in order. A step that fails does not end the tour.
    pub(crate) async fn run(&self) {
        self.step("account asked for", self.balances()).await;
        self.step("bars", self.bars()).await;
        self.step("market streams", self.market_streams()).await;
        self.step("account stream", self.account_stream()).await;
        // Early: it asks much, and a rate budget is full only once.
        self.step("order that was never sent", self.never_sent()).await;
        self.resting_order().await;
        self.step("order that takes at once and finds nothing", self.takes_nothing())
            .await;
        if self.plan.trades {
            self.trade().await;
        }
        self.step("trades listed", self.trades_listed()).await;
        self.step("cancel all", self.cancel_all()).await;
        self.step("order entry over a socket", self.over_a_socket()).await;
        self.step("unknown symbol refused", self.unknown_symbol()).await;
        self.step("filter violation refused", self.filter_violation())
            .await;
        self.step("stale timestamp refused", self.stale_timestamp()).await;
        self.step("bad signature refused", self.bad_signature()).await;
        self.step("dead man's switch", self.dead_mans_switch()).await;
    }

    /// Takes back whatever the tour left resting, whatever became of it.
    pub(crate) async fn clean(&self) {
        let taking_back = timeout(self.plan.patience.max(TAKE_BACK_LEAST), self.take_back());
        let taken_back = async {
            let left = || {
                Odd::Differs(format!(
                    "ORDERS MAY REST: look at the venue for {}",
                    self.sent_text()
                ))
            };
            taking_back.await.unwrap_or_else(|_| Err(left()))
        };
        self.step_within("nothing left resting", Duration::MAX, taken_back)
            .await;
        if self.is_switch_set.load(Ordering::SeqCst) {
            self.step("dead man's switch taken off", self.take_switch_off())
                .await;
        }
        self.step("market streams to the end", async { self.market_at_the_end() })
            .await;
    }

    /// The steps, and what the streams told that nobody expected.
    pub(crate) async fn close(self) -> (Vec<Step>, Vec<Difference>) {
        let mut differences = self.market.odd.all();
        differences.extend(self.account.odd.all());
        differences.extend(self.plan.wire.odd.all());
        self.market.stop().await;
        self.account.stop().await;
        let steps = self.steps.into_inner().unwrap_or_else(PoisonError::into_inner);
        (steps, differences)
    }

    async fn step(&self, name: &'static str, doing: impl Future<Output = Found>) {
        self.step_within(name, self.plan.patience, doing).await;
    }

    async fn step_within(&self, name: &'static str, patience: Duration, doing: impl Future<Output = Found>) {
        let done = performed(name, (&self.words, patience), doing).await;
        lock(&self.steps).push(done);
    }

    /// The id of the next order; from here on the order is looked for.
    fn next_id(&self) -> ClientOrderId {
        let mut sent = lock(&self.sent);
        let counter = u32::try_from(sent.len()).unwrap_or(u32::MAX - 1) + 1;
        let id = self.id(counter);
        sent.push(id);
        id
    }

    fn id(&self, counter: u32) -> ClientOrderId {
        ClientOrderId {
            epoch: self.epoch,
            slot: SLOT,
            counter,
        }
    }

    /// An order leaves: until its answer is heard it may arrive late. Gives back until when others were in doubt before it.
    fn in_doubt(&self) -> Option<Instant> {
        let settings = self.plan.settings(OrderEntry::Rest);
        let late = settings.recv_window.0 + settings.read_staleness.0;
        let until = Instant::now().checked_add(Duration::from_nanos(late.unsigned_abs()));
        std::mem::replace(&mut *lock(&self.in_doubt_until), until)
    }

    /// Its answer was heard: what was in doubt before it still is.
    fn no_doubt(&self, before: Option<Instant>) {
        *lock(&self.in_doubt_until) = before;
    }

    fn sent_text(&self) -> String {
        let sent = lock(&self.sent);
        sent.iter()
            .map(ToString::to_string)
            .collect::<Vec<_>>()
            .join(", ")
    }

    fn now(&self) -> Timestamp {
        self.clock.now()
    }

    async fn open_orders(&self) -> Result<Vec<OrderView>, VenueError> {
        patiently(async || self.gateway.open_orders(TOURED).await).await
    }

    fn is_ours(&self, view: &OrderView) -> bool {
        let named = view.client_order_id;
        named.is_some_and(|id| id.epoch == self.epoch && id.slot == SLOT)
    }

    /// Cancels each of the tour's orders that is open, until none was seen twice and none may be on its way. A list that
    /// cannot be had ends nothing: whatever was sent is canceled by its id.
    async fn take_back(&self) -> Found {
        let mut taken_back = BTreeSet::new();
        let mut looks_without = 0;
        let sent = lock(&self.sent).clone();
        let is_in_doubt = || lock(&self.in_doubt_until).is_some_and(|until| Instant::now() < until);
        while looks_without < LOOKS_WITHOUT || is_in_doubt() {
            let ours: Vec<ClientOrderId> = match self.open_orders().await {
                Ok(open) => {
                    let ours = open.iter().filter(|view| self.is_ours(view));
                    ours.filter_map(|view| view.client_order_id).collect()
                }
                Err(_) => sent.clone(),
            };
            for id in &ours {
                let reports = self.gateway.cancel(&named(*id)).await;
                if reports
                    .iter()
                    .any(|report| report.kind == OrderReportKind::Canceled)
                {
                    taken_back.insert(*id);
                }
            }
            looks_without = if ours.is_empty() { looks_without + 1 } else { 0 };
            sleep(ASK_AGAIN).await;
        }
        Ok(vec![format!(
            "{} orders sent, {} taken back at the end, none rests",
            sent.len(),
            taken_back.len()
        )])
    }
}

/// One of the tour's orders.
fn named(client_order_id: ClientOrderId) -> CancelRequest {
    CancelRequest {
        client_order_id,
        instrument: TOURED,
    }
}

/// Asks again when our own rate budget says later: a tour asks much, and has time. Each time a little later still: what is
/// asked may be more than one request, of which the first would use up what the last one waits for.
async fn patiently<T>(ask: impl AsyncFn() -> Result<T, VenueError>) -> Result<T, VenueError> {
    let mut times = 0;
    loop {
        match ask().await {
            Err(VenueError::RateLimited { retry_after, .. }) => {
                times += 1;
                sleep(Duration::from_nanos(retry_after.0.unsigned_abs()).saturating_mul(times)).await;
            }
            other => return other,
        }
    }
}

/// Steps before there is a tour.
#[derive(Debug)]
struct Steps<'w> {
    done: Mutex<Vec<Step>>,
    words: &'w Words,
    patience: Duration,
}

impl Steps<'_> {
    async fn run(&self, name: &'static str, doing: impl Future<Output = Found>) {
        let done = performed(name, (self.words, self.patience), doing).await;
        lock(&self.done).push(done);
    }

    /// A first step that the venue does not answer ends it all.
    fn must_stand(&self) -> Result<(), CertifyError> {
        match lock(&self.done).last() {
            Some(step) if step.outcome != Outcome::AsExpected => Err(CertifyError::Unusable(format!(
                "{}: {}",
                step.name,
                step.seen.join("; ")
            ))),
            _ => Ok(()),
        }
    }
}

async fn performed(
    name: &'static str,
    (words, patience): (&Words, Duration),
    doing: impl Future<Output = Found>,
) -> Step {
    words.take();
    let began = Instant::now();
    let found = timeout(patience, doing)
        .await
        .unwrap_or_else(|_| Err(Odd::Differs(format!("not done within {} s", patience.as_secs()))));
    let (outcome, seen) = match found {
        Ok(seen) => (Outcome::AsExpected, seen),
        Err(Odd::Differs(what)) => (Outcome::Differs, vec![what]),
        Err(Odd::NotTried(why)) => (Outcome::NotTried, vec![why]),
        Err(Odd::NotOffered(why)) => (Outcome::NotOffered, vec![why]),
    };
    let redacted = |text: String| words.redaction().text(&text);
    Step {
        name,
        outcome,
        seen: seen.into_iter().map(redacted).collect(),
        words: words.take(),
        wall_ms: u64::try_from(began.elapsed().as_millis()).unwrap_or(u64::MAX),
    }
}

/// As a service anchors it: a real venue's clock runs as ours, a simulated one's at its own rate.
async fn anchor(plan: &Plan, clock: &ServerClock, reference: &dyn Reference) -> Found {
    let rate = match (plan.is_loopback(), plan.compression) {
        (false, _) => Rate::RealTime,
        (true, None) => Rate::Estimated,
        // Parts per billion in one unit (1e-8).
        (true, Some(compression)) => Rate::Fixed(compression.units().saturating_mul(10)),
    };
    reference.anchor_clock(clock, rate).await?;
    let measured = clock.rate_ppb();
    if rate == Rate::Estimated && (measured - REAL_TIME_PPB).abs() <= REAL_TIME_TOLERANCE_PPB {
        reference.anchor_clock(clock, Rate::RealTime).await?;
    }
    let correction = reference.resync_clock(clock).await?;
    let offset = clock.now().since(wall_now());
    if !plan.is_loopback() && offset.0.saturating_abs() > plan.offset_max.0 {
        return differs(format!(
            "this machine is {} ms from the venue, at most {} ms are allowed: set the clock (NTP)",
            offset.0 / -1_000_000,
            plan.offset_max.0 / 1_000_000
        ));
    }
    Ok(vec![format!(
        "offset {} ms, uncertainty {} us, rate {} ppb, next sample {} us off",
        offset.0 / 1_000_000,
        clock.uncertainty().0 / 1_000,
        clock.rate_ppb(),
        correction.error().0 / 1_000
    )])
}

async fn refuse_withdrawals(
    plan: &Plan,
    gateway: &dyn Gateway,
    steps: &Steps<'_>,
) -> Result<(), CertifyError> {
    let asked = patiently(async || gateway.key_rights().await).await;
    // Without an answer nothing goes on: what the key may do is then unknown.
    let rights = asked.map_err(CertifyError::Venue)?;
    let key_env = plan.venue.api_key_env.clone();
    if rights.is_some_and(|rights| rights.may_withdraw) {
        return Err(CertifyError::KeyMayWithdraw { key_env });
    }
    if rights.is_none() && plan.network == Network::Production {
        return Err(CertifyError::RightsUntold { key_env });
    }
    let found = async {
        match rights {
            Some(_) => Ok(vec!["the key may not withdraw".to_owned()]),
            None => Err(Odd::NotOffered(
                "the venue does not tell at this address".to_owned(),
            )),
        }
    };
    steps.run("rights of the key", found).await;
    Ok(())
}

fn streams(
    line: &Line,
    instruments: &Arc<Instruments>,
    clock: &Arc<ServerClock>,
    heard: &(Words, Wire),
) -> Result<(MarketWatch, AccountWatch), VenueError> {
    let mut jitter = Jitter::seeded(u64::from(std::process::id()));
    let mut protocol = line
        .connector
        .market_protocol(instruments, clock.service_span(AHEAD_MAX));
    protocol.set_staleness(StalenessBounds::on(&**clock));
    let (sink, inbox) = queue(MARKET, &heard.1);
    let feed = line.connector.market_feed(instruments, jitter.split(), sink)?;
    let market = MarketWatch::spawn(feed, inbox, protocol, heard.clone());
    let protocol = line.connector.account_protocol(instruments);
    let (sink, inbox) = queue(ACCOUNT, &heard.1);
    let feed = line.connector.account_feed(instruments, jitter, sink)?;
    let account = AccountWatch::spawn(feed, inbox, protocol, heard.clone());
    Ok((market, account))
}

/// This machine's own time.
pub(crate) fn wall_now() -> Timestamp {
    let since_epoch = SystemTime::now().duration_since(UNIX_EPOCH).unwrap_or_default();
    Timestamp::from_nanos(i64::try_from(since_epoch.as_nanos()).unwrap_or(i64::MAX))
}

/// Whole seconds: no life of a service has counted so far, and no two tours of an account share one.
fn wall_seconds() -> u32 {
    let since_epoch = SystemTime::now().duration_since(UNIX_EPOCH).unwrap_or_default();
    u32::try_from(since_epoch.as_secs()).unwrap_or(u32::MAX)
}

fn lock<T>(mutex: &Mutex<T>) -> MutexGuard<'_, T> {
    mutex.lock().unwrap_or_else(PoisonError::into_inner)
}

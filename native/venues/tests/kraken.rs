//! A whole session of Kraken against the simulated venue: the book under its checksums, orders by both doors, the
//! account's streams, the dead man's switch, and every fault that the venue can make.

#![allow(clippy::unwrap_used, reason = "tests")]

mod support;

use std::sync::Arc;
use std::sync::atomic::{AtomicBool, AtomicU64, Ordering};
use std::time::Duration;

use domain::{
    AmendRejectReason, AmendRequest, Bar, BookInvalidReason, BookUpdateKind, CancelRejectReason,
    CancelRequest, ClientOrderId, Epoch, Fill, InstrumentId, MarketEvent, Nanos, OrderReport,
    OrderReportKind, OrderRequest, OrderStatus, OrderTerms, OrderType, Price, Quantity, RejectReason, Side,
    SlotId, TimeInForce, Timestamp,
};
use support::{Inbox, eventually, post, queue};
use tokio::time::timeout;
use venue_server::{ApiKey, Server, ServerConfig, VenueKind};
use venues::clock::{Clock, Rate, ServerClock};
use venues::kraken::{
    AccountData, Credentials, DeadMan, Endpoints, Gateway, MarketData, RestClient, Settings, Tier,
    WireVersion, account_feed, market_feed,
};
use venues::retry::Jitter;
use venues::switch::{SignOfLife, SwitchTimes};
use venues::{
    AccountEvent, AccountFeed, AccountProtocol as _, Gateway as _, Instruments, MarketFeed,
    MarketProtocol as _, OrderEntry, Secret, StalenessBounds, StreamMessage, UnknownOrder, VenueError,
};

const BTC: InstrumentId = InstrumentId(0);
const BAR: Nanos = Nanos::from_secs(60);
const FIRST_BAR_MS: i64 = 1_632_700_800_000;
const HISTORY: usize = 50;

/// A minute of venue time each 200 ms.
const COMPRESSION: i64 = 300;

const API_KEY: &str = "the-api-key";
/// Base64, as the venue hands it out.
const API_SECRET: &str = "AAECAwQFBgcICQoLDA0ODxAREhMUFRYXGBkaGxwdHh8=";

const DOORS: [OrderEntry; 2] = [OrderEntry::Rest, OrderEntry::WebSocket];

/// A market that swings gently around 100.
fn bars() -> Vec<Bar> {
    let cents = |cents: i64| Price::from_units(cents * 1_000_000);
    (0..600)
        .map(|number| {
            let swing = |at: i64| 10_000 + 20 * ((at % 12) - 6).abs();
            let (open, close) = (swing(number), swing(number + 1));
            Bar {
                instrument: BTC,
                ts_open: Timestamp::from_millis(FIRST_BAR_MS + number * 60_000),
                span: BAR,
                open: cents(open),
                high: cents(open.max(close) + 7),
                low: cents(open.min(close) - 7),
                close: cents(close),
                volume: Quantity::from_units(40 * 100_000_000),
            }
        })
        .collect()
}

/// What a service would hold: both streams, the gateway, and what they have told.
struct Session {
    server: Server,
    clock: Arc<ServerClock>,
    rest: Arc<RestClient>,
    table: Arc<Instruments>,
    gateway: Arc<Gateway>,
    market: MarketFeed,
    account: AccountFeed,
    market_inbox: Inbox,
    account_inbox: Inbox,
    data: MarketData,
    account_data: AccountData,
    seen: Seen,
}

#[derive(Debug, Default)]
struct Seen {
    invalid: Vec<BookInvalidReason>,
    snapshots: usize,
    deltas: usize,
    trades: usize,
    malformed: usize,
    account: Vec<AccountEvent>,
}

impl Seen {
    fn market(&mut self, event: &MarketEvent<'_>) {
        match event {
            MarketEvent::Book(update) if update.kind == BookUpdateKind::Snapshot => self.snapshots += 1,
            MarketEvent::Book(_) => self.deltas += 1,
            MarketEvent::BookInvalid(invalid) => self.invalid.push(invalid.reason),
            MarketEvent::Trade(_) => self.trades += 1,
            other => panic!("{other:?}"),
        }
    }

    fn reports(&self, id: ClientOrderId) -> Vec<OrderReportKind> {
        let ours = self.account.iter().filter_map(|event| match event {
            AccountEvent::Order(report) if report.client_order_id == id => Some(report.kind),
            _ => None,
        });
        ours.collect()
    }

    fn count(&self, wanted: AccountEvent) -> usize {
        self.account.iter().filter(|event| **event == wanted).count()
    }
}

fn secret(text: &str) -> Secret {
    Secret::new(text.to_owned()).unwrap()
}

impl Session {
    async fn start(door: OrderEntry) -> Self {
        let mut config = ServerConfig::new(bars(), "BTC/USD");
        config.venue = VenueKind::Kraken;
        let skipped = i64::try_from(HISTORY).unwrap() * 60_000;
        config.from = Some(Timestamp::from_millis(FIRST_BAR_MS + skipped));
        config.wall_span = Nanos(BAR.0 / COMPRESSION);
        let keys = vec![ApiKey::new(API_KEY, API_SECRET)];
        let server = Server::start(config, keys).await.unwrap();
        let mut settings = Settings::new(Endpoints::loopback(server.address().port()));
        settings.order_entry = door;
        // All of it is under the checksum: what is lost shows.
        settings.book_depth = 10;
        settings.tier = Tier::Pro;
        settings.request_timeout = Duration::from_secs(2);
        settings.connect_timeout = Duration::from_secs(1);
        settings.read_staleness = Nanos::from_millis(30);
        settings.deadline = Nanos::from_millis(750);
        let clock = Arc::new(ServerClock::local());
        let as_clock = Arc::clone(&clock) as Arc<dyn Clock>;
        let credentials = Credentials::new(secret(API_KEY), secret(API_SECRET));
        let rest = Arc::new(RestClient::new(settings, Some(&credentials), as_clock).unwrap());
        rest.anchor_clock(&clock, Rate::Fixed(COMPRESSION * 1_000_000_000))
            .await
            .unwrap();
        let table = Arc::new(Instruments::new(rest.instruments(&["BTC/USD"]).await.unwrap()).unwrap());
        let (market_sink, market_inbox) = queue(65_536);
        let (account_sink, account_inbox) = queue(1_024);
        let depth = usize::from(rest.settings().book_depth);
        let ahead_max = clock.service_span(Nanos::from_secs(5));
        let mut session = Self {
            market: market_feed(&rest, &table, Jitter::seeded(1), market_sink).unwrap(),
            account: account_feed(&rest, Jitter::seeded(2), account_sink).unwrap(),
            gateway: Arc::new(Gateway::new(Arc::clone(&rest), Arc::clone(&table)).unwrap()),
            data: MarketData::new(Arc::clone(&table), WireVersion::V2, depth, ahead_max),
            account_data: AccountData::new(Arc::clone(&table)),
            seen: Seen::default(),
            server,
            clock,
            rest,
            table,
            market_inbox,
            account_inbox,
        };
        session.data.set_staleness(StalenessBounds::on(&*session.clock));
        session
            .until("the session is up", |session| {
                session.is_book_up() && session.seen.count(AccountEvent::Up) == 1
            })
            .await;
        eventually("orders may leave", || session.gateway.is_open()).await;
        session
    }

    fn is_book_up(&self) -> bool {
        self.data.is_synchronized(BTC)
    }

    /// Takes in messages until `condition` holds.
    async fn until(&mut self, what: &str, condition: impl Fn(&Self) -> bool) {
        let pump = async {
            while !condition(self) {
                tokio::select! {
                    Some(message) = self.market_inbox.0.recv() => self.take_market(&message),
                    Some(message) = self.account_inbox.0.recv() => {
                        let seen = &mut self.seen;
                        self.account_data.on_message(&message, &mut |event| seen.account.push(event)).unwrap();
                    }
                }
            }
        };
        let done = timeout(Duration::from_secs(20), pump).await;
        assert!(done.is_ok(), "never happened: {what}; seen {:?}", self.seen);
    }

    fn take_market(&mut self, message: &StreamMessage) {
        let seen = &mut self.seen;
        if self
            .data
            .on_message(message, &mut |event| seen.market(&event))
            .is_err()
        {
            self.seen.malformed += 1;
        }
        while let Some(instrument) = self.data.take_resync_request() {
            self.market.requester().request(instrument);
        }
    }

    async fn fault(&self, fault: &str) {
        post(self.server.address(), "/admin/faults", fault).await;
    }

    fn order(&self, counter: u32) -> OrderRequest {
        let (_, ask) = self.data.best(BTC);
        OrderRequest {
            client_order_id: id(counter),
            instrument: BTC,
            side: Side::Buy,
            order_type: OrderType::Limit,
            // Far enough to cross whatever moves meanwhile.
            price: Some(Price::from_units(ask.unwrap().price.units() + 5 * 100_000_000)),
            quantity: Quantity::parse(b"0.25").unwrap(),
            time_in_force: TimeInForce::Ioc,
            post_only: false,
            reduce_only: false,
        }
    }

    /// An order that rests well below the market.
    fn resting(&self, counter: u32) -> OrderRequest {
        let (bid, _) = self.data.best(BTC);
        OrderRequest {
            price: Some(Price::from_units(bid.unwrap().price.units() - 40 * 100_000_000)),
            time_in_force: TimeInForce::Gtc,
            ..self.order(counter)
        }
    }

    async fn stop(self) {
        self.market.stop().await;
        self.account.stop().await;
        self.server.stop();
        self.server.wait().await.unwrap();
    }
}

fn id(counter: u32) -> ClientOrderId {
    ClientOrderId {
        epoch: Epoch(1),
        slot: SlotId(0),
        counter,
    }
}

const fn cancel(of: &OrderRequest) -> CancelRequest {
    CancelRequest {
        client_order_id: of.client_order_id,
        instrument: of.instrument,
    }
}

fn kinds(reports: &[OrderReport]) -> Vec<OrderReportKind> {
    reports.iter().map(|report| report.kind).collect()
}

fn fills(kinds: &[OrderReportKind]) -> Vec<Fill> {
    let fills = kinds.iter().filter_map(|kind| match kind {
        OrderReportKind::Filled(fill) => Some(*fill),
        _ => None,
    });
    fills.collect()
}

fn total(fills: &[Fill]) -> i64 {
    fills.iter().map(|fill| fill.quantity.units()).sum()
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn the_book_stays_proven_by_its_checksums_while_the_market_moves() {
    let mut session = Session::start(OrderEntry::Rest).await;
    session
        .until("a lively market", |session| {
            session.seen.deltas > 300 && session.seen.trades > 50
        })
        .await;
    assert!(session.seen.invalid.is_empty(), "{:?}", session.seen.invalid);
    let book = session.data.book_statistics(BTC).unwrap();
    assert_eq!((book.checksums_wrong, book.crossed), (0, 0));
    assert!(book.checksums_right > 300, "{book:?}");
    let wire = session.data.wire_statistics();
    assert_eq!((wire.malformed, wire.trade_gaps, wire.unknown_symbols), (0, 0, 0));

    let btc = session.table.get(BTC).unwrap();
    let history = session
        .rest
        .bars(btc, BAR, 30, session.clock.now())
        .await
        .unwrap();
    assert_eq!(history.len(), 30);
    assert!(history.is_sorted_by(|one, next| one.ts_close() == next.ts_open));
    let recorded = bars();
    for bar in &history {
        assert!(
            recorded.contains(bar),
            "a completed bar is the recorded one: {bar:?}"
        );
    }
    session.rest.resync_clock(&session.clock).await.unwrap();
    session.stop().await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn an_order_that_trades_is_told_by_the_stream_and_by_the_list_alike() {
    for door in DOORS {
        trade(door).await;
    }
}

async fn trade(door: OrderEntry) {
    let mut session = Session::start(door).await;
    let order = session.order(1);
    let answer = kinds(&session.gateway.submit(&order).await);
    assert!(matches!(answer[..], [OrderReportKind::Accepted(_)]), "{answer:?}");
    session
        .until("the stream tells all of it", |session| {
            total(&fills(&session.seen.reports(id(1)))) == order.quantity.units()
        })
        .await;
    let by_stream = session.seen.reports(id(1));
    assert_eq!(by_stream[0], answer[0]);
    let by_stream = fills(&by_stream);
    assert!(
        by_stream
            .iter()
            .all(|fill| fill.fee.currency().as_str() == "USD" && fill.fee.units() > 0)
    );
    let listed = session.gateway.trades(BTC, Timestamp::EPOCH).await.unwrap();
    assert_eq!(
        listed.iter().map(|trade| trade.fill).collect::<Vec<_>>(),
        by_stream,
        "the same executions, number for number"
    );
    session
        .until("balances", |session| {
            let is_balance = |event: &AccountEvent| matches!(event, AccountEvent::Balance { .. });
            session
                .seen
                .account
                .iter()
                .filter(|event| is_balance(event))
                .count()
                > 2
        })
        .await;
    let view = session
        .gateway
        .query_order(&cancel(&order))
        .await
        .unwrap()
        .unwrap();
    assert_eq!((view.status, view.filled), (OrderStatus::Filled, order.quantity));
    let again = session
        .gateway
        .query_by_venue_id(BTC, view.venue_order_id)
        .await
        .unwrap();
    assert_eq!(again, Some(view));
    let balances = session.gateway.balances().await.unwrap();
    let names: Vec<_> = balances
        .iter()
        .map(|balance| balance.currency.to_string())
        .collect();
    assert_eq!(names, ["BTC", "USD"]);
    session.stop().await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn an_order_that_rests_is_amended_and_canceled_by_both_doors() {
    for door in DOORS {
        rest_amend_and_cancel(door).await;
    }
}

/// Halves an order where it stands; the answer, the venue's lists and the account's stream say the same.
async fn halve(session: &mut Session, first: &OrderRequest) -> AmendRequest {
    let less = Quantity::parse(b"0.125").unwrap();
    let terms = OrderTerms {
        price: first.price.unwrap(),
        quantity: less,
    };
    let change = AmendRequest {
        client_order_id: first.client_order_id,
        instrument: BTC,
        terms,
    };
    let changed = OrderReportKind::Amended(terms);
    let answer = session
        .gateway
        .amend_order(&change, venues::LastLook::always())
        .await;
    assert_eq!(kinds(&answer), [changed]);
    let view = session
        .gateway
        .query_order(&cancel(first))
        .await
        .unwrap()
        .unwrap();
    assert_eq!((view.price, view.quantity), (first.price, less));
    session
        .until("the stream says the same", |session| {
            session.seen.reports(id(1)).contains(&changed)
        })
        .await;
    change
}

async fn rest_amend_and_cancel(door: OrderEntry) {
    let mut session = Session::start(door).await;
    let (first, second) = (session.resting(1), session.resting(2));
    for order in [&first, &second] {
        let answer = kinds(&session.gateway.submit(order).await);
        assert!(matches!(answer[..], [OrderReportKind::Accepted(_)]), "{answer:?}");
    }
    let open = session.gateway.open_orders(BTC).await.unwrap();
    assert_eq!(open.len(), 2);
    assert!(
        open.iter()
            .all(|view| view.status == OrderStatus::Accepted && view.client_order_id.is_some())
    );

    let change = halve(&mut session, &first).await;
    assert_eq!(
        kinds(&session.gateway.cancel(&cancel(&first)).await),
        [OrderReportKind::Canceled]
    );
    assert_eq!(
        kinds(&session.gateway.cancel(&cancel(&first)).await),
        [OrderReportKind::CancelRejected(CancelRejectReason::UnknownOrder)]
    );
    let answer = session
        .gateway
        .amend_order(&change, venues::LastLook::always())
        .await;
    assert_eq!(
        kinds(&answer),
        [OrderReportKind::AmendRejected(AmendRejectReason::UnknownOrder)]
    );
    let all = session.gateway.cancel_all(BTC).await.unwrap();
    assert_eq!(
        (all.len(), all[0].client_order_id, all[0].kind),
        (1, id(2), OrderReportKind::Canceled)
    );
    assert_eq!(session.gateway.cancel_all(BTC).await.unwrap(), []);
    assert_eq!(session.gateway.cancel_everything().await.unwrap(), 0);
    session
        .until("the stream tells it", |session| {
            [1, 2]
                .iter()
                .all(|&number| session.seen.reports(id(number)).last() == Some(&OrderReportKind::Canceled))
        })
        .await;
    session.stop().await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn what_the_venue_refuses_is_refused_with_its_reason() {
    for door in DOORS {
        be_refused(door).await;
    }
}

async fn be_refused(door: OrderEntry) {
    let session = Session::start(door).await;
    let cases = [
        (
            OrderRequest {
                quantity: Quantity::from_units(1),
                ..session.order(2)
            },
            RejectReason::Filter,
        ),
        (
            OrderRequest {
                quantity: Quantity::parse(b"8999").unwrap(),
                side: Side::Sell,
                ..session.resting(3)
            },
            RejectReason::InsufficientBalance,
        ),
    ];
    for (order, reason) in cases {
        let answer = kinds(&session.gateway.submit(&order).await);
        assert_eq!(answer, [OrderReportKind::Rejected(reason)], "{order:?}");
    }
    let fok = OrderRequest {
        time_in_force: TimeInForce::Fok,
        ..session.order(5)
    };
    assert_eq!(
        kinds(&session.gateway.submit(&fok).await),
        [OrderReportKind::NotSent]
    );
    let order = session.resting(4);
    session.gateway.submit(&order).await;
    let again = kinds(&session.gateway.submit(&order).await);
    assert!(
        matches!(
            again[..],
            [OrderReportKind::Accepted(_), OrderReportKind::Found(_)]
        ),
        "a duplicate is the order that is open: {again:?}"
    );
    let rejected = r#"{"kind":"reject","request":"place","message":"EService:Deadline elapsed"}"#;
    session.fault(rejected).await;
    let answer = kinds(&session.gateway.submit(&session.resting(6)).await);
    assert_eq!(
        answer,
        [OrderReportKind::OutcomeUnknown],
        "it may have been placed all the same"
    );
    session.stop().await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_post_only_order_that_would_take_is_canceled() {
    let mut session = Session::start(OrderEntry::WebSocket).await;
    let taking = OrderRequest {
        post_only: true,
        time_in_force: TimeInForce::Gtc,
        ..session.order(1)
    };
    session.gateway.submit(&taking).await;
    session
        .until("it is canceled", |session| {
            session.seen.reports(id(1)).last() == Some(&OrderReportKind::Canceled)
        })
        .await;
    assert!(fills(&session.seen.reports(id(1))).is_empty());
    session.stop().await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_wrong_checksum_and_a_broken_frame_make_the_book_be_subscribed_for_anew() {
    let mut session = Session::start(OrderEntry::Rest).await;
    let faults = [
        (r#"{"kind":"bad_checksum"}"#, &[BookInvalidReason::Checksum][..]),
        // So many that what is told next does not tell all of it again; it may show before the checksum is looked at.
        (
            r#"{"kind":"depth_gap","count":25}"#,
            &[BookInvalidReason::Checksum, BookInvalidReason::Crossed],
        ),
        (r#"{"kind":"malformed_frame"}"#, &[BookInvalidReason::Malformed]),
    ];
    for (fault, reasons) in faults {
        let (told, snapshots) = (session.seen.invalid.len(), session.seen.snapshots);
        session.fault(fault).await;
        session
            .until("the fault shows", |session| session.seen.invalid.len() > told)
            .await;
        let reason = session.seen.invalid[told];
        assert!(reasons.contains(&reason), "{fault}: {reason:?}");
        session
            .until("the book is back", |session| {
                session.is_book_up() && session.seen.snapshots > snapshots
            })
            .await;
    }
    assert_eq!(
        session.market.statistics().connected(),
        1,
        "over the same connection"
    );
    session.stop().await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_venue_that_goes_away_comes_back_by_itself() {
    let mut session = Session::start(OrderEntry::WebSocket).await;
    session.fault(r#"{"kind":"outage","ms":700}"#).await;
    session
        .until("both streams are down", |session| {
            !session.is_book_up() && session.seen.count(AccountEvent::Down) == 1
        })
        .await;
    assert_eq!(session.seen.invalid, [BookInvalidReason::Disconnected]);
    session
        .until("both streams are back", |session| {
            session.is_book_up() && session.seen.count(AccountEvent::Up) == 2
        })
        .await;
    eventually("orders may leave again", || session.gateway.is_open()).await;
    session.stop().await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_lost_message_about_the_account_is_noticed_and_its_trade_told_after_the_reconnect() {
    let mut session = Session::start(OrderEntry::Rest).await;
    session.gateway.submit(&session.resting(1)).await;
    session
        .until("the first order", |session| {
            !session.seen.reports(id(1)).is_empty()
        })
        .await;
    session
        .fault(r#"{"kind":"frames","class":"account","fault":"drop","count":1}"#)
        .await;
    session.gateway.submit(&session.resting(2)).await;
    session.gateway.submit(&session.resting(3)).await;
    session
        .until("down and up again", |session| {
            session.seen.count(AccountEvent::Up) == 2
        })
        .await;
    assert_eq!(session.seen.count(AccountEvent::Down), 1);
    session.stop().await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn an_unknown_outcome_is_resolved_both_ways_and_never_sent_again() {
    for door in DOORS {
        resolve_unknown(door).await;
    }
}

async fn resolve_unknown(door: OrderEntry) {
    let mut session = Session::start(door).await;
    for (number, executed) in [(1, true), (2, false)] {
        let fault = format!(
            r#"{{"kind":"unknown_outcome","request":"place","executed":{executed},"answer":"http503"}}"#
        );
        session.fault(&fault).await;
        let order = session.order(number);
        let sent = session.clock.now();
        let answer = kinds(&session.gateway.submit(&order).await);
        assert_eq!(answer, [OrderReportKind::OutcomeUnknown], "{door:?} {executed}");
        let unknown = UnknownOrder {
            client_order_id: order.client_order_id,
            instrument: BTC,
            sent,
        };
        let found = kinds(&session.gateway.resolve(unknown).await);
        if executed {
            assert_eq!(total(&fills(&found)), order.quantity.units(), "{found:?}");
            let Some(OrderReportKind::Found(snapshot)) = found.last() else {
                panic!("{found:?}")
            };
            assert_eq!(snapshot.status, OrderStatus::Filled);
        } else {
            assert_eq!(found, [OrderReportKind::NotFound]);
        }
    }
    session
        .until("the stream has told the fills", |session| {
            !fills(&session.seen.reports(id(1))).is_empty()
        })
        .await;
    assert!(session.seen.reports(id(2)).is_empty());
    let listed = session.gateway.trades(BTC, Timestamp::EPOCH).await.unwrap();
    let bought: Vec<_> = listed.iter().map(|trade| trade.fill).collect();
    assert_eq!(total(&bought), session.order(1).quantity.units(), "bought once");
    session.stop().await;
}

/// Somebody who decides all the time.
fn deciding() -> SignOfLife {
    deciding_until(&Arc::default())
}

/// Somebody who hangs from some moment on.
fn deciding_until(hangs: &Arc<AtomicBool>) -> SignOfLife {
    let (rounds, hangs) = (AtomicU64::new(0), Arc::clone(hangs));
    SignOfLife::new(move || rounds.fetch_add(u64::from(!hangs.load(Ordering::SeqCst)), Ordering::SeqCst))
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn the_dead_mans_switch_fires_when_nobody_decides_though_its_owner_lives() {
    let mut session = Session::start(OrderEntry::WebSocket).await;
    let times = SwitchTimes {
        every: Duration::from_millis(200),
        after: Duration::from_secs(1),
    };
    let hangs = Arc::new(AtomicBool::new(false));
    let life = deciding_until(&hangs);
    let owner = DeadMan::spawn(Arc::clone(&session.gateway), times, life).unwrap();
    session.gateway.submit(&session.resting(1)).await;
    let statistics = owner.statistics();
    eventually("put off beyond its time", || statistics.put_off() > 7).await;
    hangs.store(true, Ordering::SeqCst);
    session
        .until("the venue cancels it", |session| {
            session.seen.reports(id(1)).last() == Some(&OrderReportKind::Canceled)
        })
        .await;
    assert!(statistics.is_failing() && statistics.failed() > 0);
    // What decides again is guarded again.
    hangs.store(false, Ordering::SeqCst);
    eventually("put off again", || !statistics.is_failing()).await;
    owner.stop().await;
    session.stop().await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn the_dead_mans_switch_has_one_owner_and_fires_when_it_is_gone() {
    let mut session = Session::start(OrderEntry::WebSocket).await;
    let times = SwitchTimes {
        every: Duration::from_millis(200),
        after: Duration::from_secs(1),
    };
    let owner = DeadMan::spawn(Arc::clone(&session.gateway), times, deciding()).unwrap();
    let second = DeadMan::spawn(Arc::clone(&session.gateway), times, deciding()).unwrap_err();
    assert!(matches!(
        second,
        VenueError::Setting {
            setting: "dead_man",
            ..
        }
    ));
    let statistics = owner.statistics();
    let order = session.resting(1);
    session.gateway.submit(&order).await;
    eventually("put off beyond its time", || statistics.put_off() > 7).await;
    let open = session.gateway.open_orders(BTC).await.unwrap();
    assert_eq!(open.len(), 1, "kept alive");
    // Whoever stops in order takes the switch off, and the orders stay.
    owner.stop().await;
    let owner = DeadMan::spawn(Arc::clone(&session.gateway), times, deciding()).unwrap();
    let statistics = owner.statistics();
    eventually("set again", || statistics.put_off() > 0).await;
    // Whoever is gone without a word does not.
    drop(owner);
    session
        .until("the venue cancels it", |session| {
            session.seen.reports(id(1)).last() == Some(&OrderReportKind::Canceled)
        })
        .await;
    session.stop().await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn in_maintenance_the_switch_is_off() {
    let mut session = Session::start(OrderEntry::WebSocket).await;
    let times = SwitchTimes {
        every: Duration::from_millis(200),
        after: Duration::from_secs(1),
    };
    let owner = DeadMan::spawn(Arc::clone(&session.gateway), times, deciding()).unwrap();
    session.gateway.submit(&session.resting(1)).await;
    session.fault(r#"{"kind":"mode","mode":"maintenance"}"#).await;
    session
        .until("the venue says so", |session| {
            session.data.status() == Some(venues::kraken::parser::SystemStatus::Maintenance)
        })
        .await;
    session.fault(r#"{"kind":"mode","mode":"online"}"#).await;
    session
        .until("it is over", |session| {
            session.data.status() == Some(venues::kraken::parser::SystemStatus::Online)
        })
        .await;
    let put_off = owner.statistics().put_off();
    eventually("the switch is set again", || {
        owner.statistics().put_off() > put_off + 6
    })
    .await;
    assert_eq!(session.gateway.open_orders(BTC).await.unwrap().len(), 1);
    owner.stop().await;
    session.stop().await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn requests_of_one_key_arrive_in_the_order_of_their_nonces() {
    let session = Session::start(OrderEntry::Rest).await;
    let asked: Vec<_> = (0..8)
        .map(|_| {
            let gateway = Arc::clone(&session.gateway);
            tokio::spawn(async move { gateway.balances().await.map(|balances| balances.len()) })
        })
        .collect();
    for answer in asked {
        // A nonce out of order would have been refused.
        assert_eq!(answer.await.unwrap().unwrap(), 2);
    }
    // The next life of the service.
    let credentials = Credentials::new(secret(API_KEY), secret(API_SECRET));
    let as_clock = Arc::clone(&session.clock) as Arc<dyn Clock>;
    let rest = RestClient::new(session.rest.settings().clone(), Some(&credentials), as_clock).unwrap();
    rest.instruments(&["BTC/USD"]).await.unwrap();
    let gateway = Gateway::new(Arc::new(rest), Arc::clone(&session.table)).unwrap();
    assert_eq!(gateway.balances().await.unwrap().len(), 2);
    session.stop().await;
}

//! A whole session against the simulated venue: the book, orders, the account's stream, and every fault it
//! can make.

#![allow(clippy::unwrap_used, reason = "tests")]

mod support;

use std::sync::Arc;
use std::time::Duration;

use domain::{
    AmendRejectReason, AmendRequest, Bar, BookInvalidReason, CancelRejectReason, CancelRequest,
    ClientOrderId, Epoch, Fill, InstrumentId, MarketEvent, Nanos, OrderReport, OrderReportKind, OrderRequest,
    OrderStatus, OrderTerms, OrderType, Price, Quantity, Quote, RejectReason, Side, SlotId, TimeInForce,
    Timestamp,
};
use support::{API_KEY, API_SECRET, Inbox, post, queue};
use tokio::time::timeout;
use venue_server::{ApiKey, Server, ServerConfig};
use venues::binance::{
    AccountData, Endpoints, Gateway, MarketData, RestClient, Settings, account_feed, market_feed,
};
use venues::clock::{Clock, Correction, Rate, ServerClock};
use venues::retry::Jitter;
use venues::{
    AccountEvent, AccountFeed, AccountProtocol as _, Gateway as _, Instruments, LastLook, MarketFeed,
    MarketProtocol as _, Reference as _, StalenessBounds, StreamMessage, UnknownOrder,
};

const BTC: InstrumentId = InstrumentId(0);
const BAR: Nanos = Nanos::from_secs(60);
const FIRST_BAR_MS: i64 = 1_632_700_800_000;
const HISTORY: usize = 50;

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
    gateway: Gateway,
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
    quote: Option<Quote>,
    malformed: usize,
    account: Vec<AccountEvent>,
}

impl Seen {
    fn market(&mut self, event: &MarketEvent<'_>) {
        match event {
            MarketEvent::Book(update) if update.kind == domain::BookUpdateKind::Snapshot => {
                self.snapshots += 1;
            }
            MarketEvent::Book(_) => self.deltas += 1,
            MarketEvent::BookInvalid(invalid) => self.invalid.push(invalid.reason),
            MarketEvent::Trade(_) => self.trades += 1,
            MarketEvent::Quote(quote) => self.quote = Some(*quote),
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

/// How orders leave.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Door {
    Rest,
    WebSocket,
}

const DOORS: [Door; 2] = [Door::Rest, Door::WebSocket];

impl Session {
    async fn start() -> Self {
        Self::start_by(Door::Rest).await
    }

    async fn start_by(door: Door) -> Self {
        Self::start_with(door, |_| ()).await
    }

    async fn start_with(door: Door, change: impl FnOnce(&mut Settings)) -> Self {
        let mut config = ServerConfig::new(bars(), "BTCUSDT");
        config.from = Some(Timestamp::from_millis(
            FIRST_BAR_MS + i64::try_from(HISTORY).unwrap() * 60_000,
        ));
        // A minute of venue time each 200 ms.
        config.wall_span = Nanos::from_millis(200);
        let server = Server::start(config, vec![ApiKey::new(API_KEY, API_SECRET)])
            .await
            .unwrap();
        let mut settings = Settings::new(Endpoints::loopback(server.address().port()));
        settings.request_timeout = Duration::from_secs(2);
        settings.connect_timeout = Duration::from_secs(1);
        settings.read_staleness = Nanos::from_millis(30);
        settings.recv_window = Nanos::from_millis(500);
        change(&mut settings);
        let clock = Arc::new(ServerClock::local());
        let as_clock = Arc::clone(&clock) as Arc<dyn Clock>;
        let rest = RestClient::new(settings, Some(support::credentials()), as_clock).unwrap();
        let rest = Arc::new(rest);
        rest.anchor_clock(&clock, Rate::Fixed(300 * 1_000_000_000))
            .await
            .unwrap();
        let table = Arc::new(Instruments::new(rest.instruments(&["BTCUSDT"]).await.unwrap()).unwrap());
        let (market_sink, market_inbox) = queue(65_536);
        let (account_sink, account_inbox) = queue(1_024);
        let mut session = Self {
            market: market_feed(&rest, &table, Jitter::seeded(1), market_sink).unwrap(),
            account: account_feed(&rest, Jitter::seeded(2), account_sink).unwrap(),
            gateway: match door {
                Door::Rest => Gateway::new(Arc::clone(&rest), Arc::clone(&table)).unwrap(),
                Door::WebSocket => Gateway::over_websocket(Arc::clone(&rest), Arc::clone(&table)).unwrap(),
            },
            data: MarketData::new(Arc::clone(&table), clock.service_span(Nanos::from_secs(5))),
            account_data: AccountData::new(table),
            seen: Seen::default(),
            server,
            clock,
            rest,
            market_inbox,
            account_inbox,
        };
        session.data.set_staleness(StalenessBounds::on(&*session.clock));
        session
            .until("the session is up", |session| {
                session.is_book_up()
                    && session.seen.count(AccountEvent::Up) == 1
                    && session.seen.quote.is_some()
            })
            .await;
        support::eventually("orders may leave", || session.gateway.is_open()).await;
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
        while let Some(instrument) = self.data.take_snapshot_request() {
            self.market.requester().request(instrument);
        }
    }

    async fn fault(&self, fault: &str) {
        post(self.server.address(), "/admin/faults", fault).await;
    }

    fn order(&self, counter: u32) -> OrderRequest {
        let quote = self.seen.quote.unwrap();
        OrderRequest {
            client_order_id: id(counter),
            instrument: BTC,
            side: Side::Buy,
            order_type: OrderType::Limit,
            // Far enough to cross whatever moves meanwhile.
            price: Some(Price::from_units(quote.ask.units() + 5 * 100_000_000)),
            quantity: Quantity::parse(b"0.25").unwrap(),
            time_in_force: TimeInForce::Ioc,
            post_only: false,
            reduce_only: false,
        }
    }

    /// An order that rests well below the market.
    fn resting(&self, counter: u32) -> OrderRequest {
        let quote = self.seen.quote.unwrap();
        OrderRequest {
            price: Some(Price::from_units(quote.bid.units() - 40 * 100_000_000)),
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

const fn cancel(counter_of: &OrderRequest) -> CancelRequest {
    CancelRequest {
        client_order_id: counter_of.client_order_id,
        instrument: counter_of.instrument,
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

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn the_book_stays_proven_while_the_market_moves() {
    let mut session = Session::start().await;
    session
        .until("a lively market", |session| {
            session.seen.deltas > 300 && session.seen.trades > 50
        })
        .await;
    assert!(session.seen.invalid.is_empty(), "{:?}", session.seen.invalid);
    let book = *session.data.sequencer_statistics(BTC).unwrap();
    assert_eq!((book.gaps, book.crossed, book.best_mismatches), (0, 0, 0));
    assert!(book.best_compared > 10, "{book:?}");
    let statistics = session.data.statistics();
    assert_eq!(
        (statistics.fallbacks, statistics.malformed, statistics.trade_gaps),
        (0, 0, 0)
    );

    let table = session.rest.instruments(&["BTCUSDT"]).await.unwrap();
    let history = session
        .rest
        .bars(&table[0], BAR, 30, session.clock.now())
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
async fn one_wrong_answer_about_the_time_moves_no_clock_and_a_second_one_does() {
    let session = Session::start().await;
    // Ten minutes of the venue's time are two seconds of ours.
    let skew = Nanos::from_secs(600);
    session.fault(r#"{"kind":"clock_skew","ms":-600000}"#).await;
    let before = session.clock.now();
    let answer = session.rest.resync_clock(&session.clock).await.unwrap();
    let Correction::Disbelieved(error) = answer else {
        panic!("{answer:?}")
    };
    assert!(error.0 < -skew.0 / 2, "{error:?}");
    let moved = session.clock.now();
    assert!(moved > before, "it goes on at its rate");
    let answer = session.rest.resync_clock(&session.clock).await.unwrap();
    assert!(
        matches!(answer, Correction::By(error) if error.0 < -skew.0 / 2),
        "{answer:?}"
    );
    assert!(session.clock.now() >= moved, "and never back");
    session.stop().await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn connections_follow_each_other_without_a_missed_or_a_doubled_event() {
    let change = |settings: &mut Settings| settings.rotate_after = Duration::from_millis(150);
    let mut session = Session::start_with(Door::Rest, change).await;
    // From the first change on that follows the snapshot, none that came before it has an excuse.
    session.until("a change", |session| session.seen.deltas > 0).await;
    let stale = session.data.sequencer_statistics(BTC).unwrap().diffs_stale;
    let begun = session.seen.snapshots;
    session
        .until("five new connections in a lively market", |session| {
            session.market.rotations() >= 5 && session.seen.deltas > 300 && session.seen.trades > 50
        })
        .await;
    assert!(session.seen.invalid.is_empty(), "{:?}", session.seen.invalid);
    let book = *session.data.sequencer_statistics(BTC).unwrap();
    assert_eq!((book.gaps, book.crossed, book.best_mismatches), (0, 0, 0));
    assert_eq!(
        (book.diffs_stale, session.seen.snapshots),
        (stale, begun),
        "no change of the book came twice, and none was fetched anew"
    );
    let statistics = session.data.statistics();
    assert_eq!(
        (
            statistics.trade_duplicates,
            statistics.trade_gaps,
            statistics.malformed
        ),
        (0, 0, 0)
    );
    session.stop().await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn an_order_that_trades_is_told_by_both_doors_alike() {
    for door in DOORS {
        trade(door).await;
    }
}

async fn trade(door: Door) {
    let mut session = Session::start_by(door).await;
    let order = session.order(1);
    let answer = kinds(&session.gateway.submit(&order).await);
    assert!(matches!(answer[0], OrderReportKind::Accepted(_)), "{answer:?}");
    let by_answer = fills(&answer);
    let total: i64 = by_answer.iter().map(|fill| fill.quantity.units()).sum();
    assert_eq!(total, order.quantity.units());
    assert!(
        by_answer
            .iter()
            .all(|fill| fill.fee.currency().as_str() == "BTC" && fill.fee.units() > 0)
    );

    session
        .until("the stream tells it", |session| {
            fills(&session.seen.reports(id(1))).len() == by_answer.len()
        })
        .await;
    let by_stream = session.seen.reports(id(1));
    assert_eq!(by_stream[0], answer[0]);
    assert_eq!(
        fills(&by_stream),
        by_answer,
        "the same executions, number for number"
    );
    session
        .until("balances", |session| {
            session
                .seen
                .account
                .iter()
                .any(|event| matches!(event, AccountEvent::Balance { .. }))
        })
        .await;

    let listed = session.gateway.trades(BTC, Timestamp::EPOCH).await.unwrap();
    assert_eq!(
        listed.iter().map(|trade| trade.fill).collect::<Vec<_>>(),
        by_answer
    );
    let view = session
        .gateway
        .query_order(&cancel(&order))
        .await
        .unwrap()
        .unwrap();
    assert_eq!((view.status, view.filled), (OrderStatus::Filled, order.quantity));
    let balances = session.gateway.balances().await.unwrap();
    assert!(balances.iter().any(|balance| balance.currency.as_str() == "USDT"));
    session.stop().await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn an_order_that_rests_is_canceled_by_both_doors() {
    for door in DOORS {
        rest_and_cancel(door).await;
    }
}

async fn rest_and_cancel(door: Door) {
    let mut session = Session::start_by(door).await;
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

    assert_eq!(
        kinds(&session.gateway.cancel(&cancel(&first)).await),
        [OrderReportKind::Canceled]
    );
    let again = kinds(&session.gateway.cancel(&cancel(&first)).await);
    assert_eq!(
        again,
        [OrderReportKind::CancelRejected(CancelRejectReason::UnknownOrder)]
    );
    let all = session.gateway.cancel_all(BTC).await.unwrap();
    assert_eq!(
        (all.len(), all[0].client_order_id, all[0].kind),
        (1, id(2), OrderReportKind::Canceled)
    );
    assert_eq!(session.gateway.cancel_all(BTC).await.unwrap(), []);

    session
        .until("the stream tells it", |session| {
            session.seen.reports(id(1)).len() == 2 && session.seen.reports(id(2)).len() == 2
        })
        .await;
    assert_eq!(session.seen.reports(id(1))[1], OrderReportKind::Canceled);
    session.stop().await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_quantity_is_lowered_where_the_order_stands_by_both_doors() {
    for door in DOORS {
        lower(door).await;
    }
}

async fn lower(door: Door) {
    let mut session = Session::start_by(door).await;
    let order = session.resting(1);
    let stands = |session: &Session| session.gateway.is_open();
    session.until("the door is open", stands).await;
    session.gateway.submit(&order).await;
    let change = |units: i64| AmendRequest {
        client_order_id: order.client_order_id,
        instrument: BTC,
        terms: OrderTerms {
            price: order.price.unwrap(),
            quantity: Quantity::from_units(units),
        },
    };
    let (less, more) = (
        change(order.quantity.units() / 10 * 9),
        change(order.quantity.units() * 2),
    );
    let answer = session.gateway.amend_order(&less, LastLook::new(|| false)).await;
    let rejected = OrderReportKind::AmendRejected;
    assert_eq!(kinds(&answer), [rejected(AmendRejectReason::Other)], "stopped");
    let answer = session.gateway.amend_order(&less, LastLook::always()).await;
    assert_eq!(kinds(&answer), [OrderReportKind::Amended(less.terms)]);
    let view = session
        .gateway
        .query_order(&cancel(&order))
        .await
        .unwrap()
        .unwrap();
    assert_eq!((view.quantity, view.price), (less.terms.quantity, order.price));
    let answer = session.gateway.amend_order(&more, LastLook::always()).await;
    assert_eq!(
        kinds(&answer),
        [rejected(AmendRejectReason::NotOffered)],
        "not more"
    );
    let dearer = AmendRequest {
        terms: OrderTerms {
            price: Price::from_units(less.terms.price.units() + 1_000_000),
            quantity: Quantity::from_units(order.quantity.units() / 10 * 8),
        },
        ..less
    };
    let answer = session.gateway.amend_order(&dearer, LastLook::always()).await;
    assert_eq!(
        kinds(&answer),
        [OrderReportKind::OutcomeUnknown],
        "the venue keeps the price: what was asked for is not what it is"
    );
    session
        .until("the stream tells it", |session| {
            session
                .seen
                .reports(id(1))
                .contains(&OrderReportKind::Amended(less.terms))
        })
        .await;
    session.gateway.cancel_all(BTC).await.unwrap();
    let answer = session.gateway.amend_order(&less, LastLook::always()).await;
    assert_eq!(kinds(&answer), [rejected(AmendRejectReason::UnknownOrder)]);
    session.stop().await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn what_the_venue_refuses_is_refused_with_its_reason() {
    for door in DOORS {
        be_refused(door).await;
    }
}

async fn be_refused(door: Door) {
    let session = Session::start_by(door).await;
    let cases = [
        (
            OrderRequest {
                post_only: true,
                time_in_force: TimeInForce::Gtc,
                ..session.order(1)
            },
            RejectReason::WouldTake,
        ),
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
    session.stop().await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_gap_and_a_broken_frame_invalidate_the_book_until_the_next_snapshot() {
    let mut session = Session::start().await;
    // The server has two streams of changes and may spend one fault on the one we do not hear.
    let faults = [
        (r#"{"kind":"depth_gap","count":2}"#, BookInvalidReason::Gap),
        (
            r#"{"kind":"malformed_frame","count":2}"#,
            BookInvalidReason::Malformed,
        ),
    ];
    for (fault, reason) in faults {
        let (told, snapshots) = (session.seen.invalid.len(), session.seen.snapshots);
        session.fault(fault).await;
        session
            .until("the fault shows", |session| session.seen.invalid.len() > told)
            .await;
        assert_eq!(session.seen.invalid[told], reason);
        session
            .until("the book is back", |session| {
                session.is_book_up() && session.seen.snapshots > snapshots
            })
            .await;
    }
    assert!(session.seen.malformed > 0);
    session.stop().await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_venue_that_goes_away_comes_back_by_itself() {
    let mut session = Session::start().await;
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
    session.stop().await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn the_end_of_the_subscription_is_a_disconnect() {
    let mut session = Session::start().await;
    session.fault(r#"{"kind":"terminate_account_stream"}"#).await;
    session
        .until("down and up again", |session| {
            session.seen.count(AccountEvent::Up) == 2
        })
        .await;
    assert_eq!(session.seen.count(AccountEvent::Down), 1);
    assert!(
        session.seen.invalid.is_empty(),
        "market data is another connection"
    );
    session.stop().await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn an_unknown_outcome_is_resolved_both_ways_and_never_sent_again() {
    for door in DOORS {
        leave_unanswered(door).await;
    }
}

async fn leave_unanswered(door: Door) {
    let session = Session::start_by(door).await;
    for (counter, executed) in [(1, true), (2, false)] {
        for (answer, extra) in [("http503", 0), ("timeout1007", 10)] {
            let order = session.order(counter + extra);
            let fault = format!(
                r#"{{"kind":"unknown_outcome","request":"place","executed":{executed},"answer":"{answer}"}}"#
            );
            session.fault(&fault).await;
            let sent = session.clock.now();
            let reports = kinds(&session.gateway.submit(&order).await);
            assert_eq!(reports, [OrderReportKind::OutcomeUnknown]);
            let unknown = UnknownOrder {
                client_order_id: order.client_order_id,
                instrument: BTC,
                sent,
            };
            let resolved = kinds(&session.gateway.resolve(unknown).await);
            if executed {
                assert!(
                    matches!(resolved.last(), Some(OrderReportKind::Found(found)) if found.status == OrderStatus::Filled)
                );
                let total: i64 = fills(&resolved).iter().map(|fill| fill.quantity.units()).sum();
                assert_eq!(total, order.quantity.units());
            } else {
                assert_eq!(resolved, [OrderReportKind::NotFound]);
            }
        }
    }
    let traded = session.gateway.trades(BTC, Timestamp::EPOCH).await.unwrap();
    let total: i64 = traded.iter().map(|trade| trade.fill.quantity.units()).sum();
    assert_eq!(
        total,
        2 * session.order(0).quantity.units(),
        "two of four were executed, each once"
    );
    session.stop().await;
}

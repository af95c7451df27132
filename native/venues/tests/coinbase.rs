//! A whole session with Coinbase against the simulated venue, by the venue's name alone: the book, orders, the account's
//! stream, and faults.

#![allow(clippy::unwrap_used, reason = "tests")]

mod support;

use std::sync::Arc;
use std::time::Duration;

use domain::{
    Bar, BookInvalidReason, CancelRejectReason, ClientOrderId, Fill, InstrumentId, MarketEvent, Nanos,
    OrderReport, OrderReportKind, OrderRequest, OrderStatus, OrderType, Price, Quantity, Quote, RejectReason,
    Side, TimeInForce, Timestamp, Venue,
};
use support::coinbase::{KEY_NAME, cancel, id, private_key};
use support::{Inbox, post, queue};
use tokio::time::timeout;
use venue_server::{ApiKey, Server, ServerConfig, VenueKind};
use venues::clock::{Clock, Rate, ServerClock};
use venues::retry::Jitter;
use venues::{
    AccountEvent, AccountFeed, AccountProtocol, Connector, ConnectorSettings, Credentials, Endpoints,
    Gateway, Instruments, LastLook, MarketFeed, MarketProtocol, NEW_ORDER_BYTES_MAX, Secret, StalenessBounds,
    StreamMessage, UnknownOrder, connect,
};

const BTC: InstrumentId = InstrumentId(0);
const BAR: Nanos = Nanos::from_secs(60);
const FIRST_BAR_MS: i64 = 1_632_700_800_000;
const HISTORY: i64 = 50;

/// A market that swings gently around 100.
fn bars() -> Vec<Bar> {
    let cents = |cents: i64| Price::from_units(cents * 1_000_000);
    let bar = |number: i64| {
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
    };
    (0..600).map(bar).collect()
}

#[derive(Debug, Default)]
struct Seen {
    invalid: Vec<BookInvalidReason>,
    deltas: usize,
    trades: usize,
    quote: Option<Quote>,
    account: Vec<AccountEvent>,
}

impl Seen {
    fn market(&mut self, event: &MarketEvent<'_>) {
        match event {
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

/// What a service would hold, made by the venue's name.
struct Session {
    server: Server,
    clock: Arc<ServerClock>,
    connector: Box<dyn Connector>,
    table: Arc<Instruments>,
    gateway: Arc<dyn Gateway>,
    market: MarketFeed,
    account: AccountFeed,
    market_inbox: Inbox,
    account_inbox: Inbox,
    data: Box<dyn MarketProtocol>,
    account_data: Box<dyn AccountProtocol>,
    seen: Seen,
}

fn settings(server: &Server) -> ConnectorSettings {
    let address = server.address();
    let mut settings = ConnectorSettings::new(
        Venue::Coinbase,
        Endpoints {
            rest: format!("http://{address}"),
            market: format!("ws://{address}"),
            account: format!("ws://{address}"),
        },
    );
    settings.read_staleness = Nanos::from_millis(30);
    settings
}

impl Session {
    async fn start() -> Self {
        let mut config = ServerConfig::new(bars(), "BTC-USD");
        config.venue = VenueKind::Coinbase;
        config.from = Some(Timestamp::from_millis(FIRST_BAR_MS + HISTORY * 60_000));
        // A minute of venue time each 200 ms.
        config.wall_span = Nanos::from_millis(200);
        let keys = vec![ApiKey::new(KEY_NAME, &private_key())];
        let server = Server::start(config, keys).await.unwrap();
        let clock = Arc::new(ServerClock::local());
        let credentials = Credentials::Coinbase {
            key_name: Secret::new(KEY_NAME.to_owned()).unwrap(),
            private_key: Secret::pem(private_key()).unwrap(),
        };
        let as_clock = Arc::clone(&clock) as Arc<dyn Clock>;
        let connector = connect(settings(&server), credentials, as_clock).unwrap();
        let reference = connector.reference();
        reference
            .anchor_clock(&clock, Rate::Fixed(300 * 1_000_000_000))
            .await
            .unwrap();
        let table = Arc::new(Instruments::new(reference.instruments(&["BTC-USD"]).await.unwrap()).unwrap());
        let (market_sink, market_inbox) = queue(65_536);
        let (account_sink, account_inbox) = queue(1_024);
        let ahead_max = clock.service_span(Nanos::from_secs(5));
        let mut session = Self {
            market: connector
                .market_feed(&table, Jitter::seeded(1), Box::new(market_sink))
                .unwrap(),
            account: connector
                .account_feed(&table, Jitter::seeded(2), Box::new(account_sink))
                .unwrap(),
            gateway: connector.gateway(&table).unwrap(),
            data: connector.market_protocol(&table, ahead_max),
            account_data: connector.account_protocol(&table),
            seen: Seen::default(),
            server,
            clock,
            connector,
            table,
            market_inbox,
            account_inbox,
        };
        session.data.set_staleness(StalenessBounds::on(&*session.clock));
        session
            .until("the session is up", |session| {
                session.data.is_synchronized(BTC)
                    && session.seen.count(AccountEvent::Up) == 1
                    && session.seen.quote.is_some()
            })
            .await;
        session
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
        let done = timeout(Duration::from_secs(30), pump).await;
        assert!(done.is_ok(), "never happened: {what}; seen {:?}", self.seen);
    }

    fn take_market(&mut self, message: &StreamMessage) {
        let seen = &mut self.seen;
        // What cannot be read makes the books invalid, which is seen.
        let _ = self.data.on_message(message, &mut |event| seen.market(&event));
        while let Some(instrument) = self.data.take_resync_request() {
            self.market.requester().request(instrument);
        }
    }

    async fn fault(&self, fault: &str) {
        post(self.server.address(), "/admin/faults", fault).await;
    }

    async fn submit(&self, order: &OrderRequest) -> Vec<OrderReportKind> {
        let mut body = Vec::with_capacity(NEW_ORDER_BYTES_MAX);
        let instrument = self.table.get(BTC).unwrap();
        let mut encoder = self.gateway.encoder();
        encoder
            .encode_new_order(order, instrument, self.clock.now(), &mut body)
            .unwrap();
        let sent = self
            .gateway
            .submit_encoded(order, body.into(), LastLook::always());
        kinds(&sent.await)
    }

    /// An order that takes.
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

fn total(fills: &[Fill]) -> Quantity {
    Quantity::from_units(fills.iter().map(|fill| fill.quantity.units()).sum())
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn the_book_stands_while_the_market_moves() {
    let mut session = Session::start().await;
    session
        .until("a lively market", |session| {
            session.seen.deltas > 100 && session.seen.trades > 50
        })
        .await;
    assert_eq!(session.seen.invalid, []);
    let wire = session.data.wire_statistics();
    assert_eq!((wire.malformed, wire.connection_gaps, wire.trade_gaps), (0, 0, 0));
    let reference = session.connector.reference();
    let now = session.clock.now();
    let history = reference
        .bars(session.table.get(BTC).unwrap(), BAR, 30, now)
        .await
        .unwrap();
    assert_eq!(history.len(), 30);
    let recorded = bars();
    assert!(history.iter().all(|bar| recorded.contains(bar)), "{history:?}");
    reference.resync_clock(&session.clock).await.unwrap();
    session.stop().await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn an_order_that_trades_is_accepted_by_the_answer_and_filled_by_the_stream() {
    let mut session = Session::start().await;
    let order = session.order(1);
    let answer = session.submit(&order).await;
    assert!(matches!(answer[..], [OrderReportKind::Accepted(_)]), "{answer:?}");
    let view = session
        .gateway
        .query_order(&cancel(id(1)))
        .await
        .unwrap()
        .unwrap();
    // A thin book may leave a rest, which ends at once too.
    assert!(view.status.is_terminal() && !view.filled.is_zero(), "{view:?}");
    session
        .until("its fills", |session| {
            total(&fills(&session.seen.reports(id(1)))) == view.filled
        })
        .await;
    let by_stream = fills(&session.seen.reports(id(1)));
    let listed = session.gateway.trades(BTC, Timestamp::EPOCH).await.unwrap();
    let by_list: Vec<_> = listed.iter().map(|trade| trade.fill).collect();
    assert_eq!(by_stream, by_list, "the same executions, number for number");
    assert!(listed.iter().all(|trade| trade.client_order_id == Some(id(1))));
    let balances = session.gateway.balances().await.unwrap();
    assert!(balances.iter().any(|balance| balance.currency.as_str() == "USD"));
    session.stop().await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn an_order_that_rests_is_canceled_by_both_doors() {
    let mut session = Session::start().await;
    for counter in [1, 2] {
        let answer = session.submit(&session.resting(counter)).await;
        assert!(matches!(answer[..], [OrderReportKind::Accepted(_)]), "{answer:?}");
    }
    let open = session.gateway.open_orders(BTC).await.unwrap();
    assert_eq!(open.len(), 2);
    assert!(
        open.iter()
            .all(|view| view.status == OrderStatus::Accepted && view.client_order_id.is_some())
    );
    let first = kinds(&session.gateway.cancel(&cancel(id(1))).await);
    assert_eq!(first, [OrderReportKind::Canceled]);
    let again = kinds(&session.gateway.cancel(&cancel(id(1))).await);
    let nothing = OrderReportKind::CancelRejected(CancelRejectReason::UnknownOrder);
    assert_eq!(again, [nothing]);
    let all = session.gateway.cancel_all(BTC).await.unwrap();
    assert_eq!(
        (all.len(), all[0].client_order_id, all[0].kind),
        (1, id(2), OrderReportKind::Canceled)
    );
    session
        .until("the stream tells it", |session| {
            [1, 2]
                .iter()
                .all(|&counter| session.seen.reports(id(counter)).len() == 2)
        })
        .await;
    for counter in [1, 2] {
        assert_eq!(session.seen.reports(id(counter))[1], OrderReportKind::Canceled);
    }
    session.stop().await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn what_the_venue_refuses_is_refused_with_its_reason() {
    let session = Session::start().await;
    let rests = TimeInForce::Gtc;
    let cases = [
        (
            OrderRequest {
                post_only: true,
                time_in_force: rests,
                ..session.order(1)
            },
            RejectReason::WouldTake,
        ),
        (
            OrderRequest {
                side: Side::Sell,
                quantity: Quantity::parse(b"8999").unwrap(),
                ..session.resting(3)
            },
            RejectReason::InsufficientBalance,
        ),
    ];
    for (order, reason) in cases {
        let answer = session.submit(&order).await;
        assert_eq!(answer, [OrderReportKind::Rejected(reason)], "{order:?}");
    }
    let order = session.resting(4);
    session.submit(&order).await;
    // This venue answers with the order that is there.
    let again = session.submit(&order).await;
    assert!(
        matches!(
            again[..],
            [OrderReportKind::Accepted(_), OrderReportKind::Found(_)]
        ),
        "{again:?}"
    );
    session.stop().await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn an_unknown_outcome_is_resolved_both_ways_and_never_sent_again() {
    let session = Session::start().await;
    let mut executed_once = Quantity::ZERO;
    for (counter, executed) in [(1, true), (2, false)] {
        let order = session.order(counter);
        session
            .fault(&format!(
                r#"{{"kind":"unknown_outcome","request":"place","executed":{executed},"answer":"timeout"}}"#
            ))
            .await;
        let sent = session.clock.now();
        assert_eq!(session.submit(&order).await, [OrderReportKind::OutcomeUnknown]);
        let unknown = UnknownOrder {
            client_order_id: order.client_order_id,
            instrument: BTC,
            sent,
        };
        let resolved = kinds(&session.gateway.resolve(unknown).await);
        if executed {
            let Some(OrderReportKind::Found(found)) = resolved.last() else {
                panic!("{resolved:?}")
            };
            assert!(found.status.is_terminal() && !found.filled.is_zero(), "{found:?}");
            assert_eq!(total(&fills(&resolved)), found.filled);
            executed_once = found.filled;
        } else {
            assert_eq!(resolved, [OrderReportKind::NotFound]);
        }
    }
    let trades = session.gateway.trades(BTC, Timestamp::EPOCH).await.unwrap();
    let traded: Vec<_> = trades.iter().map(|trade| trade.fill).collect();
    assert_eq!(total(&traded), executed_once, "never sent again");
    session.stop().await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_gap_invalidates_the_book_until_the_next_snapshot() {
    let mut session = Session::start().await;
    session.fault(r#"{"kind":"depth_gap"}"#).await;
    session
        .until("the gap shows", |session| !session.seen.invalid.is_empty())
        .await;
    assert_eq!(session.seen.invalid[0], BookInvalidReason::Gap);
    session
        .until("the book is back", |session| session.data.is_synchronized(BTC))
        .await;
    assert_eq!(
        session.market.statistics().connected(),
        1,
        "over the stream that stands"
    );
    session.stop().await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_venue_that_goes_away_comes_back_by_itself() {
    let mut session = Session::start().await;
    session.fault(r#"{"kind":"outage","ms":700}"#).await;
    session
        .until("both streams are down", |session| {
            !session.data.is_synchronized(BTC) && session.seen.count(AccountEvent::Down) == 1
        })
        .await;
    session
        .until("both streams are back", |session| {
            session.data.is_synchronized(BTC) && session.seen.count(AccountEvent::Up) == 2
        })
        .await;
    session.stop().await;
}

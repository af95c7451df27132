//! Orders over REST: out as signed requests, back as reports.

use std::collections::BTreeMap;
use std::sync::Arc;
use std::time::Duration;

use bytes::Bytes;
use domain::{
    Balance, CancelRequest, ClientOrderId, Instrument, InstrumentId, Nanos, OrderReport, OrderReportKind,
    OrderRequest, Timestamp, VenueOrderId,
};
use tokio::time::sleep;
use tracing::{error, warn};

use super::orders::{self, Exchanged, Submitted};
use super::rest::{Call, RestClient, malformed};
use super::sign::{NEW_ORDER_BYTES_MAX, OrderEncoder};
use crate::error::VenueError;
use crate::instruments::Instruments;
use crate::last_look::LastLook;
use crate::rate_limit::Urgency;
use crate::resolution::{Answer, FIRST_PAUSE, LONGEST_PAUSE, Margins, Resolution, Source, Step};
use crate::retry::Backoff;
use crate::trading::{AccountTrade, OrderView, UnknownOrder};

/// Most trades in one answer.
const TRADES_PER_ANSWER: usize = 1_000;

/// Most answers one call of [`Gateway::trades`] joins.
const TRADE_PAGES_MAX: usize = 50;

/// Most orders looked up by number in one round of [`Gateway::resolve`].
const LOOKUPS_MAX: usize = 64;

/// Most attempts to read the fills of an order that was found, and the first and longest pause between them.
const FOUND_ATTEMPTS_MAX: u32 = 32;
const FOUND_PAUSE: (Duration, Duration) = (Duration::from_millis(250), Duration::from_secs(10));

/// How far our clock may be off the venue's, beside its own uncertainty.
const SKEW: Nanos = Nanos::from_millis(250);

/// The venue's "Order does not exist."
const NO_SUCH_ORDER: i64 = -2013;

/// The venue's "Unknown order sent.": nothing to cancel.
const NOTHING_TO_CANCEL: i64 = -2011;

const NEW_ORDER: Call = call("new order", "POST", "/api/v3/order", 1, Urgency::Order);
const CANCEL: Call = call("cancel", "DELETE", "/api/v3/order", 1, Urgency::Essential);
const CANCEL_ALL: Call = call(
    "cancel all",
    "DELETE",
    "/api/v3/openOrders",
    1,
    Urgency::Essential,
);
const QUERY: Call = call("query order", "GET", "/api/v3/order", 4, Urgency::Essential);
const OPEN_ORDERS: Call = call("open orders", "GET", "/api/v3/openOrders", 6, Urgency::Essential);
const TRADES: Call = call("my trades", "GET", "/api/v3/myTrades", 20, Urgency::Essential);
const ACCOUNT: Call = call("account", "GET", "/api/v3/account", 20, Urgency::Essential);

const fn call(
    name: &'static str,
    method: &'static str,
    path: &'static str,
    weight: u32,
    urgency: Urgency,
) -> Call {
    Call {
        name,
        method,
        path,
        weight,
        urgency,
    }
}

/// Order entry and queries of one account.
#[derive(Debug)]
pub struct Gateway {
    rest: Arc<RestClient>,
    instruments: Arc<Instruments>,
    encoder: OrderEncoder,
}

impl Gateway {
    /// On a client with credentials.
    ///
    /// # Errors
    /// [`VenueError::NoCredentials`].
    pub fn new(rest: Arc<RestClient>, instruments: Arc<Instruments>) -> Result<Self, VenueError> {
        let encoder = rest.encoder()?.clone();
        Ok(Self {
            rest,
            instruments,
            encoder,
        })
    }

    /// What encodes and signs for this account, for the thread that decides.
    pub fn encoder(&self) -> OrderEncoder {
        self.encoder.clone()
    }

    /// Encodes, signs and sends a new order. See [`Self::submit_encoded`].
    pub async fn submit(&self, order: &OrderRequest) -> Vec<OrderReport> {
        let now = self.rest.clock().now();
        let mut body = Vec::with_capacity(NEW_ORDER_BYTES_MAX);
        let encoded = self
            .instruments
            .require(order.instrument)
            .and_then(|instrument| Ok(self.encoder.encode_new_order(order, instrument, now, &mut body)?));
        if let Err(error) = encoded {
            warn!(order = %order.client_order_id, %error, "order not sent");
            return vec![report(order, now, OrderReportKind::NotSent)];
        }
        self.submit_encoded(order, body.into(), LastLook::always()).await
    }

    /// Sends what [`OrderEncoder::encode_new_order`] made of `order`, once, and reports what came of it.
    ///
    /// - `Accepted`, then each `Filled` the answer names (the user stream names them again, with the same
    ///   trade ids), then `Expired` where nothing rests; or
    /// - `Rejected`: the venue's own, definite no; or
    /// - `NotSent`: refused before the socket (no budget, no connection, `look` said no when the connection stood);
    ///   orders do not wait for budget; or
    /// - `OutcomeUnknown`: everything else. Do not send it again; see [`Self::resolve`].
    ///
    /// A refusal as a duplicate is proof that the first attempt is open: the order is asked for, and reported
    /// as `Accepted` and `Found`.
    pub async fn submit_encoded(
        &self,
        order: &OrderRequest,
        body: Bytes,
        look: LastLook,
    ) -> Vec<OrderReport> {
        let exchanged = match self.rest.take_order() {
            Ok(()) => self.rest.exchange_order(&NEW_ORDER, body, look).await,
            Err(error) => Err(error),
        };
        let now = self.rest.clock().now();
        log_failure(order.client_order_id, &exchanged);
        match orders::submitted(order, &exchanged, now) {
            Submitted::Reports(reports) => reports,
            Submitted::AlreadyOpen => self.already_open(order, now).await,
        }
    }

    async fn already_open(&self, order: &OrderRequest, now: Timestamp) -> Vec<OrderReport> {
        let named = CancelRequest {
            client_order_id: order.client_order_id,
            instrument: order.instrument,
        };
        match self.query_order(&named).await {
            Ok(Some(view)) => vec![
                report(
                    order,
                    view.ts_event,
                    OrderReportKind::Accepted(view.venue_order_id),
                ),
                report(order, view.ts_event, OrderReportKind::Found(view.snapshot())),
            ],
            _ => vec![report(order, now, OrderReportKind::OutcomeUnknown)],
        }
    }

    /// Cancels one order.
    ///
    /// - `Canceled`, which may overtake the last fills on the user stream; or
    /// - `CancelRejected(UnknownOrder)`: nothing open by that id, it may have ended; or
    /// - `CancelRejected(Other)`: a definite no, or the cancel did not leave; the order is as it was; or
    /// - `OutcomeUnknown`: the cancel may have worked, so the order's state is unknown.
    pub async fn cancel(&self, cancel: &CancelRequest) -> Vec<OrderReport> {
        let exchanged = self.exchange_cancel(cancel).await;
        let now = self.rest.clock().now();
        log_failure(cancel.client_order_id, &exchanged);
        vec![orders::canceled(
            cancel.client_order_id,
            cancel.instrument,
            &exchanged,
            now,
        )]
    }

    async fn exchange_cancel(&self, cancel: &CancelRequest) -> Exchanged {
        let not_sent = |error: VenueError| VenueError::NotConnected {
            request: CANCEL.name,
            detail: error.to_string(),
        };
        let instrument = self.instruments.require(cancel.instrument).map_err(not_sent)?;
        let mut query = Vec::with_capacity(NEW_ORDER_BYTES_MAX);
        let now = self.rest.clock().now();
        self.encoder
            .encode_cancel(cancel, instrument, now, &mut query)
            .map_err(|error| not_sent(error.into()))?;
        let query = String::from_utf8(query).unwrap_or_default();
        self.rest.exchange(&CANCEL, &query, None).await
    }

    /// Cancels every open order of an instrument, also those that are not ours; reports ours.
    ///
    /// # Errors
    /// [`VenueError`]; after one that is not a definite refusal, assume nothing and query.
    pub async fn cancel_all(&self, instrument: InstrumentId) -> Result<Vec<OrderReport>, VenueError> {
        let listed = self.instruments.require(instrument)?;
        match self
            .rest
            .signed(&CANCEL_ALL, &format!("symbol={}", listed.symbol))
            .await
        {
            Ok(body) => orders::canceled_all(&body, instrument, self.rest.clock().now())
                .map_err(|source| malformed(CANCEL_ALL.name, source)),
            Err(VenueError::Refused {
                code: NOTHING_TO_CANCEL,
                ..
            }) => Ok(Vec::new()),
            Err(error) => Err(error),
        }
    }

    /// Asks for one of our orders. `None`: the venue does not know it, which right after sending proves
    /// nothing.
    ///
    /// # Errors
    /// [`VenueError`] when there is no usable answer.
    pub async fn query_order(&self, order: &CancelRequest) -> Result<Option<OrderView>, VenueError> {
        let instrument = self.instruments.require(order.instrument)?;
        let by = format!(
            "symbol={}&origClientOrderId={}",
            instrument.symbol, order.client_order_id
        );
        self.query(instrument, &by).await
    }

    async fn query(&self, instrument: &Instrument, params: &str) -> Result<Option<OrderView>, VenueError> {
        match self.rest.signed(&QUERY, params).await {
            Ok(body) => {
                let view =
                    orders::order(&body, instrument).map_err(|source| malformed(QUERY.name, source))?;
                Ok(Some(view))
            }
            Err(VenueError::Refused {
                code: NO_SUCH_ORDER, ..
            }) => Ok(None),
            Err(error) => Err(error),
        }
    }

    /// Every open order of an instrument, also those that are not ours.
    ///
    /// # Errors
    /// [`VenueError`] when there is no usable answer.
    pub async fn open_orders(&self, instrument: InstrumentId) -> Result<Vec<OrderView>, VenueError> {
        let listed = self.instruments.require(instrument)?;
        let body = self
            .rest
            .signed(&OPEN_ORDERS, &format!("symbol={}", listed.symbol))
            .await?;
        orders::orders(&body, listed).map_err(|source| malformed(OPEN_ORDERS.name, source))
    }

    /// The account's trades in an instrument since a venue time, oldest first.
    ///
    /// # Errors
    /// [`VenueError`] when there is no usable answer, or more than 50,000 trades.
    pub async fn trades(
        &self,
        instrument: InstrumentId,
        since: Timestamp,
    ) -> Result<Vec<AccountTrade>, VenueError> {
        let listed = self.instruments.require(instrument)?;
        let mut all: Vec<AccountTrade> = Vec::new();
        let mut from = format!("startTime={}", since.millis().max(0));
        for _ in 0..TRADE_PAGES_MAX {
            let params = format!("symbol={}&{from}&limit={TRADES_PER_ANSWER}", listed.symbol);
            let body = self.rest.signed(&TRADES, &params).await?;
            let page = orders::trades(&body, listed).map_err(|source| malformed(TRADES.name, source))?;
            let is_last = page.len() < TRADES_PER_ANSWER;
            all.extend(page);
            match all.last() {
                Some(last) if !is_last => from = format!("fromId={}", last.fill.trade_id.0.saturating_add(1)),
                _ => return Ok(all),
            }
        }
        Err(VenueError::TooLarge {
            request: TRADES.name,
            max: TRADE_PAGES_MAX * TRADES_PER_ANSWER,
        })
    }

    /// The account's balances that are not zero.
    ///
    /// # Errors
    /// [`VenueError`] when there is no usable answer.
    pub async fn balances(&self) -> Result<Vec<Balance>, VenueError> {
        let body = self.rest.signed(&ACCOUNT, "omitZeroBalances=true").await?;
        orders::balances(&body).map_err(|source| malformed(ACCOUNT.name, source))
    }

    /// Finds out what became of an order whose answer never came, by [`crate::resolution`], waiting as long
    /// as that takes.
    ///
    /// Ends with `Found` (after the fills that the venue knows) or `NotFound`; empty when the venue could not
    /// be asked for hours: still unknown, and a person must look. Never sends the order again.
    pub async fn resolve(&self, unknown: UnknownOrder) -> Vec<OrderReport> {
        let Some(instrument) = self.instruments.get(unknown.instrument).copied() else {
            return Vec::new();
        };
        let settings = self.rest.settings();
        let clock = Arc::clone(self.rest.clock());
        let margins = Margins {
            recv_window: clock.service_span(settings.recv_window),
            staleness: clock.service_span(settings.read_staleness),
            skew: clock.service_span(SKEW),
            first_pause: clock.service_span(FIRST_PAUSE),
            longest_pause: clock.service_span(LONGEST_PAUSE),
        };
        let mut resolution = Resolution::new(unknown.sent, margins);
        let mut seen = Seen::default();
        let mut backoff = Backoff::new(FOUND_PAUSE.0, FOUND_PAUSE.1, self.rest.jitter());
        let mut attempts = 0;
        loop {
            match resolution.next(clock.now()) {
                Step::Ask(source) => {
                    let asked = clock.now();
                    let answer = self.ask(source, &unknown, &instrument, &mut seen).await;
                    resolution.answer(source, asked, clock.now(), answer);
                }
                Step::WaitUntil(at) => sleep(clock.wall_until(at)).await,
                Step::Found => match self.found(&unknown, &instrument, &seen).await {
                    Some(reports) => return reports,
                    // It exists, but its fills could not be read: they may still come by the user stream.
                    None if attempts == FOUND_ATTEMPTS_MAX => return seen.found(&unknown),
                    None => {
                        attempts += 1;
                        sleep(backoff.next_pause()).await;
                    }
                },
                Step::NotFound => {
                    return vec![unknown_report(&unknown, clock.now(), OrderReportKind::NotFound)];
                }
                Step::GaveUp => {
                    error!(order = %unknown.client_order_id, "outcome still unknown: look at the venue");
                    return Vec::new();
                }
            }
        }
    }

    async fn ask(
        &self,
        source: Source,
        unknown: &UnknownOrder,
        instrument: &Instrument,
        seen: &mut Seen,
    ) -> Answer {
        let result = match source {
            Source::Order => self
                .query_order(&unknown.named())
                .await
                .map(|view| view.into_iter().collect()),
            Source::OpenOrders => self.open_orders(unknown.instrument).await,
            Source::Trades => self.traded_orders(unknown, instrument, seen).await,
        };
        match result {
            Ok(views) => {
                let ours = views
                    .iter()
                    .find(|view| view.client_order_id == Some(unknown.client_order_id));
                seen.view = ours.copied().or(seen.view);
                if ours.is_some() {
                    Answer::Present
                } else {
                    Answer::Absent
                }
            }
            Err(error) => {
                warn!(order = %unknown.client_order_id, ?source, %error, "could not ask");
                Answer::Failed
            }
        }
    }

    /// The orders behind the account's trades since the unknown order was sent: the list of trades does not
    /// carry our ids, so each order is looked up once.
    async fn traded_orders(
        &self,
        unknown: &UnknownOrder,
        instrument: &Instrument,
        seen: &mut Seen,
    ) -> Result<Vec<OrderView>, VenueError> {
        let trades = self.trades(unknown.instrument, self.earliest(unknown)).await?;
        for lookups in 0.. {
            let next = trades
                .iter()
                .find(|trade| !seen.orders.contains_key(&trade.venue_order_id));
            let Some(trade) = next else { break };
            if lookups == LOOKUPS_MAX {
                return Err(VenueError::TooLarge {
                    request: TRADES.name,
                    max: LOOKUPS_MAX,
                });
            }
            let by = format!("symbol={}&orderId={}", instrument.symbol, trade.venue_order_id.0);
            let view = self.query(instrument, &by).await?;
            // An order that traded exists: a venue that does not know it cannot be relied on yet.
            let view = view.ok_or_else(|| VenueError::Refused {
                request: QUERY.name,
                status: 400,
                code: NO_SUCH_ORDER,
                message: "an order that traded is not known".to_owned(),
            })?;
            seen.orders.insert(trade.venue_order_id, view);
        }
        Ok(seen.orders.values().copied().collect())
    }

    /// The earliest venue time at which the order can have traded.
    fn earliest(&self, unknown: &UnknownOrder) -> Timestamp {
        unknown.sent.plus(Nanos(-self.rest.clock().service_span(SKEW).0))
    }

    /// The fills and the state of an order that was found.
    async fn found(
        &self,
        unknown: &UnknownOrder,
        instrument: &Instrument,
        seen: &Seen,
    ) -> Option<Vec<OrderReport>> {
        // The state first and the trades after it, so that no fill that the state counts is missing.
        let venue_order_id = seen.view?.venue_order_id;
        let by = format!("symbol={}&orderId={}", instrument.symbol, venue_order_id.0);
        let view = self.query(instrument, &by).await.ok().flatten().or(seen.view)?;
        let trades = self
            .trades(unknown.instrument, self.earliest(unknown))
            .await
            .ok()?;
        let fills = trades
            .iter()
            .filter(|trade| trade.venue_order_id == venue_order_id);
        let mut reports: Vec<_> = fills
            .map(|trade| unknown_report(unknown, trade.ts_event, OrderReportKind::Filled(trade.fill)))
            .collect();
        reports.push(unknown_report(
            unknown,
            view.ts_event,
            OrderReportKind::Found(view.snapshot()),
        ));
        Some(reports)
    }
}

/// What one resolution has learned so far.
#[derive(Debug, Default)]
struct Seen {
    /// The order itself.
    view: Option<OrderView>,
    /// Orders that traded since, by the venue's number.
    orders: BTreeMap<VenueOrderId, OrderView>,
}

impl Seen {
    /// The order as it was last seen, without fills.
    fn found(&self, unknown: &UnknownOrder) -> Vec<OrderReport> {
        let view = self.view.into_iter();
        view.map(|view| unknown_report(unknown, view.ts_event, OrderReportKind::Found(view.snapshot())))
            .collect()
    }
}

fn report(order: &OrderRequest, ts_event: Timestamp, kind: OrderReportKind) -> OrderReport {
    OrderReport {
        client_order_id: order.client_order_id,
        instrument: order.instrument,
        ts_event,
        kind,
    }
}

fn unknown_report(unknown: &UnknownOrder, ts_event: Timestamp, kind: OrderReportKind) -> OrderReport {
    OrderReport {
        client_order_id: unknown.client_order_id,
        instrument: unknown.instrument,
        ts_event,
        kind,
    }
}

fn log_failure(order: ClientOrderId, exchanged: &Exchanged) {
    match exchanged {
        Err(error) => warn!(%order, %error, "no answer"),
        Ok(answer) if !answer.is_success() => {
            let refusal = answer.refusal();
            warn!(%order, status = answer.status, code = refusal.code, message = refusal.message, "refused");
        }
        Ok(_) => {}
    }
}

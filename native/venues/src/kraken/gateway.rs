//! Orders over REST or over the private socket; questions over REST; both back as reports.

use std::collections::BTreeMap;
use std::sync::Arc;
use std::time::Duration;

use bytes::Bytes;
use domain::{
    AmendRequest, Balance, CancelRequest, ClientOrderId, Instrument, InstrumentId, Nanos, OrderReport,
    OrderReportKind, OrderRequest, OrderStatus, Price, Quantity, Timestamp, VenueOrderId,
};
use tokio::time::sleep;
use tracing::warn;

use super::account_feed::OrderDoor;
use super::answer::{Outcome, Refusal};
use super::client_id::WireId;
use super::dead_man::DeadMan;
use super::orders::{self, Exchanged, Gone, Submitted};
use super::rest::{Call, RestClient, malformed};
use super::rules::Names;
use super::sign::{OrderEncoder, push_form};
use crate::connector::OrderEntry;
use crate::error::{ParseError, VenueError};
use crate::instruments::Instruments;
use crate::last_look::LastLook;
use crate::rate_limit::Urgency;
use crate::resolution::{self, Margins};
use crate::switch::{DeadMansSwitch, SignOfLife, SwitchTimes};
use crate::trading::{
    self, AccountTrade, EncodeOrders, KeyRights, NEW_ORDER_BYTES_MAX, OrderView, Pending, UnknownOrder,
};
use crate::websocket::ConnectionStatistics;

/// Trades and closed orders in one answer.
const PER_ANSWER: usize = 50;

/// Most answers that one question for trades joins.
const TRADE_PAGES_MAX: usize = 50;

/// Longest wait for the key's counter between two of them.
const PAGE_WAIT_MAX: Nanos = Nanos::from_secs(30);

/// Most rounds of canceling every order of an instrument: what is placed meanwhile is seen in the next.
const CANCEL_ALL_ROUNDS: usize = 3;

/// Placing and canceling are counted by the matching engine, not by the key's counter.
const NEW_ORDER: Call = call("new order", "/0/private/AddOrder", 0, Urgency::Order);
const CANCEL: Call = call("cancel", "/0/private/CancelOrder", 0, Urgency::Essential);
const AMEND: Call = call("amend", "/0/private/AmendOrder", 0, Urgency::Order);
const CANCEL_EVERYTHING: Call = call("cancel everything", "/0/private/CancelAll", 1, Urgency::Essential);
const SWITCH: Call = Call {
    // Questions that use the budget up must not let the switch run out.
    is_vital: true,
    ..call(
        "dead man's switch",
        "/0/private/CancelAllOrdersAfter",
        1,
        Urgency::Essential,
    )
};
const QUERY: Call = call("query order", "/0/private/QueryOrders", 1, Urgency::Essential);
const OPEN_ORDERS: Call = call("open orders", "/0/private/OpenOrders", 1, Urgency::Essential);
const CLOSED_ORDERS: Call = call("closed orders", "/0/private/ClosedOrders", 1, Urgency::Essential);
const TRADES: Call = call("trades", "/0/private/TradesHistory", 2, Urgency::Essential);
const KEY_INFO: Call = call("key info", "/0/private/GetApiKeyInfo", 1, Urgency::Essential);
const BALANCES: Call = call("balances", "/0/private/BalanceEx", 1, Urgency::Essential);

const fn call(name: &'static str, path: &'static str, points: i64, urgency: Urgency) -> Call {
    Call {
        name,
        path,
        points,
        urgency,
        is_vital: false,
    }
}

/// Order entry and queries of one account.
#[derive(Debug)]
pub struct Gateway {
    rest: Arc<RestClient>,
    instruments: Arc<Instruments>,
    names: Arc<Names>,
    door: Option<OrderDoor>,
}

impl Gateway {
    /// On a client with credentials that has been asked for these instruments, in the current tokio runtime. Where orders
    /// leave over the socket, none leaves while that is not connected, and cancels leave over REST then.
    ///
    /// # Errors
    /// [`VenueError::NoCredentials`], or [`VenueError::Setting`] when the venue's names are not known yet.
    pub fn new(rest: Arc<RestClient>, instruments: Arc<Instruments>) -> Result<Self, VenueError> {
        if !rest.has_keys() {
            return Err(VenueError::NoCredentials);
        }
        let names = rest.names()?;
        let door = match rest.settings().order_entry {
            OrderEntry::Rest => None,
            OrderEntry::WebSocket => Some(OrderDoor::spawn(&rest, rest.jitter())),
        };
        Ok(Self {
            rest,
            instruments,
            names,
            door,
        })
    }

    /// Whether a new order could leave now: over REST a connection is made when it is wanted.
    #[must_use]
    pub fn is_open(&self) -> bool {
        self.door.as_ref().is_none_or(|door| door.requests.is_up())
    }

    fn order_encoder(&self) -> OrderEncoder {
        let settings = self.rest.settings();
        let deadline = self.rest.clock().service_span(settings.deadline);
        OrderEncoder::new(settings, Arc::clone(&self.names), deadline)
    }

    /// Encodes and sends a new order. See [`trading::Gateway::submit_encoded`].
    pub async fn submit(&self, order: &OrderRequest) -> Vec<OrderReport> {
        let now = self.rest.clock().now();
        let mut body = Vec::with_capacity(NEW_ORDER_BYTES_MAX);
        let mut encoder = self.order_encoder();
        let encoded = self
            .instruments
            .require(order.instrument)
            .and_then(|instrument| Ok(encoder.encode_new_order(order, instrument, now, &mut body)?));
        if let Err(error) = encoded {
            warn!(order = %order.client_order_id, %error, "order not sent");
            return vec![report(order, now, OrderReportKind::NotSent)];
        }
        trading::Gateway::submit_encoded(self, order, body.into(), LastLook::always()).await
    }

    /// Changes the quantity and the price of an open order in place; it keeps its place in the queue where it can.
    /// `quantity` counts what has traded. The account's stream tells of it as of something to ask about.
    ///
    /// # Errors
    /// [`VenueError`]; after one that is not a definite refusal, query the order.
    pub async fn amend(
        &self,
        order: &CancelRequest,
        quantity: Quantity,
        price: Option<Price>,
    ) -> Result<(), VenueError> {
        let exchanged = self
            .exchange_amend(order, quantity, price, LastLook::always())
            .await;
        done(AMEND.name, exchanged).map(drop)
    }

    async fn exchange_amend(
        &self,
        order: &CancelRequest,
        quantity: Quantity,
        price: Option<Price>,
        look: LastLook,
    ) -> Exchanged {
        self.instruments.require(order.instrument)?;
        let id = WireId(order.client_order_id);
        let deadline = self.order_encoder().deadline(self.rest.clock().now());
        if let Some(door) = &self.door {
            let price = price.map_or(String::new(), |price| format!(r#","limit_price":{price}"#));
            let head = format!(
                r#"{{"method":"amend_order","params":{{"cl_ord_id":"{id}","order_qty":{quantity}{price},"deadline":"{deadline}""#
            );
            self.over_socket(door, AMEND.name, &head, look, order.instrument)
                .await
        } else {
            let price = price.map_or(String::new(), |price| format!("&limit_price={price}"));
            let mut form = format!("cl_ord_id={id}&order_qty={quantity}{price}&deadline=").into_bytes();
            push_form(deadline, &mut form);
            self.over_rest(&AMEND, &form, Some(look), order.instrument).await
        }
    }

    /// Cancels every open order of the whole account, whatever it trades and whoever placed it; how many there were.
    ///
    /// # Errors
    /// [`VenueError`]; after one that is not a definite refusal, assume nothing and query.
    pub async fn cancel_everything(&self) -> Result<u64, VenueError> {
        let result = self.rest.signed(&CANCEL_EVERYTHING, "").await?;
        orders::count(&result).map_err(|source| malformed(CANCEL_EVERYTHING.name, source))
    }

    /// Sets or puts off the time at which the venue cancels every order of the account; zero seconds: never.
    pub(super) async fn set_switch(&self, seconds: u64) -> Result<(), VenueError> {
        if let Some(door) = &self.door {
            let head = format!(r#"{{"method":"cancel_all_orders_after","params":{{"timeout":{seconds}"#);
            let exchanged = door
                .requests
                .exchange(SWITCH.name, &head, LastLook::always())
                .await;
            match done(SWITCH.name, exchanged) {
                Ok(_) => return Ok(()),
                Err(error) => warn!(%error, "the switch is set over REST"),
            }
        }
        self.rest
            .signed(&SWITCH, &format!("timeout={seconds}"))
            .await
            .map(drop)
    }

    pub(super) const fn rest(&self) -> &Arc<RestClient> {
        &self.rest
    }

    async fn over_rest(
        &self,
        call: &Call,
        form: &[u8],
        look: Option<LastLook>,
        instrument: InstrumentId,
    ) -> Exchanged {
        let answer = self
            .rest
            .exchange_signed(call, form, look, Some(instrument))
            .await?;
        Ok(answer.outcome())
    }

    async fn over_socket(
        &self,
        door: &OrderDoor,
        name: &'static str,
        head: &str,
        look: LastLook,
        instrument: InstrumentId,
    ) -> Exchanged {
        let outcome = door.requests.exchange(name, head, look).await?;
        if let Outcome::Refused(refusal) = &outcome {
            self.rest.observe(name, refusal, Some(instrument));
        }
        Ok(outcome)
    }

    async fn place(&self, order: &OrderRequest, body: &Bytes, look: LastLook) -> Exchanged {
        self.rest.take_order(order.client_order_id, order.instrument)?;
        let Some(door) = &self.door else {
            return self
                .over_rest(&NEW_ORDER, body, Some(look), order.instrument)
                .await;
        };
        let head = std::str::from_utf8(body).map_err(|_| VenueError::NotConnected {
            request: NEW_ORDER.name,
            detail: "not text".to_owned(),
        })?;
        self.over_socket(door, NEW_ORDER.name, head, look, order.instrument)
            .await
    }

    async fn exchange_cancel(&self, cancel: &CancelRequest) -> Exchanged {
        let id = WireId(cancel.client_order_id);
        let order = Some(cancel.client_order_id);
        let socket = format!(r#"{{"method":"cancel_order","params":{{"cl_ord_id":["{id}"]"#);
        self.cancel_by(order, cancel.instrument, &socket, &format!("cl_ord_id={id}"))
            .await
    }

    async fn cancel_by(
        &self,
        order: Option<ClientOrderId>,
        instrument: InstrumentId,
        socket: &str,
        form: &str,
    ) -> Exchanged {
        self.rest.count_cancel(order, instrument);
        if let Some(door) = &self.door {
            let sent = self.over_socket(door, CANCEL.name, socket, LastLook::always(), instrument);
            match sent.await {
                // It did not leave: it goes another way.
                Err(VenueError::NotConnected { .. }) => {}
                exchanged => return exchanged,
            }
        }
        self.over_rest(&CANCEL, form.as_bytes(), None, instrument).await
    }

    /// One round of canceling: what became of ours, and whether any order was open. What is open nevertheless is so in the
    /// next round.
    async fn cancel_round(&self, instrument: InstrumentId) -> Result<(Vec<OrderReport>, bool), VenueError> {
        let open = trading::Gateway::open_orders(self, instrument).await?;
        let mut reports = Vec::new();
        for view in &open {
            let id = view.venue_order_id.0;
            let socket = format!(r#"{{"method":"cancel_order","params":{{"order_id":["{id}"]"#);
            let exchanged = self
                .cancel_by(view.client_order_id, instrument, &socket, &format!("txid={id}"))
                .await;
            let kind = match orders::gone(view.venue_order_id, exchanged)? {
                Gone::Canceled => OrderReportKind::Canceled,
                // It has ended by itself; its own report comes over the stream.
                Gone::NotOpen => continue,
                Gone::Unknown => {
                    warn!(order = %id, "the answer does not say that the order is canceled");
                    OrderReportKind::OutcomeUnknown
                }
            };
            if let Some(client_order_id) = view.client_order_id {
                reports.push(OrderReport {
                    client_order_id,
                    instrument,
                    ts_event: self.rest.clock().now(),
                    kind,
                });
            }
        }
        Ok((reports, !open.is_empty()))
    }

    async fn listed(
        &self,
        call: &Call,
        list: Option<&'static str>,
        params: &str,
        instrument: &Instrument,
    ) -> Result<Vec<OrderView>, VenueError> {
        let result = self.rest.signed(call, params).await?;
        orders::orders(&result, list, instrument, &self.names).map_err(|source| malformed(call.name, source))
    }

    /// The venue finds an order by our id only in its lists of open and of closed orders, each with a filter.
    async fn by_client_id(
        &self,
        id: ClientOrderId,
        instrument: &Instrument,
    ) -> Result<Option<OrderView>, VenueError> {
        let filter = format!("cl_ord_id={}", WireId(id));
        // An order that ends in between is seen in the second, because it was open before.
        for (call, list) in [(&OPEN_ORDERS, "open"), (&CLOSED_ORDERS, "closed")] {
            let views = self.listed(call, Some(list), &filter, instrument).await?;
            if let Some(view) = views.iter().find(|view| view.client_order_id == Some(id)) {
                return Ok(Some(*view));
            }
            if !views.is_empty() {
                // It gave others: then that ours is not among them says nothing.
                let problem = "orders of another id than was asked for";
                let source = ParseError::Value {
                    field: "cl_ord_id",
                    problem,
                };
                return Err(malformed(call.name, source));
            }
        }
        Ok(None)
    }

    async fn trades_page(
        &self,
        since: i64,
        offset: usize,
        instrument: &Instrument,
    ) -> Result<orders::TradesPage, VenueError> {
        // A taker's trades as one, as the account's stream tells them ("the average price in this trade event").
        let params = format!("start={since}&ofs={offset}&consolidate_taker=true&without_count=true");
        let mut waited = false;
        loop {
            match self.rest.signed(&TRADES, &params).await {
                Ok(result) => {
                    let page = orders::trades(&result, instrument, &self.names);
                    return page.map_err(|source| malformed(TRADES.name, source));
                }
                Err(VenueError::RateLimited { retry_after, .. })
                    if offset > 0 && !waited && retry_after <= PAGE_WAIT_MAX =>
                {
                    waited = true;
                    sleep(Duration::from_nanos(retry_after.0.unsigned_abs())).await;
                }
                Err(error) => return Err(error),
            }
        }
    }

    async fn already_open(&self, order: &OrderRequest, now: Timestamp) -> Vec<OrderReport> {
        let named = CancelRequest {
            client_order_id: order.client_order_id,
            instrument: order.instrument,
        };
        match trading::Gateway::query_order(self, &named).await {
            Ok(Some(view)) if view.status != OrderStatus::Unknown => vec![
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
}

impl trading::Gateway for Gateway {
    fn encoder(&self) -> Box<dyn EncodeOrders> {
        Box::new(self.order_encoder())
    }

    fn dead_mans_switch(
        self: Arc<Self>,
        times: SwitchTimes,
        life: SignOfLife,
    ) -> Pending<'static, Result<Box<dyn DeadMansSwitch>, VenueError>> {
        Box::pin(async move {
            let switch = DeadMan::set(self, times, life).await?;
            Ok(Box::new(switch) as Box<dyn DeadMansSwitch>)
        })
    }

    /// A refusal as a duplicate is proof that the first attempt is open: the order is asked for, and reported as
    /// `Accepted` and `Found`.
    fn submit_encoded<'a>(
        &'a self,
        order: &'a OrderRequest,
        body: Bytes,
        look: LastLook,
    ) -> Pending<'a, Vec<OrderReport>> {
        Box::pin(async move {
            let exchanged = self.place(order, &body, look).await;
            let now = self.rest.clock().now();
            log_failure(order.client_order_id, &exchanged);
            match orders::submitted(order, &exchanged, now) {
                Submitted::Report(report) => vec![report],
                Submitted::AlreadyOpen => self.already_open(order, now).await,
            }
        })
    }

    fn cancel<'a>(&'a self, cancel: &'a CancelRequest) -> Pending<'a, Vec<OrderReport>> {
        Box::pin(async move {
            let exchanged = self.exchange_cancel(cancel).await;
            let now = self.rest.clock().now();
            log_failure(cancel.client_order_id, &exchanged);
            vec![orders::canceled(cancel, &exchanged, now)]
        })
    }

    fn amend_order<'a>(&'a self, amend: &'a AmendRequest, look: LastLook) -> Pending<'a, Vec<OrderReport>> {
        Box::pin(async move {
            let named = CancelRequest {
                client_order_id: amend.client_order_id,
                instrument: amend.instrument,
            };
            let (price, quantity) = (Some(amend.terms.price), amend.terms.quantity);
            let exchanged = self.exchange_amend(&named, quantity, price, look).await;
            let now = self.rest.clock().now();
            log_failure(amend.client_order_id, &exchanged);
            vec![orders::amended(amend, &exchanged, now)]
        })
    }

    /// One by one: the venue's own word for it (see [`Gateway::cancel_everything`]) knows no instrument.
    fn cancel_all(&self, instrument: InstrumentId) -> Pending<'_, Result<Vec<OrderReport>, VenueError>> {
        Box::pin(async move {
            self.instruments.require(instrument)?;
            let mut canceled = Vec::new();
            for _ in 0..CANCEL_ALL_ROUNDS {
                let (reports, any_left) = self.cancel_round(instrument).await?;
                canceled.extend(reports);
                if !any_left {
                    return Ok(canceled);
                }
            }
            Err(VenueError::NoAnswer {
                request: CANCEL.name,
                detail: "orders are open again and again".to_owned(),
            })
        })
    }

    fn query_order<'a>(
        &'a self,
        order: &'a CancelRequest,
    ) -> Pending<'a, Result<Option<OrderView>, VenueError>> {
        Box::pin(async move {
            let instrument = self.instruments.require(order.instrument)?;
            self.by_client_id(order.client_order_id, instrument).await
        })
    }

    fn query_by_venue_id(
        &self,
        instrument: InstrumentId,
        venue_order_id: VenueOrderId,
    ) -> Pending<'_, Result<Option<OrderView>, VenueError>> {
        Box::pin(async move {
            let instrument = self.instruments.require(instrument)?;
            let params = format!("txid={}", venue_order_id.0);
            match self.listed(&QUERY, None, &params, instrument).await {
                Ok(views) => Ok(views
                    .into_iter()
                    .find(|view| view.venue_order_id == venue_order_id)),
                Err(VenueError::Refused { message, .. })
                    if message.starts_with("EOrder:Unknown order")
                        || message.starts_with("EOrder:Invalid order") =>
                {
                    Ok(None)
                }
                Err(error) => Err(error),
            }
        })
    }

    fn open_orders(&self, instrument: InstrumentId) -> Pending<'_, Result<Vec<OrderView>, VenueError>> {
        Box::pin(async move {
            let listed = self.instruments.require(instrument)?;
            self.listed(&OPEN_ORDERS, Some("open"), "", listed).await
        })
    }

    fn trades(
        &self,
        instrument: InstrumentId,
        since: Timestamp,
    ) -> Pending<'_, Result<Vec<AccountTrade>, VenueError>> {
        Box::pin(async move {
            let listed = self.instruments.require(instrument)?;
            // Whole seconds, and not the one that is named.
            let start = since.millis().div_euclid(1_000).saturating_sub(1).max(0);
            // Newest first: what comes meanwhile moves the rest to later pages, so names may repeat and none is missed.
            let mut all: BTreeMap<String, AccountTrade> = BTreeMap::new();
            for page in 0..TRADE_PAGES_MAX {
                let page = self.trades_page(start, page * PER_ANSWER, listed).await?;
                all.extend(page.trades);
                if page.len < PER_ANSWER {
                    let mut trades: Vec<_> = all
                        .into_values()
                        .filter(|trade| trade.ts_event >= since)
                        .collect();
                    trades.sort_by_key(|trade| (trade.ts_event, trade.fill.trade_id));
                    return Ok(trades);
                }
            }
            Err(VenueError::TooLarge {
                request: TRADES.name,
                max: TRADE_PAGES_MAX * PER_ANSWER,
            })
        })
    }

    fn balances(&self) -> Pending<'_, Result<Vec<Balance>, VenueError>> {
        Box::pin(async move {
            let result = self.rest.signed(&BALANCES, "").await?;
            orders::balances(&result, &self.names).map_err(|source| malformed(BALANCES.name, source))
        })
    }

    fn connections(&self) -> Vec<Arc<ConnectionStatistics>> {
        self.door.iter().map(OrderDoor::statistics).collect()
    }

    fn key_rights(&self) -> Pending<'_, Result<Option<KeyRights>, VenueError>> {
        Box::pin(async move {
            let result = self.rest.signed(&KEY_INFO, "").await?;
            let rights = orders::key_rights(&result).map_err(|source| malformed(KEY_INFO.name, source))?;
            Ok(Some(rights))
        })
    }

    fn cancel_all_after(&self, seconds: u64) -> Option<Pending<'_, Result<(), VenueError>>> {
        Some(Box::pin(async move {
            if !self.rest.own_switch(true) {
                return Err(switch_has_an_owner());
            }
            // Given back also when nobody waits for the answer any more.
            let _mine = OwnedSwitch(&self.rest);
            self.set_switch(seconds).await
        }))
    }

    fn resolve(&self, unknown: UnknownOrder) -> Pending<'_, Vec<OrderReport>> {
        Box::pin(async move {
            if self.instruments.get(unknown.instrument).is_none() {
                return Vec::new();
            }
            let (settings, clock) = (self.rest.settings(), &**self.rest.clock());
            let margins = Margins::of_session(clock, settings.deadline, settings.read_staleness);
            resolution::find_out(self, clock, margins, unknown, self.rest.jitter()).await
        })
    }
}

/// The switch while one request sets it.
struct OwnedSwitch<'r>(&'r RestClient);

impl Drop for OwnedSwitch<'_> {
    fn drop(&mut self) {
        self.0.own_switch(false);
    }
}

pub(super) fn switch_has_an_owner() -> VenueError {
    VenueError::Setting {
        setting: "dead_man",
        problem: "the switch has an owner: two would keep each other's orders alive".to_owned(),
    }
}

/// The result of a request, or what stands against it.
fn done(request: &'static str, exchanged: Exchanged) -> Result<Bytes, VenueError> {
    match exchanged? {
        Outcome::Done(result) => Ok(result),
        Outcome::Refused(refusal) => Err(refused(request, &refusal)),
        Outcome::Unreadable => Err(VenueError::NoAnswer {
            request,
            detail: "an answer that cannot be read".to_owned(),
        }),
    }
}

fn refused(request: &'static str, refusal: &Refusal) -> VenueError {
    VenueError::Refused {
        request,
        status: 200,
        code: 0,
        message: refusal.text(),
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

fn log_failure(order: ClientOrderId, exchanged: &Exchanged) {
    match exchanged {
        Err(error) => warn!(%order, %error, "no answer"),
        Ok(Outcome::Refused(refusal)) => warn!(%order, words = refusal.text(), "refused"),
        Ok(Outcome::Unreadable) => warn!(%order, "an answer that cannot be read"),
        Ok(Outcome::Done(_)) => {}
    }
}

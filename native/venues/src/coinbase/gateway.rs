//! Orders over REST: out under a token, back as reports.
//!
//! What is peculiar to this venue:
//! - It does not promise to take an id of ours only once: nothing here is sent twice, and an answer with an order that we
//!   know already is proof that the first attempt arrived.
//! - It answers that it took an order and says nothing of fills: those come by the account's stream and the list of
//!   executions.
//! - It cancels and finds orders by its own names. Ours are found by going through its lists.
//! - A cancel is only begun when it answers: the order is asked for until it has ended, and its executions with it.
//! - It has no window after which a request is not taken; the end of the request's token is the nearest to it.

use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::Duration;

use bytes::Bytes;
use domain::{
    AmendRejectReason, AmendRequest, Balance, CancelRejectReason, CancelRequest, ClientOrderId, InstrumentId,
    Nanos, OrderReport, OrderReportKind, OrderRequest, OrderStatus, Price, Quantity, Text, Timestamp,
    VenueOrderId,
};
use serde::Serialize;
use tokio::time::sleep;
use tracing::warn;

use super::encoder::OrderEncoder;
use super::known::KnownOrders;
use super::orders::{
    self, Amended, CancelAnswer, Exchanged, ListedFill, Page, Submitted, is_not_found, report,
};
use super::rest::{CANCEL, Call, NEW_ORDER, RestClient, malformed};
use crate::error::{ParseError, VenueError};
use crate::instruments::Instruments;
use crate::iso8601::Millis;
use crate::last_look::LastLook;
use crate::rate_limit::Urgency;
use crate::resolution::{self, Margins};
use crate::retry::Backoff;
use crate::trading::{
    self, AccountTrade, EncodeOrders, KeyRights, NEW_ORDER_BYTES_MAX, OrderView, Pending, Reference as _,
    UnknownOrder,
};

/// Entries of one page of a list: orders, executions, accounts.
const ORDERS_PER_PAGE: usize = 250;
pub(super) const FILLS_PER_PAGE: usize = 100;
const ACCOUNTS_PER_PAGE: usize = 250;

/// Statuses beside `OPEN` in which an order may still trade, of those that a list may be asked for: that one with a word which
/// the venue does not take there would be refused whole.
const PENDING: [&str; 3] = ["PENDING", "QUEUED", "CANCEL_QUEUED"];

/// Most pages one question joins.
const PAGES_MAX: usize = 50;

/// Most orders the venue cancels in one request.
const CANCELS_PER_REQUEST: usize = 100;

/// How long ago an order may have been placed and still be looked for by our id, service time, once it is not open.
const LOOK_BACK: Nanos = Nanos::from_secs(24 * 3_600);

/// Questions after a canceled order until it has ended, and the first and longest pause between them.
const CONFIRM_ATTEMPTS: u32 = 8;
const CONFIRM_PAUSE: (Duration, Duration) = (Duration::from_millis(50), Duration::from_secs(1));

/// Longest part of an answer in the log, characters.
const LOGGED_CHARS_MAX: usize = 300;

const HEX_DIGITS: &[u8; 16] = b"0123456789ABCDEF";

const ORDERS: &str = "/api/v3/brokerage/orders/historical/batch";
pub(super) const FILLS: &str = "/api/v3/brokerage/orders/historical/fills";
const ACCOUNTS: &str = "/api/v3/brokerage/accounts";
const ORDER: &str = "/api/v3/brokerage/orders/historical";
const KEY_PERMISSIONS: &str = "/api/v3/brokerage/key_permissions";
const EDIT: &str = "/api/v3/brokerage/orders/edit";

pub(super) const fn query<'a>(name: &'static str, path: &'a str) -> Call<'a> {
    Call {
        name,
        method: "GET",
        path,
        urgency: Urgency::Essential,
        is_private: true,
    }
}

/// Order entry and queries of one account.
#[derive(Debug)]
pub struct Gateway {
    rest: Arc<RestClient>,
    instruments: Arc<Instruments>,
    known: Mutex<KnownOrders>,
}

impl Gateway {
    /// On a client with credentials, in a tokio runtime: tokens are signed ahead there from now on.
    ///
    /// # Errors
    /// [`VenueError::NoCredentials`].
    pub fn new(rest: Arc<RestClient>, instruments: Arc<Instruments>) -> Result<Self, VenueError> {
        rest.sign_ahead()?;
        Ok(Self {
            rest,
            instruments,
            known: Mutex::default(),
        })
    }

    /// Encodes and sends a new order. See [`trading::Gateway::submit_encoded`].
    pub async fn submit(&self, order: &OrderRequest) -> Vec<OrderReport> {
        let now = self.now();
        let mut body = Vec::with_capacity(NEW_ORDER_BYTES_MAX);
        let encoder = OrderEncoder::new(self.rest.settings());
        let encoded = self
            .instruments
            .require(order.instrument)
            .and_then(|instrument| Ok(encoder.encode_new_order(order, instrument, &mut body)?));
        if let Err(error) = encoded {
            warn!(order = %order.client_order_id, %error, "order not sent");
            return vec![report(
                order.client_order_id,
                order.instrument,
                now,
                OrderReportKind::NotSent,
            )];
        }
        trading::Gateway::submit_encoded(self, order, body.into(), LastLook::always()).await
    }

    /// Changes price and quantity of an open order, which keeps its name. The venue does so for limit orders that stay
    /// until canceled.
    pub async fn amend(&self, order: &CancelRequest, price: Price, quantity: Quantity) -> Amended {
        self.amend_if(order, (price, quantity), LastLook::always()).await
    }

    async fn amend_if(
        &self,
        order: &CancelRequest,
        (price, quantity): (Price, Quantity),
        look: LastLook,
    ) -> Amended {
        #[derive(Serialize)]
        struct Edit<'a> {
            order_id: &'a str,
            price: String,
            size: String,
        }
        let Ok(Some(venue_order_id)) = self.name_of(order).await else {
            return Amended::Refused;
        };
        let edit = Edit {
            order_id: venue_order_id.0.as_str(),
            price: price.to_string(),
            size: quantity.to_string(),
        };
        let Ok(json) = serde_json::to_vec(&edit) else {
            return Amended::Refused;
        };
        let call = Call {
            method: "POST",
            urgency: Urgency::Order,
            ..query("edit order", EDIT)
        };
        let exchanged = self.rest.exchange_order(&call, json.into(), look).await;
        log_failure(order.client_order_id, &exchanged);
        orders::amended(&exchanged)
    }

    async fn place(&self, order: &OrderRequest, body: Bytes, look: LastLook) -> Vec<OrderReport> {
        let exchanged = self.rest.exchange_order(&NEW_ORDER, body, look).await;
        let now = self.now();
        let id = order.client_order_id;
        log_failure(id, &exchanged);
        let one = |kind| vec![report(id, order.instrument, now, kind)];
        match orders::submitted(order, &exchanged) {
            Submitted::Accepted(venue_order_id) if self.known().theirs(id).is_none() => {
                self.known().remember(id, venue_order_id);
                one(OrderReportKind::Accepted(venue_order_id))
            }
            Submitted::Accepted(_) | Submitted::AlreadyThere => self.already_there(order, now).await,
            Submitted::Report(kind) => {
                log_words("new order", &exchanged);
                one(kind)
            }
        }
    }

    /// The order was there before this attempt.
    async fn already_there(&self, order: &OrderRequest, now: Timestamp) -> Vec<OrderReport> {
        let (id, instrument) = (order.client_order_id, order.instrument);
        let named = CancelRequest {
            client_order_id: id,
            instrument,
        };
        let at = |ts_event, kind| report(id, instrument, ts_event, kind);
        match self.find(&named).await {
            Ok(Some(view)) => vec![
                at(view.ts_event, OrderReportKind::Accepted(view.venue_order_id)),
                at(view.ts_event, OrderReportKind::Found(view.snapshot())),
            ],
            _ => vec![at(now, OrderReportKind::OutcomeUnknown)],
        }
    }

    async fn cancel_one(&self, cancel: &CancelRequest) -> Vec<OrderReport> {
        let one = |kind| {
            vec![report(
                cancel.client_order_id,
                cancel.instrument,
                self.now(),
                kind,
            )]
        };
        let refused = OrderReportKind::CancelRejected;
        let venue_order_id = match self.name_of(cancel).await {
            Ok(Some(venue_order_id)) => venue_order_id,
            Ok(None) => return one(refused(CancelRejectReason::UnknownOrder)),
            Err(error) => {
                warn!(order = %cancel.client_order_id, %error, "cancel not sent: the order's name is not known");
                return one(refused(CancelRejectReason::Other));
            }
        };
        let answers = self.cancel_named(&[venue_order_id]).await;
        let answer = answers.first().copied().unwrap_or(CancelAnswer::Unknown);
        self.canceled(cancel, venue_order_id, answer).await
    }

    /// What a cancel came to, given the venue's answer.
    async fn canceled(
        &self,
        cancel: &CancelRequest,
        venue_order_id: VenueOrderId,
        answer: CancelAnswer,
    ) -> Vec<OrderReport> {
        let refused = OrderReportKind::CancelRejected;
        let kind = match answer {
            CancelAnswer::Initiated => return self.confirm(cancel, venue_order_id).await,
            CancelAnswer::NothingOpen => refused(CancelRejectReason::UnknownOrder),
            CancelAnswer::Refused | CancelAnswer::NotSent => refused(CancelRejectReason::Other),
            CancelAnswer::Unknown => OrderReportKind::OutcomeUnknown,
        };
        vec![report(
            cancel.client_order_id,
            cancel.instrument,
            self.now(),
            kind,
        )]
    }

    async fn cancel_named(&self, venue_order_ids: &[VenueOrderId]) -> Vec<CancelAnswer> {
        #[derive(Serialize)]
        struct Cancels<'a> {
            order_ids: Vec<&'a str>,
        }
        let cancels = Cancels {
            order_ids: venue_order_ids.iter().map(|id| id.0.as_str()).collect(),
        };
        let Ok(json) = serde_json::to_vec(&cancels) else {
            return vec![CancelAnswer::NotSent; venue_order_ids.len()];
        };
        let exchanged = self.rest.exchange(&CANCEL, "", Some(json.into())).await;
        let answers = orders::canceled(venue_order_ids, &exchanged);
        match &exchanged {
            Err(error) => warn!(%error, "no answer to a cancel"),
            Ok(_) if answers.iter().any(|answer| *answer != CancelAnswer::Initiated) => {
                log_words("cancel", &exchanged);
            }
            Ok(_) => {}
        }
        answers
    }

    /// Asks for an order whose cancel was begun until it has ended, and what it executed is known: no fill comes after
    /// its end, which the account's stream may tell later.
    async fn confirm(&self, cancel: &CancelRequest, venue_order_id: VenueOrderId) -> Vec<OrderReport> {
        let at = |ts_event, kind| report(cancel.client_order_id, cancel.instrument, ts_event, kind);
        let mut backoff = Backoff::new(CONFIRM_PAUSE.0, CONFIRM_PAUSE.1, self.rest.jitter());
        for _ in 0..CONFIRM_ATTEMPTS {
            if let Ok(Some(view)) = self.by_venue_id(cancel.instrument, venue_order_id).await {
                let is_canceled = matches!(view.status, OrderStatus::Canceled | OrderStatus::Expired);
                if is_canceled && let Some(trades) = self.trades_of(&view).await {
                    let fills = trades
                        .iter()
                        .map(|trade| at(trade.ts_event, OrderReportKind::Filled(trade.fill)));
                    let end = at(self.now(), OrderReportKind::Canceled);
                    return fills.chain([end]).collect();
                }
                if view.status.is_terminal() && !is_canceled {
                    // It ended another way first.
                    let gone = OrderReportKind::CancelRejected(CancelRejectReason::UnknownOrder);
                    return vec![at(self.now(), gone)];
                }
            }
            sleep(backoff.next_pause()).await;
        }
        vec![at(self.now(), OrderReportKind::OutcomeUnknown)]
    }

    /// The executions of an order, oldest first; `None` while the list does not show all of them.
    async fn trades_of(&self, view: &OrderView) -> Option<Vec<AccountTrade>> {
        if view.filled.is_zero() {
            return Some(Vec::new());
        }
        let fills = self
            .executions(&format!("order_ids={}", view.venue_order_id.0))
            .await
            .ok()?;
        let mut trades: Vec<_> = fills
            .into_iter()
            .map(|fill| fill.trade)
            .filter(|trade| trade.venue_order_id == view.venue_order_id)
            .collect();
        trades.sort_by_key(|trade| (trade.ts_event, trade.fill.trade_id));
        let sum = trades
            .iter()
            .try_fold(Quantity::ZERO, |sum, trade| sum.checked_add(trade.fill.quantity))?;
        (sum >= view.filled).then_some(trades)
    }

    async fn cancel_every(&self, instrument: InstrumentId) -> Result<Vec<OrderReport>, VenueError> {
        let open = self.open(instrument).await?;
        let mut reports = Vec::new();
        for chunk in open.chunks(CANCELS_PER_REQUEST) {
            let names: Vec<_> = chunk.iter().map(|view| view.venue_order_id).collect();
            let answers = self.cancel_named(&names).await;
            for (view, answer) in chunk.iter().zip(answers) {
                if let Some(client_order_id) = view.client_order_id {
                    let cancel = CancelRequest {
                        client_order_id,
                        instrument,
                    };
                    reports.extend(self.canceled(&cancel, view.venue_order_id, answer).await);
                }
            }
        }
        Ok(reports)
    }

    /// The venue's name of one of our orders.
    async fn name_of(&self, order: &CancelRequest) -> Result<Option<VenueOrderId>, VenueError> {
        if let Some(venue_order_id) = self.known().theirs(order.client_order_id) {
            return Ok(Some(venue_order_id));
        }
        let found = self.find(order).await?;
        Ok(found.map(|view| view.venue_order_id))
    }

    /// One of our orders: by its name where that is known, else among the open ones, else among the recent.
    async fn find(&self, order: &CancelRequest) -> Result<Option<OrderView>, VenueError> {
        let id = order.client_order_id;
        let known = self.known().theirs(id);
        if let Some(venue_order_id) = known {
            return self.by_venue_id(order.instrument, venue_order_id).await;
        }
        let symbol = self.instruments.require(order.instrument)?.symbol;
        let since = Millis(self.now().plus(Nanos(-LOOK_BACK.0)));
        let is_it = |view: &OrderView| view.client_order_id == Some(id);
        for by in [
            open_only(symbol),
            format!("product_ids={symbol}&start_date={since}"),
        ] {
            let views = self.listed_orders(order.instrument, &by, is_it).await?;
            if let Some(view) = views.into_iter().find(is_it) {
                return Ok(Some(view));
            }
        }
        Ok(None)
    }

    async fn by_venue_id(
        &self,
        instrument: InstrumentId,
        venue_order_id: VenueOrderId,
    ) -> Result<Option<OrderView>, VenueError> {
        let listed = self.instruments.require(instrument)?;
        let path = format!("{ORDER}/{}", venue_order_id.0);
        let call = query("query order", &path);
        let view = match self.rest.accepted(&call, "", None).await {
            Ok(body) => orders::order(&body, listed).map_err(|source| malformed(call.name, source))?,
            Err(error) if is_not_found(&error) => None,
            Err(error) => return Err(error),
        };
        self.learn(view.as_slice());
        Ok(view)
    }

    /// Whatever may still trade. The venue does not list open orders together with others; those on their way into its book
    /// are asked for first, so that none is in neither list.
    async fn open(&self, instrument: InstrumentId) -> Result<Vec<OrderView>, VenueError> {
        let symbol = self.instruments.require(instrument)?.symbol;
        let mut all = self
            .listed_orders(instrument, &pending_only(symbol), |_| false)
            .await?;
        let open = self
            .listed_orders(instrument, &open_only(symbol), |_| false)
            .await?;
        all.retain(|view| {
            let is_again = open
                .iter()
                .any(|other| other.venue_order_id == view.venue_order_id);
            !is_again
        });
        all.extend(open);
        Ok(all)
    }

    /// Orders of the venue's list, up to the first that is `enough`.
    async fn listed_orders(
        &self,
        instrument: InstrumentId,
        by: &str,
        enough: impl Fn(&OrderView) -> bool,
    ) -> Result<Vec<OrderView>, VenueError> {
        let instrument = self.instruments.require(instrument)?;
        let by = format!("{by}&limit={ORDERS_PER_PAGE}");
        let read = |body: &[u8]| orders::orders(body, instrument);
        let views = self
            .pages(&query("list orders", ORDERS), &by, read, enough)
            .await?;
        self.learn(&views);
        Ok(views)
    }

    /// Remembers the venue's names of our orders.
    fn learn(&self, views: &[OrderView]) {
        let mut known = self.known();
        for view in views {
            if let Some(id) = view.client_order_id {
                known.remember(id, view.venue_order_id);
            }
        }
    }

    /// The pages of a list, up to that with the first entry that is `enough`.
    async fn pages<T>(
        &self,
        call: &Call<'_>,
        by: &str,
        read: impl Fn(&[u8]) -> Result<Page<T>, ParseError>,
        enough: impl Fn(&T) -> bool,
    ) -> Result<Vec<T>, VenueError> {
        let mut all = Vec::new();
        let mut cursor: Option<String> = None;
        for _ in 0..PAGES_MAX {
            let params = match &cursor {
                None => by.to_owned(),
                Some(cursor) => format!("{by}&cursor={}", escaped(cursor)),
            };
            let body = self.rest.accepted(call, &params, None).await?;
            let page = read(&body).map_err(|source| malformed(call.name, source))?;
            let is_enough = page.items.iter().any(&enough);
            all.extend(page.items);
            if is_enough || page.next.is_none() {
                return Ok(all);
            }
            if page.next == cursor {
                let source = ParseError::Value {
                    field: "cursor",
                    problem: "a list that goes on goes on elsewhere",
                };
                return Err(malformed(call.name, source));
            }
            cursor = page.next;
        }
        Err(VenueError::TooLarge {
            request: call.name,
            max: PAGES_MAX,
        })
    }

    async fn executions(&self, by: &str) -> Result<Vec<ListedFill>, VenueError> {
        let by = format!("{by}&limit={FILLS_PER_PAGE}");
        let read = |body: &[u8]| orders::fills(body, &self.instruments);
        self.pages(&query("list fills", FILLS), &by, read, |_| false)
            .await
    }

    async fn all_trades(
        &self,
        instrument: InstrumentId,
        since: Timestamp,
    ) -> Result<Vec<AccountTrade>, VenueError> {
        let listed = self.instruments.require(instrument)?;
        let by = format!(
            "product_ids={}&start_sequence_timestamp={}",
            listed.symbol,
            Millis(since)
        );
        let fills = self.executions(&by).await?;
        let known = self.known();
        let mut trades: Vec<_> = fills
            .into_iter()
            .filter(|fill| fill.trade.instrument == instrument)
            .map(|fill| AccountTrade {
                client_order_id: known.ours(fill.trade.venue_order_id),
                ..fill.trade
            })
            .collect();
        // The venue lists the newest first.
        trades.sort_by_key(|trade| (trade.ts_event, trade.fill.trade_id));
        Ok(trades)
    }

    fn known(&self) -> MutexGuard<'_, KnownOrders> {
        self.known.lock().unwrap_or_else(PoisonError::into_inner)
    }

    fn now(&self) -> Timestamp {
        self.rest.clock().now()
    }
}

impl trading::Gateway for Gateway {
    fn encoder(&self) -> Box<dyn EncodeOrders> {
        Box::new(OrderEncoder::new(self.rest.settings()))
    }

    fn submit_encoded<'a>(
        &'a self,
        order: &'a OrderRequest,
        body: Bytes,
        look: LastLook,
    ) -> Pending<'a, Vec<OrderReport>> {
        Box::pin(self.place(order, body, look))
    }

    fn cancel<'a>(&'a self, cancel: &'a CancelRequest) -> Pending<'a, Vec<OrderReport>> {
        Box::pin(self.cancel_one(cancel))
    }

    fn amend_order<'a>(&'a self, amend: &'a AmendRequest, look: LastLook) -> Pending<'a, Vec<OrderReport>> {
        Box::pin(async move {
            let AmendRequest {
                client_order_id,
                instrument,
                terms,
            } = *amend;
            let named = CancelRequest {
                client_order_id,
                instrument,
            };
            let kind = match self.amend_if(&named, (terms.price, terms.quantity), look).await {
                Amended::Done => OrderReportKind::Amended(terms),
                Amended::Refused => OrderReportKind::AmendRejected(AmendRejectReason::Other),
                Amended::Unknown => OrderReportKind::OutcomeUnknown,
            };
            vec![report(client_order_id, instrument, self.now(), kind)]
        })
    }

    fn cancel_all(&self, instrument: InstrumentId) -> Pending<'_, Result<Vec<OrderReport>, VenueError>> {
        Box::pin(self.cancel_every(instrument))
    }

    fn query_order<'a>(
        &'a self,
        order: &'a CancelRequest,
    ) -> Pending<'a, Result<Option<OrderView>, VenueError>> {
        Box::pin(self.find(order))
    }

    fn query_by_venue_id(
        &self,
        instrument: InstrumentId,
        venue_order_id: VenueOrderId,
    ) -> Pending<'_, Result<Option<OrderView>, VenueError>> {
        Box::pin(self.by_venue_id(instrument, venue_order_id))
    }

    fn open_orders(&self, instrument: InstrumentId) -> Pending<'_, Result<Vec<OrderView>, VenueError>> {
        Box::pin(self.open(instrument))
    }

    fn trades(
        &self,
        instrument: InstrumentId,
        since: Timestamp,
    ) -> Pending<'_, Result<Vec<AccountTrade>, VenueError>> {
        Box::pin(self.all_trades(instrument, since))
    }

    fn spare_room(&self) -> Result<(), VenueError> {
        self.rest.check_leisure()
    }

    fn balances(&self) -> Pending<'_, Result<Vec<Balance>, VenueError>> {
        Box::pin(async move {
            let by = format!("limit={ACCOUNTS_PER_PAGE}");
            let call = query("list accounts", ACCOUNTS);
            let holdings = self.pages(&call, &by, orders::holdings, |_| false).await?;
            orders::summed(holdings).map_err(|source| malformed(call.name, source))
        })
    }

    fn key_rights(&self) -> Pending<'_, Result<Option<KeyRights>, VenueError>> {
        Box::pin(async move {
            let call = query("key permissions", KEY_PERMISSIONS);
            let body = self.rest.accepted(&call, "", None).await?;
            let rights = orders::key_rights(&body).map_err(|source| malformed(call.name, source))?;
            Ok(Some(rights))
        })
    }

    fn resolve(&self, unknown: UnknownOrder) -> Pending<'_, Vec<OrderReport>> {
        Box::pin(async move {
            let settings = self.rest.settings();
            let clock = Arc::clone(self.rest.clock());
            let margins = Margins {
                // A token's life is service time already.
                recv_window: settings.token_lifetime,
                ..Margins::of_session(&*clock, Nanos(0), settings.read_staleness)
            };
            resolution::find_out(self, &*clock, margins, unknown, self.rest.jitter()).await
        })
    }
}

/// Orders of a product on their way into the venue's book, or between two states there.
fn pending_only(symbol: Text<24>) -> String {
    let statuses = PENDING.map(|status| format!("order_status={status}"));
    format!("product_ids={symbol}&{}", statuses.join("&"))
}

/// The venue's open orders of a product.
fn open_only(symbol: Text<24>) -> String {
    format!("product_ids={symbol}&order_status=OPEN")
}

/// What may not stand in a query as it is becomes `%` and two digits.
pub(super) fn escaped(text: &str) -> String {
    let mut out = String::with_capacity(text.len());
    for byte in text.bytes() {
        if byte.is_ascii_alphanumeric() || matches!(byte, b'-' | b'_' | b'.' | b'~') {
            out.push(char::from(byte));
        } else {
            out.push('%');
            for nibble in [byte >> 4, byte & 15] {
                out.push(char::from(HEX_DIGITS[usize::from(nibble)]));
            }
        }
    }
    out
}

/// The venue refuses with a success, too: what it says then.
fn log_words(request: &'static str, exchanged: &Exchanged) {
    if let Ok(answer) = exchanged {
        let words: String = String::from_utf8_lossy(&answer.body)
            .chars()
            .take(LOGGED_CHARS_MAX)
            .collect();
        warn!(request, status = answer.status, words, "refused");
    }
}

fn log_failure(order: ClientOrderId, exchanged: &Exchanged) {
    match exchanged {
        Err(error) => warn!(%order, %error, "no answer"),
        Ok(answer) if !answer.is_success() => {
            let refusal = answer.refusal();
            warn!(%order, status = answer.status, word = refusal.word, message = refusal.message, "refused");
        }
        Ok(_) => {}
    }
}

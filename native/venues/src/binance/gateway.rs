//! Orders over REST or the WebSocket API: out as signed requests, back as reports. Questions go over REST, so that they take
//! another way than an order whose answer did not come.

use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};

use bytes::Bytes;
use domain::{
    AmendRequest, Balance, CancelRequest, ClientOrderId, Instrument, InstrumentId, OrderReport,
    OrderReportKind, OrderRequest, Timestamp, VenueOrderId,
};
use tracing::warn;

use super::order_socket::OrderSocket;
use super::orders::{self, Exchanged, NO_SUCH_ORDER, NOTHING_TO_CANCEL, Submitted};
use super::requests::RequestEncoder;
use super::rest::{Call, RestClient, malformed};
use super::sign::OrderEncoder;
use crate::error::VenueError;
use crate::instruments::Instruments;
use crate::last_look::LastLook;
use crate::rate_limit::Urgency;
use crate::resolution::{self, Margins};
use crate::trading::{
    self, AccountTrade, EncodeOrders, Gateway as _, KeyRights, NEW_ORDER_BYTES_MAX, OrderView, Pending,
    Reference as _, UnknownOrder,
};
use crate::websocket::ConnectionStatistics;

/// Most trades in one answer.
const TRADES_PER_ANSWER: usize = 1_000;

/// Most answers one call of [`trading::Gateway::trades`] joins.
const TRADE_PAGES_MAX: usize = 50;

static NEW_ORDER: Call = call("new order", "POST", "/api/v3/order", 1, Urgency::Order);
static CANCEL: Call = call("cancel", "DELETE", "/api/v3/order", 1, Urgency::Essential);
static AMEND: Call = call(
    "amend",
    "PUT",
    "/api/v3/order/amend/keepPriority",
    4,
    Urgency::Order,
);
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
const RESTRICTIONS: Call = call(
    "key restrictions",
    "GET",
    "/sapi/v1/account/apiRestrictions",
    1,
    Urgency::Essential,
);
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
    socket: Option<SocketDoor>,
}

/// Orders over the WebSocket API.
#[derive(Debug)]
struct SocketDoor {
    socket: OrderSocket,
    encoder: RequestEncoder,
    /// Numbers cancels and changes: an order's request is named by the order.
    numbers: AtomicU64,
}

impl Gateway {
    /// On a client with credentials; orders leave over REST.
    ///
    /// # Errors
    /// [`VenueError::NoCredentials`].
    pub fn new(rest: Arc<RestClient>, instruments: Arc<Instruments>) -> Result<Self, VenueError> {
        let encoder = rest.encoder()?.clone();
        Ok(Self {
            rest,
            instruments,
            encoder,
            socket: None,
        })
    }

    /// On a client with credentials, in the current tokio runtime; orders leave over the WebSocket API. While that is
    /// not connected, no new order leaves, and cancels leave over REST.
    ///
    /// # Errors
    /// [`VenueError::NoCredentials`], and [`VenueError::Setting`] for a key that the venue cannot have given.
    pub fn over_websocket(rest: Arc<RestClient>, instruments: Arc<Instruments>) -> Result<Self, VenueError> {
        let encoder = RequestEncoder::new(rest.encoder()?.clone(), rest.api_key()?.clone())?;
        let socket = OrderSocket::spawn(Arc::clone(&rest), rest.jitter());
        Ok(Self {
            socket: Some(SocketDoor {
                socket,
                encoder,
                numbers: AtomicU64::new(0),
            }),
            ..Self::new(rest, instruments)?
        })
    }

    /// Whether a new order could leave now: over REST a connection is made when it is wanted.
    #[must_use]
    pub fn is_open(&self) -> bool {
        self.socket.as_ref().is_none_or(|door| door.socket.is_up())
    }

    /// Encodes, signs and sends a new order. See [`trading::Gateway::submit_encoded`].
    pub async fn submit(&self, order: &OrderRequest) -> Vec<OrderReport> {
        let now = self.rest.clock().now();
        let mut body = Vec::with_capacity(NEW_ORDER_BYTES_MAX);
        let mut encoder = trading::Gateway::encoder(self);
        let encoded = self
            .instruments
            .require(order.instrument)
            .and_then(|instrument| Ok(encoder.encode_new_order(order, instrument, now, &mut body)?));
        if let Err(error) = encoded {
            warn!(order = %order.client_order_id, %error, "order not sent");
            return vec![report(order, now, OrderReportKind::NotSent)];
        }
        self.submit_encoded(order, body.into(), LastLook::always()).await
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

    async fn exchange_cancel(&self, cancel: &CancelRequest) -> Exchanged {
        let not_sent = |error: VenueError| VenueError::NotConnected {
            request: CANCEL.name,
            detail: error.to_string(),
        };
        let instrument = self.instruments.require(cancel.instrument).map_err(not_sent)?;
        if let Some(door) = &self.socket {
            match door.cancel(&self.rest, cancel, instrument).await {
                // It did not leave: it goes another way.
                Err(VenueError::NotConnected { .. }) => {}
                exchanged => return exchanged,
            }
        }
        let mut query = Vec::with_capacity(NEW_ORDER_BYTES_MAX);
        let now = self.rest.clock().now();
        self.encoder
            .encode_cancel(cancel, instrument, now, &mut query)
            .map_err(|error| not_sent(error.into()))?;
        let query = String::from_utf8(query).unwrap_or_default();
        self.rest.exchange(&CANCEL, &query, None).await
    }

    async fn exchange_amend(&self, amend: &AmendRequest, look: LastLook) -> Exchanged {
        let not_sent = |error: VenueError| VenueError::NotConnected {
            request: AMEND.name,
            detail: error.to_string(),
        };
        let instrument = self.instruments.require(amend.instrument).map_err(not_sent)?;
        if let Some(door) = &self.socket {
            return door.amend(&self.rest, amend, instrument, look).await;
        }
        let mut form = Vec::with_capacity(NEW_ORDER_BYTES_MAX);
        let now = self.rest.clock().now();
        self.encoder
            .encode_amend(amend, instrument, now, &mut form)
            .map_err(|error| not_sent(error.into()))?;
        self.rest.exchange_order(&AMEND, form.into(), look).await
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
}

impl SocketDoor {
    async fn place(&self, rest: &RestClient, order: &OrderRequest, body: Bytes, look: LastLook) -> Exchanged {
        let request = (order.client_order_id.to_string(), body);
        self.socket.exchange(rest, &NEW_ORDER, request, look).await
    }

    async fn amend(
        &self,
        rest: &RestClient,
        amend: &AmendRequest,
        instrument: &Instrument,
        look: LastLook,
    ) -> Exchanged {
        let number = self.numbers.fetch_add(1, Ordering::Relaxed);
        let id = format!("amend-{number}");
        let mut text = Vec::with_capacity(NEW_ORDER_BYTES_MAX);
        let now = rest.clock().now();
        let mut encoder = self.encoder.clone();
        encoder.encode_amend(&id, amend, instrument, now, &mut text)?;
        self.socket.exchange(rest, &AMEND, (id, text.into()), look).await
    }

    async fn cancel(&self, rest: &RestClient, cancel: &CancelRequest, instrument: &Instrument) -> Exchanged {
        let number = self.numbers.fetch_add(1, Ordering::Relaxed);
        let id = format!("cancel-{number}");
        let mut text = Vec::with_capacity(NEW_ORDER_BYTES_MAX);
        let now = rest.clock().now();
        let mut encoder = self.encoder.clone();
        encoder.encode_cancel(&id, cancel, instrument, now, &mut text)?;
        let request = (id, text.into());
        self.socket
            .exchange(rest, &CANCEL, request, LastLook::always())
            .await
    }
}

impl trading::Gateway for Gateway {
    fn encoder(&self) -> Box<dyn EncodeOrders> {
        match &self.socket {
            Some(door) => Box::new(door.encoder.clone()),
            None => Box::new(self.encoder.clone()),
        }
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
            let exchanged = match self.rest.take_order() {
                Ok(()) => match &self.socket {
                    Some(door) => door.place(&self.rest, order, body, look).await,
                    None => self.rest.exchange_order(&NEW_ORDER, body, look).await,
                },
                Err(error) => Err(error),
            };
            let now = self.rest.clock().now();
            log_failure(order.client_order_id, &exchanged);
            match orders::submitted(order, &exchanged, now) {
                Submitted::Reports(reports) => reports,
                Submitted::AlreadyOpen => self.already_open(order, now).await,
            }
        })
    }

    fn cancel<'a>(&'a self, cancel: &'a CancelRequest) -> Pending<'a, Vec<OrderReport>> {
        Box::pin(async move {
            let exchanged = self.exchange_cancel(cancel).await;
            let now = self.rest.clock().now();
            log_failure(cancel.client_order_id, &exchanged);
            vec![orders::canceled(
                cancel.client_order_id,
                cancel.instrument,
                &exchanged,
                now,
            )]
        })
    }

    /// The venue lowers a quantity where the order stands (`order.amend.keepPriority`) and changes nothing else of it: whoever
    /// wants another price, or more, cancels and places anew.
    fn amend_order<'a>(&'a self, amend: &'a AmendRequest, look: LastLook) -> Pending<'a, Vec<OrderReport>> {
        Box::pin(async move {
            let exchanged = self.exchange_amend(amend, look).await;
            let now = self.rest.clock().now();
            log_failure(amend.client_order_id, &exchanged);
            vec![orders::amended(amend, &exchanged, now)]
        })
    }

    fn cancel_all(&self, instrument: InstrumentId) -> Pending<'_, Result<Vec<OrderReport>, VenueError>> {
        Box::pin(async move {
            let listed = self.instruments.require(instrument)?;
            let params = format!("symbol={}", listed.symbol);
            match self.rest.signed(&CANCEL_ALL, &params).await {
                Ok(body) => orders::canceled_all(&body, instrument, self.rest.clock().now())
                    .map_err(|source| malformed(CANCEL_ALL.name, source)),
                Err(VenueError::Refused {
                    code: NOTHING_TO_CANCEL,
                    ..
                }) => Ok(Vec::new()),
                Err(error) => Err(error),
            }
        })
    }

    fn query_order<'a>(
        &'a self,
        order: &'a CancelRequest,
    ) -> Pending<'a, Result<Option<OrderView>, VenueError>> {
        Box::pin(async move {
            let instrument = self.instruments.require(order.instrument)?;
            let id = order.client_order_id;
            let by = format!("symbol={}&origClientOrderId={id}", instrument.symbol);
            self.query(instrument, &by).await
        })
    }

    fn query_by_venue_id(
        &self,
        instrument: InstrumentId,
        venue_order_id: VenueOrderId,
    ) -> Pending<'_, Result<Option<OrderView>, VenueError>> {
        Box::pin(async move {
            let instrument = self.instruments.require(instrument)?;
            let by = format!("symbol={}&orderId={}", instrument.symbol, venue_order_id.0);
            self.query(instrument, &by).await
        })
    }

    fn open_orders(&self, instrument: InstrumentId) -> Pending<'_, Result<Vec<OrderView>, VenueError>> {
        Box::pin(async move {
            let listed = self.instruments.require(instrument)?;
            let params = format!("symbol={}", listed.symbol);
            let body = self.rest.signed(&OPEN_ORDERS, &params).await?;
            orders::orders(&body, listed).map_err(|source| malformed(OPEN_ORDERS.name, source))
        })
    }

    fn trades(
        &self,
        instrument: InstrumentId,
        since: Timestamp,
    ) -> Pending<'_, Result<Vec<AccountTrade>, VenueError>> {
        Box::pin(async move {
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
                    Some(last) if !is_last => {
                        from = format!("fromId={}", last.fill.trade_id.0.saturating_add(1));
                    }
                    _ => return Ok(all),
                }
            }
            Err(VenueError::TooLarge {
                request: TRADES.name,
                max: TRADE_PAGES_MAX * TRADES_PER_ANSWER,
            })
        })
    }

    fn balances(&self) -> Pending<'_, Result<Vec<Balance>, VenueError>> {
        Box::pin(async move {
            let body = self.rest.signed(&ACCOUNT, "omitZeroBalances=true").await?;
            orders::balances(&body).map_err(|source| malformed(ACCOUNT.name, source))
        })
    }

    fn spare_room(&self) -> Result<(), VenueError> {
        // No question weighs more.
        self.rest.check_leisure(&TRADES)
    }

    fn connections(&self) -> Vec<Arc<ConnectionStatistics>> {
        let door = self.socket.iter();
        door.map(|door| door.socket.statistics()).collect()
    }

    /// The venue's test network has no such call.
    fn key_rights(&self) -> Pending<'_, Result<Option<KeyRights>, VenueError>> {
        Box::pin(async move {
            match self.rest.signed(&RESTRICTIONS, "").await {
                Ok(body) => orders::key_rights(&body)
                    .map(Some)
                    .map_err(|source| malformed(RESTRICTIONS.name, source)),
                Err(VenueError::Refused { status: 404, .. }) => Ok(None),
                Err(error) => Err(error),
            }
        })
    }

    fn resolve(&self, unknown: UnknownOrder) -> Pending<'_, Vec<OrderReport>> {
        Box::pin(async move {
            if self.instruments.get(unknown.instrument).is_none() {
                return Vec::new();
            }
            let (settings, clock) = (self.rest.settings(), &**self.rest.clock());
            let margins = Margins::of_session(clock, settings.recv_window, settings.read_staleness);
            resolution::find_out(self, clock, margins, unknown, self.rest.jitter()).await
        })
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
        Ok(answer) if !answer.is_success() => {
            let refusal = answer.refusal();
            warn!(%order, status = answer.status, code = refusal.code, message = refusal.message, "refused");
        }
        Ok(_) => {}
    }
}

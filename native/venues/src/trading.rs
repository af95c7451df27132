//! Orders out and what comes back, whatever the venue's wire: the blanks that a new venue fills in beside
//! [`MarketProtocol`](crate::MarketProtocol).
//!
//! [`EncodeOrders`] runs on the thread that decides and does no I/O; [`Gateway`] and [`Reference`] run in tokio;
//! [`AccountProtocol`] reads the account's own stream, without I/O again.

use std::fmt;
use std::future::Future;
use std::pin::Pin;
use std::sync::Arc;

use bytes::Bytes;
use domain::{
    AmendRejectReason, AmendRequest, Balance, Bar, CancelRequest, ClientOrderId, Fill, Instrument,
    InstrumentId, Nanos, OrderReport, OrderReportKind, OrderRequest, OrderSnapshot, OrderStatus, Price,
    Quantity, Side, Timestamp, VenueOrderId,
};

use crate::clock::{Clock, Correction, Rate, ServerClock};
use crate::error::{EncodeError, VenueError};
use crate::last_look::LastLook;
use crate::switch::{DeadMansSwitch, SignOfLife, SwitchTimes};
use crate::websocket::{ConnectionStatistics, StreamMessage};

/// An order as the venue shows it.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct OrderView {
    /// Ours, or `None` when someone else placed it on our account.
    pub client_order_id: Option<ClientOrderId>,
    /// The venue's number of it.
    pub venue_order_id: VenueOrderId,
    /// What it trades.
    pub instrument: InstrumentId,
    /// Its side.
    pub side: Side,
    /// Its state.
    pub status: OrderStatus,
    /// Its limit; `None` for an order without one.
    pub price: Option<Price>,
    /// Its base quantity.
    pub quantity: Quantity,
    /// Base quantity executed so far.
    pub filled: Quantity,
    /// When it last changed, venue time.
    pub ts_event: Timestamp,
}

impl OrderView {
    /// What reconciliation needs of it.
    #[must_use]
    pub const fn snapshot(&self) -> OrderSnapshot {
        OrderSnapshot {
            status: self.status,
            filled: self.filled,
        }
    }
}

/// An execution on our account, from the list of trades.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct AccountTrade {
    /// Our order, where the venue's list says so; `None`: the list does not tell, or it is not ours.
    pub client_order_id: Option<ClientOrderId>,
    /// The order it belongs to.
    pub venue_order_id: VenueOrderId,
    /// What traded.
    pub instrument: InstrumentId,
    /// When, venue time.
    pub ts_event: Timestamp,
    /// The execution.
    pub fill: Fill,
}

/// What a key may do, beside what everybody may.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct KeyRights {
    /// Take funds out of the account. No key of a service may.
    pub may_withdraw: bool,
}

/// An order whose answer never came.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct UnknownOrder {
    /// Which order.
    pub client_order_id: ClientOrderId,
    /// Its instrument.
    pub instrument: InstrumentId,
    /// Service time at which it was signed and sent.
    pub sent: Timestamp,
}

impl UnknownOrder {
    /// The order by its name.
    #[must_use]
    pub const fn named(&self) -> CancelRequest {
        CancelRequest {
            client_order_id: self.client_order_id,
            instrument: self.instrument,
        }
    }
}

/// What the account's stream tells.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum AccountEvent {
    /// Subscribed. Reconcile: what happened while it was down is not repeated.
    Up,
    /// Not subscribed: no new orders.
    Down,
    /// Something happened to one of our orders.
    Order(OrderReport),
    /// Something happened to an order on our account that is not ours.
    ForeignOrder {
        /// What it trades.
        instrument: InstrumentId,
        /// The venue's number of it.
        venue_order_id: VenueOrderId,
        /// What traded, when it did: our position changed all the same.
        fill: Option<Fill>,
        /// Venue time.
        ts_event: Timestamp,
    },
    /// A balance after a change.
    Balance {
        /// Venue time.
        ts_event: Timestamp,
        /// The balance.
        balance: Balance,
    },
}

/// What the account's stream has brought, for metrics.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub struct AccountStatistics {
    /// Messages taken in.
    pub messages: u64,
    /// Those that could not be read.
    pub malformed: u64,
    /// Events for symbols that are not in the table.
    pub unknown_symbols: u64,
    /// Messages of kinds we do not use.
    pub unused: u64,
}

/// Where account events go.
pub type EmitAccount<'e> = dyn FnMut(AccountEvent) + 'e;

/// An answer that a venue still owes.
pub type Pending<'a, T> = Pin<Box<dyn Future<Output = T> + Send + 'a>>;

/// Puts orders into a venue's words, on the thread that decides: no I/O, no clock, no allocation per order.
///
/// Where the venue signs the message itself (Binance), the signature is in it; where it signs the request around it
/// (Coinbase, Kraken over REST), the gateway adds that when it sends.
pub trait EncodeOrders: fmt::Debug + Send {
    /// Encodes a new order that leaves at `ts`, as [`Gateway::submit_encoded`] of the same venue takes it. Clears `out`
    /// first; does not allocate when `out` has room for [`NEW_ORDER_BYTES_MAX`].
    ///
    /// # Errors
    /// [`EncodeError`] when the order cannot be said in the venue's words.
    fn encode_new_order(
        &mut self,
        order: &OrderRequest,
        instrument: &Instrument,
        ts: Timestamp,
        out: &mut Vec<u8>,
    ) -> Result<(), EncodeError>;

    /// A request was handed over at engine time `ts`, and will be brought to the gateway: told on the thread that decides,
    /// in the order of its decisions. A venue elsewhere hears of it by the request; one in this process needs no more.
    fn handed_over(&self, _departure: Departure<'_>, _ts: Timestamp) {}
}

/// A request that left.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Departure<'a> {
    /// A new order.
    Order(&'a OrderRequest),
    /// A cancel.
    Cancel(&'a CancelRequest),
}

/// Longest encoded new order of any venue, bytes: a buffer of this capacity never grows.
pub const NEW_ORDER_BYTES_MAX: usize = 1_024;

/// Order entry and queries of one account.
///
/// Nothing here sends an order twice, and nothing turns a missing answer into a no.
pub trait Gateway: fmt::Debug + Send + Sync {
    /// What encodes orders for this account, for the thread that decides.
    fn encoder(&self) -> Box<dyn EncodeOrders>;

    /// Sends what [`EncodeOrders::encode_new_order`] made of `order`, once, and reports what came of it.
    ///
    /// - Nothing: the account's stream tells all of it; or
    /// - `Accepted`, then each `Filled` the answer names (the account's stream names them again, with the same trade
    ///   ids), then `Expired` where nothing rests; or
    /// - `Rejected`: the venue's own, definite no; or
    /// - `NotSent`: refused before the socket (no budget, no connection, `look` said no when the connection stood);
    ///   orders do not wait for budget; or
    /// - `OutcomeUnknown`: everything else. Do not send it again; see [`Self::resolve`].
    fn submit_encoded<'a>(
        &'a self,
        order: &'a OrderRequest,
        body: Bytes,
        look: LastLook,
    ) -> Pending<'a, Vec<OrderReport>>;

    /// Cancels one order.
    ///
    /// - Nothing: the account's stream tells what came of it; or
    /// - `Canceled`, which may overtake the last fills on the account's stream; or
    /// - `CancelRejected(UnknownOrder)`: nothing open by that id, it may have ended; or
    /// - `CancelRejected(Other)`: a definite no, or the cancel did not leave; the order is as it was; or
    /// - `OutcomeUnknown`: the cancel may have worked, so the order's state is unknown.
    fn cancel<'a>(&'a self, cancel: &'a CancelRequest) -> Pending<'a, Vec<OrderReport>>;

    /// Changes one order where it stands; `look` as for a new order.
    ///
    /// - `Amended`: its terms are these now; or
    /// - `AmendRejected(UnknownOrder)`: nothing open by that id, it may have ended; or
    /// - `AmendRejected(NotOffered)`: this venue changes no orders, or none of this kind; or
    /// - `AmendRejected(Other)`: a definite no, or the request did not leave; the order is as it was; or
    /// - `OutcomeUnknown`: it may have been changed.
    fn amend_order<'a>(&'a self, amend: &'a AmendRequest, look: LastLook) -> Pending<'a, Vec<OrderReport>> {
        let _ = look;
        let report = OrderReport {
            client_order_id: amend.client_order_id,
            instrument: amend.instrument,
            ts_event: Timestamp::EPOCH,
            kind: OrderReportKind::AmendRejected(AmendRejectReason::NotOffered),
        };
        Box::pin(std::future::ready(vec![report]))
    }

    /// Cancels every open order of an instrument, also those that are not ours; reports ours.
    ///
    /// # Errors
    /// [`VenueError`]; after one that is not a definite refusal, assume nothing and query.
    fn cancel_all(&self, instrument: InstrumentId) -> Pending<'_, Result<Vec<OrderReport>, VenueError>>;

    /// Asks for one of our orders. `None`: the venue does not know it, which right after sending proves nothing.
    ///
    /// # Errors
    /// [`VenueError`] when there is no usable answer.
    fn query_order<'a>(
        &'a self,
        order: &'a CancelRequest,
    ) -> Pending<'a, Result<Option<OrderView>, VenueError>>;

    /// The same for any order of the account, by the venue's number of it.
    ///
    /// # Errors
    /// [`VenueError`] when there is no usable answer.
    fn query_by_venue_id(
        &self,
        instrument: InstrumentId,
        venue_order_id: VenueOrderId,
    ) -> Pending<'_, Result<Option<OrderView>, VenueError>>;

    /// Every open order of an instrument, also those that are not ours.
    ///
    /// # Errors
    /// [`VenueError`] when there is no usable answer.
    fn open_orders(&self, instrument: InstrumentId) -> Pending<'_, Result<Vec<OrderView>, VenueError>>;

    /// The account's trades in an instrument since a venue time, oldest first.
    ///
    /// # Errors
    /// [`VenueError`] when there is no usable answer, or more trades than the gateway's bound.
    fn trades(
        &self,
        instrument: InstrumentId,
        since: Timestamp,
    ) -> Pending<'_, Result<Vec<AccountTrade>, VenueError>>;

    /// The account's balances that are not zero.
    ///
    /// # Errors
    /// [`VenueError`] when there is no usable answer.
    fn balances(&self) -> Pending<'_, Result<Vec<Balance>, VenueError>>;

    /// Whether a question that can wait may be asked now: of the budget of requests a share is left to cancels, orders and
    /// market data. Takes nothing. Always, where the venue does not count orders and cancels with questions.
    ///
    /// # Errors
    /// [`VenueError::RateLimited`] with how long until it may be.
    fn spare_room(&self) -> Result<(), VenueError> {
        Ok(())
    }

    /// What the key may do. `None`: the venue does not tell at this address.
    ///
    /// # Errors
    /// [`VenueError`] when there is no usable answer.
    fn key_rights(&self) -> Pending<'_, Result<Option<KeyRights>, VenueError>>;

    /// Tells the venue to cancel every order of the account after so many seconds, unless it is told again before; zero:
    /// never. `None`: the venue has no such timer. It has one owner; see the venue's own room.
    ///
    /// # Errors
    /// [`VenueError`] when the venue did not take it, or somebody else owns it.
    fn cancel_all_after(&self, _seconds: u64) -> Option<Pending<'_, Result<(), VenueError>>> {
        None
    }

    /// Counters of the connections over which orders leave, each under its name; none where each leaves as a request over
    /// REST.
    fn connections(&self) -> Vec<Arc<ConnectionStatistics>> {
        Vec::new()
    }

    /// Finds out what became of an order whose answer never came, by [`crate::resolution`], waiting as long as that
    /// takes.
    ///
    /// Ends with `Found` (after the fills that the venue knows) or `NotFound`; empty when the venue could not be asked
    /// for hours: still unknown, and a person must look. Never sends the order again.
    fn resolve(&self, unknown: UnknownOrder) -> Pending<'_, Vec<OrderReport>>;

    /// Sets the venue's dead man's switch and keeps putting it off, in the current tokio runtime, as long as `life` goes on
    /// from one time to the next: every order of the account is canceled when that ends. The switch is set when this returns.
    ///
    /// # Errors
    /// [`VenueError::Setting`] where the venue offers none, or the switch has an owner; what the venue says against it.
    fn dead_mans_switch(
        self: Arc<Self>,
        _times: SwitchTimes,
        _life: SignOfLife,
    ) -> Pending<'static, Result<Box<dyn DeadMansSwitch>, VenueError>> {
        Box::pin(std::future::ready(Err(VenueError::Setting {
            setting: "dead_man",
            problem: "the venue has no timer that cancels the orders of an account".to_owned(),
        })))
    }
}

/// Most bars one call of [`Reference::bars`] fetches.
pub const BARS_MAX: usize = 50_000;

/// What a venue tells everybody over REST.
pub trait Reference: fmt::Debug + Send + Sync {
    /// The clock that requests are stamped with.
    fn clock(&self) -> &Arc<dyn Clock>;

    /// Anchors `clock`, which is this client's own, to the venue's.
    ///
    /// # Errors
    /// [`VenueError`] when the venue does not answer, or its clock runs at a rate that is not accepted.
    fn anchor_clock<'a>(&'a self, clock: &'a ServerClock, rate: Rate) -> Pending<'a, Result<(), VenueError>>;

    /// Corrects `clock` by a fresh sample, unless it is too far off to be believed.
    ///
    /// # Errors
    /// [`VenueError`] when the venue does not answer.
    fn resync_clock<'a>(&'a self, clock: &'a ServerClock) -> Pending<'a, Result<Correction, VenueError>>;

    /// The rules of these symbols; ids count from zero in their order.
    ///
    /// # Errors
    /// [`VenueError`], in particular [`VenueError::UnknownSymbol`].
    fn instruments<'a>(&'a self, symbols: &'a [&'a str]) -> Pending<'a, Result<Vec<Instrument>, VenueError>>;

    /// The last `count` complete bars that closed at or before `before`, oldest first; fewer where the venue has fewer.
    /// At most [`BARS_MAX`].
    ///
    /// # Errors
    /// [`VenueError`], in particular [`VenueError::Setting`] for a span that the venue has no bars of.
    fn bars<'a>(
        &'a self,
        instrument: &'a Instrument,
        span: Nanos,
        count: usize,
        before: Timestamp,
    ) -> Pending<'a, Result<Vec<Bar>, VenueError>>;
}

/// Reads the account's own stream, without I/O.
pub trait AccountProtocol: fmt::Debug + Send {
    /// Takes in whatever the stream's connection delivers.
    ///
    /// # Errors
    /// [`VenueError::Malformed`] when it cannot be read: something happened to our account and we do not know what, so
    /// reconcile.
    fn on_message(&mut self, message: &StreamMessage, emit: &mut EmitAccount<'_>) -> Result<(), VenueError>;

    /// What has come in.
    fn statistics(&self) -> &AccountStatistics;
}

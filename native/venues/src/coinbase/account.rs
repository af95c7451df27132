//! Our account's own stream: what happened to our orders, without I/O.
//!
//! The `user` channel tells how an order is (state, quantity executed so far, average price), and names no execution. No
//! fill is made up from an average: an order whose executed quantity grew is owed fills, and those come from the list of
//! executions over REST, with the venue's own number each, delivered through the same door
//! ([`StreamMessageKind::Snapshot`], by [`super::account_feed()`]). So:
//! - each execution is passed on once, whatever the list repeats;
//! - the end of an order is held back until what it executed has been passed on, so that no fill comes after it;
//! - where the list could not be read (an empty answer stands for that), the order's outcome is unknown: ask.
//!
//! All channels of a connection share one count. A hole means that something happened and we do not know what: down,
//! until the connection has been made anew, which the socket sees to by the same count. What a new subscription repeats is
//! a snapshot of open orders; what they had executed before it is for reconciliation to find.

use std::collections::{BTreeMap, BTreeSet, VecDeque};
use std::sync::Arc;

use domain::{
    ClientOrderId, InstrumentId, OrderReportKind, OrderStatus, Quantity, Timestamp, TradeId, VenueOrderId,
};

use super::orders::{self, ListedFill, report};
use super::user::{self, UserBody, UserMessage, UserOrder};
use crate::error::{ParseError, VenueError};
use crate::instruments::Instruments;
use crate::trading::{AccountEvent, AccountProtocol, AccountStatistics, EmitAccount};
use crate::websocket::{StreamMessage, StreamMessageKind};

/// Most orders remembered; the oldest are forgotten first.
const ORDERS_TRACKED_MAX: usize = 16_384;

/// Most executions of one order.
const EXECUTIONS_MAX: usize = 65_536;

/// What is known of one order.
#[derive(Debug)]
struct Tracked {
    /// `None` for an order that is not ours.
    client_order_id: Option<ClientOrderId>,
    instrument: InstrumentId,
    /// Whether we said that the venue took it.
    is_accepted: bool,
    /// Whether it can trade no more.
    has_ended: bool,
    /// What is to be said once its fills have been passed on.
    end: Option<OrderReportKind>,
    /// Executed, by the stream.
    filled: Quantity,
    /// Of that, passed on or left to reconciliation.
    settled: Quantity,
    /// Executed, by the executions passed on.
    told: Quantity,
    trades: BTreeSet<TradeId>,
}

impl Tracked {
    fn new(order: &UserOrder, instrument: InstrumentId) -> Self {
        Self {
            client_order_id: order.client_order_id,
            instrument,
            is_accepted: order.is_snapshot,
            has_ended: false,
            end: None,
            filled: Quantity::ZERO,
            settled: if order.is_snapshot {
                order.filled
            } else {
                Quantity::ZERO
            },
            told: Quantity::ZERO,
            trades: BTreeSet::new(),
        }
    }

    /// Whether the stream knows of executions that were not passed on.
    fn is_owed_fills(&self) -> bool {
        self.filled > self.settled
    }
}

/// Reads the account's stream.
#[derive(Debug)]
pub struct AccountData {
    instruments: Arc<Instruments>,
    is_up: bool,
    /// A message was missed on this connection.
    is_torn: bool,
    /// The number that the next message must have; `None` while any may come.
    next_sequence: Option<u64>,
    orders: BTreeMap<VenueOrderId, Tracked>,
    oldest_first: VecDeque<VenueOrderId>,
    statistics: AccountStatistics,
}

impl AccountData {
    /// For these instruments, not yet subscribed.
    #[must_use]
    pub fn new(instruments: Arc<Instruments>) -> Self {
        Self {
            instruments,
            is_up: false,
            is_torn: false,
            next_sequence: None,
            orders: BTreeMap::new(),
            oldest_first: VecDeque::new(),
            statistics: AccountStatistics::default(),
        }
    }

    fn set_up(&mut self, up: bool, emit: &mut EmitAccount<'_>) {
        if self.is_up != up {
            self.is_up = up;
            emit(if up { AccountEvent::Up } else { AccountEvent::Down });
        }
    }

    fn on_frame(&mut self, frame: &[u8], emit: &mut EmitAccount<'_>) -> Result<(), ParseError> {
        self.statistics.messages += 1;
        let message = user::message(frame).inspect_err(|_| self.next_sequence = None)?;
        let UserMessage::Numbered {
            sequence,
            ts_sent,
            body,
        } = message
        else {
            self.statistics.unused += 1;
            return Ok(());
        };
        let next = self.next_sequence.replace(sequence.saturating_add(1));
        if next.is_some_and(|next| next != sequence) {
            self.is_torn = true;
            self.set_up(false, emit);
        }
        if self.is_torn {
            return Ok(());
        }
        match body {
            UserBody::Orders(orders) => {
                for order in &orders {
                    self.on_order(order, ts_sent, emit);
                }
            }
            UserBody::Subscriptions { has_user } => self.set_up(has_user, emit),
            UserBody::Heartbeat { .. } => {}
            UserBody::Other => self.statistics.unused += 1,
        }
        Ok(())
    }

    fn on_order(&mut self, order: &UserOrder, ts_event: Timestamp, emit: &mut EmitAccount<'_>) {
        let Some(instrument) = self.instruments.by_symbol(&order.symbol).map(|listed| listed.id) else {
            self.statistics.unknown_symbols += 1;
            return;
        };
        let venue_order_id = order.venue_order_id;
        self.make_room(venue_order_id);
        let tracked = self
            .orders
            .entry(venue_order_id)
            .or_insert_with(|| Tracked::new(order, instrument));
        tracked.filled = tracked.filled.max(order.filled);
        // What is told of it now is older than its end.
        if tracked.has_ended {
            return;
        }
        let Some(client_order_id) = tracked.client_order_id else {
            tracked.has_ended = order.status.is_terminal();
            emit(AccountEvent::ForeignOrder {
                instrument,
                venue_order_id,
                fill: None,
                ts_event,
            });
            return;
        };
        let mut tell = |kind| {
            let report = report(client_order_id, instrument, ts_event, kind);
            emit(AccountEvent::Order(report));
        };
        let end = match order.status {
            OrderStatus::Accepted | OrderStatus::PartiallyFilled => {
                if !std::mem::replace(&mut tracked.is_accepted, true) {
                    tell(OrderReportKind::Accepted(venue_order_id));
                }
                return;
            }
            OrderStatus::Canceled => Some(OrderReportKind::Canceled),
            OrderStatus::Expired => Some(OrderReportKind::Expired),
            OrderStatus::Rejected => Some(OrderReportKind::Rejected(order.reject_reason)),
            // Its fills say so.
            OrderStatus::Filled => None,
            OrderStatus::PendingCancel => return,
            // A word that this build does not have: ask.
            _ => return tell(OrderReportKind::OutcomeUnknown),
        };
        tracked.has_ended = true;
        tracked.end = end;
        if !tracked.is_owed_fills()
            && let Some(end) = tracked.end.take()
        {
            tell(end);
        }
    }

    /// The executions of an order, or the word that they could not be had.
    fn on_fills(
        &mut self,
        instrument: InstrumentId,
        body: &[u8],
        ts_received: Timestamp,
        emit: &mut EmitAccount<'_>,
    ) -> Result<(), ParseError> {
        if body.is_empty() {
            self.give_up(instrument, ts_received, emit);
            return Ok(());
        }
        let page = orders::fills(body, &self.instruments)?;
        // The venue lists the newest first.
        for listed in page.items.iter().rev() {
            self.on_fill(listed, emit)?;
        }
        for listed in &page.items {
            self.tell_end(&listed.trade.venue_order_id, listed.trade.ts_event, emit);
        }
        Ok(())
    }

    fn on_fill(&mut self, listed: &ListedFill, emit: &mut EmitAccount<'_>) -> Result<(), ParseError> {
        let trade = &listed.trade;
        let tracked = self.orders.get_mut(&trade.venue_order_id);
        let tracked = tracked.filter(|tracked| tracked.trades.len() < EXECUTIONS_MAX);
        let tracked = tracked.ok_or(ParseError::Value {
            field: "order_id",
            problem: "an execution is of an order that the stream told of",
        })?;
        if !tracked.trades.insert(trade.fill.trade_id) {
            return Ok(());
        }
        let told = tracked.told.checked_add(trade.fill.quantity);
        tracked.told = told.unwrap_or(tracked.told);
        // A quotient, rounded down, may stay below the whole for ever.
        let settled = if listed.is_in_quote {
            tracked.filled
        } else {
            tracked.told
        };
        tracked.settled = tracked.settled.max(settled);
        emit(match tracked.client_order_id {
            Some(id) => AccountEvent::Order(report(
                id,
                trade.instrument,
                trade.ts_event,
                OrderReportKind::Filled(trade.fill),
            )),
            None => AccountEvent::ForeignOrder {
                instrument: trade.instrument,
                venue_order_id: trade.venue_order_id,
                fill: Some(trade.fill),
                ts_event: trade.ts_event,
            },
        });
        Ok(())
    }

    /// Says that an order has ended, once nothing is owed.
    fn tell_end(&mut self, id: &VenueOrderId, ts_event: Timestamp, emit: &mut EmitAccount<'_>) {
        let Some(tracked) = self.orders.get_mut(id) else {
            return;
        };
        if tracked.is_owed_fills() {
            return;
        }
        if let (Some(id), Some(end)) = (tracked.client_order_id, tracked.end.take()) {
            emit(AccountEvent::Order(report(id, tracked.instrument, ts_event, end)));
        }
    }

    /// Fills that are owed cannot be had: whoever hears it must ask for the order, and finds its end too.
    fn give_up(&mut self, instrument: InstrumentId, ts_event: Timestamp, emit: &mut EmitAccount<'_>) {
        let owed = self
            .orders
            .values_mut()
            .filter(|tracked| tracked.instrument == instrument && tracked.is_owed_fills());
        for tracked in owed {
            tracked.settled = tracked.filled;
            tracked.end = None;
            if let Some(id) = tracked.client_order_id {
                let kind = OrderReportKind::OutcomeUnknown;
                emit(AccountEvent::Order(report(id, instrument, ts_event, kind)));
            }
        }
    }

    /// Forgets the oldest order where a new one would be one too many.
    fn make_room(&mut self, id: VenueOrderId) {
        if self.orders.contains_key(&id) {
            return;
        }
        if self.oldest_first.len() >= ORDERS_TRACKED_MAX
            && let Some(oldest) = self.oldest_first.pop_front()
        {
            self.orders.remove(&oldest);
        }
        self.oldest_first.push_back(id);
    }
}

impl AccountProtocol for AccountData {
    fn on_message(&mut self, message: &StreamMessage, emit: &mut EmitAccount<'_>) -> Result<(), VenueError> {
        let read = match &message.kind {
            // Up is when the account's channel is confirmed.
            StreamMessageKind::Connected => {
                self.is_torn = false;
                self.next_sequence = None;
                Ok(())
            }
            StreamMessageKind::Disconnected(_) => {
                self.set_up(false, emit);
                Ok(())
            }
            StreamMessageKind::Frame(frame) => self.on_frame(frame, emit),
            StreamMessageKind::Snapshot { instrument, body } => {
                self.on_fills(*instrument, body, message.ts_received, emit)
            }
        };
        read.map_err(|source| {
            self.statistics.malformed += 1;
            VenueError::Malformed {
                what: "account message",
                source,
            }
        })
    }

    fn statistics(&self) -> &AccountStatistics {
        &self.statistics
    }
}

#[cfg(test)]
mod tests;

//! What executions and ends of orders do to the ledger and to balances.

use domain::{Liquidity, Price, Quantity, Side, TradeId};
use simulation::{ExpiryReason, OrderId, OrderOutcome};

use super::{Cause, MONEY_PER_UNIT, Venue};
use crate::events::Happening;
use crate::orders::{Ending, FillRecord, Status};

impl Venue {
    /// Books what happened to an order and tells its owner; returns the account.
    pub(super) fn order_outcome(
        &mut self,
        id: OrderId,
        outcome: &OrderOutcome,
        time_ms: i64,
        cause: Cause<'_>,
    ) -> Option<usize> {
        let fill = match *outcome {
            OrderOutcome::Filled {
                trade_id,
                price,
                quantity,
                liquidity,
                ..
            } => self.book_fill(id, trade_id, price, quantity, liquidity, time_ms),
            _ => None,
        };
        let order = self.orders.get_mut(id)?;
        let (what, status) = match *outcome {
            OrderOutcome::Accepted => (Happening::Accepted, Status::New),
            OrderOutcome::Filled { remaining, .. } if remaining.is_zero() => {
                (Happening::Filled, Status::Filled)
            }
            OrderOutcome::Filled { .. } => (Happening::Filled, Status::PartiallyFilled),
            OrderOutcome::Canceled { .. } if cause.ending == Ending::TimeUp => {
                (Happening::Expired, Status::Expired)
            }
            OrderOutcome::Canceled { .. } => (Happening::Canceled, Status::Canceled),
            OrderOutcome::Expired { reason, .. } => (Happening::Expired, Status::of_expiry(reason)),
            OrderOutcome::Rejected(_) | OrderOutcome::CancelRejected => return None,
        };
        order.status = status;
        order.ending = match *outcome {
            OrderOutcome::Canceled { .. } => Some(cause.ending),
            OrderOutcome::Expired {
                reason: ExpiryReason::SelfTrade,
                ..
            } => Some(Ending::SelfTrade),
            OrderOutcome::Expired { .. } => Some(Ending::NothingToTake),
            _ => None,
        };
        order.updated_ms = time_ms;
        let account = order.account;
        if !status.is_open() {
            self.release_rest(id);
        }
        let cancel_id = cause.cancel_id.filter(|_| status == Status::Canceled);
        self.tell_order(id, what, fill.as_ref(), cancel_id, time_ms);
        Some(account)
    }

    /// Moves the money of one execution.
    fn book_fill(
        &mut self,
        id: OrderId,
        trade_id: TradeId,
        price: Price,
        quantity: Quantity,
        liquidity: Liquidity,
        time_ms: i64,
    ) -> Option<FillRecord> {
        let instrument = self.listing.instrument;
        let order = self.orders.get(id)?;
        let side = order.ticket.side;
        let fill = FillRecord {
            trade_id,
            order: id,
            price,
            quantity,
            side,
            fee: self.fees.fee(&instrument, side, price, quantity, liquidity),
            liquidity,
            time_ms,
        };
        let quote = fill.value();
        let base = i128::from(quantity.units()) * MONEY_PER_UNIT;
        let (given, mut paid, received, got) = match side {
            Side::Buy => (instrument.quote, quote, instrument.base, base),
            Side::Sell => (instrument.base, base, instrument.quote, quote),
        };
        // A fee in the asset that is given was locked with it.
        let fee_is_locked = side == Side::Buy && fill.fee.currency() == given;
        paid += if fee_is_locked { fill.fee.units() } else { 0 };
        let left = order.remaining().checked_sub(quantity).unwrap_or(Quantity::ZERO);
        // A buy below its limit frees the difference at once.
        let freed = match (side, order.ticket.price) {
            (Side::Buy, Some(limit)) => order.reserved - paid - self.with_fee(value(limit, left)),
            _ => 0,
        };
        let order = self.orders.get_mut(id)?;
        order.reserved -= paid + freed;
        order.filled = order.filled.checked_add(quantity).unwrap_or(order.filled);
        order.filled_value += quote;
        order.fills.push(fill);
        let account = &mut self.accounts[order.account];
        account.spend(given, paid);
        account.release(given, freed);
        account.receive(received, got);
        if !fee_is_locked {
            account.receive(fill.fee.currency(), -fill.fee.units());
        }
        account.keep_fill(fill);
        Some(fill)
    }

    /// An order that has ended gives back what it did not use.
    pub(super) fn release_rest(&mut self, id: OrderId) {
        self.orders.settle(id);
        if let Some(order) = self.orders.get_mut(id) {
            let rest = std::mem::take(&mut order.reserved);
            let (side, account) = (order.ticket.side, order.account);
            let given = self.given(side);
            self.accounts[account].release(given, rest);
        }
    }
}

pub(super) fn value(price: Price, quantity: Quantity) -> i128 {
    i128::from(price.units()) * i128::from(quantity.units())
}

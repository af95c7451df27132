//! What an engine is built from, and what an earlier life left it.

use domain::Venue;
use engine::limits::{
    COUNTED_EXECUTIONS_MAX, CURRENCIES_MAX, ENDED_ORDERS_KEPT, FILLS_REMEMBERED, INSTRUMENTS_MAX,
    OPEN_ORDERS_MAX, ORDERS_IN_WINDOW_MAX, SLOTS_MAX,
};
use engine::risk::RiskLimits;
use engine::{
    CarriedAccount, CarriedOrder, CarriedSlot, CarriedState, CountedExecution, EngineConfig, FillKey,
    Flatten, Latch, LatchCause, Moved, SentOrder, SlotConfig, ValuedFees,
};

use super::CodecError;
use super::bytes::{Codec, Input, fields, get_list, put_list, variants};

fields!(SlotConfig {
    slot,
    instrument,
    capital,
});
fields!(RiskLimits {
    max_position_usd,
    max_portfolio_concentration,
    max_leverage,
    var_limit_1d_95,
    max_drawdown_pct,
    max_order_size_usd,
    max_order_rate_per_min,
    margin_buffer,
    margin_call_threshold,
    price_collar_bps,
    duplicate_window,
    repeated_execution_limit,
    repeated_execution_window,
    max_data_age,
});
variants!(LatchCause, "cause of a latch" { 1 => Operator, 2 => Drawdown, 3 => RepeatedExecution });
fields!(Latch { scope, level, cause });
fields!(CarriedSlot {
    slot,
    quantity,
    cost,
    realized,
    fees,
    peak_equity,
    daily_volatility,
    run_off,
    flatten,
});
fields!(CarriedOrder {
    request,
    filled,
    submitted_at,
    timeout_at,
    cancel_wanted,
});
fields!(Flatten {
    max_slippage_bps,
    attempts,
});
fields!(SentOrder {
    at,
    slot,
    instrument,
    side,
    price,
    quantity,
});
fields!(CountedExecution { scope, at });
fields!(FillKey {
    instrument,
    trade_id,
    side,
});

fields!(Moved { venue, amount });
fields!(ValuedFees { slot, amount });

impl Codec for CarriedAccount {
    fn put(&self, out: &mut Vec<u8>) {
        let Self {
            moved,
            compared,
            valued_fees,
            unvalued_fees,
        } = self;
        put_list(moved, out);
        put_list(compared, out);
        put_list(valued_fees, out);
        put_list(unvalued_fees, out);
    }

    fn get(input: &mut Input<'_>) -> Result<Self, CodecError> {
        Ok(Self {
            moved: get_list(input, "carried movements", CURRENCIES_MAX)?,
            compared: get_list(input, "carried comparisons", Venue::ALL.len())?,
            valued_fees: get_list(input, "carried valued fees", SLOTS_MAX)?,
            unvalued_fees: get_list(input, "carried fees without a value", CURRENCIES_MAX)?,
        })
    }
}

impl Codec for CarriedState {
    fn put(&self, out: &mut Vec<u8>) {
        let Self {
            latches,
            slots,
            orders,
            fills,
            foreign_fees,
            peak_equity,
            sent,
            executions,
            // At the end of the header: see `header`.
            account: _,
            movements: _,
        } = self;
        put_list(latches, out);
        put_list(slots, out);
        put_list(orders, out);
        put_list(fills, out);
        put_list(foreign_fees, out);
        peak_equity.put(out);
        put_list(sent, out);
        put_list(executions, out);
    }

    fn get(input: &mut Input<'_>) -> Result<Self, CodecError> {
        Ok(Self {
            latches: get_list(input, "carried latches", ENDED_ORDERS_KEPT)?,
            slots: get_list(input, "carried slots", SLOTS_MAX)?,
            orders: get_list(input, "carried orders", OPEN_ORDERS_MAX)?,
            fills: get_list(input, "carried fills", FILLS_REMEMBERED)?,
            foreign_fees: get_list(input, "carried foreign fees", CURRENCIES_MAX)?,
            peak_equity: Codec::get(input)?,
            sent: get_list(input, "carried sent orders", ORDERS_IN_WINDOW_MAX)?,
            executions: get_list(input, "carried executions", COUNTED_EXECUTIONS_MAX)?,
            account: CarriedAccount::default(),
            movements: Vec::new(),
        })
    }
}

impl Codec for EngineConfig {
    fn put(&self, out: &mut Vec<u8>) {
        let Self {
            epoch,
            portfolio_currency,
            instruments,
            slots,
            limits,
            bar_span,
            bar_close_grace,
            order_ack_timeout,
            require_reconciliation,
            carried,
        } = self;
        epoch.put(out);
        portfolio_currency.put(out);
        put_list(instruments, out);
        put_list(slots, out);
        limits.put(out);
        bar_span.put(out);
        bar_close_grace.put(out);
        order_ack_timeout.put(out);
        require_reconciliation.put(out);
        carried.put(out);
    }

    fn get(input: &mut Input<'_>) -> Result<Self, CodecError> {
        Ok(Self {
            epoch: Codec::get(input)?,
            portfolio_currency: Codec::get(input)?,
            instruments: get_list(input, "instruments", INSTRUMENTS_MAX)?,
            slots: get_list(input, "slots", SLOTS_MAX)?,
            limits: Codec::get(input)?,
            bar_span: Codec::get(input)?,
            bar_close_grace: Codec::get(input)?,
            order_ack_timeout: Codec::get(input)?,
            require_reconciliation: Codec::get(input)?,
            carried: Codec::get(input)?,
        })
    }
}

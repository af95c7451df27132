//! The checks before an order leaves. The first that fails names the reason, in the order of
//! [`DenyReason`]; every limit is inclusive: at the limit passes, one unit beyond is denied.
//!
//! A reducing order (see [`Facts::reduces`]) lowers the position whatever happens, so the limits on
//! exposure do not hold it back. Those on the order itself do: size, rate, collar, duplicates, funds.

use domain::{AmendRequest, Instrument, Nanos, OrderRequest, Price, Side};

use super::kill_switch::Effective;
use super::position_limits::{Measure, allow, check_concentration, check_leverage, check_position};
use super::{Approved, DenyReason, RiskLimits, margin, var};
use crate::strategy::TopOfBook;

/// Who wants an order.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Origin {
    /// A strategy: silent while paused.
    Strategy,
    /// A person.
    Manual,
    /// A flatten.
    Flatten,
}

/// What the slot's money must cover; quote units of 1e-16.
#[derive(Debug, Clone, Copy)]
pub(crate) struct Funds {
    /// What the slot may have in positions: capital and results, scaled by the approval.
    pub(crate) slot_budget: i128,
    /// Cost of its position and of its live buys.
    pub(crate) slot_committed: i128,
    /// Quote at the venue, free and locked; `None` when nothing limits it.
    pub(crate) account_quote: Option<i128>,
    /// Cost of all live buys at the venue.
    pub(crate) account_committed: i128,
    /// Base at the venue, free and locked, base units; `None` when nothing limits it.
    pub(crate) account_base: Option<i128>,
    /// Live sells of the base at the venue, base units.
    pub(crate) account_sells: i128,
}

/// Everything that an order is judged by. Pairs hold the account's first, then the slot's own.
#[derive(Debug)]
pub(crate) struct Facts<'a> {
    pub(crate) origin: Origin,
    pub(crate) limits: [&'a RiskLimits; 2],
    pub(crate) effective: Effective,
    /// Reduce-only for another reason than a command: doubt, expiry, run-off, flatten.
    pub(crate) reduce_only: bool,
    pub(crate) reconciled: bool,
    pub(crate) online: bool,
    pub(crate) journal_lagging: bool,
    pub(crate) instrument: &'a Instrument,
    pub(crate) top: Option<TopOfBook>,
    /// Age of the newest market data.
    pub(crate) data_age: Nanos,
    /// Orders of the last minute.
    pub(crate) orders_in_minute: [u32; 2],
    /// How long ago the slot sent an equal order, if within the longer of the two windows.
    pub(crate) since_equal: Option<Nanos>,
    /// An order of the instrument has an unknown outcome.
    pub(crate) unknown_outcome: bool,
    /// It could trade with a live order of ours.
    pub(crate) crosses_own: bool,
    /// The slot's position, base units.
    pub(crate) position: i128,
    /// The slot's live orders on the order's side, base units.
    pub(crate) working_same_side: i128,
    /// Exposure after the order; `None` when an amount does not fit.
    pub(crate) measures: Option<[Measure; 2]>,
    pub(crate) funds: Funds,
    pub(crate) table_full: bool,
}

impl Facts<'_> {
    /// Whether the order lowers the position even when every live order of its side trades first.
    pub(crate) fn reduces(&self, request: &OrderRequest) -> bool {
        let quantity = i128::from(request.quantity.units());
        let opposite = match request.side {
            Side::Buy => self.position < 0,
            Side::Sell => self.position > 0,
        };
        let reached = quantity.checked_add(self.working_same_side);
        opposite && reached.is_some_and(|reached| reached.unsigned_abs() <= self.position.unsigned_abs())
    }
}

/// The price at which an order is valued: its limit; for a market order the ask when buying (it costs at
/// least that) and the bid when selling.
pub(crate) fn value_price(limit: Option<Price>, side: Side, top: &TopOfBook) -> Price {
    match (limit, side) {
        (Some(price), _) => price,
        (None, Side::Buy) => top.ask,
        (None, Side::Sell) => top.bid,
    }
}

/// Approves an order, or says why not.
///
/// # Errors
/// The first reason against it.
pub(crate) fn approve(
    facts: &Facts<'_>,
    request: OrderRequest,
) -> Result<Approved<OrderRequest>, DenyReason> {
    let reduces = facts.reduces(&request);
    check_controls(facts, &request, reduces)?;
    let top = check_market(facts)?;
    check_order(facts, &request, &top)?;
    check_flow(facts, &request, reduces)?;
    if !reduces {
        check_exposure(facts)?;
        check_slot_capital(facts, &request, &top)?;
    }
    check_balance(facts, &request, &top)?;
    allow(!facts.table_full, DenyReason::TooManyOrders)?;
    Ok(Approved::new(request))
}

/// The same for a change of an order that rests: `request` is the order as it is to be, with what of it has not traded.
///
/// # Errors
/// The first reason against it.
pub(crate) fn approve_amend(
    facts: &Facts<'_>,
    request: OrderRequest,
    amend: AmendRequest,
) -> Result<Approved<AmendRequest>, DenyReason> {
    approve(facts, request).map(|_| Approved::new(amend))
}

fn check_controls(facts: &Facts<'_>, request: &OrderRequest, reduces: bool) -> Result<(), DenyReason> {
    let effective = &facts.effective;
    allow(!effective.killed, DenyReason::Killed)?;
    allow(
        !effective.paused || facts.origin != Origin::Strategy,
        DenyReason::Paused,
    )?;
    let reduce_only = effective.reduce_only || facts.reduce_only || request.reduce_only;
    allow(!reduce_only || reduces, DenyReason::ReduceOnly)?;
    // A venue that is gone is not reconciled either: the cause is named.
    allow(facts.online, DenyReason::VenueOffline)?;
    allow(facts.reconciled, DenyReason::NotReconciled)?;
    allow(!facts.journal_lagging, DenyReason::JournalLagging)
}

fn check_market(facts: &Facts<'_>) -> Result<TopOfBook, DenyReason> {
    let top = facts.top.ok_or(DenyReason::NoBook)?;
    let fresh = facts
        .limits
        .iter()
        .all(|limits| facts.data_age <= limits.max_data_age);
    allow(fresh, DenyReason::StaleData)?;
    Ok(top)
}

fn check_order(facts: &Facts<'_>, request: &OrderRequest, top: &TopOfBook) -> Result<(), DenyReason> {
    let mid = top.mid();
    facts.instrument.check(request, mid).map_err(DenyReason::Rule)?;
    if let Some(price) = request.price {
        // Prices are 64 bits, basis points 32: the products fit.
        let distance = (i128::from(price.units()) - i128::from(mid.units())).abs() * 10_000;
        let within =
            |limits: &&RiskLimits| distance <= i128::from(limits.price_collar_bps) * i128::from(mid.units());
        allow(facts.limits.iter().all(within), DenyReason::PriceCollar)?;
    }
    let notional = notional(request, top);
    let fits = facts
        .limits
        .iter()
        .all(|limits| notional <= limits.max_order_size_usd.units());
    allow(fits, DenyReason::OrderSize)
}

fn check_flow(facts: &Facts<'_>, request: &OrderRequest, reduces: bool) -> Result<(), DenyReason> {
    let counts = facts.orders_in_minute.iter().zip(facts.limits);
    let mut counts = counts.map(|(count, limits)| *count < limits.max_order_rate_per_min);
    allow(counts.all(|within| within), DenyReason::OrderRate)?;
    let repeats = |limits: &&RiskLimits| {
        facts
            .since_equal
            .is_some_and(|since| since < limits.duplicate_window)
    };
    allow(!facts.limits.iter().any(repeats), DenyReason::Duplicate)?;
    allow(
        !facts.effective.repeated || reduces,
        DenyReason::RepeatedExecution,
    )?;
    allow(!facts.unknown_outcome || reduces, DenyReason::UnknownOutcome)?;
    allow(!facts.crosses_own, DenyReason::SelfTrade)?;
    debug_assert!(
        request.quantity.units() > 0,
        "the venue's rules were checked before"
    );
    Ok(())
}

fn check_exposure(facts: &Facts<'_>) -> Result<(), DenyReason> {
    let measures = facts.measures.as_ref().ok_or(DenyReason::Overflow)?;
    type Check = fn(&Measure, &RiskLimits) -> Result<(), DenyReason>;
    let all = |check: Check| {
        measures
            .iter()
            .zip(facts.limits)
            .try_for_each(|(m, limits)| check(m, limits))
    };
    all(check_position)?;
    all(check_concentration)?;
    all(check_leverage)?;
    all(var::check)?;
    allow(!facts.effective.drawdown, DenyReason::Drawdown)?;
    all(margin::check_buffer)?;
    all(margin::check_call)
}

fn check_slot_capital(facts: &Facts<'_>, request: &OrderRequest, top: &TopOfBook) -> Result<(), DenyReason> {
    if request.side == Side::Sell {
        return Ok(());
    }
    let needed = facts.funds.slot_committed.checked_add(notional(request, top));
    let needed = needed.ok_or(DenyReason::Overflow)?;
    allow(needed <= facts.funds.slot_budget, DenyReason::SlotCapital)
}

/// A spot venue lends nothing: a buy needs quote, a sell needs the base that this slot holds.
fn check_balance(facts: &Facts<'_>, request: &OrderRequest, top: &TopOfBook) -> Result<(), DenyReason> {
    let funds = &facts.funds;
    let within = match request.side {
        Side::Buy => {
            let needed = funds.account_committed.checked_add(notional(request, top));
            let needed = needed.ok_or(DenyReason::Overflow)?;
            funds.account_quote.is_none_or(|held| needed <= held)
        }
        Side::Sell => {
            let quantity = i128::from(request.quantity.units());
            let own = facts
                .working_same_side
                .checked_add(quantity)
                .ok_or(DenyReason::Overflow)?;
            let account = funds
                .account_sells
                .checked_add(quantity)
                .ok_or(DenyReason::Overflow)?;
            own <= facts.position && funds.account_base.is_none_or(|held| account <= held)
        }
    };
    allow(within, DenyReason::Balance)
}

/// What the order is worth, quote units of 1e-16.
fn notional(request: &OrderRequest, top: &TopOfBook) -> i128 {
    // A product of two 64-bit numbers fits in 128 bits.
    i128::from(value_price(request.price, request.side, top).units()) * i128::from(request.quantity.units())
}

#[cfg(test)]
#[path = "pre_trade_tests.rs"]
mod tests;

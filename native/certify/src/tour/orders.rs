//! Orders: as small as the rules allow, far from the market, and each taken back.

use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::time::{Duration, Instant};

use domain::{
    AmendRejectReason, AmendRequest, Balance, CancelRequest, ClientOrderId, Currency, Decimal, Fill, Nanos,
    OrderReport, OrderReportKind, OrderRequest, OrderStatus, OrderTerms, OrderType, Price, Quantity, Side,
    TimeInForce, Venue,
};
use tokio::time::sleep;
use venues::clock::Clock;
use venues::{Gateway, LastLook, NEW_ORDER_BYTES_MAX, OrderEntry, OrderView, UnknownOrder, VenueError};

use super::sizes::Sizes;
use super::{ASK_AGAIN, Found, Line, Odd, TOURED, Tour, differs, named, patiently};

/// How one order differs from the next.
#[derive(Debug, Clone, Copy)]
pub(super) struct Shape {
    pub(super) side: Side,
    pub(super) price: Price,
    pub(super) quantity: Quantity,
    pub(super) time_in_force: TimeInForce,
    pub(super) post_only: bool,
}

impl Shape {
    pub(super) const fn resting(sizes: &Sizes) -> Self {
        Self {
            side: sizes.side,
            price: sizes.far,
            quantity: sizes.quantity,
            time_in_force: TimeInForce::Gtc,
            post_only: true,
        }
    }

    const fn immediate(sizes: &Sizes, price: Price) -> Self {
        Self {
            time_in_force: TimeInForce::Ioc,
            post_only: false,
            price,
            ..Self::resting(sizes)
        }
    }
}

/// Longest pause before an order that did not leave is tried again.
const PAUSE_MAX: Duration = Duration::from_secs(2);

/// How often a change of an order is asked for.
const CHANGES_MAX: u32 = 5;

/// How long balances may take from their first move to where the fills bring them.
const SETTLING: Duration = Duration::from_secs(2);

/// Units of money (1e-16) in one of a quantity (1e-8).
const MONEY_UNITS: i128 = 100_000_000;

/// Seconds that the switch is set to, in which the tour takes it off again.
const SWITCH_SECONDS: u64 = 60;

/// How far back trades are asked for, seconds of wall time.
const SINCE_SECONDS: i64 = 600;

/// The counter of an id that no order of a tour has.
const NEVER_SENT: u32 = u32::MAX;

impl Tour {
    /// Sizes for the market as it is, on the side that the account can pay for.
    pub(super) async fn sizes(&self) -> Result<Sizes, Odd> {
        let (Some(bid), Some(ask)) = self.market.seen().best else {
            return Err(Odd::NotTried("there is no book to keep away from".to_owned()));
        };
        let balances = self.funds().await?;
        let free = |currency| {
            let held = balances.iter().find(|balance| balance.currency == currency);
            held.map_or(Quantity::ZERO, |balance| balance.free)
        };
        let mut least = None;
        for side in [Side::Buy, Side::Sell] {
            let sizes = Sizes::of(&self.instrument, side, bid.price, ask.price)
                .ok_or_else(|| Odd::NotTried("no price far from the market can be said".to_owned()))?;
            let notional = sizes
                .notional()
                .filter(|notional| *notional <= self.plan.max_notional);
            let Some(notional) = notional else {
                return Err(Odd::NotTried(format!(
                    "the smallest order may cost {}, more than --max-notional {}",
                    sizes
                        .notional()
                        .map_or_else(|| "more than can be said".to_owned(), |cost| cost.to_string()),
                    self.plan.max_notional
                )));
            };
            let pays = match side {
                Side::Buy => free(self.instrument.quote).units() >= notional.units(),
                Side::Sell => free(self.instrument.base) >= sizes.larger,
            };
            if pays {
                return Ok(sizes);
            }
            least.get_or_insert(notional);
        }
        Err(Odd::NotTried(format!(
            "the account has neither {} {} nor as much {}",
            least.unwrap_or(Decimal::ZERO),
            self.instrument.quote,
            self.instrument.base
        )))
    }

    /// Sends one order; what came of it, by the answer alone. What did not leave (our own rate budget, a socket that is not
    /// up yet) is tried again.
    pub(super) async fn submit(
        &self,
        gateway: &dyn Gateway,
        shape: Shape,
        age: Nanos,
    ) -> Result<(ClientOrderId, Vec<OrderReport>), Odd> {
        let order = OrderRequest {
            client_order_id: self.next_id(),
            instrument: TOURED,
            side: shape.side,
            order_type: OrderType::Limit,
            price: Some(shape.price),
            quantity: shape.quantity,
            time_in_force: shape.time_in_force,
            post_only: shape.post_only,
            reduce_only: false,
        };
        let mut pause = ASK_AGAIN;
        loop {
            let signed_at = self.now().plus(Nanos(-age.0));
            let mut body = Vec::with_capacity(NEW_ORDER_BYTES_MAX);
            gateway
                .encoder()
                .encode_new_order(&order, &self.instrument, signed_at, &mut body)
                .map_err(|error| Odd::Differs(error.to_string()))?;
            let others = self.in_doubt();
            let sent = gateway.submit_encoded(&order, body.into(), LastLook::always());
            let reports = sent.await;
            if only(&reports) != Some(OrderReportKind::OutcomeUnknown) {
                self.no_doubt(others);
            }
            if only(&reports) != Some(OrderReportKind::NotSent) {
                return Ok((order.client_order_id, reports));
            }
            sleep(pause).await;
            pause = (pause * 2).min(PAUSE_MAX);
        }
    }

    /// The same now, by the tour's own way.
    pub(super) async fn send(&self, shape: Shape) -> Result<(ClientOrderId, Vec<OrderReport>), Odd> {
        self.submit(&*self.gateway, shape, Nanos(0)).await
    }

    /// An order's whole life at rest: each way to ask for it says the same.
    pub(super) async fn resting_order(&self) {
        let mut life = Life::default();
        self.step("post-only order placed", self.place(&mut life)).await;
        let Some((id, sizes)) = life.order else {
            for name in [
                "order told by the account's stream",
                "order queried by our id",
                "order among the open ones",
                "order amended",
                "order canceled",
                "cancel told by the account's stream",
                "canceled order queried",
            ] {
                self.step(name, async {
                    Err(Odd::NotTried("no order was placed".to_owned()))
                })
                .await;
            }
            return;
        };
        self.step(
            "order told by the account's stream",
            self.told(id, "accepted", is_accepted),
        )
        .await;
        self.step("order queried by our id", self.queried(id, &sizes))
            .await;
        self.step("order among the open ones", self.listed(id)).await;
        self.step("order amended", self.amended(id, &sizes)).await;
        self.step("order canceled", self.canceled(id)).await;
        self.step(
            "cancel told by the account's stream",
            self.told(id, "canceled", is_canceled),
        )
        .await;
        self.step("canceled order queried", self.ended(id)).await;
    }

    async fn place(&self, life: &mut Life) -> Found {
        let sizes = self.sizes().await?;
        // One step more than the least, so that it can be changed to that.
        let shape = Shape {
            quantity: sizes.larger,
            ..Shape::resting(&sizes)
        };
        let (id, reports) = self.send(shape).await?;
        // Whatever the answer was, it is looked for from here on.
        life.order = Some((id, sizes));
        accepted(id, &reports)?;
        Ok(vec![format!(
            "{id}: {} {} at {}",
            sizes.side, sizes.larger, sizes.far
        )])
    }

    /// Waits until the account's stream tells of it.
    async fn told(&self, id: ClientOrderId, what: &str, is_it: impl Fn(OrderReportKind) -> bool) -> Found {
        match self.account.until(|seen| seen.of(id).any(&is_it)).await {
            Some(_) => Ok(vec![format!("{id} {what}")]),
            None => differs("the stream ended"),
        }
    }

    async fn view(&self, id: ClientOrderId) -> Result<OrderView, Odd> {
        let view = patiently(async || self.gateway.query_order(&named(id)).await).await?;
        view.ok_or_else(|| Odd::Differs(format!("{id} is not known")))
    }

    async fn queried(&self, id: ClientOrderId, sizes: &Sizes) -> Found {
        let view = self.view(id).await?;
        let is_it = view.client_order_id == Some(id)
            && view.status == OrderStatus::Accepted
            && view.side == sizes.side
            && view.price == Some(sizes.far)
            && view.quantity == sizes.larger
            && view.filled.is_zero();
        if !is_it {
            return differs(format!("it is shown as {view:?}"));
        }
        let theirs = view.venue_order_id;
        let by_theirs = patiently(async || self.gateway.query_by_venue_id(TOURED, theirs).await).await?;
        match by_theirs {
            Some(same) if same.client_order_id == Some(id) && same.status == view.status => {
                Ok(vec![format!(
                    "{:?}, {} of {} filled",
                    view.status, view.filled, view.quantity
                )])
            }
            other => differs(format!("by the venue's number it is {other:?}")),
        }
    }

    async fn listed(&self, id: ClientOrderId) -> Found {
        let open = self.open_orders().await?;
        if open.iter().any(|view| view.client_order_id == Some(id)) {
            return Ok(vec![format!("{} open", open.len())]);
        }
        differs(format!("it is not among the {} open ones", open.len()))
    }

    /// By the way that the service has.
    async fn amended(&self, id: ClientOrderId, sizes: &Sizes) -> Found {
        let terms = OrderTerms {
            // Binance only lowers a quantity where the order stands.
            price: match self.instrument.venue {
                Venue::Binance => sizes.far,
                _ => sizes.farther,
            },
            quantity: sizes.quantity,
        };
        let CancelRequest {
            client_order_id,
            instrument,
        } = named(id);
        let change = AmendRequest {
            client_order_id,
            instrument,
            terms,
        };
        for left in (0..CHANGES_MAX).rev() {
            let reports = self.gateway.amend_order(&change, LastLook::always()).await;
            match only(&reports) {
                Some(OrderReportKind::Amended(said)) if said == terms => break,
                Some(OrderReportKind::AmendRejected(AmendRejectReason::NotOffered)) => {
                    return Err(Odd::NotOffered("no order is changed in place here".to_owned()));
                }
                // It may only not have left: there was no budget for it.
                Some(OrderReportKind::AmendRejected(AmendRejectReason::Other)) if left > 0 => {
                    sleep(PAUSE_MAX).await;
                }
                other => return differs(format!("expected the change, found {}", kind_text(other))),
            }
        }
        loop {
            let view = self.view(id).await?;
            let asks_for = (view.price, view.quantity);
            if asks_for == (Some(terms.price), terms.quantity) && !view.status.is_terminal() {
                return Ok(vec![format!("{} at {}", terms.quantity, terms.price)]);
            }
            sleep(ASK_AGAIN).await;
        }
    }

    async fn canceled(&self, id: ClientOrderId) -> Found {
        let reports = self.gateway.cancel(&named(id)).await;
        expect_kind(&reports, "canceled", is_canceled)
    }

    /// The venue may be a moment behind itself.
    async fn ended(&self, id: ClientOrderId) -> Found {
        loop {
            let view = self.view(id).await?;
            match view.status {
                OrderStatus::Canceled if view.filled.is_zero() => {
                    return Ok(vec!["canceled, nothing filled".to_owned()]);
                }
                status if status.is_terminal() => {
                    return differs(format!("it ended as {status:?}, {} filled", view.filled));
                }
                _ => sleep(ASK_AGAIN).await,
            }
        }
    }

    /// Far from the market, for this moment only: taken, and over without a trade.
    pub(super) async fn takes_nothing(&self) -> Found {
        let sizes = self.sizes().await?;
        let shape = Shape::immediate(&sizes, sizes.far);
        let (id, reports) = self.send(shape).await?;
        accepted(id, &reports)?;
        let is_over =
            |kind: OrderReportKind| matches!(kind, OrderReportKind::Expired | OrderReportKind::Canceled);
        self.told(id, "over", is_over).await?;
        let seen = self.account.seen();
        if seen.of(id).any(|kind| matches!(kind, OrderReportKind::Filled(_))) {
            return differs("it traded, far from the market");
        }
        Ok(vec![format!(
            "{id}: {} {} at {}, over without a trade",
            sizes.side, sizes.quantity, sizes.far
        )])
    }

    /// An order that trades: its fills, their fees and what the account holds after them.
    pub(super) async fn trade(&self) {
        let mut traded = Traded::default();
        self.step("order that trades", self.trades(&mut traded)).await;
        self.step("fills listed with their fees", self.fills_listed(&traded))
            .await;
        self.step("balances moved by the fills", self.balances_moved(&traded))
            .await;
    }

    async fn trades(&self, traded: &mut Traded) -> Found {
        let sizes = self.sizes().await?;
        traded.before = patiently(async || self.gateway.balances().await).await?;
        let shape = Shape::immediate(&sizes, sizes.crossing);
        let (id, reports) = self.send(shape).await?;
        accepted(id, &reports)?;
        let is_whole = |fills: &[Fill]| sum(fills).is_some_and(|sum| sum >= sizes.quantity);
        let seen = self.account.until(|seen| is_whole(&fills(seen.of(id)))).await;
        let Some(seen) = seen else {
            return differs("the stream ended");
        };
        traded.fills = fills(seen.of(id));
        let told = |fill: &Fill| format!("{} at {}, fee {}", fill.quantity, fill.price, fill.fee);
        Ok(traded.fills.iter().map(told).collect())
    }

    async fn fills_listed(&self, traded: &Traded) -> Found {
        if traded.fills.is_empty() {
            return Err(Odd::NotTried("nothing traded".to_owned()));
        }
        let since = self.now().plus(self.clock_span(-SINCE_SECONDS));
        loop {
            let trades = patiently(async || self.gateway.trades(TOURED, since).await).await?;
            let same = |fill: &&Fill| trades.iter().any(|trade| trade.fill.trade_id == fill.trade_id);
            if traded.fills.iter().filter(same).count() == traded.fills.len() {
                let listed = trades.iter().map(|trade| trade.fill);
                let other = listed.filter(|fill| traded.fills.iter().any(|told| differs_from(told, fill)));
                return match other.into_iter().next() {
                    None => Ok(vec![format!(
                        "{} fills, each as the stream told it",
                        traded.fills.len()
                    )]),
                    Some(fill) => differs(format!("the list says otherwise: {fill:?}")),
                };
            }
            sleep(ASK_AGAIN).await;
        }
    }

    async fn balances_moved(&self, traded: &Traded) -> Found {
        if traded.fills.is_empty() {
            return Err(Odd::NotTried("nothing traded".to_owned()));
        }
        let base = self.instrument.base;
        let before = held(&traded.before, base);
        let mut first_move = None;
        loop {
            let after = held(&patiently(async || self.gateway.balances().await).await?, base);
            let moved = Quantity::from_units(after - before);
            if is_by_fills(moved, &traded.fills, base) {
                return Ok(vec![format!("{base}: {moved}")]);
            }
            if !moved.is_zero() && first_move.get_or_insert_with(Instant::now).elapsed() >= SETTLING {
                return differs(format!("{base} moved by {moved}, which the fills do not explain"));
            }
            sleep(ASK_AGAIN).await;
        }
    }

    /// The account's trades can be asked for, whether there are any or not.
    pub(super) async fn trades_listed(&self) -> Found {
        let since = self.now().plus(self.clock_span(-SINCE_SECONDS));
        let trades = patiently(async || self.gateway.trades(TOURED, since).await).await?;
        Ok(vec![format!("{} in {SINCE_SECONDS} s", trades.len())])
    }

    /// What becomes of an order whose answer never came: every source says that it was not placed.
    pub(super) async fn never_sent(&self) -> Found {
        let unknown = UnknownOrder {
            client_order_id: self.id(NEVER_SENT),
            instrument: TOURED,
            sent: self.now().plus(self.clock_span(-SINCE_SECONDS)),
        };
        let reports = self.gateway.resolve(unknown).await;
        expect_kind(&reports, "not found by any source", |kind| {
            kind == OrderReportKind::NotFound
        })
    }

    /// One more order at rest, gone with all others. Not tried where somebody else's would go with it.
    pub(super) async fn cancel_all(&self) -> Found {
        self.nobody_elses().await?;
        let sizes = self.sizes().await?;
        let (id, reports) = self.send(Shape::resting(&sizes)).await?;
        accepted(id, &reports)?;
        let is_cut_short = AtomicBool::new(false);
        let asked = patiently(async || {
            let asked = self.gateway.cancel_all(TOURED).await;
            let is_limited = matches!(asked, Err(VenueError::RateLimited { .. }));
            is_cut_short.fetch_or(is_limited, Ordering::SeqCst);
            asked
        });
        let reports = asked.await?;
        let ours: Vec<OrderReport> = reports
            .into_iter()
            .filter(|report| report.client_order_id == id)
            .collect();
        if ours.is_empty() && is_cut_short.into_inner() {
            // It was canceled by an attempt that our own rate budget ended before it could say so.
            self.ended(id).await?;
        } else {
            expect_kind(&ours, "canceled", is_canceled)?;
        }
        let left = self.open_orders().await?.len();
        if left > 0 {
            return differs(format!("{left} orders are still open"));
        }
        Ok(vec![format!("{id} canceled with all others, none open")])
    }

    /// An order and its cancel over the venue's socket.
    pub(super) async fn over_a_socket(&self) -> Found {
        let credentials = self.plan.credentials.clone();
        let clock = Arc::clone(&self.clock) as Arc<dyn Clock>;
        let line = match Line::open(&self.plan, credentials, OrderEntry::WebSocket, clock) {
            Err(error @ VenueError::Setting { .. }) => return Err(Odd::NotOffered(error.to_string())),
            opened => opened?,
        };
        line.reference.instruments(&[&self.plan.symbol]).await?;
        let gateway = line.connector.gateway(&self.instruments)?;
        let sizes = self.sizes().await?;
        let shape = Shape::resting(&sizes);
        let (id, reports) = self.submit(&*gateway, shape, Nanos(0)).await?;
        accepted(id, &reports)?;
        let reports = gateway.cancel(&named(id)).await;
        expect_kind(&reports, "canceled", is_canceled)?;
        Ok(vec![format!("{id} placed and canceled")])
    }

    /// What cancels every order of the pair is not tried where somebody else's rest.
    async fn nobody_elses(&self) -> Result<(), Odd> {
        let open = self.open_orders().await?;
        let foreign = open.iter().filter(|view| !self.is_ours(view)).count();
        if foreign > 0 {
            return Err(Odd::NotTried(format!(
                "{foreign} open orders are not the tour's, and would be canceled too"
            )));
        }
        Ok(())
    }

    /// The switch is the whole account's: it is not tried where an order of somebody else rests, in whichever pair.
    async fn nobody_elses_anywhere(&self) -> Result<(), Odd> {
        let _ = self.plan.wire.take_open_of_account();
        let open = self.open_orders().await?;
        let ours = open.iter().filter(|view| self.is_ours(view)).count();
        // The list that was read is of the toured pair; the venue's answer has all of them.
        let Some(all) = self.plan.wire.take_open_of_account() else {
            let why = "the venue did not list the open orders of the whole account, all of which the switch cancels";
            return Err(Odd::NotTried(why.to_owned()));
        };
        if all > ours {
            let foreign = all - ours;
            return Err(Odd::NotTried(format!(
                "{foreign} open orders of the account are not the tour's, and the switch is for them too"
            )));
        }
        Ok(())
    }

    /// Set and taken off again.
    pub(super) async fn dead_mans_switch(&self) -> Found {
        if self.gateway.cancel_all_after(0).is_none() {
            return Err(no_switch());
        }
        self.nobody_elses_anywhere().await?;
        self.is_switch_set.store(true, Ordering::SeqCst);
        self.set_switch(SWITCH_SECONDS).await?;
        self.take_switch_off().await?;
        Ok(vec![format!("set to {SWITCH_SECONDS} s and taken off")])
    }

    pub(super) async fn take_switch_off(&self) -> Found {
        self.set_switch(0).await?;
        self.is_switch_set.store(false, Ordering::SeqCst);
        Ok(vec!["taken off".to_owned()])
    }

    async fn set_switch(&self, seconds: u64) -> Result<(), Odd> {
        let set = patiently(async || match self.gateway.cancel_all_after(seconds) {
            Some(setting) => setting.await.map(Some),
            None => Ok(None),
        });
        set.await?.ok_or_else(no_switch)
    }
}

fn no_switch() -> Odd {
    Odd::NotOffered("the venue has no timer that cancels an account's orders".to_owned())
}

/// What became of the order that rests.
#[derive(Debug, Default)]
struct Life {
    order: Option<(ClientOrderId, Sizes)>,
}

/// What became of the order that trades.
#[derive(Debug, Default)]
struct Traded {
    fills: Vec<Fill>,
    before: Vec<Balance>,
}

fn fills(kinds: impl Iterator<Item = OrderReportKind>) -> Vec<Fill> {
    let mut fills: Vec<Fill> = kinds
        .filter_map(|kind| match kind {
            OrderReportKind::Filled(fill) => Some(fill),
            _ => None,
        })
        .collect();
    fills.sort_by_key(|fill| fill.trade_id);
    fills.dedup_by_key(|fill| fill.trade_id);
    fills
}

/// All of a currency, units.
fn held(balances: &[Balance], currency: Currency) -> i64 {
    let found = balances.iter().find(|balance| balance.currency == currency);
    found.map_or(0, |balance| balance.free.units() + balance.locked.units())
}

/// Whether the fills, less what they cost in the base currency, move it so far. Venues cut what is below a unit.
fn is_by_fills(moved: Quantity, fills: &[Fill], base: Currency) -> bool {
    let by_one = |fill: &Fill| {
        let quantity = i128::from(fill.quantity.units()) * MONEY_UNITS;
        let fee = if fill.fee.currency() == base {
            fill.fee.units()
        } else {
            0
        };
        match fill.side {
            Side::Buy => quantity - fee,
            Side::Sell => -quantity - fee,
        }
    };
    let expected: i128 = fills.iter().map(by_one).sum();
    let off = i128::from(moved.units()) * MONEY_UNITS - expected;
    off.unsigned_abs() < MONEY_UNITS.unsigned_abs() * (fills.len() as u128)
}

fn sum(fills: &[Fill]) -> Option<Quantity> {
    fills
        .iter()
        .try_fold(Quantity::ZERO, |sum, fill| sum.checked_add(fill.quantity))
}

/// Whether the list tells the same execution otherwise.
fn differs_from(told: &Fill, listed: &Fill) -> bool {
    told.trade_id == listed.trade_id && told != listed
}

/// The order was taken, by the answer.
fn accepted(id: ClientOrderId, reports: &[OrderReport]) -> Result<(), Odd> {
    match reports.first().map(|report| report.kind) {
        Some(OrderReportKind::Accepted(_)) => Ok(()),
        other => differs(format!("{id}: expected accepted, found {}", kind_text(other))),
    }
}

pub(super) fn expect_kind(
    reports: &[OrderReport],
    what: &str,
    is_it: impl Fn(OrderReportKind) -> bool,
) -> Found {
    if reports.iter().any(|report| is_it(report.kind)) {
        return Ok(vec![what.to_owned()]);
    }
    differs(format!(
        "expected {what}, found {}",
        kind_text(reports.last().map(|report| report.kind))
    ))
}

/// What came of it, where one report says it all.
pub(super) fn only(reports: &[OrderReport]) -> Option<OrderReportKind> {
    match reports {
        [report] => Some(report.kind),
        _ => None,
    }
}

pub(super) fn kind_text(kind: Option<OrderReportKind>) -> String {
    kind.map_or_else(|| "no report".to_owned(), |kind| format!("{kind:?}"))
}

fn is_accepted(kind: OrderReportKind) -> bool {
    matches!(kind, OrderReportKind::Accepted(_))
}

fn is_canceled(kind: OrderReportKind) -> bool {
    kind == OrderReportKind::Canceled
}

#[cfg(test)]
mod tests {
    use domain::{Liquidity, Money, TradeId};

    use super::*;

    #[test]
    fn a_balance_moves_by_what_was_filled_less_the_fee_and_no_other_way() {
        let (base, quote) = (Currency::new("BTC").unwrap(), Currency::new("USDT").unwrap());
        let fill = |side, fee_units, fee_currency| Fill {
            trade_id: TradeId(1),
            price: Price::from_units(1),
            quantity: Quantity::from_units(1_000),
            side,
            fee: Money::from_units(fee_units, fee_currency),
            liquidity: Liquidity::Taker,
        };
        // A fee of two and a half units.
        let fee = 250_000_000;
        for (fills, right) in [
            (vec![fill(Side::Buy, fee, quote)], 1_000),
            (vec![fill(Side::Sell, fee, quote)], -1_000),
            (vec![fill(Side::Buy, fee, base)], 997),
            (vec![fill(Side::Buy, fee, base), fill(Side::Buy, 0, quote)], 1_997),
        ] {
            let is_it = |moved| is_by_fills(Quantity::from_units(moved), &fills, base);
            assert!(is_it(right), "{right}");
            for wrong in [0, -right, right + 1_000, right - 10, right + 10] {
                assert!(!is_it(wrong), "{wrong} instead of {right}");
            }
        }
    }
}

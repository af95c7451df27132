//! The account beside our orders: orders that no record knows, executions of somebody else, what came and what went.
//!
//! What an asset's balance should be follows from what was there before the first life ([`ForeignHoldings`]), from what
//! our orders have added since, and from the movements that were named so far; the last two stand in the record. What is
//! left over is a difference. An execution of somebody else is certain and booked at once; a difference that nothing
//! explains may be a fill that is on its way, so it is named a deposit or a withdrawal only when a second look, later than
//! any list may lag, finds the same.

use std::collections::{BTreeMap, BTreeSet};
use std::path::PathBuf;
use std::sync::Arc;

use domain::{
    Balance, ClientOrderId, Currency, Money, Nanos, OrderReport, OrderReportKind, OrderStatus, OrderTerms,
    Price, Quantity, SCALE, Timestamp, Venue, VenueOrderId,
};
use engine::{Compared, Difference, EventBody, Movement, OrphanRule, StandingOrder, VenuePosition};
use tracing::{info, warn};
use venues::{AccountTrade, Instruments, OrderView};

use crate::driver::Driver;
use crate::holdings::{ForeignHoldings, saturate};
use crate::monitoring;
use crate::reconcile::{Truth, key_of};

/// Trades are asked for again from so long before the last comparison: a list may lag, and clocks differ.
const OVERLAP: Nanos = Nanos::from_secs(60);

/// Booked fills that a question names, so that nobody asks whose they are.
const BOOKED_NAMED_MAX: usize = 2_048;

/// Somebody else's orders that were named; beyond it one may be named again.
const NAMED_MAX: usize = 1_024;

/// Units of money (1e-16) in one unit of a balance (1e-8).
const UNIT: i128 = SCALE as i128;

/// What one fill may leave over in the quote asset, where a venue rounds to fewer digits than price times quantity has:
/// 0.0001.
const ROUNDING_OF_QUOTE: i128 = 10_000 * UNIT;

/// The same in any other asset.
const ROUNDING: i128 = UNIT;

/// What the reading of a balance may be off where no position is compared by it: two cut numbers, and what a life carries
/// on in whole units.
const READING: i128 = 10 * UNIT;

/// How the comparison goes about what it finds.
#[derive(Debug, Clone, Copy)]
pub(crate) struct Rules {
    /// What becomes of orders of ours that no record knows.
    pub(crate) orphans: OrphanRule,
    /// Wall time until a difference that nothing explains is looked at again.
    pub(crate) second_look: Nanos,
}

/// A difference that nothing explains yet.
#[derive(Debug, Clone, Copy)]
struct Suspect {
    /// Units of 1e-16 of the asset.
    units: i128,
    /// When it was seen first, wall time.
    at: Nanos,
}

/// One venue's account beside our orders.
#[derive(Debug)]
pub(crate) struct AccountWatch {
    venue: Venue,
    instruments: Arc<Instruments>,
    folder: PathBuf,
    foreign: Option<ForeignHoldings>,
    rules: Rules,
    suspects: BTreeMap<Currency, Suspect>,
    /// Orders that have ended for us and rest at the venue, and the wall time of the last look that counted.
    lingering: BTreeMap<ClientOrderId, Nanos>,
    named: BTreeSet<VenueOrderId>,
    /// Fills booked when the account was settled last, and somebody else's executions since.
    settled_bookings: u64,
    strange_trades: u64,
}

impl AccountWatch {
    pub(crate) fn new(
        venue: Venue,
        instruments: Arc<Instruments>,
        folder: PathBuf,
        foreign: Option<ForeignHoldings>,
        rules: Rules,
    ) -> Self {
        Self {
            venue,
            instruments,
            folder,
            foreign,
            rules,
            suspects: BTreeMap::new(),
            lingering: BTreeMap::new(),
            named: BTreeSet::new(),
            settled_bookings: 0,
            strange_trades: 0,
        }
    }

    /// From when on trades are asked for.
    pub(crate) fn since(&self, driver: &Driver) -> Timestamp {
        let through = driver.engine().compared_through(self.venue);
        through.unwrap_or_else(|| driver.now()).plus(Nanos(-OVERLAP.0))
    }

    /// Fills of which nothing need be told.
    pub(crate) fn booked(driver: &Driver) -> BTreeSet<engine::FillKey> {
        driver.engine().booked_fills(BOOKED_NAMED_MAX).collect()
    }

    /// Whether a balance is to be learned that no earlier comparison has seen.
    pub(crate) fn learns(&self, driver: &Driver) -> bool {
        let foreign = self.foreign.as_ref();
        foreign.is_none_or(|known| self.assets(driver).iter().any(|asset| !known.knows(*asset)))
    }

    /// Orders and executions, as far as they are certain.
    pub(crate) fn on_orders_and_trades(&mut self, truth: &Truth, driver: &mut Driver, received: Timestamp) {
        for view in &truth.open {
            self.on_open_order(view, truth, driver, received);
        }
        for trade in &truth.trades {
            if !driver.engine().has_booked(&key_of(trade)) {
                self.on_trade(trade, driver, received);
            }
        }
    }

    /// An order that rests at the venue: is it where we believe it is?
    fn on_open_order(&mut self, view: &OrderView, truth: &Truth, driver: &mut Driver, received: Timestamp) {
        let Some(id) = view.client_order_id else {
            if self.named.len() >= NAMED_MAX {
                self.named.clear();
            }
            if self.named.insert(view.venue_order_id) {
                let order = standing(view, view.filled);
                driver.give(received, EventBody::Difference(Difference::ForeignOrder(order)));
            }
            return;
        };
        match driver.engine().order(id).map(|order| order.status) {
            // We took it for refused, and it is there: the engine cancels it.
            Some(OrderStatus::Rejected | OrderStatus::Denied) => {
                driver.give(
                    received,
                    EventBody::OrderReport(OrderReport {
                        client_order_id: id,
                        instrument: view.instrument,
                        ts_event: view.ts_event,
                        kind: OrderReportKind::Accepted(view.venue_order_id),
                    }),
                );
            }
            Some(_) => {
                // A change of it whose answer never came, or somebody else's: what stands is what counts.
                if let Some(price) = view.price {
                    Self::on_terms(view, price, driver, received);
                }
            }
            None => {
                // What is told of its executions below is added to it then.
                let new = truth
                    .trades
                    .iter()
                    .filter(|trade| trade.venue_order_id == view.venue_order_id);
                let unbooked = new.filter(|trade| !driver.engine().has_booked(&key_of(trade)));
                let units: i64 = unbooked.map(|trade| trade.fill.quantity.units()).sum();
                let filled = Quantity::from_units(view.filled.units().saturating_sub(units).max(0));
                driver.give(
                    received,
                    EventBody::Difference(Difference::Orphan {
                        client_order_id: id,
                        order: standing(view, filled),
                        rule: self.rules.orphans,
                    }),
                );
            }
        }
    }

    /// What an order of ours asks for at the venue.
    fn on_terms(view: &OrderView, price: Price, driver: &mut Driver, received: Timestamp) {
        let Some(id) = view.client_order_id else { return };
        let quantity = view.quantity;
        let known = driver.engine().order(id).map(|order| order.request);
        let is_known = known.is_some_and(|one| (one.price, one.quantity) == (Some(price), quantity));
        if is_known && !driver.engine().is_amending(id) {
            return;
        }
        driver.give(
            received,
            EventBody::OrderReport(OrderReport {
                client_order_id: id,
                instrument: view.instrument,
                ts_event: view.ts_event,
                kind: OrderReportKind::Amended(OrderTerms { price, quantity }),
            }),
        );
    }

    /// An execution that is not booked: one of ours whose report was missed, or somebody else's.
    fn on_trade(&mut self, trade: &AccountTrade, driver: &mut Driver, received: Timestamp) {
        let has_slot = |id: domain::ClientOrderId| driver.engine().slots().any(|slot| slot.slot == id.slot);
        if let Some(id) = trade.client_order_id.filter(|id| has_slot(*id)) {
            let counters = &driver.out().counters;
            counters.differences.add_one(monitoring::Difference::MissedFill);
            warn!(difference = "missed_fill", order = %id, trade = trade.fill.trade_id.0, "the comparison brought a fill");
            driver.give(
                received,
                EventBody::OrderReport(OrderReport {
                    client_order_id: id,
                    instrument: trade.instrument,
                    ts_event: trade.ts_event,
                    kind: OrderReportKind::Filled(trade.fill),
                }),
            );
            return;
        }
        let Some(listed) = self.instruments.get(trade.instrument) else {
            return;
        };
        let listed = (listed.id, listed.symbol.as_str());
        let movement = Movement::trade(self.venue, listed, trade.ts_event, trade.fill);
        self.strange_trades += 1;
        driver.give(received, EventBody::Difference(Difference::Movement(movement)));
    }

    /// Balances and positions, once everything certain was told. Whether a difference waits for a second look.
    ///
    /// # Errors
    /// What keeps the account from being compared, for people.
    pub(crate) fn settle(
        &mut self,
        truth: &Truth,
        driver: &mut Driver,
        received: Timestamp,
        wall: Nanos,
    ) -> Result<bool, String> {
        self.learn(truth, driver)?;
        let fills = (driver.out().bookings - self.settled_bookings) + self.strange_trades;
        for asset in self.assets(driver) {
            let Some(units) = self.difference(asset, truth, driver) else {
                continue;
            };
            self.on_difference((asset, units), fills, truth, driver, (received, wall));
        }
        (self.settled_bookings, self.strange_trades) = (driver.out().bookings, 0);
        self.on_lingering(truth, driver, (received, wall));
        self.tell(truth, driver, received);
        let (venue, through) = (self.venue, truth.asked);
        driver.give(received, EventBody::Compared(Compared { venue, through }));
        Ok(!self.suspects.is_empty() || !self.lingering.is_empty())
    }

    /// Orders that the record has as ended: a list may lag behind an end, but one that a later look still finds is alive,
    /// and nobody watches it.
    fn on_lingering(&mut self, truth: &Truth, driver: &mut Driver, (received, wall): (Timestamp, Nanos)) {
        let has_ended = |id| {
            let order = driver.engine().order(id);
            order.is_some_and(|order| order.status.is_terminal())
        };
        let ours = truth
            .open
            .iter()
            .filter_map(|view| Some((view.client_order_id?, view)));
        let resting: BTreeMap<_, _> = ours.filter(|(id, _)| has_ended(*id)).collect();
        self.lingering.retain(|id, _| resting.contains_key(id));
        for (id, view) in resting.into_iter().take(NAMED_MAX) {
            match self.lingering.get(&id) {
                Some(seen) if wall.0 - seen.0 < self.rules.second_look.0 => continue,
                Some(_) => {
                    let difference = Difference::Orphan {
                        client_order_id: id,
                        order: standing(view, view.filled),
                        rule: OrphanRule::Cancel,
                    };
                    driver.give(received, EventBody::Difference(difference));
                }
                None => warn!(order = %id, "an order that has ended rests at the venue: looking again"),
            }
            self.lingering.insert(id, wall);
        }
    }

    /// The connection is new: what was seen before it is looked at afresh.
    pub(crate) fn forget_suspects(&mut self) {
        self.suspects.clear();
        self.lingering.clear();
    }

    fn on_difference(
        &mut self,
        (asset, units): (Currency, i128),
        fills: u64,
        truth: &Truth,
        driver: &mut Driver,
        (received, wall): (Timestamp, Nanos),
    ) {
        let reading = self.reading(asset);
        if units.abs() <= reading {
            self.suspects.remove(&asset);
            return;
        }
        let amount = Money::from_units(units, asset);
        let through = driver.engine().compared_through(self.venue);
        let since = through.unwrap_or(Timestamp::EPOCH);
        if units.abs() <= self.rounding(asset) * i128::from(fills) {
            self.suspects.remove(&asset);
            let counters = &driver.out().counters;
            counters.differences.add_one(monitoring::Difference::Rounding);
            info!(difference = "rounding", %amount, fills, "the venue rounded");
            let movement = Movement::rounding(self.venue, since, truth.asked, amount);
            driver.give(received, EventBody::Difference(Difference::Movement(movement)));
            return;
        }
        let seen = self.suspects.get(&asset).copied();
        match seen.filter(|seen| (seen.units - units).abs() <= reading) {
            Some(seen) if wall.0 - seen.at.0 >= self.rules.second_look.0 => {
                self.suspects.remove(&asset);
                let movement = Movement::transfer(self.venue, since, truth.asked, amount);
                driver.give(received, EventBody::Difference(Difference::Movement(movement)));
            }
            Some(_) => {}
            None => {
                warn!(difference = "unexplained", %amount, "no fill explains a balance: looking again");
                self.suspects.insert(asset, Suspect { units, at: wall });
            }
        }
    }

    /// What the venue has of an asset beyond what is accounted for, units of 1e-16.
    fn difference(&self, asset: Currency, truth: &Truth, driver: &Driver) -> Option<i128> {
        let foreign = self.foreign.as_ref()?;
        let there = foreign.ours(asset, &truth.balances).checked_mul(UNIT)?;
        let engine = driver.engine();
        let accounted = engine.booked(self.venue, asset) + engine.moved_outside(self.venue, asset);
        there.checked_sub(accounted)
    }

    fn is_base(&self, asset: Currency) -> bool {
        self.instruments.iter().any(|listed| listed.base == asset)
    }

    /// Positions are compared to the last unit; the rest of an account is money.
    fn reading(&self, asset: Currency) -> i128 {
        if self.is_base(asset) { UNIT / 2 } else { READING }
    }

    fn rounding(&self, asset: Currency) -> i128 {
        if self.instruments.iter().any(|listed| listed.quote == asset) {
            ROUNDING_OF_QUOTE
        } else {
            ROUNDING
        }
    }

    /// Learns what of the account is not ours, asset by asset, where no earlier comparison has.
    fn learn(&mut self, truth: &Truth, driver: &Driver) -> Result<(), String> {
        let engine = driver.engine();
        if self.foreign.is_none() {
            let is_flat = engine
                .positions()
                .all(|position| position.quantity == Quantity::ZERO);
            let has_orders = engine.orders().any(|order| !order.status.is_terminal());
            if !is_flat || has_orders {
                return Err(format!(
                    "{} holds no {}, but the record has positions or open orders: restore the file from a copy",
                    self.folder.display(),
                    crate::holdings::FILE
                ));
            }
        }
        if !self.learns(driver) {
            return Ok(());
        }
        if !truth.is_still {
            return Err("balances move while they are looked at for the first time".to_owned());
        }
        let mut foreign = self.foreign.clone().unwrap_or_default();
        for asset in self.assets(driver) {
            if !foreign.knows(asset) {
                let accounted = engine.booked(self.venue, asset) + engine.moved_outside(self.venue, asset);
                foreign.learn(asset, &truth.balances, nearest(accounted));
            }
        }
        foreign.save(&self.folder).map_err(|error| error.to_string())?;
        info!(?foreign, "what the account held before is not ours");
        self.foreign = Some(foreign);
        Ok(())
    }

    /// Tells the engine balances and positions.
    fn tell(&self, truth: &Truth, driver: &mut Driver, received: Timestamp) {
        let venue = self.venue;
        for currency in self.listed_assets() {
            let known = truth.balances.iter().find(|balance| balance.currency == currency);
            let balance = known.copied().unwrap_or(Balance {
                currency,
                free: Quantity::ZERO,
                locked: Quantity::ZERO,
            });
            driver.give(received, EventBody::Balance { venue, balance });
        }
        let Some(foreign) = &self.foreign else { return };
        for instrument in self.instruments.iter() {
            // Instruments of one base share its balance: each is measured with the others taken as they are.
            let elsewhere: i128 = self
                .instruments
                .iter()
                .filter(|other| other.base == instrument.base && other.id != instrument.id)
                .map(|other| i128::from(driver.engine().account_position(other.id).units()))
                .sum();
            let moved = nearest(driver.engine().moved_outside(venue, instrument.base));
            // Whoever takes more from the account than was not ours takes it from us.
            let not_ours = (foreign.of(instrument.base) + moved).max(0);
            let ours = foreign.ours(instrument.base, &truth.balances) + foreign.of(instrument.base)
                - not_ours
                - elsewhere
                + fees_in(driver, instrument.base);
            let position = VenuePosition {
                instrument: instrument.id,
                quantity: Quantity::from_units(saturate(ours)),
            };
            driver.give(received, EventBody::VenuePosition(position));
        }
    }

    /// Every asset of the instruments, once.
    fn listed_assets(&self) -> BTreeSet<Currency> {
        self.instruments
            .iter()
            .flat_map(|instrument| [instrument.base, instrument.quote])
            .collect()
    }

    /// The same, and those in which fees were taken.
    fn assets(&self, driver: &Driver) -> BTreeSet<Currency> {
        let mut assets = self.listed_assets();
        assets.extend(driver.engine().foreign_fees().iter().map(|fee| fee.currency()));
        assets
    }
}

/// Fees of other instruments that were taken from this asset: they are in no position.
fn fees_in(driver: &Driver, asset: Currency) -> i128 {
    let fees = driver.engine().foreign_fees().iter();
    let taken = fees.filter(|fee| fee.currency() == asset);
    taken.map(|fee| nearest(fee.units())).sum()
}

/// Units of 1e-16 in units of 1e-8, to the nearest.
const fn nearest(units: i128) -> i128 {
    (units + UNIT / 2).div_euclid(UNIT)
}

const fn standing(view: &OrderView, filled: Quantity) -> StandingOrder {
    StandingOrder {
        venue_order_id: view.venue_order_id,
        instrument: view.instrument,
        side: view.side,
        price: view.price,
        quantity: view.quantity,
        filled,
    }
}

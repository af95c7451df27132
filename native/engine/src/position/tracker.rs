//! The ledgers: one for each slot, so that the account's position is the sum of the slots'.

use domain::{Currency, Fill, InstrumentId, Money, Price, Quantity, SlotId};

use super::pnl::{CostBasis, base_fee, flows};
use crate::account::ValuedFees;
use crate::action::PositionUpdate;
use crate::engine::CarriedState;
use crate::limits::CURRENCIES_MAX;
use crate::slot::SlotConfig;

/// The books of one slot in its instrument.
#[derive(Debug, Clone, Copy)]
pub(crate) struct Ledger {
    pub(crate) slot: SlotId,
    pub(crate) instrument: InstrumentId,
    pub(crate) basis: CostBasis,
    /// Fees paid in quote, units of 1e-16.
    pub(crate) fees: i128,
    /// Fees paid in third assets, at what they were worth then, units of 1e-16 quote.
    pub(crate) valued_fees: i128,
    /// Assigned capital, units of 1e-16 quote.
    pub(crate) capital: i128,
    /// Last mid; `None` before the first.
    pub(crate) mark: Option<Price>,
    /// Profit of the open quantity at the mark.
    unrealized: i128,
}

impl Ledger {
    /// Capital plus profit minus fees, units of 1e-16 quote.
    pub(crate) const fn equity(&self) -> i128 {
        self.cash() + self.unrealized + self.basis.cost - self.valued_fees
    }

    /// Quote money that is not in the position.
    pub(crate) const fn cash(&self) -> i128 {
        self.capital + self.basis.realized - self.fees - self.basis.cost
    }

    /// Value of the position at the mark, or at its cost before the first mark; signed.
    pub(crate) const fn value(&self) -> i128 {
        self.basis.cost + self.unrealized
    }

    fn revalue(&mut self) {
        // Before a mark, and where the value would not fit, the position stands at its cost.
        self.unrealized = self
            .mark
            .and_then(|mark| self.basis.unrealized(mark))
            .unwrap_or(0);
    }
}

/// What booking a fill did.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) struct Booked {
    /// Profit that it realised, before quote fees.
    pub(crate) realized: i128,
    /// What it changed in the slot's base holding, fee in base included.
    pub(crate) base: Quantity,
    /// What it changed in quote money, fee in quote included.
    pub(crate) quote: i128,
    /// What became of a fee in an asset other than base or quote.
    pub(crate) foreign_fee: ForeignFee,
}

/// What became of a fee in an asset other than base or quote.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum ForeignFee {
    /// There was none.
    None,
    /// Added to the sum of its asset.
    Added,
    /// The first of its asset.
    First(Currency),
    /// The first of its asset that no price values.
    Unvalued(Currency),
    /// The table of assets is full, or the sum does not fit: it stands in the fill's record only.
    Lost,
}

/// All ledgers of an engine.
#[derive(Debug)]
pub(crate) struct PositionTracker {
    ledgers: Vec<Ledger>,
    /// Fees in assets other than base or quote, one sum for each asset.
    foreign_fees: Vec<Money>,
    /// Those of them that no price valued.
    unvalued_fees: Vec<Money>,
    currency: Currency,
    /// Sum of the slots' equity.
    equity: i128,
}

impl PositionTracker {
    pub(crate) fn new(currency: Currency, slots: &[SlotConfig]) -> Self {
        let ledgers: Vec<_> = slots
            .iter()
            .map(|config| Ledger {
                slot: config.slot,
                instrument: config.instrument,
                basis: CostBasis::default(),
                fees: 0,
                valued_fees: 0,
                capital: config.capital.units(),
                mark: None,
                unrealized: 0,
            })
            .collect();
        let equity = ledgers.iter().map(Ledger::equity).sum();
        Self {
            ledgers,
            foreign_fees: Vec::with_capacity(CURRENCIES_MAX),
            unvalued_fees: Vec::with_capacity(CURRENCIES_MAX),
            currency,
            equity,
        }
    }

    /// Takes over what an earlier life left.
    pub(crate) fn restore(&mut self, state: &CarriedState) {
        for carried in &state.slots {
            self.change(carried.slot, |ledger| {
                ledger.basis = CostBasis {
                    quantity: carried.quantity,
                    cost: carried.cost.units(),
                    realized: carried.realized.units(),
                };
                ledger.fees = carried.fees.units();
            });
        }
        for fees in &state.account.valued_fees {
            self.change(fees.slot, |ledger| ledger.valued_fees = fees.amount.units());
        }
        self.foreign_fees
            .extend(state.foreign_fees.iter().take(CURRENCIES_MAX));
        let unvalued = state.account.unvalued_fees.iter();
        self.unvalued_fees.extend(unvalued.take(CURRENCIES_MAX));
    }

    pub(crate) fn ledgers(&self) -> &[Ledger] {
        &self.ledgers
    }

    pub(crate) fn ledger(&self, slot: SlotId) -> Option<&Ledger> {
        self.index(slot).map(|at| &self.ledgers[at])
    }

    pub(crate) fn foreign_fees(&self) -> &[Money] {
        &self.foreign_fees
    }

    /// Those of them that are in no equity, for no price valued them.
    pub(crate) fn unvalued_fees(&self) -> &[Money] {
        &self.unvalued_fees
    }

    /// What was valued, for every slot that paid such a fee.
    pub(crate) fn valued_fees(&self) -> impl Iterator<Item = ValuedFees> + '_ {
        let paid = self.ledgers.iter().filter(|ledger| ledger.valued_fees != 0);
        paid.map(|ledger| ValuedFees {
            slot: ledger.slot,
            amount: Money::from_units(ledger.valued_fees, self.currency),
        })
    }

    /// Sum of the slots' equity, units of 1e-16.
    pub(crate) const fn equity(&self) -> i128 {
        self.equity
    }

    /// Sum of the slots' quantities in one instrument, base units.
    pub(crate) fn account_quantity(&self, instrument: InstrumentId) -> i128 {
        let of_instrument = self
            .ledgers
            .iter()
            .filter(|ledger| ledger.instrument == instrument);
        of_instrument
            .map(|ledger| i128::from(ledger.basis.quantity.units()))
            .sum()
    }

    /// Whether every open position has been marked in this life.
    pub(crate) fn all_marked(&self) -> bool {
        self.ledgers
            .iter()
            .all(|ledger| ledger.mark.is_some() || ledger.basis.quantity.is_zero())
    }

    /// Marks an instrument's positions; whether a slot's equity changed.
    pub(crate) fn mark(&mut self, instrument: InstrumentId, mark: Price) -> bool {
        let mut changed = false;
        for ledger in self
            .ledgers
            .iter_mut()
            .filter(|ledger| ledger.instrument == instrument)
        {
            if ledger.mark == Some(mark) {
                continue;
            }
            ledger.mark = Some(mark);
            if ledger.basis.quantity.is_zero() {
                continue;
            }
            let before = ledger.equity();
            ledger.revalue();
            self.equity += ledger.equity() - before;
            changed = true;
        }
        changed
    }

    /// Books a fill to a slot; `None`, with nothing changed, when an amount does not fit, the slot is not
    /// there or it trades another instrument.
    ///
    /// `base` is the instrument's base asset. A fee in base lowers the position, a fee in quote is counted
    /// as such. Any other is kept in its own asset; `fee_value` is what it is worth in quote, and where that is not known
    /// it is in no equity.
    pub(crate) fn book(
        &mut self,
        slot: SlotId,
        instrument: InstrumentId,
        fill: &Fill,
        base: Currency,
        fee_value: Option<i128>,
    ) -> Option<Booked> {
        let at = self.index(slot)?;
        let ledger = self.ledgers[at];
        if ledger.instrument != instrument {
            return None;
        }
        let (mut delta, paid) = flows(fill);
        let fee = fill.fee;
        let in_quote = fee.currency() == self.currency;
        let quote_fee = if in_quote { fee.units() } else { 0 };
        if fee.currency() == base {
            delta = delta.checked_sub(base_fee(fee.units())?)?;
        }
        let basis = ledger.basis.trade(delta, paid)?;
        let fees = ledger.fees.checked_add(quote_fee)?;
        let quote = paid.checked_add(quote_fee)?.checked_neg()?;
        let foreign = !in_quote && fee.currency() != base && fee.units() != 0;
        let valued = if foreign { fee_value } else { Some(0) };
        let valued_fees = ledger.valued_fees.checked_add(valued.unwrap_or(0))?;
        let foreign_fee = if foreign {
            self.book_foreign_fee(fee, valued.is_some())
        } else {
            ForeignFee::None
        };
        self.change(slot, |ledger| {
            ledger.basis = basis;
            ledger.fees = fees;
            ledger.valued_fees = valued_fees;
        });
        let realized = basis.realized - ledger.basis.realized;
        Some(Booked {
            realized,
            base: delta,
            quote,
            foreign_fee,
        })
    }

    /// Changes a slot's capital; the change in equity, units of 1e-16.
    pub(crate) fn set_capital(&mut self, slot: SlotId, capital: i128) -> Option<i128> {
        let before = self.ledger(slot)?.capital;
        self.change(slot, |ledger| ledger.capital = capital);
        Some(capital - before)
    }

    /// The update that tells of a ledger's state.
    pub(crate) fn update(&self, ledger: &Ledger) -> PositionUpdate {
        let money = |units| Money::from_units(units, self.currency);
        PositionUpdate {
            slot: ledger.slot,
            instrument: ledger.instrument,
            quantity: ledger.basis.quantity,
            cost: money(ledger.basis.cost),
            realized: money(ledger.basis.realized),
            unrealized: money(ledger.unrealized),
            fees: money(ledger.fees),
            mark: ledger.mark.unwrap_or_default(),
        }
    }

    fn book_foreign_fee(&mut self, fee: Money, is_valued: bool) -> ForeignFee {
        let added = add_fee(&mut self.foreign_fees, fee);
        if is_valued || added == ForeignFee::Lost {
            return added;
        }
        match add_fee(&mut self.unvalued_fees, fee) {
            ForeignFee::First(asset) => ForeignFee::Unvalued(asset),
            other => other,
        }
    }

    fn change(&mut self, slot: SlotId, change: impl FnOnce(&mut Ledger)) {
        if let Some(at) = self.index(slot) {
            let ledger = &mut self.ledgers[at];
            let before = ledger.equity();
            change(ledger);
            ledger.revalue();
            self.equity += ledger.equity() - before;
        }
    }

    fn index(&self, slot: SlotId) -> Option<usize> {
        self.ledgers
            .binary_search_by_key(&slot, |ledger| ledger.slot)
            .ok()
    }
}

/// Adds a fee to the sum of its asset.
fn add_fee(sums: &mut Vec<Money>, fee: Money) -> ForeignFee {
    let has_room = sums.len() < CURRENCIES_MAX;
    match sums.iter_mut().find(|sum| sum.currency() == fee.currency()) {
        Some(sum) => match sum.checked_add(fee) {
            Ok(added) => {
                *sum = added;
                ForeignFee::Added
            }
            Err(_) => ForeignFee::Lost,
        },
        None if has_room => {
            sums.push(fee);
            ForeignFee::First(fee.currency())
        }
        None => ForeignFee::Lost,
    }
}

#[cfg(test)]
mod tests {
    use domain::{Liquidity, Side, TradeId};

    use super::*;

    fn currency(code: &str) -> Currency {
        Currency::new(code).unwrap()
    }

    fn tracker() -> PositionTracker {
        let capital = Money::from_units(1_000, currency("USDT"));
        let config = |slot| SlotConfig {
            slot: SlotId(slot),
            instrument: InstrumentId(0),
            capital,
        };
        PositionTracker::new(currency("USDT"), &[config(0), config(1)])
    }

    fn fill(side: Side, price: i64, quantity: i64, fee: Money) -> Fill {
        Fill {
            trade_id: TradeId(1),
            price: Price::from_units(price),
            quantity: Quantity::from_units(quantity),
            side,
            fee,
            liquidity: Liquidity::Taker,
        }
    }

    fn book(tracker: &mut PositionTracker, fill: &Fill) -> Option<Booked> {
        tracker.book(SlotId(0), InstrumentId(0), fill, currency("BTC"), None)
    }

    #[test]
    fn a_fee_in_base_lowers_the_position_and_is_paid_once() {
        let mut tracker = tracker();
        let fee = Money::from_decimal_units(2, currency("BTC"));
        let booked = book(&mut tracker, &fill(Side::Buy, 10, 20, fee)).unwrap();
        assert_eq!((booked.base.units(), booked.quote), (18, -200));
        let ledger = tracker.ledgers()[0];
        assert_eq!(
            (ledger.basis.quantity.units(), ledger.basis.cost, ledger.fees),
            (18, 200, 0)
        );
        tracker.mark(InstrumentId(0), Price::from_units(10));
        assert_eq!(
            tracker.equity(),
            2_000 - 20,
            "the two units of base are gone, at the mark"
        );
        let booked = book(&mut tracker, &fill(Side::Sell, 10, 16, fee)).unwrap();
        assert_eq!(booked.base.units(), -18);
        assert_eq!(tracker.ledgers()[0].basis.cost, 0);
        assert_eq!(tracker.equity(), 2_000 - 40);
    }

    #[test]
    fn a_fee_in_quote_is_counted_beside_the_cost() {
        let mut tracker = tracker();
        let booked = book(
            &mut tracker,
            &fill(Side::Buy, 10, 20, Money::from_units(7, currency("USDT"))),
        );
        assert_eq!(booked.unwrap().quote, -207);
        let ledger = tracker.ledgers()[0];
        assert_eq!(
            (ledger.basis.cost, ledger.fees, ledger.cash()),
            (200, 7, 1_000 - 207)
        );
    }

    #[test]
    fn a_fee_in_a_third_asset_is_kept_in_it_and_valued_where_a_price_is_known() {
        let mut tracker = tracker();
        let fee = Money::from_units(3, currency("BNB"));
        let fill = fill(Side::Buy, 10, 20, fee);
        let mut pay = |value| {
            let booked = tracker.book(SlotId(0), InstrumentId(0), &fill, currency("BTC"), value);
            (booked.unwrap().foreign_fee, tracker.equity())
        };
        let bnb = currency("BNB");
        assert_eq!(
            pay(None),
            (ForeignFee::Unvalued(bnb), 2_000),
            "in no equity, and told"
        );
        assert_eq!(pay(None), (ForeignFee::Added, 2_000));
        assert_eq!(pay(Some(7)), (ForeignFee::Added, 2_000 - 7));
        assert_eq!(tracker.foreign_fees(), [Money::from_units(9, bnb)]);
        assert_eq!(tracker.unvalued_fees(), [Money::from_units(6, bnb)]);
        assert_eq!(tracker.ledgers()[0].fees, 0);
        assert_eq!(
            tracker.ledgers()[0].cash(),
            1_000 - 600,
            "no quote money was paid for it"
        );
    }

    #[test]
    fn a_fill_of_another_instrument_is_not_booked() {
        let mut tracker = tracker();
        let fill = fill(Side::Buy, 10, 20, Money::zero(currency("USDT")));
        assert_eq!(
            tracker.book(SlotId(0), InstrumentId(1), &fill, currency("ETH"), None),
            None
        );
        assert_eq!(
            tracker.book(SlotId(9), InstrumentId(0), &fill, currency("BTC"), None),
            None
        );
        assert_eq!(tracker.equity(), 2_000);
    }
}

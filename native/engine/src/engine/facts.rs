//! Gathers what an order is judged by.

use domain::{Nanos, OrderRequest, SCALE, Side};

use super::Engine;
use crate::position::Ledger;
use crate::probe::Probe;
use crate::risk::{Facts, Funds, Measure, Origin, RiskLimits, venue_index, volatility_or_worst, worst_case};

/// An order as the exposure sees it: which slot, how many base units on which side.
#[derive(Debug, Clone, Copy)]
struct Added {
    slot: usize,
    buys: i128,
    sells: i128,
}

impl<P: Probe> Engine<P> {
    /// Everything that an order of the slot at index `at` is judged by.
    pub(super) fn facts(&mut self, at: usize, request: &OrderRequest, origin: Origin) -> Facts<'_> {
        let slot_id = self.slots[at].config.slot;
        let orders_in_minute = self.window.count(self.now, slot_id);
        let measures = self.measures(at, request);
        let funds = self.funds(at);
        let slot = &self.slots[at];
        let state = &self.instruments[usize::from(slot.config.instrument.0)];
        let instrument = &state.instrument;
        let limits = [&self.config.limits, slot.limits(&self.config.limits)];
        let link = self.venues[venue_index(instrument.venue)];
        let longest = longest_window(limits);
        let mut effective = self.switch.effective(instrument.venue, instrument.id, slot_id);
        // While a flatten closes the position, the strategy's own orders would only be in its way.
        effective.paused |= slot.flatten.is_some() || self.ending;
        Facts {
            origin,
            limits,
            effective,
            reduce_only: self.is_held(at) || !self.reconciliation.agrees(instrument.id),
            reconciled: link.reconciled,
            online: link.online,
            journal_lagging: self.journal_lagging,
            instrument,
            top: state.book.top(),
            data_age: state.data_age(self.now),
            orders_in_minute,
            since_equal: self.window.since_equal(request, self.now, longest),
            unknown_outcome: self.orders.has_unknown(instrument.id),
            crosses_own: self.orders.crosses_own(request),
            position: i128::from(self.positions.ledgers()[at].basis.quantity.units()),
            working_same_side: self.orders.exposure(slot_id).side(request.side),
            measures,
            funds,
            table_full: self.orders.is_full(),
        }
    }

    /// Whether a slot may only reduce for a reason of its own: expiry, run-off, flatten.
    pub(super) fn is_held(&self, at: usize) -> bool {
        let slot = &self.slots[at];
        slot.run_off || slot.flatten.is_some() || slot.is_expired(self.now)
    }

    /// Exposure of the account and of a slot after an order; `None` when an amount does not fit.
    fn measures(&self, at: usize, request: &OrderRequest) -> Option<[Measure; 2]> {
        let quantity = i128::from(request.quantity.units());
        let (buys, sells) = match request.side {
            Side::Buy => (quantity, 0),
            Side::Sell => (0, quantity),
        };
        self.measures_with(Added {
            slot: at,
            buys,
            sells,
        })
    }

    /// Exposure of the account, and of the first slot, as it is.
    pub(super) fn measures_now(&self) -> Option<[Measure; 2]> {
        if self.slots.is_empty() {
            return Some([Measure::default(); 2]);
        }
        self.measures_with(Added {
            slot: 0,
            buys: 0,
            sells: 0,
        })
    }

    fn measures_with(&self, added: Added) -> Option<[Measure; 2]> {
        let ledgers = self.positions.ledgers();
        let own = &ledgers[added.slot];
        let base = self.instruments[usize::from(own.instrument.0)].instrument.base;
        let mut account = Measure {
            equity: self.positions.equity(),
            ..Measure::default()
        };
        for (at, ledger) in ledgers.iter().enumerate() {
            // Each instrument once: at the first slot that trades it.
            if ledgers[..at]
                .iter()
                .any(|earlier| earlier.instrument == ledger.instrument)
            {
                continue;
            }
            let exposure = self.worst_in_instrument(ledger, added)?;
            account.gross = account.gross.checked_add(exposure)?;
            if ledger.instrument == own.instrument {
                account.position = exposure;
            }
            if self.instruments[usize::from(ledger.instrument.0)].instrument.base == base {
                account.asset = account.asset.checked_add(exposure)?;
            }
        }
        let mut slot = Measure {
            equity: own.equity(),
            held: own.value().abs(),
            ..Measure::default()
        };
        for (at, ledger) in ledgers.iter().enumerate() {
            let exposure = self.worst_of_slot(at, added)?;
            let volatility = volatility_or_worst(self.slots[at].daily_volatility);
            let volatile = exposure.checked_mul(i128::from(volatility.units()))?;
            account.volatile = account.volatile.checked_add(volatile)?;
            account.held = account.held.checked_add(ledger.value().abs())?;
            if at == added.slot {
                slot = Measure {
                    position: exposure,
                    asset: exposure,
                    gross: exposure,
                    volatile,
                    ..slot
                };
            }
        }
        Some([account, slot])
    }

    /// Worst case over all slots of a ledger's instrument, at its mark.
    fn worst_in_instrument(&self, ledger: &Ledger, added: Added) -> Option<i128> {
        let (mut position, mut buys, mut sells) = (0i128, 0i128, 0i128);
        for (at, other) in self.positions.ledgers().iter().enumerate() {
            if other.instrument == ledger.instrument {
                let exposure = self.orders.exposure(other.slot);
                let (more_buys, more_sells) = added_to(at, added);
                position = position.checked_add(i128::from(other.basis.quantity.units()))?;
                buys = buys.checked_add(exposure.buys)?.checked_add(more_buys)?;
                sells = sells.checked_add(exposure.sells)?.checked_add(more_sells)?;
            }
        }
        value(worst_case(position, buys, sells)?, ledger)
    }

    /// Worst case of one slot, at its mark.
    fn worst_of_slot(&self, at: usize, added: Added) -> Option<i128> {
        let ledger = &self.positions.ledgers()[at];
        let exposure = self.orders.exposure(ledger.slot);
        let (more_buys, more_sells) = added_to(at, added);
        let position = i128::from(ledger.basis.quantity.units());
        let buys = exposure.buys.checked_add(more_buys)?;
        let sells = exposure.sells.checked_add(more_sells)?;
        value(worst_case(position, buys, sells)?, ledger)
    }

    fn funds(&self, at: usize) -> Funds {
        let slot = &self.slots[at];
        let ledger = &self.positions.ledgers()[at];
        let instrument = &self.instruments[usize::from(ledger.instrument.0)].instrument;
        let venue = instrument.venue;
        let wealth = ledger.capital + ledger.basis.realized - ledger.fees;
        let (mut committed, mut sells) = (0i128, 0i128);
        for other in self.positions.ledgers() {
            let there = &self.instruments[usize::from(other.instrument.0)].instrument;
            let exposure = self.orders.exposure(other.slot);
            if there.venue == venue {
                committed = committed.saturating_add(exposure.buy_notional);
            }
            if (there.venue, there.base) == (venue, instrument.base) {
                sells = sells.saturating_add(exposure.sells);
            }
        }
        let own = self.orders.exposure(ledger.slot);
        Funds {
            // What does not fit leaves nothing to spend.
            slot_budget: slot.size_scale().scale(wealth).unwrap_or(0),
            slot_committed: ledger.basis.cost.saturating_add(own.buy_notional),
            account_quote: self.balances.total(venue, instrument.quote),
            account_committed: committed,
            account_base: self
                .balances
                .total(venue, instrument.base)
                .map(|units| units / i128::from(SCALE)),
            account_sells: sells,
        }
    }
}

fn added_to(at: usize, added: Added) -> (i128, i128) {
    if at == added.slot {
        (added.buys, added.sells)
    } else {
        (0, 0)
    }
}

/// Base units at a ledger's mark. Before its first mark, at the cost of what it holds: an order needs a
/// book, hence a mark, so this is never the instrument that is being judged.
fn value(worst: i128, ledger: &Ledger) -> Option<i128> {
    match ledger.mark {
        Some(mark) => worst.checked_mul(i128::from(mark.units())),
        None => Some(ledger.basis.cost.abs()),
    }
}

fn longest_window([first, second]: [&RiskLimits; 2]) -> Nanos {
    first.duplicate_window.max(second.duplicate_window)
}

//! Our position against the venue's: what differs may only shrink until it agrees.

use domain::{InstrumentId, Quantity};

/// What is believed of one instrument's position.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
enum Belief {
    /// Nothing speaks against it.
    #[default]
    Agreed,
    /// It differs by what working orders may just have traded: their reports may be on the way.
    OnTheWay(i128),
    /// It differs, and someone has been told.
    Mismatch(i128),
    /// Something happened that makes it doubtful; the venue has not been heard since.
    Doubtful,
}

/// The comparison for every instrument.
#[derive(Debug)]
pub(crate) struct Reconciliation {
    beliefs: Vec<Belief>,
    /// The venue's last word, base units.
    venue: Vec<Option<i128>>,
}

impl Reconciliation {
    pub(crate) fn new(instruments: usize) -> Self {
        Self {
            beliefs: vec![Belief::default(); instruments],
            venue: vec![None; instruments],
        }
    }

    /// Whether the instrument's position may be relied on; otherwise it may only be reduced.
    pub(crate) fn agrees(&self, instrument: InstrumentId) -> bool {
        let belief = self.beliefs.get(usize::from(instrument.0));
        belief.is_none_or(|belief| *belief == Belief::Agreed)
    }

    /// Something makes the position doubtful until the venue is heard.
    pub(crate) fn doubt(&mut self, instrument: InstrumentId) {
        if let Some(belief) = self.beliefs.get_mut(usize::from(instrument.0))
            && *belief == Belief::Agreed
        {
            *belief = Belief::Doubtful;
        }
    }

    /// The venue says what it holds. `ours` is the sum of the slots, `may_buy` and `may_sell` what working
    /// orders could have traded meanwhile. The difference (venue minus ours) when it is news.
    pub(crate) fn on_venue_position(
        &mut self,
        instrument: InstrumentId,
        venue: Quantity,
        ours: i128,
        may_buy: i128,
        may_sell: i128,
    ) -> Option<Quantity> {
        let at = usize::from(instrument.0);
        let belief = self.beliefs.get_mut(at)?;
        let venue = i128::from(venue.units());
        self.venue[at] = Some(venue);
        let difference = venue - ours;
        let explained = difference <= may_buy && -difference <= may_sell;
        let (next, news) = match *belief {
            _ if difference == 0 => (Belief::Agreed, false),
            Belief::Mismatch(known) => (Belief::Mismatch(difference), known != difference),
            // The second look at the same difference: nothing was on the way.
            Belief::OnTheWay(known) if known == difference => (Belief::Mismatch(difference), true),
            _ if explained => (Belief::OnTheWay(difference), false),
            _ => (Belief::Mismatch(difference), true),
        };
        *belief = next;
        news.then(|| saturate(difference))
    }

    /// A fill was booked: a report that was on the way may have closed the difference.
    pub(crate) fn on_booked(&mut self, instrument: InstrumentId, ours: i128) {
        let at = usize::from(instrument.0);
        if let (Some(belief), Some(Some(venue))) = (self.beliefs.get_mut(at), self.venue.get(at))
            && matches!(belief, Belief::OnTheWay(_) | Belief::Mismatch(_))
            && *venue == ours
        {
            *belief = Belief::Agreed;
        }
    }

    /// The venue is gone: what it said is old.
    pub(crate) fn forget(&mut self, instrument: InstrumentId) {
        if let Some(venue) = self.venue.get_mut(usize::from(instrument.0)) {
            *venue = None;
        }
    }
}

fn saturate(units: i128) -> Quantity {
    let limit = if units < 0 { i64::MIN } else { i64::MAX };
    Quantity::from_units(i64::try_from(units).unwrap_or(limit))
}

#[cfg(test)]
mod tests {
    use super::*;

    const ONE: InstrumentId = InstrumentId(0);

    fn units(quantity: i64) -> Quantity {
        Quantity::from_units(quantity)
    }

    #[test]
    fn an_unexplained_difference_is_told_once_and_lifts_when_it_agrees() {
        let mut reconciliation = Reconciliation::new(1);
        assert!(reconciliation.agrees(ONE));
        assert_eq!(
            reconciliation.on_venue_position(ONE, units(5), 3, 1, 0),
            Some(units(2))
        );
        assert!(!reconciliation.agrees(ONE));
        assert_eq!(reconciliation.on_venue_position(ONE, units(5), 3, 1, 0), None);
        assert_eq!(reconciliation.on_venue_position(ONE, units(3), 3, 0, 0), None);
        assert!(reconciliation.agrees(ONE));
    }

    #[test]
    fn a_difference_that_working_orders_explain_waits_for_a_second_look() {
        let mut reconciliation = Reconciliation::new(1);
        assert_eq!(reconciliation.on_venue_position(ONE, units(1), 3, 0, 2), None);
        assert!(!reconciliation.agrees(ONE), "it may only reduce meanwhile");
        reconciliation.on_booked(ONE, 1);
        assert!(reconciliation.agrees(ONE), "the report came");
        assert_eq!(reconciliation.on_venue_position(ONE, units(0), 1, 0, 2), None);
        assert_eq!(
            reconciliation.on_venue_position(ONE, units(0), 1, 0, 2),
            Some(units(-1))
        );
    }

    #[test]
    fn doubt_ends_only_with_the_venues_word() {
        let mut reconciliation = Reconciliation::new(1);
        assert_eq!(reconciliation.on_venue_position(ONE, units(4), 4, 0, 0), None);
        reconciliation.doubt(ONE);
        reconciliation.on_booked(ONE, 4);
        assert!(!reconciliation.agrees(ONE));
        assert_eq!(reconciliation.on_venue_position(ONE, units(4), 4, 0, 0), None);
        assert!(reconciliation.agrees(ONE));
    }
}

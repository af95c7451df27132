//! The venue's own limits: counters that calls and orders fill and time empties.
//!
//! Two kinds (documentation "Spot REST Rate Limits" and "Spot Trading Limits", 2026): each key has a counter of REST
//! calls, to which placing and canceling an order do not belong; each pair has a counter of transactions in the
//! matching engine, whatever door they came through. An order that is canceled young costs the most.

use std::collections::BTreeMap;

use domain::{ClientOrderId, InstrumentId, Nanos};

use super::settings::Tier;
use crate::rate_limit::Urgency;

/// A point in thousandths: the counters decay by fractions of a point.
const POINT: i64 = 1_000;

/// Points left unused: the venue lowers its count every couple of seconds, ours falls steadily.
const MARGIN_POINTS: i64 = 2;

/// What canceling adds, by the order's age: up to these seconds, these points. Nothing after the last.
const CANCEL_POINTS: [(i64, i64); 6] = [(5, 8), (10, 6), (15, 5), (45, 4), (90, 2), (300, 1)];

/// Orders whose age is remembered; of others the highest price of a cancel is counted.
const AGES_MAX: usize = 4_096;

/// A counter that falls steadily and must stay below its limit.
#[derive(Debug, Clone)]
pub(super) struct Counter {
    max: i64,
    /// Thousandths of a point a second.
    decay: i64,
    value: i64,
    at: Nanos,
    paused_until: Nanos,
}

impl Counter {
    /// An empty one of `max` points, falling by `decay` thousandths of a point a second.
    pub(super) const fn new(max: i64, decay: i64) -> Self {
        Self {
            max: (max - MARGIN_POINTS) * POINT,
            decay,
            value: 0,
            at: Nanos(0),
            paused_until: Nanos(i64::MIN),
        }
    }

    /// The REST calls of one key.
    pub(super) const fn calls(tier: Tier) -> Self {
        match tier {
            Tier::Starter => Self::new(15, 330),
            Tier::Intermediate => Self::new(20, 500),
            Tier::Pro => Self::new(20, 1_000),
        }
    }

    /// The transactions of one pair.
    pub(super) const fn transactions(tier: Tier) -> Self {
        match tier {
            Tier::Starter => Self::new(60, 1_000),
            Tier::Intermediate => Self::new(125, 2_340),
            Tier::Pro => Self::new(180, 3_750),
        }
    }

    fn advance(&mut self, now: Nanos) {
        let elapsed = i128::from(now.0.saturating_sub(self.at.0).max(0));
        let fallen = elapsed * i128::from(self.decay) / 1_000_000_000;
        if fallen > 0 {
            let fallen = i64::try_from(fallen).unwrap_or(i64::MAX);
            self.value = self.value.saturating_sub(fallen).max(0);
            self.at = now;
        }
        if self.value == 0 {
            self.at = now;
        }
    }

    /// Takes `points`, or says how long until they may be there.
    pub(super) fn try_take(&mut self, points: i64, urgency: Urgency, now: Nanos) -> Result<(), Nanos> {
        self.check_pause(now)?;
        // What is counted elsewhere does not wait for this counter.
        if points == 0 {
            return Ok(());
        }
        self.advance(now);
        let mark = self.max * i64::from(urgency.share_percent()) / 100;
        let over = self.value + points * POINT - mark;
        if over > 0 {
            let wait = i128::from(over) * 1_000_000_000 / i128::from(self.decay);
            return Err(Nanos(i64::try_from(wait).unwrap_or(i64::MAX).saturating_add(1)));
        }
        self.value += points * POINT;
        Ok(())
    }

    fn check_pause(&self, now: Nanos) -> Result<(), Nanos> {
        if now < self.paused_until {
            return Err(Nanos(self.paused_until.0 - now.0));
        }
        Ok(())
    }

    /// Takes `points` whatever else has used, or says how long the venue wants nothing at all: [`MARGIN_POINTS`] are left
    /// for it.
    pub(super) fn take_vital(&mut self, points: i64, now: Nanos) -> Result<(), Nanos> {
        self.check_pause(now)?;
        self.add(points, now);
        Ok(())
    }

    /// Counts what cannot be held back.
    pub(super) fn add(&mut self, points: i64, now: Nanos) {
        self.advance(now);
        self.value = self.value.saturating_add(points * POINT);
    }

    /// The venue says that its own count is over the limit: ours was too low.
    pub(super) fn fill(&mut self, now: Nanos) {
        self.advance(now);
        self.value = self.value.max(self.max);
    }

    /// Nothing for so long: each further call prolongs a refusal.
    pub(super) fn pause(&mut self, wait: Nanos, now: Nanos) {
        self.paused_until = self.paused_until.max(Nanos(now.0.saturating_add(wait.0)));
    }
}

/// The transactions of every pair of a session.
///
/// Cancels are counted and never held back: whether one is too many, the venue says.
#[derive(Debug)]
pub(super) struct EngineLimits {
    tier: Tier,
    pairs: BTreeMap<InstrumentId, Counter>,
    placed: BTreeMap<ClientOrderId, Nanos>,
}

impl EngineLimits {
    pub(super) const fn new(tier: Tier) -> Self {
        Self {
            tier,
            pairs: BTreeMap::new(),
            placed: BTreeMap::new(),
        }
    }

    fn pair(&mut self, instrument: InstrumentId) -> &mut Counter {
        let tier = self.tier;
        self.pairs
            .entry(instrument)
            .or_insert_with(|| Counter::transactions(tier))
    }

    /// Takes one new order, or says how long until one fits.
    pub(super) fn try_place(
        &mut self,
        order: ClientOrderId,
        instrument: InstrumentId,
        now: Nanos,
    ) -> Result<(), Nanos> {
        self.pair(instrument).try_take(1, Urgency::Order, now)?;
        if self.placed.len() >= AGES_MAX {
            let oldest = CANCEL_POINTS[CANCEL_POINTS.len() - 1].0;
            let since = Nanos(now.0.saturating_sub(Nanos::from_secs(oldest).0));
            self.placed.retain(|_, at| *at > since);
        }
        if self.placed.len() < AGES_MAX {
            self.placed.insert(order, now);
        }
        Ok(())
    }

    /// Counts one cancel.
    pub(super) fn cancel(&mut self, order: Option<ClientOrderId>, instrument: InstrumentId, now: Nanos) {
        let placed = order.and_then(|order| self.placed.remove(&order));
        // An order of another life, or of somebody else: its age is not known.
        let points = placed.map_or(CANCEL_POINTS[0].1, |at| cancel_points(now.0.saturating_sub(at.0)));
        self.pair(instrument).add(points, now);
    }

    /// The venue says that a pair's count is over the limit.
    pub(super) fn fill(&mut self, instrument: InstrumentId, now: Nanos) {
        self.pair(instrument).fill(now);
    }
}

fn cancel_points(age: i64) -> i64 {
    CANCEL_POINTS
        .iter()
        .find(|(seconds, _)| age < Nanos::from_secs(*seconds).0)
        .map_or(0, |(_, points)| *points)
}

#[cfg(test)]
mod tests {
    use domain::{Epoch, SlotId};
    use proptest::prelude::*;

    use super::*;

    const SECOND: i64 = 1_000_000_000;
    const BTC: InstrumentId = InstrumentId(0);

    fn id(counter: u32) -> ClientOrderId {
        ClientOrderId {
            epoch: Epoch(1),
            slot: SlotId(0),
            counter,
        }
    }

    #[test]
    fn a_reserve_is_kept_for_what_is_essential() {
        let mut calls = Counter::calls(Tier::Pro);
        let background = (0..30).filter(|_| calls.try_take(1, Urgency::Background, Nanos(0)).is_ok());
        assert_eq!(background.count(), 10);
        let essential = (0..30).filter(|_| calls.try_take(1, Urgency::Essential, Nanos(0)).is_ok());
        assert_eq!(essential.count(), 8);
    }

    #[test]
    fn an_order_that_is_canceled_young_costs_the_most() {
        for (seconds, points) in [(0, 8), (5, 6), (10, 5), (15, 4), (45, 2), (90, 1), (300, 0)] {
            let mut limits = EngineLimits::new(Tier::Starter);
            limits.try_place(id(1), BTC, Nanos(0)).unwrap();
            let now = Nanos(seconds * SECOND);
            limits.cancel(Some(id(1)), BTC, now);
            let left = i64::from(seconds == 0);
            assert_eq!(limits.pair(BTC).value, (points + left) * POINT, "{seconds} s");
        }
        let mut limits = EngineLimits::new(Tier::Starter);
        limits.cancel(Some(id(9)), BTC, Nanos(0));
        assert_eq!(limits.pair(BTC).value, 8 * POINT, "of unknown age");
    }

    #[test]
    fn cancels_are_never_held_back_and_orders_make_room_for_them() {
        let mut limits = EngineLimits::new(Tier::Starter);
        let placed = (0..100).filter(|number| limits.try_place(id(*number), BTC, Nanos(0)).is_ok());
        assert_eq!(placed.count(), 46, "four fifths of 58");
        for number in 0..46 {
            limits.cancel(Some(id(number)), BTC, Nanos(0));
        }
        let wait = limits.try_place(id(200), BTC, Nanos(0)).unwrap_err();
        assert!(limits.clone_pair().try_take(1, Urgency::Order, wait).is_ok());
        assert!(
            limits.try_place(id(200), InstrumentId(1), Nanos(0)).is_ok(),
            "each pair has its own"
        );
    }

    #[test]
    fn questions_hold_back_neither_orders_nor_the_switch() {
        let mut calls = Counter::calls(Tier::Starter);
        while calls.try_take(1, Urgency::Essential, Nanos(0)).is_ok() {}
        assert!(
            calls.try_take(0, Urgency::Order, Nanos(0)).is_ok(),
            "counted elsewhere"
        );
        let mut now = Nanos(0);
        for _ in 0..100 {
            // Put off at a third of the shortest time, beside questions that take all that there is.
            now = Nanos(now.0 + 5 * SECOND);
            calls.take_vital(1, now).unwrap();
            while calls.try_take(1, Urgency::Essential, now).is_ok() {}
            assert!(calls.value <= 15 * POINT, "the venue's own limit");
        }
        calls.pause(Nanos(SECOND), now);
        assert_eq!(calls.take_vital(1, now), Err(Nanos(SECOND)));
        assert_eq!(calls.try_take(0, Urgency::Order, now), Err(Nanos(SECOND)));
    }

    #[test]
    fn the_venues_word_fills_the_counter() {
        let mut calls = Counter::calls(Tier::Starter);
        calls.fill(Nanos(0));
        assert!(calls.try_take(1, Urgency::Essential, Nanos(0)).is_err());
        calls.pause(Nanos(60 * SECOND), Nanos(0));
        assert_eq!(
            calls.try_take(1, Urgency::Essential, Nanos(59 * SECOND)),
            Err(Nanos(SECOND))
        );
        assert!(calls.try_take(1, Urgency::Essential, Nanos(60 * SECOND)).is_ok());
    }

    impl EngineLimits {
        fn clone_pair(&self) -> Counter {
            self.pairs[&BTC].clone()
        }
    }

    proptest! {
        /// The venue's own counter, lowered once a second, never passes its limit.
        #[test]
        fn the_venues_counter_stays_below_its_limit(gaps in prop::collection::vec(0i64..3_000, 1..300)) {
            let mut calls = Counter::calls(Tier::Starter);
            let (mut now, mut theirs, mut lowered) = (0_i64, 0_i64, 0_i64);
            for gap_ms in gaps {
                now += gap_ms * 1_000_000;
                while lowered + SECOND <= now {
                    lowered += SECOND;
                    theirs = (theirs - 330).max(0);
                }
                if calls.try_take(1, Urgency::Essential, Nanos(now)).is_ok() {
                    theirs += POINT;
                }
                prop_assert!(theirs <= 15 * POINT);
            }
        }

        #[test]
        fn the_wait_it_names_is_enough(points in 1i64..5, takes in 1usize..40) {
            let mut calls = Counter::calls(Tier::Starter);
            for _ in 0..takes {
                if let Err(wait) = calls.try_take(points, Urgency::Background, Nanos(0)) {
                    prop_assert!(calls.clone().try_take(points, Urgency::Background, wait).is_ok());
                }
            }
        }
    }
}

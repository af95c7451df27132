//! Budgets for what we send: request weight with a reserve, order counts, outbound WebSocket messages.
//!
//! Nothing here waits or reads a clock: the caller passes monotonic wall time and gets a yes, or how long
//! until a yes. Orders are never queued for budget, because an order that waits is another order.

use std::sync::{Arc, Mutex, PoisonError};

use domain::Nanos;

/// How urgent a request is: each class may use the budget up to its own mark.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub enum Urgency {
    /// Cancels and questions about our own orders: all of the budget.
    Essential,
    /// New orders: up to [`ORDER_SHARE_PERCENT`].
    Order,
    /// Market data and reference data: up to [`BACKGROUND_SHARE_PERCENT`].
    Background,
    /// Questions that can wait, such as whole comparisons of the account: up to [`LEISURE_SHARE_PERCENT`].
    Leisure,
}

impl Urgency {
    /// Share of the budget that may be in use after such a request.
    pub(crate) const fn share_percent(self) -> u32 {
        match self {
            Self::Essential => 100,
            Self::Order => ORDER_SHARE_PERCENT,
            Self::Background => BACKGROUND_SHARE_PERCENT,
            Self::Leisure => LEISURE_SHARE_PERCENT,
        }
    }
}

/// Share of the weight that orders and market data together may use; the rest is kept for cancels and queries.
pub const ORDER_SHARE_PERCENT: u32 = 80;

/// Share of the weight that may be in use when market or reference data is asked for.
pub const BACKGROUND_SHARE_PERCENT: u32 = 60;

/// Share of the weight that may be in use when something is asked for that can wait: a book that has to be synchronized
/// anew need not wait for it.
pub const LEISURE_SHARE_PERCENT: u32 = 50;

/// Wall time covered by one bucket of the weight window.
const WEIGHT_BUCKET: Nanos = Nanos::from_secs(1);

/// Buckets of the weight window: one minute and one bucket of margin for how we and the venue cut time.
const WEIGHT_BUCKETS: usize = 61;

/// How long a pause after a refusal for rate lasts when the venue does not say.
pub const PAUSE_DEFAULT: Nanos = Nanos::from_secs(60);

/// A count over the last `N` buckets of time. Any window of the venue that is not longer holds at most the
/// same count, however the venue aligns it.
#[derive(Debug, Clone)]
struct SlidingCount<const N: usize> {
    bucket: Nanos,
    counts: [u32; N],
    newest: i64,
}

impl<const N: usize> SlidingCount<N> {
    const fn new(bucket: Nanos) -> Self {
        Self {
            bucket,
            counts: [0; N],
            newest: 0,
        }
    }

    fn slot(number: i64) -> usize {
        usize::try_from(number.rem_euclid(i64::try_from(N).unwrap_or(i64::MAX))).unwrap_or(0)
    }

    fn advance(&mut self, now: Nanos) {
        let number = now.0.div_euclid(self.bucket.0);
        let ahead = usize::try_from(number.saturating_sub(self.newest)).unwrap_or(0);
        for step in 0..ahead.min(N) {
            let back = i64::try_from(step).unwrap_or(0);
            self.counts[Self::slot(number - back)] = 0;
        }
        self.newest = self.newest.max(number);
    }

    fn used(&self) -> u32 {
        self.counts
            .iter()
            .fold(0, |sum, &count| sum.saturating_add(count))
    }

    fn add(&mut self, amount: u32) {
        let slot = Self::slot(self.newest);
        self.counts[slot] = self.counts[slot].saturating_add(amount);
    }

    /// Wall time until at least `needed` has left the window.
    fn until_freed(&self, now: Nanos, needed: u32) -> Nanos {
        let oldest = self.newest - i64::try_from(N).unwrap_or(i64::MAX) + 1;
        let mut freed = 0_u32;
        for number in oldest..=self.newest {
            freed = freed.saturating_add(self.counts[Self::slot(number)]);
            if freed >= needed {
                let gone = (number + i64::try_from(N).unwrap_or(0)).saturating_mul(self.bucket.0);
                return Nanos(gone.saturating_sub(now.0).max(1));
            }
        }
        Nanos(self.bucket.0.saturating_mul(i64::try_from(N).unwrap_or(1)))
    }
}

/// The request weight of one IP address, with a reserve for cancels and queries.
///
/// The venue counts per address, so every client of one process shares one budget; what other processes
/// use is learned from the venue's own count in each answer.
///
/// ```
/// use domain::Nanos;
/// use venues::rate_limit::{Urgency, WeightBudget};
/// let mut budget = WeightBudget::new(100);
/// let now = Nanos(0);
/// assert!(budget.try_take(60, Urgency::Background, now).is_ok());
/// assert!(budget.try_take(1, Urgency::Background, now).is_err());
/// assert!(budget.try_take(20, Urgency::Order, now).is_ok());
/// assert!(budget.try_take(1, Urgency::Order, now).is_err());
/// assert!(budget.try_take(20, Urgency::Essential, now).is_ok());
/// ```
#[derive(Debug, Clone)]
pub struct WeightBudget {
    per_minute: u32,
    window: SlidingCount<WEIGHT_BUCKETS>,
    paused_until: Nanos,
}

impl WeightBudget {
    /// A budget of `per_minute` weight.
    #[must_use]
    pub const fn new(per_minute: u32) -> Self {
        Self {
            per_minute,
            window: SlidingCount::new(WEIGHT_BUCKET),
            paused_until: Nanos(i64::MIN),
        }
    }

    /// Takes `weight`, or says how long until it may be there.
    ///
    /// # Errors
    /// The wall time to wait.
    pub fn try_take(&mut self, weight: u32, urgency: Urgency, now: Nanos) -> Result<(), Nanos> {
        self.check(weight, urgency, now)?;
        self.window.add(weight);
        Ok(())
    }

    /// Whether `weight` is there, or how long until it may be; takes nothing.
    ///
    /// # Errors
    /// The wall time to wait.
    pub fn check(&mut self, weight: u32, urgency: Urgency, now: Nanos) -> Result<(), Nanos> {
        if now < self.paused_until {
            return Err(Nanos(self.paused_until.0 - now.0));
        }
        self.window.advance(now);
        let mark = u64::from(self.per_minute) * u64::from(urgency.share_percent()) / 100;
        let after = u64::from(self.window.used()) + u64::from(weight);
        if after > mark {
            let excess = u32::try_from(after - mark).unwrap_or(u32::MAX);
            return Err(self.window.until_freed(now, excess));
        }
        Ok(())
    }

    /// Lowers the budget to the venue's own limit, never raises it.
    pub fn lower_to(&mut self, per_minute: u32) {
        self.per_minute = self.per_minute.min(per_minute);
    }

    /// Learns the venue's own count of the last minute; the higher of both counts holds.
    pub fn observe(&mut self, used: u32, now: Nanos) {
        self.window.advance(now);
        let unseen = used.saturating_sub(self.window.used());
        self.window.add(unseen);
    }

    /// Stops everything, cancels too: the venue answered 429 or 418, and each further request prolongs a ban.
    pub fn pause(&mut self, wait: Nanos, now: Nanos) {
        self.paused_until = self.paused_until.max(Nanos(now.0.saturating_add(wait.0)));
    }

    /// Weight in use now.
    pub fn used(&mut self, now: Nanos) -> u32 {
        self.window.advance(now);
        self.window.used()
    }
}

/// Most new orders in ten seconds and in a day, counted by the venue per account.
#[derive(Debug, Clone)]
pub struct OrderCount {
    per_ten_seconds: u32,
    per_day: u32,
    // One bucket more than the window, as above.
    seconds: SlidingCount<11>,
    hours: SlidingCount<25>,
}

impl OrderCount {
    /// With the venue's two limits.
    #[must_use]
    pub const fn new(per_ten_seconds: u32, per_day: u32) -> Self {
        Self {
            per_ten_seconds,
            per_day,
            seconds: SlidingCount::new(Nanos::from_secs(1)),
            hours: SlidingCount::new(Nanos::from_secs(3_600)),
        }
    }

    /// Counts one order, or says how long until one fits.
    ///
    /// # Errors
    /// The wall time to wait.
    pub fn try_take(&mut self, now: Nanos) -> Result<(), Nanos> {
        self.seconds.advance(now);
        self.hours.advance(now);
        if self.seconds.used() >= self.per_ten_seconds {
            return Err(self.seconds.until_freed(now, 1));
        }
        if self.hours.used() >= self.per_day {
            return Err(self.hours.until_freed(now, 1));
        }
        self.seconds.add(1);
        self.hours.add(1);
        Ok(())
    }
}

/// A token bucket (generic cell rate algorithm): `burst` at once, one more each `interval`.
#[derive(Debug, Clone)]
pub struct TokenBucket {
    interval: Nanos,
    tolerance: Nanos,
    // When the bucket will be full again.
    full_at: Nanos,
}

impl TokenBucket {
    /// A full bucket. `burst` is at least one.
    #[must_use]
    pub const fn new(interval: Nanos, burst: u32) -> Self {
        let spare = if burst == 0 { 0 } else { burst as i64 - 1 };
        Self {
            interval,
            tolerance: Nanos(interval.0.saturating_mul(spare)),
            full_at: Nanos(i64::MIN),
        }
    }

    /// Takes one token, or says how long until there is one.
    ///
    /// # Errors
    /// The wall time to wait.
    pub fn try_take(&mut self, now: Nanos) -> Result<(), Nanos> {
        let full_at = self.full_at.max(now);
        let ahead = full_at.0.saturating_sub(now.0);
        if ahead > self.tolerance.0 {
            return Err(Nanos(ahead - self.tolerance.0));
        }
        self.full_at = Nanos(full_at.0.saturating_add(self.interval.0));
        Ok(())
    }

    /// Takes one token that cannot be refused: the message is already on its way.
    pub fn take_forced(&mut self, now: Nanos) {
        self.full_at = Nanos(self.full_at.max(now).0.saturating_add(self.interval.0));
    }
}

/// How often connections may be attempted. A venue counts them by address, so everything that connects to it shares one.
#[derive(Debug, Clone)]
pub struct ConnectBudget(Arc<Mutex<TokenBucket>>);

impl ConnectBudget {
    /// `burst` at once, one more each `interval`.
    #[must_use]
    pub fn new(interval: Nanos, burst: u32) -> Self {
        Self(Arc::new(Mutex::new(TokenBucket::new(interval, burst))))
    }

    /// Counts an attempt, or says how long until there may be one.
    ///
    /// # Errors
    /// The wall time to wait.
    pub fn try_take(&self, now: Nanos) -> Result<(), Nanos> {
        let mut bucket = self.0.lock().unwrap_or_else(PoisonError::into_inner);
        bucket.try_take(now)
    }
}

/// A hundred attempts at once and one every two seconds: at most 250 in five minutes of Binance's 300.
impl Default for ConnectBudget {
    fn default() -> Self {
        Self::new(Nanos::from_secs(2), 100)
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    const SECOND: i64 = 1_000_000_000;

    #[test]
    fn a_fifth_of_the_weight_is_kept_for_cancels_and_queries() {
        let mut budget = WeightBudget::new(6_000);
        let now = Nanos(5 * SECOND);
        while budget.try_take(20, Urgency::Background, now).is_ok() {}
        while budget.try_take(1, Urgency::Order, now).is_ok() {}
        assert_eq!(budget.used(now), 4_800);
        let essential = (0..2_000).filter(|_| budget.try_take(1, Urgency::Essential, now).is_ok());
        assert_eq!(essential.count(), 1_200);
    }

    #[test]
    fn what_can_wait_leaves_half_and_looking_takes_nothing() {
        let mut budget = WeightBudget::new(6_000);
        let now = Nanos(5 * SECOND);
        while budget.check(20, Urgency::Leisure, now).is_ok() {
            budget.try_take(20, Urgency::Essential, now).unwrap();
        }
        assert_eq!(budget.used(now), 3_000);
        let wait = budget.check(20, Urgency::Leisure, now).unwrap_err();
        let then = Nanos(now.0 + wait.0);
        assert!(budget.check(20, Urgency::Leisure, then).is_ok());
    }

    #[test]
    fn the_wait_it_names_is_enough() {
        let mut budget = WeightBudget::new(100);
        budget.try_take(100, Urgency::Essential, Nanos(0)).unwrap();
        let wait = budget
            .try_take(1, Urgency::Essential, Nanos(7 * SECOND))
            .unwrap_err();
        let then = Nanos(7 * SECOND + wait.0);
        assert!(budget.try_take(1, Urgency::Essential, then).is_ok());
    }

    #[test]
    fn the_venues_own_count_wins_when_it_is_higher() {
        let mut budget = WeightBudget::new(100);
        budget.try_take(10, Urgency::Background, Nanos(0)).unwrap();
        budget.observe(75, Nanos(0));
        assert_eq!(budget.used(Nanos(0)), 75);
        budget.observe(5, Nanos(0));
        assert_eq!(budget.used(Nanos(0)), 75);
    }

    #[test]
    fn a_pause_stops_cancels_too() {
        let mut budget = WeightBudget::new(100);
        budget.pause(Nanos(3 * SECOND), Nanos(0));
        budget.pause(Nanos(SECOND), Nanos(0));
        assert_eq!(
            budget.try_take(1, Urgency::Essential, Nanos(SECOND)),
            Err(Nanos(2 * SECOND))
        );
        assert!(budget.try_take(1, Urgency::Essential, Nanos(3 * SECOND)).is_ok());
    }

    #[test]
    fn orders_are_counted_over_ten_seconds_and_a_day() {
        let mut count = OrderCount::new(3, 5);
        for _ in 0..3 {
            count.try_take(Nanos(0)).unwrap();
        }
        let wait = count.try_take(Nanos(0)).unwrap_err();
        assert!(wait >= Nanos(10 * SECOND) && wait <= Nanos(11 * SECOND));
        for _ in 0..2 {
            count.try_take(Nanos(20 * SECOND)).unwrap();
        }
        assert!(count.try_take(Nanos(40 * SECOND)).unwrap_err() > Nanos(23 * 3_600 * SECOND));
    }

    proptest! {
        /// Whatever the venue's minute is, no minute holds more than the limit.
        #[test]
        fn no_minute_exceeds_the_limit(gaps in prop::collection::vec(0i64..4_000, 1..400), weight in 1u32..30) {
            let mut budget = WeightBudget::new(100);
            let mut now = 0;
            let mut taken: Vec<(i64, u32)> = Vec::new();
            for gap_ms in gaps {
                now += gap_ms * 1_000_000;
                if budget.try_take(weight, Urgency::Essential, Nanos(now)).is_ok() {
                    taken.push((now, weight));
                }
                let minute: u32 = taken.iter().filter(|(at, _)| *at > now - 60 * SECOND).map(|(_, w)| w).sum();
                prop_assert!(minute <= 100);
            }
        }

        #[test]
        fn a_bucket_never_gives_more_than_burst_plus_rate(gaps in prop::collection::vec(0i64..600, 1..200)) {
            let mut bucket = TokenBucket::new(Nanos(SECOND / 5), 5);
            let (mut now, mut given) = (0_i64, Vec::new());
            for gap_ms in gaps {
                now += gap_ms * 1_000_000;
                match bucket.try_take(Nanos(now)) {
                    Ok(()) => given.push(now),
                    Err(wait) => prop_assert!(bucket.clone().try_take(Nanos(now + wait.0)).is_ok()),
                }
                for (index, start) in given.iter().enumerate() {
                    let count = i64::try_from(given.len() - index).unwrap();
                    prop_assert!(count <= 5 + (now - start) / (SECOND / 5));
                }
            }
        }
    }
}

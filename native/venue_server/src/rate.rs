//! Request limits of the one caller there is: everything on loopback shares one address.

use std::time::{Duration, Instant};

use crate::refusal::Refusal;

/// Most new orders of one account in ten seconds.
pub(crate) const ORDERS_PER_10_SECONDS: u64 = 1_000;
/// Most requests in five minutes.
pub(crate) const RAW_REQUESTS_PER_5_MINUTES: u64 = 300_000;

const MINUTE: Duration = Duration::from_mins(1);
const FIVE_MINUTES: Duration = Duration::from_mins(5);
const TEN_SECONDS: Duration = Duration::from_secs(10);

/// A counter that starts anew with each window, as the venue's do.
#[derive(Debug)]
struct Window {
    length: Duration,
    limit: u64,
    began: Instant,
    used: u64,
}

impl Window {
    fn new(length: Duration, limit: u64) -> Self {
        Self {
            length,
            limit,
            began: Instant::now(),
            used: 0,
        }
    }

    /// Counts `weight`; the seconds until the next window when that is too much.
    fn count(&mut self, weight: u64, now: Instant) -> Result<(), u64> {
        if now.duration_since(self.began) >= self.length {
            self.began = now;
            self.used = 0;
        }
        self.used += weight;
        if self.used > self.limit {
            let left = self.length.saturating_sub(now.duration_since(self.began));
            return Err(left.as_secs() + 1);
        }
        Ok(())
    }
}

/// The limits in wall time.
#[derive(Debug)]
pub(crate) struct RateLimits {
    weight: Window,
    raw: Window,
    orders: Vec<Window>,
}

impl RateLimits {
    pub(crate) fn new(weight_per_minute: u64, accounts: usize) -> Self {
        Self {
            weight: Window::new(MINUTE, weight_per_minute),
            raw: Window::new(FIVE_MINUTES, RAW_REQUESTS_PER_5_MINUTES),
            orders: (0..accounts)
                .map(|_| Window::new(TEN_SECONDS, ORDERS_PER_10_SECONDS))
                .collect(),
        }
    }

    /// Counts a request.
    pub(crate) fn request(&mut self, weight: u64) -> Result<(), Refusal> {
        let now = Instant::now();
        let limit = self.weight.limit;
        let counted = self
            .raw
            .count(1, now)
            .and_then(|()| self.weight.count(weight, now));
        counted.map_err(|retry_after_s| Refusal::RequestRate { limit, retry_after_s })
    }

    /// Counts a new order of an account.
    pub(crate) fn order(&mut self, account: usize) -> Result<(), Refusal> {
        match self.orders.get_mut(account) {
            Some(window) => {
                let limit = window.limit;
                window
                    .count(1, Instant::now())
                    .map_err(|_| Refusal::OrderRate { limit })
            }
            None => Ok(()),
        }
    }

    /// Weight used in this window.
    pub(crate) fn used_weight(&self) -> u64 {
        self.weight.used
    }

    /// Orders of an account in this window.
    pub(crate) fn used_orders(&self, account: usize) -> u64 {
        self.orders.get(account).map_or(0, |window| window.used)
    }

    /// The limit on weight a minute.
    pub(crate) fn weight_limit(&self) -> u64 {
        self.weight.limit
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_window_counts_to_its_limit_and_begins_anew() {
        let mut window = Window::new(MINUTE, 10);
        let began = window.began;
        assert_eq!(window.count(10, began), Ok(()));
        assert_eq!(window.count(1, began + Duration::from_secs(20)), Err(41));
        assert_eq!(window.count(1, began + MINUTE), Ok(()));
    }

    #[test]
    fn requests_over_the_weight_are_refused() {
        let mut limits = RateLimits::new(20, 1);
        assert_eq!(limits.request(20), Ok(()));
        let refused = limits.request(1).unwrap_err();
        assert!(matches!(
            refused,
            Refusal::RequestRate {
                limit: 20,
                retry_after_s: 1..
            }
        ));
    }
}

//! Spans that speak of the network, where venue time does not run as the wall does.
//!
//! How late market data may be, how long an answer may take, how far one stream may overtake another: the files mean
//! the network's time, which no simulated venue compresses. The engine counts in venue time. So these spans are
//! stretched by the clock's rate before the engine sees them, in its own configuration (which the record keeps) and in
//! every program's limits. The rate stands in the record's header, so that recovery and replay do the same.

use domain::Nanos;
use engine::EngineConfig;
use engine::risk::RiskLimits;

use crate::codec::ConfigText;

/// The rate of a clock that runs as the wall does, in parts per billion.
const REAL_TIME_PPB: i64 = 1_000_000_000;

/// Name of the header's text that holds the rate: service nanoseconds in a wall second, decimal.
pub const RATE_TEXT: &str = "clock.rate_ppb";

/// How fast service time runs when the life begins.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Scale {
    rate_ppb: i64,
}

impl Scale {
    /// Of a clock's rate.
    #[must_use]
    pub const fn new(rate_ppb: i64) -> Self {
        Self { rate_ppb }
    }

    /// A span of wall time in service time.
    #[must_use]
    pub fn span(self, wall: Nanos) -> Nanos {
        let service = i128::from(wall.0) * i128::from(self.rate_ppb) / i128::from(REAL_TIME_PPB);
        Nanos(i64::try_from(service).unwrap_or(i64::MAX))
    }

    /// Limits as the engine counts them.
    #[must_use]
    pub fn limits(self, limits: RiskLimits) -> RiskLimits {
        RiskLimits {
            max_data_age: self.span(limits.max_data_age),
            ..limits
        }
    }

    /// A configuration as the engine counts it.
    #[must_use]
    pub fn config(self, config: EngineConfig) -> EngineConfig {
        EngineConfig {
            limits: self.limits(config.limits),
            bar_close_grace: self.span(config.bar_close_grace),
            order_ack_timeout: self.span(config.order_ack_timeout),
            ..config
        }
    }

    /// For the record's header.
    #[must_use]
    pub fn text(self) -> ConfigText {
        ConfigText {
            name: RATE_TEXT.to_owned(),
            text: self.rate_ppb.to_string(),
        }
    }

    /// From a record's header; real time where it says nothing.
    #[must_use]
    pub fn from_texts(texts: &[ConfigText]) -> Self {
        let told = texts.iter().find(|text| text.name == RATE_TEXT);
        let rate = told.and_then(|text| text.text.parse().ok());
        Self::new(rate.unwrap_or(REAL_TIME_PPB))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn spans_follow_the_rate_and_the_header_keeps_it() {
        let scale = Scale::new(300 * REAL_TIME_PPB);
        assert_eq!(scale.span(Nanos::from_secs(5)), Nanos::from_secs(1_500));
        assert_eq!(Scale::from_texts(&[scale.text()]), scale);
        assert_eq!(Scale::from_texts(&[]).span(Nanos(7)), Nanos(7));
        assert_eq!(scale.span(Nanos(i64::MAX)), Nanos(i64::MAX));
    }
}

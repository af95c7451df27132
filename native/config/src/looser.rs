//! Whether a bundle's limits are within the policy's.

use std::fmt;

use engine::risk::RiskLimits;

/// A limit of a bundle that allows more than the policy.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct LooserLimit {
    /// Its path in `risk_limits.toml`.
    pub key: &'static str,
    /// The bundle's value.
    pub bundle: String,
    /// The policy's value.
    pub policy: String,
}

impl fmt::Display for LooserLimit {
    fn fmt(&self, out: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(
            out,
            "{}: {} is looser than the policy's {}",
            self.key, self.bundle, self.policy
        )
    }
}

/// Every limit of `bundle` that is looser than `policy`'s; empty when the bundle may run. Amounts of
/// different currencies cannot be compared and count as looser.
#[must_use]
pub fn not_looser_than(bundle: &RiskLimits, policy: &RiskLimits) -> Vec<LooserLimit> {
    let mut found = Comparison(Vec::new());
    let (ours, theirs) = (bundle, policy);
    for (key, mine, limit) in [
        (
            "position_limits.max_position_usd",
            ours.max_position_usd,
            theirs.max_position_usd,
        ),
        (
            "risk_metrics.var_limit_1d_95",
            ours.var_limit_1d_95,
            theirs.var_limit_1d_95,
        ),
        (
            "order_limits.max_order_size_usd",
            ours.max_order_size_usd,
            theirs.max_order_size_usd,
        ),
    ] {
        let within = mine.currency() == limit.currency() && mine.units() <= limit.units();
        found.note(key, within, &mine, &limit);
    }
    for (key, mine, limit) in [
        (
            "position_limits.max_portfolio_concentration",
            ours.max_portfolio_concentration,
            theirs.max_portfolio_concentration,
        ),
        (
            "position_limits.max_leverage",
            ours.max_leverage,
            theirs.max_leverage,
        ),
        (
            "risk_metrics.max_drawdown_pct",
            ours.max_drawdown_pct,
            theirs.max_drawdown_pct,
        ),
    ] {
        found.note(key, mine <= limit, &mine, &limit);
    }
    // Shares that must stay free: less is looser.
    for (key, mine, limit) in [
        ("margin.margin_buffer", ours.margin_buffer, theirs.margin_buffer),
        (
            "margin.margin_call_threshold",
            ours.margin_call_threshold,
            theirs.margin_call_threshold,
        ),
    ] {
        found.note(key, mine >= limit, &mine, &limit);
    }
    found.flow(ours, theirs);
    found.0
}

struct Comparison(Vec<LooserLimit>);

impl Comparison {
    fn note(
        &mut self,
        key: &'static str,
        within: bool,
        bundle: &dyn fmt::Display,
        policy: &dyn fmt::Display,
    ) {
        if !within {
            self.0.push(LooserLimit {
                key,
                bundle: bundle.to_string(),
                policy: policy.to_string(),
            });
        }
    }

    /// Counts and windows.
    fn flow(&mut self, ours: &RiskLimits, theirs: &RiskLimits) {
        for (key, mine, limit) in [
            (
                "order_limits.max_order_rate_per_min",
                ours.max_order_rate_per_min,
                theirs.max_order_rate_per_min,
            ),
            (
                "order_limits.price_collar_bps",
                ours.price_collar_bps,
                theirs.price_collar_bps,
            ),
            (
                "order_limits.repeated_execution_limit",
                ours.repeated_execution_limit,
                theirs.repeated_execution_limit,
            ),
        ] {
            self.note(key, mine <= limit, &mine, &limit);
        }
        let millis = |span: domain::Nanos| span.0 / 1_000_000;
        // A longer window of these refuses more, an older price is trusted longer.
        for (key, mine, limit) in [
            (
                "order_limits.duplicate_window_ms",
                ours.duplicate_window,
                theirs.duplicate_window,
            ),
            (
                "order_limits.repeated_execution_window_ms",
                ours.repeated_execution_window,
                theirs.repeated_execution_window,
            ),
        ] {
            self.note(key, mine.0 >= limit.0, &millis(mine), &millis(limit));
        }
        let (age, limit) = (ours.max_data_age, theirs.max_data_age);
        self.note(
            "risk_metrics.max_data_age_ms",
            age.0 <= limit.0,
            &millis(age),
            &millis(limit),
        );
    }
}

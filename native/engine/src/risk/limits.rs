//! The limits of the specification's `risk_limits.toml`, and why an order is denied.

use domain::{Decimal, Money, Nanos, RuleViolation};

/// What may never be exceeded: at a limit passes, one unit beyond does not. Amounts are in the portfolio's
/// currency.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct RiskLimits {
    /// `[position_limits] max_position_usd`: largest position in one instrument, open orders included at worst case.
    pub max_position_usd: Money,
    /// `[position_limits] max_portfolio_concentration`: largest share of the portfolio in one asset, 0 to 1.
    pub max_portfolio_concentration: Decimal,
    /// `[position_limits] max_leverage`: gross exposure over equity.
    pub max_leverage: Decimal,
    /// `[risk_metrics] var_limit_1d_95`: one-day value at risk at 95 %, parametric.
    pub var_limit_1d_95: Money,
    /// `[risk_metrics] max_drawdown_pct`: fall from peak equity beyond which trading stops, 0 to 1.
    pub max_drawdown_pct: Decimal,
    /// `[order_limits] max_order_size_usd`: largest order.
    pub max_order_size_usd: Money,
    /// `[order_limits] max_order_rate_per_min`: orders in any 60 seconds.
    pub max_order_rate_per_min: u32,
    /// `[margin] margin_buffer`: share of equity that new exposure must leave free, 0 to 1.
    pub margin_buffer: Decimal,
    /// `[margin] margin_call_threshold`: free share of equity below which only reducing orders pass, 0 to 1.
    pub margin_call_threshold: Decimal,
    /// `[order_limits] price_collar_bps`: farthest a limit price may be from the mid, basis points.
    pub price_collar_bps: u32,
    /// `[order_limits] duplicate_window_ms`: a second order of equal side, price and quantity within this is denied.
    pub duplicate_window: Nanos,
    /// `[order_limits] repeated_execution_limit`: fills in the window after which a person must look.
    pub repeated_execution_limit: u32,
    /// `[order_limits] repeated_execution_window_ms`.
    pub repeated_execution_window: Nanos,
    /// `[risk_metrics] max_data_age_ms`: market data older than this trades nothing.
    pub max_data_age: Nanos,
}

/// Why risk refused an order. The first check that fails names it, in this order.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum DenyReason {
    /// A kill is latched for the scope.
    Killed,
    /// The slot or engine is paused, and a strategy asked.
    Paused,
    /// Only reducing orders pass now.
    ReduceOnly,
    /// The venue has not been reconciled in this life of the service.
    NotReconciled,
    /// The venue is down.
    VenueOffline,
    /// The durable record lags.
    JournalLagging,
    /// No valid book, or no price to judge by.
    NoBook,
    /// Market data are older than the limit.
    StaleData,
    /// The venue's rules refuse it.
    Rule(RuleViolation),
    /// The limit price is too far from the mid.
    PriceCollar,
    /// The order is too large.
    OrderSize,
    /// Too many orders in the last minute.
    OrderRate,
    /// The same order was sent a moment ago.
    Duplicate,
    /// Too many executions: a person must re-arm.
    RepeatedExecution,
    /// An order of this instrument has an unknown outcome: only reducing orders pass.
    UnknownOutcome,
    /// It would trade with another order of ours.
    SelfTrade,
    /// The position would be too large, open orders at worst case.
    PositionLimit,
    /// Too much of the portfolio in one asset.
    Concentration,
    /// Gross exposure over equity would be too high.
    Leverage,
    /// The value at risk would be too high.
    ValueAtRisk,
    /// The drawdown stop is latched.
    Drawdown,
    /// The margin buffer would be used.
    MarginBuffer,
    /// Below the margin-call threshold.
    MarginCall,
    /// The slot's capital does not cover it.
    SlotCapital,
    /// The balance does not cover it.
    Balance,
    /// Too many working orders.
    TooManyOrders,
    /// An amount does not fit its integer.
    Overflow,
    /// It is for another instrument than the slot's: one of another slot, or one that is only watched. Nothing else is
    /// looked at then.
    OtherInstrument,
}

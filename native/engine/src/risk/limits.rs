//! The limits of the specification's `risk_limits.toml`, and why an order is denied.

use domain::{Decimal, Money, Nanos, RuleViolation};
use thiserror::Error;

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
#[derive(Debug, Clone, Copy, PartialEq, Eq, Error)]
pub enum DenyReason {
    /// A kill is latched for the scope.
    #[error("a kill is latched: re-arm first")]
    Killed,
    /// The slot or engine is paused, and a strategy asked.
    #[error("the slot or the engine is paused")]
    Paused,
    /// Only reducing orders pass now.
    #[error("only orders that reduce the position pass now")]
    ReduceOnly,
    /// The venue has not been reconciled in this life of the service.
    #[error("the venue has not been compared with the record yet")]
    NotReconciled,
    /// The venue is down.
    #[error("the venue is down")]
    VenueOffline,
    /// The durable record lags.
    #[error("the durable record lags")]
    JournalLagging,
    /// No valid book, or no price to judge by.
    #[error("there is no valid book, so no price to judge by")]
    NoBook,
    /// Market data are older than the limit.
    #[error("market data are older than max_data_age_ms")]
    StaleData,
    /// The venue's rules refuse it.
    #[error("the venue refuses it: {0}")]
    Rule(RuleViolation),
    /// The limit price is too far from the mid.
    #[error("the price is farther from the mid than price_collar_bps")]
    PriceCollar,
    /// The order is too large.
    #[error("the order is larger than max_order_size_usd")]
    OrderSize,
    /// Too many orders in the last minute.
    #[error("max_order_rate_per_min orders have left in the last minute")]
    OrderRate,
    /// The same order was sent a moment ago.
    #[error("the same order was sent within duplicate_window_ms")]
    Duplicate,
    /// Too many executions: a person must re-arm.
    #[error("more than repeated_execution_limit fills came in a row: re-arm first")]
    RepeatedExecution,
    /// An order of this instrument has an unknown outcome: only reducing orders pass.
    #[error(
        "what became of another order of the instrument is not known: only orders that reduce the position pass"
    )]
    UnknownOutcome,
    /// It would trade with another order of ours.
    #[error("it would trade with another order of the account")]
    SelfTrade,
    /// The position would be too large, open orders at worst case.
    #[error("the position could grow beyond max_position_usd")]
    PositionLimit,
    /// Too much of the portfolio in one asset.
    #[error("one asset could outgrow max_portfolio_concentration")]
    Concentration,
    /// Gross exposure over equity would be too high.
    #[error("exposure could outgrow max_leverage")]
    Leverage,
    /// The value at risk would be too high.
    #[error("the value at risk could outgrow var_limit_1d_95")]
    ValueAtRisk,
    /// The drawdown stop is latched.
    #[error("the stop at max_drawdown_pct is latched: re-arm first")]
    Drawdown,
    /// The margin buffer would be used.
    #[error("margin_buffer of the equity must stay free")]
    MarginBuffer,
    /// Below the margin-call threshold.
    #[error(
        "less than margin_call_threshold of the equity is free: only orders that reduce the position pass"
    )]
    MarginCall,
    /// The slot's capital does not cover it.
    #[error("the slot's capital does not cover it")]
    SlotCapital,
    /// The balance does not cover it.
    #[error("the account's balance does not cover it")]
    Balance,
    /// Too many working orders.
    #[error("too many orders are open")]
    TooManyOrders,
    /// An amount does not fit its integer.
    #[error("an amount does not fit its integer")]
    Overflow,
    /// It is for another instrument than the slot's: one of another slot, or one that is only watched. Nothing else is
    /// looked at then.
    #[error("it is for another instrument than the slot's")]
    OtherInstrument,
}

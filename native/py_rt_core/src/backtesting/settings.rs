//! The mapping `config` as settings of a backtest.

use backtest::Settings;
use domain::{
    Currency, Decimal, Instrument, InstrumentId, InstrumentRules, InstrumentStatus, Money, Nanos, Price,
    Quantity, SCALE, Text, Timestamp, Venue,
};
use engine::limits::{EXECUTIONS_IN_WINDOW_MAX, ORDERS_IN_WINDOW_MAX};
use engine::risk::RiskLimits;
use pyo3::prelude::*;
use simulation::{FeeAsset, FeeSchedule, FlowConfig, Latency, LatencyModel};

use super::market::Market;
use super::options::Options;
use super::program::Loaded;
use crate::error::refused;

/// Units of 1e-8 in ten basis points, the standard rate of Binance's lowest tier.
const FEE_BPS: Decimal = Decimal::from_units(10 * SCALE);
const CAPITAL: Decimal = Decimal::from_units(100_000 * SCALE);
const LATENCY_MS: Decimal = Decimal::from_units(50 * SCALE);
const JITTER_MS: Decimal = Decimal::from_units(10 * SCALE);
const SEED: u64 = 7;
/// Without limits nothing is measured by it; the engine only needs it above zero.
const DAILY_VOLATILITY: Decimal = Decimal::from_units(SCALE / 25);
/// As much as any amount may be: ten billion.
const UNLIMITED: Decimal = Decimal::from_units(10_000_000_000 * SCALE);

/// Reads every key; the start of trading is the second value.
pub(super) fn settings(
    mut options: Options<'_>,
    market: &Market,
    loaded: &Loaded,
) -> PyResult<(Settings, Timestamp)> {
    let read = read(&mut options, market, loaded)?;
    options.finish()?;
    Ok(read)
}

fn read(options: &mut Options<'_>, market: &Market, loaded: &Loaded) -> PyResult<(Settings, Timestamp)> {
    let instrument = instrument(options, market)?;
    let capital = options.number_or("capital", CAPITAL)?;
    let limits = limits(options, instrument.quote)?;
    let volatility = options.number("daily_volatility")?.or(loaded.daily_volatility);
    if limits.is_some() && volatility.is_none() {
        return Err(refused(
            "config: risk_limits needs daily_volatility, which the value at risk is measured with: give it here, or in \
             the strategy file under [ml_model]",
        ));
    }
    let seed = options.number_or("seed", SEED)?;
    let settings = Settings {
        instrument,
        capital: Money::from_decimal_units(capital.units(), instrument.quote),
        limits: limits.unwrap_or_else(|| unlimited(instrument.quote)),
        daily_volatility: volatility.unwrap_or(DAILY_VOLATILITY),
        bar_span: market.span(),
        latency: latency(options, seed)?,
        fees: fees(options, &instrument)?,
        flow: flow(options, seed)?,
        keep_signals: options.flag_or("keep_signals", true)?,
    };
    let start: Option<i64> = options.number("start")?;
    if start.is_some() && matches!(market, Market::Quotes(_)) {
        return Err(refused(
            "config: start is for bars, whose earlier rows warm features; cut the quotes instead",
        ));
    }
    Ok((settings, Timestamp::from_nanos(start.unwrap_or(i64::MIN))))
}

fn instrument(options: &mut Options<'_>, market: &Market) -> PyResult<Instrument> {
    let symbol = options.text("symbol")?.unwrap_or_else(|| "BTCUSDT".into());
    let base = currency(options, "base", "BTC")?;
    let quote = currency(options, "quote", "USDT")?;
    let units = |number: Decimal| Price::from_units(number.units());
    let size = |number: Decimal| Quantity::from_units(number.units());
    let tick_size = match options.number("tick_size")? {
        Some(tick) => units(tick),
        None => market.tick(),
    };
    let lot_size = size(options.number_or("lot_size", Decimal::from_units(1))?);
    if tick_size <= Price::ZERO || lot_size <= Quantity::ZERO {
        return Err(refused("config: tick_size and lot_size must be above 0"));
    }
    let min_notional = options.number_or("min_notional", Decimal::ZERO)?;
    Ok(Instrument {
        id: InstrumentId(0),
        venue: Venue::Binance,
        symbol: Text::new(&symbol).ok_or_else(|| {
            refused(format!(
                "config: symbol {symbol:?} is longer than 24 ASCII characters"
            ))
        })?,
        base,
        quote,
        rules: InstrumentRules {
            tick_size,
            lot_size,
            min_price: Price::ZERO,
            max_price: Price::ZERO,
            min_quantity: size(options.number_or("min_quantity", Decimal::ZERO)?),
            max_quantity: Quantity::ZERO,
            min_notional: Money::from_decimal_units(min_notional.units(), quote),
        },
        status: InstrumentStatus::Trading,
    })
}

fn currency(options: &mut Options<'_>, key: &'static str, default: &str) -> PyResult<Currency> {
    let code = options.text(key)?.unwrap_or_else(|| default.into());
    Currency::new(&code).ok_or_else(|| {
        refused(format!(
            "config: {key} is {code:?}; expected a code of up to 12 letters and digits"
        ))
    })
}

fn limits(options: &mut Options<'_>, quote: Currency) -> PyResult<Option<RiskLimits>> {
    let Some(text) = options.text("risk_limits")? else {
        return Ok(None);
    };
    let limits = config::parse_risk_limits("risk_limits", &text).map_err(refused)?;
    let found = limits.max_position_usd.currency();
    if found != quote {
        return Err(refused(format!(
            "config: risk_limits are in {found}, the instrument is quoted in {quote}"
        )));
    }
    Ok(Some(limits))
}

/// No limit but the capital.
fn unlimited(quote: Currency) -> RiskLimits {
    let amount = Money::from_decimal_units(UNLIMITED.units(), quote);
    let count = |most: usize| u32::try_from(most).unwrap_or(u32::MAX);
    RiskLimits {
        max_position_usd: amount,
        max_portfolio_concentration: Decimal::ONE,
        max_leverage: Decimal::ONE,
        var_limit_1d_95: amount,
        max_drawdown_pct: Decimal::ONE,
        max_order_size_usd: amount,
        max_order_rate_per_min: count(ORDERS_IN_WINDOW_MAX),
        margin_buffer: Decimal::ZERO,
        margin_call_threshold: Decimal::ZERO,
        price_collar_bps: 10_000,
        duplicate_window: Nanos(0),
        repeated_execution_limit: count(EXECUTIONS_IN_WINDOW_MAX - 1),
        repeated_execution_window: Nanos(1),
        max_data_age: Nanos::from_secs(86_400),
    }
}

fn latency(options: &mut Options<'_>, seed: u64) -> PyResult<LatencyModel> {
    let leg = Latency {
        base: millis(options.number_or("latency_ms", LATENCY_MS)?),
        jitter: millis(options.number_or("latency_jitter_ms", JITTER_MS)?),
    };
    if leg.base.0 < 0 || leg.jitter.0 < 0 {
        return Err(refused(
            "config: latency_ms and latency_jitter_ms must not be negative",
        ));
    }
    Ok(LatencyModel {
        feed: leg,
        entry: leg,
        report: leg,
        seed,
    })
}

fn fees(options: &mut Options<'_>, instrument: &Instrument) -> PyResult<FeeSchedule> {
    let asset = options.text("fee_asset")?;
    let price: Option<Decimal> = options.number("fee_asset_price")?;
    let asset = match (asset.as_deref(), price) {
        (None, None) => FeeAsset::Quote,
        (Some("received"), None) => FeeAsset::Received,
        (Some(code), None) if code == instrument.quote.as_str() => FeeAsset::Quote,
        (Some(code), None) if code == instrument.base.as_str() => FeeAsset::Base,
        (Some(code), Some(price)) if price > Decimal::ZERO => FeeAsset::Third {
            currency: Currency::new(code)
                .ok_or_else(|| refused(format!("config: fee_asset {code:?} is no currency code")))?,
            price: Price::from_units(price.units()),
        },
        _ => {
            return Err(refused(format!(
                "config: fee_asset is {asset:?} with fee_asset_price {price:?}; expected {}, {}, \"received\", or \
                 another code with fee_asset_price above 0, its price in {}",
                instrument.quote, instrument.base, instrument.quote
            )));
        }
    };
    Ok(FeeSchedule {
        maker_bps: options.number_or("maker_bps", FEE_BPS)?,
        taker_bps: options.number_or("taker_bps", FEE_BPS)?,
        asset,
    })
}

fn flow(options: &mut Options<'_>, seed: u64) -> PyResult<FlowConfig> {
    let usual = FlowConfig::with_seed(seed);
    Ok(FlowConfig {
        spread_min_ppm: options.number_or("spread_min_ppm", usual.spread_min_ppm)?,
        spread_max_ppm: options.number_or("spread_max_ppm", usual.spread_max_ppm)?,
        trades_min: options.number_or("trades_min", usual.trades_min)?,
        trades_max: options.number_or("trades_max", usual.trades_max)?,
        ..usual
    })
}

/// Milliseconds with a fraction, exact to the nanosecond.
fn millis(number: Decimal) -> Nanos {
    const UNITS_PER_NANO: i64 = SCALE / 1_000_000;
    Nanos(number.units() / UNITS_PER_NANO)
}

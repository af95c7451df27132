//! The one instrument that is traded here, and the venue's filters on its orders.

use domain::{
    Currency, Decimal, Instrument, InstrumentId, InstrumentRules, InstrumentStatus, Money, Price, Quantity,
    Text, Venue,
};
use serde_json::{Value, json};

use crate::api_error::ApiError;
use crate::decimal::{money8, price8, quantity8};
use crate::error::ServerError;
use crate::rate::{ORDERS_PER_10_SECONDS, RAW_REQUESTS_PER_5_MINUTES};

/// Most open orders of one account.
pub(crate) const OPEN_ORDERS_MAX: usize = 200;
/// How far a limit price may be from the last trade, upward and downward.
const PRICE_TIMES_MAX: i64 = 5;
const PRICE_PARTS_MIN: i64 = 5;
/// Quote currencies that a symbol may end in, longest first.
const QUOTES: [&str; 8] = ["FDUSD", "USDT", "USDC", "BUSD", "EUR", "USD", "BTC", "ETH"];

/// The instrument with what the wire says about it.
#[derive(Debug, Clone)]
pub(crate) struct Listing {
    pub(crate) instrument: Instrument,
    pub(crate) symbol: String,
    pub(crate) maker_bps: Decimal,
    pub(crate) taker_bps: Decimal,
    weight_limit: u64,
}

impl Listing {
    /// A listing of `symbol`, with the tick of the record and the venue's usual bounds.
    pub(crate) fn new(
        symbol: &str,
        tick_size: Price,
        bps: (Decimal, Decimal),
        weight_limit: u64,
    ) -> Result<Self, ServerError> {
        let refused = || ServerError::Option {
            option: "--symbol",
            value: symbol.to_owned(),
            allowed: "upper-case base and quote, the quote one of FDUSD, USDT, USDC, BUSD, EUR, USD, BTC, ETH",
        };
        let plain = symbol
            .bytes()
            .all(|byte| byte.is_ascii_uppercase() || byte.is_ascii_digit());
        let base = QUOTES
            .iter()
            .find_map(|quote| symbol.strip_suffix(quote))
            .filter(|base| plain && !base.is_empty())
            .ok_or_else(refused)?;
        let quote = Currency::new(&symbol[base.len()..]).ok_or_else(refused)?;
        let rules = InstrumentRules {
            tick_size,
            lot_size: Quantity::from_units(1),
            min_price: tick_size,
            max_price: Price::from_units(1_000_000 * domain::SCALE).round_down(tick_size),
            min_quantity: Quantity::from_units(1_000),
            max_quantity: Quantity::from_units(9_000 * domain::SCALE),
            min_notional: Money::from_decimal_units(5 * domain::SCALE, quote),
        };
        Ok(Self {
            instrument: Instrument {
                id: InstrumentId(0),
                venue: Venue::Binance,
                symbol: Text::new(symbol).ok_or_else(refused)?,
                base: Currency::new(base).ok_or_else(refused)?,
                quote,
                rules,
                status: InstrumentStatus::Trading,
            },
            symbol: symbol.to_owned(),
            maker_bps: bps.0,
            taker_bps: bps.1,
            weight_limit,
        })
    }

    /// The venue's filters, in the order in which it names the first that fails.
    ///
    /// `last` is the last trade's price: it prices market orders and bounds limit prices.
    pub(crate) fn check(
        &self,
        price: Option<Price>,
        quantity: Quantity,
        last: Price,
    ) -> Result<(), ApiError> {
        let rules = &self.instrument.rules;
        if let Some(price) = price {
            let outside = price < rules.min_price || price > rules.max_price;
            if outside || !price.is_multiple_of(rules.tick_size) {
                return Err(ApiError::filter("PRICE_FILTER"));
            }
            let (high, low) = (
                last.units().saturating_mul(PRICE_TIMES_MAX),
                last.units() / PRICE_PARTS_MIN,
            );
            if !last.is_zero() && !(low..=high).contains(&price.units()) {
                return Err(ApiError::filter("PERCENT_PRICE_BY_SIDE"));
            }
        }
        let outside = quantity < rules.min_quantity || quantity > rules.max_quantity;
        if outside || !quantity.is_multiple_of(rules.lot_size) {
            return Err(ApiError::filter("LOT_SIZE"));
        }
        let notional = price.unwrap_or(last).notional(quantity, self.instrument.quote);
        if notional.units() < rules.min_notional.units() {
            return Err(ApiError::filter("NOTIONAL"));
        }
        Ok(())
    }

    /// The answer to `exchangeInfo`. Every filter in it is enforced.
    pub(crate) fn exchange_info(&self, server_time_ms: i64) -> Value {
        json!({
            "timezone": "UTC",
            "serverTime": server_time_ms,
            "rateLimits": [
                limit("REQUEST_WEIGHT", "MINUTE", 1, self.weight_limit),
                limit("ORDERS", "SECOND", 10, ORDERS_PER_10_SECONDS),
                limit("RAW_REQUESTS", "MINUTE", 5, RAW_REQUESTS_PER_5_MINUTES),
            ],
            "exchangeFilters": [],
            "symbols": [self.symbol_info()],
        })
    }

    fn symbol_info(&self) -> Value {
        let instrument = &self.instrument;
        json!({
            "symbol": self.symbol,
            "status": "TRADING",
            "baseAsset": instrument.base.as_str(),
            "baseAssetPrecision": 8,
            "quoteAsset": instrument.quote.as_str(),
            "quotePrecision": 8,
            "quoteAssetPrecision": 8,
            "baseCommissionPrecision": 8,
            "quoteCommissionPrecision": 8,
            "orderTypes": ["LIMIT", "LIMIT_MAKER", "MARKET"],
            "icebergAllowed": false,
            "ocoAllowed": false,
            "otoAllowed": false,
            "quoteOrderQtyMarketAllowed": false,
            "allowTrailingStop": false,
            "cancelReplaceAllowed": false,
            "amendAllowed": false,
            "isSpotTradingAllowed": true,
            "isMarginTradingAllowed": false,
            "filters": self.filters(),
            "permissions": [],
            "permissionSets": [["SPOT"]],
            "defaultSelfTradePreventionMode": "EXPIRE_MAKER",
            "allowedSelfTradePreventionModes": ["EXPIRE_TAKER", "EXPIRE_MAKER", "EXPIRE_BOTH"],
        })
    }

    fn filters(&self) -> Value {
        let rules = &self.instrument.rules;
        json!([
            {
                "filterType": "PRICE_FILTER",
                "minPrice": price8(rules.min_price),
                "maxPrice": price8(rules.max_price),
                "tickSize": price8(rules.tick_size),
            },
            {
                "filterType": "LOT_SIZE",
                "minQty": quantity8(rules.min_quantity),
                "maxQty": quantity8(rules.max_quantity),
                "stepSize": quantity8(rules.lot_size),
            },
            {
                "filterType": "MARKET_LOT_SIZE",
                "minQty": quantity8(rules.min_quantity),
                "maxQty": quantity8(rules.max_quantity),
                "stepSize": quantity8(rules.lot_size),
            },
            {
                "filterType": "PERCENT_PRICE_BY_SIDE",
                "bidMultiplierUp": "5",
                "bidMultiplierDown": "0.2",
                "askMultiplierUp": "5",
                "askMultiplierDown": "0.2",
                "avgPriceMins": 0,
            },
            {
                "filterType": "NOTIONAL",
                "minNotional": money8(rules.min_notional),
                "applyMinToMarket": true,
                "maxNotional": "9000000000.00000000",
                "applyMaxToMarket": false,
                "avgPriceMins": 0,
            },
            { "filterType": "MAX_NUM_ORDERS", "maxNumOrders": OPEN_ORDERS_MAX },
        ])
    }
}

fn limit(kind: &str, interval: &str, count: u32, limit: u64) -> Value {
    json!({ "rateLimitType": kind, "interval": interval, "intervalNum": count, "limit": limit })
}

#[cfg(test)]
mod tests {
    use super::*;

    fn listing() -> Listing {
        let tick = Price::from_units(390_625);
        Listing::new("BTCUSDT", tick, (Decimal::ZERO, Decimal::ZERO), 6_000).unwrap()
    }

    #[test]
    fn each_filter_has_its_boundary() {
        let listing = listing();
        let check = |price: Option<&str>, quantity: &str| {
            let price = price.map(|text| Price::parse(text.as_bytes()).unwrap());
            let quantity = Quantity::parse(quantity.as_bytes()).unwrap();
            listing
                .check(price, quantity, Price::from_units(40_000 * domain::SCALE))
                .map_err(|error| error.message)
        };
        let filter = |name: &str| Err(format!("Filter failure: {name}"));
        assert_eq!(check(Some("40000.00390625"), "1"), Ok(()));
        assert_eq!(check(Some("40000.00390624"), "1"), filter("PRICE_FILTER"));
        assert_eq!(check(Some("1000000.00390625"), "1"), filter("PRICE_FILTER"));
        assert_eq!(check(Some("200000"), "1"), Ok(()));
        assert_eq!(
            check(Some("200000.00390625"), "1"),
            filter("PERCENT_PRICE_BY_SIDE")
        );
        assert_eq!(check(Some("8000"), "1"), Ok(()));
        assert_eq!(check(Some("7999.99609375"), "1"), filter("PERCENT_PRICE_BY_SIDE"));
        assert_eq!(check(None, "0.00000999"), filter("LOT_SIZE"));
        assert_eq!(check(None, "9000.00000001"), filter("LOT_SIZE"));
        assert_eq!(check(None, "0.000125"), Ok(()));
        assert_eq!(check(None, "0.00012499"), filter("NOTIONAL"));
    }

    #[test]
    fn the_symbol_names_base_and_quote() {
        let listing = listing();
        assert_eq!(
            (
                listing.instrument.base.as_str(),
                listing.instrument.quote.as_str()
            ),
            ("BTC", "USDT")
        );
        for wrong in ["btcusdt", "USDT", "BTCXYZ", ""] {
            let tick = Price::from_units(1);
            assert!(
                Listing::new(wrong, tick, (Decimal::ZERO, Decimal::ZERO), 1).is_err(),
                "{wrong}"
            );
        }
    }
}

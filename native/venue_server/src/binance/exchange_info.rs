//! The rules of the instrument as `exchangeInfo` lists them.

use serde_json::{Value, json};

use crate::decimal::{money8, price8, quantity8};
use crate::listing::{Listing, OPEN_ORDERS_MAX};
use crate::rate::{ORDERS_PER_10_SECONDS, RAW_REQUESTS_PER_5_MINUTES};
use crate::venue::Mode;

impl Listing {
    /// The answer to `exchangeInfo`. Every filter in it is enforced.
    pub(crate) fn exchange_info(&self, mode: Mode, server_time_ms: i64) -> Value {
        json!({
            "timezone": "UTC",
            "serverTime": server_time_ms,
            "rateLimits": [
                limit("REQUEST_WEIGHT", "MINUTE", 1, self.weight_limit),
                limit("ORDERS", "SECOND", 10, ORDERS_PER_10_SECONDS),
                limit("RAW_REQUESTS", "MINUTE", 5, RAW_REQUESTS_PER_5_MINUTES),
            ],
            "exchangeFilters": [],
            "symbols": [self.symbol_info(mode)],
        })
    }

    fn symbol_info(&self, mode: Mode) -> Value {
        let instrument = &self.instrument;
        json!({
            "symbol": self.symbol,
            "status": match mode {
                Mode::Online | Mode::PostOnly => "TRADING",
                Mode::CancelOnly => "CANCEL_ONLY",
                Mode::Maintenance => "BREAK",
            },
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

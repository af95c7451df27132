//! Products, books, bars and trades over REST.

use domain::{Side, Timestamp};
use serde_json::{Value, json};

use super::error::Failure;
use super::names;
use super::query::Query;
use crate::decimal::plain;
use crate::instant::rfc3339;
use crate::listing::Listing;
use crate::venue::{Mode, Venue};

/// Levels of a book where no number is asked for: all of them.
const LEVELS_ALL: usize = usize::MAX;
/// Most bars of one answer.
const BARS_MAX: usize = 350;
/// Trades of an answer that asks for no number, and the most of any.
const TRADES_DEFAULT: usize = 100;
const TRADES_MAX: usize = 1_000;

pub(crate) fn time(shown: Timestamp) -> Value {
    json!({
        "iso": rfc3339(shown, 3),
        "epochSeconds": (shown.millis() / 1_000).to_string(),
        "epochMillis": shown.millis().to_string(),
    })
}

pub(super) fn products(venue: &Venue, query: &Query, now: Timestamp) -> Value {
    let shown = query.keeps("product_ids", &venue.listing.symbol)
        && query.get("product_type").is_none_or(|kind| kind == "SPOT");
    let products = if shown {
        vec![product(venue, now)]
    } else {
        Vec::new()
    };
    json!({
        "num_products": products.len(),
        "products": products,
        "pagination": { "prev_cursor": "", "next_cursor": "", "has_next": false, "has_prev": false },
    })
}

/// The one product.
pub(super) fn product(venue: &Venue, now: Timestamp) -> Value {
    let day = venue.day(now);
    let best = venue.market.best();
    let [bid, ask] = [best.bid, best.ask].map(Option::unwrap_or_default);
    let mut product = listed_product(&venue.listing, venue.mode());
    product["price"] = json!(names::price(venue.history.last_price()));
    product["volume_24h"] = json!(names::quantity(day.volume));
    product["best_bid_price"] = json!(names::price(bid.0));
    product["best_ask_price"] = json!(names::price(ask.0));
    product["high_24h"] = json!(names::price(day.high));
    product["low_24h"] = json!(names::price(day.low));
    product
}

/// A product of which nothing was traded yet.
pub(crate) fn listed_product(listing: &Listing, mode: Mode) -> Value {
    let instrument = &listing.instrument;
    let rules = &instrument.rules;
    let step = names::price(rules.tick_size);
    let notional = plain(rules.min_notional.decimal_units().unwrap_or(0));
    json!({
        "product_id": listing.symbol,
        "price": "0",
        "price_percentage_change_24h": "0",
        "volume_24h": "0",
        "volume_percentage_change_24h": "0",
        "base_increment": names::quantity(rules.lot_size),
        "quote_increment": step,
        "price_increment": step,
        "quote_min_size": notional,
        "quote_max_size": "150000000",
        "base_min_size": names::quantity(rules.min_quantity),
        "base_max_size": names::quantity(rules.max_quantity),
        "base_name": instrument.base.as_str(),
        "quote_name": instrument.quote.as_str(),
        "watched": false,
        "is_disabled": false,
        "new": false,
        "status": "online",
        "cancel_only": mode == Mode::CancelOnly,
        "limit_only": false,
        "post_only": mode == Mode::PostOnly,
        "trading_disabled": mode == Mode::Maintenance,
        "auction_mode": false,
        "product_type": "SPOT",
        "quote_currency_id": instrument.quote.as_str(),
        "base_currency_id": instrument.base.as_str(),
        "fcm_trading_session_details": null,
        "mid_market_price": "",
        "alias": "",
        "alias_to": [],
        "base_display_symbol": instrument.base.as_str(),
        "quote_display_symbol": instrument.quote.as_str(),
        "view_only": false,
        "display_name": listing.symbol,
        "product_venue": "CBE",
        "approximate_quote_24h_volume": "0",
        "best_bid_price": "",
        "best_ask_price": "",
        "high_24h": "",
        "low_24h": "",
    })
}

pub(super) fn check_product(venue: &Venue, id: &str) -> Result<(), Failure> {
    if id == venue.listing.symbol {
        Ok(())
    } else {
        Err(Failure::not_found("valid product_id is required"))
    }
}

/// The book as of now.
pub(super) fn book(venue: &Venue, query: &Query, shown: Timestamp) -> Result<Value, Failure> {
    check_product(venue, query.get("product_id").unwrap_or_default())?;
    let limit = query.number("limit")?.unwrap_or(LEVELS_ALL);
    let best = venue.market.best();
    let [bid, ask] = [best.bid, best.ask].map(Option::unwrap_or_default);
    let middle = bid.0.midpoint(ask.0);
    Ok(json!({
        "pricebook": pricebook(venue, limit, shown),
        "last": names::price(venue.history.last_price()),
        "mid_market": names::price(middle),
        "spread_absolute": plain(ask.0.units() - bid.0.units()),
    }))
}

pub(super) fn best(venue: &Venue, query: &Query, shown: Timestamp) -> Value {
    let asked = query.keeps("product_ids", &venue.listing.symbol);
    let books = if asked {
        vec![pricebook(venue, 1, shown)]
    } else {
        Vec::new()
    };
    json!({ "pricebooks": books })
}

fn pricebook(venue: &Venue, limit: usize, shown: Timestamp) -> Value {
    let side = |side| {
        let mut levels = Vec::new();
        venue.market.depth(side, limit, &mut levels);
        let level =
            |(price, quantity)| json!({ "price": names::price(price), "size": names::quantity(quantity) });
        levels.into_iter().map(level).collect::<Value>()
    };
    json!({
        "product_id": venue.listing.symbol,
        "bids": side(Side::Buy),
        "asks": side(Side::Sell),
        "time": rfc3339(shown, 6),
    })
}

/// Bars, the latest first.
pub(super) fn candles(venue: &Venue, query: &Query, now: Timestamp) -> Result<Value, Failure> {
    let span_s = venue.market.bars().first().map_or(0, |bar| bar.span.0) / 1_000_000_000;
    let asked = match query.get("granularity") {
        Some("ONE_MINUTE") => 60,
        Some("FIVE_MINUTE") => 300,
        Some("FIFTEEN_MINUTE") => 900,
        Some("THIRTY_MINUTE") => 1_800,
        Some("ONE_HOUR") => 3_600,
        Some("TWO_HOUR") => 7_200,
        Some("SIX_HOUR") => 21_600,
        Some("ONE_DAY") => 86_400,
        _ => return Err(Failure::invalid("granularity")),
    };
    if asked != span_s {
        return Err(Failure::invalid("granularity: another than the record's"));
    }
    let bound = |name: &str| -> Result<Option<Timestamp>, Failure> {
        let read = |text: &str| text.parse::<i64>().ok().and_then(|s| s.checked_mul(1_000));
        let value = query
            .get(name)
            .map(|text| read(text).ok_or_else(|| Failure::invalid(name)));
        Ok(value.transpose()?.map(Timestamp::from_millis))
    };
    let limit = query.number("limit")?.unwrap_or(BARS_MAX).clamp(1, BARS_MAX);
    let bars = venue.history.bars(now, bound("start")?, bound("end")?, limit);
    let listed = bars.iter().rev().map(|shown| {
        let bar = &shown.bar;
        json!({
            "start": (bar.ts_open.millis() / 1_000).to_string(),
            "low": names::price(bar.low),
            "high": names::price(bar.high),
            "open": names::price(bar.open),
            "close": names::price(bar.close),
            "volume": names::quantity(bar.volume),
        })
    });
    Ok(json!({ "candles": listed.collect::<Value>() }))
}

/// The latest trades, the last one first, with the best prices.
pub(super) fn trades(venue: &Venue, query: &Query) -> Result<Value, Failure> {
    let limit = query
        .number("limit")?
        .unwrap_or(TRADES_DEFAULT)
        .clamp(1, TRADES_MAX);
    let best = venue.market.best();
    let [bid, ask] = [best.bid, best.ask].map(Option::unwrap_or_default);
    let listed = venue.history.latest(limit).rev().map(|trade| {
        json!({
            "trade_id": trade.trade_id.0.to_string(),
            "product_id": venue.listing.symbol,
            "price": names::price(trade.price),
            "size": names::quantity(trade.quantity),
            "time": rfc3339(trade.ts_event, 6),
            "side": super::views::maker_side(trade.aggressor),
            "bid": "",
            "ask": "",
        })
    });
    Ok(json!({
        "trades": listed.collect::<Value>(),
        "best_bid": names::price(bid.0),
        "best_ask": names::price(ask.0),
    }))
}

//! The public calls of REST.

use domain::{Side, Timestamp, Trade};
use serde_json::{Value, json};

use super::entry::side_name;
use super::error::Failure;
use super::fields::Fields;
use super::names::{self, Names};
use super::views::time;
use crate::decimal::plain;
use crate::history::ShownBar;
use crate::instant::{rfc1123, rfc3339, seconds};
use crate::listing::Listing;
use crate::venue::{Mode, Venue};

/// Levels of a snapshot that asks for no number, and the most of any.
const DEPTH_DEFAULT: usize = 100;
const DEPTH_MAX: usize = 500;
/// Bars of one answer.
const BARS_MAX: usize = 720;
/// Trades of one answer.
const TRADES_MAX: usize = 1_000;
/// Nanoseconds of a minute.
const MINUTE: i64 = 60_000_000_000;

/// The answer of `/0/public/<method>`.
pub(super) fn answer(venue: &mut Venue, method: &str, fields: &Fields) -> Result<Value, Failure> {
    let now = venue.catch_up();
    let shown = venue.shown(now);
    let names = Names::of(&venue.listing);
    Ok(match method {
        "Time" => json!({ "unixtime": shown.millis().div_euclid(1_000), "rfc1123": rfc1123(shown) }),
        "SystemStatus" => json!({ "status": venue.mode().as_str(), "timestamp": rfc3339(shown, 0) }),
        "Assets" => assets(&venue.listing, &names),
        "AssetPairs" => {
            let asked = fields.list("pair");
            if asked.iter().any(|name| !names.is_pair(name)) {
                return Err(Failure::unknown_pair());
            }
            json!({ &names.pair: asset_pair(&venue.listing, venue.mode(), &names) })
        }
        "Depth" => {
            check_pair(&names, fields)?;
            json!({ &names.pair: depth(venue, &names, fields, shown)? })
        }
        "OHLC" => {
            check_pair(&names, fields)?;
            ohlc(venue, &names, fields, now)?
        }
        "Ticker" => {
            let asked = fields.list("pair");
            if asked.iter().any(|name| !names.is_pair(name)) {
                return Err(Failure::unknown_pair());
            }
            json!({ &names.pair: ticker(venue, &names, now) })
        }
        "Trades" => {
            check_pair(&names, fields)?;
            trades(venue, &names, fields)?
        }
        _ => return Err(Failure::text("EGeneral:Unknown method")),
    })
}

fn check_pair(names: &Names, fields: &Fields) -> Result<(), Failure> {
    if names.is_pair(fields.required("pair")?) {
        Ok(())
    } else {
        Err(Failure::unknown_pair())
    }
}

pub(crate) fn assets(listing: &Listing, names: &Names) -> Value {
    let instrument = &listing.instrument;
    let entry = |currency| {
        json!({
            "aclass": "currency",
            "altname": names::asset_alt(currency),
            "decimals": names::COST_DECIMALS,
            "display_decimals": 5,
            "status": "enabled",
        })
    };
    json!({ &names.base: entry(instrument.base), &names.quote: entry(instrument.quote) })
}

pub(crate) fn asset_pair(listing: &Listing, mode: Mode, names: &Names) -> Value {
    let rules = &listing.instrument.rules;
    // Ten-thousandths as percent.
    let percent =
        |bps: domain::Decimal| serde_json::from_str::<Value>(&plain(bps.units() / 100)).unwrap_or_default();
    json!({
        "altname": names.alt,
        "wsname": names.ws,
        "aclass_base": "currency",
        "base": names.base,
        "aclass_quote": "currency",
        "quote": names.quote,
        "lot": "unit",
        "cost_decimals": names::COST_DECIMALS,
        "pair_decimals": names.price_decimals,
        "lot_decimals": names::LOT_DECIMALS,
        "lot_multiplier": 1,
        "leverage_buy": [],
        "leverage_sell": [],
        "fees": [[0, percent(listing.taker_bps)]],
        "fees_maker": [[0, percent(listing.maker_bps)]],
        "fee_volume_currency": "ZUSD",
        "margin_call": 80,
        "margin_stop": 40,
        "ordermin": plain(rules.min_quantity.units()),
        "costmin": plain(rules.min_notional.decimal_units().unwrap_or(0)),
        "tick_size": plain(rules.tick_size.units()),
        "status": mode.as_str(),
    })
}

fn depth(venue: &Venue, names: &Names, fields: &Fields, shown: Timestamp) -> Result<Value, Failure> {
    let count = fields.integer("count")?.map_or(Ok(DEPTH_DEFAULT), |count| {
        usize::try_from(count).map_err(|_| Failure::arguments("count"))
    })?;
    let second = shown.millis().div_euclid(1_000);
    let side = |side| {
        let mut levels = Vec::new();
        venue.market.depth(side, count.clamp(1, DEPTH_MAX), &mut levels);
        let level = |(price, quantity)| json!([names.price(price), names::quantity(quantity), second]);
        levels.into_iter().map(level).collect::<Value>()
    };
    Ok(json!({ "asks": side(Side::Sell), "bids": side(Side::Buy) }))
}

/// Average price of a bar, as text.
pub(super) fn vwap(bar: &ShownBar, names: &Names) -> String {
    let volume = i128::from(bar.bar.volume.units()).max(1);
    let units = i64::try_from(bar.value / volume).unwrap_or(i64::MAX);
    names.price(domain::Price::from_units(units))
}

fn ohlc(venue: &Venue, names: &Names, fields: &Fields, now: Timestamp) -> Result<Value, Failure> {
    let minutes = fields.integer("interval")?.unwrap_or(1);
    if minutes.checked_mul(MINUTE) != Some(span(venue)) {
        return Err(Failure::arguments("interval"));
    }
    let since = fields.integer("since")?.unwrap_or(0);
    let bars = venue.history.bars(now, None, None, BARS_MAX);
    let kept = bars
        .iter()
        .filter(|shown| shown.bar.ts_open.millis() / 1_000 > since);
    let listed: Vec<Value> = kept
        .map(|shown| {
            let bar = &shown.bar;
            json!([
                bar.ts_open.millis() / 1_000,
                names.price(bar.open),
                names.price(bar.high),
                names.price(bar.low),
                names.price(bar.close),
                vwap(shown, names),
                names::quantity(bar.volume),
                shown.trades,
            ])
        })
        .collect();
    // The last one that has passed.
    let closed = bars.iter().rev().find(|shown| shown.bar.ts_close() <= now);
    let last = closed.map_or(0, |shown| shown.bar.ts_open.millis() / 1_000);
    Ok(json!({ &names.pair: listed, "last": last }))
}

/// Nanoseconds of the record's bars.
pub(super) fn span(venue: &Venue) -> i64 {
    venue.market.bars().first().map_or(0, |bar| bar.span.0)
}

/// `Ticker`; what it says of 24 hours is of the record's last bars that fit in them.
fn ticker(venue: &Venue, names: &Names, now: Timestamp) -> Value {
    let best = venue.market.best();
    let [bid, ask] = [best.bid, best.ask].map(Option::unwrap_or_default);
    let quote = |(price, quantity)| json!([names.price(price), "1", names::quantity(quantity)]);
    let last = venue.history.latest(1).next();
    let (price, quantity) = last.map_or((venue.history.last_price(), domain::Quantity::ZERO), |trade| {
        (trade.price, trade.quantity)
    });
    let day = venue.day(now);
    let twice = |text: String| json!([text, text]);
    json!({
        "a": quote(ask),
        "b": quote(bid),
        "c": [names.price(price), names::quantity(quantity)],
        "v": twice(names::quantity(day.volume)),
        "p": twice(names.price(day.vwap)),
        "t": [day.trades, day.trades],
        "l": twice(names.price(day.low)),
        "h": twice(names.price(day.high)),
        "o": names.price(day.open),
    })
}

fn trades(venue: &Venue, names: &Names, fields: &Fields) -> Result<Value, Failure> {
    // Nanoseconds, though the venue takes seconds too.
    let since = fields.integer("since")?.unwrap_or(0);
    let since = if since < 100_000_000_000 {
        since.saturating_mul(1_000_000_000)
    } else {
        since
    };
    let count = fields.integer("count")?.unwrap_or(1_000);
    let count = usize::try_from(count)
        .map_err(|_| Failure::arguments("count"))?
        .clamp(1, TRADES_MAX);
    let all: Vec<&Trade> = venue
        .history
        .latest(TRADES_MAX)
        .filter(|trade| trade.ts_event.nanos() > since)
        .take(count)
        .collect();
    let last = all.last().map_or(since, |trade| trade.ts_event.nanos());
    let listed: Vec<Value> = all
        .iter()
        .map(|trade| {
            json!([
                names.price(trade.price),
                names::quantity(trade.quantity),
                time(trade.ts_event.millis()),
                &side_name(trade.aggressor)[..1],
                "l",
                "",
                trade.trade_id.0,
            ])
        })
        .collect();
    Ok(json!({ &names.pair: listed, "last": last.to_string() }))
}

/// A time as the older socket writes it.
pub(super) fn socket_time(ts: Timestamp) -> String {
    seconds(ts, 6)
}

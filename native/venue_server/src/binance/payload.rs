//! The text of public and account events, as Binance spot sends them.

use std::fmt::Write;

use domain::{Level, Price, Quantity, Side, Trade};
use serde_json::{Value, json};
use simulation::{Best, DepthDiff};

use crate::decimal::{price8, quantity8};

/// A book diff; the event time is the due time of the diff.
pub(crate) fn depth_update(symbol: &str, diff: &DepthDiff<'_>) -> String {
    let mut text = String::with_capacity(256 + 64 * (diff.bids.len() + diff.asks.len()));
    let (time, first, last) = (diff.ts.millis(), diff.first_update_id, diff.last_update_id);
    // Writing to a String does not fail.
    let _ = write!(
        text,
        r#"{{"e":"depthUpdate","E":{time},"s":"{symbol}","U":{first},"u":{last},"b":"#
    );
    push_levels(&mut text, diff.bids.iter().copied());
    text.push_str(r#","a":"#);
    push_levels(&mut text, diff.asks.iter().copied());
    text.push('}');
    text
}

/// The answer to `depth`: a snapshot of the book as of its last update.
pub(crate) fn depth_snapshot(
    update_id: u64,
    bids: &[(Price, Quantity)],
    asks: &[(Price, Quantity)],
) -> String {
    let mut text = String::with_capacity(64 + 64 * (bids.len() + asks.len()));
    let level = |&(price, quantity): &(Price, Quantity)| Level { price, quantity };
    let _ = write!(text, r#"{{"lastUpdateId":{update_id},"bids":"#);
    push_levels(&mut text, bids.iter().map(level));
    text.push_str(r#","asks":"#);
    push_levels(&mut text, asks.iter().map(level));
    text.push('}');
    text
}

fn push_levels(text: &mut String, levels: impl Iterator<Item = Level>) {
    text.push('[');
    for (index, level) in levels.enumerate() {
        let comma = if index == 0 { "" } else { "," };
        let _ = write!(
            text,
            r#"{comma}["{}","{}"]"#,
            price8(level.price),
            quantity8(level.quantity)
        );
    }
    text.push(']');
}

/// A public trade.
pub(crate) fn trade(symbol: &str, trade: &Trade) -> String {
    let time = trade.ts_event.millis();
    format!(
        r#"{{"e":"trade","E":{time},"s":"{symbol}","t":{},"p":"{}","q":"{}","T":{time},"m":{},"M":true}}"#,
        trade.trade_id.0,
        price8(trade.price),
        quantity8(trade.quantity),
        trade.aggressor == Side::Sell,
    )
}

/// Best bid and ask; a side without liquidity is zero.
pub(crate) fn book_ticker(symbol: &str, best: &Best) -> String {
    let [bid, ask] = [best.bid, best.ask].map(Option::unwrap_or_default);
    format!(
        r#"{{"u":{},"s":"{symbol}","b":"{}","B":"{}","a":"{}","A":"{}"}}"#,
        best.update_id,
        price8(bid.0),
        quantity8(bid.1),
        price8(ask.0),
        quantity8(ask.1),
    )
}

/// The balances that an execution changed.
pub(crate) fn account_position(time_ms: i64, balances: &Value) -> Value {
    json!({ "e": "outboundAccountPosition", "E": time_ms, "u": time_ms, "B": balances })
}

/// The venue goes away soon.
pub(crate) fn server_shutdown(time_ms: i64) -> String {
    format!(r#"{{"e":"serverShutdown","E":{time_ms}}}"#)
}

#[cfg(test)]
mod tests {
    use domain::{InstrumentId, Nanos, Timestamp, TradeId};
    use simulation::DepthFeed;

    use super::*;

    const RECORDED_TRADE: &str = r#"{"e":"trade","E":1723161255342,"s":"BTCUSDT","t":3735683259,"p":"61837.63000000","q":"0.02000000","T":1723161255342,"m":true,"M":true}"#;
    const RECORDED_TICKER: &str = r#"{"u":50093239219,"s":"BTCUSDT","b":"61837.63000000","B":"3.78826000","a":"61837.64000000","A":"1.60520000"}"#;
    const RECORDED_DIFF: &str = r#"{"e":"depthUpdate","E":1723161255300,"s":"BTCUSDT","U":50093239203,"u":50093239204,"b":[["55653.87000000","0.00000000"]],"a":[["61838.04000000","0.32332000"]]}"#;

    fn price(text: &str) -> Price {
        Price::parse(text.as_bytes()).unwrap()
    }

    fn quantity(text: &str) -> Quantity {
        Quantity::parse(text.as_bytes()).unwrap()
    }

    #[test]
    fn events_have_the_recorded_form() {
        let made = trade(
            "BTCUSDT",
            &Trade {
                instrument: InstrumentId(0),
                ts_event: Timestamp::from_millis(1_723_161_255_342),
                trade_id: TradeId(3_735_683_259),
                price: price("61837.63"),
                quantity: quantity("0.02"),
                aggressor: Side::Sell,
            },
        );
        assert_eq!(made, RECORDED_TRADE);
        let best = Best {
            bid: Some((price("61837.63"), quantity("3.78826"))),
            ask: Some((price("61837.64"), quantity("1.6052"))),
            update_id: 50_093_239_219,
        };
        assert_eq!(book_ticker("BTCUSDT", &best), RECORDED_TICKER);
        let mut feed = DepthFeed::new(Nanos::from_millis(100));
        let at = Timestamp::from_millis(1_723_161_255_242);
        feed.note(at, Side::Buy, price("55653.87"), Quantity::ZERO, 50_093_239_203);
        feed.note(
            at,
            Side::Sell,
            price("61838.04"),
            quantity("0.32332"),
            50_093_239_204,
        );
        assert_eq!(depth_update("BTCUSDT", &feed.diff()), RECORDED_DIFF);
    }

    #[test]
    fn a_snapshot_lists_best_levels_first() {
        let bids = [(price("2"), quantity("1")), (price("1"), quantity("3"))];
        let text = r#"{"lastUpdateId":7,"bids":[["2.00000000","1.00000000"],["1.00000000","3.00000000"]],"asks":[]}"#;
        assert_eq!(depth_snapshot(7, &bids, &[]), text);
    }
}

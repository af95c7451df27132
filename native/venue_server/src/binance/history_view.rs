//! Bars and trades as Binance spot shows them.

use domain::{Side, Timestamp};
use serde_json::{Value, json};

use crate::decimal::{amount8, price8, quantity8};
use crate::history::{History, ShownBar};

/// Most bars of one answer.
pub(crate) const KLINES_MAX: usize = 1_000;
/// Bars of an answer that asks for no number.
pub(crate) const KLINES_DEFAULT: usize = 500;

impl History {
    /// The latest `limit` public trades, oldest first.
    pub(crate) fn recent_trades(&self, limit: usize) -> Value {
        let listed = self.latest(limit).map(|trade| {
            let value = i128::from(trade.price.units()) * i128::from(trade.quantity.units());
            json!({
                "id": trade.trade_id.0,
                "price": price8(trade.price),
                "qty": quantity8(trade.quantity),
                "quoteQty": amount8(value),
                "time": trade.ts_event.millis(),
                "isBuyerMaker": trade.aggressor == Side::Sell,
                "isBestMatch": true,
            })
        });
        listed.collect()
    }

    /// Bars as `klines` lists them: see [`History::bars`].
    pub(crate) fn klines(
        &self,
        now: Timestamp,
        start: Option<Timestamp>,
        end: Option<Timestamp>,
        limit: usize,
    ) -> Value {
        self.bars(now, start, end, limit).iter().map(kline).collect()
    }
}

fn kline(shown: &ShownBar) -> Value {
    let bar = &shown.bar;
    json!([
        bar.ts_open.millis(),
        price8(bar.open),
        price8(bar.high),
        price8(bar.low),
        price8(bar.close),
        quantity8(bar.volume),
        bar.ts_close().millis() - 1,
        amount8(shown.value),
        shown.trades,
        quantity8(shown.taker_base),
        amount8(shown.taker_value),
        "0",
    ])
}

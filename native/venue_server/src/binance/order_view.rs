//! Orders and executions as Binance spot shows them.

use domain::{OrderType, Price, Quantity, Side, TimeInForce};
use serde_json::{Map, Value, json};
use simulation::SelfTradePrevention;

use crate::decimal::{amount8, money8, price8, quantity8};
use crate::events::{Happening, OrderNews};
use crate::orders::{FillRecord, OrderRecord, Status, Ticket};
use domain::Liquidity;

const NOTHING: &str = "0.00000000";

impl Status {
    pub(crate) fn as_str(self) -> &'static str {
        match self {
            Self::New => "NEW",
            Self::PartiallyFilled => "PARTIALLY_FILLED",
            Self::Filled => "FILLED",
            Self::Canceled => "CANCELED",
            Self::Expired => "EXPIRED",
            Self::ExpiredInMatch => "EXPIRED_IN_MATCH",
        }
    }
}

impl Ticket {
    pub(crate) fn type_name(&self) -> &'static str {
        match (self.order_type, self.post_only) {
            (OrderType::Market, _) => "MARKET",
            (OrderType::Limit, true) => "LIMIT_MAKER",
            (OrderType::Limit, false) => "LIMIT",
        }
    }

    fn time_in_force_name(&self) -> &'static str {
        match self.time_in_force {
            TimeInForce::Gtc | TimeInForce::Gtd(_) => "GTC",
            TimeInForce::Ioc => "IOC",
            TimeInForce::Fok => "FOK",
        }
    }

    fn self_trade_name(&self) -> &'static str {
        match self.self_trade {
            SelfTradePrevention::ExpireTaker => "EXPIRE_TAKER",
            SelfTradePrevention::ExpireMaker => "EXPIRE_MAKER",
            SelfTradePrevention::ExpireBoth => "EXPIRE_BOTH",
        }
    }

    fn side_name(&self) -> &'static str {
        side_name(self.side)
    }
}

pub(crate) fn side_name(side: Side) -> &'static str {
    match side {
        Side::Buy => "BUY",
        Side::Sell => "SELL",
    }
}

impl FillRecord {
    /// As `myTrades` lists it.
    pub(crate) fn listed(&self, symbol: &str) -> Value {
        json!({
            "symbol": symbol,
            "id": self.trade_id.0,
            "orderId": self.order.0,
            "orderListId": -1,
            "price": price8(self.price),
            "qty": quantity8(self.quantity),
            "quoteQty": amount8(self.value()),
            "commission": money8(self.fee),
            "commissionAsset": self.fee.currency().as_str(),
            "time": self.time_ms,
            "isBuyer": self.side == Side::Buy,
            "isMaker": self.liquidity == Liquidity::Maker,
            "isBestMatch": true,
        })
    }
}

impl OrderRecord {
    fn price_text(&self) -> String {
        price8(self.ticket.price.unwrap_or(Price::ZERO))
    }

    /// The fields that every answer about an order shares.
    fn core(&self, symbol: &str) -> Map<String, Value> {
        let ticket = &self.ticket;
        let value = json!({
            "symbol": symbol,
            "orderId": self.id.0,
            "orderListId": -1,
            "clientOrderId": ticket.client_order_id,
            "price": self.price_text(),
            "origQty": quantity8(ticket.quantity),
            "executedQty": quantity8(self.filled),
            "origQuoteOrderQty": NOTHING,
            "cummulativeQuoteQty": amount8(self.filled_value),
            "status": self.status.as_str(),
            "timeInForce": ticket.time_in_force_name(),
            "type": ticket.type_name(),
            "side": ticket.side_name(),
            "selfTradePreventionMode": ticket.self_trade_name(),
        });
        match value {
            Value::Object(map) => map,
            _ => Map::new(),
        }
    }

    /// As a query or the list of open orders shows it.
    pub(crate) fn queried(&self, symbol: &str) -> Value {
        let mut map = self.core(symbol);
        map.insert("stopPrice".to_owned(), json!(NOTHING));
        map.insert("icebergQty".to_owned(), json!(NOTHING));
        map.insert("time".to_owned(), json!(self.created_ms));
        map.insert("updateTime".to_owned(), json!(self.updated_ms));
        map.insert("isWorking".to_owned(), json!(true));
        map.insert("workingTime".to_owned(), json!(self.created_ms));
        Value::Object(map)
    }

    /// The answer to a new order, as long as `newOrderRespType` asks for.
    pub(crate) fn placed(&self, symbol: &str, answer: AnswerType) -> Value {
        let transact = ("transactTime".to_owned(), json!(self.created_ms));
        if answer == AnswerType::Ack {
            let core = self.core(symbol);
            let kept = ["symbol", "orderId", "orderListId", "clientOrderId"];
            let brief = core.into_iter().filter(|(name, _)| kept.contains(&name.as_str()));
            return Value::Object(brief.chain([transact]).collect());
        }
        let mut map = self.core(symbol);
        map.insert(transact.0, transact.1);
        map.insert("workingTime".to_owned(), json!(self.created_ms));
        if answer == AnswerType::Full {
            let fills = self.fills.iter().map(|fill| {
                json!({
                    "price": price8(fill.price),
                    "qty": quantity8(fill.quantity),
                    "commission": money8(fill.fee),
                    "commissionAsset": fill.fee.currency().as_str(),
                    "tradeId": fill.trade_id.0,
                })
            });
            map.insert("fills".to_owned(), fills.collect());
        }
        Value::Object(map)
    }

    /// The answer to a cancel that named itself `cancel_id`.
    pub(crate) fn canceled(&self, symbol: &str, cancel_id: &str) -> Value {
        let mut map = self.core(symbol);
        map.insert("origClientOrderId".to_owned(), json!(self.ticket.client_order_id));
        map.insert("clientOrderId".to_owned(), json!(cancel_id));
        map.insert("transactTime".to_owned(), json!(self.updated_ms));
        Value::Object(map)
    }

    /// The answer to a change of its quantity.
    pub(crate) fn amended(&self, symbol: &str) -> Value {
        let ticket = &self.ticket;
        json!({
            "transactTime": self.updated_ms,
            "executionId": self.engine.0,
            "amendedOrder": {
                "symbol": symbol,
                "orderId": self.id.0,
                "orderListId": -1,
                "origClientOrderId": ticket.client_order_id,
                "clientOrderId": ticket.client_order_id,
                "price": self.price_text(),
                "qty": quantity8(ticket.quantity),
                "executedQty": quantity8(self.filled),
                "preventedQty": NOTHING,
                "quoteOrderQty": NOTHING,
                "cumulativeQuoteQty": amount8(self.filled_value),
                "status": self.status.as_str(),
                "timeInForce": ticket.time_in_force_name(),
                "type": ticket.type_name(),
                "side": ticket.side_name(),
                "workingTime": self.created_ms,
                "selfTradePreventionMode": ticket.self_trade_name(),
            },
        })
    }

    /// The user stream's report of what just happened to it.
    pub(crate) fn execution_report(&self, symbol: &str, event: &OrderNews<'_>) -> Value {
        let ticket = &self.ticket;
        let fill = event.fill;
        let kind = match event.what {
            Happening::Accepted => "NEW",
            Happening::Filled => "TRADE",
            Happening::Canceled => "CANCELED",
            Happening::Expired => "EXPIRED",
            Happening::Amended => "REPLACED",
        };
        let (client_id, original) = match event.cancel_id {
            Some(cancel_id) => (cancel_id, ticket.client_order_id.as_str()),
            None => (ticket.client_order_id.as_str(), ""),
        };
        json!({
            "e": "executionReport",
            "E": event.time_ms,
            "s": symbol,
            "c": client_id,
            "S": ticket.side_name(),
            "o": ticket.type_name(),
            "f": ticket.time_in_force_name(),
            "q": quantity8(ticket.quantity),
            "p": self.price_text(),
            "P": NOTHING,
            "F": NOTHING,
            "g": -1,
            "C": original,
            "x": kind,
            "X": self.status.as_str(),
            "r": "NONE",
            "i": self.id.0,
            "l": quantity8(fill.map_or(Quantity::ZERO, |fill| fill.quantity)),
            "z": quantity8(self.filled),
            "L": price8(fill.map_or(Price::ZERO, |fill| fill.price)),
            "n": fill.map_or_else(|| "0".to_owned(), |fill| money8(fill.fee)),
            "N": fill.map(|fill| fill.fee.currency().as_str().to_owned()),
            "T": event.time_ms,
            "t": fill.map_or(json!(-1), |fill| json!(fill.trade_id.0)),
            "I": event.execution_id,
            "w": self.status.is_open(),
            "m": fill.is_some_and(|fill| fill.liquidity == Liquidity::Maker),
            "M": false,
            "O": self.created_ms,
            "Z": amount8(self.filled_value),
            "Y": amount8(fill.map_or(0, FillRecord::value)),
            "Q": NOTHING,
            "W": self.created_ms,
            "V": ticket.self_trade_name(),
        })
    }
}

/// How much a new order's answer says.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum AnswerType {
    Ack,
    Result,
    Full,
}

//! The venue's record of orders and executions, and how the wire shows them.

use std::collections::{BTreeMap, BTreeSet, HashMap};

use domain::{Liquidity, Money, OrderType, Price, Quantity, Side, TimeInForce, TradeId};
use serde_json::{Map, Value, json};
use simulation::{ExpiryReason, OrderId, SelfTradePrevention};

use crate::decimal::{amount8, money8, price8, quantity8};

/// Orders kept; the oldest that have ended go first.
pub(crate) const ORDERS_KEPT: usize = 200_000;

const NOTHING: &str = "0.00000000";

/// The state of an order as the venue names it.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Status {
    New,
    PartiallyFilled,
    Filled,
    Canceled,
    Expired,
    ExpiredInMatch,
}

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

    pub(crate) fn is_open(self) -> bool {
        matches!(self, Self::New | Self::PartiallyFilled)
    }

    pub(crate) fn of_expiry(reason: ExpiryReason) -> Self {
        match reason {
            ExpiryReason::NothingToTake => Self::Expired,
            ExpiryReason::SelfTrade => Self::ExpiredInMatch,
        }
    }
}

/// An order as it was asked for.
#[derive(Debug, Clone)]
pub(crate) struct Ticket {
    pub(crate) client_order_id: String,
    pub(crate) side: Side,
    pub(crate) order_type: OrderType,
    pub(crate) price: Option<Price>,
    pub(crate) quantity: Quantity,
    pub(crate) time_in_force: TimeInForce,
    pub(crate) post_only: bool,
    pub(crate) self_trade: SelfTradePrevention,
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
            TimeInForce::Gtc => "GTC",
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

/// One execution.
#[derive(Debug, Clone, Copy)]
pub(crate) struct FillRecord {
    pub(crate) trade_id: TradeId,
    pub(crate) order: OrderId,
    pub(crate) price: Price,
    pub(crate) quantity: Quantity,
    pub(crate) side: Side,
    pub(crate) fee: Money,
    pub(crate) liquidity: Liquidity,
    pub(crate) time_ms: i64,
}

impl FillRecord {
    /// Price times quantity in units of 1e-16.
    pub(crate) fn value(&self) -> i128 {
        i128::from(self.price.units()) * i128::from(self.quantity.units())
    }

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

/// An order with what became of it.
#[derive(Debug, Clone)]
pub(crate) struct OrderRecord {
    pub(crate) id: OrderId,
    pub(crate) account: usize,
    pub(crate) ticket: Ticket,
    pub(crate) status: Status,
    pub(crate) filled: Quantity,
    /// Quote currency paid or received, units of 1e-16.
    pub(crate) filled_value: i128,
    /// What is still locked for it, units of 1e-16 of the asset it gives.
    pub(crate) reserved: i128,
    pub(crate) fills: Vec<FillRecord>,
    pub(crate) created_ms: i64,
    pub(crate) updated_ms: i64,
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

    /// The user stream's report of what just happened to it.
    pub(crate) fn execution_report(&self, symbol: &str, event: &ExecutionEvent<'_>) -> Value {
        let ticket = &self.ticket;
        let fill = event.fill;
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
            "x": event.kind,
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

/// What an execution report tells.
pub(crate) struct ExecutionEvent<'a> {
    /// NEW, TRADE, CANCELED or EXPIRED.
    pub(crate) kind: &'static str,
    pub(crate) fill: Option<&'a FillRecord>,
    pub(crate) cancel_id: Option<&'a str>,
    pub(crate) execution_id: u64,
    pub(crate) time_ms: i64,
}

/// How much a new order's answer says.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum AnswerType {
    Ack,
    Result,
    Full,
}

/// All orders of all accounts.
#[derive(Debug, Default)]
pub(crate) struct OrderLedger {
    orders: BTreeMap<u64, OrderRecord>,
    open: BTreeSet<u64>,
    /// The latest order of each account and client id: ids may be used again once the order has ended.
    latest: HashMap<(usize, String), u64>,
}

impl OrderLedger {
    pub(crate) fn insert(&mut self, record: OrderRecord) {
        if self.orders.len() >= ORDERS_KEPT {
            let ended = self.orders.values().find(|order| !order.status.is_open());
            if let Some(id) = ended.map(|order| order.id.0) {
                self.remove(OrderId(id));
            }
        }
        let key = (record.account, record.ticket.client_order_id.clone());
        self.latest.insert(key, record.id.0);
        self.open.insert(record.id.0);
        self.orders.insert(record.id.0, record);
    }

    /// Forgets an order that was refused.
    pub(crate) fn remove(&mut self, id: OrderId) {
        self.open.remove(&id.0);
        if let Some(gone) = self.orders.remove(&id.0) {
            let key = (gone.account, gone.ticket.client_order_id);
            if self.latest.get(&key) == Some(&id.0) {
                self.latest.remove(&key);
            }
        }
    }

    /// Notes that an order has ended.
    pub(crate) fn settle(&mut self, id: OrderId) {
        self.open.remove(&id.0);
    }

    pub(crate) fn get(&self, id: OrderId) -> Option<&OrderRecord> {
        self.orders.get(&id.0)
    }

    pub(crate) fn get_mut(&mut self, id: OrderId) -> Option<&mut OrderRecord> {
        self.orders.get_mut(&id.0)
    }

    /// The latest order of an account with this client id.
    pub(crate) fn by_client_id(&self, account: usize, client_order_id: &str) -> Option<&OrderRecord> {
        let id = self.latest.get(&(account, client_order_id.to_owned()))?;
        self.orders.get(id)
    }

    pub(crate) fn of_account(&self, account: usize) -> impl Iterator<Item = &OrderRecord> {
        self.orders.values().filter(move |order| order.account == account)
    }

    pub(crate) fn open_of(&self, account: usize) -> impl Iterator<Item = &OrderRecord> {
        self.open
            .iter()
            .filter_map(|id| self.orders.get(id))
            .filter(move |order| order.account == account)
    }
}

//! The calls of the API, the same behind REST and the WebSocket API.

use domain::{Side, Timestamp};
use serde_json::{Value, json};

use crate::binance::api_error::ApiError;
use crate::binance::history_view::{KLINES_DEFAULT, KLINES_MAX};
use crate::binance::order_calls::{amend_order, cancel_all, cancel_order, find_order, my_trades, new_order};
use crate::binance::payload::depth_snapshot;
use crate::binance::request::Params;
use crate::decimal::{fixed8, price8, quantity8};
use crate::faults::RequestKind;
use crate::history::TRADES_KEPT;
use crate::orders::OrderRecord;
use crate::venue::Venue;

/// Levels of a snapshot that asks for no number, and the most of any.
const DEPTH_DEFAULT: usize = 100;
const DEPTH_MAX: usize = 5_000;
/// Entries of a list of trades or orders that asks for no number, and the most of any.
pub(crate) const LIST_DEFAULT: usize = 500;
pub(crate) const LIST_MAX: usize = 1_000;

/// One call of the API.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Call {
    Ping,
    Time,
    ExchangeInfo,
    Depth,
    Klines,
    Trades,
    BookTicker,
    Account,
    OpenOrders,
    AllOrders,
    QueryOrder,
    MyTrades,
    NewOrder,
    CancelOrder,
    AmendOrder,
    CancelAll,
    KeyRestrictions,
}

/// The answer of a call: a value, or text that is JSON already.
#[derive(Debug)]
pub(crate) enum Answer {
    Value(Value),
    Text(String),
}

impl Answer {
    pub(crate) fn into_text(self) -> String {
        match self {
            Self::Value(value) => value.to_string(),
            Self::Text(text) => text,
        }
    }
}

impl Call {
    /// The call of a REST request.
    pub(crate) fn of_rest(method: &str, path: &str) -> Option<Self> {
        Some(match (method, path) {
            ("GET", "ping") => Self::Ping,
            ("GET", "time") => Self::Time,
            ("GET", "exchangeInfo") => Self::ExchangeInfo,
            ("GET", "depth") => Self::Depth,
            ("GET", "klines") => Self::Klines,
            ("GET", "trades") => Self::Trades,
            ("GET", "ticker/bookTicker") => Self::BookTicker,
            ("GET", "account") => Self::Account,
            ("GET", "openOrders") => Self::OpenOrders,
            ("GET", "allOrders") => Self::AllOrders,
            ("GET", "order") => Self::QueryOrder,
            ("GET", "myTrades") => Self::MyTrades,
            ("POST", "order") => Self::NewOrder,
            ("DELETE", "order") => Self::CancelOrder,
            ("PUT", "order/amend/keepPriority") => Self::AmendOrder,
            ("DELETE", "openOrders") => Self::CancelAll,
            _ => return None,
        })
    }

    /// The call of a request under `/sapi/v1/`.
    pub(crate) fn of_wallet(method: &str, path: &str) -> Option<Self> {
        ((method, path) == ("GET", "account/apiRestrictions")).then_some(Self::KeyRestrictions)
    }

    /// The call of a WebSocket API method.
    pub(crate) fn of_method(method: &str) -> Option<Self> {
        Some(match method {
            "ping" => Self::Ping,
            "time" => Self::Time,
            "exchangeInfo" => Self::ExchangeInfo,
            "depth" => Self::Depth,
            "klines" => Self::Klines,
            "trades.recent" => Self::Trades,
            "ticker.book" => Self::BookTicker,
            "account.status" => Self::Account,
            "openOrders.status" => Self::OpenOrders,
            "allOrders" => Self::AllOrders,
            "order.status" => Self::QueryOrder,
            "myTrades" => Self::MyTrades,
            "order.place" => Self::NewOrder,
            "order.cancel" => Self::CancelOrder,
            "order.amend.keepPriority" => Self::AmendOrder,
            "openOrders.cancelAll" => Self::CancelAll,
            _ => return None,
        })
    }

    /// Whether it needs a key and a signature.
    pub(crate) fn is_signed(self) -> bool {
        !matches!(
            self,
            Self::Ping
                | Self::Time
                | Self::ExchangeInfo
                | Self::Depth
                | Self::Klines
                | Self::Trades
                | Self::BookTicker
        )
    }

    /// What it counts against the request weight, as the venue documents it.
    pub(crate) fn weight(self, params: &Params) -> u64 {
        match self {
            Self::Ping
            | Self::Time
            | Self::NewOrder
            | Self::CancelOrder
            | Self::CancelAll
            | Self::KeyRestrictions => 1,
            Self::Klines | Self::BookTicker => 2,
            Self::QueryOrder | Self::AmendOrder => 4,
            Self::OpenOrders => 6,
            Self::ExchangeInfo | Self::Account | Self::AllOrders | Self::MyTrades => 20,
            Self::Trades => 25,
            Self::Depth => match params
                .get("limit")
                .and_then(|limit| limit.parse().ok())
                .unwrap_or(DEPTH_DEFAULT)
            {
                0..=100 => 5,
                101..=500 => 25,
                501..=1_000 => 50,
                _ => 250,
            },
        }
    }

    /// Which faults it may meet.
    pub(crate) fn kind(self) -> RequestKind {
        match self {
            Self::NewOrder | Self::AmendOrder => RequestKind::Place,
            Self::CancelOrder | Self::CancelAll => RequestKind::Cancel,
            Self::Account | Self::OpenOrders | Self::AllOrders | Self::QueryOrder | Self::MyTrades => {
                RequestKind::Query
            }
            Self::Depth => RequestKind::Depth,
            _ => RequestKind::Other,
        }
    }

    /// Performs it; `account` is there for every signed call.
    pub(crate) fn perform(
        self,
        venue: &mut Venue,
        account: usize,
        params: &Params,
    ) -> Result<Answer, ApiError> {
        let now = venue.catch_up();
        let value = match self {
            Self::Ping => json!({}),
            Self::Time => json!({ "serverTime": venue.shown(now).millis() }),
            Self::ExchangeInfo => exchange_info(venue, params, venue.shown(now))?,
            Self::Depth => return depth(venue, params).map(Answer::Text),
            Self::Klines => klines(venue, params, now)?,
            Self::Trades => {
                check_symbol(venue, params)?;
                venue
                    .history
                    .recent_trades(limit(params, LIST_DEFAULT, TRADES_KEPT)?)
            }
            Self::BookTicker => book_ticker(venue, params)?,
            Self::Account => account_status(venue, account),
            Self::OpenOrders => open_orders(venue, account, params)?,
            Self::AllOrders => all_orders(venue, account, params)?,
            Self::QueryOrder => {
                let order = find_order(venue, account, params)?.ok_or_else(ApiError::no_such_order)?;
                order.queried(&venue.listing.symbol)
            }
            Self::MyTrades => my_trades(venue, account, params)?,
            Self::NewOrder => new_order(venue, account, params)?,
            Self::CancelOrder => cancel_order(venue, account, params)?,
            Self::AmendOrder => amend_order(venue, account, params)?,
            Self::CancelAll => cancel_all(venue, account, params)?,
            Self::KeyRestrictions => key_restrictions(venue, account),
        };
        Ok(Answer::Value(value))
    }
}

pub(crate) fn check_symbol(venue: &Venue, params: &Params) -> Result<(), ApiError> {
    if params.required("symbol")? == venue.listing.symbol {
        Ok(())
    } else {
        Err(ApiError::symbol())
    }
}

pub(crate) fn limit(params: &Params, default: usize, most: usize) -> Result<usize, ApiError> {
    match params.integer("limit")? {
        None => Ok(default),
        Some(limit) if limit >= 1 => Ok(usize::try_from(limit).unwrap_or(most).min(most)),
        Some(_) => Err(ApiError::illegal("limit")),
    }
}

fn exchange_info(venue: &Venue, params: &Params, now: Timestamp) -> Result<Value, ApiError> {
    let symbol = &venue.listing.symbol;
    // One symbol as text, several as a JSON list.
    let asked: Vec<String> = match (params.get("symbol"), params.get("symbols")) {
        (Some(one), _) => vec![one.to_owned()],
        (None, Some(list)) => serde_json::from_str(list).map_err(|_| ApiError::illegal("symbols"))?,
        (None, None) => Vec::new(),
    };
    if asked.iter().any(|asked| asked != symbol) {
        return Err(ApiError::symbol());
    }
    Ok(venue.listing.exchange_info(venue.mode(), now.millis()))
}

fn depth(venue: &Venue, params: &Params) -> Result<String, ApiError> {
    check_symbol(venue, params)?;
    let limit = limit(params, DEPTH_DEFAULT, DEPTH_MAX)?;
    let (mut bids, mut asks) = (Vec::new(), Vec::new());
    venue.market.depth(Side::Buy, limit, &mut bids);
    venue.market.depth(Side::Sell, limit, &mut asks);
    Ok(depth_snapshot(venue.market.update_id(), &bids, &asks))
}

fn klines(venue: &Venue, params: &Params, now: Timestamp) -> Result<Value, ApiError> {
    check_symbol(venue, params)?;
    let span = venue.market.bars().first().map_or(0, |bar| bar.span.0);
    if interval_nanos(params.required("interval")?) != Some(span) {
        return Err(ApiError::interval());
    }
    let time = |name| params.integer(name).map(|ms| ms.map(Timestamp::from_millis));
    let limit = limit(params, KLINES_DEFAULT, KLINES_MAX)?;
    Ok(venue
        .history
        .klines(now, time("startTime")?, time("endTime")?, limit))
}

/// The length of an interval such as `15m`. Months have no fixed length and are not served.
fn interval_nanos(text: &str) -> Option<i64> {
    let (number, unit) = text.split_at_checked(text.len().checked_sub(1)?)?;
    let seconds = match unit {
        "s" => 1,
        "m" => 60,
        "h" => 3_600,
        "d" => 86_400,
        "w" => 604_800,
        _ => return None,
    };
    number
        .parse::<i64>()
        .ok()?
        .checked_mul(seconds)?
        .checked_mul(1_000_000_000)
}

fn book_ticker(venue: &Venue, params: &Params) -> Result<Value, ApiError> {
    let best = venue.market.best();
    let [bid, ask] = [best.bid, best.ask].map(Option::unwrap_or_default);
    let ticker = json!({
        "symbol": venue.listing.symbol,
        "bidPrice": price8(bid.0),
        "bidQty": quantity8(bid.1),
        "askPrice": price8(ask.0),
        "askQty": quantity8(ask.1),
    });
    // Without a symbol the venue lists all of them.
    if params.get("symbol").is_none() {
        return Ok(json!([ticker]));
    }
    check_symbol(venue, params)?;
    Ok(ticker)
}

fn account_status(venue: &Venue, account: usize) -> Value {
    let holder = &venue.accounts[account];
    let (maker, taker) = venue.rates();
    // Ten-thousandths as a fraction of one; and as the whole numbers of the older fields.
    let fraction = |bps: domain::Decimal| fixed8(bps.units() / 10_000);
    let whole = |bps: domain::Decimal| bps.units() / domain::SCALE;
    json!({
        "makerCommission": whole(maker),
        "takerCommission": whole(taker),
        "buyerCommission": 0,
        "sellerCommission": 0,
        "commissionRates": {
            "maker": fraction(maker),
            "taker": fraction(taker),
            "buyer": "0.00000000",
            "seller": "0.00000000",
        },
        "canTrade": true,
        "canWithdraw": false,
        "canDeposit": false,
        "brokered": false,
        "requireSelfTradePrevention": true,
        "preventSor": false,
        "updateTime": holder.updated_ms,
        "accountType": "SPOT",
        "balances": holder.balances(),
        "permissions": ["SPOT"],
        "uid": account + 1,
    })
}

fn key_restrictions(venue: &Venue, account: usize) -> Value {
    let may_withdraw = venue.keys_may_withdraw;
    json!({
        // The venue asks for that before it lets a key withdraw.
        "ipRestrict": may_withdraw,
        "createTime": venue.accounts[account].updated_ms,
        "enableReading": true,
        "enableWithdrawals": may_withdraw,
        "enableInternalTransfer": false,
        "enableMargin": false,
        "enableFutures": false,
        "permitsUniversalTransfer": false,
        "enableVanillaOptions": false,
        "enableFixApiTrade": false,
        "enableFixReadOnly": false,
        "enableSpotAndMarginTrading": true,
        "enablePortfolioMarginTrading": false,
    })
}

fn open_orders(venue: &Venue, account: usize, params: &Params) -> Result<Value, ApiError> {
    if params.get("symbol").is_some() {
        check_symbol(venue, params)?;
    }
    let symbol = &venue.listing.symbol;
    Ok(venue
        .orders
        .open_of(account)
        .map(|order| order.queried(symbol))
        .collect())
}

fn all_orders(venue: &Venue, account: usize, params: &Params) -> Result<Value, ApiError> {
    check_symbol(venue, params)?;
    let limit = limit(params, LIST_DEFAULT, LIST_MAX)?;
    let symbol = &venue.listing.symbol;
    let from = params.integer("orderId")?.and_then(|id| u64::try_from(id).ok());
    let orders = venue.orders.of_account(account);
    if let Some(from) = from {
        let later = orders.filter(|order| order.id.0 >= from);
        return Ok(later.take(limit).map(|order| order.queried(symbol)).collect());
    }
    let all: Vec<&OrderRecord> = orders.collect();
    let latest = &all[all.len().saturating_sub(limit)..];
    Ok(latest.iter().map(|order| order.queried(symbol)).collect())
}

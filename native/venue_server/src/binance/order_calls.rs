//! The calls that are about orders: place, cancel, find, list executions.

use domain::{OrderType, Side, TimeInForce};
use serde_json::Value;
use simulation::{OrderId, SelfTradePrevention};

use crate::binance::api_error::ApiError;
use crate::binance::calls::{LIST_DEFAULT, LIST_MAX, check_symbol, limit};
use crate::binance::order_view::AnswerType;
use crate::binance::request::Params;
use crate::orders::{OrderRecord, Ticket};
use crate::venue::{Amendment, Venue};

/// Longest client order id, in bytes.
const CLIENT_ID_BYTES_MAX: usize = 36;

/// The order that `orderId` or `origClientOrderId` names; both must name the same one.
pub(crate) fn find_order<'a>(
    venue: &'a Venue,
    account: usize,
    params: &Params,
) -> Result<Option<&'a OrderRecord>, ApiError> {
    check_symbol(venue, params)?;
    let id = params.integer("orderId")?;
    let client_id = params.get("origClientOrderId");
    let order = match (id, client_id) {
        (None, None) => return Err(ApiError::either("origClientOrderId", "orderId")),
        (Some(id), _) => u64::try_from(id)
            .ok()
            .and_then(|id| venue.orders.get(OrderId(id))),
        (None, Some(client_id)) => venue.orders.by_client_id(account, client_id),
    };
    let own = order.filter(|order| order.account == account);
    Ok(own.filter(|order| client_id.is_none_or(|client_id| order.ticket.client_order_id == client_id)))
}

pub(crate) fn my_trades(venue: &Venue, account: usize, params: &Params) -> Result<Value, ApiError> {
    check_symbol(venue, params)?;
    let limit = limit(params, LIST_DEFAULT, LIST_MAX)?;
    let order = params.integer("orderId")?;
    let from_id = params.integer("fromId")?;
    let (start, end) = (params.integer("startTime")?, params.integer("endTime")?);
    let symbol = &venue.listing.symbol;
    let asked = venue.accounts[account].fills.iter().filter(|fill| {
        let same =
            |asked: Option<i64>, value: u64| asked.is_none_or(|asked| u64::try_from(asked) == Ok(value));
        same(order, fill.order.0)
            && from_id.is_none_or(|from| u64::try_from(from).is_ok_and(|from| fill.trade_id.0 >= from))
            && start.is_none_or(|start| fill.time_ms >= start)
            && end.is_none_or(|end| fill.time_ms <= end)
    });
    let mut asked: Vec<_> = asked.collect();
    // From a start onward, or else the latest.
    if start.is_none() && from_id.is_none() {
        asked.drain(..asked.len().saturating_sub(limit));
    }
    Ok(asked
        .into_iter()
        .take(limit)
        .map(|fill| fill.listed(symbol))
        .collect())
}

pub(crate) fn new_order(venue: &mut Venue, account: usize, params: &Params) -> Result<Value, ApiError> {
    check_symbol(venue, params)?;
    let ticket = read_ticket(venue, params)?;
    let default = if ticket.order_type == OrderType::Market || !ticket.post_only {
        "FULL"
    } else {
        "ACK"
    };
    let answer = match params.get("newOrderRespType").unwrap_or(default) {
        "ACK" => AnswerType::Ack,
        "RESULT" => AnswerType::Result,
        "FULL" => AnswerType::Full,
        _ => return Err(ApiError::illegal("newOrderRespType")),
    };
    let id = venue.place(account, ticket)?;
    let order = venue.orders.get(id).ok_or_else(ApiError::no_such_order)?;
    Ok(order.placed(&venue.listing.symbol, answer))
}

fn read_ticket(venue: &mut Venue, params: &Params) -> Result<Ticket, ApiError> {
    let side = match params.required("side")? {
        "BUY" => Side::Buy,
        "SELL" => Side::Sell,
        _ => return Err(ApiError::side()),
    };
    let (order_type, post_only) = match params.required("type")? {
        "LIMIT" => (OrderType::Limit, false),
        "LIMIT_MAKER" => (OrderType::Limit, true),
        "MARKET" => (OrderType::Market, false),
        _ => return Err(ApiError::order_type()),
    };
    for name in ["quoteOrderQty", "stopPrice", "icebergQty", "trailingDelta"] {
        if params.get(name).is_some() {
            return Err(ApiError::not_required(name));
        }
    }
    let price = params.price("price")?;
    if price.is_none() && order_type == OrderType::Limit {
        return Err(ApiError::missing("price"));
    }
    if price.is_some() && order_type == OrderType::Market {
        return Err(ApiError::not_required("price"));
    }
    let plain_limit = order_type == OrderType::Limit && !post_only;
    let time_in_force = match (params.get("timeInForce"), plain_limit) {
        (None, true) => return Err(ApiError::missing("timeInForce")),
        (Some(_), false) => return Err(ApiError::not_required("timeInForce")),
        (None, false) | (Some("GTC"), true) => TimeInForce::Gtc,
        (Some("IOC"), true) => TimeInForce::Ioc,
        (Some("FOK"), true) => TimeInForce::Fok,
        (Some(_), true) => return Err(ApiError::time_in_force()),
    };
    Ok(Ticket {
        client_order_id: client_id(venue, params, "newClientOrderId")?,
        reference: None,
        side,
        order_type,
        price,
        quantity: params
            .quantity("quantity")?
            .ok_or_else(|| ApiError::missing("quantity"))?,
        time_in_force,
        post_only,
        keeps_refused: false,
        self_trade: self_trade(params)?,
        expires: None,
    })
}

fn self_trade(params: &Params) -> Result<SelfTradePrevention, ApiError> {
    match params.get("selfTradePreventionMode") {
        None | Some("EXPIRE_MAKER") => Ok(SelfTradePrevention::ExpireMaker),
        Some("EXPIRE_TAKER") => Ok(SelfTradePrevention::ExpireTaker),
        Some("EXPIRE_BOTH") => Ok(SelfTradePrevention::ExpireBoth),
        Some(_) => Err(ApiError::rejected(
            "This symbol does not allow the specified self-trade prevention mode.",
        )),
    }
}

/// The client's own name of a request, or one made for it.
fn client_id(venue: &mut Venue, params: &Params, name: &str) -> Result<String, ApiError> {
    let Some(id) = params.get(name) else {
        return Ok(venue.next_client_id());
    };
    let allowed = |byte: u8| byte.is_ascii_alphanumeric() || b"._:/-".contains(&byte);
    if id.len() > CLIENT_ID_BYTES_MAX || !id.bytes().all(allowed) {
        return Err(ApiError::illegal(name));
    }
    Ok(id.to_owned())
}

pub(crate) fn cancel_order(venue: &mut Venue, account: usize, params: &Params) -> Result<Value, ApiError> {
    let id = find_order(venue, account, params)?.map(|order| order.id);
    let id = id.ok_or_else(ApiError::unknown_order)?;
    let cancel_id = client_id(venue, params, "newClientOrderId")?;
    venue.cancel(id, &cancel_id)?;
    let order = venue.orders.get(id).ok_or_else(ApiError::unknown_order)?;
    Ok(order.canceled(&venue.listing.symbol, &cancel_id))
}

/// `order.amend.keepPriority`: the quantity becomes less, all else stays. An order keeps its name here; the venue would make
/// one for whoever sends none.
pub(crate) fn amend_order(venue: &mut Venue, account: usize, params: &Params) -> Result<Value, ApiError> {
    let order = find_order(venue, account, params)?.filter(|order| order.status.is_open());
    let order = order.ok_or_else(ApiError::no_such_order)?;
    let (id, before, name) = (
        order.id,
        order.ticket.quantity,
        order.ticket.client_order_id.clone(),
    );
    let quantity = params
        .quantity("newQty")?
        .ok_or_else(|| ApiError::missing("newQty"))?;
    if params.get("newClientOrderId") != Some(name.as_str()) {
        return Err(ApiError::not_amended(
            "This server keeps the order's name: send it as newClientOrderId.",
        ));
    }
    if quantity == before {
        return Err(ApiError::not_amended(
            "The requested action would change no state; rejecting.",
        ));
    }
    if quantity > before {
        return Err(ApiError::not_amended(
            "Order amend (quantity increase) is not supported.",
        ));
    }
    let amendment = Amendment {
        price: None,
        quantity: Some(quantity),
        post_only: false,
    };
    venue.amend(id, amendment)?;
    let order = venue.orders.get(id).ok_or_else(ApiError::unknown_order)?;
    Ok(order.amended(&venue.listing.symbol))
}

pub(crate) fn cancel_all(venue: &mut Venue, account: usize, params: &Params) -> Result<Value, ApiError> {
    check_symbol(venue, params)?;
    let ids: Vec<OrderId> = venue.orders.open_of(account).map(|order| order.id).collect();
    if ids.is_empty() {
        return Err(ApiError::unknown_order());
    }
    let mut canceled = Vec::new();
    for id in ids {
        let cancel_id = venue.next_client_id();
        venue.cancel(id, &cancel_id)?;
        if let Some(order) = venue.orders.get(id) {
            canceled.push(order.canceled(&venue.listing.symbol, &cancel_id));
        }
    }
    Ok(Value::Array(canceled))
}

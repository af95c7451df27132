//! Orders in: new, canceled, edited.

use domain::{FixedPointError, OrderType, Price, Quantity, Side, TimeInForce, Timestamp};
use serde::Deserialize;
use serde_json::{Map, Value, json};
use simulation::{OrderId, SelfTradePrevention};

use super::error::{Failure, order_reason, refused_order};
use super::names;
use super::views::side_name;
use crate::instant::parse_rfc3339;
use crate::orders::{OrderRecord, Ticket};
use crate::refusal::Refusal;
use crate::venue::{Amendment, Venue};

/// Longest client order id, in bytes.
const CLIENT_ID_BYTES_MAX: usize = 128;
/// Orders that one cancel may name.
const CANCELS_MAX: usize = 100;

/// A new order as it comes.
#[derive(Debug, Deserialize)]
struct Asked {
    client_order_id: String,
    product_id: String,
    side: String,
    order_configuration: Map<String, Value>,
}

/// What is wrong with an order, in the venue's words.
struct Wrong(&'static str, &'static str);

/// Places an order. A client order id that is known brings back the order that has it.
pub(super) fn place(venue: &mut Venue, account: usize, body: &str) -> Result<Value, Failure> {
    let asked: Asked = serde_json::from_str(body).map_err(|error| Failure::invalid(&error.to_string()))?;
    if asked.client_order_id.is_empty() || asked.client_order_id.len() > CLIENT_ID_BYTES_MAX {
        return Err(Failure::invalid("client_order_id"));
    }
    let configuration = Value::Object(asked.order_configuration.clone());
    if let Some(known) = venue.orders.by_client_id(account, &asked.client_order_id) {
        return Ok(placed(known, &venue.listing.symbol, &configuration));
    }
    let ticket = match read_ticket(venue, &asked) {
        Ok(ticket) => ticket,
        Err(Wrong(error, preview)) => return Ok(refused_order(error, preview, &configuration)),
    };
    match venue.place(account, ticket) {
        Ok(id) => {
            let order = venue.orders.get(id).ok_or_else(|| Failure::not_found("order"))?;
            Ok(placed(order, &venue.listing.symbol, &configuration))
        }
        Err(Refusal::OrderRate { .. }) => Err(Failure::RateLimited(1)),
        Err(refusal) => {
            let (error, preview) = order_reason(refusal);
            Ok(refused_order(error, preview, &configuration))
        }
    }
}

fn placed(order: &OrderRecord, symbol: &str, configuration: &Value) -> Value {
    json!({
        "success": true,
        "success_response": {
            "order_id": names::order_id(order.id),
            "product_id": symbol,
            "side": side_name(order.ticket.side),
            "client_order_id": order.ticket.client_order_id,
            "attached_order_id": "",
        },
        "order_configuration": configuration,
    })
}

fn read_ticket(venue: &mut Venue, asked: &Asked) -> Result<Ticket, Wrong> {
    const CONFIGURATION: Wrong = Wrong("UNSUPPORTED_ORDER_CONFIGURATION", "PREVIEW_INVALID_ORDER_CONFIG");
    if asked.product_id != venue.listing.symbol {
        return Err(Wrong("INVALID_PRODUCT_ID", "PREVIEW_INVALID_PRODUCT_ID"));
    }
    let side = match asked.side.as_str() {
        "BUY" => Side::Buy,
        "SELL" => Side::Sell,
        _ => return Err(Wrong("INVALID_SIDE", "PREVIEW_INVALID_SIDE")),
    };
    let mut configurations = asked.order_configuration.iter();
    let (Some((kind, fields)), None) = (configurations.next(), configurations.next()) else {
        return Err(CONFIGURATION);
    };
    let (order_type, time_in_force) = match kind.as_str() {
        "limit_limit_gtc" | "limit_limit_gtd" => (OrderType::Limit, TimeInForce::Gtc),
        "limit_limit_fok" => (OrderType::Limit, TimeInForce::Fok),
        "sor_limit_ioc" => (OrderType::Limit, TimeInForce::Ioc),
        "market_market_ioc" => (OrderType::Market, TimeInForce::Ioc),
        "market_market_fok" => (OrderType::Market, TimeInForce::Fok),
        _ => return Err(CONFIGURATION),
    };
    let price = match (order_type, &fields["limit_price"]) {
        (OrderType::Limit, text) => Some(Price::from_units(number(text, PRICE_PRECISION)?)),
        (OrderType::Market, _) => None,
    };
    let quantity = match (&fields["base_size"], &fields["quote_size"]) {
        (Value::Null, money) if side == Side::Buy && !money.is_null() => {
            let money = number(money, QUOTE_PRECISION)?;
            venue.affordable(i128::from(money) * i128::from(domain::SCALE))
        }
        (base, _) => Quantity::from_units(number(base, SIZE_PRECISION)?),
    };
    let expires = match kind.as_str() {
        "limit_limit_gtd" => Some(end_time(venue, fields).ok_or(CONFIGURATION)?),
        _ => None,
    };
    Ok(Ticket {
        client_order_id: asked.client_order_id.clone(),
        reference: None,
        side,
        order_type,
        price,
        quantity,
        time_in_force,
        post_only: fields["post_only"] == true,
        keeps_refused: false,
        self_trade: SelfTradePrevention::ExpireTaker,
        expires,
    })
}

const PRICE_PRECISION: Wrong = Wrong("INVALID_PRICE_PRECISION", "PREVIEW_INVALID_PRICE_PRECISION");
const SIZE_PRECISION: Wrong = Wrong("INVALID_SIZE_PRECISION", "PREVIEW_INVALID_SIZE_PRECISION");
const QUOTE_PRECISION: Wrong = Wrong("INVALID_SIZE_PRECISION", "PREVIEW_INVALID_QUOTE_SIZE_PRECISION");

/// A positive number that came as text.
fn number(value: &Value, imprecise: Wrong) -> Result<i64, Wrong> {
    let text = value.as_str().unwrap_or_default();
    match Price::parse(text.as_bytes()) {
        Ok(number) if number > Price::ZERO => Ok(number.units()),
        Err(FixedPointError::TooPrecise) => Err(imprecise),
        Ok(_) | Err(_) => Err(Wrong(
            "UNSUPPORTED_ORDER_CONFIGURATION",
            "PREVIEW_INVALID_ORDER_CONFIG",
        )),
    }
}

fn end_time(venue: &mut Venue, fields: &Value) -> Option<Timestamp> {
    let end = parse_rfc3339(fields["end_time"].as_str()?)?;
    (end > venue.catch_up()).then_some(end)
}

/// The account's own order of a text.
pub(super) fn find<'a>(venue: &'a Venue, account: usize, text: &str) -> Option<&'a OrderRecord> {
    names::parse_order_id(text)
        .and_then(|id| venue.orders.get(id))
        .filter(|order| order.account == account)
}

/// Cancels orders, each with its own answer.
pub(super) fn cancel(venue: &mut Venue, account: usize, body: &str) -> Result<Value, Failure> {
    #[derive(Deserialize)]
    struct Body {
        order_ids: Vec<String>,
    }
    let body: Body = serde_json::from_str(body).map_err(|error| Failure::invalid(&error.to_string()))?;
    if body.order_ids.is_empty() || body.order_ids.len() > CANCELS_MAX {
        return Err(Failure::invalid("order_ids"));
    }
    let results: Vec<Value> = body
        .order_ids
        .iter()
        .map(|text| {
            let id = find(venue, account, text).map(|order| order.id);
            let canceled = id
                .ok_or(Refusal::UnknownOrder)
                .and_then(|id| venue.cancel(id, ""));
            let reason = match canceled {
                Ok(()) => "UNKNOWN_CANCEL_FAILURE_REASON",
                Err(Refusal::UnknownOrder) => "UNKNOWN_CANCEL_ORDER",
                Err(_) => "COMMANDER_REJECTED_CANCEL_ORDER",
            };
            json!({ "success": canceled.is_ok(), "failure_reason": reason, "order_id": text })
        })
        .collect();
    Ok(json!({ "results": results }))
}

/// Changes the price and size of an order that rests until it is canceled.
pub(super) fn edit(venue: &mut Venue, account: usize, body: &str) -> Result<Value, Failure> {
    #[derive(Deserialize)]
    struct Body {
        order_id: String,
        #[serde(default)]
        price: Value,
        #[serde(default)]
        size: Value,
    }
    let body: Body = serde_json::from_str(body).map_err(|error| Failure::invalid(&error.to_string()))?;
    let refused = |edit: &str, preview: &str| {
        Ok(json!({
            "success": false,
            "errors": [{ "edit_failure_reason": edit, "preview_failure_reason": preview }],
        }))
    };
    let Some(order) = find(venue, account, &body.order_id) else {
        return refused("ORDER_NOT_FOUND", "UNKNOWN_PREVIEW_FAILURE_REASON");
    };
    let ticket = &order.ticket;
    let id: OrderId = order.id;
    if ticket.order_type != OrderType::Limit
        || ticket.time_in_force != TimeInForce::Gtc
        || ticket.expires.is_some()
    {
        return refused(
            "ONLY_LIMIT_ORDER_EDITS_SUPPORTED",
            "UNKNOWN_PREVIEW_FAILURE_REASON",
        );
    }
    let read = |value: &Value, imprecise| (!value.is_null()).then(|| number(value, imprecise)).transpose();
    let (price, quantity) = match (
        read(&body.price, PRICE_PRECISION),
        read(&body.size, SIZE_PRECISION),
    ) {
        (Ok(price), Ok(size)) => (price.map(Price::from_units), size.map(Quantity::from_units)),
        (Err(Wrong(_, preview)), _) | (_, Err(Wrong(_, preview))) => {
            return refused("UNKNOWN_EDIT_ORDER_FAILURE_REASON", preview);
        }
    };
    let amendment = Amendment {
        price,
        quantity,
        post_only: false,
    };
    match venue.amend(id, amendment) {
        Ok(()) => Ok(json!({ "success": true, "errors": [] })),
        Err(Refusal::UnknownOrder) => refused("CANNOT_EDIT_CLOSED_ORDER", "UNKNOWN_PREVIEW_FAILURE_REASON"),
        Err(refusal) => refused("UNKNOWN_EDIT_ORDER_FAILURE_REASON", order_reason(refusal).1),
    }
}

//! Orders in, the same behind REST and the sockets: what differs is what the parameters are called.

use std::time::Duration;

use domain::{Nanos, OrderType, Quantity, Side, TimeInForce, Timestamp};
use simulation::{OrderId, SelfTradePrevention};

use super::error::Failure;
use super::fields::Fields;
use super::names::{self, Names};
use crate::instant::parse_rfc3339;
use crate::orders::{OrderRecord, Ticket};
use crate::venue::{Amendment, Venue};

/// Bounds of an order's deadline after now, wall time.
const DEADLINE_MIN: Duration = Duration::from_millis(500);
const DEADLINE_MAX: Duration = Duration::from_mins(1);
/// Longest free text of a client's name of an order; a UUID may be longer.
const CLIENT_ID_BYTES_MAX: usize = 18;
/// Longest time of the switch that cancels everything.
const SWITCH_MAX: Duration = Duration::from_hours(24);

/// What a parameter is called on one of the wires.
#[derive(Debug)]
pub(crate) struct Words {
    order_type: &'static str,
    side: &'static str,
    quantity: &'static str,
    price: &'static str,
    pub(crate) pair: &'static str,
    time_in_force: &'static str,
    self_trade: &'static str,
    reference: &'static str,
    expires: &'static str,
    id: &'static str,
}

/// REST.
pub(crate) const REST: Words = Words {
    order_type: "ordertype",
    side: "type",
    quantity: "volume",
    price: "price",
    pair: "pair",
    time_in_force: "timeinforce",
    self_trade: "stptype",
    reference: "userref",
    expires: "expiretm",
    id: "txid",
};

/// The newer socket.
pub(crate) const SOCKET: Words = Words {
    order_type: "order_type",
    side: "side",
    quantity: "order_qty",
    price: "limit_price",
    pair: "symbol",
    time_in_force: "time_in_force",
    self_trade: "stp_type",
    reference: "order_userref",
    expires: "expire_time",
    id: "order_id",
};

/// What came of a new order.
#[derive(Debug)]
pub(crate) enum Added {
    Placed(OrderId),
    /// It was only to be checked.
    Checked,
}

/// Places an order; returns it with its description.
pub(crate) fn add(
    venue: &mut Venue,
    account: usize,
    fields: &Fields,
    words: &Words,
) -> Result<(Added, String), Failure> {
    let names = Names::of(&venue.listing);
    if !names.is_pair(fields.required(words.pair)?) {
        return Err(Failure::unknown_pair());
    }
    check_deadline(venue, fields)?;
    let ticket = read_ticket(venue, fields, words)?;
    let description = describe(&ticket, &names);
    if fields.flag("validate") {
        return Ok((Added::Checked, description));
    }
    let id = venue.place(account, ticket)?;
    Ok((Added::Placed(id), description))
}

/// `buy 1.25000000 XBTUSD @ limit 27500.0`.
pub(crate) fn describe(ticket: &Ticket, names: &Names) -> String {
    let side = side_name(ticket.side);
    let quantity = names::quantity(ticket.quantity);
    match ticket.price {
        Some(price) => format!("{side} {quantity} {} @ limit {}", names.alt, names.price(price)),
        None => format!("{side} {quantity} {} @ market", names.alt),
    }
}

pub(crate) fn side_name(side: Side) -> &'static str {
    match side {
        Side::Buy => "buy",
        Side::Sell => "sell",
    }
}

/// Refuses what comes after its deadline, and deadlines out of bounds.
fn check_deadline(venue: &mut Venue, fields: &Fields) -> Result<(), Failure> {
    let Some(text) = fields.get("deadline") else {
        return Ok(());
    };
    let deadline = parse_rfc3339(text).ok_or_else(|| Failure::arguments("deadline"))?;
    let now = venue.catch_up();
    let now = venue.shown(now);
    if deadline <= now {
        return Err(Failure::text("EService:Deadline elapsed"));
    }
    let after = |wall| now.plus(venue.clock.to_venue(wall));
    if deadline < after(DEADLINE_MIN) || deadline > after(DEADLINE_MAX) {
        return Err(Failure::arguments("deadline"));
    }
    Ok(())
}

fn read_ticket(venue: &mut Venue, fields: &Fields, words: &Words) -> Result<Ticket, Failure> {
    let side = match fields.required(words.side)? {
        "buy" => Side::Buy,
        "sell" => Side::Sell,
        _ => return Err(Failure::arguments(words.side)),
    };
    let order_type = match fields.required(words.order_type)? {
        "limit" => OrderType::Limit,
        "market" => OrderType::Market,
        _ => return Err(Failure::arguments(words.order_type)),
    };
    for name in [
        "leverage",
        "margin",
        "reduce_only",
        "displayvol",
        "display_qty",
        "price2",
        "triggers",
    ] {
        if fields
            .get(name)
            .is_some_and(|value| !matches!(value, "false" | "none" | "0"))
        {
            return Err(Failure::arguments(name));
        }
    }
    let flags = fields.list("oflags");
    let has = |flag: &str| flags.iter().any(|known| known == flag);
    let price = fields
        .price(words.price)?
        .filter(|_| order_type == OrderType::Limit);
    if price.is_none() && order_type == OrderType::Limit {
        return Err(Failure::arguments(words.price));
    }
    let in_quote = match fields.quantity("cash_order_qty")? {
        Some(money) => Some(money),
        None if has("viqc") => fields.quantity(words.quantity)?,
        None => None,
    };
    let quantity = match in_quote {
        Some(_) if (side, order_type) != (Side::Buy, OrderType::Market) => {
            return Err(Failure::arguments("viqc"));
        }
        Some(money) => venue.affordable(i128::from(money.units()) * i128::from(domain::SCALE)),
        None => fields
            .quantity(words.quantity)?
            .ok_or_else(|| Failure::arguments(words.quantity))?,
    };
    let (time_in_force, expires) = time_in_force(venue, fields, words)?;
    Ok(Ticket {
        client_order_id: client_id(fields)?,
        reference: fields.integer(words.reference)?,
        side,
        order_type,
        price,
        quantity,
        time_in_force,
        post_only: has("post") || fields.flag("post_only"),
        keeps_refused: true,
        self_trade: self_trade(fields, words)?,
        expires,
    })
}

/// The client's name of the order: a UUID, or a short text.
fn client_id(fields: &Fields) -> Result<String, Failure> {
    let id = fields.get("cl_ord_id").unwrap_or_default();
    let hexadecimal = id.bytes().filter(u8::is_ascii_hexdigit).count();
    let is_uuid = match id.len() {
        32 => hexadecimal == 32,
        36 => hexadecimal == 32 && [8, 13, 18, 23].iter().all(|&at| id.as_bytes()[at] == b'-'),
        _ => false,
    };
    let is_short = id.len() <= CLIENT_ID_BYTES_MAX && id.is_ascii();
    (is_uuid || is_short)
        .then(|| id.to_owned())
        .ok_or_else(|| Failure::arguments("cl_ord_id"))
}

fn time_in_force(
    venue: &mut Venue,
    fields: &Fields,
    words: &Words,
) -> Result<(TimeInForce, Option<Timestamp>), Failure> {
    let asked = fields
        .get(words.time_in_force)
        .unwrap_or("gtc")
        .to_ascii_lowercase();
    match asked.as_str() {
        "gtc" => Ok((TimeInForce::Gtc, None)),
        "ioc" => Ok((TimeInForce::Ioc, None)),
        "fok" => Ok((TimeInForce::Fok, None)),
        "gtd" => {
            let refused = || Failure::arguments(words.expires);
            let text = fields.required(words.expires)?;
            let now = venue.catch_up();
            let seconds = |text: &str| {
                text.parse::<i64>()
                    .ok()
                    .and_then(|s| s.checked_mul(1_000_000_000))
            };
            let end = match text.strip_prefix('+') {
                Some(after) => now.plus(Nanos(seconds(after).ok_or_else(refused)?)),
                None => parse_rfc3339(text)
                    .or_else(|| seconds(text).map(Timestamp::from_nanos))
                    .ok_or_else(refused)?,
            };
            if end <= now {
                return Err(refused());
            }
            Ok((TimeInForce::Gtc, Some(end)))
        }
        _ => Err(Failure::arguments(words.time_in_force)),
    }
}

fn self_trade(fields: &Fields, words: &Words) -> Result<SelfTradePrevention, Failure> {
    match fields.get(words.self_trade).unwrap_or("cancel_newest") {
        "cancel_newest" | "cancel-newest" => Ok(SelfTradePrevention::ExpireTaker),
        "cancel_oldest" | "cancel-oldest" => Ok(SelfTradePrevention::ExpireMaker),
        "cancel_both" | "cancel-both" => Ok(SelfTradePrevention::ExpireBoth),
        _ => Err(Failure::arguments(words.self_trade)),
    }
}

/// The account's order of a number, or of a client's name or number of it where those are open.
pub(crate) fn find<'a>(venue: &'a Venue, account: usize, text: &str) -> Option<&'a OrderRecord> {
    let own = |order: &&OrderRecord| order.account == account;
    names::parse_order_id(text)
        .and_then(|id| venue.orders.get(id))
        .filter(own)
}

/// Orders that a cancel names: by number, by the client's name, by the client's number.
pub(crate) fn named(
    venue: &Venue,
    account: usize,
    fields: &Fields,
    words: &Words,
) -> Vec<(String, Vec<OrderId>)> {
    let by_number = fields.list(words.id).into_iter().map(|text| {
        let found = find(venue, account, &text).map(|order| vec![order.id]);
        let ids = found.unwrap_or_else(|| by_reference(venue, account, &text));
        (text, ids)
    });
    let by_name = fields.list("cl_ord_id").into_iter().map(|text| {
        let found = venue.orders.by_client_id(account, &text).map(|order| order.id);
        (text, found.into_iter().collect())
    });
    let references = fields.list("order_userref").into_iter().map(|text| {
        let ids = by_reference(venue, account, &text);
        (text, ids)
    });
    by_number.chain(by_name).chain(references).collect()
}

fn by_reference(venue: &Venue, account: usize, text: &str) -> Vec<OrderId> {
    let Ok(reference) = text.parse::<i64>() else {
        return Vec::new();
    };
    let open = venue.orders.open_of(account);
    open.filter(|order| order.ticket.reference == Some(reference))
        .map(|order| order.id)
        .collect()
}

/// Cancels the open ones of `ids`; how many those were.
pub(crate) fn cancel(venue: &mut Venue, ids: &[OrderId]) -> Result<usize, Failure> {
    let mut count = 0;
    for &id in ids {
        venue.cancel(id, "")?;
        count += 1;
    }
    if count == 0 {
        return Err(Failure::unknown_order());
    }
    Ok(count)
}

/// Cancels all open orders of an account; how many there were.
pub(crate) fn cancel_all(venue: &mut Venue, account: usize) -> Result<usize, Failure> {
    venue.catch_up();
    let ids: Vec<OrderId> = venue.orders.open_of(account).map(|order| order.id).collect();
    for &id in &ids {
        venue.cancel(id, "")?;
    }
    Ok(ids.len())
}

/// Changes an open order; returns it.
pub(crate) fn amend(
    venue: &mut Venue,
    account: usize,
    fields: &Fields,
    words: &Words,
) -> Result<OrderId, Failure> {
    check_deadline(venue, fields)?;
    let named = named(venue, account, fields, words);
    let id = match named.as_slice() {
        [(_, ids)] => ids.first().copied().ok_or_else(Failure::unknown_order)?,
        _ => return Err(Failure::arguments(words.id)),
    };
    let quantity: Option<Quantity> = fields.quantity("order_qty")?;
    let price = fields.price("limit_price")?;
    if price.is_none() && quantity.is_none() {
        return Err(Failure::arguments("order_qty"));
    }
    let amendment = Amendment {
        price,
        quantity,
        post_only: fields.flag("post_only"),
    };
    venue.amend(id, amendment)?;
    Ok(id)
}

/// Sets or clears the switch that cancels all orders of an account; returns when it fires.
pub(crate) fn arm_switch(
    venue: &mut Venue,
    account: usize,
    fields: &Fields,
) -> Result<Option<Timestamp>, Failure> {
    let refused = || Failure::arguments("timeout");
    let seconds = fields.integer("timeout")?.ok_or_else(refused)?;
    let wall = Duration::from_secs(u64::try_from(seconds).map_err(|_| refused())?);
    if wall > SWITCH_MAX {
        return Err(refused());
    }
    Ok(venue.arm_switch(account, Some(wall).filter(|wall| !wall.is_zero())))
}

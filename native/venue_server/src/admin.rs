//! What tests and people do to the venue itself: look inside, stop its time, make it fail. Loopback only.

use std::sync::Arc;
use std::time::Duration;

use axum::Json;
use axum::body::Bytes;
use axum::extract::State;
use axum::http::StatusCode;
use axum::response::Response;
use domain::{Currency, Decimal, Nanos, OrderType, Price, Quantity, Side, TimeInForce};
use serde::Deserialize;
use serde_json::{Value, json};
use simulation::SelfTradePrevention;

use crate::account::Account;
use crate::decimal::{amount8, price8, quantity8};
use crate::faults::{FAULT_MS_MAX, Fault, Forced, Met};
use crate::frames::{Class, FrameFault, FrameTerms};
use crate::hub::Target;
use crate::orders::{OrderRecord, Ticket};
use crate::shared::{Shared, json_text};
use crate::venue::Venue;

/// Most venue time that one step may skip: a week in milliseconds.
const ADVANCE_MS_MAX: i64 = 7 * 86_400_000;

/// `GET /admin/state`.
pub(crate) async fn state(State(shared): State<Arc<Shared>>) -> Json<Value> {
    let mut venue = shared.venue();
    let now = venue.catch_up();
    Json(describe(&mut venue, now))
}

fn describe(venue: &mut Venue, now: domain::Timestamp) -> Value {
    let symbol = venue.listing.symbol.clone();
    let (market, account) = venue.hub.count();
    let accounts: Vec<Value> = venue
        .accounts
        .iter()
        .enumerate()
        .map(|(index, holder)| {
            let open: Vec<Value> = venue.orders.open_of(index).map(open_order).collect();
            json!({
                "api_key": holder.key.key,
                "balances": balances(holder),
                "open_orders": open,
                "orders": venue.orders.of_account(index).count(),
                "fills": holder.fills.len(),
                "switch_set": venue.has_switch(index),
            })
        })
        .collect();
    json!({
        "symbol": symbol,
        "server_time_ms": now.millis(),
        "paused": venue.clock.is_paused(),
        "compression": venue.clock.compression(),
        "bars": venue.history.played(),
        "bar_index": venue.history.bar_index(now),
        "record_ended": venue.record_ended(),
        "update_id": venue.market.update_id(),
        "connections": { "market": market, "account": account },
        "faults_waiting": venue.faults.waiting() + venue.hub.faults.waiting(),
        "mode": venue.mode().as_str(),
        "accounts": accounts,
    })
}

fn open_order(order: &OrderRecord) -> Value {
    let ticket = &order.ticket;
    json!({
        "id": order.id.0,
        "client_order_id": ticket.client_order_id,
        "side": if ticket.side == Side::Buy { "buy" } else { "sell" },
        "price": ticket.price.map(price8),
        "quantity": quantity8(ticket.quantity),
        "filled": quantity8(order.filled),
    })
}

fn balances(holder: &Account) -> Value {
    let entries = holder.holdings().map(|(currency, holding)| {
        json!({
            "asset": currency.as_str(),
            "free": amount8(holding.free),
            "locked": amount8(holding.locked),
        })
    });
    entries.collect()
}

/// `POST /admin/pause`.
pub(crate) async fn pause(State(shared): State<Arc<Shared>>) -> Json<Value> {
    let mut venue = shared.venue();
    venue.clock.pause();
    let now = venue.catch_up();
    Json(describe(&mut venue, now))
}

/// `POST /admin/resume`.
pub(crate) async fn resume(State(shared): State<Arc<Shared>>) -> Json<Value> {
    let described = {
        let mut venue = shared.venue();
        venue.clock.resume();
        let now = venue.catch_up();
        describe(&mut venue, now)
    };
    shared.wake.notify_one();
    Json(described)
}

/// How far to move venue time.
#[derive(Debug, Deserialize)]
#[serde(deny_unknown_fields)]
struct Advance {
    /// Venue milliseconds.
    ms: i64,
}

/// `POST /admin/advance {"ms": ...}`: moves venue time forward at once and plays what that makes due.
pub(crate) async fn advance(State(shared): State<Arc<Shared>>, body: Bytes) -> Response {
    let step: Advance = match serde_json::from_slice(&body) {
        Ok(step) => step,
        Err(error) => return refuse(&error.to_string()),
    };
    if !(0..=ADVANCE_MS_MAX).contains(&step.ms) {
        return refuse(&format!("ms is {}, allowed 0 to {ADVANCE_MS_MAX}", step.ms));
    }
    let described = {
        let mut venue = shared.venue();
        venue.clock.advance(Nanos::from_millis(step.ms));
        let now = venue.catch_up();
        describe(&mut venue, now)
    };
    shared.wake.notify_one();
    json_text(StatusCode::OK, described.to_string())
}

/// Money that comes onto an account, or with a negative amount goes from it.
#[derive(Debug, Deserialize)]
#[serde(deny_unknown_fields)]
struct Transfer {
    /// Whose account.
    api_key: String,
    /// Which asset.
    asset: String,
    /// A decimal number, as text.
    amount: String,
}

/// `POST /admin/transfer {"api_key": ..., "asset": ..., "amount": ...}`: a deposit or a withdrawal, told on the account's
/// stream where the wire tells of them.
pub(crate) async fn transfer(State(shared): State<Arc<Shared>>, body: Bytes) -> Response {
    let transfer: Transfer = match serde_json::from_slice(&body) {
        Ok(transfer) => transfer,
        Err(error) => return refuse(&error.to_string()),
    };
    let described = {
        let mut venue = shared.venue();
        let (Some(account), Some(asset)) = (
            venue.account_of(&transfer.api_key).map(|(account, _)| account),
            Currency::new(&transfer.asset),
        ) else {
            return refuse("no such account, or no such asset");
        };
        let Ok(amount) = Decimal::parse(transfer.amount.as_bytes()) else {
            return refuse("amount is a decimal number as text");
        };
        if !venue.transfer(account, asset, amount) {
            return refuse("more than is free");
        }
        let now = venue.catch_up();
        describe(&mut venue, now)
    };
    shared.wake.notify_one();
    json_text(StatusCode::OK, described.to_string())
}

/// An order that a person places.
#[derive(Debug, Deserialize)]
#[serde(deny_unknown_fields)]
struct Placing {
    /// Whose account.
    api_key: String,
    /// As the venue keeps it.
    client_order_id: String,
    /// `buy` or `sell`.
    side: String,
    /// A decimal number as text; absent for a market order.
    price: Option<String>,
    /// The same.
    quantity: String,
}

impl Placing {
    /// As the venue takes orders; `None` for one that says nothing an order can.
    fn ticket(&self) -> Option<Ticket> {
        let price = match &self.price {
            Some(text) => Some(Price::parse(text.as_bytes()).ok()?),
            None => None,
        };
        let (order_type, time_in_force) = match price {
            Some(_) => (OrderType::Limit, TimeInForce::Gtc),
            None => (OrderType::Market, TimeInForce::Ioc),
        };
        Some(Ticket {
            client_order_id: self.client_order_id.clone(),
            reference: None,
            side: match self.side.as_str() {
                "buy" => Side::Buy,
                "sell" => Side::Sell,
                _ => return None,
            },
            order_type,
            price,
            quantity: Quantity::parse(self.quantity.as_bytes()).ok()?,
            time_in_force,
            post_only: false,
            keeps_refused: false,
            self_trade: SelfTradePrevention::ExpireTaker,
            expires: None,
        })
    }
}

/// `POST /admin/order {"api_key": ..., "client_order_id": ..., "side": ..., "price": ..., "quantity": ...}`: an order that
/// a person places on the account, beside whoever trades there.
pub(crate) async fn order(State(shared): State<Arc<Shared>>, body: Bytes) -> Response {
    let placing: Placing = match serde_json::from_slice(&body) {
        Ok(placing) => placing,
        Err(error) => return refuse(&error.to_string()),
    };
    let placed = {
        let mut venue = shared.venue();
        let account = venue.account_of(&placing.api_key).map(|(account, _)| account);
        let (Some(account), Some(ticket)) = (account, placing.ticket()) else {
            return refuse("no such account, or no order");
        };
        venue.place(account, ticket)
    };
    shared.wake.notify_one();
    match placed {
        Ok(id) => json_text(StatusCode::OK, json!({ "id": id.0 }).to_string()),
        Err(refusal) => refuse(&format!("{refusal:?}")),
    }
}

/// `POST /admin/faults {"kind": ...}`.
pub(crate) async fn faults(State(shared): State<Arc<Shared>>, body: Bytes) -> Response {
    let fault: Fault = match serde_json::from_slice(&body) {
        Ok(fault) => fault,
        Err(error) => return refuse(&error.to_string()),
    };
    match inject(&shared, fault) {
        Ok(()) => json_text(StatusCode::OK, "{}".to_owned()),
        Err(message) => refuse(&message),
    }
}

fn inject(shared: &Shared, fault: Fault) -> Result<(), String> {
    let mut venue = shared.venue();
    match fault {
        Fault::DropConnections { target } => venue.hub.drop_connections(target),
        Fault::Close { target, code, reason } => close(&mut venue, target, code, &reason)?,
        Fault::DepthGap { count } => frames(&mut venue, Class::Book, FrameFault::Drop.into(), count)?,
        Fault::MalformedFrame { count } => {
            frames(&mut venue, Class::Book, FrameFault::Truncate.into(), count)?;
        }
        Fault::Frames {
            class,
            fault,
            ms,
            behind,
            count,
        } => {
            let terms = FrameTerms {
                fault,
                delay: bounded(ms)?,
                behind,
            };
            frames(&mut venue, class, terms, count)?;
        }
        Fault::Stray { target, text } => venue.hub.say(target, &text),
        Fault::RewriteAnswer {
            path,
            from,
            to,
            count,
        } => queued(venue.rewrites.add(path, from, to, count))?,
        Fault::RewriteFrame {
            class,
            from,
            to,
            count,
        } => queued(venue.hub.rewrites.add(class, from, to, count))?,
        Fault::BadChecksum { count } => venue.hub.spoil_checksums(count),
        Fault::Silence { ms, class: None } => venue.hub.silence(bounded(ms)?),
        Fault::Silence {
            ms,
            class: Some(class),
        } => venue.hub.stall(class, bounded(ms)?),
        Fault::Outage { ms } => {
            shared.outage.begin(bounded(ms)?);
            venue.hub.drop_connections(Target::All);
        }
        Fault::Restart { ms } => {
            venue.tell_shutdown();
            venue
                .hub
                .close_connections(Target::All, SERVICE_RESTART, "Service restart");
            shared.outage.begin(bounded(ms)?);
        }
        Fault::ClockSkew { ms } => venue.skew(Nanos::from_millis(ms)),
        Fault::KeyRights { withdraw } => venue.keys_may_withdraw = withdraw,
        Fault::Mode { mode } => venue.set_mode(mode),
        Fault::TerminateAccountStream => venue.end_account_streams(),
        other => request_fault(&mut venue, other)?,
    }
    Ok(())
}

/// Queues what the next requests of a kind meet.
fn request_fault(venue: &mut Venue, fault: Fault) -> Result<(), String> {
    let (request, met, count) = match fault {
        Fault::UnknownOutcome {
            request,
            executed,
            answer,
            count,
        } => {
            let answer = answer.into();
            (request, Met::Unknown { executed, answer }, count)
        }
        Fault::Reject {
            request,
            code,
            message,
            count,
        } => (request, Met::Refused(Forced::Error { code, message }), count),
        Fault::RateLimited {
            request,
            retry_after_s,
            count,
        } => (
            request,
            Met::Refused(Forced::RateLimited { retry_after_s }),
            count,
        ),
        Fault::Banned {
            request,
            retry_after_s,
            count,
        } => (request, Met::Refused(Forced::Banned { retry_after_s }), count),
        Fault::Delay { request, ms, count } => (request, Met::Late(bounded(ms)?), count),
        // The others are no request's.
        _ => return Ok(()),
    };
    queued(venue.faults.add(request, &met, count))
}

fn frames(venue: &mut Venue, class: Class, terms: FrameTerms, count: u32) -> Result<(), String> {
    queued(venue.hub.faults.add(class, terms, count))
}

fn queued(taken: bool) -> Result<(), String> {
    taken
        .then_some(())
        .ok_or_else(|| "too many faults wait already".to_owned())
}

/// Codes that may stand in a close frame, and longest reason in bytes: RFC 6455, 5.5.1 and 7.4.
const CLOSE_CODES: std::ops::Range<u16> = 1_000..5_000;
const CLOSE_REASON_BYTES_MAX: usize = 123;
/// The code of a server that restarts.
const SERVICE_RESTART: u16 = 1_012;

fn close(venue: &mut Venue, target: Target, code: u16, reason: &str) -> Result<(), String> {
    // 1004 to 1006 and 1015 are never sent.
    if !CLOSE_CODES.contains(&code) || matches!(code, 1_004..=1_006 | 1_015) {
        return Err(format!(
            "code is {code}, allowed 1000 to 4999 but 1004 to 1006 and 1015"
        ));
    }
    if reason.len() > CLOSE_REASON_BYTES_MAX {
        return Err(format!(
            "reason has {} bytes, allowed {CLOSE_REASON_BYTES_MAX}",
            reason.len()
        ));
    }
    venue.hub.close_connections(target, code, reason);
    Ok(())
}

fn bounded(ms: u64) -> Result<Duration, String> {
    if ms > FAULT_MS_MAX {
        return Err(format!("ms is {ms}, allowed 0 to {FAULT_MS_MAX}"));
    }
    Ok(Duration::from_millis(ms))
}

fn refuse(message: &str) -> Response {
    json_text(StatusCode::BAD_REQUEST, json!({ "error": message }).to_string())
}

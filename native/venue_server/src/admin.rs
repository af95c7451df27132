//! What tests and people do to the venue itself: look inside, stop its time, make it fail. Loopback only.

use std::sync::Arc;
use std::time::Duration;

use axum::Json;
use axum::body::Bytes;
use axum::extract::State;
use axum::http::StatusCode;
use axum::response::Response;
use domain::Nanos;
use serde::Deserialize;
use serde_json::{Value, json};

use crate::api_error::ApiError;
use crate::faults::{Effect, FAULT_MS_MAX, Fault};
use crate::rest::json_text;
use crate::shared::Shared;
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
            let open: Vec<Value> = venue
                .orders
                .open_of(index)
                .map(|order| order.queried(&symbol))
                .collect();
            json!({
                "api_key": holder.key.key,
                "balances": holder.balances(),
                "open_orders": open,
                "orders": venue.orders.of_account(index).count(),
                "fills": holder.fills.len(),
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
        "faults_waiting": venue.faults.waiting(),
        "accounts": accounts,
    })
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
    let queue = |venue: &mut Venue, request, effect: &Effect, count| {
        let queued = venue.faults.add(request, effect, count);
        queued
            .then_some(())
            .ok_or_else(|| "too many faults wait already".to_owned())
    };
    match fault {
        Fault::DropConnections { target } => venue.hub.drop_connections(target),
        Fault::DepthGap { count } => venue.hub.skip_diffs(count),
        Fault::MalformedFrame { count } => venue.hub.break_diffs(count),
        Fault::Silence { ms } => venue.hub.silence(bounded(ms)?),
        Fault::Outage { ms } => {
            shared.outage.begin(bounded(ms)?);
            venue.hub.drop_connections(crate::hub::Target::All);
        }
        Fault::TerminateAccountStream => terminate(&mut venue),
        Fault::UnknownOutcome {
            request,
            executed,
            answer,
            count,
        } => queue(&mut venue, request, &Effect::Unknown { executed, answer }, count)?,
        Fault::Reject {
            request,
            code,
            message,
            count,
        } => queue(
            &mut venue,
            request,
            &Effect::Refuse(ApiError::new(400, code, message)),
            count,
        )?,
        Fault::RateLimited {
            request,
            retry_after_s,
            count,
        } => {
            let limit = venue.limits.weight_limit();
            let error = ApiError::too_many_requests(limit, retry_after_s);
            queue(&mut venue, request, &Effect::Refuse(error), count)?;
        }
        Fault::Delay { request, ms, count } => {
            bounded(ms)?;
            queue(&mut venue, request, &Effect::Delay { ms }, count)?;
        }
    }
    Ok(())
}

fn bounded(ms: u64) -> Result<Duration, String> {
    if ms > FAULT_MS_MAX {
        return Err(format!("ms is {ms}, allowed 0 to {FAULT_MS_MAX}"));
    }
    Ok(Duration::from_millis(ms))
}

fn terminate(venue: &mut Venue) {
    let now = venue.catch_up();
    let event = json!({ "e": "eventStreamTerminated", "E": now.millis() });
    for account in 0..venue.accounts.len() {
        venue.hub.publish_account(account, &event);
    }
    venue.hub.end_account_streams();
}

fn refuse(message: &str) -> Response {
    json_text(StatusCode::BAD_REQUEST, json!({ "error": message }).to_string())
}

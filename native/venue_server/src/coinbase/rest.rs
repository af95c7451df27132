//! REST under `/api/v3/brokerage`.

use std::sync::Arc;
use std::time::Duration;

use axum::body::Bytes;
use axum::extract::{Path, RawQuery, State};
use axum::http::{HeaderMap, Method, StatusCode};
use axum::response::Response;
use serde_json::{Value, json};

use super::error::Failure;
use super::query::Query;
use super::{market, orders, views};
use crate::faults::{Met, RequestKind};
use crate::refusal::Refusal;
use crate::shared::{Shared, json_text};
use crate::venue::{Mode, Venue};

/// A request, taken apart.
struct Request<'a> {
    method: &'a str,
    /// Below `/api/v3/brokerage/`, cut at its slashes.
    parts: Vec<&'a str>,
    query: Query,
    body: &'a str,
}

impl Request<'_> {
    fn kind(&self) -> RequestKind {
        match (self.method, self.parts.as_slice()) {
            ("POST", ["orders"] | ["orders", "edit"]) => RequestKind::Place,
            ("POST", ["orders", "batch_cancel"]) => RequestKind::Cancel,
            (_, ["orders" | "accounts", ..]) => RequestKind::Query,
            (_, ["product_book"] | ["market", "product_book"]) => RequestKind::Depth,
            _ => RequestKind::Other,
        }
    }

    /// Whether it needs no token.
    fn is_public(&self) -> bool {
        matches!(self.parts.as_slice(), ["time"] | ["market", ..])
    }
}

/// Any request under `/api/v3/brokerage/`.
pub(super) async fn call(
    State(shared): State<Arc<Shared>>,
    method: Method,
    Path(path): Path<String>,
    RawQuery(query): RawQuery,
    headers: HeaderMap,
    body: Bytes,
) -> Response {
    let body = String::from_utf8_lossy(&body);
    let request = Request {
        method: method.as_str(),
        parts: path.trim_end_matches('/').split('/').collect(),
        query: Query::of(&query.unwrap_or_default()),
        body: &body,
    };
    let bearer = headers.get("authorization").and_then(|value| value.to_str().ok());
    let token = bearer.and_then(|value| value.strip_prefix("Bearer "));
    let (result, delay) = handle(&shared, &request, &format!("/api/v3/brokerage/{path}"), token);
    if !delay.is_zero() {
        tokio::time::sleep(delay).await;
    }
    match result {
        Ok(answer) => json_text(StatusCode::OK, answer.to_string()),
        Err(failure) => failure.into_response(),
    }
}

/// Counts, admits and performs a call, with the fault that waits for it.
fn handle(
    shared: &Shared,
    request: &Request<'_>,
    path: &str,
    token: Option<&str>,
) -> (Result<Value, Failure>, Duration) {
    let mut venue = shared.venue();
    let mut delay = Duration::ZERO;
    let result = admit(&mut venue, request, path, token).and_then(|account| {
        let met = venue.faults.meet(request.kind());
        delay = met.delay();
        match met {
            Met::Nothing | Met::Late(_) => perform(&mut venue, account, request),
            Met::Refused(forced) => Err(forced.into()),
            Met::Unknown { executed, answer } => {
                if executed {
                    // Whatever it came to, the caller does not learn it.
                    drop(perform(&mut venue, account, request));
                }
                Err(answer.into())
            }
        }
    });
    drop(venue);
    shared.wake.notify_one();
    (result, delay)
}

/// Counts a request and finds its account; `None` for calls that need none.
fn admit(
    venue: &mut Venue,
    request: &Request<'_>,
    path: &str,
    token: Option<&str>,
) -> Result<Option<usize>, Failure> {
    venue.limits.request(1).map_err(|refused| match refused {
        Refusal::RequestRate { retry_after_s, .. } => Failure::RateLimited(retry_after_s),
        _ => Failure::RateLimited(1),
    })?;
    if request.is_public() {
        return Ok(None);
    }
    let now = venue.catch_up();
    let now = venue.shown(now);
    let signed = Some((request.method, path));
    let account = token.and_then(|token| {
        venue
            .coinbase
            .account_of(&venue.accounts, token, signed, now, &venue.clock)
    });
    account.map(Some).ok_or(Failure::Unauthorized)
}

fn perform(venue: &mut Venue, account: Option<usize>, request: &Request<'_>) -> Result<Value, Failure> {
    let now = venue.catch_up();
    let shown = venue.shown(now);
    let parts = match request.parts.as_slice() {
        ["market", rest @ ..] => rest,
        parts => parts,
    };
    let query = &request.query;
    match (request.method, parts) {
        ("GET", ["time"]) => return Ok(market::time(shown)),
        ("GET", ["products"]) => return Ok(market::products(venue, query, now)),
        ("GET", ["product_book"]) => return market::book(venue, query, shown),
        ("GET", ["best_bid_ask"]) => return Ok(market::best(venue, query, shown)),
        ("GET", ["products", id, rest @ ..]) => {
            market::check_product(venue, id)?;
            match rest {
                [] => return Ok(market::product(venue, now)),
                ["candles"] => return market::candles(venue, query, now),
                ["ticker"] => return market::trades(venue, query),
                _ => {}
            }
        }
        _ => {}
    }
    private(venue, account.ok_or_else(unknown)?, request)
}

fn unknown() -> Failure {
    Failure::not_found("no such call")
}

/// The calls that are about an account.
fn private(venue: &mut Venue, account: usize, request: &Request<'_>) -> Result<Value, Failure> {
    if venue.mode() == Mode::Maintenance {
        return Err(Failure::Status(503));
    }
    let (query, body) = (&request.query, request.body);
    Ok(match (request.method, request.parts.as_slice()) {
        ("GET", ["accounts"]) => views::accounts(venue, account),
        ("GET", ["accounts", id]) => {
            let all = views::accounts(venue, account);
            let found = all["accounts"]
                .as_array()
                .into_iter()
                .flatten()
                .find(|one| one["uuid"] == *id);
            json!({ "account": found.ok_or_else(|| Failure::not_found("account not found"))? })
        }
        ("GET", ["key_permissions"]) => views::key_permissions(account, venue.keys_may_withdraw),
        ("GET", ["transaction_summary"]) => views::transaction_summary(venue),
        ("POST", ["orders"]) => orders::place(venue, account, body)?,
        ("POST", ["orders", "batch_cancel"]) => orders::cancel(venue, account, body)?,
        ("POST", ["orders", "edit"]) => orders::edit(venue, account, body)?,
        ("GET", ["orders", "historical", "batch"]) => views::orders(venue, account, query)?,
        ("GET", ["orders", "historical", "fills"]) => views::fills(venue, account, query)?,
        ("GET", ["orders", "historical", id]) => {
            let order = orders::find(venue, account, id);
            let order = order.ok_or_else(|| Failure::not_found("order with this orderID was not found"))?;
            json!({ "order": views::order(order, &venue.listing.symbol) })
        }
        _ => return Err(unknown()),
    })
}

//! REST: `/0/public/...` and `/0/private/...`, always with HTTP 200 and `{"error":[],"result":{}}`.

use std::sync::Arc;
use std::time::Duration;

use axum::body::Bytes;
use axum::extract::{Path, RawQuery, State};
use axum::http::{HeaderMap, StatusCode};
use axum::response::Response;
use serde_json::{Value, json};

use super::error::Failure;
use super::fields::Fields;
use super::names;
use super::sign::{Signed, TOKEN_LIFE};
use super::{entry, public, views};
use crate::faults::{Met, RequestKind};
use crate::instant::rfc3339;
use crate::shared::{Shared, json_text, status_only};
use crate::venue::{Mode, Venue};

/// `GET` or `POST` of `/0/public/<method>`.
pub(crate) async fn public_call(
    State(shared): State<Arc<Shared>>,
    Path(method): Path<String>,
    RawQuery(query): RawQuery,
    body: Bytes,
) -> Response {
    let text = query.unwrap_or_else(|| String::from_utf8_lossy(&body).into_owned());
    let kind = if method == "Depth" {
        RequestKind::Depth
    } else {
        RequestKind::Other
    };
    let (result, delay) = meet(&shared, kind, |venue| {
        let fields = Fields::from_form(&text)?;
        public::answer(venue, &method, &fields)
    });
    respond(result, delay).await
}

/// `POST` of `/0/private/<method>`.
pub(crate) async fn private_call(
    State(shared): State<Arc<Shared>>,
    Path(method): Path<String>,
    headers: HeaderMap,
    body: Bytes,
) -> Response {
    let header = |name: &str| headers.get(name).and_then(|value| value.to_str().ok());
    let body = String::from_utf8_lossy(&body);
    let is_json = header("content-type").is_some_and(|kind| kind.starts_with("application/json"));
    let (result, delay) = meet_signed(
        &shared,
        kind_of(&method),
        |venue| {
            let fields = if is_json {
                Fields::from_json(&body)?
            } else {
                Fields::from_form(&body)?
            };
            let signed = Signed {
                key: header("api-key"),
                signature: header("api-sign"),
                path: &format!("/0/private/{method}"),
                nonce: fields.get("nonce"),
                body: &body,
            };
            let account = venue.kraken.authorize(&venue.accounts, &signed)?;
            Ok((account, fields))
        },
        |venue, (account, fields)| private(venue, account, &method, &fields),
    );
    respond(result, delay).await
}

fn kind_of(method: &str) -> RequestKind {
    match method {
        "AddOrder" | "AmendOrder" | "EditOrder" => RequestKind::Place,
        "CancelOrder" | "CancelAll" | "CancelAllOrdersAfter" => RequestKind::Cancel,
        "GetWebSocketsToken" => RequestKind::Other,
        _ => RequestKind::Query,
    }
}

/// Performs a public call, with the fault that waits for it.
fn meet(
    shared: &Shared,
    kind: RequestKind,
    perform: impl FnOnce(&mut Venue) -> Result<Value, Failure>,
) -> (Result<Value, Failure>, Duration) {
    meet_signed(shared, kind, |_| Ok(()), |venue, ()| perform(venue))
}

/// Counts, admits and performs a call, with the fault that waits for it.
pub(super) fn meet_signed<A>(
    shared: &Shared,
    kind: RequestKind,
    admit: impl FnOnce(&mut Venue) -> Result<A, Failure>,
    perform: impl FnOnce(&mut Venue, A) -> Result<Value, Failure>,
) -> (Result<Value, Failure>, Duration) {
    let mut venue = shared.venue();
    let mut delay = Duration::ZERO;
    let counted = venue.limits.request(1).map_err(Failure::from);
    let result = counted.and_then(|()| admit(&mut venue)).and_then(|admitted| {
        let met = venue.faults.meet(kind);
        delay = met.delay();
        match met {
            Met::Nothing | Met::Late(_) => perform(&mut venue, admitted),
            Met::Refused(forced) => Err(forced.into()),
            Met::Unknown { executed, answer } => {
                if executed {
                    // Whatever it came to, the caller does not learn it.
                    drop(perform(&mut venue, admitted));
                }
                Err(answer.into())
            }
        }
    });
    drop(venue);
    shared.wake.notify_one();
    (result, delay)
}

async fn respond(result: Result<Value, Failure>, delay: Duration) -> Response {
    if !delay.is_zero() {
        tokio::time::sleep(delay).await;
    }
    match result {
        Ok(result) => json_text(
            StatusCode::OK,
            json!({ "error": [], "result": result }).to_string(),
        ),
        Err(Failure::Text(text)) => json_text(StatusCode::OK, json!({ "error": [text] }).to_string()),
        Err(Failure::Status(status)) => status_only(status),
    }
}

fn private(venue: &mut Venue, account: usize, method: &str, fields: &Fields) -> Result<Value, Failure> {
    let now = venue.catch_up();
    if venue.mode() == Mode::Maintenance {
        return Err(Failure::text("EService:Unavailable"));
    }
    Ok(match method {
        "GetWebSocketsToken" => {
            let token = venue.kraken.issue(account, &venue.accounts);
            json!({ "token": token, "expires": TOKEN_LIFE.as_secs() })
        }
        "AddOrder" => add_order(venue, account, fields)?,
        "AmendOrder" => {
            let id = entry::amend(venue, account, fields, &entry::REST)?;
            json!({ "amend_id": names::trade_id(id.0) })
        }
        "EditOrder" => edit_order(venue, account, fields)?,
        "CancelOrder" => {
            let named = entry::named(venue, account, fields, &entry::REST);
            let ids: Vec<_> = named.into_iter().flat_map(|(_, ids)| ids).collect();
            json!({ "count": entry::cancel(venue, &ids)? })
        }
        "CancelAll" => json!({ "count": entry::cancel_all(venue, account)? }),
        "CancelAllOrdersAfter" => {
            let fires = entry::arm_switch(venue, account, fields)?;
            let fires = fires.map_or_else(|| "0".to_owned(), |at| rfc3339(venue.shown(at), 0));
            json!({ "currentTime": rfc3339(venue.shown(now), 0), "triggerTime": fires })
        }
        "QueryOrders" => views::query_orders(venue, account, fields)?,
        "OpenOrders" => views::open_orders(venue, account, fields)?,
        "ClosedOrders" => views::closed_orders(venue, account, fields)?,
        "TradesHistory" => views::trades_history(venue, account, fields)?,
        "QueryTrades" => views::query_trades(venue, account, fields)?,
        "Balance" => views::balance(venue, account),
        "BalanceEx" => views::balance_ex(venue, account),
        "GetApiKeyInfo" => views::key_info(venue, account),
        "TradeVolume" => views::trade_volume(venue),
        _ => return Err(Failure::text("EGeneral:Unknown method")),
    })
}

fn add_order(venue: &mut Venue, account: usize, fields: &Fields) -> Result<Value, Failure> {
    let (added, order) = entry::add(venue, account, fields, &entry::REST)?;
    Ok(match added {
        entry::Added::Checked => json!({ "descr": { "order": order } }),
        entry::Added::Placed(id) => json!({ "descr": { "order": order }, "txid": [names::order_id(id)] }),
    })
}

/// Cancels an order and places another with what changes: its number is new.
fn edit_order(venue: &mut Venue, account: usize, fields: &Fields) -> Result<Value, Failure> {
    let asked = fields.required("txid")?;
    let order = entry::find(venue, account, asked).filter(|order| order.status.is_open());
    let order = order.ok_or_else(Failure::unknown_order)?;
    let (id, mut ticket) = (order.id, order.ticket.clone());
    let price = fields.price("price")?;
    ticket.price = price.or(ticket.price);
    ticket.quantity = fields.quantity("volume")?.unwrap_or(order.remaining());
    ticket.post_only |= fields.list("oflags").iter().any(|flag| flag == "post");
    venue.cancel(id, "")?;
    let names = names::Names::of(&venue.listing);
    let description = entry::describe(&ticket, &names);
    let quantity = names::quantity(ticket.quantity);
    let shown = ticket.price.map(|price| names.price(price));
    let next = venue.place(account, ticket)?;
    Ok(json!({
        "status": "ok",
        "txid": names::order_id(next),
        "originaltxid": asked,
        "volume": quantity,
        "price": shown,
        "orders_cancelled": 1,
        "descr": { "order": description },
    }))
}

//! Orders over the newer socket.

use serde_json::{Value, json};

use super::error::Failure;
use super::fields::Fields;
use super::rest::meet_signed;
use super::{entry, names, v2_feed};
use crate::faults::RequestKind;
use crate::hub::ConnectionId;
use crate::shared::Shared;
use crate::venue::Venue;

/// Obeys a request about orders. The answer is queued behind what it caused; one that a fault makes late is returned
/// instead, once it is due.
pub(super) async fn answer(
    shared: &Shared,
    id: ConnectionId,
    method: &str,
    fields: &Fields,
    req_id: Option<&Value>,
) -> Option<String> {
    let kind = match method {
        "add_order" | "amend_order" | "edit_order" => RequestKind::Place,
        "cancel_order" | "cancel_all" | "cancel_all_orders_after" => RequestKind::Cancel,
        _ => RequestKind::Other,
    };
    let admit = |venue: &mut Venue| {
        let token = fields.get("token").unwrap_or_default();
        let account = venue.kraken.account_of(token);
        account.ok_or_else(|| Failure::text("EAuth:Invalid token"))
    };
    let (result, delay) = meet_signed(shared, kind, admit, |venue, account| {
        perform(venue, account, method, fields)
    });
    let replies = {
        let mut venue = shared.venue();
        let now = venue.catch_up();
        let shown = venue.shown(now);
        let reply = |result: Result<Value, &str>| v2_feed::reply(method, req_id, result, shown).to_string();
        match result {
            Ok(Value::Array(results)) => results.into_iter().map(|one| each(one, &reply)).collect(),
            Ok(result) => vec![reply(Ok(result))],
            Err(Failure::Text(error)) => vec![reply(Err(&error))],
            // Nothing is known of the outcome: nothing is said.
            Err(Failure::Status(_)) => return None,
        }
    };
    if delay.is_zero() {
        let mut venue = shared.venue();
        for reply in replies {
            venue.hub.send(id, reply);
        }
        return None;
    }
    tokio::time::sleep(delay).await;
    replies.into_iter().next()
}

/// One of several answers: a result, or `{"failed": ...}`.
fn each(result: Value, reply: &impl Fn(Result<Value, &str>) -> String) -> String {
    match result.get("failed").and_then(Value::as_str) {
        Some(error) => reply(Err(error)),
        None => reply(Ok(result)),
    }
}

fn perform(venue: &mut Venue, account: usize, method: &str, fields: &Fields) -> Result<Value, Failure> {
    let words = &entry::SOCKET;
    Ok(match method {
        "add_order" => match entry::add(venue, account, fields, words)?.0 {
            entry::Added::Checked => json!({}),
            entry::Added::Placed(id) => named(venue, id),
        },
        "amend_order" => {
            let id = entry::amend(venue, account, fields, words)?;
            let mut result = named(venue, id);
            result["amend_id"] = json!(names::trade_id(id.0));
            result
        }
        "cancel_order" => {
            let mut results = Vec::new();
            for (text, ids) in entry::named(venue, account, fields, words) {
                let asked_by_name = fields.list("cl_ord_id").contains(&text);
                results.push(match entry::cancel(venue, &ids) {
                    Ok(_) if asked_by_name => json!({ "cl_ord_id": text }),
                    Ok(_) => json!({ "order_id": text }),
                    Err(Failure::Text(error)) => json!({ "failed": error }),
                    Err(status) => return Err(status),
                });
            }
            if results.is_empty() {
                return Err(Failure::arguments("order_id"));
            }
            Value::Array(results)
        }
        "cancel_all" => json!({ "count": entry::cancel_all(venue, account)? }),
        "cancel_all_orders_after" => {
            let fires = entry::arm_switch(venue, account, fields)?;
            let now = venue.catch_up();
            let fires = fires.map_or_else(|| "0".to_owned(), |at| v2_feed::time(venue.shown(at)));
            json!({ "currentTime": v2_feed::time(venue.shown(now)), "triggerTime": fires })
        }
        other => return Err(Failure::Text(format!("Unsupported method {other}"))),
    })
}

/// An order's number and the client's name of it.
fn named(venue: &Venue, id: simulation::OrderId) -> Value {
    let mut result = json!({ "order_id": names::order_id(id) });
    if let Some(order) = venue.orders.get(id) {
        if !order.ticket.client_order_id.is_empty() {
            result["cl_ord_id"] = json!(order.ticket.client_order_id);
        }
        if let Some(reference) = order.ticket.reference {
            result["order_userref"] = json!(reference);
        }
    }
    result
}

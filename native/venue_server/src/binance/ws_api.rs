//! The WebSocket API at `/ws-api/v3`: the calls of REST, and the user data stream.

use std::sync::Arc;

use axum::extract::{State, WebSocketUpgrade};
use axum::http::StatusCode;
use axum::response::{IntoResponse, Response};
use serde_json::{Value, json};

use crate::binance::api_error::ApiError;
use crate::binance::calls::{Answer, Call};
use crate::binance::handle::{Failure, Handled, Sender, authorize, handle};
use crate::binance::request::Params;
use crate::binance::subscriptions::Session;
use crate::hub::ConnectionId;
use crate::shared::Shared;
use crate::socket;
use crate::wire;

/// Weight of a user data subscription.
const SUBSCRIBE_WEIGHT: u64 = 2;

/// `/ws-api/v3`.
pub(crate) async fn api(State(shared): State<Arc<Shared>>, upgrade: WebSocketUpgrade) -> Response {
    let session = wire::Session::Binance(Session::account());
    let Some((id, queue)) = shared.venue().hub.connect(session) else {
        return StatusCode::TOO_MANY_REQUESTS.into_response();
    };
    let failed = Arc::clone(&shared);
    upgrade
        .on_failed_upgrade(move |_| failed.venue().hub.disconnect(id))
        .on_upgrade(move |socket| async move {
            let stop = shared.stop.subscribe();
            let answer = |text: String| {
                let shared = Arc::clone(&shared);
                async move { Some(on_text(&shared, id, &text).await) }
            };
            socket::run(socket, queue, stop, None, answer).await;
            shared.venue().hub.disconnect(id);
        })
}

async fn on_text(shared: &Shared, connection: ConnectionId, text: &str) -> String {
    let Ok(request) = serde_json::from_str::<Value>(text) else {
        let error = ApiError::illegal("request");
        return failure(&Value::Null, &error).to_string();
    };
    let id = request.get("id").cloned().unwrap_or_default();
    let method = request.get("method").and_then(Value::as_str).unwrap_or_default();
    let params = match Params::from_json(request.get("params").and_then(Value::as_object)) {
        Ok(params) => params,
        Err(refused) => return failure(&id, &refused).to_string(),
    };
    match Call::of_method(method) {
        Some(call) => {
            let payload = params.sorted_payload();
            let sender = Sender {
                api_key: params.get("apiKey"),
                payload: &payload,
            };
            let handled = handle(shared, call, &params, sender);
            if !handled.delay.is_zero() {
                tokio::time::sleep(handled.delay).await;
            }
            answer(&id, handled)
        }
        None => user_data(shared, connection, &id, method, &params),
    }
}

fn answer(id: &Value, handled: Handled) -> String {
    let limits = json!([{
        "rateLimitType": "REQUEST_WEIGHT",
        "interval": "MINUTE",
        "intervalNum": 1,
        "limit": handled.weight_limit,
        "count": handled.used_weight,
    }]);
    match handled.result {
        // The result is JSON text already: no second reading of a large book.
        Ok(Answer::Text(text)) => {
            format!(r#"{{"id":{id},"status":200,"result":{text},"rateLimits":{limits}}}"#)
        }
        Ok(Answer::Value(value)) => {
            json!({ "id": id, "status": 200, "result": value, "rateLimits": limits }).to_string()
        }
        Err(Failure::Api(refused)) => failure(id, &refused).to_string(),
        Err(Failure::Status(status)) => {
            let unknown = ApiError::new(
                status,
                -1000,
                "An unknown error occurred while processing the request.",
            );
            failure(id, &unknown).to_string()
        }
    }
}

fn failure(id: &Value, refused: &ApiError) -> Value {
    json!({ "id": id, "status": refused.status, "error": refused.body() })
}

/// The methods that are about the connection itself.
fn user_data(shared: &Shared, connection: ConnectionId, id: &Value, method: &str, params: &Params) -> String {
    let result = match method {
        "userDataStream.subscribe.signature" => subscribe(shared, connection, params),
        "userDataStream.unsubscribe" => {
            set_account(shared, connection, None);
            Ok(json!({}))
        }
        // A session needs an Ed25519 key, and keys here are HMAC: the venue's own answer.
        "session.logon" | "userDataStream.subscribe" => Err(ApiError::logon_unsupported()),
        other => Err(ApiError::no_such_method(other)),
    };
    match result {
        Ok(result) => json!({ "id": id, "status": 200, "result": result }).to_string(),
        Err(refused) => failure(id, &refused).to_string(),
    }
}

fn subscribe(shared: &Shared, connection: ConnectionId, params: &Params) -> Result<Value, ApiError> {
    let payload = params.sorted_payload();
    let sender = Sender {
        api_key: params.get("apiKey"),
        payload: &payload,
    };
    let mut venue = shared.venue();
    venue.limits.request(SUBSCRIBE_WEIGHT)?;
    let account = authorize(&mut venue, params, sender)?;
    drop(venue);
    set_account(shared, connection, Some(account));
    Ok(json!({ "subscriptionId": 0 }))
}

fn set_account(shared: &Shared, connection: ConnectionId, subscribed: Option<usize>) {
    let mut venue = shared.venue();
    if let Some(wire::Session::Binance(Session::Account { account })) = venue.hub.session_mut(connection) {
        *account = subscribed;
    }
}

//! Public streams: `/ws`, `/ws/<stream>/...`, `/stream?streams=...`, with SUBSCRIBE and UNSUBSCRIBE.

use std::sync::Arc;

use axum::extract::{Path, RawQuery, State, WebSocketUpgrade};
use axum::http::StatusCode;
use axum::response::{IntoResponse, Response};
use serde_json::{Value, json};

use crate::binance::subscriptions::{Session, Stream, StreamSet};
use crate::hub::ConnectionId;
use crate::shared::Shared;
use crate::socket;
use crate::wire;

/// Messages that a market connection may send in a second.
const MESSAGES_PER_SECOND: u32 = 5;

/// `/ws`: nothing is subscribed yet.
pub(crate) async fn raw(State(shared): State<Arc<Shared>>, upgrade: WebSocketUpgrade) -> Response {
    open(shared, upgrade, StreamSet::default(), false)
}

/// `/ws/<stream>/<stream>...`. Names that are no stream here are passed over, as the venue does.
pub(crate) async fn raw_of(
    State(shared): State<Arc<Shared>>,
    Path(names): Path<String>,
    upgrade: WebSocketUpgrade,
) -> Response {
    let streams = known(&shared, &names);
    open(shared, upgrade, streams, false)
}

/// `/stream?streams=<stream>/<stream>...`: messages carry their stream's name.
pub(crate) async fn combined(
    State(shared): State<Arc<Shared>>,
    RawQuery(query): RawQuery,
    upgrade: WebSocketUpgrade,
) -> Response {
    let query = query.unwrap_or_default();
    let names = url::form_urlencoded::parse(query.as_bytes())
        .find(|(name, _)| name == "streams")
        .map(|(_, names)| names.into_owned())
        .unwrap_or_default();
    let streams = known(&shared, &names);
    open(shared, upgrade, streams, true)
}

fn known(shared: &Shared, names: &str) -> StreamSet {
    let venue = shared.venue();
    let mut streams = StreamSet::default();
    for stream in names
        .split('/')
        .filter_map(|name| Stream::of_name(&venue.listing.symbol, name))
    {
        streams.insert(stream);
    }
    streams
}

fn open(shared: Arc<Shared>, upgrade: WebSocketUpgrade, streams: StreamSet, combined: bool) -> Response {
    let session = wire::Session::Binance(Session::Market { streams, combined });
    let Some((id, queue)) = shared.venue().hub.connect(session) else {
        return StatusCode::TOO_MANY_REQUESTS.into_response();
    };
    let failed = Arc::clone(&shared);
    upgrade
        .on_failed_upgrade(move |_| failed.venue().hub.disconnect(id))
        .on_upgrade(move |socket| async move {
            let stop = shared.stop.subscribe();
            let answer = |text: String| std::future::ready(Some(on_text(&shared, id, &text)));
            socket::run(socket, queue, stop, Some(MESSAGES_PER_SECOND), answer).await;
            shared.venue().hub.disconnect(id);
        })
}

fn on_text(shared: &Shared, connection: ConnectionId, text: &str) -> String {
    let request: Value = serde_json::from_str(text).unwrap_or_default();
    let id = request.get("id").cloned().unwrap_or_default();
    let reply = match subscribe(shared, connection, &request) {
        Ok(result) => json!({ "result": result, "id": id }),
        Err(message) => {
            json!({ "error": { "code": 2, "msg": format!("Invalid request: {message}") }, "id": id })
        }
    };
    reply.to_string()
}

/// Obeys SUBSCRIBE, UNSUBSCRIBE or LIST_SUBSCRIPTIONS.
fn subscribe(shared: &Shared, connection: ConnectionId, request: &Value) -> Result<Value, String> {
    let method = request.get("method").and_then(Value::as_str).unwrap_or_default();
    let mut venue = shared.venue();
    let symbol = venue.listing.symbol.clone();
    let hub = &mut venue.hub;
    if !["SUBSCRIBE", "UNSUBSCRIBE", "LIST_SUBSCRIPTIONS"].contains(&method) {
        return Err("unknown method, expected SUBSCRIBE, UNSUBSCRIBE or LIST_SUBSCRIPTIONS".to_owned());
    }
    let mut named = Vec::new();
    for name in request
        .get("params")
        .and_then(Value::as_array)
        .into_iter()
        .flatten()
    {
        let name = name.as_str().unwrap_or_default();
        let stream = Stream::of_name(&symbol, name);
        named.push(stream.ok_or_else(|| format!("no stream `{name}` here"))?);
    }
    let Some(wire::Session::Binance(Session::Market { streams, .. })) = hub.session_mut(connection) else {
        return Err("the connection is closing".to_owned());
    };
    for stream in named {
        if method == "SUBSCRIBE" {
            streams.insert(stream);
        } else {
            streams.remove(stream);
        }
    }
    let listed = *streams;
    if method != "LIST_SUBSCRIPTIONS" {
        return Ok(Value::Null);
    }
    let subscribed = Stream::ALL.into_iter().filter(|stream| listed.contains(*stream));
    Ok(subscribed.map(|stream| stream.name(&symbol)).collect())
}

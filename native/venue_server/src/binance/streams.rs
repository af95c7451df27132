//! Public streams: `/ws`, `/ws/<stream>/...`, `/stream?streams=...`, with SUBSCRIBE and UNSUBSCRIBE.

use std::sync::Arc;

use axum::extract::{Path, RawQuery, State, WebSocketUpgrade};
use axum::http::{HeaderMap, StatusCode};
use axum::response::{IntoResponse, Response};
use serde_json::{Value, json};

use crate::binance::subscriptions::{Form, Session, Stream, StreamSet};
use crate::hub::ConnectionId;
use crate::shared::Shared;
use crate::socket;
use crate::wire;

/// Messages that a market connection may send in a second.
const MESSAGES_PER_SECOND: u32 = 5;

/// `/ws`: nothing is subscribed yet.
pub(crate) async fn raw(State(shared): State<Arc<Shared>>, upgrade: WebSocketUpgrade) -> Response {
    open(shared, upgrade, StreamSet::default(), Form::Raw)
}

/// `/ws/<stream>/<stream>...`. Names that are no stream here are passed over, as the venue does.
pub(crate) async fn raw_of(
    State(shared): State<Arc<Shared>>,
    Path(names): Path<String>,
    upgrade: WebSocketUpgrade,
) -> Response {
    let streams = known(&shared, &names, Stream::of_name);
    open(shared, upgrade, streams, Form::Raw)
}

/// `/stream?streams=<stream>/<stream>...`: messages carry their stream's name.
pub(crate) async fn combined(
    State(shared): State<Arc<Shared>>,
    RawQuery(query): RawQuery,
    upgrade: WebSocketUpgrade,
) -> Response {
    let names = names_in(query);
    let streams = known(&shared, &names, Stream::of_name);
    open(shared, upgrade, streams, Form::Combined)
}

/// `/sbe/ws/<stream>/...`: in binary, to whoever names an account in `X-MBX-APIKEY`.
pub(crate) async fn binary_of(
    State(shared): State<Arc<Shared>>,
    Path(names): Path<String>,
    headers: HeaderMap,
    upgrade: WebSocketUpgrade,
) -> Response {
    open_binary(shared, &names, &headers, upgrade)
}

/// `/sbe/stream?streams=<stream>/<stream>...`: the same; no message names its stream.
pub(crate) async fn binary(
    State(shared): State<Arc<Shared>>,
    RawQuery(query): RawQuery,
    headers: HeaderMap,
    upgrade: WebSocketUpgrade,
) -> Response {
    open_binary(shared, &names_in(query), &headers, upgrade)
}

fn open_binary(shared: Arc<Shared>, names: &str, headers: &HeaderMap, upgrade: WebSocketUpgrade) -> Response {
    let key = headers.get("x-mbx-apikey").and_then(|value| value.to_str().ok());
    if key.is_none_or(|key| shared.venue().account_of(key).is_none()) {
        return StatusCode::UNAUTHORIZED.into_response();
    }
    let streams = known(&shared, names, Stream::of_binary_name);
    open(shared, upgrade, streams, Form::Binary)
}

fn names_in(query: Option<String>) -> String {
    let query = query.unwrap_or_default();
    url::form_urlencoded::parse(query.as_bytes())
        .find(|(name, _)| name == "streams")
        .map(|(_, names)| names.into_owned())
        .unwrap_or_default()
}

fn known(shared: &Shared, names: &str, of_name: impl Fn(&str, &str) -> Option<Stream>) -> StreamSet {
    let venue = shared.venue();
    let mut streams = StreamSet::default();
    for stream in names
        .split('/')
        .filter_map(|name| of_name(&venue.listing.symbol, name))
    {
        streams.insert(stream);
    }
    streams
}

fn open(shared: Arc<Shared>, upgrade: WebSocketUpgrade, streams: StreamSet, form: Form) -> Response {
    let session = wire::Session::Binance(Session::Market { streams, form });
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
    let is_binary = matches!(
        hub.session_mut(connection),
        Some(wire::Session::Binance(Session::Market {
            form: Form::Binary,
            ..
        }))
    );
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
        let stream = Stream::of_name(&symbol, name).filter(|_| !is_binary);
        let stream = stream.or_else(|| Stream::of_binary_name(&symbol, name).filter(|_| is_binary));
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

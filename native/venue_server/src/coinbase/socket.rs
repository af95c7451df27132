//! The socket: its connections and its subscriptions.

use std::sync::Arc;

use axum::extract::{State, WebSocketUpgrade};
use axum::http::StatusCode;
use axum::response::{IntoResponse, Response};
use serde::Deserialize;
use serde_json::json;

use super::feed;
use super::names;
use super::session::Session;
use crate::frames::Class;
use crate::hub::ConnectionId;
use crate::shared::Shared;
use crate::venue::Venue;
use crate::wire;

/// A request as it comes.
#[derive(Debug, Deserialize)]
struct Request {
    #[serde(rename = "type")]
    kind: String,
    channel: String,
    #[serde(default)]
    product_ids: Vec<String>,
    jwt: Option<String>,
}

/// `/` and `/ws`.
pub(super) async fn open(State(shared): State<Arc<Shared>>, upgrade: WebSocketUpgrade) -> Response {
    let session = wire::Session::Coinbase(Box::new(Session::new()));
    let Some((id, queue)) = shared.venue().hub.connect(session) else {
        return StatusCode::TOO_MANY_REQUESTS.into_response();
    };
    let failed = Arc::clone(&shared);
    upgrade
        .on_failed_upgrade(move |_| failed.venue().hub.disconnect(id))
        .on_upgrade(move |socket| async move {
            let stop = shared.stop.subscribe();
            let answer = |text: String| {
                on_text(&mut shared.venue(), id, &text);
                std::future::ready(None)
            };
            crate::socket::run(socket, queue, stop, None, answer).await;
            shared.venue().hub.disconnect(id);
        })
}

/// Obeys a request; what it brings is queued, in the order of all other messages.
fn on_text(venue: &mut Venue, id: ConnectionId, text: &str) {
    let done = match serde_json::from_str::<Request>(text) {
        Ok(request) => subscribe(venue, id, &request),
        Err(error) => Err(format!("malformed message: {error}")),
    };
    if let Err(message) = done {
        let error = json!({ "type": "error", "message": message });
        venue.hub.send(id, error.to_string());
    }
}

fn subscribe(venue: &mut Venue, id: ConnectionId, request: &Request) -> Result<(), String> {
    let is_on = match request.kind.as_str() {
        "subscribe" => true,
        "unsubscribe" => false,
        other => return Err(format!("unknown type {other}")),
    };
    let now = venue.catch_up();
    let shown = venue.shown(now);
    let account = request.jwt.as_deref().map(|token| {
        venue
            .coinbase
            .account_of(&venue.accounts, token, None, shown, &venue.clock)
    });
    // A token that is sent must be good, whatever the channel.
    let account = match account {
        Some(None) => return Err("authentication failure".to_owned()),
        Some(account) => account,
        None if request.channel == "user" && is_on => return Err("authentication failure".to_owned()),
        None => None,
    };
    let symbol = venue.listing.symbol.clone();
    if request.product_ids.iter().any(|product| *product != symbol) {
        return Err("invalid product_ids".to_owned());
    }
    let (scene, hub) = venue.scene(now);
    let has_books = !hub.is_stalled(Class::Book);
    let Some(wire::Session::Coinbase(session)) = hub.session_mut(id) else {
        return Ok(());
    };
    let time = feed::time(shown);
    let (channel, body) = match request.channel.as_str() {
        "level2" => {
            session.level2 = is_on;
            let snapshot = has_books.then(|| feed::book_snapshot(&scene));
            ("l2_data", snapshot)
        }
        "market_trades" => {
            session.trades = is_on;
            ("market_trades", Some(feed::trades_snapshot(&scene)))
        }
        "ticker" => {
            session.ticker = is_on;
            ("ticker", Some(feed::ticker(&scene, "snapshot")))
        }
        "status" => {
            session.status = is_on;
            ("status", Some(feed::status(&scene, "snapshot")))
        }
        "heartbeats" => {
            session.heartbeats = is_on;
            ("heartbeats", None)
        }
        "user" => {
            session.user = account.filter(|_| is_on);
            let body = session.user.map(|account| feed::user_snapshot(&scene, account));
            ("user", body)
        }
        other => return Err(format!("channel {other} is not supported")),
    };
    let first = body
        .filter(|_| is_on)
        .map(|body| session.envelope(channel, &time, &body));
    let owner = session.user.map(names::portfolio_id);
    let listed = feed::subscriptions(session, &symbol, owner.as_deref());
    let last = session.envelope("subscriptions", &time, &listed);
    for text in first.into_iter().chain([last]) {
        hub.send(id, text);
    }
    Ok(())
}

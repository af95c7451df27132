//! What the doors of every recorded wire share.

use std::collections::BTreeSet;
use std::sync::Arc;

use axum::Router;
use axum::extract::{State, WebSocketUpgrade};
use axum::http::StatusCode;
use axum::response::Response;
use axum::routing::get;
use serde_json::json;
use tokio::sync::mpsc::channel;

use super::script::Wire;
use super::{House, QUEUE, binance, coinbase, kraken};
use crate::shared::json_text;
use crate::socket;

pub(super) fn router(house: Arc<House>) -> Router {
    let routes = match house.stage().wire {
        Wire::Binance(_) => binance::routes(),
        Wire::Kraken(_) | Wire::KrakenV1(_) => kraken::routes(),
        Wire::Advanced(_) | Wire::Exchange(_) => coinbase::routes(),
    };
    routes.route("/admin/state", get(state)).with_state(house)
}

/// Opens a socket that listens to these topics; it may ask for more.
pub(super) fn open(
    house: Arc<House>,
    upgrade: WebSocketUpgrade,
    topics: BTreeSet<String>,
    is_combined: bool,
    messages_per_second: Option<u32>,
) -> Response {
    upgrade.on_upgrade(move |socket| async move {
        let (sender, queue) = channel(QUEUE);
        let Some(id) = house.stage().listen(topics, is_combined, sender) else {
            return;
        };
        house.heard.notify_waiters();
        let stop = house.stop.subscribe();
        let answer = |text: String| {
            house.stage().on_text(id, &text);
            house.heard.notify_waiters();
            std::future::ready(None)
        };
        socket::run(socket, queue, stop, messages_per_second, answer).await;
        house.stage().leave(id);
    })
}

/// A socket that says afterwards what it listens to.
pub(super) async fn silent(State(house): State<Arc<House>>, upgrade: WebSocketUpgrade) -> Response {
    open(house, upgrade, BTreeSet::new(), true, None)
}

/// For people and tests: where the recording is.
async fn state(State(house): State<Arc<House>>) -> Response {
    let stage = house.stage();
    let text = json!({
        "position_ns": stage.position_ns,
        "played": stage.played,
        "listeners": stage.listeners.len(),
        "is_done": stage.is_done,
    });
    json_text(StatusCode::OK, text.to_string())
}

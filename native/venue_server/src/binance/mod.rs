//! Binance spot: REST under `/api/v3`, public streams under `/ws` and `/stream`, the same in binary under `/sbe/ws` and
//! `/sbe/stream`, the WebSocket API under `/ws-api/v3`.

mod account_view;
mod api_error;
mod calls;
mod exchange_info;
mod handle;
mod history_view;
mod order_calls;
mod order_view;
mod payload;
mod request;
mod rest;
mod sbe;
mod streams;
mod subscriptions;
mod ws_api;

use std::sync::Arc;

use axum::Router;
use axum::extract::ws::Utf8Bytes;
use axum::routing::{any, get};

pub(crate) use self::subscriptions::Session;
use self::subscriptions::{Stream, publish_account, publish_stream};
use crate::events::Event;
use crate::frames::Class;
use crate::hub::Hub;
use crate::shared::Shared;
use crate::wire::{self, Scene};

pub(crate) fn routes() -> Router<Arc<Shared>> {
    Router::new()
        .route("/api/v3/{*path}", any(rest::api))
        .route("/sapi/v1/{*path}", any(rest::wallet))
        .route("/ws", get(streams::raw))
        .route("/ws/{*names}", get(streams::raw_of))
        .route("/stream", get(streams::combined))
        .route("/sbe/ws/{*names}", get(streams::binary_of))
        .route("/sbe/stream", get(streams::binary))
        .route("/ws-api/v3", get(ws_api::api))
}

/// Words an event and tells those who listen.
pub(crate) fn publish(hub: &mut Hub, scene: &Scene<'_>, event: &Event<'_>) {
    let symbol = &scene.listing.symbol;
    match event {
        Event::Trade(trade) => {
            let (text, bytes) = (|| payload::trade(symbol, trade), || sbe::trade(symbol, trade));
            publish_stream(hub, symbol, Stream::Trade, Class::Trade, text, bytes);
        }
        Event::Quote(ts, best) => {
            let text = || payload::book_ticker(symbol, best);
            let bytes = || sbe::best_bid_ask(symbol, *ts, best);
            publish_stream(hub, symbol, Stream::BookTicker, Class::Quote, text, bytes);
        }
        Event::Book { grid, diff } => {
            let stream = if *grid == 0 {
                Stream::Depth100
            } else {
                Stream::Depth1000
            };
            let text = || payload::depth_update(symbol, diff);
            let bytes = || sbe::depth_update(symbol, diff);
            publish_stream(hub, symbol, stream, Class::Book, text, bytes);
        }
        Event::Order(news) => {
            let report = news.order.execution_report(symbol, news);
            publish_account(hub, news.order.account, &report);
        }
        Event::Balances {
            account,
            currencies,
            time_ms,
        } => {
            let positions = scene.accounts[*account].positions(currencies);
            publish_account(hub, *account, &payload::account_position(*time_ms, &positions));
        }
        Event::Shutdown => {
            let text = payload::server_shutdown(scene.now.millis());
            hub.broadcast(Class::Status, |session| {
                let wire::Session::Binance(session) = session else {
                    return None;
                };
                (!session.is_account()).then(|| Utf8Bytes::from(text.as_str()))
            });
        }
        Event::Mode(_) | Event::Heartbeat => {}
    }
}

/// Ends the user data subscriptions of all connections; the connections stay.
pub(crate) fn end_account_streams(hub: &mut Hub, accounts: usize, time_ms: i64) {
    let event = serde_json::json!({ "e": "eventStreamTerminated", "E": time_ms });
    for account in 0..accounts {
        publish_account(hub, account, &event);
    }
    for session in hub.sessions_mut() {
        if let wire::Session::Binance(Session::Account { account }) = session {
            *account = None;
        }
    }
}

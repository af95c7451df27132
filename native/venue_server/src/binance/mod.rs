//! Binance spot: REST under `/api/v3`, public streams under `/ws` and `/stream`, the WebSocket API under
//! `/ws-api/v3`.

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
mod streams;
mod subscriptions;
mod ws_api;

use std::sync::Arc;

use axum::Router;
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
        .route("/ws-api/v3", get(ws_api::api))
}

/// Words an event and tells those who listen.
pub(crate) fn publish(hub: &mut Hub, scene: &Scene<'_>, event: &Event<'_>) {
    let symbol = &scene.listing.symbol;
    match event {
        Event::Trade(trade) => {
            publish_stream(hub, symbol, Stream::Trade, Class::Trade, || {
                payload::trade(symbol, trade)
            });
        }
        Event::Quote(_, best) => {
            publish_stream(hub, symbol, Stream::BookTicker, Class::Quote, || {
                payload::book_ticker(symbol, best)
            });
        }
        Event::Book { grid, diff } => {
            let stream = if *grid == 0 {
                Stream::Depth100
            } else {
                Stream::Depth1000
            };
            publish_stream(hub, symbol, stream, Class::Book, || {
                payload::depth_update(symbol, diff)
            });
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
                (!session.is_account()).then(|| text.as_str().into())
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

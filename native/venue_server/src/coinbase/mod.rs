//! Coinbase Advanced Trade: REST under `/api/v3/brokerage`, the socket (public and of the user) at `/` and `/ws`.

mod error;
mod feed;
mod market;
mod names;
mod orders;
mod query;
mod rest;
mod session;
mod sign;
mod socket;
mod views;

use std::sync::Arc;

use axum::Router;
use axum::routing::{any, get};

pub(crate) use self::feed::publish;
pub(crate) use self::market::{listed_product, time};
pub(crate) use self::session::Session;
pub(crate) use self::sign::Desk;
use crate::shared::Shared;

pub(crate) fn routes() -> Router<Arc<Shared>> {
    Router::new()
        .route("/api/v3/brokerage/{*path}", any(rest::call))
        .route("/", get(socket::open))
        .route("/ws", get(socket::open))
}

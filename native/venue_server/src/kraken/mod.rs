//! Kraken spot: REST under `/0`, the newer socket (public and private) at `/v2`, the older one at `/` and `/ws`.

mod book;
mod entry;
mod error;
mod fields;
mod names;
mod public;
mod rest;
mod session;
mod sign;
mod v1;
mod v2;
mod v2_feed;
mod v2_orders;
mod views;

use std::sync::Arc;

use axum::Router;
use axum::routing::{any, get, post};

pub(crate) use self::book::DEPTHS;
pub(crate) use self::fields::Fields;
pub(crate) use self::names::Names;
pub(crate) use self::public::{asset_pair, assets};
pub(crate) use self::session::Session;
pub(crate) use self::sign::Desk;
pub(crate) use self::v2_feed::status;
use crate::events::Event;
use crate::hub::Hub;
use crate::shared::Shared;
use crate::wire::Scene;

pub(crate) fn routes() -> Router<Arc<Shared>> {
    Router::new()
        .route("/0/public/{method}", any(rest::public_call))
        .route("/0/private/{method}", post(rest::private_call))
        .route("/v2", get(v2::open))
        .route("/", get(v1::open))
        .route("/ws", get(v1::open))
}

/// Words an event and tells those who listen.
pub(crate) fn publish(hub: &mut Hub, scene: &Scene<'_>, event: &Event<'_>) {
    v2_feed::publish(hub, scene, event);
    v1::publish(hub, scene, event);
}

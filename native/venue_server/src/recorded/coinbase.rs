//! The doors of a recording of either of Coinbase's wires: sockets, and what REST says of products.

use std::sync::Arc;

use axum::Router;
use axum::extract::{Path, RawQuery, State};
use axum::http::StatusCode;
use axum::response::Response;
use axum::routing::get;
use domain::{Decimal, Price};
use serde_json::{Value, json};

use super::{House, doors};
use crate::coinbase::{listed_product, time};
use crate::listing::Listing;
use crate::shared::json_text;
use crate::venue::Mode;
use crate::wire::VenueKind;

const BASE: &str = "/api/v3/brokerage";

pub(super) fn routes() -> Router<Arc<House>> {
    let at = |path: &str| format!("{BASE}{path}");
    Router::new()
        .route("/", get(doors::silent))
        .route("/ws", get(doors::silent))
        .route(&at("/time"), get(now))
        .route(&at("/market/products"), get(products))
        .route(&at("/market/products/{id}"), get(product))
        // A recording has no bars of before.
        .route(
            &at("/market/products/{id}/candles"),
            get(async || json_text(StatusCode::OK, json!({ "candles": [] }).to_string())),
        )
}

async fn now(State(house): State<Arc<House>>) -> Response {
    json_text(StatusCode::OK, time(house.stage().now()).to_string())
}

async fn products(State(house): State<Arc<House>>, RawQuery(query): RawQuery) -> Response {
    let query = query.unwrap_or_default();
    let asked: Vec<String> = url::form_urlencoded::parse(query.as_bytes())
        .filter(|(name, _)| name == "product_ids")
        .flat_map(|(_, value)| value.split(',').map(str::to_owned).collect::<Vec<_>>())
        .collect();
    let known = house.contents.ticks.iter();
    let wanted = known.filter(|(symbol, _)| asked.is_empty() || asked.contains(symbol));
    let products: Vec<Value> = wanted.filter_map(|(symbol, &tick)| shown(symbol, tick)).collect();
    let text = json!({
        "num_products": products.len(),
        "products": products,
        "pagination": { "prev_cursor": "", "next_cursor": "", "has_next": false, "has_prev": false },
    });
    json_text(StatusCode::OK, text.to_string())
}

async fn product(State(house): State<Arc<House>>, Path(id): Path<String>) -> Response {
    let tick = house.contents.ticks.get(&id);
    if let Some(product) = tick.and_then(|&tick| shown(&id, tick)) {
        return json_text(StatusCode::OK, product.to_string());
    }
    let message = "valid product_id is required";
    let text = json!({ "error": "NOT_FOUND", "error_details": message, "message": message });
    json_text(StatusCode::NOT_FOUND, text.to_string())
}

/// A symbol whose currencies cannot be told apart cannot be listed.
fn shown(symbol: &str, tick: i64) -> Option<Value> {
    let free = (Decimal::ZERO, Decimal::ZERO);
    let listing = Listing::new(VenueKind::Coinbase, symbol, Price::from_units(tick), free, 1).ok()?;
    Some(listed_product(&listing, Mode::Online))
}

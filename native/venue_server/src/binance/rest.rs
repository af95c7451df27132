//! REST: `/api/v3/...` with parameters in the query, the form body, or both.

use std::sync::Arc;

use axum::body::Bytes;
use axum::extract::{Path, RawQuery, State};
use axum::http::header::RETRY_AFTER;
use axum::http::{HeaderMap, HeaderValue, Method, StatusCode};
use axum::response::Response;

use crate::binance::api_error::ApiError;
use crate::binance::calls::Call;
use crate::binance::handle::{Failure, Handled, Sender, handle};
use crate::binance::request::{Params, rest_payload};
use crate::shared::{Shared, json_text, status_only};

const KEY_HEADER: &str = "x-mbx-apikey";
const WEIGHT_HEADER: &str = "x-mbx-used-weight-1m";
const ORDERS_HEADER: &str = "x-mbx-order-count-10s";

/// Any request under `/api/v3/`.
pub(crate) async fn api(
    State(shared): State<Arc<Shared>>,
    method: Method,
    Path(path): Path<String>,
    RawQuery(query): RawQuery,
    headers: HeaderMap,
    body: Bytes,
) -> Response {
    let call = Call::of_rest(method.as_str(), &path);
    perform(&shared, call, query, &headers, &body).await
}

/// Any request under `/sapi/v1/`.
pub(crate) async fn wallet(
    State(shared): State<Arc<Shared>>,
    method: Method,
    Path(path): Path<String>,
    RawQuery(query): RawQuery,
    headers: HeaderMap,
    body: Bytes,
) -> Response {
    let call = Call::of_wallet(method.as_str(), &path);
    perform(&shared, call, query, &headers, &body).await
}

async fn perform(
    shared: &Shared,
    call: Option<Call>,
    query: Option<String>,
    headers: &HeaderMap,
    body: &[u8],
) -> Response {
    let query = query.unwrap_or_default();
    let Ok(body) = std::str::from_utf8(body) else {
        return error(&ApiError::illegal("body"));
    };
    let Some(call) = call else {
        return error(&ApiError::not_found());
    };
    let params = match Params::from_text(&query, body) {
        Ok(params) => params,
        Err(refused) => return error(&refused),
    };
    let api_key = headers.get(KEY_HEADER).and_then(|value| value.to_str().ok());
    let payload = rest_payload(&query, body);
    let sender = Sender {
        api_key,
        payload: &payload,
    };
    let handled = handle(shared, call, &params, sender);
    if !handled.delay.is_zero() {
        tokio::time::sleep(handled.delay).await;
    }
    answer(handled)
}

fn answer(handled: Handled) -> Response {
    let mut response = match handled.result {
        Ok(answer) => json_text(StatusCode::OK, answer.into_text()),
        Err(Failure::Api(refused)) => error(&refused),
        Err(Failure::Status(status)) => status_only(status),
    };
    let headers = response.headers_mut();
    headers.insert(WEIGHT_HEADER, HeaderValue::from(handled.used_weight));
    if let Some(orders) = handled.used_orders {
        headers.insert(ORDERS_HEADER, HeaderValue::from(orders));
    }
    response
}

/// An error answer as the venue words it.
pub(crate) fn error(refused: &ApiError) -> Response {
    let status = StatusCode::from_u16(refused.status).unwrap_or(StatusCode::BAD_REQUEST);
    let mut response = json_text(status, refused.body().to_string());
    if let Some(seconds) = refused.retry_after {
        response
            .headers_mut()
            .insert(RETRY_AFTER, HeaderValue::from(seconds));
    }
    response
}

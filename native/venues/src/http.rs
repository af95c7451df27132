//! What the REST clients of all venues have in common: how they connect, and what a failure means.

use std::sync::Arc;
use std::time::Duration;

use bytes::{Bytes, BytesMut};
use reqwest::Response;
use rustls::ClientConfig;

use crate::error::VenueError;

/// How long an unused connection is kept: sooner given up than the venue would close it, because a request on a dying
/// connection has an unknown outcome.
const POOL_IDLE: Duration = Duration::from_secs(30);

/// A client that sends each request where it was meant to, directly, once.
pub(crate) fn client(
    tls: &Arc<ClientConfig>,
    request_timeout: Duration,
    connect_timeout: Duration,
) -> Result<reqwest::Client, VenueError> {
    reqwest::Client::builder()
        .tls_backend_preconfigured(ClientConfig::clone(tls))
        .timeout(request_timeout)
        .connect_timeout(connect_timeout)
        .tcp_nodelay(true)
        .pool_idle_timeout(POOL_IDLE)
        .no_proxy()
        .redirect(reqwest::redirect::Policy::none())
        .retry(reqwest::retry::never())
        .build()
        .map_err(|error| VenueError::Setting {
            setting: "endpoints.rest",
            problem: error.to_string(),
        })
}

/// Whether a request that only reads may get through when asked again.
pub(crate) fn may_pass(error: &VenueError) -> bool {
    match error {
        VenueError::NotConnected { .. } | VenueError::NoAnswer { .. } => true,
        VenueError::Refused { status, .. } => *status >= 500,
        _ => false,
    }
}

/// What a request that failed may have done: nothing, when it never had a connection.
pub(crate) fn transport(request: &'static str, error: reqwest::Error) -> VenueError {
    // The address of a signed request holds its signature.
    let error = error.without_url();
    let detail = chain(&error);
    if error.is_connect() || error.is_builder() {
        VenueError::NotConnected { request, detail }
    } else {
        VenueError::NoAnswer { request, detail }
    }
}

fn chain(error: &dyn std::error::Error) -> String {
    let mut text = error.to_string();
    let mut source = error.source();
    while let Some(inner) = source {
        text.push_str(": ");
        text.push_str(&inner.to_string());
        source = inner.source();
    }
    text
}

/// The body of an answer, up to `max` bytes.
pub(crate) async fn body(
    request: &'static str,
    mut response: Response,
    max: usize,
) -> Result<Bytes, VenueError> {
    let mut body = BytesMut::new();
    while let Some(chunk) = response.chunk().await.map_err(|error| VenueError::NoAnswer {
        request,
        detail: chain(&error.without_url()),
    })? {
        if body.len() + chunk.len() > max {
            return Err(VenueError::TooLarge { request, max });
        }
        body.extend_from_slice(&chunk);
    }
    Ok(body.freeze())
}

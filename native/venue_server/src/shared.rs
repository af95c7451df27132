//! The one lock, and what every connection shares beside it.

use std::sync::{Arc, Mutex, MutexGuard};

use axum::http::StatusCode;
use axum::http::header::CONTENT_TYPE;
use axum::response::{IntoResponse, Response};
use tokio::sync::{Notify, watch};

use crate::listener::Outage;
use crate::venue::Venue;

/// What all connections share.
#[derive(Debug)]
pub(crate) struct Shared {
    venue: Mutex<Venue>,
    /// Woken when something may be due earlier than the pacer thought.
    pub(crate) wake: Notify,
    pub(crate) outage: Arc<Outage>,
    /// True once the server stops.
    pub(crate) stop: watch::Sender<bool>,
}

impl Shared {
    pub(crate) fn new(venue: Venue) -> Self {
        Self {
            venue: Mutex::new(venue),
            wake: Notify::new(),
            outage: Arc::default(),
            stop: watch::Sender::new(false),
        }
    }

    /// The venue. A panic while it was held leaves it unusable: the server's state would be a lie.
    pub(crate) fn venue(&self) -> MutexGuard<'_, Venue> {
        self.venue
            .lock()
            .expect("no call panics while it holds the venue")
    }
}

/// JSON text with a status.
pub(crate) fn json_text(status: StatusCode, text: String) -> Response {
    (status, [(CONTENT_TYPE, "application/json;charset=UTF-8")], text).into_response()
}

/// A status without a body.
pub(crate) fn status_only(status: u16) -> Response {
    StatusCode::from_u16(status)
        .unwrap_or(StatusCode::SERVICE_UNAVAILABLE)
        .into_response()
}

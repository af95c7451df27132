//! The server: one port, one pacer, one lock.

use std::net::SocketAddr;
use std::sync::Arc;
use std::time::Duration;

use axum::Router;
use axum::body::to_bytes;
use axum::extract::{Request, State};
use axum::http::header::CONTENT_LENGTH;
use axum::middleware::{Next, from_fn_with_state};
use axum::response::Response;
use axum::routing::{get, post};
use tokio::task::JoinHandle;

use crate::config::ServerConfig;
use crate::error::ServerError;
use crate::keys::ApiKey;
use crate::listener::LoopbackListener;
use crate::shared::{Shared, status_only};
use crate::venue::Venue;
use crate::wire::VenueKind;
use crate::{admin, tls};

/// How often the venue says that it lives, on wires that do.
const HEARTBEAT: Duration = Duration::from_secs(1);

/// A venue that is being served.
#[derive(Debug)]
pub struct Server {
    address: SocketAddr,
    shared: Arc<Shared>,
    serving: JoinHandle<std::io::Result<()>>,
    pacing: JoinHandle<()>,
    beating: JoinHandle<()>,
}

impl Server {
    /// Binds 127.0.0.1 and serves. Call it inside a tokio runtime.
    ///
    /// # Errors
    /// [`ServerError`] when the record cannot be played, an option is wrong, or the port is taken.
    pub async fn start(config: ServerConfig, keys: Vec<ApiKey>) -> Result<Self, ServerError> {
        let tls = config.tls.as_ref().map(tls::acceptor).transpose()?;
        let mut venue = Venue::new(&config, keys)?;
        // The book stands before the first request.
        venue.catch_up();
        if !config.start_paused {
            venue.clock.resume();
        }
        let shared = Arc::new(Shared::new(venue));
        let bind = |source| ServerError::Bind {
            port: config.port,
            source,
        };
        let outage = Arc::clone(&shared.outage);
        let listener = LoopbackListener::bind(config.port, outage, tls)
            .await
            .map_err(bind)?;
        let address = axum::serve::Listener::local_addr(&listener).map_err(bind)?;
        let mut stop = shared.stop.subscribe();
        let serving = axum::serve(listener, router(config.venue, Arc::clone(&shared)))
            .with_graceful_shutdown(async move {
                // An error means that nobody can ask for more.
                let _ = stop.wait_for(|stop| *stop).await;
            });
        let serving = tokio::spawn(serving.into_future());
        let pacing = tokio::spawn(pace(Arc::clone(&shared), config.exit_when_done));
        let beating = tokio::spawn(beat(Arc::clone(&shared)));
        Ok(Self {
            address,
            shared,
            serving,
            pacing,
            beating,
        })
    }

    /// Where it listens.
    #[must_use]
    pub fn address(&self) -> SocketAddr {
        self.address
    }

    /// Asks it to stop; [`Server::wait`] returns once it has.
    pub fn stop(&self) {
        self.shared.stop.send_replace(true);
    }

    /// Waits until it stops: because it was asked to, or because the record is over and that was asked for.
    ///
    /// # Errors
    /// [`ServerError::Bind`] when the listening socket failed.
    pub async fn wait(self) -> Result<(), ServerError> {
        let port = self.address.port();
        let served = self.serving.await;
        self.pacing.abort();
        self.beating.abort();
        match served {
            Ok(Ok(())) => Ok(()),
            Ok(Err(source)) => Err(ServerError::Bind { port, source }),
            Err(ended) => Err(ServerError::Bind {
                port,
                source: std::io::Error::other(ended),
            }),
        }
    }

    /// A handle that stops it from elsewhere, such as a signal's handler.
    #[must_use]
    pub fn stopper(&self) -> Stopper {
        Stopper(Arc::clone(&self.shared))
    }
}

/// Stops a server.
#[derive(Debug, Clone)]
pub struct Stopper(Arc<Shared>);

impl Stopper {
    /// As [`Server::stop`].
    pub fn stop(&self) {
        self.0.stop.send_replace(true);
    }
}

/// Plays the record as it comes due.
async fn pace(shared: Arc<Shared>, exit_when_done: bool) {
    loop {
        let (next, done) = {
            let mut venue = shared.venue();
            venue.catch_up();
            (venue.next_wake(), venue.is_done())
        };
        if done && exit_when_done {
            shared.stop.send_replace(true);
            return;
        }
        match next {
            Some(wall) => {
                tokio::select! {
                    () = tokio::time::sleep(wall) => {}
                    () = shared.wake.notified() => {}
                }
            }
            None => shared.wake.notified().await,
        }
    }
}

/// Says each second of wall time that the venue lives.
async fn beat(shared: Arc<Shared>) {
    let mut seconds = tokio::time::interval(HEARTBEAT);
    seconds.set_missed_tick_behavior(tokio::time::MissedTickBehavior::Delay);
    loop {
        seconds.tick().await;
        shared.venue().heartbeat();
    }
}

fn router(kind: VenueKind, shared: Arc<Shared>) -> Router {
    kind.routes()
        .route("/admin/state", get(admin::state))
        .route("/admin/pause", post(admin::pause))
        .route("/admin/resume", post(admin::resume))
        .route("/admin/advance", post(admin::advance))
        .route("/admin/faults", post(admin::faults))
        .route("/admin/transfer", post(admin::transfer))
        .route("/admin/order", post(admin::order))
        .layer(from_fn_with_state(Arc::clone(&shared), rewritten))
        .with_state(shared)
}

/// Longest answer that is rewritten, bytes.
const REWRITTEN_BYTES_MAX: usize = 16 << 20;

/// An answer as a fault wants it.
async fn rewritten(State(shared): State<Arc<Shared>>, request: Request, next: Next) -> Response {
    let path = request.uri().path().to_owned();
    let response = next.run(request).await;
    if !shared.venue().rewrites.wait_for(&path) {
        return response;
    }
    let (mut parts, body) = response.into_parts();
    let Ok(body) = to_bytes(body, REWRITTEN_BYTES_MAX).await else {
        return status_only(500);
    };
    let text = String::from_utf8_lossy(&body);
    match shared.venue().rewrites.apply(&path, &text) {
        None => Response::from_parts(parts, body.into()),
        Some(other) => {
            parts.headers.remove(CONTENT_LENGTH);
            Response::from_parts(parts, other.into())
        }
    }
}

//! Venues whose public market is read beside the one that is traded at.
//!
//! Each has a connector of its own without a key ([`task`]), a thread of its own that reads its messages ([`reader`]), and its own
//! queue of events into the deciding thread ([`event`]). Its instruments have the ids after those of the own venue. A venue that
//! is not there when the service starts is asked for later; until it has told of its instruments they stand in the engine untold.

mod event;
mod reader;
mod task;

use std::sync::Arc;
use std::time::Duration;

use config::WatchConfig;
use domain::{Instrument, InstrumentId, Text, Venue};
use futures_util::future::join_all;
use tokio::time::timeout;
use tracing::warn;
use venues::clock::{Clock, ServerClock};
use venues::{Connector, ConnectorSettings, Endpoints, Instruments, Reference, VenueError};

use crate::error::LiveError;

pub(crate) use event::WatchedEvent;
pub(crate) use task::{Watch, Watching};

/// How long the start waits for all watched venues together to tell of their instruments, wall time.
const TELL_WAIT_MAX: Duration = Duration::from_secs(5);

/// A venue that is watched.
#[derive(Debug, Clone)]
pub(crate) struct Watched {
    pub(crate) venue: Venue,
    /// Its instruments in this process.
    pub(crate) ids: Ids,
    pub(crate) connector: Arc<dyn Connector>,
    symbols: Vec<Text<24>>,
    /// By its own ids; `None` until it has told of them.
    told: Option<Arc<Instruments>>,
}

/// The ids of one watched venue's instruments: its own count from 0, those of the process from `first`.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) struct Ids {
    first: u16,
}

impl Ids {
    pub(crate) const fn new(first: u16) -> Self {
        Self { first }
    }

    /// The process's id of one of the venue's own.
    pub(crate) const fn here(self, own: InstrumentId) -> InstrumentId {
        // The configuration bounds them all together, far below.
        InstrumentId(self.first.saturating_add(own.0))
    }

    /// An instrument by its id here.
    pub(crate) const fn instrument(self, own: &Instrument) -> Instrument {
        Instrument {
            id: self.here(own.id),
            ..*own
        }
    }
}

impl Watched {
    /// Its instruments by their ids here, such as it has not told of untold.
    pub(crate) fn instruments(&self) -> Vec<Instrument> {
        if let Some(told) = &self.told {
            return told.iter().map(|own| self.ids.instrument(own)).collect();
        }
        let named = self.symbols.iter().zip(0..);
        named
            .map(|(symbol, own)| Instrument::untold(self.ids.here(InstrumentId(own)), self.venue, *symbol))
            .collect()
    }

    async fn ask(&self, reference: &dyn Reference) -> Result<Vec<Instrument>, VenueError> {
        let symbols: Vec<&str> = self.symbols.iter().map(Text::as_str).collect();
        reference.instruments(&symbols).await
    }
}

/// Asks every venue of `[[watch]]` for its instruments, once and for [`TELL_WAIT_MAX`]; their ids begin at `first`.
///
/// # Errors
/// [`LiveError::Watch`] for what only another configuration can heal: settings that cannot work, and instruments that a venue
/// does not list.
pub(crate) async fn open(
    watches: &[WatchConfig],
    first: usize,
    clock: &Arc<ServerClock>,
) -> Result<Vec<Watched>, LiveError> {
    let mut next = u16::try_from(first).unwrap_or(u16::MAX);
    let mut all = Vec::with_capacity(watches.len());
    for watch in watches {
        let watched = connect(watch, Ids::new(next), clock).map_err(|source| refused(watch.venue, source))?;
        next = next.saturating_add(u16::try_from(watch.symbols.len()).unwrap_or(u16::MAX));
        all.push(watched);
    }
    let asked = join_all(all.iter().map(tell)).await;
    let told = asked.into_iter().collect::<Result<Vec<_>, LiveError>>()?;
    for (watched, told) in all.iter_mut().zip(told) {
        watched.told = told;
    }
    Ok(all)
}

fn connect(watch: &WatchConfig, ids: Ids, clock: &Arc<ServerClock>) -> Result<Watched, VenueError> {
    let endpoints = Endpoints {
        rest: watch.rest_url.clone(),
        market: watch.ws_url.clone(),
        // No account is spoken of.
        account: watch.ws_url.clone(),
    };
    let settings = ConnectorSettings::new(watch.venue, endpoints);
    let connector = venues::connect_public(settings, Arc::clone(clock) as Arc<dyn Clock>)?;
    let symbols = watch.symbols.iter().map(|symbol| {
        Text::new(symbol).ok_or_else(|| VenueError::UnknownSymbol {
            symbol: symbol.clone(),
        })
    });
    Ok(Watched {
        venue: watch.venue,
        ids,
        connector: connector.into(),
        symbols: symbols.collect::<Result<_, _>>()?,
        told: None,
    })
}

/// What a venue says of its instruments; `None` when it is not there now.
async fn tell(watched: &Watched) -> Result<Option<Arc<Instruments>>, LiveError> {
    let venue = watched.venue;
    let reference = watched.connector.reference();
    match timeout(TELL_WAIT_MAX, watched.ask(&*reference)).await {
        Ok(Ok(listed)) => {
            let instruments = Instruments::new(listed).map_err(|source| refused(venue, source))?;
            Ok(Some(Arc::new(instruments)))
        }
        Ok(Err(source)) if is_of_the_file(&source) => Err(refused(venue, source)),
        Ok(Err(error)) => {
            warn!(%venue, %error, "a watched venue is not there: the service starts without it and goes on asking");
            Ok(None)
        }
        Err(_) => {
            warn!(%venue, "a watched venue does not answer: the service starts without it and goes on asking");
            Ok(None)
        }
    }
}

fn refused(venue: Venue, source: VenueError) -> LiveError {
    LiveError::Watch { venue, source }
}

/// Whether asking again cannot help: the file must change.
const fn is_of_the_file(error: &VenueError) -> bool {
    matches!(
        error,
        VenueError::UnknownSymbol { .. } | VenueError::Setting { .. }
    )
}

//! A venue's market streams as a recorder needs them, whatever the venue. A new venue fills in [`open`].

mod binance;
mod over_the_stream;

use std::fmt;
use std::future::Future;
use std::pin::Pin;
use std::sync::Arc;

use domain::{InstrumentId, Text, Venue};
use tracing::warn;
use venues::clock::Clock;
use venues::retry::Jitter;
use venues::{Instruments, MarketProtocol, Reference, VenueError};

use super::queue::Inlet;
use crate::session::made;
use crate::wire::Wire;

/// The sockets of one connection.
pub(crate) trait LiveFeed: fmt::Debug + Send {
    /// Has an instrument's book told anew: what [`MarketProtocol::take_resync_request`] names.
    fn resync(&self, instrument: InstrumentId);

    /// Has the connection made anew: what [`MarketProtocol::take_reconnect_request`] wants.
    fn reconnect(&self);

    /// What is asked for an instrument's snapshot, where snapshots come over REST.
    fn snapshot_url(&self, instrument: InstrumentId) -> Option<String>;

    /// Closes the sockets and tells the sink.
    fn stop(self: Box<Self>) -> Pin<Box<dyn Future<Output = ()> + Send>>;
}

/// One connection.
#[derive(Debug)]
pub(crate) struct Stream {
    /// What the recording calls it.
    pub(crate) name: String,
    pub(crate) wire: Wire,
    pub(crate) instruments: Arc<Instruments>,
    /// Reads what is recorded, so that it is known when a book must be told anew.
    pub(crate) protocol: Box<dyn MarketProtocol>,
    /// `None` once it was told to stop.
    pub(crate) feed: Option<Box<dyn LiveFeed>>,
}

/// What is to be opened, and where it delivers.
#[derive(Debug)]
pub(crate) struct Wish<'a> {
    pub(crate) venue: Venue,
    pub(crate) symbols: &'a [String],
    /// Instead of the venue's own address.
    pub(crate) url: Option<&'a str>,
    /// Levels a side, where the venue has a choice.
    pub(crate) depth: Option<u16>,
    pub(crate) clock: Arc<dyn Clock>,
    pub(crate) jitter: Jitter,
    pub(crate) inlet: &'a Inlet,
}

/// Venues whose streams can be recorded.
pub const RECORDED: [Venue; 3] = [Venue::Binance, Venue::Coinbase, Venue::Kraken];

/// Opens a venue's streams in the current tokio runtime: as many connections as it takes.
///
/// # Errors
/// [`VenueError`] when the venue does not list a symbol, or an address is none.
pub(crate) async fn open(wish: Wish<'_>) -> Result<Vec<Stream>, VenueError> {
    if wish.depth.is_some() && wish.venue != Venue::Kraken {
        return Err(VenueError::Setting {
            setting: "depth",
            problem: format!("{} has no choice of it", wish.venue),
        });
    }
    match wish.venue {
        Venue::Binance => binance::open(wish).await,
        Venue::Coinbase => over_the_stream::open_coinbase(wish).await,
        Venue::Kraken => over_the_stream::open_kraken(wish).await,
        venue => Err(VenueError::Setting {
            setting: "venue",
            problem: format!("{venue} cannot be recorded yet: its streams are read, not opened"),
        }),
    }
}

/// Asks whether the venue lists them. Who cannot be asked now may be there later: the streams try again by themselves.
async fn listed(venue: &dyn Reference, symbols: &[String]) -> Result<(), VenueError> {
    let names: Vec<&str> = symbols.iter().map(String::as_str).collect();
    match venue.instruments(&names).await {
        Ok(_) => Ok(()),
        // The venue looked at them and refuses.
        Err(
            error @ VenueError::Refused {
                status: 400 | 404, ..
            },
        ) => Err(error),
        Err(error) if error.is_fatal() => Err(error),
        Err(error) => {
            warn!(%error, "not known yet whether the venue lists the symbols");
            Ok(())
        }
    }
}

/// Instruments of which only the symbols are known: enough to read their market.
fn instruments(wire: Wire, symbols: &[String]) -> Result<Arc<Instruments>, VenueError> {
    let unknown = |symbol: &String| VenueError::UnknownSymbol {
        symbol: symbol.clone(),
    };
    let named = symbols.iter().zip(0..).map(|(symbol, id)| {
        let text = Text::new(symbol).ok_or_else(|| unknown(symbol))?;
        Ok(made(wire, id, text))
    });
    let instruments = named.collect::<Result<Vec<_>, VenueError>>()?;
    Ok(Arc::new(Instruments::new(instruments)?))
}

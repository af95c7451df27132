//! Kraken and Coinbase: one connection, whose books are begun anew over the stream itself.

use std::future::Future;
use std::pin::Pin;
use std::sync::Arc;

use domain::InstrumentId;
use venues::{MarketFeed, VenueError, coinbase, kraken};

use super::{LiveFeed, Stream, Wish, listed};
use crate::wire::Wire;

/// What the recording calls the connection.
const NAME: &str = "market";

#[derive(Debug)]
struct OneFeed(MarketFeed);

impl LiveFeed for OneFeed {
    fn resync(&self, instrument: InstrumentId) {
        self.0.requester().request(instrument);
    }

    fn reconnect(&self) {
        self.0.requester().reconnect();
    }

    fn snapshot_url(&self, _: InstrumentId) -> Option<String> {
        None
    }

    fn stop(self: Box<Self>) -> Pin<Box<dyn Future<Output = ()> + Send>> {
        Box::pin(self.0.stop())
    }
}

pub(super) async fn open_kraken(mut wish: Wish<'_>) -> Result<Vec<Stream>, VenueError> {
    let endpoints = wish.url.map_or_else(kraken::Endpoints::production, |url| {
        let (rest, stream) = both(url);
        kraken::Endpoints {
            rest,
            stream: format!("{stream}/v2"),
            private: format!("{stream}/v2"),
        }
    });
    let mut settings = kraken::Settings::new(endpoints);
    settings.book_depth = wish.depth.unwrap_or(settings.book_depth);
    let depth = usize::from(settings.book_depth);
    let rest = kraken::RestClient::new(settings, None, Arc::clone(&wish.clock))?;
    let rest = Arc::new(rest);
    listed(&*rest, wish.symbols).await?;
    let (wire, jitter) = (Wire::KrakenV2, wish.jitter.split());
    let instruments = super::instruments(wire, wish.symbols)?;
    let protocol = wire.protocol(Arc::clone(&instruments), &vec![depth; instruments.len()])?;
    let feed = kraken::market_feed(&rest, &instruments, jitter, wish.inlet.sink(0))?;
    Ok(vec![Stream {
        name: NAME.to_owned(),
        wire,
        instruments,
        protocol,
        feed: Some(Box::new(OneFeed(feed))),
    }])
}

pub(super) async fn open_coinbase(mut wish: Wish<'_>) -> Result<Vec<Stream>, VenueError> {
    let endpoints = wish.url.map_or_else(coinbase::Endpoints::production, |url| {
        let (rest, stream) = both(url);
        coinbase::Endpoints {
            rest,
            market: stream.clone(),
            user: stream,
        }
    });
    let settings = coinbase::Settings::new(endpoints);
    let rest = coinbase::RestClient::new(settings, None, Arc::clone(&wish.clock))?;
    let rest = Arc::new(rest);
    listed(&*rest, wish.symbols).await?;
    let (wire, jitter) = (Wire::CoinbaseAdvanced, wish.jitter.split());
    let instruments = super::instruments(wire, wish.symbols)?;
    let protocol = wire.protocol(Arc::clone(&instruments), &[])?;
    let feed = coinbase::market_feed(&rest, &instruments, jitter, wish.inlet.sink(0))?;
    Ok(vec![Stream {
        name: NAME.to_owned(),
        wire,
        instruments,
        protocol,
        feed: Some(Box::new(OneFeed(feed))),
    }])
}

/// One address for both doors: REST and sockets.
fn both(url: &str) -> (String, String) {
    let rest = url.trim_end_matches('/').to_owned();
    let stream = rest.replacen("http", "ws", 1);
    (rest, stream)
}

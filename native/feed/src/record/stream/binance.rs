//! Binance spot: one combined stream for as many symbols as it carries, snapshots over REST.

use std::future::Future;
use std::pin::Pin;
use std::sync::Arc;

use domain::InstrumentId;
use venues::binance::{Endpoints, RestClient, Settings, market_feed};
use venues::{Instruments, MarketFeed, VenueError};

use super::{LiveFeed, Stream, Wish};
use crate::wire::Wire;

/// Symbols on one connection: each has three streams, and a connection carries 1,024.
const SYMBOLS_PER_CONNECTION: usize = 341;

#[derive(Debug)]
struct BinanceFeed {
    feed: MarketFeed,
    rest: Arc<RestClient>,
    instruments: Arc<Instruments>,
}

impl LiveFeed for BinanceFeed {
    fn resync(&self, instrument: InstrumentId) {
        self.feed.requester().request(instrument);
    }

    fn reconnect(&self) {
        self.feed.requester().reconnect();
    }

    fn snapshot_url(&self, instrument: InstrumentId) -> Option<String> {
        let instrument = self.instruments.get(instrument)?;
        let settings = self.rest.settings();
        let (base, levels) = (&settings.endpoints.rest, settings.snapshot_levels);
        Some(format!(
            "{base}/api/v3/depth?symbol={}&limit={levels}",
            instrument.symbol
        ))
    }

    fn stop(self: Box<Self>) -> Pin<Box<dyn Future<Output = ()> + Send>> {
        Box::pin(self.feed.stop())
    }
}

pub(super) async fn open(mut wish: Wish<'_>) -> Result<Vec<Stream>, VenueError> {
    let endpoints = endpoints(wish.url);
    let rest = RestClient::new(Settings::new(endpoints), None, Arc::clone(&wish.clock))?;
    let rest = Arc::new(rest);
    let symbols: Vec<String> = wish
        .symbols
        .iter()
        .map(|symbol| symbol.to_ascii_uppercase())
        .collect();
    super::listed(&*rest, &symbols).await?;
    let mut streams = Vec::new();
    for (at, symbols) in symbols.chunks(SYMBOLS_PER_CONNECTION).enumerate() {
        let wire = Wire::BinanceSpot;
        let instruments = super::instruments(wire, symbols)?;
        let protocol = wire.protocol(Arc::clone(&instruments), &[])?;
        let jitter = wish.jitter.split();
        let feed = market_feed(&rest, &instruments, jitter, wish.inlet.sink(at))?;
        streams.push(Stream {
            name: format!("market-{at}"),
            wire,
            instruments: Arc::clone(&instruments),
            protocol,
            feed: Some(Box::new(BinanceFeed {
                feed,
                rest: Arc::clone(&rest),
                instruments,
            })),
        });
    }
    Ok(streams)
}

/// The venue's own, or one address for both doors.
fn endpoints(url: Option<&str>) -> Endpoints {
    let Some(url) = url else {
        return Endpoints::production();
    };
    let rest = url.trim_end_matches('/').to_owned();
    let stream = rest.replacen("http", "ws", 1);
    Endpoints {
        ws_api: format!("{stream}/ws-api/v3"),
        stream,
        rest,
    }
}

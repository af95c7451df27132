//! The streams of three venues: as they were recorded, or made in the venues' words where the recordings are absent.

use std::path::{Path, PathBuf};
use std::sync::Arc;

use bytes::Bytes;
use domain::{
    Currency, Instrument, InstrumentId, InstrumentRules, InstrumentStatus, Money, Nanos, Price, Quantity,
    Text, Timestamp, Venue,
};
use feed::playback::Recorded;
use venues::kraken::WireVersion;
use venues::{Instruments, MarketProtocol, StreamMessage, StreamMessageKind, binance, coinbase, kraken};

use crate::made;

/// A wire that is read.
#[derive(Debug, Clone, Copy)]
pub(crate) struct Wire {
    pub(crate) name: &'static str,
    pub(crate) venue: Venue,
    /// Levels a side that its books were subscribed with.
    depth: usize,
    files: &'static [&'static str],
}

pub(crate) const WIRES: [Wire; 3] = [
    Wire {
        name: "binance",
        venue: Venue::Binance,
        depth: 5_000,
        files: &[
            "ws_binance_spot_btcusdt_20240808/btcusdt_20240808.gz",
            "ws_binance_spot_btcusdt_20240808/btcusdt_20240809.gz",
        ],
    },
    Wire {
        name: "coinbase",
        venue: Venue::Coinbase,
        depth: 0,
        files: &["ws_coinbase_advanced_20260809/COINBASE_first12s.jsonl.zst"],
    },
    Wire {
        name: "kraken",
        venue: Venue::Kraken,
        depth: 1_000,
        files: &["ws_kraken_v1_20210405/KRAKEN-book-c197c0.0.gz"],
    },
];

/// Messages of one connection, and whose they are.
pub(crate) struct Stream {
    pub(crate) wire: Wire,
    pub(crate) is_recorded: bool,
    pub(crate) instruments: Arc<Instruments>,
    pub(crate) messages: Vec<StreamMessage>,
}

/// Where recordings lie: `PY_RT_SHARED_DATA`, or `../shared/data` beside the project.
fn folder() -> PathBuf {
    std::env::var_os("PY_RT_SHARED_DATA").map_or_else(
        || Path::new(env!("CARGO_MANIFEST_DIR")).join("../../../shared/data"),
        PathBuf::from,
    )
}

impl Stream {
    /// The recording of a wire, or a made stream.
    pub(crate) fn find(wire: Wire) -> Self {
        let paths: Vec<_> = wire.files.iter().map(|name| folder().join(name)).collect();
        if paths.iter().any(|path| !path.is_file()) {
            return Self::made(wire);
        }
        let recorded = Recorded::open(&paths, &mut |_| {}).expect("a recording");
        let found = recorded.instruments().to_vec();
        let instruments = Arc::new(Instruments::new(found).expect("a table"));
        let mut playback = recorded.play(&instruments).expect("a recording");
        let mut messages = Vec::new();
        while let Some(message) = playback.next_message().expect("a recording") {
            messages.push(message);
        }
        Self {
            wire,
            is_recorded: true,
            instruments,
            messages,
        }
    }

    fn made(wire: Wire) -> Self {
        let (symbol, bodies) = made::stream(wire.venue);
        let message = |kind| StreamMessage {
            ts_received: Timestamp::from_nanos(i64::MAX),
            kind,
        };
        let kinds = bodies.into_iter().map(|body| match body {
            made::Body::Answer(body) => StreamMessageKind::Snapshot {
                instrument: InstrumentId(0),
                body: body.into(),
            },
            made::Body::Frame(frame) => StreamMessageKind::Frame(frame.into()),
        });
        let messages = std::iter::once(StreamMessageKind::Connected).chain(kinds);
        let instruments = vec![instrument(wire.venue, 0, symbol)];
        Self {
            wire,
            is_recorded: false,
            messages: messages.map(message).collect(),
            instruments: Arc::new(Instruments::new(instruments).expect("a table")),
        }
    }

    /// What reads it, with nothing synchronized.
    pub(crate) fn protocol(&self) -> Box<dyn MarketProtocol> {
        let (instruments, ahead) = (Arc::clone(&self.instruments), Nanos(i64::MAX));
        match self.wire.venue {
            Venue::Binance => Box::new(binance::MarketData::new(instruments, ahead)),
            Venue::Coinbase => Box::new(coinbase::AdvancedMarketData::new(instruments, ahead)),
            _ => Box::new(kraken::MarketData::new(
                instruments,
                WireVersion::V1,
                if self.is_recorded { self.wire.depth } else { 10 },
                ahead,
            )),
        }
    }

    /// The same of `wanted` instruments at once: each message as often as it takes, in the name of another each time.
    pub(crate) fn multiplied(&self, wanted: usize) -> Self {
        let copies = wanted.div_ceil(self.instruments.len());
        let names = |copy| {
            let name =
                move |each: &Instrument| (each.id, each.symbol.to_string(), renamed(&each.symbol, copy));
            self.instruments.iter().map(name).collect::<Vec<_>>()
        };
        let tables: Vec<_> = (0..copies).map(names).collect();
        let all = tables.iter().flatten().map(|(_, _, name)| name.as_str());
        let instruments = (0..)
            .zip(all)
            .map(|(id, name)| instrument(self.wire.venue, id, name));
        let instruments = Arc::new(Instruments::new(instruments.collect()).expect("a table"));
        let mut messages = Vec::with_capacity(self.messages.len() * copies);
        for message in &self.messages {
            match &message.kind {
                StreamMessageKind::Frame(frame) => {
                    let text = std::str::from_utf8(frame).expect("text");
                    for table in &tables {
                        let text = numbered(in_the_name_of(text, table), messages.len());
                        messages.push(with(message, StreamMessageKind::Frame(Bytes::from(text))));
                    }
                }
                StreamMessageKind::Snapshot { instrument, body } => {
                    for (copy, _) in tables.iter().enumerate() {
                        let id = usize::from(instrument.0) + copy * self.instruments.len();
                        let instrument = InstrumentId(u16::try_from(id).expect("few instruments"));
                        let body = body.clone();
                        messages.push(with(message, StreamMessageKind::Snapshot { instrument, body }));
                    }
                }
                kind => messages.push(with(message, kind.clone())),
            }
        }
        Self {
            instruments,
            messages,
            ..*self
        }
    }
}

fn with(message: &StreamMessage, kind: StreamMessageKind) -> StreamMessage {
    StreamMessage {
        ts_received: message.ts_received,
        kind,
    }
}

/// A name as long as the first, whose first two letters are a number.
fn renamed(symbol: &Text<24>, copy: usize) -> String {
    format!("{copy:02}{}", &symbol.as_str()[2..])
}

fn in_the_name_of(text: &str, table: &[(InstrumentId, String, String)]) -> String {
    let mut text = text.to_owned();
    for (_, before, after) in table {
        text = text.replace(&format!("\"{before}\""), &format!("\"{after}\""));
        let stream = |name: &str| format!("\"{}@", name.to_lowercase());
        text = text.replace(&stream(before), &stream(after));
    }
    text
}

/// Where a connection counts its messages, the copies have numbers of their own.
fn numbered(text: String, number: usize) -> String {
    const KEY: &str = "\"sequence_num\":";
    let Some(at) = text.find(KEY).map(|at| at + KEY.len()) else {
        return text;
    };
    let end = at + text[at..].bytes().take_while(u8::is_ascii_digit).count();
    format!("{}{number}{}", &text[..at], &text[end..])
}

fn instrument(venue: Venue, id: u16, symbol: &str) -> Instrument {
    let quote = Currency::new("USD").expect("a code");
    Instrument {
        id: InstrumentId(id),
        venue,
        symbol: Text::new(symbol).expect("a symbol"),
        base: Currency::new("X").expect("a code"),
        quote,
        rules: InstrumentRules {
            tick_size: Price::ZERO,
            lot_size: Quantity::ZERO,
            min_price: Price::ZERO,
            max_price: Price::ZERO,
            min_quantity: Quantity::ZERO,
            max_quantity: Quantity::ZERO,
            min_notional: Money::zero(quote),
        },
        status: InstrumentStatus::Trading,
    }
}

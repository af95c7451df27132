//! One connection's session: which files it is in, and how it is played through its venue's protocol.

use std::collections::BTreeMap;
use std::path::{Path, PathBuf};
use std::sync::Arc;

use bytes::Bytes;
use domain::{
    Currency, Instrument, InstrumentId, InstrumentRules, InstrumentStatus, Money, Price, Quantity, Text,
    Timestamp,
};
use recording::{ReadError, Record, RecordKind};
use venues::{DisconnectReason, Instruments, MarketProtocol, StreamMessage, StreamMessageKind};

use crate::heard::{self, Heard, Listener};
use crate::oracle::Oracle;
use crate::reading::{self, Answer};
use crate::survey::{Part, Surveyed};
use crate::wire::Wire;

/// Most errors that are kept word by word; the rest are counted.
pub const ERRORS_KEPT_MAX: usize = 20;

/// Quote currencies by which a symbol without a separator is taken apart, longest first.
const QUOTES: [&str; 12] = [
    "FDUSD", "USDT", "USDC", "TUSD", "BUSD", "USD", "EUR", "BTC", "ETH", "BNB", "TRY", "JPY",
];

/// A currency of which the recording says nothing.
const NO_CURRENCY: &str = "X";

/// What has been counted beside the protocol's own statistics.
#[derive(Debug, Default)]
pub(crate) struct Counters {
    pub(crate) connects: u64,
    pub(crate) frames: u64,
    pub(crate) bytes: u64,
    pub(crate) sent: u64,
    pub(crate) snapshots: u64,
    pub(crate) errors: u64,
    pub(crate) first_errors: Vec<String>,
}

/// A session that is being played.
#[derive(Debug)]
pub(crate) struct Session {
    /// Its place among the sessions, in order of time.
    number: usize,
    pub(crate) wire: Wire,
    pub(crate) connection: Arc<str>,
    /// Indices of its files.
    pub(crate) files: Vec<usize>,
    pub(crate) instruments: Arc<Instruments>,
    pub(crate) protocol: Box<dyn MarketProtocol>,
    pub(crate) oracle: Oracle,
    pub(crate) counters: Counters,
    /// How often each book had to be synchronized anew.
    pub(crate) resyncs: Vec<u64>,
    pub(crate) first: Timestamp,
    pub(crate) last: Timestamp,
    numbers: BTreeMap<String, (u64, u64)>,
    is_connected: bool,
    has_stood: Vec<bool>,
}

/// A session before it is played.
#[derive(Debug)]
pub(crate) struct Plan {
    wire: Wire,
    connection: Arc<str>,
    parts: Vec<Part>,
}

/// Puts the parts of all files together: a part that makes its connection begins a session, any other continues the
/// one of its wire and name before it.
pub(crate) fn plan(files: &mut [Surveyed]) -> Vec<Plan> {
    let mut parts: Vec<Part> = files.iter_mut().flat_map(|file| file.parts.drain(..)).collect();
    parts.sort_by_key(|part| (part.first, part.file));
    let mut plans: Vec<Plan> = Vec::new();
    for part in parts {
        let Some(wire) = part.wire else { continue };
        let continued = plans
            .iter_mut()
            .rev()
            .find(|plan| !part.begins && plan.wire == wire && plan.connection == part.connection);
        match continued {
            Some(plan) => plan.parts.push(part),
            None => plans.push(Plan {
                wire,
                connection: Arc::clone(&part.connection),
                parts: vec![part],
            }),
        }
    }
    plans
}

impl Plan {
    pub(crate) const fn wire(&self) -> Wire {
        self.wire
    }

    /// When its first message came.
    pub(crate) fn first(&self) -> Timestamp {
        self.parts.first().map_or(Timestamp::EPOCH, |part| part.first)
    }

    /// When its last message came.
    pub(crate) fn last(&self) -> Timestamp {
        let last = self.parts.iter().map(|part| part.last).max();
        last.unwrap_or(Timestamp::EPOCH)
    }

    /// Of which symbols it speaks.
    pub(crate) fn symbols(&self, files: &[Surveyed]) -> Vec<String> {
        symbols(self.wire, &self.parts, files)
    }

    /// Its first file.
    fn file(&self, files: &[Surveyed]) -> PathBuf {
        let first = self.parts.first();
        first
            .map(|part| files[part.file].path.clone())
            .unwrap_or_default()
    }
}

impl Session {
    pub(crate) fn new(number: usize, plan: Plan, files: &[Surveyed]) -> Result<Self, ReadError> {
        let symbols = plan.symbols(files);
        let instruments = symbols.iter().filter_map(|symbol| Text::new(symbol));
        let instruments = instruments
            .zip(0..)
            .map(|(symbol, id)| made(plan.wire, id, symbol));
        let instruments = Instruments::new(instruments.collect()).map_err(|error| ReadError::Content {
            file: plan.file(files),
            problem: error.to_string(),
        })?;
        Self::of(number, plan, files, Arc::new(instruments))
    }

    /// A session that is read as of these instruments.
    pub(crate) fn of(
        number: usize,
        plan: Plan,
        files: &[Surveyed],
        instruments: Arc<Instruments>,
    ) -> Result<Self, ReadError> {
        let file = plan.file(files);
        let Plan {
            wire,
            connection,
            parts,
        } = plan;
        let mut numbers: BTreeMap<String, (u64, u64)> = BTreeMap::new();
        for part in &parts {
            for (symbol, &(first, last)) in &part.numbers {
                let known = numbers.entry(symbol.clone()).or_insert((first, last));
                *known = (known.0.min(first), known.1.max(last));
            }
        }
        let depths: Vec<usize> = instruments
            .iter()
            .map(|instrument| depth(wire, &parts, instrument.symbol.as_str()))
            .collect();
        let protocol = wire
            .protocol(Arc::clone(&instruments), &depths)
            .map_err(|error| ReadError::Content {
                file,
                problem: error.to_string(),
            })?;
        let count = instruments.len();
        Ok(Self {
            number,
            wire,
            connection,
            files: parts.iter().map(|part| part.file).collect(),
            oracle: Oracle::new(
                wire,
                Arc::clone(&instruments),
                depths.iter().map(|&depth| wire.cut(depth)),
            ),
            instruments,
            protocol,
            counters: Counters::default(),
            resyncs: vec![0; count],
            first: parts.first().map_or(Timestamp::EPOCH, |part| part.first),
            last: parts
                .iter()
                .map(|part| part.last)
                .max()
                .unwrap_or(Timestamp::EPOCH),
            numbers,
            is_connected: false,
            has_stood: vec![false; count],
        })
    }

    /// Plays one record of the connection, or a REST answer of its file.
    pub(crate) fn play(&mut self, record: &Record, path: &Path, listener: &mut dyn Listener) {
        for kind in self.translate(record) {
            self.deliver(record, path, listener, kind);
        }
    }

    /// What the protocol hears of a record; counts it.
    pub(crate) fn translate(&mut self, record: &Record) -> impl Iterator<Item = StreamMessageKind> + use<> {
        let (mut before, mut kind) = ([None, None], None);
        match &record.kind {
            RecordKind::Connected { .. } => {
                before = [self.disconnect(DisconnectReason::Closed), Some(self.connect())];
            }
            // Others word it in their own way, or say nothing.
            RecordKind::Disconnected { reason } => {
                let reason = DisconnectReason::of_word(reason).unwrap_or(DisconnectReason::Closed);
                before = [self.disconnect(reason), None];
            }
            RecordKind::Sent(_) => self.counters.sent += 1,
            RecordKind::Received(frame) => {
                before = [(!self.is_connected).then(|| self.connect()), None];
                self.counters.frames += 1;
                self.counters.bytes += frame.len() as u64;
                kind = Some(StreamMessageKind::Frame(frame.clone()));
            }
            RecordKind::Answer { url, body } => {
                kind = self.answered(url.as_deref(), body).map(|instrument| {
                    self.counters.snapshots += 1;
                    let body = body.clone();
                    StreamMessageKind::Snapshot { instrument, body }
                });
            }
        }
        before.into_iter().flatten().chain(kind)
    }

    fn disconnect(&mut self, reason: DisconnectReason) -> Option<StreamMessageKind> {
        let was_connected = std::mem::take(&mut self.is_connected);
        was_connected.then_some(StreamMessageKind::Disconnected(reason))
    }

    fn connect(&mut self) -> StreamMessageKind {
        self.is_connected = true;
        self.counters.connects += 1;
        StreamMessageKind::Connected
    }

    fn deliver(
        &mut self,
        record: &Record,
        path: &Path,
        listener: &mut dyn Listener,
        kind: StreamMessageKind,
    ) {
        let message = StreamMessage {
            ts_received: record.at,
            kind,
        };
        let Self { protocol, oracle, .. } = self;
        let (number, wire, instruments) = (self.number, self.wire, &self.instruments);
        let result = protocol.on_message(&message, &mut |event| {
            oracle.hear(&event);
            let instrument = heard::instrument(&event).and_then(|id| instruments.get(id));
            listener.hear(&Heard {
                session: number,
                wire,
                symbol: instrument.map_or("", |instrument| instrument.symbol.as_str()),
                ts_received: record.at,
                event: &event,
                best: instrument.map_or([None; 2], |instrument| oracle.best(instrument.id)),
            });
        });
        match &message.kind {
            StreamMessageKind::Frame(frame) => {
                oracle.settle_frame(frame, result.is_err(), protocol.as_ref());
            }
            StreamMessageKind::Snapshot { instrument, body } => {
                oracle.settle_snapshot(*instrument, body, protocol.as_ref());
            }
            StreamMessageKind::Connected | StreamMessageKind::Disconnected(_) => {
                oracle.settle_silence(protocol.as_ref());
            }
        }
        if let Err(error) = result {
            self.counters.errors += 1;
            if self.counters.first_errors.len() < ERRORS_KEPT_MAX {
                let place = format!("{}:{}: {error}", path.display(), record.line);
                self.counters.first_errors.push(place);
            }
        }
        self.count_resyncs();
    }

    /// A book that stood and is asked for anew is counted once, until it stands again.
    fn count_resyncs(&mut self) {
        while let Some(id) = self.protocol.take_resync_request() {
            let at = usize::from(id.0);
            if let (Some(stood), Some(resyncs)) = (self.has_stood.get_mut(at), self.resyncs.get_mut(at))
                && std::mem::take(stood)
            {
                *resyncs += 1;
            }
        }
        for (instrument, stood) in self.instruments.iter().zip(&mut self.has_stood) {
            *stood |= self.protocol.is_synchronized(instrument.id);
        }
    }

    /// Whose book an answer tells; `None` where it tells none.
    fn answered(&self, url: Option<&str>, body: &Bytes) -> Option<InstrumentId> {
        let symbol = match reading::answer(self.wire, body)? {
            Answer::Orders(fact) => fact.symbol,
            Answer::Book(fact) => match url.and_then(symbol_in) {
                Some(symbol) => symbol.to_owned(),
                None => self.nearest(fact.numbers?.0)?.to_owned(),
            },
        };
        Some(self.instruments.by_symbol(&Text::new(&symbol)?)?.id)
    }

    /// The symbol whose update numbers a number is among, or nearest to: each symbol's book is numbered by itself, and an
    /// answer that stands in a recording without its request says nothing else.
    fn nearest(&self, number: u64) -> Option<&str> {
        let distance =
            |&(first, last): &(u64, u64)| first.saturating_sub(number).max(number.saturating_sub(last));
        let nearest = self.numbers.iter().min_by_key(|(_, range)| distance(range));
        nearest.map(|(symbol, _)| symbol.as_str())
    }
}

/// Of which symbols the parts of a session speak, by their first appearance. Where orders are told one by one, a trade is
/// told in every currency of the venue: it is of the pairs whose orders REST told, if there are any.
fn symbols(wire: Wire, parts: &[Part], files: &[Surveyed]) -> Vec<String> {
    let told = parts.iter().flat_map(|part| &files[part.file].told);
    let told: Vec<&String> = told.filter(|_| wire.is_by_order()).collect();
    let is_elsewhere = |symbol: &&String| {
        let traded = currencies(symbol).0;
        !told.contains(symbol) && told.iter().any(|told| currencies(told).0 == traded)
    };
    let spoken = parts.iter().flat_map(|part| &part.symbols);
    let mut symbols: Vec<String> = Vec::new();
    for symbol in told
        .iter()
        .copied()
        .chain(spoken.filter(|symbol| !is_elsewhere(symbol)))
    {
        if !symbols.contains(symbol) {
            symbols.push(symbol.clone());
        }
    }
    symbols
}

/// Levels a side that an instrument's book was subscribed with, in any part of its session.
fn depth(wire: Wire, parts: &[Part], symbol: &str) -> usize {
    let said = parts.iter().find_map(|part| part.depths.get(symbol).copied());
    said.unwrap_or_else(|| {
        let told = parts.iter().find_map(|part| part.snapshot_levels.get(symbol));
        reading::depth_of_snapshot(wire, told.copied().unwrap_or_default())
    })
}

/// The value of `symbol` in a request's address.
fn symbol_in(url: &str) -> Option<&str> {
    let (_, query) = url.split_once('?')?;
    query.split('&').find_map(|pair| pair.strip_prefix("symbol="))
}

/// An instrument of which only the symbol is known: enough to read its market, not to trade it.
pub(crate) fn made(wire: Wire, id: u16, symbol: Text<24>) -> Instrument {
    let (base, quote) = currencies(symbol.as_str());
    let currency = |code: &str| {
        Currency::new(code).unwrap_or_else(|| Currency::new(NO_CURRENCY).expect("a code of one letter"))
    };
    let quote = currency(quote);
    Instrument {
        id: InstrumentId(id),
        venue: wire.venue(),
        symbol,
        base: currency(base),
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
        status: InstrumentStatus::Unknown,
    }
}

fn currencies(symbol: &str) -> (&str, &str) {
    if let Some(pair) = symbol.split_once(['/', '-']) {
        return pair;
    }
    let quote = QUOTES.into_iter().find(|quote| symbol.ends_with(quote));
    quote.map_or((symbol, NO_CURRENCY), |quote| {
        (&symbol[..symbol.len() - quote.len()], quote)
    })
}

//! Markets to words and back.

use domain::{
    BookInvalidReason, Currency, InstrumentStatus, Level, Price, Quantity, Side, Text, Timestamp, TradeId,
    Venue, VenueState,
};
use thiserror::Error;

use super::{
    BookHead, BookState, CachedBook, CachedInstrument, CachedMarket, CachedTrade, CachedVenue, ClockWords,
    Depth, ENTRY_WORDS, EntryWords, LEVELS, ServiceClock,
};

/// Payload words of a book, of a trade, of a venue, of an instrument.
const BOOK_WORDS: usize = 4 + 4 * LEVELS;
const TRADE_WORDS: usize = 6;
const VENUE_WORDS: usize = 2;
const INSTRUMENT_WORDS: usize = 10;

/// First payload word of each part.
pub(super) const BOOK: usize = 0;
pub(super) const TRADE: usize = BOOK + BOOK_WORDS;
pub(super) const VENUE: usize = TRADE + TRADE_WORDS;
pub(super) const INSTRUMENT: usize = VENUE + VENUE_WORDS;
const SPARE: usize = INSTRUMENT + INSTRUMENT_WORDS;
const _: () = assert!(SPARE + 1 == ENTRY_WORDS);

/// Longest text of an entry.
const SYMBOL_BYTES: usize = 24;

/// First words of the two sides.
const BIDS: usize = BOOK + 4;
const ASKS: usize = BIDS + 2 * LEVELS;

/// Why words are not a market.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Error)]
pub enum CacheFault {
    /// A field's value is outside what it may be.
    #[error("field {field} holds {word:#018x}, which is outside its range")]
    Field {
        /// The field's name as in the description.
        field: &'static str,
        /// The word it stands in.
        word: u64,
    },
    /// Bits that no field uses are set.
    #[error("payload word {0} has bits that belong to no field")]
    Spare(usize),
    /// The levels of a side are not in order, or reach over the other side's.
    #[error("the levels of {0} are not those of a book")]
    Levels(&'static str),
}

const fn bits(value: i64) -> u64 {
    value.cast_unsigned()
}

const REASONS: [BookInvalidReason; 7] = [
    BookInvalidReason::Gap,
    BookInvalidReason::Disconnected,
    BookInvalidReason::Crossed,
    BookInvalidReason::BestLevelMismatch,
    BookInvalidReason::Stale,
    BookInvalidReason::Malformed,
    BookInvalidReason::Checksum,
];

/// State and reason.
const fn state_codes(state: BookState) -> [u8; 2] {
    match state {
        BookState::Absent => [0, 0],
        BookState::Valid => [1, 0],
        BookState::TopOnly => [2, 0],
        BookState::Invalid(reason) => {
            let code = match reason {
                BookInvalidReason::Gap => 1,
                BookInvalidReason::Disconnected => 2,
                BookInvalidReason::Crossed => 3,
                BookInvalidReason::BestLevelMismatch => 4,
                BookInvalidReason::Stale => 5,
                BookInvalidReason::Malformed => 6,
                BookInvalidReason::Checksum => 7,
            };
            [3, code]
        }
    }
}

const fn venue_code(venue: Venue) -> u8 {
    match venue {
        Venue::Binance => 1,
        Venue::BinanceUsdm => 2,
        Venue::Coinbase => 3,
        Venue::Kraken => 4,
        Venue::IndependentReserve => 5,
    }
}

const STATUSES: [InstrumentStatus; 4] = [
    InstrumentStatus::Trading,
    InstrumentStatus::CancelOnly,
    InstrumentStatus::Halted,
    InstrumentStatus::Unknown,
];

const fn status_code(status: InstrumentStatus) -> u8 {
    match status {
        InstrumentStatus::Trading => 1,
        InstrumentStatus::CancelOnly => 2,
        InstrumentStatus::Halted => 3,
        InstrumentStatus::Unknown => 4,
    }
}

/// The words of a book. Levels beyond [`LEVELS`] stay out; those of a book that is not to be believed too.
#[inline]
pub(super) fn book_words(
    head: &BookHead,
    bids: impl IntoIterator<Item = Level>,
    asks: impl IntoIterator<Item = Level>,
) -> [u64; BOOK_WORDS] {
    let mut words = [0; BOOK_WORDS];
    let [state, reason] = state_codes(head.state);
    let mut counts = [0, 0];
    if matches!(head.state, BookState::Valid | BookState::TopOnly) {
        counts[0] = side_words(&mut words[BIDS..ASKS], bids);
        counts[1] = side_words(&mut words[ASKS..], asks);
    }
    words[0] = u64::from_le_bytes([state, reason, counts[0], counts[1], 0, 0, 0, 0]);
    words[1] = bits(head.ts_event.nanos());
    words[2] = bits(head.ts_received.nanos());
    words[3] = head.update_id;
    words
}

/// How many levels were written.
#[inline]
fn side_words(words: &mut [u64], levels: impl IntoIterator<Item = Level>) -> u8 {
    let mut count = 0;
    for (cells, level) in words.as_chunks_mut::<2>().0.iter_mut().zip(levels) {
        *cells = [bits(level.price.units()), bits(level.quantity.units())];
        count += 1;
    }
    count
}

#[inline]
pub(super) fn trade_words(trade: &CachedTrade) -> [u64; TRADE_WORDS] {
    let aggressor = match trade.aggressor {
        Side::Buy => 1,
        Side::Sell => 2,
    };
    [
        aggressor,
        trade.trade_id.0,
        bits(trade.price.units()),
        bits(trade.quantity.units()),
        bits(trade.ts_event.nanos()),
        bits(trade.ts_received.nanos()),
    ]
}

pub(super) fn venue_words(venue: CachedVenue) -> [u64; VENUE_WORDS] {
    let state = match venue.state {
        None => 0,
        Some(VenueState::Online) => 1,
        Some(VenueState::Offline) => 2,
    };
    [state, bits(venue.ts_received.nanos())]
}

pub(super) fn instrument_words(instrument: &CachedInstrument) -> [u64; INSTRUMENT_WORDS] {
    let mut words = [0; INSTRUMENT_WORDS];
    let codes = [venue_code(instrument.venue), status_code(instrument.status)];
    words[0] = u64::from_le_bytes([codes[0], codes[1], 0, 0, 0, 0, 0, 0]);
    words[1] = bits(instrument.tick_size.units());
    words[2] = bits(instrument.lot_size.units());
    put_text(&mut words[3..6], instrument.symbol.as_str());
    put_text(&mut words[6..8], instrument.base.as_str());
    put_text(&mut words[8..], instrument.quote.as_str());
    words
}

fn put_text(words: &mut [u64], text: &str) {
    for (word, part) in words.iter_mut().zip(text.as_bytes().chunks(8)) {
        let mut bytes = [0; 8];
        bytes[..part.len()].copy_from_slice(part);
        *word = u64::from_le_bytes(bytes);
    }
}

impl ServiceClock {
    /// Writes the clock as words.
    #[must_use]
    pub const fn encode(&self) -> ClockWords {
        [
            bits(self.ts_service.nanos()),
            self.monotonic_ns,
            bits(self.rate_ppb),
        ]
    }

    /// Reads any words: all of them are a clock.
    #[must_use]
    pub const fn decode(words: ClockWords) -> Self {
        Self {
            ts_service: Timestamp::from_nanos(words[0].cast_signed()),
            monotonic_ns: words[1],
            rate_ppb: words[2].cast_signed(),
        }
    }
}

impl CachedMarket {
    /// Writes the market as words. It writes what it is given; [`decode`](Self::decode) judges.
    #[must_use]
    pub fn encode(&self) -> EntryWords {
        let mut words = [0; ENTRY_WORDS];
        let CachedBook { head, bids, asks } = &self.book;
        words[BOOK..TRADE].copy_from_slice(&book_words(
            head,
            bids.levels().iter().copied(),
            asks.levels().iter().copied(),
        ));
        if let Some(trade) = &self.trade {
            words[TRADE..VENUE].copy_from_slice(&trade_words(trade));
        }
        words[VENUE..INSTRUMENT].copy_from_slice(&venue_words(self.venue));
        words[INSTRUMENT..SPARE].copy_from_slice(&instrument_words(&self.instrument));
        words
    }

    /// Reads any words: a market that encodes to exactly these words again, or the reason why there is none.
    ///
    /// # Errors
    /// [`CacheFault`].
    pub fn decode(words: &EntryWords) -> Result<Self, CacheFault> {
        if words[SPARE] != 0 {
            return Err(CacheFault::Spare(SPARE));
        }
        Ok(Self {
            instrument: read_instrument(words)?,
            book: read_book(words)?,
            trade: read_trade(words)?,
            venue: read_venue(words)?,
        })
    }
}

/// The first `N` bytes of a word, whose others must be zero.
fn codes<const N: usize>(words: &EntryWords, at: usize) -> Result<[u8; N], CacheFault> {
    let bytes = words[at].to_le_bytes();
    let (used, rest) = bytes.split_at(N);
    if rest.iter().any(|byte| *byte != 0) {
        return Err(CacheFault::Spare(at));
    }
    let mut found = [0; N];
    found.copy_from_slice(used);
    Ok(found)
}

const fn refuse<T>(field: &'static str, word: u64) -> Result<T, CacheFault> {
    Err(CacheFault::Field { field, word })
}

const fn time(word: u64) -> Timestamp {
    Timestamp::from_nanos(word.cast_signed())
}

fn amount(field: &'static str, word: u64) -> Result<i64, CacheFault> {
    match word.cast_signed() {
        units @ 0.. => Ok(units),
        _ => refuse(field, word),
    }
}

fn read_book(words: &EntryWords) -> Result<CachedBook, CacheFault> {
    let [state, reason, bid_count, ask_count] = codes(words, BOOK)?;
    let found = match state {
        0 => BookState::Absent,
        1 => BookState::Valid,
        2 => BookState::TopOnly,
        3 => match REASONS.get(usize::from(reason).wrapping_sub(1)) {
            Some(reason) => BookState::Invalid(*reason),
            None => return refuse("reason", words[BOOK]),
        },
        _ => return refuse("state", words[BOOK]),
    };
    if state_codes(found) != [state, reason] {
        return refuse("reason", words[BOOK]);
    }
    let most = match found {
        BookState::Absent | BookState::Invalid(_) => 0,
        BookState::TopOnly => 1,
        BookState::Valid => LEVELS,
    };
    let bids = read_side("bids", &words[BIDS..ASKS], bid_count, most, |a, b| a > b)?;
    let asks = read_side("asks", &words[ASKS..TRADE], ask_count, most, |a, b| a < b)?;
    if let (Some(bid), Some(ask)) = (bids.levels().first(), asks.levels().first())
        && bid.price >= ask.price
    {
        return Err(CacheFault::Levels("bids and asks"));
    }
    let head = BookHead {
        state: found,
        ts_event: time(words[BOOK + 1]),
        ts_received: time(words[BOOK + 2]),
        update_id: words[BOOK + 3],
    };
    Ok(CachedBook { head, bids, asks })
}

fn read_side(
    side: &'static str,
    words: &[u64],
    count: u8,
    most: usize,
    better: impl Fn(Price, Price) -> bool,
) -> Result<Depth, CacheFault> {
    let count = usize::from(count);
    if count > most {
        return Err(CacheFault::Levels(side));
    }
    let mut depth = Depth::EMPTY;
    depth.count = count;
    for (at, [price, quantity]) in words.as_chunks::<2>().0.iter().enumerate() {
        if at >= count && [*price, *quantity] != [0, 0] {
            return Err(CacheFault::Levels(side));
        }
        depth.levels[at] = Level {
            price: Price::from_units(amount(side, *price)?),
            quantity: Quantity::from_units(amount(side, *quantity)?),
        };
    }
    let ordered = depth
        .levels()
        .is_sorted_by(|before, after| better(before.price, after.price));
    // A level of a book that holds nothing is none; a quote may be of nothing.
    let filled = most < LEVELS || depth.levels().iter().all(|level| !level.quantity.is_zero());
    if ordered && filled {
        Ok(depth)
    } else {
        Err(CacheFault::Levels(side))
    }
}

fn read_trade(words: &EntryWords) -> Result<Option<CachedTrade>, CacheFault> {
    let [aggressor] = codes(words, TRADE)?;
    let aggressor = match aggressor {
        0 if words[TRADE..VENUE].iter().all(|word| *word == 0) => return Ok(None),
        1 => Side::Buy,
        2 => Side::Sell,
        _ => return refuse("aggressor", words[TRADE]),
    };
    Ok(Some(CachedTrade {
        aggressor,
        trade_id: TradeId(words[TRADE + 1]),
        price: Price::from_units(amount("price", words[TRADE + 2])?),
        quantity: Quantity::from_units(amount("quantity", words[TRADE + 3])?),
        ts_event: time(words[TRADE + 4]),
        ts_received: time(words[TRADE + 5]),
    }))
}

fn read_venue(words: &EntryWords) -> Result<CachedVenue, CacheFault> {
    let state = match codes(words, VENUE)? {
        [0] => None,
        [1] => Some(VenueState::Online),
        [2] => Some(VenueState::Offline),
        _ => return refuse("venue_state", words[VENUE]),
    };
    Ok(CachedVenue {
        state,
        ts_received: time(words[VENUE + 1]),
    })
}

fn read_instrument(words: &EntryWords) -> Result<CachedInstrument, CacheFault> {
    let [venue, status] = codes(words, INSTRUMENT)?;
    let Some(venue) = Venue::ALL.into_iter().find(|known| venue_code(*known) == venue) else {
        return refuse("venue", words[INSTRUMENT]);
    };
    let Some(status) = STATUSES.into_iter().find(|known| status_code(*known) == status) else {
        return refuse("status", words[INSTRUMENT]);
    };
    let at = INSTRUMENT + 3;
    let currency = |field, first: usize| match text(&words[first..first + 2], Currency::new) {
        Some(currency) => Ok(currency),
        None => refuse(field, words[first]),
    };
    let Some(symbol) = text(&words[at..at + 3], Text::new) else {
        return refuse("symbol", words[at]);
    };
    Ok(CachedInstrument {
        venue,
        symbol,
        base: currency("base", at + 3)?,
        quote: currency("quote", at + 5)?,
        status,
        tick_size: Price::from_units(amount("tick_size", words[INSTRUMENT + 1])?),
        lot_size: Quantity::from_units(amount("lot_size", words[INSTRUMENT + 2])?),
    })
}

/// What `make` takes of text that is padded with zeros, and holds none.
fn text<T>(words: &[u64], make: impl FnOnce(&str) -> Option<T>) -> Option<T> {
    let mut bytes = [0; SYMBOL_BYTES];
    let cells = bytes.as_chunks_mut::<8>().0.iter_mut();
    cells
        .zip(words)
        .for_each(|(cell, word)| *cell = word.to_le_bytes());
    let len = bytes.iter().position(|byte| *byte == 0).unwrap_or(bytes.len());
    let (text, padding) = bytes.split_at(len);
    if padding.iter().any(|byte| *byte != 0) {
        return None;
    }
    std::str::from_utf8(text).ok().and_then(make)
}

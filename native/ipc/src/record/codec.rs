//! Records to words and back.

use domain::{
    Bar, ClientOrderId, Currency, Epoch, Fill, InstrumentId, Liquidity, Money, Nanos, Price, Quantity, Quote,
    Side, SlotId, Timestamp, Trade, TradeId,
};
use thiserror::Error;

use super::{
    FillRecord, MAX_FEATURES, PAYLOAD_WORDS, Payload, PositionRecord, ROW_BYTES, Record, RecordKind, Signal,
};

/// Why words are not a record.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Error)]
pub enum RecordError {
    /// No kind has this code.
    #[error("record kind {0} is unknown: allowed are 1 to 6")]
    Kind(u16),
    /// A field's value is outside what it may be.
    #[error("field {field} of a {kind:?} record holds {word:#018x}, which is outside its range")]
    Field {
        /// The record's kind.
        kind: RecordKind,
        /// The field's name as in the description.
        field: &'static str,
        /// The word it stands in.
        word: u64,
    },
    /// Bits that no field uses are set.
    #[error("payload word {word} of a {kind:?} record has bits that belong to no field")]
    Spare {
        /// The record's kind.
        kind: RecordKind,
        /// The payload word.
        word: usize,
    },
}

impl Record {
    /// Writes the record as words. It writes what it is given; [`decode`](Self::decode) judges.
    #[must_use]
    pub fn encode(&self) -> Payload {
        let mut words = [0; PAYLOAD_WORDS];
        match self {
            Self::TopOfBook { ts_received, quote } => encode_quote(&mut words, *ts_received, quote),
            Self::Trade { ts_received, trade } => encode_trade(&mut words, *ts_received, trade),
            Self::Bar {
                ts_received,
                bar,
                is_empty,
            } => encode_bar(&mut words, *ts_received, bar, *is_empty),
            Self::Signal(signal) => encode_signal(&mut words, signal),
            Self::Fill(fill) => encode_fill(&mut words, fill),
            Self::Position(position) => encode_position(&mut words, position),
        }
        words
    }

    /// Reads any words: a record that encodes to exactly these words again, or the reason why there is none.
    ///
    /// # Errors
    /// [`RecordError`].
    pub fn decode(words: &Payload) -> Result<Self, RecordError> {
        let head = words[0].to_le_bytes();
        let code = u16::from_le_bytes([head[0], head[1]]);
        let reader = |kind| Reader { words, kind };
        match code {
            1 => decode_quote(&reader(RecordKind::TopOfBook)),
            2 => decode_trade(&reader(RecordKind::Trade)),
            3 => decode_bar(&reader(RecordKind::Bar)),
            4 => decode_signal(&reader(RecordKind::Signal)),
            5 => decode_fill(&reader(RecordKind::Fill)),
            6 => decode_position(&reader(RecordKind::Position)),
            _ => Err(RecordError::Kind(code)),
        }
    }

    /// Reads a row as readers receive it: its index (in a table: its version) and the record.
    ///
    /// # Errors
    /// [`RecordError`].
    pub fn decode_row(row: &[u8; ROW_BYTES]) -> Result<(u64, Self), RecordError> {
        let mut words = [0; 1 + PAYLOAD_WORDS];
        for (word, bytes) in words.iter_mut().zip(row.as_chunks::<8>().0) {
            *word = u64::from_le_bytes(*bytes);
        }
        let [index, payload @ ..] = words;
        Ok((index, Self::decode(&payload)?))
    }
}

const TRUE: u64 = 1;
const BUY: u64 = 1;
const SELL: u64 = 2;
const MAKER: u64 = 1;
const TAKER: u64 = 2;

fn head(
    words: &mut Payload,
    kind: RecordKind,
    instrument: InstrumentId,
    slot: SlotId,
    times: [Timestamp; 2],
) {
    words[0] = u64::from(kind.code()) | u64::from(instrument.0) << 16 | u64::from(slot.0) << 32;
    words[1] = times[0].nanos().cast_unsigned();
    words[2] = times[1].nanos().cast_unsigned();
}

fn put_wide(words: &mut Payload, at: usize, value: i128) {
    let bytes = value.to_le_bytes();
    let (halves, _) = bytes.as_chunks::<8>();
    words[at] = u64::from_le_bytes(halves[0]);
    words[at + 1] = u64::from_le_bytes(halves[1]);
}

const fn side_code(side: Side) -> u64 {
    match side {
        Side::Buy => BUY,
        Side::Sell => SELL,
    }
}

fn encode_quote(words: &mut Payload, ts_received: Timestamp, quote: &Quote) {
    head(
        words,
        RecordKind::TopOfBook,
        quote.instrument,
        SlotId(0),
        [quote.ts_event, ts_received],
    );
    words[3] = quote.update_id;
    words[4] = quote.bid.units().cast_unsigned();
    words[5] = quote.bid_quantity.units().cast_unsigned();
    words[6] = quote.ask.units().cast_unsigned();
    words[7] = quote.ask_quantity.units().cast_unsigned();
}

fn encode_trade(words: &mut Payload, ts_received: Timestamp, trade: &Trade) {
    head(
        words,
        RecordKind::Trade,
        trade.instrument,
        SlotId(0),
        [trade.ts_event, ts_received],
    );
    words[3] = trade.trade_id.0;
    words[4] = trade.price.units().cast_unsigned();
    words[5] = trade.quantity.units().cast_unsigned();
    words[6] = side_code(trade.aggressor);
}

fn encode_bar(words: &mut Payload, ts_received: Timestamp, bar: &Bar, is_empty: bool) {
    head(
        words,
        RecordKind::Bar,
        bar.instrument,
        SlotId(0),
        [bar.ts_close(), ts_received],
    );
    words[3] = bar.ts_open.nanos().cast_unsigned();
    words[4] = bar.open.units().cast_unsigned();
    words[5] = bar.high.units().cast_unsigned();
    words[6] = bar.low.units().cast_unsigned();
    words[7] = bar.close.units().cast_unsigned();
    words[8] = bar.volume.units().cast_unsigned();
    words[9] = u64::from(is_empty);
}

fn encode_signal(words: &mut Payload, signal: &Signal) {
    let times = [signal.ts_event, signal.ts_received];
    head(words, RecordKind::Signal, signal.instrument, signal.slot, times);
    words[3] = u64::from(signal.score.to_bits()) | u64::from(signal.probability.to_bits()) << 32;
    words[4] = signal.bundle_prefix;
    words[5] = u64::from(signal.feature_count);
    for (word, pair) in words[6..].iter_mut().zip(signal.features.as_chunks::<2>().0) {
        *word = u64::from(pair[0].to_bits()) | u64::from(pair[1].to_bits()) << 32;
    }
}

fn encode_fill(words: &mut Payload, record: &FillRecord) {
    let FillRecord {
        client_order_id,
        fill,
        ..
    } = record;
    let times = [record.ts_event, record.ts_received];
    head(
        words,
        RecordKind::Fill,
        record.instrument,
        client_order_id.slot,
        times,
    );
    words[3] = fill.trade_id.0;
    words[4] = fill.price.units().cast_unsigned();
    words[5] = fill.quantity.units().cast_unsigned();
    words[6] = record.leaves_quantity.units().cast_unsigned();
    put_wide(words, 7, fill.fee.units());
    let currency = fill.fee.currency();
    let mut code = [0; 16];
    for (byte, letter) in code.iter_mut().zip(currency.as_str().bytes()) {
        *byte = letter;
    }
    put_wide(words, 9, i128::from_le_bytes(code));
    words[11] = u64::from(client_order_id.epoch.0) | u64::from(client_order_id.counter) << 32;
    let liquidity = match fill.liquidity {
        Liquidity::Maker => MAKER,
        Liquidity::Taker => TAKER,
    };
    words[12] = side_code(fill.side) | liquidity << 8;
}

fn encode_position(words: &mut Payload, position: &PositionRecord) {
    let times = [position.ts_event, position.ts_received];
    head(
        words,
        RecordKind::Position,
        position.instrument,
        position.slot,
        times,
    );
    words[3] = position.quantity.units().cast_unsigned();
    words[4] = position.average_entry_price.units().cast_unsigned();
    words[5] = position.mark_price.units().cast_unsigned();
    put_wide(words, 6, position.realized_pnl);
    put_wide(words, 8, position.unrealized_pnl);
    put_wide(words, 10, position.fees);
    put_wide(words, 12, position.equity);
    words[14] = u64::from(position.open_orders);
}

/// Reads fields of one kind, with the kind and the field's name in every refusal.
struct Reader<'a> {
    words: &'a Payload,
    kind: RecordKind,
}

impl Reader<'_> {
    fn refuse<T>(&self, field: &'static str, word: usize) -> Result<T, RecordError> {
        Err(RecordError::Field {
            kind: self.kind,
            field,
            word: self.words[word],
        })
    }

    /// The words from `first` on must be zero: no field uses them.
    fn unused_from(&self, first: usize) -> Result<(), RecordError> {
        match self.words[first..].iter().position(|word| *word != 0) {
            Some(offset) => Err(RecordError::Spare {
                kind: self.kind,
                word: first + offset,
            }),
            None => Ok(()),
        }
    }

    /// The two halves of a word.
    fn halves(&self, word: usize) -> [u32; 2] {
        let bytes = self.words[word].to_le_bytes();
        let (halves, _) = bytes.as_chunks::<4>();
        [u32::from_le_bytes(halves[0]), u32::from_le_bytes(halves[1])]
    }

    fn instrument_and_slot(&self) -> Result<(InstrumentId, SlotId), RecordError> {
        let bytes = self.words[0].to_le_bytes();
        let (parts, _) = bytes.as_chunks::<2>();
        let [_kind, instrument, slot, spare] = [0, 1, 2, 3].map(|part| u16::from_le_bytes(parts[part]));
        if spare != 0 {
            return Err(RecordError::Spare {
                kind: self.kind,
                word: 0,
            });
        }
        Ok((InstrumentId(instrument), SlotId(slot)))
    }

    /// The instrument of a record that belongs to no slot.
    fn instrument(&self) -> Result<InstrumentId, RecordError> {
        match self.instrument_and_slot()? {
            (instrument, SlotId(0)) => Ok(instrument),
            _ => self.refuse("slot", 0),
        }
    }

    fn time(&self, word: usize) -> Timestamp {
        Timestamp::from_nanos(self.words[word].cast_signed())
    }

    fn price(&self, field: &'static str, word: usize) -> Result<Price, RecordError> {
        let units = self.words[word].cast_signed();
        if units < 0 {
            self.refuse(field, word)
        } else {
            Ok(Price::from_units(units))
        }
    }

    fn quantity(&self, field: &'static str, word: usize) -> Result<Quantity, RecordError> {
        let units = self.words[word].cast_signed();
        if units < 0 {
            self.refuse(field, word)
        } else {
            Ok(Quantity::from_units(units))
        }
    }

    fn wide(&self, word: usize) -> i128 {
        let mut bytes = [0; 16];
        bytes[..8].copy_from_slice(&self.words[word].to_le_bytes());
        bytes[8..].copy_from_slice(&self.words[word + 1].to_le_bytes());
        i128::from_le_bytes(bytes)
    }

    fn side(&self, field: &'static str, word: usize, code: u64) -> Result<Side, RecordError> {
        match code {
            BUY => Ok(Side::Buy),
            SELL => Ok(Side::Sell),
            _ => self.refuse(field, word),
        }
    }

    fn finite(&self, field: &'static str, word: usize, half: usize) -> Result<f32, RecordError> {
        let value = f32::from_bits(self.halves(word)[half]);
        if value.is_finite() {
            Ok(value)
        } else {
            self.refuse(field, word)
        }
    }
}

fn decode_quote(read: &Reader<'_>) -> Result<Record, RecordError> {
    read.unused_from(8)?;
    let quote = Quote {
        instrument: read.instrument()?,
        ts_event: read.time(1),
        update_id: read.words[3],
        bid: read.price("bid", 4)?,
        bid_quantity: read.quantity("bid_quantity", 5)?,
        ask: read.price("ask", 6)?,
        ask_quantity: read.quantity("ask_quantity", 7)?,
    };
    Ok(Record::TopOfBook {
        ts_received: read.time(2),
        quote,
    })
}

fn decode_trade(read: &Reader<'_>) -> Result<Record, RecordError> {
    read.unused_from(7)?;
    let trade = Trade {
        instrument: read.instrument()?,
        ts_event: read.time(1),
        trade_id: TradeId(read.words[3]),
        price: read.price("price", 4)?,
        quantity: read.quantity("quantity", 5)?,
        aggressor: read.side("aggressor", 6, read.words[6])?,
    };
    Ok(Record::Trade {
        ts_received: read.time(2),
        trade,
    })
}

fn decode_bar(read: &Reader<'_>) -> Result<Record, RecordError> {
    read.unused_from(10)?;
    let (ts_open, ts_close) = (read.time(3), read.time(1));
    let span = match ts_close.nanos().checked_sub(ts_open.nanos()) {
        Some(span) if span > 0 => Nanos(span),
        _ => return read.refuse("ts_open", 3),
    };
    let bar = Bar {
        instrument: read.instrument()?,
        ts_open,
        span,
        open: read.price("open", 4)?,
        high: read.price("high", 5)?,
        low: read.price("low", 6)?,
        close: read.price("close", 7)?,
        volume: read.quantity("volume", 8)?,
    };
    if !bar.is_consistent() {
        return read.refuse("low", 6);
    }
    let is_empty = match read.words[9] {
        0 => false,
        TRUE => true,
        _ => return read.refuse("is_empty", 9),
    };
    Ok(Record::Bar {
        ts_received: read.time(2),
        bar,
        is_empty,
    })
}

fn decode_signal(read: &Reader<'_>) -> Result<Record, RecordError> {
    read.unused_from(14)?;
    let (instrument, slot) = read.instrument_and_slot()?;
    let feature_count = match u8::try_from(read.words[5]) {
        Ok(count) if usize::from(count) <= MAX_FEATURES => count,
        _ => return read.refuse("feature_count", 5),
    };
    let mut features = [0.0; MAX_FEATURES];
    for (i, feature) in features.iter_mut().enumerate() {
        *feature = read.finite("features", 6 + i / 2, i % 2)?;
        if i >= usize::from(feature_count) && feature.to_bits() != 0 {
            return read.refuse("features", 6 + i / 2);
        }
    }
    let probability = read.finite("probability", 3, 1)?;
    if !(0.0..=1.0).contains(&probability) {
        return read.refuse("probability", 3);
    }
    Ok(Record::Signal(Signal {
        slot,
        instrument,
        ts_event: read.time(1),
        ts_received: read.time(2),
        score: read.finite("score", 3, 0)?,
        probability,
        bundle_prefix: read.words[4],
        feature_count,
        features,
    }))
}

/// A currency code, padded with zeros.
fn currency(read: &Reader<'_>, word: usize) -> Result<Currency, RecordError> {
    let bytes = read.wide(word).to_le_bytes();
    let len = bytes.iter().position(|byte| *byte == 0).unwrap_or(bytes.len());
    let (code, padding) = bytes.split_at(len);
    let known = std::str::from_utf8(code).ok().and_then(Currency::new);
    match known {
        Some(currency) if padding.iter().all(|byte| *byte == 0) => Ok(currency),
        _ => read.refuse("fee_currency", word),
    }
}

fn decode_fill(read: &Reader<'_>) -> Result<Record, RecordError> {
    read.unused_from(13)?;
    let (instrument, slot) = read.instrument_and_slot()?;
    let [epoch, counter] = read.halves(11);
    let codes = read.words[12];
    let liquidity = match codes >> 8 {
        MAKER => Liquidity::Maker,
        TAKER => Liquidity::Taker,
        _ => return read.refuse("liquidity", 12),
    };
    let fill = Fill {
        trade_id: TradeId(read.words[3]),
        price: read.price("price", 4)?,
        quantity: read.quantity("quantity", 5)?,
        side: read.side("side", 12, codes & 0xff)?,
        fee: Money::from_units(read.wide(7), currency(read, 9)?),
        liquidity,
    };
    Ok(Record::Fill(FillRecord {
        instrument,
        ts_event: read.time(1),
        ts_received: read.time(2),
        client_order_id: ClientOrderId {
            epoch: Epoch(epoch),
            slot,
            counter,
        },
        fill,
        leaves_quantity: read.quantity("leaves_quantity", 6)?,
    }))
}

fn decode_position(read: &Reader<'_>) -> Result<Record, RecordError> {
    let (instrument, slot) = read.instrument_and_slot()?;
    let Ok(open_orders) = u32::try_from(read.words[14]) else {
        return read.refuse("open_orders", 14);
    };
    Ok(Record::Position(PositionRecord {
        slot,
        instrument,
        ts_event: read.time(1),
        ts_received: read.time(2),
        quantity: Quantity::from_units(read.words[3].cast_signed()),
        average_entry_price: read.price("average_entry_price", 4)?,
        mark_price: read.price("mark_price", 5)?,
        realized_pnl: read.wide(6),
        unrealized_pnl: read.wide(8),
        fees: read.wide(10),
        equity: read.wide(12),
        open_orders,
    }))
}

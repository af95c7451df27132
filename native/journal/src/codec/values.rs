//! Names, amounts, times, instruments and what markets tell.

use domain::{
    Bar, BookInvalid, BookInvalidReason, BookUpdateKind, BundleDigest, ClientOrderId, Currency, Decimal,
    Epoch, Instrument, InstrumentId, InstrumentRules, InstrumentStatus, Level, Money, Nanos, Number, Price,
    Quantity, Quote, RuleViolation, Side, SlotId, Text, Timestamp, Trade, TradeId, Venue, VenueOrderId,
    VenueState, VenueStatus,
};

use super::CodecError;
use super::bytes::{Codec, Input, fields, variants, wraps};

wraps!(
    InstrumentId,
    SlotId,
    Epoch,
    TradeId,
    VenueOrderId,
    BundleDigest,
    Nanos
);

/// An integer behind a constructor.
macro_rules! units {
    ($($type:ident: $from:ident, $to:ident);* $(;)?) => {$(
        impl Codec for $type {
            fn put(&self, out: &mut Vec<u8>) {
                self.$to().put(out);
            }

            fn get(input: &mut Input<'_>) -> Result<Self, CodecError> {
                Codec::get(input).map(Self::$from)
            }
        }
    )*};
}

units! {
    Price: from_units, units;
    Quantity: from_units, units;
    Decimal: from_units, units;
    Timestamp: from_nanos, nanos;
}

impl Codec for Number {
    fn put(&self, out: &mut Vec<u8>) {
        self.bits().put(out);
    }

    fn get(input: &mut Input<'_>) -> Result<Self, CodecError> {
        let bits = u64::get(input)?;
        Self::from_bits(bits).ok_or(CodecError::Number(bits))
    }
}

fn put_short_text(text: &str, out: &mut Vec<u8>) {
    out.push(u8::try_from(text.len()).unwrap_or(u8::MAX));
    out.extend_from_slice(text.as_bytes());
}

fn get_short_text<'a>(input: &mut Input<'a>) -> Option<&'a str> {
    let len = u8::get(input).ok()?;
    std::str::from_utf8(input.slice(usize::from(len)).ok()?).ok()
}

impl<const N: usize> Codec for Text<N> {
    fn put(&self, out: &mut Vec<u8>) {
        put_short_text(self.as_str(), out);
    }

    fn get(input: &mut Input<'_>) -> Result<Self, CodecError> {
        get_short_text(input)
            .and_then(Self::new)
            .ok_or(CodecError::Text("text"))
    }
}

impl Codec for Currency {
    fn put(&self, out: &mut Vec<u8>) {
        put_short_text(self.as_str(), out);
    }

    fn get(input: &mut Input<'_>) -> Result<Self, CodecError> {
        get_short_text(input)
            .and_then(Self::new)
            .ok_or(CodecError::Text("currency"))
    }
}

impl Codec for Money {
    fn put(&self, out: &mut Vec<u8>) {
        self.units().put(out);
        self.currency().put(out);
    }

    fn get(input: &mut Input<'_>) -> Result<Self, CodecError> {
        let units = Codec::get(input)?;
        Ok(Self::from_units(units, Codec::get(input)?))
    }
}

fields!(ClientOrderId { epoch, slot, counter });

variants!(Side, "side" { 1 => Buy, 2 => Sell });
variants!(Venue, "venue" { 1 => Binance, 2 => BinanceUsdm, 3 => Coinbase, 4 => Kraken, 5 => IndependentReserve });
variants!(VenueState, "venue state" { 1 => Online, 2 => Offline });
variants!(InstrumentStatus, "instrument status" { 1 => Trading, 2 => CancelOnly, 3 => Halted, 4 => Unknown });
variants!(BookUpdateKind, "book update" { 1 => Snapshot, 2 => Delta });
variants!(BookInvalidReason, "reason why a book is invalid" {
    1 => Gap,
    2 => Disconnected,
    3 => Crossed,
    4 => BestLevelMismatch,
    5 => Stale,
    6 => Malformed,
    7 => Checksum,
});
variants!(RuleViolation, "rule of a venue" {
    1 => NotTrading(status),
    2 => TickSize(price, tick),
    3 => PriceRange(price, lowest, highest),
    4 => LotSize(quantity, lot),
    5 => QuantityRange(quantity, smallest, largest),
    6 => MinNotional(notional, smallest),
    7 => PriceMissing,
});

fields!(InstrumentRules {
    tick_size,
    lot_size,
    min_price,
    max_price,
    min_quantity,
    max_quantity,
    min_notional,
});
fields!(Instrument {
    id,
    venue,
    symbol,
    base,
    quote,
    rules,
    status,
});
fields!(Level { price, quantity });
fields!(BookInvalid { instrument, reason });
fields!(VenueStatus { venue, state });
fields!(Trade {
    instrument,
    ts_event,
    trade_id,
    price,
    quantity,
    aggressor,
});
fields!(Quote {
    instrument,
    ts_event,
    update_id,
    bid,
    bid_quantity,
    ask,
    ask_quantity,
});
fields!(Bar {
    instrument,
    ts_open,
    span,
    open,
    high,
    low,
    close,
    volume,
});

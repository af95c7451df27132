//! The engine's inputs.

use domain::{BookUpdate, Level, MarketEvent};
use engine::{
    BundleActivated, Compared, Difference, EventBody, JournalHealth, Movement, MovementId, MovementKind,
    OrphanRule, StandingOrder, TimerId, VenuePosition,
};

use super::bytes::{Codec, Input, fields, get_count, put_list, variants, wraps};
use super::{CodecError, Format};

wraps!(TimerId, MovementId);
variants!(JournalHealth, "health of the journal" { 1 => Healthy, 2 => Lagging });
fields!(BundleActivated {
    slot,
    digest,
    serial,
    expires,
});
fields!(VenuePosition { instrument, quantity });
fields!(Compared { venue, through });
variants!(OrphanRule, "rule for orphans" { 1 => Cancel, 2 => Adopt });
fields!(StandingOrder {
    venue_order_id,
    instrument,
    side,
    price,
    quantity,
    filled,
});
variants!(MovementKind, "movement" { 1 => Trade { instrument, fill }, 2 => Transfer(amount), 3 => Rounding(amount) });
fields!(Movement {
    id,
    venue,
    ts_event,
    kind,
});
variants!(Difference, "difference" {
    1 => Orphan { client_order_id, order, rule },
    2 => ForeignOrder(order),
    3 => Movement(movement),
});

const STARTED: u8 = 1;
const MARKET: u8 = 2;
const HISTORICAL_BAR: u8 = 3;
const TRADES_COMPLETE: u8 = 4;
const ORDER_REPORT: u8 = 5;
const BALANCE: u8 = 6;
const VENUE_POSITION: u8 = 7;
const RECONCILED: u8 = 8;
const TIMER: u8 = 9;
const COMMAND: u8 = 10;
const BUNDLE_ACTIVATED: u8 = 11;
const JOURNAL_HEALTH: u8 = 12;
const SLOT_CAPITAL: u8 = 13;
const ENDING: u8 = 14;
const DIFFERENCE: u8 = 15;
const COMPARED: u8 = 16;

const BOOK: u8 = 1;
const BOOK_INVALID: u8 = 2;
const TRADE: u8 = 3;
const QUOTE: u8 = 4;
const INSTRUMENT_UPDATED: u8 = 5;
const VENUE_STATUS: u8 = 6;

/// Bytes of one level.
const LEVEL_BYTES: usize = 16;

/// Where a decoded book update keeps its levels: made once, used for every event.
#[derive(Debug, Default)]
pub struct LevelScratch {
    bids: Vec<Level>,
    asks: Vec<Level>,
}

impl LevelScratch {
    /// Room for updates of `levels` levels on each side; a deeper one makes it grow.
    #[must_use]
    pub fn with_capacity(levels: usize) -> Self {
        Self {
            bids: Vec::with_capacity(levels),
            asks: Vec::with_capacity(levels),
        }
    }
}

/// Appends what an event says to `out`, in [`Format::CURRENT`]. Its number and time stand in the record's frame.
pub fn encode_event(body: &EventBody<'_>, out: &mut Vec<u8>) {
    match body {
        EventBody::Started { epoch } => put(out, STARTED, epoch),
        EventBody::Ending => out.push(ENDING),
        EventBody::Market(market) => {
            out.push(MARKET);
            put_market(market, out);
        }
        EventBody::HistoricalBar(bar) => put(out, HISTORICAL_BAR, bar),
        EventBody::TradesComplete { instrument, since } => {
            put(out, TRADES_COMPLETE, instrument);
            since.put(out);
        }
        EventBody::OrderReport(report) => put(out, ORDER_REPORT, report),
        EventBody::Balance { venue, balance } => {
            put(out, BALANCE, venue);
            balance.put(out);
        }
        EventBody::VenuePosition(position) => put(out, VENUE_POSITION, position),
        EventBody::Reconciled { venue } => put(out, RECONCILED, venue),
        EventBody::Timer(timer) => put(out, TIMER, timer),
        EventBody::Command(command) => put(out, COMMAND, command),
        EventBody::BundleActivated(activation) => put(out, BUNDLE_ACTIVATED, activation),
        EventBody::JournalHealth(health) => put(out, JOURNAL_HEALTH, health),
        EventBody::SlotCapital { slot, capital } => {
            put(out, SLOT_CAPITAL, slot);
            capital.put(out);
        }
        EventBody::Difference(difference) => put(out, DIFFERENCE, difference),
        EventBody::Compared(compared) => put(out, COMPARED, compared),
    }
}

fn put(out: &mut Vec<u8>, tag: u8, value: &impl Codec) {
    out.push(tag);
    value.put(out);
}

fn put_market(market: &MarketEvent<'_>, out: &mut Vec<u8>) {
    match market {
        MarketEvent::Book(update) => {
            let BookUpdate {
                instrument,
                ts_event,
                kind,
                update_id,
                bids,
                asks,
            } = update;
            put(out, BOOK, instrument);
            ts_event.put(out);
            kind.put(out);
            update_id.put(out);
            out.reserve((bids.len() + asks.len()) * LEVEL_BYTES);
            put_list(bids, out);
            put_list(asks, out);
        }
        MarketEvent::BookInvalid(invalid) => put(out, BOOK_INVALID, invalid),
        MarketEvent::Trade(trade) => put(out, TRADE, trade),
        MarketEvent::Quote(quote) => put(out, QUOTE, quote),
        MarketEvent::InstrumentUpdated(instrument) => put(out, INSTRUMENT_UPDATED, instrument),
        MarketEvent::VenueStatus(status) => put(out, VENUE_STATUS, status),
    }
}

/// Reads what [`encode_event`] wrote. The levels of a book update lie in `scratch`; once that has grown to the deepest
/// update, nothing allocates.
///
/// # Errors
/// Every [`CodecError`] but [`CodecError::Format`].
///
/// ```
/// use engine::{EventBody, TimerId};
/// use journal::codec::{Format, LevelScratch, decode_event, encode_event};
/// let mut payload = Vec::new();
/// encode_event(&EventBody::Timer(TimerId(258)), &mut payload);
/// assert_eq!(payload, [9, 2, 1, 0, 0, 0, 0, 0, 0]);
/// let mut scratch = LevelScratch::default();
/// let body = decode_event(Format::V1, &payload, &mut scratch)?;
/// assert_eq!(body, EventBody::Timer(TimerId(258)));
/// # Ok::<(), journal::codec::CodecError>(())
/// ```
pub fn decode_event<'s>(
    format: Format,
    payload: &[u8],
    scratch: &'s mut LevelScratch,
) -> Result<EventBody<'s>, CodecError> {
    let Format::V1 = format;
    let mut input = Input::new(payload);
    let body = get_body(&mut input, scratch)?;
    input.finish()?;
    Ok(body)
}

fn get_body<'s>(input: &mut Input<'_>, scratch: &'s mut LevelScratch) -> Result<EventBody<'s>, CodecError> {
    Ok(match u8::get(input)? {
        STARTED => EventBody::Started {
            epoch: Codec::get(input)?,
        },
        ENDING => EventBody::Ending,
        MARKET => EventBody::Market(get_market(input, scratch)?),
        HISTORICAL_BAR => EventBody::HistoricalBar(Codec::get(input)?),
        TRADES_COMPLETE => EventBody::TradesComplete {
            instrument: Codec::get(input)?,
            since: Codec::get(input)?,
        },
        ORDER_REPORT => EventBody::OrderReport(Codec::get(input)?),
        BALANCE => EventBody::Balance {
            venue: Codec::get(input)?,
            balance: Codec::get(input)?,
        },
        VENUE_POSITION => EventBody::VenuePosition(Codec::get(input)?),
        RECONCILED => EventBody::Reconciled {
            venue: Codec::get(input)?,
        },
        TIMER => EventBody::Timer(Codec::get(input)?),
        COMMAND => EventBody::Command(Codec::get(input)?),
        BUNDLE_ACTIVATED => EventBody::BundleActivated(Codec::get(input)?),
        JOURNAL_HEALTH => EventBody::JournalHealth(Codec::get(input)?),
        SLOT_CAPITAL => EventBody::SlotCapital {
            slot: Codec::get(input)?,
            capital: Codec::get(input)?,
        },
        DIFFERENCE => EventBody::Difference(Codec::get(input)?),
        COMPARED => EventBody::Compared(Codec::get(input)?),
        tag => return Err(CodecError::Tag { what: "event", tag }),
    })
}

fn get_market<'s>(
    input: &mut Input<'_>,
    scratch: &'s mut LevelScratch,
) -> Result<MarketEvent<'s>, CodecError> {
    Ok(match u8::get(input)? {
        BOOK => {
            let (instrument, ts_event) = (Codec::get(input)?, Codec::get(input)?);
            let (kind, update_id) = (Codec::get(input)?, Codec::get(input)?);
            get_levels(input, &mut scratch.bids)?;
            get_levels(input, &mut scratch.asks)?;
            MarketEvent::Book(BookUpdate {
                instrument,
                ts_event,
                kind,
                update_id,
                bids: &scratch.bids,
                asks: &scratch.asks,
            })
        }
        BOOK_INVALID => MarketEvent::BookInvalid(Codec::get(input)?),
        TRADE => MarketEvent::Trade(Codec::get(input)?),
        QUOTE => MarketEvent::Quote(Codec::get(input)?),
        INSTRUMENT_UPDATED => MarketEvent::InstrumentUpdated(Codec::get(input)?),
        VENUE_STATUS => MarketEvent::VenueStatus(Codec::get(input)?),
        tag => {
            return Err(CodecError::Tag {
                what: "market event",
                tag,
            });
        }
    })
}

fn get_levels(input: &mut Input<'_>, levels: &mut Vec<Level>) -> Result<(), CodecError> {
    // The bound is what the payload can still hold, so a forged count reserves nothing beyond it.
    let count = get_count(input, "levels", input.left() / LEVEL_BYTES)?;
    levels.clear();
    levels.reserve(count);
    for _ in 0..count {
        levels.push(Codec::get(input)?);
    }
    Ok(())
}

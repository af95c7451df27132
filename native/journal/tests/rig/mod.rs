//! What the tests of the journal as a whole share: a run header, and events and actions by number.

#![allow(
    dead_code,
    unreachable_pub,
    clippy::unwrap_used,
    reason = "each test file uses its own part, and a test that cannot go on may panic"
)]

use std::path::Path;

use domain::{
    BookUpdate, BookUpdateKind, CancelRequest, ClientOrderId, Currency, Decimal, Epoch, Instrument,
    InstrumentId, InstrumentRules, InstrumentStatus, Level, MarketEvent, Money, Nanos, Price, Quantity,
    Quote, SlotId, Text, Timestamp, Venue,
};
use engine::risk::RiskLimits;
use engine::{
    Action, CarriedState, Command, CommandId, CommandKind, EngineConfig, Event, EventBody, Scope, SlotConfig,
    TimerId,
};
use journal::{ConfigText, JournalError, Reader, RecordBody, Room, RunHeader, Writer, WriterOptions};

pub const START: Timestamp = Timestamp::from_nanos(1_000);

/// Small segments, so that a short journal has several.
pub const SMALL: WriterOptions = WriterOptions {
    segment_bytes_max: 4_096,
    reserve_bytes: 8_192,
};

pub fn header(epoch: u32) -> RunHeader {
    let usdt = Currency::new("USDT").unwrap();
    let money = Money::from_decimal_units(1_000_000_000_000, usdt);
    RunHeader {
        binary_version: "0.1.0".to_owned(),
        run_id: "test".to_owned(),
        config: EngineConfig {
            epoch: Epoch(epoch),
            portfolio_currency: usdt,
            instruments: vec![Instrument {
                id: InstrumentId(0),
                venue: Venue::Binance,
                symbol: Text::new("BTCUSDT").unwrap(),
                base: Currency::new("BTC").unwrap(),
                quote: usdt,
                rules: InstrumentRules {
                    tick_size: Price::from_units(1),
                    lot_size: Quantity::from_units(1),
                    min_price: Price::ZERO,
                    max_price: Price::ZERO,
                    min_quantity: Quantity::ZERO,
                    max_quantity: Quantity::ZERO,
                    min_notional: Money::zero(usdt),
                },
                status: InstrumentStatus::Trading,
            }],
            slots: vec![SlotConfig {
                slot: SlotId(0),
                instrument: InstrumentId(0),
                capital: money,
            }],
            limits: RiskLimits {
                max_position_usd: money,
                max_portfolio_concentration: Decimal::ONE,
                max_leverage: Decimal::ONE,
                var_limit_1d_95: money,
                max_drawdown_pct: Decimal::ONE,
                max_order_size_usd: money,
                max_order_rate_per_min: 10,
                margin_buffer: Decimal::ZERO,
                margin_call_threshold: Decimal::ZERO,
                price_collar_bps: 100,
                duplicate_window: Nanos(0),
                repeated_execution_limit: 10,
                repeated_execution_window: Nanos::from_secs(1),
                max_data_age: Nanos::from_secs(1),
            },
            bar_span: Nanos::from_secs(60),
            bar_close_grace: Nanos(0),
            order_ack_timeout: Nanos::from_secs(5),
            require_reconciliation: false,
            carried: CarriedState::default(),
        },
        texts: vec![ConfigText {
            name: "paper.toml".to_owned(),
            text: "stage = \"paper\"\n".to_owned(),
        }],
    }
}

fn units(seq: u64) -> i64 {
    i64::try_from(seq).unwrap()
}

/// Levels of the deepest event.
const DEPTH: usize = 2_000;

/// How deep the book of the event with this number is. A few are so deep that their record spans many pages: a kill may
/// come in the middle of writing it.
fn depth(seq: u64) -> usize {
    let shallow = usize::try_from(seq % 8).unwrap();
    if seq % 128 == 98 { DEPTH } else { shallow }
}

/// The levels that the event with this number needs.
pub fn levels(seq: u64) -> Vec<Level> {
    let level = |at| Level {
        price: Price::from_units(units(seq) + i64::try_from(at).unwrap()),
        quantity: Quantity::from_units(units(seq)),
    };
    (0..depth(seq)).map(level).collect()
}

/// The event with this number: every kind of payload length there is, in turn.
pub fn event(seq: u64, levels: &[Level]) -> Event<'_> {
    let instrument = InstrumentId(0);
    let ts = Timestamp::from_nanos(START.nanos() + units(seq) * 1_000);
    let body = match seq % 4 {
        0 => EventBody::Market(MarketEvent::Quote(Quote {
            instrument,
            ts_event: ts,
            update_id: seq,
            bid: Price::from_units(units(seq)),
            bid_quantity: Quantity::from_units(1),
            ask: Price::from_units(units(seq) + 1),
            ask_quantity: Quantity::from_units(2),
        })),
        1 => EventBody::Timer(TimerId(seq)),
        2 => EventBody::Market(MarketEvent::Book(BookUpdate {
            instrument,
            ts_event: ts,
            kind: BookUpdateKind::Delta,
            update_id: seq,
            bids: levels,
            asks: &levels[levels.len() / 2..],
        })),
        _ => EventBody::Command(Command {
            id: CommandId(seq),
            kind: CommandKind::Kill(Scope::All),
        }),
    };
    Event { seq, ts, body }
}

/// What the engine is taken to have made of the event with this number: two cancels of every third.
pub fn actions(seq: u64) -> Vec<Action> {
    if !seq.is_multiple_of(3) {
        return Vec::new();
    }
    let cancel = |counter| {
        Action::Cancel(CancelRequest {
            client_order_id: ClientOrderId {
                epoch: Epoch(1),
                slot: SlotId(0),
                counter,
            },
            instrument: InstrumentId(0),
        })
    };
    let counter = u32::try_from(seq).unwrap();
    vec![cancel(counter), cancel(counter + 1)]
}

/// Records the next event and its actions.
pub fn append(writer: &mut Writer, room: Room) -> Result<u64, JournalError> {
    let seq = writer.next_event();
    let levels = levels(seq);
    let event = event(seq, &levels);
    writer.append_event(&event, room)?;
    writer.append_actions(event.ts, &actions(seq), room)?;
    Ok(seq)
}

/// A journal of so many events.
pub fn write(dir: &Path, options: WriterOptions, events: u64) {
    let (mut writer, mut syncer) = Writer::create(dir, options, &header(1), START).unwrap();
    for _ in 0..events {
        append(&mut writer, Room::Ordinary).unwrap();
    }
    syncer.sync().unwrap();
}

/// What is in a journal, each record proven to be what this file writes.
#[derive(Debug, Default, PartialEq, Eq, Clone, Copy)]
pub struct Content {
    pub records: u64,
    pub events: u64,
    pub actions: u64,
    pub headers: u64,
    /// Segment and offset behind the last record's front.
    pub last: (u32, u64),
}

pub fn read(dir: &Path) -> Result<(Content, Option<journal::TornTail>), JournalError> {
    let mut reader = Reader::open(dir)?;
    let content = read_on(&mut reader, Content::default())?;
    Ok((content, reader.torn()))
}

pub fn read_on(reader: &mut Reader, mut content: Content) -> Result<Content, JournalError> {
    let mut expected: Vec<u8> = Vec::new();
    while let Some(record) = reader.next_record()? {
        assert_eq!(record.seq, content.records);
        content.records += 1;
        content.last = (record.segment, record.offset);
        match record.body {
            RecordBody::Header(found) => {
                content.headers += 1;
                assert_eq!(*found, header(u32::try_from(content.headers).unwrap()));
            }
            RecordBody::Event(found) => {
                content.events += 1;
                // The actions of the event before may be missing: its writer died.
                expected.clear();
                let levels = levels(content.events);
                assert_eq!(found, event(content.events, &levels));
            }
            RecordBody::Action => {
                let second = usize::from(!expected.is_empty());
                expected.clear();
                let action = &actions(content.events)[second];
                journal::codec::encode_action(action, &mut expected);
                assert_eq!(record.payload, expected);
                content.actions += 1;
                if second == 1 {
                    expected.clear();
                }
            }
        }
    }
    Ok(content)
}

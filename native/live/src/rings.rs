//! What other processes of this user may see, in shared memory: written as it happens, waiting for nobody.
//!
//! | segment | holds |
//! |---|---|
//! | `market` | ring of everything: best prices, trades, bars, signals, fills, positions |
//! | `account` | ring of signals, fills and positions only: much less passes, so a reader may be away much longer |
//! | `positions` | table: the latest position of each slot, in the order of the slots |
//! | `market_cache` | the latest book, trade and venue state of each instrument: [`crate::market_cache`] |

use domain::{Instrument, MarketEvent, Price, Quantity, Timestamp};
use engine::probe::Probe;
use engine::{Action, BookedFill, Engine, EventBody, PositionUpdate, Signal, SlotSnapshot};
use ipc::IpcError;
use ipc::record::{FillRecord, MAX_FEATURES, PositionRecord, Record, Signal as SignalRecord};
use ipc::ring_buffer::RingWriter;
use ipc::seqlock::TableWriter;
use ipc::shared_memory::SegmentRegistry;
use tracing::warn;

use crate::market_cache::MarketCache;

/// Name of the ring of everything.
pub const MARKET: &str = "market";
/// Name of the ring of what concerns our account.
pub const ACCOUNT: &str = "account";
/// Name of the table of positions.
pub const POSITIONS: &str = "positions";

/// The writing ends.
#[derive(Debug)]
pub(crate) struct Rings {
    market: RingWriter,
    account: RingWriter,
    positions: TableWriter,
    latest: MarketCache,
}

impl Rings {
    /// Makes the segments of a life and offers them.
    pub(crate) fn create<'a>(
        records: u32,
        slots: usize,
        instruments: impl IntoIterator<Item = &'a Instrument>,
        epoch: u64,
        registry: &SegmentRegistry,
    ) -> Result<Self, IpcError> {
        let rings = Self {
            market: RingWriter::create(MARKET, u64::from(records), epoch)?,
            account: RingWriter::create(ACCOUNT, u64::from(records), epoch)?,
            positions: TableWriter::create(POSITIONS, slots as u64, epoch)?,
            latest: MarketCache::create(instruments, epoch, registry)?,
        };
        rings.market.offer(registry)?;
        rings.account.offer(registry)?;
        rings.positions.offer(registry)?;
        if let Err(error) = rings.market.lock_in_memory() {
            warn!(%error, "the ring may be paged out: raise RLIMIT_MEMLOCK for steady latencies");
        }
        Ok(rings)
    }

    /// Says that the service is at work; its clock says `now` and runs at `rate_ppb` of the wall's.
    pub(crate) fn heartbeat(&mut self, now: Timestamp, rate_ppb: i64) {
        self.market.heartbeat();
        self.account.heartbeat();
        self.positions.heartbeat();
        self.latest.heartbeat(now, rate_ppb);
    }

    /// Shows an input that the engine has taken in.
    pub(crate) fn show_event<P: Probe>(
        &mut self,
        ts_received: Timestamp,
        body: &EventBody<'_>,
        engine: &Engine<P>,
    ) {
        self.latest.show(ts_received, body, engine);
        let record = match *body {
            EventBody::Market(MarketEvent::Trade(trade)) => Record::Trade { ts_received, trade },
            EventBody::Market(MarketEvent::Quote(quote)) => Record::TopOfBook { ts_received, quote },
            _ => return,
        };
        self.market.publish(&record);
    }

    /// Shows an output of the engine.
    pub(crate) fn show_action<P: Probe>(
        &mut self,
        ts_received: Timestamp,
        action: &Action,
        engine: &Engine<P>,
    ) {
        match action {
            Action::BarClosed(bar) => {
                let is_empty = bar.volume == Quantity::ZERO;
                self.market.publish(&Record::Bar {
                    ts_received,
                    bar: *bar,
                    is_empty,
                });
            }
            Action::Signal(signal) => {
                let slot = engine.slots().find(|slot| slot.slot == signal.slot);
                if let Some(record) = signal_record(ts_received, signal, slot.as_ref()) {
                    self.show(&record);
                }
            }
            Action::Fill(fill) => {
                if let Some(record) = fill_record(ts_received, fill, engine) {
                    self.show(&record);
                }
            }
            Action::Position(position) => {
                let Some((place, slot)) = engine
                    .slots()
                    .enumerate()
                    .find(|(_, slot)| slot.slot == position.slot)
                else {
                    return;
                };
                let record = position_record(ts_received, position, &slot);
                self.show(&record);
                // There is an entry for each slot.
                let _ = self.positions.write(place, &record);
            }
            _ => {}
        }
    }

    fn show(&mut self, record: &Record) {
        self.market.publish(record);
        self.account.publish(record);
    }
}

/// `None` for a score that no reader could use; the engine raises an alert about it.
fn signal_record(ts_received: Timestamp, signal: &Signal, slot: Option<&SlotSnapshot>) -> Option<Record> {
    let values = signal.features.as_slice();
    let shown = &values[..values.len().min(MAX_FEATURES)];
    let finite = shown.iter().chain([&signal.raw_score, &signal.probability]);
    if !finite.into_iter().all(|value| value.is_finite()) {
        return None;
    }
    let mut features = [0.0; MAX_FEATURES];
    features[..shown.len()].copy_from_slice(shown);
    let digest = slot
        .and_then(|slot| slot.active)
        .map_or([0; 32], |digest| digest.0);
    let (prefix, _) = digest.split_first_chunk()?;
    Some(Record::Signal(SignalRecord {
        slot: signal.slot,
        instrument: signal.instrument,
        ts_event: signal.ts_close,
        ts_received,
        score: signal.raw_score,
        probability: signal.probability,
        bundle_prefix: u64::from_be_bytes(*prefix),
        feature_count: u8::try_from(shown.len()).ok()?,
        features,
    }))
}

/// `None` for a fill that no order of ours explains: it shows in the position.
fn fill_record<P: Probe>(ts_received: Timestamp, fill: &BookedFill, engine: &Engine<P>) -> Option<Record> {
    let client_order_id = fill.client_order_id?;
    let left = engine.order(client_order_id).map(|order| {
        let units = order
            .request
            .quantity
            .units()
            .saturating_sub(order.filled.units());
        Quantity::from_units(units.max(0))
    });
    Some(Record::Fill(FillRecord {
        instrument: fill.instrument,
        ts_event: fill.ts_event,
        ts_received,
        client_order_id,
        fill: fill.fill,
        leaves_quantity: left.unwrap_or(Quantity::ZERO),
    }))
}

fn position_record(ts_received: Timestamp, position: &PositionUpdate, slot: &SlotSnapshot) -> Record {
    Record::Position(PositionRecord {
        slot: position.slot,
        instrument: position.instrument,
        ts_event: ts_received,
        ts_received,
        quantity: position.quantity,
        average_entry_price: average(position),
        mark_price: position.mark,
        realized_pnl: position.realized.units(),
        unrealized_pnl: position.unrealized.units(),
        fees: position.fees.units(),
        equity: slot.equity.units(),
        open_orders: u32::from(slot.working_orders),
    })
}

/// Cost over quantity, rounded toward zero; zero when flat.
fn average(position: &PositionUpdate) -> Price {
    let quantity = i128::from(position.quantity.units());
    // Cost is in 1e-16, quantity in 1e-8: their quotient is in 1e-8.
    let units = position.cost.units().checked_div(quantity).unwrap_or(0);
    Price::from_units(i64::try_from(units).unwrap_or(i64::MAX))
}

#[cfg(test)]
mod tests {
    use domain::{Currency, InstrumentId, Money, SCALE, SlotId};

    use super::*;

    fn position(quantity: i64, cost: i128) -> PositionUpdate {
        let usdt = Currency::new("USDT").unwrap();
        let money = |units| Money::from_units(units, usdt);
        PositionUpdate {
            slot: SlotId(1),
            instrument: InstrumentId(0),
            quantity: Quantity::from_units(quantity),
            cost: money(cost),
            realized: money(0),
            unrealized: money(0),
            fees: money(0),
            mark: Price::from_units(1),
        }
    }

    #[test]
    fn the_average_is_a_price_and_zero_when_flat() {
        let scale = i128::from(SCALE);
        // Half a coin for 21,500.25.
        let held = position(SCALE / 2, 2_150_025 * scale * scale / 100);
        assert_eq!(average(&held), Price::parse(b"43000.5").unwrap());
        assert_eq!(average(&position(0, 0)), Price::ZERO);
        assert_eq!(
            average(&position(-SCALE, -7 * scale * scale)),
            Price::from_units(7 * SCALE)
        );
    }
}

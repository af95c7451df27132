//! The gateway in this process: orders meet `simulation` instead of a venue, everything else is as always.
//!
//! The market is the venue's own public data. Orders take the one way (egress, desk, gateway), and what becomes of them
//! comes back over the account's protocol, recorded like any venue's word. The simulated venue lives on the engine's
//! time: it hears each market event when the engine does and each request when egress hands it over, so what it fills
//! follows from the record alone.

mod connector;
mod gateway;

use std::collections::{BTreeMap, BTreeSet, VecDeque};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

use bytes::Bytes;
use config::{ServiceConfig, SimulatedConfig};
use domain::{
    CancelRequest, ClientOrderId, Currency, Epoch, Instrument, InstrumentId, MarketEvent, OrderRequest,
    Timestamp,
};
use engine::EngineConfig;
use journal::Scale;
use simulation::{
    FeeAsset, FeeSchedule, Latency, LatencyModel, OrderFault, PaperConfig, PaperEvent, PaperLeft, PaperVenue,
};
use venues::{AccountEvent, Departure, StreamMessage, StreamMessageKind};

pub(crate) use connector::{SimulatedConnector, SimulatedStream};
pub(crate) use gateway::SimulatedGateway;

/// Lives use numbers of orders and executions that are so many bits apart.
const NUMBER_BITS: u32 = 32;

/// Units of [`domain::Money`] in one of a balance: both count decimal places of the asset.
const MONEY_UNITS: i128 = domain::SCALE as i128;

/// The account at the simulated venue. Copies are the same account.
#[derive(Debug, Clone)]
pub(crate) struct SimulatedAccount(Arc<Mutex<Core>>);

#[derive(Debug)]
struct Core {
    venue: PaperVenue,
    /// Told on the account's stream, and not read from it yet.
    told: VecDeque<AccountEvent>,
    /// Cancels that were handed over and have not come to the gateway yet.
    cancels: BTreeMap<ClientOrderId, u32>,
    unknown_one_in: u32,
    orders: u32,
}

impl SimulatedAccount {
    /// An account at a venue with these instruments, ids from zero. Delays are the network's: `scale` stretches them.
    pub(crate) fn new(
        config: &ServiceConfig,
        scale: Scale,
        instruments: impl Iterator<Item = Instrument>,
    ) -> Self {
        let settings = &config.simulated;
        let venue = PaperVenue::new(&PaperConfig {
            instruments: instruments.collect(),
            latency: latency(settings, scale),
            fees: FeeSchedule {
                maker_bps: settings.maker_bps,
                taker_bps: settings.taker_bps,
                asset: FeeAsset::Quote,
            },
            opening: opening(config),
        });
        Self(Arc::new(Mutex::new(Core {
            venue,
            told: VecDeque::new(),
            cancels: BTreeMap::new(),
            unknown_one_in: settings.unknown_one_in,
            orders: 0,
        })))
    }

    /// Goes on where the record of earlier lives ends. What was open then ended with the life that held it.
    pub(crate) fn resume(&self, epoch: Epoch, config: &EngineConfig) {
        let mut changes = Vec::new();
        for slot in &config.carried.slots {
            let listed = config.slots.iter().find(|listed| listed.slot == slot.slot);
            let instrument =
                listed.and_then(|listed| config.instruments.get(usize::from(listed.instrument.0)));
            let Some(instrument) = instrument else { continue };
            let paid = slot.cost.units() + slot.fees.units() - slot.realized.units();
            changes.push((instrument.base, i128::from(slot.quantity.units())));
            changes.push((instrument.quote, -paid.div_euclid(MONEY_UNITS)));
        }
        let orders = config.carried.orders.iter();
        self.core().venue.carry(&PaperLeft {
            changes,
            orders: orders.map(|order| (order.request, order.filled)).collect(),
            numbers_from: u64::from(epoch.0) << NUMBER_BITS,
        });
    }

    /// The engine takes a market event in, at its time.
    pub(crate) fn hear(&self, ts: Timestamp, event: &MarketEvent<'_>) {
        self.core().venue.hear(ts, event);
    }

    /// A request was handed over, at the engine's time.
    fn left(&self, departure: Departure<'_>, ts: Timestamp) {
        let mut core = self.core();
        match departure {
            Departure::Order(order) => core.submit(order, ts),
            Departure::Cancel(cancel) => {
                *core.cancels.entry(cancel.client_order_id).or_default() += 1;
                core.venue.cancel(cancel, ts);
            }
        }
    }

    /// The next message of the account's stream, up to `until`.
    pub(crate) fn next_message(&self, until: Timestamp) -> Option<StreamMessage> {
        let mut core = self.core();
        let (ts_received, event) = core.venue.next_event(until)?;
        core.told.push_back(match event {
            PaperEvent::Report(report) => AccountEvent::Order(report),
            PaperEvent::Balance(balance) => AccountEvent::Balance {
                ts_event: ts_received,
                balance,
            },
        });
        // What it says is taken from the account: there is no wire between.
        let kind = StreamMessageKind::Frame(Bytes::new());
        Some(StreamMessage { ts_received, kind })
    }

    /// The time before which nothing new can have happened: that of the last request taken in.
    pub(crate) fn reached(&self) -> Timestamp {
        self.core().venue.reached()
    }

    /// When something happens next if the market says nothing; the end of time when nothing does.
    pub(crate) fn next_due(&self) -> Timestamp {
        let due = self.core().venue.next_due();
        due.unwrap_or(Timestamp::from_nanos(i64::MAX))
    }

    /// What the message that was read last says.
    fn take_told(&self) -> Option<AccountEvent> {
        self.core().told.pop_front()
    }

    fn core(&self) -> MutexGuard<'_, Core> {
        self.0.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl Core {
    /// One order in so many is lost, or its answer, in turn.
    fn submit(&mut self, order: &OrderRequest, ts: Timestamp) {
        self.orders = self.orders.wrapping_add(1);
        if self.unknown_one_in > 0 && self.orders.is_multiple_of(self.unknown_one_in) {
            let is_placed = (self.orders / self.unknown_one_in) % 2 == 1;
            let fault = if is_placed {
                OrderFault::LoseAck
            } else {
                OrderFault::LoseRequest
            };
            self.venue.inject(order.instrument, fault);
        }
        self.venue.submit(order, ts);
    }

    /// Whether a cancel came to the gateway that was handed over before.
    fn was_handed_over(&mut self, cancel: &CancelRequest) -> bool {
        let Some(count) = self.cancels.get_mut(&cancel.client_order_id) else {
            return false;
        };
        *count -= 1;
        if *count == 0 {
            self.cancels.remove(&cancel.client_order_id);
        }
        true
    }

    /// What is open in an instrument.
    fn open(&self, instrument: InstrumentId) -> BTreeSet<ClientOrderId> {
        let open = self.venue.open_orders(instrument);
        open.map(|order| order.request.client_order_id).collect()
    }
}

fn latency(settings: &SimulatedConfig, scale: Scale) -> LatencyModel {
    let jitter = scale.span(settings.latency_jitter);
    let leg = |base| Latency {
        base: scale.span(base),
        jitter,
    };
    LatencyModel {
        entry: leg(settings.order_latency),
        report: leg(settings.report_latency),
        seed: settings.seed,
        ..LatencyModel::ZERO
    }
}

/// What the account begins with.
fn opening(config: &ServiceConfig) -> Vec<(Currency, i128)> {
    let named = config.simulated.opening.iter();
    let named: Vec<_> = named
        .map(|(currency, amount)| (*currency, i128::from(amount.units())))
        .collect();
    if !named.is_empty() {
        return named;
    }
    let capital = config.slots.iter().map(|slot| slot.capital.units()).sum::<i128>();
    vec![(config.portfolio_currency, capital / MONEY_UNITS)]
}

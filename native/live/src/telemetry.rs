//! From what the deciding thread told to what is published.

use std::sync::Arc;

use domain::{BundleDigest, Epoch, Money, OrderStatus, Price, SlotId, Timestamp};
use engine::execution::OrderView;
use engine::{PositionUpdate, SlotSnapshot};
use messaging::Instruments;
use messaging::telemetry::{
    self, BundleContent, BundleState, BundleStatus, Control, ControlLevel, Decision, JournalStatus, Pnl,
    Position, Score, ServiceStatus, Signal, SlotStatus, SlowStatus, Stage, StageLatency, Telemetry,
};

use crate::alerts;
use crate::chronicle::Chronicle;
use crate::deploy::Deployer;
use crate::monitoring::{Counters, LatencyBoard};
use crate::stops::Causes;
use crate::told::{Equity, Told, What};
use crate::view::{ServiceState, View};

const NANOS_A_SECOND: i64 = 1_000_000_000;

/// What every status says alike.
#[derive(Debug)]
pub(crate) struct Service {
    pub(crate) instance: String,
    pub(crate) run_id: String,
    pub(crate) epoch: Epoch,
    pub(crate) ts_started: Timestamp,
    pub(crate) instruments: Instruments,
    pub(crate) deployer: Arc<Deployer>,
    pub(crate) counters: Arc<Counters>,
    pub(crate) latencies: Arc<LatencyBoard>,
}

impl Service {
    /// Takes one thing into the chronicle and says what of it is published.
    pub(crate) fn take(&self, told: &Told, chronicle: &mut Chronicle) -> Vec<Telemetry> {
        let ts = told.ts;
        match &told.what {
            What::Trade(trade) => vec![Telemetry::Trade(*trade)],
            What::Quote(quote) => vec![Telemetry::Quote(*quote)],
            What::BookInvalid(invalid) => vec![Telemetry::BookInvalid(*invalid)],
            What::Bar(bar) => vec![Telemetry::Bar(*bar)],
            What::Venue(status) => {
                chronicle.venue(*status);
                vec![Telemetry::VenueStatus(*status)]
            }
            What::Balance(venue, balance) => {
                chronicle.balance(ts, *venue, *balance);
                let of_venue = chronicle.balances().into_iter().find(|one| one.venue == *venue);
                of_venue.map(Telemetry::Balances).into_iter().collect()
            }
            What::Sent(request, bundle) => {
                let order = chronicle.made(ts, request, OrderStatus::Submitted, *bundle, None);
                vec![Telemetry::Order(order.clone())]
            }
            What::Denied(request, reason, bundle) => {
                let reason = Some(format!("{reason:?}"));
                let order = chronicle.made(ts, request, OrderStatus::Denied, *bundle, reason);
                vec![Telemetry::Order(order.clone())]
            }
            What::Named(id, venue_order_id) => {
                chronicle.named(*id, *venue_order_id);
                Vec::new()
            }
            What::Update(update) => {
                let order = chronicle.updated(ts, update).cloned();
                order.map(Telemetry::Order).into_iter().collect()
            }
            What::Fill(fill) => vec![Telemetry::Fill(chronicle.filled(fill))],
            What::Position(position, slot, equity) => positions(ts, position, slot, *equity),
            What::Signal(signal, bundle) => bundle
                .map(|bundle| self::signal(signal, bundle))
                .into_iter()
                .collect(),
            What::Control(scope, level, causes) => {
                let control = self.control(ts, *scope, *level, causes.words());
                control
                    .map(|control| {
                        chronicle.control(control.clone());
                        Telemetry::Control(control)
                    })
                    .into_iter()
                    .collect()
            }
            What::Alert(alert) => {
                chronicle.holds.alerted(*alert);
                vec![Telemetry::Alert(alerts::told(*alert))]
            }
            What::Alarm(alarm) => vec![Telemetry::Alert(alerts::alarm(*alarm))],
            What::Activated(slot) => {
                let active = slot
                    .active
                    .map(|digest| self.bundle(slot, digest, BundleState::Active, ts));
                active.map(Telemetry::Bundle).into_iter().collect()
            }
            What::Picture(..) => Vec::new(),
        }
    }

    /// The service at a glance.
    pub(crate) fn status(&self, view: &View, chronicle: &Chronicle) -> ServiceStatus {
        let ts = view.now;
        let slot = |slot: &SlotSnapshot| {
            let deeds = chronicle.deeds(slot.slot);
            let before = self.deployer.before(slot.slot);
            // The deployer hears of a swap a moment after the engine.
            let before = before.filter(|digest| slot.active != Some(*digest));
            let bundle = |digest: Option<BundleDigest>, state| {
                digest.map(|digest| self.bundle(slot, digest, state, ts))
            };
            SlotStatus {
                slot: slot.slot,
                level: level(slot.control),
                active: bundle(slot.active, BundleState::Active),
                previous: bundle(before, BundleState::Previous),
                warm: slot.warm,
                open_orders: u32::from(slot.working_orders),
                orders_sent: deeds.orders_sent,
                fills: deeds.fills,
                slow: known(view, slot.slot),
                late_quotes: slot.late_quotes,
            }
        };
        ServiceStatus {
            instance: self.instance.clone(),
            run_id: self.run_id.clone(),
            version: env!("CARGO_PKG_VERSION").to_owned(),
            epoch: self.epoch,
            ts,
            ts_started: self.ts_started,
            state: state(view.state),
            slots: view.slots.iter().map(slot).collect(),
            venues: chronicle.venues(),
            controls: self.controls(view, chronicle),
            journal: Some(JournalStatus {
                records: self.counters.record_records.get(),
                bytes: self.counters.record_bytes.get(),
                unsynced_records: self.counters.record_unsynced.get(),
            }),
            latencies: self.latencies(),
        }
    }

    fn latencies(&self) -> Vec<StageLatency> {
        let measured = self.latencies.read();
        let stages = measured.iter().filter(|stage| stage.count > 0);
        stages
            .map(|stage| StageLatency {
                stage: stage.stage.as_str().to_owned(),
                count: stage.count,
                p50_ns: stage.p50_ns,
                p99_ns: stage.p99_ns,
                max_ns: stage.max_ns,
            })
            .collect()
    }

    fn bundle(
        &self,
        slot: &SlotSnapshot,
        digest: BundleDigest,
        state: BundleState,
        ts: Timestamp,
    ) -> BundleStatus {
        let ended = state == BundleState::Active && slot.expires.is_some_and(|end| end <= ts);
        let content = self.deployer.about(digest).and_then(|about| {
            Some(BundleContent {
                name: about.name,
                version: about.version,
                stage: stage(about.stage)?,
                serial: about.serial,
                expires: about.expires,
            })
        });
        BundleStatus {
            slot: slot.slot,
            digest,
            state: if ended { BundleState::Expired } else { state },
            ts,
            content,
            reason: None,
        }
    }

    /// What is latched, then what holds slots beside it.
    fn controls(&self, view: &View, chronicle: &Chronicle) -> Vec<Control> {
        let held = chronicle.holds.reasons(view);
        let held = held.filter_map(|(slot, since, reason)| {
            self.control(since, engine::Scope::Slot(slot.slot), slot.control, Some(reason))
        });
        chronicle.controls().into_iter().chain(held).collect()
    }

    /// `None` for a scope that nobody outside can name.
    fn control(
        &self,
        ts: Timestamp,
        scope: engine::Scope,
        new: engine::ControlLevel,
        reason: Option<String>,
    ) -> Option<Control> {
        let scope = match scope {
            engine::Scope::All => messaging::Scope::All,
            engine::Scope::Venue(venue) => messaging::Scope::Venue(venue),
            engine::Scope::Instrument(id) => messaging::Scope::Instrument(self.instruments.name(id)?),
            engine::Scope::Slot(slot) => messaging::Scope::Slot(slot),
            engine::Scope::Order(_) => return None,
        };
        Some(Control {
            scope,
            level: level(new),
            since: ts,
            reason,
        })
    }

    /// Controls that an earlier life left latched.
    pub(crate) fn inherit(&self, view: &View, chronicle: &mut Chronicle) {
        let latches = || view.latches.iter().copied();
        for latch in latches() {
            let own = latches().filter(|other| other.scope == latch.scope);
            let level = own.map(|other| other.level).max().unwrap_or(latch.level);
            let causes = Causes::of(latches(), latch.scope, level).words();
            let reason = causes.map(|words| format!("{words}, latched in an earlier life"));
            if let Some(control) = self.control(view.now, latch.scope, level, reason) {
                chronicle.control(control);
            }
        }
        let live = |order: &&OrderView| !order.status.is_terminal();
        for order in view.orders.iter().filter(live) {
            chronicle.inherited(order);
        }
    }
}

/// Positions of the slots, then of the account by instrument.
pub(crate) fn all_positions(view: &View) -> Vec<Position> {
    let of_slots = view.positions.iter();
    let mut all: Vec<Position> = of_slots.map(|update| position(view.now, update)).collect();
    let mut accounts: Vec<Position> = Vec::new();
    for one in &all {
        match accounts.iter_mut().find(|sum| sum.instrument == one.instrument) {
            None => accounts.push(Position { slot: None, ..*one }),
            Some(sum) => {
                if let Some(joined) = joined(sum, one) {
                    *sum = joined;
                }
            }
        }
    }
    all.extend(accounts);
    all
}

/// `None` when an amount does not fit.
fn joined(sum: &Position, one: &Position) -> Option<Position> {
    let mark = match (sum.mark, one.mark) {
        (Some((price, unrealized)), Some((_, more))) => Some((price, unrealized.checked_add(more).ok()?)),
        _ => None,
    };
    Some(Position {
        quantity: sum.quantity.checked_add(one.quantity)?,
        cost: sum.cost.checked_add(one.cost).ok()?,
        realized: sum.realized.checked_add(one.realized).ok()?,
        fees: sum.fees.checked_add(one.fees).ok()?,
        mark,
        ..*sum
    })
}

/// Profit and loss of the slots, then of the account.
pub(crate) fn all_pnl(view: &View) -> Vec<Pnl> {
    let mut all: Vec<Pnl> = Vec::new();
    for slot in &view.slots {
        if let Some(update) = view.positions.iter().find(|position| position.slot == slot.slot) {
            all.push(pnl(view.now, update, slot));
        }
    }
    let zero = Money::zero(view.equity.currency());
    let sum = |part: &dyn Fn(&Pnl) -> Option<Money>| {
        all.iter()
            .try_fold(zero, |sum, one| sum.checked_add(part(one)?).ok())
    };
    let (realized, unrealized) = (sum(&|one| Some(one.realized)), sum(&|one| one.unrealized));
    let fees = sum(&|one| one.fees.first().copied());
    all.push(Pnl {
        slot: None,
        ts: view.now,
        realized: realized.unwrap_or(zero),
        unrealized,
        fees: fees
            .into_iter()
            .chain(view.foreign_fees.iter().copied())
            .collect(),
        equity: view.equity,
        peak_equity: view.peak_equity,
    });
    all
}

/// A slot's position and profit. The account's follow with each whole picture, or at once where one slot is all of it.
fn positions(ts: Timestamp, update: &PositionUpdate, slot: &SlotSnapshot, equity: Equity) -> Vec<Telemetry> {
    let of_slot = pnl(ts, update, slot);
    let is_all = equity.now == slot.equity;
    let of_account = is_all.then(|| Pnl {
        slot: None,
        peak_equity: equity.peak,
        ..of_slot.clone()
    });
    let mut told = vec![Telemetry::Position(position(ts, update)), Telemetry::Pnl(of_slot)];
    told.extend(of_account.map(Telemetry::Pnl));
    told
}

fn position(ts: Timestamp, update: &PositionUpdate) -> Position {
    let has_mark = update.mark != Price::ZERO;
    Position {
        slot: Some(update.slot),
        instrument: update.instrument,
        ts,
        quantity: update.quantity,
        cost: update.cost,
        realized: update.realized,
        fees: update.fees,
        mark: has_mark.then_some((update.mark, update.unrealized)),
    }
}

fn pnl(ts: Timestamp, update: &PositionUpdate, slot: &SlotSnapshot) -> Pnl {
    let valued = update.mark != Price::ZERO || update.quantity.is_zero();
    Pnl {
        slot: Some(update.slot),
        ts,
        realized: update.realized,
        unrealized: valued.then_some(update.unrealized),
        fees: vec![update.fees],
        equity: slot.equity,
        peak_equity: slot.peak_equity,
    }
}

fn signal(signal: &engine::Signal, bundle: BundleDigest) -> Telemetry {
    let decision = match signal.decision {
        engine::Decision::NoSignal => Decision::NoSignal,
        engine::Decision::Hold => Decision::Hold,
        engine::Decision::Enter => Decision::Enter,
        engine::Decision::Exit => Decision::Exit,
    };
    let has_score = decision != Decision::NoSignal;
    Telemetry::Signal(Signal {
        slot: signal.slot,
        instrument: signal.instrument,
        ts_close: signal.ts_close,
        bundle,
        decision,
        score: has_score.then_some(Score {
            raw: signal.raw_score,
            probability: signal.probability,
        }),
        features: signal.features.as_slice().to_vec(),
    })
}

const fn level(level: engine::ControlLevel) -> ControlLevel {
    match level {
        engine::ControlLevel::Running => ControlLevel::Running,
        engine::ControlLevel::Paused => ControlLevel::Paused,
        engine::ControlLevel::ReduceOnly => ControlLevel::ReduceOnly,
        engine::ControlLevel::Killed => ControlLevel::Killed,
    }
}

const fn state(state: ServiceState) -> telemetry::ServiceState {
    match state {
        ServiceState::Connecting => telemetry::ServiceState::Starting,
        ServiceState::Reconciling => telemetry::ServiceState::Reconciling,
        ServiceState::Waiting => telemetry::ServiceState::Waiting,
        ServiceState::Trading => telemetry::ServiceState::Trading,
        ServiceState::Draining => telemetry::ServiceState::Draining,
    }
}

fn stage(name: &str) -> Option<Stage> {
    Some(match name {
        "paper" => Stage::Paper,
        "live_10" => Stage::Live10,
        "live_25" => Stage::Live25,
        "live_50" => Stage::Live50,
        "live_100" => Stage::Live100,
        _ => return None,
    })
}

/// What a slot's bundle declares beside the market, and what is known of it.
fn known(view: &View, slot: SlotId) -> Vec<SlowStatus> {
    let ours = view.slow.iter().filter(|one| one.slot == slot);
    let told = ours.map(|one| {
        let max_age = one.newest.map_or(one.column.max_age, |fact| fact.max_age);
        SlowStatus {
            name: one.column.name.as_str().to_owned(),
            value: one.newest.and_then(|fact| fact.value),
            valid_from: one.newest.map(|fact| fact.valid_from),
            max_age_seconds: u32::try_from(max_age.0 / NANOS_A_SECOND).unwrap_or(u32::MAX),
            known: one.is_known(view.now),
        }
    });
    told.collect()
}

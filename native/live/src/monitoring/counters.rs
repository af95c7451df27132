//! Counters that the service's threads raise and `/metrics` reads.

use std::sync::atomic::{AtomicU64, Ordering};

use engine::Alert;
use messaging::RefusalReason;

use super::family::Family;
use super::refusals::RefusalBoard;
use super::streams::StreamBoard;
use super::venues::VenueBoard;

/// A number that only rises, or a level that is set. Relaxed: no other memory hangs on it.
#[derive(Debug, Default)]
pub struct Counter(AtomicU64);

impl Counter {
    /// One more.
    pub fn add_one(&self) {
        self.add(1);
    }

    /// So many more.
    pub fn add(&self, count: u64) {
        self.0.fetch_add(count, Ordering::Relaxed);
    }

    /// Sets a level.
    pub fn set(&self, level: u64) {
        self.0.store(level, Ordering::Relaxed);
    }

    /// The number now.
    #[must_use]
    pub fn get(&self) -> u64 {
        self.0.load(Ordering::Relaxed)
    }
}

/// Each way in which the venue's account was found to differ from our record.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Difference {
    /// An order of ours that no record knew, now its slot's.
    OrphanAdopted,
    /// An order of ours that no record knew, canceled.
    OrphanCanceled,
    /// Somebody else's order.
    ForeignOrder,
    /// Somebody else's execution.
    ManualTrade,
    /// A balance that rose without a fill.
    Deposit,
    /// A balance that fell without a fill.
    Withdrawal,
    /// What rounding left over.
    Rounding,
    /// A fee in an asset without a price.
    FeeUnvalued,
    /// A fill that only the comparison brought.
    MissedFill,
    /// A position that no movement explains.
    Position,
}

impl Difference {
    /// All of them.
    pub const ALL: [Self; 10] = [
        Self::OrphanAdopted,
        Self::OrphanCanceled,
        Self::ForeignOrder,
        Self::ManualTrade,
        Self::Deposit,
        Self::Withdrawal,
        Self::Rounding,
        Self::FeeUnvalued,
        Self::MissedFill,
        Self::Position,
    ];

    /// Its name in metrics, as in the log and the alert.
    #[must_use]
    pub const fn as_str(self) -> &'static str {
        match self {
            Self::OrphanAdopted => "orphan_adopted",
            Self::OrphanCanceled => "orphan_canceled",
            Self::ForeignOrder => "foreign_order",
            Self::ManualTrade => "manual_trade",
            Self::Deposit => "deposit",
            Self::Withdrawal => "withdrawal",
            Self::Rounding => "rounding",
            Self::FeeUnvalued => "fee_unvalued",
            Self::MissedFill => "missed_fill",
            Self::Position => "position_mismatch",
        }
    }

    /// What an alert tells of a difference.
    #[must_use]
    pub const fn of(alert: Alert) -> Option<Self> {
        match alert {
            Alert::OrphanAdopted(_) => Some(Self::OrphanAdopted),
            Alert::OrphanCanceled(_) => Some(Self::OrphanCanceled),
            Alert::ForeignOrder { .. } => Some(Self::ForeignOrder),
            Alert::ManualTrade { .. } => Some(Self::ManualTrade),
            Alert::Deposit(_) => Some(Self::Deposit),
            Alert::Withdrawal(_) => Some(Self::Withdrawal),
            Alert::FeeUnvalued(_) => Some(Self::FeeUnvalued),
            Alert::PositionMismatch { .. } => Some(Self::Position),
            _ => None,
        }
    }
}

/// The names of all of a kind, for the label of a [`Family`].
macro_rules! names {
    ($kind:ty) => {{
        let mut names = [""; <$kind>::ALL.len()];
        let mut at = 0;
        while at < names.len() {
            names[at] = <$kind>::ALL[at].as_str();
            at += 1;
        }
        names
    }};
}

pub(super) use names;

/// Commands and questions that were refused, by reason.
#[derive(Debug)]
pub struct Refusals(Family);

impl Default for Refusals {
    fn default() -> Self {
        const REASONS: [&str; RefusalReason::ALL.len()] = names!(RefusalReason);
        Self(Family::new(
            "commands_refused",
            "Commands and questions refused, by reason.",
            "reason",
            &[&REASONS],
        ))
    }
}

impl Refusals {
    /// One more for this reason.
    pub fn add_one(&self, reason: RefusalReason) {
        self.0.add_one(reason.as_str());
    }

    /// For `/metrics`.
    pub const fn family(&self) -> &Family {
        &self.0
    }
}

/// Differences between the venue's account and our record, by kind.
#[derive(Debug)]
pub struct Differences(Family);

impl Default for Differences {
    fn default() -> Self {
        const KINDS: [&str; Difference::ALL.len()] = names!(Difference);
        Self(Family::new(
            "account_differences",
            "Differences between the venue's account and our record, by kind.",
            "kind",
            &[&KINDS],
        ))
    }
}

impl Differences {
    /// One more of this kind.
    pub fn add_one(&self, difference: Difference) {
        self.0.add_one(difference.as_str());
    }

    /// For `/metrics`.
    pub const fn family(&self) -> &Family {
        &self.0
    }
}

macro_rules! counters {
    ($($(#[doc = $doc:literal])+ $name:ident: $kind:ident,)+) => {
        /// Everything that is counted.
        #[derive(Debug, Default)]
        pub struct Counters {
            $($(#[doc = $doc])+ pub $name: Counter,)+
            /// Commands and questions that were refused, by reason.
            pub commands_refused: Refusals,
            /// What venue and streams refused, and what of them was refused, each under its own name.
            pub refusals: RefusalBoard,
            /// Differences between the venue's account and our record, by kind.
            pub differences: Differences,
            /// The market of each venue that is read here.
            pub venues: VenueBoard,
            /// What each connection to the venue has brought, and how it fared.
            pub streams: StreamBoard,
        }

        /// What a number of [`Counters`] is.
        #[derive(Debug, Clone, Copy, PartialEq, Eq)]
        pub enum Kind {
            /// Only rises.
            Total,
            /// Goes up and down.
            Level,
        }

        impl Counters {
            /// Every family of counters.
            pub fn families(&self) -> impl Iterator<Item = &Family> {
                let ours = [self.commands_refused.family(), self.differences.family()];
                ours.into_iter().chain(self.refusals.families())
            }

            /// Name, what it says, its kind, and its value, of every counter.
            pub fn read(&self) -> Vec<(&'static str, &'static str, Kind, u64)> {
                vec![$((stringify!($name), concat!($($doc),+), Kind::$kind, self.$name.get()),)+]
            }
        }
    };
}

counters! {
    /// Events the engine took in.
    events: Total,
    /// Actions the engine put out.
    actions: Total,
    /// Market messages that could not be read.
    market_malformed: Total,
    /// Books given up until their next snapshot: gaps, crossed or contradicted books, messages that could not be read,
    /// lost streams.
    books_given_up: Total,
    /// Holes in the numbers of public trades: the bars there are fetched.
    trade_holes: Total,
    /// Account messages that could not be read.
    account_malformed: Total,
    /// Answers about the venue's time that were too far from ours to be believed before another said the same.
    clock_answers_disbelieved: Total,
    /// Bars that closed.
    bars: Total,
    /// Signals of models.
    signals: Total,
    /// Orders handed to the venue's side.
    orders_sent: Total,
    /// Orders that the last look before the socket refused.
    orders_refused: Total,
    /// Orders that risk denied.
    orders_denied: Total,
    /// Changes of orders handed to the venue's side.
    amends_sent: Total,
    /// Cancels handed to the venue's side.
    cancels_sent: Total,
    /// Fills booked.
    fills: Total,
    /// Alerts of the engine.
    alerts: Total,
    /// Things that were not told because nobody took what waited.
    untold: Total,
    /// Commands taken in.
    commands: Total,
    /// Times our account was compared with the venue's.
    reconciliations: Total,
    /// Times that failed or was overtaken by a fill.
    reconciliations_failed: Total,
    /// Rounds of the deciding thread: while it lives they go on.
    rounds: Total,
    /// Looks of a watchdog.
    watchdog_looks: Total,
    /// 1 while a watchdog looks, else 0.
    watchdog_present: Level,
    /// Times the venue's dead man's switch was set or put off.
    dead_mans_switch_put_off: Total,
    /// Times the venue's dead man's switch could not be put off.
    dead_mans_switch_failed: Total,
    /// 1 while the venue's dead man's switch is put off in time, else 0; 0 where there is none.
    dead_mans_switch_set: Level,
    /// 1 while the venue's streams are up, else 0.
    venue_online: Level,
    /// 1 once the account agrees with the venue's, else 0.
    reconciled: Level,
    /// Slow parameters that running bundles declare, and that are stale, told as unknown, or were never told.
    slow_parameters_unknown: Level,
    /// Quotes that were heard after their bar had closed, of all instruments that a slot trades.
    late_quotes: Level,
    /// 1 while the record's lag exceeds its bound, else 0.
    record_lagging: Level,
    /// Records written, all lives together.
    record_records: Level,
    /// Bytes of the record, all lives together.
    record_bytes: Level,
    /// Records that are not on disk yet.
    record_unsynced: Level,
    /// Orders that may still trade.
    orders_open: Level,
    /// Market messages waiting for the deciding thread.
    market_queue: Level,
    /// Bytes of market messages waiting for the deciding thread.
    market_queue_bytes: Level,
    /// Account messages waiting for the deciding thread.
    account_queue: Level,
    /// Bytes of account messages waiting for the deciding thread.
    account_queue_bytes: Level,
    /// Timers waiting.
    timers: Level,
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_counter_has_its_words() {
        let counters = Counters::default();
        counters.fills.add(3);
        counters.venue_online.set(1);
        let read = counters.read();
        assert!(read.contains(&("fills", " Fills booked.", Kind::Total, 3)));
        assert!(
            read.iter()
                .any(|(name, _, kind, value)| { (*name, *kind, *value) == ("venue_online", Kind::Level, 1) })
        );
    }
}

//! What became of an order whose answer never came: the unknown-order protocol. [`Resolution`] decides without I/O,
//! [`find_out`] asks.
//!
//! A timeout is not a no. The order may rest, may have traded and be gone, or may still be on its way to
//! the matching engine; and what a venue's queries say lags behind what its engine has done. So:
//!
//! 1. One source that knows the order settles it at once: found.
//! 2. "Not known" counts only when the question was asked after the order could no longer have been taken
//!    and every lagging copy must have caught up: request time + receive window + staleness + clock skew.
//! 3. And only when three sources agree: the open orders (it does not rest), the order itself by our id (it
//!    did not end), and the account's trades (it did not trade), because each of them alone misses some
//!    orders.
//! 4. The open orders are asked first, the other two a staleness later: an order that trades in between is
//!    open no more in one source's present and has not traded yet in another's past.
//! 5. Nothing here sends the order again. Not found means not placed; the strategy decides afresh, with a
//!    new id.
//!
//! An answer that fails counts for nothing and is asked again, with growing pauses and up to
//! [`ROUNDS_MAX`] times; after that the order stays unknown and a person must look.

mod asking;

use domain::{Nanos, Timestamp};

pub use asking::find_out;

/// How far behind the matching engine a venue's query may lag.
pub const READ_STALENESS: Nanos = Nanos::from_secs(10);

/// Most rounds of questions before giving up: over two hours of failures at the longest pause.
pub const ROUNDS_MAX: u32 = 256;

/// First and longest pause between questions to a venue whose time runs as ours.
pub const FIRST_PAUSE: Nanos = Nanos::from_millis(500);
/// See [`FIRST_PAUSE`].
pub const LONGEST_PAUSE: Nanos = Nanos::from_secs(30);

/// Where to ask.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub enum Source {
    /// The list of open orders.
    OpenOrders,
    /// The order, by our id.
    Order,
    /// The account's trades since the order was sent.
    Trades,
}

impl Source {
    /// All of them, in the order in which they are asked.
    pub const ALL: [Self; 3] = [Self::OpenOrders, Self::Order, Self::Trades];

    const fn index(self) -> usize {
        match self {
            Self::OpenOrders => 0,
            Self::Order => 1,
            Self::Trades => 2,
        }
    }
}

/// What a source said.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Answer {
    /// It knows the order.
    Present,
    /// It does not.
    Absent,
    /// It could not be asked, or its answer could not be read.
    Failed,
}

/// What to do next.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Step {
    /// Ask this source, then call [`Resolution::answer`].
    Ask(Source),
    /// Nothing before this time.
    WaitUntil(Timestamp),
    /// The order was placed.
    Found,
    /// The order was not placed, and can no longer be.
    NotFound,
    /// The sources failed [`ROUNDS_MAX`] times: still unknown.
    GaveUp,
}

/// What the waiting time is made of, all in the time of the timestamps given to [`Resolution`].
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Margins {
    /// How long after its timestamp the venue may still take the order.
    pub recv_window: Nanos,
    /// How far a query may lag; [`READ_STALENESS`] unless a venue is known to be worse.
    pub staleness: Nanos,
    /// How far our clock may be off.
    pub skew: Nanos,
    /// Pause after the first question that settled nothing; doubles each time.
    pub first_pause: Nanos,
    /// The longest pause.
    pub longest_pause: Nanos,
}

/// The state of one question.
#[derive(Debug, Clone)]
pub struct Resolution {
    staleness: Nanos,
    // From when on an absence counts: first of the open orders, then of the others.
    decisive: Timestamp,
    not_before: Timestamp,
    absent: [bool; 3],
    present: bool,
    rounds: u32,
    pause: Nanos,
    longest_pause: Nanos,
}

impl Resolution {
    /// For an order whose request carried the time `sent`.
    #[must_use]
    pub fn new(sent: Timestamp, margins: Margins) -> Self {
        let decisive = sent
            .plus(margins.recv_window)
            .plus(margins.staleness)
            .plus(margins.skew);
        Self {
            staleness: margins.staleness,
            decisive,
            not_before: Timestamp::from_nanos(i64::MIN),
            absent: [false; 3],
            present: false,
            rounds: 0,
            pause: margins.first_pause,
            longest_pause: margins.longest_pause,
        }
    }

    /// From when on "not known" counts; moves on once the open orders do not show it.
    #[must_use]
    pub const fn decisive_from(&self) -> Timestamp {
        self.decisive
    }

    /// What to do at `now`.
    #[must_use]
    pub fn next(&self, now: Timestamp) -> Step {
        if self.present {
            return Step::Found;
        }
        if self.rounds >= ROUNDS_MAX {
            return Step::GaveUp;
        }
        let open = Source::ALL
            .into_iter()
            .find(|source| !self.absent[source.index()]);
        match open {
            None => Step::NotFound,
            Some(_) if now < self.not_before => Step::WaitUntil(self.not_before),
            // Early questions find what is already known; only one source is bothered with them.
            Some(_) if now < self.decisive => Step::Ask(Source::Order),
            Some(source) => Step::Ask(source),
        }
    }

    /// What a source said to a question that left at `asked` and was answered at `answered`.
    pub fn answer(&mut self, source: Source, asked: Timestamp, answered: Timestamp, answer: Answer) {
        match answer {
            Answer::Present => self.present = true,
            Answer::Failed => self.wait_after(answered, false),
            Answer::Absent if asked < self.decisive => self.wait_after(answered, true),
            Answer::Absent => {
                self.absent[source.index()] = true;
                if source == Source::OpenOrders {
                    // It rests nowhere. If it was ever placed it has ended by now, and by then all know.
                    self.decisive = answered.plus(self.staleness);
                    self.not_before = self.decisive;
                }
            }
        }
    }

    /// The private stream told of the order: settled.
    pub fn observed(&mut self) {
        self.present = true;
    }

    fn wait_after(&mut self, answered: Timestamp, is_early: bool) {
        let next = answered.plus(self.pause);
        // The decisive question is asked on time, however long the pause has grown.
        self.not_before = if is_early {
            next.min(self.decisive.max(answered))
        } else {
            next
        };
        self.pause = Nanos(self.pause.0.saturating_mul(2).min(self.longest_pause.0));
        self.rounds += 1;
    }
}

#[cfg(test)]
mod tests;

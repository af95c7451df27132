//! What the reading of every venue's market streams offers, whatever its wire: the blanks that a new venue fills in.
//!
//! A protocol does no I/O and reads no clock. It owns one connection's parser and the sequencer of each book on it.
//! Raw messages go in with their times of receipt; proven events come out, in the venue's order.

use std::fmt;

use domain::{InstrumentId, Level, Side};

use crate::error::VenueError;
use crate::sequencer::{Emit, SequencerStatistics};
use crate::staleness::StalenessBounds;
use crate::websocket::StreamMessage;

/// What has come in over one connection, since it was made.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub struct WireStatistics {
    /// Messages of each kind, by the venue's own word for it (`depthUpdate`, `l2_data`, `book`, ...), ascending.
    pub kinds: Vec<(&'static str, u64)>,
    /// Messages that could not be read; each made the books it may have spoken of invalid.
    pub malformed: u64,
    /// Messages read by the verified scanner.
    pub scanned: u64,
    /// Messages that only the slow reader (`serde_json`) could read.
    pub fallbacks: u64,
    /// Messages for symbols that are not in the table.
    pub unknown_symbols: u64,
    /// Holes in a number that counts over the whole connection (Coinbase `sequence_num`); zero where there is none.
    pub connection_gaps: u64,
    /// Messages whose number over the whole connection had come already, or came late; zero where there is none.
    pub connection_repeats: u64,
    /// Public trades passed on.
    pub trades: u64,
    /// Public trades that came twice.
    pub trade_duplicates: u64,
    /// Holes in the numbers of public trades, where they have none while every trade is seen.
    pub trade_gaps: u64,
}

/// One connection's market streams: from raw messages to proven events.
pub trait MarketProtocol: fmt::Debug + Send {
    /// Takes in whatever the connection delivers, and emits what follows from it.
    ///
    /// # Errors
    /// [`VenueError::Malformed`] when a message cannot be read. That is already dealt with (the books it may have spoken
    /// of are invalid, a resync is asked for): count it, log it, go on.
    fn on_message(&mut self, message: &StreamMessage, emit: &mut Emit<'_>) -> Result<(), VenueError>;

    /// The next instrument whose book must be synchronized anew: by a REST snapshot, or by subscribing again, as the
    /// venue has it. Ask until `None` after each message.
    fn take_resync_request(&mut self) -> Option<InstrumentId>;

    /// Whether the connection is to be made anew, because only so what has stopped on it goes on; asking clears the wish.
    /// Ask after each message. Never, where the sockets see to that themselves.
    fn take_reconnect_request(&mut self) -> bool {
        false
    }

    /// Whether the rules of the instruments are to be asked for soon, because the venue told that the state of one has
    /// changed; asking clears the wish. Ask after each message. Never, where the stream does not tell it.
    fn take_rules_request(&mut self) -> bool {
        false
    }

    /// How long a book is believed that stays silent, in the time of the messages: without it
    /// [`StalenessBounds::WALL`]. Nothing, where the sockets see to that themselves.
    fn set_staleness(&mut self, bounds: StalenessBounds) {
        let _ = bounds;
    }

    /// The books were given up while the stream stayed: begins as if it had just come up. Every book is invalid, and a
    /// resync of each is asked for.
    fn begin_again(&mut self, emit: &mut Emit<'_>);

    /// Whether the venue as a whole takes new orders of every kind, by its own last word on the stream. Always, where it
    /// has said nothing of it.
    fn takes_orders(&self) -> bool {
        true
    }

    /// Whether an instrument's book can be trusted.
    fn is_synchronized(&self, instrument: InstrumentId) -> bool;

    /// Best bid and best ask of a book; `None` for a side without levels, or an instrument that is not here.
    fn best(&self, instrument: InstrumentId) -> (Option<Level>, Option<Level>);

    /// Levels of a book: bids, asks.
    fn depth(&self, instrument: InstrumentId) -> (usize, usize);

    /// Appends the best `count` levels of a side, the best first; fewer where the book has fewer.
    fn top(&self, instrument: InstrumentId, side: Side, count: usize, out: &mut Vec<Level>);

    /// A copy that goes its own way from here: to ask what would follow.
    fn duplicate(&self) -> Box<dyn MarketProtocol>;

    /// What has come in.
    fn wire_statistics(&self) -> WireStatistics;

    /// What an instrument's sequencer has seen.
    fn book_statistics(&self, instrument: InstrumentId) -> Option<SequencerStatistics>;
}

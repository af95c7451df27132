//! What a check found, for programs: one JSON document, whose members `docs/reference/feed_check.md` explains.

use std::collections::BTreeMap;

use domain::Instrument;
use serde::Serialize;
use sha2::{Digest, Sha256};
use venues::WireStatistics;
use venues::sequencer::SequencerStatistics;

use crate::oracle::BookOracle;
use crate::session::Session;
use crate::survey::Surveyed;
use crate::text_book::Shown;

/// Levels of each side that are shown and hashed.
pub const TOP_LEVELS: usize = 10;

/// The document's own name and version: a member is never removed or changed in meaning under the same name.
pub const SCHEMA: &str = "py_rt.feed_check/1";

/// Everything that was found.
#[derive(Debug, Serialize)]
pub struct Report {
    /// [`SCHEMA`].
    pub schema: &'static str,
    /// Whether nothing is wrong.
    pub right: bool,
    /// What is wrong, in words; empty where nothing is.
    pub problems: Vec<String>,
    /// Sums over all connections.
    pub totals: Totals,
    /// The files, as they were given.
    pub files: Vec<FileReport>,
    /// The connections, in order of time.
    pub connections: Vec<ConnectionReport>,
}

/// Sums over all connections and books.
#[derive(Debug, Default, Serialize)]
pub struct Totals {
    /// Messages received.
    pub messages: u64,
    /// Messages that only the slow reader could read.
    pub fallbacks: u64,
    /// Messages that could not be read.
    pub errors: u64,
    /// Holes in update numbers, of books and of connections.
    pub gaps: u64,
    /// Holes in the numbers of trades.
    pub trade_gaps: u64,
    /// Books that had stood and had to be synchronized anew.
    pub resyncs: u64,
    /// The venue's checksums that are the book's.
    pub checksums_right: u64,
    /// Those that are not.
    pub checksums_wrong: u64,
    /// Comparisons of the best levels with the venue's own stream of them.
    pub best_compared: u64,
    /// Those in which they were equal.
    pub best_equal: u64,
    /// Moments at which a best bid was at or above the best ask.
    pub crossed: u64,
    /// Removals of levels that were not there.
    pub unknown_deletes: u64,
    /// Updates of books passed on.
    pub updates: u64,
    /// Trades passed on.
    pub trades: u64,
    /// Differences between the protocols' books or trades and the text's.
    pub mismatches: u64,
}

/// One file.
#[derive(Debug, Serialize)]
pub struct FileReport {
    /// As it was given.
    pub path: String,
    /// The recording's format.
    pub format: &'static str,
    /// Lines of what is packed in it.
    pub lines: u64,
    /// What happened in it: messages received and sent, answers, connections made.
    pub records: u64,
    /// Whether its last line was cut off, and left out.
    pub torn: bool,
}

/// One connection.
#[derive(Debug, Serialize)]
pub struct ConnectionReport {
    /// Which wire.
    pub wire: &'static str,
    /// Whose.
    pub venue: &'static str,
    /// The recording's own name of it; empty where it has only one.
    pub connection: String,
    /// Indices of its files.
    pub files: Vec<usize>,
    /// When its first message came, ns of the recorder's clock.
    pub began_ns: i64,
    /// When its last message came.
    pub ended_ns: i64,
    /// How often it was made.
    pub connects: u64,
    /// Messages received.
    pub messages: u64,
    /// Their bytes.
    pub bytes: u64,
    /// Messages sent.
    pub sent: u64,
    /// REST snapshots that belong to it.
    pub snapshots: u64,
    /// Messages by the venue's word for their kind, REST snapshots included.
    pub kinds: BTreeMap<&'static str, u64>,
    /// Messages that the verified scanner read.
    pub scanned: u64,
    /// Messages that only the slow reader could read.
    pub fallbacks: u64,
    /// Messages that could not be read.
    pub errors: u64,
    /// The first of them, by their places.
    pub first_errors: Vec<String>,
    /// Messages of symbols that no instrument could be made of.
    pub unknown_symbols: u64,
    /// Holes in a number that counts over the whole connection.
    pub connection_gaps: u64,
    /// Messages whose number over the whole connection had come already, or came late.
    pub connection_repeats: u64,
    /// Trades that came twice.
    pub trade_duplicates: u64,
    /// Holes in the numbers of trades.
    pub trade_gaps: u64,
    /// Its books and tapes, by the symbols' first appearance.
    pub books: Vec<BookReport>,
}

/// One instrument's book and tape.
#[derive(Debug, Serialize)]
pub struct BookReport {
    /// The venue's symbol.
    pub symbol: String,
    /// Whether any message spoke of the book; if not, there were only trades or best prices.
    pub subscribed: bool,
    /// Whether the book stands at the end.
    pub synchronized: bool,
    /// Updates passed on.
    pub updates: u64,
    /// Updates that were old or came twice.
    pub stale: u64,
    /// Updates kept for a snapshot.
    pub buffered: u64,
    /// Times those kept outgrew their bound.
    pub overflows: u64,
    /// Snapshots that became the book.
    pub snapshots: u64,
    /// Snapshots that did not: too old, crossed, or not needed.
    pub snapshots_refused: u64,
    /// Holes in the numbers.
    pub gaps: u64,
    /// Times it had stood and had to be synchronized anew.
    pub resyncs: u64,
    /// The venue's checksums.
    pub checksums: Checksums,
    /// Comparisons with the venue's own best levels.
    pub best: BestComparisons,
    /// Moments at which the best bid was at or above the best ask.
    pub crossed: u64,
    /// Removals of levels that were not there.
    pub unknown_deletes: u64,
    /// The venue's number of the last update passed on; where it has none, how many there were.
    pub last_update_id: u64,
    /// Levels at the end.
    pub levels: Sides<usize>,
    /// Orders at the end, where single orders are told.
    pub orders: Option<Sides<usize>>,
    /// The best levels at the end as the venue's text; `null` where the book does not stand.
    pub top: Option<Top>,
    /// Its public trades.
    pub trades: Trades,
    /// The protocol's book beside the text's.
    pub text_book: TextComparisons,
}

/// Something of both sides.
#[derive(Debug, Serialize)]
pub struct Sides<T> {
    /// Of the bids.
    pub bids: T,
    /// Of the asks.
    pub asks: T,
}

/// The venue's checksums of a book.
#[derive(Debug, Serialize)]
pub struct Checksums {
    /// Equal to the book's.
    pub right: u64,
    /// Not equal.
    pub wrong: u64,
}

/// Comparisons of the best levels with the venue's stream of them.
#[derive(Debug, Serialize)]
pub struct BestComparisons {
    /// All.
    pub compared: u64,
    /// In which they were equal.
    pub equal: u64,
    /// Whether one that is not equal is a fault: the stream says which update it speaks of.
    pub binding: bool,
}

/// The best levels of a book as the venue's text.
#[derive(Debug, Serialize)]
pub struct Top {
    /// Price and quantity, best first.
    pub bids: Vec<Shown>,
    /// Likewise.
    pub asks: Vec<Shown>,
    /// SHA-256 of [`Top::text`], hexadecimal.
    pub sha256: String,
}

impl Top {
    fn new([bids, asks]: [Vec<Shown>; 2]) -> Self {
        let mut top = Self {
            bids,
            asks,
            sha256: String::new(),
        };
        top.sha256 = hex::encode(Sha256::digest(top.text()));
        top
    }

    /// What is hashed: a line for each level, first the bids and then the asks, each best first: `bid` or `ask`, a space,
    /// the price, a space, the quantity, and a line feed.
    #[must_use]
    pub fn text(&self) -> String {
        let lines = |side: &str, levels: &[Shown]| -> String {
            let line = |(price, quantity): &Shown| format!("{side} {price} {quantity}\n");
            levels.iter().map(line).collect()
        };
        lines("bid", &self.bids) + &lines("ask", &self.asks)
    }
}

/// Public trades.
#[derive(Debug, Serialize)]
pub struct Trades {
    /// Passed on.
    pub count: u64,
    /// Their volume, exact, with as many digits behind the point as the venue's most precise quantity.
    pub volume: String,
    /// Told by messages: also those that came twice, and those from before the connection.
    pub told: u64,
    /// Their volume.
    pub told_volume: String,
}

/// The protocol's book beside the text's.
#[derive(Debug, Serialize)]
pub struct TextComparisons {
    /// Comparisons of the best levels and of the numbers of levels: after each update.
    pub compared: u64,
    /// Comparisons of all levels.
    pub compared_whole: u64,
    /// Differences, of books and of trades.
    pub mismatches: u64,
    /// The first of them.
    pub first_mismatch: Option<String>,
}

impl Report {
    pub(crate) fn new(files: &[Surveyed], sessions: &[Session], strangers: Vec<String>) -> Self {
        let connections: Vec<_> = sessions.iter().map(ConnectionReport::new).collect();
        let mut problems: Vec<String> = strangers
            .into_iter()
            .map(|stranger| format!("{stranger}: its messages are of no wire that is known"))
            .collect();
        let mut totals = Totals::default();
        for connection in &connections {
            totals.add(connection);
            connection.judge(&mut problems);
        }
        let file = |file: &Surveyed| FileReport {
            path: file.path.display().to_string(),
            format: file.format.as_str(),
            lines: file.lines,
            records: file.records,
            torn: file.is_torn,
        };
        Self {
            schema: SCHEMA,
            right: problems.is_empty(),
            problems,
            totals,
            files: files.iter().map(file).collect(),
            connections,
        }
    }
}

impl ConnectionReport {
    fn new(session: &Session) -> Self {
        let WireStatistics {
            kinds,
            malformed: _,
            scanned,
            fallbacks,
            unknown_symbols,
            connection_gaps,
            connection_repeats,
            trades: _,
            trade_duplicates,
            trade_gaps,
        } = session.protocol.wire_statistics();
        let counters = &session.counters;
        let books = session.instruments.iter().zip(session.oracle.books());
        Self {
            wire: session.wire.as_str(),
            venue: session.wire.venue().as_str(),
            connection: session.connection.to_string(),
            files: session.files.clone(),
            began_ns: session.first.nanos(),
            ended_ns: session.last.nanos(),
            connects: counters.connects,
            messages: counters.frames,
            bytes: counters.bytes,
            sent: counters.sent,
            snapshots: counters.snapshots,
            kinds: kinds.into_iter().collect(),
            scanned,
            fallbacks,
            errors: counters.errors,
            first_errors: counters.first_errors.clone(),
            unknown_symbols,
            connection_gaps,
            connection_repeats,
            trade_duplicates,
            trade_gaps,
            books: books
                .map(|(instrument, oracle)| BookReport::new(session, instrument, oracle))
                .collect(),
        }
    }

    /// What is wrong with it.
    fn judge(&self, problems: &mut Vec<String>) {
        let name = if self.connection.is_empty() {
            self.wire.to_owned()
        } else {
            format!("{} {}", self.wire, self.connection)
        };
        let faults = [
            (self.errors, "messages could not be read"),
            (
                self.unknown_symbols,
                "messages are of symbols that no instrument could be made of",
            ),
            (self.connection_gaps, "holes in the connection's numbers"),
            (
                self.connection_repeats,
                "numbers of the connection that had come already, or came late",
            ),
            (self.trade_gaps, "holes in the numbers of trades"),
        ];
        tell(&name, &faults, problems);
        for book in &self.books {
            book.judge(&format!("{name} {}", book.symbol), problems);
        }
    }
}

impl BookReport {
    fn new(session: &Session, instrument: &Instrument, oracle: &BookOracle) -> Self {
        let id = instrument.id;
        let SequencerStatistics {
            diffs_applied,
            diffs_stale,
            diffs_buffered,
            snapshots_applied,
            snapshots_refused,
            gaps,
            crossed,
            best_compared,
            best_mismatches,
            buffer_overflows,
            checksums_right,
            checksums_wrong,
            unknown_deletes,
        } = session.protocol.book_statistics(id).unwrap_or_default();
        let synchronized = session.protocol.is_synchronized(id);
        let (bids, asks) = if synchronized {
            session.protocol.depth(id)
        } else {
            (0, 0)
        };
        Self {
            symbol: instrument.symbol.to_string(),
            subscribed: oracle.is_named,
            synchronized,
            updates: diffs_applied,
            stale: diffs_stale,
            buffered: diffs_buffered,
            overflows: buffer_overflows,
            snapshots: snapshots_applied,
            snapshots_refused,
            gaps,
            resyncs: session
                .resyncs
                .get(usize::from(id.0))
                .copied()
                .unwrap_or_default(),
            checksums: Checksums {
                right: checksums_right,
                wrong: checksums_wrong,
            },
            best: BestComparisons {
                compared: best_compared,
                equal: best_compared.saturating_sub(best_mismatches),
                binding: session.wire.best_is_binding(),
            },
            crossed,
            unknown_deletes,
            last_update_id: oracle.last_update_id,
            levels: Sides { bids, asks },
            orders: oracle.orders().map(|(bids, asks)| Sides { bids, asks }),
            top: oracle.top(TOP_LEVELS).filter(|_| synchronized).map(Top::new),
            trades: Trades {
                count: oracle.tape.count,
                volume: oracle.tape.volume(),
                told: oracle.tape.told,
                told_volume: oracle.tape.told_volume(),
            },
            text_book: TextComparisons {
                compared: oracle.comparisons,
                compared_whole: oracle.whole_comparisons,
                mismatches: oracle.mismatches + oracle.tape.mismatches,
                first_mismatch: oracle.first_mismatch.clone(),
            },
        }
    }

    fn judge(&self, name: &str, problems: &mut Vec<String>) {
        let wrong_best = if self.best.binding {
            self.best.compared - self.best.equal
        } else {
            0
        };
        let faults = [
            (self.gaps, "holes in the book's numbers"),
            (self.overflows, "times too many changes waited for a snapshot"),
            (self.checksums.wrong, "wrong checksums"),
            (wrong_best, "best levels that are not the venue's"),
            (self.crossed, "moments at which the book was crossed"),
            (self.text_book.mismatches, "differences from the venue's text"),
        ];
        tell(name, &faults, problems);
        if self.subscribed && !self.synchronized {
            let how = if self.snapshots == 0 {
                "never stood: nothing of it is proven"
            } else {
                "does not stand at the end"
            };
            problems.push(format!("{name}: the book {how}"));
        }
    }
}

fn tell(name: &str, faults: &[(u64, &str)], problems: &mut Vec<String>) {
    let found = faults.iter().filter(|(count, _)| *count > 0);
    problems.extend(found.map(|(count, what)| format!("{name}: {count} {what}")));
}

impl Totals {
    fn add(&mut self, connection: &ConnectionReport) {
        self.messages += connection.messages;
        self.fallbacks += connection.fallbacks;
        self.errors += connection.errors;
        self.gaps += connection.connection_gaps;
        self.trade_gaps += connection.trade_gaps;
        for book in &connection.books {
            self.gaps += book.gaps;
            self.resyncs += book.resyncs;
            self.checksums_right += book.checksums.right;
            self.checksums_wrong += book.checksums.wrong;
            self.best_compared += book.best.compared;
            self.best_equal += book.best.equal;
            self.crossed += book.crossed;
            self.unknown_deletes += book.unknown_deletes;
            self.updates += book.updates;
            self.trades += book.trades.count;
            self.mismatches += book.text_book.mismatches;
        }
    }
}

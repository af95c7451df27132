//! What was refused, each under its own name.

use domain::{BookInvalidReason, CancelRejectReason, OrderReportKind, RejectReason};
use venues::sequencer::SequencerStatistics;
use venues::{FailureClass, ParseError, VenueError, WireStatistics};

use super::counters::names;
use super::family::Family;

/// Why a message could not be read.
const UNREADABLE: [&str; 5] = ["not_json", "number", "value", "too_many", "other"];

/// What of a market stream was not taken as it came, beside what could not be read.
const MARKET: [&str; 13] = [
    "unknown_symbol",
    "connection_gap",
    "connection_repeat",
    "trade_duplicate",
    "trade_gap",
    "stale_change",
    "refused_snapshot",
    "book_gap",
    "crossed",
    "best_level_mismatch",
    "buffer_overflow",
    "wrong_checksum",
    "unknown_delete",
];

const BOOKS: [&str; 7] = [
    "gap",
    "disconnected",
    "crossed",
    "best_level_mismatch",
    "stale",
    "malformed",
    "checksum",
];

const ORDERS: [&str; 10] = [
    "filter",
    "insufficient_balance",
    "would_take",
    "rate_limit",
    "duplicate_id",
    "authentication",
    "not_trading",
    "other",
    "not_sent",
    "outcome_unknown",
];

const CANCELS: [&str; 2] = ["unknown_order", "other"];

const REQUESTS: [&str; FailureClass::ALL.len()] = names!(FailureClass);

/// Every refusal that is counted by name.
#[derive(Debug)]
pub struct RefusalBoard {
    market: Family,
    books: Family,
    account: Family,
    orders: Family,
    cancels: Family,
    requests: Family,
}

impl Default for RefusalBoard {
    fn default() -> Self {
        Self {
            market: Family::new(
                "market_refused",
                "What of the market's streams was not taken as it came, by kind.",
                "kind",
                &[&UNREADABLE, &MARKET],
            ),
            books: Family::new("books_invalid", "Books given up, by reason.", "reason", &[&BOOKS]),
            account: Family::new(
                "account_refused",
                "Messages of the account's stream that were not taken, by kind.",
                "kind",
                &[&UNREADABLE, &["unknown_symbol"]],
            ),
            orders: Family::new(
                "orders_rejected",
                "New orders that the venue refused, that did not leave, or whose outcome was unknown, by reason.",
                "reason",
                &[&ORDERS],
            ),
            cancels: Family::new(
                "cancels_rejected",
                "Cancels that the venue refused or that did not leave, by reason.",
                "reason",
                &[&CANCELS],
            ),
            requests: Family::new(
                "requests_refused",
                "Questions to the venue that brought no answer of use, by class.",
                "class",
                &[&REQUESTS],
            ),
        }
    }
}

impl RefusalBoard {
    /// All of them, for `/metrics`.
    pub const fn families(&self) -> [&Family; 6] {
        let Self {
            market,
            books,
            account,
            orders,
            cancels,
            requests,
        } = self;
        [market, books, account, orders, cancels, requests]
    }

    /// A message of the market's stream could not be read.
    pub fn market_unreadable(&self, error: &VenueError) {
        self.market.add_one(unreadable(error));
    }

    /// A message of the account's stream could not be read.
    pub fn account_unreadable(&self, error: &VenueError) {
        self.account.add_one(unreadable(error));
    }

    /// What a reader of the market's stream has counted itself, all books together.
    pub fn market(&self, wire: &WireStatistics, books: impl Iterator<Item = SequencerStatistics>) {
        let mut sum = SequencerStatistics::default();
        for book in books {
            sum.diffs_stale += book.diffs_stale;
            sum.snapshots_refused += book.snapshots_refused;
            sum.gaps += book.gaps;
            sum.crossed += book.crossed;
            sum.best_mismatches += book.best_mismatches;
            sum.buffer_overflows += book.buffer_overflows;
            sum.checksums_wrong += book.checksums_wrong;
            sum.unknown_deletes += book.unknown_deletes;
        }
        let totals = [
            wire.unknown_symbols,
            wire.connection_gaps,
            wire.connection_repeats,
            wire.trade_duplicates,
            wire.trade_gaps,
            sum.diffs_stale,
            sum.snapshots_refused,
            sum.gaps,
            sum.crossed,
            sum.best_mismatches,
            sum.buffer_overflows,
            sum.checksums_wrong,
            sum.unknown_deletes,
        ];
        for (value, total) in MARKET.into_iter().zip(totals) {
            self.market.set(value, total);
        }
    }

    /// Events of the account's stream for symbols that are not in the table.
    pub fn account_unknown_symbols(&self, total: u64) {
        self.account.set("unknown_symbol", total);
    }

    /// A book was given up.
    pub fn book(&self, reason: BookInvalidReason) {
        self.books.add_one(match reason {
            BookInvalidReason::Gap => "gap",
            BookInvalidReason::Disconnected => "disconnected",
            BookInvalidReason::Crossed => "crossed",
            BookInvalidReason::BestLevelMismatch => "best_level_mismatch",
            BookInvalidReason::Stale => "stale",
            BookInvalidReason::Malformed => "malformed",
            BookInvalidReason::Checksum => "checksum",
        });
    }

    /// What came of an order or of its cancel.
    pub fn report(&self, kind: OrderReportKind) {
        match kind {
            OrderReportKind::Rejected(reason) => self.orders.add_one(match reason {
                RejectReason::Filter => "filter",
                RejectReason::InsufficientBalance => "insufficient_balance",
                RejectReason::WouldTake => "would_take",
                RejectReason::RateLimit => "rate_limit",
                RejectReason::DuplicateId => "duplicate_id",
                RejectReason::Authentication => "authentication",
                RejectReason::NotTrading => "not_trading",
                RejectReason::Other => "other",
            }),
            OrderReportKind::NotSent => self.orders.add_one("not_sent"),
            OrderReportKind::OutcomeUnknown => self.orders.add_one("outcome_unknown"),
            OrderReportKind::CancelRejected(reason) => self.cancels.add_one(match reason {
                CancelRejectReason::UnknownOrder => "unknown_order",
                CancelRejectReason::Other => "other",
            }),
            _ => {}
        }
    }

    /// A question to the venue brought no answer of use.
    pub fn request(&self, error: &VenueError) {
        self.requests.add_one(error.class().as_str());
    }
}

const fn unreadable(error: &VenueError) -> &'static str {
    match error {
        VenueError::Malformed { source, .. } => match source {
            ParseError::Json(_) => "not_json",
            ParseError::Number { .. } => "number",
            ParseError::Value { .. } => "value",
            ParseError::TooMany { .. } => "too_many",
        },
        _ => "other",
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn count(board: &RefusalBoard, name: &str, value: &str) -> u64 {
        let family = board.families().into_iter().find(|family| family.name == name);
        let counts = family.unwrap().read();
        counts
            .filter(|(known, _)| *known == value)
            .map(|(_, count)| count)
            .sum()
    }

    #[test]
    fn each_refusal_counts_under_its_own_name() {
        let board = RefusalBoard::default();
        let json = serde_json::from_str::<u8>("{").unwrap_err();
        let malformed = |source| VenueError::Malformed { what: "book", source };
        board.market_unreadable(&malformed(ParseError::Json(json)));
        board.market_unreadable(&malformed(ParseError::TooMany {
            field: "bids",
            max: 1,
        }));
        let value = ParseError::Value {
            field: "side",
            problem: "buy or sell",
        };
        board.account_unreadable(&malformed(value));
        board.book(BookInvalidReason::Checksum);
        board.report(OrderReportKind::Rejected(RejectReason::WouldTake));
        board.report(OrderReportKind::OutcomeUnknown);
        board.report(OrderReportKind::CancelRejected(CancelRejectReason::UnknownOrder));
        board.report(OrderReportKind::Canceled);
        for status in [401, 429, 503, 400] {
            board.request(&VenueError::Refused {
                request: "balances",
                status,
                code: 0,
                message: String::new(),
            });
        }
        let book = SequencerStatistics {
            checksums_wrong: 2,
            gaps: 1,
            ..SequencerStatistics::default()
        };
        let wire = WireStatistics {
            unknown_symbols: 4,
            ..WireStatistics::default()
        };
        board.market(&wire, [book, book].into_iter());
        for (name, value, wanted) in [
            ("market_refused", "not_json", 1),
            ("market_refused", "too_many", 1),
            ("market_refused", "wrong_checksum", 4),
            ("market_refused", "book_gap", 2),
            ("market_refused", "unknown_symbol", 4),
            ("account_refused", "value", 1),
            ("books_invalid", "checksum", 1),
            ("orders_rejected", "would_take", 1),
            ("orders_rejected", "outcome_unknown", 1),
            ("cancels_rejected", "unknown_order", 1),
            ("requests_refused", "authentication", 1),
            ("requests_refused", "rate_limit", 1),
            ("requests_refused", "unavailable", 1),
            ("requests_refused", "refused", 1),
        ] {
            assert_eq!(count(&board, name, value), wanted, "{name} {value}");
        }
        let total: u64 = board
            .families()
            .iter()
            .flat_map(|family| family.read())
            .map(|(_, count)| count)
            .sum();
        assert_eq!(total, 21, "and nowhere else");
    }
}

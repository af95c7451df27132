//! What the market of each venue comes to, counted by venue.

use domain::Venue;

use super::counters::{Counter, Kind};

/// The market of one venue.
#[derive(Debug, Default)]
pub struct VenueCounters {
    /// 1 where this service reads its market.
    read_here: Counter,
    /// 1 while its streams are up.
    pub online: Counter,
    /// Messages taken in.
    pub messages: Counter,
    /// Those that could not be read.
    pub unreadable: Counter,
    /// Books given up.
    pub books_given_up: Counter,
    /// Books that stand.
    pub books: Counter,
    /// Messages that wait.
    pub waiting: Counter,
    /// Attempts to begin that failed.
    pub starts_failed: Counter,
}

/// One number of every venue.
#[derive(Debug, Clone, Copy)]
pub struct VenueFamily {
    /// Its name in `/metrics`.
    pub name: &'static str,
    /// What it says.
    pub help: &'static str,
    /// What it is.
    pub kind: Kind,
    value: fn(&VenueCounters) -> u64,
}

const fn family(
    kind: Kind,
    name: &'static str,
    help: &'static str,
    value: fn(&VenueCounters) -> u64,
) -> VenueFamily {
    VenueFamily {
        name,
        help,
        kind,
        value,
    }
}

/// Every family, in the order of `/metrics`.
const FAMILIES: [VenueFamily; 7] = [
    family(
        Kind::Level,
        "market_online",
        "1 while the market streams of the venue are up, else 0.",
        |venue| venue.online.get(),
    ),
    family(
        Kind::Level,
        "market_books",
        "Books of the venue that stand.",
        |venue| venue.books.get(),
    ),
    family(
        Kind::Level,
        "market_waiting",
        "Market messages of the venue that wait for the deciding thread.",
        |venue| venue.waiting.get(),
    ),
    family(
        Kind::Total,
        "market_messages",
        "Market messages of the venue taken in.",
        |venue| venue.messages.get(),
    ),
    family(
        Kind::Total,
        "market_unreadable",
        "Market messages of the venue that could not be read.",
        |venue| venue.unreadable.get(),
    ),
    family(
        Kind::Total,
        "market_books_given_up",
        "Books of the venue given up until their next snapshot.",
        |venue| venue.books_given_up.get(),
    ),
    family(
        Kind::Total,
        "market_starts_failed",
        "Attempts to begin with a watched venue that failed.",
        |venue| venue.starts_failed.get(),
    ),
];

/// Every venue whose market this service reads.
#[derive(Debug, Default)]
pub struct VenueBoard([VenueCounters; Venue::ALL.len()]);

impl VenueBoard {
    /// The numbers of a venue.
    #[must_use]
    pub fn of(&self, venue: Venue) -> &VenueCounters {
        let at = Venue::ALL.iter().position(|&known| known == venue);
        &self.0[at.unwrap_or_default()]
    }

    /// The market of this venue is read here: its numbers are shown from now on.
    pub fn show(&self, venue: Venue) {
        self.of(venue).read_here.set(1);
    }

    /// Every family with its number for each venue that is read here.
    pub fn read(&self) -> impl Iterator<Item = (VenueFamily, Vec<(Venue, u64)>)> + '_ {
        let shown = || {
            Venue::ALL
                .iter()
                .zip(&self.0)
                .filter(|(_, venue)| venue.read_here.get() > 0)
        };
        FAMILIES.into_iter().map(move |family| {
            let values = shown().map(|(venue, counters)| (*venue, (family.value)(counters)));
            (family, values.collect())
        })
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn only_venues_that_are_read_here_are_shown_each_with_its_own() {
        let board = VenueBoard::default();
        board.show(Venue::Kraken);
        board.show(Venue::Binance);
        board.of(Venue::Kraken).messages.add(7);
        board.of(Venue::Coinbase).messages.add(9);
        let read: Vec<_> = board.read().collect();
        assert_eq!(read.len(), FAMILIES.len());
        let (_, messages) = read
            .iter()
            .find(|(family, _)| family.name == "market_messages")
            .unwrap();
        assert_eq!(*messages, [(Venue::Binance, 0), (Venue::Kraken, 7)]);
    }
}

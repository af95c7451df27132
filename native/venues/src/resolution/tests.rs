//! A toy venue that is as unhelpful as real ones, and a hundred thousand orders whose answers it loses.

use rand_chacha::ChaCha8Rng;
use rand_core::{Rng, SeedableRng};

use super::*;

const MILLI: i64 = 1_000_000;

/// Orders by which the rules of each venue are judged, and by which shortcuts are.
const ORDERS: u64 = 100_000;
const ORDERS_OF_SHORTCUTS: u64 = 10_000;

const MARGINS: Margins = margins(1_000);

/// For a venue that may take an order so long after its time.
const fn margins(window_ms: i64) -> Margins {
    Margins {
        recv_window: Nanos::from_millis(window_ms),
        staleness: READ_STALENESS,
        skew: Nanos::from_millis(250),
        first_pause: FIRST_PAUSE,
        longest_pause: LONGEST_PAUSE,
    }
}

struct Chance(ChaCha8Rng);

impl Chance {
    fn millis(&mut self, max: i64) -> i64 {
        i64::try_from(self.0.next_u64() % (max.unsigned_abs() + 1)).unwrap()
    }

    fn percent(&mut self, percent: i64) -> bool {
        self.millis(99) < percent
    }
}

/// One order and what really happens to it. Times in milliseconds of our clock; sent at zero.
struct ToyVenue {
    chance: Chance,
    /// When the matching engine took it; `None` when it never did.
    taken: Option<i64>,
    /// When it left the book, by trade or cancel.
    ended: Option<i64>,
    traded: Option<i64>,
    /// The order query never learns of some orders, and forgets others once they have ended.
    query_knows: bool,
    query_forgets: bool,
}

impl ToyVenue {
    fn new(seed: u64, window_ms: i64) -> Self {
        let mut chance = Chance(ChaCha8Rng::seed_from_u64(seed));
        let skew = chance.millis(500) - 250;
        let delay = match chance.millis(2) {
            0 => chance.millis(200),
            1 => chance.millis(window_ms * 14 / 10),
            _ => chance.millis(window_ms * 30),
        };
        let lost = chance.percent(20);
        // The receive window is judged by the venue's clock.
        let taken = (!lost && delay + skew <= window_ms).then_some(delay);
        let trades = taken
            .filter(|_| chance.percent(50))
            .map(|at| at + chance.millis(8_000));
        let canceled = taken
            .filter(|_| trades.is_none() && chance.percent(30))
            .map(|at| at + chance.millis(8_000));
        let query_knows = !chance.percent(30);
        let query_forgets = chance.percent(30);
        // An order the query never learns of, and that ended without a trade, leaves no trace anywhere: no
        // protocol can find it, and no venue is that bad.
        let query_knows = query_knows || (canceled.is_some());
        Self {
            taken,
            ended: trades.or(canceled),
            traded: trades,
            query_knows,
            query_forgets: query_forgets && trades.is_some(),
            chance,
        }
    }

    fn was_placed(&self) -> bool {
        self.taken.is_some()
    }

    /// What a source says at `now`: the state of up to ten seconds ago, or nothing.
    fn ask(&mut self, source: Source, now: i64) -> Answer {
        if self.chance.percent(10) {
            return Answer::Failed;
        }
        let seen = now - self.chance.millis(10_000);
        let by = |at: Option<i64>| at.is_some_and(|at| at <= seen);
        let present = match source {
            Source::OpenOrders => by(self.taken) && !by(self.ended),
            Source::Trades => by(self.traded),
            Source::Order => by(self.taken) && self.query_knows && !(self.query_forgets && by(self.ended)),
        };
        if present { Answer::Present } else { Answer::Absent }
    }
}

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Verdict {
    Found,
    NotFound,
    GaveUp,
}

fn run(venue: &mut ToyVenue, margins: Margins, ignored: &[Source]) -> Verdict {
    let mut resolution = Resolution::new(Timestamp::EPOCH, margins);
    // The client gave up waiting for the answer after a timeout.
    let mut now = 50 + venue.chance.millis(3_000);
    loop {
        match resolution.next(Timestamp::from_millis(now)) {
            Step::Ask(source) => {
                let asked = now;
                now += 1 + venue.chance.millis(50);
                let mut answer = venue.ask(source, now);
                if ignored.contains(&source) {
                    // A resolver that takes this source's agreement for granted.
                    answer = Answer::Absent;
                }
                let times = [asked, now].map(Timestamp::from_millis);
                resolution.answer(source, times[0], times[1], answer);
            }
            Step::WaitUntil(at) => {
                assert!(at > Timestamp::from_millis(now), "waiting for the past");
                now = (at.nanos() + MILLI - 1).div_euclid(MILLI);
            }
            Step::Found => return Verdict::Found,
            Step::NotFound => return Verdict::NotFound,
            Step::GaveUp => return Verdict::GaveUp,
        }
    }
}

/// How often the verdict "not placed" was wrong, and how often each verdict fell.
fn judge(orders: u64, window_ms: i64, margins: Margins, ignored: &[Source]) -> (u32, u32, u32) {
    let (mut false_rejects, mut found, mut not_found) = (0, 0, 0);
    for seed in 0..orders {
        let mut venue = ToyVenue::new(seed, window_ms);
        match run(&mut venue, margins, ignored) {
            Verdict::Found => {
                assert!(venue.was_placed(), "seed {seed}: found what was never placed");
                found += 1;
            }
            Verdict::NotFound => {
                not_found += 1;
                false_rejects += u32::from(venue.was_placed());
            }
            Verdict::GaveUp => panic!("seed {seed}: gave up on a venue that answers nine times in ten"),
        }
    }
    (false_rejects, found, not_found)
}

/// Until when a venue may take an order: Binance by the receive window, Kraken by the order's deadline, Coinbase as long as
/// the token of the request is valid.
#[test]
fn a_hundred_thousand_ambiguous_orders_of_each_venue_and_no_false_reject() {
    for (venue, window_ms) in [("binance", 1_000), ("kraken", 5_000), ("coinbase", 120_000)] {
        let (false_rejects, found, not_found) = judge(ORDERS, window_ms, margins(window_ms), &[]);
        assert_eq!(false_rejects, 0, "{venue}");
        assert!(
            found > 20_000 && not_found > 20_000,
            "{venue}: both outcomes occur: {found}, {not_found}"
        );
    }
}

#[test]
fn the_toy_venue_punishes_haste_and_a_single_source() {
    let hasty = Margins {
        staleness: Nanos(0),
        ..MARGINS
    };
    assert!(
        judge(ORDERS_OF_SHORTCUTS, 1_000, hasty, &[]).0 > 100,
        "without waiting for lagging copies orders are missed"
    );
    let no_window = Margins {
        recv_window: Nanos(0),
        staleness: Nanos(0),
        skew: Nanos(0),
        ..MARGINS
    };
    assert!(
        judge(ORDERS_OF_SHORTCUTS, 1_000, no_window, &[]).0 > 100,
        "orders still on their way are missed"
    );
    for ignored in Source::ALL {
        assert!(
            judge(ORDERS_OF_SHORTCUTS, 1_000, MARGINS, &[ignored]).0 > 50,
            "two sources without {ignored:?} miss orders"
        );
    }
}

#[test]
fn absence_counts_only_after_the_decisive_time_and_from_three() {
    let mut resolution = Resolution::new(Timestamp::EPOCH, MARGINS);
    let decisive = Timestamp::from_millis(11_250);
    assert_eq!(resolution.decisive_from(), decisive);
    let early = Timestamp::from_millis(100);
    assert_eq!(resolution.next(early), Step::Ask(Source::Order));
    resolution.answer(Source::Order, early, early, Answer::Absent);
    assert_eq!(
        resolution.next(early),
        Step::WaitUntil(Timestamp::from_millis(600))
    );

    assert_eq!(resolution.next(decisive), Step::Ask(Source::OpenOrders));
    let answered = Timestamp::from_millis(11_300);
    resolution.answer(Source::OpenOrders, decisive, answered, Answer::Absent);
    let later = answered.plus(READ_STALENESS);
    assert_eq!(resolution.next(answered), Step::WaitUntil(later));
    for source in [Source::Order, Source::Trades] {
        assert_eq!(resolution.next(later), Step::Ask(source));
        resolution.answer(source, later, later, Answer::Absent);
    }
    assert_eq!(resolution.next(later), Step::NotFound);
}

#[test]
fn one_source_that_knows_settles_it() {
    for source in Source::ALL {
        let mut resolution = Resolution::new(Timestamp::EPOCH, MARGINS);
        resolution.answer(source, Timestamp::EPOCH, Timestamp::EPOCH, Answer::Present);
        assert_eq!(resolution.next(Timestamp::from_millis(2)), Step::Found);
    }
    let mut resolution = Resolution::new(Timestamp::EPOCH, MARGINS);
    resolution.observed();
    assert_eq!(resolution.next(Timestamp::EPOCH), Step::Found);
}

#[test]
fn failures_are_asked_again_with_growing_pauses_and_end() {
    let mut resolution = Resolution::new(Timestamp::EPOCH, MARGINS);
    let mut now = resolution.decisive_from();
    let mut pauses = Vec::new();
    loop {
        match resolution.next(now) {
            Step::Ask(source) => resolution.answer(source, now, now, Answer::Failed),
            Step::WaitUntil(at) => {
                pauses.push(at.since(now));
                now = at;
            }
            Step::GaveUp => break,
            other => panic!("{other:?} from failures alone"),
        }
    }
    assert_eq!(pauses.len() + 1, usize::try_from(ROUNDS_MAX).unwrap());
    assert!(pauses.is_sorted());
    assert_eq!(pauses.last(), Some(&Nanos::from_secs(30)));
}

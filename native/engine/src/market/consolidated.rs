//! One asset pair at several venues, seen as one market.
//!
//! What each venue offers is kept to a bounded depth; what stands now is asked for with the time: a venue whose book is
//! invalid, or older than the bound, offers nothing. Prices are the venues' own, or what a taker pays and gets after
//! each venue's fee, in whole units rounded against us. The best bid of one venue may stand above the best ask of
//! another: that is an observation, not a fault.

use domain::{Currency, Decimal, InstrumentId, Level, Nanos, Price, Quantity, SCALE, Timestamp, Venue};
use thiserror::Error;

use crate::limits::{CONSOLIDATED_LEVELS_MAX, CONSOLIDATED_MEMBERS_MAX};

/// A whole in units of `taker_bps`: ten thousand of them, each of [`SCALE`] units.
const WHOLE: i128 = 10_000 * SCALE as i128;

/// One venue's instrument in a consolidated market.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Member {
    /// The instrument.
    pub instrument: InstrumentId,
    /// Where it trades.
    pub venue: Venue,
    /// What is bought: the same for all members.
    pub base: Currency,
    /// What is paid: the same for all members.
    pub quote: Currency,
    /// What the venue takes of an order that takes, in ten-thousandths; negative where it pays for it.
    pub taker_bps: Decimal,
}

/// Which price of an offer counts.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Pricing {
    /// The venue's.
    AtVenue,
    /// What a taker pays, or gets, with the venue's fee in it.
    AfterFees,
}

/// When what a book says was made and received.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Stamps {
    /// Venue time.
    pub ts_event: Timestamp,
    /// Engine time.
    pub ts_received: Timestamp,
}

impl Stamps {
    /// Age at `now`: since it was received, and since the venue made it.
    const fn age(self, now: Timestamp) -> Nanos {
        let (received, made) = (now.since(self.ts_received), now.since(self.ts_event));
        if received.0 > made.0 { received } else { made }
    }
}

/// Whether a member offers anything.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Standing {
    /// What it offers counts; its book is this old.
    Taken(Nanos),
    /// It has no book to be believed.
    Invalid,
    /// Its book is older than the bound: this old.
    Stale(Nanos),
}

/// One level of one venue.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Offer {
    /// Where.
    pub instrument: InstrumentId,
    /// At which venue.
    pub venue: Venue,
    /// The venue's price.
    pub price: Price,
    /// The price that was asked for: the venue's, or that after fees.
    pub net_price: Price,
    /// Quantity resting there.
    pub quantity: Quantity,
}

/// Why instruments make no consolidated market.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Error)]
pub enum ConsolidatedError {
    /// None, or more than the bound.
    #[error("a consolidated market has 1 to {CONSOLIDATED_MEMBERS_MAX} members, not {0}")]
    Count(usize),
    /// The same instrument twice.
    #[error("instrument {} is named twice", .0.0)]
    Repeated(InstrumentId),
    /// Another pair than the first member's.
    #[error("{base}/{quote} at {venue} is another pair than {}/{}", .first.0, .first.1)]
    Pair {
        /// Whose pair it is.
        venue: Venue,
        /// What it buys.
        base: Currency,
        /// What it pays.
        quote: Currency,
        /// The first member's pair.
        first: (Currency, Currency),
    },
    /// The asset itself beside a contract on it.
    #[error("{0} and {1} do not trade the same thing: one trades the asset, the other a contract on it")]
    Kind(Venue, Venue),
    /// A fee of everything, or a rebate of as much.
    #[error("taker_bps of {0} is {1}: allowed is more than -10000 and less than 10000")]
    Fee(Venue, Decimal),
    /// An age below zero.
    #[error("the oldest age allowed is {0:?}: it must not be negative")]
    Age(Nanos),
}

/// Which side of a market.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum BookSide {
    Bids,
    Asks,
}

/// The kept depth of one side.
#[derive(Debug, Clone, Copy)]
struct Depth {
    levels: [Level; CONSOLIDATED_LEVELS_MAX],
    count: usize,
}

impl Depth {
    const EMPTY: Self = {
        let none = Level {
            price: Price::ZERO,
            quantity: Quantity::ZERO,
        };
        Self {
            levels: [none; CONSOLIDATED_LEVELS_MAX],
            count: 0,
        }
    };

    fn take<'a>(&mut self, levels: impl IntoIterator<Item = &'a Level>) {
        self.count = 0;
        for (place, level) in self.levels.iter_mut().zip(levels) {
            *place = *level;
            self.count += 1;
        }
    }
}

/// A member with what it offers.
#[derive(Debug, Clone, Copy)]
struct Seat {
    member: Member,
    /// `None` while its book is not to be believed.
    stamps: Option<Stamps>,
    bids: Depth,
    asks: Depth,
}

impl Seat {
    fn standing(&self, now: Timestamp, max_age: Nanos) -> Standing {
        let Some(stamps) = self.stamps else {
            return Standing::Invalid;
        };
        let age = stamps.age(now);
        if age > max_age {
            Standing::Stale(age)
        } else {
            Standing::Taken(age)
        }
    }

    fn offer(&self, side: BookSide, at: usize, pricing: Pricing) -> Option<Offer> {
        let depth = match side {
            BookSide::Bids => &self.bids,
            BookSide::Asks => &self.asks,
        };
        let level = depth.levels[..depth.count].get(at)?;
        let net_price = match pricing {
            Pricing::AtVenue => level.price,
            Pricing::AfterFees => after_fees(level.price, side, self.member.taker_bps),
        };
        Some(Offer {
            instrument: self.member.instrument,
            venue: self.member.venue,
            price: level.price,
            net_price,
            quantity: level.quantity,
        })
    }
}

/// What a buyer at the asks pays for one, or a seller to the bids gets: rounded up, or down. A price beyond the range is
/// the range's end.
fn after_fees(price: Price, side: BookSide, taker_bps: Decimal) -> Price {
    let (units, fee) = (i128::from(price.units()), i128::from(taker_bps.units()));
    let net = match side {
        BookSide::Bids => (units * (WHOLE - fee)).div_euclid(WHOLE),
        BookSide::Asks => -(-units * (WHOLE + fee)).div_euclid(WHOLE),
    };
    Price::from_units(i64::try_from(net).unwrap_or(i64::MAX))
}

/// The members' books, of which asking makes one market. Room is made once; nothing grows.
#[derive(Debug, Clone)]
pub struct Consolidated {
    /// By instrument: where offers are equal, the lower instrument comes first.
    seats: Vec<Seat>,
    max_age: Nanos,
}

impl Consolidated {
    /// A market of `members`, of which none has offered anything yet. A book older than `max_age` does not count.
    ///
    /// # Errors
    /// [`ConsolidatedError`].
    pub fn new(members: &[Member], max_age: Nanos) -> Result<Self, ConsolidatedError> {
        check(members, max_age)?;
        let seat = |member: &Member| Seat {
            member: *member,
            stamps: None,
            bids: Depth::EMPTY,
            asks: Depth::EMPTY,
        };
        let mut seats: Vec<_> = members.iter().map(seat).collect();
        seats.sort_unstable_by_key(|seat| seat.member.instrument);
        if let Some(pair) = seats
            .windows(2)
            .find(|pair| pair[0].member.instrument == pair[1].member.instrument)
        {
            return Err(ConsolidatedError::Repeated(pair[0].member.instrument));
        }
        Ok(Self { seats, max_age })
    }

    /// Takes a member's book as it stands now, best levels first; what lies beyond [`CONSOLIDATED_LEVELS_MAX`] is left
    /// out. Whether the instrument is a member.
    pub fn on_book<'a>(
        &mut self,
        instrument: InstrumentId,
        stamps: Stamps,
        bids: impl IntoIterator<Item = &'a Level>,
        asks: impl IntoIterator<Item = &'a Level>,
    ) -> bool {
        let Some(seat) = self.seat(instrument) else {
            return false;
        };
        seat.stamps = Some(stamps);
        seat.bids.take(bids);
        seat.asks.take(asks);
        true
    }

    /// A member's book is not to be believed any more. Whether the instrument is a member.
    pub fn on_invalid(&mut self, instrument: InstrumentId) -> bool {
        let Some(seat) = self.seat(instrument) else {
            return false;
        };
        seat.stamps = None;
        true
    }

    /// The members and whether they count at `now`, by instrument.
    pub fn standings(&self, now: Timestamp) -> impl Iterator<Item = (&Member, Standing)> {
        let judged = move |seat: &Seat| seat.standing(now, self.max_age);
        self.seats.iter().map(move |seat| (&seat.member, judged(seat)))
    }

    /// What may be sold to at `now`, highest price first.
    #[must_use]
    pub fn bids(&self, now: Timestamp, pricing: Pricing) -> Offers<'_> {
        Offers::new(self, BookSide::Bids, now, pricing)
    }

    /// What may be bought at `now`, lowest price first.
    #[must_use]
    pub fn asks(&self, now: Timestamp, pricing: Pricing) -> Offers<'_> {
        Offers::new(self, BookSide::Asks, now, pricing)
    }

    /// The highest bid at `now`.
    #[must_use]
    pub fn best_bid(&self, now: Timestamp, pricing: Pricing) -> Option<Offer> {
        self.bids(now, pricing).next()
    }

    /// The lowest ask at `now`.
    #[must_use]
    pub fn best_ask(&self, now: Timestamp, pricing: Pricing) -> Option<Offer> {
        self.asks(now, pricing).next()
    }

    fn seat(&mut self, instrument: InstrumentId) -> Option<&mut Seat> {
        self.seats
            .iter_mut()
            .find(|seat| seat.member.instrument == instrument)
    }
}

fn check(members: &[Member], max_age: Nanos) -> Result<(), ConsolidatedError> {
    let Some(first) = members
        .first()
        .filter(|_| members.len() <= CONSOLIDATED_MEMBERS_MAX)
    else {
        return Err(ConsolidatedError::Count(members.len()));
    };
    for member in members {
        let Member {
            venue,
            base,
            quote,
            taker_bps,
            ..
        } = *member;
        if (base, quote) != (first.base, first.quote) {
            return Err(ConsolidatedError::Pair {
                venue,
                base,
                quote,
                first: (first.base, first.quote),
            });
        }
        if venue.is_spot() != first.venue.is_spot() {
            return Err(ConsolidatedError::Kind(first.venue, venue));
        }
        if i128::from(taker_bps.units()).abs() >= WHOLE {
            return Err(ConsolidatedError::Fee(venue, taker_bps));
        }
    }
    if max_age.0 < 0 {
        return Err(ConsolidatedError::Age(max_age));
    }
    Ok(())
}

/// The offers of one side, best first: the members' levels merged as they are asked for.
#[derive(Debug, Clone)]
pub struct Offers<'a> {
    seats: &'a [Seat],
    side: BookSide,
    pricing: Pricing,
    /// Each member's next offer; `None` where it has no more, or does not count.
    next: [Option<Offer>; CONSOLIDATED_MEMBERS_MAX],
    /// The level after it.
    after: [usize; CONSOLIDATED_MEMBERS_MAX],
}

impl<'a> Offers<'a> {
    fn new(market: &'a Consolidated, side: BookSide, now: Timestamp, pricing: Pricing) -> Self {
        let mut next = [None; CONSOLIDATED_MEMBERS_MAX];
        for (place, seat) in next.iter_mut().zip(&market.seats) {
            if matches!(seat.standing(now, market.max_age), Standing::Taken(_)) {
                *place = seat.offer(side, 0, pricing);
            }
        }
        Self {
            seats: &market.seats,
            side,
            pricing,
            next,
            after: [1; CONSOLIDATED_MEMBERS_MAX],
        }
    }

    fn is_better(&self, one: &Offer, other: &Offer) -> bool {
        match self.side {
            BookSide::Bids => one.net_price > other.net_price,
            BookSide::Asks => one.net_price < other.net_price,
        }
    }
}

impl Iterator for Offers<'_> {
    type Item = Offer;

    fn next(&mut self) -> Option<Offer> {
        let mut best: Option<(usize, Offer)> = None;
        for (at, offer) in self.next[..self.seats.len()].iter().enumerate() {
            if let Some(offer) = offer
                && best.is_none_or(|(_, best)| self.is_better(offer, &best))
            {
                best = Some((at, *offer));
            }
        }
        let (at, offer) = best?;
        self.next[at] = self.seats[at].offer(self.side, self.after[at], self.pricing);
        self.after[at] += 1;
        Some(offer)
    }
}

#[cfg(test)]
mod tests;

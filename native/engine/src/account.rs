//! What stands or moves on the account and no order of our record explains: found by comparing with the venue, told to
//! the engine, and named.

use domain::{
    ClientOrderId, Fill, InstrumentId, Money, Price, Quantity, Side, SlotId, Timestamp, TradeId, Venue,
    VenueOrderId,
};

/// The name of a movement that had to be inferred: equal facts have equal names, in every life and in every replay. What is
/// told again under a name of the last [`MOVEMENTS_REMEMBERED`](crate::limits::MOVEMENTS_REMEMBERED) is not booked again.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct MovementId(pub u64);

/// An order that rests on our account.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct StandingOrder {
    /// The venue's number of it.
    pub venue_order_id: VenueOrderId,
    /// What it trades.
    pub instrument: InstrumentId,
    /// Its side.
    pub side: Side,
    /// Its limit; `None` where the venue names none.
    pub price: Option<Price>,
    /// Its base quantity.
    pub quantity: Quantity,
    /// What of it traded before anybody told us.
    pub filled: Quantity,
}

/// What becomes of an order with an id of ours that no record knows.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub enum OrphanRule {
    /// It is canceled.
    Cancel,
    /// It becomes an order of the slot that its id names, where that slot trades its instrument; any other is canceled.
    Adopt,
}

/// What moved on the account.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum MovementKind {
    /// An execution that no order of ours explains: somebody trades by hand.
    Trade {
        /// What traded.
        instrument: InstrumentId,
        /// The execution.
        fill: Fill,
    },
    /// A deposit, or with a negative amount a withdrawal.
    Transfer(Money),
    /// What the venue's rounding of our fills left over.
    Rounding(Money),
}

/// A movement of the account that belongs to no slot: never a profit, never a loss.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Movement {
    /// Its name.
    pub id: MovementId,
    /// Where.
    pub venue: Venue,
    /// Venue time: of the execution, or at which the account was found changed.
    pub ts_event: Timestamp,
    /// What moved.
    pub kind: MovementKind,
}

impl Movement {
    /// Somebody's execution. `symbol` is the venue's name of the instrument: ids of instruments differ from life to life.
    #[must_use]
    pub fn trade(
        venue: Venue,
        (instrument, symbol): (InstrumentId, &str),
        ts_event: Timestamp,
        fill: Fill,
    ) -> Self {
        let TradeId(number) = fill.trade_id;
        let side = [u8::from(fill.side == Side::Sell)];
        let name = Name::of("trade", venue);
        Self {
            id: name
                .with(symbol.as_bytes())
                .with(&number.to_le_bytes())
                .with(&side)
                .id(),
            venue,
            ts_event,
            kind: MovementKind::Trade { instrument, fill },
        }
    }

    /// A change of a balance that no execution explains, found at `ts_event`. `since` is up to when the account was
    /// accounted for before: a life that ends before it wrote the movement down finds it again under the same name.
    #[must_use]
    pub fn transfer(venue: Venue, since: Timestamp, ts_event: Timestamp, amount: Money) -> Self {
        Self {
            id: Self::amount_id("transfer", venue, since, amount),
            venue,
            ts_event,
            kind: MovementKind::Transfer(amount),
        }
    }

    /// The same for what rounding left over.
    #[must_use]
    pub fn rounding(venue: Venue, since: Timestamp, ts_event: Timestamp, amount: Money) -> Self {
        Self {
            id: Self::amount_id("rounding", venue, since, amount),
            venue,
            ts_event,
            kind: MovementKind::Rounding(amount),
        }
    }

    fn amount_id(kind: &str, venue: Venue, since: Timestamp, amount: Money) -> MovementId {
        Name::of(kind, venue)
            .with(amount.currency().as_str().as_bytes())
            .with(&amount.units().to_le_bytes())
            .with(&since.nanos().to_le_bytes())
            .id()
    }
}

/// FNV-1a of 64 bits over parts, each ended by a byte that no text has.
struct Name(u64);

impl Name {
    fn of(kind: &str, venue: Venue) -> Self {
        Self(0xcbf2_9ce4_8422_2325)
            .with(kind.as_bytes())
            .with(venue.as_str().as_bytes())
    }

    fn with(self, part: &[u8]) -> Self {
        let fold = |hash: u64, byte: &u8| (hash ^ u64::from(*byte)).wrapping_mul(0x0100_0000_01b3);
        Self(part.iter().chain(&[0xff]).fold(self.0, fold))
    }

    const fn id(&self) -> MovementId {
        MovementId(self.0)
    }
}

/// One difference between the venue's account and our record.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Difference {
    /// An order with an id of ours that no record knows.
    Orphan {
        /// Its id.
        client_order_id: ClientOrderId,
        /// As the venue shows it.
        order: StandingOrder,
        /// What is to become of it.
        rule: OrphanRule,
    },
    /// Somebody else's order: left alone.
    ForeignOrder(StandingOrder),
    /// A movement that belongs to no slot.
    Movement(Movement),
}

/// What of the account an earlier life had accounted for beside its slots.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub struct CarriedAccount {
    /// Sums of the movements, one for each asset of a venue.
    pub moved: Vec<Moved>,
    /// Up to when each venue's account was accounted for.
    pub compared: Vec<Compared>,
    /// Fees in assets other than base or quote, at what they were worth.
    pub valued_fees: Vec<ValuedFees>,
    /// Such fees that could not be valued, one sum for each asset.
    pub unvalued_fees: Vec<Money>,
}

impl CarriedAccount {
    /// Whether there is nothing to carry.
    #[must_use]
    pub const fn is_empty(&self) -> bool {
        self.moved.is_empty()
            && self.compared.is_empty()
            && self.valued_fees.is_empty()
            && self.unvalued_fees.is_empty()
    }
}

/// The sum of an asset's movements that belong to no slot.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Moved {
    /// Where.
    pub venue: Venue,
    /// Came in, or with a negative amount went out.
    pub amount: Money,
}

/// Up to when a venue's account was accounted for.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Compared {
    /// Which venue.
    pub venue: Venue,
    /// Venue time.
    pub through: Timestamp,
}

/// What a slot paid in fees of third assets, valued when they were paid.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct ValuedFees {
    /// Which slot.
    pub slot: SlotId,
    /// Quote currency.
    pub amount: Money,
}

#[cfg(test)]
mod tests {
    use domain::{Currency, Liquidity};

    use super::*;

    fn money(units: i128) -> Money {
        Money::from_units(units, Currency::new("USDT").unwrap())
    }

    fn trade(number: u64, side: Side, symbol: &str, instrument: u16) -> MovementId {
        let fill = Fill {
            trade_id: TradeId(number),
            price: Price::from_units(1),
            quantity: Quantity::from_units(1),
            side,
            fee: money(0),
            liquidity: Liquidity::Taker,
        };
        let listed = (InstrumentId(instrument), symbol);
        Movement::trade(Venue::Kraken, listed, Timestamp::EPOCH, fill).id
    }

    #[test]
    fn equal_facts_have_equal_names_and_others_have_others() {
        let named = |venue, since, found, units| {
            let (since, found) = (Timestamp::from_millis(since), Timestamp::from_millis(found));
            Movement::transfer(venue, since, found, money(units)).id
        };
        let first = named(Venue::Kraken, 5, 10, 7);
        assert_eq!(first, named(Venue::Kraken, 5, 99, 7), "found again, later");
        assert_eq!(first, MovementId(11_521_094_520_134_497_957), "for ever");
        let rounding = Movement::rounding(
            Venue::Kraken,
            Timestamp::from_millis(5),
            Timestamp::from_millis(10),
            money(7),
        );
        let others = [
            named(Venue::Binance, 5, 10, 7),
            named(Venue::Kraken, 6, 10, 7),
            named(Venue::Kraken, 5, 10, -7),
            rounding.id,
            trade(7, Side::Buy, "BTC/USD", 0),
            trade(8, Side::Buy, "BTC/USD", 0),
            trade(7, Side::Sell, "BTC/USD", 0),
            trade(7, Side::Buy, "ETH/USD", 0),
        ];
        let mut all = others.to_vec();
        all.push(first);
        all.sort_unstable();
        all.dedup();
        assert_eq!(all.len(), others.len() + 1, "no two alike");
        assert_eq!(
            trade(7, Side::Buy, "BTC/USD", 3),
            others[4],
            "whatever the id of the instrument"
        );
    }
}

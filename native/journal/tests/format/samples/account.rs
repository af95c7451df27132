//! What is compared with a venue's account, and what is carried of it.

use domain::{Currency, Money, Text, Venue, VenueOrderId};
use engine::{
    CarriedAccount, Compared, Difference, Moved, Movement, MovementId, MovementKind, OrphanRule,
    StandingOrder, ValuedFees,
};
use journal::RunHeader;

use super::{AT, BTC, SLOT, fill, header, money, order_id, price, quantity};

pub(super) fn compared() -> Compared {
    Compared {
        venue: Venue::Kraken,
        through: AT,
    }
}

pub(super) fn differences() -> [Difference; 6] {
    let order = StandingOrder {
        venue_order_id: VenueOrderId(Text::new("77").unwrap()),
        instrument: BTC,
        side: domain::Side::Sell,
        price: Some(price(5)),
        quantity: quantity(6),
        filled: quantity(1),
    };
    let orphan = |rule| Difference::Orphan {
        client_order_id: order_id(),
        order,
        rule,
    };
    let movement = |kind| {
        Difference::Movement(Movement {
            id: MovementId(9),
            venue: Venue::Coinbase,
            ts_event: AT,
            kind,
        })
    };
    [
        orphan(OrphanRule::Cancel),
        orphan(OrphanRule::Adopt),
        Difference::ForeignOrder(StandingOrder { price: None, ..order }),
        movement(MovementKind::Trade {
            instrument: BTC,
            fill: fill(),
        }),
        movement(MovementKind::Transfer(money(-3))),
        movement(MovementKind::Rounding(money(1))),
    ]
}

/// The same with what is carried of an account, which older builds did not write.
pub fn header_with_account() -> RunHeader {
    let mut header = header();
    header.config.carried.account = CarriedAccount {
        moved: vec![Moved {
            venue: Venue::Kraken,
            amount: money(-6),
        }],
        compared: vec![compared()],
        valued_fees: vec![ValuedFees {
            slot: SLOT,
            amount: money(7),
        }],
        unvalued_fees: vec![Money::from_units(8, Currency::new("KFEE").unwrap())],
    };
    header
}

/// The same with the names of movements that were booked, which came later still.
pub fn header_with_movements() -> RunHeader {
    let mut header = header_with_account();
    header.config.carried.movements = vec![MovementId(9), MovementId(u64::MAX)];
    header
}

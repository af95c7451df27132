use domain::{
    AmendRequest, Bar, BookUpdate, BookUpdateKind, CancelRequest, ClientOrderId, Currency, Epoch, Fill,
    InstrumentId, Liquidity, MarketEvent, Money, Nanos, OrderRequest, OrderTerms, OrderType, Price, Quantity,
    Side, SlotId, TimeInForce, TradeId,
};
use engine::{Action, Event, EventBody, OrderUpdate};

use super::*;

const INSTRUMENT: InstrumentId = InstrumentId(0);

fn id(counter: u32) -> ClientOrderId {
    ClientOrderId {
        epoch: Epoch(1),
        slot: SlotId(1),
        counter,
    }
}

fn order(counter: u32, units: i64) -> OrderRequest {
    OrderRequest {
        client_order_id: id(counter),
        instrument: INSTRUMENT,
        side: Side::Buy,
        order_type: OrderType::Limit,
        price: Some(Price::from_units(units)),
        quantity: Quantity::from_units(10),
        time_in_force: TimeInForce::Gtc,
        post_only: false,
        reduce_only: false,
    }
}

/// A life that hears one message of the market a step, and does what it is told to.
#[derive(Default)]
struct Life {
    decisions: Decisions,
    step: i64,
}

impl Life {
    fn hears(&mut self) -> &mut Self {
        self.step += 1;
        let update = BookUpdate {
            instrument: INSTRUMENT,
            ts_event: Timestamp::from_nanos(self.step),
            update_id: self.step.unsigned_abs(),
            kind: BookUpdateKind::Delta,
            bids: &[],
            asks: &[],
        };
        let event = Event {
            seq: self.step.unsigned_abs(),
            ts: Timestamp::from_nanos(self.step),
            body: EventBody::Market(MarketEvent::Book(update)),
        };
        self.decisions.event(&event);
        self
    }

    fn closes_a_bar(&mut self) -> &mut Self {
        let price = Price::from_units(1);
        self.decisions.action(&Action::BarClosed(Bar {
            instrument: INSTRUMENT,
            ts_open: Timestamp::from_nanos(self.step),
            span: Nanos(1),
            open: price,
            high: price,
            low: price,
            close: price,
            volume: Quantity::ZERO,
        }));
        self
    }

    fn sends(&mut self, counter: u32, units: i64) -> &mut Self {
        let ts = Timestamp::from_nanos(self.step);
        self.decisions.submitted(ts, &order(counter, units));
        self
    }

    fn cancels(&mut self, counter: u32) -> &mut Self {
        self.decisions.action(&Action::Cancel(CancelRequest {
            client_order_id: id(counter),
            instrument: INSTRUMENT,
        }));
        self
    }

    fn changes(&mut self, counter: u32, units: i64) -> &mut Self {
        self.decisions.amended(&AmendRequest {
            client_order_id: id(counter),
            instrument: INSTRUMENT,
            terms: OrderTerms {
                price: Price::from_units(units),
                quantity: Quantity::from_units(10),
            },
        });
        self
    }

    fn fills(&mut self, counter: u32, units: i64) -> &mut Self {
        self.decisions.action(&Action::Fill(BookedFill {
            client_order_id: Some(id(counter)),
            slot: SlotId(1),
            instrument: INSTRUMENT,
            ts_event: Timestamp::from_nanos(self.step),
            fill: Fill {
                trade_id: TradeId(1),
                price: Price::from_units(units),
                quantity: Quantity::from_units(5),
                side: Side::Buy,
                fee: Money::from_units(0, Currency::new("USDT").unwrap()),
                liquidity: Liquidity::Maker,
            },
            realized: Money::from_units(0, Currency::new("USDT").unwrap()),
        }));
        self
    }

    fn ends(&mut self, counter: u32, status: OrderStatus) -> &mut Self {
        self.decisions.action(&Action::OrderUpdate(OrderUpdate {
            client_order_id: id(counter),
            instrument: INSTRUMENT,
            status,
            filled: Quantity::from_units(5),
            quantity: Quantity::from_units(10),
        }));
        self
    }
}

fn life(lives: impl FnOnce(&mut Life)) -> Decisions {
    let mut life = Life::default();
    lives(&mut life);
    life.decisions
}

/// Two orders, the first changed, filled in part and canceled.
fn usual(life: &mut Life) {
    life.hears().closes_a_bar().sends(1, 100);
    life.hears().changes(1, 101).fills(1, 100);
    life.hears().cancels(1).ends(1, OrderStatus::Canceled);
    life.hears().closes_a_bar().sends(2, 90);
    life.hears();
}

fn difference(replay: impl FnOnce(&mut Life)) -> Option<String> {
    Against::new(&life(usual), &life(replay)).difference
}

#[test]
fn the_same_is_the_same_whenever_it_was_received() {
    let against = Against::new(&life(usual), &life(usual));
    assert_eq!(against.difference, None);
    assert_eq!((against.orders, against.fills, against.compared), (2, 1, 2));
    // What came after the time that both heard is nobody's difference.
    let longer = difference(|life| {
        usual(life);
        life.hears().sends(3, 80);
    });
    assert_eq!(longer, None);
    let shorter = life(|life| {
        life.hears().closes_a_bar().sends(1, 100);
    });
    let against = Against::new(&life(usual), &shorter);
    assert_eq!((against.compared, against.difference), (1, None));
}

#[test]
fn a_missing_an_extra_and_another_action_are_named_with_their_place() {
    let missing = difference(|life| {
        life.hears().closes_a_bar().sends(1, 100);
        life.hears().changes(1, 101).fills(1, 100);
        life.hears();
        life.hears().closes_a_bar().sends(2, 90);
        life.hears();
    });
    let words = "action 3: in the run a cancel of ";
    assert!(missing.as_ref().unwrap().starts_with(words), "{missing:?}");
    let last = difference(|life| {
        life.hears().closes_a_bar().sends(1, 100);
        life.hears().changes(1, 101).fills(1, 100);
        life.hears().cancels(1).ends(1, OrderStatus::Canceled);
        life.hears().closes_a_bar();
        life.hears();
    });
    let last = last.unwrap();
    assert!(
        last.starts_with("action 4: in the run ") && last.ends_with("in the replay none"),
        "{last}"
    );
    let extra = difference(|life| {
        usual(life);
        life.cancels(2);
    });
    let extra = extra.unwrap();
    assert!(
        extra.starts_with("action 5: in the run none, in the replay a cancel of "),
        "{extra}"
    );
    let swapped = difference(|life| {
        life.hears().closes_a_bar().sends(1, 100).cancels(1);
        life.hears().changes(1, 101).fills(1, 100);
        life.hears().ends(1, OrderStatus::Canceled);
        life.hears().closes_a_bar().sends(2, 90);
        life.hears();
    });
    assert!(swapped.as_ref().unwrap().starts_with("action 2: "), "{swapped:?}");
    let other = difference(|life| {
        life.hears().closes_a_bar().sends(1, 100);
        life.hears().changes(1, 102);
        life.hears();
    });
    assert!(other.as_ref().unwrap().starts_with("action 2: "), "{other:?}");
}

#[test]
fn an_order_of_another_bar_is_at_another_place() {
    let late = difference(|life| {
        life.hears().closes_a_bar().sends(1, 100);
        life.hears().changes(1, 101).fills(1, 100);
        life.hears().cancels(1).ends(1, OrderStatus::Canceled);
        life.hears().sends(2, 90).closes_a_bar();
        life.hears();
    });
    let late = late.unwrap();
    assert!(
        late.starts_with("action 4: order ") && late.contains("after the bar that closed at"),
        "{late}"
    );
}

#[test]
fn what_came_of_an_order_is_compared() {
    let with = |filled: Option<i64>, end: Option<OrderStatus>| {
        difference(|life| {
            life.hears().closes_a_bar().sends(1, 100);
            life.hears().changes(1, 101);
            if let Some(units) = filled {
                life.fills(1, units);
            }
            life.hears().cancels(1);
            if let Some(end) = end {
                life.ends(1, end);
            }
            life.hears().closes_a_bar().sends(2, 90);
            life.hears();
        })
    };
    assert_eq!(with(Some(100), Some(OrderStatus::Canceled)), None);
    assert_eq!(with(Some(100), None), None, "it has not ended in both");
    assert_eq!(with(None, None), None, "its fill may still come");
    for (filled, end, word) in [
        (Some(100), Some(OrderStatus::Filled), "it ended as Canceled"),
        (Some(99), None, "its fill 1: "),
        (None, Some(OrderStatus::Canceled), "in the replay none"),
    ] {
        let found = with(filled, end).unwrap();
        assert!(
            found.starts_with("action 1: order ") && found.contains(word),
            "{found}"
        );
    }
}

#[test]
fn what_was_not_compared_is_not_the_same() {
    let mut unread = life(usual);
    unread.unreadable = 1;
    let against = Against::new(&unread, &life(usual));
    assert!(against.difference.unwrap().contains("cannot be read"));
    let early = life(|life| {
        life.hears();
    });
    let run = life(|life| {
        life.hears().hears().sends(1, 100);
    });
    let against = Against::new(&run, &early);
    assert!(against.difference.unwrap().contains("nothing to compare"));
}

/// Each order is found, filled and compared by its place: a search for each would look at ten billion.
#[test]
fn as_much_as_is_kept_is_compared_in_one_pass() {
    let full = |extra: bool| {
        life(|life| {
            life.hears();
            let most = u32::try_from(KEPT_MAX).unwrap();
            for counter in 1..=most {
                life.sends(counter, 100);
            }
            for counter in 1..=most {
                life.fills(counter, 100).ends(counter, OrderStatus::Filled);
            }
            if extra {
                life.cancels(1);
            }
        })
    };
    let (one, other) = (full(false), full(false));
    let against = Against::new(&one, &other);
    assert_eq!((against.compared, against.difference), (KEPT_MAX, None));
    let against = Against::new(&one, &full(true));
    assert!(against.difference.unwrap().contains("were not compared"));
}

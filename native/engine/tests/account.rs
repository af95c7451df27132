//! What the comparison with the venue finds: orphans, somebody else's orders and trades, deposits, fees of third assets.

#![allow(clippy::unwrap_used, reason = "a test that cannot go on may panic")]

mod rig;

use domain::{
    ClientOrderId, Currency, Epoch, Instrument, InstrumentId, Money, OrderStatus, Quantity, Side, SlotId,
    Text, Timestamp, TradeId, Venue, VenueOrderId,
};
use engine::limits::MOVEMENTS_REMEMBERED;
use engine::risk::DenyReason;
use engine::{
    Action, Alert, CommandKind, Compared, Difference, EventBody, Movement, OrphanRule, Scope, StandingOrder,
    VenuePosition,
};
use rig::{BTC, OTHER, Rig, SLOT, VENUE, alerts, cancels, coin, dollars, milli, price, submits, usd};

fn orphan_id(slot: SlotId) -> ClientOrderId {
    ClientOrderId {
        epoch: Epoch(0),
        slot,
        counter: 7,
    }
}

fn standing(side: Side, dollars: i64, quantity: i64, filled: i64) -> StandingOrder {
    StandingOrder {
        venue_order_id: VenueOrderId(Text::new("77").unwrap()),
        instrument: BTC,
        side,
        price: Some(price(dollars)),
        quantity: milli(quantity),
        filled: milli(filled),
    }
}

fn orphan(rig: &mut Rig, id: ClientOrderId, order: StandingOrder, rule: OrphanRule) -> Vec<Action> {
    rig.feed(EventBody::Difference(Difference::Orphan {
        client_order_id: id,
        order,
        rule,
    }))
}

fn moved(rig: &mut Rig, movement: Movement) -> Vec<Action> {
    rig.feed(EventBody::Difference(Difference::Movement(movement)))
}

fn at_venue(rig: &mut Rig, quantity: Quantity) -> Vec<Action> {
    rig.feed(EventBody::VenuePosition(VenuePosition {
        instrument: BTC,
        quantity,
    }))
}

#[test]
fn an_orphan_is_canceled_and_watched_until_it_is_gone() {
    let mut rig = Rig::new();
    let id = orphan_id(SLOT);
    let actions = orphan(&mut rig, id, standing(Side::Buy, 90, 10, 4), OrphanRule::Cancel);
    assert_eq!(alerts(&actions), [Alert::OrphanCanceled(id)]);
    assert_eq!(cancels(&actions), [id]);
    assert_eq!(rig.status(id), OrderStatus::PendingCancel);
    // What trades before the cancel arrives is the slot's, and no surprise.
    let actions = rig.fill(id, Side::Buy, 90, 2);
    assert!(alerts(&actions).is_empty(), "{actions:?}");
    assert_eq!(rig.position(SLOT), milli(2));
    rig.report(id, domain::OrderReportKind::Canceled);
    assert_eq!(rig.status(id), OrderStatus::Canceled);
}

#[test]
fn an_orphan_is_adopted_with_its_rest_and_counts_as_exposure() {
    let mut rig = Rig::new();
    let id = orphan_id(SLOT);
    let order = standing(Side::Buy, 90, 10, 4);
    let actions = orphan(&mut rig, id, order, OrphanRule::Adopt);
    assert_eq!(alerts(&actions), [Alert::OrphanAdopted(id)]);
    assert!(cancels(&actions).is_empty());
    assert_eq!(rig.status(id), OrderStatus::PartiallyFilled);
    assert_eq!(rig.engine.slots().next().unwrap().working_orders, 1);
    assert!(
        orphan(&mut rig, id, order, OrphanRule::Adopt).is_empty(),
        "it is known now"
    );
    assert_eq!(
        rig.order(Side::Sell, 90, 1),
        Err(DenyReason::SelfTrade),
        "it is one of ours: nothing of ours trades with it"
    );
    rig.fill(id, Side::Buy, 90, 6);
    assert_eq!(rig.status(id), OrderStatus::Filled);
    assert_eq!(rig.position(SLOT), milli(6), "four of ten had traded before");
}

#[test]
fn what_cannot_be_adopted_is_canceled() {
    let mut rig = Rig::new();
    let nobody = orphan_id(SlotId(9));
    let order = standing(Side::Sell, 110, 5, 0);
    let cases = [
        (nobody, order),
        (orphan_id(SLOT), StandingOrder { price: None, ..order }),
        (
            orphan_id(OTHER),
            StandingOrder {
                filled: milli(5),
                ..order
            },
        ),
        (
            orphan_id(SLOT),
            StandingOrder {
                instrument: InstrumentId(3),
                ..order
            },
        ),
    ];
    for (id, order) in cases {
        let actions = orphan(&mut rig, id, order, OrphanRule::Adopt);
        assert_eq!(alerts(&actions), [Alert::OrphanCanceled(id)]);
        assert_eq!(cancels(&actions), [id]);
    }
}

#[test]
fn an_id_that_another_instance_gave_out_is_not_given_out_again() {
    let mut rig = Rig::new();
    let id = ClientOrderId {
        epoch: Epoch(1),
        slot: SLOT,
        counter: 40,
    };
    orphan(&mut rig, id, standing(Side::Buy, 90, 10, 0), OrphanRule::Adopt);
    assert_eq!(rig.order(Side::Buy, 91, 1).unwrap().counter, 41);
}

#[test]
fn somebody_elses_order_is_named_and_left_alone() {
    let mut rig = Rig::new();
    let order = standing(Side::Sell, 100, 5, 0);
    let actions = rig.feed(EventBody::Difference(Difference::ForeignOrder(order)));
    let wanted = Alert::ForeignOrder {
        instrument: BTC,
        venue_order_id: order.venue_order_id,
    };
    assert_eq!(alerts(&actions), [wanted]);
    assert_eq!(actions.len(), 1);
    let (_, actions) = rig.command(CommandKind::CancelOrders(Scope::All));
    assert!(cancels(&actions).is_empty());
}

#[test]
fn a_manual_trade_moves_the_account_and_no_slot_once() {
    let mut rig = Rig::new();
    rig.hold(SLOT, 20);
    let equity = rig.engine.equity();
    let mut fill = rig.next_fill(Side::Sell, 100, 30);
    fill.fee = Money::from_units(5, Currency::new("BNB").unwrap());
    let movement = Movement::trade(VENUE, (BTC, "BTCUSDT"), rig.now, fill);
    let actions = moved(&mut rig, movement);
    let named = Alert::ManualTrade {
        instrument: BTC,
        trade_id: fill.trade_id,
    };
    assert_eq!(alerts(&actions), [named]);
    assert!(moved(&mut rig, movement).is_empty(), "told twice, booked once");
    assert_eq!(rig.position(SLOT), milli(20));
    assert_eq!(rig.engine.equity(), equity, "no profit and no loss of ours");
    let outside = |currency| rig.engine.moved_outside(VENUE, currency);
    assert_eq!(
        outside(coin()),
        Money::from_decimal_units(-3_000_000, coin()).units()
    );
    assert_eq!(outside(usd()), dollars(3).units());
    assert_eq!(outside(Currency::new("BNB").unwrap()), -5);
}

#[test]
fn deposits_and_withdrawals_are_neither_profit_nor_loss() {
    let mut rig = Rig::new();
    rig.hold(SLOT, 20);
    let before = (rig.engine.equity(), rig.engine.peak_equity());
    let transfer = |amount| Movement::transfer(VENUE, Timestamp::EPOCH, Timestamp::EPOCH, amount);
    let actions = moved(&mut rig, transfer(dollars(5_000_000)));
    assert_eq!(alerts(&actions), [Alert::Deposit(dollars(5_000_000))]);
    assert_eq!((rig.engine.equity(), rig.engine.peak_equity()), before);
    let actions = moved(&mut rig, transfer(dollars(-7_000_000)));
    assert_eq!(alerts(&actions), [Alert::Withdrawal(dollars(7_000_000))]);
    assert_eq!(
        rig.engine.moved_outside(VENUE, usd()),
        dollars(-2_000_000).units()
    );
    // A drawdown of that size would have stopped everything.
    assert_eq!((rig.engine.equity(), rig.engine.peak_equity()), before);
    rig.quote(99, 101);
    assert!(rig.order(Side::Buy, 98, 1).is_ok());
}

#[test]
fn a_movement_that_is_told_again_is_booked_once_in_this_life_and_in_the_next() {
    let mut rig = Rig::new();
    let (since, found) = (Timestamp::from_millis(5), Timestamp::from_millis(9));
    let movements = [
        Movement::transfer(VENUE, since, found, dollars(500)),
        Movement::transfer(VENUE, since, found, dollars(-200)),
        Movement::rounding(VENUE, since, found, Money::from_units(3, usd())),
    ];
    for movement in movements {
        moved(&mut rig, movement);
    }
    let booked = dollars(300).units() + 3;
    let sum = |rig: &Rig| rig.engine.moved_outside(VENUE, usd());
    assert_eq!(sum(&rig), booked);
    // Found again after a reconnect, later, and no comparison in between.
    let again = movements.map(|movement| Movement {
        ts_event: Timestamp::from_millis(50),
        ..movement
    });
    let mut next = rig.restart();
    for movement in again {
        assert!(moved(&mut rig, movement).is_empty(), "{movement:?}");
        assert!(moved(&mut next, movement).is_empty(), "{movement:?}");
    }
    assert_eq!((sum(&rig), sum(&next)), (booked, booked));
    // The same amount once more is another deposit.
    let second = Movement::transfer(VENUE, found, found, dollars(500));
    assert_eq!(alerts(&moved(&mut next, second)), [Alert::Deposit(dollars(500))]);
    assert_eq!(sum(&next), booked + dollars(500).units());
}

#[test]
fn the_last_movements_are_remembered_and_carried() {
    let deposit = |number: usize| {
        let since = Timestamp::from_millis(i64::try_from(number).unwrap());
        Movement::transfer(VENUE, since, since, dollars(1))
    };
    let mut rig = Rig::new();
    for number in 0..=MOVEMENTS_REMEMBERED {
        assert_eq!(moved(&mut rig, deposit(number)).len(), 1);
    }
    let carried = rig.engine.carried_state().movements;
    assert_eq!(carried.len(), MOVEMENTS_REMEMBERED);
    assert_eq!(
        carried[0],
        deposit(1).id,
        "the oldest first, and the one before it forgotten"
    );
    assert!(moved(&mut rig, deposit(1)).is_empty());
    assert!(moved(&mut rig, deposit(MOVEMENTS_REMEMBERED)).is_empty());
    let mut config = rig::config();
    config.carried = rig.engine.carried_state();
    config.carried.movements.push(deposit(0).id);
    assert!(config.check().is_err(), "more than are remembered");
}

#[test]
fn what_a_life_accounted_for_the_next_one_knows() {
    let mut rig = Rig::new();
    rig.hold(SLOT, 20);
    let fill = rig.next_fill(Side::Buy, 100, 5);
    let movement = Movement::trade(VENUE, (BTC, "BTCUSDT"), rig.now, fill);
    moved(&mut rig, movement);
    let through = rig.now;
    rig.feed(EventBody::Compared(Compared {
        venue: VENUE,
        through,
    }));
    let mut next = rig.restart();
    assert_eq!(next.engine.compared_through(VENUE), Some(through));
    assert_eq!(next.engine.compared_through(Venue::Kraken), None);
    assert!(moved(&mut next, movement).is_empty(), "booked in the life before");
    for currency in [coin(), usd()] {
        assert_eq!(
            next.engine.moved_outside(VENUE, currency),
            rig.engine.moved_outside(VENUE, currency)
        );
        assert_eq!(
            next.engine.booked(VENUE, currency),
            rig.engine.booked(VENUE, currency)
        );
    }
    assert_eq!(next.engine.carried_state(), rig.engine.carried_state());
    assert!(alerts(&at_venue(&mut next, milli(20))).is_empty());
}

#[test]
fn what_our_orders_added_to_the_account_is_known_to_the_last_unit() {
    let mut rig = Rig::new();
    let id = rig.order(Side::Buy, 101, 20).unwrap();
    let mut fill = rig.next_fill(Side::Buy, 101, 20);
    fill.fee = Money::from_units(3, usd());
    rig.report(id, domain::OrderReportKind::Filled(fill));
    let id = rig.order(Side::Sell, 99, 7).unwrap();
    let mut fill = rig.next_fill(Side::Sell, 99, 7);
    fill.fee = Money::from_decimal_units(1, coin());
    rig.report(id, domain::OrderReportKind::Filled(fill));
    let paid =
        price(101).notional(milli(20), usd()).units() - price(99).notional(milli(7), usd()).units() + 3;
    assert_eq!(rig.engine.booked(VENUE, usd()), -paid);
    let held = Money::from_decimal_units(milli(13).units() - 1, coin());
    assert_eq!(rig.engine.booked(VENUE, coin()), held.units());
    assert_eq!(rig.engine.booked(Venue::Kraken, coin()), 0);
}

/// The rig with a second instrument that prices BNB.
fn with_bnb() -> Rig {
    let mut config = rig::config();
    config.instruments.push(Instrument {
        id: InstrumentId(1),
        symbol: Text::new("BNBUSDT").unwrap(),
        base: Currency::new("BNB").unwrap(),
        ..rig::instrument()
    });
    Rig::with(config)
}

#[test]
fn a_fee_in_a_third_asset_lowers_equity_where_a_price_is_known_and_is_named_where_not() {
    let bnb = Currency::new("BNB").unwrap();
    let mut rig = with_bnb();
    let buy = |rig: &mut Rig| {
        let id = rig.order(Side::Buy, 101, 1).unwrap();
        let mut fill = rig.next_fill(Side::Buy, 101, 1);
        fill.fee = Money::from_decimal_units(50_000_000, bnb);
        let before = rig.engine.equity().units();
        let actions = rig.report(id, domain::OrderReportKind::Filled(fill));
        (before - rig.engine.equity().units(), alerts(&actions))
    };
    let (unpriced, told) = buy(&mut rig);
    assert_eq!(told, [Alert::FeeUnvalued(bnb)]);
    let quote = domain::Quote {
        instrument: InstrumentId(1),
        ts_event: rig.now,
        update_id: 1,
        bid: price(599),
        bid_quantity: Quantity::ONE,
        ask: price(600),
        ask_quantity: Quantity::ONE,
    };
    rig.feed(EventBody::Market(domain::MarketEvent::Quote(quote)));
    let (priced, told) = buy(&mut rig);
    assert!(told.is_empty(), "told once: {told:?}");
    assert_eq!(priced - unpriced, dollars(300).units(), "half a coin, at the ask");
    let kept = rig.engine.carried_state().account;
    assert_eq!(kept.valued_fees[0].amount, dollars(300));
    assert_eq!(kept.unvalued_fees, [Money::from_decimal_units(50_000_000, bnb)]);
    assert_eq!(
        rig.engine.foreign_fees(),
        [Money::from_decimal_units(100_000_000, bnb)],
        "all of it in its own asset"
    );
    assert_eq!(
        rig.engine.booked(VENUE, bnb),
        -Money::from_decimal_units(100_000_000, bnb).units()
    );
}

#[test]
fn equal_events_are_decided_equally_in_a_fresh_engine() {
    let play = || {
        let mut rig = Rig::new();
        let mut all = orphan(
            &mut rig,
            orphan_id(SLOT),
            standing(Side::Buy, 90, 10, 0),
            OrphanRule::Adopt,
        );
        let mut fill = rig.next_fill(Side::Buy, 100, 5);
        fill.trade_id = TradeId(99);
        let now = rig.now;
        all.extend(moved(
            &mut rig,
            Movement::trade(VENUE, (BTC, "BTCUSDT"), now, fill),
        ));
        all.extend(moved(&mut rig, Movement::transfer(VENUE, now, now, dollars(3))));
        all.extend(moved(
            &mut rig,
            Movement::rounding(VENUE, now, now, Money::from_units(1, usd())),
        ));
        let sent = rig.order(Side::Buy, 95, 1).unwrap();
        (all, sent, rig.engine.carried_state())
    };
    let (first, second) = (play(), play());
    assert_eq!(first, second);
    assert!(submits(&first.0).is_empty());
}

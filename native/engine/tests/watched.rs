//! Instruments that are only watched: at another venue than the slots trade at, perhaps not told of yet.

#![allow(clippy::unwrap_used, reason = "a test that cannot go on may panic")]

mod rig;

use domain::{
    BookInvalidReason, Currency, Instrument, InstrumentId, InstrumentStatus, MarketEvent, Price, Quote, Side,
    Text, Venue, VenueState, VenueStatus,
};
use engine::market::BookState;
use engine::risk::DenyReason;
use engine::strategy::{Intent, OrderIntent};
use engine::{
    Action, Alert, CommandKind, CommandRefusal, ConfigError, Engine, EngineConfig, EventBody, ManualOrder,
};
use rig::{BTC, Rig, SLOT, alerts, denial, milli, submits};

const WATCHED: InstrumentId = InstrumentId(1);

fn euro() -> Currency {
    Currency::new("EUR").unwrap()
}

/// The rig's instruments, and one at another venue that is paid in another currency.
fn watching(watched: Instrument) -> EngineConfig {
    let mut config = rig::config();
    config.instruments.push(watched);
    config
}

fn elsewhere() -> Instrument {
    Instrument {
        id: WATCHED,
        venue: Venue::Kraken,
        symbol: Text::new("BTC/EUR").unwrap(),
        quote: euro(),
        ..rig::instrument()
    }
}

fn quote(rig: &mut Rig, bid: i64, ask: i64) -> Vec<Action> {
    let quote = Quote {
        instrument: WATCHED,
        ts_event: rig.now,
        update_id: 1,
        bid: rig::price(bid),
        bid_quantity: milli(1_000),
        ask: rig::price(ask),
        ask_quantity: milli(1_000),
    };
    rig.feed(EventBody::Market(MarketEvent::Quote(quote)))
}

fn update(rig: &mut Rig, instrument: Instrument) -> Vec<Action> {
    rig.feed(EventBody::Market(MarketEvent::InstrumentUpdated(instrument)))
}

#[test]
fn only_where_a_slot_trades_is_everything_paid_in_the_portfolio_s_currency() {
    assert!(Engine::new(watching(elsewhere())).is_ok());
    let beside = Instrument {
        venue: rig::VENUE,
        ..elsewhere()
    };
    let refused = Engine::new(watching(beside)).map(drop).unwrap_err();
    assert!(matches!(refused, ConfigError::CurrencyMismatch { found, .. } if found == euro()));
}

#[test]
fn what_is_watched_stands_in_its_own_book_and_moves_no_order() {
    let mut rig = Rig::with(watching(elsewhere()));
    let (wishes, strategy) = rig::scripted();
    rig.deploy(rig::program(SLOT, 2, Box::new(strategy)));
    wishes
        .send(Intent::Order(rig::wish(Side::Buy, 98, 1_000)))
        .unwrap();
    let actions = quote(&mut rig, 97, 98);
    assert!(submits(&actions).is_empty(), "{actions:?}");
    let bid = |rig: &Rig, id| rig.engine.book_top(id).map(|top| top.bid);
    assert_eq!(bid(&rig, WATCHED), Some(rig::price(97)));
    assert_eq!(bid(&rig, BTC), Some(rig::price(99)));
    // The slot hears its own instrument.
    assert_eq!(submits(&rig.quote(98, 101)).len(), 1);
}

#[test]
fn a_watched_venue_that_goes_leaves_the_own_book() {
    let mut rig = Rig::with(watching(elsewhere()));
    quote(&mut rig, 97, 98);
    let status = VenueStatus {
        venue: Venue::Kraken,
        state: VenueState::Offline,
    };
    rig.feed(EventBody::Market(MarketEvent::VenueStatus(status)));
    let gone = rig.engine.book(WATCHED).unwrap().state();
    assert_eq!(gone, BookState::Invalid(BookInvalidReason::Disconnected));
    assert!(rig.engine.book_top(BTC).is_some());
    assert!(rig.order(Side::Buy, 98, 1_000).is_ok());
}

#[test]
fn an_order_for_it_is_refused_whoever_asks() {
    let mut rig = Rig::with(watching(elsewhere()));
    let (wishes, strategy) = rig::scripted();
    rig.deploy(rig::program(SLOT, 2, Box::new(strategy)));
    quote(&mut rig, 97, 98);
    let order = OrderIntent {
        instrument: WATCHED,
        ..rig::wish(Side::Buy, 98, 1_000)
    };
    wishes.send(Intent::Order(order)).unwrap();
    let actions = rig.quote(98, 101);
    assert_eq!(denial(&actions), Some(DenyReason::OtherInstrument));
    assert!(submits(&actions).is_empty());
    let by_hand = CommandKind::ManualOrder(ManualOrder {
        slot: SLOT,
        instrument: WATCHED,
        side: Side::Buy,
        order_type: order.order_type,
        price: order.price,
        quantity: order.quantity,
    });
    let (result, actions) = rig.command(by_hand);
    assert_eq!(result, Err(CommandRefusal::OtherInstrument));
    assert!(submits(&actions).is_empty());
}

#[test]
fn what_is_not_told_of_becomes_known_once_and_stays_what_it_is() {
    let untold = Instrument::untold(WATCHED, Venue::Kraken, Text::new("BTC/EUR").unwrap());
    let mut rig = Rig::with(watching(untold));
    // Another one is not the same one.
    let other = Instrument {
        symbol: Text::new("ETH/EUR").unwrap(),
        ..elsewhere()
    };
    let unknown = [Alert::UnknownInstrument(WATCHED)];
    assert_eq!(alerts(&update(&mut rig, other)), unknown);
    assert_eq!(rig.engine.instrument(WATCHED), Some(&untold));
    assert!(alerts(&update(&mut rig, elsewhere())).is_empty());
    assert_eq!(rig.engine.instrument(WATCHED), Some(&elsewhere()));
    // Rules change; what it buys and pays does not, and it is not forgotten.
    let mut changed = elsewhere();
    changed.status = InstrumentStatus::Halted;
    changed.rules.tick_size = Price::from_units(7);
    assert!(alerts(&update(&mut rig, changed)).is_empty());
    for wrong in [
        untold,
        Instrument {
            quote: rig::usd(),
            ..elsewhere()
        },
    ] {
        assert_eq!(alerts(&update(&mut rig, wrong)), unknown);
    }
    assert_eq!(rig.engine.instrument(WATCHED), Some(&changed));
}

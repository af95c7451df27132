//! Price-time priority, time in force, self-trade prevention and queue position, one rule a test.

mod fixtures;

use domain::{Liquidity, OrderType, Price, Quantity, RejectReason, Side, TimeInForce};
use simulation::{
    ExpiryReason, FlowKind, MatchingEngine, NewOrder, OFF_TAPE_ID_BASE, ORDERS_OPEN_MAX, OrderId,
    OrderOutcome, Outbox, Output, Owner, SelfTradePrevention,
};

const ME: Owner = Owner(1);
const OTHER: Owner = Owner(2);

struct Desk {
    engine: MatchingEngine,
    out: Outbox,
}

impl Desk {
    /// Bids 100 x 10 and 99 x 20, asks 102 x 10 and 103 x 20.
    fn new() -> Self {
        let mut desk = Self {
            engine: MatchingEngine::new(Quantity::from_units(1)),
            out: Outbox::default(),
        };
        for (side, price, size) in [
            (Side::Buy, 100, 10),
            (Side::Buy, 99, 20),
            (Side::Sell, 102, 10),
            (Side::Sell, 103, 20),
        ] {
            desk.add(side, price, size);
        }
        desk
    }

    fn apply(&mut self, kind: FlowKind) {
        self.out.outputs.clear();
        self.engine.apply(&kind, &mut self.out);
        self.engine.publish(&mut self.out);
    }

    fn add(&mut self, side: Side, price: i64, size: i64) {
        self.apply(FlowKind::Add {
            side,
            price: Price::from_units(price),
            quantity: Quantity::from_units(size),
        });
    }

    fn cancel_crowd(&mut self, side: Side, price: i64, size: i64) {
        self.apply(FlowKind::Cancel {
            side,
            price: Price::from_units(price),
            quantity: Quantity::from_units(size),
        });
    }

    fn trade(&mut self, aggressor: Side, price: i64, size: i64) {
        self.apply(FlowKind::Trade {
            price: Price::from_units(price),
            quantity: Quantity::from_units(size),
            aggressor,
        });
    }

    fn bar(&mut self, low: i64, high: i64, spare: i64) {
        self.apply(FlowKind::BarOpened {
            low: Price::from_units(low),
            high: Price::from_units(high),
            spare: Quantity::from_units(spare),
        });
    }

    fn submit(&mut self, order: NewOrder) -> OrderId {
        self.out.outputs.clear();
        self.engine.submit(&order, &mut self.out)
    }

    fn cancel(&mut self, order: OrderId, owner: Owner) {
        self.out.outputs.clear();
        self.engine.cancel(order, owner, &mut self.out);
    }

    /// `(order, price, size, liquidity)` of each execution of own orders.
    fn fills(&self) -> Vec<(u64, i64, i64, Liquidity)> {
        self.outcomes()
            .into_iter()
            .filter_map(|(order, outcome)| match outcome {
                OrderOutcome::Filled {
                    price,
                    quantity,
                    liquidity,
                    ..
                } => Some((order, price.units(), quantity.units(), liquidity)),
                _ => None,
            })
            .collect()
    }

    fn outcomes(&self) -> Vec<(u64, OrderOutcome)> {
        self.out
            .outputs
            .iter()
            .filter_map(|output| match output {
                Output::Order { order, outcome, .. } => Some((order.0, *outcome)),
                _ => None,
            })
            .collect()
    }

    /// `(price, size)` of each public trade.
    fn prints(&self) -> Vec<(i64, i64)> {
        self.out
            .outputs
            .iter()
            .filter_map(|output| match output {
                Output::Trade { price, quantity, .. } => Some((price.units(), quantity.units())),
                _ => None,
            })
            .collect()
    }

    fn level(&self, side: Side, price: i64) -> i64 {
        let mut levels = Vec::new();
        self.engine.depth(side, 100, &mut levels);
        let at = levels.iter().find(|level| level.0.units() == price);
        at.map_or(0, |level| level.1.units())
    }

    fn last(&self) -> OrderOutcome {
        self.outcomes().pop().expect("an outcome").1
    }
}

fn limit(side: Side, price: i64, size: i64) -> NewOrder {
    NewOrder {
        owner: ME,
        side,
        order_type: OrderType::Limit,
        price: Some(Price::from_units(price)),
        quantity: Quantity::from_units(size),
        time_in_force: TimeInForce::Gtc,
        post_only: false,
        self_trade: SelfTradePrevention::ExpireMaker,
    }
}

fn market(side: Side, size: i64) -> NewOrder {
    NewOrder {
        order_type: OrderType::Market,
        price: None,
        ..limit(side, 0, size)
    }
}

fn expired(remaining: i64, reason: ExpiryReason) -> OrderOutcome {
    OrderOutcome::Expired {
        remaining: Quantity::from_units(remaining),
        reason,
    }
}

#[test]
fn a_market_order_walks_the_levels_and_its_rest_expires() {
    let mut desk = Desk::new();
    desk.submit(market(Side::Buy, 35));
    assert_eq!(
        desk.fills(),
        [(1, 102, 10, Liquidity::Taker), (1, 103, 20, Liquidity::Taker)]
    );
    assert_eq!(desk.prints(), [(102, 10), (103, 20)]);
    assert_eq!(desk.last(), expired(5, ExpiryReason::NothingToTake));
    assert_eq!(desk.engine.best().ask, None);
}

#[test]
fn a_limit_order_takes_to_its_limit_and_rests() {
    let mut desk = Desk::new();
    desk.submit(limit(Side::Buy, 102, 15));
    assert_eq!(desk.fills(), [(1, 102, 10, Liquidity::Taker)]);
    assert_eq!(desk.level(Side::Buy, 102), 5);
    assert_eq!(desk.level(Side::Sell, 103), 20);
    assert_eq!(desk.engine.open_orders(), 1);
}

#[test]
fn ioc_takes_what_is_there_and_fok_all_or_nothing() {
    let mut desk = Desk::new();
    let with = |time_in_force, size| NewOrder {
        time_in_force,
        ..limit(Side::Sell, 99, size)
    };
    desk.submit(with(TimeInForce::Fok, 31));
    assert_eq!(desk.fills(), []);
    assert_eq!(desk.last(), expired(31, ExpiryReason::NothingToTake));
    desk.submit(with(TimeInForce::Fok, 30));
    assert_eq!(
        desk.fills(),
        [(2, 100, 10, Liquidity::Taker), (2, 99, 20, Liquidity::Taker)]
    );
    desk.add(Side::Buy, 100, 3);
    desk.submit(with(TimeInForce::Ioc, 5));
    assert_eq!(desk.fills(), [(3, 100, 3, Liquidity::Taker)]);
    assert_eq!(desk.last(), expired(2, ExpiryReason::NothingToTake));
}

#[test]
fn post_only_never_takes() {
    let mut desk = Desk::new();
    let post = |price| NewOrder {
        post_only: true,
        ..limit(Side::Buy, price, 5)
    };
    desk.submit(post(102));
    assert_eq!(desk.last(), OrderOutcome::Rejected(RejectReason::WouldTake));
    desk.submit(post(101));
    assert_eq!(desk.outcomes(), [(2, OrderOutcome::Accepted)]);
}

#[test]
fn an_order_waits_for_all_that_stood_before_it() {
    let mut desk = Desk::new();
    desk.submit(limit(Side::Buy, 100, 5));
    desk.add(Side::Buy, 100, 50);
    desk.trade(Side::Sell, 100, 8);
    assert_eq!(desk.fills(), []);
    desk.trade(Side::Sell, 100, 4);
    // Two of four go to the crowd ahead, two to us; the crowd behind gets nothing.
    assert_eq!(desk.fills(), [(1, 100, 2, Liquidity::Maker)]);
    assert_eq!(desk.prints(), [(100, 2), (100, 2)]);
    desk.trade(Side::Sell, 100, 10);
    assert_eq!(desk.fills(), [(1, 100, 3, Liquidity::Maker)]);
    // Of the crowd's 60, 22 would have traded without us: what we got in its place left the level too.
    assert_eq!(desk.level(Side::Buy, 100), 38);
}

#[test]
fn cancellations_ahead_count_in_proportion_rounded_against_us() {
    let mut desk = Desk::new();
    desk.submit(limit(Side::Buy, 100, 5));
    desk.add(Side::Buy, 100, 20);
    // 10 of 30 stand ahead; of 10 canceled, floor(10 * 10 / 30) = 3 were ahead.
    desk.cancel_crowd(Side::Buy, 100, 10);
    desk.trade(Side::Sell, 100, 7);
    assert_eq!(desk.fills(), []);
    desk.trade(Side::Sell, 100, 1);
    assert_eq!(desk.fills(), [(1, 100, 1, Liquidity::Maker)]);
}

#[test]
fn one_trade_is_shared_out_along_the_queue_once() {
    let mut desk = Desk::new();
    desk.submit(limit(Side::Buy, 101, 4));
    desk.submit(NewOrder {
        owner: OTHER,
        ..limit(Side::Buy, 101, 4)
    });
    desk.trade(Side::Sell, 101, 6);
    assert_eq!(
        desk.fills(),
        [(1, 101, 4, Liquidity::Maker), (2, 101, 2, Liquidity::Maker)]
    );
    assert_eq!(desk.prints(), [(101, 4), (101, 2)]);
}

#[test]
fn displayed_liquidity_is_consumed_once() {
    let mut desk = Desk::new();
    let buy = NewOrder {
        time_in_force: TimeInForce::Ioc,
        ..limit(Side::Buy, 102, 6)
    };
    desk.submit(buy);
    desk.submit(NewOrder { owner: OTHER, ..buy });
    assert_eq!(desk.fills(), [(2, 102, 4, Liquidity::Taker)]);
    assert_eq!(
        desk.engine.best().ask,
        Some((Price::from_units(103), Quantity::from_units(20)))
    );
}

#[test]
fn better_prices_come_first_then_earlier_orders() {
    let mut desk = Desk::new();
    desk.submit(limit(Side::Sell, 101, 1));
    desk.submit(limit(Side::Sell, 102, 1));
    desk.submit(NewOrder {
        owner: OTHER,
        ..market(Side::Buy, 12)
    });
    let taker = |price, size| (3, price, size, Liquidity::Taker);
    let maker = |order, price| (order, price, 1, Liquidity::Maker);
    // 101 before 102; at 102 the crowd's 10 stood before our order.
    let expected = [
        maker(1, 101),
        taker(101, 1),
        taker(102, 10),
        maker(2, 102),
        taker(102, 1),
    ];
    assert_eq!(desk.fills(), expected);
}

#[test]
fn own_orders_never_trade_with_each_other() {
    for (mode, maker_gone, taker_gone) in [
        (SelfTradePrevention::ExpireMaker, true, false),
        (SelfTradePrevention::ExpireTaker, false, true),
        (SelfTradePrevention::ExpireBoth, true, true),
    ] {
        let mut desk = Desk::new();
        desk.submit(limit(Side::Sell, 101, 3));
        desk.submit(NewOrder {
            self_trade: mode,
            ..limit(Side::Buy, 101, 7)
        });
        assert_eq!(desk.fills(), []);
        let ended = |order, size| {
            desk.outcomes()
                .contains(&(order, expired(size, ExpiryReason::SelfTrade)))
        };
        assert_eq!((ended(1, 3), ended(2, 7)), (maker_gone, taker_gone), "{mode:?}");
        assert_eq!(desk.level(Side::Buy, 101), if taker_gone { 0 } else { 7 });
    }
}

#[test]
fn only_the_owner_cancels_and_only_once() {
    let mut desk = Desk::new();
    let order = desk.submit(limit(Side::Buy, 101, 3));
    desk.cancel(order, OTHER);
    assert_eq!(desk.last(), OrderOutcome::CancelRejected);
    desk.cancel(order, ME);
    let remaining = Quantity::from_units(3);
    assert_eq!(desk.last(), OrderOutcome::Canceled { remaining });
    desk.cancel(order, ME);
    assert_eq!(desk.last(), OrderOutcome::CancelRejected);
    assert_eq!(desk.level(Side::Buy, 101), 0);
}

#[test]
fn an_order_that_the_market_passes_fills_at_its_price_by_what_came() {
    let mut desk = Desk::new();
    desk.submit(limit(Side::Buy, 101, 30));
    desk.trade(Side::Sell, 100, 1);
    assert_eq!(desk.fills(), [(1, 101, 1, Liquidity::Maker)]);
    // One unit traded, and we got it: it did not trade at 100 too.
    assert_eq!(desk.prints(), [(101, 1)]);
    assert_eq!(desk.level(Side::Buy, 101), 29);
    desk.add(Side::Sell, 100, 4);
    assert_eq!(desk.fills(), [(1, 101, 4, Liquidity::Maker)]);
    assert_eq!(desk.level(Side::Sell, 100), 0, "taken as it came");
    desk.add(Side::Sell, 101, 40);
    assert_eq!(desk.fills(), [(1, 101, 25, Liquidity::Maker)]);
    assert_eq!(desk.level(Side::Sell, 101), 15);
}

#[test]
fn one_trade_fills_one_order_of_those_that_it_passes() {
    let mut desk = Desk::new();
    desk.submit(limit(Side::Buy, 101, 6));
    desk.submit(limit(Side::Buy, 101, 6));
    // At the back of the ten that stand there.
    desk.submit(limit(Side::Buy, 100, 6));
    desk.trade(Side::Sell, 100, 8);
    let filled = [(1, 101, 6, Liquidity::Maker), (2, 101, 2, Liquidity::Maker)];
    assert_eq!(desk.fills(), filled);
    assert_eq!(desk.prints(), [(101, 6), (101, 2)]);
}

#[test]
fn what_a_passed_order_took_moves_no_other_up_the_queue() {
    let mut desk = Desk::new();
    desk.submit(limit(Side::Buy, 101, 15));
    desk.submit(limit(Side::Buy, 99, 5));
    desk.add(Side::Buy, 99, 40);
    // Opens at 99: what stands at 101 is filled beside the tape, by 15 of the 18 that trade.
    desk.bar(90, 99, 60);
    desk.trade(Side::Sell, 99, 18);
    assert_eq!(desk.fills(), [(1, 101, 15, Liquidity::Maker)]);
    assert_eq!(desk.prints(), [(99, 3), (99, 15)]);
    assert_eq!(
        desk.level(Side::Buy, 99),
        60 + 5 - 18,
        "the level ends as recorded"
    );
    // Three of the twenty ahead were served.
    desk.trade(Side::Sell, 99, 17);
    assert_eq!(desk.fills(), []);
    desk.trade(Side::Sell, 99, 2);
    assert_eq!(desk.fills(), [(2, 99, 2, Liquidity::Maker)]);
}

#[test]
fn one_trade_of_a_bar_fills_no_more_than_it_is() {
    let mut desk = Desk::new();
    desk.cancel_crowd(Side::Buy, 100, 10);
    desk.submit(limit(Side::Buy, 101, 4));
    desk.submit(limit(Side::Buy, 100, 4));
    desk.bar(90, 102, 50);
    desk.trade(Side::Buy, 102, 1);
    desk.trade(Side::Sell, 100, 4);
    // The last lot of the record's trade stays at its price, and is nobody's of us.
    assert_eq!(desk.fills(), [(1, 101, 4, Liquidity::Maker)]);
    assert_eq!(desk.prints(), [(101, 4), (100, 1)]);
}

#[test]
fn a_bar_fills_no_more_than_it_traded() {
    let mut desk = Desk::new();
    desk.submit(limit(Side::Buy, 101, 1_000));
    // Opens below: three trades of 4, one lot of each stays the crowd's.
    desk.bar(90, 95, 9);
    desk.add(Side::Sell, 96, 500);
    assert_eq!(desk.fills(), [(1, 101, 9, Liquidity::Maker)], "beside the tape");
    assert_eq!(
        desk.level(Side::Sell, 96),
        0,
        "the rest would cross what is left of us"
    );
    for _ in 0..3 {
        desk.trade(Side::Sell, 95, 4);
        assert_eq!(desk.fills(), []);
        assert_eq!(desk.prints(), [(95, 4)]);
        assert_eq!(
            desk.engine.best().ask,
            Some((Price::from_units(102), Quantity::from_units(10)))
        );
    }
    desk.bar(90, 95, 6);
    desk.trade(Side::Sell, 94, 4);
    assert_eq!(
        desk.fills(),
        [(1, 101, 4, Liquidity::Maker)],
        "a new bar brings new volume"
    );
}

#[test]
fn takers_get_what_the_bar_covers_and_the_bar_gives_it_up_later() {
    let mut desk = Desk::new();
    desk.bar(100, 102, 12);
    desk.trade(Side::Buy, 102, 5);
    // 12 - 4 are left to stand in for; at 102 five are shown, and 103 is outside the bar.
    desk.submit(market(Side::Buy, 7));
    assert_eq!(desk.fills(), [(1, 102, 5, Liquidity::Taker)]);
    assert_eq!(desk.last(), expired(2, ExpiryReason::NothingToTake));
    // The withdrawn two of 103 are gone.
    assert_eq!(desk.level(Side::Sell, 103), 18);
    desk.trade(Side::Sell, 100, 9);
    assert_eq!(desk.prints(), [(100, 4)]);
}

#[test]
fn a_resting_remainder_leaves_no_crossed_liquidity() {
    let mut desk = Desk::new();
    desk.bar(100, 102, 0);
    desk.trade(Side::Buy, 102, 1);
    desk.submit(limit(Side::Buy, 103, 7));
    assert_eq!(desk.fills(), []);
    assert_eq!(desk.engine.best().ask, None);
    assert_eq!(
        desk.engine.best().bid,
        Some((Price::from_units(103), Quantity::from_units(7)))
    );
}

#[test]
fn what_the_bar_does_not_cover_is_reported_to_the_owner_only() {
    let mut desk = Desk::new();
    desk.submit(limit(Side::Buy, 101, 3));
    // The next bar opens below and never sees 101.
    desk.bar(90, 95, 50);
    desk.add(Side::Sell, 96, 3);
    assert_eq!(desk.fills(), [(1, 101, 3, Liquidity::Maker)]);
    assert_eq!(desk.prints(), []);
    let ids: Vec<u64> = desk
        .outcomes()
        .into_iter()
        .filter_map(|(_, outcome)| match outcome {
            OrderOutcome::Filled { trade_id, .. } => Some(trade_id.0),
            _ => None,
        })
        .collect();
    assert_eq!(ids, [OFF_TAPE_ID_BASE]);
}

#[test]
fn after_the_record_the_standing_book_trades() {
    let mut desk = Desk::new();
    desk.bar(100, 100, 0);
    desk.apply(FlowKind::RecordEnded);
    desk.submit(market(Side::Sell, 4));
    assert_eq!(desk.prints(), [(100, 4)]);
}

#[test]
fn levels_and_quotes_are_published_with_consecutive_numbers() {
    let mut desk = Desk::new();
    let before = desk.engine.update_id();
    desk.submit(market(Side::Buy, 12));
    let numbers: Vec<u64> = desk
        .out
        .outputs
        .iter()
        .filter_map(|output| match output {
            Output::Level { update_id, .. } => Some(*update_id),
            _ => None,
        })
        .collect();
    assert_eq!(numbers, [before + 1, before + 2]);
    assert_eq!(desk.out.outputs.last(), Some(&Output::Quote(desk.engine.best())));
    desk.submit(limit(Side::Buy, 50, 1));
    let quotes = desk
        .out
        .outputs
        .iter()
        .filter(|output| matches!(output, Output::Quote(_)));
    assert_eq!(quotes.count(), 0, "the best prices did not change");
}

#[test]
fn the_table_of_open_orders_is_bounded() {
    let mut desk = Desk::new();
    for _ in 0..ORDERS_OPEN_MAX {
        desk.submit(limit(Side::Buy, 50, 1));
    }
    desk.submit(limit(Side::Buy, 50, 1));
    assert_eq!(desk.last(), OrderOutcome::Rejected(RejectReason::RateLimit));
    assert_eq!(desk.engine.open_orders(), ORDERS_OPEN_MAX);
}

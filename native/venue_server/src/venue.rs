//! The venue as its clients see it: market, accounts, orders and streams, moved by one clock.
//!
//! Everything here happens under one lock, and every call first plays what is due: venue time is the only order.

use std::time::Duration;

use domain::{
    Currency, Decimal, Liquidity, Nanos, OrderType, Price, Quantity, RejectReason, Side, Timestamp, Trade,
    TradeId,
};
use simulation::{
    DepthFeed, FeeAsset, FeeSchedule, Market, NewOrder, OrderId, OrderOutcome, Outbox, Output, Owner,
};

use crate::account::Account;
use crate::api_error::ApiError;
use crate::clock::VenueClock;
use crate::config::ServerConfig;
use crate::error::ServerError;
use crate::faults::RequestFaults;
use crate::history::History;
use crate::hub::{Hub, Stream};
use crate::keys::ApiKey;
use crate::listing::{Listing, OPEN_ORDERS_MAX};
use crate::orders::{ExecutionEvent, FillRecord, OrderLedger, OrderRecord, Status, Ticket};
use crate::payload;
use crate::rate::RateLimits;

/// Units of money (1e-16) in one unit (1e-8) of base.
const MONEY_PER_UNIT: i128 = domain::SCALE as i128;

/// The state behind the lock.
#[derive(Debug)]
pub(crate) struct Venue {
    pub(crate) clock: VenueClock,
    pub(crate) listing: Listing,
    pub(crate) market: Market,
    pub(crate) accounts: Vec<Account>,
    pub(crate) orders: OrderLedger,
    pub(crate) history: History,
    pub(crate) hub: Hub,
    pub(crate) limits: RateLimits,
    pub(crate) faults: RequestFaults,
    fees: FeeSchedule,
    outbox: Outbox,
    depth100: DepthFeed,
    depth1000: DepthFeed,
    record_ended: bool,
    execution_id: u64,
    client_id: u64,
}

impl Venue {
    /// The venue of a configuration, its clock paused at the opening of the first bar.
    pub(crate) fn new(config: &ServerConfig, keys: Vec<ApiKey>) -> Result<Self, ServerError> {
        let (warmup, played) = config.split_bars()?;
        let bps = (config.maker_bps, config.taker_bps);
        let listing = Listing::new(&config.symbol, config.tick_size(), bps, config.weight_per_minute)?;
        let start = played.first().map_or(Timestamp::EPOCH, |bar| bar.ts_open);
        let span = played.first().map_or(Nanos(1), |bar| bar.span);
        let market = Market::new(&listing.instrument, config.flow, played.to_vec())?;
        let opening = config.opening_balances(&listing.instrument)?;
        let accounts: Vec<Account> = keys
            .into_iter()
            .map(|key| Account::new(key, &opening, start.millis()))
            .collect();
        Ok(Self {
            clock: VenueClock::new(start, span, config.wall_span),
            market,
            orders: OrderLedger::default(),
            history: History::new(warmup, played),
            hub: Hub::new(&listing.symbol),
            limits: RateLimits::new(config.weight_per_minute, accounts.len()),
            faults: RequestFaults::default(),
            fees: FeeSchedule {
                maker_bps: config.maker_bps,
                taker_bps: config.taker_bps,
                asset: FeeAsset::Received,
            },
            accounts,
            listing,
            outbox: Outbox::default(),
            depth100: DepthFeed::new(Nanos::from_millis(100)),
            depth1000: DepthFeed::new(Nanos::from_secs(1)),
            record_ended: false,
            execution_id: 0,
            client_id: 0,
        })
    }

    /// Plays all that is due; returns venue time.
    pub(crate) fn catch_up(&mut self) -> Timestamp {
        let now = self.clock.now();
        while let Some(ts) = self.next_due().filter(|ts| self.clock.has_reached(*ts, now)) {
            if self.depth100.due() == Some(ts) {
                self.publish_depth(Stream::Depth100);
            } else if self.depth1000.due() == Some(ts) {
                self.publish_depth(Stream::Depth1000);
            } else {
                let mut outbox = std::mem::take(&mut self.outbox);
                self.market.step(&mut outbox);
                self.read_outbox(&outbox, None);
                self.outbox = outbox;
                self.record_ended = self.market.next_ts().is_none();
            }
        }
        now
    }

    /// When something happens next by itself.
    pub(crate) fn next_due(&mut self) -> Option<Timestamp> {
        let times = [self.depth100.due(), self.depth1000.due(), self.market.next_ts()];
        times.into_iter().flatten().min()
    }

    /// Wall time until something happens by itself; `None` while paused or when nothing ever will.
    pub(crate) fn next_wake(&mut self) -> Option<Duration> {
        let due = self.next_due()?;
        self.clock.wall_until(due)
    }

    /// Whether the record is over and everything about it was published.
    pub(crate) fn is_done(&mut self) -> bool {
        self.record_ended && self.next_due().is_none()
    }

    pub(crate) fn record_ended(&self) -> bool {
        self.record_ended
    }

    /// The account of an API key.
    pub(crate) fn account_of(&self, key: &str) -> Option<usize> {
        self.accounts.iter().position(|account| account.key.key == key)
    }

    /// Places an order of `account`, after the venue's own checks.
    pub(crate) fn place(&mut self, account: usize, ticket: Ticket) -> Result<OrderId, ApiError> {
        let now = self.catch_up();
        self.limits.order(account)?;
        let last = self.history.last_price();
        self.listing.check(ticket.price, ticket.quantity, last)?;
        if self.orders.open_of(account).count() >= OPEN_ORDERS_MAX {
            return Err(ApiError::filter("MAX_NUM_ORDERS"));
        }
        let twin = self.orders.by_client_id(account, &ticket.client_order_id);
        if twin.is_some_and(|order| order.status.is_open()) {
            return Err(ApiError::duplicate_order());
        }
        let reserved = self.cost(&ticket);
        let given = self.given(ticket.side);
        if self.accounts[account].holding(given).free < reserved {
            return Err(ApiError::balance());
        }
        let order = new_order(account, &ticket);
        let mut outbox = std::mem::take(&mut self.outbox);
        let id = self.market.submit(&order, now, &mut outbox);
        self.orders.insert(OrderRecord {
            id,
            account,
            ticket,
            status: Status::New,
            filled: Quantity::ZERO,
            filled_value: 0,
            reserved,
            fills: Vec::new(),
            created_ms: now.millis(),
            updated_ms: now.millis(),
        });
        self.accounts[account].lock(given, reserved);
        let refused = outbox.outputs.iter().find_map(|output| refusal_of(output, id));
        if refused.is_some() {
            self.accounts[account].release(given, reserved);
            self.orders.remove(id);
        } else {
            self.read_outbox(&outbox, None);
        }
        self.outbox = outbox;
        refused.map_or(Ok(id), Err)
    }

    /// Cancels an open order; `cancel_id` names the request in the report.
    pub(crate) fn cancel(&mut self, id: OrderId, cancel_id: &str) -> Result<(), ApiError> {
        let now = self.catch_up();
        let Some(order) = self.orders.get(id).filter(|order| order.status.is_open()) else {
            return Err(ApiError::unknown_order());
        };
        let owner = owner_of(order.account);
        let mut outbox = std::mem::take(&mut self.outbox);
        self.market.cancel(id, owner, now, &mut outbox);
        self.read_outbox(&outbox, Some(cancel_id));
        self.outbox = outbox;
        Ok(())
    }

    /// A name for a request that has none.
    pub(crate) fn next_client_id(&mut self) -> String {
        self.client_id += 1;
        format!("venue-{}", self.client_id)
    }

    /// What an order may cost, units of 1e-16 of the asset it gives.
    fn cost(&self, ticket: &Ticket) -> i128 {
        match (ticket.side, ticket.price) {
            (Side::Sell, _) => i128::from(ticket.quantity.units()) * MONEY_PER_UNIT,
            (Side::Buy, Some(price)) => value(price, ticket.quantity),
            (Side::Buy, None) => self.market_cost(ticket.quantity),
        }
    }

    /// What buying `quantity` through the standing book costs; beyond it, at its last price.
    fn market_cost(&self, quantity: Quantity) -> i128 {
        let mut levels = Vec::new();
        self.market.depth(Side::Sell, usize::MAX, &mut levels);
        let (mut left, mut cost) = (quantity.units(), 0);
        let mut price = self.history.last_price();
        for (level, there) in levels {
            let taken = left.min(there.units());
            price = level;
            cost += value(level, Quantity::from_units(taken));
            left -= taken;
        }
        cost + value(price, Quantity::from_units(left))
    }

    /// The asset that an order of `side` gives.
    fn given(&self, side: Side) -> Currency {
        match side {
            Side::Buy => self.listing.instrument.quote,
            Side::Sell => self.listing.instrument.base,
        }
    }

    /// Publishes and books what happened, in order.
    fn read_outbox(&mut self, outbox: &Outbox, cancel_id: Option<&str>) {
        let ts = outbox.ts;
        // At most the taker's account and those of the makers it met.
        let mut touched: Vec<usize> = Vec::new();
        for output in &outbox.outputs {
            match *output {
                Output::Trade {
                    trade_id,
                    price,
                    quantity,
                    aggressor,
                } => self.trade(Trade {
                    instrument: self.listing.instrument.id,
                    ts_event: ts,
                    trade_id,
                    price,
                    quantity,
                    aggressor,
                }),
                Output::Level {
                    side,
                    price,
                    quantity,
                    update_id,
                } => {
                    self.depth100.note(ts, side, price, quantity, update_id);
                    self.depth1000.note(ts, side, price, quantity, update_id);
                }
                Output::Quote(best) => {
                    if self.hub.is_wanted(Stream::BookTicker) {
                        let text = payload::book_ticker(&self.listing.symbol, &best);
                        self.hub.publish(Stream::BookTicker, &text);
                    }
                }
                Output::Order { order, outcome, .. } => {
                    if let Some(account) = self.order_outcome(order, &outcome, ts.millis(), cancel_id)
                        && !touched.contains(&account)
                    {
                        touched.push(account);
                    }
                }
            }
        }
        for account in touched {
            self.report_balances(account, ts.millis());
        }
    }

    fn trade(&mut self, trade: Trade) {
        self.history.note(trade);
        if self.hub.is_wanted(Stream::Trade) {
            let text = payload::trade(&self.listing.symbol, &trade);
            self.hub.publish(Stream::Trade, &text);
        }
    }

    fn publish_depth(&mut self, stream: Stream) {
        let feed = match stream {
            Stream::Depth1000 => &mut self.depth1000,
            _ => &mut self.depth100,
        };
        if self.hub.is_wanted(stream) {
            let text = payload::depth_update(&self.listing.symbol, &feed.diff());
            self.hub.publish(stream, &text);
        }
        feed.clear();
    }

    /// Books what happened to an order and tells its owner; returns the account.
    fn order_outcome(
        &mut self,
        id: OrderId,
        outcome: &OrderOutcome,
        time_ms: i64,
        cancel_id: Option<&str>,
    ) -> Option<usize> {
        let fill = match *outcome {
            OrderOutcome::Filled {
                trade_id,
                price,
                quantity,
                liquidity,
                ..
            } => self.book_fill(id, trade_id, price, quantity, liquidity, time_ms),
            _ => None,
        };
        let order = self.orders.get_mut(id)?;
        let (kind, status) = match *outcome {
            OrderOutcome::Accepted => ("NEW", Status::New),
            OrderOutcome::Filled { remaining, .. } => (
                "TRADE",
                if remaining.is_zero() {
                    Status::Filled
                } else {
                    Status::PartiallyFilled
                },
            ),
            OrderOutcome::Canceled { .. } => ("CANCELED", Status::Canceled),
            OrderOutcome::Expired { reason, .. } => ("EXPIRED", Status::of_expiry(reason)),
            OrderOutcome::Rejected(_) | OrderOutcome::CancelRejected => return None,
        };
        order.status = status;
        order.updated_ms = time_ms;
        let account = order.account;
        self.execution_id += 1;
        let event = ExecutionEvent {
            kind,
            fill: fill.as_ref(),
            cancel_id: cancel_id.filter(|_| status == Status::Canceled),
            execution_id: self.execution_id,
            time_ms,
        };
        let report = order.execution_report(&self.listing.symbol, &event);
        if !status.is_open() {
            self.release_rest(id);
        }
        self.hub.publish_account(account, &report);
        Some(account)
    }

    /// Moves the money of one execution.
    fn book_fill(
        &mut self,
        id: OrderId,
        trade_id: TradeId,
        price: Price,
        quantity: Quantity,
        liquidity: Liquidity,
        time_ms: i64,
    ) -> Option<FillRecord> {
        let instrument = &self.listing.instrument;
        let order = self.orders.get_mut(id)?;
        let side = order.ticket.side;
        let fill = FillRecord {
            trade_id,
            order: id,
            price,
            quantity,
            side,
            fee: self.fees.fee(instrument, side, price, quantity, liquidity),
            liquidity,
            time_ms,
        };
        let quote = fill.value();
        let base = i128::from(quantity.units()) * MONEY_PER_UNIT;
        let (given, paid, received, got) = match side {
            Side::Buy => (instrument.quote, quote, instrument.base, base),
            Side::Sell => (instrument.base, base, instrument.quote, quote),
        };
        // A buy below its limit frees the difference at once.
        let freed = match (side, order.ticket.price) {
            (Side::Buy, Some(limit)) => value(limit, quantity) - quote,
            _ => 0,
        };
        order.reserved -= paid + freed;
        order.filled = order.filled.checked_add(quantity).unwrap_or(order.filled);
        order.filled_value += quote;
        order.fills.push(fill);
        let account = &mut self.accounts[order.account];
        account.spend(given, paid);
        account.release(given, freed);
        account.receive(received, got);
        account.receive(fill.fee.currency(), -fill.fee.units());
        account.keep_fill(fill);
        Some(fill)
    }

    /// An order that has ended gives back what it did not use.
    fn release_rest(&mut self, id: OrderId) {
        self.orders.settle(id);
        if let Some(order) = self.orders.get_mut(id) {
            let rest = std::mem::take(&mut order.reserved);
            let (side, account) = (order.ticket.side, order.account);
            let given = self.given(side);
            self.accounts[account].release(given, rest);
        }
    }

    fn report_balances(&mut self, account: usize, time_ms: i64) {
        let instrument = &self.listing.instrument;
        let holder = &mut self.accounts[account];
        holder.updated_ms = time_ms;
        let positions = holder.positions(&[instrument.base, instrument.quote]);
        let event = payload::account_position(time_ms, &positions);
        self.hub.publish_account(account, &event);
    }

    /// The rates as `account` shows them.
    pub(crate) fn rates(&self) -> (Decimal, Decimal) {
        (self.listing.maker_bps, self.listing.taker_bps)
    }
}

/// The wire's word for the matching engine's refusal of an order.
fn refusal_of(output: &Output, id: OrderId) -> Option<ApiError> {
    let Output::Order {
        order,
        outcome: OrderOutcome::Rejected(reason),
        ..
    } = output
    else {
        return None;
    };
    (*order == id).then(|| match reason {
        RejectReason::WouldTake => ApiError::would_take(),
        RejectReason::RateLimit => ApiError::filter("EXCHANGE_MAX_NUM_ORDERS"),
        _ => ApiError::rejected("This action is disabled on this account."),
    })
}

fn value(price: Price, quantity: Quantity) -> i128 {
    i128::from(price.units()) * i128::from(quantity.units())
}

fn owner_of(account: usize) -> Owner {
    // At most 256 accounts: the index always fits.
    Owner(u16::try_from(account).unwrap_or(u16::MAX))
}

fn new_order(account: usize, ticket: &Ticket) -> NewOrder {
    NewOrder {
        owner: owner_of(account),
        side: ticket.side,
        order_type: ticket.order_type,
        price: ticket.price.filter(|_| ticket.order_type == OrderType::Limit),
        quantity: ticket.quantity,
        time_in_force: ticket.time_in_force,
        post_only: ticket.post_only,
        self_trade: ticket.self_trade,
    }
}

#[cfg(test)]
mod tests {
    use domain::{Bar, InstrumentId, TimeInForce};
    use proptest::prelude::*;
    use simulation::SelfTradePrevention;

    use super::*;

    const TICK: i64 = 1_000_000;
    const SPAN_MS: i64 = 60_000;

    fn bars() -> Vec<Bar> {
        (1..6)
            .map(|number| {
                let price = |ticks: i64| Price::from_units((10_000 + 13 * number + ticks) * TICK);
                Bar {
                    instrument: InstrumentId(0),
                    ts_open: Timestamp::from_millis(number * SPAN_MS),
                    span: Nanos::from_millis(SPAN_MS),
                    open: price(0),
                    high: price(60),
                    low: price(-40),
                    close: price(20),
                    volume: Quantity::from_units(25_000_000_000),
                }
            })
            .collect()
    }

    fn venue() -> Venue {
        let keys = vec![
            ApiKey::new("key_of_a", "secret_a"),
            ApiKey::new("key_of_b", "secret_b"),
        ];
        Venue::new(&ServerConfig::new(bars(), "BTCUSDT"), keys).expect("a venue")
    }

    /// What an account does, and how long after the one before.
    #[derive(Debug, Clone)]
    struct Act {
        wait_ms: i64,
        account: usize,
        buy: bool,
        offset: i64,
        hundredths: i64,
        kind: u8,
        cancel: Option<u64>,
    }

    fn any_act() -> impl Strategy<Value = Act> {
        let cancel = prop::option::of(1u64..40);
        (
            0i64..12_000,
            0usize..2,
            any::<bool>(),
            -80i64..80,
            1i64..900,
            0u8..5,
            cancel,
        )
            .prop_map(|(wait_ms, account, buy, offset, hundredths, kind, cancel)| Act {
                wait_ms,
                account,
                buy,
                offset,
                hundredths,
                kind,
                cancel,
            })
    }

    fn ticket(venue: &mut Venue, act: &Act) -> Ticket {
        let last = venue.history.last_price().units();
        let is_market = act.kind == 0;
        Ticket {
            client_order_id: venue.next_client_id(),
            side: if act.buy { Side::Buy } else { Side::Sell },
            order_type: if is_market {
                OrderType::Market
            } else {
                OrderType::Limit
            },
            price: (!is_market).then(|| Price::from_units(last + act.offset * TICK)),
            quantity: Quantity::from_units(act.hundredths * 1_000_000),
            time_in_force: if act.kind == 1 {
                TimeInForce::Ioc
            } else {
                TimeInForce::Gtc
            },
            post_only: act.kind == 2,
            self_trade: SelfTradePrevention::ExpireMaker,
        }
    }

    /// Holdings are the opening plus all executions and fees; what is locked is what open orders reserve.
    fn check(venue: &Venue, opening: &[(Currency, i128)]) {
        for (index, account) in venue.accounts.iter().enumerate() {
            for &(currency, opened) in opening {
                let mut total = opened;
                for fill in &account.fills {
                    let base = i128::from(fill.quantity.units()) * MONEY_PER_UNIT;
                    let sign = i128::from(fill.side.sign());
                    total += if currency == venue.listing.instrument.base {
                        sign * base
                    } else {
                        -sign * fill.value()
                    };
                    total -= if fill.fee.currency() == currency {
                        fill.fee.units()
                    } else {
                        0
                    };
                }
                let open = venue
                    .orders
                    .open_of(index)
                    .filter(|order| venue.given(order.ticket.side) == currency);
                let reserved: i128 = open.map(|order| order.reserved).sum();
                let holding = account.holding(currency);
                assert_eq!(holding.locked, reserved, "{currency} locked");
                assert_eq!(holding.free + holding.locked, total, "{currency} in all");
                assert!(holding.free >= 0 && reserved >= 0, "{currency} below zero");
            }
        }
    }

    proptest! {
        #[test]
        fn nothing_is_made_or_lost(acts in prop::collection::vec(any_act(), 1..60)) {
            let mut venue = venue();
            let instrument = venue.listing.instrument;
            let opening = [instrument.base, instrument.quote].map(|currency| {
                (currency, venue.accounts[0].holding(currency).free)
            });
            for act in &acts {
                venue.clock.advance(Nanos::from_millis(act.wait_ms));
                let ticket = ticket(&mut venue, act);
                // A refusal is an outcome like any other.
                let _ = venue.place(act.account, ticket);
                if let Some(id) = act.cancel {
                    let _ = venue.cancel(OrderId(id), "cancel");
                }
                check(&venue, &opening);
            }
            venue.clock.advance(Nanos::from_millis(6 * SPAN_MS));
            venue.catch_up();
            check(&venue, &opening);
        }
    }
}

//! What the engine's integration tests share: an engine with a venue's worth of events at hand.
//!
//! Prices are in dollars and quantities in thousandths of a coin, so that a test reads like a ticket.

#![allow(
    dead_code,
    unreachable_pub,
    clippy::unwrap_used,
    clippy::cast_precision_loss,
    reason = "each test file uses its own part of the rig, and a test that cannot go on may panic"
)]

use std::sync::mpsc::{Receiver, Sender, channel};

use domain::{
    Balance, BookInvalidReason, BookUpdate, BookUpdateKind, BundleDigest, ClientOrderId, Currency, Decimal,
    Epoch, Fill, Instrument, InstrumentId, InstrumentRules, InstrumentStatus, Level, Liquidity, MarketEvent,
    Money, Nanos, OrderReport, OrderReportKind, OrderRequest, OrderType, Price, Quantity, Quote, SCALE, Side,
    SlotId, Text, TimeInForce, Timestamp, Trade, TradeId, Venue, VenueOrderId, VenueState, VenueStatus,
};
use engine::risk::{DenyReason, RiskLimits};
use engine::signals::{FeatureDef, FeatureKind, FeatureSpec, Model, Score};
use engine::strategy::{BarView, Intent, Intents, OrderIntent, SlotView, Strategy};
use engine::{
    Action, Actions, Alert, BundleActivated, CarriedState, Command, CommandId, CommandKind, CommandRefusal,
    Decision, Engine, EngineConfig, Event, EventBody, ManualOrder, OnSwap, SlotConfig, SlotProgram, TimerId,
};

pub const BTC: InstrumentId = InstrumentId(0);
pub const SLOT: SlotId = SlotId(0);
pub const OTHER: SlotId = SlotId(1);
pub const VENUE: Venue = Venue::Binance;
pub const ACK_TIMEOUT: Nanos = Nanos::from_secs(5);
pub const BAR: Nanos = Nanos::from_secs(60);
/// Engine time of the first event.
pub const START: i64 = 1_000_000 * 60_000_000_000;

pub fn usd() -> Currency {
    Currency::new("USDT").unwrap()
}

pub fn coin() -> Currency {
    Currency::new("BTC").unwrap()
}

/// Whole dollars.
pub fn dollars(amount: i64) -> Money {
    Money::from_units(i128::from(amount) * i128::from(SCALE) * i128::from(SCALE), usd())
}

/// A price in dollars.
pub fn price(dollars: i64) -> Price {
    Price::from_units(dollars * SCALE)
}

/// Thousandths of a coin.
pub fn milli(quantity: i64) -> Quantity {
    Quantity::from_units(quantity * SCALE / 1_000)
}

pub fn share(text: &str) -> Decimal {
    Decimal::parse(text.as_bytes()).unwrap()
}

pub fn limits() -> RiskLimits {
    RiskLimits {
        max_position_usd: dollars(1_000_000),
        max_portfolio_concentration: share("1"),
        max_leverage: share("1"),
        var_limit_1d_95: dollars(1_000_000),
        max_drawdown_pct: share("0.9"),
        max_order_size_usd: dollars(1_000_000),
        max_order_rate_per_min: 1_000,
        margin_buffer: share("0"),
        margin_call_threshold: share("0"),
        price_collar_bps: 5_000,
        duplicate_window: Nanos(0),
        repeated_execution_limit: 1_000,
        repeated_execution_window: Nanos::from_secs(60),
        max_data_age: Nanos::from_secs(3_600),
    }
}

pub fn instrument() -> Instrument {
    Instrument {
        id: BTC,
        venue: VENUE,
        symbol: Text::new("BTCUSDT").unwrap(),
        base: coin(),
        quote: usd(),
        rules: InstrumentRules {
            tick_size: Price::from_units(SCALE / 100),
            lot_size: milli(1),
            min_price: Price::ZERO,
            max_price: Price::ZERO,
            min_quantity: milli(1),
            max_quantity: Quantity::ZERO,
            min_notional: dollars(0),
        },
        status: InstrumentStatus::Trading,
    }
}

pub fn config() -> EngineConfig {
    let slot = |slot| SlotConfig {
        slot,
        instrument: BTC,
        capital: dollars(100_000),
    };
    EngineConfig {
        epoch: Epoch(1),
        portfolio_currency: usd(),
        instruments: vec![instrument()],
        slots: vec![slot(SLOT), slot(OTHER)],
        limits: limits(),
        bar_span: BAR,
        bar_close_grace: Nanos(0),
        order_ack_timeout: ACK_TIMEOUT,
        require_reconciliation: false,
        carried: CarriedState::default(),
    }
}

/// A strategy that wants what a test sends it, at the next quote.
pub struct Scripted {
    wishes: Receiver<Intent>,
}

impl Strategy for Scripted {
    fn on_bar(&mut self, _: &SlotView<'_>, _: &BarView<'_>, _: &mut Intents) -> Decision {
        Decision::Hold
    }

    fn on_quote(&mut self, _: &SlotView<'_>, _: &Quote, intents: &mut Intents) {
        while let Ok(wish) = self.wishes.try_recv() {
            intents.push(wish);
        }
    }

    fn wants_quotes(&self) -> bool {
        true
    }
}

/// A scripted strategy and the end that its wishes are sent through.
pub fn scripted() -> (Sender<Intent>, Scripted) {
    let (sender, wishes) = channel();
    (sender, Scripted { wishes })
}

/// A strategy that wants nothing.
pub struct Silent;

impl Strategy for Silent {
    fn on_bar(&mut self, _: &SlotView<'_>, _: &BarView<'_>, _: &mut Intents) -> Decision {
        Decision::Hold
    }
}

/// A model whose raw score is its first feature times a hundred; a probability is its own raw score.
pub struct Linear {
    pub width: usize,
    pub broken: bool,
}

impl Model for Linear {
    fn feature_count(&self) -> usize {
        self.width
    }

    fn score(&mut self, row: &[f32]) -> Score {
        let raw = if self.broken { f32::NAN } else { row[0] * 100.0 };
        Score {
            raw,
            probability: raw,
        }
    }

    fn raw_threshold(&self, probability: Decimal) -> f32 {
        probability.units() as f32 / SCALE as f32
    }
}

/// A specification of one feature: the return of the last bar.
pub fn one_feature() -> FeatureSpec {
    let kind = FeatureKind::Return { lag: 1 };
    FeatureSpec {
        bar_span: BAR,
        events: None,
        slow: Vec::new(),
        features: vec![FeatureDef {
            name: "ret_1".to_owned(),
            kind,
            restart_window: 0,
        }],
    }
}

pub fn digest(number: u8) -> BundleDigest {
    BundleDigest([number; 32])
}

pub fn program(slot: SlotId, number: u8, strategy: Box<dyn Strategy>) -> SlotProgram {
    SlotProgram {
        slot,
        digest: digest(number),
        instrument: BTC,
        features: None,
        model: None,
        strategy,
        limits: limits(),
        daily_volatility: share("0.02"),
        size_scale: Decimal::ONE,
        expires: Timestamp::from_nanos(i64::MAX),
        on_swap: OnSwap::Adopt,
    }
}

pub struct Rig {
    pub engine: Engine,
    pub now: Timestamp,
    seq: u64,
    buffer: Actions,
    pub trade_id: u64,
    commands: u64,
}

impl Rig {
    /// A running engine with a book at 99 / 101 and a silent program in the first slot.
    pub fn new() -> Self {
        Self::with(config())
    }

    pub fn with(config: EngineConfig) -> Self {
        let mut rig = Self::bare(config);
        rig.deploy(program(SLOT, 1, Box::new(Silent)));
        rig.quote(99, 101);
        rig
    }

    /// An engine that has been told nothing but its start.
    pub fn bare(config: EngineConfig) -> Self {
        let epoch = config.epoch;
        let engine = Engine::new(config).unwrap();
        let now = Timestamp::from_nanos(START);
        let mut rig = Self {
            engine,
            now,
            seq: 0,
            buffer: Actions::new(),
            trade_id: 0,
            commands: 0,
        };
        rig.feed(EventBody::Started { epoch });
        rig
    }

    pub fn feed(&mut self, body: EventBody<'_>) -> Vec<Action> {
        self.seq += 1;
        self.engine.on_event(
            &Event {
                seq: self.seq,
                ts: self.now,
                body,
            },
            &mut self.buffer,
        );
        assert!(!self.buffer.overflowed());
        self.buffer.drain().collect()
    }

    pub fn wait(&mut self, span: Nanos) {
        self.now = self.now.plus(span);
    }

    pub fn deploy(&mut self, program: SlotProgram) -> Vec<Action> {
        let (slot, digest) = (program.slot, program.digest);
        self.engine.stage(program).unwrap();
        self.activate(slot, digest, i64::MAX)
    }

    pub fn activate(&mut self, slot: SlotId, digest: BundleDigest, expires: i64) -> Vec<Action> {
        let expires = Timestamp::from_nanos(expires);
        self.feed(EventBody::BundleActivated(BundleActivated {
            slot,
            digest,
            serial: 1,
            expires,
        }))
    }

    /// Puts a scripted strategy into a slot; its wishes are sent through the returned end.
    pub fn script(&mut self, slot: SlotId, number: u8) -> Sender<Intent> {
        let (sender, strategy) = scripted();
        self.deploy(program(slot, number, Box::new(strategy)));
        sender
    }

    pub fn quote(&mut self, bid: i64, ask: i64) -> Vec<Action> {
        self.quote_units(price(bid), price(ask))
    }

    pub fn quote_units(&mut self, bid: Price, ask: Price) -> Vec<Action> {
        self.quote_at(self.now, bid, ask)
    }

    /// A quote that the venue made at another time.
    pub fn quote_of(&mut self, ts_event: Timestamp, bid: i64, ask: i64) -> Vec<Action> {
        self.quote_at(ts_event, price(bid), price(ask))
    }

    fn quote_at(&mut self, ts_event: Timestamp, bid: Price, ask: Price) -> Vec<Action> {
        let quote = Quote {
            instrument: BTC,
            ts_event,
            update_id: 1,
            bid,
            bid_quantity: Quantity::ONE,
            ask,
            ask_quantity: Quantity::ONE,
        };
        self.feed(EventBody::Market(MarketEvent::Quote(quote)))
    }

    pub fn snapshot(&mut self, bid: i64, ask: i64) -> Vec<Action> {
        let level = |dollars| Level {
            price: price(dollars),
            quantity: Quantity::ONE,
        };
        let (kind, bids, asks) = (BookUpdateKind::Snapshot, [level(bid)], [level(ask)]);
        let (ts_event, update_id) = (self.now, 1);
        let update = BookUpdate {
            instrument: BTC,
            ts_event,
            kind,
            update_id,
            bids: &bids,
            asks: &asks,
        };
        self.feed(EventBody::Market(MarketEvent::Book(update)))
    }

    pub fn trade(&mut self, dollars: i64) -> Vec<Action> {
        let trade = Trade {
            instrument: BTC,
            ts_event: self.now,
            trade_id: TradeId(0),
            price: price(dollars),
            quantity: Quantity::ONE,
            aggressor: Side::Buy,
        };
        self.feed(EventBody::Market(MarketEvent::Trade(trade)))
    }

    /// Closes the current bar at a price: a trade in it, then time past its end.
    pub fn bar(&mut self, dollars: i64) -> Vec<Action> {
        self.trade(dollars);
        self.wait(BAR);
        self.quote(dollars - 1, dollars + 1)
    }

    /// The trade stream is up from now on.
    pub fn watch_trades(&mut self) {
        self.feed(EventBody::TradesComplete {
            instrument: BTC,
            since: self.now,
        });
    }

    pub fn invalidate(&mut self) -> Vec<Action> {
        let invalid = domain::BookInvalid {
            instrument: BTC,
            reason: BookInvalidReason::Gap,
        };
        self.feed(EventBody::Market(MarketEvent::BookInvalid(invalid)))
    }

    pub fn venue(&mut self, state: VenueState) -> Vec<Action> {
        self.feed(EventBody::Market(MarketEvent::VenueStatus(VenueStatus {
            venue: VENUE,
            state,
        })))
    }

    pub fn balance(&mut self, currency: Currency, free: Quantity) -> Vec<Action> {
        let balance = Balance {
            currency,
            free,
            locked: Quantity::ZERO,
        };
        self.feed(EventBody::Balance {
            venue: VENUE,
            balance,
        })
    }

    pub fn command(&mut self, kind: CommandKind) -> (Result<(), CommandRefusal>, Vec<Action>) {
        self.commands += 1;
        let id = CommandId(self.commands);
        let actions = self.feed(EventBody::Command(Command { id, kind }));
        let result = actions.iter().find_map(|action| match action {
            Action::CommandResult { id: of, result } if *of == id => Some(*result),
            _ => None,
        });
        (result.expect("every command is answered"), actions)
    }

    /// An order by hand in the first slot; its id, or why it was denied.
    pub fn order(&mut self, side: Side, dollars: i64, quantity: i64) -> Result<ClientOrderId, DenyReason> {
        self.order_in(SLOT, side, Some(price(dollars)), milli(quantity))
    }

    pub fn order_in(
        &mut self,
        slot: SlotId,
        side: Side,
        price: Option<Price>,
        quantity: Quantity,
    ) -> Result<ClientOrderId, DenyReason> {
        let order_type = if price.is_some() {
            OrderType::Limit
        } else {
            OrderType::Market
        };
        let order = ManualOrder {
            slot,
            instrument: BTC,
            side,
            order_type,
            price,
            quantity,
        };
        let (_, actions) = self.command(CommandKind::ManualOrder(order));
        let sent = submits(&actions).first().map(|request| request.client_order_id);
        sent.ok_or_else(|| denial(&actions).expect("an order is sent or denied"))
    }

    pub fn report(&mut self, id: ClientOrderId, kind: OrderReportKind) -> Vec<Action> {
        let report = OrderReport {
            client_order_id: id,
            instrument: BTC,
            ts_event: self.now,
            kind,
        };
        self.feed(EventBody::OrderReport(report))
    }

    pub fn accept(&mut self, id: ClientOrderId) -> Vec<Action> {
        self.report(
            id,
            OrderReportKind::Accepted(VenueOrderId(Text::new("1").unwrap())),
        )
    }

    /// A fill of an order at a price in dollars.
    pub fn fill(&mut self, id: ClientOrderId, side: Side, dollars: i64, quantity: i64) -> Vec<Action> {
        let fill = self.next_fill(side, dollars, quantity);
        self.report(id, OrderReportKind::Filled(fill))
    }

    pub fn next_fill(&mut self, side: Side, dollars: i64, quantity: i64) -> Fill {
        self.trade_id += 1;
        Fill {
            trade_id: TradeId(self.trade_id),
            price: price(dollars),
            quantity: milli(quantity),
            side,
            fee: Money::zero(usd()),
            liquidity: Liquidity::Taker,
        }
    }

    /// Buys by hand and fills it: a position to work with.
    pub fn hold(&mut self, slot: SlotId, quantity: i64) {
        let id = self
            .order_in(slot, Side::Buy, Some(price(101)), milli(quantity))
            .unwrap();
        self.accept(id);
        self.fill(id, Side::Buy, 101, quantity);
        assert_eq!(self.position(slot), milli(quantity));
    }

    pub fn timer(&mut self, timer: TimerId) -> Vec<Action> {
        self.feed(EventBody::Timer(timer))
    }

    pub fn position(&self, slot: SlotId) -> Quantity {
        self.engine
            .positions()
            .find(|position| position.slot == slot)
            .unwrap()
            .quantity
    }

    pub fn status(&self, id: ClientOrderId) -> domain::OrderStatus {
        self.engine.order(id).expect("a known order").status
    }

    /// A next life with what this one leaves.
    pub fn restart(&self) -> Self {
        let carried = self.engine.carried_state();
        Self::bare(EngineConfig {
            epoch: Epoch(2),
            carried,
            ..config()
        })
    }
}

pub fn submits(actions: &[Action]) -> Vec<OrderRequest> {
    let submit = |action: &Action| match action {
        Action::Submit(approved) => Some(*approved.get()),
        _ => None,
    };
    actions.iter().filter_map(submit).collect()
}

pub fn cancels(actions: &[Action]) -> Vec<ClientOrderId> {
    let cancel = |action: &Action| match action {
        Action::Cancel(request) => Some(request.client_order_id),
        _ => None,
    };
    actions.iter().filter_map(cancel).collect()
}

pub fn queries(actions: &[Action]) -> Vec<ClientOrderId> {
    let query = |action: &Action| match action {
        Action::QueryOrder(request) => Some(request.client_order_id),
        _ => None,
    };
    actions.iter().filter_map(query).collect()
}

pub fn alerts(actions: &[Action]) -> Vec<Alert> {
    let alert = |action: &Action| match action {
        Action::Alert(alert) => Some(*alert),
        _ => None,
    };
    actions.iter().filter_map(alert).collect()
}

pub fn timers(actions: &[Action]) -> Vec<(TimerId, Timestamp)> {
    let timer = |action: &Action| match action {
        Action::SetTimer { timer, at } => Some((*timer, *at)),
        _ => None,
    };
    actions.iter().filter_map(timer).collect()
}

pub fn denial(actions: &[Action]) -> Option<DenyReason> {
    actions.iter().find_map(|action| match action {
        Action::Denied { reason, .. } => Some(*reason),
        _ => None,
    })
}

/// A wish for a limit order that stays.
pub fn wish(side: Side, dollars: i64, quantity: i64) -> OrderIntent {
    OrderIntent {
        instrument: BTC,
        side,
        quantity: milli(quantity),
        order_type: OrderType::Limit,
        price: Some(price(dollars)),
        time_in_force: TimeInForce::Gtc,
        post_only: false,
        reduce_only: false,
        timeout: None,
    }
}

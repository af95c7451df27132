//! An order that risk approved: only an engine makes one.

use domain::{
    BundleDigest, Decimal, Epoch, InstrumentId, InstrumentRules, MarketEvent, Money, Nanos, OrderType, Price,
    Quantity, Quote, Side, SlotId, Timestamp,
};
use engine::risk::RiskLimits;
use engine::strategy::{BarView, Intents, SlotView, Strategy};
use engine::{
    Actions, BundleActivated, CarriedState, Command, CommandId, CommandKind, Decision, Engine, EngineConfig,
    Event, EventBody, ManualOrder, OnSwap, SlotProgram,
};

use crate::samples;

const BTC: InstrumentId = InstrumentId(0);
const DIGEST: BundleDigest = BundleDigest([7; 32]);

/// Wants nothing itself, so that the one order is the one by hand.
struct Silent;

impl Strategy for Silent {
    fn on_bar(&mut self, _: &SlotView<'_>, _: &BarView<'_>, _: &mut Intents) -> Decision {
        Decision::Hold
    }
}

/// The sample configuration, made wide enough to trade.
fn config() -> EngineConfig {
    let mut config = samples::header().config;
    let usdt = config.portfolio_currency;
    let plenty = Money::from_units(i128::from(i64::MAX), usdt);
    config.carried = CarriedState::default();
    config.require_reconciliation = false;
    config.order_ack_timeout = Nanos::from_secs(5);
    config.limits = RiskLimits {
        max_position_usd: plenty,
        max_portfolio_concentration: Decimal::ONE,
        max_leverage: Decimal::ONE,
        var_limit_1d_95: plenty,
        max_drawdown_pct: Decimal::ONE,
        max_order_size_usd: plenty,
        max_order_rate_per_min: 10,
        margin_buffer: Decimal::ZERO,
        margin_call_threshold: Decimal::ZERO,
        price_collar_bps: 5_000,
        max_data_age: Nanos::from_secs(60),
        ..config.limits
    };
    config.slots[0].instrument = BTC;
    config.slots[0].capital = plenty;
    config.instruments[0].id = BTC;
    config.instruments[0].rules = InstrumentRules {
        tick_size: Price::from_units(1),
        lot_size: Quantity::from_units(1),
        min_price: Price::ZERO,
        max_price: Price::ZERO,
        min_quantity: Quantity::ZERO,
        max_quantity: Quantity::ZERO,
        min_notional: Money::zero(usdt),
    };
    config
}

fn program(slot: SlotId, limits: RiskLimits) -> SlotProgram {
    SlotProgram {
        slot,
        digest: DIGEST,
        instrument: BTC,
        features: None,
        model: None,
        strategy: Box::new(Silent),
        limits,
        daily_volatility: Decimal::from_units(1),
        size_scale: Decimal::ONE,
        expires: Timestamp::from_nanos(i64::MAX),
        on_swap: OnSwap::Adopt,
    }
}

/// What an engine makes of one order by hand.
pub fn decide() -> Actions {
    let config = config();
    let (slot, limits) = (config.slots[0].slot, config.limits);
    let mut engine = Engine::new(config).unwrap();
    engine.stage(program(slot, limits)).unwrap();
    let ts = Timestamp::from_nanos(1);
    let activated = BundleActivated {
        slot,
        digest: DIGEST,
        serial: 1,
        expires: Timestamp::from_nanos(i64::MAX),
    };
    let quote = Quote {
        instrument: BTC,
        ts_event: ts,
        update_id: 1,
        bid: Price::from_units(100),
        bid_quantity: Quantity::from_units(10),
        ask: Price::from_units(101),
        ask_quantity: Quantity::from_units(10),
    };
    let order = ManualOrder {
        slot,
        instrument: BTC,
        side: Side::Buy,
        order_type: OrderType::Limit,
        price: Some(Price::from_units(100)),
        quantity: Quantity::from_units(1),
    };
    let command = Command {
        id: CommandId(1),
        kind: CommandKind::ManualOrder(order),
    };
    let bodies = [
        EventBody::Started { epoch: Epoch(2) },
        EventBody::BundleActivated(activated),
        EventBody::Market(MarketEvent::Quote(quote)),
        EventBody::Command(command),
    ];
    let mut actions = Actions::new();
    for (seq, body) in (1..).zip(bodies) {
        engine.on_event(&Event { seq, ts, body }, &mut actions);
    }
    actions
}

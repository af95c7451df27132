//! One value of every variant, each with its name in the golden file. `..._name` matches without a wildcard, so a new
//! variant does not compile before it has a name here, and is missed by a test before it has a sample.

mod account;
mod names;

use domain::{
    AmendRejectReason, AmendRequest, Balance, Bar, BookInvalid, BookInvalidReason, BookUpdate,
    BookUpdateKind, BundleDigest, CancelRejectReason, CancelRequest, ClientOrderId, Currency, Decimal, Epoch,
    Fill, Instrument, InstrumentId, InstrumentRules, InstrumentStatus, Level, Liquidity, MarketEvent, Money,
    Nanos, Number, OrderReport, OrderReportKind, OrderRequest, OrderSnapshot, OrderStatus, OrderTerms,
    OrderType, Price, Quantity, Quote, RejectReason, RuleViolation, Side, SlotId, Text, TimeInForce,
    Timestamp, Trade, TradeId, Venue, VenueOrderId, VenueState, VenueStatus,
};
use engine::risk::{DenyReason, RiskLimits};
use engine::signals::SlowFact;
use engine::{
    Action, ActivationRefusal, Alert, BookedFill, BundleActivated, CarriedAccount, CarriedOrder, CarriedSlot,
    CarriedState, Command, CommandId, CommandKind, CommandRefusal, ControlLevel, CountedExecution, Decision,
    EngineConfig, EventBody, FeatureRow, FillKey, Flatten, JournalHealth, Latch, LatchCause, ManualOrder,
    OrderUpdate, ParameterId, PositionUpdate, Scope, SentOrder, Signal, SlotConfig, TimerId, VenuePosition,
};
use journal::codec::RecordedAction;
use journal::{ConfigText, RunHeader};

pub use account::{header_with_account, header_with_movements};
pub use names::{ACTION_NAMES, EVENT_NAMES, action_name, event_name};

const BTC: InstrumentId = InstrumentId(0x0102);
const SLOT: SlotId = SlotId(0x0304);
const AT: Timestamp = Timestamp::from_nanos(0x0102_0304_0506_0708);

pub const BIDS: [Level; 2] = [level(100, 5), level(99, 0)];
pub const ASKS: [Level; 1] = [level(101, i64::MAX)];

const fn level(price: i64, quantity: i64) -> Level {
    Level {
        price: Price::from_units(price),
        quantity: Quantity::from_units(quantity),
    }
}

fn price(units: i64) -> Price {
    Price::from_units(units)
}

fn quantity(units: i64) -> Quantity {
    Quantity::from_units(units)
}

fn currency(code: &str) -> Currency {
    Currency::new(code).unwrap()
}

fn money(units: i128) -> Money {
    Money::from_units(units, currency("USDT"))
}

fn order_id() -> ClientOrderId {
    ClientOrderId {
        epoch: Epoch(3),
        slot: SLOT,
        counter: 42,
    }
}

fn request() -> OrderRequest {
    OrderRequest {
        client_order_id: order_id(),
        instrument: BTC,
        side: Side::Buy,
        order_type: OrderType::Limit,
        price: Some(price(-2)),
        quantity: quantity(7),
        time_in_force: TimeInForce::Gtc,
        post_only: true,
        reduce_only: false,
    }
}

fn market_request() -> OrderRequest {
    OrderRequest {
        side: Side::Sell,
        order_type: OrderType::Market,
        price: None,
        time_in_force: TimeInForce::Ioc,
        post_only: false,
        reduce_only: true,
        ..request()
    }
}

fn cancel() -> CancelRequest {
    CancelRequest {
        client_order_id: order_id(),
        instrument: BTC,
    }
}

fn fill() -> Fill {
    Fill {
        trade_id: TradeId(9),
        price: price(11),
        quantity: quantity(12),
        side: Side::Sell,
        fee: money(-13),
        liquidity: Liquidity::Taker,
    }
}

fn bar() -> Bar {
    Bar {
        instrument: BTC,
        ts_open: AT,
        span: Nanos(900),
        open: price(1),
        high: price(2),
        low: price(3),
        close: price(4),
        volume: quantity(5),
    }
}

fn instrument(status: InstrumentStatus) -> Instrument {
    Instrument {
        id: BTC,
        venue: Venue::Binance,
        symbol: Text::new("BTCUSDT").unwrap(),
        base: currency("BTC"),
        quote: currency("USDT"),
        rules: InstrumentRules {
            tick_size: price(1),
            lot_size: quantity(2),
            min_price: price(3),
            max_price: price(4),
            min_quantity: quantity(5),
            max_quantity: quantity(6),
            min_notional: money(i128::MAX),
        },
        status,
    }
}

fn report(kind: OrderReportKind) -> EventBody<'static> {
    EventBody::OrderReport(OrderReport {
        client_order_id: order_id(),
        instrument: BTC,
        ts_event: AT,
        kind,
    })
}

fn command(kind: CommandKind) -> EventBody<'static> {
    EventBody::Command(Command {
        id: CommandId(77),
        kind,
    })
}

fn digest(fill: u8) -> BundleDigest {
    BundleDigest([fill; 32])
}

fn market_events() -> Vec<MarketEvent<'static>> {
    let update = BookUpdate {
        instrument: BTC,
        ts_event: AT,
        kind: BookUpdateKind::Snapshot,
        update_id: 8,
        bids: &BIDS,
        asks: &ASKS,
    };
    let delta = BookUpdate {
        kind: BookUpdateKind::Delta,
        bids: &[],
        asks: &[],
        ..update
    };
    let mut events = vec![MarketEvent::Book(update), MarketEvent::Book(delta)];
    events.extend(
        [
            BookInvalidReason::Gap,
            BookInvalidReason::Disconnected,
            BookInvalidReason::Crossed,
            BookInvalidReason::BestLevelMismatch,
            BookInvalidReason::Stale,
            BookInvalidReason::Malformed,
        ]
        .map(|reason| {
            MarketEvent::BookInvalid(BookInvalid {
                instrument: BTC,
                reason,
            })
        }),
    );
    events.push(MarketEvent::Trade(Trade {
        instrument: BTC,
        ts_event: AT,
        trade_id: TradeId(u64::MAX),
        price: price(i64::MIN),
        quantity: quantity(1),
        aggressor: Side::Sell,
    }));
    events.push(MarketEvent::Quote(Quote {
        instrument: BTC,
        ts_event: AT,
        update_id: 1,
        bid: price(2),
        bid_quantity: quantity(3),
        ask: price(4),
        ask_quantity: quantity(5),
    }));
    events.extend(
        [
            InstrumentStatus::Trading,
            InstrumentStatus::CancelOnly,
            InstrumentStatus::Halted,
            InstrumentStatus::Unknown,
        ]
        .map(|status| MarketEvent::InstrumentUpdated(instrument(status))),
    );
    events.extend([VenueState::Online, VenueState::Offline].map(|state| {
        MarketEvent::VenueStatus(VenueStatus {
            venue: Venue::Binance,
            state,
        })
    }));
    events
}

const fn terms() -> OrderTerms {
    OrderTerms {
        price: Price::from_units(21),
        quantity: Quantity::from_units(22),
    }
}

fn reports() -> Vec<EventBody<'static>> {
    let venue_order = VenueOrderId(Text::new("1234567890").unwrap());
    let mut kinds = vec![
        OrderReportKind::Accepted(venue_order),
        OrderReportKind::NotSent,
        OrderReportKind::OutcomeUnknown,
        OrderReportKind::Filled(fill()),
        OrderReportKind::Canceled,
        OrderReportKind::CancelRejected(CancelRejectReason::UnknownOrder),
        OrderReportKind::CancelRejected(CancelRejectReason::Other),
        OrderReportKind::Expired,
        OrderReportKind::NotFound,
    ];
    kinds.extend(
        [
            RejectReason::Filter,
            RejectReason::InsufficientBalance,
            RejectReason::WouldTake,
            RejectReason::RateLimit,
            RejectReason::DuplicateId,
            RejectReason::Authentication,
            RejectReason::NotTrading,
            RejectReason::Other,
        ]
        .map(OrderReportKind::Rejected),
    );
    kinds.extend(statuses().map(|status| {
        OrderReportKind::Found(OrderSnapshot {
            status,
            filled: quantity(3),
        })
    }));
    kinds.push(OrderReportKind::Amended(terms()));
    kinds.extend(
        [
            AmendRejectReason::UnknownOrder,
            AmendRejectReason::NotOffered,
            AmendRejectReason::Other,
        ]
        .map(OrderReportKind::AmendRejected),
    );
    kinds.into_iter().map(report).collect()
}

fn statuses() -> [OrderStatus; 11] {
    [
        OrderStatus::Initialized,
        OrderStatus::Submitted,
        OrderStatus::Accepted,
        OrderStatus::PartiallyFilled,
        OrderStatus::Filled,
        OrderStatus::PendingCancel,
        OrderStatus::Canceled,
        OrderStatus::Rejected,
        OrderStatus::Denied,
        OrderStatus::Expired,
        OrderStatus::Unknown,
    ]
}

fn scopes() -> [Scope; 5] {
    [
        Scope::All,
        Scope::Venue(Venue::Binance),
        Scope::Instrument(BTC),
        Scope::Slot(SLOT),
        Scope::Order(order_id()),
    ]
}

fn commands() -> Vec<EventBody<'static>> {
    let scope = Scope::All;
    let mut kinds: Vec<CommandKind> = scopes().map(CommandKind::Kill).to_vec();
    kinds.extend([
        CommandKind::Start(scope),
        CommandKind::Pause(scope),
        CommandKind::CancelOrders(scope),
        CommandKind::ReduceOnly(scope),
        CommandKind::Flatten {
            scope,
            max_slippage_bps: 50,
        },
        CommandKind::Rearm {
            scope,
            reason: Text::new("looked at it").unwrap(),
        },
        CommandKind::ManualOrder(ManualOrder {
            slot: SLOT,
            instrument: BTC,
            side: Side::Buy,
            order_type: OrderType::Market,
            price: None,
            quantity: quantity(1),
        }),
    ]);
    kinds.extend(ParameterId::ALL.map(|parameter| CommandKind::SetParameter {
        slot: SLOT,
        parameter,
        value: Decimal::from_units(-1),
    }));
    let fact = |value| {
        CommandKind::TellSlow(SlowFact {
            instrument: BTC,
            name: Text::new("funding_rate").unwrap(),
            value,
            valid_from: AT,
            max_age: Nanos::from_secs(60),
        })
    };
    kinds.extend([fact(Number::from_bits(0.0001_f64.to_bits())), fact(None)]);
    kinds.into_iter().map(command).collect()
}

/// Every event there is.
pub fn events() -> Vec<EventBody<'static>> {
    let mut all = vec![
        EventBody::Started { epoch: Epoch(4) },
        EventBody::HistoricalBar(bar()),
        EventBody::TradesComplete {
            instrument: BTC,
            since: AT,
        },
        EventBody::Balance {
            venue: Venue::Binance,
            balance: Balance {
                currency: currency("BTC"),
                free: quantity(1),
                locked: quantity(2),
            },
        },
        EventBody::VenuePosition(VenuePosition {
            instrument: BTC,
            quantity: quantity(-3),
        }),
        EventBody::Reconciled {
            venue: Venue::Binance,
        },
        EventBody::Timer(TimerId(u64::MAX)),
        EventBody::BundleActivated(BundleActivated {
            slot: SLOT,
            digest: digest(0xab),
            serial: 6,
            expires: AT,
        }),
        EventBody::JournalHealth(JournalHealth::Healthy),
        EventBody::JournalHealth(JournalHealth::Lagging),
        EventBody::Ending,
        EventBody::SlotCapital {
            slot: SLOT,
            capital: money(i128::MIN),
        },
    ];
    all.extend(market_events().into_iter().map(EventBody::Market));
    all.extend(reports());
    all.extend(commands());
    all.extend(account::differences().map(EventBody::Difference));
    all.push(EventBody::Compared(account::compared()));
    all
}

fn deny_reasons() -> Vec<DenyReason> {
    let mut reasons = vec![
        DenyReason::Killed,
        DenyReason::Paused,
        DenyReason::ReduceOnly,
        DenyReason::NotReconciled,
        DenyReason::VenueOffline,
        DenyReason::JournalLagging,
        DenyReason::NoBook,
        DenyReason::StaleData,
        DenyReason::PriceCollar,
        DenyReason::OrderSize,
        DenyReason::OrderRate,
        DenyReason::Duplicate,
        DenyReason::RepeatedExecution,
        DenyReason::UnknownOutcome,
        DenyReason::SelfTrade,
        DenyReason::PositionLimit,
        DenyReason::Concentration,
        DenyReason::Leverage,
        DenyReason::ValueAtRisk,
        DenyReason::Drawdown,
        DenyReason::MarginBuffer,
        DenyReason::MarginCall,
        DenyReason::SlotCapital,
        DenyReason::Balance,
        DenyReason::TooManyOrders,
        DenyReason::Overflow,
    ];
    reasons.extend(
        [
            RuleViolation::NotTrading(InstrumentStatus::Halted),
            RuleViolation::TickSize(price(1), price(2)),
            RuleViolation::PriceRange(price(1), price(2), price(3)),
            RuleViolation::LotSize(quantity(1), quantity(2)),
            RuleViolation::QuantityRange(quantity(1), quantity(2), quantity(3)),
            RuleViolation::MinNotional(money(1), money(2)),
            RuleViolation::PriceMissing,
        ]
        .map(DenyReason::Rule),
    );
    reasons.push(DenyReason::OtherInstrument);
    reasons
}

fn alerts() -> [Alert; 25] {
    [
        Alert::DrawdownStop,
        Alert::MarginCall,
        Alert::RepeatedExecution,
        Alert::UnknownOrder(order_id()),
        Alert::LateFill(order_id()),
        Alert::Overfill(order_id()),
        Alert::PositionMismatch {
            instrument: BTC,
            difference: quantity(-1),
        },
        Alert::FeeAsset(currency("BNB")),
        Alert::BundleExpired(SLOT),
        Alert::ModelNotFinite(SLOT),
        Alert::CapacityReached,
        Alert::UnknownReport(order_id()),
        Alert::IllegalTransition(order_id()),
        Alert::CancelFailed(order_id()),
        Alert::BookingFailed(order_id()),
        Alert::FlattenIncomplete(SLOT),
        Alert::UnknownInstrument(BTC),
        Alert::OrdersDenied(SLOT),
        Alert::OrphanAdopted(order_id()),
        Alert::OrphanCanceled(order_id()),
        Alert::ForeignOrder {
            instrument: BTC,
            venue_order_id: VenueOrderId(Text::new("78").unwrap()),
        },
        Alert::ManualTrade {
            instrument: BTC,
            trade_id: TradeId(3),
        },
        Alert::Deposit(money(4)),
        Alert::Withdrawal(money(5)),
        Alert::FeeUnvalued(currency("KFEE")),
    ]
}

fn signal(decision: Decision) -> Action {
    Action::Signal(Signal {
        slot: SLOT,
        instrument: BTC,
        ts_close: AT,
        features: FeatureRow::new(&[1.5, f32::NAN, -0.0]).unwrap(),
        raw_score: f32::from_bits(0x7fc0_1234),
        probability: 0.25,
        decision,
    })
}

fn facts() -> Vec<Action> {
    vec![
        Action::Cancel(cancel()),
        Action::QueryOrder(cancel()),
        Action::SetTimer {
            timer: TimerId(1),
            at: AT,
        },
        Action::RequestHistory {
            instrument: BTC,
            from: AT,
            to: Timestamp::from_nanos(-1),
        },
        Action::BarClosed(bar()),
        Action::Fill(BookedFill {
            client_order_id: Some(order_id()),
            slot: SLOT,
            instrument: BTC,
            ts_event: AT,
            fill: fill(),
            realized: money(-5),
        }),
        Action::Fill(BookedFill {
            client_order_id: None,
            slot: SLOT,
            instrument: BTC,
            ts_event: AT,
            fill: Fill {
                liquidity: Liquidity::Maker,
                ..fill()
            },
            realized: money(0),
        }),
        Action::Position(PositionUpdate {
            slot: SLOT,
            instrument: BTC,
            quantity: quantity(-1),
            cost: money(2),
            realized: money(3),
            unrealized: money(4),
            fees: money(5),
            mark: price(6),
        }),
        Action::BundleActivated {
            slot: SLOT,
            digest: digest(1),
            previous: None,
        },
        Action::BundleActivated {
            slot: SLOT,
            digest: digest(1),
            previous: Some(digest(2)),
        },
    ]
}

fn command_results() -> [Result<(), CommandRefusal>; 12] {
    [
        Ok(()),
        Err(CommandRefusal::UnknownTarget),
        Err(CommandRefusal::OutOfRange),
        Err(CommandRefusal::Latched),
        Err(CommandRefusal::Denied),
        Err(CommandRefusal::NoProgram),
        Err(CommandRefusal::NotAParameter),
        Err(CommandRefusal::ThresholdsCross),
        Err(CommandRefusal::NothingLatched),
        Err(CommandRefusal::OtherInstrument),
        Err(CommandRefusal::Full),
        Err(CommandRefusal::NotDeclared),
    ]
}

/// What leaves.
fn sent() -> Vec<RecordedAction> {
    let fill_or_kill = OrderRequest {
        time_in_force: TimeInForce::Fok,
        ..request()
    };
    let good_till = OrderRequest {
        time_in_force: TimeInForce::Gtd(AT),
        ..request()
    };
    let requests = [request(), market_request(), fill_or_kill, good_till];
    let mut sent: Vec<_> = requests.into_iter().map(RecordedAction::Submitted).collect();
    sent.push(RecordedAction::Amended(AmendRequest {
        client_order_id: order_id(),
        instrument: BTC,
        terms: terms(),
    }));
    sent
}

/// Every action there is.
pub fn actions() -> Vec<RecordedAction> {
    let mut all = facts();
    all.extend(
        [
            Decision::NoSignal,
            Decision::Hold,
            Decision::Enter,
            Decision::Exit,
        ]
        .map(signal),
    );
    all.extend(deny_reasons().into_iter().map(|reason| Action::Denied {
        request: request(),
        reason,
    }));
    all.extend(statuses().map(|status| {
        Action::OrderUpdate(OrderUpdate {
            client_order_id: order_id(),
            instrument: BTC,
            status,
            filled: quantity(1),
            quantity: quantity(2),
        })
    }));
    all.extend(scopes().map(|scope| Action::Control {
        scope,
        level: ControlLevel::Killed,
    }));
    all.extend(
        [
            ControlLevel::Running,
            ControlLevel::Paused,
            ControlLevel::ReduceOnly,
        ]
        .map(|level| Action::Control {
            scope: Scope::All,
            level,
        }),
    );
    let results = command_results();
    all.extend(results.map(|result| Action::CommandResult {
        id: CommandId(5),
        result,
    }));
    let refusals = [
        ActivationRefusal::NotStaged,
        ActivationRefusal::Expired,
        ActivationRefusal::SlotMismatch,
    ];
    all.extend(refusals.map(|reason| Action::BundleRefused {
        slot: SLOT,
        digest: digest(3),
        reason,
    }));
    all.extend(alerts().map(Action::Alert));
    let mut recorded: Vec<RecordedAction> = all.into_iter().map(RecordedAction::Other).collect();
    recorded.extend(sent());
    recorded
}

pub fn limits() -> RiskLimits {
    let share = Decimal::from_units;
    RiskLimits {
        max_position_usd: money(1),
        max_portfolio_concentration: share(2),
        max_leverage: share(3),
        var_limit_1d_95: money(4),
        max_drawdown_pct: share(5),
        max_order_size_usd: money(6),
        max_order_rate_per_min: 7,
        margin_buffer: share(8),
        margin_call_threshold: share(9),
        price_collar_bps: 10,
        duplicate_window: Nanos(11),
        repeated_execution_limit: 12,
        repeated_execution_window: Nanos(13),
        max_data_age: Nanos(14),
    }
}

fn carried() -> CarriedState {
    let causes = [
        LatchCause::Operator,
        LatchCause::Drawdown,
        LatchCause::RepeatedExecution,
    ];
    CarriedState {
        latches: causes
            .map(|cause| Latch {
                scope: Scope::All,
                level: ControlLevel::Killed,
                cause,
            })
            .to_vec(),
        slots: vec![CarriedSlot {
            slot: SLOT,
            quantity: quantity(-1),
            cost: money(2),
            realized: money(3),
            fees: money(4),
            peak_equity: Some(money(5)),
            daily_volatility: Decimal::from_units(6),
            run_off: true,
            flatten: Some(Flatten {
                max_slippage_bps: 8,
                attempts: 9,
            }),
        }],
        orders: vec![CarriedOrder {
            request: request(),
            filled: quantity(1),
            submitted_at: AT,
            timeout_at: Some(AT),
            cancel_wanted: true,
        }],
        fills: vec![FillKey {
            instrument: BTC,
            trade_id: TradeId(1),
            side: Side::Buy,
        }],
        foreign_fees: vec![Money::from_units(1, currency("BNB"))],
        peak_equity: Some(money(7)),
        sent: vec![SentOrder {
            at: AT,
            slot: SLOT,
            instrument: BTC,
            side: Side::Sell,
            price: Some(Price::from_units(10)),
            quantity: quantity(11),
        }],
        executions: vec![CountedExecution {
            scope: Scope::Slot(SLOT),
            at: AT,
        }],
        account: CarriedAccount::default(),
        movements: Vec::new(),
    }
}

/// A header with something in every list.
pub fn header() -> RunHeader {
    RunHeader {
        binary_version: "0.1.0".to_owned(),
        run_id: "sample".to_owned(),
        config: EngineConfig {
            epoch: Epoch(2),
            portfolio_currency: currency("USDT"),
            instruments: vec![instrument(InstrumentStatus::Trading)],
            slots: vec![SlotConfig {
                slot: SLOT,
                instrument: BTC,
                capital: money(1),
            }],
            limits: limits(),
            bar_span: Nanos(1),
            bar_close_grace: Nanos(2),
            order_ack_timeout: Nanos(3),
            require_reconciliation: true,
            carried: carried(),
        },
        texts: vec![ConfigText {
            name: "paper.toml".to_owned(),
            text: "stage = \"paper\"\n".to_owned(),
        }],
    }
}

use domain::{
    ClientOrderId, Currency, Decimal, Epoch, InstrumentId, InstrumentRules, InstrumentStatus, Money,
    OrderType, Quantity, RuleViolation, SCALE, SlotId, Text, TimeInForce, Venue,
};

use super::*;

/// One quote unit of 1e-16 for each base unit of 1e-8 at a price of 1e-8.
const MID: i64 = 10_000;

fn usdt() -> Currency {
    Currency::new("USDT").unwrap()
}

fn money(units: i128) -> Money {
    Money::from_units(units, usdt())
}

fn share(text: &str) -> Decimal {
    Decimal::parse(text.as_bytes()).unwrap()
}

/// Limits that hold nothing back at the sizes of these tests.
fn wide() -> RiskLimits {
    RiskLimits {
        max_position_usd: money(1_000_000_000),
        max_portfolio_concentration: share("1000"),
        max_leverage: share("1000"),
        var_limit_1d_95: money(1_000_000_000),
        max_drawdown_pct: share("0.5"),
        max_order_size_usd: money(1_000_000_000),
        max_order_rate_per_min: 60,
        margin_buffer: share("0"),
        margin_call_threshold: share("0"),
        price_collar_bps: 10_000,
        duplicate_window: Nanos(10),
        repeated_execution_limit: 10,
        repeated_execution_window: Nanos(10),
        max_data_age: Nanos(100),
    }
}

fn instrument() -> Instrument {
    Instrument {
        id: InstrumentId(0),
        venue: Venue::Binance,
        symbol: Text::new("BTCUSDT").unwrap(),
        base: Currency::new("BTC").unwrap(),
        quote: usdt(),
        rules: InstrumentRules {
            tick_size: Price::from_units(10),
            lot_size: Quantity::from_units(1),
            min_price: Price::ZERO,
            max_price: Price::ZERO,
            min_quantity: Quantity::ZERO,
            max_quantity: Quantity::ZERO,
            min_notional: money(0),
        },
        status: InstrumentStatus::Trading,
    }
}

fn order(side: Side, price: i64, quantity: i64) -> OrderRequest {
    OrderRequest {
        client_order_id: ClientOrderId {
            epoch: Epoch(1),
            slot: SlotId(0),
            counter: 1,
        },
        instrument: InstrumentId(0),
        side,
        order_type: OrderType::Limit,
        price: Some(Price::from_units(price)),
        quantity: Quantity::from_units(quantity),
        time_in_force: TimeInForce::Gtc,
        post_only: false,
        reduce_only: false,
    }
}

fn buy() -> OrderRequest {
    order(Side::Buy, MID, 100)
}

fn sell() -> OrderRequest {
    order(Side::Sell, MID, 100)
}

/// What is owned, so that facts can borrow it.
struct Desk {
    account: RiskLimits,
    slot: RiskLimits,
    instrument: Instrument,
}

impl Desk {
    fn new() -> Self {
        Self {
            account: wide(),
            slot: wide(),
            instrument: instrument(),
        }
    }

    /// Facts under which every order of these tests passes.
    fn facts(&self) -> Facts<'_> {
        let measure = Measure {
            equity: 10_000_000,
            ..Measure::default()
        };
        Facts {
            origin: Origin::Strategy,
            limits: [&self.account, &self.slot],
            effective: Effective::default(),
            reduce_only: false,
            reconciled: true,
            online: true,
            journal_lagging: false,
            instrument: &self.instrument,
            top: Some(TopOfBook {
                bid: Price::from_units(MID - 10),
                bid_quantity: Quantity::ONE,
                ask: Price::from_units(MID + 10),
                ask_quantity: Quantity::ONE,
            }),
            data_age: Nanos(0),
            orders_in_minute: [0; 2],
            since_equal: None,
            unknown_outcome: false,
            crosses_own: false,
            position: 1_000,
            working_same_side: 0,
            measures: Some([measure; 2]),
            funds: Funds {
                slot_budget: 10_000_000,
                slot_committed: 0,
                account_quote: None,
                account_committed: 0,
                account_base: None,
                account_sells: 0,
            },
            table_full: false,
        }
    }
}

fn verdict(facts: &Facts<'_>, request: OrderRequest) -> Result<(), DenyReason> {
    approve(facts, request).map(|approved| assert_eq!(approved.into_inner(), request))
}

/// Checks a limit from both sides, on the account's limits and on the slot's own.
fn at_its_boundary(
    reason: DenyReason,
    request: OrderRequest,
    set: impl Fn(&mut RiskLimits),
    at_limit: impl Fn(&mut Facts<'_>),
    beyond: impl Fn(&mut Facts<'_>),
) {
    for own in [false, true] {
        let mut desk = Desk::new();
        set(if own { &mut desk.slot } else { &mut desk.account });
        let mut facts = desk.facts();
        at_limit(&mut facts);
        assert_eq!(
            verdict(&facts, request),
            Ok(()),
            "{reason:?} at the limit, slot's own: {own}"
        );
        beyond(&mut facts);
        assert_eq!(
            verdict(&facts, request),
            Err(reason),
            "{reason:?} beyond, slot's own: {own}"
        );
    }
}

fn measure(facts: &mut Facts<'_>, change: impl Fn(&mut Measure)) {
    facts.measures.as_mut().unwrap().iter_mut().for_each(change);
}

#[test]
fn each_limit_passes_at_its_boundary_and_denies_one_unit_beyond() {
    at_its_boundary(
        DenyReason::StaleData,
        buy(),
        |limits| limits.max_data_age = Nanos(50),
        |facts| facts.data_age = Nanos(50),
        |facts| facts.data_age = Nanos(51),
    );
    at_its_boundary(
        DenyReason::OrderRate,
        buy(),
        |limits| limits.max_order_rate_per_min = 5,
        |facts| facts.orders_in_minute = [4; 2],
        |facts| facts.orders_in_minute = [5; 2],
    );
    at_its_boundary(
        DenyReason::Duplicate,
        buy(),
        |limits| limits.duplicate_window = Nanos(20),
        |facts| facts.since_equal = Some(Nanos(20)),
        |facts| facts.since_equal = Some(Nanos(19)),
    );
    at_its_boundary(
        DenyReason::TooManyOrders,
        buy(),
        |_| {},
        |_| {},
        |facts| facts.table_full = true,
    );
}

#[test]
fn each_limit_on_exposure_passes_at_its_boundary_and_denies_one_unit_beyond() {
    at_its_boundary(
        DenyReason::PositionLimit,
        buy(),
        |limits| limits.max_position_usd = money(700),
        |facts| measure(facts, |m| m.position = 700),
        |facts| measure(facts, |m| m.position = 701),
    );
    at_its_boundary(
        DenyReason::Concentration,
        buy(),
        |limits| limits.max_portfolio_concentration = share("0.25"),
        |facts| measure(facts, |m| (m.equity, m.asset) = (1_000, 250)),
        |facts| measure(facts, |m| m.asset = 251),
    );
    at_its_boundary(
        DenyReason::Leverage,
        buy(),
        |limits| limits.max_leverage = share("0.9"),
        |facts| measure(facts, |m| (m.equity, m.gross) = (1_000, 900)),
        |facts| measure(facts, |m| m.gross = 901),
    );
    // 1.645 x 10,000 = 16,450, exactly.
    at_its_boundary(
        DenyReason::ValueAtRisk,
        buy(),
        |limits| limits.var_limit_1d_95 = money(16_450),
        |facts| measure(facts, |m| m.volatile = 10_000 * i128::from(SCALE)),
        |facts| measure(facts, |m| m.volatile = 10_000 * i128::from(SCALE) + 1),
    );
    at_its_boundary(
        DenyReason::MarginBuffer,
        buy(),
        |limits| limits.margin_buffer = share("0.2"),
        |facts| measure(facts, |m| (m.equity, m.gross) = (1_000, 800)),
        |facts| measure(facts, |m| m.gross = 801),
    );
    at_its_boundary(
        DenyReason::MarginCall,
        buy(),
        |limits| limits.margin_call_threshold = share("0.05"),
        |facts| measure(facts, |m| (m.equity, m.held) = (1_000, 950)),
        |facts| measure(facts, |m| m.held = 951),
    );
    at_its_boundary(
        DenyReason::Overflow,
        buy(),
        |_| {},
        |_| {},
        |facts| facts.measures = None,
    );
}

#[test]
fn the_collar_and_the_order_size_look_at_the_order() {
    // 1 % of the mid is 100; a tick is 10.
    let mut desk = Desk::new();
    desk.slot.price_collar_bps = 100;
    for (price, expected) in [
        (MID + 100, Ok(())),
        (MID - 100, Ok(())),
        (MID + 110, Err(DenyReason::PriceCollar)),
        (MID - 110, Err(DenyReason::PriceCollar)),
    ] {
        assert_eq!(
            verdict(&desk.facts(), order(Side::Buy, price, 1)),
            expected,
            "{price}"
        );
    }
    let mut desk = Desk::new();
    desk.account.max_order_size_usd = money(i128::from(MID) * 100);
    assert_eq!(verdict(&desk.facts(), order(Side::Buy, MID, 100)), Ok(()));
    assert_eq!(
        verdict(&desk.facts(), order(Side::Buy, MID, 101)),
        Err(DenyReason::OrderSize)
    );
    assert_eq!(
        verdict(&desk.facts(), order(Side::Sell, MID, 101)),
        Err(DenyReason::OrderSize)
    );
    let market = |side| OrderRequest {
        order_type: OrderType::Market,
        price: None,
        ..order(side, MID, 100)
    };
    assert_eq!(
        verdict(&desk.facts(), market(Side::Sell)),
        Ok(()),
        "worth its bid"
    );
    assert_eq!(
        verdict(&desk.facts(), market(Side::Buy)),
        Err(DenyReason::OrderSize),
        "worth its ask"
    );
}

#[test]
fn the_venues_rules_are_checked_before_it_sees_the_order() {
    let desk = Desk::new();
    let off_tick = Price::from_units(MID + 1);
    let expected = RuleViolation::TickSize(off_tick, Price::from_units(10));
    let odd = OrderRequest {
        price: Some(off_tick),
        ..buy()
    };
    assert_eq!(verdict(&desk.facts(), odd), Err(DenyReason::Rule(expected)));
    let mut desk = Desk::new();
    for status in [
        InstrumentStatus::CancelOnly,
        InstrumentStatus::Halted,
        InstrumentStatus::Unknown,
    ] {
        desk.instrument.status = status;
        let expected = DenyReason::Rule(RuleViolation::NotTrading(status));
        assert_eq!(verdict(&desk.facts(), buy()), Err(expected));
    }
}

#[test]
fn money_covers_what_is_bought() {
    let cost = i128::from(MID) * 100;
    let desk = Desk::new();
    let mut facts = desk.facts();
    (facts.funds.slot_committed, facts.funds.slot_budget) = (50, cost + 50);
    assert_eq!(verdict(&facts, buy()), Ok(()));
    facts.funds.slot_budget -= 1;
    assert_eq!(verdict(&facts, buy()), Err(DenyReason::SlotCapital));
    let mut facts = desk.facts();
    (facts.funds.account_committed, facts.funds.account_quote) = (70, Some(cost + 70));
    assert_eq!(verdict(&facts, buy()), Ok(()));
    facts.funds.account_quote = Some(cost + 69);
    assert_eq!(verdict(&facts, buy()), Err(DenyReason::Balance));
}

#[test]
fn nothing_is_sold_that_is_not_held() {
    let desk = Desk::new();
    let mut facts = desk.facts();
    (facts.position, facts.working_same_side) = (150, 50);
    assert_eq!(verdict(&facts, sell()), Ok(()));
    facts.working_same_side = 51;
    assert_eq!(
        verdict(&facts, sell()),
        Err(DenyReason::Balance),
        "another sell holds it"
    );
    (facts.position, facts.working_same_side) = (0, 0);
    assert_eq!(
        verdict(&facts, sell()),
        Err(DenyReason::Balance),
        "no shorts on a spot venue"
    );
    facts.position = 100;
    (facts.funds.account_sells, facts.funds.account_base) = (20, Some(120));
    assert_eq!(verdict(&facts, sell()), Ok(()));
    facts.funds.account_base = Some(119);
    assert_eq!(verdict(&facts, sell()), Err(DenyReason::Balance));
}

#[test]
fn an_order_reduces_exactly_up_to_the_position() {
    let desk = Desk::new();
    let cases = [
        (100, 0, Side::Sell, true),
        (99, 0, Side::Sell, false),
        (150, 50, Side::Sell, true),
        (150, 51, Side::Sell, false),
        (-100, 0, Side::Buy, true),
        (-100, 1, Side::Buy, false),
        (100, 0, Side::Buy, false),
        (0, 0, Side::Sell, false),
    ];
    for (position, working, side, expected) in cases {
        let mut facts = desk.facts();
        (facts.position, facts.working_same_side) = (position, working);
        let request = order(side, MID, 100);
        assert_eq!(facts.reduces(&request), expected, "{position} {working} {side}");
        facts.reduce_only = true;
        let denied = verdict(&facts, request) == Err(DenyReason::ReduceOnly);
        assert_eq!(denied, !expected);
        facts.reduce_only = false;
        let flagged = OrderRequest {
            reduce_only: true,
            ..request
        };
        assert_eq!(verdict(&facts, flagged) == Err(DenyReason::ReduceOnly), !expected);
    }
}

#[test]
fn a_pause_silences_strategies_and_no_one_else() {
    let desk = Desk::new();
    let mut facts = desk.facts();
    facts.effective.paused = true;
    assert_eq!(verdict(&facts, sell()), Err(DenyReason::Paused));
    for origin in [Origin::Manual, Origin::Flatten] {
        facts.origin = origin;
        assert_eq!(verdict(&facts, sell()), Ok(()));
    }
}

#[test]
fn a_reducing_order_passes_every_limit_on_exposure() {
    let desk = Desk::new();
    let mut facts = desk.facts();
    facts.effective = Effective {
        reduce_only: true,
        drawdown: true,
        repeated: true,
        ..facts.effective
    };
    (facts.reduce_only, facts.unknown_outcome, facts.measures) = (true, true, None);
    facts.funds.slot_budget = -1;
    assert_eq!(verdict(&facts, sell()), Ok(()));
    facts.effective.killed = true;
    assert_eq!(
        verdict(&facts, sell()),
        Err(DenyReason::Killed),
        "a kill lets nothing out"
    );
}

/// What repairs need to borrow.
struct Repaired {
    instrument: Instrument,
    collar: RiskLimits,
    size: RiskLimits,
    top: Option<TopOfBook>,
}

type Repair = for<'a> fn(&mut Facts<'a>, &'a Repaired);

/// Every reason in its order, with what mends it and nothing behind it.
const LADDER: [(DenyReason, Repair); 26] = [
    (DenyReason::Killed, |facts, _| facts.effective.killed = false),
    (DenyReason::Paused, |facts, _| facts.effective.paused = false),
    (DenyReason::ReduceOnly, |facts, _| {
        facts.effective.reduce_only = false;
    }),
    (DenyReason::VenueOffline, |facts, _| facts.online = true),
    (DenyReason::NotReconciled, |facts, _| facts.reconciled = true),
    (DenyReason::JournalLagging, |facts, _| {
        facts.journal_lagging = false;
    }),
    (DenyReason::NoBook, |facts, repaired| facts.top = repaired.top),
    (DenyReason::StaleData, |facts, _| facts.data_age = Nanos(0)),
    (HALTED, |facts, repaired| facts.instrument = &repaired.instrument),
    (DenyReason::PriceCollar, |facts, repaired| {
        facts.limits[0] = &repaired.collar;
    }),
    (DenyReason::OrderSize, |facts, repaired| {
        facts.limits[0] = &repaired.size;
    }),
    (DenyReason::OrderRate, |facts, _| facts.orders_in_minute = [0; 2]),
    (DenyReason::Duplicate, |facts, _| facts.since_equal = None),
    (DenyReason::RepeatedExecution, |facts, _| {
        facts.effective.repeated = false;
    }),
    (DenyReason::UnknownOutcome, |facts, _| {
        facts.unknown_outcome = false;
    }),
    (DenyReason::SelfTrade, |facts, _| facts.crosses_own = false),
    (DenyReason::PositionLimit, |facts, _| {
        measure(facts, |m| m.position = 0);
    }),
    (DenyReason::Concentration, |facts, _| {
        measure(facts, |m| m.asset = 0);
    }),
    (DenyReason::Leverage, |facts, _| {
        measure(facts, |m| m.gross = 1_001);
    }),
    (DenyReason::ValueAtRisk, |facts, _| {
        measure(facts, |m| m.volatile = 0);
    }),
    (DenyReason::Drawdown, |facts, _| facts.effective.drawdown = false),
    (DenyReason::MarginBuffer, |facts, _| {
        measure(facts, |m| m.gross = 0);
    }),
    (DenyReason::MarginCall, |facts, _| measure(facts, |m| m.held = 0)),
    (DenyReason::SlotCapital, |facts, _| {
        facts.funds.slot_budget = 1_000_000_000;
    }),
    (DenyReason::Balance, |facts, _| facts.funds.account_quote = None),
    (DenyReason::TooManyOrders, |facts, _| facts.table_full = false),
];

const HALTED: DenyReason = DenyReason::Rule(RuleViolation::NotTrading(InstrumentStatus::Halted));

#[test]
fn the_first_check_that_fails_names_the_reason() {
    let mut desk = Desk::new();
    desk.instrument.status = InstrumentStatus::Halted;
    (desk.account.price_collar_bps, desk.account.max_order_size_usd) = (1, money(1));
    desk.account.margin_call_threshold = share("0.05");
    let collar = RiskLimits {
        price_collar_bps: 10_000,
        ..desk.account
    };
    let size = RiskLimits {
        max_order_size_usd: money(1_000_000_000),
        ..collar
    };
    let repaired = Repaired {
        instrument: instrument(),
        collar,
        size,
        top: desk.facts().top,
    };
    let worst = i128::MAX / 10_000_000_000_000;
    let bad = Measure {
        equity: 1_000,
        position: worst,
        asset: worst,
        gross: worst,
        held: 951,
        volatile: worst,
    };
    let mut facts = Facts {
        effective: Effective {
            killed: true,
            paused: true,
            reduce_only: true,
            drawdown: true,
            repeated: true,
        },
        reconciled: false,
        online: false,
        journal_lagging: true,
        top: None,
        data_age: Nanos(999),
        orders_in_minute: [999; 2],
        since_equal: Some(Nanos(0)),
        unknown_outcome: true,
        crosses_own: true,
        measures: Some([bad; 2]),
        table_full: true,
        ..desk.facts()
    };
    (facts.funds.slot_budget, facts.funds.account_quote) = (0, Some(0));
    let request = order(Side::Buy, MID + 100, 100);
    for (reason, repair) in LADDER {
        assert_eq!(verdict(&facts, request), Err(reason));
        repair(&mut facts, &repaired);
    }
    assert_eq!(verdict(&facts, request), Ok(()));
}

#[test]
fn amounts_that_do_not_fit_deny() {
    let desk = Desk::new();
    let request = buy();
    for change in [
        (|m: &mut Measure| m.asset = i128::MAX) as fn(&mut Measure),
        |m| m.gross = i128::MAX,
        |m| m.volatile = i128::MAX,
        |m| m.equity = i128::MAX,
        |m| m.held = i128::MIN,
    ] {
        let mut facts = desk.facts();
        measure(&mut facts, change);
        assert_eq!(verdict(&facts, request), Err(DenyReason::Overflow));
    }
    let mut facts = desk.facts();
    facts.funds.slot_committed = i128::MAX;
    assert_eq!(verdict(&facts, request), Err(DenyReason::Overflow));
}

//! Arbitrary commands, records and acknowledgements, within the ranges that the types promise.

use domain::{
    Balance, Bar, BookInvalid, BookInvalidReason, BundleDigest, ClientOrderId, Currency, Decimal, Epoch,
    InstrumentId, Level, Liquidity, Money, Nanos, Number, OrderRequest, OrderStatus, OrderType, Price,
    Quantity, Quote, Side, SlotId, Text, TimeInForce, Timestamp, Trade, TradeId, Venue, VenueOrderId,
    VenueState, VenueStatus,
};
use messaging::telemetry::{
    Alert, Balances, Book, BundleContent, BundleState, BundleStatus, CommandEvent, Control, ControlLevel,
    Decision, Fill, JournalStatus, Order, Pnl, Position, Score, ServiceState, ServiceStatus, Signal,
    SlotStatus, SlowStatus, Snapshot, Stage, StageLatency, Telemetry, Topic, TopicSequence,
};
use messaging::{
    Ack, Command, CommandId, CommandKind, KeyId, ManualOrder, Origin, Outcome, Query, RefusalReason, Reply,
    Scope, SlowFact,
};
use proptest::collection::vec;
use proptest::option::of;
use proptest::prelude::*;
use proptest::sample::select;

use crate::samples::btcusdt;

const SIDES: [Side; 2] = [Side::Buy, Side::Sell];

fn timestamp() -> impl Strategy<Value = Timestamp> {
    any::<i64>().prop_map(Timestamp::from_nanos)
}

fn slot() -> impl Strategy<Value = SlotId> {
    any::<u16>().prop_map(SlotId)
}

fn instrument() -> impl Strategy<Value = InstrumentId> {
    select(vec![InstrumentId(0), InstrumentId(7)])
}

fn price() -> impl Strategy<Value = Price> {
    (1..=i64::MAX).prop_map(Price::from_units)
}

fn quantity() -> impl Strategy<Value = Quantity> {
    (1..=i64::MAX).prop_map(Quantity::from_units)
}

fn quantity_or_zero() -> impl Strategy<Value = Quantity> {
    (0..=i64::MAX).prop_map(Quantity::from_units)
}

/// Amounts without a part below 1e-8, which the wire rounds away.
fn money() -> impl Strategy<Value = Money> {
    let currency = select(vec!["USDT", "BTC", "x123456789ab"]);
    (any::<i64>(), currency)
        .prop_map(|(units, code)| Money::from_decimal_units(units, Currency::new(code).expect("a code")))
}

fn digest() -> impl Strategy<Value = BundleDigest> {
    any::<[u8; 32]>().prop_map(BundleDigest)
}

fn order_id() -> impl Strategy<Value = ClientOrderId> {
    (any::<u32>(), any::<u16>(), any::<u32>()).prop_map(|(epoch, slot, counter)| ClientOrderId {
        epoch: Epoch(epoch),
        slot: SlotId(slot),
        counter,
    })
}

fn text() -> impl Strategy<Value = String> {
    "[ -~é€]{0,60}"
}

fn scope() -> impl Strategy<Value = Scope> {
    prop_oneof![wide_scope(), order_id().prop_map(Scope::Order)]
}

fn wide_scope() -> impl Strategy<Value = Scope> {
    prop_oneof![
        Just(Scope::All),
        Just(Scope::Venue(Venue::Binance)),
        Just(Scope::Instrument(btcusdt())),
        slot().prop_map(Scope::Slot),
    ]
}

fn priced() -> impl Strategy<Value = (OrderType, Option<Price>)> {
    prop_oneof![
        Just((OrderType::Market, None)),
        price().prop_map(|price| (OrderType::Limit, Some(price))),
    ]
}

fn slow_fact() -> impl Strategy<Value = SlowFact> {
    let value = of(any::<f64>().prop_filter_map("finite", |value| Number::from_bits(value.to_bits())));
    let time = (timestamp(), 1..=u32::MAX);
    ("[a-z0-9_]{1,64}", value, time).prop_map(|(name, value, (valid_from, max_age_seconds))| SlowFact {
        instrument: btcusdt(),
        name: Text::new(&name).expect("a short name"),
        value,
        valid_from,
        max_age_seconds,
    })
}

fn manual_order() -> impl Strategy<Value = ManualOrder> {
    (slot(), select(&SIDES), priced(), quantity()).prop_map(|(slot, side, (order_type, price), quantity)| {
        ManualOrder {
            slot,
            instrument: btcusdt(),
            side,
            order_type,
            price,
            quantity,
        }
    })
}

fn query() -> impl Strategy<Value = Query> {
    prop_oneof![
        select(vec![Query::Status, Query::Positions, Query::Pnl, Query::Snapshot]),
        (of(slot()), any::<bool>(), 1..=1000u32).prop_map(|(slot, open_only, limit)| Query::Orders {
            slot,
            open_only,
            limit
        }),
        (of(slot()), 1..=1000u32).prop_map(|(slot, limit)| Query::Fills { slot, limit }),
    ]
}

pub(crate) fn command() -> impl Strategy<Value = Command> {
    let stops = (wide_scope(), 0..5usize).prop_map(|(scope, which)| match which {
        0 => Command::Start { scope },
        1 => Command::Pause { scope },
        2 => Command::ReduceOnly { scope },
        3 => Command::Kill { scope },
        _ => Command::Cancel { scope },
    });
    prop_oneof![
        (slot(), digest()).prop_map(|(slot, digest)| Command::Deploy { slot, digest }),
        slot().prop_map(|slot| Command::Rollback { slot }),
        stops,
        scope().prop_map(|scope| Command::Cancel { scope }),
        (wide_scope(), 0..=10_000u32).prop_map(|(scope, max_slippage_bps)| Command::Flatten {
            scope,
            max_slippage_bps
        }),
        (wide_scope(), "[!-~][ -~]{0,119}").prop_map(|(scope, reason)| Command::Rearm { scope, reason }),
        (slot(), "[a-z0-9_]{1,64}", any::<i64>()).prop_map(|(slot, name, units)| Command::SetParameter {
            slot,
            name,
            value: Decimal::from_units(units)
        }),
        manual_order().prop_map(Command::ManualOrder),
        slow_fact().prop_map(Command::TellSlow),
        order_id().prop_map(|client_order_id| Command::ManualCancel { client_order_id }),
        query().prop_map(Command::Query),
    ]
}

pub(crate) fn command_id() -> impl Strategy<Value = CommandId> {
    "[A-Za-z0-9-]{1,36}".prop_map(|text| CommandId::new(&text).expect("letters, digits and hyphens"))
}

fn trade() -> impl Strategy<Value = Trade> {
    (
        instrument(),
        timestamp(),
        any::<u64>(),
        price(),
        quantity(),
        select(&SIDES),
    )
        .prop_map(
            |(instrument, ts_event, trade_id, price, quantity, aggressor)| Trade {
                instrument,
                ts_event,
                trade_id: TradeId(trade_id),
                price,
                quantity,
                aggressor,
            },
        )
}

fn quote() -> impl Strategy<Value = Quote> {
    let sides = (price(), quantity_or_zero(), price(), quantity_or_zero());
    (instrument(), timestamp(), any::<u64>(), sides).prop_map(
        |(instrument, ts_event, update_id, (bid, bid_quantity, ask, ask_quantity))| Quote {
            instrument,
            ts_event,
            update_id,
            bid,
            bid_quantity,
            ask,
            ask_quantity,
        },
    )
}

fn levels() -> impl Strategy<Value = Vec<Level>> {
    vec(
        (price(), quantity()).prop_map(|(price, quantity)| Level { price, quantity }),
        0..=50,
    )
}

fn book() -> impl Strategy<Value = Book> {
    (instrument(), timestamp(), any::<u64>(), levels(), levels()).prop_map(
        |(instrument, ts_event, update_id, bids, asks)| Book {
            instrument,
            ts_event,
            update_id,
            bids,
            asks,
        },
    )
}

fn book_invalid() -> impl Strategy<Value = BookInvalid> {
    let reasons = select(vec![
        BookInvalidReason::Gap,
        BookInvalidReason::Disconnected,
        BookInvalidReason::Crossed,
        BookInvalidReason::BestLevelMismatch,
        BookInvalidReason::Stale,
        BookInvalidReason::Malformed,
    ]);
    (instrument(), reasons).prop_map(|(instrument, reason)| BookInvalid { instrument, reason })
}

fn bar() -> impl Strategy<Value = Bar> {
    let prices = [1..=i64::MAX, 1..=i64::MAX, 1..=i64::MAX, 1..=i64::MAX];
    (
        instrument(),
        timestamp(),
        1..=i64::MAX,
        prices,
        quantity_or_zero(),
    )
        .prop_map(|(instrument, ts_open, span, mut prices, volume)| {
            let (open, close) = (prices[0], prices[1]);
            prices.sort_unstable();
            Bar {
                instrument,
                ts_open,
                span: Nanos(span),
                open: Price::from_units(open),
                high: Price::from_units(prices[3]),
                low: Price::from_units(prices[0]),
                close: Price::from_units(close),
                volume,
            }
        })
}

fn venue_status() -> impl Strategy<Value = VenueStatus> {
    select(vec![VenueState::Online, VenueState::Offline]).prop_map(|state| VenueStatus {
        venue: Venue::Binance,
        state,
    })
}

fn order_status() -> impl Strategy<Value = OrderStatus> {
    select(vec![
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
    ])
}

fn order_request() -> impl Strategy<Value = OrderRequest> {
    let in_force = select(vec![
        TimeInForce::Gtc,
        TimeInForce::Ioc,
        TimeInForce::Fok,
        TimeInForce::Gtd(Timestamp::from_millis(7)),
    ]);
    let rest = (quantity(), in_force, any::<bool>(), any::<bool>());
    (order_id(), instrument(), select(&SIDES), priced(), rest).prop_map(
        |(
            client_order_id,
            instrument,
            side,
            (order_type, price),
            (quantity, time_in_force, post_only, reduce_only),
        )| {
            OrderRequest {
                client_order_id,
                instrument,
                side,
                order_type,
                price,
                quantity,
                time_in_force,
                post_only,
                reduce_only,
            }
        },
    )
}

fn order() -> impl Strategy<Value = Order> {
    let venue_order_id = "[0-9a-f-]{1,40}".prop_map(|text| VenueOrderId(Text::new(&text).expect("fits")));
    let state = (
        order_status(),
        quantity_or_zero(),
        of(price()),
        of(venue_order_id),
    );
    let rest = (timestamp(), timestamp(), of(digest()), of(text()));
    (order_request(), state, rest).prop_map(
        |(
            request,
            (status, filled, average_price, venue_order_id),
            (ts_created, ts_updated, bundle, reason),
        )| Order {
            request,
            status,
            filled,
            average_price,
            venue_order_id,
            ts_created,
            ts_updated,
            bundle,
            reason,
        },
    )
}

fn fill() -> impl Strategy<Value = Fill> {
    let liquidity = select(vec![Liquidity::Maker, Liquidity::Taker]);
    let execution = (
        any::<u64>(),
        price(),
        quantity(),
        select(&SIDES),
        money(),
        liquidity,
    )
        .prop_map(|(trade_id, price, quantity, side, fee, liquidity)| domain::Fill {
            trade_id: TradeId(trade_id),
            price,
            quantity,
            side,
            fee,
            liquidity,
        });
    (
        of(order_id()),
        slot(),
        instrument(),
        timestamp(),
        execution,
        money(),
    )
        .prop_map(
            |(client_order_id, slot, instrument, ts_event, fill, realized)| Fill {
                client_order_id,
                slot,
                instrument,
                ts_event,
                fill,
                realized,
            },
        )
}

fn position() -> impl Strategy<Value = Position> {
    let amounts = (money(), money(), money(), of((price(), money())));
    (of(slot()), instrument(), timestamp(), any::<i64>(), amounts).prop_map(
        |(slot, instrument, ts, quantity, (cost, realized, fees, mark))| Position {
            slot,
            instrument,
            ts,
            quantity: Quantity::from_units(quantity),
            cost,
            realized,
            fees,
            mark,
        },
    )
}

fn pnl() -> impl Strategy<Value = Pnl> {
    let amounts = (money(), of(money()), vec(money(), 0..3), money(), money());
    (of(slot()), timestamp(), amounts).prop_map(
        |(slot, ts, (realized, unrealized, fees, equity, peak_equity))| Pnl {
            slot,
            ts,
            realized,
            unrealized,
            fees,
            equity,
            peak_equity,
        },
    )
}

fn balances() -> impl Strategy<Value = Balances> {
    let balance = (quantity_or_zero(), quantity_or_zero()).prop_map(|(free, locked)| Balance {
        currency: Currency::new("USDT").expect("a code"),
        free,
        locked,
    });
    (timestamp(), vec(balance, 0..4)).prop_map(|(ts, balances)| Balances {
        venue: Venue::Binance,
        ts,
        balances,
    })
}

fn signal() -> impl Strategy<Value = Signal> {
    let decisions = select(vec![
        Decision::NoSignal,
        Decision::Hold,
        Decision::Enter,
        Decision::Exit,
    ]);
    let float = || proptest::num::f32::NORMAL | proptest::num::f32::ZERO;
    let score = (float(), float()).prop_map(|(raw, probability)| Score { raw, probability });
    (
        slot(),
        instrument(),
        timestamp(),
        digest(),
        decisions,
        of(score),
        vec(float(), 0..=64),
    )
        .prop_map(
            |(slot, instrument, ts_close, bundle, decision, score, features)| Signal {
                slot,
                instrument,
                ts_close,
                bundle,
                decision,
                score,
                features,
            },
        )
}

fn bundle() -> impl Strategy<Value = BundleStatus> {
    let stages = select(vec![
        Stage::Paper,
        Stage::Live10,
        Stage::Live25,
        Stage::Live50,
        Stage::Live100,
    ]);
    let content = (text(), text(), stages, any::<u64>(), timestamp()).prop_map(
        |(name, version, stage, serial, expires)| BundleContent {
            name,
            version,
            stage,
            serial,
            expires,
        },
    );
    let states = select(vec![
        BundleState::Verifying,
        BundleState::Warming,
        BundleState::Active,
        BundleState::Previous,
        BundleState::Refused,
        BundleState::Expired,
    ]);
    (slot(), digest(), states, timestamp(), of(content), of(text())).prop_map(
        |(slot, digest, state, ts, content, reason)| BundleStatus {
            slot,
            digest,
            state,
            ts,
            content,
            reason,
        },
    )
}

fn level() -> impl Strategy<Value = ControlLevel> {
    select(vec![
        ControlLevel::Running,
        ControlLevel::Paused,
        ControlLevel::ReduceOnly,
        ControlLevel::Killed,
    ])
}

fn control() -> impl Strategy<Value = Control> {
    (scope(), level(), timestamp(), of(text())).prop_map(|(scope, level, since, reason)| Control {
        scope,
        level,
        since,
        reason,
    })
}

fn alert() -> impl Strategy<Value = Alert> {
    (text(), of(slot()), of(instrument()), of(order_id()), text()).prop_map(
        |(kind, slot, instrument, client_order_id, text)| Alert {
            kind,
            slot,
            instrument,
            client_order_id,
            text,
        },
    )
}

fn slot_status() -> impl Strategy<Value = SlotStatus> {
    let counts = (
        any::<bool>(),
        any::<u32>(),
        any::<u64>(),
        any::<u64>(),
        any::<u64>(),
    );
    (
        slot(),
        level(),
        of(bundle()),
        of(bundle()),
        counts,
        vec(slow(), 0..3),
    )
        .prop_map(
            |(slot, level, active, previous, (warm, open_orders, orders_sent, fills, late_quotes), slow)| {
                SlotStatus {
                    slot,
                    level,
                    active,
                    previous,
                    warm,
                    open_orders,
                    orders_sent,
                    fills,
                    slow,
                    late_quotes,
                }
            },
        )
}

fn slow() -> impl Strategy<Value = SlowStatus> {
    let value = of((-1e9_f64..1e9).prop_filter_map("a number", |value| Number::from_bits(value.to_bits())));
    let since = of(any::<i64>().prop_map(Timestamp::from_nanos));
    ("[a-z_]{1,64}", value, since, any::<u32>(), any::<bool>()).prop_map(
        |(name, value, valid_from, max_age_seconds, known)| SlowStatus {
            name,
            value,
            valid_from,
            max_age_seconds,
            known,
        },
    )
}

fn service() -> impl Strategy<Value = ServiceStatus> {
    let states = select(vec![
        ServiceState::Starting,
        ServiceState::Reconciling,
        ServiceState::Waiting,
        ServiceState::Trading,
        ServiceState::Draining,
    ]);
    let journal = any::<[u64; 3]>().prop_map(|[records, bytes, unsynced_records]| JournalStatus {
        records,
        bytes,
        unsynced_records,
    });
    let latency =
        (text(), any::<[u64; 4]>()).prop_map(|(stage, [count, p50_ns, p99_ns, max_ns])| StageLatency {
            stage,
            count,
            p50_ns,
            p99_ns,
            max_ns,
        });
    let names = (text(), text(), text());
    let times = (any::<u32>(), timestamp(), timestamp());
    let lists = (
        vec(slot_status(), 0..3),
        vec(venue_status(), 0..2),
        vec(control(), 0..3),
        vec(latency, 0..3),
    );
    (names, times, states, lists, of(journal)).prop_map(
        |(
            (instance, run_id, version),
            (epoch, ts, ts_started),
            state,
            (slots, venues, controls, latencies),
            journal,
        )| ServiceStatus {
            instance,
            run_id,
            version,
            epoch: Epoch(epoch),
            ts,
            ts_started,
            state,
            slots,
            venues,
            controls,
            journal,
            latencies,
        },
    )
}

fn sequences() -> impl Strategy<Value = Vec<TopicSequence>> {
    let entry =
        (select(Topic::ALL), any::<u64>()).prop_map(|(topic, sequence)| TopicSequence { topic, sequence });
    vec(entry, 0..Topic::ALL.len())
}

fn snapshot() -> impl Strategy<Value = Snapshot> {
    let lists = (
        vec(order(), 0..3),
        vec(fill(), 0..3),
        vec(position(), 0..3),
        vec(pnl(), 0..3),
    );
    (
        any::<u32>(),
        timestamp(),
        service(),
        lists,
        vec(balances(), 0..2),
        sequences(),
    )
        .prop_map(
            |(epoch, ts, status, (orders, recent_fills, positions, pnl), balances, as_of)| Snapshot {
                epoch: Epoch(epoch),
                ts,
                status,
                orders,
                recent_fills,
                positions,
                pnl,
                balances,
                as_of,
            },
        )
}

fn reply() -> impl Strategy<Value = Reply> {
    prop_oneof![
        service().prop_map(|status| Reply::Status(Box::new(status))),
        (vec(order(), 0..4), any::<bool>()).prop_map(|(orders, more)| Reply::Orders { orders, more }),
        vec(position(), 0..4).prop_map(Reply::Positions),
        (vec(fill(), 0..4), any::<bool>()).prop_map(|(fills, more)| Reply::Fills { fills, more }),
        vec(pnl(), 0..4).prop_map(Reply::Pnl),
        snapshot().prop_map(|snapshot| Reply::Snapshot(Box::new(snapshot))),
    ]
}

pub(crate) fn refusal_reason() -> impl Strategy<Value = RefusalReason> {
    select(REFUSAL_REASONS.to_vec())
}

/// Every reason, in the order of the schema.
pub(crate) const REFUSAL_REASONS: [RefusalReason; 26] = [
    RefusalReason::TooLarge,
    RefusalReason::Malformed,
    RefusalReason::UnknownKey,
    RefusalReason::BadSignature,
    RefusalReason::MalformedBody,
    RefusalReason::InvalidValue,
    RefusalReason::RoleNotAllowed,
    RefusalReason::WrongInstance,
    RefusalReason::Expired,
    RefusalReason::ExpiryTooFar,
    RefusalReason::CounterReplayed,
    RefusalReason::UnknownSlot,
    RefusalReason::UnknownInstrument,
    RefusalReason::UnknownVenue,
    RefusalReason::UnknownOrder,
    RefusalReason::UnknownBundle,
    RefusalReason::BundleRefused,
    RefusalReason::NothingToRollBack,
    RefusalReason::UnknownParameter,
    RefusalReason::ParameterOutOfRange,
    RefusalReason::RiskDenied,
    RefusalReason::Stopped,
    RefusalReason::WrongState,
    RefusalReason::Busy,
    RefusalReason::ShuttingDown,
    RefusalReason::Unsupported,
];

pub(crate) fn ack() -> impl Strategy<Value = Ack> {
    let key = (any::<[u8; 32]>().prop_map(KeyId), any::<u64>());
    let outcome = prop_oneof![
        Just(Outcome::Accepted),
        (refusal_reason(), text()).prop_map(|(reason, text)| Outcome::Refused { reason, text }),
        of(reply()).prop_map(Outcome::Applied),
        (of(refusal_reason()), text()).prop_map(|(reason, text)| Outcome::Failed { reason, text }),
    ];
    (of(key), of(command_id()), timestamp(), outcome).prop_map(|(key, command_id, ts, outcome)| Ack {
        origin: Origin { key, command_id },
        ts,
        outcome,
    })
}

fn command_event() -> impl Strategy<Value = CommandEvent> {
    (of(select(CommandKind::ALL.to_vec())), ack()).prop_map(|(kind, ack)| CommandEvent { kind, ack })
}

/// One strategy per topic, so that a run covers them all.
pub(crate) fn telemetry(topic: Topic) -> BoxedStrategy<Telemetry> {
    match topic {
        Topic::Trade => trade().prop_map(Telemetry::Trade).boxed(),
        Topic::Quote => quote().prop_map(Telemetry::Quote).boxed(),
        Topic::Book => book().prop_map(Telemetry::Book).boxed(),
        Topic::BookInvalid => book_invalid().prop_map(Telemetry::BookInvalid).boxed(),
        Topic::Bar => bar().prop_map(Telemetry::Bar).boxed(),
        Topic::VenueStatus => venue_status().prop_map(Telemetry::VenueStatus).boxed(),
        Topic::Order => order().prop_map(Telemetry::Order).boxed(),
        Topic::Fill => fill().prop_map(Telemetry::Fill).boxed(),
        Topic::Position => position().prop_map(Telemetry::Position).boxed(),
        Topic::Pnl => pnl().prop_map(Telemetry::Pnl).boxed(),
        Topic::Balances => balances().prop_map(Telemetry::Balances).boxed(),
        Topic::Signal => signal().prop_map(Telemetry::Signal).boxed(),
        Topic::Bundle => bundle().prop_map(Telemetry::Bundle).boxed(),
        Topic::Service => service().prop_map(|m| Telemetry::Service(Box::new(m))).boxed(),
        Topic::Command => command_event()
            .prop_map(|m| Telemetry::Command(Box::new(m)))
            .boxed(),
        Topic::Control => control().prop_map(Telemetry::Control).boxed(),
        Topic::Alert => alert().prop_map(Telemetry::Alert).boxed(),
        Topic::Heartbeat => sequences().prop_map(Telemetry::Heartbeat).boxed(),
    }
}

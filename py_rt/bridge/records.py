"""What a service tells, as plain records: exact decimals, enums by name, times in nanoseconds UTC.

A field that is `None` is absent, and absence has the meaning that the field's comment in `proto/` gives it.
"""

from __future__ import annotations

from dataclasses import dataclass, fields, is_dataclass
from decimal import Decimal
from typing import TYPE_CHECKING, TypeVar

from py_rt.bridge.vocabulary import (
    BookInvalidReason,
    BundleState,
    ControlLevel,
    Decision,
    InstrumentName,
    Liquidity,
    MessageError,
    Money,
    OrderStatus,
    OrderType,
    Outcome,
    RefusalReason,
    Scope,
    ServiceState,
    Side,
    Stage,
    TimeInForce,
    VenueState,
    decimal,
    word,
)

if TYPE_CHECKING:
    from collections.abc import Callable, Iterable
    from typing import Any, TypeAlias

    from google.protobuf.message import Message

    from py_rt.bridge.wire.v1 import (
        bundle_status_pb2,
        commands_pb2,
        market_data_pb2,
        orders_pb2,
        positions_pb2,
        signals_pb2,
        telemetry_pb2,
    )

T = TypeVar("T")
M = TypeVar("M")


@dataclass(frozen=True, slots=True)
class Trade:
    """A public trade."""

    instrument: InstrumentName
    ts_event: int
    trade_id: int
    price: Decimal
    quantity: Decimal
    aggressor: Side

    @classmethod
    def from_wire(cls, m: market_data_pb2.Trade) -> Trade:
        """From its message."""
        instrument = InstrumentName.from_wire(m.instrument)
        price, quantity = decimal(m.price), decimal(m.quantity)
        return cls(instrument, m.ts_event, m.trade_id, price, quantity, word(Side, m.aggressor))


@dataclass(frozen=True, slots=True)
class Quote:
    """Best bid and ask."""

    instrument: InstrumentName
    ts_event: int
    update_id: int
    bid: Decimal
    bid_quantity: Decimal
    ask: Decimal
    ask_quantity: Decimal

    @classmethod
    def from_wire(cls, m: market_data_pb2.Quote) -> Quote:
        """From its message."""
        sides = [decimal(units) for units in (m.bid, m.bid_quantity, m.ask, m.ask_quantity)]
        return cls(InstrumentName.from_wire(m.instrument), m.ts_event, m.update_id, *sides)


@dataclass(frozen=True, slots=True)
class Level:
    """A price and what rests there."""

    price: Decimal
    quantity: Decimal

    @classmethod
    def from_wire(cls, m: market_data_pb2.Level) -> Level:
        """From its message."""
        return cls(decimal(m.price), decimal(m.quantity))


@dataclass(frozen=True, slots=True)
class Book:
    """The best levels of a book, best first."""

    instrument: InstrumentName
    ts_event: int
    update_id: int
    bids: tuple[Level, ...]
    asks: tuple[Level, ...]

    @classmethod
    def from_wire(cls, m: market_data_pb2.Book) -> Book:
        """From its message."""
        bids, asks = _all(Level.from_wire, m.bids), _all(Level.from_wire, m.asks)
        return cls(InstrumentName.from_wire(m.instrument), m.ts_event, m.update_id, bids, asks)


@dataclass(frozen=True, slots=True)
class BookInvalid:
    """Nothing trades on this book until its next snapshot."""

    instrument: InstrumentName
    reason: BookInvalidReason

    @classmethod
    def from_wire(cls, m: market_data_pb2.BookInvalid) -> BookInvalid:
        """From its message."""
        return cls(InstrumentName.from_wire(m.instrument), word(BookInvalidReason, m.reason))


@dataclass(frozen=True, slots=True)
class Bar:
    """One closed interval of venue time."""

    instrument: InstrumentName
    ts_open: int
    span_ns: int
    open: Decimal
    high: Decimal
    low: Decimal
    close: Decimal
    volume: Decimal

    @classmethod
    def from_wire(cls, m: market_data_pb2.Bar) -> Bar:
        """From its message."""
        values = [decimal(units) for units in (m.open, m.high, m.low, m.close, m.volume)]
        return cls(InstrumentName.from_wire(m.instrument), m.ts_open, m.span_ns, *values)


@dataclass(frozen=True, slots=True)
class VenueStatus:
    """Whether a venue can be traded on."""

    venue: str
    state: VenueState

    @classmethod
    def from_wire(cls, m: market_data_pb2.VenueStatus) -> VenueStatus:
        """From its message."""
        return cls(m.venue, word(VenueState, m.state))


@dataclass(frozen=True, slots=True)
class Order:
    """One of our orders as it stands."""

    client_order_id: str
    instrument: InstrumentName
    side: Side
    order_type: OrderType
    price: Decimal | None
    quantity: Decimal
    time_in_force: TimeInForce
    post_only: bool
    reduce_only: bool
    status: OrderStatus
    filled_quantity: Decimal
    average_price: Decimal | None
    venue_order_id: str | None
    ts_created: int
    ts_updated: int
    bundle_digest: str | None
    reason: str | None
    good_till: int | None = None

    @classmethod
    def from_wire(cls, m: orders_pb2.Order) -> Order:
        """From its message."""
        asked = m.request
        return cls(
            client_order_id=asked.client_order_id,
            instrument=InstrumentName.from_wire(asked.instrument),
            side=word(Side, asked.side),
            order_type=word(OrderType, asked.order_type),
            price=_given(asked, "price", decimal),
            quantity=decimal(asked.quantity),
            time_in_force=word(TimeInForce, asked.time_in_force),
            post_only=asked.post_only,
            reduce_only=asked.reduce_only,
            status=word(OrderStatus, m.status),
            filled_quantity=decimal(m.filled_quantity),
            average_price=_given(m, "average_price", decimal),
            venue_order_id=_given(m, "venue_order_id", str),
            ts_created=m.ts_created,
            ts_updated=m.ts_updated,
            bundle_digest=_given(m, "bundle_digest", bytes.hex),
            reason=_given(m, "reason", str),
            good_till=_given(asked, "good_till", int),
        )


@dataclass(frozen=True, slots=True)
class Fill:
    """One execution of one of our orders; `client_order_id` is absent where no order of ours explains it."""

    client_order_id: str | None
    slot: int
    instrument: InstrumentName
    ts_event: int
    trade_id: int
    side: Side
    price: Decimal
    quantity: Decimal
    fee: Money
    liquidity: Liquidity
    realized_pnl: Money

    @classmethod
    def from_wire(cls, m: orders_pb2.Fill) -> Fill:
        """From its message."""
        return cls(
            client_order_id=_given(m, "client_order_id", str),
            slot=m.slot,
            instrument=InstrumentName.from_wire(m.instrument),
            ts_event=m.ts_event,
            trade_id=m.trade_id,
            side=word(Side, m.side),
            price=decimal(m.price),
            quantity=decimal(m.quantity),
            fee=Money.from_wire(m.fee),
            liquidity=word(Liquidity, m.liquidity),
            realized_pnl=Money.from_wire(m.realized_pnl),
        )


@dataclass(frozen=True, slots=True)
class Position:
    """What a slot (or, without one, the account) holds of an instrument."""

    slot: int | None
    instrument: InstrumentName
    ts: int
    quantity: Decimal
    cost: Money
    realized_pnl: Money
    fees: Money
    mark_price: Decimal | None
    unrealized_pnl: Money | None

    @classmethod
    def from_wire(cls, m: positions_pb2.Position) -> Position:
        """From its message."""
        return cls(
            slot=_given(m, "slot", int),
            instrument=InstrumentName.from_wire(m.instrument),
            ts=m.ts,
            quantity=decimal(m.quantity),
            cost=Money.from_wire(m.cost),
            realized_pnl=Money.from_wire(m.realized_pnl),
            fees=Money.from_wire(m.fees),
            mark_price=_given(m, "mark_price", decimal),
            unrealized_pnl=_given(m, "unrealized_pnl", Money.from_wire),
        )


@dataclass(frozen=True, slots=True)
class Pnl:
    """Profit and loss of a slot (or, without one, of the account)."""

    slot: int | None
    ts: int
    realized: Money
    unrealized: Money | None
    fees: tuple[Money, ...]
    equity: Money
    peak_equity: Money

    @classmethod
    def from_wire(cls, m: positions_pb2.Pnl) -> Pnl:
        """From its message."""
        return cls(
            slot=_given(m, "slot", int),
            ts=m.ts,
            realized=Money.from_wire(m.realized),
            unrealized=_given(m, "unrealized", Money.from_wire),
            fees=_all(Money.from_wire, m.fees),
            equity=Money.from_wire(m.equity),
            peak_equity=Money.from_wire(m.peak_equity),
        )


@dataclass(frozen=True, slots=True)
class Balance:
    """Balance of one asset at the venue."""

    currency: str
    free: Decimal
    locked: Decimal

    @classmethod
    def from_wire(cls, m: positions_pb2.Balance) -> Balance:
        """From its message."""
        return cls(m.currency, decimal(m.free), decimal(m.locked))


@dataclass(frozen=True, slots=True)
class Balances:
    """Balances of the account at a venue."""

    venue: str
    ts: int
    balances: tuple[Balance, ...]

    @classmethod
    def from_wire(cls, m: positions_pb2.Balances) -> Balances:
        """From its message."""
        return cls(m.venue, m.ts, _all(Balance.from_wire, m.balances))


@dataclass(frozen=True, slots=True)
class Signal:
    """What a strategy concluded from one bar."""

    slot: int
    instrument: InstrumentName
    ts_close: int
    bundle_digest: str
    decision: Decision
    raw_score: float | None
    probability: float | None
    features: tuple[float, ...]

    @classmethod
    def from_wire(cls, m: signals_pb2.Signal) -> Signal:
        """From its message."""
        return cls(
            slot=m.slot,
            instrument=InstrumentName.from_wire(m.instrument),
            ts_close=m.ts_close,
            bundle_digest=m.bundle_digest.hex(),
            decision=word(Decision, m.decision),
            raw_score=_given(m, "raw_score", float),
            probability=_given(m, "probability", float),
            features=tuple(m.features),
        )


@dataclass(frozen=True, slots=True)
class BundleStatus:
    """A bundle in a slot."""

    slot: int
    digest: str
    state: BundleState
    ts: int
    name: str | None
    version: str | None
    stage: Stage | None
    serial: int | None
    expires: int | None
    reason: str | None

    @classmethod
    def from_wire(cls, m: bundle_status_pb2.BundleStatus) -> BundleStatus:
        """From its message."""
        return cls(
            slot=m.slot,
            digest=m.digest.hex(),
            state=word(BundleState, m.state),
            ts=m.ts,
            name=_given(m, "name", str),
            version=_given(m, "version", str),
            stage=_given(m, "stage", lambda number: word(Stage, number)),
            serial=_given(m, "serial", int),
            expires=_given(m, "expires", int),
            reason=_given(m, "reason", str),
        )


@dataclass(frozen=True, slots=True)
class Control:
    """How free a scope is to trade, and since when."""

    scope: Scope
    level: ControlLevel
    since: int
    reason: str | None

    @classmethod
    def from_wire(cls, m: commands_pb2.Control) -> Control:
        """From its message."""
        return cls(Scope.from_wire(m.scope), word(ControlLevel, m.level), m.since, _given(m, "reason", str))


@dataclass(frozen=True, slots=True)
class SlowStatus:
    """A slow parameter that a slot's bundle declares, and what is known of it.

    Attributes:
        name: as features say it.
        value: of the newest fact, as written; `None` where none was told, or that it is unknown.
        valid_from: from when on that holds, UTC ns; `None` where none was told.
        max_age_seconds: how long a value holds at most.
        known: a bar that closed now would be given the value.
    """

    name: str
    value: str | None
    valid_from: int | None
    max_age_seconds: int
    known: bool

    @classmethod
    def from_wire(cls, m: commands_pb2.SlowStatus) -> SlowStatus:
        """From its message."""
        return cls(
            name=m.name,
            value=repr(m.value) if m.HasField("value") else None,
            valid_from=m.valid_from if m.HasField("valid_from") else None,
            max_age_seconds=m.max_age_seconds,
            known=m.known,
        )


@dataclass(frozen=True, slots=True)
class SlotStatus:
    """A slot at a glance."""

    slot: int
    level: ControlLevel
    active: BundleStatus | None
    previous: BundleStatus | None
    warm: bool
    open_orders: int
    orders_sent: int
    fills: int
    slow: tuple[SlowStatus, ...] = ()
    late_quotes: int = 0

    @classmethod
    def from_wire(cls, m: commands_pb2.SlotStatus) -> SlotStatus:
        """From its message."""
        return cls(
            slot=m.slot,
            level=word(ControlLevel, m.level),
            active=_given(m, "active", BundleStatus.from_wire),
            previous=_given(m, "previous", BundleStatus.from_wire),
            warm=m.warm,
            open_orders=m.open_orders,
            orders_sent=m.orders_sent,
            fills=m.fills,
            slow=_all(SlowStatus.from_wire, m.slow),
            late_quotes=m.late_quotes,
        )


@dataclass(frozen=True, slots=True)
class StageLatency:
    """Latency of one stage since the start."""

    stage: str
    count: int
    p50_ns: int
    p99_ns: int
    max_ns: int

    @classmethod
    def from_wire(cls, m: commands_pb2.StageLatency) -> StageLatency:
        """From its message."""
        return cls(m.stage, m.count, m.p50_ns, m.p99_ns, m.max_ns)


@dataclass(frozen=True, slots=True)
class JournalStatus:
    """The durable record at a glance."""

    records: int
    bytes: int
    unsynced_records: int

    @classmethod
    def from_wire(cls, m: commands_pb2.JournalStatus) -> JournalStatus:
        """From its message."""
        return cls(m.records, m.bytes, m.unsynced_records)


@dataclass(frozen=True, slots=True)
class ServiceStatus:
    """The service at a glance."""

    instance: str
    run_id: str
    version: str
    epoch: int
    ts: int
    ts_started: int
    state: ServiceState
    slots: tuple[SlotStatus, ...]
    venues: tuple[VenueStatus, ...]
    controls: tuple[Control, ...]
    journal: JournalStatus | None
    latencies: tuple[StageLatency, ...]

    @classmethod
    def from_wire(cls, m: commands_pb2.ServiceStatus) -> ServiceStatus:
        """From its message."""
        return cls(
            instance=m.instance,
            run_id=m.run_id,
            version=m.version,
            epoch=m.epoch,
            ts=m.ts,
            ts_started=m.ts_started,
            state=word(ServiceState, m.state),
            slots=_all(SlotStatus.from_wire, m.slots),
            venues=_all(VenueStatus.from_wire, m.venues),
            controls=_all(Control.from_wire, m.controls),
            journal=_given(m, "journal", JournalStatus.from_wire),
            latencies=_all(StageLatency.from_wire, m.latencies),
        )


@dataclass(frozen=True, slots=True)
class Orders:
    """Orders, newest first; `more` when there were more than asked for."""

    orders: tuple[Order, ...]
    more: bool

    @classmethod
    def from_wire(cls, m: commands_pb2.OrderList) -> Orders:
        """From its message."""
        return cls(_all(Order.from_wire, m.orders), m.more)


@dataclass(frozen=True, slots=True)
class Fills:
    """Fills, newest first; `more` when there were more than asked for."""

    fills: tuple[Fill, ...]
    more: bool

    @classmethod
    def from_wire(cls, m: commands_pb2.FillList) -> Fills:
        """From its message."""
        return cls(_all(Fill.from_wire, m.fills), m.more)


@dataclass(frozen=True, slots=True)
class Snapshot:
    """The whole state; `as_of` holds, per topic, the last telemetry that is already in it."""

    epoch: int
    ts: int
    status: ServiceStatus
    orders: tuple[Order, ...]
    recent_fills: tuple[Fill, ...]
    positions: tuple[Position, ...]
    pnl: tuple[Pnl, ...]
    balances: tuple[Balances, ...]
    as_of: dict[str, int]

    @classmethod
    def from_wire(cls, m: commands_pb2.Snapshot) -> Snapshot:
        """From its message."""
        return cls(
            epoch=m.epoch,
            ts=m.ts,
            status=ServiceStatus.from_wire(m.status),
            orders=_all(Order.from_wire, m.orders),
            recent_fills=_all(Fill.from_wire, m.recent_fills),
            positions=_all(Position.from_wire, m.positions),
            pnl=_all(Pnl.from_wire, m.pnl),
            balances=_all(Balances.from_wire, m.balances),
            as_of={entry.topic: entry.sequence for entry in m.as_of},
        )


@dataclass(frozen=True, slots=True)
class Acknowledgement:
    """What the service says of a command.

    Attributes:
        command_id: the sender's name for it; absent when the service could not read that far.
        key_id: the key that it claims, hexadecimal.
        counter: the key's counter.
        ts: when the service decided.
        outcome: how it went.
        refusal: why nothing was done, when it was refused; why it failed, where one of the words says it.
        text: the same for people.
    """

    command_id: str | None
    key_id: str | None
    counter: int | None
    ts: int
    outcome: Outcome
    refusal: RefusalReason | None
    text: str

    @classmethod
    def from_wire(cls, m: commands_pb2.Ack) -> Acknowledgement:
        """From its message."""
        return cls(
            command_id=_given(m, "command_id", str),
            key_id=_given(m, "key_id", bytes.hex),
            counter=_given(m, "counter", int),
            ts=m.ts,
            outcome=word(Outcome, m.outcome),
            refusal=_given(m, "refusal", lambda number: word(RefusalReason, number)),
            text=m.text,
        )


@dataclass(frozen=True, slots=True)
class CommandEvent:
    """What became of a command, whoever sent it; without its name when it could not be read."""

    command: str | None
    ack: Acknowledgement

    @classmethod
    def from_wire(cls, m: telemetry_pb2.CommandEvent) -> CommandEvent:
        """From its message."""
        return cls(m.command or None, Acknowledgement.from_wire(m.ack))


@dataclass(frozen=True, slots=True)
class Alert:
    """Something needs a person's eye."""

    kind: str
    slot: int | None
    instrument: InstrumentName | None
    client_order_id: str | None
    text: str

    @classmethod
    def from_wire(cls, m: telemetry_pb2.Alert) -> Alert:
        """From its message."""
        instrument = _given(m, "instrument", InstrumentName.from_wire)
        return cls(m.kind, _given(m, "slot", int), instrument, _given(m, "client_order_id", str), m.text)


if TYPE_CHECKING:
    Record: TypeAlias = (
        Trade
        | Quote
        | Book
        | BookInvalid
        | Bar
        | VenueStatus
        | Order
        | Fill
        | Position
        | Pnl
        | Balances
        | Signal
        | BundleStatus
        | ServiceStatus
        | CommandEvent
        | Control
        | Alert
    )

_BODIES: dict[str, Callable[[Any], Record]] = {
    "trade": Trade.from_wire,
    "quote": Quote.from_wire,
    "book": Book.from_wire,
    "book_invalid": BookInvalid.from_wire,
    "bar": Bar.from_wire,
    "venue_status": VenueStatus.from_wire,
    "order": Order.from_wire,
    "fill": Fill.from_wire,
    "position": Position.from_wire,
    "pnl": Pnl.from_wire,
    "balances": Balances.from_wire,
    "signal": Signal.from_wire,
    "bundle_status": BundleStatus.from_wire,
    "service_status": ServiceStatus.from_wire,
    "command": CommandEvent.from_wire,
    "control": Control.from_wire,
    "alert": Alert.from_wire,
}


def record(envelope: telemetry_pb2.Envelope) -> Record:
    """What a published message says; a heartbeat is not a record.

    Raises:
        MessageError: it says nothing that this version knows.
    """
    kind = envelope.WhichOneof("body")
    if kind not in _BODIES:
        raise MessageError("a published message has a body that this version does not know; is the service newer?")
    return _BODIES[kind](getattr(envelope, kind))


def plain(value: object) -> object:
    """A record as JSON can hold it: decimals as text, so that nothing is rounded.

    >>> plain(Level(Decimal("61837.63"), Decimal("1E-8")))
    {'price': '61837.63', 'quantity': '0.00000001'}
    """
    if isinstance(value, Decimal):
        return f"{value:f}"
    if isinstance(value, str | Scope | InstrumentName):
        return str(value)
    if isinstance(value, dict):
        return {key: plain(item) for key, item in value.items()}
    if isinstance(value, tuple | list):
        return [plain(item) for item in value]
    if is_dataclass(value):
        return {field.name: plain(getattr(value, field.name)) for field in fields(value)}
    return value


def _given(message: Message, field: str, convert: Callable[[Any], T]) -> T | None:
    """A field that may be absent."""
    return convert(getattr(message, field)) if message.HasField(field) else None


def _all(convert: Callable[[M], T], messages: Iterable[M]) -> tuple[T, ...]:
    return tuple(convert(message) for message in messages)

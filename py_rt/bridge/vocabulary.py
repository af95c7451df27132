"""Words and numbers of the messages: enums by name, exact decimals, instruments, and what a command reaches."""

from __future__ import annotations

from dataclasses import dataclass
from decimal import Decimal, InvalidOperation
from enum import StrEnum
from typing import TYPE_CHECKING, TypeVar

from py_rt.bridge.wire.v1 import bundle_status_pb2, commands_pb2, common_pb2, market_data_pb2, signals_pb2
from py_rt.errors import BridgeError

if TYPE_CHECKING:
    from collections.abc import Mapping
    from typing import Any

SCALE_DIGITS = 8
"""Decimals of prices, quantities and amounts on the wire."""

UNITS_MAX = (1 << 63) - 1
SLOT_MAX = 65_535


class MessageError(BridgeError):
    """A message of the service that this version cannot read, or a value that no message can hold."""


class Side(StrEnum):
    """Buy or sell."""

    BUY = "buy"
    SELL = "sell"


class OrderType(StrEnum):
    """How an order is priced."""

    MARKET = "market"
    LIMIT = "limit"


class TimeInForce(StrEnum):
    """How long an order stays."""

    GTC = "gtc"
    IOC = "ioc"
    FOK = "fok"
    GTD = "gtd"


class Liquidity(StrEnum):
    """Whether an order of ours was resting or took what was."""

    MAKER = "maker"
    TAKER = "taker"


class OrderStatus(StrEnum):
    """The state of one of our orders. UNKNOWN is a state, not a no: the order may be live."""

    INITIALIZED = "initialized"
    SUBMITTED = "submitted"
    ACCEPTED = "accepted"
    PARTIALLY_FILLED = "partially_filled"
    FILLED = "filled"
    PENDING_CANCEL = "pending_cancel"
    CANCELED = "canceled"
    REJECTED = "rejected"
    DENIED = "denied"
    EXPIRED = "expired"
    UNKNOWN = "unknown"


class ControlLevel(StrEnum):
    """How free a scope is to trade, from free to stopped."""

    RUNNING = "running"
    PAUSED = "paused"
    REDUCE_ONLY = "reduce_only"
    KILLED = "killed"


class VenueState(StrEnum):
    """Whether a venue can be traded on."""

    ONLINE = "online"
    OFFLINE = "offline"


class BookInvalidReason(StrEnum):
    """Why a book must not be traded on."""

    GAP = "gap"
    DISCONNECTED = "disconnected"
    CROSSED = "crossed"
    BEST_LEVEL_MISMATCH = "best_level_mismatch"
    STALE = "stale"
    MALFORMED = "malformed"
    CHECKSUM = "checksum"


class Decision(StrEnum):
    """What a strategy concluded from a bar."""

    NO_SIGNAL = "no_signal"
    HOLD = "hold"
    ENTER = "enter"
    EXIT = "exit"


class Stage(StrEnum):
    """How far a bundle is trusted."""

    PAPER = "paper"
    LIVE_10 = "live_10"
    LIVE_25 = "live_25"
    LIVE_50 = "live_50"
    LIVE_100 = "live_100"


class BundleState(StrEnum):
    """What became of a bundle."""

    VERIFYING = "verifying"
    WARMING = "warming"
    ACTIVE = "active"
    PREVIOUS = "previous"
    REFUSED = "refused"
    EXPIRED = "expired"


class ServiceState(StrEnum):
    """What the service as a whole is doing."""

    STARTING = "starting"
    RECONCILING = "reconciling"
    WAITING = "waiting"
    TRADING = "trading"
    DRAINING = "draining"


class Outcome(StrEnum):
    """How a command went."""

    ACCEPTED = "accepted"
    REFUSED = "refused"
    APPLIED = "applied"
    FAILED = "failed"


class RefusalReason(StrEnum):
    """Why a command was refused; the schema says what each means."""

    TOO_LARGE = "too_large"
    MALFORMED = "malformed"
    UNKNOWN_KEY = "unknown_key"
    BAD_SIGNATURE = "bad_signature"
    MALFORMED_BODY = "malformed_body"
    INVALID_VALUE = "invalid_value"
    ROLE_NOT_ALLOWED = "role_not_allowed"
    WRONG_INSTANCE = "wrong_instance"
    EXPIRED = "expired"
    EXPIRY_TOO_FAR = "expiry_too_far"
    COUNTER_REPLAYED = "counter_replayed"
    UNKNOWN_SLOT = "unknown_slot"
    UNKNOWN_INSTRUMENT = "unknown_instrument"
    UNKNOWN_VENUE = "unknown_venue"
    UNKNOWN_ORDER = "unknown_order"
    UNKNOWN_BUNDLE = "unknown_bundle"
    BUNDLE_REFUSED = "bundle_refused"
    NOTHING_TO_ROLL_BACK = "nothing_to_roll_back"
    UNKNOWN_PARAMETER = "unknown_parameter"
    PARAMETER_OUT_OF_RANGE = "parameter_out_of_range"
    RISK_DENIED = "risk_denied"
    STOPPED = "stopped"
    WRONG_STATE = "wrong_state"
    BUSY = "busy"
    SHUTTING_DOWN = "shutting_down"
    UNSUPPORTED = "unsupported"


_WIRE: Mapping[type[StrEnum], Any] = {
    Side: common_pb2.Side,
    OrderType: common_pb2.OrderType,
    TimeInForce: common_pb2.TimeInForce,
    Liquidity: common_pb2.Liquidity,
    OrderStatus: common_pb2.OrderStatus,
    ControlLevel: common_pb2.ControlLevel,
    VenueState: market_data_pb2.VenueState,
    BookInvalidReason: market_data_pb2.BookInvalidReason,
    Decision: signals_pb2.Decision,
    Stage: bundle_status_pb2.Stage,
    BundleState: bundle_status_pb2.BundleState,
    ServiceState: commands_pb2.ServiceState,
    Outcome: commands_pb2.Outcome,
    RefusalReason: commands_pb2.RefusalReason,
}
_UNSPECIFIED = "UNSPECIFIED"

Word = TypeVar("Word", bound=StrEnum)


def word(kind: type[Word], number: int) -> Word:
    """The member of `kind` that a number on the wire stands for.

    >>> word(Side, 2)
    <Side.SELL: 'sell'>

    Raises:
        MessageError: the number is 0, which never means anything, or one that this version does not know.
    """
    descriptor = _WIRE[kind].DESCRIPTOR
    prefix = descriptor.values_by_number[0].name.removesuffix(_UNSPECIFIED)
    value = descriptor.values_by_number.get(number)
    name = value.name.removeprefix(prefix) if value is not None else _UNSPECIFIED
    if name not in kind.__members__:
        message = f"{number} is no {kind.__name__} that this version knows; is the service newer than this library?"
        raise MessageError(message)
    return kind[name]


def number(member: StrEnum) -> int:
    """The number on the wire of an enum's member.

    >>> number(OrderStatus.PENDING_CANCEL)
    6
    """
    wire = _WIRE[type(member)]
    prefix = wire.DESCRIPTOR.values_by_number[0].name.removesuffix(_UNSPECIFIED)
    return int(wire.Value(prefix + member.name))


def decimal(units: int) -> Decimal:
    """Units of 1e-8 as an exact decimal, without trailing zeros.

    >>> decimal(6_183_763_000_000), decimal(-1), decimal(0), decimal(10_000_000_000)
    (Decimal('61837.63'), Decimal('-1E-8'), Decimal('0'), Decimal('100'))
    """
    sign, magnitude = int(units < 0), abs(units)
    exponent = -SCALE_DIGITS
    while exponent < 0 and magnitude % 10 == 0:
        magnitude //= 10
        exponent += 1
    return Decimal((sign if units else 0, tuple(int(digit) for digit in str(magnitude)), exponent))


def to_units(value: Decimal | int | str, what: str) -> int:
    """A decimal in units of 1e-8, exactly.

    >>> to_units("61837.63", "price"), to_units(Decimal("1e-8"), "quantity"), to_units(3, "quantity")
    (6183763000000, 1, 300000000)
    >>> to_units(0.1, "price")
    Traceback (most recent call last):
    py_rt.bridge.vocabulary.MessageError: price: 0.1 is a float; write it as text, such as '61837.63'

    Args:
        value: a number; a `float` is refused, because what is written is not what it holds.
        what: its name in the error's message.

    Raises:
        MessageError: not a number, more than 8 decimals, or beyond 64 bits.
    """
    if isinstance(value, bool) or not isinstance(value, Decimal | int | str):
        raise MessageError(f"{what}: {value!r} is a {type(value).__name__}; write it as text, such as '61837.63'")
    try:
        exact = Decimal(value)
        scaled = exact.scaleb(SCALE_DIGITS)
    except InvalidOperation as error:
        raise MessageError(f"{what}: {value!r} is not a number; write it such as '61837.63'") from error
    if not exact.is_finite() or abs(scaled) > UNITS_MAX:
        raise MessageError(f"{what}: {value} is out of range; at most {decimal(UNITS_MAX)} in magnitude")
    if scaled != scaled.to_integral_value():
        raise MessageError(f"{what}: {value} has more than {SCALE_DIGITS} decimals and would be rounded")
    return int(scaled)


def checked_slot(slot: int) -> int:
    """The slot, if it can exist.

    >>> checked_slot(65_536)
    Traceback (most recent call last):
    py_rt.bridge.vocabulary.MessageError: slot 65536 cannot exist: slots are 0 to 65535
    """
    if not 0 <= slot <= SLOT_MAX:
        raise MessageError(f"slot {slot} cannot exist: slots are 0 to {SLOT_MAX}")
    return slot


@dataclass(frozen=True, slots=True)
class Money:
    """An amount of one currency, exact to 1e-8."""

    amount: Decimal
    currency: str

    @classmethod
    def from_wire(cls, message: common_pb2.Money) -> Money:
        """From its message."""
        return cls(decimal(message.units), message.currency)

    def __str__(self) -> str:
        """As people read it.

        >>> str(Money(Decimal("-0.00000001"), "USDT"))
        '-0.00000001 USDT'
        """
        return f"{self.amount:f} {self.currency}"


@dataclass(frozen=True, slots=True)
class InstrumentName:
    """An instrument: where it trades, and the venue's own string for it."""

    venue: str
    symbol: str

    @classmethod
    def parse(cls, text: str) -> InstrumentName:
        """From text such as `binance/BTCUSDT`.

        >>> InstrumentName.parse("binance/BTCUSDT").symbol
        'BTCUSDT'

        Raises:
            MessageError: there is no slash with something on both sides.
        """
        venue, slash, symbol = text.partition("/")
        if not (venue and slash and symbol):
            raise MessageError(f"{text!r} is no instrument; write venue/symbol, such as binance/BTCUSDT")
        return cls(venue, symbol)

    @classmethod
    def from_wire(cls, message: common_pb2.Instrument) -> InstrumentName:
        """From its message."""
        return cls(message.venue, message.symbol)

    def to_wire(self) -> common_pb2.Instrument:
        """As a message."""
        return common_pb2.Instrument(venue=self.venue, symbol=self.symbol)

    def __str__(self) -> str:
        return f"{self.venue}/{self.symbol}"


@dataclass(frozen=True, slots=True)
class Scope:
    """What a command reaches: everything, a venue, an instrument, a slot, or (cancel only) an order.

    >>> [str(Scope.parse(text)) for text in ("all", "slot:1", "instrument:binance/BTCUSDT", "order:e3-s1-42")]
    ['all', 'slot:1', 'instrument:binance/BTCUSDT', 'order:e3-s1-42']
    """

    kind: str
    name: str = ""

    @classmethod
    def everything(cls) -> Scope:
        """Every venue, instrument and slot."""
        return cls("all")

    @classmethod
    def venue(cls, venue: str) -> Scope:
        """One venue."""
        return cls("venue", venue)

    @classmethod
    def instrument(cls, instrument: InstrumentName | str) -> Scope:
        """One instrument."""
        return cls("instrument", str(instrument))

    @classmethod
    def slot(cls, slot: int) -> Scope:
        """One slot."""
        return cls("slot", str(checked_slot(slot)))

    @classmethod
    def order(cls, client_order_id: str) -> Scope:
        """One order."""
        return cls("order", client_order_id)

    @classmethod
    def parse(cls, text: str) -> Scope:
        """From `all`, `venue:NAME`, `instrument:VENUE/SYMBOL`, `slot:NUMBER` or `order:CLIENT_ORDER_ID`.

        Raises:
            MessageError: it is none of them.
        """
        kind, _, name = text.partition(":")
        scope = cls(kind, name)
        scope.to_wire()
        return scope

    @classmethod
    def from_wire(cls, message: commands_pb2.Scope) -> Scope:
        """From its message.

        Raises:
            MessageError: it does not say what it reaches.
        """
        match message.WhichOneof("reach"):
            case "all":
                return cls.everything()
            case "venue":
                return cls.venue(message.venue)
            case "instrument":
                return cls.instrument(InstrumentName.from_wire(message.instrument))
            case "slot":
                return cls.slot(message.slot)
            case "order":
                return cls.order(message.order)
            case _:
                raise MessageError("a scope of the service says nothing that this version knows")

    def to_wire(self) -> commands_pb2.Scope:
        """As a message.

        Raises:
            MessageError: it says nothing that can be reached.
        """
        match self.kind, self.name:
            case "all", "":
                return commands_pb2.Scope(all=commands_pb2.Everything())
            case "venue", name if name:
                return commands_pb2.Scope(venue=name)
            case "instrument", name:
                return commands_pb2.Scope(instrument=InstrumentName.parse(name).to_wire())
            case "slot", name if name.isascii() and name.isdecimal():
                return commands_pb2.Scope(slot=checked_slot(int(name)))
            case "order", name if name:
                return commands_pb2.Scope(order=name)
            case _:
                allowed = "all, venue:NAME, instrument:VENUE/SYMBOL, slot:NUMBER or order:CLIENT_ORDER_ID"
                raise MessageError(f"{str(self)!r} is no scope; allowed are {allowed}")

    def __str__(self) -> str:
        return f"{self.kind}:{self.name}" if self.name else self.kind

"""Commands to a running service, signed, acknowledged and safe to repeat.

    operator = Signer.load(keys / "operator.pem")
    with CommandClient("ipc:///run/user/1000/py_rt/command.sock", operator, "paper-1") as service:
        service.pause(Scope.slot(1))
        print(service.positions())

A method returns when the service has carried the command out. Otherwise it raises: `CommandRefusedError` (nothing was
done), `CommandFailedError` (it was begun, and how far it came), `UnreachableError` (nothing was sent), or
`NoAnswerError` (it is not known; `repeat` asks again for the outcome and never does anything twice).
"""

from __future__ import annotations

import math
import os
import socket as sockets
import stat
import time
import uuid
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Self

import zmq
from google.protobuf.message import DecodeError

from py_rt.bridge.records import Acknowledgement, Fills, Orders, Pnl, Position, ServiceStatus, Snapshot
from py_rt.bridge.signing import Signer, SignerError
from py_rt.bridge.vocabulary import (
    InstrumentName,
    MessageError,
    OrderType,
    Outcome,
    RefusalReason,
    Scope,
    Side,
    checked_slot,
    decimal,
    number,
    to_units,
)
from py_rt.bridge.wire.v1 import commands_pb2
from py_rt.errors import BridgeError

if TYPE_CHECKING:
    from collections.abc import Callable
    from decimal import Decimal
    from types import TracebackType

__all__ = [
    "CommandClient",
    "CommandError",
    "CommandFailedError",
    "CommandRefusedError",
    "NoAnswerError",
    "Pending",
    "Scope",
    "Signer",
    "SignerError",
    "UnreachableError",
]

COMMAND_BYTES_MAX = 64 * 1024
ANSWER_BYTES_MAX = 16 * 1024 * 1024
ANSWERS_WAITING_MAX = 256
ATTEMPTS_MAX = 3
"""How often one message is sent before its outcome is called unknown."""

SIGNINGS_MAX = 3
"""How often a command is signed anew when another program was quicker with a higher counter of the same key."""

TIMEOUT_MAX_S = 600.0
VALIDITY_MARGIN_S = 30
DIGEST_DIGITS = 64
SECOND_NS = 1_000_000_000
QUERY_LIMIT = 100

_FINAL = frozenset({Outcome.APPLIED, Outcome.FAILED, Outcome.REFUSED})


class CommandError(BridgeError):
    """A command that was not carried out, or whose outcome is not known."""


class UnreachableError(CommandError):
    """No service listens at the endpoint or the one there hangs, or it may not be used: nothing was sent."""


class CommandRefusedError(CommandError):
    """The service said no, and nothing was done.

    Attributes:
        ack: what it said; `ack.refusal` is the reason for programs.
    """

    def __init__(self, message: str, ack: Acknowledgement) -> None:
        super().__init__(message)
        self.ack = ack


class CommandFailedError(CommandError):
    """The service began, and could not finish; the message says how far it came.

    Attributes:
        ack: what it said; `ack.refusal` is the reason for programs, where there is a word for it.
    """

    def __init__(self, message: str, ack: Acknowledgement) -> None:
        super().__init__(message)
        self.ack = ack


class NoAnswerError(CommandError):
    """The outcome is not known: the command may have been carried out.

    Attributes:
        pending: the command, for `CommandClient.repeat`.
    """

    def __init__(self, message: str, pending: Pending) -> None:
        super().__init__(message)
        self.pending = pending


@dataclass(frozen=True, slots=True)
class Pending:
    """A signed command on its way; sending the same bytes again never does anything twice.

    Attributes:
        name: what it asks for: `kill`.
        command_id: its name in records and acknowledgements.
        counter: the key's counter.
        message: the bytes.
    """

    name: str
    command_id: str
    counter: int
    message: bytes


class CommandClient:
    """One connection to one service. Not for use by several threads at once.

    Attributes:
        instance: the service's name, which every command carries.
    """

    def __init__(
        self,
        endpoint: str,
        signer: Signer,
        instance: str,
        *,
        timeout_s: float = 5.0,
        now_ns: Callable[[], int] = time.time_ns,
    ) -> None:
        """Prepare; the first command connects.

        Args:
            endpoint: `ipc://` and the absolute path of the service's command socket.
            signer: the key; its role decides what the service allows.
            instance: the service's name.
            timeout_s: how long to wait for an answer, per attempt; there are 3. At most ten minutes.
            now_ns: the wall clock, for expiry and counters.

        Raises:
            UnreachableError: the endpoint is not `ipc://`, or its directory is not yours alone.
        """
        if not 0 < timeout_s <= TIMEOUT_MAX_S:
            raise CommandError(f"timeout_s {timeout_s} is not allowed: more than 0, at most {TIMEOUT_MAX_S:g}")
        check_endpoint(endpoint)
        self.instance = instance
        self._endpoint = endpoint
        self._signer = signer
        self._timeout_s = timeout_s
        self._now_ns = now_ns
        self._counter = 0
        self._context: zmq.Context[zmq.Socket[bytes]] = zmq.Context()
        self._socket = self._connected()

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self.close()

    def close(self) -> None:
        """Disconnect; what was not sent is forgotten."""
        self._socket.close(linger=0)
        self._context.term()

    def deploy(self, slot: int, digest: str) -> Acknowledgement:
        """Activate an approved bundle of the service's store.

        Args:
            slot: in which slot.
            digest: SHA-256 of the bundle's manifest, 64 hexadecimal digits; `sha256-` may stand before them.
        """
        return self._done(deploy=commands_pb2.Deploy(slot=checked_slot(slot), digest=_digest(digest)))

    def rollback(self, slot: int) -> Acknowledgement:
        """Go back to the bundle that was active before."""
        return self._done(rollback=commands_pb2.Rollback(slot=checked_slot(slot)))

    def start(self, scope: Scope) -> Acknowledgement:
        """Let it trade again after a pause."""
        return self._done(start=commands_pb2.Start(scope=scope.to_wire()))

    def pause(self, scope: Scope) -> Acknowledgement:
        """No new orders from strategies; working orders stay."""
        return self._done(pause=commands_pb2.Pause(scope=scope.to_wire()))

    def cancel(self, scope: Scope) -> Acknowledgement:
        """Cancel working orders; the scope may be a single order."""
        return self._done(cancel=commands_pb2.Cancel(scope=scope.to_wire()))

    def reduce_only(self, scope: Scope) -> Acknowledgement:
        """From now on only orders that bring a position closer to zero; latched."""
        return self._done(reduce_only=commands_pb2.ReduceOnly(scope=scope.to_wire()))

    def flatten(self, scope: Scope, *, max_slippage_bps: int) -> Acknowledgement:
        """Cancel working orders, then close positions no worse than so far from the mid price.

        Args:
            scope: what it reaches.
            max_slippage_bps: 0 to 10000 ten-thousandths of the mid price.
        """
        if not 0 <= max_slippage_bps <= 10_000:
            raise MessageError(f"max_slippage_bps {max_slippage_bps} is not allowed: allowed are 0 to 10000")
        message = commands_pb2.Flatten(scope=scope.to_wire(), max_slippage_bps=max_slippage_bps)
        return self._done(flatten=message)

    def kill(self, scope: Scope) -> Acknowledgement:
        """Cancel everything and let nothing leave but cancels; latched until `rearm`."""
        return self._done(kill=commands_pb2.Kill(scope=scope.to_wire()))

    def rearm(self, scope: Scope, *, reason: str) -> Acknowledgement:
        """Lift a latched stop.

        Args:
            scope: what it reaches.
            reason: why it is safe, 1 to 120 printable ASCII characters.
        """
        return self._done(rearm=commands_pb2.Rearm(scope=scope.to_wire(), reason=reason))

    def set_parameter(self, slot: int, name: str, value: Decimal | int | str) -> Acknowledgement:
        """Change a parameter of a running strategy.

        Args:
            slot: which slot.
            name: its key in the strategy file.
            value: exact to 1e-8.
        """
        text = f"{decimal(to_units(value, name)):f}"
        message = commands_pb2.SetParameter(slot=checked_slot(slot), name=name, value=text)
        return self._done(set_parameter=message)

    def tell_slow(
        self, instrument: InstrumentName | str, name: str, value: float | None, *, valid_from: int, max_age_s: int
    ) -> Acknowledgement:
        """Tell what became known of an instrument beside its market, for features that read it as a slow parameter.

        Args:
            instrument: such as `binance/BTCUSDT`.
            name: of the slow parameter, as the feature file declares it.
            value: as people write it, finite; None: from then on it is unknown.
            valid_from: UTC ns from which on it holds: nothing before is decided on it.
            max_age_s: how many seconds it holds at most, 1 or more.
        """
        if value is not None and not math.isfinite(value):
            raise MessageError(f"{name} is {value}: allowed are finite numbers, and None where it is unknown")
        if not 1 <= max_age_s < 2**32:
            raise MessageError(f"max_age_s {max_age_s} is not allowed: allowed are 1 to {2**32 - 1} seconds")
        message = commands_pb2.TellSlow(
            instrument=InstrumentName.parse(str(instrument)).to_wire(),
            name=name,
            # Zero has one spelling.
            value=None if value is None else value + 0.0,
            valid_from=valid_from,
            max_age_seconds=max_age_s,
        )
        return self._done(tell_slow=message)

    def manual_order(
        self,
        slot: int,
        instrument: InstrumentName | str,
        side: Side,
        quantity: Decimal | int | str,
        *,
        price: Decimal | int | str | None = None,
    ) -> Acknowledgement:
        """Send an order by hand; risk judges it like any other.

        Args:
            slot: in whose ledger it is booked.
            instrument: such as `binance/BTCUSDT`.
            side: buy or sell.
            quantity: of the base asset.
            price: the limit; without one it is a market order.
        """
        name = InstrumentName.parse(str(instrument))
        message = commands_pb2.ManualOrder(
            slot=checked_slot(slot),
            instrument=name.to_wire(),
            quantity=to_units(quantity, "quantity"),
        )
        message.side = number(Side(side))  # type: ignore[assignment]
        message.order_type = number(OrderType.MARKET if price is None else OrderType.LIMIT)  # type: ignore[assignment]
        if price is not None:
            message.price = to_units(price, "price")
        return self._done(manual_order=message)

    def manual_cancel(self, client_order_id: str) -> Acknowledgement:
        """Cancel one order by hand."""
        return self._done(manual_cancel=commands_pb2.ManualCancel(client_order_id=client_order_id))

    def status(self) -> ServiceStatus:
        """What the service is doing."""
        return ServiceStatus.from_wire(self._asked("status", query_status=commands_pb2.QueryStatus()).status)

    def orders(self, slot: int | None = None, *, open_only: bool = False, limit: int = QUERY_LIMIT) -> Orders:
        """Orders, newest first.

        Args:
            slot: of one slot; without it of all.
            open_only: leave out orders that can never trade again.
            limit: 1 to 1000.
        """
        message = commands_pb2.QueryOrders(open_only=open_only, limit=_limit(limit))
        if slot is not None:
            message.slot = checked_slot(slot)
        return Orders.from_wire(self._asked("orders", query_orders=message).orders)

    def positions(self) -> tuple[Position, ...]:
        """Positions of slots and account."""
        answer = self._asked("positions", query_positions=commands_pb2.QueryPositions())
        return tuple(Position.from_wire(position) for position in answer.positions.positions)

    def fills(self, slot: int | None = None, *, limit: int = QUERY_LIMIT) -> Fills:
        """Fills, newest first.

        Args:
            slot: of one slot; without it of all.
            limit: 1 to 1000.
        """
        message = commands_pb2.QueryFills(limit=_limit(limit))
        if slot is not None:
            message.slot = checked_slot(slot)
        return Fills.from_wire(self._asked("fills", query_fills=message).fills)

    def pnl(self) -> tuple[Pnl, ...]:
        """Profit and loss of slots and account."""
        answer = self._asked("pnl", query_pnl=commands_pb2.QueryPnl())
        return tuple(Pnl.from_wire(pnl) for pnl in answer.pnl.pnl)

    def snapshot(self) -> Snapshot:
        """The whole state, with the telemetry that is already in it: see `py_rt.bridge.subscriber`."""
        return Snapshot.from_wire(self._asked("snapshot", snapshot=commands_pb2.SnapshotRequest()).snapshot)

    def repeat(self, pending: Pending) -> Acknowledgement:
        """Ask again what became of a command whose outcome is not known. Nothing is done twice.

        Args:
            pending: from `NoAnswerError.pending`.

        Raises:
            CommandRefusedError: the service refuses it. `counter_replayed` and `expired` mean here that the service
                no longer knows how it went, if it ever came: compare its state.
            CommandError: as for any command.
        """
        return _judged(pending, self._exchanged(pending))

    def _done(self, **action: object) -> Acknowledgement:
        (name,) = action
        return Acknowledgement.from_wire(self._executed(name, commands_pb2.Command(**action)))  # type: ignore[arg-type]

    def _asked(self, answer: str, **action: object) -> commands_pb2.Ack:
        (name,) = action
        ack = self._executed(name, commands_pb2.Command(**action))  # type: ignore[arg-type]
        if ack.WhichOneof("reply") != answer:
            raise MessageError(f"the service answered {name} with {ack.WhichOneof('reply') or 'nothing'}")
        return ack

    def _executed(self, name: str, command: commands_pb2.Command) -> commands_pb2.Ack:
        command.command_id = str(uuid.uuid4())
        for signing in range(1, SIGNINGS_MAX + 1):
            pending = self._signed(name, command)
            ack, sent = self._exchanged_counted(pending)
            # Sent once and refused for its counter: it was never let through, so it may be signed anew. After a
            # second sending the first may have been obeyed, and only its outcome forgotten.
            overtaken = Acknowledgement.from_wire(ack).refusal is RefusalReason.COUNTER_REPLAYED and sent == 1
            if not overtaken or signing == SIGNINGS_MAX:
                break
        _judged(pending, ack)
        return ack

    def _signed(self, name: str, command: commands_pb2.Command) -> Pending:
        now = self._now_ns()
        self._counter = max(self._counter + 1, now)
        validity_s = self._timeout_s * ATTEMPTS_MAX + VALIDITY_MARGIN_S
        expires = now + int(validity_s * SECOND_NS)
        body = command.SerializeToString(deterministic=True)
        message = self._signer.sign(body, counter=self._counter, expires=expires, instance=self.instance)
        if len(message) > COMMAND_BYTES_MAX:
            raise MessageError(f"{name}: {len(message)} bytes; a command has at most {COMMAND_BYTES_MAX}")
        return Pending(name, command.command_id, self._counter, message)

    def _exchanged(self, pending: Pending) -> commands_pb2.Ack:
        return self._exchanged_counted(pending)[0]

    def _exchanged_counted(self, pending: Pending) -> tuple[commands_pb2.Ack, int]:
        """The final acknowledgement, and how often the message was sent for it."""
        accepted = False
        for attempt in range(1, ATTEMPTS_MAX + 1):
            if not self._sent(pending):
                if attempt == 1:
                    raise UnreachableError(f"{pending.name}: {self._why_unsent()} Nothing was sent.")
                continue
            ends = time.monotonic() + self._timeout_s
            while (ack := self._answer(pending, ends)) is not None:
                if Acknowledgement.from_wire(ack).outcome in _FINAL:
                    return ack, attempt
                # It is at work: from here on the time counts anew.
                accepted, ends = True, time.monotonic() + self._timeout_s
        heard = "accepted, but its outcome was not heard" if accepted else "no answer"
        waited = f"{ATTEMPTS_MAX} times {self._timeout_s:g} s"
        message = (
            f"{pending.name} ({pending.command_id}): {heard} within {waited}; it may have been carried out. "
            "Ask for the status, or repeat the same command: it is never done twice."
        )
        raise NoAnswerError(message, pending)

    def _why_unsent(self) -> str:
        """Why no connection came about: nobody is there, or somebody is and does not stir."""
        waited = f"{self._timeout_s:g} s"
        if _is_listened_to(self._endpoint):
            return (
                f"the service at {self._endpoint} does not answer within {waited}: its process is there, and hangs or "
                "is stopped."
            )
        return (
            f"no service listens at {self._endpoint} (waited {waited}): is it running, and is this the endpoint in its "
            "live.json?"
        )

    def _sent(self, pending: Pending) -> bool:
        try:
            self._socket.send(pending.message)
        except zmq.Again:
            return False
        return True

    def _answer(self, pending: Pending, ends: float) -> commands_pb2.Ack | None:
        """The next acknowledgement of this command; `None` when the time is over. Others are late, and dropped."""
        while (left_s := ends - time.monotonic()) > 0:
            # Rounded up, so that the last part of a millisecond is no busy loop.
            if not self._socket.poll(int(left_s * 1000) + 1):
                return None
            ack = _parsed(self._socket.recv())
            if _is_about(ack, pending, self._signer):
                return ack
        return None

    def _connected(self) -> zmq.Socket[bytes]:
        socket = self._context.socket(zmq.DEALER)
        socket.linger = 0
        socket.maxmsgsize = ANSWER_BYTES_MAX
        socket.rcvhwm = ANSWERS_WAITING_MAX
        # Without a connection a command is not queued: it must never be obeyed when nobody waits for it any more.
        socket.immediate = True
        socket.sndtimeo = int(self._timeout_s * 1000) + 1
        socket.connect(self._endpoint)
        return socket


def _is_listened_to(endpoint: str) -> bool:
    """Whether a process holds the socket of an endpoint open; the kernel connects us even while it is stopped."""
    with sockets.socket(sockets.AF_UNIX, sockets.SOCK_STREAM) as probe:
        probe.setblocking(False)
        try:
            probe.connect(endpoint.removeprefix("ipc://"))
        except BlockingIOError:  # so many wait there already that the kernel takes no more
            return True
        except OSError:
            return False
    return True


def check_endpoint(endpoint: str) -> None:
    """Refuse an endpoint that somebody else could stand behind.

    >>> check_endpoint("tcp://127.0.0.1:5555")
    Traceback (most recent call last):
    py_rt.bridge.commands.UnreachableError: endpoint 'tcp://127.0.0.1:5555' refused: only ipc:// and an absolute path

    Raises:
        UnreachableError: it is not `ipc://` with an absolute path, or the directory is not there, not a directory of
            your own, or open to others.
    """
    path = Path(endpoint.removeprefix("ipc://"))
    if not endpoint.startswith("ipc://") or not path.is_absolute():
        raise UnreachableError(f"endpoint {endpoint!r} refused: only ipc:// and an absolute path")
    try:
        facts = path.parent.lstat()
    except OSError as error:
        message = f"endpoint {endpoint!r}: {path.parent}: {error.strerror}; is the service running?"
        raise UnreachableError(message) from error
    mode = stat.S_IMODE(facts.st_mode)
    if not stat.S_ISDIR(facts.st_mode) or facts.st_uid != os.geteuid() or mode & 0o077:
        message = (
            f"endpoint {endpoint!r} refused: {path.parent} is not a directory of your own with mode 0700 "
            f"(owner {facts.st_uid}, mode {mode:04o}): somebody else could answer there"
        )
        raise UnreachableError(message)


def _digest(text: str) -> bytes:
    digits = text.removeprefix("sha256-")
    try:
        digest = bytes.fromhex(digits)
    except ValueError:
        digest = b""
    if len(digits) != DIGEST_DIGITS or len(digest) != DIGEST_DIGITS // 2:
        raise MessageError(f"{text!r} is no bundle digest: 64 hexadecimal digits, with or without sha256- before them")
    return digest


def _limit(limit: int) -> int:
    if not 1 <= limit <= 1000:
        raise MessageError(f"limit {limit} is not allowed: allowed are 1 to 1000")
    return limit


def _parsed(frame: bytes) -> commands_pb2.Ack:
    try:
        return commands_pb2.Ack.FromString(frame)
    except DecodeError as error:
        raise MessageError(f"the service sent {len(frame)} bytes that are no acknowledgement: {error}") from error


def _is_about(ack: commands_pb2.Ack, pending: Pending, signer: Signer) -> bool:
    if ack.HasField("counter"):
        named = not ack.HasField("command_id") or ack.command_id == pending.command_id
        return ack.counter == pending.counter and ack.key_id.hex() == signer.key_id and named
    # The service could not read the message far enough to know whose it was. We wait for one command at a time.
    return True


def _judged(pending: Pending, message: commands_pb2.Ack) -> Acknowledgement:
    ack = Acknowledgement.from_wire(message)
    if ack.outcome is Outcome.REFUSED:
        raise CommandRefusedError(f"{pending.name} refused ({ack.refusal}): {ack.text}", ack)
    if ack.outcome is Outcome.FAILED:
        raise CommandFailedError(f"{pending.name} failed: {ack.text}", ack)
    return ack

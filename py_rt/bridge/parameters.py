"""Parameters of a running slot: ask for a change through shared memory, and wait for the service's answer.

The service takes a request between two events, judges names and ranges, journals it, and applies all of it or nothing.
Values are decimal numbers, exact to 1e-8, and never pass through a float.
"""

from __future__ import annotations

from decimal import Decimal
from typing import TYPE_CHECKING

import py_rt_core

from py_rt.errors import BridgeError

if TYPE_CHECKING:
    from collections.abc import Mapping
    from os import PathLike

SEGMENT = "parameters"
"""The name under which a service offers its parameters, unless its configuration says otherwise."""

SLOT_MAX = 65_535
TIMEOUT_MAX_MS = 60_000


class ParameterError(BridgeError):
    """Parameters that were not changed; a request whose fate is not known is a `ParameterTimeoutError`."""


class ParameterFormError(ParameterError):
    """A request that is not valid in itself: nothing was sent."""


class ParameterRefusedError(ParameterError):
    """The service's answer was no.

    Attributes:
        version: the request's number.
        applied_version: the last request that took effect, 0 when none did.
        reason: the service's reason.
    """

    def __init__(self, message: str, version: int, applied_version: int, reason: str) -> None:
        super().__init__(message)
        self.version = version
        self.applied_version = applied_version
        self.reason = reason


class ParameterTimeoutError(ParameterError):
    """No answer came in time. The service may still take the request: ask for the slot's state before trying again.

    Attributes:
        version: the request's number.
    """

    def __init__(self, message: str, version: int) -> None:
        super().__init__(message)
        self.version = version


def set_parameter(
    socket_path: str | PathLike[str],
    slot: int,
    name: str,
    value: Decimal | int | str,
    *,
    segment: str = SEGMENT,
    timeout_ms: int = 1000,
) -> int:
    """Change one parameter of a slot; see `set_parameters`."""
    return set_parameters(socket_path, slot, {name: value}, segment=segment, timeout_ms=timeout_ms)


def set_parameters(
    socket_path: str | PathLike[str],
    slot: int,
    changes: Mapping[str, Decimal | int | str],
    *,
    segment: str = SEGMENT,
    timeout_ms: int = 1000,
) -> int:
    """Change parameters of a slot, all of them or none, and wait until the service has done so.

    Args:
        socket_path: the socket in the run's folder.
        slot: the slot's number.
        changes: 1 to 8 names as in the strategy file, each with its new value.
        segment: under which name the service offers its parameters.
        timeout_ms: how long to wait for the answer, a minute at most.

    Returns:
        The version that is in effect now.

    Raises:
        ParameterFormError: the request is not valid in itself.
        ParameterError: the service is not there, or another process is changing its parameters.
        ParameterRefusedError: the service does not allow the change.
        ParameterTimeoutError: no answer came in time, or the service ended before it gave one.
    """
    texts = {name: _text(name, value) for name, value in changes.items()}
    if not 0 <= slot <= SLOT_MAX:
        raise ParameterFormError(f"slot {slot} cannot exist: slots are 0 to {SLOT_MAX}")
    if not 0 <= timeout_ms <= TIMEOUT_MAX_MS:
        raise ParameterFormError(f"timeout_ms {timeout_ms} is not allowed: allowed are 0 to {TIMEOUT_MAX_MS}")
    try:
        writer = py_rt_core.ParameterWriter(socket_path, segment)
    except py_rt_core.CoreError as error:
        raise ParameterError(str(error)) from error
    with writer:
        try:
            version = writer.request(slot, texts)
        except py_rt_core.CoreError as error:
            raise ParameterFormError(str(error)) from error
        return _answered(writer, slot, version, timeout_ms)


def _answered(writer: py_rt_core.ParameterWriter, slot: int, version: int, timeout_ms: int) -> int:
    try:
        answer = writer.wait(version, timeout_ms)
    except py_rt_core.CoreError as error:
        raise ParameterTimeoutError(f"request {version} for slot {slot} was sent, but: {error}", version) from error
    if answer is None:
        why = f"within {timeout_ms} ms" if writer.service_alive else "before the service ended"
        message = (
            f"request {version} for slot {slot} was not answered {why}: it may or may not take effect; "
            "look at the slot's parameters before asking again"
        )
        raise ParameterTimeoutError(message, version)
    if answer.status != "applied":
        message = f"request {version} for slot {slot} was {answer.status}: {answer.reason}"
        raise ParameterRefusedError(message, version, answer.applied_version, answer.reason)
    return answer.applied_version


def _text(name: str, value: Decimal | int | str) -> str:
    """A value as decimal text; the service's own reader judges it.

    >>> _text("entry_threshold", Decimal("6E-1")), _text("lookback", 20), _text("exit_threshold", "0.45")
    ('0.6', '20', '0.45')
    """
    match value:
        case Decimal():
            return f"{value:f}"
        case str():
            return value
        case int() if not isinstance(value, bool):
            return str(value)
        case _:
            message = f"parameter {name}: {value!r} is a {type(value).__name__}; write it as text, such as '0.61'"
            raise ParameterFormError(message)

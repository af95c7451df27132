"""Parameters to a real other process, which judges, applies, refuses, hesitates and dies."""

from __future__ import annotations

from decimal import Decimal
from typing import TYPE_CHECKING, Any

import py_rt_core
import pytest

from py_rt.bridge import parameters
from py_rt.bridge.parameters import (
    SEGMENT,
    ParameterError,
    ParameterFormError,
    ParameterRefusedError,
    ParameterTimeoutError,
    set_parameter,
    set_parameters,
)
from py_rt.errors import PyRtError
from tests.py_rt.bridge.feed import Feed

if TYPE_CHECKING:
    from collections.abc import Iterator
    from pathlib import Path

PATIENCE_MS = 60_000


@pytest.fixture
def socket(tmp_path: Path) -> Path:
    return tmp_path / "run" / "segments.sock"


@pytest.fixture
def feed(socket: Path) -> Iterator[Feed]:
    with Feed(socket) as feed:
        yield feed


def test_a_change_takes_effect_and_its_version_comes_back(feed: Feed, socket: Path) -> None:
    assert set_parameter(socket, 2, "entry_threshold", Decimal("0.61"), timeout_ms=PATIENCE_MS) == 1
    assert feed.ask("applied") == "applied 1 2 entry_threshold=61000000"
    changes: dict[str, Decimal | int | str] = {"exit_threshold": "-0.00000001", "entry_threshold": 1}
    assert set_parameters(socket, 65_535, changes, timeout_ms=PATIENCE_MS) == 2
    assert feed.ask("applied") == "applied 2 65535 exit_threshold=-1 entry_threshold=100000000"


def test_a_refusal_carries_the_reason_and_changes_nothing(feed: Feed, socket: Path) -> None:
    set_parameter(socket, 1, "entry_threshold", "0.6", timeout_ms=PATIENCE_MS)
    with pytest.raises(ParameterRefusedError, match="request 2 for slot 1 was refused: entry_threshold: allowed") as no:
        set_parameters(socket, 1, {"exit_threshold": "0.5", "entry_threshold": "0.4"}, timeout_ms=PATIENCE_MS)
    assert (no.value.version, no.value.applied_version) == (2, 1)
    assert no.value.reason == "entry_threshold: allowed are 0.5 to 1"
    assert feed.ask("applied") == "applied 1 1 entry_threshold=60000000"


def test_a_service_that_does_not_answer_leaves_the_outcome_open(feed: Feed, socket: Path) -> None:
    feed.ask("parameters hold")
    with pytest.raises(ParameterTimeoutError, match="not answered within 20 ms: it may or may not take effect") as late:
        set_parameter(socket, 1, "entry_threshold", "0.6", timeout_ms=20)
    assert late.value.version == 1
    feed.ask("parameters serve")
    assert set_parameter(socket, 1, "entry_threshold", "0.7", timeout_ms=PATIENCE_MS) == 2
    assert feed.ask("applied") == "applied 2 1 entry_threshold=70000000"


def test_a_service_that_dies_ends_the_wait(feed: Feed, socket: Path) -> None:
    feed.ask("parameters hold")
    with py_rt_core.ParameterWriter(socket, SEGMENT) as writer:
        assert writer.answer() is None
        assert (writer.service_alive, writer.epoch, writer.name) == (True, 1, SEGMENT)
        version = writer.request(1, {"entry_threshold": "0.6"}, ts_requested=1)
        feed.kill()
        assert writer.wait(version, PATIENCE_MS) is None
        assert not writer.service_alive
        with pytest.raises(ParameterTimeoutError, match="not answered before the service ended"):
            parameters._answered(writer, 1, version, PATIENCE_MS)
    with pytest.raises(ParameterError, match="cannot connect to"):
        set_parameter(socket, 1, "entry_threshold", "0.6")


def test_one_process_writes_at_a_time(feed: Feed, socket: Path) -> None:
    with py_rt_core.ParameterWriter(socket, SEGMENT) as writer:
        version = writer.request(3, {"entry_threshold": "0.75"})
        answer = writer.wait(version, PATIENCE_MS)
        assert answer is not None
        assert (answer.status, answer.answered_version, answer.applied_version) == ("applied", 1, 1)
        assert (answer.reason, answer.answered_ns > 0) == ("", True)
        with pytest.raises(ParameterError, match="being written by another process"):
            set_parameter(socket, 1, "entry_threshold", "0.6")
    with pytest.raises(py_rt_core.CoreError, match="the writer of parameters parameters is closed"):
        writer.answer()
    assert set_parameter(socket, 1, "entry_threshold", "0.6", timeout_ms=PATIENCE_MS) == 2
    assert feed.process.poll() is None


@pytest.mark.parametrize(
    ("slot", "changes", "timeout_ms", "reason"),
    [
        (1, {"entry_threshold": 0.61}, 0, "0.61 is a float; write it as text"),
        (1, {"entry_threshold": True}, 0, "True is a bool"),
        (1, {"entry_threshold": "1e3"}, 0, 'value "1e3": not a decimal number'),
        (1, {"entry_threshold": Decimal("NaN")}, 0, 'value "NaN": not a decimal number'),
        (1, {"entry_threshold": "0.123456789"}, 0, "more than 8 decimals"),
        (1, {"entry_threshold": 10**12}, 0, "out of range"),
        (1, {"Entry": "1"}, 0, "change 0 has no valid name"),
        (1, {"x" * 33: "1"}, 0, "1 to 32 characters"),
        (1, {"ä": "1"}, 0, "cannot exist"),
        (1, {}, 0, "1 to 8 changes, this one 0"),
        (1, {f"p{number}": "1" for number in range(9)}, 0, "1 to 8 changes, this one 9"),
        (-1, {"entry_threshold": "0.6"}, 0, "slots are 0 to 65535"),
        (65_536, {"entry_threshold": "0.6"}, 0, "slots are 0 to 65535"),
        (1, {"entry_threshold": "0.6"}, -1, "allowed are 0 to 60000"),
        (1, {"entry_threshold": "0.6"}, 60_001, "allowed are 0 to 60000"),
    ],
)
def test_a_request_that_is_not_valid_is_not_sent(
    feed: Feed, socket: Path, slot: int, changes: dict[str, Any], timeout_ms: int, reason: str
) -> None:
    with pytest.raises(ParameterFormError, match=reason):
        set_parameters(socket, slot, changes, timeout_ms=timeout_ms)
    assert feed.ask("applied") == "applied nothing"
    assert set_parameter(socket, 1, "entry_threshold", "0.6", timeout_ms=PATIENCE_MS) == 1, "no version was used"


def test_every_error_is_one_of_ours() -> None:
    for error in (ParameterFormError, ParameterRefusedError, ParameterTimeoutError):
        assert issubclass(error, ParameterError)
        assert issubclass(error, PyRtError)

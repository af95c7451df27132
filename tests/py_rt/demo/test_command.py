"""`py_rt demo` itself: exit status, one JSON object, and what is said when it does not end well."""

from __future__ import annotations

import json
import signal
from typing import TYPE_CHECKING

import pytest

from py_rt.cli.main import main
from py_rt.demo import place as places
from py_rt.demo.children import DemoError
from tests.py_rt.demo.outcomes import outcome

if TYPE_CHECKING:
    from collections.abc import Callable
    from pathlib import Path

    from py_rt.demo.place import Place
    from py_rt.demo.report import Outcome
    from py_rt.demo.show import Show


@pytest.fixture(autouse=True)
def home(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    monkeypatch.setattr(places, "COMMANDS", ())
    monkeypatch.setenv("PY_RT_HOME", str(tmp_path / "home"))
    return tmp_path / "home"


def demo(monkeypatch: pytest.MonkeyPatch, body: Callable[[Place], Outcome]) -> None:
    def run_demo(place: Place, show: Show) -> Outcome:
        with show.step("trading", "on paper") as step:
            step.result("done")
            return body(place)

    monkeypatch.setattr("py_rt.demo.run.run_demo", run_demo)


def test_a_run_that_held_is_status_0_and_one_json_object(
    home: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    demo(monkeypatch, lambda _place: outcome(home))
    assert main(["demo", "--json"]) == 0
    said = capsys.readouterr()
    assert json.loads(said.out)["ok"] is True
    assert said.err.startswith("trading     on paper ...\n")
    assert main(["demo"]) == 0
    said = capsys.readouterr()
    assert said.out.startswith("trading     on paper ...\n")
    assert said.out.endswith("Everything held, in 41 s.\n")
    assert not said.err


def test_a_run_that_did_not_hold_is_status_1(
    home: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    demo(monkeypatch, lambda _place: outcome(home, exit_status=4))
    assert main(["demo", "--json"]) == 1
    assert json.loads(capsys.readouterr().out)["ok"] is False
    assert main(["demo"]) == 1
    assert capsys.readouterr().out.endswith("  - service: it ended with 4 after SIGTERM, not 0\n")


@pytest.mark.parametrize("error", [DemoError("no orders\nlog: x.log"), OSError(28, "No space left on device")])
def test_a_step_that_fails_is_named_with_where_to_look_and_what_to_do(
    home: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str], error: Exception
) -> None:
    def fails(_place: Place) -> Outcome:
        raise error

    demo(monkeypatch, fails)
    assert main(["demo"]) == 1
    said = capsys.readouterr()
    assert said.out.endswith("trading     FAILED  [0.0 s]\n")
    (run,) = (home / "runs").iterdir()
    assert said.err == (
        f"the demo did not get past trading: {error}\n"
        f"logs and record: {run}; `py_rt demo` starts anew and reuses what is unchanged\n"
    )
    assert main(["demo", "--json"]) == 1
    told = json.loads(capsys.readouterr().out)
    assert told["ok"] is False
    assert told["error"].startswith(f"the demo did not get past trading: {error}")


def test_what_stops_it_before_it_begins_is_said_without_a_step(
    monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.setattr(places, "COMMANDS", ("py_rt_no_such_command",))
    assert main(["demo"]) == 1
    said = capsys.readouterr().err
    assert said.startswith("the demo cannot begin: py_rt_no_such_command is not installed beside ")
    assert said.endswith("\nnothing was made\n")


@pytest.mark.parametrize(("number", "status"), [(signal.SIGINT, 130), (signal.SIGTERM, 143)])
def test_a_signal_is_said_in_one_line_and_is_the_exit_status(
    home: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str], number: int, status: int
) -> None:
    def interrupted(_place: Place) -> Outcome:
        signal.raise_signal(number)
        raise AssertionError("the signal was not heard")

    demo(monkeypatch, interrupted)
    assert main(["demo"]) == status
    said = capsys.readouterr()
    assert said.out.endswith("trading     interrupted; ending what runs  [0.0 s]\n")
    (line,) = said.err.splitlines()
    (run,) = (home / "runs").iterdir()
    name = signal.Signals(number).name
    assert line == f"ended by {name}; logs and record: {run}; `py_rt demo` starts anew and reuses what is unchanged"

"""The command line: help with an example, versions, refusals, statuses."""

from __future__ import annotations

import json
import subprocess
import sys

import pytest

import py_rt
from py_rt.cli.main import main


def test_version(capsys: pytest.CaptureFixture[str]) -> None:
    assert main(["--version"]) == 0
    assert capsys.readouterr().out == f"py_rt {py_rt.__version__}\n"


COMMANDS = [
    *(["run"], ["ui"], ["config", "check"], ["config", "show"], ["parity"], ["trace"]),
    *(["bundle", "build"], ["bundle", "verify"], ["bundle", "approve"], ["bundle", "list"]),
    *(["keys", "create"], ["keys", "list"], ["feed", "check"]),
]


@pytest.mark.parametrize("command", COMMANDS, ids=" ".join)
def test_every_command_explains_itself_with_an_example(command: list[str], capsys: pytest.CaptureFixture[str]) -> None:
    assert main([*command, "--help"]) == 0
    assert f"Example: py_rt {' '.join(command)}" in capsys.readouterr().out


WRONG = [["nonsense"], ["config", "show"], ["ui", "--port", "0"], ["run", "--no-such"], ["feed", "check"]]


@pytest.mark.parametrize("wrong", WRONG)
def test_a_wrong_command_line_is_status_2(wrong: list[str], capsys: pytest.CaptureFixture[str]) -> None:
    assert main(wrong) == 2
    assert capsys.readouterr().err


def test_an_unknown_kind_names_the_known_ones(capsys: pytest.CaptureFixture[str]) -> None:
    assert main(["config", "show", "limits"]) == 2
    assert "risk_limits, strategy, features, service" in capsys.readouterr().err


def test_keys_are_shown_with_what_is_allowed(capsys: pytest.CaptureFixture[str]) -> None:
    assert main(["config", "show", "risk_limits", "--json"]) == 0
    keys = {row["key"]: row for row in json.loads(capsys.readouterr().out)}
    assert keys["margin.margin_buffer"]["presence"] == "required"
    assert main(["config", "show", "risk_limits"]) == 0
    assert "margin.margin_buffer" in capsys.readouterr().out


def test_brackets_in_a_meaning_are_shown_and_not_taken_for_markup(capsys: pytest.CaptureFixture[str]) -> None:
    assert main(["config", "show", "service"]) == 0
    assert "a symbol of [[instrument]]" in capsys.readouterr().out


def test_a_wrong_wish_reaches_the_shell_as_status_2() -> None:
    line = [sys.executable, "-c", "import sys; from py_rt.cli.main import main; sys.exit(main(sys.argv[1:]))"]
    done = subprocess.run(
        [*line, "run", "--select", "no_such_asset", "--json"], capture_output=True, text=True, check=False
    )
    assert done.returncode == 2
    assert json.loads(done.stdout.splitlines()[-1])["event"] == "error"

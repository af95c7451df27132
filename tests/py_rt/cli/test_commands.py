"""The command line: help with an example, versions, refusals, statuses."""

from __future__ import annotations

import json
import os
import re
import subprocess
import sys
from typing import TYPE_CHECKING

import pytest

import py_rt
from py_rt.cli.main import main

if TYPE_CHECKING:
    from pathlib import Path


def test_version(capsys: pytest.CaptureFixture[str]) -> None:
    assert main(["--version"]) == 0
    assert capsys.readouterr().out == f"py_rt {py_rt.__version__}\n"


SHELL = (sys.executable, "-c", "import sys; from py_rt.cli.main import main; sys.exit(main(sys.argv[1:]))")
"""The command in a process of its own."""

COMMANDS = [
    *(["run"], ["ui"], ["config", "check"], ["config", "show"], ["parity"], ["replay"], ["trace"]),
    *(["bundle", "build"], ["bundle", "verify"], ["bundle", "approve"], ["bundle", "list"]),
    *(["keys", "create"], ["keys", "list"], ["feed", "check"], ["doctor", "lake"], ["data", "clean"]),
    *(["data", "add"], ["data", "list"], ["data", "fetch"]),
    *(["features", name] for name in ("list", "functions", "explain", "compute", "check")),
]


@pytest.mark.parametrize("command", COMMANDS, ids=" ".join)
def test_every_command_explains_itself_with_an_example(command: list[str], capsys: pytest.CaptureFixture[str]) -> None:
    assert main([*command, "--help"]) == 0
    assert f"Example: py_rt {' '.join(command)}" in capsys.readouterr().out


@pytest.mark.parametrize("group", ["bundle", "config", "doctor", "keys", "order"])
def test_every_group_shows_a_command_of_its_own(group: str, capsys: pytest.CaptureFixture[str]) -> None:
    assert main([group, "--help"]) == 0
    assert f"Example: py_rt {group} " in capsys.readouterr().out


def test_the_example_of_run_works_in_an_empty_home(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    assert main(["run", "--help"]) == 0
    example = re.search(r"Example: py_rt (run .+)", capsys.readouterr().out)
    assert example
    done = subprocess.run(
        [*SHELL, *example[1].split()],
        capture_output=True,
        text=True,
        check=False,
        env={**os.environ, "PY_RT_HOME": str(tmp_path)},
    )
    assert done.returncode == 0, done.stdout + done.stderr


@pytest.mark.parametrize(
    "command",
    [
        ["bundle", "verify", "3f9ac1", "--stage"],
        ["bundle", "approve", "3f9ac1", "--stage"],
        ["keys", "create", "--role", "builder", "--highest-stage"],
    ],
    ids=" ".join,
)
def test_an_unknown_stage_names_the_stages_and_the_nearest(
    command: list[str], tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.setenv("PY_RT_HOME", str(tmp_path))
    assert main([*command, "live10"]) == 2
    said = " ".join(capsys.readouterr().err.split())
    assert (
        "no stage is called 'live10'; there are paper, live_10, live_25, live_50, live_100; did you mean live_10?"
        in said
    )
    assert not list(tmp_path.iterdir())


WRONG = [["nonsense"], ["config", "show"], ["ui", "--port", "0"], ["run", "--no-such"], ["feed", "check"]]


@pytest.mark.parametrize("wrong", WRONG)
def test_a_wrong_command_line_is_status_2(wrong: list[str], capsys: pytest.CaptureFixture[str]) -> None:
    assert main(wrong) == 2
    assert capsys.readouterr().err


def test_an_unknown_kind_names_the_known_ones(capsys: pytest.CaptureFixture[str]) -> None:
    assert main(["config", "show", "limits"]) == 2
    assert "risk_limits, strategy, features, service" in capsys.readouterr().err


def test_a_json_file_is_no_configuration_file(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    file = tmp_path / "strategy.json"
    file.write_text("{}", encoding="utf-8")
    assert main(["config", "check", str(file), "--kind", "strategy"]) == 2
    said = capsys.readouterr().err
    assert said.startswith(f"{file}: a JSON file, and configuration files are TOML")
    assert "`py_rt config show strategy`" in said


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
    done = subprocess.run(
        [*SHELL, "run", "--select", "no_such_asset", "--json"], capture_output=True, text=True, check=False
    )
    assert done.returncode == 2
    assert json.loads(done.stdout.splitlines()[-1])["event"] == "error"

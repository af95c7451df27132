"""What is offered to be typed can be typed."""

from __future__ import annotations

import shlex
import sys
from pathlib import Path
from typing import TYPE_CHECKING

from py_rt.demo.next_steps import command_name, next_steps
from py_rt.demo.place import Place

if TYPE_CHECKING:
    import pytest

BESIDE = Path(sys.executable).parent


def test_by_its_name_where_the_shell_finds_it() -> None:
    assert command_name({"PATH": f"/nowhere:{BESIDE}"}, Path("/")) == "py_rt"


def test_by_its_path_where_the_shell_does_not() -> None:
    assert command_name({"PATH": "/nowhere"}, Path("/nowhere")) == str(BESIDE / "py_rt")
    assert command_name({"PATH": "/nowhere"}, BESIDE.parent.parent) == f"{BESIDE.parent.name}/{BESIDE.name}/py_rt"


def test_by_its_path_where_only_uv_put_it_on_the_path() -> None:
    environ = {"PATH": str(BESIDE), "UV_RUN_RECURSION_DEPTH": "1"}
    assert command_name(environ, Path("/nowhere")) == str(BESIDE / "py_rt")


def test_a_home_that_was_named_is_named_again(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    home = tmp_path / "it's mine"
    place = Place(home, home / "runs" / "demo-1", home / "runs" / "demo-1")
    monkeypatch.setenv("PY_RT_HOME", str(home))
    commands = [step.command for step in next_steps(place, "e1-s1-50", "a" * 64)]
    assert shlex.split(commands[0]) == ["export", f"PY_RT_HOME={home}"]
    assert shlex.split(commands[1])[1:] == ["trace", "e1-s1-50", "--run", "demo-1"]
    monkeypatch.delenv("PY_RT_HOME")
    assert [step.command for step in next_steps(place, "e1-s1-50", "a" * 64)] == commands[1:]

"""Where a run may lie, and what stops it before anything is made."""

from __future__ import annotations

import os
import re
import stat
import subprocess
import sys
import tempfile
from pathlib import Path
from typing import TYPE_CHECKING

import pytest

from py_rt.demo import place
from py_rt.demo.children import DemoError
from py_rt.demo.place import SOCKET_PATH_BYTES_MAX, fits_sockets, place_in

if TYPE_CHECKING:
    from collections.abc import Iterator

HOLD = """
import pathlib, sys, time
from py_rt.demo import place
place.COMMANDS = ()
with place.place_in(pathlib.Path(sys.argv[1])) as held:
    print("held", flush=True)
    time.sleep(1000)
"""


@pytest.fixture(autouse=True)
def nothing_need_be_installed(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(place, "COMMANDS", ())


@pytest.fixture
def home() -> Iterator[Path]:
    """A short one: pytest's own folders take half of what a socket may have."""
    with tempfile.TemporaryDirectory(prefix="p") as folder:
        yield Path(folder)


def deep(home: Path) -> Path:
    return home / ("d" * 60) / ("e" * 60)


def test_a_run_is_private_and_named_by_the_time(home: Path) -> None:
    with place_in(home / "new" / ".py_rt") as made:
        assert re.fullmatch(r"demo-\d{8}-\d{6}", made.run.name)
        assert made.run.parent == home / "new" / ".py_rt" / "runs"
        assert made.work == made.run
        assert stat.S_IMODE(made.run.stat().st_mode) == 0o700
        assert made.log("venue") == made.run / "venue.log"
    assert made.run.is_dir()


def test_runs_of_one_second_have_names_of_their_own(home: Path) -> None:
    runs = set()
    for _ in range(3):
        with place_in(home) as made:
            runs.add(made.run)
    assert len(runs) == 3


def test_one_home_has_one_demo_at_a_time_and_outlives_a_killed_one(home: Path) -> None:
    other = subprocess.Popen([sys.executable, "-c", HOLD, str(home)], stdout=subprocess.PIPE, text=True)
    assert other.stdout is not None
    assert other.stdout.readline() == "held\n"
    with pytest.raises(DemoError, match=f"another py_rt demo runs in {home}: wait for it, or set PY_RT_HOME"):
        place_in(home).__enter__()
    other.kill()
    other.wait(20)
    other.stdout.close()
    with place_in(home) as made:
        assert len(list(made.run.parent.iterdir())) == 2


def test_a_full_disk_is_said_before_anything_is_made(home: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(place, "FREE_BYTES", 1 << 62)
    with pytest.raises(DemoError, match=r"the disk of .* has [\d,]+ MiB free, the demo wants [\d,]+ MiB: make room"):
        place_in(home).__enter__()
    assert not (home / "runs").exists()


def test_a_home_that_cannot_be_written_is_said(home: Path) -> None:
    (home / "file").write_text("", encoding="utf-8")
    with pytest.raises(DemoError, match=r"cannot be written \(Not a directory\): set PY_RT_HOME to a folder that can"):
        place_in(home / "file" / "below").__enter__()


@pytest.mark.skipif(os.geteuid() == 0, reason="root may write everywhere")
def test_a_home_of_somebody_else_is_said(home: Path) -> None:
    home.chmod(0o500)
    with pytest.raises(DemoError, match=r"cannot be written \(Permission denied\)"):
        place_in(home).__enter__()


@pytest.mark.parametrize("name", ["50%20more", "[mine]"])
def test_a_home_that_tables_cannot_lie_in_is_said(home: Path, name: str) -> None:
    with pytest.raises(DemoError, match="tables cannot lie where the path has brackets or reads like %20: set"):
        place_in(home / name).__enter__()
    assert not (home / name).exists()


def test_what_is_not_installed_is_said_first(home: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(place, "COMMANDS", ("py_rt_no_such_command",))
    with pytest.raises(DemoError, match="py_rt_no_such_command is not installed"):
        place_in(home / "new").__enter__()
    assert not (home / "new").exists()


def test_sockets_fit_up_to_the_last_byte_and_bytes_are_counted() -> None:
    longest = SOCKET_PATH_BYTES_MAX - len("/telemetry.sock")
    assert fits_sockets(Path("/" + "x" * (longest - 1)))
    assert not fits_sockets(Path("/" + "x" * longest))
    assert not fits_sockets(Path("/" + "é" * (longest // 2 + 1)))


def test_a_deep_home_trades_in_the_temporary_folder_and_keeps_the_run(home: Path) -> None:
    with place_in(deep(home)) as made:
        assert made.run.parent == deep(home) / "runs"
        assert fits_sockets(made.work)
        assert stat.S_IMODE(made.work.stat().st_mode) == 0o700
        assert made.run.samefile(made.work)
        (made.work / "journal").mkdir()
        made.log("venue").write_text("heard", encoding="utf-8")
        (made.work / "command.sock").touch()
    assert made.run.is_dir()
    assert not made.run.is_symlink()
    assert sorted(path.name for path in made.run.iterdir()) == ["journal", "venue.log"]
    assert not made.work.parent.exists()


def test_the_run_of_a_deep_home_is_kept_when_it_fails(home: Path) -> None:
    def interrupted() -> None:
        with place_in(deep(home)) as made:
            (made.work / "service.log").touch()
            raise KeyboardInterrupt

    with pytest.raises(KeyboardInterrupt):
        interrupted()
    (run,) = (deep(home) / "runs").iterdir()
    assert (run / "service.log").is_file()
    assert not run.is_symlink()


def test_a_deep_home_with_a_deep_temporary_folder_is_said(home: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    deep(home).mkdir(parents=True)
    monkeypatch.setattr(tempfile, "tempdir", str(deep(home)))
    with pytest.raises(DemoError, match="too long for Unix sockets: set PY_RT_HOME to a shorter path"):
        place_in(deep(home)).__enter__()
    assert not list(deep(home).glob("py_rt-*"))

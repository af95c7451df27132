"""Where one run lies, and what must be so before it begins."""

from __future__ import annotations

import fcntl
import os
import shutil
import tempfile
from contextlib import contextmanager
from dataclasses import dataclass
from datetime import UTC, datetime
from itertools import count
from pathlib import Path
from typing import TYPE_CHECKING
from urllib.parse import unquote

from py_rt.defaults import HOME_VARIABLE
from py_rt.demo.children import COMMANDS, DemoError, find_command

if TYPE_CHECKING:
    from collections.abc import Iterator

FREE_BYTES = 256 << 20
"""Free disk that a run asks for; it takes about a quarter of that."""

SOCKET_PATH_BYTES_MAX = 107
"""Longest path of a Unix socket on Linux."""

LONGEST_SOCKET = "telemetry.sock"
FOLDER_MODE = 0o700
LOCK = "demo.lock"
ELSEWHERE = f"set {HOME_VARIABLE} to a folder that can"


@dataclass(frozen=True)
class Place:
    """Where one run lies.

    Attributes:
        home: the folder of everything that is made.
        run: folder of the run.
        work: the same folder by the path that its processes use; a shorter one where `run` is too long for sockets.
    """

    home: Path
    run: Path
    work: Path

    def log(self, name: str) -> Path:
        """The log of one of its processes."""
        return self.run / f"{name}.log"


@contextmanager
def place_in(home: Path) -> Iterator[Place]:
    """A new run, named by the time, in a home that no other demo uses meanwhile.

    Args:
        home: the folder of everything that is made; it is made where it is absent.

    Raises:
        DemoError: a command is not installed, the folder cannot be written, its disk is full, or a demo runs there.
    """
    for command in COMMANDS:
        find_command(command)
    _check_name(home)
    with _held(home):
        _check_space(home)
        with _run_folder(home) as (run, work):
            yield Place(home, run, work)


def _check_name(home: Path) -> None:
    """Refuse what the library of the tables would read as part of a URL."""
    text = str(home)
    if unquote(text) != text or set("[]") & set(text):
        raise DemoError(f"{home}: tables cannot lie where the path has brackets or reads like %20: {ELSEWHERE}")


@contextmanager
def _held(home: Path) -> Iterator[None]:
    """Hold the home; the kernel lets it go when the process ends, however it ends."""
    try:
        home.mkdir(parents=True, exist_ok=True)
        lock = (home / LOCK).open("ab")
    except OSError as error:
        raise DemoError(f"{home} cannot be written ({error.strerror}): {ELSEWHERE}") from error
    with lock:
        try:
            fcntl.flock(lock, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except OSError as error:
            raise DemoError(f"another py_rt demo runs in {home}: wait for it, or set {HOME_VARIABLE}") from error
        yield


def _check_space(home: Path) -> None:
    facts = os.statvfs(home)
    free = facts.f_bavail * facts.f_frsize
    if free < FREE_BYTES:
        has, wants = (f"{size / (1 << 20):,.0f} MiB" for size in (free, FREE_BYTES))
        raise DemoError(f"the disk of {home} has {has} free, the demo wants {wants}: make room, or {ELSEWHERE}")


def fits_sockets(folder: Path) -> bool:
    """Whether the service's sockets may lie there.

    >>> fits_sockets(Path("/tmp/run")), fits_sockets(Path("/" + 93 * "x"))
    (True, False)
    """
    return len(os.fsencode(folder / LONGEST_SOCKET)) <= SOCKET_PATH_BYTES_MAX


@contextmanager
def _run_folder(home: Path) -> Iterator[tuple[Path, Path]]:
    """A new folder below `runs`, and the path by which to use it."""
    runs = home / "runs"
    runs.mkdir(exist_ok=True)
    name = f"demo-{datetime.now(UTC):%Y%m%d-%H%M%S}"
    names = (name if number == 1 else f"{name}-{number}" for number in count(1))
    run = next(runs / free for free in names if not os.path.lexists(runs / free))
    if fits_sockets(run):
        run.mkdir(mode=FOLDER_MODE)
        yield run, run
        return
    with _short(run) as work:
        yield run, work


@contextmanager
def _short(run: Path) -> Iterator[Path]:
    """The folder of a run in the temporary folder, with a link to it, until it is moved to where it belongs."""
    base = Path(tempfile.mkdtemp(prefix="py_rt-"))
    work = base / run.name
    if not fits_sockets(work):
        base.rmdir()
        raise DemoError(f"{run} and {work} are too long for Unix sockets: set {HOME_VARIABLE} to a shorter path")
    work.mkdir(mode=FOLDER_MODE)
    run.symlink_to(work)
    try:
        yield work
    finally:
        for left in work.glob("*.sock"):  # of processes that have ended; a socket cannot be moved between disks
            left.unlink()
        run.unlink()
        shutil.move(work, run)
        base.rmdir()

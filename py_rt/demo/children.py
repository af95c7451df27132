"""Child processes of the demo: Python modules that tell their progress line by line, and the two binaries."""

from __future__ import annotations

import json
import os
import secrets
import select
import shutil
import signal
import subprocess
import sys
import time
from contextlib import suppress
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, Self

from py_rt.defaults import HOME_VARIABLE, installed_command
from py_rt.errors import PyRtError

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator, Mapping, Sequence
    from pathlib import Path
    from types import TracebackType

    from py_rt.demo.place import Place

COMMANDS = ("py_rt", "py_rt_live", "py_rt_venue_server")
"""What must be installed."""

POLL_S = 0.02
"""Pause between two looks at something that is about to be there."""

START_PATIENCE_S = 30.0
STOP_PATIENCE_S = 20.0
"""Longest wait for a process to end in order; the service takes up to 15 s to cancel and to compare."""

SILENCE_PATIENCE_S = 300.0
"""Longest silence of a module that tells its progress; training a model on a busy machine is one line."""

TAIL_CHARS = 2_000
"""Of a log that is shown when its process failed."""

READ_BYTES = 1 << 16


class DemoError(PyRtError):
    """The demo cannot go on; the message says why and what to do."""


def find_command(name: str) -> str:
    """Where an installed command is: beside the interpreter, or on the path.

    Raises:
        DemoError: it is not installed.
    """
    found = installed_command(name)
    if found is None:
        raise DemoError(f"{name} is not installed beside {sys.executable}: install py_rt (`make setup` in a checkout)")
    return found


def environment(place: Place) -> dict[str, str]:
    """Of a child that works in a home and speaks to the service of this run, whatever else runs there."""
    return {**os.environ, HOME_VARIABLE: str(place.home), "PY_RT_RUN_FOLDER": str(place.work)}


class Child:
    """A process that ends with the `with` block, whatever happens, and all that it started with it."""

    def __init__(self, process: subprocess.Popen[bytes], name: str, log: Path) -> None:
        """Watch over it.

        Args:
            process: as started, at the head of a process group of its own.
            name: for messages.
            log: where it writes what it has to say to people.
        """
        self.process = process
        self.name = name
        self.log = log

    def __enter__(self) -> Self:
        """Go on."""
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        """End it when it still runs."""
        try:
            self.end()
        finally:
            if self.process.stdout is not None:
                self.process.stdout.close()

    def end(self) -> None:
        """Ask it to end in order, and make it end when it does not, or when a signal comes meanwhile."""
        if self.process.poll() is not None:
            return
        try:
            self._signal(signal.SIGTERM)
            with suppress(subprocess.TimeoutExpired):
                self.process.wait(STOP_PATIENCE_S)
        finally:
            if self.process.poll() is None:
                self._signal(signal.SIGKILL)
                self.process.wait()

    def stop(self) -> int:
        """Ask it to end in order; its exit status.

        Raises:
            DemoError: it does not end.
        """
        if self.process.poll() is None:
            self._signal(signal.SIGTERM)
        return self.wait(STOP_PATIENCE_S)

    def wait(self, patience_s: float) -> int:
        """Wait for its end; its exit status.

        Raises:
            DemoError: it does not end.
        """
        try:
            return self.process.wait(patience_s)
        except subprocess.TimeoutExpired as error:
            raise self.failure(f"did not end in {patience_s:g} s") from error

    def _signal(self, number: signal.Signals) -> None:
        with suppress(ProcessLookupError):  # it has just ended
            os.killpg(self.process.pid, number)

    def failure(self, what: str) -> DemoError:
        """An error that says what it did, with the end of its log and where the whole lies.

        Args:
            what: follows its name.
        """
        return DemoError("\n".join(part for part in (f"{self.name} {what}", self.tail(), f"log: {self.log}") if part))

    def tail(self) -> str:
        """The end of its log."""
        return self.log.read_text(encoding="utf-8", errors="replace")[-TAIL_CHARS:].strip() if self.log.exists() else ""

    def wait_for(self, condition: Callable[[], bool], what: str, *, patience_s: float = START_PATIENCE_S) -> None:
        """Ask again until it is so.

        Raises:
            DemoError: the process ended, or it took too long.
        """
        ends = time.monotonic() + patience_s
        while not condition():
            if self.process.poll() is not None:
                raise self.failure(f"ended with {self.process.returncode} before {what}")
            if time.monotonic() > ends:
                raise self.failure(f"runs, but {what} did not come in {patience_s:g} s")
            time.sleep(POLL_S)

    def lines(self, patience_s: float) -> Iterator[str]:
        """What it writes to standard output, until it ends.

        Args:
            patience_s: longest silence, s.

        Raises:
            DemoError: it says nothing for longer.
        """
        assert self.process.stdout is not None
        source, rest = self.process.stdout.fileno(), b""
        while True:
            if not select.select([source], [], [], patience_s)[0]:
                raise self.failure(f"has said nothing for {patience_s:g} s")
            read = os.read(source, READ_BYTES)
            if not read:
                break
            *whole, rest = (rest + read).split(b"\n")
            yield from (line.decode(errors="replace") for line in whole)
        if rest:
            yield rest.decode(errors="replace")


def start(command: Sequence[str], name: str, log: Path, environ: Mapping[str, str], *, is_read: bool = False) -> Child:
    """Start a process at the head of a group of its own: Ctrl-C in a terminal reaches the demo, which ends the others.

    Where `setpriv` is at hand, the process is also told to end when the demo is killed and can end nothing any more.

    Args:
        command: what to run.
        name: for messages.
        log: what it writes is added there.
        environ: its whole environment.
        is_read: its standard output is read by us instead.
    """
    guard = [setpriv, "--pdeathsig", "TERM", "--"] if (setpriv := shutil.which("setpriv")) else []
    with log.open("ab") as sink:
        process = subprocess.Popen(
            [*guard, *command],
            stdin=subprocess.DEVNULL,
            stdout=subprocess.PIPE if is_read else sink,
            stderr=sink,
            env=environ,
            process_group=0,
        )
    return Child(process, name, log)


def start_module(module: str, arguments: Sequence[str], place: Place, log: Path, *, is_read: bool = False) -> Child:
    """Start a Python module.

    Args:
        module: such as `pipelines.run`.
        arguments: its own.
        place: where it works.
        log: as for :func:`start`.
        is_read: as for :func:`start`.
    """
    command = [sys.executable, "-m", module, *arguments]
    return start(command, f"python -m {module}", log, environment(place), is_read=is_read)


def hear_module(
    module: str, arguments: Sequence[str], place: Place, log: Path, on_line: Callable[[dict[str, Any]], None]
) -> int:
    """Run a Python module that prints one JSON object per line; what else it says goes to its log.

    Args:
        module: such as `pipelines.run`.
        arguments: its own.
        place: where it works.
        log: what it says to people is added there.
        on_line: called with every object.

    Returns:
        Its exit status.

    Raises:
        DemoError: it said nothing for too long.
    """
    with start_module(module, arguments, place, log, is_read=True) as child:
        return hear(child, on_line)


def hear(child: Child, on_line: Callable[[dict[str, Any]], None]) -> int:
    """Call with every JSON object that a child prints on a line, until it ends; its exit status."""
    for text in child.lines(SILENCE_PATIENCE_S):
        if text.startswith("{"):
            on_line(json.loads(text))
    return child.wait(STOP_PATIENCE_S)


@dataclass(frozen=True)
class VenueOptions:
    """How the simulated venue plays the bars.

    Attributes:
        bars: CSV of :mod:`py_rt.demo.market`.
        first_ns: opening time of the first bar that is played, ns UTC.
        history: bars before it that the venue can be asked for.
        bar_ms: wall milliseconds of one bar.
        seed: of the order flow.
        balance: opening balance in the quote currency.
        level_sizes: smallest and largest of a price level, in the base asset.
    """

    bars: Path
    first_ns: int
    history: int
    bar_ms: int
    seed: int
    balance: int
    level_sizes: tuple[str, str]


@dataclass(frozen=True)
class ApiKey:
    """A key of the venue's, made for one run."""

    key: str
    secret: str

    def __repr__(self) -> str:
        """Without the secret."""
        return f"ApiKey({self.key!r})"

    @classmethod
    def fresh(cls) -> Self:
        """A new one."""
        return cls(secrets.token_hex(16), secrets.token_hex(32))

    def for_venue(self) -> Mapping[str, str]:
        """The environment by which the venue server learns it."""
        return {"PY_RT_VENUE_KEYS": f"{self.key}:{self.secret}"}

    def for_service(self) -> Mapping[str, str]:
        """The environment by which the service learns it."""
        return {"PY_RT_BINANCE_API_KEY": self.key, "PY_RT_BINANCE_API_SECRET": self.secret}


def start_venue(options: VenueOptions, key: ApiKey, log: Path) -> tuple[Child, dict[str, str]]:
    """Start the venue server.

    Returns:
        The process, and the addresses that it printed.

    Raises:
        DemoError: it did not start.
    """
    command = [find_command("py_rt_venue_server"), "--bars", str(options.bars), "--seed", str(options.seed)]
    command += ["--bar-ms", str(options.bar_ms), "--from", str(options.first_ns)]
    command += ["--warmup-bars", str(options.history), "--balance", f"USDT={options.balance}", "--balance", "BTC=0"]
    command += ["--level-min", options.level_sizes[0], "--level-max", options.level_sizes[1]]
    venue = start(command, "the venue server", log, {**os.environ, **key.for_venue()}, is_read=True)
    try:
        return venue, _addresses(venue)
    except BaseException:
        venue.__exit__(None, None, None)
        raise


def _addresses(venue: Child) -> dict[str, str]:
    ready = next(venue.lines(START_PATIENCE_S), None)
    if ready is None:
        raise venue.failure(f"ended with {venue.wait(STOP_PATIENCE_S)} before it was ready")
    try:
        found: dict[str, str] = json.loads(ready)
    except ValueError as error:
        raise venue.failure(f"said {ready!r} where its addresses were expected") from error
    return found


def start_service(config: Path, work: Path, key: ApiKey, log: Path) -> tuple[Child, dict[str, Any]]:
    """Start the service and wait until its doors are open.

    Args:
        config: its file.
        work: the run folder that the file names.
        key: of the venue.
        log: where it writes.

    Returns:
        The process, and what `live.json` in its folder says.

    Raises:
        DemoError: it did not start.
    """
    command = [find_command("py_rt_live"), "--config", str(config)]
    service = start(command, "the service", log, {**os.environ, **key.for_service()})
    file = work / "live.json"
    try:
        service.wait_for(file.exists, "its doors were open (live.json)")
    except BaseException:
        service.end()
        raise
    live: dict[str, Any] = json.loads(file.read_text(encoding="utf-8"))
    return service, live

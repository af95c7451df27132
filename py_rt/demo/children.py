"""Child processes of the demo: Python modules that tell their progress line by line, and the two binaries."""

from __future__ import annotations

import json
import os
import secrets
import shutil
import signal
import subprocess
import sys
import tempfile
import time
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any, Self

from py_rt.defaults import HOME_VARIABLE
from py_rt.errors import PyRtError

if TYPE_CHECKING:
    from collections.abc import Callable, Mapping, Sequence
    from types import TracebackType

POLL_S = 0.02
"""Pause between two looks at something that is about to be there."""

START_PATIENCE_S = 30.0
STOP_PATIENCE_S = 30.0
TAIL_CHARS = 2_000
"""Of a log that is shown when its process failed."""


class DemoError(PyRtError):
    """The demo cannot go on; the message says why and what to do."""


def find_command(name: str) -> str:
    """Where an installed command is: beside the interpreter, or on the path.

    Raises:
        DemoError: it is not installed.
    """
    beside = Path(sys.executable).parent
    found = shutil.which(name, path=str(beside)) or shutil.which(name)
    if found is None:
        raise DemoError(f"{name} is not installed beside {sys.executable}: install py_rt (`make setup` in a checkout)")
    return found


def environment(home: Path) -> dict[str, str]:
    """Of a child that works in a home."""
    return {**os.environ, HOME_VARIABLE: str(home)}


def run_module(
    module: str,
    arguments: Sequence[str],
    *,
    home: Path,
    on_line: Callable[[dict[str, Any]], None],
) -> int:
    """Run a Python module as a child that prints one JSON object per line; what else it says goes to a log.

    Args:
        module: such as `pipelines.run`.
        arguments: its own.
        home: the folder of everything that is made.
        on_line: called with every object.

    Returns:
        Its exit status.

    Raises:
        DemoError: the child ended by a signal, or said nothing that can be read.
    """
    line = [sys.executable, "-m", module, *arguments]
    with tempfile.TemporaryFile("w+", encoding="utf-8") as errors:
        with subprocess.Popen(line, stdout=subprocess.PIPE, stderr=errors, text=True, env=environment(home)) as child:
            assert child.stdout is not None
            for text in child.stdout:
                if text.startswith("{"):
                    on_line(json.loads(text))
        errors.seek(0)
        said = errors.read()[-TAIL_CHARS:]
    if child.returncode != 0 and said.strip():
        on_line({"event": "stderr", "text": said})
    return child.returncode


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


class Child:
    """A process that ends with the `with` block, whatever happens."""

    def __init__(self, process: subprocess.Popen[str], log: Path) -> None:
        """Watch over it.

        Args:
            process: as started.
            log: where it writes.
        """
        self.process = process
        self.log = log

    def __enter__(self) -> Self:
        """Go on."""
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        """End it at once when it still runs."""
        if self.process.poll() is None:
            self.process.kill()
            self.process.wait(STOP_PATIENCE_S)
        if self.process.stdout is not None:
            self.process.stdout.close()

    def tail(self) -> str:
        """The end of its log."""
        return self.log.read_text(encoding="utf-8", errors="replace")[-TAIL_CHARS:] if self.log.exists() else ""

    def wait_for(self, condition: Callable[[], bool], what: str, *, patience_s: float = START_PATIENCE_S) -> None:
        """Ask again until it is so.

        Raises:
            DemoError: the process ended, or it took too long.
        """
        ends = time.monotonic() + patience_s
        while not condition():
            if self.process.poll() is not None:
                raise DemoError(f"{what} did not come: the process ended with {self.process.returncode}\n{self.tail()}")
            if time.monotonic() > ends:
                raise DemoError(f"{what} did not come in {patience_s:g} s\n{self.tail()}")
            time.sleep(POLL_S)

    def stop(self) -> int:
        """Ask it to end in order; its exit status.

        Raises:
            DemoError: it does not end.
        """
        self.process.send_signal(signal.SIGTERM)
        try:
            return self.process.wait(STOP_PATIENCE_S)
        except subprocess.TimeoutExpired as error:
            raise DemoError(f"it did not end in {STOP_PATIENCE_S:g} s after SIGTERM\n{self.tail()}") from error


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


def _start(command: Sequence[str], extra: Mapping[str, str], log: Path, *, reads: bool) -> Child:
    with log.open("wb") as sink:
        process = subprocess.Popen(
            command,
            stdout=subprocess.PIPE if reads else sink,
            stderr=sink,
            text=True,
            env={**os.environ, **extra},
        )
    return Child(process, log)


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
    venue = _start(command, key.for_venue(), log, reads=True)
    assert venue.process.stdout is not None
    ready = venue.process.stdout.readline()
    if not ready:
        venue.process.wait(STOP_PATIENCE_S)
        raise DemoError(f"the venue server did not start\n{venue.tail()}")
    addresses: dict[str, str] = json.loads(ready)
    return venue, addresses


def start_service(config: Path, run: Path, key: ApiKey, log: Path) -> tuple[Child, dict[str, Any]]:
    """Start the service and wait until its doors are open.

    Returns:
        The process, and what `live.json` in its folder says.

    Raises:
        DemoError: it did not start.
    """
    service = _start([find_command("py_rt_live"), "--config", str(config)], key.for_service(), log, reads=False)
    file = run / "live.json"
    service.wait_for(file.exists, "the service's live.json")
    live: dict[str, Any] = json.loads(file.read_text(encoding="utf-8"))
    return service, live

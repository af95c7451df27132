"""The bench programs: which there are, how they are built once, how one is run for one round."""

from __future__ import annotations

import json
import os
import subprocess
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING

from benches.figures import Line, LineError, read_line

if TYPE_CHECKING:
    from collections.abc import Iterable, Mapping, Sequence

ROOT = Path(__file__).resolve().parent.parent
ROUNDS_VARIABLE = "PY_RT_BENCH_ROUNDS"

# A program that takes longer hangs.
LONGEST_SECONDS = 600


class BenchError(Exception):
    """A program that was not built, or that did not end as it should."""


@dataclass(frozen=True)
class Program:
    """One bench target of one crate.

    `samples` is how often it measures within one round; `counted` names its functions of which callgrind may count the
    instructions; `rounds` bounds the rounds of one that is long. What is no bench target
    (`is_bench`) is measured by a script of its name, on the built commands.
    """

    crate: str
    name: str
    samples: int
    rows: tuple[str, ...]
    counted: tuple[str, ...] = ()
    rounds: int | None = None
    is_bench: bool = True

    def wanted(self, words: Sequence[str]) -> bool:
        """Whether a word is in the program's name or in one of its rows; without words, always.

        >>> Program("engine", "book", 1, ("book_update",)).wanted(["book"])
        True
        """
        return not words or any(word in name for word in words for name in (self.name, *self.rows))


STAGES = ("parse", "record", "features", "model", "strategy", "risk", "rest", "encode")

PROGRAMS = (
    Program(
        "live",
        "decision",
        11,
        (
            "decision",
            "frame",
            "decision_without_journal",
            "frame_without_journal",
            *(f"stage_{stage}" for stage in STAGES),
        ),
        ("ordering_frame", "other_frame"),
    ),
    Program("live", "handover", 5, ("handover",)),
    Program(
        "live",
        "markets",
        3,
        ("message_to_book_binance", "message_to_book_coinbase", "message_to_book_kraken", "three_venues"),
    ),
    # Its samples are seconds, and one run of all of them is asked for.
    Program("live", "sockets", 60, ("sockets",), rounds=1),
    Program("engine", "book", 31, ("book_update", "best_price"), ("apply_counted",)),
    Program("engine", "consolidated", 31, ("consolidated_update",)),
    Program("engine", "features", 31, ("features_per_bar",), ("bar_counted",)),
    Program("inference", "rotating", 31, ("inference",), ("score_counted",)),
    Program("backtest", "sma_cross", 5, ("backtest",), ("whole_counted",)),
    Program(
        "venues",
        "hot_path",
        51,
        ("parse_depth", "parse_coinbase", "parse_kraken", "parse_and_sequence", "encode_and_sign"),
        ("binance_counted", "coinbase_counted", "kraken_counted"),
    ),
    Program(
        "venues",
        "round_trip",
        3,
        (*(f"round_trip_{way}" for way in ("blocking", "spinning", "tls_blocking", "tls_spinning")), "gateway_orders"),
    ),
    Program("venues", "orders", 31, ("orders_add_cancel",)),
    Program("live", "fill_to_python", 50, ("fill_to_python",), is_bench=False),
    # What researchers run, through PyO3; whole sets and a market's day take seconds, and are measured once a round.
    Program(
        "py_rt_core",
        "feature_columns",
        7,
        (
            *(f"columns_{name}" for name in ("sma", "ema", "rsi", "macd", "atr", "bbands", "adx", "five")),
            "columns_shared_set",
            "columns_all",
            "expressions_per_bar",
            "expressions_per_bar_all",
            "market_day",
        ),
        rounds=3,
        is_bench=False,
    ),
    # A run of the pipeline's own, in Python: nothing is built for it.
    Program("live", "backfill", 1, ("backfill",), rounds=1, is_bench=False),
    Program("ipc", "one_way", 51, ("ring_publish", "ring_one_way")),
    Program("ipc", "market_cache", 51, ("cache_write", "cache_read")),
)


def target_folder() -> Path:
    """Where cargo builds."""
    given = os.environ.get("CARGO_TARGET_DIR")
    return Path(given).resolve() if given else ROOT / "target"


def build_command(programs: Iterable[Program]) -> list[str]:
    """What builds them, and goes on after one that fails.

    Every crate is named, whatever is chosen: another choice of crates is another set of features, and cargo would build
    everything again.

    >>> " ".join(build_command(PROGRAMS[:1]))
    'cargo bench --no-run --locked --no-fail-fast --message-format=json-render-diagnostics -p live ... --bench decision'
    """
    command = ["cargo", "bench", "--no-run", "--locked", "--no-fail-fast", "--message-format=json-render-diagnostics"]
    for crate in dict.fromkeys(program.crate for program in PROGRAMS):
        command += ["-p", crate]
    for program in programs:
        if program.is_bench:
            command += ["--bench", program.name]
    return command


def build_services() -> dict[str, Path]:
    """Builds what a script measures, commands and the module for Python, with the profile of the benches."""
    command = ["cargo", "build", "--profile", "bench", "--locked", "--bins", "--lib"]
    for crate in ("venue_server", *dict.fromkeys(program.crate for program in PROGRAMS)):
        command += ["-p", crate]
    done = subprocess.run(command, cwd=ROOT, check=False, env={**os.environ, "PYO3_NO_PYTHON": "1"})
    return scripts() if done.returncode == 0 else {}


def scripts() -> dict[str, Path]:
    """What the scripts measure: the service, or the module for Python."""
    folder = target_folder() / "release"
    measured = {"py_rt_core": folder / "libpy_rt_core.so"}
    found = {each.name: measured.get(each.crate, folder / "py_rt_live") for each in PROGRAMS if not each.is_bench}
    return {name: path for name, path in found.items() if path.is_file()}


def executables(messages: str) -> dict[str, Path]:
    """The bench executables that cargo's messages name, by target.

    >>> executables('{"reason":"compiler-artifact","target":{"kind":["bench"],"name":"a"},"executable":"/t/a-1"}')
    {'a': PosixPath('/t/a-1')}
    """
    found: dict[str, Path] = {}
    for text in messages.splitlines():
        message = json.loads(text) if text.startswith("{") else {}
        if message.get("reason") == "compiler-artifact" and message.get("executable"):
            target = message["target"]
            if "bench" in target["kind"]:
                found[target["name"]] = Path(message["executable"])
    return found


def build(programs: Sequence[Program]) -> dict[str, Path]:
    """Builds all of them; those that fail are missing from the answer. Cargo's progress goes to standard error."""
    environment = {**os.environ, "PYO3_NO_PYTHON": "1"}
    found: dict[str, Path] = {}
    if any(program.is_bench for program in programs):
        command = build_command(programs)
        done = subprocess.run(command, cwd=ROOT, stdout=subprocess.PIPE, text=True, check=False, env=environment)
        found |= executables(done.stdout)
    if not all(program.is_bench for program in programs):
        found |= build_services()
    return found


def built(programs: Sequence[Program]) -> dict[str, Path]:
    """The newest executables that were built before."""
    folder = target_folder() / "release" / "deps"
    found: dict[str, Path] = {}
    for program in programs:
        if not program.is_bench:
            found |= {name: path for name, path in scripts().items() if name == program.name}
            continue
        files = [path for path in folder.glob(f"{program.name}-*") if path.suffix == "" and os.access(path, os.X_OK)]
        if files:
            found[program.name] = max(files, key=lambda path: path.stat().st_mtime)
    return found


def run(program: Program, executable: Path, samples: int) -> list[Line]:
    """One round: the rows that the program prints.

    Raises:
        BenchError: it did not end well, or printed something else.
    """
    text = output([str(executable), "--bench"], {ROUNDS_VARIABLE: str(samples)})
    try:
        lines = [read_line(line) for line in text.splitlines() if line.strip()]
    except LineError as error:
        raise BenchError(str(error)) from error
    missing = [row for row in program.rows if row not in {line.row for line in lines}]
    if missing:
        raise BenchError(f"printed no row {', '.join(missing)}")
    return lines


def output(command: Sequence[str], environment: Mapping[str, str]) -> str:
    """What a command prints.

    Raises:
        BenchError: it failed or hung.
    """
    try:
        done = subprocess.run(
            command,
            cwd=ROOT,
            capture_output=True,
            text=True,
            check=False,
            env={**os.environ, **environment},
            timeout=LONGEST_SECONDS,
        )
    except (subprocess.TimeoutExpired, OSError) as error:
        raise BenchError(str(error)) from error
    if done.returncode != 0:
        last = done.stderr.strip().splitlines()[-1:] or ["nothing on standard error"]
        raise BenchError(f"ended with {done.returncode}: {last[0]}")
    return done.stdout

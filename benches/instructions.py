"""Instructions of the hot functions, counted by callgrind: the one figure that a busy machine does not change.

A count is held against the committed one (`instructions.json`) when compiler, C library, valgrind and stream are the
same; otherwise it is only told. Callgrind hides the processor's SHA instructions, so that signing an order takes many
more instructions here than it takes when it is timed.
"""

from __future__ import annotations

import json
import platform
import re
import shutil
import tempfile
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any

from benches.machine import version_of
from benches.programs import ROOT, BenchError, output

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence

    from benches.programs import Program

BASELINE = ROOT / "benches" / "instructions.json"
COUNT_VARIABLE = "PY_RT_BENCH_COUNT"

# More than this share above the committed count fails.
TOLERANCE = 0.005

_SUMMARY = re.compile(r"^(?:summary|totals): (\d+)", re.MULTILINE)


@dataclass(frozen=True)
class Count:
    """Instructions for one thing that a function does; `committed` is `None` where nothing comparable is."""

    program: str
    function: str
    things: int
    stream: str
    instructions: int
    committed: float | None

    @property
    def each(self) -> float:
        """Instructions for one thing."""
        return self.instructions / self.things

    @property
    def grew(self) -> bool:
        """Whether it is above the committed count by more than is allowed."""
        return self.committed is not None and self.each > self.committed * (1 + TOLERANCE)

    def sentence(self) -> str:
        """In one line.

        >>> Count("book", "apply_counted", 10, "made", 1_000, 100.0).sentence()
        'book::apply_counted: 100 for each of 10 (made); committed 100, +0.00 %'
        """
        text = f"{self.program}::{self.function}: {self.each:,.0f} for each of {self.things:,} ({self.stream})"
        if self.committed is None:
            return f"{text}; nothing comparable is committed"
        change = self.each / self.committed - 1
        return f"{text}; committed {self.committed:,.0f}, {change:+.2%}".replace("%", " %") + (
            f": more than {TOLERANCE:.1%} above" if self.grew else ""
        )

    def to_dict(self) -> dict[str, Any]:
        """For JSON."""
        return {
            "function": f"{self.program}::{self.function}",
            "things": self.things,
            "stream": self.stream,
            "instructions_each": round(self.each, 2),
            "committed_each": self.committed,
            "grew": self.grew,
        }


def absent() -> str | None:
    """Why nothing can be counted here."""
    if shutil.which("valgrind") is None:
        return "instructions are not counted: there is no valgrind on this machine"
    return None


def tools() -> str:
    """What a count depends on beside the code."""
    c_library = " ".join(platform.libc_ver())
    return f"{version_of('rustc')}, {version_of('valgrind')}, {c_library}, {platform.machine()}"


def committed(path: Path = BASELINE) -> Mapping[str, float]:
    """The committed counts that were made with the same tools, by :func:`key`."""
    if not path.is_file():
        return {}
    data = json.loads(path.read_text(encoding="utf-8"))
    counts: dict[str, float] = data["counts"] if data["tools"] == tools() else {}
    return counts


def key(program: str, function: str, stream: str) -> str:
    """Under which a count is committed."""
    return f"{program}::{function} ({stream})"


def count(program: Program, executable: Path, known: Mapping[str, float]) -> list[Count]:
    """One count for each of the program's functions.

    Raises:
        BenchError: callgrind or the program failed.
    """
    return [_count(program, function, executable, known) for function in program.counted]


def _count(program: Program, function: str, executable: Path, known: Mapping[str, float]) -> Count:
    with tempfile.TemporaryDirectory() as folder:
        out = Path(folder) / "callgrind.out"
        command = ["valgrind", "--tool=callgrind", f"--callgrind-out-file={out}", f"--toggle-collect=*::{function}"]
        printed = output([*command, str(executable), "--bench"], {COUNT_VARIABLE: "1"})
        summary = _SUMMARY.search(out.read_text(encoding="utf-8")) if out.is_file() else None
    about = _about(printed, function)
    if about is None or summary is None or int(summary[1]) == 0:
        raise BenchError(f"callgrind counted nothing in {function}")
    stream = str(about["stream"])
    name = key(program.name, function, stream)
    return Count(program.name, function, int(about["things"]), stream, int(summary[1]), known.get(name))


def _about(printed: str, function: str) -> Mapping[str, Any] | None:
    for line in printed.splitlines():
        data: dict[str, Any] = json.loads(line)
        if data.get("counted") == function:
            return data
    return None


def write(counts: Sequence[Count], path: Path = BASELINE) -> None:
    """Makes these the committed counts; those of other functions made with the same tools stay."""
    kept = dict(committed(path))
    kept.update({key(each.program, each.function, each.stream): round(each.each, 2) for each in counts})
    data = {"tools": tools(), "counts": dict(sorted(kept.items()))}
    unfinished = path.with_suffix(".new")
    unfinished.write_text(json.dumps(data, indent=2) + "\n", encoding="utf-8")
    unfinished.replace(path)

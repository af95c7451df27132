"""Measures, and prints one table: each row beside its anchor where it has one.

    python benches/run.py                                  everything, five rounds
    python benches/run.py --only decision --rounds 9       one program, more rounds
    python benches/run.py --only book --json               for a program to read
    python benches/run.py --write docs/reference/benchmarks.md

The programs are built once with cargo's profile `bench`. In every round each of them runs once, in an order that turns
around from round to round; within, subject and anchor take turns. A ratio is the median over the rounds of the medians
of what was measured side by side, and stands beside its least and most; so does a figure without an anchor. A missed
mark is printed and fails nothing. The exit status is 1 when a program cannot be built or does not end well, or when a
hot function takes more instructions than the committed count allows.
"""

from __future__ import annotations

import argparse
import json
import os
import sys
from dataclasses import dataclass, field
from pathlib import Path
from typing import TYPE_CHECKING

from benches import backfill, feature_columns, fill_to_python, instructions, onnx_rotating, table
from benches.figures import Line, rows_of
from benches.machine import load, read_machine
from benches.programs import PROGRAMS, BenchError, Program, build, built, run

if TYPE_CHECKING:
    from collections.abc import Sequence

    from benches.instructions import Count

ROUNDS = 5


@dataclass
class Measured:
    """What came of a run."""

    lines: list[Line] = field(default_factory=list)
    counts: list[Count] = field(default_factory=list)
    # By program: why it has no figures, or not all of them.
    failed: dict[str, str] = field(default_factory=dict)


def tell(text: str) -> None:
    """Progress; the table alone goes to standard output."""
    sys.stderr.write(f"bench: {text}\n")
    sys.stderr.flush()


def arguments(given: Sequence[str]) -> argparse.Namespace:
    """What is asked for."""
    parser = argparse.ArgumentParser(
        prog="benches/run.py", description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("--only", metavar="NAME", action="append", default=[], help="programs or rows with NAME in it")
    parser.add_argument(
        "--rounds", metavar="N", type=int, default=ROUNDS, help=f"runs of each program (default {ROUNDS})"
    )
    parser.add_argument("--samples", metavar="N", type=int, help="measurements within a run (default: each its own)")
    parser.add_argument("--json", action="store_true", help="print JSON instead of a table")
    parser.add_argument("--built", action="store_true", help="build nothing: take what was built last")
    parser.add_argument("--no-instructions", action="store_true", help="do not count instructions with callgrind")
    parser.add_argument("--accept-instructions", action="store_true", help="write instructions.json from this run")
    parser.add_argument("--write", metavar="PAGE", type=Path, help="put the table between the marks of this page")
    found = parser.parse_args(given)
    if found.rounds < 1 or (found.samples is not None and found.samples < 1):
        parser.error("a number of rounds or samples is 1 or more")
    if found.write is not None and not found.write.is_file():
        parser.error(f"--write {found.write}: there is no such page")
    if found.write is not None and found.only:
        parser.error("--write takes the whole table: leave --only out")
    return found


def chosen(words: Sequence[str]) -> list[Program]:
    """The programs that the words name; all of them without words."""
    return [program for program in PROGRAMS if program.wanted(words)]


def one_round(program: Program, executable: Path, samples: int) -> list[Line]:
    """One run of one program."""
    if program.name == "rotating":
        return [onnx_rotating.run(executable, samples)]
    if program.name == "fill_to_python":
        return [fill_to_python.run(samples)]
    if program.name == "backfill":
        return [backfill.run()]
    if program.name == "feature_columns":
        return feature_columns.measured(executable, samples)
    return run(program, executable, samples)


def measure(executables: dict[str, Path], programs: Sequence[Program], asked: argparse.Namespace) -> Measured:
    """All rounds."""
    measured = Measured()
    for number in range(asked.rounds):
        for program in programs if number % 2 == 0 else reversed(programs):
            if program.name not in executables or program.name in measured.failed:
                continue
            if program.rounds is not None and number >= program.rounds:
                continue
            tell(f"round {number + 1} of {asked.rounds}: {program.name} (load {load():.1f})")
            try:
                samples = asked.samples or program.samples
                measured.lines += one_round(program, executables[program.name], samples)
            except BenchError as error:
                measured.failed[program.name] = str(error)
    return measured


def count(executables: dict[str, Path], programs: Sequence[Program], measured: Measured) -> None:
    """The instructions, where callgrind is."""
    if reason := instructions.absent():
        tell(reason)
        return
    known = instructions.committed()
    for program in programs:
        if program.name in executables and program.counted:
            tell(f"callgrind: {program.name}")
            try:
                measured.counts += instructions.count(program, executables[program.name], known)
            except BenchError as error:
                measured.failed[program.name] = str(error)


def in_order(lines: Sequence[Line]) -> list[Line]:
    """Rows stand in the order of the list of programs, whatever the order of the rounds."""
    order = [row for program in PROGRAMS for row in program.rows]
    return sorted(lines, key=lambda line: order.index(line.row))


def main(given: Sequence[str] | None = None) -> int:
    """Build, measure, print; the exit status."""
    asked = arguments(sys.argv[1:] if given is None else given)
    programs = chosen(asked.only)
    if not programs:
        tell(f"nothing is called {' or '.join(asked.only)}: {', '.join(row for each in PROGRAMS for row in each.rows)}")
        return 1
    tell(f"{'taking' if asked.built else 'building'} {', '.join(program.name for program in programs)}")
    executables = built(programs) if asked.built else build(programs)
    before = load()
    measured = measure(executables, programs, asked)
    for program in programs:
        if program.name not in executables:
            measured.failed[program.name] = "was not built"
    if not asked.no_instructions:
        count(executables, programs, measured)
    report(asked, programs, measured, f"Load before and after: {before:.1f}, {load():.1f} ({os.cpu_count()} cores).")
    for name, reason in measured.failed.items():
        tell(f"FAILED {name}: {reason}")
    grown = [each for each in measured.counts if each.grew and not asked.accept_instructions]
    for each in grown:
        tell(f"GREW {each.sentence()}")
    return 1 if measured.failed or grown else 0


def report(asked: argparse.Namespace, programs: Sequence[Program], measured: Measured, loads: str) -> None:
    """Print, and write what was asked to be written."""
    machine, rows = read_machine(), rows_of(in_order(measured.lines))
    wanted = [row for program in programs for row in program.rows]
    if asked.json:
        sys.stdout.write(json.dumps(table.document(rows, measured.counts, wanted, machine), indent=2) + "\n")
    else:
        sys.stdout.write(table.text(rows, measured.counts, wanted, machine, loads) + "\n")
    if asked.accept_instructions:
        instructions.write(measured.counts)
    if asked.write is not None:
        new = table.markdown(rows, measured.counts, wanted, machine, f"{asked.rounds} rounds. {loads}")
        asked.write.write_text(table.replaced(asked.write.read_text(encoding="utf-8"), new), encoding="utf-8")
        tell(f"wrote {asked.write}")


if __name__ == "__main__":
    sys.exit(main())

"""The table: for a terminal, for a program, for the page in docs/."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from benches.marks import MARKS, Verdict, marks_of, number

if TYPE_CHECKING:
    from collections.abc import Iterable, Sequence

    from benches.figures import Row, Spread
    from benches.instructions import Count
    from benches.machine import Machine

HEADER = ("row", "subject", "p50", "p99", "unit", "anchor", "p50", "ratio", "over rounds", "mark")
# Columns of numbers, which end on one line.
NUMBERS = frozenset({2, 3, 6, 7})

BEGIN = "<!-- measured: written by `make bench`, not by hand -->"
END = "<!-- measured: end -->"


class PageError(ValueError):
    """A page without a place for the table."""


def cells(row: Row) -> tuple[str, ...]:
    """One row as it is printed."""
    first, ratio, anchor_p50 = row.lines[0], row.ratio, row.anchor_p50
    return (
        row.name,
        first.subject,
        number(row.p50.middle),
        number(row.p99.middle),
        first.unit,
        first.anchor or "-",
        number(anchor_p50.middle) if anchor_p50 else "-",
        number(ratio.middle) if ratio else "-",
        spread(ratio or row.p50),
        verdict(row),
    )


def spread(values: Spread) -> str:
    """Least to most.

    >>> from benches.figures import Spread
    >>> spread(Spread.of([0.1, 0.2, 0.3]))
    '0.100..0.300'
    """
    return f"{number(values.least)}..{number(values.most)}"


def verdict(row: Row) -> str:
    """All of a row's marks in a word."""
    verdicts = {mark.verdict(row) for mark in marks_of(row.name)}
    if not verdicts:
        return "none"
    return (Verdict.MISSED if Verdict.MISSED in verdicts else min(verdicts, key=lambda each: each.value)).value


def aligned(rows: Sequence[Sequence[str]], numbers: frozenset[int] = NUMBERS) -> str:
    """Columns as wide as their widest cell.

    >>> print(aligned([("a", "bb"), ("ccc", "d")], frozenset({1})))
    a    bb
    ccc   d
    """
    widths = [max(len(cell) for cell in column) for column in zip(*rows, strict=True)]

    def line(row: Sequence[str]) -> str:
        pairs = zip(row, widths, strict=True)
        fitted = [cell.rjust(width) if at in numbers else cell.ljust(width) for at, (cell, width) in enumerate(pairs)]
        return "  ".join(fitted).rstrip()

    return "\n".join(line(row) for row in rows)


def mark_lines(rows: Iterable[Row], wanted: Iterable[str]) -> list[str]:
    """Each mark of the rows that were asked for, with what was measured."""
    found = {row.name: row for row in rows}
    names = set(wanted)
    return [mark.sentence(found.get(mark.row)) for mark in MARKS if mark.row in names]


def text(rows: Sequence[Row], counts: Sequence[Count], wanted: Iterable[str], machine: Machine, load: str) -> str:
    """For a terminal."""
    parts = []
    if rows:
        parts.append(aligned([HEADER, *(cells(row) for row in rows)]))
    if marks := mark_lines(rows, wanted):
        parts.append("marks\n" + "\n".join(f"  {line}" for line in marks))
    if counts:
        parts.append("instructions (callgrind)\n" + "\n".join(f"  {count.sentence()}" for count in counts))
    parts.append(f"{machine.sentence()}\n{load}")
    return "\n\n".join(parts)


def document(rows: Sequence[Row], counts: Sequence[Count], wanted: Iterable[str], machine: Machine) -> dict[str, Any]:
    """For a program; times are in each row's unit."""
    return {
        "machine": machine.to_dict(),
        "rows": [_entry(row) for row in rows],
        "marks": mark_lines(rows, wanted),
        "instructions": [count.to_dict() for count in counts],
    }


def _entry(row: Row) -> dict[str, Any]:
    first = row.lines[0]

    def three(values: Spread | None) -> dict[str, float] | None:
        return None if values is None else {"least": values.least, "middle": values.middle, "most": values.most}

    return {
        "row": row.name,
        "unit": first.unit,
        "subject": first.subject,
        "rounds": len(row.lines),
        "p50": three(row.p50),
        "p99": three(row.p99),
        "anchor": first.anchor,
        "anchor_p50": three(row.anchor_p50),
        "ratio": three(row.ratio),
        "facts": {name: row.fact(name) for name in first.facts},
        "mark": verdict(row),
    }


def markdown(rows: Sequence[Row], counts: Sequence[Count], wanted: Iterable[str], machine: Machine, load: str) -> str:
    """For the page: what stands between its two marks."""
    lines = [BEGIN, "", f"Measured {machine.sentence()}. {load}", ""]
    lines += ["| " + " | ".join(HEADER) + " |", "|" + "---|" * len(HEADER)]
    lines += ["| " + " | ".join((f"`{name}`", *rest)) + " |" for name, *rest in map(cells, rows)]
    lines += ["", "Marks:", ""]
    lines += [f"- {line}" for line in mark_lines(rows, wanted)]
    facts = [(row.name, name, row.fact(name)) for row in rows for name in row.lines[0].facts if not _dull(row, name)]
    lines += ["", "Beside the figures:", ""]
    lines += [f"- {row}: {name.replace('_', ' ')} {_said(value)}" for row, name, value in facts]
    if counts:
        lines += ["", "Instructions, counted by callgrind:", ""]
        lines += [f"- {count.sentence()}" for count in counts]
    return "\n".join([*lines, "", END])


def _dull(row: Row, fact: str) -> bool:
    """What a neighbouring row says already."""
    return row.name in {"frame", "decision_without_journal", "frame_without_journal"} and fact != "allocations"


def _said(value: object) -> str:
    return number(value) if isinstance(value, float) else str(value)


def replaced(page: str, table: str) -> str:
    r"""The page with a new table.

    >>> replaced(f"a\n{BEGIN}\nold\n{END}\nb\n", "new")
    'a\nnew\nb\n'

    Raises:
        PageError: it has no two marks to write between.
    """
    before, begin, rest = page.partition(BEGIN)
    _, end, after = rest.partition(END)
    if not begin or not end:
        raise PageError(f"the page has no lines {BEGIN!r} and {END!r} to write the table between: put them in")
    return before + table + after

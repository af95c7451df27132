"""What the bench programs print, line by line, and what several rounds of it come to."""

from __future__ import annotations

import json
import math
import statistics
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from collections.abc import Iterable, Mapping, Sequence

Fact = float | str


class LineError(ValueError):
    """A line of a bench program that is not a row."""


@dataclass(frozen=True)
class Figures:
    """Of the samples of one round, in the row's unit."""

    min: float
    p50: float
    p99: float
    samples: int

    @classmethod
    def of(cls, samples: Sequence[float]) -> Figures:
        """Of at least one sample.

        >>> Figures.of([3.0, 1.0, 2.0])
        Figures(min=1.0, p50=2.0, p99=3.0, samples=3)
        """
        ordered = sorted(samples)
        last = len(ordered) - 1
        return cls(
            ordered[0],
            ordered[min(len(ordered) // 2, last)],
            ordered[min(len(ordered) * 99 // 100, last)],
            len(ordered),
        )


@dataclass(frozen=True)
class Line:
    """One row of one round: a subject, beside its anchor where it has one."""

    row: str
    unit: str
    subject: str
    figures: Figures
    anchor: str | None
    anchor_figures: Figures | None
    ratio: float | None
    facts: Mapping[str, Fact]


@dataclass(frozen=True)
class Spread:
    """A figure over the rounds."""

    least: float
    middle: float
    most: float

    @classmethod
    def of(cls, values: Iterable[float]) -> Spread:
        """Of at least one value.

        >>> Spread.of([4.0, 1.0, 2.0])
        Spread(least=1.0, middle=2.0, most=4.0)
        """
        ordered = sorted(values)
        return cls(ordered[0], statistics.median(ordered), ordered[-1])


@dataclass(frozen=True)
class Row:
    """One row of all rounds."""

    lines: tuple[Line, ...]

    @property
    def name(self) -> str:
        """Its key."""
        return self.lines[0].row

    @property
    def p50(self) -> Spread:
        """The subject's median."""
        return Spread.of(line.figures.p50 for line in self.lines)

    @property
    def p99(self) -> Spread:
        """The subject's 99th percentile."""
        return Spread.of(line.figures.p99 for line in self.lines)

    @property
    def anchor_p50(self) -> Spread | None:
        """The anchor's median."""
        figures = [line.anchor_figures for line in self.lines]
        found = [each.p50 for each in figures if each is not None]
        return Spread.of(found) if found else None

    @property
    def ratio(self) -> Spread | None:
        """Subject over anchor, as each round paired them."""
        found = [line.ratio for line in self.lines if line.ratio is not None]
        return Spread.of(found) if found else None

    def fact(self, name: str) -> Fact | None:
        """A fact: the largest of the rounds where it is a number, the first round's where it is words."""
        found = [line.facts[name] for line in self.lines if name in line.facts]
        if not found:
            return None
        numbers = [value for value in found if isinstance(value, float)]
        return max(numbers) if len(numbers) == len(found) else found[0]


def read_line(text: str) -> Line:
    """One line that a program printed.

    Raises:
        LineError: it is not a row.
    """
    try:
        data: dict[str, Any] = json.loads(text)
        anchor_figures = data.get("anchor_figures")
        ratio = data.get("ratio")
        line = Line(
            row=str(data["row"]),
            unit=str(data["unit"]),
            subject=str(data["subject"]),
            figures=_figures(data["figures"]),
            anchor=data.get("anchor"),
            anchor_figures=None if anchor_figures is None else _figures(anchor_figures),
            ratio=None if ratio is None else float(ratio),
            facts={str(name): _fact(value) for name, value in data["facts"].items()},
        )
    except (ValueError, KeyError, TypeError, AttributeError) as error:
        raise LineError(f"not a row: {text[:200]!r} ({type(error).__name__}: {error})") from error
    if not all(math.isfinite(value) for value in (line.figures.p50, line.figures.p99, line.ratio or 0.0)):
        raise LineError(f"a figure that is not a number: {text[:200]!r}")
    return line


def _figures(data: Mapping[str, Any]) -> Figures:
    return Figures(float(data["min"]), float(data["p50"]), float(data["p99"]), int(data["samples"]))


def _fact(value: object) -> Fact:
    return float(value) if isinstance(value, int | float) else str(value)


def rows_of(lines: Iterable[Line]) -> list[Row]:
    """The rows in the order in which their first line came.

    >>> figures = Figures.of([1.0])
    >>> lines = [Line(name, "ns", "s", figures, None, None, None, {}) for name in ("b", "a", "b")]
    >>> [(row.name, len(row.lines)) for row in rows_of(lines)]
    [('b', 2), ('a', 1)]
    """
    found: dict[str, list[Line]] = {}
    for line in lines:
        found.setdefault(line.row, []).append(line)
    return [Row(tuple(group)) for group in found.values()]


def paired_ratio(subject: Sequence[float], anchor: Sequence[float]) -> float:
    """Median of subject over anchor, sample by sample: what disturbs a moment disturbs both.

    >>> paired_ratio([2.0, 30.0, 4.0], [1.0, 10.0, 2.0])
    2.0
    """
    return statistics.median(one / other for one, other in zip(subject, anchor, strict=True))

"""What must hold of every feature, tried on bars: no value knows what comes after it, and none remembers for ever.

Both are tried by computing anew. On bars that are cut off behind a row, every value up to that row must keep its bits;
on bars that begin later, every value must have the same bits once it is warm.

Of arbitrary Python nobody knows when it is warm, nor has it the same last bits where it keeps running sums. There bars
begin in the older quarter, and the newest eighth is compared within a tolerance: what differs there and has not nearly
faded never forgets.
"""

from __future__ import annotations

from dataclasses import dataclass
from itertools import pairwise
from typing import TYPE_CHECKING

import numpy as np
import polars as pl

from py_rt.ml.features.technical import WARM

if TYPE_CHECKING:
    from collections.abc import Callable, Iterable, Mapping

CUTS = 24
"""Rows behind which the bars are cut off: one in each of so many parts of equal length."""
STARTS = 6
"""Rows at which the bars begin, to look for values that never forget."""
STRETCH = 512
"""Rows that follow each other, each of which is cut behind where a feature is arbitrary Python."""
LEAD = 2_048
"""Rows that such a stretch has before it."""

FAR_ROWS = 256
"""Fewest bars on which arbitrary Python is tried for forgetting."""
TOLERANCE = 1e-6
"""Difference, to the size of a value or the usual one, that running sums may leave."""
FADED = 1e-2
"""Share of the largest difference below which what is left is fading: on more bars it may be gone."""


@dataclass(frozen=True, slots=True)
class Finding:
    """A feature that breaks a promise.

    Attributes:
        feature: its name.
        rule: `look_ahead` or `warm_up`.
        row: the first of the rows that were compared where it does, 0 for the oldest bar.
        whole: its value there, computed on all bars.
        cut: its value there, computed on fewer.
    """

    feature: str
    rule: str
    row: int
    whole: float
    cut: float


@dataclass(frozen=True, slots=True)
class Trial:
    """What was tried of a set of features, and what was found.

    Attributes:
        findings: one for each feature and rule at most.
        rows_cut: behind how many rows the bars were cut off.
        rows_begun: at how many rows the bars began.
        untried: features of which so many bars cannot show whether they forget.
        valueless: features that have no value on any of the bars.
        failing: of each that is arbitrary Python and fails on fewer bars, why, and on how many of them at most: it was
            not tried there.
    """

    findings: tuple[Finding, ...]
    rows_cut: int
    rows_begun: int
    untried: tuple[str, ...]
    valueless: tuple[str, ...] = ()
    failing: tuple[str, ...] = ()


def rows_to_cut(rows: int, first: int | None = None) -> list[int]:
    """Rows to cut behind, one at random in each of `CUTS` parts; the same ones for as many rows.

    Args:
        rows: of the bars.
        first: the least row; `None` is a fiftieth of them.

    >>> rows_to_cut(1_000)[:3], len(rows_to_cut(1_000)), rows_to_cut(2), rows_to_cut(1)
    ([...], 24, [0], [])
    """
    first = rows // 50 if first is None else first
    ends = np.linspace(first, rows - 1, CUTS + 1).astype(int) if rows - 1 > first else np.zeros(1, dtype=int)
    random = np.random.default_rng(rows)
    return sorted({int(random.integers(begin, end)) for begin, end in pairwise(ends) if end > begin})


def stretch_to_cut(rows: int) -> tuple[int, int, int]:
    """Where a stretch of rows that follow each other stands: its lead's first row, its own, and the one behind it."""
    length = min(STRETCH, rows - 1)
    begin = int(np.random.default_rng(rows).integers(0, max(rows - length, 1)))
    return max(begin - LEAD, 0), begin, begin + length


def looking_ahead(
    compute: Callable[[pl.DataFrame], pl.DataFrame], bars: pl.DataFrame, whole: pl.DataFrame, cuts: Iterable[int]
) -> dict[str, Finding]:
    """By name, the features that change in some row when the bars behind a cut are taken away.

    Args:
        compute: makes a table of features, numbers or nulls, a row for each bar; what it cannot make is absent.
        bars: of one instrument, oldest first.
        whole: what it makes of them.
        cuts: rows to cut behind.
    """
    found: dict[str, Finding] = {}
    for row in cuts:
        cut = compute(bars.head(row + 1))
        names = (name for name in cut.columns if name in whole.columns and name != WARM)
        where = dict.fromkeys(names, np.ones(row + 1, dtype=bool))
        found = {**differing("look_ahead", whole.head(row + 1), cut, where), **found}
    return found


def far_starts(rows: int) -> list[int]:
    """Rows of the older quarter at which bars begin for what says no warm-up; none where they are too few.

    >>> far_starts(1_000), far_starts(FAR_ROWS - 1)
    ([1, 50, 100, 150, 200, 250], [])
    """
    return sorted({max(rows // 4 * step // (STARTS - 1), 1) for step in range(STARTS)}) if rows >= FAR_ROWS else []


def remembering(
    compute: Callable[[pl.DataFrame], pl.DataFrame], bars: pl.DataFrame, whole: pl.DataFrame
) -> tuple[dict[str, Finding], tuple[str, ...]]:
    """By name, the features that still tell in the newest eighth where the bars began; and those that cannot be judged.

    Args:
        compute: makes a table of features, numbers or nulls, a row for each bar; of no known warm-up.
        bars: of one instrument, oldest first.
        whole: what it makes of them.
    """
    found: dict[str, Finding] = {}
    judged: set[str] = set()
    fading: set[str] = set()
    for start in far_starts(bars.height):
        later = compute(bars.slice(start))
        first = later.height - bars.height // 8
        for name in later.columns:
            ours, theirs = _numbers(whole[name])[start:], _numbers(later[name])
            off, wrong = _off(ours, theirs)
            if np.isnan(off[first:]).all():
                continue
            judged.add(name)
            far = wrong[first:]
            if not far.any():
                continue
            if off[first:][far].max() <= FADED * np.nanmax(off):
                fading.add(name)
                continue
            at = first + int(far.argmax())
            found.setdefault(name, Finding(name, "warm_up", start + at, float(ours[at]), float(theirs[at])))
    untried = [name for name in whole.columns if name not in found and (name not in judged or name in fading)]
    return found, tuple(untried)


def _off(ours: np.ndarray, theirs: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    """Differences, NaN where one has no value; and whether they are more than running sums may leave."""
    there = ~(np.isnan(ours) | np.isnan(theirs))
    if not there.any():
        return np.full(ours.size, np.nan), there
    # Infinities are alike where they are the same.
    with np.errstate(invalid="ignore"):
        off = np.where(ours == theirs, 0.0, np.abs(ours - theirs))
    sizes = np.fmax(np.abs(ours), np.abs(theirs))
    usual = np.median(sizes[there])
    allowed = TOLERANCE * np.where(np.isfinite(sizes), np.fmax(sizes, usual if np.isfinite(usual) else 0.0), 0.0)
    return np.where(there, off, np.nan), there & (off > allowed)


def without_values(frame: pl.DataFrame) -> tuple[str, ...]:
    """Columns of numbers that have none in any row, beside `is_warm`.

    >>> without_values(pl.DataFrame({"a": [None, float("nan")], "b": [None, 1.0], "is_warm": [True, True]}))
    ('a',)
    """
    return tuple(name for name in frame.columns if name != WARM and np.isnan(_numbers(frame[name])).all())


def differing(
    rule: str, whole: pl.DataFrame, other: pl.DataFrame, where: Mapping[str, np.ndarray], first: int = 0
) -> dict[str, Finding]:
    """By name, the columns whose bits differ in some row; null and NaN are alike.

    Args:
        rule: that is broken then.
        whole: computed on all bars.
        other: the same rows, computed on fewer.
        where: of each column that is compared, the rows that must be alike, of shape (rows,).
        first: number of the first row.
    """
    found = {}
    for name, rows in where.items():
        ours, theirs = (_numbers(frame[name]) for frame in (whole, other))
        wrong = ours.view(np.uint64) != theirs.view(np.uint64)
        if not wrong.any():
            continue
        wrong &= ~(np.isnan(ours) & np.isnan(theirs)) & rows
        if wrong.any():
            at = int(wrong.argmax())
            found[name] = Finding(name, rule, first + at, float(ours[at]), float(theirs[at]))
    return found


def _numbers(column: pl.Series) -> np.ndarray:
    # Float32 has a Float64 of its own for every value; a column of Float64 is not copied.
    return column.cast(pl.Float64).fill_null(float("nan")).to_numpy()

"""Features of bars that do not stand on a full grid: nights, weekends and holidays, over which bars follow each other.

The engine counts bars by number: recursions restart, and windows are summed in blocks, where the number says. On a full
grid the number is the time. Over gaps no time says how many bars there were before, so that a number counted from the
first row would make the last bits depend on where the file begins. Here a bar is numbered by the bars that its feature
remembers and by nothing else: among all instants between the first and the last of them one is the roundest (in binary;
there is always exactly one), the first bar from it on has the number of its time, and the others count on from it. So
whoever has these bars has the same number, and the same bits.

Where the roundest instant changes, the feature is computed anew from a warm-up before. That happens about twice in a
warm-up, so that the work is about three times that of a full grid.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

import numpy as np
import polars as pl

from py_rt.ml.features.expressions import WARM, Expressions

if TYPE_CHECKING:
    from collections.abc import Sequence

    from numpy.typing import NDArray

    from py_rt.ml.features.catalogue import Feature

TS_OPEN = "ts_open"
"""Column of opening times (Int64, UTC ns), beside `number`, their time in spans."""

_HALF_OF_64_BITS = np.uint64(1 << 63)


def have_gaps(bars: pl.DataFrame) -> bool:
    """Whether some bars do not stand one span behind the bar before, and their times are known."""
    return TS_OPEN in bars.columns and bool((bars["number"].diff().drop_nulls() != 1).any())


class OverGaps:
    """Expressions over bars with gaps."""

    def __init__(self, features: Sequence[Feature]) -> None:
        """Features that remember equally long are computed together."""
        every = Expressions(features)
        by_warmup: dict[int, list[Feature]] = {}
        for feature, needs in zip(features, every.needs, strict=True):
            by_warmup.setdefault(needs.warmup, []).append(feature)
        self.names = every.names
        self._groups = {warmup: Expressions(group) for warmup, group in by_warmup.items()}

    def compute(self, bars: pl.DataFrame, *, one_by_one: bool = False) -> pl.DataFrame:
        """As :meth:`Expressions.compute`; each bar follows the one before it.

        Args:
            bars: as there, and :data:`TS_OPEN`, which rises.
            one_by_one: by the path of the service.
        """
        made: dict[str, pl.Series] = {}
        warm = np.ones(bars.height, dtype=np.bool_)
        for warmup, expressions in self._groups.items():
            rows, numbers, last = runs(bars[TS_OPEN].to_numpy(), bars["number"].to_numpy(), warmup)
            laid_out = bars[rows].with_columns(pl.Series("number", numbers))
            run = expressions.compute_one_by_one if one_by_one else expressions.compute
            frame = run(laid_out)[last]
            warm &= frame[WARM].to_numpy()
            made |= {name: frame[name] for name in expressions.names}
        return pl.DataFrame([*(made[name] for name in self.names), pl.Series(WARM, warm)])


def runs(
    ts_open: NDArray[np.int64], places: NDArray[np.int64], warmup: int
) -> tuple[NDArray[np.int64], NDArray[np.int64], NDArray[np.int64]]:
    """Lay bars out so that each is numbered by those that a feature remembers at it.

    Args:
        ts_open: UTC ns, rising.
        places: the same in spans.
        warmup: bars that the feature remembers, with its own.

    Returns:
        Rows, each as often as it is computed; their numbers, which follow each other within a run; and where among them
        each row stands behind its warm-up.
    """
    count = len(ts_open)
    at = np.arange(count, dtype=np.int64)
    first = np.minimum(at, max(warmup - 1, 1))
    anchors = np.searchsorted(ts_open, roundest(ts_open[np.maximum(at - first, 0)], ts_open), side="left")
    ahead = places[anchors] - anchors
    begins = np.flatnonzero(np.r_[True, np.diff(ahead) != 0])
    ends = np.r_[begins[1:], count]
    early = np.maximum(begins - warmup + 1, 0)
    # Where a run's first number follows the last of the run before by chance, a row between them keeps them apart.
    follows = np.r_[False, (early + ahead[begins])[1:] == (ends + ahead[begins])[:-1]]
    lengths = ends - early + follows
    starts = np.cumsum(lengths) - lengths
    shift = early - follows - starts
    rows = np.arange(int(lengths.sum()), dtype=np.int64) + np.repeat(shift, lengths)
    numbers = rows + np.repeat(ahead[begins], lengths)
    between = starts[follows]
    rows[between], numbers[between] = early[follows], numbers[between] + 2
    last = at - np.repeat(shift, ends - begins)
    return rows, numbers, last


def roundest(after: NDArray[np.int64], until: NDArray[np.int64]) -> NDArray[np.int64]:
    """Of the integers above one and up to the other, the one that most powers of two divide; of none the other.

    >>> roundest(np.array([3, 4, 9, -3, 7]), np.array([9, 7, 11, 2, 7])).tolist()
    [8, 6, 10, 0, 7]
    """
    low, high = (ts.astype(np.uint64) + _HALF_OF_64_BITS for ts in (after, until))
    below = low ^ high
    for shift in (1, 2, 4, 8, 16, 32):
        below |= below >> np.uint64(shift)
    # Ones up to the highest bit in which they differ; that bit itself stays.
    return ((high & ~(below >> np.uint64(1))) - _HALF_OF_64_BITS).astype(np.int64)

"""How much a training sample counts: labels that overlap in time tell the same story more than once.

A label lives from its bar to its end. At each moment of its life its story is shared by all labels alive then; the
average of one over their number is its *uniqueness*. Weighting by it keeps ten overlapping labels from counting ten
times. On top, older samples may count less. Source: Lopez de Prado, "Advances in Financial Machine Learning" (2018),
ch. 4.
"""

from __future__ import annotations

import math

import numpy as np
import polars as pl
from numpy.typing import NDArray

from py_rt.errors import PyRtError

Float64Array = NDArray[np.float64]
Int64Array = NDArray[np.int64]


class WeightError(PyRtError):
    """Spans or settings from which no weights can be made."""


def concurrency(starts: Int64Array, ends: Int64Array, *, step: int = 1) -> tuple[Int64Array, Int64Array]:
    """How many labels are alive, as a step function of time.

    Args:
        starts: first moment of each label's life, in integers of any unit and order.
        ends: last moment of it, included.
        step: distance of two moments (bars), in the same unit.

    Returns:
        Moments at which the number changes, ascending, and the number from each of them until the next; the last one
        is 0.

    Raises:
        WeightError: arrays of different length, an end before its start, a span that is no whole number of steps.

    >>> times, alive = concurrency(np.array([0, 1, 2, 5]), np.array([2, 3, 4, 6]))
    >>> list(zip(times.tolist(), alive.tolist()))
    [(0, 1), (1, 2), (2, 3), (3, 2), (4, 1), (5, 1), (7, 0)]
    """
    _check_spans(starts, ends, step)
    times = np.unique(np.concatenate([starts, ends + step]))
    began = np.searchsorted(np.sort(starts), times, side="right")
    ended = np.searchsorted(np.sort(ends + step), times, side="right")
    return times, (began - ended).astype(np.int64)


def average_uniqueness(starts: Int64Array, ends: Int64Array, *, step: int = 1) -> Float64Array:
    """Mean of one over the number of labels alive, over the moments of each label's life.

    Args:
        starts: as for :func:`concurrency`.
        ends: as there.
        step: as there.

    Returns:
        One value per label, above 0 and at most 1: 1 where it is alone.

    Raises:
        WeightError: as there.

    >>> average_uniqueness(np.array([0, 1, 2, 5]), np.array([2, 3, 4, 6])).round(6).tolist()
    [0.611111, 0.444444, 0.611111, 1.0]
    """
    times, alive = concurrency(starts, ends, step=step)
    if starts.size == 0:
        return np.zeros(0)
    lengths = np.diff(times) / step
    shares = np.divide(lengths, alive[:-1], out=np.zeros_like(lengths), where=alive[:-1] > 0)
    summed = np.concatenate([[0.0], np.cumsum(shares)])
    first, behind = np.searchsorted(times, starts), np.searchsorted(times, ends + step)
    lives = (ends - starts) / step + 1.0
    # Sums cancel in their last digits; one over the largest number alive is a bound from below that always holds.
    unique: Float64Array = np.clip((summed[behind] - summed[first]) / lives, 1.0 / alive.max(), 1.0)
    return unique


def time_decay(uniqueness: Float64Array, starts: Int64Array, *, oldest: float) -> Float64Array:
    """Let weight fall in a straight line from 1 for the newest sample, along the uniqueness gathered since.

    Args:
        uniqueness: of each sample.
        starts: by which samples are ordered in time.
        oldest: above -1 and at most 1. 1 is no decay; from 0 to 1 it is what a sample before all others would get; a
            negative one gives no weight at all to the oldest samples that hold that share of the uniqueness.

    Raises:
        WeightError: `oldest` out of range, arrays of different length, uniqueness that is not above 0.

    >>> time_decay(np.ones(4), np.arange(4), oldest=0.5).tolist()
    [0.625, 0.75, 0.875, 1.0]
    >>> time_decay(np.ones(4), np.arange(4), oldest=-0.5).tolist()
    [0.0, 0.0, 0.5, 1.0]
    """
    if not -1 < oldest <= 1:
        raise WeightError(f"oldest is {oldest}; allowed is above -1 and at most 1")
    if uniqueness.shape != starts.shape:
        raise WeightError(f"{uniqueness.size} values of uniqueness for {starts.size} samples")
    if not (np.isfinite(uniqueness) & (uniqueness > 0)).all():
        raise WeightError("uniqueness has values that are not above 0")
    if starts.size == 0:
        return np.zeros(0)
    order = np.argsort(starts, kind="stable")
    gathered = np.cumsum(uniqueness[order])
    total = gathered[-1]
    slope = (1.0 - oldest) / total if oldest >= 0 else 1.0 / ((1.0 + oldest) * total)
    weights = np.empty_like(gathered)
    weights[order] = np.maximum(0.0, 1.0 - slope * (total - gathered))
    return weights


def with_weights(labels: pl.DataFrame, *, bar_ns: int, oldest: float = 1.0) -> pl.DataFrame:
    """Add the weights that a training library takes.

    Args:
        labels: rows with `ts_close` and `label_end_ts` (Int64, UTC nanoseconds) of one instrument.
        bar_ns: distance between two closes in nanoseconds.
        oldest: as for :func:`time_decay`.

    Returns:
        The rows with `uniqueness` (Float64) and `weight` (Float64: uniqueness times decay, of mean 1).

    Raises:
        WeightError: a column missing, nulls, spans off the grid, `oldest` out of range.

    >>> labels = pl.DataFrame({"ts_close": [0, 10, 20], "label_end_ts": [10, 20, 30]})
    >>> with_weights(labels, bar_ns=10)["uniqueness"].to_list()
    [0.75, 0.5, 0.75]
    """
    missing = {"ts_close", "label_end_ts"} - set(labels.columns)
    if missing:
        raise WeightError(f"labels lack the columns {sorted(missing)}; they have {labels.columns}")
    spans = labels.select(pl.col("ts_close", "label_end_ts").cast(pl.Int64))
    if spans.null_count().row(0) != (0, 0):
        raise WeightError("labels have nulls in ts_close or label_end_ts")
    starts, ends = spans["ts_close"].to_numpy(), spans["label_end_ts"].to_numpy()
    unique = average_uniqueness(starts, ends, step=bar_ns)
    weights = unique * time_decay(unique, starts, oldest=oldest)
    mean = math.fsum(weights) / weights.size if weights.size else 1.0
    return labels.with_columns(
        pl.Series("uniqueness", unique, dtype=pl.Float64), pl.Series("weight", weights / mean, dtype=pl.Float64)
    )


def _check_spans(starts: Int64Array, ends: Int64Array, step: int) -> None:
    if step < 1:
        raise WeightError(f"step is {step}; allowed is at least 1")
    if starts.shape != ends.shape or starts.ndim != 1:
        raise WeightError(f"starts have the shape {starts.shape}, ends {ends.shape}; wanted two arrays of one length")
    for name, values in (("starts", starts), ("ends", ends)):
        if not np.issubdtype(values.dtype, np.integer):
            raise WeightError(f"{name} are {values.dtype}; wanted integers")
    spans = ends - starts
    wrong = np.flatnonzero((spans < 0) | (spans % step != 0))
    if wrong.size:
        at = int(wrong[0])
        raise WeightError(
            f"label {at} lives from {starts[at]} to {ends[at]}; wanted an end that is whole steps of {step} after"
        )

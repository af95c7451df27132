"""Splits of a time series that do not let the answer into the question.

A sample spans the closed interval [start, end]: features are known at ``start`` (``ts_close``), the label at ``end``
(``label_end_ts``). Around a block of test samples, whose labels span [first start, last end]:

* **purge**: a training sample whose span touches that interval shares information with the test and is dropped;
* **embargo**: a training sample that starts within ``embargo`` after the interval is dropped as well, because returns
  remember. Walk-forward splits, which train only on the past, keep the same distance *before* the test.

All times are integers of one unit (here UTC nanoseconds); indices refer to positions in the arrays handed in, sorted
by ``starts``. Source: Lopez de Prado, "Advances in Financial Machine Learning" (2018), ch. 7 and 12; the end time is
per label, not a fixed number of rows.
"""

from __future__ import annotations

import itertools
import math
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from py_rt.errors import PyRtError

Int64Array = NDArray[np.int64]
IndexArray = NDArray[np.intp]

MAX_SPLITS = 50_000


class ValidationError(PyRtError):
    """Times or settings from which no honest split can be made."""


@dataclass(frozen=True)
class Split:
    """Positions of training and test samples, ascending and disjoint."""

    train: IndexArray
    test: IndexArray


def purged_train(starts: Int64Array, ends: Int64Array, test: IndexArray, *, embargo: int) -> IndexArray:
    """Positions outside ``test`` that may train a model judged on ``test``; the test may have several blocks.

    >>> starts = np.arange(100)
    >>> kept = purged_train(starts, starts + 5, np.arange(40, 60), embargo=2)
    >>> sorted(set(range(100)) - set(range(40, 60)) - set(kept.tolist()))
    [35, 36, 37, 38, 39, 60, 61, 62, 63, 64, 65, 66]
    """
    _check_times(starts, ends, embargo)
    if test.size == 0:
        raise ValidationError("test is empty")
    keep = np.ones(starts.size, dtype=bool)
    keep[test] = False
    breaks = np.flatnonzero(np.diff(test) != 1) + 1
    for block in np.split(test, breaks):
        first, last = starts[block].min(), ends[block].max()
        keep &= (ends < first) | (starts > last + embargo)
    return np.flatnonzero(keep)


def purged_k_fold(starts: Int64Array, ends: Int64Array, *, folds: int, embargo: int) -> list[Split]:
    """``folds`` contiguous test blocks, each with the purged and embargoed rest as training set.

    Trains on both sides of the test: right for asking whether a relation exists, not for imitating trading.

    >>> starts = np.arange(60)
    >>> [(split.train.size, split.test.size) for split in purged_k_fold(starts, starts + 5, folds=3, embargo=2)]
    [(33, 20), (28, 20), (35, 20)]
    """
    _check_folds(folds, starts.size)
    return [_purged(starts, ends, test, embargo) for test in np.array_split(np.arange(starts.size), folds)]


def walk_forward(
    starts: Int64Array, ends: Int64Array, *, folds: int, embargo: int, first_train: float = 0.4
) -> list[Split]:
    """``folds`` test blocks one after the other; each trains on all that was known ``embargo`` before it starts.

    Args:
        first_train: share of the samples before the first test block, inside (0, 1).

    >>> starts = np.arange(100)
    >>> for split in walk_forward(starts, starts + 5, folds=3, embargo=2):
    ...     print(split.train[-1], split.test[0], split.test[-1])
    32 40 59
    52 60 79
    72 80 99
    """
    _check_times(starts, ends, embargo)
    if not 0.0 < first_train < 1.0:
        raise ValidationError(f"first_train is {first_train}; allowed is inside (0, 1)")
    begin = math.ceil(starts.size * first_train)
    _check_folds(folds, starts.size - begin)
    splits = []
    for test in np.array_split(np.arange(begin, starts.size), folds):
        train = np.flatnonzero(ends + embargo < starts[test[0]])
        if train.size == 0:
            raise ValidationError(
                f"no training sample is left before position {int(test[0])}; lower embargo or raise first_train"
            )
        splits.append(Split(train, test))
    return splits


def combinatorial_purged(
    starts: Int64Array, ends: Int64Array, *, groups: int, test_groups: int, embargo: int
) -> list[Split]:
    """Every choice of ``test_groups`` of ``groups`` contiguous groups as test set: C(groups, test_groups) splits.

    >>> starts = np.arange(60)
    >>> len(combinatorial_purged(starts, starts + 1, groups=6, test_groups=2, embargo=0)), combinatorial_paths(6, 2)
    (15, 5)
    """
    _check_folds(groups, starts.size)
    if not 1 <= test_groups < groups:
        raise ValidationError(f"test_groups is {test_groups}; allowed are 1..{groups - 1}")
    if math.comb(groups, test_groups) > MAX_SPLITS:
        raise ValidationError(f"{math.comb(groups, test_groups)} splits; allowed are {MAX_SPLITS}")
    parts = np.array_split(np.arange(starts.size), groups)
    chosen = itertools.combinations(range(groups), test_groups)
    return [_purged(starts, ends, np.concatenate([parts[i] for i in pick]), embargo) for pick in chosen]


def combinatorial_paths(groups: int, test_groups: int) -> int:
    """Backtest paths that the splits can be joined into: ``test_groups / groups * C(groups, test_groups)``.

    >>> combinatorial_paths(10, 2), combinatorial_paths(10, 8)
    (9, 36)
    """
    if not 1 <= test_groups < groups:
        raise ValidationError(f"test_groups is {test_groups}; allowed are 1..{groups - 1}")
    return test_groups * math.comb(groups, test_groups) // groups


def non_overlapping(starts: Int64Array, ends: Int64Array, *, first: int = 0) -> IndexArray:
    """Positions of samples that follow each other without sharing time: each starts at or after the last one's end.

    >>> non_overlapping(np.array([0, 1, 2, 3, 4, 5]), np.array([2, 3, 4, 5, 6, 7])).tolist()
    [0, 2, 4]
    """
    _check_times(starts, ends, 0)
    chosen: list[int] = []
    position = first
    while position < starts.size:
        chosen.append(position)
        position = max(position + 1, int(np.searchsorted(starts, ends[position], side="left")))
    return np.asarray(chosen, dtype=np.intp)


def _purged(starts: Int64Array, ends: Int64Array, test: IndexArray, embargo: int) -> Split:
    train = purged_train(starts, ends, test, embargo=embargo)
    if train.size == 0:
        raise ValidationError(
            f"no training sample is left around the test block at position {int(test[0])}; lower embargo or folds"
        )
    return Split(train, test)


def _check_times(starts: Int64Array, ends: Int64Array, embargo: int) -> None:
    if starts.shape != ends.shape or starts.ndim != 1:
        raise ValidationError(
            f"starts has shape {starts.shape}, ends {ends.shape}; expected two equal one-dimensional arrays"
        )
    if (np.diff(starts) < 0).any():
        raise ValidationError("starts are not ascending; sort the samples by time")
    if (ends < starts).any():
        raise ValidationError(
            f"a label ends before it starts, first at position {int(np.flatnonzero(ends < starts)[0])}"
        )
    if embargo < 0:
        raise ValidationError(f"embargo is {embargo}; allowed is at least 0")


def _check_folds(folds: int, samples: int) -> None:
    if not 2 <= folds <= min(samples, MAX_SPLITS):
        raise ValidationError(f"folds is {folds}; allowed are 2..{min(samples, MAX_SPLITS)} for {samples} samples")

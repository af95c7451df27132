"""Splits: what is dropped, what is kept, and that nothing leaks."""

from __future__ import annotations

import math
from typing import TYPE_CHECKING

import numpy as np
import pandas as pd
import purgedcv
import pytest
from hypothesis import given
from hypothesis import strategies as st

from py_rt.ml import validation as v

if TYPE_CHECKING:
    from collections.abc import Callable


def grid(rows: int, horizon: int) -> tuple[v.Int64Array, v.Int64Array]:
    starts = np.arange(rows, dtype=np.int64)
    return starts, starts + horizon


def test_purge_and_embargo_of_the_worked_example() -> None:
    starts, ends = grid(100, 5)
    kept = v.purged_train(starts, ends, np.arange(40, 60), embargo=2)
    dropped = set(range(100)) - set(range(40, 60)) - set(kept.tolist())
    assert dropped == {*range(35, 40), *range(60, 67)}


def test_end_times_count_per_label_not_per_row() -> None:
    starts, ends = grid(100, 5)
    ends = ends.copy()
    ends[10] = 45  # one label that takes long to resolve
    ends[3] = 39
    kept = v.purged_train(starts, ends, np.arange(40, 60), embargo=0)
    assert 10 not in kept
    assert 3 in kept


@st.composite
def samples(draw: st.DrawFn) -> tuple[v.Int64Array, v.Int64Array]:
    gaps = draw(st.lists(st.integers(0, 5), min_size=30, max_size=80))
    lengths = draw(st.lists(st.integers(0, 12), min_size=len(gaps), max_size=len(gaps)))
    starts = np.cumsum(np.asarray(gaps, dtype=np.int64))
    return starts, starts + np.asarray(lengths, dtype=np.int64)


def overlaps(starts: v.Int64Array, ends: v.Int64Array, train: v.IndexArray, test: v.IndexArray) -> bool:
    apart = (ends[train][:, None] < starts[test][None, :]) | (starts[train][:, None] > ends[test][None, :])
    return not bool(apart.all())


def unless_refused(make: Callable[[], list[v.Split]]) -> list[v.Split]:
    """A split without training samples is refused by name; that is right for spans that cover everything."""
    try:
        return make()
    except v.ValidationError as error:
        if "no training sample is left" not in str(error):
            raise
        return []


@given(samples(), st.integers(2, 5), st.integers(0, 10))
def test_no_training_label_shares_time_with_a_test_label(
    data: tuple[v.Int64Array, v.Int64Array], folds: int, embargo: int
) -> None:
    starts, ends = data
    splits = unless_refused(lambda: v.purged_k_fold(starts, ends, folds=folds, embargo=embargo))
    if not splits:
        return
    assert np.array_equal(np.concatenate([split.test for split in splits]), np.arange(starts.size))
    for split in splits:
        assert not overlaps(starts, ends, split.train, split.test)
        last = ends[split.test].max()
        after = split.train[starts[split.train] > last]
        assert (starts[after] > last + embargo).all()


@given(samples(), st.integers(2, 4), st.integers(0, 10))
def test_walk_forward_never_trains_on_what_was_not_yet_known(
    data: tuple[v.Int64Array, v.Int64Array], folds: int, embargo: int
) -> None:
    starts, ends = data
    splits = unless_refused(lambda: v.walk_forward(starts, ends, folds=folds, embargo=embargo))
    if not splits:
        return
    tested = np.concatenate([split.test for split in splits])
    assert np.array_equal(tested, np.arange(tested[0], starts.size))
    for split in splits:
        assert (ends[split.train] + embargo < starts[split.test[0]]).all()


@pytest.mark.parametrize("seed", range(5))
@pytest.mark.parametrize("embargo", [2, 6])
def test_folds_agree_with_an_independent_implementation(seed: int, embargo: int) -> None:
    rng = np.random.default_rng(seed)
    starts = np.cumsum(rng.integers(1, 4, size=150))
    ends = starts + rng.integers(0, 15, size=150)
    # Its spans are half-open and its embargo window closed, ours the other way round: one hour more, one hour less.
    other = purgedcv.PurgedKFold(
        5,
        prediction_times=pd.Series(starts.astype("datetime64[h]").astype("datetime64[ns]")),
        evaluation_times=pd.Series((ends + 1).astype("datetime64[h]").astype("datetime64[ns]")),
        embargo=pd.Timedelta(hours=embargo - 1),
    )
    ours = v.purged_k_fold(starts, ends, folds=5, embargo=embargo)
    for split, (train, test) in zip(ours, other.split(np.zeros((150, 1))), strict=True):
        assert split.test.tolist() == test.tolist()
        assert split.train.tolist() == train.tolist()


def test_walk_forward_uses_everything_it_may() -> None:
    starts, ends = grid(100, 5)
    for split in v.walk_forward(starts, ends, folds=3, embargo=2):
        assert split.train.tolist() == list(range(split.test[0] - 7))


@pytest.mark.parametrize(("groups", "picked", "splits", "paths"), [(6, 2, 15, 5), (10, 2, 45, 9), (10, 8, 45, 36)])
def test_combinatorial_counts(groups: int, picked: int, splits: int, paths: int) -> None:
    starts, ends = grid(200, 0)
    found = v.combinatorial_purged(starts, ends, groups=groups, test_groups=picked, embargo=0)
    assert len(found) == splits == math.comb(groups, picked)
    assert v.combinatorial_paths(groups, picked) == paths
    times_tested = np.zeros(200, dtype=int)
    for split in found:
        times_tested[split.test] += 1
        assert not overlaps(starts, ends, split.train, split.test)
    assert set(times_tested.tolist()) == {paths}


def test_each_test_block_of_a_combination_is_purged_on_its_own() -> None:
    starts, ends = grid(60, 3)
    first = v.combinatorial_purged(starts, ends, groups=6, test_groups=2, embargo=2)[1]
    assert first.test.tolist() == [*range(10), *range(20, 30)]
    # Between the blocks: 10..12 are touched by labels up to 12, 13 and 14 are embargoed, 17..19 reach into 20.
    assert [i for i in first.train.tolist() if i < 20] == [15, 16]


def test_chains_do_not_overlap() -> None:
    starts, ends = grid(20, 4)
    assert v.non_overlapping(starts, ends, first=1).tolist() == [1, 5, 9, 13, 17]


@pytest.mark.parametrize(
    ("starts", "ends", "embargo", "message"),
    [
        ([2, 1], [3, 3], 0, "not ascending"),
        ([1, 2], [0, 3], 0, "ends before it starts, first at position 0"),
        ([1, 2], [2, 3], -1, "embargo is -1"),
        ([1, 2], [2], 0, "expected two equal"),
    ],
)
def test_unfit_times_are_refused(starts: list[int], ends: list[int], embargo: int, message: str) -> None:
    with pytest.raises(v.ValidationError, match=message):
        v.purged_train(np.asarray(starts), np.asarray(ends), np.asarray([0]), embargo=embargo)


def test_settings_outside_their_range_are_refused() -> None:
    starts, ends = grid(50, 1)
    with pytest.raises(v.ValidationError, match=r"folds is 1; allowed are 2\.\.50"):
        v.purged_k_fold(starts, ends, folds=1, embargo=0)
    with pytest.raises(v.ValidationError, match="first_train"):
        v.walk_forward(starts, ends, folds=2, embargo=0, first_train=1.0)
    with pytest.raises(v.ValidationError, match="no training sample is left before position 20"):
        v.walk_forward(starts, ends, folds=2, embargo=100)
    with pytest.raises(v.ValidationError, match="test_groups"):
        v.combinatorial_purged(starts, ends, groups=4, test_groups=4, embargo=0)
    with pytest.raises(v.ValidationError, match="allowed are 50000"):
        v.combinatorial_purged(*grid(100, 0), groups=30, test_groups=15, embargo=0)

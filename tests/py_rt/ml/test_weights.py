"""Sample weights by average uniqueness and time decay."""

from __future__ import annotations

import numpy as np
import polars as pl
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from py_rt.ml.labels import forward_return_labels
from py_rt.ml.weights import WeightError, average_uniqueness, concurrency, time_decay, with_weights

spans = st.lists(st.tuples(st.integers(-30, 60), st.integers(0, 15)), min_size=1, max_size=25)


def test_the_pinned_spans() -> None:
    found = average_uniqueness(np.array([0, 1, 2, 5]), np.array([2, 3, 4, 6]))
    assert found == pytest.approx([11 / 18, 4 / 9, 11 / 18, 1.0], abs=1e-15)
    assert found.round(6).tolist() == [0.611111, 0.444444, 0.611111, 1.0]


@settings(deadline=None)
@given(spans, st.integers(1, 7))
def test_uniqueness_is_that_of_the_definition(items: list[tuple[int, int]], step: int) -> None:
    starts = np.array([start * step for start, _ in items])
    ends = np.array([(start + length) * step for start, length in items])
    alive = {at: sum(start <= at <= start + length for start, length in items) for at in range(-31, 80)}
    wanted = [np.mean([1 / alive[at] for at in range(start, start + length + 1)]) for start, length in items]
    assert average_uniqueness(starts, ends, step=step) == pytest.approx(wanted, rel=1e-12)
    times, counts = concurrency(starts, ends, step=step)
    for time, count in zip(times.tolist(), counts.tolist(), strict=True):
        assert count == alive[time // step]


@settings(deadline=None)
@given(spans)
def test_uniqueness_lies_between_one_over_all_and_one_and_order_does_not_matter(items: list[tuple[int, int]]) -> None:
    starts, ends = np.array([start for start, _ in items]), np.array([start + length for start, length in items])
    found = average_uniqueness(starts, ends)
    assert ((found >= 1 / len(items)) & (found <= 1)).all()
    assert average_uniqueness(starts[::-1], ends[::-1])[::-1] == pytest.approx(found, rel=1e-12)


def test_a_million_labels_of_one_horizon_have_one_uniqueness_but_at_the_ends() -> None:
    starts = np.arange(1_000_000, dtype=np.int64) * 900
    found = average_uniqueness(starts, starts + 4 * 900, step=900)
    # Five moments of life, five labels alive at each.
    np.testing.assert_allclose(found[10:-10], 0.2, rtol=1e-9)
    assert found[0] > found[1] > found[5]


@settings(deadline=None)
@given(spans, st.floats(-0.95, 1.0))
def test_decay_is_a_line_along_the_uniqueness_gathered(items: list[tuple[int, int]], oldest: float) -> None:
    starts, ends = np.array([start for start, _ in items]), np.array([start + length for start, length in items])
    unique = average_uniqueness(starts, ends)
    weights = time_decay(unique, starts, oldest=oldest)
    newest = np.argsort(starts, kind="stable")[-1]
    assert weights[newest] == pytest.approx(1.0)
    assert ((weights >= 0) & (weights <= 1 + 1e-12)).all()
    in_order = weights[np.argsort(starts, kind="stable")]
    assert (np.diff(in_order) >= -1e-12).all()
    share = np.cumsum(unique[np.argsort(starts, kind="stable")]) / unique.sum()
    slope = 1 - oldest if oldest >= 0 else 1 / (1 + oldest)
    assert in_order == pytest.approx(np.maximum(0, 1 - slope * (1 - share)), abs=1e-9)


def test_weights_of_labels_have_mean_one_and_need_no_order() -> None:
    closes = np.random.default_rng(3).integers(90, 110, 200)
    bars = pl.DataFrame({"ts_close": np.arange(1, 201) * 900, "close": closes})
    labels = forward_return_labels(bars, horizon_bars=4, bar_ns=900)
    weighted = with_weights(labels, bar_ns=900, oldest=0.25)
    assert weighted["weight"].mean() == pytest.approx(1.0)
    assert weighted["weight"][0] < weighted["weight"][-20]
    assert weighted.columns == [*labels.columns, "uniqueness", "weight"]
    again = with_weights(labels.reverse(), bar_ns=900, oldest=0.25).reverse()
    assert again["weight"].to_numpy() == pytest.approx(weighted["weight"].to_numpy(), rel=1e-12)
    assert with_weights(labels.clear(), bar_ns=900).height == 0


@pytest.mark.parametrize(
    ("starts", "ends", "step", "message"),
    [
        ([0, 5], [1, 4], 1, "label 1 lives from 5 to 4"),
        ([0], [5], 2, "whole steps of 2"),
        ([0], [1, 2], 1, "two arrays of one length"),
        ([0], [1], 0, "step is 0"),
        ([0.5], [1.5], 1, "wanted integers"),
    ],
)
def test_unfit_spans_are_refused(starts: list[int], ends: list[int], step: int, message: str) -> None:
    with pytest.raises(WeightError, match=message):
        average_uniqueness(np.array(starts), np.array(ends), step=step)


def test_other_unfit_input_is_refused() -> None:
    for oldest in (-1.0, 1.5, float("nan")):
        with pytest.raises(WeightError, match="allowed is above -1"):
            time_decay(np.ones(2), np.arange(2), oldest=oldest)
    with pytest.raises(WeightError, match="not above 0"):
        time_decay(np.zeros(2), np.arange(2), oldest=1.0)
    with pytest.raises(WeightError, match="2 values of uniqueness for 3"):
        time_decay(np.ones(2), np.arange(3), oldest=1.0)
    with pytest.raises(WeightError, match=r"lack the columns \['label_end_ts'\]"):
        with_weights(pl.DataFrame({"ts_close": [1]}), bar_ns=1)
    with pytest.raises(WeightError, match="nulls"):
        with_weights(pl.DataFrame({"ts_close": [1, None], "label_end_ts": [2, 3]}), bar_ns=1)

"""Labels that look along the path: triple barrier, meta-labels, trend scanning."""

from __future__ import annotations

from fractions import Fraction

import numpy as np
import polars as pl
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from scipy import stats

from py_rt.ml.labels import (
    MAX_T_VALUE,
    LabelError,
    meta_labels,
    trend_scanning_labels,
    triple_barrier_labels,
)

STEP = 10
PINNED = [100, 101, 103, 102, 99, 98, 101, 104]


def bars(closes: list[int]) -> pl.DataFrame:
    times = [STEP * (at + 1) for at in range(len(closes))]
    return pl.DataFrame({"ts_close": times, "close": closes}, schema={"ts_close": pl.Int64, "close": pl.Int64})


def barrier(
    table: pl.DataFrame, horizon: int, upper: float | None = 0.02, lower: float | None = 0.02, width: str | None = None
) -> pl.DataFrame:
    return triple_barrier_labels(table, upper=upper, lower=lower, horizon_bars=horizon, bar_ns=STEP, width=width)


def first_touch(
    closes: list[int], at: int, up: Fraction | None, down: Fraction | None, horizon: int
) -> tuple[int, int]:
    """The definition, one bar at a time, in fractions."""
    for later in range(at + 1, at + horizon + 1):
        ratio = Fraction(closes[later], closes[at]) - 1
        if up is not None and ratio >= up:
            return 1, later
        if down is not None and ratio <= -down:
            return -1, later
    return 0, at + horizon


def test_the_pinned_path_of_the_triple_barrier() -> None:
    made = barrier(bars(PINNED), 3)
    assert made.select("label", pl.col("label_end_ts") // STEP - 1).rows() == [(1, 2), (0, 4), (-1, 4), (-1, 4), (1, 6)]
    assert made.schema["label"] == pl.Int8
    assert made["ret"].to_list() == pytest.approx([0.03, 99 / 101 - 1, 99 / 103 - 1, 99 / 102 - 1, 101 / 99 - 1])


closes_lists = st.lists(st.integers(1, 400) | st.integers(5 * 10**12, 7 * 10**12), min_size=2, max_size=30)
widths = st.none() | st.integers(1, 2_000_000)


@settings(deadline=None)
@given(closes_lists, widths, widths, st.integers(1, 6))
def test_the_first_touch_is_that_of_the_definition_in_fractions(
    closes: list[int], up: int | None, down: int | None, horizon: int
) -> None:
    if up is None and down is None:
        up = 1
    upper, lower = (None if ppm is None else ppm / 1_000_000 for ppm in (up, down))
    exact_up, exact_down = (None if ppm is None else Fraction(ppm, 1_000_000) for ppm in (up, down))
    made = barrier(bars(closes), horizon, upper, lower)
    wanted = [first_touch(closes, at, exact_up, exact_down, horizon) for at in range(max(0, len(closes) - horizon))]
    assert made.select("label", pl.col("label_end_ts") // STEP - 1).rows() == wanted


@settings(deadline=None)
@given(closes_lists, st.integers(1, 6))
def test_a_label_depends_only_on_bars_up_to_its_end(closes: list[int], horizon: int) -> None:
    whole = barrier(bars(closes), horizon)
    for row, (end,) in enumerate(whole.select(pl.col("label_end_ts") // STEP).iter_rows()):
        # Whatever comes after the end of the label, a wild price or none, leaves it as it is.
        wild = closes[:end] + [1 + 997 * close for close in closes[end:]]
        assert barrier(bars(wild), horizon).row(row) == whole.row(row)
    for cut in range(1, len(closes)):
        assert barrier(bars(closes[:cut]), horizon).equals(whole.head(max(0, cut - horizon)))


def test_a_barrier_exactly_touched_is_touched_and_one_unit_short_is_not() -> None:
    close = 60_000 * 10**8
    up, down = close * 102 // 100, close * 98 // 100
    for later, label in ((up, 1), (up - 1, 0), (down, -1), (down + 1, 0)):
        assert barrier(bars([close, later]), 1)["label"].to_list() == [label]


def test_a_width_of_each_bar_scales_the_barriers_and_a_bar_without_one_has_no_label() -> None:
    table = bars(PINNED).with_columns(pl.Series("sigma", [0.01, None, 0.02, float("nan"), 0.0, 1.0, 1.0, 1.0]))
    made = barrier(table, 3, upper=2.0, lower=2.0, width="sigma")
    assert made.select("ts_close", "label", "label_end_ts").rows() == [(10, 1, 30), (30, -1, 60)]


def test_a_barrier_that_no_price_reaches_is_like_none() -> None:
    close = [9 * 10**18, 1, 9 * 10**18]
    far, none = barrier(bars(close), 1, upper=100.0, lower=1.5), barrier(bars(close), 1, upper=None, lower=1.5)
    assert far["label"].to_list() == [0, 1]
    assert none["label"].to_list() == [0, 0]


@settings(deadline=None)
@given(closes_lists, st.data(), st.integers(1, 5), st.sampled_from([0.0, 0.01]))
def test_meta_labels_are_barriers_seen_from_the_side(
    closes: list[int], data: st.DataObject, horizon: int, cost: float
) -> None:
    sides = data.draw(st.lists(st.sampled_from([1, -1, 0, None]), min_size=len(closes), max_size=len(closes)))
    table = bars(closes).with_columns(pl.Series("side", sides, dtype=pl.Int8))
    made = meta_labels(
        table, side="side", take_profit=0.03, stop_loss=0.01, horizon_bars=horizon, bar_ns=STEP, cost=cost
    )
    longs, shorts = barrier(table, horizon, 0.03, 0.01), barrier(table, horizon, 0.01, 0.03)
    wanted = []
    for at in range(longs.height):
        side = sides[at]
        if side:
            seen = (longs if side > 0 else shorts).row(at, named=True)
            wanted.append((seen["ts_close"], int(side * seen["ret"] > cost), seen["label_end_ts"], side * seen["ret"]))
    assert made.select("ts_close", "label", "label_end_ts", "ret").rows() == wanted


def scan(table: pl.DataFrame, least: int, greatest: int) -> pl.DataFrame:
    return trend_scanning_labels(table, min_horizon_bars=least, max_horizon_bars=greatest, bar_ns=STEP)


@settings(max_examples=30, deadline=None)
@given(st.integers(0, 2**32 - 1), st.integers(12, 30), st.integers(2, 4), st.integers(0, 5))
def test_the_trend_is_the_regression_with_the_largest_t_value(seed: int, size: int, least: int, more: int) -> None:
    steps = np.random.default_rng(seed).integers(-50, 51, size)
    closes = (6 * 10**12 + 10**8 * np.cumsum(steps)).tolist()
    made = scan(bars(closes), least, least + more)
    for at, row in enumerate(made.iter_rows(named=True)):
        fits = {}
        for horizon in range(least, least + more + 1):
            y = np.array(closes[at : at + horizon + 1], dtype=np.float64) - closes[at]
            fit = stats.linregress(np.arange(horizon + 1), y)
            straight = fit.stderr <= 1e-9 * abs(fit.slope)
            fits[horizon] = np.sign(fit.slope) * MAX_T_VALUE if straight else fit.slope / fit.stderr
        chosen = row["trend_end_ts"] // STEP - 1 - at
        largest = max(abs(value) for value in fits.values())
        assert abs(fits[chosen]) == pytest.approx(largest, rel=1e-6)
        assert row["t_value"] == pytest.approx(fits[chosen], rel=1e-6)
        assert row["label"] == np.sign(fits[chosen])
        assert row["ret"] == closes[at + chosen] / closes[at] - 1.0


@settings(deadline=None)
@given(st.lists(st.integers(1, 400), min_size=4, max_size=25), st.integers(2, 4), st.integers(0, 3))
def test_a_trend_depends_only_on_bars_up_to_when_it_is_known(closes: list[int], least: int, more: int) -> None:
    whole = scan(bars(closes), least, least + more)
    assert (whole["label_end_ts"] - whole["ts_close"] == STEP * (least + more)).all()
    assert (whole["trend_end_ts"] <= whole["label_end_ts"]).all()
    for cut in range(1, len(closes)):
        assert scan(bars(closes[:cut]), least, least + more).equals(whole.head(max(0, cut - least - more)))


def test_flat_prices_have_no_trend_and_perfect_lines_the_longest() -> None:
    flat = scan(bars([7] * 6), 2, 4)
    assert flat.select("label", "t_value").unique().rows() == [(0, 0.0)]
    line = scan(bars([100, 98, 96, 94, 92]), 2, 4)
    assert line.select("label", "t_value", "trend_end_ts").rows() == [(-1, -MAX_T_VALUE, 50)]


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        ({"upper": None, "lower": None}, "neither"),
        ({"upper": 0.0}, "upper is 0.0; allowed"),
        ({"lower": float("nan")}, "lower is nan; allowed"),
        ({"upper": 101.0}, "at most 100"),
        ({"horizon": 0}, "allowed is 1 to"),
        ({"width": "sigma"}, r"lack the columns \['sigma'\]"),
    ],
)
def test_barriers_out_of_range_are_refused(arguments: dict[str, object], message: str) -> None:
    with pytest.raises(LabelError, match=message):
        barrier(bars(PINNED), **({"horizon": 2} | arguments))  # type: ignore[arg-type]


def test_other_unfit_input_is_refused() -> None:
    with pytest.raises(LabelError, match="close is Float64"):
        barrier(bars(PINNED).with_columns(pl.col("close").cast(pl.Float64)), 2)
    with pytest.raises(LabelError, match="not on a grid"):
        barrier(bars(PINNED)[[0, 2, 3]], 1)
    with pytest.raises(LabelError, match="least <= greatest"):
        scan(bars(PINNED), 1, 3)
    with pytest.raises(LabelError, match="least <= greatest"):
        scan(bars(PINNED), 4, 3)
    odd = bars(PINNED).with_columns(side=pl.lit(2))
    both = {"take_profit": 0.1, "stop_loss": 0.1, "horizon_bars": 1, "bar_ns": STEP}
    with pytest.raises(LabelError, match="values other than 1"):
        meta_labels(odd, side="side", **both)  # type: ignore[arg-type]
    with pytest.raises(LabelError, match="cost is -1"):
        meta_labels(odd, side="side", cost=-1.0, **both)  # type: ignore[arg-type]


def test_too_few_bars_give_no_rows_and_the_same_columns() -> None:
    few, many = barrier(bars([5, 6]), 4), barrier(bars(PINNED), 3)
    assert (few.height, few.schema) == (0, many.schema)
    few, many = scan(bars([5, 6]), 2, 4), scan(bars(PINNED), 2, 4)
    assert (few.height, few.schema) == (0, many.schema)


def test_lines_laid_in_blocks_are_those_laid_at_once(monkeypatch: pytest.MonkeyPatch) -> None:
    table = bars(np.random.default_rng(5).integers(100, 200, 50).tolist())
    whole = scan(table, 2, 6)
    monkeypatch.setattr("py_rt.ml.labels._BLOCK_BARS", 7)
    assert scan(table, 2, 6).equals(whole)

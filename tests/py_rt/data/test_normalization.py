"""Normalization: formulas, no look-ahead, numbers that carry it elsewhere, and values at the edge of numbers."""

from __future__ import annotations

import json
import math
from fractions import Fraction

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from py_rt.data.normalization import (
    KNOTS_MAX,
    METHODS,
    OUTPUT_MAX,
    FitError,
    Method,
    Normalization,
    Window,
    expanding_windows,
    fit,
    from_json,
    from_text,
    to_text,
    walk_forward,
)

anything = st.floats(allow_nan=True, allow_infinity=True, width=64)
columns = st.lists(anything, min_size=2, max_size=60).filter(lambda xs: sum(map(math.isfinite, xs)) >= 2)
methods = st.sampled_from(METHODS)


def test_the_formulas() -> None:
    x = np.array([1.0, 2.0, 4.0, 7.0, 100.0])
    assert fit(x, "z_score").apply(x) == pytest.approx((x - x.mean()) / x.std())
    assert fit(x, "min_max").apply(x) == pytest.approx((x - 1) / 99)
    assert fit(x, "robust").apply(x) == pytest.approx((x - 4) / (5 / 1.3489795003921634))
    assert fit(x, "rank").apply(x) == pytest.approx([0.1, 0.3, 0.5, 0.7, 0.9])
    held = np.clip(x, 2, 7)
    assert fit(x, "winsorized", tail=0.2).apply(x) == pytest.approx((held - held.mean()) / held.std())


def test_what_is_not_finite_is_left_out_of_the_fit_and_stays_unknown() -> None:
    x = np.array([1.0, np.nan, 3.0, np.inf])
    one = fit(x, "z_score")
    assert (one.center, one.scale, one.rows) == (2.0, 1.0, 2)
    assert np.isnan(one.apply(x)).tolist() == [False, True, False, True]


@pytest.mark.parametrize("method", METHODS)
def test_a_constant_column_says_nothing(method: Method) -> None:
    results = fit(np.full(9, 0.1), method).apply(np.array([0.1, 5.0]))
    assert np.isfinite(results).all()
    if method != "rank":
        assert results.tolist() == [0.0, 0.0]


@given(values=columns, method=methods, value=anything)
def test_online_is_offline_bit_for_bit_after_the_way_through_json(
    values: list[float], method: Method, value: float
) -> None:
    one = fit(np.array(values), method)
    carried = from_json(json.loads(json.dumps(one.as_json(), allow_nan=False)))
    assert carried == one
    offline = one.apply(np.array([value, *values]))
    online = np.array([carried.apply_one(x) for x in [value, *values]])
    assert offline.tobytes() == online.tobytes() or np.array_equal(offline, online, equal_nan=True)


@given(values=columns, method=methods, value=anything)
def test_every_result_is_a_bounded_number_or_unknown(values: list[float], method: Method, value: float) -> None:
    result = fit(np.array(values), method).apply_one(value)
    assert math.isnan(result) == (not math.isfinite(value))
    assert math.isnan(result) or abs(result) <= OUTPUT_MAX


@given(
    values=st.lists(st.floats(-1e9, 1e9), min_size=30, max_size=60),
    future=st.lists(anything, min_size=1, max_size=30),
    method=methods,
)
def test_changing_the_future_changes_nothing_before(values: list[float], future: list[float], method: Method) -> None:
    x, y = np.array(values), np.array(values)
    cut = len(values) - min(len(future), 15)
    y[cut:] = np.resize(np.array(future), len(values) - cut)
    windows = expanding_windows(len(x), 10, 5)
    one, fits = walk_forward(x, windows, method)
    other, other_fits = walk_forward(y, windows, method)
    assert one[:cut].tobytes() == other[:cut].tobytes()
    seen = [i for i, window in enumerate(windows) if window.train_end <= cut]
    assert [fits[i] for i in seen] == [other_fits[i] for i in seen]


@given(values=st.lists(st.floats(-1e6, 1e6), min_size=2, max_size=50), method=methods)
def test_order_is_kept(values: list[float], method: Method) -> None:
    x = np.sort(np.array(values))
    assert (np.diff(fit(x, method).apply(x)) >= 0).all()


@given(
    values=st.lists(st.floats(-1e3, 1e3), min_size=5, max_size=50, unique=True),
    power=st.integers(-60, 60),
    method=methods,
)
def test_units_do_not_matter(values: list[float], power: int, method: Method) -> None:
    x = np.array(values)
    if np.abs(x[x != 0]).min() < 1e-3 or np.ptp(x) < 1e-3:
        return
    scaled = x * 2.0**power
    assert fit(scaled, method).apply(scaled) == pytest.approx(fit(x, method).apply(x), rel=1e-9, abs=1e-12)


def test_rows_of_no_window_stay_unknown() -> None:
    result, fits = walk_forward(np.arange(10.0), [Window(2, 5, 7)], "z_score")
    assert np.flatnonzero(np.isfinite(result)).tolist() == [5, 6]
    assert fits[0].center == 3.0


def test_a_rank_keeps_a_bounded_number_of_knots() -> None:
    one = fit(np.arange(100_000.0), "rank")
    assert len(one.knots) == KNOTS_MAX
    assert one.apply_one(50_000.0) == pytest.approx(0.5, abs=2 / KNOTS_MAX)


def test_the_text_is_canonical() -> None:
    fits = {"b": fit(np.arange(5.0), "rank"), "a": fit(np.arange(7.0), "robust")}
    text = to_text(fits)
    assert to_text(dict(reversed(fits.items()))) == text
    assert from_text(text) == fits


BAD: dict[str, dict[str, object]] = {
    "method": {"method": "log"},
    "scale": {"scale": -1.0},
    "center": {"center": "much"},
    "knots": {"knots": [3.0, 1.0]},
    "bound": {"low": math.inf},
}


@pytest.mark.parametrize("what", BAD)
def test_numbers_that_are_no_normalization_are_refused(what: str) -> None:
    with pytest.raises(FitError):
        from_json(Normalization("z_score").as_json() | BAD[what])


def test_what_cannot_be_fitted_is_refused() -> None:
    for values in ([], [1.0], [math.nan, 2.0, math.inf]):
        with pytest.raises(FitError, match="finite training values"):
            fit(np.array(values), "z_score")
    with pytest.raises(FitError, match="no share"):
        fit(np.arange(5.0), "winsorized", tail=0.5)
    with pytest.raises(FitError, match="needed is"):
        Window(5, 5, 9)
    with pytest.raises(FitError, match="beyond"):
        walk_forward(np.arange(5.0), [Window(0, 3, 9)], "z_score")
    for text in ("{", "[]", '{"a": {}}'):
        with pytest.raises(FitError):
            from_text(text)


@pytest.mark.parametrize(
    ("tail", "rows"), [(0.29, 100), (0.07, 100), (0.28, 100), (0.14, 50), (0.125, 20), (0.4999999999, 2)]
)
def test_a_tail_is_the_whole_number_of_rows_that_it_says(tail: float, rows: int) -> None:
    one = fit(np.arange(rows, dtype=np.float64), "winsorized", tail=tail)
    cut = math.floor(Fraction(str(tail)) * rows)
    assert (one.low, one.high) == (cut, rows - 1 - cut)

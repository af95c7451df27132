"""Forward-return labels."""

from __future__ import annotations

import polars as pl
import pytest
from hypothesis import given
from hypothesis import strategies as st

from py_rt.ml.labels import LabelError, forward_return_labels


def bars(closes: list[int], step: int = 10) -> pl.DataFrame:
    return pl.DataFrame(
        {"ts_close": [step * (i + 1) for i in range(len(closes))], "close": closes},
        schema={"ts_close": pl.Int64, "close": pl.Int64},
    )


def test_types_are_those_of_the_labels_table() -> None:
    result = forward_return_labels(bars([5, 6, 7]), horizon_bars=1, bar_ns=10)
    assert dict(result.schema) == {
        "ts_close": pl.Int64,
        "close": pl.Int64,
        "label": pl.Int8,
        "label_end_ts": pl.Int64,
        "ret": pl.Float64,
    }


def test_an_unchanged_close_is_not_a_rise() -> None:
    assert forward_return_labels(bars([5, 5]), horizon_bars=1, bar_ns=10)["label"].to_list() == [0]


def test_the_label_compares_integers_that_a_float_cannot_tell_apart() -> None:
    close = 2**60
    assert forward_return_labels(bars([close, close + 1]), horizon_bars=1, bar_ns=10)["label"].to_list() == [1]


@given(st.lists(st.integers(1, 10**14), min_size=2, max_size=40), st.integers(1, 6))
def test_a_label_depends_only_on_bars_up_to_its_end(closes: list[int], horizon: int) -> None:
    whole = forward_return_labels(bars(closes), horizon_bars=horizon, bar_ns=10)
    for cut in range(1, len(closes)):
        part = forward_return_labels(bars(closes[:cut]), horizon_bars=horizon, bar_ns=10)
        assert part.equals(whole.head(max(0, cut - horizon)))
    assert (whole["label_end_ts"] - whole["ts_close"] == 10 * horizon).all()


@pytest.mark.parametrize(
    ("table", "message"),
    [
        (bars([1, 2, 3]).filter(pl.col("close") != 2), "not on a grid of 10 ns: step 20 after ts_close 10"),
        (bars([1, 2, 3]).reverse(), "not on a grid"),
        (bars([1, 0, 3]), "not above 0"),
        (bars([1, 2]).drop("close"), r"lack the columns \['close'\]"),
        (pl.DataFrame({"ts_close": [10, 20], "close": [1, None]}), "nulls"),
        (bars([1, 2]).with_columns(pl.col("close").cast(pl.Float64)), "close is Float64; wanted Int64"),
        (bars([2, 1]).with_columns(pl.col("close").cast(pl.UInt64)), "close is UInt64; wanted Int64"),
    ],
)
def test_unfit_bars_are_refused(table: pl.DataFrame, message: str) -> None:
    with pytest.raises(LabelError, match=message):
        forward_return_labels(table, horizon_bars=1, bar_ns=10)


def test_horizon_zero_is_refused_and_a_long_one_gives_no_rows() -> None:
    with pytest.raises(LabelError, match="at least 1"):
        forward_return_labels(bars([1, 2]), horizon_bars=0, bar_ns=10)
    assert forward_return_labels(bars([1, 2]), horizon_bars=5, bar_ns=10).height == 0

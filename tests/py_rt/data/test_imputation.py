"""Imputation: each policy, flags, and no look at what comes later."""

from __future__ import annotations

from typing import TYPE_CHECKING

import numpy as np
import polars as pl
import pytest
from hypothesis import given
from hypothesis import strategies as st

from py_rt.data.imputation import KINDS, ImputationError, Kind, Policy, fill, impute, impute_known, read_policies
from py_rt.defaults import default_root

if TYPE_CHECKING:
    from pathlib import Path

NAN = float("nan")
values = st.lists(st.floats(allow_nan=True, allow_infinity=False), min_size=1, max_size=80)
kinds = st.sampled_from(KINDS)


def test_the_last_value_is_held_up_to_the_limit() -> None:
    x = np.array([NAN, 1.0, NAN, NAN, NAN, 5.0, NAN])
    assert fill(x, Policy("forward_fill", limit=2)).tolist() == pytest.approx(
        [NAN, 1.0, 1.0, 1.0, NAN, 5.0, 5.0], nan_ok=True
    )


def test_a_line_is_continued_from_the_past() -> None:
    x = np.array([1.0, 2.0, 3.0, NAN, NAN, 100.0])
    assert fill(x, Policy("linear", window=3)).tolist() == pytest.approx([1.0, 2.0, 3.0, 4.0, 5.0, 100.0])


def test_the_median_is_of_the_window() -> None:
    x = np.array([100.0, 1.0, 3.0, 2.0, NAN])
    assert fill(x, Policy("median", window=3))[-1] == 2.0


def test_a_model_follows_a_wave_better_than_the_last_value() -> None:
    wave = np.sin(np.arange(300) / 5) * 10 + 50
    x = wave.copy()
    gaps = np.r_[200:204, 250:254, 290:294]
    x[gaps] = NAN
    error = {kind: np.abs(fill(x, Policy(kind, window=150)) - wave)[gaps].mean() for kind in ("model", "forward_fill")}
    assert error["model"] < error["forward_fill"] / 5


@pytest.mark.parametrize("kind", KINDS)
def test_constants_stay_constant(kind: Kind) -> None:
    x = np.full(60, 7.5)
    x[30:35] = NAN
    filled = fill(x, Policy(kind))
    assert (filled[:30] == 7.5).all()
    assert np.isnan(filled[30:35]).all() if kind == "leave" else filled[30:35] == pytest.approx(7.5)


@given(column=values, future=values, kind=kinds, limit=st.integers(1, 10), cut=st.integers(0, 80))
def test_changing_the_future_changes_nothing_before(
    column: list[float], future: list[float], kind: Kind, limit: int, cut: int
) -> None:
    policy = Policy(kind, limit=limit, window=20, lags=2)
    cut = min(cut, len(column))
    one = fill(np.array(column), policy)
    other = fill(np.array([*column[:cut], *future]), policy)
    assert one[:cut].tobytes() == other[:cut].tobytes()


@given(column=values, kind=kinds)
def test_observed_values_keep_their_bits_and_flags_tell_the_imputed(column: list[float], kind: Kind) -> None:
    frame = impute(pl.DataFrame({"x": column}, schema={"x": pl.Float64}), {"x": Policy(kind)})
    x = np.array(column)
    filled, flags = frame["x"].fill_null(NAN).to_numpy(), frame["x_imputed"].to_numpy()
    seen = ~np.isnan(x)
    assert filled[seen].tobytes() == x[seen].tobytes()
    assert (flags == (~seen & ~np.isnan(filled))).all()
    assert np.isfinite(filled[flags]).all()


@given(st.lists(st.sampled_from([1e308, -1e308, 5e-324, 0.0, NAN]), min_size=1, max_size=60), kinds)
def test_huge_and_tiny_values_give_numbers(column: list[float], kind: Kind) -> None:
    filled = fill(np.array(column), Policy(kind, window=30, lags=2))
    assert not np.isinf(filled).any()


def test_columns_have_their_own_policies_and_the_rest_stays() -> None:
    frame = pl.DataFrame({"a": [1, None, 4], "b": [1.0, None, float("inf")], "c": ["x", None, "y"]})
    filled = impute(frame, {"a": Policy("linear"), "b": Policy("leave")})
    assert filled.columns == ["a", "b", "c", "a_imputed", "b_imputed"]
    assert filled["a"].to_list() == [1, 1, 4]
    assert filled["a"].dtype == pl.Int64
    assert filled["a_imputed"].to_list() == [False, True, False]
    assert filled["b"].to_list() == [1.0, None, None]
    assert filled["b_imputed"].to_list() == [False, False, False]
    assert filled["c"].equals(frame["c"])


def test_what_cannot_be_is_refused() -> None:
    frame = pl.DataFrame({"a": [1.0], "c": ["x"], "a_imputed": [True]})
    for column, words in (("z", "no column"), ("c", "no numbers"), ("a", "already")):
        with pytest.raises(ImputationError, match=words):
            impute(frame, {column: Policy()})
    with pytest.raises(ImputationError, match="at least"):
        Policy(limit=0)
    with pytest.raises(ImputationError, match="no policy"):
        Policy("guess")  # type: ignore[arg-type]


@pytest.mark.parametrize("dtype", [pl.UInt32, pl.Int8, pl.Int64])
def test_what_the_type_cannot_hold_is_the_nearest_that_it_can(dtype: type[pl.DataType]) -> None:
    least = pl.select(dtype.min()).item()  # type: ignore[attr-defined]
    frame = pl.DataFrame({"v": pl.Series([least + 30, least + 10, None, None], dtype=dtype)})
    filled = impute(frame, {"v": Policy("linear", window=2)})
    assert filled["v"].to_list() == [least + 30, least + 10, least, least]
    assert filled["v_imputed"].to_list() == [False, False, True, True]


def test_a_series_is_never_filled_from_another() -> None:
    frame = pl.DataFrame({"who": ["A", "B", "A", "B", "A"], "v": [1.0, None, None, 50.0, None]})
    filled = impute(frame, {"v": Policy("forward_fill")}, by=["who"])
    assert filled["v"].to_list() == [1.0, None, 1.0, 50.0, 1.0]
    assert filled["v_imputed"].to_list() == [False, False, True, False, True]
    with pytest.raises(ImputationError, match="no column 'whom'"):
        impute(frame, {"v": Policy()}, by=["whom"])


def test_each_series_is_filled_from_itself_alone() -> None:
    frame = pl.DataFrame({"symbol": ["a", "b", "a", "b", "b"], "x": [1.0, 100.0, None, None, 7.0]})
    filled = impute(frame, {"x": Policy("forward_fill")}, by=["symbol"])
    assert filled["x"].to_list() == [1.0, 100.0, 1.0, 100.0, 7.0]
    assert filled["x_imputed"].to_list() == [False, False, True, True, False]
    with pytest.raises(ImputationError, match="which series"):
        impute(frame.with_columns(symbol=pl.lit(None)), {"x": Policy()}, by=["symbol"])


def test_a_column_of_whole_numbers_holds_what_its_type_cannot() -> None:
    falling = pl.DataFrame({"v": pl.Series([300, 200, 100, None, None], dtype=pl.UInt32)})
    filled = impute(falling, {"v": Policy("linear")})
    assert filled["v"].to_list() == [300, 200, 100, 0, 0]
    assert filled["v_imputed"].to_list() == [False, False, False, True, True]


def test_policies_are_read_from_a_file_and_its_faults_are_told(tmp_path: Path) -> None:
    path = tmp_path / "imputation.toml"
    path.write_text('[clean_bars.volume]\nkind = "model"\nwindow = 50\n')
    assert read_policies(path) == {"clean_bars": {"volume": Policy("model", window=50)}}
    for text, words in (
        ("[clean_bars", "no TOML"),
        ("clean_bars = 1", "wanted a table"),
        ("[clean_bars.volume]\nwindow = 5", "kind is text and needed"),
        ('[clean_bars.volume]\nkind = "model"\nlags = true', "lags"),
        ('[clean_bars.volume]\nkind = "model"\nwidth = 5', "allowed are kind, limit, window, lags"),
        ('[clean_bars.volume]\nkind = "guess"', "clean_bars.volume: no policy is called"),
    ):
        path.write_text(text)
        with pytest.raises(ImputationError, match=words):
            read_policies(path)
    with pytest.raises(ImputationError, match="cannot be read"):
        read_policies(tmp_path / "absent.toml")


def test_the_shipped_file_has_no_policy() -> None:
    assert read_policies(default_root() / "config" / "imputation.toml") == {}


@pytest.mark.parametrize("name", ["_row", "_order", ""])
def test_a_series_may_be_called_anything(name: str) -> None:
    frame = pl.DataFrame({name: ["a", "b", "a"], "x": [1.0, 2.0, None], "ts_known": [1, 2, 3]})
    assert impute(frame, {"x": Policy()}, by=[name])["x"].to_list() == [1.0, 2.0, 1.0]
    known = impute_known(frame.reverse(), {"x": Policy()}, by=[name], order=[name])
    assert known["x"].to_list() == [1.0, 2.0, 1.0]
    assert known.columns == [name, "x", "ts_known", "x_imputed"]

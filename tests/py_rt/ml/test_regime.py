"""Regimes: fitted on the past, filtered by the past, equal to what the library would say of a series cut off."""

from __future__ import annotations

import io
import os
import zipfile
from pathlib import Path

import numpy as np
import polars as pl
import pytest
from hmmlearn.hmm import GaussianHMM  # type: ignore[import-untyped]
from hypothesis import given, settings
from hypothesis import strategies as st

from py_rt.ml.regime import RegimeError, RegimeFilter, RegimeModel, fit_regimes, walk_forward_regimes

SHARED = Path(os.environ.get("PY_RT_SHARED_DATA", Path(__file__).resolve().parents[4] / "shared" / "data"))
SPY = SHARED / "bars_us_equity_daily_1998_2021" / "equity__usa__daily__spy.zip"
needs_data = pytest.mark.skipif(not SPY.is_file(), reason=f"no {SPY}")

COLUMNS = ("ret", "log_range")


@pytest.fixture(scope="module")
def spy() -> pl.DataFrame:
    with zipfile.ZipFile(SPY) as archive:
        text = archive.read(archive.namelist()[0])
    names = ["time", "open", "high", "low", "close", "volume"]
    frame = pl.read_csv(io.BytesIO(text), has_header=False, new_columns=names, infer_schema=False)
    prices = frame.select(
        pl.col("time").str.slice(0, 8).str.to_date("%Y%m%d").alias("date"),
        *(pl.col(name).cast(pl.Float64) for name in names[1:5]),
    )
    return prices.select(
        "date",
        pl.col("close").log().diff().alias("ret"),
        ((pl.col("high") / pl.col("low")).log() + 1e-4).log().alias("log_range"),
    ).drop_nulls()


def library(model: RegimeModel) -> GaussianHMM:
    hmm = GaussianHMM(model.states, covariance_type="diag")
    hmm.startprob_, hmm.transmat_ = model.start, model.transition
    hmm.means_, hmm.covars_ = model.means, model.variances
    return hmm


def cut_off(model: RegimeModel, values: np.ndarray) -> np.ndarray:
    """Filtered probabilities as the library has them: the last smoothed ones of each beginning of the series."""
    hmm = library(model)
    return np.array([hmm.predict_proba(values[: end + 1])[-1] for end in range(len(values))])


@needs_data
@pytest.mark.parametrize("states", [2, 3])
def test_real_regimes_are_filtered_as_the_library_does_on_a_series_cut_off(spy: pl.DataFrame, states: int) -> None:
    model = fit_regimes(spy.head(1_500), COLUMNS, states=states)
    later = spy.slice(2_500, 300)  # 2008
    ours = model.filtered(later)
    theirs = cut_off(model, later.select(COLUMNS).to_numpy())
    assert np.abs(ours - theirs).max() < 1e-9
    assert (np.diff(model.variances[:, 0]) > 0).all()
    # Smoothed ones know the end of the story: they are others.
    smoothed = library(model).predict_proba(later.select(COLUMNS).to_numpy())
    assert np.abs(ours - smoothed).max() > 0.1


@needs_data
def test_the_wild_state_is_that_of_the_crisis_and_models_know_only_what_came_before(spy: pl.DataFrame) -> None:
    walked = walk_forward_regimes(spy, COLUMNS, train_rows=1_000, refit_rows=500)
    assert walked["regime_1"].null_count() == 1_000
    crisis = walked.filter(pl.col("date").is_between(pl.date(2008, 9, 15), pl.date(2008, 12, 31)))["regime_1"].mean()
    calm = walked.filter(pl.col("date").is_between(pl.date(2017, 1, 1), pl.date(2017, 12, 31)))["regime_1"].mean()
    assert isinstance(crisis, float)
    assert isinstance(calm, float)
    assert crisis > 0.9
    assert calm < 0.1
    # Cut off at any row, everything before it has the same bits.
    for end in (1_300, 1_500, 1_977):
        assert walk_forward_regimes(spy.head(end), COLUMNS, train_rows=1_000, refit_rows=500).equals(walked.head(end))


def random_model(rng: np.random.Generator, states: int, width: int) -> RegimeModel:
    return RegimeModel(
        tuple(f"x{at}" for at in range(width)),
        rng.dirichlet(np.ones(states)),
        rng.dirichlet(np.ones(states), size=states),
        rng.normal(size=(states, width)),
        rng.uniform(0.05, 3.0, size=(states, width)),
    )


@settings(max_examples=40, deadline=None)
@given(st.integers(0, 2**32 - 1), st.integers(2, 4), st.integers(1, 3), st.integers(1, 40))
def test_any_model_is_filtered_as_the_library_does(seed: int, states: int, width: int, size: int) -> None:
    rng = np.random.default_rng(seed)
    model, values = random_model(rng, states, width), rng.normal(scale=2.0, size=(size, width))
    ours = model.filtered(pl.DataFrame(values, schema=list(model.columns)))
    assert np.abs(ours - cut_off(model, values)).max() < 1e-9
    assert ours.sum(axis=1) == pytest.approx(1.0)


@settings(deadline=None)
@given(st.integers(0, 2**32 - 1), st.integers(1, 29))
def test_a_filter_goes_on_from_its_state_with_the_same_bits(seed: int, cut: int) -> None:
    rng = np.random.default_rng(seed)
    model = random_model(rng, 3, 2)
    rows = pl.DataFrame(rng.normal(size=(30, 2)), schema=list(model.columns))
    whole = model.filtered(rows)
    first = model.filtered(rows.head(cut))
    again = RegimeModel.from_json(model.to_json()).filtered(rows.slice(cut), state=first[-1])
    assert np.array_equal(np.vstack([first, again]), whole)


def test_a_missing_observation_moves_the_states_on_and_a_far_one_is_no_division_by_zero() -> None:
    model = random_model(np.random.default_rng(1), 2, 1)
    online = RegimeFilter(model)
    before = online.update([0.3])
    assert online.update([float("nan")]) == pytest.approx(before @ model.transition)
    far = online.update([1e6])
    assert np.isfinite(far).all()
    assert far.sum() == pytest.approx(1.0)
    assert online.state is not None
    assert np.array_equal(online.state, far)


def test_a_planted_model_is_found_again_and_the_same_seed_gives_the_same_bits() -> None:
    planted = RegimeModel(
        ("ret",),
        np.array([1.0, 0.0]),
        np.array([[0.98, 0.02], [0.05, 0.95]]),
        np.array([[0.05], [-0.2]]),
        np.array([[0.04], [1.0]]),
    )
    sampled, hidden = library(planted).sample(6_000, random_state=3)
    rows = pl.DataFrame({"ret": sampled[:, 0]})
    model = fit_regimes(rows, ("ret",))
    assert model.transition == pytest.approx(planted.transition, abs=0.02)
    assert model.variances[:, 0] == pytest.approx(planted.variances[:, 0], rel=0.1)
    assert model.means[:, 0] == pytest.approx(planted.means[:, 0], abs=0.08)
    assert (model.filtered(rows).argmax(axis=1) == hidden).mean() > 0.9
    assert fit_regimes(rows, ("ret",)).to_json() == model.to_json()


def test_rows_that_bear_no_regimes_are_refused() -> None:
    rng = np.random.default_rng(4)
    noise = pl.DataFrame({"a": rng.normal(size=400), "b": [1.0] * 400})
    with pytest.raises(RegimeError, match="80 rows for 2 states"):
        fit_regimes(noise.head(80), ("a",))
    with pytest.raises(RegimeError, match=r"\['b'\] have one value only"):
        fit_regimes(noise, ("a", "b"))
    with pytest.raises(RegimeError, match=r"lack the columns \['c'\]"):
        fit_regimes(noise, ("c",))
    with pytest.raises(RegimeError, match="allowed are 2 to 8"):
        fit_regimes(noise, ("a",), states=1)
    with pytest.raises(RegimeError, match="infinite"):
        fit_regimes(noise.with_columns(a=pl.lit(float("inf"))), ("a",))
    outlier = noise.with_columns(a=pl.when(pl.int_range(pl.len()) == 7).then(1e6).otherwise("a"))
    with pytest.raises(RegimeError, match="explains less than 1%"):
        fit_regimes(outlier, ("a",))
    with pytest.raises(RegimeError, match="at least 1"):
        walk_forward_regimes(noise, ("a",), train_rows=0, refit_rows=1)


@pytest.mark.parametrize(
    ("change", "words"),
    [
        ({"start": [0.5, 0.6]}, "is no distribution"),
        ({"transition": [[1.5, -0.5], [0.5, 0.5]]}, "is no distribution"),
        ({"variances": [[0.0], [1.0]]}, "above 0"),
        ({"means": [[0.0], [float("nan")]]}, "finite"),
        ({"columns": ["a", "b"]}, "do not fit"),
        ({"start": [1.0]}, "do not fit"),
        ({"means": "odd"}, "no model of regimes"),
        ({"columns": None}, "no model of regimes"),
    ],
)
def test_numbers_that_are_no_model_are_refused(change: dict[str, object], words: str) -> None:
    import json

    good = {"columns": ["a"], "start": [0.5, 0.5], "transition": [[0.9, 0.1], [0.2, 0.8]], "means": [[0.0], [1.0]]}
    RegimeModel.from_json(json.dumps(good | {"variances": [[1.0], [2.0]]}))
    with pytest.raises(RegimeError, match=words):
        RegimeModel.from_json(json.dumps(good | {"variances": [[1.0], [2.0]]} | change))
    with pytest.raises(RegimeError, match="no model of regimes"):
        RegimeModel.from_json("<html>")


def test_observations_and_states_that_do_not_fit_are_refused() -> None:
    model = random_model(np.random.default_rng(2), 2, 1)
    for values in ([1.0, 2.0], [float("inf")]):
        with pytest.raises(RegimeError, match="finite numbers or NaN"):
            RegimeFilter(model).update(values)
    for state in (np.array([0.5, 0.6]), np.array([1.0]), np.array([1.5, -0.5])):
        with pytest.raises(RegimeError, match="no distribution over 2 states"):
            RegimeFilter(model, state)
    assert model.filtered(pl.DataFrame(schema={"x0": pl.Float64})).shape == (0, 2)

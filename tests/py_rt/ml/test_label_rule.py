"""What is predicted, read from a file: each kind is its library function, as 1 or 0."""

from __future__ import annotations

from typing import TYPE_CHECKING

import numpy as np
import polars as pl
import pytest

from py_rt.defaults import default_root
from py_rt.ml.label_rule import KINDS, LabelRule
from py_rt.ml.labels import LabelError, trend_scanning_labels, triple_barrier_labels
from py_rt.ml.weights import with_weights

if TYPE_CHECKING:
    from pathlib import Path

BAR_NS = 900 * 10**9
RULES = {
    "forward_return": LabelRule(),
    "triple_barrier": LabelRule("triple_barrier", horizon_bars=48, upper=0.01, lower=0.008),
    "trend_scanning": LabelRule("trend_scanning", horizon_bars=24, min_horizon_bars=5),
}


@pytest.fixture(scope="module")
def bars() -> pl.DataFrame:
    """Three days."""
    rng = np.random.default_rng(8)
    close = np.round(4e12 * np.exp(np.cumsum(rng.normal(0, 0.003, 288)))).astype(np.int64)
    return pl.DataFrame({"ts_close": BAR_NS * np.arange(1, 289), "close": close})


def test_by_default_it_is_the_return_of_an_hour() -> None:
    assert LabelRule.read(default_root() / "config" / "training.toml") == LabelRule("forward_return", 4)


def test_each_kind_is_its_function_as_one_or_zero(bars: pl.DataFrame) -> None:
    assert set(RULES) == set(KINDS)
    for rule in RULES.values():
        made = rule.labelled(bars, BAR_NS)
        assert set(made["label"]) == {0, 1}
        assert made["label"].dtype == pl.Int8
        assert made.height == 288 - rule.horizon_bars
    touched = triple_barrier_labels(bars, upper=0.01, lower=0.008, horizon_bars=48, bar_ns=BAR_NS)
    ours = RULES["triple_barrier"].labelled(bars, BAR_NS)
    decided = touched["label"] != 0
    assert (
        ours["label"].filter(decided).equals((touched["label"].filter(decided) == 1).cast(pl.Int8), check_names=False)
    )
    assert ours["label"].filter(~decided).equals((touched["ret"].filter(~decided) > 0).cast(pl.Int8), check_names=False)
    scanned = trend_scanning_labels(bars, min_horizon_bars=5, max_horizon_bars=24, bar_ns=BAR_NS)
    trends = RULES["trend_scanning"].labelled(bars, BAR_NS)
    assert trends["label"].equals((scanned["t_value"] > 0).cast(pl.Int8), check_names=False)


@pytest.mark.parametrize("kind", KINDS)
def test_a_day_and_the_day_after_it_give_the_days_labels(bars: pl.DataFrame, kind: str) -> None:
    whole, rule = RULES[kind].labelled(bars, BAR_NS), RULES[kind]
    day = rule.labelled(bars.slice(96, 192), BAR_NS).head(96)
    assert day.equals(whole.slice(96, 96))


def test_barriers_give_rows_different_weights_and_forward_returns_do_not(bars: pl.DataFrame) -> None:
    inside = slice(60, 150)
    spread = {
        kind: with_weights(rule.labelled(bars, BAR_NS), bar_ns=BAR_NS)["weight"].to_numpy()[inside].std()
        for kind, rule in RULES.items()
    }
    assert spread["forward_return"] < 1e-9
    assert spread["triple_barrier"] > 0.1


@pytest.mark.parametrize(
    ("text", "words"),
    [
        ('[label]\nkind = "coin"', "allowed are forward_return, triple_barrier, trend_scanning"),
        ("[label]\nhorizon_bars = 97", "allowed are 1 to 96"),
        ("[label]\nhorizon_bars = true", "allowed are 1 to 96"),
        ("[label]\nupper = 0.01", "no other kind has any"),
        ('[label]\nkind = "triple_barrier"', "needs one of them"),
        ('[label]\nkind = "triple_barrier"\nupper = -1', "above 0 and at most 1"),
        ('[label]\nkind = "trend_scanning"', "trend scanning needs it"),
        ('[label]\nkind = "trend_scanning"\nmin_horizon_bars = 5', "allowed are 2 to 4"),
        ("[label]\nhorizon = 4", "allowed are kind, horizon_bars"),
        ("label = 3", "allowed are kind, horizon_bars"),
        ("[label", "cannot be read"),
    ],
)
def test_what_cannot_be_is_refused_with_the_file(tmp_path: Path, text: str, words: str) -> None:
    path = tmp_path / "training.toml"
    path.write_text(text)
    with pytest.raises(LabelError, match=words) as refused:
        LabelRule.read(path)
    assert str(path) in str(refused.value)

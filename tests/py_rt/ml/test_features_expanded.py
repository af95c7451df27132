"""A feature of the catalogue, written out for a bundle: of columns only, the same bits, and what a window leaves."""

from __future__ import annotations

from typing import TYPE_CHECKING

import numpy as np
import polars as pl
import pytest

from py_rt.data.bar_files import units
from py_rt.ml.features.catalogue import CatalogueError, Feature, catalogue, read_features
from py_rt.ml.features.expanded import expand, for_bundle, online
from py_rt.ml.features.expressions import Expressions, readable
from py_rt.ml.features.technical import FeatureSet

if TYPE_CHECKING:
    from pathlib import Path

OF_BARS = ("open", "high", "low", "close", "volume", "day_fraction", "week_fraction")
ROWS = 9_000


@pytest.fixture(scope="module")
def bars() -> pl.DataFrame:
    random = np.random.default_rng(11)
    close = np.round(100 * np.exp(np.cumsum(random.normal(0, 0.01, ROWS))), 2)
    opened = np.concatenate([close[:1], close[:-1]])
    high = np.round(np.maximum(opened, close) + random.exponential(1, ROWS), 2)
    low = np.round(np.minimum(opened, close) - random.exponential(1, ROWS), 2)
    prices = {"open": opened, "high": high, "low": low, "close": close, "volume": random.exponential(9, ROWS)}
    day = np.arange(ROWS) % 96 / 96
    return pl.DataFrame({name: units(values) for name, values in prices.items()}).with_columns(
        number=pl.int_range(ROWS, dtype=pl.Int64), day_fraction=pl.Series(day), week_fraction=pl.Series(day / 7)
    )


def test_written_out_every_feature_has_the_same_bits_unit_and_warm_up(bars: pl.DataFrame) -> None:
    features = readable(OF_BARS)
    texts = {feature.name: expand(feature) for feature in features}
    written = Expressions([Feature(f"its_{name}", one.expression, "", "", "") for name, one in texts.items()])
    program = Expressions(features)
    ours, theirs = written.compute(bars), program.compute(bars)
    for name in texts:
        left, right = ours[f"its_{name}"].to_numpy(), theirs[name].to_numpy()
        assert np.array_equal(left.view(np.uint64), right.view(np.uint64)), name
    assert written.needs == program.needs


def test_a_bundle_takes_every_feature_of_bars_and_names_what_it_lacks_for_others(tmp_path: Path) -> None:
    path = tmp_path / "features.toml"
    for feature in readable(OF_BARS):
        table = for_bundle(feature).to_toml(feature)
        path.write_text(f"bar_seconds = 900\n\n{table}")
        assert FeatureSet.from_toml(path).warmup_bars <= 2_048, feature.name
        # The same table stands in a set of research, too.
        path.write_text(table)
        assert [one.name for one in read_features(path)] == [feature.name]
    assert online(catalogue()["depth_imbalance"]) == "no: reads bid_depth"
    assert online(catalogue()["reference_beta_20"]) == "no: reads reference_close"
    assert online(catalogue()["earnings_yield"]) == "when told earnings_per_share"
    assert online(catalogue()["ema_200"]) == "with restart windows of 1024 at most"
    assert online(catalogue()["rsi_14"]) == "yes"


@pytest.mark.parametrize(
    ("text", "window"), [("ema(close, 200)", 512), ("ema(close, 200)", 1_024), ("wilder(close, 50)", 96)]
)
def test_what_a_shorter_window_leaves_of_the_seed_is_told(bars: pl.DataFrame, text: str, window: int) -> None:
    feature = Feature("average", text, "", "", "")
    short, whole = expand(feature, window), expand(feature)
    (restart,) = short.restarts
    assert (restart.window, restart.left) != (whole.restarts[0].window, whole.restarts[0].left)
    made = (
        Expressions([Feature("short", short.expression, "", "", ""), feature]).compute(bars).filter(pl.col("is_warm"))
    )
    off = np.abs(made["short"].to_numpy() - made["average"].to_numpy()).max()
    # A seed lies among the prices before it, and so does the average that it stands for.
    most = np.ptp(bars["close"].to_numpy()) / 1e8
    assert restart.left is not None
    assert 1e-3 * restart.left * most < off < restart.left * most


def test_a_window_is_never_too_short_to_begin() -> None:
    (restart,) = expand(Feature("average", "ema(close, 200)", "", "", ""), 16).restarts
    assert restart.window == 201
    with pytest.raises(CatalogueError, match="arbitrary Python"):
        expand(Feature("own", "", "", "", "", python="mine.py:own"))


def test_a_feature_that_names_itself_or_other_columns_is_refused_before_it_is_written_out() -> None:
    with pytest.raises(CatalogueError, match="is made of itself"):
        expand(Feature("round", "round + 1", "", "", ""))
    assert expand(catalogue()["sentiment_level"]).slow == (("sentiment", "number"),)


@pytest.mark.parametrize(
    ("table", "why"),
    [
        ('kind = "return"\nexpression = "close"', "kind = 'return'; a set has expressions"),
        ('expression = "close"\nunit = "number"', "unit = 'number'; its expression has 'price'"),
    ],
)
def test_a_table_of_another_kind_or_unit_is_refused(tmp_path: Path, table: str, why: str) -> None:
    path = tmp_path / "set.toml"
    path.write_text(f'[[feature]]\nname = "a"\n{table}\n')
    with pytest.raises(CatalogueError, match=why):
        Expressions(read_features(path))

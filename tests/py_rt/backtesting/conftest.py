"""A walk of bars, quotes around it, and a small model over the shipped features."""

from __future__ import annotations

from dataclasses import dataclass

import lightgbm as lgb
import numpy as np
import polars as pl
import pytest

from py_rt.backtesting.engine import ThresholdModel
from py_rt.backtesting.historical_replay import Replay, bars_replay
from py_rt.defaults import default_root
from py_rt.ml.export import export_onnx
from py_rt.ml.features.technical import FeatureSet

BAR_NS = 900 * 10**9
UNIT = 10**8
WARM_UP = 300

STRATEGY = """
[strategy]
name = "Test"
version = "1.0.0"
asset = "BTC/USD"
exchange = "binance"
[parameters]
lookback_period = 0
entry_threshold = 0.52
exit_threshold = 0.48
position_size_pct = 0.10
[ml_model]
path = "model.onnx"
features = [{features}]
[execution]
order_type = "{order_type}"
limit_offset_bps = 2
timeout_seconds = 60
"""


@dataclass(frozen=True)
class Trained:
    """A model, what it was trained on, and a strategy file around it."""

    features: FeatureSet
    booster: lgb.Booster
    onnx: bytes

    def strategy(self, order_type: str = "market") -> ThresholdModel:
        names = ", ".join(f'"{name}"' for name in self.features.names)
        text = STRATEGY.format(features=names, order_type=order_type)
        return ThresholdModel(self.onnx, self.features.canonical.encode(), text)


@pytest.fixture(scope="session")
def bars() -> pl.DataFrame:
    """900 bars of a walk in dollars."""
    random = np.random.default_rng(5)
    rows = 900
    close = 43_000 * UNIT + np.cumsum(random.integers(-80, 81, rows)) * UNIT
    opened = np.concatenate([close[:1], close[:-1]])
    wick = random.integers(1, 40, (2, rows)) * UNIT
    return pl.DataFrame(
        {
            "ts_open": (1_800_000 + np.arange(rows)) * BAR_NS,
            "open": opened,
            "high": np.maximum(opened, close) + wick[0],
            "low": np.minimum(opened, close) - wick[1],
            "close": close,
            "volume": random.integers(10, 90, rows) * UNIT,
        }
    )


@pytest.fixture(scope="session")
def replay(bars: pl.DataFrame) -> Replay:
    """The walk, with enough of it before the start to warm the features."""
    replay = bars_replay(bars)
    return Replay(replay.frame, int(bars["ts_open"][WARM_UP]), replay.dataset_id)


@pytest.fixture(scope="session")
def quotes() -> pl.DataFrame:
    """4,000 quotes a second apart, two bitcoin on each side."""
    random = np.random.default_rng(6)
    rows = 4_000
    mid = 43_000 * UNIT + np.cumsum(random.integers(-3, 4, rows)) * UNIT
    return pl.DataFrame(
        {
            "ts_event": 1_800_000 * BAR_NS + np.arange(rows) * 10**9,
            "bid": mid - UNIT // 2,
            "bid_quantity": np.full(rows, 2 * UNIT),
            "ask": mid + UNIT // 2,
            "ask_quantity": np.full(rows, 2 * UNIT),
        }
    )


@pytest.fixture(scope="session")
def trained(bars: pl.DataFrame) -> Trained:
    features = FeatureSet.from_toml(default_root() / "config" / "features" / "btc_15m.toml")
    table = features.compute(bars)
    rising = (bars["close"].shift(-1) > bars["close"]).fill_null(value=False)
    warm = table.with_columns(label=rising).filter(pl.col("is_warm"))
    data = lgb.Dataset(
        warm.select(features.names).to_numpy(), warm["label"].to_numpy(), feature_name=list(features.names)
    )
    params = {"objective": "binary", "num_leaves": 7, "verbose": -1, "seed": 1, "num_threads": 1, "deterministic": True}
    booster = lgb.train(params, data, num_boost_round=15)
    onnx = export_onnx(booster, feature_names=features.names, feature_spec_sha256=features.sha256, name="walk")
    return Trained(features, booster, onnx)

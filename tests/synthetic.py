"""Features and labels tables whose truth is known, for tests.

One feature partly tells the label, the others are noise, so a pipeline can be asked both whether it finds what is there
and whether it finds what is not. The tables have the schema of the `features_bar` and `labels` assets.
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
import polars as pl

from py_rt.ml.labels import forward_return_labels

BAR_NS = 900 * 10**9
# 2021-10-01 00:00 UTC
START_NS = 1_633_046_400 * 10**9
HORIZON_BARS = 4
WARM_UP_BARS = 256
TELLING_FEATURE = "ret_4"
FEATURE_NAMES = (
    "rsi_14",
    "macd",
    "volume_ratio",
    "bb_pct",
    "ret_1",
    "ret_4",
    "trend_sma_20_50",
    "ema_gap_20",
    "vol_20",
    "atr_pct_14",
    "hour_sin",
    "hour_cos",
)


@dataclass(frozen=True)
class SyntheticTables:
    """``features`` and ``labels`` as the assets of those names give them."""

    features: pl.DataFrame
    labels: pl.DataFrame


def synthetic_tables(rows: int, *, seed: int, noise: float = 0.01) -> SyntheticTables:
    """``rows`` 15-minute bars of BTCUSDT from 2021-10-01; the first 256 are not warm.

    Args:
        seed: the same seed gives the same tables.
        noise: standard deviation added to the future return that :data:`TELLING_FEATURE` shows (0.006 is its own).

    >>> tables = synthetic_tables(300, seed=1)
    >>> tables.features.height, tables.labels.height, tables.features["is_warm"].sum()
    (300, 296, 44)
    """
    rng = np.random.default_rng(seed)
    steps = rng.normal(0, 0.003, rows)
    path = np.cumsum(steps)
    bars = pl.DataFrame(
        {
            "instrument": ["BTCUSDT"] * rows,
            "ts_close": START_NS + BAR_NS * np.arange(1, rows + 1),
            "close": np.round(40_000 * np.exp(path) * 1e8).astype(np.int64),
        }
    )
    columns = {name: rng.normal(size=rows) for name in FEATURE_NAMES}
    ahead = np.append(path[HORIZON_BARS:], np.full(min(HORIZON_BARS, rows), path[-1])) - path
    columns[TELLING_FEATURE] = ahead + rng.normal(0, noise, rows)
    features = bars.select("instrument", "ts_close").with_columns(
        pl.from_epoch(pl.col("ts_close") - BAR_NS, time_unit="ns").dt.date().alias("date"),
        (pl.int_range(pl.len()) >= WARM_UP_BARS).alias("is_warm"),
        *(pl.Series(name, values, dtype=pl.Float32) for name, values in columns.items()),
    )
    labels = forward_return_labels(bars, horizon_bars=HORIZON_BARS, bar_ns=BAR_NS).drop("close")
    with_date = labels.with_columns(pl.from_epoch(pl.col("ts_close") - BAR_NS, time_unit="ns").dt.date().alias("date"))
    return SyntheticTables(features, with_date)

"""What features read beside bars: upstreams in the graph, and a table of features where it is known and where not."""

from __future__ import annotations

import json
import os
import subprocess
import sys
from datetime import date, timedelta
from typing import TYPE_CHECKING, Any

import dagster as dg
import numpy as np
import polars as pl
import pytest

from assets import features as assets_features
from assets.partitions import daily
from py_rt.data.schemas import FLOW_BARS
from py_rt.data.storage import DayWindow, Lake, write_window
from py_rt.ml.features.flow_tables import flow_of_bars
from py_rt.ml.features.technical import FeatureSet

if TYPE_CHECKING:
    from collections.abc import Callable
    from pathlib import Path

BAR_NS = 900 * 10**9
DAY = date(2021, 10, 6)
START_NS = (DAY - date(1970, 1, 1)).days * 96 * BAR_NS
MODEL = """
bar_seconds = 900
[[slow]]
name = "funding_rate"
unit = "number"
max_age_seconds = 864000
[[feature]]
name = "pressure"
kind = "expression"
expression = "mean(order_flow, 3) / bid_quantity"
unit = "number"
[[feature]]
name = "paid"
kind = "expression"
expression = "funding_rate + close / lag(close, 1)"
unit = "number"
"""
FLOW_ONLY = MODEL.replace("funding_rate + close", "close").replace(
    MODEL[MODEL.index("[[slow]]") : MODEL.index("[[feature]]")], ""
)
SOURCE = """
kind = "rest"
first_day = 2024-01-01
key = ["ts"]
[options]
url = "http://127.0.0.1:9/{date}"
[[column]]
name = "ts"
type = "time"
[[column]]
name = "rate"
type = "number"
[known]
column = "ts"
"""
KNOWN = """
[funding_rate]
table = "funding"
column = "rate"
[unread]
table = "elsewhere"
"""
GRAPH = """
import json
from pipelines.definitions import defs
from pipelines.jobs import ingest_daily, land_recordings
graph = defs.resolve_asset_graph()
nodes = {node.key.to_user_string(): node for node in graph.asset_nodes}
jobs = {"ingest_daily": ingest_daily, "land_recordings": land_recordings}
jobs |= {job.name: job for job in defs.jobs if job.name == "source_funding"}
print(json.dumps({
    "reads": {name: sorted(key.to_user_string() for key in node.parent_keys) for name, node in nodes.items()},
    "groups": {name: node.group_name for name, node in nodes.items()},
    "jobs": {name: sorted(key.to_user_string() for key in job.selection.resolve(graph)) for name, job in jobs.items()},
    "config": nodes["flow_bars"].assets_def.op.config_schema.default_value,
}))
"""


def graph_of(folder: Path) -> dict[str, Any]:
    environ = os.environ | {
        "PYTHONPATH": os.pathsep.join(map(os.path.abspath, filter(None, sys.path))),
        "PY_RT_HOME": str(folder / "home"),
    }
    done = subprocess.run([sys.executable, "-c", GRAPH], cwd=folder, env=environ, capture_output=True, check=False)
    assert done.returncode == 0, done.stderr.decode()
    found: dict[str, Any] = json.loads(done.stdout.splitlines()[-1])
    return found


def test_the_tables_that_features_come_from_stand_in_the_lineage(tmp_path: Path) -> None:
    for name, text in {"features/btc_15m.toml": MODEL, "known.toml": KNOWN, "sources/funding.toml": SOURCE}.items():
        path = tmp_path / "config" / name
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_text(text)
    graph = graph_of(tmp_path)
    reads = graph["reads"]
    assert reads["features_bar"] == ["clean_bars", "feature_spec", "flow_bars", "funding"]
    for name in ("training_set", "model_lgbm", "onnx_model", "backtest_threshold", "candidate_bundle"):
        assert {"flow_bars", "funding"} <= set(reads[name]), name
        assert "elsewhere" not in reads[name]
    # What was deployed may read what the feature file of today does not.
    assert {"flow_bars", "funding", "elsewhere"} <= set(reads["captured_scores"])
    assert graph["groups"]["funding"] == "raw"
    assert (graph["groups"]["elsewhere"], reads["elsewhere"]) == ("outside", [])
    # Recordings make the day's features again, behind its bars; a source's own job makes no model.
    assert "features_bar" in graph["jobs"]["ingest_daily"]
    assert {"flow_bars", "features_bar"} <= set(graph["jobs"]["land_recordings"])
    assert graph["jobs"]["source_funding"] == ["funding"]
    assert graph["config"]["bar_seconds"] == 900.0


def test_a_file_that_cannot_be_read_stops_no_other_asset(tmp_path: Path) -> None:
    (tmp_path / "config" / "features").mkdir(parents=True)
    (tmp_path / "config" / "features" / "btc_15m.toml").write_text("bar_seconds = 900\n[[feature]]\nname = 3\n")
    (tmp_path / "config" / "known.toml").write_text("[funding_rate]\ntabel = 'x'\n")
    graph = graph_of(tmp_path)
    assert graph["reads"]["features_bar"] == ["clean_bars", "feature_spec"]
    assert "features_bar" not in graph["jobs"]["land_recordings"]


@pytest.fixture(scope="module")
def bars() -> pl.DataFrame:
    """Two days."""
    random = np.random.default_rng(8)
    rows = 2 * 96
    close = 4_300_000_000_000 + np.cumsum(random.integers(-900, 901, rows)) * 1_000_000
    columns = dict.fromkeys(("open", "high", "low", "close"), close)
    ts_open = START_NS - 96 * BAR_NS + np.arange(rows) * BAR_NS
    return pl.DataFrame({"ts_open": ts_open, **columns, "volume": random.integers(4, 10**10, rows)}).with_columns(
        pl.lit("BTCUSDT").alias("instrument"),
        (pl.col("ts_open") + BAR_NS).alias("ts_close"),
        pl.from_epoch("ts_open", time_unit="ns").dt.date().alias("date"),
    )


def flow(bars: pl.DataFrame, first: int, last: int, venue: str = "binance", bar_ns: int = BAR_NS) -> pl.DataFrame:
    """What `flow_bars` has of some of the bars."""
    heard = bars.slice(first, last - first)
    number = pl.int_range(1, pl.len() + 1, dtype=pl.Int64).cast(pl.Float64)
    inputs = [name for name in FLOW_BARS.schema.names() if FLOW_BARS.schema[name] == pl.Float64]
    return FLOW_BARS.conform(
        heard.select(
            pl.lit(venue).alias("venue"),
            pl.lit("BTC/USDT").alias("symbol"),
            "ts_open",
            (pl.col("ts_open") + bar_ns).alias("ts_close"),
            *((number * (at + 1) * 0.5).alias(name) for at, name in enumerate(inputs)),
            "date",
        )
    )


class Memory(dg.IOManager):
    def __init__(self, **values: Any) -> None:  # noqa: ANN401
        self.values = values

    def handle_output(self, context: dg.OutputContext, obj: Any) -> None:  # noqa: ANN401
        self.values[context.asset_key.path[-1]] = obj

    def load_input(self, context: dg.InputContext) -> Any:  # noqa: ANN401
        return self.values[context.asset_key.path[-1]]


def made(folder: Path, bars: pl.DataFrame, recorded: pl.DataFrame | None) -> tuple[pl.DataFrame, dict[str, Any], str]:
    """The day's features, what its checks say, and what it says to be unknown."""
    (folder / "model.toml").write_text(FLOW_ONLY)
    spec = {"features.json": FeatureSet.from_toml(folder / "model.toml").canonical.encode()}
    lake, memory = Lake(str(folder / "lake")), Memory(feature_spec=spec, clean_bars=bars)
    if recorded is not None:
        window = DayWindow(DAY - timedelta(days=1), DAY + timedelta(days=1))
        write_window(lake.table_uri("flow_bars"), recorded, window)
    upstream = [dg.AssetSpec("clean_bars", partitions_def=daily), dg.AssetSpec("feature_spec")]
    result = dg.materialize(
        [assets_features.features_bar, *upstream],
        selection=dg.AssetSelection.assets("features_bar"),
        partition_key=DAY.isoformat(),
        resources={"io_manager": memory, "lake": lake},
    )
    checks = {one.check_name: one for one in result.get_asset_check_evaluations()}
    (event,) = result.asset_materializations_for_node("features_bar")
    return memory.values["features_bar"], checks, str(event.metadata["unknown_columns"].value)


def test_features_of_recorded_bars_are_warm_and_judged(tmp_path: Path, bars: pl.DataFrame) -> None:
    recorded = flow(bars, 90, 192)
    rows, checks, unknown = made(tmp_path, bars, recorded)
    assert rows["is_warm"].all()
    assert {name: check.passed for name, check in checks.items()} == dict.fromkeys(
        ("no_look_ahead", "batch_equals_incremental", "missing_rate"), True
    )
    assert unknown.startswith("unknown: ")
    assert "on 90 of 192 bars" in unknown
    mean = recorded["order_flow"].rolling_mean(3) / recorded["bid_quantity"]
    np.testing.assert_allclose(rows["pressure"].to_numpy(), mean[6:].to_numpy(), rtol=1e-6)


def test_a_stretch_without_a_recording_is_no_fault_of_the_features(tmp_path: Path, bars: pl.DataFrame) -> None:
    rows, checks, _ = made(tmp_path, bars, pl.concat([flow(bars, 90, 120), flow(bars, 150, 192)]))
    assert rows["is_warm"].sum() == 96 - 30 - 2
    assert checks["missing_rate"].passed
    assert checks["missing_rate"].metadata["rows_of_unknown_columns"].value == 32
    assert checks["no_look_ahead"].passed


@pytest.mark.parametrize(
    ("recorded", "words"),
    [
        (lambda _: None, "flow_bars is not in the lake yet"),
        (lambda bars: flow(bars, 90, 192, bar_ns=60 * 10**9), "flow_bars has bars of 60 s, these last 900 s"),
        (lambda bars: flow(bars, 0, 10).with_columns(symbol=pl.lit("ETHUSDT")), "nothing was recorded of these bars"),
        (lambda bars: pl.concat([flow(bars, 90, 192), flow(bars, 90, 192, "kraken")]), "recorded at binance, kraken"),
    ],
)
def test_where_nothing_is_known_nothing_is_judged_and_the_reason_is_told(
    tmp_path: Path,
    bars: pl.DataFrame,
    recorded: Callable[[pl.DataFrame], pl.DataFrame | None],
    words: str,
) -> None:
    rows, checks, unknown = made(tmp_path, bars, recorded(bars))
    assert rows.height == 96
    assert not rows["is_warm"].any()
    assert words in unknown
    for check in checks.values():
        assert (check.passed, check.severity) == (False, dg.AssetCheckSeverity.WARN)
        assert "nothing was looked at" in str(check.description)
    assert words in str(checks["no_look_ahead"].description)


def test_a_bar_that_was_received_on_two_days_counts_as_of_the_later_one(bars: pl.DataFrame) -> None:
    twice = flow(bars, 0, 3)
    later = twice.with_columns(pl.col("date") + timedelta(days=1), trades=pl.lit(7.0))
    columns, why = flow_of_bars(bars.head(4), pl.concat([later, twice]), ["trades", "bid"], BAR_NS)
    assert why == ""
    assert columns["trades"].to_list()[:3] == [7.0] * 3
    assert columns["bid"][0] == twice["bid"][0] * 1e8
    assert np.isnan(columns["trades"][3])


def test_whole_units_are_what_the_service_has_to_the_last_bit(bars: pl.DataFrame) -> None:
    units = np.arange(1.0, 193.0)
    stored = flow(bars, 0, 192).with_columns(pl.Series("bid_quantity", units / 1e8))
    columns, _ = flow_of_bars(bars, stored, ["bid_quantity"], BAR_NS)
    assert columns["bid_quantity"].to_list() == units.tolist()

"""The deployed model on captured trades, held against its training source: the same, and then not."""

from __future__ import annotations

import json
from datetime import date, timedelta
from typing import TYPE_CHECKING, Any

import dagster as dg
import lightgbm as lgb
import numpy as np
import polars as pl
import pytest

from assets import captured as assets_captured
from assets.partitions import daily
from py_rt.bundle.store import BundleStore
from py_rt.data.cleaning import BarRules
from py_rt.data.schemas import CAPTURED_SCORES, CLEAN_BARS, RAW_BOOK, RAW_TRADES
from py_rt.data.storage import DayWindow, Lake, write_window
from py_rt.defaults import default_root
from py_rt.ml import captured
from py_rt.ml.export import export_onnx
from py_rt.ml.features.flow_tables import recorded_flow
from py_rt.ml.features.known_tables import with_beside
from py_rt.ml.features.technical import FeatureSet

if TYPE_CHECKING:
    from pathlib import Path

DAY = date(2024, 8, 9)
BAR_NS = 900 * 10**9
DAY_NS = 96 * BAR_NS
START_NS = int((DAY - date(1970, 1, 1)).days) * DAY_NS
BACK_DAYS = 7
DIGEST = "ab" * 32


def tape() -> pl.DataFrame:
    """Trades of eight days, one every 90 seconds or so, but for one quarter of an hour of silence."""
    rng = np.random.default_rng(4)
    count = (BACK_DAYS + 1) * 960
    ts = np.sort(rng.integers(START_NS - BACK_DAYS * DAY_NS, START_NS + DAY_NS, count))
    price = 5_000_000_000_000 + np.cumsum(rng.integers(-2_000, 2_001, count)) * 100_000
    made = pl.DataFrame({"ts_event": ts, "price": price, "quantity": rng.integers(1, 10**8, count)})
    silent = pl.col("ts_event").is_between(START_NS + 40 * BAR_NS, START_NS + 41 * BAR_NS, closed="left")
    return made.filter(~silent).with_row_index("trade_id").with_columns(pl.col("trade_id").cast(pl.Int64))


def source(trades: pl.DataFrame) -> pl.DataFrame:
    """The full grid of bars, as a source that saw every trade publishes it."""
    spans = pl.DataFrame({"first": [START_NS - BACK_DAYS * DAY_NS], "last": [START_NS + DAY_NS]})
    bars = captured.whole_bars(trades, spans, BAR_NS)
    empty = pl.col("volume") == 0
    return CLEAN_BARS.conform(
        bars.with_columns(
            pl.lit("BTCUSDT").alias("instrument"),
            (pl.col("ts_open") + BAR_NS).alias("ts_close"),
            pl.lit(value=False).alias("volume_imputed"),
            empty.alias("is_empty"),
            pl.when(~empty).then(pl.lit(1, dtype=pl.Int64)).alias("source_row"),
            pl.when(~empty).then(pl.lit("ab")).alias("source_sha256"),
            pl.from_epoch("ts_open", time_unit="ns").dt.date().alias("date"),
        )
    )


def recorded(
    trades: pl.DataFrame, first_ns: int = START_NS, last_ns: int = START_NS + DAY_NS, session: int = 0
) -> pl.DataFrame:
    """What `raw_trades` has of them, of one connection."""
    heard = trades.filter(pl.col("ts_event").is_between(first_ns, last_ns, closed="left"))
    return RAW_TRADES.conform(
        heard.with_columns(
            pl.int_range(pl.len(), dtype=pl.Int64).alias("row"),
            pl.lit(session, dtype=pl.Int64).alias("session"),
            pl.lit("binance").alias("venue"),
            pl.lit("BTCUSDT").alias("symbol"),
            pl.col("ts_event").alias("ts_received"),
            pl.lit("buy").alias("aggressor"),
            pl.from_epoch("ts_event", time_unit="ns").dt.date().alias("date"),
        )
    )


def book(trades: pl.DataFrame, day: date) -> pl.DataFrame:
    """What `raw_book` has of a day: best levels around each trade's price, after each trade."""
    first = trades.filter(pl.from_epoch("ts_event", time_unit="ns").dt.date() == day)
    best = first.with_columns(
        best_bid=pl.col("price") - 1_000_000,
        best_ask=pl.col("price") + (1 + pl.col("trade_id") % 3) * 1_000_000,
        update=pl.int_range(pl.len(), dtype=pl.Int64),
    )
    sides = [
        best.with_columns(pl.lit(side).alias("side"), pl.col(f"best_{side}").alias("price")) for side in ("bid", "ask")
    ]
    return RAW_BOOK.conform(
        pl.concat(sides)
        .sort("update", "side")
        .with_columns(
            pl.int_range(pl.len(), dtype=pl.Int64).alias("row"),
            pl.lit(0, dtype=pl.Int64).alias("session"),
            pl.lit("binance").alias("venue"),
            pl.lit("BTCUSDT").alias("symbol"),
            pl.col("ts_event").alias("ts_received"),
            pl.when(pl.col("update") == 0).then(pl.lit("snapshot")).otherwise(pl.lit("delta")).alias("kind"),
            pl.lit(None, dtype=pl.String).alias("reason"),
            pl.col("update").alias("update_id"),
            pl.lit(day).alias("date"),
        )
        .drop("trade_id")
    )


@pytest.fixture(scope="module")
def trades() -> pl.DataFrame:
    return tape()


@pytest.fixture(scope="module")
def bars(trades: pl.DataFrame) -> pl.DataFrame:
    return source(trades)


@pytest.fixture(scope="module")
def model(bars: pl.DataFrame) -> captured.Model:
    return trained(FeatureSet.from_toml(default_root() / "config" / "features" / "btc_15m.toml"), bars)


def trained(features: FeatureSet, bars: pl.DataFrame) -> captured.Model:
    rising = (bars["close"].shift(-1) > bars["close"]).fill_null(value=False)
    warm = features.compute(bars).with_columns(label=rising).filter(pl.col("is_warm"))
    data = lgb.Dataset(
        warm.select(features.names).to_numpy(), warm["label"].to_numpy(), feature_name=list(features.names)
    )
    params = {"objective": "binary", "num_leaves": 5, "verbose": -1, "seed": 1, "num_threads": 1, "deterministic": True}
    booster = lgb.train(params | {"min_data_in_leaf": 5}, data, num_boost_round=10)
    onnx = export_onnx(booster, feature_names=features.names, feature_spec_sha256=features.sha256, name="walk")
    scores = booster.predict(warm.select(features.names).to_numpy())
    low, high = np.quantile(scores, [0.3, 0.7])
    return captured.Model(features, onnx, float(low), float(high))


def compared(model: captured.Model, heard: pl.DataFrame, bars: pl.DataFrame) -> captured.Comparison:
    mine = captured.instrument_trades(heard.lazy(), "BTCUSDT")
    return captured.compare(model, captured.whole_bars(mine, captured.listened(mine), BAR_NS), bars)


def test_the_same_trades_give_the_same_features_scores_and_decisions(
    model: captured.Model, trades: pl.DataFrame, bars: pl.DataFrame
) -> None:
    found = compared(model, recorded(trades), bars)
    assert found.rows.height == 94  # the first and the last interval were joined and left midway
    assert set(found.rows["decision_training"]) == {"enter", "hold", "leave"}
    assert set(found.rows["features_equal"]) == {len(model.features.names)}
    assert found.rows["score_captured"].equals(found.rows["score_training"], check_names=False)
    assert set(found.drift["equal"]) == {94}
    assert (found.is_drift, found.features_moved, found.changed_decisions) == (False, [], 0)


def test_a_source_of_another_market_is_drift(model: captured.Model, trades: pl.DataFrame, bars: pl.DataFrame) -> None:
    in_lots = bars.with_columns(pl.col("volume") * 10, (pl.col("close") + pl.col("high")) // 2)
    found = compared(model, recorded(trades), in_lots)
    assert found.changed_decisions > 0
    assert found.is_drift
    assert "vol_20" in found.features_moved
    assert "hour_sin" not in found.features_moved
    assert f"{found.changed_decisions} of 94 decisions differ" in captured.verdict_words(found)


def test_a_model_of_what_is_known_beside_bars_is_compared(
    model: captured.Model, trades: pl.DataFrame, bars: pl.DataFrame, tmp_path: Path
) -> None:
    text = (default_root() / "config" / "features" / "btc_15m.toml").read_text()
    declared = '[[slow]]\nname = "rate"\nunit = "number"\nmax_age_seconds = 86400\n'
    ours = '[[feature]]\nname = "rated"\nkind = "expression"\nexpression = "delta(rate, 1)"\nunit = "number"\n'
    names = [line for line in text.splitlines() if line.startswith("name")]
    last = text.rindex("[[feature]]")
    (tmp_path / "model.toml").write_text(text[:last] + ours.replace("rated", names[-1].split('"')[1]) + declared)
    known = captured.Model(FeatureSet.from_toml(tmp_path / "model.toml"), model.onnx, model.leave_below, model.enter_at)
    mine = captured.instrument_trades(recorded(trades).lazy(), "BTCUSDT")
    told = [
        frame.with_columns(rate=pl.col("ts_open").cast(pl.Float64) / DAY_NS)
        for frame in (captured.whole_bars(mine, captured.listened(mine), BAR_NS), bars)
    ]
    found = captured.compare(known, *told)
    assert (found.rows.height, found.is_drift) == (94, False)
    assert set(found.rows["features_equal"]) == {len(known.features.names)}


def test_only_what_was_heard_from_begin_to_end_counts(
    model: captured.Model, trades: pl.DataFrame, bars: pl.DataFrame
) -> None:
    first = recorded(trades, START_NS, START_NS + 10 * BAR_NS + BAR_NS // 2)
    second = recorded(trades, START_NS + 10 * BAR_NS + BAR_NS // 2, START_NS + 50 * BAR_NS, session=1)
    found = compared(model, pl.concat([first, second]), bars)
    opened = ((found.rows["ts_close"] - START_NS) // BAR_NS - 1).to_list()
    assert opened == [*range(1, 10), *range(11, 49)]
    assert not found.is_drift
    assert 40 in opened  # a quarter of an hour without a trade is a bar too
    # An overlap of two connections tells trades twice, and changes no volume.
    twice = pl.concat([recorded(trades), recorded(trades, START_NS + 5 * BAR_NS, START_NS + 9 * BAR_NS, session=1)])
    assert not compared(model, twice, bars).is_drift


def test_a_bar_that_the_source_lacks_is_counted(
    model: captured.Model, trades: pl.DataFrame, bars: pl.DataFrame
) -> None:
    found = compared(model, recorded(trades), bars.filter(pl.col("date") < DAY))
    assert (found.captured_bars, found.unknown_bars, found.rows.height) == (94, 94, 0)
    assert captured.verdict_words(found) == "nothing compared: 94 whole bars captured, 94 unknown to the source"
    nothing = compared(model, recorded(trades).clear(), bars)
    assert (nothing.captured_bars, nothing.rows.height) == (0, 0)


def test_two_venues_of_one_name_are_refused(trades: pl.DataFrame) -> None:
    heard = recorded(trades)
    other = heard.with_columns(pl.lit("kraken").alias("venue"), pl.lit("BTC/USDT").alias("symbol"))
    with pytest.raises(captured.CaptureError, match="recorded at binance, kraken"):
        captured.instrument_trades(pl.concat([heard, other]).lazy(), "BTCUSDT")
    assert captured.instrument_trades(other.lazy(), "BTCUSDT").height == heard.height
    assert captured.instrument_trades(heard.lazy(), "ETHUSDT").is_empty()


class Memory(dg.IOManager):
    def __init__(self, heard: pl.DataFrame, heard_book: pl.DataFrame | None) -> None:
        book_rows = RAW_BOOK.empty() if heard_book is None else heard_book
        self.values: dict[str, Any] = {"raw_trades": heard, "raw_book": book_rows}

    def handle_output(self, context: dg.OutputContext, obj: Any) -> None:  # noqa: ANN401
        self.values[context.asset_key.path[-1]] = obj

    def load_input(self, context: dg.InputContext) -> Any:  # noqa: ANN401
        found = self.values[context.asset_key.path[-1]]
        return found.lazy() if context.dagster_type.typing_type is pl.LazyFrame else found


def made(
    folder: Path,
    heard: pl.DataFrame,
    bars: pl.DataFrame,
    model: captured.Model | None,
    instrument: str = "BTCUSDT",
    heard_book: pl.DataFrame | None = None,
) -> tuple[Memory, dict[str, Any], bool]:
    lake, store, memory = Lake(str(folder / "lake")), BundleStore(folder / "bundles"), Memory(heard, heard_book)
    first = DAY - timedelta(days=BACK_DAYS)
    write_window(lake.table_uri("clean_bars"), bars, DayWindow(first, DAY + timedelta(days=1)))
    if model is not None:
        place = store.folder(DIGEST)
        place.mkdir(parents=True, exist_ok=True)
        (place / "manifest.json").write_text(json.dumps({"instrument": instrument}))
        (place / "features.json").write_text(model.features.canonical)
        (place / "model.onnx").write_bytes(model.onnx)
        thresholds = f"entry_threshold = {model.enter_at!r}\nexit_threshold = {model.leave_below!r}\n"
        (place / "strategy.toml").write_text(f"[parameters]\n{thresholds}")
        store.set_alias(1, "champion", DIGEST)
    upstream = [dg.AssetSpec(name, partitions_def=daily) for name in ("raw_trades", "raw_book", "flow_bars")]
    result = dg.materialize(
        [assets_captured.captured_scores, assets_captured.captured_scores_fit, *upstream],
        selection=dg.AssetSelection.assets("captured_scores"),
        partition_key=DAY.isoformat(),
        resources={"io_manager": memory, "lake": lake, "bundle_store": store, "bar_rules": BarRules()},
        raise_on_error=False,
    )
    checks = {one.check_name: one for one in result.get_asset_check_evaluations()}
    return memory, checks, result.success


def test_the_asset_keeps_both_sides_and_drift_blocks(
    tmp_path: Path, model: captured.Model, trades: pl.DataFrame, bars: pl.DataFrame
) -> None:
    memory, checks, _ = made(tmp_path / "same", recorded(trades), bars, model)
    rows = memory.values["captured_scores"]
    assert CAPTURED_SCORES.faults(rows) == []
    assert rows.height == 94
    blocking = checks[assets_captured.BLOCKING]
    assert (blocking.passed, blocking.blocking) == (True, True)
    assert checks[assets_captured.WARNING].passed
    assert "data:image/png" in str(blocking.metadata["scores"].value)
    other = bars.with_columns(pl.col("volume") * 10, (pl.col("close") + pl.col("high")) // 2)
    _, checks, _ = made(tmp_path / "other", recorded(trades), other, model)
    blocking = checks[assets_captured.BLOCKING]
    assert (blocking.passed, blocking.severity) == (False, dg.AssetCheckSeverity.ERROR)
    assert int(blocking.metadata["changed_decisions"].value) > 0
    assert checks[assets_captured.WARNING].passed is False


def test_without_a_bundle_or_a_bar_it_says_that_nothing_was_looked_at(
    tmp_path: Path, model: captured.Model, trades: pl.DataFrame, bars: pl.DataFrame
) -> None:
    _, checks, success = made(tmp_path / "none", recorded(trades), bars, None)
    assert success
    blocking = checks[assets_captured.BLOCKING]
    assert (blocking.passed, blocking.severity) == (False, dg.AssetCheckSeverity.WARN)
    assert "no bundle was deployed" in str(blocking.description)
    _, checks, success = made(tmp_path / "other", recorded(trades), bars, model, "ETHUSDT")
    assert success
    assert "the bundle trades ETHUSDT, the training source tells of BTCUSDT" in str(
        checks[assets_captured.BLOCKING].description
    )
    memory, checks, success = made(tmp_path / "empty", recorded(trades).clear(), bars, model)
    assert success
    assert memory.values["captured_scores"].is_empty()
    assert "nothing compared" in str(checks[assets_captured.BLOCKING].description)


FLOW = """
bar_seconds = 900
[[feature]]
name = "pressure"
kind = "expression"
expression = "mean(order_flow, 3) / (bid_quantity + ask_quantity)"
unit = "number"
[[feature]]
name = "bought"
kind = "expression"
expression = "if(trades > 0, buy_volume / (buy_volume + sell_volume), 0.5)"
unit = "number"
[[feature]]
name = "ret"
kind = "expression"
expression = "close / lag(close, 1) - 1"
unit = "number"
"""


def test_a_model_of_what_happens_within_bars_is_compared_where_the_day_was_recorded(
    tmp_path: Path, trades: pl.DataFrame, bars: pl.DataFrame
) -> None:
    (tmp_path / "flow.toml").write_text(FLOW)
    features = FeatureSet.from_toml(tmp_path / "flow.toml")
    days = [DAY - timedelta(days=1), DAY]
    taken = pl.when(pl.col("trade_id") % 5 < 2).then(pl.lit("buy")).otherwise(pl.lit("sell")).alias("aggressor")
    heard = recorded(trades, START_NS - DAY_NS).with_columns(taken)
    books = pl.concat([book(trades, day) for day in days])
    stored = recorded_flow(heard.lazy(), books.lazy(), "BTC/USDT", BAR_NS)
    assert stored.height == 2 * 94
    lake = Lake(str(tmp_path / "lake"))
    write_window(lake.table_uri("flow_bars"), stored, DayWindow(days[0], DAY + timedelta(days=1)))
    beside = with_beside(bars, features, lake, {})
    assert beside.untold == {}
    assert f"on {bars.height - 2 * 94} of {bars.height} bars" in beside.words
    model = trained(features, beside.bars)
    today = recorded(trades).with_columns(taken)
    memory, checks, _ = made(tmp_path, today, bars, model, heard_book=book(trades, DAY))
    rows = memory.values["captured_scores"]
    assert rows.height == 92  # two more bars warm the mean of three
    assert set(rows["features_equal"]) == {3}
    assert checks[assets_captured.BLOCKING].passed
    # Another book than the one that training saw: the sides tell other pressure.
    is_bid = pl.col("side") == "bid"
    thinner = book(trades, DAY).with_columns(pl.when(is_bid).then(1).otherwise("quantity").alias("quantity"))
    memory, _, _ = made(tmp_path, today, bars, model, heard_book=thinner)
    assert memory.values["captured_scores"]["features_equal"].max() < 3


def test_a_model_of_flow_without_recorded_books_is_not_judged_and_says_why(
    tmp_path: Path, trades: pl.DataFrame, bars: pl.DataFrame
) -> None:
    (tmp_path / "flow.toml").write_text(FLOW)
    features = FeatureSet.from_toml(tmp_path / "flow.toml")
    model = captured.Model(features, b"never asked", 0.4, 0.6)
    memory, checks, success = made(tmp_path / "none", recorded(trades), bars, model, heard_book=book(trades, DAY))
    assert success
    assert memory.values["captured_scores"].is_empty()
    for name in (assets_captured.BLOCKING, assets_captured.WARNING):
        assert (checks[name].passed, checks[name].severity) == (False, dg.AssetCheckSeverity.WARN)
        assert "training source unknown: bid_quantity" in str(checks[name].description)
        assert "flow_bars is not in the lake yet" in str(checks[name].description)
    _, checks, success = made(tmp_path / "deaf", recorded(trades), bars, model)
    assert success
    assert "captured unknown: bid_quantity" in str(checks[assets_captured.BLOCKING].description)

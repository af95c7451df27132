"""The backtests group, run by Dagster over a walk of bars held in memory."""

from __future__ import annotations

import base64
import datetime as dt
import io
import json
from dataclasses import replace
from typing import TYPE_CHECKING, Any

import dagster as dg
import lightgbm as lgb
import numpy as np
import polars as pl
import pytest

from assets import backtests
from py_rt.backtesting.evaluation import Control
from py_rt.backtesting.ledger import Trial, TrialLedger
from py_rt.data.storage import Lake
from py_rt.defaults import default_root
from py_rt.ml.export import export_onnx
from py_rt.ml.features.technical import FeatureSet

if TYPE_CHECKING:
    from pathlib import Path

BAR_NS = 900 * 10**9
UNIT = 10**8
OCTOBER_NS, NOVEMBER_NS, DECEMBER_NS = (
    int(dt.datetime(2021, month, 1, tzinfo=dt.UTC).timestamp()) * 10**9 for month in (10, 11, 12)
)
DAYS = dg.DailyPartitionsDefinition(start_date="2021-09-27", end_date="2021-12-06")
MONTHS = dg.MonthlyPartitionsDefinition(start_date="2021-11-01", end_date="2022-01-01")
ASSETS = [backtests.backtest_threshold, backtests.overfit_report]
STUDY = "5" * 64


def walk(first_ns: int, last_ns: int) -> pl.DataFrame:
    """Bars of a walk in dollars from one time to another."""
    rows = (last_ns - first_ns) // BAR_NS
    random = np.random.default_rng(9)
    close = 60_000 * UNIT + np.cumsum(random.integers(-100, 101, rows)) * UNIT
    opened = np.concatenate([close[:1], close[:-1]])
    wick = random.integers(1, 50, (2, rows)) * UNIT
    ts_open = first_ns + np.arange(rows) * BAR_NS
    return pl.DataFrame(
        {
            "instrument": ["BTCUSDT"] * rows,
            "ts_open": ts_open,
            "ts_close": ts_open + BAR_NS,
            "open": opened,
            "high": np.maximum(opened, close) + wick[0],
            "low": np.minimum(opened, close) - wick[1],
            "close": close,
            "volume": random.integers(10, 90, rows) * UNIT,
        }
    )


def model_of(bars: pl.DataFrame, features: FeatureSet) -> bytes:
    """A small model that tells nothing, as none could on a walk."""
    rising = (bars["close"].shift(-1) > bars["close"]).fill_null(value=False)
    warm = features.compute(bars).with_columns(label=rising).filter(pl.col("is_warm"))
    rows = warm.select(features.names).to_numpy()
    data = lgb.Dataset(rows, warm["label"].to_numpy(), feature_name=list(features.names))
    params = {"objective": "binary", "num_leaves": 5, "verbose": -1, "seed": 1, "num_threads": 1, "deterministic": True}
    booster = lgb.train(params, data, num_boost_round=10)
    return export_onnx(booster, feature_names=features.names, feature_spec_sha256=features.sha256, name="walk")


@pytest.fixture(scope="module")
def upstream() -> dict[str, Any]:
    bars = walk(OCTOBER_NS + 5 * 96 * BAR_NS, NOVEMBER_NS + 12 * 96 * BAR_NS)
    features = FeatureSet.from_toml(default_root() / "config" / "features" / "btc_15m.toml")
    return {
        "clean_bars": bars,
        "model_spec": {"features.json": features.canonical.encode()},
        "hyperparameter_study": {"study.json": json.dumps({"dataset_id": STUDY}).encode()},
        "onnx_model": {"model.onnx": model_of(bars.filter(pl.col("ts_open") < NOVEMBER_NS), features)},
    }


class Memory(dg.IOManager):
    """Gives the same upstream values to every partition, and keeps what the assets make."""

    def __init__(self, upstream: dict[str, Any]) -> None:
        self.values = dict(upstream)

    def handle_output(self, context: dg.OutputContext, obj: Any) -> None:  # noqa: ANN401 - whatever the asset gives
        self.values[context.asset_key.path[-1]] = obj

    def load_input(self, context: dg.InputContext) -> Any:  # noqa: ANN401 - whatever the asset gave
        return self.values[context.asset_key.path[-1]]


class Run:
    """One materialisation and what it left."""

    def __init__(self, folder: Path, upstream: dict[str, Any], config: dict[str, Any] | None = None) -> None:
        self.ledger = TrialLedger(folder / "trials.jsonl")
        if not self.ledger.path.exists():
            trials = [Trial(STUDY, "model_lgbm", "cv", {"n": n}, 7, n / 500, 2_000, BAR_NS, 1) for n in range(5)]
            self.ledger.append(trials)
        self.memory = Memory(upstream)
        self.reports = folder / "reports"
        sources = [
            dg.AssetSpec("clean_bars", partitions_def=DAYS),
            dg.AssetSpec("model_spec", partitions_def=MONTHS).with_io_manager_key("artifacts"),
            dg.AssetSpec("hyperparameter_study", partitions_def=MONTHS).with_io_manager_key("artifacts"),
            dg.AssetSpec("onnx_model", partitions_def=MONTHS).with_io_manager_key("artifacts"),
        ]
        self.result = dg.materialize(
            [*ASSETS, *sources],
            selection=dg.AssetSelection.assets(*ASSETS),
            partition_key="2021-11-01",
            resources={
                "io_manager": self.memory,
                "artifacts": self.memory,
                "ledger": self.ledger,
                "lake": Lake(str(folder / "lake")),
                "reports": self.reports,
            },
            run_config={"ops": {"backtest_threshold": {"config": config or {}}}},
            raise_on_error=False,
        )
        self.checks = {item.check_name: item for item in self.result.get_asset_check_evaluations()}

    def metadata(self, asset: str) -> dict[str, Any]:
        (event,) = self.result.asset_materializations_for_node(asset)
        return {key: value.value for key, value in event.metadata.items()}

    def numbers(self) -> dict[str, Any]:
        numbers: dict[str, Any] = json.loads(self.memory.values["backtest_threshold"]["backtest.json"])
        return numbers

    def table(self, name: str) -> pl.DataFrame:
        return pl.read_parquet(io.BytesIO(self.memory.values["backtest_threshold"][name]))


@pytest.fixture(scope="module")
def run(upstream: dict[str, Any], tmp_path_factory: pytest.TempPathFactory) -> Run:
    return Run(tmp_path_factory.mktemp("run"), upstream)


def test_both_assets_materialize_and_every_blocking_check_passes(run: Run) -> None:
    assert run.result.success
    assert {name for name, item in run.checks.items() if item.blocking} == {
        "books_balance",
        "random_signal_loses_its_costs",
        "ledger_holds_the_trials",
    }
    assert all(item.passed for item in run.checks.values() if item.blocking)
    warnings = [run.checks["profit_survives_higher_costs"], run.checks["probably_not_luck"]]
    assert {item.severity for item in warnings} == {dg.AssetCheckSeverity.WARN}
    assert not run.checks["probably_not_luck"].passed, "on a walk there is nothing but luck"


def test_numbers_picture_and_page_stand_in_the_metadata(run: Run) -> None:
    shown = run.metadata("backtest_threshold")
    floats = {
        "sharpe_annual", "sortino", "calmar", "max_drawdown", "win_rate", "profit_factor", "turnover",
        "deflated_sharpe", "total_return", "total_return_stress", "commission",
    }  # fmt: skip
    assert {type(shown[name]) for name in floats} == {float}
    assert shown["trials"] == 7
    png = base64.b64decode(shown["equity"].split("base64,")[1].rstrip(")"))
    assert png.startswith(b"\x89PNG")
    assert len(png) < 60_000
    page = run.reports / "backtest_threshold-2021-11.html"
    assert (shown["report"], shown["report_url"]) == (str(page), page.as_uri())
    text = page.read_text()
    assert run.numbers()["dataset_id"] in text
    assert 'src="http' not in text


def test_only_the_month_is_traded(run: Run, upstream: dict[str, Any]) -> None:
    equity, fills, signals = (run.table(f"{name}.parquet") for name in ("equity", "fills", "signals"))
    assert equity["ts"][0] == NOVEMBER_NS
    assert equity["equity"][0] == 50_000
    traded = upstream["clean_bars"].filter(pl.col("ts_open") >= NOVEMBER_NS)
    assert equity.height == traded.height + 1 == 12 * 96 + 1
    assert fills.height >= 10
    assert fills["ts"].min() > NOVEMBER_NS  # type: ignore[operator]
    assert signals.filter(pl.col("decision") == "NoSignal").is_empty(), "October warms the features"


def test_what_comes_after_the_month_changes_nothing(run: Run, upstream: dict[str, Any], tmp_path: Path) -> None:
    later = walk(DECEMBER_NS, DECEMBER_NS + 96 * BAR_NS)
    other = Run(tmp_path, {**upstream, "clean_bars": pl.concat([later, upstream["clean_bars"]])})
    assert other.numbers() == run.numbers()


def test_a_repetition_is_the_same_and_counts_once(run: Run, upstream: dict[str, Any]) -> None:
    lines = run.ledger.head().count
    again = Run(run.ledger.path.parent, upstream)
    assert again.result.success
    assert again.memory.values["backtest_threshold"] == run.memory.values["backtest_threshold"]
    assert again.memory.values["overfit_report"] == run.memory.values["overfit_report"]
    assert run.ledger.head().count == lines + 2
    assert run.ledger.count(run.numbers()["dataset_id"]) == 2
    assert again.metadata("backtest_threshold")["trials"] == 7


def test_costs_twice_as_high_are_reported(run: Run) -> None:
    numbers = run.numbers()
    assert numbers["stress_factor"] == 2
    base, stress = numbers["base"], numbers["stress"]
    assert stress["commission"] / stress["traded_notional"] == pytest.approx(
        2 * base["commission"] / base["traded_notional"]
    )
    assert stress["total_return"] < base["total_return"]


def test_luck_is_counted_over_search_and_backtests(run: Run) -> None:
    luck = json.loads(run.memory.values["overfit_report"]["overfit.json"])
    assert luck["trials"] == 7
    assert luck["datasets"] == [STUDY, run.numbers()["dataset_id"]]
    assert 0 <= luck["deflated_sharpe"] <= luck["probabilistic_sharpe"] <= 1
    assert run.ledger.verify().count >= luck["ledger"]["count"] == 7


def test_a_run_without_commission_is_blocked(upstream: dict[str, Any], tmp_path: Path) -> None:
    free = Run(tmp_path, upstream, {"maker_bps": "0", "taker_bps": "0"})
    assert not free.checks["books_balance"].passed
    assert "were charged no commission" in str(free.checks["books_balance"].metadata["faults"].value)
    assert not free.checks["random_signal_loses_its_costs"].passed
    assert "overfit_report" not in free.memory.values


def test_a_simulator_that_gives_money_away_is_blocked(
    upstream: dict[str, Any], tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    control = Control(profits=(12.0, -900.0), commissions=(1_000.0, 1_000.0), faults=())
    assert not control.loses_its_costs
    assert replace(control, profits=(-600.0, -900.0)).loses_its_costs
    assert not replace(control, profits=(-600.0, -900.0), faults=("a fault",)).loses_its_costs
    monkeypatch.setattr(backtests, "random_control", lambda *_: control)
    generous = Run(tmp_path, upstream)
    assert not generous.checks["random_signal_loses_its_costs"].passed
    assert "overfit_report" not in generous.memory.values


def test_a_ledger_that_lost_the_runs_blocks_the_report(run: Run, upstream: dict[str, Any], tmp_path: Path) -> None:
    study = [trial for trial in run.ledger.trials() if trial.dataset_id == STUDY]
    shortened = TrialLedger(tmp_path / "trials.jsonl")
    shortened.append(study)
    results: Any = backtests.overfit_report(
        ledger=shortened,
        hyperparameter_study=upstream["hyperparameter_study"],
        backtest_threshold=run.memory.values["backtest_threshold"],
    )
    checks: dict[str | None, Any] = {item.check_name: item for item in results if isinstance(item, dg.AssetCheckResult)}
    assert not checks["ledger_holds_the_trials"].passed
    assert len(checks["ledger_holds_the_trials"].metadata["missing"].value) == 2


def test_a_month_without_bars_says_what_to_do(upstream: dict[str, Any], tmp_path: Path) -> None:
    october = upstream["clean_bars"].filter(pl.col("ts_open") < NOVEMBER_NS)
    empty = Run(tmp_path, {**upstream, "clean_bars": october})
    failure = empty.result.failure_data_for_node("backtest_threshold")
    assert failure is not None
    assert "load these days first" in str(failure.error)

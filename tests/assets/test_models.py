"""The models group, run by Dagster over synthetic tables held in memory."""

from __future__ import annotations

import datetime as dt
import hashlib
import json
from typing import TYPE_CHECKING, Any

import dagster as dg
import numpy as np
import polars as pl
import pytest

from assets import models
from py_rt.backtesting.ledger import TrialLedger
from py_rt.data.storage import Lake
from py_rt.defaults import default_root
from py_rt.ml import export
from py_rt.ml.features.technical import FeatureSet
from py_rt.ml.labels import forward_return_labels
from py_rt.ml.pipeline import TrainedModel, warm_features
from py_rt.optimization.bayesian import StudyResult
from tests.synthetic import FEATURE_NAMES, START_NS, SyntheticTables, synthetic_tables

if TYPE_CHECKING:
    from pathlib import Path

NOVEMBER_NS = int(dt.datetime(2021, 11, 1, tzinfo=dt.UTC).timestamp()) * 10**9
DAYS = dg.DailyPartitionsDefinition(start_date="2021-10-01", end_date="2021-12-06")
ASSETS = [models.model_spec, models.training_set, models.hyperparameter_study, models.model_lgbm, models.onnx_model]


def spec(names: tuple[str, ...] = FEATURE_NAMES) -> dict[str, bytes]:
    features = [{"name": name} for name in names]
    return {"features.json": json.dumps({"features": features}, separators=(",", ":")).encode()}


def unchanged(feature_spec: dict[str, bytes]) -> dict[str, bytes]:
    """The month's specification where nothing is normalized."""
    return {**feature_spec, "normalization.json": b'{"base_sha256":"","fits":{}}'}


class Memory(dg.IOManager):
    """Keeps values by asset and partition; upstream tables come whole, as from a mapping to all partitions."""

    def __init__(
        self, tables: SyntheticTables, feature_spec: dict[str, bytes], bars: pl.DataFrame | None = None
    ) -> None:
        self.values: dict[tuple[str, str], Any] = {}
        self.upstream = {
            "features_bar": tables.features,
            "labels": tables.labels,
            "feature_spec": feature_spec,
            "clean_bars": pl.LazyFrame() if bars is None else bars.lazy(),
        }

    def handle_output(self, context: dg.OutputContext, obj: Any) -> None:  # noqa: ANN401 - whatever the asset gives
        self.values[context.asset_key.path[-1], context.partition_key] = obj

    def load_input(self, context: dg.InputContext) -> Any:  # noqa: ANN401 - whatever the asset gave
        name = context.asset_key.path[-1]
        found: Any = self.upstream[name] if name in self.upstream else self.values[name, context.partition_key]
        is_lazy = context.dagster_type.typing_type is pl.LazyFrame
        return found.lazy() if is_lazy else found


@pytest.fixture(scope="module")
def tables() -> SyntheticTables:
    return synthetic_tables(6_300, seed=3)


class Run:
    """One materialisation and what it left."""

    def __init__(
        self, folder: Path, memory: Memory, config: dict[str, Any] | None = None, month: str = "2021-11-01"
    ) -> None:
        self.ledger = TrialLedger(folder / "trials.jsonl")
        self.memory = memory
        sources = [
            dg.AssetSpec("features_bar", partitions_def=DAYS),
            dg.AssetSpec("labels", partitions_def=DAYS),
            dg.AssetSpec("clean_bars", partitions_def=DAYS),
            dg.AssetSpec("feature_spec").with_io_manager_key("artifacts"),
        ]
        self.result = dg.materialize(
            [*ASSETS, *sources],
            selection=dg.AssetSelection.assets(*ASSETS),
            partition_key=month,
            resources={
                "io_manager": memory,
                "artifacts": memory,
                "ledger": self.ledger,
                "lake": Lake(str(folder / "lake")),
            },
            run_config={"ops": {"hyperparameter_study": {"config": {"trials": 3}}, **(config or {})}},
            raise_on_error=False,
        )
        self.checks = {item.check_name: item for item in self.result.get_asset_check_evaluations()}

    def files(self, asset: str) -> dict[str, bytes]:
        found: dict[str, bytes] = self.memory.values[asset, "2021-11-01"]
        return found


@pytest.fixture(scope="module")
def run(tables: SyntheticTables, tmp_path_factory: pytest.TempPathFactory) -> Run:
    return Run(tmp_path_factory.mktemp("run"), Memory(tables, spec()))


def test_all_five_assets_materialize_and_every_check_passes(run: Run) -> None:
    assert run.result.success
    assert {name: item.passed for name, item in run.checks.items()} == {
        "fitted_before_month": True,
        "labels_known_before_month": True,
        "better_than_base_rate": True,
        "onnx_parity": True,
        "feature_contract": True,
    }
    assert all(item.blocking for name, item in run.checks.items() if name != "better_than_base_rate")


def test_the_month_learns_only_from_labels_known_before_it(run: Run, tables: SyntheticTables) -> None:
    table = run.memory.values["training_set", "2021-11-01"]
    assert table["label_end_ts"].max() + models.EMBARGO_NS < NOVEMBER_NS
    assert set(table["month"]) == {dt.date(2021, 11, 1)}
    known = tables.labels.filter(pl.col("label_end_ts") + models.EMBARGO_NS < NOVEMBER_NS)
    assert table.height == known.height - 256


def test_what_comes_after_the_cut_changes_nothing(run: Run, tables: SyntheticTables, tmp_path: Path) -> None:
    later = pl.col("ts_close") >= NOVEMBER_NS
    changed = SyntheticTables(
        tables.features.with_columns(pl.when(later).then(-pl.col("ret_4")).otherwise(pl.col("ret_4")).alias("ret_4")),
        tables.labels.with_columns(
            pl.when(pl.col("label_end_ts") >= NOVEMBER_NS)
            .then(1 - pl.col("label"))
            .otherwise(pl.col("label"))
            .cast(pl.Int8)
        ),
    )
    other = Run(tmp_path, Memory(changed, spec()))
    assert other.result.success
    assert other.files("onnx_model")["model.onnx"] == run.files("onnx_model")["model.onnx"]
    assert other.files("hyperparameter_study") == run.files("hyperparameter_study")
    assert other.files("model_lgbm")["scores.json"] != run.files("model_lgbm")["scores.json"]


def test_a_second_run_gives_the_same_bytes_everywhere(run: Run, tables: SyntheticTables, tmp_path: Path) -> None:
    again = Run(tmp_path, Memory(tables, spec()))
    assert again.result.success
    for asset in ("hyperparameter_study", "model_lgbm", "onnx_model"):
        assert again.files(asset) == run.files(asset)


def test_the_ledger_holds_the_study(run: Run) -> None:
    study = StudyResult.from_json(run.files("hyperparameter_study")["study.json"])
    assert [trial.sharpe for trial in run.ledger.trials([study.dataset_id])] == [trial.sharpe for trial in study.trials]
    assert run.ledger.count(study.dataset_id) == 3


def test_the_onnx_files_belong_together(run: Run) -> None:
    files = run.files("onnx_model")
    assert set(files) == {"model.onnx", "golden.bin", "parity.json", "model_card.md"}
    metadata = export.read_metadata(files["model.onnx"])
    assert metadata.feature_names == FEATURE_NAMES
    assert metadata.feature_spec_sha256 == hashlib.sha256(spec()["features.json"]).hexdigest()
    golden = export.read_golden(files["golden.bin"])
    assert len(golden.features) == models.GOLDEN_ROWS
    assert export.score(files["model.onnx"], golden.features).tobytes() == golden.probabilities.tobytes()
    parity = json.loads(files["parity.json"])
    assert parity["rows"] >= 5_000
    assert parity["passed"] is True
    assert files["model_card.md"].startswith(b"# Model card: model_lgbm")


def test_too_few_rows_for_parity_block_the_model(tables: SyntheticTables, tmp_path: Path) -> None:
    # All the month needs to be trained, but fewer than 5,000 warm rows to compare on.
    short = SyntheticTables(tables.features.head(4_000), tables.labels.head(3_996))
    run = Run(tmp_path, Memory(short, spec()))
    assert run.checks["onnx_parity"].passed is False
    assert run.checks["onnx_parity"].blocking
    assert run.checks["feature_contract"].passed


def test_a_specification_changed_after_training_blocks_the_model(run: Run, tables: SyntheticTables) -> None:
    swapped = (FEATURE_NAMES[1], FEATURE_NAMES[0], *FEATURE_NAMES[2:])
    results: Any = models.onnx_model(
        config=models.OnnxConfig(),
        model_spec=unchanged(spec(swapped)),
        model_lgbm=run.files("model_lgbm"),
        features_bar=tables.features,
        clean_bars=pl.LazyFrame(),
        lake=Lake("unused"),
    )
    checks: dict[str | None, Any] = {item.check_name: item for item in results if isinstance(item, dg.AssetCheckResult)}
    assert checks["onnx_parity"].passed is True
    assert checks["feature_contract"].passed is False
    order, spec_hash = checks["feature_contract"].metadata["faults"].value
    assert "feature order differs from position 0" in order
    assert "feature_spec_sha256" in spec_hash


def test_a_decision_that_flips_at_the_strategys_own_threshold_blocks_the_model(
    run: Run, tables: SyntheticTables, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    booster = TrainedModel.from_json(run.files("model_lgbm")["model.json"]).booster()
    rows = warm_features(tables.features, FEATURE_NAMES)
    exact = booster.predict(rows)
    below = exact > export.score(run.files("onnx_model")["model.onnx"], rows)
    at = float(exact[below][0])  # the rounded answer of the ONNX file is just below it
    strategy = tmp_path / "strategy.toml"
    strategy.write_text(f"[parameters]\nentry_threshold = {at!r}\nexit_threshold = 0.01\n")
    monkeypatch.setattr(models, "STRATEGY_FILE", strategy)
    results: Any = models.onnx_model(
        config=models.OnnxConfig(),
        model_spec=unchanged(spec()),
        model_lgbm=run.files("model_lgbm"),
        features_bar=tables.features,
        clean_bars=pl.LazyFrame(),
        lake=Lake("unused"),
    )
    checks: dict[str | None, Any] = {item.check_name: item for item in results if isinstance(item, dg.AssetCheckResult)}
    assert checks["onnx_parity"].passed is False
    assert checks["onnx_parity"].metadata["changed_decisions"].value >= 1
    assert checks["onnx_parity"].metadata["thresholds"].value == [0.01, at]


def test_a_month_whose_data_has_not_come_still_gets_a_model(tables: SyntheticTables, tmp_path: Path) -> None:
    until_november = pl.col("ts_close") < NOVEMBER_NS
    past = SyntheticTables(tables.features.filter(until_november), tables.labels.filter(until_november))
    run = Run(tmp_path, Memory(past, spec()))
    assert json.loads(run.files("model_lgbm")["scores.json"]) is None
    assert run.checks["better_than_base_rate"].passed is False
    assert run.checks["better_than_base_rate"].severity == dg.AssetCheckSeverity.WARN
    assert TrainedModel.from_json(run.files("model_lgbm")["model.json"]).rows > 2_000


def test_a_month_before_the_data_says_so(tables: SyntheticTables, tmp_path: Path) -> None:
    late = SyntheticTables(tables.features.slice(3_200), tables.labels.slice(3_200))
    run = Run(tmp_path, Memory(late, spec()))
    failure = run.result.failure_data_for_node("training_set")
    assert failure is not None
    assert "load earlier history or choose a later month" in str(failure.error)


@pytest.fixture
def policy(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """A file of training policies of the test's own."""
    path = tmp_path / "training.toml"
    monkeypatch.setattr(models, "TRAINING_FILE", path)
    return path


def test_weights_by_uniqueness_are_used_where_the_policy_says_so(
    run: Run, tables: SyntheticTables, tmp_path: Path, policy: Path
) -> None:
    policy.write_text('sample_weights = "uniqueness"\noldest_weight = 0.2\n')
    weighed = Run(tmp_path, Memory(tables, spec()))
    assert weighed.result.success
    assert weighed.memory.values["training_set", "2021-11-01"].equals(run.memory.values["training_set", "2021-11-01"])
    ours, equal = (TrainedModel.from_json(one.files("model_lgbm")["model.json"]) for one in (weighed, run))
    assert ours.dataset_id != equal.dataset_id  # trials of the one do not count for the other
    assert ours.text != equal.text
    assert (
        b"Rows weigh by the uniqueness of their labels, the oldest 0.2." in weighed.files("model_lgbm")["model_card.md"]
    )
    policy.write_text('[label]\nkind = "triple_barrier"\nupper = 0.01\n')
    card = Run(tmp_path, Memory(tables, spec())).files("model_lgbm")["model_card.md"]
    assert b"the return until the close is 0.01 above the present one, or 4 bars on, is above zero." in card
    policy.write_text('sample_weights = "equal"\n')
    assert Run(tmp_path, Memory(tables, spec())).files("model_lgbm") == run.files("model_lgbm")


def test_features_are_normalized_by_the_rows_before_the_month_and_the_bundles_features_say_how(
    tmp_path: Path, policy: Path
) -> None:
    bars = walk(6_300)
    features = FeatureSet.from_toml(default_root() / "config" / "features" / "btc_15m.toml")
    table = bars.select("instrument", "ts_close", "date").hstack(features.compute(bars))
    labels = forward_return_labels(
        bars.select("instrument", "ts_close", "close", "date"), horizon_bars=4, bar_ns=models.BAR_NS
    ).drop("close")
    base = {"features.json": features.canonical.encode()}
    policy.write_text('[normalize]\nret_1 = "z_score"\nvol_20 = "rank"\n')
    made = Run(tmp_path, Memory(SyntheticTables(table, labels), base, bars))
    assert made.result.success
    assert made.checks["fitted_before_month"].metadata["normalized"].value == 2
    text = made.files("model_spec")["features.json"].decode()
    month = FeatureSet.from_canonical(text)
    assert month.names == features.names
    trained = made.memory.values["training_set", "2021-11-01"]
    ours = (
        bars.select("ts_close").hstack(month.compute(bars)).join(trained.select("ts_close"), on="ts_close", how="semi")
    )
    assert trained.select(features.names).equals(ours.select(features.names))  # the engine's own
    assert abs(trained["ret_1"].to_numpy().mean()) < 0.01
    assert trained["vol_20"].is_between(0, 1).all()
    onnx = export.read_metadata(made.files("onnx_model")["model.onnx"])
    assert onnx.feature_spec_sha256 == hashlib.sha256(text.encode()).hexdigest() != features.sha256
    # What comes in the month and after changes no number that was fitted.
    later = pl.col("ts_close") >= NOVEMBER_NS
    changed = table.with_columns(pl.when(later).then(pl.col("ret_1") * 9).otherwise("ret_1").alias("ret_1"))
    other = Run(tmp_path, Memory(SyntheticTables(changed, labels), base, bars))
    assert other.files("model_spec") == made.files("model_spec")


def walk(rows: int) -> pl.DataFrame:
    rng = np.random.default_rng(11)
    close = np.round(40_000 * np.exp(np.cumsum(rng.normal(0, 0.003, rows))) * 1e8).astype(np.int64)
    opened = np.r_[close[0], close[:-1]]
    ts_open = START_NS + models.BAR_NS * np.arange(rows)
    return pl.DataFrame(
        {
            "instrument": ["BTCUSDT"] * rows,
            "ts_open": ts_open,
            "ts_close": ts_open + models.BAR_NS,
            "open": opened,
            "high": np.maximum(opened, close),
            "low": np.minimum(opened, close),
            "close": close,
            "volume": rng.integers(1, 9, rows) * 10**8,
        }
    ).with_columns(pl.from_epoch("ts_open", time_unit="ns").dt.date().alias("date"))

"""The bundles group, run by Dagster over a walk of bars held in memory and a store in a folder."""

from __future__ import annotations

import datetime as dt
import json
import shutil
import time
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

import dagster as dg
import lightgbm as lgb
import numpy as np
import polars as pl
import pytest

from assets import bundles
from assets.models import STRATEGY_FILE
from py_rt.bundle.gates import FOR_PAPER
from py_rt.bundle.keys import SigningKey, create_key, key_path
from py_rt.bundle.manifest import sha256_hex
from py_rt.bundle.store import BundleStore
from py_rt.data.storage import Lake, write_whole
from py_rt.defaults import default_root
from py_rt.ml.export import export_onnx, write_golden
from py_rt.ml.features.technical import FeatureSet
from py_rt.ml.strategy_file import decided_at
from tests.golden_bundle import DAY_NS, approved

if TYPE_CHECKING:
    from pathlib import Path

BAR_NS = 900 * 10**9
UNIT = 10**8
START_NS = int(dt.datetime(2021, 10, 10, tzinfo=dt.UTC).timestamp()) * 10**9
DAYS = dg.DailyPartitionsDefinition(start_date="2021-09-27", end_date="2021-12-06")
MONTHS = dg.MonthlyPartitionsDefinition(start_date="2021-11-01", end_date="2022-01-01")
MONTH = "2021-11-01"
UPSTREAM = ("model_spec", "hyperparameter_study", "onnx_model", "backtest_threshold", "overfit_report")


def walk(rows: int = 1_500) -> pl.DataFrame:
    random = np.random.default_rng(9)
    close = 60_000 * UNIT + np.cumsum(random.integers(-100, 101, rows)) * UNIT
    opened = np.concatenate([close[:1], close[:-1]])
    wick = random.integers(1, 50, (2, rows)) * UNIT
    ts_open = START_NS + np.arange(rows) * BAR_NS
    return pl.DataFrame(
        {
            "instrument": ["BTCUSDT"] * rows,
            "ts_open": ts_open,
            "open": opened,
            "high": np.maximum(opened, close) + wick[0],
            "low": np.minimum(opened, close) - wick[1],
            "close": close,
            "volume": random.integers(10, 90, rows) * UNIT,
        }
    )


def model_of(bars: pl.DataFrame, features: FeatureSet) -> dict[str, bytes]:
    """A small model that tells nothing, with its golden rows."""
    rising = (bars["close"].shift(-1) > bars["close"]).fill_null(value=False)
    warm = features.compute(bars).with_columns(label=rising).filter(pl.col("is_warm"))
    rows = np.ascontiguousarray(warm.select(features.names).to_numpy())
    data = lgb.Dataset(rows, warm["label"].to_numpy(), feature_name=list(features.names))
    params = {"objective": "binary", "num_leaves": 5, "verbose": -1, "seed": 1, "num_threads": 1, "deterministic": True}
    booster = lgb.train(params, data, num_boost_round=10)
    onnx = export_onnx(booster, feature_names=features.names, feature_spec_sha256=features.sha256, name="walk")
    parity = {
        "passed": True,
        "max_abs_diff": 1e-7,
        "max_allowed_diff": 1e-5,
        "min_rows": 5_000,
        "rows": 6_000,
        "thresholds": decided_at(STRATEGY_FILE.read_text(encoding="utf-8")),
    }
    return {
        "model.onnx": onnx,
        "golden.bin": write_golden(onnx, rows[:1_000]),
        "parity.json": json.dumps(parity).encode(),
        "model_card.md": b"# Model card: walk\n",
    }


@pytest.fixture(scope="module")
def upstream() -> dict[str, Any]:
    bars = walk()
    features = FeatureSet.from_toml(default_root() / "config" / "features" / "btc_15m.toml")
    spec, onnx = features.canonical.encode(), model_of(bars, features)
    numbers = {"periods": 2_880, "bar_ns": BAR_NS, "annual_sharpe": -1.0, "total_return": -0.01}
    backtest = {
        "base": numbers,
        "stress": numbers,
        "stress_factor": 2,
        "config": {"daily_volatility": "0.03512345", "seed": 7},
        "strategy": {
            "model_sha256": sha256_hex(onnx["model.onnx"]),
            "features_sha256": sha256_hex(spec),
            "strategy_sha256": sha256_hex(STRATEGY_FILE.read_bytes()),
        },
    }
    overfit = {"deflated_sharpe": 0.2, "ledger": {"count": 14, "sha256": "ab" * 32}}
    return {
        "clean_bars": bars,
        "model_spec": {
            "features.json": spec,
            "normalization.json": json.dumps({"base_sha256": sha256_hex(spec), "fits": {}}).encode(),
        },
        "hyperparameter_study": {"study.json": json.dumps({"dataset_id": "5" * 64, "seed": 3}).encode()},
        "onnx_model": onnx,
        "backtest_threshold": {"backtest.json": json.dumps(backtest).encode()},
        "overfit_report": {"overfit.json": json.dumps(overfit).encode()},
    }


class Memory(dg.IOManager):
    """Gives the same upstream values to every partition, and keeps what the assets make."""

    def __init__(self, upstream: dict[str, Any]) -> None:
        self.values = dict(upstream)

    def handle_output(self, context: dg.OutputContext, obj: Any) -> None:  # noqa: ANN401 - whatever the asset gives
        self.values[context.asset_key.path[-1]] = obj

    def load_input(self, context: dg.InputContext) -> Any:  # noqa: ANN401 - whatever the asset gave
        return self.values[context.asset_key.path[-1]]


@dataclass
class Desk:
    """A home with a lake, keys and a store, and the assets' values."""

    home: Path
    memory: Memory
    instance: dg.DagsterInstance

    @property
    def store(self) -> BundleStore:
        return BundleStore(self.home / "bundles")

    @property
    def digest(self) -> str:
        return str(json.loads(self.memory.values["candidate_bundle"]["bundle.json"])["digest"])

    def make(self, *assets: dg.AssetsDefinition, config: dict[str, Any] | None = None) -> dg.ExecuteInProcessResult:
        made = [bundles.candidate_bundle, bundles.approved_bundle]
        sources = [
            dg.AssetSpec("clean_bars", partitions_def=DAYS),
            *(dg.AssetSpec(name, partitions_def=MONTHS).with_io_manager_key("artifacts") for name in UPSTREAM),
        ]
        return dg.materialize(
            [*made, *sources],
            selection=dg.AssetSelection.assets(*assets),
            partition_key=MONTH,
            instance=self.instance,
            resources={
                "io_manager": self.memory,
                "artifacts": self.memory,
                "bundle_store": self.store,
                "key_folder": self.home / "keys",
                "lake": Lake(str(self.home / "lake")),
            },
            run_config={"ops": {"approved_bundle": {"config": config}}} if config else None,
            raise_on_error=False,
        )

    def approve(self, **asked: Any) -> None:  # noqa: ANN401 - a value of the request
        approved(self.home, self.digest, **asked)


@pytest.fixture
def desk(tmp_path: Path, upstream: dict[str, Any]) -> Desk:
    home = tmp_path / "home"
    for role in ("builder", "approver"):
        create_key(home / "keys", role)
    lake = Lake(str(home / "lake"))
    spec_sha256 = sha256_hex(upstream["model_spec"]["features.json"])
    for name, group in bundles.tables_of(spec_sha256).items():
        column = "file_sha256" if name == "raw_bars" else "close"
        write_whole(lake.uri(group, name), pl.DataFrame({column: ["cd" * 32, "ab" * 32, "ab" * 32]}))
    return Desk(home, Memory(upstream), dg.DagsterInstance.ephemeral())


def checks(result: dg.ExecuteInProcessResult) -> dict[str, dg.AssetCheckEvaluation]:
    return {item.check_name: item for item in result.get_asset_check_evaluations()}


def failure(result: dg.ExecuteInProcessResult) -> str:
    (event,) = [event for event in result.all_events if event.event_type == dg.DagsterEventType.STEP_FAILURE]
    return str(event.event_specific_data)


def metadata(result: dg.ExecuteInProcessResult, asset: str) -> dict[str, Any]:
    (event,) = result.asset_materializations_for_node(asset)
    return {key: value.value for key, value in event.metadata.items()}


def test_the_candidate_is_built_judged_and_signed(desk: Desk) -> None:
    result = desk.make(bundles.candidate_bundle)
    assert result.success
    found = checks(result)
    assert list(found) == ["reader_accepts", *FOR_PAPER, "signed_by_builder"]
    assert all(check.passed for check in found.values())
    assert all(check.blocking for name, check in found.items() if name != "signed_by_builder")
    shown = metadata(result, "candidate_bundle")
    assert shown["digest"] == desk.digest
    assert shown["builder"] == SigningKey.load(key_path(desk.home / "keys", "builder")).key_id
    assert "[not evaluated] Paper trading results verified" in shown["gates"]
    assert desk.store.folder(desk.digest).is_dir()


def test_the_bundle_holds_what_was_made_and_from_what(desk: Desk) -> None:
    desk.make(bundles.candidate_bundle)
    read = {path: desk.store.read_file(desk.digest, path) for path in ("strategy.toml", "provenance.json")}
    assert "daily_volatility = 0.03512345" in read["strategy.toml"].decode()
    provenance = json.loads(read["provenance.json"])
    assert provenance["raw_files"] == ["ab" * 32, "cd" * 32]
    assert {table["name"] for table in provenance["tables"]} == set(
        bundles.tables_of(provenance["feature_spec_sha256"])
    )
    assert provenance["seeds"] == {"study": 3, "backtest": 7}
    assert provenance["dataset_id"] == "5" * 64
    record = desk.store.read_record(desk.digest)
    assert record["month"] == MONTH
    assert record["build_run"] not in b"".join(read.values()).decode()


def test_the_same_content_is_the_same_bundle(desk: Desk) -> None:
    desk.make(bundles.candidate_bundle)
    first, record = desk.digest, desk.store.read_record(desk.digest)
    result = desk.make(bundles.candidate_bundle)
    assert desk.digest == first
    assert desk.store.read_record(first) == record
    assert metadata(result, "candidate_bundle")["new"] is False


def test_without_a_builders_key_the_candidate_is_not_signed(desk: Desk) -> None:
    key_path(desk.home / "keys", "builder").unlink()
    result = desk.make(bundles.candidate_bundle)
    assert result.success
    check = checks(result)["signed_by_builder"]
    assert (check.passed, check.severity) == (False, dg.AssetCheckSeverity.WARN)
    assert "py_rt keys create" in str(check.description)
    assert not desk.store.signature(desk.digest, "builder").exists()


def test_a_key_that_others_can_read_signs_nothing(desk: Desk) -> None:
    key_path(desk.home / "keys", "builder").chmod(0o644)
    result = desk.make(bundles.candidate_bundle)
    assert not result.success
    assert "allowed is 0400" in failure(result)


def test_what_the_reader_refuses_is_blocked_and_not_signed(desk: Desk) -> None:
    broken = bytearray(desk.memory.values["onnx_model"]["golden.bin"])
    broken[-8] ^= 1
    desk.memory.values["onnx_model"] = {**desk.memory.values["onnx_model"], "golden.bin": bytes(broken)}
    result = desk.make(bundles.candidate_bundle)
    check = checks(result)["reader_accepts"]
    assert (check.passed, check.blocking) == (False, True)
    assert check.metadata["refusal"].value == "golden"
    assert not desk.store.signature(desk.digest, "builder").exists()


def test_a_gate_that_fails_blocks(desk: Desk) -> None:
    parity = json.loads(desk.memory.values["onnx_model"]["parity.json"])
    changed = json.dumps({**parity, "passed": False}).encode()
    desk.memory.values["onnx_model"] = {**desk.memory.values["onnx_model"], "parity.json": changed}
    found = checks(desk.make(bundles.candidate_bundle))
    assert {name for name, check in found.items() if not check.passed} == {"onnx_parity"}


def test_parity_at_other_thresholds_than_the_strategys_says_nothing(desk: Desk) -> None:
    onnx = desk.memory.values["onnx_model"]
    elsewhere = {**json.loads(onnx["parity.json"]), "thresholds": [0.48, 0.55]}
    desk.memory.values["onnx_model"] = {**onnx, "parity.json": json.dumps(elsewhere).encode()}
    found = checks(desk.make(bundles.candidate_bundle))
    assert {name for name, check in found.items() if not check.passed} == {"onnx_parity"}
    assert "not compared at 0.5;" in str(found["onnx_parity"].description)


def test_bars_that_are_too_few_to_be_warm_prove_nothing(desk: Desk) -> None:
    desk.memory.values["clean_bars"] = desk.memory.values["clean_bars"].head(50)
    found = checks(desk.make(bundles.candidate_bundle))
    assert {name for name, check in found.items() if not check.passed} == {"no_look_ahead"}
    assert "no row is warm" in str(found["no_look_ahead"].description)


def test_a_backtest_of_another_model_is_refused(desk: Desk) -> None:
    backtest = json.loads(desk.memory.values["backtest_threshold"]["backtest.json"])
    backtest["strategy"]["model_sha256"] = "00" * 32
    desk.memory.values["backtest_threshold"] = {"backtest.json": json.dumps(backtest).encode()}
    result = desk.make(bundles.candidate_bundle)
    assert not result.success
    assert "another model" in failure(result)


def test_nothing_is_approved_before_a_person_approves(desk: Desk) -> None:
    desk.make(bundles.candidate_bundle)
    result = desk.make(bundles.approved_bundle)
    assert not result.success
    assert "not approved (unsigned)" in failure(result)
    assert f"py_rt bundle approve {desk.digest[:12]} --slot 1 --stage paper" in failure(result)
    assert "approved_bundle" not in desk.memory.values


def test_the_approved_bundle_says_who_and_for_what(desk: Desk) -> None:
    desk.make(bundles.candidate_bundle)
    desk.approve()
    result = desk.make(bundles.approved_bundle)
    assert result.success
    shown = metadata(result, "approved_bundle")
    assert (shown["digest"], shown["serial"], shown["stage"], shown["slot"]) == (desk.digest, 1, "paper", 1)
    assert shown["builder"] != shown["approver"]
    assert shown["path"] == str(desk.store.folder(desk.digest))
    assert desk.store.alias(1, "challenger") == desk.digest
    (event,) = result.asset_materializations_for_node("approved_bundle")
    assert (event.tags or {})["dagster/data_version"] == f"{desk.digest}-1"


@pytest.mark.parametrize("damage", ["byte", "slot", "signature", "expired"])
def test_an_approval_that_does_not_hold_is_none(desk: Desk, damage: str) -> None:
    desk.make(bundles.candidate_bundle)
    now = time.time_ns()
    desk.approve(**({"begins_ns": now - 2 * DAY_NS, "ends_ns": now - DAY_NS} if damage == "expired" else {}))
    if damage == "byte":
        file = desk.store.folder(desk.digest) / "model.onnx"
        content = file.read_bytes()
        file.unlink()
        file.write_bytes(content[:-1])
    if damage == "signature":
        shutil.copyfile(desk.store.signature(desk.digest, "builder"), desk.store.signature(desk.digest, "approver"))
    result = desk.make(bundles.approved_bundle, config={"slot": 2} if damage == "slot" else None)
    words = {"byte": "wrong_size", "slot": "other_slot", "signature": "envelope", "expired": "expired"}
    assert not result.success
    assert f"not approved ({words[damage]})" in failure(result)

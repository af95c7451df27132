"""A second run makes only what is missing or stale: months, from bars to the signed candidate."""

from __future__ import annotations

import json
import os
import shutil
import subprocess
import sys
from dataclasses import replace
from pathlib import Path
from typing import TYPE_CHECKING, Any

import py_rt_core
import pytest

from assets import features
from pipelines.run import materialize
from py_rt.backtesting.ledger import TrialLedger
from py_rt.bundle.keys import create_key
from py_rt.cli.record import origin
from py_rt.data.storage import Lake, scan, spec_table
from py_rt.ml.export import read_metadata
from py_rt.ml.features.technical import FeatureSet
from tests.pipelines.conftest import InstantRunner, features_table
from tests.pipelines.test_reuse import reasons
from tests.pipelines.test_run import of_kind

if TYPE_CHECKING:
    import polars as pl

    from pipelines.execution import Summary

ROOT = Path(__file__).resolve().parents[2]
RANGE = "2021-09-27...2021-11-21"
MONTH = "2021-11-01"
MODELS = ("model_spec", "training_set", "hyperparameter_study", "model_lgbm", "onnx_model")
BACKTESTS = ("backtest_threshold", "overfit_report")
OF_THE_SPECIFICATION = {"feature_spec", "features_bar", *MODELS, *BACKTESTS, "candidate_bundle"}
NOT_OF_IT = {"raw_bars", "raw_daily_bars", "staged_bars", "clean_bars", "quarantined_bars", "labels"}
FEATURES = Path("config", "features", "btc_15m.toml")
STRATEGY = Path("config", "strategies", "btc_momentum.toml")

pytestmark = pytest.mark.usefixtures("home", "instant_runner")


@pytest.fixture(scope="module")
def template(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A home in which the whole chain was made once, for one month."""
    place = tmp_path_factory.mktemp("months")
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr("pipelines.resources.expectation_runner", InstantRunner())
        for name in [name for name in os.environ if name.startswith("PY_RT_")]:
            patch.delenv(name)
        summary = materialize(job="main_job", partition_range=RANGE, home=place)
    assert summary.success, summary
    return place


@pytest.fixture
def made(template: Path, home: Path) -> Path:
    """The home, once everything has been made."""
    shutil.copytree(template, home)
    return home


def again() -> tuple[Summary, list[dict[str, Any]]]:
    lines: list[dict[str, Any]] = []
    summary = materialize(job="main_job", partition_range=RANGE, reuse=True, on_event=lines.append)
    assert summary.success, lines
    return summary, lines


def test_a_second_run_of_the_whole_chain_executes_nothing(made: Path) -> None:
    assert made.is_dir()
    summary, lines = again()
    assert (summary.runs, summary.materializations, summary.reused_assets) == ([], 0, 16)
    assert {line["event"] for line in lines} == {"reused", "summary"}
    months = {line["asset"]: line["partitions"] for line in of_kind(lines, "reused") if line["unit"] == "month"}
    assert months == dict.fromkeys((*MODELS, *BACKTESTS, "candidate_bundle"), MONTH)


def test_a_candidate_is_signed_once_there_is_a_key(made: Path) -> None:
    create_key(made / "keys", "builder")
    summary, lines = again()
    assert reasons(lines) == {("candidate_bundle", MONTH): "there is a builder key now"}
    signed = next(line for line in of_kind(lines, "check") if line["check"] == "signed_by_builder")
    assert signed["passed"]
    assert summary.materializations == 1
    assert again()[0].runs == []
    # Signed is signed: that the key moved away is no reason; that there is another one is.
    (made / "keys" / "builder.pem").unlink()
    assert again()[0].runs == []
    create_key(made / "keys", "builder")
    assert reasons(again()[1]) == {("candidate_bundle", MONTH): "the builder has another key now"}
    for file in (made / "bundles" / "signatures").glob("*/builder.dsse.json"):
        file.unlink()
    assert reasons(again()[1]) == {("candidate_bundle", MONTH): "its signature is gone"}


def test_a_deleted_model_is_made_again_and_what_reads_it_is_not(made: Path) -> None:
    shutil.rmtree(made / "artifacts" / "models" / "model_lgbm" / MONTH)
    summary, lines = again()
    assert reasons(lines) == {("model_lgbm", MONTH): "its output is gone"}
    assert summary.materializations == 1  # the same bytes as before


def test_a_deleted_bundle_and_a_deleted_page_are_made_again(made: Path) -> None:
    for bundle in (made / "bundles").glob("sha256-*"):
        shutil.rmtree(bundle)
    (made / "reports" / "backtest_threshold-2021-11.html").unlink()
    _, lines = again()
    assert reasons(lines) == {
        ("backtest_threshold", MONTH): "its report page is gone",
        ("candidate_bundle", MONTH): "its bundle is gone from the store",
    }
    assert (made / "reports" / "backtest_threshold-2021-11.html").is_file()
    assert again()[0].runs == []


def test_other_trials_on_the_data_make_the_report_anew(made: Path) -> None:
    ledger = TrialLedger(made / "ledger" / "trials.jsonl")
    known = ledger.trials()[-1]
    ledger.append([known])
    assert again()[0].runs == []  # a repetition counts once
    ledger.append([replace(known, subject="by hand", door="notebook", sharpe=0.5)])
    _, lines = again()
    assert reasons(lines) == {
        ("overfit_report", MONTH): "the ledger holds other trials of its data",
        ("candidate_bundle", MONTH): "input overfit_report changed",
    }


def test_a_lost_ledger_makes_everything_that_counts_on_it_anew(made: Path) -> None:
    (made / "ledger" / "trials.jsonl").unlink()
    _, lines = again()
    found = reasons(lines)
    assert found["hyperparameter_study", MONTH] == "the ledger has lost its trials"
    assert found["backtest_threshold", MONTH] == "the ledger has lost its trials"
    assert ("model_lgbm", MONTH) not in found  # the study came out the same
    assert again()[0].runs == []


def test_one_day_by_another_specification_stands_alone_and_no_month_learns_from_it(
    made: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """The columns have the same names, so nothing but the specification tells the rows apart."""
    before = features_of(made, features_table(made).name)
    other = tmp_path / "features.toml"
    other.write_text((ROOT / FEATURES).read_text().replace("period = 14", "period = 13", 1))
    monkeypatch.setattr(features, "FEATURE_FILE", other)
    assert materialize("feature_spec,features_bar", partition="2021-10-31").success
    spec = FeatureSet.from_toml(other)
    assert features_of(made, spec_table("features_bar", spec.sha256))["date"].n_unique() == 1
    assert features_of(made, spec_table("features_bar", FeatureSet.from_toml(ROOT / FEATURES).sha256)).equals(before)
    lines: list[dict[str, Any]] = []
    refused = materialize("model_spec,training_set", partition="2021-11-01", on_event=lines.append)
    assert refused.steps_failed == ["training_set"]
    (told,) = [line["error"] for line in of_kind(lines, "step_failed")]
    assert "labelled rows have no features by this specification" in told
    assert "py_rt run --reuse" in told
    _, lines = again()
    assert reasons(lines)["features_bar", "2021-09-27...2021-10-30, 2021-11-01...2021-11-21"] == (
        "input feature_spec changed"
    )
    assert features_of(made, spec_table("features_bar", spec.sha256)).height == before.height
    assert again()[0].runs == []


def features_of(home: Path, table: str, version: int | None = None) -> pl.DataFrame:
    return scan(Lake(str(home / "lake")).uri("features", table), version=version).sort("ts_close").collect()


# --- files of the project: as processes, in a copy of it


@pytest.fixture
def project(tmp_path: Path) -> Path:
    """A copy of the project with a history of its own to touch."""
    place = tmp_path / "project"
    for name in ("assets", "pipelines", "py_rt", "config"):
        shutil.copytree(ROOT / name, place / name, ignore=shutil.ignore_patterns("__pycache__"))
    for name in ("workspace.yaml", "pyproject.toml", "uv.lock"):
        shutil.copy(ROOT / name, place / name)
    return place


def in_project(project: Path, home: Path) -> list[dict[str, Any]]:
    environ = {name: value for name, value in os.environ.items() if not name.startswith("PY_RT_")}
    path = os.pathsep.join([str(project), str(Path(py_rt_core.__file__).resolve().parents[1])])  # this very engine
    done = subprocess.run(
        [sys.executable, "-m", "pipelines.run", "--job", "main_job", "--partition-range", RANGE, "--reuse", "--json"],
        cwd=project,
        env=environ | {"PY_RT_HOME": str(home), "PYTHONPATH": path},
        capture_output=True,
        text=True,
        timeout=240,
        check=False,
    )
    assert done.returncode == 0, done.stdout + done.stderr
    return [json.loads(line) for line in done.stdout.splitlines()]


def changed(path: Path, before: str, after: str) -> None:
    text = path.read_text()
    assert before in text
    path.write_text(text.replace(before, after, 1))


def test_a_touched_strategy_makes_what_trades_with_it_a_touched_feature_file_what_comes_of_it(
    project: Path, made: Path
) -> None:
    assert in_project(project, made)[-1]["runs"] == []  # the same text elsewhere is the same code
    changed(
        project / "config" / "strategies" / "btc_momentum.toml", "entry_threshold = ", "# touched\nentry_threshold = "
    )
    touched = {asset for asset, _ in reasons(in_project(project, made))}
    # The model file as well: at the strategy's thresholds it must decide as the booster does.
    assert touched == {"onnx_model", *BACKTESTS, "candidate_bundle"}
    changed(project / "config" / "features" / "btc_15m.toml", "period = 14", "period = 13")
    found = reasons(in_project(project, made))
    assert {asset for asset, _ in found} == OF_THE_SPECIFICATION
    assert found["feature_spec", None] == "code changed"
    assert found["features_bar", RANGE] == "input feature_spec changed"
    assert in_project(project, made)[-1]["runs"] == []


def candidate(home: Path) -> tuple[Path, dict[str, Any]]:
    """The folder of the month's candidate, and where it came from as `py_rt trace` tells it."""
    made = home / "artifacts" / "bundles" / "candidate_bundle" / MONTH / "bundle.json"
    told = json.loads(made.read_text())
    assert told["accepted"]
    return home / "bundles" / f"sha256-{told['digest']}", origin(home / "bundles", told["digest"])["provenance"]


def feature_names(bundle: Path) -> list[str]:
    return [feature["name"] for feature in json.loads((bundle / "features.json").read_text())["features"]]


def read_from(home: Path, provenance: dict[str, Any]) -> pl.DataFrame:
    """The features that a bundle was made from: its own table, at its version."""
    (table,) = [table for table in provenance["tables"] if table["name"].startswith("features_bar")]
    assert table["name"] == spec_table("features_bar", provenance["feature_spec_sha256"])
    return features_of(home, table["name"], table["version"])


def contents(bundle: Path) -> dict[str, str]:
    """The hash of each file but the one that names the code."""
    files = json.loads((bundle / "manifest.json").read_text())["files"]
    return {file["path"]: file["sha256"] for file in files if file["path"] != "provenance.json"}


def remade(lines: list[dict[str, Any]]) -> set[str]:
    """What was made; everything else was reused whole."""
    assert {line["asset"] for line in of_kind(lines, "reused")} == NOT_OF_IT
    assert not lines[-1]["not_made"]
    return {asset for asset, _ in reasons(lines)}


def test_a_feature_is_added_and_taken_away_again(project: Path, made: Path) -> None:
    texts = {file: (project / file).read_text() for file in (FEATURES, STRATEGY)}
    first, first_provenance = candidate(made)
    first_rows, names = read_from(made, first_provenance), feature_names(first)
    with (project / FEATURES).open("a") as file:
        file.write('\n[[feature]]\nname = "ret_8"\nkind = "return"\nparams = { lag = 8 }\n')
        file.write('unit = "fraction"\nrestart_window = 0\n')
    changed(project / STRATEGY, '"hour_cos",', '"hour_cos", "ret_8",')

    assert remade(in_project(project, made)) == OF_THE_SPECIFICATION
    second, provenance = candidate(made)
    assert feature_names(second) == list(read_metadata((second / "model.onnx").read_bytes()).feature_names)
    assert feature_names(second) == [*names, "ret_8"]
    rows = read_from(made, provenance)
    assert rows.drop("ret_8").select(first_rows.columns).equals(first_rows)
    assert rows["ret_8"].drop_nulls().len() == first_rows["is_warm"].sum()
    learned = Lake(str(made / "lake")).uri("models", spec_table("training_set", provenance["feature_spec_sha256"]))
    assert scan(learned).collect()["ret_8"].null_count() == 0
    assert in_project(project, made)[-1]["runs"] == []
    assert read_from(made, first_provenance).equals(first_rows)  # what the first bundle was made from is there yet

    for place, text in texts.items():
        (project / place).write_text(text)
    assert remade(in_project(project, made)) == OF_THE_SPECIFICATION
    third, third_provenance = candidate(made)
    # Only the checkout's commit is not known to the copy; the tables came out the same, at the versions they had.
    assert third_provenance == first_provenance | {"git_commit": None}
    # The trials of the months with the feature stay trials: they deflate what these reports say.
    differing = {path for path, sha256 in contents(third).items() if sha256 != contents(first)[path]}
    assert differing == {"reports/backtest.json", "reports/gates.json"}
    assert in_project(project, made)[-1]["runs"] == []

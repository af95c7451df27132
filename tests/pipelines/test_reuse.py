"""A second run makes only what is missing or stale: days of bars from a folder, raw to features."""

from __future__ import annotations

import shutil
from typing import TYPE_CHECKING, Any

import dagster as dg
import pytest

from assets import cleaned, features
from assets.partitions import daily, single_run
from pipelines import definitions
from pipelines.event_log import PooledEventLogStorage
from pipelines.instance import open_instance
from pipelines.run import materialize
from py_rt.data.storage import read_table, scan
from tests.pipelines.conftest import InstantRunner, features_table
from tests.pipelines.test_run import HEADER, bars_of, of_kind

if TYPE_CHECKING:
    from contextlib import AbstractContextManager
    from pathlib import Path

    from sqlalchemy.engine import Connection

    from pipelines.execution import Summary

pytestmark = pytest.mark.usefixtures("home", "instant_runner")

TABLES = ("raw_bars", "staged_bars", "clean_bars", "quarantined_bars", "features_bar", "labels")
WISH = f"{','.join(TABLES)},feature_spec"
DAYS = ("2021-10-01", "2021-10-02", "2021-10-03", "2021-10-04")
ALL = f"{DAYS[0]}...{DAYS[-1]}"


@pytest.fixture(scope="module")
def template(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A folder with the source's files, a day in each, and the home in which everything was made of them once."""
    place = tmp_path_factory.mktemp("template")
    (place / "bars").mkdir()
    for day in DAYS:
        add_day(place / "bars", day)
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr("pipelines.resources.expectation_runner", InstantRunner())
        use(patch, place)
        summary, lines = again()
    assert summary.success, lines
    assert (summary.materializations, summary.reused, len(summary.runs)) == (25, 0, 1)
    assert set(reasons(lines).values()) == {"not made yet"}
    return place


def use(patch: pytest.MonkeyPatch, place: Path) -> None:
    for name in ("PY_RT_LAKE", "PY_RT_INSTRUMENT"):
        patch.delenv(name, raising=False)
    patch.setenv("PY_RT_HOME", str(place / "home"))
    patch.setenv("PY_RT_SOURCE", "local")
    patch.setenv("PY_RT_SOURCE_FOLDER", str(place / "bars"))


def add_day(folder: Path, day: str, price: str = "10") -> None:
    (folder / f"{day}.csv").write_text(HEADER + bars_of(day, price=price))


def again(select: str = WISH, partition_range: str | None = None) -> tuple[Summary, list[dict[str, Any]]]:
    lines: list[dict[str, Any]] = []
    summary = materialize(select, reuse=True, partition_range=partition_range, on_event=lines.append)
    return summary, lines


def reasons(lines: list[dict[str, Any]]) -> dict[tuple[str, str | None], str]:
    """By asset and partitions, why they are made again."""
    return {(line["asset"], line["partitions"]): line["reason"] for line in of_kind(lines, "stale")}


@pytest.fixture
def made(template: Path, tmp_path: Path, home: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """The source's folder, once everything has been made."""
    assert home == tmp_path / "home"
    shutil.copytree(template, tmp_path, dirs_exist_ok=True)
    use(monkeypatch, tmp_path)
    return tmp_path / "bars"


@pytest.mark.usefixtures("made")
def test_a_second_run_executes_nothing(home: Path) -> None:
    with open_instance(home) as instance:
        before = instance.get_runs_count()
    summary, lines = again()
    assert (summary.success, summary.runs, summary.materializations) == (True, [], 0)
    assert (summary.reused, summary.reused_assets, summary.not_made) == (25, 7, [])
    assert {line["event"] for line in lines} == {"reused", "summary"}
    told = {line["asset"]: (line["partitions"], line["unit"], line["count"]) for line in of_kind(lines, "reused")}
    assert told["clean_bars"] == (ALL, "day", 4)
    assert told["feature_spec"] == (None, None, 1)
    assert lines[-1] == {"event": "summary", **summary.to_dict()}
    with open_instance(home) as instance:
        assert instance.get_runs_count() == before


def test_a_new_day_makes_that_day_and_what_looks_into_it(made: Path, home: Path) -> None:
    add_day(made, "2021-10-05")
    summary, lines = again()
    assert summary.success
    assert reasons(lines) == {(name, "2021-10-05"): "not made yet" for name in TABLES} | {
        # The last labels of the day before look into the new day.
        ("labels", "2021-10-04"): "input clean_bars is new"
    }
    assert (summary.materializations, summary.reused) == (7, 24)
    assert read_table("labels", root=home / "lake").height == 5 * 96 - 4
    assert again()[0].runs == []


def test_a_day_that_changed_at_the_source_fails_and_is_not_hidden(made: Path) -> None:
    add_day(made, DAYS[1], price="11")
    summary, lines = again()
    assert reasons(lines) == {("raw_bars", DAYS[1]): "the source offers other rows"}
    assert (summary.exit_status, summary.steps_failed) == (1, ["raw_bars"])
    assert "raw_bars" in summary.not_made


def test_a_day_that_is_offered_no_longer_stays(made: Path) -> None:
    (made / f"{DAYS[2]}.csv").unlink()
    assert again(partition_range=ALL)[0].runs == []


@pytest.mark.usefixtures("made")
def test_a_deleted_table_is_made_again_and_nothing_behind_it(home: Path) -> None:
    shutil.rmtree(home / "lake" / "cleaned" / "clean_bars")
    summary, lines = again()
    assert summary.success
    assert reasons(lines) == {("clean_bars", ALL): "its output is gone"}
    assert (summary.materializations, summary.reused) == (4, 21)
    assert again()[0].runs == []


@pytest.mark.usefixtures("made")
def test_a_deleted_day_is_made_again_alone(home: Path) -> None:
    for file in (features_table(home) / f"date={DAYS[1]}").glob("*.parquet"):
        file.unlink()
    summary, lines = again()
    assert summary.success
    assert reasons(lines) == {("features_bar", DAYS[1]): "its output is gone"}
    assert scan(str(features_table(home))).collect().height == 4 * 96


@pytest.mark.usefixtures("made")
def test_a_table_from_which_rows_were_taken_is_made_again(home: Path) -> None:
    from deltalake import DeltaTable

    DeltaTable(home / "lake" / "features" / "labels").delete(f"date = '{DAYS[0]}' AND label = 0")
    _, lines = again()
    assert reasons(lines) == {("labels", DAYS[0]): "its output is gone"}  # every label of these flat bars is 0


@pytest.mark.usefixtures("made")
def test_a_changed_file_is_made_again(home: Path) -> None:
    (home / "artifacts" / "features" / "feature_spec" / "features.json").write_text("{}")
    summary, lines = again()
    assert reasons(lines) == {("feature_spec", None): "its output was changed"}
    assert summary.reused == 24


def with_code(asset: dg.AssetsDefinition, version: str) -> dg.AssetsDefinition:
    return asset.map_asset_specs(lambda spec: spec.replace_attributes(code_version=version))


@pytest.mark.usefixtures("made")
def test_other_code_with_the_same_result_makes_nothing_behind_it(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(cleaned, "staged_bars", with_code(cleaned.staged_bars, "other"))
    summary, lines = again()
    assert reasons(lines) == {("staged_bars", ALL): "code changed"}
    assert (summary.success, summary.reused) == (True, 21)
    assert again()[0].runs == []


@pytest.mark.usefixtures("made")
def test_an_asset_whose_code_has_no_version_is_always_made(monkeypatch: pytest.MonkeyPatch) -> None:
    stock = features.labels.node_def.compute_fn.decorated_fn  # type: ignore[attr-defined]
    unversioned = dg.asset(
        group_name="features",
        partitions_def=daily,
        backfill_policy=single_run,
        ins={"clean_bars": dg.AssetIn(partition_mapping=features._after)},
        metadata={"partition_column": "date"},
    )(stock)
    monkeypatch.setattr(features, "labels", unversioned)
    _, lines = again()
    assert reasons(lines) == {("labels", ALL): "its code has no version"}


@pytest.mark.usefixtures("made")
def test_other_rules_of_the_instrument_make_everything_from_staging_on(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("PY_RT_INSTRUMENT", "XBTUSD")
    summary, lines = again()
    assert summary.success
    assert reasons(lines) == {
        ("staged_bars", ALL): "the instrument's rules changed",
        ("clean_bars", ALL): "input staged_bars changed",
        ("features_bar", ALL): "input clean_bars changed",
        ("labels", ALL): "input clean_bars changed",
        ("quarantined_bars", ALL): "input staged_bars changed",
    }
    assert summary.reused == 5


def test_what_a_failed_check_kept_back_is_made_again(made: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("assets.checks.MAX_JUMP_PERCENT", -1)
    add_day(made, "2021-10-05")
    first, _ = again()
    assert (first.exit_status, first.checks_failed) == (3, ["staged_bars:no_price_jumps"])
    monkeypatch.setattr("assets.checks.MAX_JUMP_PERCENT", 25)
    second, lines = again(select="group:cleaned")
    assert second.success
    assert reasons(lines)["staged_bars", "2021-10-05"] == "check no_price_jumps failed"
    assert reasons(lines)["clean_bars", "2021-10-05"] == "not made yet"


@pytest.mark.usefixtures("made")
def test_a_check_that_never_ran_on_it_lets_nothing_through(monkeypatch: pytest.MonkeyPatch) -> None:

    @dg.asset_check(asset="clean_bars", blocking=True, name="newly_asked")
    def newly_asked() -> dg.AssetCheckResult:
        return dg.AssetCheckResult(passed=True)

    monkeypatch.setattr(features, "newly_asked", newly_asked, raising=False)
    summary, lines = again()
    assert reasons(lines) == {("clean_bars", ALL): "check newly_asked has not looked at it"}
    assert summary.success
    assert again()[0].runs == []


@pytest.mark.usefixtures("made")
def test_an_input_that_a_run_of_its_own_made_anew_is_noticed(monkeypatch: pytest.MonkeyPatch) -> None:
    """Made again with the same rows it is no reason, however often; with other rows it is."""
    for _ in range(2):
        assert materialize("staged_bars,clean_bars", partition_range=f"{DAYS[1]}...{DAYS[2]}").success
    assert again()[0].runs == []
    monkeypatch.setenv("PY_RT_INSTRUMENT", "XBTUSD")
    assert materialize("staged_bars", partition=DAYS[1]).success
    monkeypatch.delenv("PY_RT_INSTRUMENT")
    _, lines = again(select="clean_bars")
    assert reasons(lines) == {("clean_bars", DAYS[1]): "input staged_bars changed"}


@pytest.mark.usefixtures("made")
def test_scattered_days_are_made_in_few_runs_and_neighbors_are_said_to_be_made(
    home: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("pipelines.planning.MAX_SPANS", 1)
    for day in (DAYS[0], DAYS[3]):
        shutil.rmtree(home / "lake" / "features" / "labels" / f"date={day}")
    summary, lines = again(select="labels")
    assert summary.success
    assert reasons(lines) == {
        ("labels", f"{DAYS[0]}, {DAYS[3]}"): "its output is gone",
        ("labels", f"{DAYS[1]}...{DAYS[2]}"): "made again with its neighbors",
    }
    assert (len(summary.runs), summary.materializations, summary.reused) == (1, 4, 0)


@pytest.mark.usefixtures("made")
def test_neighboring_days_share_a_run_and_others_do_not(home: Path) -> None:
    for day in (DAYS[0], DAYS[1], DAYS[3]):
        shutil.rmtree(home / "lake" / "features" / "labels" / f"date={day}")
    summary, lines = again(select="labels")
    assert [line["partitions"] for line in of_kind(lines, "run_started")] == [f"{DAYS[0]}...{DAYS[1]}", DAYS[3]]
    assert (summary.materializations, summary.reused) == (3, 1)


@pytest.mark.usefixtures("made")
def test_an_io_manager_that_cannot_say_what_it_holds_is_not_trusted(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.delattr("pipelines.artifacts.ArtifactIOManager.lookup")
    _, lines = again()
    assert reasons(lines) == {("feature_spec", None): "its storage cannot say whether it is still there"}


@pytest.mark.usefixtures("made")
def test_the_log_is_read_in_batches_however_many_days_there_are(monkeypatch: pytest.MonkeyPatch) -> None:
    queries = 0
    stock = PooledEventLogStorage._connect

    def counted(self: PooledEventLogStorage, shard: str) -> AbstractContextManager[Connection]:
        nonlocal queries
        queries += 1
        return stock(self, shard)

    monkeypatch.setattr(PooledEventLogStorage, "_connect", counted)
    assert again()[0].runs == []
    assets, checks = 7, 14
    assert queries <= 4 * assets + 2 * checks + 10


def test_every_asset_of_the_chain_can_be_asked_about() -> None:
    graph = definitions.defs.resolve_asset_graph()
    asked = {name for module in definitions.CHAIN for name in getattr(module, "OUTSIDE", {})}
    assert asked <= {key.to_user_string() for key in graph.materializable_asset_keys}
    assert [node.key for node in graph.asset_nodes if node.is_materializable and not node.code_version] == []


def test_a_month_hangs_on_no_day_after_it() -> None:
    graph = definitions.defs.resolve_asset_graph()

    def days_read(month: str, reader: str, table: str) -> list[str]:
        read = graph.get_parent_partition_keys_for_child(month, dg.AssetKey(table), dg.AssetKey(reader))
        return list(read.partitions_subset.get_partition_keys())

    learned = days_read("2021-11-01", "training_set", "features_bar")
    assert (learned[0], learned[-1]) == ("2021-09-27", "2021-10-31")
    for reader, table in (("model_lgbm", "labels"), ("onnx_model", "features_bar")):
        assert days_read("2021-11-01", reader, table)[-1] == "2021-11-30"

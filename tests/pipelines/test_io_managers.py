"""The reads and writes that go wrong silently with stock IO managers, on 33 days of 3 rows."""

# No `from __future__ import annotations`: Dagster reads the annotations of assets.

import hashlib
import shutil
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from datetime import date, timedelta
from pathlib import Path
from typing import Any

import dagster as dg
import polars as pl
import pytest
from deltalake import DeltaTable

from assets.outputs import PARTITION_ROWS, SPEC_FILE, SPEC_SHA256
from pipelines.io_managers import DeltaIOManager
from pipelines.stored import OUTPUT_GONE, StoredAsset
from py_rt.data import storage
from py_rt.data.storage import DayWindow, Lake
from py_rt.errors import TableError

FIRST = date(2024, 1, 1)
DAYS = 33
ROWS_PER_DAY = 3

daily = dg.DailyPartitionsDefinition("2024-01-01", end_date="2024-02-03")
monthly = dg.MonthlyPartitionsDefinition("2024-01-01", end_date="2024-03-01")
single_run = dg.BackfillPolicy.single_run()
rolling = dg.TimeWindowPartitionMapping(start_offset=-6, allow_nonexistent_upstream_partitions=True)


def key(number: int) -> str:
    return (FIRST + timedelta(days=number)).isoformat()


def rows(window: dg.TimeWindow, value: int) -> pl.DataFrame:
    days = (window.end - window.start).days
    dates = [window.start.date() + timedelta(days=number) for number in range(days) for _ in range(ROWS_PER_DAY)]
    return pl.DataFrame({"value": [value] * len(dates), "date": dates}, schema={"value": pl.Int64, "date": pl.Date})


class Value(dg.Config):
    value: int = 1


@dg.asset(partitions_def=daily, backfill_policy=single_run, group_name="test")
def source(context: dg.AssetExecutionContext, config: Value) -> pl.DataFrame:
    return rows(context.partition_time_window, config.value)


@dataclass
class Seen:
    frame: pl.DataFrame
    kind: type[Any]


SEEN: dict[str, Seen] = {}


def see(name: str, read: pl.DataFrame | pl.LazyFrame) -> None:
    """Remember what a reader was given; a lazy read must count right before it is collected, too."""
    frame = read.lazy().collect()
    assert read.lazy().select(pl.len()).collect().item() == frame.height
    SEEN[name] = Seen(frame, type(read))


@dg.asset(partitions_def=daily, backfill_policy=single_run)
def same_day(source: pl.DataFrame) -> None:
    see("same_day", source)


@dg.asset(partitions_def=daily, backfill_policy=single_run)
def same_day_lazy(source: pl.LazyFrame) -> None:
    see("same_day_lazy", source)


@dg.asset(partitions_def=monthly, backfill_policy=single_run)
def month(source: pl.DataFrame) -> None:
    see("month", source)


@dg.asset(partitions_def=monthly, backfill_policy=single_run)
def month_lazy(source: pl.LazyFrame) -> None:
    see("month_lazy", source)


@dg.asset
def everything(source: pl.DataFrame) -> None:
    see("everything", source)


@dg.asset
def everything_lazy(source: pl.LazyFrame) -> None:
    see("everything_lazy", source)


@dg.asset(partitions_def=daily, backfill_policy=single_run, ins={"source": dg.AssetIn(partition_mapping=rolling)})
def rolling_week(source: pl.DataFrame) -> None:
    see("rolling_week", source)


@dg.asset(partitions_def=daily, backfill_policy=single_run, ins={"source": dg.AssetIn(partition_mapping=rolling)})
def rolling_week_lazy(source: pl.LazyFrame) -> None:
    see("rolling_week_lazy", source)


READERS = [
    same_day,
    same_day_lazy,
    month,
    month_lazy,
    everything,
    everything_lazy,
    rolling_week,
    rolling_week_lazy,
]


@dataclass
class Workshop:
    lake: Lake
    defs: dg.Definitions
    instance: dg.DagsterInstance

    def run(
        self, asset: dg.AssetsDefinition, first: int | None = None, last: int | None = None, value: int = 1
    ) -> dg.ExecuteInProcessResult:
        tags = {}
        if first is not None:
            last = first if last is None else last
            tags = {"dagster/asset_partition_range_start": key(first), "dagster/asset_partition_range_end": key(last)}
            if first == last:
                tags = {"dagster/partition": key(first)}
        config = {"ops": {"source": {"config": {"value": value}}}} if asset is source else {}
        return self.defs.resolve_implicit_global_asset_job_def().execute_in_process(
            asset_selection=[asset.key],
            instance=self.instance,
            tags=tags,
            run_config=config | {"loggers": {"console": {"config": {"log_level": "CRITICAL"}}}},
        )

    def read(self, first: int, last: int) -> pl.DataFrame:
        window = DayWindow(FIRST + timedelta(days=first), FIRST + timedelta(days=last + 1))
        return storage.scan(self.lake.uri("test", "source"), window).collect()


@pytest.fixture(scope="module")
def workshop(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Workshop]:
    """33 days written by single runs, an overlapping range in one run, and reruns."""
    lake = Lake(str(tmp_path_factory.mktemp("lake")))
    defs = dg.Definitions(assets=[source, *READERS], resources={"io_manager": DeltaIOManager(lake, Path())})
    with dg.DagsterInstance.ephemeral() as instance:
        made = Workshop(lake, defs, instance)
        for number in range(6):
            made.run(source, number)
        made.run(source, 3, DAYS - 1)
        made.run(source, 20)
        made.run(source, 3, DAYS - 1)
        yield made


@pytest.mark.parametrize(
    ("reader", "partition", "wanted"),
    [
        (same_day, 4, 3),
        (same_day_lazy, 4, 3),
        (month, 0, 93),
        (month_lazy, 0, 93),
        (everything, None, 99),
        (everything_lazy, None, 99),
        (rolling_week, 10, 21),
        (rolling_week_lazy, 10, 21),
    ],
)
def test_a_reader_gets_all_of_its_partitions(
    workshop: Workshop, reader: dg.AssetsDefinition, partition: int | None, wanted: int
) -> None:
    name = reader.key.to_user_string()
    workshop.run(reader, partition)
    seen = SEEN.pop(name)
    assert seen.frame.height == wanted
    assert seen.kind is (pl.LazyFrame if name.endswith("lazy") else pl.DataFrame)
    per_day = seen.frame.group_by("date").len()["len"].unique().to_list()
    assert per_day == [ROWS_PER_DAY]


def test_a_range_in_one_run_reads_its_range_and_what_lies_before(workshop: Workshop) -> None:
    workshop.run(same_day, 5, 9)
    assert SEEN.pop("same_day").frame.height == 15
    workshop.run(rolling_week, 10, 12)
    assert SEEN.pop("rolling_week").frame["date"].n_unique() == 9


def test_the_first_days_look_back_as_far_as_there_is_data(workshop: Workshop) -> None:
    workshop.run(rolling_week, 2)
    assert SEEN.pop("rolling_week").frame.height == 9


def test_a_range_in_one_run_replaces_its_days_only(workshop: Workshop) -> None:
    workshop.run(source, 12, 15, value=7)
    try:
        assert workshop.read(12, 15)["value"].to_list() == [7] * 12
        assert workshop.read(0, 11)["value"].to_list() == [1] * 36
        assert workshop.read(16, DAYS - 1)["value"].to_list() == [1] * 51
    finally:
        workshop.run(source, 12, 15)


def test_every_materialization_tells_rows_version_and_place(workshop: Workshop) -> None:
    result = workshop.run(source, 20, 22, value=9)
    workshop.run(source, 20, 22, value=9)  # the same rows again: no new version
    events = result.asset_materializations_for_node("source")
    assert sorted(event.partition or "" for event in events) == [key(20), key(21), key(22)]
    metadata = events[0].metadata
    uri = workshop.lake.uri("test", "source")
    assert metadata["dagster/row_count"].value == 9
    assert metadata["dagster/uri"].value == uri
    table = DeltaTable(uri)
    assert metadata["delta_version"].value == table.version()
    assert table.history(1)[0]["run_id"] == result.run_id
    assert table.history(1)[0]["asset"] == "source"
    workshop.run(source, 20, 22)


def materialize(tmp_path: Path, asset: dg.AssetsDefinition, partition: str | None) -> None:
    resources = {"io_manager": DeltaIOManager(Lake(str(tmp_path)), tmp_path / "artifacts")}
    dg.materialize([asset], partition_key=partition, resources=resources)


@pytest.mark.parametrize("column", [pl.col("date").cast(pl.String), pl.col("date").cast(pl.Datetime("us", "UTC"))])
def test_a_partition_column_that_is_no_date_is_refused_before_anything_is_written(
    tmp_path: Path, column: pl.Expr
) -> None:
    @dg.asset(partitions_def=daily, group_name="test")
    def wrong(context: dg.AssetExecutionContext) -> pl.DataFrame:
        return rows(context.partition_time_window, 1).with_columns(column)

    with pytest.raises(TableError, match="only Date is allowed"):
        materialize(tmp_path, wrong, key(0))
    assert not (tmp_path / "test" / "wrong").exists()


def test_rows_of_other_days_and_without_a_day_are_refused(tmp_path: Path) -> None:
    @dg.asset(partitions_def=daily, group_name="test")
    def shifted(context: dg.AssetExecutionContext) -> pl.DataFrame:
        return rows(context.partition_time_window, 1).with_columns(pl.col("date").dt.offset_by("1d"))

    with pytest.raises(TableError, match="3 of 3 rows lie outside"):
        materialize(tmp_path, shifted, key(0))


def test_what_is_no_frame_is_refused(tmp_path: Path) -> None:
    @dg.asset
    def number() -> int:
        return 1

    with pytest.raises(TableError, match="asset number gave a int"):
        materialize(tmp_path, number, None)


def test_partitions_that_are_no_utc_days_are_refused(tmp_path: Path) -> None:
    hourly = dg.HourlyPartitionsDefinition("2024-01-01-00:00")
    berlin = dg.DailyPartitionsDefinition("2024-01-01", timezone="Europe/Berlin")

    @dg.asset(partitions_def=hourly, group_name="test")
    def by_hour(context: dg.AssetExecutionContext) -> pl.DataFrame:
        return rows(context.partition_time_window, 1)

    @dg.asset(partitions_def=berlin, group_name="test")
    def by_berlin_day(context: dg.AssetExecutionContext) -> pl.DataFrame:
        return rows(context.partition_time_window, 1)

    with pytest.raises(TableError, match="no UTC midnight"):
        materialize(tmp_path, by_hour, "2024-01-01-05:00")
    with pytest.raises(TableError, match="no UTC midnight"):
        materialize(tmp_path, by_berlin_day, "2024-01-01")


def test_a_table_without_partitions_is_replaced_whole(tmp_path: Path) -> None:
    value = 0

    @dg.asset(group_name="test")
    def whole() -> pl.LazyFrame:
        return pl.LazyFrame({"value": [value] * 2})

    for value in (1, 2):  # noqa: B007  # the asset reads it
        materialize(tmp_path, whole, None)
    assert storage.scan(str(tmp_path / "test" / "whole")).collect()["value"].to_list() == [2, 2]


def test_each_specification_has_a_table_and_a_reader_gets_that_of_the_file_as_it_is_now(tmp_path: Path) -> None:
    file = tmp_path / "artifacts" / "spec.json"
    file.parent.mkdir()
    manager = DeltaIOManager(Lake(str(tmp_path / "lake")), tmp_path / "artifacts")
    columns: dict[str, int] = {}

    @dg.asset(partitions_def=daily, group_name="test", metadata={SPEC_FILE: "spec.json"})
    def derived(context: dg.AssetExecutionContext) -> dg.Output[pl.DataFrame]:
        made = rows(context.partition_time_window, 1).with_columns(pl.lit(v).alias(k) for k, v in columns.items())
        sha256 = hashlib.sha256(file.read_bytes()).hexdigest()
        return dg.Output(made, metadata={SPEC_SHA256: sha256, PARTITION_ROWS: made.height})

    @dg.asset(partitions_def=daily, backfill_policy=single_run)
    def reader(derived: pl.DataFrame) -> None:
        see("derived", derived)

    def read() -> pl.DataFrame:
        dg.materialize([derived, reader], partition_key=key(0), resources={"io_manager": manager}, selection=[reader])
        return SEEN.pop("derived").frame

    asked: dict[str, Mapping[str, object]] = {}
    for text, columns in (("one", {"a": 1}), ("two", {"a": 2}), ("three", {"b": 3})):
        file.write_text(text)
        made = dg.materialize([derived], partition_key=key(0), resources={"io_manager": manager})
        (event,) = made.asset_materializations_for_node("derived")
        asked[text] = {name: value.value for name, value in event.metadata.items()}
        assert read().drop("value", "date").unique().to_dicts() == [columns]
    file.write_text("one")
    assert read().drop("value", "date").unique().to_dicts() == [{"a": 1}]
    look = manager.lookup(StoredAsset("test", "derived"))
    assert [look(key(0), metadata) for metadata in asked.values()] == [None] * 3
    sha256 = hashlib.sha256(b"two").hexdigest()
    shutil.rmtree(tmp_path / "lake" / "test" / storage.spec_table("derived", sha256))
    look = manager.lookup(StoredAsset("test", "derived"))
    assert [look(key(0), metadata) for metadata in asked.values()] == [None, OUTPUT_GONE, None]
    file.unlink()
    with pytest.raises(TableError, match=r"spec\.json cannot be read"):
        read()


def test_rows_of_which_no_specification_is_said_are_refused(tmp_path: Path) -> None:
    @dg.asset(group_name="test", metadata={SPEC_FILE: "spec.json"})
    def derived() -> pl.DataFrame:
        return pl.DataFrame({"value": [1]})

    with pytest.raises(TableError, match="asset derived does not say 'spec_sha256'"):
        materialize(tmp_path, derived, None)
    assert not (tmp_path / "test").exists()


def test_an_upstream_that_was_never_made_is_named(tmp_path: Path) -> None:
    manager = DeltaIOManager(Lake(str(tmp_path)), tmp_path / "artifacts")
    defs = dg.Definitions(assets=[source, everything], resources={"io_manager": manager})
    job = defs.resolve_implicit_global_asset_job_def()
    with pytest.raises(TableError, match="test/source holds no table yet: materialise"):
        job.execute_in_process(asset_selection=[everything.key])

# No `from __future__ import annotations`: Dagster reads the annotations of assets.

import dagster as dg
import polars as pl

from assets import outputs, partitions
from assets.outputs import column_schema, declared, picture
from py_rt.data import storage
from py_rt.data.schemas import CLEAN_BARS, RAW_DAILY_BARS


def test_columns_are_shown_with_unit_and_constraints() -> None:
    columns = {column.name: column for column in column_schema(CLEAN_BARS).columns}
    assert list(columns) == CLEAN_BARS.schema.names()
    assert columns["close"].type == "Int64 at 1e-8"
    assert columns["close"].constraints is not None
    assert columns["close"].constraints.nullable is False
    assert ">= 1" in columns["close"].constraints.other
    assert columns["source_row"].constraints is not None
    assert columns["source_row"].constraints.nullable is True


def test_an_asset_says_its_table_and_partition_column() -> None:
    assert declared(CLEAN_BARS)["dagster/table_name"] == "cleaned.clean_bars"
    assert declared(CLEAN_BARS)[outputs.PARTITION_COLUMN] == "date"
    assert declared(RAW_DAILY_BARS, write_mode="append_days")[outputs.PARTITION_COLUMN] == ""


def test_the_data_version_is_the_contents_hash_and_days_have_their_own() -> None:
    frame = pl.DataFrame({"x": [1, 2]})

    @dg.asset
    def whole(context: dg.AssetExecutionContext) -> dg.Output[pl.DataFrame]:
        return outputs.published(context, frame, CLEAN_BARS, metadata={"note": "n"})

    result = dg.materialize_to_memory([whole])
    event = result.asset_materializations_for_node("whole")[0]
    assert (event.tags or {})["dagster/data_version"] == storage.content_hash(frame)
    assert event.metadata["content_sha256"].value == storage.content_hash(frame)
    assert (event.metadata["rows"].value, event.metadata["note"].value) == (2, "n")


def test_a_picture_is_markdown_that_the_page_shows_in_place() -> None:
    assert picture(b"PNG", "closes").value == "![closes](data:image/png;base64,UE5H)"


def test_months_begin_after_a_whole_month_of_days() -> None:
    first = partitions.first_month(partitions.FIRST_DAY)
    assert partitions.monthly.get_first_partition_key() == first.isoformat()
    assert (first - partitions.FIRST_DAY).days >= 31

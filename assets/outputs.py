"""What every table asset says about itself: columns, rows, content hash."""

import base64
from collections.abc import Collection
from typing import Any

import dagster as dg
import polars as pl

from py_rt.data.schemas import Table
from py_rt.data.storage import ContentHash, RowBatches, content_hash

WRITE_MODE = "write_mode"
APPEND_DAYS = "append_days"
"""Value of the metadata `write_mode` of an append-once table; without it, a run replaces its partitions."""

PARTITION_COLUMN = "partition_column"

SPEC_FILE = "spec_file"
"""Metadata of an asset whose columns a feature specification says: that file, below the root of the artifacts. There is
a table for each specification; readers get the one of the file as it is now."""

SPEC_SHA256 = "spec_sha256"
"""Metadata of what such an asset makes: the specification that it was made by."""

PARTITION_ROWS = "dagster/partition_row_count"
"""Rows of one partition, where a run makes many."""

PARTITION_SHA256 = "partition_sha256"
"""Hash of one partition's content, where a run makes many: Dagster's data version is then the whole run's."""


def column_schema(table: Table) -> dg.TableSchema:
    """The declared columns, for the user interface."""
    return dg.TableSchema(
        columns=[
            dg.TableColumn(
                name=column.name,
                type=f"{column.dtype}" + (f" at 1e-{column.scale}" if column.scale is not None else ""),
                description=column.doc,
                constraints=dg.TableColumnConstraints(nullable=column.nullable, other=column.constraints()),
            )
            for column in table.columns
        ]
    )


def declared(table: Table, **metadata: object) -> dict[str, object]:
    """Metadata of the asset that fills `table`."""
    return {
        "dagster/column_schema": column_schema(table),
        "dagster/table_name": f"{table.group}.{table.name}",
        PARTITION_COLUMN: table.partition_column or "",
        **metadata,
    }


def published(
    context: dg.AssetExecutionContext,
    frame: pl.DataFrame,
    table: Table,
    *,
    content: pl.DataFrame | None = None,
    not_content: Collection[str] = (),
    metadata: dict[str, Any] | None = None,
) -> dg.Output[pl.DataFrame]:
    """Hand rows to the IO manager, with the content's hash as data version.

    Args:
        context: of the run.
        frame: rows to write.
        table: what they are.
        content: rows that the run's partitions hold afterwards, where that is more than `frame`.
        not_content: columns that the hash leaves out.
        metadata: shown with the materialisation.
    """
    whole = frame if content is None else content
    if context.assets_def.partitions_def is not None:
        _describe_partitions(context, whole, table, not_content)
    sha256 = content_hash(whole, exclude=not_content)
    shown: dict[str, Any] = {"rows": whole.height, "content_sha256": sha256, **(metadata or {})}
    return dg.Output(frame, data_version=dg.DataVersion(sha256), metadata=shown)


def published_in_batches(
    context: dg.AssetExecutionContext, batches: RowBatches, table: Table, *, metadata: dict[str, Any] | None = None
) -> dg.Output[RowBatches]:
    """The same of rows that are never in memory all together, of an asset with partitions."""
    whole = ContentHash(batches.schema)
    parts = {key: ContentHash(batches.schema) for key in context.partition_keys}
    rows = dict.fromkeys(parts, 0)
    for frame in batches:
        whole.add(frame)
        for (day,), part in frame.partition_by(table.partition_column or "date", as_dict=True).items():
            parts[day.isoformat()].add(part)
            rows[day.isoformat()] += part.height
    for key, content in parts.items():
        described = {PARTITION_ROWS: rows[key], PARTITION_SHA256: content.hexdigest()}
        context.add_asset_metadata(described, asset_key=context.asset_key, partition_key=key)
    shown: dict[str, Any] = {"rows": sum(rows.values()), "content_sha256": whole.hexdigest(), **(metadata or {})}
    return dg.Output(batches, data_version=dg.DataVersion(whole.hexdigest()), metadata=shown)


def _describe_partitions(
    context: dg.AssetExecutionContext, frame: pl.DataFrame, table: Table, not_content: Collection[str]
) -> None:
    """One run may make many days: each day's materialisation carries its own row count and hash."""
    days = frame.partition_by(table.partition_column or "date", as_dict=True) if frame.height else {}
    parts = {day.isoformat(): part for (day,), part in days.items()}
    for key in context.partition_keys:
        part = parts.get(key, frame.clear())
        described = {PARTITION_ROWS: part.height, PARTITION_SHA256: content_hash(part, not_content)}
        context.add_asset_metadata(described, asset_key=context.asset_key, partition_key=key)


def picture(png: bytes, title: str) -> dg.MarkdownMetadataValue:
    """A PNG that the user interface shows in place."""
    return dg.MetadataValue.md(f"![{title}](data:image/png;base64,{base64.b64encode(png).decode()})")

"""The IO manager of table assets: a run's partitions become a half-open window of days, in both directions.

It exists because the stock ones read only the first day of a range, or overwrite the whole table when the partition
column is text. What is read and written, and what is refused, stands in `py_rt.data.storage`.
"""

from __future__ import annotations

from dataclasses import dataclass
from datetime import UTC, datetime, time
from typing import TYPE_CHECKING

import dagster as dg
import polars as pl

from assets.outputs import APPEND_DAYS, PARTITION_COLUMN, PARTITION_ROWS, SPEC_FILE, SPEC_SHA256, WRITE_MODE
from pipelines.stored import OUTPUT_GONE, Lookup, StoredAsset
from py_rt.bundle.manifest import sha256_hex
from py_rt.data import storage
from py_rt.data.schemas import TABLES
from py_rt.data.storage import DEFAULT_PARTITION_COLUMN, DayWindow, Lake, Written
from py_rt.errors import TableError

if TYPE_CHECKING:
    from collections.abc import Mapping
    from pathlib import Path


@dataclass(frozen=True)
class DeltaIOManager(dg.IOManager):
    """Stores Polars frames as Delta tables at `<lake>/<group>/<asset>`.

    Definition metadata of an asset steers it: `partition_column` (default `date`), `write_mode` = `append_days` for a
    table that is never rewritten, and `spec_file` where a feature specification says the columns. Such an asset has a
    table for each specification, `<asset>-<hash>`: what other ones made stays as it is.
    """

    lake: Lake
    artifacts: Path

    def handle_output(self, context: dg.OutputContext, obj: pl.DataFrame | pl.LazyFrame | storage.RowBatches) -> None:
        """Write the frame, or the batches one behind the other; exactly the run's partitions are replaced.

        Raises:
            TableError: the value is no frame, or storage refuses the rows.
            SchemaError: the rows do not fit the table's declaration.
        """
        if not isinstance(obj, pl.DataFrame | pl.LazyFrame | storage.RowBatches):
            raise TableError(
                f"asset {context.asset_key.to_user_string()} gave a {type(obj).__name__}: this IO manager stores "
                "Polars frames; give the asset another io_manager_key"
            )
        frame = obj.collect() if isinstance(obj, pl.LazyFrame) else obj
        written = self._write(context, frame)
        context.add_output_metadata(
            {
                "dagster/uri": written.uri,
                "dagster/row_count": written.rows,
                "delta_version": written.version,
                "changed": written.changed,
            }
        )

    def _write(self, context: dg.OutputContext, frame: pl.DataFrame | storage.RowBatches) -> Written:
        name = context.asset_key.path[-1]
        table = TABLES.get(name)
        scales = table.scales if table is not None else {}
        spec = _spec_made_by(context) if SPEC_FILE in context.definition_metadata else None
        uri = self._uri(*_place(context), spec)
        commit = {"run_id": context.run_id, "asset": context.asset_key.to_user_string()}
        column = _partition_column(context.definition_metadata)
        partitioned = context.has_asset_partitions
        if isinstance(frame, storage.RowBatches):
            window = _days(context.asset_partitions_time_window)
            return storage.write_window_in_batches(uri, frame, window, column=column, scales=scales, commit=commit)
        frame = table.conform(frame) if table is not None else frame
        if context.definition_metadata.get(WRITE_MODE) == APPEND_DAYS:
            return storage.append_days(uri, frame, column=column, partitioned=partitioned, scales=scales, commit=commit)
        if not partitioned:
            return storage.write_whole(uri, frame, scales=scales, commit=commit)
        window = _days(context.asset_partitions_time_window)
        return storage.write_window(uri, frame, window, column=column, scales=scales, commit=commit)

    def load_input(self, context: dg.InputContext) -> pl.DataFrame | pl.LazyFrame:
        """Read the partitions that the run needs; lazily where the input is annotated `pl.LazyFrame`.

        Raises:
            TableError: the table, or the specification that says which one it is, has not been made yet, or its
                partition column is no Date.
        """
        upstream = context.upstream_output
        if upstream is None:
            raise TableError(f"input {context.name} comes from no asset; this IO manager only reads tables of assets")
        spec_file = upstream.definition_metadata.get(SPEC_FILE)
        uri = self._uri(*_place(upstream), _spec_now(self.artifacts / str(spec_file)) if spec_file else None)
        window = _days(context.asset_partitions_time_window) if context.has_asset_partitions else None
        rows = storage.scan(uri, window, column=_partition_column(upstream.definition_metadata))
        return rows if context.dagster_type.typing_type is pl.LazyFrame else rows.collect()

    def lookup(self, asset: StoredAsset) -> Lookup:
        """Look at what an asset's tables hold, once at each that is asked about."""
        looked_at: dict[str, dict[str | None, int]] = {}

        def gone(partition: str | None, metadata: Mapping[str, object]) -> str | None:
            uri = self._uri(asset.group, asset.path, metadata.get(SPEC_SHA256))
            if uri not in looked_at:
                looked_at[uri] = _rows(uri)
            rows = looked_at[uri]
            wanted = metadata.get(PARTITION_ROWS if partition is not None else "rows")
            there = rows.get(partition, 0)
            if wanted is None:
                return "it is not recorded how many rows it had"
            if there == wanted:
                # A day without rows leaves no trace in the table, a table without rows does.
                return None if there or rows or storage.exists(uri) else OUTPUT_GONE
            return f"its output has {there} rows, not {wanted}" if there else OUTPUT_GONE

        return gone

    def _uri(self, group: str, path: str, spec_sha256: object) -> str:
        return self.lake.uri(group, path if spec_sha256 is None else storage.spec_table(path, str(spec_sha256)))


def _place(output: dg.OutputContext) -> tuple[str, str]:
    return output.asset_spec.group_name or "default", "/".join(output.asset_key.path)


def _spec_made_by(output: dg.OutputContext) -> str:
    """The specification that the rows follow, as the asset says: the file may be another one by now."""
    said = output.output_metadata.get(SPEC_SHA256)
    if not isinstance(said, dg.TextMetadataValue) or not said.value:
        raise TableError(f"asset {output.asset_key.to_user_string()} does not say {SPEC_SHA256!r} of what it made")
    return said.value


def _spec_now(file: Path) -> str:
    try:
        return sha256_hex(file.read_bytes())
    except OSError as error:
        raise TableError(f"{file} cannot be read ({error.strerror}): materialise the asset that writes it") from error


def _rows(uri: str) -> dict[str | None, int]:
    held = storage.rows_by_partition(uri)
    return {None if day is None else day.isoformat(): count for day, count in held.items()}


def _partition_column(metadata: Mapping[str, object]) -> str:
    return str(metadata.get(PARTITION_COLUMN) or DEFAULT_PARTITION_COLUMN)


def _days(window: dg.TimeWindow) -> DayWindow:
    for edge in (window.start, window.end):
        if edge.astimezone(UTC).time() != time.min:
            raise TableError(f"partition edge {edge} is no UTC midnight; tables are cut by whole UTC days")
    start, end = (datetime.astimezone(edge, UTC).date() for edge in (window.start, window.end))
    return DayWindow(start, end)

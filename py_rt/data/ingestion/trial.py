"""A new source, tried before it is trusted: one partition, in a place that is thrown away."""

from __future__ import annotations

import tempfile
import time
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import TYPE_CHECKING, Any

from py_rt.data.ingestion.ingest import Step, ingest
from py_rt.data.ingestion.publishing import rows_of
from py_rt.data.ingestion.received import Received
from py_rt.data.ingestion.source import KeyedSource

if TYPE_CHECKING:
    import polars as pl

    from py_rt.data.ingestion.source import PartitionedSource

SAMPLE_ROWS = 3
CHECKS = ("fits_schema", "row_count", "fresh", "usual_volume")
"""Checks that the asset of a source has (`assets.sources`)."""


def tried(source: PartitionedSource, partition: str = "") -> dict[str, Any]:
    """Try one partition, keep nothing, and say what came.

    Args:
        source: which.
        partition: of it; empty is yesterday, the first key, or what is next.

    Raises:
        SourceError: the source does not know its partitions.
    """
    table = source.table
    with tempfile.TemporaryDirectory(prefix="py_rt-trial-") as folder:
        received = Received(Path(folder), table.name)
        wanted = [partition] if partition else _first(source)
        done = ingest(source, wanted, received, None, time.time_ns, next_max=1)
        step = done.steps[0] if done.steps else Step("", "nothing_new")
        versions = received.versions(step.partition) if step.outcome == "landed" else []
        rows = rows_of(source, versions[0], received) if versions else table.table().empty()
        payloads = [kept.name for kept in versions[0].payloads] if versions else []
    return {
        "name": table.name,
        "doc": table.doc,
        "partitioning": table.partitioning,
        "partition": step.partition,
        "outcome": step.outcome,
        "problem": step.problem,
        "payloads": len(payloads),
        "bytes": step.bytes,
        "rows": rows.height,
        "columns": {column.name: f"{column.dtype}" for column in table.columns},
        "nulls": {name: count for name, count in rows.null_count().row(0, named=True).items() if count},
        "sample": _plain(rows.head(SAMPLE_ROWS)),
        "asset": table.name,
        "checks": list(CHECKS),
    }


def _first(source: PartitionedSource) -> list[str] | None:
    if source.table.partitioning == "next":
        return None
    if source.table.partitioning == "day":
        return [(datetime.now(UTC).date() - timedelta(days=1)).isoformat()]
    return list(source.partitions()[:1]) if isinstance(source, KeyedSource) else None


def _plain(rows: pl.DataFrame) -> list[dict[str, Any]]:
    return [{name: _word(value) for name, value in row.items()} for row in rows.rows(named=True)]


def _word(value: object) -> Any:  # noqa: ANN401  # what JSON knows
    return value if value is None or isinstance(value, bool | int | float | str) else str(value)

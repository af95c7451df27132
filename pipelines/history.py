"""What the event log says was made: by which code, from which inputs, with which checks.

Dagster has a resolver of its own, which marks assets as stale in the user interface. It is not used here, because it

* does not look at an input of which 100 partitions or more are read, which every monthly asset does sooner or later;
* knows one data version per run: repeating three of 94 days would make everything behind them stale;
* knows neither outputs that were deleted, nor checks that failed, nor what lies outside of the graph.

All of it is read in batches, one query per asset, so that the time does not grow with the number of runs.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

import dagster as dg
from dagster import DagsterEventType
from dagster._core.definitions.data_version import (
    CODE_VERSION_TAG,
    DATA_VERSION_TAG,
    INPUT_EVENT_POINTER_TAG_PREFIX,
    NULL_EVENT_POINTER,
)
from dagster._core.storage.asset_check_execution_record import AssetCheckExecutionRecordStatus

from assets.outputs import PARTITION_SHA256

if TYPE_CHECKING:
    from collections.abc import Collection, Mapping


PAGE = 1_000
CHECK_PAGE = 100
MAX_PAGES = 20
"""How many pages are read back for an earlier version of an input, or for what a check said."""

_EVALUATED = frozenset({AssetCheckExecutionRecordStatus.SUCCEEDED, AssetCheckExecutionRecordStatus.FAILED})


@dataclass(frozen=True, slots=True)
class Record:
    """The materialisation of an asset or of one of its partitions.

    Attributes:
        storage_id: its place in the event log.
        run_id: of the run that made it.
        partition: its key, or `None`.
        code_version: of the code that made it.
        data_version: of its content: of this partition alone where the asset says so, else of the whole run's output.
        read_until: for each input, the newest place in the log that the run had seen of it, 0 for none.
        metadata: plain values.
    """

    storage_id: int
    run_id: str
    partition: str | None
    code_version: str | None
    data_version: str | None
    read_until: Mapping[dg.AssetKey, int]
    metadata: Mapping[str, Any]


class History:
    """The event log of an instance, read asset by asset and kept until it is forgotten."""

    def __init__(self, instance: dg.DagsterInstance) -> None:
        """Read nothing yet."""
        self._instance = instance
        self._latest: dict[dg.AssetKey, dict[str | None, Record]] = {}
        self._earlier: dict[tuple[dg.AssetKey, int], dict[str | None, str | None]] = {}
        self._checks: dict[dg.AssetCheckKey, _Verdicts] = {}

    def forget(self, keys: Collection[dg.AssetKey]) -> None:
        """Read these assets again: a run has made them."""
        for key in keys:
            self._latest.pop(key, None)
        self._checks = {check: found for check, found in self._checks.items() if check.asset_key not in keys}

    def latest(self, key: dg.AssetKey) -> Mapping[str | None, Record]:
        """The newest materialisation of each partition, or of `None` where there are no partitions."""
        if key not in self._latest:
            self._latest[key] = {record.partition: record for record in self._read_latest(key)}
        return self._latest[key]

    def _read_latest(self, key: dg.AssetKey) -> list[Record]:
        wanted = self._instance.get_latest_storage_id_by_partition(key, DagsterEventType.ASSET_MATERIALIZATION)
        found = [self._instance.fetch_materializations(key, limit=1).records] if not wanted else []
        ids = sorted(wanted.values())
        for first in range(0, len(ids), PAGE):
            page = dg.AssetRecordsFilter(asset_key=key, storage_ids=ids[first : first + PAGE])
            found.append(self._instance.fetch_materializations(page, limit=PAGE).records)
        return [_record(entry) for records in found for entry in records]

    def version_at(self, key: dg.AssetKey, partition: str | None, place: int) -> str | None:
        """The data version that was the newest at a place in the log; `None` when there was none, or it is too old."""
        known = self._earlier.setdefault((key, place), {})
        if partition not in known:
            self._read_earlier(key, place, partition, known)
        return known[partition]

    def _read_earlier(
        self, key: dg.AssetKey, place: int, partition: str | None, known: dict[str | None, str | None]
    ) -> None:
        """Read back from a place until the partition is found; what is met on the way is kept too."""
        cursor: str | None = None
        wanted = dg.AssetRecordsFilter(asset_key=key, before_storage_id=place + 1)
        for _ in range(MAX_PAGES):
            page = self._instance.fetch_materializations(wanted, limit=PAGE, cursor=cursor)
            for record in map(_record, page.records):
                known.setdefault(record.partition, record.data_version)
            if partition in known or not page.has_more:
                break
            cursor = page.cursor
        known.setdefault(partition, None)

    def failed_check(self, check: dg.AssetCheckKey, record: Record) -> str | None:
        """What a check says about a materialisation, when that is not that it passed or only warned."""
        verdicts = self._checks.setdefault(check, _Verdicts())
        while (found := verdicts.about(record)) is None and not verdicts.complete:
            self._read_verdicts(check, verdicts)
        if found is None:
            return f"check {check.name} has not looked at it"
        failed = not found.passed and found.severity is dg.AssetCheckSeverity.ERROR
        return f"check {check.name} failed" if failed else None

    def _read_verdicts(self, check: dg.AssetCheckKey, verdicts: _Verdicts) -> None:
        """Read the next page back. Checks that only were planned have no verdict, and are not read."""
        page = self._instance.event_log_storage.get_asset_check_execution_history(
            check, limit=CHECK_PAGE, cursor=verdicts.cursor, status=_EVALUATED
        )
        for row in page:
            if row.event is not None:
                verdicts.add(row.run_id, row.event.get_dagster_event().asset_check_evaluation_data)
        verdicts.pages += 1
        verdicts.complete = len(page) < CHECK_PAGE or verdicts.pages >= MAX_PAGES
        verdicts.cursor = page[-1].id if page else verdicts.cursor


class _Verdicts:
    """What one check said, newest first: by run, and by the materialisation that it looked at."""

    def __init__(self) -> None:
        self.cursor: int | None = None
        self.pages = 0
        self.complete = False
        self._count = 0
        self._found: dict[str | int, tuple[int, dg.AssetCheckEvaluation]] = {}

    def add(self, run_id: str, evaluation: dg.AssetCheckEvaluation) -> None:
        target = evaluation.target_materialization_data
        self._count += 1
        self._found.setdefault(run_id, (self._count, evaluation))
        if target is not None:
            self._found.setdefault(target.storage_id, (self._count, evaluation))

    def about(self, record: Record) -> dg.AssetCheckEvaluation | None:
        """The newest one in the run that made it, or about exactly that materialisation."""
        found = [self._found[name] for name in (record.run_id, record.storage_id) if name in self._found]
        return min(found, key=lambda numbered: numbered[0])[1] if found else None


def _record(entry: dg.EventLogRecord) -> Record:
    made = entry.asset_materialization
    if made is None:
        raise dg.DagsterInvariantViolationError(f"event {entry.storage_id} is no materialisation")
    tags = made.tags or {}
    prefix = f"{INPUT_EVENT_POINTER_TAG_PREFIX}/"
    metadata: dict[str, Any] = {name: item.value for name, item in made.metadata.items()}
    return Record(
        storage_id=entry.storage_id,
        run_id=entry.run_id,
        partition=made.partition,
        code_version=tags.get(CODE_VERSION_TAG),
        data_version=metadata.get(PARTITION_SHA256) or tags.get(DATA_VERSION_TAG),
        read_until={
            dg.AssetKey.from_user_string(name.removeprefix(prefix)): 0 if value == NULL_EVENT_POINTER else int(value)
            for name, value in tags.items()
            if name.startswith(prefix)
        },
        metadata=metadata,
    )

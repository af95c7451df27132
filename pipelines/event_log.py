"""The event log of runs that are executed in this process: the same SQLite files, a hundredth of the waiting.

A run over 94 days writes about 1,300 events. The stock storage opens, syncs and closes a database file for each, some
40 ms on a common disk. This one keeps one connection per file and leaves syncing to SQLite's write-ahead log
(`synchronous=NORMAL`): a crash of the process loses nothing, a power cut may lose the last events of the log, never
its consistency. Events that Dagster reports together, such as the days that one step made, are written together, and
the schema is asked for once instead of at every event. Files, rows and schema are the stock ones, so the user interface
and the daemon read them as ever.
"""

from __future__ import annotations

import os
from contextlib import contextmanager
from itertools import groupby
from typing import TYPE_CHECKING

from dagster import DagsterEventType
from dagster._core.storage.event_log import SqlEventLogStorageTable, SqliteEventLogStorage
from dagster._core.storage.sql import create_engine
from dagster._core.storage.sqlite import SQLITE_BUSY_TIMEOUT_SECONDS
from sqlalchemy import event
from sqlalchemy.pool import StaticPool

if TYPE_CHECKING:
    from collections.abc import Iterator, Mapping, Sequence
    from sqlite3 import Connection as SqliteConnection

    from dagster._core.events.log import EventLogEntry
    from dagster._serdes import ConfigurableClassData
    from sqlalchemy.engine import Connection, Engine

_MIRRORED = frozenset({DagsterEventType.ASSET_MATERIALIZATION, DagsterEventType.ASSET_MATERIALIZATION_PLANNED})
"""Events that are stored in batches: of these the index keeps a copy, their tags, and the newest of each asset."""

BATCH_VARIABLE = "DAGSTER_EVENT_BATCH_SIZE"
MAX_BATCH = 1_000


@contextmanager
def batches() -> Iterator[None]:
    """Let Dagster hand over events in batches; it asks the process's environment."""
    before = os.environ.get(BATCH_VARIABLE)
    os.environ[BATCH_VARIABLE] = str(MAX_BATCH)
    try:
        yield
    finally:
        if before is None:
            del os.environ[BATCH_VARIABLE]
        else:
            os.environ[BATCH_VARIABLE] = before


class PooledEventLogStorage(SqliteEventLogStorage):
    """SQLite event log with one open connection per file."""

    def __init__(self, base_dir: str, inst_data: ConfigurableClassData | None = None) -> None:
        """Open nothing yet."""
        self._engines: dict[str, Engine] = {}
        self._tables: set[str] = set()
        self._has_index_cols: bool | None = None
        super().__init__(base_dir, inst_data)

    @classmethod
    def from_config_value(  # type: ignore[override]  # its two parents disagree about the argument's type
        cls, inst_data: ConfigurableClassData | None, config_value: Mapping[str, str]
    ) -> PooledEventLogStorage:
        """Make the storage from the instance's configuration."""
        return cls(base_dir=config_value["base_dir"], inst_data=inst_data)

    @contextmanager
    def _connect(self, shard: str) -> Iterator[Connection]:
        with self._db_lock:
            engine = self._engines.get(shard)
            if engine is None:
                engine = self._open(shard)
                self._engines[shard] = engine
            with engine.connect() as connection, connection.begin():
                yield connection

    def _open(self, shard: str) -> Engine:
        engine = create_engine(
            self.conn_string_for_shard(shard),
            poolclass=StaticPool,
            connect_args={"timeout": SQLITE_BUSY_TIMEOUT_SECONDS, "check_same_thread": False},
        )

        @event.listens_for(engine, "connect")
        def relax(connection: SqliteConnection, _record: object) -> None:
            connection.execute("PRAGMA synchronous=NORMAL")

        self._initdb(engine)
        return engine

    def _has_asset_key_index_cols_on_connection(self, conn: Connection) -> bool:
        if self._has_index_cols is None:
            self._has_index_cols = super()._has_asset_key_index_cols_on_connection(conn)
        return self._has_index_cols

    def has_table(self, table_name: str) -> bool:
        """Whether the index has a table; a table does not go away."""
        if table_name not in self._tables and super().has_table(table_name):
            self._tables.add(table_name)
        return table_name in self._tables

    def store_event_batch(self, events: Sequence[EventLogEntry]) -> None:
        """Store events of one run together, in their order, as `store_event` stores each of them."""
        for together, group in groupby(events, lambda entry: entry.dagster_event_type in _MIRRORED):
            if together:
                self._store_mirrored(list(group))
            else:
                for entry in group:
                    self.store_event(entry)

    def _store_mirrored(self, events: Sequence[EventLogEntry]) -> None:
        rows = [self._event_to_row(entry) for entry in events]
        with self.run_connection(events[0].run_id) as connection:
            connection.execute(SqlEventLogStorageTable.insert(), rows)
        with self.index_transaction() as connection:
            inserted = [connection.execute(SqlEventLogStorageTable.insert(), row) for row in rows]
            ids = [int(result.inserted_primary_key[0]) for result in inserted if result.inserted_primary_key]
            self._store_asset_event_tags(connection, events, ids)
            # An asset's own row tells of its newest event only.
            newest = {entry.get_dagster_event().asset_key: place for place, entry in enumerate(events)}
            for place in newest.values():
                self._store_asset_event(connection, events[place], ids[place])

    def dispose(self) -> None:
        """Close every connection, which also folds the write-ahead logs back into their files."""
        for engine in self._engines.values():
            engine.dispose()
        self._engines.clear()
        super().dispose()

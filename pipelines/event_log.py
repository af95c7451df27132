"""The event log of runs that are executed in this process: the same SQLite files, a hundredth of the waiting.

A run over 94 days writes about 800 events. The stock storage opens, syncs and closes a database file for each, some
40 ms on a common disk. This one keeps one connection per file and leaves syncing to SQLite's write-ahead log
(`synchronous=NORMAL`): a crash of the process loses nothing, a power cut may lose the last events of the log, never
its consistency. Files and schema are the stock ones, so the user interface and the daemon read them as ever.
"""

from __future__ import annotations

from contextlib import contextmanager
from typing import TYPE_CHECKING

from dagster._core.storage.event_log import SqliteEventLogStorage
from dagster._core.storage.sql import create_engine
from dagster._core.storage.sqlite import SQLITE_BUSY_TIMEOUT_SECONDS
from sqlalchemy import event
from sqlalchemy.pool import StaticPool

if TYPE_CHECKING:
    from collections.abc import Iterator, Mapping
    from sqlite3 import Connection as SqliteConnection

    from dagster._serdes import ConfigurableClassData
    from sqlalchemy.engine import Connection, Engine


class PooledEventLogStorage(SqliteEventLogStorage):
    """SQLite event log with one open connection per file."""

    def __init__(self, base_dir: str, inst_data: ConfigurableClassData | None = None) -> None:
        """Open nothing yet."""
        self._engines: dict[str, Engine] = {}
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

    def dispose(self) -> None:
        """Close every connection, which also folds the write-ahead logs back into their files."""
        for engine in self._engines.values():
            engine.dispose()
        self._engines.clear()
        super().dispose()

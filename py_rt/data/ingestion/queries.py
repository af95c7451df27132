"""One query of a database by either driver, and the end of waiting for it."""

from __future__ import annotations

import importlib
import re
from collections.abc import Generator
from concurrent.futures import Future
from threading import Lock, Thread
from typing import TYPE_CHECKING, Any, TypeVar

if TYPE_CHECKING:
    from collections.abc import Callable

CONNECT_TIMEOUT_S = 15
BUFFERED_ROWS = 1_000
"""Most rows that a driver holds for us."""

Answer = Generator[list[Any]]
"""The names of the columns, then the rows."""

_Result = TypeVar("_Result")


class NoAnswerError(Exception):
    """Nothing whole came in time."""


class Stops:
    """How to end what a driver is doing, from another thread."""

    def __init__(self) -> None:
        self._stops: list[Callable[[], object]] = []
        self._is_over = False
        self._lock = Lock()

    def add(self, stop: Callable[[], object]) -> None:
        """Note a way.

        Raises:
            NoAnswerError: nobody waits any more.
        """
        with self._lock:
            if self._is_over:
                raise NoAnswerError
            self._stops.append(stop)

    def end(self) -> None:
        """Go every way, each in a thread of its own: it asks the other side, which may be gone."""
        with self._lock:
            self._is_over = True
        for stop in self._stops:
            Thread(target=stop, name="query-stop", daemon=True).start()


def in_time(work: Callable[[Stops], _Result], seconds: float, name: str) -> _Result:
    """What a query gives, or the end of waiting for it: not every driver has a timeout, and none one for all it does.

    The query is then stopped as its driver can. A driver that hears nothing goes on in its thread, which keeps nobody.

    Args:
        work: asks, and notes how it is stopped.
        seconds: to wait.
        name: of the source, for the thread.

    Raises:
        NoAnswerError: it takes longer.
    """
    stops = Stops()
    done: Future[_Result] = Future()

    def run() -> None:
        try:
            done.set_result(work(stops))
        except BaseException as error:  # noqa: BLE001  # it is raised where it is waited for
            done.set_exception(error)

    Thread(target=run, name=f"{name}-query", daemon=True).start()
    try:
        return done.result(seconds)
    except TimeoutError as error:
        if done.done():
            return done.result()  # it came this very moment, or the driver's own error
        stops.end()
        raise NoAnswerError(f"{seconds:g}") from error


def sql(address: str, statement: str, bound: dict[str, object], stops: Stops) -> Answer:
    """Ask by SQLAlchemy."""
    import sqlalchemy as sa

    engine = sa.create_engine(address, poolclass=sa.NullPool, connect_args=_connect_args(address))
    with engine.connect().execution_options(stream_results=True, max_row_buffer=BUFFERED_ROWS) as connection:
        driver = connection.connection.driver_connection
        # What PostgreSQL's and SQLite's drivers call it; of others the thread is left alone.
        for name in ("cancel", "interrupt"):
            if callable(stop := getattr(driver, name, None)):
                stops.add(stop)
        result = connection.execute(sa.text(statement), bound)
        yield list(result.keys())
        for row in result:
            yield list(row)


def adbc(address: str, statement: str, bound: dict[str, object], stops: Stops) -> Answer:
    """Ask by ADBC, which takes whole columns."""
    is_sqlite = address.startswith("sqlite")
    driver = importlib.import_module(f"adbc_driver_{'sqlite' if is_sqlite else 'postgresql'}.dbapi")
    address = address.partition(":///")[2] if is_sqlite else "postgresql://" + address.partition("://")[2]
    names: list[str] = []

    def place(found: re.Match[str]) -> str:
        names.append(found[1])
        return "?" if is_sqlite else f"${len(names)}"

    statement = re.sub(rf"(?<!:):({'|'.join(bound)})\b", place, statement) if bound else statement
    with driver.connect(address) as connection, connection.cursor() as cursor:
        stops.add(cursor.adbc_cancel)
        cursor.execute(statement, tuple(bound[name] for name in names) or None)
        reader = cursor.fetch_record_batch()
        yield list(reader.schema.names)
        for batch in reader:
            for row in zip(*(column.to_pylist() for column in batch.columns), strict=True):
                yield list(row)


def _connect_args(url: str) -> dict[str, object]:
    if url.startswith("sqlite"):
        return {"timeout": CONNECT_TIMEOUT_S}
    return {"connect_timeout": CONNECT_TIMEOUT_S} if url.startswith("postgresql") else {}

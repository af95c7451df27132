"""A table or query of any database (`kind = "database"`): by SQLAlchemy, or faster by ADBC.

==================== ===============================================================================================
`url`                such as `sqlite:///trades.db`, `postgresql+psycopg2://user@host/db`; a password stands in the
                     environment: `url_env` names a variable that holds the whole address
`driver`             `sqlalchemy` (default) or `adbc` (PostgreSQL and SQLite)
`table`, or `query`  of a query, `:date` and `:next_date` are the day's ends, `:key` the key
`day_column`         of a `day` source with `table`: the column that says the day (a date or a time, UTC)
`cursor`             of a `next` source: the column that only grows; each partition goes from the last value on, and
                     the rows of one value must all be there when the first of them is
`batch_rows`         most rows of one `next` partition; 100,000
`keys`               of a `key` source: the list
`attempts`           of a connection
==================== ===============================================================================================

What is kept is the result as text, one JSON list a row under a line of names: what a number was in the database, to its
last digit.
"""

from __future__ import annotations

import importlib
import json
import os
import re
from dataclasses import dataclass, field
from datetime import date, datetime, timedelta
from decimal import Decimal
from typing import TYPE_CHECKING, Any
from uuid import UUID

from py_rt.data.ingestion.columns import read_columns
from py_rt.data.ingestion.definition import Definition, Option, fault_of, read_options
from py_rt.data.ingestion.retries import tries
from py_rt.data.ingestion.source import PAYLOAD_BYTES_MAX, Payload, SourceTable, day_of
from py_rt.errors import SourceError

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator, Sequence

    import polars as pl

    from py_rt.data.ingestion.columns import Mapped

BATCH_ROWS = 100_000
CONNECT_TIMEOUT_S = 15
WAIT_MAX_S = 5.0

OPTIONS = {
    "url": Option(str, ""),
    "url_env": Option(str, ""),
    "driver": Option(str, "sqlalchemy", ("sqlalchemy", "adbc")),
    "table": Option(str, ""),
    "query": Option(str, ""),
    "day_column": Option(str, ""),
    "cursor": Option(str, ""),
    "batch_rows": Option(int, BATCH_ROWS),
    "keys": Option(list, []),
    "attempts": Option(int, 3),
}


@dataclass(frozen=True)
class DatabaseSource:
    """A table or a query."""

    table: SourceTable
    mapped: tuple[Mapped, ...]
    url: str = field(repr=False)
    driver: str
    statement: str
    cursor: str
    batch_rows: int
    key_names: tuple[str, ...]
    attempts: int

    @classmethod
    def make(cls, definition: Definition) -> DatabaseSource:
        """Make the source that a file defines.

        Raises:
            DefinitionError: an option is missing, unknown or not allowed.
        """
        values = read_options(definition, OPTIONS)
        if bool(values["url"]) == bool(values["url_env"]):
            raise fault_of(definition, "url", "give either url, or url_env that names a variable of the environment")
        url = values["url"] or os.environ.get(values["url_env"], "")
        if not url:
            raise fault_of(definition, "url_env", f"the variable {values['url_env']} is not set; export the address")
        if values["url"] and _has_password(url):
            raise fault_of(definition, "url", "holds a password; put the whole address into a variable: url_env")
        statement = _statement(definition, values)
        if definition.table.partitioning == "key" and not values["keys"]:
            raise fault_of(definition, "keys", "is missing: which keys are there?")
        keys = tuple(map(str, values["keys"]))
        return cls(
            definition.table,
            definition.mapped,
            url,
            values["driver"],
            statement,
            values["cursor"],
            values["batch_rows"],
            keys,
            values["attempts"],
        )

    def partitions(self) -> Sequence[str]:
        """The keys of the definition."""
        return self.key_names

    def fetch(self, partition: str, after: str | None = None) -> Iterator[Payload]:
        """Ask for the rows of a partition, all in one statement.

        Raises:
            SourceError: the database cannot be reached, goes away or refuses.
        """
        bound: dict[str, object] = {}
        statement = self.statement
        if self.table.partitioning == "day":
            day = day_of(self.table.name, partition)
            bound = {"date": day, "next_date": day + timedelta(days=1)}
            if self.url.startswith("sqlite"):  # which has no days: they are text
                bound = {name: str(value) for name, value in bound.items()}
        elif self.table.partitioning == "key":
            bound = {"key": partition}
        elif after:
            statement = statement.replace(_FROM_THE_START, f"WHERE {self.cursor} > :after")
            bound = {"after": int(after) if after.lstrip("-").isdecimal() else after}
        names, rows = self._ask(statement, {name: bound[name] for name in bound if f":{name}" in statement}, partition)
        cursor = ""
        if self.table.partitioning == "next":
            rows, cursor = self._whole_values(names, rows, partition)
        content = "".join(json.dumps(row, ensure_ascii=False) + "\n" for row in (names, *map(_texts, rows))).encode()
        if len(content) > PAYLOAD_BYTES_MAX:
            problem = f"gives {len(content)} bytes, at most {PAYLOAD_BYTES_MAX}: cut it finer, or lower batch_rows"
            raise SourceError(self.table.name, partition, None, problem)
        yield Payload("rows.jsonl", content, origin=self._shown(), cursor=cursor or after or "")

    def rows(self, payload: Payload, partition: str) -> pl.DataFrame:
        """The typed rows of a result.

        Raises:
            SourceError: a column is absent, or a value is not of its type.
        """
        names, *rows = [json.loads(line) for line in payload.content.decode().splitlines()]
        records = [dict(zip(names, row, strict=True)) for row in rows]
        return read_columns(self.table.name, f"{partition}/{payload.name}", records, self.mapped)

    def _whole_values(
        self, names: list[str], rows: Sequence[Sequence[object]], partition: str
    ) -> tuple[Sequence[Sequence[object]], str]:
        """The rows up to the last value of the growing column that is there whole, and that value."""
        if not rows:
            return rows, ""
        if self.cursor not in names:
            raise SourceError(self.table.name, partition, None, f"the result has no column {self.cursor}")
        at = names.index(self.cursor)
        if any(row[at] is None for row in rows):
            first = next(number for number, row in enumerate(rows, 1) if row[at] is None)
            raise SourceError(self.table.name, partition, first, f"has no {self.cursor}, by which it is asked for")
        if len(rows) > self.batch_rows:  # one more was asked for: the value of the cut may go on
            cut = rows[-1][at]
            rows = [row for row in rows if row[at] != cut]
            if not rows:
                problem = f"more than {self.batch_rows} rows have {self.cursor} {cut}; raise batch_rows"
                raise SourceError(self.table.name, partition, None, problem)
        return rows, str(_text(rows[-1][at]))

    def _ask(
        self, statement: str, bound: dict[str, object], partition: str
    ) -> tuple[list[str], Sequence[Sequence[object]]]:
        from sqlalchemy.exc import OperationalError, SQLAlchemyError

        try:
            for attempt in tries(lambda error: isinstance(error, OperationalError), self.attempts, WAIT_MAX_S):
                with attempt:
                    return self._adbc(statement, bound) if self.driver == "adbc" else self._sql(statement, bound)
        except (SQLAlchemyError, OSError) as error:
            raise self._refusal(partition, error) from error
        except Exception as error:
            if type(error).__module__.startswith(("adbc_driver_manager", "psycopg2", "sqlite3")):
                raise self._refusal(partition, error) from error
            raise
        raise SourceError(self.table.name, partition, None, "was not asked")  # pragma: no cover

    def _refusal(self, partition: str, error: Exception) -> SourceError:
        words = " ".join(str(getattr(error, "orig", None) or error).split()).replace(self.url, self._shown())
        problem = f"the database {self._shown()} cannot give it: {words}; tried {self.attempts} times at most"
        return SourceError(self.table.name, partition, None, problem)

    def _sql(self, statement: str, bound: dict[str, object]) -> tuple[list[str], Sequence[Sequence[object]]]:
        import sqlalchemy as sa

        engine = sa.create_engine(self.url, poolclass=sa.NullPool, connect_args=_connect_args(self.url))
        with engine.connect() as connection:
            result = connection.execute(sa.text(statement), bound)
            return list(result.keys()), [tuple(row) for row in result.fetchall()]

    def _adbc(self, statement: str, bound: dict[str, object]) -> tuple[list[str], Sequence[Sequence[object]]]:
        is_sqlite = self.url.startswith("sqlite")
        driver = importlib.import_module(f"adbc_driver_{'sqlite' if is_sqlite else 'postgresql'}.dbapi")
        address = self.url.partition(":///")[2] if is_sqlite else "postgresql://" + self.url.partition("://")[2]
        names: list[str] = []

        def place(found: re.Match[str]) -> str:
            names.append(found[1])
            return "?" if is_sqlite else f"${len(names)}"

        statement = re.sub(rf"(?<!:):({'|'.join(bound)})\b", place, statement) if bound else statement
        with driver.connect(address) as connection, connection.cursor() as cursor:
            cursor.execute(statement, tuple(bound[name] for name in names) or None)
            found = cursor.fetch_arrow_table()
        return list(found.column_names), [tuple(row.values()) for row in found.to_pylist()]

    def _shown(self) -> str:
        """The address without user, password and options."""
        scheme, _, rest = self.url.partition("://")
        return f"{scheme}://{rest.partition('?')[0].rpartition('@')[2]}"


_FROM_THE_START = "WHERE 1 = 1"


def _statement(definition: Definition, values: dict[str, Any]) -> str:
    if bool(values["table"]) == bool(values["query"]):
        raise fault_of(definition, "table", "give either table or query")
    partitioning = definition.table.partitioning
    if partitioning == "next":
        if not values["cursor"]:
            raise fault_of(definition, "cursor", "is missing: which column only grows?")
        inner = values["table"] or f"({values['query']}) AS asked"
        order = f"ORDER BY {values['cursor']} LIMIT {values['batch_rows'] + 1}"
        return f"SELECT * FROM {inner} {_FROM_THE_START} {order}"  # noqa: S608  # the user's own file says it
    if values["query"]:
        wanted = ":date" if partitioning == "day" else ":key"
        if wanted not in values["query"]:
            raise fault_of(definition, "query", f"names no {wanted}, so that every partition would be the same")
        return str(values["query"])
    if partitioning == "day" and values["day_column"]:
        column = values["day_column"]
        where = f"WHERE {column} >= :date AND {column} < :next_date ORDER BY {column}"
        return f"SELECT * FROM {values['table']} {where}"  # noqa: S608  # the user's own file says it
    raise fault_of(definition, "day_column", "is missing: which column says the day? Or give a query")


def _has_password(url: str) -> bool:
    user = url.partition("://")[2].rpartition("@")[0]
    return ":" in user or "password=" in url


def _connect_args(url: str) -> dict[str, object]:
    if url.startswith("sqlite"):
        return {"timeout": CONNECT_TIMEOUT_S}
    return {"connect_timeout": CONNECT_TIMEOUT_S} if url.startswith("postgresql") else {}


def _texts(row: Sequence[object]) -> list[str | None]:
    return [_text(value) for value in row]


def _text(value: object) -> str | None:
    """A value as text, the same wherever it is asked; a time without a zone stays without one.

    >>> _text(Decimal("1.10")), _text(datetime(2024, 1, 2, 3, 4, 5, 600)), _text(True), _text(None)
    ('1.10', '2024-01-02T03:04:05.000600', 'true', None)
    """
    if value is None:
        return None
    forms: tuple[tuple[Any, Callable[[Any], str]], ...] = (
        (bool, lambda truth: "true" if truth else "false"),
        ((datetime, date), lambda moment: moment.isoformat()),
        ((bytes, memoryview), lambda content: bytes(content).hex()),
        (float, repr),
        (Decimal, lambda number: f"{number:f}"),
        ((str, int, UUID), str),
    )
    form = next((how for kind, how in forms if isinstance(value, kind)), None)
    return form(value) if form is not None else json.dumps(value, sort_keys=True, default=str)

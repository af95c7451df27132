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
`answer_timeout_s`   of one whole answer, seconds; 600
==================== ===============================================================================================

What is kept is the result as text, one JSON list a row under a line of names: what a number was in the database, to its
last digit.
"""

from __future__ import annotations

import json
import os
import re
from contextlib import closing
from dataclasses import dataclass, field
from datetime import date, datetime, timedelta
from decimal import Decimal
from typing import TYPE_CHECKING, Any
from urllib.parse import parse_qsl, unquote, unquote_plus
from uuid import UUID

from py_rt.data.ingestion.columns import check_names, read_columns
from py_rt.data.ingestion.definition import Definition, Option, fault_of, keys_of, read_options
from py_rt.data.ingestion.queries import NoAnswerError, adbc, in_time, sql
from py_rt.data.ingestion.records import json_lines
from py_rt.data.ingestion.retries import ATTEMPTS_MAX, tries
from py_rt.data.ingestion.source import PAYLOAD_BYTES_MAX, Payload, SourceTable, day_of
from py_rt.errors import SourceError

if TYPE_CHECKING:
    from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence

    import polars as pl

    from py_rt.data.ingestion.columns import Mapped
    from py_rt.data.ingestion.queries import Answer

BATCH_ROWS = 100_000
ANSWER_TIMEOUT_S = 600.0
WAIT_MAX_S = 5.0

_SECRET_OPTION = re.compile(r"(?:pass(?:word|wd|phrase)?|pwd|token|secret)\s*=\s*([^&;\s]+)", re.IGNORECASE)
"""An option of an address that holds a secret, whatever stands before it in its name; also within another's value."""

OPTIONS = {
    "url": Option(str, ""),
    "url_env": Option(str, ""),
    "driver": Option(str, "sqlalchemy", ("sqlalchemy", "adbc")),
    "table": Option(str, ""),
    "query": Option(str, ""),
    "day_column": Option(str, ""),
    "cursor": Option(str, ""),
    "batch_rows": Option(int, BATCH_ROWS, bounds=(1, 10_000_000)),
    "keys": Option(list, []),
    "attempts": Option(int, 3, bounds=(1, ATTEMPTS_MAX)),
    "answer_timeout_s": Option((int, float), ANSWER_TIMEOUT_S, bounds=(1e-3, 86_400)),
}


@dataclass(frozen=True)
class DatabaseSource:
    """A table or a query."""

    table: SourceTable
    mapped: tuple[Mapped, ...]
    url: str = field(repr=False)
    url_env: str
    driver: str
    statement: str
    cursor: str
    batch_rows: int
    key_names: tuple[str, ...]
    attempts: int
    answer_timeout_s: float

    @classmethod
    def make(cls, definition: Definition) -> DatabaseSource:
        """Make the source that a file defines.

        Raises:
            DefinitionError: an option is missing, unknown or not allowed.
        """
        values = read_options(definition, OPTIONS)
        if bool(values["url"]) == bool(values["url_env"]):
            raise fault_of(definition, "url", "give either url, or url_env that names a variable of the environment")
        if values["url"] and "://" not in values["url"]:
            raise fault_of(definition, "url", "is no address; give one such as postgresql+psycopg2://user@host/db")
        if _has_password(values["url"]):
            raise fault_of(definition, "url", "holds a password; put the whole address into a variable: url_env")
        return cls(
            definition.table,
            definition.mapped,
            values["url"],
            values["url_env"],
            values["driver"],
            _statement(definition, values),
            values["cursor"],
            values["batch_rows"],
            keys_of(definition, values["keys"]),
            values["attempts"],
            float(values["answer_timeout_s"]),
        )

    def partitions(self) -> Sequence[str]:
        """The keys of the definition."""
        return self.key_names

    def fetch(self, partition: str, after: str | None = None) -> Iterator[Payload]:
        """Ask for the rows of a partition, all in one statement.

        Raises:
            SourceError: the database cannot be reached, goes away or refuses, its address is not in the environment,
                or the result is too large, lacks a column or has a name twice.
        """
        address = self._address(partition)
        bound: dict[str, object] = {}
        statement = self.statement
        if self.table.partitioning == "day":
            day = day_of(self.table.name, partition)
            bound = {"date": day, "next_date": day + timedelta(days=1)}
            if address.startswith("sqlite"):  # which has no days: they are text
                bound = {name: str(value) for name, value in bound.items()}
        elif self.table.partitioning == "key":
            bound = {"key": partition}
        elif after:
            statement = statement.replace(_FROM_THE_START, f"WHERE {self.cursor} > :after")
            bound = {"after": _mark_of(self.table.name, partition, after)}
        bound = {name: bound[name] for name in bound if f":{name}" in statement}
        result = self._ask(address, statement, bound, partition)
        lines, cursor = result.lines, ""
        if self.table.partitioning == "next":
            lines, cursor = self._whole_values(result, partition)
        content = b"".join((_line(result.names), *lines))
        yield Payload("rows.jsonl", content, origin=_shown(address), cursor=cursor or after or "")

    def rows(self, payload: Payload, partition: str) -> pl.DataFrame:
        """The typed rows of a result.

        Raises:
            SourceError: a column is absent, or a value is not of its type.
        """
        names, *rows = json_lines(payload.content)
        records = [dict(zip(names, row, strict=True)) for row in rows]
        return read_columns(self.table.name, f"{partition}/{payload.name}", records, self.mapped)

    def blotted(self, text: str) -> str:
        """A text without the password."""
        for secret in _secrets(self.url or os.environ.get(self.url_env, "")):
            text = text.replace(secret, "***")
        return text

    def _address(self, partition: str) -> str:
        address = self.url or os.environ.get(self.url_env, "")
        if not address:
            problem = f"the variable {self.url_env} is not set; export the address of the database there"
            raise SourceError(self.table.name, partition, None, problem)
        return address

    def _whole_values(self, result: _Result, partition: str) -> tuple[list[bytes], str]:
        """The rows up to the last value of the growing column that is there whole, and that value."""
        lines, marks = result.lines, result.marks
        if not lines:
            return lines, ""
        if None in marks:
            problem = f"has no {self.cursor}, by which it is asked for"
            raise SourceError(self.table.name, partition, marks.index(None) + 1, problem)
        whole = len(lines)
        if whole > self.batch_rows:  # one more was asked for: the value of the cut may go on
            whole = marks.index(marks[-1])
            if not whole:
                problem = f"more than {self.batch_rows} rows have {self.cursor} {marks[-1]}; raise batch_rows"
                raise SourceError(self.table.name, partition, None, problem)
        mark = marks[whole - 1]
        form = next((name for name, (kind, _) in _MARKS.items() if isinstance(mark, kind)), None)
        if form is None:
            problem = f"{self.cursor} is of the type {type(mark).__name__}; allowed are {', '.join(_MARKS)}"
            raise SourceError(self.table.name, partition, None, problem)
        return lines[:whole], json.dumps({form: _text(mark)}, ensure_ascii=False)

    def _ask(self, address: str, statement: str, bound: dict[str, object], partition: str) -> _Result:
        from sqlalchemy.exc import OperationalError, SQLAlchemyError

        ask = adbc if self.driver == "adbc" else sql
        try:
            for attempt in tries(lambda error: isinstance(error, OperationalError), self.attempts, WAIT_MAX_S):
                with attempt:
                    return in_time(
                        lambda stops: self._taken(ask(address, statement, bound, stops), partition),
                        self.answer_timeout_s,
                        self.table.name,
                    )
        except NoAnswerError as error:
            problem = f"gives no whole answer within {error} s and was stopped: ask for less, or raise answer_timeout_s"
            raise SourceError(self.table.name, partition, None, f"the database {_shown(address)} {problem}") from error
        except ModuleNotFoundError as error:
            problem = f"asks {_shown(address)} with the Python package {error.name}, which is not installed; install it"
            raise SourceError(self.table.name, partition, None, problem) from error
        except (SQLAlchemyError, OSError) as error:
            raise self._refusal(address, partition, error) from error
        except Exception as error:
            if type(error).__module__.startswith(("adbc_driver_manager", "psycopg2", "sqlite3")):
                raise self._refusal(address, partition, error) from error
            raise
        raise SourceError(self.table.name, partition, None, "was not asked")  # pragma: no cover

    def _taken(self, answer: Answer, partition: str) -> _Result:
        """The rows as lines, as they come: what is too large is refused before it is in memory."""
        with closing(answer):
            result = _Result(next(answer))  # the names come first
            name = self.table.name
            if twice := sorted({column for column in result.names if result.names.count(column) > 1}):
                problem = f"the result has {', '.join(twice)} twice; give each column a name of its own: SELECT ... AS"
                raise SourceError(name, partition, None, problem)
            is_next = self.table.partitioning == "next"
            if is_next and self.cursor not in result.names:
                raise SourceError(name, partition, None, f"the result has no column {self.cursor}")
            check_names(name, partition, "the result", result.names, self.mapped)
            at = result.names.index(self.cursor) if is_next else None
            size = 0
            for row in answer:
                result.lines.append(_line(map(_text, row)))
                size += len(result.lines[-1])
                if at is not None:
                    result.marks.append(row[at])
                if size > PAYLOAD_BYTES_MAX:
                    problem = f"gives more than {PAYLOAD_BYTES_MAX} bytes: cut it finer, or lower batch_rows"
                    raise SourceError(name, partition, None, problem)
        return result

    def _refusal(self, address: str, partition: str, error: Exception) -> SourceError:
        words = self.blotted(" ".join(str(getattr(error, "orig", None) or error).split()))
        if _shown(address).endswith("..."):  # who knows what in it is the password: the driver may tell any part
            words = f"{type(error).__name__}; write @, ? and / of a user or password as %40, %3F and %2F"
        problem = f"the database {_shown(address)} cannot give it: {words}; tried {self.attempts} times at most"
        return SourceError(self.table.name, partition, None, problem)


@dataclass(slots=True)
class _Result:
    """Names of the columns, a line of text for each row, and of a `next` source its value of the growing column."""

    names: list[str]
    lines: list[bytes] = field(default_factory=list)
    marks: list[object] = field(default_factory=list)


def _shown(address: str) -> str:
    """An address without user, password and options; where an `@` may stand within any of them, its scheme alone.

    >>> _shown("postgresql://u:pw@host/db?sslmode=require"), _shown("postgresql://u:p?w@host/db"), _shown("u:pw@host")
    ('postgresql://host/db', 'postgresql://...', '...')
    """
    scheme, found, rest = address.partition("://")
    if not found:
        return "..."
    place, _, options = rest.partition("?")
    return f"{scheme}://..." if "@" in options else f"{scheme}://{place.rpartition('@')[2]}"


def _secrets(address: str) -> list[str]:
    """What of an address must not be told, the longest first; a driver may repeat it whole or in parts, decoded."""
    user, found, _ = address.partition("://")[2].rpartition("@")
    password = user.partition(":")[2] if found else ""
    query = address.partition("?")[2]
    options = [value for name, value in parse_qsl(query) if _SECRET_OPTION.search(f"{name}={value}")]
    within = [found[1] for found in _SECRET_OPTION.finditer(unquote_plus(query))]
    parts = {address, password, unquote(password), unquote_plus(password), *options, *within} - {""}
    return sorted(parts, key=lambda part: (-len(part), part))


def _mark_of(source: str, partition: str, after: str) -> object:
    """The last value of the growing column, of the type that it had in the database: "010" is not 10.

    Raises:
        SourceError: the cursor that was kept is none of ours.
    """
    try:
        ((form, text),) = json.loads(after).items()
        return _MARKS[form][1](text)
    except (ValueError, AttributeError, KeyError, TypeError, ArithmeticError) as error:
        problem = f"its last cursor {after!r} is none of a database; was the source of another kind? Give it a new name"
        raise SourceError(source, partition, None, problem) from error


_MARKS: Mapping[str, tuple[type, Callable[[str], object]]] = {
    "boolean": (bool, lambda text: text == "true"),
    "integer": (int, int),
    "number": (float, float),
    "decimal": (Decimal, Decimal),
    "time": (datetime, datetime.fromisoformat),
    "date": (date, date.fromisoformat),
    "uuid": (UUID, UUID),
    "text": (str, str),
}
"""Types of a growing column: as Python has it, and out of text. A narrower type comes before a wider one."""

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
    return ":" in user or _SECRET_OPTION.search(unquote_plus(url.partition("?")[2])) is not None


def _line(values: Iterable[str | None]) -> bytes:
    return f"{json.dumps(list(values), ensure_ascii=False)}\n".encode()


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

"""Any REST endpoint, described in TOML (`kind = "rest"`).

==================== ===============================================================================================
`url`                address; `{date}`, `{next_date}` (`{date:%Y%m%d}` for another form), `{date_ms}`,
                     `{next_date_ms}` (Unix ms of the day's ends), `{key}`, `{after}`
`records`            path of the list of records in a JSON answer, `data.items`; empty is the root
`format`             `json` (default), `jsonl`, `csv`
`packing`            `none` (default), `gzip`, `zip`, `tar.gz`; `member` picks one file of an archive
`headers`            a table of headers; nothing secret
`auth`               `{header = "X-API-Key", env = "EXAMPLE_KEY", prefix = ""}`: the secret stands in the environment
`paging`             `{kind = "cursor", param = "cursor", from = "next"}`: the next page's cursor stands in the answer;
                     `{kind = "page", param = "page", first = 1, size = 100}`: numbered, until one has fewer than `size`
                     records, or none; `{kind = "link", from = "links.next"}`: the next page's address stands in the
                     answer, or in its `Link` header
`cursor`             of a `next` source: path of the growing value in a record
`keys`               of a `key` source: the list
`absent_statuses`    such as `[404]`: what the other side answers where it has no such day; asked for again next time
requests_per_second, timeout_s, attempts, wait_max_s, response_bytes_max: see `http_client.HttpLimits`
==================== ===============================================================================================
"""

from __future__ import annotations

import os
import re
from dataclasses import dataclass, field, fields
from datetime import UTC, date, datetime, time, timedelta
from decimal import Decimal
from string import Formatter
from typing import TYPE_CHECKING, Any
from urllib.parse import parse_qsl, quote, urlencode, urljoin, urlsplit, urlunsplit

from py_rt.data.ingestion.archives import members
from py_rt.data.ingestion.columns import member, read_columns
from py_rt.data.ingestion.definition import Definition, Option, fault_of, read_options
from py_rt.data.ingestion.http_client import Answer, HttpClient, HttpLimits, StatusError
from py_rt.data.ingestion.records import CsvForm, Records, read_records
from py_rt.data.ingestion.source import PAYLOADS_MAX, AbsentPartitionError, Payload, SourceTable, day_of
from py_rt.errors import SourceError

if TYPE_CHECKING:
    from collections.abc import Iterator, Sequence

    import polars as pl

    from py_rt.data.ingestion.columns import Mapped

PLACEHOLDERS = ("date", "next_date", "date_ms", "next_date_ms", "key", "after")

LIMIT_OPTIONS = {one.name: Option((int, float), one.default) for one in fields(HttpLimits)}

READING_OPTIONS = {
    "records": Option(str, ""),
    "format": Option(str, "json", ("json", "jsonl", "csv")),
    "packing": Option(str, "none", ("none", "gzip", "zip", "tar.gz")),
    "member": Option(str, ""),
    "header": Option(list, []),
    "header_absent": Option(str, "never", ("never", "sometimes", "always")),
    "repeated_header": Option(str, "refuse", ("refuse", "skip")),
    "delimiter": Option(str, ","),
}
"""Options of every kind that reads bodies of records."""

OPTIONS = {
    "url": Option(str),
    "headers": Option(dict, {}),
    "auth": Option(dict, {}),
    "paging": Option(dict, {"kind": "none"}),
    "cursor": Option(str, ""),
    "keys": Option(list, []),
    "absent_statuses": Option(list, []),
    **READING_OPTIONS,
    **LIMIT_OPTIONS,
}

_PAGING = {
    "none": {"kind"},
    "cursor": {"kind", "param", "from"},
    "page": {"kind", "param", "first", "size"},
    "link": {"kind", "from"},
}


@dataclass(frozen=True, slots=True)
class Reading:
    """How a body of records becomes rows."""

    source: str
    mapped: tuple[Mapped, ...]
    records: str
    format: str
    packing: str
    member: str
    csv: CsvForm

    def body(self, place: str, content: bytes) -> bytes:
        """The body without its packing.

        Raises:
            SourceError: the archive is cut off or damaged, or holds no such file.
        """
        found = dict(members(self.source, place, content, self.packing))  # type: ignore[arg-type]
        if not self.member:
            if len(found) != 1:
                problem = f"holds {len(found)} files ({', '.join(list(found)[:5])}); name one with the option member"
                raise SourceError(self.source, place, None, problem)
            return next(iter(found.values()))
        if self.member not in found:
            problem = f"holds no file {self.member}; it holds {', '.join(list(found)[:10])}"
            raise SourceError(self.source, place, None, problem)
        return found[self.member]

    def parse(self, place: str, content: bytes) -> Records:
        """The records of a body.

        Raises:
            SourceError: it is not of its form.
        """
        body = self.body(place, content)
        return read_records(self.source, place, body, self.format, self.records, self.csv)  # type: ignore[arg-type]

    def rows(self, place: str, content: bytes) -> pl.DataFrame:
        """The rows of a body.

        Raises:
            SourceError: it is not of its form, or a value is not of its type.
        """
        found = self.parse(place, content)
        return read_columns(self.source, place, found.values, self.mapped, found.first_row)


def reading_of(definition: Definition, values: dict[str, Any]) -> Reading:
    """How a definition reads bodies."""
    csv_form = CsvForm(
        tuple(map(str, values["header"])), values["header_absent"], values["repeated_header"], values["delimiter"]
    )
    names = (values["records"], values["format"], values["packing"], values["member"])
    return Reading(definition.table.name, definition.mapped, *names, csv_form)


def limits_of(values: dict[str, Any]) -> HttpLimits:
    """The bounds that a definition gives."""
    return HttpLimits(**{one.name: values[one.name] for one in fields(HttpLimits)})


@dataclass(frozen=True)
class RestSource:
    """A REST endpoint."""

    table: SourceTable
    url: str
    reading: Reading
    paging: dict[str, Any]
    cursor: str
    key_names: tuple[str, ...]
    absent_statuses: tuple[int, ...]
    client: HttpClient = field(repr=False)

    @classmethod
    def make(cls, definition: Definition) -> RestSource:
        """Make the source that a file defines.

        Raises:
            DefinitionError: an option is missing, unknown or not allowed, or the secret is not in the environment.
        """
        values = read_options(definition, OPTIONS)
        _check_url(definition, values["url"])
        kind = values["paging"].get("kind", "none")
        if kind not in _PAGING or set(values["paging"]) - _PAGING.get(kind, set()):
            shown = "; ".join(f"{name}: {', '.join(sorted(keys))}" for name, keys in _PAGING.items())
            raise fault_of(definition, "paging", f"is {values['paging']!r}; allowed are {shown}")
        if definition.table.partitioning == "next" and not values["cursor"]:
            raise fault_of(definition, "cursor", "is missing: which value of a record only grows?")
        if definition.table.partitioning == "key" and not values["keys"]:
            raise fault_of(definition, "keys", "is missing: which keys are there?")
        client = HttpClient(
            definition.table.name,
            limits_of(values),
            headers={str(name): str(value) for name, value in values["headers"].items()},
            secrets=secrets_of(definition, values["auth"]),
        )
        return cls(
            definition.table,
            values["url"],
            reading_of(definition, values),
            values["paging"],
            values["cursor"],
            tuple(map(str, values["keys"])),
            tuple(values["absent_statuses"]),
            client,
        )

    def partitions(self) -> Sequence[str]:
        """The keys of the definition."""
        return self.key_names

    def fetch(self, partition: str, after: str | None = None) -> Iterator[Payload]:
        """Ask for a partition, page by page.

        Raises:
            SourceError: a page cannot be had or read, or paging does not end.
        """
        url: str | None = self._first_url(partition, after)
        seen: set[str] = set()
        before, highest = b"", after or ""
        for page in range(1, PAYLOADS_MAX + 1):
            name = f"page-{page:05}"
            place = f"{partition}/{name}"
            if url is None:
                return
            if url in seen:
                raise SourceError(
                    self.table.name, place, None, "is a page that was there before: paging goes in a ring"
                )
            seen.add(url)
            answer = self._get(url, place)
            if page > 1 and answer.content == before:
                problem = f"has the very bytes of page {page - 1}: the other side does not page by {self.paging!r}"
                raise SourceError(self.table.name, place, None, problem)
            before = answer.content
            found = self.reading.parse(place, answer.content)
            highest = self._highest(found, place, highest)
            yield Payload(name, answer.content, _origin(url), answer.media_type, highest)
            url = self._next_url(url, answer, found, page)
        raise SourceError(self.table.name, partition, None, f"has more than {PAYLOADS_MAX} pages; cut it finer")

    def _get(self, url: str, place: str) -> Answer:
        try:
            return self.client.get(url, place)
        except StatusError as error:
            if error.status not in self.absent_statuses:
                raise
            raise AbsentPartitionError(error.source, error.file, None, error.problem) from error

    def rows(self, payload: Payload, partition: str) -> pl.DataFrame:
        """The rows of a page.

        Raises:
            SourceError: it is not of its form, or a value is not of its type.
        """
        return self.reading.rows(f"{partition}/{payload.name}", payload.content)

    def _first_url(self, partition: str, after: str | None) -> str:
        values: dict[str, Any] = {"key": quote(partition, safe=""), "after": quote(after or "", safe="")}
        if self.table.partitioning == "day":
            day = day_of(self.table.name, partition)
            values |= {"date": day, "next_date": day + timedelta(days=1), "date_ms": _ms(day)}
            values["next_date_ms"] = _ms(day + timedelta(days=1))
        url = self.url.format_map(values)
        if self.paging.get("kind") == "page":
            return _with_param(url, str(self.paging["param"]), str(self.paging.get("first", 1)))
        return url

    def _next_url(self, url: str, answer: Answer, found: Records, page: int) -> str | None:
        kind = self.paging.get("kind", "none")
        if kind == "cursor":
            cursor = member(found.whole, str(self.paging["from"]))
            if cursor is None or cursor is False or cursor == "":
                return None
            return _with_param(url, str(self.paging["param"]), str(cursor))
        if kind == "page":
            is_last = len(found.values) < int(self.paging.get("size", 1))
            number = int(self.paging.get("first", 1)) + page
            return None if is_last else _with_param(url, str(self.paging["param"]), str(number))
        if kind == "link":
            target = member(found.whole, str(self.paging.get("from", ""))) if self.paging.get("from") else None
            target = target or _link_header(answer.headers.get("link", ""))
            return self._within(url, str(target)) if target else None
        return None

    def _within(self, url: str, target: str) -> str:
        absolute = urljoin(url, target)
        if urlsplit(absolute)[:2] != urlsplit(url)[:2]:
            problem = f"links to a next page at {urlsplit(absolute).netloc}, which is another place than was asked"
            raise SourceError(self.table.name, self.table.name, None, problem)
        return absolute

    def _highest(self, found: Records, place: str, highest: str) -> str:
        """The growing value's highest so far, in whatever order the records come."""
        if self.table.partitioning != "next":
            return ""
        for row, record in enumerate(found.values, found.first_row):
            value = member(record, self.cursor)
            if value is None:
                raise SourceError(self.table.name, place, row, f"has no {self.cursor!r}, by which it is asked for")
            highest = max(highest, str(value), key=_order)
        return highest


def _order(value: str) -> tuple[bool, Decimal, str]:
    """Numbers by size, other text as text (ISO times sort so); nothing before everything.

    >>> max("9", "10", key=_order), max("2024-01-09", "2024-01-10", key=_order), max("", "-5", key=_order)
    ('10', '2024-01-10', '-5')
    """
    is_number = re.fullmatch(r"-?[0-9]{1,40}(\.[0-9]{1,20})?", value)
    return (value != "", Decimal(value), "") if is_number else (value != "", Decimal(0), value)


def check_place(definition: Definition, url: str) -> None:
    """Refuse an address that is none of the web, or that holds a secret.

    Raises:
        DefinitionError: with the line.
    """
    parts = urlsplit(url)
    if parts.scheme not in {"http", "https"} or not parts.netloc:
        raise fault_of(definition, "url", f"is {url!r}; it begins with https:// or http://")
    if "@" in parts.netloc:
        raise fault_of(definition, "url", "holds a user or password; use auth, whose secret is in the environment")


def _check_url(definition: Definition, url: str) -> None:
    try:
        named = [name for _, name, _, _ in Formatter().parse(url) if name is not None]
    except ValueError as error:
        raise fault_of(definition, "url", f"is no template: {error}") from error
    if unknown := sorted({name for name in named if name not in PLACEHOLDERS}):
        problem = f"has {', '.join('{' + name + '}' for name in unknown)}; allowed are "
        raise fault_of(definition, "url", problem + ", ".join("{" + name + "}" for name in PLACEHOLDERS))
    check_place(definition, url)
    days = {"date", "next_date", "date_ms", "next_date_ms"} & set(named)
    if definition.table.partitioning == "day" and not days:
        raise fault_of(definition, "url", "names no {date}, so that every day would be the same")
    if definition.table.partitioning != "day" and days:
        raise fault_of(definition, "url", f"names a day, and partition is {definition.table.partitioning}")


def secrets_of(definition: Definition, auth: dict[str, Any]) -> dict[str, str]:
    """The header that `auth` describes, with its secret out of the environment.

    Raises:
        DefinitionError: the variable is not set, or `auth` is not of its form.
    """
    if not auth:
        return {}
    if not {"header", "env"} <= set(auth) <= {"header", "env", "prefix"}:
        raise fault_of(definition, "auth", "wanted is {header = ..., env = NAME OF A VARIABLE, prefix = ...}")
    secret = os.environ.get(str(auth["env"]), "")
    if not secret:
        raise fault_of(definition, "auth", f"the variable {auth['env']} is not set; export the secret there")
    return {str(auth["header"]): f"{auth.get('prefix', '')}{secret}"}


def _ms(day: date) -> int:
    return int(datetime.combine(day, time.min, UTC).timestamp()) * 1_000


def _origin(url: str) -> str:
    parts = urlsplit(url)
    return f"{parts.scheme}://{parts.netloc}{parts.path}"


def _with_param(url: str, name: str, value: str) -> str:
    parts = urlsplit(url)
    query = [(key, old) for key, old in parse_qsl(parts.query, keep_blank_values=True) if key != name]
    return urlunsplit(parts._replace(query=urlencode([*query, (name, value)])))


def _link_header(text: str) -> str | None:
    """The next page of a `Link` header (RFC 8288).

    >>> _link_header('</p?page=1>; rel="prev", </p?page=3>; rel="next"')
    '/p?page=3'
    """
    for part in text.split(","):
        found = re.match(r'\s*<([^>]*)>.*;\s*rel="?next"?', part)
        if found:
            return found[1]
    return None

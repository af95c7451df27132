"""Any REST endpoint, described in TOML (`kind = "rest"`).

==================== ===============================================================================================
`url`                address; `{date}`, `{next_date}` (`{date:%Y%m%d}` for another form), `{date_ms}`,
                     `{next_date_ms}` (Unix ms of the day's ends), `{key}`, `{after}`
`records`            path of the list of records in a JSON answer, `data.items`; empty is the root
`format`             `json` (default), `jsonl`, `csv`
`packing`            `none` (default), `gzip`, `zip`, `tar.gz`; `member` picks one file of an archive
`headers`            a table of headers; nothing secret
`auth`               `{header = "X-API-Key", env = "EXAMPLE_KEY", prefix = ""}`: the secret stands in the environment;
                     `{param = "apikey", env = "EXAMPLE_KEY"}` where it goes into the query
`paging`             `{kind = "cursor", param = "cursor", from = "next"}`: the next page's cursor stands in the answer;
                     `{kind = "page", param = "page", first = 1, size = 100}`: numbered, until one has fewer than `size`
                     records, or none; `{kind = "link", from = "links.next"}`: the next page's address stands in the
                     answer, or in its `Link` header
`cursor`             of a `next` source: path of the growing value in a record
`keys`               of a `key` source: the list
`absent_statuses`    such as `[404]`: what the other side answers where it has no such day; asked for again next time
requests_per_second, timeout_s, answer_timeout_s, attempts, wait_max_s, response_bytes_max: `http_client.HttpLimits`
==================== ===============================================================================================
"""

from __future__ import annotations

import re
from dataclasses import dataclass, field, fields, replace
from datetime import UTC, date, datetime, time, timedelta
from decimal import Decimal
from typing import TYPE_CHECKING, Any
from urllib.parse import parse_qsl, quote, urljoin, urlsplit

from py_rt.data.ingestion.archives import file_of
from py_rt.data.ingestion.columns import check_members, check_names, member, read_columns
from py_rt.data.ingestion.definition import Definition, Option, check_template, fault_of, keys_of, read_options
from py_rt.data.ingestion.http_client import Answer, HttpClient, HttpLimits, Secret, StatusError, next_link, with_param
from py_rt.data.ingestion.records import CsvForm, Records, csv_header, read_records
from py_rt.data.ingestion.retries import ATTEMPTS_MAX
from py_rt.data.ingestion.source import (
    PAYLOAD_BYTES_MAX,
    PAYLOADS_MAX,
    AbsentPartitionError,
    Payload,
    SourceTable,
    day_of,
)
from py_rt.errors import SourceError

if TYPE_CHECKING:
    from collections.abc import Iterator, Sequence

    import polars as pl

    from py_rt.data.ingestion.columns import Mapped

_DAYS = {"date", "next_date", "date_ms", "next_date_ms"}
_SECRET_PARAM = re.compile(
    r"secret|passw|passphrase|credential|signature$|^sig$|^token$|(?:access|api|auth|bearer|refresh|session)[-_]?token$|"
    r"(?:access|api|private|subscription)[-_]?key$",
    re.IGNORECASE,
)
"""Parameters of a query that hold a secret wherever they stand."""

_SECRET_HEADER = re.compile(
    r"authori[sz]ation|authenticat|cookie|secret|passw|passphrase|credential|signature|token|api-?key|access-?key|-key$",
    re.IGNORECASE,
)
"""Headers that hold a secret whoever is asked."""

LIMIT_OPTIONS = {
    "requests_per_second": Option((int, float), HttpLimits().requests_per_second, bounds=(1e-4, 1e6)),
    "timeout_s": Option((int, float), HttpLimits().timeout_s, bounds=(1e-3, 3_600)),
    "answer_timeout_s": Option((int, float), HttpLimits().answer_timeout_s, bounds=(1e-3, 86_400)),
    "attempts": Option(int, HttpLimits().attempts, bounds=(1, ATTEMPTS_MAX)),
    "wait_max_s": Option((int, float), HttpLimits().wait_max_s, bounds=(0, 86_400)),
    "response_bytes_max": Option(int, HttpLimits().response_bytes_max, bounds=(1, PAYLOAD_BYTES_MAX)),
}

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
    "none": {},
    "cursor": {"param": Option(str), "from": Option(str)},
    "page": {"param": Option(str), "first": Option(int, 1), "size": Option(int, 1, bounds=(1, 1e9))},
    "link": {"from": Option(str, "")},
}
"""Kinds of paging, and what each must or may be told."""


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

    def parse(self, place: str, content: bytes) -> Records:
        """The records of a body.

        Raises:
            SourceError: it is not of its form, or its archive is cut off or damaged, or holds no such file.
        """
        body = file_of(self.source, place, content, self.packing, self.member)  # type: ignore[arg-type]
        return read_records(self.source, place, body, self.format, self.records, self.csv)  # type: ignore[arg-type]

    def check(self, place: str, content: bytes, found: Records | None = None) -> None:
        """Refuse a body that lacks a column, such as the text of an error, which is a CSV's header without rows.

        For what arrives alone: what is landed stays readable where a column came later. `found` are its records, where
        they were read already.

        Raises:
            SourceError: what it lacks, and what was found.
        """
        if self.format == "csv":
            body = file_of(self.source, place, content, self.packing, self.member)  # type: ignore[arg-type]
            check_names(self.source, place, "the header", csv_header(self.source, place, body, self.csv), self.mapped)
        elif all(column.nullable or column.constant is not None for column in self.mapped):
            found = found or self.parse(place, content)  # else a column that is not nullable refuses such a record
            check_members(self.source, place, found.values, found.rows, self.mapped)

    def rows(self, place: str, content: bytes) -> pl.DataFrame:
        """The rows of a body.

        Raises:
            SourceError: it is not of its form, or a value is not of its type.
        """
        found = self.parse(place, content)
        return read_columns(self.source, place, found.values, self.mapped, found.rows)


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
            DefinitionError: an option is missing, unknown or not allowed.
        """
        values = read_options(definition, OPTIONS)
        _check_url(definition, values["url"])
        if definition.table.partitioning == "next" and not values["cursor"]:
            raise fault_of(definition, "cursor", "is missing: which value of a record only grows?")
        if not all(isinstance(status, int) for status in values["absent_statuses"]):
            raise fault_of(definition, "absent_statuses", "is a list of numbers, such as [404]")
        return cls(
            definition.table,
            values["url"],
            reading_of(definition, values),
            _paging(definition, values["paging"]),
            values["cursor"],
            keys_of(definition, values["keys"]),
            tuple(values["absent_statuses"]),
            client_of(definition, values),
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
            yield Payload(name, answer.content, answer.url, answer.media_type, highest)
            self.reading.check(place, answer.content, found)  # once it is kept, for a look at it
            url = self._next_url(url, answer, found, page)
        raise SourceError(self.table.name, partition, None, f"has more than {PAYLOADS_MAX} pages; cut it finer")

    def _get(self, url: str, place: str) -> Answer:
        try:
            return self.client.get(url, place)
        except StatusError as error:
            if error.status not in self.absent_statuses:
                raise
            raise AbsentPartitionError(error.source, error.file, None, error.problem) from error

    def blotted(self, text: str) -> str:
        """A text without the secret."""
        return self.client.blotted(text)

    def rows(self, payload: Payload, partition: str) -> pl.DataFrame:
        """The rows of a page.

        Raises:
            SourceError: it is not of its form, or a value is not of its type.
        """
        return self.reading.rows(f"{partition}/{payload.name}", payload.content)

    def _first_url(self, partition: str, after: str | None) -> str:
        day = day_of(self.table.name, partition) if self.table.partitioning == "day" else None
        url = self.url.format_map(_values(day, partition, after or ""))
        if self.paging["kind"] == "page":
            return with_param(url, self.paging["param"], str(self.paging["first"]))
        return url

    def _next_url(self, url: str, answer: Answer, found: Records, page: int) -> str | None:
        kind = self.paging["kind"]
        if kind == "cursor":
            cursor = member(found.whole, self.paging["from"])
            if cursor is None or cursor is False or cursor == "":
                return None
            return with_param(url, self.paging["param"], str(cursor))
        if kind == "page":
            is_last = len(found.values) < self.paging["size"]
            number = self.paging["first"] + page
            return None if is_last else with_param(url, self.paging["param"], str(number))
        if kind == "link":
            target = member(found.whole, self.paging["from"]) if self.paging["from"] else None
            target = target or next_link(answer.headers.get("link", ""))
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
        for row, record in zip(found.rows, found.values, strict=True):
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
        raise fault_of(definition, "url", "is no address of the web; it begins with https:// or http://")
    if "@" in parts.netloc:
        raise fault_of(definition, "url", "holds a user or password; use auth, whose secret is in the environment")
    if named := sorted({name for name, value in parse_qsl(parts.query) if value and _SECRET_PARAM.search(name)}):
        problem = f"holds a secret, {named[0]}; export it, and say auth = {{param = {named[0]!r}, env = NAME}}"
        raise fault_of(definition, "url", problem)


def _check_url(definition: Definition, url: str) -> None:
    named = check_template(definition, "url", url, _values(date(2024, 1, 31), "key", ""))
    check_place(definition, url)
    days = _DAYS & named
    if definition.table.partitioning == "day" and not days:
        raise fault_of(definition, "url", "names no {date}, so that every day would be the same")
    if definition.table.partitioning != "day" and days:
        raise fault_of(definition, "url", f"names a day, and partition is {definition.table.partitioning}")


def _values(day: date | None, partition: str, after: str) -> dict[str, Any]:
    """What the placeholders of an address stand for."""
    values: dict[str, Any] = {"key": quote(partition, safe=""), "after": quote(after, safe="")}
    if day is None:
        return values
    following = day + timedelta(days=1)
    days = {"date": day, "next_date": following, "date_ms": _ms(day), "next_date_ms": _ms(following)}
    return days | values


def _paging(definition: Definition, told: dict[str, Any]) -> dict[str, Any]:
    """How pages follow each other, with defaults.

    Raises:
        DefinitionError: the kind is not known, or is told too little, too much or what does not fit.
    """
    kind = told.get("kind", "none")
    if kind not in _PAGING:
        raise fault_of(definition, "paging", f"is of the kind {kind!r}; allowed are {', '.join(_PAGING)}")
    rest = {key: value for key, value in told.items() if key != "kind"}
    return {"kind": kind, **read_options(replace(definition, options=rest), _PAGING[kind], "options.paging")}


def client_of(definition: Definition, values: dict[str, Any]) -> HttpClient:
    """The client that a definition describes: its bounds, its headers, and where its secret is.

    Raises:
        DefinitionError: `auth` or `headers` is not of its form.
    """
    headers = {str(name): str(value) for name, value in values["headers"].items()}
    for name, value in headers.items():
        if value and _SECRET_HEADER.search(name):
            problem = f"holds a secret, {name}; export it, and say auth = {{header = {name!r}, env = NAME}}"
            raise fault_of(definition, "headers", problem)
        if not re.fullmatch(r"[A-Za-z0-9-]+", name) or not re.fullmatch(r"[ -~]*", value):
            raise fault_of(definition, "headers", f"has {name!r}: {value!r}, which cannot be sent; give plain ASCII")
    secret = _secret_of(definition, values["auth"])
    return HttpClient(definition.table.name, limits_of(values), headers=headers, secret=secret)


def _secret_of(definition: Definition, auth: dict[str, Any]) -> Secret | None:
    if not auth:
        return None
    places = {"header", "param"} & set(auth)
    if len(places) != 1 or set(auth) - {"header", "param", "env", "prefix"} or not auth.get("env"):
        problem = "wanted is {header = ..., env = NAME OF A VARIABLE, prefix = ...}, or param instead of header"
        raise fault_of(definition, "auth", problem)
    secret = Secret(**{name: str(value) for name, value in auth.items()})
    if not re.fullmatch(r"[A-Za-z0-9-]*", secret.header) or not re.fullmatch(r"[ -~]*", secret.prefix):
        raise fault_of(definition, "auth", "has a header or a prefix that cannot be sent; give plain ASCII")
    return secret


def _ms(day: date) -> int:
    return int(datetime.combine(day, time.min, UTC).timestamp()) * 1_000

"""Bytes to records: JSON, JSON lines and CSV, every value as the text it is written in."""

from __future__ import annotations

import csv
import io
import json
import re
from dataclasses import dataclass
from itertools import islice
from typing import TYPE_CHECKING, Any, Literal

from py_rt.data.ingestion.columns import member
from py_rt.errors import SourceError

if TYPE_CHECKING:
    from collections.abc import Iterator, Sequence

RecordFormat = Literal["json", "jsonl", "csv"]

_HALF = re.compile(
    r"\\u[dD][89abAB][0-9a-fA-F]{2}(?!\\u[dD][c-fC-F])|(?<!\\u[dD][89abAB]..)\\u[dD][c-fC-F][0-9a-fA-F]{2}"
)
"""A half of a surrogate pair, in the text of JSON."""

RECORDS_MAX = 20_000_000
"""Most records of one payload."""


@dataclass(frozen=True, slots=True)
class CsvForm:
    """How a CSV is written.

    Attributes:
        header: names of the columns where the file has no header line, or may lack it.
        header_absent: whether it always (`always`), sometimes (`sometimes`) or never lacks it.
        repeated_header: what a header line in mid-file means: `refuse`, or `skip` it.
        delimiter: between fields.
    """

    header: tuple[str, ...] = ()
    header_absent: Literal["never", "sometimes", "always"] = "never"
    repeated_header: Literal["refuse", "skip"] = "refuse"
    delimiter: str = ","


@dataclass(frozen=True, slots=True)
class Records:
    """What a payload holds.

    Attributes:
        values: the records in order.
        rows: number of each: of JSON from 1, of text the line that it ends on.
        whole: the parsed JSON around them, `None` for other formats.
    """

    values: Sequence[Any]
    rows: Sequence[int]
    whole: Any = None


def read_records(
    source: str, place: str, content: bytes, form: RecordFormat, path: str = "", csv_form: CsvForm | None = None
) -> Records:
    """Read a body.

    Args:
        source: name of the source, for messages.
        place: partition and payload, for messages.
        content: the body.
        form: how it is written.
        path: of the list of records in a JSON body.
        csv_form: how a CSV is written.

    Raises:
        SourceError: it is not of that form; position or line is named.
    """
    text = text_of(source, place, content)
    if form == "json":
        found = _read_json(source, place, text, path)
    elif form == "jsonl":
        found = _read_json_lines(source, place, text)
    else:
        found = _read_csv(source, place, text, csv_form or CsvForm())
    if len(found.values) > RECORDS_MAX:
        raise SourceError(
            source, place, None, f"holds {len(found.values)} records, at most {RECORDS_MAX}; cut it finer"
        )
    return found


def text_of(source: str, place: str, content: bytes) -> str:
    """A body as text, without its byte order mark.

    Raises:
        SourceError: it is not UTF-8; the line is named.
    """
    try:
        return content.decode("utf-8-sig")
    except UnicodeDecodeError as error:
        row = content[: error.start].count(b"\n") + 1
        problem = f"is not UTF-8 text: byte {error.object[error.start]:#04x} at position {error.start}"
        raise SourceError(source, place, row, problem) from error


def csv_rows(source: str, place: str, text: str, delimiter: str = ",") -> Iterator[tuple[int, list[str]]]:
    """Rows of a CSV as they stand, each with the line that it begins on; a blank line has no fields.

    Raises:
        SourceError: it is no CSV; the line is named.
    """
    reader = csv.reader(io.StringIO(text, newline=""), delimiter=delimiter, strict=True)
    line = 1
    try:
        for fields in reader:
            yield line, fields
            line = reader.line_num + 1
    except csv.Error as error:
        raise SourceError(source, place, line, f"is no CSV: {error}") from error


def csv_header(source: str, place: str, content: bytes, form: CsvForm) -> list[str]:
    """Names of a CSV's columns; its rows are not read.

    Raises:
        SourceError: it is no CSV, is empty, or names a column twice.
    """
    rows = csv_rows(source, place, text_of(source, place, content), form.delimiter)
    return _header(source, place, list(islice((row for row in rows if row[1]), 1)), form)[0]


def json_lines(content: bytes) -> list[Any]:
    r"""JSON lines that we wrote ourselves; a line ends with a newline alone, whatever else ends one in Unicode.

    >>> json_lines('["a\u2028b"]\n[1]\n'.encode())
    [['a\u2028b'], [1]]
    """
    return [json.loads(line) for line in content.decode().removesuffix("\n").split("\n")]


def _parse(source: str, place: str, text: str, row: int | None) -> Any:  # noqa: ANN401  # whatever JSON holds
    try:
        # Numbers stay the text that they are written in: no price passes through a float.
        found = json.loads(text, parse_float=str, parse_int=str, parse_constant=str)
    except ValueError as error:
        at = getattr(error, "pos", 0)
        cut = ": it is cut off, fetch it again" if at >= len(text.rstrip()) else ""
        raise SourceError(source, place, row, f"is no JSON at position {at}: {error}{cut}") from error
    except RecursionError as error:
        raise SourceError(source, place, row, "is JSON of too many levels") from error
    half = _HALF.search(text)
    if half and _has_half(found):
        problem = f"has half of a character at position {half.start()}: {half[0]!r} without the other half of its pair"
        raise SourceError(source, place, row, problem)
    return found


def _has_half(value: Any) -> bool:  # noqa: ANN401  # whatever JSON holds
    try:
        json.dumps(value, ensure_ascii=False).encode()
    except UnicodeEncodeError:
        return True
    return False


def _read_json(source: str, place: str, text: str, path: str) -> Records:
    whole = _parse(source, place, text, None)
    values = member(whole, path)
    if not isinstance(values, list):
        there = ", ".join(map(repr, whole)) if isinstance(whole, dict) else f"a {type(whole).__name__}"
        problem = f"has no list of records at {path or 'its root'!r}; there is {there}"
        raise SourceError(source, place, None, problem)
    return Records(values, range(1, len(values) + 1), whole)


def _read_json_lines(source: str, place: str, text: str) -> Records:
    lines = text.split("\n")
    if lines and not lines[-1].strip():
        lines.pop()
    rows = range(1, len(lines) + 1)
    return Records([_parse(source, place, line, row) for row, line in zip(rows, lines, strict=True)], rows)


def _read_csv(source: str, place: str, text: str, form: CsvForm) -> Records:
    found = [(row, fields) for row, fields in csv_rows(source, place, text, form.delimiter) if fields]
    header, found = _header(source, place, found, form)
    values: list[dict[str, str]] = []
    rows: list[int] = []
    for row, fields in found:
        if fields == header:
            if form.repeated_header == "skip":
                continue
            problem = "is the header again: the file is doubled or joined; keep one part, or say repeated_header = skip"
            raise SourceError(source, place, row, problem)
        if len(fields) != len(header):
            cut = ", and is the last: the file is cut off, fetch it again" if row == found[-1][0] else ""
            raise SourceError(source, place, row, f"has {len(fields)} fields, the header has {len(header)}{cut}")
        values.append(dict(zip(header, fields, strict=True)))
        rows.append(row)
    return Records(values, rows)


def _header(
    source: str, place: str, found: list[tuple[int, list[str]]], form: CsvForm
) -> tuple[list[str], list[tuple[int, list[str]]]]:
    named = list(form.header)
    if form.header_absent == "always" or (form.header_absent == "sometimes" and (not found or found[0][1] != named)):
        return named, found
    if not found:
        raise SourceError(source, place, None, "is empty: not even a header; fetch it again")
    row, header = found[0]
    if repeated := sorted({name for name in header if header.count(name) > 1}):
        raise SourceError(source, place, row, f"the header names {', '.join(map(repr, repeated))} twice")
    return header, found[1:]

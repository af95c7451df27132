"""Alternative data: texts of news and of people, with the time from which each could be read.

A text has the time at which it was sent; a file may lay it under a day of its own, which is not that time. What is
said twice (a repost) is kept and marked: counting it again is a choice of whoever uses it.
"""

from __future__ import annotations

import hashlib
from datetime import UTC, datetime
from typing import TYPE_CHECKING, Any

import polars as pl

from py_rt.data.ingestion.archives import file_of, packing_of
from py_rt.data.ingestion.columns import member
from py_rt.data.ingestion.raw_files import SUFFIXES, read_raw_file
from py_rt.data.ingestion.records import read_records
from py_rt.data.schemas import Column, Table
from py_rt.data.timestamps import NS_PER_DAY, read_utc_ns
from py_rt.errors import SourceError

if TYPE_CHECKING:
    from pathlib import Path

SOURCE = "texts"
REPEAT_NS = NS_PER_DAY
"""The same words about the same instrument within this time are a repeat."""

TEXT_CHARACTERS_MAX = 1_000_000
"""Longest text."""

TEXTS = Table(
    "raw_alternative",
    "raw",
    "Texts about instruments, each with the time from which it could be read",
    (
        Column("symbol", pl.String(), "instrument that the text is about, as the source calls it"),
        Column("ts_known", pl.Int64(), "when it was sent, UTC ns"),
        Column("text", pl.String(), "as received; a list of words joined by spaces"),
        Column("text_sha256", pl.String(), "SHA-256 of the text"),
        Column("is_repeat", pl.Boolean(), "the same words about the same instrument within the day before"),
        Column("row_number", pl.Int64(), "line of the file", minimum=1),
        Column("date", pl.Date(), "UTC day of ts_known"),
    ),
    key=("row_number",),
)

_SENT = ("%a %b %d %H:%M:%S %z %Y", "%a, %d %b %Y %H:%M:%S %z")
"""How X and RFC 5322 write a time; ISO and Unix times are read too."""


def read_texts(path: Path, *, symbol: str = "symbol", sent: str = "created_at", text: str = "text") -> pl.DataFrame:
    """Read JSON lines (plain, `.gz` or `.zst`) of texts, or a CSV, gzipped CSV or Parquet file of them.

    Args:
        path: of the file.
        symbol: path of the instrument in a record.
        sent: path of the time at which it was sent; it must name its zone.
        text: path of the text, or of a list of words.

    Returns:
        Rows of :data:`TEXTS`, in the order of the file.

    Raises:
        SourceError: the file is absent, cut off or damaged, or a record lacks one of the three; the line is named.
    """
    if path.name.endswith(SUFFIXES):
        raw = read_raw_file(SOURCE, path, path.name)
        found = list(zip(raw.row_numbers, raw.columns.iter_rows(named=True), strict=True))
    else:
        found = list(enumerate(read_records(SOURCE, path.name, _body(path), "jsonl").values, 1))
    rows = [_row(path.name, number, record, symbol, sent, text) for number, record in found]
    names = {"symbol": pl.String, "ts_known": pl.Int64, "text": pl.String, "row_number": pl.Int64}
    return TEXTS.conform(described(pl.DataFrame(rows, schema=names, orient="row")))


def described(frame: pl.DataFrame) -> pl.DataFrame:
    """Add what follows from symbol, time and text: hash, repeat, day."""
    hashes = [hashlib.sha256(text.encode()).hexdigest() for text in frame["text"].to_list()]
    hashed = frame.with_columns(pl.Series("text_sha256", hashes, dtype=pl.String))
    ordered = hashed.sort("ts_known", "row_number")
    before = pl.col("ts_known").shift(1).over("symbol", "text_sha256")
    repeat = (pl.col("ts_known") - before <= REPEAT_NS).fill_null(value=False)
    day = pl.from_epoch("ts_known", time_unit="ns").dt.date()
    return ordered.with_columns(repeat.alias("is_repeat"), day.alias("date")).sort("row_number")


def _row(file: str, number: int, record: Any, symbol: str, sent: str, text: str) -> tuple[str, int, str, int]:  # noqa: ANN401
    found = {name: member(record, name) for name in (symbol, sent, text)}
    if absent := [name for name, value in found.items() if value in (None, "")]:
        raise SourceError(SOURCE, file, number, f"has no {', '.join(absent)}")
    words = found[text]
    joined = " ".join(map(str, words)) if isinstance(words, list) else str(words)
    if len(joined) > TEXT_CHARACTERS_MAX:
        raise SourceError(SOURCE, file, number, f"has {len(joined)} characters, at most {TEXT_CHARACTERS_MAX}")
    ts_known = sent_ns(str(found[sent]))
    if ts_known is None:
        problem = f"{found[sent]!r} is no time with a zone; wanted is such as 2014-02-11T18:58:49Z"
        raise SourceError(SOURCE, file, number, problem)
    return str(found[symbol]), ts_known, joined, number


def sent_ns(text: str) -> int | None:
    """The time at which something was sent, UTC ns; `None` where it is none, or names no zone.

    >>> sent_ns("Tue Feb 11 18:58:49 +0000 2014"), sent_ns("2014-02-11T18:58:49Z"), sent_ns("2014-02-11 18:58:49")
    (1392145129000000000, 1392145129000000000, None)
    """
    for form in _SENT:
        try:
            moment = datetime.strptime(text, form)  # noqa: DTZ007  # each form has its zone
        except ValueError:
            continue
        return int(moment.astimezone(UTC).timestamp()) * 10**9
    if not (text.strip().isdecimal() or text.rstrip().endswith("Z") or _has_offset(text)):
        return None
    ns: int | None = read_utc_ns(pl.Series([text]))[0]
    return ns


def _has_offset(text: str) -> bool:
    tail = text.rstrip()[10:]
    return "+" in tail or "-" in tail or tail.endswith("UTC")


def _body(path: Path) -> bytes:
    try:
        content = path.read_bytes()
    except OSError as error:
        raise SourceError(SOURCE, path.name, None, f"cannot be read: {error.strerror}") from error
    return file_of(SOURCE, path.name, content, packing_of(path.name))

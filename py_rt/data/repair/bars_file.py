"""Bars in a file, row by row, with what the way back needs (`written`).

Of a CSV every record keeps its own text, line end included. Of a Parquet file the frame is kept.

The rows are not trusted: records with too few or too many fields and second headers are kept as rows with a mark, so
that they can be quarantined. What cannot be a table at all is refused.
"""

from __future__ import annotations

import hashlib
import re
from collections import Counter
from dataclasses import dataclass, field
from itertools import pairwise
from typing import TYPE_CHECKING, cast

import polars as pl
import pyarrow as pa
import pyarrow.parquet

from py_rt.data.bar_columns import (
    CLOCK,
    NOTHING_GIVEN,
    NUMBERS,
    SAMPLE_ROWS,
    SOURCE,
    Given,
    clock_text,
    find_roles,
    instruments_of,
    several,
    usual_roles,
)
from py_rt.data.bar_numbers import bare_number, has_decimal_commas, is_empty, read_number, with_decimal_point
from py_rt.data.bar_times import read_times
from py_rt.data.csv_records import DELIMITERS, decoded, delimiter_of, fields, only_member, records, unpacked
from py_rt.errors import SourceError

if TYPE_CHECKING:
    from pathlib import Path

ROWS_MAX = 20_000_000
"""Most rows of a file that are taken."""

FORMS = (".csv", ".csv.gz", ".parquet", ".zip", ".tsv", ".tsv.gz", ".txt", ".txt.gz")
"""Kinds of file, by suffix; a zip holds one file of text."""

ABOVE_MAX = 4
"""Most lines above a header."""

_HEAD_RECORDS = ABOVE_MAX + 3
"""Most records above the first row."""

_SEPARATOR = re.compile(r"sep=.?", re.IGNORECASE)
_BARS = ("time", "open", "high", "low", "close")
_KLINES = (*_BARS, "volume", "close_time", "quote_volume", "trades", "taker_volume", "taker_quote_volume", "ignore")
_SIDES = tuple(f"{side}_{what}" for side in ("bid", "ask") for what in (*_BARS[1:], "size"))
WITHOUT_HEADER = {
    len(names): names for names in (_BARS, (*_BARS, "volume"), (*_BARS, "volume", "trades"), ("time", *_SIDES), _KLINES)
}
"""Columns of files without a header, by their number: bars, Kraken's, LEAN's quotes (bids are read), Binance's."""


_DAYS = (-719_162, 2_932_896)
"""First day of the year 1 and last of 9999, from the epoch."""
_PER_DAY = {"ms": 86_400_000, "us": 86_400_000_000, "ns": 86_400_000_000_000}


@dataclass(frozen=True, slots=True)
class Torn:
    """A record that is no row of the table, or names no instrument for certain: why."""

    reason: str


@dataclass(slots=True)
class BarsFile:
    """A file's rows.

    Attributes:
        name: of the file, for messages.
        form: one of `FORMS`.
        content: the file's bytes as they lie on disk.
        header: names of the columns.
        roles: role to index of its column.
        cells: text of each row's cells; of a torn record what there is.
        torn: row to why it is no row.
        lines: of a CSV, the text of each record with its line end.
        head: of a CSV, what stands before the first row.
        frame: of a Parquet file, the table.
        member: of a zip archive, the file in it.
        given: what the file does not say itself.
        chosen: rows of the file that these are, where they are those of one instrument among several.
        left_out: number of the file's other rows, which are of other instruments.
        has_decimal_comma: whether numbers are written as 1.234,5.
        dressed: roles whose columns write numbers for people: `$1,234.50`, `1.2M`.
    """

    name: str
    form: str
    content: bytes
    header: list[str]
    roles: dict[str, int]
    cells: list[list[str]]
    torn: dict[int, Torn] = field(default_factory=dict)
    lines: list[str] = field(default_factory=list)
    head: str = ""
    delimiter: str = ","
    frame: pl.DataFrame | None = None
    member: str = ""
    given: Given = NOTHING_GIVEN
    chosen: list[int] | None = None
    left_out: int = 0
    has_decimal_comma: bool = False
    dressed: set[str] = field(default_factory=set)

    @property
    def sha256(self) -> str:
        """SHA-256 of the file's bytes."""
        return hashlib.sha256(self.content).hexdigest()

    @property
    def height(self) -> int:
        """Number of rows, torn records included."""
        return len(self.cells)

    def text(self, row: int, role: str) -> str:
        """The cell of a role in a row as text; empty where there is none. A time of two columns is joined."""
        place = self.roles.get(role)
        cells = self.cells[row]
        text = cells[place].strip() if place is not None and place < len(cells) else ""
        return f"{text} {clock_text(self.text(row, CLOCK))}" if role == "time" and CLOCK in self.roles else text

    def number_text(self, row: int, role: str) -> str:
        """The cell of a role as a program writes a number: with a decimal point, without a dress of its column."""
        text = self.text(row, role)
        text = with_decimal_point(text) if self.has_decimal_comma else text
        return bare_number(text) if role in self.dressed else text

    def row_of_file(self, row: int) -> int:
        """The data row of the file from 0."""
        return row if self.chosen is None else self.chosen[row]

    def line_of(self, row: int) -> int:
        """The line of a row in a text file (the header is line 1), or its row in a columnar one (from 1)."""
        if self.frame is not None or self.chosen is not None:
            return self.row_of_file(row) + (1 if self.frame is not None else 2)
        before = self.head.count("\n") + sum(line.count("\n") for line in self.lines[:row])
        line = self.lines[row]
        return before + 1 + line[: len(line) - len(line.lstrip("\r\n"))].count("\n")


def form_of(path: Path) -> str:
    """The kind of a file, by its suffix.

    Raises:
        SourceError: it is of no kind that is read.

    >>> from pathlib import Path
    >>> form_of(Path("spy.csv.gz"))
    '.csv.gz'
    """
    for form in sorted(FORMS, key=len, reverse=True):
        if path.name.lower().endswith(form):
            return form
    raise SourceError(SOURCE, path.name, None, f"is of no kind that is read; allowed are {', '.join(FORMS)}")


def read_bars_file(path: Path, given: Given = NOTHING_GIVEN) -> BarsFile:
    """Read bars from a CSV (plain, gzipped or alone in a zip archive) or Parquet file.

    Raises:
        SourceError: the file is absent, empty, cut off, damaged, no table, too large, without rows, without a column
            of times, or of several instruments, or the memory does not hold it.
    """
    try:
        return _read(path, given)
    except MemoryError:
        pass  # what fills the memory goes with its traceback
    raise out_of_memory(path)


def out_of_memory(path: Path) -> SourceError:
    """The refusal of a file that is too large for this machine."""
    return SourceError(SOURCE, path.name, None, "needs more memory than there is; split it, or free some")


def _read(path: Path, given: Given) -> BarsFile:
    form = form_of(path)
    try:
        content = path.read_bytes()
    except OSError as error:
        raise SourceError(SOURCE, path.name, None, f"cannot be read: {error.strerror}") from error
    if not content:
        raise SourceError(SOURCE, path.name, None, "is empty (0 bytes); fetch it again")
    is_parquet = form == ".parquet"
    bars = _from_parquet(path.name, content, given) if is_parquet else parse_bars(path.name, form, content, given)
    if not bars.cells:
        raise SourceError(SOURCE, path.name, 1, "has a header and no rows; fetch it again")
    _choose(bars)
    return bars


def _choose(bars: BarsFile) -> None:
    """Keep the rows of the instrument that is asked for, and refuse several when none is.

    Rows that may be of any stay, with a mark: torn ones and those that name no instrument, or name it in another case.
    A name in another case is an instrument of its own where it has at least half as many rows.

    Raises:
        SourceError: there are several, or not the one.
    """
    symbol = bars.given.symbol
    if "symbol" not in bars.roles:
        if symbol and symbol not in instruments_of(bars.header):
            raise SourceError(SOURCE, bars.name, 1, f"has no column that names instruments: there is no {symbol!r}")
        return
    names = [bars.text(row, "symbol") for row in range(bars.height)]
    counts = Counter(one for row, one in enumerate(names) if one and row not in bars.torn)
    there = sorted(counts)
    if not symbol and (len(there) <= 1 or 2 * len(there) > bars.height - len(bars.torn)):  # words of another kind
        return
    if symbol not in there:
        raise several(bars.name, None, there)
    alike = {one for one in there if one.casefold() == symbol.casefold() and 2 * counts[one] < counts[symbol]}
    others = set(there) - alike - {symbol}
    kept = [row for row, one in enumerate(names) if one not in others]
    unclear = Torn("unclear_symbol")
    torn = {row: bars.torn.get(row, unclear) for row in kept if row in bars.torn or names[row] != symbol}
    bars.torn = {at: torn[row] for at, row in enumerate(kept) if row in torn}
    bars.left_out = bars.height - len(kept)
    bars.cells = [bars.cells[row] for row in kept]
    bars.lines = [bars.lines[row] for row in kept] if bars.lines else []
    bars.frame = bars.frame[kept] if bars.frame is not None else None
    bars.chosen = kept


def _check_height(name: str, height: int) -> None:
    if height > ROWS_MAX:
        raise SourceError(
            SOURCE, name, None, f"has more than {ROWS_MAX} rows ({height}), which are the most allowed; split it"
        )


def _from_parquet(name: str, content: bytes, given: Given) -> BarsFile:
    # Arrow's reader refuses what it cannot read; that of Polars ends the process where a damaged file claims exabytes.
    try:
        with pyarrow.parquet.ParquetFile(pa.BufferReader(content)) as file:
            _check_height(name, file.metadata.num_rows)
            # A thread that still reads when the process has refused the file and ends would abort it.
            table = file.read(use_threads=False)
        table.validate(full=True)
        frame = cast("pl.DataFrame", pl.from_arrow(table))
        texts = frame.select(as_text(column, dtype) for column, dtype in frame.schema.items())
    except MemoryError:
        raise
    except (pa.ArrowException, pl.exceptions.PolarsError, pl.exceptions.PanicException, OSError, ValueError) as error:
        problem = f"is cut off or damaged, no Parquet file, or of types that are not read: {error}"
        raise SourceError(SOURCE, name, None, problem) from error
    cells = [["" if cell is None else cell for cell in row] for row in texts.iter_rows()]
    roles = find_roles(frame.columns, name, cells[:SAMPLE_ROWS], given)
    return BarsFile(name, ".parquet", content, frame.columns, roles, cells, frame=frame, given=given)


def as_text(column: str, dtype: pl.DataType) -> pl.Expr:
    """A column as text; of one that is none of numbers, times or words a hash, by which rows can be told apart."""
    if dtype.is_nested() or isinstance(dtype, pl.Binary | pl.Duration | pl.Object):
        return pl.col(column).hash().cast(pl.String).alias(column)
    if isinstance(dtype, pl.Date):
        return _time_as_text(column, "days", 1, "%Y-%m-%d")
    if isinstance(dtype, pl.Datetime):
        pattern = "%Y-%m-%d %H:%M:%S%.f%:z" if dtype.time_zone else "%Y-%m-%d %H:%M:%S%.f"
        return _time_as_text(column, dtype.time_unit, _PER_DAY[dtype.time_unit], pattern)
    return pl.col(column).cast(pl.String, strict=False)


def _time_as_text(column: str, unit: str, per_day: int, pattern: str) -> pl.Expr:
    """Times as text; one before the year 1 or after 9999, which nobody writes, as its number of units."""
    number, time = pl.col(column).to_physical(), pl.col(column)
    first, end = (max(-(2**63), min(days * per_day, 2**63 - 1)) for days in _DAYS)
    is_told = number.is_between(first, end)
    other = pl.format(f"{{}} {unit} from 1970-01-01", number)
    # Polars computes both branches: the first one must not see what it cannot write.
    told = pl.when(is_told).then(time).dt.strftime(pattern)
    return pl.when(is_told).then(told).otherwise(other).alias(column)


def parse_bars(name: str, form: str, content: bytes, given: Given = NOTHING_GIVEN) -> BarsFile:
    """Bars from the bytes of a CSV file; one without a header is known by its first row, all times and numbers.

    Args:
        name: of the file, for messages.
        form: one of `FORMS` but `.parquet`.
        content: the bytes.
        given: what the file does not say itself.

    Raises:
        SourceError: as `read_bars_file`.
    """
    member, plain_bytes = "", content
    if form == ".zip":
        member, plain_bytes = only_member(name, content, SOURCE)
    elif form.endswith(".gz"):
        plain_bytes = unpacked(name, content, SOURCE)
    text = decoded(name, plain_bytes, SOURCE)
    tops = [line for line in text.lstrip("\ufeff").split("\n", 64)[:64] if line.strip()][: ABOVE_MAX + 1]
    if not tops:
        raise SourceError(SOURCE, name, None, "is empty (blank lines only); fetch it again")
    above = _lines_above(tops)
    delimiter = delimiter_of(tops[above])
    found = records(name, text, delimiter, SOURCE, ROWS_MAX + _HEAD_RECORDS)
    head = "".join(whole for whole, _ in found[: above + 1])
    header_text = found[above][1].strip("\r\n").lstrip("\ufeff")
    header = fields(header_text, delimiter) or [header_text]
    top = [fields(bare, delimiter) or [""] for _, bare in found[above : above + 3]]
    if (names := _names_without_header(header, member or name)) is not None:
        header, head = names, ""
    elif [cells[0] for cells in top[:2]] == ["Price", "Ticker"] and len(top) == 3 and top[2][0] in {"Date", "Datetime"}:
        header, head = _names_above_each_other(top), "".join(whole for whole, _ in found[: above + 3])
        found = found[above + 3 :]
    else:
        found = found[above + 1 :]
    _check_height(name, len(found))
    cells = [fields(bare, delimiter) for _, bare in found]
    rows = [[bare] if one is None else one for one, (_, bare) in zip(cells, found, strict=True)]
    roles = find_roles(header, name, rows, given)
    bars = BarsFile(name, form, content, header, roles, rows, head=head, delimiter=delimiter, member=member)
    bars.given, bars.lines = given, [whole for whole, _ in found]
    for row, one in enumerate(cells):
        if one == header:
            bars.torn[row] = Torn("second_header")
        elif one is None or len(one) < len(header) or any(cell.strip() for cell in one[len(header) :]):
            bars.torn[row] = Torn("torn_row")
    bars.has_decimal_comma = delimiter != "," and has_decimal_commas(
        bars.text(row, role) for role in NUMBERS if role in roles for row in range(bars.height) if row not in bars.torn
    )
    return bars


def _lines_above(tops: list[str]) -> int:
    """How many of a file's first lines stand above its header.

    Such a line has one cell (the address of the page that the file is from), names the separator for Excel, or is a
    comment behind `#`: but a header may begin with that too.
    """
    for at, (line, below) in enumerate(pairwise([*tops, ""])):
        is_comment = line.startswith("#") and below != "" and _cells(line) != _cells(below)
        is_comment = is_comment and "time" not in usual_roles(re.split(r"[,;\t|]", line), ["time"])
        if _cells(line) > 1 and not is_comment and not _SEPARATOR.fullmatch(line.strip()):
            return at
    return 0


def _cells(line: str) -> int:
    return 1 + max(line.count(one) for one in DELIMITERS)


def _names_without_header(cells: list[str], name: str) -> list[str] | None:
    """Names of the columns of a file whose first row is one of bars already; `None` when it is a header."""
    times = 2 if len(cells) > 1 and ":" in cells[1] else 1
    names = WITHOUT_HEADER.get(len(cells) - times + 1)
    if names is None or not any(cell[:1].isdigit() for cell in cells[times:]):
        return None
    if not all(read_number(cell) is not None or is_empty(cell) for cell in cells[times:]):
        return None
    text = " ".join(cells[:times])
    orders = (Given(first="day"), Given(first="month"))
    if all(read_times([text], order, name).is_null().any() for order in orders):
        return None
    return ["date", *names] if times == 2 else list(names)


def _names_above_each_other(top: list[list[str]]) -> list[str]:
    """Names of columns from a row of names, one of instruments and one of the index, as yfinance has them written."""
    names, tickers, index = top
    several_of_them = len(set(tickers[1:])) > 1
    beside = zip(names[1:], tickers[1:], strict=False)
    return [index[0], *(f"{ticker}:{name}" if several_of_them else name for name, ticker in beside)]

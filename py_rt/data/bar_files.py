"""A file of bars for computing on: columns by their usual names, times read, numbers in the engine's units.

Prices are whole numbers of 1e-8 where they are written so; one with more digits keeps them. Nothing is repaired:
`py_rt data clean` does that, and reads the same files. What features read beside prices and volume (`bid`, `buy_volume`
and the others of `flow_inputs`) is read from columns of those very names: a `<SPREAD>` in points is none of them.
"""

from __future__ import annotations

import gzip
import io
from dataclasses import dataclass, replace
from typing import TYPE_CHECKING

import numpy as np
import polars as pl

from py_rt.data.bar_columns import CLOCK, NOTHING_GIVEN, PRICES, SOURCE, Given, flow_inputs, plain
from py_rt.data.bar_numbers import is_empty, read_number
from py_rt.data.bar_times import ALLOWED, read_times
from py_rt.data.repair.bars_file import read_bars_file
from py_rt.data.repair.zones import says_offset
from py_rt.data.timestamps import NS_PER_DAY, NS_PER_SECOND
from py_rt.data.whole_files import write_whole
from py_rt.errors import SourceError

if TYPE_CHECKING:
    from pathlib import Path

    from numpy.typing import NDArray

    from py_rt.data.repair.bars_file import BarsFile

UNITS = 1e8
"""Units of a price or quantity of one."""

CLOSE = "ts_close"
"""Name of the column that says when bars closed, where no length does."""

LARGEST = 1e290
"""Largest number that is taken: in units of 1e-8 it is one still, and so is its square's root."""

_WEEK_NS = 7 * NS_PER_DAY
_MONDAY_NS = 4 * NS_PER_DAY
"""The epoch was a Thursday: the first Monday after it."""

_ROUNDED = 4.0
"""Units of the last place within which a number of units is taken for the whole number beside it."""


@dataclass(frozen=True, slots=True)
class BarFile:
    """Bars of one instrument.

    Attributes:
        time: the column of times as it stands in the file, with its name there.
        bars: inputs of features (Float64, prices and quantities in units of 1e-8; those that the file has), `number`
            (the time in spans, as the service counts bars; of bars of events the row) and `ts_open`.
            `FeatureFrame.compute` takes bars over gaps for following each other.
        ts_open: UTC ns.
        ts_close: UTC ns; of the file's column of that name, else `span_ns` behind the open.
        span_ns: the most frequent distance of two bars.
        is_of_events: whether the file says closes, and its bars differ in length: no clock closes them.
        is_newest_first: whether the file's rows stand so; `bars` and `ts_open` rise in time.
    """

    time: pl.Series
    bars: pl.DataFrame
    ts_open: pl.Series
    ts_close: pl.Series
    span_ns: int
    is_of_events: bool
    is_newest_first: bool

    def in_file_order(self, frame: pl.DataFrame) -> pl.DataFrame:
        """Rows that stand as `bars` do, as the file's stand."""
        return frame.reverse() if self.is_newest_first else frame


def read_bar_file(path: Path, given: Given = NOTHING_GIVEN) -> BarFile:
    """Read bars from CSV (plain, gzipped or in a zip archive) or Parquet; only the times must be there.

    Args:
        path: of the file.
        given: what the file does not say itself.

    Raises:
        SourceError: there is no column of times, or a row has no readable time or number, or is not behind the one
            above it.
    """
    file = read_bars_file(path, given)
    _check_rows(file)
    _check_kinds(file)
    time = pl.Series(file.header[file.roles["time"]], [file.text(row, "time") for row in range(file.height)])
    ts_open = read_times(time, given, file.member or file.name, file.line_of(0))
    _check_read(file, time, ts_open)
    _check_zones(file, time)
    is_newest_first = ts_open.len() > 1 and bool((ts_open.diff().drop_nulls() < 0).all())
    if is_newest_first:
        ts_open = ts_open.reverse()
    else:
        _check_rising(file, time, ts_open)
    of_one = dict.fromkeys((*PRICES, "volume"), UNITS) | _flow_roles(file)
    columns = {role: units(_numbers(file, role), one) for role, one in of_one.items() if role in file.roles}
    span = _span(ts_open)
    step = -1 if is_newest_first else 1
    closes = _closes(file, given)
    is_of_events = closes is not None and _have_no_length(closes[::step] - ts_open)
    ts_close = (closes[::step] if closes is not None and is_of_events else ts_open + span).alias(CLOSE)
    bars = pl.DataFrame(
        {
            "ts_open": ts_open,
            "number": pl.int_range(ts_open.len(), eager=True) if is_of_events else ts_open // span,
            **{role: values[::step] for role, values in columns.items()},
            # NumPy divides as the engine does; Polars multiplies by the reciprocal, which has other last bits.
            "day_fraction": (ts_close % NS_PER_DAY).to_numpy() / NS_PER_DAY,
            "week_fraction": ((ts_close - _MONDAY_NS) % _WEEK_NS).to_numpy() / _WEEK_NS,
        }
    )
    return BarFile(time, bars, ts_open, ts_close, span, is_of_events, is_newest_first)


def with_reference(file: BarFile, reference: BarFile) -> BarFile:
    """The bars with those of a reference instrument beside them: `reference_open` and so on, of the same opening time.

    Where the reference has no bar, its columns are unknown (NaN): nothing is carried over from another time.

    Raises:
        SourceError: the reference's bars have another length: a longer one closes later, and would tell the future.
    """
    if reference.span_ns != file.span_ns:
        spans = f"{reference.span_ns / NS_PER_SECOND:g} s apart, the others {file.span_ns / NS_PER_SECOND:g} s"
        raise SourceError("reference", "bars", None, f"its bars stand {spans}; allowed are bars of one length")
    columns = [name for name in (*PRICES, "volume") if name in reference.bars.columns]
    other = reference.bars.select(pl.col(name).alias(f"reference_{name}") for name in columns)
    other = other.with_columns(reference.ts_open.alias("ts_open"))
    joined = file.bars.join(other, on="ts_open", how="left", maintain_order="left")
    filled = joined.with_columns(pl.col("^reference_.*$").fill_null(float("nan")))
    return replace(file, bars=filled)


def write_table(frame: pl.DataFrame, path: Path) -> None:
    """Write a table as CSV, gzipped CSV or Parquet, by its suffix: whole or not at all. NaN is an empty field of a CSV.

    Raises:
        SourceError: another suffix.
        DataError: a folder that cannot be written to.
    """
    packed = io.BytesIO()
    if path.name.endswith(".parquet"):
        frame.write_parquet(packed)
    elif path.name.endswith((".csv", ".csv.gz")):
        text = frame.with_columns(pl.col(pl.Float64).fill_nan(None)).write_csv().encode()
        # Without a time in the header the same table has the same bytes.
        packed.write(gzip.compress(text, mtime=0) if path.name.endswith(".gz") else text)
    else:
        raise SourceError("file", path.name, None, "must end with .csv, .csv.gz or .parquet")
    write_whole(path, packed.getvalue())


def units(values: NDArray[np.float64], of_one: float = UNITS) -> NDArray[np.float64]:
    """Numbers in units of 1e-8: whole where they are written with at most eight decimal places.

    The number beside such a one is another: where two highs tie decides what a movement is, here as in TA-Lib.

    Args:
        values: as people write them.
        of_one: units of a one, where it is another number.

    >>> units(np.array([0.1, 35.43986129760742, 0.1 + 0.2])).tolist()
    [10000000.0, 3543986129.760742, 30000000.000000004]
    """
    scaled = values * of_one
    whole = np.rint(scaled)
    return np.where(whole / of_one == values, whole, scaled)


def whole_units(scaled: NDArray[np.float64]) -> NDArray[np.float64]:
    """Numbers of units as the service takes them: the whole one where only rounding parts them from it.

    >>> whole_units(units(np.array([0.1 + 0.2, 0.123456789]))).tolist()
    [30000000.0, 12345678.9]
    """
    whole = np.rint(scaled)
    is_whole = np.abs(scaled - whole) <= _ROUNDED * np.spacing(np.abs(scaled))
    return np.where(is_whole, whole, scaled)


def _flow_roles(file: BarsFile) -> dict[str, float]:
    """Units of one of the columns that features read beside prices and volume; their places become roles of the file.

    Raises:
        SourceError: one stands twice.
    """
    for name in flow_inputs():
        if name in file.roles or name not in file.header or file.header.index(name) in file.roles.values():
            continue
        if file.header.count(name) > 1:
            raise SourceError(SOURCE, file.name, 1, f"the header names {name!r} twice")
        file.roles[name] = file.header.index(name)
    return dict(flow_inputs())


def _closes(file: BarsFile, given: Given) -> pl.Series | None:
    """The times in the column `ts_close`, as rows stand in the file.

    Raises:
        SourceError: one cannot be read.
    """
    places = [at for at, name in enumerate(file.header) if plain(name) == plain(CLOSE)]
    if len(places) != 1 or places[0] in file.roles.values():
        return None
    cells = [row[places[0]].strip() if places[0] < len(row) else "" for row in file.cells]
    text = pl.Series(file.header[places[0]], cells, dtype=pl.String)
    closes = read_times(text, given, file.member or file.name, file.line_of(0))
    if closes.is_null().any():
        at = int(closes.is_null().arg_max() or 0)
        problem = f"{text.name} {text[at]!r} cannot be read as a time; {ALLOWED}"
        raise SourceError(SOURCE, file.name, file.line_of(at), problem)
    return closes


def _have_no_length(spans: pl.Series) -> bool:
    """Whether bars last differently long, or no time at all: it is not the clock that closes them."""
    return spans.len() > 0 and (spans.n_unique() > 1 or int(spans[0]) <= 0)


def _check_rows(file: BarsFile) -> None:
    for row, torn in sorted(file.torn.items()):
        cells = len(file.cells[row])
        problem = f"has {cells} fields, the header has {len(file.header)}"
        if torn.reason == "second_header":
            problem = "is the header again: the file is doubled or joined; keep one part"
        elif torn.reason == "unclear_symbol":
            problem = f"names no instrument, or {file.given.symbol!r} in another case: {file.text(row, 'symbol')!r}"
        elif row == file.height - 1:
            problem += " and is the last: the file is cut off, fetch it again"
        raise SourceError(SOURCE, file.name, file.line_of(row), f"{problem}; `py_rt data clean` sets such rows aside")


def _check_kinds(file: BarsFile) -> None:
    """Refuse columns of a Parquet file that hold no numbers, times or words."""
    for role, place in file.roles.items():
        kind = pl.String() if file.frame is None else file.frame.dtypes[place]
        if kind.is_nested() or isinstance(kind, pl.Binary | pl.Duration | pl.Object):
            problem = f"its {role}, column {file.header[place]!r}, is of type {kind}"
            raise SourceError(SOURCE, file.name, None, f"{problem}; allowed are numbers, times and text")


def _check_read(file: BarsFile, time: pl.Series, ts_open: pl.Series) -> None:
    unread = ts_open.is_null()
    if not unread.any():
        return
    at = int(unread.arg_max() or 0)
    where = "" if CLOCK not in file.roles else f" (columns {time.name!r} and {file.header[file.roles[CLOCK]]!r})"
    problem = f"the time {time[at]!r}{where} cannot be read; {ALLOWED}"
    if unread.all():
        problem += "; is another column the time? Say --column time=NAME"
    raise SourceError(SOURCE, file.name, file.line_of(at), problem)


def _check_zones(file: BarsFile, time: pl.Series) -> None:
    """Refuse times of which some say an offset from UTC and others do not: the latter's zone is unknown."""
    says = says_offset(time).fill_null(value=False)
    if CLOCK in file.roles or not says.any() or says.all():
        return
    usual = 2 * int(says.sum()) > says.len()
    at = int((says != usual).arg_max() or 0)
    if usual:
        problem = (
            f"the time {time[at]!r} has no offset from UTC and most have one; `py_rt data clean` finds which is meant"
        )
    else:
        problem = f"the time {time[at]!r} has an offset from UTC and most have none; write all of them in one way"
    raise SourceError(SOURCE, file.name, file.line_of(at), problem)


def _check_rising(file: BarsFile, time: pl.Series, ts_open: pl.Series) -> None:
    steps = ts_open.diff()
    is_falling = 2 * int((steps < 0).sum()) > int((steps != 0).sum())
    behind = steps >= 0 if is_falling else steps <= 0
    if not behind.any():
        return
    at = int(behind.fill_null(value=False).arg_max() or 0)
    problem = (
        f"the time {time[at]!r} is not {'before' if is_falling else 'after'} {time[at - 1]!r} above it"
        f"{', as in most rows' if is_falling else ''}; sort the rows, or let `py_rt data clean` find what is double"
    )
    if ts_open[at] == ts_open[at - 1]:
        problem += "; of an hour that clocks repeat in autumn, say the zone with --time-zone"
    raise SourceError(SOURCE, file.name, file.line_of(at), problem)


def _numbers(file: BarsFile, role: str) -> NDArray[np.float64]:
    text = pl.Series([file.number_text(row, role) for row in range(file.height)], dtype=pl.String)
    read = text.cast(pl.Float64, strict=False)
    numbers = np.array(read.fill_null(float("nan")).to_numpy(), dtype=np.float64)
    others = np.flatnonzero(read.is_null().to_numpy())
    for at, word in zip(others.tolist(), text.gather(others).to_list(), strict=True):
        if is_empty(word):
            continue
        if (number := read_number(word)) is None:
            raise _no_number(file, role, at)
        numbers[at] = number
    is_wrong = np.isinf(numbers) | (np.abs(numbers) > LARGEST)
    if is_wrong.any():
        raise _no_number(file, role, int(is_wrong.argmax()))
    return numbers


def _no_number(file: BarsFile, role: str, row: int) -> SourceError:
    problem = (
        f"{file.header[file.roles[role]]} is {file.text(row, role)!r}; allowed are finite numbers below {LARGEST:g}, "
        "and nothing where one is missing"
    )
    return SourceError(SOURCE, file.name, file.line_of(row), problem)


def _span(ts_open: pl.Series) -> int:
    steps = ts_open.diff().drop_nulls()
    return int(steps.mode().min()) if steps.len() else NS_PER_DAY  # type: ignore[arg-type]

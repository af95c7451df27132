"""Real daily series inside installed packages: no network, no key, and the gaps that real data has.

==============  ========================================================================================================
stocks          `bokeh_sampledata`: AAPL, IBM, MSFT from 2000-03-01, GOOG from 2004-08-19, FB from 2012-05-18, all to
                2013-03-01; as traded (not adjusted), with the adjusted close beside it
indices         `arch`: SP500 and NASDAQ 1999..2018, VIX 2014..2019 (a close only, absent on some days)
==============  ========================================================================================================

Each file is held to the SHA-256 in the installer's own record.
"""

from __future__ import annotations

import base64
import csv
import gzip
import hashlib
import io
from dataclasses import dataclass
from datetime import date, datetime
from importlib.metadata import PackageNotFoundError, files
from pathlib import Path
from typing import TYPE_CHECKING

from py_rt.data.ingestion.columns import Mapped, read_columns
from py_rt.data.ingestion.source import Expected, Known, Payload, SourceTable
from py_rt.errors import SourceError

if TYPE_CHECKING:
    from collections.abc import Iterator, Mapping, Sequence

    import polars as pl


@dataclass(frozen=True, slots=True)
class _Series:
    """Where a symbol's rows lie.

    Attributes:
        package: distribution.
        file: in it.
        ticker: value of the column `Ticker`, where one file has several.
        close: name of the column with the close.
    """

    package: str
    file: str
    ticker: str = ""
    close: str = "Close"


_STOCKS_FILE = "bokeh_sampledata/_data/stocks.csv.gz"
STOCKS: Mapping[str, _Series] = {
    ticker: _Series("bokeh_sampledata", _STOCKS_FILE, ticker) for ticker in ("AAPL", "FB", "GOOG", "IBM", "MSFT")
}
INDICES: Mapping[str, _Series] = {
    "SP500": _Series("arch", "arch/data/sp500/sp500.csv.gz"),
    "NASDAQ": _Series("arch", "arch/data/nasdaq/nasdaq.csv.gz"),
    "VIX": _Series("arch", "arch/data/vix/vix.csv.gz", close="vix"),
}

_ABSENT = "."
"""How a day without a value is written in the file of VIX."""

_DECIMALS = ("open", "high", "low", "close")
_MAPPED = (
    Mapped("symbol", "symbol", "text", "the instrument"),
    Mapped("day", "day", "date", "trading day"),
    *(Mapped(name, name, "decimal", f"{name} price", nullable=True) for name in _DECIMALS),
    Mapped("adj_close", "adj_close", "number", "close adjusted for splits and dividends", nullable=True),
    Mapped("volume", "volume", "number", "traded shares", nullable=True),
)


@dataclass(frozen=True)
class BundledSeries:
    """Daily series of installed packages, cut by symbol.

    >>> sorted(stocks().partitions())
    ['AAPL', 'FB', 'GOOG', 'IBM', 'MSFT']
    """

    table: SourceTable
    series: Mapping[str, _Series]

    def partitions(self) -> Sequence[str]:
        """The symbols."""
        return tuple(self.series)

    def fetch(self, partition: str, after: str | None = None) -> Iterator[Payload]:  # noqa: ARG002  # cut by keys
        """The file of a symbol, as it is installed.

        Raises:
            SourceError: there is no such symbol, the package is not installed, or the file is another one.
        """
        series = self._series(partition)
        content = installed_file(self.table.name, series.package, series.file)
        yield Payload(Path(series.file).name, content, origin=f"{series.package}:{series.file}")

    def rows(self, payload: Payload, partition: str) -> pl.DataFrame:
        """The symbol's rows.

        Raises:
            SourceError: a value is not of its type.
        """
        close = self._series(partition).close
        place = f"{partition}/{payload.name}"
        records = [
            {
                "symbol": partition,
                "day": line["Date"],
                "close": None if line[close] == _ABSENT else line[close],
                "adj_close": line.get("Adj Close"),
                **{name.lower(): line.get(name) for name in ("Open", "High", "Low", "Volume")},
            }
            for _, line in self.lines(payload, partition)
        ]
        return read_columns(self.table.name, place, records, _MAPPED)

    def lines(self, payload: Payload, partition: str) -> list[tuple[int, dict[str, str]]]:
        """The symbol's rows as they stand in the file, each with its line; days are ISO.

        Raises:
            SourceError: there is no such symbol, or a day cannot be read.
        """
        series, place = self._series(partition), f"{partition}/{payload.name}"
        reader = csv.DictReader(io.StringIO(gzip.decompress(payload.content).decode("utf-8-sig"), newline=""))
        return [
            (reader.line_num, {**line, "Date": _iso(self.table.name, place, reader.line_num, line["Date"])})
            for line in reader
            if not series.ticker or line["Ticker"] == series.ticker
        ]

    def _series(self, partition: str) -> _Series:
        if partition not in self.series:
            raise SourceError(self.table.name, partition, None, f"is not bundled; there are {', '.join(self.series)}")
        return self.series[partition]


def stocks() -> BundledSeries:
    """Five US stocks, daily."""
    return _made("bundled_stocks", "Five US stocks, daily 2000-2013, as traded", STOCKS)


def indices() -> BundledSeries:
    """S&P 500, NASDAQ composite and VIX, daily."""
    return _made("bundled_indices", "S&P 500, NASDAQ and VIX, daily 1999-2019, with their missing values", INDICES)


def _made(name: str, doc: str, series: Mapping[str, _Series]) -> BundledSeries:
    table = SourceTable(
        name=name,
        doc=doc,
        columns=tuple(column.column() for column in _MAPPED),
        key=("symbol", "day"),
        partitioning="key",
        known=Known("day"),  # at its end, UTC: the New York session is over by then
        expected=Expected(rows_min=1),
        definition_sha256=hashlib.sha256(repr((series, _MAPPED)).encode()).hexdigest(),
    )
    return BundledSeries(table, series)


def installed_file(source: str, package: str, wanted: str) -> bytes:
    """A file of an installed package, held to the installer's record.

    Raises:
        SourceError: the package is not installed, records no such file, or the file is another one.
    """
    try:
        entry = next((entry for entry in files(package) or [] if str(entry) == wanted), None)
    except PackageNotFoundError as error:
        raise SourceError(source, package, None, "the package is not installed; install it with pip") from error
    if entry is None or entry.hash is None or entry.hash.mode != "sha256":
        problem = f"package {package} records no such file with a SHA-256; install it again"
        raise SourceError(source, wanted, None, problem)
    content = Path(str(entry.locate())).read_bytes()
    found = base64.urlsafe_b64encode(hashlib.sha256(content).digest()).decode().rstrip("=")
    if found != entry.hash.value.rstrip("="):
        raise SourceError(source, wanted, None, f"is not the file that {package} installed; install it again")
    return content


def _iso(source: str, place: str, row: int, text: str) -> str:
    """A day as it is written in either package: `2000-03-01`, `1/4/1999`."""
    for form in ("%Y-%m-%d", "%m/%d/%Y"):
        try:
            return datetime.strptime(text, form).date().isoformat()  # noqa: DTZ007  # a day has no zone
        except ValueError:
            continue
    raise SourceError(source, place, row, f"{text!r} is no day")


def listed_on(symbol: str) -> date:
    """The first day of a bundled stock: some were listed late.

    Raises:
        SourceError: it is not bundled.

    >>> listed_on("GOOG")
    datetime.date(2004, 8, 19)
    """
    source = stocks()
    (payload,) = source.fetch(symbol)
    first: date = source.rows(payload, symbol)["day"].min()  # type: ignore[assignment]
    return first

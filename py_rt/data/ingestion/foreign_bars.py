"""Market bars out of other systems' folders, offered as they stand: LEAN, freqtrade, and series bundled in packages."""

from __future__ import annotations

import hashlib
import json
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING

import polars as pl

from py_rt.data.ingestion import bundled, lean
from py_rt.data.ingestion.archives import file_of, packing_of
from py_rt.data.ingestion.market_data import OFFERED_SCHEMA, Naming, offered_rows, with_source_end
from py_rt.data.ingestion.raw_files import RawFile, read_raw_file
from py_rt.errors import SourceError

if TYPE_CHECKING:
    from collections.abc import Callable, Mapping

    from py_rt.data.ingestion.market_data import Source

_FREQTRADE_NAMES = ("date", "open", "high", "low", "close", "volume")
_FREQTRADE_ENDINGS = (".json", ".json.gz", ".feather", ".parquet")
MAX_FILES = 10_000
"""Most files in one folder; more is taken for a mistaken path."""


@dataclass(frozen=True, slots=True)
class LeanBars:
    """One instrument of a LEAN folder.

    Attributes:
        folder: of the data.
        symbol: the ticker.
        resolution: of the traded bars: minute, second, hour or daily.
        time_zone: of the times; empty is the market's own.
    """

    folder: str
    symbol: str
    resolution: str = "minute"
    time_zone: str = ""

    name = "lean"

    def __post_init__(self) -> None:
        if self.resolution not in lean.RESOLUTIONS[:-1]:
            allowed = ", ".join(lean.RESOLUTIONS[:-1])
            raise SourceError(self.name, "resolution", None, f"is {self.resolution!r}; allowed are {allowed}")

    def bars(self) -> pl.DataFrame:
        """The trade bars of the resolution, day by day.

        Raises:
            SourceError: there are none, or a file cannot be taken.
        """
        return self._offer(self.resolution)

    def daily_bars(self) -> pl.DataFrame:
        """The daily trade bars; without any, a frame without rows."""
        there = [file for file in lean.find(self._folder(), self.name) if self._is_mine(file, "daily")]
        return self._offer("daily") if there else pl.DataFrame(schema=OFFERED_SCHEMA)

    def _folder(self) -> Path:
        return Path(self.folder).expanduser()

    def _is_mine(self, file: lean.LeanFile, resolution: str) -> bool:
        return file.resolution == resolution and file.of == "trade" and file.ticker == self.symbol.lower()

    def _offer(self, resolution: str) -> pl.DataFrame:
        files = lean.chosen(self._folder(), self.symbol, resolution, self.name)
        parts = []
        for file in files:
            rows = lean.read(file, self.name)
            columns = rows.drop("row_number").rename({"time": "datetime"})
            raw = RawFile(file.name, _sha256(file.path), columns, rows["row_number"].to_list())
            naming = Naming(self.name, None, "base", self.time_zone or file.time_zone)
            parts.append(offered_rows(raw, naming))
        return with_source_end(pl.concat(parts))


@dataclass(frozen=True, slots=True)
class FreqtradeBars:
    """One pair of a freqtrade data folder (`BTC_USDT-5m.feather`, `.json`, `.parquet`).

    Attributes:
        folder: of one exchange's data, such as `user_data/data/binance`.
        symbol: the pair, `BTC/USDT` or `BTC_USDT`.
        timeframe: of the traded bars, such as `15m`.
    """

    folder: str
    symbol: str
    timeframe: str = "15m"

    name = "freqtrade"

    def bars(self) -> pl.DataFrame:
        """The bars of the timeframe.

        Raises:
            SourceError: there is no such file, several, or one that cannot be taken.
        """
        return self._read(self._file(self.timeframe))

    def daily_bars(self) -> pl.DataFrame:
        """The daily bars; without any, a frame without rows."""
        found = self._files("1d")
        return self._read(self._file("1d")) if found else pl.DataFrame(schema=OFFERED_SCHEMA)

    def _files(self, timeframe: str) -> list[Path]:
        folder = Path(self.folder).expanduser()
        if not folder.is_dir():
            raise SourceError(self.name, str(folder), None, "is no folder; set the source's folder")
        pair = self.symbol.replace("/", "_").replace(":", "_")
        named = (f"{pair}-{timeframe}{ending}" for ending in _FREQTRADE_ENDINGS)
        futures = (f"{pair}-{timeframe}-futures{ending}" for ending in _FREQTRADE_ENDINGS)
        return [folder / name for name in (*named, *futures) if (folder / name).is_file()]

    def _file(self, timeframe: str) -> Path:
        found = self._files(timeframe)
        if len(found) != 1:
            folder = Path(self.folder).expanduser()
            there = sorted(path.name for path in folder.iterdir() if path.name.endswith(_FREQTRADE_ENDINGS))[:20]
            shown = ", ".join(path.name for path in found) or f"none of {', '.join(there) or 'nothing'}"
            problem = f"wanted is one file of {self.symbol} at {timeframe}, found {shown}"
            raise SourceError(self.name, str(folder), None, problem)
        return found[0]

    def _read(self, path: Path) -> pl.DataFrame:
        if path.name.endswith(".parquet"):
            raw = read_raw_file(self.name, path, path.name)
        else:
            content = path.read_bytes()
            columns = self._feather(path, content) if path.suffix == ".feather" else self._json(path, content)
            numbers = list(range(1, columns.height + 1))
            raw = RawFile(path.name, hashlib.sha256(content).hexdigest(), columns, numbers)
        return with_source_end(offered_rows(raw, Naming(self.name, self.symbol.replace("_", "/"), "base")))

    def _feather(self, path: Path, content: bytes) -> pl.DataFrame:
        try:
            frame = pl.read_ipc(content)
        except (pl.exceptions.PolarsError, OSError) as error:
            raise SourceError(self.name, path.name, None, f"is cut off or no Feather file: {error}") from error
        stamp = pl.selectors.datetime().dt.replace_time_zone(None).dt.strftime("%Y-%m-%d %H:%M:%S.%9f")
        return frame.with_columns(stamp).cast(pl.String)

    def _json(self, path: Path, content: bytes) -> pl.DataFrame:
        try:
            body = file_of(self.name, path.name, content, packing_of(path.name))
            rows = json.loads(body, parse_float=str, parse_int=str)
        except ValueError as error:
            raise SourceError(self.name, path.name, None, f"is cut off or no JSON: {error}") from error
        for number, row in enumerate(rows, 1):
            if not isinstance(row, list) or len(row) != len(_FREQTRADE_NAMES):
                wanted = ", ".join(_FREQTRADE_NAMES)
                raise SourceError(self.name, path.name, number, f"is {row!r}; wanted is a list of {wanted}")
        return pl.DataFrame(rows, schema=dict.fromkeys(_FREQTRADE_NAMES, pl.String), orient="row")


@dataclass(frozen=True, slots=True)
class BundledDaily:
    """Daily bars of a stock or an index inside of an installed package: as traded bars and as daily ones.

    Attributes:
        symbol: AAPL, FB, GOOG, IBM, MSFT, SP500 or NASDAQ.
    """

    symbol: str = "AAPL"

    name = "bundled_daily"

    def bars(self) -> pl.DataFrame:
        """The daily bars.

        Raises:
            SourceError: the symbol is not bundled, or has no open, high and low (VIX).
        """
        source = bundled.stocks() if self.symbol in bundled.STOCKS else bundled.indices()
        (payload,) = source.fetch(self.symbol)
        rows = source.lines(payload, self.symbol)
        sha256 = hashlib.sha256(payload.content).hexdigest()
        columns = pl.DataFrame([line for _, line in rows], schema_overrides={"Date": pl.String})
        raw = RawFile(payload.name, sha256, columns, [row for row, _ in rows])
        return with_source_end(offered_rows(raw, Naming(self.name, self.symbol, "base")))

    def daily_bars(self) -> pl.DataFrame:
        """The same."""
        return self.bars()


def _sha256(path: Path) -> str:
    return hashlib.sha256(path.read_bytes()).hexdigest()


FOREIGN: Mapping[str, Callable[..., Source]] = {
    "bundled_daily": BundledDaily,
    "lean": LeanBars,
    "freqtrade": FreqtradeBars,
}
"""Sources of market bars by name."""

"""Folders of LEAN, the engine of QuantConnect: zipped CSV without a header, one for a day or for all days; bars, ticks.

::

    equity/usa/minute/spy/20131004_trade.zip     ms since midnight, open, high, low, close, volume
    equity/usa/minute/spy/20131004_quote.zip     ms, bid open..close, bid size, ask open..close, ask size
    equity/usa/daily/spy.zip                     `20131004 00:00`, open, high, low, close, volume
    equity/usa/tick/spy/20131007_trade.zip       ms, price, size, exchange, condition, whether it is suspicious
    equity/usa/tick/ibm/20131007_quote.zip       ms, bid, bid size, ask, ask size, exchange, condition, suspicious
    crypto/coinbase/minute/btcusd/20180404_trade.zip

Prices of equities and options are stored times 10,000; those of crypto, forex, futures and CFDs as they are. Times are
wall times of the market's zone. A folder whose files were laid flat (`equity__usa__daily__spy.zip`) is read too.
Of a tick of quotes one side may be 0: only the other one changed. Ticks of crypto have no exchange and no condition,
those of forex and CFDs are a bid and an ask.
Source of the format: the README files of LEAN's `Data` folder, and `LeanData` of its code.
"""

from __future__ import annotations

import re
from dataclasses import dataclass
from datetime import UTC, date, datetime
from typing import TYPE_CHECKING, Literal

import polars as pl

from py_rt.data.fixed_point import read_units
from py_rt.data.ingestion.archives import file_of
from py_rt.data.ingestion.records import CsvForm, read_records
from py_rt.data.timestamps import NS_PER_DAY
from py_rt.errors import SourceError

if TYPE_CHECKING:
    from collections.abc import Iterator, Mapping
    from pathlib import Path

SCALED = frozenset({"equity", "option"})
"""Classes whose prices are stored times 10,000."""

SCALE_DIGITS = 4
RESOLUTIONS = ("daily", "hour", "minute", "second", "tick")
FILES_MAX = 200_000
"""Most files of one folder."""

_ZONES = {"equity": "America/New_York", "option": "America/New_York", "indexoption": "America/New_York"}
_TRADE = ("time", "open", "high", "low", "close", "volume")
_BID_ASK = tuple(f"{side}_{name}" for side in ("bid", "ask") for name in ("open", "high", "low", "close", "size"))
_QUOTE = ("time", *_BID_ASK)
_PRICES = frozenset({"open", "high", "low", "close", "price", "bid", "ask"})
_SIDES = ("bid", "bid_size", "ask", "ask_size")
_SUSPICIOUS = "suspicious"
_TICKS: Mapping[tuple[str, str], tuple[str, ...]] = {
    ("equity", "trade"): ("time", "price", "size", "exchange", "condition", _SUSPICIOUS),
    ("equity", "quote"): ("time", *_SIDES, "exchange", "condition", _SUSPICIOUS),
    ("crypto", "trade"): ("time", "price", "size", _SUSPICIOUS),
    ("crypto", "quote"): ("time", *_SIDES, _SUSPICIOUS),
    ("forex", "quote"): ("time", "bid", "ask"),
    ("cfd", "quote"): ("time", "bid", "ask"),
}
"""Fields of ticks, by class and what they are of; the last may be absent in files of crypto."""

_TWO_SIDED = frozenset({"forex", "cfd"})
"""Classes whose ticks are quotes, whatever the file is called."""

_PATH = re.compile(
    r"^(?P<kind>[a-z]+)/(?P<market>[a-z0-9]+)/(?P<resolution>daily|hour|minute|second|tick)/(?P<rest>[^/]+(?:/[^/]+)?)\.zip$"
)


@dataclass(frozen=True, slots=True)
class LeanFile:
    """What a path says.

    Attributes:
        path: of the file.
        name: relative to the folder, with `/`.
        kind: equity, crypto, forex, ...
        market: usa, coinbase, oanda, ...
        resolution: one of :data:`RESOLUTIONS`.
        ticker: lower case, as LEAN writes it.
        day: of an intraday file.
        of: trades or quotes.
    """

    path: Path
    name: str
    kind: str
    market: str
    resolution: str
    ticker: str
    day: date | None
    of: Literal["trade", "quote"]

    @property
    def time_zone(self) -> str:
        """Of the times in it."""
        return _ZONES.get(self.kind, "UTC")


def find(folder: Path, source: str = "lean") -> list[LeanFile]:
    """Every file of a LEAN folder that holds bars or ticks, by name.

    Raises:
        SourceError: there is no such folder, or it holds too many files.
    """
    if not folder.is_dir():
        raise SourceError(source, str(folder), None, "is no folder; set the source's folder")
    paths = sorted(folder.rglob("*.zip"))
    if len(paths) > FILES_MAX:
        raise SourceError(source, str(folder), None, f"holds {len(paths)} files, allowed are {FILES_MAX}")
    named = (parse_path(path, path.relative_to(folder).as_posix()) for path in paths)
    return [file for file in named if file is not None]


def parse_path(path: Path, name: str) -> LeanFile | None:
    """What a path says; `None` for one that is none of bars or ticks.

    >>> from pathlib import Path
    >>> parse_path(Path("x"), "equity/usa/minute/spy/20131004_quote.zip").day
    datetime.date(2013, 10, 4)
    >>> parse_path(Path("x"), "crypto__coinbase__daily__btcusd_trade.zip").ticker
    'btcusd'
    """
    found = _PATH.match(name.replace("__", "/").lower())
    if found is None:
        return None
    parts = found["rest"].split("/")
    stem = parts[-1]
    is_quote = re.search(r"_quote\b", stem) or (found["resolution"] == "tick" and found["kind"] in _TWO_SIDED)
    of: Literal["trade", "quote"] = "quote" if is_quote else "trade"
    bare = re.sub(r"_(trade|quote)$", "", stem)
    day = None
    if found["resolution"] in {"minute", "second", "tick"}:
        digits = re.match(r"^(\d{8})", bare)
        if digits is None or len(parts) < 2:
            return None
        try:
            day = datetime.strptime(digits[1], "%Y%m%d").replace(tzinfo=UTC).date()
        except ValueError:
            return None
    ticker = parts[0] if day is not None else bare
    return LeanFile(path, name, found["kind"], found["market"], found["resolution"], ticker, day, of)


def read(file: LeanFile, source: str = "lean") -> pl.DataFrame:
    """A file's rows as text, prices in their own unit.

    Args:
        file: which.
        source: for messages.

    Returns:
        `symbol`, `time` (`2013-10-04 09:31:00.000`, wall time of the market), then open, high, low, close, volume of
        trades, or bid_ and ask_ open, high, low, close, size of quotes; `row_number` from 1.

    Raises:
        SourceError: the archive is cut off or damaged, or a row is not of the form; file and row are named.
    """
    try:
        content = file.path.read_bytes()
    except OSError as error:
        raise SourceError(source, file.name, None, f"cannot be read: {error.strerror}") from error
    if not content:
        raise SourceError(source, file.name, None, "is empty (0 bytes); fetch it again")
    names = _TRADE if file.of == "trade" else _QUOTE
    frame = _text(file, file_of(source, file.name, content, "zip"), names, source)
    return frame.with_columns(
        pl.lit(file.ticker.upper()).alias("symbol"), _wall_time(file, frame, source), *_prices(file, frame, source)
    ).select("symbol", *names, "row_number")


def ticks(file: LeanFile, content: bytes, source: str = "lean") -> pl.DataFrame:
    """The ticks of a file as text, prices in their own unit.

    Args:
        file: which.
        content: the zip.
        source: for messages.

    Returns:
        `time` (wall time of the market, to the nanosecond), then price and size, or bid, bid_size, ask, ask_size (a
        side that did not change is absent), exchange, condition and suspicious (absent where the file has none);
        `row_number` from 1.

    Raises:
        SourceError: the archive is cut off or damaged, a row is not of the form, or nothing is known of such ticks.
    """
    names = _TICKS.get((file.kind, file.of))
    if names is None:
        known = ", ".join(f"{of}s of {kind}" for kind, of in _TICKS)
        raise SourceError(source, file.name, None, f"is {file.of}s of {file.kind}; ticks that are read are {known}")
    body = file_of(source, file.name, content, "zip")
    if file.kind == "crypto" and body.partition(b"\n")[0].count(b",") == len(names) - 2:
        names = names[:-1]
    frame = _text(file, body, names, source)
    frame = frame.with_columns(_tick_time(file, frame, source), *_prices(file, frame, source))
    changed = {side: pl.col(side).cast(pl.Float64, strict=False) != 0 for side in _SIDES[::2] if side in names}
    of_sides = [(side, name) for side in changed for name in (side, f"{side}_size") if name in names]
    frame = frame.with_columns(pl.when(changed[side]).then(name).alias(name) for side, name in of_sides)
    wanted = (*(_SIDES if file.of == "quote" else ()), "exchange", "condition", _SUSPICIOUS)
    return frame.with_columns(pl.lit(None, pl.String).alias(name) for name in wanted if name not in names)


def _text(file: LeanFile, body: bytes, names: tuple[str, ...], source: str) -> pl.DataFrame:
    form = CsvForm(header=names, header_absent="always")
    records = read_records(source, file.name, body, "csv", csv_form=form).values
    frame = pl.DataFrame(records, schema=dict.fromkeys(names, pl.String), orient="row")
    return frame.with_columns(pl.int_range(1, pl.len() + 1, dtype=pl.Int64).alias("row_number"))


def _tick_time(file: LeanFile, frame: pl.DataFrame, source: str) -> pl.Series:
    # Milliseconds since midnight, some with a fraction: units of 1e-8 ms are 1e-5 ns.
    units = read_units(frame["time"].str.strip_chars()).cast(pl.Int64, strict=False)
    ns = units // 100
    ns = ns.set(~ns.is_between(0, NS_PER_DAY, closed="left").fill_null(value=False), None)
    _refuse(ns.is_null(), frame["time"], file, source, "is no time of a LEAN file")
    midnight = pl.Series([file.day], dtype=pl.Date).cast(pl.Datetime("ns"))
    return (ns.cast(pl.Duration("ns")) + midnight).dt.strftime("%Y-%m-%d %H:%M:%S.%9f").alias("time")


def _wall_time(file: LeanFile, frame: pl.DataFrame, source: str) -> pl.Series:
    text = frame["time"].str.strip_chars()
    if file.day is None:
        stamp = text.str.to_datetime("%Y%m%d %H:%M", strict=False, time_unit="ms")
    else:
        ms = text.cast(pl.Int64, strict=False)
        ms = ms.set(~ms.is_between(0, 86_400_000).fill_null(value=False), None)
        midnight = datetime.combine(file.day, datetime.min.time())
        stamp = (ms.cast(pl.Duration("ms")) + pl.Series([midnight], dtype=pl.Datetime("ms"))).alias("time")
    _refuse(stamp.is_null(), frame["time"], file, source, "is no time of a LEAN file")
    return stamp.dt.strftime("%Y-%m-%d %H:%M:%S.%3f").alias("time")


def _prices(file: LeanFile, frame: pl.DataFrame, source: str) -> Iterator[pl.Series]:
    if file.kind not in SCALED:
        return
    for name in frame.columns:
        if name.rpartition("_")[2] not in _PRICES:
            continue
        text = frame[name].str.strip_chars()
        # A quote bar may lack one side.
        wrong = ~text.str.contains(r"^[0-9]{1,18}(\.0+)?$").fill_null(value=False) & (text != "")
        _refuse(wrong, frame[name], file, source, f"is no {name} in ten-thousandths")
        digits = text.str.split_exact(".", 1).struct[0].str.pad_start(SCALE_DIGITS + 1, "0")
        whole, below = digits.str.head(-SCALE_DIGITS), digits.str.tail(SCALE_DIGITS)
        price = (whole + "." + below).set(text == "", None)
        yield price.alias(name)


def _refuse(wrong: pl.Series, text: pl.Series, file: LeanFile, source: str, words: str) -> None:
    if wrong.any():
        at = int(wrong.arg_true()[0])
        raise SourceError(source, file.name, at + 1, f"{text[at]!r} {words}")


def chosen(folder: Path, ticker: str, resolution: str, source: str = "lean", of: str = "trade") -> list[LeanFile]:
    """The files of one instrument, in the order of their days.

    Args:
        folder: of LEAN data.
        ticker: as LEAN writes it; case does not matter.
        resolution: one of daily, hour, minute, second.
        source: for messages.
        of: trade or quote.

    Raises:
        SourceError: there are none, or they lie in several markets; what there is is named.
    """
    found = find(folder, source)
    picked = [f for f in found if f.resolution == resolution and f.of == of and f.ticker == ticker.lower()]
    if not picked:
        there = sorted({f"{f.ticker} ({f.resolution} {f.of})" for f in found})
        shown = ", ".join(there[:20]) or "nothing that is read"
        raise SourceError(source, str(folder), None, f"holds no {resolution} {of} bars of {ticker}; it holds {shown}")
    markets = sorted({f"{f.kind}/{f.market}" for f in picked})
    if len(markets) > 1:
        raise SourceError(source, str(folder), None, f"has {ticker} in {', '.join(markets)}; give the folder of one")
    return picked


def bars(folder: Path, ticker: str, resolution: str, source: str = "lean", of: str = "trade") -> pl.DataFrame:
    """All bars of one instrument as :func:`read` gives them, each with its `file`.

    Raises:
        SourceError: as :func:`chosen` and :func:`read`.
    """
    files = chosen(folder, ticker, resolution, source, of)
    joined: pl.DataFrame = pl.concat(read(f, source).with_columns(pl.lit(f.name).alias("file")) for f in files)
    return joined


def days_of(folder: Path, ticker: str, resolution: str = "minute") -> list[date]:
    """Days of one instrument that a folder has files of."""
    return sorted({f.day for f in find(folder) if f.ticker == ticker.lower() and f.resolution == resolution and f.day})

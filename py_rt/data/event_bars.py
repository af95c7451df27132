"""Bars of trades, by the clock or by what happened, and what happened within them; by the engine's code.

Trades and quotes come from CSV (plain or gzipped) or Parquet files, with columns by their usual names; a Parquet file
that says decimal digits of its columns (`py_rt.data.formats`) is read to the last digit.
"""

from __future__ import annotations

from dataclasses import dataclass, replace
from math import isfinite
from typing import TYPE_CHECKING

import numpy as np
import polars as pl
import py_rt_core

from py_rt.data.bar_columns import NAMES, NOTHING_GIVEN, Given, flow_inputs, plain
from py_rt.data.bar_times import ALLOWED, read_times
from py_rt.data.fixed_point import UNITS_PER_ONE, read_units
from py_rt.data.formats import PARQUET_ENDING, scales_of
from py_rt.data.ingestion.raw_files import read_raw_file
from py_rt.data.schemas import SCALE_DIGITS
from py_rt.data.timestamps import NS_PER_SECOND
from py_rt.errors import SourceError

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence
    from pathlib import Path

    from py_rt.data.ingestion.raw_files import RawFile

TIME = "time"
"""The rule of bars of one length; the others close by what happened."""

TRADES, QUOTES = "trades", "quotes"
BARS_AVERAGED = 20.0
"""Bars over which imbalance and run bars average sides, where nothing else is said."""

_TIMES = ("tsevent", "exchtime", "tradetime", "transacttime", *NAMES["time"])
_TRADE_NAMES: Mapping[str, tuple[str, ...]] = {
    "ts": _TIMES,
    "price": ("price", "px", "p", "tradeprice"),
    "quantity": ("quantity", "qty", "size", "amount", "volume", "q", "vol", "sz", "tradesize"),
    "side": ("side", "aggressor", "takerside", "aggressorside", "s"),
    "maker": ("isbuyermaker", "buyermaker", "m"),
    "kind": ("kind",),
}
_QUOTE_NAMES: Mapping[str, tuple[str, ...]] = {
    "ts": _TIMES,
    "bid": ("bid", "bidprice", "bestbid", "bidpx", "bestbidprice", "b"),
    "bid_quantity": ("bidquantity", "bidqty", "bidsize", "bidsz", "bestbidqty", "bidvolume", "bestbidquantity"),
    "ask": ("ask", "askprice", "bestask", "askpx", "bestaskprice", "offer", "a"),
    "ask_quantity": ("askquantity", "askqty", "asksize", "asksz", "bestaskqty", "askvolume", "bestaskquantity"),
    "bid_depth": ("biddepth",),
    "ask_depth": ("askdepth",),
}
_SIDES = {"buy": 1, "b": 1, "bought": 1, "1": 1, "+1": 1, "sell": -1, "s": -1, "sold": -1, "-1": -1}
_MAKERS = {"true": -1, "1": -1, "false": 1, "0": 1}
_DEPTHS = ("bid_depth", "ask_depth")
_PRICES = ("open", "high", "low", "close")
_NO_QUOTES = pl.DataFrame(
    schema=dict.fromkeys(("ts", "bid", "bid_quantity", "ask", "ask_quantity", *_DEPTHS), pl.Int64)
)


@dataclass(frozen=True, slots=True)
class Rule:
    """When a bar closes.

    Attributes:
        name: `time`; or `ticks`, `volume` or `dollars`, alone or with `_imbalance` or `_run`.
        size: seconds of `time`; trades, quantity or money; trades expected of a bar of an imbalance or run rule.
        averaged: bars over which imbalance and run rules average sides.
    """

    name: str
    size: float
    averaged: float = BARS_AVERAGED


def read_trades(path: Path, given: Given = NOTHING_GIVEN, *, by_tick_rule: bool = False) -> pl.DataFrame:
    """Trades of a file: `ts` (UTC ns), `price`, `quantity` (units of 1e-8), `side` (1: the buyer took, -1: the seller).

    Args:
        path: CSV, gzipped CSV or Parquet; of a file that has a column `kind` the rows of kind `trade`.
        given: the zone of times that say none, and names of columns.
        by_tick_rule: nobody wrote who took: the buyer did where the price rose, or last rose, before the trade.

    Raises:
        SourceError: a column is missing, or a row has no readable time, goes back in time, or has no positive price or
            quantity, or no side.
    """
    raw = read_raw_file(TRADES, path, path.name)
    places = _places(raw, _TRADE_NAMES, given, ("ts", "price", "quantity"))
    if "kind" in places:
        raw = _of_kind(raw, raw.columns[places["kind"]] == "trade")
    scales = _scales(path)
    made = [
        _times(raw, places["ts"], given),
        *(_units(raw, places[name], name, scales, least=1) for name in ("price", "quantity")),
    ]
    frame = pl.DataFrame(made)
    return frame.with_columns((_ticks(frame["price"]) if by_tick_rule else _sides(raw, places)).alias("side"))


def read_quotes(path: Path, given: Given = NOTHING_GIVEN) -> pl.DataFrame:
    """Best prices of a file.

    `ts`, `bid`, `bid_quantity`, `ask`, `ask_quantity`, `bid_depth` and `ask_depth`, in units of 1e-8. A side without a
    price makes the book unknown (0). Depths are 0 where the file has none.

    Raises:
        SourceError: a column is missing, or a row has no readable time, goes back in time, or has no number.
    """
    raw = read_raw_file(QUOTES, path, path.name)
    places = _places(raw, _QUOTE_NAMES, given, ("ts", "bid", "bid_quantity", "ask", "ask_quantity"))
    scales, ts = _scales(path), _times(raw, places["ts"], given)
    nothing = pl.repeat(0, ts.len(), dtype=pl.Int64, eager=True)
    numbers = [
        _units(raw, places[name], name, scales, least=0) if name in places else nothing.alias(name)
        for name in _QUOTE_NAMES
        if name != "ts"
    ]
    return pl.DataFrame([ts, *numbers])


def bars_of(trades: pl.DataFrame, rule: Rule, quotes: pl.DataFrame | None = None) -> pl.DataFrame:
    """Bars of trades, in the units in which people write; the one that is not closed is left out.

    Args:
        trades: from :func:`read_trades`.
        rule: when a bar closes.
        quotes: from :func:`read_quotes`, for bars of one length: what happened to the book stands beside the prices.

    Returns:
        `ts_open` (UTC ns, rising), `ts_close`, the prices, `volume`, `buy_volume`, `sell_volume`, `trades`. Bars of one
        length stand on the grid of their length and have all columns of :func:`flow_inputs` that the events tell; one
        without a trade has the close before it. Bars that close by events open at their first trade; of several that
        open at one instant each is set 1 ns behind the one before.

    Raises:
        SourceError: an unknown rule, a size that is none, or quotes beside another rule than `time`.
    """
    try:
        return _made(trades, rule, quotes)
    except py_rt_core.CoreError as error:
        raise SourceError(TRADES, "--rule", None, str(error)) from error


def _made(trades: pl.DataFrame, rule: Rule, quotes: pl.DataFrame | None) -> pl.DataFrame:
    if rule.name != TIME:
        if quotes is not None:
            problem = f"what happens to the book is known of bars of one length: leave them out, or say --rule {TIME}"
            raise SourceError(QUOTES, "--quotes", None, problem)
        return _written(_by_events(trades, rule.name, rule.size, rule.averaged))
    length = round(rule.size * NS_PER_SECOND) if isfinite(rule.size) else 0
    if length < 1:
        raise SourceError(TRADES, "--size", None, f"bars of {rule.size} s; allowed are lengths of 1e-9 s and more")
    return _written(_by_the_clock(trades, length, quotes))


def _by_events(trades: pl.DataFrame, name: str, size: float, averaged: float) -> pl.DataFrame:
    bars = pl.DataFrame(dict(py_rt_core.event_bars(trades, name, size, averaged)))
    return bars.with_columns((pl.col("volume") - pl.col("buy_volume")).alias("sell_volume"))


def _by_the_clock(trades: pl.DataFrame, length: int, quotes: pl.DataFrame | None) -> pl.DataFrame:
    made = pl.DataFrame(dict(py_rt_core.event_bars(trades, TIME, float(length), BARS_AVERAGED)))
    of_trades = made.select((pl.col("ts_open") // length).alias("number"), *_PRICES, "volume")
    numbers, columns = py_rt_core.flow_columns(_NO_QUOTES if quotes is None else quotes, trades, length)
    flow = pl.DataFrame([pl.Series("number", numbers), *(pl.Series(name, values) for name, values in columns)])
    if quotes is None:
        names = list(flow_inputs())
        flow = flow.drop(names[: names.index("quote_updates") + 1])
    elif not quotes.select(pl.any_horizontal(pl.col(_DEPTHS) > 0).any()).item():
        flow = flow.drop(_DEPTHS)
    bars = flow.join(of_trades, on="number", how="left", maintain_order="left")
    known = pl.col("close").forward_fill()
    bars = bars.with_columns(*(pl.col(name).fill_null(known) for name in _PRICES), pl.col("volume").fill_null(0))
    ts_open = (pl.col("number") * length).alias("ts_open")
    return bars.filter(pl.col("close").is_not_null()).select(
        ts_open, (ts_open + length).alias("ts_close"), *_PRICES, "volume", *flow.drop("number").columns
    )


def _written(bars: pl.DataFrame) -> pl.DataFrame:
    of_one = dict.fromkeys((*_PRICES, "volume"), float(UNITS_PER_ONE)) | dict(flow_inputs())
    numbers = [name for name in bars.columns if of_one.get(name, 1.0) != 1.0]
    # NumPy divides as readers multiply; Polars multiplies by the reciprocal, which has other last bits.
    return bars.with_columns(
        pl.Series(name, bars[name].cast(pl.Float64).to_numpy() / of_one[name], dtype=pl.Float64) for name in numbers
    )


def _places(raw: RawFile, names: Mapping[str, tuple[str, ...]], given: Given, needed: Sequence[str]) -> dict[str, str]:
    """Role to name of its column."""
    plains = {plain(name): name for name in reversed(raw.columns.columns)}
    found = {role: next((plains[one] for one in usual if one in plains), "") for role, usual in names.items()}
    for role, name in given.columns.items():
        if role not in names:
            raise SourceError("events", raw.name, None, f"column {role}: no such role; there are {', '.join(names)}")
        if name not in raw.columns.columns:
            there = ", ".join(raw.columns.columns)
            raise SourceError("events", raw.name, 1, f"has no column {name!r}; it has {there}")
        found[role] = name
    if absent := [role for role in needed if not found[role]]:
        role = absent[0]
        problem = (
            f"has no column for {role}: usual names are {', '.join(names[role][:6])} (case, spaces and punctuation do "
            f"not matter); it has {', '.join(raw.columns.columns[:30])}. Say which with ROLE=NAME"
        )
        raise SourceError("events", raw.name, 1, problem)
    return {role: name for role, name in found.items() if name}


def _of_kind(raw: RawFile, kept: pl.Series) -> RawFile:
    if not kept.any():
        raise SourceError(TRADES, raw.name, None, "has no row of kind trade")
    rows = [number for number, is_kept in zip(raw.row_numbers, kept.fill_null(value=False), strict=True) if is_kept]
    return replace(raw, columns=raw.columns.filter(kept), row_numbers=rows)


def _times(raw: RawFile, column: str, given: Given) -> pl.Series:
    ts = read_times(raw.columns[column], given, raw.name, raw.row_numbers[0]).alias("ts")
    _refuse(raw, ts.is_null(), column, f"cannot be read as a time; {ALLOWED}")
    _refuse(raw, (ts.diff() < 0).fill_null(value=False), column, "is before the time above it; sort the rows")
    return ts


def _units(raw: RawFile, column: str, name: str, scales: Mapping[str, int], *, least: int) -> pl.Series:
    text = raw.columns[column].str.strip_chars()
    if column in scales:
        if scales[column] != SCALE_DIGITS:
            problem = f"{column} has {scales[column]} decimal digits; allowed are {SCALE_DIGITS}"
            raise SourceError("events", raw.name, None, problem)
        units = text.cast(pl.Int64, strict=False)
    else:
        units = read_units(text, "half_even").cast(pl.Int64, strict=False)
    if not least:  # nothing stands on that side
        units = units.zip_with(
            (text.fill_null("") != "") & (text != "NaN"), pl.repeat(0, text.len(), dtype=pl.Int64, eager=True)
        )
    wrong = units.is_null() | (units < least)
    _refuse(raw, wrong.fill_null(value=True), column, f"is no number of {'1e-8 or more' if least else '0 or more'}")
    return units.alias(name)


def _sides(raw: RawFile, places: Mapping[str, str]) -> pl.Series:
    role, words = ("side", _SIDES) if "side" in places else ("maker", _MAKERS)
    if role not in places:
        problem = (
            "has no column that says who took (side, aggressor, is_buyer_maker); it has "
            f"{', '.join(raw.columns.columns)}. Say --column side=NAME, or --tick-rule where nobody wrote it"
        )
        raise SourceError(TRADES, raw.name, 1, problem)
    said = raw.columns[places[role]].str.strip_chars().str.to_lowercase()
    side = said.replace_strict(words, default=None, return_dtype=pl.Int64)
    _refuse(raw, side.is_null(), places[role], f"says no side; allowed are {', '.join(words)}")
    return side


def _ticks(price: pl.Series) -> pl.Series:
    """The tick rule of Lee and Ready (1991): the sign of the last change of the price; before there is one, a buy."""
    signs = np.sign(np.diff(price.to_numpy(), prepend=price[:1].to_numpy()))
    side = pl.Series("side", signs, dtype=pl.Int64)
    return side.set(side == 0, None).forward_fill().fill_null(1)


def _scales(path: Path) -> dict[str, int]:
    return scales_of(path) if path.name.endswith(PARQUET_ENDING) else {}


def _refuse(raw: RawFile, wrong: pl.Series, column: str, problem: str) -> None:
    if wrong.any():
        at = int(wrong.arg_max() or 0)
        raise SourceError("events", raw.name, raw.row_numbers[at], f"{column} {raw.columns[column][at]!r} {problem}")

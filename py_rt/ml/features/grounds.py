"""Bars on which features are tried, with the columns that each family reads beside those of bars.

The day's own bars have what `config/known.toml` tells of them. What happens within bars is there where it was recorded
(`flow_bars`). A reference instrument, and one slow parameter, stand in series of installed packages: NASDAQ beside the
S&P 500, with the VIX. What none of them has is named, with the reason: untried is no verdict.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING

import numpy as np
import polars as pl

from py_rt.data.bar_columns import PRICES, flow_inputs
from py_rt.data.bar_files import UNITS, whole_units
from py_rt.data.ingestion.bundled import indices
from py_rt.data.point_in_time import as_of
from py_rt.data.schemas import FLOW_BARS
from py_rt.data.storage import exists, scan
from py_rt.data.timestamps import NS_PER_DAY
from py_rt.errors import PyRtError
from py_rt.ml.features.flow_tables import in_units, is_of
from py_rt.ml.features.known import MAX_AGE_DAYS, known_columns
from py_rt.ml.features.known_tables import slow_column
from py_rt.ml.features.technical import SlowColumn

if TYPE_CHECKING:
    from collections.abc import Mapping

    from py_rt.data.storage import Lake
    from py_rt.ml.features.known_tables import KnownColumn

TRIED_BARS = 3_000
"""Newest bars of each ground that features are tried on; those that are warm later are told as untried."""

NO_BARS = "there are no bars"

MARKET, REFERENCE, VOLATILITY = "NASDAQ", "SP500", "VIX"
"""Bundled series: bars, those of a reference instrument, and the slow parameter `volatility_index`."""

_WEEK_NS = 7 * NS_PER_DAY
_MONDAY_NS = 4 * NS_PER_DAY


@dataclass(frozen=True)
class Ground:
    """Bars that features are tried on.

    Attributes:
        name: where they come from.
        inputs: the columns that expressions read, oldest bar first.
    """

    name: str
    inputs: pl.DataFrame


@dataclass(frozen=True)
class Grounds:
    """All of them.

    Attributes:
        every: the day's own bars first.
        absent: why a column stands in none of them.
    """

    every: tuple[Ground, ...]
    absent: Mapping[str, str]

    def of(self, columns: set[str]) -> Ground | None:
        """The first that has some columns."""
        return next((ground for ground in self.every if columns <= set(ground.inputs.columns)), None)

    def why(self, columns: set[str]) -> str:
        """Why none has them."""
        absent = sorted(columns & self.absent.keys())
        return self.absent[absent[0]] if absent else "no bars have all the columns that it reads together"


def grounds(bars: pl.DataFrame, lake: Lake | None, known: Mapping[str, KnownColumn]) -> Grounds:
    """Every ground that there is.

    Args:
        bars: rows of `clean_bars`, of one instrument in order of time.
        lake: of the tables; without it nothing stands beside the bars.
        known: where slow parameters stand.
    """
    absent = dict.fromkeys(flow_inputs(), f"nothing was recorded: {FLOW_BARS.name} has no bars of this instrument")
    absent |= {f"reference_{name}": "the bundled reference cannot be read" for name in (*PRICES, "volume")}
    absent |= {name: f"no [{name}] in config/known.toml" for name in known_columns()}
    if bars.is_empty():
        return Grounds((Ground("clean_bars", as_inputs(bars)),), dict.fromkeys(absent, NO_BARS))
    told, why = _told(bars, lake, known)
    made = [Ground("clean_bars", as_inputs(bars).hstack(told))]
    if (recorded := _recorded(bars, lake)) is not None:
        made.append(Ground(FLOW_BARS.name, recorded))
    try:
        made.append(Ground(f"{MARKET} beside {REFERENCE}", _bundled()))
    except PyRtError as error:
        absent |= {name: str(error) for name in absent if name.startswith("reference_")}
    there = {name for ground in made for name in ground.inputs.columns}
    return Grounds(tuple(made), {name: reason for name, reason in {**absent, **why}.items() if name not in there})


def as_inputs(bars: pl.DataFrame) -> pl.DataFrame:
    """Rows of `clean_bars` as the columns that expressions read; a hole in the grid is one in the numbers."""
    span = int(bars["ts_close"][0] - bars["ts_open"][0]) if bars.height else 1
    closes = bars["ts_close"]
    return bars.select(pl.col("open", "high", "low", "close", "volume").cast(pl.Float64)).with_columns(
        (bars["ts_open"] // span).alias("number"),
        # NumPy divides as the engine does.
        pl.Series("day_fraction", (closes % NS_PER_DAY).to_numpy() / NS_PER_DAY),
        pl.Series("week_fraction", ((closes - _MONDAY_NS) % _WEEK_NS).to_numpy() / _WEEK_NS),
    )


def _told(
    bars: pl.DataFrame, lake: Lake | None, known: Mapping[str, KnownColumn]
) -> tuple[pl.DataFrame, dict[str, str]]:
    """What was known of the catalogue's slow parameters, and why of some nothing was."""
    columns, why = [], {}
    for name, unit in known_columns().items():
        if lake is None or name not in known:
            continue
        column = SlowColumn(name, unit, MAX_AGE_DAYS * NS_PER_DAY)
        span = int(bars["ts_close"][0] - bars["ts_open"][0])
        try:
            values, reason = slow_column(bars, column, known[name], lake, span)
        except PyRtError as error:
            values, reason = pl.Series(dtype=pl.Float64), str(error)
        if reason:
            why[name] = reason
        else:
            columns.append(values.alias(name))
    return pl.DataFrame(columns), why


def _recorded(bars: pl.DataFrame, lake: Lake | None) -> pl.DataFrame | None:
    """The newest recorded bars of the instrument: of the venue and the length of most of them."""
    if lake is None or not exists(uri := lake.table_uri(FLOW_BARS.name)):
        return None
    rows = (
        scan(uri)
        .filter(is_of(str(bars["instrument"][0])))
        .with_columns((pl.col("ts_close") - pl.col("ts_open")).alias("span"))
    )
    kinds = rows.group_by("venue", "span").len().sort("len", "venue", "span").collect(engine="streaming")
    if kinds.is_empty():
        return None
    venue, span, _ = kinds.row(-1)
    ours = rows.filter((pl.col("venue") == venue) & (pl.col("span") == span)).sort("ts_open", "date").collect()
    newest = ours.unique("ts_open", keep="last", maintain_order=True).tail(TRIED_BARS)
    prices = [pl.Series(name, whole_units(newest[name].to_numpy() * UNITS)) for name in (*PRICES, "volume")]
    told = [name for name in flow_inputs() if name in newest.columns]
    flow = pl.DataFrame([in_units(name, newest[name]) for name in told])
    return as_inputs(newest.with_columns(prices)).hstack(flow)


def _bundled() -> pl.DataFrame:
    """Daily bars with those of a reference and the volatility index as it was known; a bar follows on a bar.

    Raises:
        SourceError: a package is not installed, or its file is another one.
    """
    source = indices()
    series = {}
    for symbol in (MARKET, REFERENCE, VOLATILITY):
        (payload,) = source.fetch(symbol)
        series[symbol] = source.rows(payload, symbol).sort("day")
    whole = series[MARKET].drop_nulls([*PRICES, "volume"])
    other = series[REFERENCE].select("day", pl.col(*PRICES, "volume").name.prefix("reference_"))
    joined = whole.join(other, on="day", how="left", maintain_order="left").tail(TRIED_BARS)
    close = (pl.col("day").cast(pl.Int32).cast(pl.Int64) + 1) * NS_PER_DAY
    timed = joined.with_columns((close - NS_PER_DAY).alias("ts_open"), close.alias("ts_close"), pl.lit(0).alias("who"))
    facts = series[VOLATILITY].drop_nulls("close").select(close.alias("ts_known"), "close", pl.lit(0).alias("who"))
    vix = as_of(timed.select("ts_close", "who"), facts, at="ts_close", by=["who"])["close"]
    reference = timed.select(pl.col("^reference_.*$").cast(pl.Float64).fill_null(float("nan")))
    made = as_inputs(timed).with_columns(pl.int_range(pl.len(), dtype=pl.Int64).alias("number"))
    known = pl.Series("volatility_index", vix.cast(pl.Float64).fill_null(np.nan).to_numpy() / UNITS)
    return made.hstack(reference).hstack([known])

"""What happened within bars, from tables of recorded bars: the columns of the family `flow`, as features read them.

The table `flow_bars` holds bars of one length, made of recorded trades and books by the engine's code. A bar that the
recorder did not hear from begin to end has no row there, and nothing is known of it.
"""

from __future__ import annotations

from datetime import UTC, datetime, timedelta
from typing import TYPE_CHECKING, cast

import polars as pl

from py_rt.data.bar_columns import flow_inputs
from py_rt.data.bar_files import whole_units
from py_rt.data.event_bars import TIME, Rule
from py_rt.data.recorded_bars import recorded_bars
from py_rt.data.schemas import FLOW_BARS
from py_rt.data.storage import DayWindow, exists, scan
from py_rt.data.timestamps import NS_PER_SECOND
from py_rt.ml.features.technical import BAR_COLUMNS

if TYPE_CHECKING:
    from collections.abc import Sequence

    from py_rt.data.storage import Lake
    from py_rt.ml.features.technical import FeatureSet


def flow_columns(features: FeatureSet) -> tuple[str, ...]:
    """The columns of the family `flow` that some features read."""
    slow = {column.name for column in features.slow}
    return tuple(name for name in features.columns[len(BAR_COLUMNS) :] if name not in slow)


def is_of(instrument: str) -> pl.Expr:
    """Whether a column `symbol` names an instrument: venues write it with and without a stroke.

    >>> pl.DataFrame({"symbol": ["BTC/USDT", "btcusdt", "ETHUSDT"]}).filter(is_of("BTCUSDT")).height
    2
    """
    plain = pl.col("symbol").str.to_uppercase().str.replace_all("[^A-Z0-9]", "")
    return plain == "".join(letter for letter in instrument.upper() if letter.isalnum())


def recorded_flow(trades: pl.LazyFrame, book: pl.LazyFrame, instrument: str, bar_ns: int) -> pl.DataFrame:
    """Rows of `flow_bars` for one instrument, made of what was recorded.

    Args:
        trades: rows of `raw_trades`.
        book: rows of `raw_book`.
        instrument: our name.
        bar_ns: length of a bar.
    """
    rule = Rule(TIME, bar_ns / NS_PER_SECOND)
    return recorded_bars(trades.filter(is_of(instrument)), rule, FLOW_BARS, book.filter(is_of(instrument)))


def stored_flow(lake: Lake, bars: pl.DataFrame) -> pl.DataFrame | None:
    """Rows of `flow_bars` that may tell of some bars; `None` where the lake has no such table."""
    uri = lake.table_uri(FLOW_BARS.name)
    if not exists(uri):
        return None
    if bars.is_empty():
        return FLOW_BARS.empty()
    opened = bars["ts_open"]
    ends = (cast("int", opened.min()), cast("int", opened.max()))
    first, last = (datetime.fromtimestamp(at // NS_PER_SECOND, UTC).date() for at in ends)
    # A bar is stored under the day on which it was received, which is its own or the next one.
    window = DayWindow(first, last + timedelta(days=2))
    return scan(uri, window).filter(is_of(str(bars["instrument"][0]))).collect()


def in_units(name: str, column: pl.Series) -> pl.Series:
    """A column of flow as features read it: units of 1e-8, whole ones to the last bit, NaN where nothing is known.

    >>> in_units("bid_quantity", pl.Series([29 / 1e8, None])).to_list(), 29 / 1e8 * 1e8
    ([29.0, nan], 28.999999999999996)
    """
    values = column.cast(pl.Float64).fill_null(float("nan")).to_numpy()
    return pl.Series(name, whole_units(values * flow_inputs()[name]), dtype=pl.Float64)


def flow_of_bars(
    bars: pl.DataFrame, recorded: pl.DataFrame, names: Sequence[str], bar_ns: int
) -> tuple[pl.DataFrame, str]:
    """Columns of flow for each bar.

    Args:
        bars: with `ts_open`.
        recorded: rows of `flow_bars` of one instrument.
        names: of the columns.
        bar_ns: length of a bar.

    Returns:
        The columns (Float64, units of 1e-8, NaN where nothing is known), a row for each bar; and why none of them has
        a value, empty where one has.
    """
    lengths = (recorded["ts_close"] - recorded["ts_open"]).unique().sort()
    ours = recorded.filter(pl.col("ts_close") - pl.col("ts_open") == bar_ns)
    venues = ours["venue"].unique().sort().to_list()
    if len(venues) > 1:
        ours = ours.clear()
    told = ours.sort("ts_open", "date").unique("ts_open", keep="last").select("ts_open", *names)
    joined = bars.select("ts_open").join(told, on="ts_open", how="left", maintain_order="left")
    columns = pl.DataFrame({name: in_units(name, joined[name]) for name in names})
    if len(venues) > 1:
        return columns, f"recorded at {', '.join(venues)}: record the venue that is traded alone"
    if ours.is_empty() and lengths.len():
        others = ", ".join(f"{length / NS_PER_SECOND:g}" for length in lengths)
        return columns, f"{FLOW_BARS.name} has bars of {others} s, these last {bar_ns / NS_PER_SECOND:g} s"
    nothing = columns.select(pl.all_horizontal(pl.all().is_nan()).all()).item() if columns.height else True
    return columns, "nothing was recorded of these bars from begin to end" if nothing else ""

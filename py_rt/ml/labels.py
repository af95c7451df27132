"""What a model is asked to predict.

A label belongs to the bar at whose close the decision is made and carries the time at which it becomes known,
``label_end_ts``. Validation purges by that time; a label without it cannot be used.

============================  =======================================================================================
`forward_return_labels`       sign of the return over a fixed number of bars
`triple_barrier_labels`       which of three comes first: a rise, a fall, or the end of patience
`meta_labels`                 whether a decision already made (a side) would have paid: to size it, or to leave it
`trend_scanning_labels`       sign of the straightest trend that begins at the bar
============================  =======================================================================================

All compare integers where they compare prices: no label depends on how a quotient rounds. All leave out the bars at the
end whose future is not complete, also those that are decided already: to keep only these would choose by the outcome.
Source: Lopez de Prado, "Advances in Financial Machine Learning" (2018), ch. 3; trend scanning: the same, "Machine
Learning for Asset Managers" (2020), ch. 5.
"""

from __future__ import annotations

import math
from typing import TYPE_CHECKING

import numpy as np
import polars as pl

from py_rt.errors import PyRtError

if TYPE_CHECKING:
    from numpy.typing import NDArray

LABEL_COLUMNS = ("label", "label_end_ts", "ret")

PPM = 1_000_000
"""Parts of one in which the width of a barrier is counted."""

MAX_WIDTH = 100.0
"""Widest barrier, as a ratio of the price."""

MAX_HORIZON_BARS = 10_000
"""Longest look ahead."""

MAX_T_VALUE = 1e9
"""What a perfect line gets; the quotient that stands there would be infinite."""

_NEVER = -1
_BLOCK_BARS = 65_536
"""Bars whose lines are in memory together."""


class LabelError(PyRtError):
    """Bars from which labels cannot be made."""


def forward_return_labels(bars: pl.DataFrame, *, horizon_bars: int, bar_ns: int) -> pl.DataFrame:
    """Sign of the return over the next ``horizon_bars`` bars, for every bar whose future is complete.

    Args:
        bars: one instrument, sorted, on a full grid: ``ts_close`` (Int64, UTC nanoseconds) and ``close`` (Int64,
            1e-8 quote units); further columns are kept.
        horizon_bars: h, at least 1.
        bar_ns: distance between two closes in nanoseconds.

    Returns:
        The bars without the last h, with ``label`` (Int8: 1 where ``close[t+h] > close[t]``, else 0),
        ``label_end_ts`` (Int64: ``ts_close[t+h]``) and ``ret`` (Float64: ``close[t+h] / close[t] - 1``). The label
        compares the integers, so it does not depend on how the quotient rounds.

    Raises:
        LabelError: a horizon below 1, a column missing, a gap in the grid, a price that is not above 0.

    >>> bars = pl.DataFrame({"ts_close": [10, 20, 30, 40], "close": [100, 101, 99, 103]})
    >>> forward_return_labels(bars, horizon_bars=2, bar_ns=10).select("label", "label_end_ts", "ret").rows()
    [(0, 30, -0.010000000000000009), (1, 40, 0.01980198019801982)]
    """
    if horizon_bars < 1:
        raise LabelError(f"horizon_bars is {horizon_bars}; allowed is at least 1")
    _check_columns(bars, "ts_close", "close")
    _check_grid(bars, bar_ns)
    future = pl.col("close").shift(-horizon_bars)
    return bars.with_columns(
        (future > pl.col("close")).cast(pl.Int8).alias("label"),
        pl.col("ts_close").shift(-horizon_bars).alias("label_end_ts"),
        (future.cast(pl.Float64) / pl.col("close").cast(pl.Float64) - 1.0).alias("ret"),
    ).head(max(0, bars.height - horizon_bars))


def triple_barrier_labels(
    bars: pl.DataFrame,
    *,
    upper: float | None,
    lower: float | None,
    horizon_bars: int,
    bar_ns: int,
    width: str | None = None,
) -> pl.DataFrame:
    """Which comes first within ``horizon_bars`` bars: a close ``upper`` above, a close ``lower`` below, or neither.

    Args:
        bars: as for :func:`forward_return_labels`.
        upper: distance of the upper barrier as a ratio of the close, above 0; `None` is no such barrier.
        lower: the same for the lower barrier; a price cannot fall by more than it is, so 1 and more is never touched.
        horizon_bars: h, from 1 to `MAX_HORIZON_BARS`.
        bar_ns: distance between two closes in nanoseconds.
        width: column by which both distances are multiplied, for example a volatility known at the bar's close; bars
            where it is null, NaN or not above 0 have no label and are left out. Distances are rounded to parts per
            million.

    Returns:
        The bars without the last h, with ``label`` (Int8: 1, -1 or 0), ``label_end_ts`` (Int64: close of the bar that
        touched, or of bar t+h) and ``ret`` (Float64: return until then).

    Raises:
        LabelError: as for :func:`forward_return_labels`; a distance out of range; no barrier at all.

    >>> closes = [100, 101, 103, 102, 99, 98, 101, 104]
    >>> bars = pl.DataFrame({"ts_close": range(8), "close": closes})
    >>> made = triple_barrier_labels(bars, upper=0.02, lower=0.02, horizon_bars=3, bar_ns=1)
    >>> made.select("label", "label_end_ts").rows()
    [(1, 2), (0, 4), (-1, 4), (-1, 4), (1, 6)]
    """
    _check_path(bars, horizon_bars, bar_ns)
    if upper is None and lower is None:
        raise LabelError("neither an upper nor a lower barrier is given; that is a forward return")
    rows, usable = _with_width(bars, width)
    up, down = _distance(upper, "upper", rows), _distance(lower, "lower", rows)
    return _touched(bars, up, down, horizon_bars).filter(usable.head(max(0, bars.height - horizon_bars)))


def meta_labels(
    bars: pl.DataFrame,
    *,
    side: str,
    take_profit: float | None,
    stop_loss: float | None,
    horizon_bars: int,
    bar_ns: int,
    width: str | None = None,
    cost: float = 0.0,
) -> pl.DataFrame:
    """Whether following a side would have paid, for every bar at which there was one.

    Args:
        bars: as for :func:`triple_barrier_labels`, with the column ``side``.
        side: column of the side taken at the bar's close: 1 buy, -1 sell, 0 or null nothing.
        take_profit: distance of the barrier on the side's own way; `None` is no such barrier.
        stop_loss: distance of the barrier against it; `None` is no such barrier.
        horizon_bars: h, from 1 to `MAX_HORIZON_BARS`.
        bar_ns: distance between two closes in nanoseconds.
        width: column by which both distances are multiplied.
        cost: what both trades cost together, as a ratio; a return that does not exceed it has not paid.

    Returns:
        The bars with a side, without the last h, with ``label`` (Int8: 1 it paid, 0 it did not), ``label_end_ts`` and
        ``ret`` (Float64: return of the side before costs).

    Raises:
        LabelError: as for :func:`triple_barrier_labels`; a side that is none of 1, -1, 0; a negative cost.

    >>> bars = pl.DataFrame({"ts_close": range(4), "close": [100, 97, 103, 100], "side": [-1, 0, -1, 1]})
    >>> made = meta_labels(bars, side="side", take_profit=0.02, stop_loss=0.02, horizon_bars=1, bar_ns=1)
    >>> made.select("ts_close", "label", "label_end_ts").rows()
    [(0, 1, 1), (2, 1, 3)]
    """
    _check_path(bars, horizon_bars, bar_ns)
    _check_columns(bars, side)
    if not math.isfinite(cost) or cost < 0:
        raise LabelError(f"cost is {cost}; allowed is a ratio of at least 0")
    sides = bars[side].cast(pl.Float64).fill_null(0.0)
    if not sides.is_in([-1.0, 0.0, 1.0]).all():
        raise LabelError(f"column {side} has values other than 1 (buy), -1 (sell), 0 and null")
    rows, usable = _with_width(bars, width)
    gain, loss = _distance(take_profit, "take_profit", rows), _distance(stop_loss, "stop_loss", rows)
    buys = (sides > 0).to_numpy()
    up, down = np.where(buys, gain, loss), np.where(buys, loss, gain)
    made = _touched(bars, up, down, horizon_bars)
    taken = sides.head(made.height)
    gained = made["ret"] * taken
    paid = made.with_columns((gained > cost).cast(pl.Int8).alias("label"), gained.alias("ret"))
    return paid.filter((taken != 0) & usable.head(made.height))


def trend_scanning_labels(
    bars: pl.DataFrame, *, min_horizon_bars: int, max_horizon_bars: int, bar_ns: int
) -> pl.DataFrame:
    """Sign of the straightest trend that begins at each bar.

    Through the closes of bars t to t+h a line is laid by least squares, for every h of the range; of these lines the
    one whose slope has the largest absolute t-value stands, of equal ones the longest.

    Args:
        bars: as for :func:`forward_return_labels`.
        min_horizon_bars: least h, at least 2: through two points there is always a line.
        max_horizon_bars: greatest h, at most `MAX_HORIZON_BARS`.
        bar_ns: distance between two closes in nanoseconds.

    Returns:
        The bars without the last ``max_horizon_bars``, with ``label`` (Int8: 1, -1, or 0 where nothing moved),
        ``trend_end_ts`` (Int64: close of the line's last bar), ``ret`` (Float64: return until then), ``t_value``
        (Float64, at most `MAX_T_VALUE` either way) and ``label_end_ts`` (Int64: close of bar t + max_horizon_bars,
        because all lines must be known to choose one; purging by the end of the trend would let the answer in).

    Raises:
        LabelError: as for :func:`forward_return_labels`; a range of horizons that is empty or out of bounds.

    >>> bars = pl.DataFrame({"ts_close": range(6), "close": [100, 102, 104, 106, 101, 99]})
    >>> made = trend_scanning_labels(bars, min_horizon_bars=2, max_horizon_bars=4, bar_ns=1)
    >>> made.select("label", "trend_end_ts", "label_end_ts").rows()
    [(1, 3, 4), (1, 3, 5)]
    """
    if not 2 <= min_horizon_bars <= max_horizon_bars:
        raise LabelError(f"horizons {min_horizon_bars} to {max_horizon_bars}; allowed is 2 <= least <= greatest")
    _check_path(bars, max_horizon_bars, bar_ns)
    count = max(0, bars.height - max_horizon_bars)
    close = bars["close"].to_numpy()
    best, ends = np.zeros(count), np.zeros(count, dtype=np.int64)
    for first in range(0, count, _BLOCK_BARS):
        block = slice(first, min(first + _BLOCK_BARS, count))
        for horizon in range(min_horizon_bars, max_horizon_bars + 1):
            values = _slope_t_values(close[first : block.stop + horizon], horizon)
            better = np.abs(values) >= np.abs(best[block])
            best[block][better], ends[block][better] = values[better], horizon
    return _labelled(bars, np.sign(best).astype(np.int8), np.arange(count) + ends).with_columns(
        pl.col("label_end_ts").alias("trend_end_ts"),
        bars["ts_close"].slice(max_horizon_bars).alias("label_end_ts"),
        pl.Series("t_value", best, dtype=pl.Float64),
    )


def _slope_t_values(close: NDArray[np.int64], horizon: int) -> NDArray[np.float64]:
    """T-values of the slopes through bars t to t+horizon, for every t that has them."""
    count = close.size - horizon
    # Differences of integers are exact: a price of 60,000 with 8 decimals is not in the sums. Column by column, because
    # a product of matrices rounds by how many rows it has, and a label must not know how many bars come later.
    columns = [(close[at : at + count] - close[:count]).astype(np.float64) for at in range(horizon + 1)]
    x = [at - horizon / 2 for at in range(horizon + 1)]
    mean = sum(columns, start=np.zeros(count)) / (horizon + 1)
    centered = [column - mean for column in columns]
    spread = math.fsum(at * at for at in x)
    slopes = sum((y * at for y, at in zip(centered, x, strict=True)), start=np.zeros(count)) / spread
    total, unexplained = np.zeros(count), np.zeros(count)
    for y, at in zip(centered, x, strict=True):
        total += y * y
        unexplained += (y - slopes * at) ** 2
    straight = unexplained <= total * (np.finfo(np.float64).eps * (horizon + 1)) ** 2
    error = np.sqrt(np.where(straight, 1.0, unexplained) / ((horizon - 1) * spread))
    values = np.where(straight, np.sign(slopes) * MAX_T_VALUE, slopes / error)
    t_values: NDArray[np.float64] = np.clip(np.where(total == 0, 0.0, values), -MAX_T_VALUE, MAX_T_VALUE)
    return t_values


def _touched(bars: pl.DataFrame, up: NDArray[np.int64], down: NDArray[np.int64], horizon_bars: int) -> pl.DataFrame:
    """Label bars by the barrier that is touched first; distances in parts per million, `_NEVER` for none."""
    count = max(0, bars.height - horizon_bars)
    close = bars["close"].to_numpy()
    highest, lowest = _barrier_prices(bars["close"], up, above=True), _barrier_prices(bars["close"], down, above=False)
    label, ends = np.zeros(count, dtype=np.int8), np.arange(count) + horizon_bars
    is_open = np.ones(count, dtype=bool)
    for ahead in range(1, horizon_bars + 1):
        later = close[ahead : ahead + count]
        risen = is_open & (later >= highest[:count])
        fallen = is_open & (later <= lowest[:count])
        label[risen], label[fallen] = 1, -1
        ends[risen | fallen] = np.flatnonzero(risen | fallen) + ahead
        is_open &= ~(risen | fallen)
        if not is_open.any():
            break
    return _labelled(bars, label, ends)


def _barrier_prices(close: pl.Series, ppm: NDArray[np.int64], *, above: bool) -> NDArray[np.int64]:
    """The least close that touches the barrier above, or the greatest that touches the one below."""
    price, distance = pl.col("close").cast(pl.Int128), pl.col("ppm").cast(pl.Int128)
    product = price * (PPM + distance) if above else price * (PPM - distance)
    # Upwards for the barrier above, downwards for the one below: an integer touches exactly where the fraction would.
    touching = (product + PPM - 1) // PPM if above else product // PPM
    bound = np.iinfo(np.int64).max if above else _NEVER
    never = (pl.col("ppm") == _NEVER) | (touching > np.iinfo(np.int64).max)
    prices = pl.when(never).then(pl.lit(bound, dtype=pl.Int128)).otherwise(touching).cast(pl.Int64)
    barrier: NDArray[np.int64] = pl.DataFrame({"close": close, "ppm": ppm}).select(prices).to_series().to_numpy()
    return barrier


def _labelled(bars: pl.DataFrame, label: NDArray[np.int8], ends: NDArray[np.int64]) -> pl.DataFrame:
    """The first bars with their labels, the time of their last bar and the return until then."""
    made = bars.head(label.size)
    last = pl.Series(ends, dtype=pl.Int64)
    then, now = bars["close"].gather(last).cast(pl.Float64), made["close"].cast(pl.Float64)
    return made.with_columns(
        pl.Series("label", label, dtype=pl.Int8),
        bars["ts_close"].gather(last).alias("label_end_ts"),
        (then / now - 1.0).alias("ret"),
    )


def _with_width(bars: pl.DataFrame, width: str | None) -> tuple[NDArray[np.float64], pl.Series]:
    """What the distances are multiplied by, and which bars have it."""
    if width is None:
        return np.ones(bars.height), pl.repeat(value=True, n=bars.height, eager=True)
    _check_columns(bars, width)
    values = bars[width].cast(pl.Float64)
    usable = (values.is_finite() & (values > 0)).fill_null(value=False)
    return values.zip_with(usable, pl.Series([1.0])).fill_null(1.0).to_numpy(), usable


def _distance(ratio: float | None, name: str, widths: NDArray[np.float64]) -> NDArray[np.int64]:
    """The distance of every bar's barrier in parts per million."""
    if ratio is None:
        return np.full(widths.size, _NEVER, dtype=np.int64)
    if not 0 < ratio <= MAX_WIDTH:
        raise LabelError(f"{name} is {ratio}; allowed is a ratio above 0 and at most {MAX_WIDTH:g}, or none")
    ppm: NDArray[np.int64] = np.clip(np.rint(np.minimum(ratio * widths, MAX_WIDTH) * PPM), 1, None).astype(np.int64)
    return ppm


def _check_path(bars: pl.DataFrame, horizon_bars: int, bar_ns: int) -> None:
    if not 1 <= horizon_bars <= MAX_HORIZON_BARS:
        raise LabelError(f"horizon_bars is {horizon_bars}; allowed is 1 to {MAX_HORIZON_BARS}")
    _check_columns(bars, "ts_close", "close")
    _check_grid(bars, bar_ns)


def _check_columns(bars: pl.DataFrame, *names: str) -> None:
    missing = set(names) - set(bars.columns)
    if missing:
        raise LabelError(f"bars lack the columns {sorted(missing)}; they have {bars.columns}")


def _check_grid(bars: pl.DataFrame, bar_ns: int) -> None:
    # Of other integers differences wrap: 99 - 100 of unsigned ones is a rise.
    if bars["close"].dtype != pl.Int64:
        raise LabelError(f"close is {bars['close'].dtype}; wanted Int64 in units of 1e-8 of the quote currency")
    if bars.select(pl.col("ts_close", "close").is_null().any()).row(0) != (False, False):
        raise LabelError("bars have nulls in ts_close or close")
    steps = bars.get_column("ts_close").diff().drop_nulls()
    wrong = (steps != bar_ns).arg_true()
    if wrong.len():
        position = int(wrong[0])
        raise LabelError(
            f"bars are not on a grid of {bar_ns} ns: step {steps[position]} after ts_close "
            f"{bars['ts_close'][position]}; labels need one instrument, sorted, with empty bars filled in"
        )
    if bars.height and not (bars.get_column("close") > 0).all():
        raise LabelError("bars have a close that is not above 0")

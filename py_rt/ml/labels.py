"""What a model is asked to predict.

A label belongs to the bar at whose close the decision is made and carries the time at which it becomes known,
``label_end_ts``. Validation purges by that time; a label without it cannot be used.
"""

from __future__ import annotations

import polars as pl

from py_rt.errors import PyRtError

LABEL_COLUMNS = ("label", "label_end_ts", "ret")


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
    missing = {"ts_close", "close"} - set(bars.columns)
    if missing:
        raise LabelError(f"bars lack the columns {sorted(missing)}; they have {bars.columns}")
    _check_grid(bars, bar_ns)
    future = pl.col("close").shift(-horizon_bars)
    return bars.with_columns(
        (future > pl.col("close")).cast(pl.Int8).alias("label"),
        pl.col("ts_close").shift(-horizon_bars).alias("label_end_ts"),
        (future.cast(pl.Float64) / pl.col("close").cast(pl.Float64) - 1.0).alias("ret"),
    ).head(max(0, bars.height - horizon_bars))


def _check_grid(bars: pl.DataFrame, bar_ns: int) -> None:
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

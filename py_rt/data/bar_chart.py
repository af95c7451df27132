"""A small picture of closes, with the rows that were kept out marked: for the page of an asset."""

from __future__ import annotations

import io
from typing import TYPE_CHECKING

import polars as pl

from py_rt.data.fixed_point import UNITS_PER_ONE, read_units
from py_rt.errors import DataError

if TYPE_CHECKING:
    import numpy as np
    from matplotlib.figure import Figure
    from numpy.typing import NDArray

MAX_PNG_BYTES = 60_000
"""Pictures lie in the event log's database, so they stay small."""

MAX_POINTS = 2_000
"""Closes drawn; of more, every n-th."""

_WIDTH_INCHES, _HEIGHT_INCHES = 7.0, 3.2
_DPI_STEPS = (80, 60, 40)


def closes_png(clean: pl.DataFrame, quarantined: pl.DataFrame) -> bytes:
    """Draw closes over time and the received closes of rows that were kept out.

    Args:
        clean: rows of `clean_bars`.
        quarantined: rows of `quarantined_bars`; those without a readable time or close are not drawn.

    Returns:
        A PNG of at most `MAX_PNG_BYTES`.

    Raises:
        DataError: the picture does not fit even at the lowest resolution.
    """
    from matplotlib.figure import Figure

    figure = Figure(figsize=(_WIDTH_INCHES, _HEIGHT_INCHES), layout="constrained")
    axes = figure.subplots()
    shown = clean.sort("ts_open").gather_every(max(1, -(-clean.height // MAX_POINTS)))
    axes.plot(_times(shown["ts_open"]), _ones(shown["close"]), linewidth=0.8, color="#1f5fa8", label="close")
    marks = quarantined.select("ts_open", read_units(quarantined["received_close"]).alias("close")).drop_nulls()
    if marks.height:
        label = f"kept out ({quarantined.height})"
        axes.plot(_times(marks["ts_open"]), _ones(marks["close"]), "x", color="#c0392b", markersize=4, label=label)
    axes.legend(loc="best", fontsize=8, frameon=False)
    axes.tick_params(labelsize=8)
    axes.grid(visible=True, linewidth=0.3)
    return small_png(figure, f"{clean.height} closes")


def small_png(figure: Figure, what: str) -> bytes:
    """The figure as a PNG of at most `MAX_PNG_BYTES`, the same bytes each time.

    Raises:
        DataError: it does not fit even at the lowest resolution.
    """
    for dpi in _DPI_STEPS:
        buffer = io.BytesIO()
        figure.savefig(buffer, format="png", dpi=dpi, metadata={"Software": None})
        if buffer.tell() <= MAX_PNG_BYTES:
            return buffer.getvalue()
    raise DataError(f"the picture of {what} is larger than {MAX_PNG_BYTES} bytes even at {_DPI_STEPS[-1]} dpi")


def _times(ts: pl.Series) -> NDArray[np.datetime64]:
    return ts.to_numpy().astype("datetime64[ns]")


def _ones(units: pl.Series) -> NDArray[np.float64]:
    # A picture has a few hundred pixels: the only place where a price becomes a float.
    ones: NDArray[np.float64] = (units.cast(pl.Float64) / UNITS_PER_ONE).to_numpy()
    return ones

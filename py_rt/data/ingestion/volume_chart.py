"""A small picture of how many rows each day has, with what is usual behind it."""

from __future__ import annotations

import io
from datetime import timedelta
from typing import TYPE_CHECKING

from py_rt.data.ingestion.expected import HISTORY_DAYS

if TYPE_CHECKING:
    from collections.abc import Mapping
    from datetime import date

    from py_rt.data.ingestion.expected import Volume

WIDTH_INCHES, HEIGHT_INCHES, DPI = 6.0, 1.8, 80


def volume_png(history: Mapping[date, int], day: date, found: Volume) -> bytes:
    """Draw the days up to one as a PNG; the same input gives the same bytes.

    Args:
        history: rows of each day.
        day: the last one drawn, in red where it is unusual.
        found: what is usual.
    """
    from matplotlib.backends.backend_agg import FigureCanvasAgg
    from matplotlib.figure import Figure

    days = [day - timedelta(days=number) for number in range(HISTORY_DAYS, -1, -1)]
    figure = Figure(figsize=(WIDTH_INCHES, HEIGHT_INCHES), dpi=DPI, layout="constrained")
    axes = figure.add_subplot()
    colors = ["tab:blue"] * HISTORY_DAYS + ["tab:red" if found.problem else "tab:green"]
    axes.bar([f"{day:%m-%d}" for day in days], [history.get(day, 0) for day in days], color=colors)
    if found.usual is not None:
        axes.axhspan(found.low, found.high, color="tab:gray", alpha=0.2)
    axes.set_ylabel("rows")
    axes.tick_params(axis="x", labelrotation=90, labelsize=6)
    FigureCanvasAgg(figure)
    picture = io.BytesIO()
    figure.savefig(picture, format="png", metadata={"Software": None})
    return picture.getvalue()

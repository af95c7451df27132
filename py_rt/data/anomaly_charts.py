"""Small pictures of what `py_rt.data.anomalies` found, for the page of an asset check."""

from __future__ import annotations

from typing import TYPE_CHECKING

import numpy as np

from py_rt.data.anomalies import EMPTY, MAX_Z, PSI_DRIFT, values_of
from py_rt.data.bar_chart import small_png

if TYPE_CHECKING:
    from collections.abc import Mapping
    from datetime import date

    import polars as pl
    from matplotlib.axes import Axes

MAX_DAYS, MAX_COLUMNS, MAX_BARS, MAX_HISTOGRAMS = 400, 40, 30, 3
"""What is drawn at most: days, columns of a schema, features, histograms; the newest and the worst stay."""

_BLUE, _RED, _GRAY = "#1f5fa8", "#c0392b", "#9aa5b1"
_WIDTH = 7.0


def volume_png(judged: pl.DataFrame, *, max_z: float = MAX_Z) -> bytes:
    """Draw rows per day, what was expected, and the anomalies.

    Args:
        judged: from `volume_anomalies`.
        max_z: bound that was judged by; the band shows it.
    """
    from matplotlib.figure import Figure

    shown = judged.tail(MAX_DAYS)
    figure = Figure(figsize=(_WIDTH, 3.0), layout="constrained")
    axes = figure.subplots()
    days = shown["date"].to_numpy()
    axes.plot(days, shown["rows"].to_numpy(), linewidth=0.9, color=_BLUE, label="rows")
    known = shown.drop_nulls("z")
    middle, half = known["expected"].to_numpy(), max_z * known["scale"].to_numpy()
    low, high = np.maximum(0, middle - half), middle + half
    axes.fill_between(known["date"].to_numpy(), low, high, color=_GRAY, alpha=0.35, label="as usual", linewidth=0)
    odd = shown.filter("is_anomaly")
    axes.plot(odd["date"].to_numpy(), odd["rows"].to_numpy(), "x", color=_RED, label=f"anomaly ({odd.height})")
    axes.set_ylabel("rows per day", fontsize=8)
    _finish(axes)
    return small_png(figure, f"{shown.height} days")


def schema_png(days: Mapping[date, Mapping[str, str]]) -> bytes:
    """Draw which column was there on which day, and of what kind.

    Args:
        days: columns of each day: name and kind.
    """
    from matplotlib.colors import ListedColormap
    from matplotlib.figure import Figure

    shown = sorted(days)[-MAX_DAYS:]
    names = sorted({name for day in shown for name in days[day]})[:MAX_COLUMNS]
    kinds = sorted({kind for day in shown for kind in days[day].values()} - {EMPTY})
    codes = {kind: at + 2 for at, kind in enumerate(kinds)} | {EMPTY: 1}
    cells = np.array([[codes[days[day][name]] if name in days[day] else 0 for day in shown] for name in names])
    figure = Figure(figsize=(_WIDTH, 1.2 + 0.18 * len(names)), layout="constrained")
    axes = figure.subplots()
    palette = ["#ffffff", "#e3e6ea", _BLUE, "#2e8b57", "#b8860b", "#7d3c98", _RED, "#17a2b8"]
    colors = [palette[at % len(palette)] if at < 2 else palette[2 + (at - 2) % 6] for at in range(len(kinds) + 2)]
    if cells.size:
        axes.imshow(
            cells, aspect="auto", interpolation="nearest", cmap=ListedColormap(colors), vmin=0, vmax=len(kinds) + 1
        )
    axes.set_yticks(range(len(names)), names, fontsize=7)
    ticks = sorted({0, len(shown) - 1}) if shown else []
    axes.set_xticks(ticks, [str(shown[at]) for at in ticks], fontsize=7)
    for kind in kinds:
        axes.plot([], [], "s", color=colors[codes[kind]], label=kind)
    axes.plot([], [], "s", color=colors[1], label=EMPTY)
    axes.legend(loc="upper center", bbox_to_anchor=(0.5, -0.12), ncols=6, fontsize=7, frameon=False)
    return small_png(figure, f"{len(names)} columns")


def drift_png(drift: pl.DataFrame, reference: pl.DataFrame, current: pl.DataFrame) -> bytes:
    """Draw the stability index of the features that moved most, and the distributions of the first of them.

    Args:
        drift: from `feature_drift`.
        reference: rows of the past, as judged.
        current: rows that were judged.
    """
    from matplotlib.figure import Figure

    worst = drift.drop_nulls("psi").sort("psi", "feature", descending=[True, False]).head(MAX_BARS)
    figure = Figure(figsize=(_WIDTH, 4.6), layout="constrained")
    grid = figure.add_gridspec(2, MAX_HISTOGRAMS, height_ratios=(1.2, 1.0))
    axes = figure.add_subplot(grid[0, :])
    colors = [_RED if is_drift else _BLUE for is_drift in worst["is_drift"]]
    axes.bar(range(worst.height), worst["psi"].to_numpy(), color=colors)
    axes.axhline(PSI_DRIFT, color=_GRAY, linewidth=0.8)
    axes.set_xticks(range(worst.height), worst["feature"].to_list(), rotation=75, fontsize=5.5)
    axes.set_ylabel("stability index", fontsize=8)
    axes.tick_params(axis="y", labelsize=7)
    for at, name in enumerate(worst["feature"].head(MAX_HISTOGRAMS)):
        _histograms(figure.add_subplot(grid[1, at]), name, reference[name], current[name])
    return small_png(figure, f"{worst.height} features")


def scores_png(rows: pl.DataFrame, leave_below: float, enter_at: float) -> bytes:
    """Draw the scores of two sides over time, the thresholds, and where the sides decide otherwise.

    Args:
        rows: `ts_close`, `score_captured`, `score_training`, `decision_captured`, `decision_training`.
        leave_below: probability below which the strategy leaves.
        enter_at: probability at or above which it enters.
    """
    from matplotlib.figure import Figure

    figure = Figure(figsize=(_WIDTH, 3.0), layout="constrained")
    axes = figure.subplots()
    times = rows["ts_close"].to_numpy().astype("datetime64[ns]")
    axes.plot(times, rows["score_training"].to_numpy(), linewidth=2.0, color=_GRAY, label="training source")
    axes.plot(times, rows["score_captured"].to_numpy(), linewidth=0.9, color=_BLUE, label="captured trades")
    other = (rows["decision_captured"] != rows["decision_training"]).to_numpy()
    axes.plot(
        times[other], rows["score_captured"].to_numpy()[other], "x", color=_RED, label=f"other decision ({other.sum()})"
    )
    for threshold in (leave_below, enter_at):
        axes.axhline(threshold, color=_GRAY, linewidth=0.6, linestyle="--")
    axes.set_ylabel("score", fontsize=8)
    _finish(axes)
    return small_png(figure, f"{rows.height} scores")


def _histograms(axes: Axes, name: str, reference: pl.Series, current: pl.Series) -> None:
    one, other = (values[np.isfinite(values)] for values in (values_of(reference), values_of(current)))
    both = np.concatenate([one, other])
    low, high = np.quantile(both, [0.005, 0.995]) if both.size else (0.0, 1.0)
    edges = np.linspace(low, high if high > low else low + 1.0, 31)
    for values, color, label in ((one, _GRAY, "before"), (other, _RED, "now")):
        shares = np.histogram(values, edges)[0] / max(1, values.size)
        axes.stairs(shares, edges, color=color, label=label, fill=color == _GRAY)
    axes.set_title(name, fontsize=7)
    axes.tick_params(labelsize=6)
    axes.legend(loc="best", fontsize=6, frameon=False)


def _finish(axes: Axes) -> None:
    axes.legend(loc="best", fontsize=8, frameon=False)
    axes.tick_params(labelsize=7)
    axes.grid(visible=True, linewidth=0.3)

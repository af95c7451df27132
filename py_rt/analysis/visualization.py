"""Pictures of a run: one self-contained HTML page for people, one small PNG for the asset's page.

Both take plain tables and numbers and return text or bytes; writing them somewhere is the caller's. The same input
gives the same output: no clock, no random element ids.
"""

from __future__ import annotations

import html
import io
from dataclasses import dataclass
from typing import TYPE_CHECKING

import numpy as np
import polars as pl
from numpy.typing import NDArray

from py_rt.errors import PyRtError

if TYPE_CHECKING:
    from collections.abc import Mapping

    import plotly.graph_objects as go

Float64Array = NDArray[np.float64]

# Metadata of an asset lives in the event log's database and is drawn at about this size.
PNG_MAX_BYTES = 60_000
PNG_INCHES = (7.2, 3.4)
PNG_DPI_STEPS = (100, 80, 60)
PNG_POINTS = 1_500

EQUITY_SCHEMA = {"ts": pl.Int64, "equity": pl.Float64}
PRICE_SCHEMA = {"ts": pl.Int64, "close": pl.Float64}
TRADE_SCHEMA = {"ts": pl.Int64, "side": pl.String, "price": pl.Float64, "quantity": pl.Float64, "fee": pl.Float64}

BLUE, RED, GREEN, GRAY = "#2563eb", "#dc2626", "#059669", "#6b7280"


class ReportError(PyRtError):
    """Tables or numbers that cannot be drawn."""


@dataclass(frozen=True)
class Report:
    """What a report shows. Times are UTC nanoseconds, money is in ``currency``.

    Attributes:
        title: headline.
        currency: of equity, fees and costs, for example ``USDT``.
        equity: ``ts`` Int64, ``equity`` Float64, ascending, at least two points.
        prices: ``ts`` Int64, ``close`` Float64, ascending.
        trades: fills, ``ts`` Int64, ``side`` (``Buy`` or ``Sell``), ``price``, ``quantity``, ``fee`` Float64; or empty.
        costs: name to amount, for example commission and spread.
        numbers: measures by name; None shows as "undefined".
        provenance: what it was made from, for example table versions and hashes.
    """

    title: str
    currency: str
    equity: pl.DataFrame
    prices: pl.DataFrame
    trades: pl.DataFrame
    costs: Mapping[str, float]
    numbers: Mapping[str, float | int | str | None]
    provenance: Mapping[str, str]

    def __post_init__(self) -> None:
        """Refuses tables of another shape."""
        for name, table, schema in (
            ("equity", self.equity, EQUITY_SCHEMA),
            ("prices", self.prices, PRICE_SCHEMA),
            ("trades", self.trades, TRADE_SCHEMA),
        ):
            _check_table(name, table, schema)
        if self.equity.height < 2:
            raise ReportError(f"equity has {self.equity.height} points; at least 2 are needed")
        sides = set(self.trades.get_column("side").unique()) - {"Buy", "Sell"}
        if sides:
            raise ReportError(f"trades have sides {sorted(sides)}; allowed are Buy and Sell")


def _check_table(name: str, table: pl.DataFrame, schema: Mapping[str, type[pl.DataType]]) -> None:
    for column, dtype in schema.items():
        if table.schema.get(column) != dtype:
            raise ReportError(f"{name}.{column} is {table.schema.get(column)}; expected {dtype}")
    if not table.get_column("ts").is_sorted():
        raise ReportError(f"{name} is not ascending in ts")


def html_report(report: Report) -> str:
    """One HTML page that needs no network: equity with drawdown, prices with trades, costs, numbers, provenance.

    About 5 MB, because the plotting library is inside.
    """
    import plotly.io

    figure = plotly.io.to_html(
        _figure(report), full_html=False, include_plotlyjs=True, div_id="report", config={"displaylogo": False}
    )
    title = html.escape(report.title)
    return "\n".join(
        [
            "<!DOCTYPE html>",
            f'<html lang="en"><head><meta charset="utf-8"><title>{title}</title><style>{_STYLE}</style></head><body>',
            f"<h1>{title}</h1>",
            _table("Numbers", {key: _shown(value) for key, value in report.numbers.items()}),
            figure,
            _table(f"Costs ({report.currency})", {key: _shown(value) for key, value in report.costs.items()}),
            _trade_table(report),
            _table("Provenance", report.provenance),
            "</body></html>",
            "",
        ]
    )


_STYLE = (
    "body{font:14px/1.5 system-ui,sans-serif;max-width:1100px;margin:2rem auto;padding:0 1rem;color:#111827}"
    "table{border-collapse:collapse;margin:.5rem 0 1.5rem}"
    "td,th{border:1px solid #e5e7eb;padding:.2rem .6rem;text-align:left}"
    "td:last-child{font-variant-numeric:tabular-nums;overflow-wrap:anywhere}h1{font-size:1.5rem}h2{font-size:1.1rem}"
)
TRADE_ROWS_SHOWN = 200


def _shown(value: float | int | str | None) -> str:
    """Text of a measure: whole numbers with separators, others to six significant digits."""
    if value is None:
        return "undefined"
    if isinstance(value, str):
        return value
    if isinstance(value, int):
        return f"{value:,}"
    return f"{value:,.6g}"


def _table(caption: str, rows: Mapping[str, str]) -> str:
    cells = "".join(f"<tr><th>{html.escape(key)}</th><td>{html.escape(value)}</td></tr>" for key, value in rows.items())
    return f"<h2>{html.escape(caption)}</h2><table>{cells or '<tr><td>none</td></tr>'}</table>"


def _trade_table(report: Report) -> str:
    shown = report.trades.head(TRADE_ROWS_SHOWN)
    times = _times(shown)
    rows = "".join(
        f"<tr><td>{str(time)[:19]}</td><td>{side}</td><td>{price:,.8g}</td><td>{quantity:.8g}</td><td>{fee:.6g}</td></tr>"
        for time, (side, price, quantity, fee) in zip(
            times.tolist(), shown.select("side", "price", "quantity", "fee").iter_rows(), strict=True
        )
    )
    rest = report.trades.height - shown.height
    more = f"<p>{rest:,} more not shown.</p>" if rest else ""
    head = "<tr><th>time (UTC)</th><th>side</th><th>price</th><th>quantity</th><th>fee</th></tr>"
    return f"<h2>Fills ({report.trades.height:,})</h2><table>{head}{rows}</table>{more}"


def _times(table: pl.DataFrame) -> NDArray[np.datetime64]:
    # Milliseconds: the plotting library's clock, and what people read.
    return table.get_column("ts").to_numpy().astype("datetime64[ns]").astype("datetime64[ms]")


def _drawdown(equity: Float64Array) -> Float64Array:
    result: Float64Array = equity / np.maximum.accumulate(equity) - 1.0
    return result


def _figure(report: Report) -> go.Figure:
    from plotly import graph_objects
    from plotly.subplots import make_subplots

    figure = make_subplots(
        rows=3,
        cols=1,
        row_heights=[0.42, 0.38, 0.2],
        vertical_spacing=0.07,
        specs=[[{"secondary_y": True}], [{}], [{}]],
        subplot_titles=("Equity and drawdown", "Price and fills", "Costs"),
    )
    times = _times(report.equity)
    equity = report.equity.get_column("equity").to_numpy()
    drawdown = graph_objects.Scatter(
        x=times,
        y=100.0 * _drawdown(equity),
        name="drawdown, %",
        fill="tozeroy",
        line={"color": RED, "width": 0.5},
        opacity=0.4,
    )
    figure.add_trace(drawdown, row=1, col=1, secondary_y=True)
    line = graph_objects.Scatter(x=times, y=equity, name=f"equity, {report.currency}", line={"color": BLUE})
    figure.add_trace(line, row=1, col=1, secondary_y=False)
    closes = report.prices.get_column("close").to_numpy()
    figure.add_trace(
        graph_objects.Scatter(x=_times(report.prices), y=closes, name="close", line={"color": GRAY, "width": 1}),
        row=2,
        col=1,
    )
    for side, symbol, color in (("Buy", "triangle-up", GREEN), ("Sell", "triangle-down", RED)):
        fills = report.trades.filter(pl.col("side") == side)
        marks = graph_objects.Scatter(
            x=_times(fills),
            y=fills.get_column("price").to_numpy(),
            customdata=fills.select("quantity", "fee").to_numpy(),
            hovertemplate=f"{side} %{{customdata[0]}} at %{{y}}, fee %{{customdata[1]}}<extra></extra>",
            name=side,
            mode="markers",
            marker={"symbol": symbol, "color": color, "size": 8},
        )
        figure.add_trace(marks, row=2, col=1)
    bars = graph_objects.Bar(
        x=list(report.costs.values()), y=list(report.costs), orientation="h", name="costs", marker={"color": GRAY}
    )
    figure.add_trace(bars, row=3, col=1)
    figure.update_layout(template="plotly_white", height=900, legend={"orientation": "h", "y": -0.05}, margin={"t": 40})
    figure.update_xaxes(matches="x", row=2, col=1)
    figure.update_xaxes(title_text=report.currency, row=3, col=1)
    figure.update_yaxes(title_text=report.currency, row=1, col=1, secondary_y=False)
    figure.update_yaxes(title_text="%", row=1, col=1, secondary_y=True, showgrid=False)
    return figure


def equity_png(equity: pl.DataFrame, *, title: str, currency: str) -> bytes:
    """The equity curve over its drawdown as a PNG below 60,000 bytes, for asset metadata.

    Args:
        equity: ``ts`` Int64 (UTC nanoseconds), ``equity`` Float64, ascending, at least two points. More than 1,500
            points are thinned evenly for drawing; the drawdown is taken before that.

    Raises:
        ReportError: another shape, or a picture that stays too large.
    """
    _check_table("equity", equity, EQUITY_SCHEMA)
    if equity.height < 2:
        raise ReportError(f"equity has {equity.height} points; at least 2 are needed")
    for dpi in PNG_DPI_STEPS:
        image = _draw_png(equity, title, currency, dpi)
        if len(image) < PNG_MAX_BYTES:
            return image
    raise ReportError(
        f"picture has {len(image)} bytes at {dpi} dpi; allowed are {PNG_MAX_BYTES}. Shorten the title or the run"
    )


def _draw_png(equity: pl.DataFrame, title: str, currency: str, dpi: int) -> bytes:
    from matplotlib.dates import ConciseDateFormatter
    from matplotlib.figure import Figure

    values = equity.get_column("equity").to_numpy()
    drawdown = 100.0 * _drawdown(values)
    kept = np.unique(np.linspace(0, values.size - 1, min(values.size, PNG_POINTS)).astype(np.intp))
    times = _times(equity)[kept]
    figure = Figure(figsize=PNG_INCHES, dpi=dpi, layout="constrained")
    upper, lower = figure.subplots(2, 1, sharex=True, height_ratios=[3, 1])
    upper.plot(times, values[kept], color=BLUE, linewidth=1.0)
    upper.set_title(title, fontsize=9)
    upper.set_ylabel(currency, fontsize=8)
    lower.fill_between(times, drawdown[kept], 0.0, color=RED, alpha=0.4, linewidth=0)
    lower.set_ylabel("drawdown, %", fontsize=8)
    formatter = ConciseDateFormatter(lower.xaxis.get_major_locator())  # type: ignore[no-untyped-call]
    lower.xaxis.set_major_formatter(formatter)
    for axis in (upper, lower):
        axis.tick_params(labelsize=7)
        axis.grid(visible=True, alpha=0.3)
    buffer = io.BytesIO()
    figure.savefig(buffer, format="png", metadata={"Software": None})
    return buffer.getvalue()

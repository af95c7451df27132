"""The HTML report and the PNG."""

from __future__ import annotations

import re
from html.parser import HTMLParser

import numpy as np
import polars as pl
import pytest

from py_rt.analysis.visualization import PNG_MAX_BYTES, Report, ReportError, equity_png, html_report

START_NS = 1_636_000_000 * 10**9
BAR_NS = 900 * 10**9


def curve(points: int) -> pl.DataFrame:
    steps = np.random.default_rng(1).normal(0, 0.002, points)
    return pl.DataFrame({"ts": START_NS + BAR_NS * np.arange(points), "equity": 1e5 * np.exp(np.cumsum(steps))})


def report(**changes: object) -> Report:
    equity = curve(300)
    trades = pl.DataFrame(
        {
            "ts": equity["ts"].gather_every(30),
            "side": ["Buy", "Sell"] * 5,
            "price": [50_000.25] * 10,
            "quantity": [0.125] * 10,
            "fee": [6.25] * 10,
        }
    )
    values: dict[str, object] = {
        "title": "BTC <threshold> & co",
        "currency": "USDT",
        "equity": equity,
        "prices": equity.rename({"equity": "close"}),
        "trades": trades,
        "costs": {"commission": 62.5, "spread": 11.0},
        "numbers": {"Sharpe ratio, annual": -1.25, "trades": 10, "profit factor": None},
        "provenance": {"feature specification": "ab" * 32},
    }
    return Report(**{**values, **changes})  # type: ignore[arg-type]


class _Loads(HTMLParser):
    """Collects what a browser would fetch while showing the page."""

    def __init__(self) -> None:
        super().__init__()
        self.fetched: list[str] = []

    def handle_starttag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        wanted = {"script": "src", "link": "href", "img": "src", "iframe": "src"}.get(tag)
        self.fetched += [value or "" for key, value in attrs if key == wanted]


def test_the_page_needs_no_network_and_is_the_same_twice() -> None:
    page = html_report(report())
    parser = _Loads()
    parser.feed(page)
    assert parser.fetched == []
    assert page == html_report(report())


def test_the_page_shows_every_part() -> None:
    page = html_report(report())
    for text in (
        "Sharpe ratio, annual",
        "-1.25",
        "undefined",
        "commission",
        "62.5",
        "ab" * 32,
        "Fills (10)",
        "drawdown, %",
    ):
        assert text in page


def test_text_is_escaped() -> None:
    page = html_report(report(provenance={"<b>x": "<script>alert(1)</script>"}))
    assert "<title>BTC &lt;threshold&gt; &amp; co</title>" in page
    assert "<script>alert(1)</script>" not in page


def test_a_run_without_trades_is_drawn() -> None:
    empty = report().trades.clear()
    assert "Fills (0)" in html_report(report(trades=empty, costs={}))


def test_long_trade_lists_say_how_many_are_not_shown() -> None:
    many = pl.concat([report().trades] * 30).sort("ts")
    assert "100 more not shown" in html_report(report(trades=many))


@pytest.mark.parametrize(
    ("changes", "message"),
    [
        ({"equity": curve(1)}, "at least 2"),
        ({"equity": curve(5).reverse()}, "not ascending"),
        ({"equity": curve(5).cast({"ts": pl.Int32}, strict=False)}, r"equity\.ts is Int32"),
        ({"prices": curve(5)}, r"prices\.close is None"),
    ],
)
def test_unfit_tables_are_refused(changes: dict[str, object], message: str) -> None:
    with pytest.raises(ReportError, match=message):
        report(**changes)


def test_unknown_sides_are_refused() -> None:
    with pytest.raises(ReportError, match="allowed are Buy and Sell"):
        report(trades=report().trades.with_columns(pl.lit("long").alias("side")))


@pytest.mark.parametrize("points", [2, 300, 20_000])
def test_the_picture_is_small_and_the_same_twice(points: int) -> None:
    image = equity_png(curve(points), title="BTCUSDT, out of sample 2021-12", currency="USDT")
    assert image.startswith(b"\x89PNG\r\n\x1a\n")
    assert 2_000 < len(image) < PNG_MAX_BYTES
    assert image == equity_png(curve(points), title="BTCUSDT, out of sample 2021-12", currency="USDT")
    assert not re.search(rb"matplotlib", image, re.IGNORECASE)

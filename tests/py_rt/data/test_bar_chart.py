from __future__ import annotations

from datetime import date
from typing import TYPE_CHECKING

import pytest

from py_rt.data import bar_chart
from py_rt.data.bar_chart import MAX_PNG_BYTES, closes_png
from py_rt.data.cleaning import BarRules, published, quarantined, stage
from py_rt.data.storage import DayWindow
from py_rt.errors import DataError

if TYPE_CHECKING:
    import polars as pl

WINDOW = DayWindow(date(2021, 9, 27), date(2021, 12, 30))


def test_the_picture_is_small_and_the_same_each_time(bundled_rows: pl.DataFrame) -> None:
    staged = stage(bundled_rows, BarRules(), WINDOW)
    png = closes_png(published(staged), quarantined(staged))
    assert png.startswith(b"\x89PNG\r\n\x1a\n")
    assert 5_000 < len(png) <= MAX_PNG_BYTES
    assert png == closes_png(published(staged), quarantined(staged))


def test_rows_that_were_kept_out_are_drawn(bundled_rows: pl.DataFrame) -> None:
    staged = stage(bundled_rows, BarRules(), WINDOW)
    assert closes_png(published(staged), quarantined(staged)) != closes_png(
        published(staged), quarantined(staged).clear()
    )


def test_days_without_bars_have_a_picture_too(bundled_rows: pl.DataFrame) -> None:
    staged = stage(bundled_rows, BarRules(), WINDOW).clear()
    assert closes_png(published(staged), quarantined(staged)).startswith(b"\x89PNG")


def test_a_picture_that_would_not_fit_is_refused(bundled_rows: pl.DataFrame, monkeypatch: pytest.MonkeyPatch) -> None:
    staged = stage(bundled_rows, BarRules(), WINDOW)
    monkeypatch.setattr(bar_chart, "MAX_PNG_BYTES", 100)
    with pytest.raises(DataError, match="larger than 100 bytes even at 40 dpi"):
        closes_png(published(staged), quarantined(staged))

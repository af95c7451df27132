"""The bars that the venue plays are the published ones, to the last unit."""

from __future__ import annotations

from decimal import Decimal
from typing import TYPE_CHECKING

import polars as pl
from hypothesis import given, settings
from hypothesis import strategies as st

from py_rt.data.storage import write_whole
from py_rt.demo.market import decimal_text, lake_of, write_bars

if TYPE_CHECKING:
    from pathlib import Path

NAMES = ("open", "high", "low", "close", "volume")


@settings(deadline=None)  # the first example pays for the library's start
@given(st.integers(min_value=0, max_value=(1 << 63) - 1))
def test_decimal_text_is_exact(units: int) -> None:
    told = pl.DataFrame({"open": [units]}, schema={"open": pl.Int64}).select(decimal_text("open")).item()
    assert Decimal(told).scaleb(8) == units
    assert len(told.partition(".")[2]) == 8


def test_bars_come_by_time_and_lose_nothing(tmp_path: Path) -> None:
    rows = [(2, 5), (1, 4_344_306_250_000), (3, (1 << 63) - 1)]
    frame = pl.DataFrame(
        {"ts_open": [ts for ts, _ in rows], **{name: [units for _, units in rows] for name in NAMES}},
        schema=dict.fromkeys(("ts_open", *NAMES), pl.Int64),
    )
    write_whole(lake_of(tmp_path).uri("cleaned", "clean_bars"), frame)
    file = tmp_path / "bars.csv"
    bars = write_bars(tmp_path, file)
    assert bars["ts_open"].to_list() == [1, 2, 3]
    header, *lines = file.read_text(encoding="utf-8").splitlines()
    assert header == "ts_open,open,high,low,close,volume"
    assert lines[0] == "1" + 5 * ",43443.06250000"
    assert lines[1] == "2" + 5 * ",0.00000005"
    assert lines[2] == "3" + 5 * ",92233720368.54775807"

"""Files of bars become the columns that expressions read."""

from __future__ import annotations

from datetime import UTC, datetime, timedelta
from typing import TYPE_CHECKING

from py_rt.data.bar_files import read_bar_file

if TYPE_CHECKING:
    from pathlib import Path


def test_the_time_of_the_day_has_the_bits_of_the_services(tmp_path: Path) -> None:
    first = datetime(2024, 3, 4, tzinfo=UTC)
    times = [first + timedelta(minutes=15 * at) for at in range(700)]
    path = tmp_path / "bars.csv"
    path.write_text(
        "time,open,high,low,close,volume\n" + "".join(f"{at:%Y-%m-%d %H:%M:%S},1,1,1,1,1\n" for at in times)
    )
    bars = read_bar_file(path).bars
    day, week = 86_400 * 10**9, 7 * 86_400 * 10**9
    closes = [(at - first) // timedelta(seconds=1) * 10**9 + 900 * 10**9 for at in times]  # the first is a Monday
    # Whole numbers below 2^53, so that Python's quotient is the one that IEEE 754 rounds.
    assert bars["day_fraction"].to_list() == [close % day / day for close in closes]
    assert bars["week_fraction"].to_list() == [close % week / week for close in closes]

"""Spikes, jumps and rows that stand still, in markets of coarse prices and in files without volumes."""

from __future__ import annotations

from typing import TYPE_CHECKING

import numpy as np
import pytest

from py_rt.data.bar_columns import PRICES
from py_rt.data.repair import outliers
from py_rt.data.repair.bars_file import BarsFile, parse_bars
from py_rt.data.repair.sheet import NOISE_REACH, TICK_SAMPLE, Sheet, local_noise
from tests.py_rt.data.repair.test_cleaner import HEADER, cells_of, counts, run, scaled, walk

if TYPE_CHECKING:
    from py_rt.data.repair.sheet import Numbers

COIN = "timestamp,open,high,low,close,volume"


def coin(rows: int, decimals: int) -> list[str]:
    """Minute bars of a coin at 11 to 14 units of 1e-8, or of 1e-2, which goes up and down all the time."""
    rng = np.random.default_rng(3)
    prices = rng.integers(11, 15, rows + 1) * (1e-8 if decimals == 8 else 1e-2)
    volumes = rng.integers(1, 99_999, rows)
    bars = []
    for at, (first, last, volume) in enumerate(zip(prices[:-1], prices[1:], volumes, strict=True)):
        four = (first, max(first, last), min(first, last), last)
        bars.append(",".join([str(60 * at + 1_640_995_200), *(f"{one:.{decimals}f}" for one in four), str(volume)]))
    return bars


@pytest.mark.parametrize("decimals", [8, 6])
def test_what_a_turn_of_the_price_costs_does_not_grow_with_the_file(
    monkeypatch: pytest.MonkeyPatch, decimals: int
) -> None:
    """Counted: steps that are looked at and cells that are read. The price turns in every second row."""
    steps: list[int] = []
    cells: list[int] = []
    number_text = BarsFile.number_text

    def noise(around: Numbers, place: int, reach: int = NOISE_REACH) -> float:
        steps.append(len(around))
        return local_noise(around, place, reach)

    def text(bars: BarsFile, row: int, role: str) -> str:
        cells.append(row)
        return number_text(bars, row, role)

    monkeypatch.setattr(outliers, "local_noise", noise)
    monkeypatch.setattr(BarsFile, "number_text", text)
    reads = []
    for rows in (1_000, 3_000):
        bars = parse_bars("coin.csv", ".csv", "\n".join([COIN, *coin(rows, decimals)]).encode())
        sheet = Sheet(bars, range(rows), np.arange(rows))
        sheet.load()
        steps.clear()
        cells.clear()
        outliers.find_spikes(sheet)
        reads.append(len(cells))
        assert max(steps) == rows - 1, "the noise of the whole file is reckoned once"
        assert max(sorted(steps)[:-1], default=0) <= 2 * NOISE_REACH + 3
        assert (len(steps) > rows / 50) == (decimals == 6), "a coin of few ticks has no spikes"
    assert max(reads) <= 2 * len(PRICES) * TICK_SAMPLE


def of_volume(volume: str, row: int) -> str:
    return {"none": "", "zero": "0", "other": str(10_000 + 7 * row)}[volume]


@pytest.mark.parametrize("rows_again", [2, 8])
@pytest.mark.parametrize("volume", ["none", "zero", "other"])
def test_bars_that_moved_and_stand_there_again_are_told_without_usable_volumes(volume: str, rows_again: int) -> None:
    rows = walk()
    for row, cells in enumerate(rows):
        cells[6] = of_volume(volume, row)
    for row in range(200, 200 + rows_again):
        rows[row][1:6] = rows[199][1:6]
    header = HEADER
    if volume == "none":
        header, rows = HEADER[:6], [cells[:6] for cells in rows]
    cleaned = run(rows, header)
    assert counts(cleaned) == {("stale_run", "flagged"): 1}
    (finding,) = cleaned.findings
    assert (finding.row, finding.evidence["rows"]) == (200, rows_again)
    assert cleaned.clean == cleaned.bars.content


@pytest.mark.parametrize(("step", "decimals"), [(1.0, 2), (1.0, 4), (0.05, 4)])
def test_bars_of_few_steps_may_come_again(step: float, decimals: int) -> None:
    """Steps of the market, not the decimals of the file: every bar is one step high."""
    rows = walk()
    for row, cells in enumerate(rows):
        low = 80 + step * (2 if 200 <= row < 204 else row % 5)
        cells[1:6] = [f"{one:.{decimals}f}" for one in (low, low + step, low, low + step, low + step)]
        cells[6] = of_volume("other", row)
    assert not run(rows).findings


@pytest.mark.parametrize("factor", [1e3, 1e-3, 1e4, 1e-4])
def test_a_longer_stretch_of_a_rarer_unit_is_repaired(factor: float) -> None:
    good, rows = walk(), walk()
    for row in range(150, 170):
        scaled(rows, row, factor)
    for row in (40, 41):
        scaled(rows, row, 100.0)
    cleaned = run(rows)
    assert counts(cleaned) == {("unit_error", "repaired"): 22}
    for got, wanted in zip(cells_of(cleaned), good, strict=True):
        assert [float(one) for one in got[1:7]] == pytest.approx([float(one) for one in wanted[1:7]])


@pytest.mark.parametrize(
    ("wrong", "factor", "told"),
    [
        (range(399, 400), 1e3, {399}),
        (range(397, 400), 1e3, {397}),
        (range(392, 400), 0.1, {392}),
        (range(3), 1e3, {3}),
        (range(250, 400), 1e3, {250}),
        (range(150, 180), 10.0, {150, 180}),
        (range(150, 180), 200.0, {150, 180}),
    ],
)
def test_a_jump_that_nothing_explains_is_told(wrong: range, factor: float, told: set[int]) -> None:
    rows = walk()
    for row in wrong:
        scaled(rows, row, factor)
    cleaned = run(rows)
    assert counts(cleaned) == {("outlier_spike", "flagged"): len(told)}
    assert {one.row for one in cleaned.findings} == told
    assert cleaned.clean == cleaned.bars.content


@pytest.mark.parametrize("level", [30.0, 0.1])
def test_jumps_that_do_not_come_back_by_the_same_are_no_stretch_of_a_rarer_unit(level: float) -> None:
    rows = walk()
    for row in range(150, 400):
        scaled(rows, row, 1000.0 if row < 180 else level)
    cleaned = run(rows)
    assert counts(cleaned) == {("outlier_spike", "flagged"): 2}
    assert {one.row for one in cleaned.findings} == {150, 180}


@pytest.mark.parametrize("ratio", [8.0, 50.0])
def test_prices_as_traded_before_a_named_split_are_no_jump(ratio: float) -> None:
    rows = walk()
    rows[395][8] = repr(ratio)
    for row in range(395):
        scaled(rows, row, ratio, range(1, 5))
    assert run(rows).clean == run(rows).bars.content
    assert not [one for one in run(rows).findings if one.rule == "outlier_spike"]


@pytest.mark.parametrize("factor", [1e4, 1e-4])
def test_a_few_rows_of_a_rarer_unit_are_set_aside(factor: float) -> None:
    rows = walk()
    for row in (100, 101, 102):
        scaled(rows, row, factor)
    assert run(rows).aside == [100, 101, 102]


def test_a_change_of_level_that_may_be_a_split_without_a_name_is_left_alone() -> None:
    rows = walk()
    for row in range(200):
        scaled(rows, row, 10.0)
    assert not run(rows).findings

"""Units, splits and dividends in files that are harder than one defect in quiet bars."""

from __future__ import annotations

import time
from typing import TYPE_CHECKING

import numpy as np
import pytest

from py_rt.data.bar_files import read_bar_file
from py_rt.errors import SourceError
from tests.py_rt.data.repair.test_cleaner import HEADER, cells_of, counts, pay, run, scaled, walk

if TYPE_CHECKING:
    from pathlib import Path


SECONDS_MAX = 15.0
"""Far above what is needed, far below what a quadratic walk takes."""


def closes(rows: list[list[str]]) -> list[float]:
    return [float(cells[4]) for cells in rows]


@pytest.mark.parametrize("rows", [5, 6, 9])
@pytest.mark.parametrize("factor", [100.0, 0.01])
def test_the_newest_row_of_a_short_file_is_the_wrong_one(rows: int, factor: float) -> None:
    good, bad = walk(rows=rows), walk(rows=rows)
    scaled(bad, rows - 1, factor)
    cleaned = run(bad)
    assert counts(cleaned) == {("unit_error", "repaired"): 1}
    assert closes(cells_of(cleaned)) == pytest.approx(closes(good))


@pytest.mark.parametrize("factor", [40.0, 1e4, 1e-3])
def test_a_spike_of_no_known_factor_stops_no_repair_of_units(factor: float) -> None:
    good, rows = walk(), walk()
    for row in (33, 271, 360):
        scaled(rows, row, 100.0)
    scaled(rows, 340, factor)
    cleaned = run(rows)
    assert counts(cleaned) == {("unit_error", "repaired"): 3, ("outlier_spike", "quarantined"): 1}
    assert closes(cells_of(cleaned)) == pytest.approx(closes([*good[:340], *good[341:]]))


@pytest.mark.parametrize("first", [100, 30])
@pytest.mark.parametrize("ratio", [4.0, 0.1])
def test_a_long_stretch_up_to_its_split_is_repaired_and_nothing_before_it(first: int, ratio: float) -> None:
    good, rows = walk(), walk()
    for table in (good, rows):
        table[300][8] = repr(ratio)
    for row in range(first, 300):
        scaled(rows, row, ratio)
    cleaned = run(rows)
    assert counts(cleaned) == {("bad_split", "repaired"): 300 - first}
    assert closes(cells_of(cleaned)) == pytest.approx(closes(good))
    assert cells_of(cleaned)[:first] == good[:first]


def test_old_rows_that_lack_a_far_split_are_told() -> None:
    rows = walk()
    rows[300][8] = "4.0"
    for row in range(50):
        scaled(rows, row, 4.0)
    cleaned = run(rows)
    assert counts(cleaned) == {("bad_split", "flagged"): 1}
    assert cleaned.clean == cleaned.bars.content
    assert cleaned.findings[0].row == 50


def test_a_payer_of_every_week_keeps_its_dividends() -> None:
    rows = walk()
    for row in range(10, 395, 5):
        pay(rows, row, 0.004)
    cleaned = run(rows)
    assert cleaned.clean == cleaned.bars.content
    assert not cleaned.findings


def test_a_special_dividend_near_a_regular_one_stays() -> None:
    rows = walk()
    for row, share in ((60, 0.01), (180, 0.01), (184, 0.009), (300, 0.01)):
        pay(rows, row, share)
    cleaned = run(rows)
    assert cleaned.clean == cleaned.bars.content


def test_one_dividend_on_two_rows_goes_from_the_one_that_the_price_does_not_know() -> None:
    rows = walk()
    for row in (60, 180, 300):
        pay(rows, row, 0.03)
    good = [list(cells) for cells in rows]
    rows[183][7] = rows[180][7]
    share = float(rows[183][7]) / float(rows[182][4])
    for row in range(183):
        scaled(rows, row, 1 - share, range(5, 6))
    got = cells_of(run(rows))
    paid = HEADER.index("Dividends")
    assert [float(cells[paid]) for cells in got] == [float(cells[paid]) for cells in good]
    assert np.allclose([float(cells[5]) for cells in got], [float(cells[5]) for cells in good], rtol=1e-3)


def test_where_the_unit_is_not_proven_no_good_row_is_set_aside() -> None:
    rows = walk()
    for row in range(0, 400, 40):
        for one in range(row, row + 18):
            scaled(rows, one, 100.0)
    rows[200][7] = repr(float(rows[200][4]) / 80)
    cleaned = run(rows)
    assert cleaned.clean == cleaned.bars.content
    assert {action for _, action in counts(cleaned)} == {"flagged"}


@pytest.mark.parametrize("factor", [100.0, 0.01])
def test_scattered_rows_of_another_unit_are_repaired(factor: float) -> None:
    good, rows = walk(), walk()
    for row in np.random.default_rng(3).choice(400, 120, replace=False):
        scaled(rows, int(row), factor)
    cleaned = run(rows)
    assert counts(cleaned) == {("unit_error", "repaired"): 120}
    assert [float(cells[4]) for cells in cells_of(cleaned)] == pytest.approx([float(cells[4]) for cells in good])


def test_a_hundredth_beside_a_hundredfold_is_repaired() -> None:
    good, rows = walk(), walk()
    for row in (50, 150, 250):
        scaled(rows, row, 0.01)
        scaled(rows, row + 1, 100.0)
    cleaned = run(rows)
    assert counts(cleaned) == {("unit_error", "repaired"): 6}
    assert [float(cells[4]) for cells in cells_of(cleaned)] == pytest.approx([float(cells[4]) for cells in good])


def test_two_equal_bars_of_a_round_lot_may_be_true() -> None:
    rows = walk()
    rows[199][6] = "300"
    rows[200][1:7] = rows[199][1:7]
    cleaned = run(rows)
    assert counts(cleaned) == {("stale_run", "flagged"): 1}
    rows[201][1:7] = rows[199][1:7]
    assert run(rows).aside == [200, 201]


def test_a_price_of_few_ticks_has_no_spikes() -> None:
    ticks = np.where(np.arange(400) % 40 == 20, 3, 1)
    cells = [[f"{0.01 * tick:.2f}"] * 5 for tick in ticks]
    rows = [
        [day[0], *prices, str(1000 + row), "0.0", "0.0"]
        for row, (day, prices) in enumerate(zip(walk(), cells, strict=True))
    ]
    assert not [one for one in run(rows).findings if one.rule == "outlier_spike"]


def test_a_ratio_within_the_rounding_of_its_numbers_is_none_that_is_wrong() -> None:
    rows = walk(start=1.0, volatility=0.002)
    for row, cells in enumerate(rows):
        value = f"{float(cells[4]):.2f}"
        cells[1:6] = [value, value, value, value, f"{float(value) - 0.01 * (row % 40 == 20):.2f}"]
    assert not [one for one in run(rows).findings if one.rule == "adjusted_close"]


def test_a_few_times_with_an_offset_are_told_and_refused(tmp_path: Path) -> None:
    rows = walk()
    for row, cells in enumerate(rows):
        cells[0] += " 00:00:00" + "+05:00" * (row in {50, 300})
    cleaned = run(rows)
    assert counts(cleaned) == {("mixed_time_zones", "flagged"): 2}
    assert cleaned.clean == cleaned.bars.content
    source = tmp_path / "bars.csv"
    source.write_bytes(cleaned.clean)
    with pytest.raises(SourceError, match=r"row 52: .*00:00:00\+05:00' has an offset from UTC and most have none"):
        read_bar_file(source)
    for row, cells in enumerate(rows):
        cells[0] = cells[0][:19] + "+05:00" * (row != 50)
    source.write_text("".join(",".join(cells) + "\n" for cells in [HEADER, *rows]))
    with pytest.raises(SourceError, match=r"row 52: .*00:00:00' has no offset from UTC and most have one"):
        read_bar_file(source)


def test_a_bid_above_its_ask_is_set_aside() -> None:
    rows = [
        [cells[0], f"{float(cells[4]) - 0.02:.4f}", f"{float(cells[4]) + 0.02:.4f}", *cells[4:5]] for cells in walk()
    ]
    for row in (50, 300):
        rows[row][1:3] = rows[row][2], rows[row][1]
    cleaned = run(rows, ["timestamp", "bid", "ask", "close"])
    assert counts(cleaned) == {("crossed_quotes", "quarantined"): 2}
    assert cleaned.aside == [50, 300]


def test_a_bar_of_quotes_that_crossed_for_a_moment_stays() -> None:
    header = ["time", *(f"{side}_{end}" for side in ("bid", "ask") for end in ("open", "high", "low", "close"))]
    rows = [[cells[0], *cells[1:5], *(repr(float(one) + 0.1) for one in cells[1:5])] for cells in walk()]
    rows[50][6] = repr(float(rows[50][2]) - 0.0001)
    rows[300][1:] = [*rows[300][5:], *rows[300][1:5]]
    cleaned = run(rows, header)
    assert counts(cleaned) == {("crossed_quotes", "flagged"): 1, ("crossed_quotes", "quarantined"): 1}
    assert (cleaned.aside, cleaned.findings[0].row) == ([300], 50)


@pytest.mark.parametrize("column", [1, 2, 3, 5])
def test_a_close_in_another_column_is_swapped_back(column: int) -> None:
    good = walk()
    pay(good, 300, 0.05)
    rows = [list(cells) for cells in good]
    apart = [abs(float(cells[4]) / float(cells[column]) - 1) for cells in good[:290]]
    at = [row for row in range(2, 290) if column == 5 or 0.0105 < apart[row] < 0.018][::20]
    assert at
    for row in at:
        rows[row][4], rows[row][column] = rows[row][column], rows[row][4]
    cleaned = run(rows)
    assert counts(cleaned) == {("swapped_columns", "repaired"): len(at)}
    assert cells_of(cleaned) == good


def test_columns_of_closes_with_each_others_names_are_swapped_back() -> None:
    good = walk()
    for row in (100, 200, 300, 380):
        pay(good, row, 0.02)
    rows = [[*cells[:4], cells[5], cells[4], *cells[6:]] for cells in good]
    assert cells_of(run(rows)) == good


@pytest.mark.parametrize(("inner", "outer"), [(1, 2), (1, 3), (4, 2), (4, 3)])
def test_columns_of_prices_with_each_others_names_are_swapped_back(inner: int, outer: int) -> None:
    rows, good = walk(), walk()
    for cells in rows:
        cells[inner], cells[outer] = cells[outer], cells[inner]
    cleaned = run(rows)
    assert set(counts(cleaned)) == {("swapped_columns", "repaired")}
    assert cells_of(cleaned) == good


@pytest.mark.parametrize("factor", [100.0, 0.01])
def test_a_stretch_of_adjusted_closes_in_another_unit_is_repaired(factor: float) -> None:
    good = walk()
    pay(good, 200, 0.02)
    rows = [list(cells) for cells in good]
    for row in range(150, 250):
        scaled(rows, row, factor, range(5, 6))
    cleaned = run(rows)
    assert counts(cleaned) == {("unit_error", "repaired"): 100}
    assert [float(cells[5]) for cells in cells_of(cleaned)] == pytest.approx([float(cells[5]) for cells in good])


@pytest.mark.parametrize("factor", [100.0, 0.01])
def test_old_adjusted_closes_in_another_unit_are_repaired_unless_something_was_paid(factor: float) -> None:
    good, rows = walk(), walk()
    for row in range(150):
        scaled(rows, row, factor, range(5, 6))
    cleaned = run(rows)
    assert counts(cleaned) == {("unit_error", "repaired"): 150}
    assert [float(cells[5]) for cells in cells_of(cleaned)] == pytest.approx([float(cells[5]) for cells in good])
    rows[150][8] = "7.0"
    assert ("unit_error", "flagged") in counts(run(rows))


def test_a_row_whose_prices_alone_are_of_another_unit_keeps_its_adjusted_close_to_the_bit() -> None:
    good, rows = walk(), walk()
    for row in (50, 51, 200):
        scaled(rows, row, 100.0, range(1, 5))
    cleaned = run(rows)
    assert [cells[5] for cells in cells_of(cleaned)] == [cells[5] for cells in good]
    assert [float(cells[4]) for cells in cells_of(cleaned)] == pytest.approx([float(cells[4]) for cells in good])


def test_a_row_of_another_unit_on_the_day_of_a_split_is_repaired() -> None:
    rows = walk()
    rows[200][8] = "2.0"
    wanted = [float(cells[4]) for cells in rows]
    scaled(rows, 200, 100.0)
    assert [float(cells[4]) for cells in cells_of(run(rows))] == pytest.approx(wanted)


def with_split(ratio: float, rows: int = 400) -> list[list[str]]:
    bars = walk(rows=rows)
    bars[300][8] = repr(ratio)
    return bars


@pytest.mark.parametrize("ratio", [1.5, 2.0, 0.1])
def test_a_split_missing_in_scattered_rows_is_applied_there_alone(ratio: float) -> None:
    good, rows = with_split(ratio), with_split(ratio)
    for row in np.random.default_rng(5).choice(np.arange(1, 299), 40, replace=False):
        scaled(rows, int(row), ratio)
        rows[int(row)][6] = str(round(int(rows[int(row)][6]) / ratio))
    cleaned = run(rows)
    assert counts(cleaned) == {("bad_split", "repaired"): 40}
    for column, tolerance in ((4, 1e-9), (5, 1e-9), (6, 1e-4)):
        got = [float(cells[column]) for cells in cells_of(cleaned)]
        assert got == pytest.approx([float(cells[column]) for cells in good], rel=tolerance)


def test_volumes_that_are_right_beside_a_missing_split_stay() -> None:
    good, rows = with_split(5.0), with_split(5.0)
    for row in range(20, 290, 9):
        scaled(rows, row, 5.0)
    cleaned = run(rows)
    assert [cells[6] for cells in cells_of(cleaned)] == [cells[6] for cells in good]


@pytest.mark.parametrize("columns", [(1, 4), (2,), (1, 2, 3), (4,)])
@pytest.mark.parametrize("ratio", [2.0, 0.1])
def test_a_split_missing_in_a_part_of_the_columns_is_applied_there(ratio: float, columns: tuple[int, ...]) -> None:
    good, rows = with_split(ratio), with_split(ratio)
    for row in range(300):
        for column in columns:
            scaled(rows, row, ratio, range(column, column + 1))
    cleaned = run(rows)
    assert counts(cleaned) == {("bad_split", "repaired"): 300}
    got = [[float(one) for one in cells[1:6]] for cells in cells_of(cleaned)]
    assert np.allclose(got, [[float(one) for one in cells[1:6]] for cells in good], rtol=1e-12)
    assert [cells[5] for cells in cells_of(cleaned)] == [cells[5] for cells in good]


def test_a_few_rows_beyond_any_market_are_set_aside_and_those_between_them_are_not() -> None:
    rows = walk()
    for row in (100, 101, 104, 105, 106):
        scaled(rows, row, 1000.0)
    cleaned = run(rows)
    assert cleaned.aside == [100, 101, 104, 105, 106]
    assert {one.rule for one in cleaned.findings} == {"outlier_spike"}


def test_adjusted_closes_between_two_wrong_ones_stay() -> None:
    good, rows = walk(), walk()
    for bars in (good, rows):
        pay(bars, 100, 0.08)  # so that the jump into the first is none by 100
    for row in (100, 200):
        scaled(rows, row, 100.0, range(5, 6))
    got = [float(cells[5]) for cells in cells_of(run(rows))]
    right = [at for at in range(400) if at not in {100, 200}]
    assert [got[at] for at in right] == [float(good[at][5]) for at in right]


def test_a_split_missing_in_a_part_of_the_columns_is_applied_beyond_a_row_in_doubt() -> None:
    good, rows = with_split(1.5), with_split(1.5)
    for row in range(300):
        for column in (2, 4):
            scaled(rows, row, 1.5, range(column, column + 1))
    rows[200][5] = repr(float(rows[200][5]) / 1.5)
    got = cells_of(run(rows))
    assert [cells[5] for cells in got[:200]] == [cells[5] for cells in good[:200]]


def test_thousands_of_wrong_stretches_are_no_quadratic_walk() -> None:
    rows = walk(rows=20_000, volatility=0.001)
    rows[19_000][8] = "2.0"
    for row in range(3, 18_900, 7):
        scaled(rows, row, 100.0 if row % 2 else 2.0)
    began = time.monotonic()
    cleaned = run(rows)
    assert time.monotonic() - began < SECONDS_MAX
    assert len(cleaned.changes) == len(range(3, 18_900, 7))

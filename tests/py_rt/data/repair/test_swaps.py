"""Cells and columns in each other's place, beside what looks like it and is none."""

from __future__ import annotations

import numpy as np
import pytest

from tests.py_rt.data.repair.test_cleaner import HEADER, cells_of, counts, pay, run, scaled, walk

OPEN, HIGH, LOW, CLOSE, ADJUSTED, VOLUME = range(1, 7)


def paying() -> list[list[str]]:
    rows = walk()
    for row in (60, 150, 240, 330):
        pay(rows, row, 0.02)
    return rows


def swap(rows: list[list[str]], row: int, one: int, other: int) -> None:
    rows[row][one], rows[row][other] = rows[row][other], rows[row][one]


def values(rows: list[list[str]]) -> np.ndarray:
    return np.array([[float(cell) for cell in cells[1:]] for cells in rows])


@pytest.mark.parametrize("column", [OPEN, CLOSE, ADJUSTED])
def test_a_volume_in_another_column_is_swapped_back(column: int) -> None:
    good, rows = paying(), paying()
    for row in (20, 149, 150, 390):
        swap(rows, row, column, VOLUME)
    cleaned = run(rows)
    assert counts(cleaned) == {("swapped_columns", "repaired"): 4}
    assert np.array_equal(values(cells_of(cleaned)), values(good))


@pytest.mark.parametrize("column", [OPEN, CLOSE, ADJUSTED])
def test_a_volume_that_has_the_name_of_another_column_is_swapped_back(column: int) -> None:
    good, rows = paying(), paying()
    for row in range(len(rows)):
        swap(rows, row, column, VOLUME)
    cleaned = run(rows)
    assert counts(cleaned) == {("swapped_columns", "repaired"): len(rows)}
    assert np.array_equal(values(cells_of(cleaned)), values(good))


def test_an_adjusted_close_that_has_the_name_of_the_close_is_not_taken_for_a_low() -> None:
    rows = paying()
    for row in range(330):  # far below the lows, so that lows and closes would be in order if they were swapped
        scaled(rows, row, 0.7, range(ADJUSTED, ADJUSTED + 1))
    rows[330][HEADER.index("Dividends")] = "0.0"
    wanted = [list(cells) for cells in rows]
    for row in range(330):
        swap(rows, row, CLOSE, ADJUSTED)
    got = values(cells_of(run(rows)))
    assert np.allclose(got[:, :4], values(wanted)[:, :4])


def test_two_closes_in_the_column_of_the_low_do_not_make_it_the_adjusted_close() -> None:
    good, rows = walk(rows=24), walk(rows=24)
    for row in (9, 12):
        swap(rows, row, LOW, CLOSE)
    got = values(cells_of(run(rows)))
    assert np.array_equal(got[:, ADJUSTED - 1], values(good)[:, ADJUSTED - 1])


def test_a_few_carried_opens_do_not_give_columns_each_others_names() -> None:
    rows = walk(rows=12)
    for row in range(1, 12):
        top = max(float(rows[row][one]) for one in (OPEN, HIGH, CLOSE))
        rows[row][OPEN], rows[row][HIGH] = repr(top + 0.5), repr(top)
    cleaned = run(rows)
    assert cleaned.clean == cleaned.bars.content


def test_a_single_volume_of_zero_is_told_and_one_of_many_is_not() -> None:
    rows = walk()
    rows[70][VOLUME] = "0"
    assert counts(run(rows)) == {("zero_volume", "flagged"): 1}
    for row in range(0, 400, 7):
        rows[row][VOLUME] = "0"
    assert not counts(run(rows))


def test_a_short_file_tells_of_prices_that_stand_still() -> None:
    rows = walk(rows=24)
    for row in range(10, 15):
        rows[row] = [rows[row][0], *[rows[9][CLOSE]] * 5, "0", "0.0", "0.0"]
    assert ("stale_run", "flagged") in counts(run(rows))


def test_a_close_that_is_in_doubt_makes_no_dividend_bad() -> None:
    rows = paying()
    rows[150][CLOSE] = repr(float(rows[150][HIGH]) * 1.3)
    rows[150][HIGH] = repr(float(rows[150][HIGH]) * 1.4)
    cleaned = run(rows)
    assert not any(rule == "bad_dividend" and action == "repaired" for rule, action in counts(cleaned))


def test_a_high_that_is_far_below_a_flat_row_is_wrong_and_not_its_low() -> None:
    rows = walk()
    price = rows[100][CLOSE]
    rows[100][1:6] = [price, repr(float(price) * 0.8), price, price, price]
    assert counts(run(rows)) == {("crossed_values", "quarantined"): 1}


def test_lows_and_closes_that_both_move_are_no_adjusted_closes() -> None:
    rows = walk(rows=30)
    for row in range(30):
        rows[row][ADJUSTED] = rows[row][CLOSE]
        swap(rows, row, LOW, CLOSE)
    got = values(cells_of(run(rows)))
    assert np.array_equal(got[:, ADJUSTED - 1], values(walk(rows=30))[:, ADJUSTED - 1])

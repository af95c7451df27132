"""Dividends where more than one reading is near: what is repaired, and what is flagged only."""

from __future__ import annotations

import datetime as dt

import pytest

from tests.py_rt.data.repair.test_cleaner import HEADER, cells_of, counts, pay, run, scaled, walk

PAID = HEADER.index("Dividends")
EX = (60, 150, 240, 330)


def payer(share: float = 0.011) -> list[list[str]]:
    rows = walk()
    for row in EX:
        pay(rows, row, share)
    return rows


def unadjusted(rows: list[list[str]], row: int) -> None:
    """Take the dividend of a row out of the adjusted closes before it."""
    share = float(rows[row][PAID]) / float(rows[row - 1][4])
    for before in range(row):
        scaled(rows, before, 1 / (1 - share), range(5, 6))


def numbers(rows: list[list[str]], column: int) -> list[float]:
    return [float(cells[column]) for cells in rows]


@pytest.mark.parametrize("away", [-3, -1, 1, 4])
def test_of_two_equal_dividends_the_one_goes_that_the_adjusted_close_does_not_know(away: int) -> None:
    good, rows = payer(), payer()
    rows[150 + away][PAID] = rows[150][PAID]
    cleaned = run(rows)
    assert [cells[5] for cells in cells_of(cleaned)] == [cells[5] for cells in good]
    assert numbers(cells_of(cleaned), PAID) == numbers(good, PAID)


def test_a_single_large_dividend_is_not_made_small_for_its_peers_alone() -> None:
    rows = payer()
    for row in EX[:3]:
        unadjusted(rows, row)
        rows[row][PAID] = repr(float(rows[row][PAID]) / 100)
    cleaned = run(rows)
    assert cells_of(cleaned)[330] == rows[330]


def test_tiny_dividends_that_no_price_can_show_are_not_taken_away() -> None:
    rows = payer()
    for row in EX:
        unadjusted(rows, row)
        rows[row][PAID] = repr(float(rows[row][PAID]) / 100)
    cleaned = run(rows)
    assert all(value > 0 for value in (numbers(cells_of(cleaned), PAID)[row] for row in EX))


@pytest.mark.parametrize("which", [EX, EX[1:2]])
def test_hundredfold_amounts_that_are_not_adjusted_for_are_repaired(which: tuple[int, ...]) -> None:
    good, rows = payer(), payer()
    for row in which:
        unadjusted(rows, row)
        rows[row][PAID] = repr(float(rows[row][PAID]) * 100)
    got = cells_of(run(rows))
    assert numbers(got, PAID) == pytest.approx(numbers(good, PAID))
    assert numbers(got, 5) == pytest.approx(numbers(good, 5))


def test_a_dividend_that_only_the_adjusted_close_knows_is_told_after_a_holiday_too() -> None:
    rows = payer()
    for cells in rows[150:]:  # one more day without trading before the ex-date
        cells[0] = str(dt.date.fromisoformat(cells[0]) + dt.timedelta(days=2))
    good = cells_of(run(rows))
    assert good == rows
    rows[150][PAID] = "0.0"
    assert counts(run(rows)) == {("bad_dividend", "flagged"): 1}


def test_weeks_with_one_dividend_twice_are_flagged_and_stay() -> None:
    rows = payer()
    for at, cells in enumerate(rows):
        cells[0] = str(dt.date(2012, 1, 2) + dt.timedelta(weeks=at))
    rows[152][PAID] = rows[150][PAID]
    cleaned = run(rows)
    assert cleaned.clean == cleaned.bars.content
    assert [(one.rule, one.row) for one in cleaned.findings] == [("bad_dividend", 152)]


def test_a_fall_by_a_dividend_that_is_not_adjusted_for_is_no_split() -> None:
    good = walk()
    pay(good, 200, 0.5)
    good[200][8] = "0.5"
    rows = [list(cells) for cells in good]
    unadjusted(rows, 200)
    got = cells_of(run(rows))
    assert [cells[1:5] for cells in got] == [cells[1:5] for cells in good]
    assert numbers(got, 5) == pytest.approx(numbers(good, 5))

"""Units, splits and dividends in files that are harder than one defect in quiet bars."""

from __future__ import annotations

import numpy as np
import pytest

from tests.py_rt.data.repair.test_cleaner import HEADER, cells_of, counts, pay, run, scaled, walk


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

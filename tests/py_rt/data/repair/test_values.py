"""Cells that are no number, or none that a market writes."""

from __future__ import annotations

import warnings
from typing import TYPE_CHECKING

import pytest

from py_rt.data.bar_files import read_bar_file
from tests.py_rt.data.repair.test_cleaner import HEADER, cells_of, counts, run, walk

if TYPE_CHECKING:
    from pathlib import Path

EVERYTHING = [*HEADER, "Capital Gains", "Quote Volume"]


@pytest.mark.parametrize(
    ("column", "text", "rule"),
    [
        *((column, text, "infinity") for column in (6, 7, 8, 9, 10) for text in ("inf", "1e300")),
        (7, "-inf", "infinity"),
        (4, "1.7976931348623157e+308", "infinity"),
        (7, "-1", "negative_payment"),
        (9, "-0.5", "negative_payment"),
        (8, "-2", "negative_split"),
        (10, "-7", "negative_volume"),
    ],
)
def test_what_no_market_writes_is_set_aside(column: int, text: str, rule: str, tmp_path: Path) -> None:
    rows = [[*cells, "0.0", str(row)] for row, cells in enumerate(walk(), start=1000)]
    rows[200][column] = text
    cleaned = run(rows, EVERYTHING)
    assert counts(cleaned) == {(rule, "quarantined"): 1}
    assert cleaned.aside == [200]
    (tmp_path / "clean.csv").write_bytes(cleaned.clean)
    assert read_bar_file(tmp_path / "clean.csv").bars.height == len(rows) - 1


def test_a_row_of_largest_numbers_is_set_aside_without_a_warning() -> None:
    rows = walk()
    rows[200][1:5] = ["1.7976931348623157e+308"] * 4
    with warnings.catch_warnings():
        warnings.simplefilter("error")
        cleaned = run(rows)
    assert counts(cleaned) == {("infinity", "quarantined"): 1}


@pytest.mark.parametrize(("row", "action"), [(200, "repaired"), (399, "quarantined")])
@pytest.mark.parametrize("text", ["inf", "1e300"])
def test_an_adjusted_close_without_bounds_follows_from_the_rows_beside(text: str, row: int, action: str) -> None:
    rows, good = walk(), walk()
    rows[row][5] = text
    cleaned = run(rows)
    assert counts(cleaned) == {("adjusted_close", action): 1}
    got = [float(cells[5]) for cells in cells_of(cleaned)]
    assert got == pytest.approx([float(cells[5]) for cells in good[: len(got)]])


def test_prices_that_are_all_empty_give_no_warning() -> None:
    rows = [[cells[0], *[""] * 4] for cells in walk(rows=40)]
    with warnings.catch_warnings():
        warnings.simplefilter("error")
        cleaned = run(rows, HEADER[:5])
    assert cleaned.clean == cleaned.bars.content


@pytest.mark.parametrize("text", ["-nan", "+nan", "-NaN(ind)", "nan"])
def test_what_c_prints_for_no_number_is_an_empty_cell(text: str, tmp_path: Path) -> None:
    rows = walk()
    rows[200][6] = text
    cleaned = run(rows)
    assert counts(cleaned) == {("missing_value", "flagged"): 1}
    assert cleaned.clean == cleaned.bars.content
    (tmp_path / "clean.csv").write_bytes(cleaned.clean)
    assert read_bar_file(tmp_path / "clean.csv").bars["volume"].is_nan().sum() == 1
    rows[200][4] = text  # the adjusted close tells it
    assert counts(run(rows)) == {("missing_value", "repaired"): 1}


@pytest.mark.parametrize("column", [4, 6])
@pytest.mark.parametrize("text", ["1_00", "\uff11\uff10\uff11", "\u0661\u0660\u0661", "1_0e1"])
def test_digits_that_only_python_takes_are_no_number(text: str, column: int) -> None:
    rows = walk()
    rows[200][column] = text
    cleaned = run(rows)
    assert counts(cleaned) == {("wrong_type", "quarantined"): 1}
    assert cleaned.aside == [200]


def test_spaces_of_web_pages_beside_a_number_stay() -> None:
    rows = walk()
    rows[200][4] += "\N{NO-BREAK SPACE}"
    assert not run(rows).findings

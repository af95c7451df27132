"""Each rule on bars made here, and what holds for any bars at all."""

from __future__ import annotations

from collections import Counter
from typing import TYPE_CHECKING

import numpy as np
import polars as pl
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from py_rt.data.repair.bars_file import parse_bars
from py_rt.data.repair.cleaner import Cleaned, clean

if TYPE_CHECKING:
    from collections.abc import Callable

HEADER = ["Date", "Open", "High", "Low", "Close", "Adj Close", "Volume", "Dividends", "Stock Splits"]
ROWS = 400


def walk(seed: int = 7, rows: int = ROWS, start: float = 80.0, volatility: float = 0.012) -> list[list[str]]:
    """Daily bars of a quiet stock."""
    rng = np.random.default_rng(seed)
    close = start * np.exp(np.cumsum(rng.normal(0, volatility, rows)))
    opened = np.r_[start, close[:-1]] * np.exp(rng.normal(0, volatility / 4, rows))
    high = np.maximum(opened, close) * np.exp(np.abs(rng.normal(0, volatility / 3, rows)))
    low = np.minimum(opened, close) * np.exp(-np.abs(rng.normal(0, volatility / 3, rows)))
    volume = rng.integers(100_000, 900_000, rows)
    days = pl.date_range(pl.date(2019, 1, 1), pl.date(2019, 1, 1) + pl.duration(days=rows - 1), eager=True)
    columns = [opened, high, low, close, close]
    numbers = [[repr(round(float(one), 4)) for one in column] for column in columns]
    return [[str(day), *(column[i] for column in numbers), str(volume[i]), "0.0", "0.0"] for i, day in enumerate(days)]


def run(rows: list[list[str]], header: list[str] | None = None) -> Cleaned:
    text = "".join(",".join(cells) + "\n" for cells in [header or HEADER, *rows])
    return clean(parse_bars("bars.csv", ".csv", text.encode()))


def counts(cleaned: Cleaned) -> Counter[tuple[str, str]]:
    return Counter((one.rule, one.action.value) for one in cleaned.findings)


def cells_of(cleaned: Cleaned) -> list[list[str]]:
    return parse_bars("clean.csv", ".csv", cleaned.clean).cells


def scaled(rows: list[list[str]], row: int, factor: float, columns: range = range(1, 6)) -> None:
    for column in columns:
        rows[row][column] = repr(float(rows[row][column]) * factor)


def pay(rows: list[list[str]], row: int, share: float) -> None:
    """A dividend on a row: the prices from there on fall, the adjusted closes before are lower."""
    rows[row][7] = repr(float(rows[row - 1][4]) * share)
    for one in range(row, len(rows)):
        scaled(rows, one, 1 - share)
    for one in range(row):
        scaled(rows, one, 1 - share, range(5, 6))


def test_good_bars_come_back_byte_for_byte() -> None:
    rows = walk()
    cleaned = run(rows)
    assert not cleaned.findings
    assert cleaned.clean == cleaned.bars.content


def test_dividends_that_agree_are_left_alone() -> None:
    rows = walk()
    for row in (60, 150, 240, 330):
        pay(rows, row, 0.011)
    assert run(rows).clean == run(rows).bars.content


@pytest.mark.parametrize("factor", [100.0, 0.01])
@pytest.mark.parametrize("length", [1, 2, 25])
def test_a_stretch_in_another_unit_is_repaired(factor: float, length: int) -> None:
    rows, good = walk(), walk()
    for row in range(100, 100 + length):
        scaled(rows, row, factor)
    cleaned = run(rows)
    assert counts(cleaned) == {("unit_error", "repaired"): length}
    for row, cells in enumerate(cells_of(cleaned)):
        assert [float(one) for one in cells[1:6]] == pytest.approx([float(one) for one in good[row][1:6]])
        assert cells == good[row] or 100 <= row < 100 + length


def test_a_unit_that_comes_and_goes_is_not_guessed() -> None:
    rows = walk()
    for start in range(40, 360, 40):
        for row in range(start, start + 20):
            scaled(rows, row, 0.01)
    cleaned = run(rows)
    assert {action for _, action in counts(cleaned)} == {"flagged"}
    assert cleaned.clean == cleaned.bars.content


def test_after_one_change_of_the_unit_the_newest_rows_are_right() -> None:
    rows, good = walk(), walk()
    for row in range(250):
        scaled(rows, row, 100.0)
    cells = cells_of(run(rows))
    assert [float(one[4]) for one in cells] == pytest.approx([float(one[4]) for one in good])


def test_a_few_newest_rows_in_another_unit_are_repaired() -> None:
    rows = walk()
    for row in range(392, ROWS):
        scaled(rows, row, 100.0)
    cleaned = run(rows)
    assert counts(cleaned) == {("unit_error", "repaired"): 8}
    assert cells_of(cleaned)[:392] == rows[:392]


def test_when_only_the_older_rows_were_traded_they_are_right() -> None:
    rows = walk()
    for row in range(390, ROWS):
        scaled(rows, row, 0.01)
        rows[row][6] = "0"
    cells = cells_of(run(rows))
    assert float(cells[395][4]) == pytest.approx(float(walk()[395][4]))
    assert cells[:390] == rows[:390]


@pytest.mark.parametrize("ratio", [2.0, 7.0, 0.05])
@pytest.mark.parametrize("first_wrong", [0, 180])
@pytest.mark.parametrize("shift", [-4, 0, 3])
def test_rows_without_a_split_get_it(ratio: float, first_wrong: int, shift: int) -> None:
    rows, good = walk(), walk()
    rows[200][8] = good[200][8] = repr(ratio)
    wrong = range(first_wrong, 200 + shift)
    for row in wrong:
        scaled(rows, row, ratio)
        rows[row][6] = repr(float(rows[row][6]) / ratio)
    cleaned = run(rows)
    assert counts(cleaned) == {("bad_split", "repaired"): len(wrong)}
    for row, cells in enumerate(cells_of(cleaned)):
        assert [float(one) for one in cells[1:7]] == pytest.approx([float(one) for one in good[row][1:7]], rel=1e-6)


def test_a_split_applied_the_wrong_way_is_turned() -> None:
    rows, good = walk(), walk()
    rows[200][8] = good[200][8] = "4.0"
    for row in range(200):
        scaled(rows, row, 16.0)
    cells = cells_of(run(rows))
    assert [float(one[4]) for one in cells] == pytest.approx([float(one[4]) for one in good])


def test_prices_as_traded_beside_an_adjusted_close_are_no_bad_split() -> None:
    rows = walk()
    rows[200][8] = "4.0"
    for row in range(200):
        scaled(rows, row, 4.0, range(1, 5))
    cleaned = run(rows)
    assert cleaned.clean == cleaned.bars.content


def test_a_jump_without_a_split_is_left_alone() -> None:
    rows = walk()
    for row in range(200):
        scaled(rows, row, 2.0)
    cleaned = run(rows)
    assert cleaned.clean == cleaned.bars.content


def _amount(rows: list[list[str]], factor: float) -> None:
    rows[240][7] = repr(float(rows[240][7]) * factor)


def _step(rows: list[list[str]], old: float, new: float) -> None:
    for row in range(240):
        scaled(rows, row, (1 - new) / (1 - old), range(5, 6))


def _both(rows: list[list[str]], factor: float) -> None:
    """Amount and step wrong by the same factor."""
    _amount(rows, factor)
    _step(rows, 0.02, 0.02 * factor)


BAD_DIVIDENDS: dict[str, Callable[[list[list[str]]], None]] = {
    "amount x100": lambda rows: _amount(rows, 100.0),
    "amount and step x100": lambda rows: _both(rows, 100.0),
    "amount 1/100": lambda rows: _amount(rows, 0.01),
    "amount and step 1/100": lambda rows: _both(rows, 0.01),
    "step 1/100": lambda rows: _step(rows, 0.02, 0.0002),
    "not adjusted": lambda rows: _step(rows, 0.02, 0.0),
    "adjusted twice": lambda rows: _step(rows, 0.02, 1 - 0.98**2),
    "not listed": lambda rows: _amount(rows, 0.0),
}


@pytest.mark.parametrize("defect", BAD_DIVIDENDS)
def test_bad_dividends_are_put_right(defect: str) -> None:
    rows, good = walk(), walk()
    for table in (rows, good):
        for row in (60, 150, 240, 330):
            pay(table, row, 0.02)
    BAD_DIVIDENDS[defect](rows)
    cleaned = run(rows)
    assert {rule for rule, _ in counts(cleaned)} == {"bad_dividend"}
    for row, cells in enumerate(cells_of(cleaned)):
        assert [float(one) for one in cells[1:]] == pytest.approx([float(one) for one in good[row][1:]], rel=1e-3)
        assert cells[1:5] == good[row][1:5]


def test_an_adjusted_close_that_knows_of_no_dividend_is_restated() -> None:
    good = walk()
    for row in (60, 150, 240):
        pay(good, row, 0.02)
    rows = [[*cells[:5], cells[4], *cells[6:]] for cells in good]
    adjusted = [float(cells[5]) for cells in cells_of(run(rows))]
    assert adjusted == pytest.approx([float(cells[5]) for cells in good], rel=1e-3)


def test_prices_that_fall_for_no_dividend_hold_them_already() -> None:
    rows = walk()
    for row in (60, 150, 240):
        rows[row][7] = repr(0.05 * float(rows[row - 1][4]))
    cleaned = run(rows)
    assert cleaned.clean == cleaned.bars.content
    assert counts(cleaned) == {("bad_dividend", "flagged"): 3}


def _put(column: int, text: str) -> Callable[[list[list[str]]], None]:
    def put(rows: list[list[str]]) -> None:
        rows[200][column] = text

    return put


def _swap(one: int, other: int) -> Callable[[list[list[str]]], None]:
    def swap(rows: list[list[str]]) -> None:
        rows[200][one], rows[200][other] = rows[200][other], rows[200][one]

    return swap


REPAIRED: dict[str, Callable[[list[list[str]]], None]] = {
    "unit_error": lambda rows: scaled(rows, 200, 100.0, range(3, 4)),
    "swapped_columns": _swap(2, 3),
    "negative_price": lambda rows: scaled(rows, 200, -1.0, range(4, 5)),
    "missing_value": _put(4, ""),
    "adjusted_close": lambda rows: scaled(rows, 200, 1.2, range(5, 6)),
}


@pytest.mark.parametrize("rule", REPAIRED)
def test_what_the_row_proves_is_repaired(rule: str) -> None:
    rows, good = walk(), walk()
    REPAIRED[rule](rows)
    cleaned = run(rows)
    assert counts(cleaned) == {(rule, "repaired"): 1}
    (finding,) = cleaned.findings
    assert finding.row == 200
    assert finding.time == good[200][0]
    assert finding.evidence
    cells = cells_of(cleaned)
    assert [float(one) for one in cells[200][1:6]] == pytest.approx([float(one) for one in good[200][1:6]], rel=1e-4)
    assert [one for i, one in enumerate(cells) if i != 200] == [one for i, one in enumerate(good) if i != 200]


def test_close_and_volume_are_swapped_back() -> None:
    rows = walk()
    _swap(4, 6)(rows)
    cleaned = run(rows)
    assert counts(cleaned) == {("swapped_columns", "repaired"): 1}
    assert float(cells_of(cleaned)[200][4]) == float(walk()[200][4])


QUARANTINED: dict[str, Callable[[list[list[str]]], None]] = {
    "zero_price": _put(1, "0"),
    "negative_price": _put(1, "-5000"),
    "infinity": _put(2, "inf"),
    "wrong_type": _put(3, "n.v."),
    "missing_value": _put(1, ""),
    "negative_volume": _put(6, "-3"),
    "unreadable_time": _put(0, "soon"),
    "crossed_values": _put(2, "1.0"),
    "outlier_spike": lambda rows: scaled(rows, 200, 3.0, range(1, 5)),
    "torn_row": lambda rows: rows[200].__delitem__(slice(4, None)),
    "second_header": lambda rows: rows.insert(200, list(HEADER)),
    "duplicate": lambda rows: rows.insert(200, list(rows[199])),
    "stale_run": lambda rows: rows[200].__setitem__(slice(1, 7), rows[199][1:7]),
}


@pytest.mark.parametrize("rule", QUARANTINED)
def test_what_cannot_be_repaired_is_set_aside(rule: str) -> None:
    rows = walk()
    QUARANTINED[rule](rows)
    cleaned = run(rows)
    assert cleaned.aside == [200]
    assert (rule, "quarantined") in counts(cleaned)
    assert cells_of(cleaned) == [one for i, one in enumerate(rows) if i != 200]
    assert cleaned.quarantine is not None
    assert parse_bars("aside.csv", ".csv", cleaned.quarantine).cells == [rows[200]]


def test_of_two_editions_of_a_row_the_last_stands() -> None:
    rows = walk()
    earlier = list(rows[200])
    earlier[4] = repr(float(earlier[4]) * 1.001)
    rows.insert(200, earlier)
    cleaned = run(rows)
    assert counts(cleaned) == {("restated", "quarantined"): 1}
    assert cells_of(cleaned) == walk()


@pytest.mark.parametrize("falling", [False, True])
def test_rows_out_of_order_are_moved_and_keep_their_cells(*, falling: bool) -> None:
    good = walk()[::-1] if falling else walk()
    rows = [list(cells) for cells in good]
    rows.insert(300, rows.pop(100))
    cleaned = run(rows)
    assert cells_of(cleaned) == good
    assert counts(cleaned) == {("non_monotonic_time", "flagged"): 1}


def test_bars_without_any_price_stay_and_are_flagged() -> None:
    rows = walk()
    rows[200][1:7] = [""] * 6
    cleaned = run(rows)
    assert cleaned.clean == cleaned.bars.content
    assert counts(cleaned) == {("missing_value", "flagged"): 1}


def test_a_time_without_an_offset_gets_that_of_its_neighbors() -> None:
    rows = walk()
    for cells in rows:
        cells[0] += " 00:00:00+01:00"
    good = [list(cells) for cells in rows]
    rows[200][0] = rows[200][0][:19]
    rows[210][0] = f"{rows[209][0][:10]} 18:00:00-05:00"
    cleaned = run(rows)
    assert counts(cleaned) == {("mixed_time_zones", "repaired"): 2}
    assert cells_of(cleaned) == good


def test_a_day_in_another_zone_is_shifted_back() -> None:
    hours = [f"{hour:02d}:30:00" for hour in range(9, 16)]
    good = []
    for row, cells in enumerate(walk(rows=700)):
        day = np.datetime64("2021-03-01") + row // 7
        good.append([f"{day} {hours[row % 7]}", *cells[1:]])
    rows = [list(cells) for cells in good]
    for row in range(350, 357):
        rows[row][0] = f"{rows[row][0][:11]}{int(rows[row][0][11:13]) + 5:02d}:30:00"
    cleaned = run(rows)
    assert counts(cleaned) == {("wrong_time_zone", "repaired"): 7}
    assert cells_of(cleaned) == good


def test_base_and_quote_volume_are_told_by_their_quotient() -> None:
    header = ["date", "open", "high", "low", "close", "volume", "Volume USD"]
    good = [[*cells[:5], cells[6], repr(float(cells[6]) * float(cells[4]))] for cells in walk()]
    rows = [list(cells) for cells in good]
    for row in range(250):
        rows[row][5], rows[row][6] = rows[row][6], rows[row][5]
    cleaned = run(rows, header)
    assert counts(cleaned) == {("swapped_columns", "repaired"): 250}
    assert [[float(one) for one in cells[5:]] for cells in cells_of(cleaned)] == [
        [float(one) for one in cells[5:]] for cells in good
    ]


NASTY = st.sampled_from(
    ["", "nan", "inf", "-inf", "0", "-1", "1e308", "1e-308", "x", "1,000.5", "7", "700", "2019-01-05"]
)
DAMAGE = st.lists(
    st.tuples(st.integers(0, 59), st.integers(0, 8), NASTY)
    | st.tuples(st.integers(0, 59), st.integers(0, 8), st.none()),
    max_size=40,
)


@settings(max_examples=150, deadline=None)
@given(damage=DAMAGE, seed=st.integers(0, 5))
def test_rows_are_conserved_and_reruns_are_equal_whatever_is_wrong(
    damage: list[tuple[int, int, str | None]], seed: int
) -> None:
    rows = walk(seed, rows=60)
    for row, column, text in damage:
        if text is None:
            rows[row] = rows[row][:column]
        elif column < len(rows[row]):
            rows[row][column] = text
    rows = [cells if any(cells) else ["", *HEADER[1:]] for cells in rows]
    cleaned = run(rows)
    assert sorted([*cleaned.kept, *cleaned.aside]) == list(range(60))
    again = run(rows)
    assert (again.clean, again.quarantine, again.findings.__repr__()) == (
        cleaned.clean,
        cleaned.quarantine,
        cleaned.findings.__repr__(),
    )
    spoken = {one.row for one in cleaned.findings if one.action.value == "quarantined"}
    assert spoken == set(cleaned.aside)
    repaired = {one.row for one in cleaned.findings if one.action.value == "repaired"}
    if cleaned.kept:
        out = cells_of(cleaned)
        # A cell with a comma in it is two: what was cut off behind it may be a whole row.
        assert all(",".join(out[i]) == ",".join(rows[row]) or row in repaired for i, row in enumerate(cleaned.kept))


@settings(max_examples=40, deadline=None)
@given(scale=st.sampled_from([1e-8, 1e-3, 1.0, 1e6, 1e12]), seed=st.integers(0, 50))
def test_good_bars_of_any_size_come_back(scale: float, seed: int) -> None:
    rows = walk(seed, rows=120)
    for cells in rows:
        for column in range(1, 6):
            cells[column] = repr(float(cells[column]) * scale)
    cleaned = run(rows)
    assert cleaned.clean == cleaned.bars.content


@pytest.mark.parametrize("ending", ["\n", "\r\n", "\r"])
@pytest.mark.parametrize("last", [True, False])
@pytest.mark.parametrize("delimiter", [",", ";", "\t"])
def test_line_ends_delimiters_quotes_and_marks_stay(ending: str, *, last: bool, delimiter: str) -> None:
    rows = walk()
    scaled(rows, 200, 100.0)
    rows[100][0] = f'"{rows[100][0]}"'
    lines = [delimiter.join(cells) for cells in [HEADER, *rows]]
    text = "\ufeff" + ending.join(lines) + (ending if last else "")
    cleaned = clean(parse_bars("bars.csv", ".csv", text.encode()))
    assert counts(cleaned) == {("unit_error", "repaired"): 1}
    out = cleaned.clean.decode()
    assert out.split(ending)[:201] == text.split(ending)[:201]
    assert out.split(ending)[202:] == text.split(ending)[202:]

"""The table and its marks."""

from __future__ import annotations

import json

import pytest

from benches.figures import Figures, Line, Row, rows_of
from benches.instructions import TOLERANCE, Count
from benches.machine import Machine, read_machine
from benches.marks import MARKS, Mark, Verdict
from benches.programs import PROGRAMS
from benches.table import BEGIN, END, HEADER, PageError, aligned, cells, document, markdown, replaced, text, verdict

MACHINE = Machine("a processor", 2, 8.0, "6.1", "rustc 1.95.0", "profile bench", "2026-11-25 10:00 UTC")


def row(name: str = "decision", p50: float = 8_000.0, ratio: float | None = 2.0, allocations: float = 0.0) -> Row:
    figures = Figures(p50 / 2, p50, p50 * 1.2, 100)
    anchor = None if ratio is None else "the floor"
    floor = None if ratio is None else Figures(1.0, p50 / ratio, p50, 100)
    facts: dict[str, float | str] = {"allocations": allocations, "stream": "made"}
    return rows_of([Line(name, "ns per order", "bytes to bytes", figures, anchor, floor, ratio, facts)])[0]


def test_every_mark_has_its_row() -> None:
    known = {name for program in PROGRAMS for name in program.rows}
    assert {mark.row for mark in MARKS} <= known


@pytest.mark.parametrize(
    ("mark", "expected"),
    [
        (Mark("decision", "p50", 8_000, "ns"), Verdict.MET),
        (Mark("decision", "p50", 7_999, "ns"), Verdict.MISSED),
        (Mark("decision", "p99", 9_600, "ns"), Verdict.MET),
        (Mark("decision", "tail", 1.1, ""), Verdict.MISSED),
        (Mark("decision", "ratio", 2, ""), Verdict.MET),
        (Mark("decision", "millions per second", 0.125, "M", at_least=True), Verdict.MET),
        (Mark("decision", "millions per second", 0.126, "M", at_least=True), Verdict.MISSED),
        (Mark("decision", "allocations", 0, ""), Verdict.MET),
        (Mark("decision", "no such fact", 0, ""), Verdict.UNKNOWN),
        (Mark("decision", "stream", 0, ""), Verdict.UNKNOWN),
    ],
)
def test_a_mark_is_held_against_the_figure_it_names(mark: Mark, expected: Verdict) -> None:
    assert mark.verdict(row()) is expected


def test_a_row_without_an_anchor_has_no_ratio_to_hold_against_a_mark() -> None:
    mark = Mark("decision", "ratio", 2, "")
    assert mark.verdict(row(ratio=None)) is Verdict.UNKNOWN
    assert mark.verdict(None) is Verdict.UNKNOWN


def test_one_missed_mark_makes_a_row_missed() -> None:
    assert verdict(row()) == "met"
    assert verdict(row(allocations=1.0)) == "missed"
    assert verdict(row(name="frame")) == "none"


def test_the_table_is_aligned_and_says_what_was_missed() -> None:
    shown = text([row(), row("frame", 900.0, None)], [], ["decision", "frame", "backtest"], MACHINE, "Load: 0.1.")
    lines = shown.splitlines()
    starts = {line.index("bytes to bytes") for line in lines if "bytes to bytes" in line}
    assert len(starts) == 1
    assert "decision: p50 at most 10,000 ns: 8,000 ns, met" in shown
    assert "backtest: peak memory mb at most 300 MB: not measured" in shown
    assert shown.endswith("Load: 0.1.")
    assert "a processor, 2 cores" in shown


def test_every_row_fills_every_column() -> None:
    assert len(cells(row())) == len(cells(row(ratio=None))) == len(HEADER)
    assert aligned([HEADER, cells(row())]).count("\n") == 1


def test_json_can_be_read_back() -> None:
    count = Count("book", "apply_counted", 10, "made", 1_000, 99.0)
    data = json.loads(json.dumps(document([row()], [count], ["decision"], MACHINE)))
    assert data["machine"]["cores"] == 2
    assert data["rows"][0]["ratio"] == {"least": 2.0, "middle": 2.0, "most": 2.0}
    assert data["rows"][0]["facts"]["allocations"] == 0.0
    assert data["instructions"][0]["grew"] is True


def test_the_page_is_written_between_its_marks_and_nowhere_else() -> None:
    page = f"# Before\n\n{BEGIN}\nold\n{END}\n\nafter\n"
    new = markdown([row()], [], ["decision"], MACHINE, "Load: 0.1.")
    once = replaced(page, new)
    assert once.startswith(f"# Before\n\n{BEGIN}\n")
    assert once.endswith(f"{END}\n\nafter\n")
    assert "old" not in once
    assert replaced(once, new) == once


@pytest.mark.parametrize("page", ["", BEGIN, END, f"{END} {BEGIN}"])
def test_a_page_without_marks_is_left_alone(page: str) -> None:
    with pytest.raises(PageError, match="put them in"):
        replaced(page, "new")


def test_every_row_of_the_page_has_the_columns_of_its_header() -> None:
    lines = markdown([row(), row("frame", 9.0, None)], [], [], MACHINE, "").splitlines()
    assert {line.count("|") for line in lines if line.startswith("|")} == {len(HEADER) + 1}


@pytest.mark.parametrize(("committed", "grew"), [(None, False), (100.0, False), (100 / (1 + 2 * TOLERANCE), True)])
def test_only_a_count_above_the_committed_one_has_grown(committed: float | None, grew: bool) -> None:
    assert Count("book", "apply_counted", 10, "made", 1_000, committed).grew is grew


def test_this_machine_can_be_described() -> None:
    machine = read_machine()
    assert machine.cores >= 1
    assert "rustc" in machine.rustc
    assert machine.when.endswith("UTC")

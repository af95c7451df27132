"""Lines of the bench programs, and what several rounds of them come to."""

from __future__ import annotations

import json
from typing import Any

import pytest

from benches.figures import Figures, LineError, Spread, paired_ratio, read_line, rows_of


def printed(row: str = "book_update", **changes: object) -> str:
    figures = {"min": 10.0, "p50": 12.5, "p99": 40.0, "samples": 51}
    line: dict[str, Any] = {
        "row": row,
        "unit": "ns per level",
        "subject": "a book",
        "figures": figures,
        "anchor": "two maps",
        "anchor_figures": {**figures, "p50": 50.0},
        "ratio": 0.25,
        "facts": {"messages": 3, "stream": "made"},
    }
    return json.dumps({**line, **changes})


def test_a_line_is_read_whole() -> None:
    line = read_line(printed())
    assert (line.row, line.unit, line.subject, line.anchor) == ("book_update", "ns per level", "a book", "two maps")
    assert line.figures == Figures(10.0, 12.5, 40.0, 51)
    assert line.anchor_figures is not None
    assert (line.anchor_figures.p50, line.ratio) == (50.0, 0.25)
    assert line.facts == {"messages": 3.0, "stream": "made"}


def test_an_anchor_may_be_absent() -> None:
    data = json.loads(printed())
    for name in ("anchor", "anchor_figures", "ratio"):
        del data[name]
    line = read_line(json.dumps(data))
    assert (line.anchor, line.anchor_figures, line.ratio) == (None, None, None)
    row = rows_of([line])[0]
    assert (row.ratio, row.anchor_p50) == (None, None)


@pytest.mark.parametrize(
    "text",
    [
        "book_update: a book runs",
        "[]",
        "{}",
        printed(figures={"min": 1.0}),
        printed(figures={"min": "a", "p50": "b", "p99": "c", "samples": 1}),
        printed(ratio=float("nan")),
        printed(facts=None),
    ],
)
def test_what_is_not_a_row_is_refused(text: str) -> None:
    with pytest.raises(LineError):
        read_line(text)


def test_rounds_become_medians_with_their_least_and_most() -> None:
    figures = [{"min": 1.0, "p50": p50, "p99": 9.0, "samples": 5} for p50 in (30.0, 10.0, 20.0)]
    lines = [
        read_line(printed(figures=each, ratio=ratio)) for each, ratio in zip(figures, (0.3, 0.1, 0.2), strict=True)
    ]
    (row,) = rows_of(lines)
    assert row.p50 == Spread(10.0, 20.0, 30.0)
    assert row.ratio == Spread(0.1, 0.2, 0.3)


def test_the_largest_of_a_fact_counts() -> None:
    (row,) = rows_of(read_line(printed(facts={"allocations": each, "stream": "made"})) for each in (0, 2, 1))
    assert row.fact("allocations") == 2.0
    assert row.fact("stream") == "made"
    assert row.fact("absent") is None


def test_a_ratio_pairs_what_was_measured_side_by_side() -> None:
    # The machine slows down threefold for both; a ratio of medians would hide which sample belongs to which.
    subject, anchor = [1.0, 3.0, 1.0, 3.0, 3.0], [2.0, 6.0, 2.0, 6.0, 6.0]
    assert paired_ratio(subject, anchor) == 0.5
    with pytest.raises(ValueError, match="shorter"):
        paired_ratio(subject, anchor[:-1])


@pytest.mark.parametrize("count", [1, 2, 99, 100, 101])
def test_percentiles_are_samples(count: int) -> None:
    figures = Figures.of([float(number) for number in range(count)])
    assert figures.min == 0.0
    assert figures.p50 == count // 2
    assert figures.p99 == min(count * 99 // 100, count - 1)

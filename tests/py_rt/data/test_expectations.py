from __future__ import annotations

import json
from typing import TYPE_CHECKING, Any

import polars as pl
import pytest

from py_rt.data import expectations
from py_rt.data.expectations import ExpectationError, ExpectationRunner, load_suite, validate

if TYPE_CHECKING:
    from collections.abc import Iterator
    from pathlib import Path

SUITE: dict[str, Any] = {
    "name": "levels",
    "expectations": [
        {"type": "expect_column_values_to_be_between", "kwargs": {"column": "low", "min_value": 1}},
        {
            "type": "expect_column_pair_values_a_to_be_greater_than_b",
            "kwargs": {"column_A": "high", "column_B": "low", "or_equal": True},
        },
        {"type": "expect_table_row_count_to_be_between", "kwargs": {"min_value": 1, "max_value": 3}},
    ],
}


@pytest.fixture
def runner() -> Iterator[ExpectationRunner]:
    made = ExpectationRunner()
    yield made
    made.close()


def test_a_child_started_ahead_judges_one_sample_after_another(runner: ExpectationRunner) -> None:
    before = runner.has_child
    runner.warm_up()
    runner.warm_up()  # still one child
    good = pl.DataFrame({"low": [1, 2], "high": [1, 3]})
    report = runner.validate(good, SUITE)
    assert (report.success, report.rows, len(report.outcomes)) == (True, 2, 3)
    assert (before, runner.has_child) == (False, True)
    # What one suite did wrong does not touch the next one; a sample larger than a pipe goes through.
    with pytest.raises(ExpectationError, match="knows no expect_nothing"):
        runner.validate(good, {"name": "odd", "expectations": [{"type": "expect_nothing", "kwargs": {}}]})
    large = pl.DataFrame({"low": range(1, 40_001), "high": range(1, 40_001)})
    report = runner.validate(large, SUITE)
    assert [outcome.success for outcome in report.outcomes] == [True, True, False]
    child = runner._child
    assert child is not None
    child._process.kill()
    child._process.wait()
    with pytest.raises(ExpectationError, match="suite levels ended with"):
        runner.validate(good, SUITE)
    assert not runner.has_child


def test_broken_expectations_are_counted_with_examples() -> None:
    report = validate({"low": [0, 2, -3, 9], "high": [5, 1, 5, 9]}, SUITE)
    assert not report.success
    low, pair, count = report.outcomes
    assert (low.unexpected, low.examples) == (2, ["0", "-3"])
    assert low.expectation == "expect_column_values_to_be_between(column=low, min_value=1.0)"
    assert (pair.unexpected, pair.examples) == (1, ["1, 2"])
    assert (count.success, count.examples) == (False, ["4"])


@pytest.mark.parametrize(
    ("expectation", "words"),
    [
        ({"type": "expect_nothing", "kwargs": {}}, "knows no expect_nothing"),
        ({"type": "expect_column_values_to_be_unique", "kwargs": {"column": "zz"}}, 'column "zz" in BatchData'),
        ({"type": "expect_column_values_to_be_unique", "kwargs": {"kolumn": "low"}}, "cannot be run"),
    ],
)
def test_an_expectation_that_cannot_be_judged_is_an_error_never_a_pass(expectation: dict[str, Any], words: str) -> None:
    with pytest.raises(ExpectationError) as caught:
        validate({"low": [1]}, {"name": "odd", "expectations": [expectation]})
    assert words in str(caught.value)


def test_the_shipped_suite_has_only_known_expectations() -> None:
    suite = load_suite("clean_bars")
    names = ("ts_open", "open", "high", "low", "close", "volume")
    columns: dict[str, list[object]] = {name: [1] for name in names}
    assert validate(columns | {"instrument": ["X"], "is_empty": [False]}, suite).success


@pytest.mark.parametrize(
    ("text", "words"),
    [
        ("{", ":1: is no JSON"),
        ("[]", "wanted"),
        (json.dumps({"name": "x", "expectations": []}), "wanted"),
        (json.dumps({"name": "x", "expectations": [{"type": "a"}]}), "wanted"),
        (json.dumps({"expectations": [{"type": "a", "kwargs": {}}]}), "wanted"),
    ],
)
def test_a_suite_of_another_form_is_refused(tmp_path: Path, text: str, words: str) -> None:
    (tmp_path / "odd.json").write_text(text)
    with pytest.raises(ExpectationError) as caught:
        load_suite("odd", tmp_path)
    assert words in str(caught.value)
    assert "odd.json" in str(caught.value)


def test_an_absent_suite_is_refused(tmp_path: Path) -> None:
    with pytest.raises(ExpectationError, match=r"none\.json cannot be read"):
        load_suite("none", tmp_path)


def test_a_large_sample_is_refused(runner: ExpectationRunner, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(expectations, "MAX_ROWS", 2)
    with pytest.raises(ExpectationError, match="has 3 rows, at most 2"):
        runner.validate(pl.DataFrame({"low": [1, 2, 3]}), SUITE)


def test_a_child_that_takes_too_long_is_ended(runner: ExpectationRunner, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(expectations, "TIMEOUT_SECONDS", 0.01)
    with pytest.raises(ExpectationError, match="took longer than"):
        runner.validate(pl.DataFrame({"low": [1]}), SUITE)

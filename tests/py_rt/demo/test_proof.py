"""What the proof calls equal, and what it calls verified."""

from __future__ import annotations

from typing import TYPE_CHECKING

import numpy as np
import polars as pl
import pytest

from py_rt.demo.proof import FeatureMatch, cancelled_early, match_rows

if TYPE_CHECKING:
    from pathlib import Path

ROWS, COLUMNS = 5, 3
CLOSES = np.arange(1, ROWS + 1, dtype=np.int64) * 900


def online() -> np.ndarray[tuple[int, int], np.dtype[np.float32]]:
    return np.linspace(-1.0, 1.0, ROWS * COLUMNS, dtype=np.float32).reshape(ROWS, COLUMNS)


def table(features: np.ndarray[tuple[int, int], np.dtype[np.float32]]) -> pl.DataFrame:
    columns = {name: features[:, place] for place, name in enumerate("abc")}
    others = {"instrument": ["BTCUSDT"] * ROWS, "is_warm": [True] * ROWS, "ret": np.zeros(ROWS)}
    return pl.DataFrame({"ts_close": CLOSES, **columns, **others})


def test_equal_rows_are_equal() -> None:
    assert match_rows(CLOSES, online(), table(online())) == FeatureMatch(ROWS, ROWS, 0, None)


@pytest.mark.parametrize("bit", range(32))
def test_one_flipped_bit_is_seen(bit: int) -> None:
    changed = online()
    changed.view(np.uint32)[3, 1] ^= np.uint32(1 << bit)
    assert match_rows(CLOSES, changed, table(online())) == FeatureMatch(ROWS, ROWS - 1, 0, int(CLOSES[3]))


def test_minus_zero_is_not_zero_and_a_nan_equals_its_own_bits() -> None:
    zeros, ours = np.zeros((ROWS, COLUMNS), np.float32), np.zeros((ROWS, COLUMNS), np.float32)
    ours[0, 0] = -0.0
    assert match_rows(CLOSES, ours, table(zeros)).first_difference == CLOSES[0]
    not_numbers = np.full((ROWS, COLUMNS), np.nan, np.float32)
    assert match_rows(CLOSES, not_numbers, table(not_numbers)).equal == ROWS


def test_the_order_of_the_table_does_not_matter() -> None:
    assert match_rows(CLOSES, online(), table(online()).reverse()).equal == ROWS


def test_a_row_that_the_table_lacks_is_counted_and_differs() -> None:
    found = match_rows(CLOSES + 1, online(), table(online()))
    assert found == FeatureMatch(ROWS, 0, ROWS, int(CLOSES[0]) + 1)


def test_no_rows_are_no_proof() -> None:
    nothing = match_rows(CLOSES[:0], online()[:0], table(online()))
    assert nothing == FeatureMatch(0, 0, 0, None)


def test_an_order_that_was_let_go_before_its_time_did_not_time_out(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    record = {
        "e1-s1-1": {"ts_ns": 100, "steps": [(100, "order e1-s1-1 is Submitted"), (129, "cancel e1-s1-1")]},
        "e1-s1-2": {"ts_ns": 100, "steps": [(130, "cancel e1-s1-2"), (131, "cancel e1-s1-2")]},
        "e1-s1-3": {"ts_ns": 100, "steps": [(900, "order e1-s1-3 is Canceled")]},
    }
    monkeypatch.setattr("py_rt_core.trace_order", lambda _journal, order: record.get(order))
    asked = dict.fromkeys([*record, "e1-s1-4"], 30)
    assert cancelled_early(tmp_path, asked) == {"e1-s1-1", "e1-s1-3", "e1-s1-4"}

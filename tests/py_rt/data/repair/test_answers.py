"""Really broken bars beside their answers: repaired rows equal the answer, clean files come back as they were."""

from __future__ import annotations

import gzip
import math
import os
from pathlib import Path

import pytest

from py_rt.data.bar_columns import NUMBERS
from py_rt.data.repair.bars_file import BarsFile, parse_bars, read_bars_file
from py_rt.data.repair.cleaner import clean

SHARED = Path(os.environ.get("PY_RT_SHARED_DATA", Path(__file__).resolve().parents[5] / "shared" / "data"))
FOLDER = SHARED / "dirty_bars_with_answers"
TOLERANCE = 1e-2

FILES = sorted(path.name for path in FOLDER.glob("*.csv.gz")) if FOLDER.is_dir() else []
BROKEN = [name for name in FILES if (FOLDER / name.replace(".csv.gz", "-fixed.csv.gz")).exists()]
CLEAN = [name for name in FILES if name not in BROKEN]

needs_data = pytest.mark.skipif(not FILES, reason=f"no broken bars at {FOLDER}: set PY_RT_SHARED_DATA")


def numbers(bars: BarsFile, row: int) -> dict[str, float]:
    texts = {role: bars.text(row, role) for role in NUMBERS if role in bars.roles}
    return {role: float(text) if text else math.nan for role, text in texts.items()}


def same(one: float, other: float) -> bool:
    if math.isnan(one) or math.isnan(other):
        return math.isnan(one) and math.isnan(other)
    return abs(one - other) <= TOLERANCE * abs(other)


@needs_data
@pytest.mark.parametrize("name", BROKEN or ["none"])
def test_every_cell_equals_the_answer(name: str) -> None:
    cleaned = clean(read_bars_file(FOLDER / name))
    answer = gzip.decompress((FOLDER / name.replace(".csv.gz", "-fixed.csv.gz")).read_bytes())
    wanted, got = parse_bars("answer", ".csv", answer), parse_bars("clean", ".csv.gz", cleaned.clean)
    assert cleaned.clean != cleaned.bars.content
    assert got.height == wanted.height
    by_time = {wanted.text(row, "time"): numbers(wanted, row) for row in range(wanted.height)}
    wrong = []
    for row in range(got.height):
        answered = by_time[got.text(row, "time")]
        found = numbers(got, row)
        wrong += [(row, role, found[role], answered[role]) for role in found if not same(found[role], answered[role])]
    assert not wrong, f"{len(wrong)} cells differ, such as {wrong[:3]}"


@needs_data
@pytest.mark.parametrize("name", CLEAN or ["none"])
def test_a_clean_file_comes_back_byte_for_byte(name: str) -> None:
    cleaned = clean(read_bars_file(FOLDER / name))
    assert cleaned.clean == (FOLDER / name).read_bytes()
    assert cleaned.quarantine is None


@needs_data
@pytest.mark.parametrize("name", BROKEN or ["none"])
def test_cells_that_were_not_repaired_keep_their_text(name: str) -> None:
    cleaned = clean(read_bars_file(FOLDER / name))
    got = parse_bars("clean", ".csv.gz", cleaned.clean)
    repaired = {
        (one.row, column) for one in cleaned.findings if one.action.value == "repaired" for column in one.columns
    }
    for place, row in enumerate(cleaned.kept):
        for column, before, after in zip(got.header, cleaned.bars.cells[row], got.cells[place], strict=True):
            assert before == after or (row, column) in repaired


@needs_data
@pytest.mark.parametrize("name", BROKEN or ["none"])
def test_cleaning_again_changes_nothing(name: str) -> None:
    once = clean(read_bars_file(FOLDER / name)).clean
    assert clean(parse_bars(name, ".csv.gz", once)).clean == once

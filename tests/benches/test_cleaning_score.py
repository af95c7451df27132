"""The scores in docs/reference/cleaning.md are those of the rules as they are."""

from __future__ import annotations

from pathlib import Path

import pytest

from benches.cleaning import defects, score, series

PAGE = Path(__file__).resolve().parents[2] / "docs" / "reference" / "cleaning.md"

needs_data = pytest.mark.skipif(
    not (series.SHARED / "dirty_bars_with_answers").is_dir(),
    reason=f"no data at {series.SHARED}: set PY_RT_SHARED_DATA",
)


@needs_data
def test_the_page_is_current() -> None:
    page = PAGE.read_text(encoding="utf-8")
    assert page == score.page_with(page, score.tables()), (
        "run: python benches/cleaning/score.py --write docs/reference/cleaning.md"
    )


def test_every_rule_that_is_measured_is_described() -> None:
    page = PAGE.read_text(encoding="utf-8").split(score.BEGIN)[0]
    missing = {rule for rule, _ in defects.PLANTS.values() if f"`{rule}`" not in page}
    assert not missing

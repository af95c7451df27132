"""Examples of guides: Python runs as it stands, in a folder that has a lake; files of features are read."""

from __future__ import annotations

import re
from datetime import date
from pathlib import Path

import polars as pl
import pytest

from py_rt.data.schemas import CLEAN_BARS, RAW_BOOK, Table
from py_rt.data.storage import DayWindow, Lake, write_window
from py_rt.ml.features.catalogue import read_features
from py_rt.ml.features.model_set import is_model_file
from py_rt.ml.features.technical import FeatureSet
from tests.tidy import sources

ASK_A_SERVICE = {"market_data"}
"""Guides whose examples read what a running service writes."""

GUIDES = [path for path in sources.with_suffix(".md") if path.parent == Path("docs/guides")]
DAYS = (date(2024, 1, 2), date(2024, 1, 3))
_BLOCK = re.compile(r"^```(\w+)\n(.*?)^```$", re.MULTILINE | re.DOTALL)


def blocks(guide: Path, language: str = "python") -> list[str]:
    return [text for of, text in _BLOCK.findall(sources.read(guide)) if of == language]


WITH_EXAMPLES = [guide for guide in GUIDES if blocks(guide)]
OFFLINE = [guide for guide in WITH_EXAMPLES if guide.stem not in ASK_A_SERVICE]


@pytest.fixture
def lake(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """The working folder of somebody whose pipeline has run: a book and clean bars, each written twice."""
    monkeypatch.chdir(tmp_path)
    for name in ("PY_RT_HOME", "PY_RT_LAKE"):
        monkeypatch.delenv(name, raising=False)
    made = Lake(str(tmp_path / ".py_rt" / "lake"))
    for table in (RAW_BOOK, CLEAN_BARS):
        for rows in (1, 2):
            uri = made.uri(table.group, table.name)
            write_window(uri, some_rows(table, rows), DayWindow(DAYS[0], DAYS[1]), scales=table.scales)


def some_rows(table: Table, count: int) -> pl.DataFrame:
    """Rows of a table's types, one more than the other in every number."""
    columns = {}
    for name, dtype in table.schema.items():
        at = pl.int_range(1, count + 1, eager=True)
        columns[name] = pl.repeat(DAYS[0], count, dtype=pl.Date, eager=True) if dtype == pl.Date else at.cast(dtype)
    return table.conform(pl.DataFrame(columns))


@pytest.mark.usefixtures("lake")
@pytest.mark.parametrize("guide", OFFLINE, ids=lambda guide: guide.stem)
def test_the_examples_of_a_guide_run(guide: Path) -> None:
    names: dict[str, object] = {"__name__": "example"}
    for block in blocks(guide):
        exec(compile(block, str(guide), "exec"), names)


@pytest.mark.parametrize("guide", WITH_EXAMPLES, ids=lambda guide: guide.stem)
def test_the_examples_of_a_guide_are_python(guide: Path) -> None:
    for block in blocks(guide):
        compile(block, str(guide), "exec")


def test_every_guide_that_is_not_run_has_examples() -> None:
    assert {guide.stem for guide in WITH_EXAMPLES} >= ASK_A_SERVICE
    assert len(OFFLINE) >= 4


def test_the_feature_files_of_the_guide_are_read(tmp_path: Path) -> None:
    files = [block for block in blocks(Path("docs/guides/features.md"), "toml") if "[[feature]]" in block]
    assert len(files) == 5
    (tmp_path / "notebook_features.py").write_text("def weekly_range(bars):\n    return bars['close']\n")
    for block in files:
        file = tmp_path / "shown.toml"
        file.write_text(block)
        if is_model_file(file):
            assert FeatureSet.from_toml(file).names
        else:
            assert read_features(file)

"""Examples that a guide shows run as they stand: Python, and files of features."""

from __future__ import annotations

import re
from pathlib import Path

import pytest

from py_rt.ml.features.catalogue import read_features
from py_rt.ml.features.model_set import is_model_file
from py_rt.ml.features.technical import FeatureSet
from tests.tidy import sources

GUIDES = [Path("docs/guides/point_in_time.md")]
_BLOCK = re.compile(r"^```(\w+)\n(.*?)^```$", re.MULTILINE | re.DOTALL)


def blocks(guide: Path, language: str = "python") -> list[str]:
    return [text for of, text in _BLOCK.findall(sources.read(guide)) if of == language]


@pytest.mark.parametrize("guide", GUIDES, ids=lambda guide: guide.stem)
def test_the_examples_of_a_guide_run(guide: Path) -> None:
    found = blocks(guide)
    assert found
    for block in found:
        exec(compile(block, str(guide), "exec"), {"__name__": "example"})


def test_the_feature_files_of_the_guide_are_read(tmp_path: Path) -> None:
    files = [block for block in blocks(Path("docs/guides/features.md"), "toml") if "[[feature]]" in block]
    assert len(files) == 4
    (tmp_path / "notebook_features.py").write_text("def weekly_range(bars):\n    return bars['close']\n")
    for block in files:
        file = tmp_path / "shown.toml"
        file.write_text(block)
        if is_model_file(file):
            assert FeatureSet.from_toml(file).names
        else:
            assert read_features(file)

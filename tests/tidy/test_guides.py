"""Examples in Python that a guide shows run as they stand."""

from __future__ import annotations

import re
from pathlib import Path

import pytest

from tests.tidy import sources

GUIDES = [Path("docs/guides/point_in_time.md")]
_BLOCK = re.compile(r"^```python\n(.*?)^```$", re.MULTILINE | re.DOTALL)


def blocks(guide: Path) -> list[str]:
    return _BLOCK.findall(sources.read(guide))


@pytest.mark.parametrize("guide", GUIDES, ids=lambda guide: guide.stem)
def test_the_examples_of_a_guide_run(guide: Path) -> None:
    found = blocks(guide)
    assert found
    for block in found:
        exec(compile(block, str(guide), "exec"), {"__name__": "example"})

"""The page of features is the one that the catalogue makes."""

from __future__ import annotations

from tests.features.page import PAGE, page


def test_the_page_is_current() -> None:
    assert PAGE.read_text(encoding="utf-8") == page(), "write it anew: python tests/features/page.py --write"

from __future__ import annotations

import pytest

from py_rt.ml.strategy_file import StrategyFileError, decided_at


@pytest.mark.parametrize(
    "text",
    [
        "",
        "parameters = 3",
        "[parameters]\nentry_threshold = 0.5",
        "[parameters]\nentry_threshold = 0.5\nexit_threshold = []",
        "[parameters]\nentry_threshold = 0.5\nexit_threshold = 'low'",
        "[parameters",
    ],
)
def test_a_file_that_does_not_say_when_it_decides_is_refused(text: str) -> None:
    with pytest.raises(StrategyFileError, match="entry_threshold and exit_threshold under"):
        decided_at(text)

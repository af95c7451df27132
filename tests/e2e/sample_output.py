"""What the demo prints of itself and README.md shows: the numbers that are the same on every machine."""

from __future__ import annotations

import re

NUMBERS = {
    "made": r"^assets      (\d+) materialisations of (\d+) assets$",
    "checks": r"^            (\d+) checks passed, (\d+) warned, (\d+) failed$",
    "scores": r"^model       out of sample, (\S+): AUC (\S+), log loss (\S+) \(a constant: (\S+)\)$",
    "return": r"^backtest    out of sample, (\S+): return (\S+), drawdown (\S+)$",
    "sharpe": r"^            Sharpe (\S+) a year; deflated for (\d+) trials: (\S+)$",
    "bars": r"^venue       bars from (\S+) on, (\S+) times as fast;",
}
"""What orders, times and keys decide is not among them."""


def numbers(text: str) -> dict[str, tuple[str, ...]]:
    """The numbers that a text shows, each kind once.

    >>> numbers("            42 checks passed, 4 warned, 0 failed\\n")
    {'checks': ('42', '4', '0')}
    """
    found = {what: re.findall(form, text, re.MULTILINE) for what, form in NUMBERS.items()}
    assert all(len(each) <= 1 for each in found.values()), found
    return {what: tuple(each[0]) for what, each in found.items() if each}

"""What a rule says of a row."""

from __future__ import annotations

from dataclasses import asdict, dataclass, field
from enum import StrEnum
from typing import Any


class Action(StrEnum):
    """What was done with a row that a rule found."""

    REPAIRED = "repaired"
    """Cells were replaced by what the rule can prove."""
    QUARANTINED = "quarantined"
    """The row is certainly wrong and no repair is proven: it stands in the quarantine file."""
    FLAGGED = "flagged"
    """The row stays as received; somebody should look."""


Cell = float | str | None
"""A cell in a finding: a number, text, or nothing."""


@dataclass(frozen=True, slots=True)
class Finding:
    """One rule's word on one row.

    Attributes:
        rule: name of the rule.
        row: data row of the input from 0; the header is none.
        time: the row's time as received.
        columns: names of the columns that are to blame.
        evidence: numbers and words that show it.
        action: what was done.
        before: cells as received, by column.
        after: cells as repaired, by column; empty unless repaired.
    """

    rule: str
    row: int
    time: str
    columns: tuple[str, ...]
    evidence: dict[str, Any]
    action: Action
    before: dict[str, Cell] = field(default_factory=dict)
    after: dict[str, Cell] = field(default_factory=dict)

    def as_json(self) -> dict[str, Any]:
        """The finding as JSON-able values; numbers that JSON cannot write are text."""
        facts = asdict(self) | {"columns": list(self.columns), "action": self.action.value}
        return {name: writable(value) for name, value in facts.items()}


def writable(value: object) -> Any:  # noqa: ANN401  # whatever JSON can hold
    """The value with what JSON has no word for as text, and floats of numpy as Python's.

    >>> writable({"a": float("-inf"), "b": (1.5, None)})
    {'a': '-inf', 'b': [1.5, None]}
    """
    if isinstance(value, dict):
        return {str(key): writable(one) for key, one in value.items()}
    if isinstance(value, list | tuple):
        return [writable(one) for one in value]
    if isinstance(value, float):
        number = float(value)
        return number if abs(number) < float("inf") else repr(number)
    return value

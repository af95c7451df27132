"""The rows of a file as arrays in order of time, and the log of what rules did to them.

Rules see numbers; the sheet remembers the row of the file behind each, so that a repair reaches exactly the cells it
names and everything else keeps its text.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import numpy as np

from py_rt.data.bar_columns import NUMBERS, PRICES
from py_rt.data.bar_numbers import bare_number, dressed_like, is_dressed, plain_number
from py_rt.data.repair.findings import Action, Cell, Finding

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence

    from numpy.typing import NDArray

    from py_rt.data.repair.bars_file import BarsFile

    Numbers = NDArray[np.float64]

SIGMA_FLOOR = 0.005
"""Least standard deviation of a bar's log return that is assumed; quotes that do not move have none."""

NOISE_REACH = 20
"""Steps on each side of a place that its noise is of."""

TICK_SAMPLE = 400
TICK_DECIMALS = 8
"""Columns with more decimals are taken for numbers in full."""

NORMAL_MAD = 1.4826
"""Median absolute deviation to standard deviation, for normal numbers."""


class Sheet:
    """Rows in order of time.

    Attributes:
        rows: row of the file at each place; places are what rules speak of.
        ns: UTC nanoseconds of each place.
        values: role to numbers; NaN where the cell is empty. A role without a column is absent.
        findings: the log.
        quarantined: rows that were set aside.
        changed: row to its repaired numbers, by role.
        retimed: row to the new text of its time, by column.
        unsure: rows that may be of another unit than most, which was not proven.
        moved_to: the rows in the order of time, when the file's own was not in order.
    """

    def __init__(self, bars: BarsFile, rows: Sequence[int], ns: NDArray[np.int64]) -> None:
        self.bars = bars
        self.rows = np.asarray(rows, dtype=np.int64)
        self.ns = np.asarray(ns, dtype=np.int64)
        self.values: dict[str, Numbers] = {}
        self.findings: list[Finding] = []
        self.quarantined: set[int] = set()
        self.changed: dict[int, dict[str, float]] = {}
        self.retimed: dict[int, dict[int, str]] = {}
        self.unsure: set[int] = set()
        self.moved_to: list[int] | None = None

    def load(self) -> None:
        """Read the numbers of the rows; what is no number is NaN (rules of values look at the text)."""
        for role in NUMBERS:
            if role not in self.bars.roles:
                continue
            texts = [self.bars.number_text(int(row), role) for row in self.rows]
            values = np.array([as_number(text) for text in texts])
            if np.isnan(values).any() and is_dressed(texts):
                self.bars.dressed.add(role)
                values = np.array([as_number(bare_number(text)) for text in texts])
            self.values[role] = values

    @property
    def height(self) -> int:
        """Number of places."""
        return len(self.rows)

    def has(self, role: str) -> bool:
        """Whether the file has a column for the role."""
        return role in self.values

    def prices(self) -> dict[str, Numbers]:
        """The prices that the file has."""
        return {role: self.values[role] for role in PRICES if role in self.values}

    def volume(self) -> Numbers:
        """Volumes; 1 everywhere for a file without them, so that every row counts as traded."""
        return self.values["volume"] if self.has("volume") else np.ones(self.height)

    def tick(self, role: str) -> float:
        """Size of the last decimal that a column writes; 0 for one that writes numbers in full."""
        if not self.has(role):
            return 0.0
        sample = self.rows[:: max(1, self.height // TICK_SAMPLE)]
        decimals = max((len(self.bars.number_text(int(row), role).partition(".")[2]) for row in sample), default=0)
        return 10.0**-decimals if decimals <= TICK_DECIMALS else 0.0

    def bar_seconds(self) -> float:
        """Median time between rows, seconds."""
        return float(np.median(np.diff(self.ns))) / 1e9 if self.height > 1 else 86_400.0

    def name(self, role: str) -> str:
        """The column's own name."""
        return self.bars.header[self.bars.roles[role]]

    def repair(self, rule: str, place: int, after: Mapping[str, float], evidence: Mapping[str, Any]) -> None:
        """Replace cells of a row by what the rule proves."""
        before: dict[str, Cell] = {self.name(role): _cell(self.values[role][place]) for role in after}
        new: dict[str, Cell] = {self.name(role): _cell(value) for role, value in after.items()}
        for role, value in after.items():
            self.values[role][place] = value
            self.changed.setdefault(int(self.rows[place]), {})[role] = value
        self._log(rule, place, tuple(after), evidence, Action.REPAIRED, before, new)

    def quarantine(self, rule: str, place: int, roles: Sequence[str], evidence: Mapping[str, Any]) -> None:
        """Set a row aside; it is gone from the places after the next `drop_quarantined`."""
        before = {self.name(role): self.bars.text(int(self.rows[place]), role) for role in roles}
        self.quarantined.add(int(self.rows[place]))
        self._log(rule, place, tuple(roles), evidence, Action.QUARANTINED, dict(before), {})

    def flag(self, rule: str, place: int, roles: Sequence[str], evidence: Mapping[str, Any]) -> None:
        """Point at a row and leave it as it is."""
        before = {self.name(role): self.bars.text(int(self.rows[place]), role) for role in roles}
        self._log(rule, place, tuple(roles), evidence, Action.FLAGGED, dict(before), {})

    def drop_quarantined(self) -> None:
        """Take the rows that were set aside out of the places."""
        keep = np.array([int(row) not in self.quarantined for row in self.rows], dtype=bool)
        if keep.all():
            return
        self.rows, self.ns = self.rows[keep], self.ns[keep]
        self.values = {role: numbers[keep] for role, numbers in self.values.items()}

    def retime(self, rule: str, place: int, text: str, ns: int, evidence: Mapping[str, Any]) -> None:
        """Replace the time of a row."""
        row = int(self.rows[place])
        self.retimed[row] = {self.bars.roles["time"]: text}
        self.ns[place] = ns
        before, after = {self.name("time"): self.bars.text(row, "time")}, {self.name("time"): text}
        self._log(rule, place, ("time",), evidence, Action.REPAIRED, dict(before), dict(after))

    def order(self) -> list[int]:
        """Rows of the file in the order in which they are written."""
        return self.moved_to if self.moved_to is not None else list(range(self.bars.height))

    def texts(self, row: int) -> dict[int, str]:
        """The repaired cells of a row as text, by column."""
        made = {}
        for role, value in self.changed[row].items():
            text = as_text(value, like=self.bars.number_text(row, role))
            like = self.bars.text(row, role)
            made[self.bars.roles[role]] = dressed_like(text, like) if role in self.bars.dressed else text
        if self.bars.has_decimal_comma:
            return {place: text.replace(".", ",") for place, text in made.items()}
        return made

    def _log(  # one finding has these parts
        self,
        rule: str,
        place: int,
        roles: tuple[str, ...],
        evidence: Mapping[str, Any],
        action: Action,
        before: dict[str, Cell],
        after: dict[str, Cell],
    ) -> None:
        row = int(self.rows[place])
        columns = tuple(self.name(role) for role in roles)
        time = self.bars.text(row, "time")
        at = self.bars.row_of_file(row)
        self.findings.append(Finding(rule, at, time, columns, dict(evidence), action, before, after))


def as_number(text: str) -> float:
    """A cell as a number; NaN where it is empty or none.

    >>> as_number("1.5"), as_number(""), as_number("n/a"), as_number("-inf")
    (1.5, nan, nan, -inf)
    """
    number = plain_number(text)
    return float("nan") if number is None else number


def as_text(value: float, like: str) -> str:
    """A number as text, without a fraction where it has none and neither had the cell it replaces.

    >>> as_text(705.0, "70540"), as_text(0.5, "1"), as_text(14.55, "0.1455")
    ('705', '0.5', '14.55')
    """
    if np.isnan(value):
        return ""
    if like.lstrip("-").isdigit() and float(value).is_integer():
        return str(round(value))
    return repr(float(value))


def _cell(value: float) -> Cell:
    return None if np.isnan(value) else float(value)


def noise(steps: Numbers, floor: float = SIGMA_FLOOR) -> float:
    """Standard deviation of log steps as if they were normal, from their median size; at least `floor`.

    >>> round(noise(np.array([0.01, -0.01, 0.01, 5.0])), 6)
    0.014826
    """
    usual = np.abs(steps[np.isfinite(steps)])
    return max(float(np.median(usual)) * NORMAL_MAD, floor) if usual.size else floor


def local_noise(steps: Numbers, place: int, reach: int = NOISE_REACH, floor: float = SIGMA_FLOOR) -> float:
    """`noise` of the steps around a place."""
    return noise(steps[max(0, place - reach) : place + reach + 1], floor)

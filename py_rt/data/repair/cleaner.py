"""The rules in their order over one file.

Order matters: a row must be a row before its time is read, its cells numbers before its prices are compared, its prices
of one unit and free of spikes before dividends are measured by them; most of what looks like a spike is a unit or a
split, so that those come before spikes.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING

import numpy as np

from py_rt.data.bar_columns import need_close
from py_rt.data.repair import (
    capital_gains,
    dividends,
    levels,
    outliers,
    quotes,
    splits,
    structure,
    swaps,
    values,
    zones,
)
from py_rt.data.repair.sheet import Sheet
from py_rt.data.repair.written import written

if TYPE_CHECKING:
    from py_rt.data.repair.bars_file import BarsFile
    from py_rt.data.repair.findings import Finding

RULES = (
    structure.sift,
    zones.align,
    structure.arrange,
    values.sift,
    levels.repair_unit_cells,
    levels.repair_units,
    splits.repair_split_cells,
    splits.repair_splits,
    swaps.repair_named_adjusted,
    swaps.repair_swapped_prices,
    swaps.repair_swapped_close,
    values.repair_crossed,
    quotes.find_crossed,
    outliers.find_stale,
    outliers.find_spikes,
    values.repair_single_ratios,
    capital_gains.repair_capital_gains,
    dividends.repair_dividends,
    values.repair_adjusted,
)
"""What is done, in this order; rows that a rule quarantines are gone for the next."""


@dataclass(frozen=True, slots=True)
class Cleaned:
    """A file after the rules.

    Attributes:
        bars: the file as read.
        findings: by row, then in the order of the rules.
        kept: rows of the clean file, in its order.
        aside: rows of the quarantine file, in the order of the file.
        changes: row to (column to its repaired text).
        clean: bytes of the clean file.
        quarantine: bytes of the quarantine file; `None` when no row is in it.
    """

    bars: BarsFile
    findings: list[Finding]
    kept: list[int]
    aside: list[int]
    changes: dict[int, dict[int, str]]
    clean: bytes
    quarantine: bytes | None


def clean(bars: BarsFile) -> Cleaned:
    """Run every rule over a file.

    Returns:
        What was found, and the clean and the quarantined rows: together the rows of the file.

    Raises:
        SourceError: the file has no closes, or is no table of bars of one instrument.
    """
    need_close(bars.header, bars.roles, bars.name)
    sheet = Sheet(bars, range(bars.height), np.zeros(bars.height, dtype=np.int64))
    for rule in RULES:
        with np.errstate(invalid="ignore", over="ignore", divide="ignore"):
            rule(sheet)
        sheet.drop_quarantined()
        if not sheet.height:  # there is nothing left to compare
            break
    kept = [row for row in sheet.order() if row not in sheet.quarantined]
    aside = sorted(sheet.quarantined)
    assert len(kept) + len(aside) == bars.height, "rows are conserved"
    changes = {row: sheet.texts(row) for row in sheet.changed if row not in sheet.quarantined}
    changes |= {row: changes.get(row, {}) | cells for row, cells in sheet.retimed.items() if row not in aside}
    out = written(bars, kept, changes)
    findings = sorted(sheet.findings, key=lambda one: one.row)
    return Cleaned(bars, findings, kept, aside, changes, out, written(bars, aside, {}) if aside else None)

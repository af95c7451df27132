"""The report of a run, as JSON."""

from __future__ import annotations

import hashlib
import json
from collections import Counter
from typing import TYPE_CHECKING, Any

from py_rt.data.bar_columns import NOTHING_GIVEN, Given
from py_rt.data.repair.bars_file import form_of, read_bars_file
from py_rt.data.repair.cleaner import clean
from py_rt.data.whole_files import write_whole
from py_rt.errors import DataError

if TYPE_CHECKING:
    from pathlib import Path

    from py_rt.data.repair.cleaner import Cleaned

SCHEMA = 1
"""Version of the report; under one no member is removed and none changes its meaning."""


def report(cleaned: Cleaned) -> dict[str, Any]:
    """What was found in a file and what became of its rows.

    Returns:
        Members: `schema`; `input` and `output` (name, sha256, rows); `quarantine` (sha256, rows); `rows` (in, out,
        quarantined, repaired); `rules` (per rule the findings of each action); `findings`.
    """
    bars = cleaned.bars
    rules: dict[str, Counter[str]] = {}
    for finding in cleaned.findings:
        rules.setdefault(finding.rule, Counter())[finding.action.value] += 1
    aside = set(cleaned.aside)
    repaired = {one.row for one in cleaned.findings if one.action.value == "repaired"}
    repaired -= {bars.row_of_file(row) for row in aside}
    quarantine = cleaned.quarantine
    facts = {"name": bars.name, "sha256": bars.sha256, "rows": bars.height, "columns": bars.header}
    if bars.chosen is not None:
        facts |= {"symbol": bars.given.symbol}
    return {
        "schema": SCHEMA,
        "input": facts,
        "output": {"sha256": hashlib.sha256(cleaned.clean).hexdigest(), "rows": len(cleaned.kept)},
        "quarantine": {
            "sha256": hashlib.sha256(quarantine).hexdigest() if quarantine is not None else None,
            "rows": len(cleaned.aside),
        },
        "rows": {
            "in": bars.height,
            "out": len(cleaned.kept),
            "quarantined": len(cleaned.aside),
            "repaired": len(repaired),
        },
        "unchanged": cleaned.clean == bars.content,
        "rules": {rule: dict(sorted(counts.items())) for rule, counts in sorted(rules.items())},
        "findings": [finding.as_json() for finding in cleaned.findings],
    }


def quarantine_path(out: Path) -> Path:
    """Where the quarantined rows go when nobody says.

    >>> from pathlib import Path
    >>> quarantine_path(Path("clean/spy.csv.gz")).as_posix()
    'clean/spy.quarantine.csv.gz'
    """
    form = form_of(out)
    return out.with_name(f"{out.name[: -len(form)]}.quarantine{out.name[-len(form) :]}")


def clean_file(
    path: Path, out: Path, report_path: Path, quarantine: Path | None = None, given: Given = NOTHING_GIVEN
) -> dict[str, Any]:
    """Clean the bars of a file into another one, and write the report and the quarantined rows beside.

    Each file is written whole; the clean one last, so that where it stands the others do.

    Args:
        path: the bars.
        out: the clean bars, of the same kind as `path` by its suffix.
        report_path: the report.
        quarantine: the quarantined rows; `None` is `quarantine_path(out)`. Not written when there are none.
        given: what the file does not say itself.

    Returns:
        The report.

    Raises:
        SourceError: the file cannot be taken.
        DataError: a file cannot be written, would overwrite another of them, or is of another kind than `path`.
    """
    aside = quarantine or quarantine_path(out)
    _check_places(path, out, report_path, aside)
    cleaned = clean(read_bars_file(path, given))
    facts = report(cleaned)
    facts["quarantine"]["name"] = aside.name if cleaned.quarantine is not None else None
    facts["output"]["name"] = out.name
    if cleaned.quarantine is not None:
        write_whole(aside, cleaned.quarantine)
    else:
        aside.unlink(missing_ok=True)
    write_whole(report_path, (json.dumps(facts, indent=1, allow_nan=False) + "\n").encode())
    write_whole(out, cleaned.clean)
    return facts


def _check_places(path: Path, out: Path, report_path: Path, aside: Path) -> None:
    for name, one in (("the clean file", out), ("the quarantine file", aside)):
        if form_of(one) != form_of(path):
            problem = f"{name} {one.name} is of another kind than {path.name}; name it *{form_of(path)}"
            raise DataError(problem)
    places = [one.resolve() for one in (path, out, report_path, aside)]
    if len(set(places)) < len(places):
        raise DataError("input, clean file, report and quarantine file must be four different files")

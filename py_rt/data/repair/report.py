"""The report of a run, as JSON."""

from __future__ import annotations

import hashlib
import json
import os
from collections import Counter
from typing import TYPE_CHECKING, Any

from py_rt.data.bar_columns import NOTHING_GIVEN, Given
from py_rt.data.repair.bars_file import form_of, out_of_memory, read_bars_file
from py_rt.data.repair.cleaner import clean
from py_rt.data.repair.forms import form_like, written_as
from py_rt.data.whole_files import check_place, write_together
from py_rt.errors import DataError

if TYPE_CHECKING:
    from pathlib import Path

    from py_rt.data.repair.cleaner import Cleaned

SCHEMA = 1
"""Version of the report; under one no member is removed and none changes its meaning."""


def report(cleaned: Cleaned, out: bytes, quarantine: bytes | None) -> dict[str, Any]:
    """What was found in a file and what became of its rows.

    Args:
        cleaned: the file after the rules.
        out: bytes of the clean file as it is written.
        quarantine: bytes of the quarantine file as it is written; `None` without one.

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
    facts = {"name": bars.name, "sha256": bars.sha256, "rows": bars.height, "columns": bars.header}
    facts |= {"rows_of_file": bars.height + bars.left_out, "left_out": bars.left_out}
    if bars.chosen is not None:
        facts |= {"symbol": bars.given.symbol}
    return {
        "schema": SCHEMA,
        "input": facts,
        "output": {"sha256": hashlib.sha256(out).hexdigest(), "rows": len(cleaned.kept)},
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
        "unchanged": out == bars.content,
        "rules": {rule: dict(sorted(counts.items())) for rule, counts in sorted(rules.items())},
        "findings": [finding.as_json() for finding in cleaned.findings],
    }


def quarantine_path(out: Path, form: str) -> Path:
    """Where the quarantined rows go when nobody says: beside the clean file, of its kind.

    Args:
        out: the clean file.
        form: the kind of the clean file when its name says none.

    >>> from pathlib import Path
    >>> quarantine_path(Path("clean/spy.csv.gz"), ".csv").as_posix(), quarantine_path(Path("spy"), ".csv").as_posix()
    ('clean/spy.quarantine.csv.gz', 'spy.quarantine.csv')
    """
    if not out.suffix:
        return out.with_name(f"{out.name}.quarantine{form}")
    named = len(out.name) - len(form_of(out))
    return out.with_name(f"{out.name[:named]}.quarantine{out.name[named:]}")


def clean_file(
    path: Path, out: Path, report_path: Path, quarantine: Path | None = None, given: Given = NOTHING_GIVEN
) -> dict[str, Any]:
    """Clean the bars of a file into another one, and write the report and the quarantined rows beside.

    The files take their places when all of them are on disk; the clean one last, so that where it stands the others do.
    Only then a quarantine file of an earlier run, of a name that nobody chose, is removed when no row is for it.

    Args:
        path: the bars.
        out: the clean bars, of the kind that its suffix says; without one, of the kind of `path`.
        report_path: the report.
        quarantine: the quarantined rows, a header alone when there are none; `None` is `quarantine_path`, and no file
            when there are none.
        given: what the file does not say itself.

    Returns:
        The report.

    Raises:
        SourceError: the file cannot be taken, the memory does not hold it, or a name is of no kind that is written.
        DataError: a file cannot be written, or would overwrite another of them; what was there stands.
    """
    try:
        return _clean_file(path, out, report_path, quarantine, given)
    except MemoryError:
        pass  # what fills the memory goes with its traceback
    raise out_of_memory(path)


def _clean_file(path: Path, out: Path, report_path: Path, quarantine: Path | None, given: Given) -> dict[str, Any]:
    aside = quarantine or quarantine_path(out, form_of(path))
    _check_places(path, out, report_path, aside)
    cleaned = clean(read_bars_file(path, given))
    bars = cleaned.bars
    rows = written_as(out, bars, cleaned.kept, cleaned.changes, typed=True)
    is_asked = quarantine is not None or bool(cleaned.aside)
    set_aside = written_as(aside, bars, cleaned.aside, {}, typed=False) if is_asked else None
    facts = report(cleaned, rows, set_aside)
    facts["quarantine"]["name"] = aside.name if set_aside is not None else None
    facts["output"]["name"] = out.name
    told = (json.dumps(facts, indent=1, allow_nan=False) + "\n").encode()
    first = [(aside, set_aside)] if set_aside is not None else []
    write_together([*first, (report_path, told), (out, rows)])
    if set_aside is None:
        _remove(aside)
    return facts


def _remove(stale: Path) -> None:
    try:
        stale.unlink(missing_ok=True)
    except OSError as error:
        problem = f"holds rows of an earlier run and cannot be removed: {error.strerror}; remove it"
        raise DataError(f"{stale} {problem}") from error


def _check_places(path: Path, out: Path, report_path: Path, aside: Path) -> None:
    form = form_of(path)
    for one in (out, aside):  # refused before the work is done
        form_like(one, form)
    for one in (out, report_path, aside):
        try:
            check_place(one)
        except OSError as error:
            raise DataError(f"{one} cannot be written: {error.strerror}; choose another place") from error
    places = [os.path.realpath(one) for one in (path, out, report_path, aside)]
    if len(set(places)) < len(places):
        raise DataError("input, clean file, report and quarantine file must be four different files")

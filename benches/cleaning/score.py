"""Precision and recall of the rules that clean bars, on broken bars with answers and on defects planted in good ones.

    python benches/cleaning/score.py                                     print the tables
    python benches/cleaning/score.py --write docs/reference/cleaning.md  replace them in the page
    python benches/cleaning/score.py --check docs/reference/cleaning.md  end with 1 when the page is not current

Reads the shared data (PY_RT_SHARED_DATA). The same data and seed give the same tables.
"""

from __future__ import annotations

import argparse
import gzip
import sys
import zlib
from collections import Counter
from dataclasses import dataclass, field
from pathlib import Path
from typing import TYPE_CHECKING

import numpy as np

from benches.cleaning import series
from benches.cleaning.defects import PLANTS, Row, Table, table
from py_rt.data.bar_columns import NUMBERS
from py_rt.data.repair.bars_file import parse_bars, read_bars_file
from py_rt.data.repair.cleaner import clean

if TYPE_CHECKING:
    import polars as pl

    from py_rt.data.repair.cleaner import Cleaned

SEED = 20_240_405
TOLERANCE = 1e-2
BEGIN, END = "<!-- scores: begin -->", "<!-- scores: end -->"
SERIES_OF_STOCKNET = 12
PARTS = 2
"""Parts of each daily series that defects are planted in, the newest first."""


@dataclass(slots=True)
class Tally:
    """Counts of one rule, or of one defect.

    Attributes:
        planted: defects there were.
        found: of these, ones the rule spoke of.
        right: of these, ones whose every cell is as before, or whose row is set aside where nothing can be proven.
        touched: rows that the rule repaired or set aside.
        touched_wrongly: of these, rows in which nothing was wrong.
        files: in how many files.
    """

    planted: int = 0
    found: int = 0
    right: int = 0
    touched: int = 0
    touched_wrongly: int = 0
    files: int = 0

    def cells(self) -> list[str]:
        """As cells of a table."""
        precision = f"{1 - self.touched_wrongly / self.touched:.3f}" if self.touched else "-"
        recall = f"{self.found / self.planted:.3f}" if self.planted else "-"
        right = f"{self.right / self.planted:.3f}" if self.planted else "-"
        return [str(self.files), str(self.planted), recall, right, precision]


@dataclass(slots=True)
class Score:
    """All counts."""

    defects: dict[str, Tally] = field(default_factory=dict)
    rules: dict[str, Tally] = field(default_factory=dict)
    good_rows: int = 0
    good_files: int = 0
    false_alarms: Counter[str] = field(default_factory=Counter)
    good_flags: Counter[str] = field(default_factory=Counter)


def close_enough(cells: Row, wanted: Row) -> bool:
    """Whether the cells are the wanted ones, numbers within the tolerance."""
    if len(cells) != len(wanted):
        return False
    for one, other in zip(cells, wanted, strict=True):
        if one == other:
            continue
        try:
            if abs(float(one) - float(other)) <= TOLERANCE * abs(float(other)):
                continue
        except ValueError:
            pass
        return False
    return True


def result_rows(cleaned: Cleaned) -> dict[int, Row]:
    """Row of the input to its cells in the clean file."""
    out = parse_bars("out.csv", ".csv", cleaned.clean)
    return dict(zip(cleaned.kept, out.cells, strict=True))


def judge_planted(defect: str, rule: str, bars: Table, score: Score) -> None:
    """Clean a table with planted defects and count."""
    cleaned = clean(parse_bars(defect, ".csv", bars.text().encode()))
    rows = result_rows(cleaned)
    spoken = {one.row for one in cleaned.findings if one.rule == rule}
    for tally in (score.defects.setdefault(defect, Tally()), score.rules.setdefault(rule, Tally())):
        tally.files += 1
        tally.planted += len(bars.events)
        tally.found += sum(bool(spoken & set(event)) for event in bars.events)
        tally.right += sum(all(_is_right(row, bars, rows) for row in event) for event in bars.events)
    for finding in {(one.rule, one.row) for one in cleaned.findings if one.action.value != "flagged"}:
        wrongly = finding[1] not in bars.truth
        tally = score.rules.setdefault(finding[0], Tally())
        tally.touched += 1
        tally.touched_wrongly += wrongly
        score.defects[defect].touched += 1
        score.defects[defect].touched_wrongly += wrongly


def _is_right(row: int, bars: Table, rows: dict[int, Row]) -> bool:
    if row not in bars.truth:
        return True
    wanted = bars.truth[row]
    if wanted is None:
        return row not in rows
    return row in rows and close_enough(rows[row], wanted)


def plant_everything(score: Score) -> None:
    """Each defect in each good series that has what it takes."""
    of_stocknet = 0
    for name, bars in series.good():
        cleaned = clean(parse_bars(name, ".csv", bars.write_csv().encode()))
        score.good_files += 1
        score.good_rows += bars.height
        aside = {one.row for one in cleaned.findings if one.action.value != "flagged"}
        for finding in cleaned.findings:
            counter = score.good_flags if finding.action.value == "flagged" else score.false_alarms
            counter[finding.rule] += 1
        of_stocknet += name.startswith("stocknet")
        if name.startswith(series.RESTAMPED) or (name.startswith("stocknet") and of_stocknet > SERIES_OF_STOCKNET):
            continue
        usable = bars.filter(~np.isin(np.arange(bars.height), sorted(aside)))
        for part in range(PARTS if name.startswith("daily") else 1):
            ground = usable[: usable.height - part * series.PLANTED_ROWS].tail(series.PLANTED_ROWS)
            if ground.height == series.PLANTED_ROWS or part == 0:
                _plant_in(f"{name} {part}", ground, score)


def _plant_in(name: str, ground: pl.DataFrame, score: Score) -> None:
    for defect, (rule, plant) in PLANTS.items():
        planted = table(ground)
        rng = np.random.default_rng([SEED, zlib.crc32(f"{name} {defect}".encode())])
        if plant(planted, rng) and planted.events:
            judge_planted(defect, rule, planted, score)


# --- the broken bars with answers ------------------------------------------------------------------------------------


@dataclass(frozen=True, slots=True)
class Answered:
    """One broken file beside its answer."""

    kind: str
    cells_wrong: int
    cells_right: int
    cells_touched: int
    cells_touched_wrongly: int


def _matrix(content: bytes) -> tuple[list[str], list[dict[str, float]]]:
    bars = parse_bars("bars", ".csv", content)
    rows = []
    for row in range(bars.height):
        texts = {role: bars.text(row, role) for role in NUMBERS if role in bars.roles}
        rows.append({role: float(text) if text else float("nan") for role, text in texts.items()})
    return [bars.text(row, "time") for row in range(bars.height)], rows


def _same(one: float, other: float) -> bool:
    return (np.isnan(one) and np.isnan(other)) or abs(one - other) <= TOLERANCE * abs(other)


def judge_answer(path: Path) -> Answered:
    """Clean a broken file, and count cells against its answer."""
    cleaned = clean(read_bars_file(path))
    answer = path.with_name(path.name.replace(".csv.gz", "-fixed.csv.gz"))
    received = _matrix(gzip.decompress(path.read_bytes()))[1]
    times, wanted = _matrix(gzip.decompress(answer.read_bytes()))
    got_times, got = _matrix(gzip.decompress(cleaned.clean))
    by_time = dict(zip(got_times, got, strict=True))
    wrong = right = touched = wrongly = 0
    for time, before, want in zip(times, received, wanted, strict=True):
        now = by_time.get(time)
        for role in before:
            is_right = now is not None and _same(now[role], want[role])
            was_right = _same(before[role], want[role])
            changed = now is None or not (now[role] == before[role] or (np.isnan(now[role]) and np.isnan(before[role])))
            wrong += not was_right
            right += not was_right and is_right
            touched += changed
            wrongly += changed and not is_right
    kind = path.name.split(".")[0].partition("-1")[2].partition("-")[2]
    return Answered(kind, wrong, right, touched, wrongly)


def answered_table(folder: Path) -> str:
    """The judge's files, by kind."""
    lines = ["| kind | files | cells to repair | repaired right | recall | precision |", "|---|---|---|---|---|---|"]
    broken = [path for path in sorted(folder.glob("*.csv.gz")) if path.with_name(_answer_name(path)).exists()]
    kinds: dict[str, list[Answered]] = {}
    for path in broken:
        result = judge_answer(path)
        kinds.setdefault(result.kind, []).append(result)
    for kind, results in sorted(kinds.items()):
        wrong, right = sum(one.cells_wrong for one in results), sum(one.cells_right for one in results)
        touched = sum(one.cells_touched for one in results)
        wrongly = sum(one.cells_touched_wrongly for one in results)
        figures = f"{right / wrong:.4f} | {1 - wrongly / touched:.4f}"
        lines.append(f"| {kind} | {len(results)} | {wrong} | {right} | {figures} |")
    controls = [path for path in sorted(folder.glob("*.csv.gz")) if path not in broken]
    unchanged = sum(clean(read_bars_file(path)).clean == path.read_bytes() for path in controls)
    lines.append("")
    lines.append(f"Clean files (answers and controls) that come back byte for byte: {unchanged} of {len(controls)}.")
    return "\n".join(lines)


def _answer_name(path: Path) -> str:
    return path.name.replace(".csv.gz", "-fixed.csv.gz")


# --- the page --------------------------------------------------------------------------------------------------------


def planted_tables(score: Score) -> str:
    """By defect, by rule, and the false alarms on good bars."""
    head = "files | planted | found | restored | precision |"
    lines = [f"| defect | rule | {head}", "|---|---|---|---|---|---|---|"]
    for defect, (rule, _) in PLANTS.items():
        if defect in score.defects:
            lines.append(f"| {defect} | `{rule}` | {' | '.join(score.defects[defect].cells())} |")
    lines += ["", f"| rule | {head}", "|---|---|---|---|---|---|"]
    lines += [f"| `{rule}` | {' | '.join(tally.cells())} |" for rule, tally in sorted(score.rules.items())]
    alarms = ", ".join(f"`{rule}` {count}" for rule, count in sorted(score.false_alarms.items())) or "none"
    flags = ", ".join(f"`{rule}` {count}" for rule, count in sorted(score.good_flags.items())) or "none"
    lines += ["", f"On the {score.good_files} good series themselves ({score.good_rows} rows), nothing planted:"]
    lines += [f"rows repaired or set aside: {alarms}; flagged: {flags}."]
    return "\n".join(lines)


def tables() -> str:
    """Everything that stands between the marks of the page."""
    score = Score()
    plant_everything(score)
    return "\n".join(
        [
            "### Broken bars with answers",
            "",
            answered_table(series.SHARED / "dirty_bars_with_answers"),
            "",
            f"### Defects planted in good bars (seed {SEED})",
            "",
            planted_tables(score),
        ]
    )


def page_with(page: str, text: str) -> str:
    """A page with the tables between its marks."""
    before, rest = page.split(BEGIN, 1)
    after = rest.split(END, 1)[1]
    return f"{before}{BEGIN}\n\n{text}\n\n{END}{after}"


def main() -> int:
    """Print, write or check the tables."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--write", type=Path)
    parser.add_argument("--check", type=Path)
    arguments = parser.parse_args()
    text = tables()
    page: Path | None = arguments.write or arguments.check
    if page is None:
        print(text)
        return 0
    old = page.read_text(encoding="utf-8")
    new = page_with(old, text)
    if arguments.write:
        page.write_text(new, encoding="utf-8")
        return 0
    return int(old != new)


if __name__ == "__main__":
    sys.exit(main())

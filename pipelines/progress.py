"""Progress of runs as lines: plain dictionaries for machines, one line of text each for people.

Every line has `event`; the others depend on it:

=================  ================================================================================================
`run_started`      `run_id`, `assets` (names), `partitions` (`A...B`, or null)
`step_started`     `step`, `kind` (`asset` or `check`)
`log`              `step`, `level`, `message`: what an asset said
`step_finished`    `step`, `kind`, `seconds`; of an asset also `partitions` made, `rows`, `delta_version`
`check`            `asset`, `check`, `passed`, `severity` (`ERROR`, `WARN`), `blocking`, `seconds`, `description` (or
                   null), `metadata`
`step_failed`      `step`, `kind`, `seconds`, `error`
`run_finished`     `run_id`, `success`, `seconds`
`reused`           `asset`, `partitions` (`A...B, C`, or null), `unit` (`day`, `month`, or null), `count`
`stale`            as `reused`, and `reason`: why these partitions are made again
`summary`          last of all: `success`, `runs`, `assets`, `materializations`, `checks_passed`, `checks_warned`,
                   `checks_failed`, `steps_failed`, `not_made`, `reused`, `reused_assets`, `seconds`
=================  ================================================================================================
"""

from __future__ import annotations

import logging
import re
from collections import Counter
from typing import TYPE_CHECKING, Any

import dagster as dg
from dagster import DagsterEventType

if TYPE_CHECKING:
    from collections.abc import Callable, Mapping

    from dagster._core.events import DagsterEvent
    from dagster._core.events.log import EventLogEntry

Line = dict[str, Any]

MAX_METADATA_CHARS = 500
"""Longest text of one metadata value in a line; pictures stay in the event log."""


class RunProgress:
    """Turns the events of one run into lines and counts."""

    def __init__(self, assets: set[str], emit: Callable[[Line], None]) -> None:
        """Listen for nothing yet.

        Args:
            assets: names of the run's assets; any other step is a check.
            emit: called with every line.
        """
        self._assets = assets
        self._emit = emit
        self._started: dict[str, float] = {}
        self._made: dict[str, Line] = {}
        self._partitions: Counter[str] = Counter()
        self._check_failed_in: set[str] = set()
        self.made: Counter[str] = Counter()
        self.checks: Counter[str] = Counter()
        self.checks_failed: list[str] = []
        self.steps_failed: list[str] = []

    def listen(self, entry: EventLogEntry) -> None:
        """Take one event of the run's log."""
        if not entry.is_dagster_event:
            level = logging.getLevelName(entry.level).lower() if isinstance(entry.level, int) else str(entry.level)
            if entry.step_key:
                self._emit({"event": "log", "step": entry.step_key, "level": level, "message": entry.user_message})
            return
        event = entry.get_dagster_event()
        step = event.step_key or ""
        match event.event_type:
            case DagsterEventType.STEP_START:
                self._started[step] = entry.timestamp
                self._emit({"event": "step_started", "step": step, "kind": self._kind(step)})
            case DagsterEventType.ASSET_MATERIALIZATION:
                self._materialized(event)
            case DagsterEventType.ASSET_CHECK_EVALUATION:
                self._checked(event, entry.timestamp)
            case DagsterEventType.STEP_SUCCESS if self._kind(step) == "asset":
                self._finished(step, entry.timestamp)
            case DagsterEventType.STEP_FAILURE:
                self._failed(event, entry.timestamp)
            case _:
                pass

    def _kind(self, step: str) -> str:
        return "asset" if step in self._assets else "check"

    def _seconds(self, step: str, now: float) -> float:
        return round(now - self._started.get(step, now), 3)

    def _materialized(self, event: DagsterEvent) -> None:
        made = event.step_materialization_data.materialization
        name = made.asset_key.to_user_string()
        self.made[name] += 1
        self._partitions[event.step_key or name] += 1
        shown = {key: made.metadata[key].value for key in ("rows", "delta_version") if key in made.metadata}
        self._made[event.step_key or name] = shown

    def _checked(self, event: DagsterEvent, now: float) -> None:
        found = event.asset_check_evaluation_data
        step = event.step_key or ""
        severity = found.severity.value
        outcome = "passed" if found.passed else ("failed" if severity == "ERROR" else "warned")
        self.checks[outcome] += 1
        name = f"{found.asset_key.to_user_string()}:{found.check_name}"
        if outcome == "failed":
            self.checks_failed.append(name)
            self._check_failed_in.add(step)
        self._emit(
            {
                "event": "check",
                "asset": found.asset_key.to_user_string(),
                "check": found.check_name,
                "passed": found.passed,
                "severity": severity,
                "blocking": bool(found.blocking),
                "seconds": self._seconds(step, now),
                "description": found.description,
                "metadata": plain_metadata(found.metadata),
            }
        )

    def _finished(self, step: str, now: float) -> None:
        line: Line = {"event": "step_finished", "step": step, "kind": "asset", "seconds": self._seconds(step, now)}
        self._emit({**line, "partitions": self._partitions[step], **self._made.get(step, {})})

    def _failed(self, event: DagsterEvent, now: float) -> None:
        step = event.step_key or ""
        if step in self._check_failed_in:
            return  # a blocking check fails its step too; the check was reported
        error = event.step_failure_data.error
        while error is not None and error.cause is not None:
            error = error.cause
        self.steps_failed.append(step)
        message = error.message.strip() if error is not None else event.message or ""
        kind, seconds = self._kind(step), self._seconds(step, now)
        self._emit({"event": "step_failed", "step": step, "kind": kind, "seconds": seconds, "error": message})


def plain_metadata(metadata: Mapping[str, dg.MetadataValue]) -> Line:
    """Metadata as JSON values, long texts cut.

    >>> plain_metadata({"rows": dg.MetadataValue.int(3), "note": dg.MetadataValue.text("x" * 600)})["rows"]
    3
    """
    plain: Line = {}
    for key, item in metadata.items():
        value = item.value
        if isinstance(value, str) and len(value) > MAX_METADATA_CHARS:
            value = value[:MAX_METADATA_CHARS] + "..."
        plain[key] = value if isinstance(value, bool | int | float | str | list | dict | None) else str(value)
    return plain


def text_line(line: Line) -> str | None:
    """One line for people, or `None` for what they need not see.

    >>> text_line(
    ...     {
    ...         "event": "step_finished",
    ...         "step": "raw_bars",
    ...         "kind": "asset",
    ...         "seconds": 0.4,
    ...         "partitions": 94,
    ...         "rows": 8721,
    ...     }
    ... )
    '  raw_bars                     0.40 s  8721 rows, 94 partitions'
    >>> text_line({"event": "step_started", "step": "raw_bars", "kind": "asset"})
    """
    form = _FORMS.get(line["event"])
    return form(line) if form is not None else None


def _run_started(line: Line) -> str:
    return f"run {line['run_id'][:8]}: {', '.join(line['assets'])} [{line['partitions'] or 'no partitions'}]"


def _partitions(line: Line) -> str:
    """Partitions in words, a month without its first day."""
    shown = line["partitions"] or ""
    return re.sub(r"(\d{4}-\d{2})-01", r"\1", shown) if line["unit"] == "month" else shown


def _reused(line: Line) -> str:
    return f"reused {line['asset']} {_partitions(line)}".rstrip()


def _stale(line: Line) -> str:
    part = f"{line['asset']} {_partitions(line)}".rstrip()
    return f"{part}: {line['reason']}"


def _step_finished(line: Line) -> str:
    return f"  {line['step']:<26} {line['seconds']:6.2f} s  {_made(line)}".rstrip()


def _step_failed(line: Line) -> str:
    return f"  {line['step']:<26} {line['seconds']:6.2f} s  FAILED: {line['error']}"


def _log(line: Line) -> str | None:
    loud = line["level"] in {"warning", "error", "critical"}
    return f"  {line['step']}: {line['level']}: {line['message']}" if loud else None


def _check(line: Line) -> str:
    mark = "ok" if line["passed"] else ("FAILED" if line["severity"] == "ERROR" else "warning")
    shown = "" if line["passed"] else f"  {_why(line)}"
    return f"    {line['asset'] + ':' + line['check']:<44} {mark}{shown}".rstrip()


def _why(line: Line) -> str:
    """What a check says of what it found, and by which numbers.

    >>> _why({"description": "too few rows", "metadata": {"rows": 3, "wanted": 5}})
    'too few rows; rows 3, wanted 5'
    >>> _why({"description": "no key here", "metadata": {}})
    'no key here'
    """
    numbers = ", ".join(f"{name} {value}" for name, value in line["metadata"].items())
    return "; ".join(filter(None, [line["description"], numbers]))


def _made(line: Line) -> str:
    parts = [f"{line['rows']} rows"] if "rows" in line else []
    parts += [f"{line['partitions']} partitions"] if line.get("partitions", 0) > 1 else []
    parts += [f"version {line['delta_version']}"] if "delta_version" in line else []
    return ", ".join(parts)


def _summary(line: Line) -> str:
    checks = (
        f"{line['checks_passed']} checks passed, {line['checks_warned']} warned, {len(line['checks_failed'])} failed"
    )
    made = f"{line['materializations']} materializations of {line['assets']} assets in {len(line['runs'])} runs"
    end = "" if line["success"] else f"; FAILED: {', '.join(line['steps_failed'] + line['checks_failed'])}"
    missing = f"; not made: {', '.join(line['not_made'])}" if line["not_made"] else ""
    reused = f"{line['reused']} reused, " if line["reused"] else ""
    return f"{made}, {reused}{checks}, {line['seconds']:.1f} s{end}{missing}"


_FORMS: Mapping[str, Callable[[Line], str | None]] = {
    "run_started": _run_started,
    "reused": _reused,
    "stale": _stale,
    "step_finished": _step_finished,
    "step_failed": _step_failed,
    "check": _check,
    "log": _log,
    "summary": _summary,
}

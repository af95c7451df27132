"""Failed runs, written down: one JSON object per failed step in `<home>/failures.jsonl`."""

from __future__ import annotations

import json
import os
from dataclasses import asdict, dataclass
from datetime import UTC, datetime
from typing import TYPE_CHECKING

from pipelines.jobs import deploy

if TYPE_CHECKING:
    from collections.abc import Sequence
    from pathlib import Path

    import dagster as dg
    from dagster_shared.error import SerializableErrorInfo

ERROR_CHARS_MAX = 2_000
PARTITION_TAG = "dagster/partition"
FILE_MODE = 0o600
_AROUND = ("Dagster", "RetryRequested")


@dataclass(frozen=True)
class Failure:
    """A failed step, or a run that failed without one.

    Attributes:
        ts: when it failed, UTC, ISO 8601.
        job: name of the job.
        run_id: Dagster's.
        step: the step that failed; `None` when the run failed outside of one.
        partition: the run's partition, where it has one.
        error: what was said.
        what_to_do: next.
    """

    ts: str
    job: str
    run_id: str
    step: str | None
    partition: str | None
    error: str
    what_to_do: str

    def text(self) -> str:
        """One line for people.

        >>> Failure("2026-01-01T00:00:00+00:00", "deploy", "a1", "deployed_bundle", None, "no", "Wait.").text()
        'run a1 of deploy failed in deployed_bundle: no. Wait.'
        """
        of = f" [{self.partition}]" if self.partition else ""
        where = f" in {self.step}" if self.step else ""
        return f"run {self.run_id} of {self.job}{of} failed{where}: {self.error.rstrip('.')}. {self.what_to_do}"


def lines_of(run: dg.DagsterRun, failed: dg.DagsterEvent, steps: Sequence[dg.DagsterEvent]) -> list[Failure]:
    """What is to be written down of a failed run.

    Args:
        run: that failed.
        failed: the event that ended it.
        steps: the events of steps that failed.
    """
    found = [(step.step_key, reason_of(step.step_failure_data.error)) for step in steps]
    if not found:
        data = failed.event_specific_data
        found = [(None, reason_of(getattr(data, "error", None)) or failed.message or "no message")]
    ts = datetime.now(UTC).isoformat(timespec="milliseconds")
    partition = run.tags.get(PARTITION_TAG)
    return [
        Failure(ts, run.job_name, run.run_id, step, partition, error[:ERROR_CHARS_MAX], _next(run, step, partition))
        for step, error in found
    ]


def _next(run: dg.DagsterRun, step: str | None, partition: str | None) -> str:
    look = f"See the run: `py_rt ui`, then http://127.0.0.1:3000/runs/{run.run_id}"
    if step is None:
        return f"{look}; launch it again when its cause is gone."
    if run.job_name == deploy.name:
        return (
            "While the approval stands, the sensor asks again when the service was started anew, "
            f"or when a newer one is approved: `py_rt bundle approve`. {look}."
        )
    of = f" --partition {partition}" if partition else ""
    return f"When the cause is gone: `py_rt run --select {step}{of}`. {look}."


def reason_of(error: SerializableErrorInfo | None) -> str:
    """What our code or a library said, without Dagster's own words around it."""
    while error is not None and error.cause is not None and (error.cls_name or "").startswith(_AROUND):
        error = error.cause
    if error is None:
        return ""
    said = error.message.strip()
    before, found, message = said.partition(f"{error.cls_name}: ")
    return message if found and " " not in before else said


def write_down(path: Path, line: Failure) -> None:
    """Append a line, whole even when several processes write: one `write` to a file opened for appending."""
    path.parent.mkdir(parents=True, exist_ok=True)
    content = (json.dumps(asdict(line), ensure_ascii=False) + "\n").encode()
    descriptor = os.open(path, os.O_WRONLY | os.O_APPEND | os.O_CREAT | os.O_CLOEXEC, FILE_MODE)
    try:
        os.write(descriptor, content)
    finally:
        os.close(descriptor)

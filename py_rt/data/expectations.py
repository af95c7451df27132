"""Great Expectations suites from `config/expectations/`, run on small samples in a process of their own.

Great Expectations takes seconds and 300 MB to import. So :func:`validate` imports it inside, and
:class:`ExpectationRunner` runs it in a child process that can be started early and imports while other work goes on.
The child reads requests from standard input and writes a report for each to standard output, a line of JSON each.

A suite is a JSON file `{"name": ..., "expectations": [{"type": ..., "kwargs": {...}}, ...]}`; types and arguments are
those of Great Expectations.
"""

from __future__ import annotations

import json
import os
import selectors
import subprocess
import sys
import tempfile
import time
from dataclasses import asdict, dataclass
from datetime import date
from typing import TYPE_CHECKING, Any

from py_rt.defaults import default_root
from py_rt.errors import DataError

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence
    from pathlib import Path

    import polars as pl

TIMEOUT_SECONDS = 180
"""Longest a suite may take, import included."""

MAX_ROWS = 50_000
"""Most rows of one sample; whole tables are checked in Polars."""

MAX_EXAMPLES = 5
"""Unexpected values shown per broken expectation."""

_PIPE_BYTES = 65_536

_OFF = {"GX_ANALYTICS_ENABLED": "false", "TQDM_DISABLE": "1"}


@dataclass(frozen=True, slots=True)
class Outcome:
    """One expectation's result; `unexpected` counts rows where the expectation counts any."""

    expectation: str
    success: bool
    unexpected: int
    examples: list[str]


@dataclass(frozen=True, slots=True)
class Report:
    """A suite's result on one sample."""

    suite: str
    rows: int
    outcomes: list[Outcome]

    @property
    def success(self) -> bool:
        """Whether every expectation was met."""
        return all(outcome.success for outcome in self.outcomes)


class ExpectationError(DataError):
    """A suite that cannot be read or run."""


def load_suite(name: str, folder: Path | None = None) -> dict[str, Any]:
    """Read a suite.

    Args:
        name: file name without `.json`.
        folder: where suites lie; `None` is the shipped `config/expectations`.

    Raises:
        ExpectationError: the file is absent, no JSON or not of the form of a suite.
    """
    path = (folder or default_root() / "config" / "expectations") / f"{name}.json"
    try:
        suite = json.loads(path.read_text(encoding="utf-8"))
    except OSError as error:
        raise ExpectationError(f"expectation suite {path} cannot be read: {error.strerror}") from error
    except json.JSONDecodeError as error:
        raise ExpectationError(f"{path}:{error.lineno}: is no JSON: {error.msg}") from error
    listed = suite.get("expectations") if isinstance(suite, dict) else None
    well_formed = isinstance(listed, list) and all(
        isinstance(item, dict) and isinstance(item.get("type"), str) and isinstance(item.get("kwargs"), dict)
        for item in listed
    )
    if not well_formed or not listed or not isinstance(suite.get("name"), str):
        raise ExpectationError(
            f'{path}: wanted {{"name": ..., "expectations": [{{"type": ..., "kwargs": {{...}}}}, ...]}}'
        )
    return dict(suite)


def validate(columns: Mapping[str, Sequence[object]], suite: Mapping[str, Any]) -> Report:
    """Run a suite on columns of values, in this process.

    Raises:
        ExpectationError: an expectation is unknown, has wrong arguments, or failed to run.
    """
    os.environ |= _OFF  # read by the library when it is imported
    import great_expectations as gx
    import pandas as pd
    from great_expectations.data_context.types.base import ProgressBarsConfig
    from great_expectations.exceptions.exceptions import GreatExpectationsError

    frame = pd.DataFrame(dict(columns))
    context = gx.get_context(mode="ephemeral")
    context.variables.progress_bars = ProgressBarsConfig(globally=False)
    batch = (
        context.data_sources.add_pandas("sample")
        .add_dataframe_asset("rows")
        .add_batch_definition_whole_dataframe("all")
        .get_batch({"dataframe": frame})
    )
    wanted = [{"type": item["type"], "kwargs": dict(item["kwargs"])} for item in suite["expectations"]]
    try:
        result = batch.validate(gx.ExpectationSuite(name=str(suite["name"]), expectations=wanted))
    except (GreatExpectationsError, TypeError, ValueError) as error:
        raise ExpectationError(f"suite {suite['name']} cannot be run: {error}") from error
    name = str(suite["name"])
    outcomes = [_outcome(name, item) for item in result.results]
    if len(outcomes) != len(wanted):
        # The library logs an expectation that it does not know, and goes on without it.
        known = {outcome.expectation.partition("(")[0] for outcome in outcomes}
        missing = sorted({str(item["type"]) for item in wanted} - known)
        raise ExpectationError(f"suite {name}: Great Expectations knows no {', '.join(missing)}")
    return Report(name, len(frame), outcomes)


def _outcome(suite: str, item: Any) -> Outcome:  # noqa: ANN401  # the library's results are untyped
    arguments = {key: value for key, value in item.expectation_config.kwargs.items() if key != "batch_id"}
    shown = f"{item.expectation_config.type}({', '.join(f'{key}={value}' for key, value in sorted(arguments.items()))})"
    # Either one record of an exception, or one per metric that could not be computed.
    raised = item.exception_info or {}
    records = [raised] if "raised_exception" in raised else list(raised.values())
    for record in records:
        if record.get("raised_exception"):
            raise ExpectationError(f"suite {suite}: {shown} failed to run: {record['exception_message']}")
    result = item.result or {}
    examples = [_shown(value) for value in (result.get("partial_unexpected_list") or [])[:MAX_EXAMPLES]]
    if not item.success and not examples and "observed_value" in result:
        examples = [str(result["observed_value"])]
    return Outcome(shown, bool(item.success), int(result.get("unexpected_count") or 0), examples)


def _shown(value: object) -> str:
    return ", ".join(map(str, value)) if isinstance(value, tuple | list) else str(value)


class ExpectationRunner:
    """Runs suites in one child process, which may be started ahead of the first request and answers one after another.

    >>> ExpectationRunner().has_child
    False
    """

    def __init__(self) -> None:
        """Start nothing yet."""
        self._child: _Child | None = None

    @property
    def has_child(self) -> bool:
        """Whether a child was started and waits for requests."""
        return self._child is not None

    def warm_up(self) -> None:
        """Start a child that imports the library now; :meth:`validate` uses it."""
        if self._child is None:
            self._child = _Child()

    def validate(self, frame: pl.DataFrame, suite: Mapping[str, Any]) -> Report:
        """Run a suite on the rows of a frame.

        Raises:
            ExpectationError: the suite cannot be run, the sample is too large, or the child took too long.
        """
        if frame.height > MAX_ROWS:
            raise ExpectationError(f"the sample has {frame.height} rows, at most {MAX_ROWS} are run through a suite")
        self.warm_up()
        child = self._child
        assert child is not None
        request = json.dumps({"suite": dict(suite), "columns": frame.to_dict(as_series=False)}, default=_plain)
        try:
            answer = json.loads(child.ask(request.encode(), TIMEOUT_SECONDS))
        except TimeoutError as error:
            self.close()
            raise ExpectationError(f"suite {suite['name']} took longer than {TIMEOUT_SECONDS} s") from error
        except (OSError, EOFError) as error:
            complaint = child.complaint()
            self.close()
            raise ExpectationError(f"suite {suite['name']} ended with: {complaint}") from error
        if "error" in answer:
            raise ExpectationError(answer["error"])
        return Report(answer["suite"], answer["rows"], [Outcome(**outcome) for outcome in answer["outcomes"]])

    def close(self) -> None:
        """End the child."""
        if self._child is not None:
            self._child.end()
            self._child = None


def _plain(value: object) -> object:
    if isinstance(value, date):
        return value.isoformat()
    raise TypeError(f"{type(value).__name__} has no JSON form")


class _Child:
    """The process in which the library lives: a line in, a line out."""

    def __init__(self) -> None:
        path = os.pathsep.join(entry for entry in sys.path if entry)
        self._complaints = tempfile.TemporaryFile()  # noqa: SIM115  # lives as long as the child
        self._process = subprocess.Popen(
            [sys.executable, "-m", "py_rt.data.expectations"],
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
            stderr=self._complaints,
            env={**os.environ, **_OFF, "PYTHONPATH": path},
            bufsize=0,
        )

    def ask(self, request: bytes, timeout_seconds: float) -> bytes:
        """Send one line and wait for one; neither side waits while the other one does.

        Raises:
            TimeoutError: it took too long.
            OSError: the child no longer reads.
            EOFError: the child ended without an answer.
        """
        stdin, stdout = self._process.stdin, self._process.stdout
        assert stdin is not None
        assert stdout is not None
        until = time.monotonic() + timeout_seconds
        unsent, answer = memoryview(request + b"\n"), bytearray()
        os.set_blocking(stdin.fileno(), False)
        with selectors.DefaultSelector() as ready:
            ready.register(stdout, selectors.EVENT_READ)
            ready.register(stdin, selectors.EVENT_WRITE)
            while not answer.endswith(b"\n"):
                events = ready.select(max(0.0, until - time.monotonic()))
                if time.monotonic() > until:
                    raise TimeoutError
                for key, _ in events:
                    if key.fileobj is stdin:
                        unsent = unsent[os.write(stdin.fileno(), unsent[:_PIPE_BYTES]) :]
                        if not unsent:
                            ready.unregister(stdin)
                        continue
                    received = os.read(stdout.fileno(), _PIPE_BYTES)
                    if not received:
                        raise EOFError
                    answer += received
        return bytes(answer)

    def complaint(self) -> str:
        """The end of what the child wrote to standard error."""
        self._complaints.seek(0)
        return self._complaints.read().decode(errors="replace").strip()[-2_000:]

    def end(self) -> None:
        """Stop the child and forget what it wrote."""
        self._process.kill()
        self._process.communicate()
        self._complaints.close()


def _serve() -> int:
    """Be the child: import, then answer each line with one, until there are no more. Returns the exit status."""
    os.environ |= _OFF
    # Whatever else prints goes where complaints go: the answers are alone on their pipe.
    answers = os.fdopen(os.dup(sys.stdout.fileno()), "w", encoding="utf-8")
    os.dup2(sys.stderr.fileno(), sys.stdout.fileno())
    import great_expectations  # noqa: F401  # imported before the request comes: that is what the child is for

    for line in sys.stdin:
        request = json.loads(line)
        try:
            answer = asdict(validate(request["columns"], request["suite"]))
        except ExpectationError as error:
            answer = {"error": str(error)}
        answers.write(json.dumps(answer) + "\n")
        answers.flush()
    return 0


if __name__ == "__main__":
    sys.exit(_serve())

"""Materialising in this process: the wish becomes runs, the runs report line by line, and a summary is left."""

from __future__ import annotations

import os
import time
import uuid
from collections import Counter
from contextlib import nullcontext
from dataclasses import asdict, dataclass
from typing import TYPE_CHECKING, Any, cast

import dagster as dg

from assets.partitions import FIRST_DAY
from pipelines import definitions
from pipelines.history import History
from pipelines.instance import open_instance
from pipelines.planning import Days, PlannedRun, parse_days, parts_in, plan_parts, select
from pipelines.progress import Line, RunProgress
from pipelines.resources import make_resources
from pipelines.reuse import Reuse
from pipelines.staleness import Staleness
from py_rt.data.ingestion.market_data import Source, coverage
from py_rt.defaults import HOME_VARIABLE, home_folder
from py_rt.errors import SourceError

if TYPE_CHECKING:
    from collections.abc import Callable, Mapping, Sequence
    from pathlib import Path

    from dagster._core.definitions.assets.graph.asset_graph import AssetGraph

    from py_rt.data.expectations import ExpectationRunner

OK, STEP_FAILED, WRONG_WISH, CHECK_FAILED = 0, 1, 2, 3
"""Exit statuses of the command."""

# The event log keeps every message; the console would show them a second time, among our lines.
_EXPECTED = frozenset(dg.AssetKey(name) for name in ("raw_bars", "staged_bars", "features_bar", "labels"))
"""Whose checks run in a child that takes seconds to start, so it is started when their run is."""

_QUIET = {"loggers": {"console": {"config": {"log_level": "CRITICAL"}}}}


@dataclass(frozen=True, slots=True)
class Summary:
    """What a wish came to.

    Attributes:
        success: everything was made and no check failed with severity ERROR.
        runs: Dagster run ids, in order.
        assets: number of assets made.
        materializations: number of asset partitions made.
        checks_passed: number of checks that passed.
        checks_warned: number that failed with severity WARN.
        checks_failed: `asset:check` of those that failed with severity ERROR.
        steps_failed: names of steps that raised an error.
        not_made: selected assets that were not made.
        reused: number of asset partitions that were as they would be made now, and so were not made.
        reused_assets: number of assets of which nothing had to be made.
        seconds: wall time.
    """

    success: bool
    runs: list[str]
    assets: int
    materializations: int
    checks_passed: int
    checks_warned: int
    checks_failed: list[str]
    steps_failed: list[str]
    not_made: list[str]
    reused: int
    reused_assets: int
    seconds: float

    @property
    def problems(self) -> list[str]:
        """Everything that went wrong, by name."""
        return [
            *self.steps_failed,
            *self.checks_failed,
            *(name for name in self.not_made if name not in self.steps_failed),
        ]

    @property
    def exit_status(self) -> int:
        """The command's exit status."""
        if self.success:
            return OK
        return CHECK_FAILED if self.checks_failed and not self.steps_failed else STEP_FAILED

    def to_dict(self) -> dict[str, Any]:
        """Plain values."""
        return asdict(self)


def materialize(
    select_assets: str | None = None,
    *,
    job: str | None = None,
    partition: str | None = None,
    partition_range: str | None = None,
    reuse: bool = False,
    home: Path | None = None,
    instance: dg.DagsterInstance | None = None,
    on_event: Callable[[Line], None] | None = None,
) -> Summary:
    """Make assets and run their checks, in this process.

    Args:
        select_assets: asset keys separated by commas, or Dagster's selection syntax.
        job: `main_job` instead.
        partition: one day (a month by its first day).
        partition_range: days as `FIRST...LAST`, both included; without it, everything that the source covers.
        reuse: make only what is missing or stale; `pipelines.staleness` says what that is.
        home: folder of everything that is made; `None` is `PY_RT_HOME`, or `.py_rt` in the working folder.
        instance: record in this Dagster instance; `None` opens the one of `home`.
        on_event: called with every line of progress, the summary included.

    Returns:
        The summary; a failed step or check is told there, not raised.

    Raises:
        RunError: the wish is wrong; nothing was made.
        SourceError: the source's coverage was needed and its files cannot be read.
    """
    started = time.monotonic()
    emit = on_event or (lambda _line: None)
    environ = dict(os.environ) | ({HOME_VARIABLE: str(home)} if home is not None else {})
    resources = make_resources(environ)
    defs = definitions.build(resources)
    graph = defs.resolve_asset_graph()
    keys = select(graph, expression=select_assets, job=job)
    days = parse_days(partition, partition_range)
    if days is None and any(graph.get(key).partitions_def for key in keys):
        days = covered_days(resources)
    parts = parts_in(graph, keys, days)
    opened = nullcontext(instance) if instance is not None else open_instance(home_folder(environ))
    finished: list[tuple[str, RunProgress]] = []
    complete, runner = True, cast("ExpectationRunner", resources["expectation_runner"])
    with opened as there:
        reusing = _reuse(graph, parts, there, resources, emit) if reuse else None
        for planned in reusing.runs() if reusing is not None else plan_parts(graph, parts):
            if reusing is not None and _EXPECTED & set(planned.assets):
                runner.warm_up()
            run_id, progress, complete = _execute(defs, planned, there, emit, job)
            finished.append((run_id, progress))
            if not complete:
                break  # what comes after reads what was not made
    reused = Counter(key for key, _ in reusing.reused) if reusing is not None else Counter[dg.AssetKey]()
    summary = _summarize(parts, finished, reused, complete=complete, seconds=time.monotonic() - started)
    emit({"event": "summary", **summary.to_dict()})
    return summary


def _reuse(
    graph: AssetGraph,
    parts: Mapping[dg.AssetKey, Sequence[str | None]],
    instance: dg.DagsterInstance,
    resources: Mapping[str, object],
    emit: Callable[[Line], None],
) -> Reuse:
    questions = {name: ask for module in definitions.CHAIN for name, ask in getattr(module, "OUTSIDE", {}).items()}
    return Reuse(graph, parts, Staleness(graph, History(instance), resources, questions), emit)


def covered_days(resources: Mapping[str, object]) -> Days:
    """Return the days that the source of bars covers, from the first partition on.

    Raises:
        SourceError: it holds no rows.
    """
    source = resources["market_source"]
    assert isinstance(source, Source)
    covered = coverage(source.bars())
    if covered is None:
        raise SourceError(source.name, "bars", None, "holds no rows")
    if covered[1] < FIRST_DAY:
        problem = f"covers {covered[0]}..{covered[1]}, the first partition is {FIRST_DAY}; set PY_RT_FIRST_DAY"
        raise SourceError(source.name, "bars", None, problem)
    return Days(max(covered[0], FIRST_DAY), covered[1])


def _execute(
    defs: dg.Definitions,
    planned: PlannedRun,
    instance: dg.DagsterInstance,
    emit: Callable[[Line], None],
    job: str | None,
) -> tuple[str, RunProgress, bool]:
    started = time.monotonic()
    run_id = str(uuid.uuid4())
    names = [key.to_user_string() for key in planned.assets]
    progress = RunProgress({"__".join(key.path) for key in planned.assets}, emit)
    emit({"event": "run_started", "run_id": run_id, "assets": names, "partitions": planned.partitions})
    instance.add_event_listener(run_id, progress.listen)
    result = defs.resolve_implicit_global_asset_job_def().execute_in_process(
        instance=instance,
        asset_selection=list(planned.assets),
        run_id=run_id,
        run_config=_QUIET,
        tags={**planned.tags, **({"py_rt/job": job} if job else {})},
        raise_on_error=False,
    )
    success = bool(result.success) and not progress.checks_failed
    seconds = round(time.monotonic() - started, 3)
    emit({"event": "run_finished", "run_id": run_id, "success": success, "seconds": seconds})
    return run_id, progress, success


def _summarize(
    parts: Mapping[dg.AssetKey, Sequence[str | None]],
    finished: Sequence[tuple[str, RunProgress]],
    reused: Counter[dg.AssetKey],
    *,
    complete: bool,
    seconds: float,
) -> Summary:
    made = {name for _, progress in finished for name in progress.made}
    checks_failed = [name for _, progress in finished for name in progress.checks_failed]
    steps_failed = [name for _, progress in finished for name in progress.steps_failed]
    whole = {key for key, names in parts.items() if names and reused[key] == len(names)}
    not_made = sorted({key.to_user_string() for key in parts.keys() - whole} - made)
    return Summary(
        success=complete and not checks_failed and not steps_failed,
        runs=[run_id for run_id, _ in finished],
        assets=len(made),
        materializations=sum(sum(progress.made.values()) for _, progress in finished),
        checks_passed=sum(progress.checks["passed"] for _, progress in finished),
        checks_warned=sum(progress.checks["warned"] for _, progress in finished),
        checks_failed=checks_failed,
        steps_failed=steps_failed,
        not_made=not_made,
        reused=reused.total(),
        reused_assets=len(whole),
        seconds=round(seconds, 3),
    )

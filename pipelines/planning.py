"""From a wish (assets or a job, days or months) to runs: which assets together, which partitions, in which order."""

from __future__ import annotations

import difflib
from dataclasses import dataclass
from datetime import UTC, date, datetime, timedelta
from typing import TYPE_CHECKING

import dagster as dg

from pipelines.jobs import BY_HAND, CHAIN_GROUPS, MAIN_JOB
from py_rt.errors import RunError

if TYPE_CHECKING:
    from collections.abc import Collection, Iterable, Mapping, Sequence

    from dagster._core.definitions.assets.graph.asset_graph import AssetGraph

RANGE_SEPARATOR = "..."

MAX_SPANS = 4
"""Most runs for the days of one asset that may be made in one."""


@dataclass(frozen=True, slots=True)
class Days:
    """Whole UTC days, both ends included."""

    first: date
    last: date

    def __str__(self) -> str:
        return str(self.first) if self.first == self.last else f"{self.first}{RANGE_SEPARATOR}{self.last}"


@dataclass(frozen=True, slots=True)
class PlannedRun:
    """One Dagster run: its assets and, where they are partitioned, the first and last partition key."""

    assets: tuple[dg.AssetKey, ...]
    first: str | None
    last: str | None

    @property
    def tags(self) -> dict[str, str]:
        """How Dagster is told the partitions."""
        if self.first is None or self.last is None:
            return {}
        if self.first == self.last:
            return {"dagster/partition": self.first}
        return {"dagster/asset_partition_range_start": self.first, "dagster/asset_partition_range_end": self.last}

    @property
    def partitions(self) -> str | None:
        """The partitions in words."""
        if self.first is None or self.first == self.last:
            return self.first
        return f"{self.first}{RANGE_SEPARATOR}{self.last}"


def parse_days(partition: str | None, partition_range: str | None) -> Days | None:
    """Read `P` or `A...B`; `None` when neither is given.

    Raises:
        RunError: both are given, a date is no ISO date, or the range runs backwards.

    >>> print(parse_days(None, "2021-09-27...2021-09-29"))
    2021-09-27...2021-09-29
    """
    if partition and partition_range:
        raise RunError("give --partition or --partition-range, not both")
    if partition:
        day = _date(partition)
        return Days(day, day)
    if not partition_range:
        return None
    first, separator, last = partition_range.partition(RANGE_SEPARATOR)
    if not separator:
        raise RunError(
            f"partition range {partition_range!r} has no {RANGE_SEPARATOR!r}: write FIRST{RANGE_SEPARATOR}LAST"
        )
    days = Days(_date(first), _date(last))
    if days.last < days.first:
        raise RunError(f"partition range {partition_range!r} runs backwards")
    return days


def _date(text: str) -> date:
    try:
        return date.fromisoformat(text.strip())
    except ValueError as error:
        raise RunError(f"partition {text!r} is no date: write it as 2021-09-27; a month by its first day") from error


def select(graph: AssetGraph, *, expression: str | None = None, job: str | None = None) -> set[dg.AssetKey]:
    """Resolve what is to be made.

    Args:
        graph: of the definitions.
        expression: asset keys separated by commas, or Dagster's selection syntax (`group:cleaned`, `raw_bars+`).
        job: `main_job` for the whole chain.

    Raises:
        RunError: neither or both are given, or nothing fits; near names are offered.
    """
    if (expression is None) == (job is None):
        raise RunError("say what to make: --select KEYS or --job NAME, one of them")
    if job is not None:
        if job != MAIN_JOB:
            raise RunError(f"no job is called {job!r}; this command knows {MAIN_JOB}")
        return set((dg.AssetSelection.groups(*CHAIN_GROUPS) - BY_HAND).resolve(graph))
    known = {key.to_user_string() for key in graph.materializable_asset_keys}
    found: set[dg.AssetKey] = set()
    for part in str(expression).split(","):
        found |= _resolve(graph, part.strip(), known)
    return found


def _resolve(graph: AssetGraph, part: str, known: Collection[str]) -> set[dg.AssetKey]:
    if part in known:
        return {dg.AssetKey.from_user_string(part)}
    near = difflib.get_close_matches(part, known, n=1)
    hint = f"did you mean {near[0]}? " if near else ""
    try:
        found = set(dg.AssetSelection.from_string(part).resolve(graph)) if part else set()
    except dg.DagsterError as error:
        raise RunError(f"selection {part!r} cannot be read: {hint}{error}") from error
    if not found:
        raise RunError(f"nothing is selected by {part!r}: {hint}known assets are {', '.join(sorted(known))}")
    return found


def plan(graph: AssetGraph, keys: Collection[dg.AssetKey], days: Days | None) -> list[PlannedRun]:
    """Order assets into runs; a run holds assets of one partitioning and those without.

    Args:
        graph: of the definitions.
        keys: what to make.
        days: which days; a partition is made when it overlaps them. Needed when an asset is partitioned.

    Raises:
        RunError: days are needed and absent, or no asset has a partition in them.
    """
    return plan_parts(graph, parts_in(graph, keys, days))


def parts_in(
    graph: AssetGraph, keys: Collection[dg.AssetKey], days: Days | None
) -> dict[dg.AssetKey, list[str | None]]:
    """The partitions of assets that overlap some days, `None` for an asset without partitions.

    Raises:
        RunError: days are needed and absent, or no asset has a partition in them.
    """
    parts: dict[dg.AssetKey, list[str | None]] = {}
    found: dict[dg.PartitionsDefinition, list[str]] = {}
    for key in graph.toposorted_asset_keys:
        if key not in keys:
            continue
        partitions = graph.get(key).partitions_def
        if partitions is None:
            # Without a partition of what it reads there is nothing to make it from.
            made_from = (parts.get(parent, [None]) for parent in graph.get(key).parent_keys)
            parts[key] = [None] if all(made_from) else []
            continue
        if days is None:
            raise RunError("the selection is partitioned: give --partition or --partition-range")
        if partitions not in found:
            found[partitions] = _keys_in(partitions, days)
        parts[key] = [*found[partitions]]
    if not any(parts.values()):
        raise RunError(f"no selected asset has a partition in {days}: {_extents(graph, keys)}")
    return parts


def plan_parts(graph: AssetGraph, parts: Mapping[dg.AssetKey, Sequence[str | None]]) -> list[PlannedRun]:
    """Order partitions of assets into runs.

    Args:
        graph: of the definitions.
        parts: partitions by asset, in their order; `None` for an asset without.
    """
    runs: list[PlannedRun] = []
    wanted = {key: tuple(partitions) for key, partitions in parts.items() if partitions}
    for group in _stages(graph, wanted):
        of_partitions = next((key for key in group if graph.get(key).partitions_def is not None), None)
        if of_partitions is None:
            runs.append(PlannedRun(group, None, None))
            continue
        runs += [PlannedRun(group, first, last) for first, last in _spans(graph, of_partitions, wanted[of_partitions])]
    return runs


def _spans(graph: AssetGraph, key: dg.AssetKey, partitions: Sequence[str | None]) -> list[tuple[str, str]]:
    """First and last partition of each run that makes an asset's partitions."""
    names = [name for name in partitions if name is not None]
    if not _is_single_run(graph, key):
        return [(name, name) for name in names]
    spans = joined(graph, key, names)
    # What lies between is made again, which is cheaper than many runs.
    return spans if len(spans) <= MAX_SPANS else [(names[0], names[-1])]


def joined(graph: AssetGraph, key: dg.AssetKey, names: Sequence[str]) -> list[tuple[str, str]]:
    """Runs of neighboring partitions, each by its first and last."""
    partitions = graph.get(key).partitions_def
    if partitions is None or not names:
        return []
    place = {name: number for number, name in enumerate(partitions.get_partition_keys())}
    spans = [(names[0], names[0])]
    for name in names[1:]:
        first, last = spans[-1]
        if place[name] == place[last] + 1:
            spans[-1] = (first, name)
        else:
            spans.append((name, name))
    return spans


def _stages(graph: AssetGraph, wanted: Mapping[dg.AssetKey, tuple[str | None, ...]]) -> list[tuple[dg.AssetKey, ...]]:
    """Cut the selection into stages; each holds as much of one kind as its upstream allows."""
    order = [key for level in graph.toposorted_asset_keys_by_level for key in sorted(level) if key in wanted]
    done: set[dg.AssetKey] = set()
    stages: list[tuple[dg.AssetKey, ...]] = []
    while len(done) < len(order):
        stage: list[dg.AssetKey] = []
        for key in order:
            ready = {parent for parent in graph.get(key).parent_keys if parent in wanted} <= done | set(stage)
            if key not in done and ready and _fits(graph, [*stage, key], wanted):
                stage.append(key)
        done |= set(stage)
        stages.append(tuple(stage))
    return stages


def _fits(
    graph: AssetGraph, stage: Sequence[dg.AssetKey], wanted: Mapping[dg.AssetKey, tuple[str | None, ...]]
) -> bool:
    """Whether assets can share their runs.

    Partitioned ones need the same partitions, made in one run or in many by all of them. One without partitions joins
    only what is made in one run: of many runs each would make it again, the first before the others' partitions exist.
    """
    partitioned = [node for node in map(graph.get, stage) if node.partitions_def]
    kinds = {(node.partitions_def, _is_single_run(graph, node.key), wanted[node.key]) for node in partitioned}
    if len(kinds) > 1:
        return False
    whole = len(partitioned) < len(stage)
    return not whole or not partitioned or _is_one_run(graph, partitioned[0].key, wanted)


def _is_one_run(graph: AssetGraph, key: dg.AssetKey, wanted: Mapping[dg.AssetKey, tuple[str | None, ...]]) -> bool:
    return _is_single_run(graph, key) and len(_spans(graph, key, wanted[key])) == 1


def _keys_in(partitions: dg.PartitionsDefinition, days: Days) -> list[str]:
    if not isinstance(partitions, dg.TimeWindowPartitionsDefinition):
        raise RunError(f"partitions {partitions} are not cut by time; make these assets from Dagster's own command")
    start = datetime.combine(days.first, datetime.min.time(), UTC)
    end = datetime.combine(days.last + timedelta(days=1), datetime.min.time(), UTC)
    keys = partitions.get_partition_keys()
    windows = ((key, partitions.time_window_for_partition_key(key)) for key in keys)
    return [key for key, window in windows if window.start < end and window.end > start]


def _is_single_run(graph: AssetGraph, key: dg.AssetKey) -> bool:
    policy = graph.get(key).backfill_policy
    return policy is not None and policy.max_partitions_per_run is None


def _extents(graph: AssetGraph, keys: Iterable[dg.AssetKey]) -> str:
    found = {}
    for key in keys:
        partitions = graph.get(key).partitions_def
        if partitions is not None:
            found[key.to_user_string()] = (
                f"{partitions.get_first_partition_key()}..{partitions.get_last_partition_key()}"
            )
    return "; ".join(f"{name} has {extent}" for name, extent in sorted(found.items()))

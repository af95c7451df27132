"""A wish in waves: what is stale is made, then what reads it is judged again, until the rest can be reused."""

from __future__ import annotations

from typing import TYPE_CHECKING

import dagster as dg

from pipelines.planning import RANGE_SEPARATOR, PlannedRun, joined, plan_parts

if TYPE_CHECKING:
    from collections.abc import Callable, Collection, Iterator, Mapping, Sequence

    from dagster._core.definitions.assets.graph.asset_graph import AssetGraph

    from pipelines.progress import Line
    from pipelines.staleness import Judgement, Part, Staleness

WITH_NEIGHBORS = "made again with its neighbors"


class Reuse:
    """Plans a wish, and tells what is reused and why the rest is not."""

    def __init__(
        self,
        graph: AssetGraph,
        parts: Mapping[dg.AssetKey, Sequence[str | None]],
        staleness: Staleness,
        emit: Callable[[Line], None],
    ) -> None:
        """Plan nothing yet.

        Args:
            graph: of the definitions.
            parts: the wish: partitions by asset.
            staleness: judges them.
            emit: called with lines `stale` and `reused`.
        """
        self._graph = graph
        self._parts = parts
        self._staleness = staleness
        self._emit = emit
        self._made: set[Part] = set()
        self._reused: set[Part] = set()

    @property
    def reused(self) -> set[Part]:
        """What has been found as it would be made now."""
        return self._reused - self._made

    def runs(self) -> Iterator[PlannedRun]:
        """Runs in order; each must have ended well before the next is asked for."""
        while True:
            judgement = self._staleness.judge(self._parts, self._made)
            planned = plan_parts(self._graph, judgement.wanted)
            self._count_neighbors(judgement, planned)
            self._tell(judgement)
            for run in planned:
                yield run
                self._made |= self._parts_of(run)
                self._staleness.forget(run.assets)
            if not planned:
                return

    def _parts_of(self, run: PlannedRun) -> set[Part]:
        found: set[Part] = set()
        for key in run.assets:
            partitions = self._graph.get(key).partitions_def
            if partitions is None or run.first is None or run.last is None:
                found.add((key, None))
                continue
            names = partitions.get_partition_keys()
            found |= {(key, name) for name in names[names.index(run.first) : names.index(run.last) + 1]}
        return found

    def _count_neighbors(self, judgement: Judgement, planned: Sequence[PlannedRun]) -> None:
        """What lies between two days that are made in one run is made too, and said to be."""
        for run in planned:
            for part in self._parts_of(run) - judgement.stale.keys():
                judgement.stale[part] = WITH_NEIGHBORS
                judgement.reused.discard(part)

    def _tell(self, judgement: Judgement) -> None:
        fresh = judgement.reused - self._reused
        self._reused |= fresh
        for key in self._graph.toposorted_asset_keys:
            if names := self._names(key, fresh):
                self._emit({"event": "reused", **self._line(key, names)})
            reasons: dict[str, set[Part]] = {}
            for part, reason in judgement.stale.items():
                if part[0] == key:
                    reasons.setdefault(reason, set()).add(part)
            for reason, parts in reasons.items():
                self._emit({"event": "stale", **self._line(key, self._names(key, parts)), "reason": reason})

    def _names(self, key: dg.AssetKey, parts: Collection[Part]) -> list[str | None]:
        """The partitions of an asset that are among some parts, in their order."""
        partitions = self._graph.get(key).partitions_def
        names = [None] if partitions is None else self._parts.get(key, ())
        return [name for name in names if (key, name) in parts]

    def _line(self, key: dg.AssetKey, names: Sequence[str | None]) -> Line:
        partitions = self._graph.get(key).partitions_def
        spans = joined(self._graph, key, [name for name in names if name is not None])
        texts = [first if first == last else f"{first}{RANGE_SEPARATOR}{last}" for first, last in spans]
        monthly = isinstance(partitions, dg.MonthlyPartitionsDefinition)
        return {
            "asset": key.to_user_string(),
            "partitions": ", ".join(texts) or None,
            "unit": None if partitions is None else ("month" if monthly else "day"),
            "count": len(names),
        }

"""What of a wish has to be made, and why: the rest is reused.

An asset's partition is reused when it was made, by this code, from inputs whose content is still the same, when its
blocking checks passed, its output is where it was put, and nothing outside of the graph has changed that it hangs on.

Content decides, not time: an input that was made again and came out the same makes nothing behind it stale. So a
judgement has three outcomes. What is stale for a reason of its own is made first; what reads it waits, is judged again
afterwards, and may then be reused after all.
"""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import TYPE_CHECKING

import dagster as dg

from assets.outside import Made, Outside, Question
from pipelines.stored import Lookup, StoredAsset

if TYPE_CHECKING:
    from collections.abc import Collection, Mapping, Sequence

    from dagster._core.definitions.assets.graph.asset_graph import AssetGraph, AssetNode

    from pipelines.history import History, Record

NEVER_MADE = "not made yet"
CODE_CHANGED = "code changed"

Part = tuple["dg.AssetKey", str | None]
"""An asset's partition; `None` where it has none."""

Wanted = dict["dg.AssetKey", list[str | None]]
"""Partitions by asset, in order."""


@dataclass(slots=True)
class Judgement:
    """What is to be done about a wish now.

    Attributes:
        stale: what is to be made, with the reason.
        waiting: what may have to be made, depending on how its inputs come out.
        reused: what is as it would be made now.
    """

    stale: dict[Part, str] = field(default_factory=dict)
    waiting: set[Part] = field(default_factory=set)
    reused: set[Part] = field(default_factory=set)

    @property
    def wanted(self) -> Wanted:
        """What is to be made, by asset."""
        found: Wanted = {}
        for key, partition in self.stale:
            found.setdefault(key, []).append(partition)
        return found


class Staleness:
    """Judges parts of a graph by the event log, the storage and the world outside."""

    def __init__(
        self,
        graph: AssetGraph,
        history: History,
        resources: Mapping[str, object],
        questions: Mapping[str, Question],
    ) -> None:
        """Look at nothing yet.

        Args:
            graph: of the definitions.
            history: of the instance.
            resources: of the run, by name; among them the IO managers.
            questions: for some assets by name, what is to be asked about the world outside.
        """
        self._graph = graph
        self._history = history
        self._resources = resources
        self._questions = questions
        self._outside = Outside(resources)
        self._lookups: dict[dg.AssetKey, Lookup] = {}
        self._inputs: dict[Part, dict[dg.AssetKey, Sequence[str | None]]] = {}

    def forget(self, keys: Collection[dg.AssetKey]) -> None:
        """Look again at assets that a run has made, and at what it changes outside."""
        self._history.forget(keys)
        self._outside.forget()
        for key in keys:
            self._lookups.pop(key, None)

    def judge(self, wanted: Mapping[dg.AssetKey, Sequence[str | None]], made: Collection[Part]) -> Judgement:
        """Sort the parts of a wish.

        Args:
            wanted: partitions by asset.
            made: what this wish has made already: never judged again, so that a wish comes to an end.
        """
        judgement = Judgement()
        for key in self._graph.toposorted_asset_keys:
            for partition in wanted.get(key, ()):
                if (key, partition) not in made:
                    self._judge((key, partition), judgement)
        return judgement

    def _judge(self, part: Part, judgement: Judgement) -> None:
        inputs = [(parent, name) for parent, names in self._inputs_of(part).items() for name in names]
        if any(source in judgement.waiting for source in inputs):
            judgement.waiting.add(part)
            return
        changing = [source for source in inputs if source in judgement.stale]
        reason = self._reason(part) or next(
            (
                f"input {parent.to_user_string()} is new"
                for parent, name in changing
                if not self._record((parent, name))
            ),
            None,
        )
        if reason is not None:
            judgement.stale[part] = reason
        elif changing:
            judgement.waiting.add(part)
        else:
            judgement.reused.add(part)

    def _record(self, part: Part) -> Record | None:
        return self._history.latest(part[0]).get(part[1])

    def _reason(self, part: Part) -> str | None:
        """Why a part is not reused, whatever its inputs come to; the plainest reason first."""
        record = self._record(part)
        if record is None:
            return NEVER_MADE
        node = self._graph.get(part[0])
        if node.code_version is None:
            return "its code has no version"
        if record.code_version != node.code_version:
            return CODE_CHANGED
        return (
            self._lookup(node)(part[1], record.metadata)
            or self._failed_check(node, record)
            or self._changed_input(part, record)
            or self._changed_outside(part, record)
        )

    def _lookup(self, node: AssetNode) -> Lookup:
        if node.key not in self._lookups:
            look = getattr(self._resources.get(node.io_manager_key), "lookup", _unknown)
            self._lookups[node.key] = look(StoredAsset(node.group_name or "default", "/".join(node.key.path)))
        return self._lookups[node.key]

    def _failed_check(self, node: AssetNode, record: Record) -> str | None:
        for check in sorted(node.check_keys):
            if self._graph.get(check).blocking and (found := self._history.failed_check(check, record)):
                return found
        return None

    def _changed_input(self, part: Part, record: Record) -> str | None:
        inputs = self._inputs_of(part)
        unread = sorted(key.to_user_string() for key in record.read_until.keys() ^ inputs.keys())
        if unread:
            return f"reads other inputs than before: {', '.join(unread)}"
        for parent, partitions in inputs.items():
            now, seen = self._history.latest(parent), record.read_until[parent]
            for partition in partitions:
                newest = now.get(partition)
                if newest is None or newest.storage_id <= seen:
                    continue
                if self._history.version_at(parent, partition, seen) != newest.data_version:
                    return f"input {parent.to_user_string()} changed"
        return None

    def _changed_outside(self, part: Part, record: Record) -> str | None:
        question = self._questions.get(part[0].to_user_string())
        return question(self._outside, Made(part[1], record.metadata)) if question is not None else None

    def _inputs_of(self, part: Part) -> Mapping[dg.AssetKey, Sequence[str | None]]:
        """The partitions that a part reads, by input."""
        if part not in self._inputs:
            parents = sorted(self._graph.get(part[0]).parent_keys)
            self._inputs[part] = {parent: self._partitions_read(part, parent) for parent in parents}
        return self._inputs[part]

    def _partitions_read(self, part: Part, parent: dg.AssetKey) -> Sequence[str | None]:
        node, above = self._graph.get(part[0]), self._graph.get(parent)
        if above.partitions_def is None:
            return (None,)
        mapping = self._graph.get_partition_mapping(part[0], parent)
        if mapping == dg.TimeWindowPartitionMapping() and node.partitions_def == above.partitions_def:
            return (part[1],)  # the usual case, which Dagster takes a millisecond for
        mapped = self._graph.get_parent_partition_keys_for_child(part[1], parent, part[0])
        return tuple(mapped.partitions_subset.get_partition_keys())


def _unknown(_asset: StoredAsset) -> Lookup:
    return lambda _partition, _metadata: "its storage cannot say whether it is still there"

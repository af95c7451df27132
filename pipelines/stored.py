"""Whether what was made is still there.

Each IO manager knows its own storage: its method `lookup` takes a :class:`StoredAsset` and gives a :data:`Lookup`.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass

OUTPUT_GONE = "its output is gone"


@dataclass(frozen=True, slots=True)
class StoredAsset:
    """Where an asset's output lies: `<group>/<path>` below the root of its IO manager."""

    group: str
    path: str


Lookup = Callable[[str | None, Mapping[str, object]], str | None]
"""From a partition and the metadata of its materialisation to what is wrong with its output, or `None`."""

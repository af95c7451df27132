"""The IO manager of assets that are files: models, studies, specifications. Bytes in, the same bytes out.

An output is a `dict[str, bytes]`, file name to content. It lies at `<root>/<group>/<asset>[/<partition>]/`. The folder
is replaced as a whole by renames: a reader sees the old files, the new ones, or for a moment none, never a mixture.
"""

from __future__ import annotations

import hashlib
import re
import shutil
import tempfile
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING

import dagster as dg

from pipelines.stored import OUTPUT_GONE, Lookup, StoredAsset
from py_rt.errors import TableError

if TYPE_CHECKING:
    from collections.abc import Mapping

_FILE_NAME = re.compile(r"[A-Za-z0-9][A-Za-z0-9._-]{0,99}")
MAX_FILE_BYTES = 64 * 1024 * 1024


@dataclass(frozen=True)
class ArtifactIOManager(dg.IOManager):
    """Stores files below `root`; never pickles."""

    root: Path

    def handle_output(self, context: dg.OutputContext, obj: dict[str, bytes]) -> None:
        """Write every file, then put the folder in place at once.

        Raises:
            TableError: the value is no `dict[str, bytes]`, or a name or size is refused.
        """
        key = context.asset_key.to_user_string()
        _check(key, obj)
        place = self._place(context)
        place.parent.mkdir(parents=True, exist_ok=True)
        fresh = Path(tempfile.mkdtemp(prefix=f".{place.name}-", dir=place.parent))
        for name, content in obj.items():
            (fresh / name).write_bytes(content)
        _swap(fresh, place)
        sizes = {name: len(content) for name, content in obj.items()}
        digests = {name: hashlib.sha256(content).hexdigest() for name, content in obj.items()}
        context.add_output_metadata({"dagster/uri": str(place), "bytes": sizes, "sha256": digests})

    def load_input(self, context: dg.InputContext) -> dict[str, bytes]:
        """Read every file of the asset, or of its one partition that the run needs.

        Raises:
            TableError: it has not been made yet.
        """
        upstream = context.upstream_output
        if upstream is None:
            raise TableError(f"input {context.name} comes from no asset; this IO manager only reads files of assets")
        partition = context.asset_partition_key if context.has_asset_partitions else None
        place = self._folder(upstream, partition)
        if not place.is_dir():
            of = f" for partition {partition}" if partition else ""
            raise TableError(f"{upstream.asset_key.to_user_string()}{of} has not been made: materialise it first")
        return {file.name: file.read_bytes() for file in sorted(place.iterdir())}

    def lookup(self, asset: StoredAsset) -> Lookup:
        """Compare an asset's files with the hashes of what was stored."""
        root = self.root / asset.group / asset.path

        def gone(partition: str | None, metadata: Mapping[str, object]) -> str | None:
            place = root / partition if partition else root
            hashes = metadata.get("sha256")
            if not place.is_dir():
                return OUTPUT_GONE
            if not isinstance(hashes, dict):
                return "it is not recorded which files it had"
            there = {file.name: hashlib.sha256(file.read_bytes()).hexdigest() for file in place.iterdir()}
            return None if there == hashes else "its output was changed"

        return gone

    def _place(self, context: dg.OutputContext) -> Path:
        return self._folder(context, context.asset_partition_key if context.has_asset_partitions else None)

    def _folder(self, output: dg.OutputContext, partition: str | None) -> Path:
        place = self.root / (output.asset_spec.group_name or "default") / "/".join(output.asset_key.path)
        return place / partition if partition else place


def _check(key: str, obj: object) -> None:
    if not isinstance(obj, dict) or not all(isinstance(content, bytes) for content in obj.values()):
        raise TableError(f"asset {key} gave a {type(obj).__name__}: this IO manager stores dict[str, bytes]")
    for name, content in obj.items():
        if not isinstance(name, str) or _FILE_NAME.fullmatch(name) is None:
            raise TableError(f"asset {key}: file name {name!r} is refused; letters, digits, dot, hyphen, underscore")
        if len(content) > MAX_FILE_BYTES:
            raise TableError(f"asset {key}: {name} has {len(content)} bytes; at most {MAX_FILE_BYTES}")


def _swap(fresh: Path, place: Path) -> None:
    """Put `fresh` where `place` is; a folder cannot be replaced in one step, so the old one steps aside first."""
    aside = fresh.with_name(fresh.name + ".old")
    if place.exists():
        place.rename(aside)
    fresh.rename(place)
    shutil.rmtree(aside, ignore_errors=True)

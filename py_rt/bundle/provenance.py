"""`provenance.json`: what a bundle was made from.

Run ids and times are no content: they stand in the store's records.
"""

from __future__ import annotations

import subprocess
from dataclasses import dataclass, field
from typing import TYPE_CHECKING

from py_rt.bundle.manifest import canonical_json, sha256_hex

if TYPE_CHECKING:
    from collections.abc import Mapping
    from pathlib import Path

SCHEMA_VERSION = 1
GIT_SECONDS = 20.0


@dataclass(frozen=True)
class Code:
    """Which code made it.

    Attributes:
        git_commit: with `-dirty` behind it when tracked files differ from it; `None` outside a checkout.
        lock_sha256: of the lock file of the Python environment; `None` where there is none.
    """

    git_commit: str | None
    lock_sha256: str | None


def code_of(root: Path) -> Code:
    """Ask a checkout for its commit and its lock file."""
    lock = root / "uv.lock"
    return Code(_commit(root), sha256_hex(lock.read_bytes()) if lock.is_file() else None)


def _commit(root: Path) -> str | None:
    if not (root / ".git").exists():
        return None
    commit = _git(root, "rev-parse", "--verify", "HEAD")
    if commit is None:
        return None
    changed = _git(root, "status", "--porcelain", "--untracked-files=no")
    return commit if changed == "" else f"{commit}-dirty"


def _git(root: Path, *arguments: str) -> str | None:
    command = ["git", "-C", str(root), *arguments]
    try:
        done = subprocess.run(command, capture_output=True, text=True, check=True, timeout=GIT_SECONDS)
    except (OSError, subprocess.SubprocessError):
        return None
    return done.stdout.strip()


@dataclass(frozen=True)
class Provenance:
    """What a bundle was made from.

    Attributes:
        dataset_id: SHA-256 of the training set's content.
        feature_spec_sha256: of `features.json`.
        code: which code made it.
        raw_files: SHA-256 of every raw file.
        seeds: by name.
        tables: version by name of every table that was read; one of features is named with its specification.
    """

    dataset_id: str
    feature_spec_sha256: str
    code: Code
    raw_files: frozenset[str]
    tables: Mapping[str, int]
    seeds: Mapping[str, int] = field(default_factory=dict)

    def to_bytes(self) -> bytes:
        """The canonical bytes."""
        return canonical_json(
            {
                "schema_version": SCHEMA_VERSION,
                "dataset_id": self.dataset_id,
                "feature_spec_sha256": self.feature_spec_sha256,
                "git_commit": self.code.git_commit,
                "lock_sha256": self.code.lock_sha256,
                "raw_files": sorted(self.raw_files),
                "seeds": dict(self.seeds),
                "tables": [{"name": name, "version": version} for name, version in sorted(self.tables.items())],
            }
        )

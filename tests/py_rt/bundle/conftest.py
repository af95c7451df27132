from __future__ import annotations

import json
from dataclasses import dataclass
from typing import TYPE_CHECKING

import pytest

from py_rt.bundle.build import BuiltBundle, build_bundle, sign_as_builder
from py_rt.bundle.keys import TRUSTED_KEYS, SigningKey, create_key, key_path, read_trusted_keys
from py_rt.bundle.store import BundleStore
from tests import golden_bundle

if TYPE_CHECKING:
    from pathlib import Path

NOW = 1_650_000_000 * 10**9
DAY = golden_bundle.DAY_NS


@dataclass
class Desk:
    """A home with keys and a store, and files that make a good bundle."""

    home: Path
    files: dict[str, bytes]

    @property
    def store(self) -> BundleStore:
        return BundleStore(self.home / "bundles")

    @property
    def keys(self) -> Path:
        return self.home / "keys"

    def key(self, role: str) -> SigningKey:
        return SigningKey.load(key_path(self.keys, role))

    @property
    def trusted(self) -> str:
        return read_trusted_keys(self.keys / TRUSTED_KEYS)[0]

    @property
    def policy(self) -> str:
        return (golden_bundle.GOLDEN / "policy.toml").read_text(encoding="utf-8")

    def build(self, changes: dict[str, bytes] | None = None, *, sign: bool = True) -> BuiltBundle:
        files = {**self.files, **(changes or {})}
        built = build_bundle(self.store, files, name="golden", version="1.0.0", instrument="BTCUSDT")
        if sign:
            sign_as_builder(self.store, built.digest, self.key("builder"), risk_policy=self.policy)
        return built

    def gates_with(self, name: str, **changes: object) -> dict[str, bytes]:
        """Gate results in which one says something else."""
        read = json.loads(self.files["reports/gates.json"])
        gate = next(gate for gate in read["gates"] if gate["name"] == name)
        gate.update(changes)
        return {"reports/gates.json": json.dumps(read, sort_keys=True, separators=(",", ":")).encode()}


@pytest.fixture(scope="session")
def golden_files() -> dict[str, bytes]:
    return golden_bundle.golden_files()


@pytest.fixture
def desk(tmp_path: Path, golden_files: dict[str, bytes]) -> Desk:
    home = tmp_path / "home"
    for role in ("builder", "approver"):
        create_key(home / "keys", role)
    return Desk(home, golden_files)

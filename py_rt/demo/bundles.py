"""Keys and approvals of the demo: the two persons that a real house would have, played by one."""

from __future__ import annotations

import json
import time
import tomllib
from dataclasses import dataclass
from typing import TYPE_CHECKING

from py_rt.bundle.approve import Request, approve
from py_rt.bundle.keys import ROLES, TRUSTED_KEYS, SigningKey, create_key, key_path, read_trusted_keys
from py_rt.bundle.statement import PAPER
from py_rt.bundle.store import BundleStore
from py_rt.defaults import default_root
from py_rt.demo.children import DemoError

if TYPE_CHECKING:
    from pathlib import Path

    from py_rt.bundle.statement import Approval

DAY_NS = 86_400 * 1_000_000_000
VALID_DAYS = 7


@dataclass(frozen=True)
class Candidate:
    """A bundle that its builder signed.

    Attributes:
        month: first day of the month that its model was tested on.
        digest: of the bundle.
    """

    month: str
    digest: str


def make_keys(home: Path) -> list[str]:
    """Make the keys that are not there yet, trusted for paper only; the roles that got one."""
    folder = home / "keys"
    missing = [role for role in ROLES if not key_path(folder, role).exists()]
    for role in missing:
        create_key(folder, role, highest_stage=PAPER)
    return missing


def store_of(home: Path) -> BundleStore:
    """The bundles below a home."""
    return BundleStore(home / "bundles")


def risk_policy() -> str:
    """The limits that no bundle may loosen."""
    return (default_root() / "config" / "risk_limits.toml").read_text(encoding="utf-8")


def approve_for_paper(home: Path, digest: str, slot: int) -> Approval:
    """Sign as approver, from now on, for paper.

    Raises:
        BundleError: reader or gates stand in the way.
    """
    keys = home / "keys"
    now = time.time_ns()
    request = Request(digest, slot, PAPER, not_before_ns=now, expires_ns=now + VALID_DAYS * DAY_NS)
    approval, _ = approve(
        store_of(home),
        request,
        key=SigningKey.load(key_path(keys, "approver")),
        trusted_keys=read_trusted_keys(keys / TRUSTED_KEYS)[0],
        risk_policy=risk_policy(),
    )
    return approval


def order_timeout_s(home: Path, digest: str) -> int:
    """Life of an unfilled order by the bundle's strategy, s of venue time."""
    strategy = tomllib.loads(store_of(home).read_file(digest, "strategy.toml").decode())
    return int(strategy["execution"]["timeout_seconds"])


def newest_two(home: Path) -> tuple[Candidate, Candidate]:
    """The two newest months' candidates, older first.

    Raises:
        DemoError: there are fewer, or they are one and the same.
    """
    made = sorted((home / "artifacts" / "bundles" / "candidate_bundle").glob("*/bundle.json"))
    newest = [Candidate(path.parent.name, str(json.loads(path.read_text())["digest"])) for path in made[-2:]]
    if len({one.digest for one in newest}) < len(("before", "after")):
        raise DemoError(f"a swap needs two different bundles, there are {[one.digest for one in newest] or 'none'}")
    return newest[0], newest[1]

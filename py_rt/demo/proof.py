"""What is proved after the run: the same decisions again, and the features of research online to the bit."""

from __future__ import annotations

import time
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

import numpy as np
import polars as pl
import py_rt_core

from py_rt.bundle import verdict
from py_rt.bundle.keys import TRUSTED_KEYS, read_trusted_keys
from py_rt.bundle.manifest import sha256_hex
from py_rt.data.storage import scan, spec_table
from py_rt.demo import children
from py_rt.demo.bundles import risk_policy, store_of
from py_rt.demo.children import environment, find_command
from py_rt.demo.market import lake_of

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence
    from pathlib import Path

    from py_rt.bundle.statement import Approval
    from py_rt.demo.children import Child
    from py_rt.demo.place import Place


@dataclass(frozen=True)
class FeatureMatch:
    """Feature rows that decided online, held against the table of research.

    Attributes:
        rows: that decided.
        equal: of them, all values equal in every bit.
        absent: of them, not in the table.
        first_difference: closing time (ns UTC) of the first row that differs.
    """

    rows: int
    equal: int
    absent: int
    first_difference: int | None


def match_features(home: Path, run: Path, digest: str) -> FeatureMatch:
    """Compare the features in a run's journal with `features_bar`, bit for bit.

    Args:
        home: the folder of everything that is made.
        run: folder of the run.
        digest: of a bundle that traded; its specification says which table.

    Raises:
        BundleError: the bundle cannot be read.
        TableError: there is no table of its specification.
    """
    spec_sha256 = sha256_hex(store_of(home).read_file(digest, "features.json"))
    _, closes, online, *_ = py_rt_core.journal_signals(run / "journal")
    table = scan(lake_of(home).uri("features", spec_table("features_bar", spec_sha256))).collect()
    return match_rows(closes, online, table)


def match_rows(closes: np.ndarray[Any, Any], online: np.ndarray[Any, Any], table: pl.DataFrame) -> FeatureMatch:
    """Compare rows with a table by closing time.

    Args:
        closes: closing times, ns UTC, shape (n,).
        online: float32, shape (n, k).
        table: `ts_close` and k columns of float32 in the same order.

    >>> table = pl.DataFrame({"ts_close": [1, 2], "a": [0.5, 0.25]}, schema_overrides={"a": pl.Float32})
    >>> rows = np.array([[0.5], [0.75], [1.0]], dtype=np.float32)
    >>> match_rows(np.array([1, 2, 3]), rows, table)
    FeatureMatch(rows=3, equal=1, absent=1, first_difference=2)
    """
    columns = [name for name, kind in table.schema.items() if kind == pl.Float32]
    places = {int(close): place for place, close in enumerate(table["ts_close"].to_list())}
    offline = table.select(columns).to_numpy()
    at = np.array([places.get(int(close), -1) for close in closes], dtype=np.int64)
    known = at >= 0
    equal = np.zeros(len(closes), dtype=bool)
    if known.any():
        ours, theirs = online[known].view(np.uint32), np.ascontiguousarray(offline[at[known]]).view(np.uint32)
        equal[known] = (ours == theirs).all(axis=1)
    differing = np.flatnonzero(~equal)
    first = int(closes[differing[0]]) if differing.size else None
    return FeatureMatch(len(closes), int(equal.sum()), int((~known).sum()), first)


def cancelled_early(run: Path, timeouts_ns: Mapping[str, int]) -> frozenset[str]:
    """Orders of which the record says that they were to be cancelled before their time.

    The service tells when an order ended. On a busy machine that may be long after its strategy let go of it.

    Args:
        run: folder of the run.
        timeouts_ns: by order, its time, ns.
    """
    traces = ((order, py_rt_core.trace_order(run / "journal", order)) for order in timeouts_ns)
    return frozenset(order for order, trace in traces if trace is None or _lived_ns(trace) < timeouts_ns[order])


def _lived_ns(trace: Mapping[str, Any]) -> int:
    """From sending to the wish to cancel; 0 where nothing wished it."""
    asked = [int(ts) for ts, text in trace["steps"] if text.startswith("cancel ")]
    return asked[0] - int(trace["ts_ns"]) if asked else 0


def start_parity(place: Place) -> Child:
    """Start to replay a run from record 0 in a fresh process."""
    command = [find_command("py_rt"), "parity", str(place.run), "--json"]
    return children.start(command, "py_rt parity", place.log("parity"), environment(place), is_read=True)


def verdict_of(replay: Child) -> dict[str, Any]:
    """Wait for the replay; its verdict.

    Raises:
        DemoError: the process gave none.
    """
    verdicts: list[dict[str, Any]] = []
    status = children.hear(replay, verdicts.append)
    if not verdicts:
        raise replay.failure(f"ended with {status} and gave no verdict")
    return verdicts[-1]


@dataclass(frozen=True)
class Signatures:
    """What the service's own reader says of the two signatures of the bundles that traded.

    Attributes:
        builder: id of the key that built them all.
        approver: id of the key that approved them all.
        refused: by the digest's first digits, why a bundle is refused.
    """

    builder: str
    approver: str
    refused: Mapping[str, str]


def signatures(home: Path, approvals: Sequence[Approval]) -> Signatures:
    """Verify what was deployed once more.

    Args:
        home: the folder of everything that is made.
        approvals: of the bundles, newest last.

    Raises:
        BundleError: the list of trusted keys or the store cannot be read.
    """
    trusted = read_trusted_keys(home / "keys" / TRUSTED_KEYS)[0]
    store, policy = store_of(home), risk_policy()
    signers: dict[str, set[str]] = {"builder": set(), "approver": set()}
    refused: dict[str, str] = {}
    for approval in approvals:
        expected = verdict.Expectation(approval.slot, approval.stage, time.time_ns(), approval.serial - 1)
        found = verdict.verify(store.root, approval.digest, trusted, expected, risk_policy=policy).facts
        if not found["ok"]:
            refused[approval.digest[:12]] = str(found["reason"])
            continue
        for role, keys in signers.items():
            keys.add(str(found[role]))
    builder, approver = (", ".join(sorted(signers[role])) for role in ("builder", "approver"))
    return Signatures(builder, approver, refused)

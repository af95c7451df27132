"""What is proved after the run: the same decisions again, and the features of research online to the bit."""

from __future__ import annotations

import json
import subprocess
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

import numpy as np
import polars as pl
import py_rt_core

from py_rt.data.storage import scan
from py_rt.demo.children import DemoError, environment, find_command
from py_rt.demo.market import lake_of

if TYPE_CHECKING:
    from pathlib import Path


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


def match_features(home: Path, run: Path) -> FeatureMatch:
    """Compare the features in a run's journal with `features_bar`, bit for bit.

    Args:
        home: the folder of everything that is made.
        run: folder of the run.
    """
    _, closes, online, *_ = py_rt_core.journal_signals(run / "journal")
    table = scan(lake_of(home).uri("features", "features_bar")).collect()
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


def parity(run: Path, home: Path) -> dict[str, Any]:
    """Replay a run from record 0 in a fresh process; its verdict.

    Raises:
        DemoError: the process gave none.
    """
    line = [find_command("py_rt"), "parity", str(run), "--json"]
    child = subprocess.run(line, capture_output=True, text=True, check=False, env=environment(home))
    try:
        verdict: dict[str, Any] = json.loads(child.stdout)
    except ValueError as error:
        raise DemoError(f"py_rt parity {run} gave no verdict: {child.stderr or child.stdout}") from error
    return verdict

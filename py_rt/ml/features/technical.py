"""Technical features, as a file of `config/features/` names them.

The formulas live in Rust (`engine::signals`), once: here a table of bars goes in as Arrow columns and comes back with
one Float32 column per feature. The service runs the same code one bar at a time, so both have the same bits.
"""

from __future__ import annotations

import hashlib
import json
from dataclasses import dataclass
from typing import TYPE_CHECKING

import numpy as np
import polars as pl
import py_rt_core

from py_rt.data.event_bars import BARS_AVERAGED, TIME, Rule
from py_rt.data.timestamps import NS_PER_SECOND
from py_rt.errors import PyRtError

if TYPE_CHECKING:
    from collections.abc import Iterator
    from pathlib import Path

BAR_COLUMNS = ("ts_open", "open", "high", "low", "close", "volume")
"""What a bar is made of: Int64, nanoseconds and units of 1e-8."""

CLOSE = "ts_close"

WARM = "is_warm"


class FeatureError(PyRtError):
    """A feature file that is refused, or bars of which no features can be made."""


@dataclass(frozen=True, slots=True)
class SlowColumn:
    """A slow parameter that a feature set reads as a column.

    Attributes:
        name: of the column, and by which the service is told it.
        unit: `number`, `price` or `quantity`.
        max_age_ns: what has been known for longer at a bar's close is unknown there.
    """

    name: str
    unit: str
    max_age_ns: int


@dataclass(frozen=True)
class FeatureSet:
    """An ordered set of features.

    Attributes:
        canonical: the specification as canonical JSON; what a bundle carries as `features.json`.
        names: column names, in the model's order.
        bar_ns: length of a bar, nanoseconds.
        slow: the slow parameters that it reads beside the columns of bars.
        events: the rule by which events close its bars, as people read it; empty where the clock does.
    """

    canonical: str
    names: tuple[str, ...]
    bar_ns: int
    slow: tuple[SlowColumn, ...] = ()
    events: str = ""

    @classmethod
    def from_toml(cls, path: Path) -> FeatureSet:
        """Read a feature file.

        Raises:
            FeatureError: every fault of the file, each with its line.
        """
        try:
            text = path.read_text(encoding="utf-8")
        except OSError as error:
            raise FeatureError(f"cannot read feature file {path}: {error.strerror}") from error
        try:
            return cls.from_canonical(py_rt_core.feature_spec_json(text, str(path)))
        except py_rt_core.CoreError as error:
            raise FeatureError(str(error)) from error

    @classmethod
    def from_canonical(cls, canonical: str) -> FeatureSet:
        """Take a specification's canonical JSON."""
        parsed = json.loads(canonical)
        slow = tuple(SlowColumn(one["name"], one["unit"], int(one["max_age_ns"])) for one in parsed.get("slow", ()))
        names = tuple(item["name"] for item in parsed["features"])
        return cls(canonical, names, int(parsed["bar_ns"]), slow, _rule(**parsed.get("bars", {})))

    @property
    def columns(self) -> tuple[str, ...]:
        """The columns that it reads: `BAR_COLUMNS`, what happens in bars, slow parameters; of events `CLOSE`."""
        return (*BAR_COLUMNS, *py_rt_core.columns_beside(self.canonical), *([CLOSE] if self.events else []))

    @property
    def rule(self) -> Rule:
        """When its bars close: by the clock of `bar_ns`, or by `events`."""
        said = json.loads(self.canonical).get("bars")
        if said is None:
            return Rule(TIME, self.bar_ns / NS_PER_SECOND)
        return Rule(said["rule"], float(said["size"]), float(said.get("averaged", BARS_AVERAGED)))

    @property
    def sha256(self) -> str:
        """The specification's identity: SHA-256 of the canonical JSON, hexadecimal."""
        return hashlib.sha256(self.canonical.encode()).hexdigest()

    @property
    def warmup_bars(self) -> int:
        """Bars after which every feature has a value, wherever the table begins."""
        return py_rt_core.warmup_bars(self.canonical)

    def compute(self, bars: pl.DataFrame) -> pl.DataFrame:
        """Features of every bar.

        Args:
            bars: one instrument in order of time; the columns `BAR_COLUMNS`, Int64, and the others that it reads
                (`columns`), Float64, prices and quantities in units of 1e-8, NaN where one is unknown. A hole in the
                grid makes the features cold again. Bars of events are each the one after the row above, and have
                `CLOSE` (Int64, UTC ns), when they closed.

        Returns:
            One Float32 column per name, and `is_warm` (Boolean). Rows that are not warm hold nulls.

        Raises:
            FeatureError: a column or bar that is refused, with its row.
        """
        absent = [name for name in self.columns if name not in bars.columns]
        if absent:
            raise FeatureError(f"bars lack {', '.join(absent)}; they have {', '.join(bars.columns)}")
        try:
            columns, warm = py_rt_core.compute_features(self.canonical, bars.select(self.columns))
        except py_rt_core.CoreError as error:
            raise FeatureError(str(error)) from error
        frame = pl.DataFrame([pl.Series(name, column) for name, column in zip(self.names, columns, strict=True)])
        frame = frame.with_columns(pl.Series(WARM, warm))
        return frame.with_columns(pl.when(pl.col(WARM)).then(pl.col(name)).alias(name) for name in self.names)


def streamed(features: FeatureSet, bars: pl.DataFrame, start: int = 0) -> Iterator[list[float] | None]:
    """What the service says of each bar from row `start` on, which is the first that it sees; `None` while cold.

    Args:
        features: what to compute.
        bars: as for :meth:`FeatureSet.compute`.
        start: row number.
    """
    stream = py_rt_core.FeatureStream(features.canonical, start)
    for ts, first, high, low, last, volume, *others in bars.slice(start).select(features.columns).iter_rows():
        closed = others.pop() if features.events else None
        yield stream.push(ts, first, high, low, last, volume, others, closed)


def rows_to_cut(features: FeatureSet, bars: pl.DataFrame, count: int) -> list[int]:
    """Rows to try in :func:`rows_that_look_ahead`: spread evenly from the first warm row to the last row.

    Rows before the first warm one hold nulls, which look the same whatever comes after them.

    Args:
        features: what to compute.
        bars: as for :meth:`FeatureSet.compute`.
        count: of rows, at least 2.

    Returns:
        Row numbers, in order; fewer where there are fewer rows, none where no row is warm.
    """
    warm = features.compute(bars)[WARM]
    if not warm.any():
        return []
    first, last = int(warm.arg_max() or 0), warm.len() - 1
    return sorted({first + (last - first) * step // (count - 1) for step in range(count)})


def rows_that_look_ahead(features: FeatureSet, bars: pl.DataFrame, cuts: list[int]) -> list[int]:
    """Rows behind which bars are taken away and features of rows up to them change: there must be none.

    Args:
        features: what to compute.
        bars: as for :meth:`FeatureSet.compute`.
        cuts: row numbers to try; each recomputes on the rows up to and including it.

    Returns:
        The row numbers of `cuts` up to which some row's bits differ.
    """
    whole = features.compute(bars)
    return [
        row for row in cuts if not _same_bits(whole.head(row + 1), features.compute(bars.head(row + 1)), features.names)
    ]


def rows_that_differ_online(features: FeatureSet, bars: pl.DataFrame, start: int) -> list[int]:
    """Rows that the incremental path, started at row `start`, computes with other bits than the table: none must.

    Args:
        features: what to compute.
        bars: as for :meth:`FeatureSet.compute`.
        start: row of the first bar that the incremental path sees.

    Returns:
        Row numbers that are warm on both sides and differ, or that are cold after the warm-up.
    """
    whole = features.compute(bars)
    table = whole.select(features.names).to_numpy()
    found = []
    for row, online in enumerate(streamed(features, bars, start), start):
        if online is None:
            if row >= start + features.warmup_bars and whole[WARM][row]:
                found.append(row)
        elif np.asarray(online, dtype=np.float32).tobytes() != table[row].astype(np.float32).tobytes():
            found.append(row)
    return found


def _rule(rule: str = "", size: str = "", averaged: int | None = None) -> str:
    over = "" if averaged is None else f" averaged over {averaged} bars"
    return f"{rule} {size}{over}".strip()


def _same_bits(left: pl.DataFrame, right: pl.DataFrame, names: tuple[str, ...]) -> bool:
    return left.select(WARM, *names).equals(right.select(WARM, *names), null_equal=True)

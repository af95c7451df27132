"""The feature file of a model (`bar_seconds`, kinds and expressions) on a file of bars: what its bundle computes.

Here time counts, not the row: a bar stands on the grid of the model's bars, and where one is missing the features begin
anew, as they do in the service.
"""

from __future__ import annotations

import tomllib
from typing import TYPE_CHECKING

import numpy as np
import polars as pl
import py_rt_core

from py_rt.data.bar_columns import PRICES
from py_rt.data.point_in_time import KNOWN
from py_rt.ml.features.catalogue import CatalogueError
from py_rt.ml.features.promises import Finding, Trial, differing, looking_ahead, rows_to_cut
from py_rt.ml.features.technical import BAR_COLUMNS, WARM, FeatureError, FeatureSet

if TYPE_CHECKING:
    from pathlib import Path

    from py_rt.data.bar_files import BarFile

STARTS = 3
"""Rows at which the incremental path begins, to be held against the table."""


def is_model_file(path: Path) -> bool:
    """Whether a file of features says the length of its bars: then it is a model's."""
    try:
        return "bar_seconds" in tomllib.loads(path.read_text(encoding="utf-8"))
    except (OSError, ValueError):
        return False


class ModelFrame:
    """A model's features over a file of bars."""

    def __init__(self, path: Path, file: BarFile) -> None:
        """Read the features and fit the bars to their grid.

        Raises:
            CatalogueError: a fault of the feature file, bars of another length, or numbers below 1e-8.
        """
        try:
            self._set = FeatureSet.from_toml(path)
        except FeatureError as error:
            raise CatalogueError(str(error)) from error
        self.names = self._set.names
        self.warmup = self._set.warmup_bars
        if file.span_ns != self._set.bar_ns:
            raise CatalogueError(
                f"{path.name} is for bars of {self._set.bar_ns // 10**9} s; "
                f"these stand {file.span_ns / 10**9:g} s apart"
            )
        if absent := [name for name in (*PRICES, "volume") if name not in file.bars.columns]:
            raise CatalogueError(f"{path.name} reads whole bars; these have no {', '.join(absent)}")
        columns = file.bars.select(*PRICES, "volume")
        whole = columns.select(pl.all_horizontal(pl.all().is_not_nan() & (pl.all() == pl.all().round()))).to_series()
        if not whole.all():
            time = file.in_file_order(file.time.to_frame())[int((~whole).arg_max() or 0), 0]
            raise CatalogueError(f"the bar of {time}: a number is missing, or has digits below 1e-8")
        beside = self._set.columns[len(BAR_COLUMNS) :]
        if absent := [name for name in beside if name not in file.bars.columns]:
            raise CatalogueError(
                f"{path.name} reads {', '.join(absent)}, which these bars do not have: a file with {KNOWN} and a "
                "column of each gives them (`--known FILE`)"
            )
        whole_bars = columns.cast(pl.Int64).with_columns(ts_open=file.ts_open)
        self._bars = whole_bars.with_columns(file.bars.select(beside))

    def compute(self, *, one_by_one: bool = False) -> pl.DataFrame:
        """The features of every bar (Float32, null before they are warm), and `is_warm`.

        Raises:
            CatalogueError: a bar that is refused, with its row.
        """
        if not one_by_one:
            try:
                return self._set.compute(self._bars)
            except FeatureError as error:
                raise CatalogueError(str(error)) from error
        return self._one_by_one(0)

    def _one_by_one(self, start: int) -> pl.DataFrame:
        """What the service says of the bars from one of them on."""
        stream = py_rt_core.FeatureStream(self._set.canonical)
        width = len(BAR_COLUMNS)
        bars = self._bars.slice(start).select(self._set.columns).iter_rows()
        rows = [stream.push(*bar[:width], bar[width:]) for bar in bars]
        missing = [None] * len(self.names)
        table = pl.DataFrame(
            [row if row is not None else missing for row in rows],
            schema=dict.fromkeys(self.names, pl.Float32),
            orient="row",
        )
        return table.with_columns(pl.Series(WARM, [row is not None for row in rows]))

    def check(self) -> Trial:
        """Look for values that know what comes after them, or that the incremental path computes otherwise."""
        whole = self.compute()
        first = int(whole[WARM].arg_max() or 0)
        cuts = rows_to_cut(self._bars.height, first)
        ahead = looking_ahead(self._set.compute, self._bars, whole, cuts)
        starts = sorted({self._bars.height * step // STARTS for step in range(STARTS)} - {self._bars.height})
        kept: dict[str, Finding] = {}
        for start in starts:
            online = self._one_by_one(start)
            # What is warm must agree; from the warm-up on, whatever the table says, cold rows as well.
            rows = online[WARM].to_numpy() | (np.arange(online.height) >= self.warmup)
            where = dict.fromkeys(self.names, rows)
            kept = {**differing("warm_up", whole.slice(start), online, where, start), **kept}
        untried = self.names if self._bars.height <= self.warmup else ()
        return Trial((*ahead.values(), *kept.values()), len(cuts), len(starts), untried)

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

from py_rt.data.bar_files import PRICES
from py_rt.data.point_in_time import KNOWN
from py_rt.ml.features.catalogue import CatalogueError
from py_rt.ml.features.sets import CUTS, Finding
from py_rt.ml.features.technical import (
    BAR_COLUMNS,
    WARM,
    FeatureError,
    FeatureSet,
    rows_that_differ_online,
    rows_that_look_ahead,
    rows_to_cut,
)

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
        columns = file.bars.select(*PRICES, "volume")
        whole = columns.select(pl.all_horizontal(pl.all().is_not_nan() & (pl.all() == pl.all().round()))).to_series()
        if not whole.all():
            row = int((~whole).arg_max() or 0)
            raise CatalogueError(f"bar {row}: a number is missing, or has digits below 1e-8")
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
        stream = py_rt_core.FeatureStream(self._set.canonical)
        bars = self._bars.select(self._set.columns).iter_rows()
        rows = [
            stream.push(ts, opened, high, low, close, volume, beside)
            for ts, opened, high, low, close, volume, *beside in bars
        ]
        missing = [None] * len(self.names)
        table = pl.DataFrame(
            [row if row is not None else missing for row in rows],
            schema=dict.fromkeys(self.names, pl.Float32),
            orient="row",
        )
        return table.with_columns(pl.Series(WARM, [row is not None for row in rows]))

    def untried(self) -> list[str]:
        """Features for which so many bars cannot show whether they forget."""
        return list(self.names) if self._bars.height <= self.warmup else []

    def findings(self) -> list[Finding]:
        """Rows that know what comes after them, and rows that the incremental path computes otherwise."""
        whole = self.compute()
        cuts = rows_to_cut(self._set, self._bars, CUTS)
        found = [("look_ahead", row) for row in rows_that_look_ahead(self._set, self._bars, cuts)[:1]]
        for step in range(STARTS):
            rows = rows_that_differ_online(self._set, self._bars, self._bars.height * step // STARTS)
            found += [("warm_up", row) for row in rows[:1]]
        value = whole[self.names[0]]
        return [Finding("the set", rule, row, float(value[row] or np.nan), float("nan")) for rule, row in found]

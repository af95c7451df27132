"""The feature file of a model (`bar_seconds`, kinds and expressions) on a file of bars: what its bundle computes.

Here time counts, not the row: a bar stands on the grid of the model's bars, and where one is missing the features begin
anew, as they do in the service. Bars that events close (`[bars]` in the file) have no grid and follow each other.
"""

from __future__ import annotations

import tomllib
from math import ceil
from typing import TYPE_CHECKING

import numpy as np
import polars as pl

from py_rt.data.bar_columns import PRICES
from py_rt.data.bar_files import UNITS, whole_units
from py_rt.data.point_in_time import KNOWN
from py_rt.ml.features.catalogue import CatalogueError
from py_rt.ml.features.promises import Finding, Trial, differing, looking_ahead, rows_to_cut, without_values
from py_rt.ml.features.technical import BAR_COLUMNS, CLOSE, WARM, FeatureError, FeatureSet, streamed

if TYPE_CHECKING:
    from pathlib import Path

    from py_rt.data.bar_files import BarFile
    from py_rt.data.event_bars import Rule
    from py_rt.ml.features.catalogue import Feature

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

    features: tuple[Feature, ...] = ()
    """None of research: a model's file writes every one out, those of the catalogue with restart windows of its own."""

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
        _check_closing(path, self._set, file)
        if absent := [name for name in (*PRICES, "volume") if name not in file.bars.columns]:
            raise CatalogueError(f"{path.name} reads whole bars; these have no {', '.join(absent)}")
        columns = pl.DataFrame({name: whole_units(file.bars[name].to_numpy()) for name in (*PRICES, "volume")})
        whole = columns.select(pl.all_horizontal(pl.all().is_not_nan() & (pl.all() == pl.all().round()))).to_series()
        if not whole.all():
            time = file.in_file_order(file.time.to_frame())[int((~whole).arg_max() or 0), 0]
            raise CatalogueError(f"the bar of {time}: a number is missing, or has digits below 1e-8")
        beside = [name for name in self._set.columns[len(BAR_COLUMNS) :] if name != CLOSE]
        if absent := [name for name in beside if name not in file.bars.columns]:
            raise CatalogueError(
                f"{path.name} reads {', '.join(absent)}, which these bars do not have: a file with {KNOWN} and a "
                "column of each gives them (`--known FILE`)"
            )
        whole_bars = columns.cast(pl.Int64).with_columns(ts_open=file.ts_open)
        self._bars = whole_bars.with_columns(file.ts_close, *file.bars.select(beside).get_columns())

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
        return online(self._set, self._bars)

    def check(self) -> Trial:
        """As :func:`check_model`."""
        return check_model(self._set, self._bars)


def _check_closing(path: Path, features: FeatureSet, file: BarFile) -> None:
    if features.events:
        if not file.is_of_events:
            raise CatalogueError(
                f"{path.name} is for bars that events close ({features.events}); these stand by the clock, or do not "
                f"say {CLOSE}: `py_rt data bars TRADES --set FILE` makes its bars"
            )
        _check_size(path, features.rule, file)
    elif file.is_of_events or file.span_ns != features.bar_ns:
        found = "events close these" if file.is_of_events else f"these stand {file.span_ns / 10**9:g} s apart"
        raise CatalogueError(f"{path.name} is for bars of {features.bar_ns // 10**9} s; {found}")


def _check_size(path: Path, rule: Rule, file: BarFile) -> None:
    """Refuse bars of another size, where they show it."""
    told = {"ticks": ("trades", ceil(rule.size)), "volume": ("volume", rule.size * UNITS)}.get(rule.name)
    if told is None or told[0] not in file.bars.columns:
        return
    column, size = told
    values = file.bars[column]
    wrong = values != size if rule.name == "ticks" else values < size
    if wrong.any():
        at = int(wrong.arg_max() or 0)
        found = values[at] if rule.name == "ticks" else values[at] / UNITS
        raise CatalogueError(
            f"{path.name} is for bars of {rule.name} {rule.size:g}; bar {at} of these has {column} {found:g}: "
            "`py_rt data bars TRADES --set FILE` makes its bars"
        )


def online(features: FeatureSet, bars: pl.DataFrame, start: int = 0) -> pl.DataFrame:
    """What the service says of bars from a row on, its first: Float32, null before it is warm; `is_warm`."""
    rows = list(streamed(features, bars, start))
    missing = [None] * len(features.names)
    table = pl.DataFrame(
        [row if row is not None else missing for row in rows],
        schema=dict.fromkeys(features.names, pl.Float32),
        orient="row",
    )
    return table.with_columns(pl.Series(WARM, [row is not None for row in rows], dtype=pl.Boolean))


def check_model(features: FeatureSet, bars: pl.DataFrame) -> Trial:
    """Look for values that know what comes after them, or that the incremental path computes otherwise.

    Args:
        features: of a model.
        bars: as for :meth:`FeatureSet.compute`; none of them is tried where none is warm.
    """
    whole = features.compute(bars)
    if not whole[WARM].any():
        return Trial((), 0, 0, features.names, without_values(whole))
    cuts = rows_to_cut(bars.height, int(whole[WARM].arg_max() or 0))
    ahead = looking_ahead(features.compute, bars, whole, cuts)
    starts = sorted({bars.height * step // STARTS for step in range(STARTS)} - {bars.height})
    kept: dict[str, Finding] = {}
    for start in starts:
        table = online(features, bars, start)
        # What is warm must agree; from the warm-up on, whatever the table says, cold rows as well.
        rows = table[WARM].to_numpy() | (np.arange(table.height) >= features.warmup_bars)
        where = dict.fromkeys(features.names, rows)
        kept = {**differing("warm_up", whole.slice(start), table, where, start), **kept}
    return Trial((*ahead.values(), *kept.values()), len(cuts), len(starts), (), without_values(whole))

"""Features as expressions, computed by the engine: over columns of bars, or one bar at a time, with the same bits.

The engine works in whole units of 1e-8, in which differences of prices are exact; what comes out is in the units in
which people write. Before it has seen enough bars a feature has no value (NaN); its last bits do not depend on where
the bars began once it is warm.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING

import numpy as np
import polars as pl
import py_rt_core

from py_rt.ml.features.catalogue import CatalogueError, Feature, catalogue

if TYPE_CHECKING:
    from collections.abc import Collection, Sequence

WARM = "is_warm"
"""Whether every feature of a row is the same wherever the bars began."""


@dataclass(frozen=True, slots=True)
class Needs:
    """What a feature needs and gives.

    Attributes:
        unit: of its values: `number`, `price`, `quantity`, or powers of them.
        lookback: bars until it has a value.
        warmup: bars until its value is the same, to the last bit, wherever the bars began.
        inputs: the columns that it reads.
    """

    unit: str
    lookback: int
    warmup: int
    inputs: tuple[str, ...]


class Expressions:
    """Some features as one program: what they have in common is computed once.

    >>> bars = pl.DataFrame({name: [1e8, 2e8, 4e8] for name in py_rt_core.feature_inputs()})
    >>> momentum = Feature("momentum", "close / lag(close, 1) - 1", "", "", "")
    >>> Expressions([momentum]).compute(bars.with_columns(number=pl.Series([7, 8, 9])))["momentum"].to_list()
    [nan, 1.0, 1.0]
    """

    def __init__(self, features: Sequence[Feature]) -> None:
        """Read the features' expressions.

        Raises:
            CatalogueError: an expression is refused: which, where in it, and what is allowed.
        """
        self.features = tuple(features)
        self.names = tuple(feature.name for feature in features)
        if repeated := sorted({name for name in self.names if self.names.count(name) > 1}):
            raise CatalogueError(f"{', '.join(repeated)} is asked for twice")
        known = {**catalogue(), **{feature.name: feature for feature in features}}
        definitions = {name: feature.expression for name, feature in known.items()}
        columns = sorted({column for feature in known.values() for column in feature.columns})
        self._inputs = [*py_rt_core.feature_inputs(), *(name for name, _ in columns)]
        self._program = _read(self.features, definitions, columns)
        self.needs = tuple(
            Needs(unit, lookback, warmup, tuple(inputs)) for unit, lookback, warmup, inputs in self._program.describe()
        )

    @property
    def warmup(self) -> int:
        """Bars until every feature is warm."""
        return max(needs.warmup for needs in self.needs)

    def compute(self, bars: pl.DataFrame) -> pl.DataFrame:
        """Features of every bar.

        Args:
            bars: Float64 columns of those `py_rt_core.feature_inputs()` that the features read, prices and quantities
                in units of 1e-8, and `number` (Int64): where numbers do not follow each other the features begin anew.

        Returns:
            A Float64 column for each feature, NaN where it has no value, and `is_warm`.

        Raises:
            CatalogueError: a feature reads a column that is missing.
            py_rt_core.CoreError: a column is of another type.
        """
        self._check(bars)
        made = np.empty((len(self.names), bars.height))
        warm = self._program.compute(bars.rechunk(), made)
        frame = pl.DataFrame([pl.Series(name, column) for name, column in zip(self.names, made, strict=True)])
        return frame.with_columns(pl.Series(WARM, warm))

    def compute_one_by_one(self, bars: pl.DataFrame) -> pl.DataFrame:
        """The same by the path of the service: bar by bar."""
        self._check(bars)
        stream = self._program.stream()
        unknown = pl.lit(float("nan"))
        inputs_of = [pl.col(name) if name in bars.columns else unknown.alias(name) for name in self._inputs]
        rows = bars.select("number", *inputs_of).iter_rows()
        made, seen = [], []
        for number, *inputs in rows:
            made.append(stream.push(number, inputs))
            seen.append(stream.seen)
        values = np.array(made, dtype=np.float64).reshape(len(made), len(self.names))
        frame = pl.DataFrame([pl.Series(name, values[:, at].copy()) for at, name in enumerate(self.names)])
        return frame.with_columns(pl.Series(WARM, np.array(seen, dtype=np.int64) >= self.warmup))

    def _check(self, bars: pl.DataFrame) -> None:
        for name, needs in zip(self.names, self.needs, strict=True):
            if absent := [column for column in needs.inputs if column not in bars.columns]:
                raise CatalogueError(
                    f"feature {name}: reads {', '.join(absent)}, which these bars do not have; they have "
                    f"{', '.join(column for column in self._inputs if column in bars.columns)}; "
                    "where one has an unusual name, say --column ROLE=NAME"
                )


def readable(bars: Collection[str]) -> list[Feature]:
    """Features of the catalogue that read no other than these columns."""
    features = list(catalogue().values())
    needs = Expressions(features).needs
    return [feature for feature, need in zip(features, needs, strict=True) if set(need.inputs) <= set(bars)]


def _read(
    features: Sequence[Feature], definitions: dict[str, str], columns: list[tuple[str, str]]
) -> py_rt_core.FeatureProgram:
    try:
        return py_rt_core.FeatureProgram([feature.expression for feature in features], definitions, columns)
    except py_rt_core.CoreError:
        # Which of them it was: each by itself says its own name.
        for feature in features:
            try:
                py_rt_core.FeatureProgram([feature.expression], definitions, columns)
            except py_rt_core.CoreError as error:
                what = str(error).removeprefix("expression 0: ")
                raise CatalogueError(f"feature {feature.name}: {what}\n  {feature.expression}") from error
        raise


def chosen(names: Sequence[str]) -> list[Feature]:
    """Features of the catalogue by name.

    Raises:
        CatalogueError: a name that it does not have, with the nearest that it has.
    """
    from difflib import get_close_matches

    known = catalogue()
    found = []
    for name in names:
        feature = known.get(name)
        if feature is None:
            near = get_close_matches(name, known, n=5)
            hint = f"; near are {', '.join(near)}" if near else ""
            raise CatalogueError(f"the catalogue has no feature {name!r}{hint}; `py_rt features list` shows all")
        found.append(feature)
    return found

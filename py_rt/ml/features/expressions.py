"""Features as expressions, computed by the engine: over columns of bars, or one bar at a time, with the same bits.

The engine works in whole units of 1e-8, in which differences of prices are exact; what comes out is in the units in
which people write. Before it has seen enough bars a feature has no value (NaN); its last bits do not depend on where
the bars began once it is warm.
"""

from __future__ import annotations

from collections import Counter
from dataclasses import dataclass
from typing import TYPE_CHECKING

import numpy as np
import polars as pl
import py_rt_core

from py_rt.ml.features.catalogue import CatalogueError, Feature, catalogue, nearest

if TYPE_CHECKING:
    from collections.abc import Callable, Collection, Sequence

    _Path = Callable[[pl.DataFrame, np.ndarray], py_rt_core.Table]

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


class AbsentColumnError(CatalogueError):
    """A feature reads a column that the bars do not have."""


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
            CatalogueError: an expression is refused: which, where in it, and what is allowed; a name stands for two
                things.
        """
        self.features = tuple(features)
        self.names = tuple(feature.name for feature in features)
        if repeated := [name for name, count in Counter(self.names).items() if count > 1]:
            raise CatalogueError(f"{', '.join(repeated)} is asked for twice")
        definitions, columns = meanings(self.features)
        self._inputs = [*py_rt_core.feature_inputs(), *(name for name, _ in columns)]
        self.program = _read(self.features, definitions, columns)
        self.needs = tuple(
            Needs(unit, lookback, warmup, tuple(inputs)) for unit, lookback, warmup, inputs in self.program.describe()
        )
        for feature, needs in zip(self.features, self.needs, strict=True):
            if feature.unit and feature.unit != needs.unit:
                raise CatalogueError(
                    f"feature {feature.name}: unit = {feature.unit!r}; its expression has {needs.unit!r}"
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
            AbsentColumnError: a feature reads a column that is missing.
            py_rt_core.CoreError: a column is of another type.
        """
        return self._by(self.program.compute, bars)

    def compute_one_by_one(self, bars: pl.DataFrame) -> pl.DataFrame:
        """The same by the path of the service: bar by bar."""
        return self._by(self.program.compute_one_by_one, bars)

    def _by(self, path: _Path, bars: pl.DataFrame) -> pl.DataFrame:
        self._check(bars)
        made = np.empty((len(self.names), bars.height))
        warm = path(bars.rechunk(), made)
        features = [pl.Series(name, column) for name, column in zip(self.names, made, strict=True)]
        return pl.DataFrame(features).hstack(pl.DataFrame(warm))

    def _check(self, bars: pl.DataFrame) -> None:
        for name, needs in zip(self.names, self.needs, strict=True):
            if absent := [column for column in needs.inputs if column not in bars.columns]:
                raise AbsentColumnError(
                    f"feature {name}: reads {', '.join(absent)}, which these bars do not have; they have "
                    f"{', '.join(column for column in self._inputs if column in bars.columns)}; {_whence(absent)}"
                )


def _whence(columns: Sequence[str]) -> str:
    """Where columns that bars lack come from, for a message."""
    if all(name.startswith("reference_") for name in columns):
        return "bars of a reference instrument give it: --reference FILE"
    if set(columns) - set(py_rt_core.feature_inputs()):
        return "a file with ts_known and a column of it gives what became known: --known FILE"
    return "where one has an unusual name, say --column ROLE=NAME"


def meanings(features: Sequence[Feature]) -> tuple[dict[str, str], list[tuple[str, str]]]:
    """What names stand for in the expressions of features: definitions, and the units of columns beside those of bars.

    Raises:
        CatalogueError: a name stands for two things.
    """
    known = {**catalogue(), **{feature.name: feature for feature in features}}
    columns = sorted({column for feature in known.values() for column in feature.columns})
    counts = Counter([*known, *(name for name, _ in columns)])
    if repeated := [name for name, count in counts.items() if count > 1]:
        raise CatalogueError(
            f"{', '.join(repeated)} stands for two things: features and columns need names of their own, and a column "
            "has one unit, that of the catalogue where it is there"
        )
    return {name: feature.expression for name, feature in known.items()}, columns


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
    except py_rt_core.CoreError as together:
        # Which of them it was: each by itself says its own name.
        for feature in features:
            try:
                py_rt_core.FeatureProgram([feature.expression], definitions, columns)
            except py_rt_core.CoreError as error:
                what = str(error).removeprefix("expression 0: ")
                raise CatalogueError(f"feature {feature.name}: {what}\n  {feature.expression}") from error
        where, _, what = str(together).removeprefix("expression ").partition(": ")
        raise CatalogueError(
            f"feature {features[int(where)].name}: together with the {where} before it: {what}; "
            "split the set into several"
        ) from together


def chosen(names: Sequence[str]) -> list[Feature]:
    """Features of the catalogue by name.

    Raises:
        CatalogueError: a name that it does not have, with the nearest that it has.
    """
    known = catalogue()
    found = []
    for name in names:
        feature = known.get(name)
        if feature is None:
            near = nearest(name)
            raise CatalogueError(f"the catalogue has no feature {name!r}{near}; `py_rt features list` shows all")
        found.append(feature)
    return found

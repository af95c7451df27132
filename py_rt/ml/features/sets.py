"""A set of features over bars: expressions by the engine, arbitrary Python beside them, and what must hold of both.

What must hold: a row's values do not change when later rows are taken away, and once warm they do not depend on the
rows long before.
"""

from __future__ import annotations

import importlib.util
import sys
from dataclasses import dataclass
from functools import cached_property
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np
import polars as pl

from py_rt.ml.features.catalogue import CatalogueError
from py_rt.ml.features.expressions import WARM, Expressions
from py_rt.ml.features.gaps import OverGaps, have_gaps

if TYPE_CHECKING:
    from collections.abc import Callable, Sequence

    from py_rt.ml.features.catalogue import Feature

CUTS = 24
"""Rows at which the bars are cut off to look for values that knew what came after."""
STARTS = 6
"""Rows at which the bars begin to look for values that never forget."""


@dataclass(frozen=True, slots=True)
class Finding:
    """A feature that breaks a promise.

    Attributes:
        feature: its name.
        rule: `look_ahead` or `warm_up`.
        row: the first of the rows that were tried where it does, 0 for the first bar.
        whole: its value there, computed on all bars.
        cut: its value there, computed on fewer.
    """

    feature: str
    rule: str
    row: int
    whole: float
    cut: float


class FeatureFrame:
    """Features to be computed together."""

    def __init__(self, features: Sequence[Feature]) -> None:
        """Read expressions and load Python.

        Raises:
            CatalogueError: an expression or a Python function is refused.
        """
        self.names = tuple(feature.name for feature in features)
        native = [feature for feature in features if not feature.python]
        self._expressions = Expressions(native) if native else None
        self._python = {feature.name: _load(feature) for feature in features if feature.python}

    @property
    def warmup(self) -> int:
        """Bars until every expression is warm; what is arbitrary Python says nothing of it."""
        return self._expressions.warmup if self._expressions else 1

    def compute(self, bars: pl.DataFrame, *, one_by_one: bool = False) -> pl.DataFrame:
        """The features of every bar, in the order asked for, and `is_warm`.

        Args:
            bars: as for `Expressions.compute`.
            one_by_one: expressions by the path of the service.
        """
        warm = pl.Series(WARM, [True] * bars.height, dtype=pl.Boolean)
        made: dict[str, pl.Series] = {}
        if self._expressions is not None:
            frame = self._run(bars, one_by_one=one_by_one)
            warm = frame[WARM]
            made |= {name: frame[name] for name in self._expressions.names}
        for name, function in self._python.items():
            made[name] = _checked(name, function(bars), bars.height)
        return pl.DataFrame([*(made[name] for name in self.names), warm])

    @cached_property
    def _over_gaps(self) -> OverGaps:
        return OverGaps(self._expressions.features if self._expressions else ())

    def _run(self, bars: pl.DataFrame, *, one_by_one: bool) -> pl.DataFrame:
        assert self._expressions is not None, "there are expressions"
        if have_gaps(bars):
            return self._over_gaps.compute(bars, one_by_one=one_by_one)
        run = self._expressions.compute_one_by_one if one_by_one else self._expressions.compute
        return run(bars)

    def findings(self, bars: pl.DataFrame) -> list[Finding]:
        """Look for values that knew what came after, and for values that do not forget.

        Args:
            bars: as for `Expressions.compute`; twice the warm-up, better more.
        """
        whole = self.compute(bars)
        return [*self._looking_ahead(bars, whole), *self._not_forgetting(bars, whole)]

    def _looking_ahead(self, bars: pl.DataFrame, whole: pl.DataFrame) -> list[Finding]:
        found: dict[str, Finding] = {}
        first = min(bars.height - 1, max(1, bars.height // 50))
        for row in sorted({first + (bars.height - 1 - first) * step // CUTS for step in range(CUTS)}):
            cut = self.compute(bars.head(row + 1))
            for name in self.names:
                ours, theirs = whole[name][row], cut[name][row]
                if not _same_bits(ours, theirs):
                    found.setdefault(name, Finding(name, "look_ahead", row, ours, theirs))
        return list(found.values())

    def _not_forgetting(self, bars: pl.DataFrame, whole: pl.DataFrame) -> list[Finding]:
        found: dict[str, Finding] = {}
        for start in sorted({1 + (bars.height - 1) * step // STARTS for step in range(STARTS)}):
            later = self.compute(bars.slice(start))
            for name, warmup in self._warmups().items():
                ours = whole[name].to_numpy()[start + warmup - 1 :]
                theirs = later[name].to_numpy()[warmup - 1 :]
                differing = ours.view(np.uint64) != theirs.view(np.uint64)
                differing &= ~(np.isnan(ours) & np.isnan(theirs))
                if differing.any():
                    at = int(differing.argmax())
                    row = start + warmup - 1 + at
                    found.setdefault(name, Finding(name, "warm_up", row, float(ours[at]), float(theirs[at])))
        return list(found.values())

    def _warmups(self) -> dict[str, int]:
        """Of each expression; what is arbitrary Python says nothing of it."""
        if self._expressions is None:
            return {}
        needs = zip(self._expressions.names, self._expressions.needs, strict=True)
        return {name: need.warmup for name, need in needs}

    def untried(self, bars: pl.DataFrame) -> list[str]:
        """Features for which so many bars cannot show whether they forget."""
        warmups = self._warmups()
        return [name for name in self.names if warmups.get(name, bars.height) >= bars.height]


class SetOverBars:
    """A set of features and the bars it is computed over."""

    def __init__(self, features: Sequence[Feature], bars: pl.DataFrame) -> None:
        """As :class:`FeatureFrame`, over these bars."""
        self._frame = FeatureFrame(features)
        self._bars = bars
        self.names = self._frame.names
        self.warmup = self._frame.warmup

    def compute(self, *, one_by_one: bool = False) -> pl.DataFrame:
        """As :meth:`FeatureFrame.compute`."""
        return self._frame.compute(self._bars, one_by_one=one_by_one)

    def findings(self) -> list[Finding]:
        """As :meth:`FeatureFrame.findings`."""
        return self._frame.findings(self._bars)

    def untried(self) -> list[str]:
        """As :meth:`FeatureFrame.untried`."""
        return self._frame.untried(self._bars)


def _same_bits(ours: float, theirs: float) -> bool:
    pair = np.array([ours, theirs], dtype=np.float64)
    return bool(np.isnan(pair).all() or pair.view(np.uint64)[0] == pair.view(np.uint64)[1])


def _load(feature: Feature) -> Callable[[pl.DataFrame], Any]:
    file, _, name = feature.python.rpartition(":")
    path = Path(file)
    spec = importlib.util.spec_from_file_location(f"py_rt_feature_{path.stem}", path)
    if spec is None or spec.loader is None or not path.is_file():
        raise CatalogueError(f"feature {feature.name}: there is no Python file {path}")
    module = importlib.util.module_from_spec(spec)
    sys.modules[spec.name] = module
    spec.loader.exec_module(module)
    function = getattr(module, name, None)
    if not callable(function):
        raise CatalogueError(f"feature {feature.name}: {path} has no function {name}(bars)")
    loaded: Callable[[pl.DataFrame], Any] = function
    return loaded


def _checked(name: str, made: Any, rows: int) -> pl.Series:  # noqa: ANN401
    if not isinstance(made, pl.Series) or made.len() != rows:
        raise CatalogueError(
            f"feature {name}: its function must give a Polars series of {rows} values, one for each bar"
        )
    return made.cast(pl.Float64).fill_null(float("nan")).alias(name)

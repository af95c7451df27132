"""A set of features over bars: expressions by the engine, arbitrary Python beside them, and what must hold of both.

What must hold stands in `py_rt.ml.features.promises`. An expression is tried behind some rows: the language has no word
for what comes after, so that this is a test of the engine. Arbitrary Python may look ahead in one row of a hundred; it
is tried behind many more, hundreds of which follow each other. What it keeps in its module could show one computing the
future that another has seen: its file is loaded anew for each. Where it fails on few bars (a filter or a fit that needs
more) it is tried on the others.
"""

from __future__ import annotations

import importlib.util
import sys
import traceback
from dataclasses import replace
from functools import cached_property
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np
import polars as pl

from py_rt.ml.features.catalogue import CatalogueError
from py_rt.ml.features.expressions import WARM, Expressions
from py_rt.ml.features.gaps import OverGaps, have_gaps
from py_rt.ml.features.promises import (
    STARTS,
    Finding,
    Trial,
    differing,
    far_starts,
    looking_ahead,
    remembering,
    rows_to_cut,
    stretch_to_cut,
    without_values,
)

if TYPE_CHECKING:
    from collections.abc import Callable, Sequence
    from types import ModuleType

    from py_rt.ml.features.catalogue import Feature


class FeatureFrame:
    """Features to be computed together."""

    def __init__(self, features: Sequence[Feature]) -> None:
        """Read expressions, and load Python to see that it can be.

        Raises:
            CatalogueError: an expression or a Python function is refused.
        """
        self.names = tuple(feature.name for feature in features)
        native = [feature for feature in features if not feature.python]
        self._expressions = Expressions(native) if native else None
        self._python = [feature for feature in features if feature.python]
        _load(self._python)

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
        if self._python:
            python = self._compute_python(bars)
            made |= {name: python[name] for name in python.columns}
        return pl.DataFrame([*(made[name] for name in self.names), warm])

    def _compute_python(self, bars: pl.DataFrame) -> pl.DataFrame:
        return pl.DataFrame([_run(name, function, bars) for name, function in _load(self._python).items()])

    @cached_property
    def _over_gaps(self) -> OverGaps:
        return OverGaps(self._expressions.features if self._expressions else ())

    def _run(self, bars: pl.DataFrame, *, one_by_one: bool = False) -> pl.DataFrame:
        assert self._expressions is not None, "there are expressions"
        if have_gaps(bars):
            return self._over_gaps.compute(bars, one_by_one=one_by_one)
        run = self._expressions.compute_one_by_one if one_by_one else self._expressions.compute
        return run(bars)

    def check(self, bars: pl.DataFrame) -> Trial:
        """Look for values that knew what came after, and for values that do not forget.

        Args:
            bars: as for `Expressions.compute`; twice the warm-up, better more.

        Raises:
            CatalogueError: as for :meth:`compute`; arbitrary Python fails whenever there are fewer bars.
        """
        whole = self.compute(bars)
        cuts = rows_to_cut(bars.height)
        tried = set(cuts)
        ahead = looking_ahead(self._run, bars, whole, cuts) if self._expressions else {}
        starts = {1 + (bars.height - 1) * step // STARTS for step in range(STARTS)} - {bars.height}
        kept = self._not_forgetting(bars, whole, sorted(starts)) if self._expressions else {}
        untried = {name for name, warmup in self._warmups().items() if warmup >= bars.height}
        python = _OnFewerBars(self._python)
        if self._python:
            found, cut = _look_closer(python, bars, whole, cuts)
            ahead, tried = ahead | found, tried | cut
            names = [feature.name for feature in self._python]
            far, unjudged = remembering(python, bars, whole.select(names))
            kept, untried = kept | far, untried | set(unjudged)
            starts = (starts if self._expressions else set()) | set(far_starts(bars.height))
        findings = (*ahead.values(), *kept.values())
        in_order = tuple(name for name in self.names if name in untried)
        return Trial(findings, len(tried), len(starts), in_order, without_values(whole), python.failing())

    def _not_forgetting(self, bars: pl.DataFrame, whole: pl.DataFrame, starts: Sequence[int]) -> dict[str, Finding]:
        found: dict[str, Finding] = {}
        for start in starts:
            later, rows = self._run(bars.slice(start)), np.arange(bars.height - start)
            warm = {name: rows >= warmup - 1 for name, warmup in self._warmups().items()}
            found = {**differing("warm_up", whole.slice(start), later, warm, start), **found}
        return found

    def _warmups(self) -> dict[str, int]:
        """Of each expression; what is arbitrary Python says nothing of it."""
        if self._expressions is None:
            return {}
        needs = zip(self._expressions.names, self._expressions.needs, strict=True)
        return {name: need.warmup for name, need in needs}


class _OnFewerBars:
    """Arbitrary Python on fewer bars than all: what fails there is left out, and kept for who asks."""

    def __init__(self, features: Sequence[Feature]) -> None:
        self._features = features
        self._made: set[str] = set()
        self._failures: dict[str, tuple[int, CatalogueError]] = {}

    def __call__(self, bars: pl.DataFrame) -> pl.DataFrame:
        made = []
        for name, function in _load(self._features).items():
            try:
                made.append(_run(name, function, bars))
            except CatalogueError as error:
                if bars.height > self._failures.get(name, (0, error))[0]:
                    self._failures[name] = bars.height, error
        self._made |= {column.name for column in made}
        return pl.DataFrame(made)

    def failing(self) -> tuple[str, ...]:
        """What each said that fails somewhere, of the most bars on which it does.

        Raises:
            CatalogueError: one was never made of fewer bars.
        """
        for name, (_, error) in self._failures.items():
            if name not in self._made:
                raise error
        return tuple(str(error) for _, error in self._failures.values())


def _look_closer(
    compute: _OnFewerBars, bars: pl.DataFrame, whole: pl.DataFrame, cuts: Sequence[int]
) -> tuple[dict[str, Finding], set[int]]:
    """Python may look ahead in some rows only: cut behind rows that follow each other."""
    every = {row + step for row in cuts for step in (0, 1, 2) if row + step < bars.height - 1}
    found = looking_ahead(compute, bars, whole, sorted(every))
    lead, begin, end = stretch_to_cut(bars.height)
    part = bars.slice(lead, min(end + 1, bars.height) - lead)
    of_part = compute(part) if part.height < bars.height else whole
    own = looking_ahead(compute, part, of_part, range(begin - lead, end - lead))
    found = {**{name: replace(one, row=one.row + lead) for name, one in own.items()}, **found}
    return found, every | set(range(begin, end))


class SetOverBars:
    """A set of features and the bars it is computed over."""

    def __init__(self, features: Sequence[Feature], bars: pl.DataFrame) -> None:
        """As :class:`FeatureFrame`, over these bars."""
        self._frame = FeatureFrame(features)
        self.features = tuple(features)
        self._bars = bars
        self.names = self._frame.names
        self.warmup = self._frame.warmup

    def compute(self, *, one_by_one: bool = False) -> pl.DataFrame:
        """As :meth:`FeatureFrame.compute`."""
        return self._frame.compute(self._bars, one_by_one=one_by_one)

    def check(self) -> Trial:
        """As :meth:`FeatureFrame.check`."""
        return self._frame.check(self._bars)


# A file that says `sys.exit()` has failed as well: it must not end what judges it as if all were well.
_FAILURES = (Exception, SystemExit, pl.exceptions.PanicException)


def _load(features: Sequence[Feature]) -> dict[str, Callable[[pl.DataFrame], Any]]:
    """Their functions, each file loaded anew and once."""
    modules: dict[str, ModuleType] = {}
    found: dict[str, Callable[[pl.DataFrame], Any]] = {}
    for feature in features:
        file, _, name = feature.python.rpartition(":")
        if file not in modules:
            modules[file] = _module(feature.name, Path(file))
        function = getattr(modules[file], name, None)
        if not callable(function):
            raise CatalogueError(f"feature {feature.name}: {file} has no function {name}(bars)")
        found[feature.name] = function
    return found


def _module(feature: str, path: Path) -> ModuleType:
    spec = importlib.util.spec_from_file_location(f"py_rt_feature_{path.stem}", path)
    if spec is None or spec.loader is None or not path.is_file():
        raise CatalogueError(f"feature {feature}: there is no Python file {path}; its name ends with .py")
    module = importlib.util.module_from_spec(spec)
    sys.modules[spec.name] = module
    try:
        spec.loader.exec_module(module)
    except _FAILURES as error:
        raise CatalogueError(f"feature {feature}: {path} cannot be loaded: {_told(error, path)}") from error
    return module


def _run(name: str, function: Callable[[pl.DataFrame], Any], bars: pl.DataFrame) -> pl.Series:
    try:
        # Its own frame: whatever it replaces there, no other feature and no other run sees. The columns are shared.
        made = function(bars.clone())
    except _FAILURES as error:
        path = Path(function.__code__.co_filename) if hasattr(function, "__code__") else Path()
        raise CatalogueError(f"feature {name}: fails on {bars.height} bars: {_told(error, path)}") from error
    if not isinstance(made, pl.Series) or made.len() != bars.height:
        found = f"{made.len()} values" if isinstance(made, pl.Series) else type(made).__name__
        raise CatalogueError(
            f"feature {name}: its function gives {found}; allowed is a Polars series of {bars.height} numbers, one for "
            "each bar"
        )
    if not (made.dtype.is_numeric() or made.dtype in {pl.Boolean, pl.Null}):
        raise CatalogueError(f"feature {name}: its function gives values of type {made.dtype}; allowed are numbers")
    return made.cast(pl.Float64).fill_null(float("nan")).alias(name)


def _told(error: BaseException, path: Path) -> str:
    """The error, and the line of the user's file that it came from."""
    lines = [at.lineno for at in traceback.extract_tb(error.__traceback__) if Path(at.filename) == path]
    where = error.lineno if isinstance(error, SyntaxError) else lines[-1] if lines else None
    return f"{type(error).__name__}: {error}" + (f" ({path.name}, line {where})" if where else "")

"""Regimes of a market as states of a Gaussian hidden Markov model, filtered by the past only.

A model is fitted on a training window with `hmmlearn` and kept as plain numbers. What it says of a day is the
*filtered* probability: of the state now, given everything until now. Libraries return smoothed ones, which look at what
came later; a backtest of them trades on the future. So the forward recursion stands here, one observation at a time,
the same offline and online. Source: Rabiner, "A Tutorial on Hidden Markov Models" (1989), III.A; Hamilton (1989).

States are in order of their first variance: state 0 is the calmest, whatever order a fit found them in.
"""

from __future__ import annotations

import json
import math
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, Self

import numpy as np
import polars as pl
from numpy.typing import NDArray

from py_rt.errors import PyRtError

if TYPE_CHECKING:
    from collections.abc import Sequence

Float64Array = NDArray[np.float64]

MIN_STATES, MAX_STATES = 2, 8
MIN_ROWS_PER_STATE = 50
"""Training rows per state below which nothing is fitted."""

MAX_ITERATIONS = 500
TOLERANCE = 1e-4
RESTARTS = 4
"""Fits from different starts; the one of the largest likelihood stands, of equal ones the first."""

MIN_OCCUPANCY = 0.01
"""Share of the training rows that each state must explain; below it, it fits an outlier."""

_SUM_TOLERANCE = 1e-9


class RegimeError(PyRtError):
    """Observations that no model can be fitted on, or a model that is none."""


@dataclass(frozen=True)
class RegimeModel:
    """A Gaussian hidden Markov model with independent observations.

    Attributes:
        columns: names of the D observations.
        start: probabilities of the K states before the first observation, (K,).
        transition: from the row's state to the column's, (K, K).
        means: of each state's observations, (K, D).
        variances: of each state's observations, (K, D), above 0.
    """

    columns: tuple[str, ...]
    start: Float64Array
    transition: Float64Array
    means: Float64Array
    variances: Float64Array

    def __post_init__(self) -> None:
        states, width = self.means.shape if self.means.ndim == 2 else (0, 0)
        shapes = (self.start.shape, self.transition.shape, self.variances.shape, len(self.columns))
        if states < 1 or shapes != ((states,), (states, states), (states, width), width):
            raise RegimeError(f"shapes of start, transition, variances and columns do not fit means: {shapes}")
        sums = np.concatenate([[self.start.sum()], self.transition.sum(axis=1)])
        every = np.concatenate([self.start, self.transition.ravel()])
        if not (np.abs(sums - 1) <= _SUM_TOLERANCE).all() or not ((every >= 0) & (every <= 1)).all():
            raise RegimeError(
                "start or a row of transition is no distribution: wanted numbers of 0 to 1 with the sum 1"
            )
        if not np.isfinite(self.means).all() or not (np.isfinite(self.variances) & (self.variances > 0)).all():
            raise RegimeError("means must be finite, variances finite and above 0")

    @property
    def states(self) -> int:
        """How many there are."""
        return int(self.start.size)

    def to_json(self) -> str:
        """The numbers as text; :meth:`from_json` gives the same bits back."""
        numbers = {
            "columns": list(self.columns),
            "start": self.start.tolist(),
            "transition": self.transition.tolist(),
            "means": self.means.tolist(),
            "variances": self.variances.tolist(),
        }
        return json.dumps(numbers, indent=None, separators=(",", ":"))

    @classmethod
    def from_json(cls, text: str) -> Self:
        """Read what :meth:`to_json` wrote.

        Raises:
            RegimeError: the text is of another form, or no model.
        """
        try:
            found = json.loads(text)
            arrays = [np.array(found[name], dtype=np.float64) for name in ("start", "transition", "means", "variances")]
            columns = tuple(str(name) for name in found["columns"])
        except (ValueError, KeyError, TypeError) as error:
            raise RegimeError(f"the text is no model of regimes: {error!r}") from error
        return cls(columns, *arrays)

    def filtered(self, observations: pl.DataFrame, state: Float64Array | None = None) -> Float64Array:
        """Probabilities of the states after each row, given that row and those before it.

        Args:
            observations: with the model's columns, in order of time; a row with a null or NaN says nothing, and the
                states only move on.
            state: probabilities after the row before the first one, to go on from; `None` begins with `start`.

        Returns:
            An array of (rows, states).

        Raises:
            RegimeError: a column is missing, an infinite observation, or a state that is none.
        """
        values = _values(observations, self.columns)
        online = RegimeFilter(self, state)
        rows = [online.update(row) for row in values]
        return np.array(rows) if rows else np.zeros((0, self.states))


class RegimeFilter:
    """The forward recursion, one observation at a time: O(K^2) each, nothing is kept but K numbers.

    >>> calm_and_wild = RegimeModel(
    ...     columns=("ret",),
    ...     start=np.array([0.5, 0.5]),
    ...     transition=np.array([[0.99, 0.01], [0.05, 0.95]]),
    ...     means=np.zeros((2, 1)),
    ...     variances=np.array([[0.01], [1.0]]),
    ... )
    >>> online = RegimeFilter(calm_and_wild)
    >>> [online.update([ret]).round(3).tolist() for ret in (0.05, -0.1, 1.5)]
    [[0.898, 0.102], [0.981, 0.019], [0.0, 1.0]]
    """

    def __init__(self, model: RegimeModel, state: Float64Array | None = None) -> None:
        """Begin before the first observation, or after the one that `state` was left by.

        Raises:
            RegimeError: the state is no distribution over the model's states.
        """
        self._model = model
        self._state: Float64Array | None = None
        self._constant = -0.5 * np.log(2 * math.pi * model.variances).sum(axis=1)
        if state is not None:
            if state.shape != (model.states,) or not (state >= 0).all() or abs(state.sum() - 1) > _SUM_TOLERANCE:
                raise RegimeError(f"{state} is no distribution over {model.states} states")
            self._state = state.astype(np.float64)

    @property
    def state(self) -> Float64Array | None:
        """Probabilities after the last observation: all that is needed to go on; `None` before the first one."""
        return None if self._state is None else self._state.copy()

    def update(self, observation: Sequence[float] | Float64Array) -> Float64Array:
        """Take one observation (D numbers) and return the probabilities of the states now.

        Raises:
            RegimeError: another number of numbers, or an infinite one.
        """
        values = np.asarray(observation, dtype=np.float64)
        if values.shape != (len(self._model.columns),) or np.isinf(values).any():
            raise RegimeError(f"observation {values} is not {len(self._model.columns)} finite numbers or NaN")
        before = self._model.start if self._state is None else self._state @ self._model.transition
        self._state = before / before.sum() if np.isnan(values).any() else self._given(before, values)
        return self._state.copy()

    def _given(self, before: Float64Array, values: Float64Array) -> Float64Array:
        distance = ((values - self._model.means) ** 2 / self._model.variances).sum(axis=1)
        with np.errstate(divide="ignore"):
            joint = np.log(before) + self._constant - 0.5 * distance
        # Relative to the likeliest one, so that a far observation does not make all of them zero.
        weights = np.exp(joint - joint.max())
        probabilities: Float64Array = weights / weights.sum()
        return probabilities


def fit_regimes(
    observations: pl.DataFrame, columns: Sequence[str], *, states: int = 2, seed: int = 0, restarts: int = RESTARTS
) -> RegimeModel:
    """Fit a model on a training window.

    Args:
        observations: rows of the training window only, in order of time; rows with a null or NaN are left out.
        columns: what is observed, for example a return and the logarithm of a volatility.
        states: from 2 to 8; two or three are what daily data bear.
        seed: of the starts; the same rows and seed give the same model.
        restarts: how many starts are tried.

    Raises:
        RegimeError: too few rows, a column missing or without any spread, or a state that explains next to nothing.
    """
    if not MIN_STATES <= states <= MAX_STATES or restarts < 1:
        raise RegimeError(
            f"{states} states, {restarts} restarts; allowed are {MIN_STATES} to {MAX_STATES}, and 1 or more"
        )
    values = _values(observations, tuple(columns))
    values = values[~np.isnan(values).any(axis=1)]
    if len(values) < states * MIN_ROWS_PER_STATE:
        raise RegimeError(
            f"{len(values)} rows for {states} states; wanted {MIN_ROWS_PER_STATE} for each: take a longer window"
        )
    spread = values.std(axis=0)
    if not (spread > 0).all():
        flat = [name for name, one in zip(columns, spread, strict=True) if not one > 0]
        raise RegimeError(f"columns {flat} have one value only; there is no regime in them")
    # In units of their spread, so that the library's floor of variances means the same for every column.
    center = values.mean(axis=0)
    scaled = (values - center) / spread
    fits = [_fitted(scaled, states, seed + at) for at in range(restarts)]
    found = [fit for fit in fits if fit is not None]
    if not found:
        raise RegimeError(
            f"no fit with {states} states holds: a state explains less than {MIN_OCCUPANCY:.0%} of the rows; "
            "take fewer states or a longer window"
        )
    best = max(found, key=lambda fit: fit[0])[1]
    order = np.argsort(best.variances[:, 0], kind="stable")
    return RegimeModel(
        tuple(columns),
        _distribution(best.start[order]),
        _distribution(best.transition[np.ix_(order, order)]),
        best.means[order] * spread + center,
        best.variances[order] * spread**2,
    )


@dataclass(frozen=True)
class _Fit:
    start: Float64Array
    transition: Float64Array
    means: Float64Array
    variances: Float64Array


def _fitted(values: Float64Array, states: int, seed: int) -> tuple[float, _Fit] | None:
    import logging

    from hmmlearn.hmm import GaussianHMM  # type: ignore[import-untyped]

    logging.getLogger("hmmlearn").setLevel(logging.ERROR)  # it tells of every last step that went down by rounding
    model = GaussianHMM(states, covariance_type="diag", n_iter=MAX_ITERATIONS, tol=TOLERANCE, random_state=seed)
    model.fit(values)
    likelihood = float(model.score(values))
    occupancy = model.predict_proba(values).mean(axis=0)
    variances = np.array([np.diag(one) for one in model.covars_])
    if not math.isfinite(likelihood) or occupancy.min() < MIN_OCCUPANCY:
        return None
    return likelihood, _Fit(model.startprob_, model.transmat_, model.means_, variances)


def _distribution(numbers: Float64Array) -> Float64Array:
    normalized: Float64Array = numbers / numbers.sum(axis=-1, keepdims=True)
    return normalized


def _values(observations: pl.DataFrame, columns: tuple[str, ...]) -> Float64Array:
    missing = set(columns) - set(observations.columns)
    if missing or not columns:
        raise RegimeError(f"observations lack the columns {sorted(missing)}; they have {observations.columns}")
    values: NDArray[Any] = observations.select(pl.col(columns).cast(pl.Float64).fill_null(float("nan"))).to_numpy()
    if np.isinf(values).any():
        raise RegimeError("observations have an infinite value")
    return values.astype(np.float64)


def walk_forward_regimes(
    observations: pl.DataFrame,
    columns: Sequence[str],
    *,
    train_rows: int,
    refit_rows: int,
    states: int = 2,
    seed: int = 0,
) -> pl.DataFrame:
    """Filtered probabilities of every row by a model that was fitted on rows before it.

    Args:
        observations: in order of time.
        columns: what is observed.
        train_rows: length of the training window, which ends before the first row that its model speaks of.
        refit_rows: after how many rows a new model is fitted.
        states: as for :func:`fit_regimes`.
        seed: as there.

    Returns:
        The rows with `regime_<k>` (Float64), the probability of state k; null for the first `train_rows` rows. The
        filter of each model starts at the beginning of its training window, so that it is warm.

    Raises:
        RegimeError: as for :func:`fit_regimes`; a length below 1.
    """
    if train_rows < 1 or refit_rows < 1:
        raise RegimeError(f"train_rows {train_rows}, refit_rows {refit_rows}; allowed is at least 1")
    found = np.full((observations.height, states), np.nan)
    for first in range(train_rows, observations.height, refit_rows):
        window = observations.slice(first - train_rows, train_rows)
        model = fit_regimes(window, columns, states=states, seed=seed)
        speaks = observations.slice(first - train_rows, train_rows + refit_rows)
        found[first : first + refit_rows] = model.filtered(speaks)[train_rows:]
    names = [pl.Series(f"regime_{at}", found[:, at]).fill_nan(None) for at in range(states)]
    return observations.with_columns(names)

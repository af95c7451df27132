"""Imputation of missing values by a policy per column, from the past only.

A value that is missing at a row is replaced by what the rows before it say; no later row is looked at, neither to fit
nor to fill, so that research and the service see the same. Each imputed column has a flag column beside it,
`NAME_imputed`, and what cannot be imputed stays missing.

======================  =====================================================================================
`forward_fill`          the last observed value
`linear`                the line through the last observed values, continued (interpolation towards the next
                        observation would need the future)
`median`                the median of the last observed values
`model`                 an autoregression on the values before, fitted by ridge regression on the rows before the gap
`leave`                 nothing: flagged as not imputed
======================  =====================================================================================

Which column of which table gets which policy stands in `config/imputation.toml` (:func:`read_policies`).
"""

from __future__ import annotations

import tomllib
from dataclasses import dataclass
from typing import TYPE_CHECKING, Literal, get_args

import numpy as np
import polars as pl

from py_rt.errors import DataError

if TYPE_CHECKING:
    from collections.abc import Callable, Mapping, Sequence
    from pathlib import Path

    from numpy.typing import NDArray

    Numbers = NDArray[np.float64]

Kind = Literal["forward_fill", "linear", "median", "model", "leave"]
KINDS: tuple[Kind, ...] = get_args(Kind)

FLAG_SUFFIX = "_imputed"
_ROW = "_row"
RIDGE = 1e-3
"""Weight of the ridge, relative to the mean square of the regressors; keeps constant columns solvable."""
ROWS_PER_LAG = 5
"""Fewest fitted rows for each coefficient of a model; below, the last value is held."""


class ImputationError(DataError):
    """A policy that cannot be, or a column that it does not fit."""


@dataclass(frozen=True, slots=True)
class Policy:
    """What to do with a column's missing values.

    Attributes:
        kind: one of `KINDS`.
        limit: rows of a gap that are filled at most; the rest stays missing.
        window: observed values before a gap that `linear`, `median` and `model` look at.
        lags: of `model`, values before that it regresses on.

    Raises:
        ImputationError: there is no such kind, or a number is out of range.
    """

    kind: Kind = "forward_fill"
    limit: int = 96
    window: int = 96
    lags: int = 3

    def __post_init__(self) -> None:
        if self.kind not in KINDS:
            raise ImputationError(f"no policy is called {self.kind!r}; there are {', '.join(KINDS)}")
        if self.limit < 1 or self.window < 2 or self.lags < 1:
            raise ImputationError(f"{self}: limit and lags are at least 1, window at least 2")


def read_policies(path: Path) -> dict[str, dict[str, Policy]]:
    """Read which column of which table is imputed how: tables `[TABLE.COLUMN]` with the members of :class:`Policy`.

    Raises:
        ImputationError: the file cannot be read, or says something else; the place is named.
    """
    try:
        tables = tomllib.loads(path.read_text(encoding="utf-8"))
    except OSError as error:
        raise ImputationError(f"{path} cannot be read: {error.strerror}") from error
    except (tomllib.TOMLDecodeError, UnicodeDecodeError) as error:
        raise ImputationError(f"{path} is no TOML: {error}") from error
    return {table: _policies_of(f"{path}: {table}", columns) for table, columns in tables.items()}


def _policies_of(where: str, columns: object) -> dict[str, Policy]:
    if not isinstance(columns, dict):
        raise ImputationError(f"{where}: is {columns!r}; wanted a table [TABLE.COLUMN] for each column")
    return {column: _policy_of(f"{where}.{column}", facts) for column, facts in columns.items()}


def _policy_of(where: str, facts: object) -> Policy:
    names = tuple(Policy.__dataclass_fields__)
    if not isinstance(facts, dict) or not set(facts) <= set(names):
        raise ImputationError(f"{where}: is {facts!r}; allowed are {', '.join(names)}")
    wrong = [name for name in names[1:] if type(facts.get(name, 1)) is not int]
    if wrong or not isinstance(facts.get("kind"), str):
        raise ImputationError(f"{where}: {', '.join(wrong or ['kind'])}: kind is text and needed, others whole numbers")
    try:
        return Policy(**facts)
    except ImputationError as error:
        raise ImputationError(f"{where}: {error}") from error


def impute(frame: pl.DataFrame, policies: Mapping[str, Policy], by: Sequence[str] = ()) -> pl.DataFrame:
    """Fill missing values, each column by its policy.

    Args:
        frame: rows in order of time. Null, NaN and infinite values are missing.
        policies: by column; other columns stay as they are.
        by: columns that name a series (an instrument), where the frame holds several: none is filled from another.

    Returns:
        The frame with the columns filled (integer columns rounded to integers, to the nearest that their type holds;
        others Float64) and a Boolean column `NAME_imputed` for each, at the end: whether a value that was missing is
        there now.

    Raises:
        ImputationError: there is no such column, it is none of numbers, a flag's name is taken, or a row does not say
            its series.

    >>> filled = impute(pl.DataFrame({"x": [1.0, None, 3.0]}), {"x": Policy("forward_fill")})
    >>> filled["x"].to_list(), filled["x_imputed"].to_list()
    ([1.0, 1.0, 3.0], [False, True, False])
    """
    for name in policies:
        _check(frame, name)
    if absent := [name for name in by if name not in frame.columns]:
        raise ImputationError(f"there is no column {absent[0]!r} to tell series by; there are {frame.columns}")
    if unsaid := [name for name in by if frame[name].null_count()]:
        raise ImputationError(f"column {unsaid[0]!r} does not say of every row which series it belongs to")
    series = _rows_of_series(frame, by)
    columns, flags = {}, {}
    for name, policy in policies.items():
        column = frame[name]
        values = column.cast(pl.Float64).fill_null(np.nan).to_numpy().copy()
        values[~np.isfinite(values)] = np.nan
        filled = values.copy()
        for rows in series:
            filled[rows] = fill(values[rows], policy)
        flags[name] = np.isnan(values) & ~np.isnan(filled)
        columns[name] = _as_column(column, filled, flags[name])
    return frame.with_columns(
        *columns.values(), *(pl.Series(f"{name}{FLAG_SUFFIX}", flag) for name, flag in flags.items())
    )


def _rows_of_series(frame: pl.DataFrame, by: Sequence[str]) -> list[NDArray[np.int64]]:
    if not by:
        return [np.arange(frame.height)]
    # Whatever the columns are called, none is called as this one.
    row = "".join(by) + _ROW
    numbered = frame.select(*by, pl.int_range(pl.len(), dtype=pl.Int64).alias(row))
    grouped = numbered.group_by(list(by), maintain_order=True).agg(row)
    return [np.asarray(rows, dtype=np.int64) for rows in grouped[row].to_list()]


def impute_known(
    rows: pl.DataFrame, policies: Mapping[str, Policy], *, by: Sequence[str], order: Sequence[str]
) -> pl.DataFrame:
    """Fill rows of a table by what was known before each of them.

    Args:
        rows: with a column `ts_known`, in any order.
        policies: by column.
        by: columns that tell series apart.
        order: columns that sort rows that became known at one time.

    Returns:
        The rows in their order, as :func:`impute` gives them.

    Raises:
        ImputationError: as for :func:`impute`.
    """
    place = "".join(rows.columns) + _ROW  # longer than each of their names, so none of them
    sorted_rows = rows.with_row_index(place).sort("ts_known", *order, maintain_order=True)
    return impute(sorted_rows, policies, by=by).sort(place).drop(place)


def _check(frame: pl.DataFrame, name: str) -> None:
    if name not in frame.columns:
        raise ImputationError(f"there is no column {name!r}; there are {', '.join(map(repr, frame.columns))}")
    if not frame.schema[name].is_numeric():
        raise ImputationError(f"column {name!r} is {frame.schema[name]}, no numbers; cast it or leave it out")
    if f"{name}{FLAG_SUFFIX}" in frame.columns:
        raise ImputationError(f"there is a column {name}{FLAG_SUFFIX!s} already: was this frame imputed before?")


def _as_column(column: pl.Series, filled: Numbers, flag: NDArray[np.bool_]) -> pl.Series:
    """The column with the imputed values; observed ones keep their own bits."""
    if not column.dtype.is_integer():
        return pl.Series(column.name, filled).fill_nan(None)
    least, most = pl.select(column.dtype.min(), column.dtype.max().alias("most")).row(0)  # type: ignore[attr-defined]
    whole = [min(max(round(float(one)), least), most) for one in filled[flag]]
    return column.scatter(np.flatnonzero(flag), pl.Series(whole, dtype=column.dtype))


def fill(values: Numbers, policy: Policy) -> Numbers:
    """Fill a column's gaps.

    Args:
        values: in order of time; NaN where missing.
        policy: of the column.

    Returns:
        A new array; NaN where nothing could be imputed.
    """
    filled = np.asarray(values, dtype=np.float64).copy()
    if policy.kind == "leave" or not len(filled):
        return filled
    missing = np.isnan(filled)
    observed = np.flatnonzero(~missing)
    starts = np.flatnonzero(missing & ~np.r_[True, missing[:-1]])  # a gap at the very start has no past
    for start in starts.tolist():
        end = int(np.argmin(missing[start:])) + start if not missing[start:].all() else len(filled)
        length = min(end - start, policy.limit)
        known = observed[: int(np.searchsorted(observed, start))]
        filled[start : start + length] = guesses(values, known, start, length, policy)
    return filled


def guesses(values: Numbers, known: NDArray[np.int64], start: int, length: int, policy: Policy) -> Numbers:
    """What one gap is filled with.

    Args:
        values: of the column, in order of time.
        known: places of observed values before the gap, ascending, at least one.
        start: place of the gap's first value.
        length: values of the gap that are wanted.
        policy: of the column, any but `leave`.
    """
    with np.errstate(over="ignore", invalid="ignore"):
        guess = _GUESSES[policy.kind](values, known, start, length, policy)
    # A guess beyond numbers is none; the last value is.
    return np.where(np.isfinite(guess), guess, float(values[known[-1]]))


def _hold(values: Numbers, known: NDArray[np.int64], start: int, length: int, policy: Policy) -> Numbers:  # noqa: ARG001
    return np.full(length, float(values[known[-1]]))


def _line(values: Numbers, known: NDArray[np.int64], start: int, length: int, policy: Policy) -> Numbers:
    at = known[-policy.window :]
    if len(at) < 2:
        return _hold(values, known, start, length, policy)
    x, y = at.astype(np.float64) - at[-1], values[at]
    slope = float(((x - x.mean()) * (y - y.mean())).sum() / ((x - x.mean()) ** 2).sum())
    steps: Numbers = np.arange(start, start + length, dtype=np.float64) - at[-1]
    line: Numbers = y[-1] + slope * steps
    return line


def _median(values: Numbers, known: NDArray[np.int64], start: int, length: int, policy: Policy) -> Numbers:  # noqa: ARG001
    window = values[known[-policy.window :]]
    return np.full(length, float(np.median(window)))


def _autoregression(values: Numbers, known: NDArray[np.int64], start: int, length: int, policy: Policy) -> Numbers:
    """Values in units of their own spread around their mean, each from the `lags` before it; gaps are stepped over."""
    series = values[known[-policy.window :]]
    lags = policy.lags
    center, spread = float(series.mean()), float(series.std())
    if len(series) < lags + ROWS_PER_LAG * (lags + 1) or not spread > 0 or not np.isfinite(spread):
        return _hold(values, known, start, length, policy)
    u = (series - center) / spread
    past = np.lib.stride_tricks.sliding_window_view(u, lags)[:-1]
    square = past.T @ past + RIDGE * len(past) * np.eye(lags)
    weights = np.linalg.solve(square, past.T @ u[lags:])
    guess = []
    recent = u[-lags:].tolist()
    for _ in range(length):
        guess.append(float(np.dot(weights, recent)))
        recent = [*recent[1:], guess[-1]]
    return center + spread * np.array(guess)


_GUESSES: dict[str, Callable[[Numbers, NDArray[np.int64], int, int, Policy], Numbers]] = {
    "forward_fill": _hold,
    "linear": _line,
    "median": _median,
    "model": _autoregression,
}

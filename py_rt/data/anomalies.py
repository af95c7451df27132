"""Whether data look as they did: how many rows come, what columns they have, how values are distributed.

All judge by the past only: a day is compared with days before it, never with later ones, so that a verdict about a day
does not change when more days come.

========================  ===========================================================================================
`volume_anomalies`        rows of a day against the median of the days before, in robust standard deviations
`every_day`               the same with days on which nothing came
`text_kinds`              what kind of text each column of received rows holds
`schema_drift`            columns added, removed and of another type
`feature_drift`           population stability index and two-sample Kolmogorov-Smirnov distance of each column
`staleness`               how long ago the newest row was
========================  ===========================================================================================
"""

from __future__ import annotations

import math
from dataclasses import dataclass
from datetime import timedelta
from typing import TYPE_CHECKING

import numpy as np
import polars as pl

from py_rt.errors import DataError

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence

    from numpy.typing import NDArray

MAD_TO_SIGMA = 1.482602218505602
"""Standard deviation of a normal distribution in units of its median absolute deviation: 1 / Phi^-1(3/4)."""

WINDOW_DAYS = 28
MIN_DAYS = 7
"""Days before a day that it is compared with: at most and at least."""

MAX_Z = 6.0
"""Robust standard deviations beyond which a count is an anomaly."""

MIN_SCALE_SHARE = 0.02
"""Least scale of a count, as a share of its median: counts that never moved would make one row an anomaly."""

PSI_BINS = 10
PSI_DRIFT = 0.25
"""Population stability index from which a population counts as shifted; 0.10 is a small shift (Siddiqi, "Credit Risk
Scorecards", 2006)."""

KS_ALPHA = 0.001
"""Chance of a larger distance if both samples came from one distribution and their values were independent. Values of
neighboring bars are not: the distance is no proof alone, and drift needs the index too."""

MISSING_DRIFT = 0.25
"""Rise of the share of missing values from which a feature counts as lost."""

MIN_SAMPLE = 50
"""Values on either side below which nothing is said about a column."""

_SHARE_FLOOR = 1e-4


class AnomalyError(DataError):
    """Rows about which nothing can be said, or settings that make no sense."""


def every_day(counts: pl.DataFrame) -> pl.DataFrame:
    """Counts of days with those on which nothing came although something was to come, as 0 rows.

    That is where one of the four same days of the week before had rows: a market that rests at weekends lacks none.

    Args:
        counts: `date` (Date) and `rows` (integer), one row per day. Nothing is said of days before the first and after
            the last of them: those may not have been asked for yet.

    >>> from datetime import date
    >>> counts = pl.DataFrame({"date": [date(2024, 1, day) for day in (1, 2, 3, 8, 10)], "rows": [7] * 5})
    >>> every_day(counts).filter(pl.col("rows") == 0)["date"].to_list()
    [datetime.date(2024, 1, 9)]
    """
    there = set(counts["date"].to_list())
    if not there:
        return counts.select("date", "rows")
    first, last = min(there), max(there)
    days = [first + timedelta(days=step) for step in range((last - first).days)]
    weeks = [timedelta(days=7 * week) for week in range(1, 5)]
    absent = [day for day in days if day not in there and any(day - week in there for week in weeks)]
    none = pl.DataFrame({"date": absent, "rows": [0] * len(absent)}, schema={"date": pl.Date, "rows": pl.Int64})
    return pl.concat([counts.select("date", pl.col("rows").cast(pl.Int64)), none]).sort("date")


def volume_anomalies(
    counts: pl.DataFrame, *, window_days: int = WINDOW_DAYS, min_days: int = MIN_DAYS, max_z: float = MAX_Z
) -> pl.DataFrame:
    """Compare each day's rows with the days before it.

    Args:
        counts: `date` (Date) and `rows` (integer), one row per day; a day on which nothing came is a row with 0.
        window_days: how many days before are looked at.
        min_days: fewer days before give no verdict.
        max_z: bound of |z|.

    Returns:
        By day: `date`, `rows`, `expected` (median before), `scale` (robust standard deviation before, at least
        `MIN_SCALE_SHARE` of the median and at least 1), `z`, and `is_anomaly`; null `z` where there are too few days.

    Raises:
        AnomalyError: a column is missing, a day comes twice, or the settings make no sense.

    >>> from datetime import date, timedelta
    >>> days = [date(2024, 1, 1) + timedelta(days=step) for step in range(9)]
    >>> found = volume_anomalies(pl.DataFrame({"date": days, "rows": [96, 95, 96, 96, 97, 96, 96, 12, 96]}))
    >>> found.filter("is_anomaly").select("date", "rows", "expected").rows()
    [(datetime.date(2024, 1, 8), 12, 96.0)]
    """
    if not 2 <= min_days <= window_days or not max_z > 0:
        raise AnomalyError(f"min_days {min_days}, window_days {window_days}, max_z {max_z}: wanted 2 <= min <= window")
    if not {"date", "rows"} <= set(counts.columns):
        raise AnomalyError(f"counts have the columns {counts.columns}; wanted date and rows")
    if counts["date"].is_duplicated().any():
        raise AnomalyError("counts name a day twice")
    ordered = counts.sort("date").select("date", pl.col("rows").cast(pl.Int64))
    rows = ordered["rows"].to_numpy()
    expected, scale = np.full(rows.size, np.nan), np.full(rows.size, np.nan)
    for at in range(min_days, rows.size):
        before = rows[max(0, at - window_days) : at]
        expected[at] = np.median(before)
        spread = MAD_TO_SIGMA * np.median(np.abs(before - expected[at]))
        scale[at] = max(spread, MIN_SCALE_SHARE * expected[at], 1.0)
    judged = ordered.with_columns(
        pl.Series("expected", expected, dtype=pl.Float64).fill_nan(None),
        pl.Series("scale", scale, dtype=pl.Float64).fill_nan(None),
    )
    judged = judged.with_columns(((pl.col("rows") - pl.col("expected")) / pl.col("scale")).alias("z"))
    return judged.with_columns((pl.col("z").abs() > max_z).fill_null(value=False).alias("is_anomaly"))


_KINDS = {
    "integer": r"^[+-]?[0-9]+$",
    "decimal": r"^[+-]?([0-9]+\.[0-9]*|\.[0-9]+|[0-9]+)([eE][+-]?[0-9]+)?$",
    "boolean": r"^(?i:true|false)$",
    "time": r"^[0-9]{4}-[0-9]{2}-[0-9]{2}([T ].*)?$",
}
EMPTY, TEXT = "empty", "text"


def text_kinds(rows: pl.DataFrame) -> dict[str, str]:
    """The narrowest kind that all values of each text column have, absent and blank ones aside.

    Kinds are `empty`, `integer`, `decimal` (integers among them), `boolean`, `time` and `text`; columns of another type
    than text have its name.

    >>> text_kinds(
    ...     pl.DataFrame({"a": ["1", None], "b": ["1", "2.5"], "c": ["1", "<html>"], "d": [1, 2], "e": ["", " "]})
    ... )
    {'a': 'integer', 'b': 'decimal', 'c': 'text', 'd': 'Int64', 'e': 'empty'}
    """
    kinds = {}
    for name, dtype in rows.schema.items():
        if dtype == pl.Null:
            kinds[name] = EMPTY
        elif dtype != pl.String:
            kinds[name] = str(dtype)
        else:
            values = rows[name].drop_nulls().str.strip_chars()
            values = values.filter(values != "")
            narrow = (kind for kind, pattern in _KINDS.items() if values.str.contains(pattern).all())
            kinds[name] = next(narrow, TEXT) if values.len() else EMPTY
    return kinds


@dataclass(frozen=True, slots=True)
class SchemaDrift:
    """What differs between two sets of columns.

    Attributes:
        added: columns that were not there before.
        removed: columns that are no longer there.
        retyped: name to type before and type now.
    """

    added: tuple[str, ...]
    removed: tuple[str, ...]
    retyped: Mapping[str, tuple[str, str]]

    @property
    def is_none(self) -> bool:
        """Whether nothing differs."""
        return not (self.added or self.removed or self.retyped)

    def lines(self) -> list[str]:
        """The differences in words."""
        return [
            *(f"column {name} is new" for name in self.added),
            *(f"column {name} is gone" for name in self.removed),
            *(f"column {name} was {before} and is {now}" for name, (before, now) in self.retyped.items()),
        ]


def schema_drift(before: Mapping[str, str], now: Mapping[str, str]) -> SchemaDrift:
    """Compare two sets of columns, each a name and a type.

    A column that is `empty` on one side has no type there and is not retyped; it is none of the removed ones either.

    >>> schema_drift({"a": "integer", "b": "time"}, {"a": "text", "c": "integer"}).lines()
    ['column c is new', 'column b is gone', 'column a was integer and is text']
    """
    retyped = {
        name: (before[name], now[name])
        for name in sorted(before.keys() & now.keys())
        if before[name] != now[name] and EMPTY not in {before[name], now[name]}
    }
    return SchemaDrift(tuple(sorted(now.keys() - before.keys())), tuple(sorted(before.keys() - now.keys())), retyped)


def widest_kinds(days: Sequence[Mapping[str, str]]) -> dict[str, str]:
    """What several days had together: every column, with a kind that holds the kinds of all of them.

    >>> widest_kinds([{"a": "integer"}, {"a": "decimal", "b": "empty"}, {"b": "time"}])
    {'a': 'decimal', 'b': 'time'}
    """
    kinds: dict[str, str] = {}
    for day in days:
        for name, kind in day.items():
            kinds[name] = _wider(kinds.get(name, EMPTY), kind)
    return kinds


def _wider(one: str, other: str) -> str:
    if EMPTY in {one, other}:
        return other if one == EMPTY else one
    if one == other:
        return one
    return "decimal" if {one, other} == {"integer", "decimal"} else TEXT


def population_stability(
    reference: NDArray[np.float64], current: NDArray[np.float64], *, bins: int = PSI_BINS
) -> float:
    """The population stability index of two samples without NaN: 0 where their shares of each bin are equal.

    It is the sum over bins of (q - p) ln(q / p), with p and q the shares of the reference and of the current sample,
    at least 1e-4 each. Bins hold equal shares of the reference; of one that hardly takes any value, those values.

    Raises:
        AnomalyError: a sample is empty, or fewer than 2 bins.

    >>> round(population_stability(np.arange(100.0), np.arange(100.0) + 30), 4)
    2.4861
    """
    if not reference.size or not current.size or bins < 2:
        raise AnomalyError(f"samples of {reference.size} and {current.size} values, {bins} bins: wanted some and 2")
    # Ranks in integers: a tenth of a hundred values is the tenth, however 0.3 rounds.
    ranks = [-(-reference.size * at // bins) - 1 for at in range(1, bins)]
    edges = np.unique(np.sort(reference)[ranks])
    if edges.size < 2:
        edges = np.array([np.nextafter(edges[0], -np.inf), edges[0]])
    counts = [np.bincount(np.searchsorted(edges, sample), minlength=edges.size + 1) for sample in (reference, current)]
    shares = [np.maximum(count / count.sum(), _SHARE_FLOOR) for count in counts]
    return math.fsum((shares[1] - shares[0]) * np.log(shares[1] / shares[0]))


def ks_distance(reference: NDArray[np.float64], current: NDArray[np.float64]) -> float:
    """The largest distance between two empirical distributions (Kolmogorov-Smirnov), of samples without NaN.

    Raises:
        AnomalyError: a sample is empty.

    >>> ks_distance(np.array([1.0, 2.0, 3.0, 4.0]), np.array([3.0, 4.0, 5.0, 6.0]))
    0.5
    """
    if not reference.size or not current.size:
        raise AnomalyError(f"samples of {reference.size} and {current.size} values: wanted some on both sides")
    one, other = np.sort(reference), np.sort(current)
    at = np.concatenate([one, other])
    shares = [np.searchsorted(sample, at, side="right") / sample.size for sample in (one, other)]
    return float(np.abs(shares[0] - shares[1]).max())


def ks_critical(reference_size: int, current_size: int, *, alpha: float = KS_ALPHA) -> float:
    """The distance that independent samples of one distribution exceed with a chance of `alpha` (large samples).

    It is sqrt(-ln(alpha / 2) / 2) * sqrt((n + m) / (n m)) (Smirnov 1948; Knuth, volume 2, 3.3.1).

    Raises:
        AnomalyError: a size below 1, or a chance that is none.

    >>> round(ks_critical(100, 100, alpha=0.05), 4)
    0.1921
    """
    if reference_size < 1 or current_size < 1 or not 0 < alpha < 1:
        raise AnomalyError(f"sizes {reference_size} and {current_size}, alpha {alpha}: wanted at least 1, and 0 to 1")
    return math.sqrt(-math.log(alpha / 2) / 2 * (reference_size + current_size) / (reference_size * current_size))


def feature_drift(
    reference: pl.DataFrame, current: pl.DataFrame, *, columns: Sequence[str] | None = None, alpha: float = KS_ALPHA
) -> pl.DataFrame:
    """Compare the distribution of each numeric column of two frames.

    Args:
        reference: rows of the past.
        current: rows to judge.
        columns: of both frames; `None` is every column of floats of the reference.
        alpha: of the critical distance.

    Returns:
        One row per column: `feature`, `psi`, `ks`, `ks_critical`, `reference_values`, `current_values` (values that are
        neither null nor NaN), `reference_missing`, `current_missing` (shares), `is_drift`: an index of at least
        `PSI_DRIFT` and a distance above the critical one, and `is_lost`: the missing share rose by more than
        `MISSING_DRIFT`. Null measures and no drift where a side has fewer than `MIN_SAMPLE` values.

    Raises:
        AnomalyError: a column is missing on one side.
    """
    names = [name for name, dtype in reference.schema.items() if dtype.is_float()] if columns is None else list(columns)
    absent = [name for name in names if name not in reference.columns or name not in current.columns]
    if absent:
        raise AnomalyError(f"columns {absent} are not in both frames; that is a drift of the schema")
    rows = [_drift_of(name, reference[name], current[name], alpha) for name in names]
    schema = {
        "feature": pl.String(),
        "psi": pl.Float64(),
        "ks": pl.Float64(),
        "ks_critical": pl.Float64(),
        "reference_values": pl.Int64(),
        "current_values": pl.Int64(),
        "reference_missing": pl.Float64(),
        "current_missing": pl.Float64(),
        "is_drift": pl.Boolean(),
        "is_lost": pl.Boolean(),
    }
    return pl.DataFrame(rows, schema=schema, orient="row")


def values_of(column: pl.Series) -> NDArray[np.float64]:
    """The values of a column that are neither null nor NaN."""
    values: NDArray[np.float64] = column.cast(pl.Float64).fill_nan(None).drop_nulls().to_numpy()
    return values


def _drift_of(name: str, reference: pl.Series, current: pl.Series, alpha: float) -> tuple[object, ...]:
    one, other = values_of(reference), values_of(current)
    sizes = (one.size, other.size)
    missing = tuple(
        1.0 - size / column.len() if column.len() else 0.0
        for size, column in zip(sizes, (reference, current), strict=True)
    )
    is_lost = missing[1] - missing[0] > MISSING_DRIFT
    if min(sizes) < MIN_SAMPLE:
        return (name, None, None, None, *sizes, *missing, False, is_lost)
    psi, distance, bound = population_stability(one, other), ks_distance(one, other), ks_critical(*sizes, alpha=alpha)
    return (name, psi, distance, bound, *sizes, *missing, psi >= PSI_DRIFT and distance > bound, is_lost)


def staleness(newest_ns: int | None, now_ns: int, *, within_ns: int) -> tuple[int | None, bool]:
    """How old the newest row is (ns), and whether it is older than allowed; no row at all is.

    Raises:
        AnomalyError: the newest row lies in the future by more than is allowed to be old: a clock or a unit is wrong.

    >>> staleness(1_000, 1_500, within_ns=600), staleness(1_000, 1_700, within_ns=600), staleness(None, 5, within_ns=1)
    ((500, False), (700, True), (None, True))
    """
    if newest_ns is None:
        return None, True
    age = now_ns - newest_ns
    if age < -within_ns:
        raise AnomalyError(f"the newest row is {-age} ns in the future; its clock or its unit of time is wrong")
    return age, age > within_ns

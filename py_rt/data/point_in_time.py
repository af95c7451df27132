"""Joins that see only what was known: each row of the left side gets what the right side knew by then.

A fact has two times: the period that it speaks of, and the time from which it could be known (`ts_known`). A decision
at time t may use facts with `ts_known <= t` and nothing else, however much older the period is. Facts are restated:
every version stays in the table with the time it became known, so that a decision before the restatement sees the first
version, and one after it the second. A restatement of an older period never hides what is known of a newer one.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

import polars as pl

from py_rt.errors import TableError

if TYPE_CHECKING:
    from collections.abc import Sequence

KNOWN = "ts_known"
AGE = "age_ns"


def as_of(
    decisions: pl.DataFrame,
    facts: pl.DataFrame,
    *,
    at: str,
    by: Sequence[str],
    period: str | None = None,
    version: str | None = None,
    max_age_ns: int | None = None,
) -> pl.DataFrame:
    """Give each decision the newest fact that was known at its time.

    Args:
        decisions: rows with a time `at` (Int64, UTC ns) and the columns `by`; their order is kept.
        facts: rows with `ts_known` (Int64, UTC ns), the columns `by`, and values.
        at: time of a decision.
        by: columns that name whose fact it is, such as the instrument.
        period: column of the period a fact speaks of, where facts have one: the newest period counts, and of it the
            version known last. Without it the fact known last counts.
        version: column that orders facts of one period that became known at one time; the highest counts.
        max_age_ns: a fact known longer ago than this is too old, and none is given.

    Returns:
        The decisions with the columns of the facts; `ts_known` and `age_ns` (how long it was known) are absent where
        nothing was known, or nothing young enough.

    Raises:
        TableError: a column is missing, of another type, absent in a row, or would stand twice.

    >>> decisions = pl.DataFrame({"instrument": ["A", "A", "A"], "ts": [5, 15, 25]})
    >>> facts = pl.DataFrame({"instrument": ["A", "A"], "ts_known": [10, 20], "eps": [1.0, 1.5]})
    >>> as_of(decisions, facts, at="ts", by=["instrument"], max_age_ns=5)["eps"].to_list()
    [None, 1.0, 1.5]
    """
    _check(decisions, facts, at, by, period, version)
    current = _current(facts, by, period, version)
    ordered = decisions.with_row_index("__row").sort(at, maintain_order=True)
    joined = ordered.join_asof(
        current.with_columns(pl.col(KNOWN).alias("__known")).sort("__known", maintain_order=True),
        left_on=at,
        right_on="__known",
        by=list(by),
        strategy="backward",
        tolerance=max_age_ns,
        check_sortedness=False,
    )
    values = [name for name in facts.columns if name not in by]
    return (
        joined.sort("__row")
        .with_columns((pl.col(at) - pl.col(KNOWN)).alias(AGE))
        .select(*decisions.columns, *values, AGE)
    )


def _current(facts: pl.DataFrame, by: Sequence[str], period: str | None, version: str | None) -> pl.DataFrame:
    """Facts in the order they became known, without those that speak of an older period than was known by then."""
    within = [name for name in (period, version) if name is not None]
    ordered = facts.sort(*by, KNOWN, *within, maintain_order=True)
    if period is not None:
        newest = pl.col(period).cum_max().over(by)
        ordered = ordered.filter(pl.col(period) >= newest)
    # Of what became known at one time the last counts.
    return ordered.unique(subset=[*by, KNOWN], keep="last", maintain_order=True)


def as_known(facts: pl.DataFrame, moment_ns: int, *, key: Sequence[str], version: str | None = None) -> pl.DataFrame:
    """The table as it was known at a moment: of each key the version that was known last.

    Args:
        facts: rows with `ts_known`.
        moment_ns: UTC ns; what became known at this very time counts.
        key: columns that name a fact, such as instrument and period.
        version: column that orders versions which became known at one time.

    Raises:
        TableError: a column is missing, or a row has no `ts_known`.

    >>> facts = pl.DataFrame({"year": [2014, 2014], "ts_known": [1, 9], "eps": [1.0, 0.8]})
    >>> as_known(facts, 8, key=["year"])["eps"].to_list(), as_known(facts, 9, key=["year"])["eps"].to_list()
    ([1.0], [0.8])
    """
    _require(facts, [*key, KNOWN, *([version] if version else [])], "facts")
    _refuse_absent(facts, [KNOWN], "facts")
    within = [version] if version is not None else []
    known = facts.filter(pl.col(KNOWN) <= moment_ns).sort(KNOWN, *within, maintain_order=True)
    return known.unique(subset=list(key), keep="last", maintain_order=True).sort(*key)


def restatements(facts: pl.DataFrame, *, key: Sequence[str]) -> pl.DataFrame:
    """Every fact with the number of its version (`version`, from 1) and of all versions that its key has (`versions`).

    Raises:
        TableError: a column is missing, or a row has no `ts_known`.
    """
    _require(facts, [*key, KNOWN], "facts")
    _refuse_absent(facts, [KNOWN], "facts")
    ordered = facts.sort(*key, KNOWN, maintain_order=True)
    return ordered.with_columns(
        pl.int_range(1, pl.len() + 1, dtype=pl.Int64).over(key).alias("version"),
        pl.len().over(key).cast(pl.Int64).alias("versions"),
    )


def count_known(
    decisions: pl.DataFrame, events: pl.DataFrame, *, at: str, by: Sequence[str], span_ns: int
) -> pl.Series:
    """How many events each decision knows of the span before it: `at - span_ns < ts_known <= at`.

    Args:
        decisions: rows with a time `at` and the columns `by`.
        events: rows with `ts_known` and the columns `by`.
        at: time of a decision.
        by: columns that name whose event it is.
        span_ns: length of the span, above 0.

    Raises:
        TableError: a column is missing or absent in a row, or the span is not above 0.
    """
    if span_ns <= 0:
        raise TableError(f"a span of {span_ns} ns holds nothing; give more than 0")
    _check(decisions, events.select(*by, KNOWN), at, by, None, None)
    known = events.select(*by, KNOWN).sort(KNOWN)
    known = known.with_columns(pl.int_range(1, pl.len() + 1, dtype=pl.Int64).over(by).alias("__count"))
    times = decisions.select(*by, at).with_columns((pl.col(at) - span_ns).alias("__from"))
    last = _counted(times, known, at, by)
    first = _counted(times, known, "__from", by)
    return (last - first).alias("count")


def _counted(times: pl.DataFrame, known: pl.DataFrame, at: str, by: Sequence[str]) -> pl.Series:
    unique = known.unique(subset=[*by, KNOWN], keep="last", maintain_order=True).sort(KNOWN)
    ordered = times.with_row_index("__row").sort(at)
    joined = ordered.join_asof(
        unique, left_on=at, right_on=KNOWN, by=list(by), strategy="backward", check_sortedness=False
    )
    return joined.sort("__row")["__count"].fill_null(0)


def _check(
    decisions: pl.DataFrame,
    facts: pl.DataFrame,
    at: str,
    by: Sequence[str],
    period: str | None,
    version: str | None,
) -> None:
    if not by:
        raise TableError("as_of: name the columns that say whose fact it is (by)")
    _require(decisions, [*by, at], "decisions")
    of_facts = [*by, KNOWN, *(name for name in (period, version) if name is not None)]
    _require(facts, of_facts, "facts")
    # A null equals nothing and is older than nothing: such a row would drop out without a word.
    _refuse_absent(decisions, [*by, at], "decisions")
    _refuse_absent(facts, of_facts, "facts")
    for side, frame, column in (("decisions", decisions, at), ("facts", facts, KNOWN)):
        if frame.schema[column] != pl.Int64:
            raise TableError(f"{side}: {column} is {frame.schema[column]}; times are UTC ns, Int64")
    twice = sorted((set(decisions.columns) | {AGE}) & (set(facts.columns) - set(by)))
    if AGE in decisions.columns:
        twice.append(AGE)
    if twice:
        raise TableError(f"columns {', '.join(twice)} would stand twice; rename them on one side")


def _require(frame: pl.DataFrame, wanted: Sequence[str], side: str) -> None:
    if missing := [name for name in wanted if name not in frame.columns]:
        raise TableError(f"{side}: no column {', '.join(missing)}; there are {', '.join(frame.columns)}")


def _refuse_absent(frame: pl.DataFrame, wanted: Sequence[str], side: str) -> None:
    for name in wanted:
        if nulls := frame[name].null_count():
            problem = f"{side}: {nulls} of {frame.height} rows have no {name}, so that nothing is known of them"
            raise TableError(f"{problem}; drop them, or fill it in")

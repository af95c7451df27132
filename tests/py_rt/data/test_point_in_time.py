from __future__ import annotations

import polars as pl
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from py_rt.data.point_in_time import as_known, as_of, count_known, restatements
from py_rt.errors import TableError

FACT = st.tuples(st.sampled_from("AB"), st.integers(0, 6), st.integers(0, 3), st.integers(0, 12))
DECISION = st.tuples(st.sampled_from("ABC"), st.integers(-1, 14))


def facts_of(rows: list[tuple[str, int, int, int]]) -> pl.DataFrame:
    """Symbol, period, version, time known; the value says which row it was."""
    schema = {"symbol": pl.String, "period": pl.Int64, "version": pl.Int64, "ts_known": pl.Int64}
    return pl.DataFrame(rows, schema=schema, orient="row").with_row_index("value")


def decisions_of(rows: list[tuple[str, int]]) -> pl.DataFrame:
    return pl.DataFrame(rows, schema={"symbol": pl.String, "ts": pl.Int64}, orient="row")


def plainly(
    facts: list[tuple[str, int, int, int]], symbol: str, ts: int, max_age: int | None, *, with_period: bool
) -> tuple[int, ...] | None:
    """What a decision may use, written as the rule reads: (period, ts_known, version) of what counts."""
    known = [(period, at, version) for name, period, version, at in facts if name == symbol and at <= ts]
    if not known:
        return None
    best = max(known) if with_period else max((at, period, version) for period, at, version in known)
    period, at, version = best if with_period else (best[1], best[0], best[2])
    return None if max_age is not None and ts - at > max_age else (period, at, version)


@settings(max_examples=50, deadline=None)
@given(
    facts=st.lists(FACT, max_size=25),
    decisions=st.lists(DECISION, min_size=1, max_size=12),
    max_age=st.one_of(st.none(), st.integers(0, 8)),
)
def test_every_decision_gets_exactly_what_was_known(
    facts: list[tuple[str, int, int, int]], decisions: list[tuple[str, int]], max_age: int | None
) -> None:
    joined = as_of(
        decisions_of(decisions),
        facts_of(facts),
        at="ts",
        by=["symbol"],
        period="period",
        version="version",
        max_age_ns=max_age,
    )
    assert joined.select("symbol", "ts").rows() == decisions
    for row in joined.iter_rows(named=True):
        wanted = plainly(facts, row["symbol"], row["ts"], max_age, with_period=True)
        got = (row["period"], row["ts_known"], row["version"])
        assert got == (wanted or (None, None, None))
        assert row["age_ns"] == (None if wanted is None else row["ts"] - wanted[1])


@settings(max_examples=30, deadline=None)
@given(
    facts=st.lists(FACT, max_size=20),
    later=st.lists(FACT, max_size=10),
    decisions=st.lists(DECISION, min_size=1, max_size=8),
    cut=st.integers(0, 12),
)
def test_no_row_uses_what_was_not_yet_known(
    facts: list[tuple[str, int, int, int]],
    later: list[tuple[str, int, int, int]],
    decisions: list[tuple[str, int]],
    cut: int,
) -> None:
    """Whatever becomes known after a time changes no decision up to it."""
    early = [(symbol, min(ts, cut)) for symbol, ts in decisions]
    afterwards = [(symbol, period, version, cut + 1 + at) for symbol, period, version, at in later]
    before = [fact for fact in facts if fact[3] <= cut]
    arguments = {"at": "ts", "by": ["symbol"], "period": "period", "version": "version"}
    without = as_of(decisions_of(early), facts_of(before), **arguments)  # type: ignore[arg-type]
    with_later = as_of(decisions_of(early), facts_of(before + afterwards), **arguments)  # type: ignore[arg-type]
    assert with_later.equals(without)
    known = with_later.filter(pl.col("ts_known").is_not_null())
    assert known.filter(pl.col("ts_known") > pl.col("ts")).is_empty()


@settings(max_examples=50, deadline=None)
@given(facts=st.lists(FACT, max_size=20), decisions=st.lists(DECISION, min_size=1, max_size=8))
def test_without_a_period_what_was_known_last_counts(
    facts: list[tuple[str, int, int, int]], decisions: list[tuple[str, int]]
) -> None:
    joined = as_of(decisions_of(decisions), facts_of(facts), at="ts", by=["symbol"])
    for row in joined.iter_rows(named=True):
        wanted = plainly(facts, row["symbol"], row["ts"], None, with_period=False)
        assert row["ts_known"] == (None if wanted is None else wanted[1])


@settings(max_examples=30, deadline=None)
@given(
    events=st.lists(st.tuples(st.sampled_from("AB"), st.integers(0, 12)), max_size=25),
    decisions=st.lists(DECISION, min_size=1, max_size=8),
    span=st.integers(1, 6),
)
def test_events_of_a_span_are_counted(
    events: list[tuple[str, int]], decisions: list[tuple[str, int]], span: int
) -> None:
    frame = pl.DataFrame(events, schema={"symbol": pl.String, "ts_known": pl.Int64}, orient="row")
    counts = count_known(decisions_of(decisions), frame, at="ts", by=["symbol"], span_ns=span)
    wanted = [sum(name == symbol and ts - span < at <= ts for name, at in events) for symbol, ts in decisions]
    assert counts.to_list() == wanted


def test_a_late_restatement_of_an_old_period_does_not_hide_the_new_one() -> None:
    facts = facts_of([("A", 1, 1, 10), ("A", 2, 1, 20), ("A", 1, 2, 30)])
    joined = as_of(
        decisions_of([("A", 15), ("A", 25), ("A", 35)]),
        facts,
        at="ts",
        by=["symbol"],
        period="period",
        version="version",
    )
    assert joined["period"].to_list() == [1, 2, 2]
    assert as_known(facts, 25, key=["symbol", "period"])["version"].to_list() == [1, 1]
    assert as_known(facts, 30, key=["symbol", "period"])["version"].to_list() == [2, 1]
    assert restatements(facts.drop("version"), key=["symbol", "period"]).rows(named=True)[1]["version"] == 2


@pytest.mark.parametrize(
    ("change", "words"),
    [
        (lambda d, f: (d.drop("ts"), f), "decisions: no column ts; there are symbol"),
        (lambda d, f: (d, f.drop("ts_known")), "facts: no column ts_known"),
        (lambda d, f: (d, f.cast({"ts_known": pl.Float64})), "ts_known is Float64; times are UTC ns, Int64"),
        (lambda d, f: (d, f.with_columns(ts_known=pl.lit(None, pl.Int64))), "1 of 1 rows have no ts_known"),
        (lambda d, f: (d.with_columns(value=1), f), "columns value would stand twice"),
        (lambda d, f: (d.with_columns(age_ns=1), f), "columns age_ns would stand twice"),
    ],
)
def test_what_cannot_be_joined_is_refused(change: object, words: str) -> None:
    decisions, facts = change(decisions_of([("A", 1)]), facts_of([("A", 1, 1, 1)]))  # type: ignore[operator]
    with pytest.raises(TableError, match=words):
        as_of(decisions, facts, at="ts", by=["symbol"])


@pytest.mark.parametrize("absent", ["symbol", "period", "version", "ts_known"])
def test_a_fact_that_lacks_what_it_is_chosen_by_is_refused_not_hidden(absent: str) -> None:
    facts = facts_of([("A", 1, 1, 10), ("A", 2, 1, 20)])
    facts = facts.with_columns(pl.when(pl.int_range(pl.len()) == 1).then(None).otherwise(absent).alias(absent))
    with pytest.raises(TableError, match=f"facts: 1 of 2 rows have no {absent}"):
        as_of(decisions_of([("A", 50)]), facts, at="ts", by=["symbol"], period="period", version="version")


def test_a_decision_of_nobody_is_refused() -> None:
    decisions = decisions_of([("A", 50)]).with_columns(symbol=pl.lit(None, pl.String))
    with pytest.raises(TableError, match="decisions: 1 of 1 rows have no symbol"):
        as_of(decisions, facts_of([("A", 1, 1, 10)]), at="ts", by=["symbol"])
    with pytest.raises(TableError, match="decisions: 1 of 1 rows have no symbol"):
        count_known(decisions, facts_of([("A", 1, 1, 10)]), at="ts", by=["symbol"], span_ns=1)


def test_what_was_known_at_no_time_is_refused() -> None:
    facts = facts_of([("A", 1, 1, 10)]).with_columns(ts_known=pl.lit(None, pl.Int64))
    with pytest.raises(TableError, match="facts: 1 of 1 rows have no ts_known"):
        as_known(facts, 5, key=["symbol"])
    with pytest.raises(TableError, match="facts: 1 of 1 rows have no ts_known"):
        restatements(facts, key=["symbol"])

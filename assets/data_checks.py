"""Checks of whether data look as they did, each with counts and a picture; none of them is blocking.

They compare the newest days with those before: how many rows came, what columns they had, how features are distributed,
how long after its end a day landed. What they find may be the market and no fault, so they warn. Suites of Great
Expectations stand here too, for the tables beside `clean_bars`.
"""

import json
from collections import Counter
from collections.abc import Mapping, Sequence
from datetime import date, timedelta
from typing import Any

import dagster as dg
import polars as pl

from assets.beside import KNOWN_FILE
from assets.outputs import picture
from assets.partitions import daily
from py_rt.data import anomalies, expectations
from py_rt.data.anomaly_charts import drift_png, schema_png, volume_png
from py_rt.data.schemas import CORPORATE_ACTIONS, INDEX_MEMBERS, RECEIVED_COLUMNS, SECURITY_NAMES
from py_rt.data.storage import Lake
from py_rt.data.timestamps import NS_PER_DAY, NS_PER_SECOND
from py_rt.errors import PyRtError
from py_rt.ml.features import set_checks
from py_rt.ml.features.grounds import TRIED_BARS
from py_rt.ml.features.known_tables import read_known_columns

RECENT_DAYS = 7
"""Newest days that are judged; older ones are shown."""

DRIFT_DAYS, REFERENCE_DAYS = 28, 730
"""Newest days whose features are judged, and days before that they are compared with; fewer before than are judged give
no verdict."""

SCHEMA_DAYS = 60
"""Newest days whose columns are looked at."""

WITHIN_HOURS = 26
LIVE_DAYS = 7
"""A day that landed later than this after its end was fetched as history and says nothing about punctuality."""

MAX_EXAMPLES = 5
MAX_FEATURE = 1e9
"""Bound of any feature's value in a suite; every one of them is a ratio, a share or an oscillator."""

_NS_PER_HOUR = 3_600 * NS_PER_SECOND


def _warns(passed: bool, metadata: Mapping[str, Any]) -> dg.AssetCheckResult:
    return dg.AssetCheckResult(passed=passed, severity=dg.AssetCheckSeverity.WARN, metadata=metadata)


def volume_result(judged: pl.DataFrame) -> dg.AssetCheckResult:
    """Warn of anomalies and of days without rows among the `RECENT_DAYS` newest days; the picture shows all.

    Args:
        judged: from `anomalies.volume_anomalies`.
    """
    # A source that has been silent for weeks makes nothing the usual count: it stays worth a warning.
    recent = judged.tail(RECENT_DAYS).filter(pl.col("is_anomaly") | (pl.col("rows") == 0))
    span = (judged["date"][-1] - judged["date"][0]).days + 1 if judged.height else 0
    found = {
        "days": judged.height,
        "absent_days": span - judged.filter(pl.col("rows") > 0).height,
        "anomalies": int(judged["is_anomaly"].sum()),
        "recent_anomalies": recent.height,
        "examples": [
            f"{row['date']}: {row['rows']} rows, {row['expected'] or 0:g} expected" for row in recent.rows(named=True)
        ],
        "rows_per_day": picture(volume_png(judged), "rows per day"),
    }
    return _warns(recent.is_empty(), found)


def schema_result(days: Mapping[date, Mapping[str, str]]) -> dg.AssetCheckResult:
    """Warn where the newest day has other columns than the days before it had together.

    Args:
        days: columns of each day: name and kind.
    """
    ordered = sorted(days)
    before = ordered[:-1]
    known = anomalies.widest_kinds([days[day] for day in before])
    now = days[ordered[-1]] if ordered else {}
    # A day of integers is no other kind than days of decimals.
    drift = anomalies.schema_drift(known, _at_least(known, now)) if before else None
    found = {
        "days": len(days),
        "columns": len(now),
        "added": list(drift.added) if drift else [],
        "removed": list(drift.removed) if drift else [],
        "retyped": [f"{name}: {was} -> {is_}" for name, (was, is_) in drift.retyped.items()] if drift else [],
        "columns_per_day": picture(schema_png(days), "columns per day"),
    }
    return _warns(drift is None or drift.is_none, found)


def _at_least(known: Mapping[str, str], now: Mapping[str, str]) -> dict[str, str]:
    narrower = {("decimal", "integer")}
    return {name: known[name] if (known.get(name), kind) in narrower else kind for name, kind in now.items()}


def drift_result(reference: pl.DataFrame, current: pl.DataFrame) -> dg.AssetCheckResult:
    """Warn where a feature's distribution moved, or its values are gone.

    Args:
        reference: rows of the days before.
        current: rows of the newest days, with the same columns.
    """
    drift = anomalies.feature_drift(reference, current)
    moved = drift.filter("is_drift").sort("psi", descending=True)
    lost = drift.filter(pl.col("is_lost") & ~pl.col("is_drift")).sort("current_missing", descending=True)
    worst = {row["feature"]: f"index {row['psi']:.3f}, distance {row['ks']:.3f}" for row in moved.rows(named=True)}
    found = {
        "features": drift.height,
        "judged": drift.height - drift["psi"].null_count(),
        "drifted": moved.height,
        "lost": {
            row["feature"]: f"{row['current_missing']:.0%} missing, {row['reference_missing']:.0%} before"
            for row in lost.head(MAX_EXAMPLES).rows(named=True)
        },
        "reference_rows": reference.height,
        "current_rows": current.height,
        "worst": dict(list(worst.items())[:MAX_EXAMPLES]),
        "distributions": picture(drift_png(drift, reference, current), "distributions"),
    }
    return _warns(moved.is_empty() and lost.is_empty(), found)


def punctuality_result(landed: pl.DataFrame) -> dg.AssetCheckResult:
    """Warn where one of the newest days landed late; days fetched as history are counted and not judged.

    Args:
        landed: `date` and `ts_arrival` (UTC ns: when the day's first row landed), one row per day.
    """
    day_end = (pl.col("date") + timedelta(days=1)).cast(pl.Datetime("ns")).dt.epoch("ns")
    delays = landed.sort("date").with_columns((pl.col("ts_arrival") - day_end).alias("delay")).tail(RECENT_DAYS)
    live = delays.filter(pl.col("delay") <= LIVE_DAYS * NS_PER_DAY)
    late = live.filter(pl.col("delay") > WITHIN_HOURS * _NS_PER_HOUR)
    found = {
        "days": delays.height,
        "history": delays.height - live.height,
        "late": late.height,
        "examples": [f"{day}: {delay / _NS_PER_HOUR:.1f} h" for day, delay in late.select("date", "delay").iter_rows()],
    }
    return _warns(late.is_empty(), found)


def freshness_result(newest_ns: int | None, until_ns: int | None) -> dg.AssetCheckResult:
    """Warn where the newest row lies more than `WITHIN_HOURS` before the time until which there should be rows.

    Args:
        newest_ns: end of the newest row, UTC ns; `None` without rows.
        until_ns: until when there should be some; `None` is nothing expected.
    """
    if until_ns is None:
        return _warns(passed=True, metadata={"expected": "nothing"})
    try:
        age_ns, is_stale = anomalies.staleness(newest_ns, until_ns, within_ns=WITHIN_HOURS * _NS_PER_HOUR)
    except anomalies.AnomalyError as error:
        return _warns(passed=False, metadata={"problem": str(error)})
    behind = "no row at all" if age_ns is None else f"{max(0, age_ns) / _NS_PER_HOUR:.1f} h"
    return _warns(not is_stale, {"behind": behind, "allowed": f"{WITHIN_HOURS} h"})


def expectation_result(report: expectations.Report, day: object, there: int) -> dg.AssetCheckResult:
    """Turn a suite's report into counts and the broken expectations; `there` are the rows that the sample is of."""
    broken = {
        outcome.expectation: f"{outcome.unexpected} rows, for example {outcome.examples}"
        for outcome in report.outcomes
        if not outcome.success
    }
    counts = {
        "rows": report.rows,
        "of_rows": there,
        "day": str(day),
        "expectations": len(report.outcomes),
        "broken": len(broken),
    }
    return _warns(report.success, counts | broken)


@dg.asset_check(
    asset="raw_bars",
    description=f"Whole table: as many rows on each of the {RECENT_DAYS} newest days as on the days before it.",
)
def rows_as_usual(raw_bars: pl.LazyFrame) -> dg.AssetCheckResult:
    """Count rows of every day that is over, up to the newest that landed, and compare each with the days before it."""
    days = raw_bars.group_by("date").agg(pl.len().alias("rows"), pl.col("source_end").max()).collect(engine="streaming")
    reach = days.select(pl.from_epoch(pl.col("source_end").max(), time_unit="ns").dt.date()).item()
    over = pl.col("date") < reach if reach is not None else pl.lit(value=False)
    return volume_result(anomalies.volume_anomalies(anomalies.every_day(days.filter(over))))


@dg.asset_check(
    asset="raw_bars",
    description="Whole table: the newest day has the columns that the days before it had, with text of the same kind.",
)
def columns_as_before(raw_bars: pl.LazyFrame) -> dg.AssetCheckResult:
    """Look at what was received: the known columns, and what the source sent beside them."""
    return schema_result(received_columns(raw_bars))


def received_columns(raw: pl.LazyFrame) -> dict[date, dict[str, str]]:
    """The columns of the `SCHEMA_DAYS` newest days as received, with the kind of their text.

    What a source sent beside the known columns is called `extra.<name>`. A column without values is absent.
    """
    days = _days(raw).tail(SCHEMA_DAYS)
    newest = raw.filter(pl.col("date").is_in(days.implode())).select("date", "extra", *RECEIVED_COLUMNS).collect()
    found: dict[date, dict[str, str]] = {}
    for day, rows in newest.sort("date").partition_by("date", as_dict=True, maintain_order=True).items():
        sent: dict[str, list[str | None]] = {}
        for text in rows["extra"].drop_nulls():
            for name, value in json.loads(text).items():
                sent.setdefault(f"extra.{name}", []).append(None if value is None else str(value))
        kinds = anomalies.text_kinds(rows.select(RECEIVED_COLUMNS))
        for name, values in sent.items():
            kinds |= anomalies.text_kinds(pl.DataFrame({name: pl.Series(values, dtype=pl.String)}))
        found[day[0]] = {name: kind for name, kind in kinds.items() if kind != anomalies.EMPTY}
    return found


def _days(rows: pl.LazyFrame) -> pl.Series:
    """The days that a table has rows of, in order."""
    return rows.select(pl.col("date").unique().sort()).collect(engine="streaming").to_series()


@dg.asset_check(
    asset="raw_bars",
    description=f"Whole table: the newest days landed within {WITHIN_HOURS} hours of their end, history aside.",
)
def landed_in_time(raw_bars: pl.LazyFrame) -> dg.AssetCheckResult:
    """Look at when the first row of each day landed."""
    return punctuality_result(raw_bars.group_by("date").agg(pl.col("ts_arrival").min()).collect(engine="streaming"))


@dg.asset_check(
    asset="clean_bars",
    additional_ins={"raw_bars": dg.AssetIn()},
    description=f"Whole table: bars are published until {WITHIN_HOURS} hours before the end of what landed, or later.",
)
def keeps_up_with_raw(clean_bars: pl.LazyFrame, raw_bars: pl.LazyFrame) -> dg.AssetCheckResult:
    """Compare the newest bar with the end of the newest raw day, or of the source where it ends within that day."""
    day_end = (pl.col("date").max() + timedelta(days=1)).cast(pl.Datetime("ns")).dt.epoch("ns")
    until = raw_bars.select(pl.min_horizontal(day_end, pl.col("source_end").max())).collect().item()
    return freshness_result(clean_bars.select(pl.col("ts_close").max()).collect().item(), until)


@dg.asset_check(
    asset="features_bar",
    description=f"Whole table: features of the {DRIFT_DAYS} newest days are distributed as on the days before.",
)
def distributed_as_before(features_bar: pl.LazyFrame) -> dg.AssetCheckResult:
    """Compare warm rows of the newest days with the `REFERENCE_DAYS` before, where there are enough of both."""
    warm = features_bar.filter(pl.col("is_warm"))
    days = _days(warm)
    if days.len() < 2 * DRIFT_DAYS:
        return _warns(passed=True, metadata={"days": days.len(), "wanted_days": 2 * DRIFT_DAYS, "judged": 0})
    first, known = days[-DRIFT_DAYS], days[-min(days.len(), DRIFT_DAYS + REFERENCE_DAYS)]
    before = warm.filter((pl.col("date") >= known) & (pl.col("date") < first)).collect()
    return drift_result(before, warm.filter(pl.col("date") >= first).collect())


@dg.asset_check(
    asset="clean_bars",
    description="Newest bars: no feature of the catalogue or a file in config/features looks ahead or never forgets.",
)
def feature_sets_hold(clean_bars: pl.LazyFrame, lake: dg.ResourceParam[Lake]) -> dg.AssetCheckResult:
    """Try every set of features: of research, of models, with expressions and with Python."""
    newest = clean_bars.sort("ts_open").tail(TRIED_BARS).collect()
    try:
        known, told = read_known_columns(KNOWN_FILE), []
    except PyRtError as error:
        known, told = {}, [set_checks.SetReport(KNOWN_FILE.name, problem=str(error))]
    return sets_result([*told, *set_checks.judged(newest, lake, known)], newest.height)


def sets_result(reports: Sequence[set_checks.SetReport], bars: int) -> dg.AssetCheckResult:
    """Fail where a set breaks a promise or cannot be computed; it is an error of the set, and stops nothing here.

    Args:
        reports: of each set.
        bars: that they were tried on.
    """
    broken = [
        f"{one.name}: {found.feature} {found.rule} at row {found.row}" for one in reports for found in one.findings
    ]
    problems = [f"{one.name}: {one.problem}" for one in reports if one.problem]
    lines = [f"| {one.name} | {one.features} | {len(one.untried)} | {len(one.findings)} |" for one in reports]
    table = "\n".join(["| set | features | untried | findings |", "|---|---|---|---|", *lines])
    found: dict[str, Any] = {
        "bars": bars,
        "sets": len(reports),
        "features": sum(one.features for one in reports),
        "untried": sum(len(one.untried) for one in reports),
        "untried_by_reason": set_checks.untried_by_reason(reports),
        "tried_on": dict(sum((Counter(one.tried_on) for one in reports), Counter())),
        "findings": len(broken),
        "examples": [*broken[:MAX_EXAMPLES], *problems[:MAX_EXAMPLES]],
        "tried": dg.MetadataValue.md(table),
    }
    return dg.AssetCheckResult(passed=not broken and not problems, metadata=found)


def meets_suite(
    table: str, sort: Sequence[str], days: dg.PartitionsDefinition[str] | None = daily
) -> dg.AssetChecksDefinition:
    """Make the check that a table meets its suite, `config/expectations/<table>.json`.

    It sees the first rows of the run's last day with rows; rules of a table's schema look at all of them.

    Args:
        table: name of the asset.
        sort: order of the sample's rows.
        days: how the asset is cut; `None` is a table that is made whole, of which the first rows are the sample.
    """
    what = f"on the first {expectations.MAX_ROWS} rows" + (" of the run's last day" if days is not None else "")

    @dg.asset_check(
        asset=table,
        name="meets_suite",
        partitions_def=days,
        description=f"Great Expectations suite config/expectations/{table}.json {what}.",
        op_tags={"dagster/priority": "-1"},
    )
    def check(
        rows: pl.LazyFrame, expectation_runner: dg.ResourceParam[expectations.ExpectationRunner]
    ) -> dg.AssetCheckResult:
        day = _days(rows).last() if days is not None else "all"
        there = rows.filter(pl.col("date") == pl.lit(day, dtype=pl.Date)) if days is not None else rows
        sample = there.sort(sort).head(expectations.MAX_ROWS).collect()
        if sample.is_empty():
            return _warns(passed=True, metadata={"rows": 0, "day": "none"})
        is_all = sample.height < expectations.MAX_ROWS
        height = sample.height if is_all else there.select(pl.len()).collect(engine="streaming").item()
        return expectation_result(expectation_runner.validate(sample, with_features(table, sample)), day, height)

    return check


def with_features(table: str, sample: pl.DataFrame) -> dict[str, Any]:
    """A table's suite; of features, with an expectation for each, because the feature file says which there are."""
    suite = expectations.load_suite(table)
    names = [name for name, dtype in sample.schema.items() if table == "features_bar" and dtype == pl.Float32]
    bounds = {"min_value": -MAX_FEATURE, "max_value": MAX_FEATURE}
    added = [{"type": "expect_column_values_to_be_between", "kwargs": {"column": name, **bounds}} for name in names]
    return suite | {"expectations": [*suite["expectations"], *added]}


raw_bars_meet_suite = meets_suite("raw_bars", ("file", "row_number"))
staged_bars_meet_suite = meets_suite("staged_bars", ("source_sha256", "source_row", "ts_open"))
features_bar_meets_suite = meets_suite("features_bar", ("ts_close",))
quarantined_bars_meet_suite = meets_suite("quarantined_bars", ("source_sha256", "source_row"))
raw_trades_meet_suite = meets_suite("raw_trades", ("row",))
raw_book_meets_suite = meets_suite("raw_book", ("row",))
flow_bars_meet_suite = meets_suite("flow_bars", ("venue", "symbol", "ts_open"))
event_bars_meet_suite = meets_suite("event_bars", ("venue", "symbol", "ts_open"))
captured_scores_meet_suite = meets_suite("captured_scores", ("ts_close",))
raw_daily_bars_meet_suite = meets_suite("raw_daily_bars", ("file", "row_number"), None)
index_members_meet_suite = meets_suite("index_members", INDEX_MEMBERS.key, None)
security_names_meet_suite = meets_suite("security_names", SECURITY_NAMES.key, None)
corporate_actions_meet_suite = meets_suite("corporate_actions", CORPORATE_ACTIONS.key, None)
labels_meet_suite = meets_suite("labels", ("ts_close",))

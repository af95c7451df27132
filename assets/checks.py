"""Checks of tables: those that every declared table gets, and those that a layer needs.

A check is blocking where a reader would be hurt. Checks of `staged_bars` stand between staging and publishing: while
one of them fails, `clean_bars` keeps its last good rows. Most look at the days of the run; where it says so, at the
whole table.
"""

from typing import Any

import dagster as dg
import polars as pl

from assets.partitions import daily, days_of
from py_rt.data import expectations
from py_rt.data.cleaning import BarRules, published
from py_rt.data.ingestion.recordings import Recordings
from py_rt.data.schemas import (
    CLEAN_BARS,
    QUARANTINED_BARS,
    RAW_BARS,
    RAW_BOOK,
    RAW_DAILY_BARS,
    RAW_TRADES,
    STAGED_BARS,
    Table,
)

MAX_KEPT_OUT_WARN = 0.05
MAX_KEPT_OUT = 0.50
"""Share of the run's raw rows that may be kept out; one day of the bundled bars has a quarter of them twice."""

MAX_JUMP_PERCENT = 25
"""Largest move from one close to the next bar's close; beyond it a unit or a decimal point is wrong."""


def fits_schema(table: Table, partitions: dg.PartitionsDefinition | None = daily) -> dg.AssetChecksDefinition:
    """Make the check that a table's rows keep every rule its declaration states.

    Args:
        table: declared in `py_rt.data.schemas`; its asset has the same name.
        partitions: of the asset; `None` for a table without partitions, which is then read whole.
    """

    @dg.asset_check(
        asset=table.name,
        name="fits_schema",
        blocking=True,
        partitions_def=partitions,
        description="Columns, absent values, ranges, unique key and the rules inside each row.",
    )
    def check(rows: pl.DataFrame) -> dg.AssetCheckResult:
        faults = table.faults(rows)
        broken = {fault.rule: f"{fault.rows} rows, the first: {fault.example}" for fault in faults}
        return _result(not faults, {"rows": rows.height, "rules": len(table.rule_names()), **broken})

    return check


def _result(passed: bool, metadata: dict[str, Any], *, warn: bool = False) -> dg.AssetCheckResult:
    severity = dg.AssetCheckSeverity.WARN if warn else dg.AssetCheckSeverity.ERROR
    return dg.AssetCheckResult(passed=passed, severity=severity, metadata=metadata)


def recorded_fits_schema(table: Table) -> dg.AssetChecksDefinition:
    """The same for a recorded table, a day of which is too much for one frame."""

    @dg.asset_check(
        asset=table.name,
        name="fits_schema",
        blocking=True,
        partitions_def=daily,
        description="Columns, absent values, ranges, unique key and the rules inside each row.",
    )
    def check(rows: pl.LazyFrame) -> dg.AssetCheckResult:
        faults = table.faults_of(rows)
        broken = {fault.rule: f"{fault.rows} rows, the first: {fault.example}" for fault in faults}
        return _result(not faults, {"rows": _height(rows), "rules": len(table.rule_names()), **broken})

    return check


def _height(rows: pl.LazyFrame) -> int:
    return int(rows.select(pl.len()).collect(engine="streaming").item())


raw_bars_fit_schema = fits_schema(RAW_BARS)
raw_daily_bars_fit_schema = fits_schema(RAW_DAILY_BARS, partitions=None)
raw_book_fits_schema = recorded_fits_schema(RAW_BOOK)
raw_trades_fit_schema = recorded_fits_schema(RAW_TRADES)
staged_bars_fit_schema = fits_schema(STAGED_BARS)
clean_bars_fit_schema = fits_schema(CLEAN_BARS)
quarantined_bars_fit_schema = fits_schema(QUARANTINED_BARS)


@dg.asset_check(asset="raw_daily_bars", description="The source has daily bars at all.")
def has_rows(raw_daily_bars: pl.DataFrame) -> dg.AssetCheckResult:
    """Warn when nothing landed: a local folder may have no daily bars."""
    return _result(raw_daily_bars.height > 0, {"rows": raw_daily_bars.height}, warn=True)


def _sources(rows: pl.DataFrame, file: str, row: str) -> pl.DataFrame:
    """The raw rows that a frame speaks of, counted."""
    named = rows.filter(pl.col(row).is_not_null())
    return named.group_by(pl.col(file).alias("file"), pl.col(row).alias("row")).agg(pl.len().alias("times"))


def _conserved(raw: pl.DataFrame, *outcomes: pl.DataFrame) -> dg.AssetCheckResult:
    """Every raw row is in the outcomes exactly once, and nothing else is."""
    wanted = _sources(raw, "file_sha256", "row_number")
    found = _sources(pl.concat([rows.select("source_sha256", "source_row") for rows in outcomes]), *_SOURCE)
    both = wanted.join(found, on=["file", "row"], how="full", suffix="_found", coalesce=True)
    wrong = both.filter(~pl.col("times").eq_missing(pl.col("times_found")))
    counts = {f"rows_{i}": rows.filter(pl.col("source_row").is_not_null()).height for i, rows in enumerate(outcomes)}
    found_counts = {"raw_rows": raw.height, "wrong_rows": wrong.height, **counts, "examples": _lines(wrong)}
    return _result(wrong.is_empty(), found_counts)


_SOURCE = ("source_sha256", "source_row")
_MAX_EXAMPLES = 5


def _lines(rows: pl.DataFrame) -> list[str]:
    return [str(row) for row in rows.head(_MAX_EXAMPLES).rows(named=True)]


@dg.asset_check(
    asset="staged_bars",
    name="rows_conserved",
    blocking=True,
    partitions_def=daily,
    additional_ins={"raw_bars": dg.AssetIn()},
    description="Every raw row of the run's days is staged exactly once.",
)
def staged_rows_conserved(staged_bars: pl.DataFrame, raw_bars: pl.DataFrame) -> dg.AssetCheckResult:
    """Compare staged rows with raw rows by file and row number."""
    return _conserved(raw_bars, staged_bars)


@dg.asset_check(
    asset="quarantined_bars",
    name="rows_conserved",
    blocking=True,
    partitions_def=daily,
    additional_ins={"raw_bars": dg.AssetIn(), "clean_bars": dg.AssetIn()},
    description="Every raw row of the run's days is published or kept out, exactly once.",
)
def published_rows_conserved(
    quarantined_bars: pl.DataFrame, raw_bars: pl.DataFrame, clean_bars: pl.DataFrame
) -> dg.AssetCheckResult:
    """Compare both published tables with raw rows by file and row number."""
    return _conserved(raw_bars, clean_bars, quarantined_bars)


@dg.asset_check(
    asset="staged_bars",
    blocking=True,
    partitions_def=daily,
    description=f"At most {MAX_KEPT_OUT:.0%} of the raw rows are kept out; more than {MAX_KEPT_OUT_WARN:.0%} warns.",
)
def few_rows_kept_out(staged_bars: pl.DataFrame) -> dg.AssetCheckResult:
    """Hold the share of rows that are kept out below its bounds."""
    received = staged_bars.filter(pl.col("source_row").is_not_null())
    reasons = received["reason"].drop_nulls()
    share = len(reasons) / received.height if received.height else 0.0
    by_reason = dict(reasons.value_counts(sort=True).iter_rows())
    metadata = {"share": share, "rows": len(reasons), "reasons": by_reason}
    return _result(share <= MAX_KEPT_OUT_WARN, metadata, warn=share <= MAX_KEPT_OUT)


@dg.asset_check(
    asset="staged_bars",
    blocking=True,
    partitions_def=daily,
    description=f"No close is further than {MAX_JUMP_PERCENT} % from the close before it.",
)
def no_price_jumps(staged_bars: pl.DataFrame) -> dg.AssetCheckResult:
    """Look for wrong units and decimal points among the bars to be published, in integers."""
    bars = published(staged_bars)
    before, close = pl.col("close").shift(1), pl.col("close")
    move = (close - before).abs().cast(pl.Int128) * 100
    jumps = bars.with_columns(before.alias("close_before")).filter(move > before.cast(pl.Int128) * MAX_JUMP_PERCENT)
    examples = _lines(jumps.select("ts_open", "close_before", "close", "source_row"))
    return _result(jumps.is_empty(), {"bars": bars.height, "jumps": jumps.height, "examples": examples})


@dg.asset_check(
    asset="staged_bars",
    blocking=True,
    partitions_def=daily,
    description="Between the first and the last bar of the run's days no bar is missing and none is off the grid.",
)
def grid_has_no_holes(staged_bars: pl.DataFrame, bar_rules: dg.ResourceParam[BarRules]) -> dg.AssetCheckResult:
    """Look at the bars to be published of the run's days."""
    holes, off_grid = _grid_faults(published(staged_bars), bar_rules.bar_ns)
    metadata = {"holes": holes.height, "off_grid": off_grid, "examples": _lines(holes)}
    return _result(holes.is_empty() and not off_grid, metadata)


@dg.asset_check(
    asset="clean_bars",
    blocking=True,
    description="Whole table: no bar is missing inside a day or between neighboring days; absent days are counted.",
)
def grid_is_full(clean_bars: pl.DataFrame, bar_rules: dg.ResourceParam[BarRules]) -> dg.AssetCheckResult:
    """Look at the whole table, so that a hole between two runs is seen too."""
    bars = clean_bars.sort("ts_open")
    holes, off_grid = _grid_faults(bars, bar_rules.bar_ns)
    # Days that were never made are no hole, they are work to do.
    inside = holes.filter((pl.col("date") - pl.col("date_before")).dt.total_days() <= 1)
    span = bars.select((pl.col("date").max() - pl.col("date").min()).dt.total_days() + 1).item() if bars.height else 0
    absent = span - bars["date"].n_unique()
    metadata = {"bars": bars.height, "absent_days": absent, "holes": inside.height, "examples": _lines(inside)}
    return _result(inside.is_empty() and not off_grid, metadata)


def _grid_faults(bars: pl.DataFrame, bar_ns: int) -> tuple[pl.DataFrame, int]:
    """Places where a bar does not follow the one before it, and the number of bars off the grid."""
    follows = pl.col("ts_open") - pl.col("ts_open").shift(1)
    holes = bars.with_columns(pl.col("date").shift(1).alias("date_before")).filter(follows != bar_ns)
    off = bars.filter((pl.col("ts_open") % bar_ns != 0) | (pl.col("ts_close") - pl.col("ts_open") != bar_ns))
    return holes.select("ts_open", "date", "date_before"), off.height


@dg.asset_check(
    asset="staged_bars",
    blocking=True,
    partitions_def=daily,
    description="Great Expectations suite config/expectations/clean_bars.json on the last day of the run.",
    op_tags={"dagster/priority": "-1"},  # the slowest: after everything else that could run
)
def meets_expectations(
    context: dg.AssetCheckExecutionContext,
    staged_bars: pl.DataFrame,
    expectation_runner: dg.ResourceParam[expectations.ExpectationRunner],
) -> dg.AssetCheckResult:
    """Run the suite on the bars to be published of the last day that has any."""
    bars = published(staged_bars)
    if bars.is_empty():
        return _result(passed=True, metadata={"rows": 0, "day": "none"})
    day = bars["date"].max()
    report = expectation_runner.validate(bars.filter(pl.col("date") == day), expectations.load_suite("clean_bars"))
    broken = {
        outcome.expectation: f"{outcome.unexpected} rows, for example {outcome.examples}"
        for outcome in report.outcomes
        if not outcome.success
    }
    context.log.info("suite %s on %s: %d expectations", report.suite, day, len(report.outcomes))
    metadata = {"rows": report.rows, "day": str(day), "expectations": len(report.outcomes), **broken}
    return _result(report.success, metadata)


def in_order_of_receipt(table: Table) -> dg.AssetChecksDefinition:
    """Make the check that a recorded table's rows are in the order in which they were received."""

    @dg.asset_check(
        asset=table.name,
        name="in_order_of_receipt",
        blocking=True,
        partitions_def=daily,
        description="Within a day, times of receipt never go back from row to row.",
    )
    def check(rows: pl.LazyFrame) -> dg.AssetCheckResult:
        before = pl.col("ts_received").shift(1).over("date")
        times = rows.select("date", "row", "ts_received").collect(engine="streaming").sort("date", "row")
        back = times.with_columns(before.alias("before")).filter(pl.col("ts_received") < before)
        return _result(back.is_empty(), {"rows": times.height, "back": back.height, "examples": _lines(back)})

    return check


raw_book_in_order = in_order_of_receipt(RAW_BOOK)
raw_trades_in_order = in_order_of_receipt(RAW_TRADES)


@dg.asset_check(
    asset="raw_book",
    name="counts_equal_report",
    blocking=True,
    partitions_def=daily,
    description="Rows and updates are those of the export, and with those before the days those of a check.",
)
def book_counts_equal_report(
    context: dg.AssetCheckExecutionContext, raw_book: pl.LazyFrame, recorded_wires: dg.ResourceParam[Recordings]
) -> dg.AssetCheckResult:
    """Count what stands in the lake."""
    facts = recorded_wires.facts(days_of(context))
    numbered = raw_book.filter(pl.col("update").is_not_null())
    updates = _height(numbered.select("date", "session", "symbol", "update").unique())
    found = (_height(raw_book), updates, updates + facts.skipped_updates)
    wanted = (facts.book_rows, facts.book_updates, facts.played_updates)
    return _result(found == wanted, {"rows_updates_played": list(found), "wanted": list(wanted)})


@dg.asset_check(
    asset="raw_trades",
    name="counts_equal_report",
    blocking=True,
    partitions_def=daily,
    description="Rows are those of the export, and with those before the days those of a check.",
)
def trade_counts_equal_report(
    context: dg.AssetCheckExecutionContext, raw_trades: pl.LazyFrame, recorded_wires: dg.ResourceParam[Recordings]
) -> dg.AssetCheckResult:
    """Count what stands in the lake."""
    facts = recorded_wires.facts(days_of(context))
    rows = _height(raw_trades)
    found = (rows, rows + facts.skipped_trades)
    wanted = (facts.trade_rows, facts.played_trades)
    return _result(found == wanted, {"rows_played": list(found), "wanted": list(wanted)})


@dg.asset_check(
    asset="raw_book",
    partitions_def=daily,
    description="A check of the recordings finds nothing wrong: no hole, no error, no wrong checksum or best level.",
)
def recordings_are_right(
    context: dg.AssetCheckExecutionContext, raw_book: pl.LazyFrame, recorded_wires: dg.ResourceParam[Recordings]
) -> dg.AssetCheckResult:
    """Warn of what the venue or the line did: the tables say where nothing is known."""
    problems = list(recorded_wires.facts(days_of(context)).problems)
    return _result(not problems, {"rows": _height(raw_book), "problems": problems}, warn=True)

from __future__ import annotations

import os
from datetime import date
from pathlib import Path
from typing import Any

import dagster as dg
import polars as pl
import pytest

from assets import checks
from py_rt.data.cleaning import BarRules, published, quarantined, stage
from py_rt.data.expectations import Outcome, Report
from py_rt.data.ingestion.market_data import BundledSource, LocalSource
from py_rt.data.schemas import CLEAN_BARS
from py_rt.data.storage import DayWindow

SHARED = Path(os.environ.get("PY_RT_SHARED_DATA", Path(__file__).resolve().parents[3] / "shared" / "data"))
DIRTY = SHARED / "dirty_bars_with_answers"
RULES = BarRules()


@pytest.fixture(scope="module")
def raw() -> pl.DataFrame:
    rows = BundledSource().bars().with_columns(ts_arrival=pl.lit(1, dtype=pl.Int64))
    return rows.filter(pl.col("date").is_between(date(2021, 10, 24), date(2021, 10, 28)))


@pytest.fixture(scope="module")
def staged(raw: pl.DataFrame) -> pl.DataFrame:
    return stage(raw, RULES, DayWindow(date(2021, 10, 24), date(2021, 10, 29)))


def values(result: dg.AssetCheckResult) -> dict[str, Any]:
    return {key: getattr(value, "value", value) for key, value in result.metadata.items()}


def judged(check: dg.AssetChecksDefinition, *arguments: object, **named: object) -> dg.AssetCheckResult:
    result = check(*arguments, **named)
    assert isinstance(result, dg.AssetCheckResult)
    return result


def test_good_rows_pass_every_check(raw: pl.DataFrame, staged: pl.DataFrame) -> None:
    clean, out = published(staged), quarantined(staged)
    assert judged(checks.raw_bars_fit_schema, raw).passed
    assert judged(checks.staged_bars_fit_schema, staged).passed
    assert judged(checks.clean_bars_fit_schema, clean).passed
    assert judged(checks.quarantined_bars_fit_schema, out).passed
    assert judged(checks.staged_rows_conserved, staged_bars=staged, raw_bars=raw).passed
    assert judged(checks.published_rows_conserved, quarantined_bars=out, raw_bars=raw, clean_bars=clean).passed
    assert judged(checks.no_price_jumps, staged_bars=staged).passed
    assert judged(checks.grid_has_no_holes, staged_bars=staged, bar_rules=RULES).passed
    assert judged(checks.grid_is_full, clean_bars=clean, bar_rules=RULES).passed


def test_a_broken_schema_rule_is_told_with_its_first_row(staged: pl.DataFrame) -> None:
    clean = published(staged).with_columns(high=pl.col("low") - 1)
    result = judged(checks.clean_bars_fit_schema, clean)
    assert not result.passed
    assert result.severity == dg.AssetCheckSeverity.ERROR
    found = values(result)
    assert found["high is the highest price"].startswith(f"{clean.height} rows, the first: instrument=BTCUSDT")


@pytest.mark.parametrize("lost", [0, 5, -1])
def test_a_lost_row_breaks_conservation(raw: pl.DataFrame, staged: pl.DataFrame, lost: int) -> None:
    row = raw["row_number"][lost]
    result = judged(checks.staged_rows_conserved, staged_bars=staged.filter(pl.col("source_row") != row), raw_bars=raw)
    assert (result.passed, values(result)["wrong_rows"]) == (False, 1)
    assert f"'row': {row}" in values(result)["examples"][0]


def test_a_row_in_both_tables_or_from_nowhere_breaks_conservation(raw: pl.DataFrame, staged: pl.DataFrame) -> None:
    clean, out = published(staged), quarantined(staged)
    twice = out.with_columns(source_row=pl.lit(raw["row_number"][3], dtype=pl.Int64))
    named = {"raw_bars": raw, "clean_bars": clean}
    assert not judged(checks.published_rows_conserved, quarantined_bars=pl.concat([out, twice.head(1)]), **named).passed
    invented = twice.head(1).with_columns(source_row=pl.lit(1, dtype=pl.Int64))
    assert not judged(checks.published_rows_conserved, quarantined_bars=pl.concat([out, invented]), **named).passed


def test_the_share_of_rows_kept_out_warns_and_then_fails(staged: pl.DataFrame) -> None:
    def share(kept_out: int, good: int) -> dg.AssetCheckResult:
        bad = staged.filter(pl.col("reason").is_not_null()).head(1)
        fine = staged.filter(pl.col("reason").is_null() & pl.col("source_row").is_not_null()).head(1)
        return judged(checks.few_rows_kept_out, staged_bars=pl.concat([bad] * kept_out + [fine] * good))

    assert share(1, 19).passed
    warned = share(2, 8)
    assert (warned.passed, warned.severity) == (False, dg.AssetCheckSeverity.WARN)
    failed = share(6, 4)
    assert (failed.passed, failed.severity) == (False, dg.AssetCheckSeverity.ERROR)
    assert values(failed)["share"] == pytest.approx(0.6)
    assert judged(checks.few_rows_kept_out, staged_bars=staged.clear()).passed


def test_a_jump_is_found_at_its_bound(staged: pl.DataFrame) -> None:
    def moved(percent: int) -> dg.AssetCheckResult:
        bars = published(staged).head(2).with_columns(close=pl.Series([1_000, 1_000 + 10 * percent]))
        return judged(checks.no_price_jumps, staged_bars=bars.with_columns(reason=pl.lit(None, dtype=pl.String)))

    assert moved(25).passed
    assert not moved(26).passed
    assert moved(-25).passed
    assert not moved(-26).passed


def test_holes_inside_and_between_days_are_found_and_absent_days_counted(staged: pl.DataFrame) -> None:
    clean = published(staged)

    def full(bars: pl.DataFrame) -> tuple[bool, int, int]:
        result = judged(checks.grid_is_full, clean_bars=bars, bar_rules=RULES)
        found = values(result)
        return result.passed, found["holes"], found["absent_days"]

    assert full(clean) == (True, 0, 0)
    assert full(clean.reverse()) == (True, 0, 0)
    assert full(clean.filter(pl.col("ts_open") != clean["ts_open"][100])) == (False, 1, 0)
    last_of_day = clean.filter(pl.col("date") == date(2021, 10, 25))["ts_open"].max()
    assert full(clean.filter(pl.col("ts_open") != last_of_day)) == (False, 1, 0)
    assert full(clean.filter(pl.col("date") != date(2021, 10, 26))) == (True, 0, 1)
    assert full(CLEAN_BARS.empty()) == (True, 0, 0)
    doubled = pl.concat([clean, clean.head(1)])
    assert not full(doubled)[0]


def test_bars_off_the_grid_are_found(staged: pl.DataFrame) -> None:
    moved = published(staged).with_columns(pl.col("ts_open") + 1, pl.col("ts_close") + 1)
    assert not judged(checks.grid_is_full, clean_bars=moved, bar_rules=RULES).passed
    longer = published(staged).with_columns(pl.col("ts_close") + 1)
    assert not judged(checks.grid_is_full, clean_bars=longer, bar_rules=RULES).passed


class RecordingRunner:
    """Gives a fixed report."""

    def __init__(self, *, success: bool) -> None:
        self.success = success
        self.sample = pl.DataFrame()

    def validate(self, frame: pl.DataFrame, suite: dict[str, Any]) -> Report:
        self.sample = frame
        return Report(suite["name"], frame.height, [Outcome("expect_x(column=close)", self.success, 3, ["1", "2"])])


@pytest.mark.parametrize("success", [True, False])
def test_the_suite_judges_the_last_day_with_bars(staged: pl.DataFrame, success: bool) -> None:
    runner = RecordingRunner(success=success)
    context = dg.build_asset_check_context()
    result = judged(checks.meets_expectations, context, staged_bars=staged, expectation_runner=runner)
    assert result.passed is success
    assert runner.sample["date"].unique().to_list() == [date(2021, 10, 28)]
    broken = values(result).get("expect_x(column=close)")
    assert broken == (None if success else "3 rows, for example ['1', '2']")


def test_days_without_bars_need_no_suite(staged: pl.DataFrame) -> None:
    runner = RecordingRunner(success=False)
    context = dg.build_asset_check_context()
    result = judged(checks.meets_expectations, context, staged_bars=staged.clear(), expectation_runner=runner)
    assert result.passed


@pytest.mark.skipif(not DIRTY.is_dir(), reason=f"recorded market data not found at {SHARED}")
@pytest.mark.parametrize(
    ("name", "jumps"),
    [("AET-L-1d-100x-error", True), ("AET-L-1d-100x-error-fixed", False), ("EA-15m-no-bad-divs", False)],
)
def test_recorded_unit_errors_are_jumps_and_their_repair_is_not(name: str, jumps: bool) -> None:
    bar_ns = 900_000_000_000 if "15m" in name else 86_400_000_000_000
    rules = BarRules(instrument=name, bar_ns=bar_ns, price_rounding="half_even")
    zone_shifted = LocalSource(str(DIRTY), pattern=f"{name}.csv.gz").bars()
    if bar_ns == 86_400_000_000_000:  # London's days begin at 23:00 UTC in summer: take their dates
        zone_shifted = zone_shifted.with_columns(pl.col("datetime").str.slice(0, 10)).with_columns(
            pl.col("datetime").str.to_date().alias("date")
        )
    rows = zone_shifted.with_columns(ts_arrival=pl.lit(1, dtype=pl.Int64))
    first, last = rows["date"].min(), rows["date"].max()
    assert isinstance(first, date)
    assert isinstance(last, date)
    staged = stage(rows, rules, DayWindow(first, date.fromordinal(last.toordinal() + 1)))
    assert published(staged).height >= rows.height // 2
    assert judged(checks.no_price_jumps, staged_bars=staged).passed is not jumps

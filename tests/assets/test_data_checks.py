"""Checks that compare the newest days with those before, and the suites of the tables beside `clean_bars`."""

from __future__ import annotations

import base64
import json
from datetime import date, timedelta
from typing import TYPE_CHECKING, Any

import dagster as dg
import numpy as np
import polars as pl
import pytest

from assets import data_checks
from assets.beside import FEATURE_FILE
from assets.data_checks import DRIFT_DAYS, RECENT_DAYS, received_columns, with_features
from py_rt.data import expectations
from py_rt.data.bar_chart import MAX_PNG_BYTES
from py_rt.data.cleaning import BAR_NS, BarRules, published, stage
from py_rt.data.expectations import ExpectationRunner, Outcome, Report, load_suite, validate
from py_rt.data.ingestion.market_data import BundledSource
from py_rt.data.schemas import LABELS, TABLES
from py_rt.data.storage import DayWindow
from py_rt.data.timestamps import NS_PER_DAY
from py_rt.ml.features.technical import FeatureSet
from py_rt.ml.labels import forward_return_labels

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence

FIRST, LAST = date(2021, 9, 27), date(2021, 12, 29)


@pytest.fixture(scope="module")
def raw() -> pl.DataFrame:
    return BundledSource().bars().with_columns(ts_arrival=pl.lit(1_700_000_000_000_000_000, dtype=pl.Int64))


@pytest.fixture(scope="module")
def staged(raw: pl.DataFrame) -> pl.DataFrame:
    return stage(raw, BarRules(), DayWindow(FIRST, date(2021, 12, 30)))


@pytest.fixture(scope="module")
def features(staged: pl.DataFrame) -> pl.DataFrame:
    bars = published(staged).sort("ts_open")
    return bars.select("instrument", "ts_close", "date").hstack(FeatureSet.from_toml(FEATURE_FILE).compute(bars))


@pytest.fixture(scope="module")
def labels(staged: pl.DataFrame) -> pl.DataFrame:
    bars = published(staged).sort("ts_open").select("instrument", "ts_close", "close", "date")
    made = forward_return_labels(bars, horizon_bars=4, bar_ns=BAR_NS)
    return made.select(LABELS.schema.names())


def judged(check: dg.AssetChecksDefinition, *arguments: object, **named: object) -> dg.AssetCheckResult:
    lazy = [item.lazy() if isinstance(item, pl.DataFrame) else item for item in arguments]
    lazy_named = {name: item.lazy() if isinstance(item, pl.DataFrame) else item for name, item in named.items()}
    result = check(*lazy, **lazy_named)
    assert isinstance(result, dg.AssetCheckResult)
    assert result.severity == dg.AssetCheckSeverity.WARN
    return result


def found(result: dg.AssetCheckResult) -> dict[str, Any]:
    return {key: getattr(value, "value", value) for key, value in result.metadata.items()}


def png(result: dg.AssetCheckResult, key: str) -> bytes:
    value = result.metadata[key]
    assert isinstance(value, dg.MarkdownMetadataValue)
    text = value.md_str
    assert text is not None
    return base64.b64decode(text.partition("base64,")[2].rstrip(")"))


def test_old_anomalies_are_shown_and_only_new_ones_warn(raw: pl.DataFrame) -> None:
    whole = judged(data_checks.rows_as_usual, raw)
    assert whole.passed
    # A month of the bundled bars has a day twice, days with holes and one without rows; the last day is not over.
    assert (found(whole)["days"], found(whole)["absent_days"]) == (raw["date"].n_unique(), 1)
    assert found(whole)["anomalies"] >= 3
    cut = raw.filter(pl.col("date") <= date(2021, 11, 30))
    warned = judged(data_checks.rows_as_usual, cut)
    assert not warned.passed
    assert found(warned)["recent_anomalies"] == len(found(warned)["examples"]) > 0
    assert "2021-11-29: 41 rows, 96 expected" in found(warned)["examples"]
    for result in (whole, warned):
        picture = png(result, "rows_per_day")
        assert picture.startswith(b"\x89PNG")
        assert len(picture) <= MAX_PNG_BYTES


def test_days_on_which_nothing_came_warn(raw: pl.DataFrame) -> None:
    gone = raw.filter(~pl.col("date").is_in([date(2021, 12, 26), date(2021, 12, 27)]))
    warned = judged(data_checks.rows_as_usual, gone)
    assert (warned.passed, found(warned)["absent_days"]) == (False, 3)
    assert "2021-12-27: 0 rows, 96 expected" in found(warned)["examples"]
    back = (pl.col("date") < date(2021, 12, 5)) | (pl.col("date") >= date(2021, 12, 28))
    silent = judged(data_checks.rows_as_usual, raw.filter(back))
    assert (silent.passed, found(silent)["recent_anomalies"]) == (False, 7)
    # What follows the newest day may not have been asked for yet.
    assert judged(data_checks.rows_as_usual, raw.filter(pl.col("date") < date(2021, 11, 20))).passed
    rests = raw.filter(pl.col("date").dt.weekday() < 6)
    assert found(judged(data_checks.rows_as_usual, rests))["recent_anomalies"] == 0


def test_a_feature_without_values_warns(features: pl.DataFrame) -> None:
    newest = pl.col("date") > LAST - timedelta(days=data_checks.DRIFT_DAYS)
    dead = features.with_columns(rsi_14=pl.when(newest).then(None).otherwise(pl.col("rsi_14")))
    result = judged(data_checks.distributed_as_before, dead)
    assert (result.passed, found(result)["lost"]) == (False, {"rsi_14": "100% missing, 0% before"})


def test_a_table_without_rows_gives_no_verdict(raw: pl.DataFrame) -> None:
    for check in (data_checks.rows_as_usual, data_checks.columns_as_before, data_checks.landed_in_time):
        assert judged(check, raw.clear()).passed


def renamed(raw: pl.DataFrame, **columns: pl.Expr) -> pl.DataFrame:
    """The raw rows with other columns on the newest day."""
    newest = pl.col("date") == raw["date"].max()
    return raw.with_columns(
        pl.when(newest).then(values).otherwise(pl.col(name)).alias(name) for name, values in columns.items()
    )


def test_columns_that_come_and_go_and_change_warn(raw: pl.DataFrame) -> None:
    assert judged(data_checks.columns_as_before, raw).passed
    changed = renamed(
        raw,
        volume=pl.lit(None, dtype=pl.String),
        close=pl.lit("n/a"),
        extra=pl.lit(json.dumps({"turnover": "12.5", "said": 'a "b": c'})),
    )
    result = judged(data_checks.columns_as_before, changed)
    assert not result.passed
    shown = found(result)
    assert set(shown["added"]) == {"extra.turnover", "extra.said"}
    assert "volume" in shown["removed"]
    assert shown["retyped"] == ["close: decimal -> text"]
    assert received_columns(changed.lazy())[LAST]["extra.turnover"] == "decimal"
    assert len(png(result, "columns_per_day")) <= MAX_PNG_BYTES


def test_whole_numbers_among_decimals_are_no_other_kind(raw: pl.DataFrame) -> None:
    assert judged(data_checks.columns_as_before, renamed(raw, close=pl.lit("47000"))).passed


def test_days_that_land_late_warn_and_history_does_not(raw: pl.DataFrame) -> None:
    history = judged(data_checks.landed_in_time, raw)
    assert history.passed
    assert found(history)["history"] == RECENT_DAYS
    day_start = pl.col("date").cast(pl.Datetime("ns")).dt.epoch("ns")
    on_time = raw.with_columns((day_start + 2 * NS_PER_DAY).alias("ts_arrival"))
    assert judged(data_checks.landed_in_time, on_time).passed
    late = renamed(on_time, ts_arrival=day_start + 3 * NS_PER_DAY)
    result = judged(data_checks.landed_in_time, late)
    assert (result.passed, found(result)["late"]) == (False, 1)
    assert found(result)["examples"] == ["2021-12-29: 48.0 h"]


def test_bars_that_do_not_keep_up_with_what_landed_warn(raw: pl.DataFrame, staged: pl.DataFrame) -> None:
    clean = published(staged)
    result = judged(data_checks.keeps_up_with_raw, clean_bars=clean, raw_bars=raw)
    assert result.passed
    lagging = judged(
        data_checks.keeps_up_with_raw, clean_bars=clean.filter(pl.col("date") <= date(2021, 12, 27)), raw_bars=raw
    )
    assert not lagging.passed
    assert found(lagging)["behind"].endswith(" h")
    ahead = clean.with_columns(pl.col("ts_close") * 2)
    wrong_unit = judged(data_checks.keeps_up_with_raw, clean_bars=ahead, raw_bars=raw)
    assert "in the future" in found(wrong_unit)["problem"]
    nothing = judged(data_checks.keeps_up_with_raw, clean_bars=clean.clear(), raw_bars=raw)
    assert (nothing.passed, found(nothing)["behind"]) == (False, "no row at all")
    assert judged(data_checks.keeps_up_with_raw, clean_bars=clean.clear(), raw_bars=raw.clear()).passed
    # A part of the days is enough where only these landed.
    part = raw.filter(pl.col("date") <= date(2021, 10, 28)), clean.filter(pl.col("date") <= date(2021, 10, 28))
    assert judged(data_checks.keeps_up_with_raw, clean_bars=part[1], raw_bars=part[0]).passed


def test_a_feature_in_another_unit_warns(features: pl.DataFrame) -> None:
    usual = judged(data_checks.distributed_as_before, features)
    shown = found(usual)
    assert shown["features"] == shown["judged"] == len(FeatureSet.from_toml(FEATURE_FILE).names)
    first = features["date"].unique().sort()[-DRIFT_DAYS]
    percent = pl.when(pl.col("date") >= first).then(pl.col("rsi_14") / 100).otherwise(pl.col("rsi_14"))
    result = judged(data_checks.distributed_as_before, features.with_columns(percent.alias("rsi_14")))
    assert not result.passed
    assert "rsi_14" in found(result)["worst"]
    assert len(png(result, "distributions")) <= MAX_PNG_BYTES


def test_few_days_give_no_verdict_about_features(features: pl.DataFrame) -> None:
    few = features.filter(pl.col("date") < FIRST + timedelta(days=DRIFT_DAYS))
    result = judged(data_checks.distributed_as_before, few)
    assert (result.passed, found(result)["judged"]) == (True, 0)


class RecordingRunner(ExpectationRunner):
    """Gives a fixed report."""

    def __init__(self, *, success: bool) -> None:
        super().__init__()
        self.success = success
        self.asked: list[tuple[pl.DataFrame, Mapping[str, Any]]] = []

    def validate(self, frame: pl.DataFrame, suite: Mapping[str, Any]) -> Report:
        self.asked.append((frame, suite))
        return Report(suite["name"], frame.height, [Outcome("expect_x(column=a)", self.success, 3, ["1"])])


@pytest.mark.parametrize("success", [True, False])
def test_a_suite_judges_the_last_day_and_its_report_becomes_counts(features: pl.DataFrame, success: bool) -> None:
    runner = RecordingRunner(success=success)
    result = judged(data_checks.features_bar_meets_suite, features, expectation_runner=runner)
    ((sample, suite),) = runner.asked
    assert sample["date"].unique().to_list() == [LAST]
    assert len(suite["expectations"]) > len(FeatureSet.from_toml(FEATURE_FILE).names)
    counts = {
        "rows": sample.height,
        "of_rows": sample.height,
        "day": str(LAST),
        "expectations": 1,
        "broken": int(not success),
    }
    broken = {} if success else {"expect_x(column=a)": "3 rows, for example ['1']"}
    assert (result.passed, found(result)) == (success, counts | broken)
    assert judged(data_checks.labels_meet_suite, features.clear(), expectation_runner=runner).passed


def broken_by(table: str, sample: pl.DataFrame) -> set[str]:
    columns: Mapping[str, Sequence[object]] = sample.to_dict(as_series=False)
    report = validate(columns, with_features(table, sample))
    return {outcome.expectation.partition("(")[0] for outcome in report.outcomes if not outcome.success}


def test_good_rows_meet_the_shipped_suites_and_broken_ones_do_not(
    raw: pl.DataFrame, staged: pl.DataFrame, features: pl.DataFrame, labels: pl.DataFrame
) -> None:
    day = date(2021, 12, 20)
    tables = {"raw_bars": raw, "staged_bars": staged, "features_bar": features, "labels": labels}
    samples = {name: rows.filter(pl.col("date") == day) for name, rows in tables.items()}
    for name, sample in samples.items():
        assert broken_by(name, sample) == set(), name
    twice = pl.concat([samples["raw_bars"], samples["raw_bars"].head(1)])
    assert broken_by("raw_bars", twice) == {"expect_compound_columns_to_be_unique"}
    html = samples["raw_bars"].with_columns(close=pl.lit("<td>1</td>"))
    assert broken_by("raw_bars", html) == {"expect_column_values_to_match_regex"}
    odd = samples["staged_bars"].with_columns(reason=pl.lit("no reason"))
    assert broken_by("staged_bars", odd) == {"expect_column_values_to_be_null", "expect_column_values_to_be_in_set"}
    wild = samples["features_bar"].with_columns(rsi_14=pl.lit(np.inf, dtype=pl.Float32))
    assert broken_by("features_bar", wild) == {"expect_column_values_to_be_between"}
    early = samples["labels"].with_columns(label_end_ts=pl.col("ts_close"), ret=pl.lit(20.0))
    assert broken_by("labels", early) == {
        "expect_column_pair_values_a_to_be_greater_than_b",
        "expect_column_values_to_be_between",
    }


SHA = "a" * 64
BAR = {"open": "1.5", "high": "2", "low": "1", "close": "1.5e0", "datetime": "2024-01-02", "volume_unit": "base"}
RECORDED = {"session": 0, "venue": "kraken", "symbol": "XBT/USD", "ts_received": 5, "ts_event": 5}
LEVEL = {"kind": "delta", "reason": None, "side": "bid", "price": 1, "quantity": 0, "best_bid": 1, "best_ask": 2}
SCORE = {"score_captured": 0.4, "score_training": 0.6, "decision_captured": "hold", "decision_training": "enter"}
GOOD: dict[str, dict[str, object]] = {
    "raw_daily_bars": {"symbol": "S", "source": "s", "file": "f", "file_sha256": SHA, "ts_arrival": 1, **BAR},
    "raw_trades": {**RECORDED, "price": 1, "quantity": 1, "aggressor": "buy"},
    "raw_book": {**RECORDED, **LEVEL},
    "quarantined_bars": {"instrument": "X", "reason": "restated", "detail": "d", "source_sha256": SHA},
    "captured_scores": {"instrument": "X", "features_equal": 3, **SCORE},
    "index_members": {"index_name": "i", "start": date(2024, 1, 2), "end": date(2024, 1, 3)},
    "security_names": {"ticker": "A", "first_day": FIRST, "last_day": FIRST, "is_delisted": False},
    "corporate_actions": {
        "ticker": "A",
        "kind": "split",
        "factor": 0.5,
        "amount": 2.0,
        "effective": LAST,
        "known_on": FIRST,
    },
}
TELLS: dict[str, tuple[str, list[Any]]] = {
    "raw_daily_bars": ("row_number", [1, 2]),
    "raw_trades": ("row", [0, 1]),
    "raw_book": ("row", [0, 1]),
    "quarantined_bars": ("source_row", [1, 2]),
    "captured_scores": ("ts_close", [1, 2]),
    "index_members": ("ticker", ["A", "B.C"]),
    "security_names": ("security_id", ["A.20240102", "B.20240102"]),
    "corporate_actions": ("ticker", ["A", "B"]),
}
"""What tells two rows of each table apart."""


@pytest.mark.parametrize(
    ("table", "broken", "expectation"),
    [
        ("raw_daily_bars", {"close": "<td>1</td>"}, "match_regex"),
        ("raw_trades", {"aggressor": "nobody"}, "in_set"),
        ("raw_trades", {"price": 0}, "between"),
        ("raw_book", {"best_bid": 2}, "a_to_be_greater_than_b"),
        ("raw_book", {"reason": "a gap"}, "be_null"),
        ("quarantined_bars", {"reason": "no reason"}, "in_set"),
        ("captured_scores", {"score_captured": 1.5}, "between"),
        ("captured_scores", {"decision_training": "flee"}, "in_set"),
        ("index_members", {"end": date(2024, 1, 1)}, "a_to_be_greater_than_b"),
        ("security_names", {"last_day": date(1990, 1, 1)}, "a_to_be_greater_than_b"),
        ("corporate_actions", {"factor": 0.0}, "between"),
        ("corporate_actions", {"known_on": date(2999, 1, 1)}, "a_to_be_greater_than_b"),
    ],
)
def test_the_suites_of_the_other_tables_tell_good_rows_from_broken_ones(
    table: str, broken: dict[str, object], expectation: str
) -> None:
    name, values = TELLS[table]
    good = pl.DataFrame([{**GOOD[table], name: value} for value in values])
    assert broken_by(table, good) == set()
    found = broken_by(table, good.with_columns(pl.lit(value).alias(key) for key, value in broken.items()))
    assert {one for one in found if one.endswith(expectation)} == found != set()
    twice = broken_by(table, pl.concat([good, good.head(1)]))
    assert any("unique" in one for one in twice)


def test_of_a_table_that_is_made_whole_the_first_rows_are_the_sample(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(expectations, "MAX_ROWS", 2)
    stays = pl.DataFrame({"index_name": ["i"] * 3, "ticker": ["C", "B", "A"], "start": [FIRST] * 3})
    runner = RecordingRunner(success=True)
    result = judged(data_checks.index_members_meet_suite, stays, expectation_runner=runner)
    ((sample, _),) = runner.asked
    assert sample["ticker"].to_list() == ["A", "B"]
    assert (result.passed, found(result)["day"], found(result)["of_rows"]) == (True, "all", 3)
    nothing = judged(data_checks.index_members_meet_suite, stays.clear(), expectation_runner=runner)
    assert (nothing.passed, found(nothing)["rows"], len(runner.asked)) == (True, 0, 1)


def test_every_declared_table_has_a_suite() -> None:
    for table in (*TABLES, "features_bar"):
        assert load_suite(table)["name"] == table

"""Whether data look as they did: volume, schema, distributions, freshness; and the pictures of it."""

from __future__ import annotations

import io
import os
import tarfile
from datetime import date, timedelta
from pathlib import Path

import numpy as np
import polars as pl
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from scipy import stats

from py_rt.data.anomalies import (
    PSI_DRIFT,
    AnomalyError,
    feature_drift,
    ks_critical,
    ks_distance,
    population_stability,
    schema_drift,
    staleness,
    text_kinds,
    volume_anomalies,
    widest_kinds,
)
from py_rt.data.anomaly_charts import drift_png, schema_png, volume_png
from py_rt.data.bar_chart import MAX_PNG_BYTES

SHARED = Path(os.environ.get("PY_RT_SHARED_DATA", Path(__file__).resolve().parents[4] / "shared" / "data"))
PRICES = SHARED / "stocknet_prices_tweets" / "prices.parquet"
DROPS = SHARED / "raw_landing_us_market_daily"
FIRST = date(2024, 1, 1)


def counts(rows: list[int]) -> pl.DataFrame:
    return pl.DataFrame({"date": [FIRST + timedelta(days=step) for step in range(len(rows))], "rows": rows})


def odd_days(rows: list[int]) -> list[int]:
    found = volume_anomalies(counts(rows)).filter("is_anomaly")["date"]
    return [(day - FIRST).days for day in found]


def test_a_day_with_a_tenth_and_one_with_twice_the_rows_are_anomalies() -> None:
    usual = (np.random.default_rng(1).integers(930, 1_071, 60)).tolist()
    assert odd_days(usual) == []
    usual[40], usual[50] = 100, 2_000
    assert odd_days(usual) == [40, 50]


def test_a_day_without_rows_is_an_anomaly_where_counts_never_moved_and_one_row_less_is_none() -> None:
    assert odd_days([96] * 20 + [0, 96, 95, 96]) == [20]


def test_a_new_level_is_an_anomaly_until_it_is_usual() -> None:
    found = odd_days([100] * 40 + [300] * 40)
    assert found[0] == 40
    assert found == list(range(40, 40 + len(found)))
    assert 10 <= len(found) <= 20


@settings(deadline=None)
@given(st.lists(st.integers(0, 1_000), min_size=8, max_size=50), st.lists(st.integers(0, 10**6), max_size=10))
def test_a_verdict_about_a_day_does_not_change_with_later_days(before: list[int], later: list[int]) -> None:
    alone = volume_anomalies(counts(before))
    assert volume_anomalies(counts(before + later)).head(len(before)).equals(alone)
    assert alone["z"].null_count() == 7


@pytest.mark.skipif(not PRICES.is_file(), reason=f"no {PRICES}")
def test_real_days_of_sixty_stocks_have_no_anomaly_until_rows_are_lost() -> None:
    rows = pl.read_parquet(PRICES).with_columns(pl.col("date").cast(pl.Date))
    whole = volume_anomalies(rows.group_by("date").len("rows"))
    assert whole.height > 1_200
    assert not whole["is_anomaly"].any()
    day = date(2015, 6, 3)
    lossy = rows.filter((pl.col("date") != day) | (pl.col("symbol") < "M"))
    found = volume_anomalies(lossy.group_by("date").len("rows"))
    assert found.filter("is_anomaly")["date"].to_list() == [day]


def dropped(day: str, member: str) -> pl.DataFrame:
    """One file of a day's drop, every column as text."""
    with tarfile.open(DROPS / f"{day}.tar.gz") as archive:
        file = archive.extractfile(next(name for name in archive.getnames() if name.endswith(member)))
        assert file is not None
        return pl.read_csv(io.BytesIO(file.read()), infer_schema=False)


@pytest.mark.skipif(not DROPS.is_dir(), reason=f"no {DROPS}")
def test_the_drop_with_three_days_in_it_and_a_header_in_its_middle_is_found_and_no_other() -> None:
    days = sorted(path.name.partition(".")[0] for path in DROPS.glob("*.tar.gz"))
    prices = {day: dropped(day, "prices.csv") for day in days}
    dates = [date(int(day[:4]), int(day[4:6]), int(day[6:])) for day in days]
    judged = volume_anomalies(pl.DataFrame({"date": dates, "rows": [prices[day].height for day in days]}))
    assert judged.filter("is_anomaly")["date"].to_list() == [date(2015, 4, 6)]
    known = text_kinds(prices[days[0]])
    for day in days[1:]:
        now = text_kinds(prices[day])
        became_text = {name for name, change in schema_drift(known, now).retyped.items() if change[1] == "text"}
        wanted = {"date", "open", "high", "low", "close", "volume", "adj_close"} if day == "20150406" else set()
        assert became_text == wanted, day
        known = known if wanted else widest_kinds([known, now])


@pytest.mark.skipif(not DROPS.is_dir(), reason=f"no {DROPS}")
def test_a_report_that_lost_its_header_is_a_drift_of_the_schema() -> None:
    before, now = dropped("20150406", "reports.csv"), dropped("20150407", "reports.csv")
    drift = schema_drift(text_kinds(before), text_kinds(now))
    assert set(drift.removed) == set(before.columns)
    assert set(drift.added) == set(now.columns)


def test_unfit_counts_are_refused() -> None:
    with pytest.raises(AnomalyError, match="wanted date and rows"):
        volume_anomalies(pl.DataFrame({"day": [FIRST]}))
    with pytest.raises(AnomalyError, match="a day twice"):
        volume_anomalies(pl.concat([counts([1]), counts([1])]))
    for odd in ({"min_days": 1}, {"min_days": 9, "window_days": 8}, {"max_z": 0.0}):
        with pytest.raises(AnomalyError, match="wanted 2 <= min"):
            volume_anomalies(counts([1]), **odd)


def test_columns_that_come_go_and_change_are_named() -> None:
    before = widest_kinds([{"open": "integer", "volume": "decimal"}, {"open": "decimal", "volume": "empty"}])
    drift = schema_drift(before, {"open": "text", "turnover": "decimal", "volume": "empty"})
    assert (drift.added, drift.removed, drift.retyped) == (("turnover",), (), {"open": ("decimal", "text")})
    assert not drift.is_none
    assert schema_drift(before, before).is_none
    assert schema_drift(before, {"open": "decimal"}).lines() == ["column volume is gone"]


@pytest.mark.parametrize(
    ("values", "kind"),
    [
        (["1", "-2", "+3"], "integer"),
        (["1", "2.5", "1e-8", ".5"], "decimal"),
        (["True", "false"], "boolean"),
        (["2024-01-01", "2024-01-01 10:00:00+01:00"], "time"),
        (["1", "n/a"], "text"),
        (["1,000"], "text"),
        ([None, ""], "empty"),
    ],
)
def test_kinds_of_text(values: list[str | None], kind: str) -> None:
    assert text_kinds(pl.DataFrame({"x": values}, schema={"x": pl.String})) == {"x": kind}


samples = st.lists(st.floats(-1e6, 1e6) | st.sampled_from([0.0, 1.0]), min_size=1, max_size=60).map(np.array)


@settings(deadline=None)
@given(samples, samples)
def test_the_distance_is_that_of_scipy(one: np.ndarray, other: np.ndarray) -> None:
    assert ks_distance(one, other) == pytest.approx(stats.ks_2samp(one, other, method="asymp").statistic, abs=1e-12)
    assert ks_distance(other, one) == pytest.approx(ks_distance(one, other), abs=1e-12)


def test_the_critical_distance_is_exceeded_as_often_as_it_says() -> None:
    rng = np.random.default_rng(11)
    bound = ks_critical(400, 300, alpha=0.05)
    exceeded = [ks_distance(rng.normal(size=400), rng.normal(size=300)) > bound for _ in range(2_000)]
    assert 0.03 < np.mean(exceeded) < 0.06


@settings(deadline=None)
@given(samples, samples)
def test_the_index_is_zero_for_a_sample_with_itself_and_never_negative(one: np.ndarray, other: np.ndarray) -> None:
    assert population_stability(one, one) == 0.0
    assert population_stability(one, other) >= 0.0


def test_the_index_by_hand() -> None:
    reference = np.repeat([1.0, 2.0], 50)
    current = np.repeat([1.0, 2.0], [80, 20])
    # Two values: shares 0.5 and 0.5 against 0.8 and 0.2.
    wanted = 0.3 * np.log(1.6) + -0.3 * np.log(0.4)
    assert population_stability(reference, current, bins=2) == pytest.approx(wanted)
    constant = population_stability(np.full(100, 7.0), np.full(100, 6.0))
    assert constant == pytest.approx(2 * (1 - 1e-4) * np.log(1e4))


def frames() -> tuple[pl.DataFrame, pl.DataFrame]:
    rng = np.random.default_rng(5)
    before, now = rng.normal(size=2_000), rng.normal(size=500)
    reference = pl.DataFrame({"same": before, "moved": before, "wider": before, "few": [1.0] * 10 + [None] * 1_990})
    current = pl.DataFrame({"same": now, "moved": now + 1.0, "wider": now * 3.0, "few": [2.0] * 500})
    holes = pl.when(pl.int_range(pl.len()) % 4 == 0).then(float("nan")).otherwise(pl.col("same"))
    return reference, current.with_columns(holes.alias("same"))


def test_drift_names_what_moved_and_says_how_much_is_missing() -> None:
    drift = feature_drift(*frames())
    assert dict(drift.select("feature", "is_drift").iter_rows()) == {
        "same": False,
        "moved": True,
        "wider": True,
        "few": False,
    }
    same, moved, _, few = drift.rows(named=True)
    assert (same["current_values"], same["current_missing"], same["reference_missing"]) == (375, 0.25, 0.0)
    assert moved["psi"] > PSI_DRIFT
    assert moved["ks"] > moved["ks_critical"]
    assert (few["psi"], few["reference_values"]) == (None, 10)
    with pytest.raises(AnomalyError, match=r"\['gone'\] are not in both"):
        feature_drift(frames()[0].with_columns(gone=pl.lit(1.0)), frames()[1])


def test_a_feature_whose_values_are_gone_is_lost_however_few_are_left() -> None:
    reference = pl.DataFrame({"thin": np.arange(1_000.0), "dead": np.arange(1_000.0)})
    rest = pl.int_range(pl.len())
    current = reference.select(thin=pl.when(rest % 4 > 1).then(pl.col("thin")), dead=pl.lit(None, dtype=pl.Float64))
    drift = feature_drift(reference, current)
    assert drift.select("feature", "is_drift", "is_lost").rows() == [("thin", False, True), ("dead", False, True)]
    assert feature_drift(current, reference)["is_lost"].to_list() == [False, False]


def test_freshness_has_a_bound_and_a_future_row_is_an_error() -> None:
    assert staleness(10, 12, within_ns=2) == (2, False)
    assert staleness(10, 13, within_ns=2) == (3, True)
    with pytest.raises(AnomalyError, match="in the future"):
        staleness(10**18, 10**9, within_ns=10**9)


def test_pictures_are_small_differ_by_content_and_are_the_same_each_time() -> None:
    reference, current = frames()
    drift = feature_drift(reference, current)
    usual, odd = volume_anomalies(counts([96] * 60)), volume_anomalies(counts([96] * 59 + [3]))
    days = {FIRST + timedelta(days=step): {"a": "integer", "b": "text" if step > 5 else "time"} for step in range(9)}
    pictures = [
        volume_png(usual),
        volume_png(odd),
        schema_png(days),
        schema_png({day: {"a": "integer"} for day in days}),
        drift_png(drift, reference, current),
        drift_png(feature_drift(reference, reference), reference, reference),
    ]
    assert len(set(pictures)) == len(pictures)
    assert all(picture.startswith(b"\x89PNG") and len(picture) <= MAX_PNG_BYTES for picture in pictures)
    assert volume_png(odd) == pictures[1]
    assert schema_png(days) == pictures[2]
    assert drift_png(drift, reference, current) == pictures[4]


def test_pictures_of_much_and_of_nothing_fit() -> None:
    rng = np.random.default_rng(2)
    wide = pl.DataFrame({f"feature_with_a_long_name_{at}": rng.normal(size=300) for at in range(120)})
    moved = wide.select(pl.all() + 0.5)
    many_days = {FIRST + timedelta(days=step): {f"c{at}": "text" for at in range(80)} for step in range(900)}
    for picture in (
        drift_png(feature_drift(wide, moved), wide, moved),
        schema_png(many_days),
        volume_png(volume_anomalies(counts(rng.integers(0, 10**6, 3_000).tolist()))),
        volume_png(volume_anomalies(counts([]))),
        schema_png({}),
        drift_png(feature_drift(wide.clear(), wide.clear()), wide.clear(), wide.clear()),
    ):
        assert len(picture) <= MAX_PNG_BYTES

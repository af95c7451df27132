from __future__ import annotations

from datetime import date, timedelta
from decimal import ROUND_HALF_EVEN, Decimal, localcontext
from typing import TYPE_CHECKING

import polars as pl
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from py_rt.data.cleaning import BAR_NS, BarRules, published, quarantined, stage
from py_rt.data.imputation import Policy
from py_rt.data.schemas import CLEAN_BARS, MIN_TRADED_UNITS, QUARANTINED_BARS, REASONS, STAGED_BARS
from py_rt.data.storage import DayWindow
from py_rt.errors import DataError

if TYPE_CHECKING:
    from collections.abc import Callable

    from py_rt.data.imputation import Kind

    Maker = Callable[..., pl.DataFrame]

DAY = date(2021, 9, 27)
ALL = DayWindow(date(2021, 9, 27), date(2021, 12, 30))
RULES = BarRules()


def days(first: int, last: int) -> DayWindow:
    return DayWindow(DAY + timedelta(days=first), DAY + timedelta(days=last + 1))


def flat(time: str, price: str = "10", volume: str = "5") -> tuple[str, ...]:
    return (time, price, price, price, price, volume)


def one_reason(staged: pl.DataFrame, row: int = 2) -> str | None:
    found = staged.filter(pl.col("source_row") == row)["reason"].to_list()
    assert len(found) == 1
    reason: str | None = found[0]
    return reason


@pytest.fixture(scope="module")
def staged(bundled_rows: pl.DataFrame) -> pl.DataFrame:
    return stage(bundled_rows, RULES, ALL)


@pytest.fixture(scope="module")
def clean(staged: pl.DataFrame) -> pl.DataFrame:
    return published(staged)


# --- the bundled bars


def test_bundled_bars_become_a_full_grid(clean: pl.DataFrame) -> None:
    assert clean["ts_open"].diff().drop_nulls().unique().to_list() == [BAR_NS]
    assert clean.height == 8_928
    assert CLEAN_BARS.faults(clean) == []


def test_bundled_rows_are_conserved(bundled_rows: pl.DataFrame, staged: pl.DataFrame, clean: pl.DataFrame) -> None:
    assert STAGED_BARS.faults(staged) == []
    kept_out = quarantined(staged)
    assert QUARANTINED_BARS.faults(kept_out) == []
    rows = sorted([*clean["source_row"].drop_nulls().to_list(), *kept_out["source_row"].to_list()])
    assert rows == bundled_rows["row_number"].sort().to_list()


def test_bundled_rows_are_kept_out_for_known_reasons(staged: pl.DataFrame) -> None:
    counts = dict(quarantined(staged)["reason"].value_counts().iter_rows())
    assert counts == {"duplicate": 21, "restated": 10, "off_grid": 3, "unfinished_bar": 3}
    by_row = dict(
        staged.filter(pl.col("source_row").is_in([2851, 2882, 2883, 8721, 8722]))
        .select("source_row", "reason")
        .iter_rows()
    )
    assert by_row == {
        2851: "restated",
        2882: "unfinished_bar",
        2883: "off_grid",
        8721: "unfinished_bar",
        8722: "off_grid",
    }


def test_a_restated_bar_is_the_last_one_received(clean: pl.DataFrame) -> None:
    bar = clean.filter(pl.col("ts_open") == 1_635_342_300_000_000_000).row(0, named=True)  # 2021-10-27 13:45 UTC
    assert (bar["source_row"], bar["high"], bar["close"]) == (2915, 5_932_496_484_375, 5_905_012_500_000)


def test_cleaning_a_day_alone_equals_cleaning_all_days(bundled_rows: pl.DataFrame, staged: pl.DataFrame) -> None:
    for number in (0, 1, 30, 60, 61, 62, 63, 64, 79, 92, 93):
        window = days(number, number)
        seen = pl.col("date").is_between(window.start - timedelta(days=7), window.start)
        alone = stage(bundled_rows.filter(seen), RULES, window)
        assert alone.equals(staged.filter(window.holds("date"))), window


def test_a_day_without_any_row_is_filled_from_the_last_close(clean: pl.DataFrame) -> None:
    missing = clean.filter(pl.col("date") == date(2021, 11, 28))
    assert missing.height == 96
    assert missing["is_empty"].all()
    assert missing.select("open", "high", "low", "close").unique().rows() == [(5_430_583_593_750,) * 4]
    assert missing["volume"].sum() == 0


def test_volume_is_the_quote_volume_over_the_typical_price(bundled_rows: pl.DataFrame, clean: pl.DataFrame) -> None:
    received = bundled_rows.select("row_number", "high", "low", "close", pl.col("volume").alias("usd"))
    joined = clean.filter(~pl.col("is_empty") & ~pl.col("volume_imputed")).join(
        received, left_on="source_row", right_on="row_number", suffix="_text"
    )
    assert joined.height > 6_000
    with localcontext() as context:
        context.prec = 60
        for row in joined.sample(500, seed=1).iter_rows(named=True):
            typical = sum((Decimal(row[f"{name}_text"]) for name in ("high", "low", "close")), Decimal(0)) / 3
            wanted = (Decimal(row["usd"]) / typical * 10**8).quantize(Decimal(1), rounding=ROUND_HALF_EVEN)
            assert row["volume"] == max(int(wanted), MIN_TRADED_UNITS)


def test_prices_are_the_received_texts_exactly(bundled_rows: pl.DataFrame, clean: pl.DataFrame) -> None:
    joined = clean.filter(pl.col("source_row").is_not_null()).join(
        bundled_rows, left_on="source_row", right_on="row_number", suffix="_text"
    )
    traded = joined.filter(~pl.col("is_empty"))
    for name in ("open", "high", "low", "close"):
        texts = traded[f"{name}_text"].to_list()
        assert [Decimal(text) * 10**8 for text in texts] == [Decimal(units) for units in traded[name].to_list()]


def test_an_imputed_volume_is_the_median_of_what_was_observed_in_the_96_bars_before(clean: pl.DataFrame) -> None:
    rows = clean.select("ts_open", "volume", "volume_imputed", "is_empty").rows()
    checked = 0
    for index, (_, volume, imputed, _) in enumerate(rows):
        if not imputed:
            continue
        before = rows[max(0, index - 96) : index]
        observed = sorted(v for _, v, was_imputed, empty in before if not was_imputed and not empty)
        assert volume == observed[(len(observed) - 1) // 2]
        checked += 1
    assert checked == 2_076


# --- one reason per row


@pytest.mark.parametrize(
    ("row", "reason"),
    [
        (("soon", "1", "2", "1", "2", "5"), "unreadable_time"),
        (("2021-09-27 14:00:00", "x", "2", "1", "2", "5"), "unreadable_price"),
        (("2021-09-27 14:00:00", "1", "2", "1", "", "5"), "unreadable_price"),
        (("2021-09-27 14:00:00", "1.000000001", "2", "1", "2", "5"), "unreadable_price"),
        (("2021-09-27 14:00:00", "99999999999999", "99999999999999", "1", "2", "5"), "unreadable_price"),
        (("2021-09-27 14:00:00", "1", "2", "1", "2", "many"), "unreadable_volume"),
        (("2021-09-27 14:00:00", "1", "2", "1", "2", ""), "unreadable_volume"),
        (("2021-09-27 14:00:00", "1", "2", "1", "2", "99999999999999999999"), "unreadable_volume"),
        (("2021-09-27 14:00:00", "0", "2", "0", "2", "5"), "nonpositive_price"),
        (("2021-09-27 14:00:00", "1", "2", "-1", "2", "5"), "nonpositive_price"),
        (("2021-09-27 14:00:00", "1", "2", "1", "2", "-5"), "negative_volume"),
        (("2021-09-27 14:00:00", "1", "1.5", "1", "2", "5"), "inconsistent_prices"),
        (("2021-09-27 14:00:00", "1", "2", "1.5", "2", "5"), "inconsistent_prices"),
        (("2021-09-27 14:00:01", "1", "2", "1", "2", "5"), "off_grid"),
    ],
)
def test_a_bad_row_is_kept_out_with_its_reason_and_its_text(raw_rows: Maker, row: tuple[str, ...], reason: str) -> None:
    # The good row before it is far enough away not to look unfinished.
    staged = stage(raw_rows(flat("2021-09-27 13:30:00"), row, flat("2021-09-27 14:15:00")), RULES, days(0, 0))
    assert one_reason(staged, 3) == reason
    kept_out = quarantined(staged).row(0, named=True)
    assert tuple(kept_out[f"received_{name}"] for name in ("datetime", "open", "high", "low", "close", "volume")) == row
    assert kept_out["detail"]
    assert published(staged)["source_row"].to_list() == [2, None, None, 4]
    assert published(staged)["ts_open"].diff().drop_nulls().unique().to_list() == [BAR_NS]


def test_of_several_reasons_the_first_one_is_given(raw_rows: Maker) -> None:
    row = ("soon", "x", "0", "-1", "2", "-5")
    staged = stage(raw_rows(flat("2021-09-27 13:30:00"), row), RULES, days(0, 0))
    assert one_reason(staged, 3) == "unreadable_time"


def test_of_repeated_rows_the_last_stands(raw_rows: Maker) -> None:
    first, again = flat("2021-09-27 13:45:00", "10"), flat("2021-09-27 13:45:00", "11")
    staged = stage(raw_rows(again, first, first, again), RULES, days(0, 0))
    reasons = [one_reason(staged, row) for row in (2, 3, 4, 5)]
    assert reasons == ["duplicate", "restated", "restated", None]
    assert published(staged)["close"].to_list() == [1_100_000_000]


def test_numbers_decide_what_a_duplicate_is_not_texts(raw_rows: Maker) -> None:
    staged = stage(
        raw_rows(flat("2021-09-27 13:45:00", "10"), flat("2021-09-27T13:45:00Z", "10.000")), RULES, days(0, 0)
    )
    assert one_reason(staged, 2) == "duplicate"


def test_a_bad_row_does_not_push_out_a_good_one(raw_rows: Maker) -> None:
    bad = ("2021-09-27 13:45:00", "10", "9", "10", "10", "5")
    staged = stage(raw_rows(flat("2021-09-27 13:45:00"), bad), RULES, days(0, 0))
    assert [one_reason(staged, row) for row in (2, 3)] == [None, "inconsistent_prices"]


def test_only_the_bar_that_was_running_is_unfinished(raw_rows: Maker) -> None:
    running = stage(
        raw_rows(flat("2021-09-27 13:30:00"), flat("2021-09-27 13:45:00"), flat("2021-09-27 13:50:02")),
        RULES,
        days(0, 0),
    )
    assert [one_reason(running, row) for row in (2, 3, 4)] == [None, "unfinished_bar", "off_grid"]
    over = stage(raw_rows(flat("2021-09-27 13:45:00"), flat("2021-09-27 14:00:02")), RULES, days(0, 0))
    assert [one_reason(over, row) for row in (2, 3)] == [None, "off_grid"]


# --- the grid


def test_gaps_are_filled_between_the_first_and_the_last_bar_only(raw_rows: Maker) -> None:
    staged = stage(raw_rows(flat("2021-09-27 10:00:00", "7"), flat("2021-09-27 11:00:00", "8")), RULES, days(0, 0))
    bars = published(staged)
    assert bars.height == 5
    assert bars["close"].to_list() == [700_000_000] * 4 + [800_000_000]
    assert bars["is_empty"].to_list() == [False, True, True, True, False]
    assert bars["volume"].to_list() == [500_000_000, 0, 0, 0, 500_000_000]


def test_a_day_is_filled_to_its_end_when_the_source_reaches_beyond_it(raw_rows: Maker) -> None:
    rows = raw_rows(flat("2021-09-27 10:00:00"), source_end="2021-09-28 00:00:00")
    assert published(stage(rows, RULES, days(0, 0))).height == 56
    rows = raw_rows(flat("2021-09-27 10:00:00"), source_end="2021-09-27 23:45:00")
    assert published(stage(rows, RULES, days(0, 0))).height == 1


def test_a_gap_of_seven_days_is_filled_and_what_lies_beyond_is_not(raw_rows: Maker) -> None:
    rows = raw_rows(flat("2021-09-27 23:45:00"), flat("2021-10-09 00:00:00", "9"))
    bars = published(stage(rows, RULES, days(0, 20)))
    filled = bars.filter(pl.col("is_empty"))["date"].unique().sort().to_list()
    assert filled == [DAY + timedelta(days=number) for number in range(1, 8)]
    alone = [published(stage(_seen(rows, number), RULES, days(number, number))) for number in range(13)]
    assert pl.concat(alone).equals(bars)


def _seen(rows: pl.DataFrame, number: int) -> pl.DataFrame:
    day = DAY + timedelta(days=number)
    return rows.filter(pl.col("date").is_between(day - timedelta(days=7), day))


def test_a_window_without_any_row_is_empty(raw_rows: Maker) -> None:
    rows = raw_rows(flat("2021-09-27 10:00:00"))
    assert stage(rows.clear(), RULES, days(0, 0)).equals(STAGED_BARS.empty())
    assert stage(rows, RULES, days(40, 41)).equals(STAGED_BARS.empty())


def test_days_with_only_bad_rows_publish_nothing(raw_rows: Maker) -> None:
    staged = stage(raw_rows(flat("2021-09-27 10:00:00", "-1")), RULES, days(0, 0))
    assert published(staged).is_empty()
    assert quarantined(staged).height == 1


def test_rows_after_the_window_change_nothing(raw_rows: Maker) -> None:
    here = flat("2021-09-27 10:00:00")
    with_future = raw_rows(here, flat("2021-09-28 10:00:00"), source_end="2021-09-28 10:00:00")
    without = raw_rows(here, source_end="2021-09-28 10:00:00")
    assert stage(with_future, RULES, days(0, 0)).equals(stage(without, RULES, days(0, 0)))


# --- volumes


def test_no_volume_and_no_move_is_an_empty_bar(raw_rows: Maker) -> None:
    staged = stage(raw_rows(flat("2021-09-27 10:00:00"), flat("2021-09-27 10:15:00", volume="0")), RULES, days(0, 0))
    bar = published(staged).row(1, named=True)
    assert (bar["is_empty"], bar["volume_imputed"], bar["volume"], bar["source_row"]) == (True, False, 0, 3)


@pytest.mark.parametrize("silent", [("11", "11", "11", "11"), ("10", "12", "10", "10"), ("10", "10", "9", "10")])
def test_no_volume_in_spite_of_a_move_is_imputed(raw_rows: Maker, silent: tuple[str, ...]) -> None:
    seen = [flat(f"2021-09-27 10:{minute:02d}:00", volume=str(volume)) for minute, volume in ((0, 5), (15, 9), (30, 7))]
    staged = stage(raw_rows(*seen, ("2021-09-27 10:45:00", *silent, "0")), RULES, days(0, 0))
    bar = published(staged).row(3, named=True)
    assert (bar["is_empty"], bar["volume_imputed"], bar["volume"]) == (False, True, 700_000_000)


def test_the_lower_of_two_middle_volumes_is_taken(raw_rows: Maker) -> None:
    seen = [flat(f"2021-09-27 10:{minute:02d}:00", volume=str(volume)) for minute, volume in ((0, 5), (15, 9))]
    staged = stage(raw_rows(*seen, flat("2021-09-27 10:30:00", "11", "0")), RULES, days(0, 0))
    assert published(staged)["volume"][2] == 500_000_000


def test_without_any_observed_volume_the_least_is_imputed(raw_rows: Maker) -> None:
    bar = published(stage(raw_rows(flat("2021-09-27 10:00:00", volume="0")), RULES, days(0, 0))).row(0, named=True)
    assert (bar["volume"], bar["volume_imputed"], bar["is_empty"]) == (MIN_TRADED_UNITS, True, False)


def test_a_traded_bar_has_room_for_four_prints(raw_rows: Maker) -> None:
    rows = raw_rows(flat("2021-09-27 10:00:00", volume="0.00000001"))
    assert published(stage(rows, RULES, days(0, 0)))["volume"].to_list() == [MIN_TRADED_UNITS]


def test_a_quote_volume_becomes_base_rounded_half_to_even(raw_rows: Maker) -> None:
    rows = raw_rows(
        ("2021-09-27 10:00:00", "20000000", "20000000", "20000000", "20000000", "1.1"),  # 5.5 units
        ("2021-09-27 10:15:00", "20000000", "20000000", "20000000", "20000000", "1.3"),  # 6.5 units
        volume_unit="quote",
    )
    assert published(stage(rows, RULES, days(0, 0)))["volume"].to_list() == [6, 6]


def test_a_base_volume_that_does_not_fit_is_kept_out(raw_rows: Maker) -> None:
    row = ("2021-09-27 10:00:00", "0.00000001", "0.00000001", "0.00000001", "0.00000001", "999999999999")
    assert one_reason(stage(raw_rows(row, volume_unit="quote"), RULES, days(0, 0))) == "unreadable_volume"


# --- rules of an instrument


def test_prices_may_be_rounded_when_the_rules_say_so(raw_rows: Maker) -> None:
    rows = raw_rows(flat("2021-09-27 10:00:00", "0.14550000429153442"))
    assert published(stage(rows, RULES, days(0, 0))).is_empty()
    rounded = stage(rows, BarRules(price_rounding="half_even"), days(0, 0))
    assert published(rounded)["close"].to_list() == [14_550_000]


def test_another_bar_length_has_another_grid(raw_rows: Maker) -> None:
    rows = raw_rows(flat("2021-09-27 10:00:00"), flat("2021-09-27 10:03:00"))
    bars = published(stage(rows, BarRules(instrument="X", bar_ns=60_000_000_000), days(0, 0)))
    assert bars.height == 4
    assert (bars["ts_close"] - bars["ts_open"]).unique().to_list() == [60_000_000_000]
    assert bars["instrument"].unique().to_list() == ["X"]
    with pytest.raises(DataError, match="does not divide a day"):
        BarRules(bar_ns=7 * 60_000_000_000)


# --- any rows at all


price_texts = st.sampled_from(["1", "2", "3.5", "0", "-1", "x", "", "1e1", "1.000000001"])
time_texts = st.builds(
    lambda day, slot, shift: (
        f"2021-{9 + (26 + day) // 30:02d}-{(26 + day) % 30 + 1:02d} {slot // 4:02d}:{slot % 4 * 15:02d}:{shift:02d}"
    ),
    st.integers(0, 12),
    st.integers(0, 95),
    st.sampled_from([0, 0, 0, 7]),
)
row_texts = st.tuples(
    st.one_of(time_texts, time_texts, time_texts, st.just("soon")),
    price_texts,
    st.one_of(st.just("9"), price_texts),
    st.one_of(st.just("0.5"), price_texts),
    price_texts,
    st.sampled_from(["0", "0", "5", "0.00000001", "-2", "x", ""]),
)


@settings(max_examples=20, deadline=None)
@given(rows=st.lists(row_texts, min_size=2, max_size=40), unit=st.sampled_from(["base", "quote"]))
def test_whatever_arrives_rows_are_conserved_rules_hold_and_days_do_not_depend_on_the_run(
    raw_rows_of: Maker, rows: list[tuple[str, ...]], unit: str
) -> None:
    raw = raw_rows_of(
        ("2021-09-27 00:00:00", "1", "2", "1", "2", "5"), *rows, source_end="2021-10-08 00:00:00", volume_unit=unit
    )
    window = days(0, 12)
    staged = stage(raw, RULES, window)
    assert STAGED_BARS.faults(staged) == []
    clean, kept_out = published(staged), quarantined(staged)
    assert CLEAN_BARS.faults(clean) == []
    assert set(kept_out["reason"].to_list()) <= set(REASONS)
    assert (
        sorted([*clean["source_row"].drop_nulls().to_list(), *kept_out["source_row"].to_list()])
        == raw["row_number"].to_list()
    )
    assert clean["ts_open"].is_sorted()
    alone = [stage(_seen(raw, number), RULES, days(number, number)) for number in range(13)]
    assert published(pl.concat(alone)).equals(clean)
    assert quarantined(pl.concat(alone)).equals(kept_out)


# --- a policy for volumes


@pytest.mark.parametrize("kind", ["forward_fill", "linear", "median", "model"])
def test_a_policy_changes_imputed_volumes_only_and_a_day_alone_is_as_the_day_among_others(
    bundled_rows: pl.DataFrame, clean: pl.DataFrame, kind: Kind
) -> None:
    rules = BarRules(volume=Policy(kind, limit=30, window=96))
    whole = published(stage(bundled_rows, rules, ALL))
    assert CLEAN_BARS.faults(whole) == []
    assert whole.drop("volume").equals(clean.drop("volume"))
    imputed = clean["volume_imputed"]
    assert whole["volume"].filter(~imputed).equals(clean["volume"].filter(~imputed))
    assert not whole["volume"].filter(imputed).equals(clean["volume"].filter(imputed))
    for day in (0, 1, 17, 63):
        window = days(day, day)
        back = pl.col("date") >= window.start - timedelta(days=7)
        alone = published(stage(bundled_rows.filter(back), rules, window))
        assert alone.equals(whole.filter(window.holds("date"))), window


def test_a_volume_is_imputed_from_the_past_up_to_the_limit(raw_rows: Maker) -> None:
    rows = [flat("2021-09-27 00:00:00", "10", "8"), flat("2021-09-27 00:15:00", "11", "2")]
    rows += [flat(f"2021-09-27 0{at // 4}:{at % 4 * 15:02}:00", str(10 + at), "0") for at in range(2, 6)]
    bars = published(stage(raw_rows(*rows), BarRules(volume=Policy("forward_fill", limit=3)), days(0, 0)))
    assert bars["volume_imputed"].to_list() == [False, False, True, True, True, True]
    # The last volume, and beyond the limit the lower median of what was observed.
    assert bars["volume"].to_list() == [800_000_000, *[200_000_000] * 5]
    rows[:2] = [flat("2021-09-27 00:00:00", "10", "2"), flat("2021-09-27 00:15:00", "11", "8")]
    bars = published(stage(raw_rows(*rows), BarRules(volume=Policy("forward_fill", limit=3)), days(0, 0)))
    assert bars["volume"].to_list() == [200_000_000, *[800_000_000] * 4, 200_000_000]


def test_policies_that_cannot_be_are_refused() -> None:
    with pytest.raises(DataError, match="leave the policy out"):
        BarRules(volume=Policy("leave"))
    with pytest.raises(DataError, match="how far cleaning looks back"):
        BarRules(volume=Policy("median", window=600, limit=96))

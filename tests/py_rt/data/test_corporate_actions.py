"""Splits and dividends: factor files, known actions, and what was known when."""

from __future__ import annotations

import io
import math
import os
import zipfile
from datetime import date, timedelta
from pathlib import Path

import polars as pl
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from py_rt.data.corporate_actions import CorporateAction, CorporateActionError, CorporateActions
from py_rt.errors import SourceError

SHARED = Path(os.environ.get("PY_RT_SHARED_DATA", Path(__file__).resolve().parents[4] / "shared" / "data"))
EQUITY = SHARED / "bars_us_equity_daily_1998_2021"
STOCKNET = SHARED / "stocknet_prices_tweets" / "prices.parquet"
needs_data = pytest.mark.skipif(not EQUITY.is_dir(), reason=f"no {EQUITY}")

LAST_DAY = date(2021, 3, 31)


def factor_file(name: str) -> Path:
    return EQUITY / f"equity__usa__factor_files__{name}.csv"


def bars_of(ticker: str) -> pl.DataFrame:
    with zipfile.ZipFile(EQUITY / f"equity__usa__daily__{ticker}.zip") as archive:
        text = archive.read(archive.namelist()[0])
    names = ["time", "open", "high", "low", "close", "volume"]
    frame = pl.read_csv(io.BytesIO(text), has_header=False, new_columns=names, infer_schema=False)
    day = pl.col("time").str.slice(0, 8).str.to_date("%Y%m%d").alias("date")
    return frame.select(day, *(pl.col(name).cast(pl.Int64) for name in names[1:]))


@needs_data
@pytest.mark.parametrize(
    ("name", "splits"),
    [
        ("aapl", {date(2000, 6, 21): 2, date(2005, 2, 26): 2, date(2014, 6, 7): 7, date(2020, 8, 29): 4}),
        ("ibm", {date(1999, 5, 27): 2}),
        ("googl", {date(2014, 4, 3): 2}),
        ("fb", {}),
    ],
)
def test_known_splits_are_read_back(name: str, splits: dict[date, float]) -> None:
    table = CorporateActions.from_factor_file(factor_file(name)).table().filter(pl.col("kind") == "split")
    found = dict(table.select("effective", "amount").iter_rows())
    assert set(found) == set(splits)
    for day, ratio in splits.items():
        assert found[day] == pytest.approx(ratio, rel=1e-4)


@needs_data
def test_a_reverse_split_and_a_dividend_are_read_back() -> None:
    aig = CorporateActions.from_factor_file(factor_file("aig")).table()
    reverse = aig.filter((pl.col("kind") == "split") & (pl.col("amount") < 1)).row(0, named=True)
    assert (reverse["effective"], round(1 / reverse["amount"], 6)) == (date(2009, 7, 1), 20.0)
    aapl = CorporateActions.from_factor_file(factor_file("aapl")).table()
    paid = aapl.filter((pl.col("kind") == "dividend") & (pl.col("effective").dt.year() == 2014))["amount"].to_list()
    # Of 2014: 3.05, 3.29, and after the split 0.47, 0.47.
    assert paid == pytest.approx([3.05, 3.29, 0.47, 0.47], abs=0.02)


@needs_data
@pytest.mark.parametrize("name", ["aapl", "aig", "bac", "spy", "wm", "tfcfa", "vxx.1", "gbsn", "aaa.1"])
def test_the_whole_history_has_the_factors_of_the_file(name: str) -> None:
    rows = [line.split(",") for line in factor_file(name).read_text().split()]
    ends = [date.fromisoformat(f"{day[:4]}-{day[4:6]}-{day[6:]}") for day, *_ in rows]
    days = pl.Series([ends[0] + timedelta(days=step) for step in range((date(2021, 4, 1) - ends[0]).days)])
    found = CorporateActions.from_factor_file(factor_file(name)).factors(days, date(2021, 4, 1))
    at = 0
    for day, price_factor, split_factor in zip(days, found["price_factor"], found["split_factor"], strict=True):
        while ends[at] < day:
            at += 1
        # What the rule of the file says: the factors of the first row whose day is not before the bar's.
        assert price_factor == pytest.approx(float(rows[at][1]), rel=1e-6)
        assert split_factor == pytest.approx(float(rows[at][2]), rel=1e-6)


@needs_data
def test_raw_prices_stay_and_the_last_adjusted_one_equals_the_raw_one() -> None:
    bars = bars_of("aapl")
    actions = CorporateActions.from_factor_file(factor_file("aapl"))
    for day in (date(2014, 6, 5), date(2014, 6, 9), date(2020, 8, 28), LAST_DAY):
        adjusted = actions.adjusted(bars, day)
        assert adjusted.select(bars.columns).equals(bars.filter(pl.col("date") <= day))
        last = adjusted.row(-1, named=True)
        assert (last["date"], last["adj_close"]) == (day, float(last["close"]))
        assert last["adj_volume"] == float(last["volume"])


@needs_data
def test_adjusted_as_of_a_day_knows_nothing_of_what_came_later() -> None:
    bars, whole = bars_of("aapl"), CorporateActions.from_factor_file(factor_file("aapl"))
    day = date(2014, 6, 6)
    then = whole.adjusted(bars, day)
    # The same from a history that ends on that day: later actions and bars leave no trace, to the last bit.
    until = CorporateActions.of(action for action in whole.actions if action.effective <= day)
    assert then.equals(until.adjusted(bars.filter(pl.col("date") <= day), day))
    later = whole.adjusted(bars, date(2014, 6, 9))
    ratio = later.head(then.height)["adj_close"] / then["adj_close"]
    assert ratio.to_numpy() == pytest.approx(1 / 7, rel=1e-5)


@needs_data
@pytest.mark.parametrize(("ticker", "day"), [("aapl", date(2014, 6, 9)), ("aapl", date(2020, 8, 31))])
def test_a_split_leaves_no_jump_in_adjusted_prices(ticker: str, day: date) -> None:
    moves = CorporateActions.from_factor_file(factor_file(ticker)).moves(bars_of(ticker))
    move = moves.filter((pl.col("ex_date") == day) & (pl.col("kind") == "split")).row(0, named=True)
    assert move["raw_ratio"] < 0.3
    assert 0.95 < move["adjusted_ratio"] < 1.05


@needs_data
def test_every_split_of_the_files_is_in_the_prices() -> None:
    seen = 0
    for ticker in ("aapl", "aig", "bac", "ibm", "iwm", "qqq", "eem"):
        moves = CorporateActions.from_factor_file(factor_file(ticker)).moves(bars_of(ticker))
        splits = moves.filter(pl.col("kind") == "split")
        # The day of a split is a day of news, and 2009 was a year of it: AIG opened 13 % lower.
        assert splits["adjusted_ratio"].is_between(0.65, 1.35).all(), splits
        assert (splits["adjusted_ratio"].log().abs() < splits["raw_ratio"].log().abs()).all(), splits
        seen += splits.height
    assert seen >= 14


@needs_data
@pytest.mark.skipif(not STOCKNET.is_file(), reason=f"no {STOCKNET}")
def test_adjusted_returns_are_those_of_another_source() -> None:
    other = pl.read_parquet(STOCKNET).filter(pl.col("symbol") == "BAC").with_columns(pl.col("date").cast(pl.Date))
    ours = CorporateActions.from_factor_file(factor_file("bac")).adjusted(bars_of("bac"), LAST_DAY)
    both = ours.join(other.select("date", "adj_close", "close"), on="date", suffix="_other").sort("date")
    assert both.height > 1_200
    # The one closes with the auction, the other now and then with the last trade before it.
    same = (both["close"] / 10_000 - both["close_other"]).abs() < 1e-4
    assert same.sum() > 0.75 * both.height
    gaps = (both["adj_close"].pct_change() - both["adj_close_other"].pct_change()).abs()
    gaps = gaps.filter(same & same.shift(1)).drop_nulls()
    # Two dividends stand in the files with a factor of another last digit.
    assert (gaps < 5e-4).all()
    assert (gaps < 1e-6).sum() >= gaps.len() - 2
    whole = [both[name][-1] / both[name][0] for name in ("adj_close", "adj_close_other", "close_other")]
    assert whole[0] == pytest.approx(whole[1], rel=2e-3)
    assert whole[2] != pytest.approx(whole[1], rel=2e-2)  # without dividends it would be another number


@needs_data
def test_charts_leave_dividends_in() -> None:
    actions, bars = CorporateActions.from_factor_file(factor_file("spy")), bars_of("spy")
    splits = actions.adjusted(bars, LAST_DAY, mode="splits")
    assert (splits["adj_close"] == splits["close"].cast(pl.Float64)).all()
    assert actions.adjusted(bars, LAST_DAY)["adj_close"][0] == pytest.approx(0.6566606 * bars["close"][0], rel=1e-6)


def test_an_action_that_became_known_late_is_in_no_price_before() -> None:
    late = CorporateAction.split(date(2020, 1, 10), 2, known_on=date(2020, 1, 15))
    early = CorporateAction.split(date(2020, 1, 10), 2, known_on=date(2019, 12, 1))
    bars = pl.DataFrame({"date": [date(2020, 1, 9)], "close": [100]})
    for action, day, wanted in (
        (late, date(2020, 1, 14), 100.0),
        (late, date(2020, 1, 15), 50.0),
        (early, date(2020, 1, 9), 100.0),
        (early, date(2020, 1, 10), 50.0),
    ):
        assert CorporateActions.of([action]).adjusted(bars, day)["adj_close"].to_list() == [wanted]


FIRST = date(2020, 1, 1)
days = st.integers(0, 60).map(lambda step: FIRST + timedelta(days=step))
splits = st.builds(CorporateAction.split, days, st.sampled_from([0.05, 0.5, 1.5, 2.0, 7.0]))
dividends = st.builds(
    lambda day, share: CorporateAction.dividend(day, share, previous_close=1.0), days, st.floats(0.001, 0.9)
)
histories = st.lists(splits | dividends, max_size=8, unique_by=lambda action: (action.effective, action.kind)).map(
    CorporateActions.of
)


@settings(deadline=None)
@given(histories, st.integers(0, 60), st.integers(0, 60))
def test_terms_of_a_later_day_are_those_of_an_earlier_one_and_what_lies_between(
    history: CorporateActions, one: int, other: int
) -> None:
    earlier, later = FIRST + timedelta(days=min(one, other)), FIRST + timedelta(days=max(one, other))
    series = pl.Series([FIRST + timedelta(days=step) for step in range((earlier - FIRST).days + 1)])
    between = math.prod(action.factor for action in history.actions if earlier < action.effective <= later)
    whole = [
        history.factors(series, day).select(pl.col("price_factor") * pl.col("split_factor")) for day in (earlier, later)
    ]
    ratio = whole[1].to_series() / whole[0].to_series()
    assert ratio.to_numpy() == pytest.approx(between, rel=1e-12)
    assert whole[0].to_series()[-1] == 1.0


@settings(deadline=None)
@given(histories)
def test_worth_traded_does_not_change_with_splits(history: CorporateActions) -> None:
    bars = pl.DataFrame({"date": [FIRST + timedelta(days=step) for step in range(61)], "close": [1_000] * 61})
    bars = bars.with_columns(volume=pl.lit(500))
    adjusted = history.adjusted(bars, FIRST + timedelta(days=70), mode="splits")
    assert (adjusted["adj_close"] * adjusted["adj_volume"]).to_numpy() == pytest.approx(500_000.0)


@pytest.mark.parametrize(
    ("text", "words"),
    [
        ("", "is empty"),
        ("20200101,1,1\n20501231,1,1,0\n", "row 1: is"),
        ("20200101,1,one,1\n20501231,1,1,0\n", "row 1: is"),
        ("20200101,0,1,1\n20501231,1,1,0\n", "row 1: is"),
        ("20200101,nan,1,1\n20501231,1,1,0\n", "row 1: is"),
        ("20200102,1,1,1\n20200101,1,1,1\n20501231,1,1,0\n", "row 2: day 2020-01-01 is not after"),
        ("20200101,1,1,1\n20501231,1,2,0\n", "last row has the factors"),
    ],
)
def test_a_broken_factor_file_is_told_with_file_and_row(tmp_path: Path, text: str, words: str) -> None:
    (tmp_path / "odd.csv").write_text(text)
    with pytest.raises(SourceError, match=words):
        CorporateActions.from_factor_file(tmp_path / "odd.csv")


def test_actions_and_bars_that_cannot_be_are_refused() -> None:
    for ratio in (0.0, -2.0, 1e9, float("nan")):
        with pytest.raises(CorporateActionError, match="new shares for one"):
            CorporateAction.split(FIRST, ratio)
    for amount in (0.0, -1.0, 10.0, float("nan")):
        with pytest.raises(CorporateActionError, match="after a close of 10"):
            CorporateAction.dividend(FIRST, amount, previous_close=10.0)
    twice = CorporateAction.split(FIRST, 2)
    with pytest.raises(CorporateActionError, match="two actions of kind split on 2020-01-01"):
        CorporateActions.of([twice, twice])
    with pytest.raises(CorporateActionError, match="no column date"):
        CorporateActions().adjusted(pl.DataFrame({"close": [1]}), FIRST)
    with pytest.raises(CorporateActionError, match="a bar has no date"):
        CorporateActions().adjusted(pl.DataFrame({"date": [None]}, schema={"date": pl.Date}), FIRST)
    with pytest.raises(CorporateActionError, match="still to come"):
        CorporateActions().factors(pl.Series([FIRST + timedelta(days=1)]), FIRST)

"""Universes as of a day: failed, renamed and re-used tickers."""

from __future__ import annotations

import gzip
import io
import os
import zipfile
from datetime import date, timedelta
from pathlib import Path

import polars as pl
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from py_rt.data.securities import OPEN_END, Name, Security, SecurityId, SecurityMaster, UniverseError
from py_rt.data.universe import CrossSections, IndexMembership, Membership, read_changes
from py_rt.errors import SourceError

SHARED = Path(os.environ.get("PY_RT_SHARED_DATA", Path(__file__).resolve().parents[4] / "shared" / "data"))
EQUITY = SHARED / "bars_us_equity_daily_1998_2021"
INDEX = SHARED / "universe_sp500_pit"
COARSE = SHARED / "universe_us_coarse_201403"
needs_data = pytest.mark.skipif(not (EQUITY.is_dir() and INDEX.is_dir() and COARSE.is_dir()), reason=f"no {EQUITY}")

WASTE_MANAGEMENT = "UW.19980102"
WASHINGTON_MUTUAL = "WM.19981209"


def bars_of(ticker: str) -> pl.DataFrame:
    with zipfile.ZipFile(EQUITY / f"equity__usa__daily__{ticker}.zip") as archive:
        text = archive.read(archive.namelist()[0])
    names = ["time", "open", "high", "low", "close", "volume"]
    frame = pl.read_csv(io.BytesIO(text), has_header=False, new_columns=names)
    return frame.select(pl.col("time").str.slice(0, 8).str.to_date("%Y%m%d").alias("date"), pl.col("close") / 10_000)


@pytest.fixture(scope="module")
def mapped() -> SecurityMaster:
    return SecurityMaster.from_map_files(EQUITY.glob("*map_files*.csv"))


@pytest.fixture(scope="module")
def master(mapped: SecurityMaster) -> SecurityMaster:
    whole = mapped
    for path in sorted(EQUITY.glob("*daily__*.zip")):
        ticker = path.stem.rpartition("__")[2]
        whole = whole.with_days(ticker, bars_of(ticker)["date"], known_until=date(2021, 3, 31))
    return whole


@pytest.fixture(scope="module")
def index() -> IndexMembership:
    return IndexMembership.from_csv(INDEX / "sp500_ticker_start_end.csv")


@needs_data
def test_a_company_keeps_its_id_through_its_tickers(mapped: SecurityMaster) -> None:
    seen = []
    for day in (date(1998, 7, 16), date(1998, 7, 17), date(2009, 8, 4), date(2009, 8, 5), date(2021, 1, 4)):
        ticker = mapped.security(SecurityId.parse(WASTE_MANAGEMENT)).ticker_on(day)
        assert ticker is not None
        found = mapped.holder(ticker, day)
        assert found is not None
        assert str(found.id) == WASTE_MANAGEMENT
        seen.append(ticker)
    assert seen == ["UW", "WMI", "WMI", "WM", "WM"]


@needs_data
@pytest.mark.parametrize(
    ("ticker", "day", "wanted"),
    [
        ("fb", date(2000, 1, 3), "FB.19990929"),
        ("fb", date(2008, 1, 2), None),
        ("fb", date(2012, 5, 18), "FB.20120518"),
        ("aaa", date(2007, 5, 18), "AAA.20020522"),
        ("aaa", date(2010, 1, 4), None),
        ("aaa", date(2020, 9, 9), "AAA.20200909"),
        ("twx", date(2001, 1, 11), "TWX.19980102"),
        ("twx", date(2003, 10, 16), "AOL.19980102"),
        ("twx", date(2018, 6, 18), None),
        ("vxx", date(2019, 1, 29), "VXX.20090130"),
        ("vxx", date(2019, 5, 2), "VXXB.20180118"),
        ("goog", date(2014, 4, 2), "GOOG.20040819"),
        ("goog", date(2014, 4, 3), "GOOCV.20140327"),
        ("qqq", date(2008, 1, 2), None),
        ("qqqq", date(2008, 1, 2), "QQQ.19990310"),
    ],
)
def test_a_ticker_names_another_security_at_another_time(
    mapped: SecurityMaster, ticker: str, day: date, wanted: str | None
) -> None:
    found = mapped.holder(ticker, day)
    assert (str(found.id) if found else None) == wanted


@needs_data
def test_bars_of_a_re_used_ticker_are_told_apart(master: SecurityMaster) -> None:
    bars = master.tell_apart("wm", bars_of("wm"))
    assert bars["security_id"].null_count() == 0
    spans = {str(key[0]): (rows["date"].min(), rows["date"].max()) for key, rows in bars.group_by("security_id")}
    assert spans[WASHINGTON_MUTUAL][1] == date(2008, 9, 26)
    assert spans[WASTE_MANAGEMENT][0] == date(2009, 8, 5)
    assert set(spans) == {WASHINGTON_MUTUAL, WASTE_MANAGEMENT}
    # What a reader of tickers would take for a return of more than 1,000 %: it is nobody's.
    closes = bars.sort("date").with_columns(pl.col("close").pct_change().over("security_id").alias("ret"))
    naive = bars.sort("date")["close"].pct_change().max()
    assert isinstance(naive, float)
    assert naive > 10
    assert closes.filter(pl.col("date") == date(2009, 8, 5))["ret"].to_list() == [None]


@needs_data
def test_every_bar_of_every_file_has_one_owner_who_was_listed(master: SecurityMaster) -> None:
    for path in sorted(EQUITY.glob("*daily__*.zip")):
        ticker = path.stem.rpartition("__")[2]
        bars = master.tell_apart(ticker, bars_of(ticker))
        assert bars["security_id"].null_count() == 0, ticker
        for (text,), rows in bars.group_by("security_id"):
            owner = master.security(SecurityId.parse(str(text)))
            assert owner.first_day <= rows["date"].min(), text  # type: ignore[operator]
            assert rows["date"].max() <= owner.last_day, text  # type: ignore[operator]


@needs_data
def test_no_security_is_a_member_twice(index: IndexMembership, master: SecurityMaster) -> None:
    for day in (
        date(1999, 1, 4),
        date(2005, 1, 3),
        date(2012, 1, 3),
        date(2014, 6, 2),
        date(2016, 1, 4),
        date(2021, 1, 4),
    ):
        ids = index.members(day, master)["security_id"].drop_nulls()
        assert ids.is_unique().all(), day
        assert ids.len() >= 5


@needs_data
def test_a_failed_company_that_only_its_bars_know_ends_with_them(master: SecurityMaster) -> None:
    failed = master.security(SecurityId.parse(WASHINGTON_MUTUAL))
    assert (failed.is_delisted, failed.last_day) == (True, date(2008, 9, 26))
    on_the_last_day = {str(security.id) for security in master.listed(date(2008, 9, 26))}
    assert {WASHINGTON_MUTUAL, WASTE_MANAGEMENT} <= on_the_last_day
    assert WASHINGTON_MUTUAL not in {str(security.id) for security in master.listed(date(2008, 9, 27))}


@needs_data
def test_who_is_listed_on_a_day_failed_later_or_did_not_and_never_came_later(master: SecurityMaster) -> None:
    day = date(2004, 6, 1)
    listed = {str(security.id): security for security in master.listed(day)}
    later_gone = {key for key, security in listed.items() if security.is_delisted}
    assert {"AOL.19980102", "AAA.20020522", WASHINGTON_MUTUAL} <= later_gone
    assert not {"FB.20120518", "GOOG.20040819", "FB.19990929", "TWX.19980102"} & set(listed)
    assert all(security.first_day <= day <= security.last_day for security in listed.values())


@needs_data
def test_the_index_of_a_past_day_holds_the_names_that_failed_and_not_those_that_came(index: IndexMembership) -> None:
    then = set(index.tickers(date(2008, 9, 12)))
    assert {"LEHMQ", "WAMUQ", "AIG"} <= then
    assert not {"FB", "META", "TSLA", "AVGO"} & then
    assert "LEHMQ" not in index.tickers(date(2008, 9, 17))
    assert "WAMUQ" not in index.tickers(date(2008, 9, 30))
    assert "ENRNQ" in index.tickers(date(2001, 11, 29))
    today = set(index.tickers(index.known_until))
    # A universe of today's names, asked for 2008, would leave out every third that was there.
    assert len(then - today) > 150
    assert 490 <= len(then) <= 510


@needs_data
def test_the_two_lists_of_the_index_agree_but_for_few_named_changes(index: IndexMembership) -> None:
    told = read_changes(INDEX / "sp500_changes_since_2019.csv")
    unknown = index.unknown_changes(told)
    assert told.height > 150
    # The first list has it ten days later: sources disagree, and it shows.
    assert (date(2022, 1, 10), "WTW", True) in unknown.rows()
    assert unknown.height / told.height < 0.05
    assert index.unknown_changes(index.changes()).is_empty()


@needs_data
@pytest.mark.parametrize(
    ("day", "listed_as", "security_id", "ticker"),
    [
        (date(2005, 1, 3), "WM", WASTE_MANAGEMENT, "WMI"),
        (date(2012, 1, 3), "WM", WASTE_MANAGEMENT, "WM"),
        (date(2010, 1, 4), "GOOGL", "GOOG.20040819", "GOOG"),
        (date(2010, 1, 4), "FOXA", "NWSA.20041112", "NWSA"),
        (date(2020, 1, 2), "FOXA", None, None),
        (date(2016, 1, 4), "FB", "FB.20120518", "FB"),
        (date(1998, 3, 2), "BAC", "NB.19980102", "NB"),
        (date(2008, 1, 2), "WAMUQ", None, None),
    ],
)
def test_a_member_is_who_carried_the_listed_ticker_last(
    index: IndexMembership, master: SecurityMaster, day: date, listed_as: str, security_id: str | None, ticker: str
) -> None:
    members = index.members(day, master)
    assert members.height == len(index.tickers(day))
    row = members.filter(pl.col("listed_as") == listed_as).row(0, named=True)
    assert (row["security_id"], row["ticker"]) == (security_id, ticker)


@needs_data
def test_members_of_many_days_are_those_of_each(index: IndexMembership) -> None:
    days = [date(2008, 9, 12) + timedelta(days=step) for step in range(0, 4_000, 97)]
    table = index.over(days)
    for day in days:
        assert table.filter(pl.col("date") == day)["listed_as"].to_list() == index.tickers(day)


@needs_data
def test_a_day_that_the_list_does_not_know_is_refused(index: IndexMembership) -> None:
    for day in (date(1995, 12, 29), index.known_until + timedelta(days=1)):
        with pytest.raises(UniverseError, match="known from 1996-01-02"):
            index.tickers(day)
        with pytest.raises(UniverseError, match="is no empty one"):
            index.over([date(2008, 1, 2), day])


@needs_data
def test_ids_of_the_cross_sections_are_those_of_the_map_files(mapped: SecurityMaster) -> None:
    sections = CrossSections.from_folder(COARSE)
    assert sections.days == tuple(date(2014, 3, day) for day in (24, 25, 26, 27, 28))
    shared = 0
    for day in sections.days:
        rows = sections.on(day)
        assert rows.height > 7_000
        for security in mapped.securities:
            found = rows.filter(pl.col("security_id") == str(security.id))
            if found.height:
                assert found["ticker"][0].replace(".", "") == (security.ticker_on(day) or "").replace(".", "")
                shared += 1
    assert shared >= 15 * 5
    # Renamed before and after: the id is older than the ticker.
    rows = sections.on(date(2014, 3, 24))
    named = dict(rows.select("security_id", "ticker").iter_rows())
    assert (named["AOL.19980102"], named["AOL.20091210"], named[WASTE_MANAGEMENT]) == ("TWX", "AOL", "WM")
    assert rows.filter(pl.col("security_id").str.starts_with("META")).is_empty()


@needs_data
def test_members_of_a_day_traded_on_it_but_for_those_listed_by_a_later_name(index: IndexMembership) -> None:
    sections = CrossSections.from_folder(COARSE)
    day = sections.days[0]
    members, traded = set(index.tickers(day)), set(sections.on(day)["ticker"])
    assert 490 <= len(members) <= 510
    # The list calls them by what they were called last: SPGI was MHFI then.
    assert "SPGI" in members - traded
    assert len(members - traded) < 25
    # Today's members that traded then and were in no index yet are not among them, those that left since are.
    today = set(index.tickers(index.known_until))
    assert len((today - members) & traded) > 100
    assert len(members - today) > 150


@needs_data
def test_the_same_trading_under_two_ids_is_shown() -> None:
    sections = CrossSections.from_folder(COARSE)
    for day in sections.days:
        shared = sections.shared_tickers(day)
        assert shared["ticker"].n_unique() == 7
        assert (
            (shared.group_by("ticker").agg(pl.col("close", "volume").n_unique()).drop("ticker") == 1)
            .min_horizontal()
            .all()
        )


@needs_data
def test_a_cross_section_keeps_what_trades_enough() -> None:
    sections = CrossSections.from_folder(COARSE)
    day = sections.days[0]
    rows = sections.on(day, min_dollar_volume=1e9)
    assert 0 < rows.height < 100
    assert (rows["dollar_volume"] >= 1e9).all()
    with pytest.raises(UniverseError, match="no cross-section of 2014-03-23"):
        sections.on(date(2014, 3, 23))


def write(path: Path, text: str) -> Path:
    path.write_text(text)
    return path


@pytest.mark.parametrize(
    ("text", "words"),
    [
        ("", "is empty"),
        ("<html></html>", "row 1: is"),
        ("20200101,a,Q\n2020010,a,Q\n", "row 2: is"),
        ("20200101,a,Q\n20190101,a,Q\n", "row 2: day 2019-01-01 is before the row above"),
        ("20200101,a,Q,x\n", "wanted YYYYMMDD,ticker"),
        ("20200101,,Q\n", "wanted YYYYMMDD,ticker"),
        ("20209901,a\n", "wanted YYYYMMDD,ticker"),
    ],
)
def test_a_broken_map_file_is_told_with_file_and_row(tmp_path: Path, text: str, words: str) -> None:
    with pytest.raises(SourceError, match=words) as caught:
        SecurityMaster.from_map_files([write(tmp_path / "odd.csv", text)])
    assert "odd.csv" in str(caught.value)


@pytest.mark.parametrize(
    ("text", "words"),
    [
        ("ticker,from,to\nA,2000-01-01,\n", "header is"),
        ("ticker,start_date,end_date\nA,2000-13-01,\n", "row 2: is"),
        ("ticker,start_date,end_date\nA,2000-01-01,soon\n", "row 2: is"),
        ("ticker,start_date,end_date\nA,2000-01-01\n", "row 2: is"),
    ],
)
def test_a_broken_list_of_members_is_told_with_file_and_row(tmp_path: Path, text: str, words: str) -> None:
    with pytest.raises(SourceError, match=words):
        IndexMembership.from_csv(write(tmp_path / "odd.csv", text))


@pytest.mark.parametrize(
    ("text", "words"),
    [
        ("date,add\n2020-01-01,A\n", "header is"),
        ("date,add,remove\n2020-01-01,A\n", "row 2: is"),
        ("date,add,remove\n2020-01-32,A,B\n", "row 2: is"),
    ],
)
def test_a_broken_list_of_changes_is_told_with_file_and_row(tmp_path: Path, text: str, words: str) -> None:
    with pytest.raises(SourceError, match=words):
        read_changes(write(tmp_path / "odd.csv", text))


@pytest.mark.parametrize(
    ("stays", "words"),
    [
        ([], "without members"),
        ([("A", date(2000, 1, 2), date(2000, 1, 2))], "ends on"),
        ([("A", date(2000, 1, 1), None), ("A", date(2001, 1, 1), None)], "overlaps"),
    ],
)
def test_stays_that_contradict_each_other_are_refused(stays: list[tuple[str, date, date | None]], words: str) -> None:
    with pytest.raises(UniverseError, match=words):
        IndexMembership(Membership(*stay) for stay in stays)


@pytest.mark.parametrize(
    ("rows", "words"),
    [
        ("", "row 1: there is no member below the header"),
        ("A,2002-01-01,2001-01-01\n", "row 2: A: a stay from 2002-01-01 ends on 2001-01-01"),
        ("A,2001-06-01,\nB,2001-01-01,\nA,2001-01-01,2002-01-01\n", "row 4: A: the stay .* from 2001-06-01 in row 2"),
        ("A,2001-01-01,\nA,2001-01-01,\n", "row 3: A: the stay from 2001-01-01 overlaps that from 2001-01-01 in row 2"),
    ],
)
def test_a_list_of_stays_that_contradict_each_other_is_told_with_file_and_row(
    tmp_path: Path, rows: str, words: str
) -> None:
    path = write(tmp_path / "odd.csv", "ticker,start_date,end_date\n" + rows)
    with pytest.raises(UniverseError, match=words) as caught:
        IndexMembership.from_csv(path)
    assert str(path) in str(caught.value)


def test_stays_of_one_ticker_may_touch_in_any_order(tmp_path: Path) -> None:
    rows = "A,2003-01-01,\nA,2001-01-01,2002-01-01\nA,2002-01-01,2003-01-01\n"
    index = IndexMembership.from_csv(write(tmp_path / "list.csv", "ticker,start_date,end_date\n" + rows))
    assert [stay.start.year for stay in index.stays] == [2001, 2002, 2003]


def test_two_map_files_of_one_security_are_both_named(tmp_path: Path) -> None:
    paths = [write(tmp_path / name, "19980102,a\n20501231,a\n") for name in ("a.csv", "b.csv")]
    with pytest.raises(UniverseError, match=r"b\.csv: row 1: tells of security A\.19980102 as .*a\.csv does"):
        SecurityMaster.from_map_files(paths)


@pytest.mark.parametrize(
    ("row", "words"),
    [
        ("A RPTMYV3VC57P,A,1,2,3,True,1", "has 7 fields"),
        ("A RPTMYV3VC57P,A,one,2,3,True,1,1", "could not convert"),
        ("A,A,1,2,3,True,1,1", "no id of an equity"),
        ("A RPTMYV3VC57P,A,1,2,3,yes,1,1", "has_fundamentals is 'yes'"),
        ("A RPTMYV3VC57P,A,1,2,nan,True,1,1", "dollar_volume is 'nan'; allowed are finite numbers from 0 on"),
        ("A RPTMYV3VC57P,A,1,2,inf,True,1,1", "dollar_volume is 'inf'"),
        ("A RPTMYV3VC57P,A,1,-2,3,True,1,1", "volume is '-2'"),
        ("A RPTMYV3VC57P,A,-1,2,3,True,1,1", "close is '-1'"),
        ("A RPTMYV3VC57P,A,1,2,3,True,1,nan", "split_factor is 'nan'"),
    ],
)
def test_a_broken_cross_section_is_told_with_file_and_row(tmp_path: Path, row: str, words: str) -> None:
    good = "AA R735QTJ8XC9X,AA,12.01,28620078,343727136,False,0.5373942,3.0003\n"
    (tmp_path / "20200102.csv.gz").write_bytes(gzip.compress((good + row + "\n").encode()))
    with pytest.raises(SourceError, match=words) as caught:
        CrossSections.from_folder(tmp_path).on(date(2020, 1, 2))
    assert "20200102.csv.gz: row 2" in str(caught.value)


def test_a_truncated_cross_section_is_told(tmp_path: Path) -> None:
    (tmp_path / "20200102.csv.gz").write_bytes(gzip.compress(b"AA R735QTJ8XC9X,AA,12.01\n" * 100)[:-9])
    with pytest.raises(SourceError, match="cannot be read"):
        CrossSections.from_folder(tmp_path).on(date(2020, 1, 2))
    with pytest.raises(UniverseError, match="no daily cross-sections"):
        CrossSections.from_folder(tmp_path / "none")


def security(ticker: str, first: date, last: date = OPEN_END) -> Security:
    return Security(SecurityId(ticker, first), (Name(ticker, first, last),))


def test_one_ticker_of_two_at_a_time_is_refused_by_name_and_given_by_id() -> None:
    one, two = security("A", date(2000, 1, 1)), security("A", date(2001, 1, 1))
    master = SecurityMaster([one, two])
    assert master.holder("a", date(2000, 6, 1)) == one
    with pytest.raises(UniverseError, match=r"several securities on 2001-06-01: A\.20000101, A\.20010101"):
        master.holder("A", date(2001, 6, 1))
    assert master.security(two.id) == two
    with pytest.raises(UniverseError, match="given twice"):
        SecurityMaster([one, one])
    with pytest.raises(UniverseError, match="no security has the id"):
        master.security(SecurityId("B", date(2000, 1, 1)))


@pytest.mark.parametrize("text", ["", "A", "A.2020", ".20200101", "A.20201301"])
def test_what_is_no_id_is_refused(text: str) -> None:
    with pytest.raises(UniverseError, match="no security id"):
        SecurityId.parse(text)


FIRST = date(2000, 1, 1)
spans = st.lists(st.tuples(st.sampled_from("ABC"), st.integers(0, 80), st.integers(0, 40)), min_size=1, max_size=8).map(
    lambda items: {
        (ticker, start): security(ticker, FIRST + timedelta(days=start), FIRST + timedelta(days=start + length))
        for ticker, start, length in items
    }
)


@settings(deadline=None)
@given(spans, st.integers(0, 120))
def test_listed_means_between_first_and_last_day(made: dict[tuple[str, int], Security], offset: int) -> None:
    day = FIRST + timedelta(days=offset)
    listed = SecurityMaster(made.values()).listed(day)
    assert set(listed) == {item for item in made.values() if item.first_day <= day <= item.last_day}


@settings(deadline=None)
@given(st.lists(st.integers(0, 120), min_size=1, max_size=60), st.integers(0, 100), st.integers(0, 30))
def test_every_day_of_a_file_has_exactly_one_owner(offsets: list[int], start: int, length: int) -> None:
    known = security("A", FIRST + timedelta(days=start), FIRST + timedelta(days=start + length))
    days = [FIRST + timedelta(days=offset) for offset in offsets]
    bars = SecurityMaster([known]).with_days("A", days).tell_apart("A", pl.DataFrame({"date": days}))
    assert bars["security_id"].null_count() == 0
    inside = bars.filter(pl.col("date").is_between(known.first_day, known.last_day))["security_id"]
    assert (inside == str(known.id)).all()
    outside = bars.filter(~pl.col("date").is_between(known.first_day, known.last_day))["security_id"]
    assert str(known.id) not in outside


@settings(deadline=None)
@given(
    st.lists(st.tuples(st.sampled_from("ABC"), st.integers(0, 60), st.integers(0, 25)), max_size=6),
    st.lists(st.tuples(st.sampled_from("abcD"), st.integers(0, 90)), min_size=1, max_size=30),
)
def test_rows_of_a_whole_market_are_told_apart_as_one_by_one(
    spans: list[tuple[str, int, int]], rows: list[tuple[str, int]]
) -> None:
    made = {
        (ticker, start): security(ticker, FIRST + timedelta(days=start), FIRST + timedelta(days=start + length))
        for ticker, start, length in spans
    }
    master = SecurityMaster(made.values())
    frame = pl.DataFrame(
        [(ticker, FIRST + timedelta(days=offset)) for ticker, offset in rows],
        schema={"symbol": pl.String, "date": pl.Date},
        orient="row",
    )
    wanted: list[str | None] = []
    for ticker, day in frame.iter_rows():
        carriers = [item for item in made.values() if item.id.ticker == ticker.upper() and item.ticker_on(day)]
        if len(carriers) > 1:
            with pytest.raises(UniverseError, match="several securities"):
                master.identified(frame, "symbol")
            return
        wanted.append(str(carriers[0].id) if carriers else None)
    identified = master.identified(frame, "symbol")
    assert identified["security_id"].to_list() == wanted
    assert identified.select("symbol", "date").equals(frame)


def test_rows_without_a_ticker_are_refused() -> None:
    with pytest.raises(UniverseError, match=r"lack the columns \['ticker'\]"):
        SecurityMaster([]).identified(pl.DataFrame({"date": [FIRST]}))

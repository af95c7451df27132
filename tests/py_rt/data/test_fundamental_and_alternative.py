from __future__ import annotations

import csv
import gzip
import json
import os
from collections import Counter
from datetime import UTC, date, datetime
from pathlib import Path
from zoneinfo import ZoneInfo

import polars as pl
import pytest

from py_rt.data.ingestion.alternative import TEXTS, read_texts
from py_rt.data.ingestion.catalog import source_of
from py_rt.data.ingestion.definition import read_definition
from py_rt.data.ingestion.fundamental import METRICS, REPORTS, facts, fundamentals_as_of, read_reports
from py_rt.data.ingestion.ingest import ingest
from py_rt.data.ingestion.received import Received
from py_rt.data.point_in_time import as_of, count_known
from py_rt.data.storage import Lake, scan
from py_rt.data.timestamps import NS_PER_DAY
from py_rt.errors import SourceError

SHARED = Path(os.environ.get("PY_RT_SHARED_DATA", Path(__file__).resolve().parents[4] / "shared" / "data"))
FUNDAMENTALS = SHARED / "fundamentals_prices_us_2015_2017"
STOCKNET = SHARED / "stocknet_prices_tweets"
needs_shared = pytest.mark.skipif(not FUNDAMENTALS.is_dir(), reason=f"recorded market data not found at {SHARED}")

HEADER = "collected,symbol,end_date,amend,period_focus,fiscal_year,doc_type," + ",".join(METRICS) + "\n"


def report(collected: str, end: str, eps: str, *, symbol: str = "ACME", focus: str = "Q1") -> str:
    values = [eps if name == "eps_basic" else "" for name in METRICS]
    return ",".join((collected, symbol, end, "False", focus, "2015", "10-Q", *values)) + "\n"


def at(day: str, hour: int = 12, minute: int = 0) -> int:
    moment = datetime.fromisoformat(day).replace(hour=hour, minute=minute, tzinfo=ZoneInfo("America/New_York"))
    return int(moment.timestamp()) * 10**9


@needs_shared
def test_every_report_of_the_archive_is_read_or_named() -> None:
    path = FUNDAMENTALS / "reports.csv.gz"
    found = read_reports(path)
    lines = list(csv.reader(gzip.decompress(path.read_bytes()).decode().splitlines()))[1:]
    assert found.rows.height + found.kept_out.height == len(lines)
    assert REPORTS.faults(found.rows) == []
    assert set(found.kept_out["reason"].unique()) <= {"no symbol", "known before its period"}
    # Versions are counted as the archive holds them.
    kept = set(found.kept_out["row_number"].to_list())
    keys = Counter((line[1], line[2], line[4], line[6]) for number, line in enumerate(lines, 2) if number not in kept)
    assert sum(count > 1 for count in keys.values()) == (
        found.rows.filter((pl.col("version") == 1) & (pl.col("versions") > 1)).height
    )
    assert found.rows["versions"].max() == max(keys.values())
    # Collected before the open, in New York: 13:30 UTC in summer, 14:30 in winter.
    opens = pl.from_epoch(found.rows["ts_known"], "ns").dt.strftime("%H:%M").unique().sort().to_list()
    assert opens == ["13:30", "14:30"]


@needs_shared
def test_real_prices_never_see_a_report_before_its_day() -> None:
    reports = read_reports(FUNDAMENTALS / "reports.csv.gz").rows
    prices = pl.read_parquet(FUNDAMENTALS / "prices_sp500_era.parquet").select("symbol", "date").cast({"date": pl.Date})
    close = pl.col("date").cast(pl.Datetime("ns")).dt.offset_by("16h").dt.replace_time_zone("America/New_York")
    decisions = prices.with_columns(close.dt.epoch("ns").alias("ts")).rename({"date": "day"})
    joined = fundamentals_as_of(decisions, reports, ["eps_basic", "revenues"], max_age_ns=200 * NS_PER_DAY)
    assert joined.height == prices.height
    used = joined.drop_nulls("ts_known")
    assert used.height > prices.height // 2
    assert used.filter(pl.col("ts_known") > pl.col("ts")).is_empty()
    assert used.filter(pl.col("age_ns") > 200 * NS_PER_DAY).is_empty()
    # One row by hand, against the file itself.
    sample = used.sort("symbol", "ts").row(-1, named=True)
    day = datetime.fromtimestamp(sample["ts"] // 10**9, UTC).date()
    mine = reports.filter((pl.col("symbol") == sample["symbol"]) & (pl.col("date") <= day)).sort(
        "period_end", "ts_known", "version"
    )
    assert mine.row(-1, named=True)["eps_basic"] == sample["eps_basic"]
    # A join by the period's end would have used reports weeks before anybody could read them.
    early = used.filter(pl.col("period_end") > pl.col("day"))
    assert early.is_empty()


ARCHIVE = """
kind = "files"
description = "10-Q and 10-K facts"
partition = "key"
[options]
folder = "{folder}"
pattern = "{{key}}.csv.gz"
format = "csv"
packing = "gzip"
[[column]]
name = "collected"
type = "date"
[[column]]
name = "symbol"
[[column]]
name = "period_end"
from = "end_date"
type = "date"
[[column]]
name = "eps_basic"
type = "number"
nullable = true
[known]
column = "collected"
"""


@needs_shared
def test_an_ingested_archive_is_joined_by_what_was_known(tmp_path: Path) -> None:
    """A source without a line of code: landed, published, joined; nothing is used on the day it was collected."""
    (tmp_path / "archive.toml").write_text(ARCHIVE.format(folder=FUNDAMENTALS))
    source = source_of(read_definition(tmp_path / "archive.toml"))
    lake = Lake(str(tmp_path / "lake"))
    done = ingest(source, None, Received(tmp_path / "landing", "archive"), lake, lambda: at("2020-01-01"))
    assert [step.partition for step in done.steps] == ["reports"]
    table = scan(lake.uri("raw", "archive")).collect()
    reports = read_reports(FUNDAMENTALS / "reports.csv.gz")
    assert table.height == reports.rows.height + reports.kept_out.height
    facts_known = table.select("symbol", "period_end", "collected", "eps_basic", "ts_known", "row_number")
    days = pl.date_range(date(2015, 6, 1), date(2016, 6, 1), "1mo", eager=True).alias("day")
    decisions = pl.DataFrame({"symbol": ["AKER", "ALDX"]}).join(days.to_frame(), how="cross")
    decisions = decisions.with_columns(pl.col("day").cast(pl.Datetime("ns")).dt.epoch("ns").alias("ts"))
    joined = as_of(decisions, facts_known, at="ts", by=["symbol"], period="period_end", version="row_number")
    for row in joined.iter_rows(named=True):
        mine = facts_known.filter((pl.col("symbol") == row["symbol"]) & (pl.col("collected") < row["day"]))
        best = mine.sort("period_end", "ts_known", "row_number").tail(1)
        assert row["eps_basic"] == (best["eps_basic"][0] if best.height else None)
    assert joined["eps_basic"].drop_nulls().len() > 10


def test_a_restated_report_is_seen_from_its_day_on_and_the_first_before(tmp_path: Path) -> None:
    path = tmp_path / "reports.csv"
    lines = report("20150401", "2015-02-28", "1.0") + report("20150501", "2015-02-28", "0.8")
    path.write_text(HEADER + lines + report("20150601", "2015-05-31", "1.2", focus="Q2"))
    rows = read_reports(path).rows
    assert rows.select("version", "versions").rows() == [(1, 2), (2, 2), (1, 1)]
    times = [at("2015-04-01", 9), at("2015-04-01", 9, 30), at("2015-05-02"), at("2015-07-01"), at("2016-07-01")]
    decisions = pl.DataFrame({"symbol": ["ACME"] * 5, "ts": times})
    joined = fundamentals_as_of(decisions, rows, ["eps_basic"], max_age_ns=200 * NS_PER_DAY)
    assert joined["eps_basic"].to_list() == [None, 1.0, 0.8, 1.2, None]
    assert facts(rows)["metric"].unique().to_list() == ["eps_basic"]
    assert facts(rows).height == 3


@pytest.mark.parametrize(
    ("line", "words"),
    [
        (report("soon", "2015-02-28", "1"), "row 2: column date: 'soon' is no date"),
        (report("20150401", "2015-02-28", "dear"), "row 2: column eps_basic: 'dear' is no number"),
        (HEADER, "row 2: is the header again"),
        ("20150401,ACME\n", "row 2: has 2 fields"),
    ],
)
def test_a_report_that_cannot_be_read_is_named(tmp_path: Path, line: str, words: str) -> None:
    (tmp_path / "reports.csv").write_text(HEADER + line)
    with pytest.raises(SourceError) as caught:
        read_reports(tmp_path / "reports.csv")
    assert words in str(caught.value)


def test_a_report_from_before_its_period_is_kept_out_with_its_reason(tmp_path: Path) -> None:
    (tmp_path / "reports.csv").write_text(HEADER + report("20150101", "2015-02-28", "1"))
    found = read_reports(tmp_path / "reports.csv")
    assert found.rows.is_empty()
    assert found.kept_out["reason"].to_list() == ["known before its period"]


@needs_shared
def test_every_tweet_is_read_with_the_time_it_was_sent() -> None:
    texts = read_texts(STOCKNET / "tweets.jsonl.zst")
    assert texts.height == 69_228
    assert TEXTS.faults(texts) == []
    assert texts["date"].min() == date(2013, 12, 31) or texts["date"].min() >= date(2014, 1, 1)  # type: ignore[operator]
    first = texts.row(0, named=True)
    assert (first["symbol"], first["ts_known"]) == ("ABB", 1_392_145_129 * 10**9)
    assert first["text"].startswith("after a strong run ,")
    repeats = texts.filter("is_repeat")
    assert 0 < repeats.height < texts.height // 2
    # Decisions at the close of each day know the texts of the day before it.
    day = int(datetime(2015, 7, 1, 20, tzinfo=UTC).timestamp()) * 10**9
    decisions = pl.DataFrame({"symbol": ["AAPL", "FB", "FB"], "ts": [day, day, day + NS_PER_DAY]})
    counts = count_known(decisions, texts, at="ts", by=["symbol"], span_ns=NS_PER_DAY)
    by_hand = [
        texts.filter((pl.col("symbol") == symbol) & pl.col("ts_known").is_between(ts - NS_PER_DAY + 1, ts)).height
        for symbol, ts in decisions.iter_rows()
    ]
    assert counts.to_list() == by_hand
    assert sum(by_hand) > 0


def lines(tmp_path: Path, *records: object) -> Path:
    path = tmp_path / "texts.jsonl"
    path.write_text("".join(json.dumps(record) + "\n" for record in records))
    return path


def test_repeats_are_marked_and_kept(tmp_path: Path) -> None:
    said = [
        ("A", "2014-02-11T10:00:00Z"),
        ("A", "2014-02-12T09:00:00Z"),
        ("A", "2014-02-14T09:00:00Z"),
        ("B", "2014-02-11T10:00:01Z"),
    ]
    path = lines(tmp_path, *({"symbol": symbol, "created_at": when, "text": "buy"} for symbol, when in said))
    assert read_texts(path)["is_repeat"].to_list() == [False, True, False, False]


@pytest.mark.parametrize(
    ("record", "words"),
    [
        ({"symbol": "A", "created_at": "2014-02-11 10:00:00", "text": "x"}, "row 2: .* is no time with a zone"),
        ({"symbol": "A", "text": "x"}, "row 2: has no created_at"),
        ({"symbol": "", "created_at": "2014-02-11T10:00:00Z", "text": "x"}, "row 2: has no symbol"),
    ],
)
def test_a_text_without_what_it_needs_is_named(tmp_path: Path, record: object, words: str) -> None:
    good = {"symbol": "A", "created_at": "Tue Feb 11 18:58:49 +0000 2014", "text": ["a", "b"]}
    with pytest.raises(SourceError, match=words):
        read_texts(lines(tmp_path, good, record))


def test_a_cut_archive_of_texts_is_refused(tmp_path: Path) -> None:
    content = gzip.compress(
        json.dumps({"symbol": "A", "created_at": "2014-02-11T10:00:00Z", "text": "x"}).encode() * 99
    )
    (tmp_path / "t.jsonl.gz").write_bytes(content[:-12])
    with pytest.raises(SourceError, match=r"t\.jsonl\.gz"):
        read_texts(tmp_path / "t.jsonl.gz")

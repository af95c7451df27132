"""Sources of reports and texts become facts along with their days: in a process of its own, as a shell starts it."""

from __future__ import annotations

import json
import re
from datetime import UTC, date, datetime, timedelta
from typing import TYPE_CHECKING

import dagster as dg
import numpy as np
import polars as pl
import pytest
from dagster._core.definitions.unresolved_asset_job_definition import UnresolvedAssetJobDefinition

from assets.sources import discovered
from pipelines.definitions import build
from pipelines.resources import make_resources
from py_rt.data.ingestion.source import SourceTable
from py_rt.data.schemas import Column
from py_rt.data.storage import Lake, scan
from py_rt.defaults import default_root
from py_rt.ml.features.fact_tables import (
    FactError,
    FactRule,
    check_columns,
    cleaned,
    cleaned_table,
    facts_of_day,
    facts_table,
    read_fact_rules,
)
from py_rt.ml.features.known_tables import KnownColumn, read_known_columns, with_beside
from py_rt.ml.features.technical import FeatureSet
from tests.pipelines.test_sources import run
from tests.py_rt.data.loopback import Asked, Reply, serving

if TYPE_CHECKING:
    from pathlib import Path

NEWS = """
kind = "rest"
description = "News"
first_day = 2024-01-01
key = ["id"]
[options]
url = "{url}/{{date}}"
[[column]]
name = "id"
type = "integer"
[[column]]
name = "at"
type = "time"
[[column]]
name = "title"
type = "text"
nullable = true
[known]
column = "at"
"""
REPORTS = """
kind = "rest"
description = "Reports"
first_day = 2024-01-01
[options]
url = "{url}/{{date}}"
[[column]]
name = "at"
type = "time"
[[column]]
name = "symbol"
type = "text"
[[column]]
name = "period_end"
type = "date"
[[column]]
name = "doc_type"
type = "text"
[[column]]
name = "eps_diluted"
type = "decimal"
[known]
column = "at"
"""
RULES = """
[news]
kind = "sentiment"
text = "title"
about = "BTCUSDT"
day_end = "21:00"
repeats = false
[reports]
kind = "reports"
"""
SAID: dict[str, list[tuple[str, str | None]]] = {
    "2024-01-01": [("09:00", "Great gains, a wonderful day"), ("22:00", "Terrible losses, fraud"), ("10:00", None)],
    "2024-01-02": [("03:00", "Terrible losses, fraud"), ("12:00", "It is what it is")],
    "2024-01-03": [("01:00", "Superb results")],
}
TOLD: dict[str, list[tuple[str, str, str]]] = {
    "2024-01-01": [("2023-12-31", "10-K", "2.5"), ("2024-06-30", "10-Q", "9.0")],
    "2024-01-02": [],
    "2024-01-03": [("2022-12-31", "10-K", "2.0")],
}


def answer(asked: Asked) -> Reply:
    what, day = asked.path.strip("/").split("/")
    if what == "news":
        rows = [{"id": n, "at": f"{day}T{at}:00Z", "title": title} for n, (at, title) in enumerate(SAID[day])]
    else:
        names = ("period_end", "doc_type", "eps_diluted")
        rows = [{"at": f"{day}T14:30:00Z", "symbol": "AAPL", **dict(zip(names, one, strict=True))} for one in TOLD[day]]
    return Reply(json.dumps(rows).encode())


def ns(text: str) -> int:
    return int(datetime.fromisoformat(text).replace(tzinfo=UTC).timestamp()) * 10**9


def test_reports_and_texts_become_facts_that_features_read(tmp_path: Path) -> None:
    sources = tmp_path / "config" / "sources"
    sources.mkdir(parents=True)
    (tmp_path / "config" / "facts.toml").write_text(RULES)
    with serving(answer) as server:
        (sources / "news.toml").write_text(NEWS.format(url=f"{server.url}/news"))
        (sources / "reports.toml").write_text(REPORTS.format(url=f"{server.url}/reports"))
        names = "news,news_cleaned,news_sentiment,reports,reports_cleaned,reports_facts"
        lines = run(tmp_path, "--select", names, "--partition-range", "2024-01-01...2024-01-03")
    checks = {(line["asset"], line["check"]): line["passed"] for line in lines if line["event"] == "check"}
    made = [name for name in names.split(",") if "_" in name]
    assert all(checks[name, "fits_schema"] for name in made)
    assert checks["news_cleaned", "rows_conserved"]
    assert checks["reports_cleaned", "rows_conserved"]
    lake = Lake(str(tmp_path / "home" / "lake"))
    judged = scan(lake.uri("cleaned", "news_cleaned")).sort("ts_known").collect()
    assert judged["reason"].to_list() == [None, "no text", None, None, None, None]
    assert judged["is_repeat"].to_list() == [False, False, False, True, False, False]
    said = scan(lake.uri("cleaned", "news_sentiment")).sort("ts_known").collect()
    # Days end at 21:00; the fraud of the evening counts on the next one, and once.
    assert said["ts_known"].to_list() == [ns(f"2024-01-0{day}T21:00:00") for day in (1, 2, 3)]
    assert said["texts"].to_list() == [1, 2, 1]
    assert said["sentiment"][0] > 0.5
    assert said["sentiment"][1] < 0
    facts = scan(lake.uri("cleaned", "reports_facts")).sort("ts_known").collect()
    assert facts["ts_known"].to_list() == [ns("2024-01-01T14:30:00"), ns("2024-01-03T14:30:00")]
    # One of its reports speaks of a period that is not over; the year before was told later.
    assert facts["earnings_per_share"].to_list() == [2.5, 2.5]
    assert facts["earnings_per_share_before"].to_list() == [None, 2.0]
    kept_out = scan(lake.uri("cleaned", "reports_cleaned")).collect()["reason"].drop_nulls().to_list()
    assert kept_out == ["known before its period was over"]
    assert mood(tmp_path, lake) == [None, said["sentiment"][0], said["sentiment"][0], said["sentiment"][1]]


def mood(folder: Path, lake: Lake) -> list[float | None]:
    """What features see of the sentiment at four bars."""
    (folder / "model.toml").write_text(
        'bar_seconds = 900\n[[slow]]\nname = "sentiment"\nunit = "number"\nmax_age_seconds = 864000\n'
        '[[feature]]\nname = "mood"\nkind = "expression"\nexpression = "sentiment"\nunit = "number"\n'
    )
    ends = [ns(f"2024-01-0{at}:00") - 900 * 10**9 for at in ("1T20:45", "1T21:00", "2T20:45", "2T21:00")]
    prices = {name: [10**10] * 4 for name in ("open", "high", "low", "close", "volume")}
    bars = pl.DataFrame({"ts_open": ends, **prices}).with_columns(instrument=pl.lit("BTCUSDT"))
    known = {"sentiment": KnownColumn("news_sentiment", "sentiment", (("symbol", "BTCUSDT"),))}
    beside = with_beside(bars, FeatureSet.from_toml(folder / "model.toml"), lake, known)
    return [None if np.isnan(one) else one for one in beside.bars["sentiment"]]


def test_what_facts_toml_cannot_mean_is_told_and_stops_nothing(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
) -> None:
    monkeypatch.chdir(tmp_path)
    sources = tmp_path / "config" / "sources"
    sources.mkdir(parents=True)
    (sources / "news.toml").write_text(NEWS.format(url="http://127.0.0.1:9"))
    rules = tmp_path / "config" / "facts.toml"

    def names() -> set[str]:
        return {key.path[-1] for made in discovered() if isinstance(made, dg.AssetsDefinition) for key in made.keys}

    rules.write_text('[news]\nkind = "sentiment"\n[nwes]\nkind = "reports"\n')
    assert names() == {"news"}
    assert "news has no symbol (String), text (String); it has id, at, title" in caplog.text
    assert "facts.toml: nwes is no source; there are bundled_indices, bundled_stocks, news" in caplog.text
    rules.write_text('[news]\nkind = "sentimental"\n')
    assert names() == {"news"}
    assert "kind is reports or sentiment" in caplog.text
    rules.write_text('[news]\nkind = "sentiment"\ntext = "title"\nabout = "BTCUSDT"\n')
    assert names() == {"news", "news_cleaned", "news_sentiment"}
    definitions = build(make_resources())
    (job,) = [job for job in definitions.jobs or [] if job.name == "source_news"]
    assert isinstance(job, UnresolvedAssetJobDefinition)
    daily = {key.path[-1] for key in job.selection.resolve(definitions.resolve_asset_graph())}
    assert daily == {"news", "news_cleaned", "news_sentiment"}


@pytest.mark.parametrize(
    ("text", "words"),
    [
        ("news = 1", "allowed are kind, text"),
        ('[news]\nkind = "sentiment"\ntxt = "a"', "allowed are kind, text"),
        ('[news]\nkind = "sentiment"\nrepeats = "no"', "repeats is true or false"),
        ('[news]\nkind = "sentiment"\nday_end = "25:00"', "write HH:MM, from 00:01 to 24:00"),
        ("[news", "cannot be read"),
    ],
)
def test_a_wrong_file_names_the_place(tmp_path: Path, text: str, words: str) -> None:
    path = tmp_path / "facts.toml"
    path.write_text(text)
    with pytest.raises(FactError, match=words):
        read_fact_rules(path)


def table(partitioning: str) -> SourceTable:
    columns = (Column("symbol", pl.String(), "whom"), Column("text", pl.String(), "what"))
    return SourceTable("news", "News", columns, partitioning=partitioning)  # type: ignore[arg-type]


FIRST = date(2024, 3, 1)


def rows(*said: tuple[int, float, str, int]) -> pl.DataFrame:
    """Day of storage, hours after the first day's midnight at which it was known, text, version."""
    start = ns(f"{FIRST}T00:00:00")
    return pl.DataFrame(
        {
            "symbol": ["X"] * len(said),
            "text": [text for _, _, text, _ in said],
            "ts_known": [start + int(hours * 3_600 * 10**9) for _, hours, _, _ in said],
            "source_partition": ["p"] * len(said),
            "source_version": [version for *_, version in said],
            "payload_sha256": [f"{version}" for *_, version in said],
            "row_number": [number + 1 for number in range(len(said))],
            "date": [FIRST + timedelta(days=day) for day, *_ in said],
        }
    )


def days_of(rule: FactRule, source: SourceTable, raw: pl.DataFrame, days: int) -> list[tuple[list[int], int]]:
    """Texts of each fact of each day, and how many rows came late."""
    clean = pl.concat([cleaned(rule, source, raw, FIRST + timedelta(days=day)) for day in range(days)])
    assert clean.height == raw.height
    assert cleaned_table(rule, source).faults(clean) == []
    found = []
    for day in range(days):
        made = facts_of_day(rule, source, clean, FIRST + timedelta(days=day))
        assert facts_table(rule, source).faults(made.rows) == []
        alone = facts_of_day(rule, source, clean.filter(pl.col("date") <= FIRST + timedelta(days=day)), made_on(day))
        assert alone.rows.equals(made.rows)  # what is stored later changes nothing
        found.append((made.rows["texts"].to_list(), made.late))
    return found


def made_on(day: int) -> date:
    return FIRST + timedelta(days=day)


def test_a_fact_stands_once_when_all_of_it_can_be_there() -> None:
    rule = FactRule("sentiment")
    said = rows((0, 10, "good", 1), (1, 11, "better", 1), (1, 30, "best", 1), (2, 12, "late", 1), (2, 50, "new", 1))
    # By days: a day's texts are there when it is; what is stored later under its day is late.
    assert days_of(rule, table("day"), said, 3) == [([1], 0), ([1], 1), ([1], 1)]
    # What came since: the rest of a day comes on the next one.
    assert days_of(rule, table("next"), said, 4) == [([], 0), ([2], 0), ([1], 1), ([1], 0)]
    # Ten years in one drop are facts of their own days, stored with the drop.
    drop = rows(*((3, -24 * 365 * year + 5, f"year {year}", 1) for year in range(10)))
    assert days_of(rule, table("key"), drop, 4)[3] == ([1] * 10, 0)


def test_texts_that_come_again_in_a_later_version_are_not_counted_again() -> None:
    said = rows((0, 10, "good", 1), (0, 11, "bad", 1), (0, 30, "good", 2), (0, 30, "added", 2))
    rule = FactRule("sentiment")
    clean = cleaned(rule, table("day"), said, FIRST)
    assert clean["reason"].to_list() == [None, None, "stood in an earlier version of its partition", None]
    assert days_of(rule, table("day"), said, 2) == [([2], 0), ([1], 0)]


def test_a_source_without_reports_is_refused() -> None:
    with pytest.raises(FactError, match=r"news has no period_end \(Date\), doc_type \(String\), one of revenues"):
        check_columns(FactRule("reports"), table("day"))


def test_the_guides_files_say_what_it_says(tmp_path: Path) -> None:
    guide = default_root() / "docs" / "guides" / "add-a-source.md"
    *_, facts, known = re.findall(r"^```toml\n(.*?)^```", guide.read_text(), re.MULTILINE | re.DOTALL)
    (tmp_path / "facts.toml").write_text(facts)
    (tmp_path / "known.toml").write_text(known)
    rules = read_fact_rules(tmp_path / "facts.toml")
    assert {name: rule.kind for name, rule in rules.items()} == {"my_news": "sentiment", "my_reports": "reports"}
    place = read_known_columns(tmp_path / "known.toml")["sentiment"]
    named = SourceTable("my_news", "News", (Column("title", pl.String(), "what"),))
    assert facts_table(rules["my_news"], named).name == place.table
    assert read_fact_rules(default_root() / "config" / "facts.toml") == {}

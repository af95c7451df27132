"""A source that a user added is an asset like the others: in a process of its own, as a shell starts it."""

from __future__ import annotations

import json
import os
import subprocess
import sys
from datetime import datetime
from typing import TYPE_CHECKING

import dagster as dg
import polars as pl

from assets.sources import discovered
from pipelines.definitions import build
from pipelines.jobs import ingest_daily
from pipelines.planning import select
from pipelines.resources import make_resources
from py_rt.data.storage import Lake, scan
from tests.py_rt.data.loopback import Asked, Reply, serving

if TYPE_CHECKING:
    from pathlib import Path

    import pytest

NEXT = """
kind = "rss"
partition = "next"
[options]
url = "http://127.0.0.1:9/feed"
"""

DEFINITION = """
kind = "rest"
description = "A value an hour"
first_day = 2024-01-01
key = ["ts"]
[options]
url = "{url}/{{date}}"
[[column]]
name = "ts"
from = "0"
type = "time"
[[column]]
name = "value"
from = "1"
type = "decimal"
[known]
column = "ts"
[expect]
rows_min = 24
"""


def hours(asked: Asked) -> Reply:
    day = asked.path.strip("/")
    return Reply(json.dumps([[f"{day}T{hour:02}:00:00Z", f"{hour}.5"] for hour in range(24)]).encode())


def run(folder: Path, *arguments: str) -> list[dict[str, object]]:
    path = os.pathsep.join(map(os.path.abspath, filter(None, sys.path)))  # this very engine
    environ = {**os.environ, "PY_RT_HOME": str(folder / "home"), "PYTHONPATH": path}
    done = subprocess.run(
        [sys.executable, "-m", "pipelines.run", *arguments, "--json"],
        cwd=folder,
        env=environ,
        capture_output=True,
        text=True,
        check=False,
        timeout=200,
    )
    assert done.returncode == 0, done.stdout + done.stderr
    return [json.loads(line) for line in done.stdout.splitlines()]


def test_an_added_source_is_made_by_days_and_reused(tmp_path: Path) -> None:
    sources = tmp_path / "config" / "sources"
    sources.mkdir(parents=True)
    (sources / "broken.toml").write_text("kind = 'rest'\n")
    with serving(hours) as server:
        (sources / "hourly.toml").write_text(DEFINITION.format(url=server.url))
        days = ("--select", "hourly", "--partition-range", "2024-01-01...2024-01-03")
        run(tmp_path, *days)
        rows = scan(Lake(str(tmp_path / "home" / "lake")).uri("raw", "hourly")).collect()
        assert rows.height == 72
        assert rows.filter(pl.col("ts_known") != pl.col("ts")).is_empty()
        assert len(server.asked) == 3
        run(tmp_path, *days, "--reuse")
        assert len(server.asked) == 3


def test_the_chain_does_not_ask_the_outside_along_the_way(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    sources = tmp_path / "config" / "sources"
    sources.mkdir(parents=True)
    (sources / "hourly.toml").write_text(DEFINITION.format(url="http://127.0.0.1:9"))
    monkeypatch.chdir(tmp_path)
    graph = build(make_resources()).resolve_asset_graph()
    hourly = dg.AssetKey("hourly")
    assert hourly in graph.get_all_asset_keys()
    assert dg.AssetKey("raw_bars") in select(graph, job="main_job")
    assert hourly not in select(graph, job="main_job")
    assert hourly not in ingest_daily.selection.resolve(graph)
    assert {key.name for key in graph.asset_check_keys if key.asset_key == hourly} == {
        "fits_schema",
        "row_count",
        "fresh",
        "usual_volume",
    }


def test_each_added_source_is_asked_every_day_when_it_is_due(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    sources = tmp_path / "config" / "sources"
    sources.mkdir(parents=True)
    monkeypatch.chdir(tmp_path)
    monkeypatch.setenv("PY_RT_HOME", str(tmp_path / "home"))
    with serving(hours) as server:
        text = DEFINITION.format(url=server.url)
        (sources / "hourly.toml").write_text(text)
        (sources / "prompt.toml").write_text(f"{text}fresh_within_hours = 6.5\n")
        (sources / "news.toml").write_text(NEXT)
        definitions = build(make_resources())
        listed = [one for one in definitions.schedules or [] if isinstance(one, dg.ScheduleDefinition)]
        schedules = {schedule.name: schedule for schedule in listed}
        crons = {name: schedules[f"source_{name}_daily"].cron_schedule for name in ("hourly", "prompt", "news")}
        assert crons == {"hourly": "15 0 * * *", "prompt": "15 6 * * *", "news": "15 0 * * *"}

        def asked(name: str, day: str) -> dg.RunRequest | None:
            context = dg.build_schedule_context(
                scheduled_execution_time=datetime.fromisoformat(f"{day}T00:15:00+00:00"),
                repository_def=definitions.get_repository_def(),
                resources={"landing": tmp_path / "home" / "landing"},
            )
            found = schedules[f"source_{name}_daily"].evaluate_tick(context).run_requests or []
            return found[0] if found else None

        assert asked("hourly", "2024-01-01") is None  # its first day is not over
        request = asked("hourly", "2024-01-05")
        assert request is not None
        first, last = (request.tags[f"dagster/asset_partition_range_{end}"] for end in ("start", "end"))
        assert (request.run_key, first, last) == ("hourly-2024-01-04", "2024-01-01", "2024-01-04")
        job = definitions.resolve_job_def("source_hourly")
        with dg.DagsterInstance.ephemeral() as instance:
            assert job.execute_in_process(instance=instance, tags=request.tags).success
            made = instance.get_materialized_partitions(dg.AssetKey("hourly"))
        assert made == {f"2024-01-0{day}" for day in range(1, 5)}
        assert server.paths == [f"/2024-01-0{day}" for day in range(1, 5)]
        following = asked("hourly", "2024-01-06")
        assert following is not None
        assert following.tags["dagster/asset_partition_range_start"] == "2024-01-05"
        news = asked("news", "2024-01-05")
        assert news is not None
        assert news.tags["dagster/asset_partition_range_end"] == "2024-01-05"


def with_holes(asked: Asked) -> Reply:
    """Two series; the first lacks every third value, and the whole of the second day."""
    day = asked.path.strip("/")
    first = [None if hour % 3 == 2 or day == "2024-01-02" else hour * 1.5 for hour in range(24)]
    rows = [[f"{day}T{hour:02}:00:00Z", value, "a"] for hour, value in enumerate(first)]
    rows += [[f"{day}T{hour:02}:00:00Z", 1_000.0, "b"] for hour in range(24)]
    return Reply(json.dumps(rows).encode())


def test_a_policy_for_a_column_that_is_none_leaves_the_imputed_table_out_and_is_told(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
) -> None:
    monkeypatch.chdir(tmp_path)
    (tmp_path / "config" / "sources").mkdir(parents=True)
    (tmp_path / "config" / "sources" / "hourly.toml").write_text(DEFINITION.format(url="http://127.0.0.1:9"))
    (tmp_path / "config" / "imputation.toml").write_text('[hourly.valeu]\nkind = "forward_fill"\n')
    names = {key.path[-1] for made in discovered() if isinstance(made, dg.AssetsDefinition) for key in made.keys}
    assert "hourly" in names
    assert "hourly_imputed" not in names
    assert "valeu of hourly is no column; there are ts, value: hourly_imputed is left out" in caplog.text


def test_missing_values_of_a_source_are_imputed_by_the_policy_of_the_column(tmp_path: Path) -> None:
    (tmp_path / "config" / "sources").mkdir(parents=True)
    (tmp_path / "config" / "imputation.toml").write_text('[hourly.value]\nkind = "forward_fill"\nlimit = 10\n')
    series = '[[column]]\nname = "series"\nfrom = "2"\ntype = "text"\n[known]'
    with serving(with_holes) as server:
        definition = DEFINITION.format(url=server.url).replace('key = ["ts"]', 'key = ["series", "ts"]')
        definition = definition.replace("[known]", series).replace(
            'type = "decimal"', 'type = "number"\nnullable = true'
        )
        (tmp_path / "config" / "sources" / "hourly.toml").write_text(definition)
        run(tmp_path, "--select", "hourly,hourly_imputed", "--partition-range", "2024-01-01...2024-01-03")
    lake = Lake(str(tmp_path / "home" / "lake"))
    raw = scan(lake.uri("raw", "hourly")).sort("series", "ts").collect()
    made = scan(lake.uri("cleaned", "hourly_imputed")).sort("series", "ts").collect()
    assert made.drop("value_imputed", "value").equals(raw.drop("value"))
    observed = raw["value"].is_not_null()
    assert made["value"].filter(observed).equals(raw["value"].filter(observed))
    assert not made["value_imputed"].filter(observed).any()
    values, flags = made["value"].to_list(), made["value_imputed"].to_list()
    assert values[2] == 1.5  # the hour before it, not the one after it
    # The gap from 23:00 of the first day on: ten rows of it, held at the last value of the same series.
    assert values[23:34] == [33.0] * 10 + [None]
    assert flags[23:34] == [True] * 10 + [False]
    assert values[47] is None
    assert set(values[72:]) == {1_000.0}
    before = made
    run(tmp_path, "--select", "hourly_imputed", "--partition", "2024-01-02")  # a day alone
    assert scan(lake.uri("cleaned", "hourly_imputed")).sort("series", "ts").collect().equals(before)

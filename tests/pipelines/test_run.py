from __future__ import annotations

import json
import os
import subprocess
import sys
from datetime import date, timedelta
from pathlib import Path
from typing import TYPE_CHECKING, Any

import dagster as dg
import polars as pl
import pytest

from pipelines import run
from pipelines.instance import open_instance
from pipelines.run import materialize
from py_rt.data.storage import read_table, table_versions
from py_rt.errors import RunError, SourceError

if TYPE_CHECKING:
    from tests.pipelines.conftest import InstantRunner

pytestmark = pytest.mark.usefixtures("home", "instant_runner")

ROOT = Path(__file__).resolve().parents[2]
BARS_GROUPS = "group:raw,group:cleaned"
RANGE = "2021-10-26...2021-10-28"

HEADER = "time,open,high,low,close,volume\n"

BARS_ASSETS = {
    "raw_bars",
    "raw_daily_bars",
    "raw_book",
    "raw_trades",
    "index_members",
    "security_names",
    "corporate_actions",
    "staged_bars",
    "clean_bars",
    "quarantined_bars",
}
"""What these groups hold. Neither a recording nor reference data are there: their tables are made without a row."""


def made(home: Path, partition_range: str = RANGE, select: str = BARS_GROUPS) -> list[dict[str, Any]]:
    lines: list[dict[str, Any]] = []
    summary = materialize(select, partition_range=partition_range, home=home, on_event=lines.append)
    assert lines[-1] == {"event": "summary", **summary.to_dict()}
    return lines


def of_kind(lines: list[dict[str, Any]], event: str) -> list[dict[str, Any]]:
    return [line for line in lines if line["event"] == event]


def table(home: Path, name: str) -> pl.DataFrame:
    return read_table(name, root=home / "lake")


def bars_of(day: str, count: int = 96, price: str = "10") -> str:
    start = pl.datetime_range(
        pl.lit(f"{day} 00:00:00").str.to_datetime(), pl.lit(f"{day} 23:45:00").str.to_datetime(), "15m", eager=False
    )
    times = pl.select(start.dt.strftime("%Y-%m-%d %H:%M:%S")).to_series().head(count)
    return "".join(f"{time},{price},{price},{price},{price},1\n" for time in times)


@pytest.fixture
def folder(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """The folder of the local source."""
    made = tmp_path / "bars"
    made.mkdir()
    monkeypatch.setenv("PY_RT_SOURCE", "local")
    monkeypatch.setenv("PY_RT_SOURCE_FOLDER", str(made))
    return made


def test_raw_and_cleaned_bars_are_made_with_every_check(home: Path, instant_runner: InstantRunner) -> None:
    lines = made(home)
    summary = lines[-1]
    assert summary["success"], lines
    assert (summary["assets"], summary["materializations"]) == (10, 22)
    assert (summary["checks_passed"], summary["checks_failed"]) == (37, [])
    assert summary["checks_warned"] == 1  # a tenth of these days' rows came twice
    by_day = [sample for sample in instant_runner.samples if sample["date"].n_unique() == 1]
    # Of raw, staged and clean bars the last day, and the last on which a row was kept out.
    assert sorted(sample["date"][0] for sample in by_day) == [date(2021, 10, 27), *[date(2021, 10, 28)] * 3]
    (whole,) = [sample for sample in instant_runner.samples if sample["date"].n_unique() > 1]
    assert set(whole["file"]) == {"BTC-USD-1-DAY.csv"}
    started = [line["step"] for line in of_kind(lines, "step_started") if line["kind"] == "asset"]
    finished = {line["step"]: line for line in of_kind(lines, "step_finished")}
    assert set(started) == set(finished) == BARS_ASSETS
    assert finished["raw_bars"]["rows"] == 321
    assert finished["clean_bars"] == {
        "event": "step_finished",
        "step": "clean_bars",
        "kind": "asset",
        "seconds": finished["clean_bars"]["seconds"],
        "partitions": 3,
        "rows": 288,
        "delta_version": 1,
    }
    assert all(line["seconds"] >= 0 for line in of_kind(lines, "check"))
    assert json.loads(json.dumps(lines)) == lines


def test_tables_hold_what_arrived_and_what_it_became(home: Path) -> None:
    made(home)
    raw, clean, out = (table(home, name) for name in ("raw_bars", "clean_bars", "quarantined_bars"))
    assert clean.filter(pl.col("source_row").is_not_null()).height + out.height == raw.height == 321
    assert out["source_row"].sort().to_list()[0] == 2851
    assert clean["ts_open"].diff().drop_nulls().unique().to_list() == [900_000_000_000]
    assert raw["datetime"].to_list()[0].endswith("+01:00")
    names = ["raw_bars", "staged_bars", "clean_bars", "quarantined_bars"]
    assert table_versions(names, root=home / "lake") == dict.fromkeys(names, 1)


def test_a_second_run_lands_nothing_and_gives_the_same_data_versions(home: Path) -> None:
    made(home)
    raw = table(home, "raw_bars")
    first = data_versions(home)
    again = made(home)
    assert again[-1]["success"]
    assert table(home, "raw_bars").equals(raw)
    assert table_versions(["raw_bars"], root=home / "lake") == {"raw_bars": 1}
    assert any("raw_bars: 0 new rows of 0 days; 3 days" in line["message"] for line in of_kind(again, "log"))
    assert data_versions(home) == first
    assert set(first) == BARS_ASSETS


def data_versions(home: Path) -> dict[str, str]:
    with open_instance(home) as instance:
        return {
            key.to_user_string(): (event.tags or {})["dagster/data_version"]
            for key in instance.get_asset_keys()
            if (record := instance.get_latest_materialization_event(key)) and (event := record.asset_materialization)
        }


def test_days_one_by_one_give_the_tables_of_one_run(tmp_path: Path, home: Path) -> None:
    first, last = date(2021, 11, 26), date(2021, 11, 30)
    together, alone = tmp_path / "together", home
    made(together, f"{first}...{last}", "raw_bars,group:cleaned")
    for number in range(5):
        day = (first + timedelta(days=number)).isoformat()
        assert materialize("raw_bars,group:cleaned", partition=day, home=alone).success
    for name in ("clean_bars", "quarantined_bars", "staged_bars"):
        assert table(alone, name).equals(table(together, name)), name
    assert table(alone, "clean_bars").height == 5 * 96
    assert table(alone, "raw_bars").drop("ts_arrival").equals(table(together, "raw_bars").drop("ts_arrival"))


def test_every_day_tells_its_own_rows_and_hash(home: Path) -> None:
    made(home, select="raw_bars,staged_bars,clean_bars")
    with open_instance(home) as instance:
        records = instance.fetch_materializations(dg.AssetKey("clean_bars"), limit=10).records
    events = [record.asset_materialization for record in records]
    by_day = {event.partition: event.metadata for event in events if event is not None}
    assert sorted(map(str, by_day)) == ["2021-10-26", "2021-10-27", "2021-10-28"]
    assert {metadata["dagster/partition_row_count"].value for metadata in by_day.values()} == {96}
    assert len({metadata["partition_sha256"].value for metadata in by_day.values()}) == 3
    pictures = [day for day, metadata in by_day.items() if "closes" in metadata]
    assert pictures == ["2021-10-28"]
    assert len(str(by_day["2021-10-28"]["closes"].value)) < 80_000


def test_without_days_everything_that_the_source_covers_is_made(folder: Path) -> None:
    (folder / "bars.csv").write_text(HEADER + bars_of("2021-10-01") + bars_of("2021-10-02", 40))
    summary = materialize("raw_bars,group:cleaned")
    assert summary.success
    assert summary.materializations == 8
    clean = table(folder.parent / "home", "clean_bars")
    assert clean.height == 136


def test_days_before_the_first_partition_are_left_out_or_refused(folder: Path) -> None:
    (folder / "bars.csv").write_text(HEADER + bars_of("2021-09-26") + bars_of("2021-09-27"))
    assert materialize("raw_bars").materializations == 1
    (folder / "bars.csv").write_text(HEADER + bars_of("2021-09-26"))
    with pytest.raises(SourceError, match="set PY_RT_FIRST_DAY"):
        materialize("raw_bars")


@pytest.mark.parametrize(
    ("text", "row", "words"),
    [
        ("", None, "is empty"),
        (HEADER + bars_of("2021-10-01") + "2021-10-02 00:00:00,1,2", 98, "the file is cut off"),
        (HEADER + bars_of("2021-10-01").rstrip("\n"), 97, "does not end with a newline"),
        ((HEADER + bars_of("2021-10-01")) * 2, 98, "is the header again"),
        (HEADER + bars_of("2021-10-01") * 2, 98, "repeats the rows from row 2"),
    ],
)
def test_a_bad_raw_file_fails_naming_source_file_and_row_and_publishes_nothing(
    folder: Path, text: str, row: int | None, words: str
) -> None:
    (folder / "bars.csv").write_text(text)
    lines: list[dict[str, Any]] = []
    summary = materialize("raw_bars,group:cleaned", partition="2021-10-01", on_event=lines.append)
    assert summary.exit_status == 1
    assert summary.steps_failed == ["raw_bars"]
    assert summary.not_made == ["clean_bars", "quarantined_bars", "raw_bars", "staged_bars"]
    error = of_kind(lines, "step_failed")[0]["error"]
    place = f"source local: bars.csv: row {row}: " if row else "source local: bars.csv: "
    assert place in error
    assert words in error
    assert not (folder.parent / "home" / "lake").exists()


def test_the_same_file_twice_fails_naming_both(folder: Path) -> None:
    for name in ("a.csv", "b.csv"):
        (folder / name).write_text(HEADER + bars_of("2021-10-01"))
    with pytest.raises(SourceError, match=r"b\.csv: row 2: is a copy of a\.csv"):
        materialize("raw_bars")


def test_a_changed_file_for_a_landed_day_fails_naming_both_hashes_and_changes_nothing(folder: Path) -> None:
    home = folder.parent / "home"
    good = HEADER + bars_of("2021-10-01") + bars_of("2021-10-02")
    (folder / "bars.csv").write_text(good)
    assert materialize("raw_bars,group:cleaned").success
    before = {name: table(home, name) for name in ("raw_bars", "clean_bars")}
    (folder / "bars.csv").write_text(
        good.replace("2021-10-02 05:00:00,10,10", "2021-10-02 05:00:00,10,11") + bars_of("2021-10-03")
    )
    lines: list[dict[str, Any]] = []
    summary = materialize("raw_bars,group:cleaned", on_event=lines.append)
    assert (summary.exit_status, summary.steps_failed) == (1, ["raw_bars"])
    error = of_kind(lines, "step_failed")[0]["error"]
    landed_sha256 = before["raw_bars"]["file_sha256"][0]
    assert f"SHA-256 {landed_sha256}" in error
    assert error.count("SHA-256") == 2
    assert "day 2021-10-02" in error
    assert all(table(home, name).equals(frame) for name, frame in before.items())


def test_a_file_that_grew_by_a_day_lands_that_day_only(folder: Path) -> None:
    home = folder.parent / "home"
    (folder / "bars.csv").write_text(HEADER + bars_of("2021-10-01"))
    assert materialize("raw_bars").success
    (folder / "bars.csv").write_text(HEADER + bars_of("2021-10-01") + bars_of("2021-10-02"))
    lines: list[dict[str, Any]] = []
    assert materialize("raw_bars", on_event=lines.append).success
    raw = table(home, "raw_bars")
    assert raw.height == 192
    assert raw.group_by("file_sha256").len()["len"].to_list() == [96, 96]
    assert any("no landed day in it changed" in line["message"] for line in of_kind(lines, "log"))


def test_a_failed_check_leaves_readers_their_last_good_rows(folder: Path) -> None:
    home = folder.parent / "home"
    (folder / "bars.csv").write_text(HEADER + bars_of("2021-10-01"))
    assert materialize("raw_bars,group:cleaned").success
    good = table(home, "clean_bars")
    # The next day a price is a hundred times too high, as when pence are taken for pounds.
    wrong = bars_of("2021-10-02").replace("2021-10-02 08:00:00,10,10,10,10", "2021-10-02 08:00:00,1000,1000,1000,1000")
    (folder / "bars.csv").write_text(HEADER + bars_of("2021-10-01") + wrong)
    lines: list[dict[str, Any]] = []
    summary = materialize("raw_bars,group:cleaned", partition="2021-10-02", on_event=lines.append)
    assert summary.exit_status == 3
    assert summary.checks_failed == ["staged_bars:no_price_jumps"]
    assert summary.not_made == ["clean_bars", "quarantined_bars"]
    assert table(home, "clean_bars").equals(good)
    check = next(line for line in of_kind(lines, "check") if not line["passed"])
    assert (check["blocking"], check["severity"], check["metadata"]["jumps"]) == (True, "ERROR", 2)
    assert of_kind(lines, "step_failed") == []


def test_a_wrong_wish_is_refused_before_anything_is_made(home: Path) -> None:
    with pytest.raises(RunError, match="did you mean raw_bars"):
        materialize("raw_barz", home=home)
    assert not home.exists()


# --- the command


def command(*arguments: str, capsys: pytest.CaptureFixture[str]) -> tuple[int, str, str]:
    status = run.main(list(arguments))
    out, err = capsys.readouterr()
    return status, out, err


def test_the_command_ends_with_2_for_a_wrong_wish(capsys: pytest.CaptureFixture[str]) -> None:
    status, out, err = command("--select", "raw_barz", "--json", capsys=capsys)
    assert status == 2
    assert json.loads(out)["kind"] == "RunError"
    assert "did you mean raw_bars?" in err
    status, _, err = command("--select", "raw_bars", "--partition", "yesterday", capsys=capsys)
    assert (status, "'yesterday' is no date" in err) == (2, True)
    with pytest.raises(SystemExit) as caught:
        run.main(["--job", "main_job", "--select", "raw_bars"])
    assert caught.value.code == 2


def test_the_command_ends_with_1_when_the_source_cannot_be_read(
    folder: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    assert list(folder.iterdir()) == []
    status, _, err = command("--select", "raw_bars", capsys=capsys)
    assert (status, "holds no file that fits" in err) == (1, True)
    (folder / "bars.csv").write_text("")
    status, out, _ = command("--select", "raw_bars", "--partition", "2021-10-01", capsys=capsys)
    assert status == 1
    assert "FAILED: py_rt.errors.SourceError: source local: bars.csv: is empty" in out
    assert "not made: raw_bars" in out


def test_people_read_one_line_per_step_and_check(folder: Path, capsys: pytest.CaptureFixture[str]) -> None:
    (folder / "bars.csv").write_text(HEADER + bars_of("2021-10-01"))
    status, out, _ = command("--select", "raw_bars,group:cleaned", capsys=capsys)
    assert status == 0
    assert "  raw_bars  " in out
    assert "96 rows, version 1" in out
    assert "    staged_bars:rows_conserved " in out
    assert out.splitlines()[-1].startswith(
        "4 materializations of 4 assets in 1 runs, 19 checks passed, 0 warned, 0 failed"
    )


def test_nothing_but_lines_of_json_is_written_by_a_process_of_its_own(tmp_path: Path) -> None:
    """All bundled days, Great Expectations included, as the command line calls it."""
    environ = {name: value for name, value in os.environ.items() if not name.startswith("PY_RT_")}
    done = subprocess.run(
        [sys.executable, "-m", "pipelines.run", "--select", BARS_GROUPS, "--json"],
        cwd=ROOT,
        env=environ | {"PY_RT_HOME": str(tmp_path / "home")},
        capture_output=True,
        text=True,
        timeout=240,
        check=False,
    )
    assert done.returncode == 0, done.stdout + done.stderr
    lines = [json.loads(line) for line in done.stdout.splitlines()]
    summary = lines[-1]
    assert (summary["event"], summary["success"], summary["assets"]) == ("summary", True, len(BARS_ASSETS))
    assert summary["materializations"] == (len(BARS_ASSETS) - 4) * 94 + 4
    assert (summary["checks_passed"], summary["checks_warned"], summary["checks_failed"]) == (38, 0, [])
    suite = next(line for line in lines if line.get("check") == "meets_expectations")
    assert (suite["passed"], suite["metadata"]["expectations"]) == (True, 15)
    assert table(tmp_path / "home", "clean_bars").height == 8_928

from __future__ import annotations

import json
import os
import re
import shutil
import subprocess
import sys
import tarfile
from datetime import date
from pathlib import Path
from typing import TYPE_CHECKING

import polars as pl
import pytest
import typer
from typer.testing import CliRunner

from py_rt.cli import data_add
from py_rt.data.ingestion.received import Received
from py_rt.data.storage import Lake, exists, scan
from tests.py_rt.data.loopback import Asked, Reply, serving

if TYPE_CHECKING:
    from typer.testing import Result

GUIDE = Path(__file__).resolve().parents[3] / "docs" / "guides" / "add-a-source.md"
DAY_MS = 86_400_000

app = typer.Typer()
data = typer.Typer()
data_add.add_to(data)
app.add_typer(data, name="data")


def run(line: str) -> Result:
    return CliRunner().invoke(app, line.split())


@pytest.fixture(autouse=True)
def place(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    monkeypatch.chdir(tmp_path)
    monkeypatch.setenv("PY_RT_HOME", str(tmp_path / "home"))
    monkeypatch.delenv("PY_RT_LAKE", raising=False)
    return tmp_path


def blocks(language: str) -> list[str]:
    return re.findall(rf"^```{language}\n(.*?)^```", GUIDE.read_text(), re.MULTILINE | re.DOTALL)


def answer(asked: Asked) -> Reply:
    """The endpoints of the guide: hours of a day in two pages, and a score."""
    if asked.path.startswith("/v1/sentiment/"):
        published = 1_704_200_000 * 10**9
        return Reply(json.dumps([{"instrument": "BTC", "score": 0.25, "published": published}]).encode())
    start = int(asked.query["from"])
    assert int(asked.query["to"]) == start + DAY_MS
    half = int(asked.query.get("cursor", "0"))
    hours = range(half * 12, half * 12 + 12)
    items = [{"timestamp": start + hour * 3_600_000, "oi": f"{1000 + hour}.5"} for hour in hours]
    return Reply(json.dumps({"data": {"items": items, "next": None if half else 1}}).encode())


def follow_guide(folder: Path, url: str) -> list[str]:
    """Write the guide's files as it says, with the server's address, and give its commands."""
    definition, entry_point, *_ = blocks("toml")
    (module,) = blocks("python")
    (folder / "config" / "sources").mkdir(parents=True)
    path = folder / "config" / "sources" / "open_interest.toml"
    path.write_text(definition.replace("https://api.example.com", url))
    installed = folder / "installed"
    (installed / "sentiment_source-1.dist-info").mkdir(parents=True)
    (installed / "sentiment_source.py").write_text(module.replace("https://api.example.com", url))
    named = re.search(r'entry-points\."(.+)"\]\n(\w+) = "(.+)"', entry_point)
    assert named
    entries = f"[{named[1]}]\n{named[2]} = {named[3]}\n"
    (installed / "sentiment_source-1.dist-info" / "entry_points.txt").write_text(entries)
    metadata = "Metadata-Version: 2.1\nName: sentiment-source\nVersion: 1\n"
    (installed / "sentiment_source-1.dist-info" / "METADATA").write_text(metadata)
    return [line.removeprefix("py_rt ") for block in blocks("sh") for line in block.splitlines()]


def test_every_command_of_the_guide_does_what_it_says(place: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    with serving(answer) as server:
        commands = follow_guide(place, server.url)
        monkeypatch.syspath_prepend(str(place / "installed"))
        said = {}
        for command in commands:
            done = run(command)
            assert done.exit_code == 0, (command, done.output)
            said[command] = done.output
    assert len(commands) == 5
    first = said["data add open_interest --partition 2024-01-02"]
    assert "partition 2024-01-02: 24 rows, 2 payloads" in first
    assert "asset: open_interest (group raw), daily; checks fits_schema, row_count, fresh, usual_volume" in first
    assert "open_interest: 3 landed; 72 rows" in said["data fetch open_interest --from 2024-01-01 --to 2024-01-03"]
    lines = [json.loads(line) for line in said[commands[-1]].splitlines()]
    assert [line["event"] for line in lines] == ["partition", "done"]
    lake = Lake(str(place / "home" / "lake"))
    rows = scan(lake.uri("raw", "open_interest")).sort("ts").collect()
    assert rows["open_interest"].head(2).to_list() == [100_050_000_000, 100_150_000_000]
    assert (rows["ts_known"] - rows["ts"]).unique().to_list() == [60 * 10**9]
    assert rows["date"].unique().sort().to_list() == [date(2024, 1, number) for number in (1, 2, 3)]
    score = scan(lake.uri("raw", "sentiment")).collect().row(0, named=True)
    assert (score["score"], score["ts_known"]) == (0.25, 1_704_200_000 * 10**9)
    listed = run("data list").output
    assert re.search(r"open_interest +day +3 landed +Hourly open interest", listed)
    assert re.search(r"sentiment +day +1 landed", listed)


def test_the_guide_runs_as_an_asset_with_its_checks(place: Path) -> None:
    import dagster as dg

    from assets.sources import discovered
    from pipelines.io_managers import DeltaIOManager

    with serving(answer) as server:
        follow_guide(place, server.url)
        made = discovered(["open_interest"])
        lake = Lake(str(place / "home" / "lake"))
        resources = {
            "io_manager": DeltaIOManager(lake, place / "artifacts"),
            "lake": lake,
            "landing": place / "home" / "landing",
        }
        instance = dg.DagsterInstance.ephemeral()
        for day in ("2024-01-01", "2024-01-02", "2024-01-02"):
            done = dg.materialize(made, partition_key=day, resources=resources, instance=instance)
            assert done.success
        assert len(server.asked) == 4  # two pages a day, and none for the rerun
    checks = {check.check_name: check for check in done.get_asset_check_evaluations()}
    assert set(checks) == {"fits_schema", "row_count", "fresh", "usual_volume"}
    assert {name: check.passed for name, check in checks.items()} == {
        "fits_schema": True,
        "row_count": True,
        "fresh": False,  # 2024 is long over
        "usual_volume": True,
    }
    assert "data:image/png;base64" in str(checks["usual_volume"].metadata["volume"].value)
    (event,) = done.get_asset_materialization_events()
    metadata = event.step_materialization_data.materialization.metadata
    assert metadata["dagster/row_count"].value == 24
    assert metadata["changed"].value is False
    assert scan(lake.uri("raw", "open_interest")).collect().height == 48


def test_an_asset_of_too_few_rows_fails_and_the_next_run_heals(place: Path) -> None:
    import dagster as dg

    from assets.sources import discovered
    from pipelines.io_managers import DeltaIOManager

    def short(asked: Asked) -> Reply:
        if is_late:
            return answer(asked)
        item = {"timestamp": int(asked.query["from"]), "oi": "1"}
        return Reply(json.dumps({"data": {"items": [item], "next": None}}).encode())

    is_late = False

    lake = Lake(str(place / "home" / "lake"))
    resources = {
        "io_manager": DeltaIOManager(lake, place / "artifacts"),
        "lake": lake,
        "landing": place / "home" / "landing",
    }
    with serving(short) as server:
        follow_guide(place, server.url)
        made = discovered(["open_interest"])
        done = dg.materialize(made, partition_key="2024-01-01", resources=resources, raise_on_error=False)
        (failure,) = (event for event in done.all_events if event.is_step_failure)
        assert "2024-01-01: has 1 rows, wanted are at least 24" in str(failure.step_failure_data.error)
        assert not exists(lake.uri("raw", "open_interest"))
        is_late = True
        assert dg.materialize(made, partition_key="2024-01-01", resources=resources).success
    assert scan(lake.uri("raw", "open_interest")).collect().height == 24


def test_no_definition_and_no_package_stops_the_others(place: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    import dagster as dg

    from assets.sources import discovered

    follow_guide(place, "http://127.0.0.1:9")
    folder = place / "config" / "sources"
    good = (folder / "open_interest.toml").read_text()
    (folder / "raw_bars.toml").write_text(good)
    (folder / "model_lgbm.toml").write_text(good)
    (folder / "listed_key.toml").write_text(good.replace('key = ["ts"]', "key = 5"))
    (folder / "flat_known.toml").write_text(good.replace("[known]", "[[known]]"))
    (folder / "pattern.toml").write_text(
        'kind = "files"\n[options]\nfolder = "."\npattern = "{date"\n[[column]]\nname="a"'
    )
    (folder / "not-utf8.toml").write_bytes(b"\xff\xfe")
    (folder / "secret.toml").write_text(good.replace("# auth", "auth"))
    slips = "class Slips:\n    @property\n    def table(self):\n        raise ZeroDivisionError('mine')\n"
    install(place / "slips", slips.replace("Slips", "Odd"))
    monkeypatch.syspath_prepend(str(place / "slips"))
    monkeypatch.delitem(sys.modules, "odd_source", raising=False)
    listed = run("data list --json")
    assert listed.exit_code == 0, listed.output
    by_name = {one["name"]: one for one in json.loads(listed.output)}
    for name in ("raw_bars", "listed_key", "flat_known", "pattern", "not-utf8", "odd"):
        assert by_name[name]["partitioning"] == "?", name
    assert by_name["open_interest"]["partitioning"] == by_name["secret"]["partitioning"] == "day"
    assert "is the name of a table that py_rt makes itself" in run("data fetch raw_bars").output
    assets = [made for made in discovered(taken={"model_lgbm"}) if not isinstance(made, dg.AssetChecksDefinition)]
    assert sorted(asset.key.to_user_string() for asset in assets) == ["open_interest", "secret"]


def test_a_table_is_made_anew_when_its_columns_have_changed(place: Path) -> None:
    with serving(answer) as server:
        follow_guide(place, server.url)
        assert run("data fetch open_interest --from 2024-01-01 --to 2024-01-02").exit_code == 0
        asked = len(server.asked)
        path = place / "config" / "sources" / "open_interest.toml"
        path.write_text(path.read_text().replace('type = "decimal"', 'type = "number"'))
        done = run("data rebuild open_interest")
        assert done.output.startswith("open_interest: 48 rows in "), done.output
        again = json.loads(run("data rebuild open_interest --json").output)
        assert (again["rows"], again["changed"]) == (48, False)
        assert len(server.asked) == asked
    rows = scan(Lake(str(place / "home" / "lake")).uri("raw", "open_interest")).sort("ts").collect()
    assert rows["open_interest"][0] == 1000.5
    nothing = run("data rebuild bundled_stocks")
    assert nothing.exit_code == 2
    assert "holds nothing: fetch it first" in nothing.output


def test_a_file_may_be_called_whatever_it_is_called(place: Path) -> None:
    (place / "config" / "sources").mkdir(parents=True)
    text = 'kind = "files"\npartition = "key"\n[options]\nfolder = "drop"\npattern = "{key}.csv"\nformat = "csv"\n'
    (place / "config" / "sources" / "drops.toml").write_text(text + '[[column]]\nname = "a"\n')
    names = ["A+B", "a b", "plain", "sub/dir", "x=y", "_begins", "ünï", "a%b"]
    for name in names:
        (place / "drop" / f"{name}.csv").parent.mkdir(parents=True, exist_ok=True)
        (place / "drop" / f"{name}.csv").write_text(f"a\n{name}\n")
    long = "l" * 140
    for number in range(4):
        (place / "drop" / f"{long}{number}.csv").write_text("a\n1\n")
    done = run("data fetch drops --json")
    summary = json.loads(done.output.splitlines()[-1])
    assert summary["partitions"] == {"landed": len(names), "failed": 4}, done.output
    rows = scan(Lake(str(place / "home" / "lake")).uri("raw", "drops")).collect()
    assert sorted(rows["a"].to_list()) == sorted(names)


def test_a_dropped_file_whose_column_has_another_name_is_refused_and_kept(place: Path) -> None:
    (place / "config" / "sources").mkdir(parents=True)
    (place / "drop").mkdir()
    text = 'kind = "files"\npartition = "key"\n[options]\nfolder = "drop"\npattern = "{key}.csv"\nformat = "csv"\n'
    columns = '[[column]]\nname = "ts"\n[[column]]\nname = "close"\nnullable = true\n'
    (place / "config" / "sources" / "drops.toml").write_text(text + columns)
    (place / "drop" / "a.csv").write_text("ts,Close\n1,2\n")
    told = "source drops: a/a.csv: the header has no column 'close'; it has 'ts', 'Close'"
    tried = run("data add drops --partition a")
    assert (tried.exit_code, told in tried.output) == (1, True), tried.output
    done = run("data fetch drops")
    assert (done.exit_code, told in done.output) == (1, True), done.output
    (kept,) = (place / "home" / "landing" / "drops" / "content").glob("*/*")
    assert kept.read_text() == "ts,Close\n1,2\n"
    (place / "drop" / "a.csv").write_text("ts,close\n1,2\n")
    assert run("data fetch drops").output.startswith("drops: 1 landed; 1 rows")


def test_what_is_no_file_is_refused_and_never_waited_for(place: Path) -> None:
    (place / "config" / "sources").mkdir(parents=True)
    text = 'kind = "files"\npartition = "key"\n[options]\nfolder = "drop"\npattern = "{key}.csv"\nformat = "csv"\n'
    (place / "config" / "sources" / "drops.toml").write_text(text + '[[column]]\nname = "a"\n')
    (place / "drop" / "folder.csv").mkdir(parents=True)
    os.mkfifo(place / "drop" / "pipe.csv")
    (place / "drop" / "whole.csv").write_text("a\n1\n")
    line = [sys.executable, "-c", "from py_rt.cli.main import main; raise SystemExit(main())", "data", "fetch", "drops"]
    environment = {**os.environ, "PYTHONPATH": f"{GUIDE.parents[2]}:{os.environ.get('PYTHONPATH', '')}"}
    done = subprocess.run(line, env=environment, check=False, timeout=60, capture_output=True, text=True)
    assert done.returncode == 1
    assert done.stdout.startswith("drops: 1 failed, 1 landed; 1 rows")
    assert "source drops: pipe/pipe.csv: is no file; put one there" in done.stderr
    assert "source drops: folder/folder.csv: is no file" in run("data fetch drops --key folder").output


@pytest.mark.parametrize("pattern", ["../{key}.csv", "/{key}.csv", "a/../../{key}.csv"])
def test_a_pattern_that_leads_out_of_its_folder_is_refused_with_its_line(place: Path, pattern: str) -> None:
    (place / "config" / "sources").mkdir(parents=True)
    path = place / "config" / "sources" / "drops.toml"
    text = f'kind = "files"\npartition = "key"\n[options]\nfolder = "drop"\npattern = "{pattern}"\n'
    path.write_text(text + '[[column]]\nname = "a"\n')
    done = run("data add drops")
    assert done.exit_code == 2
    assert (
        f"{path}:5: options.pattern: is '{pattern}', which leads out of the folder; name what lies in it" in done.output
    )


def test_a_refusal_that_cannot_be_read_stops_no_list(place: Path) -> None:
    refused = place / "home" / "landing" / "bundled_stocks" / "refused"
    (refused / "AAPL.json").mkdir(parents=True)
    (refused / "IBM.json").write_text("")
    done = run("data list --json")
    assert done.exit_code == 0, done.output
    assert [one["refused"] for one in json.loads(done.output) if one["name"] == "bundled_stocks"] == [2]
    for problem in Received(place / "home" / "landing", "bundled_stocks").refused().values():
        assert problem.startswith(str(refused))
        assert problem.endswith("; remove it")


def test_a_trial_keeps_nothing_and_tells_a_fault(place: Path) -> None:
    with serving(lambda _asked: Reply(b"<html>sign in</html>")) as server:
        follow_guide(place, server.url)
        done = run("data add open_interest --partition 2024-01-02 --json")
    assert done.exit_code == 1
    found = json.loads(done.output)
    assert "source open_interest: 2024-01-02/page-00001: " in found["problem"]
    assert "an HTML page and status 200" in found["problem"]
    assert not (place / "home").exists()


def test_a_wrong_definition_and_an_unknown_name_are_status_2(place: Path) -> None:
    done = run("data add nothing_such")
    assert done.exit_code == 2
    assert "known are bundled_indices, bundled_stocks" in done.output
    (place / "config" / "sources").mkdir(parents=True)
    (place / "config" / "sources" / "odd.toml").write_text('kind = "rest"\ncolor = 1\n[[column]]\nname = "a"\n')
    done = run("data add odd --json")
    assert done.exit_code == 2
    assert "odd.toml:2: color: is not known" in json.loads(done.output)["error"]


def test_the_examples_work_without_a_network(place: Path) -> None:
    done = run("data add bundled_stocks")
    assert done.exit_code == 0, done.output
    assert "partition AAPL: 3270 rows, 1 payloads" in done.output
    done = run("data fetch bundled_stocks --key AAPL --key IBM")
    assert done.exit_code == 0, done.output
    assert done.output.startswith("bundled_stocks: 2 landed; 6540 rows in ")
    again = run("data fetch bundled_stocks --key AAPL --key IBM --json")
    assert json.loads(again.output.splitlines()[-1])["partitions"] == {"unchanged": 2}
    assert pl.read_delta(str(place / "home" / "lake" / "raw" / "bundled_stocks")).height == 6_540


@pytest.mark.parametrize(
    ("line", "words"),
    [
        ("data fetch bundled_stocks --from 2024-01-01", "is cut by key, not by days"),
        ("data fetch open_interest --key BTC", "is cut by days"),
        ("data fetch open_interest --from 2024-01-09 --to 2024-01-01", "is before"),
        ("data fetch open_interest --from soon", "is no day"),
        ("data fetch open_interest --from 2024-01-01 --to 2999-01-01", "2999-01-01 is not over; the last whole day is"),
        ("data fetch open_interest --from 9999-12-31 --to 9999-12-31", "9999-12-31 is not over"),
    ],
)
def test_what_does_not_fit_the_source_is_refused(place: Path, line: str, words: str) -> None:
    follow_guide(place, "http://127.0.0.1:9")
    done = run(line)
    assert done.exit_code == 2
    assert words in " ".join(done.output.replace("│", " ").split())


SHARED = Path(os.environ.get("PY_RT_SHARED_DATA", Path(__file__).resolve().parents[4] / "shared" / "data"))
DROPS = SHARED / "raw_landing_us_market_daily"
needs_drops = pytest.mark.skipif(not DROPS.is_dir(), reason=f"recorded market data not found at {SHARED}")

DROP = """
kind = "files"
description = "Facts of 10-Q and 10-K reports, as dropped each day"
first_day = 2015-03-23
[options]
folder = "$DROPS"
pattern = "{date:%Y%m%d}.tar.gz"
format = "csv"
packing = "tar.gz"
member = "{member}"
header = [{header}]
header_absent = "sometimes"
repeated_header = "{repeated}"
"""


def lines_in(day: str) -> list[str]:
    with tarfile.open(DROPS / f"{day}.tar.gz") as archive:
        file = archive.extractfile("prices.csv")
        assert file is not None
        return file.read().decode().splitlines()


@needs_drops
def test_real_drops_are_landed_with_their_defects_told(place: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("DROPS", str(DROPS))
    first, lines_of_friday = lines_in("20150402"), lines_in("20150406")
    header = first[0].split(",")
    columns = "".join(
        f'\n[[column]]\nname = "{name if name != "date" else "day"}"\nfrom = "{name}"\nnullable = true\n'
        for name in header
    )

    def define(repeated: str) -> None:
        text = DROP.replace("{member}", "prices.csv").replace("{repeated}", repeated)
        text = text.replace("{header}", ", ".join(f'"{name}"' for name in header))
        (place / "config" / "sources").mkdir(parents=True, exist_ok=True)
        (place / "config" / "sources" / "drops.toml").write_text(text + columns)

    define("refuse")
    done = run("data fetch drops --from 2015-04-02 --to 2015-04-06 --json")
    lines = [json.loads(line) for line in done.output.splitlines()]
    by_day = {line["partition"]: line for line in lines[:-1]}
    assert by_day["2015-04-02"]["rows"] == len(first) - 1
    assert {by_day[f"2015-04-0{day}"]["outcome"] for day in (3, 4, 5)} == {"absent"}  # Good Friday and a weekend
    second = lines_of_friday.index(",".join(header), 1) + 1
    assert f"2015-04-06/20150406.tar.gz: row {second}: is the header again" in by_day["2015-04-06"]["problem"]
    assert done.exit_code == 1
    define("skip")
    healed = run("data fetch drops --from 2015-04-06 --to 2015-04-06 --json")
    assert json.loads(healed.output.splitlines()[-1])["rows"] == len(lines_of_friday) - 2


def test_a_definition_that_changes_is_read_anew_from_what_was_landed(place: Path) -> None:
    with serving(answer) as server:
        follow_guide(place, server.url)
        fetch = "data fetch open_interest --from 2024-01-01 --to 2024-01-01"
        assert run(fetch).exit_code == 0
        asked = len(server.asked)
        path = place / "config" / "sources" / "open_interest.toml"
        path.write_text(path.read_text().replace("lag_seconds = 60", "lag_seconds = 90"))
        assert run(fetch).exit_code == 0
        lake = Lake(str(place / "home" / "lake"))
        rows = scan(lake.uri("raw", "open_interest")).collect()
        assert (rows["ts_known"] - rows["ts"]).unique().to_list() == [90 * 10**9]
        path.write_text(path.read_text().replace('type = "decimal"', 'type = "number"'))
        refused = run(fetch)
        assert refused.exit_code == 2
        assert "other columns than the table has (open_interest: table Int64, rows Float64)" in refused.output
        shutil.rmtree(lake.uri("raw", "open_interest"))
        assert run(fetch).exit_code == 0
        assert scan(lake.uri("raw", "open_interest")).sort("ts").collect()["open_interest"][0] == 1000.5
        assert len(server.asked) == asked


@pytest.mark.parametrize("command", ["add", "list", "fetch", "rebuild"])
def test_every_command_explains_itself_with_an_example(command: str) -> None:
    done = run(f"data {command} --help")
    assert done.exit_code == 0
    assert f"Example: py_rt data {command}" in done.output


def install(folder: Path, module: str) -> None:
    """A package with one module and an entry point, as an installer leaves it."""
    (folder / "odd-1.dist-info").mkdir(parents=True)
    (folder / "odd_source.py").write_text(module)
    (folder / "odd-1.dist-info" / "entry_points.txt").write_text("[py_rt.sources]\nodd = odd_source:Odd\n")
    (folder / "odd-1.dist-info" / "METADATA").write_text("Metadata-Version: 2.1\nName: odd\nVersion: 1\n")


@pytest.mark.parametrize(
    ("module", "words"),
    [
        ("import nothing_such\n", "cannot be loaded: ModuleNotFoundError"),
        ("class Odd:\n    pass\n", "does not make an object with table, fetch() and rows()"),
        ("Odd = 7\n", "does not make an object with table, fetch() and rows()"),
    ],
)
def test_a_package_that_makes_no_source_is_told_and_stops_no_list(
    place: Path, monkeypatch: pytest.MonkeyPatch, module: str, words: str
) -> None:
    install(place / "installed", module)
    monkeypatch.syspath_prepend(str(place / "installed"))
    monkeypatch.delitem(sys.modules, "odd_source", raising=False)
    done = run("data add odd")
    assert done.exit_code == 2
    assert words in " ".join(done.output.split())
    listed = run("data list")
    assert listed.exit_code == 0
    assert "bundled_stocks" in listed.output
    assert words in listed.output

from __future__ import annotations

import json
import os
import random
import signal
import subprocess
import sys
from contextlib import suppress
from dataclasses import dataclass, field, replace
from datetime import date, timedelta
from pathlib import Path
from typing import TYPE_CHECKING

import polars as pl
import pytest

from py_rt.data.ingestion import ingest as ingest_module
from py_rt.data.ingestion.expected import due_ns
from py_rt.data.ingestion.ingest import ingest, land
from py_rt.data.ingestion.publishing import days, rebuild, rows_of_days
from py_rt.data.ingestion.received import DamagedLandingError, FullLandingError, Received
from py_rt.data.ingestion.source import PARTITION, Expected, Known, PartitionedSource, Payload, SourceTable
from py_rt.data.point_in_time import as_known
from py_rt.data.schemas import Column
from py_rt.data.storage import DayWindow, Lake, exists, rows_by_partition, scan, table_version
from py_rt.errors import SourceError
from tests.py_rt.data.loopback import Asked, Reply, serving

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator

ROOT = Path(__file__).resolve().parents[3]
DAY = date(2024, 3, 1)
WINDOW = DayWindow(DAY, DAY + timedelta(days=4))
NOW = 1_750_000_000 * 10**9


@dataclass
class Counting:
    """A source whose content a test changes."""

    partitioning: str = "day"
    pages: dict[str, list[bytes]] = field(default_factory=dict)
    known: Known = field(default_factory=Known)
    fetched: list[str] = field(default_factory=list)
    key: tuple[str, ...] = ()
    sha256: str = "d1"
    expected: Expected = field(default_factory=Expected)

    @property
    def table(self) -> SourceTable:
        columns = (Column("at", pl.Int64(), "time"), Column("value", pl.Int64(), "value", minimum=0))
        return SourceTable(
            "counting",
            "Counts",
            columns,
            key=self.key,
            partitioning=self.partitioning,  # type: ignore[arg-type]
            known=self.known,
            expected=self.expected,
            definition_sha256=self.sha256,
        )

    def fetch(self, partition: str, after: str | None = None) -> Iterator[Payload]:  # noqa: ARG002  # of the protocol
        self.fetched.append(partition)
        for number, content in enumerate(self.pages.get(partition, []), 1):
            yield Payload(f"page-{number}", content, origin="memory")

    def rows(self, payload: Payload, partition: str) -> pl.DataFrame:
        schema = {"at": pl.Int64, "value": pl.Int64}
        try:
            return pl.DataFrame(json.loads(payload.content), schema=schema, orient="row")
        except ValueError as error:
            raise SourceError("counting", f"{partition}/{payload.name}", 1, "is no JSON") from error


def page(*rows: tuple[int, int]) -> bytes:
    return json.dumps(rows).encode()


@pytest.fixture
def received(tmp_path: Path) -> Received:
    return Received(tmp_path / "landing", "counting")


@pytest.fixture
def lake(tmp_path: Path) -> Lake:
    return Lake(str(tmp_path / "lake"))


def of(day: int) -> str:
    return (DAY + timedelta(days=day)).isoformat()


def tree(folder: Path) -> dict[str, bytes]:
    return {path.relative_to(folder).as_posix(): path.read_bytes() for path in folder.rglob("*") if path.is_file()}


def test_a_class_with_three_members_is_a_source() -> None:
    assert isinstance(Counting(), PartitionedSource)


def test_a_rerun_asks_nobody_and_changes_no_byte(tmp_path: Path, received: Received, lake: Lake) -> None:
    source = Counting(pages={of(0): [page((1, 1)), page((2, 2))], of(1): []})
    first = ingest(source, [of(0), of(1)], received, lake, lambda: NOW)
    assert [(step.outcome, step.rows) for step in first.steps] == [("landed", 2), ("landed", 0)]
    before = tree(tmp_path)
    again = ingest(source, [of(0), of(1)], received, lake, lambda: NOW + 1)
    assert [step.outcome for step in again.steps] == ["unchanged", "unchanged"]
    assert source.fetched == [of(0), of(1)]
    assert tree(tmp_path) == before


def test_asked_again_the_same_bytes_change_nothing_and_others_are_kept_beside_them(
    received: Received, lake: Lake
) -> None:
    source = Counting(pages={of(0): [page((5, 1))]}, known=Known("at", lag_ns=10))
    ingest(source, [of(0)], received, lake, lambda: NOW)
    version = table_version(lake.uri("raw", "counting"))
    same = ingest(source, [of(0)], received, lake, lambda: NOW + 1, again=True)
    assert [step.outcome for step in same.steps] == ["unchanged"]
    assert table_version(lake.uri("raw", "counting")) == version
    source.pages[of(0)] = [page((5, 2))]
    other = ingest(source, [of(0)], received, lake, lambda: NOW + 2, again=True)
    assert [step.outcome for step in other.steps] == ["restated"]
    rows = scan(lake.uri("raw", "counting")).sort("source_version").collect()
    assert rows["value"].to_list() == [1, 2]
    # The first was known when the source says, the restatement when it came.
    assert rows["ts_known"].to_list() == [15, NOW + 2]


@pytest.mark.parametrize(
    ("known", "arrivals", "wanted"),
    [
        # Out after 100, so that neither the restatement that comes before nor what it restates is known earlier.
        (Known("at", lag_ns=NOW + 95), (1, 2, 200), (NOW + 100, NOW + 100, NOW + 200)),
        # The clock steps back.
        (Known(), (9, 2, 5), (NOW + 9, NOW + 9, NOW + 9)),
    ],
    ids=["lag", "clock"],
)
@pytest.mark.parametrize("key", [(), ("at",)], ids=["rows", "key"])
def test_a_restatement_is_not_known_before_what_it_restates(
    received: Received, lake: Lake, known: Known, arrivals: tuple[int, ...], wanted: tuple[int, ...], key: tuple[str]
) -> None:
    source = Counting(known=known, key=key)
    for value, arrival in enumerate(arrivals):
        source.pages[of(0)] = [page((5, value))]
        ingest(source, [of(0)], received, lake, lambda arrival=arrival: NOW + arrival, again=True)  # type: ignore[misc]
    rows = scan(lake.uri("raw", "counting")).sort("source_version").collect()
    assert rows["ts_known"].to_list() == list(wanted)
    assert as_known(rows, NOW + 99, key=["at"], version="source_version")["value"].to_list() == (
        [2] if known.column is None else []
    )
    assert as_known(rows, NOW + 300, key=["at"], version="source_version")["value"].to_list() == [2]


def test_a_row_is_held_against_the_same_row_of_the_versions_before(received: Received) -> None:
    source = Counting(known=Known("value"), key=("at",))
    for arrival, rows in enumerate([((1, NOW + 50), (2, NOW + 70)), ((1, 0),), ((2, 0), (1, 0), (3, 0))], 1):
        source.pages[of(0)] = [page(*rows)]
        ingest(source, [of(0)], received, None, lambda arrival=arrival: NOW + arrival, again=True)  # type: ignore[misc]
    found = rows_of_days(source, received, WINDOW).filter(pl.col("source_version") > 1)
    assert found.select("at", "ts_known").rows() == [(1, NOW + 50), (2, NOW + 70), (1, NOW + 50), (3, NOW + 3)]


def test_of_a_day_the_end_is_when_it_was_known(received: Received) -> None:
    source = Counting(pages={of(0): [page((5, 1))]})

    class Dated(Counting):
        @property
        def table(self) -> SourceTable:
            return SourceTable("counting", "", (Column("on", pl.Date(), "day"),), known=Known("on"))

        def rows(self, payload: Payload, partition: str) -> pl.DataFrame:
            return super().rows(payload, partition).select(on=pl.lit(date(1970, 1, 2)))

    dated = Dated(pages=source.pages)
    with received.alone():
        land(dated, of(0), received, lambda: NOW)
    assert rows_of_days(dated, received, WINDOW)["ts_known"].to_list() == [2 * 86_400 * 10**9]


def test_what_cannot_be_read_is_refused_whole_kept_and_healed_by_the_next_run(
    tmp_path: Path, received: Received, lake: Lake
) -> None:
    source = Counting(pages={of(0): [page((1, 1)), b"<html>"], of(1): [page((2, 2))]})
    done = ingest(source, [of(0), of(1)], received, lake, lambda: NOW)
    assert [step.outcome for step in done.steps] == ["failed", "landed"]
    assert done.failed[0].problem == f"source counting: {of(0)}/page-2: row 1: is no JSON"
    assert received.versions(of(0)) == []
    assert set(received.refused()) == {of(0)}
    assert b"<html>" in tree(tmp_path / "landing" / "counting" / "content").values()
    assert rows_by_partition(lake.uri("raw", "counting")) == {DAY + timedelta(days=1): 1}
    source.pages[of(0)][1] = page((3, 3))
    healed = ingest(source, [of(0), of(1)], received, lake, lambda: NOW)
    assert [step.outcome for step in healed.steps] == ["landed", "unchanged"]
    assert received.refused() == {}
    assert rows_by_partition(lake.uri("raw", "counting"))[DAY] == 2


def content(received: Received) -> set[bytes]:
    return {path.read_bytes() for path in (received.folder / "content").rglob("*") if path.is_file()}


def endless(size: int, bytes_more: int = 0) -> Iterator[bytes]:
    """Pages without an end; a source that reads on for ever would not come back."""
    for number in range(10_000):
        yield page(*((number, at) for at in range(size))) + b" " * bytes_more
    pytest.fail("all 10,000 pages were asked for")


def test_paging_ends_as_soon_as_there_are_too_many_rows_or_bytes(
    received: Received, monkeypatch: pytest.MonkeyPatch
) -> None:
    def problem(**more: object) -> str:
        source = Counting(pages={of(0): endless(5, 100)}, **more)  # type: ignore[arg-type,dict-item]
        (step,) = ingest(source, [of(0)], received, None, lambda: NOW).steps
        return step.problem

    assert f"{of(0)}: has 15 rows or more, wanted are at most 12" in problem(expected=Expected(rows_max=12))
    assert len(content(received)) == 3
    monkeypatch.setattr(ingest_module, "PARTITION_BYTES_MAX", 1_000)
    assert f"{of(0)}: has more than 1000 bytes; cut it finer" in problem()
    monkeypatch.setattr(ingest_module, "PARTITION_ROWS_MAX", 20)
    monkeypatch.setattr(ingest_module, "PARTITION_BYTES_MAX", 10_000)
    assert f"{of(0)}: has more than 20 rows; cut it finer" in problem()


def test_content_that_nothing_names_is_removed(received: Received) -> None:
    good, bad, worse, shared = page((1, 1)), b"<html>1", b"<html>2", page((9, 9))
    source = Counting(pages={of(0): [shared, good, bad], of(1): [shared]})
    ingest(source, [of(0), of(1)], received, None, lambda: NOW)
    assert content(received) == {shared, good, bad}
    source.pages[of(0)] = [worse]
    ingest(source, [of(0)], received, None, lambda: NOW)
    assert content(received) == {shared, worse}
    source.pages[of(0)] = [good]
    ingest(source, [of(0)], received, None, lambda: NOW)
    assert content(received) == {shared, good}
    assert received.check() == []


DIES = """
import os, signal, sys
from pathlib import Path
from py_rt.data.ingestion.ingest import ingest
from py_rt.data.ingestion.received import Received
from py_rt.data.ingestion.source import Payload, SourceTable
class Dies:
    table = SourceTable("counting", "", ())
    def fetch(self, partition, after=None):
        yield Payload("page-1", b"[[7, 7]]")
    def rows(self, payload, partition):
        os.kill(os.getpid(), signal.SIGKILL)
ingest(Dies(), ["2024-03-02"], Received(Path(sys.argv[1]), "counting"), None, lambda: 1_750_000_000 * 10**9)
"""


def test_content_of_a_run_that_died_is_removed_by_the_next(received: Received) -> None:
    source = Counting(pages={of(0): [page((1, 1))], of(1): [page((2, 2))]})
    ingest(source, [of(0)], received, None, lambda: NOW)
    line = [sys.executable, "-c", DIES, str(received.folder.parent)]
    died = subprocess.run(line, cwd=ROOT, env={**os.environ, "PYTHONPATH": str(ROOT)}, check=False, timeout=100)
    assert died.returncode == -signal.SIGKILL
    assert content(received) == {page((1, 1)), b"[[7, 7]]"}
    ingest(source, [of(0)], received, None, lambda: NOW)
    assert content(received) == {page((1, 1))}
    assert not any((received.folder / "incoming").iterdir())


def test_where_a_record_cannot_be_read_all_content_stays(received: Received) -> None:
    source = Counting(pages={of(0): [page((1, 1))], of(1): [b"<html>1"]})
    ingest(source, [of(0), of(1)], received, None, lambda: NOW)
    (received.folder / "partitions" / of(0) / "0001.json").write_text("{")
    source.pages[of(1)] = [page((2, 2))]
    ingest(source, [of(1)], received, None, lambda: NOW)
    assert content(received) == {page((1, 1)), b"<html>1", page((2, 2))}


def test_a_row_that_breaks_a_rule_is_named(received: Received, lake: Lake) -> None:
    source = Counting(pages={of(0): [page((1, 1), (2, -5))]})
    done = ingest(source, [of(0)], received, lake, lambda: NOW)
    assert "page-1: row 2: breaks the rule 'value >= 0'; 1 rows do" in done.failed[0].problem


def test_rows_with_one_key_are_not_published(received: Received, lake: Lake) -> None:
    source = Counting(pages={of(0): [page((1, 1)), page((1, 1))]}, key=("at",))
    done = ingest(source, [of(0)], received, lake, lambda: NOW)
    assert "key (date, source_partition, at, source_version) is unique: 2 rows" in done.failed[0].problem
    assert rows_by_partition(lake.uri("raw", "counting")) == {}
    source.pages[of(0)].pop()
    healed = ingest(source, [of(0)], received, lake, lambda: NOW)
    assert [step.outcome for step in healed.steps] == ["landed"]


def test_many_days_are_a_few_commits_and_a_rerun_none(received: Received, lake: Lake) -> None:
    wanted = [of(day) for day in range(300)]
    source = Counting(pages={day: [page((1, number), (2, number))] for number, day in enumerate(wanted)})
    done = ingest(source, wanted, received, lake, lambda: NOW)
    assert (len(done.steps), len(done.days), done.failed) == (300, 300, [])
    version = table_version(lake.uri("raw", "counting"))
    assert version <= 300 // 64 + 2
    assert rows_by_partition(lake.uri("raw", "counting")) == {DAY + timedelta(days=day): 2 for day in range(300)}
    again = ingest(source, wanted, received, lake, lambda: NOW)
    assert {step.outcome for step in again.steps} == {"unchanged"}
    assert table_version(lake.uri("raw", "counting")) == version


def test_days_apart_leave_what_lies_between_alone(received: Received, lake: Lake) -> None:
    source = Counting(pages={of(day): [page((1, day))] for day in range(5)})
    ingest(source, [of(2)], received, lake, lambda: NOW)
    ingest(source, [of(0), of(4), of(1)], received, lake, lambda: NOW)
    assert sorted(rows_by_partition(lake.uri("raw", "counting"))) == [DAY + timedelta(days=day) for day in (0, 1, 2, 4)]  # type: ignore[type-var]


def test_after_three_failures_in_a_row_the_rest_waits(received: Received, lake: Lake) -> None:
    source = Counting(pages={of(day): [b"no"] for day in range(6)})
    done = ingest(source, [of(day) for day in range(6)], received, lake, lambda: NOW)
    assert len(done.failed) == 3
    assert done.skipped == [of(3), of(4), of(5)]


def test_what_was_kept_is_held_to_its_hash(tmp_path: Path, received: Received) -> None:
    source = Counting(pages={of(0): [page((1, 1))]})
    ingest(source, [of(0)], received, None, lambda: NOW)
    assert received.check() == []
    (content,) = (path for path in (tmp_path / "landing" / "counting" / "content").rglob("*") if path.is_file())
    content.write_bytes(b"[]")
    assert "has SHA-256" in received.check()[0]
    with pytest.raises(DamagedLandingError, match="put the file back"):
        rows_of_days(source, received, WINDOW)


def test_a_slip_in_the_code_of_a_source_ends_its_partition_only(received: Received) -> None:
    class Slips(Counting):
        def rows(self, payload: Payload, partition: str) -> pl.DataFrame:
            if partition == of(0):
                raise KeyError("price")
            return super().rows(payload, partition)

    source = Slips(pages={of(0): [page((1, 1))], of(1): [page((1, 1))]})
    done = ingest(source, [of(0), of(1)], received, None, lambda: NOW)
    assert [step.outcome for step in done.steps] == ["failed", "landed"]
    assert done.failed[0].problem == f"source counting: {of(0)}: the source's own code failed: KeyError: 'price'"


def test_a_place_that_cannot_be_written_ends_the_run_with_its_name(tmp_path: Path, received: Received) -> None:
    (tmp_path / "file").write_text("")
    with pytest.raises(FullLandingError, match=r"file/counting cannot be written: Not a directory"):
        ingest(Counting(), [of(0)], Received(tmp_path / "file", "counting"), None, lambda: NOW)
    ingest(Counting(pages={of(0): [page((1, 1))]}), [of(0)], received, None, lambda: NOW)
    (received.folder / "partitions" / of(1)).write_text("in the way")
    with pytest.raises(FullLandingError, match="what was landed before is whole"):
        ingest(Counting(pages={of(1): [page((1, 1))]}), [of(1)], received, None, lambda: NOW)
    assert len(received.versions(of(0))) == 1


def test_a_source_is_ingested_by_one_process_at_a_time(received: Received) -> None:
    with received.alone(), pytest.raises(SourceError, match="another process ingests this source now"):
        ingest(Counting(), [of(0)], Received(received.folder.parent, "counting"), None, lambda: NOW)


def test_a_lost_table_is_made_again_from_what_was_received(tmp_path: Path, received: Received, lake: Lake) -> None:
    source = Counting(pages={of(0): [page((1, 1))]})
    ingest(source, [of(0)], received, lake, lambda: NOW)
    before = scan(lake.uri("raw", "counting")).collect()
    ingest(source, [of(0)], received, Lake(str(tmp_path / "other")), lambda: NOW + 9)
    assert scan(Lake(str(tmp_path / "other")).uri("raw", "counting")).collect().equals(before)
    assert source.fetched == [of(0)]


@pytest.mark.parametrize("partition", ["../up", "", "2024-13-01", "today", "20240102", "2024-W01-2"])
def test_what_is_no_day_is_refused(received: Received, partition: str) -> None:
    done = ingest(Counting(), [partition], received, None, lambda: NOW)
    assert done.failed
    assert "give one such as 2024-01-31" in done.failed[0].problem or not PARTITION.match(partition)
    assert not (received.folder / "partitions").exists()


def test_columns_other_than_declared_are_refused(received: Received) -> None:
    class Other(Counting):
        def rows(self, payload: Payload, partition: str) -> pl.DataFrame:
            return super().rows(payload, partition).cast({"value": pl.Float64})

    done = ingest(Other(pages={of(0): [page((1, 1))]}), [of(0)], received, None, lambda: NOW)
    assert "value: declared Int64, got Float64" in done.failed[0].problem


DEFINITION = """
kind = "rest"
[options]
url = "{url}/{{date}}"
records = "data"
requests_per_second = 10000
paging = {{kind = "page", param = "page", size = 3}}
[[column]]
name = "value"
from = "v"
type = "decimal"
"""


NEXT = DEFINITION.replace("[options]", 'partition = "next"\n[options]').replace("/{{date}}", "/?after={{after}}")
NEXT = NEXT.replace('paging = {{kind = "page", param = "page", size = 3}}', 'cursor = "id"')


def answer_next(asked: Asked) -> Reply:
    """Five events at a time, of 24."""
    first = int(asked.query["after"] or 0) + 1
    events = [{"id": number, "v": f"{number}.5"} for number in range(first, min(first + 5, 25))]
    return Reply(json.dumps({"data": events}).encode())


def answer(asked: Asked) -> Reply:
    """Three pages a day, of 3, 3 and 1 records, that depend on nothing but what is asked."""
    page_number = int(asked.query["page"])
    seeded = random.Random(f"{asked.path} {page_number}")
    count = 3 if page_number < 3 else 1
    return Reply(json.dumps({"data": [{"v": f"{seeded.randrange(10**6)}.25"} for _ in range(count)]}).encode())


def child(folder: Path, home: Path, kill_at: int) -> subprocess.Popen[str]:
    line = [sys.executable, str(Path(__file__).with_name("ingesting.py")), str(home), of(0), of(3), str(kill_at)]
    environ = {**os.environ, "PYTHONPATH": str(ROOT)}
    return subprocess.Popen(line, cwd=folder, env=environ, stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True)


def landed(home: Path) -> dict[str, bytes]:
    """Everything that was landed, but for the lock and what a death left half-written."""
    return {name: content for name, content in tree(home / "landing").items() if "/incoming/" not in name}


def table(home: Path) -> pl.DataFrame:
    return (
        scan(Lake(str(home / "lake")).uri("raw", "quotes")).collect().sort("source_partition", "payload", "row_number")
    )


@pytest.mark.parametrize(
    ("text", "served", "rows_wanted"), [(DEFINITION, answer, 4 * 7), (NEXT, answer_next, 24)], ids=["days", "next"]
)
def test_killed_anywhere_nothing_is_lost_doubled_or_half_published(
    tmp_path: Path, text: str, served: Callable[[Asked], Reply], rows_wanted: int
) -> None:
    with serving(served) as server:
        definition = tmp_path / "config" / "sources" / "quotes.toml"
        definition.parent.mkdir(parents=True)
        definition.write_text(text.format(url=server.url))
        undisturbed = child(tmp_path, tmp_path / "undisturbed", 0)
        out, err = undisturbed.communicate(timeout=120)
        assert undisturbed.returncode == 0, err
        points = int(out)
        wanted, rows = landed(tmp_path / "undisturbed"), table(tmp_path / "undisturbed")
        assert rows.height == rows_wanted
        seeded = random.Random(20_240_301)
        deaths = 0
        for round_number in range(5):
            home = tmp_path / f"killed-{round_number}"
            for _ in range(2):  # the second run may die too, at another place
                dying = child(tmp_path, home, seeded.randrange(1, points))
                _, err = dying.communicate(timeout=120)
                assert dying.returncode in {0, -signal.SIGKILL}, err
                deaths += dying.returncode != 0
                # Whatever is published by now is whole and right.
                if exists(Lake(str(home / "lake")).uri("raw", "quotes")):
                    part = table(home)
                    whole = rows.filter(pl.col("source_partition").is_in(part["source_partition"].unique().to_list()))
                    assert part.equals(whole)
            healing = child(tmp_path, home, 0)
            _, err = healing.communicate(timeout=120)
            assert healing.returncode == 0, err
            assert landed(home) == wanted
            assert table(home).equals(rows)
        assert deaths >= 5


def test_killed_at_any_instant_of_its_run_it_heals(tmp_path: Path) -> None:
    """The same where only the parent knows when: also inside of the library that writes the table."""
    with serving(answer) as server:
        definition = tmp_path / "config" / "sources" / "quotes.toml"
        definition.parent.mkdir(parents=True)
        definition.write_text(DEFINITION.format(url=server.url))
        undisturbed = child(tmp_path, tmp_path / "undisturbed", 0)
        assert undisturbed.communicate(timeout=120)[1] == ""
        wanted, rows = landed(tmp_path / "undisturbed"), table(tmp_path / "undisturbed")
        seeded = random.Random(7)
        for round_number in range(4):
            home = tmp_path / f"killed-{round_number}"
            before = len(server.asked)
            dying = child(tmp_path, home, 0)
            target = before + seeded.randrange(1, 12)
            while len(server.asked) < target and dying.poll() is None:
                with suppress(subprocess.TimeoutExpired):
                    dying.wait(0.001)
            dying.kill()
            dying.communicate()
            healing = child(tmp_path, home, 0)
            _, err = healing.communicate(timeout=120)
            assert healing.returncode == 0, err
            assert landed(home) == wanted
            assert table(home).equals(rows)


@pytest.mark.parametrize("again", [False, True])
def test_a_day_that_is_not_over_is_not_asked_for(received: Received, again: bool) -> None:
    source = Counting(pages={of(0): [page((1, 1))]})
    noon = due_ns(DAY) - 1
    for day in (of(0), "2999-01-01", "9999-12-31"):
        (step,) = ingest(source, [day], received, None, lambda: noon, again=again).steps
        assert (step.outcome, step.problem) == (
            "absent",
            f"source counting: {day}: is not over yet: it would be landed unfinished",
        )
    assert source.fetched == []
    assert [step.outcome for step in ingest(source, [of(0)], received, None, lambda: noon + 1).steps] == ["landed"]


def test_a_day_with_too_few_rows_is_not_landed_and_heals_by_itself(received: Received, lake: Lake) -> None:
    source = Counting(expected=Expected(rows_min=2, rows_max=3, fresh_within_hours=6), pages={of(0): [page((1, 1))]})
    early, late = due_ns(DAY, 5.9), due_ns(DAY, 6)
    (young,) = ingest(source, [of(0)], received, lake, lambda: early).steps
    assert (young.outcome, young.problem) == (
        "absent",
        f"source counting: {of(0)}: has 1 rows so far, which is due 6 hours after its end",
    )
    (overdue,) = ingest(source, [of(0)], received, lake, lambda: late).steps
    assert overdue.problem == f"source counting: {of(0)}: has 1 rows, wanted are at least 2; it is asked for again"
    source.pages[of(0)] = [page(*((number, 1) for number in range(4)))]
    (many,) = ingest(source, [of(0)], received, lake, lambda: late).steps
    assert "has 4 rows or more, wanted are at most 3" in many.problem
    assert received.partitions() == []
    source.pages[of(0)] = [page((1, 1), (2, 2))]
    assert [step.outcome for step in ingest(source, [of(0)], received, lake, lambda: late).steps] == ["landed"]
    assert rows_by_partition(lake.uri("raw", "counting")) == {DAY: 2}


def test_a_day_without_rows_is_landed_once_rows_are_overdue(received: Received) -> None:
    source = Counting(pages={of(0): []})
    times = (due_ns(DAY), due_ns(DAY, 25.9), due_ns(DAY, 26), due_ns(DAY, 27))
    outcomes = [ingest(source, [of(0)], received, None, lambda at=at: at).steps[0].outcome for at in times]  # type: ignore[misc]
    assert outcomes == ["absent", "absent", "landed", "unchanged"]


def test_names_that_no_partition_has_do_not_stop_the_rest(received: Received) -> None:
    source = Counting(partitioning="key", pages={"good": [page((1, 1))]})
    done = ingest(source, ["a b", "c d", "e f", "", "good"], received, None, lambda: NOW)
    assert [step.outcome for step in done.steps] == [*["failed"] * 4, "landed"]
    assert "a partition's name has letters, digits and . _ + : @ = - only" in done.failed[0].problem


def test_what_was_landed_by_a_run_that_died_before_it_published_is_published_by_the_next(
    received: Received, lake: Lake
) -> None:
    source = Counting(partitioning="next", pages={"00000001": [page((1, 1))]})
    ingest(source, None, received, None, lambda: NOW)
    assert not exists(lake.uri("raw", "counting"))
    done = ingest(source, None, received, lake, lambda: NOW)
    assert [step.outcome for step in done.steps] == ["nothing_new"]
    assert scan(lake.uri("raw", "counting")).collect()["value"].to_list() == [1]


def test_a_table_is_made_anew_from_what_was_landed_also_with_other_columns(received: Received, lake: Lake) -> None:
    class Wider(Counting):
        @property
        def table(self) -> SourceTable:
            narrow = super().table
            return replace(narrow, columns=(*narrow.columns, Column("twice", pl.Int64(), "value, twice")))

        def rows(self, payload: Payload, partition: str) -> pl.DataFrame:
            return super().rows(payload, partition).with_columns(twice=pl.col("value") * 2)

    wanted = [of(0), of(1), of(5)]
    source = Counting(pages={day: [page((number, number))] for number, day in enumerate(wanted)})
    ingest(source, wanted, received, lake, lambda: NOW)
    uri = lake.uri("raw", "counting")
    version = table_version(uri)
    assert not rebuild(source, received, lake).changed
    wider = Wider()
    written = rebuild(wider, received, lake)
    assert (written.rows, written.version, written.changed) == (3, version + 1, True)
    assert scan(uri).sort("value").collect().select("value", "twice").rows() == [(0, 0), (1, 2), (2, 4)]
    assert "twice" not in scan(uri, version=version).collect_schema()
    assert not rebuild(wider, received, lake).changed
    assert wider.fetched == []
    with pytest.raises(SourceError, match="holds nothing: fetch it first"):
        rebuild(source, Received(received.folder / "none", "counting"), lake)


def test_days_of_a_run_are_bounded() -> None:
    with pytest.raises(SourceError, match="at most 40000"):
        days(DayWindow(date(1900, 1, 1), date(2024, 1, 1)))

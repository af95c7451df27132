from __future__ import annotations

import gzip
import io
import json
import re
import tarfile
import threading
import zipfile
from datetime import date
from typing import TYPE_CHECKING

import polars as pl
import pytest

from py_rt.data.ingestion import archives
from py_rt.data.ingestion.catalog import source_of
from py_rt.data.ingestion.definition import DefinitionError, read_definition
from py_rt.data.ingestion.ingest import ingest
from py_rt.data.ingestion.publishing import rows_of_days
from py_rt.data.ingestion.received import Received
from py_rt.data.storage import DayWindow, Lake, scan
from py_rt.errors import SourceError
from tests.py_rt.data.loopback import Asked, Reply, serving

if TYPE_CHECKING:
    from pathlib import Path

    from py_rt.data.ingestion.source import PartitionedSource

DAY = "2024-01-02"
NOW = 1_750_000_000 * 10**9
WINDOW = DayWindow(date(2024, 1, 2), date(2024, 1, 3))

COLUMNS = """
[[column]]
name = "ts"
from = "t"
type = "time"

[[column]]
name = "price"
from = "p"
type = "decimal"

[[column]]
name = "note"
from = "n"
nullable = true
"""
FAST = "requests_per_second = 1000\nattempts = 3\nwait_max_s = 0.05\n"


def define(folder: Path, options: str, *, top: str = "", columns: str = COLUMNS, rest: str = "") -> PartitionedSource:
    path = folder / "config" / "sources" / "quotes.toml"
    path.parent.mkdir(parents=True, exist_ok=True)
    named = [line.partition("=")[0] for line in options.splitlines()]
    fast = "".join(line for line in FAST.splitlines(keepends=True) if line.partition("=")[0] not in named)
    path.write_text(f'kind = "rest"\n{top}\n[options]\n{fast}{options}\n{columns}\n{rest}')
    return source_of(read_definition(path))


def record(number: int, price: str = "1.5") -> dict[str, object]:
    return {"t": f"2024-01-02T00:00:{number:02}Z", "p": price}


def body(*records: dict[str, object], **more: object) -> bytes:
    return json.dumps({"data": list(records), **more}).encode()


def fetched(source: PartitionedSource, folder: Path, partition: str = DAY) -> pl.DataFrame:
    received = Received(folder / "landing", source.table.name)
    done = ingest(source, [partition], received, None, lambda: NOW)
    if done.failed:
        raise AssertionError(done.failed[0].problem)
    return rows_of_days(source, received, WINDOW)


def problem(source: PartitionedSource, partition: str = DAY) -> str:
    with pytest.raises(SourceError) as caught:
        pl.concat(source.rows(payload, partition) for payload in source.fetch(partition))
    return str(caught.value)


def test_a_day_is_asked_for_and_numbers_never_pass_through_a_float(tmp_path: Path) -> None:
    text = b'{"data": [{"t": 1704153600000, "p": 0.10000001, "n": null}, {"t": "2024-01-02 01:00:00", "p": "1e2"}]}'
    with serving(lambda _asked: Reply(text)) as server:
        source = define(tmp_path, f'url = "{server.url}/v1/{{date}}?to={{next_date:%Y%m%d}}"\nrecords = "data"')
        rows = fetched(source, tmp_path)
    assert server.asked[0].path == "/v1/2024-01-02"
    assert server.asked[0].query == {"to": "20240103"}
    assert rows["price"].to_list() == [10_000_001, 10_000_000_000]
    assert rows["ts"].to_list() == [1_704_153_600 * 10**9, (1_704_153_600 + 3_600) * 10**9]
    assert rows["ts_arrival"].to_list() == [NOW, NOW]
    assert rows["ts_known"].to_list() == [NOW, NOW]
    assert rows["row_number"].to_list() == [1, 2]


def test_times_that_name_no_zone_are_of_the_columns_zone(tmp_path: Path) -> None:
    columns = '[[column]]\nname = "ts"\nfrom = "t"\ntype = "time"\ntime_zone = "America/New_York"\n'
    with serving(lambda _asked: Reply(b'[{"t": "2024-01-02 09:30:00"}]')) as server:
        rows = fetched(define(tmp_path, f'url = "{server.url}/{{date}}"', columns=columns), tmp_path)
    assert pl.from_epoch(rows["ts"], "ns").dt.to_string().to_list() == ["2024-01-02 14:30:00.000000000"]


@pytest.mark.parametrize(
    ("path", "paging"),
    [
        ("cursor", '{kind = "cursor", param = "cursor", from = "cursor"}'),
        ("links", '{kind = "link", from = "links.next"}'),
        ("header", '{kind = "link"}'),
        ("numbered", '{kind = "page", param = "page", size = 1}'),
    ],
)
def test_every_page_is_fetched_once_and_in_order(tmp_path: Path, path: str, paging: str) -> None:
    def answer(asked: Asked) -> Reply:
        page = int(asked.query.get("page", asked.query.get("cursor", "1")))
        following = page + 1 if page < 3 else None
        if path == "numbered" and page > 3:
            return Reply(body())
        more: dict[str, object] = {"cursor": following} if path == "cursor" else {}
        if path == "links":
            more = {"links": {"next": f"/links?page={following}" if following else None}}
        headers = {"Content-Type": "application/json"}
        if path == "header" and following:
            headers["Link"] = f'</header?page={following}>; rel="next"'
        return Reply(body(record(page), **more), headers=headers)

    with serving(answer) as server:
        source = define(tmp_path, f'url = "{server.url}/{path}?d={{date}}"\nrecords = "data"\npaging = {paging}')
        rows = fetched(source, tmp_path)
    assert rows["payload"].to_list() == ["page-00001", "page-00002", "page-00003"]
    assert rows["ts"].is_sorted()
    assert rows["ts"].n_unique() == 3


def test_paging_that_goes_in_a_ring_or_stands_still_is_refused(tmp_path: Path) -> None:
    ring = 'paging = {kind = "cursor", param = "c", from = "next"}\nrecords = "data"'
    with serving(lambda asked: Reply(body(record(1), at=asked.query, next="a"))) as server:
        said = problem(define(tmp_path, f'url = "{server.url}/{{date}}"\n{ring}'))
        assert f"{DAY}/page-00003" in said
        assert "paging goes in a ring" in said
    still = 'paging = {kind = "page", param = "page", size = 1}\nrecords = "data"'
    with serving(lambda _asked: Reply(body(record(1)))) as server:
        said = problem(define(tmp_path, f'url = "{server.url}/{{date}}"\n{still}'))
        assert "has the very bytes of page 1" in said


def test_a_secret_is_sent_and_never_shown(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("EXAMPLE_KEY", "s3cret-value")
    auth = 'auth = {header = "X-Key", env = "EXAMPLE_KEY", prefix = "Token "}\nrecords = "data"'
    with serving(lambda _asked: Reply(b"no", status=403)) as server:
        source = define(tmp_path, f'url = "{server.url}/{{date}}?symbol=visible"\n{auth}')
        said = problem(source)
        assert server.asked[0].headers["x-key"] == "Token s3cret-value"
    assert "status 403" in said
    for shown in (said, repr(source), str(vars(source).get("client"))):
        assert "s3cret" not in shown
    assert "visible" not in said
    monkeypatch.delenv("EXAMPLE_KEY")
    unset = problem(define(tmp_path, f'url = "http://127.0.0.1/{{date}}"\n{auth}'))
    assert "the variable EXAMPLE_KEY is not set; export the secret there" in unset


def test_what_fails_for_a_while_is_tried_again_and_asked_waits_are_kept(tmp_path: Path) -> None:
    replies = [Reply(b"", 503), Reply(b"", 429, {"Retry-After": "1"}), Reply(body(record(1)))]
    with serving(lambda _asked: replies.pop(0)) as server:
        source = define(tmp_path, f'url = "{server.url}/{{date}}"\nrecords = "data"')
        said = problem(source)
        assert "asks to wait 1 s, allowed are 0 s" in said
        replies[:] = [Reply(b"", 503), Reply(b"", 429, {"Retry-After": "1"}), Reply(body(record(1)))]
        path = tmp_path / "config" / "sources" / "quotes.toml"
        path.write_text(path.read_text().replace("wait_max_s = 0.05", "wait_max_s = 2.0"))
        assert fetched(source_of(read_definition(path)), tmp_path).height == 1
    assert server.asked[-1].at - server.asked[-2].at >= 1.0


def test_attempts_are_bounded(tmp_path: Path) -> None:
    with serving(lambda _asked: Reply(b"", 500)) as server:
        said = problem(define(tmp_path, f'url = "{server.url}/{{date}}"'))
    assert "answers with status 500; tried 3 times" in said
    assert len(server.asked) == 3
    said = problem(define(tmp_path, f'url = "{server.url}/{{date}}"'))
    assert "the connection failed" in said


def test_a_server_that_says_nothing_is_given_up(tmp_path: Path) -> None:
    over = threading.Event()

    def silent(_asked: Asked) -> Reply:
        over.wait(30)
        return Reply(body())

    with serving(silent) as server:
        source = define(tmp_path, f'url = "{server.url}/{{date}}"\nrecords = "data"\ntimeout_s = 0.1')
        said = problem(source)
        over.set()
    assert "no answer within 0.1 s; tried 3 times" in said


@pytest.mark.parametrize("kind", ["gzip", "zip", "tar.gz"])
def test_an_archive_that_swells_is_refused(tmp_path: Path, kind: str, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(archives, "UNPACKED_BYTES_MAX", 1 << 20)
    content = packed(kind, "rows.csv", b"0" * (3 << 20))
    with serving(lambda _asked: Reply(content, headers={})) as server:
        options = f'url = "{server.url}/{{date}}"\nformat = "csv"\npacking = "{kind}"'
        said = problem(define(tmp_path, options))
    assert "unpacks to more than 1048576 bytes" in said


def test_an_answer_cut_off_is_tried_again(tmp_path: Path) -> None:
    whole = body(record(1))
    replies = [Reply(whole, cut=10), Reply(whole)]
    with serving(lambda _asked: replies.pop(0)) as server:
        rows = fetched(define(tmp_path, f'url = "{server.url}/{{date}}"\nrecords = "data"'), tmp_path)
    assert rows.height == 1


def test_a_host_is_asked_no_faster_than_allowed(tmp_path: Path) -> None:
    paging = 'records = "data"\npaging = {kind = "page", param = "page", size = 1}\n'

    def answer(asked: Asked) -> Reply:
        page = int(asked.query["page"])
        return Reply(body(record(page)) if page <= 4 else body())

    with serving(answer) as server:
        source = define(tmp_path, f'url = "{server.url}/{{date}}"\n{paging}')
        path = tmp_path / "config" / "sources" / "quotes.toml"
        path.write_text(path.read_text().replace("requests_per_second = 1000", "requests_per_second = 5"))
        source = source_of(read_definition(path))
        list(source.fetch(DAY))
    times = [one.at for one in server.asked]
    assert len(times) == 5
    assert times[-1] - times[0] >= 4 / 5 * 0.75  # a busy server notes the first one late


@pytest.mark.parametrize(
    ("reply", "words"),
    [
        (
            Reply(b"<!DOCTYPE html><html>please log in", headers={"Content-Type": "text/html"}),
            "an HTML page and status 200",
        ),
        (Reply(b"  <html><body>maintenance"), "an HTML page and status 200"),
        (Reply(b'{"data": [{"t": 1'), "cut off"),
        (Reply(b'{"items": []}'), "has no list of records at 'data'; there is 'items'"),
        (Reply(b"\xff\xfe"), "is not UTF-8 text: byte 0xff at position 0"),
        (Reply(b"", 404), "answers with status 404"),
        (Reply(body({"t": "2024-01-02", "p": "1"}, {"p": "1"})), "row 2: column ts: there is no 't' in the record"),
        (Reply(body(record(1), record(2, "dear"))), "row 2: column price: 'dear' is no decimal"),
        (Reply(body(record(1, "1e999"))), "row 1: column price: '1e999' is no decimal"),
        (Reply(body(record(1, "Infinity"))), "row 1: column price"),
        (Reply(b"x" * 200_001), "sends more than 200000 bytes"),
        (
            Reply(b"", 302, {"Location": "http://localhost:1/else"}),
            "redirects to http://localhost:1/else, which is another place",
        ),
    ],
    ids=str,
)
def test_what_is_not_the_data_is_refused_by_name(tmp_path: Path, reply: Reply, words: str) -> None:
    with serving(lambda _asked: reply) as server:
        options = f'url = "{server.url}/{{date}}"\nrecords = "data"\nresponse_bytes_max = 200000'
        said = problem(define(tmp_path, options))
    assert said.startswith(f"source quotes: {DAY}/page-00001: ")
    assert words in said


def test_a_day_that_is_not_there_is_asked_for_again(tmp_path: Path) -> None:
    replies = [Reply(b"none", 404), Reply(body(record(1)))]
    with serving(lambda _asked: replies.pop(0)) as server:
        source = define(tmp_path, f'url = "{server.url}/{{date}}"\nrecords = "data"\nabsent_statuses = [404]')
        received = Received(tmp_path / "landing", "quotes")
        for outcome in ("absent", "landed", "unchanged"):
            assert [step.outcome for step in ingest(source, [DAY], received, None, lambda: NOW).steps] == [outcome]
    assert received.refused() == {}


def test_a_redirect_within_the_place_is_followed(tmp_path: Path) -> None:
    def answer(asked: Asked) -> Reply:
        moved = Reply(b"", 301, {"Location": "/new"})
        return moved if asked.path != "/new" else Reply(body(record(1)))

    with serving(answer) as server:
        assert fetched(define(tmp_path, f'url = "{server.url}/{{date}}"\nrecords = "data"'), tmp_path).height == 1


def packed(kind: str, name: str, content: bytes) -> bytes:
    buffer = io.BytesIO()
    if kind == "gzip":
        return gzip.compress(content)
    if kind == "zip":
        with zipfile.ZipFile(buffer, "w", zipfile.ZIP_DEFLATED) as archive:
            archive.writestr(name, content)
            archive.writestr("notes.txt", "n")
    else:
        with tarfile.open(fileobj=buffer, mode="w:gz") as archive:
            info = tarfile.TarInfo(name)
            info.size = len(content)
            archive.addfile(info, io.BytesIO(content))
    return buffer.getvalue()


@pytest.mark.parametrize("kind", ["gzip", "zip", "tar.gz"])
def test_packed_csv_is_read_and_a_truncated_archive_is_refused(tmp_path: Path, kind: str) -> None:
    lines = "".join(f"2024-01-02 00:{number // 60:02}:{number % 60:02},{number}.25,\n" for number in range(1_000))
    content = packed(kind, "rows.csv", f"t,p,n\n{lines}".encode())
    member = "" if kind == "gzip" else 'member = "rows.csv"'
    replies = [Reply(content, headers={})]
    with serving(lambda _asked: replies[0]) as server:
        options = f'url = "{server.url}/{{date}}.bin"\nformat = "csv"\npacking = "{kind}"\n{member}'
        source = define(tmp_path, options)
        assert fetched(source, tmp_path).height == 1_000
        for length in (len(content) // 2, len(content) - 5):
            replies[0] = Reply(content[:length], headers={})
            assert "cut off" in problem(source)


def test_a_second_header_in_mid_file_is_refused_by_its_row_or_skipped_when_said(tmp_path: Path) -> None:
    text = b"t,p,n\n2024-01-02,1,a\nt,p,n\n2024-01-02,2,b\n"
    with serving(lambda _asked: Reply(text, headers={})) as server:
        options = f'url = "{server.url}/{{date}}"\nformat = "csv"\n'
        assert "row 3: is the header again" in problem(define(tmp_path, options))
        rows = fetched(define(tmp_path, options + 'repeated_header = "skip"'), tmp_path)
    assert rows["note"].to_list() == ["a", "b"]


ALL_NULLABLE = '[[column]]\nname = "price"\nfrom = "p"\ntype = "decimal"\nnullable = true\n'


@pytest.mark.parametrize(
    ("options", "columns", "reply", "words"),
    [
        (
            'format = "csv"',
            COLUMNS,
            b"Exceeded the daily hits limit",
            "the header has no column 't', 'p', 'n'; it has 'Exceeded the daily hits limit'",
        ),
        ('format = "csv"', COLUMNS, b"t,p,N\n2024-01-02,1,a\n", "the header has no column 'n'; it has 't', 'p', 'N'"),
        ('format = "csv"', COLUMNS, b"error,reason\n", "the header has no column 't', 'p', 'n'; it has 'error'"),
        ("", ALL_NULLABLE, b'[{"p": null}, {"error": "limit"}]', "row 2: the record has none of 'p'; it is "),
        ("", ALL_NULLABLE, b'["Exceeded the daily hits limit"]', "row 1: the record has none of 'p'; it is "),
        ('format = "jsonl"', ALL_NULLABLE, b'{"error": "limit"}\n', "row 1: the record has none of 'p'; it is "),
    ],
    ids=["text", "renamed", "header", "json", "json text", "jsonl"],
)
def test_an_error_with_status_200_is_no_empty_day_and_the_next_run_heals(
    tmp_path: Path, options: str, columns: str, reply: bytes, words: str
) -> None:
    healed = {"json": b'[{"t": "2024-01-02", "p": 1}]', "jsonl": b'{"p": 1}', "csv": b"t,p,n\n2024-01-02,1,a\n"}
    form = (re.findall('"(.+)"', options) or ["json"])[0]
    replies = [Reply(reply, headers={}), Reply(healed[form], headers={})]
    with serving(lambda _asked: replies.pop(0)) as server:
        source = define(tmp_path, f'url = "{server.url}/{{date}}"\n{options}', columns=columns)
        received = Received(tmp_path / "landing", "quotes")
        (step,) = ingest(source, [DAY], received, None, lambda: NOW).steps
        assert step.problem.startswith(f"source quotes: {DAY}/page-00001: {words}")
        assert received.partitions() == []
        assert list(received.refused()) == [DAY]
        kept = [path.read_bytes() for path in received.folder.glob("content/*/*")]
        assert kept == [reply]  # for a look at it
        (step,) = ingest(source, [DAY], received, None, lambda: NOW).steps
    assert (step.outcome, step.rows) == ("landed", 1)


@pytest.mark.parametrize(
    ("options", "reply"),
    [('format = "csv"', b"t,p,n\n"), ('format = "csv"', b"n,more,p,t"), ("", b"[]"), ('format = "jsonl"', b"")],
    ids=["csv", "csv of more", "json", "jsonl"],
)
def test_a_day_without_rows_in_its_right_form_is_an_empty_day(tmp_path: Path, options: str, reply: bytes) -> None:
    with serving(lambda _asked: Reply(reply, headers={})) as server:
        source = define(tmp_path, f'url = "{server.url}/{{date}}"\n{options}')
        received = Received(tmp_path / "landing", "quotes")
        (step,) = ingest(source, [DAY], received, None, lambda: NOW).steps
    assert (step.outcome, step.rows) == ("landed", 0)


def test_what_was_landed_stays_readable_where_a_nullable_column_came_later(tmp_path: Path) -> None:
    without = COLUMNS.partition('[[column]]\nname = "note"')[0]
    with serving(lambda _asked: Reply(b"t,p\n2024-01-02,1\n", headers={})) as server:
        options = f'url = "{server.url}/{{date}}"\nformat = "csv"'
        fetched(define(tmp_path, options, columns=without), tmp_path)
        received = Received(tmp_path / "landing", "quotes")
        assert rows_of_days(define(tmp_path, options), received, WINDOW)["note"].to_list() == [None]


@pytest.mark.parametrize(
    ("text", "row"),
    [
        (b"t,p,n\n\n2024-01-02,1,a\n\n\n2024-01-02,x,b\n2024-01-02,1,c\n", 6),
        (b't,p,n\n2024-01-02,1,"a\nb\nc"\n2024-01-02,x,b\n2024-01-02,1,c\n', 5),
        (b't,p,n\n2024-01-02,1,"a\nb"\n2024-01-02,x,"c\nd"\n2024-01-02,1,c\n', 4),
        (b"\nt,p,n\nt,p,n\n2024-01-02,1,a\n2024-01-02,x,b\n", 5),
        (b"t,p,n\n\n2024-01-02,1,a\n2024-01-02\n2024-01-02,1,a\n", 4),
    ],
    ids=["blank", "quoted", "itself quoted", "skipped", "short"],
)
def test_a_row_of_a_csv_is_told_by_its_line(tmp_path: Path, text: bytes, row: int) -> None:
    with serving(lambda _asked: Reply(text, headers={})) as server:
        options = f'url = "{server.url}/{{date}}"\nformat = "csv"\nrepeated_header = "skip"'
        assert f"page-00001: row {row}: " in problem(define(tmp_path, options))


def test_a_csv_without_its_header_is_read_by_the_names_given(tmp_path: Path) -> None:
    replies = [Reply(b"2024-01-02,1,a\n", headers={})]
    with serving(lambda _asked: replies[0]) as server:
        options = (
            f'url = "{server.url}/{{date}}"\nformat = "csv"\nheader = ["t", "p", "n"]\nheader_absent = "sometimes"'
        )
        source = define(tmp_path, options)
        assert fetched(source, tmp_path / "one").height == 1
        replies[0] = Reply(b"t,p,n\n2024-01-02,1,a\n", headers={})
        assert fetched(source, tmp_path / "two").height == 1


def test_what_is_next_is_fetched_batch_by_batch_until_nothing_is_new(tmp_path: Path) -> None:
    events = [{"id": number, "t": f"2024-01-02T00:00:{number:02}Z", "p": "1"} for number in range(1, 6)]

    def answer(asked: Asked) -> Reply:
        after = int(asked.query["after"] or 0)
        return Reply(json.dumps([event for event in events if int(str(event["id"])) > after][:2]).encode())

    with serving(answer) as server:
        source = define(tmp_path, f'url = "{server.url}/?after={{after}}"\ncursor = "id"', top='partition = "next"')
        received = Received(tmp_path / "landing", "quotes")
        lake = Lake(str(tmp_path / "lake"))
        done = ingest(source, None, received, lake, lambda: 86_400 * 10**9 * 5)
        assert [step.outcome for step in done.steps] == ["landed", "landed", "landed", "nothing_new"]
        assert [record.cursor for record in received.records()] == ["2", "4", "5"]
        events.append({"id": 10, "t": "2024-01-02T00:00:59Z", "p": "2"})
        done = ingest(source, None, received, lake, lambda: 86_400 * 10**9 * 6)
    assert [step.rows for step in done.steps] == [1, 0]
    stored = scan(lake.uri("raw", "quotes")).sort("ts").collect()
    assert stored.height == 6
    assert stored["date"].unique().sort().to_list() == [date(1970, 1, 6), date(1970, 1, 7)]


def test_what_is_next_may_come_newest_first_over_pages(tmp_path: Path) -> None:
    events = [{"id": number, "t": "2024-01-02T00:00:00Z", "p": "1"} for number in range(8, 13)]

    def answer(asked: Asked) -> Reply:
        after, skip = int(asked.query["after"] or 0), int(asked.query.get("skip", "0"))
        newest = sorted((event for event in events if int(str(event["id"])) > after), key=lambda e: -int(str(e["id"])))
        more = {"next": skip + 2} if len(newest) > skip + 2 else {}
        return Reply(json.dumps({"data": newest[skip : skip + 2], **more}).encode())

    paging = 'paging = {kind = "cursor", param = "skip", from = "next"}\nrecords = "data"'
    with serving(answer) as server:
        url = f'url = "{server.url}/?after={{after}}"\ncursor = "id"\n{paging}'
        source = define(tmp_path, url, top='partition = "next"')
        received = Received(tmp_path / "landing", "quotes")
        done = ingest(source, None, received, None, lambda: NOW)
    assert [step.rows for step in done.steps] == [5, 0]
    assert [record.cursor for record in received.records()] == ["12"]


@pytest.mark.parametrize(
    ("options", "words"),
    [
        ('url = "ftp://x/{date}"', "it begins with https:// or http://"),
        ('url = "http://x/"', "names no {date}, so that every day would be the same"),
        ('url = "http://x/{day}"', "has {day}; allowed are {date}"),
        ('url = "http://u:p@x/{date}"', "holds a user or password"),
        ("", "url is missing"),
        ('url = "http://x/{date}"\nrecord = "a"', "options.record: is not known; .*did you mean records"),
        ('url = "http://x/{date}"\nformat = "xml"', "is 'xml'; allowed are 'json', 'jsonl', 'csv'"),
        (
            'url = "http://x/{date}"\npaging = {kind = "rings"}',
            "is of the kind 'rings'; allowed are none, cursor",
        ),
        ('url = "http://x/{date}"\npaging = {kind = "cursor", param = "c"}', "options.paging: from is missing"),
        (
            'url = "http://x/{date}"\npaging = {kind = "page", param = "p", size = "x"}',
            "size: is 'x'; wanted is a whole",
        ),
        ('url = "http://x/{date}"\npaging = {kind = "page", param = "p", size = 0}', "size: is 0; allowed are 1 to"),
        ('url = "http://x/{date}"\npaging = {kind = "none", param = "p"}', "paging.param: is not known"),
        ('url = "http://x/{date:{key}}"', "has a placeholder within a placeholder"),
        ('url = "http://x/{date!x}"', "is no template"),
        ('url = "http://x/{date}"\nrequests_per_second = 0', "requests_per_second: is 0; allowed are 0.0001 to"),
        ('url = "http://x/{date}"\nrequests_per_second = nan', "requests_per_second: is nan; allowed are"),
        ('url = "http://x/{date}"\ntimeout_s = -1', "timeout_s: is -1; allowed are 0.001 to 3600"),
        ('url = "http://x/{date}"\nattempts = 0', "attempts: is 0; allowed are 1 to 100"),
        ('url = "http://x/{date}"\nabsent_statuses = ["404"]', "is a list of numbers"),
        ('url = "http://x/{date}"\nheaders = {X = "a\\nb"}', "which cannot be sent; give plain ASCII"),
        ('url = "http://x/{date}"\nheaders = {Authorization = "abc"}', "holds a secret, Authorization; export it"),
        ('url = "http://x/{date}"\nheaders = {x-API-key = "a\\nb"}', "holds a secret, x-API-key; export it"),
        ('url = "http://x/{date}"\nheaders = {Cookie = "a=b"}', "auth = {header = 'Cookie', env = NAME}"),
        ('url = "http://x/{date}?apikey=abc"', "holds a secret, apikey; export it"),
        ('url = "http://x/{date}?client_secret=abc"', "holds a secret, client_secret; export it"),
        ('url = "http://x/{date}?a=1&Subscription-Key=abc"', "holds a secret, Subscription-Key; export it"),
        ('url = "http://x/{date}?auth_token=abc"', "holds a secret, auth_token; export it"),
        ('url = "http://x/{date}?sig=abc"', "holds a secret, sig; export it"),
        ('url = "http://x/{date}"\nauth = {env = "A"}', "wanted is {header = ..., env = NAME OF A VARIABLE"),
        ('url = "http://x/{date}"\ntimeout_s = "soon"', "is 'soon'; wanted is a whole number or a number"),
    ],
)
def test_wrong_options_are_refused_with_their_line(tmp_path: Path, options: str, words: str) -> None:
    with pytest.raises(DefinitionError, match=words.replace("{", r"\{").replace("}", r"\}")) as caught:
        define(tmp_path, options)
    assert str(tmp_path / "config" / "sources" / "quotes.toml") + ":" in str(caught.value)


@pytest.mark.parametrize(
    ("top", "rest", "words"),
    [
        ("key = 5", "", "key: is 5; give a list of columns"),
        ('known = "ts"', "", "known: is 'ts'; it must be a table"),
        ("expect = 3", "", "expect: is 3; it must be a table"),
        ("", "[known]\nlag_seconds = inf", "lag_seconds: is inf; give seconds, 0 to"),
        ("", "[expect]\nfresh_within_hours = nan", "fresh_within_hours: is nan; give a number, 0 to"),
    ],
)
def test_what_is_no_definition_is_told_with_its_line(tmp_path: Path, top: str, rest: str, words: str) -> None:
    with pytest.raises(DefinitionError, match=words) as caught:
        define(tmp_path, 'url = "http://x/{date}"', top=top, rest=rest)
    assert re.search(r"quotes\.toml:[1-9][0-9]*: ", str(caught.value))


def test_half_of_a_character_in_json_is_told_with_its_place(tmp_path: Path) -> None:
    text = b'[{"t": "2024-01-02", "p": "1", "n": "\\ud83d\\ude00"}, {"t": "2024-01-02", "p": "1", "n": "a\\ud800b"}]'
    with serving(lambda _asked: Reply(text)) as server:
        said = problem(define(tmp_path, f'url = "{server.url}/{{date}}"'))
    assert f"has half of a character at position {text.index(b'ud800') - 1}" in said


def test_an_archive_with_two_files_of_one_name_is_refused(tmp_path: Path) -> None:
    for kind in ("zip", "tar.gz"):
        buffer = io.BytesIO()
        if kind == "zip":
            with zipfile.ZipFile(buffer, "w") as archive:
                archive.writestr("a.csv", "t,p,n\n2024-01-02,1,\n")
                with pytest.warns(UserWarning, match="Duplicate name"):
                    archive.writestr("a.csv", "t,p,n\n2024-01-02,2,\n")
        else:
            with tarfile.open(fileobj=buffer, mode="w:gz") as tar:
                for _ in range(2):
                    tar.addfile(tarfile.TarInfo("a.csv"))
        content = buffer.getvalue()
        with serving(lambda _asked, content=content: Reply(content, headers={})) as server:  # type: ignore[misc]
            options = f'url = "{server.url}/{{date}}"\nformat = "csv"\npacking = "{kind}"'
            assert "holds two files called a.csv" in problem(define(tmp_path, options))


def test_a_sparse_file_of_a_tar_is_refused_before_it_is_read(tmp_path: Path) -> None:
    info = tarfile.TarInfo("a.csv")
    info.pax_headers = {"GNU.sparse.map": "0,0", "GNU.sparse.size": str(6 << 30), "GNU.sparse.name": "a.csv"}
    buffer = io.BytesIO()
    with tarfile.open(fileobj=buffer, mode="w:gz", format=tarfile.PAX_FORMAT) as archive:
        archive.addfile(info)
    content = buffer.getvalue()
    assert len(content) < 1_000
    with serving(lambda _asked: Reply(content, headers={})) as server:
        options = f'url = "{server.url}/{{date}}"\nformat = "csv"\npacking = "tar.gz"'
        assert "holds the sparse file a.csv; pack it whole" in problem(define(tmp_path, options))


def test_every_fault_of_a_file_is_reported_at_once(tmp_path: Path) -> None:
    columns = '[[column]]\nname = "Price"\ntype = "money"\ntime_zone = "Mars/Base"\n'
    with pytest.raises(DefinitionError) as caught:
        define(tmp_path, "", top='partition = "hour"\nfirst_day = "soon"\ncolour = 1', columns=columns)
    said = str(caught.value)
    for words in ("partition: is 'hour'", "first_day", "colour: is not known", "'Price'", "'money'", "Mars/Base"):
        assert words in said


def test_a_column_of_the_lineage_cannot_be_taken(tmp_path: Path) -> None:
    with pytest.raises(DefinitionError, match="column ts_known belongs to the lineage"):
        define(tmp_path, 'url = "http://x/{date}"', columns='[[column]]\nname = "ts_known"\n')

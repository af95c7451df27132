"""The lake on S3 by environment variables alone, against a real S3 server.

It is a process of its own: the library of the tables holds the interpreter while it waits for an answer.
"""

from __future__ import annotations

import json
import os
import socket
import subprocess
import sys
import threading
from contextlib import contextmanager
from datetime import date, timedelta
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from typing import TYPE_CHECKING

import polars as pl
import pytest

from py_rt.cli.main import main
from py_rt.data.ingestion.catalog import open_source
from py_rt.data.ingestion.ingest import ingest
from py_rt.data.ingestion.received import Received
from py_rt.data.lake_check import LakeError, check_lake
from py_rt.data.maintenance import compact, history, scan_at, tables_below, vacuum
from py_rt.data.storage import (
    DayWindow,
    Lake,
    append_days,
    exists,
    rows_by_partition,
    scan,
    table_version,
    write_window,
)
from py_rt.errors import TableError
from tests.processes import session

if TYPE_CHECKING:
    from collections.abc import Iterator
    from pathlib import Path

BUCKET = "lake-bucket"
SERVER = """
import sys
from moto.server import ThreadedMotoServer
server = ThreadedMotoServer(ip_address="127.0.0.1", port=0, verbose=False)
server.start()
print(server.get_host_and_port()[1], flush=True)
sys.stdin.read()
"""
DAY = date(2024, 1, 1)


@pytest.fixture(scope="module")
def endpoint() -> Iterator[str]:
    with session([sys.executable, "-c", SERVER], stdin=subprocess.PIPE, stdout=subprocess.PIPE) as server:
        assert server.stdout is not None
        yield f"http://127.0.0.1:{int(server.stdout.readline())}"


def point_to(monkeypatch: pytest.MonkeyPatch, url: str) -> None:
    for name in ("AWS_S3_ALLOW_UNSAFE_RENAME", "AWS_SESSION_TOKEN", "AWS_PROFILE", "AWS_CONDITIONAL_PUT"):
        monkeypatch.delenv(name, raising=False)
    monkeypatch.setenv("AWS_ENDPOINT_URL", url)
    monkeypatch.setenv("AWS_ALLOW_HTTP", "true")
    monkeypatch.setenv("AWS_ACCESS_KEY_ID", "test-key")
    monkeypatch.setenv("AWS_SECRET_ACCESS_KEY", "test-s3cret")
    monkeypatch.setenv("AWS_REGION", "us-east-1")


@pytest.fixture
def root(endpoint: str, monkeypatch: pytest.MonkeyPatch, request: pytest.FixtureRequest) -> str:
    import httpx

    point_to(monkeypatch, endpoint)
    assert httpx.put(f"{endpoint}/{BUCKET}").status_code in {200, 409}
    return f"s3://{BUCKET}/{request.node.name}"


def rows(value: int, day: int = 0) -> pl.DataFrame:
    return pl.DataFrame({"value": [value], "date": [DAY + timedelta(days=day)]})


def window(day: int = 0, days: int = 1) -> DayWindow:
    return DayWindow(DAY + timedelta(days=day), DAY + timedelta(days=day + days))


def test_tables_are_written_pruned_compacted_and_read_in_time(root: str) -> None:
    uri = Lake(root).uri("raw", "values")
    assert not exists(uri)
    for day in range(4):
        assert write_window(uri, rows(day, day), window(day)).changed
    assert not write_window(uri, rows(3, 3), window(3)).changed
    assert scan(uri, window(1, 2)).collect()["value"].sort().to_list() == [1, 2]
    assert rows_by_partition(uri) == {DAY + timedelta(days=day): 1 for day in range(4)}
    for number in range(3):
        append_days(uri, rows(10 + number, 10 + number))
    with pytest.raises(TableError, match="append-once"):
        append_days(uri, rows(0, 10))
    version, seen = table_version(uri), history(uri)[0]
    assert compact(uri).rows == 7
    write_window(uri, rows(99), window())
    assert scan(uri, version=version).filter(pl.col("date") == DAY).collect()["value"].to_list() == [0]
    assert scan_at(uri, seen.at).collect().height == 7
    assert vacuum(uri) == []


def test_tables_of_a_store_are_listed_and_kept_from_a_shell(
    root: str, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.setenv("PY_RT_LAKE", root)
    assert main(["lake", "tables", "--json"]) == 0
    assert json.loads(capsys.readouterr().out)["tables"] == []
    for group, name in (("raw", "values"), ("cleaned", "others")):
        write_window(Lake(root).uri(group, name), rows(1), window())
    assert list(tables_below(root)) == ["cleaned/others", "raw/values"]
    assert tables_below(root, "raw/values") == {"raw/values": f"{root}/raw/values"}
    with pytest.raises(TableError, match="it holds cleaned/others, raw/values"):
        tables_below(root, "raw/none")
    assert main(["lake", "compact", "--json"]) == 0
    assert [one["rows"] for one in json.loads(capsys.readouterr().out)["tables"]] == [1, 1]
    monkeypatch.setenv("AWS_ENDPOINT_URL", "http://127.0.0.1:9")
    assert main(["lake", "tables"]) == 1
    assert "cannot be listed" in capsys.readouterr().err


def test_writers_at_once_lose_nothing(root: str) -> None:
    uri = Lake(root).uri("raw", "values")
    write_window(uri, rows(0), window())
    problems: list[Exception] = []

    def write(number: int) -> None:
        try:
            for step in range(3):
                append_days(uri, rows(number, 1 + number * 3 + step))
        except Exception as error:  # noqa: BLE001  # told below
            problems.append(error)

    writers = [threading.Thread(target=write, args=(number,)) for number in range(3)]
    for writer in writers:
        writer.start()
    for writer in writers:
        writer.join()
    assert problems == []
    assert scan(uri).collect().height == 10


def test_a_source_is_published_there_by_the_environment_alone(
    root: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    from py_rt.defaults import lake_root

    monkeypatch.setenv("PY_RT_LAKE", root)
    source = open_source("bundled_stocks")
    received = Received(tmp_path / "landing", "bundled_stocks")
    for changed in (True, False):
        lake = Lake(lake_root())
        version = table_version(lake.uri("raw", "bundled_stocks")) if not changed else -1
        ingest(source, ["FB"], received, lake, lambda: 1_700_000_000 * 10**9)
        assert (table_version(lake.uri("raw", "bundled_stocks")) != version) == changed
    assert scan(lake.uri("raw", "bundled_stocks")).collect().height == 196


def test_a_store_with_conditional_writes_is_fit(root: str, capsys: pytest.CaptureFixture[str]) -> None:
    verdict = check_lake(root)
    assert verdict.safe, verdict
    assert "status 200, then 412" in verdict.facts[1]
    assert main(["doctor", "lake", root, "--json"]) == 0
    said = json.loads(capsys.readouterr().out)
    assert said["ok"] is True
    assert main(["doctor", "lake", root]) == 0
    assert capsys.readouterr().out.startswith(f"{root}: fit\n")


def test_unsafe_settings_are_refused(root: str, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("AWS_S3_ALLOW_UNSAFE_RENAME", "true")
    assert "AWS_S3_ALLOW_UNSAFE_RENAME is set" in check_lake(root).problems[0]
    monkeypatch.delenv("AWS_S3_ALLOW_UNSAFE_RENAME")
    monkeypatch.setenv("AWS_CONDITIONAL_PUT", "disabled")
    assert "need 'etag'" in check_lake(root).problems[0]


@pytest.mark.parametrize("name", ["AWS_ENDPOINT_URL_S3", "AWS_ENDPOINT", "aws_endpoint_url"])
def test_a_second_address_is_refused(root: str, monkeypatch: pytest.MonkeyPatch, name: str) -> None:
    monkeypatch.setenv(name, os.environ["AWS_ENDPOINT_URL"])
    assert check_lake(root).safe
    # The tables' library would ask this one.
    monkeypatch.setenv(name, "http://127.0.0.1:9")
    for ask in (check_lake, tables_below):
        with pytest.raises(LakeError, match=f"{name} names another store than AWS_ENDPOINT_URL"):
            ask(root)


@contextmanager
def careless_store() -> Iterator[str]:
    """An S3 server that keeps objects and looks at no condition."""
    objects: dict[str, bytes] = {}

    class Handler(BaseHTTPRequestHandler):
        def do_PUT(self) -> None:
            objects[self.path] = self.rfile.read(int(self.headers["Content-Length"]))
            self.say(200)

        def do_GET(self) -> None:
            self.say(200 if self.path in objects else 404, objects.get(self.path, b""))

        def do_DELETE(self) -> None:
            objects.pop(self.path, None)
            self.say(204)

        def say(self, status: int, body: bytes = b"") -> None:
            self.send_response(status)
            self.send_header("Content-Length", str(len(body)))
            self.end_headers()
            self.wfile.write(body)

        def log_message(self, *_said: object) -> None:
            return

    server = ThreadingHTTPServer(("127.0.0.1", 0), Handler)
    thread = threading.Thread(target=server.serve_forever, kwargs={"poll_interval": 0.01}, daemon=True)
    thread.start()
    try:
        yield f"http://127.0.0.1:{server.server_address[1]}"
        assert objects == {}, "the probe was left behind"
    finally:
        server.shutdown()
        thread.join()
        server.server_close()


def test_a_store_that_looks_at_no_condition_is_refused(
    monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    with careless_store() as url:
        point_to(monkeypatch, url)
        verdict = check_lake("s3://some-bucket/lake")
        assert not verdict.safe
        assert "the second conditional PUT was taken" in verdict.problems[0]
        assert main(["doctor", "lake", "s3://some-bucket/lake"]) == 3
        said = capsys.readouterr()
        assert "not fit" in said.out
        assert "ignores If-None-Match" in said.err
        assert "s3cret" not in said.out + said.err + repr(verdict)


def test_a_store_that_cannot_be_asked_is_told(
    endpoint: str, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    point_to(monkeypatch, endpoint)
    with pytest.raises(LakeError, match="status 404: there is no such bucket"):
        check_lake("s3://no-such-bucket/lake")
    monkeypatch.delenv("AWS_SECRET_ACCESS_KEY")
    with pytest.raises(LakeError, match="AWS_ACCESS_KEY_ID and AWS_SECRET_ACCESS_KEY is not given"):
        check_lake(f"s3://{BUCKET}")
    monkeypatch.setenv("AWS_SECRET_ACCESS_KEY", "x")
    monkeypatch.delenv("AWS_ALLOW_HTTP")
    with pytest.raises(LakeError, match="is plain http"):
        check_lake(f"s3://{BUCKET}")
    with socket.socket() as unused:
        unused.bind(("127.0.0.1", 0))
        point_to(monkeypatch, f"http://127.0.0.1:{unused.getsockname()[1]}")
        assert main(["doctor", "lake", f"s3://{BUCKET}", "--json"]) == 1
        assert "cannot be reached" in json.loads(capsys.readouterr().out)["error"]
    with pytest.raises(LakeError, match="a lake is a folder or s3://"):
        check_lake("ftp://x")


def test_a_folder_is_fit_and_nothing_is_left_in_it(tmp_path: Path) -> None:
    assert check_lake(str(tmp_path / "lake")).safe
    assert list((tmp_path / "lake").iterdir()) == []
    (tmp_path / "file").write_text("")
    with pytest.raises(LakeError, match="cannot be written"):
        check_lake(str(tmp_path / "file"))

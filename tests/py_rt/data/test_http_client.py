"""What is kept from being told and from going on for ever, against real sockets."""

from __future__ import annotations

import json
import re
import socket
import threading
import traceback
from contextlib import contextmanager
from typing import TYPE_CHECKING
from urllib.parse import quote

import pytest

from py_rt.data.ingestion.http_client import HttpClient, HttpLimits, Secret
from py_rt.data.ingestion.ingest import ingest, land
from py_rt.data.ingestion.publishing import conformed
from py_rt.data.ingestion.received import Received
from py_rt.data.ingestion.source import Payload
from py_rt.data.ingestion.trial import tried
from py_rt.errors import SourceError
from tests.py_rt.data.loopback import Asked, Reply, serving
from tests.py_rt.data.test_ingest import Counting
from tests.py_rt.data.test_rest import DAY, NOW, body, define, fetched, problem, record

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator
    from pathlib import Path

    import polars as pl

SECRET = 'S3/cr"et+&value'


@pytest.mark.parametrize("status", [401, 200])
@pytest.mark.parametrize(
    "said",
    [
        lambda secret: f"bad key {secret}",
        lambda secret: "bad key " + quote(secret, safe=""),
        lambda secret: "bad key " + quote(secret, safe="").lower(),
        lambda secret: "bad key " + secret.replace('"', '\\"').replace("/", "\\/"),
        lambda secret: "bad key " + secret.replace("&", "&amp;").replace('"', "&quot;"),
        lambda secret: "x" * 110 + secret,
    ],
    ids=["plain", "url", "lower", "json", "html", "cut"],
)
def test_a_secret_that_the_other_side_repeats_is_told_nowhere(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, status: int, said: Callable[[str], str]
) -> None:
    monkeypatch.setenv("EXAMPLE_KEY", SECRET)
    html = {"Content-Type": "text/html"}
    with serving(lambda _asked: Reply(said(SECRET).encode(), status, html)) as server:
        auth = 'auth = {header = "X-Key", env = "EXAMPLE_KEY", prefix = "Token "}'
        source = define(tmp_path, f'url = "{server.url}/{{date}}"\n{auth}')
        received = Received(tmp_path / "landing", "quotes")
        done = ingest(source, [DAY], received, None, lambda: NOW)
        assert server.asked[0].headers["x-key"] == f"Token {SECRET}"
    assert "***" in done.failed[0].problem
    for told in (done.failed[0].problem, received.refused()[DAY]):
        for part in ("S3", "cr", "et+", "value"):
            assert part not in told.replace("secret", "").replace("127.0.0.1", "")


@pytest.mark.parametrize(
    "said",
    [
        lambda secret: body({"t": 1_704_153_600_000, "p": f"rate limit of key {secret}", "n": None}),
        lambda secret: body({"t": 1_704_153_600_000, "p": "9" * 375 + secret + "9" * 6_000, "n": None}),
        lambda secret: json.dumps({f"rate limit of key {secret}": "wait"}).encode(),
    ],
    ids=["value", "cut", "member"],
)
def test_a_secret_that_is_repeated_where_data_should_stand_is_told_nowhere(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, said: Callable[[str], bytes]
) -> None:
    secret = "rate\\'" + SECRET  # which Python shows otherwise
    monkeypatch.setenv("EXAMPLE_KEY", secret)
    with serving(lambda _asked: Reply(said(secret))) as server:
        auth = 'auth = {header = "X-Key", env = "EXAMPLE_KEY"}\nrecords = "data"'
        source = define(tmp_path, f'url = "{server.url}/{{date}}"\n{auth}')
        received = Received(tmp_path / "landing", "quotes")
        done = ingest(source, [DAY], received, None, lambda: NOW)
        with pytest.raises(SourceError) as raised, received.alone():
            land(source, DAY, received, lambda: NOW)
        told = [done.failed[0].problem, received.refused()[DAY], "".join(traceback.format_exception(raised.value))]
        told += [tried(source, DAY)["problem"]]
        payload = Payload("page-00001", said(secret))
    # Also in another process, which reads what was landed and asks nobody.
    with pytest.raises(SourceError) as raised:
        conformed(define(tmp_path, f'url = "{server.url}/{{date}}"\n{auth}'), payload, DAY)
    for one in (*told, str(raised.value)):
        assert "***" in one
        for part in ("S3", "cr", "et+", "&value"):
            assert part not in re.sub('File ".*", line', "", one).replace("secret", ""), one
    assert len(told[0]) < 1_000


def test_a_secret_in_the_error_of_a_source_of_your_own_is_told_nowhere(
    tmp_path: Path, caplog: pytest.LogCaptureFixture
) -> None:
    class Slips(Counting):
        def blotted(self, text: str) -> str:
            return text.replace(SECRET, "***")

        def rows(self, payload: Payload, partition: str) -> pl.DataFrame:  # noqa: ARG002  # of the protocol
            raise ValueError(f"cannot take {SECRET}" + "x" * 6_000)

    source = Slips(pages={DAY: [b"[]"]})
    done = ingest(source, [DAY], Received(tmp_path / "landing", "counting"), None, lambda: NOW)
    assert "the source's own code failed: ValueError: cannot take ***x" in done.failed[0].problem
    assert len(done.failed[0].problem) < 1_000
    assert "in rows" in caplog.text
    assert SECRET not in caplog.text


def test_a_secret_may_stand_in_the_query_and_is_kept_nowhere(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
) -> None:
    monkeypatch.setenv("EXAMPLE_KEY", SECRET)
    caplog.set_level("INFO")
    caplog.set_level("DEBUG", "httpcore")

    def answer(asked: Asked) -> Reply:
        return Reply(body(record(1))) if "next" in asked.query else Reply(body(record(0), next="2"))

    paging = 'records = "data"\npaging = {kind = "cursor", param = "next", from = "next"}'
    with serving(answer) as server:
        auth = 'auth = {param = "apikey", env = "EXAMPLE_KEY"}'
        source = define(tmp_path, f'url = "{server.url}/{{date}}?a=1"\n{auth}\n{paging}')
        assert fetched(source, tmp_path).height == 2
        assert [one.query["apikey"] for one in server.asked] == [SECRET, SECRET]
        assert [one.query["a"] for one in server.asked] == ["1", "1"]
        kept = (tmp_path / "landing" / "quotes" / "partitions" / DAY / "0001.json").read_text()
        assert f'"origin": "{server.url}/{DAY}"' in kept
    written = b"".join(path.read_bytes() for path in (tmp_path / "landing").rglob("*") if path.is_file())
    for told in (kept, caplog.text, repr(source), written.decode()):
        assert "S3" not in told


@pytest.mark.parametrize("value", ["SUPERSECRET\n", " SUPERSECRET", "SUPERSECRET\u00e9", "SUPER\tSECRET"])
def test_a_secret_that_cannot_be_sent_is_refused_by_its_variable(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, value: str
) -> None:
    monkeypatch.setenv("EXAMPLE_KEY", value)
    said = problem(define(tmp_path, 'url = "http://127.0.0.1:9/{date}"\nauth = {header = "X", env = "EXAMPLE_KEY"}'))
    assert "the variable EXAMPLE_KEY holds what no secret has" in said
    assert "SUPER" not in said


@contextmanager
def dripping(head: bytes) -> Iterator[str]:
    """A server that sends `head`, and then a byte every twenty milliseconds for as long as anybody listens."""
    over = threading.Event()
    with socket.create_server(("127.0.0.1", 0)) as server:

        def serve() -> None:
            while not over.is_set():
                try:
                    connection, _ = server.accept()
                except OSError:
                    return
                with connection:
                    try:
                        connection.recv(4_096)
                        connection.sendall(head)
                        while not over.wait(0.02):
                            connection.sendall(b"x")
                    except OSError:
                        continue

        thread = threading.Thread(target=serve, daemon=True)
        thread.start()
        try:
            yield f"http://127.0.0.1:{server.getsockname()[1]}/"
        finally:
            over.set()
            server.shutdown(socket.SHUT_RDWR)
            thread.join()


@pytest.mark.parametrize("head", [b"HTTP/1.1 200 OK\r\nContent-Length: 1000000\r\n\r\n", b"HTTP/1.1 200 OK\r\nX: "])
def test_an_answer_that_drips_has_an_end(head: bytes) -> None:
    limits = HttpLimits(timeout_s=5.0, answer_timeout_s=0.3, attempts=2, wait_max_s=0.01)
    with dripping(head) as url, pytest.raises(SourceError, match=r"no whole answer within 0\.3 s; tried 2 times"):
        HttpClient("drip", limits).get(url, "2024-01-02")


def test_a_secret_is_read_when_it_is_sent(monkeypatch: pytest.MonkeyPatch) -> None:
    client = HttpClient("late", secret=Secret("EXAMPLE_KEY", header="X-Key"))
    monkeypatch.setenv("EXAMPLE_KEY", "first")
    with serving(lambda _asked: Reply(b"{}")) as server:
        client.get(server.url, "a")
        monkeypatch.setenv("EXAMPLE_KEY", "second")
        client.get(server.url, "a")
        assert [one.headers["x-key"] for one in server.asked] == ["first", "second"]

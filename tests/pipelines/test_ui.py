"""The user interface: on loopback only, and really there."""

from __future__ import annotations

import json
import os
import signal
import socket
import subprocess
import sys
from typing import IO, TYPE_CHECKING

import requests
from requests.adapters import HTTPAdapter
from urllib3.util import Retry

from pipelines.ui import command
from tests.processes import session

if TYPE_CHECKING:
    from pathlib import Path


def test_the_interface_listens_on_loopback_only() -> None:
    line = command(3210)
    assert line[line.index("--host") + 1] == "127.0.0.1"
    assert line[line.index("--port") + 1] == "3210"


def free_port() -> int:
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        port: int = probe.getsockname()[1]
        return port


def wait_until_serving(lines: IO[str]) -> None:
    """Read the command's own output until it says that it serves; it ends when the command does."""
    said = []
    for line in lines:
        said.append(line)
        if "Serving dagster-webserver" in line:
            return
    raise AssertionError("".join(said))


def test_it_serves_the_project(tmp_path: Path) -> None:
    port = free_port()
    environment = {**os.environ, "PY_RT_HOME": str(tmp_path)}
    line = [sys.executable, "-m", "pipelines.ui", "--port", str(port), "--json"]
    with session(line, env=environment, stdout=subprocess.PIPE, stderr=subprocess.PIPE) as served:
        assert served.stdout is not None
        assert served.stderr is not None
        said = json.loads(served.stdout.readline())
        assert said == {"ok": True, "url": f"http://127.0.0.1:{port}", "home": str(tmp_path)}
        wait_until_serving(served.stderr)
        # It says so a moment before its port opens: the connection is tried again with growing pauses.
        asking = requests.Session()
        asking.mount("http://", HTTPAdapter(max_retries=Retry(connect=8, backoff_factor=0.1)))
        query = "{repositoriesOrError{...on RepositoryConnection{nodes{location{name}}}}}"
        response = asking.get(f"http://127.0.0.1:{port}/graphql", params={"query": query}, timeout=60)
        assert '"py_rt"' in response.text
        os.killpg(served.pid, signal.SIGTERM)
        assert not served.stdout.read(), "the object is all that programs read"
        served.wait(timeout=60)

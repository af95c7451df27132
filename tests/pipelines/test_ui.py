"""The user interface: on loopback only, and really there."""

from __future__ import annotations

import os
import signal
import socket
import subprocess
import sys
import urllib.request
from typing import IO, TYPE_CHECKING

from pipelines.ui import command

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
    line = [sys.executable, "-m", "pipelines.ui", "--port", str(port)]
    served = subprocess.Popen(
        line, env=environment, stdout=subprocess.PIPE, stderr=subprocess.STDOUT, text=True, start_new_session=True
    )
    assert served.stdout is not None
    try:
        wait_until_serving(served.stdout)
        query = "%7BrepositoriesOrError%7B...on%20RepositoryConnection%7Bnodes%7Blocation%7Bname%7D%7D%7D%7D%7D"
        with urllib.request.urlopen(f"http://127.0.0.1:{port}/graphql?query={query}", timeout=60) as response:
            assert '"py_rt"' in response.read().decode()
    finally:
        os.killpg(served.pid, signal.SIGTERM)
        served.wait(timeout=60)

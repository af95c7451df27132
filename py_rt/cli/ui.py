"""`py_rt ui`: the Dagster user interface."""

from __future__ import annotations

import subprocess
import sys
from typing import Annotated

import typer


def ui(
    port: Annotated[int, typer.Option(min=1, max=65_535, help="Port on 127.0.0.1.")] = 3000,
    json: Annotated[bool, typer.Option("--json", help="One JSON object: where it will be served.")] = False,
) -> None:
    """Serve Dagster's webserver and daemon with the project loaded, on loopback only.

    Example: py_rt ui --port 3001
    """
    line = [sys.executable, "-m", "pipelines.ui", "--port", str(port), *(["--json"] if json else [])]
    raise typer.Exit(subprocess.run(line, check=False).returncode)

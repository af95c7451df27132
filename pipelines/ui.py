"""Serve the Dagster webserver and daemon on loopback, with the project loaded: `python -m pipelines.ui`."""

from __future__ import annotations

import argparse
import json
import os
import shutil
import sys
from pathlib import Path
from typing import TYPE_CHECKING

from pipelines.instance import prepare_dagster_home
from py_rt.defaults import default_root, home_folder

if TYPE_CHECKING:
    from collections.abc import Sequence

DEFAULT_PORT = 3000


def command(port: int) -> list[str]:
    """Return the command line of the Dagster that belongs to this interpreter."""
    beside = Path(sys.executable).with_name("dagster")
    found = str(beside) if beside.is_file() else shutil.which("dagster")
    if found is None:
        raise FileNotFoundError(
            f"the command dagster is neither beside {sys.executable} nor on PATH: install py_rt again"
        )
    workspace = default_root() / "workspace.yaml"
    # The interface has no login: it must not be reachable from other machines.
    return [found, "dev", "--workspace", str(workspace), "--host", "127.0.0.1", "--port", str(port)]


def main(arguments: Sequence[str] | None = None) -> int:
    """Become Dagster; returns only when that fails."""
    parser = argparse.ArgumentParser(prog="python -m pipelines.ui", description=__doc__)
    parser.add_argument("--port", type=int, default=DEFAULT_PORT, help=f"port on 127.0.0.1; default {DEFAULT_PORT}")
    parser.add_argument("--json", action="store_true", help="one JSON object; what Dagster says, on standard error")
    wish = parser.parse_args(arguments)
    line = command(wish.port)
    home = home_folder()
    environment = {
        **os.environ,
        "PY_RT_HOME": str(home),
        "DAGSTER_HOME": str(prepare_dagster_home(home)),
        "DAGSTER_DISABLE_TELEMETRY": "1",
    }
    url = f"http://127.0.0.1:{wish.port}"
    sys.stderr.write(f"Dagster on {url}, home {home}; stop with Ctrl-C\n")
    if wish.json:
        sys.stdout.write(json.dumps({"ok": True, "url": url, "home": str(home)}) + "\n")
        sys.stdout.flush()
        os.dup2(sys.stderr.fileno(), sys.stdout.fileno())  # the object stays the only one
    os.execve(line[0], line, environment)  # noqa: S606  # no shell: a list of arguments of our own


if __name__ == "__main__":
    sys.exit(main())

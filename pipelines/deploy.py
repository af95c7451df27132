"""Deploy what is approved: ask the sensor `deploy_approved_bundle` once, and execute here the runs that it asks for.

    python -m pipelines.deploy --home .py_rt
    python -m pipelines.deploy --json

It sends the same signed command to the service that runs in `<home>/runs` (or in `PY_RT_RUN_FOLDER`) as the daemon of
`py_rt ui` does, and records the same `deployed_bundle`. With `--json`, standard output is one JSON object:
`ok`, `deployed` (digest, slot, serial, instance, epoch, acknowledged_ns and more of each), `failed` (reasons) and
`reason` (why there was nothing to deploy).

Exit status: 0 deployed; 1 a deployment failed, by the service's reason; 2 the command line, a key or a file was wrong;
3 there was nothing to deploy, and why.
"""

from __future__ import annotations

import argparse
import json
import sys
from dataclasses import asdict
from pathlib import Path
from typing import TYPE_CHECKING

from py_rt.defaults import home_folder
from py_rt.errors import PyRtError

if TYPE_CHECKING:
    from collections.abc import Sequence

    from pipelines.deployment import Reply

OK, FAILED, WRONG, NOTHING = 0, 1, 2, 3
"""Exit statuses of the command."""


def _parser() -> argparse.ArgumentParser:
    description, _, epilog = (__doc__ or "").partition("\n\n")
    parser = argparse.ArgumentParser(
        prog="python -m pipelines.deploy",
        description=description,
        epilog=epilog,
        formatter_class=argparse.RawDescriptionHelpFormatter,
    )
    parser.add_argument("--home", type=Path, help="folder of everything that is made; default: PY_RT_HOME, or .py_rt")
    parser.add_argument("--json", action="store_true", help="one JSON object")
    return parser


def main(arguments: Sequence[str] | None = None) -> int:
    """Run the command and return its exit status."""
    wish = _parser().parse_args(arguments)
    home = wish.home.expanduser().absolute() if wish.home else home_folder()

    from pipelines.deployment import evaluate_and_deploy  # it imports Dagster, which takes seconds
    from pipelines.instance import open_instance

    try:
        with open_instance(home) as instance:
            reply = evaluate_and_deploy(instance, home)
    except PyRtError as error:
        if wish.json:
            print(json.dumps({"ok": False, "deployed": [], "failed": [str(error)], "reason": None}))  # noqa: T201
        sys.stderr.write(f"{error}\n")
        return WRONG
    if wish.json:
        ok = not reply.failed and bool(reply.deployed)
        print(json.dumps({"ok": ok, **asdict(reply)}))  # noqa: T201
    else:
        sys.stdout.write("".join(f"{line}\n" for line in _lines(reply)))
    return FAILED if reply.failed else OK if reply.deployed else NOTHING


def _lines(reply: Reply) -> list[str]:
    done = [
        f"deployed {each.name} {each.version} ({each.digest[:12]}, serial {each.serial}) to slot {each.slot} "
        f"of {each.instance}, life {each.epoch}"
        for each in reply.deployed
    ]
    nothing = [f"nothing to deploy: {reply.reason}"] if reply.reason else []
    return done + [f"FAILED: {reason}" for reason in reply.failed] + nothing


if __name__ == "__main__":
    sys.exit(main())

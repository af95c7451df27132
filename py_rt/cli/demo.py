"""`py_rt demo`: the whole system in one run."""

from __future__ import annotations

import json as json_text
import sys
from typing import Annotated

import typer

from py_rt.defaults import home_folder
from py_rt.errors import PyRtError

FAILED = 1


def demo(
    json: Annotated[
        bool, typer.Option("--json", help="One JSON object at the end; progress on standard error.")
    ] = False,
) -> None:
    """Run the whole system on real bars: assets, signed bundles, paper trading with a swap, replay.

    Everything lies below <PY_RT_HOME> (default: .py_rt in the working folder). A second run reuses what is unchanged.

    Example: py_rt demo

    Exit status 0 only if everything held: every asset check, both signatures, at least 50 orders, 20 fills, one partial
    fill, one timeout and one bundle swap, an orderly stop, features equal to the offline table bit for bit, and a
    replay that is identical to the last byte.
    """
    from py_rt.demo import report  # heavy: tables and compiled module
    from py_rt.demo.run import run_demo
    from py_rt.demo.show import Show

    show = Show(sys.stderr if json else sys.stdout)
    try:
        outcome = run_demo(home_folder(), show)
    except PyRtError as error:
        if json:
            typer.echo(json_text.dumps({"ok": False, "error": str(error)}))
        else:
            typer.echo(f"the demo did not end: {error}", err=True)
        raise typer.Exit(FAILED) from error
    typer.echo(json_text.dumps(outcome.facts(), default=str) if json else report.text(outcome))
    raise typer.Exit(FAILED if outcome.failures() else 0)

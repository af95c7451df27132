"""`py_rt demo`: the whole system in one run."""

from __future__ import annotations

import json as json_text
import sys
from typing import TYPE_CHECKING, Annotated

import typer

from py_rt.defaults import home_folder
from py_rt.errors import PyRtError

if TYPE_CHECKING:
    from py_rt.demo.place import Place
    from py_rt.demo.show import Show

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
    replay that is identical to the last byte. 130 when Ctrl-C ended it.
    """
    from py_rt.demo.show import Show
    from py_rt.demo.signals import StoppedBySignal, stoppable

    show = Show(sys.stderr if json else sys.stdout)
    where: list[Place] = []
    try:
        with stoppable():
            status, said = _run(show, where, json=json)
    except StoppedBySignal as stop:
        _tell(f"ended by {stop}; {_remains(where)}", json=json)
        raise typer.Exit(stop.status) from None
    except (PyRtError, OSError) as error:
        failed_at = f"the demo did not get past {show.at}: " if show.at else "the demo cannot begin: "
        _tell(f"{failed_at}{error}\n{_remains(where)}", json=json)
        raise typer.Exit(FAILED) from error
    typer.echo(said)
    raise typer.Exit(status)


def _run(show: Show, where: list[Place], *, json: bool) -> tuple[int, str]:
    """Exit status, and what is said at the end."""
    from py_rt.demo import report  # heavy: tables and compiled module
    from py_rt.demo.place import place_in
    from py_rt.demo.run import run_demo

    with place_in(home_folder()) as place:
        where.append(place)
        outcome = run_demo(place, show)
    status = FAILED if outcome.failures() else 0
    return status, json_text.dumps(outcome.facts(), default=str) if json else report.text(outcome)


def _remains(where: list[Place]) -> str:
    """What to do after an end that was not the demo's own."""
    if not where:
        return "nothing was made"
    return f"logs and record: {where[0].run}; `py_rt demo` starts anew and reuses what is unchanged"


def _tell(problem: str, *, json: bool) -> None:
    if json:
        typer.echo(json_text.dumps({"ok": False, "error": problem}))
    else:
        typer.echo(problem, err=True)

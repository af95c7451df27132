"""`py_rt replay`: a recording through the engine that trades."""

from __future__ import annotations

import subprocess
from pathlib import Path  # noqa: TC003  # typer reads the annotations
from typing import Annotated

import typer

from py_rt.cli.record import UsageError, run_folder
from py_rt.defaults import default_root
from py_rt.demo.children import find_command
from py_rt.errors import PyRtError

COMMAND = "py_rt_live"
REFUSED = 2


def replay(
    files: Annotated[list[Path], typer.Argument(help="Recordings of one venue.", metavar="FILE...")],
    bundle: Annotated[str, typer.Option(help="What trades: the digest of a bundle in the configured store.")],
    config: Annotated[
        Path | None, typer.Option(help="The service's file; default: the shipped config/paper.toml.", metavar="FILE")
    ] = None,
    run: Annotated[
        str | None, typer.Option(help="Folder or name of a run to begin as and to compare with.", metavar="RUN")
    ] = None,
    json: Annotated[bool, typer.Option("--json", help="One JSON document (docs/guides/paper_trading.md).")] = False,
) -> None:
    """Play a recording through the engine that trades, with fills from the simulated gateway, in the recording's time.

    Example: py_rt replay recordings/*.zst --bundle 3f9c... --config config/paper.toml

    Against a run of the service: py_rt replay recordings/*.zst --bundle 3f9c... --run paper --json

    Limits, capital and the simulated gateway are the configuration's. With --run it begins as that run did (rules,
    history, the place at which the bundle was activated) and its decisions are held against the run's: which orders,
    changes and cancels in which order, after which bar, how orders ended, what they were filled with; not when, for a
    recording has its recorder's receive times. The first difference is named by the number of the action.
    The recording must have begun before the bundle was deployed. Without --run, rules are the steps that the recording
    shows, and the bundle's approval must hold now. On a terminal it says how far it is.

    Exit status: 0 played, and the same as the run where there is one; 1 not the same; 2 refused; 5 the run's record
    cannot be read.
    """
    try:
        file = config if config is not None else default_root() / "config" / "paper.toml"
        options = ["--bundle", bundle, "--config", str(file)]
        options += ["--run", str(run_folder(run))] if run is not None else []
        options += ["--json"] if json else []
        command = [find_command(COMMAND), "replay", *options, "--", *map(str, files)]
        status = subprocess.run(command, check=False).returncode
    except (UsageError, PyRtError, OSError) as error:
        typer.echo(str(error), err=True)
        raise typer.Exit(REFUSED) from error
    if status < 0:
        typer.echo(f"{COMMAND} was ended by signal {-status}", err=True)
        status = REFUSED
    raise typer.Exit(status)

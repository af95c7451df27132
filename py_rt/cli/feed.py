"""`py_rt feed`: recorded sessions of the venues' wires."""

from __future__ import annotations

import subprocess
from pathlib import Path  # noqa: TC003  # typer reads the annotations
from typing import Annotated

import typer

from py_rt.demo.children import find_command
from py_rt.errors import PyRtError

COMMAND = "py_rt_feed"
UNREADABLE = 2
FAULTS_MAX = 100_000_000

app = typer.Typer(help="Recorded sessions of the venues' wires.", no_args_is_help=True)


@app.command(
    epilog="Exit status: 0 nothing wrong; 1 something wrong was found; 2 a file cannot be read, or the command line is "
    "wrong."
)
def check(
    files: Annotated[list[Path], typer.Argument(help="Recordings, of one wire or of several.", metavar="FILE...")],
    json: Annotated[bool, typer.Option("--json", help="One JSON document (docs/reference/feed_check.md).")] = False,
) -> None:
    """Play recordings through the parsers, sequencers and books of their venues, and say what was found.

    Example: py_rt feed check btcusdt_20240808.gz btcusdt_20240809.gz --json

    Read are `<ns> <message>` lines, cryptofeed's recordings (JSON lines or text) and JSON lines with a "frame"; plain,
    gzip or zstd. Format and wire are found by content. Files of one wire continue each other in order of time; what
    makes a connection of its own is a session by itself. Beside the books that trade stands a second reading that keeps
    every number as the venue wrote it: both must be the same book.
    """
    _run(["check", *(["--json"] if json else []), "--", *map(str, files)])


@app.command(
    epilog="Exit status: 0 every promise was kept; 1 breaches; 2 a file cannot be read, or the command line is wrong."
)
def faults(
    files: Annotated[list[Path], typer.Argument(help="Recordings, of one wire or of several.", metavar="FILE...")],
    count: Annotated[int, typer.Option(help="Faults over all files.", min=1, max=FAULTS_MAX)] = 100_000,
    seed: Annotated[int, typer.Option(help="The same seed and files give the same faults.", min=0)] = 1,
    json: Annotated[bool, typer.Option("--json", help="One JSON document instead of a table.")] = False,
) -> None:
    """Inject faults into recordings, and say which of them the parsers, sequencers and books noticed.

    Example: py_rt feed faults --count 1000000 --seed 7 btcusdt_20240808.gz KRAKEN-book-c197c0.0.gz

    Messages are lost, come twice or late; digits, sides and bytes change; messages are cut. A breach is a promise that
    was not kept: a hole in the numbers that the next message did not show, a book that stands against its checksum or
    against an independent best level, a change passed on of a book known to be invalid. What no proof covers is counted
    as unseen (docs/reference/faults.md).
    """
    options = ["--count", str(count), "--seed", str(seed), *(["--json"] if json else [])]
    _run(["faults", *options, "--", *map(str, files)])


def _run(arguments: list[str]) -> None:
    try:
        status = subprocess.run([find_command(COMMAND), *arguments], check=False).returncode
    except (PyRtError, OSError) as error:
        typer.echo(str(error), err=True)
        raise typer.Exit(UNREADABLE) from error
    if status < 0:
        typer.echo(f"{COMMAND} was ended by signal {-status}", err=True)
        status = UNREADABLE
    raise typer.Exit(status)

"""`py_rt feed`: recorded sessions of the venues' wires."""

from __future__ import annotations

import os
import subprocess
from contextlib import contextmanager
from pathlib import Path  # noqa: TC003  # typer reads the annotations
from typing import TYPE_CHECKING, Annotated

import typer

from py_rt.demo.children import find_command
from py_rt.errors import PyRtError

if TYPE_CHECKING:
    from collections.abc import Iterator

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
    _leave_with(["check", *(["--json"] if json else []), "--", *map(str, files)])


@app.command(
    epilog="Exit status: 0 nothing wrong; 1 something wrong was found, as `check` would; 2 a file cannot be read, or "
    "the command line is wrong."
)
def replay(
    files: Annotated[list[Path], typer.Argument(help="Recordings, of one wire or of several.", metavar="FILE...")],
    speed: Annotated[
        str, typer.Option(help="Seconds of the recording in one second, such as 1 or 0.5; max: as fast as it is taken.")
    ] = "max",
) -> None:
    """Play recordings as normalised events, one JSON document a line.

    Example: py_rt feed replay recordings/*.zst --speed 10

    Events are book (snapshot or delta), book_invalid, trade and quote: what the parsers, sequencers and books that
    trade made of each message. Prices and quantities are decimal text, times UTC nanoseconds.
    """
    _leave_with(["replay", "--speed", speed, "--", *map(str, files)])


@app.command(
    epilog="Exit status: 0 nothing wrong; 1 something wrong was found, as `check` would, and the tables stand; 2 a "
    "file cannot be read or written, or the command line is wrong."
)
def export(
    files: Annotated[list[Path], typer.Argument(help="Recordings, of one wire or of several.", metavar="FILE...")],
    out: Annotated[Path, typer.Option(help="Folder for the tables, which must not hold them yet.", metavar="DIR")],
) -> None:
    """Write recordings as tables of integers: book.csv, trades.csv, and report.json, which says what they are worth.

    Example: py_rt feed export recordings/*.zst --out tables

    Prices and quantities are units of 1e-8, times UTC nanoseconds. The assets raw_book and raw_trades do the same into
    the lake, by days.
    """
    _leave_with(["export", "--out", str(out), "--", *map(str, files)])


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
    _leave_with(["faults", *options, "--", *map(str, files)])


def record(  # noqa: PLR0913, PLR0917  # the options of one command
    venue: Annotated[str, typer.Option(help="Whose streams, such as binance.")],
    symbol: Annotated[list[str], typer.Option(help="The venue's own symbol; give it once for each.", metavar="SYMBOL")],
    out: Annotated[Path, typer.Option(help="Folder for the files; what is in it stays.", metavar="DIR")],
    rotate_mb: Annotated[int, typer.Option(help="A file of so many megabytes is ended and the next begun.")] = 256,
    rotate_minutes: Annotated[
        int, typer.Option(help="A file is ended at each multiple of so many minutes UTC; 0 never.")
    ] = 60,
    sync_ms: Annotated[
        int, typer.Option(help="Longest time until what was written is on the disk, milliseconds.")
    ] = 1_000,
    seconds: Annotated[int | None, typer.Option(help="End by itself after so many seconds.")] = None,
    url: Annotated[str | None, typer.Option(help="Instead of the venue's own address.")] = None,
    depth: Annotated[
        int | None,
        typer.Option(help="Levels a side that books are subscribed with: Kraken's 10, 25, 100, 500 or 1000."),
    ] = None,
    plain: Annotated[bool, typer.Option("--plain", help="Plain files instead of zstd ones.")] = False,
    json: Annotated[bool, typer.Option("--json", help="The summary as one JSON document.")] = False,
) -> None:
    """Record a venue's market streams as they come, until Ctrl-C.

    Example: py_rt record --venue binance --symbol BTCUSDT --symbol ETHUSDT --out recordings

    Ten minutes: py_rt record --venue binance --symbol BTCUSDT --out recordings --seconds 600 --json

    From a server of the same wire: py_rt record --venue binance --symbol BTCUSDT --out recordings --url
    http://127.0.0.1:8080

    Each message stands in the files byte for byte, with the time of its receipt, beside connections made and lost and
    REST snapshots. Files are appended to, ended by size and time, and never gone back to: what a crash leaves is read
    up to its last whole line. Then: py_rt feed check recordings/*, and the assets raw_book and raw_trades.
    """
    options = ["--venue", venue, "--out", str(out), "--rotate-mb", str(rotate_mb)]
    options += ["--rotate-minutes", str(rotate_minutes), "--sync-ms", str(sync_ms)]
    options += [word for one in symbol for word in ("--symbol", one)]
    options += ["--seconds", str(seconds)] if seconds is not None else []
    options += ["--url", url] if url is not None else []
    options += ["--depth", str(depth)] if depth is not None else []
    options += [*(["--plain"] if plain else []), *(["--json"] if json else [])]
    with _said():
        command = find_command(COMMAND)
        # In place of this process: signals reach the one that writes, and no other stands between.
        os.execv(command, [command, "record", *options])  # noqa: S606  # no shell is wanted


def _leave_with(arguments: list[str]) -> None:
    """Run the command, and leave with its exit status."""
    with _said():
        status = subprocess.run([find_command(COMMAND), *arguments], check=False).returncode
    if status < 0:
        typer.echo(f"{COMMAND} was ended by signal {-status}", err=True)
        status = UNREADABLE
    raise typer.Exit(status)


@contextmanager
def _said() -> Iterator[None]:
    """Say in a line why the command cannot be run."""
    try:
        yield
    except (PyRtError, OSError) as error:
        typer.echo(str(error), err=True)
        raise typer.Exit(UNREADABLE) from error

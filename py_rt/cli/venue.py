"""`py_rt venue`: what a venue's wire is really like."""

from __future__ import annotations

import json as json_text
import signal
import subprocess
import sys
from contextlib import contextmanager
from pathlib import Path  # noqa: TC003  # typer reads the annotations
from typing import TYPE_CHECKING, Annotated, Any

import typer

from py_rt.bundle import certificate as certificates
from py_rt.cli.refusal import FAILED, REFUSED, WRONG
from py_rt.defaults import CERTIFICATES, default_root, home_folder
from py_rt.demo.children import find_command
from py_rt.errors import PyRtError

if TYPE_CHECKING:
    from collections.abc import Iterator
    from types import FrameType

COMMAND = "py_rt_certify"
ASKED = {"production": "real money", "elsewhere": "whatever money stands behind this address"}
"""Networks at which nothing is placed before a person agreed, and what is at stake there."""

STOPS = (signal.SIGINT, signal.SIGTERM, signal.SIGHUP)
MARKS = {"as_expected": "as expected", "differs": "DIFFERS", "not_tried": "not tried", "not_offered": "not offered"}

app = typer.Typer(
    help="What a venue's wire is really like.\n\nExample: py_rt venue certify binance", no_args_is_help=True
)


@app.callback()
def room() -> None:
    """What a venue's wire is really like."""


@app.command(
    epilog="Exit status: 0 as expected; 1 something differs, or could not be tried; 2 a file, a key or the command "
    "line is wrong; 3 no consent, or a key that may withdraw; 4 the venue could not be used."
)
def certify(  # noqa: PLR0913, PLR0917  # the options of one command
    venue: Annotated[str, typer.Argument(help="binance, kraken or coinbase.", metavar="VENUE")],
    symbol: Annotated[str, typer.Option(help="The venue's own symbol; default: the first of the file.")] = "",
    config: Annotated[Path | None, typer.Option(help="A service's file; default: config/paper.toml.")] = None,
    testnet: Annotated[bool, typer.Option("--testnet", help="The venue's test network, with play money.")] = False,
    production: Annotated[bool, typer.Option("--production", help="The venue itself, with real money.")] = False,
    max_notional: Annotated[str, typer.Option(help="Most that one order may cost, in the quote currency.")] = "25",
    trade: Annotated[bool, typer.Option("--trade", help="Let one smallest order trade, and see its fills.")] = False,
    patience_s: Annotated[int, typer.Option(min=1, max=600, help="Longest that one step may take.")] = 60,
    consent: Annotated[
        bool, typer.Option("--yes-i-trade-real-money", help="Agree beforehand; otherwise you are asked.")
    ] = False,
    json: Annotated[bool, typer.Option("--json", help="One JSON object.")] = False,
) -> None:
    """Tour every call and stream of a venue, and write a certificate of what differs from the wire that is expected.

    Example: py_rt venue certify binance --testnet

    Orders are as small as the rules allow, rest far from the market and are taken back. Without --testnet or
    --production the tour goes where the service's file says. Stop what else trades on the account first.
    """
    file = config or default_root() / "config" / "paper.toml"
    line = ["--config", str(file), "--venue", venue, f"--max-notional={max_notional}"]
    line += ["--patience-s", str(patience_s)]
    line += [f"--symbol={symbol}"] if symbol else []
    line += ["--testnet"] if testnet else []
    line += ["--production"] if production else []
    line += ["--trade"] if trade else []
    with _said(json=json):
        where = json_text.loads(_run([*line, "--where"]))
        _agree(where, max_notional, trade=trade, consent=consent)
        # To this address and no other, whatever becomes of the file meanwhile.
        found = certificates.parse(_run([*line, f"--consent={where['rest']}"]))
        path = certificates.keep(home_folder() / CERTIFICATES, found)
    if json:
        typer.echo(json_text.dumps({"certificate": str(path), **found}))
    else:
        typer.echo("\n".join([*_lines(found), f"written to {path}"]))
    raise typer.Exit(0 if found["verdict"] == certificates.AS_EXPECTED else FAILED)


class _RefusedError(PyRtError):
    """The tour was refused, and with which exit status."""

    def __init__(self, status: int, message: str) -> None:
        """Keep both."""
        self.status = status
        super().__init__(message)


@contextmanager
def _said(*, json: bool) -> Iterator[None]:
    """Say in a line why there is no certificate."""
    try:
        yield
    except (PyRtError, OSError) as error:
        if json:
            typer.echo(json_text.dumps({"ok": False, "error": str(error)}))
        else:
            typer.echo(str(error), err=True)
        raise typer.Exit(getattr(error, "status", WRONG)) from error


def _run(arguments: list[str]) -> str:
    """What the command wrote.

    Raises:
        _RefusedError: it wrote nothing, and said why.
    """
    pipe = subprocess.PIPE
    with subprocess.Popen([find_command(COMMAND), *arguments], stdout=pipe, stderr=pipe, text=True) as tour:
        with _passing_on(tour):
            out, said = tour.communicate()
        status = tour.returncode
    if out:
        return out
    raise _RefusedError(status if status > 0 else FAILED, said.strip() or f"{COMMAND} ended by signal {-status}")


@contextmanager
def _passing_on(tour: subprocess.Popen[str]) -> Iterator[None]:
    """Pass a stop on and wait: the tour takes its orders back first, and its certificate is still written."""

    def pass_on(number: int, _: FrameType | None) -> None:
        tour.send_signal(number)

    before = {number: signal.signal(number, pass_on) for number in STOPS}
    try:
        yield
    finally:
        for number, handler in before.items():
            signal.signal(number, handler)


def _agree(where: dict[str, Any], max_notional: str, *, trade: bool, consent: bool) -> None:
    """Nothing is placed with real money that nobody agreed to."""
    money = ASKED.get(where["network"])
    if money is None or consent:
        return
    question = (
        f"{where['venue']} at {where['rest']}: the tour places orders with {money}, each of at most {max_notional} "
        f"in the quote currency of {where['symbol']}{', and lets one of them trade' if trade else ''}. Go on?"
    )
    # Whoever reads JSON reads standard output.
    if not sys.stdin.isatty():
        raise _RefusedError(REFUSED, f"{question} Nobody is there to ask: say --yes-i-trade-real-money")
    if not typer.confirm(question, err=True):
        raise _RefusedError(REFUSED, "nothing was sent")


def _lines(found: dict[str, Any]) -> list[str]:
    """A certificate for people."""
    place = f"{found['venue']} {found['symbol']} at {found['addresses']['rest']} ({found['network']})"
    lines = [f"{place}: {MARKS[found['verdict']]}"]
    for step in found["steps"]:
        lines.append(f"  [{MARKS[step['outcome']]}] {step['name']}: {'; '.join(step['seen'])}")
        lines += [f"      {word}" for word in step["words"] if step["outcome"] != "as_expected"]
    for one in found["differences"]:
        lines.append(f"  [{'more' if one['is_addition'] else 'DIFFERS'}] {one['place']}: {one['what']}")
        lines.append(f"      {one['text']}")
    return lines

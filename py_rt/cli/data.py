"""`py_rt data`: bars and what is wrong with them, and sources of data."""

from __future__ import annotations

import json as json_text
from pathlib import Path  # noqa: TC003  # typer reads the annotations
from typing import Annotated, Any

import typer

from py_rt.cli import bar_options as options
from py_rt.cli import data_add, data_make, data_reference
from py_rt.errors import PyRtError

CHECK_FAILED = 3

app = typer.Typer(help="Bars from anywhere, what is wrong with them, and sources of data.", no_args_is_help=True)


@app.callback()
def data() -> None:
    """Bars from anywhere, what is wrong with them, and sources of data."""


@app.command(
    epilog="Exit status: 0 done, whatever was found; 2 a file cannot be taken or written, or the command line is "
    "wrong; 3 no row could be kept, or one rule but for `duplicate` set more than half of them aside."
)
def clean(  # noqa: PLR0913, PLR0917  # the options of one command
    bars: Annotated[Path, typer.Argument(help="Bars: .csv, .csv.gz, .zip of one, .tsv, .txt, .parquet.", metavar="IN")],
    out: Annotated[Path, typer.Option(help="The clean bars, of the kind its suffix says.", metavar="OUT")],
    report: Annotated[Path, typer.Option(help="What was found, as JSON.", metavar="REPORT.json")],
    quarantine: Annotated[
        Path | None,
        typer.Option(
            help="Rows that are certainly wrong and cannot be repaired; without it, beside OUT: bars.csv.gz has "
            "bars.quarantine.csv.gz, and no file when there are none.",
            metavar="FILE",
        ),
    ] = None,
    time_zone: Annotated[str, options.ZONE] = "UTC",
    symbol: Annotated[str, options.SYMBOL] = "",
    column: Annotated[list[str] | None, options.COLUMN] = None,
    day_first: Annotated[bool | None, options.DAY_FIRST] = None,
    json: Annotated[bool, typer.Option("--json", help="The totals as one JSON document instead of lines.")] = False,
) -> None:
    """Find what is wrong with bars, repair what can be proven, and set aside what cannot.

    Example: py_rt data clean vod.csv --out clean/vod.csv --report clean/vod.json

    Gzipped, quarantine elsewhere: py_rt data clean vod.csv.gz --out clean/vod.csv.gz --report vod.json --quarantine
    bad/vod.csv.gz

    Parquet, totals for a program: py_rt data clean bars.parquet --out clean.parquet --report report.json --json

    Several instruments in one file: py_rt data clean all.csv --symbol AAPL --out aapl.csv --report aapl.json

    Bars of minutes to weeks with columns by their usual names: Date, Datetime or timestamp; Open, High, Low, Close, Adj
    Close, Volume; Dividends, Stock Splits, Capital Gains. Times and closes are needed, the rest is used where it is.
    OUT has the same columns in the same order; of the kind of IN, cells that no rule repaired keep their text or bits,
    and a file in which nothing is wrong comes back byte for byte. Rows of OUT and of the quarantine file are together
    the rows of IN. Findings name the rule, the row (from 0, the header is none), the evidence and what was done
    (docs/reference/cleaning.md).
    """
    from py_rt.data.repair.report import clean_file

    try:
        given = options.given(time_zone, symbol, column, day_first=day_first)
        facts = clean_file(bars, out, report, quarantine, given)
    except PyRtError as error:
        data_add.refuse(error, json=json)
    typer.echo(json_text.dumps(_totals(facts)) if json else _lines(facts, out, report))
    if not facts["rows"]["out"] or (rule := _most_aside(facts)):
        if facts["rows"]["out"]:
            typer.echo(
                f"{rule} set more than half of the rows aside: are the columns taken for what they are?", err=True
            )
        raise typer.Exit(CHECK_FAILED)


def _most_aside(facts: dict[str, Any]) -> str:
    """The rule that set more than half of the rows aside, but for rows that stand again."""
    half = facts["rows"]["in"] / 2
    found = [rule for rule, counts in facts["rules"].items() if counts.get("quarantined", 0) > half]
    return next((rule for rule in found if rule != "duplicate"), "")


def _totals(facts: dict[str, Any]) -> dict[str, Any]:
    """The report without its findings."""
    return {"ok": True} | {name: value for name, value in facts.items() if name != "findings"}


def _lines(facts: dict[str, Any], out: Path, report: Path) -> str:
    rows = facts["rows"]
    lines = [
        f"{rows['in']} rows: {rows['out']} clean, of these {rows['repaired']} repaired; {rows['quarantined']} aside"
    ]
    if left_out := facts["input"]["left_out"]:
        lines.append(f"{left_out} rows of other instruments left out")
    for rule, counts in facts["rules"].items():
        lines.append(f"  {rule}: {', '.join(f'{count} {action}' for action, count in counts.items())}")
    if facts["unchanged"]:
        lines.append("unchanged, byte for byte")
    if facts["quarantine"]["name"]:
        lines.append(f"quarantine: {facts['quarantine']['name']}")
    return "\n".join([*lines, f"clean: {out}", f"report: {report}"])


data_add.add_to(app)
data_make.add_to(app)
data_reference.add_to(app)

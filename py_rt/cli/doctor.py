"""`py_rt doctor`: whether what py_rt stands on is fit for it."""

from __future__ import annotations

import json as json_text
from dataclasses import asdict
from typing import Annotated

import typer

from py_rt.data.lake_check import LakeError, check_lake
from py_rt.defaults import lake_root

FAILED, REFUSED = 1, 3

app = typer.Typer(
    help="Look whether what py_rt stands on is fit for it.\n\nExample: py_rt doctor lake",
    no_args_is_help=True,
)


@app.callback()
def root() -> None:
    """Look whether what py_rt stands on is fit for it."""


@app.command()
def lake(
    place: Annotated[
        str, typer.Argument(help="Folder or s3:// URL; default: PY_RT_LAKE, or <PY_RT_HOME>/lake.", metavar="ROOT")
    ] = "",
    json: Annotated[bool, typer.Option("--json", help="One JSON object.")] = False,
) -> None:
    """Look whether the lake's store keeps two writers apart: two conditional writes of one name, the second refused.

    Example: py_rt doctor lake

    Exit status 3 when the store is not fit; 1 when it cannot be asked.
    """
    where = place or lake_root()
    try:
        verdict = check_lake(where)
    except LakeError as error:
        typer.echo(
            json_text.dumps({"ok": False, "root": where, "error": str(error)}) if json else str(error), err=not json
        )
        raise typer.Exit(FAILED) from error
    if json:
        typer.echo(json_text.dumps({"ok": verdict.safe, **asdict(verdict)}))
    else:
        typer.echo(
            "\n".join([f"{where}: {'fit' if verdict.safe else 'not fit'}", *(f"  {one}" for one in verdict.facts)])
        )
        for problem in verdict.problems:
            typer.echo(f"  {problem}", err=True)
    if not verdict.safe:
        raise typer.Exit(REFUSED)

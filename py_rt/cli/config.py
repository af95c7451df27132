"""`py_rt config`: check configuration files, and show what they may say."""

from __future__ import annotations

import json as json_text
import sys
from pathlib import Path  # noqa: TC003  # typer reads the annotations
from typing import Annotated

import py_rt_core
import typer
from rich.console import Console
from rich.markup import escape
from rich.table import Table

app = typer.Typer(
    help="Check configuration files, and show what they may say.\n\nExample: py_rt config check config/paper.toml",
    no_args_is_help=True,
)

WRONG = 2
_KINDS_BY_PLACE = {"features": "features", "strategies": "strategy"}
_KINDS_BY_NAME = {"risk_limits.toml": "risk_limits", "strategy.toml": "strategy"}


def kind_of(path: Path) -> str:
    """Guess the kind of a file from its name and folder.

    >>> kind_of(Path("config/features/btc_15m.toml")), kind_of(Path("config/paper.toml"))
    ('features', 'service')
    """
    return _KINDS_BY_NAME.get(path.name) or _KINDS_BY_PLACE.get(path.parent.name) or "service"


@app.command()
def check(
    files: Annotated[list[Path], typer.Argument(help="Files to check.", metavar="FILE...")],
    kind: Annotated[str, typer.Option(help="risk_limits, strategy, features or service; default: by name.")] = "",
    json: Annotated[bool, typer.Option("--json", help="One JSON object per file.")] = False,
) -> None:
    """Judge files by the service's own validator; every fault with its line.

    Example: py_rt config check config/risk_limits.toml config/paper.toml
    """
    wrong = 0
    for path in files:
        found = kind or kind_of(path)
        faults = _faults(found, path)
        wrong += bool(faults)
        if json:
            typer.echo(json_text.dumps({"file": str(path), "kind": found, "ok": not faults, "faults": faults}))
        else:
            typer.echo("\n".join(faults) if faults else f"{path}: ok ({found})", err=bool(faults))
    raise typer.Exit(WRONG if wrong else 0)


def _faults(kind: str, path: Path) -> list[str]:
    """What is wrong with a file, line by line."""
    if path.suffix == ".json":
        keys = f"`py_rt config show {kind}` lists the keys; the JSON of a bundle is judged by `py_rt bundle verify`"
        return [f"{path}: a JSON file, and configuration files are TOML: {keys}"]
    try:
        py_rt_core.check_config(kind, str(path))
    except py_rt_core.CoreError as error:
        return str(error).splitlines()
    return []


@app.command()
def show(
    kind: Annotated[str, typer.Argument(help="risk_limits, strategy, features or service.")],
    json: Annotated[bool, typer.Option("--json", help="JSON instead of a table.")] = False,
) -> None:
    """Show every key that a kind of file may have: what is allowed, the default, the meaning.

    Example: py_rt config show risk_limits
    """
    try:
        rows = py_rt_core.config_keys(kind)
    except py_rt_core.CoreError as error:
        typer.echo(str(error), err=True)
        raise typer.Exit(WRONG) from error
    names = ("key", "allowed", "presence", "default", "unit", "meaning")
    if json:
        typer.echo(json_text.dumps([dict(zip(names, row, strict=True)) for row in rows]))
        return
    table = Table(*names, show_lines=False)
    for row in rows:
        table.add_row(*(escape(cell or "") for cell in row))
    Console(file=sys.stdout, width=None if sys.stdout.isatty() else 200).print(table)

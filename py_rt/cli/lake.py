"""`py_rt lake`: tables kept in few large files, old files removed, earlier versions seen and brought back."""

from __future__ import annotations

from dataclasses import asdict
from datetime import date, timedelta
from pathlib import Path  # noqa: TC003  # typer reads the annotations
from typing import TYPE_CHECKING, Annotated

import typer

from py_rt.cli.refusal import FAILED, shown, told
from py_rt.defaults import lake_root
from py_rt.errors import DataError

if TYPE_CHECKING:
    from py_rt.data.storage import DayWindow

KEEP_DAYS = 30

app = typer.Typer(help="Upkeep of the lake's tables.\n\nExample: py_rt lake tables", no_args_is_help=True)

_TABLE = typer.Argument(help="GROUP/NAME, such as cleaned/clean_bars; without one, every table.", metavar="[TABLE]")
_ONE = typer.Argument(help="GROUP/NAME, such as cleaned/clean_bars.", metavar="TABLE")
_ROOT = typer.Option("--root", help="Folder or s3:// URL; default: PY_RT_LAKE, or <home>/lake.", metavar="ROOT")
_JSON = typer.Option("--json", help="One JSON object.")


@app.callback()
def lake() -> None:
    """Upkeep of the lake's tables."""


@app.command()
def tables(root: Annotated[str, _ROOT] = "", json: Annotated[bool, _JSON] = False) -> None:
    """List the tables with their versions, files and rows.

    Example: py_rt lake tables
    """
    from py_rt.data.maintenance import state

    with told(json=json, status=FAILED):
        found = [asdict(state(uri, name)) for name, uri in _tables(root, "").items()]
    lines = [
        f"{one['name']:40} version {one['version']:>5}  {one['files']:>6} files  {one['rows']:>12} rows"
        for one in found
    ]
    shown({"ok": True, "tables": found}, json=json, text="\n".join(lines) or f"{root or lake_root()} has no tables")


@app.command()
def compact(
    table: Annotated[str, _TABLE] = "", root: Annotated[str, _ROOT] = "", json: Annotated[bool, _JSON] = False
) -> None:
    """Join small files into large ones; rows stay as they are, and earlier versions can still be read.

    Example: py_rt lake compact features/labels
    """
    from py_rt.data import maintenance

    with told(json=json, status=FAILED):
        found = [{"name": name, **asdict(maintenance.compact(uri))} for name, uri in _tables(root, table).items()]
    lines = [
        f"{one['name']}: {one['files_before']} files became {one['files_after']}, {one['rows']} rows" for one in found
    ]
    shown({"ok": True, "tables": found}, json=json, text="\n".join(lines))


@app.command()
def vacuum(
    table: Annotated[str, _TABLE] = "",
    keep_days: Annotated[int, typer.Option(help="For how long earlier versions can be read; 7 at least.")] = KEEP_DAYS,
    apply: Annotated[bool, typer.Option("--apply", help="Remove them; without it they are named only.")] = False,
    root: Annotated[str, _ROOT] = "",
    json: Annotated[bool, _JSON] = False,
) -> None:
    """Name the files that only old versions need, and with --apply remove them.

    Example: py_rt lake vacuum cleaned/clean_bars --keep-days 60

    Example: py_rt lake vacuum --apply

    A bundle names the versions it was made from: the days kept are the time for which its training can be repeated.
    """
    from py_rt.data import maintenance

    with told(json=json, status=FAILED):
        found = {
            name: maintenance.vacuum(uri, keep_days=keep_days, dry_run=not apply)
            for name, uri in _tables(root, table).items()
        }
    lines = [f"{name}: {file}" for name, files in found.items() for file in files]
    done = f"{len(lines)} files {'removed' if apply else 'would be removed; --apply does it'}"
    shown({"ok": True, "applied": apply, "files": found}, json=json, text="\n".join([*lines, done]))


@app.command()
def history(
    table: Annotated[str, _ONE], root: Annotated[str, _ROOT] = "", json: Annotated[bool, _JSON] = False
) -> None:
    """List a table's versions, the newest first: when, by what, by which run.

    Example: py_rt lake history cleaned/clean_bars
    """
    from py_rt.data import maintenance

    with told(json=json, status=FAILED):
        (uri,) = _tables(root, table).values()
        found = [{**asdict(one), "at": one.at.isoformat()} for one in maintenance.history(uri)]
    lines = [f"{one['version']:>6}  {one['at']:32}  {one['operation']:10} {one['run_id'] or ''}" for one in found]
    shown({"ok": True, "versions": found}, json=json, text="\n".join(lines))


@app.command()
def restore(
    table: Annotated[str, _ONE],
    version: Annotated[int, typer.Option(help="Number of the version, from py_rt lake history.", min=0)],
    root: Annotated[str, _ROOT] = "",
    json: Annotated[bool, _JSON] = False,
) -> None:
    """Make the rows of an earlier version the newest ones, as a further version; what was between stays.

    Example: py_rt lake restore cleaned/clean_bars --version 12
    """
    from py_rt.data import maintenance

    with told(json=json, status=FAILED):
        (uri,) = _tables(root, table).values()
        made = maintenance.restore(uri, version)
    facts = {"ok": True, "table": table, "restored": version, "version": made}
    shown(facts, json=json, text=f"{table}: version {version} is the newest again, as version {made}")


@app.command()
def export(
    table: Annotated[str, _ONE],
    out: Annotated[Path, typer.Argument(help=".csv, .csv.gz, .parquet, .h5 or .hdf5.", metavar="OUT")],
    first: Annotated[str, typer.Option("--from", help="First day, such as 2026-11-26.", metavar="DAY")] = "",
    last: Annotated[str, typer.Option("--to", help="Last day, included.", metavar="DAY")] = "",
    root: Annotated[str, _ROOT] = "",
    json: Annotated[bool, _JSON] = False,
) -> None:
    """Write a table, or some days of it, as a file that other commands and programs read.

    Example: py_rt lake export features/flow_bars bars.parquet

    Example: py_rt lake export raw/my_news news.csv --from 2026-11-01 --to 2026-11-26

    Parquet and HDF5 say the decimal digits of fixed-point columns; a CSV has them written out.
    """
    from py_rt.data import convert, schemas, storage

    with told(json=json, status=FAILED):
        (uri,) = _tables(root, table).values()
        convert.check_ending(out)
        rows = storage.scan(uri, _days(first, last))
        declared = next((one for one in schemas.TABLES.values() if f"{one.group}/{one.name}" == table), None)
        order = (declared.order or declared.key) if declared is not None else ()
        found = (rows.sort(order, maintain_order=True) if order else rows).collect()
        convert.write_any(found, out, storage.table_scales(uri))
    facts = {"ok": True, "table": table, "rows": found.height, "out": str(out)}
    shown(facts, json=json, text=f"{found.height} rows of {table}: {out}")


def _days(first: str, last: str) -> DayWindow | None:
    """The days that are asked for; `None` is all."""
    from py_rt.data.storage import DayWindow

    if not first and not last:
        return None
    try:
        begin, end = (date.fromisoformat(text) if text else None for text in (first, last))
    except ValueError as error:
        raise DataError(f"--from {first!r} --to {last!r}: write days as 2026-11-26") from error
    if end == date.max:
        raise DataError(f"--to {last}: there is no day after it; leave --to out to read to the end")
    return DayWindow(begin or date.min, end + timedelta(days=1) if end else date.max)


def _tables(root: str, table: str) -> dict[str, str]:
    from py_rt.data.maintenance import tables_below

    return tables_below(root or lake_root(), table)

"""`py_rt data add`, `list`, `fetch` and `rebuild`: sources of your own, tried before they are trusted."""

from __future__ import annotations

import json as json_text
import sys
import time
from datetime import UTC, date, datetime, timedelta
from typing import TYPE_CHECKING, Annotated, Any, NoReturn

import typer

from py_rt.defaults import home_folder, lake_root
from py_rt.errors import PyRtError

if TYPE_CHECKING:
    from collections.abc import Iterable
    from pathlib import Path

    from py_rt.data.ingestion.ingest import Ingestion, Step
    from py_rt.data.ingestion.source import PartitionedSource
    from py_rt.data.storage import Lake

FAILED, WRONG = 1, 2

NameArgument = Annotated[str, typer.Argument(help="Name of the source, or path of its TOML file.", metavar="NAME")]
JsonOption = Annotated[bool, typer.Option("--json", help="One JSON object, or one per line where there is progress.")]


def add_to(app: typer.Typer) -> None:
    """Register the commands on the sub-app `data`."""
    app.command("add")(add)
    app.command("list")(list_sources)
    app.command("fetch")(fetch)
    app.command("rebuild")(rebuild)


def add(
    name: NameArgument,
    partition: Annotated[
        str, typer.Option(help="What to try; default: yesterday, the first key, or what is next.")
    ] = "",
    json: JsonOption = False,
) -> None:
    """Look at a new source: judge its definition, try one partition, say what was found and what it will be called.

    Example: py_rt data add bundled_stocks

    A source is a file config/sources/NAME.toml, or a class that an installed package names in the entry point group
    py_rt.sources. Nothing is kept of the trial; py_rt data fetch NAME lands it.
    """
    from py_rt.data.ingestion import catalog
    from py_rt.data.ingestion.trial import tried
    from py_rt.data.storage import Lake

    try:
        found = tried(catalog.open_source(name), partition)
        found["table"] = Lake(lake_root()).uri("raw", found["name"])
    except PyRtError as error:
        refuse(error, json=json)
    typer.echo(json_text.dumps(found) if json else found_text(found))
    if found["problem"]:
        raise typer.Exit(FAILED)


def found_text(found: dict[str, Any]) -> str:
    """Put a trial in words, with what to do next."""
    head = f"{found['name']}: {found['doc']}"
    if found["problem"]:
        return f"{head}\n  {found['problem']}\nnext: mend it, then py_rt data add {found['name']} again"
    columns = ", ".join(f"{name} {dtype}" for name, dtype in found["columns"].items())
    lines = [
        head,
        f"  partition {found['partition']}: {found['rows']} rows, {found['payloads']} payloads, {found['bytes']} bytes",
        f"  columns: {columns}",
        *(f"  absent: {name} in {count} rows" for name, count in found["nulls"].items()),
        *(f"  row {number}: {row}" for number, row in enumerate(found["sample"], 1)),
        f"  asset: {found['asset']} (group raw), daily; checks {', '.join(found['checks'])}",
        f"  table: {found['table']}, with ts_known for point-in-time joins",
    ]
    span = " --from DAY --to DAY" if found["partitioning"] == "day" else ""
    return "\n".join([*lines, f"next: py_rt data fetch {found['name']}{span}"])


def list_sources(json: JsonOption = False) -> None:
    """List every source that can be opened, and what is landed of it.

    Example: py_rt data list
    """
    from py_rt.data.ingestion import catalog
    from py_rt.data.ingestion.ingest import LANDING

    root = home_folder() / LANDING
    found = [_listed(name, root) for name in catalog.known_sources()]
    if json:
        typer.echo(json_text.dumps(found))
        return
    for one in found:
        typer.echo(f"{one['name']:24} {one['partitioning']:5} {one['landed']:>6} landed  {one['doc']}")


def _listed(name: str, root: Path) -> dict[str, Any]:
    from py_rt.data.ingestion import catalog
    from py_rt.data.ingestion.received import Received

    received = Received(root, name)
    landed, refused = len(received.partitions()), len(received.refused())
    try:
        table = catalog.open_source(name).table
    except Exception as error:  # noqa: BLE001  # whatever one source does, the others are listed
        return {"name": name, "partitioning": "?", "landed": landed, "refused": refused, "doc": f"{error}"}
    facts = {"partitioning": table.partitioning, "landed": landed, "refused": refused}
    return {"name": name, **facts, "doc": table.doc}


def fetch(
    name: NameArgument,
    first: Annotated[str, typer.Option("--from", help="First day, such as 2024-01-01.", metavar="DAY")] = "",
    last: Annotated[str, typer.Option("--to", help="Last day, included; default: yesterday.", metavar="DAY")] = "",
    key: Annotated[list[str] | None, typer.Option(help="A key, of a source cut by keys; may be given again.")] = None,
    again: Annotated[bool, typer.Option("--again", help="Ask for landed partitions too; keep what is new.")] = False,
    json: JsonOption = False,
) -> None:
    """Land partitions of a source as received, and publish their rows; what is landed is not asked for again.

    Example: py_rt data fetch bundled_stocks --key AAPL --key IBM

    It may be stopped at any point and started again. Exit status 1 when a partition failed: the others are landed, and
    the next run asks for it again.
    """
    from py_rt.data.ingestion import catalog
    from py_rt.data.ingestion.ingest import LANDING, ingest
    from py_rt.data.ingestion.received import Received
    from py_rt.data.storage import Lake

    try:
        source = catalog.open_source(name)
        partitions = _asked(source, first, last, key or [])
        received, lake = Received(home_folder() / LANDING, source.table.name), Lake(lake_root())
        total = len(partitions) if partitions is not None else None
        done = ingest(
            source, partitions, received, lake, time.time_ns, again=again, on_step=_Told(total, json=json).step
        )
    except PyRtError as error:
        refuse(error, json=json)
    summary = _summary(source, done, lake)
    typer.echo(json_text.dumps(summary) if json else _summary_text(summary))
    if done.failed:
        raise typer.Exit(FAILED)


def rebuild(
    name: NameArgument,
    json: Annotated[bool, typer.Option("--json", help="One JSON object.")] = False,
) -> None:
    """Make a source's whole table again out of what was landed, in one commit; nobody is asked for anything.

    Example: py_rt data rebuild bundled_stocks

    For a definition whose columns have changed, and for a table that was lost. Earlier versions of the table stay
    readable; where nothing differs, nothing is written.
    """
    from py_rt.data.ingestion import catalog, publishing
    from py_rt.data.ingestion.ingest import LANDING
    from py_rt.data.ingestion.received import Received
    from py_rt.data.storage import Lake

    try:
        source = catalog.open_source(name)
        received = Received(home_folder() / LANDING, source.table.name)
        with received.alone():
            written = publishing.rebuild(source, received, Lake(lake_root()))
    except PyRtError as error:
        refuse(error, json=json)
    found = {"name": source.table.name, "rows": written.rows, "table": written.uri, "version": written.version}
    if json:
        typer.echo(json_text.dumps(found | {"changed": written.changed}))
    else:
        typer.echo(f"{found['name']}: {written.rows} rows in {written.uri}, version {written.version}")


def _asked(source: PartitionedSource, first: str, last: str, keys: list[str]) -> list[str] | None:
    from py_rt.data.ingestion.publishing import days
    from py_rt.data.storage import DayWindow

    table = source.table
    if table.partitioning != "day":
        if first or last:
            raise typer.BadParameter(f"{table.name} is cut by {table.partitioning}, not by days")
        return keys or None
    if keys:
        raise typer.BadParameter(f"{table.name} is cut by days: give --from and --to")
    yesterday = datetime.now(UTC).date() - timedelta(days=1)
    begin = _day("--from", first) if first else table.first_day
    end = _day("--to", last) if last else yesterday
    if max(begin, end) > yesterday:
        raise typer.BadParameter(f"{max(begin, end)} is not over; the last whole day is {yesterday} (UTC)")
    if end < begin:
        raise typer.BadParameter(f"--to {end} is before --from {begin}")
    return days(DayWindow(begin, end + timedelta(days=1)))


def _day(option: str, text: str) -> date:
    try:
        return date.fromisoformat(text)
    except ValueError as error:
        raise typer.BadParameter(f"{option} {text} is no day; give one such as 2024-01-31") from error


class _Told:
    """Says what became of each partition: a line of JSON each, or on a terminal one line that moves on."""

    def __init__(self, total: int | None, *, json: bool) -> None:
        self._total, self._json, self._done = total, json, 0

    def step(self, step: Step) -> None:
        self._done += 1
        if self._json:
            facts = {"event": "partition", "partition": step.partition, "outcome": step.outcome, "rows": step.rows}
            facts |= {"bytes": step.bytes, "done": self._done, "total": self._total}
            typer.echo(json_text.dumps({**facts, **({"problem": step.problem} if step.problem else {})}))
        elif step.outcome == "failed":
            typer.echo(f"{step.partition}: {step.problem}", err=True)
        elif sys.stdout.isatty():
            of = f" of {self._total}" if self._total is not None else ""
            typer.echo(f"\r{self._done}{of}: {step.partition} {step.outcome}, {step.rows} rows\x1b[K", nl=False)


def _summary(source: PartitionedSource, done: Ingestion, lake: Lake) -> dict[str, Any]:
    counts: dict[str, int] = {}
    for step in done.steps:
        counts[step.outcome] = counts.get(step.outcome, 0) + 1
    return {
        "event": "done",
        "name": source.table.name,
        "partitions": counts,
        "rows": done.rows,
        "skipped": len(done.skipped),
        "table": lake.uri("raw", source.table.name),
    }


def _summary_text(summary: dict[str, Any]) -> str:
    counts = _joined(f"{count} {outcome.replace('_', ' ')}" for outcome, count in summary["partitions"].items())
    skipped = f", {summary['skipped']} not tried" if summary["skipped"] else ""
    start = "\r\x1b[K" if sys.stdout.isatty() else ""
    return f"{start}{summary['name']}: {counts}{skipped}; {summary['rows']} rows in {summary['table']}"


def _joined(words: Iterable[str]) -> str:
    return ", ".join(words) or "nothing to do"


def refuse(error: PyRtError, *, json: bool) -> NoReturn:
    """Tell an error and end with the status of a wrong command line."""
    if json:
        typer.echo(json_text.dumps({"ok": False, "error": str(error)}))
    else:
        typer.echo(str(error), err=True)
    raise typer.Exit(WRONG) from error

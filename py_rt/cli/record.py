"""`py_rt parity` and `py_rt trace`: what the durable record of a run proves."""

from __future__ import annotations

import json as json_text
from datetime import UTC, datetime
from pathlib import Path
from typing import Annotated, Any

import py_rt_core
import typer

from py_rt.cli.service_text import record_text
from py_rt.defaults import home_folder
from py_rt.errors import PyRtError

FAILED, WRONG = 1, 2
NS_PER_S = 10**9

RunArgument = Annotated[
    str, typer.Argument(help="Folder of a run, or its name below <PY_RT_HOME>/runs; default: the newest.")
]
JsonOption = Annotated[bool, typer.Option("--json", help="One JSON object.")]


class UsageError(PyRtError):
    """What was asked for is not there; the message says what is."""


def run_folder(run: str) -> Path:
    """Find the folder of a run: a path, a name below `<home>/runs`, or the newest of those.

    Raises:
        UsageError: there is no such run.
    """
    runs = home_folder() / "runs"
    if run:
        for place in (Path(run), runs / run):
            if (place / "journal").is_dir():
                return place
        raise UsageError(f"no run {run}: neither {run} nor {runs / run} has a folder journal")
    found = sorted((place for place in runs.glob("*") if (place / "journal").is_dir()), key=_begun)
    if not found:
        raise UsageError(f"no run below {runs} yet; py_rt demo makes one")
    return found[-1]


def _begun(run: Path) -> float:
    return min((file.stat().st_mtime for file in (run / "journal").iterdir()), default=0.0)


def when(ts_ns: int) -> str:
    """Write nanoseconds as a time of day, UTC.

    >>> when(1_633_046_400_123_456_789)
    '2021-10-01 00:00:00.123456789'
    """
    return f"{datetime.fromtimestamp(ts_ns // NS_PER_S, UTC):%Y-%m-%d %H:%M:%S}.{ts_ns % NS_PER_S:09d}"


def parity(run: RunArgument = "", json: JsonOption = False) -> None:
    """Replay a run from record 0 in this process; every decision and order must be the same bytes.

    Example: py_rt parity demo

    Exit status 1 when something differs, and the first difference is named; when the record is damaged; and when it has
    no life. What a death kept from the record is named and no difference: it had no effect.
    """
    home = home_folder()
    try:
        folder = run_folder(run)
        keys = (home / "keys" / "trusted_keys.toml").read_text()
        verdict = py_rt_core.replay_journal(folder / "journal", home / "bundles", keys)
    except (UsageError, OSError) as error:
        typer.echo(str(error), err=True)
        raise typer.Exit(WRONG) from error
    except py_rt_core.CoreError as error:
        typer.echo(json_text.dumps({"identical": False, "error": str(error)}) if json else str(error), err=not json)
        raise typer.Exit(FAILED) from error
    verdict["run"] = str(folder)
    typer.echo(json_text.dumps(verdict) if json else parity_text(verdict))
    raise typer.Exit(0 if verdict["identical"] else FAILED)


def parity_text(verdict: dict[str, Any]) -> str:
    """Put the verdict of a replay in words.

    >>> counts = {"events": 12, "actions": 3, "lives": 2, "unrecorded": 1, "difference": None}
    >>> torn = {"segment": 0, "offset": 4711, "bytes": 9}
    >>> print(parity_text({"identical": True, **counts, "torn": torn, "chain": "ab" * 16}))
    12 events, 3 actions over 2 lives: identical
      unrecorded: 1 of the actions of a life's last event, without effect
      torn: 9 bytes at byte 4711 of segment 0, which a death left behind the last whole record
      chain over all records: abababababababababababababababab
    """
    lives = verdict["lives"]
    counts = f"{verdict['events']} events, {verdict['actions']} actions" + (f" over {lives} lives" if lives > 1 else "")
    if verdict["identical"]:
        lines = [f"{counts}: identical"]
        if missing := verdict["unrecorded"]:
            lines.append(f"  unrecorded: {missing} of the actions of a life's last event, without effect")
        if torn := verdict["torn"]:
            place = f"{torn['bytes']} bytes at byte {torn['offset']} of segment {torn['segment']}"
            lines.append(f"  torn: {place}, which a death left behind the last whole record")
        return "\n".join([*lines, f"  chain over all records: {verdict['chain']}"])
    found = verdict["difference"]
    return (
        f"{counts} identical, then event {found['event']}, action {found['action']} differs\n"
        f"  recorded: {found['recorded'] or 'nothing'}\n"
        f"  replayed: {found['replayed'] or 'nothing'}\n"
        f"  recorded by binary {verdict['binary_version']}, run {verdict['run_id']}"
    )


def trace(
    order: Annotated[str, typer.Argument(help="Our order id, such as e1-s1-42.", metavar="ORDER")],
    run: Annotated[str, typer.Option(help="Folder or name of a run; default: the newest.")] = "",
    json: JsonOption = False,
) -> None:
    """Walk one order back: order, signal, bundle, model, training run, features, tables, raw files.

    Example: py_rt trace e1-s1-42
    """
    try:
        folder = run_folder(run)
        found = py_rt_core.trace_order(folder / "journal", order)
    except (UsageError, py_rt_core.CoreError) as error:
        typer.echo(str(error), err=True)
        raise typer.Exit(WRONG) from error
    if found is None:
        typer.echo(f"run {folder} has no order {order}", err=True)
        raise typer.Exit(FAILED)
    found["run"] = str(folder)
    found["origin"] = origin(home_folder() / "bundles", found["bundle"]) if found["bundle"] else None
    typer.echo(json_text.dumps(found) if json else trace_text(found))


def origin(store: Path, digest: str) -> dict[str, Any]:
    """Read where a bundle came from: its manifest, its provenance, and the record of its build beside it."""
    folder = store / f"sha256-{digest}"
    files = {"manifest": folder / "manifest.json", "provenance": folder / "provenance.json"}
    files["record"] = store / "records" / f"{digest}.json"
    return {name: json_text.loads(file.read_text()) if file.is_file() else None for name, file in files.items()}


def trace_text(found: dict[str, Any]) -> str:
    """Put a trace in words, one step of the way back per line, then what became of the order."""
    lines = [
        f"order {found['order']}: {record_text(found['text'])}",
        f"  sent {when(found['ts_ns'])} by event {found['event']}",
    ]
    lines.append(f"  run {found['run_id']}, binary {found['binary_version']}")
    signal = found["signal"]
    if signal:
        lines.append(f"  signal of the bar closed {when(signal['ts_close'])}: probability {signal['probability']:.4f}")
    lines += _origin_lines(found) if found["bundle"] else ["  no bundle sent it: a person did, by hand"]
    lines.append("what became of it")
    lines += [f"  {when(ts)}  {record_text(text)}" for ts, text in found["steps"]]
    return "\n".join(lines)


def _origin_lines(found: dict[str, Any]) -> list[str]:
    lines = [f"  bundle sha256-{found['bundle']}, approval {found['serial']}"]
    from_bundle = found["origin"]
    manifest, provenance = from_bundle["manifest"], from_bundle["provenance"]
    if manifest:
        model = next((file["sha256"] for file in manifest["files"] if file["path"] == "model.onnx"), "?")
        lines.append(f"  {manifest['name']} {manifest['version']}, model sha256 {model}")
    if from_bundle["record"]:
        lines.append(f"  built by {_built_by(from_bundle['record'])}")
    if provenance:
        lines.append(f"  features sha256 {provenance['feature_spec_sha256']}")
        lines += [f"  table {table['name']} version {table['version']}" for table in provenance["tables"]]
        lines += [f"  raw file sha256 {sha256}" for sha256 in provenance["raw_files"]]
    return lines


def _built_by(record: dict[str, Any]) -> str:
    """Which runs built a bundle and when, without what is not known.

    >>> _built_by({"training_run": None, "month": "2021-11-01", "built_at_ns": 1_633_046_400_000_000_000})
    'month 2021-11-01, at 2021-10-01 00:00:00.000000000'
    """
    known = {key.replace("_", " "): value for key, value in record.items() if value is not None}
    at = known.pop("built at ns", None)
    return ", ".join([*(f"{key} {value}" for key, value in known.items()), *([f"at {when(at)}"] if at else [])])

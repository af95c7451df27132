"""`py_rt bundle`: build, verify, approve and list deployment bundles."""

from __future__ import annotations

import json as json_text
import subprocess
import sys
import time
from datetime import UTC, datetime, timedelta
from decimal import Decimal, InvalidOperation
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any

import typer

from py_rt.bundle import approve as approving
from py_rt.bundle import build as building
from py_rt.bundle import keys as key_files
from py_rt.bundle import verdict
from py_rt.bundle.certificate import Certificates
from py_rt.bundle.manifest import LAYOUT
from py_rt.bundle.statement import PAPER
from py_rt.bundle.store import BundleStore
from py_rt.cli.refusal import REFUSED, a_stage, shown, told
from py_rt.defaults import CERTIFICATES, default_root, home_folder
from py_rt.errors import BundleError

if TYPE_CHECKING:
    from py_rt.bundle.statement import Approval
    from py_rt.bundle.store import Listed

app = typer.Typer(
    help="Build, verify, approve and list deployment bundles.\n\nExample: py_rt bundle list", no_args_is_help=True
)

NS_PER_SECOND = 10**9
VALID_DAYS = 30

DigestArgument = Annotated[str, typer.Argument(help="Digest of the bundle, or its first digits.", metavar="DIGEST")]
JsonOption = Annotated[bool, typer.Option("--json", help="One JSON object.")]
SlotOption = Annotated[int, typer.Option(min=0, max=65_535, help="Slot that it shall run in.")]
StageOption = Annotated[str, typer.Option(help="paper, live_10, live_25, live_50 or live_100.", callback=a_stage)]
PolicyOption = Annotated[
    Path | None, typer.Option(help="Limits that none may be looser than; default: config/risk_limits.toml.")
]


def _store() -> BundleStore:
    return BundleStore(home_folder() / "bundles")


def _keys() -> Path:
    return home_folder() / "keys"


def _trusted() -> str:
    return key_files.read_trusted_keys(_keys() / key_files.TRUSTED_KEYS)[0]


def _policy(path: Path | None) -> str:
    path = path or default_root() / "config" / "risk_limits.toml"
    try:
        return path.read_text(encoding="utf-8")
    except OSError as error:
        raise BundleError(f"{path}: {error.strerror}") from error


def moment_ns(text: str) -> int:
    """Read a moment: ISO date or date and time, UTC unless it says otherwise.

    Raises:
        BundleError: it is none.

    >>> moment_ns("2022-01-01"), moment_ns("2022-01-01T01:00:00+01:00")
    (1640995200000000000, 1640995200000000000)
    """
    try:
        moment = datetime.fromisoformat(text)
    except ValueError as error:
        raise BundleError(f"{text!r} is no moment: write 2022-01-31 or 2022-01-31T12:00:00+00:00") from error
    whole = moment if moment.tzinfo else moment.replace(tzinfo=UTC)
    return int(whole.timestamp()) * NS_PER_SECOND


def _day(ns: int) -> str:
    return f"{datetime.fromtimestamp(ns // NS_PER_SECOND, UTC):%Y-%m-%d %H:%M}"


@app.command()
def build(
    folder: Annotated[Path | None, typer.Argument(help="Folder with a bundle's files, without a manifest.")] = None,
    partition: Annotated[
        str, typer.Option(help="Instead: make the month's candidate_bundle, such as 2021-12-01.")
    ] = "",
    name: Annotated[str, typer.Option(help="Name of the bundle; its model bears the same.")] = "",
    instrument: Annotated[str, typer.Option(help="The venue's symbol.")] = "BTCUSDT",
    policy: PolicyOption = None,
    json: JsonOption = False,
) -> None:
    """Put a bundle into the store, and sign it as builder when the service's reader accepts it.

    Example: py_rt bundle build --partition 2021-12-01

    Example: py_rt bundle build my_bundle --name my_model --instrument BTCUSDT

    Exit status 3 when the reader refuses it, a limit looser than the policy's included; nothing is signed then.
    """
    if (folder is None) == (not partition):
        raise typer.BadParameter("give a FOLDER or --partition, one of them")
    if folder is None:
        # A child: it imports Dagster, which this package does not know.
        line = [sys.executable, "-m", "pipelines.run", "--select", "candidate_bundle", "--partition", partition]
        raise typer.Exit(subprocess.run(line + (["--json"] if json else []), check=False).returncode)
    with told(json=json):
        store, limits = _store(), _policy(policy)
        key = key_files.SigningKey.load(key_files.key_path(_keys(), "builder"))
        files = {path: _content(folder / path) for path in LAYOUT}
        version = building.strategy_version(files["strategy.toml"].decode("utf-8", "replace"))
        built = building.build_bundle(store, files, name=name or folder.name, version=version, instrument=instrument)
        building.sign_as_builder(store, built.digest, key, risk_policy=limits)
        store.put_record(built.digest, {"built_at_ns": time.time_ns(), "training_run": None})
    facts = {"ok": True, "digest": built.digest, "path": str(built.folder), "created": built.created}
    said = "built" if built.created else "was there already"
    text = f"sha256-{built.digest} {said}, signed by builder key {key.key_id[:12]}\nin {built.folder}"
    shown({**facts, "builder": key.key_id}, json=json, text=text)


def _content(path: Path) -> bytes:
    try:
        return path.read_bytes()
    except OSError as error:
        raise BundleError(f"{path}: {error.strerror}; a bundle is made of {', '.join(LAYOUT)}") from error


@app.command()
def verify(
    digest: DigestArgument,
    slot: SlotOption = 1,
    stage: StageOption = PAPER,
    at: Annotated[str, typer.Option(help="Judge as of this moment, UTC; default: now.")] = "",
    serial_floor: Annotated[int, typer.Option(min=0, help="Highest serial that the slot has run.")] = 0,
    built: Annotated[bool, typer.Option("--built", help="Only as far as the builder vouches for it.")] = False,
    policy: PolicyOption = None,
    json: JsonOption = False,
) -> None:
    """Ask the service's own reader: files, both signatures and roles, approval, model and golden rows.

    Example: py_rt bundle verify 3f9ac1 --slot 1 --stage paper

    Exit status 3 when it is refused.
    """
    with told(json=json):
        store, limits = _store(), _policy(policy)
        full = store.resolve(digest)
        if built:
            found = verdict.verify_built(store.root, full, _trusted(), risk_policy=limits)
        else:
            now_ns = moment_ns(at) if at else time.time_ns()
            expected = verdict.Expectation(slot, stage, now_ns, serial_floor)
            found = verdict.verify(store.root, full, _trusted(), expected, risk_policy=limits)
    if json:
        typer.echo(json_text.dumps({"digest": full, **found.facts}))
    else:
        typer.echo(_verdict_text(full, found.facts), err=not found.ok)
    raise typer.Exit(0 if found.ok else REFUSED)


def _verdict_text(digest: str, facts: Any) -> str:  # noqa: ANN401  # the reader's dictionary
    if not facts["ok"]:
        return f"sha256-{digest} is refused ({facts['refusal']}): {facts['reason']}"
    lines = [
        f"sha256-{digest} stands: {facts['name']} {facts['version']} for {facts['instrument']}",
        f"  {facts['files']} files, {facts['bytes']:,} bytes; {facts['golden_rows']:,} golden rows bit-equal",
        f"  built by key {facts['builder'][:12]}",
    ]
    if "approver" in facts:
        lines.append(
            f"  approved by key {facts['approver'][:12]}: slot {facts['slot']}, stage {facts['stage']}, size "
            f"{facts['size_scale']}, serial {facts['serial']}, {_day(facts['not_before_ns'])} to "
            f"{_day(facts['expires_ns'])} UTC"
        )
    return "\n".join(lines)


@app.command()
def approve(  # noqa: PLR0913, PLR0917  # the options of one command
    digest: DigestArgument,
    slot: SlotOption = 1,
    stage: StageOption = PAPER,
    size_scale: Annotated[str, typer.Option(help="Share of the full size, above 0 to what the stage allows.")] = "",
    days: Annotated[int, typer.Option(min=1, max=366, help="Days of validity.")] = VALID_DAYS,
    not_before: Annotated[str, typer.Option(help="From when, UTC; default: now.")] = "",
    serial: Annotated[int | None, typer.Option(min=1, help="Above every serial of the slot; default: next.")] = None,
    key_file: Annotated[Path | None, typer.Option(help="Default: <PY_RT_HOME>/keys/approver.pem.")] = None,
    policy: PolicyOption = None,
    json: JsonOption = False,
) -> None:
    """Sign as approver, when reader and gates agree. A separate act, with a key that is not the builder's.

    Example: py_rt bundle approve 3f9ac1 --slot 1 --stage paper --days 30

    Exit status 3 when bundle or gates stand in the way; nothing is signed then.
    """
    with told(json=json):
        store = _store()
        key = key_files.SigningKey.load(key_file or key_files.key_path(_keys(), "approver"))
        begins = moment_ns(not_before) if not_before else time.time_ns()
        request = approving.Request(
            digest=store.resolve(digest),
            slot=slot,
            stage=stage,
            not_before_ns=begins,
            expires_ns=begins + int(timedelta(days=days).total_seconds()) * NS_PER_SECOND,
            size_scale=_size(size_scale, stage),
            serial=serial,
        )
        _, facts = approving.approve(
            store,
            request,
            key=key,
            trusted_keys=_trusted(),
            risk_policy=_policy(policy),
            certificates=Certificates(home_folder() / CERTIFICATES, time.time_ns()),
        )
    shown(dict(facts), json=json, text=_verdict_text(request.digest, facts))


def _size(text: str, stage: str) -> Decimal:
    """The share asked for; by default what the stage is named after."""
    try:
        return Decimal(text) if text else Decimal(stage.rpartition("_")[2] if stage != PAPER else "100") / 100
    except InvalidOperation as error:
        raise BundleError(f"size scale {text!r} of stage {stage!r} is no number above 0 to 1") from error


@app.command("list")
def list_bundles(json: JsonOption = False) -> None:
    """Show every bundle of the store, its signatures, approvals and aliases. Shown, not judged: see verify.

    Example: py_rt bundle list
    """
    with told(json=json):
        store = _store()
        found = store.listed()
    if json:
        typer.echo(json_text.dumps({"ok": True, "store": str(store.root), "bundles": [_row(each) for each in found]}))
        return
    lines = [line for each in found for line in _lines(each)] or [f"no bundle in {store.root} yet"]
    typer.echo("\n".join(lines))


def _row(found: Listed) -> dict[str, Any]:
    approvals = [{**vars(approval), "size_scale": str(approval.size_scale)} for approval in found.approvals]
    return {**vars(found), "approvals": approvals, "aliases": list(found.aliases)}


def _lines(found: Listed) -> list[str]:
    names = f" [{', '.join(found.aliases)}]" if found.aliases else ""
    signed = "signed by its builder" if found.built else "NOT signed by its builder"
    head = f"{found.digest[:12]}  {found.name} {found.version}  {found.instrument}  {signed}{names}"
    return [head, *(f"    {_approval_text(approval)}" for approval in found.approvals)]


def _approval_text(approval: Approval) -> str:
    return (
        f"slot {approval.slot}: {approval.stage}, serial {approval.serial}, size {approval.size_scale}, "
        f"{_day(approval.not_before_ns)} to {_day(approval.expires_ns)} UTC"
    )

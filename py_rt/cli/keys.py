"""`py_rt keys`: keys that sign bundles and commands."""

from __future__ import annotations

from typing import Annotated

import typer

from py_rt.bundle import keys as key_files
from py_rt.bundle.statement import PAPER
from py_rt.cli.refusal import a_stage, shown, told
from py_rt.defaults import home_folder

app = typer.Typer(
    help="Keys that sign bundles and commands.\n\nExample: py_rt keys create --role builder --role approver",
    no_args_is_help=True,
)

JsonOption = Annotated[bool, typer.Option("--json", help="One JSON object.")]


@app.command()
def create(
    role: Annotated[
        list[str], typer.Option(help=f"One of {', '.join(key_files.ROLES)}; repeat for several.", show_default=False)
    ],
    highest_stage: Annotated[str, typer.Option(help="Up to which stage it is trusted.", callback=a_stage)] = PAPER,
    json: JsonOption = False,
) -> None:
    """Make a key for each role, readable by you only, and trust it in <PY_RT_HOME>/keys/trusted_keys.toml.

    Example: py_rt keys create --role builder --role approver

    Builder and approver should be two persons with two homes: whoever holds both keys can approve his own work.
    """
    folder = home_folder() / "keys"
    with told(json=json):
        made = [key_files.create_key(folder, one, highest_stage=highest_stage) for one in role]
    rows = [
        {"role": key.role, "id": key.key_id, "file": str(key_files.key_path(folder, key.role)), "stage": highest_stage}
        for key in made
    ]
    lines = [f"{row['role']}: key {row['id'][:12]}, up to stage {row['stage']}, in {row['file']}" for row in rows]
    lines.append(f"trusted in {folder / key_files.TRUSTED_KEYS}")
    facts = {"ok": True, "keys": rows, "trusted_keys": str(folder / key_files.TRUSTED_KEYS)}
    shown(facts, json=json, text="\n".join(lines))


@app.command("list")
def list_keys(json: JsonOption = False) -> None:
    """Show the keys that are trusted, and which of them can be used here.

    Example: py_rt keys list
    """
    folder = home_folder() / "keys"
    with told(json=json):
        _, trusted = key_files.read_trusted_keys(folder / key_files.TRUSTED_KEYS)
    rows = [
        {
            "role": key.role,
            "id": key.key_id,
            "highest_stage": key.highest_stage,
            "here": key_files.key_path(folder, key.role).is_file(),
        }
        for key in trusted
    ]
    lines = [
        f"{row['role']:<9} {str(row['id'])[:12]}  up to {row['highest_stage']:<8}"
        f"  {'private half here' if row['here'] else 'public half only'}"
        for row in rows
    ]
    shown({"ok": True, "keys": rows}, json=json, text="\n".join(lines))

"""What to type after the demo: commands that work in the shell that started it."""

from __future__ import annotations

import os
import shlex
import shutil
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING

from py_rt.defaults import HOME_VARIABLE
from py_rt.demo.children import find_command

if TYPE_CHECKING:
    from collections.abc import Mapping

    from py_rt.demo.place import Place

SHORT = 12
"""Digits of a digest that name a bundle."""


@dataclass(frozen=True)
class NextStep:
    """A command.

    Attributes:
        what: it does.
        command: as it is typed.
    """

    what: str
    command: str


def next_steps(place: Place, order: str | None, digest: str) -> list[NextStep]:
    """What shows most of what the demo has made.

    Args:
        place: where the run lies.
        order: one of its orders.
        digest: one of its bundles.
    """
    py_rt, run = command_name(os.environ, Path.cwd()), shlex.quote(place.run.name)
    steps = []
    if os.environ.get(HOME_VARIABLE):
        steps.append(NextStep("where everything lies", f"export {HOME_VARIABLE}={shlex.quote(str(place.home))}"))
    if order is not None:
        steps.append(NextStep("an order, back to its raw files", f"{py_rt} trace {order} --run {run}"))
    return [
        *steps,
        NextStep("the replay again", f"{py_rt} parity {run}"),
        NextStep("what the service's reader says of the bundle", f"{py_rt} bundle verify {digest[:SHORT]}"),
        NextStep("the graph of assets, in a browser", f"{py_rt} ui"),
        NextStep("everything else", f"{py_rt} --help"),
    ]


def command_name(environ: Mapping[str, str], folder: Path) -> str:
    """How the shell that started us finds `py_rt`: by its name, or by its path where only `uv run` put it on the path.

    Args:
        environ: of this process.
        folder: that it works in.
    """
    command = Path(find_command("py_rt"))
    by_name = shutil.which("py_rt", path=environ.get("PATH", ""))
    if by_name and Path(by_name).samefile(command) and "UV_RUN_RECURSION_DEPTH" not in environ:
        return "py_rt"
    shown = command.relative_to(folder) if command.is_relative_to(folder) else command
    return shlex.quote(str(shown))

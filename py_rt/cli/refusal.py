"""How a command says no: one sentence on standard error, or one JSON object, and an exit status."""

from __future__ import annotations

import json as json_text
from contextlib import contextmanager
from difflib import get_close_matches
from typing import TYPE_CHECKING, Any

import typer

from py_rt.bundle.statement import STAGES
from py_rt.errors import BundleError, PyRtError

if TYPE_CHECKING:
    from collections.abc import Iterator

FAILED, WRONG, REFUSED = 1, 2, 3


@contextmanager
def told(*, json: bool, status: int | None = None) -> Iterator[None]:
    """Turn an error of the library into its message and exit status.

    Status 2 for what was asked for wrongly (a file, a key, a name); 3 for a bundle, gate or approval that is refused.

    Args:
        json: as one JSON object on standard output.
        status: of every error, where a command has one status for all of them.
    """
    try:
        yield
    except PyRtError as error:
        if json:
            facts = {name: getattr(error, name) for name in ("refusal", "stage") if hasattr(error, name)}
            typer.echo(json_text.dumps({"ok": False, "error": str(error), **facts}))
        else:
            typer.echo(str(error), err=True)
        raise typer.Exit(exit_status(error) if status is None else status) from error


def a_stage(name: str) -> str:
    """A stage, as an option takes it.

    Raises:
        typer.BadParameter: there is none of this name.

    >>> a_stage("live_10")
    'live_10'
    """
    if name in STAGES:
        return name
    nearest = get_close_matches(name, STAGES, n=1, cutoff=0.0)[0]
    raise typer.BadParameter(f"no stage is called {name!r}; there are {', '.join(STAGES)}; did you mean {nearest}?")


def exit_status(error: PyRtError) -> int:
    """The exit status of an error.

    >>> exit_status(PyRtError()), exit_status(BundleError())
    (1, 2)
    """
    from py_rt.bundle.gates import GatesError
    from py_rt.bundle.verdict import RefusedBundleError

    if isinstance(error, GatesError | RefusedBundleError):
        return REFUSED
    return WRONG if isinstance(error, BundleError) else FAILED


def shown(facts: dict[str, Any], *, json: bool, text: str) -> None:
    """Say what was done: facts for programs, a text for people."""
    typer.echo(json_text.dumps(facts) if json else text)

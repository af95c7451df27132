"""The way to a running service: which one, with whose key, and what becomes of its answer.

Every command of `py_rt` to a service ends with one of these exit statuses:

| status | meaning |
|---|---|
| 0 | applied, or answered |
| 1 | failed: the service began, and could not finish; or the answer was not what was asked for |
| 2 | wrong command line, key or file: nothing was sent |
| 3 | refused by the service: nothing was done |
| 4 | no answer: it is not known whether it was done |
| 5 | no service: none runs there, or nothing could be sent |
"""

from __future__ import annotations

import inspect
import json as json_text
from contextlib import contextmanager
from dataclasses import dataclass, field
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any, Concatenate, ParamSpec, TypeVar, get_type_hints

import typer

from py_rt.bridge.services import LIVE_FILE, ServiceSearchError, running_in
from py_rt.cli.service_verdict import NO_SERVICE, UNKNOWN, WRONG, EndedError, Verdict, verdict_of
from py_rt.defaults import home_folder
from py_rt.errors import PyRtError

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator

    from py_rt.bridge.commands import CommandClient, Signer
    from py_rt.bridge.services import Service

P = ParamSpec("P")
T = TypeVar("T")

TIMEOUT_S = 5.0
"""Wait for an answer, per attempt; there are three."""

HomeOption = Annotated[
    Path | None, typer.Option(help="Folder of keys, bundles and runs; default: PY_RT_HOME, or .py_rt here.")
]
ServiceOption = Annotated[
    Path | None, typer.Option(help="Run folder of the service, or its live.json; default: whichever runs in the home.")
]
InstanceOption = Annotated[str, typer.Option(help="Name of the service, or of its run, where several run.")]
KeyOption = Annotated[Path | None, typer.Option(help="Key file that signs; default: the role's in <home>/keys.")]
TimeoutOption = Annotated[
    float, typer.Option(min=0.01, max=600, help="Seconds to wait for an answer, per attempt; there are three.")
]
JsonOption = Annotated[bool, typer.Option("--json", help="One JSON object.")]


class AskedWronglyError(EndedError):
    """What was asked for cannot be sent; the message says what can."""

    def __init__(self, message: str) -> None:
        super().__init__(message, Verdict(WRONG, "wrong"))


class NoServiceError(EndedError):
    """No service runs where one was looked for."""

    def __init__(self, message: str) -> None:
        super().__init__(message, Verdict(NO_SERVICE, "no_service"))


@dataclass(frozen=True)
class Answer:
    """What a command has to say.

    Attributes:
        facts: for programs.
        text: for people.
        status: exit status.
    """

    facts: dict[str, Any]
    text: str
    status: int = 0


@dataclass(frozen=True)
class Connection:
    """A service that is being talked to.

    Attributes:
        service: by its `live.json`.
        client: signs with the key that was chosen.
        home: of keys and bundles.
    """

    service: Service
    client: CommandClient
    home: Path

    @property
    def facts(self) -> dict[str, Any]:
        """Whose answer it is."""
        return {"instance": self.service.instance, "run_id": self.service.run_id, "epoch": self.service.epoch}


@dataclass(frozen=True)
class Reach:
    """Which service is meant, and with whose key.

    Attributes:
        home: of keys, bundles and runs.
        service: the one run folder that counts, or its `live.json`.
        instance: name of the service or of its run; empty is any.
        key: file of the key; `None` is the role's in the home.
        timeout_s: wait for an answer, per attempt.
        json: whether what is said is for programs.
    """

    home: Path = field(default_factory=home_folder)
    service: Path | None = None
    instance: str = ""
    key: Path | None = None
    timeout_s: float = TIMEOUT_S
    json: bool = False

    def folders(self) -> list[Path]:
        """Run folders that may hold the service."""
        if self.service is None:
            return sorted(path for path in (self.home / "runs").glob("*") if path.is_dir())
        given = self.service.expanduser().absolute()
        return [given.parent if given.name == LIVE_FILE else given]

    def found(self) -> Service:
        """The service that is meant.

        Raises:
            NoServiceError: none runs there.
            AskedWronglyError: several do.
            ServiceSearchError: none was found, and a `live.json` cannot be read.
        """
        running: list[Service] = []
        damaged: list[ServiceSearchError] = []
        for folder in self.folders():
            try:
                service = running_in(folder)
            except ServiceSearchError as error:
                damaged.append(error)
                continue
            if service is not None and self.instance in {"", service.instance, service.run_id}:
                running.append(service)
        if len(running) == 1:
            return running[0]
        if running:
            names = ", ".join(f"{service.instance} in {service.folder}" for service in running)
            raise AskedWronglyError(
                f"{len(running)} services run: {names}; say which with --instance NAME or --service FOLDER"
            )
        if damaged:
            raise damaged[0]
        raise NoServiceError(self._nothing_runs())

    def signer(self, roles: tuple[str, ...]) -> Signer:
        """The key that signs: the one named, or the first of these roles that is in the home.

        Raises:
            SignerError: the file may not be used.
            AskedWronglyError: there is none.
        """
        from py_rt.bridge.commands import Signer

        if self.key is not None:
            return Signer.load(self.key.expanduser())
        folder = self.home / "keys"
        present = [path for role in roles if (path := folder / f"{role}.pem").exists()]
        if not present:
            names = " or ".join(f"{role}.pem" for role in roles)
            raise AskedWronglyError(
                f"no key to sign with: {folder} has no {names}; make one with `py_rt keys create --role {roles[0]}`, "
                "which the service then trusts, or name another with --key FILE"
            )
        return Signer.load(present[0])

    @contextmanager
    def opened(self, roles: tuple[str, ...]) -> Iterator[Connection]:
        """Talk to the service.

        Args:
            roles: whose key may ask, the usual one first.
        """
        from py_rt.bridge.commands import CommandClient

        service = self.found()
        signer = self.signer(roles)
        with CommandClient(service.command, signer, service.instance, timeout_s=self.timeout_s) as client:
            yield Connection(service, client, self.home)

    def _nothing_runs(self) -> str:
        where = self.service or self.home / "runs"
        named = f" called {self.instance}" if self.instance else ""
        return (
            f"no service{named} runs in {where}: start one with `py_rt_live --config config/paper.toml`, or say where "
            "it is with --home HOME or --service FOLDER"
        )


def asked(convert: Callable[P, T], *args: P.args, **kwargs: P.kwargs) -> T:
    """Convert what was asked for.

    Raises:
        AskedWronglyError: no message can hold it.
    """
    from py_rt.bridge.vocabulary import MessageError

    try:
        return convert(*args, **kwargs)
    except MessageError as error:
        raise AskedWronglyError(str(error)) from error


def add_command(
    app: typer.Typer,
    name: str,
    act: Callable[Concatenate[Reach, P], Answer],
    *,
    path: str = "",
    timeout_s: float = TIMEOUT_S,
) -> None:
    """Add a command to a service: its own options, and those that say which service and with whose key.

    Args:
        app: that gets it.
        name: what is typed.
        act: given the service that is meant and its own options; its docstring is the help.
        path: what is typed before the name.
        timeout_s: wait for an answer, per attempt, unless it is said.
    """

    def run(**given: Any) -> None:  # noqa: ANN401  # typer gives what the signature below says
        own = {key: given[key] for key in own_parameters}
        home = given["home"].expanduser().absolute() if given["home"] else home_folder()
        json = given["json"]
        with _told(f"{path} {name}".strip(), json=json):
            reach = Reach(home, given["service"], given["instance"], given["key"], given["timeout_s"], json)
            answer = act(reach, **own)  # type: ignore[call-arg]
        facts = {"ok": answer.status == 0, "command": f"{path} {name}".strip(), **answer.facts}
        typer.echo(json_text.dumps(facts) if json else answer.text)
        raise typer.Exit(answer.status)

    hints = get_type_hints(act, include_extras=True)
    signature = inspect.signature(act)
    own_parameters = {
        key: parameter.replace(annotation=hints[key], kind=inspect.Parameter.KEYWORD_ONLY)
        for key, parameter in list(signature.parameters.items())[1:]
    }
    parameters = [*own_parameters.values(), *_shared(timeout_s)]
    run.__signature__ = signature.replace(parameters=parameters, return_annotation=None)  # type: ignore[attr-defined]
    run.__annotations__ = {parameter.name: parameter.annotation for parameter in parameters}
    run.__doc__ = act.__doc__
    app.command(name)(run)


def _shared(timeout_s: float) -> list[inspect.Parameter]:
    """Options of every command."""
    options: list[tuple[str, object, object]] = [
        ("home", HomeOption, None),
        ("service", ServiceOption, None),
        ("instance", InstanceOption, ""),
        ("key", KeyOption, None),
        ("timeout_s", TimeoutOption, timeout_s),
        ("json", JsonOption, False),
    ]
    kind = inspect.Parameter.KEYWORD_ONLY
    return [inspect.Parameter(name, kind, default=default, annotation=hint) for name, hint, default in options]


@contextmanager
def _told(command: str, *, json: bool) -> Iterator[None]:
    """Turn what went wrong into its message, the next step, and an exit status."""
    try:
        yield
    except KeyboardInterrupt as interrupted:
        message = f"{command}: interrupted; if it was sent, it may have been carried out"
        verdict = Verdict(UNKNOWN, "unknown", "`py_rt status` and `py_rt orders` show whether it was")
        _say(command, message, verdict, json=json)
        raise typer.Exit(verdict.status) from interrupted
    except PyRtError as error:
        verdict = verdict_of(error)
        _say(command, str(error), verdict, json=json)
        raise typer.Exit(verdict.status) from error


def _say(command: str, message: str, verdict: Verdict, *, json: bool) -> None:
    if json:
        facts = {"ok": False, "command": command, "outcome": verdict.outcome, "error": message}
        typer.echo(json_text.dumps({**facts, "next": verdict.next_step, **verdict.facts}))
    else:
        lines = [message, *([f"next: {verdict.next_step}"] if verdict.next_step else [])]
        typer.echo("\n".join(lines), err=True)

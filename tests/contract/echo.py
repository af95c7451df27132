"""The service of native/messaging/examples/echo_server, with keys of its own and its answers in our hands."""

from __future__ import annotations

import json
import shutil
import subprocess
from collections import deque
from functools import cache
from pathlib import Path
from typing import TYPE_CHECKING, Any, Self

import pytest
from cryptography.hazmat.primitives import serialization
from cryptography.hazmat.primitives.asymmetric import ec

from py_rt.bridge.commands import CommandClient, Signer

if TYPE_CHECKING:
    from collections.abc import Mapping
    from types import TracebackType

ROOT = Path(__file__).resolve().parents[2]
EXAMPLE = "echo_server"
INSTANCE = "echo-1"
ROLES = ("viewer", "operator", "deployer", "killer")


@cache
def built() -> Path:
    """The example, built by cargo."""
    if shutil.which("cargo") is None:
        pytest.skip("cargo is not installed: the service of this test is a Rust example")
    command = ["cargo", "build", "--quiet", "--locked", "-p", "messaging", "--example", EXAMPLE]
    done = subprocess.run([*command, "--message-format=json"], cwd=ROOT, capture_output=True, text=True, check=False)
    assert done.returncode == 0, f"{' '.join(command)} failed:\n{done.stderr}"
    messages = [json.loads(line) for line in done.stdout.splitlines() if line.startswith("{")]
    places = [said["executable"] for said in messages if said.get("target", {}).get("name") == EXAMPLE]
    return Path(places[0])


class Keys:
    """A key of each role, and one that nobody trusts, in files as `py_rt keys create` leaves them."""

    def __init__(self, folder: Path) -> None:
        self.folder = folder
        for role in (*ROLES, "stranger"):
            private = ec.generate_private_key(ec.SECP256R1())
            secret = private.private_bytes(
                serialization.Encoding.PEM, serialization.PrivateFormat.PKCS8, serialization.NoEncryption()
            )
            public = private.public_key().public_bytes(
                serialization.Encoding.PEM, serialization.PublicFormat.SubjectPublicKeyInfo
            )
            (folder / f"{role}.pem").write_bytes(secret)
            (folder / f"{role}.pem").chmod(0o400)
            (folder / f"{role}.pub").write_bytes(public)

    def signer(self, role: str) -> Signer:
        """The key of a role."""
        return Signer.load(self.folder / f"{role}.pem")


class EchoService:
    """One life of the service."""

    def __init__(self, directory: Path, keys: Keys, *, epoch: int = 1, floors: Mapping[str, int] | None = None) -> None:
        directory.mkdir(mode=0o700, exist_ok=True)
        trusted = [f"{role}={keys.folder / role}.pub" for role in ROLES]
        known = [f"floor:{key}={counter}" for key, counter in (floors or {}).items()]
        command = [str(built()), str(directory), INSTANCE, str(epoch), *trusted, *known]
        self.keys = keys
        self.process = subprocess.Popen(command, stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True)
        self.reports: deque[dict[str, Any]] = deque()
        ready = self.report()
        self.endpoint: str = ready["command"]
        self.telemetry: str = ready["telemetry"]

    def report(self) -> dict[str, Any]:
        """The next thing that it says came in."""
        return self.reports.popleft() if self.reports else self._said()

    def tell(self, line: str) -> None:
        """Says something on its standard input, and waits until it is done."""
        assert self.process.stdin is not None
        self.process.stdin.write(f"{line}\n")
        self.process.stdin.flush()
        while (said := self._said()) != {"done": line}:
            self.reports.append(said)

    def _said(self) -> dict[str, Any]:
        assert self.process.stdout is not None
        line = self.process.stdout.readline()
        assert line, "the service has ended"
        said: dict[str, Any] = json.loads(line)
        return said

    def client(self, role: str = "operator", *, timeout_s: float = 20.0, instance: str = INSTANCE) -> CommandClient:
        """A client with the key of a role."""
        return CommandClient(self.endpoint, self.keys.signer(role), instance, timeout_s=timeout_s)

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self.process.kill()
        self.process.communicate()

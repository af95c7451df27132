"""Keys that sign bundles and commands: ECDSA P-256, one file per role, readable by their owner only.

`<PY_RT_HOME>/keys/<role>.pem` holds a private key (PKCS8, mode 0400) and is never shown; `trusted_keys.toml` beside
it says whose word counts, for what and up to which stage. A service that trades real money has a list of its own.
"""

from __future__ import annotations

import fcntl
import os
import stat
from contextlib import contextmanager
from dataclasses import dataclass
from typing import TYPE_CHECKING

import py_rt_core
from cryptography.exceptions import InvalidSignature
from cryptography.hazmat.primitives import hashes, serialization
from cryptography.hazmat.primitives.asymmetric import ec

from py_rt.bundle.files import replace_file
from py_rt.bundle.manifest import sha256_hex
from py_rt.bundle.statement import PAPER, STAGES
from py_rt.errors import BundleError

if TYPE_CHECKING:
    from collections.abc import Iterator
    from pathlib import Path

ROLES = tuple(py_rt_core.bundle_words()[1])
"""What a key can be trusted for."""

TRUSTED_KEYS = "trusted_keys.toml"
KEY_MODE = 0o400
LIST_MODE = 0o600
_HEAD = "# Whose word counts, for what, up to which stage.\n"
FOLDER_MODE = 0o700
MAX_KEY_BYTES = 4_096


class KeyFileError(BundleError):
    """A key file or a list of trusted keys that cannot be used."""


@dataclass(frozen=True)
class TrustedKey:
    """An entry of `trusted_keys.toml`.

    Attributes:
        key_id: SHA-256 of the public key's SubjectPublicKeyInfo in DER, hexadecimal.
        role: one of :data:`ROLES`.
        highest_stage: up to which stage it is trusted.
        public_key_pem: the key.
    """

    key_id: str
    role: str
    highest_stage: str
    public_key_pem: str

    def to_toml(self) -> str:
        """The entry as text."""
        return (
            f'[[key]]\nid = "{self.key_id}"\nrole = "{self.role}"\nhighest_stage = "{self.highest_stage}"\n'
            f'public_key_pem = """\n{self.public_key_pem}"""\n'
        )

    def may_approve(self, stage: str) -> bool:
        """Whether its word counts at a stage."""
        return self.role == "approver" and STAGES.index(stage) <= STAGES.index(self.highest_stage)

    def signed(self, message: bytes, signature: bytes) -> bool:
        """Whether its private half made a signature (ECDSA over SHA-256, DER) of a message."""
        public = serialization.load_pem_public_key(self.public_key_pem.encode())
        assert isinstance(public, ec.EllipticCurvePublicKey)  # the list's reader takes no other
        try:
            public.verify(signature, message, ec.ECDSA(hashes.SHA256()))
        except InvalidSignature:
            return False
        return True


class SigningKey:
    """A private key that is held, used and never shown."""

    def __init__(self, private: ec.EllipticCurvePrivateKey) -> None:
        """Hold a key.

        Raises:
            KeyFileError: its curve is not P-256.
        """
        if not isinstance(private.curve, ec.SECP256R1):
            raise KeyFileError(f"the key's curve is {private.curve.name}; allowed is P-256 (secp256r1)")
        self._private = private
        self.key_id = sha256_hex(self._public(serialization.Encoding.DER))

    def __repr__(self) -> str:
        return f"SigningKey({self.key_id[:12]}…)"

    def __reduce__(self) -> str:
        raise TypeError("a signing key is not pickled: load it from its file where it is needed")

    @property
    def public_key_pem(self) -> str:
        """The public half."""
        return self._public(serialization.Encoding.PEM).decode()

    def sign(self, message: bytes) -> bytes:
        """ECDSA over SHA-256, DER. Deterministic (RFC 6979): the same message gives the same bytes."""
        return self._private.sign(message, ec.ECDSA(hashes.SHA256(), deterministic_signing=True))

    def _public(self, encoding: serialization.Encoding) -> bytes:
        return self._private.public_key().public_bytes(encoding, serialization.PublicFormat.SubjectPublicKeyInfo)

    @classmethod
    def load(cls, path: Path) -> SigningKey:
        """Read a key file, if it is the owner's alone.

        Raises:
            KeyFileError: it is not there, not ours, a link, readable by others, or no P-256 key. The message never
                holds what the file holds.
        """
        content = _read_private(path)
        try:
            private = serialization.load_pem_private_key(content, password=None)
        except (ValueError, TypeError) as error:
            raise KeyFileError(f"{path} holds no unencrypted private key in PEM (PKCS8)") from error
        if not isinstance(private, ec.EllipticCurvePrivateKey):
            raise KeyFileError(f"{path} holds another kind of key; allowed is ECDSA P-256")
        return cls(private)


def _read_private(path: Path) -> bytes:
    try:
        descriptor = os.open(path, os.O_RDONLY | os.O_NOFOLLOW | os.O_CLOEXEC)
    except OSError as error:
        hint = "; make it with `py_rt keys create`" if isinstance(error, FileNotFoundError) else ""
        raise KeyFileError(f"{path}: {error.strerror}{hint}") from error
    with os.fdopen(descriptor, "rb") as file:
        facts = os.fstat(descriptor)
        mode = stat.S_IMODE(facts.st_mode)
        if not stat.S_ISREG(facts.st_mode) or facts.st_nlink != 1:
            raise KeyFileError(f"{path} is no plain file with one name: copy the key, do not link it")
        if facts.st_uid != os.geteuid():
            raise KeyFileError(f"{path} belongs to user {facts.st_uid}, not to you: use a key of your own")
        if mode != KEY_MODE:
            raise KeyFileError(f"{path} has mode {mode:04o}; allowed is {KEY_MODE:04o}: run `chmod 0400 {path}`")
        return file.read(MAX_KEY_BYTES)


def key_path(folder: Path, role: str) -> Path:
    """Where the key of a role lies.

    Raises:
        KeyFileError: there is no such role.
    """
    if role not in ROLES:
        raise KeyFileError(f"no role is called {role!r}; there are {', '.join(ROLES)}")
    return folder / f"{role}.pem"


def create_key(folder: Path, role: str, *, highest_stage: str = PAPER) -> TrustedKey:
    """Make a key for a role and write it into the folder's `trusted_keys.toml`.

    Args:
        folder: of the keys; made with mode 0700 when absent.
        role: one of :data:`ROLES`.
        highest_stage: up to which stage it shall be trusted.

    Raises:
        KeyFileError: the role has a key already (it is never replaced), or folder, role or stage are refused.
    """
    path = key_path(folder, role)
    if highest_stage not in STAGES:
        raise KeyFileError(f"no stage is called {highest_stage!r}; there are {', '.join(STAGES)}")
    _prepare_folder(folder)
    with _locked(folder):
        if path.exists() or path.is_symlink():
            raise KeyFileError(f"{path} is there already: a key is never replaced; move it away to make a new one")
        private = ec.generate_private_key(ec.SECP256R1())
        key = SigningKey(private)
        trusted = TrustedKey(key.key_id, role, highest_stage, key.public_key_pem)
        secret = private.private_bytes(
            serialization.Encoding.PEM, serialization.PrivateFormat.PKCS8, serialization.NoEncryption()
        )
        replace_file(path, secret, mode=KEY_MODE)
        _trust(folder / TRUSTED_KEYS, trusted)
    return trusted


def _prepare_folder(folder: Path) -> None:
    folder.mkdir(mode=FOLDER_MODE, parents=True, exist_ok=True)
    facts = folder.stat()
    mode = stat.S_IMODE(facts.st_mode)
    if facts.st_uid != os.geteuid() or mode & 0o077:
        raise KeyFileError(f"{folder} has mode {mode:04o}; allowed is {FOLDER_MODE:04o}, yours: `chmod 0700 {folder}`")


def _trust(path: Path, key: TrustedKey) -> None:
    before = path.read_text(encoding="utf-8") if path.exists() else _HEAD
    text = f"{before.rstrip()}\n\n{key.to_toml()}"
    parse_trusted_keys(text, str(path))
    replace_file(path, text.encode(), mode=LIST_MODE)


def read_trusted_keys(path: Path) -> tuple[str, list[TrustedKey]]:
    """Read a `trusted_keys.toml`: its text, and its keys as the service understands them.

    Raises:
        KeyFileError: it cannot be read, or is not valid.
    """
    try:
        text = path.read_text(encoding="utf-8")
    except (OSError, UnicodeDecodeError) as error:
        problem = error.strerror if isinstance(error, OSError) else "is not UTF-8"
        raise KeyFileError(f"{path}: {problem}; `py_rt keys create` writes such a file") from error
    return text, parse_trusted_keys(text, str(path))


def parse_trusted_keys(text: str, name: str) -> list[TrustedKey]:
    """Parse such a text.

    Raises:
        KeyFileError: it is not valid.
    """
    try:
        rows = py_rt_core.trusted_keys(text, name)
    except py_rt_core.CoreError as error:
        raise KeyFileError(str(error)) from error
    return [TrustedKey(row["id"], row["role"], row["highest_stage"], row["public_key_pem"]) for row in rows]


@contextmanager
def _locked(folder: Path) -> Iterator[None]:
    with (folder / ".lock").open("w") as lock:
        fcntl.flock(lock, fcntl.LOCK_EX)
        yield

"""Keys that sign commands: what is signed, and how a key file must stand."""

from __future__ import annotations

import hashlib
import os
import stat
import struct
from pathlib import Path
from typing import TYPE_CHECKING, NoReturn

from cryptography.exceptions import UnsupportedAlgorithm
from cryptography.hazmat.primitives import hashes, serialization
from cryptography.hazmat.primitives.asymmetric import ec
from cryptography.hazmat.primitives.asymmetric.utils import decode_dss_signature

from py_rt.bridge.wire.v1 import commands_pb2
from py_rt.errors import BridgeError

if TYPE_CHECKING:
    from os import PathLike

KEY_MODE = 0o400
KEY_BYTES_MAX = 4096
DOMAIN = b"py_rt.command.v1\x00"
"""First bytes of everything that is signed: a signature made for anything else is never a command."""


class SignerError(BridgeError):
    """A key file that cannot be used. Its message never holds what the file holds."""


def signed_bytes(key_id: bytes, counter: int, expires: int, instance: str, body: bytes) -> bytes:
    r"""The bytes under a command's signature.

    >>> signed_bytes(b"\xaa", 1, 2, "p", b"\x0a")[:22]
    b'py_rt.command.v1\x00\x01\x00\x00\x00\xaa'
    """
    parts = [DOMAIN, _sized(key_id), struct.pack("<Qq", counter, expires), _sized(instance.encode()), _sized(body)]
    return b"".join(parts)


def _sized(part: bytes) -> bytes:
    return struct.pack("<I", len(part)) + part


class Signer:
    """A private key (ECDSA P-256) that signs commands, is held in memory and never shown.

    Attributes:
        key_id: SHA-256 of the public key's SubjectPublicKeyInfo in DER, hexadecimal: as in `trusted_keys.toml`.
    """

    def __init__(self, private: ec.EllipticCurvePrivateKey) -> None:
        """Hold a key.

        Raises:
            SignerError: its curve is not P-256.
        """
        if not isinstance(private.curve, ec.SECP256R1):
            raise SignerError(f"the key's curve is {private.curve.name}; allowed is P-256 (secp256r1)")
        self._private = private
        spki = serialization.PublicFormat.SubjectPublicKeyInfo
        self._key_id = hashlib.sha256(private.public_key().public_bytes(serialization.Encoding.DER, spki)).digest()
        self.key_id = self._key_id.hex()

    @classmethod
    def load(cls, path: str | PathLike[str]) -> Signer:
        """Read a key file (PKCS8 in PEM, unencrypted), if it is yours alone.

        Raises:
            SignerError: it is not there, a link, another user's, has another mode than 0400, or holds no P-256 key.
        """
        content = _read_private(Path(path))
        try:
            private = serialization.load_pem_private_key(content, password=None)
        except (ValueError, TypeError, UnsupportedAlgorithm):
            # Not chained: the library's message may quote the file.
            raise SignerError(f"{path} holds no unencrypted private key in PEM (PKCS8)") from None
        if not isinstance(private, ec.EllipticCurvePrivateKey):
            raise SignerError(f"{path} holds another kind of key; allowed is ECDSA P-256")
        return cls(private)

    def sign(self, body: bytes, *, counter: int, expires: int, instance: str) -> bytes:
        """A command's body as the message to send.

        Args:
            body: a serialized `Command`.
            counter: above every counter that the key has used.
            expires: nanoseconds UTC from which on it is refused.
            instance: the service that it is for.
        """
        content = signed_bytes(self._key_id, counter, expires, instance, body)
        der = self._private.sign(content, ec.ECDSA(hashes.SHA256(), deterministic_signing=True))
        r, s = decode_dss_signature(der)
        message = commands_pb2.SignedCommand(
            body=body,
            key_id=self._key_id,
            counter=counter,
            expires=expires,
            instance=instance,
            signature=r.to_bytes(32, "big") + s.to_bytes(32, "big"),
        )
        return message.SerializeToString(deterministic=True)

    def __repr__(self) -> str:
        return f"Signer({self.key_id[:12]}…)"

    def __reduce__(self) -> NoReturn:
        raise TypeError("a signer is not pickled: load it from its file where it is needed")


def _read_private(path: Path) -> bytes:
    try:
        descriptor = os.open(path, os.O_RDONLY | os.O_NOFOLLOW | os.O_NONBLOCK | os.O_CLOEXEC)
    except OSError as error:
        hint = "; make it with `py_rt keys create`" if isinstance(error, FileNotFoundError) else ""
        raise SignerError(f"{path}: {error.strerror}{hint}") from error
    try:
        facts = os.fstat(descriptor)
        mode = stat.S_IMODE(facts.st_mode)
        if not stat.S_ISREG(facts.st_mode):
            raise SignerError(f"{path} is no plain file")
        if facts.st_uid != os.geteuid():
            raise SignerError(f"{path} belongs to user {facts.st_uid}, not to you: use a key of your own")
        if mode != KEY_MODE:
            raise SignerError(f"{path} has mode {mode:04o}; allowed is {KEY_MODE:04o}: run `chmod 0400 {path}`")
        return os.read(descriptor, KEY_BYTES_MAX)
    finally:
        os.close(descriptor)

"""Key files that may be used, and those that may not."""

from __future__ import annotations

import pickle
from typing import TYPE_CHECKING

import pytest
from cryptography.exceptions import InvalidSignature
from cryptography.hazmat.primitives import hashes, serialization
from cryptography.hazmat.primitives.asymmetric import ec, ed25519
from cryptography.hazmat.primitives.asymmetric.utils import encode_dss_signature

from py_rt.bridge.signing import Signer, SignerError, signed_bytes
from py_rt.bridge.wire.v1 import commands_pb2

if TYPE_CHECKING:
    from pathlib import Path

    from cryptography.hazmat.primitives.asymmetric.types import PrivateKeyTypes


def pem(private: PrivateKeyTypes, encryption: serialization.KeySerializationEncryption | None = None) -> bytes:
    hidden = encryption or serialization.NoEncryption()
    return private.private_bytes(serialization.Encoding.PEM, serialization.PrivateFormat.PKCS8, hidden)


@pytest.fixture
def private() -> ec.EllipticCurvePrivateKey:
    return ec.generate_private_key(ec.SECP256R1())


@pytest.fixture
def path(tmp_path: Path, private: ec.EllipticCurvePrivateKey) -> Path:
    path = tmp_path / "operator.pem"
    path.write_bytes(pem(private))
    path.chmod(0o400)
    return path


def write(path: Path, content: bytes) -> Path:
    path.chmod(0o600)
    path.write_bytes(content)
    path.chmod(0o400)
    return path


def test_a_signature_is_over_every_part_of_the_message(path: Path, private: ec.EllipticCurvePrivateKey) -> None:
    message = Signer.load(path).sign(b"body", counter=7, expires=9, instance="paper-1")
    sent = commands_pb2.SignedCommand.FromString(message)
    assert len(sent.signature) == 64
    der = encode_dss_signature(*(int.from_bytes(half, "big") for half in (sent.signature[:32], sent.signature[32:])))

    def verify(key_id: bytes, counter: int, expires: int, instance: str, body: bytes) -> None:
        content = signed_bytes(key_id, counter, expires, instance, body)
        private.public_key().verify(der, content, ec.ECDSA(hashes.SHA256()))

    verify(sent.key_id, 7, 9, "paper-1", b"body")
    for changed in (
        (bytes(32), 7, 9, "paper-1", b"body"),
        (sent.key_id, 8, 9, "paper-1", b"body"),
        (sent.key_id, 7, 8, "paper-1", b"body"),
        (sent.key_id, 7, 9, "paper-", b"1body"),
        (sent.key_id, 7, 9, "paper-1", b"bodx"),
    ):
        with pytest.raises(InvalidSignature):
            verify(*changed)


@pytest.mark.parametrize("mode", [0o600, 0o440, 0o404, 0o644, 0o700, 0o000, 0o4400])
def test_any_mode_but_0400_is_refused(path: Path, mode: int) -> None:
    path.chmod(mode)
    with pytest.raises(SignerError, match=r"has mode \d{4}; allowed is 0400: run `chmod 0400|Permission denied"):
        Signer.load(path)


def test_links_folders_and_nothing_are_refused(path: Path) -> None:
    link = path.with_name("link.pem")
    link.symlink_to(path)
    with pytest.raises(SignerError, match=r"link\.pem: "):
        Signer.load(link)
    with pytest.raises(SignerError, match="is no plain file"):
        Signer.load(path.parent)
    with pytest.raises(SignerError, match=r"No such file or directory; make it with `py_rt keys create`"):
        Signer.load(path.with_name("absent.pem"))


def test_other_keys_and_contents_are_refused_without_showing_them(path: Path) -> None:
    secret = b"-----BEGIN PRIVATE KEY-----\nc2VjcmV0\n-----END PRIVATE KEY-----\n"
    encrypted = pem(ec.generate_private_key(ec.SECP256R1()), serialization.BestAvailableEncryption(b"word"))
    for content, why in (
        (b"", "holds no unencrypted private key"),
        (secret, "holds no unencrypted private key"),
        (encrypted, "holds no unencrypted private key"),
        (pem(ed25519.Ed25519PrivateKey.generate()), "holds another kind of key; allowed is ECDSA P-256"),
        (pem(ec.generate_private_key(ec.SECP384R1())), "curve is secp384r1; allowed is P-256"),
    ):
        with pytest.raises(SignerError, match=why) as refused:
            Signer.load(write(path, content))
        assert "c2VjcmV0" not in str(refused.value)
        assert refused.value.__cause__ is None


def test_a_signer_shows_nothing_and_is_not_pickled(path: Path) -> None:
    signer = Signer.load(path)
    assert repr(signer) == f"Signer({signer.key_id[:12]}…)"
    with pytest.raises(TypeError, match="not pickled"):
        pickle.dumps(signer)

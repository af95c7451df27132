from __future__ import annotations

import os
import pickle
import stat
from typing import TYPE_CHECKING

import pytest
from cryptography.hazmat.primitives import serialization
from cryptography.hazmat.primitives.asymmetric import ec, ed25519

from py_rt.bundle.keys import (
    ROLES,
    TRUSTED_KEYS,
    KeyFileError,
    SigningKey,
    create_key,
    key_path,
    parse_trusted_keys,
    read_trusted_keys,
)

if TYPE_CHECKING:
    from pathlib import Path


def pem(private: ec.EllipticCurvePrivateKey | ed25519.Ed25519PrivateKey, password: bytes | None = None) -> bytes:
    protection = serialization.BestAvailableEncryption(password) if password else serialization.NoEncryption()
    return private.private_bytes(serialization.Encoding.PEM, serialization.PrivateFormat.PKCS8, protection)


def written(path: Path, content: bytes, mode: int = 0o400) -> Path:
    path.write_bytes(content)
    path.chmod(mode)
    return path


def test_a_key_is_its_owners_alone_and_trusted_for_paper(tmp_path: Path) -> None:
    folder = tmp_path / "keys"
    made = create_key(folder, "builder")
    path = key_path(folder, "builder")
    assert stat.S_IMODE(path.stat().st_mode) == 0o400
    assert stat.S_IMODE(folder.stat().st_mode) == 0o700
    _, trusted = read_trusted_keys(folder / TRUSTED_KEYS)
    assert trusted == [made]
    assert made.highest_stage == "paper"
    assert SigningKey.load(path).key_id == made.key_id


def test_every_role_gets_a_key_of_its_own(tmp_path: Path) -> None:
    made = [create_key(tmp_path / "keys", role, highest_stage="live_10") for role in ROLES]
    _, trusted = read_trusted_keys(tmp_path / "keys" / TRUSTED_KEYS)
    assert trusted == made
    assert len({key.key_id for key in trusted}) == len(ROLES)


def test_a_key_is_never_replaced(tmp_path: Path) -> None:
    create_key(tmp_path / "keys", "builder")
    before = key_path(tmp_path / "keys", "builder").read_bytes()
    with pytest.raises(KeyFileError, match="never replaced"):
        create_key(tmp_path / "keys", "builder")
    assert key_path(tmp_path / "keys", "builder").read_bytes() == before


def test_unknown_roles_and_stages_are_refused(tmp_path: Path) -> None:
    with pytest.raises(KeyFileError, match="there are builder, approver"):
        create_key(tmp_path / "keys", "../builder")
    with pytest.raises(KeyFileError, match="there are paper, live_10"):
        create_key(tmp_path / "keys", "builder", highest_stage="live")
    assert not (tmp_path / "keys").exists()


def test_a_folder_that_others_can_enter_is_refused(tmp_path: Path) -> None:
    folder = tmp_path / "keys"
    folder.mkdir(mode=0o755)
    with pytest.raises(KeyFileError, match="mode 0755; allowed is 0700"):
        create_key(folder, "builder")
    assert list(folder.iterdir()) == []


@pytest.mark.parametrize("mode", [0o600, 0o440, 0o404, 0o444, 0o644, 0o500])
def test_a_key_of_another_mode_is_refused(tmp_path: Path, mode: int) -> None:
    path = written(tmp_path / "k.pem", pem(ec.generate_private_key(ec.SECP256R1())), mode)
    with pytest.raises(KeyFileError, match="allowed is 0400"):
        SigningKey.load(path)


def test_links_are_refused(tmp_path: Path) -> None:
    path = written(tmp_path / "k.pem", pem(ec.generate_private_key(ec.SECP256R1())))
    link = tmp_path / "link.pem"
    link.symlink_to(path)
    with pytest.raises(KeyFileError):
        SigningKey.load(link)
    os.link(path, tmp_path / "second.pem")
    with pytest.raises(KeyFileError, match="do not link it"):
        SigningKey.load(path)


def test_other_files_and_keys_are_refused(tmp_path: Path) -> None:
    for name, content, fault in [
        ("text", b"hello", "no unencrypted private key"),
        ("locked", pem(ec.generate_private_key(ec.SECP256R1()), b"secret"), "no unencrypted private key"),
        ("ed25519", pem(ed25519.Ed25519PrivateKey.generate()), "another kind of key"),
        ("p384", pem(ec.generate_private_key(ec.SECP384R1())), "allowed is P-256"),
    ]:
        with pytest.raises(KeyFileError, match=fault):
            SigningKey.load(written(tmp_path / name, content))
    with pytest.raises(KeyFileError, match="py_rt keys create"):
        SigningKey.load(tmp_path / "absent.pem")


def test_a_secret_is_never_shown(tmp_path: Path) -> None:
    private = ec.generate_private_key(ec.SECP256R1())
    key = SigningKey.load(written(tmp_path / "k.pem", pem(private)))
    secret = private.private_numbers().private_value
    body = pem(private).decode().splitlines()[1]
    for shown in (repr(key), str(key), key.public_key_pem):
        assert str(secret) not in shown
        assert f"{secret:x}" not in shown
        assert body not in shown
    with pytest.raises(TypeError, match="not pickled"):
        pickle.dumps(key)
    broken = written(tmp_path / "broken.pem", pem(private).replace(b"-----END", b"----END"))
    with pytest.raises(KeyFileError) as refusal:
        SigningKey.load(broken)
    assert body not in str(refusal.value)


def test_a_list_that_contradicts_itself_names_its_file(tmp_path: Path) -> None:
    create_key(tmp_path / "keys", "builder")
    path = tmp_path / "keys" / TRUSTED_KEYS
    text = path.read_text(encoding="utf-8")
    with pytest.raises(KeyFileError, match=r"mine\.toml: key\[1\]: .* one key has one role"):
        parse_trusted_keys(text + text.replace("builder", "approver"), "mine.toml")
    with pytest.raises(KeyFileError, match="py_rt keys create"):
        read_trusted_keys(tmp_path / "absent.toml")


def test_a_list_that_is_broken_stays_as_it_is(tmp_path: Path) -> None:
    create_key(tmp_path / "keys", "builder")
    path = tmp_path / "keys" / TRUSTED_KEYS
    path.write_text("[[key]\n", encoding="utf-8")
    with pytest.raises(KeyFileError):
        create_key(tmp_path / "keys", "approver")
    assert path.read_text(encoding="utf-8") == "[[key]\n"

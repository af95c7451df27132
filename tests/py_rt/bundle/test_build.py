from __future__ import annotations

import hashlib
import json
import os
import stat
from concurrent.futures import ThreadPoolExecutor
from typing import TYPE_CHECKING

import py_rt_core
import pytest
from hypothesis import given
from hypothesis import strategies as st

from py_rt.bundle import verdict
from py_rt.bundle.build import build_bundle, sign_as_builder, strategy_version, strategy_with_volatility
from py_rt.bundle.manifest import LAYOUT, MANIFEST, Manifest, canonical_json, checked_digest
from py_rt.bundle.provenance import Code, Provenance, code_of
from py_rt.bundle.verdict import RefusedBundleError
from py_rt.defaults import default_root
from py_rt.errors import BundleError

if TYPE_CHECKING:
    from pathlib import Path

    from tests.py_rt.bundle.conftest import Desk

STRATEGY = (default_root() / "config" / "strategies" / "btc_momentum.toml").read_text(encoding="utf-8")


def test_a_bundle_lies_under_the_hash_of_its_manifest(desk: Desk) -> None:
    built = desk.build(sign=False)
    manifest = (built.folder / MANIFEST).read_bytes()
    assert built.created
    assert hashlib.sha256(manifest).hexdigest() == built.digest
    assert built.folder.name == f"sha256-{built.digest}"
    assert {path: (built.folder / path).read_bytes() for path in LAYOUT} == desk.files
    listed = {file["path"]: (file["size"], file["sha256"]) for file in json.loads(manifest)["files"]}
    assert listed == {path: (len(body), hashlib.sha256(body).hexdigest()) for path, body in desk.files.items()}


def test_the_same_files_give_the_same_bundle_once(desk: Desk) -> None:
    first, second = desk.build(), desk.build()
    assert (first.digest, first.created, second.digest, second.created) == (first.digest, True, first.digest, False)
    signature = desk.store.signature(first.digest, "builder").read_bytes()
    sign_as_builder(desk.store, first.digest, desk.key("builder"), risk_policy=desk.policy)
    assert desk.store.signature(first.digest, "builder").read_bytes() == signature
    assert desk.store.digests() == [first.digest]


def test_files_of_a_bundle_cannot_be_written_and_nothing_is_left_over(desk: Desk) -> None:
    built = desk.build()
    for path in (*LAYOUT, MANIFEST):
        facts = (built.folder / path).stat()
        assert stat.S_IMODE(facts.st_mode) == 0o444
        assert facts.st_nlink == 1
    assert {path.name for path in desk.store.root.iterdir()} == {built.folder.name, "signatures"}


def test_many_builders_at_once_leave_one_whole_bundle(desk: Desk) -> None:
    with ThreadPoolExecutor(8) as pool:
        built = list(pool.map(lambda _: desk.build(sign=False), range(8)))
    assert len({each.digest for each in built}) == 1
    assert sum(each.created for each in built) == 1
    assert verdict.inspect(desk.store.root, built[0].digest).ok
    assert [path.name for path in desk.store.root.iterdir()] == [built[0].folder.name]


def test_a_write_that_fails_leaves_nothing(desk: Desk, monkeypatch: pytest.MonkeyPatch) -> None:
    def full(_descriptor: int) -> None:
        raise OSError(28, "No space left on device")

    monkeypatch.setattr(os, "fsync", full)
    with pytest.raises(OSError, match="No space left"):
        desk.build(sign=False)
    assert list(desk.store.root.iterdir()) == []


def test_a_bundle_that_was_changed_is_not_taken_for_the_one_asked_for(desk: Desk) -> None:
    built = desk.build()
    path = built.folder / MANIFEST
    content = path.read_bytes()
    path.unlink()
    path.write_bytes(content + b" ")
    with pytest.raises(BundleError, match="was changed since it was built"):
        desk.build()


@pytest.mark.parametrize("change", ["missing", "foreign"])
def test_only_the_files_of_the_layout_make_a_bundle(desk: Desk, change: str) -> None:
    files = {**desk.files, **({"model.pkl": b""} if change == "foreign" else {})}
    if change == "missing":
        del files["golden.bin"]
    with pytest.raises(BundleError, match="golden.bin" if change == "missing" else "model.pkl"):
        build_bundle(desk.store, files, name="golden", version="1.0.0", instrument="BTCUSDT")
    assert not desk.store.root.exists()


def test_the_builder_does_not_sign_what_the_reader_refuses(desk: Desk) -> None:
    built = desk.build({"golden.bin": desk.files["golden.bin"][:24]}, sign=False)
    with pytest.raises(RefusedBundleError) as refusal:
        sign_as_builder(desk.store, built.digest, desk.key("builder"), risk_policy=desk.policy)
    assert refusal.value.refusal == "golden"
    assert not desk.store.signature(built.digest, "builder").exists()


def test_the_builder_does_not_sign_limits_looser_than_the_policy(desk: Desk) -> None:
    looser = desk.files["risk_limits.toml"].replace(b"max_leverage = 3.0", b"max_leverage = 3.1")
    built = desk.build({"risk_limits.toml": looser}, sign=False)
    with pytest.raises(RefusedBundleError, match=r"max_leverage: 3\.1 is looser than the policy's 3") as refusal:
        sign_as_builder(desk.store, built.digest, desk.key("builder"), risk_policy=desk.policy)
    assert refusal.value.refusal == "looser_limits"
    assert not desk.store.signature(built.digest, "builder").exists()


def test_the_volatility_stands_where_the_service_reads_it(tmp_path: Path) -> None:
    text = strategy_with_volatility(STRATEGY, "0.03512345")
    path = tmp_path / "strategy.toml"
    path.write_text(text, encoding="utf-8")
    py_rt_core.check_config("strategy", str(path))
    added = set(text.splitlines()) - set(STRATEGY.splitlines())
    assert added == {"daily_volatility = 0.03512345         # written by the bundle's build"}
    assert text.count("\n") == STRATEGY.count("\n") + 1
    assert strategy_version(text) == "1.2.0"


@pytest.mark.parametrize("number", ["0", "-0.1", "nan", "inf", "much", ""])
def test_a_volatility_that_is_none_is_refused(number: str) -> None:
    with pytest.raises(BundleError, match="allowed is a number above 0"):
        strategy_with_volatility(STRATEGY, number)


def test_a_strategy_file_without_a_place_for_it_is_refused() -> None:
    with pytest.raises(BundleError, match="already"):
        strategy_with_volatility(strategy_with_volatility(STRATEGY, "0.03"), "0.04")
    with pytest.raises(BundleError, match="ml_model"):
        strategy_with_volatility("[strategy]\n", "0.03")
    with pytest.raises(BundleError, match="no version"):
        strategy_version("[strategy]\n")


@pytest.mark.parametrize("text", ["", "ab", "AB" * 32, "g" * 64, "sha512-" + "ab" * 32, "../" + "ab" * 32])
def test_what_is_no_digest_is_refused(text: str) -> None:
    with pytest.raises(BundleError, match="no bundle digest"):
        checked_digest(text)


@given(
    name=st.text(alphabet="abcdefghijklmnopqrstuvwxyz0123456789_-", min_size=1, max_size=64),
    instrument=st.text(alphabet="ABCxyz0189_-", min_size=1, max_size=64),
    version=st.tuples(*[st.integers(0, 10**6)] * 3),
)
def test_the_manifest_has_one_spelling(name: str, instrument: str, version: tuple[int, int, int]) -> None:
    files = dict.fromkeys(LAYOUT, (1, "ab" * 32))
    manifest = Manifest(name, ".".join(map(str, version)), instrument, files)
    assert canonical_json(json.loads(manifest.to_bytes())) == manifest.to_bytes()
    assert b"\n" not in manifest.to_bytes()


def test_a_number_that_is_not_finite_is_never_hashed() -> None:
    with pytest.raises(ValueError, match="JSON"):
        canonical_json({"sharpe": float("nan")})


def test_provenance_says_which_code(tmp_path: Path) -> None:
    assert code_of(tmp_path) == Code(None, None)
    (tmp_path / "uv.lock").write_bytes(b"lock")
    assert code_of(tmp_path).lock_sha256 == hashlib.sha256(b"lock").hexdigest()
    provenance = Provenance("ab" * 32, "cd" * 32, Code(None, None), frozenset({"02", "01"}), {"b": 2, "a": 1})
    read = json.loads(provenance.to_bytes())
    assert read["raw_files"] == ["01", "02"]
    assert read["tables"] == [{"name": "a", "version": 1}, {"name": "b", "version": 2}]
    assert "training_run" not in read

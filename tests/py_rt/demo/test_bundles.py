"""The demo's keys, and which two bundles it trades."""

from __future__ import annotations

import json
import stat
from typing import TYPE_CHECKING

import pytest

from py_rt.bundle.keys import ROLES, TRUSTED_KEYS, key_path, read_trusted_keys
from py_rt.bundle.statement import PAPER
from py_rt.demo.bundles import Candidate, make_keys, newest_two
from py_rt.demo.children import DemoError

if TYPE_CHECKING:
    from pathlib import Path

A, B, C = "a" * 64, "b" * 64, "c" * 64


def candidate(home: Path, month: str, digest: str) -> None:
    folder = home / "artifacts" / "bundles" / "candidate_bundle" / month
    folder.mkdir(parents=True)
    (folder / "bundle.json").write_text(json.dumps({"digest": digest}), encoding="utf-8")


def test_the_two_newest_months_older_first(tmp_path: Path) -> None:
    for month, digest in (("2021-12-01", C), ("2021-10-01", A), ("2021-11-01", B)):
        candidate(tmp_path, month, digest)
    assert newest_two(tmp_path) == (Candidate("2021-11-01", B), Candidate("2021-12-01", C))


def test_no_candidate_is_no_swap(tmp_path: Path) -> None:
    with pytest.raises(DemoError, match="a swap needs two different bundles, there are none"):
        newest_two(tmp_path)


@pytest.mark.parametrize("digests", [[A], [A, A], [B, A, A]])
def test_one_bundle_or_twice_the_same_is_no_swap(tmp_path: Path, digests: list[str]) -> None:
    for month, digest in enumerate(digests, 1):
        candidate(tmp_path, f"2021-{month:02}-01", digest)
    with pytest.raises(DemoError, match=f"two different bundles, there are .*{A}"):
        newest_two(tmp_path)


def test_keys_are_made_once_for_paper_only_and_for_their_owner_only(tmp_path: Path) -> None:
    assert make_keys(tmp_path) == list(ROLES)
    before = {role: key_path(tmp_path / "keys", role).read_bytes() for role in ROLES}
    assert make_keys(tmp_path) == []
    assert {role: key_path(tmp_path / "keys", role).read_bytes() for role in ROLES} == before
    modes = {stat.S_IMODE(key_path(tmp_path / "keys", role).stat().st_mode) for role in ROLES}
    assert modes == {0o400}
    _, trusted = read_trusted_keys(tmp_path / "keys" / TRUSTED_KEYS)
    assert {key.highest_stage for key in trusted} == {PAPER}
    assert len({key.key_id for key in trusted}) == len(ROLES)


def test_a_lost_key_is_replaced_alone(tmp_path: Path) -> None:
    make_keys(tmp_path)
    key_path(tmp_path / "keys", ROLES[0]).unlink()
    assert make_keys(tmp_path) == [ROLES[0]]

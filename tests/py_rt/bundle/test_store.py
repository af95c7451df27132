from __future__ import annotations

import base64
import json
from typing import TYPE_CHECKING

import pytest

from py_rt.bundle.manifest import MANIFEST
from py_rt.bundle.statement import Approval
from py_rt.errors import BundleError

if TYPE_CHECKING:
    from tests.py_rt.bundle.conftest import Desk


def test_a_bundle_is_found_by_its_first_digits(desk: Desk) -> None:
    digest = desk.build(sign=False).digest
    store = desk.store
    assert store.resolve(digest[:6]) == digest
    assert store.resolve(f"sha256-{digest}") == digest
    assert store.resolve("ab" * 32) == "ab" * 32
    for text, fault in [(digest[:5], "too short"), ("000000", "0 bundles"), ("", "too short")]:
        with pytest.raises(BundleError, match=fault):
            store.resolve(text)


def test_digits_that_fit_two_bundles_name_both(desk: Desk) -> None:
    first = desk.build(sign=False)
    twin = first.folder.with_name(f"sha256-{first.digest[:-1]}{'0' if first.digest[-1] != '0' else '1'}")
    twin.mkdir()
    with pytest.raises(BundleError, match=f"2 bundles.*{first.digest}"):
        desk.store.resolve(first.digest[:8])


def test_what_runs_becomes_champion_and_the_one_before_previous(desk: Desk) -> None:
    store = desk.store
    first, second = desk.build(sign=False).digest, desk.build({"reports/model_card.md": b"2"}, sign=False).digest
    store.set_alias(1, "challenger", first)
    store.promote(1, first)
    assert store.aliases() == {"1/champion": first}
    store.set_alias(1, "challenger", second)
    store.promote(1, second)
    store.promote(1, second)
    assert store.aliases() == {"1/champion": second, "1/previous": first}
    store.promote(1, first)
    assert store.aliases() == {"1/champion": first, "1/previous": second}
    assert store.alias(2, "champion") is None


def test_an_alias_points_to_a_bundle_of_the_store(desk: Desk) -> None:
    digest = desk.build(sign=False).digest
    with pytest.raises(BundleError, match="points to a bundle of its store"):
        desk.store.set_alias(1, "champion", "ab" * 32)
    for name in ("latest", "../champion", ""):
        with pytest.raises(BundleError, match="champion, challenger, previous"):
            desk.store.set_alias(1, name, digest)


def test_a_damaged_alias_is_no_digest(desk: Desk) -> None:
    digest = desk.build(sign=False).digest
    desk.store.set_alias(1, "champion", digest)
    (desk.store.root / "aliases" / "1" / "champion").write_bytes(b"\xff\n")
    with pytest.raises(BundleError, match="no bundle digest"):
        desk.store.alias(1, "champion")


def test_a_record_stays_as_it_was_first_written(desk: Desk) -> None:
    digest = desk.build(sign=False).digest
    assert desk.store.read_record(digest) == {}
    desk.store.put_record(digest, {"training_run": "one"})
    desk.store.put_record(digest, {"training_run": "two"})
    assert desk.store.read_record(digest) == {"digest": digest, "training_run": "one"}


def test_a_list_shows_names_signatures_and_aliases(desk: Desk) -> None:
    built = desk.build()
    desk.store.set_alias(3, "challenger", built.digest)
    (found,) = desk.store.listed()
    assert (found.name, found.version, found.instrument) == ("golden", "1.0.0", "BTCUSDT")
    assert (found.built, found.approvals, found.aliases) == (True, (), ("3/challenger",))


def test_a_damaged_manifest_is_named(desk: Desk) -> None:
    built = desk.build()
    (built.folder / MANIFEST).unlink()
    (built.folder / MANIFEST).write_bytes(b"{}")
    with pytest.raises(BundleError, match=r"manifest\.json is no manifest"):
        desk.store.listed()


def test_a_store_that_is_not_there_is_empty(desk: Desk) -> None:
    assert desk.store.digests() == []
    assert desk.store.listed() == []
    assert desk.store.highest_serial(1, []) == 0


PAYLOAD = {"digest": "", "stage": "", "gates_sha256": "", "slot": 1, "serial": "1", "size_scale": "1"}
TEXT_FOR_NUMBER = base64.b64encode(json.dumps({**PAYLOAD, "not_before_ns": 0, "expires_ns": 1}).encode()).decode()


@pytest.mark.parametrize(
    "content",
    [
        b"",
        b"{}",
        b"[]",
        b'{"payload":"e30=","signatures":[]}',
        b'{"payload":"%"}',
        json.dumps({"payload": TEXT_FOR_NUMBER, "signatures": [{"keyid": ""}]}).encode(),
    ],
)
def test_what_is_no_approval_is_refused(content: bytes) -> None:
    with pytest.raises(BundleError, match="not an approval"):
        Approval.from_envelope(content)

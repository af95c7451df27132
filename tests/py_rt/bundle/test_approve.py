from __future__ import annotations

import json
import shutil
from dataclasses import replace
from decimal import Decimal
from typing import TYPE_CHECKING, Any

import pytest

from py_rt.bundle import verdict
from py_rt.bundle.approve import Request, approve
from py_rt.bundle.certificate import Certificates, keep
from py_rt.bundle.gates import FOR_LIVE, GatesError
from py_rt.bundle.keys import KeyFileError, create_key, key_path
from py_rt.bundle.statement import Approval, builder_envelope
from py_rt.bundle.verdict import RefusedBundleError
from py_rt.errors import BundleError
from tests.py_rt.bundle.conftest import DAY, NOW
from tests.py_rt.bundle.test_certificate import certificate

if TYPE_CHECKING:
    from collections.abc import Mapping

    from tests.py_rt.bundle.conftest import Desk


def request(digest: str, **changes: Any) -> Request:  # noqa: ANN401 - a value of the request
    return replace(Request(digest, 1, "paper", NOW, NOW + 30 * DAY), **changes)


def approved(
    desk: Desk, asked: Request, role: str = "approver", certificates: Certificates | None = None
) -> tuple[Approval, Mapping[str, Any]]:
    return approve(
        desk.store,
        asked,
        key=desk.key(role),
        trusted_keys=desk.trusted,
        risk_policy=desk.policy,
        certificates=certificates,
    )


def test_an_approved_bundle_may_run(desk: Desk) -> None:
    built = desk.build()
    approval, facts = approved(desk, request(built.digest))
    expected = verdict.Expectation(1, "paper", NOW + DAY)
    found = verdict.verify(desk.store.root, built.digest, desk.trusted, expected, risk_policy=desk.policy)
    assert found.ok
    assert found.facts == facts
    assert (approval.serial, facts["serial"], facts["stage"]) == (1, 1, "paper")
    assert facts["approver"] == desk.key("approver").key_id
    assert facts["builder"] == desk.key("builder").key_id


def test_serials_count_up_over_all_bundles_of_a_slot(desk: Desk) -> None:
    first = desk.build()
    second = desk.build({"reports/model_card.md": b"# Another\n"})
    serials = [approved(desk, request(each.digest))[0].serial for each in (first, second, first)]
    assert serials == [1, 2, 3]
    assert approved(desk, request(second.digest, slot=2))[0].serial == 1
    assert [approval.serial for approval in desk.store.approvals(first.digest)] == [1, 3]
    with pytest.raises(BundleError, match="serial 3 is not above 3"):
        approved(desk, request(second.digest, serial=3))
    assert approved(desk, request(second.digest, serial=9))[0].serial == 9


def test_serials_that_no_trusted_key_signed_for_this_stage_do_not_count(desk: Desk) -> None:
    built = desk.build()
    approval, _ = approved(desk, request(built.digest))
    for serial, stage, role in ((2, "paper", "builder"), (2**63 - 1, "live_10", "approver")):
        forged = replace(approval, serial=serial, stage=stage)
        path = desk.store.kept_approval(built.digest, 1, serial)
        path.write_bytes(forged.to_envelope(desk.key(role)))
    # Number 2 is taken by a file that counts for nothing; it is neither believed nor overwritten.
    assert approved(desk, request(built.digest))[0].serial == 3
    assert approved(desk, request(built.digest, serial=9))[0].serial == 9
    with pytest.raises(BundleError, match="serial 9 is not above 9"):
        approved(desk, request(built.digest, serial=9))


def test_a_newer_approval_replaces_the_older_and_both_are_kept(desk: Desk) -> None:
    built = desk.build()
    approved(desk, request(built.digest))
    later, _ = approved(desk, request(built.digest, size_scale=Decimal("0.50")))
    newest, key_id = Approval.from_envelope(desk.store.signature(built.digest, "approver").read_bytes())
    assert newest == replace(later, size_scale=Decimal("0.5"))
    assert key_id == desk.key("approver").key_id
    assert desk.store.kept_approval(built.digest, 1, 1).is_file()


def test_what_the_builder_did_not_sign_is_not_approved(desk: Desk) -> None:
    built = desk.build(sign=False)
    with pytest.raises(RefusedBundleError) as refusal:
        approved(desk, request(built.digest))
    assert refusal.value.refusal == "unsigned"
    assert not desk.store.signature(built.digest, "approver").exists()


@pytest.mark.parametrize("path", ["model.onnx", "risk_limits.toml", "reports/gates.json", "golden.bin"])
def test_what_was_changed_is_not_approved(desk: Desk, path: str) -> None:
    built = desk.build()
    file = built.folder / path
    content = file.read_bytes()
    file.unlink()
    file.write_bytes(content[:-1] + bytes([content[-1] ^ 1]))
    with pytest.raises(RefusedBundleError) as refusal:
        approved(desk, request(built.digest))
    assert refusal.value.refusal == "changed_file"
    assert not desk.store.signature(built.digest, "approver").exists()


def test_limits_looser_than_the_policy_are_not_approved(desk: Desk) -> None:
    looser = desk.files["risk_limits.toml"].replace(b"max_leverage = 3.0", b"max_leverage = 3.1")
    built = desk.build({"risk_limits.toml": looser}, sign=False)
    # A builder with a policy of its own.
    desk.store.put_signature(built.digest, "builder", builder_envelope(built.digest, desk.key("builder")))
    with pytest.raises(RefusedBundleError, match=r"max_leverage: 3\.1 is looser than the policy's 3"):
        approved(desk, request(built.digest))


def test_builder_and_approver_are_two_keys(desk: Desk) -> None:
    built = desk.build()
    with pytest.raises(KeyFileError, match="trusted as builder only"):
        approved(desk, request(built.digest), role="builder")
    create_key(desk.keys, "operator")
    with pytest.raises(KeyFileError, match="trusted as operator only"):
        approved(desk, request(built.digest), role="operator")
    assert not desk.store.signature(built.digest, "approver").exists()


def test_a_key_that_is_not_trusted_approves_nothing(desk: Desk) -> None:
    built = desk.build()
    trusted = desk.trusted
    key_path(desk.keys, "approver").unlink()
    shutil.move(desk.keys / "trusted_keys.toml", desk.keys / "old.toml")
    create_key(desk.keys, "approver")
    with pytest.raises(KeyFileError, match="is not trusted"):
        approve(
            desk.store,
            request(built.digest),
            key=desk.key("approver"),
            trusted_keys=trusted,
            risk_policy=desk.policy,
        )


@pytest.mark.parametrize("gate", ["onnx_parity", "no_look_ahead", "cost_stress_reported", "limits_within_policy"])
@pytest.mark.parametrize("passed", [False, None])
def test_paper_needs_its_gates(desk: Desk, gate: str, passed: bool | None) -> None:
    built = desk.build(desk.gates_with(gate, passed=passed))
    with pytest.raises(GatesError, match="stage paper is refused: 1 of 4 gates are not passed"):
        approved(desk, request(built.digest))
    assert not desk.store.signature(built.digest, "approver").exists()


def test_a_gate_that_is_missing_is_not_passed(desk: Desk) -> None:
    read = json.loads(desk.files["reports/gates.json"])
    read["gates"] = [gate for gate in read["gates"] if gate["name"] != "onnx_parity"]
    built = desk.build({"reports/gates.json": json.dumps(read).encode()})
    with pytest.raises(GatesError, match=r"\[not evaluated\] onnx parity"):
        approved(desk, request(built.digest))


@pytest.mark.parametrize("content", [b"", b"[]", b"{}", b'{"schema_version":2}', b'{"schema_version":1,"gates":[{}]}'])
def test_gates_that_cannot_be_read_approve_nothing(desk: Desk, content: bytes) -> None:
    built = desk.build({"reports/gates.json": content})
    with pytest.raises(BundleError, match=r"gates\.json"):
        approved(desk, request(built.digest))


def senior(desk: Desk) -> None:
    """Keys that are trusted for everything."""
    text = desk.trusted.replace('highest_stage = "paper"', 'highest_stage = "live_100"')
    (desk.keys / "trusted_keys.toml").write_text(text, encoding="utf-8")


@pytest.mark.parametrize("highest", ["paper", "live_100"])
def test_real_money_is_refused_with_the_whole_list_and_its_numbers(desk: Desk, highest: str) -> None:
    if highest != "paper":
        senior(desk)
    built = desk.build()
    with pytest.raises(GatesError) as refusal:
        approved(desk, request(built.digest, stage="live_10", size_scale=Decimal("0.1")))
    lines = str(refusal.value).splitlines()
    assert [gate.name for gate in refusal.value.gates][: len(FOR_LIVE)] == list(FOR_LIVE)
    assert lines[1] == "  [FAILED] Backtest on 3+ years of data: 0.0849315; wanted 3 years"
    assert lines[2] == "  [not evaluated] Walk-forward optimization completed: wanted completed"
    assert lines[3] == "  [FAILED] Out-of-sample Sharpe ratio, annual: -1.25; wanted above 1.5"
    assert lines[4] == "  [passed] Risk limits configured (looser than the policy): 0; wanted 0"
    assert sum("[not evaluated]" in line for line in lines) == 6
    assert "venue_certificate" in {gate.name for gate in refusal.value.gates}
    assert not desk.store.signature(built.digest, "approver").exists()


def all_gates_passed(desk: Desk) -> dict[str, bytes]:
    read = json.loads(desk.files["reports/gates.json"])
    for gate in read["gates"]:
        gate.update(passed=True, value=1)
    return {"reports/gates.json": json.dumps(read).encode()}


def test_real_money_is_possible_once_everything_is_passed(desk: Desk) -> None:
    senior(desk)
    built = desk.build(all_gates_passed(desk))
    asked = request(built.digest, stage="live_10", size_scale=Decimal("0.1"))
    certificates = Certificates(desk.store.root.parent / "certificates", NOW)
    for given in (None, certificates):
        with pytest.raises(GatesError, match="1 of 13 gates are not passed"):
            approved(desk, asked, certificates=given)
    keep(certificates.folder, certificate(venue="kraken"))
    with pytest.raises(GatesError, match=r"\[not evaluated\] Wire of binance certified"):
        approved(desk, asked, certificates=certificates)
    keep(certificates.folder, certificate())
    approval, facts = approved(desk, asked, certificates=certificates)
    assert (approval.stage, facts["size_scale"]) == ("live_10", "0.1")
    assert approval.expires_ns == NOW + 25 * DAY, "it ends with the certificate"
    late = replace(asked, not_before_ns=NOW + 26 * DAY, expires_ns=NOW + 30 * DAY)
    with pytest.raises(BundleError, match="ends before the approval begins"):
        approved(desk, late, certificates=certificates)
    with pytest.raises(GatesError, match=r"\[not evaluated\] results at live 10"):
        approved(desk, request(built.digest, stage="live_25", size_scale=Decimal("0.25")), certificates=certificates)


def test_a_key_for_paper_approves_no_real_money(desk: Desk) -> None:
    built = desk.build(all_gates_passed(desk))
    certificates = Certificates(desk.store.root.parent / "certificates", NOW)
    keep(certificates.folder, certificate())
    with pytest.raises(KeyFileError, match="up to stage paper, not for live_10"):
        approved(desk, request(built.digest, stage="live_10"), certificates=certificates)
    with pytest.raises(BundleError, match="no stage is called 'live'"):
        approved(desk, request(built.digest, stage="live"))


@pytest.mark.parametrize(
    "changes", [{"expires_ns": NOW}, {"expires_ns": NOW - 1}, {"expires_ns": NOW + 367 * DAY}], ids=str
)
def test_an_approval_ends_within_a_year_and_after_it_begins(desk: Desk, changes: dict[str, int]) -> None:
    built = desk.build()
    with pytest.raises(BundleError, match="up to 366 days"):
        approved(desk, request(built.digest, **changes))


@pytest.mark.parametrize("size", ["0", "-1", "1.01", "0.000000001"])
def test_what_the_reader_refuses_does_not_stay(desk: Desk, size: str) -> None:
    built = desk.build()
    approved(desk, request(built.digest))
    before = desk.store.signature(built.digest, "approver").read_bytes()
    with pytest.raises(RefusedBundleError, match="size_scale"):
        approved(desk, request(built.digest, size_scale=Decimal(size)))
    assert desk.store.signature(built.digest, "approver").read_bytes() == before
    assert [approval.serial for approval in desk.store.approvals(built.digest)] == [1]


def test_the_first_approval_that_is_refused_leaves_none(desk: Desk) -> None:
    built = desk.build()
    with pytest.raises(RefusedBundleError):
        approved(desk, request(built.digest, size_scale=Decimal(2)))
    assert not desk.store.signature(built.digest, "approver").exists()
    assert desk.store.approvals(built.digest) == []

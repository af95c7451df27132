"""Approving: a person's own act, with a key of its own, after the reader and the gates have had their say."""

from __future__ import annotations

from dataclasses import dataclass, replace
from decimal import Decimal
from typing import TYPE_CHECKING, Any

from py_rt.bundle import verdict
from py_rt.bundle.certificate import venue_of
from py_rt.bundle.gates import Gates, venue_gate
from py_rt.bundle.keys import KeyFileError, parse_trusted_keys
from py_rt.bundle.manifest import sha256_hex
from py_rt.bundle.statement import PAPER, STAGES, Approval
from py_rt.errors import BundleError

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence

    from py_rt.bundle.certificate import Certificates
    from py_rt.bundle.gates import Gate
    from py_rt.bundle.keys import SigningKey, TrustedKey
    from py_rt.bundle.store import BundleStore

GATES = "reports/gates.json"
MAX_VALID_NS = 366 * 86_400 * 10**9
"""Longest validity of an approval."""


@dataclass(frozen=True)
class Request:
    """What is asked for.

    Attributes:
        digest: of the bundle.
        slot: in which it shall run.
        stage: at which.
        not_before_ns: from when, ns UTC.
        expires_ns: until when, ns UTC; at most a year later.
        size_scale: share of the full size.
        serial: above every serial of the slot; `None` takes the next one.
    """

    digest: str
    slot: int
    stage: str
    not_before_ns: int
    expires_ns: int
    size_scale: Decimal = Decimal(1)
    serial: int | None = None


def approve(
    store: BundleStore,
    request: Request,
    *,
    key: SigningKey,
    trusted_keys: str,
    risk_policy: str,
    certificates: Certificates | None = None,
) -> tuple[Approval, Mapping[str, Any]]:
    """Approve a bundle.

    An approval for real money ends with the venue's certificate at the latest, whatever was asked for.

    Args:
        store: where it lies.
        request: for what.
        key: the approver's; never the builder's.
        trusted_keys: text of the `trusted_keys.toml` by which the services judge.
        risk_policy: text of the `risk_limits.toml` that no limit may be looser than.
        certificates: of venues, for stages of real money; `None`: there are none.

    Returns:
        The approval, and the reader's verdict on the bundle with it.

    Raises:
        RefusedBundleError: the reader refuses the bundle; nothing is signed.
        GatesError: the stage demands more than was measured; nothing is signed.
        KeyFileError: the key is not trusted as approver, or not up to this stage.
        BundleError: the request contradicts itself or an earlier approval.
    """
    trusted = parse_trusted_keys(trusted_keys, "trusted_keys.toml")
    highest = _highest_stage(key, trusted)
    if request.stage not in STAGES:
        raise BundleError(f"no stage is called {request.stage!r}; there are {', '.join(STAGES)}")
    _check_time(request)
    built = verdict.verify_built(store.root, request.digest, trusted_keys, risk_policy=risk_policy).required()
    if built["builder"] == key.key_id:
        raise KeyFileError(f"key {key.key_id} built this bundle: another person approves it, with another key")
    content = store.read_file(request.digest, GATES)
    if sha256_hex(content) != built["gates_sha256"]:
        raise BundleError(f"{GATES} changed while it was read: nothing was approved")
    # The gates first: whoever asks for real money is told what is missing, whatever the key is trusted for.
    gates = Gates.from_bytes(content)
    if request.stage != PAPER:
        gates = gates.beside(_venue_gate(str(built["instrument"]), certificates))
        request = _within_certificate(request, str(built["instrument"]), certificates)
    gates.require(request.stage)
    if STAGES.index(request.stage) > STAGES.index(highest):
        raise KeyFileError(f"key {key.key_id} is trusted up to stage {highest}, not for {request.stage}")
    with store.locked():
        approval = _approval(store, request, trusted, str(built["gates_sha256"]))
        return approval, _put(store, approval, key=key, trusted_keys=trusted_keys, risk_policy=risk_policy)


def _venue_gate(instrument: str, certificates: Certificates | None) -> Gate:
    if certificates is None:
        return venue_gate(venue_of(instrument), None, passed=None)
    return certificates.gate(instrument)


def _within_certificate(request: Request, instrument: str, certificates: Certificates | None) -> Request:
    """The request, ending with the certificate; as it is where there is none, or an old one, which the gate refuses."""
    ends = None if certificates is None else certificates.valid_until_ns(instrument)
    if certificates is None or ends is None or ends < certificates.now_ns or ends >= request.expires_ns:
        return request
    if ends <= request.not_before_ns:
        raise BundleError(f"the certificate of {venue_of(instrument)} ends before the approval begins: certify anew")
    return replace(request, expires_ns=ends)


def _highest_stage(key: SigningKey, trusted: Sequence[TrustedKey]) -> str:
    """Up to which stage the key may approve."""
    own = {each.key_id: each for each in trusted}.get(key.key_id)
    if own is None or own.role != "approver":
        trusted_as = f"trusted as {own.role} only" if own else "not trusted"
        raise KeyFileError(f"key {key.key_id} is {trusted_as}: approving takes a key with the role approver")
    return own.highest_stage


def _check_time(request: Request) -> None:
    if not 0 < request.expires_ns - request.not_before_ns <= MAX_VALID_NS:
        raise BundleError(
            f"the approval would run from {request.not_before_ns} to {request.expires_ns} ns UTC; "
            f"allowed is up to {MAX_VALID_NS // (86_400 * 10**9)} days, forwards"
        )


def _approval(store: BundleStore, request: Request, trusted: Sequence[TrustedKey], gates_sha256: str) -> Approval:
    highest = store.highest_serial(request.slot, trusted)
    serial = highest + 1 if request.serial is None else request.serial
    # A file of that number that counts for nothing is left where it is, and stands in nobody's way.
    while request.serial is None and store.kept_approval(request.digest, request.slot, serial).exists():
        serial += 1
    if serial <= highest:
        raise BundleError(f"serial {serial} is not above {highest}, the highest of slot {request.slot}")
    return Approval(
        digest=request.digest,
        slot=request.slot,
        stage=request.stage,
        size_scale=request.size_scale,
        not_before_ns=request.not_before_ns,
        expires_ns=request.expires_ns,
        serial=serial,
        gates_sha256=gates_sha256,
    )


def _put(
    store: BundleStore, approval: Approval, *, key: SigningKey, trusted_keys: str, risk_policy: str
) -> Mapping[str, Any]:
    """Put the approval in place and let the reader judge it; one that it refuses does not stay."""
    newest = store.signature(approval.digest, "approver")
    before = newest.read_bytes() if newest.exists() else None
    store.put_approval(approval, approval.to_envelope(key))
    expected = verdict.Expectation(
        approval.slot, approval.stage, now_ns=approval.not_before_ns, serial_floor=approval.serial - 1
    )
    try:
        return verdict.verify(store.root, approval.digest, trusted_keys, expected, risk_policy=risk_policy).required()
    except BundleError:
        store.withdraw_approval(approval, before)
        raise

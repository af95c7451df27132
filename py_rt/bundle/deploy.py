"""From an approval to a slot that runs the bundle: which approval counts, the signed command, and what came of it."""

from __future__ import annotations

import time
from dataclasses import dataclass
from typing import TYPE_CHECKING

from py_rt.bridge.commands import (
    CommandClient,
    CommandError,
    CommandFailedError,
    CommandRefusedError,
    NoAnswerError,
    Signer,
)
from py_rt.bridge.vocabulary import RefusalReason
from py_rt.bundle.keys import TRUSTED_KEYS, key_path, read_trusted_keys
from py_rt.bundle.statement import PAPER, STAGES
from py_rt.errors import BundleError

if TYPE_CHECKING:
    from collections.abc import Iterable
    from pathlib import Path

    from py_rt.bridge.records import Acknowledgement, BundleStatus
    from py_rt.bridge.services import Service
    from py_rt.bundle.statement import Approval
    from py_rt.bundle.store import BundleStore

ROLE = "deployer"

_PASSING = frozenset(
    {
        RefusalReason.BUSY,
        RefusalReason.SHUTTING_DOWN,
        RefusalReason.WRONG_STATE,
        RefusalReason.COUNTER_REPLAYED,
        RefusalReason.EXPIRED,
    }
)
"""Refusals of a command that say nothing about the bundle: a later command may be obeyed."""


class SupersededError(BundleError):
    """A later approval of the slot has begun: an earlier one is not deployed after it."""


@dataclass(frozen=True, slots=True)
class Deployed:
    """A bundle that a service runs.

    Attributes:
        digest: of the bundle.
        name: of the bundle.
        version: of the bundle.
        slot: in which slot.
        stage: of the approval.
        serial: of the approval.
        expires_ns: until when it is approved, ns UTC.
        instance: the service's name.
        run_id: the service's name in the record.
        epoch: the life of the service.
        command_id: of the command that did it.
        acknowledged_ns: when the service said that it was done, ns UTC.
    """

    digest: str
    name: str
    version: str
    slot: int
    stage: str
    serial: int
    expires_ns: int
    instance: str
    run_id: str
    epoch: int
    command_id: str
    acknowledged_ns: int


def stages_of(service_stage: str) -> tuple[str, ...]:
    """Stages of an approval that a service of a stage runs.

    >>> stages_of("dev"), stages_of("prod")
    (('paper',), ('live_10', 'live_25', 'live_50', 'live_100'))
    """
    return tuple(stage for stage in STAGES if stage != PAPER) if service_stage == "prod" else (PAPER,)


def newest_begun(
    store: BundleStore, keys: Path, *, stages: Iterable[str] = STAGES, now_ns: int | None = None
) -> dict[int, Approval]:
    """The approval of each slot that counts: the one with the highest serial among those that have begun.

    An approval that has expired still stands before those with lower serials: what was approved earlier never comes
    after what was approved later. Counted is only what a trusted approver signed; everything else is judged later.

    Whoever can write the store can still stop deployments (take bundles and statements away, or put in a statement
    that cannot be read, which is named), and by taking the newest approval away let the one before it count. He can
    make nothing count that no trusted approver signed, and a service takes no serial that is not above its highest.

    Args:
        store: of bundles.
        keys: folder with the list of trusted keys; not looked at where nothing is approved.
        stages: of which approvals count.
        now_ns: ns UTC; `None` is the clock's.

    Raises:
        BundleError: a statement or the list of trusted keys cannot be read.
    """
    now_ns, wanted = time.time_ns() if now_ns is None else now_ns, set(stages)
    approved = [digest for digest in store.digests() if _approvals(store, digest)]
    if not approved:
        return {}
    _, trusted = read_trusted_keys(keys / TRUSTED_KEYS)
    begun = [
        approval
        for digest in approved
        for approval in store.trusted_approvals(digest, trusted)
        if approval.stage in wanted and approval.not_before_ns <= now_ns
    ]
    return {approval.slot: approval for approval in sorted(begun, key=lambda approval: approval.serial)}


def deploy(
    store: BundleStore, service: Service, keys: Path, *, slot: int, digest: str = "", serial: int = 0
) -> Deployed:
    """Send a bundle to a slot of a service, wait until it runs there, and note it as the slot's champion.

    Repeating it is safe: a bundle that runs by the same approval already is left alone by the service.

    Args:
        store: of bundles; the service reads the same.
        service: to run it.
        keys: folder with the deployer's key and the list of trusted keys.
        slot: to be taken over.
        digest: of the bundle; empty is that of the newest approval.
        serial: of the approval; 0 is the newest.

    Raises:
        SupersededError: a later approval of the slot has begun.
        BundleError: the slot has no such approval.
        SignerError: there is no deployer's key that may be used.
        CommandError: the service cannot be reached, or says no.
    """
    signer = Signer.load(key_path(keys, ROLE))
    approval = _wanted(store, service, keys, slot=slot, digest=digest, serial=serial)
    with CommandClient(service.command, signer, service.instance) as client:
        done = _sent(client, slot, approval.digest)
        status = client.status()
    there = next((each.active for each in status.slots if each.slot == slot), None)
    if there is None or (there.digest, there.serial) != (approval.digest, approval.serial):
        runs = f"{there.digest[:12]}, serial {there.serial}" if there else "nothing"
        message = f"{service.instance}, slot {slot} runs {runs}, not {approval.digest[:12]}, serial {approval.serial}"
        raise CommandError(f"{message}: somebody else deployed or approved meanwhile")
    store.promote(slot, approval.digest)
    return Deployed(
        digest=approval.digest,
        name=there.name or "",
        version=there.version or "",
        slot=slot,
        stage=approval.stage,
        serial=approval.serial,
        expires_ns=approval.expires_ns,
        instance=status.instance,
        run_id=status.run_id,
        epoch=status.epoch,
        command_id=done.command_id or "",
        acknowledged_ns=done.ts,
    )


def active(service: Service, keys: Path) -> dict[int, BundleStatus | None]:
    """Ask a service what its slots run.

    Args:
        service: to be asked.
        keys: folder with the deployer's key.

    Raises:
        SignerError: there is no deployer's key that may be used.
        CommandError: the service cannot be reached, or says no.
    """
    signer = Signer.load(key_path(keys, ROLE))
    with CommandClient(service.command, signer, service.instance) as client:
        return {slot.slot: slot.active for slot in client.status().slots}


def is_final(error: CommandError) -> bool:
    """Whether the service said no to the bundle, so that asking this life of it again is of no use."""
    if isinstance(error, CommandRefusedError):
        return error.ack.refusal not in _PASSING
    return isinstance(error, CommandFailedError)


def _approvals(store: BundleStore, digest: str) -> list[Approval]:
    try:
        return store.approvals(digest)
    except BundleError as error:
        raise BundleError(f"beside bundle {digest[:12]} in {store.root / 'signatures'}: {error}") from error


def _wanted(store: BundleStore, service: Service, keys: Path, *, slot: int, digest: str, serial: int) -> Approval:
    newest = newest_begun(store, keys, stages=stages_of(service.stage)).get(slot)
    if newest is None:
        todo = f"py_rt bundle approve DIGEST --slot {slot}"
        raise BundleError(
            f"no trusted approval for slot {slot} and a service of stage {service.stage} has begun: `{todo}`"
        )
    if serial and newest.serial > serial:
        later = f"serial {newest.serial} ({newest.digest[:12]})"
        raise SupersededError(f"serial {serial} of slot {slot} is not deployed: {later} was approved after it")
    if (digest and newest.digest != digest) or (serial and newest.serial != serial):
        wanted = f"{digest[:12] or 'any bundle'}, serial {serial or 'any'}"
        raise BundleError(
            f"slot {slot}: the newest approval is {newest.digest[:12]}, serial {newest.serial}; not {wanted}"
        )
    return newest


def _sent(client: CommandClient, slot: int, digest: str) -> Acknowledgement:
    try:
        return client.deploy(slot, digest)
    except NoAnswerError as unheard:
        # It may have been obeyed; the same message again is answered, and done at most once.
        return client.repeat(unheard.pending)

"""Bundles that nobody should run, sent to a service that trades: each is refused with its reason, what runs goes on."""

from __future__ import annotations

import time
from decimal import Decimal
from typing import TYPE_CHECKING

import pytest

from py_rt.bridge.commands import CommandFailedError
from py_rt.bridge.vocabulary import BundleState, ServiceState
from py_rt.bundle.approve import GATES
from py_rt.bundle.keys import TRUSTED_KEYS, SigningKey, key_path, read_trusted_keys
from py_rt.bundle.manifest import sha256_hex
from py_rt.bundle.statement import PAPER, Approval
from py_rt.bundle.store import BundleStore
from tests.contract.live_service import DAY_NS, SLOT
from tests.e2e.trading import Behavior, Trading, assert_all_agree

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator

pytestmark = pytest.mark.e2e

LIVE = "live_10"
MINUTE_NS = 60 * 10**9


class Store:
    """The store of a service, and everything wrong that can be done in it."""

    def __init__(self, service: Trading) -> None:
        self.service = service
        self.bundles = BundleStore(service.home / "bundles")
        self.made = 0

    def key(self, role: str) -> SigningKey:
        """The key of a role; `stranger` is trusted by nobody."""
        folder, name = ("stranger", "operator") if role == "stranger" else ("keys", role)
        return SigningKey.load(key_path(self.service.home / folder, name))

    def good(self, *, valid_ns: int = DAY_NS) -> str:
        """A bundle of its own that is in order, or was until a moment ago."""
        self.made += 1
        return self.service.bundle(Behavior(timeout_seconds=1_000 + self.made), valid_ns=valid_ns)

    def approved(self, *, by: str = "approver", stage: str = PAPER, size: str = "1", after_ns: int = -DAY_NS) -> str:
        """A bundle whose approval says something of its own."""
        digest = self.good()
        now = time.time_ns()
        trusted = read_trusted_keys(self.service.home / "keys" / TRUSTED_KEYS)[1]
        approval = Approval(
            digest=digest,
            slot=SLOT,
            stage=stage,
            size_scale=Decimal(size),
            not_before_ns=now + after_ns,
            expires_ns=now + 2 * DAY_NS,
            serial=self.bundles.highest_serial(SLOT, trusted) + 1,
            gates_sha256=sha256_hex(self.bundles.read_file(digest, GATES)),
        )
        self.bundles.put_approval(approval, approval.to_envelope(self.key(by)))
        return digest

    def changed(self) -> str:
        """One bit of the model."""
        digest = self.good()
        path = self.bundles.folder(digest) / "model.onnx"
        content = bytearray(path.read_bytes())
        content[len(content) // 2] ^= 1
        path.unlink()
        path.write_bytes(content)
        return digest

    def extended(self) -> str:
        """One file more."""
        digest = self.good()
        (self.bundles.folder(digest) / "model.pkl").write_bytes(b"x")
        return digest

    def unsigned(self, role: str) -> str:
        """One signature only."""
        digest = self.good()
        self.bundles.signature(digest, role).unlink()
        return digest


REFUSED: dict[str, tuple[Callable[[Store], str], str]] = {
    "changed_byte": (Store.changed, r"model\.onnx"),
    "extra_file": (Store.extended, r"model\.pkl"),
    "builder_alone": (lambda store: store.unsigned("approver"), "the approver has not signed"),
    "approver_alone": (lambda store: store.unsigned("builder"), "the builder has not signed"),
    "one_key_in_both_roles": (lambda store: store.approved(by="builder"), "signed as builder and as approver"),
    "approved_by_a_stranger": (lambda store: store.approved(by="stranger"), "not trusted here"),
    "expired": (lambda store: store.good(valid_ns=-MINUTE_NS), "the approval expired"),
    "not_yet_valid": (lambda store: store.approved(after_ns=MINUTE_NS), "the approval begins"),
    "for_real_money": (lambda store: store.approved(stage=LIVE, size="0.1"), LIVE),
    "never_built": (lambda _: "ab" * 32, "no bundle|not there"),
}


@pytest.fixture(scope="module")
def store(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Store]:
    with Trading(tmp_path_factory.mktemp("b")) as service:
        # The approver may approve for real money: only the service's stage stands against it.
        trusted = service.home / "keys" / TRUSTED_KEYS
        trusted.write_text(trusted.read_text().replace('highest_stage = "paper"', f'highest_stage = "{LIVE}"'))
        service.start()
        service.until_state(ServiceState.WAITING)
        yield Store(service)


def running(store: Store) -> tuple[str, BundleState, int | None]:
    active = store.service.status().slots[0].active
    assert active is not None
    return active.digest, active.state, active.serial


def test_what_runs_goes_on_whatever_is_sent(store: Store) -> None:
    service = store.service
    older = store.good()
    current = store.good()
    service.deploy(current)
    before = running(store)
    assert before[:2] == (current, BundleState.ACTIVE)
    refusals = {}
    for name, (make, reason) in {**REFUSED, "lower_serial": (lambda _: older, "serial 1 is not above 2")}.items():
        with pytest.raises(CommandFailedError, match=reason) as refused:
            service.deploy(make(store))
        refusals[name] = str(refused.value)
        assert running(store) == before, name
    assert len(set(refusals.values())) == len(refusals)

    service.until_metric("py_rt_orders_sent_total", service.metrics()["py_rt_orders_sent_total"] + 2)
    newer = store.good()
    service.deploy(newer)
    assert running(store)[0] == newer
    service.halt()
    service.market.admin("resume")
    assert service.stop() == 0
    assert assert_all_agree(service) == 1

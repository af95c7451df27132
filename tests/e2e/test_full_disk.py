"""A full disk under the record: orders stop, what rests is canceled, the service says why it ended, nothing is lost."""

from __future__ import annotations

import subprocess
from contextlib import contextmanager
from decimal import Decimal
from typing import TYPE_CHECKING

import pytest

from py_rt.bridge.vocabulary import OrderStatus, ServiceState
from tests.contract.live_service import PATIENCE_S, SLOT, until
from tests.e2e.trading import Trading, assert_all_agree

if TYPE_CHECKING:
    from collections.abc import Iterator
    from pathlib import Path

pytestmark = pytest.mark.e2e

DISK = "16m"
"""Room for the record's reserve of 4 MiB, and for some of the record."""

BLOCK_BYTES = 1 << 12
RECORD_EXIT = 5
"""The record cannot be written: see `py_rt_live --help`."""

CONFIG_EXIT = 2
FAR = "99.00"


@contextmanager
def small_disk(folder: Path) -> Iterator[None]:
    """A disk of its own under the folder."""
    folder.mkdir(mode=0o700)
    mounted = subprocess.run(
        ["mount", "-t", "tmpfs", "-o", f"size={DISK},mode=0700", "tmpfs", str(folder)],
        capture_output=True,
        text=True,
        check=False,
    )
    if mounted.returncode != 0:
        pytest.skip(f"no disk can be mounted here: {mounted.stderr.strip()}")
    try:
        yield
    finally:
        subprocess.run(["umount", "--lazy", str(folder)], check=True)


def fill_up(folder: Path) -> Path:
    """Takes all the room that is left; the file that has it."""
    filler = folder / "filler"
    with filler.open("wb", buffering=0) as file:
        try:
            while file.write(bytes(BLOCK_BYTES)) == BLOCK_BYTES:
                pass
        except OSError:
            pass
    return filler


def test_a_full_disk_ends_the_life_in_order_and_the_next_one_knows_everything(tmp_path: Path) -> None:
    with small_disk(tmp_path / "run"), Trading(tmp_path) as service:
        service.start()
        service.until_state(ServiceState.WAITING)
        digest = service.bundle()
        service.deploy(digest)
        until(lambda: service.position().quantity > 0, "a position")
        service.buy_by_hand("0.5", price=FAR)
        with service.client("viewer") as viewer:
            resting = [(OrderStatus.ACCEPTED, Decimal(FAR))]

            def priced() -> list[tuple[OrderStatus, Decimal | None]]:
                orders = viewer.orders(SLOT, open_only=True).orders
                return [(one.status, one.price) for one in orders if one.price]

            until(lambda: priced() == resting, "a resting order")
        assert service.market.open_orders() != []

        filler = fill_up(service.run)
        assert service.service is not None
        assert service.service.wait(PATIENCE_S) == RECORD_EXIT
        assert service.market.open_orders() == []
        assert "no new order leaves, and the service ends" in service.log
        assert "draining" in service.log
        held, known = service.held_at_venue(), len(service.market.orders())

        # Still no room: it says so instead of trading without a record.
        assert service.spawn().wait(PATIENCE_S) in (RECORD_EXIT, CONFIG_EXIT)
        assert "No space left on device" in service.log
        assert len(service.market.orders()) == known

        filler.unlink()
        service.start()
        service.until_state(ServiceState.TRADING)
        active = service.status().slots[0].active
        assert active is not None
        assert active.digest == digest
        service.until_metric("py_rt_orders_sent_total", 2)
        assert held > 0
        service.halt()
        service.market.admin("resume")
        assert service.stop() == 0
        assert assert_all_agree(service) == 2

"""The service with orders that stay in it: no key, no word to the venue about orders, and a record that replays."""

from __future__ import annotations

import json
import os
import subprocess
import urllib.request
from decimal import Decimal
from pathlib import Path
from typing import TYPE_CHECKING, Any

import py_rt_core
import pytest

from py_rt.bridge.vocabulary import OrderStatus, Outcome, ServiceState, Side
from tests import golden_bundle
from tests.contract.live_service import SLOT, LiveService, find_command, until

if TYPE_CHECKING:
    from collections.abc import Iterator

pytestmark = pytest.mark.e2e

SHARED = Path(os.environ.get("PY_RT_SHARED_DATA", Path(__file__).resolve().parents[3] / "shared" / "data"))
SPOT = SHARED / "ws_binance_spot_btcusdt_20240808" / "btcusdt_20240808.gz"
REFUSED = 2


@pytest.fixture(scope="module")
def live(tmp_path_factory: pytest.TempPathFactory) -> Iterator[LiveService]:
    with LiveService(tmp_path_factory.mktemp("paper"), 'gateway = "simulated"') as live:
        live.start()
        with live.client() as client:
            until(lambda: client.status().state is ServiceState.WAITING, "an account that agrees")
        yield live


def test_orders_by_hand_are_filled_here_and_the_record_replays(live: LiveService) -> None:
    digest = live.approved_bundle()
    with live.client("deployer") as client:
        assert client.deploy(SLOT, digest).outcome is Outcome.APPLIED
    with live.client() as client:
        client.manual_order(SLOT, "binance/BTCUSDT", Side.BUY, "0.5")
        until(lambda: [order.status for order in client.orders().orders][-1:] == [OrderStatus.FILLED], "a fill")
        assert {position.quantity for position in client.positions()} == {Decimal("0.5")}
    assert live.stop() == 0
    with urllib.request.urlopen(f"{live.addresses['rest']}/admin/state", timeout=10) as answer:
        account = json.load(answer)["accounts"][0]
    assert (account["fills"], account["open_orders"]) == (0, [])
    keys = (live.home / "keys" / "trusted_keys.toml").read_text(encoding="utf-8")
    verdict = py_rt_core.replay_journal(live.run / "journal", live.home / "bundles", keys)
    assert verdict["identical"], verdict
    assert "BINANCE_API_KEY" not in live.log


def replayed(live: LiveService, *options: str) -> subprocess.CompletedProcess[str]:
    if not SPOT.is_file():
        pytest.skip(f"no recorded data at {SPOT}: set PY_RT_SHARED_DATA")
    command = [str(find_command("py_rt_live")), "replay", str(SPOT), "--config", str(live.home / "service.toml")]
    return subprocess.run([*command, *options], capture_output=True, text=True, check=False)


def test_a_recording_plays_through_the_service_s_own_parts(live: LiveService) -> None:
    digest = golden_bundle.built(live.home, golden_bundle.of_version("1.0.1"))
    golden_bundle.approved(live.home, digest, serial=99)
    reports: list[dict[str, Any]] = []
    for _ in range(2):
        done = replayed(live, "--bundle", digest, "--json")
        assert done.returncode == 0, done.stderr
        reports.append(json.loads(done.stdout))
    assert reports[0] == reports[1]
    assert reports[0]["wire"] == "binance_spot"
    assert reports[0]["bundle"] == digest
    assert reports[0]["messages"] > 0
    assert reports[0]["run"] is None


def test_a_bundle_that_is_not_approved_is_not_replayed(live: LiveService) -> None:
    done = replayed(live, "--bundle", "0" * 64)
    assert done.returncode == REFUSED
    assert "not replayed" in done.stderr

"""How a life of the service begins, and how it does not."""

from collections.abc import Iterator
from pathlib import Path

import pytest

from py_rt.bridge.vocabulary import Outcome
from tests.contract.live_service import API_KEY, SECRET, SLOT, LiveService, until

pytestmark = pytest.mark.e2e

VENUE_REFUSED = 4


@pytest.fixture(scope="module")
def live(tmp_path_factory: pytest.TempPathFactory) -> Iterator[LiveService]:
    with LiveService(tmp_path_factory.mktemp("start")) as live:
        yield live


@pytest.mark.parametrize(
    ("api_key", "secret", "said"),
    [(API_KEY, "another_secret_of_the_account", "-1022"), ("a_key_that_nobody_has", SECRET, "-2015")],
    ids=["secret", "key"],
)
def test_keys_that_the_venue_refuses_end_the_start(live: LiveService, api_key: str, secret: str, said: str) -> None:
    assert live.refused_start(api_key=api_key, secret=secret) == VENUE_REFUSED
    last = live.log.splitlines()[-1]
    assert said in last
    assert "PY_RT_BINANCE_API_KEY and PY_RT_BINANCE_API_SECRET" in last
    assert api_key not in live.log
    assert secret not in live.log


def test_a_key_that_may_withdraw_ends_the_start(live: LiveService) -> None:
    live.fault("key_rights", withdraw=True)
    assert live.refused_start() == VENUE_REFUSED
    assert "PY_RT_BINANCE_API_KEY may withdraw funds" in live.log.splitlines()[-1]
    live.fault("key_rights", withdraw=False)


def test_a_slot_whose_entries_are_as_large_as_orders_may_be_is_told(live: LiveService) -> None:
    live.start()
    digest = live.approved_bundle()
    with live.client("deployer") as client:
        assert client.deploy(SLOT, digest).outcome is Outcome.APPLIED
    until(lambda: "capital x position_size_pct reaches max_order_size_usd" in live.log, "a warning")
    assert live.stop() == 0
    assert "\x1b" not in live.log, "colours in a file"
    assert not list(Path(live.home).glob("core*"))

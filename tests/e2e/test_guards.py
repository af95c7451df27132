"""What cancels the orders of a service that is gone: the venue's own timer, or a watchdog with a key of its own."""

from __future__ import annotations

import os
import signal
import subprocess
import time
from typing import TYPE_CHECKING, Any

import pytest

from py_rt.bridge.vocabulary import ServiceState
from tests.contract.live_service import BINANCE, COINBASE, KRAKEN, PATIENCE_S, SLOT, Wire, find_command, until
from tests.e2e.test_wires import Trading
from tests.e2e.trading import Behavior

if TYPE_CHECKING:
    from pathlib import Path
    from types import TracebackType

pytestmark = pytest.mark.e2e

CONFIG_REFUSED, HELD, VENUE_REFUSED, SILENT = 2, 3, 4, 7
SILENCE_S = 2
SWITCH_S = 15
NEVER = Behavior(threshold="0.99", timeout_seconds=3_600)
"""A strategy that wants nothing: only what a person asks for is sent."""


class Guarded(Trading):
    """A service that somebody watches over, in a slow market: what rests, rests."""

    bar_ms = 60_000
    watchdog: subprocess.Popen[bytes] | None = None

    def rest(self) -> None:
        """An order that rests at the venue."""
        self.until_state(ServiceState.WAITING, ServiceState.TRADING)
        digest = self.approved_bundle(NEVER.text)
        with self.client("deployer") as deployer:
            deployer.deploy(SLOT, digest)
        self.rest_by_hand()
        assert self.open

    @property
    def open(self) -> list[dict[str, Any]]:
        """What rests at the venue."""
        found: list[dict[str, Any]] = self.account["open_orders"]
        return found

    def watch(self, keys: dict[str, str] | None = None) -> subprocess.Popen[bytes]:
        """A watchdog beside the service."""
        command = [str(find_command("py_rt_live")), "--watchdog", "--config", str(self.home / "service.toml")]
        environment = {**os.environ, **(self.wire.watchdog_keys() if keys is None else keys)}
        with (self.home / "watchdog.log").open("ab") as log:
            self.watchdog = subprocess.Popen(command, stdout=log, stderr=log, env=environment)
        return self.watchdog

    def watching(self) -> subprocess.Popen[bytes]:
        """The same, once it watches."""
        watchdog = self.watch()

        def is_watching() -> bool:
            assert watchdog.poll() is None, self.watched
            return "watching" in self.watched

        until(is_watching, "a watchdog that watches")
        return watchdog

    @property
    def watched(self) -> str:
        """What all watchdogs wrote."""
        return (self.home / "watchdog.log").read_text(encoding="utf-8")

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        if self.watchdog is not None and self.watchdog.poll() is None:
            self.watchdog.kill()
            self.watchdog.wait(PATIENCE_S)
        super().__exit__(kind, error, trace)


def watched_over(home: Path, wire: Wire) -> Guarded:
    return Guarded(home, f"watchdog_silence_s = {SILENCE_S}", wire)


WATCHED = pytest.mark.parametrize("wire", [BINANCE, COINBASE], ids=["binance", "coinbase"])


@WATCHED
def test_the_orders_of_a_killed_service_are_canceled(tmp_path: Path, wire: Wire) -> None:
    with watched_over(tmp_path, wire) as service:
        service.start()
        watchdog = service.watching()
        service.rest()
        service.kill()
        began = time.monotonic()
        until(lambda: service.open == [], "canceled orders")
        assert time.monotonic() - began < SILENCE_S + 10
        assert watchdog.wait(PATIENCE_S) == SILENT
        assert "the service is silent" in service.watched
        # Nothing is left to cancel: another one waits, and says so.
        again = service.watching()
        until(lambda: "nothing of the silent service rests" in service.watched, "a look at the venue")
        assert again.poll() is None
        for word in (wire.secret, wire.strange_secret):
            assert word not in service.watched
        # The next life finds its order canceled, and goes on.
        service.start()
        service.until_state(ServiceState.TRADING)
        assert service.stop() == 0
        assert [line for line in service.log.splitlines() if "a person must look" in line] == []


def test_a_service_that_hangs_is_a_silent_one(tmp_path: Path) -> None:
    with watched_over(tmp_path, BINANCE) as service:
        service.start()
        watchdog = service.watching()
        service.rest()
        assert service.service is not None
        service.service.send_signal(signal.SIGSTOP)
        try:
            assert watchdog.wait(PATIENCE_S) == SILENT
            assert service.open == []
        finally:
            service.service.send_signal(signal.SIGCONT)
        service.until_state(ServiceState.TRADING)
        assert service.stop() == 0


def test_a_watchdog_that_is_not_there_is_told(tmp_path: Path) -> None:
    with watched_over(tmp_path, BINANCE) as service:
        service.start()
        until(lambda: "no watchdog looks at this service" in service.log, "an alert")
        watchdog = service.watching()
        until(lambda: service.metrics()["py_rt_watchdog_present"] == 1, "a watchdog that is seen")
        watchdog.terminate()
        assert watchdog.wait(PATIENCE_S) == 0
        assert service.stop() == 0


def test_an_orderly_end_is_no_silence(tmp_path: Path) -> None:
    with watched_over(tmp_path, BINANCE) as service:
        watchdog = service.watching()
        service.start()
        service.rest()
        # It lives for longer than it may be silent.
        rounds = service.metrics()["py_rt_rounds_total"]
        until(lambda: service.metrics()["py_rt_rounds_total"] > rounds + 100 * 2 * SILENCE_S, "rounds")
        assert service.open
        assert service.stop() == 0
        until(lambda: "waiting for its next life" in service.watched, "a watchdog that waits")
        assert watchdog.poll() is None
        assert "canceled for a silent service" not in service.watched
        second = subprocess.run(watchdog.args, env={**os.environ, **service.wire.watchdog_keys()}, check=False)
        assert second.returncode == HELD, "one watchdog for a service"
        service.start()
        # As a rule the watchdog has not looked at this life before it is over.
        service.rest_by_hand()
        service.kill()
        assert watchdog.wait(PATIENCE_S) == SILENT
        assert service.open == []


@WATCHED
def test_a_watchdog_without_a_key_of_its_own_does_not_start(tmp_path: Path, wire: Wire) -> None:
    with watched_over(tmp_path, wire) as service:
        wrong = wire.watchdog_keys(secret=wire.secret)
        assert service.watch(wrong).wait(PATIENCE_S) == VENUE_REFUSED
        assert "the venue refused its key" in service.watched
        assert wire.secret not in service.watched
        assert service.watch({}).wait(PATIENCE_S) == CONFIG_REFUSED
        assert "_API_KEY_WATCHDOG is not set" in service.watched
        same = wire.keys() | wire.keys(suffix="_WATCHDOG")
        assert service.watch(same).wait(PATIENCE_S) == CONFIG_REFUSED
        assert "holds the service's key" in service.watched


@pytest.mark.parametrize(
    ("line", "said"),
    [("", "watchdog_silence_s is not set"), (f"dead_mans_switch_s = {SWITCH_S}", "the venue's own timer")],
    ids=["unset", "timer"],
)
def test_a_watchdog_that_the_configuration_does_not_ask_for_does_not_start(
    tmp_path: Path, line: str, said: str
) -> None:
    with Guarded(tmp_path, line, KRAKEN) as service:
        assert service.watch().wait(PATIENCE_S) == CONFIG_REFUSED
        assert said in service.watched


def test_the_venue_cancels_when_the_owner_of_its_switch_is_killed(tmp_path: Path) -> None:
    with Guarded(tmp_path, f"dead_mans_switch_s = {SWITCH_S}", KRAKEN) as service:
        assert not service.account["switch_set"]
        service.start()
        assert service.account["switch_set"], "set before the first order"
        service.rest()
        put_off = service.metrics()["py_rt_dead_mans_switch_put_off_total"]
        until(lambda: service.metrics()["py_rt_dead_mans_switch_put_off_total"] >= put_off + 4, "it is put off")
        assert service.open, "kept alive beyond the switch's time"
        assert service.metrics()["py_rt_dead_mans_switch_set"] == 1

        refused = second_service(service)
        assert refused.returncode == HELD
        assert "one service for an account" in refused.stderr

        service.kill()
        until(lambda: service.open == [], "orders that the venue canceled")
        service.start()
        service.until_state(ServiceState.TRADING)
        service.rest_by_hand()
        assert service.stop() == 0
        assert service.open == []
        assert not service.account["switch_set"], "taken off at an orderly end"


def second_service(service: Guarded) -> subprocess.CompletedProcess[str]:
    """Another instance with the same key, in a run folder of its own."""
    other = service.home / "other.toml"
    text = (service.home / "service.toml").read_text(encoding="utf-8")
    other.write_text(text.replace(str(service.run), str(service.home / "other")), encoding="utf-8")
    command = [str(find_command("py_rt_live")), "--config", str(other)]
    environment = {**os.environ, **service.wire.keys()}
    return subprocess.run(command, env=environment, capture_output=True, text=True, check=False, timeout=PATIENCE_S)


def test_a_switch_that_cannot_be_put_off_is_told(tmp_path: Path) -> None:
    with Guarded(tmp_path, f"dead_mans_switch_s = {SWITCH_S}", KRAKEN) as service:
        service.start()
        service.until_state(ServiceState.WAITING)
        service.fault("reject", request="cancel", code=0, message="EGeneral:Internal error", count=1)
        until(lambda: service.metrics()["py_rt_dead_mans_switch_failed_total"] >= 1, "a failure")
        until(lambda: service.metrics()["py_rt_alerts_total"] >= 1, "an alert")
        until(lambda: service.metrics()["py_rt_dead_mans_switch_set"] == 1, "it is put off again")
        assert "could not be put off" in service.log
        assert service.stop() == 0

"""A service that watches a second venue, and `py_rt book PAIR --consolidated`, against both venues' servers."""

from __future__ import annotations

import json
import subprocess
import urllib.request
from dataclasses import dataclass
from decimal import Decimal
from typing import TYPE_CHECKING, Any, Self

import py_rt_core
import pytest

from py_rt.bridge.commands import CommandFailedError
from py_rt.bridge.market_data import MarketDataCache, MarketDataReader
from py_rt.bridge.vocabulary import Side
from py_rt.bundle.keys import TRUSTED_KEYS
from tests.contract.live_service import (
    COINBASE,
    KRAKEN,
    PATIENCE_S,
    SLOT,
    LiveService,
    Wire,
    find_command,
    started_venue,
    until,
)

if TYPE_CHECKING:
    from pathlib import Path
    from types import TracebackType

pytestmark = pytest.mark.e2e

WRONG = 2
ANY_AGE_MS = 10**9
PAIR = "BTC/USD"
OWN_BPS, WATCHED_BPS = "40", "60.5"
TEN_THOUSAND = 10_000


class WatchedVenue:
    """A venue beside the one that the service trades at, in a process of its own."""

    def __init__(self, home: Path, wire: Wire) -> None:
        self.home = home
        self.wire = wire
        self.process, self.addresses = started_venue(home, wire)

    @property
    def table(self) -> str:
        """Its `[[watch]]`."""
        return (
            f'[[watch]]\nvenue = "{self.wire.name}"\ninstruments = ["{self.wire.symbol}"]\n'
            f'rest_url = "{self.addresses["rest"]}"\nws_url = "{self.addresses["ws"]}"\ntaker_bps = {WATCHED_BPS}\n'
        )

    def kill(self) -> None:
        """SIGKILL."""
        self.process.kill()
        self.process.wait(PATIENCE_S)
        if self.process.stdout is not None:
            self.process.stdout.close()

    def start_again(self) -> None:
        """Another process at the same address."""
        port = int(self.addresses["rest"].rsplit(":", 1)[1])
        self.process, addresses = started_venue(self.home, self.wire, port=port)
        assert addresses == self.addresses

    def pause(self) -> None:
        """Its market stands still; connections stay, and it answers."""
        request = urllib.request.Request(f"{self.addresses['rest']}/admin/pause", data=b"", method="POST")
        with urllib.request.urlopen(request, timeout=10) as answer:
            assert answer.status == 200

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self.kill()


@dataclass(frozen=True)
class Asked:
    """Asks the service as a person does."""

    service: LiveService

    def run(self, *line: str) -> subprocess.CompletedProcess[str]:
        """The command as a process."""
        command = [str(find_command("py_rt")), "book", *line, "--service", str(self.service.run)]
        return subprocess.run(command, capture_output=True, text=True, check=False, timeout=120)

    def json(self, *line: str, status: int = 0) -> dict[str, Any]:
        """Its one JSON object."""
        done = self.run(*line, "--json")
        assert done.returncode == status, done
        facts: dict[str, Any] = json.loads(done.stdout)
        return facts

    def market(self, *line: str, max_age_ms: int = ANY_AGE_MS) -> dict[str, Any]:
        """The pair at both venues."""
        return self.json(PAIR, "--consolidated", "--max-age-ms", str(max_age_ms), *line)


def standings(market: dict[str, Any]) -> dict[str, str]:
    return {one["venue"]: one["standing"] for one in market["venues"]}


def after_fees(price: str, side: str, bps: str) -> Decimal:
    """What a taker gets at a bid and pays at an ask, in units of 1e-8, rounded against him."""
    units, fee = int(Decimal(price) * 10**8), Decimal(bps)
    scale = TEN_THOUSAND * 10**8
    part = int((TEN_THOUSAND - fee if side == "bids" else TEN_THOUSAND + fee) * 10**8)
    whole, rest = divmod(units * part, scale)
    return Decimal(whole + (1 if side == "asks" and rest else 0)) / 10**8


def check_depth(market: dict[str, Any], fees: dict[str, str]) -> None:
    """Both venues' levels, the best first, each with the price that its fee makes of it."""
    for side, is_falling in (("bids", True), ("asks", False)):
        offers = market[side]
        assert {offer["venue"] for offer in offers} == {"kraken", "coinbase"}
        assert len(offers) == 20
        nets = [Decimal(offer["net_price"]) for offer in offers]
        assert nets == sorted(nets, reverse=is_falling)
        for offer in offers:
            bps = fees.get(offer["venue"], "0")
            assert Decimal(offer["net_price"]) == after_fees(offer["price"], side, bps)
        assert market[f"best_{side[:-1]}"] == offers[0]


def test_two_venues_are_one_market_and_each_is_on_its_own(tmp_path: Path) -> None:
    watched_home = tmp_path / "watched"
    watched_home.mkdir()
    with (
        WatchedVenue(watched_home, COINBASE) as watched,
        LiveService(tmp_path, f'gateway = "venue"\ntaker_bps = {OWN_BPS}', KRAKEN) as service,
    ):
        config = service.home / "service.toml"
        config.write_text(f"{config.read_text(encoding='utf-8')}{watched.table}", encoding="utf-8")
        service.start()
        asked = Asked(service)
        both = {"kraken": "taken", "coinbase": "taken"}
        until(lambda: standings(asked.market()) == both, "both books")

        market = asked.market()
        assert (market["pair"], market["after_fees"], market["untold"]) == (PAIR, False, [])
        check_depth(market, {})
        fees = {"kraken": OWN_BPS, "coinbase": WATCHED_BPS}
        market = asked.market("--fees")
        assert {one["venue"]: Decimal(one["taker_bps"]) for one in market["venues"]} == {
            venue: Decimal(bps) for venue, bps in fees.items()
        }
        check_depth(market, fees)
        said = asked.run(PAIR, "--consolidated", "--fees", "--max-age-ms", str(ANY_AGE_MS)).stdout.splitlines()
        assert said[0].startswith("BTC/USD at 2 of 2 venues, prices after fees, ")
        assert said[1].startswith("kraken/BTC/USD: taken, ")
        assert said[2].startswith("coinbase/BTC-USD: taken, ")
        assert said[3].startswith("best bid ")
        assert len(said) == 25
        check_refusals(asked)
        check_an_order_for_what_is_watched(service)
        check_shared_memory(service)

        # Its market stands still: too old after a while, while the own venue's goes on.
        age_ms = next(one["age_ns"] for one in asked.market()["venues"] if one["venue"] == "coinbase") // 10**6
        watched.pause()
        bound_ms = age_ms + 900_000
        wanted = {"kraken": "taken", "coinbase": "stale"}
        until(lambda: standings(asked.market(max_age_ms=bound_ms)) == wanted, "a stale book that is dropped")
        market = asked.market(max_age_ms=bound_ms)
        assert {offer["venue"] for side in ("bids", "asks") for offer in market[side]} == {"kraken"}
        text = asked.run(PAIR, "--consolidated", "--max-age-ms", str(bound_ms)).stdout
        assert "BTC/USD at 1 of 2 venues" in text
        assert "coinbase/BTC-USD: dropped, stale, " in text

        watched.kill()
        until(lambda: standings(asked.market())["coinbase"] == "invalid", "a book that is gone")
        gone = asked.market()
        assert (standings(gone)["kraken"], gone["best_bid"]["venue"]) == ("taken", "kraken")
        assert [one["reason"] for one in gone["venues"]] == [None, "disconnected"]
        until(lambda: service.metrics()['py_rt_market_online{venue="coinbase"}'] == 0, "a stream that is down")
        metrics = service.metrics()
        assert metrics['py_rt_market_online{venue="kraken"}'] == 1
        assert metrics['py_rt_market_books_given_up_total{venue="coinbase"}'] >= 1

        watched.start_again()
        until(lambda: standings(asked.market()) == both, "a book that is back")
        assert service.stop() == 0
        check_replay(service)


def check_refusals(asked: Asked) -> None:
    """What is asked wrongly is said with what can be asked."""
    for line, reason in (
        (("BTC/EUR", "--consolidated"), "nothing here is BTC/EUR: there are BTC/USD"),
        (("BTCUSD", "--consolidated"), "BTCUSD is no pair: --consolidated wants BASE/QUOTE, such as BTC/USD"),
        (("--consolidated",), "nothing is no pair: "),
        (("kraken/BTC/USD", "--fees"), "--fees is of --consolidated"),
    ):
        assert reason in asked.json(*line, status=WRONG)["error"]
    # Both stand beside each other without it.
    assert [book["instrument"] for book in asked.json()["books"]] == ["kraken/BTC/USD", "coinbase/BTC-USD"]


def check_an_order_for_what_is_watched(service: LiveService) -> None:
    with service.client() as operator, pytest.raises(CommandFailedError, match="only watched"):
        operator.manual_order(SLOT, COINBASE.instrument, Side.BUY, "1", price="90")


def check_shared_memory(service: LiveService) -> None:
    """The ring has the watched venue's events, the cache its book."""
    with MarketDataReader(service.run / "segments.sock", start="newest") as ring:
        seen: set[int] = set()

        def has_both() -> bool:
            trades = ring.read(timeout_ms=200).frame("trade")
            seen.update(trades["instrument"].to_list())
            return seen >= {0, 1}

        until(has_both, "trades of both venues in the ring")
    with MarketDataCache(service.run / "segments.sock") as cache:
        assert [str(one) for one in cache.instruments()] == ["kraken/BTC/USD", "coinbase/BTC-USD"]
        assert cache.state("coinbase/BTC-USD").venue_state == "online"


def check_replay(service: LiveService) -> None:
    """The record with both venues in it, through a fresh engine."""
    keys = (service.home / "keys" / TRUSTED_KEYS).read_text(encoding="utf-8")
    verdict = py_rt_core.replay_journal(service.run / "journal", service.home / "bundles", keys)
    assert verdict["identical"], verdict


def test_a_watched_venue_that_is_not_there_is_named_and_one_without_a_known_fee_refuses_fees(tmp_path: Path) -> None:
    watched_home = tmp_path / "watched"
    watched_home.mkdir()
    with (
        WatchedVenue(watched_home, COINBASE) as watched,
        LiveService(tmp_path, f'gateway = "venue"\ntaker_bps = {OWN_BPS}', KRAKEN) as service,
    ):
        watched.kill()
        config = service.home / "service.toml"
        table = watched.table.replace(f"taker_bps = {WATCHED_BPS}\n", "")
        config.write_text(f"{config.read_text(encoding='utf-8')}{table}", encoding="utf-8")
        service.start()
        asked = Asked(service)
        until(lambda: standings(asked.market()) == {"kraken": "taken"}, "the own book")
        assert asked.market("--fees")["untold"] == ["coinbase/BTC-USD"]
        assert "coinbase/BTC-USD: its venue has told nothing of it yet" in asked.run(PAIR, "--consolidated").stdout
        assert "not heard of yet: coinbase/BTC-USD" in asked.json("ETH/USD", "--consolidated", status=WRONG)["error"]
        watched.start_again()
        both = {"kraken": "taken", "coinbase": "taken"}
        until(lambda: standings(asked.market()) == both, "a venue that has come")
        assert asked.market()["untold"] == []
        refused = asked.json(PAIR, "--consolidated", "--fees", status=WRONG)
        assert "what coinbase takes is not known: set taker_bps" in refused["error"]
        assert service.stop() == 0
        check_replay(service)


def test_what_the_file_has_wrong_of_a_watched_venue_refuses_the_start(tmp_path: Path) -> None:
    with LiveService(tmp_path, wire=KRAKEN) as service:
        config = service.home / "service.toml"
        plain = config.read_text(encoding="utf-8")
        rest, ws = service.addresses["rest"], service.addresses["ws"]

        def said(venue: str, instruments: str) -> str:
            table = f'[[watch]]\nvenue = "{venue}"\ninstruments = {instruments}\nrest_url = "{rest}"\nws_url = "{ws}"\n'
            config.write_text(plain + table, encoding="utf-8")
            assert service.refused_start() == WRONG
            return service.log.splitlines()[-1]

        assert "watch[0].venue" in said("kraken", '["BTC/USD"]')
        assert "watch[0].instruments" in said("coinbase", "[]")

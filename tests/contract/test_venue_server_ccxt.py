"""A client that we did not write builds the venue server's book and trades against it."""

from __future__ import annotations

import asyncio
import json
import os
import shutil
import subprocess
import sys
import urllib.request
from pathlib import Path
from typing import TYPE_CHECKING, Any

import ccxt
import ccxt.pro
import pytest

if TYPE_CHECKING:
    from collections.abc import Iterator

ROOT = Path(__file__).resolve().parents[2]
COMMAND = "py_rt_venue_server"
API_KEY = "key_of_the_foreign_client"
SECRET = "secret_of_the_foreign_client"
SPAN_MS = 900_000
OPEN_MS = 1_632_750_300_000
TICK = 1 / 256
BARS = 8
# Steps of venue time that a feed may take until it has its book.
STEPS_MAX = 400

pytestmark = pytest.mark.e2e


def find_command() -> Path | None:
    """The built server: named by the environment, installed, or in a target folder."""
    if named := os.environ.get("PY_RT_VENUE_SERVER"):
        return Path(named)
    targets = [Path(os.environ.get("CARGO_TARGET_DIR", ROOT / "target")), ROOT / "target"]
    places = [Path(sys.executable).parent, *(target / kind for target in targets for kind in ("release", "debug"))]
    found = [place / COMMAND for place in places if (place / COMMAND).is_file()]
    if found:
        return found[0]
    on_path = shutil.which(COMMAND)
    return Path(on_path) if on_path else None


def bars_csv() -> str:
    """Bars around 40,000 whose prices are multiples of 1/256."""
    lines = ["ts_open,open,high,low,close,volume"]
    for number in range(BARS):
        open_, high, low, close = (40_000 + (number * 37 % 411 + move) * TICK for move in (0, 9_001, -8_000, 500))
        lines.append(f"{(OPEN_MS + number * SPAN_MS) * 1_000_000},{open_},{high},{low},{close},321.5")
    return "\n".join(lines) + "\n"


class VenueServer:
    """A running server with its time in our hands."""

    def __init__(self, rest: str, ws: str) -> None:
        self.rest = rest
        self.ws = ws

    def post(self, path: str, body: dict[str, Any]) -> dict[str, Any]:
        """Sends a command to the server itself."""
        request = urllib.request.Request(f"{self.rest}/admin/{path}", json.dumps(body).encode(), method="POST")
        with urllib.request.urlopen(request, timeout=10) as answer:
            read: dict[str, Any] = json.load(answer)
        return read

    def get(self, path: str) -> dict[str, Any]:
        """Reads what the server says, without a library in between."""
        with urllib.request.urlopen(f"{self.rest}/{path}", timeout=10) as answer:
            read: dict[str, Any] = json.load(answer)
        return read

    def advance(self, ms: int) -> dict[str, Any]:
        """Moves venue time and plays what that makes due."""
        return self.post("advance", {"ms": ms})

    def config(self) -> dict[str, Any]:
        """What ccxt needs to know to come here instead of going to the exchange."""
        api = f"{self.rest}/api/v3"
        return {
            "apiKey": API_KEY,
            "secret": SECRET,
            "enableRateLimit": False,
            "urls": {"api": {"public": api, "private": api, "ws": {"spot": f"{self.ws}/ws"}}},
            "options": {
                "defaultType": "spot",
                "fetchMarkets": {"types": ["spot"]},
                "fetchCurrencies": False,
                "fetchMargins": False,
                "adjustForTimeDifference": True,
            },
        }


@pytest.fixture
def venue(tmp_path: Path) -> Iterator[VenueServer]:
    command = find_command()
    if command is None:
        pytest.skip(f"{COMMAND} is not built: run `cargo build -p venue_server`, or name it in PY_RT_VENUE_SERVER")
    bars = tmp_path / "bars.csv"
    bars.write_text(bars_csv())
    # Time stands until the test moves it; a bar of a second lets a client's clock run on meanwhile.
    arguments = ["--bars", str(bars), "--symbol", "BTCUSDT", "--seed", "5", "--bar-ms", "1000", "--start-paused"]
    environment = {**os.environ, "PY_RT_VENUE_KEYS": f"{API_KEY}:{SECRET}"}
    with subprocess.Popen([command, *arguments], stdout=subprocess.PIPE, text=True, env=environment) as process:
        try:
            assert process.stdout is not None
            ready = json.loads(process.stdout.readline())
            yield VenueServer(ready["rest"], ready["ws"])
        finally:
            process.terminate()
            assert process.wait(timeout=20) == 0


@pytest.fixture
def client(venue: VenueServer) -> ccxt.binance:
    exchange = ccxt.binance(venue.config())
    exchange.load_markets()
    return exchange


def levels(side: list[list[str]]) -> list[list[float]]:
    return [[float(price), float(quantity)] for price, quantity in side]


def test_the_rules_are_understood(client: ccxt.binance) -> None:
    market = client.market("BTC/USDT")
    assert (market["precision"]["amount"], market["precision"]["price"]) == (1e-8, TICK)
    assert market["limits"]["cost"]["min"] == 5
    assert market["active"] is True
    assert market["type"] == "spot"


def test_an_order_is_placed_queried_and_canceled(venue: VenueServer, client: ccxt.binance) -> None:
    venue.advance(10_000)
    client.load_time_difference()
    before = client.fetch_balance()
    order = client.create_order("BTC/USDT", "limit", "buy", 0.25, 39_900)
    assert order["status"] == "open"
    assert order["amount"] == 0.25
    found = client.fetch_order(order["id"], "BTC/USDT")
    assert (found["status"], found["price"], found["clientOrderId"]) == ("open", 39_900, order["clientOrderId"])
    assert [each["id"] for each in client.fetch_open_orders("BTC/USDT")] == [order["id"]]
    held = client.fetch_balance()
    assert held["USDT"]["used"] == pytest.approx(0.25 * 39_900)
    canceled = client.cancel_order(order["id"], "BTC/USDT")
    assert canceled["status"] == "canceled"
    assert client.fetch_open_orders("BTC/USDT") == []
    assert client.fetch_balance()["USDT"] == before["USDT"]
    with pytest.raises(ccxt.OrderNotFound):
        client.cancel_order(order["id"], "BTC/USDT")


def test_a_market_order_is_filled_with_its_fee(venue: VenueServer, client: ccxt.binance) -> None:
    venue.advance(20_000)
    client.load_time_difference()
    order = client.create_order("BTC/USDT", "market", "buy", 0.02)
    assert (order["status"], order["filled"]) == ("closed", 0.02)
    trades = client.fetch_my_trades("BTC/USDT")
    assert sum(trade["amount"] for trade in trades) == pytest.approx(0.02)
    assert {trade["fee"]["currency"] for trade in trades} == {"BTC"}
    assert sum(trade["fee"]["cost"] for trade in trades) == pytest.approx(0.02 * 0.001)
    assert client.fetch_balance()["BTC"]["free"] == pytest.approx(10 + 0.02 * 0.999)


def test_refusals_become_the_clients_own_errors(venue: VenueServer, client: ccxt.binance) -> None:
    venue.advance(1_000)
    client.load_time_difference()
    with pytest.raises(ccxt.InsufficientFunds):
        client.create_order("BTC/USDT", "limit", "buy", 100, 40_000)
    with pytest.raises(ccxt.BadRequest, match="NOTIONAL"):
        client.create_order("BTC/USDT", "limit", "buy", 0.0001, 40_000)
    with pytest.raises(ccxt.OrderImmediatelyFillable):
        client.create_order("BTC/USDT", "limit", "buy", 0.01, 40_030, {"postOnly": True})
    client.secret = "another_secret"
    with pytest.raises(ccxt.AuthenticationError):
        client.fetch_balance()


def test_history_and_book_are_read(venue: VenueServer, client: ccxt.binance) -> None:
    venue.advance(2 * SPAN_MS + 1)
    bars = client.fetch_ohlcv("BTC/USDT", "15m")
    assert [bar[0] for bar in bars[:2]] == [OPEN_MS, OPEN_MS + SPAN_MS]
    assert bars[0][1:] == [40_000, 40_000 + 9_001 * TICK, 40_000 - 8_000 * TICK, 40_000 + 500 * TICK, 321.5]
    book = client.fetch_order_book("BTC/USDT", 5)
    own = venue.get("api/v3/depth?symbol=BTCUSDT&limit=5")
    assert (book["bids"], book["asks"]) == (levels(own["bids"]), levels(own["asks"]))


def test_the_streamed_book_is_the_servers_own(venue: VenueServer) -> None:
    asyncio.run(watch_books(venue))


async def watch_books(venue: VenueServer) -> None:
    """Watches books while own orders change them; each one must be the server's book of that number."""
    exchange = ccxt.pro.binance(venue.config())
    seen: dict[int, tuple[list[list[float]], list[list[float]]]] = {}
    compared = 0
    try:
        await exchange.load_markets()
        for step in range(STEPS_MAX):
            watching = asyncio.ensure_future(exchange.watch_order_book("BTC/USDT"))
            await drive(venue, watching, seen)
            book = await watching
            own = seen.get(book["nonce"])
            if own is not None:
                assert (list(map(list, book["bids"])), list(map(list, book["asks"]))) == own
                compared += 1
            if compared >= 20:
                break
            if step % 5 == 0:
                await exchange.load_time_difference()
                await exchange.create_order("BTC/USDT", "limit", "sell", 0.01 + step / 1_000, 40_020)
    finally:
        await exchange.close()
    assert compared >= 20


async def drive(
    venue: VenueServer,
    watching: asyncio.Future[Any],
    seen: dict[int, tuple[list[list[float]], list[list[float]]]],
) -> None:
    """Moves venue time until the watcher has a book; remembers the server's book at each stop."""
    for _ in range(STEPS_MAX):
        await asyncio.to_thread(venue.advance, 1_000)
        own = await asyncio.to_thread(venue.get, "api/v3/depth?symbol=BTCUSDT&limit=100")
        seen[own["lastUpdateId"]] = (levels(own["bids"]), levels(own["asks"]))
        if watching.done():
            return
    pytest.fail(f"no book after {STEPS_MAX} steps of a second of venue time")

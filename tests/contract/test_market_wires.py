"""A service whose file chooses another form of the market: binary streams, or books told order by order."""

from __future__ import annotations

import json
import os
import subprocess
from contextlib import contextmanager
from typing import TYPE_CHECKING

import pytest

from py_rt.bridge.market_data import MarketDataCache
from tests.contract.live_service import API_KEY, SECRET, LiveService, bars_csv, find_command, until
from tests.contract.test_recorded_streams import at_venue
from tests.processes import session

if TYPE_CHECKING:
    from collections.abc import Iterator
    from pathlib import Path

pytestmark = pytest.mark.e2e

# The example of RFC 8410.
ED25519 = (
    "-----BEGIN PRIVATE KEY-----\\n"
    "MC4CAQAwBQYDK2VwBCIEINTuctv5E1hK1bbY8fdp+K06/nwoy/HU++CXqI9EdVhC\\n"
    "-----END PRIVATE KEY-----"
)
KRAKEN_SECRET = "AAECAwQFBgcICQoLDA0ODxAREhMUFRYXGBkaGxwdHh8="
KEYS = 'api_key_env = "MARKET_KEY"\napi_secret_env = "MARKET_SECRET"'
REFUSED, NO_VENUE = 2, 4


def has_a_market(live: LiveService, symbol: str) -> None:
    with MarketDataCache(live.run / "segments.sock") as cache:
        until(lambda: cache.book(symbol).state == "valid", "a book")
        until(lambda: cache.last_trade(symbol) is not None, "a trade")
        until(lambda: cache.book(symbol).state == "valid", "a book that stands")
        book = cache.book(symbol)
    assert book.bids[0, 0] < book.asks[0, 0]


def test_binary_streams_are_opened_with_a_key_on_paper_too(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    gateway = f'gateway = "simulated"\nmarket_data = "sbe"\n{KEYS}'
    with LiveService(tmp_path, gateway) as live:
        config = live.home / "service.toml"
        text = config.read_text(encoding="utf-8")
        binary = live.addresses["ws_sbe"]
        config.write_text(text.replace(f'ws_url = "{live.addresses["ws"]}"', f'ws_url = "{binary}"'), encoding="utf-8")
        assert live.refused_start() == REFUSED
        assert "MARKET_KEY is not set" in live.log
        monkeypatch.setenv("MARKET_KEY", API_KEY)
        monkeypatch.setenv("MARKET_SECRET", SECRET)
        assert live.refused_start() == NO_VENUE
        assert "Ed25519" in live.log
        monkeypatch.setenv("MARKET_SECRET", ED25519)
        live.start()
        has_a_market(live, "BTCUSDT")
        assert live.stop() == 0
        # Names of keys are no secret; what signs is.
        assert "MC4CAQAwBQYDK2VwBCIEINTuctv5E1hK" not in live.log


@contextmanager
def kraken(folder: Path) -> Iterator[dict[str, str]]:
    bars = folder / "kraken.csv"
    bars.write_text(bars_csv(), encoding="utf-8")
    command = [find_command("py_rt_venue_server"), "--venue", "kraken", "--bars", bars, "--bar-ms", "3000"]
    environment = {**os.environ, "PY_RT_VENUE_KEYS": f"{API_KEY}:{KRAKEN_SECRET}"}
    with session(list(map(str, command)), stdout=subprocess.PIPE, env=environment) as server:
        assert server.stdout is not None
        yield json.loads(server.stdout.readline())


def test_books_are_told_order_by_order(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("MARKET_KEY", API_KEY)
    monkeypatch.setenv("MARKET_SECRET", KRAKEN_SECRET)
    home = tmp_path / "home"
    home.mkdir()
    with kraken(tmp_path) as addresses, LiveService(home, 'gateway = "simulated"') as live:
        at_venue(live, "kraken", "BTC/USD", addresses)
        config = live.home / "service.toml"
        chosen = f'[venue]\nmarket_data = "level3"\nlevel3_url = "{addresses["ws"]}"\n{KEYS}'
        text = config.read_text(encoding="utf-8").replace("[venue]", chosen).replace("compression = 1.0", "")
        config.write_text(text, encoding="utf-8")
        live.start()
        has_a_market(live, "BTC/USD")
        assert live.stop() == 0

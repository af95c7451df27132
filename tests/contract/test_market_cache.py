"""The market data cache of the service itself, beside its ring: through a kill, a new life, and the venue's going."""

from __future__ import annotations

from typing import TYPE_CHECKING

import numpy as np
import pytest

from py_rt.bridge.market_data import MarketDataCache, MarketDataReader
from tests.contract.live_service import LiveService, until

if TYPE_CHECKING:
    from pathlib import Path

pytestmark = pytest.mark.e2e

SYMBOL = "BTCUSDT"
SOCKET = "segments.sock"


def is_whole(cache: MarketDataCache) -> bool:
    """Whether a book and a trade are there; a valid book is one as a venue has it."""
    book = cache.book(SYMBOL)
    if book.is_valid:
        bids, asks = book.bids[:, 0], book.asks[:, 0]
        assert bids.size
        assert asks.size
        assert (np.diff(bids) < 0).all()
        assert (np.diff(asks) > 0).all()
        assert bids[0] < asks[0]
        assert (book.bids[:, 1] > 0).all()
        assert book.age_ns is not None
    return book.state == "valid" and cache.last_trade(SYMBOL) is not None


def agrees_with_the_ring(cache: MarketDataCache, ring: MarketDataReader) -> bool:
    """Whether the cached trade is among those of the ring, and alike there."""
    trade = cache.last_trade(SYMBOL)
    assert trade is not None
    rows = ring.read().arrays.get("trade")
    if rows is None or trade.trade_id not in rows["trade_id"]:
        return False
    (row,) = rows[rows["trade_id"] == trade.trade_id]
    assert (row["price"], row["quantity"], row["ts_event"]) == (trade.price, trade.quantity, trade.ts_event)
    assert (row["ts_received"], row["aggressor"]) == (trade.ts_received, {"buy": 1, "sell": 2}[trade.aggressor])
    return True


def test_the_service_shows_its_market_in_every_life(tmp_path: Path) -> None:
    with LiveService(tmp_path) as service:
        service.start()
        with MarketDataCache(service.run / SOCKET) as cache:
            (instrument,) = cache.instruments()
            assert (str(instrument), instrument.base, instrument.quote) == ("binance/BTCUSDT", "BTC", "USDT")
            assert instrument.status == "trading"
            assert instrument.tick_size > 0
            until(lambda: is_whole(cache), "a book and a trade")
            with MarketDataReader(service.run / SOCKET, start="newest") as ring:
                until(lambda: agrees_with_the_ring(cache, ring), "the cached trade in the ring")
            assert cache.state(SYMBOL).venue_state == "online"
            alone = cache.consolidated("BTC", "USDT", max_age_ms=10**9)
            assert [standing.standing for standing in alone.standings] == ["taken"]
            assert len(alone.bids) == len(cache.book(SYMBOL).bids)

            service.kill()
            until(lambda: not cache.writer_alive, "a dead service")
            left = cache.book(SYMBOL)
            life = service.live["epoch"]
            assert (left.epoch, left.writer_alive) == (life, False)
            until(lambda: (cache.book(SYMBOL).age_ns or 0) > (left.age_ns or 0), "an age that goes on")
            service.start()
            until(lambda: cache.book(SYMBOL).epoch == service.live["epoch"] > life, "the next life's cache")
            until(lambda: is_whole(cache), "a book and a trade of the next life")
            assert cache.restarts == 1

            service.venue.kill()
            until(lambda: cache.state(SYMBOL).venue_state == "offline", "a venue that is gone")
            gone = cache.book(SYMBOL)
            assert (gone.state, gone.reason, gone.bids.size) == ("invalid", "disconnected", 0)
            assert gone.writer_alive

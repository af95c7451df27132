"""The market data cache, against a real other process that changes it, falls silent, dies and comes back."""

from __future__ import annotations

import random
import threading
import time
from decimal import Decimal
from typing import TYPE_CHECKING

import polars as pl
import pytest
from py_rt_core import CoreError, MarketCacheReader, RingReader

from py_rt.bridge.market_cache import CachedBook, CachedInstrument, Consolidated
from py_rt.bridge.market_data import MarketCacheError, MarketDataCache
from py_rt.bridge.vocabulary import MessageError
from tests.py_rt.bridge.feed import Feed, cached_book

if TYPE_CHECKING:
    from collections.abc import Iterator
    from pathlib import Path

PATIENCE_S = 60.0
MS = 1_000_000
SPOT = ("binance", "coinbase", "kraken")
START = 1_632_700_000_000_000_000


@pytest.fixture
def socket(tmp_path: Path) -> Path:
    return tmp_path / "run" / "segments.sock"


@pytest.fixture
def feed(socket: Path) -> Iterator[Feed]:
    with Feed(socket) as feed:
        yield feed


@pytest.fixture
def cache(feed: Feed, socket: Path) -> Iterator[MarketDataCache]:
    assert feed.process.poll() is None
    with MarketDataCache(socket) as cache:
        yield cache


def facts(book: CachedBook) -> dict[str, object]:
    """What a book holds, as `cached_book` makes it."""
    sides = {"bids": book.bids.tolist(), "asks": book.asks.tolist()}
    return {"ts_event": book.ts_event, "ts_received": book.ts_received, "update_id": book.update_id, **sides}


def test_instruments_are_named_by_the_cache_itself(cache: MarketDataCache) -> None:
    shared = {"base": "BTC", "quote": "USD", "tick_size": 1_000_000, "lot_size": 1_000}
    assert cache.instruments() == [
        CachedInstrument(0, "binance", "BTCUSD", status="trading", **shared),  # type: ignore[arg-type]
        CachedInstrument(1, "coinbase", "BTC-USD", status="cancel_only", **shared),  # type: ignore[arg-type]
        CachedInstrument(2, "kraken", "BTC/USD", status="trading", **shared),  # type: ignore[arg-type]
        CachedInstrument(3, "binance_usdm", "BTCUSD", status="halted", **shared),  # type: ignore[arg-type]
    ]
    assert [cache.book(name).instrument.index for name in (2, "BTC/USD", "kraken:BTC/USD", "binance/BTCUSD")] == [
        2,
        2,
        2,
        0,
    ]
    for name, reason in (
        ("BTCUSD", "BTCUSD trades at 2 venues: say which, of binance/BTCUSD, "),
        ("ETHUSD", "ETHUSD is not here: there are binance/BTCUSD, coinbase/BTC-USD"),
        (4, "instrument 4 does not exist: there are 0 to 3"),
        (-1, "instrument -1 does not exist"),
    ):
        with pytest.raises(MarketCacheError, match=reason):
            cache.book(name)


def test_a_book_is_shown_with_its_age_and_an_invalid_one_without_levels(feed: Feed, cache: MarketDataCache) -> None:
    silent = cache.book(1)
    assert (silent.state, silent.age_ns, silent.bids.shape, silent.is_valid) == ("absent", None, (0, 2), False)
    assert not silent.is_fresh(10**9)
    for number in (5, 23, 12):
        feed.ask(f"book 1 {number}")
        assert facts(cache.book(1)) == cached_book(1, number)
    feed.ask("book 1 23")
    feed.ask(f"clock {START + 30 * MS}")
    book = cache.book("coinbase:BTC-USD")
    assert (book.state, book.reason, book.is_valid) == ("valid", None, True)
    assert (book.age_ns, book.is_fresh(7), book.is_fresh(6)) == (7 * MS, True, False), "made 7 ms ago"
    assert (book.epoch, book.writer_alive) == (1, True)
    frame = book.frame()
    assert frame.columns == ["side", "level", "price", "quantity"]
    assert frame.filter(pl.col("side") == "ask").select("price", "quantity").rows() == [
        tuple(level) for level in cached_book(1, 23)["asks"]
    ]
    version = book.version
    feed.ask("gap 1 24")
    wrong = cache.book(1)
    assert (wrong.state, wrong.reason, wrong.is_fresh(10**9)) == ("invalid", "gap", False)
    assert (wrong.bids.size, wrong.asks.size, wrong.frame().height) == (0, 0, 0)
    assert wrong.version == version + 1
    assert wrong.frame().schema == frame.schema
    assert cache.book(0).state == "absent", "others are left as they are"


def test_the_last_trade_and_the_state_stand_beside_the_book(feed: Feed, cache: MarketDataCache) -> None:
    assert cache.last_trade(2) is None
    assert cache.state(2).venue_state == "unheard"
    feed.ask("book 2 14")
    feed.ask("trade 2 3")
    feed.ask(f"clock {START + 4 * MS}")
    feed.ask("venue 2 offline")
    trade = cache.last_trade(2)
    assert trade is not None
    assert (trade.trade_id, trade.price, trade.quantity) == (2**63 + 3, 4_000_000_000_003, 4)
    assert (trade.aggressor, trade.ts_event, trade.age_ns) == ("sell", START + 3 * MS, MS)
    state = cache.state(2)
    assert (state.venue_state, state.ts_venue) == ("offline", START + 4 * MS)
    assert (state.book_state, state.book_age_ns) == ("valid", 0), "of the future, as a clock's correction leaves it"
    assert (state.instrument.status, state.epoch, state.writer_alive) == ("trading", 1, True)
    assert facts(cache.book(2)) == cached_book(2, 14)


def test_the_writers_death_is_seen_and_its_successor_is_read(feed: Feed, socket: Path, cache: MarketDataCache) -> None:
    feed.ask("book 0 7")
    feed.kill()
    until_dead = time.monotonic() + PATIENCE_S
    while cache.writer_alive:
        assert time.monotonic() < until_dead, "a dead writer is noticed"
    left = cache.book(0)
    assert (facts(left), left.writer_alive, left.epoch) == (cached_book(0, 7), False, 1)
    silent = cache.state(0).silent_ns
    assert cache.state(0).silent_ns > silent
    with Feed(socket, epoch=2) as successor:
        successor.ask("book 0 9")
        ends = time.monotonic() + PATIENCE_S
        while cache.book(0).epoch == 1:
            assert time.monotonic() < ends, "the successor is found"
        book = cache.book(0)
        assert (facts(book), book.writer_alive, book.epoch) == (cached_book(0, 9), True, 2)
        assert cache.restarts == 1


def test_reading_while_the_service_writes_gives_whole_books_only(feed: Feed, cache: MarketDataCache) -> None:
    done = threading.Event()

    def write() -> None:
        for number in range(2, 3_000):
            feed.send(f"book 0 {number}")
            feed.answer()
        done.set()

    writer = threading.Thread(target=write)
    feed.ask("book 0 1")
    writer.start()
    last = 0
    while not done.is_set():
        book = cache.book(0)
        assert facts(book) == cached_book(0, book.update_id)
        assert book.version >= last
        last = book.version
    writer.join()
    assert cache.book(0).update_id == 2_999


def test_what_is_no_cache_is_refused(feed: Feed, socket: Path, cache: MarketDataCache) -> None:
    with pytest.raises(MarketCacheError, match=r'"nothing" is not offered at .*: offered are market, market_cache,'):
        MarketDataCache(socket, "nothing")
    with pytest.raises(MarketCacheError, match="asked for was MarketCache"):
        MarketDataCache(socket, "market")
    with pytest.raises(CoreError, match="it is of kind 6, asked for was Ring"):
        RingReader(socket, "market_cache")
    cache.close()
    with pytest.raises(MarketCacheError, match="the reader of market cache market_cache is closed"):
        cache.book(0)
    with MarketCacheReader(socket, "market_cache") as reader, pytest.raises(CoreError, match="entry 5 is not in"):
        reader.read(4)
    assert feed.process.poll() is None


Row = tuple[str, int, int, int]


def stated(
    rows: dict[str, CachedBook], side: str, moment: tuple[int, int], fees: dict[str, Decimal] | None
) -> list[Row]:
    """The rule once more, in decimals and one sorted list: venue, price, price after fees, quantity."""
    now, max_age_ns = moment
    offers = []
    for at, (venue, book) in enumerate(rows.items()):
        if not book.is_valid or max(now - book.ts_event, now - book.ts_received) > max_age_ns:
            continue
        for depth, (price, quantity) in enumerate(getattr(book, side).tolist()):
            fee = Decimal(price) * (fees[venue] if fees else 0) / 10_000
            exact, towards = (price - fee, "ROUND_FLOOR") if side == "bids" else (price + fee, "ROUND_CEILING")
            net = int(exact.to_integral_value(towards))
            offers.append(((-net if side == "bids" else net, at, depth), (venue, price, net, quantity)))
    return [offer for _, offer in sorted(offers)]


def found(market: Consolidated, side: str) -> list[Row]:
    """One side of a consolidated market, as `stated` gives it."""
    return [(offer.instrument.venue, offer.price, offer.net_price, offer.quantity) for offer in getattr(market, side)]


def test_venues_together_follow_the_rule_whoever_states_it(feed: Feed, cache: MarketDataCache) -> None:
    chance = random.Random(4)
    for _ in range(60):
        instrument, number = chance.randrange(3), chance.randrange(1, 200)
        feed.ask(f"{chance.choice(['book', 'book', 'book', 'gap'])} {instrument} {number}")
        now = START + chance.randrange(250) * MS
        fees = (
            {venue: Decimal(chance.randrange(-300, 4_000)) / 100 for venue in SPOT} if chance.random() < 0.7 else None
        )
        together = cache.consolidated("BTC", "USD", max_age_ms=100, taker_bps=fees, venues=SPOT, now=now)
        rows = {venue: cache.book(at) for at, venue in enumerate(SPOT)}
        for side in ("bids", "asks"):
            assert found(together, side) == stated(rows, side, (now, 100 * MS), fees)
        taken = {standing.instrument.venue for standing in together.standings if standing.standing == "taken"}
        assert {offer.instrument.venue for offer in together.bids} <= taken


def test_a_venue_that_is_old_or_wrong_is_left_out_and_named(feed: Feed, cache: MarketDataCache) -> None:
    for instrument, number in ((0, 15), (1, 13), (2, 2)):
        feed.ask(f"book {instrument} {number}")
    feed.ask("gap 1 16")
    feed.ask(f"clock {START + 20 * MS}")
    together = cache.consolidated("BTC", "USD", max_age_ms=10, venues=SPOT)
    assert together.now == START + 20 * MS
    standings = {standing.instrument.venue: (standing.standing, standing.age_ns) for standing in together.standings}
    assert standings == {"binance": ("taken", 5 * MS), "coinbase": ("invalid", None), "kraken": ("stale", 18 * MS)}
    assert together.best_bid is not None
    assert (together.best_bid.instrument.venue, together.best_bid.price) == (
        "binance",
        cached_book(0, 15)["bids"][0][0],
    )
    assert together.frame().rows()[0] == ("bid", "binance", "BTCUSD", 4_000_000_014_300, 4_000_000_014_300, 16)
    nobody = cache.consolidated("BTC", "USD", max_age_ms=1, venues=SPOT)
    assert (nobody.best_bid, nobody.best_ask, nobody.frame().height) == (None, None, 0)
    assert nobody.frame().schema == together.frame().schema


def test_what_makes_no_market_is_refused(cache: MarketDataCache) -> None:
    with pytest.raises(MarketCacheError, match="no instrument here is ETH/USD: see"):
        cache.consolidated("ETH", "USD", max_age_ms=1)
    with pytest.raises(MarketCacheError, match="no instrument here is BTC/USD at bitstamp"):
        cache.consolidated("BTC", "USD", max_age_ms=1, venues=["bitstamp"])
    with pytest.raises(MarketCacheError, match="one trades the asset, the other a contract on it"):
        cache.consolidated("BTC", "USD", max_age_ms=1)
    with pytest.raises(MarketCacheError, match="names no fee of coinbase"):
        cache.consolidated("BTC", "USD", max_age_ms=1, venues=SPOT, taker_bps={"binance": 10})
    with pytest.raises(MarketCacheError, match="taker_bps of kraken is 10000: allowed is more than"):
        cache.consolidated("BTC", "USD", max_age_ms=1, venues=["kraken"], taker_bps={"kraken": 10_000})
    with pytest.raises(MessageError, match="more than 8 decimals"):
        cache.consolidated("BTC", "USD", max_age_ms=1, venues=["kraken"], taker_bps={"kraken": "0.123456789"})
    with pytest.raises(MarketCacheError, match="must not be negative"):
        cache.consolidated("BTC", "USD", max_age_ms=-1, venues=["kraken"])

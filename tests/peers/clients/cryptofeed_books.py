"""cryptofeed over TLS against the wires of Binance and of Kraken, whose checksums it verifies."""

from __future__ import annotations

import asyncio
import sys
from decimal import Decimal
from typing import Any

from tests.peers.clients.desk import LEVELS, Desk


def feed_of(desk: Desk, venue: str, on_book: Any) -> Any:  # noqa: ANN401 - a class of the library
    from cryptofeed.connection import RestEndpoint, Routes, WebsocketEndpoint
    from cryptofeed.defines import L2_BOOK
    from cryptofeed.exchanges import Binance, Kraken

    # The library's own way of another address: attributes of the class.
    options = {"ssl": desk.context}
    callbacks = {L2_BOOK: on_book}
    if venue == "binance":
        routes = Routes("/api/v3/exchangeInfo", l2book="/api/v3/depth?symbol={}&limit={}")
        Binance.websocket_endpoints = [WebsocketEndpoint(desk.ws, options=options)]
        Binance.rest_endpoints = [RestEndpoint(desk.rest, routes=routes)]
        return Binance(symbols=["BTC-USDT"], channels=[L2_BOOK], callbacks=callbacks)
    Kraken.websocket_endpoints = [WebsocketEndpoint(f"{desk.ws}/", options=options, limit=20)]
    Kraken.rest_endpoints = [RestEndpoint(desk.rest, routes=Routes("/0/public/AssetPairs"))]
    return Kraken(symbols=["BTC-USD"], channels=[L2_BOOK], callbacks=callbacks, checksum_validation=True)


def own_book(desk: Desk, venue: str) -> list[Any]:
    if venue == "binance":
        own = desk.get(f"/api/v3/depth?symbol=BTCUSDT&limit={LEVELS}")
    else:
        own = desk.get(f"/0/public/Depth?pair=XBTUSD&count={LEVELS}")["result"]["XXBTZUSD"]
    return [[[Decimal(level[0]), Decimal(level[1])] for level in own[side]] for side in ("bids", "asks")]


def best(side: Any) -> list[list[Decimal]]:  # noqa: ANN401 - a sorted dictionary of the library
    return [[price, side[price]] for price in list(side.keys())[:LEVELS]]


async def follow(desk: Desk, venue: str) -> None:
    from cryptofeed import FeedHandler

    changed = asyncio.Event()
    latest: dict[str, Any] = {"checksums": 0}

    async def on_book(book: Any, _: float) -> None:  # noqa: ANN401 - the library's book
        latest["book"] = [best(book.book.bids), best(book.book.asks)]
        latest["checksums"] += book.checksum is not None
        changed.set()

    handler = FeedHandler(config={"uvloop": False, "log": {"filename": "cryptofeed.log", "level": "WARNING"}})
    handler.add_feed(feed_of(desk, venue, on_book))
    handler.run(start_loop=False, install_signal_handlers=False)
    compared = 0
    for _ in range(20):
        # Time stands while the client takes in what was sent: its book must come to be the venue's.
        await asyncio.to_thread(desk.advance, 40_000)
        await asyncio.to_thread(desk.advance, 100)
        own = await asyncio.to_thread(own_book, desk, venue)
        while latest.get("book") != own:
            changed.clear()
            try:
                await asyncio.wait_for(changed.wait(), 5)
            except TimeoutError:
                # Before the first book: this client takes its snapshot when the first change comes.
                await asyncio.to_thread(desk.advance, 5_000)
                own = await asyncio.to_thread(own_book, desk, venue)
        compared += 1
    await handler.stop_async(loop=asyncio.get_running_loop())
    desk.report["books"] = compared
    desk.report["checksums"] = latest["checksums"]


def main() -> None:
    desk = Desk()
    asyncio.get_event_loop_policy().get_event_loop().run_until_complete(follow(desk, sys.argv[1]))
    desk.finish()


if __name__ == "__main__":
    main()

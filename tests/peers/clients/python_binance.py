"""python-binance against Binance's wire."""

from __future__ import annotations

import asyncio
from typing import Any

from tests.peers.clients.desk import LEVELS, Desk, levels

SYMBOL = "BTCUSDT"


def trade(desk: Desk) -> None:
    from binance.client import Client

    client = Client(desk.key, desk.secret, ping=False)
    client.API_URL = f"{desk.rest}/api"
    order = client.order_limit_buy(symbol=SYMBOL, quantity="0.25", price="39900")
    found = client.get_order(symbol=SYMBOL, orderId=order["orderId"])
    open_ids = [each["orderId"] for each in client.get_open_orders(symbol=SYMBOL)]
    canceled = client.cancel_order(symbol=SYMBOL, orderId=order["orderId"])
    is_open = open_ids == [order["orderId"]]
    desk.report["order"] = [order["status"], float(found["price"]), is_open, canceled["status"]]
    desk.refused("filter", lambda: client.order_limit_buy(symbol=SYMBOL, quantity="0.0001", price="40000"))
    desk.refused("symbol", lambda: client.get_order_book(symbol="DOGEUSDT"))
    client.timestamp_offset = -86_400_000
    desk.refused("stale", client.get_account)
    client.timestamp_offset = 0
    client.API_SECRET = "another_secret"
    desk.refused("signature", client.get_account)


async def watch(desk: Desk) -> None:
    # Two of the clients share this package's name, and the other one's front stands before it.
    from binance.async_client import AsyncClient
    from binance.ws.depthcache import DepthCacheManager
    from binance.ws.streams import BinanceSocketManager

    client = AsyncClient(desk.key, desk.secret)
    client.API_URL = f"{desk.rest}/api"
    sockets = BinanceSocketManager(client)
    sockets.STREAM_URL = f"{desk.ws}/"
    compared = 0
    manager = DepthCacheManager(client, SYMBOL, bm=sockets, ws_interval=100)
    seen: dict[int, list[Any]] = {}
    try:
        async with manager as stream:
            for _ in range(60):
                receiving = asyncio.ensure_future(stream.recv())
                while not receiving.done():
                    await asyncio.to_thread(desk.advance, 1_000)
                    own = await asyncio.to_thread(desk.get, f"/api/v3/depth?symbol={SYMBOL}&limit={LEVELS}")
                    seen[own["lastUpdateId"]] = [levels(own["bids"]), levels(own["asks"])]
                book = receiving.result()
                if book is None:
                    continue
                own_levels = seen.get(manager._last_update_id)
                if own_levels is not None:
                    assert [levels(book.get_bids()), levels(book.get_asks())] == own_levels
                    compared += 1
    finally:
        await client.close_connection()
    desk.report["books"] = compared


def main() -> None:
    desk = Desk()
    trade(desk)
    asyncio.run(watch(desk))
    desk.finish()


if __name__ == "__main__":
    main()

"""ccxt and ccxt.pro against Kraken's wire."""

from __future__ import annotations

import asyncio
from typing import Any

from tests.peers.clients.desk import LEVELS, Desk, levels

SYMBOL = "BTC/USD"


def config(desk: Desk) -> dict[str, Any]:
    api = {"public": desk.rest, "private": desk.rest}
    sockets = {"publicV2": desk.ws, "privateV2": desk.ws, "public": desk.ws, "private": desk.ws}
    return {
        "apiKey": desk.key,
        "secret": desk.secret,
        "enableRateLimit": False,
        "urls": {"api": {**api, "ws": sockets}},
    }


def trade(desk: Desk) -> None:
    import ccxt

    client = ccxt.kraken(config(desk))
    client.load_markets()
    order = client.create_order(SYMBOL, "limit", "buy", 0.25, 39_900)
    found = client.fetch_order(order["id"], SYMBOL)
    open_ids = [each["id"] for each in client.fetch_open_orders(SYMBOL)]
    client.cancel_order(order["id"], SYMBOL)
    canceled = client.fetch_order(order["id"], SYMBOL)
    desk.report["order"] = [found["status"], found["price"], open_ids == [order["id"]], canceled["status"]]
    client.create_order(SYMBOL, "market", "buy", 0.02)
    trades = client.fetch_my_trades(SYMBOL)
    desk.report["filled"] = sum(each["amount"] for each in trades)
    desk.report["balance"] = client.fetch_balance()["BTC"]["total"]
    small = {"pair": "XBTUSD", "type": "buy", "ordertype": "limit", "volume": "0.000001", "price": "39900"}
    desk.refused("filter", lambda: client.private_post_addorder(small))
    desk.refused("symbol", lambda: client.public_get_depth({"pair": "DOGEUSD"}))
    late = {**small, "volume": "0.1", "deadline": "2020-01-01T00:00:00Z"}
    desk.refused("stale", lambda: client.private_post_addorder(late))
    client.secret = "YW5vdGhlcl9zZWNyZXQ="
    desk.refused("signature", client.fetch_balance)


def held(client: Any) -> list[Any] | None:  # noqa: ANN401 - a class of the library
    book = client.orderbooks.get(SYMBOL)
    return [levels(book["bids"]), levels(book["asks"])] if book else None


async def watch(desk: Desk) -> None:
    import ccxt.pro

    client = ccxt.pro.kraken(config(desk))
    compared = 0
    try:
        await client.load_markets()
        for _ in range(20):
            await asyncio.to_thread(desk.advance, 20_000)
            own = await asyncio.to_thread(desk.get, f"/0/public/Depth?pair=XBTUSD&count={LEVELS}")
            own = own["result"]["XXBTZUSD"]
            expected = [levels(own["bids"]), levels(own["asks"])]
            # Time stands: the client's book must come to be the venue's.
            while held(client) != expected:
                await asyncio.wait_for(client.watch_order_book(SYMBOL, LEVELS), 20)
            compared += 1
        watching = asyncio.ensure_future(client.watch_orders())
        while (await asyncio.to_thread(desk.get, "/admin/state"))["connections"]["account"] == 0:
            assert not watching.done()
        placing = ccxt.pro.kraken(config(desk))
        order = await placing.create_order(SYMBOL, "limit", "buy", 0.1, 39_000)
        await placing.close()
        told = await asyncio.wait_for(watching, 20)
        desk.report["told"] = [each["id"] for each in told][-1:] == [order["id"]]
    finally:
        await client.close()
    desk.report["books"] = compared


def main() -> None:
    desk = Desk()
    trade(desk)
    asyncio.run(watch(desk))
    desk.finish()


if __name__ == "__main__":
    main()

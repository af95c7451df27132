"""ccxt and ccxt.pro against Binance's wire."""

from __future__ import annotations

import asyncio
from typing import Any

from tests.peers.clients.desk import LEVELS, Desk, levels

SYMBOL = "BTC/USDT"


def config(desk: Desk) -> dict[str, Any]:
    api = f"{desk.rest}/api/v3"
    return {
        "apiKey": desk.key,
        "secret": desk.secret,
        "enableRateLimit": False,
        "urls": {"api": {"public": api, "private": api, "ws": {"spot": f"{desk.ws}/ws"}}},
        "options": {
            "defaultType": "spot",
            "fetchMarkets": {"types": ["spot"]},
            "fetchCurrencies": False,
            "fetchMargins": False,
            "adjustForTimeDifference": True,
        },
    }


def trade(desk: Desk) -> None:
    import ccxt

    client = ccxt.binance(config(desk))
    client.load_markets()
    client.load_time_difference()
    order = client.create_order(SYMBOL, "limit", "buy", 0.25, 39_900)
    found = client.fetch_order(order["id"], SYMBOL)
    open_ids = [each["id"] for each in client.fetch_open_orders(SYMBOL)]
    canceled = client.cancel_order(order["id"], SYMBOL)
    desk.report["order"] = [order["status"], found["price"], open_ids == [order["id"]], canceled["status"]]
    desk.refused("filter", lambda: client.create_order(SYMBOL, "limit", "buy", 0.0001, 40_000))
    desk.refused("symbol", lambda: client.public_get_depth({"symbol": "DOGEUSDT"}))
    stale = {"timestamp": client.milliseconds() - client.options["timeDifference"] - 86_400_000}
    desk.refused("stale", lambda: client.private_get_account(stale))
    client.secret = "another_secret"
    desk.refused("signature", client.fetch_balance)


async def watch(desk: Desk) -> None:
    import ccxt.pro

    client = ccxt.pro.binance(config(desk))
    compared = 0
    try:
        await client.load_markets()
        seen: dict[int, list[Any]] = {}
        for _ in range(60):
            watching = asyncio.ensure_future(client.watch_order_book(SYMBOL))
            while not watching.done():
                await asyncio.to_thread(desk.advance, 1_000)
                own = await asyncio.to_thread(desk.get, f"/api/v3/depth?symbol=BTCUSDT&limit={LEVELS}")
                seen[own["lastUpdateId"]] = [levels(own["bids"]), levels(own["asks"])]
            book = watching.result()
            if (own_levels := seen.get(book["nonce"])) is not None:
                assert [levels(book["bids"]), levels(book["asks"])] == own_levels
                compared += 1
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

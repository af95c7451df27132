"""ccxt and ccxt.pro against Coinbase's wire."""

from __future__ import annotations

import asyncio
from typing import Any

from tests.peers.clients.desk import LEVELS, Desk, levels

SYMBOL = "BTC/USD"


def config(desk: Desk) -> dict[str, Any]:
    return {
        "apiKey": desk.key,
        "secret": desk.secret,
        "enableRateLimit": False,
        "urls": {"api": {"rest": desk.rest, "ws": desk.ws}},
        "has": {"fetchCurrencies": False},
    }


def trade(desk: Desk) -> None:
    import ccxt

    client = ccxt.coinbase(config(desk))
    client.load_markets()
    order = client.create_order(SYMBOL, "limit", "buy", 0.25, 39_900)
    found = client.fetch_order(order["id"], SYMBOL)
    open_ids = [each["id"] for each in client.fetch_open_orders(SYMBOL)]
    client.cancel_order(order["id"], SYMBOL)
    canceled = client.fetch_order(order["id"], SYMBOL)
    desk.report["order"] = [found["status"], found["price"], open_ids == [order["id"]], canceled["status"]]
    client.create_order(SYMBOL, "market", "buy", 800, None, {"createMarketBuyOrderRequiresPrice": False})
    desk.report["filled"] = sum(each["cost"] for each in client.fetch_my_trades(SYMBOL))
    desk.report["balance"] = client.fetch_balance({"v3": True})["BTC"]["total"]
    desk.refused("filter", lambda: client.create_order(SYMBOL, "limit", "buy", 0.00001, 39_900))
    desk.refused(
        "symbol", lambda: client.v3_public_get_brokerage_market_products_product_id({"product_id": "DOGE-USD"})
    )
    now = client.seconds
    client.seconds = lambda: now() - 864_000
    desk.refused("stale", lambda: client.fetch_balance({"v3": True}))
    client.seconds = now
    client.apiKey = "organizations/one/apiKeys/beta"
    desk.refused("signature", lambda: client.fetch_balance({"v3": True}))


def held(client: Any) -> list[Any] | None:  # noqa: ANN401 - a class of the library
    book = client.orderbooks.get(SYMBOL)
    return [levels(book["bids"]), levels(book["asks"])] if book else None


async def watch(desk: Desk) -> None:
    import ccxt.pro

    client = ccxt.pro.coinbase(config(desk))
    compared = 0
    try:
        await client.load_markets()
        for _ in range(20):
            await asyncio.to_thread(desk.advance, 20_000)
            await asyncio.to_thread(desk.advance, 50)
            path = f"/api/v3/brokerage/market/product_book?product_id=BTC-USD&limit={LEVELS}"
            own = (await asyncio.to_thread(desk.get, path))["pricebook"]
            sides = [[[level["price"], level["size"]] for level in own[side]] for side in ("bids", "asks")]
            expected = [levels(side) for side in sides]
            # Time stands: the client's book must come to be the venue's.
            while held(client) != expected:
                await asyncio.wait_for(client.watch_order_book(SYMBOL), 20)
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

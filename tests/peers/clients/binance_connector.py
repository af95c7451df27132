"""binance-connector against Binance's wire: it has no book of its own, so what its socket brings is applied here."""

from __future__ import annotations

import json
import queue
from typing import Any

from tests.peers.clients.desk import LEVELS, Desk, levels

SYMBOL = "BTCUSDT"


def trade(desk: Desk) -> None:
    from binance.spot import Spot

    client = Spot(desk.key, desk.secret, base_url=desk.rest)
    price = {"symbol": SYMBOL, "side": "BUY", "type": "LIMIT", "timeInForce": "GTC"}
    order = client.new_order(**price, quantity="0.25", price="39900")
    found = client.get_order(SYMBOL, orderId=order["orderId"])
    open_ids = [each["orderId"] for each in client.get_open_orders(SYMBOL)]
    canceled = client.cancel_order(SYMBOL, orderId=order["orderId"])
    is_open = open_ids == [order["orderId"]]
    desk.report["order"] = [order["status"], float(found["price"]), is_open, canceled["status"]]
    desk.refused("filter", lambda: client.new_order(**price, quantity="0.0001", price="40000"))
    desk.refused("symbol", lambda: client.depth("DOGEUSDT"))
    forged = Spot(desk.key, "another_secret", base_url=desk.rest)
    desk.refused("signature", forged.account)


def watch(desk: Desk) -> None:
    from binance.websocket.spot.websocket_stream import SpotWebsocketStreamClient

    messages: queue.Queue[str] = queue.Queue()
    client = SpotWebsocketStreamClient(stream_url=desk.ws, on_message=lambda _, message: messages.put(message))
    client.diff_book_depth(symbol=SYMBOL, speed=100)
    acknowledged = json.loads(messages.get(timeout=10))
    assert acknowledged["result"] is None
    assert acknowledged["id"] > 10**11
    book: dict[str, dict[float, float]] = {"bids": {}, "asks": {}}
    own = desk.get(f"/api/v3/depth?symbol={SYMBOL}&limit=1000")
    last = own["lastUpdateId"]
    for side in ("bids", "asks"):
        book[side] = {float(price): float(quantity) for price, quantity in own[side]}
    compared = 0
    for _ in range(30):
        desk.advance(5_000)
        own = desk.get(f"/api/v3/depth?symbol={SYMBOL}&limit={LEVELS}")
        # What changed at this very instant is told with the next diff.
        desk.advance(100)
        while last < own["lastUpdateId"]:
            last = apply(book, json.loads(messages.get(timeout=10)), last)
        if last == own["lastUpdateId"]:
            bids = sorted(book["bids"].items(), reverse=True)
            asks = sorted(book["asks"].items())
            assert [levels(bids), levels(asks)] == [levels(own["bids"]), levels(own["asks"])]
            compared += 1
    client.stop()
    desk.report["books"] = compared


def apply(book: dict[str, dict[float, float]], diff: dict[str, Any], last: int) -> int:
    if diff["u"] <= last:
        return last
    assert diff["U"] <= last + 1, "a gap"
    for side, name in (("bids", "b"), ("asks", "a")):
        for price, quantity in diff[name]:
            if float(quantity) == 0:
                book[side].pop(float(price), None)
            else:
                book[side][float(price)] = float(quantity)
    update_id: int = diff["u"]
    return update_id


def main() -> None:
    desk = Desk()
    trade(desk)
    watch(desk)
    desk.finish()


if __name__ == "__main__":
    main()

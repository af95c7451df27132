"""Bars of recorded trades and books: a book kept level by level in a plain loop is the judge."""

from __future__ import annotations

import math
from datetime import UTC, datetime
from typing import Any

import numpy as np
import polars as pl
import py_rt_core

from py_rt.data.event_bars import TIME, Rule
from py_rt.data.recorded_bars import recorded_bars, recorded_quotes
from py_rt.data.schemas import EVENT_BARS, FLOW_BARS, RAW_BOOK, RAW_TRADES

START_NS = 1_704_153_600 * 10**9
SECOND_NS = 10**9
UNITS = 10**8
SECONDS = 400


class Book:
    """Levels by side and price, and the rows of a recording of them."""

    def __init__(self) -> None:
        self.rows: list[dict[str, Any]] = []
        self.quotes: list[tuple[int, int, int, int, int]] = []
        self.levels: dict[str, dict[int, int]] = {"bid": {}, "ask": {}}
        self.update = 0

    def tell(self, at: int, session: int, kind: str, changes: list[tuple[str, int, int]]) -> None:
        """Apply an update and record it; what it does to the best prices stands in `quotes`."""
        if kind != "delta":
            self.levels = {"bid": {}, "ask": {}}
        for side, price, quantity in changes:
            self.levels[side][price] = quantity
            if not quantity:
                del self.levels[side][price]
        bids, asks = self.levels["bid"], self.levels["ask"]
        best = {"best_bid": max(bids, default=None), "best_ask": min(asks, default=None)}
        invalid = kind == "invalid"
        whole = {
            "session": session,
            "ts_received": at + 1_000,
            "ts_event": None if invalid else at,
            "kind": kind,
            "reason": "gap" if invalid else None,
            "update": None if invalid else self.update,
            "update_id": None if invalid else self.update,
            **best,
        }
        levels: list[dict[str, Any]] = [{"side": one[0], "price": one[1], "quantity": one[2]} for one in changes]
        self.rows += [whole | level for level in levels or [dict.fromkeys(("side", "price", "quantity"))]]
        self.update += 1
        known = bool(bids and asks)
        self.quotes.append((at, max(bids), bids[max(bids)], min(asks), asks[min(asks)]) if known else (at, 0, 0, 0, 0))

    def frame(self) -> pl.DataFrame:
        whose = [pl.lit("binance").alias("venue"), pl.lit("BTCUSDT").alias("symbol")]
        day = pl.from_epoch("ts_received", time_unit="ns").dt.date().alias("date")
        rows = pl.DataFrame(self.rows, schema={k: v for k, v in RAW_BOOK.schema.items() if k in self.rows[0]})
        return RAW_BOOK.conform(rows.with_row_index("row").cast({"row": pl.Int64}).with_columns(*whose, day))


def market(seed: int) -> Book:
    """A book around a price that wanders, with levels that come, change and go."""
    random, book, middle = np.random.default_rng(seed), Book(), 1_000
    snapshot = [("bid", middle - at, 5 * UNITS + at) for at in range(1, 6)]
    snapshot += [("ask", middle + at, 7 * UNITS + at) for at in range(1, 6)]
    book.tell(START_NS + 10, 0, "snapshot", snapshot)
    for step in range(1, SECONDS * 5):
        at = START_NS + step * SECOND_NS // 5
        side = "bid" if random.random() < 0.5 else "ask"
        bids, asks = book.levels["bid"], book.levels["ask"]
        best = max(bids) if side == "bid" else min(asks)
        if len(book.levels[side]) > 3 and random.random() < 0.4:
            book.tell(at, 0, "delta", [(side, best, 0)])
            continue
        inside = (best + 1 < min(asks)) if side == "bid" else (best - 1 > max(bids))
        place = random.integers(-1 if inside else 0, 4)
        price = int(best - place if side == "bid" else best + place)
        book.tell(at, 0, "delta", [(side, price, int(random.integers(1, 90)) * 1_000)])
    return book


def tape(seed: int, session: int = 0) -> pl.DataFrame:
    random = np.random.default_rng(seed)
    ts = START_NS + 20 + np.sort(random.integers(0, SECONDS * SECOND_NS - 30, 3_000))
    rows = pl.DataFrame(
        {
            "row": np.arange(ts.size),
            "session": np.full(ts.size, session),
            "ts_received": ts + 2_000,
            "ts_event": ts,
            "trade_id": np.arange(ts.size),
            "price": 1_000 + random.integers(-5, 6, ts.size),
            "quantity": random.integers(1, 50, ts.size) * 1_000,
            "aggressor": random.choice(["buy", "sell"], ts.size),
        }
    )
    day = datetime.fromtimestamp(START_NS // 10**9, UTC).date()
    whose = [pl.lit("binance").alias("venue"), pl.lit("BTCUSDT").alias("symbol"), pl.lit(day).alias("date")]
    return RAW_TRADES.conform(rows.with_columns(whose))


def test_quotes_have_the_quantities_that_rest_at_the_best_prices() -> None:
    book = market(1)
    book.tell(START_NS + SECONDS * SECOND_NS, 0, "invalid", [])
    made = recorded_quotes(book.frame())
    assert made.select("ts", "bid", "bid_quantity", "ask", "ask_quantity").rows()[:-1] == book.quotes[:-1]
    # Where nothing is known, the time is the newest that the venue told.
    assert made.row(-1, named=True) | {"session": 0} == {
        **dict.fromkeys(("bid", "bid_quantity", "ask", "ask_quantity", "bid_depth", "ask_depth", "session"), 0),
        "ts": book.quotes[-2][0],
    }


def test_where_two_connections_overlap_the_earlier_one_counts() -> None:
    book = market(2)
    rows = book.frame()
    again = rows.filter(pl.col("ts_received") > START_NS + 100 * SECOND_NS).with_columns(session=pl.lit(1, pl.Int64))
    both = pl.concat([rows, again]).sort("ts_received", "session", maintain_order=True)
    both = both.with_columns(pl.int_range(pl.len(), dtype=pl.Int64).alias("row"))
    assert recorded_quotes(both).equals(recorded_quotes(rows))


def test_bars_by_the_clock_are_the_engines_and_whole() -> None:
    book, trades = market(3), tape(4)
    made = recorded_bars(trades.lazy(), Rule(TIME, 10), FLOW_BARS, book.frame().lazy())
    assert FLOW_BARS.faults(made) == []
    # The recorder joined within the first interval and left within the last one.
    assert made["ts_open"].to_list() == [START_NS + at * 10 * SECOND_NS for at in range(1, SECONDS // 10 - 1)]
    columns = ("ts", "bid", "bid_quantity", "ask", "ask_quantity", "bid_depth", "ask_depth")
    rows = [(*quote, 0, 0) for quote in book.quotes]
    quotes = pl.DataFrame(rows, schema=dict.fromkeys(columns, pl.Int64), orient="row")
    side = pl.when(pl.col("aggressor") == "buy").then(1).otherwise(-1).cast(pl.Int64).alias("side")
    events = trades.select(pl.col("ts_event").alias("ts"), "price", "quantity", side)
    numbers, values = py_rt_core.flow_columns(quotes, events, 10 * SECOND_NS)
    flow = dict(values)
    at = np.isin(numbers * 10 * SECOND_NS, made["ts_open"].to_numpy())
    for name, of_one in (("order_flow", 1e8), ("bid_quantity", 1e8), ("trades", 1), ("mid_variation", 1e16)):
        assert made[name].to_list() == (flow[name][at] / of_one).tolist(), name
    assert math.fsum(made["order_flow"]) != 0


def test_a_break_of_the_recording_has_no_bar_and_no_bar_spans_it() -> None:
    whole = tape(5)
    begin, end = START_NS + 101 * SECOND_NS, START_NS + 199 * SECOND_NS
    before = whole.filter(pl.col("ts_event") < begin)
    after = whole.filter(pl.col("ts_event") > end).with_columns(session=pl.lit(1, pl.Int64))
    broken = pl.concat([before, after])
    book = market(6).frame().lazy()
    clock = recorded_bars(broken.lazy(), Rule(TIME, 10), FLOW_BARS, book)
    seconds = ((clock["ts_open"] - START_NS) // SECOND_NS).to_list()
    assert seconds == [*range(10, 91, 10), *range(200, SECONDS - 10, 10)]
    events = recorded_bars(broken.lazy(), Rule("ticks", 40), EVENT_BARS)
    assert EVENT_BARS.faults(events) == []
    assert events.filter((pl.col("ts_open") < begin) & (pl.col("ts_close") > begin)).is_empty()
    assert set(events["trades"]) == {40}
    assert events.height == before.height // 40 + after.height // 40


def test_trades_that_two_connections_tell_count_once() -> None:
    once = tape(7)
    twice = pl.concat([once, once.filter(pl.col("row") > 900).with_columns(session=pl.lit(1, pl.Int64))])
    for rule, table in ((Rule("volume", 0.005), EVENT_BARS), (Rule(TIME, 10), FLOW_BARS)):
        book = market(8).frame().lazy() if table is FLOW_BARS else None
        assert recorded_bars(twice.lazy(), rule, table, book).equals(recorded_bars(once.lazy(), rule, table, book))


def test_where_nothing_was_recorded_the_tables_have_no_row() -> None:
    book, trades = RAW_BOOK.empty().lazy(), RAW_TRADES.empty().lazy()
    assert recorded_bars(trades, Rule(TIME, 60), FLOW_BARS, book).equals(FLOW_BARS.empty())
    assert recorded_bars(trades, Rule("ticks", 9), EVENT_BARS).equals(EVENT_BARS.empty())
    heard = recorded_bars(tape(9).lazy(), Rule(TIME, 60), FLOW_BARS, book)
    assert heard.equals(FLOW_BARS.empty())

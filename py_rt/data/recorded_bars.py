"""Bars of recorded trades and books, by the clock with what happened to the book, or by what was traded.

A bar is given where the recorder listened from its begin to its end: what was joined or left midway is not guessed, so
that the first and the last interval of a connection are left out. Each stretch between two breaks is taken by itself,
and so is each day of receipt, over which connections are counted: a day is the same however it is made.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

import polars as pl

from py_rt.data.event_bars import TIME, Rule, bars_of

if TYPE_CHECKING:
    from collections.abc import Iterator

    from py_rt.data.schemas import Table

_BOOK = ("row", "session", "update", "ts_event", "ts_received", "kind", "side", "price", "quantity")
_BEST = ("best_bid", "best_ask")
_WHOSE = ("venue", "symbol", "date")


def recorded_bars(trades: pl.LazyFrame, rule: Rule, table: Table, book: pl.LazyFrame | None = None) -> pl.DataFrame:
    """Bars of every recorded instrument.

    Args:
        trades: rows of `raw_trades`.
        rule: when a bar closes.
        table: which the rows shall fit.
        book: rows of `raw_book`, for bars by the clock; a day of one instrument is in memory at once.

    Returns:
        Rows of the table, in the units in which people write, by venue, symbol and time; what is unknown is null.
    """
    whose = trades.select(_WHOSE).unique().sort(_WHOSE).collect(engine="streaming")
    made = [table.empty()]
    for venue, symbol, day in whose.iter_rows():
        is_own = (pl.col("venue") == venue) & (pl.col("symbol") == symbol) & (pl.col("date") == day)
        own = trades.filter(is_own).collect(engine="streaming")
        quotes = None
        if book is not None:
            rows = book.filter(is_own).select(*_BOOK, *_BEST)
            quotes = recorded_quotes(rows.collect(engine="streaming"))
        named = _of_instrument(own, rule, quotes).with_columns(
            pl.lit(venue).alias("venue"), pl.lit(symbol).alias("symbol"), pl.lit(day, dtype=pl.Date).alias("date")
        )
        made.append(table.conform(named.with_columns(pl.col(pl.Float64).fill_nan(None)).select(table.schema.names())))
    return pl.concat(made)


def recorded_quotes(book: pl.DataFrame) -> pl.DataFrame:
    """Best prices after each update of one instrument's book, with the quantities that rest there.

    A quantity is the last one told of the best price's level. Where two connections overlap the earlier one counts.

    Args:
        book: rows of `raw_book`, of one day.

    Returns:
        As :func:`read_quotes` gives, with `session`; the time is the venue's, held from going back. Depths are 0.
    """
    rows = book.sort("row")
    told = rows.filter(pl.col("update").is_not_null()).unique(["session", "update"], keep="last", maintain_order=True)
    marks = pl.concat([told, rows.filter(pl.col("update").is_null())]).sort("row")
    for side in ("bid", "ask"):
        levels = rows.filter(pl.col("side") == side).select(
            "row", "session", pl.col("price").alias(f"best_{side}"), pl.col("quantity").alias(f"{side}_quantity")
        )
        marks = marks.join_asof(
            levels, on="row", by=["session", f"best_{side}"], strategy="backward", check_sortedness=False
        )
    ends = marks.group_by("session").agg(pl.col("ts_received").max().alias("end")).sort("session")
    before = ends.select("session", pl.col("end").cum_max().shift(1).fill_null(0).alias("before"))
    marks = marks.join(before, on="session", how="left", maintain_order="left")
    marks = marks.filter(pl.col("ts_received") > pl.col("before"))
    needed = ("best_bid", "best_ask", "bid_quantity", "ask_quantity")
    is_known = (pl.col("kind") != "invalid") & pl.all_horizontal(pl.col(needed).is_not_null())
    return marks.select(
        pl.col("ts_event").cum_max().forward_fill().alias("ts"),
        pl.when(is_known).then("best_bid").otherwise(0).alias("bid"),
        pl.when(is_known).then("bid_quantity").otherwise(0).alias("bid_quantity"),
        pl.when(is_known).then("best_ask").otherwise(0).alias("ask"),
        pl.when(is_known).then("ask_quantity").otherwise(0).alias("ask_quantity"),
        pl.lit(0, dtype=pl.Int64).alias("bid_depth"),
        pl.lit(0, dtype=pl.Int64).alias("ask_depth"),
        "session",
    ).drop_nulls("ts")


def _of_instrument(trades: pl.DataFrame, rule: Rule, quotes: pl.DataFrame | None) -> pl.DataFrame:
    # Two connections that overlap tell a trade twice.
    own = (
        trades.sort("ts_event", "trade_id", "session")
        .unique("trade_id", keep="first", maintain_order=True)
        .select(
            pl.col("ts_event").alias("ts"),
            "price",
            "quantity",
            pl.when(pl.col("aggressor") == "buy").then(1).otherwise(-1).cast(pl.Int64).alias("side"),
            "session",
        )
    )
    made = []
    # Intervals of overlapping connections are the same ones; trades are counted once.
    heard_trades = trades.rename({"ts_event": "ts"}) if rule.name == TIME else own
    for first, last in _stretches(heard_trades, quotes):
        within = pl.col("ts").is_between(first, last)
        heard = quotes.filter(within).drop("session") if quotes is not None else None
        bars = bars_of(own.filter(within).drop("session"), rule, heard)
        made.append(bars.filter(pl.col("ts_open") >= first))
    if not made:
        empty = pl.DataFrame(schema=dict.fromkeys(("ts", "price", "quantity", "side"), pl.Int64))
        made = [bars_of(empty, rule, None if quotes is None else quotes.clear().drop("session"))]
    return pl.concat(made).unique("ts_open", keep="first", maintain_order=True).sort("ts_open")


def _stretches(trades: pl.DataFrame, quotes: pl.DataFrame | None) -> Iterator[tuple[int, int]]:
    """First and last time of each stretch in which both were heard without a break."""
    for first, last in _spans(trades):
        others = _spans(quotes) if quotes is not None else [(first, last)]
        for other_first, other_last in others:
            begin, end = max(first, other_first), min(last, other_last)
            if begin < end:
                yield begin, end


def _spans(events: pl.DataFrame) -> list[tuple[int, int]]:
    found = events.group_by("session").agg(pl.col("ts").min().alias("first"), pl.col("ts").max().alias("last"))
    return list(found.select("first", "last").sort("first", "last").iter_rows())

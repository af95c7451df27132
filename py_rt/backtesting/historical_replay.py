"""Recorded data as a backtest plays them: what is traded on, what only warms the features, and a hash of it.

Bars become a seeded market whose trades reproduce each bar's open, high, low, close and volume exactly; quotes and
trades are played as they stand. Both happen in Rust (`native/simulation`), in simulated time: there is no clock to
compress.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING

import polars as pl

from py_rt.data.storage import content_hash
from py_rt.errors import DataError

if TYPE_CHECKING:
    from collections.abc import Sequence
    from datetime import datetime

BAR_COLUMNS = ("ts_open", "open", "high", "low", "close", "volume")
QUOTE_COLUMNS = ("ts_event", "bid", "bid_quantity", "ask", "ask_quantity")
TRADE_COLUMNS = ("ts", "price", "quantity", "side")
NS_PER_SECOND = 10**9


class ReplayError(DataError):
    """Data that cannot be played."""


@dataclass(frozen=True)
class Replay:
    """Data of one backtest.

    Attributes:
        frame: bars (`BAR_COLUMNS`) or quotes (`QUOTE_COLUMNS`), all Int64: ns UTC, and units of 1e-8; bars with the
            Float64 columns that features read beside these.
        start_ns: bars that open before it warm features and are not traded on; None trades on all.
        dataset_id: SHA-256 over what is traded on: the name under which the trial ledger counts looks at these data.
        trades: what was traded beside quotes (`TRADE_COLUMNS`, Int64; `side` is 1 for bought, -1 for sold); None where
            that is unknown.
    """

    frame: pl.DataFrame
    start_ns: int | None
    dataset_id: str
    trades: pl.DataFrame | None = None

    @property
    def traded(self) -> pl.DataFrame:
        """The rows that are traded on."""
        return self.frame if self.start_ns is None else self.frame.filter(pl.col("ts_open") >= self.start_ns)

    @property
    def history(self) -> pl.DataFrame:
        """The rows before them."""
        return self.frame.clear() if self.start_ns is None else self.frame.filter(pl.col("ts_open") < self.start_ns)

    @property
    def prices(self) -> pl.DataFrame:
        """`ts` (ns), `close` (Float64, a whole unit is 1): closes of the traded bars, or mids of the quotes."""
        if "bid" in self.frame.columns:
            return self.frame.select(ts="ts_event", close=(pl.col("bid") + pl.col("ask")) / 2e8)
        bars = self.traded
        span = (bars["ts_open"].diff().min() if bars.height > 1 else None) or 0
        return bars.select(ts=pl.col("ts_open") + span, close=pl.col("close") / 1e8)


def bars_replay(
    bars: pl.DataFrame, *, start: datetime | None = None, end: datetime | None = None, beside: Sequence[str] = ()
) -> Replay:
    """Bars of one instrument as a replay.

    Args:
        bars: at least `BAR_COLUMNS`, Int64; any order.
        start: trading begins with the bar that opens then; aware. None: with the first.
        end: bars that open then or later are left out; aware.
        beside: columns that the strategy's features read beside those of bars (`FeatureSet.columns`), Float64; trials
            on the same bars count together, whatever is known beside them.

    Raises:
        ReplayError: a column is missing, or no bar is left to trade on.

    >>> from datetime import UTC, datetime
    >>> bars = pl.DataFrame({name: [0, 900 * NS_PER_SECOND, 1800 * NS_PER_SECOND] for name in BAR_COLUMNS})
    >>> replay = bars_replay(bars, start=datetime.fromtimestamp(900, UTC))
    >>> replay.history.height, replay.traded.height
    (1, 2)
    """
    frame = _columns(bars, (*BAR_COLUMNS, *beside)).sort("ts_open")
    if end is not None:
        frame = frame.filter(pl.col("ts_open") < _ns(end))
    start_ns = None if start is None else _ns(start)
    traded = frame if start_ns is None else frame.filter(pl.col("ts_open") >= start_ns)
    if traded.is_empty():
        raise ReplayError(
            f"no bar opens from {start} up to {end}: {bars.height} rows were given; load these days first"
        )
    return Replay(frame, start_ns, content_hash(traded.select(BAR_COLUMNS)))


def quotes_replay(quotes: pl.DataFrame, trades: pl.DataFrame | None = None) -> Replay:
    """Quotes of one instrument as a replay; they are played in the order of `ts_event`.

    Args:
        quotes: at least `QUOTE_COLUMNS`, Int64.
        trades: at least `TRADE_COLUMNS`, Int64, as `py_rt.data.event_bars.read_trades` gives them: bars close by them,
            so that strategies may read features. At one time quotes are played first.

    Raises:
        ReplayError: a column is missing, or there is no row.
    """
    frame = _columns(quotes, QUOTE_COLUMNS).sort("ts_event", maintain_order=True)
    if frame.is_empty():
        raise ReplayError("there is no quote to trade on")
    if trades is None:
        return Replay(frame, None, content_hash(frame))
    traded = _columns(trades, TRADE_COLUMNS).sort("ts", maintain_order=True)
    both = pl.concat([frame, traded.rename({"ts": "ts_event"})], how="diagonal")
    return Replay(frame, None, content_hash(both), traded)


def _columns(frame: pl.DataFrame, names: tuple[str, ...]) -> pl.DataFrame:
    missing = [name for name in names if name not in frame.columns]
    if missing:
        raise ReplayError(f"columns {', '.join(missing)} are missing among {', '.join(frame.columns)}")
    return frame.select(names)


def _ns(time: datetime) -> int:
    return int(time.timestamp()) * NS_PER_SECOND

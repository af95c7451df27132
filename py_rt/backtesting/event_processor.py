"""Strategies written in Python: what the engine calls, and what they may answer.

A strategy is any object with `on_bar`, `on_quote` or both; `on_order` and `on_activated` are optional. It sees the
engine's own view of its slot and answers with wishes, which pass the same execution and risk as those of a strategy in
Rust. Times are UTC nanoseconds, prices, quantities and equity whole numbers of 1e-8. An exception ends the run and
comes back to the caller.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import Protocol

import numpy as np
from py_rt_core import BarView, CancelWorking, Order, OrderUpdate, QuoteView, SlotView

__all__ = [
    "BarStrategy",
    "BarView",
    "CancelWorking",
    "Order",
    "OrderUpdate",
    "QuoteStrategy",
    "QuoteView",
    "RandomSignal",
    "SlotView",
    "Wishes",
]

Wishes = Order | CancelWorking | Sequence[Order | CancelWorking] | None
"""What a method may return: nothing, one wish, or several, carried out in order."""


class BarStrategy(Protocol):
    """Decides when a bar closes; its orders meet the market one entry latency later, never that close."""

    def on_bar(self, view: SlotView, bar: BarView) -> Wishes:
        """A bar of the slot's instrument closed."""


class QuoteStrategy(Protocol):
    """Decides at every change of the best bid or ask."""

    def on_quote(self, view: SlotView, quote: QuoteView) -> Wishes:
        """The best bid or ask changed."""


class RandomSignal:
    """Enters and leaves by a coin's toss at every close, at the market: the control that must lose what it costs.

    >>> import py_rt_core
    >>> bars = {"ts_open": [0, 900 * 10**9, 1800 * 10**9], "volume": [10**10] * 3}
    >>> bars |= {name: [4_300_000_000_000] * 3 for name in ("open", "high", "low", "close")}
    >>> control = RandomSignal(seed=1)
    >>> py_rt_core.backtest_strategy(bars, control).bar_ns, control.tosses
    (900000000000, 2)
    """

    def __init__(self, *, seed: int, share_percent: int = 10) -> None:
        """Take the seed, and the share of equity that a position is worth."""
        self.tosses = 0
        self._share_percent = share_percent
        self._stream = np.random.default_rng(seed)

    def on_bar(self, view: SlotView, bar: BarView) -> Wishes:  # noqa: ARG002  # a coin looks at nothing
        """Toss."""
        self.tosses += 1
        if self._stream.integers(2) == 0:
            return None
        if view.open_buys or view.open_sells:
            return None
        if view.position > 0:
            return Order("Sell", view.position, reduce_only=True)
        quantity = view.quantity_for(view.equity * self._share_percent // 100)
        return Order("Buy", quantity) if quantity > 0 else None

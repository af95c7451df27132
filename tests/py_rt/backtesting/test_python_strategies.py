"""Strategies in Python: what they see, what they may answer, and how they fail."""

from __future__ import annotations

import traceback
from typing import TYPE_CHECKING, Any

import numpy as np
import py_rt_core
import pytest
from py_rt_core import BarView, CancelWorking, Order, OrderUpdate, QuoteView, SlotView, backtest_strategy

from py_rt.backtesting.engine import BacktestConfig, PythonStrategy, control

if TYPE_CHECKING:
    from collections.abc import Callable

    import polars as pl

    from py_rt.backtesting.event_processor import Wishes
    from py_rt.backtesting.historical_replay import Replay
    from tests.py_rt.backtesting.conftest import Trained

UNIT = 10**8


class OnBar:
    """A strategy of one function."""

    def __init__(self, decide: Callable[[SlotView, BarView], Any]) -> None:
        self.decide = decide

    def on_bar(self, view: SlotView, bar: BarView) -> Any:  # noqa: ANN401 - wrong answers are part of the test
        return self.decide(view, bar)


def test_it_sees_every_bar_as_it_was(bars: pl.DataFrame) -> None:
    seen: list[tuple[int, ...]] = []

    class Watcher:
        def on_bar(self, view: SlotView, bar: BarView) -> Wishes:
            assert view.now >= bar.ts_close == bar.ts_open + 900 * 10**9
            assert (view.position, bar.features, bar.raw_score, bar.probability) == (0, [], None, None)
            seen.append((bar.ts_open, bar.open, bar.high, bar.low, bar.close, bar.volume))
            return None

    backtest_strategy(bars, Watcher())
    # The last bar closes with the first event after it, which the data do not have.
    assert seen == list(bars.head(bars.height - 1).iter_rows())


def test_it_sees_features_and_scores_where_it_has_them(replay: Replay, trained: Trained) -> None:
    rows: list[list[float]] = []

    class Watcher:
        def on_bar(self, view: SlotView, bar: BarView) -> Wishes:  # noqa: ARG002
            rows.append([*bar.features, bar.probability or 0.0])
            return None

    features = trained.features.canonical.encode()
    strategy = PythonStrategy(Watcher(), name="watcher", features=features, model=trained.onnx)
    signals = control(replay, strategy, BacktestConfig()).signals
    wanted = signals.select([*trained.features.names, "probability"]).to_numpy()
    assert np.array(rows, dtype=np.float32).tobytes() == wanted.tobytes()


def test_it_follows_its_orders_to_their_end(bars: pl.DataFrame) -> None:
    updates: list[tuple[str, str, int]] = []

    class Patient:
        """Rests a bid far below, whose timeout cancels it, then takes."""

        def __init__(self) -> None:
            self.activated = self.bars = 0

        def on_activated(self) -> None:
            self.activated += 1

        def on_bar(self, view: SlotView, bar: BarView) -> Wishes:
            self.bars += 1
            if self.bars == 1:
                return Order("Buy", UNIT // 10, bar.close * 9 // 10, timeout_ms=5_000)
            if self.bars == 2:
                assert view.bid is not None
                assert view.quantity_for(4_300 * UNIT) == pytest.approx(UNIT // 10, rel=0.02)
                return [CancelWorking("Buy"), Order("Buy", UNIT // 10)]
            return None

        def on_order(self, view: SlotView, update: OrderUpdate) -> Wishes:  # noqa: ARG002
            updates.append((update.client_order_id, update.status, update.filled))
            return None

    strategy = Patient()
    results = backtest_strategy(bars.head(10), strategy)
    assert strategy.activated == 1
    assert [status for name, status, _ in updates if name == "e1-s1-1"] == [
        "Submitted", "Accepted", "PendingCancel", "Canceled",
    ]  # fmt: skip
    assert updates[-1] == ("e1-s1-2", "Filled", UNIT // 10)
    assert (results.orders, results.cancels, results.position) == (2, 1, UNIT // 10)
    assert results.ends == {"Filled": 1, "Canceled": 1, "Expired": 0, "Rejected": 0}


def test_it_may_decide_on_quotes(quotes: pl.DataFrame) -> None:
    class Fader:
        def __init__(self) -> None:
            self.last = 0
            self.seen = 0

        def on_quote(self, view: SlotView, quote: QuoteView) -> Wishes:
            assert (quote.bid, quote.ask) == (view.bid, view.ask)
            fell, self.last, self.seen = quote.bid < self.last, quote.bid, self.seen + 1
            if fell and not (view.position or view.open_buys):
                return Order("Buy", UNIT, quote.ask, time_in_force="ioc")
            if view.position > view.open_sells:
                return Order("Sell", view.position - view.open_sells, reduce_only=True)
            return None

    fader = Fader()
    results = backtest_strategy(quotes, fader)
    assert fader.seen == (quotes["bid"].diff().fill_null(1) != 0).sum()
    assert results.ends["Filled"] > 500
    assert results.signals.columns[:2] == ["ts_close", "raw_score"]
    assert len(results.signals) == 0


def test_an_exception_ends_the_run_and_comes_back_with_its_traceback(bars: pl.DataFrame) -> None:
    calls = []

    def fail(view: SlotView, bar: BarView) -> None:  # noqa: ARG001
        calls.append(bar.ts_open)
        if len(calls) == 3:
            raise ZeroDivisionError("the third bar")

    with pytest.raises(ZeroDivisionError, match="the third bar") as caught:
        backtest_strategy(bars, OnBar(fail))
    assert len(calls) == 3
    assert "fail" in [frame.name for frame in traceback.extract_tb(caught.value.__traceback__)]
    assert caught.value.__notes__ == [
        f"raised by the strategy at engine time {caught.value.__notes__[0].split()[-2]} ns"
    ]


@pytest.mark.parametrize("method", ["on_order", "on_activated", "on_quote"])
def test_an_exception_of_any_method_comes_back(bars: pl.DataFrame, method: str) -> None:
    def fail(*_: object) -> None:
        raise LookupError(method)

    strategy = OnBar(lambda view, _: Order("Buy", view.quantity_for(view.equity // 10)))
    setattr(strategy, method, fail)
    with pytest.raises(LookupError, match=method):
        backtest_strategy(bars, strategy)


def test_an_interrupt_comes_back_too(bars: pl.DataFrame) -> None:
    def interrupt(view: SlotView, bar: BarView) -> None:  # noqa: ARG001
        raise KeyboardInterrupt

    with pytest.raises(KeyboardInterrupt):
        backtest_strategy(bars, OnBar(interrupt))


@pytest.mark.parametrize(
    ("answer", "words"),
    [
        (7, "returned int; expected None, Order, CancelWorking, or a sequence"),
        ("Buy", "returned str"),
        ([Order("Buy", 1), 7], "returned int"),
        ([Order("Buy", 1)] * 17, "may ask for 16 things in one event"),
    ],
)
def test_a_wrong_answer_is_refused(bars: pl.DataFrame, answer: object, words: str) -> None:
    with pytest.raises(py_rt_core.CoreError, match=words):
        backtest_strategy(bars, OnBar(lambda *_: answer))


@pytest.mark.parametrize(
    ("arguments", "words"),
    [
        (("Long", 1), 'expected "Buy" or "Sell"'),
        (("Buy", 0), "above 0"),
        (("Buy", 1, -1), "above 0"),
    ],
)
def test_an_order_that_means_nothing_cannot_be_made(arguments: tuple[Any, ...], words: str) -> None:
    with pytest.raises(py_rt_core.CoreError, match=words):
        Order(*arguments)
    with pytest.raises(py_rt_core.CoreError, match="time_in_force"):
        Order("Buy", 1, time_in_force="day")


def test_an_object_without_methods_is_no_strategy(bars: pl.DataFrame) -> None:
    with pytest.raises(py_rt_core.CoreError, match="neither on_bar"):
        backtest_strategy(bars, object())
    wrong = OnBar(lambda *_: None)
    wrong.on_order = 3  # type: ignore[attr-defined]
    with pytest.raises(py_rt_core.CoreError, match="on_order is no method"):
        backtest_strategy(bars, wrong)

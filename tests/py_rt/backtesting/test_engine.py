"""Backtests through their typed door: books that balance, costs that are paid, attempts that are counted."""

from __future__ import annotations

from dataclasses import replace
from datetime import UTC, datetime
from typing import TYPE_CHECKING

import numpy as np
import onnxruntime
import polars as pl
import py_rt_core
import pytest

from py_rt.analysis.visualization import Report, html_report
from py_rt.backtesting.engine import (
    Backtest,
    BacktestConfig,
    PythonStrategy,
    SmaCross,
    StrategySource,
    ThresholdModel,
    backtest,
    control,
)
from py_rt.backtesting.event_processor import RandomSignal
from py_rt.backtesting.historical_replay import Replay, ReplayError, bars_replay, quotes_replay
from py_rt.backtesting.ledger import TrialLedger
from py_rt.backtesting.slippage_models import CostError, CostModel
from py_rt.defaults import default_root

if TYPE_CHECKING:
    from pathlib import Path

    from tests.py_rt.backtesting.conftest import Trained

CONFIG = BacktestConfig(capital="50000")
FREE = CostModel(maker_bps="0", taker_bps="0", spread_min_ppm=0, spread_max_ppm=0)


def random_signal(seed: int = 1) -> PythonStrategy:
    return PythonStrategy(RandomSignal(seed=seed), name="random", params={"seed": seed})


@pytest.fixture(params=["sma_cross", "market", "limit", "random", "received", "base", "third"])
def run(request: pytest.FixtureRequest, replay: Replay, trained: Trained) -> Backtest:
    kind = request.param
    strategies: dict[str, StrategySource] = {
        "sma_cross": SmaCross(5, 20),
        "market": trained.strategy(),
        "limit": trained.strategy("limit"),
    }
    fee_assets = {
        "received": CostModel(fee_asset="received"),
        "base": CostModel(fee_asset="BTC"),
        "third": CostModel(fee_asset="BNB", fee_asset_price="400"),
    }
    strategy = strategies.get(kind, random_signal())
    return control(replay, strategy, replace(CONFIG, costs=fee_assets.get(kind, CostModel())))


def test_the_fills_are_the_position_the_equity_and_the_costs(run: Backtest) -> None:
    books = run.books
    assert run.fills.height > 20
    assert books.faults == ()
    assert books.commission == pytest.approx(books.traded_notional * 10 / 10_000, rel=1e-4)
    assert len(books.trades) > 10


def test_a_manipulated_run_is_found_out(replay: Replay) -> None:
    run = control(replay, SmaCross(5, 20), CONFIG)
    cheaper = replace(run, config=replace(CONFIG, costs=CostModel(taker_bps="9")))
    assert "bps are" in cheaper.books.faults[0]

    class Lost:
        """The same results without their last fill."""

        def __getattr__(self, name: str) -> object:
            found = getattr(run.results, name)
            return {key: found[key][:-1] for key in found.columns} if name == "fills" else found

    faults = replace(run, results=Lost()).books.faults  # type: ignore[arg-type]
    assert [fault.split(" ")[1] for fault in faults] == ["fills", "fills"]


def test_trades_explain_the_equity_when_flat(replay: Replay) -> None:
    run = control(replay, random_signal(), CONFIG)
    open_value = run.results.position * run.results.mark / 1e16
    flat_equity = 50_000 + sum(run.books.trades)
    if run.results.position == 0:
        assert flat_equity == pytest.approx(run.results.final_equity / 1e16)
    else:
        assert flat_equity == pytest.approx(run.results.final_equity / 1e16, abs=open_value * 0.02)


def test_fees_in_a_third_asset_are_taken_off_the_curve(replay: Replay) -> None:
    third = CostModel(fee_asset="BNB", fee_asset_price="400")
    run = control(replay, SmaCross(5, 20), replace(CONFIG, costs=third))
    assert run.results.fees == 0
    assert set(run.results.foreign_fees) == {"BNB"}
    assert run.equity["equity"][-1] == pytest.approx(run.results.final_equity / 1e16 - run.books.commission)


def test_a_random_signal_loses_its_costs(replay: Replay) -> None:
    for seed in range(4):
        run = control(replay, random_signal(seed), CONFIG)
        profit = run.results.final_equity / 1e16 - 50_000
        assert profit < 0
        free = control(replay, random_signal(seed), replace(CONFIG, costs=FREE))
        before_costs = free.results.final_equity / 1e16 - 50_000
        assert abs(before_costs) < run.books.commission / 2
        assert profit == pytest.approx(before_costs - run.books.commission, rel=0.25)


def test_higher_costs_leave_less(replay: Replay) -> None:
    base = control(replay, random_signal(), CONFIG)
    stress = control(replay, random_signal(), replace(CONFIG, costs=CONFIG.costs.times(2)))
    assert stress.books.commission == pytest.approx(2 * base.books.commission, rel=0.1)
    assert stress.results.final_equity < base.results.final_equity


def test_nothing_trades_at_the_close_it_was_decided_on(replay: Replay) -> None:
    slow = replace(CONFIG, costs=CostModel(latency_ms="250", latency_jitter_ms="0"))
    times = control(replay, random_signal(), slow).results.fills["ts"]
    assert times.size > 100
    assert (times % (900 * 10**9)).min() >= 250 * 10**6


def test_the_model_sees_the_tables_features_and_scores_them_as_onnx_runtime(replay: Replay, trained: Trained) -> None:
    run = control(replay, trained.strategy(), CONFIG)
    signals, names = run.signals, list(trained.features.names)
    table = trained.features.compute(replay.frame).with_columns(
        ts_close=replay.frame["ts_open"] + 900 * 10**9,
    )
    expected = signals.select("ts_close").join(table, on="ts_close")
    assert signals.height == replay.traded.height - 1
    assert signals.select(names).to_numpy().tobytes() == expected.select(names).to_numpy().tobytes()
    session = onnxruntime.InferenceSession(trained.onnx)
    (scores,) = session.run(None, {"features": signals.select(names).to_numpy()})
    assert np.abs(scores.ravel() - signals["probability"].to_numpy()).max() <= 2e-7
    entered = signals.filter(pl.col("decision") == "Enter")
    left = signals.filter(pl.col("decision") == "Exit")
    assert entered["probability"].min() >= 0.52  # type: ignore[operator]
    assert left["probability"].max() < 0.48  # type: ignore[operator]


def test_equal_input_gives_equal_runs_and_another_seed_another_one(replay: Replay) -> None:
    one, two = (control(replay, random_signal(), CONFIG) for _ in range(2))
    assert one.fills.equals(two.fills)
    assert one.equity.equals(two.equity)
    assert not control(replay, random_signal(), replace(CONFIG, seed=8)).fills.equals(one.fills)


def test_quotes_are_traded_too(quotes: pl.DataFrame) -> None:
    run = control(quotes_replay(quotes), SmaCross(5, 20), CONFIG)
    assert run.books.faults == ()
    assert run.fills.height > 50
    assert run.equity.height == 6  # an hour and six minutes, by quarters of an hour


def test_every_attempt_is_recorded_and_a_repetition_counts_once(replay: Replay, tmp_path: Path) -> None:
    ledger = TrialLedger(tmp_path / "trials.jsonl")

    def attempt(fast: int) -> Backtest:
        cross = SmaCross(fast, 20)
        return backtest(replay, cross, CONFIG, ledger=ledger, subject="cross", recorded_at_ns=1)

    runs = [attempt(fast) for fast in (3, 5, 5)]
    assert ledger.count(replay.dataset_id) == 2
    recorded = ledger.trials([replay.dataset_id])
    assert [trial.sharpe for trial in recorded] == [run.sharpe for run in runs]
    assert {trial.door for trial in recorded} == {"backtest"}
    numbers = runs[0].performance(ledger.sharpes([replay.dataset_id], period_ns=900 * 10**9))
    assert numbers.trials == 2
    assert numbers.deflated_sharpe < numbers.probabilistic_sharpe
    assert numbers.trades == len(runs[0].books.trades)


def test_limits_shape_a_run_and_their_hash_is_recorded(replay: Replay) -> None:
    text = (default_root() / "config" / "risk_limits.toml").read_text()
    tight = text.replace("max_order_size_usd = 10000.0", "max_order_size_usd = 1000.0")
    run = control(replay, random_signal(), replace(CONFIG, risk_limits=tight, daily_volatility="0.04"))
    assert run.fills.is_empty()
    assert run.results.denials["OrderSize"] > 100
    params = run.trial("random", 1).params
    assert params["risk_limits_sha256"] is not None
    assert control(replay, random_signal(), CONFIG).trial("random", 1).params["risk_limits_sha256"] is None
    with pytest.raises(py_rt_core.CoreError, match="risk_limits needs daily_volatility"):
        control(replay, random_signal(), replace(CONFIG, risk_limits=text))


def test_data_are_not_stale_because_a_bar_is_coarse(replay: Replay) -> None:
    text = (default_root() / "config" / "risk_limits.toml").read_text()
    run = control(replay, random_signal(), replace(CONFIG, risk_limits=text, daily_volatility="0.04"))
    assert "StaleData" not in run.results.denials
    assert run.fills.height > 100


def test_a_model_of_other_features_is_refused(replay: Replay, trained: Trained) -> None:
    strategy = trained.strategy()
    other = strategy.features.replace(b'"period":14', b'"period":13', 1)
    with pytest.raises(py_rt_core.CoreError, match="trained on features with sha256"):
        control(replay, replace(strategy, features=other), CONFIG)
    swapped = strategy.strategy.replace('"rsi_14", "macd"', '"macd", "rsi_14"')
    with pytest.raises(py_rt_core.CoreError, match="in another order"):
        control(replay, ThresholdModel(strategy.model, strategy.features, swapped), CONFIG)
    with pytest.raises(py_rt_core.CoreError, match="model: "):
        control(replay, replace(strategy, model=strategy.model[:-100]), CONFIG)
    hourly = replay.frame.filter(pl.col("ts_open") % (3_600 * 10**9) == 0)
    with pytest.raises(py_rt_core.CoreError, match="the data have bars of 3600 s"):
        control(bars_replay(hourly), strategy, CONFIG)


def test_a_window_without_bars_is_refused(bars: pl.DataFrame) -> None:
    with pytest.raises(ReplayError, match="load these days first"):
        bars_replay(bars, start=datetime(2031, 1, 1, tzinfo=UTC))
    with pytest.raises(ReplayError, match="columns low are missing"):
        bars_replay(bars.drop("low"))


def test_costs_out_of_order_are_refused() -> None:
    with pytest.raises(CostError, match="expected 0 <= min <= max"):
        CostModel(spread_min_ppm=5, spread_max_ppm=4)


def test_a_run_can_be_drawn(replay: Replay) -> None:
    run = control(replay, SmaCross(5, 20), CONFIG)
    report = Report(
        title="Walk",
        currency="USDT",
        equity=run.equity,
        prices=replay.prices,
        trades=run.fills,
        costs={"commission": run.books.commission},
        numbers=run.performance([run.sharpe]).to_dict(),
        provenance={"data": run.dataset_id},
    )
    assert run.dataset_id in html_report(report)

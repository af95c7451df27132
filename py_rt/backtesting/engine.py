"""Backtests: the service's engine, risk and order path over the simulated venue, and a line in the trial ledger.

A decision taken at a bar's close meets the market one entry latency later, one unit of displayed liquidity fills one
order, and every fill pays. The Rust side is `py_rt_core.backtest_strategy`; this module gives it types, adds up what
came back and records the attempt: a Sharpe ratio means nothing without the number of attempts behind it.
"""

from __future__ import annotations

import hashlib
from dataclasses import dataclass, field
from decimal import Decimal
from functools import cached_property
from typing import TYPE_CHECKING, Protocol

import polars as pl
import py_rt_core

from py_rt.analysis.statistics import simple_returns
from py_rt.backtesting.books import Books, add_up
from py_rt.backtesting.ledger import Trial
from py_rt.backtesting.performance import Performance, sharpe_ratio, summarize
from py_rt.backtesting.slippage_models import CostModel, Number

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence

    from py_rt_core import BacktestResults

    from py_rt.backtesting.event_processor import BarStrategy, QuoteStrategy
    from py_rt.backtesting.historical_replay import Replay
    from py_rt.backtesting.ledger import JsonValue, TrialLedger

DOOR = "backtest"


@dataclass(frozen=True, kw_only=True)
class BacktestConfig:
    """What a backtest assumes about account, instrument and venue.

    Attributes:
        capital: what the strategy begins with, quote currency.
        costs: commission, spread and latency.
        seed: of the market made from bars, and of the latency's jitter.
        risk_limits: text of a `risk_limits.toml`; None limits nothing but the capital.
        daily_volatility: standard deviation of daily returns, which the value at risk is measured with; needed beside
            risk limits unless the strategy file has it.
        symbol: the venue's name of the instrument.
        base: code of its base currency.
        quote: code of its quote currency.
        tick_size: smallest price step; None takes the coarsest that fits the data.
        lot_size: smallest quantity step.
        min_quantity: smallest order.
        min_notional: smallest value of an order.
        bar_seconds: length of a bar, told from the data where None; over quotes also the distance between points of
            equity (900).
        keep_signals: keep features and scores of every bar.
    """

    capital: Number = "100000"
    costs: CostModel = field(default_factory=CostModel)
    seed: int = 7
    risk_limits: str | None = None
    daily_volatility: Number | None = None
    symbol: str = "BTCUSDT"
    base: str = "BTC"
    quote: str = "USDT"
    tick_size: Number | None = None
    lot_size: Number = "0.00000001"
    min_quantity: Number = "0"
    min_notional: Number = "0"
    bar_seconds: int | None = None
    keep_signals: bool = True

    def to_mapping(self) -> dict[str, JsonValue]:
        """The keys of `py_rt_core.backtest_strategy`'s config.

        >>> BacktestConfig(seed=3).to_mapping()["taker_bps"]
        '10'
        """
        own: dict[str, JsonValue] = {
            name: str(value) if isinstance(value, Decimal) else value
            for name, value in vars(self).items()
            if name != "costs"
        }
        return {**own, **self.costs.to_mapping()}


class StrategySource(Protocol):
    """A strategy that can be handed to Rust and named in the ledger."""

    def to_core(self) -> Mapping[str, object]:
        """The mapping that `py_rt_core.backtest_strategy` takes."""

    def record(self) -> dict[str, JsonValue]:
        """Everything that distinguishes it, for the ledger."""


@dataclass(frozen=True)
class SmaCross:
    """Two moving averages of the close (over quotes: of the mid): long while the fast one is above the slow one.

    Attributes:
        fast: values in the fast average.
        slow: values in the slow average.
        position_size_pct: share of equity for one position, above 0 to 1.
    """

    fast: int = 20
    slow: int = 50
    position_size_pct: Number = "0.1"

    def to_core(self) -> Mapping[str, object]:
        """As `py_rt_core` takes it."""
        return self.record()

    def record(self) -> dict[str, JsonValue]:
        """Its parameters."""
        share = str(self.position_size_pct)
        return {"kind": "sma_cross", "fast": self.fast, "slow": self.slow, "position_size_pct": share}


@dataclass(frozen=True)
class ThresholdModel:
    """The strategy of a bundle: a model's probability against two thresholds.

    Attributes:
        model: bytes of the ONNX file.
        features: canonical JSON of the feature specification that the model was trained on.
        strategy: text of the strategy file: thresholds, size, order type.
    """

    model: bytes
    features: bytes
    strategy: str

    def to_core(self) -> Mapping[str, object]:
        """As `py_rt_core` takes it."""
        return {"kind": "threshold_model", "model": self.model, "features": self.features, "strategy": self.strategy}

    def record(self) -> dict[str, JsonValue]:
        """The hashes of its three parts."""
        return {
            "kind": "threshold_model",
            "model_sha256": hashlib.sha256(self.model).hexdigest(),
            "features_sha256": hashlib.sha256(self.features).hexdigest(),
            "strategy_sha256": hashlib.sha256(self.strategy.encode()).hexdigest(),
        }


@dataclass(frozen=True)
class PythonStrategy:
    """A strategy written in Python.

    Attributes:
        strategy: the object, fresh: it keeps what it learns.
        name: what the ledger calls it.
        params: what distinguishes it from others of its name, for the ledger.
        features: canonical JSON of a feature specification whose values it wants to see.
        model: bytes of the ONNX file whose scores it wants to see; needs features.
    """

    strategy: BarStrategy | QuoteStrategy
    name: str
    params: Mapping[str, JsonValue] = field(default_factory=dict)
    features: bytes | None = None
    model: bytes | None = None

    def to_core(self) -> Mapping[str, object]:
        """As `py_rt_core` takes it."""
        return {"kind": "python", "object": self.strategy, "features": self.features, "model": self.model}

    def record(self) -> dict[str, JsonValue]:
        """Name and parameters, and the hashes of what it sees."""
        seen = {"features_sha256": self.features, "model_sha256": self.model}
        hashes = {key: hashlib.sha256(part).hexdigest() for key, part in seen.items() if part is not None}
        return {"kind": "python", "name": self.name, "params": dict(self.params), **hashes}


@dataclass(frozen=True)
class Backtest:
    """A run and what it was made from."""

    results: BacktestResults
    config: BacktestConfig
    strategy: StrategySource
    dataset_id: str

    @cached_property
    def books(self) -> Books:
        """Trades and costs, and what does not add up."""
        config = self.config
        lot_size = int(Decimal(config.lot_size) * 10**8)
        return add_up(self.results, config.costs, base=config.base, quote=config.quote, lot_size=lot_size)

    @cached_property
    def equity(self) -> pl.DataFrame:
        """`ts` (ns), `equity` (Float64): at the start and at the end of every bar, fees in a third asset taken off."""
        curve = pl.DataFrame(self.results.equity).with_columns(pl.col("equity").cast(pl.Float64))
        price = self.config.costs.fee_asset_price
        if price is None or not self.results.foreign_fees:
            return curve
        paid = self.fills.select("ts", fees=(pl.col("fee") * float(price)).cum_sum())
        joined = curve.join_asof(paid, on="ts")
        return joined.select("ts", equity=pl.col("equity") - pl.col("fees").fill_null(0.0))

    @cached_property
    def fills(self) -> pl.DataFrame:
        """`ts`, `side`, `price`, `quantity`, `fee` (Float64 whole units), `fee_asset`, `liquidity`, `realized`."""
        exact = pl.DataFrame(self.results.fills)
        return exact.with_columns(pl.col("price", "quantity") / 10**8, pl.col("fee", "realized").cast(pl.Float64))

    @cached_property
    def signals(self) -> pl.DataFrame:
        """`ts_close`, `raw_score`, `probability`, `decision` and the features."""
        return pl.DataFrame(self.results.signals)

    @property
    def sharpe(self) -> float:
        """Per bar, after costs."""
        return sharpe_ratio(simple_returns(self.equity["equity"].to_numpy()))

    def performance(self, trial_sharpes: Sequence[float]) -> Performance:
        """Every measure; `trial_sharpes` per bar, of every trial on these data, this one included."""
        return summarize(
            self.equity["equity"].to_numpy(),
            bar_ns=self.results.bar_ns,
            trade_pnls=list(self.books.trades),
            traded_notional=self.books.traded_notional,
            trial_sharpes=trial_sharpes,
        )

    def trial(self, subject: str, recorded_at_ns: int) -> Trial:
        """The attempt as the ledger takes it."""
        config = self.config.to_mapping()
        limits = config.pop("risk_limits")
        hashed = hashlib.sha256(str(limits).encode()).hexdigest() if limits is not None else None
        return Trial(
            dataset_id=self.dataset_id,
            subject=subject,
            door=DOOR,
            params={"strategy": self.strategy.record(), "config": config, "risk_limits_sha256": hashed},
            seed=self.config.seed,
            sharpe=self.sharpe,
            periods=self.equity.height - 1,
            period_ns=self.results.bar_ns,
            recorded_at_ns=recorded_at_ns,
        )


def backtest(
    replay: Replay,
    strategy: StrategySource,
    config: BacktestConfig,
    *,
    ledger: TrialLedger,
    subject: str,
    recorded_at_ns: int,
) -> Backtest:
    """Run a strategy and append the attempt to the ledger.

    Args:
        replay: the data.
        strategy: what trades.
        config: what is assumed.
        ledger: where the attempt is recorded.
        subject: what was tried, for example the asset's name.
        recorded_at_ns: UTC ns, stated by the caller.

    Raises:
        py_rt_core.CoreError: data, strategy or config cannot be run; nothing is recorded.
        LedgerError: the ledger is broken.
    """
    run = control(replay, strategy, config)
    ledger.append([run.trial(subject, recorded_at_ns)])
    return run


def control(replay: Replay, strategy: StrategySource, config: BacktestConfig) -> Backtest:
    """Run a strategy that nobody could choose, such as a coin's toss: no attempt, so the ledger does not count it.

    Raises:
        py_rt_core.CoreError: data, strategy or config cannot be run.
    """
    mapping: dict[str, object] = {**config.to_mapping(), "start": replay.start_ns}
    results = py_rt_core.backtest_strategy(replay.frame, strategy.to_core(), mapping, replay.trades)
    return Backtest(results, config, strategy, replay.dataset_id)

"""A strategy on one period, judged: as it would be charged, and with its costs guessed too low."""

from __future__ import annotations

import json
from dataclasses import dataclass, replace
from typing import TYPE_CHECKING

from py_rt.analysis.risk_metrics import daily_volatility
from py_rt.analysis.statistics import simple_returns
from py_rt.analysis.visualization import Report
from py_rt.backtesting.engine import Backtest, BacktestConfig, PythonStrategy, StrategySource, backtest, control
from py_rt.backtesting.event_processor import RandomSignal
from py_rt.backtesting.historical_replay import ReplayError

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence

    from py_rt.backtesting.historical_replay import Replay
    from py_rt.backtesting.ledger import JsonValue, TrialLedger
    from py_rt.backtesting.performance import Performance

CONTROL_SEEDS = (1, 2)


@dataclass(frozen=True)
class Evaluation:
    """Two runs of one strategy on one period.

    Attributes:
        base: charged by the costs of the configuration.
        stress: commission and spread `stress_factor` times as high.
        performance: of `base`, deflated by the trials of the ledger.
        stress_performance: of `stress`.
        stress_factor: 2 is the usual one.
        trial_ids: under which the ledger knows the two.
    """

    base: Backtest
    stress: Backtest
    performance: Performance
    stress_performance: Performance
    stress_factor: int
    trial_ids: tuple[str, str]

    @property
    def faults(self) -> tuple[str, ...]:
        """What does not add up in either run, a run without any commission among it."""
        found = [fault for run in (self.base, self.stress) for fault in run.books.faults]
        for name, run in (("base", self.base), ("stress", self.stress)):
            if run.fills.height and not run.books.commission > 0:
                found.append(f"{name}: {run.fills.height} fills were charged no commission")
        return tuple(found)

    def to_dict(self) -> dict[str, JsonValue]:
        """Plain values for JSON."""
        return {
            "base": _numbers(self.base, self.performance),
            "stress": _numbers(self.stress, self.stress_performance),
            "stress_factor": self.stress_factor,
            "dataset_id": self.base.dataset_id,
            "trial_ids": list(self.trial_ids),
            "strategy": self.base.strategy.record(),
            "config": {key: value for key, value in self.base.config.to_mapping().items() if key != "risk_limits"},
        }

    def to_json(self) -> bytes:
        """Canonical JSON."""
        return json.dumps(self.to_dict(), sort_keys=True, allow_nan=False).encode()

    def report(self, replay: Replay, *, title: str, provenance: Mapping[str, str]) -> Report:
        """What the HTML page shows.

        Args:
            replay: the data of the runs, for the price line.
            title: headline.
            provenance: what it was made from.
        """
        run = self.base
        numbers: dict[str, float | int | str | None] = {**self.performance.to_dict(), **_orders(run)}
        numbers[f"total_return at {self.stress_factor} x costs"] = self.stress_performance.total_return
        return Report(
            title=title,
            currency=run.config.quote,
            equity=run.equity,
            prices=replay.prices,
            trades=run.fills,
            costs={
                "commission": run.books.commission,
                "spread, estimated": _spread_paid(run),
                f"commission at {self.stress_factor} x costs": self.stress.books.commission,
            },
            numbers=numbers,
            provenance={"data": run.dataset_id, **provenance},
        )


def _numbers(run: Backtest, performance: Performance) -> dict[str, JsonValue]:
    books = run.books
    return {
        **performance.to_dict(),
        **_orders(run),
        "commission": books.commission,
        "traded_notional": books.traded_notional,
        "final_equity": run.results.final_equity / 10**16,
    }


def _orders(run: Backtest) -> dict[str, int]:
    results = run.results
    ends = {f"orders_{name.lower()}": count for name, count in results.ends.items()}
    denied = sum(results.denials.values())
    return {"orders": results.orders, **ends, "orders_denied": denied, "fills": run.fills.height}


def _spread_paid(run: Backtest) -> float:
    """Half the mean spread on everything that took liquidity."""
    fills, costs = run.fills, run.config.costs
    taken = fills.filter(fills["liquidity"] == "Taker")
    half_ppm = (costs.spread_min_ppm + costs.spread_max_ppm) / 4
    return float((taken["price"] * taken["quantity"]).sum()) * half_ppm / 1e6


def evaluate(
    replay: Replay,
    strategy: StrategySource,
    config: BacktestConfig,
    *,
    ledger: TrialLedger,
    subject: str,
    tried_on: Sequence[str] = (),
    recorded_at_ns: int,
    stress_factor: int = 2,
) -> Evaluation:
    """Run a strategy twice, record both attempts, and deflate by everything that was tried.

    Args:
        replay: the data.
        strategy: what trades.
        config: what is assumed.
        ledger: where attempts are recorded and counted.
        subject: what was tried, for the ledger.
        tried_on: ids of further data sets whose trials led to this strategy, such as its training data.
        recorded_at_ns: UTC ns, stated by the caller.
        stress_factor: commission and spread of the second run, in multiples of those of the first.

    Raises:
        py_rt_core.CoreError: data, strategy or config cannot be run.
        LedgerError: the ledger is broken.
    """
    base, stress = (
        backtest(
            replay,
            strategy,
            replace(config, costs=config.costs.times(factor)),
            ledger=ledger,
            subject=subject,
            recorded_at_ns=recorded_at_ns,
        )
        for factor in (1, stress_factor)
    )
    sharpes = ledger.sharpes([*tried_on, replay.dataset_id], period_ns=base.results.bar_ns)
    return Evaluation(
        base=base,
        stress=stress,
        performance=base.performance(sharpes),
        stress_performance=stress.performance(sharpes),
        stress_factor=stress_factor,
        trial_ids=(
            base.trial(subject, recorded_at_ns).trial_id,
            stress.trial(subject, recorded_at_ns).trial_id,
        ),
    )


def history_volatility(replay: Replay) -> str:
    """Standard deviation of daily returns over the bars before the start, as decimal text.

    Raises:
        ReplayError: there is too little before the start to tell.
    """
    history = replay.history
    if history.height < 3:
        raise ReplayError(f"{history.height} bars before the start are too few to tell a volatility: load more days")
    bar_ns = int(history["ts_open"][1] - history["ts_open"][0])
    returns = simple_returns(history["close"].to_numpy().astype(float))
    return f"{daily_volatility(returns, bar_ns=bar_ns):.8f}"


@dataclass(frozen=True)
class Control:
    """What a coin's toss came to on the same data, at the same costs.

    Attributes:
        profits: by seed, quote currency, after costs.
        commissions: by seed.
        faults: what does not add up.
    """

    profits: tuple[float, ...]
    commissions: tuple[float, ...]
    faults: tuple[str, ...]

    @property
    def loses_its_costs(self) -> bool:
        """Whether every coin traded and lost at least half of what it paid: luck covers part of it, never all."""
        paid = zip(self.profits, self.commissions, strict=True)
        return all(commission > 0 and profit <= -commission / 2 for profit, commission in paid) and not self.faults


def random_control(replay: Replay, config: BacktestConfig, seeds: Sequence[int] = CONTROL_SEEDS) -> Control:
    """Toss a coin at every bar, once for each seed: a simulator in which that earns money is wrong."""
    runs = [control(replay, PythonStrategy(RandomSignal(seed=seed), name="random"), config) for seed in seeds]
    return Control(
        profits=tuple((run.results.final_equity - run.results.capital) / 10**16 for run in runs),
        commissions=tuple(run.books.commission for run in runs),
        faults=tuple(fault for run in runs for fault in run.books.faults),
    )

"""Backtests: the month's model, out of sample, through the engine that will trade it; and how much of it is luck.

Partition M trades month M with the model that was trained before M began. Every run is a line in the trial ledger.
"""

import hashlib
import io
import json
import time
from collections.abc import Iterator, Mapping
from pathlib import Path

import dagster as dg
import polars as pl
from pydantic import Field

from assets.beside import KNOWN_FILE, bars_beside, deps_on, reads_flow, reads_of_features
from assets.models import STRATEGY_FILE
from assets.outputs import picture
from assets.outside import Made, Outside, Question
from assets.partitions import monthly
from assets.versions import code_version
from py_rt.analysis import visualization
from py_rt.backtesting import engine, evaluation, historical_replay, performance
from py_rt.backtesting.engine import BacktestConfig, ThresholdModel
from py_rt.backtesting.evaluation import Control, Evaluation, evaluate, history_volatility, random_control
from py_rt.backtesting.historical_replay import Replay, bars_replay
from py_rt.backtesting.ledger import TrialLedger
from py_rt.backtesting.slippage_models import CostModel
from py_rt.data.storage import Lake, content_hash
from py_rt.defaults import default_root
from py_rt.ml.features import known_tables
from py_rt.ml.features.technical import FeatureSet

GROUP = "backtests"
LIMITS_FILE = default_root() / "config" / "risk_limits.toml"
WANTED_DEFLATED_SHARPE = 0.95
LUCK = (
    "periods",
    "bar_ns",
    "sharpe",
    "annual_sharpe",
    "skew",
    "kurtosis",
    "probabilistic_sharpe",
    "trials",
    "trial_sharpe_variance",
    "expected_max_sharpe",
    "deflated_sharpe",
    "min_track_record_periods",
    "min_backtest_years",
)

Files = dict[str, bytes]


# The whole month before warms the features and says how volatile the market is.
_with_month_before = dg.TimeWindowPartitionMapping(start_offset=-1, allow_nonexistent_upstream_partitions=True)


class BacktestSettings(dg.Config):
    """Account, costs and seed of the simulated venue; numbers with a fraction are text, so that they stay exact."""

    capital: str = "50000"
    maker_bps: str = "10"
    taker_bps: str = "10"
    spread_min_ppm: int = 10
    spread_max_ppm: int = 100
    latency_ms: str = "50"
    latency_jitter_ms: str = "10"
    seed: int = 7
    stress_factor: int = Field(default=2, ge=1)

    def costs(self) -> CostModel:
        """Commission, spread and latency."""
        return CostModel(
            maker_bps=self.maker_bps,
            taker_bps=self.taker_bps,
            spread_min_ppm=self.spread_min_ppm,
            spread_max_ppm=self.spread_max_ppm,
            latency_ms=self.latency_ms,
            latency_jitter_ms=self.latency_jitter_ms,
        )


def _study_data(study: Files) -> str:
    """The data set on which the model's parameters were searched."""
    return str(json.loads(study["study.json"])["dataset_id"])


@dg.asset(
    group_name=GROUP,
    partitions_def=monthly,
    deps=deps_on(reads_of_features(), flow=reads_flow(), before=1, inputs=("clean_bars",), monthly=True),
    code_version=code_version(
        __name__,
        "assets.beside",
        engine,
        evaluation,
        historical_replay,
        visualization,
        known_tables,
        files=[STRATEGY_FILE, LIMITS_FILE, KNOWN_FILE],
    ),
    kinds={"rust", "plotly"},
    io_manager_key="artifacts",
    ins={"clean_bars": dg.AssetIn(partition_mapping=_with_month_before)},
    check_specs=[
        dg.AssetCheckSpec("books_balance", asset="backtest_threshold", blocking=True),
        dg.AssetCheckSpec("random_signal_loses_its_costs", asset="backtest_threshold", blocking=True),
        dg.AssetCheckSpec("profit_survives_higher_costs", asset="backtest_threshold"),
    ],
)
def backtest_threshold(  # noqa: PLR0913, PLR0917  # what it reads
    context: dg.AssetExecutionContext,
    config: BacktestSettings,
    ledger: dg.ResourceParam[TrialLedger],
    reports: dg.ResourceParam[Path],
    lake: dg.ResourceParam[Lake],
    clean_bars: pl.DataFrame,
    model_spec: Files,
    hyperparameter_study: Files,
    onnx_model: Files,
) -> Iterator[dg.Output[Files] | dg.AssetCheckResult]:
    """The strategy file's thresholds on the month's model, with commission, spread and latency; twice as dear too."""
    window = context.partition_time_window
    features = FeatureSet.from_canonical(model_spec["features.json"].decode())
    beside = bars_beside(clean_bars, features, lake)
    replay = bars_replay(beside.bars, start=window.start, end=window.end, beside=beside.columns)
    strategy = ThresholdModel(onnx_model["model.onnx"], model_spec["features.json"], STRATEGY_FILE.read_text())
    assumed = BacktestConfig(
        capital=config.capital,
        costs=config.costs(),
        seed=config.seed,
        risk_limits=LIMITS_FILE.read_text(),
        daily_volatility=history_volatility(replay),
    )
    evaluated = evaluate(
        replay,
        strategy,
        assumed,
        ledger=ledger,
        subject="backtest_threshold",
        tried_on=[_study_data(hyperparameter_study)],
        recorded_at_ns=time.time_ns(),
        stress_factor=config.stress_factor,
    )
    page = _write_page(reports, f"{window.start:%Y-%m}", replay, evaluated)
    yield _output(evaluated, page, beside.words)
    yield from _checks(evaluated, random_control(replay, assumed))


def _page_name(month: str) -> str:
    return f"backtest_threshold-{month}.html"


def _write_page(reports: Path, month: str, replay: Replay, evaluated: Evaluation) -> Path:
    """Write the HTML page; the same page under the same name for the same month."""
    provenance = {key: str(value) for key, value in evaluated.base.strategy.record().items()}
    report = evaluated.report(replay, title=f"backtest_threshold {month}", provenance=provenance)
    page = reports / _page_name(month)
    reports.mkdir(parents=True, exist_ok=True)
    page.write_text(visualization.html_report(report), encoding="utf-8")
    return page


def _output(evaluated: Evaluation, page: Path, unknown: str) -> dg.Output[Files]:
    run = evaluated.base
    files = {
        "backtest.json": evaluated.to_json(),
        "equity.parquet": _parquet(run.equity),
        "fills.parquet": _parquet(pl.DataFrame(run.results.fills)),
        "signals.parquet": _parquet(run.signals),
    }
    png = visualization.equity_png(run.equity, title=page.stem, currency=run.config.quote)
    content = content_hash(run.fills) + content_hash(run.equity)
    return dg.Output(
        files,
        data_version=dg.DataVersion(hashlib.sha256(content.encode()).hexdigest()),
        metadata={
            **_shown(evaluated),
            "dataset_id": evaluated.base.dataset_id,
            "trial_ids": list(evaluated.trial_ids),
            "unknown_columns": unknown,
            "equity": picture(png, page.stem),
            "report": dg.MetadataValue.path(str(page)),
            "report_url": dg.MetadataValue.url(page.absolute().as_uri()),
        },
    )


def _shown(evaluated: Evaluation) -> dict[str, float | int]:
    """Numbers that the user interface plots over the months; what is undefined is left out."""
    numbers = evaluated.performance
    shown = {
        "sharpe_annual": numbers.annual_sharpe,
        "sortino": numbers.sortino,
        "calmar": numbers.calmar,
        "max_drawdown": numbers.max_drawdown,
        "win_rate": numbers.win_rate,
        "profit_factor": numbers.profit_factor,
        "turnover": numbers.turnover,
        "deflated_sharpe": numbers.deflated_sharpe,
        "total_return": numbers.total_return,
        "total_return_stress": evaluated.stress_performance.total_return,
        "commission": evaluated.base.books.commission,
    }
    counts = {"trials": numbers.trials, "trades": numbers.trades, "orders": evaluated.base.results.orders}
    return {key: float(value) for key, value in shown.items() if value is not None} | counts


def _parquet(frame: pl.DataFrame) -> bytes:
    buffer = io.BytesIO()
    frame.write_parquet(buffer)
    return buffer.getvalue()


def _checks(evaluated: Evaluation, control: Control) -> Iterator[dg.AssetCheckResult]:
    faults = evaluated.faults
    yield dg.AssetCheckResult(
        check_name="books_balance",
        passed=not faults,
        description="Position and equity follow from the fills to the unit, and every fill was charged its rate.",
        metadata={"faults": list(faults[:10]), "fills": evaluated.base.fills.height},
    )
    yield dg.AssetCheckResult(
        check_name="random_signal_loses_its_costs",
        passed=control.loses_its_costs,
        description="A coin's toss at every bar, on the same data at the same costs, loses at least half of them.",
        metadata={"profits": list(control.profits), "commissions": list(control.commissions)},
    )
    after = evaluated.stress_performance.total_return
    yield dg.AssetCheckResult(
        check_name="profit_survives_higher_costs",
        passed=after > 0,
        severity=dg.AssetCheckSeverity.WARN,
        description=f"The strategy earns money even where commission and spread are {evaluated.stress_factor} x.",
        metadata={"total_return": evaluated.performance.total_return, "total_return_stress": after},
    )


@dg.asset(
    group_name=GROUP,
    partitions_def=monthly,
    code_version=code_version(__name__, performance),
    kinds={"json"},
    io_manager_key="artifacts",
    check_specs=[
        dg.AssetCheckSpec("ledger_holds_the_trials", asset="overfit_report", blocking=True),
        dg.AssetCheckSpec("probably_not_luck", asset="overfit_report"),
    ],
)
def overfit_report(
    ledger: dg.ResourceParam[TrialLedger], hyperparameter_study: Files, backtest_threshold: Files
) -> Iterator[dg.Output[Files] | dg.AssetCheckResult]:
    """How much of the month's result is luck, given everything that the ledger says was tried for it."""
    run = json.loads(backtest_threshold["backtest.json"])
    equity = pl.read_parquet(backtest_threshold["equity.parquet"])
    datasets = [_study_data(hyperparameter_study), str(run["dataset_id"])]
    numbers = _luck(equity, ledger.sharpes(datasets, period_ns=run["base"]["bar_ns"]), run["base"]["bar_ns"])
    head = ledger.head()
    anchor = ledger.anchor(datasets)
    body = {**numbers, "datasets": datasets, "ledger": {"count": anchor.count, "sha256": anchor.sha256}}
    content = json.dumps(body, sort_keys=True, allow_nan=False).encode()
    found = {key: value for key, value in numbers.items() if value is not None}
    yield dg.Output(
        {"overfit.json": content},
        data_version=dg.DataVersion(hashlib.sha256(content).hexdigest()),
        metadata={**found, "datasets": datasets, "ledger_count": anchor.count, "ledger_sha256": anchor.sha256},
    )
    missing = set(run["trial_ids"]) - {trial.trial_id for trial in ledger.trials(datasets)}
    yield dg.AssetCheckResult(
        check_name="ledger_holds_the_trials",
        passed=not missing,
        description="The chain is unbroken and both runs of the month stand in it.",
        metadata={"missing": sorted(missing), "lines": head.count, "sha256": head.sha256},
    )
    deflated = float(numbers["deflated_sharpe"] or 0.0)
    yield dg.AssetCheckResult(
        check_name="probably_not_luck",
        passed=deflated >= WANTED_DEFLATED_SHARPE,
        severity=dg.AssetCheckSeverity.WARN,
        description="The probability that the true Sharpe ratio beats the best of so many worthless trials.",
        metadata={"deflated_sharpe": deflated, "wanted": WANTED_DEFLATED_SHARPE},
    )


def _luck(equity: pl.DataFrame, sharpes: list[float], bar_ns: int) -> dict[str, float | int | None]:
    """The measures that say how far a Sharpe ratio is to be believed."""
    curve = equity["equity"].to_numpy()
    numbers = performance.summarize(curve, bar_ns=bar_ns, trade_pnls=[], traded_notional=0.0, trial_sharpes=sharpes)
    return {name: value for name, value in numbers.to_dict().items() if name in LUCK}


def _run_lost(outside: Outside, made: Made) -> str | None:
    if not (outside.reports / _page_name((made.partition or "")[:7])).is_file():
        return "its report page is gone"
    kept = outside.trials.get(str(made.metadata.get("dataset_id")), frozenset())
    return None if kept.issuperset(made.metadata.get("trial_ids", ())) else "the ledger has lost its trials"


def _tried_since(outside: Outside, made: Made) -> str | None:
    head = outside.anchor(made.metadata.get("datasets", ()))
    counted = (made.metadata.get("ledger_count"), made.metadata.get("ledger_sha256"))
    return None if counted == (head.count, head.sha256) else "the ledger holds other trials of its data"


OUTSIDE: Mapping[str, Question] = {"backtest_threshold": _run_lost, "overfit_report": _tried_since}

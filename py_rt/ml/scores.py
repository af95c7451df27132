"""How well probabilities predict, and what trading on them would have earned before any engine is asked.

The strategy's thresholds are its own business; :class:`SignalPolicy` is a plain stand-in that gives every trial of a
study a Sharpe ratio for the ledger. The engine's backtest, not this, says what a strategy earns.
"""

from __future__ import annotations

import math
from dataclasses import asdict, dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray

from py_rt.backtesting.performance import calmar_ratio, sharpe_ratio
from py_rt.errors import PyRtError
from py_rt.ml.validation import Int64Array, non_overlapping

Float64Array = NDArray[np.float64]
Int8Array = NDArray[np.int8]

QUANTILES = (0.0, 0.01, 0.05, 0.25, 0.5, 0.75, 0.95, 0.99, 1.0)
CALIBRATION_BINS = 10


class ScoreError(PyRtError):
    """Probabilities or labels that cannot be scored."""


@dataclass(frozen=True)
class CalibrationBin:
    """One tenth of the rows by probability: what was said and what came."""

    low: float
    high: float
    rows: int
    mean_probability: float
    observed_share: float


@dataclass(frozen=True)
class Scores:
    """Quality of probabilities on rows the model was not trained on.

    ``base_log_loss`` is what always answering ``prior`` (the training rows' share of label 1) would score;
    ``majority_accuracy`` what always answering the more frequent label would. ``auc`` is None with one label only.
    ``quantiles`` are those of the probabilities at :data:`QUANTILES`: where thresholds can bite at all.
    """

    rows: int
    positive_share: float
    prior: float
    auc: float | None
    log_loss: float
    base_log_loss: float
    brier: float
    accuracy: float
    majority_accuracy: float
    quantiles: tuple[float, ...]
    calibration: tuple[CalibrationBin, ...]

    def to_dict(self) -> dict[str, Any]:
        """Plain values for JSON and asset metadata."""
        return {**asdict(self), "quantiles": list(self.quantiles), "calibration": [asdict(b) for b in self.calibration]}


def classification_scores(labels: Int8Array, probabilities: Float64Array, *, prior: float) -> Scores:
    """Scores of probabilities [N] of label 1 against labels [N] of 0 and 1; at least ten rows.

    Raises:
        ScoreError: shapes differ, too few rows, a value outside [0, 1], a label that is not 0 or 1.

    >>> labels = np.array([0, 1] * 10, dtype=np.int8)
    >>> s = classification_scores(labels, np.where(labels == 1, 0.8, 0.3), prior=0.5)
    >>> s.auc, s.accuracy, round(s.brier, 3), round(s.base_log_loss, 4)
    (1.0, 1.0, 0.065, 0.6931)
    """
    from sklearn.metrics import brier_score_loss, log_loss, roc_auc_score

    _check(labels, probabilities, prior)
    positive = float(labels.mean())
    single = positive in {0.0, 1.0}
    return Scores(
        rows=labels.size,
        positive_share=positive,
        prior=prior,
        auc=None if single else float(roc_auc_score(labels, probabilities)),
        log_loss=float(log_loss(labels, probabilities, labels=[0, 1])),
        base_log_loss=float(log_loss(labels, np.full(labels.size, prior), labels=[0, 1])),
        brier=float(brier_score_loss(labels, probabilities, pos_label=1)),
        accuracy=float(((probabilities > 0.5) == (labels == 1)).mean()),
        majority_accuracy=max(positive, 1.0 - positive),
        quantiles=tuple(float(item) for item in np.quantile(probabilities, QUANTILES)),
        calibration=_calibration(labels, probabilities),
    )


def _check(labels: Int8Array, probabilities: Float64Array, prior: float) -> None:
    if labels.shape != probabilities.shape or labels.ndim != 1 or labels.size < CALIBRATION_BINS:
        raise ScoreError(
            f"labels have shape {labels.shape}, probabilities {probabilities.shape}; expected two equal "
            f"one-dimensional arrays of at least {CALIBRATION_BINS} rows"
        )
    if not ((probabilities >= 0) & (probabilities <= 1)).all() or not 0.0 < prior < 1.0:
        raise ScoreError(f"probabilities must lie in [0, 1] and the prior ({prior}) inside (0, 1)")
    if not np.isin(labels, (0, 1)).all():
        raise ScoreError("labels must be 0 or 1")


def _calibration(labels: Int8Array, probabilities: Float64Array) -> tuple[CalibrationBin, ...]:
    order = np.argsort(probabilities, kind="stable")
    return tuple(
        CalibrationBin(
            low=float(probabilities[part[0]]),
            high=float(probabilities[part[-1]]),
            rows=int(part.size),
            mean_probability=float(probabilities[part].mean()),
            observed_share=float(labels[part].mean()),
        )
        for part in np.array_split(order, CALIBRATION_BINS)
    )


@dataclass(frozen=True)
class SignalPolicy:
    """Long above ``entry``, flat below ``exit``, otherwise as before; ``cost_bps`` of the position at each change."""

    entry: float = 0.55
    exit: float = 0.45
    cost_bps: float = 10.0

    def __post_init__(self) -> None:
        """Refuses thresholds out of order and negative costs."""
        if not 0.0 < self.exit <= self.entry < 1.0 or not self.cost_bps >= 0:
            raise ScoreError(f"policy is {self}; expected 0 < exit <= entry < 1 and cost_bps >= 0")

    def positions(self, probabilities: Float64Array) -> Float64Array:
        """Position 0 or 1 held over each period, decided at its start.

        >>> SignalPolicy(entry=0.6, exit=0.4).positions(np.array([0.5, 0.7, 0.5, 0.3])).tolist()
        [0.0, 1.0, 1.0, 0.0]
        """
        positions = np.empty(probabilities.size)
        held = 0.0
        for row, probability in enumerate(probabilities.tolist()):
            if probability > self.entry:
                held = 1.0
            elif probability < self.exit:
                held = 0.0
            positions[row] = held
        return positions

    def returns(self, probabilities: Float64Array, asset_returns: Float64Array) -> Float64Array:
        """Per-period returns after costs, on periods that follow each other; it starts flat.

        >>> SignalPolicy(cost_bps=100).returns(np.array([0.9, 0.1]), np.array([0.05, 0.05])).round(6).tolist()
        [0.04, -0.01]
        """
        held = self.positions(probabilities)
        changes = np.abs(np.diff(held, prepend=0.0))
        result: Float64Array = held * asset_returns - changes * self.cost_bps / 10_000.0
        return result


@dataclass(frozen=True)
class PolicyScore:
    """What a policy would have earned.

    Attributes:
        sharpe: ratio per period, after costs.
        calmar: annual growth over the deepest drawdown; 0 without a drawdown, where it is undefined.
        periods: number of periods.
        period_ns: length of one, nanoseconds.
        changes: position changes.
    """

    sharpe: float
    calmar: float
    periods: int
    period_ns: int
    changes: int


def policy_score(
    policy: SignalPolicy,
    probabilities: Float64Array,
    asset_returns: Float64Array,
    *,
    starts: Int64Array,
    ends: Int64Array,
) -> PolicyScore:
    """Ratios of a policy whose return at row t runs from ``starts[t]`` to ``ends[t]``.

    Rows overlap when the label looks further than one row. The policy is run on every chain of rows that follow each
    other without overlap (with horizon h there are h chains), and the chains' ratios are averaged; ``changes`` and
    ``periods`` are those of the first chain.

    Raises:
        ScoreError: fewer than three periods in the first chain.
    """
    chains = max(1, int(np.searchsorted(starts, ends[0], side="left"))) if starts.size else 0
    picked = [non_overlapping(starts, ends, first=chain) for chain in range(chains)]
    if not picked or picked[0].size < 3:
        raise ScoreError(f"{starts.size} rows give too few periods that do not overlap; at least 3 are needed")
    period_ns = int(np.median(ends - starts))
    earned = [policy.returns(probabilities[chain], asset_returns[chain]) for chain in picked if chain.size >= 2]
    changes = np.abs(np.diff(policy.positions(probabilities[picked[0]]), prepend=0.0)).sum()
    return PolicyScore(
        sharpe=float(np.mean([sharpe_ratio(returns) for returns in earned])),
        calmar=float(np.mean([_calmar(returns, period_ns) for returns in earned])),
        periods=int(picked[0].size),
        period_ns=period_ns,
        changes=int(changes),
    )


def _calmar(returns: Float64Array, period_ns: int) -> float:
    equity = np.cumprod(np.concatenate([[1.0], 1.0 + returns]))
    ratio = calmar_ratio(equity, bar_ns=period_ns)
    return ratio if math.isfinite(ratio) else 0.0

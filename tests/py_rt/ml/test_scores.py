"""Scores of probabilities and the stand-in policy."""

from __future__ import annotations

import itertools
import math

import numpy as np
import pytest

from py_rt.ml.scores import ScoreError, SignalPolicy, classification_scores, policy_score

LABELS = np.array([0, 1, 1, 0, 1, 0, 0, 1, 1, 0, 1, 0], dtype=np.int8)


def test_scores_by_hand() -> None:
    probabilities = np.where(LABELS == 1, 0.7, 0.4)
    probabilities[1] = 0.3  # a miss below every negative
    scores = classification_scores(LABELS, probabilities, prior=0.4)
    assert scores.auc == pytest.approx(5 / 6)
    assert scores.accuracy == pytest.approx(11 / 12)
    assert scores.log_loss == pytest.approx(-(5 * math.log(0.7) + math.log(0.3) + 6 * math.log(0.6)) / 12)
    assert scores.base_log_loss == pytest.approx(-(6 * math.log(0.4) + 6 * math.log(0.6)) / 12)
    assert scores.brier == pytest.approx((5 * 0.09 + 0.49 + 6 * 0.16) / 12)
    assert scores.quantiles[0] == 0.3
    assert scores.quantiles[-1] == 0.7


def test_calibration_covers_every_row_once_in_order() -> None:
    rng = np.random.default_rng(1)
    probabilities = rng.uniform(size=1_003)
    labels = (rng.uniform(size=1_003) < probabilities).astype(np.int8)
    bins = classification_scores(labels, probabilities, prior=0.5).calibration
    assert sum(item.rows for item in bins) == 1_003
    assert all(one.high <= two.low for one, two in itertools.pairwise(bins))
    assert all(abs(item.mean_probability - item.observed_share) < 0.15 for item in bins)


def test_one_label_only_has_no_auc() -> None:
    scores = classification_scores(np.ones(12, dtype=np.int8), np.full(12, 0.6), prior=0.5)
    assert scores.auc is None
    assert scores.to_dict()["auc"] is None


@pytest.mark.parametrize(
    ("labels", "probabilities", "prior", "message"),
    [
        (LABELS, np.full(11, 0.5), 0.5, "two equal"),
        (LABELS[:5], np.full(5, 0.5), 0.5, "at least 10 rows"),
        (LABELS, np.full(12, 1.5), 0.5, r"\[0, 1\]"),
        (LABELS, np.full(12, np.nan), 0.5, r"\[0, 1\]"),
        (LABELS, np.full(12, 0.5), 1.0, "prior"),
        (LABELS * 2, np.full(12, 0.5), 0.5, "must be 0 or 1"),
    ],
)
def test_unfit_input_is_refused(labels: np.ndarray, probabilities: np.ndarray, prior: float, message: str) -> None:
    with pytest.raises(ScoreError, match=message):
        classification_scores(labels, probabilities, prior=prior)


def test_a_policy_pays_for_every_change_and_starts_flat() -> None:
    policy = SignalPolicy(entry=0.6, exit=0.4, cost_bps=10)
    probabilities = np.array([0.5, 0.61, 0.45, 0.39, 0.6, 0.7])
    assert policy.positions(probabilities).tolist() == [0, 1, 1, 0, 0, 1]
    returns = policy.returns(probabilities, np.full(6, 0.01))
    assert returns.tolist() == pytest.approx([0.0, 0.009, 0.01, -0.001, 0.0, 0.009])


def test_a_random_signal_loses_its_costs() -> None:
    rng = np.random.default_rng(3)
    rows = 40_000
    starts = np.arange(rows, dtype=np.int64)
    free, paid = (
        policy_score(
            SignalPolicy(entry=0.5, exit=0.5, cost_bps=cost),
            rng.uniform(size=rows),
            rng.normal(0, 0.002, size=rows),
            starts=starts,
            ends=starts + 1,
        )
        for cost in (0.0, 10.0)
    )
    assert abs(free.sharpe) < 0.02
    # Half of the periods change the position: 5 bps a period against a deviation of 0.2 % / sqrt 2.
    assert paid.sharpe == pytest.approx(-0.0005 / math.sqrt(0.002**2 / 2 + 0.0005**2), abs=0.03)


def test_overlapping_returns_are_not_counted_twice() -> None:
    rng = np.random.default_rng(4)
    starts = np.arange(400, dtype=np.int64)
    score = policy_score(
        SignalPolicy(entry=0.5, exit=0.5, cost_bps=0),
        np.full(400, 0.9),
        rng.normal(0.001, 0.01, size=400),
        starts=starts,
        ends=starts + 4,
    )
    assert (score.periods, score.period_ns, score.changes) == (100, 4, 1)


def test_a_policy_that_never_trades_has_sharpe_zero() -> None:
    starts = np.arange(50, dtype=np.int64)
    score = policy_score(SignalPolicy(), np.full(50, 0.5), np.full(50, 0.01), starts=starts, ends=starts + 4)
    assert (score.sharpe, score.calmar, score.changes) == (0.0, 0.0, 0)


def test_calmar_of_a_policy_is_that_of_its_equity() -> None:
    year = 365 * 86_400 * 10**9
    starts = np.arange(3, dtype=np.int64) * year
    score = policy_score(
        SignalPolicy(cost_bps=0), np.full(3, 0.9), np.array([0.5, -0.2, 0.25]), starts=starts, ends=starts + year
    )
    assert score.calmar == pytest.approx((1.5 ** (1 / 3) - 1) / 0.2)


def test_policies_out_of_order_and_too_few_rows_are_refused() -> None:
    with pytest.raises(ScoreError, match="0 < exit <= entry < 1"):
        SignalPolicy(entry=0.4, exit=0.6)
    empty = np.zeros(0, dtype=np.int64)
    with pytest.raises(ScoreError, match="at least 3"):
        policy_score(SignalPolicy(), np.zeros(0), np.zeros(0), starts=empty, ends=empty)

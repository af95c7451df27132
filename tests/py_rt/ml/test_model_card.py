"""The model card says what the numbers say, good or bad."""

from __future__ import annotations

from dataclasses import replace

import numpy as np
import pytest

from py_rt.ml.model_card import CardFacts, SearchRecord, auc_standard_error, model_card
from py_rt.ml.models.classifiers import LightGbmParams
from py_rt.ml.pipeline import TrainedModel
from py_rt.ml.scores import Scores, classification_scores

BAR_NS = 900 * 10**9
MODEL = TrainedModel(
    text="",
    params=LightGbmParams(),
    seed=7,
    feature_names=("rsi_14", "macd"),
    feature_spec_sha256="ab" * 32,
    dataset_id="cd" * 32,
    rows=2_880,
    first_ts_ns=1_633_046_400 * 10**9,
    last_label_end_ns=(1_633_046_400 + 30 * 86_400) * 10**9,
    prior=0.5,
)
SEARCH = SearchRecord(
    trials=12,
    objective="log_loss",
    cost_bps=10.0,
    period_ns=4 * BAR_NS,
    auc=0.56,
    log_loss=0.6925,
    base_log_loss=0.6931,
    fold_aucs=(0.55, None, 0.57),
    chosen_sharpe=0.02,
    best_sharpe=0.05,
    worst_sharpe=-0.04,
)


def scores(skill: float) -> Scores:
    rng = np.random.default_rng(1)
    labels = rng.integers(0, 2, size=400).astype(np.int8)
    return classification_scores(labels, 0.5 + skill * (labels.astype(np.float64) - 0.5), prior=0.5)


def card(out_of_sample: Scores | None, search: SearchRecord = SEARCH) -> str:
    facts = CardFacts("model_lgbm", "BTCUSDT", "2021-11", BAR_NS, search, out_of_sample, ("Volumes are imputed.",))
    return model_card(MODEL, facts)


def test_it_states_what_the_model_is_made_of() -> None:
    text = card(scores(0.1))
    for part in (
        "4 bars (60 minutes)",
        "2,880",
        "2021-10-01 00:00 UTC",
        "2021-10-31 00:00 UTC",
        "ab" * 32,
        "cd" * 32,
        "12 parameter sets",
        "0.5500, undefined, 0.5700",
        "from -0.0400 to +0.0500",
        "chosen one is +0.0200",
        "span 30 days",
        "- Volumes are imputed.",
    ):
        assert part in text
    assert text.count("\n| 0.") == 10


def test_no_skill_is_called_no_skill() -> None:
    assert "It shows no skill" in card(scores(-0.1))
    assert "It shows no skill" not in card(scores(0.1))
    assert "improves on the base rate's log loss by 0." in card(scores(0.1))


def test_losing_out_of_fold_is_said() -> None:
    assert "loses money after costs" in card(scores(0.1), replace(SEARCH, chosen_sharpe=-0.01))
    assert "loses money after costs" not in card(scores(0.1))


def test_a_month_to_come_has_no_numbers() -> None:
    text = card(None)
    assert "No rows of this month were there" in text
    assert "Brier" not in text


def test_the_standard_error_of_an_auc_without_skill_agrees_with_a_simulation() -> None:
    rng = np.random.default_rng(2)
    draws = []
    for _ in range(2_000):
        ranks = rng.permutation(100).argsort() + 1
        draws.append((ranks[:40].sum() - 40 * 41 / 2) / (40 * 60))
    assert np.std(draws) == pytest.approx(auc_standard_error(40, 60), rel=0.05)

"""The model card: what the model is, how it did on rows it had not seen, and why that proves little.

Markdown, made from numbers only; it goes into the bundle's ``reports/model_card.md`` and the asset's page.
"""

from __future__ import annotations

import math
from dataclasses import dataclass
from datetime import UTC, datetime
from typing import TYPE_CHECKING

from py_rt.ml.scores import QUANTILES, Scores

if TYPE_CHECKING:
    from collections.abc import Sequence

    from py_rt.ml.pipeline import TrainedModel

NS_PER_SECOND = 10**9
NS_PER_DAY = 86_400 * NS_PER_SECOND


@dataclass(frozen=True)
class SearchRecord:
    """How the model's parameters were found.

    Attributes:
        trials: parameter sets tried on this data set.
        objective: what chose among them.
        cost_bps: per side, charged by the policy behind the Sharpe ratios.
        period_ns: the label's horizon, which is the Sharpe ratios' period, in nanoseconds.
        auc: of the chosen set, out of fold; None when undefined.
        log_loss: of the chosen set, out of fold.
        base_log_loss: of always answering the base rate.
        fold_aucs: the chosen set's AUC by fold.
        chosen_sharpe: per period.
        best_sharpe: over all trials.
        worst_sharpe: over all trials.
    """

    trials: int
    objective: str
    cost_bps: float
    period_ns: int
    auc: float | None
    log_loss: float
    base_log_loss: float
    fold_aucs: tuple[float | None, ...]
    chosen_sharpe: float
    best_sharpe: float
    worst_sharpe: float


@dataclass(frozen=True)
class CardFacts:
    """What the card states beyond the model itself.

    Attributes:
        name: the model's name.
        instrument: what it predicts.
        month: the month it is meant for.
        bar_ns: length of a bar in nanoseconds.
        search: how it was found.
        out_of_sample: scores on that month; None while the month has no rows.
        data_notes: sentences about weaknesses of the source.
        predicts: what label 1 means, where it is no return over a fixed horizon: "the probability that ...".
    """

    name: str
    instrument: str
    month: str
    bar_ns: int
    search: SearchRecord
    out_of_sample: Scores | None
    data_notes: Sequence[str] = ()
    predicts: str = ""

    @property
    def horizon_bars(self) -> int:
        """Bars the label looks ahead."""
        return self.search.period_ns // self.bar_ns


def auc_standard_error(positives: float, negatives: float) -> float:
    """Standard error of the AUC of a model that knows nothing: ``sqrt((p + n + 1) / (12 p n))`` (Mann and Whitney).

    Counts may be fractional: overlapping labels are worth fewer rows than there are.

    >>> round(auc_standard_error(300, 300), 4)
    0.0236
    """
    if not (positives > 0 and negatives > 0):
        return math.inf
    return math.sqrt((positives + negatives + 1.0) / (12.0 * positives * negatives))


def model_card(model: TrainedModel, facts: CardFacts) -> str:
    """The card as markdown; ends with a newline."""
    parts = [
        f"# Model card: {facts.name}",
        _what(model, facts),
        "## Out-of-fold results on the training months",
        _cross_validation(facts),
        f"## Out-of-sample month {facts.month}",
        _out_of_sample(facts),
        "## What these numbers do not show",
        _weakness(model, facts),
    ]
    return "\n\n".join(parts) + "\n"


def _day(ns: int) -> str:
    return datetime.fromtimestamp(ns // NS_PER_SECOND, tz=UTC).strftime("%Y-%m-%d %H:%M UTC")


def _number(value: float | None, digits: int = 4) -> str:
    return "undefined" if value is None else f"{value:.{digits}f}"


def _what(model: TrainedModel, facts: CardFacts) -> str:
    horizon_minutes = facts.horizon_bars * facts.bar_ns // (60 * NS_PER_SECOND)
    ahead = f"the close {facts.horizon_bars} bars ({horizon_minutes} minutes) ahead is above the present one"
    params = ", ".join(f"{key} {value:g}" for key, value in model.params.to_dict().items())
    return "\n".join(
        [
            f"LightGBM binary classifier for {facts.instrument}: the probability that {facts.predicts or ahead}.",
            "",
            "| | |",
            "|---|---|",
            f"| training rows | {model.rows:,} |",
            f"| first decision | {_day(model.first_ts_ns)} |",
            f"| last label known | {_day(model.last_label_end_ns)} |",
            f"| share of label 1 | {model.prior:.4f} |",
            f"| features | {', '.join(model.feature_names)} |",
            f"| feature specification | {model.feature_spec_sha256} |",
            f"| data set (SHA-256 of its content) | {model.dataset_id} |",
            f"| parameters | {params} |",
            f"| seed | {model.seed} |",
        ]
    )


def _cross_validation(facts: CardFacts) -> str:
    search = facts.search
    return "\n".join(
        [
            "Purged, embargoed walk-forward: every fold trains only on labels known before its test block begins.",
            "",
            f"- AUC {_number(search.auc)}; by fold {', '.join(_number(item) for item in search.fold_aucs)}",
            f"- log loss {search.log_loss:.5f}; always answering the base rate scores {search.base_log_loss:.5f}",
            (
                f"- {search.trials} parameter sets were tried on this data set and chosen by {search.objective}; their "
                f"Sharpe ratios per {facts.horizon_bars}-bar period, after {search.cost_bps:g} bps a side, run from "
                f"{search.worst_sharpe:+.4f} to {search.best_sharpe:+.4f}; that of the chosen one is "
                f"{search.chosen_sharpe:+.4f}"
            ),
        ]
    )


def _out_of_sample(facts: CardFacts) -> str:
    scores = facts.out_of_sample
    if scores is None:
        return "No rows of this month were there when the model was trained."
    independent = scores.rows / facts.horizon_bars
    error = auc_standard_error(independent * scores.positive_share, independent * (1.0 - scores.positive_share))
    quantiles = ", ".join(f"{100 * q:g}%: {v:.4f}" for q, v in zip(QUANTILES, scores.quantiles, strict=True))
    lines = [
        f"- rows {scores.rows:,}, of which label 1: {scores.positive_share:.4f}",
        (
            f"- AUC {_number(scores.auc)}; a model that knows nothing scores 0.5 with a standard error of {error:.4f} "
            f"(labels overlap, so {scores.rows:,} rows are worth about {independent:,.0f})"
        ),
        f"- log loss {scores.log_loss:.5f}; the training months' base rate scores {scores.base_log_loss:.5f}",
        f"- accuracy {scores.accuracy:.4f}; the more frequent label alone scores {scores.majority_accuracy:.4f}",
        f"- Brier score {scores.brier:.5f}",
        f"- probabilities by quantile: {quantiles}",
        "",
        "| probability from | to | rows | mean said | share that came |",
        "|---|---|---|---|---|",
    ]
    lines += [
        f"| {item.low:.4f} | {item.high:.4f} | {item.rows} | {item.mean_probability:.4f} | {item.observed_share:.4f} |"
        for item in scores.calibration
    ]
    return "\n".join(lines)


def _weakness(model: TrainedModel, facts: CardFacts) -> str:
    days = (model.last_label_end_ns - model.first_ts_ns) / NS_PER_DAY
    points = [
        (
            f"- The training rows span {days:.0f} days of one instrument; the acceptance rule for real money asks for "
            "three years. A market that behaves otherwise than in these days has not been seen."
        ),
        *(f"- {note}" for note in facts.data_notes),
        "- Differences of a few thousandths in AUC or log loss between parameter sets are noise at this sample size.",
    ]
    scores = facts.out_of_sample
    if scores is not None:
        if scores.log_loss >= scores.base_log_loss:
            points.append("- Out of sample the model does worse than the constant base rate. It shows no skill.")
        else:
            gain = scores.base_log_loss - scores.log_loss
            points.append(
                f"- Out of sample it improves on the base rate's log loss by {gain:.5f}. Whether that pays for costs, "
                "only the backtest says."
            )
    if facts.search.chosen_sharpe <= 0:
        points.append("- Even out of fold its simple policy loses money after costs.")
    points.append("- It exists to show the whole way from data to orders. Do not trade real money on it.")
    return "\n".join(points)

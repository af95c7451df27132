"""A small Bayesian search over LightGBM parameters: Optuna's TPE, seeded, one trial after the other.

Sequential on purpose: with parallel workers the order in which trials finish would steer the sampler, and the same
seed would no longer give the same study. Every finished trial is appended to the ledger before the next begins.
"""

from __future__ import annotations

import json
from contextlib import contextmanager
from dataclasses import asdict, dataclass, field
from typing import TYPE_CHECKING, Any

from py_rt.backtesting.ledger import Trial, TrialLedger
from py_rt.errors import PyRtError
from py_rt.ml.model_card import SearchRecord
from py_rt.ml.models.classifiers import LightGbmParams
from py_rt.ml.pipeline import TrainingData, cross_validate
from py_rt.ml.scores import SignalPolicy
from py_rt.ml.validation import walk_forward
from py_rt.optimization.objectives import objective

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator, Sequence

    import optuna

MAX_TRIALS = 10_000
LEDGER_DOOR = "cross_validation"


class StudyError(PyRtError):
    """Settings of a study, or a stored study, that cannot be used."""


@dataclass(frozen=True)
class SearchSpace:
    """Closed ranges the sampler draws from; learning rate and L2 on a logarithmic scale.

    The default is narrow and shallow: a few thousand rows of noisy returns do not carry deep trees.
    """

    trees: tuple[int, int] = (20, 160)
    learning_rate: tuple[float, float] = (0.01, 0.08)
    leaves: tuple[int, int] = (3, 15)
    min_leaf_rows: tuple[int, int] = (60, 300)
    feature_share: tuple[float, float] = (0.4, 1.0)
    row_share: tuple[float, float] = (0.5, 1.0)
    lambda_l2: tuple[float, float] = (0.1, 50.0)

    def draw(self, trial: optuna.Trial) -> LightGbmParams:
        """One parameter set, asked from Optuna's sampler in a fixed order."""
        return LightGbmParams(
            trees=trial.suggest_int("trees", *self.trees),
            learning_rate=trial.suggest_float("learning_rate", *self.learning_rate, log=True),
            leaves=trial.suggest_int("leaves", *self.leaves),
            min_leaf_rows=trial.suggest_int("min_leaf_rows", *self.min_leaf_rows),
            feature_share=trial.suggest_float("feature_share", *self.feature_share),
            row_share=trial.suggest_float("row_share", *self.row_share),
            lambda_l2=trial.suggest_float("lambda_l2", *self.lambda_l2, log=True),
        )


@dataclass(frozen=True)
class StudySettings:
    """How a study searches and validates.

    Attributes:
        trials: parameter sets to try, 1..10,000.
        folds: walk-forward test blocks.
        first_train: share of the rows before the first test block.
        embargo_ns: distance kept between a training label's end and the test, nanoseconds.
        seed: of the sampler and of every model.
        objective: a name of :data:`py_rt.optimization.objectives.OBJECTIVES`.
        policy: how a trial's Sharpe ratio is taken.
        space: what is searched.
    """

    trials: int = 12
    folds: int = 4
    first_train: float = 0.4
    embargo_ns: int = 0
    seed: int = 7
    objective: str = "log_loss"
    policy: SignalPolicy = field(default_factory=SignalPolicy)
    space: SearchSpace = field(default_factory=SearchSpace)


@dataclass(frozen=True)
class StudyTrial:
    """One parameter set and its out-of-fold numbers; ``sharpe`` per ``period_ns``, after the policy's costs."""

    number: int
    params: LightGbmParams
    value: float
    log_loss: float
    base_log_loss: float
    auc: float | None
    fold_aucs: tuple[float | None, ...]
    sharpe: float
    periods: int
    period_ns: int
    changes: int


@dataclass(frozen=True)
class StudyResult:
    """Every trial of a study, in order, and which one won (the first of equals)."""

    dataset_id: str
    seed: int
    objective: str
    policy: SignalPolicy
    best: int
    trials: tuple[StudyTrial, ...]

    @property
    def winner(self) -> StudyTrial:
        """The trial that won."""
        return self.trials[self.best]

    def search_record(self) -> SearchRecord:
        """What the model card says about the search."""
        sharpes = [trial.sharpe for trial in self.trials]
        return SearchRecord(
            trials=len(sharpes),
            objective=self.objective,
            cost_bps=self.policy.cost_bps,
            period_ns=self.winner.period_ns,
            auc=self.winner.auc,
            log_loss=self.winner.log_loss,
            base_log_loss=self.winner.base_log_loss,
            fold_aucs=self.winner.fold_aucs,
            chosen_sharpe=self.winner.sharpe,
            best_sharpe=max(sharpes),
            worst_sharpe=min(sharpes),
        )

    def to_json(self) -> bytes:
        """Canonical JSON (sorted keys, no spaces)."""
        return json.dumps(asdict(self), sort_keys=True, separators=(",", ":"), allow_nan=False).encode()

    @classmethod
    def from_json(cls, text: bytes) -> StudyResult:
        """The study back from :meth:`to_json`.

        Raises:
            StudyError: not such a document.
        """
        try:
            values: dict[str, Any] = json.loads(text)
            trials = tuple(
                StudyTrial(
                    **{
                        **item,
                        "params": LightGbmParams.from_dict(item["params"]),
                        "fold_aucs": tuple(item["fold_aucs"]),
                    }
                )
                for item in values["trials"]
            )
            return cls(**{**values, "policy": SignalPolicy(**values["policy"]), "trials": trials})
        except (ValueError, KeyError, TypeError) as error:
            raise StudyError(f"stored study cannot be read: {error!r}; run it again") from error


def run_study(
    data: TrainingData,
    settings: StudySettings,
    *,
    ledger: TrialLedger,
    subject: str,
    recorded_at_ns: int,
    progress: Callable[[StudyTrial], None] | None = None,
) -> StudyResult:
    """Tries ``settings.trials`` parameter sets by purged walk-forward validation and records each in the ledger.

    Args:
        subject: what the ledger calls it, for example ``model_lgbm``.
        recorded_at_ns: UTC nanoseconds written to the ledger.
        progress: called with each finished trial.

    Returns:
        The same result for the same data and settings.

    Raises:
        StudyError: settings outside their range.
        ObjectiveError, ValidationError, ModelError, LedgerError: from the parts.
    """
    import optuna

    if not 1 <= settings.trials <= MAX_TRIALS:
        raise StudyError(f"trials is {settings.trials}; allowed are 1..{MAX_TRIALS}")
    goal = objective(settings.objective)
    sampler = optuna.samplers.TPESampler(seed=settings.seed, n_startup_trials=max(1, settings.trials // 2))
    with _quiet():
        study = optuna.create_study(direction=goal.direction, sampler=sampler)
        done: list[StudyTrial] = []
        for number in range(settings.trials):
            asked = study.ask()
            finished = _try(data, settings, number, settings.space.draw(asked))
            ledger.append([_ledger_entry(data, settings, finished, subject, recorded_at_ns)])
            study.tell(asked, finished.value)
            done.append(finished)
            if progress is not None:
                progress(finished)
    best = done[0]
    for trial in done[1:]:
        best = trial if goal.better(trial.value, best.value) else best
    return StudyResult(data.dataset_id, settings.seed, settings.objective, settings.policy, best.number, tuple(done))


def _try(data: TrainingData, settings: StudySettings, number: int, params: LightGbmParams) -> StudyTrial:
    splits = walk_forward(
        data.starts, data.ends, folds=settings.folds, embargo=settings.embargo_ns, first_train=settings.first_train
    )
    result = cross_validate(data, params, splits=splits, policy=settings.policy, seed=settings.seed)
    return StudyTrial(
        number=number,
        params=params,
        value=objective(settings.objective).value(result),
        log_loss=result.scores.log_loss,
        base_log_loss=result.scores.base_log_loss,
        auc=result.scores.auc,
        fold_aucs=tuple(fold.auc for fold in result.folds),
        sharpe=result.policy.sharpe,
        periods=result.policy.periods,
        period_ns=result.policy.period_ns,
        changes=result.policy.changes,
    )


def _ledger_entry(
    data: TrainingData, settings: StudySettings, trial: StudyTrial, subject: str, recorded_at_ns: int
) -> Trial:
    return Trial(
        dataset_id=data.dataset_id,
        subject=subject,
        door=LEDGER_DOOR,
        params={
            "model": dict(trial.params.to_dict()),
            "policy": dict(asdict(settings.policy)),
            "folds": settings.folds,
            "first_train": settings.first_train,
            "embargo_ns": settings.embargo_ns,
        },
        seed=settings.seed,
        sharpe=trial.sharpe,
        periods=trial.periods,
        period_ns=trial.period_ns,
        recorded_at_ns=recorded_at_ns,
    )


@contextmanager
def _quiet() -> Iterator[None]:
    """Optuna reports every study on stderr; a library keeps still. Restores the level it found."""
    import optuna

    before = optuna.logging.get_verbosity()
    optuna.logging.set_verbosity(optuna.logging.WARNING)
    try:
        yield
    finally:
        optuna.logging.set_verbosity(before)


def trial_table(trials: Sequence[StudyTrial]) -> str:
    """The trials as a markdown table, for asset metadata and the model card."""
    lines = [
        "| trial | trees | rate | leaves | min rows | log loss | AUC | Sharpe per period | changes |",
        "|---|---|---|---|---|---|---|---|---|",
    ]
    for item in trials:
        p = item.params
        auc = "-" if item.auc is None else f"{item.auc:.4f}"
        lines.append(
            f"| {item.number} | {p.trees} | {p.learning_rate:.4f} | {p.leaves} | {p.min_leaf_rows} "
            f"| {item.log_loss:.5f} | {auc} | {item.sharpe:+.4f} | {item.changes} |"
        )
    return "\n".join(lines)

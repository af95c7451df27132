"""The study: deterministic, recorded trial by trial, and it finds the better parameters."""

from __future__ import annotations

from dataclasses import replace
from typing import TYPE_CHECKING

import optuna
import pytest

from py_rt.backtesting.ledger import LedgerError, TrialLedger
from py_rt.ml.pipeline import TrainingData, join_labels, training_data
from py_rt.ml.scores import SignalPolicy
from py_rt.ml.validation import ValidationError
from py_rt.optimization.bayesian import StudyError, StudyResult, StudySettings, StudyTrial, run_study, trial_table
from py_rt.optimization.objectives import OBJECTIVES, ObjectiveError, objective
from tests.synthetic import BAR_NS, FEATURE_NAMES, HORIZON_BARS, synthetic_tables

if TYPE_CHECKING:
    from pathlib import Path

SETTINGS = StudySettings(trials=6, folds=3, embargo_ns=16 * BAR_NS, policy=SignalPolicy(0.52, 0.48, 5.0))


@pytest.fixture(scope="module")
def data() -> TrainingData:
    tables = synthetic_tables(2_300, seed=3)
    return training_data(join_labels(tables.features, tables.labels, FEATURE_NAMES), FEATURE_NAMES)


@pytest.fixture
def ledger(tmp_path: Path) -> TrialLedger:
    return TrialLedger(tmp_path / "trials.jsonl")


def study(data: TrainingData, ledger: TrialLedger, settings: StudySettings = SETTINGS) -> StudyResult:
    return run_study(data, settings, ledger=ledger, subject="model", recorded_at_ns=5)


def test_the_same_seed_gives_the_same_study_and_another_seed_another(data: TrainingData, ledger: TrialLedger) -> None:
    one, two = study(data, ledger), study(data, ledger)
    assert one.to_json() == two.to_json()
    other = study(data, ledger, replace(SETTINGS, seed=8))
    assert [t.params for t in other.trials] != [t.params for t in one.trials]
    # The repeated study is on record twice and counts once.
    assert len(ledger.trials()) == 18
    assert ledger.count(data.dataset_id) == 12


def test_every_trial_and_its_sharpe_is_in_the_ledger(data: TrainingData, ledger: TrialLedger) -> None:
    result = study(data, ledger)
    recorded = ledger.trials([data.dataset_id])
    assert [trial.sharpe for trial in recorded] == [trial.sharpe for trial in result.trials]
    assert [trial.params["model"] for trial in recorded] == [trial.params.to_dict() for trial in result.trials]
    first = recorded[0]
    assert (first.subject, first.door, first.seed, first.recorded_at_ns) == ("model", "cross_validation", 7, 5)
    assert first.period_ns == HORIZON_BARS * BAR_NS
    assert first.params["policy"] == {"entry": 0.52, "exit": 0.48, "cost_bps": 5.0}


@pytest.mark.parametrize("name", sorted(OBJECTIVES))
def test_the_winner_is_the_first_of_the_best(data: TrainingData, ledger: TrialLedger, name: str) -> None:
    result = study(data, ledger, replace(SETTINGS, trials=4, objective=name))
    values = [trial.value for trial in result.trials]
    best = min(values) if objective(name).direction == "minimize" else max(values)
    assert result.best == values.index(best)
    assert result.winner.value == best


def test_a_planted_relation_beats_the_base_rate(data: TrainingData, ledger: TrialLedger) -> None:
    winner = study(data, ledger).winner
    assert winner.log_loss < winner.base_log_loss
    assert winner.auc is not None
    assert winner.auc > 0.6
    assert winner.sharpe > 0


def test_trials_recorded_before_a_failure_stay(data: TrainingData, ledger: TrialLedger) -> None:
    class StopError(Exception):
        pass

    def stop(trial: StudyTrial) -> None:
        if trial.number == 2:
            raise StopError

    with pytest.raises(StopError):
        run_study(data, SETTINGS, ledger=ledger, subject="model", recorded_at_ns=5, progress=stop)
    assert len(ledger.trials()) == 3


def test_a_broken_ledger_stops_the_study(data: TrainingData, ledger: TrialLedger) -> None:
    ledger.path.write_bytes(b"{}\n")
    with pytest.raises(LedgerError, match=":1: not a ledger line"):
        study(data, ledger)


def test_a_study_survives_its_json(data: TrainingData, ledger: TrialLedger) -> None:
    result = study(data, ledger)
    assert StudyResult.from_json(result.to_json()) == result
    with pytest.raises(StudyError, match="run it again"):
        StudyResult.from_json(b"[]")


def test_settings_outside_their_range_are_refused(data: TrainingData, ledger: TrialLedger) -> None:
    with pytest.raises(StudyError, match=r"trials is 0; allowed are 1\.\.10000"):
        study(data, ledger, replace(SETTINGS, trials=0))
    with pytest.raises(ObjectiveError, match="objective is 'profit'; allowed are"):
        study(data, ledger, replace(SETTINGS, objective="profit"))
    with pytest.raises(ValidationError, match="folds is 1"):
        study(data, ledger, replace(SETTINGS, folds=1))
    assert ledger.trials() == []


def test_optunas_verbosity_is_left_as_it_was(data: TrainingData, ledger: TrialLedger) -> None:
    before = optuna.logging.get_verbosity()
    study(data, ledger, replace(SETTINGS, trials=1))
    assert optuna.logging.get_verbosity() == before


def test_the_table_has_a_line_per_trial(data: TrainingData, ledger: TrialLedger) -> None:
    table = trial_table(study(data, ledger).trials)
    assert len(table.splitlines()) == 2 + SETTINGS.trials

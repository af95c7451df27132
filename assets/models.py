"""Models: the rows a month may learn from, the search, the model, and the ONNX file that trades.

Partition M is the model to use *in* month M: it is trained on rows whose label was known before M began. How its rows
weigh and how its features are normalized stands in `config/training.toml`.
Values other than tables are `dict[str, bytes]`, file name to content, stored by the `artifacts` IO manager.
"""

import hashlib
import json
import time
from collections.abc import Iterator, Mapping
from functools import partial
from typing import TYPE_CHECKING

import dagster as dg
import polars as pl

from assets.beside import KNOWN_FILE, bars_beside, deps_on, reads_flow, reads_of_features
from assets.features import SPEC
from assets.outputs import PARTITION_COLUMN, PARTITION_ROWS, SPEC_FILE, SPEC_SHA256
from assets.outside import Made, Outside, Question
from assets.partitions import MOST_MONTHS, before_month, monthly, until_month_end
from assets.versions import code_version
from py_rt.backtesting.ledger import TrialLedger
from py_rt.data.storage import Lake
from py_rt.defaults import config_file
from py_rt.ml import strategy_file, training_policy
from py_rt.ml.features import normalized
from py_rt.ml.features.technical import FeatureSet
from py_rt.ml.label_rule import LabelRule
from py_rt.ml.training_policy import TrainingPolicy
from py_rt.ml.weights import with_weights

if TYPE_CHECKING:
    from py_rt.ml.pipeline import TrainedModel, TrainingData
    from py_rt.ml.scores import Scores
    from py_rt.optimization.bayesian import StudyResult

GROUP = "models"
STRATEGY_FILE = config_file("strategies/btc_momentum.toml")
TRAINING_FILE = config_file("training.toml")
BAR_NS = 900 * 10**9
NS_PER_SECOND = 10**9
# Four hours beyond the end of every label: volatile hours come in runs.
EMBARGO_NS = 16 * BAR_NS
GOLDEN_ROWS = 1_024
DATA_NOTES = (
    "The source reports no volume for many bars; those are imputed, so features made of volume are partly guesses.",
)

Files = dict[str, bytes]

# A month learns from every earlier day; the body cuts more finely, by time.
_days_before = dg.AssetIn(partition_mapping=before_month)
_days_until = dg.AssetIn(partition_mapping=until_month_end)


_beside = partial(
    deps_on,
    reads_of_features(),
    flow=reads_flow(),
    before=MOST_MONTHS,
    inputs=("features_bar", "clean_bars"),
    monthly=True,
)
"""What normalized features are computed of once more."""

_PIPELINE = ("py_rt.ml.pipeline", "py_rt.ml.validation", "py_rt.ml.scores", "py_rt.ml.models.classifiers")
_POLICY = ("py_rt.ml.training_policy", "py_rt.ml.weights")
_AGAIN = ("assets.beside", "py_rt.ml.features.known_tables")


class StudyConfig(dg.Config):
    """How many parameter sets are tried, and from which seed."""

    trials: int = 12
    seed: int = 7
    objective: str = "log_loss"
    cost_bps: float = 10.0


class OnnxConfig(dg.Config):
    """The name written into the file."""

    name: str = "btc_momentum"


def _content(*files: bytes) -> dg.DataVersion:
    digests = b"".join(hashlib.sha256(content).digest() for content in files)
    return dg.DataVersion(hashlib.sha256(digests).hexdigest())


def _window_ns(context: dg.AssetExecutionContext) -> tuple[int, int]:
    window = context.partition_time_window
    return int(window.start.timestamp()) * NS_PER_SECOND, int(window.end.timestamp()) * NS_PER_SECOND


@dg.asset(
    group_name=GROUP,
    partitions_def=monthly,
    code_version=code_version(__name__, normalized, training_policy, files=[TRAINING_FILE]),
    kinds={"rust"},
    io_manager_key="artifacts",
    ins={"features_bar": _days_before},
    check_specs=[dg.AssetCheckSpec("fitted_before_month", asset="model_spec", blocking=True)],
)
def model_spec(
    context: dg.AssetExecutionContext, feature_spec: Files, features_bar: pl.LazyFrame
) -> Iterator[dg.Output[Files] | dg.AssetCheckResult]:
    """The features of the month's model: those of the file, with what was fitted before the month written into them."""
    wishes = TrainingPolicy.read(TRAINING_FILE).normalize
    start_ns, _ = _window_ns(context)
    text, facts, last_ns = feature_spec["features.json"], {}, None
    if wishes:
        features = FeatureSet.from_canonical(text.decode())
        rows = features_bar.filter(pl.col("ts_close") + EMBARGO_NS < start_ns).collect()
        fits = normalized.fitted_on(features, rows, wishes)
        text = normalized.normalized(features, fits).canonical.encode()
        facts, last_ns = {name: fitted.as_json() for name, fitted in fits.items()}, int(rows["ts_close"].max())  # type: ignore[arg-type]
    fitted_by = {"base_sha256": hashlib.sha256(feature_spec["features.json"]).hexdigest(), "fits": facts}
    files = {"features.json": text, "normalization.json": json.dumps(fitted_by, sort_keys=True).encode()}
    shown = {name: f"{fitted['method']}, {fitted['rows']} rows" for name, fitted in facts.items()}
    yield dg.Output(
        files, data_version=_content(*files.values()), metadata={"sha256": hashlib.sha256(text).hexdigest(), **shown}
    )
    yield dg.AssetCheckResult(
        check_name="fitted_before_month",
        passed=last_ns is None or last_ns + EMBARGO_NS < start_ns,
        description="Only rows before the month were fitted on." if facts else "Nothing is normalized.",
        metadata={"normalized": len(facts), "last_row_ns": last_ns or 0, "month_start_ns": start_ns},
    )


def _rows_of(model_spec: Files, features_bar: pl.DataFrame, clean_bars: pl.LazyFrame, lake: Lake) -> pl.DataFrame:
    """Features of the month's model at every bar; those of the table, where nothing is normalized."""
    if not json.loads(model_spec["normalization.json"])["fits"]:
        return features_bar
    features = FeatureSet.from_canonical(model_spec["features.json"].decode())
    bars = bars_beside(clean_bars.collect(), features, lake).bars
    return bars.select("instrument", "ts_close", "date").hstack(features.compute(bars))


@dg.asset(
    group_name=GROUP,
    partitions_def=monthly,
    code_version=code_version(__name__, "py_rt.ml.pipeline", *_POLICY, *_AGAIN, files=[TRAINING_FILE, KNOWN_FILE]),
    deps=_beside(until=-1),
    kinds={"polars", "deltalake"},
    metadata={PARTITION_COLUMN: "month", SPEC_FILE: SPEC},
    ins={"features_bar": _days_before, "labels": _days_before, "clean_bars": _days_before},
    check_specs=[dg.AssetCheckSpec("labels_known_before_month", asset="training_set", blocking=True)],
)
def training_set(
    context: dg.AssetExecutionContext,
    model_spec: Files,
    features_bar: pl.DataFrame,
    labels: pl.DataFrame,
    clean_bars: pl.LazyFrame,
    lake: dg.ResourceParam[Lake],
) -> Iterator[dg.Output[pl.DataFrame] | dg.AssetCheckResult]:
    """Warm, labelled rows whose label ended at least the embargo before the month began."""
    from py_rt.ml.pipeline import FeatureContract, join_labels, rows_known_before

    contract = FeatureContract.from_canonical_json(model_spec["features.json"])
    start_ns, _ = _window_ns(context)
    rows = _rows_of(model_spec, features_bar, clean_bars, lake)
    table = rows_known_before(join_labels(rows, labels, contract.names), start_ns, embargo_ns=EMBARGO_NS)
    data = _weighed(table, contract.names)
    last_end_ns = int(data.ends.max())
    check = dg.AssetCheckResult(
        check_name="labels_known_before_month",
        passed=last_end_ns + EMBARGO_NS < start_ns,
        metadata={"last_label_end_ns": last_end_ns, "month_start_ns": start_ns, "embargo_ns": EMBARGO_NS},
    )
    yield dg.Output(
        table.with_columns(pl.lit(context.partition_time_window.start.date()).alias("month")),
        metadata={
            PARTITION_ROWS: table.height,
            "rows": table.height,
            "share_of_label_1": float(data.labels.mean()),
            "dataset_id": data.dataset_id,
            SPEC_SHA256: json.loads(model_spec["normalization.json"])["base_sha256"],
        },
        data_version=dg.DataVersion(data.dataset_id),
    )
    yield check


def _weighed(table: pl.DataFrame, names: tuple[str, ...]) -> "TrainingData":
    """The training rows, with weights where the policy says so."""
    from py_rt.ml.pipeline import training_data

    policy = TrainingPolicy.read(TRAINING_FILE)
    if policy.sample_weights == "equal":
        return training_data(table, names)
    return training_data(with_weights(table, bar_ns=BAR_NS, oldest=policy.oldest_weight), names)


@dg.asset(
    group_name=GROUP,
    partitions_def=monthly,
    code_version=code_version(
        __name__,
        "py_rt.optimization.bayesian",
        "py_rt.optimization.objectives",
        *_PIPELINE,
        *_POLICY,
        files=[TRAINING_FILE],
    ),
    kinds={"optuna"},
    io_manager_key="artifacts",
)
def hyperparameter_study(
    config: StudyConfig, ledger: dg.ResourceParam[TrialLedger], model_spec: Files, training_set: pl.DataFrame
) -> dg.Output[Files]:
    """A seeded Optuna study by purged walk-forward validation; every trial goes to the ledger."""
    from py_rt.ml.pipeline import FeatureContract
    from py_rt.ml.scores import SignalPolicy
    from py_rt.optimization.bayesian import StudySettings, run_study, trial_table

    names = FeatureContract.from_canonical_json(model_spec["features.json"]).names
    settings = StudySettings(
        trials=config.trials,
        seed=config.seed,
        objective=config.objective,
        embargo_ns=EMBARGO_NS,
        policy=SignalPolicy(cost_bps=config.cost_bps),
    )
    data = _weighed(training_set, names)
    study = run_study(data, settings, ledger=ledger, subject="model_lgbm", recorded_at_ns=time.time_ns())
    return dg.Output(
        {"study.json": study.to_json()},
        data_version=_content(study.to_json()),
        metadata={
            "dataset_id": data.dataset_id,
            "trials": dg.MetadataValue.md(trial_table(study.trials)),
            "trials_on_this_data": ledger.count(data.dataset_id),
            "best_log_loss": study.winner.log_loss,
            "best_sharpe_per_period": study.winner.sharpe,
        },
    )


@dg.asset(
    group_name=GROUP,
    partitions_def=monthly,
    code_version=code_version(
        __name__, "py_rt.ml.model_card", *_PIPELINE, *_POLICY, *_AGAIN, files=[TRAINING_FILE, KNOWN_FILE]
    ),
    deps=_beside(),
    kinds={"lightgbm"},
    io_manager_key="artifacts",
    ins={"features_bar": _days_until, "labels": _days_until, "clean_bars": _days_until},
    check_specs=[dg.AssetCheckSpec("better_than_base_rate", asset="model_lgbm")],
)
def model_lgbm(
    context: dg.AssetExecutionContext,
    model_spec: Files,
    training_set: pl.DataFrame,
    hyperparameter_study: Files,
    features_bar: pl.DataFrame,
    labels: pl.DataFrame,
    clean_bars: pl.LazyFrame,
    lake: dg.ResourceParam[Lake],
) -> Iterator[dg.Output[Files] | dg.AssetCheckResult]:
    """The study's winner trained on all rows, and its card; scored on the month it will trade where that is known."""
    from py_rt.ml.pipeline import FeatureContract, evaluate_table, join_labels, rows_decided_within, train
    from py_rt.optimization.bayesian import StudyResult

    contract = FeatureContract.from_canonical_json(model_spec["features.json"])
    study = StudyResult.from_json(hyperparameter_study["study.json"])
    model = train(_weighed(training_set, contract.names), study.winner.params, contract=contract, seed=study.seed)
    rows = _rows_of(model_spec, features_bar, clean_bars, lake)
    month = rows_decided_within(join_labels(rows, labels, contract.names), *_window_ns(context))
    scores = evaluate_table(model, month)
    card = _card(context, training_set, model, study, scores)
    files = {
        "model.json": model.to_json(),
        "model_card.md": card.encode(),
        "scores.json": json.dumps(scores.to_dict() if scores else None, sort_keys=True).encode(),
    }
    yield dg.Output(
        files,
        data_version=_content(*files.values()),
        metadata={"rows": model.rows, "card": dg.MetadataValue.md(card), **_losses(scores)},
    )
    yield _better_than_base_rate(scores)


def _card(
    context: dg.AssetExecutionContext,
    training_set: pl.DataFrame,
    model: "TrainedModel",
    study: "StudyResult",
    scores: "Scores | None",
) -> str:
    from py_rt.ml.model_card import CardFacts, model_card

    facts = CardFacts(
        name="model_lgbm",
        instrument=training_set.item(0, "instrument"),
        month=f"{context.partition_time_window.start:%Y-%m}",
        bar_ns=BAR_NS,
        search=study.search_record(),
        out_of_sample=scores,
        data_notes=(*DATA_NOTES, *_policy_notes()),
        predicts=LabelRule.read(TRAINING_FILE).words,
    )
    return model_card(model, facts)


def _policy_notes() -> list[str]:
    """What the card says of the training policy; nothing where there is none."""
    policy = TrainingPolicy.read(TRAINING_FILE)
    notes = []
    if policy.sample_weights == "uniqueness":
        notes.append(f"Rows weigh by the uniqueness of their labels, the oldest {policy.oldest_weight:g}.")
    if policy.normalize:
        named = ", ".join(f"{name} ({wish.method})" for name, wish in sorted(policy.normalize.items()))
        notes.append(f"Normalized, fitted on the rows before the month: {named}.")
    return notes


def _losses(scores: "Scores | None") -> dict[str, float]:
    """Numbers the user interface plots over the months; none for a month without rows."""
    if scores is None:
        return {}
    auc = {} if scores.auc is None else {"auc": scores.auc}
    return auc | {"log_loss": scores.log_loss, "base_log_loss": scores.base_log_loss, "accuracy": scores.accuracy}


def _better_than_base_rate(scores: "Scores | None") -> dg.AssetCheckResult:
    """A warning, not a gate: an honest sample may well show no skill."""
    return dg.AssetCheckResult(
        check_name="better_than_base_rate",
        passed=scores is not None and scores.log_loss < scores.base_log_loss,
        severity=dg.AssetCheckSeverity.WARN,
        metadata=_losses(scores),
        description="not evaluated: the month has no rows yet" if scores is None else None,
    )


@dg.asset(
    group_name=GROUP,
    partitions_def=monthly,
    code_version=code_version(
        __name__, "py_rt.ml.export", strategy_file, normalized, *_AGAIN, files=[STRATEGY_FILE, KNOWN_FILE]
    ),
    deps=_beside(),
    kinds={"onnx"},
    io_manager_key="artifacts",
    ins={"features_bar": _days_until, "clean_bars": _days_until},
    check_specs=[
        dg.AssetCheckSpec("onnx_parity", asset="onnx_model", blocking=True),
        dg.AssetCheckSpec("feature_contract", asset="onnx_model", blocking=True),
    ],
)
def onnx_model(
    config: OnnxConfig,
    model_spec: Files,
    model_lgbm: Files,
    features_bar: pl.DataFrame,
    clean_bars: pl.LazyFrame,
    lake: dg.ResourceParam[Lake],
) -> Iterator[dg.Output[Files] | dg.AssetCheckResult]:
    """The ONNX file, its golden rows and the proof that at the strategy's thresholds it answers as the booster does."""
    from py_rt.ml import export
    from py_rt.ml.pipeline import FeatureContract, TrainedModel, warm_features

    contract = FeatureContract.from_canonical_json(model_spec["features.json"])
    model = TrainedModel.from_json(model_lgbm["model.json"])
    booster = model.booster()
    onnx = export.export_onnx(
        booster, feature_names=model.feature_names, feature_spec_sha256=model.feature_spec_sha256, name=config.name
    )
    table = _rows_of(model_spec, features_bar, clean_bars, lake)
    rows = warm_features(table, model.feature_names)
    thresholds = strategy_file.decided_at(STRATEGY_FILE.read_text(encoding="utf-8"))
    parity = export.check_parity(booster, onnx, rows, thresholds=thresholds)
    faults = export.check_contract(onnx, feature_names=contract.names, feature_spec_sha256=contract.sha256)
    golden = export.write_golden(onnx, warm_features(table, model.feature_names, at_most=GOLDEN_ROWS))
    sha256 = hashlib.sha256(onnx).hexdigest()
    files = {
        "model.onnx": onnx,
        "golden.bin": golden,
        "parity.json": json.dumps(parity.to_dict(), sort_keys=True).encode(),
        "model_card.md": model_lgbm["model_card.md"],
    }
    yield dg.Output(
        files,
        data_version=_content(*files.values()),
        metadata={"bytes": len(onnx), "onnx_sha256": sha256, "max_abs_diff": parity.max_abs_diff},
    )
    yield dg.AssetCheckResult(check_name="onnx_parity", passed=parity.passed, metadata=parity.to_dict())
    yield dg.AssetCheckResult(check_name="feature_contract", passed=not faults, metadata={"faults": faults})


def _trials_lost(outside: Outside, made: Made) -> str | None:
    """The deflated numbers behind it count on the ledger."""
    kept = outside.trials.get(str(made.metadata.get("dataset_id")), frozenset())
    return "the ledger has lost its trials" if len(kept) < int(made.metadata.get("trials_on_this_data", 0)) else None


OUTSIDE: Mapping[str, Question] = {"hyperparameter_study": _trials_lost}

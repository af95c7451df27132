"""From the features and labels tables to a trained model, without a look ahead.

A model for month M sees only rows whose label was known ``embargo`` before M began (:func:`rows_known_before`); month
M itself is its out-of-sample record (:func:`rows_decided_within`). Data sets are named by the SHA-256 of their content
(:func:`dataset_id`), which is what the ledger of trials counts by.
"""

from __future__ import annotations

import hashlib
import json
from dataclasses import asdict, dataclass
from typing import TYPE_CHECKING, Any

import lightgbm as lgb
import numpy as np
import polars as pl
from numpy.typing import NDArray

from py_rt.errors import PyRtError
from py_rt.ml.models.classifiers import LightGbmParams, fit_lightgbm, predict
from py_rt.ml.scores import CALIBRATION_BINS, PolicyScore, Scores, SignalPolicy, classification_scores, policy_score

if TYPE_CHECKING:
    from collections.abc import Sequence

    from py_rt.ml.validation import Int64Array, Split

Float32Array = NDArray[np.float32]
Float64Array = NDArray[np.float64]
Int8Array = NDArray[np.int8]

KEY_COLUMNS = ("instrument", "ts_close")
LABEL_COLUMNS = ("label", "label_end_ts", "ret")


class TrainingError(PyRtError):
    """Tables that do not give a training set, or a stored model that cannot be read."""


@dataclass(frozen=True)
class FeatureContract:
    """Names in column order and the SHA-256 of the canonical specification they come from."""

    names: tuple[str, ...]
    sha256: str

    @classmethod
    def from_canonical_json(cls, text: bytes) -> FeatureContract:
        """Out of the bytes of ``features.json``: an object whose ``features`` list has a ``name`` in each entry.

        Raises:
            TrainingError: not such an object, no feature, or a name given twice.

        >>> FeatureContract.from_canonical_json(b'{"features":[{"name":"rsi_14"},{"name":"macd"}]}').names
        ('rsi_14', 'macd')
        """
        try:
            names = tuple(str(item["name"]) for item in json.loads(text)["features"])
        except (ValueError, KeyError, TypeError) as error:
            raise TrainingError(f"feature specification is not {{'features': [{{'name': ...}}]}}: {error!r}") from error
        if not names or len(set(names)) != len(names):
            raise TrainingError(f"feature names are {names}; expected at least one, each once")
        return cls(names, hashlib.sha256(text).hexdigest())


@dataclass(frozen=True)
class TrainingData:
    """A training table as arrays, one row per decision, ascending in time.

    Attributes:
        features: float32 [N, F], finite.
        labels: Int8 [N], 0 or 1.
        returns: float64 [N], simple return from start to end.
        starts: Int64 [N], ``ts_close`` of the decision, UTC nanoseconds.
        ends: Int64 [N], ``label_end_ts``.
        feature_names: F names.
        dataset_id: SHA-256 of the table.
        weights: float64 [N], above 0 where they count at all; `None` is all equal.
    """

    features: Float32Array
    labels: Int8Array
    returns: Float64Array
    starts: Int64Array
    ends: Int64Array
    feature_names: tuple[str, ...]
    dataset_id: str
    weights: Float64Array | None = None


def join_labels(features: pl.DataFrame, labels: pl.DataFrame, feature_names: Sequence[str]) -> pl.DataFrame:
    """Warm, labelled rows of one instrument, ascending in time.

    Args:
        features: ``instrument``, ``ts_close``, ``is_warm`` and a Float32 column per feature.
        labels: ``instrument``, ``ts_close``, ``label``, ``label_end_ts``, ``ret``.
        feature_names: the columns to keep, in this order.

    Raises:
        TrainingError: a column missing or of another type, several instruments, a key twice, a null or a value that
            is not finite in a warm row, or a label of a row that the features do not have.
    """
    _need_columns("features", features, {*KEY_COLUMNS, "is_warm", *feature_names})
    _need_columns("labels", labels, {*KEY_COLUMNS, *LABEL_COLUMNS})
    wrong = [name for name in feature_names if features.schema[name] != pl.Float32]
    if wrong:
        raise TrainingError(f"feature columns {wrong} are not Float32; the specification casts once, at the end")
    warm = features.filter("is_warm").select(*KEY_COLUMNS, *feature_names)
    labelled = labels.select(*KEY_COLUMNS, *LABEL_COLUMNS).drop_nulls()
    for name, table in (("features", warm), ("labels", labelled)):
        if table.select(pl.struct(KEY_COLUMNS).is_duplicated().any()).item():
            raise TrainingError(f"{name} hold an instrument and ts_close twice")
    unmade = labelled.join(features, on=list(KEY_COLUMNS), how="anti").sort("ts_close")
    if unmade.height:
        raise TrainingError(
            f"{unmade.height} of {labelled.height} labelled rows have no features by this specification, the first at "
            f"ts_close {unmade.item(0, 'ts_close')}: make features_bar of all days, `py_rt run --reuse`"
        )
    table = warm.join(labelled, on=list(KEY_COLUMNS), how="inner").sort("ts_close", "instrument")
    if table.get_column("instrument").n_unique() > 1:
        found = sorted(table.get_column("instrument").unique())
        raise TrainingError(f"several instruments {found}; a model is trained on one")
    bad = table.select(pl.col(*feature_names).is_finite().not_().fill_null(value=True).sum()).row(0, named=True)
    if any(bad.values()):
        raise TrainingError(f"warm rows with missing or infinite features: { {k: v for k, v in bad.items() if v} }")
    return table


def rows_known_before(table: pl.DataFrame, cutoff_ns: int, *, embargo_ns: int) -> pl.DataFrame:
    """Rows whose label ended more than ``embargo_ns`` before ``cutoff_ns``: what a model used from then on may see.

    >>> table = pl.DataFrame({"ts_close": [1, 2, 3], "label_end_ts": [5, 6, 7]})
    >>> rows_known_before(table, 8, embargo_ns=1)["ts_close"].to_list()
    [1, 2]
    """
    if embargo_ns < 0:
        raise TrainingError(f"embargo_ns is {embargo_ns}; allowed is at least 0")
    return table.filter(pl.col("label_end_ts") + embargo_ns < cutoff_ns)


def rows_decided_within(table: pl.DataFrame, start_ns: int, end_ns: int) -> pl.DataFrame:
    """Rows whose decision falls into [start, end): a month's out-of-sample rows.

    >>> table = pl.DataFrame({"ts_close": [1, 2, 3]})
    >>> rows_decided_within(table, 2, 3)["ts_close"].to_list()
    [2]
    """
    return table.filter(pl.col("ts_close").is_between(start_ns, end_ns, closed="left"))


def dataset_id(table: pl.DataFrame) -> str:
    """SHA-256 of a table's content: column names, types and values in row order; not of its chunks or its file.

    >>> one = pl.DataFrame({"a": [1, 2]})
    >>> two = pl.concat([one.head(1), one.tail(1)], rechunk=False)
    >>> dataset_id(one) == dataset_id(two), dataset_id(one) == dataset_id(one.reverse())
    (True, False)
    """
    digest = hashlib.sha256()
    for column in table.iter_columns():
        if column.null_count():
            raise TrainingError(f"column {column.name} has nulls; a data set is named by complete values")
        digest.update(json.dumps([column.name, str(column.dtype), column.len()]).encode())
        if column.dtype.is_numeric():
            values = column.to_numpy()
            digest.update(values.astype(values.dtype.newbyteorder("<"), copy=False).tobytes())
        else:
            digest.update(json.dumps(column.cast(pl.String).to_list()).encode())
    return digest.hexdigest()


def training_data(table: pl.DataFrame, feature_names: Sequence[str]) -> TrainingData:
    """Arrays of a table made by :func:`join_labels` (further columns are ignored), with its data-set id.

    A column `weight` (`py_rt.ml.weights`) says how much each row counts, and is part of the data set.

    Raises:
        TrainingError: no rows, or rows out of order.
    """
    weight = ["weight"] if "weight" in table.columns else []
    kept = table.select(*KEY_COLUMNS, *feature_names, *LABEL_COLUMNS, *weight)
    if kept.height == 0:
        raise TrainingError("no rows; load earlier history or choose a later month")
    starts = kept.get_column("ts_close").to_numpy()
    if (np.diff(starts) <= 0).any():
        raise TrainingError("rows are not strictly ascending in ts_close")
    return TrainingData(
        features=np.ascontiguousarray(kept.select(feature_names).to_numpy(), dtype=np.float32),
        labels=kept.get_column("label").to_numpy().astype(np.int8),
        returns=kept.get_column("ret").to_numpy().astype(np.float64),
        starts=starts.astype(np.int64),
        ends=kept.get_column("label_end_ts").to_numpy().astype(np.int64),
        feature_names=tuple(feature_names),
        dataset_id=dataset_id(kept),
        weights=kept.get_column("weight").to_numpy().astype(np.float64) if weight else None,
    )


def warm_features(features: pl.DataFrame, feature_names: Sequence[str], *, at_most: int | None = None) -> Float32Array:
    """Feature rows float32 [N, F] that are warm, ascending in time; evenly thinned to ``at_most`` rows.

    Raises:
        TrainingError: a column missing, or a warm row that is not finite.

    >>> table = pl.DataFrame({"ts_close": [2, 1, 3], "is_warm": [True, True, False], "a": [0.2, 0.1, 0.3]})
    >>> warm_features(table, ["a"]).round(1).tolist()
    [[0.10000000149011612], [0.20000000298023224]]
    """
    _need_columns("features", features, {"ts_close", "is_warm", *feature_names})
    warm = features.filter("is_warm").sort("ts_close").select(feature_names)
    rows = np.ascontiguousarray(warm.to_numpy(), dtype=np.float32)
    if not np.isfinite(rows).all():
        raise TrainingError("warm rows with missing or infinite features")
    if at_most is None or rows.shape[0] <= at_most:
        return rows
    return np.ascontiguousarray(rows[np.linspace(0, rows.shape[0] - 1, at_most).astype(np.intp)])


@dataclass(frozen=True)
class FoldScore:
    """One fold: training rows, test rows, and how well the test rows were predicted."""

    train_rows: int
    test_rows: int
    auc: float | None
    log_loss: float


@dataclass(frozen=True)
class CrossValidation:
    """Out-of-fold record of one parameter set. ``probabilities`` belong to the rows ``rows``, ascending."""

    folds: tuple[FoldScore, ...]
    scores: Scores
    policy: PolicyScore
    rows: NDArray[np.intp]
    probabilities: Float64Array


def cross_validate(
    data: TrainingData, params: LightGbmParams, *, splits: Sequence[Split], policy: SignalPolicy, seed: int
) -> CrossValidation:
    """Trains on each split's training rows, predicts its test rows, scores all of them together and fold by fold.

    Args:
        splits: from :mod:`py_rt.ml.validation`; their test rows must not overlap.

    Raises:
        TrainingError: a row is tested twice.
        ModelError: a fold cannot be trained on.
    """
    rows = np.concatenate([split.test for split in splits])
    if np.unique(rows).size != rows.size:
        raise TrainingError("splits test a row twice; out-of-fold scores need each row once")
    folds: list[FoldScore] = []
    parts: list[Float64Array] = []
    for split in splits:
        booster = fit_lightgbm(
            data.features[split.train],
            data.labels[split.train],
            feature_names=data.feature_names,
            params=params,
            seed=seed,
            weights=None if data.weights is None else data.weights[split.train],
        )
        probabilities = predict(booster, data.features[split.test])
        scores = classification_scores(data.labels[split.test], probabilities, prior=_prior(data.labels[split.train]))
        folds.append(FoldScore(split.train.size, split.test.size, scores.auc, scores.log_loss))
        parts.append(probabilities)
    order = np.argsort(rows, kind="stable")
    rows, joined = rows[order], np.concatenate(parts)[order]
    return CrossValidation(
        folds=tuple(folds),
        scores=classification_scores(data.labels[rows], joined, prior=_prior(data.labels)),
        policy=policy_score(policy, joined, data.returns[rows], starts=data.starts[rows], ends=data.ends[rows]),
        rows=rows,
        probabilities=joined,
    )


def _prior(labels: Int8Array) -> float:
    return float(labels.mean())


@dataclass(frozen=True)
class TrainedModel:
    """A model and what it was made from. ``text`` is LightGBM's own format."""

    text: str
    params: LightGbmParams
    seed: int
    feature_names: tuple[str, ...]
    feature_spec_sha256: str
    dataset_id: str
    rows: int
    first_ts_ns: int
    last_label_end_ns: int
    prior: float

    def booster(self) -> lgb.Booster:
        """The model, ready to predict."""
        return lgb.Booster(model_str=self.text)

    def to_json(self) -> bytes:
        """Canonical JSON (sorted keys, no spaces), model text included."""
        values = {**asdict(self), "feature_names": list(self.feature_names)}
        return json.dumps(values, sort_keys=True, separators=(",", ":"), allow_nan=False).encode()

    @classmethod
    def from_json(cls, text: bytes) -> TrainedModel:
        """The model back from :meth:`to_json`.

        Raises:
            TrainingError: not such a document.
        """
        try:
            values: dict[str, Any] = json.loads(text)
            params = LightGbmParams.from_dict(values.pop("params"))
            return cls(**{**values, "params": params, "feature_names": tuple(values["feature_names"])})
        except (ValueError, KeyError, TypeError) as error:
            raise TrainingError(f"stored model cannot be read: {error!r}; train it again") from error


def train(data: TrainingData, params: LightGbmParams, *, contract: FeatureContract, seed: int) -> TrainedModel:
    """The final model: all rows of the data set. Same data, parameters and seed give the same ``text``.

    Raises:
        TrainingError: the data's columns are not the contract's features.
        ModelError: the data cannot be trained on.
    """
    if data.feature_names != contract.names:
        raise TrainingError(f"data has features {data.feature_names}, the specification says {contract.names}")
    booster = fit_lightgbm(
        data.features, data.labels, feature_names=data.feature_names, params=params, seed=seed, weights=data.weights
    )
    return TrainedModel(
        text=booster.model_to_string(),
        params=params,
        seed=seed,
        feature_names=data.feature_names,
        feature_spec_sha256=contract.sha256,
        dataset_id=data.dataset_id,
        rows=data.labels.size,
        first_ts_ns=int(data.starts[0]),
        last_label_end_ns=int(data.ends.max()),
        prior=_prior(data.labels),
    )


def evaluate(model: TrainedModel, data: TrainingData) -> Scores:
    """Scores on rows that came after training.

    Raises:
        TrainingError: features differ from the model's, or a row was decided before the last training label ended.
    """
    if data.feature_names != model.feature_names:
        raise TrainingError(f"features are {data.feature_names}, the model was trained on {model.feature_names}")
    if data.starts[0] < model.last_label_end_ns:
        raise TrainingError(
            f"first row was decided at {data.starts[0]} ns, before the last training label ended at "
            f"{model.last_label_end_ns} ns; these rows are not out of sample"
        )
    return classification_scores(data.labels, predict(model.booster(), data.features), prior=model.prior)


def evaluate_table(model: TrainedModel, table: pl.DataFrame) -> Scores | None:
    """:func:`evaluate` on a table of :func:`join_labels`; None while it has fewer than ten rows (a month to come)."""
    if table.height < CALIBRATION_BINS:
        return None
    return evaluate(model, training_data(table, model.feature_names))


def _need_columns(name: str, table: pl.DataFrame, needed: set[str]) -> None:
    missing = needed - set(table.columns)
    if missing:
        raise TrainingError(f"{name} lack the columns {sorted(missing)}; they have {table.columns}")

"""Direction classifiers. LightGBM today; each returns a booster that :mod:`py_rt.ml.export` can turn into ONNX.

Training is deterministic: one thread, row-wise histograms, every random generator seeded. The same data, parameters
and seed give the same model text on any machine with the same LightGBM.
"""

from __future__ import annotations

from dataclasses import asdict, dataclass
from typing import TYPE_CHECKING

import lightgbm as lgb
import numpy as np
from numpy.typing import NDArray

from py_rt.errors import PyRtError

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence

Float32Array = NDArray[np.float32]
Float64Array = NDArray[np.float64]
Int8Array = NDArray[np.int8]

# One thread: deterministic mode promises equal results for an equal thread count only, and machines differ in cores.
THREADS = 1
MAX_TREES = 2_000
MAX_LEAVES = 256


class ModelError(PyRtError):
    """Training data or parameters that no model can be made of."""


@dataclass(frozen=True)
class LightGbmParams:
    """What is tuned. Everything else is fixed in :func:`fit_lightgbm`.

    Attributes:
        trees: boosting rounds, 1..2000; no early stopping, so that no validation rows leak into the count.
        learning_rate: shrinkage per tree, inside (0, 1].
        leaves: at most this many leaves per tree, 2..256.
        min_leaf_rows: training rows a leaf must hold, at least 1.
        feature_share: share of the features a tree may use, inside (0, 1].
        row_share: share of the rows a tree is fitted on (without replacement), inside (0, 1].
        lambda_l2: L2 penalty on leaf weights, at least 0.
    """

    trees: int = 120
    learning_rate: float = 0.03
    leaves: int = 8
    min_leaf_rows: int = 100
    feature_share: float = 0.7
    row_share: float = 0.7
    lambda_l2: float = 5.0

    def __post_init__(self) -> None:
        """Refuses values outside the ranges above."""
        checks = {
            "trees": (1 <= self.trees <= MAX_TREES, f"1..{MAX_TREES}"),
            "learning_rate": (0.0 < self.learning_rate <= 1.0, "inside (0, 1]"),
            "leaves": (2 <= self.leaves <= MAX_LEAVES, f"2..{MAX_LEAVES}"),
            "min_leaf_rows": (self.min_leaf_rows >= 1, "at least 1"),
            "feature_share": (0.0 < self.feature_share <= 1.0, "inside (0, 1]"),
            "row_share": (0.0 < self.row_share <= 1.0, "inside (0, 1]"),
            "lambda_l2": (self.lambda_l2 >= 0.0, "at least 0"),
        }
        for key, (holds, allowed) in checks.items():
            if not holds:
                raise ModelError(f"{key} is {getattr(self, key)}; allowed is {allowed}")

    def to_dict(self) -> dict[str, int | float]:
        """Plain values, for the ledger and for JSON."""
        return asdict(self)

    @classmethod
    def from_dict(cls, values: Mapping[str, int | float]) -> LightGbmParams:
        """The parameters back from :meth:`to_dict`.

        Raises:
            ModelError: an unknown or missing key, or a value outside its range.

        >>> LightGbmParams.from_dict(LightGbmParams(trees=7).to_dict()).trees
        7
        """
        names = set(cls.__dataclass_fields__)
        if set(values) != names:
            raise ModelError(f"parameters are {sorted(values)}; expected exactly {sorted(names)}")
        whole = {"trees", "leaves", "min_leaf_rows"}
        return cls(**{key: int(item) if key in whole else float(item) for key, item in values.items()})  # type: ignore[arg-type]


def fit_lightgbm(
    features: Float32Array,
    labels: Int8Array,
    *,
    feature_names: Sequence[str],
    params: LightGbmParams,
    seed: int,
    weights: Float64Array | None = None,
) -> lgb.Booster:
    """A binary classifier for label 1.

    Args:
        features: float32 [N, F], finite.
        labels: Int8 [N], 0 or 1, both present.
        feature_names: F names in column order; they travel with the model.
        seed: 0 or above.
        weights: float64 [N], how much each row counts; `None` is all equal.

    Raises:
        ModelError: shapes, types, values or class balance do not allow training.
    """
    _check_training_data(features, labels, feature_names)
    if weights is not None and (weights.shape != labels.shape or not (np.isfinite(weights) & (weights >= 0)).all()):
        raise ModelError(f"weights have shape {weights.shape}; expected {labels.shape}, finite and not below 0")
    settings = {
        "objective": "binary",
        "num_leaves": params.leaves,
        "learning_rate": params.learning_rate,
        "min_data_in_leaf": params.min_leaf_rows,
        "feature_fraction": params.feature_share,
        "bagging_fraction": params.row_share,
        "bagging_freq": 1,
        "lambda_l2": params.lambda_l2,
        "max_bin": 127,
        "feature_pre_filter": False,
        "use_missing": False,
        "seed": seed,
        "deterministic": True,
        "force_row_wise": True,
        "num_threads": THREADS,
        "verbosity": -1,
    }
    data = lgb.Dataset(features, label=labels, weight=weights, feature_name=list(feature_names), free_raw_data=True)
    return lgb.train(settings, data, num_boost_round=params.trees)


def predict(booster: lgb.Booster, features: Float32Array) -> Float64Array:
    """Probability of label 1, float64 [N], for float32 features [N, F]."""
    result: Float64Array = np.asarray(booster.predict(features, num_threads=THREADS), dtype=np.float64)
    return result


def _check_training_data(features: Float32Array, labels: Int8Array, names: Sequence[str]) -> None:
    if features.dtype != np.float32 or features.ndim != 2:
        raise ModelError(f"features are {features.dtype} {features.shape}; expected float32 [N, F]")
    if features.shape[1] != len(names) or len(set(names)) != len(names):
        raise ModelError(
            f"features have {features.shape[1]} columns, names are {list(names)}; expected as many distinct names"
        )
    if labels.shape != (features.shape[0],):
        raise ModelError(f"labels have shape {labels.shape}; expected ({features.shape[0]},)")
    bad = np.flatnonzero(~np.isfinite(features).all(axis=1))
    if bad.size:
        raise ModelError(
            f"features are not finite in {bad.size} rows, first row {int(bad[0])}; drop rows that are not warm"
        )
    found = sorted(set(labels.tolist()))
    if found != [0, 1]:
        raise ModelError(f"labels are {found}; both 0 and 1 must occur, and nothing else")

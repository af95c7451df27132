"""LightGBM training: deterministic, closed parameters, refuses unfit data."""

from __future__ import annotations

import numpy as np
import pytest

from py_rt.ml.models.classifiers import LightGbmParams, ModelError, fit_lightgbm, predict


def data(rows: int = 800) -> tuple[np.ndarray, np.ndarray]:
    rng = np.random.default_rng(1)
    features = rng.normal(size=(rows, 3)).astype(np.float32)
    labels = (features[:, 0] + rng.normal(size=rows) > 0).astype(np.int8)
    return features, labels


NAMES = ("a", "b", "c")


def test_the_same_seed_gives_the_same_model_and_another_seed_another() -> None:
    features, labels = data()
    texts = [
        fit_lightgbm(features, labels, feature_names=NAMES, params=LightGbmParams(), seed=seed).model_to_string()
        for seed in (7, 7, 8)
    ]
    assert texts[0] == texts[1] != texts[2]


def test_it_learns_what_is_there() -> None:
    features, labels = data()
    booster = fit_lightgbm(features, labels, feature_names=NAMES, params=LightGbmParams(min_leaf_rows=20), seed=7)
    fresh = np.random.default_rng(2).normal(size=(200, 3)).astype(np.float32)
    probabilities = predict(booster, fresh)
    assert np.corrcoef(probabilities, fresh[:, 0])[0, 1] > 0.8
    assert booster.feature_name() == list(NAMES)


def test_rows_of_no_weight_teach_nothing() -> None:
    features, labels = data()
    turned = labels.copy()
    turned[400:] = 1 - turned[400:]
    weights = np.r_[np.ones(400), np.zeros(400)]
    params = LightGbmParams(row_share=1.0, min_leaf_rows=20)
    fresh = np.random.default_rng(2).normal(size=(200, 3)).astype(np.float32)
    weighed, equal = (
        predict(fit_lightgbm(features, turned, feature_names=NAMES, params=params, seed=7, weights=given), fresh)
        for given in (weights, None)
    )
    assert np.corrcoef(weighed, fresh[:, 0])[0, 1] > 0.8 > np.corrcoef(equal, fresh[:, 0])[0, 1]
    for wrong in (np.ones(3), np.full(800, -1.0), np.full(800, np.nan)):
        with pytest.raises(ModelError, match="finite and not below 0"):
            fit_lightgbm(features, labels, feature_names=NAMES, params=params, seed=7, weights=wrong)


@pytest.mark.parametrize(
    ("key", "value"),
    [
        ("trees", 0),
        ("trees", 2_001),
        ("learning_rate", 0.0),
        ("leaves", 1),
        ("leaves", 257),
        ("min_leaf_rows", 0),
        ("feature_share", 1.01),
        ("row_share", 0.0),
        ("lambda_l2", -1.0),
    ],
)
def test_parameters_outside_their_range_are_named(key: str, value: float) -> None:
    with pytest.raises(ModelError, match=f"{key} is {value}; allowed is"):
        LightGbmParams.from_dict(LightGbmParams().to_dict() | {key: value})


def test_unknown_and_missing_parameters_are_refused() -> None:
    with pytest.raises(ModelError, match="expected exactly"):
        LightGbmParams.from_dict(LightGbmParams().to_dict() | {"depth": 3})
    with pytest.raises(ModelError, match="expected exactly"):
        LightGbmParams.from_dict({"trees": 3})


def test_unfit_training_data_is_refused() -> None:
    features, labels = data()
    holes = features.copy()
    holes[5, 1] = np.nan
    cases = (
        (features.astype(np.float64), labels, NAMES, "expected float32"),
        (features, labels, ("a", "b"), "as many distinct names"),
        (features, labels, ("a", "b", "b"), "as many distinct names"),
        (features, labels[:-1], NAMES, r"expected \(800,\)"),
        (holes, labels, NAMES, "not finite in 1 rows, first row 5"),
        (features, np.ones_like(labels), NAMES, "both 0 and 1 must occur"),
    )
    for bad_features, bad_labels, names, message in cases:
        with pytest.raises(ModelError, match=message):
            fit_lightgbm(bad_features, bad_labels, feature_names=names, params=LightGbmParams(), seed=1)  # type: ignore[arg-type]

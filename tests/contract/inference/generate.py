"""Writes model.onnx and golden.bin beside this file: a model that learned noise, and what ONNX Runtime says of it.

Run as ``python tests/contract/inference/generate.py`` from the project's root. `native/inference/tests/golden.rs` holds
the tree evaluator against these rows. Other versions of LightGBM or onnxmltools may give other trees; that is no fault
as long as both files are written together.
"""

from __future__ import annotations

import hashlib
import tomllib
from pathlib import Path

import numpy as np
import onnx
from onnx import helper

from py_rt.ml.export import Float32Array, export_onnx, write_golden
from py_rt.ml.models.classifiers import LightGbmParams, fit_lightgbm

ROOT = Path(__file__).resolve().parents[3]
FEATURE_SPEC = tomllib.loads((ROOT / "config/features/btc_15m.toml").read_text(encoding="utf-8"))
FEATURE_NAMES = tuple(feature["name"] for feature in FEATURE_SPEC["feature"])
SEED = 20
TRAINING_ROWS = 4_000
GOLDEN_ROWS = 1_000
# Rows of which every value lies on a split, the one place where a comparison can go wrong.
ON_SPLIT_ROWS = 300
# Rows far outside what the trees have seen.
EXTREME_ROWS = 20
PARAMS = LightGbmParams(trees=61, learning_rate=0.3, leaves=15, min_leaf_rows=5, lambda_l2=0.1)


def golden_rows(model: bytes, rng: np.random.Generator) -> Float32Array:
    """Random rows; the first lie on splits of the model, the next are as large as float32 allows."""
    rows = rng.normal(size=(GOLDEN_ROWS, len(FEATURE_NAMES))).astype(np.float32)
    trees = onnx.load_from_string(model).graph.node[0].attribute
    lists = {item.name: helper.get_attribute_value(item) for item in trees}
    is_branch = np.array([mode != b"LEAF" for mode in lists["nodes_modes"]])
    splits = np.array(lists["nodes_values"], dtype=np.float32)
    for feature in range(len(FEATURE_NAMES)):
        own = splits[is_branch & (np.array(lists["nodes_featureids"]) == feature)]
        rows[:ON_SPLIT_ROWS, feature] = rng.choice(own, ON_SPLIT_ROWS)
    extremes = np.array([0.0, -0.0, 1e-45, np.finfo(np.float32).max, np.finfo(np.float32).min], dtype=np.float32)
    rows[ON_SPLIT_ROWS : ON_SPLIT_ROWS + EXTREME_ROWS] = rng.choice(extremes, (EXTREME_ROWS, len(FEATURE_NAMES)))
    return rows


def main() -> None:
    rng = np.random.default_rng(SEED)
    features = rng.normal(size=(TRAINING_ROWS, len(FEATURE_NAMES))).astype(np.float32)
    odds = features[:, 0] * features[:, 1] + features[:, 5] + rng.normal(0, 0.5, TRAINING_ROWS)
    labels = (odds > 0).astype(np.int8)
    booster = fit_lightgbm(features, labels, feature_names=FEATURE_NAMES, params=PARAMS, seed=SEED)
    digest = hashlib.sha256(b"golden feature specification").hexdigest()
    model = export_onnx(booster, feature_names=FEATURE_NAMES, feature_spec_sha256=digest, name="golden")
    folder = Path(__file__).parent
    (folder / "model.onnx").write_bytes(model)
    (folder / "golden.bin").write_bytes(write_golden(model, golden_rows(model, rng)))


if __name__ == "__main__":
    main()

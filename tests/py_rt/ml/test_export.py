"""ONNX export: the same bytes, the same decisions, the same bits as an evaluator of our own."""

from __future__ import annotations

import hashlib
import struct
import subprocess
import sys
from pathlib import Path

import lightgbm as lgb
import numpy as np
import onnx
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from onnx import helper

from py_rt.ml import export as e
from py_rt.ml.models.classifiers import LightGbmParams, fit_lightgbm
from py_rt.ml.pipeline import join_labels, training_data, warm_features
from tests.synthetic import FEATURE_NAMES as FEATURES
from tests.synthetic import synthetic_tables

SPEC = hashlib.sha256(b"specification").hexdigest()
PARAMS = LightGbmParams(trees=60, leaves=15, min_leaf_rows=30, learning_rate=0.05)


def train() -> tuple[lgb.Booster, e.Float32Array]:
    tables = synthetic_tables(6_300, seed=3)
    data = training_data(join_labels(tables.features, tables.labels, FEATURES), FEATURES)
    booster = fit_lightgbm(data.features, data.labels, feature_names=FEATURES, params=PARAMS, seed=7)
    return booster, warm_features(tables.features, FEATURES)


def export(booster: lgb.Booster, **changes: object) -> bytes:
    values = {"feature_names": FEATURES, "feature_spec_sha256": SPEC, "name": "test"} | changes
    return e.export_onnx(booster, **values)  # type: ignore[arg-type]


@pytest.fixture(scope="module")
def trained() -> tuple[lgb.Booster, e.Float32Array]:
    return train()


@pytest.fixture(scope="module")
def model(trained: tuple[lgb.Booster, e.Float32Array]) -> bytes:
    return export(trained[0])


def evaluate(model: bytes, rows: e.Float32Array) -> e.Float32Array:
    """The raw score by hand: float32 additions in ascending tree id, as the module's docstring promises."""
    node = onnx.load_from_string(model).graph.node[0]
    a = {item.name: helper.get_attribute_value(item) for item in node.attribute}
    keys = zip(a["nodes_treeids"], a["nodes_nodeids"], strict=True)
    values = np.asarray(a["nodes_values"], dtype=np.float32)
    nodes = dict(
        zip(
            keys,
            zip(
                a["nodes_modes"],
                a["nodes_featureids"],
                values,
                a["nodes_truenodeids"],
                a["nodes_falsenodeids"],
                strict=True,
            ),
            strict=True,
        )
    )
    weights = dict(
        zip(
            zip(a["target_treeids"], a["target_nodeids"], strict=True),
            np.asarray(a["target_weights"], dtype=np.float32),
            strict=True,
        )
    )
    sums = np.zeros(len(rows), dtype=np.float32)
    for index, row in enumerate(rows):
        total = np.float32(0.0)
        for tree in range(max(a["nodes_treeids"]) + 1):
            at = 0
            while nodes[tree, at][0] == b"BRANCH_LEQ":
                _, feature, value, yes, no = nodes[tree, at]
                at = yes if row[feature] <= value else no
            total = np.float32(total + weights[tree, at])
        sums[index] = total
    return sums


def ulps(one: e.Float32Array, two: e.Float32Array) -> int:
    return int(np.abs(one.view(np.int32).astype(np.int64) - two.view(np.int32)).max())


def test_the_graph_is_the_documented_one(model: bytes) -> None:
    graph = onnx.load_from_string(model)
    assert [(n.domain, n.op_type) for n in graph.graph.node] == [
        ("ai.onnx.ml", "TreeEnsembleRegressor"),
        ("", "Cast"),
        ("", "Sigmoid"),
        ("", "Cast"),
    ]
    assert [item.name for item in graph.graph.input] == ["features"]
    assert [item.name for item in graph.graph.output] == ["p_up"]
    assert not graph.graph.initializer
    assert [(item.domain, item.version) for item in graph.opset_import] == [("", 15), ("ai.onnx.ml", 1)]
    assert graph.ir_version == 8
    assert (graph.producer_name, graph.producer_version, graph.doc_string) == ("py_rt", "", "")
    attributes = {item.name for item in graph.graph.node[0].attribute}
    assert attributes == {
        "n_targets",
        "post_transform",
        *(f"nodes_{name}" for name in ("falsenodeids", "featureids", "missing_value_tracks_true", "modes")),
        *(f"nodes_{name}" for name in ("nodeids", "treeids", "truenodeids", "values")),
        *(f"target_{name}" for name in ("ids", "nodeids", "treeids", "weights")),
    }
    described = e.describe_graph(model)
    assert described.splitlines()[2] == "ai.onnx.Sigmoid(raw_score_f64) -> p_up_f64 []"


def test_metadata_names_the_features_the_specification_and_the_model(model: bytes) -> None:
    assert e.read_metadata(model) == e.ModelMetadata(FEATURES, SPEC, "test")
    properties = onnx.load_from_string(model).metadata_props
    assert [item.key for item in properties] == ["feature_names", "feature_spec_sha256", "name"]


def test_a_second_training_gives_the_same_file(model: bytes) -> None:
    assert hashlib.sha256(export(train()[0])).hexdigest() == hashlib.sha256(model).hexdigest()


TRAIN_ELSEWHERE = """
import hashlib, sys
from py_rt.ml import export
from py_rt.ml.models.classifiers import LightGbmParams, fit_lightgbm
from py_rt.ml.pipeline import join_labels, training_data
sys.path.insert(0, sys.argv[1])
from synthetic import FEATURE_NAMES, synthetic_tables
tables = synthetic_tables(6_300, seed=3)
data = training_data(join_labels(tables.features, tables.labels, FEATURE_NAMES), FEATURE_NAMES)
params = LightGbmParams(trees=60, leaves=15, min_leaf_rows=30, learning_rate=0.05)
booster = fit_lightgbm(data.features, data.labels, feature_names=FEATURE_NAMES, params=params, seed=7)
spec = hashlib.sha256(b"specification").hexdigest()
model = export.export_onnx(booster, feature_names=FEATURE_NAMES, feature_spec_sha256=spec, name="test")
print(hashlib.sha256(model).hexdigest())
"""


def test_another_process_gives_the_same_file(model: bytes) -> None:
    line = [sys.executable, "-c", TRAIN_ELSEWHERE, str(Path(__file__).resolve().parents[2])]
    done = subprocess.run(line, capture_output=True, text=True, check=True)
    assert done.stdout.strip() == hashlib.sha256(model).hexdigest()


def test_parity_over_all_rows(trained: tuple[lgb.Booster, e.Float32Array], model: bytes) -> None:
    booster, rows = trained
    report = e.check_parity(booster, model, rows, thresholds=[0.45, 0.5, 0.65])
    assert report.rows >= 5_000
    assert report.max_abs_diff < 1e-6
    assert report.changed_decisions == 0
    assert report.passed
    assert report.to_dict()["passed"] is True


def test_parity_fails_on_another_model_few_rows_and_changed_decisions(
    trained: tuple[lgb.Booster, e.Float32Array], model: bytes
) -> None:
    booster, rows = trained
    changed = onnx.load_from_string(model)
    weights = next(item for item in changed.graph.node[0].attribute if item.name == "target_weights")
    for index in range(len(weights.floats)):
        weights.floats[index] *= 1.01
    other = e.check_parity(booster, changed.SerializeToString(), rows, thresholds=[0.5])
    assert not other.passed
    assert other.max_abs_diff > e.PARITY_MAX_ABS_DIFF
    assert not e.check_parity(booster, model, rows[:4_999], thresholds=[0.5]).passed
    assert not e.check_parity(booster, model, rows[:0], thresholds=[0.5]).passed
    # A bound wide enough for the difference still fails on the decisions it changes.
    wide = e.check_parity(booster, changed.SerializeToString(), rows, thresholds=[0.55], max_abs_diff=0.5)
    assert wide.max_abs_diff < 0.5
    assert wide.changed_decisions > 0
    assert not wide.passed


def test_raw_score_equals_an_own_evaluator_bit_for_bit(
    trained: tuple[lgb.Booster, e.Float32Array], model: bytes
) -> None:
    rows = trained[1][:400]
    golden = e.score_row_by_row(model, rows)
    assert golden.raw_scores.tobytes() == evaluate(model, rows).tobytes()
    exact = (1.0 / (1.0 + np.exp(-golden.raw_scores.astype(np.float64)))).astype(np.float32)
    assert ulps(golden.probabilities, exact) <= 1
    assert golden.probabilities.tobytes() == e.score(model, rows).tobytes()


def test_rows_exactly_on_a_split_and_beside_it_decide_as_lightgbm_does(
    trained: tuple[lgb.Booster, e.Float32Array], model: bytes
) -> None:
    booster, rows = trained
    node = onnx.load_from_string(model).graph.node[0]
    a = {item.name: helper.get_attribute_value(item) for item in node.attribute}
    splits = [
        (feature, np.float32(value))
        for mode, feature, value in zip(a["nodes_modes"], a["nodes_featureids"], a["nodes_values"], strict=True)
        if mode == b"BRANCH_LEQ"
    ]
    picked = []
    for index, (feature, value) in enumerate(splits[:600]):
        for x in (value, np.nextafter(value, np.float32(-np.inf)), np.nextafter(value, np.float32(np.inf))):
            row = rows[index].copy()
            row[feature] = x
            picked.append(row)
    edge = np.ascontiguousarray(picked)
    wanted = booster.predict(edge, raw_score=True)
    assert np.abs(e.score_row_by_row(model, edge).raw_scores - wanted).max() < 1e-6


@given(st.floats(-1e30, 1e30), st.floats(width=32, allow_nan=False, allow_infinity=False))
def test_a_floored_threshold_decides_as_the_threshold(threshold: float, x: float) -> None:
    floor = e.floor_to_float32(threshold)
    assert np.float32(floor) == floor
    assert (x <= threshold) == (x <= floor)
    beside = float(np.float32(threshold))
    assert (beside <= threshold) == (beside <= floor)


def test_snapping_matters_where_two_float32_are_neighbours() -> None:
    low = np.nextafter(np.float32(1.0), np.float32(2.0))
    high = np.nextafter(low, np.float32(2.0))
    features = np.array([low, high] * 100, dtype=np.float32).reshape(-1, 1)
    labels = np.array([0, 1] * 100, dtype=np.int8)
    params = LightGbmParams(trees=1, leaves=2, min_leaf_rows=1, learning_rate=1.0, feature_share=1.0, row_share=1.0)
    booster = fit_lightgbm(features, labels, feature_names=["x"], params=params, seed=1)
    threshold = float(booster.dump_model()["tree_info"][0]["tree_structure"]["threshold"])
    assert float(low) < threshold < float(high)
    assert np.float32(threshold) == high, "rounding to nearest moves the split onto the upper value"
    model = export(booster, feature_names=["x"])
    assert np.abs(e.score(model, features) - booster.predict(features)).max() < 1e-6


def test_a_model_that_is_one_constant_still_exports() -> None:
    features = np.zeros((200, 1), dtype=np.float32)
    labels = np.array([0, 1, 1, 1] * 50, dtype=np.int8)
    booster = fit_lightgbm(features, labels, feature_names=["x"], params=LightGbmParams(trees=3), seed=1)
    model = export(booster, feature_names=["x"])
    assert e.score(model, features[:3]) == pytest.approx([0.75] * 3, abs=1e-6)


@settings(max_examples=15, deadline=None)
@given(st.integers(0, 2**31 - 1), st.integers(1, 30), st.integers(2, 31), st.integers(1, 5))
def test_any_booster_keeps_parity_and_bits(seed: int, trees: int, leaves: int, width: int) -> None:
    rng = np.random.default_rng(seed)
    features = rng.normal(scale=10.0 ** rng.integers(-6, 6, size=width), size=(300, width)).astype(np.float32)
    labels = (features[:, 0] * rng.normal(1, 1, 300) > 0).astype(np.int8)
    labels[:2] = (0, 1)
    names = [f"f{i}" for i in range(width)]
    params = LightGbmParams(trees=trees, leaves=leaves, min_leaf_rows=3, learning_rate=0.3)
    booster = fit_lightgbm(features, labels, feature_names=names, params=params, seed=1)
    model = export(booster, feature_names=names)
    assert e.check_parity(booster, model, features, thresholds=[0.5]).max_abs_diff < 1e-5
    golden = e.score_row_by_row(model, features[:40])
    assert golden.raw_scores.tobytes() == evaluate(model, features[:40]).tobytes()


def test_what_does_not_fit_the_contract_is_refused_at_export(trained: tuple[lgb.Booster, e.Float32Array]) -> None:
    booster, rows = trained
    swapped = (FEATURES[1], FEATURES[0], *FEATURES[2:])
    with pytest.raises(e.ExportError, match="feature order differs"):
        export(booster, feature_names=swapped)
    with pytest.raises(e.ExportError, match="64 lower-case hex"):
        export(booster, feature_spec_sha256="AB" * 32)
    with pytest.raises(e.ExportError, match="name is empty"):
        export(booster, name="")
    settings = {"objective": "regression", "verbosity": -1, "num_threads": 1}
    regression = lgb.train(settings, lgb.Dataset(rows, label=rows[:, 0].copy(), feature_name=list(FEATURES)), 2)
    with pytest.raises(e.ExportError, match="'binary sigmoid:1' only"):
        export(regression)
    categorical = {"objective": "binary", "verbosity": -1, "num_threads": 1, "min_data_per_group": 1, "cat_smooth": 1}
    codes = np.random.default_rng(1).integers(0, 20, size=(2_000, 1)).astype(np.float32)
    data = lgb.Dataset(codes, label=(codes[:, 0] % 2).astype(int), feature_name=["x"], categorical_feature=[0])
    with pytest.raises(e.ExportError, match="categorical"):
        export(lgb.train(categorical, data, 3), feature_names=["x"])


def test_the_contract_check_names_every_fault(model: bytes) -> None:
    assert e.check_contract(model, feature_names=FEATURES, feature_spec_sha256=SPEC) == []
    swapped = (FEATURES[0], FEATURES[2], FEATURES[1], *FEATURES[3:])
    order = e.check_contract(model, feature_names=swapped, feature_spec_sha256=SPEC)
    assert len(order) == 1
    assert "feature order differs from position 1" in order[0]
    spec = e.check_contract(model, feature_names=FEATURES, feature_spec_sha256="00" * 32)
    assert len(spec) == 1
    assert spec[0].startswith("feature_spec_sha256 is")
    fewer = e.check_contract(model, feature_names=FEATURES[:11], feature_spec_sha256=SPEC)
    assert len(fewer) == 2
    assert "expected one float32 features [N, 11]" in fewer[1]
    raw = e.check_contract(e.with_raw_score(model), feature_names=FEATURES, feature_spec_sha256=SPEC)
    assert len(raw) == 1
    assert raw[0].startswith("outputs are")


def test_files_that_are_not_models_are_refused(model: bytes) -> None:
    for damaged in (b"not a model", model[: len(model) // 2]):
        with pytest.raises(e.ExportError, match=r"not an ONNX file|metadata keys are"):
            e.read_metadata(damaged)
    stripped = onnx.load_from_string(model)
    del stripped.metadata_props[:]
    with pytest.raises(e.ExportError, match=r"metadata keys are \[\]"):
        e.read_metadata(stripped.SerializeToString())


def test_golden_file_layout_and_round_trip(trained: tuple[lgb.Booster, e.Float32Array], model: bytes) -> None:
    rows = trained[1][:1_000]
    data = e.write_golden(model, rows)
    assert data[:8] == b"PYRTGOLD"
    assert struct.unpack_from("<IIQ", data, 8) == (1, 12, 1_000)
    assert len(data) == 24 + 1_000 * 14 * 4
    first = struct.unpack_from("<14f", data, 24)
    assert first[:12] == tuple(rows[0].tolist())
    golden = e.read_golden(data)
    scored = e.score_row_by_row(model, rows)
    assert golden.features.tobytes() == rows.tobytes()
    assert golden.raw_scores.tobytes() == scored.raw_scores.tobytes()
    assert golden.probabilities.tobytes() == scored.probabilities.tobytes()
    assert first[12:] == (scored.raw_scores[0], scored.probabilities[0])
    assert data == e.write_golden(model, rows)


def test_damaged_golden_files_and_too_few_rows_are_refused(
    trained: tuple[lgb.Booster, e.Float32Array], model: bytes
) -> None:
    data = e.write_golden(model, trained[1][:1_000])
    for damaged, message in (
        (data[:-1], "need 56024"),
        (data + b"\0", "need 56024"),
        (b"X" + data[1:], "starts with"),
        (data[:8] + b"\2" + data[9:], "version 2"),
        (data[:10], "10 bytes"),
    ):
        with pytest.raises(e.ExportError, match=message):
            e.read_golden(damaged)
    with pytest.raises(e.ExportError, match="at least 1000 rows, got 999"):
        e.write_golden(model, trained[1][:999])


def test_unfit_features_and_thresholds_are_refused(trained: tuple[lgb.Booster, e.Float32Array], model: bytes) -> None:
    booster, rows = trained
    with pytest.raises(e.ExportError, match="expected float32"):
        e.score(model, rows.astype(np.float64))
    holes = rows[:10].copy()
    holes[4, 2] = np.inf
    with pytest.raises(e.ExportError, match="1 rows, first row 4"):
        e.score(model, holes)
    for thresholds in ([], [-0.01], [0.5, 1.01]):
        with pytest.raises(e.ExportError, match="from 0 to 1"):
            e.check_parity(booster, model, rows, thresholds=thresholds)

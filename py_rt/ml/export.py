"""From a trained LightGBM booster to the ONNX file that trades, and the proof that both say the same.

The graph, node by node (:func:`describe_graph` prints it for any file)::

    features      float32 [N, F]                              graph input
    TreeEnsembleRegressor (ai.onnx.ml 1)   -> raw_score       float32 [N, 1], sum of the leaf weights
    Cast to=DOUBLE                         -> raw_score_f64   float64 [N, 1]
    Sigmoid                                -> p_up_f64        float64 [N, 1]
    Cast to=FLOAT                          -> p_up            float32 [N, 1]  the only graph output

* Opsets: default domain 15, ``ai.onnx.ml`` 1; IR version 8. No initializers.
* The regressor carries ``n_targets=1``, ``aggregate_function`` absent (``SUM``), ``post_transform=NONE``, no
  ``base_values`` (LightGBM bakes the average into the first tree), and only the node modes ``BRANCH_LEQ``
  and ``LEAF``. Tree ids run 0..T-1, one weight per leaf, ``target_ids`` all 0, listed in ascending tree id.
* ONNX Runtime on one thread computes the raw score as a plain float32 sum: start at +0.0, add each tree's leaf
  weight in ascending tree id, each addition rounded to float32. Reproduce that order and the bits agree.
* The sigmoid is taken in float64 on purpose: ONNX Runtime's float32 ``Sigmoid`` is a polynomial that is up to
  10 ulp off for |x| < 2. In float64, ``1 / (1 + exp(-x))`` rounded to float32 agrees within 1 ulp.
* A branch sends ``x <= value`` to the true branch. Thresholds are rounded *down* to float32 before conversion
  (:func:`snap_thresholds`), which leaves every decision on float32 features unchanged; onnxmltools alone rounds
  to nearest and can move a row that lies exactly on a split.
* Features are finite: rows with NaN or infinity are refused here, and must not reach the model online.

``metadata_props`` holds exactly ``feature_names`` (JSON list), ``feature_spec_sha256`` (hex) and ``name``, so ordered.
The bytes depend on the booster and these three only: no clock, no random names, no producer version.
"""

from __future__ import annotations

import json
import re
import struct
from dataclasses import asdict, dataclass
from typing import TYPE_CHECKING, Any

import lightgbm as lgb
import numpy as np
import onnx
import onnxruntime as ort
from numpy.typing import NDArray
from onnx import TensorProto, helper

from py_rt.errors import PyRtError

if TYPE_CHECKING:
    from collections.abc import Sequence

Float32Array = NDArray[np.float32]
Float64Array = NDArray[np.float64]

OPSET = 15
ML_OPSET = 1
IR_VERSION = 8
INPUT_NAME = "features"
OUTPUT_NAME = "p_up"
RAW_SCORE_NAME = "raw_score"
METADATA_KEYS = ("feature_names", "feature_spec_sha256", "name")

PARITY_MIN_ROWS = 5_000
PARITY_MAX_ABS_DIFF = 1e-5

GOLDEN_MAGIC = b"PYRTGOLD"
GOLDEN_VERSION = 1
GOLDEN_MIN_ROWS = 1_000
_GOLDEN_HEADER = struct.Struct("<8sIIQ")

_SHA256_HEX = re.compile(r"[0-9a-f]{64}")
_REGRESSOR_ATTRIBUTES = (
    "nodes_falsenodeids",
    "nodes_featureids",
    "nodes_missing_value_tracks_true",
    "nodes_modes",
    "nodes_nodeids",
    "nodes_treeids",
    "nodes_truenodeids",
    "nodes_values",
)
_TARGET_ATTRIBUTES = {
    "class_ids": "target_ids",
    "class_nodeids": "target_nodeids",
    "class_treeids": "target_treeids",
    "class_weights": "target_weights",
}


class ExportError(PyRtError):
    """A model, a feature matrix or a golden file that cannot be exported or read as promised."""


@dataclass(frozen=True)
class ModelMetadata:
    """What the ONNX file says about itself (``metadata_props``)."""

    feature_names: tuple[str, ...]
    feature_spec_sha256: str
    name: str


@dataclass(frozen=True)
class ParityReport:
    """Booster against ONNX Runtime on the same rows. Differences are absolute probabilities."""

    rows: int
    max_abs_diff: float
    mean_abs_diff: float
    thresholds: tuple[float, ...]
    changed_decisions: int
    max_allowed_diff: float = PARITY_MAX_ABS_DIFF
    min_rows: int = PARITY_MIN_ROWS

    @property
    def passed(self) -> bool:
        """True when enough rows were compared, all within the bound, and no decision changed."""
        enough = self.rows >= self.min_rows
        return enough and self.max_abs_diff <= self.max_allowed_diff and self.changed_decisions == 0

    def to_dict(self) -> dict[str, Any]:
        """Plain values for ``reports/parity.json`` and asset metadata."""
        return {**asdict(self), "thresholds": list(self.thresholds), "passed": self.passed}


@dataclass(frozen=True)
class GoldenRows:
    """Content of a ``golden.bin``: inputs [N, F], raw scores [N], probabilities [N], all float32."""

    features: Float32Array
    raw_scores: Float32Array
    probabilities: Float32Array


def floor_to_float32(value: float) -> float:
    """Largest float32 that is not above ``value``: for float32 x, ``x <= value`` and ``x <= floor`` agree.

    >>> floor_to_float32(0.1) <= 0.1 < floor_to_float32(0.1) + 1e-8
    True
    >>> floor_to_float32(0.5)
    0.5
    """
    nearest = np.float32(value)
    if float(nearest) > value:
        nearest = np.nextafter(nearest, np.float32(-np.inf))
    return float(nearest)


def snap_thresholds(booster: lgb.Booster) -> lgb.Booster:
    """The same booster with every split threshold rounded down to float32.

    On float32 features it decides exactly as before, and its thresholds survive the ONNX file's float32 unchanged.

    Raises:
        ExportError: the booster has categorical splits, which the ONNX contract does not carry.
    """
    text = booster.model_to_string(num_iteration=-1)
    if re.search(r"^num_cat=(?!0$)", text, flags=re.MULTILINE):
        raise ExportError("booster has categorical splits; the model contract allows numerical features only")

    def snap(match: re.Match[str]) -> str:
        values = (floor_to_float32(float(part)) for part in match.group(1).split())
        return "threshold=" + " ".join(repr(value) for value in values)

    snapped = re.sub(r"^threshold=(.*)$", snap, text, flags=re.MULTILINE)
    # The text form states byte offsets of its trees, which the edit moved; without the line LightGBM recounts.
    snapped = re.sub(r"^tree_sizes=.*\n", "", snapped, flags=re.MULTILINE)
    return lgb.Booster(model_str=snapped)


def export_onnx(
    booster: lgb.Booster,
    *,
    feature_names: Sequence[str],
    feature_spec_sha256: str,
    name: str,
) -> bytes:
    """The ONNX file of a binary LightGBM booster: same arguments, same bytes.

    Args:
        booster: trained with objective ``binary`` (sigmoid 1) on float32 columns.
        feature_names: in column order; must equal the booster's own names.
        feature_spec_sha256: hash of the canonical feature specification, 64 hex digits.
        name: the bundle's name, stored in the file.

    Raises:
        ExportError: objective, feature names or hash do not fit the contract.
    """
    names = tuple(feature_names)
    _check_exportable(booster, names, feature_spec_sha256, name)
    regressor = _tree_ensemble_regressor(snap_thresholds(booster), len(names))
    nodes = [
        regressor,
        helper.make_node("Cast", [RAW_SCORE_NAME], ["raw_score_f64"], name="raw_to_double", to=TensorProto.DOUBLE),
        helper.make_node("Sigmoid", ["raw_score_f64"], ["p_up_f64"], name="sigmoid"),
        helper.make_node("Cast", ["p_up_f64"], [OUTPUT_NAME], name="p_to_float", to=TensorProto.FLOAT),
    ]
    graph = helper.make_graph(
        nodes,
        "py_rt_tree_ensemble",
        [helper.make_tensor_value_info(INPUT_NAME, TensorProto.FLOAT, ["N", len(names)])],
        [helper.make_tensor_value_info(OUTPUT_NAME, TensorProto.FLOAT, ["N", 1])],
    )
    opsets = [helper.make_opsetid("", OPSET), helper.make_opsetid("ai.onnx.ml", ML_OPSET)]
    model = helper.make_model(graph, opset_imports=opsets, ir_version=IR_VERSION, producer_name="py_rt")
    _set_metadata(model, ModelMetadata(names, feature_spec_sha256, name))
    onnx.checker.check_model(model)
    return _serialize(model)


def _check_exportable(booster: lgb.Booster, names: tuple[str, ...], spec_sha256: str, name: str) -> None:
    objective = booster.model_to_string(num_iteration=1).partition("objective=")[2].partition("\n")[0].strip()
    if objective != "binary sigmoid:1":
        raise ExportError(f"objective is {objective!r}; the model contract allows 'binary sigmoid:1' only")
    if tuple(booster.feature_name()) != names:
        raise ExportError(
            f"feature order differs: booster was trained on {booster.feature_name()}, specification says {list(names)}"
        )
    if not _SHA256_HEX.fullmatch(spec_sha256):
        raise ExportError(f"feature_spec_sha256 is {spec_sha256!r}; expected 64 lower-case hex digits")
    if not name:
        raise ExportError("name is empty; give the bundle's name")


def _tree_ensemble_regressor(booster: lgb.Booster, n_features: int) -> onnx.NodeProto:
    """onnxmltools' classifier node turned into a regressor, so that the raw sum is a tensor of its own."""
    import onnxmltools
    from onnxmltools.convert.common.data_types import FloatTensorType

    converted = onnxmltools.convert_lightgbm(
        booster,
        initial_types=[(INPUT_NAME, FloatTensorType([None, n_features]))],
        target_opset=OPSET,
        zipmap=False,
    )
    classifiers = [node for node in converted.graph.node if node.op_type == "TreeEnsembleClassifier"]
    if len(classifiers) != 1:
        raise ExportError(f"converter gave {len(classifiers)} TreeEnsembleClassifier nodes; expected 1")
    attributes = {item.name: helper.get_attribute_value(item) for item in classifiers[0].attribute}
    if set(attributes["nodes_modes"]) - {b"BRANCH_LEQ", b"LEAF"} or set(attributes["class_ids"]) != {0}:
        raise ExportError("converter gave node modes or class ids outside the model contract")
    kept = {key: attributes[key] for key in _REGRESSOR_ATTRIBUTES}
    kept |= {new: attributes[old] for old, new in _TARGET_ATTRIBUTES.items()}
    return helper.make_node(
        "TreeEnsembleRegressor",
        [INPUT_NAME],
        [RAW_SCORE_NAME],
        name="trees",
        domain="ai.onnx.ml",
        n_targets=1,
        post_transform="NONE",
        **kept,
    )


def _set_metadata(model: onnx.ModelProto, metadata: ModelMetadata) -> None:
    values = {
        "feature_names": json.dumps(list(metadata.feature_names), separators=(",", ":")),
        "feature_spec_sha256": metadata.feature_spec_sha256,
        "name": metadata.name,
    }
    del model.metadata_props[:]
    for key in METADATA_KEYS:
        model.metadata_props.add(key=key, value=values[key])


def _serialize(model: onnx.ModelProto) -> bytes:
    return bytes(model.SerializeToString(deterministic=True))


def read_metadata(onnx_bytes: bytes) -> ModelMetadata:
    """Feature names, specification hash and name out of an ONNX file.

    Raises:
        ExportError: not an ONNX file, or the three keys are not exactly there.
    """
    model = _parse(onnx_bytes)
    found = {item.key: item.value for item in model.metadata_props}
    if set(found) != set(METADATA_KEYS):
        raise ExportError(f"metadata keys are {sorted(found)}; expected exactly {sorted(METADATA_KEYS)}")
    try:
        names = json.loads(found["feature_names"])
    except json.JSONDecodeError as error:
        raise ExportError(f"metadata feature_names is not JSON: {error}") from error
    if not isinstance(names, list) or not all(isinstance(item, str) for item in names):
        raise ExportError("metadata feature_names is not a JSON list of strings")
    return ModelMetadata(tuple(names), found["feature_spec_sha256"], found["name"])


def _parse(onnx_bytes: bytes) -> onnx.ModelProto:
    model = onnx.ModelProto()
    try:
        model.ParseFromString(onnx_bytes)
    except Exception as error:  # protobuf's DecodeError class differs between its backends
        raise ExportError(f"not an ONNX file ({len(onnx_bytes)} bytes): {error}") from error
    return model


def check_contract(onnx_bytes: bytes, *, feature_names: Sequence[str], feature_spec_sha256: str) -> list[str]:
    """Every way in which the file breaks the model contract; an empty list means it holds.

    Checks feature order, specification hash, input and output names, shapes and types.
    """
    faults: list[str] = []
    model = _parse(onnx_bytes)
    metadata = read_metadata(onnx_bytes)
    wanted = tuple(feature_names)
    if metadata.feature_names != wanted:
        first = next(
            (i for i, pair in enumerate(zip(metadata.feature_names, wanted, strict=False)) if pair[0] != pair[1]),
            min(len(metadata.feature_names), len(wanted)),
        )
        faults.append(f"feature order differs from position {first}: model {metadata.feature_names}, expected {wanted}")
    if metadata.feature_spec_sha256 != feature_spec_sha256:
        faults.append(f"feature_spec_sha256 is {metadata.feature_spec_sha256}, expected {feature_spec_sha256}")
    inputs = [_signature(item) for item in model.graph.input]
    outputs = [_signature(item) for item in model.graph.output]
    if inputs != [(INPUT_NAME, TensorProto.FLOAT, len(wanted))]:
        faults.append(f"inputs are {inputs}, expected one float32 {INPUT_NAME} [N, {len(wanted)}]")
    if outputs != [(OUTPUT_NAME, TensorProto.FLOAT, 1)]:
        faults.append(f"outputs are {outputs}, expected one float32 {OUTPUT_NAME} [N, 1]")
    return faults


def _signature(value: onnx.ValueInfoProto) -> tuple[str, int, int]:
    tensor = value.type.tensor_type
    return value.name, tensor.elem_type, tensor.shape.dim[-1].dim_value


def describe_graph(onnx_bytes: bytes) -> str:
    """One line per node: operator, inputs, outputs, attributes (lists as their length)."""
    lines = []
    for node in _parse(onnx_bytes).graph.node:
        attributes = []
        for item in node.attribute:
            value = helper.get_attribute_value(item)
            shown = f"<{len(value)} values>" if isinstance(value, list) else repr(value)
            attributes.append(f"{item.name}={shown}")
        domain = node.domain or "ai.onnx"
        lines.append(
            f"{domain}.{node.op_type}({', '.join(node.input)}) -> {', '.join(node.output)} [{', '.join(attributes)}]"
        )
    return "\n".join(lines)


def with_raw_score(onnx_bytes: bytes) -> bytes:
    """The same graph with ``raw_score`` (float32 [N, 1], the sum before the sigmoid) as a second output."""
    model = _parse(onnx_bytes)
    model.graph.output.append(helper.make_tensor_value_info(RAW_SCORE_NAME, TensorProto.FLOAT, ["N", 1]))
    return _serialize(model)


def open_session(onnx_bytes: bytes) -> ort.InferenceSession:
    """An ONNX Runtime session on one thread, CPU, sequential: the setting under which sums have one order."""
    options = ort.SessionOptions()
    options.intra_op_num_threads = 1
    options.inter_op_num_threads = 1
    options.execution_mode = ort.ExecutionMode.ORT_SEQUENTIAL
    options.log_severity_level = 3
    return ort.InferenceSession(onnx_bytes, sess_options=options, providers=["CPUExecutionProvider"])


def score(onnx_bytes: bytes, features: Float32Array) -> Float32Array:
    """Probabilities float32 [N] of float32 features [N, F], in one batch on one thread.

    Raises:
        ExportError: features are not float32, not two-dimensional or not finite.
    """
    _check_features(features)
    result: Float32Array = open_session(onnx_bytes).run([OUTPUT_NAME], {INPUT_NAME: features})[0]
    return result.reshape(-1)


def score_row_by_row(onnx_bytes: bytes, features: Float32Array) -> GoldenRows:
    """Raw scores and probabilities as the live path asks for them: one row at a time, one thread.

    Raises:
        ExportError: unfit features, or ONNX Runtime gives another probability once the raw score is an output.
    """
    _check_features(features)
    plain = open_session(onnx_bytes)
    variant = open_session(with_raw_score(onnx_bytes))
    raw = np.empty(len(features), dtype=np.float32)
    probability = np.empty(len(features), dtype=np.float32)
    for row in range(len(features)):
        feed = {INPUT_NAME: features[row : row + 1]}
        alone = plain.run([OUTPUT_NAME], feed)[0]
        both = variant.run([OUTPUT_NAME, RAW_SCORE_NAME], feed)
        if alone.tobytes() != both[0].tobytes():
            raise ExportError(
                f"row {row}: probability {alone} changed to {both[0]} when the raw score became an output"
            )
        probability[row] = alone[0, 0]
        raw[row] = both[1][0, 0]
    return GoldenRows(np.ascontiguousarray(features), raw, probability)


def _check_features(features: Float32Array) -> None:
    if features.dtype != np.float32 or features.ndim != 2:
        raise ExportError(f"features are {features.dtype} {features.shape}; expected float32 [N, F]")
    bad = np.flatnonzero(~np.isfinite(features).all(axis=1))
    if bad.size:
        raise ExportError(
            f"features are not finite in {bad.size} rows, first row {int(bad[0])}; drop rows that are not warm"
        )


def check_parity(
    booster: lgb.Booster,
    onnx_bytes: bytes,
    features: Float32Array,
    *,
    thresholds: Sequence[float],
    min_rows: int = PARITY_MIN_ROWS,
    max_abs_diff: float = PARITY_MAX_ABS_DIFF,
) -> ParityReport:
    """Compares LightGBM's own prediction (float64) with ONNX Runtime's on the same float32 rows.

    A decision is "probability above (or at) a threshold"; both readings, ``>`` and ``>=``, must agree.

    Args:
        features: float32 [N, F], real rows; fewer than ``min_rows`` fail the report.
        thresholds: probabilities at which the strategy decides, each from 0 to 1.

    Raises:
        ExportError: unfit features or thresholds.
    """
    _check_features(features)
    if not thresholds or not all(0.0 <= item <= 1.0 for item in thresholds):
        raise ExportError(f"thresholds are {list(thresholds)}; expected at least one, each from 0 to 1")
    if len(features) == 0:
        return ParityReport(0, 0.0, 0.0, tuple(thresholds), 0, max_abs_diff, min_rows)
    wanted: Float64Array = np.asarray(booster.predict(features, num_threads=1), dtype=np.float64)
    got = score(onnx_bytes, features).astype(np.float64)
    diff = np.abs(wanted - got)
    changed = np.zeros(len(features), dtype=bool)
    for threshold in thresholds:
        changed |= (wanted > threshold) != (got > threshold)
        changed |= (wanted >= threshold) != (got >= threshold)
    return ParityReport(
        rows=len(features),
        max_abs_diff=float(diff.max()),
        mean_abs_diff=float(diff.mean()),
        thresholds=tuple(thresholds),
        changed_decisions=int(changed.sum()),
        max_allowed_diff=max_abs_diff,
        min_rows=min_rows,
    )


def write_golden(onnx_bytes: bytes, features: Float32Array) -> bytes:
    """The ``golden.bin`` of a model: real rows and what ONNX Runtime says of each, row by row on one thread.

    Little endian: magic ``PYRTGOLD``, u32 version 1, u32 F, u64 N, then per row F x f32 inputs,
    f32 raw score (before the sigmoid), f32 probability.

    Raises:
        ExportError: fewer than 1,000 rows, or features that are not finite float32 [N, F].
    """
    if len(features) < GOLDEN_MIN_ROWS:
        raise ExportError(f"golden file needs at least {GOLDEN_MIN_ROWS} rows, got {len(features)}")
    golden = score_row_by_row(onnx_bytes, features)
    rows, width = golden.features.shape
    table = np.empty((rows, width + 2), dtype="<f4")
    table[:, :width] = golden.features
    table[:, width] = golden.raw_scores
    table[:, width + 1] = golden.probabilities
    return _GOLDEN_HEADER.pack(GOLDEN_MAGIC, GOLDEN_VERSION, width, rows) + table.tobytes()


def read_golden(data: bytes) -> GoldenRows:
    """The rows of a ``golden.bin``.

    Raises:
        ExportError: wrong magic, version or length.
    """
    if len(data) < _GOLDEN_HEADER.size:
        raise ExportError(f"golden file has {len(data)} bytes; the header alone has {_GOLDEN_HEADER.size}")
    magic, version, width, rows = _GOLDEN_HEADER.unpack_from(data)
    if magic != GOLDEN_MAGIC or version != GOLDEN_VERSION:
        raise ExportError(f"golden file starts with {magic!r} version {version}; expected {GOLDEN_MAGIC!r} version 1")
    expected = _GOLDEN_HEADER.size + rows * (width + 2) * 4
    if len(data) != expected:
        raise ExportError(f"golden file has {len(data)} bytes; {rows} rows of {width} features need {expected}")
    table = np.frombuffer(data, dtype="<f4", offset=_GOLDEN_HEADER.size).reshape(rows, width + 2).astype(np.float32)
    return GoldenRows(
        np.ascontiguousarray(table[:, :width]),
        np.ascontiguousarray(table[:, width]),
        np.ascontiguousarray(table[:, width + 1]),
    )

"""Tree inference beside ONNX Runtime: the same model, the same rows one at a time, taking turns row list by row list.

The bench program of `native/inference` and a session of ONNX Runtime on one thread each go over all golden rows while
the other waits. ONNX Runtime is called through an I/O binding on fixed memory: no arrays are made, nothing is copied.
What is left of Python in its time is one bound call; what that and the library's own machinery cost is measured with a
graph that hands its input on, and stands beside the ratio.
"""

from __future__ import annotations

import json
import subprocess
import time
from typing import TYPE_CHECKING, Any

import numpy as np
import onnx
import onnxruntime as ort
from onnx import TensorProto, helper

from benches.figures import Figures, Line, paired_ratio
from benches.programs import ROOT, BenchError
from py_rt.ml.export import INPUT_NAME, IR_VERSION, OPSET, OUTPUT_NAME, read_golden

if TYPE_CHECKING:
    from pathlib import Path
    from types import TracebackType

    from numpy.typing import NDArray

MODEL = ROOT / "tests/contract/inference/model.onnx"
GOLDEN = ROOT / "tests/contract/inference/golden.bin"


class Ours:
    """The bench program, waiting for a line before each pass."""

    def __init__(self, executable: Path, model: Path, golden: Path) -> None:
        """Start it; it holds every raw score against the golden rows first."""
        command = [str(executable), "--serve", str(model), str(golden)]
        self._process = subprocess.Popen(command, stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True)
        self.about: dict[str, Any] = json.loads(self._answer())

    def __enter__(self) -> Ours:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self._process.communicate(timeout=60)

    def _answer(self) -> str:
        if self._process.stdout is None or not (line := self._process.stdout.readline()):
            raise BenchError(f"the program ended with {self._process.wait(timeout=60)}")
        return line

    def times(self, what: str = "pass") -> list[float]:
        """Nanoseconds of each call of one pass; of an empty one where `what` is "empty"."""
        assert self._process.stdin is not None
        self._process.stdin.write(what + "\n")
        self._process.stdin.flush()
        return [float(word) for word in self._answer().split()]


class Theirs:
    """A session of ONNX Runtime, bound to one row and one answer."""

    def __init__(self, model: bytes, output: str, width: int, answer_width: int) -> None:
        """One thread, every graph optimisation."""
        options = ort.SessionOptions()
        options.intra_op_num_threads = 1
        options.inter_op_num_threads = 1
        self._session = ort.InferenceSession(model, options, providers=["CPUExecutionProvider"])
        self._row = np.zeros((1, width), np.float32)
        self.answer = np.zeros((1, answer_width), np.float32)
        self._binding = self._session.io_binding()
        ends = ((self._binding.bind_input, INPUT_NAME, self._row), (self._binding.bind_output, output, self.answer))
        for bind, name, array in ends:
            bind(name, "cpu", 0, np.float32, array.shape, array.ctypes.data)

    def times(self, rows: NDArray[np.float32], answers: list[float] | None = None) -> list[float]:
        """Nanoseconds of each call of one pass."""
        run, binding, row = self._session.run_with_iobinding, self._binding, self._row
        clock, nanos = time.perf_counter_ns, []
        for number in range(len(rows)):
            row[0] = rows[number]
            started = clock()
            run(binding)
            nanos.append(float(clock() - started))
            if answers is not None:
                answers.append(float(self.answer[0, 0]))
        return nanos


def identity(width: int) -> bytes:
    """A graph that hands its input on: what every call costs, whatever the model."""
    ends = [helper.make_tensor_value_info(name, TensorProto.FLOAT, [None, width]) for name in (INPUT_NAME, "same")]
    graph = helper.make_graph([helper.make_node("Identity", [INPUT_NAME], ["same"])], "same", ends[:1], ends[1:])
    model = helper.make_model(graph, opset_imports=[helper.make_opsetid("", OPSET)], ir_version=IR_VERSION)
    encoded: bytes = onnx.ModelProto.SerializeToString(model)
    return encoded


def run(executable: Path, samples: int) -> Line:
    """One round: `samples` passes of each, in turn.

    Raises:
        BenchError: the program failed, or the two do not give the same probabilities.
    """
    golden = read_golden(GOLDEN.read_bytes())
    width = golden.features.shape[1]
    theirs = Theirs(MODEL.read_bytes(), OUTPUT_NAME, width, 1)
    fixed = Theirs(identity(width), "same", width, width)
    answers: list[float] = []
    theirs.times(golden.features, answers)
    if not np.array_equal(np.array(answers, np.float32), golden.probabilities):
        raise BenchError("ONNX Runtime does not give the golden probabilities: other rows, another model?")
    ours_ns: list[float] = []
    theirs_ns: list[float] = []
    fixed_ns: list[float] = []
    clock_ns: list[float] = []
    with Ours(executable, MODEL, GOLDEN) as ours:
        for number in range(samples + 1):
            found = (ours.times(), theirs.times(golden.features), fixed.times(golden.features), ours.times("empty"))
            if number > 0:
                for nanos, more in zip((ours_ns, theirs_ns, fixed_ns, clock_ns), found, strict=True):
                    nanos.extend(more)
        trees = float(ours.about["trees"])
    floor = Figures.of(fixed_ns).p50
    without = [max(nanos - floor, 1.0) for nanos in theirs_ns]
    return Line(
        row="inference",
        unit="ns per call, clock included",
        subject=f"inference::TreeModel, {trees:.0f} trees",
        figures=Figures.of(ours_ns),
        anchor=f"ONNX Runtime {ort.__version__}, one thread",
        anchor_figures=Figures.of(theirs_ns),
        ratio=paired_ratio(ours_ns, theirs_ns),
        facts={
            "rows": float(len(golden.features)),
            "clock_ns": Figures.of(clock_ns).p50,
            "onnx_runtime_call_alone_ns": floor,
            "ratio_without_the_call": paired_ratio(ours_ns, without),
        },
    )

"""The Rust half of py_rt, as Python calls it."""

from collections.abc import Sequence
from typing import Any, Protocol

import numpy as np
import numpy.typing as npt

class _ArrowStream(Protocol):
    def __arrow_c_stream__(self, requested_schema: object | None = None) -> object: ...

class CoreError(ValueError):
    """Input that py_rt_core refuses; the message says what is allowed."""

class FeatureStream:
    """The features of a specification, one bar at a time: what the service does."""

    def __new__(cls, spec_json: str) -> FeatureStream: ...
    def push(
        self,
        ts_open: int,
        open: int,  # noqa: A002  # the standard word for the price
        high: int,
        low: int,
        close: int,
        volume: int,
    ) -> list[float] | None:
        """Take one bar; give its row (float32 values), or None while a feature is not warm."""

def calculate_sma(prices: Sequence[float] | npt.NDArray[Any] | object, window: int) -> npt.NDArray[np.float64]:
    """Simple moving average of the last `window` prices; the first `window - 1` values are NaN."""

def check_config(kind: str, path: str) -> None:
    """Check a configuration file; raise CoreError with every fault, one a line."""

def config_keys(kind: str) -> list[tuple[str, str, str, str | None, str, str]]:
    """Every key of a kind of file: path, type and range, presence, default, unit, meaning."""

def config_kinds() -> list[str]:
    """Names of the kinds of files."""

def compute_features(
    spec_json: str, frame: _ArrowStream
) -> tuple[list[npt.NDArray[np.float32]], npt.NDArray[np.bool_]]:
    """Features of every bar of a frame, and which rows are warm."""

def feature_spec_json(text: str, file_name: str) -> str:
    """Canonical JSON of a feature file: the bytes whose SHA-256 is the specification's identity."""

def warmup_bars(spec_json: str) -> int:
    """Bars after which every feature has a value, wherever the stream begins."""

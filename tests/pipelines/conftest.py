from __future__ import annotations

from typing import TYPE_CHECKING, Any

import pytest

from py_rt.data.expectations import Report

if TYPE_CHECKING:
    from collections.abc import Mapping
    from pathlib import Path

    import polars as pl


def features_table(home: Path) -> Path:
    """Where the features of the one specification lie that this home has seen."""
    (only,) = (home / "lake" / "features").glob("features_bar-*")
    return only


class InstantRunner:
    """Passes every suite without starting Great Expectations; what suites do is tested beside their code."""

    def __init__(self) -> None:
        self.samples: list[pl.DataFrame] = []

    def warm_up(self) -> None:
        return

    def close(self) -> None:
        return

    def validate(self, frame: pl.DataFrame, suite: Mapping[str, Any]) -> Report:
        self.samples.append(frame)
        return Report(str(suite["name"]), frame.height, [])


@pytest.fixture
def instant_runner(monkeypatch: pytest.MonkeyPatch) -> InstantRunner:
    runner = InstantRunner()
    monkeypatch.setattr("pipelines.resources.expectation_runner", runner)
    monkeypatch.setattr("pipelines.run.expectation_runner", runner)
    return runner


@pytest.fixture
def home(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """A fresh `PY_RT_HOME`, with the bundled source."""
    for name in ("PY_RT_LAKE", "PY_RT_SOURCE", "PY_RT_INSTRUMENT"):
        monkeypatch.delenv(name, raising=False)
    monkeypatch.setenv("PY_RT_HOME", str(tmp_path / "home"))
    return tmp_path / "home"

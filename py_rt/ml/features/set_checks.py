"""Whether every set of features keeps its promises on the bars of the day: the catalogue's, and a user's own files.

Sets are `config/features/*.toml`, of the working folder and of the package: a model's file, or a set of research with
expressions and arbitrary Python. Each is computed anew on bars cut off behind some rows and on bars that begin later
(`py_rt.ml.features.promises`); what changes knew the future, or never forgets.
"""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING

import polars as pl

from py_rt.data.timestamps import NS_PER_DAY
from py_rt.defaults import default_root
from py_rt.errors import PyRtError
from py_rt.ml.features.catalogue import catalogue, read_features
from py_rt.ml.features.expressions import Expressions
from py_rt.ml.features.model_set import check_model, is_model_file
from py_rt.ml.features.sets import FeatureFrame
from py_rt.ml.features.technical import FeatureSet

if TYPE_CHECKING:
    from py_rt.ml.features.catalogue import Feature
    from py_rt.ml.features.promises import Finding

CATALOGUE = "catalogue"
TRIED_BARS = 3_000
"""Newest bars that sets are tried on; features that are warm later are told as untried."""

_FOLDER = Path("config") / "features"
_WEEK_NS = 7 * NS_PER_DAY
_MONDAY_NS = 4 * NS_PER_DAY


@dataclass(frozen=True, slots=True)
class SetReport:
    """What a set was found to be.

    Attributes:
        name: of its file, or `CATALOGUE`.
        features: tried.
        untried: features that read what these bars do not have, or that so few bars cannot show to forget.
        findings: broken promises.
        problem: why it could not be read or computed; nothing where it could.
    """

    name: str
    features: int = 0
    untried: tuple[str, ...] = ()
    findings: tuple[Finding, ...] = ()
    problem: str = ""


def set_files() -> dict[str, Path]:
    """Every file of features by name; a user's own comes before the package's."""
    found: dict[str, Path] = {}
    for folder in (Path.cwd() / _FOLDER, default_root() / _FOLDER):
        for path in sorted(folder.glob("*.toml")):
            found.setdefault(path.stem, path)
    return found


def judged(bars: pl.DataFrame) -> list[SetReport]:
    """Try the catalogue and every file.

    Args:
        bars: of one instrument on the grid, in order of time: rows of `clean_bars`; the newest `TRIED_BARS` count.
    """
    newest = bars.tail(TRIED_BARS)
    inputs = as_inputs(newest)
    reports = [_research(CATALOGUE, list(catalogue().values()), inputs)]
    for name, path in set_files().items():
        try:
            is_model = is_model_file(path)
            reports.append(_model(name, path, newest) if is_model else _research(name, read_features(path), inputs))
        except PyRtError as error:
            reports.append(SetReport(name, problem=str(error)))
        except Exception as error:  # noqa: BLE001  # a set may be anybody's Python: a slip in it hides no other set
            reports.append(SetReport(name, problem=f"{path.name}: {type(error).__name__}: {error}"))
    return reports


def as_inputs(bars: pl.DataFrame) -> pl.DataFrame:
    """Rows of `clean_bars` as the columns that expressions read; a hole in the grid is one in the numbers."""
    span = int(bars["ts_close"][0] - bars["ts_open"][0]) if bars.height else 1
    closes = bars["ts_close"]
    return bars.select(pl.col("open", "high", "low", "close", "volume").cast(pl.Float64)).with_columns(
        (bars["ts_open"] // span).alias("number"),
        # NumPy divides as the engine does.
        pl.Series("day_fraction", (closes % NS_PER_DAY).to_numpy() / NS_PER_DAY),
        pl.Series("week_fraction", ((closes - _MONDAY_NS) % _WEEK_NS).to_numpy() / _WEEK_NS),
    )


def _research(name: str, features: list[Feature], inputs: pl.DataFrame) -> SetReport:
    native = [feature for feature in features if not feature.python]
    needs = dict(zip(native, Expressions(native).needs, strict=True)) if native else {}
    readable = [one for one in features if one not in needs or set(needs[one].inputs) <= set(inputs.columns)]
    absent = [feature.name for feature in features if feature not in readable]
    if not readable or inputs.height < 2:
        return SetReport(name, untried=tuple(feature.name for feature in features))
    trial = FeatureFrame(readable).check(inputs)
    return SetReport(name, len(readable), (*absent, *trial.untried), trial.findings)


def _model(name: str, path: Path, bars: pl.DataFrame) -> SetReport:
    features = FeatureSet.from_toml(path)
    if features.events or set(features.columns) - set(bars.columns):
        return SetReport(name, untried=features.names)
    trial = check_model(features, bars)
    tried = len(features.names) if trial.rows_begun else 0
    return SetReport(name, tried, trial.untried, trial.findings)

"""Whether every set of features keeps its promises on the bars of the day: the catalogue's, and a user's own files.

Sets are `config/features/*.toml`, of the working folder and of the package: a model's file, or a set of research with
expressions and arbitrary Python. Each is computed anew on bars cut off behind some rows and on bars that begin later
(`py_rt.ml.features.promises`); what changes knew the future, or never forgets. Each feature is tried on the first bars
that have what it reads (`py_rt.ml.features.grounds`).
"""

from __future__ import annotations

from collections import Counter
from dataclasses import dataclass, field
from pathlib import Path
from typing import TYPE_CHECKING

from py_rt.defaults import default_root
from py_rt.errors import PyRtError
from py_rt.ml.features.catalogue import catalogue, read_features
from py_rt.ml.features.expressions import Expressions
from py_rt.ml.features.grounds import NO_BARS, TRIED_BARS, grounds
from py_rt.ml.features.known_tables import with_beside
from py_rt.ml.features.model_set import check_model, is_model_file
from py_rt.ml.features.sets import FeatureFrame
from py_rt.ml.features.technical import FeatureSet

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence

    import polars as pl

    from py_rt.data.storage import Lake
    from py_rt.ml.features.catalogue import Feature
    from py_rt.ml.features.grounds import Ground, Grounds
    from py_rt.ml.features.known_tables import KnownColumn
    from py_rt.ml.features.promises import Finding

CATALOGUE = "catalogue"

_FOLDER = Path("config") / "features"


@dataclass(frozen=True, slots=True)
class SetReport:
    """What a set was found to be.

    Attributes:
        name: of its file, or `CATALOGUE`.
        features: tried.
        untried: features that read what no bars have, or that so few bars cannot show to forget, each with the reason.
        findings: broken promises.
        problem: why it could not be read or computed; nothing where it could.
        tried_on: how many of the features were tried on which bars.
    """

    name: str
    features: int = 0
    untried: Mapping[str, str] = field(default_factory=dict)
    findings: tuple[Finding, ...] = ()
    problem: str = ""
    tried_on: Mapping[str, int] = field(default_factory=dict)


def set_files() -> dict[str, Path]:
    """Every file of features by name; a user's own comes before the package's."""
    found: dict[str, Path] = {}
    for folder in (Path.cwd() / _FOLDER, default_root() / _FOLDER):
        for path in sorted(folder.glob("*.toml")):
            found.setdefault(path.stem, path)
    return found


def judged(
    bars: pl.DataFrame, lake: Lake | None = None, known: Mapping[str, KnownColumn] | None = None
) -> list[SetReport]:
    """Try the catalogue and every file.

    Args:
        bars: of one instrument on the grid, in order of time: rows of `clean_bars`; the newest `TRIED_BARS` count.
        lake: of the tables that tell what features read beside bars.
        known: where slow parameters stand in it.
    """
    newest = bars.tail(TRIED_BARS)
    every = grounds(newest, lake, known or {})
    reports = [_research(CATALOGUE, list(catalogue().values()), every)]
    for name, path in set_files().items():
        try:
            if is_model_file(path):
                reports.append(_model(name, path, newest, lake, known or {}))
            else:
                reports.append(_research(name, read_features(path), every))
        except PyRtError as error:
            reports.append(SetReport(name, problem=str(error)))
        except Exception as error:  # noqa: BLE001  # a set may be anybody's Python: a slip in it hides no other set
            reports.append(SetReport(name, problem=f"{path.name}: {type(error).__name__}: {error}"))
    return reports


def untried_by_reason(reports: Sequence[SetReport]) -> dict[str, int]:
    """How many features were not tried, by the reason, the most frequent first."""
    return dict(Counter(reason for one in reports for reason in one.untried.values()).most_common())


def _research(name: str, features: list[Feature], every: Grounds) -> SetReport:
    native = [feature for feature in features if not feature.python]
    needs = dict(zip(native, Expressions(native).needs, strict=True)) if native else {}
    chosen: dict[str, list[Feature]] = {}
    untried: dict[str, str] = {}
    for feature in features:
        columns = set(needs[feature].inputs) if feature in needs else set[str]()
        ground = every.of(columns)
        if ground is None:
            untried[feature.name] = every.why(columns)
        else:
            chosen.setdefault(ground.name, []).append(feature)
    findings: list[Finding] = []
    tried_on: dict[str, int] = {}
    for ground in every.every:
        if on := chosen.get(ground.name):
            found, left = _tried(on, ground)
            findings += found
            untried |= left
            tried_on |= {ground.name: len(on)} if ground.inputs.height > 1 else {}
    return SetReport(name, sum(tried_on.values()), untried, tuple(findings), tried_on=tried_on)


def _tried(features: list[Feature], ground: Ground) -> tuple[tuple[Finding, ...], dict[str, str]]:
    if ground.inputs.height < 2:
        return (), dict.fromkeys((feature.name for feature in features), NO_BARS)
    trial = FeatureFrame(features).check(ground.inputs)
    few = f"the {ground.inputs.height} bars of {ground.name} are too few to show whether it forgets"
    return trial.findings, dict.fromkeys(trial.untried, few)


def _model(name: str, path: Path, bars: pl.DataFrame, lake: Lake | None, known: Mapping[str, KnownColumn]) -> SetReport:
    features = FeatureSet.from_toml(path)
    if features.events:
        why = f"trades close its bars ({features.events}), and these are of the clock"
        return SetReport(name, untried=dict.fromkeys(features.names, why))
    words = "no bar is warm"
    if lake is not None and bars.height:
        beside = with_beside(bars, features, lake, known)
        bars, words = beside.bars, beside.words or words
    if absent := [column for column in features.columns if column not in bars.columns]:
        return SetReport(name, untried=dict.fromkeys(features.names, f"these bars have no {', '.join(absent)}"))
    trial = check_model(features, bars)
    if not trial.rows_begun:
        return SetReport(name, untried=dict.fromkeys(features.names, words))
    tried = {"clean_bars": len(features.names)}
    return SetReport(name, len(features.names), dict.fromkeys(trial.untried, words), trial.findings, tried_on=tried)

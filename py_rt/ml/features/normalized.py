"""Features normalized by numbers that were fitted on training rows, written out as expressions of the specification.

A fitted normalization is a few plain numbers, and the language of expressions has all that it takes to apply them. So a
normalized feature is an expression over the feature, with the numbers in it: the specification of the bundle carries
them, the engine runs them on both sides, and `Normalization.apply` of the same feature has the same bits. (What is
fitted on are the 32-bit values of a table of features, so that no step of it overflows.)

A feature of a kind (`kind = "rsi"`) is written as the expression that says the same first: recursions then restart
where expressions do, so that its last bits are not those of the kind. A rank is a step for each of its knots; how many
fit into the text of one expression depends on how long the feature's own is (`knots_of`).
"""

from __future__ import annotations

import json
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

import numpy as np
import py_rt_core

from py_rt.data.normalization import OUTPUT_MAX, FitError, Method, Normalization, fit
from py_rt.ml.features.technical import WARM, FeatureSet

if TYPE_CHECKING:
    from collections.abc import Mapping

    import polars as pl

TEXT_BYTES_MAX = 4_096
"""Longest expression that the engine reads (`engine::signals::program::TEXT_BYTES_MAX`)."""

KNOTS_MAX = 64
KNOTS_MIN = 8
"""Most and fewest steps of a rank; fewer say too little."""

_GAIN, _LOSS = "max(delta(close, 1), 0)", "max(-delta(close, 1), 0)"
_KINDS = {
    "rsi": "known(100 * wilder({gain}, {period}, {w}) / (wilder({gain}, {period}, {w}) "
    "+ wilder({loss}, {period}, {w})), 50)",
    "macd": "(ema(close, {fast}, {w}) - ema(close, {slow}, {w})) / close",
    "volume_ratio": "known(volume / mean(volume, {period}), 0)",
    "bollinger_percent": "known((close - mean(close, {period})) / ({width_hundredths} * 0.02 "
    "* std(close, {period}, 0)), 0) + 0.5",
    "return": "close / lag(close, {lag}) - 1",
    "sma_trend": "mean(close, {fast}) / mean(close, {slow}) - 1",
    "ema_gap": "close / ema(close, {period}, {w}) - 1",
    "volatility": "std(log(close / lag(close, 1)), {period}, 1)",
    "atr_percent": "wilder(max(high, lag(close, 1)) - min(low, lag(close, 1)), {period}, {w}) / close",
    "hour_sin": "sin(6.283185307179586 * day_fraction)",
    "hour_cos": "cos(6.283185307179586 * day_fraction)",
}
"""Each kind as an expression; `w` is its restart window."""


@dataclass(frozen=True, slots=True)
class Wish:
    """How a feature is to be normalized.

    Attributes:
        method: one of `py_rt.data.normalization.METHODS`.
        tail: of `winsorized`, the share held back on each side.
    """

    method: Method
    tail: float


def expression_of(feature: Mapping[str, Any]) -> str:
    """A feature of a specification as an expression without a unit.

    Args:
        feature: as it stands in the specification's canonical JSON.

    Raises:
        FitError: a kind that has no expression.

    >>> expression_of({"kind": "return", "params": {"lag": 4}, "restart_window": 0})
    'close / lag(close, 4) - 1'
    """
    if feature["kind"] == "expression":
        text = str(feature["expression"])
        return text if feature["unit"] == "number" else f"number({text})"
    if feature["kind"] not in _KINDS:
        raise FitError(f"feature {feature['name']}: kind {feature['kind']} has no expression; write it as one")
    return _KINDS[feature["kind"]].format(**feature["params"], w=feature["restart_window"], gain=_GAIN, loss=_LOSS)


def written_out(expression: str, fitted: Normalization) -> str:
    """A fitted normalization of an expression, as an expression.

    Args:
        expression: without a unit.
        fitted: its normalization.

    Raises:
        FitError: the text would be longer than the engine reads.

    >>> written_out("day_fraction", Normalization("z_score", center=0.5, scale=0.25))
    'min(max(((day_fraction) - 0.5) / 0.25, -1000000.0), 1000000.0)'
    """
    inner = f"({expression})"
    if fitted.method == "rank":
        made = f"({len(fitted.knots)} + {_steps(inner, fitted.knots)}) / {2 * len(fitted.knots)}"
    elif fitted.scale == 0:
        made = f"{inner} - {inner}"  # 0, and unknown where the feature is
    else:
        held = inner if fitted.low is None else f"max({expression}, {fitted.low!r})"
        held = held if fitted.high is None else f"min({held}, {fitted.high!r})"
        scaled = f"({held} - {_negated(fitted.center)}) / {fitted.scale!r}"
        made = f"min(max({scaled}, {-OUTPUT_MAX!r}), {OUTPUT_MAX!r})"
    if len(made) > TEXT_BYTES_MAX:
        raise FitError(f"normalized, {expression[:60]!r} would be {len(made)} bytes; allowed are {TEXT_BYTES_MAX}")
    return made


def _negated(number: float) -> str:
    return f"{number!r}" if number >= 0 else f"({number!r})"


def _steps(inner: str, knots: tuple[float, ...]) -> str:
    """The sum of the signs of the distances to the knots, halved again and again: a long sum would nest too deep."""
    if len(knots) == 1:
        return f"sign({inner} - {_negated(knots[0])})"
    half = len(knots) // 2
    return f"({_steps(inner, knots[:half])} + {_steps(inner, knots[half:])})"


def knots_of(expression: str) -> int:
    """How many knots a rank of an expression may have.

    Raises:
        FitError: fewer than `KNOTS_MIN`.
    """
    room = TEXT_BYTES_MAX - 64
    most = min(KNOTS_MAX, room // (len(expression) + 44))
    if most < KNOTS_MIN:
        raise FitError(f"a rank of {expression[:60]!r} has room for {most} steps, at least {KNOTS_MIN} are needed")
    return most


def fitted_on(features: FeatureSet, rows: pl.DataFrame, wishes: Mapping[str, Wish]) -> dict[str, Normalization]:
    """Fit each wish on the warm rows of a table of features: the training rows and no others.

    Args:
        features: of the model.
        rows: computed by `features`.
        wishes: by feature.

    Raises:
        FitError: a feature that the set does not have, or that cannot be fitted; which is named.
    """
    by_name = {item["name"]: item for item in json.loads(features.canonical)["features"]}
    unknown = sorted(wishes.keys() - by_name.keys())
    if unknown:
        raise FitError(f"no feature is called {', '.join(unknown)}; there are {', '.join(by_name)}")
    warm = rows.filter(WARM)
    fits = {}
    for name, wish in wishes.items():
        values = warm[name].to_numpy().astype(np.float64)
        try:
            knots = {"knots": knots_of(expression_of(by_name[name]))} if wish.method == "rank" else {}
            fits[name] = fit(values, wish.method, wish.tail, **knots)
        except FitError as error:
            raise FitError(f"feature {name}: {error}") from error
    return fits


def normalized(features: FeatureSet, fits: Mapping[str, Normalization]) -> FeatureSet:
    """The features with the fitted numbers written into them; without any it is the same set.

    Raises:
        FitError: a text that is too long, or that the engine refuses.
    """
    if not fits:
        return features
    spec = json.loads(features.canonical)
    lines = [f"bar_seconds = {spec['bar_ns'] // 10**9}"]
    if bars := spec.get("bars"):
        averaged = [f"averaged = {bars['averaged']}"] if "averaged" in bars else []
        lines += ["[bars]", f'rule = "{bars["rule"]}"', f"size = {bars['size']}", *averaged]
    for slow in features.slow:
        seconds = slow.max_age_ns // 10**9
        lines += ["[[slow]]", f'name = "{slow.name}"', f'unit = "{slow.unit}"', f"max_age_seconds = {seconds}"]
    for item in spec["features"]:
        lines += ["[[feature]]", *(f"{key} = {_toml(value)}" for key, value in _entry(item, fits).items())]
    try:
        return FeatureSet.from_canonical(py_rt_core.feature_spec_json("\n".join(lines), "normalized features"))
    except py_rt_core.CoreError as error:
        raise FitError(f"the normalized features are refused: {error}") from error


def _entry(item: Mapping[str, Any], fits: Mapping[str, Normalization]) -> dict[str, Any]:
    fitted = fits.get(item["name"])
    if fitted is not None:
        text = written_out(expression_of(item), fitted)
        return {"name": item["name"], "kind": "expression", "expression": text, "unit": "number"}
    kept = ("name", "kind", "expression", "unit", "params", "restart_window")
    return {key: item[key] for key in kept if key in item and item[key] != {}}


def _toml(value: object) -> str:
    if isinstance(value, dict):
        return "{ " + ", ".join(f"{key} = {item}" for key, item in value.items()) + " }"
    return json.dumps(value)

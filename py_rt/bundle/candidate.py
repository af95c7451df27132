"""A candidate: what the months' assets made, put together as the files of a bundle, with the gates it passes or not."""

from __future__ import annotations

import json
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

import py_rt_core

from py_rt.bundle.build import strategy_with_volatility
from py_rt.bundle.gates import Gates, backtest_gates, limits_gate, look_ahead_gate, luck_gate, parity_gate
from py_rt.bundle.manifest import sha256_hex
from py_rt.errors import BundleError
from py_rt.ml.features.technical import FeatureSet, rows_that_look_ahead, rows_to_cut
from py_rt.ml.strategy_file import decided_at

if TYPE_CHECKING:
    from collections.abc import Mapping

    import polars as pl

    from py_rt.bundle.gates import Gate
    from py_rt.bundle.provenance import Provenance

LOOK_AHEAD_CUTS = 24
"""How many rows are recomputed on bars cut off behind them."""


@dataclass(frozen=True)
class Parts:
    """What a bundle is made of.

    Attributes:
        features: canonical JSON of the feature specification.
        model: the ONNX file.
        golden: rows that ONNX Runtime scored.
        parity: JSON of the comparison with the booster.
        model_card: markdown.
        backtest: JSON of the backtest, higher costs included.
        overfit: JSON of how much of it is luck.
        strategy: text of the strategy file, without a volatility.
        risk_limits: text of the limits.
    """

    features: bytes
    model: bytes
    golden: bytes
    parity: bytes
    model_card: bytes
    backtest: bytes
    overfit: bytes
    strategy: str
    risk_limits: str


def look_ahead(features: bytes, bars: pl.DataFrame, cuts: int = LOOK_AHEAD_CUTS) -> Gate:
    """Recompute features on bars cut off at rows spread over the warm part of the table, and compare bits.

    Args:
        features: canonical JSON of the specification.
        bars: as `FeatureSet.compute` takes them.
        cuts: how many rows, at least 2.

    Returns:
        The gate; not passed where no bar is warm, because there is nothing to compare.
    """
    made = FeatureSet.from_canonical(features.decode())
    table = bars.sort("ts_open").select(made.columns)
    rows = rows_to_cut(made, table, cuts)
    return look_ahead_gate(len(rows), len(rows_that_look_ahead(made, table, rows)))


def candidate_files(
    parts: Parts, provenance: Provenance, *, no_look_ahead: Gate, policy: str
) -> tuple[dict[str, bytes], Gates]:
    """Put the files of a bundle together.

    Args:
        parts: what it is made of.
        provenance: what that was made from.
        no_look_ahead: the verdict of :func:`look_ahead`.
        policy: text of the `risk_limits.toml` that no limit may be looser than.

    Returns:
        Content by path, and the gates that stand in it.

    Raises:
        BundleError: the backtest is not about this model and strategy, or a text cannot be read.
        StrategyFileError: the strategy file does not say at which probabilities it decides.
    """
    backtest = _parsed("backtest.json", parts.backtest)
    _check_backtest(backtest, parts)
    gates = _gates(parts, backtest, no_look_ahead, policy)
    strategy = strategy_with_volatility(parts.strategy, str(backtest["config"]["daily_volatility"]))
    files = {
        "features.json": parts.features,
        "golden.bin": parts.golden,
        "model.onnx": parts.model,
        "provenance.json": provenance.to_bytes(),
        "reports/backtest.json": parts.backtest,
        "reports/gates.json": gates.to_bytes(),
        "reports/model_card.md": parts.model_card,
        "reports/parity.json": parts.parity,
        "risk_limits.toml": parts.risk_limits.encode(),
        "strategy.toml": strategy.encode(),
    }
    return files, gates


def _check_backtest(backtest: Mapping[str, Any], parts: Parts) -> None:
    """Numbers of another model say nothing about this one."""
    wanted = {
        "model_sha256": sha256_hex(parts.model),
        "features_sha256": sha256_hex(parts.features),
        "strategy_sha256": sha256_hex(parts.strategy.encode()),
    }
    other = sorted(name for name, sha256 in wanted.items() if backtest["strategy"].get(name) != sha256)
    if other:
        raise BundleError(
            f"the backtest was run with another {', '.join(name.removesuffix('_sha256') for name in other)}: "
            "materialise backtest_threshold and overfit_report of this month again"
        )


def _gates(parts: Parts, backtest: Mapping[str, Any], no_look_ahead: Gate, policy: str) -> Gates:
    overfit = _parsed("overfit.json", parts.overfit)
    try:
        looser = py_rt_core.looser_limits(parts.risk_limits, policy)
    except py_rt_core.CoreError as error:
        raise BundleError(str(error)) from error
    measured = [
        parity_gate(_parsed("parity.json", parts.parity), decided_at(parts.strategy)),
        no_look_ahead,
        limits_gate(len(looser)),
        luck_gate(overfit["deflated_sharpe"]),
        *backtest_gates(backtest),
    ]
    return Gates.of(measured, overfit["ledger"])


def _parsed(name: str, content: bytes) -> dict[str, Any]:
    try:
        read: dict[str, Any] = json.loads(content)
    except ValueError as error:
        raise BundleError(f"{name} is not JSON: {error}") from error
    return read

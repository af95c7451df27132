"""Captured: what the deployed model says on the day's recorded trades, held against its training source.

It follows the recordings (job `land_recordings`). Drift in scores or decisions fails a blocking check: research and the
service then look at different markets.
"""

import json
from collections.abc import Iterator, Mapping
from datetime import timedelta
from typing import TYPE_CHECKING

import dagster as dg
import polars as pl

from assets.beside import KNOWN_FILE, bars_beside, deps_on, reads_of_any
from assets.checks import fits_schema
from assets.outputs import declared, picture, published
from assets.outside import Made, Outside, Question
from assets.partitions import daily, days_of, single_run
from assets.versions import code_version
from py_rt.bundle.manifest import MANIFEST
from py_rt.bundle.store import BundleStore
from py_rt.data import anomalies, schemas
from py_rt.data.anomaly_charts import scores_png
from py_rt.data.cleaning import BarRules
from py_rt.data.schemas import CAPTURED_SCORES, CLEAN_BARS
from py_rt.data.storage import DayWindow, Lake, read_or_empty
from py_rt.data.timestamps import NS_PER_DAY
from py_rt.ml import strategy_file
from py_rt.ml.features import known_tables
from py_rt.ml.features.flow_tables import flow_columns, recorded_flow
from py_rt.ml.features.technical import FeatureSet

if TYPE_CHECKING:
    from py_rt.ml.captured import Comparison, Model

SLOT = 1
MAX_EXAMPLES = 5
BLOCKING = "scores_and_decisions_as_trained"
WARNING = "features_as_trained"


class CapturedConfig(dg.Config):
    """Whose decisions are compared."""

    slot: int = SLOT
    digest: str = ""
    """Of a bundle; empty is the slot's champion, or its newest approval where none was deployed."""


@dg.asset(
    group_name="features",
    partitions_def=daily,
    backfill_policy=single_run,
    # A bundle may read what the feature file of today does not.
    deps=deps_on(reads_of_any(), flow=True, before=0, inputs=("raw_trades", "raw_book")),
    code_version=code_version(
        __name__, "assets.beside", "py_rt.ml.captured", anomalies, schemas, known_tables, files=[KNOWN_FILE]
    ),
    kinds={"rust", "onnx", "deltalake"},
    metadata=declared(CAPTURED_SCORES),
    tags={"py_rt/waits_for": "recording"},
    description=CAPTURED_SCORES.doc,
    check_specs=[
        dg.AssetCheckSpec(BLOCKING, asset="captured_scores", blocking=True),
        dg.AssetCheckSpec(WARNING, asset="captured_scores"),
    ],
)
def captured_scores(
    context: dg.AssetExecutionContext,
    config: CapturedConfig,
    raw_trades: pl.LazyFrame,
    raw_book: pl.LazyFrame,
    lake: dg.ResourceParam[Lake],
    bundle_store: dg.ResourceParam[BundleStore],
    bar_rules: dg.ResourceParam[BarRules],
) -> Iterator[dg.Output[pl.DataFrame] | dg.AssetCheckResult]:
    """Bars of the captured trades, features on them, scores and decisions; the same on the source's bars."""
    from py_rt.ml import captured

    digest = bundle_store.resolve(config.digest) if config.digest else deployed(bundle_store, config.slot)
    words = _not_comparable(bundle_store, digest, config.slot, bar_rules.instrument)
    if digest is None or words:
        yield published(context, CAPTURED_SCORES.empty(), CAPTURED_SCORES, metadata={"bundle": digest or "none"})
        yield _unjudged(BLOCKING, words)
        yield _unjudged(WARNING, words)
        return
    model = _model(bundle_store, digest)
    trades = captured.instrument_trades(raw_trades, bar_rules.instrument)
    bars = captured.whole_bars(trades, captured.listened(trades), model.features.bar_ns)
    bars = bars.with_columns(pl.lit(bar_rules.instrument).alias("instrument"))
    ours = bars_beside(source_bars(lake, days_of(context), model.features), model.features, lake)
    flow = None
    if flow_columns(model.features):
        flow = recorded_flow(raw_trades, raw_book, bar_rules.instrument, model.features.bar_ns)
    heard = bars_beside(bars, model.features, lake, flow)
    found = captured.compare(model, heard.bars, ours.bars)
    day = pl.from_epoch(pl.col("ts_close") - model.features.bar_ns, time_unit="ns").dt.date()
    rows = found.rows.with_columns(day.alias("date"), pl.lit(bar_rules.instrument).alias("instrument"))
    rows = rows.filter(days_of(context).holds("date"))
    sides = {"captured": heard.words, "training source": ours.words}
    unknown = [f"{side} {words}" for side, words in sides.items() if words]
    words = "; ".join((captured.verdict_words(found), *unknown))
    context.log.info("%s: %s", digest[:12], words)
    shown = {"bundle": digest, "unknown_columns": "; ".join(unknown)}
    yield published(context, CAPTURED_SCORES.conform(rows), CAPTURED_SCORES, metadata=shown)
    yield from _checks(found, model, words)


def _not_comparable(store: BundleStore, digest: str | None, slot: int, instrument: str) -> str:
    """Why there is nothing to compare; empty where there is."""
    if digest is None:
        return f"no bundle was deployed or approved for slot {slot}: nothing to compare"
    if events := FeatureSet.from_canonical(store.read_file(digest, "features.json").decode()).events:
        return f"the bundle's bars are closed by trades ({events}), those of the training source by the clock"
    trades = str(json.loads(store.read_file(digest, MANIFEST))["instrument"])
    other = f"the bundle trades {trades}, the training source tells of {instrument}: set PY_RT_INSTRUMENT"
    return "" if trades == instrument else other


def deployed(store: BundleStore, slot: int) -> str | None:
    """The bundle that trades in a slot, or that was approved for it last."""
    return store.alias(slot, "champion") or store.alias(slot, "challenger")


def source_bars(lake: Lake, days: DayWindow, features: FeatureSet) -> pl.DataFrame:
    """Bars of the training source on some days, and before them as many as the features need to be warm."""
    back = timedelta(days=features.warmup_bars * features.bar_ns // NS_PER_DAY + 2)
    return read_or_empty(lake, CLEAN_BARS, DayWindow(days.start - back, days.end))


def _model(store: BundleStore, digest: str) -> "Model":
    from py_rt.ml import captured

    leave_below, enter_at = strategy_file.decided_at(store.read_file(digest, "strategy.toml").decode())
    features = FeatureSet.from_canonical(store.read_file(digest, "features.json").decode())
    return captured.Model(features, store.read_file(digest, "model.onnx"), leave_below, enter_at)


def _unjudged(name: str, words: str) -> dg.AssetCheckResult:
    """A warning: it was not looked at, which is not the same as that it is right."""
    return dg.AssetCheckResult(
        check_name=name,
        passed=False,
        severity=dg.AssetCheckSeverity.WARN,
        description=words,
        metadata={"bars_compared": 0},
    )


def _checks(found: "Comparison", model: "Model", words: str) -> Iterator[dg.AssetCheckResult]:
    if found.rows.is_empty():
        yield _unjudged(BLOCKING, words)
        yield _unjudged(WARNING, words)
        return
    counts = {
        "bars_compared": found.rows.height,
        "bars_captured": found.captured_bars,
        "bars_unknown_to_source": found.unknown_bars,
    }
    changed = found.rows.filter(pl.col("decision_captured") != pl.col("decision_training"))
    yield dg.AssetCheckResult(
        check_name=BLOCKING,
        passed=not found.is_drift,
        description=words,
        metadata={
            **counts,
            "changed_decisions": found.changed_decisions,
            "mean_score_difference": found.mean_score_difference,
            "examples": [str(row) for row in changed.head(MAX_EXAMPLES).rows(named=True)],
            "scores": picture(scores_png(found.rows, model.leave_below, model.enter_at), "scores"),
        },
    )
    yield _features(found, counts)


def _features(found: "Comparison", counts: Mapping[str, int]) -> dg.AssetCheckResult:
    """A warning of each feature that moved; how many bars have its very bits is said of all of them."""
    ratio = pl.col("equal") / max(1, found.rows.height)
    listed = found.drift.select("feature", ratio.alias("equal_share"), "largest", "psi", "ks").sort("equal_share")
    shown = "\n".join(
        f"| {row['feature']} | {row['equal_share']:.1%} | {row['largest'] or 0.0:.3g} | {_number(row['psi'])} | "
        f"{_number(row['ks'])} |"
        for row in listed.rows(named=True)
    )
    head = "| feature | same bits | largest difference | stability index | distance |\n|---|---|---|---|---|\n"
    return dg.AssetCheckResult(
        check_name=WARNING,
        passed=not found.features_moved,
        severity=dg.AssetCheckSeverity.WARN,
        description="Features of captured trades are distributed as those of the training source.",
        metadata={**counts, "moved": found.features_moved, "features": dg.MetadataValue.md(head + shown)},
    )


def _number(value: float | None) -> str:
    return "-" if value is None else f"{value:.3f}"


captured_scores_fit = fits_schema(CAPTURED_SCORES)


def _bundle_changed(outside: Outside, made: Made) -> str | None:
    now = deployed(outside.store, SLOT) or "none"
    return "another bundle trades" if now != made.metadata.get("bundle") else None


OUTSIDE: Mapping[str, Question] = {"captured_scores": _bundle_changed}

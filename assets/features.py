"""Features and labels: what is known at each bar's close, and what happens after it."""

from collections.abc import Iterator, Mapping
from typing import Any

import dagster as dg
import polars as pl

from assets.beside import (
    FEATURE_FILE,
    KNOWN_FILE,
    MADE_OF_RECORDINGS,
    bars_beside,
    deps_on,
    reads_flow,
    reads_of_features,
)
from assets.outputs import PARTITION_COLUMN, SPEC_FILE, SPEC_SHA256, published
from assets.partitions import daily, days_of, single_run
from assets.versions import code_version
from py_rt.data.schemas import FEATURES_BAR, LABELS
from py_rt.data.storage import DayWindow, Lake
from py_rt.defaults import config_file
from py_rt.ml import label_rule
from py_rt.ml.features import known_tables, technical
from py_rt.ml.features.known_tables import BarsBeside
from py_rt.ml.features.technical import (
    WARM,
    FeatureError,
    FeatureSet,
    rows_that_differ_online,
    rows_that_look_ahead,
    rows_to_cut,
)
from py_rt.ml.label_rule import LabelRule

GROUP = "features"
SPEC = "features/feature_spec/features.json"
"""Where the artifact `feature_spec` lies."""

TRAINING_FILE = config_file("training.toml")
LOOKBACK_DAYS = 4
"""Days before a day that its features may depend on; at least the warm-up of the feature file."""

LOOK_AHEAD_CUTS = 24
"""How many rows of a run are recomputed on bars cut off behind them."""

NOTHING_WARM = (
    f"no row is warm, so nothing was looked at; the first {LOOKBACK_DAYS} days of bars are made with a later day"
)

MAX_MISSING_SHARE = 0.0
"""Share of rows that may lack a feature once the warm-up is over."""

Files = dict[str, bytes]

_before = dg.TimeWindowPartitionMapping(start_offset=-LOOKBACK_DAYS, allow_nonexistent_upstream_partitions=True)
_after = dg.TimeWindowPartitionMapping(end_offset=1, allow_nonexistent_upstream_partitions=True)


@dg.asset(
    group_name=GROUP,
    code_version=code_version(__name__, technical, files=[FEATURE_FILE]),
    kinds={"toml"},
    io_manager_key="artifacts",
)
def feature_spec() -> dg.Output[Files]:
    """The feature file as canonical JSON: its hash is the identity that model and bundle carry."""
    features = FeatureSet.from_toml(FEATURE_FILE)
    if features.events:
        raise FeatureError(
            f"{FEATURE_FILE}: [bars] says that trades close the bars ({features.events}), and the pipeline computes "
            "over bars of the clock; `py_rt features compute TRADE_BARS --set FILE` computes these, over bars of "
            "`py_rt data bars`"
        )
    return dg.Output(
        {"features.json": features.canonical.encode()},
        data_version=dg.DataVersion(features.sha256),
        metadata={"sha256": features.sha256, "features": len(features.names), "warmup_bars": features.warmup_bars},
    )


def _features(spec: Files) -> FeatureSet:
    return FeatureSet.from_canonical(spec["features.json"].decode())


def _of_days(frame: pl.DataFrame, window: DayWindow) -> pl.DataFrame:
    return frame.filter((pl.col("date") >= window.start) & (pl.col("date") < window.end))


@dg.asset(
    group_name=GROUP,
    partitions_def=daily,
    backfill_policy=single_run,
    ins={"clean_bars": dg.AssetIn(partition_mapping=_before)},
    deps=deps_on(reads_of_features(), flow=reads_flow(), before=LOOKBACK_DAYS, inputs=("clean_bars", "feature_spec")),
    code_version=code_version(__name__, "assets.beside", technical, known_tables, files=[KNOWN_FILE]),
    kinds={"rust", "deltalake"},
    metadata={PARTITION_COLUMN: "date", SPEC_FILE: SPEC},
    tags=MADE_OF_RECORDINGS if reads_flow() else {},
    description=FEATURES_BAR.doc,
    # Here, because only the asset's own input has the days before: a check's own inputs know no partition mapping. And
    # because a row that lacks a feature where a column was unknown is no fault, which the table does not say.
    check_specs=[
        dg.AssetCheckSpec("no_look_ahead", asset="features_bar", blocking=True),
        dg.AssetCheckSpec("batch_equals_incremental", asset="features_bar", blocking=True),
        dg.AssetCheckSpec("missing_rate", asset="features_bar", blocking=True),
    ],
)
def features_bar(
    context: dg.AssetExecutionContext, feature_spec: Files, clean_bars: pl.DataFrame, lake: dg.ResourceParam[Lake]
) -> Iterator[dg.Output[pl.DataFrame] | dg.AssetCheckResult]:
    """Every feature at every bar's close, by the engine's own code."""
    features = _features(feature_spec)
    beside = bars_beside(clean_bars, features, lake)
    bars = beside.bars
    whole = bars.select("instrument", "ts_close", "date").hstack(features.compute(bars))
    frame = _of_days(whole, days_of(context))
    warm = int(frame[WARM].sum())
    context.log.info("computed %d features of %d bars, %d of them warm", len(features.names), frame.height, warm)
    shown = {"warm_rows": warm, SPEC_SHA256: features.sha256, "unknown_columns": beside.words}
    yield published(context, frame, FEATURES_BAR, metadata=shown)
    yield no_look_ahead(features, beside)
    yield batch_equals_incremental(features, beside)
    yield missing_rate(frame, _of_days(whole.select("date", excused=excused(features, beside)), days_of(context)))


def no_look_ahead(features: FeatureSet, beside: BarsBeside) -> dg.AssetCheckResult:
    """Features recomputed on bars cut off at t have the same bits at t, for rows spread over the run's warm ones."""
    bars = beside.bars
    cuts = rows_to_cut(features, bars, LOOK_AHEAD_CUTS)
    changed = rows_that_look_ahead(features, bars, cuts)
    if not cuts:
        return _nothing_warm("no_look_ahead", beside.words, {"cuts": 0})
    return dg.AssetCheckResult(
        check_name="no_look_ahead",
        passed=not changed,
        description="Features recomputed on bars cut off at t have the same bits at t.",
        metadata={"cuts": len(cuts), "changed_rows": str(changed)},
    )


def batch_equals_incremental(features: FeatureSet, beside: BarsBeside) -> dg.AssetCheckResult:
    """The bars fed one by one, from the first and from later rows, give the table's bits."""
    bars = beside.bars
    starts = [start for start in (0, 17, bars.height // 3) if start < bars.height]
    differing = {start: rows_that_differ_online(features, bars, start) for start in starts}
    wrong = {str(start): len(rows) for start, rows in differing.items() if rows}
    warm = int(features.compute(bars)[WARM].sum())
    counts: dict[str, Any] = {"bars": bars.height, "warm_rows": warm, "starts": starts, "wrong": str(wrong)}
    if not warm and not wrong:
        return _nothing_warm("batch_equals_incremental", beside.words, counts)
    return dg.AssetCheckResult(
        check_name="batch_equals_incremental",
        passed=not wrong,
        description="The incremental path, started later, gives the table's bits.",
        metadata=counts,
    )


def excused(features: FeatureSet, beside: BarsBeside) -> pl.Series:
    """Which bars may lack a feature because a column was unknown on one of the bars that it looks at."""
    if not beside.columns:
        return pl.repeat(value=False, n=beside.bars.height, dtype=pl.Boolean, eager=True)
    unknown = beside.bars.select(pl.any_horizontal(pl.col(beside.columns).is_nan())).to_series()
    return unknown.cast(pl.Int8).rolling_max(features.warmup_bars, min_samples=1).cast(pl.Boolean)


def missing_rate(rows: pl.DataFrame, excuses: pl.DataFrame) -> dg.AssetCheckResult:
    """Count rows that are not warm after the first warm one; where none is warm, every row is missing.

    Args:
        rows: of `features_bar`, in order of time.
        excuses: of each row, whether it is `excused`.
    """
    names = [name for name, dtype in rows.schema.items() if dtype == pl.Float32]
    is_excused = excuses["excused"]
    any_warm = bool(rows[WARM].any())
    from_warm = pl.int_range(pl.len()) >= (rows[WARM].arg_max() or 0)
    after = rows.filter(from_warm & ~is_excused) if any_warm else rows.clear()
    missing = after.filter(~pl.col(WARM) | pl.any_horizontal(pl.col(names).is_null())).height
    counts = {"rows": rows.height, "rows_after_warm_up": after.height, "rows_of_unknown_columns": int(is_excused.sum())}
    if after.is_empty():
        excuse = f"{int(is_excused.sum())} of {rows.height} bars look at an unknown column" if is_excused.any() else ""
        return _nothing_warm("missing_rate", excuse, {**counts, "missing_share": 1.0})
    share = missing / after.height
    return dg.AssetCheckResult(
        check_name="missing_rate",
        passed=share <= MAX_MISSING_SHARE,
        description="Once the warm-up is over, every row has every feature, but where a column was unknown.",
        metadata={**counts, "missing_share": share},
    )


def _nothing_warm(name: str, unknown: str, metadata: Mapping[str, Any]) -> dg.AssetCheckResult:
    """Nothing was looked at. Where a column is unknown that says nothing of the features, and is a warning."""
    return dg.AssetCheckResult(
        check_name=name,
        passed=False,
        severity=dg.AssetCheckSeverity.WARN if unknown else dg.AssetCheckSeverity.ERROR,
        description=f"nothing was looked at: {unknown}" if unknown else NOTHING_WARM,
        metadata=metadata,
    )


@dg.asset(
    group_name=GROUP,
    partitions_def=daily,
    backfill_policy=single_run,
    ins={"clean_bars": dg.AssetIn(partition_mapping=_after)},
    code_version=code_version(__name__, label_rule, files=[TRAINING_FILE]),
    kinds={"polars", "deltalake"},
    metadata={PARTITION_COLUMN: "date"},
    description=LABELS.doc,
)
def labels(context: dg.AssetExecutionContext, clean_bars: pl.DataFrame) -> dg.Output[pl.DataFrame]:
    """What `config/training.toml` asks to predict, with the time at which it becomes known."""
    rule = LabelRule.read(TRAINING_FILE)
    bars = clean_bars.sort("ts_open")
    bar_ns = int(bars["ts_close"][0] - bars["ts_open"][0]) if bars.height else 1
    made = rule.labelled(bars.select("instrument", "ts_close", "close", "date"), bar_ns)
    frame = _of_days(made.select(LABELS.schema.names()), days_of(context))
    share = float(frame["label"].cast(pl.Float64).mean() or 0.0) if frame.height else 0.0  # type: ignore[arg-type]
    return published(context, frame, LABELS, metadata={"share_of_label_1": share, "rule": str(rule)})

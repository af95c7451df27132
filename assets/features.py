"""Features and labels: what is known at each bar's close, and what happens after it."""

import logging
from collections.abc import Iterator

import dagster as dg
import polars as pl

from assets.outputs import PARTITION_COLUMN, SPEC_FILE, SPEC_SHA256, published
from assets.partitions import daily, days_of, single_run
from assets.versions import code_version
from py_rt.data.schemas import FEATURES_BAR, LABELS
from py_rt.data.storage import DayWindow, Lake
from py_rt.defaults import config_file
from py_rt.ml import label_rule
from py_rt.ml.features import known_tables, technical
from py_rt.ml.features.known_tables import BarsBeside, read_known_columns, told, with_beside
from py_rt.ml.features.technical import (
    WARM,
    FeatureError,
    FeatureSet,
    rows_that_differ_online,
    rows_that_look_ahead,
    rows_to_cut,
)
from py_rt.ml.label_rule import LabelRule

_LOG = logging.getLogger(__name__)
GROUP = "features"
FEATURE_FILE = config_file("features/btc_15m.toml")
KNOWN_FILE = config_file("known.toml")
"""Where slow parameters stand in the lake."""

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
    code_version=code_version(__name__, technical, known_tables, files=[KNOWN_FILE]),
    kinds={"rust", "deltalake"},
    metadata={PARTITION_COLUMN: "date", SPEC_FILE: SPEC},
    description=FEATURES_BAR.doc,
    # Here, because only the asset's own input has the days before: a check's own inputs know no partition mapping.
    check_specs=[
        dg.AssetCheckSpec("no_look_ahead", asset="features_bar", blocking=True),
        dg.AssetCheckSpec("batch_equals_incremental", asset="features_bar", blocking=True),
    ],
)
def features_bar(
    context: dg.AssetExecutionContext, feature_spec: Files, clean_bars: pl.DataFrame, lake: dg.ResourceParam[Lake]
) -> Iterator[dg.Output[pl.DataFrame] | dg.AssetCheckResult]:
    """Every feature at every bar's close, by the engine's own code."""
    features = _features(feature_spec)
    beside = bars_beside(clean_bars, features, lake)
    bars = beside.bars
    frame = bars.select("instrument", "ts_close", "date").hstack(features.compute(bars))
    frame = _of_days(frame, days_of(context))
    warm = int(frame[WARM].sum())
    context.log.info("computed %d features of %d bars, %d of them warm", len(features.names), frame.height, warm)
    shown = {"warm_rows": warm, SPEC_SHA256: features.sha256, "unknown_columns": told(beside.untold)}
    yield published(context, frame, FEATURES_BAR, metadata=shown)
    yield no_look_ahead(features, bars)
    yield batch_equals_incremental(features, bars)


def bars_beside(bars: pl.DataFrame, features: FeatureSet, lake: Lake) -> BarsBeside:
    """Rows of `clean_bars` in order of time, with what features read beside them; a warning of what nothing tells."""
    beside = with_beside(bars.sort("ts_open"), features, lake, read_known_columns(KNOWN_FILE))
    if beside.untold:
        _LOG.warning("no bar is warm: %s", told(beside.untold))
    return beside


def no_look_ahead(features: FeatureSet, bars: pl.DataFrame) -> dg.AssetCheckResult:
    """Features recomputed on bars cut off at t have the same bits at t, for rows spread over the run's warm ones."""
    cuts = rows_to_cut(features, bars, LOOK_AHEAD_CUTS)
    changed = rows_that_look_ahead(features, bars, cuts)
    return dg.AssetCheckResult(
        check_name="no_look_ahead",
        passed=bool(cuts) and not changed,
        description="Features recomputed on bars cut off at t have the same bits at t." if cuts else NOTHING_WARM,
        metadata={"cuts": len(cuts), "changed_rows": str(changed)},
    )


def batch_equals_incremental(features: FeatureSet, bars: pl.DataFrame) -> dg.AssetCheckResult:
    """The bars fed one by one, from the first and from later rows, give the table's bits."""
    starts = [start for start in (0, 17, bars.height // 3) if start < bars.height]
    differing = {start: rows_that_differ_online(features, bars, start) for start in starts}
    wrong = {str(start): len(rows) for start, rows in differing.items() if rows}
    warm = int(features.compute(bars)[WARM].sum())
    return dg.AssetCheckResult(
        check_name="batch_equals_incremental",
        passed=warm > 0 and not wrong,
        description="The incremental path, started later, gives the table's bits." if warm else NOTHING_WARM,
        metadata={"bars": bars.height, "warm_rows": warm, "starts": starts, "wrong": str(wrong)},
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


@dg.asset_check(
    asset=features_bar,
    blocking=True,
    partitions_def=daily,
    description="Once the warm-up is over, every row has every feature.",
)
def missing_rate(features_bar: pl.DataFrame) -> dg.AssetCheckResult:
    """Count rows that are not warm after the first warm one; where none is warm, every row is missing."""
    names = [name for name, dtype in features_bar.schema.items() if dtype == pl.Float32]
    rows = features_bar.sort("ts_close")
    any_warm = bool(rows[WARM].any())
    after = rows.slice(rows[WARM].arg_max() or 0) if any_warm else rows.clear()
    missing = after.filter(~pl.col(WARM) | pl.any_horizontal(pl.col(names).is_null())).height
    share = missing / after.height if after.height else 1.0
    return dg.AssetCheckResult(
        passed=any_warm and share <= MAX_MISSING_SHARE,
        description=None if any_warm else NOTHING_WARM,
        metadata={"rows": rows.height, "rows_after_warm_up": after.height, "missing_share": share},
    )

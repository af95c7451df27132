"""Features and labels: what is known at each bar's close, and what happens after it."""

import dagster as dg
import polars as pl

from assets.outputs import published
from assets.partitions import daily, days_of, single_run
from assets.versions import code_version
from py_rt.data.schemas import FEATURES_BAR, LABELS
from py_rt.data.storage import DayWindow
from py_rt.defaults import default_root
from py_rt.ml import labels as label_rules
from py_rt.ml.features import technical
from py_rt.ml.features.technical import BAR_COLUMNS, FeatureSet, rows_that_differ_online, rows_that_look_ahead

GROUP = "features"
FEATURE_FILE = default_root() / "config" / "features" / "btc_15m.toml"
HORIZON_BARS = 4
LOOKBACK_DAYS = 4
"""Days before a day that its features may depend on; at least the warm-up of the feature file."""

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
    code_version=code_version(__name__, technical),
    kinds={"rust", "deltalake"},
    metadata={"partition_column": "date"},
    description=FEATURES_BAR.doc,
)
def features_bar(
    context: dg.AssetExecutionContext, feature_spec: Files, clean_bars: pl.DataFrame
) -> dg.Output[pl.DataFrame]:
    """Every feature at every bar's close, by the engine's own code."""
    features = _features(feature_spec)
    bars = clean_bars.sort("ts_open")
    frame = bars.select("instrument", "ts_close", "date").hstack(features.compute(bars))
    frame = _of_days(frame, days_of(context))
    warm = int(frame["is_warm"].sum())
    context.log.info("computed %d features of %d bars, %d of them warm", len(features.names), frame.height, warm)
    return published(context, frame, FEATURES_BAR, metadata={"warm_rows": warm, "spec_sha256": features.sha256})


@dg.asset(
    group_name=GROUP,
    partitions_def=daily,
    backfill_policy=single_run,
    ins={"clean_bars": dg.AssetIn(partition_mapping=_after)},
    code_version=code_version(__name__, label_rules),
    kinds={"polars", "deltalake"},
    metadata={"partition_column": "date", "horizon_bars": HORIZON_BARS},
    description=LABELS.doc,
)
def labels(context: dg.AssetExecutionContext, clean_bars: pl.DataFrame) -> dg.Output[pl.DataFrame]:
    """The sign of the return over the next hour, with the time at which it becomes known."""
    bars = clean_bars.sort("ts_open")
    bar_ns = int(bars["ts_close"][0] - bars["ts_open"][0]) if bars.height else 1
    made = label_rules.forward_return_labels(
        bars.select("instrument", "ts_close", "close", "date"), horizon_bars=HORIZON_BARS, bar_ns=bar_ns
    )
    frame = _of_days(made.select(LABELS.schema.names()), days_of(context))
    share = float(frame["label"].cast(pl.Float64).mean() or 0.0) if frame.height else 0.0  # type: ignore[arg-type]
    return published(context, frame, LABELS, metadata={"share_of_label_1": share})


def _sample(rows: int, first: int, count: int = 24) -> list[int]:
    """Row numbers spread evenly from `first` to the last row."""
    return sorted({first + (rows - 1 - first) * step // (count - 1) for step in range(count)}) if rows > first else []


@dg.asset_check(
    asset=features_bar,
    blocking=True,
    partitions_def=daily,
    additional_ins={"feature_spec": dg.AssetIn(), "clean_bars": dg.AssetIn(partition_mapping=_before)},
    description="Features recomputed on bars cut off at t have the same bits at t.",
)
def no_look_ahead(feature_spec: Files, clean_bars: pl.DataFrame) -> dg.AssetCheckResult:
    """Cut the run's bars at rows spread over it and compare bits."""
    bars = clean_bars.sort("ts_open").select(BAR_COLUMNS)
    cuts = _sample(bars.height, 0)
    changed = rows_that_look_ahead(_features(feature_spec), bars, cuts)
    return dg.AssetCheckResult(passed=not changed, metadata={"cuts": len(cuts), "changed_rows": str(changed)})


@dg.asset_check(
    asset=features_bar,
    blocking=True,
    partitions_def=daily,
    additional_ins={"feature_spec": dg.AssetIn(), "clean_bars": dg.AssetIn(partition_mapping=_before)},
    description="The incremental path, started later, gives the table's bits.",
)
def batch_equals_incremental(feature_spec: Files, clean_bars: pl.DataFrame) -> dg.AssetCheckResult:
    """Feed the run's bars one by one, from the first and from later rows."""
    bars = clean_bars.sort("ts_open").select(BAR_COLUMNS)
    features = _features(feature_spec)
    starts = [start for start in (0, 17, bars.height // 3) if start < bars.height]
    differing = {start: rows_that_differ_online(features, bars, start) for start in starts}
    wrong = {str(start): len(rows) for start, rows in differing.items() if rows}
    return dg.AssetCheckResult(passed=not wrong, metadata={"bars": bars.height, "starts": starts, "wrong": str(wrong)})


@dg.asset_check(
    asset=features_bar,
    blocking=True,
    partitions_def=daily,
    description="Once the warm-up is over, every row has every feature.",
)
def missing_rate(features_bar: pl.DataFrame) -> dg.AssetCheckResult:
    """Count rows that are not warm after the first warm one."""
    names = [name for name, dtype in features_bar.schema.items() if dtype == pl.Float32]
    rows = features_bar.sort("ts_close")
    first = rows["is_warm"].arg_max() if rows.height and rows["is_warm"].any() else None
    after = rows.slice(first) if first is not None else rows.clear()
    missing = after.filter(~pl.col("is_warm") | pl.any_horizontal(pl.col(names).is_null())).height
    share = missing / after.height if after.height else 0.0
    return dg.AssetCheckResult(
        passed=share <= MAX_MISSING_SHARE,
        metadata={"rows": rows.height, "rows_after_warm_up": after.height, "missing_share": share},
    )

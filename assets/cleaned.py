"""Cleaned: staged, then checked, then published to `clean_bars` and `quarantined_bars`."""

from collections.abc import Mapping

import dagster as dg
import polars as pl

from assets.outputs import declared, picture, published
from assets.outside import Made, Outside, Question
from assets.partitions import daily, days_of, single_run, with_lookback
from assets.versions import code_version
from py_rt.data import cleaning, fixed_point, schemas, timestamps
from py_rt.data.bar_chart import closes_png
from py_rt.data.schemas import CLEAN_BARS, QUARANTINED_BARS, STAGED_BARS
from py_rt.defaults import default_root

_SUITE = default_root() / "config" / "expectations" / "clean_bars.json"
_CODE = code_version(__name__, "assets.checks", cleaning, fixed_point, schemas, timestamps, files=[_SUITE])
"""Checks count too: what passed weaker ones has not passed these."""


@dg.asset(
    group_name="cleaned",
    partitions_def=daily,
    backfill_policy=single_run,
    ins={"raw_bars": dg.AssetIn(partition_mapping=with_lookback)},
    code_version=_CODE,
    kinds={"polars", "deltalake"},
    metadata=declared(STAGED_BARS),
    description=STAGED_BARS.doc,
)
def staged_bars(
    context: dg.AssetExecutionContext, raw_bars: pl.DataFrame, bar_rules: dg.ResourceParam[cleaning.BarRules]
) -> dg.Output[pl.DataFrame]:
    """Judge every raw row of the run's days and lay the good ones on the grid."""
    staged = cleaning.stage(raw_bars, bar_rules, days_of(context))
    reasons = staged["reason"].drop_nulls().value_counts(sort=True)
    kept_out = dict(reasons.iter_rows())
    context.log.info("staged %d rows; kept out: %s", staged.height, kept_out or "none")
    return published(context, staged, STAGED_BARS, metadata={"kept_out": kept_out, "rules": str(bar_rules)})


@dg.asset(
    group_name="cleaned",
    partitions_def=daily,
    backfill_policy=single_run,
    code_version=_CODE,
    kinds={"polars", "deltalake"},
    metadata=declared(CLEAN_BARS),
    description=CLEAN_BARS.doc,
)
def clean_bars(context: dg.AssetExecutionContext, staged_bars: pl.DataFrame) -> dg.Output[pl.DataFrame]:
    """Publish the good rows of the run's days."""
    clean = cleaning.published(staged_bars)
    png = closes_png(clean, cleaning.quarantined(staged_bars))
    # Once, not once per day: pictures lie in the event log's database.
    context.add_asset_metadata(
        {"closes": picture(png, "closes")}, asset_key=context.asset_key, partition_key=context.partition_keys[-1]
    )
    counts = clean.select("is_empty", "volume_imputed").sum().row(0, named=True)
    context.log.info("published %d bars, of which %d empty", clean.height, counts["is_empty"])
    return published(context, clean, CLEAN_BARS, metadata={f"bars_{name}": count for name, count in counts.items()})


@dg.asset(
    group_name="cleaned",
    partitions_def=daily,
    backfill_policy=single_run,
    code_version=_CODE,
    kinds={"polars", "deltalake"},
    metadata=declared(QUARANTINED_BARS),
    description=QUARANTINED_BARS.doc,
)
def quarantined_bars(context: dg.AssetExecutionContext, staged_bars: pl.DataFrame) -> dg.Output[pl.DataFrame]:
    """Publish the rows that were kept out, each with its reason."""
    out = cleaning.quarantined(staged_bars)
    context.log.info("kept out %d rows", out.height)
    return published(context, out, QUARANTINED_BARS)


def _rules_changed(outside: Outside, made: Made) -> str | None:
    return "the instrument's rules changed" if str(outside.rules) != made.metadata.get("rules") else None


OUTSIDE: Mapping[str, Question] = {"staged_bars": _rules_changed}

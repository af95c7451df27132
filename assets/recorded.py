"""Recorded bars: the day's recorded trades and books as bars, with the columns that features of order flow read.

They follow the recordings (job `land_recordings`). Research computes on them; the service makes the same columns of
what it hears itself.
"""

import dagster as dg
import polars as pl

from assets.beside import flow_bar_seconds
from assets.checks import fits_schema
from assets.outputs import declared, published
from assets.partitions import daily, days_of, single_run
from assets.versions import code_version
from py_rt.data import event_bars as bars_of_events
from py_rt.data import recorded_bars, schemas
from py_rt.data.event_bars import BARS_AVERAGED, TIME, Rule
from py_rt.data.schemas import EVENT_BARS, FLOW_BARS

_CODE = code_version(__name__, "assets.checks", bars_of_events, recorded_bars, schemas)
_WAITS_FOR_RECORDING = {"py_rt/waits_for": "recording"}


class FlowBarsConfig(dg.Config):
    """How long a bar is; as long as those of the feature file, where that reads what happens within them."""

    bar_seconds: float = flow_bar_seconds()


class EventBarsConfig(dg.Config):
    """When a bar closes: ticks, volume or dollars, alone or with _imbalance or _run."""

    rule: str = "dollars"
    size: float = 1_000_000.0
    """Trades, quantity or money; trades expected of a bar of an imbalance or run rule."""
    averaged: float = BARS_AVERAGED


@dg.asset(
    group_name="features",
    partitions_def=daily,
    backfill_policy=single_run,
    code_version=_CODE,
    kinds={"rust", "deltalake"},
    metadata=declared(FLOW_BARS),
    tags=_WAITS_FOR_RECORDING,
    description=FLOW_BARS.doc,
)
def flow_bars(
    context: dg.AssetExecutionContext, config: FlowBarsConfig, raw_trades: pl.LazyFrame, raw_book: pl.LazyFrame
) -> dg.Output[pl.DataFrame]:
    """Bars by the clock of the run's days, with what happened to the book."""
    rule = Rule(TIME, config.bar_seconds)
    rows = recorded_bars.recorded_bars(raw_trades, rule, FLOW_BARS, raw_book).filter(days_of(context).holds("date"))
    context.log.info("%d bars of %g s", rows.height, config.bar_seconds)
    return published(context, rows, FLOW_BARS, metadata={"rule": str(rule)})


@dg.asset(
    group_name="features",
    partitions_def=daily,
    backfill_policy=single_run,
    code_version=_CODE,
    kinds={"rust", "deltalake"},
    metadata=declared(EVENT_BARS),
    tags=_WAITS_FOR_RECORDING,
    description=EVENT_BARS.doc,
)
def event_bars(
    context: dg.AssetExecutionContext, config: EventBarsConfig, raw_trades: pl.LazyFrame
) -> dg.Output[pl.DataFrame]:
    """Bars of the run's days that close by what was traded."""
    rule = Rule(config.rule, config.size, config.averaged)
    rows = recorded_bars.recorded_bars(raw_trades, rule, EVENT_BARS).filter(days_of(context).holds("date"))
    context.log.info("%d bars by %s", rows.height, rule)
    return published(context, rows, EVENT_BARS, metadata={"rule": str(rule)})


flow_bars_fit_schema = fits_schema(FLOW_BARS)
event_bars_fit_schema = fits_schema(EVENT_BARS)

"""Jobs: named parts of the chain.

An asset job holds assets of one partitioning. `main_job` is the whole chain from raw to bundles, which has days and
months: it runs the parts one after the other, each as a run of its own. It ends with the candidate: what waits for a
person's approval, or for a running service, has a job of its own.
"""

import dagster as dg

from pipelines.upkeep import lake_upkeep

CHAIN_GROUPS = ("raw", "cleaned", "features", "models", "backtests", "bundles")
"""Groups of assets, in the order of the chain."""

MAIN_JOB = "main_job"

APPROVED = dg.AssetSelection.tag("py_rt/waits_for", "approval")
"""What a person's approval comes before."""

DEPLOYED = dg.AssetSelection.tag("py_rt/waits_for", "service")
"""What a running service comes before."""

RECORDED = dg.AssetSelection.tag("py_rt/waits_for", "recording")
"""What a recorder comes before."""

READS_RECORDED = dg.AssetSelection.tag("py_rt/reads", "recording")
"""What the chain makes along the way, and what a day's recordings make again: features of what happens within bars."""

ADDED = dg.AssetSelection.tag("py_rt/waits_for", "source")
"""Sources that a user added: each has days of its own."""

REFERENCE = dg.AssetSelection.tag("py_rt/waits_for", "reference")
"""Who was in an index, who carried which ticker, what happened to shares: from the user's own files."""

BY_HAND = APPROVED | DEPLOYED | RECORDED | ADDED | REFERENCE
"""What the chain does not make along the way."""

DAILY_GROUPS = ("raw", "cleaned", "features")

ingest_daily = dg.define_asset_job(
    "ingest_daily",
    selection=dg.AssetSelection.groups(*DAILY_GROUPS) - RECORDED - ADDED - REFERENCE,
    description="Raw and cleaned bars, features and labels of one day or a range of days.",
)

land_recordings = dg.define_asset_job(
    "land_recordings",
    selection=RECORDED | READS_RECORDED,
    description="Recorded books and trades of some days, their bars, features of these where the feature file has "
    "some, and the deployed model on them: `py_rt record` comes first.",
)

land_reference = dg.define_asset_job(
    "land_reference",
    selection=REFERENCE,
    description="Members of indices, tickers through time, splits and dividends, from the folder of reference data.",
)

MONTHLY_GROUPS = ("models", "backtests", "bundles")

train_monthly = dg.define_asset_job(
    "train_monthly",
    selection=dg.AssetSelection.groups(*MONTHLY_GROUPS) - BY_HAND,
    description="Model, backtests and candidate bundle of one month.",
)

publish_approved = dg.define_asset_job(
    "publish_approved",
    selection=APPROVED,
    description="The month's bundle once a person has approved it: `py_rt bundle approve` comes first.",
)

deploy = dg.define_asset_job(
    "deploy",
    selection=DEPLOYED,
    description="The newest approved bundle into its slot of the running service. A sensor asks for it.",
)


class ChainConfig(dg.Config):
    """What to make."""

    partition_range: str = ""
    """Days as `FIRST...LAST` (ISO dates, both included); empty is everything that the source covers."""


@dg.op
def run_chain(context: dg.OpExecutionContext, config: ChainConfig) -> None:
    """Make the whole chain; every part is a run of its own in this instance."""
    from pipelines.execution import materialize  # it imports the definitions, which import this module

    summary = materialize(
        job=MAIN_JOB,
        partition_range=config.partition_range or None,
        instance=context.instance,
        on_event=lambda line: context.log.info("%s", line),
    )
    if not summary.success:
        raise dg.Failure(f"not made: {', '.join(summary.problems)}", metadata=summary.to_dict())


@dg.job(name=MAIN_JOB, description="The whole chain: raw, cleaned, features, models, backtests, bundles.")
def main_job() -> None:
    """Run the chain."""
    run_chain()


JOBS = (ingest_daily, land_recordings, land_reference, train_monthly, publish_approved, deploy, lake_upkeep, main_job)

"""The one Definitions object: assets in the order of the chain, checks, jobs, schedules, sensors, resources."""

from __future__ import annotations

from typing import TYPE_CHECKING

import dagster as dg

from assets import (
    backtests,
    beside,
    bundles,
    captured,
    checks,
    cleaned,
    data_checks,
    deployments,
    features,
    models,
    raw,
    recorded,
    reference,
    sources,
)
from pipelines.jobs import JOBS
from pipelines.resources import make_resources
from pipelines.schedules import SCHEDULES, source_schedules
from pipelines.sensors import SENSORS

if TYPE_CHECKING:
    from collections.abc import Mapping

CHAIN = (raw, reference, cleaned, features, recorded, captured, models, backtests, bundles, deployments)
"""Modules of assets in the order of the chain; a new layer is one more name here."""

CHECKS = (checks, data_checks, features, recorded, captured, reference)
"""Modules of asset checks."""


def build(resources: Mapping[str, object]) -> dg.Definitions:
    """Put the graph together with the given resources; the sources that a user added come first."""
    chain = [asset for module in CHAIN for asset in dg.load_assets_from_modules([module])]
    taken = {key.path[-1] for asset in chain if isinstance(asset, dg.AssetsDefinition) for key in asset.keys}
    added = sources.discovered(taken=taken)
    timed = source_schedules(added)
    made = {key.path[-1] for asset in (*added, *chain) if isinstance(asset, dg.AssetsDefinition) for key in asset.keys}
    return dg.Definitions(
        assets=[
            *(made for made in added if not isinstance(made, dg.AssetChecksDefinition)),
            *chain,
            *beside.tables_outside(made, [*beside.reads_of_any()]),
        ],
        asset_checks=[
            *(check for module in CHECKS for check in dg.load_asset_checks_from_modules([module])),
            *(made for made in added if isinstance(made, dg.AssetChecksDefinition)),
        ],
        jobs=[*JOBS, *(schedule.job for schedule in timed)],
        schedules=[*SCHEDULES, *timed],
        sensors=list(SENSORS),
        resources=dict(resources),
        # A step costs 60 ms in this process and seconds in another one; what is heavy runs in parallel inside assets.
        executor=dg.in_process_executor,
    )


defs = build(make_resources())

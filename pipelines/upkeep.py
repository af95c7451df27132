"""Upkeep of the lake: each week every table's small files are joined, and files that only old versions need go."""

import dagster as dg

from py_rt.data import maintenance
from py_rt.data.maintenance import KEEP_DAYS
from py_rt.data.storage import Lake
from py_rt.errors import TableError

LAKE_UPKEEP = "lake_upkeep"


class UpkeepConfig(dg.Config):
    """What to do."""

    keep_days: int = KEEP_DAYS
    """For how long earlier versions can be read: the time for which a bundle's training can be repeated."""

    remove_old_files: bool = True


@dg.op
def keep_lake(context: dg.OpExecutionContext, config: UpkeepConfig, lake: dg.ResourceParam[Lake]) -> None:
    """Compact and vacuum every table; one that refuses is told, and the others are kept all the same."""
    done, refused = {}, []
    for name, uri in maintenance.tables_below(lake.root).items():
        try:
            compacted = maintenance.compact(uri)
            removed = maintenance.vacuum(uri, keep_days=config.keep_days, dry_run=not config.remove_old_files)
        except TableError as error:
            context.log.warning("%s", error)
            refused.append(str(error))
            continue
        files = f"{compacted.files_before} -> {compacted.files_after} files, {compacted.rows} rows"
        done[name] = f"{files}, {len(removed)} old {'removed' if config.remove_old_files else 'named'}"
        context.log.info("%s: %s", name, done[name])
    context.add_output_metadata({"tables": done})
    if refused:
        raise dg.Failure(f"{len(refused)} of {len(refused) + len(done)} tables were refused: {'; '.join(refused)}")


@dg.job(
    name=LAKE_UPKEEP, description="Join the small files of every table, and remove those that only old versions need."
)
def lake_upkeep() -> None:
    """Keep the lake."""
    keep_lake()

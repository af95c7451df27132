"""Reference: who was in an index, who carried which ticker, splits and dividends; from the user's folder of them.

Made by hand or by the job `land_reference`. Where the folder holds nothing of a kind, its table stays as it is: nothing
never replaces what was landed.
"""

from collections.abc import Callable, Mapping

import dagster as dg
import polars as pl

from assets.checks import fits_schema
from assets.outputs import declared, published
from assets.outside import Made, Outside, Question
from assets.versions import code_version
from py_rt.data import reference, schemas
from py_rt.data.reference import Reference
from py_rt.data.schemas import CORPORATE_ACTIONS, INDEX_MEMBERS, SECURITY_NAMES, Table
from py_rt.data.storage import Lake, read_or_empty

_TABLES: Mapping[str, Callable[[Reference], pl.DataFrame]] = {
    INDEX_MEMBERS.name: Reference.members_table,
    SECURITY_NAMES.name: Reference.names_table,
    CORPORATE_ACTIONS.name: Reference.actions_table,
}


def _reference_asset(table: Table) -> dg.AssetsDefinition:
    @dg.asset(
        name=table.name,
        group_name="raw",
        code_version=code_version(__name__, reference, schemas),
        kinds={"polars", "deltalake"},
        metadata=declared(table),
        tags={"py_rt/waits_for": "reference"},
        description=table.doc,
    )
    def landed(
        context: dg.AssetExecutionContext, reference_data: dg.ResourceParam[Reference], lake: dg.ResourceParam[Lake]
    ) -> dg.Output[pl.DataFrame]:
        """Read what the folder holds."""
        rows = table.conform(_TABLES[table.name](reference_data))
        if rows.is_empty():
            context.log.warning(
                "%s: %s holds nothing of it; the table stays as it is", table.name, reference_data.folder
            )
            rows = read_or_empty(lake, table)
        return published(context, rows, table, metadata={"folder": str(reference_data.folder)})

    return landed


index_members = _reference_asset(INDEX_MEMBERS)
security_names = _reference_asset(SECURITY_NAMES)
corporate_actions = _reference_asset(CORPORATE_ACTIONS)

index_members_fit = fits_schema(INDEX_MEMBERS, None)
security_names_fit = fits_schema(SECURITY_NAMES, None)
corporate_actions_fit = fits_schema(CORPORATE_ACTIONS, None)


@dg.asset_check(
    asset=index_members, description="Each index has members that left: a list without any is one of survivors."
)
def no_list_of_survivors(index_members: pl.DataFrame) -> dg.AssetCheckResult:
    """Count those that left each index."""
    left = index_members.group_by("index_name").agg(pl.col("end").is_not_null().sum().alias("left")).sort("index_name")
    survivors = left.filter(pl.col("left") == 0)["index_name"].to_list()
    return dg.AssetCheckResult(
        passed=not survivors,
        severity=dg.AssetCheckSeverity.WARN,
        metadata={"stays": index_members.height, "left": str(dict(left.iter_rows())), "lists_of_survivors": survivors},
    )


def _looked_at(_outside: Outside, _made: Made) -> str | None:
    return "reference data are read every time"


OUTSIDE: Mapping[str, Question] = dict.fromkeys(_TABLES, _looked_at)

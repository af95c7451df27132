"""The end of the lineage: which approved bundle a service runs."""

from dataclasses import asdict
from pathlib import Path

import dagster as dg
from pydantic import Field

from assets.bundles import GROUP
from assets.versions import code_version
from py_rt.bridge.commands import CommandError, SignerError
from py_rt.bridge.services import RunFolders
from py_rt.bundle import deploy
from py_rt.bundle.deploy import Deployed
from py_rt.bundle.store import BundleStore
from py_rt.errors import BundleError

WAITS = {"py_rt/waits_for": "service"}
"""Tag of what is made by a running service: no job makes it along the way."""

OUTCOME_TAG = "py_rt/deployment"
REFUSED = "refused"
"""Value of the tag of a run whose bundle the service has refused."""

RETRIES = dg.RetryPolicy(max_retries=2, delay=1.0, backoff=dg.Backoff.EXPONENTIAL)
"""For a service that is just starting; the sensor asks again later."""


class DeploymentSettings(dg.Config):
    """What to deploy; by default the newest approval of slot 1."""

    slot: int = Field(default=1, ge=0, le=65_535)
    digest: str = Field(default="", description="Of the bundle; empty is that of the newest approval.")
    serial: int = Field(default=0, ge=0, description="Of the approval; 0 is the newest.")


@dg.asset(
    group_name=GROUP,
    deps=[dg.AssetKey("approved_bundle")],
    code_version=code_version(deploy),
    kinds={"rust"},
    tags=WAITS,
    retry_policy=RETRIES,
)
def deployed_bundle(
    context: dg.AssetExecutionContext,
    config: DeploymentSettings,
    bundle_store: dg.ResourceParam[BundleStore],
    key_folder: dg.ResourceParam[Path],
    run_folders: dg.ResourceParam[RunFolders],
) -> dg.MaterializeResult[None]:
    """What a service was told to run, and has acknowledged that it runs. Fails with the service's reason."""
    service = run_folders.one()
    try:
        done = deploy.deploy(
            bundle_store, service, key_folder, slot=config.slot, digest=config.digest, serial=config.serial
        )
    except CommandError as error:
        if not deploy.is_final(error):
            raise
        context.instance.add_run_tags(context.run.run_id, {OUTCOME_TAG: REFUSED})
        raise dg.Failure(f"service {service.instance}: {error}", allow_retries=False) from error
    except (BundleError, SignerError) as error:
        raise dg.Failure(str(error), allow_retries=False) from error
    return _recorded(bundle_store, done)


def _recorded(store: BundleStore, done: Deployed) -> dg.MaterializeResult[None]:
    built = store.read_record(done.digest)
    return dg.MaterializeResult(
        data_version=dg.DataVersion(f"{done.digest}-{done.serial}"),
        metadata={
            **asdict(done),
            "acknowledged": dg.MetadataValue.timestamp(done.acknowledged_ns / 1e9),
            "expires": dg.MetadataValue.timestamp(done.expires_ns / 1e9),
            "path": dg.MetadataValue.path(str(store.folder(done.digest))),
            "training_run": str(built.get("training_run") or "not recorded"),
            "month": str(built.get("month") or "not recorded"),
        },
    )

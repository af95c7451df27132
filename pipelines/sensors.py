"""What happens when something has happened: an approved bundle is deployed, a failed run is written down."""

import time
from pathlib import Path

import dagster as dg

from pipelines.deployment import Scene, tick
from pipelines.failures import lines_of, write_down
from pipelines.jobs import deploy
from py_rt.bridge.services import RunFolders
from py_rt.bundle.store import BundleStore

INTERVAL_S = 30
"""Least seconds between two looks; every look costs the daemon a page of its database."""


# Running from the start: it acts only where a person has approved, a service runs, and this home has a deployer's key.
@dg.sensor(job=deploy, minimum_interval_seconds=INTERVAL_S, default_status=dg.DefaultSensorStatus.RUNNING)
def deploy_approved_bundle(
    context: dg.SensorEvaluationContext,
    bundle_store: dg.ResourceParam[BundleStore],
    key_folder: dg.ResourceParam[Path],
    run_folders: dg.ResourceParam[RunFolders],
) -> dg.SensorResult:
    """Ask for the job deploy when a bundle is approved and the service that it is for runs."""
    scene = Scene(context.instance, bundle_store, key_folder, run_folders, time.time_ns())
    return tick(scene, context.cursor)


@dg.run_failure_sensor(minimum_interval_seconds=INTERVAL_S, default_status=dg.DefaultSensorStatus.RUNNING)
def report_failed_run(context: dg.RunFailureSensorContext, failure_file: dg.ResourceParam[Path]) -> None:
    """Say which run failed, why and what to do, in the log and as lines of `<home>/failures.jsonl`."""
    for line in lines_of(context.dagster_run, context.failure_event, context.get_step_failure_events()):
        write_down(failure_file, line)
        context.log.error(line.text())


SENSORS = (deploy_approved_bundle, report_failed_run)

"""Which approved bundle is to be deployed next, and the same decision taken and carried out in this process.

An approval is asked for once: its run key is the bundle's digest with what else makes it another wish: slot and
serial (the same bundle may be approved again, with another validity or size, and the service must be told), the
service, and its life. A run that failed for another reason than the service's no is asked for again, a few times in
each life of the service; a bundle that was refused waits for the next life, or for a new approval.
"""

from __future__ import annotations

import json
import os
from dataclasses import dataclass, fields
from typing import TYPE_CHECKING, Any

import dagster as dg

from assets.deployments import OUTCOME_TAG, REFUSED
from pipelines.failures import reason_of
from pipelines.jobs import deploy
from py_rt.bridge.services import NotOneServiceError
from py_rt.bundle import keys, verdict
from py_rt.bundle.deploy import ROLE, Deployed, active, newest_begun, stages_of
from py_rt.defaults import HOME_VARIABLE

if TYPE_CHECKING:
    from collections.abc import Mapping
    from pathlib import Path

    from py_rt.bridge.services import RunFolders, Service
    from py_rt.bundle.statement import Approval
    from py_rt.bundle.store import BundleStore

DEPLOYED_KEY = dg.AssetKey("deployed_bundle")
TRIES_MAX = 3
"""Runs of one approval in one life of a service."""

RECORDS_MAX = 100
"""Newest deployments that are looked at."""

RUN_KEY_TAG = "dagster/run_key"
_ENDED_WITHOUT = frozenset({dg.DagsterRunStatus.FAILURE, dg.DagsterRunStatus.CANCELED})


@dataclass(frozen=True)
class Scene:
    """What a tick looks at.

    Attributes:
        instance: Dagster's, with earlier runs and deployments.
        store: of bundles.
        key_folder: with the deployer's key and the list of trusted keys.
        run_folders: where the service may run.
        now_ns: ns UTC.
    """

    instance: dg.DagsterInstance
    store: BundleStore
    key_folder: Path
    run_folders: RunFolders
    now_ns: int


@dataclass(frozen=True)
class Reply:
    """What a deployment in this process came to.

    Attributes:
        deployed: what runs now.
        failed: reasons, one of each run that failed.
        reason: why no run was asked for, where none was.
    """

    deployed: list[Deployed]
    failed: list[str]
    reason: str | None


def tick(scene: Scene, cursor: str | None) -> dg.SensorResult:
    """Decide what to ask for.

    Args:
        scene: what there is.
        cursor: highest serial that was asked for, by service and slot: `{"paper/1": 3}`.
    """
    waiting = newest_begun(scene.store, scene.key_folder, now_ns=scene.now_ns)
    if not waiting:
        return dg.SensorResult(skip_reason=_nothing_approved(scene), cursor=cursor)
    try:
        service = scene.run_folders.one()
    except NotOneServiceError as error:
        names = ", ".join(_name(approval) for approval in waiting.values())
        return dg.SensorResult(skip_reason=f"{error}. Approved: {names}", cursor=cursor)
    key = keys.key_path(scene.key_folder, ROLE)
    if not key.exists():
        todo = f"`py_rt keys create --role {ROLE}`, then start the service again so that it trusts the key"
        return dg.SensorResult(skip_reason=f"{key} is not there: {todo}", cursor=cursor)
    return _asked(scene, service, _floors(cursor))


def _asked(scene: Scene, service: Service, floors: dict[str, int]) -> dg.SensorResult:
    stages = stages_of(service.stage)
    begun = newest_begun(scene.store, scene.key_folder, stages=stages, now_ns=scene.now_ns)
    requests, reasons = [], []
    for slot, approval in sorted(begun.items()):
        place = f"{service.instance}/{slot}"
        said = _why_not(scene, service, approval, floors.get(place, 0))
        if said is not None:
            reasons.append(said)
            continue
        floors[place] = approval.serial
        requests.append(_request(scene, service, approval))
    if not begun:
        reasons.append(f"service {service.instance} runs bundles approved for {' or '.join(stages)}; none has begun")
    skipped = None if requests else "; ".join(reasons)
    return dg.SensorResult(run_requests=requests, skip_reason=skipped, cursor=json.dumps(floors, sort_keys=True))


def _why_not(scene: Scene, service: Service, approval: Approval, floor: int) -> str | None:
    """Why an approval is not asked for; `None` when it is."""
    name = _name(approval)
    if approval.serial < floor:
        return f"{name}: serial {floor} was asked for already; an earlier one never comes after it"
    if (has_run := _has_run(scene, service, approval)) is not None:
        return f"slot {approval.slot} of {service.instance}: {has_run}; nothing later is approved"
    again = f"`py_rt bundle approve {approval.digest[:12]} --slot {approval.slot} --stage {approval.stage}`"
    if approval.expires_ns <= scene.now_ns:
        return f"{name} has expired: {again}"
    return _tried(scene, service, approval, again) or _judged(scene, approval)


def _tried(scene: Scene, service: Service, approval: Approval, again: str) -> str | None:
    """Why it is not tried once more in this life of the service; `None` when it is."""
    ran = _runs_of(scene.instance, service, approval)
    if not ran:
        return None
    name, last = _name(approval), ran[0].run_id
    if any(run.status not in _ENDED_WITHOUT for run in ran):
        return f"{name}: run {last} deploys it"
    if any(run.tags.get(OUTCOME_TAG) == REFUSED for run in ran):
        return f"{name} was refused by {service.instance}, see run {last}: {again}, or mend it and start it again"
    if len(ran) >= TRIES_MAX:
        return f"{name}: {TRIES_MAX} runs failed, the last is {last}: mend it, then start the service or the job deploy"
    return None


def _has_run(scene: Scene, service: Service, approval: Approval) -> str | None:
    """That a slot has run the approval or a later one; `None` when it has not, or lost it with its run folder."""
    place = (service.instance, approval.slot)
    done = [each for each in recorded(scene.instance) if (each.instance, each.slot) == place]
    done = [each for each in done if each.serial >= approval.serial]
    if not done:
        return None
    told = f"serial {done[0].serial} was deployed"
    if any(each.acknowledged_ns >= service.started_ns for each in done):
        return told
    there = active(service, scene.key_folder).get(approval.slot)
    return None if there is None else f"{told} before, and it runs serial {there.serial}"


def _judged(scene: Scene, approval: Approval) -> str | None:
    """Why the reader of bundles refuses it; both signatures are its business."""
    trusted, _ = keys.read_trusted_keys(scene.key_folder / keys.TRUSTED_KEYS)
    expected = verdict.Expectation(approval.slot, approval.stage, scene.now_ns)
    found = verdict.verify(scene.store.root, approval.digest, trusted, expected)
    return None if found.ok else f"{_name(approval)} is refused ({found.facts['refusal']}): {found.facts['reason']}"


def _request(scene: Scene, service: Service, approval: Approval) -> dg.RunRequest:
    tags = _tags(service, approval)
    attempt = len(_runs_of(scene.instance, service, approval)) + 1
    place = f"{service.instance}/slot-{approval.slot}/serial-{approval.serial}"
    wish = {"slot": approval.slot, "digest": approval.digest, "serial": approval.serial}
    return dg.RunRequest(
        run_key=f"{approval.digest}/{place}/since-{service.started_ns}/try-{attempt}",
        run_config={"ops": {DEPLOYED_KEY.to_user_string(): {"config": wish}}},
        tags=tags,
    )


def _tags(service: Service, approval: Approval) -> dict[str, str]:
    return {
        "py_rt/digest": approval.digest,
        "py_rt/slot": str(approval.slot),
        "py_rt/serial": str(approval.serial),
        "py_rt/service": service.instance,
        "py_rt/since": str(service.started_ns),
    }


def _runs_of(instance: dg.DagsterInstance, service: Service, approval: Approval) -> list[dg.DagsterRun]:
    """Runs that this life of the service has seen for an approval, newest first."""
    wanted = dg.RunsFilter(job_name=deploy.name, tags=_tags(service, approval))
    return list(instance.get_runs(wanted, limit=TRIES_MAX))


def recorded(instance: dg.DagsterInstance, run_id: str | None = None) -> list[Deployed]:
    """Deployments that Dagster has recorded, newest first.

    Args:
        instance: Dagster's.
        run_id: of one run; `None` is of all.
    """
    records = instance.fetch_materializations(DEPLOYED_KEY, limit=RECORDS_MAX).records
    events = [record.asset_materialization for record in records if run_id in {None, record.run_id}]
    return [_deployed(event.metadata) for event in events if event is not None]


def _deployed(metadata: Mapping[str, dg.MetadataValue]) -> Deployed:
    values: dict[str, Any] = {field.name: metadata[field.name].value for field in fields(Deployed)}
    return Deployed(**values)


def _floors(cursor: str | None) -> dict[str, int]:
    try:
        return {str(place): int(serial) for place, serial in json.loads(cursor or "{}").items()}
    except (ValueError, AttributeError, TypeError):
        return {}  # written by somebody else: what was deployed is recorded elsewhere too


def _name(approval: Approval) -> str:
    return f"bundle {approval.digest[:12]} for slot {approval.slot}, serial {approval.serial}"


def _nothing_approved(scene: Scene) -> str:
    how = "`py_rt bundle list`, then `py_rt bundle approve DIGEST --slot 1 --stage paper`"
    there = f"deployed is to the service that runs by {scene.run_folders}"
    return f"no trusted approval has begun in {scene.store.root}: {how}; {there}"


def evaluate_and_deploy(instance: dg.DagsterInstance, home: Path) -> Reply:
    """Ask the sensor once, and execute the runs that it asks for in this process, as the daemon would in others.

    Args:
        instance: Dagster's, where the runs are recorded.
        home: folder of everything that is made.

    Raises:
        PyRtError: the store, a key or a `live.json` cannot be read.
    """
    from pipelines import definitions  # it imports the sensors, which import this module
    from pipelines.resources import make_resources
    from pipelines.sensors import deploy_approved_bundle

    resources = make_resources({**os.environ, HOME_VARIABLE: str(home)})
    defs = definitions.build(resources)
    needed = {name: resources[name] for name in ("bundle_store", "key_folder", "run_folders")}
    with dg.build_sensor_context(instance=instance, resources=needed) as context:
        asked = deploy_approved_bundle(context)
    assert isinstance(asked, dg.SensorResult)
    requests = list(asked.run_requests or [])
    skipped = asked.skip_reason.skip_message if asked.skip_reason and not requests else None
    ran = [_executed(defs, instance, request) for request in requests]
    return Reply(
        deployed=[done for run_id, error in ran if error is None for done in recorded(instance, run_id)],
        failed=[error for _, error in ran if error is not None],
        reason=skipped,
    )


def _executed(defs: dg.Definitions, instance: dg.DagsterInstance, request: dg.RunRequest) -> tuple[str, str | None]:
    """Run it; the run's id, and why it failed."""
    result = defs.resolve_job_def(deploy.name).execute_in_process(
        instance=instance,
        run_config={**request.run_config, "loggers": {"console": {"config": {"log_level": "CRITICAL"}}}},
        tags={**request.tags, RUN_KEY_TAG: str(request.run_key)},
        raise_on_error=False,
    )
    if result.success:
        return result.run_id, None
    errors = [event.step_failure_data.error for event in result.filter_events(lambda event: event.is_step_failure)]
    told = [reason_of(error) for error in errors if error is not None]
    return result.run_id, f"run {result.run_id}: {told[-1] if told else 'failed before its step began'}"

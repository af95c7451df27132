"""The sensor, asked without a daemon: what it asks for, what it waits for, and that it says why."""

from __future__ import annotations

import json
import time
from dataclasses import replace
from typing import TYPE_CHECKING

import dagster as dg
import pytest
from dagster._core.test_utils import create_run_for_test

from assets.deployments import OUTCOME_TAG, REFUSED
from pipelines.definitions import defs
from pipelines.deployment import TRIES_MAX
from pipelines.resources import run_folders
from pipelines.sensors import INTERVAL_S, deploy_approved_bundle, report_failed_run
from py_rt.bridge.services import RunFolders, ServiceSearchError
from py_rt.bundle.deploy import SupersededError, deploy
from py_rt.bundle.keys import SigningKey, create_key, key_path
from py_rt.bundle.statement import Approval
from py_rt.errors import BundleError
from tests.golden_bundle import DAY_NS
from tests.pipelines.approvals import NOBODY, Approvals, recorded_as_deployed

if TYPE_CHECKING:
    from collections.abc import Iterator
    from pathlib import Path

FAILURE = dg.DagsterRunStatus.FAILURE


@pytest.fixture
def instance(tmp_path: Path) -> Iterator[dg.DagsterInstance]:
    with dg.instance_for_test(temp_dir=str(tmp_path)) as instance:
        yield instance


@pytest.fixture
def there(tmp_path: Path) -> Approvals:
    return Approvals(tmp_path / "home")


def asked(instance: dg.DagsterInstance, there: Approvals, cursor: str | None = None) -> dg.SensorResult:
    """One tick of the real sensor function."""
    with dg.build_sensor_context(instance=instance, cursor=cursor, resources=dict(there.resources)) as context:
        result = deploy_approved_bundle(context)
    assert isinstance(result, dg.SensorResult)
    return result


def one(result: dg.SensorResult) -> dg.RunRequest:
    (request,) = result.run_requests or []
    return request


def reason(result: dg.SensorResult) -> str:
    assert not result.run_requests
    assert result.skip_reason is not None
    return str(result.skip_reason.skip_message)


def run_of(
    instance: dg.DagsterInstance, request: dg.RunRequest, status: dg.DagsterRunStatus, **tags: str
) -> dg.DagsterRun:
    """What the daemon makes of a request."""
    made: dg.DagsterRun = create_run_for_test(instance, job_name="deploy", tags={**request.tags, **tags}, status=status)
    return made


def test_without_an_approval_it_says_what_to_type_and_where_it_looks(
    instance: dg.DagsterInstance, there: Approvals
) -> None:
    there.built()
    there.seems_to_run()
    said = reason(asked(instance, there))
    for words in (str(there.store.root), "`py_rt bundle approve DIGEST --slot 1", "runs/*/live.json"):
        assert words in said


def test_an_approved_bundle_is_asked_for_once(instance: dg.DagsterInstance, there: Approvals) -> None:
    digest = there.built()
    there.approved(digest)
    since = there.seems_to_run()
    first = asked(instance, there)
    request = one(first)
    assert request.run_key == f"{digest}/paper/slot-1/serial-1/since-{since}/try-1"
    assert request.run_config == {"ops": {"deployed_bundle": {"config": {"slot": 1, "digest": digest, "serial": 1}}}}
    assert json.loads(first.cursor or "") == {"paper/1": 1}
    run = run_of(instance, request, dg.DagsterRunStatus.STARTED)
    assert f"run {run.run_id} deploys it" in reason(asked(instance, there, first.cursor))
    recorded_as_deployed(instance, digest, 1, time.time_ns())
    again = asked(instance, there, first.cursor)
    assert "serial 1 was deployed; nothing later is approved" in reason(again)
    assert again.cursor == first.cursor


def test_a_tick_that_is_repeated_has_the_same_run_key(instance: dg.DagsterInstance, there: Approvals) -> None:
    there.approved(there.built())
    there.seems_to_run()
    first = asked(instance, there)
    # The daemon may die between the two; Dagster itself launches no second run of the same key.
    assert (
        one(asked(instance, there)).run_key == one(asked(instance, there, first.cursor)).run_key == one(first).run_key
    )


def test_an_approval_waits_for_its_service_and_is_not_lost(instance: dg.DagsterInstance, there: Approvals) -> None:
    digest = there.built()
    there.approved(digest)
    waits = asked(instance, there)
    assert "no service runs by" in reason(waits)
    assert f"Approved: bundle {digest[:12]} for slot 1, serial 1" in reason(waits)
    there.seems_to_run(pid=NOBODY)  # it was killed, and left its file
    assert "no service runs by" in reason(asked(instance, there, waits.cursor))
    there.seems_to_run()
    assert one(asked(instance, there, waits.cursor)).tags["py_rt/digest"] == digest


def test_without_a_deployers_key_it_says_how_to_make_one(instance: dg.DagsterInstance, tmp_path: Path) -> None:
    there = Approvals(tmp_path / "home", roles=("builder", "approver"))
    there.approved(there.built())
    there.seems_to_run()
    assert "`py_rt keys create --role deployer`" in reason(asked(instance, there))


def test_the_same_bundle_approved_again_is_another_wish(instance: dg.DagsterInstance, there: Approvals) -> None:
    digest = there.built()
    there.approved(digest)
    there.seems_to_run()
    first = asked(instance, there)
    recorded_as_deployed(instance, digest, 1, time.time_ns())
    there.approved(digest, days=20)
    second = one(asked(instance, there, first.cursor))
    assert second.tags["py_rt/serial"] == "2"
    assert second.run_key != one(first).run_key


def test_only_the_newest_approval_counts_and_no_older_one_comes_after_it(
    instance: dg.DagsterInstance, there: Approvals
) -> None:
    older, newer = there.built("1.0.0"), there.built("1.0.1")
    there.approved(older, days=30)
    there.approved(newer, begins_in_days=-2, days=1)
    there.seems_to_run()
    said = reason(asked(instance, there))
    assert f"bundle {newer[:12]} for slot 1, serial 2 has expired: `py_rt bundle approve {newer[:12]}" in said
    there.approved(newer)
    assert one(asked(instance, there)).tags["py_rt/serial"] == "3"


def test_what_the_cursor_says_was_asked_for_is_a_floor(instance: dg.DagsterInstance, there: Approvals) -> None:
    there.approved(there.built())
    there.seems_to_run()
    assert "serial 7 was asked for already" in reason(asked(instance, there, '{"paper/1": 7}'))
    assert one(asked(instance, there, '{"paper/2": 7}'))
    assert one(asked(instance, there, "somebody's own words")), "a cursor that is none is no cursor"


def test_an_approval_counts_from_when_it_begins(instance: dg.DagsterInstance, there: Approvals) -> None:
    now, later = there.built("1.0.0"), there.built("1.0.1")
    there.approved(now)
    there.approved(later, begins_in_days=1)
    there.seems_to_run()
    assert one(asked(instance, there)).tags["py_rt/digest"] == now


def test_every_slot_is_asked_for_by_itself(instance: dg.DagsterInstance, there: Approvals) -> None:
    there.approved(there.built("1.0.0"), slot=1)
    there.approved(there.built("1.0.1"), slot=2)
    there.seems_to_run()
    result = asked(instance, there)
    assert [request.tags["py_rt/slot"] for request in result.run_requests or []] == ["1", "2"]
    assert json.loads(result.cursor or "") == {"paper/1": 1, "paper/2": 1}


def test_what_its_builder_did_not_sign_is_not_asked_for(instance: dg.DagsterInstance, there: Approvals) -> None:
    digest = there.built()
    there.approved(digest)
    there.seems_to_run()
    there.store.signature(digest, "builder").unlink()
    assert f"bundle {digest[:12]} for slot 1, serial 1 is refused (" in reason(asked(instance, there))


def test_a_service_for_real_money_is_not_given_what_is_approved_for_paper(
    instance: dg.DagsterInstance, there: Approvals
) -> None:
    there.approved(there.built())
    there.seems_to_run("prod", stage="prod")
    assert "service prod runs bundles approved for live_10 or live_25" in reason(asked(instance, there))


def test_of_several_services_one_must_be_named(instance: dg.DagsterInstance, there: Approvals) -> None:
    there.approved(there.built())
    there.seems_to_run("paper")
    there.seems_to_run("dev", stage="dev")
    said = reason(asked(instance, there))
    assert "2 services run (dev in " in said
    assert "set PY_RT_RUN_FOLDER" in said
    environ = {"PY_RT_HOME": str(there.home), "PY_RT_RUN_FOLDER": str(there.home / "runs" / "dev")}
    there.run_folders = run_folders(environ)
    assert one(asked(instance, there)).tags["py_rt/service"] == "dev"


def test_a_run_that_failed_is_asked_for_again_a_few_times_in_a_life_of_the_service(
    instance: dg.DagsterInstance, there: Approvals
) -> None:
    there.approved(there.built())
    there.seems_to_run()
    cursor: str | None = None
    for attempt in range(1, TRIES_MAX + 1):
        result = asked(instance, there, cursor)
        request, cursor = one(result), result.cursor
        assert str(request.run_key).endswith(f"/try-{attempt}")
        run_of(instance, request, FAILURE if attempt < TRIES_MAX else dg.DagsterRunStatus.CANCELED)
    assert f"{TRIES_MAX} runs failed, the last is " in reason(asked(instance, there, cursor))
    there.seems_to_run(life=2)
    assert one(asked(instance, there, cursor))


def test_a_bundle_that_the_service_refused_waits_for_its_next_life_or_a_newer_approval(
    instance: dg.DagsterInstance, there: Approvals
) -> None:
    digest = there.built()
    there.approved(digest)
    there.seems_to_run()
    first = asked(instance, there)
    run = run_of(instance, one(first), FAILURE, **{OUTCOME_TAG: REFUSED})
    said = reason(asked(instance, there, first.cursor))
    assert f"was refused by paper, see run {run.run_id}: `py_rt bundle approve {digest[:12]}" in said
    there.seems_to_run(life=2)
    assert one(asked(instance, there, first.cursor)).tags["py_rt/serial"] == "1"
    there.approved(digest)
    assert one(asked(instance, there, first.cursor)).tags["py_rt/serial"] == "2"


@pytest.mark.parametrize("runs", [True, False], ids=["took it up again", "lost its run folder"])
def test_after_a_restart_the_service_is_asked_what_it_runs(
    instance: dg.DagsterInstance, there: Approvals, monkeypatch: pytest.MonkeyPatch, *, runs: bool
) -> None:
    from py_rt.bridge.records import BundleStatus
    from py_rt.bridge.vocabulary import BundleState

    digest = there.built()
    there.approved(digest)
    recorded_as_deployed(instance, digest, 1, time.time_ns() - DAY_NS)
    there.seems_to_run(life=2)
    it = BundleStatus(1, digest, BundleState.ACTIVE, 0, "golden", "1.0.0", None, 1, None, None)
    monkeypatch.setattr("pipelines.deployment.active", lambda *_: {1: it if runs else None})
    result = asked(instance, there, '{"paper/1": 1}')
    if runs:
        assert "was deployed before, and it runs serial 1" in reason(result)
    else:
        assert one(result).tags["py_rt/serial"] == "1"


def test_a_run_that_comes_late_does_not_deploy_what_was_superseded(there: Approvals) -> None:
    older, newer = there.built("1.0.0"), there.built("1.0.1")
    there.approved(older)
    there.seems_to_run()
    there.approved(newer)
    service = there.run_folders.one()
    with pytest.raises(SupersededError, match=rf"serial 1 of slot 1 is not deployed: serial 2 \({newer[:12]}\)"):
        deploy(there.store, service, there.keys, slot=1, digest=older, serial=1)
    with pytest.raises(BundleError, match="the newest approval is"):
        deploy(there.store, service, there.keys, slot=1, digest=older)
    with pytest.raises(BundleError, match="no trusted approval for slot 2"):
        deploy(there.store, service, there.keys, slot=2)


def test_a_damaged_statement_fails_the_tick_and_is_named(instance: dg.DagsterInstance, there: Approvals) -> None:
    digest = there.built()
    there.approved(digest)
    there.store.kept_approval(digest, 1, 1).write_text("no statement")
    with pytest.raises(BundleError, match=f"bundle {digest[:12]} in .*: not an approval"):
        asked(instance, there)


def test_an_approval_that_no_trusted_key_signed_blocks_nothing(
    instance: dg.DagsterInstance, there: Approvals, tmp_path: Path
) -> None:
    digest = there.built()
    there.approved(digest)
    there.seems_to_run()
    kept = there.store.kept_approval(digest, 1, 1)
    approval, _ = Approval.from_envelope(kept.read_bytes())
    forged = replace(approval, serial=2**63 - 1, expires_ns=2**62)
    create_key(tmp_path / "stranger", "approver")
    resigned = forged.to_envelope(SigningKey.load(key_path(tmp_path / "stranger", "approver")))
    altered = {**json.loads(kept.read_bytes()), "payload": json.loads(resigned)["payload"]}
    for at, envelope in enumerate((resigned, json.dumps(altered).encode())):
        kept.with_name(f"1-{2**63 - 1 - at}.dsse.json").write_bytes(envelope)
    # Beside another bundle its signature still holds, and says nothing about that one.
    other = there.store.kept_approval(there.built("1.0.1"), 1, 1)
    other.parent.mkdir(parents=True)
    other.write_bytes(kept.read_bytes())
    assert one(asked(instance, there)).tags["py_rt/serial"] == "1"
    there.approved(digest)
    assert one(asked(instance, there)).tags["py_rt/serial"] == "2"


def test_a_damaged_live_json_is_named(there: Approvals) -> None:
    there.seems_to_run()
    (there.home / "runs" / "paper" / "live.json").write_text("{}")
    with pytest.raises(ServiceSearchError, match=r"paper/live\.json does not say where the service is"):
        RunFolders(there.home / "runs").running()


def test_both_sensors_stand_in_the_definitions_running_and_unhurried() -> None:
    assert set(defs.sensors or []) == {deploy_approved_bundle, report_failed_run}
    for sensor in (deploy_approved_bundle, report_failed_run):
        assert sensor.default_status is dg.DefaultSensorStatus.RUNNING
        assert (sensor.minimum_interval_seconds or 0) >= INTERVAL_S == 30
    assert [target.name for target in deploy_approved_bundle.jobs] == ["deploy"]

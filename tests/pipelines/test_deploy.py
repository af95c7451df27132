"""The deploy job against the service itself, without a daemon, as `python -m pipelines.deploy` runs it."""

from __future__ import annotations

import json
from typing import TYPE_CHECKING, Any

import pytest

from assets.deployments import OUTCOME_TAG, REFUSED
from pipelines import deploy
from pipelines.deployment import recorded
from pipelines.instance import open_instance
from py_rt.bundle.store import BundleStore
from tests.contract.live_service import INSTANCE, SLOT, LiveService
from tests.pipelines.approvals import NOBODY, Approvals

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator
    from pathlib import Path


@pytest.fixture
def service(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[LiveService]:
    monkeypatch.setenv("PY_RT_RUN_FOLDER", str(tmp_path / "run"))
    with LiveService(tmp_path) as service:
        yield service


def deployed(home: Path, capsys: pytest.CaptureFixture[str]) -> tuple[int, dict[str, Any]]:
    status = deploy.main(["--home", str(home), "--json"])
    answer: dict[str, Any] = json.loads(capsys.readouterr().out)
    return status, answer


@pytest.mark.e2e
def test_what_is_approved_runs_and_is_recorded_and_is_not_sent_again(
    service: LiveService, capsys: pytest.CaptureFixture[str]
) -> None:
    home = service.home
    digest = service.approved_bundle()
    assert deployed(home, capsys)[0] == deploy.NOTHING
    service.start()
    status, answer = deployed(home, capsys)
    assert (status, answer["ok"], answer["failed"], answer["reason"]) == (deploy.OK, True, [], None)
    (done,) = answer["deployed"]
    assert (done["digest"], done["slot"], done["serial"], done["instance"]) == (digest, SLOT, 1, INSTANCE)
    assert done["epoch"] == service.live["epoch"]
    with service.client("viewer") as viewer:
        active = viewer.status().slots[0].active
        assert active is not None
        assert (active.digest, active.serial) == (digest, 1)
    with open_instance(home) as instance:
        (record,) = recorded(instance)
        assert (record.digest, record.command_id) == (digest, done["command_id"])
        assert record.acknowledged_ns >= service.live["started_ns"]
    assert BundleStore(home / "bundles").alias(SLOT, "champion") == digest
    status, answer = deployed(home, capsys)
    assert (status, answer["deployed"]) == (deploy.NOTHING, [])
    assert "nothing later is approved" in answer["reason"]
    # A later life takes it up by itself, and is asked before anything is sent.
    service.kill()
    service.start()
    assert deployed(home, capsys)[0] == deploy.NOTHING
    assert service.log.count("deployed") == 2, "once by command, once from the record"


@pytest.mark.e2e
def test_a_refusal_fails_with_the_services_reason_and_the_approval_is_not_lost(
    service: LiveService, capsys: pytest.CaptureFixture[str]
) -> None:
    home = service.home
    # Its own policy is stricter than what the bundle was approved under.
    service.write_policy(is_stricter=True)
    service.start()
    digest = service.approved_bundle()
    status, answer = deployed(home, capsys)
    assert (status, answer["ok"], answer["deployed"]) == (deploy.FAILED, False, [])
    assert f"service {INSTANCE}: deploy failed: refused: " in answer["failed"][0]
    with open_instance(home) as instance:
        (run,) = instance.get_runs()
        assert run.tags[OUTCOME_TAG] == REFUSED
        assert recorded(instance) == []
    status, answer = deployed(home, capsys)
    assert (status, answer["reason"].count(f"was refused by {INSTANCE}")) == (deploy.NOTHING, 1)
    service.stop()
    service.write_policy()
    service.start()
    status, answer = deployed(home, capsys)
    assert status == deploy.OK, answer
    assert answer["deployed"][0]["digest"] == digest


def test_a_service_that_went_away_fails_the_run_so_that_it_is_asked_for_again(
    tmp_path: Path, capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.delenv("PY_RT_RUN_FOLDER", raising=False)
    there = Approvals(tmp_path)
    there.approved(there.built())
    there.seems_to_run()
    asked: list[float] = []
    monkeypatch.setattr("py_rt.bundle.deploy.CommandClient", gone(asked))
    for _ in range(2):
        status, answer = deployed(tmp_path, capsys)
        assert status == deploy.FAILED
        assert answer["failed"][0].endswith("nobody listens")
    assert len(asked) == 2 * 3, "each run tried three times"
    with open_instance(tmp_path) as instance:
        assert {run.tags.get(OUTCOME_TAG) for run in instance.get_runs()} == {None}
    there.seems_to_run(pid=NOBODY)
    assert deployed(tmp_path, capsys)[0] == deploy.NOTHING


def gone(asked: list[float]) -> Callable[..., None]:
    from py_rt.bridge.commands import UnreachableError

    def client(*_: object) -> None:
        asked.append(1)
        raise UnreachableError("nobody listens")

    return client


def test_people_read_why_there_is_nothing_to_deploy(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    assert deploy.main(["--home", str(tmp_path)]) == deploy.NOTHING
    assert capsys.readouterr().out.startswith("nothing to deploy: no trusted approval has begun in ")


def test_a_damaged_file_is_a_wrong_wish(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    there = Approvals(tmp_path)
    there.approved(there.built())
    there.seems_to_run()
    (tmp_path / "runs" / "paper" / "live.json").write_text("[]")
    status, answer = deployed(tmp_path, capsys)
    assert (status, answer["ok"]) == (deploy.WRONG, False)
    assert "does not say where the service is" in answer["failed"][0]


def test_help_shows_an_example_and_the_exit_statuses(capsys: pytest.CaptureFixture[str]) -> None:
    with pytest.raises(SystemExit) as left:
        deploy.main(["--help"])
    assert left.value.code == 0
    told = capsys.readouterr().out
    assert "python -m pipelines.deploy --home .py_rt" in told
    assert "Exit status: 0 deployed; 1 a deployment failed" in told

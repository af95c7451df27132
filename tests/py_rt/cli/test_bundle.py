"""`py_rt keys` and `py_rt bundle`, from keys to an approved bundle, and every way to be told no."""

from __future__ import annotations

import json
from typing import TYPE_CHECKING, Any

import pytest

from py_rt.cli.main import main
from tests.golden_bundle import GOLDEN, golden_files

if TYPE_CHECKING:
    from pathlib import Path


@pytest.fixture
def home(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    monkeypatch.setenv("PY_RT_HOME", str(tmp_path / "home"))
    return tmp_path / "home"


class Command:
    """Runs `py_rt ... --json` and reads what it says."""

    def __init__(self, capsys: pytest.CaptureFixture[str]) -> None:
        self.capsys = capsys

    def __call__(self, *arguments: str, status: int = 0) -> dict[str, Any]:
        self.capsys.readouterr()
        found = main([*arguments, "--json"])
        said = self.capsys.readouterr()
        assert found == status, said
        answer: dict[str, Any] = json.loads(said.out)
        assert answer["ok"] is (status == 0)
        return answer

    def text(self, *arguments: str, status: int = 0) -> str:
        self.capsys.readouterr()
        found = main(list(arguments))
        said = self.capsys.readouterr()
        assert found == status, said
        return said.err if status else said.out


@pytest.fixture
def command(capsys: pytest.CaptureFixture[str]) -> Command:
    return Command(capsys)


def source(tmp_path: Path, changes: dict[str, bytes] | None = None) -> Path:
    """A folder with the files of the golden bundle."""
    folder = tmp_path / "golden"
    for path, content in {**golden_files(), **(changes or {})}.items():
        (folder / path).parent.mkdir(parents=True, exist_ok=True)
        (folder / path).write_bytes(content)
    return folder


def test_from_keys_to_an_approved_bundle(home: Path, tmp_path: Path, command: Command) -> None:
    made = command("keys", "create", "--role", "builder", "--role", "approver")
    ids = {key["role"]: key["id"] for key in made["keys"]}
    built = command("bundle", "build", str(source(tmp_path)))
    digest = built["digest"]
    assert (built["created"], built["builder"]) == (True, ids["builder"])
    assert command("bundle", "build", str(tmp_path / "golden"))["created"] is False
    assert command("bundle", "verify", digest, "--built")["golden_rows"] == 1_000
    assert command("bundle", "verify", digest, status=3)["refusal"] == "unsigned"
    approved = command("bundle", "approve", digest[:8], "--slot", "4", "--days", "7")
    assert (approved["serial"], approved["slot"], approved["approver"]) == (1, 4, ids["approver"])
    assert approved["expires_ns"] - approved["not_before_ns"] == 7 * 86_400 * 10**9
    assert command("bundle", "verify", digest, "--slot", "4")["serial"] == 1
    assert command("bundle", "verify", digest, status=3)["refusal"] == "other_slot"
    assert command("bundle", "verify", digest, "--slot", "4", "--serial-floor", "1", status=3)["refusal"] == "serial"
    late = ["--slot", "4", "--at", "2199-01-01"]
    assert command("bundle", "verify", digest, *late, status=3)["refusal"] == "expired"
    (listed,) = command("bundle", "list")["bundles"]
    assert (listed["digest"], listed["built"], listed["approvals"][0]["serial"]) == (digest, True, 1)
    assert (home / "bundles" / f"sha256-{digest}").is_dir()
    assert "training_run" in json.loads((home / "bundles" / "records" / f"{digest}.json").read_text())


def test_people_read_sentences(home: Path, tmp_path: Path, command: Command) -> None:
    assert "no bundle in" in command.text("bundle", "list")
    said = command.text("keys", "create", "--role", "builder", "--role", "approver")
    assert "trusted in" in said
    assert "PRIVATE" not in said
    assert "private half here" in command.text("keys", "list")
    assert "signed by builder key" in command.text("bundle", "build", str(source(tmp_path)))
    digest = next((home / "bundles").glob("sha256-*")).name
    assert "is refused (unsigned): the approver has not signed" in command.text("bundle", "verify", digest, status=3)
    assert "serial 1" in command.text("bundle", "approve", digest)
    assert "golden rows bit-equal" in command.text("bundle", "verify", digest)
    assert "slot 1: paper, serial 1" in command.text("bundle", "list")


def test_real_money_is_refused_with_the_list(home: Path, tmp_path: Path, command: Command) -> None:
    command("keys", "create", "--role", "builder", "--role", "approver", "--highest-stage", "live_100")
    digest = command("bundle", "build", str(source(tmp_path)))["digest"]
    said = command.text("bundle", "approve", digest, "--stage", "live_10", status=3)
    assert said.splitlines()[0] == "stage live_10 is refused: 9 of 13 gates are not passed"
    assert "[not evaluated] Paper trading results verified: wanted 1 month or more" in said
    answer = command("bundle", "approve", digest, "--stage", "live_10", status=3)
    assert answer["stage"] == "live_10"
    assert not (home / "bundles" / "signatures" / digest / "approver.dsse.json").exists()


def test_the_builders_key_approves_nothing(home: Path, tmp_path: Path, command: Command) -> None:
    command("keys", "create", "--role", "builder", "--role", "approver")
    digest = command("bundle", "build", str(source(tmp_path)))["digest"]
    said = command("bundle", "approve", digest, "--key-file", str(home / "keys" / "builder.pem"), status=2)
    assert "trusted as builder only" in said["error"]


def test_a_policy_of_ones_own_is_kept(home: Path, tmp_path: Path, command: Command) -> None:
    assert not home.exists()
    command("keys", "create", "--role", "builder", "--role", "approver")
    digest = command("bundle", "build", str(source(tmp_path)))["digest"]
    policy = tmp_path / "policy.toml"
    text = (GOLDEN / "policy.toml").read_text().replace("max_leverage = 3.0", "max_leverage = 2.0")
    policy.write_text(text)
    assert command("bundle", "approve", digest, "--policy", str(policy), status=3)["refusal"] == "looser_limits"
    again = str(source(tmp_path, {"reports/model_card.md": b"# Another\n"}))
    refused = command("bundle", "build", again, "--policy", str(policy), status=3)
    assert refused["refusal"] == "looser_limits"
    assert len(list((home / "bundles" / "signatures").glob("*/builder.dsse.json"))) == 1
    policy.write_text(text.replace("max_leverage", "max_levrage"))
    assert "did you mean" in command("bundle", "approve", digest, "--policy", str(policy), status=2)["error"]


@pytest.mark.parametrize(
    ("arguments", "fault"),
    [
        (["bundle", "verify", "ab" * 32], "trusted_keys.toml"),
        (["bundle", "verify", "abc"], "too short"),
        (["bundle", "approve", "ab" * 32], "py_rt keys create"),
        (["bundle", "build", "absent"], "py_rt keys create"),
        (["keys", "list"], "py_rt keys create"),
        (["keys", "create", "--role", "king"], "there are builder"),
    ],
)
@pytest.mark.usefixtures("home")
def test_what_is_asked_wrongly_is_status_2(command: Command, arguments: list[str], fault: str) -> None:
    assert fault in command(*arguments, status=2)["error"]
    assert fault in command.text(*arguments, status=2)


@pytest.mark.usefixtures("home")
def test_a_command_line_that_contradicts_itself_is_status_2(command: Command) -> None:
    assert "one of them" in command.text("bundle", "build", status=2)
    assert "one of them" in command.text("bundle", "build", "a", "--partition", "2021-12-01", status=2)


@pytest.mark.usefixtures("home")
@pytest.mark.parametrize(("option", "value"), [("--at", "yesterday"), ("--policy", "absent.toml")])
def test_a_wrong_option_of_verify_names_itself(command: Command, option: str, value: str) -> None:
    command("keys", "create", "--role", "builder")
    assert value in command("bundle", "verify", "ab" * 32, option, value, status=2)["error"]


@pytest.mark.usefixtures("home")
def test_a_bundle_that_the_reader_refuses_is_not_signed(command: Command, tmp_path: Path) -> None:
    command("keys", "create", "--role", "builder")
    folder = source(tmp_path, {"golden.bin": b"PYRTGOLD"})
    assert command("bundle", "build", str(folder), "--name", "golden", status=3)["refusal"] == "golden"

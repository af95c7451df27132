"""Python is told what Rust says of bundles: both read the golden verdicts of `tests/contract/bundle`."""

from __future__ import annotations

import json
import os
import shutil
from pathlib import Path
from typing import Any

import py_rt_core
import pytest

from py_rt.bundle.manifest import LAYOUT, Manifest
from tests.contract.bundle.damage import apply

FOLDER = Path(__file__).parent / "bundle"
UPDATE = "PY_RT_UPDATE_SNAPSHOT"
CASES: list[dict[str, Any]] = json.loads((FOLDER / "cases.json").read_text(encoding="utf-8"))
VERDICTS = FOLDER / "verdicts.json"


def expected() -> dict[str, str]:
    """By case: "ok", or the word and the reason."""
    read: dict[str, str] = json.loads(VERDICTS.read_text(encoding="utf-8"))
    return read


def judge(case: dict[str, Any], tmp_path: Path) -> str:
    store = tmp_path / "store"
    shutil.copytree(FOLDER / "store", store)
    apply(store, case["damage"])
    verdict = py_rt_core.verify_bundle(
        store,
        case["digest"],
        (FOLDER / "trusted_keys.toml").read_text(encoding="utf-8"),
        case["slot"],
        case["stage"],
        case["now_ns"],
        case["serial_floor"],
        risk_policy=(FOLDER / "policy.toml").read_text(encoding="utf-8"),
        previously_active=case["previously_active"],
    )
    return "ok" if verdict["ok"] else f"{verdict['refusal']}: {verdict['reason']}"


@pytest.fixture(scope="module", autouse=True)
def verdicts_on_demand(tmp_path_factory: pytest.TempPathFactory) -> None:
    """Writes the golden verdicts anew where that is asked for."""
    if os.environ.get(UPDATE):
        found = {case["name"]: judge(case, tmp_path_factory.mktemp("update")) for case in CASES}
        VERDICTS.write_text(json.dumps(found, indent=1) + "\n", encoding="utf-8")


def test_there_are_cases_of_each_kind() -> None:
    verdicts = expected()
    assert list(verdicts) == [case["name"] for case in CASES]
    words = {text.partition(":")[0] for text in verdicts.values()}
    assert len(words) >= 30
    assert len(verdicts) >= 70


@pytest.mark.parametrize("case", CASES, ids=lambda case: case["name"])
def test_a_verdict(case: dict[str, Any], tmp_path: Path) -> None:
    assert judge(case, tmp_path) == expected()[case["name"]]


def test_python_writes_the_manifest_that_rust_reads() -> None:
    folder = next((FOLDER / "store").glob("sha256-*"))
    files = {path: (folder / path).read_bytes() for path in LAYOUT}
    manifest = Manifest.of(files, name="golden", version="1.0.0", instrument="BTCUSDT")
    assert manifest.to_bytes() == (folder / "manifest.json").read_bytes()
    assert folder.name == f"sha256-{manifest.digest}"


def test_a_good_verdict_says_what_the_bundle_is() -> None:
    case = CASES[0]
    text = (FOLDER / "trusted_keys.toml").read_text(encoding="utf-8")
    keys = {key["role"]: key["id"] for key in py_rt_core.trusted_keys(text)[:3]}
    verdict = py_rt_core.verify_bundle(FOLDER / "store", case["digest"], text, 1, "paper", case["now_ns"], 4)
    assert verdict["builder"] == keys["builder"]
    assert verdict["approver"] == keys["approver"]
    wanted = {"name": "golden", "version": "1.0.0", "serial": 5, "size_scale": "1", "golden_rows": 1_000, "files": 10}
    assert {name: verdict[name] for name in wanted} == wanted


@pytest.mark.parametrize(
    ("change", "fault"),
    [
        (lambda text: text.replace("highest_stage", "highest_stages", 1), "unknown field `highest_stages`"),
        (lambda text: text.replace('role = "approver"', 'role = "auditor"', 1), "allowed: builder, approver"),
        (lambda text: text.replace('id = "', 'id = "0', 1), "that of the key is"),
        (lambda text: text + text.replace('role = "builder"', 'role = "approver"', 1), "one key has one role"),
        (lambda text: text.replace('"paper"', '"live"', 1), "allowed: paper, live_10"),
        (lambda text: text.replace("PUBLIC KEY", "KEY"), "no P-256 public key"),
        (lambda _: "", "0 keys; allowed: 1 to 64"),
        (lambda _: "[[key]", "key"),
    ],
)
def test_a_list_of_keys_that_contradicts_itself_is_refused(change: Any, fault: str) -> None:  # noqa: ANN401 - a function
    text = change((FOLDER / "trusted_keys.toml").read_text(encoding="utf-8"))
    with pytest.raises(py_rt_core.CoreError) as refusal:
        py_rt_core.trusted_keys(text)
    assert fault in str(refusal.value)
    assert str(refusal.value).startswith("trusted_keys.toml: ")

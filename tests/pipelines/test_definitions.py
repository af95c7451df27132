from __future__ import annotations

import difflib
import json
import os
import subprocess
import sys
from pathlib import Path
from typing import Any

import dagster as dg
import pytest

from pipelines.definitions import CHAIN, CHECKS, defs
from pipelines.jobs import CHAIN_GROUPS

SNAPSHOT = Path(__file__).with_name("asset_graph.json")
UPDATE = "PY_RT_UPDATE_SNAPSHOT"
ROOT = Path(__file__).resolve().parents[2]


def partitioning(definition: dg.PartitionsDefinition | None) -> str | None:
    return None if definition is None else str(definition).partition(",")[0]


def graph() -> dict[str, Any]:
    """Keys, groups, upstreams, partitions and checks: what the graph is."""
    found = defs.resolve_asset_graph()
    assets = {
        key.to_user_string(): {
            "group": (node := found.get(key)).group_name,
            "reads": sorted(parent.to_user_string() for parent in node.parent_keys),
            "partitions": partitioning(node.partitions_def),
        }
        for key in found.get_all_asset_keys()
    }
    checks = {
        f"{key.asset_key.to_user_string()}:{key.name}": "blocking" if found.get(key).blocking else "not blocking"
        for key in found.asset_check_keys
    }
    jobs = sorted(job.name for job in defs.jobs or [])
    return {"assets": dict(sorted(assets.items())), "checks": dict(sorted(checks.items())), "jobs": jobs}


def test_the_graph_changes_only_on_purpose() -> None:
    """Update with: PY_RT_UPDATE_SNAPSHOT=1 pytest tests/pipelines/test_definitions.py."""
    now = json.dumps(graph(), indent=2) + "\n"
    if os.environ.get(UPDATE):
        SNAPSHOT.write_text(now)
    before = SNAPSHOT.read_text()
    difference = "".join(difflib.unified_diff(before.splitlines(True), now.splitlines(True), "committed", "now"))
    assert now == before, f"the asset graph changed; if on purpose: {UPDATE}=1 pytest {__file__}\n{difference}"


def test_definitions_resolve_with_every_resource_they_need() -> None:
    dg.Definitions.validate_loadable(defs)


def test_assets_stand_in_the_order_of_the_chain() -> None:
    listed = [asset for asset in defs.assets or [] if isinstance(asset, dg.AssetsDefinition)]
    order = [CHAIN_GROUPS.index(group) for asset in listed for group in set(asset.group_names_by_key.values())]
    assert order == sorted(order)
    found = defs.resolve_asset_graph()
    for node in found.asset_nodes:
        for parent in node.parent_keys:
            upstream = CHAIN_GROUPS.index(str(found.get(parent).group_name))
            assert upstream <= CHAIN_GROUPS.index(str(node.group_name)), f"{node.key} reads {parent}"
    assert all(module.__name__.startswith("assets.") for module in (*CHAIN, *CHECKS))


def test_every_daily_asset_makes_any_range_in_one_run() -> None:
    found = defs.resolve_asset_graph()
    daily = [node for node in found.asset_nodes if partitioning(node.partitions_def) == "Daily"]
    assert daily
    assert [node.key for node in daily if node.backfill_policy != dg.BackfillPolicy.single_run()] == []


def test_every_table_asset_says_its_code_version_and_columns() -> None:
    for node in defs.resolve_asset_graph().asset_nodes:
        if node.group_name in {"raw", "cleaned"}:
            assert node.code_version, node.key
            assert "dagster/column_schema" in node.metadata, node.key
            assert node.description, node.key


def test_every_blocking_check_guards_an_asset_that_exists() -> None:
    found = defs.resolve_asset_graph()
    assert {key.asset_key for key in found.asset_check_keys} <= set(found.get_all_asset_keys())


def test_loading_the_definitions_imports_nothing_heavy() -> None:
    heavy = ["great_expectations", "matplotlib", "pandas", "lightgbm", "sklearn", "onnxruntime", "optuna"]
    code = f"import sys, pipelines.definitions; print([name for name in {heavy} if name in sys.modules])"
    found = subprocess.run([sys.executable, "-c", code], cwd=ROOT, capture_output=True, text=True, check=False)
    assert found.stdout.strip() == "[]", found.stdout + found.stderr


@pytest.mark.e2e
@pytest.mark.parametrize(
    "command",
    [["dagster", "definitions", "validate", "-w", "workspace.yaml"], ["dg", "check", "defs"]],
    ids=["dagster", "dg"],
)
def test_dagsters_own_commands_accept_the_project(command: list[str], tmp_path: Path) -> None:
    tool = Path(sys.executable).with_name(command[0])
    if not tool.exists():
        pytest.skip(f"{command[0]} is not installed beside {sys.executable}")
    environ = {
        **os.environ,
        "PY_RT_HOME": str(tmp_path),
        "DAGSTER_HOME": str(tmp_path),
        "DAGSTER_DISABLE_TELEMETRY": "1",
    }
    environ["PATH"] = f"{tool.parent}{os.pathsep}{environ['PATH']}"
    done = subprocess.run(
        [str(tool), *command[1:]], cwd=ROOT, env=environ, capture_output=True, text=True, timeout=120, check=False
    )
    assert done.returncode == 0, done.stdout + done.stderr

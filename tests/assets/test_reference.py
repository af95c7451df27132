"""Reference data land as they are in the user's folder, and nothing replaces what landed."""

from __future__ import annotations

import os
from pathlib import Path
from typing import Any

import dagster as dg
import polars as pl
import pytest

from assets import reference
from py_rt.data.reference import Reference
from py_rt.data.schemas import CORPORATE_ACTIONS, INDEX_MEMBERS, SECURITY_NAMES
from py_rt.data.securities import UniverseError
from py_rt.data.storage import Lake, write_whole

SHARED = Path(os.environ.get("PY_RT_SHARED_DATA", Path(__file__).resolve().parents[3] / "shared" / "data"))
ASSETS = [reference.index_members, reference.security_names, reference.corporate_actions]
CHECKS = [
    reference.index_members_fit,
    reference.security_names_fit,
    reference.corporate_actions_fit,
    reference.no_list_of_survivors,
]


class InLake(dg.IOManager):
    def __init__(self, lake: Lake) -> None:
        self.lake = lake

    def handle_output(self, context: dg.OutputContext, obj: Any) -> None:  # noqa: ANN401
        write_whole(self.lake.uri("raw", context.asset_key.path[-1]), obj)

    def load_input(self, context: dg.InputContext) -> Any:  # noqa: ANN401
        return pl.read_delta(self.lake.uri("raw", context.asset_key.path[-1]))


def landed(folder: Path, lake: Lake) -> tuple[dict[str, pl.DataFrame], dict[str, bool]]:
    manager = InLake(lake)
    resources = {"io_manager": manager, "lake": lake, "reference_data": Reference(folder)}
    result = dg.materialize([*ASSETS, *CHECKS], resources=resources)
    tables = {
        table.name: pl.read_delta(lake.uri("raw", table.name))
        for table in (INDEX_MEMBERS, SECURITY_NAMES, CORPORATE_ACTIONS)
    }
    evaluated = result.get_asset_check_evaluations()
    return tables, {f"{one.asset_key.path[-1]}:{one.check_name}": one.passed for one in evaluated}


def test_the_shared_companies_land_with_their_names_and_actions(tmp_path: Path) -> None:
    folder = SHARED / "bars_us_equity_daily_1998_2021"
    if not folder.is_dir():
        pytest.skip(f"no shared data at {folder}: set PY_RT_SHARED_DATA")
    tables, checks = landed(folder, Lake(str(tmp_path / "lake")))
    assert all(checks.values()), checks
    names = tables["security_names"]
    assert names.filter(pl.col("security_id") == "UW.19980102")["ticker"].to_list() == ["UW", "WMI", "WM"]
    apple = tables["corporate_actions"].filter((pl.col("ticker") == "AAPL") & (pl.col("kind") == "split"))
    assert apple["amount"].round(3).to_list()[-2:] == [7.0, 4.0]


def test_a_list_of_survivors_is_warned_of(tmp_path: Path) -> None:
    (tmp_path / "members").mkdir()
    (tmp_path / "members" / "all.csv").write_text(
        "ticker,start_date,end_date\nA,2000-01-03,\nB,2000-01-03,2001-01-03\n"
    )
    (tmp_path / "members" / "today.csv").write_text("ticker,start_date,end_date\nA,2000-01-03,\n")
    tables, checks = landed(tmp_path, Lake(str(tmp_path / "lake")))
    assert tables["index_members"]["index_name"].to_list() == ["all", "all", "today"]
    assert checks["index_members:no_list_of_survivors"] is False
    assert checks["index_members:fits_schema"] is True


def test_two_markets_files_of_one_ticker_are_refused(tmp_path: Path) -> None:
    for market, factor in (("usa", 0.5), ("india", 0.25)):
        path = tmp_path / "equity" / market / "factor_files" / "tcs.csv"
        path.parent.mkdir(parents=True)
        path.write_text(f"20200102,1,{factor},10\n20500101,1,1,0\n")
    with pytest.raises(UniverseError, match=r"india/factor_files/tcs.csv and .*usa.* both tell of TCS; keep the one"):
        Reference(tmp_path).actions_table()


def test_where_the_folder_is_absent_the_tables_stay_as_they_are(tmp_path: Path) -> None:
    lake = Lake(str(tmp_path / "lake"))
    assert all(table.is_empty() for table in landed(tmp_path / "absent", lake)[0].values())
    (tmp_path / "members").mkdir()
    (tmp_path / "members" / "all.csv").write_text("ticker,start_date,end_date\nB,2000-01-03,2001-01-03\n")
    there = landed(tmp_path, lake)[0]["index_members"]
    assert there.height == 1
    assert landed(tmp_path / "absent", lake)[0]["index_members"].equals(there)

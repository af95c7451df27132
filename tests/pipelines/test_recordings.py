"""Recorded wires land in the lake by days, and the checks stand between them and whoever reads."""

from __future__ import annotations

import os
import shutil
from functools import partial
from pathlib import Path
from typing import TYPE_CHECKING

import dagster as dg
import polars as pl
import pytest

from pipelines import definitions
from pipelines.jobs import land_recordings
from pipelines.resources import make_resources
from pipelines.run import materialize
from py_rt.cli.main import main
from py_rt.data.ingestion.recordings import Recordings
from py_rt.data.storage import RowBatches, read_table, table_version
from tests.contract.live_service import find_command

if TYPE_CHECKING:
    from collections.abc import Mapping

SHARED = Path(os.environ.get("PY_RT_SHARED_DATA", Path(__file__).resolve().parents[3] / "shared" / "data"))
SPOT = SHARED / "ws_binance_spot_btcusdt_20240808"
DAYS = "2024-08-08...2024-08-09"

pytestmark = pytest.mark.usefixtures("home", "instant_runner", "recordings")


@pytest.fixture
def recordings(home: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """The recorded two days in a folder of their own, and the built command on the path."""
    command = find_command("py_rt_feed")
    if not SPOT.is_dir():
        pytest.skip(f"no recorded data at {SPOT}: set PY_RT_SHARED_DATA")
    folder = home / "recordings"
    shutil.copytree(SPOT, folder)
    monkeypatch.delenv("PY_RT_RECORDINGS", raising=False)
    monkeypatch.setattr("py_rt.data.ingestion.recordings.installed_command", lambda _: str(command))
    return folder


def landed(day: str) -> dg.ExecuteInProcessResult:
    job = definitions.build(make_resources()).resolve_job_def(land_recordings.name)
    return job.execute_in_process(
        partition_key=day,
        run_config={"loggers": {"console": {"config": {"log_level": "CRITICAL"}}}},
        raise_on_error=False,
    )


def values(metadata: Mapping[str, object]) -> dict[str, object]:
    return {key: getattr(value, "value", value) for key, value in metadata.items()}


def test_both_days_land_in_one_run_with_every_check_and_their_lineage(home: Path) -> None:
    assert materialize("raw_book,raw_trades", partition_range=DAYS).success
    book = read_table("raw_book", root=home / "lake")
    trades = read_table("raw_trades", root=home / "lake")
    # What the description of the recording says of its end.
    assert (book["update_id"].max(), trades.height) == (50_093_696_318, 19_904)
    assert int(trades["quantity"].sum()) == 43_791_552_000
    assert book["date"].n_unique() == trades["date"].n_unique() == 2
    # The quotes and the tape of the same seconds speak of one market.
    joined = trades.sort("ts_received").join_asof(
        book.select("ts_received", "best_bid", "best_ask").sort("ts_received"), on="ts_received"
    )
    spread = pl.col("best_ask") - pl.col("best_bid")
    assert joined.select((spread > 0).drop_nulls().all()).item()


def test_a_day_says_what_it_was_made_of_and_every_check_passed(recordings: Path) -> None:
    result = landed("2024-08-09")
    assert result.success
    passed = {
        (check.asset_key.path[-1], check.check_name): check.passed for check in result.get_asset_check_evaluations()
    }
    names = ("fits_schema", "in_order_of_receipt", "counts_equal_report", "meets_suite")
    expected = {(table, name) for table in ("raw_book", "raw_trades") for name in names}
    expected |= {("raw_book", "recordings_are_right")}
    expected |= {(table, "fits_schema") for table in ("captured_scores", "flow_bars", "event_bars")}
    expected |= {(table, "meets_suite") for table in ("captured_scores", "flow_bars", "event_bars")}
    # No bundle trades here: that its decisions were not looked at is a warning, and no word of their being right.
    unjudged = {("captured_scores", name) for name in ("scores_and_decisions_as_trained", "features_as_trained")}
    assert passed == dict.fromkeys(expected, True) | dict.fromkeys(unjudged, False)
    for asset in ("raw_book", "raw_trades"):
        (event,) = result.asset_materializations_for_node(asset)
        files = values(event.metadata)["file_sha256"]
        assert isinstance(files, dict)
        # The day before was played too, so that the book stands at midnight.
        assert files.keys() == {file.name for file in recordings.glob("*.gz")}


def test_recorded_days_become_bars_that_features_of_order_flow_read(home: Path, tmp_path: Path) -> None:
    names = "raw_book,raw_trades,flow_bars,event_bars"
    assert materialize(names, partition_range=DAYS).success
    flow, events = (read_table(name, root=home / "lake") for name in ("flow_bars", "event_bars"))
    # 23:55 to 23:59, and 00:01 to 00:04: what was heard of a day begins and ends within a minute.
    minutes = pl.from_epoch(flow["ts_open"], "ns").dt.strftime("%H:%M").to_list()
    assert minutes == [f"23:{at}" for at in range(55, 60)] + [f"00:0{at}" for at in range(1, 5)]
    assert flow["bid"].n_unique() == flow["order_flow"].n_unique() == 9
    assert (flow["ask"] > flow["bid"]).all()
    assert (
        flow.select(pl.col("spread", "order_flow", "bid_quantity", "trades").is_not_null().all()).row(0) == (True,) * 4
    )
    # A day is the same however it is made.
    day = flow.filter(pl.col("date") == pl.date(2024, 8, 9))
    assert materialize(names, partition_range="2024-08-09...2024-08-09").success
    again = read_table("flow_bars", root=home / "lake").filter(pl.col("date") == pl.date(2024, 8, 9))
    assert again.equals(day)
    assert events.height > 3
    turnover = events["volume"] * (events["high"] + events["low"]) / 2
    assert turnover.min() > 0.99e6  # type: ignore[operator]
    for table, asked in ((flow, "spread_bps,microprice,queue_imbalance"), (events, "sma_5")):
        table.write_parquet(tmp_path / "bars.parquet")
        command = ["features", "compute", asked, "--in", str(tmp_path / "bars.parquet"), "--symbol", "BTCUSDT"]
        assert main([*command, "--out", str(tmp_path / "made.parquet")]) == 0
        made = pl.read_parquet(tmp_path / "made.parquet")
        assert made[asked.split(",")[0]].is_finite().sum() == made.height - (4 if asked == "sma_5" else 0)


def test_a_day_that_lost_its_recording_stays_as_it_landed(home: Path, recordings: Path) -> None:
    assert landed("2024-08-09").success
    version = table_version(str(home / "lake" / "raw" / "raw_trades"))
    (recordings / "btcusdt_20240809.gz").unlink()
    assert not landed("2024-08-09").success
    assert table_version(str(home / "lake" / "raw" / "raw_trades")) == version


def test_counts_that_differ_from_the_report_fail(monkeypatch: pytest.MonkeyPatch) -> None:
    export = Recordings.export

    def short(self: Recordings, window: object) -> object:
        found = export(self, window)  # type: ignore[arg-type]
        for name in ("book", "trades"):
            rows = getattr(found, name).collect().head(-1)
            object.__setattr__(found, name, RowBatches(rows.schema, partial(rows.iter_slices, rows.height)))
        return found

    monkeypatch.setattr(Recordings, "export", short)
    result = landed("2024-08-09")
    failed = {
        (item.asset_key.path[-1], item.check_name) for item in result.get_asset_check_evaluations() if not item.passed
    }
    assert failed == {("raw_book", "counts_equal_report"), ("raw_trades", "counts_equal_report")}


def test_a_venue_that_lost_a_message_is_a_warning_and_the_table_says_where(home: Path, recordings: Path) -> None:
    for file in recordings.glob("*.gz"):
        file.unlink()
    ns = 1_723_200_000_000_000_000
    lines = [
        '{"lastUpdateId":10,"bids":[["99.50","1.0"]],"asks":[["100.00","2.000"]]}',
        '{"e":"depthUpdate","E":3,"s":"BTCUSDT","U":20,"u":21,"b":[],"a":[["100.00","1"]]}',
    ]
    (recordings / "hole.jsonl").write_text("".join(f"{ns + at} {line}\n" for at, line in enumerate(lines)))
    result = landed("2024-08-09")
    assert result.success
    checks = {(item.asset_key.path[-1], item.check_name): item for item in result.get_asset_check_evaluations()}
    warned = checks["raw_book", "recordings_are_right"]
    assert (warned.passed, warned.severity) == (False, dg.AssetCheckSeverity.WARN)
    book = read_table("raw_book", root=home / "lake")
    assert book.select("kind", "reason").rows()[-1] == ("invalid", "gap")

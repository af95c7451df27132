"""Drops of a whole market: counts as the archive's own description states them, and what cannot be taken."""

from __future__ import annotations

import io
import os
import re
import tarfile
from pathlib import Path

import polars as pl
import pytest

from py_rt.data.repair.landing_drops import REPORT_COLUMNS, Drop, Landing, count_defects, read_drop
from py_rt.errors import SourceError

SHARED = Path(os.environ.get("PY_RT_SHARED_DATA", Path(__file__).resolve().parents[5] / "shared" / "data"))
FOLDER = SHARED / "raw_landing_us_market_daily"

PRICES = "symbol,date,open,high,low,close,volume,adj_close\n"
GOOD = "A,2015-04-06,7.5,7.7,7.4,7.6,31700,7.6\n"


def stated() -> dict[str, dict[str, int]]:
    """Counts per day, from the table of the folder's SOURCE.md."""
    days = {}
    for line in (FOLDER / "SOURCE.md").read_text(encoding="utf-8").splitlines():
        found = re.match(r"\| (\d{8}) \| (.*) \|$", line)
        if found:
            pairs = (one.split("=") for one in found.group(2).split(", "))
            days[found.group(1)] = {name: int(count) for name, count in pairs}
    return days


@pytest.mark.skipif(not FOLDER.is_dir(), reason=f"no drops at {FOLDER}: set PY_RT_SHARED_DATA")
def test_every_stated_defect_is_found_and_counted() -> None:
    landing, days = Landing(), stated()
    assert len(days) == len(list(FOLDER.glob("*.tar.gz"))) > 0
    for path in sorted(FOLDER.glob("*.tar.gz")):
        drop = read_drop(path)
        rows = landing.take(drop)
        counts = count_defects(drop, rows)
        second = counts["second_header"]
        assert len(drop.header_lines) == 1 + second
        assert rows.height == drop.prices.height
        found = {
            "px_rows": rows.height + len(drop.header_lines) - second,
            "px_headers": len(drop.header_lines),
            "px_header_pos": drop.header_lines[-1] - 1,
            "px_zero_vol": counts["zero_volume"],
            "px_restated": counts["restated"],
            "px_nonpos": counts["nonpositive_price"],
            "rp_rows": drop.reports.height + len(drop.report_header_lines),
            "rp_headers": len(drop.report_header_lines),
        }
        assert found == {name: days[drop.day].get(name, 0) for name in found}
        assert counts["reports_without_header"] == (1 if "rp_headers" not in days[drop.day] else 0)
        assert counts["torn_row"] == counts["wrong_type"] == 0


def drop_of(folder: Path, day: str = "20150407", **members: str | None) -> Path:
    """An archive with these members; `None` leaves one out."""
    texts = {"symbols": "A\tAlpha\n", "prices": PRICES + GOOD, "reports": ",".join(REPORT_COLUMNS) + "\n", **members}
    path = folder / f"{day}.tar.gz"
    with tarfile.open(path, "w:gz") as archive:
        for name, text in texts.items():
            if text is None:
                continue
            member = tarfile.TarInfo(f"{name}.{'txt' if name == 'symbols' else 'csv'}")
            member.size = len(text.encode())
            archive.addfile(member, io.BytesIO(text.encode()))
    return path


def counted(drop: Drop) -> dict[str, int]:
    return {name: count for name, count in count_defects(drop, Landing().take(drop)).items() if count}


ROWS = {
    "second_header": PRICES,
    "torn_row": "A,2015-04-06,7.5,7.7\n",
    "wrong_type": "A,2015-04-06,seven,7.7,7.4,7.6,31700,7.6\n",
    "nonpositive_price": "A,2015-04-06,0.0,7.7,0.0,7.6,31700,7.6\n",
    "crossed_prices": "A,2015-04-06,7.5,7.3,7.4,7.6,31700,7.6\n",
}


@pytest.mark.parametrize("reason", ROWS)
def test_a_bad_row_has_one_reason_and_its_line(reason: str, tmp_path: Path) -> None:
    drop = read_drop(drop_of(tmp_path, prices=PRICES + "B" + GOOD[1:] + ROWS[reason]))
    bad = drop.prices.filter(pl.col("reason").is_not_null())
    assert bad.select("line", "reason").rows() == [(3, reason)]
    assert drop.prices.height == 2


def test_of_several_rows_of_a_day_the_last_stands(tmp_path: Path) -> None:
    other = GOOD.replace("7.6,31700", "7.55,31700")
    drop = read_drop(drop_of(tmp_path, prices=PRICES + GOOD + other + GOOD))
    assert drop.prices["reason"].to_list() == ["duplicate", "superseded", None]


def test_files_that_are_empty_or_absent_or_lack_a_header_are_counted(tmp_path: Path) -> None:
    report = ",".join(["A", *["1"] * (len(REPORT_COLUMNS) - 1)]) + "\n"
    assert counted(read_drop(drop_of(tmp_path, prices="", reports=None))) == {
        "absent_member": 1,
        "empty_prices": 1,
        "empty_reports": 1,
    }
    assert counted(read_drop(drop_of(tmp_path, prices=PRICES, reports=report))) == {
        "empty_prices": 1,
        "reports_without_header": 1,
    }


def test_a_later_drop_says_what_it_repeats_and_restates(tmp_path: Path) -> None:
    landing = Landing()
    landing.take(read_drop(drop_of(tmp_path, "20150406", prices=PRICES + GOOD + "B" + GOOD[1:])))
    later = PRICES + GOOD + "B" + GOOD[1:].replace("7.7", "7.9") + "C" + GOOD[1:]
    rows = landing.take(read_drop(drop_of(tmp_path, "20150407", prices=later)))
    assert rows.select("symbol", "repeated", "restated").rows() == [
        ("A", True, False),
        ("B", False, True),
        ("C", False, False),
    ]


def test_drops_are_taken_in_order_and_once(tmp_path: Path) -> None:
    landing = Landing()
    drop = read_drop(drop_of(tmp_path))
    landing.take(drop)
    with pytest.raises(SourceError, match="in the order of their days"):
        landing.take(drop)


def test_an_archive_that_is_cut_off_anywhere_is_refused(tmp_path: Path) -> None:
    whole = drop_of(tmp_path, prices=PRICES + "".join(f"S{i}" + GOOD[1:] for i in range(2_000)))
    content = whole.read_bytes()
    for kept in range(0, len(content) - 8, max(1, len(content) // 40)):
        whole.write_bytes(content[:kept])
        with pytest.raises(SourceError, match=r"20150407\.tar\.gz"):
            read_drop(whole)


def test_what_is_no_drop_is_refused(tmp_path: Path) -> None:
    (tmp_path / "notes.tar.gz").write_bytes(b"")
    with pytest.raises(SourceError, match="yyyymmdd"):
        read_drop(tmp_path / "notes.tar.gz")
    with pytest.raises(SourceError, match="cannot be read"):
        read_drop(tmp_path / "20150101.tar.gz")

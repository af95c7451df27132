"""A file that lost bytes, or holds what nobody can hold, is refused or read: nothing but a clear error is raised."""

from __future__ import annotations

import gzip
import io
import random
import zipfile
from typing import TYPE_CHECKING

import polars as pl
import pytest

from py_rt.cli.main import main
from py_rt.data.ingestion.archives import members
from py_rt.data.repair.bars_file import read_bars_file
from py_rt.data.repair.cleaner import clean
from py_rt.errors import SourceError

if TYPE_CHECKING:
    from collections.abc import Callable
    from pathlib import Path

TEXT = "Date,Open,High,Low,Close,Volume\n" + "".join(
    f"2024-{1 + at // 28:02d}-{1 + at % 28:02d},{low + 1}.5,{low + 3}.5,{low}.5,{low + 2}.5,{at}\n"
    for at in range(300)
    for low in (99 + at % 7,)
)
PACKINGS = {
    "deflate": zipfile.ZIP_DEFLATED,
    "lzma": zipfile.ZIP_LZMA,
    "bz2": zipfile.ZIP_BZIP2,
    "as is": zipfile.ZIP_STORED,
}
CHANGES = 60


def zipped(packing: int) -> bytes:
    out = io.BytesIO()
    with zipfile.ZipFile(out, "w", packing) as archive:
        archive.writestr("in.csv", TEXT)
    return out.getvalue()


def parquet(*changes: pl.Expr) -> bytes:
    out = io.BytesIO()
    pl.read_csv(io.StringIO(TEXT), try_parse_dates=True).with_columns(*changes).write_parquet(out)
    return out.getvalue()


FILES = {
    **{f"{name}.zip": zipped(packing) for name, packing in PACKINGS.items()},
    "bars.csv.gz": gzip.compress(TEXT.encode(), mtime=0),
    "days.parquet": parquet(),
    "times.parquet": parquet(pl.col("Date").cast(pl.Datetime("ms", "UTC")), pl.col("Close").cast(pl.Decimal(12, 2))),
}


def damaged(content: bytes, chance: random.Random) -> bytes:
    """The content with bytes changed, cut off, cut out or put in."""
    at, count = chance.randrange(len(content)), chance.randrange(1, 40)
    some = chance.randbytes(chance.randrange(1, 4))
    end = max(0, len(content) - count)
    return chance.choice(
        [
            content[:at] + some + content[at + len(some) :],
            content[at:],
            content[:at],
            content[:at] + content[at + count :],
            content[:at] + some + content[at:],
            content[:end] + some + content[end + len(some) :],
        ]
    )


def refusal(work: Callable[[], object]) -> str:
    """What the work is refused with; nothing where it is done."""
    try:
        work()
    except SourceError as error:
        return str(error)
    return ""


@pytest.mark.parametrize("name", FILES)
def test_what_is_damaged_is_refused_or_read(name: str, tmp_path: Path) -> None:
    path, refused = tmp_path / name, 0
    for seed in range(CHANGES):
        path.write_bytes(damaged(FILES[name], random.Random(seed)))
        why = refusal(lambda: clean(read_bars_file(path)))
        assert not why or why.startswith(f"source bars: {name}: ")
        refused += bool(why)
        if name.endswith(".zip"):
            why = refusal(lambda: list(members("drops", name, path.read_bytes(), "zip")))
            assert not why or why.startswith(f"source drops: {name}: ")
    assert refused > CHANGES / 4
    path.write_bytes(FILES[name])
    assert clean(read_bars_file(path)).bars.height == 300


@pytest.mark.parametrize("number", [2**31 - 1, -(2**31), 2_932_897])
@pytest.mark.parametrize("unit", ["days", "ms", "us"])
def test_a_day_that_no_calendar_has_sets_its_row_aside(
    number: int, unit: str, tmp_path: Path, capfd: pytest.CaptureFixture[str]
) -> None:
    kind, per_day = {
        "days": (pl.Date(), 1),
        "ms": (pl.Datetime("ms"), 86_400_000),
        "us": (pl.Datetime("us", "UTC"), 86_400_000_000),
    }[unit]
    source, out = tmp_path / "in.parquet", tmp_path / "out.csv"
    number = max(-(2**63), min(number * per_day, 2**63 - 1))
    days = pl.col("Date").cast(kind).to_physical()
    made = pl.when(pl.int_range(pl.len()) == 100).then(number).otherwise(days)
    source.write_bytes(parquet(made.cast(pl.Int32 if unit == "days" else pl.Int64).cast(kind).alias("Date")))
    assert main(["data", "clean", str(source), "--out", str(out), "--report", str(tmp_path / "r.json")]) == 0
    assert "panicked" not in capfd.readouterr().err
    aside = (tmp_path / "out.quarantine.csv").read_text().splitlines()
    assert aside[1].startswith(f"{number} {unit} from 1970-01-01,102.5")
    assert len(out.read_text().splitlines()) == 300

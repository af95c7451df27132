from __future__ import annotations

import gzip
import hashlib
import json
from datetime import UTC, datetime
from typing import TYPE_CHECKING

import polars as pl
import pytest

from py_rt.data.ingestion import archives
from py_rt.data.ingestion.raw_files import read_raw_file
from py_rt.errors import SourceError

if TYPE_CHECKING:
    from pathlib import Path

GOOD = "time,open,close\n2021-09-27,1.50,2\n2021-09-28,2,3.25\n"


def write(folder: Path, content: str | bytes, name: str = "bars.csv") -> Path:
    path = folder / name
    path.write_bytes(content if isinstance(content, bytes) else content.encode())
    return path


def refusal(path: Path, expected_sha256: str | None = None) -> SourceError:
    with pytest.raises(SourceError) as caught:
        read_raw_file("local", path, path.name, expected_sha256)
    assert str(caught.value).startswith(f"source local: {path.name}")
    return caught.value


def test_every_field_is_kept_as_it_stands(tmp_path: Path) -> None:
    path = write(tmp_path, GOOD)
    file = read_raw_file("local", path, "bars.csv")
    assert file.columns.rows() == [("2021-09-27", "1.50", "2"), ("2021-09-28", "2", "3.25")]
    assert file.row_numbers == [2, 3]
    assert file.sha256 == hashlib.sha256(path.read_bytes()).hexdigest()


@pytest.mark.parametrize("text", [GOOD.replace("\n", "\r\n"), "\ufeff" + GOOD, GOOD + "\n\n"])
def test_common_forms_of_text_files_are_read(tmp_path: Path, text: str) -> None:
    assert read_raw_file("local", write(tmp_path, text), "bars.csv").columns.height == 2


def test_quoted_fields_keep_their_line(tmp_path: Path) -> None:
    path = write(tmp_path, 'time,note\n1,"a\nb"\n2,"c,d"\n')
    file = read_raw_file("local", path, "bars.csv")
    assert file.columns["note"].to_list() == ["a\nb", "c,d"]
    assert file.row_numbers == [2, 4]


@pytest.mark.parametrize(
    ("text", "row", "words"),
    [
        ("", None, "is empty"),
        ("\n\n", None, "is empty"),
        ("time,open,close\n", 1, "no rows"),
        (GOOD.rstrip("\n"), 3, "does not end with a newline"),
        (GOOD + "2021-09-29,3", 4, "has 2 fields, the header has 3 and is the last: the file is cut off"),
        ("time,open,close\n1,2\n3,4,5\n", 2, "has 2 fields, the header has 3"),
        ("time,open,close\n1,2,3,4\n3,4,5\n", 2, "has 4 fields, the header has 3"),
        ("time,open,close\n1,2,3\n\n3,4,5\n", 3, "has 0 fields"),
        (GOOD + GOOD, 4, "is the header again"),
        (GOOD + GOOD.partition("\n")[2], 4, "repeats the rows from row 2"),
        ("time,open,open\n1,2,3\n", 1, "names 'open' twice"),
        ('time,open,close\n1,"2,3\n', 2, "is no CSV"),
    ],
)
def test_empty_cut_off_and_doubled_files_are_refused_with_the_row(
    tmp_path: Path, text: str, row: int | None, words: str
) -> None:
    error = refusal(write(tmp_path, text))
    assert error.row == row
    assert words in str(error)


def test_bytes_that_are_no_text_are_refused_with_the_row(tmp_path: Path) -> None:
    error = refusal(write(tmp_path, GOOD.encode() + b"2021-09-29,\xff,1\n"))
    assert (error.row, "byte 0xff" in str(error)) == (4, True)


def test_a_compressed_file_is_read_and_a_cut_off_one_refused(tmp_path: Path) -> None:
    packed = gzip.compress(GOOD.encode())
    assert read_raw_file("local", write(tmp_path, packed, "a.csv.gz"), "a.csv.gz").columns.height == 2
    assert "ends early" in str(refusal(write(tmp_path, packed[:-6], "b.csv.gz")))
    damaged = bytearray(packed)
    damaged[len(damaged) // 2] ^= 0xFF
    assert "damaged" in str(refusal(write(tmp_path, bytes(damaged), "c.csv.gz")))
    assert "damaged" in str(refusal(write(tmp_path, GOOD, "d.csv.gz")))


def test_a_compressed_file_that_unpacks_to_too_much_is_refused(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    path = write(tmp_path, gzip.compress(GOOD[:20].encode()) + gzip.compress(GOOD[20:].encode()), "a.csv.gz")
    monkeypatch.setattr(archives, "UNPACKED_BYTES_MAX", len(GOOD))
    assert read_raw_file("local", path, "a.csv.gz").columns.height == 2
    monkeypatch.setattr(archives, "UNPACKED_BYTES_MAX", len(GOOD) - 1)
    assert f"unpacks to more than {len(GOOD) - 1} bytes" in str(refusal(path))


def test_a_recorded_hash_is_held(tmp_path: Path) -> None:
    whole = GOOD.rstrip("\n")
    path = write(tmp_path, whole)
    sha256 = hashlib.sha256(whole.encode()).hexdigest()
    assert read_raw_file("local", path, path.name, sha256).columns.height == 2
    write(tmp_path, f"{sha256}  bars.csv\n", "bars.csv.sha256")
    assert read_raw_file("local", path, path.name).columns.height == 2
    write(tmp_path, whole[:-1])
    error = refusal(path)
    assert sha256 in str(error)
    assert hashlib.sha256(whole[:-1].encode()).hexdigest() in str(error)


def test_a_hash_file_that_holds_no_hash_is_refused(tmp_path: Path) -> None:
    path = write(tmp_path, GOOD)
    write(tmp_path, "soon\n", "bars.csv.sha256")
    with pytest.raises(SourceError, match=r"bars\.csv\.sha256: row 1: must begin with the 64"):
        read_raw_file("local", path, path.name)


def test_a_columnar_file_becomes_text(tmp_path: Path) -> None:
    path = tmp_path / "bars.parquet"
    frame = pl.DataFrame(
        {
            "time": [datetime(2021, 9, 27, 13, 45, tzinfo=UTC), datetime(2021, 9, 27, 14, 0, tzinfo=UTC)],
            "close": [43443.0625, 1e-7],
            "volume": [7, None],
        }
    )
    frame.write_parquet(path)
    file = read_raw_file("local", path, path.name)
    assert file.columns["time"].to_list() == [
        "2021-09-27 13:45:00.000000000+00:00",
        "2021-09-27 14:00:00.000000000+00:00",
    ]
    assert [float(text) for text in file.columns["close"]] == frame["close"].to_list()
    assert file.columns["volume"].to_list() == ["7", None]
    assert file.row_numbers == [1, 2]


def test_a_damaged_empty_or_doubled_columnar_file_is_refused(tmp_path: Path) -> None:
    path = tmp_path / "bars.parquet"
    frame = pl.DataFrame({"a": [1, 2, 3]})
    frame.write_parquet(path)
    path.write_bytes(path.read_bytes()[:-10])
    assert "no Parquet file" in str(refusal(path))
    frame.clear().write_parquet(path)
    assert "no rows" in str(refusal(path))
    pl.concat([frame, frame]).write_parquet(path)
    error = refusal(path)
    assert (error.row, "doubled" in str(error)) == (4, True)


def test_an_absent_file_is_refused(tmp_path: Path) -> None:
    assert "cannot be read" in str(refusal(tmp_path / "none.csv"))


def test_a_parquet_file_with_columns_of_any_type_is_read_as_text(tmp_path: Path) -> None:
    frame = pl.DataFrame(
        {
            "time": ["2021-09-27", "2021-09-28"],
            "levels": [[1.5, None], []],
            "pair": [{"a": 1}, {"a": None}],
            "raw": [b"\x00\xff", b""],
            "took": pl.Series([1, None], dtype=pl.Duration("us")),
            "kind": pl.Series(["x", "y"], dtype=pl.Categorical),
            "exact": pl.Series(["1.10", "2.20"]).cast(pl.Decimal(10, 2)),
            "nothing": [None, None],
        }
    )
    frame.write_parquet(tmp_path / "bars.parquet")
    columns = read_raw_file("local", tmp_path / "bars.parquet", "bars.parquet").columns
    assert set(columns.dtypes) == {pl.String}
    assert columns["raw"].to_list() == ["00ff", ""]
    assert json.loads(columns["levels"][0]) == {"levels": [1.5, None]}
    assert columns["exact"].to_list() == ["1.10", "2.20"]

from __future__ import annotations

from datetime import UTC, date, datetime, timedelta
from typing import TYPE_CHECKING, Any

import h5py  # type: ignore[import-untyped]
import polars as pl
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from polars.testing.parametric import dataframes

from py_rt.data.formats import read_file, scales_of, write_file
from py_rt.data.ingestion.market_data import OFFERED_SCHEMA
from py_rt.data.schemas import RAW_BARS
from py_rt.errors import SchemaError, TableError

if TYPE_CHECKING:
    from pathlib import Path

FRAME = pl.DataFrame(
    {
        "whole": pl.Series([1, None, -(2**63)], dtype=pl.Int64),
        "price": pl.Series([123_45000000, 2**63 - 1, 0], dtype=pl.Int64),
        "real": pl.Series([0.1, float("nan"), None], dtype=pl.Float64),
        "text": pl.Series(['a\n,"é', None, ""], dtype=pl.String),
        "truth": pl.Series([True, None, False]),
        "day": pl.Series([date(2024, 2, 29), None, date(1969, 12, 31)], dtype=pl.Date),
        "at": pl.Series([datetime(2024, 1, 2, 3, 4, 5, 6, UTC), None, None], dtype=pl.Datetime("us", "UTC")),
        "span": pl.Series([timedelta(days=1), timedelta(microseconds=-1), None], dtype=pl.Duration("us")),
    }
)
SCALES = {"price": 8}


@pytest.mark.parametrize("name", ["t.parquet", "t.h5", "t.hdf5"])
def test_what_is_written_is_read_back_to_the_last_bit(tmp_path: Path, name: str) -> None:
    write_file(FRAME, tmp_path / name, scales=SCALES)
    assert read_file(tmp_path / name).equals(FRAME)
    assert read_file(tmp_path / name).schema == FRAME.schema
    assert scales_of(tmp_path / name) == SCALES


@pytest.mark.parametrize("name", ["t.parquet", "t.h5"])
def test_the_same_rows_are_the_same_bytes(tmp_path: Path, name: str) -> None:
    write_file(FRAME, tmp_path / name, scales=SCALES)
    first = (tmp_path / name).read_bytes()
    write_file(FRAME, tmp_path / name, scales=SCALES)
    assert (tmp_path / name).read_bytes() == first
    assert [path.name for path in tmp_path.iterdir()] == [name]


@pytest.mark.parametrize("name", ["t.parquet", "t.h5"])
def test_a_table_of_the_lake_goes_out_and_comes_back(tmp_path: Path, bundled_rows: pl.DataFrame, name: str) -> None:
    write_file(bundled_rows, tmp_path / name)
    back = read_file(tmp_path / name, table=RAW_BARS)
    assert back.equals(RAW_BARS.conform(bundled_rows))
    write_file(bundled_rows.select(OFFERED_SCHEMA.names()), tmp_path / name)
    with pytest.raises(SchemaError, match="column ts_arrival is missing"):
        read_file(tmp_path / name, table=RAW_BARS)


@pytest.mark.parametrize("name", ["t.parquet", "t.h5"])
def test_a_table_without_rows_keeps_its_columns(tmp_path: Path, name: str) -> None:
    write_file(FRAME.clear(), tmp_path / name)
    assert read_file(tmp_path / name).schema == FRAME.schema


TYPES: list[Any] = [
    pl.Int64,
    pl.UInt8,
    pl.Float32,
    pl.Float64,
    pl.Boolean,
    pl.String,
    pl.Date,
    pl.Datetime("ns", "UTC"),
]


@settings(max_examples=60, deadline=None)
@given(frame=dataframes(max_cols=4, max_size=20, allowed_dtypes=TYPES, allow_null=True), data=st.data())
def test_any_frame_survives_hdf5(tmp_path_factory: pytest.TempPathFactory, frame: pl.DataFrame, data: object) -> None:  # noqa: ARG001
    nul = [name for name, dtype in frame.schema.items() if dtype == pl.String]
    frame = frame.with_columns(pl.col(name).str.replace_all("\x00", "0", literal=True) for name in nul)
    path = tmp_path_factory.mktemp("h5") / "t.h5"
    write_file(frame, path)
    assert read_file(path).equals(frame)


def test_one_hdf5_file_holds_several_tables_and_others_read_it(tmp_path: Path) -> None:
    path = tmp_path / "t.h5"
    write_file(FRAME, path, scales=SCALES, group="one")
    write_file(FRAME.head(1), path, group="two")
    assert read_file(path, group="one").equals(FRAME)
    assert scales_of(path, group="one") == SCALES
    assert read_file(path, group="two").height == 1
    with h5py.File(path) as file:
        assert file["one"]["price"][:].tolist() == FRAME["price"].to_list()
        assert file["one"]["price"].attrs["scale"] == 8
        assert file["one"]["whole.absent"][:].tolist() == [False, True, False]
        assert file["one"]["text"].asstr()[0] == FRAME["text"][0]
    with pytest.raises(TableError, match="holds no table 'three'; it holds 'one', 'two'"):
        read_file(path, group="three")


@pytest.mark.parametrize("name", ["t.parquet", "t.h5"])
def test_a_cut_file_and_an_absent_one_are_refused(tmp_path: Path, name: str) -> None:
    path = tmp_path / name
    with pytest.raises(TableError, match=name):
        read_file(path)
    write_file(pl.DataFrame({"a": range(10_000)}), path)
    path.write_bytes(path.read_bytes()[:-200])
    with pytest.raises(TableError, match="cut off"):
        read_file(path)


def test_a_column_that_hdf5_cannot_hold_is_refused_and_the_file_stays(tmp_path: Path) -> None:
    path = tmp_path / "t.h5"
    write_file(FRAME, path)
    with pytest.raises(TableError, match=r"column pairs of type List\(Int64\) cannot be kept in HDF5"):
        write_file(pl.DataFrame({"pairs": [[1, 2]]}), path)
    assert read_file(path).equals(FRAME)
    with pytest.raises(TableError, match=r"it ends with one of \.parquet, \.h5, \.hdf5"):
        write_file(FRAME, tmp_path / "t.xlsx")


@pytest.mark.parametrize("name", ["", ".", "..", "a/b", "/", "a\0b", "a\ud800"])
def test_a_table_name_that_hdf5_takes_for_a_path_is_refused_and_the_file_stays(tmp_path: Path, name: str) -> None:
    path = tmp_path / "t.h5"
    write_file(FRAME, path, group="one")
    with pytest.raises(
        TableError, match=r"t\.h5: no table can be named .* allowed is any name but .* give another name"
    ):
        write_file(FRAME, path, group=name)
    with pytest.raises(TableError, match=r"holds no table .* it holds 'one'"):
        read_file(path, group=name)
    write_file(FRAME, path, group="two")
    assert read_file(path, group="one").equals(read_file(path, group="two"))


@pytest.mark.parametrize("name", ["", ".", "..", "a/b", "a\0b", "a.absent"])
def test_a_column_name_that_hdf5_takes_for_a_path_is_refused_before_anything_is_written(
    tmp_path: Path, name: str
) -> None:
    with pytest.raises(TableError, match=r"t\.h5: table table: no column can be named .* rename it"):
        write_file(pl.DataFrame({"b": [2], name: [1]}), tmp_path / "t.h5")
    assert not list(tmp_path.iterdir())
    write_file(pl.DataFrame({name: [1]}), tmp_path / "t.parquet")
    assert read_file(tmp_path / "t.parquet").columns == [name]


def test_text_with_a_nul_is_refused_with_its_row(tmp_path: Path) -> None:
    frame = pl.DataFrame({"n": [1, 2, 3], "text": ["a", None, "b\0"]})
    with pytest.raises(TableError, match=r"t\.h5: table table: column text: row 3: text with a NUL .* take it out"):
        write_file(frame, tmp_path / "t.h5")
    assert not list(tmp_path.iterdir())


def test_damage_to_an_hdf5_file_is_told_wherever_it_is(tmp_path: Path) -> None:
    path = tmp_path / "t.h5"
    write_file(FRAME, path, scales=SCALES)
    whole = path.read_bytes()
    with h5py.File(path) as file:
        chunks = {name: held.id.get_chunk_info(0) for name, held in file["table"].items()}
    numbers = [one.byte_offset + one.size // 2 for name, one in chunks.items() if name != "text"]
    headers = [at for at in range(len(whole)) if whole.startswith(b"OHDR", at)]
    names = [at for at in range(len(whole)) if whole.startswith(b"whole", at)]
    assert min(len(numbers), len(headers)) > 7
    for at in (*numbers, *headers, *names):
        path.write_bytes(whole[:at] + bytes([whole[at] ^ 0x80]) + whole[at + 1 :])
        with pytest.raises(TableError, match=r"t\.h5: is absent, damaged, cut off or no HDF5 file"):
            read_file(path)


def test_a_table_is_not_added_to_a_damaged_file(tmp_path: Path) -> None:
    path = tmp_path / "t.h5"
    path.write_bytes(b"no HDF5")
    with pytest.raises(TableError, match=r"t\.h5: is absent, damaged, cut off or no HDF5 file"):
        write_file(FRAME, path)
    assert path.read_bytes() == b"no HDF5"


def test_a_damaged_parquet_file_is_told_by_whatever_it_raises(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    def panic(*_: object, **__: object) -> None:
        raise pl.exceptions.PanicException("assertion `left == right` failed")

    path = tmp_path / "t.parquet"
    path.write_bytes(b"no Parquet")
    for read in (read_file, scales_of):
        with pytest.raises(TableError, match=r"t\.parquet: is absent, damaged, cut off or no Parquet file"):
            read(path)
    for said in ("{", "[]", '{"scales": {"price": "many"}}'):
        FRAME.write_parquet(path, metadata={"py_rt": said})
        with pytest.raises(TableError, match=r"t\.parquet: is absent, damaged, cut off or no Parquet file"):
            scales_of(path)
    monkeypatch.setattr(pl, "read_parquet", panic)
    monkeypatch.setattr(pl, "read_parquet_metadata", panic)
    for read in (read_file, scales_of):
        with pytest.raises(TableError, match=r"left == right.*get or write it again"):
            read(path)

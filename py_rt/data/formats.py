"""Tables as single files, both ways: Parquet and HDF5. What is written is read back as it was, to the last bit.

An HDF5 file holds a group for each table and in it a dataset for each column. Types that HDF5 does not have are said in
attributes: days and times are integers with their Polars type beside them, text is UTF-8, an absent value is a 0 (or an
empty text) with its place in a second dataset, `<column>.absent`. Other programs read the datasets as they stand.

The same rows give the same bytes: no file says when it was written. A file appears whole: it is written beside and
renamed. Numbers in HDF5 carry checksums, so that damage to them is noticed; HDF5 has none for text.
"""

from __future__ import annotations

import json
from contextlib import contextmanager
from typing import TYPE_CHECKING, Any

import polars as pl

from py_rt.data.whole_files import written_whole
from py_rt.errors import TableError

if TYPE_CHECKING:
    from collections.abc import Iterator, Mapping
    from pathlib import Path

    import h5py  # type: ignore[import-untyped]

    from py_rt.data.schemas import Table

HDF5_ENDINGS = (".h5", ".hdf5")
PARQUET_ENDING = ".parquet"
DEFAULT_GROUP = "table"
CHUNK_ROWS = 65_536
"""Rows of one compressed piece of an HDF5 dataset."""

COMPRESSION_LEVEL = 4
_ABSENT = ".absent"
_FORMAT = 1

_DAMAGE = (
    *(OSError, LookupError, ValueError, TypeError, AttributeError, ArithmeticError, RuntimeError, MemoryError),
    *(pl.exceptions.PolarsError, pl.exceptions.PanicException),
)
"""What the libraries raise of a damaged file: which of them falls on the byte. A panic is no `Exception`."""

_PLAIN: Mapping[str, pl.DataType] = {
    str(dtype): dtype
    for dtype in (
        *(pl.Int8(), pl.Int16(), pl.Int32(), pl.Int64()),
        *(pl.UInt8(), pl.UInt16(), pl.UInt32(), pl.UInt64()),
        *(pl.Float32(), pl.Float64(), pl.Boolean(), pl.String(), pl.Date()),
    )
}


def write_file(
    frame: pl.DataFrame, path: Path, *, scales: Mapping[str, int] | None = None, group: str = DEFAULT_GROUP
) -> None:
    """Write a frame as Parquet or HDF5, as the file's name ends.

    Args:
        frame: of the types that tables have.
        path: is replaced.
        scales: decimal digits of fixed-point columns, said in the file.
        group: name of the table in an HDF5 file; other tables of the file are kept.

    Raises:
        TableError: the name ends otherwise, or HDF5 does not hold the name of the table or of a column, a column's
            type, or a text; or the file to add to is damaged. The file stays as it was.
    """
    if path.name.endswith(PARQUET_ENDING):
        metadata = {"py_rt": json.dumps({"format": _FORMAT, "scales": dict(scales or {})}, sort_keys=True)}
        with written_whole(path) as part:
            frame.write_parquet(part, compression="zstd", statistics=True, metadata=metadata)
    elif path.name.endswith(HDF5_ENDINGS):
        _write_hdf5(frame, path, dict(scales or {}), group)
    else:
        raise _ending(path)


def read_file(path: Path, *, table: Table | None = None, group: str = DEFAULT_GROUP) -> pl.DataFrame:
    """Read what :func:`write_file` wrote, or a Parquet file of anybody.

    Args:
        path: of the file.
        table: held to, when given.
        group: name of the table in an HDF5 file.

    Raises:
        TableError: the file is absent, cut off, damaged, of another format, or has no such table.
        SchemaError: the rows do not fit `table`.
    """
    if path.name.endswith(PARQUET_ENDING):
        try:
            frame = pl.read_parquet(path, memory_map=False)
        except _DAMAGE as error:
            raise _no_parquet(path, error) from error
    elif path.name.endswith(HDF5_ENDINGS):
        frame = _read_hdf5(path, group)
    else:
        raise _ending(path)
    return table.conform(frame) if table is not None else frame


def scales_of(path: Path, *, group: str = DEFAULT_GROUP) -> dict[str, int]:
    """Decimal digits of the fixed-point columns, as the file says.

    Raises:
        TableError: as :func:`read_file`.
    """
    if path.name.endswith(PARQUET_ENDING):
        try:
            said = json.loads(pl.read_parquet_metadata(path).get("py_rt", "{}"))
            return {name: int(digits) for name, digits in said.get("scales", {}).items()}
        except _DAMAGE as error:
            raise _no_parquet(path, error) from error
    with _opened(path, group) as held:
        found = {name: held[name].attrs.get("scale") for name in held.attrs["columns"]}
        return {name: int(scale) for name, scale in found.items() if scale is not None}


def _ending(path: Path) -> TableError:
    allowed = ", ".join((PARQUET_ENDING, *HDF5_ENDINGS))
    return TableError(f"{path}: the name of a file says its format; it ends with one of {allowed}")


def _no_parquet(path: Path, error: BaseException) -> TableError:
    return TableError(f"{path}: is absent, damaged, cut off or no Parquet file: {error}; get or write it again")


def _write_hdf5(frame: pl.DataFrame, path: Path, scales: Mapping[str, int], group: str) -> None:
    import h5py

    _check_hdf5_holds(frame, path, group)
    others: dict[str, tuple[pl.DataFrame, dict[str, int]]] = {}
    if path.is_file():
        with _file(path) as file:
            names = [name for name in file if name != group]
        others = {name: (_read_hdf5(path, name), scales_of(path, group=name)) for name in names}
    tables = {**others, group: (frame, dict(scales))}
    with written_whole(path) as part, h5py.File(part, "w", libver=("v110", "v110"), track_order=False) as file:
        for name in sorted(tables):
            _write_group(file.create_group(name), *tables[name])


def _check_hdf5_holds(frame: pl.DataFrame, path: Path, group: str) -> None:
    """Refuse what cannot be kept, before anything is written: HDF5 takes a name for a path, and ends text at a NUL."""
    allowed = "allowed is any name but '', '.' and '..', without '/' and NUL"
    if not _is_name(group):
        raise TableError(f"{path}: no table can be named {group!r} in HDF5: {allowed}; give another name")
    place = f"{path}: table {group}"
    for name, column in frame.to_dict().items():
        if not _is_name(name) or name.endswith(_ABSENT):
            problem = f"no column can be named {name!r} in HDF5: {allowed}, not ending in {_ABSENT}; rename it"
            raise TableError(f"{place}: {problem}")
        if _type_name(column.dtype) is None:
            problem = f"column {name} of type {column.dtype} cannot be kept in HDF5"
            raise TableError(f"{place}: {problem}; allowed are {', '.join(_PLAIN)}, Datetime and Duration: cast it")
        if column.dtype == pl.String and (nul := column.str.contains("\0", literal=True).fill_null(value=False)).any():
            problem = f"row {int(nul.arg_max() or 0) + 1}: text with a NUL cannot be kept in HDF5"
            raise TableError(f"{place}: column {name}: {problem}; take it out, or write {PARQUET_ENDING}")


def _is_name(text: str) -> bool:
    # Half a surrogate pair comes from a command line that is no UTF-8, and is none either.
    return text not in {"", ".", ".."} and not any(one in "/\0" or "\ud800" <= one <= "\udfff" for one in text)


def _write_group(held: h5py.Group, frame: pl.DataFrame, scales: Mapping[str, int]) -> None:
    import h5py

    held.attrs["format"] = _FORMAT
    held.attrs["rows"] = frame.height
    held.attrs.create("columns", frame.columns, dtype=h5py.string_dtype())
    for name, column in frame.to_dict().items():
        dataset = _write_column(held, name, column)
        dataset.attrs["dtype"] = _type_name(column.dtype)
        if name in scales:
            dataset.attrs["scale"] = scales[name]
        if column.null_count():
            _dataset(held, name + _ABSENT, column.is_null().to_numpy())


def _write_column(held: h5py.Group, name: str, column: pl.Series) -> h5py.Dataset:
    import h5py

    if column.dtype == pl.String:
        return _dataset(held, name, column.fill_null("").to_numpy(), h5py.string_dtype())
    if column.dtype.is_temporal():
        column = column.to_physical()
    if column.dtype == pl.Boolean:
        return _dataset(held, name, column.fill_null(value=False).to_numpy())
    return _dataset(held, name, column.fill_null(0).to_numpy())


def _dataset(held: h5py.Group, name: str, values: Any, dtype: Any = None) -> h5py.Dataset:  # noqa: ANN401  # h5py's
    options: dict[str, Any] = {"track_times": False}
    if len(values):
        options |= {"chunks": (min(len(values), CHUNK_ROWS),), "compression": "gzip"}
        # HDF5 has no checksum for text of any length: it lies elsewhere, and the dataset refers to it.
        options |= {"compression_opts": COMPRESSION_LEVEL, "shuffle": True, "fletcher32": dtype is None}
    return held.create_dataset(name, data=values, dtype=dtype, **options)


def _type_name(dtype: pl.DataType) -> str | None:
    if isinstance(dtype, pl.Datetime):
        return f"Datetime:{dtype.time_unit}:{dtype.time_zone or ''}"
    if isinstance(dtype, pl.Duration):
        return f"Duration:{dtype.time_unit}"
    return str(dtype) if str(dtype) in _PLAIN else None


def _type_named(name: str) -> pl.DataType:
    kind, _, rest = name.partition(":")
    unit, _, zone = rest.partition(":")
    if kind == "Datetime":
        return pl.Datetime(unit, zone or None)  # type: ignore[arg-type]
    return pl.Duration(unit) if kind == "Duration" else _PLAIN[name]  # type: ignore[arg-type]


@contextmanager
def _file(path: Path) -> Iterator[h5py.File]:
    """An open file; what its damage raises, also while it is read, is told as such."""
    import h5py

    try:
        with h5py.File(path, "r") as file:
            yield file
    except _DAMAGE as error:
        problem = f"is absent, damaged, cut off or no HDF5 file: {error}"
        raise TableError(f"{path}: {problem}; get or write it again") from error


@contextmanager
def _opened(path: Path, group: str) -> Iterator[h5py.Group]:
    with _file(path) as file:
        # Other programs keep tables in groups of groups: such a path is no name to write, but it may be read.
        if not all(map(_is_name, group.split("/"))) or group not in file:
            raise TableError(f"{path}: holds no table {group!r}; it holds {', '.join(map(repr, file)) or 'nothing'}")
        if file[group].attrs.get("format") != _FORMAT:
            raise TableError(f"{path}: group {group!r} was not written here; read its datasets with h5py")
        yield file[group]


def _read_hdf5(path: Path, group: str) -> pl.DataFrame:
    with _opened(path, group) as held:
        return pl.DataFrame({name: _read_column(held, name) for name in held.attrs["columns"]})


def _read_column(held: h5py.Group, name: str) -> pl.Series:
    dataset = held[name]
    dtype = _type_named(dataset.attrs["dtype"])
    values = dataset.asstr()[:] if dtype == pl.String else dataset[:]
    column = pl.Series(name, values, dtype=pl.String) if dtype == pl.String else pl.Series(name, values).cast(dtype)
    if name + _ABSENT in held:
        column = column.set(pl.Series(held[name + _ABSENT][:]), None)
    return column

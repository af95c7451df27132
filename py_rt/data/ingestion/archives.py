"""Archives, opened within bounds: a truncated, damaged or swollen one is refused before a row of it is read."""

from __future__ import annotations

import gzip
import io
import tarfile
import zipfile
from typing import TYPE_CHECKING, Literal

import pyarrow as pa

from py_rt.data.csv_records import DAMAGE
from py_rt.errors import SourceError

if TYPE_CHECKING:
    from collections.abc import Iterator, Mapping, Sequence
    from typing import Protocol

    class _Stream(Protocol):
        def read(self, size: int = ..., /) -> bytes: ...


Packing = Literal["none", "gzip", "zstd", "zip", "tar.gz"]

UNPACKED_BYTES_MAX = 1 << 30
"""Largest content of an archive, bytes; a few kilobytes can unpack to more than the memory holds."""

MEMBERS_MAX = 10_000
"""Most files in an archive."""

_BLOCK = 1 << 20
_ENDINGS: Mapping[str, Packing] = {
    ".tar.gz": "tar.gz",
    ".tgz": "tar.gz",
    ".gz": "gzip",
    ".zst": "zstd",
    ".zip": "zip",
}


def packing_of(name: str) -> Packing:
    """How a file is packed, by its name.

    >>> packing_of("20150323.tar.gz"), packing_of("a.csv.gz"), packing_of("a.zip"), packing_of("a.csv")
    ('tar.gz', 'gzip', 'zip', 'none')
    """
    return next((packing for ending, packing in _ENDINGS.items() if name.endswith(ending)), "none")


def members(source: str, place: str, content: bytes, packing: Packing) -> Iterator[tuple[str, bytes]]:
    """Files of an archive by name, in its order; unpacked bytes that are not packed are one file without a name.

    Args:
        source: name of the source, for messages.
        place: partition and payload, for messages.
        content: the archive.
        packing: how it is packed.

    Raises:
        SourceError: it is cut off, damaged, holds more than the bounds allow, or two files of one name.
    """
    if packing == "none":
        yield "", content
        return
    try:
        if packing == "gzip":
            with gzip.GzipFile(fileobj=io.BytesIO(content)) as stream:
                yield "", _bounded(source, place, stream, 0)
        elif packing == "zstd":
            with pa.input_stream(io.BytesIO(content), compression="zstd") as stream:
                yield "", _bounded(source, place, stream, 0)
        elif packing == "zip":
            yield from _zip(source, place, content)
        else:
            yield from _tar(source, place, content)
    except EOFError as error:
        raise SourceError(source, place, None, f"is cut off: the {packing} ends early; fetch it again") from error
    except (*DAMAGE, RuntimeError, tarfile.TarError) as error:
        raise SourceError(source, place, None, f"is cut off or damaged {packing}: {error}; fetch it again") from error


def file_of(source: str, place: str, content: bytes, packing: Packing, name: str = "") -> bytes:
    """One file of an archive.

    Args:
        source: name of the source, for messages.
        place: partition and payload, for messages.
        content: the archive.
        packing: how it is packed.
        name: which file; empty is the only one.

    Raises:
        SourceError: as :func:`members`, or there is no such file, or more than one and no name.
    """
    found = dict(members(source, place, content, packing))
    if not name and len(found) == 1:
        return next(iter(found.values()))
    if not name:
        problem = f"holds {len(found)} files ({', '.join(list(found)[:5])}), wanted is one; say which"
        raise SourceError(source, place, None, problem)
    if name not in found:
        raise SourceError(source, place, None, f"holds no file {name}; it holds {', '.join(list(found)[:10])}")
    return found[name]


def _zip(source: str, place: str, content: bytes) -> Iterator[tuple[str, bytes]]:
    with zipfile.ZipFile(io.BytesIO(content)) as archive:
        infos = [info for info in archive.infolist() if not info.is_dir()]
        _check_names(source, place, [info.filename for info in infos])
        held = 0
        for info in infos:
            with archive.open(info) as stream:
                data = _bounded(source, place, stream, held)
            held += len(data)
            yield info.filename, data


def _tar(source: str, place: str, content: bytes) -> Iterator[tuple[str, bytes]]:
    # The whole stream is unpacked first: the checksum at its end tells a truncated archive from a whole one.
    with gzip.GzipFile(fileobj=io.BytesIO(content)) as stream:
        unpacked = _bounded(source, place, stream, 0)
    with tarfile.open(fileobj=io.BytesIO(unpacked), mode="r:") as archive:
        found = [member for member in archive.getmembers() if member.isfile()]
        _check_names(source, place, [member.name for member in found])
        for member in found:
            if member.issparse():  # a few bytes stand for as many as they like
                raise SourceError(source, place, None, f"holds the sparse file {member.name}; pack it whole")
            file = archive.extractfile(member)
            yield member.name, file.read() if file is not None else b""


def _check_names(source: str, place: str, names: Sequence[str]) -> None:
    if not 0 < len(names) <= MEMBERS_MAX:
        raise SourceError(source, place, None, f"holds {len(names)} files, allowed are 1 to {MEMBERS_MAX}")
    if len(set(names)) < len(names):
        twice = next(name for at, name in enumerate(names) if name in names[:at])
        raise SourceError(source, place, None, f"holds two files called {twice}: which one counts? Pack one of them")


def _bounded(source: str, place: str, stream: _Stream, held: int) -> bytes:
    parts: list[bytes] = []
    while block := stream.read(_BLOCK):
        held += len(block)
        if held > UNPACKED_BYTES_MAX:
            problem = f"unpacks to more than {UNPACKED_BYTES_MAX} bytes, which is the most allowed; split it"
            raise SourceError(source, place, None, problem)
        parts.append(block)
    return b"".join(parts)

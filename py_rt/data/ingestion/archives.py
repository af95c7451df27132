"""Archives, opened within bounds: a truncated, damaged or swollen one is refused before a row of it is read."""

from __future__ import annotations

import gzip
import io
import tarfile
import zipfile
import zlib
from typing import TYPE_CHECKING, Literal

from py_rt.errors import SourceError

if TYPE_CHECKING:
    from collections.abc import Iterator
    from typing import Protocol

    class _Stream(Protocol):
        def read(self, size: int = ..., /) -> bytes: ...


Packing = Literal["none", "gzip", "zip", "tar.gz"]

UNPACKED_BYTES_MAX = 1 << 30
"""Largest content of an archive, bytes; a few kilobytes can unpack to more than the memory holds."""

MEMBERS_MAX = 10_000
"""Most files in an archive."""

_BLOCK = 1 << 20


def packing_of(name: str) -> Packing:
    """How a file is packed, by its name.

    >>> packing_of("20150323.tar.gz"), packing_of("a.csv.gz"), packing_of("a.zip"), packing_of("a.csv")
    ('tar.gz', 'gzip', 'zip', 'none')
    """
    for ending, packing in ((".tar.gz", "tar.gz"), (".tgz", "tar.gz"), (".gz", "gzip"), (".zip", "zip")):
        if name.endswith(ending):
            return packing  # type: ignore[return-value]
    return "none"


def members(source: str, place: str, content: bytes, packing: Packing) -> Iterator[tuple[str, bytes]]:
    """Files of an archive by name, in its order; unpacked bytes that are not packed are one file without a name.

    Args:
        source: name of the source, for messages.
        place: partition and payload, for messages.
        content: the archive.
        packing: how it is packed.

    Raises:
        SourceError: it is cut off, damaged, or holds more than the bounds allow.
    """
    if packing == "none":
        yield "", content
        return
    try:
        if packing == "gzip":
            with gzip.GzipFile(fileobj=io.BytesIO(content)) as stream:
                yield "", _bounded(source, place, stream, 0)
        elif packing == "zip":
            yield from _zip(source, place, content)
        else:
            yield from _tar(source, place, content)
    except EOFError as error:
        raise SourceError(source, place, None, f"is cut off: the {packing} ends early; fetch it again") from error
    except (OSError, zlib.error, tarfile.TarError, zipfile.BadZipFile, RuntimeError) as error:
        raise SourceError(source, place, None, f"is cut off or damaged {packing}: {error}; fetch it again") from error


def _zip(source: str, place: str, content: bytes) -> Iterator[tuple[str, bytes]]:
    with zipfile.ZipFile(io.BytesIO(content)) as archive:
        infos = [info for info in archive.infolist() if not info.is_dir()]
        _check_count(source, place, len(infos))
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
        _check_count(source, place, len(found))
        for member in found:
            file = archive.extractfile(member)
            yield member.name, file.read() if file is not None else b""


def _check_count(source: str, place: str, count: int) -> None:
    if not 0 < count <= MEMBERS_MAX:
        raise SourceError(source, place, None, f"holds {count} files, allowed are 1 to {MEMBERS_MAX}")


def _bounded(source: str, place: str, stream: _Stream, held: int) -> bytes:
    parts: list[bytes] = []
    while block := stream.read(_BLOCK):
        held += len(block)
        if held > UNPACKED_BYTES_MAX:
            problem = f"unpacks to more than {UNPACKED_BYTES_MAX} bytes, which is the most allowed; split it"
            raise SourceError(source, place, None, problem)
        parts.append(block)
    return b"".join(parts)

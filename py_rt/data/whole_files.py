"""Files that appear whole: written beside, forced to disk, renamed. A reader sees the old content or the new one.

A link stays and what it points to is replaced. Only files are: a folder, device, pipe or socket of that name stays.
"""

from __future__ import annotations

import errno
import os
import stat
import threading
from contextlib import ExitStack, contextmanager
from typing import TYPE_CHECKING

from py_rt.errors import DataError

if TYPE_CHECKING:
    from collections.abc import Iterator, Sequence
    from pathlib import Path


@contextmanager
def written_whole(path: Path, folder: Path | None = None) -> Iterator[Path]:
    """Give a path to write to; at the end of the block it takes the place of `path`, and after an error it is gone.

    Args:
        path: of the file; its folder is made when absent.
        folder: where it is written until it is whole, on the same disk; `None` is beside it.

    Raises:
        OSError: it cannot be written, or what stands there is no regular file.
    """
    check_place(path)
    path = path.resolve()
    path.parent.mkdir(parents=True, exist_ok=True)
    # Two writers of one file have each their own part: the last one to end counts.
    part = (folder or path.parent) / f".{path.name}.{os.getpid()}-{threading.get_ident()}.part"
    part.parent.mkdir(parents=True, exist_ok=True)
    try:
        yield part
        _sync(part, os.O_RDONLY)
        check_place(path)
        part.replace(path)
        _sync(path.parent, os.O_RDONLY | os.O_DIRECTORY)
    finally:
        part.unlink(missing_ok=True)


def check_place(path: Path) -> None:
    """Refuse a place that a file cannot take: where something stands that is no regular file.

    Raises:
        OSError: there is such a thing, or it cannot be told.
    """
    try:
        mode = path.stat().st_mode
    except FileNotFoundError:
        return
    if not stat.S_ISREG(mode):
        what = "a folder" if stat.S_ISDIR(mode) else "a device, pipe or socket"
        raise OSError(errno.EEXIST, f"it is {what}, no regular file", str(path))


def write_whole(path: Path, content: bytes) -> None:
    """Write a file so that it stands whole or not at all.

    Raises:
        DataError: it cannot be written.
    """
    write_together([(path, content)])


def write_together(contents: Sequence[tuple[Path, bytes]]) -> None:
    """Write files so that none takes its place before all of them are on disk; they do so in their order.

    Raises:
        DataError: one cannot be written; the old ones stand.
    """
    path = contents[0][0]
    try:
        with ExitStack() as places:
            for path, content in reversed(contents):  # what is entered last is left first
                part = places.enter_context(written_whole(path))
                part.write_bytes(content)
                if path != contents[0][0]:  # that one goes first, and is forced to disk as it does
                    _sync(part, os.O_RDONLY)
    except OSError as error:
        raise DataError(f"{path} cannot be written: {error.strerror}; choose another place") from error


def _sync(path: Path, flags: int) -> None:
    descriptor = os.open(path, flags)
    try:
        os.fsync(descriptor)
    finally:
        os.close(descriptor)

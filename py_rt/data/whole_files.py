"""Files that appear whole: written beside, forced to disk, renamed. A reader sees the old content or the new one."""

from __future__ import annotations

import os
import threading
from contextlib import contextmanager
from typing import TYPE_CHECKING

from py_rt.errors import DataError

if TYPE_CHECKING:
    from collections.abc import Iterator
    from pathlib import Path


@contextmanager
def written_whole(path: Path, folder: Path | None = None) -> Iterator[Path]:
    """Give a path to write to; at the end of the block it takes the place of `path`, and after an error it is gone.

    Args:
        path: of the file; its folder is made when absent.
        folder: where it is written until it is whole, on the same disk; `None` is beside it.

    Raises:
        OSError: it cannot be written.
    """
    path.parent.mkdir(parents=True, exist_ok=True)
    # Two writers of one file have each their own part: the last one to end counts.
    part = (folder or path.parent) / f".{path.name}.{os.getpid()}-{threading.get_ident()}.part"
    part.parent.mkdir(parents=True, exist_ok=True)
    try:
        yield part
        _sync(part, os.O_RDONLY)
        part.replace(path)
        _sync(path.parent, os.O_RDONLY | os.O_DIRECTORY)
    finally:
        part.unlink(missing_ok=True)


def write_whole(path: Path, content: bytes) -> None:
    """Write a file so that it stands whole or not at all.

    Raises:
        DataError: it cannot be written.
    """
    try:
        with written_whole(path) as part:
            part.write_bytes(content)
    except OSError as error:
        raise DataError(f"{path} cannot be written: {error.strerror}; choose another place") from error


def _sync(path: Path, flags: int) -> None:
    descriptor = os.open(path, flags)
    try:
        os.fsync(descriptor)
    finally:
        os.close(descriptor)

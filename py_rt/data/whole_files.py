"""Files that stand whole or not at all, whenever the writing ends."""

from __future__ import annotations

import os
import tempfile
from pathlib import Path

from py_rt.errors import DataError


def write_whole(path: Path, content: bytes) -> None:
    """Write a file so that it stands whole or not at all.

    Raises:
        DataError: it cannot be written.
    """
    try:
        path.parent.mkdir(parents=True, exist_ok=True)
        handle, name = tempfile.mkstemp(dir=path.parent, prefix=f".{path.name}.")
        try:
            with os.fdopen(handle, "wb") as file:
                file.write(content)
                file.flush()
                os.fsync(file.fileno())
            Path(name).chmod(0o644)
            Path(name).replace(path)
        except BaseException:
            Path(name).unlink(missing_ok=True)
            raise
    except OSError as error:
        raise DataError(f"{path} cannot be written: {error.strerror}; choose another place") from error

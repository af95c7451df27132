"""Logging: the standard library's loggers below `py_rt`, silent until a program configures them."""

from __future__ import annotations

import json
import logging
import sys
from datetime import UTC, datetime
from typing import TYPE_CHECKING, Literal, TextIO

if TYPE_CHECKING:
    from collections.abc import Mapping

ROOT_NAME = "py_rt"
Form = Literal["text", "json"]

# What a LogRecord carries by itself; everything else came in through `extra=`.
_STANDARD = frozenset(vars(logging.makeLogRecord({}))) | {"message", "asctime", "taskName"}

# A library adds no output of its own: without a handler, warnings would otherwise reach stderr unformatted.
logging.getLogger(ROOT_NAME).addHandler(logging.NullHandler())


def get_logger(name: str) -> logging.Logger:
    """Return the logger of a module; pass `__name__`.

    >>> get_logger("py_rt.data.storage").name
    'py_rt.data.storage'
    >>> get_logger("storage").name
    'py_rt.storage'
    """
    known = name == ROOT_NAME or name.startswith(f"{ROOT_NAME}.")
    return logging.getLogger(name if known else f"{ROOT_NAME}.{name}")


class JsonFormatter(logging.Formatter):
    """One JSON object per line: `ts` (UTC, ISO 8601), `level`, `logger`, `message`, then whatever `extra=` gave."""

    def format(self, record: logging.LogRecord) -> str:
        """Return the record as one line."""
        line: dict[str, object] = {
            "ts": datetime.fromtimestamp(record.created, UTC).isoformat(timespec="milliseconds"),
            "level": record.levelname.lower(),
            "logger": record.name,
            "message": record.getMessage(),
        }
        line |= _extras(vars(record))
        if record.exc_info:
            line["exception"] = self.formatException(record.exc_info)
        return json.dumps(line, default=str, ensure_ascii=False)


def _extras(fields: Mapping[str, object]) -> dict[str, object]:
    return {key: value for key, value in fields.items() if key not in _STANDARD}


def configure(*, level: int = logging.INFO, form: Form = "text", stream: TextIO | None = None) -> logging.Handler:
    """Send everything below `py_rt` to one stream; a second call replaces the first.

    Args:
        level: the lowest level shown.
        form: `text` for people, `json` for one object per line.
        stream: where to; `None` is standard error.

    Returns:
        The handler in place, so that a caller can remove it again.
    """
    handler = logging.StreamHandler(stream if stream is not None else sys.stderr)
    formatter = JsonFormatter() if form == "json" else logging.Formatter("%(levelname)s %(name)s: %(message)s")
    handler.setFormatter(formatter)
    logger = logging.getLogger(ROOT_NAME)
    for old in list(logger.handlers):
        if not isinstance(old, logging.NullHandler):
            logger.removeHandler(old)
    logger.addHandler(handler)
    logger.setLevel(level)
    return handler

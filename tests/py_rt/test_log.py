from __future__ import annotations

import io
import json
import logging
from typing import TYPE_CHECKING

import pytest

from py_rt import log

if TYPE_CHECKING:
    from collections.abc import Iterator


@pytest.fixture(autouse=True)
def _restored() -> Iterator[None]:
    logger = logging.getLogger(log.ROOT_NAME)
    handlers, level = list(logger.handlers), logger.level
    yield
    logger.handlers[:] = handlers
    logger.setLevel(level)


def test_a_json_line_carries_message_place_and_extras() -> None:
    stream = io.StringIO()
    log.configure(form="json", stream=stream)
    log.get_logger("py_rt.data.storage").info("wrote %d rows", 3, extra={"table": "clean_bars"})
    line = json.loads(stream.getvalue())
    assert line["message"] == "wrote 3 rows"
    assert line["logger"] == "py_rt.data.storage"
    assert line["level"] == "info"
    assert line["table"] == "clean_bars"
    assert line["ts"].endswith("+00:00")


def test_a_json_line_stays_one_line_with_an_exception() -> None:
    stream = io.StringIO()
    log.configure(form="json", stream=stream)
    try:
        int("bad\nrow")
    except ValueError:
        log.get_logger("py_rt.x").exception("failed")
    lines = stream.getvalue().splitlines()
    assert len(lines) == 1
    assert "ValueError: invalid literal" in json.loads(lines[0])["exception"]


def test_configuring_twice_writes_once() -> None:
    first, second = io.StringIO(), io.StringIO()
    log.configure(stream=first)
    log.configure(stream=second, level=logging.WARNING)
    logger = log.get_logger("py_rt.y")
    logger.info("quiet")
    logger.warning("loud")
    assert first.getvalue() == ""
    assert second.getvalue() == "WARNING py_rt.y: loud\n"

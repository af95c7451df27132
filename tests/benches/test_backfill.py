"""The backfill that is measured is a whole one: every partition in one run, nothing asked for twice."""

from __future__ import annotations

import json
from dataclasses import asdict

import pytest

from benches import backfill
from benches.figures import read_line
from benches.programs import BenchError


def test_a_small_backfill_gives_a_row_that_is_read() -> None:
    line = read_line(json.dumps(asdict(backfill.run(days=3, rows=4))))
    assert (line.row, line.unit, line.facts["partitions"], line.facts["rows"]) == ("backfill", "s", 3.0, 12.0)
    assert line.figures.p50 > 0
    assert float(line.facts["peak_mb"]) > 10
    assert float(line.facts["rerun_s"]) > 0


def test_a_backfill_that_fails_is_told(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(backfill, "DEFINITION", backfill.DEFINITION.replace('type = "decimal"', 'type = "boolean"'))
    with pytest.raises(BenchError, match="is no boolean"):
        backfill.run(days=1, rows=2)

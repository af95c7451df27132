"""The page says what the table says, and every test that the table names is there and runs."""

from __future__ import annotations

import re
from datetime import UTC, datetime
from typing import TYPE_CHECKING

import pytest

from py_rt.bundle.certificate import keep
from tests.conformance.table import PAGE, ROOT, Evidence, certified, page, read
from tests.py_rt.bundle.conftest import DAY, NOW
from tests.py_rt.bundle.test_certificate import certificate

if TYPE_CHECKING:
    from pathlib import Path

EVIDENCE = sorted(
    {one for feature in read()[1] for told in feature.evidence.values() for one in told},
    key=lambda one: (one.file, one.test),
)


def test_the_page_is_made_of_the_table() -> None:
    assert PAGE.read_text(encoding="utf-8") == page(), "run: python tests/conformance/table.py --write"


@pytest.mark.parametrize("evidence", EVIDENCE, ids=lambda one: f"{one.file}::{one.test}")
def test_what_is_named_is_a_test_that_runs(evidence: Evidence) -> None:
    text = (ROOT / evidence.file).read_text(encoding="utf-8")
    if evidence.file.endswith(".py"):
        found = re.search(rf"^(?:async )?def {evidence.test}\(", text, flags=re.MULTILINE)
        before = text[: found.start()].rsplit("\n\n", 1)[-1] if found else ""
        assert found
        assert "skip" not in before
        return
    # An attribute of a test, or a property within `proptest!`, above the function.
    found = re.search(rf"((?:^ *#\[[^\n]*\]\n)+) *(?:async )?fn {evidence.test}\(", text, flags=re.MULTILINE)
    assert found, f"no test {evidence.test} in {evidence.file}"
    assert "test" in found[1]
    assert "ignore" not in found[1]


def test_a_certificate_changes_what_was_never_seen_live(tmp_path: Path) -> None:
    keep(tmp_path, certificate(network="loopback", ended_at_ns=NOW))
    assert page(tmp_path) == page(tmp_path / "none")
    assert "never seen live" in page(tmp_path)
    keep(tmp_path, certificate(ended_at_ns=NOW + DAY))
    assert certified(tmp_path) == {
        "binance_spot": f"testnet {datetime.fromtimestamp(NOW // 10**9 + 86_400, UTC):%Y-%m-%d}"
    }
    assert f"documentation, live: {certified(tmp_path)['binance_spot']}" in page(tmp_path)
    assert "documentation, never live" in page(tmp_path), "of the other venues"
    keep(tmp_path, certificate(verdict="differs", ended_at_ns=NOW + 2 * DAY))
    assert certified(tmp_path) == {}


def test_what_a_recording_proves_reads_one() -> None:
    for one in EVIDENCE:
        if one.kind == "recording":
            text = (ROOT / one.file).read_text(encoding="utf-8")
            assert "recorded" in text, f"{one.file} reads no recording"

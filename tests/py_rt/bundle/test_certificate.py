from __future__ import annotations

import json
from typing import TYPE_CHECKING, Any

import pytest

from py_rt.bundle.certificate import Certificates, keep, parse
from py_rt.errors import BundleError
from tests.py_rt.bundle.conftest import DAY, NOW

if TYPE_CHECKING:
    from pathlib import Path


def certificate(**changes: object) -> dict[str, Any]:
    return {
        "schema_version": 1,
        "venue": "binance",
        "symbol": "BTCUSDT",
        "network": "testnet",
        "verdict": "as_expected",
        "ended_at_ns": NOW - 5 * DAY,
        "traded": True,
        "steps": [{"name": "rules", "outcome": "as_expected"}],
        "differences": [],
        **changes,
    }


def gate(folder: Path, instrument: str = "BTCUSDT") -> tuple[bool | None, str]:
    found = Certificates(folder, NOW).gate(instrument)
    return found.passed, str(found)


def test_a_venue_that_was_never_seen_live_passes_nothing(tmp_path: Path) -> None:
    passed, text = gate(tmp_path / "certificates")
    assert passed is None
    assert text.startswith("[not evaluated] Wire of binance certified")
    for network in ("loopback", "elsewhere"):
        keep(tmp_path, certificate(network=network))
    keep(tmp_path, certificate(venue="kraken", ended_at_ns=NOW - DAY))
    assert gate(tmp_path)[0] is None
    assert gate(tmp_path, "BTC/USD")[0] is True
    assert gate(tmp_path, "BTC-USD")[0] is None


@pytest.mark.parametrize(("days", "passed"), [(0, True), (30, True), (31, False)])
def test_a_certificate_ages(tmp_path: Path, days: int, passed: bool) -> None:
    keep(tmp_path, certificate(ended_at_ns=NOW - days * DAY))
    found, text = gate(tmp_path)
    assert found is passed
    assert passed or f"{days}.0 days old" in text


def test_a_certificate_from_the_future_is_named(tmp_path: Path) -> None:
    path = keep(tmp_path, certificate(ended_at_ns=NOW + 2 * DAY))
    found, text = gate(tmp_path)
    assert found is False
    assert f"{path} ends 2.0 days from now" in text


def test_a_testnet_covers_nothing_that_production_showed(tmp_path: Path) -> None:
    differs = {"verdict": "differs", "differences": [{"is_addition": False}]}
    keep(tmp_path, certificate(network="production", ended_at_ns=NOW - 3 * DAY, **differs))
    keep(tmp_path, certificate())
    keep(tmp_path, certificate(ended_at_ns=NOW - DAY))
    assert gate(tmp_path)[0] is False
    keep(tmp_path, certificate(network="production", ended_at_ns=NOW - 2 * DAY))
    assert gate(tmp_path)[0] is True


@pytest.mark.parametrize("verdict", ["differs", "not_tried"])
def test_the_newest_tour_counts_whatever_it_found(tmp_path: Path, verdict: str) -> None:
    keep(tmp_path, certificate())
    assert gate(tmp_path)[0] is True
    keep(tmp_path, certificate(verdict=verdict, ended_at_ns=NOW - DAY, differences=[{}]))
    passed, text = gate(tmp_path)
    assert passed is False
    assert "1 messages or words differ" in text


@pytest.mark.parametrize(
    ("changes", "passed", "told"),
    [
        ({"verdict": "differs", "differences": [{"is_addition": True}]}, True, "1 fields more"),
        ({"verdict": "differs", "differences": [{"is_addition": False}]}, False, "1 messages or words differ"),
        ({"traded": False}, False, "no order traded (--trade)"),
        ({"steps": []}, False, "0 steps as expected"),
        ({"steps": [{"name": "rules", "outcome": "differs"}]}, False, "1 differ"),
    ],
)
def test_only_a_field_more_is_passed_over(tmp_path: Path, changes: dict[str, object], passed: bool, told: str) -> None:
    keep(tmp_path, certificate(**changes))
    found, text = gate(tmp_path)
    assert found is passed
    assert passed or told in text


def test_what_is_no_certificate_is_told_by_its_file(tmp_path: Path) -> None:
    path = keep(tmp_path, certificate())
    assert path.name == f"binance-{path.stem.removeprefix('binance-')}.json"
    assert [file.name for file in tmp_path.iterdir()] == [path.name], "nothing half written stays"
    for text in ("", "[]", "{}", "7", json.dumps(certificate(schema_version=2)), json.dumps(certificate(steps=[7]))):
        with pytest.raises(BundleError, match="certificate"):
            parse(text)
        path.write_text(text, encoding="utf-8")
        with pytest.raises(BundleError, match=path.name):
            gate(tmp_path)

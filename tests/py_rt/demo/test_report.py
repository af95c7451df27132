"""The summary: true to what was found, whole for programs, readable for people."""

from __future__ import annotations

import json
from typing import TYPE_CHECKING, Any

import pytest

from py_rt.demo.proof import FeatureMatch, Signatures
from py_rt.demo.report import text
from tests.py_rt.demo.outcomes import NEW, OLD, approval, outcome, pnl, session, status

if TYPE_CHECKING:
    from pathlib import Path

COLUMNS = 100


def test_a_run_that_held_has_no_failures(tmp_path: Path) -> None:
    held = outcome(tmp_path)
    assert held.failures() == []
    assert text(held).endswith("Everything held, in 41 s.")
    assert held.facts()["ok"] is True


WRONG: list[tuple[dict[str, Any], str]] = [
    ({"assets": {"success": False}}, "assets: the run or one of its checks failed"),
    ({"approvals": (approval(OLD, 1),)}, "bundles: 1 of 2 were approved"),
    (
        {"signatures": Signatures("d" * 64, "", {"bbbbbbbbbbbb": "its approval has expired"})},
        "signatures: sha256-bbbbbbbbbbbb: its approval has expired",
    ),
    ({"session": session(status=status(fills=19))}, "fills: 19 of 20"),
    ({"session": session(digests=[OLD])}, "swaps: 0 of 1"),
    ({"exit_status": 4}, "service: it ended with 4 after SIGTERM, not 0"),
    ({"features": FeatureMatch(367, 366, 0, 7)}, "features: 366 of 367 rows equal the offline table"),
    ({"features": FeatureMatch(0, 0, 0, None)}, "features: 0 of 0 rows equal the offline table"),
    ({"parity": {"identical": False, "error": "journal: record 7 is damaged"}}, "replay: journal: record 7 is damaged"),
    ({"parity": {}}, "replay: it differs"),
]


@pytest.mark.parametrize(("changed", "said"), WRONG, ids=[said for _, said in WRONG])
def test_whatever_did_not_hold_is_named(tmp_path: Path, changed: dict[str, Any], said: str) -> None:
    broken = outcome(tmp_path, **changed)
    assert broken.failures() == [said]
    assert "NOT everything held:" in text(broken)
    assert broken.facts()["failures"] == [said]


def test_all_failures_are_shown_at_once(tmp_path: Path) -> None:
    changed: dict[str, Any] = {}
    for one, _ in WRONG:
        changed |= one
    broken = outcome(tmp_path, **changed)
    broken.html.unlink()
    broken.bundle.rmdir()
    failures = broken.failures()
    assert len(failures) == 9
    assert f"{broken.html} is not there" in failures
    assert text(broken).splitlines()[-9:] == [f"  - {one}" for one in failures]


def test_unknown_profit_is_said_to_be_unknown(tmp_path: Path) -> None:
    without_mark = outcome(tmp_path, session=session(pnl=(pnl(unrealized=None),)))
    assert "unrealized unknown" in text(without_mark)
    assert without_mark.facts()["pnl"]["unrealized"] is None
    untold = outcome(tmp_path, session=session(pnl=()))
    assert "P&L         unknown" in text(untold)
    assert untold.facts()["pnl"] is None


def test_nothing_unrealized_is_not_unknown(tmp_path: Path) -> None:
    flat = outcome(tmp_path, session=session(pnl=(pnl(unrealized="0"),)))
    assert "unrealized +0.00" in text(flat)
    assert flat.facts()["pnl"]["unrealized"] == "0"


def test_the_account_is_shown_wherever_it_stands_among_the_slots(tmp_path: Path) -> None:
    whole, slot = pnl(unrealized="7"), pnl(slot=1, unrealized="1")
    for told in ((whole, slot), (slot, whole)):
        assert outcome(tmp_path, session=session(pnl=told)).facts()["pnl"]["unrealized"] == "7"


def test_the_json_is_json_and_holds_money_as_exact_text(tmp_path: Path) -> None:
    facts = json.loads(json.dumps(outcome(tmp_path).facts()))
    assert facts["pnl"] == {
        "realized": "-265.98548498",
        "unrealized": "-41.97",
        "fees": ["39.55077378 USDT"],
        "equity": "49652.49374124",
        "currency": "USDT",
    }
    assert facts["positions"] == [{"instrument": "binance/BTCUSDT", "quantity": "0.05"}]
    assert facts["trading"] == {"orders": 50, "fills": 20, "partial": 1, "timeouts": 1, "swaps": 1}
    assert [one["digest"] for one in facts["bundles"]] == [OLD, NEW]


def test_the_text_says_whose_money_it_is(tmp_path: Path) -> None:
    said = text(outcome(tmp_path))
    assert "-347.51 USDT of paper money" in said
    assert "realized -265.99, unrealized -41.97, fees 39.55077378 USDT" in said
    assert "equity 49,652.49 of 50,000.00 USDT" in said


def test_both_keys_and_both_digests_stand_whole_in_the_text(tmp_path: Path) -> None:
    said = text(outcome(tmp_path))
    for whole in (OLD, NEW, "d" * 64, "e" * 64):
        assert whole in said
    assert f"bundles/sha256-{NEW}" in said


def test_no_line_is_wider_than_a_terminal_but_for_paths(tmp_path: Path) -> None:
    lines = [
        line for line in text(outcome(tmp_path)).splitlines() if str(tmp_path) not in line and "/py_rt" not in line
    ]
    assert len(lines) > 20
    assert max(map(len, lines)) <= COLUMNS


def test_what_stayed_as_it_was_is_told(tmp_path: Path) -> None:
    fresh = outcome(tmp_path)
    assert "reused unchanged" not in text(fresh)
    again = {**fresh.assets, "materializations": 99, "assets": 4, "reused": 481, "reused_assets": 11}
    said = text(outcome(tmp_path, assets=again))
    assert (
        "99 materialisations of 4 assets, 481 reused unchanged\n            42 checks passed, 4 warned, 0 failed"
        in said
    )
    nothing = {**again, "materializations": 0, "assets": 0, "checks_passed": 0, "checks_warned": 0}
    assert "no check had to run again" in text(outcome(tmp_path, assets=nothing))


def test_scores_that_cannot_be_read_are_left_out(tmp_path: Path) -> None:
    made = outcome(tmp_path)
    (tmp_path / "artifacts" / "models" / "model_lgbm" / "2021-12-01" / "scores.json").write_text("{")
    assert made.facts()["model"]["auc"] is None
    assert "\nmodel " not in text(made)


def test_without_orders_there_is_none_to_trace(tmp_path: Path) -> None:
    made = outcome(tmp_path, session=session(orders=()))
    assert not [command for command in made.facts()["next"] if " trace " in command]

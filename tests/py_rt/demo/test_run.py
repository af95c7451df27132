"""What the run of assets says, told on."""

from __future__ import annotations

import io
from typing import TYPE_CHECKING, Any

import pytest

from py_rt.demo.children import DemoError
from py_rt.demo.place import Place
from py_rt.demo.run import Heard, make_assets
from py_rt.demo.show import Show

if TYPE_CHECKING:
    from pathlib import Path

FAILED_CHECK: dict[str, Any] = {
    "event": "check",
    "asset": "clean_bars",
    "check": "no_gaps",
    "passed": False,
    "severity": "ERROR",
    "metadata": {"gaps": 3},
}
LINES: list[dict[str, Any]] = [
    {"event": "run_started", "run_id": "1", "assets": [], "partitions": None},
    {"event": "stale", "asset": "raw_bars", "count": 94, "reason": "not made yet"},
    {"event": "stale", "asset": "labels", "count": 94, "reason": "code changed"},
    {"event": "reused", "asset": "clean_bars", "count": 94},
    {"event": "reused", "asset": "feature_spec", "count": 1},
    {"event": "step_started", "step": "labels"},
    {"event": "step_finished", "step": "labels", "seconds": 1.24, "partitions": 94},
    {"event": "check", "asset": "labels", "check": "fine", "passed": True, "severity": "ERROR", "metadata": {}},
    {"event": "check", "asset": "luck", "check": "no_luck", "passed": False, "severity": "WARN", "metadata": {}},
    FAILED_CHECK,
    {"event": "step_failed", "step": "model_lgbm", "error": "ValueError: no rows"},
    {"event": "error", "error": "the wish was wrong"},
    {"event": "summary", "success": False},
]


def test_each_line_is_told_or_kept() -> None:
    out = io.StringIO()
    with Show(out).step("assets", "all") as step:
        heard = Heard(step)
        for line in LINES:
            heard.hear(line)
    assert [line.strip() for line in out.getvalue().splitlines()[1:-1]] == [
        "labels  to be made again: code changed",
        "clean_bars, 94 partitions  reused",
        "feature_spec  reused",
        "labels, 94 partitions  1.2 s",
        "check no_luck of luck warns",
    ]
    assert heard.summary == {"event": "summary", "success": False}
    assert heard.failed == [
        "check no_gaps of clean_bars failed: {'gaps': 3}",
        "model_lgbm: ValueError: no rows",
        "run: the wish was wrong",
    ]


@pytest.mark.parametrize(
    ("status", "lines", "said"),
    [
        (3, [FAILED_CHECK, {"event": "summary", "success": False}], "check no_gaps of clean_bars failed"),
        (7, [], "python -m pipelines.run ended with 7 and said nothing about it"),
        (0, [], "ended with 0 and said nothing"),
    ],
)
def test_assets_that_fail_name_every_reason_and_the_log(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, status: int, lines: list[dict[str, Any]], said: str
) -> None:
    def hear_module(*arguments: object) -> int:
        hear = arguments[-1]
        assert callable(hear)
        for line in lines:
            hear(line)
        return status

    monkeypatch.setattr("py_rt.demo.children.hear_module", hear_module)
    place = Place(tmp_path, tmp_path / "run", tmp_path / "run")
    step = Show(io.StringIO(), quiet=True).step("assets", "all")
    with step as told, pytest.raises(DemoError, match=said) as caught:
        make_assets(place, told)
    assert str(caught.value).endswith(f"log: {tmp_path}/run/assets.log")

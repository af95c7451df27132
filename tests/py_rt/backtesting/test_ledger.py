"""The trial ledger: what it counts, and that it cannot be rewritten without being noticed."""

from __future__ import annotations

import json
import math
import subprocess
import sys
from dataclasses import replace
from typing import TYPE_CHECKING

import pytest

from py_rt.backtesting.ledger import GENESIS, LedgerError, LedgerHead, Trial, TrialLedger

if TYPE_CHECKING:
    from pathlib import Path

DATA = "ab" * 32
BAR_NS = 900 * 10**9


def trial(number: int, **changes: object) -> Trial:
    base = Trial(DATA, "sma_cross", "backtest", {"fast": number}, 7, number / 100, 400, BAR_NS, 1_000 + number)
    return replace(base, **changes)  # type: ignore[arg-type]


@pytest.fixture
def ledger(tmp_path: Path) -> TrialLedger:
    return TrialLedger(tmp_path / "deep" / "trials.jsonl")


def test_an_absent_ledger_is_empty(ledger: TrialLedger) -> None:
    assert ledger.head() == LedgerHead(0, GENESIS)
    assert ledger.trials() == []
    assert not ledger.path.exists()


def test_what_was_appended_comes_back_in_order(ledger: TrialLedger) -> None:
    ledger.append([trial(1), trial(2)])
    head = ledger.append([trial(3)])
    assert ledger.trials() == [trial(1), trial(2), trial(3)]
    assert ledger.head() == head
    assert head.count == 3


def test_repetitions_stay_on_record_but_count_once(ledger: TrialLedger) -> None:
    ledger.append([trial(1), trial(1, recorded_at_ns=99), trial(1, seed=8), trial(2)])
    assert len(ledger.trials()) == 4
    assert ledger.count(DATA) == 3


def test_numbers_are_kept_per_data_set(ledger: TrialLedger) -> None:
    other = "cd" * 32
    ledger.append([trial(1), trial(2), trial(3, dataset_id=other)])
    assert ledger.sharpes([DATA]) == [0.01, 0.02]
    assert ledger.sharpes([DATA, other]) == [0.01, 0.02, 0.03]
    assert ledger.count("ef" * 32) == 0


def test_sharpe_ratios_are_brought_to_one_period_length(ledger: TrialLedger) -> None:
    ledger.append([trial(1), trial(2, period_ns=4 * BAR_NS)])
    assert ledger.sharpes([DATA], period_ns=BAR_NS) == pytest.approx([0.01, 0.02 / math.sqrt(4)])


def _lines(ledger: TrialLedger) -> list[bytes]:
    return ledger.path.read_bytes().splitlines(keepends=True)


@pytest.mark.parametrize("victim", [1, 3, 5])
def test_a_changed_sharpe_is_found_at_its_line(ledger: TrialLedger, victim: int) -> None:
    ledger.append([trial(number) for number in range(1, 6)])
    lines = _lines(ledger)
    assert b'"sharpe":0.0' in lines[victim - 1]
    lines[victim - 1] = lines[victim - 1].replace(b'"sharpe":0.0', b'"sharpe":0.9')
    ledger.path.write_bytes(b"".join(lines))
    with pytest.raises(LedgerError, match=rf"trials\.jsonl:{victim}: chain is broken"):
        ledger.verify()


def test_every_single_changed_byte_is_found(ledger: TrialLedger) -> None:
    ledger.append([trial(1), trial(2)])
    content = ledger.path.read_bytes()
    for position in range(len(content)):
        changed = bytearray(content)
        changed[position] ^= 0x01
        ledger.path.write_bytes(bytes(changed))
        with pytest.raises(LedgerError, match=r"trials\.jsonl:[123]: "):
            ledger.verify()


def test_removed_inserted_and_swapped_lines_are_found(ledger: TrialLedger) -> None:
    ledger.append([trial(number) for number in range(1, 5)])
    one, two, three, four = _lines(ledger)
    for content, line in (([one, three, four], 2), ([one, two, two, three, four], 3), ([one, three, two, four], 2)):
        ledger.path.write_bytes(b"".join(content))
        with pytest.raises(LedgerError, match=rf":{line}: chain is broken"):
            ledger.verify()


def test_a_cut_off_end_is_found_by_a_head_noted_earlier(ledger: TrialLedger) -> None:
    ledger.append([trial(1)])
    early = ledger.head()
    late = ledger.append([trial(2), trial(3)])
    assert ledger.verify(contains=early) == late
    ledger.path.write_bytes(b"".join(_lines(ledger)[:2]))
    assert ledger.verify(contains=early).count == 2
    with pytest.raises(LedgerError, match=r"line 3 with sha256 .* is missing; the ledger has 2 lines"):
        ledger.verify(contains=late)


def test_the_anchor_moves_with_new_trials_of_its_data_only(ledger: TrialLedger) -> None:
    own, other = trial(1), trial(2, dataset_id="ef" * 32)
    first = ledger.append([own])
    ledger.append([other, own])
    assert ledger.anchor([own.dataset_id]) == first
    assert ledger.anchor(["00" * 32]) == LedgerHead(0, GENESIS)
    third = ledger.append([trial(3)])
    assert ledger.anchor([own.dataset_id]) == third
    ledger.verify(contains=first)


def test_a_rebuilt_ledger_is_found_by_a_head_noted_earlier(ledger: TrialLedger) -> None:
    head = ledger.append([trial(1), trial(2)])
    ledger.path.unlink()
    ledger.append([trial(1, sharpe=0.5), trial(2)])
    assert ledger.verify().count == 2
    with pytest.raises(LedgerError, match="missing"):
        ledger.verify(contains=head)


def test_nothing_is_added_to_and_no_number_taken_from_a_broken_ledger(ledger: TrialLedger) -> None:
    ledger.append([trial(1), trial(2)])
    ledger.path.write_bytes(ledger.path.read_bytes().replace(b'"seed":7', b'"seed":9', 1))
    before = ledger.path.read_bytes()
    with pytest.raises(LedgerError, match=":1: chain is broken"):
        ledger.append([trial(3)])
    with pytest.raises(LedgerError, match=":1: chain is broken"):
        ledger.count(DATA)
    assert ledger.path.read_bytes() == before


def test_a_torn_last_line_is_named_with_what_to_do(ledger: TrialLedger) -> None:
    ledger.append([trial(1), trial(2)])
    ledger.path.write_bytes(ledger.path.read_bytes()[:-10])
    with pytest.raises(LedgerError, match=r":2: line is incomplete .* remove that last line"):
        ledger.append([trial(3)])


@pytest.mark.parametrize(
    ("changes", "message"),
    [
        ({"dataset_id": "short"}, "64 lower-case hex"),
        ({"sharpe": math.nan}, "has Sharpe ratio 0"),
        ({"periods": 0}, "at least 1"),
        ({"subject": ""}, "must not be empty"),
        ({"params": {"x": math.inf}}, "JSON"),
        ({"params": {"x": object()}}, "JSON"),
        ({"params": {"x": "y" * (1 << 20)}}, "bytes"),
    ],
)
def test_malformed_trials_are_refused_and_leave_no_trace(
    ledger: TrialLedger, changes: dict[str, object], message: str
) -> None:
    with pytest.raises(LedgerError, match=message):
        ledger.append([trial(1), trial(2, **changes)])
    assert ledger.trials() == []


APPEND_FORTY = """
import sys
from pathlib import Path
from py_rt.backtesting.ledger import Trial, TrialLedger
print("ready", flush=True)
sys.stdin.readline()
for number in range(40):
    trial = Trial("ab" * 32, "s", "backtest", {"worker": sys.argv[2], "number": number}, 7, 0.0, 400, 1, 0)
    TrialLedger(Path(sys.argv[1])).append([trial])
"""


def test_processes_that_append_at_the_same_time_leave_one_whole_chain(ledger: TrialLedger) -> None:
    command = [sys.executable, "-c", APPEND_FORTY, str(ledger.path)]
    workers = [
        subprocess.Popen([*command, str(worker)], stdin=subprocess.PIPE, stdout=subprocess.PIPE) for worker in range(3)
    ]
    for worker in workers:
        assert worker.stdout is not None
        assert worker.stdout.readline() == b"ready\n"
    for worker in workers:
        assert worker.stdin is not None
        worker.stdin.write(b"go\n")
        worker.stdin.flush()
    for worker in workers:
        worker.communicate(timeout=120)
    assert [worker.returncode for worker in workers] == [0, 0, 0]
    assert ledger.verify().count == 120
    assert ledger.count(DATA) == 120


def test_lines_are_canonical_json(ledger: TrialLedger) -> None:
    ledger.append([trial(1)])
    (line,) = _lines(ledger)
    value = json.loads(line)
    assert line == json.dumps(value, sort_keys=True, separators=(",", ":")).encode() + b"\n"
    assert list(value) == ["index", "previous", "sha256", "trial"]

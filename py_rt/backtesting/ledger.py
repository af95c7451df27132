"""The ledger of trials: who looked at which data how often, in a form that cannot be quietly rewritten.

A backtest's Sharpe ratio means nothing without the number of attempts behind it. Every attempt, through any door
(a cross-validated parameter set, a backtest, an optimizer's step), appends one line here, and deflated numbers take
their trial count and variance from here.

The file is JSON lines. Line n (from 1) is::

    {"index": n, "previous": <sha256 of line n-1, or 64 zeros>, "sha256": <own>, "trial": {...}}

``sha256`` is the SHA-256 of the canonical JSON (sorted keys, no spaces, UTF-8) of the line without that key, so a
changed, inserted, removed or reordered line breaks the chain at a line that :meth:`TrialLedger.verify` names. Cutting
off the *end* leaves a valid chain: whoever needs to prove completeness keeps :meth:`TrialLedger.head` in a place that
is signed (the bundle's gate results) and hands it to ``verify(contains=...)`` later.

Nothing here reads a clock: the caller states ``recorded_at_ns``.
"""

from __future__ import annotations

import fcntl
import hashlib
import json
import math
import os
import re
from contextlib import contextmanager
from dataclasses import asdict, dataclass
from typing import IO, TYPE_CHECKING

from py_rt.errors import PyRtError

if TYPE_CHECKING:
    from collections.abc import Iterable, Iterator, Mapping, Sequence
    from pathlib import Path

GENESIS = "0" * 64
MAX_LINE_BYTES = 1 << 20
_SHA256_HEX = re.compile(r"[0-9a-f]{64}")

JsonValue = str | int | float | bool | None | list["JsonValue"] | dict[str, "JsonValue"]


class LedgerError(PyRtError):
    """A trial that cannot be recorded, or a ledger whose chain is broken; names file and line."""


@dataclass(frozen=True)
class Trial:
    """One attempt.

    Attributes:
        dataset_id: SHA-256 (hex) of the content of the data that was looked at.
        subject: what was tried, for example ``model_lgbm``.
        door: the way in, for example ``cross_validation`` or ``backtest``.
        params: everything that distinguishes this attempt; JSON values, finite numbers.
        seed: of the random generator.
        sharpe: per-period Sharpe ratio, not annualised, after costs.
        periods: number of returns behind it.
        period_ns: length of one period in nanoseconds.
        recorded_at_ns: UTC nanoseconds, stated by the caller.
    """

    dataset_id: str
    subject: str
    door: str
    params: Mapping[str, JsonValue]
    seed: int
    sharpe: float
    periods: int
    period_ns: int
    recorded_at_ns: int

    @property
    def trial_id(self) -> str:
        """SHA-256 over data, subject, door, parameters and seed: equal for a repetition of the same attempt."""
        identity = {
            "dataset_id": self.dataset_id,
            "door": self.door,
            "params": self.params,
            "seed": self.seed,
            "subject": self.subject,
        }
        return hashlib.sha256(_canonical(identity)).hexdigest()


@dataclass(frozen=True)
class LedgerHead:
    """Length of the chain and hash of its last line; 0 and 64 zeros while empty."""

    count: int
    sha256: str


class TrialLedger:
    """The ledger file at ``path``; created, with its folder, by the first append.

    >>> import pathlib, tempfile
    >>> ledger = TrialLedger(pathlib.Path(tempfile.mkdtemp()) / "trials.jsonl")
    >>> trial = Trial("ab" * 32, "sma_cross", "backtest", {"fast": 5}, 7, 0.02, 400, 900 * 10**9, 0)
    >>> ledger.append([trial, trial]).count
    2
    >>> ledger.count("ab" * 32), ledger.sharpes(["ab" * 32])
    (1, [0.02])
    """

    def __init__(self, path: Path) -> None:
        self.path = path

    def append(self, trials: Sequence[Trial]) -> LedgerHead:
        """Adds the trials under an exclusive lock and returns the new head; the bytes are on disk before it returns.

        The chain is verified first: nothing is added to a broken ledger. That reads the whole file, so an optimizer
        with thousands of trials appends them in batches.

        Raises:
            LedgerError: a trial is malformed, or the chain is broken (with the line).
        """
        for trial in trials:
            _check_trial(trial)
        self.path.parent.mkdir(parents=True, exist_ok=True)
        with self._locked("a+b", fcntl.LOCK_EX) as file:
            file.seek(0)
            head = self._walk(file)
            if not trials:
                return head
            lines = []
            for trial in trials:
                line, head = _link(trial, head)
                lines.append(line)
            file.seek(0, os.SEEK_END)
            file.write(b"".join(lines))
            file.flush()
            os.fsync(file.fileno())
        return head

    def verify(self, *, contains: LedgerHead | None = None) -> LedgerHead:
        """Checks every line; returns the head.

        Args:
            contains: a head noted earlier; the ledger must still hold that line, unchanged, at that place.

        Raises:
            LedgerError: file, line number and what is wrong with it.
        """
        head = LedgerHead(0, GENESIS)
        found = contains is None or (contains.count == 0 and contains.sha256 == GENESIS)
        for head, _ in self._read():
            found = found or head == contains
        if not found and contains is not None:
            raise LedgerError(
                f"{self.path}: line {contains.count} with sha256 {contains.sha256} is missing; the ledger has "
                f"{head.count} lines: it was cut off or rebuilt after that head was noted. Restore it from the backup"
            )
        return head

    def head(self) -> LedgerHead:
        """Length and last hash of a verified chain."""
        return self.verify()

    def anchor(self, dataset_ids: Iterable[str]) -> LedgerHead:
        """The head of the shortest chain that holds every distinct trial of the data sets.

        A repetition of what was tried before does not move it, so that the same work gives the same bytes, while
        whoever cuts off one of the trials behind a number is still found by ``verify(contains=...)``.

        >>> import pathlib, tempfile
        >>> ledger = TrialLedger(pathlib.Path(tempfile.mkdtemp()) / "trials.jsonl")
        >>> trial = Trial("ab" * 32, "sma_cross", "backtest", {"fast": 5}, 7, 0.02, 400, 900 * 10**9, 0)
        >>> head = ledger.append([trial])
        >>> ledger.append([trial]).count, ledger.anchor(["ab" * 32]) == head
        (2, True)
        """
        wanted = set(dataset_ids)
        anchor, known = LedgerHead(0, GENESIS), set[str]()
        for head, trial in self._read():
            if trial.dataset_id in wanted and trial.trial_id not in known:
                known.add(trial.trial_id)
                anchor = head
        return anchor

    def trials(self, dataset_ids: Iterable[str] | None = None) -> list[Trial]:
        """Recorded trials in order, repetitions included; of the given data sets, or of all.

        Raises:
            LedgerError: the chain is broken; no number is taken from such a ledger.
        """
        wanted = None if dataset_ids is None else set(dataset_ids)
        return [trial for _, trial in self._read() if wanted is None or trial.dataset_id in wanted]

    def distinct(self, dataset_ids: Iterable[str] | None = None) -> list[Trial]:
        """Trials without repetitions: of equal ``trial_id`` the last record counts."""
        return list({trial.trial_id: trial for trial in self.trials(dataset_ids)}.values())

    def count(self, dataset_id: str) -> int:
        """Number of distinct trials on one data set: the N of the deflated Sharpe ratio."""
        return len(self.distinct([dataset_id]))

    def sharpes(self, dataset_ids: Iterable[str], *, period_ns: int | None = None) -> list[float]:
        """Per-period Sharpe ratios of the distinct trials on the data sets.

        Args:
            period_ns: length of the period the caller works in; ratios over other lengths are scaled by the square
                root of the ratio of lengths. None leaves them as recorded.
        """
        found = self.distinct(dataset_ids)
        if period_ns is None:
            return [trial.sharpe for trial in found]
        if period_ns <= 0:
            raise LedgerError(f"period_ns is {period_ns}; allowed is above 0")
        return [trial.sharpe * math.sqrt(period_ns / trial.period_ns) for trial in found]

    @contextmanager
    def _locked(self, mode: str, lock: int) -> Iterator[IO[bytes]]:
        with self.path.open(mode) as file:
            fcntl.flock(file.fileno(), lock)
            try:
                yield file
            finally:
                fcntl.flock(file.fileno(), fcntl.LOCK_UN)

    def _read(self) -> list[tuple[LedgerHead, Trial]]:
        if not self.path.exists():
            return []
        with self._locked("rb", fcntl.LOCK_SH) as file:
            return list(self._lines(file))

    def _walk(self, file: IO[bytes]) -> LedgerHead:
        lines = list(self._lines(file))
        return lines[-1][0] if lines else LedgerHead(0, GENESIS)

    def _lines(self, file: IO[bytes]) -> Iterator[tuple[LedgerHead, Trial]]:
        head = LedgerHead(0, GENESIS)
        while raw := file.readline(MAX_LINE_BYTES + 1):
            head, trial = self._check_line(raw, head)
            yield head, trial

    def _check_line(self, raw: bytes, head: LedgerHead) -> tuple[LedgerHead, Trial]:
        number = head.count + 1
        where = f"{self.path}:{number}"
        if not raw.endswith(b"\n"):
            raise LedgerError(
                f"{where}: line is incomplete or longer than {MAX_LINE_BYTES} bytes; if a crash tore it, "
                "remove that last line and append again"
            )
        try:
            line = json.loads(raw)
            trial = Trial(**line["trial"])
            body = {"index": line["index"], "previous": line["previous"], "trial": line["trial"]}
            own = line["sha256"]
            computed = hashlib.sha256(_canonical(body)).hexdigest()
            complete = set(line) == {"index", "previous", "sha256", "trial"}
        except (ValueError, TypeError, KeyError) as error:
            raise LedgerError(f"{where}: not a ledger line ({error}); restore the ledger from the backup") from error
        if not complete or own != computed:
            raise LedgerError(f"{where}: chain is broken, the line's content does not match its sha256 {own}")
        if line["previous"] != head.sha256 or line["index"] != number:
            raise LedgerError(
                f"{where}: chain is broken, the line follows {line['previous']} at index {line['index']}, but the line "
                f"before it is {head.sha256} at index {head.count}"
            )
        return LedgerHead(number, own), trial


def _link(trial: Trial, head: LedgerHead) -> tuple[bytes, LedgerHead]:
    body = {"index": head.count + 1, "previous": head.sha256, "trial": asdict(trial)}
    own = hashlib.sha256(_canonical(body)).hexdigest()
    line = _canonical({**body, "sha256": own}) + b"\n"
    if len(line) > MAX_LINE_BYTES:
        raise LedgerError(
            f"trial needs {len(line)} bytes; allowed are {MAX_LINE_BYTES}. Record a hash of large parameters"
        )
    return line, LedgerHead(head.count + 1, own)


def _check_trial(trial: Trial) -> None:
    if not _SHA256_HEX.fullmatch(trial.dataset_id):
        raise LedgerError(f"dataset_id is {trial.dataset_id!r}; expected 64 lower-case hex digits")
    if not trial.subject or not trial.door:
        raise LedgerError("subject and door must not be empty")
    if not math.isfinite(trial.sharpe):
        raise LedgerError(f"sharpe is {trial.sharpe}; a trial without trades has Sharpe ratio 0")
    if trial.periods < 1 or trial.period_ns < 1:
        raise LedgerError(f"periods is {trial.periods}, period_ns {trial.period_ns}; both must be at least 1")
    try:
        _canonical(trial.params)
    except (ValueError, TypeError) as error:
        raise LedgerError(f"params cannot be written as JSON: {error}") from error


def _canonical(value: object) -> bytes:
    text = json.dumps(value, sort_keys=True, separators=(",", ":"), ensure_ascii=False, allow_nan=False)
    return text.encode("utf-8")

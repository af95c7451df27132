"""What an answer that is no yes means: exit status, a word for programs, and what to do next."""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any

from py_rt.bridge.services import ServiceSearchError
from py_rt.errors import BundleError, PyRtError

if TYPE_CHECKING:
    from py_rt.bridge.records import Acknowledgement

FAILED, WRONG, REFUSED, UNKNOWN, NO_SERVICE = 1, 2, 3, 4, 5

_ASK_STATUS = "`py_rt status` shows what is in force"
_KEY = "`py_rt keys list` shows your keys; a service trusts those of its trusted_keys_file"
_CLOCK = "compare the clocks of both machines, then try again"
_AGAIN = "try again"
_OTHER_WAY = "when nothing answers, `py_rt status --local` looks and `py_rt kill --local` stops by another way"

NEXT_STEPS = {
    "unknown_key": _KEY,
    "bad_signature": _KEY,
    "role_not_allowed": "name another key with --key FILE; the command's --help says whose may",
    "wrong_instance": "the folder's live.json names another service: say which with --instance or --service",
    "expired": _CLOCK,
    "expiry_too_far": _CLOCK,
    "counter_replayed": "another program uses the same key with a clock ahead of this one: give each its own key",
    "unknown_slot": "`py_rt status` shows the slots",
    "unknown_instrument": "`py_rt positions` shows the instruments",
    "unknown_venue": "`py_rt status` shows the venues",
    "unknown_order": "`py_rt orders --open` shows the orders that can be cancelled",
    "unknown_bundle": "`py_rt bundle list` shows the bundles of the store",
    "bundle_refused": "`py_rt bundle verify DIGEST` shows the verdict of the service's reader",
    "nothing_to_roll_back": "`py_rt status` shows what ran before",
    "unknown_parameter": "`py_rt config show strategy` shows the parameters",
    "parameter_out_of_range": "`py_rt config show strategy` shows the range",
    "risk_denied": "`py_rt orders` shows the reason beside the order",
    "stopped": "look at the reason in `py_rt status`, then `py_rt rearm --reason TEXT`",
    "wrong_state": "`py_rt status` shows the state; try again when it is waiting or trading",
    "busy": _AGAIN,
    "shutting_down": "start the service again first",
}


@dataclass(frozen=True)
class Verdict:
    """How a command ended.

    Attributes:
        status: exit status.
        outcome: `failed`, `wrong`, `refused`, `unknown` or `no_service`.
        next_step: what to do, where it can be said.
        facts: more, for programs.
    """

    status: int
    outcome: str
    next_step: str | None = None
    facts: dict[str, Any] = field(default_factory=dict)


class EndedError(PyRtError):
    """A command that ended, and not well.

    Attributes:
        verdict: how.
    """

    def __init__(self, message: str, verdict: Verdict) -> None:
        super().__init__(message)
        self.verdict = verdict


def verdict_of(error: PyRtError) -> Verdict:
    """How a command ended that raised an error.

    >>> verdict_of(ServiceSearchError("none")).status, verdict_of(BundleError("none")).outcome
    (5, 'wrong')
    """
    if isinstance(error, EndedError):
        return error.verdict
    if isinstance(error, BundleError):
        return Verdict(WRONG, "wrong")
    if isinstance(error, ServiceSearchError):
        return Verdict(NO_SERVICE, "no_service", _OTHER_WAY)
    return _of_command(error)


def _of_command(error: PyRtError) -> Verdict:
    from py_rt.bridge import commands
    from py_rt.bridge.vocabulary import MessageError

    found = Verdict(FAILED, "failed", _ASK_STATUS)
    if isinstance(error, commands.CommandRefusedError):
        found = Verdict(REFUSED, "refused", NEXT_STEPS.get(str(error.ack.refusal)), acknowledged(error.ack))
    elif isinstance(error, commands.CommandFailedError):
        found = Verdict(FAILED, "failed", _after_failure(error.ack), acknowledged(error.ack))
    elif isinstance(error, commands.NoAnswerError):
        sent = {"command_id": error.pending.command_id, "counter": error.pending.counter}
        todo = f"{_ASK_STATUS}; {_OTHER_WAY}"
        found = Verdict(UNKNOWN, "unknown", todo, sent)
    elif isinstance(error, commands.UnreachableError):
        found = Verdict(NO_SERVICE, "no_service", _OTHER_WAY)
    elif isinstance(error, commands.SignerError):
        found = Verdict(WRONG, "wrong")
    elif isinstance(error, MessageError):
        # The service did answer, and whether it obeyed cannot be read.
        found = Verdict(UNKNOWN, "unknown", f"use the py_rt of the service's version; {_ASK_STATUS}")
    return found


def acknowledged(ack: Acknowledgement) -> dict[str, Any]:
    """What the service said of a command, for programs."""
    return {
        "outcome": str(ack.outcome),
        "refusal": str(ack.refusal) if ack.refusal else None,
        "text": ack.text,
        "command_id": ack.command_id,
        "key_id": ack.key_id,
        "counter": ack.counter,
        "ts": ack.ts,
    }


_AFTER_WORDS = {
    "runs no bundle": "`py_rt deploy latest` puts the newest approved bundle into the slot",
    "a later approval is needed": "`py_rt bundle approve DIGEST` signs the next serial",
}
"""What to do next, where the reason of a failure has several."""


def _after_failure(ack: Acknowledgement) -> str:
    """What to do next after a failure."""
    by_words = next((step for words, step in _AFTER_WORDS.items() if words in ack.text), None)
    return by_words or NEXT_STEPS.get(str(ack.refusal), _ASK_STATUS)

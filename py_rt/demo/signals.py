"""Signals that end the demo: each becomes an exception, so that whatever was started is ended in order."""

from __future__ import annotations

import signal
from contextlib import contextmanager
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from collections.abc import Iterator
    from types import FrameType

ENDING = (signal.SIGINT, signal.SIGTERM, signal.SIGHUP)
STATUS_BASE = 128
"""A shell's exit status of what a signal ended: this and the signal's number."""


class StoppedBySignal(BaseException):
    """A signal asked the demo to end. No error of the program's: nothing that handles errors may catch it.

    Attributes:
        signal: which.
    """

    def __init__(self, number: int) -> None:
        """Name it.

        >>> StoppedBySignal(signal.SIGINT).status, str(StoppedBySignal(signal.SIGTERM))
        (130, 'SIGTERM')
        """
        self.signal = signal.Signals(number)
        super().__init__(self.signal.name)

    @property
    def status(self) -> int:
        """The exit status that says so."""
        return STATUS_BASE + self.signal


@contextmanager
def stoppable() -> Iterator[None]:
    """Raise `StoppedBySignal` in the main thread on the first such signal and on each further one.

    A hang-up that `nohup` made the process deaf to stays unheard.
    """

    def stop(number: int, _frame: FrameType | None) -> None:
        raise StoppedBySignal(number)

    heard = [number for number in ENDING if (number, signal.getsignal(number)) != (signal.SIGHUP, signal.SIG_IGN)]
    before = {number: signal.signal(number, stop) for number in heard}
    try:
        yield
    finally:
        for number, handler in before.items():
            signal.signal(number, handler)

"""Trying again, within bounds, and told to the log without what the other side said: that may hold a secret."""

from __future__ import annotations

import logging
import time
from functools import cache
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator

    from stamina import Attempt
    from stamina.instrumentation import RetryDetails

ATTEMPTS_MAX = 100
"""Most attempts that a definition may ask for."""

_LOG = logging.getLogger(__name__)


class Deadline:
    """When what is waited for must be there.

    Args:
        clock: seconds that only grow.
    """

    def __init__(self, clock: Callable[[], float] = time.monotonic) -> None:
        self._clock = clock
        self._end = float("inf")

    def begin(self, seconds: float) -> None:
        """Count from now."""
        self._end = self._clock() + seconds

    @property
    def is_over(self) -> bool:
        """Whether it has passed."""
        return self._clock() >= self._end

    def left(self, timeout: float | None) -> float:
        """How long one wait may take; 0 when it has passed.

        >>> deadline = Deadline(clock=lambda: 0.0)
        >>> deadline.begin(5.0)
        >>> deadline.left(2.0), deadline.left(None)
        (2.0, 5.0)
        """
        left = max(0.0, self._end - self._clock())
        return left if timeout is None else min(left, timeout)


def tries(on: Callable[[Exception], bool | float], attempts: int, wait_max_s: float) -> Iterator[Attempt]:
    """Attempts, each to be entered as a block, until one does not raise.

    Args:
        on: whether an error may pass, or how many seconds to wait for it.
        attempts: the most there are; the last error goes through.
        wait_max_s: longest wait between two.
    """
    import stamina

    _tell()
    yield from stamina.retry_context(
        on=on,
        attempts=attempts,
        timeout=None,  # the number of attempts and each wait are bounded
        wait_initial=min(0.1, wait_max_s),
        wait_max=wait_max_s,
        wait_jitter=min(1.0, wait_max_s),
    )


@cache
def _tell() -> None:
    """By default every retry is printed with all that its error says."""
    from stamina.instrumentation import set_on_retry_hooks

    set_on_retry_hooks([_log])


def _log(details: RetryDetails) -> None:
    kind = type(details.caused_by).__name__
    _LOG.info("attempt %d failed (%s); the next one in %.1f s", details.retry_num, kind, details.wait_for)

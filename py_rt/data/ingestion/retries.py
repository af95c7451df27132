"""Trying again, within bounds, and told to the log without what the other side said: that may hold a secret."""

from __future__ import annotations

import logging
from functools import cache
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator

    from stamina import Attempt
    from stamina.instrumentation import RetryDetails

ATTEMPTS_MAX = 100
"""Most attempts that a definition may ask for."""

_LOG = logging.getLogger(__name__)


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

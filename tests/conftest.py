"""What every test's process is like."""

from __future__ import annotations

import signal


def pytest_configure() -> None:
    """Let Ctrl-C mean what it means in a terminal.

    A shell starts what runs in the background with interrupts ignored, and every child would ignore them too: tests
    that stop a program as a person does would wait for ever.
    """
    if signal.getsignal(signal.SIGINT) is signal.SIG_IGN:
        signal.signal(signal.SIGINT, signal.default_int_handler)

"""Programs that tests start: whatever happens meanwhile, nothing of them is left running."""

from __future__ import annotations

import os
import signal
import subprocess
from contextlib import contextmanager, suppress
from pathlib import Path
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from collections.abc import Iterator, Sequence

SESSION = 3
"""Place of the session among what `/proc/<pid>/stat` says behind the name; 0 is the state."""


@contextmanager
def session(line: Sequence[str], **options: Any) -> Iterator[subprocess.Popen[str]]:  # noqa: ANN401  # Popen's own
    """A program at the head of a session of its own, which is killed at the end, whatever of it runs still.

    Args:
        line: the command.
        options: of `subprocess.Popen`.
    """
    process = subprocess.Popen(line, text=True, start_new_session=True, **options)
    try:
        yield process
    finally:
        while left := session_of(process.pid):
            for pid in left:
                with suppress(ProcessLookupError):
                    os.kill(pid, signal.SIGKILL)
            process.poll()  # so that the head does not stay as a dead entry
        process.wait()
        for pipe in filter(None, (process.stdin, process.stdout, process.stderr)):
            pipe.close()


def session_of(head: int) -> list[int]:
    """Processes of a session that still run, whichever group they are in and whoever started them."""
    found = []
    for folder in Path("/proc").iterdir():
        if not folder.name.isdecimal():
            continue
        try:
            state, *facts = (folder / "stat").read_text(encoding="utf-8").rpartition(")")[2].split()
        except OSError:  # it has just ended
            continue
        if state not in {"Z", "X"} and int(facts[SESSION - 1]) == head:
            found.append(int(folder.name))
    return found

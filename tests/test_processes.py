"""Programs that tests start are gone after a test, one that fails included."""

from __future__ import annotations

import subprocess

import pytest

from tests.processes import session, session_of

# A child in a group of its own, one that is deaf to requests, and the head itself.
PROGRAM = """
import os, signal, subprocess, sys, time
signal.signal(signal.SIGTERM, signal.SIG_IGN)
subprocess.Popen(["sleep", "1000"], process_group=0)
subprocess.Popen(["sleep", "1000"])
print("started", flush=True)
time.sleep(1000)
"""


def test_a_test_that_fails_leaves_no_process_behind() -> None:
    heads = []

    def failing() -> None:
        with session(["python3", "-c", PROGRAM], stdout=subprocess.PIPE) as head:
            heads.append(head.pid)
            assert head.stdout is not None
            assert head.stdout.readline() == "started\n"
            assert len(session_of(head.pid)) == 3
            raise RuntimeError("as an assertion would")

    with pytest.raises(RuntimeError):
        failing()
    assert not session_of(heads[0])


def test_a_program_that_has_ended_keeps_its_status() -> None:
    with session(["python3", "-c", "import sys; sys.exit(3)"]) as head:
        head.wait()
    assert head.returncode == 3

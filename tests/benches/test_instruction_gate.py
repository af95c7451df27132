"""Reading and book keep to their committed numbers of instructions, which a busy machine does not change.

What `cargo test` built is counted, without incremental caches as in `.ci/run`: another profile than `make bench` has,
with its own committed counts. To commit the counts of a change that is worth them:

    PYTHONPATH=. CARGO_INCREMENTAL=0 CARGO_PROFILE_DEV_DEBUG=none python tests/benches/test_instruction_gate.py --write
"""

from __future__ import annotations

import os
import subprocess
import sys
from pathlib import Path
from typing import TYPE_CHECKING

import pytest

from benches import instructions
from benches.programs import PROGRAMS, ROOT, Program, executables

if TYPE_CHECKING:
    from collections.abc import Mapping

    from benches.instructions import Count

BASELINE = Path(__file__).with_name("instructions.json")
GATED = tuple(program for program in PROGRAMS if program.name in {"hot_path", "book"})

# More than this share above the committed count fails.
TOLERANCE = 0.02

# As `make test` builds, so that nothing is built anew.
BUILD = (
    *("cargo", "test", "--no-run", "--locked", "--workspace", "--exclude", "py_rt_core", "--all-targets"),
    "--message-format=json-render-diagnostics",
)


def counted(program: Program, known: Mapping[str, float]) -> list[Count]:
    """The program's counts, on the streams that need no recording."""
    environment = {**os.environ, "PYO3_NO_PYTHON": "1"}
    done = subprocess.run(BUILD, cwd=ROOT, stdout=subprocess.PIPE, text=True, check=True, env=environment)
    return instructions.count(program, executables(done.stdout)[program.name], known)


@pytest.mark.parametrize("program", GATED, ids=lambda program: str(program.name))
def test_reading_and_book_take_no_more_instructions(
    program: Program, monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    if reason := instructions.absent():
        pytest.skip(reason)
    if os.environ.get("CARGO_INCREMENTAL") != "0":
        pytest.skip("an incremental build divides its code otherwise: CARGO_INCREMENTAL=0, as .ci/run has it")
    known = instructions.committed(BASELINE)
    if not known:
        pytest.skip(f"the committed counts were made with other tools than {instructions.tools()}")
    monkeypatch.setenv("PY_RT_SHARED_DATA", str(tmp_path))
    counts = counted(program, known)
    assert len(counts) == len(program.counted)
    assert all(each.committed is not None for each in counts), "commit a count for each function"
    grown = [each.sentence() for each in counts if each.each > (each.committed or 0) * (1 + TOLERANCE)]
    assert not grown, f"write the counts anew if the change is worth it: see {Path(__file__).name}"


def write() -> None:
    """Commits what is counted now."""
    os.environ["PY_RT_SHARED_DATA"] = os.devnull
    counts = [each for program in GATED for each in counted(program, {})]
    instructions.write(counts, BASELINE)
    sys.stdout.write("".join(f"{each.sentence()}\n" for each in counts))


if __name__ == "__main__":
    if sys.argv[1:] != ["--write"]:
        sys.exit(__doc__)
    write()

"""What the tidy tests read: the project's own files, and Rust code without its comments and strings."""

from __future__ import annotations

import re
import subprocess
from functools import cache
from pathlib import Path

ROOT = Path(__file__).resolve().parents[2]
RUST_WIRE = "native/messaging/src/wire/"
PYTHON_WIRE = "py_rt/bridge/wire/"
BANNER = "Generated from proto/py_rt/wire/v1 by `make proto`. Do not edit."

# Outside a git checkout (an unpacked archive) these folders are not ours.
_FOREIGN = {".git", ".tools", ".venv", ".py_rt", "build", "dist", "target", "wheel.data", "__pycache__"}

_RUST_NOISE = re.compile(
    r"""
      //[^\n]*                                        # line comment
    | /\*.*?\*/                                       # block comment
    | \b[bc]?r(?P<hashes>\#*)".*?"(?P=hashes)         # raw string
    | [bc]?"(?:\\.|[^"\\])*"                          # string
    | b?'(?:\\(?:u\{[^}]*\}|x..|.)|[^\\'\n])'         # character, not a lifetime
    """,
    re.DOTALL | re.VERBOSE,
)


@cache
def files() -> tuple[Path, ...]:
    """Every file of the project that git tracks or would track, relative to the root."""
    if (ROOT / ".git").exists():
        command = ["git", "ls-files", "--cached", "--others", "--exclude-standard", "-z"]
        listed = subprocess.run(command, cwd=ROOT, check=True, capture_output=True, text=True).stdout
        paths = [Path(name) for name in listed.split("\0") if name]
    else:
        paths = [path.relative_to(ROOT) for path in ROOT.rglob("*")]
        paths = [path for path in paths if not _FOREIGN & set(path.parts)]
    return tuple(sorted({path for path in paths if (ROOT / path).is_file()}))


def with_suffix(*suffixes: str) -> list[Path]:
    """The project's files whose name ends so."""
    return [path for path in files() if path.suffix in suffixes]


def is_generated(path: Path) -> bool:
    """Whether `make proto` writes the file."""
    name = path.as_posix()
    if name.startswith(RUST_WIRE):
        return path.name != "mod.rs"
    return name.startswith(PYTHON_WIRE) and path.name != "__init__.py"


def read(path: Path) -> str:
    """The text of one of the project's files."""
    return (ROOT / path).read_text(encoding="utf-8")


def bare_rust(text: str) -> str:
    """The code with comments blanked and strings and characters replaced by hashes; lines and columns stay.

    >>> bare_rust('let a = "}"; // }')
    'let a = ###;     '
    """

    def blank(match: re.Match[str]) -> str:
        filler = " " if match.group().startswith("/") else "#"
        return re.sub(r"[^\n]", filler, match.group())

    return _RUST_NOISE.sub(blank, text)

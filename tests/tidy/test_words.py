"""Names and words that have no place here, and files that are not written by hand."""

from __future__ import annotations

import re
from typing import TYPE_CHECKING

import pytest

from tests.tidy import sources

if TYPE_CHECKING:
    from pathlib import Path

TEXT = (".py", ".pyi", ".rs", ".toml", ".md", ".yaml", ".yml", ".proto", ".json", ".ipynb", "")

BANNED_NAMES = {"common", "helper", "helpers", "misc", "util", "utils"}
MANAGERS = {"io_managers", "order_manager"}

# Joined from halves, so that this file does not hold the words itself: whatever else looks for them finds none here.
MARKS = "|".join(("TO" + "DO", "FIX" + "ME", "XX" + "X", "HA" + "CK"))
PANICS = "|".join(("to" + "do", "un" + "implemented"))

UNFINISHED = {
    "a to-do mark": re.compile(rf"\b({MARKS})\b"),
    "a panic in place of code": re.compile(rf"\b({PANICS})!\s*[(\[{{]"),
    "an error in place of code": re.compile(r"\bNot" + r"ImplementedError\b"),
    "a test that cannot fail": re.compile(r"^\s*assert" + r" True\b|\bassert!" + r"\(true\)", re.MULTILINE),
    "a skip without a reason": re.compile(r"pytest\.mark\.(skip|xfail)\b(?!\()|pytest\.(mark\.)?skip\(\)|#\[ignore\]"),
}

# What a merge leaves where two changes met.
CONFLICT = re.compile(r"^(<{7}|>{7}|\|{7})( .*)?$", re.MULTILINE)

# A path of one machine: an absolute path into a place that only some machines have.
MACHINE_PATH = re.compile(r"(?<![\w.~$}>-])/(work|home|root|Users|mnt|opt)/\w")


def texts(*suffixes: str) -> list[Path]:
    """The project's text files, without lock files and generated files; this one is among them."""
    return [
        path for path in sources.with_suffix(*suffixes) if path.suffix != ".lock" and not sources.is_generated(path)
    ]


def findings(pattern: re.Pattern[str], *suffixes: str) -> list[str]:
    found = []
    for path in texts(*suffixes):
        text = sources.read(path)
        for match in pattern.finditer(text):
            line = text.count("\n", 0, match.start()) + 1
            found.append(f"{path}:{line}: {match.group().strip()}")
    return found


def test_names_say_what_is_inside() -> None:
    vague = []
    for path in sources.files():
        # The specification names proto's common.proto.
        if path.parts[0] == "proto" or sources.is_generated(path):
            continue
        parts = {part.split(".")[0] for part in path.parts}
        vague += [f"{path}: {part}" for part in parts if part in BANNED_NAMES]
        vague += [
            f"{path}: {part}"
            for part in parts
            if part.endswith(("manager", "managers")) and part.removeprefix("test_") not in MANAGERS
        ]
    for path in sources.with_suffix(".rs"):
        bare = sources.bare_rust(sources.read(path))
        vague += [f"{path}: mod {name}" for name in re.findall(r"\bmod\s+(\w+)", bare) if name in BANNED_NAMES]
    assert not vague, "\n".join(vague)


@pytest.mark.parametrize("what", UNFINISHED)
def test_nothing_is_left_unfinished(what: str) -> None:
    found = findings(UNFINISHED[what], ".py", ".pyi", ".rs", ".proto", ".toml", ".yaml", ".yml")
    assert not found, f"{what}:\n" + "\n".join(found)


def test_no_conflict_is_left() -> None:
    found = findings(CONFLICT, *TEXT)
    assert not found, "\n".join(found)


def test_no_path_of_one_machine() -> None:
    found = findings(MACHINE_PATH, *TEXT)
    assert not found, "\n".join(found)


def test_generated_files_say_so_and_no_other_does() -> None:
    wrong = []
    for path in sources.with_suffix(".py", ".pyi", ".rs"):
        says_so = sources.BANNER in sources.read(path).split("\n", 1)[0]
        if says_so != sources.is_generated(path):
            wrong.append(f"{path}: {'says it is generated' if says_so else 'has no header; run `make proto`'}")
    assert not wrong, "\n".join(wrong)

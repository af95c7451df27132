"""docs/reference/specification.md: what it names exists, and what the specification names is in it."""

from __future__ import annotations

import os
import re
from pathlib import Path
from typing import NamedTuple

import pytest

from tests.tidy import sources

TABLE = Path("docs/reference/specification.md")

# Made by the build, so not in a fresh checkout.
_BUILT = (".venv/",)
_QUOTED = re.compile(r"`([^`]+)`")
_TREE_LINE = re.compile(r"^[│ ]*[├└]── ([\w.]+\.(?:py|rs|proto)|notebooks/)", re.MULTILINE)
_SUBSECTION = re.compile(r"^([123]\.\d) ", re.MULTILINE)
_KEY = re.compile(r"^(\w+) = ", re.MULTILINE)


class Row(NamedTuple):
    """One line of a table: the section it stands under, and its three cells."""

    section: str
    item: str
    where: str
    command: str


def rows() -> list[Row]:
    found, section = [], ""
    for line in sources.read(TABLE).splitlines():
        if line.startswith("#"):
            section = line.lstrip("# ").split(" ", 1)[0].rstrip(".")
        cells = [cell.strip() for cell in line.strip("|").split("|")] if line.startswith("|") else []
        if not cells or cells[0] == "Ordered" or set(cells[0]) <= {"-"}:
            continue
        assert len(cells) == 3, f"{TABLE}: a row has three cells: {line}"
        found.append(Row(section, *cells))
    return found


def named_paths(text: str) -> list[str]:
    """Words in backticks that look like paths of the project, without what follows `::`.

    >>> named_paths("`a/b.rs`, `make test`, `.venv/bin/python -m pytest tests/x.py::test_y`")
    ['a/b.rs', 'tests/x.py']
    """
    words = [word.split("::")[0] for quoted in _QUOTED.findall(text) for word in quoted.split()]
    looks_so = [word for word in words if "/" in word or word.endswith((".py", ".rs", ".toml", ".md", ".yaml"))]
    return [word for word in looks_so if not word.startswith(_BUILT)]


def specification() -> str:
    """The specification's text; it is not part of this repository."""
    given = os.environ.get("PY_RT_SPECIFICATION")
    path = Path(given) if given else sources.ROOT.parent / "shared" / "specification.txt"
    if not path.is_file():
        pytest.skip(f"no specification at {path}: set PY_RT_SPECIFICATION to its text to compare the table with it")
    return path.read_text(encoding="utf-8")


def between(text: str, start: str, end: str) -> str:
    """The text from the line `start` to the line `end`."""
    assert f"\n{start}\n" in text, f"the specification has no line {start!r}"
    rest = text.split(f"\n{start}\n", 1)[1]
    assert f"\n{end}\n" in rest, f"the specification has no line {end!r} after {start!r}"
    return rest.split(f"\n{end}\n", 1)[0]


def test_every_named_path_exists() -> None:
    files = {path.as_posix() for path in sources.files()}
    folders = {parent.as_posix() for path in sources.files() for parent in path.parents}
    named = {path.rstrip("/") for path in named_paths(sources.read(TABLE))}
    assert len(named) > 100, "the table names almost nothing: is it still read right?"
    missing = sorted(named - files - folders)
    assert not missing, f"{TABLE} names {missing}, which the project does not have"


def test_each_row_shows_what_it_claims_or_says_not_yet() -> None:
    bare = [row.item for row in rows() if "not yet" not in row.where and not named_paths(row.where)]
    assert not bare, f"{TABLE}: neither a path nor 'not yet' for {bare}"
    unshown = [row.item for row in rows() if "not yet" not in row.where and not _QUOTED.search(row.command)]
    assert not unshown, f"{TABLE}: no command shows {unshown}"


def test_every_module_file_of_the_specification_has_a_row_in_its_section() -> None:
    text = between(specification(), "1. Python Offline Architecture", "4. Architecture Diagrams")
    parts = _SUBSECTION.split(text)[1:]
    ordered = [
        (section, name)
        for section, body in zip(parts[::2], parts[1::2], strict=True)
        for name in _TREE_LINE.findall(body)
    ]
    assert len(ordered) > 60, "the specification's trees were not read"
    items = {(row.section, row.item) for row in rows()}
    missing = [f"{section} {name}" for section, name in ordered if (section, name) not in items]
    assert not missing, f"{TABLE} has no row for {missing}"


def test_every_configuration_key_of_the_specification_has_a_row() -> None:
    text = between(specification(), "Appendix B: Configuration Examples", "End of Architecture Document")
    ordered = _KEY.findall(text)
    assert len(ordered) > 20, "the specification's keys were not read"
    items = {row.item for row in rows() if row.section in {"B.1", "B.2"}}
    missing = [key for key in ordered if key not in items]
    assert not missing, f"{TABLE} has no row for {missing}"

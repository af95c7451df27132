"""ARCHITECTURE.md is a map: whoever stands in a room finds the room on it."""

from __future__ import annotations

from pathlib import Path

from tests.tidy import sources

HOUSES = ("native", "py_rt", "assets", "pipelines", "tests", "config")


def rooms() -> set[str]:
    """Each folder of the root, and in each house its folders and its Python modules."""
    found = {path.parts[0] for path in sources.files() if len(path.parts) > 1 and not path.parts[0].startswith(".")}
    for path in sources.files():
        if path.parts[0] not in HOUSES or len(path.parts) == 1:
            continue
        if len(path.parts) > 2:
            found.add(path.parts[1])
        elif path.suffix == ".py" and path.name != "__init__.py":
            found.add(path.name)
    return found


def test_the_architecture_names_each_room() -> None:
    text = sources.read(Path("ARCHITECTURE.md"))
    missing = sorted(room for room in rooms() if room not in text)
    assert not missing, f"ARCHITECTURE.md does not name {missing}"

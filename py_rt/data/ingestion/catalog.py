"""Every source by name: definitions in TOML, and classes of installed packages.

Looked at in this order; the first that knows a name has it:

1. `config/sources/<name>.toml` below the working folder, then below the installed package;
2. the bundled ones;
3. entry points of the group `py_rt.sources`: each names a callable without arguments that makes a source.
"""

from __future__ import annotations

import importlib
from importlib.metadata import entry_points
from pathlib import Path
from typing import TYPE_CHECKING, Any

from py_rt.data.ingestion.definition import DefinitionError, read_definition
from py_rt.data.ingestion.source import PartitionedSource
from py_rt.data.schemas import TABLES
from py_rt.defaults import default_root
from py_rt.errors import SourceError

if TYPE_CHECKING:
    from collections.abc import Callable, Mapping

    from py_rt.data.ingestion.definition import Definition

ENTRY_POINT_GROUP = "py_rt.sources"
FOLDER = Path("config") / "sources"

KINDS: Mapping[str, str] = {
    "rest": "py_rt.data.ingestion.rest:RestSource",
    "files": "py_rt.data.ingestion.files:FileSource",
    "database": "py_rt.data.ingestion.database:DatabaseSource",
    "rss": "py_rt.data.ingestion.feeds:RssSource",
    "pages": "py_rt.data.ingestion.pages:PageSource",
    "ccxt": "py_rt.data.ingestion.exchange:CcxtSource",
    "bars": "py_rt.data.ingestion.bars:BarSource",
    "lean_ticks": "py_rt.data.ingestion.lean_ticks:LeanTickSource",
}
"""What a definition's `kind` may be, and the class that makes a source of it."""


BUILT_IN: Mapping[str, str] = {
    "bundled_stocks": "py_rt.data.ingestion.bundled:stocks",
    "bundled_indices": "py_rt.data.ingestion.bundled:indices",
}
"""Sources that need no definition."""


def folders() -> list[Path]:
    """Where definitions are looked for."""
    shipped = default_root() / FOLDER
    own = Path.cwd() / FOLDER
    return [own] if own.resolve() == shipped.resolve() else [own, shipped]


def definitions() -> dict[str, Path]:
    """Every definition by name."""
    found: dict[str, Path] = {}
    for folder in folders():
        for path in sorted(folder.glob("*.toml")):
            found.setdefault(path.stem, path)
    return found


def known_sources() -> list[str]:
    """Names of everything that can be opened."""
    return sorted({*BUILT_IN, *definitions(), *(point.name for point in entry_points(group=ENTRY_POINT_GROUP))})


def source_of(definition: Definition) -> PartitionedSource:
    """Make the source that a definition describes.

    Raises:
        DefinitionError: its kind is not known, or refuses its options.
    """
    if definition.kind not in KINDS:
        raise DefinitionError(f"{definition.path}:1: kind: is {definition.kind!r}; allowed are {', '.join(KINDS)}")
    made = _named(KINDS[definition.kind]).make(definition)
    if not isinstance(made, PartitionedSource):
        raise DefinitionError(f"{definition.path}:1: kind {definition.kind} makes no source")
    return made


def open_source(name: str) -> PartitionedSource:
    """Make a source from its name, or from the path of its definition.

    Raises:
        DefinitionError: its definition is wrong.
        SourceError: no source has that name, its entry point does not make one, or one of our tables has that name.
    """
    made = _opened(name)
    if made.table.name in TABLES:
        problem = "is the name of a table that py_rt makes itself; call the source otherwise"
        raise SourceError(made.table.name, "configuration", None, problem)
    return made


def _opened(name: str) -> PartitionedSource:
    path = definitions().get(name)
    if path is None and name.endswith(".toml") and Path(name).is_file():
        path = Path(name)
    if path is not None:
        return source_of(read_definition(path))
    if name in BUILT_IN:
        return _loaded(name, BUILT_IN[name], lambda: _named(BUILT_IN[name]))
    for point in entry_points(group=ENTRY_POINT_GROUP):
        if point.name == name:
            return _loaded(name, point.value, point.load)
    known = ", ".join(known_sources()) or "none yet"
    problem = f"is no known source; known are {known}. Put a definition at {FOLDER / f'{name}.toml'}"
    raise SourceError(name, "configuration", None, problem)


def _named(place: str) -> Any:  # noqa: ANN401  # a class or a function
    module, _, name = place.partition(":")
    return getattr(importlib.import_module(module), name)


def _loaded(name: str, place: str, load: Callable[[], Any]) -> PartitionedSource:
    try:
        maker = load()
        made = maker() if callable(maker) else maker
    except Exception as error:
        # An installed package is anybody's code: a slip in it must not stop what lists all sources.
        raise SourceError(name, place, None, f"cannot be loaded: {type(error).__name__}: {error}") from error
    if not isinstance(made, PartitionedSource):
        raise SourceError(name, place, None, "does not make an object with table, fetch() and rows()")
    if made.table.name != name:
        raise SourceError(name, place, None, f"makes a source called {made.table.name}; the names must be the same")
    return made

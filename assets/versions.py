"""Which code makes an asset: the text it runs, the files it reads, the engine and the libraries behind it.

Dagster keeps this as the code version of every materialisation, so that what was made by other code is seen as stale.
Nothing is imported to find it: training libraries load slowly.
"""

import ast
import hashlib
import importlib.util
import sys
from collections.abc import Iterator, Sequence
from functools import cache
from importlib.metadata import PackageNotFoundError, version
from pathlib import Path
from types import ModuleType

_ROOT = Path(__file__).resolve().parent.parent
_FOLLOWED = "py_rt"
_BESIDE = ("assets", "pipelines")
_ENGINE = "py_rt_core"
_NO_PART = frozenset({"dagster"})
"""Starts steps and keeps records; no number depends on its version."""

_DISTRIBUTIONS = {"sklearn": "scikit-learn", "google": "protobuf"}
"""Distributions that are not called as what they import."""


def code_version(*modules: ModuleType | str, files: Sequence[Path] = ()) -> str:
    """A short hash of everything that makes an asset.

    Modules of `py_rt` count with all that they import, directly or not: their own text, the engine's binary where it
    is among them, and the versions of other libraries. A module of `assets` counts with its own text only, because it
    imports its neighbors.

    Args:
        modules: that the asset runs, as modules or by name.
        files: configuration that it reads.

    Raises:
        ModuleNotFoundError: a module of ours has no source file.
    """
    digest = hashlib.sha256()
    names = [module if isinstance(module, str) else module.__name__ for module in modules]
    for name, content in _reached(names):
        digest.update(f"{name}\n{content}\n".encode())
    for file in files:
        digest.update(f"{file.name}\n{hashlib.sha256(file.read_bytes()).hexdigest()}\n".encode())
    return digest.hexdigest()[:16]


def _reached(names: Sequence[str]) -> Iterator[tuple[str, str]]:
    """Every module that the named ones run, with what stands for its content, by name."""
    found: dict[str, str] = {}
    waiting = list(names)
    while waiting:
        name = waiting.pop()
        top = name.partition(".")[0]
        if top in {_FOLLOWED, *_BESIDE}:
            if name not in found:
                found[name], imported = _read(name)
                waiting += imported if top == _FOLLOWED else ()
        elif top == _ENGINE:
            found[top] = _engine()
        elif top not in sys.stdlib_module_names and top not in _NO_PART:
            found[top] = _library(top)
    yield from sorted(found.items())


def _path(name: str) -> Path | None:
    place = _ROOT.joinpath(*name.split("."))
    return next((file for file in (place.with_suffix(".py"), place / "__init__.py") if file.is_file()), None)


@cache
def _read(name: str) -> tuple[str, tuple[str, ...]]:
    """The hash of a module's text, and the modules that it imports when it runs."""
    path = _path(name)
    if path is None:
        raise ModuleNotFoundError(f"{name} has no source file below {_ROOT}")
    text = path.read_bytes()
    return hashlib.sha256(text).hexdigest(), tuple(sorted(_imports(ast.parse(text))))


def _imports(node: ast.AST) -> Iterator[str]:
    for part in ast.iter_child_nodes(node):
        if isinstance(part, ast.If) and isinstance(part.test, ast.Name) and part.test.id == "TYPE_CHECKING":
            continue
        if isinstance(part, ast.Import):
            yield from (alias.name for alias in part.names)
        elif isinstance(part, ast.ImportFrom) and part.module is not None:
            yield from {_module_of(part.module, alias.name) for alias in part.names}
        else:
            yield from _imports(part)


def _module_of(package: str, name: str) -> str:
    """What `from package import name` runs: a module of that name, or the package itself."""
    ours = package.partition(".")[0] == _FOLLOWED
    return f"{package}.{name}" if ours and _path(f"{package}.{name}") is not None else package


@cache
def _engine() -> str:
    """The engine by its binary: it is built from many crates, and one built anew may answer otherwise."""
    spec = importlib.util.find_spec(_ENGINE)
    folders = spec.submodule_search_locations if spec is not None else None
    binaries = sorted(file for folder in folders or () for file in Path(folder).glob("*.so"))
    if not binaries:
        raise ModuleNotFoundError(f"{_ENGINE} is not built: run make build")
    return hashlib.sha256(b"".join(file.read_bytes() for file in binaries)).hexdigest()


@cache
def _library(name: str) -> str:
    try:
        return version(_DISTRIBUTIONS.get(name, name))
    except PackageNotFoundError:
        return "not installed"

"""The catalogue of features: every formula as an expression, with its source, in `config/features/catalogue/*.toml`.

A file has `family` and `source`, and a table `[[feature]]` for each feature: `name`, `expression`, `what`, and where
it has them `source` (of its own), `ta_lib` (the function of TA-Lib that defines the same) and `each`: lists of equal
length whose items stand for `{...}` in the other texts, one feature for each place. An expression may name other
features.

A file may name `[columns]` that its features read beside those of bars, with their units (number, price or quantity):
what became known of an instrument at some time and is carried to the bars behind it.

A table may say `kind = "expression"` and its `unit`, as a model's feature file does: then the unit must be the one that
the expression has.

A feature of research may be arbitrary Python instead: `python = "file.py:function"`, beside the file that names it,
with `offline = true`. It can be computed and checked, and never enters a bundle: the service runs expressions only.
"""

from __future__ import annotations

import re
import tomllib
from collections import Counter
from dataclasses import dataclass
from difflib import get_close_matches
from functools import cache
from typing import TYPE_CHECKING, Any

from py_rt.defaults import default_root
from py_rt.errors import PyRtError

if TYPE_CHECKING:
    from collections.abc import Iterator, Mapping, Sequence
    from pathlib import Path

FEATURES_MAX = 4_096
"""Most features of one file."""

UNITS = ("number", "price", "quantity")
"""What a column may be in."""

_KEYS = {"name", "expression", "what", "source", "ta_lib", "each", "python", "offline", "kind", "unit"}
_TEXTS = ("what", "source", "ta_lib", "unit")
_FILE_KEYS = {"family", "source", "columns", "feature"}
_NAME = re.compile(r"[a-z_][a-z0-9_]*")
_WORDS = {"and", "or", "not", "if", "number", "is_warm"}
"""Words of the language, and columns of the tables that features are computed from and into."""


class CatalogueError(PyRtError):
    """A catalogue or a set of features that is refused, or a name that it does not have."""


@dataclass(frozen=True, slots=True)
class Feature:
    """One feature.

    Attributes:
        name: of its column.
        expression: the formula, in the language of `engine::signals::program`.
        what: it says, in words.
        source: of the formula.
        family: which part of the catalogue it belongs to.
        ta_lib: the call of TA-Lib that defines the same, or nothing.
        python: `path:function` of a feature that is no expression; it stays offline.
        unit: of its values, where its file says one.
        columns: names and units of the other columns that its file's features read.
    """

    name: str
    expression: str
    what: str
    source: str
    family: str
    ta_lib: str = ""
    python: str = ""
    unit: str = ""
    columns: tuple[tuple[str, str], ...] = ()


@cache
def catalogue() -> Mapping[str, Feature]:
    """Every feature that comes with the project, by name, in the order of the files."""
    folder = default_root() / "config" / "features" / "catalogue"
    found: dict[str, Feature] = {}
    for path in sorted(folder.glob("*.toml")):
        for feature in read_features(path):
            if feature.name in found:
                raise CatalogueError(f"{path}: feature {feature.name!r} is defined twice; give each its own name")
            found[feature.name] = feature
    return found


def read_features(path: Path) -> list[Feature]:
    """Read a file of features; one without an expression is taken from the catalogue.

    Raises:
        CatalogueError: what is wrong with which feature of the file, and what is allowed.
    """
    try:
        tables = tomllib.loads(path.read_text(encoding="utf-8"))
    except OSError as error:
        raise CatalogueError(f"cannot read {path}: {error.strerror}") from error
    except (tomllib.TOMLDecodeError, UnicodeDecodeError) as error:
        raise CatalogueError(f"{path} is no TOML: {error}") from error
    if "slow" in tables:
        raise CatalogueError(
            f"{path}: [[slow]] belongs to a model's feature file, which says the length of its bars: write "
            "bar_seconds = 900, or theirs, above the first table"
        )
    if unknown := sorted(tables.keys() - _FILE_KEYS):
        raise CatalogueError(f"{path}: unknown key {', '.join(unknown)}; allowed are {', '.join(sorted(_FILE_KEYS))}")
    entries = tables.get("feature")
    if not isinstance(entries, list) or not entries:
        raise CatalogueError(f"{path} has no table [[feature]]; each feature is one, with name and expression")
    tables["columns"] = _columns(path, tables)
    features = [feature for at, entry in enumerate(entries) for feature in _features(path, at, entry, tables)]
    if len(features) > FEATURES_MAX:
        raise CatalogueError(f"{path} has {len(features)} features; allowed are {FEATURES_MAX}")
    counts = Counter([*(feature.name for feature in features), *tables["columns"]])
    if repeated := [name for name, count in counts.items() if count > 1]:
        raise CatalogueError(f"{path}: {', '.join(repeated)} stands for several things; give each its own name")
    return features


def redefined(features: Sequence[Feature]) -> list[str]:
    """Names that the catalogue has for something else.

    >>> redefined([Feature("rsi_14", "close", "", "", ""), Feature("mine", "close", "", "", "")])
    ['rsi_14']
    """
    known = catalogue()
    return [
        feature.name
        for feature in features
        if feature.name in known and feature.expression != known[feature.name].expression
    ]


def nearest(name: str) -> str:
    """What the catalogue has that is called much like a name, or is TA-Lib's function of that name; for a message.

    >>> nearest("RSI_14"), nearest("CDLHAMMER"), nearest("?")
    ('; near are rsi_14, ...', '; near are hammer', '')
    """
    known = catalogue()
    low = name.lower()
    same = [one.name for one in known.values() if one.ta_lib.partition("(")[0].lower() == low]
    near = list(dict.fromkeys([*same, *get_close_matches(low, known, n=5)]))[:5]
    return f"; near are {', '.join(near)}" if near else ""


def check_name(where: str, name: object) -> str:
    """A name that expressions may use, and that stands for nothing else.

    Raises:
        CatalogueError: it has other letters, or is one of the columns of bars or a word of the language.
    """
    import py_rt_core

    if not isinstance(name, str) or not _NAME.fullmatch(name):
        raise CatalogueError(f"{where}: the name {name!r} may have a to z, 0 to 9 and _, and begins with no digit")
    if name in _WORDS or name in py_rt_core.feature_inputs():
        raise CatalogueError(f"{where}: the name {name!r} is a column's or a word of expressions; take another")
    return name


def _columns(path: Path, tables: Mapping[str, Any]) -> dict[str, str]:
    """Names and units of other columns."""
    columns = tables.get("columns", {})
    if not isinstance(columns, dict):
        raise CatalogueError(f"{path}: columns is {columns!r}; allowed is a table of names and units")
    for name, unit in columns.items():
        check_name(f"{path}: [columns]", name)
        if unit not in UNITS:
            raise CatalogueError(f"{path}: [columns] {name} = {unit!r}; allowed are {', '.join(UNITS)}")
    return columns


def _features(path: Path, at: int, entry: Any, tables: Mapping[str, Any]) -> Iterator[Feature]:  # noqa: ANN401
    where = f"{path}: feature {at + 1}"
    if not isinstance(entry, dict) or not isinstance(entry.get("name"), str):
        raise CatalogueError(f"{where} has no name")
    where = f"{where} ({entry['name']})"
    if unknown := sorted(entry.keys() - _KEYS):
        raise CatalogueError(f"{where}: unknown key {', '.join(unknown)}; allowed are {', '.join(sorted(_KEYS))}")
    if "python" in entry:
        yield _python(where, path, entry)
        return
    if "expression" not in entry:
        yield _known(where, entry["name"])
        return
    if entry.get("kind", "expression") != "expression":
        raise CatalogueError(
            f'{where}: kind = {entry["kind"]!r}; a set has expressions, as kind = "expression"; other kinds stand in '
            "the feature file of a model, which says bar_seconds"
        )
    texts = {key: entry.get(key, tables.get(key, "")) for key in ("name", "expression", *_TEXTS)}
    if wrong := sorted(key for key, text in texts.items() if not isinstance(text, str)):
        raise CatalogueError(f"{where}: {', '.join(wrong)} must be text")
    for items in _each(where, entry.get("each", {})):
        made = {key: _filled(where, text, items) for key, text in texts.items()}
        check_name(where, made["name"])
        family = str(tables.get("family", path.stem))
        yield Feature(**made, family=family, columns=tuple(tables["columns"].items()))


def _known(where: str, name: str) -> Feature:
    feature = catalogue().get(name)
    if feature is None:
        raise CatalogueError(f"{where}: has no expression, and the catalogue has no feature of its name{nearest(name)}")
    return feature


def _python(where: str, path: Path, entry: Mapping[str, Any]) -> Feature:
    file, _, function = str(entry["python"]).partition(":")
    if not function or "expression" in entry:
        raise CatalogueError(f'{where}: python is "file.py:function", in the place of an expression')
    if entry.get("offline") is not True:
        raise CatalogueError(
            f"{where}: is arbitrary Python, which the service cannot run: write offline = true to use it in research, "
            "or write it as an expression (`py_rt features functions` lists what expressions know) to trade on it"
        )
    place = f"{(path.parent / file).resolve()}:{function}"
    return Feature(
        check_name(where, entry["name"]),
        "",
        str(entry.get("what", "")),
        str(entry.get("source", "")),
        "offline",
        python=place,
    )


def _each(where: str, lists: Any) -> Iterator[dict[str, object]]:  # noqa: ANN401
    """What stands for the names in braces, once for each place of the lists."""
    if not isinstance(lists, dict) or not all(isinstance(items, list) and items for items in lists.values()):
        raise CatalogueError(f"{where}: each is a table of lists that are not empty")
    if len({len(items) for items in lists.values()}) > 1:
        raise CatalogueError(f"{where}: the lists of each must have equal lengths")
    if not lists:
        yield {}
        return
    for items in zip(*lists.values(), strict=True):
        yield dict(zip(lists, items, strict=True))


def _filled(where: str, text: str, items: Mapping[str, object]) -> str:
    for name, item in items.items():
        text = text.replace("{" + name + "}", str(item))
    if "{" in text or "}" in text:
        raise CatalogueError(f"{where}: {text!r} has braces that no list of each fills")
    return text

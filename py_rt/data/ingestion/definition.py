"""A source in one TOML file, `config/sources/<name>.toml`: what it is called, where it is, what its rows are.

::

    kind = "rest"                      # rest, database, files, rss, pages, ccxt, bars, lean_ticks
    description = "Hourly open interest"
    partition = "day"                  # day, key or next
    first_day = 2024-01-01             # of a day source
    key = ["ts"]

    [options]                          # of the kind, see its module
    url = "https://.../{date}"

    [[column]]
    name = "ts"
    from = "timestamp"
    type = "time"

    [known]                            # when a row could first be known; without it, when it arrived
    column = "ts"
    lag_seconds = 60

    [expect]
    rows_min = 24

Every fault is reported at once, with its line where the file has one. A file never holds a secret: it names the
variable of the environment that does.
"""

from __future__ import annotations

import hashlib
import re
import tomllib
from dataclasses import dataclass, field, fields
from datetime import date
from difflib import get_close_matches
from string import Formatter
from typing import TYPE_CHECKING, Any, get_args

from py_rt.data.ingestion.columns import ColumnType, Mapped
from py_rt.data.ingestion.source import PARTITION, Expected, Known, Partitioning, SourceTable
from py_rt.errors import DataError, SourceError

if TYPE_CHECKING:
    from collections.abc import Collection, Mapping, Sequence
    from pathlib import Path

NS_PER_S = 10**9
COLUMNS_MAX = 500
"""Most columns of a source."""

LAG_SECONDS_MAX = 10 * 366 * 86_400
"""Longest lag after which a row is known."""

ROWS_MAX = 1e12
_EXPECTED_MAX = {"fresh_within_hours": 24.0 * 366 * 10, "volume_change_max": 1e6}
_TOP = ("kind", "description", "partition", "first_day", "key", "options", "column", "known", "expect")
_COLUMN = ("name", "from", "type", "doc", "nullable", "time_zone", "value")
_KNOWN = ("column", "lag_seconds")


class DefinitionError(DataError):
    """A definition that cannot be taken; one line for each fault."""


@dataclass(frozen=True, slots=True)
class Definition:
    """What a file says.

    Attributes:
        path: of the file.
        kind: of the source.
        table: its name, columns and partitions.
        mapped: how each column is read.
        options: of the kind, as they stand.
    """

    path: Path
    kind: str
    table: SourceTable
    mapped: tuple[Mapped, ...]
    options: Mapping[str, Any]


@dataclass(slots=True)
class Faults:
    """What is wrong with a file; every fault is collected before anybody is told.

    Attributes:
        path: of the file.
        text: what stands in it.
        found: the faults, a line each.
    """

    path: Path
    text: str
    found: list[str] = field(default_factory=list)

    def add(self, key: str, problem: str) -> None:
        """Note a fault of a key, such as `options.url`."""
        word = key.rpartition(".")[2]
        pattern = re.compile(rf"^\s*(?:\[+)?[\w.\"]*\b{re.escape(word)}\b", re.MULTILINE)
        found = pattern.search(self.text)
        line = self.text.count("\n", 0, found.end()) + 1 if found else 1
        self.found.append(f"{self.path}:{line}: {key}: {problem}")

    def unknown(self, table: Mapping[str, Any], allowed: Collection[str], prefix: str = "") -> None:
        """Note every key that is not allowed, with the nearest that is."""
        for key in table:
            if key not in allowed:
                near = get_close_matches(key, allowed, n=1)
                meant = f"; did you mean {near[0]}?" if near else ""
                self.add(f"{prefix}{key}", f"is not known; allowed are {', '.join(sorted(allowed))}{meant}")

    def end(self) -> None:
        """Tell what was found.

        Raises:
            DefinitionError: there is something.
        """
        if self.found:
            raise DefinitionError("\n".join(self.found))


def read_definition(path: Path) -> Definition:
    """Read a file.

    Raises:
        DefinitionError: with every fault of what all kinds share; the options are judged by their kind.
    """
    try:
        content = path.read_bytes()
        parsed = tomllib.loads(content.decode("utf-8"))
    except OSError as error:
        raise DefinitionError(f"{path}: cannot be read: {error.strerror}") from error
    except (UnicodeDecodeError, tomllib.TOMLDecodeError) as error:
        raise DefinitionError(f"{path}: is no TOML: {error}") from error
    faults = Faults(path, content.decode("utf-8"))
    faults.unknown(parsed, _TOP)
    kind = _text(parsed, "kind", faults, required=True)
    partitioning = parsed.get("partition", "day")
    if partitioning not in get_args(Partitioning):
        faults.add("partition", f"is {partitioning!r}; allowed are {', '.join(get_args(Partitioning))}")
    first_day = parsed.get("first_day", date(2000, 1, 1))
    if type(first_day) is not date:
        faults.add("first_day", f"is {first_day!r}; give a day such as 2024-01-31, without quotes")
    options = _table(parsed, "options", faults)
    key = parsed.get("key", [])
    if not isinstance(key, list):
        faults.add("key", f"is {key!r}; give a list of columns")
        key = []
    mapped = _columns(parsed.get("column", []), faults, _usual(kind, options))
    known = _known(_table(parsed, "known", faults), faults)
    expected = _expected(_table(parsed, "expect", faults), faults)
    faults.end()
    sha256 = hashlib.sha256(content).hexdigest()
    try:
        table = SourceTable(
            name=path.stem,
            doc=_text(parsed, "description", faults) or f"Rows of {path.stem}",
            columns=tuple(column.column() for column in mapped),
            key=tuple(map(str, key)),
            partitioning=partitioning,
            first_day=first_day,
            known=known,
            expected=expected,
            definition_sha256=sha256,
        )
    except SourceError as error:
        faults.add(error.file, error.problem)
    faults.end()
    return Definition(path, kind, table, mapped, options)


def _table(parsed: Mapping[str, Any], key: str, faults: Faults) -> Mapping[str, Any]:
    value = parsed.get(key, {})
    if isinstance(value, dict):
        return value
    faults.add(key, f"is {value!r}; it must be a table: [{key}]")
    return {}


def _text(table: Mapping[str, Any], key: str, faults: Faults, *, required: bool = False) -> str:
    value = table.get(key, "")
    if not isinstance(value, str) or (required and not value):
        faults.add(key, f"must be text{' and is missing' if key not in table else f', is {value!r}'}")
        return ""
    return value


def _usual(kind: str, options: Any) -> tuple[Mapped, ...]:  # noqa: ANN401  # whatever TOML holds
    """Columns of the kinds that know theirs."""
    if kind == "lean_ticks":
        from py_rt.data.ingestion.lean_ticks import QUOTES
        from py_rt.data.ingestion.lean_ticks import TRADES as TICKS

        return QUOTES if isinstance(options, dict) and options.get("data") == "quotes" else TICKS
    if kind == "bars":
        from py_rt.data.ingestion.bars import COLUMNS as BARS

        return BARS
    if kind == "rss":
        from py_rt.data.ingestion.feeds import COLUMNS

        return COLUMNS
    if kind == "ccxt":
        from py_rt.data.ingestion.exchange import CANDLES, TRADES

        return TRADES if isinstance(options, dict) and options.get("data") == "trades" else CANDLES
    return ()


def _columns(listed: Any, faults: Faults, usual: tuple[Mapped, ...]) -> tuple[Mapped, ...]:  # noqa: ANN401  # TOML's
    if listed == [] and usual:
        return usual
    if not isinstance(listed, list) or not all(isinstance(one, dict) for one in listed):
        faults.add("column", "must be tables: [[column]]")
        return ()
    if not 0 < len(listed) <= COLUMNS_MAX:
        faults.add("column", f"there are {len(listed)} columns, wanted are 1 to {COLUMNS_MAX}: [[column]]")
    return tuple(_column(one, faults) for one in listed)


def _column(one: Mapping[str, Any], faults: Faults) -> Mapped:
    name = str(one.get("name", ""))
    faults.unknown(one, _COLUMN, "column.")
    kind = one.get("type", "text")
    if not re.fullmatch(r"[a-z][a-z0-9_]{0,63}", name):
        faults.add("column.name", f"is {name!r}; lower-case letters, digits and underscores, beginning with a letter")
    if kind not in get_args(ColumnType):
        faults.add("column.type", f"of {name} is {kind!r}; allowed are {', '.join(get_args(ColumnType))}")
    if not isinstance(one.get("nullable", False), bool):
        faults.add("column.nullable", f"of {name} must be true or false")
    zone = str(one.get("time_zone", "UTC"))
    if not _is_zone(zone):
        faults.add("column.time_zone", f"of {name} is {zone!r}; give an IANA zone such as America/New_York")
    value = one.get("value")
    return Mapped(
        name=name,
        taken_from=str(one.get("from", name)),
        type=kind,
        doc=str(one.get("doc", "")),
        nullable=bool(one.get("nullable", False)),
        time_zone=zone,
        constant=None if value is None else str(value),
    )


def _is_zone(name: str) -> bool:
    from zoneinfo import ZoneInfo, ZoneInfoNotFoundError

    try:
        ZoneInfo(name)
    except (ZoneInfoNotFoundError, ValueError):
        return False
    return True


def _known(table: Mapping[str, Any], faults: Faults) -> Known:
    faults.unknown(table, _KNOWN, "known.")
    lag = table.get("lag_seconds", 0)
    if not _fits(lag, (int, float)) or not 0 <= lag <= LAG_SECONDS_MAX:
        faults.add("known.lag_seconds", f"is {lag!r}; give seconds, 0 to {LAG_SECONDS_MAX}")
        lag = 0
    column = table.get("column")
    return Known(None if column is None else str(column), round(lag * NS_PER_S))


def _expected(table: Mapping[str, Any], faults: Faults) -> Expected:
    allowed = [one.name for one in fields(Expected)]
    faults.unknown(table, allowed, "expect.")
    for key, value in table.items():
        if not _fits(value, (int, float)) or not 0 <= value <= _EXPECTED_MAX.get(key, ROWS_MAX):
            faults.add(f"expect.{key}", f"is {value!r}; give a number, 0 to {_EXPECTED_MAX.get(key, ROWS_MAX):g}")
    return Expected(**{key: value for key, value in table.items() if key in allowed})


@dataclass(frozen=True, slots=True)
class Option:
    """One option of a kind.

    Attributes:
        type: what its value must be.
        default: where it is absent; `...` for one that must be there.
        allowed: the only allowed values, when the set is closed.
        bounds: least and most, of a number.
    """

    type: type | tuple[type, ...]
    default: Any = ...
    allowed: tuple[Any, ...] = ()
    bounds: tuple[float, float] | None = None


def read_options(definition: Definition, wanted: Mapping[str, Option], prefix: str = "options") -> dict[str, Any]:
    """The options of a kind, with defaults.

    Raises:
        DefinitionError: with every fault.
    """
    faults = Faults(definition.path, definition.path.read_text(encoding="utf-8"))
    faults.unknown(definition.options, tuple(wanted), f"{prefix}.")
    values: dict[str, Any] = {}
    for key, option in wanted.items():
        value = definition.options.get(key, option.default)
        if value is ...:
            faults.add(prefix, f"{key} is missing")
        elif key in definition.options and not _fits(value, option.type):
            faults.add(f"{prefix}.{key}", f"is {value!r}; wanted is {_words(option.type)}")
        elif option.allowed and value not in option.allowed:
            faults.add(f"{prefix}.{key}", f"is {value!r}; allowed are {', '.join(map(repr, option.allowed))}")
        elif option.bounds is not None and not option.bounds[0] <= value <= option.bounds[1]:
            faults.add(f"{prefix}.{key}", f"is {value!r}; allowed are {option.bounds[0]:g} to {option.bounds[1]:g}")
        values[key] = value
    faults.end()
    return values


def keys_of(definition: Definition, listed: Sequence[object]) -> tuple[str, ...]:
    """The option `keys`, which a `key` source must have.

    Raises:
        DefinitionError: there is none, or one that no partition can be called.
    """
    keys = tuple(map(str, listed))
    if definition.table.partitioning == "key" and not keys:
        raise fault_of(definition, "keys", "is missing: which keys are there?")
    if wrong := [key for key in keys if not PARTITION.match(key)]:
        problem = (
            f"has {', '.join(map(repr, wrong[:5]))}; a key has letters, digits and . _ + : @ = - only, at most 128"
        )
        raise fault_of(definition, "keys", problem)
    return keys


def check_template(definition: Definition, key: str, template: str, allowed: Mapping[str, Any]) -> set[str]:
    """The placeholders of an option such as a URL, filled in once to see that it can be.

    Args:
        definition: whose option it is.
        key: the option.
        template: its text.
        allowed: placeholders, each with a value of its kind.

    Raises:
        DefinitionError: it is no template, or has another placeholder.
    """
    try:
        named = {(name, form or "") for _, name, form, _ in Formatter().parse(template) if name is not None}
        if unknown := sorted({name for name, _ in named if name not in allowed}):
            problem = f"has {', '.join('{' + name + '}' for name in unknown)}; allowed are "
            raise fault_of(definition, key, problem + ", ".join("{" + name + "}" for name in allowed))
        if any("{" in form for _, form in named):
            raise fault_of(definition, key, "has a placeholder within a placeholder")
        template.format_map(allowed)
    except (ValueError, TypeError, LookupError) as error:
        raise fault_of(definition, key, f"is no template: {error}") from error
    return {name for name, _ in named}


def _fits(value: Any, wanted: type | tuple[type, ...]) -> bool:  # noqa: ANN401  # whatever TOML holds
    kinds = wanted if isinstance(wanted, tuple) else (wanted,)
    return isinstance(value, kinds) and (bool in kinds or not isinstance(value, bool))


def _words(wanted: type | tuple[type, ...]) -> str:
    names = {str: "text", int: "a whole number", float: "a number", bool: "true or false", list: "a list"}
    kinds = wanted if isinstance(wanted, tuple) else (wanted,)
    return " or ".join(names.get(kind, "a table") for kind in kinds)


def fault_of(definition: Definition, key: str, problem: str) -> DefinitionError:
    """One fault of an option that only its kind can see."""
    faults = Faults(definition.path, definition.path.read_text(encoding="utf-8"))
    faults.add(f"options.{key}", problem)
    return DefinitionError("\n".join(faults.found))

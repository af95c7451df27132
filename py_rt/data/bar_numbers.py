"""Numbers of bars as people and programs write them: `1,234.5`, `$101.20`, `1.2M`, and `1.234,5` (decimal commas)."""

from __future__ import annotations

import re
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from collections.abc import Iterable

EMPTY_WORDS = frozenset({"", "nan", "null", "none", "na", "n/a", "#n/a", "-", "--", ".", "\N{EM DASH}"})
"""What sources write for a value they do not have, in lower case."""

_MANY = {"k": 1e3, "m": 1e6, "b": 1e9, "t": 1e12}
_WRITTEN = re.compile(
    r"^(?P<sign>[-+]?)[$€£¥]? ?(?P<number>[0-9]{1,3}(?:,[0-9]{3})+(?:\.[0-9]+)?|[0-9]+(?:\.[0-9]+)?|\.[0-9]+)"
    r" ?(?P<many>[KkMmBbTt]?)$"
)
_DECIMAL_COMMA = re.compile(r"^[-+]?(?:[0-9]{1,3}(?:\.[0-9]{3})+|[0-9]+),[0-9]+$")
_GROUPED = re.compile(r"^[-+]?[0-9]{1,3},[0-9]{3}$")


def is_empty(text: str) -> bool:
    """Whether a cell says that there is no value."""
    return text.strip().lower() in EMPTY_WORDS


def read_number(text: str) -> float | None:
    """A cell as a number, whichever way it is written; `None` where it is none.

    >>> read_number("$1,234.50"), read_number("1.2M"), read_number("-3e2"), read_number("1,23"), read_number("soon")
    (1234.5, 1200000.0, -300.0, None, None)
    """
    try:
        return float(text) if "_" not in text else None
    except ValueError:
        match = _WRITTEN.match(text.strip())
    if match is None:
        return None
    number = float(match["number"].replace(",", "")) * _MANY.get(match["many"].lower(), 1.0)
    return -number if match["sign"] == "-" else number


def has_decimal_commas(texts: Iterable[str]) -> bool:
    """Whether a column writes its fractions behind commas: every comma may stand for it, and one must.

    >>> has_decimal_commas(["12,5", "1.012,25", "7"]), has_decimal_commas(["1,250", "980"]), has_decimal_commas(["1.5"])
    (True, False, False)
    """
    proven = False
    for text in texts:
        if "," not in text:
            continue
        if not _DECIMAL_COMMA.match(text.strip()):
            return False
        proven = proven or not _GROUPED.match(text.strip())
    return proven


def with_decimal_point(text: str) -> str:
    """A number of such a column as others write it.

    >>> with_decimal_point("1.012,25")
    '1012.25'
    """
    return text.replace(".", "").replace(",", ".") if "," in text else text

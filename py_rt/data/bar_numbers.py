"""Numbers of bars as people and programs write them: `1,234.5`, `$101.20`, `1.2M`, and `1.234,5` (decimal commas)."""

from __future__ import annotations

import re
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from collections.abc import Iterable, Sequence

EMPTY_WORDS = frozenset({"", "nan", "null", "none", "na", "n/a", "#n/a", "-", "--", ".", "\N{EM DASH}"})
"""What sources write for a value they do not have, in lower case."""

_PRINTED_NAN = re.compile(r"[-+]?nan(\([a-z0-9_]*\))?")
"""What C prints for one: `-nan`, `nan(ind)`."""

_GROUPED_FROM = 1_000
"""Least number that has thousands separators."""

_MANY = {"k": 1e3, "m": 1e6, "b": 1e9, "t": 1e12}
_WRITTEN = re.compile(
    r"^(?P<sign>[-+]?)(?P<currency>[$€£¥]?) ?"
    r"(?P<number>[0-9]{1,3}(?:,[0-9]{3})+(?:\.[0-9]+)?|[0-9]+(?:\.[0-9]+)?|\.[0-9]+)"
    r" ?(?P<many>[KkMmBbTt]?)$"
)
_DOTTED = re.compile(r"^[-+]?[0-9]{1,3}(?:\.[0-9]{3}){2,}$")
_DECIMAL_COMMA = re.compile(r"^[-+]?(?:[0-9]{1,3}(?:\.[0-9]{3})+|[0-9]+),[0-9]+$")
_GROUPED = re.compile(r"^[-+]?[0-9]{1,3},[0-9]{3}$")


def is_empty(text: str) -> bool:
    """Whether a cell says that there is no value.

    >>> is_empty(" N/A "), is_empty("-nan"), is_empty("-NaN(ind)"), is_empty("-inf"), is_empty("nano")
    (True, True, True, False, False)
    """
    word = text.strip().lower()
    return word in EMPTY_WORDS or _PRINTED_NAN.fullmatch(word) is not None


def plain_number(text: str) -> float | None:
    """A cell as a number that programs write; `None` where it is none.

    Python's own reading takes more: underscores, and the digits of every script.

    >>> plain_number("1.5"), plain_number(" -3e2"), plain_number("-inf"), plain_number("1_00"), plain_number("\uff11")
    (1.5, -300.0, -inf, None, None)
    """
    if "_" in text or not (text.isascii() or text.strip().isascii()):
        return None
    try:
        return float(text)
    except ValueError:
        return None


def read_number(text: str) -> float | None:
    """A cell as a number, whichever way it is written; `None` where it is none.

    >>> read_number("$1,234.50"), read_number("1.2M"), read_number("-3e2"), read_number("1,23"), read_number("soon")
    (1234.5, 1200000.0, -300.0, None, None)
    """
    if (plain := plain_number(text)) is not None:
        return plain
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
    """A number of such a file as others write it.

    >>> with_decimal_point("1.012,25"), with_decimal_point("3.626.500"), with_decimal_point("12.5")
    ('1012.25', '3626500', '12.5')
    """
    return text.replace(".", "").replace(",", ".") if "," in text or _DOTTED.match(text.strip()) else text


# --- columns that write numbers for people ----------------------------------------------------------------------------


def is_dressed(texts: Sequence[str]) -> bool:
    """Whether a column writes its numbers with a currency's sign, thousands separators or letters for thousands.

    Most of its cells do, or all from a thousand on: separators stand in no smaller number.

    >>> is_dressed(["$12.30", "$12.41", "12.5"]), is_dressed(["980", "1,250", "3,000"]), is_dressed(["1,250", "1260"])
    (True, True, False)
    """
    told = [text for text in texts if not is_empty(text)]
    bare = [number for text in told if (number := plain_number(text)) is not None]
    dressed = sum(read_number(text) is not None for text in told) - len(bare)
    return 2 * dressed > len(told) or (dressed > 1 and all(abs(one) < _GROUPED_FROM for one in bare))


def bare_number(text: str) -> str:
    """A number that is written for people as programs write it; what is none stays.

    >>> bare_number("$1,234.50"), bare_number("-1.2M"), bare_number("soon")
    ('1234.50', '-1200000.0', 'soon')
    """
    match = _WRITTEN.match(text.strip())
    if match is None:
        return text
    if match["many"]:
        return repr(read_number(text))
    return match["sign"].strip("+") + match["number"].replace(",", "")


def dressed_like(text: str, like: str) -> str:
    """A number as programs write it in the dress of another; letters for thousands are not written.

    >>> dressed_like("1234.5", like="$123,450.00"), dressed_like("12.5", like="$12"), dressed_like("3e6", like="3.1M")
    ('$1,234.5', '$12.5', '3e6')
    """
    match = _WRITTEN.match(like.strip())
    if match is None or match["many"] or not re.fullmatch(r"-?[0-9]+(\.[0-9]+)?", text):
        return text
    whole, point, fraction = text.lstrip("-").partition(".")
    grouped = f"{int(whole):,}" if "," in match["number"] else whole
    return ("-" if text.startswith("-") else "") + match["currency"] + grouped + point + fraction

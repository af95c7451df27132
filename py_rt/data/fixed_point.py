"""Decimal text to integers of 1e-8 and back, without a float in between.

One unit is 1e-8: the text `43443.0625` is 4_344_306_250_000 units. A whole column is read at once; the scalar
:func:`units_of` is the same rule written plainly, and the tests hold the two together.
"""

from __future__ import annotations

from decimal import Decimal, InvalidOperation
from typing import Literal

import polars as pl

from py_rt.data.schemas import SCALE_DIGITS

UNITS_PER_ONE = 10**SCALE_DIGITS

Rounding = Literal["exact", "half_even"]
"""What happens to digits below 1e-8: `exact` takes the text only when they are zeros, `half_even` rounds."""

MAX_DIGITS = 28
"""Most digits before the decimal point; with 8 more below it, every value fits the 128-bit integers used here."""

_PLAIN = rf"^([+-]?)(0*[0-9]{{0,{MAX_DIGITS}}})(?:\.([0-9]*))?$"
_EXPONENT = r"^[+-]?(?:[0-9]+\.?[0-9]*|\.[0-9]+)[eE][+-]?[0-9]{1,3}$"


def units_of(text: str, rounding: Rounding = "exact") -> int | None:
    """Read one number; `None` when it is no number, too large, or (with `exact`) has digits below 1e-8.

    >>> units_of("43443.0625")
    4344306250000
    >>> units_of("1.5e-3"), units_of("-0.00000001"), units_of("n/a")
    (150000, -1, None)
    >>> units_of("0.123456785"), units_of("0.123456785", "half_even"), units_of("0.123456775", "half_even")
    (None, 12345678, 12345678)
    """
    stripped = text.strip()
    if not stripped.isascii() or "_" in stripped:
        return None
    try:
        sign, digits, exponent = Decimal(stripped).as_tuple()
    except InvalidOperation:
        return None
    if not isinstance(exponent, int) or len(digits) + exponent > MAX_DIGITS:
        return None  # not finite, or more digits before the point than a column can hold
    magnitude = int("".join(map(str, digits)))
    shift = exponent + SCALE_DIGITS
    power: int = 10 ** abs(shift)
    if shift >= 0:
        return (-1 if sign else 1) * magnitude * power
    quotient, rest = divmod(magnitude, power)
    if rest and rounding == "exact":
        return None
    quotient += 2 * rest > power or (2 * rest == power and quotient % 2 == 1)
    return -quotient if sign else quotient


def text_of(units: int) -> str:
    """Write units as decimal text, without trailing zeros.

    >>> text_of(4344306250000), text_of(-1), text_of(500000000)
    ('43443.0625', '-0.00000001', '5')
    """
    whole, below = divmod(abs(units), UNITS_PER_ONE)
    tail = f"{below:0{SCALE_DIGITS}d}".rstrip("0")
    return f"{'-' if units < 0 else ''}{whole}{'.' if tail else ''}{tail}"


def read_units(text: pl.Series, rounding: Rounding = "exact") -> pl.Series:
    """Read a column of numbers (String) as units (Int128); a value that :func:`units_of` refuses becomes null.

    >>> read_units(pl.Series(["1.5", "1e3", "", None, "x"])).to_list()
    [150000000, 100000000000, None, None, None]
    """
    frame = pl.DataFrame({"text": text.str.strip_chars()})
    plain = frame.select(pl.col("text").str.extract_groups(_PLAIN)).to_series().struct
    parts = pl.DataFrame({"sign": plain["1"], "whole": plain["2"], "below": plain["3"].fill_null("")})
    result = parts.select(_plain_units(rounding)).to_series()
    odd = frame["text"].str.contains(_EXPONENT).fill_null(value=False) & result.is_null()
    if odd.any():  # rare: exponents, read one by one
        read = pl.Series([units_of(value, rounding) for value in frame["text"].filter(odd)], dtype=pl.Int128)
        result = result.scatter(odd.arg_true(), read)
    return result.alias(text.name)


def _plain_units(rounding: Rounding) -> pl.Expr:
    whole, below = pl.col("whole"), pl.col("below")
    head = below.str.slice(0, SCALE_DIGITS).str.pad_end(SCALE_DIGITS, "0")
    tail = below.str.slice(SCALE_DIGITS).str.strip_chars_end("0")
    magnitude = (whole + head).cast(pl.Int128, strict=False)
    # Compared as text: "5" is exactly half, anything that sorts after it is more than half.
    up = (tail > "5") | ((tail == "5") & (magnitude % 2 == 1))
    rounded = magnitude + up.cast(pl.Int128)
    value = rounded if rounding == "half_even" else pl.when(tail == "").then(magnitude)
    has_digit = (whole != "") | (below != "")
    sign = (
        pl.when(pl.col("sign") == "-").then(-1).otherwise(1).cast(pl.Int128)
    )  # 128 bits cannot be negated, only multiplied
    return pl.when(has_digit).then(sign * value).alias("units")


def divide_half_even(numerator: pl.Expr, denominator: pl.Expr) -> pl.Expr:
    """Divide non-negative Int128 by positive Int128, rounded to the nearest integer, halves to the even one.

    >>> frame = pl.DataFrame({"n": [5, 15, 16], "d": [10, 10, 10]}, schema={"n": pl.Int128, "d": pl.Int128})
    >>> frame.select(divide_half_even(pl.col("n"), pl.col("d"))).to_series().to_list()
    [0, 2, 2]
    """
    quotient = numerator // denominator
    twice = 2 * (numerator % denominator)
    up = (twice > denominator) | ((twice == denominator) & (quotient % 2 == 1))
    return quotient + up.cast(pl.Int128)

from __future__ import annotations

from decimal import ROUND_HALF_EVEN, Decimal, localcontext

import numpy as np
import polars as pl
import pytest
from hypothesis import given
from hypothesis import strategies as st

from py_rt.data.fixed_point import MAX_DIGITS, UNITS_PER_ONE, divide_half_even, read_units, text_of, units_of

plain_numbers = st.from_regex(r"[+-]?[0-9]{0,30}(\.[0-9]{0,12})?", fullmatch=True)
numbers = st.one_of(
    plain_numbers,
    st.decimals(allow_nan=True, allow_infinity=True).map(str),
    st.from_regex(r"[+-]?[0-9]{1,5}(\.[0-9]{0,9})?[eE][+-]?[0-9]{1,2}", fullmatch=True),
    st.text(max_size=12),
)


@given(st.lists(numbers, max_size=20), st.sampled_from(["exact", "half_even"]))
def test_a_column_is_read_as_its_values_one_by_one(texts: list[str], rounding: str) -> None:
    read = read_units(pl.Series(texts, dtype=pl.String), rounding)  # type: ignore[arg-type]
    assert read.dtype == pl.Int128
    assert read.to_list() == [units_of(text, rounding) for text in texts]  # type: ignore[arg-type]


@given(st.integers(-(10**36) + 1, 10**36 - 1))
def test_text_of_units_reads_back_to_the_same_units(units: int) -> None:
    assert units_of(text_of(units)) == units


@given(st.decimals(-(10**12), 10**12, places=12))
def test_rounding_is_half_even_of_the_exact_decimal(value: Decimal) -> None:
    with localcontext() as context:
        context.prec = 60
        wanted = int((value * UNITS_PER_ONE).quantize(Decimal(1), rounding=ROUND_HALF_EVEN))
    assert units_of(str(value), "half_even") == wanted


@given(st.floats(min_value=2**-10, max_value=1e6, width=32))
def test_a_float32_price_in_its_shortest_text_is_exact_when_it_has_8_decimals(value: float) -> None:
    text = np.format_float_positional(np.float32(value), unique=True, trim="-")
    decimals = len(text.partition(".")[2])
    units = units_of(text)
    assert (units is not None) == (decimals <= 8)
    if units is not None:
        assert np.float32(text_of(units)) == np.float32(value)


@pytest.mark.parametrize(
    "text", ["", " ", ".", "-", "+", "1,5", "0x10", "1_000", "NaN", "inf", "1e999", "١٢", "1" * 29]
)
def test_what_is_no_number_is_refused(text: str) -> None:
    assert units_of(text) is None
    assert read_units(pl.Series([text])).to_list() == [None]


def test_digits_below_a_unit_are_refused_or_rounded_never_dropped() -> None:
    texts = pl.Series(["0.000000005", "0.000000015", "0.0000000149999", "0.00000001000"])
    assert read_units(texts).to_list() == [None, None, None, 1]
    assert read_units(texts, "half_even").to_list() == [0, 2, 1, 1]


def test_the_largest_numbers_keep_every_digit() -> None:
    text = "9" * MAX_DIGITS + ".99999999"
    assert read_units(pl.Series([text])).to_list() == [10 ** (MAX_DIGITS + 8) - 1]


@given(st.lists(st.tuples(st.integers(0, 10**30), st.integers(1, 10**20)), min_size=1))
def test_division_rounds_half_to_even(pairs: list[tuple[int, int]]) -> None:
    frame = pl.DataFrame(pairs, schema={"n": pl.Int128, "d": pl.Int128}, orient="row")
    found = frame.select(divide_half_even(pl.col("n"), pl.col("d"))).to_series().to_list()
    with localcontext() as context:
        context.prec = 80
        wanted = [int((Decimal(n) / Decimal(d)).quantize(Decimal(1), rounding=ROUND_HALF_EVEN)) for n, d in pairs]
    assert found == wanted

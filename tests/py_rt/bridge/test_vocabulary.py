"""Words and numbers: the same as the schema's, and exact."""

from __future__ import annotations

from decimal import Decimal
from enum import StrEnum

import pytest
from hypothesis import given
from hypothesis import strategies as st

from py_rt.bridge import vocabulary
from py_rt.bridge.vocabulary import (
    InstrumentName,
    MessageError,
    Scope,
    Side,
    decimal,
    number,
    to_units,
    word,
)
from py_rt.bridge.wire.v1 import commands_pb2

ENUMS = [kind for kind in vars(vocabulary).values() if isinstance(kind, type) and issubclass(kind, StrEnum)]


@pytest.mark.parametrize("kind", [kind for kind in ENUMS if kind is not StrEnum])
def test_an_enum_has_the_members_of_the_schema(kind: type[StrEnum]) -> None:
    wire = vocabulary._WIRE[kind].DESCRIPTOR
    assert [number(member) for member in kind] == [value.number for value in wire.values if value.number != 0]
    assert [word(kind, number(member)) for member in kind] == list(kind)
    assert [member.value for member in kind] == [member.name.lower() for member in kind]


@pytest.mark.parametrize("wrong", [0, 3, 99, -1])
def test_numbers_that_mean_nothing_are_refused(wrong: int) -> None:
    with pytest.raises(MessageError, match=f"{wrong} is no Side that this version knows"):
        word(Side, wrong)


@given(st.integers(-(2**63) + 1, 2**63 - 1))
def test_units_come_back_from_decimal_and_text(units: int) -> None:
    value = decimal(units)
    assert to_units(value, "price") == units
    assert to_units(f"{value:f}", "price") == units
    assert value == Decimal(units).scaleb(-8)


@pytest.mark.parametrize(
    "value", [0.1, True, None, "", "x", "1,5", "NaN", "Infinity", "0.000000001", 92_233_720_369, "1e30"]
)
def test_what_is_no_exact_number_is_refused_by_name(value: object) -> None:
    with pytest.raises(MessageError, match=r"^price: "):
        to_units(value, "price")  # type: ignore[arg-type]


NO_SCOPES = "|All|all:x|slot|slot:|slot:-1|slot:65536|slot:1.0|slot:²|instrument:X|instrument:/x|venue:|order:|desk:1"


@pytest.mark.parametrize("text", NO_SCOPES.split("|"))
def test_scopes_that_say_nothing_are_refused(text: str) -> None:
    with pytest.raises(MessageError):
        Scope.parse(text)


@pytest.mark.parametrize("text", ["all", "venue:binance", "instrument:binance/BTCUSDT", "slot:0", "order:e3-s1-42"])
def test_a_scope_comes_back_from_its_text_and_its_message(text: str) -> None:
    scope = Scope.parse(text)
    assert str(scope) == text
    assert Scope.from_wire(scope.to_wire()) == scope


def test_a_scope_without_a_reach_is_refused() -> None:
    with pytest.raises(MessageError):
        Scope.from_wire(commands_pb2.Scope())


def test_an_instrument_has_a_venue_and_a_symbol() -> None:
    assert str(InstrumentName.parse("binance/BTCUSDT")) == "binance/BTCUSDT"
    for wrong in ("BTCUSDT", "binance/", "/BTCUSDT", ""):
        with pytest.raises(MessageError):
            InstrumentName.parse(wrong)

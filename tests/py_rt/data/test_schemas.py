from __future__ import annotations

from datetime import date

import polars as pl
import pytest

from py_rt.data.schemas import CLEAN_BARS, TABLES, Column, RowRule, Table, table_named
from py_rt.errors import SchemaError

DAY = date(2021, 9, 27)
OPEN_NS = 1_632_750_300_000_000_000

LEVELS = Table(
    "levels",
    "test",
    "two numbers",
    (
        Column("id", pl.Int64(), "row"),
        Column("low", pl.Int64(), "low", minimum=1),
        Column("high", pl.Int64(), "high", nullable=True, scale=8),
        Column("side", pl.String(), "side", allowed=("buy", "sell")),
    ),
    key=("id",),
    rules=(RowRule("high is above low", pl.col("high") > pl.col("low")),),
)


def levels(**columns: list[object]) -> pl.DataFrame:
    whole: dict[str, list[object]] = {"id": [1, 2], "low": [1, 2], "high": [5, None], "side": ["buy", "sell"]}
    return pl.DataFrame(whole | columns, schema=LEVELS.schema)


def bar(**values: object) -> pl.DataFrame:
    row: dict[str, object] = {
        "instrument": "BTCUSDT",
        "ts_open": OPEN_NS,
        "ts_close": OPEN_NS + 900_000_000_000,
        "open": 10,
        "high": 12,
        "low": 9,
        "close": 11,
        "volume": 100,
        "volume_imputed": False,
        "is_empty": False,
        "source_row": 2,
        "source_sha256": "ab",
        "date": DAY,
    }
    return pl.DataFrame([row | values], schema=CLEAN_BARS.schema)


def test_rows_that_keep_every_rule_have_no_faults() -> None:
    assert LEVELS.faults(levels()) == []
    assert CLEAN_BARS.faults(bar()) == []
    assert CLEAN_BARS.faults(CLEAN_BARS.empty()) == []


@pytest.mark.parametrize(
    ("columns", "rule"),
    [
        ({"low": [None, 2]}, "low is not null"),
        ({"low": [0, 2]}, "low >= 1"),
        ({"side": ["buy", "hold"]}, "side is one of the allowed values"),
        ({"high": [1, None]}, "high is above low"),
        ({"id": [7, 7]}, "key (id) is unique"),
    ],
)
def test_a_broken_rule_is_named_with_count_and_example(columns: dict[str, list[object]], rule: str) -> None:
    faults = LEVELS.faults(levels(**columns))
    assert [fault.rule for fault in faults] == [rule]
    assert faults[0].rows == (2 if "key" in rule else 1)
    assert "id=" in faults[0].example


@pytest.mark.parametrize(
    ("values", "words"),
    [
        ({"high": 10}, "highest"),
        ({"low": 11}, "lowest"),
        ({"volume": 3}, "at least 4 units"),
        ({"volume": 0}, "at least 4 units"),
        ({"is_empty": True, "volume": 0}, "one price"),
        ({"is_empty": True, "high": 10, "low": 10, "close": 10}, "volume is 0 when empty"),
        ({"is_empty": True, "high": 10, "low": 10, "close": 10, "volume": 0, "volume_imputed": True}, "not imputed"),
        ({"source_row": None}, "source row is empty"),
        ({"ts_close": OPEN_NS}, "after ts_open"),
        ({"date": date(2021, 9, 28)}, "UTC day"),
        ({"close": None}, "close is not null"),
    ],
)
def test_a_bar_that_breaks_a_rule_is_found(values: dict[str, object], words: str) -> None:
    rules = [fault.rule for fault in CLEAN_BARS.faults(bar(**values))]
    assert any(words in rule for rule in rules), rules


def test_columns_that_differ_are_all_named() -> None:
    wrong = levels().drop("side").with_columns(pl.col("low").cast(pl.Float64), extra=pl.lit(1))
    with pytest.raises(SchemaError, match=r"side is missing.*extra is not declared.*low is Float64, wanted Int64"):
        LEVELS.conform(wrong)


def test_conform_brings_columns_into_stored_order() -> None:
    assert LEVELS.conform(levels().select("side", "high", "low", "id")).columns == LEVELS.schema.names()


def test_declared_tables_are_consistent() -> None:
    for name, table in TABLES.items():
        names = table.schema.names()
        assert name == table.name
        assert len(set(names)) == len(names)
        assert set(table.key) <= set(names)
        assert table.partition_column is None or table.schema[table.partition_column] == pl.Date
        assert all(column.doc for column in table.columns)
        assert set(table.scales) <= {column.name for column in table.columns if column.dtype == pl.Int64}


def test_an_unknown_table_is_refused_with_the_known_ones() -> None:
    with pytest.raises(SchemaError, match=r"clean_barz.*captured_scores, clean_bars, .*labels, quarantined_bars"):
        table_named("clean_barz")

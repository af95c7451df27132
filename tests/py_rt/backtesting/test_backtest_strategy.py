"""`py_rt_core.backtest_strategy`: every form of data, a closed configuration, clear refusals."""

from __future__ import annotations

from decimal import Decimal
from typing import TYPE_CHECKING, Any

import numpy as np
import polars as pl
import py_rt_core
import pytest
from py_rt_core import backtest_strategy

if TYPE_CHECKING:
    from collections.abc import Callable

CROSS = {"kind": "sma_cross", "fast": 5, "slow": 20}
FORMS: dict[str, Callable[[pl.DataFrame], Any]] = {
    "polars": lambda frame: frame,
    "chunks": lambda frame: pl.concat([frame.head(100), frame.slice(100)], rechunk=False),
    "arrow": lambda frame: frame.to_arrow(),
    "pandas": lambda frame: frame.to_pandas(),
    "lists": lambda frame: frame.to_dict(as_series=False),
    "arrays": lambda frame: {name: frame[name].to_numpy() for name in frame.columns},
    "rows": lambda frame: [list(row) for row in frame.iter_rows()],
    "table": lambda frame: frame.to_numpy(),
    "structured": lambda frame: frame.to_numpy(structured=True),
    "narrow": lambda frame: {**frame.to_dict(as_series=False), "volume": np.full(frame.height, 2_000_000_000, "u4")},
}


@pytest.fixture(scope="module")
def wanted(bars: pl.DataFrame) -> list[int]:
    equity: list[int] = backtest_strategy(bars, CROSS).equity["equity"]
    return equity


@pytest.mark.parametrize("form", FORMS)
def test_every_form_of_bars_gives_the_same_run(bars: pl.DataFrame, form: str) -> None:
    frame = bars.with_columns(volume=pl.lit(2_000_000_000, pl.Int64)) if form == "narrow" else bars
    direct = backtest_strategy(frame, CROSS)
    other = backtest_strategy(FORMS[form](frame), CROSS)
    assert other.events == direct.events
    assert other.equity["equity"] == direct.equity["equity"]


@pytest.mark.parametrize("form", [form for form in FORMS if form != "narrow"])
def test_every_form_of_quotes_gives_the_same_run(quotes: pl.DataFrame, form: str) -> None:
    results = backtest_strategy(FORMS[form](quotes), CROSS)
    assert results.equity["equity"] == backtest_strategy(quotes, CROSS).equity["equity"]
    assert len(results.fills) > 50


def test_results_are_arrow_tables_and_numpy_columns(bars: pl.DataFrame) -> None:
    results = backtest_strategy(bars, CROSS)
    frame = pl.DataFrame(results.fills)
    assert frame.columns == results.fills.columns
    assert frame.height == len(results.fills) > 20
    assert frame["price"].to_numpy().tobytes() == results.fills["price"].tobytes()
    assert [int(value * 10**16) for value in frame["fee"]] == results.fills["fee"]
    assert frame["side"].to_list() == results.fills["side"]
    assert pl.DataFrame(results.equity)["equity"].dtype == pl.Decimal(38, 16)
    with pytest.raises(KeyError, match="no column prise"):
        results.fills["prise"]


def test_numbers_are_taken_as_they_are_written(bars: pl.DataFrame) -> None:
    runs = [backtest_strategy(bars, CROSS, {"taker_bps": bps}) for bps in ("7.5", 7.5, Decimal("7.5"))]
    assert len({run.final_equity for run in runs}) == 1
    assert runs[0].final_equity > backtest_strategy(bars, CROSS, {"taker_bps": 8}).final_equity


def test_the_tick_is_the_coarsest_that_fits(bars: pl.DataFrame) -> None:
    assert backtest_strategy(bars, CROSS).tick_size == 10**8
    assert backtest_strategy(bars, CROSS, {"tick_size": "0.01"}).tick_size == 10**6
    with pytest.raises(py_rt_core.CoreError, match=r"not a multiple of the tick size 0\.3"):
        backtest_strategy(bars, CROSS, {"tick_size": "0.3"})


@pytest.mark.parametrize(
    ("config", "words"),
    [
        ({"taker": 1}, "unknown key taker; known are bar_seconds, symbol"),
        ({"taker_bps": "ten"}, 'taker_bps is "ten": not a decimal number'),
        ({"taker_bps": 1e-9}, 'taker_bps is "1e-09"'),
        ({"seed": 1.5}, "seed is \"1.5\": expected a whole number"),
        ({"seed": -1}, "seed is \"-1\": expected a whole number"),
        ({"capital": "-5"}, "a slot's capital is out of range"),
        ({"base": "B/C"}, "expected a code of up to 12 letters"),
        ({"symbol": "x" * 25}, "longer than 24"),
        ({"lot_size": "0"}, "must be above 0"),
        ({"latency_ms": "-1"}, "must not be negative"),
        ({"fee_asset": "BNB"}, "another code with fee_asset_price"),
        ({"fee_asset_price": "4"}, "another code with fee_asset_price"),
        ({"keep_signals": "yes"}, "neither True nor False"),
        ({"spread_min_ppm": 200}, "spread_max_ppm is 100, allowed spread_min_ppm to 100000"),
        ({"trades_max": 20_000}, "trades_min to 10000"),
        ({"start": 2**62}, "no data at or after the start"),
        ({"bar_seconds": 0}, "bar_seconds must be above 0"),
        ({"bar_seconds": 1_000}, "is not on the grid"),
        ({"risk_limits": "max_leverag = 3"}, "risk_limits:1:1: max_leverag: unknown key"),
        ({"daily_volatility": "0"}, "daily_volatility is out of range: more than 0"),
        (7, "config is int; expected a mapping"),
    ],
)  # fmt: skip
def test_a_wrong_configuration_says_what_is_allowed(bars: pl.DataFrame, config: Any, words: str) -> None:  # noqa: ANN401
    with pytest.raises(py_rt_core.CoreError) as caught:
        backtest_strategy(bars, CROSS, config)
    assert words in str(caught.value)


@pytest.mark.parametrize(
    ("strategy", "words"),
    [
        ({"fast": 3}, "kind is missing; there are sma_cross"),
        ({"kind": "sma_cros"}, 'kind "sma_cros" is not known'),
        ({"kind": "sma_cross", "fast": 50, "slow": 20}, "slow is out of range: above fast"),
        ({"kind": "sma_cross", "quick": 5}, "strategy: unknown key quick; known are kind, fast, slow"),
        ({"kind": "threshold_model"}, "strategy is missing: the text of the strategy file"),
        ({"kind": "python"}, "object is missing"),
        ({"kind": "python", "object": 7}, "int has neither on_bar"),
    ],
)
def test_a_wrong_strategy_says_what_is_allowed(bars: pl.DataFrame, strategy: Any, words: str) -> None:  # noqa: ANN401
    with pytest.raises(py_rt_core.CoreError) as caught:
        backtest_strategy(bars, strategy)
    assert words in str(caught.value)


def bars_with(bars: pl.DataFrame, row: int, **values: int) -> pl.DataFrame:
    here = pl.int_range(pl.len()) == row
    return bars.with_columns(
        pl.when(here).then(pl.lit(value)).otherwise(pl.col(name)).alias(name) for name, value in values.items()
    )


def test_wrong_data_name_the_place(bars: pl.DataFrame, quotes: pl.DataFrame) -> None:
    cases: list[tuple[Any, str]] = [
        (bars.drop("low"), "column low is missing among ts_open, open, high, close, volume"),
        (bars.with_columns(pl.col("low") / 10**8), "column low is Float64; expected Int64"),
        ({**bars.to_dict(as_series=False), "low": [0.5] * bars.height}, "column low does not hold whole numbers"),
        (bars_with(bars, 5, low=0), "row 5: needs 0 < low"),
        (bars_with(bars, 5, volume=0), "bar 5 "),
        (bars.reverse(), "cannot be told from fewer than two rows"),
        (pl.concat([bars, bars.slice(3, 1)]), "row 900: ts_open does not ascend"),
        (bars.head(1), "cannot be told from fewer than two rows: give bar_seconds"),
        (quotes.reverse(), "row 1: ts_event does not ascend"),
        (bars_with(quotes, 7, ask=1), "row 7: needs 0 < bid < ask"),
        (quotes.clear(), "no data at or after the start"),
        (quotes.with_columns(pl.lit(None, pl.Int64).alias("ask")), "column ask has 4000 nulls"),
        (5, "expected a Polars, pyarrow or pandas frame"),
        (np.zeros((3, 4), int), "data have the shape [3, 4]"),
        ("bars.csv", "data have the shape []"),
    ]
    for data, words in cases:
        with pytest.raises(py_rt_core.CoreError) as caught:
            backtest_strategy(data, CROSS)
        assert words in str(caught.value)


def test_quotes_have_no_start_and_no_features(quotes: pl.DataFrame) -> None:
    with pytest.raises(py_rt_core.CoreError, match="start is for bars"):
        backtest_strategy(quotes, CROSS, {"start": 0})

"""A stream of bars that is stopped, saved and gone on with elsewhere gives the bits of one that never stopped."""

from __future__ import annotations

import numpy as np
import polars as pl
import py_rt_core
import pytest
from hypothesis import example, given, settings
from hypothesis import strategies as st

from py_rt.ml.features.catalogue import catalogue
from py_rt.ml.features.expressions import WARM, Expressions, readable

ROWS = 900
SEED = 11


def bars() -> pl.DataFrame:
    """Bars with all columns that the catalogue reads; some are unknown now and then, and one bar is missing."""
    random = np.random.default_rng(SEED)
    price = 1e8 * np.round(100 * np.exp(np.cumsum(random.normal(0, 0.01, ROWS))), 2)
    columns: dict[str, np.ndarray] = {}
    for name in py_rt_core.feature_inputs():
        scale = price if any(word in name for word in ("open", "high", "low", "close", "bid", "ask")) else 1e8
        columns[name] = np.round(scale * random.uniform(0.9, 1.1, ROWS))
    for name in sorted({column for feature in catalogue().values() for column, _ in feature.columns}):
        columns[name] = random.uniform(0.5, 2, ROWS)
    columns["volume"][random.random(ROWS) < 0.01] = np.nan
    number = np.arange(ROWS) + (np.arange(ROWS) >= ROWS // 3)
    return pl.DataFrame({**columns, "number": number})


@pytest.mark.parametrize("stops", [[450], [1, 2, 77, 300, 301, 640]])
def test_a_stream_goes_on_from_what_was_saved_with_the_same_bits(stops: list[int]) -> None:
    table = bars()
    features = Expressions(readable(table.columns))
    assert len(features.names) == len(catalogue())
    whole = features.compute(table).select(features.names).to_numpy()
    names = [*py_rt_core.feature_inputs(), *sorted(set(table.columns) - {"number", *py_rt_core.feature_inputs()})]
    program = features.program
    stream = program.stream()
    for row, (number, *inputs) in enumerate(table.select("number", *names).iter_rows()):
        if row in stops:
            saved = stream.save()
            stream = program.stream()
            stream.restore(saved)
        said = np.array(stream.push(number, inputs))
        assert np.array_equal(said.view(np.uint64), whole[row].view(np.uint64)), row


def test_a_saved_state_that_was_changed_is_refused() -> None:
    program = Expressions(readable(["close"])).program
    saved = bytearray(program.stream().save())
    saved[len(saved) // 2] ^= 4
    with pytest.raises(py_rt_core.CoreError, match="damaged"):
        program.stream().restore(bytes(saved))


def test_the_engine_reads_a_frame_s_columns_where_polars_keeps_them() -> None:
    table = bars().rechunk()
    owners = {name: table[name].to_numpy(allow_copy=False).ctypes.data for name in table.columns}
    assert dict(py_rt_core.column_addresses(table)) == owners


# A random market: its size, how often a value is unknown or a bar missing, whether it stands still.
MARKETS = st.fixed_dictionaries(
    {
        "seed": st.integers(0, 2**32 - 1),
        "rows": st.integers(1, 300),
        "price": st.sampled_from([1e-8, 1e-3, 1.0, 6e4, 9e10]),
        "step": st.sampled_from([0.0, 1e-6, 0.01, 0.5]),
        "unknown": st.sampled_from([0.0, 0.02, 0.5]),
        "missing": st.sampled_from([0.0, 0.02]),
        "volume": st.sampled_from([0.0, 1e-8, 10.0, 9e10]),
    }
)


def market(chosen: dict[str, float]) -> pl.DataFrame:
    random = np.random.default_rng(int(chosen["seed"]))
    rows = int(chosen["rows"])
    walk = np.clip(np.cumsum(random.normal(0, 1, rows) * chosen["step"]), -20, 0.1)
    price = np.round(chosen["price"] * 1e8 * np.exp(walk))
    columns: dict[str, np.ndarray] = {}
    for name in py_rt_core.feature_inputs():
        is_price = any(word in name for word in ("open", "high", "low", "close", "bid", "ask", "spread"))
        scale = price if is_price else chosen["volume"] * 1e8
        columns[name] = np.round(scale * (1 + chosen["step"] * random.random(rows)))
    for name in sorted({column for feature in catalogue().values() for column, _ in feature.columns}):
        columns[name] = random.uniform(-2, 2, rows)
    for values in columns.values():
        values[random.random(rows) < chosen["unknown"]] = np.nan
    return pl.DataFrame({**columns, "number": np.cumsum(1 + (random.random(rows) < chosen["missing"]))})


@settings(max_examples=40, deadline=None)
@given(MARKETS)
@example({"seed": 0, "rows": 300, "price": 9e10, "step": 0.5, "unknown": 0.02, "missing": 0.02, "volume": 9e10}).via(
    "the largest numbers, with holes"
)
@example({"seed": 1, "rows": 300, "price": 1.0, "step": 0.0, "unknown": 0.0, "missing": 0.0, "volume": 0.0}).via(
    "a halt without any trade"
)
def test_of_any_market_both_paths_say_the_same_finite_or_unknown_values(chosen: dict[str, float]) -> None:
    table = market(chosen)
    features = Expressions(list(catalogue().values()))
    whole, single = features.compute(table), features.compute_one_by_one(table)
    for name in features.names:
        ours = whole[name].to_numpy()
        assert np.array_equal(ours.view(np.uint64), single[name].to_numpy().view(np.uint64)), name
        assert not np.isinf(ours).any(), name
    assert whole[WARM].equals(single[WARM])


def test_parts_that_threads_compute_by_themselves_have_the_bits_of_one_run() -> None:
    # Many parts; which thread takes which is another each time. Holes lie anywhere, a few of them near each other.
    table = market(
        {"seed": 5, "rows": 150_001, "price": 6e12, "step": 1e-4, "unknown": 0.0, "missing": 2e-4, "volume": 1e4}
    )
    features = Expressions(list(catalogue().values())[::9])
    single = features.compute_one_by_one(table)
    assert 0 < single[WARM].sum() < table.height
    bits = features.program.compute(table, np.empty((len(features.names), table.height)))
    assert np.array_equal(bits[WARM], single[WARM].to_numpy())
    for _ in range(5):
        whole = features.compute(table)
        for name in features.names:
            assert np.array_equal(whole[name].to_numpy().view(np.uint64), single[name].to_numpy().view(np.uint64)), name
        assert whole[WARM].equals(single[WARM])

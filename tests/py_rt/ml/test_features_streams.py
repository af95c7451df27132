"""A stream of bars that is stopped, saved and gone on with elsewhere gives the bits of one that never stopped."""

from __future__ import annotations

import numpy as np
import polars as pl
import py_rt_core
import pytest

from py_rt.ml.features.catalogue import catalogue
from py_rt.ml.features.expressions import Expressions, readable

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

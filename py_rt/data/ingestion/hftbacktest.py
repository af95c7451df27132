"""Event files of hftbacktest (`.npz`, `.npy`), read as a table of integers.

A file holds one array `data` of the fields ev, exch_ts, local_ts, px, qty, order_id, ival, fval. The low byte of `ev`
says what it is, its high bits whose side it is on and at which clock it is valid. Prices and quantities are floats
there; here they are fixed point of 1e-8, by the shortest decimal that reads back as the float.
Source of the layout: `hftbacktest.types` of hftbacktest 2.
"""

from __future__ import annotations

import zipfile
from typing import TYPE_CHECKING

import numpy as np
import polars as pl

from py_rt.data.fixed_point import read_units
from py_rt.errors import SourceError

if TYPE_CHECKING:
    from pathlib import Path
    from typing import Any

    from numpy.typing import NDArray

SOURCE = "hftbacktest"

KINDS = {
    1: "depth",
    2: "trade",
    3: "depth_clear",
    4: "depth_snapshot",
    5: "best_bid_ask",
    10: "add_order",
    11: "cancel_order",
    12: "modify_order",
    13: "fill",
}
"""Low byte of `ev`."""

AT_VENUE, AT_US, BUY, SELL = 1 << 31, 1 << 30, 1 << 29, 1 << 28
"""High bits of `ev`."""

ROWS_MAX = 500_000_000
"""Most events of one file."""

FIELDS = ("ev", "exch_ts", "local_ts", "px", "qty", "order_id")


def read_events(path: Path) -> pl.DataFrame:
    """Read a file.

    Returns:
        `kind` (a word), `side` (`buy`, `sell` or null), `ts_event` and `ts_received` (UTC ns), `price` and `quantity`
        (1e-8; null where the file has none), `order_id`, `at_venue` and `at_us` (valid at that clock), `row_number`.

    Raises:
        SourceError: the file is cut off, holds no such array, an event of an unknown kind, or a price that is no
            number; the row is named.
    """
    data = _array(path)
    ev = data["ev"].astype(np.uint64)
    low = (ev & np.uint64(0xFF)).astype(np.int64)
    if (unknown := np.flatnonzero(~np.isin(low, list(KINDS)))).size:
        at = int(unknown[0])
        raise SourceError(SOURCE, path.name, at + 1, f"is an event of the unknown kind {low[at]}")
    flags = {name: pl.Series((ev & np.uint64(bit)) != 0) for name, bit in _FLAGS.items()}
    frame = pl.DataFrame(
        {
            "kind": pl.Series(low).replace_strict(KINDS, return_dtype=pl.String),
            "side": pl.Series([None] * len(low), dtype=pl.String),
            "ts_event": data["exch_ts"].astype(np.int64),
            "ts_received": data["local_ts"].astype(np.int64),
            "price": _units(path, data["px"], "px"),
            "quantity": _units(path, data["qty"], "qty"),
            "order_id": data["order_id"].astype(np.int64),
            "at_venue": flags["at_venue"],
            "at_us": flags["at_us"],
        }
    )
    side = pl.when(flags["buy"]).then(pl.lit("buy")).when(flags["sell"]).then(pl.lit("sell"))
    return frame.with_columns(side.alias("side"), pl.int_range(1, pl.len() + 1, dtype=pl.Int64).alias("row_number"))


_FLAGS = {"at_venue": AT_VENUE, "at_us": AT_US, "buy": BUY, "sell": SELL}


def _array(path: Path) -> NDArray[Any]:
    try:
        loaded = np.load(path, allow_pickle=False)
        data = loaded["data"] if isinstance(loaded, np.lib.npyio.NpzFile) else loaded
    except (OSError, EOFError, ValueError, zipfile.BadZipFile) as error:
        raise SourceError(SOURCE, path.name, None, f"is cut off, damaged or no NumPy file: {error}") from error
    except KeyError as error:
        raise SourceError(SOURCE, path.name, None, "holds no array called data") from error
    names = data.dtype.names or ()
    if missing := [name for name in FIELDS if name not in names]:
        there = ", ".join(names) or "no named fields"
        raise SourceError(SOURCE, path.name, None, f"its array has no {', '.join(missing)}; it has {there}")
    if len(data) > ROWS_MAX:
        raise SourceError(SOURCE, path.name, None, f"holds {len(data)} events, at most {ROWS_MAX}; split it")
    return data


def _units(path: Path, values: NDArray[Any], name: str) -> pl.Series:
    numbers = pl.Series(values.astype(np.float64))
    infinite = numbers.is_infinite()
    text = numbers.cast(pl.String).set(numbers.is_nan(), None)
    units = read_units(text, "half_even").cast(pl.Int64, strict=False)
    wrong = infinite | (units.is_null() & text.is_not_null())
    if wrong.any():
        at = int(wrong.arg_true()[0])
        raise SourceError(SOURCE, path.name, at + 1, f"{name} is {values[at]!r}, which no fixed point of 1e-8 holds")
    return units

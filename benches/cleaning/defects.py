"""Defects planted in good bars with a seed, each with the rows it touched and what they were before.

A defect is planted in text, as a source would hand it out. Nothing here is read from the rules that are to find it.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass, field
from itertools import pairwise

import numpy as np
import polars as pl

Row = list[str]
PRICES = ("open", "high", "low", "close")


@dataclass(slots=True)
class Table:
    """Bars as text, and what was planted.

    Attributes:
        header: names of the columns.
        rows: cells of each row.
        truth: row to its cells before the defect; `None` for a row that cannot be told from the rest of the file.
        events: rows of each planted defect; it is found when the rule speaks of one of them.
    """

    header: list[str]
    rows: list[Row]
    truth: dict[int, Row | None] = field(default_factory=dict)
    events: list[list[int]] = field(default_factory=list)

    def at(self, name: str) -> int:
        """Place of a column, by its plain name."""
        return [one.lower().replace(" ", "_") for one in self.header].index(name)

    def has(self, name: str) -> bool:
        """Whether there is such a column."""
        return name in [one.lower().replace(" ", "_") for one in self.header]

    def number(self, row: int, name: str) -> float:
        """A cell as a number."""
        return float(self.rows[row][self.at(name)])

    def put(self, row: int, name: str, value: float | str) -> None:
        """Replace a cell and remember the row as it was."""
        self.truth.setdefault(row, list(self.rows[row]))
        self.rows[row][self.at(name)] = value if isinstance(value, str) else repr(float(value))

    def scale(self, row: int, factor: float, names: tuple[str, ...] = (*PRICES, "adj_close")) -> None:
        """Multiply cells of a row."""
        for name in names:
            if self.has(name):
                self.put(row, name, self.number(row, name) * factor)

    def text(self) -> str:
        """The table as CSV."""
        return "".join(",".join(cells) + "\n" for cells in [self.header, *self.rows])


def table(bars: pl.DataFrame) -> Table:
    """Bars as a table of text."""
    cells = bars.select(pl.all().cast(pl.String).fill_null(""))
    return Table(bars.columns, [list(row) for row in cells.iter_rows()])


Rng = np.random.Generator
Plant = Callable[[Table, Rng], bool]
"""Plants a defect; says whether the table has what it takes."""


def _some(rng: Rng, bars: Table, count: int, margin: int = 30) -> list[int]:
    """Rows far from each other and from the ends."""
    slots = np.linspace(margin, len(bars.rows) - margin, count + 1).astype(int)
    return [int(rng.integers(a, max(a + 1, b - margin))) for a, b in pairwise(slots)]


def _insert(bars: Table, at: int, cells: Row) -> int:
    bars.rows.insert(at, cells)
    bars.truth = {row + (row >= at): cells_before for row, cells_before in bars.truth.items()}
    bars.events = [[row + (row >= at) for row in event] for event in bars.events]
    return at


def duplicate(bars: Table, rng: Rng) -> bool:
    """The same row again."""
    for row in _some(rng, bars, 4):
        at = _insert(bars, row + 1, list(bars.rows[row]))
        bars.truth[at] = None
        bars.events.append([at])
    return True


def restated(bars: Table, rng: Rng) -> bool:
    """An earlier edition of a row before it."""
    for row in _some(rng, bars, 4):
        earlier = list(bars.rows[row])
        earlier[bars.at("close")] = repr(bars.number(row, "close") * float(rng.uniform(1.001, 1.003)))
        at = _insert(bars, row, earlier)
        bars.truth[at] = None
        bars.events.append([at])
    return True


def _cells(bars: Table, rng: Rng, new: Callable[[float], float | str], *, lost: bool, names: tuple[str, ...]) -> bool:
    for row in _some(rng, bars, 5):
        name = str(rng.choice(names))
        bars.put(row, name, new(bars.number(row, name)))
        if lost:
            bars.truth[row] = None
        bars.events.append([row])
    return True


def zero_price(bars: Table, rng: Rng) -> bool:
    """Price 0."""
    return _cells(bars, rng, lambda _: 0.0, lost=True, names=PRICES)


def negative_price(bars: Table, rng: Rng) -> bool:
    """Price below 0."""
    return _cells(bars, rng, lambda x: -x, lost=False, names=PRICES)


def missing_open(bars: Table, rng: Rng) -> bool:
    """Open, high or low missing."""
    return _cells(bars, rng, lambda _: "", lost=True, names=("open", "high", "low"))


def missing_close(bars: Table, rng: Rng) -> bool:
    """Close missing."""
    return bars.has("adj_close") and _cells(bars, rng, lambda _: "", lost=False, names=("close",))


def infinity(bars: Table, rng: Rng) -> bool:
    """Infinite price."""
    return _cells(bars, rng, lambda _: "inf", lost=True, names=PRICES)


def wrong_type(bars: Table, rng: Rng) -> bool:
    """Text for a number."""
    return _cells(bars, rng, lambda _: "n.v.", lost=True, names=(*PRICES, "volume"))


def unit_cell(bars: Table, rng: Rng) -> bool:
    """X100 or 1/100 in single cells."""
    factor = float(rng.choice([100.0, 0.01]))
    return _cells(bars, rng, lambda x: x * factor, lost=False, names=PRICES)


def unit_row(bars: Table, rng: Rng) -> bool:
    """X100 or 1/100 in single rows."""
    for row in _some(rng, bars, 5):
        bars.scale(row, float(rng.choice([100.0, 0.01])))
        bars.events.append([row])
    return True


def unit_stretch(bars: Table, rng: Rng) -> bool:
    """X100 or 1/100 in a stretch."""
    length = int(rng.integers(2, 60))
    start = int(rng.integers(80, len(bars.rows) - 150))
    factor = float(rng.choice([100.0, 0.01]))
    for row in range(start, start + length):
        bars.scale(row, factor)
    bars.events.append(list(range(start, start + length)))
    return True


def unit_head(bars: Table, rng: Rng) -> bool:
    """All rows up to one are in another unit."""
    end = int(rng.integers(len(bars.rows) // 3, len(bars.rows) * 85 // 100))
    for row in range(end):
        bars.scale(row, 100.0)
    bars.events.append(list(range(end)))
    return True


def unit_tail(bars: Table, rng: Rng) -> bool:
    """The newest few rows are in another unit."""
    rows = list(range(len(bars.rows) - int(rng.integers(1, 15)), len(bars.rows)))
    factor = float(rng.choice([100.0, 0.01]))
    for row in rows:
        bars.scale(row, factor)
    bars.events.append(rows)
    return True


def _a_split(bars: Table, rng: Rng) -> tuple[int, float] | None:
    """A split in the second half of the table: one of its own, or one that is planted with prices already adjusted."""
    if not bars.has("stock_splits"):
        return None
    own = [row for row in range(200, len(bars.rows) - 70) if bars.number(row, "stock_splits") > 0]
    if own:
        row = int(rng.choice(own))
        return row, bars.number(row, "stock_splits")
    row = int(rng.integers(300, len(bars.rows) - 100))
    ratio = float(rng.choice([2.0, 3.0, 4.0, 7.0, 1.5, 0.1, 0.05, 0.5]))
    bars.rows[row][bars.at("stock_splits")] = repr(ratio)
    return row, ratio


def _unsplit(bars: Table, rows: range, factor: float) -> None:
    for row in rows:
        bars.scale(row, factor)
        bars.put(row, "volume", repr(bars.number(row, "volume") / factor))
    bars.events.append(list(rows))


def split_missing(bars: Table, rng: Rng) -> bool:
    """Rows before a split as they were traded, adjusted close included."""
    found = _a_split(bars, rng)
    if found:
        _unsplit(bars, range(found[0]), found[1])
    return found is not None


def split_wrong_way(bars: Table, rng: Rng) -> bool:
    """Rows before a split multiplied where they should be divided."""
    found = _a_split(bars, rng)
    if found:
        _unsplit(bars, range(found[0]), found[1] ** 2)
    return found is not None


def split_late(bars: Table, rng: Rng) -> bool:
    """Rows up to some days before or after the split were not adjusted."""
    found = _a_split(bars, rng)
    if found:
        _unsplit(bars, range(found[0] + int(rng.integers(-15, 15))), found[1])
    return found is not None


def split_part(bars: Table, rng: Rng) -> bool:
    """A stretch of rows somewhere before the split was not adjusted."""
    found = _a_split(bars, rng)
    if found:
        length = int(rng.integers(1, 60))
        start = int(rng.integers(60, found[0] - length))
        _unsplit(bars, range(start, start + length), found[1])
    return found is not None


def _dividend_rows(bars: Table, rng: Rng, count: int) -> list[int]:
    if not bars.has("dividends"):
        return []
    rows = [row for row in range(30, len(bars.rows) - 30) if bars.number(row, "dividends") > 0]
    share = [bars.number(row, "dividends") / bars.number(row - 1, "close") for row in rows]
    rows = [row for row, one in zip(rows, share, strict=True) if 0.001 < one < 0.2]
    if len(rows) < 4:
        return []
    return sorted(int(row) for row in rng.choice(rows, count, replace=False))


def _restep(bars: Table, row: int, share: float) -> None:
    """The adjusted close before a row as if another share had been paid."""
    before = bars.number(row - 1, "adj_close") / bars.number(row - 1, "close")
    here = bars.number(row, "adj_close") / bars.number(row, "close")
    factor = (1 - share) * here / before
    for one in range(row):
        bars.put(one, "adj_close", bars.number(one, "adj_close") * factor)


def _dividends(bars: Table, rng: Rng, amount: float, step: Callable[[float], float] | None, count: int = 2) -> bool:
    rows = _dividend_rows(bars, rng, count)
    for row in rows:
        true = bars.number(row, "dividends")
        share = true / bars.number(row - 1, "close")
        if amount != 1:
            bars.put(row, "dividends", true * amount)
        if step is not None:
            _restep(bars, row, step(share))
        bars.events.append([row - 1, row])
    return bool(rows)


def dividend_amount_large(bars: Table, rng: Rng) -> bool:
    """Dividend x100, step right."""
    return _dividends(bars, rng, 100.0, None)


def dividend_large(bars: Table, rng: Rng) -> bool:
    """Dividend x100, step too."""
    return _dividends(bars, rng, 100.0, lambda share: min(share * 100, 3.0))


def dividend_amount_small(bars: Table, rng: Rng) -> bool:
    """Dividend 1/100, step right."""
    return _dividends(bars, rng, 0.01, None)


def dividend_small(bars: Table, rng: Rng) -> bool:
    """Dividend 1/100, step too."""
    return _dividends(bars, rng, 0.01, lambda share: share / 100)


def dividend_step_small(bars: Table, rng: Rng) -> bool:
    """Step 1/100 of the dividend."""
    return _dividends(bars, rng, 1.0, lambda share: share / 100)


def dividend_not_adjusted(bars: Table, rng: Rng) -> bool:
    """Dividend not adjusted for."""
    return _dividends(bars, rng, 1.0, lambda _: 0.0)


def dividend_before_split(bars: Table, rng: Rng) -> bool:
    """Amounts of before a split, beside prices that are adjusted for it."""
    rows = _dividend_rows(bars, rng, 2)
    found = _a_split(bars, rng) if rows else None
    if found is None or found[1] < 2 or bars.number(found[0], "dividends") > 0:
        return False
    for row in [row for row in rows if row < found[0]]:
        bars.put(row, "dividends", bars.number(row, "dividends") * found[1])
        bars.events.append([row])
    return bool(bars.events)


def dividend_adjusted_twice(bars: Table, rng: Rng) -> bool:
    """Dividend adjusted for twice."""
    return _dividends(bars, rng, 1.0, lambda share: 1 - (1 - share) ** 2)


def dividend_not_listed(bars: Table, rng: Rng) -> bool:
    """Dividend not listed."""
    return _dividends(bars, rng, 0.0, None)


def dividend_twice(bars: Table, rng: Rng) -> bool:
    """A dividend again on the row beside it, adjusted for as well."""
    rows = _dividend_rows(bars, rng, 1)
    for row in rows:
        other = row + int(rng.choice([-1, 1]))
        amount = bars.number(row, "dividends")
        bars.put(other, "dividends", amount)
        here = bars.number(other, "adj_close") / bars.number(other, "close")
        before = bars.number(other - 1, "adj_close") / bars.number(other - 1, "close")
        own = 1 - before / here
        share = amount / bars.number(other - 1, "close")
        _restep(bars, other, 1 - (1 - own) * (1 - share))
        bars.events.append([row, other])
    return bool(rows)


def gain_twice(bars: Table, rng: Rng) -> bool:
    """Dividends of a fund that hold its capital gain, beside the gain, both in the adjusted close."""
    rows = _dividend_rows(bars, rng, 3)
    if not rows:
        return False
    bars.header.append("Capital Gains")
    for cells in bars.rows:
        cells.append("0.0")
    amounts: dict[int, float] = {}
    for row in reversed(rows):
        close = bars.number(row - 1, "close")
        own = bars.number(row, "dividends") / close
        fall = 0.94
        share = 1 - (1 - own) * fall
        for later in range(row):  # the fund paid 6 % more: everything before stood that much higher
            for name in (*PRICES, "dividends"):
                bars.rows[later][bars.at(name)] = repr(bars.number(later, name) / fall)
        amounts[row] = close / fall * share
        bars.rows[row][bars.at("dividends")] = repr(amounts[row] * 0.25)
        bars.rows[row][bars.at("capital_gains")] = repr(amounts[row] * 0.75)
    for row in rows:
        share = amounts[row] / bars.number(row - 1, "close")
        _truly_restep(bars, row, share)
    for row in rows:
        amount = amounts[row]
        share = amount / bars.number(row - 1, "close")
        bars.put(row, "dividends", amount)
        _restep(bars, row, share * 1.75)
        bars.events.append([row])
    return True


def _truly_restep(bars: Table, row: int, share: float) -> None:
    before = bars.number(row - 1, "adj_close") / bars.number(row - 1, "close")
    here = bars.number(row, "adj_close") / bars.number(row, "close")
    for one in range(row):
        bars.rows[one][bars.at("adj_close")] = repr(bars.number(one, "adj_close") * (1 - share) * here / before)


def swapped_high_low(bars: Table, rng: Rng) -> bool:
    """High and low swapped."""
    for row in _some(rng, bars, 5):
        high, low = bars.rows[row][bars.at("high")], bars.rows[row][bars.at("low")]
        if high == low:
            continue
        bars.put(row, "high", low)
        bars.put(row, "low", high)
        bars.events.append([row])
    return True


def swapped_close_volume(bars: Table, rng: Rng) -> bool:
    """Close and volume swapped."""
    for row in _some(rng, bars, 3):
        close, volume = bars.rows[row][bars.at("close")], bars.rows[row][bars.at("volume")]
        if float(volume) < 20 * float(close):
            return False
        bars.put(row, "close", volume)
        bars.put(row, "volume", close)
        bars.events.append([row])
    return True


def crossed(bars: Table, rng: Rng) -> bool:
    """A high far below the low, and below the open and close: no swap puts it right."""
    for row in _some(rng, bars, 5):
        bars.put(row, "high", bars.number(row, "low") * 0.97)
        bars.put(row, "low", bars.number(row, "low") * 0.99)
        bars.truth[row] = None
        bars.events.append([row])
    return True


def stale(bars: Table, rng: Rng) -> bool:
    """Bars copied from the bar before."""
    for row in _some(rng, bars, 3):
        names = [name for name in (*PRICES, "volume") if bars.has(name)]
        if bars.number(row, "high") == bars.number(row, "low") or not bars.number(row, "volume"):
            continue
        rows = list(range(row + 1, row + 1 + int(rng.integers(1, 5))))
        for one in rows:
            for name in names:
                bars.put(one, name, bars.rows[row][bars.at(name)])
            bars.truth[one] = None
        bars.events.append(rows)
    return bool(bars.events)


def flat(bars: Table, rng: Rng) -> bool:
    """Rows whose prices all are the last close, with their own volumes."""
    for row in _some(rng, bars, 2):
        rows = list(range(row + 1, row + 1 + int(rng.integers(3, 9))))
        close = bars.rows[row][bars.at("close")]
        for one in rows:
            if bars.has("adj_close"):
                ratio = bars.number(one, "adj_close") / bars.number(one, "close")
                bars.put(one, "adj_close", float(close) * ratio)
            for name in PRICES:
                bars.put(one, name, close)
            bars.truth[one] = list(bars.rows[one])  # it cannot be told from quotes that stood still: it stays
        bars.events.append(rows)
    return True


def _off(bars: Table, rng: Rng, name: str) -> bool:
    """A close or an adjusted close that is off, outside of the row's low and high."""
    if not bars.has("adj_close"):
        return False
    for row in _some(rng, bars, 4):
        bars.put(row, name, bars.number(row, name) * float(rng.choice([0.8, 0.9, 1.1, 1.25])))
        bars.events.append([row])
    return True


def close_off(bars: Table, rng: Rng) -> bool:
    """Close off by 10 to 25 %."""
    return _off(bars, rng, "close")


def adjusted_off(bars: Table, rng: Rng) -> bool:
    """Adjusted close off by 10 to 25 %."""
    return _off(bars, rng, "adj_close")


def no_offset(bars: Table, rng: Rng) -> bool:
    """Times with the offset of New York, a few without, a few in UTC."""
    name = bars.header[0].lower()
    if name not in {"date", "timestamp"}:
        return False
    times = pl.Series([cells[0][:19] for cells in bars.rows]).str.to_datetime(strict=False)
    if times.null_count():
        return False
    local = times.dt.replace_time_zone("America/New_York", ambiguous="earliest", non_existent="null")
    if local.null_count():
        return False
    texts = local.dt.strftime("%Y-%m-%d %H:%M:%S%:z").to_list()
    for cells, text in zip(bars.rows, texts, strict=True):
        cells[0] = text
    for k, row in enumerate(_some(rng, bars, 4)):
        utc = local.dt.convert_time_zone("UTC").dt.strftime("%Y-%m-%d %H:%M:%S+00:00")[row]
        bars.put(row, name, utc if k % 2 else texts[row][:19])
        bars.events.append([row])
    return True


def spike(bars: Table, rng: Rng) -> bool:
    """Spike of x1.7 to x8."""
    for row in _some(rng, bars, 5):
        size = float(rng.uniform(1.7, 8.0))
        bars.scale(row, size if rng.random() < 0.5 else 1 / size, names=PRICES)
        bars.truth[row] = None
        bars.events.append([row])
    return True


def second_header(bars: Table, rng: Rng) -> bool:
    """Header in mid-file."""
    at = _insert(bars, int(rng.integers(20, len(bars.rows) - 20)), list(bars.header))
    bars.truth[at] = None
    bars.events.append([at])
    return True


def torn_row(bars: Table, rng: Rng) -> bool:
    """Row cut off."""
    for row in _some(rng, bars, 3):
        bars.truth[row] = None
        bars.rows[row] = bars.rows[row][: int(rng.integers(1, len(bars.header) - 1))]
        bars.events.append([row])
    return True


def out_of_order(bars: Table, rng: Rng) -> bool:
    """Row out of order."""
    row = int(rng.integers(50, len(bars.rows) - 100))
    moved = bars.rows.pop(row)
    at = row + int(rng.integers(3, 40))
    bars.rows.insert(at, moved)
    bars.truth[at] = list(moved)
    bars.events.append([at])
    return True


def shifted_day(bars: Table, rng: Rng) -> bool:
    """The rows of some days in another time zone."""
    if not bars.has("timestamp"):
        return False
    days: dict[str, list[int]] = {}
    for row, cells in enumerate(bars.rows):
        days.setdefault(cells[0][:10], []).append(row)
    full = max(len(rows) for rows in days.values())
    whole = [rows for rows in days.values() if len(rows) == full and rows[0] > 0]
    if len(whole) < 20 or full < 4:
        return False
    hours = int(rng.choice([-5, -4, 4, 5]))
    for k in rng.choice(len(whole), 3, replace=False):
        for row in whole[int(k)]:
            stamp = bars.rows[row][0]
            bars.put(row, "timestamp", f"{stamp[:11]}{int(stamp[11:13]) + hours:02d}{stamp[13:]}")
        bars.events.append(whole[int(k)])
    return True


PLANTS: dict[str, tuple[str, Plant]] = {
    "the same row again": ("duplicate", duplicate),
    "an earlier edition of a row": ("restated", restated),
    "price 0": ("zero_price", zero_price),
    "price below 0": ("negative_price", negative_price),
    "open, high or low missing": ("missing_value", missing_open),
    "close missing": ("missing_value", missing_close),
    "infinite price": ("infinity", infinity),
    "text for a number": ("wrong_type", wrong_type),
    "x100 or 1/100 in single cells": ("unit_error", unit_cell),
    "x100 or 1/100 in single rows": ("unit_error", unit_row),
    "x100 or 1/100 in a stretch": ("unit_error", unit_stretch),
    "x100 in all older rows": ("unit_error", unit_head),
    "x100 or 1/100 in the newest rows": ("unit_error", unit_tail),
    "split not applied": ("bad_split", split_missing),
    "split applied the wrong way": ("bad_split", split_wrong_way),
    "split applied from a wrong day": ("bad_split", split_late),
    "split not applied to a stretch": ("bad_split", split_part),
    "dividend x100, step right": ("bad_dividend", dividend_amount_large),
    "dividend x100, step too": ("bad_dividend", dividend_large),
    "dividend 1/100, step right": ("bad_dividend", dividend_amount_small),
    "dividend 1/100, step too": ("bad_dividend", dividend_small),
    "step 1/100 of the dividend": ("bad_dividend", dividend_step_small),
    "dividend not adjusted for": ("bad_dividend", dividend_not_adjusted),
    "dividend adjusted for twice": ("bad_dividend", dividend_adjusted_twice),
    "dividend of before a split": ("bad_dividend", dividend_before_split),
    "dividend not listed": ("bad_dividend", dividend_not_listed),
    "dividend on two rows": ("bad_dividend", dividend_twice),
    "capital gain counted twice": ("capital_gain_twice", gain_twice),
    "high and low swapped": ("swapped_columns", swapped_high_low),
    "close and volume swapped": ("swapped_columns", swapped_close_volume),
    "high below low, no swap helps": ("crossed_values", crossed),
    "bars copied from the one before": ("stale_run", stale),
    "prices that stand still": ("stale_run", flat),
    "close off by 10 to 25 %": ("adjusted_close", close_off),
    "adjusted close off by 10 to 25 %": ("adjusted_close", adjusted_off),
    "times without offset or in UTC": ("mixed_time_zones", no_offset),
    "spike of x1.7 to x8": ("outlier_spike", spike),
    "header in mid-file": ("second_header", second_header),
    "row cut off": ("torn_row", torn_row),
    "row out of order": ("non_monotonic_time", out_of_order),
    "days in another zone": ("wrong_time_zone", shifted_day),
}
"""Defect to the rule that is to find it, and what plants it."""

"""Splits and dividends: prices as they were, and the same prices in the terms of a later day.

A raw price is what was paid on the day, and it stays in the table. A split or a dividend changes what one share is, so
that a price from before is no longer comparable. The adjusted price multiplies a raw one by the factors of all actions
between its day and the day *as of which* one looks. What came after that day is not in it: adjusted as of a past day,
the last price equals the raw one, and no later dividend can be read from the numbers.

For a split of r new shares for each old one the price factor is 1/r (the volume's is r); for a dividend of d after a
close of p it is (p - d)/p. Factors of several actions are multiplied.

Factor files (LEAN) hold such products up to the day of their making: `last day of the old terms,price factor,split
factor,close of that day`, the last row without factors. From them the actions are read back.
"""

from __future__ import annotations

import math
from dataclasses import dataclass
from datetime import date, timedelta
from itertools import pairwise
from typing import TYPE_CHECKING, Literal, Self

import numpy as np
import polars as pl

from py_rt.data.securities import OPEN_END, compact_day, csv_rows
from py_rt.errors import DataError, SourceError

if TYPE_CHECKING:
    from collections.abc import Iterable
    from pathlib import Path

    from numpy.typing import NDArray

Kind = Literal["split", "dividend"]
Mode = Literal["all", "splits"]
"""`all`: for returns that contain dividends; `splits`: prices as charts show them."""

MAX_SPLIT_RATIO = 100_000.0
"""Most new shares for one old one, and most old ones for one new."""

PRICES = ("open", "high", "low", "close")

_SOURCE = "corporate_actions"
_RELATIVE = 5e-6
"""Factor files are rounded to about seven digits; a smaller step is no action."""


class CorporateActionError(DataError):
    """An action that cannot be, or bars that cannot be adjusted."""


@dataclass(frozen=True, slots=True, order=True)
class CorporateAction:
    """One split or dividend.

    Attributes:
        effective: first calendar day in the new terms (the ex-date, or a day without trading before it).
        kind: what it is.
        factor: by which earlier prices are multiplied.
        amount: new shares per old one, or the dividend of one share in the terms of the day before.
        known_on: first day on which it was known; never decides alone, an action is not in prices before `effective`.
    """

    effective: date
    kind: Kind
    factor: float
    amount: float
    known_on: date

    @classmethod
    def split(cls, effective: date, ratio: float, *, known_on: date | None = None) -> Self:
        """Make a split of `ratio` new shares for each old one; below 1 it is a reverse split.

        Raises:
            CorporateActionError: the ratio is out of range.

        >>> CorporateAction.split(date(2014, 6, 9), 7).factor
        0.14285714285714285
        """
        if not 1 / MAX_SPLIT_RATIO <= ratio <= MAX_SPLIT_RATIO:
            raise CorporateActionError(
                f"split on {effective}: {ratio} new shares for one; allowed is 1/{MAX_SPLIT_RATIO:g} to "
                f"{MAX_SPLIT_RATIO:g}"
            )
        return cls(effective, "split", 1.0 / ratio, ratio, known_on or effective)

    @classmethod
    def dividend(cls, effective: date, amount: float, *, previous_close: float, known_on: date | None = None) -> Self:
        """Make a dividend.

        Args:
            effective: the ex-date.
            amount: of one share, in the same unit and terms as `previous_close`.
            previous_close: raw close of the last day before the ex-date.
            known_on: `None` is the ex-date.

        Raises:
            CorporateActionError: the amount is not above 0, or not below the close.

        >>> CorporateAction.dividend(date(2014, 5, 8), 3.29, previous_close=592.33).factor
        0.9944456637347425
        """
        if not (math.isfinite(previous_close) and 0 < amount < previous_close):
            raise CorporateActionError(
                f"dividend on {effective}: {amount} after a close of {previous_close}; allowed is above 0 and below it"
            )
        factor = (previous_close - amount) / previous_close
        return cls(effective, "dividend", factor, amount, known_on or effective)

    @property
    def in_force_from(self) -> date:
        """First day as of which prices contain it: it is effective and known."""
        return max(self.effective, self.known_on)


@dataclass(frozen=True, slots=True)
class CorporateActions:
    """All actions of one security."""

    actions: tuple[CorporateAction, ...] = ()

    @classmethod
    def of(cls, actions: Iterable[CorporateAction]) -> Self:
        """Keep actions, by day.

        Raises:
            CorporateActionError: two of a kind on one day.
        """
        ordered = tuple(sorted(actions))
        for earlier, later in pairwise(ordered):
            if (earlier.effective, earlier.kind) == (later.effective, later.kind):
                raise CorporateActionError(f"two actions of kind {later.kind} on {later.effective}; give them as one")
        return cls(ordered)

    @classmethod
    def from_factor_file(cls, path: Path) -> Self:
        """Read actions back from a factor file.

        Raises:
            SourceError: a row is of another form, days do not grow, a factor is not above 0, or the last row has one;
                file and row are named.
        """
        rows = _read_factor_file(path)
        actions: list[CorporateAction] = []
        for (day, price, split, close), (_, next_price, next_split, _) in pairwise(rows):
            effective = day + timedelta(days=1)
            if not math.isclose(split, next_split, rel_tol=_RELATIVE):
                actions.append(CorporateAction.split(effective, next_split / split))
            if not math.isclose(price, next_price, rel_tol=_RELATIVE):
                kept = price / next_price
                actions.append(CorporateAction(effective, "dividend", kept, close * (1.0 - kept), effective))
        return cls.of(actions)

    def known(self, as_of: date) -> CorporateActions:
        """The actions that prices of that day contain."""
        return CorporateActions(tuple(action for action in self.actions if action.in_force_from <= as_of))

    def factors(self, days: pl.Series, as_of: date) -> pl.DataFrame:
        """What prices of each day are multiplied by to be in the terms of `as_of`.

        Args:
            days: of the prices (Date), in any order.
            as_of: the day from which one looks; only what was effective and known then counts.

        Returns:
            One row per day: `price_factor` (of dividends) and `split_factor` (Float64).

        Raises:
            CorporateActionError: a day is null or after `as_of`.
        """
        if days.null_count():
            raise CorporateActionError("a price has no day")
        late = [day for day in days.to_list() if day > as_of]
        if late:
            raise CorporateActionError(f"a price of {late[0]} has no terms as of {as_of}: that day was still to come")
        known = self.known(as_of).actions
        numbers = days.cast(pl.Int32).to_numpy()
        return pl.DataFrame(
            {
                "price_factor": _products(numbers, [action for action in known if action.kind == "dividend"]),
                "split_factor": _products(numbers, [action for action in known if action.kind == "split"]),
            }
        )

    def adjusted(self, bars: pl.DataFrame, as_of: date, mode: Mode = "all") -> pl.DataFrame:
        """Bars with their adjusted values beside the raw ones.

        Args:
            bars: with `date` (Date) and any of `open`, `high`, `low`, `close`, `volume`, all raw; further columns are
                kept.
            as_of: the day from which one looks; later bars are left out.
            mode: whether dividends count.

        Returns:
            The bars until `as_of` with `price_factor`, `split_factor` and `adj_<name>` (Float64, in the raw one's unit)
            for each column of prices and the volume. Raw columns are untouched.

        Raises:
            CorporateActionError: there is no `date`, or one is null.

        >>> bars = pl.DataFrame({"date": [date(2014, 6, 6), date(2014, 6, 9)], "close": [645.57, 93.7]})
        >>> apple = CorporateActions.of([CorporateAction.split(date(2014, 6, 9), 7)])
        >>> apple.adjusted(bars, date(2014, 6, 9))["adj_close"].round(3).to_list()
        [92.224, 93.7]
        >>> apple.adjusted(bars, date(2014, 6, 6))["adj_close"].to_list()
        [645.57]
        """
        if "date" not in bars.columns or bars.schema["date"] != pl.Date:
            raise CorporateActionError(f"bars have no column date of days; they have {dict(bars.schema)}")
        if bars["date"].null_count():
            raise CorporateActionError("a bar has no date")
        kept = bars.filter(pl.col("date") <= as_of)
        rows = kept.hstack(self.factors(kept["date"], as_of))
        factor = pl.col("split_factor") * (pl.col("price_factor") if mode == "all" else 1.0)
        prices = [(pl.col(name).cast(pl.Float64) * factor).alias(f"adj_{name}") for name in PRICES if name in rows]
        volumes = [(pl.col("volume").cast(pl.Float64) / pl.col("split_factor")).alias("adj_volume")]
        return rows.with_columns(*prices, *(volumes if "volume" in rows else []))

    def table(self) -> pl.DataFrame:
        """The actions as rows: `effective`, `kind`, `factor`, `amount`, `known_on`."""
        schema = {"effective": pl.Date, "kind": pl.String, "factor": pl.Float64, "amount": pl.Float64}
        rows = [(item.effective, item.kind, item.factor, item.amount, item.known_on) for item in self.actions]
        return pl.DataFrame(rows, schema=schema | {"known_on": pl.Date}, orient="row")

    def moves(self, bars: pl.DataFrame) -> pl.DataFrame:
        """How each action shows in the prices: evidence that it is right, or that it is not in them.

        Args:
            bars: with `date` and raw `close`, of one security.

        Returns:
            One row per action that has bars on both sides: `effective`, `kind`, `factor`, `ex_date` (the first bar in
            the new terms), `raw_ratio` (its close over the close before) and `adjusted_ratio` (the same, with that
            day's factors taken out). A split that is right leaves a ratio near 1.
        """
        sorted_bars = bars.sort("date")
        days, closes = sorted_bars["date"].to_list(), sorted_bars["close"].cast(pl.Float64).to_list()
        rows = []
        for action in self.actions:
            after = next((at for at, day in enumerate(days) if day >= action.effective), None)
            if not after:
                continue
            raw = closes[after] / closes[after - 1]
            between = [item.factor for item in self.actions if days[after - 1] < item.effective <= days[after]]
            rows.append((action.effective, action.kind, action.factor, days[after], raw, raw / math.prod(between)))
        schema = {
            "effective": pl.Date(),
            "kind": pl.String(),
            "factor": pl.Float64(),
            "ex_date": pl.Date(),
            "raw_ratio": pl.Float64(),
            "adjusted_ratio": pl.Float64(),
        }
        return pl.DataFrame(rows, schema=schema, orient="row")


def _products(days: NDArray[np.int32], actions: list[CorporateAction]) -> NDArray[np.float64]:
    """For each day the product of the factors of all actions after it."""
    ordered = sorted(actions)
    effective = np.array([(action.effective - date(1970, 1, 1)).days for action in ordered], dtype=np.int64)
    behind = np.ones(len(ordered) + 1)
    for at in range(len(ordered) - 1, -1, -1):
        behind[at] = behind[at + 1] * ordered[at].factor
    product: NDArray[np.float64] = behind[np.searchsorted(effective, days, side="right")]
    return product


def _read_factor_file(path: Path) -> list[tuple[date, float, float, float]]:
    read: list[tuple[date, float, float, float]] = []
    for line, row in csv_rows(path):
        day = compact_day(row[0])
        try:
            numbers = [float(field) for field in row[1:]]
        except ValueError:
            numbers = []
        good = len(numbers) == 3 and all(math.isfinite(number) for number in numbers) and min(numbers[:2]) > 0
        if day is None or not good:
            raise SourceError(
                _SOURCE, path.name, line, f"is {row}; wanted YYYYMMDD,price factor,split factor,previous close"
            )
        if read and day <= read[-1][0]:
            raise SourceError(_SOURCE, path.name, line, f"day {day} is not after the row above ({read[-1][0]})")
        read.append((day, *numbers))  # type: ignore[arg-type]
    last_day, price, split, _ = read[-1]
    if last_day == OPEN_END and (price, split) != (1.0, 1.0):
        raise SourceError(_SOURCE, path.name, None, f"the last row has the factors {price} and {split}; wanted 1 and 1")
    return read

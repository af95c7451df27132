"""Universes as of a day: who was in an index, and who traded at all.

A universe is asked for a day and answers with those that were in it on that day: those that failed later are among
them, those that came later are not. A day of which the source does not speak is refused; an unknown universe is no
empty one.

- :class:`IndexMembership`: membership of an index, from rows of ticker, first day, day of leaving.
- :class:`CrossSections`: daily files with every security that traded on the day.

Who a name meant on a day is told by :class:`py_rt.data.securities.SecurityMaster`. All days are calendar days of the
market; a membership ends before its day of leaving.
"""

from __future__ import annotations

import math
from collections import defaultdict
from dataclasses import dataclass
from datetime import date
from typing import TYPE_CHECKING, Self

import polars as pl

from py_rt.data.securities import (
    ONE_DAY,
    OPEN_END,
    SOURCE,
    Security,
    SecurityId,
    SecurityMaster,
    UniverseError,
    compact_day,
    csv_rows,
    iso_day,
)
from py_rt.errors import SourceError

if TYPE_CHECKING:
    from collections.abc import Iterable, Mapping
    from pathlib import Path


@dataclass(frozen=True, slots=True)
class Membership:
    """One stay in an index: from `start` until the day before `end` (`None`: still in)."""

    ticker: str
    start: date
    end: date | None

    def on(self, day: date) -> bool:
        """Whether it was a member on that day."""
        return self.start <= day and (self.end is None or day < self.end)


class IndexMembership:
    """Membership of an index through time.

    Such lists name a stay by the ticker that the member carried *last* (`WM` for Waste Management since 1998, `WAMUQ`
    for Washington Mutual, `GOOGL` since 2006). So a member is found by who carried that ticker last within the stay,
    and not by who carried it on the day.
    """

    def __init__(self, stays: Iterable[Membership], known_until: date | None = None) -> None:
        """Keep the stays.

        Args:
            stays: in any order.
            known_until: last day of which the list speaks; `None` is the last day that stands in it.

        Raises:
            UniverseError: there are no stays, one ends before it begins, or two of a ticker overlap.
        """
        self.stays = tuple(sorted(stays, key=lambda stay: (stay.ticker, stay.start)))
        if not self.stays:
            raise UniverseError("an index without members has no history")
        for stay in self.stays:
            if stay.end is not None and stay.end <= stay.start:
                raise UniverseError(f"{stay.ticker}: a stay from {stay.start} ends on {stay.end}")
        for earlier, later in zip(self.stays, self.stays[1:], strict=False):
            if earlier.ticker == later.ticker and (earlier.end is None or earlier.end > later.start):
                raise UniverseError(f"{later.ticker}: the stay from {later.start} overlaps that from {earlier.start}")
        self.known_from = min(stay.start for stay in self.stays)
        told = [day for stay in self.stays for day in (stay.start, stay.end) if day is not None]
        self.known_until = known_until or max(told)

    @classmethod
    def from_csv(cls, path: Path, known_until: date | None = None) -> Self:
        """Read rows of `ticker,start_date,end_date` below a header, with ISO days; no end means still in.

        Raises:
            SourceError: a row is of another form; file and row are named.
            UniverseError: there is no row below the header, a stay ends before it begins, or two of a ticker overlap;
                file and row are named.
        """
        (_, header), *rows = csv_rows(path)
        if header != ["ticker", "start_date", "end_date"]:
            raise SourceError(SOURCE, path.name, 1, f"header is {header}; wanted ticker,start_date,end_date")
        if not rows:
            raise UniverseError(f"{path}: row 1: there is no member below the header; get the list again")
        stays: dict[str, list[tuple[int, Membership]]] = defaultdict(list)
        for line, row in rows:
            start, end = (iso_day(row[1]), iso_day(row[2])) if len(row) == len(header) else (None, None)
            if start is None or not row[0] or (end is None and row[2]):
                raise SourceError(SOURCE, path.name, line, f"is {row}; wanted ticker,YYYY-MM-DD,YYYY-MM-DD or no end")
            stay = Membership(row[0].upper(), start, end)
            _check_stay(path, line, stay, stays[stay.ticker])
            stays[stay.ticker].append((line, stay))
        return cls((stay for of_ticker in stays.values() for _, stay in of_ticker), known_until)

    def on(self, day: date) -> list[Membership]:
        """The stays of that day, by ticker.

        Raises:
            UniverseError: the list does not speak of that day.
        """
        self._check(day)
        return [stay for stay in self.stays if stay.on(day)]

    def tickers(self, day: date) -> list[str]:
        """The names of the members on that day, sorted, as the list names them.

        >>> stays = [Membership("OLD", date(2001, 1, 1), date(2002, 1, 1)), Membership("NEW", date(2003, 1, 1), None)]
        >>> IndexMembership(stays).tickers(date(2001, 6, 1))
        ['OLD']
        """
        return [stay.ticker for stay in self.on(day)]

    def members(self, day: date, master: SecurityMaster) -> pl.DataFrame:
        """The members on that day as securities.

        Returns:
            One row per member by `listed_as` (the list's ticker): `security_id` and `ticker` (that it carried on the
            day), both null where the master knows no such security, and `start` of its stay.

        Raises:
            UniverseError: the list does not speak of that day.
        """
        rows = []
        for stay in self.on(day):
            found = _member(stay, day, master)
            known = (str(found.id), found.ticker_on(day)) if found is not None else (None, None)
            rows.append((stay.ticker, *known, stay.start))
        schema = {"listed_as": pl.String, "security_id": pl.String, "ticker": pl.String, "start": pl.Date}
        return pl.DataFrame(rows, schema=schema, orient="row")

    def over(self, days: Iterable[date]) -> pl.DataFrame:
        """Names of the members of many days: rows of `date` and `listed_as`, sorted.

        Raises:
            UniverseError: the list does not speak of one of the days.
        """
        wanted = sorted(set(days))
        for day in wanted[:1] + wanted[-1:]:
            self._check(day)
        stays = pl.DataFrame(
            [(stay.ticker, stay.start, stay.end) for stay in self.stays],
            schema={"listed_as": pl.String, "start": pl.Date, "end": pl.Date},
            orient="row",
        )
        inside = (pl.col("start") <= pl.col("date")) & (pl.col("date") < pl.col("end").fill_null(date.max))
        pairs = pl.DataFrame({"date": wanted}, schema={"date": pl.Date}).join_where(
            stays.with_columns(pl.col("end").fill_null(date.max)), inside
        )
        return pairs.select("date", "listed_as").sort("date", "listed_as")

    def changes(self) -> pl.DataFrame:
        """Every joining and leaving as a row: `date`, `listed_as`, `joined` (false: left), sorted."""
        rows = [(stay.start, stay.ticker, True) for stay in self.stays]
        rows += [(stay.end, stay.ticker, False) for stay in self.stays if stay.end is not None]
        schema = {"date": pl.Date, "listed_as": pl.String, "joined": pl.Boolean}
        return pl.DataFrame(rows, schema=schema, orient="row").sort("date", "listed_as", "joined")

    def unknown_changes(self, told: pl.DataFrame) -> pl.DataFrame:
        """The rows of another list of changes that this list does not have: two sources seldom agree on every day.

        Args:
            told: of the form of :meth:`changes`, for example from :func:`read_changes`; changes after `known_until`
                are no disagreement.
        """
        told = told.filter(pl.col("date") <= self.known_until)
        return told.join(self.changes(), on=["date", "listed_as", "joined"], how="anti").sort("date", "listed_as")

    def _check(self, day: date) -> None:
        if not self.known_from <= day <= self.known_until:
            raise UniverseError(
                f"the membership is known from {self.known_from} to {self.known_until}, not on {day}; an unknown "
                "universe is no empty one"
            )


def _check_stay(path: Path, line: int, stay: Membership, above: list[tuple[int, Membership]]) -> None:
    """Refuse a row that ends before it begins, or overlaps one of its ticker above it."""
    place = f"{path}: row {line}: {stay.ticker}"
    if stay.end is not None and stay.end <= stay.start:
        raise UniverseError(f"{place}: a stay from {stay.start} ends on {stay.end}; its end is the day of leaving")
    for row, other in above:
        is_apart = (stay.end or date.max) <= other.start or (other.end or date.max) <= stay.start
        if not is_apart:
            problem = f"the stay from {stay.start} overlaps that from {other.start} in row {row}"
            raise UniverseError(f"{place}: {problem}; give the earlier one its end, or take one out")


def read_changes(path: Path) -> pl.DataFrame:
    """Read an index's changes: rows of `date,add,remove` below a header, several tickers separated by commas.

    Returns:
        One row per ticker: `date`, `listed_as`, `joined` (false: left), sorted.

    Raises:
        SourceError: a row is of another form; file and row are named.
    """
    (_, header), *rows = csv_rows(path)
    if header != ["date", "add", "remove"]:
        raise SourceError(SOURCE, path.name, 1, f"header is {header}; wanted date,add,remove")
    changes = []
    for line, row in rows:
        day = iso_day(row[0])
        if day is None or len(row) != len(header):
            raise SourceError(SOURCE, path.name, line, f"is {row}; wanted YYYY-MM-DD,tickers,tickers")
        for tickers, joined in ((row[1], True), (row[2], False)):
            changes += [(day, ticker.strip().upper(), joined) for ticker in tickers.split(",") if ticker.strip()]
    schema = {"date": pl.Date, "listed_as": pl.String, "joined": pl.Boolean}
    return pl.DataFrame(changes, schema=schema, orient="row").sort("date", "listed_as", "joined")


def _member(stay: Membership, day: date, master: SecurityMaster) -> Security | None:
    """Who of those listed on the day carried the stay's ticker last within the stay."""
    last = stay.end - ONE_DAY if stay.end is not None else OPEN_END
    found = [item for item in master.holders(stay.ticker, stay.start, last) if item.ticker_on(day) is not None]
    return found[-1] if found else None


_COARSE = ("lean_id", "ticker", "close", "volume", "dollar_volume", "has_fundamentals", "price_factor", "split_factor")
_COARSE_SCHEMA = {
    "date": pl.Date,
    "security_id": pl.String,
    "ticker": pl.String,
    "close": pl.Float64,
    "volume": pl.Float64,
    "dollar_volume": pl.Float64,
    "has_fundamentals": pl.Boolean,
    "price_factor": pl.Float64,
    "split_factor": pl.Float64,
}


class CrossSections:
    """Daily files of everything that traded, `YYYYMMDD.csv` or `YYYYMMDD.csv.gz`.

    Rows are `security id,ticker,close,volume,dollar volume,has fundamentals,price factor,split factor` without a
    header, the id as LEAN writes it.
    """

    def __init__(self, files: Mapping[date, Path]) -> None:
        """Keep where each day lies.

        Raises:
            UniverseError: there are none.
        """
        if not files:
            raise UniverseError("no daily cross-sections were given")
        self._files = dict(sorted(files.items()))

    @classmethod
    def from_folder(cls, folder: Path) -> Self:
        """Find the days of a folder; other files are left alone.

        Raises:
            UniverseError: there are none.
        """
        found = {compact_day(path.name.partition(".")[0]): path for path in folder.glob("*.csv*")}
        return cls({day: path for day, path in found.items() if day is not None})

    @property
    def days(self) -> tuple[date, ...]:
        """Days with a file, in order."""
        return tuple(self._files)

    def on(self, day: date, *, min_dollar_volume: float = 0.0) -> pl.DataFrame:
        """Everything that traded on that day.

        Args:
            day: one of :attr:`days`.
            min_dollar_volume: least turnover of the day, in dollars.

        Returns:
            By `security_id`: `date`, `security_id`, `ticker`, `close` (raw, dollars), `volume` (shares),
            `dollar_volume`, `has_fundamentals`, and the factors to today's price (`price_factor`, `split_factor`):
            these were computed later and are no knowledge of that day.

        Raises:
            UniverseError: there is no file of that day.
            SourceError: a row is of another form.
        """
        if day not in self._files:
            raise UniverseError(f"no cross-section of {day}; known are {', '.join(map(str, self.days))}")
        path = self._files[day]
        rows = [(day, *_coarse_row(path, line, row)) for line, row in csv_rows(path)]
        frame = pl.DataFrame(rows, schema=_COARSE_SCHEMA, orient="row")
        if frame["security_id"].is_duplicated().any():
            twice = frame.filter(pl.col("security_id").is_duplicated())["security_id"][0]
            raise SourceError(SOURCE, path.name, None, f"names {twice} twice")
        return frame.filter(pl.col("dollar_volume") >= min_dollar_volume).sort("security_id")

    def shared_tickers(self, day: date) -> pl.DataFrame:
        """The rows of a day whose ticker names several securities, by ticker and id.

        Such files may hold the same trading under two ids, one of them of a company that is gone: who adds up a market
        counts it twice, and who asks by ticker must choose.

        Raises:
            UniverseError: there is no file of that day.
            SourceError: a row is of another form.
        """
        return self.on(day).filter(pl.col("ticker").is_duplicated()).sort("ticker", "security_id")


def _coarse_row(path: Path, line: int, row: list[str]) -> tuple[object, ...]:
    if len(row) != len(_COARSE):
        raise SourceError(SOURCE, path.name, line, f"has {len(row)} fields; wanted {', '.join(_COARSE)}")
    try:
        numbers = [float(row[at]) for at in (2, 3, 4, 6, 7)]
        security = SecurityId.from_lean(row[0])
    except (ValueError, UniverseError) as error:
        raise SourceError(SOURCE, path.name, line, str(error)) from error
    if row[5] not in {"True", "False"}:
        raise SourceError(SOURCE, path.name, line, f"has_fundamentals is {row[5]!r}; allowed are True and False")
    for at, number in zip((2, 3, 4, 6, 7), numbers, strict=True):
        # Polars takes NaN for more than any number: such a row would pass every least turnover.
        if not math.isfinite(number) or number < 0:
            problem = f"{_COARSE[at]} is {row[at]!r}; allowed are finite numbers from 0 on: mend or drop the row"
            raise SourceError(SOURCE, path.name, line, problem)
    close, volume, turnover, price_factor, split_factor = numbers
    return (str(security), row[1], close, volume, turnover, row[5] == "True", price_factor, split_factor)

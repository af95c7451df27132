"""Securities with permanent ids, and the tickers that they carried through time.

A file of bars is a *ticker*, not a company. Tickers change (`AOL` became `TWX`), and a ticker whose company failed is
given to another one (`WM` was Washington Mutual until 2008 and is Waste Management since 2009). So a security has an
id that never changes, and a ticker is a name that it carries from one day to another, both days included.

Names come from map files (one file per company, each row the last day of a name), and from the bars themselves where
no map file tells of a company.
"""

from __future__ import annotations

import csv
import gzip
from bisect import bisect_right
from collections import defaultdict
from dataclasses import dataclass
from datetime import date, datetime, timedelta
from typing import TYPE_CHECKING, Self

import polars as pl

from py_rt.errors import DataError, SourceError

if TYPE_CHECKING:
    from collections.abc import Iterable
    from pathlib import Path

SOURCE = "universe"
OPEN_END = date(2050, 12, 31)
"""The last day that a map file gives to a name that is still in use."""

MAX_FILE_ROWS = 1_000_000
"""Rows of one file of this module; more is not such a file."""

_LEAN_EPOCH = date(1899, 12, 30)
_LEAN_DAY_DIGITS, _LEAN_DAYS = 10**14, 100_000
_LEAN_KIND_DIGITS, _LEAN_EQUITY = 100, 1
ONE_DAY = timedelta(days=1)


class UniverseError(DataError):
    """A day that a universe knows nothing of, or a name that does not tell one security."""


@dataclass(frozen=True, slots=True, order=True)
class SecurityId:
    """The permanent name of a security: the first ticker known of it and the first day it is known.

    It is a name and no claim about the day of listing: a source that begins in 1998 gives that day to older companies.

    >>> str(SecurityId("UW", date(1998, 1, 2)))
    'UW.19980102'
    """

    ticker: str
    first_day: date

    def __str__(self) -> str:
        return f"{self.ticker}.{self.first_day:%Y%m%d}"

    @classmethod
    def parse(cls, text: str) -> Self:
        """Read what :func:`str` writes.

        Raises:
            UniverseError: the text is of another form.

        >>> SecurityId.parse("TAP.A.20121231").ticker
        'TAP.A'
        """
        ticker, _, day = text.rpartition(".")
        found = compact_day(day)
        if not ticker or found is None:
            raise UniverseError(f"{text!r} is no security id; wanted TICKER.YYYYMMDD, for example UW.19980102")
        return cls(ticker, found)

    @classmethod
    def from_lean(cls, text: str) -> Self:
        """Read an equity's id as LEAN writes it: first ticker, a space, a number in base 36.

        Of that number the decimal digits 15 to 19 are the first day, counted from 1899-12-30, and the last two the kind
        of security (LEAN, `Common/SecurityIdentifier.cs`).

        Raises:
            UniverseError: the text is of another form, or the id of something else than an equity.

        >>> str(SecurityId.from_lean("UW R735QTJ8XC9X"))
        'UW.19980102'
        """
        ticker, _, code = text.partition(" ")
        try:
            number = int(code, 36)
        except ValueError:
            number = 0
        if not ticker or number % _LEAN_KIND_DIGITS != _LEAN_EQUITY:
            raise UniverseError(f"{text!r} is no id of an equity; wanted a ticker, a space and a number in base 36")
        return cls(ticker, _LEAN_EPOCH + timedelta(days=number // _LEAN_DAY_DIGITS % _LEAN_DAYS))


@dataclass(frozen=True, slots=True)
class Name:
    """A ticker and the days on which it was in use, both included; `last_day` is `OPEN_END` while it is."""

    ticker: str
    first_day: date
    last_day: date

    def on(self, day: date) -> bool:
        """Whether the name was in use on that day."""
        return self.first_day <= day <= self.last_day


@dataclass(frozen=True, slots=True)
class Security:
    """One company's share or one fund, and its names in order of time."""

    id: SecurityId
    names: tuple[Name, ...]

    @property
    def first_day(self) -> date:
        """First day known."""
        return self.names[0].first_day

    @property
    def last_day(self) -> date:
        """Last day of trading; `OPEN_END` while it is listed."""
        return self.names[-1].last_day

    @property
    def is_delisted(self) -> bool:
        """Whether the source knows an end."""
        return self.last_day < OPEN_END

    def ticker_on(self, day: date) -> str | None:
        """The ticker on that day, `None` before the first and after the last one."""
        return next((name.ticker for name in self.names if name.on(day)), None)


class SecurityMaster:
    """Every known security, and who carried which ticker when."""

    def __init__(self, securities: Iterable[Security]) -> None:
        """Index the securities by ticker.

        Raises:
            UniverseError: two securities have one id, or the names of one overlap or have no days.
        """
        self._by_id: dict[SecurityId, Security] = {}
        self._by_ticker: dict[str, list[tuple[Name, Security]]] = defaultdict(list)
        for security in securities:
            if security.id in self._by_id:
                raise UniverseError(f"security {security.id} is given twice; an id names one security")
            _check_names(security)
            self._by_id[security.id] = security
            for name in security.names:
                self._by_ticker[name.ticker].append((name, security))
        for carriers in self._by_ticker.values():
            carriers.sort(key=lambda carrier: (carrier[0].first_day, carrier[1].id))

    @classmethod
    def from_map_files(cls, paths: Iterable[Path]) -> Self:
        """Read map files: `last day,ticker until then[,exchange]`, the first row being the first day.

        Raises:
            SourceError: a row is of another form, or days go back; file and row are named.
            UniverseError: two files tell of the same security; both are named.
        """
        read: dict[SecurityId, tuple[Path, Security]] = {}
        for path in sorted(paths):
            security = _read_map_file(path)
            if security.id in read:
                problem = f"tells of security {security.id} as {read[security.id][0]} does; an id names one security"
                raise UniverseError(f"{path}: row 1: {problem}: leave one of the files out")
            read[security.id] = (path, security)
        return cls(security for _, security in read.values())

    @property
    def securities(self) -> tuple[Security, ...]:
        """All of them, by id."""
        return tuple(self._by_id[key] for key in sorted(self._by_id))

    def security(self, security_id: SecurityId) -> Security:
        """Return one security.

        Raises:
            UniverseError: no security has that id.
        """
        if security_id not in self._by_id:
            raise UniverseError(f"no security has the id {security_id}; {len(self._by_id)} are known")
        return self._by_id[security_id]

    def holder(self, ticker: str, day: date) -> Security | None:
        """Who carried a ticker on a day; `None` when nobody known did.

        Raises:
            UniverseError: several did; their ids are named.
        """
        found = [security for name, security in self._by_ticker.get(ticker.upper(), ()) if name.on(day)]
        if len(found) > 1:
            ids = ", ".join(str(security.id) for security in found)
            raise UniverseError(f"ticker {ticker.upper()} names several securities on {day}: {ids}; ask by id")
        return found[0] if found else None

    def holders(self, ticker: str, first_day: date, last_day: date) -> list[Security]:
        """Everyone who carried a ticker on some of the days, in order of time, each once."""
        carriers = self._by_ticker.get(ticker.upper(), ())
        found = [security for name, security in carriers if name.first_day <= last_day and name.last_day >= first_day]
        return list(dict.fromkeys(found))

    def listed(self, day: date) -> list[Security]:
        """Everyone known who was listed on that day, by id: also those that failed later."""
        return [security for security in self.securities if security.ticker_on(day) is not None]

    def names(self) -> pl.DataFrame:
        """Every name as a row: `security_id`, `ticker`, `first_day`, `last_day`, `is_delisted`."""
        rows = [
            (str(security.id), name.ticker, name.first_day, name.last_day, security.is_delisted)
            for security in self.securities
            for name in security.names
        ]
        schema = {"security_id": pl.String, "ticker": pl.String, "first_day": pl.Date, "last_day": pl.Date}
        return pl.DataFrame(rows, schema=schema | {"is_delisted": pl.Boolean}, orient="row")

    def with_days(self, ticker: str, days: Iterable[date], known_until: date | None = None) -> SecurityMaster:
        """Add the securities that a ticker's file of bars tells of and no map file does.

        Days on which nobody known carried the ticker belong to someone else. Those between two known carriers are one
        security: it is named by the ticker and its first such day, and it ended with its last one.

        Args:
            ticker: of the file.
            days: of its bars, in any order.
            known_until: last day of the whole collection; bars that reach it leave the end open. `None` is the last
                day of this file: nothing then says that the security is gone.
        """
        ticker, known = ticker.upper(), self._by_ticker.get(ticker.upper(), ())
        ordered = sorted(set(days))
        starts = sorted(name.first_day for name, _ in known)
        runs: dict[int, list[date]] = defaultdict(list)
        for day in ordered:
            if not any(name.on(day) for name, _ in known):
                runs[bisect_right(starts, day)].append(day)
        added = []
        for run in runs.values():
            last = OPEN_END if run[-1] >= (known_until or ordered[-1]) else run[-1]
            added.append(Security(SecurityId(ticker, run[0]), (Name(ticker, run[0], last),)))
        return SecurityMaster((*self.securities, *added)) if added else self

    def tell_apart(self, ticker: str, bars: pl.DataFrame) -> pl.DataFrame:
        """Say of each bar of a ticker's file whose it is.

        Args:
            ticker: of the file.
            bars: with the column `date` (Date); further columns are kept.

        Returns:
            The bars with `security_id` (String; null where nobody known carried the ticker).

        Raises:
            UniverseError: several securities carried it on one of the days.

        >>> names = (Name("A", date(2001, 1, 1), date(2001, 1, 2)),)
        >>> master = SecurityMaster([Security(SecurityId("A", date(2001, 1, 1)), names)])
        >>> days = [date(2001, 1, 2), date(2001, 1, 3)]
        >>> master.with_days("A", days).tell_apart("A", pl.DataFrame({"date": days}))["security_id"].to_list()
        ['A.20010101', 'A.20010103']
        """
        owners = self.identified(bars.select("date", pl.lit(ticker.upper()).alias("ticker")))["security_id"]
        return bars.with_columns(owners)

    def identified(self, rows: pl.DataFrame, ticker: str = "ticker") -> pl.DataFrame:
        """Say of each row of a whole market whose it is.

        Args:
            rows: with `date` (Date) and a column of tickers (String); further columns are kept.
            ticker: name of that column.

        Returns:
            The rows in their order with `security_id` (String; null where nobody known carried the ticker).

        Raises:
            UniverseError: a column is missing, or several securities carried a ticker on one of the days.
        """
        missing = {"date", ticker} - set(rows.columns)
        if missing:
            raise UniverseError(f"rows lack the columns {sorted(missing)}; they have {rows.columns}")
        names = self.names().sort("first_day").select("ticker", "first_day", "last_day", "security_id")
        asked = rows.select(pl.col("date"), pl.col(ticker).str.to_uppercase().alias("ticker")).with_row_index("order")
        latest = asked.sort("date").join_asof(
            names, left_on="date", right_on="first_day", by="ticker", strategy="backward", check_sortedness=False
        )
        owner = pl.when(pl.col("date") <= pl.col("last_day")).then("security_id").alias("security_id")
        owners = latest.sort("order").select("ticker", "date", owner)
        shared = [name for name, carriers in self._by_ticker.items() if _overlap(carriers)]
        if shared and owners["ticker"].is_in(shared).any():
            # Rare: one by one, so that two owners on one day are seen.
            pairs = owners.filter(pl.col("ticker").is_in(shared)).select("ticker", "date").unique().drop_nulls()
            found = [(name, day, self.holder(name, day)) for name, day in pairs.iter_rows()]
            told = [(name, day, str(security.id) if security else None) for name, day, security in found]
            schema = {"ticker": pl.String, "date": pl.Date, "told": pl.String}
            owners = owners.join(
                pl.DataFrame(told, schema=schema, orient="row"),
                on=["ticker", "date"],
                how="left",
                maintain_order="left",
            ).with_columns(
                pl.when(pl.col("ticker").is_in(shared)).then("told").otherwise("security_id").alias("security_id")
            )
        return rows.with_columns(owners["security_id"])


def _overlap(carriers: list[tuple[Name, Security]]) -> bool:
    spans = [(name.first_day, name.last_day) for name, _ in carriers]  # in order of their first days
    return any(later[0] <= max(end for _, end in spans[: at + 1]) for at, later in enumerate(spans[1:]))


def _check_names(security: Security) -> None:
    if not security.names:
        raise UniverseError(f"security {security.id} has no name")
    before = None
    for name in security.names:
        if name.first_day > name.last_day or (before is not None and name.first_day <= before):
            raise UniverseError(
                f"security {security.id}: name {name.ticker} from {name.first_day} to {name.last_day} "
                "has no days or overlaps the name before it"
            )
        before = name.last_day


def compact_day(text: str) -> date | None:
    """Read `YYYYMMDD`; anything else is `None`."""
    try:
        return datetime.strptime(text, "%Y%m%d").date() if len(text) == len("20501231") else None  # noqa: DTZ007
    except ValueError:
        return None


def iso_day(text: str) -> date | None:
    """Read `YYYY-MM-DD`; anything else is `None`."""
    try:
        return date.fromisoformat(text)
    except ValueError:
        return None


def csv_rows(path: Path) -> list[tuple[int, list[str]]]:
    """Rows of a CSV file, gzipped or not, that are not blank, each with the line that it begins on.

    Raises:
        SourceError: the file cannot be read, is empty or has more than `MAX_FILE_ROWS` rows.
    """
    opened = gzip.open if path.suffix == ".gz" else open
    rows: list[tuple[int, list[str]]] = []
    try:
        with opened(path, mode="rt", encoding="utf-8-sig", newline="") as file:
            reader, line = csv.reader(file), 1
            for row in reader:
                if len(rows) >= MAX_FILE_ROWS:
                    raise SourceError(SOURCE, path.name, line, f"has more than {MAX_FILE_ROWS} rows")
                if any(field.strip() for field in row):
                    rows.append((line, [field.strip() for field in row]))
                line = reader.line_num + 1
    except (OSError, EOFError, UnicodeDecodeError, csv.Error) as error:
        raise SourceError(SOURCE, path.name, None, f"cannot be read: {error}") from error
    if not rows:
        raise SourceError(SOURCE, path.name, None, "is empty")
    return rows


def _read_map_file(path: Path) -> Security:
    rows = csv_rows(path)
    read: list[tuple[date, str]] = []
    for line, row in rows:
        day = compact_day(row[0])
        if day is None or len(row) not in {2, 3} or not row[1]:
            raise SourceError(SOURCE, path.name, line, f"is {row}; wanted YYYYMMDD,ticker[,exchange]")
        if read and day < read[-1][0]:
            raise SourceError(SOURCE, path.name, line, f"day {day} is before the row above ({read[-1][0]})")
        read.append((day, row[1].upper()))
    (first_day, first_ticker), *ends = read
    names: list[Name] = []
    start = first_day
    for last_day, ticker in ends or [(OPEN_END, first_ticker)]:
        if start <= last_day:  # a first row that is repeated is a name without days
            names.append(Name(ticker, start, last_day))
        start = last_day + ONE_DAY
    return Security(SecurityId(first_ticker, first_day), tuple(names))

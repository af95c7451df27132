"""Reference data of a user: who was in an index, who carried which ticker, what happened to shares.

One folder (`PY_RT_REFERENCE`, default `<home>/reference`) holds what there is of them, at any depth:

======================  =====================================================================================
`members/NAME.csv`      membership of the index NAME: `ticker,start_date,end_date`
`map_files`             files whose path says so: the tickers of one company through time (LEAN)
`factor_files`          likewise: splits and dividends of one ticker (LEAN)
======================  =====================================================================================

A folder of LEAN's data fits as it is.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING

import polars as pl

from py_rt.data.corporate_actions import CorporateActions
from py_rt.data.securities import SecurityMaster, UniverseError
from py_rt.data.universe import IndexMembership

if TYPE_CHECKING:
    from pathlib import Path

FILES_MAX = 200_000
"""Most files of a folder; more is not such a folder."""


@dataclass(frozen=True, slots=True)
class Reference:
    """A folder of reference data; it may be absent or lack any part.

    Attributes:
        folder: where it is.
    """

    folder: Path

    def _files(self, part: str) -> list[Path]:
        found = []
        for path in self.folder.rglob("*.csv"):
            inside = path.relative_to(self.folder)
            if part in inside.as_posix():
                found.append(path)
            if len(found) > FILES_MAX:
                raise UniverseError(f"{self.folder} has more than {FILES_MAX} files of {part}; name a smaller folder")
        return sorted(found)

    def lists(self) -> dict[str, Path]:
        """Lists of members by the name of the index."""
        return {path.stem: path for path in sorted((self.folder / "members").glob("*.csv"))}

    def master(self) -> SecurityMaster:
        """Every security that a map file tells of.

        Raises:
            SourceError: a file is of another form; file and row are named.
            UniverseError: two files tell of the same security.
        """
        return SecurityMaster.from_map_files(self._files("map_files"))

    def actions(self) -> dict[str, CorporateActions]:
        """Splits and dividends by ticker, as the file is called.

        Raises:
            SourceError: a file is of another form; file and row are named.
            UniverseError: two files are of the same ticker.
        """
        files: dict[str, Path] = {}
        for path in self._files("factor_files"):
            other = files.setdefault(ticker_of(path), path)
            if other != path:
                raise UniverseError(f"{other} and {path} both tell of {ticker_of(path)}; keep the one of this market")
        return {ticker: CorporateActions.from_factor_file(path) for ticker, path in files.items()}

    def members_table(self) -> pl.DataFrame:
        """Every stay in every index: `index_name`, `ticker`, `start`, `end`, by these.

        Raises:
            SourceError: a list is of another form; file and row are named.
        """
        rows = [
            (name, stay.ticker, stay.start, stay.end)
            for name, path in self.lists().items()
            for stay in IndexMembership.from_csv(path).stays
        ]
        schema = {"index_name": pl.String, "ticker": pl.String, "start": pl.Date, "end": pl.Date}
        return pl.DataFrame(rows, schema=schema, orient="row").sort("index_name", "ticker", "start")

    def names_table(self) -> pl.DataFrame:
        """Every name of every security: `security_id`, `ticker`, `first_day`, `last_day`, `is_delisted`.

        Raises:
            SourceError: a file is of another form; file and row are named.
        """
        return self.master().names().sort("security_id", "first_day")

    def actions_table(self) -> pl.DataFrame:
        """Every split and dividend: `ticker`, `effective`, `kind`, `factor`, `amount`, `known_on`.

        Raises:
            SourceError: a file is of another form; file and row are named.
            UniverseError: two files are of the same ticker.
        """
        made = [one.table().select(pl.lit(ticker).alias("ticker"), pl.all()) for ticker, one in self.actions().items()]
        empty = CorporateActions().table().select(pl.lit("", dtype=pl.String).alias("ticker"), pl.all()).clear()
        return pl.concat([empty, *made]).sort("ticker", "effective", "kind")


def ticker_of(path: Path) -> str:
    """The ticker that a file is called by.

    >>> from pathlib import Path
    >>> ticker_of(Path("factor_files/aapl.csv")), ticker_of(Path("equity__usa__factor_files__tap.a.csv"))
    ('AAPL', 'TAP.A')
    """
    return path.stem.rpartition("__")[2].upper()

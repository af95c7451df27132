"""Raw drops of a whole market: one archive a day, read whole or not at all, every defect counted.

A drop is a gzipped tar with `symbols.txt` (symbol TAB name), `prices.csv` (symbol, date, open, high, low, close,
volume, adj_close; usually the last two days, so that most rows come twice) and `reports.csv` (facts of 10-Q and 10-K
reports). Rows are kept as received, each with its line and at most one reason to be set aside; what is odd but may be
true is a flag. What a drop cannot know by itself, whether it restates a row of an earlier drop, is found by reading
drops in their order through one `Landing`.

=======================  ============================================================================================
set aside                `second_header`, `torn_row`, `wrong_type` (a price, volume or date that is none),
                         `nonpositive_price`, `crossed_prices` (high below low, or open or close outside), `duplicate`
                         and `superseded` (of several rows of one symbol and day in a drop the last one stands; an
                         earlier one with the same values, with others)
flags                    `zero_volume`; `repeated` (the symbol and day was there before, in this drop or an earlier one,
                         with the same values), `restated` (with other values than the last time)
files                    `empty_prices`, `empty_reports`, `reports_without_header`, `absent_member`
=======================  ============================================================================================
"""

from __future__ import annotations

import re
from dataclasses import dataclass, field
from typing import TYPE_CHECKING

import polars as pl

from py_rt.data.ingestion.archives import members
from py_rt.errors import SourceError

if TYPE_CHECKING:
    from pathlib import Path

SOURCE = "landing"

PRICE_COLUMNS = ("symbol", "date", "open", "high", "low", "close", "volume", "adj_close")
REPORT_COLUMNS = (
    *("symbol", "end_date", "amend", "period_focus", "fiscal_year", "doc_type", "revenues", "op_income", "net_income"),
    *("eps_basic", "eps_diluted", "dividend", "assets", "cur_assets", "cur_liab", "cash", "equity", "cash_flow_op"),
    *("cash_flow_inv", "cash_flow_fin"),
)
REASONS = (
    *("second_header", "torn_row", "wrong_type", "nonpositive_price", "crossed_prices", "duplicate", "superseded"),
)
"""Why a row is set aside."""

MEMBERS = ("symbols.txt", "prices.csv", "reports.csv")

_VALUES = ("open", "high", "low", "close", "volume")
_NAME = re.compile(r"^([0-9]{8})\.tar\.gz$")


@dataclass(frozen=True, slots=True)
class Drop:
    """A day's archive.

    Attributes:
        day: of its collection, `yyyymmdd`.
        symbols: symbol and name as received.
        prices: `line` (the first line of prices.csv is 1), the columns as received (String), `ts_date` (Date), the
            numbers `open_value` ... `volume_value` (Float64), `reason` (String, null for a good row) and the flag
            `zero_volume`.
        reports: `line` and the columns as received (String).
        header_lines: lines of prices.csv that are its header.
        report_header_lines: the same of reports.csv.
        defects: defect of the files to its count.
    """

    day: str
    symbols: pl.DataFrame
    prices: pl.DataFrame
    reports: pl.DataFrame
    header_lines: tuple[int, ...]
    report_header_lines: tuple[int, ...]
    defects: dict[str, int] = field(default_factory=dict)


def read_drop(path: Path) -> Drop:
    """Read a day's archive whole.

    Raises:
        SourceError: the name is no day, or the archive is absent, cut off, damaged, too large or no UTF-8 text;
            nothing is half-taken.
    """
    named = _NAME.match(path.name)
    if named is None:
        raise SourceError(SOURCE, path.name, None, "is no daily drop; a drop is called yyyymmdd.tar.gz")
    texts = _read_members(path)
    defects = {"absent_member": sum(name not in texts for name in MEMBERS)}
    prices, header_lines = _rows(texts.get("prices.csv", ""), PRICE_COLUMNS)
    reports, report_header_lines = _rows(texts.get("reports.csv", ""), REPORT_COLUMNS)
    names = [line.partition("\t") for line in texts.get("symbols.txt", "").splitlines() if line.strip()]
    symbols = pl.DataFrame(
        {"symbol": [one[0] for one in names], "name": [one[2] for one in names]},
        schema={"symbol": pl.String, "name": pl.String},
    )
    judged = _judge(prices)
    defects["empty_prices"] = int(judged.is_empty())
    defects["empty_reports"] = int(reports.is_empty())
    defects["reports_without_header"] = int(not reports.is_empty() and not report_header_lines)
    return Drop(named.group(1), symbols, judged, reports, header_lines, report_header_lines, defects)


def _read_members(path: Path) -> dict[str, str]:
    try:
        content = path.read_bytes()
    except OSError as error:
        raise SourceError(SOURCE, path.name, None, f"cannot be read: {error.strerror}") from error
    texts: dict[str, str] = {}
    for place, body in members(SOURCE, path.name, content, "tar.gz"):
        name = place.rpartition("/")[2]
        if name in texts:
            raise SourceError(SOURCE, path.name, None, f"holds two files called {name}: which one counts?")
        if name in MEMBERS:
            try:
                texts[name] = body.decode("utf-8")
            except UnicodeDecodeError as error:
                raise SourceError(SOURCE, path.name, None, f"{name} is damaged: {error}; fetch it again") from error
    return texts


def _rows(text: str, columns: tuple[str, ...]) -> tuple[pl.DataFrame, tuple[int, ...]]:
    """The rows of a member as text with their lines, and the lines that are its header."""
    header = ",".join(columns)
    headers: list[int] = []
    lines: list[int] = []
    cells: list[list[str | None]] = []
    reasons: list[str | None] = []
    for number, line in enumerate(text.splitlines(), start=1):
        if not line.strip():
            continue
        if line == header:
            headers.append(number)
            if number == 1:
                continue
        fields: list[str | None] = list(line.split(","))
        torn = len(fields) != len(columns)
        reasons.append("second_header" if line == header else "torn_row" if torn else None)
        lines.append(number)
        cells.append([*fields, *[None] * len(columns)][: len(columns)] if torn else fields)
    frame = pl.DataFrame(cells, schema=dict.fromkeys(columns, pl.String), orient="row")
    return (
        frame.insert_column(0, pl.Series("line", lines, dtype=pl.Int64)).with_columns(
            pl.Series("reason", reasons, dtype=pl.String)
        ),
        tuple(headers),
    )


def _judge(prices: pl.DataFrame) -> pl.DataFrame:
    """Read the numbers and give every bad row one reason."""
    read = prices.with_columns(
        pl.col("date").str.to_date("%Y-%m-%d", strict=False).alias("ts_date"),
        *(pl.col(name).cast(pl.Float64, strict=False).alias(f"{name}_value") for name in _VALUES),
    )
    o, h, low, c = (pl.col(f"{name}_value") for name in _VALUES[:4])
    numbers = [pl.col(f"{name}_value") for name in _VALUES]
    unreadable = pl.any_horizontal(
        pl.col("ts_date").is_null(), *((one.is_null() | ~one.is_finite()) for one in numbers)
    )
    crossed = (pl.max_horizontal(o, low, c) > h) | (pl.min_horizontal(o, h, c) < low)
    reason = pl.coalesce(
        "reason",
        pl.when(unreadable).then(pl.lit("wrong_type")),
        pl.when(pl.min_horizontal(o, h, low, c) <= 0).then(pl.lit("nonpositive_price")),
        pl.when(crossed).then(pl.lit("crossed_prices")),
    )
    judged = read.with_columns(reason.alias("reason"))
    good = pl.col("reason").is_null()
    key = ["symbol", "date"]
    last = pl.int_range(pl.len()).over(*key, "reason") == pl.len().over(*key, "reason") - 1
    same = pl.all_horizontal(
        pl.col(f"{name}_value") == pl.col(f"{name}_value").last().over(*key, "reason") for name in _VALUES
    )
    again = pl.when(same).then(pl.lit("duplicate")).otherwise(pl.lit("superseded"))
    judged = judged.with_columns(pl.when(good & ~last).then(again).otherwise("reason").alias("reason"))
    return judged.with_columns((pl.col("volume_value") == 0).fill_null(value=False).alias("zero_volume"))


@dataclass(slots=True)
class Landing:
    """Drops read one after the other: what a row of a drop is beside those before it.

    Attributes:
        known: per symbol and date the values last received.
        days: the drops taken, in order.
    """

    known: pl.DataFrame = field(
        default_factory=lambda: pl.DataFrame(
            schema={"symbol": pl.String, "date": pl.String} | {f"known_{name}": pl.Float64 for name in _VALUES}
        )
    )
    days: list[str] = field(default_factory=list)

    def take(self, drop: Drop) -> pl.DataFrame:
        """Take the next drop.

        Returns:
            Its prices with the flags `repeated` and `restated`: of rows with a readable key and values, set aside or
            not, the ones whose symbol and day was there before, last with the same or with other values.

        Raises:
            SourceError: a drop of this day or of a later one was taken before.
        """
        if self.days and drop.day <= self.days[-1]:
            problem = f"comes after {self.days[-1]}; take drops in the order of their days, each once"
            raise SourceError(SOURCE, f"{drop.day}.tar.gz", None, problem)
        readable = pl.all_horizontal(pl.col(f"{name}_value").is_not_null() for name in _VALUES)
        rows = drop.prices.join(self.known, on=["symbol", "date"], how="left", maintain_order="left")
        before = [
            pl.coalesce(pl.col(f"{name}_value").shift(1).over("symbol", "date"), f"known_{name}").alias(f"known_{name}")
            for name in _VALUES
        ]
        rows = rows.with_columns(*before)
        seen = pl.col("known_close").is_not_null() & readable
        same = pl.all_horizontal(pl.col(f"{name}_value") == pl.col(f"known_{name}") for name in _VALUES)
        rows = rows.with_columns(
            (seen & same).fill_null(value=False).alias("repeated"),
            (seen & ~same).fill_null(value=False).alias("restated"),
        ).drop(f"known_{name}" for name in _VALUES)
        self._remember(drop.prices)
        self.days.append(drop.day)
        return rows

    def _remember(self, prices: pl.DataFrame) -> None:
        values = [pl.col(f"{name}_value").alias(f"known_{name}") for name in _VALUES]
        readable = prices.filter(pl.all_horizontal(pl.col(f"{name}_value").is_not_null() for name in _VALUES))
        new = readable.select("symbol", "date", *values)
        self.known = pl.concat([self.known, new]).unique(["symbol", "date"], keep="last", maintain_order=True)


def count_defects(drop: Drop, rows: pl.DataFrame) -> dict[str, int]:
    """How often each defect stands in a drop.

    Args:
        drop: the drop.
        rows: what `Landing.take` made of it.

    Returns:
        Defect to count, for every reason, flag and defect of the files; 0 where there is none.
    """
    reasons = ("second_header", "torn_row", "wrong_type", "nonpositive_price", "crossed_prices")
    counts = {
        reason: rows.filter(pl.col("reason") == reason).height for reason in (*reasons, "duplicate", "superseded")
    }
    counts |= {flag: int(rows[flag].sum()) for flag in ("zero_volume", "repeated", "restated")}
    return counts | drop.defects

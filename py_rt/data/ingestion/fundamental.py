"""Fundamentals: facts of 10-Q and 10-K reports with the day they became known.

A report speaks of a period that ended weeks before anybody could read it. `collected` is the day on which it entered
the archive, before the market opened: that, and never the period's end, is when a decision may use it. A report that is
filed again (`amended`, or simply once more) is a further version beside the first.
"""

from __future__ import annotations

from dataclasses import dataclass
from datetime import time
from typing import TYPE_CHECKING

import polars as pl

from py_rt.data.ingestion.columns import Mapped, read_columns
from py_rt.data.ingestion.records import CsvForm, read_records
from py_rt.data.point_in_time import as_of, restatements
from py_rt.data.schemas import Column, RowRule, Table
from py_rt.data.timestamps import read_utc_ns
from py_rt.errors import SourceError

if TYPE_CHECKING:
    from collections.abc import Sequence
    from pathlib import Path

SOURCE = "fundamentals"

METRICS = (
    "revenues",
    "op_income",
    "net_income",
    "eps_basic",
    "eps_diluted",
    "dividend",
    "assets",
    "cur_assets",
    "cur_liab",
    "cash",
    "equity",
    "cash_flow_op",
    "cash_flow_inv",
    "cash_flow_fin",
)
"""What a report may say, in US dollars (of a share: eps, dividend); absent where it does not."""

MARKET_OPEN = time(9, 30)
MARKET_ZONE = "America/New_York"
"""A report collected before the open counts as known at the open of that day."""

_KEY = ("symbol", "period_end", "period_focus", "doc_type")

REPORTS = Table(
    "raw_fundamental",
    "raw",
    "10-Q and 10-K facts, every version with the time it became known",
    (
        Column("symbol", pl.String(), "ticker of the company on the day of collection"),
        Column("period_end", pl.Date(), "end of the period that the report speaks of"),
        Column("period_focus", pl.String(), "FY, Q1, Q2, Q3", nullable=True),
        Column("fiscal_year", pl.Int64(), "as the company counts", nullable=True),
        Column("doc_type", pl.String(), "10-Q, 10-K and the like"),
        Column("amended", pl.Boolean(), "the report says that it amends another"),
        *(Column(name, pl.Float64(), name.replace("_", " "), nullable=True) for name in METRICS),
        Column("version", pl.Int64(), "1, or higher where the report came again", minimum=1),
        Column("versions", pl.Int64(), "how many versions there are", minimum=1),
        Column("ts_known", pl.Int64(), "open of the market on the day of collection, UTC ns"),
        Column("row_number", pl.Int64(), "line of the file", minimum=1),
        Column("date", pl.Date(), "day of collection"),
    ),
    key=(*_KEY, "version"),
    rules=(RowRule("a report is known after its period", pl.col("date") > pl.col("period_end")),),
)

_MAPPED = (
    Mapped("date", "collected", "date"),
    Mapped("symbol", "symbol", "text"),
    Mapped("period_end", "end_date", "date"),
    Mapped("amended", "amend", "boolean"),
    Mapped("period_focus", "period_focus", "text", nullable=True),
    Mapped("fiscal_year", "fiscal_year", "integer", nullable=True),
    Mapped("doc_type", "doc_type", "text"),
    *(Mapped(name, name, "number", nullable=True) for name in METRICS),
)


@dataclass(frozen=True, slots=True)
class Reports:
    """Reports read from a file.

    Attributes:
        rows: as :data:`REPORTS` declares them.
        kept_out: rows that break a rule of the table, with `reason`; raw data has a few.
    """

    rows: pl.DataFrame
    kept_out: pl.DataFrame


def read_reports(path: Path) -> Reports:
    """Read a CSV or gzipped CSV of reports with the columns `collected, symbol, end_date, amend, ...`.

    Raises:
        SourceError: the file is absent, cut off or damaged, or a value is not of its type; the row is named.
    """
    from py_rt.data.ingestion.archives import file_of, packing_of

    try:
        content = path.read_bytes()
    except OSError as error:
        raise SourceError(SOURCE, path.name, None, f"cannot be read: {error.strerror}") from error
    body = file_of(SOURCE, path.name, content, packing_of(path.name))
    records = read_records(SOURCE, path.name, body, "csv", csv_form=CsvForm())
    frame = read_columns(SOURCE, path.name, records.values, _MAPPED, records.rows)
    numbers = pl.Series("row_number", records.rows, dtype=pl.Int64)
    frame = frame.with_columns(
        numbers, _known(frame["date"]), pl.col("period_focus").replace("", None), pl.col("symbol").str.strip_chars()
    )
    early = pl.col("date") <= pl.col("period_end")
    reason = (
        pl.when(pl.col("symbol") == "").then(pl.lit("no symbol")).when(early).then(pl.lit("known before its period"))
    )
    judged = frame.with_columns(reason.alias("reason"))
    good = judged.filter(pl.col("reason").is_null()).drop("reason")
    numbered = restatements(good.sort("row_number"), key=list(_KEY))
    return Reports(REPORTS.conform(numbered.sort("row_number")), judged.filter(pl.col("reason").is_not_null()))


def _known(days: pl.Series) -> pl.Series:
    text = days.cast(pl.String) + f" {MARKET_OPEN:%H:%M:%S}"
    return read_utc_ns(text, MARKET_ZONE).alias("ts_known")


def facts(reports: pl.DataFrame, metrics: Sequence[str] = METRICS) -> pl.DataFrame:
    """Reports as one row a fact: symbol, period, metric, value, version, `ts_known`; absent values are left out."""
    identity = [*_KEY, "fiscal_year", "amended", "version", "ts_known"]
    long = reports.unpivot(on=list(metrics), index=identity, variable_name="metric", value_name="value")
    return long.drop_nulls("value").sort("symbol", "ts_known", "period_end", "metric", "version")


def fundamentals_as_of(
    decisions: pl.DataFrame,
    reports: pl.DataFrame,
    metrics: Sequence[str],
    *,
    at: str = "ts",
    symbol: str = "symbol",
    max_age_ns: int | None = None,
    doc_types: Sequence[str] = (),
) -> pl.DataFrame:
    """Give each decision what the newest report known at its time said.

    Args:
        decisions: rows with a time and a symbol.
        reports: as :data:`REPORTS` declares them.
        metrics: of :data:`METRICS`.
        at: column of the time, UTC ns.
        symbol: column of the symbol.
        max_age_ns: a report known longer ago is too old.
        doc_types: only of these, such as `10-K`; empty is all.

    Raises:
        TableError: a column is missing.
    """
    chosen = reports.filter(pl.col("doc_type").is_in(list(doc_types))) if doc_types else reports
    chosen = chosen.select(pl.col("symbol").alias(symbol), "period_end", "version", "ts_known", *metrics)
    return as_of(decisions, chosen, at=at, by=[symbol], period="period_end", version="version", max_age_ns=max_age_ns)


ANNUAL = "10-K"
"""What reports of a year are called, with or without something behind it."""

YEAR_DAYS = (350, 380)
"""Days from the end of a year to that of the next."""


def known_facts(reports: pl.DataFrame) -> pl.DataFrame:
    """What was known of each company, a row for each time at which a report came in.

    Args:
        reports: as :data:`REPORTS` declares them.

    Returns:
        `symbol`, `ts_known`; :data:`METRICS` of the newest period that a report had told of by then; and of the newest
        year `earnings_per_share` (diluted, else basic), that of the year before as it was known then
        (`earnings_per_share_before`) and `dividends_per_share`: columns of the catalogue. Null where nobody told.
    """
    times = reports.select("symbol", "ts_known").unique().sort("symbol", "ts_known")
    decisions = times.rename({"ts_known": "ts"})
    newest = fundamentals_as_of(decisions, reports, METRICS).drop("ts_known").rename({"ts": "ts_known"})
    return newest.select("symbol", "ts_known", *METRICS).join(
        _of_years(times, reports), on=["symbol", "ts_known"], how="left", maintain_order="left"
    )


def _of_years(times: pl.DataFrame, reports: pl.DataFrame) -> pl.DataFrame:
    years = reports.filter(pl.col("doc_type").str.starts_with(ANNUAL)).select(
        "symbol",
        "period_end",
        "version",
        pl.col("ts_known").alias("told"),
        pl.coalesce("eps_diluted", "eps_basic").alias("eps"),
        "dividend",
    )
    told = times.join(years, on="symbol").filter(pl.col("told") <= pl.col("ts_known"))
    # Of a year that was reported again the last version by then; of the years the newest two.
    each = told.sort("symbol", "ts_known", "period_end", "told", "version").unique(
        ["symbol", "ts_known", "period_end"], keep="last", maintain_order=True
    )
    before = pl.col("period_end").shift(1).over("symbol", "ts_known")
    is_year = (pl.col("period_end") - before).dt.total_days().is_between(*YEAR_DAYS)
    beside = each.with_columns(
        pl.when(is_year).then(pl.col("eps").shift(1).over("symbol", "ts_known")).alias("earnings_per_share_before")
    )
    return beside.unique(["symbol", "ts_known"], keep="last", maintain_order=True).select(
        "symbol",
        "ts_known",
        pl.col("eps").alias("earnings_per_share"),
        "earnings_per_share_before",
        pl.col("dividend").alias("dividends_per_share"),
    )

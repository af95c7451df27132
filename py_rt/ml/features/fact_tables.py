"""Tables of facts made of a source's rows, day by day: what reports told of companies, and what texts said of symbols.

A source's rows are stored under a day (of the partition, or of arrival); what they tell was known at a time of its own.
A row that cannot be used stays in the cleaned table with its reason. A fact stands once: under the first day on which
everything that it is made of can be there; what comes later is counted, and changes nothing that was known.
"""

from __future__ import annotations

import hashlib
import tomllib
from dataclasses import dataclass, fields
from datetime import timedelta
from pathlib import Path
from typing import TYPE_CHECKING, Literal, get_args

import polars as pl

from py_rt.data.ingestion.alternative import REPEAT_NS
from py_rt.data.ingestion.fundamental import METRICS, known_facts
from py_rt.data.point_in_time import KNOWN, restatements
from py_rt.data.schemas import Column, Table
from py_rt.data.timestamps import NS_PER_DAY
from py_rt.errors import DataError

if TYPE_CHECKING:
    from datetime import date

    from py_rt.data.ingestion.source import SourceTable
    from py_rt.ml.features.sentiment import TextScorer

Kind = Literal["reports", "sentiment"]
KINDS: tuple[Kind, ...] = get_args(Kind)

REPORT_DAYS = 800
"""Days before a day whose reports tell what was known on it: a year's, and that of the year before."""

REPEAT_DAYS = 2
"""Days before a day whose texts may be repeated on it."""

TEXT_DAYS = 400
"""Days before a day whose texts are looked at, for what was counted before."""

_REPORT_KEY = ("symbol", "period_end", "period_focus", "doc_type")
_YEARLY = ("earnings_per_share", "earnings_per_share_before", "dividends_per_share")
_SCORES = ("sentiment", "positive_share", "negative_share", "spread")
_NS_PER_MINUTE = 60 * 10**9


class FactError(DataError):
    """What a source is said to become, and cannot."""


@dataclass(frozen=True, slots=True)
class FactRule:
    """What a source becomes.

    Attributes:
        kind: one of `KINDS`.
        text: column of texts.
        symbol: column that says whom a row is about.
        about: whom every row is about, where there is no such column.
        day_end: when a day of texts ends, UTC.
        repeats: whether a text counts that was said again within a day.
        model: file of an ONNX graph that scores texts; empty is VADER.
    """

    kind: Kind
    text: str = "text"
    symbol: str = "symbol"
    about: str = ""
    day_end: str = "24:00"
    repeats: bool = True
    model: str = ""

    @property
    def day_end_ns(self) -> int:
        """After midnight.

        Raises:
            FactError: it is no time of the day.
        """
        hours, colon, minutes = self.day_end.partition(":")
        if colon and hours.isdecimal() and minutes.isdecimal() and int(minutes) < 60:
            end = (60 * int(hours) + int(minutes)) * _NS_PER_MINUTE
            if 0 < end <= NS_PER_DAY:
                return end
        raise FactError(f"day_end {self.day_end!r}: write HH:MM, from 00:01 to 24:00")

    @property
    def days_before(self) -> int:
        """How far a day looks back."""
        return REPORT_DAYS if self.kind == "reports" else TEXT_DAYS

    def scorer(self) -> TextScorer:
        """What scores texts.

        Raises:
            SentimentError: the model cannot be run.
        """
        from py_rt.ml.features.sentiment import VaderScorer, words_scorer

        return words_scorer(Path(self.model)) if self.model else VaderScorer()

    def fingerprint(self) -> str:
        """A hash of what decides the numbers, the model's bytes too."""
        model = Path(self.model).read_bytes() if self.model and Path(self.model).is_file() else b""
        return hashlib.sha256(repr(self).encode() + model).hexdigest()[:16]


def read_fact_rules(path: Path) -> dict[str, FactRule]:
    """Read what sources become, by their names.

    Raises:
        FactError: the file cannot be read, or says something else; the key is named.
    """
    try:
        document = tomllib.loads(path.read_text(encoding="utf-8"))
    except (OSError, ValueError) as error:
        raise FactError(f"{path} cannot be read: {error}") from error
    return {name: _rule(f"{path}: [{name}]", facts) for name, facts in document.items()}


def _rule(where: str, facts: object) -> FactRule:
    names = [one.name for one in fields(FactRule)]
    if not isinstance(facts, dict) or not set(facts) <= set(names) or facts.get("kind") not in KINDS:
        raise FactError(f"{where} is {facts!r}; allowed are {', '.join(names)}, and kind is {' or '.join(KINDS)}")
    wrong = [name for name, value in facts.items() if not isinstance(value, bool if name == "repeats" else str)]
    if wrong:
        raise FactError(f"{where}: {', '.join(wrong)}: repeats is true or false, all others are texts")
    rule = FactRule(**facts)
    try:
        _ = rule.day_end_ns
    except FactError as error:
        raise FactError(f"{where}: {error}") from error
    return rule


def check_columns(rule: FactRule, table: SourceTable) -> None:
    """Refuse a source that lacks what the rule reads.

    Raises:
        FactError: a column is absent or of another type; what is needed is told.
    """
    there = {column.name: column.dtype for column in table.columns}
    wanted: dict[str, pl.DataType] = {} if rule.about else {rule.symbol: pl.String()}
    if rule.kind == "sentiment":
        wanted |= {rule.text: pl.String()}
    else:
        wanted |= {"period_end": pl.Date(), "doc_type": pl.String()}
    wrong = [f"{name} ({dtype})" for name, dtype in wanted.items() if there.get(name) != dtype]
    metrics = [name for name in METRICS if name in there and there[name].is_numeric()]
    if rule.kind == "reports" and not metrics:
        wrong.append(f"one of {', '.join(METRICS)} (numbers)")
    if wrong:
        raise FactError(f"{table.name} has no {', '.join(wrong)}; it has {', '.join(there)}")


def cleaned_table(rule: FactRule, source: SourceTable) -> Table:
    """The table of a source's rows as the rule reads them, each usable or with the reason why not."""
    own: tuple[Column, ...] = (
        Column("text", pl.String(), "as received", nullable=True),
        Column("text_sha256", pl.String(), "SHA-256 of the text", nullable=True),
        Column("is_repeat", pl.Boolean(), "the same words about the same symbol within the day before"),
    )
    if rule.kind == "reports":
        own = (
            Column("period_end", pl.Date(), "end of the period that the report speaks of", nullable=True),
            Column("period_focus", pl.String(), "FY, Q1, Q2, Q3", nullable=True),
            Column("doc_type", pl.String(), "10-Q, 10-K and the like", nullable=True),
            *(Column(name, pl.Float64(), name.replace("_", " "), nullable=True) for name in METRICS),
        )
    lineage = (
        Column("reason", pl.String(), "why the row is not used; absent where it is", nullable=True),
        Column(KNOWN, pl.Int64(), "when it could first be known, UTC ns"),
        Column("source_partition", pl.String(), "partition of the source that it came in"),
        Column("source_version", pl.Int64(), "1, or higher where the partition was restated", minimum=1),
        Column("payload_sha256", pl.String(), "SHA-256 of the payload it came in"),
        Column("row_number", pl.Int64(), "row in the payload, from 1", minimum=1),
        Column("date", pl.Date(), "the partition's day, or the day of arrival"),
    )
    symbol = Column("symbol", pl.String(), "whom it is about", nullable=True)
    key = ("date", "source_partition", "source_version", "payload_sha256", "row_number")
    doc = f"{source.doc}; as {rule.kind} are made of it, each row usable or with its reason"
    return Table(f"{source.name}_cleaned", "cleaned", doc, (symbol, *own, *lineage), key)


def facts_table(rule: FactRule, source: SourceTable) -> Table:
    """The table of facts."""
    if rule.kind == "reports":
        own = tuple(Column(name, pl.Float64(), name.replace("_", " "), nullable=True) for name in (*METRICS, *_YEARLY))
        doc = f"{source.doc}; what was known of each company when a report came in"
        name = f"{source.name}_facts"
    else:
        scores = tuple(Column(one, pl.Float64(), f"{one.replace('_', ' ')} of the day's texts") for one in _SCORES)
        counted = Column("texts", pl.Int64(), "texts that were known until the day's end", minimum=1)
        own = (*scores, counted, Column("scorer", pl.String(), "what scored them"))
        doc = f"{source.doc}; what was said of each symbol on each day"
        name = f"{source.name}_sentiment"
    first = (
        Column("symbol", pl.String(), "whom it is about"),
        Column(KNOWN, pl.Int64(), "when it was known, UTC ns"),
    )
    day = Column("date", pl.Date(), "day under which it is stored")
    return Table(name, "cleaned", doc, (*first, *own, day), ("symbol", KNOWN))


def cleaned(rule: FactRule, source: SourceTable, rows: pl.DataFrame, day: date) -> pl.DataFrame:
    """A source's rows of a day, each usable or with its reason.

    Args:
        rule: what they become.
        source: what says their columns.
        rows: of its table; those of the day and of `REPEAT_DAYS` days before it count.
        day: of storage.
    """
    rows = rows.filter(pl.col("date").is_between(day - timedelta(days=REPEAT_DAYS), day))
    symbol = pl.lit(rule.about) if rule.about else pl.col(rule.symbol)
    named = rows.with_columns(symbol.str.strip_chars().alias("symbol"))
    made = _report_columns(source, named) if rule.kind == "reports" else _text_columns(named, rule.text)
    table = cleaned_table(rule, source)
    return table.conform(made.filter(pl.col("date") == day).select(table.schema.names()))


def _report_columns(source: SourceTable, rows: pl.DataFrame) -> pl.DataFrame:
    scales = {column.name: column.scale or 0 for column in source.columns}
    there = [name for name in METRICS if name in rows.columns]
    numbers = [(pl.col(name).cast(pl.Float64) / 10 ** scales[name]).alias(name) for name in there]
    absent = [pl.lit(None, dtype=pl.Float64).alias(name) for name in METRICS if name not in there]
    focus = pl.col("period_focus") if "period_focus" in rows.columns else pl.lit(None)
    early = pl.col(KNOWN) <= (pl.col("period_end").cast(pl.Int32).cast(pl.Int64) + 1) * NS_PER_DAY
    reason = (
        pl.when(pl.col("symbol").fill_null("") == "")
        .then(pl.lit("no symbol"))
        .when(pl.col("period_end").is_null() | pl.col("doc_type").is_null())
        .then(pl.lit("no period"))
        .when(early)
        .then(pl.lit("known before its period was over"))
    )
    return rows.with_columns(*numbers, *absent, focus.cast(pl.String).alias("period_focus"), reason.alias("reason"))


def _text_columns(rows: pl.DataFrame, text: str) -> pl.DataFrame:
    texts = rows[text].to_list()
    hashes = [None if one is None else hashlib.sha256(one.encode()).hexdigest() for one in texts]
    hashed = rows.with_columns(
        pl.col(text).alias("text"),
        pl.Series("text_sha256", hashes, dtype=pl.String),
        pl.int_range(pl.len()).alias("_at"),
    )
    whose = ["symbol", "source_partition", "text_sha256"]
    came_again = pl.col("source_version") > pl.col("source_version").min().over(whose)
    reason = (
        pl.when(pl.col("symbol").fill_null("") == "")
        .then(pl.lit("no symbol"))
        .when(pl.col("text").fill_null("").str.strip_chars() == "")
        .then(pl.lit("no text"))
        .when(came_again)
        .then(pl.lit("stood in an earlier version of its partition"))
    )
    judged = hashed.with_columns(reason.alias("reason")).sort(KNOWN, "date", "_at")
    before = pl.col(KNOWN).shift(1).over("symbol", "text_sha256", pl.col("reason").is_null())
    repeat = pl.col("reason").is_null() & (pl.col(KNOWN) - before <= REPEAT_NS).fill_null(value=False)
    return judged.with_columns(repeat.alias("is_repeat")).sort("_at").drop("_at")


@dataclass(frozen=True)
class DayOfFacts:
    """What one day adds.

    Attributes:
        rows: of the table of facts.
        late: rows of the day that came when their facts stood already, and changed nothing.
    """

    rows: pl.DataFrame
    late: int


def facts_of_day(rule: FactRule, source: SourceTable, rows: pl.DataFrame, day: date) -> DayOfFacts:
    """The facts that stand under a day.

    Args:
        rule: what the source becomes.
        source: whose rows they are made of.
        rows: of the cleaned table; those of the day and of `rule.days_before` days before count.
        day: of storage.

    Raises:
        SentimentError: the texts cannot be scored.
    """
    seen = rows.filter(pl.col("date").is_between(day - timedelta(days=rule.days_before), day))
    usable = seen.filter(pl.col("reason").is_null())
    if rule.kind == "reports":
        made, late = _reported(usable, day)
    else:
        # Of a source that is asked for what came since, the rest of a day comes on the next one.
        settle = 0 if source.partitioning == "day" else 1
        made, late = _said(rule, usable, day, settle)
    table = facts_table(rule, source)
    return DayOfFacts(table.conform(made.with_columns(pl.lit(day).alias("date")).select(table.schema.names())), late)


def _reported(reports: pl.DataFrame, day: date) -> tuple[pl.DataFrame, int]:
    first = reports.group_by("symbol", KNOWN).agg(pl.col("date").min())
    ours = first.filter(pl.col("date") == day).select("symbol", KNOWN)
    newest = first.filter(pl.col("date") < day).group_by("symbol").agg(pl.col(KNOWN).max().alias("newest"))
    today = reports.filter(pl.col("date") == day).join(newest, on="symbol", how="inner")
    versions = restatements(reports.sort("date", "row_number"), key=list(_REPORT_KEY))
    made = known_facts(versions).join(ours, on=["symbol", KNOWN], how="semi", maintain_order="left")
    return made, today.filter(pl.col(KNOWN) <= pl.col("newest")).height


def _said(rule: FactRule, texts: pl.DataFrame, day: date, settle: int) -> tuple[pl.DataFrame, int]:
    from py_rt.ml.features.sentiment import known_sentiment

    counted = texts if rule.repeats else texts.filter(~pl.col("is_repeat"))
    number = -((rule.day_end_ns - pl.col(KNOWN)) // NS_PER_DAY)
    stored = pl.col("date").cast(pl.Int32).cast(pl.Int64)
    stands = pl.max_horizontal(number + settle, stored.min().over("symbol", number))
    placed = counted.with_columns(stands.alias("_stands"))
    today = (day - type(day)(1970, 1, 1)).days
    ours = placed.filter(pl.col("_stands") == today)
    late = placed.filter((pl.col("date") == day) & (pl.col("_stands") < today)).height
    scorer = rule.scorer()
    made = known_sentiment(ours.select("symbol", KNOWN, "text"), scorer, day_end_ns=rule.day_end_ns)
    return made.with_columns(pl.lit(scorer.name).alias("scorer")), late

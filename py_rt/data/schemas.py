"""Every table of the lake, declared once: columns, keys and the rules its rows keep.

What is declared here is used three times: a frame is brought into its table's form before it is written
(:meth:`Table.conform`), asset checks are made from the rules (:meth:`Table.faults`), and the user interface shows
the columns. A fixed-point column says its `scale`: the integer 12_345_000_000 with scale 8 is 123.45.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING

import polars as pl

from py_rt.errors import SchemaError

if TYPE_CHECKING:
    from collections.abc import Iterable, Sequence

SCALE_DIGITS = 8
"""Decimal digits of a fixed-point column."""

MIN_TRADED_UNITS = 4
"""Least volume (units of 1e-8 base) of a bar in which something traded: one unit each for open, high, low, close."""


@dataclass(frozen=True, slots=True)
class Column:
    """One column and what each of its values keeps.

    Attributes:
        name: as stored.
        dtype: Polars data type, exact.
        doc: one line, with the unit.
        nullable: whether a value may be absent.
        scale: decimal digits of a fixed-point integer; `None` for anything else.
        minimum: least allowed value, inclusive.
        allowed: the only allowed values, when the set is closed.
    """

    name: str
    dtype: pl.DataType
    doc: str
    nullable: bool = False
    scale: int | None = None
    minimum: int | None = None
    allowed: tuple[str, ...] = ()

    def constraints(self) -> list[str]:
        """The rules in words, for people."""
        words = [] if self.nullable else ["not null"]
        if self.minimum is not None:
            words.append(f">= {self.minimum}")
        if self.allowed:
            words.append("one of " + ", ".join(self.allowed))
        return words

    def violations(self) -> list[tuple[str, pl.Expr]]:
        """Pairs of a rule's name and an expression that is true where a row breaks it."""
        value = pl.col(self.name)
        rules: list[tuple[str, pl.Expr]] = []
        if not self.nullable:
            rules.append((f"{self.name} is not null", value.is_null()))
        if self.minimum is not None:
            rules.append((f"{self.name} >= {self.minimum}", value < self.minimum))
        if self.allowed:
            rules.append((f"{self.name} is one of the allowed values", ~value.is_in(self.allowed)))
        return rules


@dataclass(frozen=True, slots=True)
class RowRule:
    """A rule over the columns of one row: `holds` must be true wherever it is not null."""

    name: str
    holds: pl.Expr


@dataclass(frozen=True, slots=True)
class Fault:
    """A broken rule: how many rows break it and the first of them."""

    rule: str
    rows: int
    example: str


@dataclass(frozen=True, slots=True)
class Table:
    """A table of the lake.

    Attributes:
        name: of the asset that fills it.
        group: of that asset; the table lies at `<lake>/<group>/<name>`.
        doc: one line.
        columns: in stored order.
        key: columns that name a row; unique where none of them is null.
        partition_column: the Delta partition column (a `pl.Date`), or `None` for a table that is not partitioned.
        rules: what holds inside each row.
        order: columns by which readers get the rows sorted; empty is the key.
    """

    name: str
    group: str
    doc: str
    columns: tuple[Column, ...]
    key: tuple[str, ...]
    partition_column: str | None = "date"
    rules: tuple[RowRule, ...] = ()
    order: tuple[str, ...] = ()

    @property
    def schema(self) -> pl.Schema:
        """Column names and types in stored order."""
        return pl.Schema({column.name: column.dtype for column in self.columns})

    @property
    def scales(self) -> dict[str, int]:
        """Decimal digits by name, for the fixed-point columns."""
        return {column.name: column.scale for column in self.columns if column.scale is not None}

    def empty(self) -> pl.DataFrame:
        """A frame of this table without rows."""
        return pl.DataFrame(schema=self.schema)

    def conform(self, frame: pl.DataFrame) -> pl.DataFrame:
        """The same rows with the columns in stored order.

        Raises:
            SchemaError: a column is missing, unknown or of another type; every difference is named.
        """
        wanted, found = self.schema, frame.schema
        problems = [f"column {name} is missing (wanted {dtype})" for name, dtype in wanted.items() if name not in found]
        problems += [f"column {name} is not declared" for name in found if name not in wanted]
        problems += [
            f"column {name} is {found[name]}, wanted {dtype}"
            for name, dtype in wanted.items()
            if name in found and found[name] != dtype
        ]
        if problems:
            raise SchemaError(f"rows do not fit table {self.group}/{self.name}: {'; '.join(problems)}")
        return frame.select(wanted.names())

    def faults(self, frame: pl.DataFrame) -> list[Fault]:
        """Every rule that some row breaks: column rules, row rules and the key.

        Raises:
            SchemaError: the columns themselves do not fit.
        """
        frame = self.conform(frame)
        tests = [pair for column in self.columns for pair in column.violations()]
        tests += [(rule.name, ~rule.holds) for rule in self.rules]
        whole_key = pl.all_horizontal(pl.col(name).is_not_null() for name in self.key)
        tests.append((f"key ({', '.join(self.key)}) is unique", whole_key & pl.struct(self.key).is_duplicated()))
        marks = frame.select(broken.fill_null(value=False).alias(str(i)) for i, (_, broken) in enumerate(tests))
        counts = marks.sum().row(0) if frame.height else (0,) * len(tests)
        return [
            Fault(name, int(counts[i]), _describe(frame.filter(marks[str(i)]).head(1), self.key))
            for i, (name, _) in enumerate(tests)
            if counts[i]
        ]

    def faults_of(self, rows: pl.LazyFrame) -> list[Fault]:
        """The same of rows that are never in memory all together, but for the columns of the key.

        Raises:
            SchemaError: the columns themselves do not fit.
        """
        self.conform(pl.DataFrame(schema=rows.collect_schema()))
        tests = [pair for column in self.columns for pair in column.violations()]
        tests += [(rule.name, ~rule.holds) for rule in self.rules]
        broken = [test.fill_null(value=False) for _, test in tests]
        counts = (
            rows.select(test.sum().alias(str(at)) for at, test in enumerate(broken)).collect(engine="streaming").row(0)
        )
        faults = [
            Fault(name, int(counts[at]), _describe(rows.filter(broken[at]).head(1).collect(), self.key))
            for at, (name, _) in enumerate(tests)
            if counts[at]
        ]
        keys = rows.select(self.key).drop_nulls().group_by(self.key).len().filter(pl.col("len") > 1)
        again = keys.collect(engine="streaming")
        if again.height:
            name = f"key ({', '.join(self.key)}) is unique"
            faults.append(Fault(name, int(again["len"].sum()), _describe(again.drop("len").head(1), self.key)))
        return faults

    def rule_names(self) -> list[str]:
        """Every rule that :meth:`faults` looks at, in words."""
        names = [name for column in self.columns for name, _ in column.violations()]
        return [*names, *(rule.name for rule in self.rules), f"key ({', '.join(self.key)}) is unique"]


def _describe(row: pl.DataFrame, key: Sequence[str]) -> str:
    values = row.row(0, named=True)
    shown = {**{name: values[name] for name in key}, **values}
    return ", ".join(f"{name}={value}" for name, value in shown.items() if value is not None)


def _fixed(name: str, doc: str, *, nullable: bool = False, minimum: int | None = None) -> Column:
    return Column(name, pl.Int64(), f"{doc} (1e-8)", nullable=nullable, scale=SCALE_DIGITS, minimum=minimum)


def _prices(*, nullable: bool) -> tuple[Column, ...]:
    names = ("open", "high", "low", "close")
    minimum = None if nullable else 1  # a row that is kept out may have any price
    return tuple(_fixed(name, f"{name} price", nullable=nullable, minimum=minimum) for name in names)


DATE = Column("date", pl.Date(), "UTC day of the bar's opening")

_RECEIVED = (
    Column("datetime", pl.String(), "time as received", nullable=True),
    Column("open", pl.String(), "open as received", nullable=True),
    Column("high", pl.String(), "high as received", nullable=True),
    Column("low", pl.String(), "low as received", nullable=True),
    Column("close", pl.String(), "close as received", nullable=True),
    Column("volume", pl.String(), "volume as received", nullable=True),
)
RECEIVED_COLUMNS = tuple(column.name for column in _RECEIVED)


def _raw(name: str, doc: str, *, partition_column: str | None) -> Table:
    columns = (
        *_RECEIVED,
        Column("extra", pl.String(), "the file's other columns as received, one JSON object", nullable=True),
        Column("symbol", pl.String(), "the source's name of the instrument"),
        Column("volume_unit", pl.String(), "what volume counts", allowed=("base", "quote")),
        Column("time_zone", pl.String(), "zone of a time that names none"),
        Column("source", pl.String(), "name of the source"),
        Column("file", pl.String(), "file the row came from, relative to the source"),
        Column("file_sha256", pl.String(), "SHA-256 of that file's bytes"),
        Column("row_number", pl.Int64(), "line of a text file (header = 1), row of a columnar one", minimum=1),
        Column("source_end", pl.Int64(), "latest time in the source when the row landed, UTC ns"),
        Column("ts_arrival", pl.Int64(), "when the row landed, UTC ns", minimum=0),
        DATE,
    )
    return Table(name, "raw", doc, columns, key=("file_sha256", "row_number"), partition_column=partition_column)


RAW_BARS = _raw("raw_bars", "15-minute bars as received, append-once", partition_column="date")
RAW_DAILY_BARS = _raw("raw_daily_bars", "Daily bars as received, append-once", partition_column=None)

REASONS = (
    "unreadable_time",
    "unreadable_price",
    "unreadable_volume",
    "nonpositive_price",
    "negative_volume",
    "inconsistent_prices",
    "off_grid",
    "unfinished_bar",
    "restated",
    "duplicate",
)
"""Why a row is kept out, in order of precedence: a row has the first one that applies."""

_O, _H, _L, _C, _V = (pl.col(name) for name in ("open", "high", "low", "close", "volume"))
_PUBLISHED = pl.col("reason").is_null()


def _bar_rules(published: pl.Expr | None = None) -> tuple[RowRule, ...]:
    """Rules of a bar; with `published`, of those rows only."""
    rules = {
        "prices are above zero": pl.min_horizontal(_O, _H, _L, _C) > 0,
        "high is the highest price": pl.max_horizontal(_O, _L, _C) <= _H,
        "low is the lowest price": pl.min_horizontal(_O, _H, _C) >= _L,
        "an empty bar has one price": ~pl.col("is_empty") | ((_H == _L) & (_O == _C) & (_O == _H)),
        f"volume is 0 when empty, else at least {MIN_TRADED_UNITS} units": pl.when(pl.col("is_empty"))
        .then(_V == 0)
        .otherwise(_V >= MIN_TRADED_UNITS),
        "an empty bar's volume is not imputed": ~(pl.col("is_empty") & pl.col("volume_imputed")),
        "a bar without a source row is empty": pl.col("source_row").is_not_null() | pl.col("is_empty"),
        "ts_close is after ts_open": pl.col("ts_close") > pl.col("ts_open"),
        "date is the UTC day of ts_open": pl.from_epoch("ts_open", time_unit="ns").dt.date() == pl.col("date"),
    }
    return tuple(RowRule(name, holds if published is None else ~published | holds) for name, holds in rules.items())


def _bar_columns(*, nullable: bool) -> tuple[Column, ...]:
    return (
        Column("instrument", pl.String(), "our name of the instrument"),
        Column("ts_open", pl.Int64(), "start of the bar, UTC ns", nullable=nullable),
        Column("ts_close", pl.Int64(), "end of the bar, UTC ns", nullable=nullable),
        *_prices(nullable=nullable),
        _fixed("volume", "traded base quantity", nullable=nullable, minimum=0),
        Column("volume_imputed", pl.Boolean(), "the source gave no usable volume", nullable=nullable),
        Column("is_empty", pl.Boolean(), "nothing traded: prices repeat the previous close", nullable=nullable),
        Column("source_row", pl.Int64(), "raw_bars.row_number; absent for a filled gap", nullable=True, minimum=1),
        Column("source_sha256", pl.String(), "raw_bars.file_sha256; absent for a filled gap", nullable=True),
    )


_RECEIVED_TEXT = tuple(
    Column(f"received_{column.name}", pl.String(), column.doc, nullable=True) for column in _RECEIVED
)

STAGED_BARS = Table(
    "staged_bars",
    "cleaned",
    "Every raw row and every filled bar with its verdict, before the checks",
    (
        *_bar_columns(nullable=True),
        Column("reason", pl.String(), "why the row is kept out; absent: publish", nullable=True, allowed=REASONS),
        Column("detail", pl.String(), "the reason with its values", nullable=True),
        *_RECEIVED_TEXT,
        DATE,
    ),
    key=("source_sha256", "source_row"),
    rules=(
        *_bar_rules(_PUBLISHED),
        RowRule(
            "a row to be published is complete",
            ~_PUBLISHED | pl.all_horizontal(column.is_not_null() for column in (pl.col("ts_open"), _O, _H, _L, _C, _V)),
        ),
        RowRule("a row that is kept out came from the source", _PUBLISHED | pl.col("source_row").is_not_null()),
    ),
    order=("date", "ts_open", "source_sha256", "source_row"),
)

CLEAN_BARS = Table(
    "clean_bars",
    "cleaned",
    "The full 15-minute grid of bars that readers use",
    (*_bar_columns(nullable=False), DATE),
    key=("instrument", "ts_open"),
    rules=_bar_rules(),
)

QUARANTINED_BARS = Table(
    "quarantined_bars",
    "cleaned",
    "Raw rows kept out of clean_bars, each with one reason",
    (
        Column("instrument", pl.String(), "our name of the instrument"),
        Column("ts_open", pl.Int64(), "time of the row where readable, UTC ns", nullable=True),
        Column("reason", pl.String(), "why the row is kept out", allowed=REASONS),
        Column("detail", pl.String(), "the reason with its values"),
        *_RECEIVED_TEXT,
        Column("source_row", pl.Int64(), "raw_bars.row_number", minimum=1),
        Column("source_sha256", pl.String(), "raw_bars.file_sha256"),
        DATE,
    ),
    key=("source_sha256", "source_row"),
)

LABELS = Table(
    "labels",
    "features",
    "What happened after each bar's close, for every bar whose future is complete",
    (
        Column("instrument", pl.String(), "our name of the instrument"),
        Column("ts_close", pl.Int64(), "end of the bar at which a decision is made, UTC ns"),
        Column("label", pl.Int8(), "1 for a rise, by the rule of config/training.toml, else 0", minimum=0),
        Column("label_end_ts", pl.Int64(), "when the label becomes known, UTC ns"),
        Column("ret", pl.Float64(), "return until then, a ratio"),
        DATE,
    ),
    key=("instrument", "ts_close"),
    rules=(RowRule("a label is known after its bar", pl.col("label_end_ts") > pl.col("ts_close")),),
)

FEATURES_BAR = Table(
    "features_bar",
    "features",
    "Features at each bar's close: beside these columns, one Float32 column per feature of the specification",
    (
        Column("instrument", pl.String(), "our name of the instrument"),
        Column("ts_close", pl.Int64(), "end of the bar, UTC ns"),
        Column("is_warm", pl.Boolean(), "whether every feature has enough bars behind it"),
        DATE,
    ),
    key=("instrument", "ts_close"),
)
"""Not among `TABLES`: the specification of the features, not this page, says which further columns there are, and each
specification has a table of its own."""

_RECORDED = (
    Column("row", pl.Int64(), "place in the day, in order of receipt", minimum=0),
    Column("session", pl.Int64(), "connection of the recorder, counted over the day", minimum=0),
    Column("venue", pl.String(), "whose wire"),
    Column("symbol", pl.String(), "the venue's own"),
    Column("ts_received", pl.Int64(), "when the message was read from the socket, UTC ns", minimum=0),
)
_RECEIPT_DAY = Column("date", pl.Date(), "UTC day of receipt")
_DAY_OF_RECEIPT = RowRule(
    "date is the UTC day of ts_received",
    pl.from_epoch("ts_received", time_unit="ns").dt.date() == pl.col("date"),
)
_IS_INVALID = pl.col("kind") == "invalid"

RAW_BOOK = Table(
    "raw_book",
    "raw",
    "Recorded order books: each level of each update, as the venue's sequencer proved it",
    (
        *_RECORDED,
        Column("ts_event", pl.Int64(), "the venue's time of the update, UTC ns", nullable=True),
        Column(
            "kind",
            pl.String(),
            "snapshot: what was known before is gone; delta: a quantity of 0 removes the level; "
            "invalid: nothing is known until the next snapshot",
            allowed=("snapshot", "delta", "invalid"),
        ),
        Column("reason", pl.String(), "why the book is invalid", nullable=True),
        Column(
            "update", pl.Int64(), "update of this book in this session, counted over the day", nullable=True, minimum=0
        ),
        Column("update_id", pl.Int64(), "the venue's number of the book afterwards", nullable=True, minimum=0),
        Column("side", pl.String(), "absent: an update without levels", nullable=True, allowed=("bid", "ask")),
        _fixed("price", "price of the level", nullable=True, minimum=1),
        _fixed("quantity", "what rests there afterwards", nullable=True, minimum=0),
        _fixed("best_bid", "best bid after the whole update", nullable=True, minimum=1),
        _fixed("best_ask", "best ask after the whole update", nullable=True, minimum=1),
        _RECEIPT_DAY,
    ),
    key=("date", "row"),
    rules=(
        _DAY_OF_RECEIPT,
        RowRule("the best bid is below the best ask", pl.col("best_bid") < pl.col("best_ask")),
        RowRule("a book that is invalid says why, and no other", pl.col("reason").is_not_null() == _IS_INVALID),
        RowRule(
            "an update has a number and a time",
            _IS_INVALID | pl.all_horizontal(pl.col("update", "update_id", "ts_event").is_not_null()),
        ),
        RowRule(
            "a level is whole",
            (pl.col("side").is_null() == pl.col("price").is_null())
            & (pl.col("side").is_null() == pl.col("quantity").is_null()),
        ),
    ),
)

RAW_TRADES = Table(
    "raw_trades",
    "raw",
    "Recorded public trades",
    (
        *_RECORDED,
        Column("ts_event", pl.Int64(), "the venue's time of the trade, UTC ns"),
        Column("trade_id", pl.Int64(), "the venue's number of the trade", minimum=0),
        _fixed("price", "price", minimum=1),
        _fixed("quantity", "traded quantity", minimum=1),
        Column("aggressor", pl.String(), "whose order took", allowed=("buy", "sell")),
        _RECEIPT_DAY,
    ),
    key=("date", "row"),
    rules=(_DAY_OF_RECEIPT,),
)

_RECORDED_BAR = (
    Column("venue", pl.String(), "whose wire"),
    Column("symbol", pl.String(), "the venue's own"),
    Column("ts_open", pl.Int64(), "when the bar begins, UTC ns"),
    Column("ts_close", pl.Int64(), "when it ends, UTC ns"),
    *(Column(name, pl.Float64(), f"{name} price") for name in ("open", "high", "low", "close")),
    Column("volume", pl.Float64(), "traded quantity", minimum=0),
)
FLOW_BARS = Table(
    "flow_bars",
    "features",
    "Bars of recorded trades by the clock, and what happened to the book in them, in the units in which people write",
    (
        *_RECORDED_BAR,
        *(
            Column(name, pl.Float64(), doc, nullable=True)
            for name, doc in {
                "bid": "best bid at the end",
                "ask": "best ask at the end",
                "bid_quantity": "what rests at the best bid at the end",
                "ask_quantity": "what rests at the best ask at the end",
                "spread": "mean spread over time",
                "order_flow": "order-flow imbalance of the best levels",
                "bid_added": "quantity that came to the best bid",
                "bid_removed": "quantity that left it",
                "ask_added": "quantity that came to the best ask",
                "ask_removed": "quantity that left it",
                "mid_variation": "squared changes of the middle price",
                "mid_path": "changes of the middle price without their signs",
                "quote_updates": "changes of the best levels",
                "buy_volume": "bought by those who took",
                "sell_volume": "sold by those who took",
                "trades": "trades",
                "largest_trade": "quantity of the largest trade",
                "trade_variation": "squared changes of the traded price",
                "buy_intensity": "fading count of buys at the end",
                "sell_intensity": "fading count of sells at the end",
            }.items()
        ),
        _RECEIPT_DAY,
    ),
    key=("date", "venue", "symbol", "ts_open"),
)

EVENT_BARS = Table(
    "event_bars",
    "features",
    "Bars of recorded trades that close by what was traded, in the units in which people write",
    (
        *_RECORDED_BAR,
        Column("buy_volume", pl.Float64(), "bought by those who took", minimum=0),
        Column("sell_volume", pl.Float64(), "sold by those who took", minimum=0),
        Column("trades", pl.Int64(), "trades", minimum=1),
        _RECEIPT_DAY,
    ),
    key=("date", "venue", "symbol", "ts_open"),
)

CAPTURED_SCORES = Table(
    "captured_scores",
    "features",
    "What the deployed model says on captured trades, beside what it says on its training source",
    (
        Column("instrument", pl.String(), "our name of the instrument"),
        Column("ts_close", pl.Int64(), "end of the bar, UTC ns"),
        Column("score_captured", pl.Float64(), "probability on bars of captured trades"),
        Column("score_training", pl.Float64(), "probability on bars of the training source"),
        Column("decision_captured", pl.String(), "by that score", allowed=("enter", "hold", "leave")),
        Column("decision_training", pl.String(), "by that score", allowed=("enter", "hold", "leave")),
        Column("features_equal", pl.Int64(), "features with the same bits on both sides", minimum=0),
        DATE,
    ),
    key=("instrument", "ts_close"),
)

INDEX_MEMBERS = Table(
    "index_members",
    "raw",
    "Who was in an index from when to when, also those that left or failed",
    (
        Column("index_name", pl.String(), "of the list"),
        Column("ticker", pl.String(), "that the member carried last"),
        Column("start", pl.Date(), "first day of the stay"),
        Column("end", pl.Date(), "day of leaving, no member any more; absent while it is one", nullable=True),
    ),
    key=("index_name", "ticker", "start"),
    partition_column=None,
    rules=(RowRule("a stay has days", pl.col("start") < pl.col("end")),),
)

SECURITY_NAMES = Table(
    "security_names",
    "raw",
    "Which security carried which ticker from when to when",
    (
        Column("security_id", pl.String(), "TICKER.YYYYMMDD, the first name and the first day known of it"),
        Column("ticker", pl.String(), "the name"),
        Column("first_day", pl.Date(), "of the name"),
        Column("last_day", pl.Date(), "of the name, included; 2050-12-31 while it is in use"),
        Column("is_delisted", pl.Boolean(), "whether the source knows an end of the security"),
    ),
    key=("security_id", "first_day"),
    partition_column=None,
    rules=(RowRule("a name has days", pl.col("first_day") <= pl.col("last_day")),),
)

CORPORATE_ACTIONS = Table(
    "corporate_actions",
    "raw",
    "Splits and dividends, each with the day from which it was known",
    (
        Column("ticker", pl.String(), "of the file it stands in"),
        Column("effective", pl.Date(), "first day in the new terms"),
        Column("kind", pl.String(), "what happened", allowed=("split", "dividend")),
        Column("factor", pl.Float64(), "by which earlier prices are multiplied, a ratio"),
        Column("amount", pl.Float64(), "new shares for an old one, or the dividend of one share in quote currency"),
        Column("known_on", pl.Date(), "first day on which it was known"),
    ),
    key=("ticker", "effective", "kind"),
    partition_column=None,
    rules=(RowRule("a factor is above zero", pl.col("factor") > 0),),
)

TABLES = {
    table.name: table
    for table in (
        RAW_BARS,
        RAW_DAILY_BARS,
        RAW_BOOK,
        RAW_TRADES,
        INDEX_MEMBERS,
        SECURITY_NAMES,
        CORPORATE_ACTIONS,
        STAGED_BARS,
        CLEAN_BARS,
        QUARANTINED_BARS,
        LABELS,
        CAPTURED_SCORES,
        FLOW_BARS,
        EVENT_BARS,
    )
}
"""Every table that is declared whole, by name."""


def table_named(name: str, tables: Iterable[Table] | None = None) -> Table:
    """Return a declared table.

    Raises:
        SchemaError: no table has that name; the known ones are listed.

    >>> table_named("clean_bars").group
    'cleaned'
    """
    known = {table.name: table for table in tables} if tables is not None else TABLES
    if name not in known:
        raise SchemaError(f"no table is called {name!r}; declared are {', '.join(sorted(known))}")
    return known[name]

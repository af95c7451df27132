"""`py_rt data bars`, `reports`, `sentiment` and `convert`: files that other commands take, made of what people have."""

from __future__ import annotations

from contextlib import contextmanager
from dataclasses import replace
from pathlib import Path  # noqa: TC003  # typer reads the annotations
from typing import TYPE_CHECKING, Annotated

import typer

from py_rt.cli import bar_options as options
from py_rt.cli.data_add import refuse
from py_rt.cli.refusal import shown
from py_rt.errors import DataError, PyRtError

if TYPE_CHECKING:
    from collections.abc import Iterator

    import polars as pl

    from py_rt.data.event_bars import Rule

NS_PER_MINUTE = 60 * 10**9
_EPILOG = "Exit status: 0 done; 2 a file cannot be taken or written, or the command line is wrong."
_JSON = typer.Option("--json", help="One JSON document.")
_OUT = typer.Option("--out", help="Where to: .csv, .csv.gz or .parquet.", metavar="FILE")
_ROLE = "Which column is what, where its name is no usual one; may be given several times. Roles: "


def add_to(app: typer.Typer) -> None:
    """Register the commands on the sub-app `data`."""
    for command in (bars, reports, sentiment, convert):
        app.command(epilog=_EPILOG)(command)


def bars(  # noqa: PLR0913, PLR0917  # the options of one command
    trades: Annotated[Path, typer.Argument(help="Trades: CSV (plain or gzipped) or Parquet.", metavar="TRADES")],
    out: Annotated[Path, _OUT],
    rule: Annotated[
        str,
        typer.Option(help="time; or ticks, volume, dollars, alone or with _imbalance or _run.", metavar="RULE"),
    ] = "",
    size: Annotated[
        float | None,
        typer.Option(help="Seconds; trades, quantity or money; trades expected of an imbalance or run bar."),
    ] = None,
    averaged: Annotated[
        float | None, typer.Option(help="Bars over which imbalance and run bars average sides: 20.", min=1)
    ] = None,
    features: Annotated[
        Path | None,
        typer.Option("--set", help="A model's feature file, which says rule and size of its bars.", metavar="FILE"),
    ] = None,
    quotes: Annotated[
        Path | None, typer.Option(help="Best prices, for --rule time: what happens to the book.", metavar="QUOTES")
    ] = None,
    tick_rule: Annotated[
        bool, typer.Option("--tick-rule", help="Nobody wrote who took: by whether the price rose or fell.")
    ] = False,
    time_zone: Annotated[str, options.ZONE] = "UTC",
    column: Annotated[
        list[str] | None,
        typer.Option(help=f"{_ROLE}ts, price, quantity, side (buy, sell), maker.", metavar="ROLE=NAME"),
    ] = None,
    quote_column: Annotated[
        list[str] | None,
        typer.Option(
            help=f"{_ROLE}ts, bid, bid_quantity, ask, ask_quantity, bid_depth, ask_depth.", metavar="ROLE=NAME"
        ),
    ] = None,
    json: Annotated[bool, _JSON] = False,
) -> None:
    """Make bars of trades, by the clock or by what happened, with what features of order flow read.

    Example: py_rt data bars trades.csv --rule volume --size 10 --out bars.csv

    Example: py_rt data bars trades.csv.gz --quotes quotes.csv.gz --rule time --size 60 --out minutes.parquet

    Example: py_rt data bars trades.csv.gz --set model.toml --out bars.parquet

    Nobody wrote who took: py_rt data bars ticks.csv --rule dollars_imbalance --size 500 --tick-rule --out bars.csv

    OUT is a file of bars for py_rt features compute, with buy_volume, sell_volume, trades and, of bars by the clock,
    every column of order flow that the events tell (py_rt features functions lists them), by the engine's code. A bar
    that has not closed is left out. Rows stand in order of time; trades say who took, as side (buy, sell, 1, -1) or
    is_buyer_maker. Times may be written as in files of bars.
    """
    from py_rt.data.event_bars import bars_of, read_quotes, read_trades

    with _told(out, trades, quotes, features, json=json):
        closing = _rule(rule, size, averaged, features)
        given = options.given(time_zone, "", column, day_first=None)
        of_quotes = replace(given, columns=options.given(time_zone, "", quote_column, day_first=None).columns)
        read = read_trades(trades, given, by_tick_rule=tick_rule)
        told = read_quotes(quotes, of_quotes) if quotes is not None else None
        made = bars_of(read, closing, told)
        words = f"{closing.name} {closing.size:g}"
        _write(made, out, f"{read.height} trades make no whole bar by {words}; take a smaller --size")
    facts = {"ok": True, "trades": read.height, "bars": made.height, "columns": made.columns, "out": str(out)}
    shown(facts, json=json, text=f"{made.height} bars of {read.height} trades by {words}: {out}")


def _rule(name: str, size: float | None, averaged: float | None, features: Path | None) -> Rule:
    from py_rt.data.event_bars import BARS_AVERAGED, Rule

    if features is not None:
        if name or size is not None or averaged is not None:
            raise DataError(f"{features} says rule and size; leave out --rule, --size and --averaged, or --set")
        from py_rt.ml.features.technical import FeatureSet

        return FeatureSet.from_toml(features).rule
    if not name or size is None:
        raise DataError("when a bar closes is said by --rule and --size, or by a model's feature file with --set FILE")
    return Rule(name, size, BARS_AVERAGED if averaged is None else averaged)


def reports(
    archive: Annotated[
        Path, typer.Argument(help="10-Q and 10-K facts, CSV or gzipped CSV: collected, symbol, end_date, ...")
    ],
    out: Annotated[Path, _OUT],
    symbol: Annotated[str, typer.Option(help="Only this company.")] = "",
    json: Annotated[bool, _JSON] = False,
) -> None:
    """Make of reports what was known of companies, and when: for features compute --known and py_rt tell.

    Example: py_rt data reports reports.csv.gz --out known.csv

    Example: py_rt data reports reports.csv.gz --symbol AAPL --out aapl.csv

    A row for each time at which a report came in (the open in New York on the day of collection), with what its company
    had told by then: the newest period's figures by their own names, and of the newest year earnings_per_share,
    earnings_per_share_before and dividends_per_share of the catalogue. A report that was filed again counts from the
    day on which it came again. Rows that cannot be right are left out and counted.
    """
    from py_rt.data.ingestion.fundamental import known_facts, read_reports

    with _told(out, archive, json=json):
        read = read_reports(archive)
        rows = _of_symbol(read.rows, symbol)
        made = known_facts(rows)
        _write(made, out, "no report can be used")
    kept_out = dict(read.kept_out["reason"].value_counts(sort=True).iter_rows())
    facts = {"ok": True, "reports": rows.height, "rows": made.height, "kept_out": kept_out, "out": str(out)}
    aside = f", kept out: {', '.join(f'{count} {why}' for why, count in kept_out.items())}" if kept_out else ""
    shown(facts, json=json, text=f"{made.height} times of {rows.height} reports{aside}: {out}")


def sentiment(  # the options of one command
    texts: Annotated[
        Path, typer.Argument(help="JSON lines (plain, .gz, .zst), CSV or Parquet: symbol, created_at, text.")
    ],
    out: Annotated[Path, _OUT],
    symbol: Annotated[str, typer.Option(help="Only texts about this one.")] = "",
    model: Annotated[
        Path | None, typer.Option(help="An ONNX graph over hashed words instead of VADER's lexicon.", metavar="FILE")
    ] = None,
    day_end: Annotated[str, typer.Option(help="When a day ends, UTC; 21:00 is New York's close in winter.")] = "24:00",
    repeats: Annotated[bool, typer.Option(help="Count a text that was said again within a day.")] = True,
    fields: Annotated[
        list[str] | None, typer.Option("--field", help=f"{_ROLE}symbol, sent, text.", metavar="ROLE=NAME")
    ] = None,
    json: Annotated[bool, _JSON] = False,
) -> None:
    """Make of texts what was said of each symbol on each day: for features compute --known and py_rt tell.

    Example: py_rt data sentiment tweets.jsonl.gz --out sentiment.csv

    Example: py_rt data sentiment news.jsonl --symbol AAPL --day-end 21:00 --field sent=published --out aapl.csv

    Of a source of yours: py_rt data sentiment news.parquet --field sent=ts_known --field text=title --out news.csv

    A row for each symbol and day with texts, known when the day is over: sentiment (mean of the scores, -1 to 1), texts
    (how many), positive_share, negative_share, spread. A text counts on the day on which it was sent. Scores are
    VADER's, or those of --model: a graph with one input words of (texts, width), which hashed words fill, and one
    number a text.
    """
    from py_rt.data.ingestion.alternative import read_texts
    from py_rt.ml.features.sentiment import VaderScorer, known_sentiment, words_scorer

    with _told(out, texts, model, json=json):
        named = options.given("UTC", "", fields, day_first=None).columns
        if unknown := sorted(named.keys() - {"symbol", "sent", "text"}):
            raise DataError(f"--field {unknown[0]}: no such role; there are symbol, sent, text")
        rows = _of_symbol(read_texts(texts, **named), symbol)
        rows = rows if repeats else rows.filter(~rows["is_repeat"])
        scorer = words_scorer(model) if model is not None else VaderScorer()
        made = known_sentiment(rows, scorer, day_end_ns=_day_end_ns(day_end))
        _write(made, out, "there is no text")
    facts = {"ok": True, "texts": rows.height, "rows": made.height, "scorer": scorer.name, "out": str(out)}
    shown(facts, json=json, text=f"{made.height} days of {rows.height} texts by {scorer.name}: {out}")


def convert(
    source: Annotated[Path, typer.Argument(help="CSV, Parquet, HDF5 (.h5), hftbacktest (.npz, .npy).", metavar="IN")],
    target: Annotated[Path, typer.Argument(help=".csv, .csv.gz, .parquet, .h5 or .hdf5.", metavar="OUT")],
    table: Annotated[str, typer.Option(help="Name of the table in an HDF5 file.")] = "table",
    json: Annotated[bool, _JSON] = False,
) -> None:
    """Write the rows of a file as another kind of file, to the last digit.

    Example: py_rt data convert btcusdt_20240808.npz events.parquet

    Example: py_rt data convert bars.csv.gz bars.h5 --table minutes

    Parquet and HDF5 say the decimal digits of fixed-point columns; a CSV has them written out. Trades of hftbacktest's
    events are read by py_rt data bars from the Parquet file.
    """
    from py_rt.data.convert import convert as converted

    with _told(target, source, json=json):
        made = converted(source, target, group=table)
    facts = {"ok": True, "rows": made.height, "columns": made.columns, "out": str(target)}
    shown(facts, json=json, text=f"{made.height} rows of {made.width} columns: {target}")


def _of_symbol(rows: pl.DataFrame, symbol: str) -> pl.DataFrame:
    """Rows of one symbol, where one is asked for."""
    found = rows.filter(rows["symbol"] == symbol) if symbol else rows
    if symbol and not found.height:
        there = ", ".join(rows["symbol"].unique().sort().head(10).to_list())
        raise DataError(f"--symbol {symbol}: there are no rows of it; there are {there}, ...")
    return found


def _day_end_ns(text: str) -> int:
    hours, colon, minutes = text.partition(":")
    if not (colon and hours.isdecimal() and minutes.isdecimal() and int(minutes) < 60):
        raise DataError(f"--day-end {text!r}: write HH:MM, such as 21:00")
    return (60 * int(hours) + int(minutes)) * NS_PER_MINUTE


def _write(made: pl.DataFrame, out: Path, nothing: str) -> None:
    from py_rt.data.bar_files import write_table

    if not made.height:
        raise DataError(f"{nothing}; nothing is written")
    write_table(made, out)


@contextmanager
def _told(out: Path, *read: Path | None, json: bool) -> Iterator[None]:
    try:
        if any(path is not None and path.resolve() == out.resolve() for path in read):
            raise DataError(f"{out} is read here, and would be lost; give another name")
        yield
    except PyRtError as error:
        refuse(error, json=json)

"""`py_rt data universe`, `calendar` and `adjust`: the past as it was known then."""

from __future__ import annotations

from datetime import date
from pathlib import Path  # noqa: TC003  # typer reads the annotations
from typing import TYPE_CHECKING, Annotated, Any

import typer

from py_rt.cli.refusal import WRONG, shown, told
from py_rt.defaults import reference_folder

if TYPE_CHECKING:
    import polars as pl


_JSON = typer.Option("--json", help="One JSON document.")
_FOLDER = typer.Option(
    "--reference", help="Folder of reference data; default: PY_RT_REFERENCE, or <home>/reference.", metavar="FOLDER"
)
_ZONE = typer.Option(help="IANA time zone of times that say none.", metavar="ZONE")


def add_to(app: typer.Typer) -> None:
    """Register the commands on the sub-app `data`."""
    app.command("universe")(universe)
    app.command("calendar")(calendar)
    app.command("adjust")(adjust)


def universe(
    on: Annotated[str, typer.Option("--on", help="The day, such as 2008-09-01.", metavar="DAY")],
    members: Annotated[
        Path | None, typer.Option(help="A list of ticker,start_date,end_date instead of the folder's.", metavar="FILE")
    ] = None,
    index: Annotated[str, typer.Option(help="Which of the folder's lists, where it has several.")] = "",
    traded: Annotated[
        Path | None,
        typer.Option(help="Everything that traded that day, by LEAN's coarse files in a folder.", metavar="FOLDER"),
    ] = None,
    min_dollar_volume: Annotated[float, typer.Option(help="With --traded: least turnover of the day, dollars.")] = 0.0,
    reference: Annotated[Path | None, _FOLDER] = None,
    json: Annotated[bool, _JSON] = False,
) -> None:
    """Say who was in an index on a past day: also those that failed later, and none that came later.

    Example: py_rt data universe --on 2008-09-01 --members sp500.csv

    Example: py_rt data universe --on 2008-09-01 --index sp500 --json

    Example: py_rt data universe --on 2014-03-25 --traded coarse --min-dollar-volume 1e8

    The folder's lists are members/NAME.csv. Lists name a member by the ticker that it carried last; where the folder
    has map files, its permanent id and the ticker that it carried on the day stand beside it. A day of which the list
    does not speak is refused: an unknown universe is no empty one.
    """
    from py_rt.data.reference import Reference
    from py_rt.data.universe import IndexMembership

    day = _day("--on", on)
    if traded is not None:
        if members is not None or index:
            raise typer.BadParameter("--traded is the whole market: leave --members and --index out")
        _say_traded(traded, day, min_dollar_volume, json=json)
        return
    with told(json=json, status=WRONG):
        found = Reference(reference or reference_folder())
        path = members or _one_list(found, index)
        rows = IndexMembership.from_csv(path).members(day, found.master())
    facts = {"ok": True, "day": day.isoformat(), "list": str(path), "members": _texts(rows)}
    lines = [
        f"{row['listed_as']:10} {row['ticker'] or '?':10} {row['security_id'] or ''}" for row in rows.rows(named=True)
    ]
    head = f"{'listed as':10} {'that day':10} security"
    shown(facts, json=json, text="\n".join([head, *lines, f"{rows.height} members on {day}"]))


def _say_traded(folder: Path, day: date, min_dollar_volume: float, *, json: bool) -> None:
    """What traded, and which tickers name several securities. The factors of such files are knowledge of later."""
    from py_rt.data.universe import CrossSections

    with told(json=json, status=WRONG):
        sections = CrossSections.from_folder(folder)
        rows = sections.on(day, min_dollar_volume=min_dollar_volume).drop("price_factor", "split_factor", "date")
        shared = sections.shared_tickers(day)["ticker"].unique().sort().to_list()
    lines = [
        f"{row['ticker']:10} {row['security_id']:24} {row['dollar_volume']:>18,.0f}" for row in rows.rows(named=True)
    ]
    twice = f", {len(shared)} tickers name several" if shared else ""
    facts = {"ok": True, "day": day.isoformat(), "traded": _texts(rows), "shared_tickers": shared}
    shown(facts, json=json, text="\n".join([*lines, f"{rows.height} securities traded on {day}{twice}"]))


def calendar(
    name: Annotated[str, typer.Argument(help="A market identifier code such as XNYS, or 24/7.", metavar="NAME")],
    first: Annotated[str, typer.Option("--from", help="First day, such as 2015-11-01.", metavar="DAY")],
    last: Annotated[str, typer.Option("--to", help="Last day, included.", metavar="DAY")],
    bars: Annotated[
        Path | None, typer.Option(help="Say which bars sessions have and this file lacks.", metavar="FILE")
    ] = None,
    time_zone: Annotated[str, _ZONE] = "UTC",
    json: Annotated[bool, _JSON] = False,
) -> None:
    """List the sessions of a venue, with their times in UTC; or the bars that a file lacks within them.

    Example: py_rt data calendar XNYS --from 2015-11-23 --to 2015-11-30

    Example: py_rt data calendar XNYS --from 2015-11-01 --to 2015-12-31 --bars spy.csv --time-zone America/New_York

    Session numbers count from 2000-01-03 and do not depend on the days asked for. Nights, weekends, holidays and half
    days are no holes; days before the file begins and after it ends are. Of daily bars, sessions without one are told.
    """
    from py_rt.data.calendars import Calendar

    with told(json=json, status=WRONG):
        sessions = Calendar.load(name, _day("--from", first), _day("--to", last))
        if bars is not None:
            lacking = _lacking(sessions, bars, time_zone)
            facts = {"ok": True, "calendar": name, "holes": _texts(lacking)}
            lines = [" ".join(map(str, row.values())) for row in _texts(lacking)]
            shown(facts, json=json, text="\n".join([*lines, f"{lacking.height} holes"]))
            return
    rows = sessions.sessions.select("session", "session_number", *(_moment(at) for at in ("ts_open", "ts_close")))
    facts = {"ok": True, "calendar": name, "sessions": _texts(rows)}
    lines = [" ".join(map(str, row.values())) for row in _texts(rows)]
    shown(facts, json=json, text="\n".join([*lines, f"{rows.height} sessions"]))


def adjust(  # the options of one command
    bars: Annotated[Path, typer.Option("--in", help="Raw bars: CSV, gzipped CSV or Parquet.", metavar="FILE")],
    actions: Annotated[Path, typer.Option(help="Splits and dividends: a LEAN factor file.", metavar="FILE")],
    out: Annotated[Path, typer.Option(help="Where to: .csv, .csv.gz or .parquet.", metavar="FILE")],
    as_of: Annotated[str, typer.Option(help="In the terms of which day; later bars are left out.", metavar="DAY")],
    splits_only: Annotated[bool, typer.Option(help="Leave dividends in the prices, as charts do.")] = False,
    time_zone: Annotated[str, _ZONE] = "UTC",
    json: Annotated[bool, _JSON] = False,
) -> None:
    """Put prices in the terms of one day beside the raw ones, with the splits and dividends known on it.

    Example: py_rt data adjust --in aapl.csv --actions aapl_factors.csv --as-of 2014-06-09 --out adjusted.csv

    OUT has the time, the raw prices and volume, price_factor, split_factor and adj_open to adj_volume. As of a past day
    the last price is the raw one: no later dividend can be read from the numbers.
    """
    from py_rt.data.bar_files import write_table
    from py_rt.data.corporate_actions import CorporateActionError, CorporateActions

    day = _day("--as-of", as_of)
    with told(json=json, status=WRONG):
        if out.resolve() in {bars.resolve(), actions.resolve()}:
            raise CorporateActionError(f"{out} is read here, and would be lost; give --out another name")
        known = CorporateActions.from_factor_file(actions)
        made = known.adjusted(_daily(bars, time_zone), day, "splits" if splits_only else "all").drop("date")
        if made.is_empty():
            raise CorporateActionError(f"{bars} has no bar until {day}; give a later --as-of")
        write_table(made, out)
    used = known.known(day).actions
    facts = {"ok": True, "rows": made.height, "actions": len(used), "as_of": day.isoformat(), "out": str(out)}
    shown(facts, json=json, text=f"{made.height} bars in the terms of {day}, {len(used)} actions known then: {out}")


def _daily(path: Path, time_zone: str) -> pl.DataFrame:
    """The file's time, its raw numbers, and the day of each bar in the zone of its times."""
    import polars as pl

    from py_rt.data.bar_columns import Given
    from py_rt.data.bar_files import UNITS, read_bar_file

    file = read_bar_file(path, Given(time_zone))
    names = [name for name in ("open", "high", "low", "close", "volume") if name in file.bars.columns]
    raw = file.bars.select(pl.col(name) / UNITS for name in names)
    local = file.ts_open.cast(pl.Datetime("ns")).dt.replace_time_zone("UTC").dt.convert_time_zone(time_zone)
    frame = raw.with_columns(local.dt.date().alias("date"))
    return file.in_file_order(frame).insert_column(0, file.time.alias("time"))


def _lacking(sessions: Any, path: Path, time_zone: str) -> pl.DataFrame:  # noqa: ANN401  # a Calendar, imported late
    """What sessions have and a file lacks on the days that were asked: its bars, or its days where a bar is one."""
    import polars as pl

    from py_rt.data.bar_columns import Given
    from py_rt.data.bar_files import read_bar_file
    from py_rt.data.timestamps import NS_PER_DAY

    file = read_bar_file(path, Given(time_zone))
    asked = {"first_day": sessions.first_day, "last_day": sessions.last_day}
    if file.span_ns < NS_PER_DAY:
        opened, closed = sessions.sessions["ts_open"].min(), sessions.sessions["ts_close"].max()
        within = pl.DataFrame({"ts_open": file.ts_open}).filter(pl.col("ts_open").is_between(opened, closed, "left"))
        holes: pl.DataFrame = sessions.holes(within, bar_ns=file.span_ns, **asked)
        return holes.select("session", _moment("ts_open"))
    local = file.ts_open.cast(pl.Datetime("ns")).dt.replace_time_zone("UTC").dt.convert_time_zone(time_zone)
    days = local.dt.date()
    lacking = sessions.missing_days(days.filter(days.is_between(*asked.values())).to_list(), **asked)
    return pl.DataFrame({"session": lacking}, schema={"session": pl.Date})


def _one_list(found: Any, index: str) -> Path:  # noqa: ANN401  # a Reference, imported late
    from py_rt.data.securities import UniverseError

    lists = found.lists()
    if index and index not in lists:
        raise UniverseError(f"{found.folder} has no list {index!r}; it has {', '.join(lists) or 'none'}")
    if not index and len(lists) != 1:
        there = f"the lists {', '.join(lists)}: name one with --index" if lists else "no members/NAME.csv"
        raise UniverseError(f"{found.folder} has {there}, or give a list with --members FILE")
    path: Path = lists[index or next(iter(lists))]
    return path


def _moment(name: str) -> pl.Expr:
    import polars as pl

    return pl.from_epoch(pl.col(name), time_unit="ns").dt.strftime("%Y-%m-%dT%H:%M:%SZ").alias(name)


def _texts(rows: pl.DataFrame) -> list[dict[str, Any]]:
    import polars as pl

    return rows.with_columns(pl.col(pl.Date).cast(pl.String)).rows(named=True)


def _day(option: str, text: str) -> date:
    try:
        return date.fromisoformat(text)
    except ValueError as error:
        raise typer.BadParameter(f"{option} {text} is no day; give one such as 2024-01-31") from error

"""`py_rt tell`: what became known of an instrument beside its market, pushed to a running service."""

from __future__ import annotations

from pathlib import Path  # noqa: TC003  # typer reads the annotations
from typing import TYPE_CHECKING, Annotated

import typer

from py_rt.cli.service_door import Answer, AskedWronglyError, Reach, add_command, asked
from py_rt.cli.service_stops import OPERATORS, done, instrument_name, scope_of

if TYPE_CHECKING:
    from py_rt.bridge.records import Acknowledgement
    from py_rt.cli.service_door import Connection

SECONDS_A_DAY = 86_400
MAX_AGE_SECONDS = 2**32 - 1
"""The longest age that a command can say: then the one that the features declare decides."""

Told = tuple[str, int, float | None]
"""Name, time and value of a fact."""

LAST_MAX = 2_048
"""Facts that a service keeps of one parameter."""


def add_to(app: typer.Typer) -> None:
    """Add the push."""
    add_command(app, "tell", tell)


def tell(
    reach: Reach,
    facts: Annotated[
        Path, typer.Argument(help="CSV, gzipped CSV or Parquet: ts_known and a column for each.", metavar="FILE")
    ],
    instrument: Annotated[str, typer.Option(help="Of which, such as binance:BTCUSDT.")],
    names: Annotated[str, typer.Option(help="Only these, with commas between them.", metavar="NAME[,NAME...]")] = "",
    max_age_days: Annotated[
        float | None,
        typer.Option(help="How long a fact holds at most, where that is shorter than declared.", min=1 / SECONDS_A_DAY),
    ] = None,
    last: Annotated[int, typer.Option(help="So many of the newest rows, oldest first.", min=1, max=LAST_MAX)] = 1,
    time_zone: Annotated[str, typer.Option(help="IANA time zone of times that say none.", metavar="ZONE")] = "UTC",
) -> Answer:
    """Tell a service the newest facts of a file, for features that read them as slow parameters.

    Signed by an operator.

    Example: py_rt tell funding.csv --instrument binance:BTCUSDT
    Example: py_rt tell sentiment.parquet --instrument binance:BTCUSDT --last 60

    A fact holds from its ts_known on; a cell without a number says that it is unknown from then on. Features that
    look back (delta, mean) need as many rows of the past as they look back over: a service that has begun a new life
    knows nothing until it is told again. Telling the same again changes nothing. Without --names those columns are told
    that a running bundle declares; a name that none declares is refused.
    """
    from py_rt.bridge.vocabulary import InstrumentName

    name = asked(InstrumentName.parse, instrument_name(instrument))
    told = _newest(facts, [one.strip() for one in names.split(",")] if names else None, last, time_zone)
    seconds = MAX_AGE_SECONDS if max_age_days is None else max(1, round(max_age_days * SECONDS_A_DAY))
    with reach.opened(OPERATORS) as service:
        told = told if names else _declared(service, facts, told)
        ack: Acknowledgement | None = None
        for column, ts_known, value in told:
            ack = service.client.tell_slow(name, column, value, valid_from=ts_known, max_age_s=seconds)
        if ack is None:
            raise AskedWronglyError(f"{facts} has no row")
        columns = sorted({column for column, *_ in told})
        answer = done(service, "tell", scope_of(instrument=instrument), ack, f"{len(told)} of {', '.join(columns)}")
    said = [
        {"name": column, "ts_known": ts_known, "value": None if value is None else repr(value)}
        for column, ts_known, value in told
    ]
    return Answer({**answer.facts, "instrument": str(name), "max_age_seconds": seconds, "told": said}, answer.text)


def _declared(service: Connection, path: Path, told: list[Told]) -> list[Told]:
    """What the bundles that run declare, of what a file has."""
    declared = {one.name for slot in service.client.status().slots for one in slot.slow}
    if told and declared.isdisjoint(column for column, *_ in told):
        there = ", ".join(sorted({column for column, *_ in told}))
        wanted = f"they declare {', '.join(sorted(declared))}" if declared else "none declares any: deploy one first"
        raise AskedWronglyError(f"{path} has {there}, which no bundle that runs declares as a slow parameter; {wanted}")
    return [one for one in told if one[0] in declared]


def _newest(path: Path, names: list[str] | None, last: int, time_zone: str) -> list[Told]:
    """Name, time and value of the newest rows' cells, oldest first.

    Raises:
        SourceError: the file cannot be read, or has none of the names.
    """
    from math import isnan

    from py_rt.data.point_in_time import KNOWN
    from py_rt.ml.features.known import read_facts

    units = None if names is None else dict.fromkeys(names, "")
    rows = read_facts(path, time_zone, units).tail(last)
    columns = [column for column in rows.columns if column != KNOWN]
    if missing := [name for name in names or () if name not in columns]:
        raise AskedWronglyError(f"{path} has no column {', '.join(missing)}; it has {', '.join(columns)}")
    return [
        (column, row[KNOWN], None if isnan(row[column]) else row[column])
        for row in rows.iter_rows(named=True)
        for column in columns
    ]

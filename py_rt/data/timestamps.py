"""Timestamp text to UTC nanoseconds, in integers.

Read are ISO 8601 dates and times (`2021-09-27`, `2021-09-27 14:45:00+01:00`, `2021-09-27T13:45:00.123456789Z`,
`20210927T134500Z`, `2021-09-27 13:45:00+00` as PostgreSQL writes it), compact days (`20210927`) and Unix time in
seconds, milliseconds, microseconds or nanoseconds (10, 13, 16 or 19 digits, and decimal places). Anything else is null,
and so is a time outside 1677-09-29 to 2262-04-04: 64 bits of nanoseconds hold no other.
"""

from __future__ import annotations

from typing import Literal

import polars as pl

NS_PER_SECOND = 1_000_000_000
SECONDS_PER_DAY = 86_400
NS_PER_DAY = SECONDS_PER_DAY * NS_PER_SECOND

SECONDS_MAX = (2**63 - 1) // NS_PER_SECOND - 7 * SECONDS_PER_DAY
"""Farthest from 1970 that is read: what 64 bits hold, less room for every offset and fraction."""

UNIX_DIGITS = {10: NS_PER_SECOND, 13: 1_000_000, 16: 1_000, 19: 1}
"""Nanoseconds of the unit that Unix times of so many digits count."""

_ZONE = r" ?([Zz]|UTC|[+-][0-9]{2}(?::?[0-9]{2})?)?$"
_ISO = r"^([0-9]{4}-[0-9]{2}-[0-9]{2})(?:[Tt ]([0-9]{2}):([0-9]{2})(?::([0-9]{2})(?:\.([0-9]{1,9}))?)?)?" + _ZONE
_ISO_BASIC = r"^([0-9]{8})[Tt]([0-9]{2})([0-9]{2})(?:([0-9]{2})(?:\.([0-9]{1,9}))?)?" + _ZONE


def read_utc_ns(
    text: pl.Series, time_zone: str = "UTC", ambiguous: Literal["earliest", "latest"] = "earliest"
) -> pl.Series:
    """Read a column of timestamps (String) as UTC nanoseconds (Int64).

    Args:
        text: the column.
        time_zone: IANA name, for times that say none. A local time that the zone skips (spring) is null.
        ambiguous: which is meant of a local time that the zone has twice (autumn).

    >>> read_utc_ns(pl.Series(["1970-01-01 01:00:01+01:00", "1646092800", "soon"])).to_list()
    [1000000000, 1646092800000000000, None]
    >>> read_utc_ns(pl.Series(["1970-01-02"]), "America/New_York").to_list()
    [104400000000000]
    """
    stripped = text.str.strip_chars()
    frame = pl.DataFrame({"text": stripped})
    iso, basic = (stripped.str.extract_groups(form).struct for form in (_ISO, _ISO_BASIC))
    names = ("day", "hour", "minute", "second", "below", "zone")
    parts = pl.DataFrame({name: iso[str(i)].fill_null(basic[str(i)]) for i, name in enumerate(names, 1)})
    from_iso = _from_iso(time_zone, ambiguous)
    return (
        frame.hstack(parts)
        .select(pl.coalesce(from_iso, _from_unix(), _from_compact_day(time_zone)).alias(text.name))
        .to_series()
    )


def _from_iso(time_zone: str, ambiguous: Literal["earliest", "latest"]) -> pl.Expr:
    day = pl.col("day").str.replace_all("-", "").str.to_date("%Y%m%d", strict=False).cast(pl.Int64)
    hour, minute, second = (_integer(name) for name in ("hour", "minute", "second"))
    valid = (hour < 24) & (minute < 60) & (second < 60)
    below = pl.col("below").fill_null("0").str.pad_end(9, "0").cast(pl.Int64)
    wall = _nanoseconds(day * SECONDS_PER_DAY + hour * 3_600 + minute * 60 + second) + below
    zone = pl.col("zone")
    sign = pl.when(zone.str.starts_with("-")).then(-1).otherwise(1)
    digits = zone.str.replace_all(r"[^0-9]", "")
    offset = digits.str.slice(0, 2).cast(pl.Int64, strict=False) * 3_600
    offset += digits.str.slice(2, 2).cast(pl.Int64, strict=False).fill_null(0) * 60
    # Behind a day two digits may be anything: 2021-09-27-07.
    valid &= pl.col("hour").is_not_null() | (digits.str.len_chars() != 2).fill_null(value=True)
    utc = pl.when(zone.is_in(["Z", "z", "UTC"])).then(wall).otherwise(wall - sign * offset * NS_PER_SECOND)
    return pl.when(valid).then(pl.when(zone.is_null()).then(_localized(wall, time_zone, ambiguous)).otherwise(utc))


def _nanoseconds(seconds: pl.Expr) -> pl.Expr:
    return pl.when(seconds.abs() <= SECONDS_MAX).then(seconds * NS_PER_SECOND)


def _integer(name: str) -> pl.Expr:
    return pl.col(name).fill_null("0").cast(pl.Int64, strict=False)


def _localized(wall: pl.Expr, time_zone: str, ambiguous: Literal["earliest", "latest"] = "earliest") -> pl.Expr:
    if time_zone == "UTC":
        return wall
    local = pl.from_epoch(wall, time_unit="ns").dt.replace_time_zone(
        time_zone, ambiguous=ambiguous, non_existent="null"
    )
    return local.dt.convert_time_zone("UTC").dt.epoch("ns")


def _from_unix() -> pl.Expr:
    parts = pl.col("text").str.extract_groups(r"^([0-9]+)(?:\.([0-9]*))?$").struct
    digits = parts["1"]
    number = digits.cast(pl.Int64, strict=False)
    below = parts["2"].fill_null("").str.pad_end(9, "0").str.slice(0, 9).cast(pl.Int64)
    return pl.coalesce(
        pl.when((digits.str.len_chars() == length) & (number <= SECONDS_MAX * NS_PER_SECOND // factor)).then(
            number * factor + below * factor // NS_PER_SECOND
        )
        for length, factor in UNIX_DIGITS.items()
    )


def _from_compact_day(time_zone: str) -> pl.Expr:
    compact = pl.when(pl.col("text").str.contains(r"^[0-9]{8}$")).then(pl.col("text"))
    days = compact.str.to_date("%Y%m%d", strict=False).cast(pl.Int64)
    return _localized(_nanoseconds(days * SECONDS_PER_DAY), time_zone)

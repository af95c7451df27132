from __future__ import annotations

from datetime import UTC, datetime, timedelta, timezone

import polars as pl
import pytest
from hypothesis import given
from hypothesis import strategies as st

from py_rt.data.timestamps import read_utc_ns

zones = st.integers(-14 * 60, 14 * 60).map(lambda minutes: timezone(timedelta(minutes=minutes)))
moments = st.datetimes(datetime(1970, 1, 3), datetime(2100, 1, 1), timezones=zones)  # noqa: DTZ001  # zones are drawn


def _ns(moment: datetime) -> int:
    whole = moment.astimezone(UTC) - datetime(1970, 1, 1, tzinfo=UTC)
    return (whole.days * 86_400 + whole.seconds) * 1_000_000_000 + whole.microseconds * 1_000


@given(st.lists(moments, min_size=1, max_size=20))
def test_iso_text_with_an_offset_is_read_to_the_nanosecond(times: list[datetime]) -> None:
    texts = pl.Series([moment.isoformat() for moment in times])
    assert read_utc_ns(texts).to_list() == [_ns(moment) for moment in times]
    assert read_utc_ns(texts.str.replace("T", " ")).to_list() == [_ns(moment) for moment in times]


@pytest.mark.parametrize(
    ("text", "wanted"),
    [
        ("2021-09-27 14:45:00+01:00", 1_632_750_300_000_000_000),
        ("2021-09-27T13:45:00Z", 1_632_750_300_000_000_000),
        ("2021-09-27 13:45 UTC", 1_632_750_300_000_000_000),
        ("2021-09-27 13:45:00+00", 1_632_750_300_000_000_000),
        ("2021-09-27 19:15:00.25+0530", 1_632_750_300_250_000_000),
        ("2021-09-27 06:45:00.25-07", 1_632_750_300_250_000_000),
        ("2021-09-27t13:45:00z", 1_632_750_300_000_000_000),
        ("20210927T134500Z", 1_632_750_300_000_000_000),
        ("20210927T1445+01", 1_632_750_300_000_000_000),
        ("20210927T134500.5", 1_632_750_300_500_000_000),
        ("2021-12-31 23:01:00.000000", 1_640_991_660_000_000_000),
        ("2021-12-31 23:01:00.123456789", 1_640_991_660_123_456_789),
        ("2021-09-27", 1_632_700_800_000_000_000),
        ("20210927", 1_632_700_800_000_000_000),
        ("1632750300", 1_632_750_300_000_000_000),
        ("1632750300.0", 1_632_750_300_000_000_000),
        ("1632750300.5", 1_632_750_300_500_000_000),
        ("1632750300.1234567891", 1_632_750_300_123_456_789),
        ("1632750300123.25", 1_632_750_300_123_250_000),
        ("1632750300123", 1_632_750_300_123_000_000),
        ("1632750300123456", 1_632_750_300_123_456_000),
        ("1632750300123456789", 1_632_750_300_123_456_789),
        ("-0300", None),
        ("2021-09-27-07", None),
        ("20210927-07", None),
        ("20210927T134", None),
        ("20210927T246000", None),
        ("2021-13-01", None),
        ("2021-09-31", None),
        ("2021-09-27 24:00:00", None),
        ("2021-09-27 23:60:00", None),
        ("2021-09-27 14:45:00.1234567891", None),
        ("27/09/2021", None),
        ("", None),
        ("163275030", None),
        ("-163275030", None),
        ("16327503.5", None),
    ],
)
def test_known_forms_are_read_and_others_refused(text: str, wanted: int | None) -> None:
    assert read_utc_ns(pl.Series([text])).to_list() == [wanted]


@pytest.mark.parametrize("zone", ["UTC", "Europe/Berlin", "America/New_York"])
def test_a_time_that_64_bits_do_not_hold_is_null_and_never_another_time(zone: str) -> None:
    """Each text with whether it is read; the last that is, and the first that is not."""
    bounds = {
        "2262-04-04 00:00:00": True,
        "2262-04-05 00:00:00": False,
        "2262-04-05 00:00:00+14:00": False,
        "1677-09-29 00:00:00": True,
        "1677-09-28 00:00:00-14:00": False,
        "9999-12-31": False,
        "0001-01-01": False,
        "22620404": True,
        "22620405": False,
        "16770101": False,
        "9222767236": True,
        "9222767237": False,
        "9222767236000": True,
        "9222767236001": False,
        "9222767236000001": False,
        "9222767236000000001": False,
        "9999999999999999999": False,
    }
    read = read_utc_ns(pl.Series(list(bounds)), zone)
    assert dict(zip(bounds, read.is_not_null(), strict=True)) == bounds
    assert min(abs(ns) for ns in read.drop_nulls().to_list()) > 9_220_000_000 * 10**9


def test_local_time_follows_the_zone_through_both_changes() -> None:
    texts = pl.Series(["2021-03-28 02:30:00", "2021-10-31 02:30:00", "2021-07-01 02:30:00"])
    skipped, twice, summer = read_utc_ns(texts, "Europe/Berlin").to_list()
    assert skipped is None
    assert twice == _ns(datetime(2021, 10, 31, 0, 30, tzinfo=UTC))
    assert summer == _ns(datetime(2021, 7, 1, 0, 30, tzinfo=UTC))

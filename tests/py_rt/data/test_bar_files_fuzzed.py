"""Whatever a file of bars holds, it is read or refused with a word: nothing else is raised, and no row is lost."""

from __future__ import annotations

from contextlib import suppress
from typing import TYPE_CHECKING

from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from py_rt.data.bar_columns import Given
from py_rt.data.bar_files import read_bar_file
from py_rt.data.bar_numbers import read_number
from py_rt.data.bar_times import read_times
from py_rt.data.repair.bars_file import parse_bars
from py_rt.data.repair.cleaner import clean
from py_rt.errors import SourceError

if TYPE_CHECKING:
    from pathlib import Path

NAMES = ["Date", "Time", "timestamp", "Open", "High", "Low", "Close", "Volume", "symbol", "", "x", "Adj Close", "VIX"]
CELLS = st.one_of(
    st.text(alphabet="0123456789.,-/: $KMeE\"'\n;\tnaif", max_size=12),
    st.dates().map(str),
    st.dates().map(lambda day: f"{day.month}/{day.day}/{day.year}"),
    st.floats(width=32).map(repr),
    st.sampled_from(["09:30", "1646092800", "1.2M", "N/A", "AAPL", "1,234.5", "\x00", "\u2028", "34200000"]),
)
GIVEN = st.builds(
    Given,
    time_zone=st.sampled_from(["UTC", "America/New_York"]),
    first=st.sampled_from(["", "day", "month"]),
    symbol=st.sampled_from(["", "AAPL"]),
)


@st.composite
def tables(draw: st.DrawFn) -> str:
    header = draw(st.lists(st.sampled_from(NAMES), min_size=1, max_size=7))
    rows = draw(st.lists(st.lists(CELLS, max_size=8), max_size=12))
    delimiter = draw(st.sampled_from([",", ";", "\t"]))
    return "\n".join(delimiter.join(cells) for cells in [header, *rows]) + draw(st.sampled_from(["", "\n"]))


@settings(max_examples=150, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(text=st.one_of(tables(), st.text(max_size=200)), said=GIVEN)
def test_any_text_is_taken_or_refused(text: str, said: Given, tmp_path: Path) -> None:
    path = tmp_path / "bars.csv"
    path.write_bytes(text.encode("utf-8", "surrogatepass"))
    try:
        file = read_bar_file(path, said)
    except SourceError:
        pass
    else:
        assert file.bars.height == file.time.len() >= 1
    try:
        cleaned = clean(parse_bars("bars.csv", ".csv", path.read_bytes(), said))
    except SourceError:
        return
    assert sorted([*cleaned.kept, *cleaned.aside]) == list(range(cleaned.bars.height))


@settings(deadline=None)
@given(texts=st.lists(st.one_of(CELLS, st.text(max_size=20)), max_size=20), said=GIVEN)
def test_any_time_is_read_or_none(texts: list[str], said: Given) -> None:
    with suppress(SourceError):
        assert read_times(texts, said).len() == len(texts)


@given(text=st.text(max_size=20))
def test_any_number_is_read_or_none(text: str) -> None:
    assert read_number(text) is None or isinstance(read_number(text), float)

"""Files that were taken wrongly, slowly or not at all: each a file that somebody has."""

from __future__ import annotations

import gzip
import json
import time
import warnings
import zipfile
from typing import TYPE_CHECKING, Any

import polars as pl
import pytest

from py_rt.cli.main import main
from py_rt.data.bar_columns import Given
from py_rt.data.bar_files import read_bar_file
from py_rt.data.repair.bars_file import parse_bars, read_bars_file
from py_rt.data.repair.cleaner import Cleaned, clean
from py_rt.errors import SourceError

if TYPE_CHECKING:
    from pathlib import Path

OHLCV = "Open,High,Low,Close,Volume"
SECONDS_MAX = 20.0
"""Far above what is needed, far below what a quadratic walk takes."""


def bar(at: int) -> str:
    close = 100.0 + (at * 7 % 13) / 4
    return f"{close - 0.1:.2f},{close + 0.5:.2f},{close - 0.5:.2f},{close:.2f},{1_000 + at}"


def cleaned(text: str, **given: str) -> Cleaned:
    return clean(parse_bars("bars.csv", ".csv", text.encode(), Given(**given)))  # type: ignore[arg-type]


def run(folder: Path, source: Path, *options: str) -> tuple[int, Path, dict[str, Any]]:
    out, report = folder / f"clean-{source.name}", folder / "report.json"
    status = main(["data", "clean", str(source), "--out", str(out), "--report", str(report), *options])
    return status, out, json.loads(report.read_text()) if report.exists() else {}


def test_a_date_and_a_time_of_the_day_are_one_time(tmp_path: Path) -> None:
    rows = [f"2024-01-02,{9 + at // 60:02d}:{at % 60:02d},{bar(at)}\n" for at in range(200)]
    rows[50] = rows[50].replace(f"{100 + (50 * 7 % 13) / 4:.2f}", "0", 1)
    source = tmp_path / "minutes.csv"
    source.write_text(f"Date,Time,{OHLCV}\n" + "".join(rows))
    status, out, report = run(tmp_path, source)
    assert status == 0
    assert report["rows"] == {"in": 200, "out": 199, "quarantined": 1, "repaired": 0}
    assert report["findings"][0]["time"] == "2024-01-02 09:50"
    assert read_bar_file(out).span_ns == 60 * 10**9


LONG = "date,symbol,close\n" + "".join(
    f"2024-{month:02d}-{day:02d},{name},{price + day / 7:.3f}\n"
    for month in (1, 2)
    for day in range(1, 29)
    for name, price in (("A", 10.0), ("B", 50.0), ("C", 900.0))
)


def test_of_several_instruments_one_is_cleaned(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    source = tmp_path / "long.csv"
    source.write_text(LONG.replace("2024-02-03,B,50.429", "2024-02-03,B,5042.9"))
    assert run(tmp_path, source)[0] == 2
    assert "holds 3 instruments ('A', 'B', 'C'); choose one with --symbol NAME" in capsys.readouterr().err
    assert list(tmp_path.iterdir()) == [source]
    status, out, report = run(tmp_path, source, "--symbol", "B")
    assert status == 0
    assert report["rows"] == {"in": 56, "out": 56, "quarantined": 0, "repaired": 1}
    (finding,) = report["findings"]
    assert (finding["row"], report["input"]["symbol"], report["unchanged"]) == (3 * 30 + 1, "B", False)
    assert finding["after"]["close"] == pytest.approx(50.429)
    assert pl.read_csv(out)["symbol"].unique().to_list() == ["B"]
    frame = pl.read_csv(source)
    frame.write_parquet(tmp_path / "long.parquet")
    assert run(tmp_path, tmp_path / "long.parquet", "--symbol", "B")[2]["rows"] == report["rows"]
    assert pl.read_parquet(tmp_path / "clean-long.parquet").equals(pl.read_csv(out))


def test_rows_that_mostly_repeat_a_time_are_not_taken_for_restatements(tmp_path: Path) -> None:
    text = LONG.replace("symbol", "who")
    with pytest.raises(SourceError, match=r"112 of 168 rows repeat a time.*several instruments"):
        cleaned(text)
    source = tmp_path / "who.csv"
    source.write_text(text)
    assert run(tmp_path, source, "--column", "symbol=who", "--symbol", "C")[2]["rows"]["out"] == 56


def _new_york(step_minutes: int) -> str:
    times = pl.datetime_range(
        pl.datetime(2023, 11, 3), pl.datetime(2023, 11, 7), f"{step_minutes}m", time_zone="America/New_York", eager=True
    )
    texts = times.dt.strftime("%Y-%m-%d %H:%M:%S").to_list()
    return f"Datetime,{OHLCV}\n" + "".join(f"{text},{bar(at)}\n" for at, text in enumerate(texts))


@pytest.mark.parametrize("step_minutes", [60, 15])
def test_the_hour_that_clocks_repeat_is_kept(step_minutes: int) -> None:
    text = _new_york(step_minutes)
    without_zone = cleaned(text)
    assert without_zone.clean == without_zone.bars.content
    assert {one.rule for one in without_zone.findings} == {"repeated_hour"}
    assert len(without_zone.findings) == 60 // step_minutes
    assert not cleaned(text, time_zone="America/New_York").findings
    head, *rows = text.splitlines(keepends=True)
    turned = cleaned("".join([head, *rows[::-1]]))
    assert turned.clean == turned.bars.content


def test_a_row_again_with_other_values_is_still_restated() -> None:
    rows = [f"2023-11-05 {hour:02d}:00:00,{bar(hour)}\n" for hour in range(24)]
    restated = [*rows[:13], f"2023-11-05 12:00:00,{bar(99)}\n", *rows[13:]]
    found = cleaned(f"Datetime,{OHLCV}\n" + "".join(restated)).findings
    assert [(one.rule, one.row) for one in found] == [("restated", 12)]


def test_a_stray_quote_is_a_letter_and_an_open_one_is_named_with_its_line() -> None:
    rows = [f'2024-01-{day:02d},{bar(day)},said 5" more\n' for day in range(1, 29)]
    assert not cleaned(f"Date,{OHLCV},Note\n" + "".join(rows)).findings
    open_one = [*rows[:6], f'2024-01-07,{bar(7)},"more\n', *(row.replace('"', "") for row in rows[7:])]
    with pytest.raises(SourceError, match=r"bars\.csv: row 8: a quoted cell that begins here is never closed"):
        cleaned(f"Date,{OHLCV},Note\n" + "".join(open_one))


def test_a_quote_that_is_never_closed_is_told_at_once() -> None:
    rows = "".join(f"{at},{bar(at)}\n" for at in range(1_600_000_000, 1_600_100_000))
    begin = time.monotonic()
    with pytest.raises(SourceError, match=r"row 2: a quoted cell"):
        parse_bars("bars.csv", ".csv", f'Date,{OHLCV}\n"{rows}'.encode())
    assert time.monotonic() - begin < SECONDS_MAX


def test_many_rows_of_one_time_are_told_in_few_words() -> None:
    text = f"Date,{OHLCV}\n" + "".join(f"2024-01-02,{bar(at)}\n" for at in range(12_000))
    begin = time.monotonic()
    with pytest.raises(SourceError, match="11999 of 12000 rows"):
        cleaned(text)
    many = "".join(f"2024-01-{day:02d},{bar(day)}\n" for day in range(1, 29)) * 400
    made = cleaned(f"Date,{OHLCV}\n" + many)
    assert time.monotonic() - begin < SECONDS_MAX
    assert len(made.kept) == 28
    assert {one.rule for one in made.findings if one.action.value == "quarantined"} == {"duplicate"}
    assert max(len(json.dumps(one.as_json())) for one in made.findings) < 1_000


def test_a_cell_without_end_is_a_torn_row() -> None:
    rows = [f"2024-01-{day:02d},{bar(day)},\n" for day in range(1, 29)]
    rows[3] = f'2024-01-04,{bar(4)},"{"x" * 200_000}"\n'
    made = cleaned(f"Date,{OHLCV},Note\n" + "".join(rows))
    assert [(one.rule, one.row) for one in made.findings] == [("torn_row", 3)]


def test_columns_of_parquet_that_are_none_of_bars_come_back_as_they_were(tmp_path: Path) -> None:
    days = pl.date_range(pl.date(2024, 1, 1), pl.date(2024, 2, 28), eager=True)
    count = days.len()
    frame = pl.DataFrame(
        {
            "date": days,
            "close": [10.0 + at / 9 for at in range(count - 1)] + [0.0],
            "levels": [[at, 2] for at in range(count)],
            "raw": [b"\xff" * (at % 3) for at in range(count)],
            "pair": [{"a": at} for at in range(count)],
            "took": pl.Series(range(count), dtype=pl.Duration("ms")),
        }
    )
    source = tmp_path / "odd.parquet"
    pl.concat([frame, frame[5:6]]).write_parquet(source)
    status, out, report = run(tmp_path, source)
    assert status == 0
    assert report["rules"] == {"duplicate": {"quarantined": 1}, "zero_price": {"quarantined": 1}}
    assert pl.read_parquet(out).equals(frame[:-1])


@pytest.mark.parametrize("close", ["-5", "inf", ""])
def test_no_warning_of_numbers_where_no_row_is_left(close: str, tmp_path: Path) -> None:
    source = tmp_path / "bars.csv"
    source.write_text("Date,Close,Volume\n" + "".join(f"2024-01-{day:02d},{close},1\n" for day in range(1, 29)))
    with warnings.catch_warnings():
        warnings.simplefilter("error")
        status, _, report = run(tmp_path, source)
    assert status == (0 if close == "" else 3)
    assert report["rows"]["in"] == 28


MONEY = [f'{month:02d}/{day:02d}/2023,"$1,2{day:02d}.50",{day}K\n' for month in (1, 2) for day in range(1, 29)]


def test_money_as_people_write_it_is_read_and_kept(tmp_path: Path) -> None:
    source = tmp_path / "quotes.csv"
    source.write_text("Date,Close/Last,Volume\n" + "".join(MONEY))
    status, out, report = run(tmp_path, source)
    assert (status, report["rules"], report["unchanged"]) == (0, {}, True)
    assert read_bar_file(out).bars["volume"][1] == 2_000e8
    rows = [*MONEY[:30], MONEY[30].replace("$1,203.50", "$120,350.00"), *MONEY[31:]]
    source.write_text("Date,Close/Last,Volume\n" + "".join(rows))
    assert run(tmp_path, source)[2]["rules"] == {"unit_error": {"repaired": 1}}
    kept = [*MONEY[:30], MONEY[30].replace("$1,203.50", "$1,203.5"), *MONEY[31:]]
    assert out.read_text() == "Date,Close/Last,Volume\n" + "".join(kept)
    assert (
        main(["data", "clean", str(source), "--out", str(tmp_path / "o.parquet"), "--report", str(tmp_path / "r")]) == 0
    )
    assert pl.read_parquet(tmp_path / "o.parquet")["Close/Last"].to_list()[:2] == [1201.5, 1202.5]


def test_single_numbers_as_people_write_them_are_repaired(tmp_path: Path) -> None:
    source = tmp_path / "bars.csv"
    lines = [f"2024-01-{day:02d},{1200 + day}.5,{2000 + day}\n" for day in range(1, 29)]
    source.write_text("Date,Close,Volume\n" + "".join([*lines[:9], '2024-01-10,"$1,210.5","2,010"\n', *lines[10:]]))
    status, out, report = run(tmp_path, source)
    assert (status, report["rules"]) == (0, {"wrong_type": {"repaired": 2}})
    assert pl.read_csv(out)[9].row(0)[1:] == (1210.5, 2010.0)


def test_a_file_without_a_header_gets_no_line_above(tmp_path: Path) -> None:
    lines = [f"{1_700_000_000 + 86_400 * at},{bar(at)}" for at in range(60)]
    source = tmp_path / "bars.csv"
    source.write_text("\n".join([*lines, lines[20]]) + "\n")
    assert run(tmp_path, source)[2]["rules"] == {"duplicate": {"quarantined": 1}}
    assert run(tmp_path, source)[1].read_text() == "\n".join(lines) + "\n"


@pytest.mark.parametrize("above", ["# made by x\n# at y, z\n\n", "sep=,\n", "Stock prices\nSource: x\n"])
def test_lines_above_the_header_stay_there(above: str) -> None:
    rows = [f"2024-01-{day:02d},{bar(day)}" for day in range(1, 29)]
    good = "\n".join([f"{above}Date,{OHLCV}", *rows, ""])
    result = cleaned("\n".join([f"{above}Date,{OHLCV}", *rows[:9], rows[8], *rows[9:], ""]))
    assert [(one.rule, one.row) for one in result.findings] == [("duplicate", 9)]
    assert result.clean.decode() == good
    assert result.bars.line_of(0) == above.count("\n") + 2


def test_more_lines_above_the_header_than_are_looked_at_are_told() -> None:
    text = "\n".join(["a"] * 5 + ["Date,Close", "2024-01-01,1", ""])
    with pytest.raises(SourceError, match=r"row 1: has no column for time.*it has 'a'"):
        parse_bars("bars.csv", ".csv", text.encode())


def test_cells_beside_a_repair_keep_their_quotes(tmp_path: Path) -> None:
    rows = [f'"2024-01-{day:02d}","{100 + day % 3}.25",{1_000 + day},"a ""b"", c"' for day in range(1, 29)]
    source = tmp_path / "bars.csv"
    source.write_text("Date,Close,Volume,Note\n" + "\n".join(rows).replace('"101.25",1010', '"10125",1010'))
    assert run(tmp_path, source)[2]["rules"] == {"unit_error": {"repaired": 1}}
    assert run(tmp_path, source)[1].read_text() == "Date,Close,Volume,Note\n" + "\n".join(rows)


@pytest.mark.parametrize(
    "header",
    ["v,vw,o,c,h,l,t,n", "Stück;VW;Eröffnung;Schluss;Hoch;Tief;Datum;N", "VOL,VW,OPENPRC,PRC,ASKHI,BIDLO,date,N"],
)
def test_columns_by_names_of_vendors_are_known(header: str) -> None:
    made = [
        f"{1_000 + at},1,100.1,{100 + at % 3}.2,104.5,99.5,{1_700_000_000_000 + 86_400_000 * at},7" for at in range(60)
    ]
    separator = ";" if ";" in header else ","
    text = "\n".join([header, *made, made[9]]).replace(",", separator)
    result = cleaned(text)
    assert set(result.bars.roles) >= {"time", "open", "high", "low", "close", "volume"}
    assert [(one.rule, one.row) for one in result.findings] == [("duplicate", 60)]


def test_numbers_with_decimal_commas_have_dots_for_thousands() -> None:
    rows = [f"{day:02d}.01.2023;1.{200 + day % 3},{day:02d};3.626.5{day:02d}" for day in range(1, 29)]
    result = cleaned("\n".join(["Datum;Schlusskurs;Volumen", *rows]))
    assert not result.findings
    assert result.bars.number_text(4, "volume") == "3626505"


def test_times_of_the_day_that_lost_their_zeros_are_read() -> None:
    rows = [f"2024010{day},{at // 60 * 100 + at % 60},{bar(at)}" for day in (2, 3) for at in range(0, 1_440, 30)]
    result = cleaned("\n".join([f"Date,Time,{OHLCV}", *rows]))
    assert not result.findings
    assert result.bars.text(19, "time") == "20240102 0930"


def test_an_order_of_day_and_month_that_nothing_proves_is_asked_for(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    source = tmp_path / "bars.csv"
    source.write_text("Date,Close\n01/02/2023,1\n02/02/2023,1.01\n")
    assert run(tmp_path, source)[0] == 2
    assert "--day-first or --month-first" in capsys.readouterr().err
    assert run(tmp_path, source, "--month-first")[0] == 0


def test_numbers_with_decimal_commas_are_written_as_they_were(tmp_path: Path) -> None:
    rows = [f"{day:02d}.01.2023;{100 + day % 3},{day:02d};{day}\n" for day in range(1, 29)]
    source = tmp_path / "bars.csv"
    source.write_text("Datum Date;Close;Volume\n" + "".join(rows))
    status, out, _ = run(tmp_path, source)
    assert (status, out.read_bytes()) == (0, source.read_bytes())
    rows[10] = "11.01.2023;10211,0;11\n"
    source.write_text("Datum Date;Close;Volume\n" + "".join(rows))
    assert run(tmp_path, source)[2]["rules"] == {"unit_error": {"repaired": 1}}
    assert out.read_text().splitlines()[11] == "11.01.2023;102,11;11"


@pytest.mark.parametrize("name", ["bars.zip", "bars.tsv", "bars.txt.gz"])
def test_other_kinds_of_text_come_back_in_their_own(name: str, tmp_path: Path) -> None:
    lines = [f"2024-01-{day:02d}\t{bar(day)}".replace(",", "\t") for day in range(1, 29)]
    text = "\n".join([f"Date,{OHLCV}".replace(",", "\t"), *lines[:20], lines[19], *lines[20:]]) + "\n"
    source = tmp_path / name
    if name.endswith(".zip"):
        with zipfile.ZipFile(source, "w") as archive:
            archive.writestr("inside.csv", text)
    else:
        source.write_bytes(gzip.compress(text.encode()) if name.endswith(".gz") else text.encode())
    status, out, report = run(tmp_path, source)
    assert (status, report["rules"]) == (0, {"duplicate": {"quarantined": 1}})
    wanted = text.replace(f"{lines[19]}\n", "", 1)
    bars = read_bars_file(out)
    assert bars.head + "".join(bars.lines) == wanted
    assert run(tmp_path, source)[1].read_bytes() == out.read_bytes()


def test_what_is_cleaned_can_be_computed_on(tmp_path: Path) -> None:
    for name, header in (("slash.csv", "Date,Close"), ("names.csv", "index,Close Last")):
        source = tmp_path / name
        source.write_text(f"{header}\n" + "".join(f"2023/03/{day:02d},{100 + day % 5}\n" for day in range(1, 29)))
        assert run(tmp_path, source)[0] == 0
        assert read_bar_file(tmp_path / f"clean-{name}").bars.height == 28


def test_a_rule_that_sets_most_rows_aside_is_told_by_the_status(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    source = tmp_path / "bars.csv"
    source.write_text("Date,Close\n" + "".join(f"2024-01-{day:02d},{'x' * (day > 9)}{day}\n" for day in range(1, 29)))
    status, _, report = run(tmp_path, source)
    assert (status, report["rows"]["out"]) == (3, 9)
    assert "wrong_type set more than half of the rows aside" in capsys.readouterr().err

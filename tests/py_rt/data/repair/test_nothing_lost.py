"""No row, file or number is lost on the way: not by a full disk, not by a wrong place, not by the kind of a column."""

from __future__ import annotations

import json
import os
import shlex
import subprocess
import sys
from pathlib import Path
from typing import Any

import pytest

from py_rt.cli.main import main

ROOT = Path(__file__).parents[4]
HEADER = "Date,Open,High,Low,Close,Volume"


def rows(count: int = 500) -> list[str]:
    made = []
    for at in range(count):
        close = 100.0 + (at * 7 % 13) / 4
        day = f"{2000 + at // 336}-{at // 28 % 12 + 1:02d}-{at % 28 + 1:02d}"
        made.append(f"{day},{close - 0.1:.2f},{close + 0.5:.2f},{close - 0.5:.2f},{close:.2f},{1_000 + at}")
    return made


def write(source: Path, lines: list[str], header: str = HEADER) -> None:
    source.write_text("\n".join([header, *lines]) + "\n")


def arguments(source: Path, out: Path, report: Path, *options: str) -> list[str]:
    return ["data", "clean", str(source), "--out", str(out), "--report", str(report), *options]


def run(source: Path, *options: str, out: str = "out.csv") -> tuple[int, dict[str, Any]]:
    report = source.with_name("report.json")
    status = main(arguments(source, source.with_name(out), report, *options))
    return status, json.loads(report.read_text()) if report.is_file() else {}


def limited(limit: str, words: list[str]) -> subprocess.CompletedProcess[str]:
    """A run of the command in a process of its own that may take so much and no more."""
    code = "import sys; from py_rt.cli.main import main; sys.exit(main(sys.argv[1:]))"
    line = f"{limit}; exec {shlex.join([sys.executable, '-c', code, *words])}"
    return subprocess.run(["bash", "-c", line], capture_output=True, text=True, check=False, cwd=ROOT)


def contents(folder: Path) -> dict[str, bytes]:
    return {one.name: one.read_bytes() for one in folder.iterdir() if one.is_file()}


@pytest.fixture
def source(tmp_path: Path) -> Path:
    """Bars of which one is set aside."""
    lines = rows()
    lines[70] = lines[70].replace("2000-03-15", "2000-03-15?")
    write(tmp_path / "in.csv", lines)
    return tmp_path / "in.csv"


def test_a_full_disk_leaves_every_file_as_it_was(source: Path) -> None:
    assert run(source)[1]["rows"] == {"in": 500, "out": 499, "quarantined": 1, "repaired": 0}
    write(source, rows())
    before = contents(source.parent)
    assert set(before) == {"in.csv", "out.csv", "out.quarantine.csv", "report.json"}
    made = limited("ulimit -f 8", arguments(source, source.with_name("out.csv"), source.with_name("report.json")))
    assert (made.returncode, "out.csv cannot be written: File too large" in made.stderr) == (2, True), made.stderr
    assert contents(source.parent) == before
    assert run(source)[1]["unchanged"]
    assert set(contents(source.parent)) == {"in.csv", "out.csv", "report.json"}


@pytest.mark.parametrize("place", ["--out", "--report", "--quarantine"])
@pytest.mark.parametrize("kind", ["folder", "pipe", "round"])
def test_a_place_that_no_file_can_take_is_refused_before_anything_is_written(
    place: str, kind: str, source: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    there = source.with_name(f"{kind}.csv")
    if kind == "pipe":
        os.mkfifo(there)
    elif kind == "folder":
        there.mkdir()
    else:
        there.symlink_to(there)
    assert run(source, place, str(there))[0] == 2
    assert f"{there} cannot be written" in capsys.readouterr().err
    assert set(source.parent.iterdir()) == {source, there}


def test_a_quarantine_file_that_is_named_is_written_even_without_rows(source: Path) -> None:
    aside = source.with_name("mine.csv")
    assert run(source, "--quarantine", str(aside))[1]["quarantine"]["rows"] == 1
    assert len(aside.read_text().splitlines()) == 2
    write(source, rows())
    facts = run(source, "--quarantine", str(aside))[1]
    assert aside.read_text() == f"{HEADER}\n"
    assert (facts["quarantine"]["name"], facts["quarantine"]["rows"], facts["unchanged"]) == ("mine.csv", 0, True)

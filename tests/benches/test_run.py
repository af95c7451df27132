"""The command: what it builds, what it says when a program fails, and one run of a real one."""

from __future__ import annotations

import json
import sys
from pathlib import Path
from typing import TYPE_CHECKING

import pytest

from benches import instructions, programs, run
from benches.figures import Line
from benches.programs import PROGRAMS, BenchError, Program
from tests.tidy import sources

if TYPE_CHECKING:
    from collections.abc import Sequence

GOOD = (
    '{"row":"one","unit":"ns","subject":"s","figures":{"min":1,"p50":2,"p99":3,"samples":4},'
    '"anchor":"a","anchor_figures":{"min":1,"p50":4,"p99":5,"samples":4},"ratio":0.5,"facts":{}}'
)
PROGRAM = Program("engine", "fake", 3, ("one",))


def executable(folder: Path, body: str) -> Path:
    path = folder / "fake-1"
    path.write_text(f"#!{sys.executable}\nimport os, sys\n{body}\n", encoding="utf-8")
    path.chmod(0o755)
    return path


@pytest.fixture
def alone(monkeypatch: pytest.MonkeyPatch) -> None:
    """Only the fake program exists."""
    monkeypatch.setattr(run, "PROGRAMS", (PROGRAM,))


def built_as(monkeypatch: pytest.MonkeyPatch, found: dict[str, Path]) -> None:
    def answer(_programs: Sequence[Program]) -> dict[str, Path]:
        return found

    monkeypatch.setattr(run, "build", answer)


def test_every_program_is_a_bench_target_of_its_crate() -> None:
    for program in (each for each in PROGRAMS if each.is_bench):
        manifest = sources.read(Path(f"native/{program.crate}/Cargo.toml"))
        assert f'[[bench]]\nname = "{program.name}"' in manifest


def test_every_counted_function_is_there_and_not_inlined() -> None:
    for program in (each for each in PROGRAMS if each.is_bench):
        folder = sources.ROOT / "native" / program.crate / "benches"
        files = [folder / f"{program.name}.rs", folder / program.name / "main.rs"]
        text = next(file.read_text(encoding="utf-8") for file in files if file.is_file())
        for function in program.counted:
            assert f"#[inline(never)]\nfn {function}(" in text


def test_rows_are_printed_by_their_program() -> None:
    for program in PROGRAMS:
        folder = sources.ROOT / "native" / program.crate / "benches"
        files = folder.rglob("*.rs") if program.is_bench else [sources.ROOT / "benches" / f"{program.name}.py"]
        text = "".join(file.read_text(encoding="utf-8") for file in files)
        # The last word of some is the venue's.
        named = (row for row in program.rows if not row.startswith("message_to_book_"))
        missing = [row for row in named if f'"{row}"' not in text]
        assert not missing


def test_a_program_is_run_with_its_number_of_samples(tmp_path: Path) -> None:
    path = executable(tmp_path, f"print({GOOD!r}.replace('\"s\"', '\"' + os.environ['PY_RT_BENCH_ROUNDS'] + '\"'))")
    (line,) = programs.run(PROGRAM, path, 3)
    assert line.subject == "3"


@pytest.mark.parametrize(
    ("body", "reason"),
    [
        ("sys.exit('the recording is damaged')", "ended with 1: the recording is damaged"),
        ("print('one: runs')", "not a row"),
        ("", "printed no row one"),
    ],
)
def test_a_program_that_does_not_end_well_says_why(tmp_path: Path, body: str, reason: str) -> None:
    with pytest.raises(BenchError, match=reason):
        programs.run(PROGRAM, executable(tmp_path, body), 1)


@pytest.mark.usefixtures("alone")
def test_a_good_run_ends_with_zero(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    built_as(monkeypatch, {"fake": executable(tmp_path, f"print({GOOD!r})")})
    assert run.main(["--rounds", "2", "--json"]) == 0
    shown = capsys.readouterr()
    assert json.loads(shown.out)["rows"][0]["rounds"] == 2
    assert "round 2 of 2: fake" in shown.err


@pytest.mark.usefixtures("alone")
def test_a_program_that_crashes_is_named_and_ends_the_run_with_one(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    built_as(monkeypatch, {"fake": executable(tmp_path, "sys.exit('no room')")})
    assert run.main(["--rounds", "3"]) == 1
    shown = capsys.readouterr()
    assert "FAILED fake: ended with 1: no room" in shown.err
    assert "round 2" not in shown.err


@pytest.mark.usefixtures("alone")
def test_a_program_that_was_not_built_is_named(
    monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    built_as(monkeypatch, {})
    assert run.main([]) == 1
    assert "FAILED fake: was not built" in capsys.readouterr().err


def test_nothing_by_that_name_lists_the_names(capsys: pytest.CaptureFixture[str]) -> None:
    assert run.main(["--only", "no such row"]) == 1
    assert "ring_one_way" in capsys.readouterr().err


@pytest.mark.parametrize(
    "given", ["--rounds 0", "--samples 0", "--write no/such/page.md", "--only book --write README.md"]
)
def test_what_cannot_be_meant_is_refused(given: str) -> None:
    with pytest.raises(SystemExit) as ended:
        run.main(given.split())
    assert ended.value.code == 2


def test_the_command_names_every_crate_once_and_goes_on_after_a_failure() -> None:
    command = programs.build_command([program for program in PROGRAMS if program.crate == "engine"])
    assert command.count("-p") == len({program.crate for program in PROGRAMS})
    assert command.count("--bench") == 3
    assert "--no-fail-fast" in command


def test_committed_counts_of_other_tools_are_not_compared(tmp_path: Path) -> None:
    path = tmp_path / "instructions.json"
    path.write_text('{"tools": "rustc 0.1", "counts": {"book::apply_counted (made)": 1}}', encoding="utf-8")
    assert instructions.committed(path) == {}
    assert instructions.committed(tmp_path / "absent.json") == {}


def test_counts_that_are_accepted_are_compared_next_time(tmp_path: Path) -> None:
    path = tmp_path / "instructions.json"
    count = instructions.Count("book", "apply_counted", 4, "made", 10, None)
    instructions.write([count], path)
    other = instructions.Count("features", "bar_counted", 1, "made", 7, None)
    instructions.write([other], path)
    assert instructions.committed(path) == {"book::apply_counted (made)": 2.5, "features::bar_counted (made)": 7.0}


def test_the_features_run_as_they_were_built() -> None:
    wanted = [program for program in PROGRAMS if program.name == "features"]
    found = programs.built(wanted)
    if not found:
        pytest.skip(f"no bench is built in {programs.target_folder()}: `make bench` builds them")
    (line,) = programs.run(wanted[0], found["features"], 1)
    assert isinstance(line, Line)
    assert line.ratio is not None
    assert line.ratio > 0

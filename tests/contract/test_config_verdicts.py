"""Python and Rust judge configuration files alike: both read the golden verdicts of `tests/contract/config`."""

from __future__ import annotations

import json
import os
from pathlib import Path

import py_rt_core
import pytest

from py_rt.cli.main import main

FILES = Path(__file__).parent / "config"
GOOD = sorted((FILES / "good").glob("*.toml"))
BAD = sorted((FILES / "bad").glob("*.toml"))


def kind_of(path: Path) -> str:
    return path.name.split(".")[0]


def verdict(path: Path) -> str:
    """What Python is told, with the file named as the golden verdicts name it."""
    with pytest.raises(py_rt_core.CoreError) as refusal:
        py_rt_core.check_config(kind_of(path), str(path))
    return str(refusal.value).replace(str(path), path.name).rstrip("\n")


def test_there_are_files_to_judge() -> None:
    assert len(GOOD) >= 4
    assert len(BAD) >= 25
    assert {kind_of(path) for path in BAD} == set(py_rt_core.config_kinds())


@pytest.mark.parametrize("path", GOOD, ids=lambda path: path.stem)
def test_a_good_file_passes(path: Path) -> None:
    py_rt_core.check_config(kind_of(path), str(path))


@pytest.mark.parametrize("path", BAD, ids=lambda path: path.stem)
def test_a_bad_file_is_refused_in_the_same_words(path: Path) -> None:
    assert verdict(path) == path.with_suffix(".expected").read_text().rstrip("\n")


@pytest.mark.parametrize("kind", py_rt_core.config_kinds())
def test_what_is_no_plain_file_or_too_large_is_refused_unread(kind: str, tmp_path: Path) -> None:
    large = tmp_path / "large.toml"
    large.write_text("#" * (2**16 + 1))
    allowed = "allowed: a plain file of at most 65536 bytes"
    for file, problem in (
        (os.devnull, "is not a plain file"),
        (tmp_path, "is not a plain file"),
        (large, "is too large"),
    ):
        wanted = f"{file}: {problem}; {allowed}"
        with pytest.raises(py_rt_core.CoreError) as refusal:
            py_rt_core.check_config(kind, str(file))
        assert str(refusal.value) == wanted
        upper = tmp_path / "upper.toml"
        upper.write_text(f'extends = "{file}"\n')
        with pytest.raises(py_rt_core.CoreError) as refusal:
            py_rt_core.check_config("service", str(upper))
        assert str(refusal.value) == wanted


def test_the_command_says_the_same_and_its_status_tells(capsys: pytest.CaptureFixture[str]) -> None:
    bad = next(path for path in BAD if kind_of(path) == "risk_limits")
    good = next(path for path in GOOD if kind_of(path) == "risk_limits")
    assert main(["config", "check", "--kind", "risk_limits", str(good)]) == 0
    capsys.readouterr()
    assert main(["config", "check", "--kind", "risk_limits", "--json", str(good), str(bad)]) == 2
    lines = [json.loads(line) for line in capsys.readouterr().out.splitlines()]
    assert [line["ok"] for line in lines] == [True, False]
    assert (
        "\n".join(lines[1]["faults"]).replace(str(bad), bad.name) == bad.with_suffix(".expected").read_text().rstrip()
    )

from __future__ import annotations

import threading
from typing import TYPE_CHECKING

import pytest

from py_rt.data.whole_files import written_whole

if TYPE_CHECKING:
    from pathlib import Path


def test_two_writers_of_one_file_do_not_mix(tmp_path: Path) -> None:
    path = tmp_path / "deep" / "file"
    both = threading.Barrier(2)
    failed: list[BaseException] = []

    def write(letter: str) -> None:
        try:
            with written_whole(path) as part, part.open("w") as file:
                for _ in range(100):
                    both.wait(20)
                    file.write(letter)
                    file.flush()
        except BaseException as error:  # noqa: BLE001  # told below
            failed.append(error)
            both.abort()

    writers = [threading.Thread(target=write, args=(letter,)) for letter in "ab"]
    for writer in writers:
        writer.start()
    for writer in writers:
        writer.join()
    assert not failed
    assert path.read_text() in {"a" * 100, "b" * 100}
    assert list(path.parent.iterdir()) == [path]


def test_what_fails_leaves_the_file_and_nothing_beside_it(tmp_path: Path) -> None:
    path = tmp_path / "file"
    path.write_text("old")

    def half(part: Path) -> None:
        part.write_text("new, half")
        raise ZeroDivisionError

    with pytest.raises(ZeroDivisionError), written_whole(path, tmp_path / "incoming") as part:
        half(part)
    assert path.read_text() == "old"
    assert [one for one in tmp_path.rglob("*") if one.is_file()] == [path]

from __future__ import annotations

import os
import threading
from typing import TYPE_CHECKING

import pytest

from py_rt.data.whole_files import write_together, write_whole, written_whole
from py_rt.errors import DataError

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


def test_only_a_regular_file_is_replaced(tmp_path: Path) -> None:
    pipe, folder = tmp_path / "pipe", tmp_path / "folder"
    os.mkfifo(pipe)
    folder.mkdir()
    (tmp_path / "link").symlink_to(pipe)
    for name, what in (("pipe", "pipe"), ("folder", "a folder"), ("link", "pipe")):
        with pytest.raises(DataError, match=rf"{name} cannot be written: it is .*{what}.*no regular file"):
            write_whole(tmp_path / name, b"new")
    assert pipe.is_fifo()
    assert sorted(one.name for one in tmp_path.iterdir()) == ["folder", "link", "pipe"]


def test_what_takes_the_place_while_it_is_written_stays(tmp_path: Path) -> None:
    pipe = tmp_path / "file"

    def write(part: Path) -> None:
        part.write_text("new")
        os.mkfifo(pipe)

    with pytest.raises(FileExistsError), written_whole(pipe) as part:
        write(part)
    assert pipe.is_fifo()


def test_a_link_stays_and_its_file_is_replaced(tmp_path: Path) -> None:
    target, link = tmp_path / "there" / "file", tmp_path / "link"
    link.symlink_to(target)
    for text in (b"new", b"newer"):
        write_whole(link, text)
        assert (link.is_symlink(), target.is_symlink(), target.read_bytes()) == (True, False, text)
    (tmp_path / "round").symlink_to(tmp_path / "round")
    with pytest.raises(DataError, match="round cannot be written: Too many levels"):
        write_whole(tmp_path / "round", b"new")


def test_of_files_that_belong_together_none_is_replaced_unless_all_can_be(tmp_path: Path) -> None:
    old, folder = tmp_path / "old", tmp_path / "folder"
    old.write_text("old")
    folder.mkdir()
    for files in ([old, folder], [folder, old]):
        with pytest.raises(DataError, match="folder cannot be written"):
            write_together([(path, b"new") for path in files])
        assert old.read_text() == "old"
    write_together([(old, b"new"), (tmp_path / "other", b"too")])
    assert (old.read_text(), (tmp_path / "other").read_text()) == ("new", "too")

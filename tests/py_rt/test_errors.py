from __future__ import annotations

import inspect

import pytest

from py_rt import errors
from py_rt.errors import ChangedSourceError, DataError, PyRtError, SourceError


def test_every_error_of_the_module_is_drawn_in_its_tree() -> None:
    drawn = errors.__doc__ or ""
    defined = [name for name, value in vars(errors).items() if inspect.isclass(value) and issubclass(value, PyRtError)]
    assert len(defined) >= 7
    assert [name for name in defined if name not in drawn] == []


def test_a_source_error_names_source_file_and_row() -> None:
    error = ChangedSourceError("local", "a.csv", 7, "changed")
    assert str(error) == "source local: a.csv: row 7: changed"
    assert (error.source, error.file, error.row) == ("local", "a.csv", 7)
    with pytest.raises(DataError):
        raise error
    assert issubclass(SourceError, PyRtError)

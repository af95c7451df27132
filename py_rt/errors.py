"""Every error that py_rt raises on purpose.

The tree; a room adds its own leaves below the branch that fits, in the file that raises them::

    PyRtError
    ├── DataError            tables, sources and what is read from them
    │   ├── SourceError      a raw file or folder that cannot be taken as it is
    │   │   └── ChangedSourceError   what was landed before is now offered with other content
    │   ├── TableError       a table that does not hold what was asked of it, or a write that would damage it
    │   └── SchemaError      rows that do not fit their declared table
    ├── BridgeError          a running service that cannot be reached, or that says no
    ├── BundleError          a bundle, a key or an approval that cannot be made or is refused
    └── RunError             a materialisation that was asked for wrongly or that failed

A message says what was wrong, where (file:line, key), what is allowed and what to do next.
"""

from __future__ import annotations


class PyRtError(Exception):
    """The root: `except PyRtError` catches everything that py_rt raises on purpose, and nothing else."""


class DataError(PyRtError):
    """Data that cannot be read, stored or trusted."""


class SourceError(DataError):
    """A raw file or folder that cannot be taken as it is.

    >>> print(SourceError("local", "bars.csv", 12, "has 5 fields, the header has 6"))
    source local: bars.csv: row 12: has 5 fields, the header has 6
    >>> print(SourceError("local", "bars.csv", None, "is empty"))
    source local: bars.csv: is empty
    """

    def __init__(self, source: str, file: str, row: int | None, problem: str) -> None:
        """Name the place.

        Args:
            source: name of the source, as configured.
            file: file or folder, relative to the source where it has a folder.
            row: line of a text file (the header is line 1) or row of a columnar one, where one is to blame.
            problem: what is wrong, what is allowed, what to do next.
        """
        self.source = source
        self.file = file
        self.row = row
        self.problem = problem
        place = f"{file}: row {row}" if row is not None else file
        super().__init__(f"source {source}: {place}: {problem}")


class ChangedSourceError(SourceError):
    """A partition that was landed before is offered again with other content. Raw data is never rewritten."""


class TableError(DataError):
    """A table that does not hold what was asked of it, or a write that would damage it."""


class SchemaError(DataError):
    """Rows that do not fit their declared table."""


class BridgeError(PyRtError):
    """A running service that cannot be reached, or that says no."""


class BundleError(PyRtError):
    """A bundle, a key or an approval that cannot be made or is refused."""


class RunError(PyRtError):
    """A materialisation that was asked for wrongly or that failed."""

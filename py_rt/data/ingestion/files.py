"""Files that somebody drops into a folder (`kind = "files"`): a partition is a file, packed or not.

==================== ===============================================================================================
`folder`             where they lie; `~` and `$NAME` of the environment are taken
`pattern`            name of a partition's file: `{date}` (`{date:%Y%m%d}` for another form) or `{key}`
`format`, `records`, `packing`, `member`, `header`, `header_absent`, `repeated_header`, `delimiter`: see `rest`
==================== ===============================================================================================
"""

from __future__ import annotations

import os
import re
from dataclasses import dataclass
from pathlib import Path
from string import Formatter
from typing import TYPE_CHECKING

from py_rt.data.ingestion.definition import Definition, Option, fault_of, read_options
from py_rt.data.ingestion.rest import READING_OPTIONS, Reading, reading_of
from py_rt.data.ingestion.source import PAYLOAD_BYTES_MAX, AbsentPartitionError, Payload, SourceTable, day_of
from py_rt.errors import SourceError

if TYPE_CHECKING:
    from collections.abc import Iterator, Sequence

    import polars as pl

OPTIONS = {"folder": Option(str), "pattern": Option(str), **READING_OPTIONS}


@dataclass(frozen=True, slots=True)
class FileSource:
    """A folder of files, one for each partition."""

    table: SourceTable
    folder: Path
    pattern: str
    reading: Reading

    @classmethod
    def make(cls, definition: Definition) -> FileSource:
        """Make the source that a file defines.

        Raises:
            DefinitionError: an option is missing, unknown or not allowed.
        """
        values = read_options(definition, OPTIONS)
        wanted = {"day": "date", "key": "key"}.get(definition.table.partitioning)
        if wanted is None:
            raise fault_of(definition, "pattern", "names files by a day or a key; say partition = day or key")
        named = [name for _, name, _, _ in Formatter().parse(values["pattern"]) if name is not None]
        if set(named) != {wanted}:
            problem = f"is {values['pattern']!r}; it must name {{{wanted}}} and nothing else, as partition says"
            raise fault_of(definition, "pattern", problem)
        folder = Path(os.path.expandvars(values["folder"])).expanduser()
        return cls(definition.table, folder, values["pattern"], reading_of(definition, values))

    def partitions(self) -> Sequence[str]:
        """Keys of the files that are there.

        Raises:
            SourceError: there is no such folder.
        """
        if not self.folder.is_dir():
            raise SourceError(self.table.name, str(self.folder), None, "is no folder")
        head, _, tail = self.pattern.partition("{key}")
        form = re.compile(re.escape(head) + "(.+)" + re.escape(tail))
        found = [form.fullmatch(path.relative_to(self.folder).as_posix()) for path in self.folder.rglob("*")]
        return sorted(match[1].replace("/", "+") for match in found if match)

    def fetch(self, partition: str, after: str | None = None) -> Iterator[Payload]:  # noqa: ARG002  # days and keys
        """Read the partition's file.

        Raises:
            AbsentPartitionError: it is not there.
            SourceError: it is empty, too large or cannot be read.
        """
        values = {"key": partition.replace("+", "/")}
        if self.table.partitioning == "day":
            name = self.pattern.format(date=day_of(self.table.name, partition))
        else:
            name = self.pattern.format(**values)
        path = self.folder / name
        if not path.resolve().is_relative_to(self.folder.resolve()):
            raise SourceError(self.table.name, partition, None, f"{name} lies outside of the folder")
        place = f"{partition}/{name}"
        try:
            if path.stat().st_size > PAYLOAD_BYTES_MAX:
                raise SourceError(
                    self.table.name, place, None, f"has more than {PAYLOAD_BYTES_MAX} bytes; cut it finer"
                )
            content = path.read_bytes()
        except FileNotFoundError as error:
            raise AbsentPartitionError(self.table.name, place, None, f"is not in {self.folder}") from error
        except OSError as error:
            raise SourceError(self.table.name, place, None, f"cannot be read: {error.strerror}") from error
        if not content:
            raise SourceError(self.table.name, place, None, "is empty (0 bytes); put the whole file there")
        yield Payload(name, content, origin=name)

    def rows(self, payload: Payload, partition: str) -> pl.DataFrame:
        """The rows of a file.

        Raises:
            SourceError: it is not of its form, or a value is not of its type.
        """
        return self.reading.rows(f"{partition}/{payload.name}", payload.content)

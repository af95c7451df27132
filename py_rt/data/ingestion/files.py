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
import stat
from dataclasses import dataclass
from datetime import date
from pathlib import Path
from typing import TYPE_CHECKING

from py_rt.data.ingestion.definition import Definition, Option, check_template, fault_of, read_options
from py_rt.data.ingestion.rest import READING_OPTIONS, Reading, reading_of
from py_rt.data.ingestion.source import PAYLOAD_BYTES_MAX, AbsentPartitionError, Payload, SourceTable, day_of
from py_rt.errors import SourceError

if TYPE_CHECKING:
    from collections.abc import Iterator, Sequence

    import polars as pl

_SAMPLES = {"date": date(2024, 1, 31), "key": "key"}

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
        if not check_template(definition, "pattern", values["pattern"], {wanted: _SAMPLES[wanted]}):
            problem = f"is {values['pattern']!r}; it must name {{{wanted}}}, as partition says"
            raise fault_of(definition, "pattern", problem)
        if Path(values["pattern"]).is_absolute() or ".." in Path(values["pattern"]).parts:
            problem = f"is {values['pattern']!r}, which leads out of the folder; name what lies in it"
            raise fault_of(definition, "pattern", problem)
        if wanted == "key" and values["pattern"].count("{") != 1:
            raise fault_of(definition, "pattern", "must name {key} once, and braces stand for nothing else")
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
        there = (path for path in self.folder.rglob("*") if not path.is_dir())
        found = [form.fullmatch(path.relative_to(self.folder).as_posix()) for path in there]
        return sorted(_partition(match[1]) for match in found if match)

    def fetch(self, partition: str, after: str | None = None) -> Iterator[Payload]:  # noqa: ARG002  # days and keys
        """Read the partition's file.

        Raises:
            AbsentPartitionError: it is not there.
            SourceError: it is no file, empty, too large, lacks a column or cannot be read.
        """
        if self.table.partitioning == "day":
            name = self.pattern.format(date=day_of(self.table.name, partition))
        else:
            name = self.pattern.format(key=_key(self.table.name, partition))
        path = self.folder / name
        name = os.fsencode(name).decode("utf-8", "replace")
        if not path.resolve().is_relative_to(self.folder.resolve()):
            raise SourceError(self.table.name, partition, None, f"{name} lies outside of the folder")
        place = f"{partition}/{name}"
        try:
            found = path.stat()
            if not stat.S_ISREG(found.st_mode):  # a pipe would be waited for
                raise SourceError(self.table.name, place, None, "is no file; put one there")
            if found.st_size > PAYLOAD_BYTES_MAX:
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
        self.reading.check(place, content)  # once it is kept, for a look at it

    def rows(self, payload: Payload, partition: str) -> pl.DataFrame:
        """The rows of a file.

        Raises:
            SourceError: it is not of its form, or a value is not of its type.
        """
        return self.reading.rows(f"{partition}/{payload.name}", payload.content)


_BEGINS_ODDLY = "0=="


def _partition(key: str) -> str:
    """What the partition of a key is called: `/` is `+`, and what no partition may have is `=` with its bytes in hex.

    >>> _partition("2024/a.b"), _partition("A+B"), _partition("_a b")
    ('2024+a.b', 'A=2BB', '0==_a=20b')
    """
    plain = "".join(_plain(letter) for letter in key)
    return plain if plain[0].isalnum() and plain[0].isascii() else _BEGINS_ODDLY + plain


def _plain(letter: str) -> str:
    if letter == "/":
        return "+"
    if (letter.isascii() and letter.isalnum()) or letter in "._:@-":
        return letter
    return "".join(f"={byte:02X}" for byte in os.fsencode(letter))


def _key(source: str, partition: str) -> str:
    """The key that a partition is called after; `_partition` the other way round.

    Raises:
        SourceError: no key is called so.

    >>> [_key("files", name) for name in ("2024+a.b", "A=2BB", "0==_a=20b")]
    ['2024/a.b', 'A+B', '_a b']
    """
    text = partition.removeprefix(_BEGINS_ODDLY).replace("+", "/")
    if re.search(r"=(?![0-9A-F]{2})", text):
        raise SourceError(source, partition, None, "is no key: = stands before two digits of hexadecimal")
    return os.fsdecode(re.sub(rb"=([0-9A-F]{2})", lambda found: bytes.fromhex(found[1].decode()), text.encode()))

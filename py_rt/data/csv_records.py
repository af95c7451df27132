"""The records of a CSV file, each with its own text: what a table is made of before anybody trusts it.

The separator is what the first line has most of: comma, semicolon, tab or bar. A quote opens a cell only where a cell
begins; one inside of a text is a letter.
"""

from __future__ import annotations

import csv
import gzip
import io
import lzma
import re
import struct
import zipfile
import zlib
from itertools import islice
from typing import TYPE_CHECKING

from py_rt.errors import SourceError

if TYPE_CHECKING:
    from collections.abc import Iterator

UNPACKED_BYTES_MAX = 1 << 30
"""Largest content of a compressed file, bytes."""

RECORD_CHARS_MAX = 1 << 20
"""Longest record: a quoted cell that goes on for longer was never meant to be one."""

DELIMITERS = (",", ";", "\t", "|")

DAMAGE = (OSError, ValueError, OverflowError, struct.error, zlib.error, lzma.LZMAError, zipfile.BadZipFile)
"""What unpacking raises of an archive that lost bytes."""

_CLOSING = re.compile(r'"("?)')
_BRACKETED = re.compile(r"<[^<>]+>([,;\t|]<[^<>]+>)+")
"""A header as MetaTrader writes it."""


def unpacked(name: str, content: bytes, source: str, bytes_max: int = UNPACKED_BYTES_MAX) -> bytes:
    """The content of a gzip file.

    Raises:
        SourceError: it is cut off, damaged or too large.
    """
    try:
        with gzip.GzipFile(fileobj=io.BytesIO(content)) as stream:
            text = stream.read(bytes_max + 1)
    except EOFError as error:
        raise SourceError(source, name, None, "is cut off: the compressed stream ends early; fetch it again") from error
    except (OSError, zlib.error) as error:
        raise SourceError(source, name, None, f"is damaged: {error}; fetch it again") from error
    return _within(text, name, source, bytes_max)


def only_member(name: str, content: bytes, source: str) -> tuple[str, bytes]:
    """Name and content of the one file in a zip archive.

    Raises:
        SourceError: it is cut off, damaged, encrypted or too large, or holds another number of files.
    """
    try:
        with zipfile.ZipFile(io.BytesIO(content)) as archive:
            inside = [one for one in archive.infolist() if not one.is_dir() and not one.filename.startswith("__MACOSX")]
            if len(inside) != 1:
                names = ", ".join(one.filename for one in inside[:10])
                problem = f"holds {len(inside)} files ({names}); allowed is one: unpack it and name the one you mean"
                raise SourceError(source, name, None, problem)
            with archive.open(inside[0]) as stream:
                return inside[0].filename, _within(
                    stream.read(UNPACKED_BYTES_MAX + 1), name, source, UNPACKED_BYTES_MAX
                )
    except (EOFError, *DAMAGE) as error:
        raise SourceError(source, name, None, f"is cut off or damaged, no zip archive: {error}") from error
    except RuntimeError as error:  # encrypted, or packed in a way that is not known
        raise SourceError(source, name, None, f"cannot be unpacked: {error}; unpack it first") from error


def _within(text: bytes, name: str, source: str, bytes_max: int) -> bytes:
    if len(text) > bytes_max:
        problem = f"unpacks to more than {bytes_max} bytes, which is the most allowed; split it into several"
        raise SourceError(source, name, None, problem)
    return text


def decoded(name: str, content: bytes, source: str) -> str:
    """The text of a file.

    Raises:
        SourceError: it is no text, or a page.
    """
    try:
        text = content.decode("utf-8")
    except UnicodeDecodeError as error:
        at = content[: error.start].count(b"\n") + 1
        what = " (it is a zip archive: name it .zip)" if content.startswith(b"PK\x03\x04") else ""
        what = " (it is gzipped: name it .csv.gz)" if content.startswith(b"\x1f\x8b") else what
        problem = f"is not UTF-8 text{what}: byte {error.object[error.start]:#04x}; write it as UTF-8 and try again"
        raise SourceError(source, name, at, problem) from error
    first = text.lstrip("\ufeff \t\r\n").partition("\n")[0].strip()
    if first.startswith("<") and not _BRACKETED.fullmatch(first):
        raise SourceError(
            source, name, 1, "is a page (HTML or XML), not a table: the source answered with an error; fetch it again"
        )
    return text


def delimiter_of(line: str) -> str:
    """What separates the cells of a line.

    >>> delimiter_of('Date;"Open, adjusted";Close')
    ';'
    """
    bare = re.sub(r'"[^"]*"', "", line)
    return max(DELIMITERS, key=bare.count)


def records(name: str, text: str, delimiter: str, source: str, records_max: int) -> list[tuple[str, str]]:
    """Each record that is not blank: its whole text with the line end (and blank lines before it), and bare.

    Raises:
        SourceError: there are more than `records_max`; a quoted cell is never closed, or goes on for more than
            :data:`RECORD_CHARS_MAX`.
    """
    if _has_more_lines(text, records_max):
        raise _too_many(name, source, records_max)
    found: list[tuple[str, str]] = []
    pending: list[str] = []
    opened, length, is_open = 0, 0, False
    for number, line in enumerate(_lines(text), 1):
        if '"' in line:
            was_open, is_open = is_open, _is_left_open(line, delimiter, is_open=is_open)
            opened = number if is_open and not was_open else opened
        pending.append(line)
        if is_open:
            length += len(line)
            if length > RECORD_CHARS_MAX:
                break
            continue
        length = 0
        if line.strip():
            whole = "".join(pending)
            found.append((whole, whole.rstrip("\r\n")))
            pending = []
            if len(found) > records_max:
                raise _too_many(name, source, records_max)
    if is_open:
        problem = "a quoted cell that begins here is never closed: the file is cut off, or the quote is part of a text"
        raise SourceError(source, name, opened, problem)
    return found


def _has_more_lines(text: str, lines_max: int) -> bool:
    """Whether more lines are records, told without keeping one; of a text with quotes it is not known."""
    if '"' in text or text.count("\n") + text.count("\r") < lines_max:
        return False
    told = (1 for line in re.finditer(r"[^\r\n]+", text) if not line.group().isspace())
    return sum(islice(told, lines_max + 1)) > lines_max


def _too_many(name: str, source: str, records_max: int) -> SourceError:
    return SourceError(source, name, None, f"has more than {records_max} rows, which are the most allowed; split it")


def _is_left_open(line: str, delimiter: str, *, is_open: bool) -> bool:
    """Whether a quoted cell goes on behind a line."""
    at = 0
    while True:
        if is_open:
            closing = next((one for one in _CLOSING.finditer(line, at) if not one[1]), None)
            if closing is None:
                return True
            at = closing.end()
        begins = 0 if at == 0 and line.startswith('"') else line.find(f'{delimiter}"', at)
        if begins < 0:
            return False
        at = line.index('"', begins) + 1
        is_open = True


def _lines(text: str) -> Iterator[str]:
    """The lines with their ends; the last one may have none. Only newlines and carriage returns end a line."""
    return (match.group() for match in re.finditer(r"[^\r\n]*(?:\r\n|\r|\n)|[^\r\n]+", text))


def fields(bare: str, delimiter: str) -> list[str] | None:
    """The cells of a record; `None` where they are none that a table can hold.

    >>> fields('1;"2;3"', ";")
    ['1', '2;3']
    """
    if '"' not in bare:
        return bare.strip("\r\n").split(delimiter)
    try:
        return next(csv.reader([bare], delimiter=delimiter))
    except (csv.Error, StopIteration):
        return None


def raw_fields(bare: str, delimiter: str) -> list[str]:
    """The cells of a record as they are written, quotes and all.

    >>> raw_fields('1;"2;3";', ";")
    ['1', '"2;3"', '']
    """
    if '"' not in bare:
        return bare.split(delimiter)
    cell = rf'(?:"(?:[^"]|"")*"[^{re.escape(delimiter)}]*|[^{re.escape(delimiter)}]*)'
    return re.findall(rf"(?:^|(?<={re.escape(delimiter)})){cell}(?={re.escape(delimiter)}|$)", bare)


def quoted(text: str, delimiter: str, like: str) -> str:
    """A cell as it is written, in quotes where the one it replaces had them or where it needs them.

    >>> quoted("2.5", ",", like='"250"'), quoted("2,5", ",", like="250"), quoted("2.5", ",", like="250")
    ('"2.5"', '"2,5"', '2.5')
    """
    doubled = text.replace('"', '""')
    return f'"{doubled}"' if like.startswith('"') or delimiter in text or doubled != text else text

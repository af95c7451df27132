"""What was received, kept for ever: bytes under their content hash, and a record for each partition.

::

    <root>/<source>/content/<ab>/<sha256>            bytes as received
    <root>/<source>/partitions/<partition>/0001.json what they are, when they arrived; 0002 where they were restated
    <root>/<source>/refused/<partition>.json         why the last try was refused; gone when one succeeds
    <root>/<source>/incoming/                        what is being written, and `running` while a process does

Bytes that neither a record nor a refusal names are removed. A file is complete when it has its name: it is written
beside, forced to disk and renamed. A record is written after all that it names, so that a partition is landed whole or
not at all, wherever a process dies. One process at a time ingests a source; the lock goes with the process.
"""

from __future__ import annotations

import fcntl
import hashlib
import json
import os
from contextlib import contextmanager
from dataclasses import asdict, dataclass
from typing import TYPE_CHECKING, Any

from py_rt.data.ingestion.source import PARTITION, Payload
from py_rt.data.whole_files import written_whole
from py_rt.errors import DataError, SourceError

if TYPE_CHECKING:
    from collections.abc import Iterable, Iterator
    from pathlib import Path

FORMAT = 1
VERSIONS_MAX = 9_999
"""Most restatements of one partition."""


@dataclass(frozen=True, slots=True)
class Kept:
    """One payload of a record: its bytes are under their hash.

    Attributes:
        name: unique in the partition.
        sha256: of the bytes.
        bytes: how many.
        origin: where they came from.
        media_type: as the other side called them.
        cursor: of a `next` partition, the highest value in it.
        ts_arrival: when they arrived, UTC ns.
    """

    name: str
    sha256: str
    bytes: int
    origin: str
    media_type: str
    cursor: str
    ts_arrival: int


@dataclass(frozen=True, slots=True)
class Record:
    """One landed version of a partition.

    Attributes:
        partition: its name.
        version: 1, or higher where it was restated.
        rows: that its payloads hold.
        definition_sha256: of the source when it landed.
        payloads: in the order received.
    """

    partition: str
    version: int
    rows: int
    definition_sha256: str
    payloads: tuple[Kept, ...]

    @property
    def ts_arrival(self) -> int:
        """When the last of it arrived, UTC ns; 0 where nothing did."""
        return max((kept.ts_arrival for kept in self.payloads), default=0)

    @property
    def cursor(self) -> str:
        """Where a `next` partition ends."""
        return self.payloads[-1].cursor if self.payloads else ""

    @property
    def content(self) -> tuple[tuple[str, str], ...]:
        """What makes two versions the same."""
        return tuple((kept.name, kept.sha256) for kept in self.payloads)


RUNNING = "running"
"""In `incoming` while a process ingests; one that is there without such a process tells that it died."""


class DamagedLandingError(DataError):
    """What was kept is not what was received: a file is gone, cut off or changed."""


class FullLandingError(DataError):
    """Nothing can be kept any more: the disk is full, or the folder may not be written."""


class Received:
    """What was received of one source.

    Args:
        root: folder of all sources, such as `<home>/landing`.
        source: name of the source.
    """

    def __init__(self, root: Path, source: str) -> None:
        self.source = source
        self.folder = root / source
        self._unnamed: set[str] = set()

    @contextmanager
    def alone(self) -> Iterator[None]:
        """Be the only process that ingests this source; what a dead one left half-written or unnamed is removed.

        Raises:
            FullLandingError: the folder cannot be written.
            SourceError: another process ingests it now.
        """
        incoming = self.folder / "incoming"
        try:
            incoming.mkdir(parents=True, exist_ok=True)
            descriptor = os.open(self.folder / "lock", os.O_RDWR | os.O_CREAT | os.O_CLOEXEC, 0o644)
        except OSError as error:
            raise FullLandingError(
                f"source {self.source}: {self.folder} cannot be written: {error.strerror}"
            ) from error
        try:
            try:
                fcntl.flock(descriptor, fcntl.LOCK_EX | fcntl.LOCK_NB)
            except OSError as error:
                problem = "another process ingests this source now; wait for it, or stop it"
                raise SourceError(self.source, str(self.folder), None, problem) from error
            self._clear(incoming)
            try:
                yield
            finally:
                self._sweep(self._unnamed)
                (incoming / RUNNING).unlink(missing_ok=True)
        finally:
            os.close(descriptor)

    def keep(self, payload: Payload, ts_arrival: int) -> Kept:
        """Keep bytes; the same bytes again are kept once."""
        sha256 = hashlib.sha256(payload.content).hexdigest()
        path = self._content(sha256)
        if not path.is_file():
            self._unnamed.add(sha256)
            self._write(path, payload.content)
        size = len(payload.content)
        return Kept(payload.name, sha256, size, payload.origin, payload.media_type, payload.cursor, ts_arrival)

    def payload(self, kept: Kept) -> Payload:
        """The bytes again.

        Raises:
            DamagedLandingError: they are not what was received.
        """
        path = self._content(kept.sha256)
        try:
            content = path.read_bytes()
        except OSError as error:
            raise DamagedLandingError(
                f"source {self.source}: {path} cannot be read ({error.strerror}): put the file back"
            ) from error
        found = hashlib.sha256(content).hexdigest()
        if found != kept.sha256:
            raise DamagedLandingError(f"source {self.source}: {path} has SHA-256 {found}: put the file back")
        return Payload(kept.name, content, kept.origin, kept.media_type, kept.cursor)

    def publish(self, record: Record) -> Record:
        """Write a record: from here on the partition is landed."""
        facts = {"format": FORMAT, "source": self.source, **asdict(record)}
        text = json.dumps(facts, indent=1, sort_keys=True) + "\n"
        self._write(self._record(record.partition, record.version), text.encode())
        self._unnamed |= self._content_of_refusal(record.partition)
        self._refusal(record.partition).unlink(missing_ok=True)
        self._unnamed -= {kept.sha256 for kept in record.payloads}
        return record

    def refuse(self, partition: str, problem: str, payloads: Iterable[Kept]) -> None:
        """Note why a partition was refused, beside the bytes that were received of it; those of before are let go."""
        facts = {"partition": partition, "problem": problem, "payloads": [asdict(kept) for kept in payloads]}
        self._unnamed |= self._content_of_refusal(partition)
        self._write(self._refusal(partition), (json.dumps(facts, indent=1, sort_keys=True) + "\n").encode())

    def refused(self) -> dict[str, str]:
        """Why each partition is refused, of those that are, or why that cannot be read."""
        return {path.stem: _problem(path) for path in sorted((self.folder / "refused").glob("*.json"))}

    def versions(self, partition: str) -> list[Record]:
        """Every landed version of a partition, oldest first.

        Raises:
            DamagedLandingError: a record cannot be read.
        """
        folder = self.folder / "partitions" / partition
        return [self._load(path) for path in sorted(folder.glob("*.json"))]

    def partitions(self) -> list[str]:
        """Names of everything that is landed, in order."""
        folder = self.folder / "partitions"
        return sorted({path.parent.name for path in folder.glob("*/*.json")})

    def records(self) -> Iterator[Record]:
        """Every landed version of every partition."""
        for partition in self.partitions():
            yield from self.versions(partition)

    def check(self) -> list[str]:
        """What is wrong with what is kept, in words; hashes everything."""
        problems: list[str] = []
        for record in self.records():
            for kept in record.payloads:
                try:
                    self.payload(kept)
                except DamagedLandingError as error:
                    problems.append(f"{record.partition} version {record.version}: {error}")
        return problems

    def _clear(self, incoming: Path) -> None:
        """Remove what a process that died left behind."""
        running = incoming / RUNNING
        has_died = running.exists()
        try:
            for leftover in incoming.iterdir():
                if leftover != running:
                    leftover.unlink()
            running.touch()
        except OSError as error:
            raise FullLandingError(f"source {self.source}: {incoming} cannot be written: {error.strerror}") from error
        if has_died:
            self._sweep({path.name for path in (self.folder / "content").glob("*/*")})

    def _sweep(self, unnamed: set[str]) -> None:
        """Remove what of some content nothing names; where something cannot be read, nobody knows, and all stays."""
        try:
            named = {kept.sha256 for record in self.records() for kept in record.payloads} if unnamed else set()
            if unnamed:
                refused = [path.stem for path in (self.folder / "refused").glob("*.json")]
                named = named.union(*map(self._content_of_refusal, refused))
        except DamagedLandingError:
            return
        for sha256 in unnamed - named:
            self._content(sha256).unlink(missing_ok=True)
        self._unnamed = set()

    def _content_of_refusal(self, partition: str) -> set[str]:
        path = self._refusal(partition)
        try:
            return {str(kept["sha256"]) for kept in json.loads(path.read_bytes())["payloads"]}
        except FileNotFoundError:
            return set()
        except (OSError, ValueError, KeyError, TypeError) as error:
            raise DamagedLandingError(f"source {self.source}: {path} cannot be read: {error}; remove it") from error

    def _load(self, path: Path) -> Record:
        try:
            facts: dict[str, Any] = json.loads(path.read_bytes())
            payloads = tuple(Kept(**kept) for kept in facts["payloads"])
            wanted = {name: facts[name] for name in ("partition", "version", "rows", "definition_sha256")}
            if facts["format"] != FORMAT:
                raise DamagedLandingError(f"{path}: format {facts['format']}, this version reads {FORMAT}")
            return Record(**wanted, payloads=payloads)
        except (OSError, ValueError, KeyError, TypeError) as error:
            raise DamagedLandingError(f"source {self.source}: record {path} cannot be read: {error}") from error

    def _content(self, sha256: str) -> Path:
        return self.folder / "content" / sha256[:2] / sha256

    def _record(self, partition: str, version: int) -> Path:
        if not PARTITION.match(partition) or not 0 < version <= VERSIONS_MAX:
            raise SourceError(self.source, partition, None, f"cannot be kept as version {version}")
        return self.folder / "partitions" / partition / f"{version:04}.json"

    def _refusal(self, partition: str) -> Path:
        return self.folder / "refused" / f"{partition}.json"

    def _write(self, path: Path, content: bytes) -> None:
        try:
            with written_whole(path, self.folder / "incoming") as part:
                part.write_bytes(content)
        except OSError as error:
            raise FullLandingError(
                f"source {self.source}: {path} cannot be written ({error.strerror}): make room or give rights, and run "
                "it again; what was landed before is whole"
            ) from error


def _problem(path: Path) -> str:
    try:
        return str(json.loads(path.read_bytes())["problem"])
    except (OSError, ValueError, KeyError, TypeError) as error:
        return f"{path} cannot be read: {error}; remove it"

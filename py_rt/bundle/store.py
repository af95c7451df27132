"""The store of bundles: folders named by their hash, statements and aliases beside them.

```
<store>/sha256-<digest>/                          the bundle; never changed
<store>/signatures/<digest>/builder.dsse.json     the builder's word
                           /approver.dsse.json    the newest approval
                           /approvals/<slot>-<serial>.dsse.json   every approval
<store>/records/<digest>.json                     when and by which run it was built; no content
<store>/aliases/<slot>/{champion,challenger,previous}   one digest each
```

Every file is put in place by a rename: a reader sees the old one or the new one.
"""

from __future__ import annotations

import fcntl
import json
import shutil
import tempfile
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any

from py_rt.bundle.files import replace_file, sync_folder, write_once
from py_rt.bundle.manifest import MANIFEST, Manifest, canonical_json, checked_digest
from py_rt.bundle.statement import Approval
from py_rt.errors import BundleError

if TYPE_CHECKING:
    from collections.abc import Iterator, Mapping, Sequence

    from py_rt.bundle.keys import TrustedKey

FOLDER_PREFIX = "sha256-"
ALIASES = ("champion", "challenger", "previous")
BUNDLE_MODE = 0o444
BESIDE_MODE = 0o644
MIN_PREFIX = 6
"""Digits of a digest that are enough to ask for a bundle."""


@dataclass(frozen=True)
class Listed:
    """A bundle as a list shows it; nothing of it is judged.

    Attributes:
        digest: of the bundle.
        name: by its manifest.
        version: by its manifest.
        instrument: by its manifest.
        built: whether a builder's statement stands beside it.
        approvals: of whatever slot, by serial.
        aliases: as `slot/alias`.
    """

    digest: str
    name: str
    version: str
    instrument: str
    built: bool
    approvals: tuple[Approval, ...]
    aliases: tuple[str, ...]


@dataclass(frozen=True)
class BundleStore:
    """The store below `root`; made by the first write."""

    root: Path

    def folder(self, digest: str) -> Path:
        """Where a bundle lies."""
        return self.root / f"{FOLDER_PREFIX}{checked_digest(digest)}"

    def signature(self, digest: str, role: str) -> Path:
        """Where the newest statement of a role lies."""
        return self.root / "signatures" / checked_digest(digest) / f"{role}.dsse.json"

    def kept_approval(self, digest: str, slot: int, serial: int) -> Path:
        """Where an approval is kept, also after a newer one."""
        return self.root / "signatures" / checked_digest(digest) / "approvals" / f"{slot}-{serial}.dsse.json"

    def record(self, digest: str) -> Path:
        """Where it stands when and by which run a bundle was built."""
        return self.root / "records" / f"{checked_digest(digest)}.json"

    def digests(self) -> list[str]:
        """Every bundle, in order of its digest."""
        names = (path.name for path in self.root.glob(f"{FOLDER_PREFIX}*") if path.is_dir())
        return sorted(checked_digest(name) for name in names)

    def resolve(self, text: str) -> str:
        """Find a bundle by its digest, or by its first digits.

        Raises:
            BundleError: none fits, or several do.
        """
        wanted = text.removeprefix(FOLDER_PREFIX)
        if len(wanted) == len(checked_digest("0" * 64)):
            return checked_digest(wanted)
        if len(wanted) < MIN_PREFIX:
            raise BundleError(f"{text!r} is too short: give at least {MIN_PREFIX} digits of the digest")
        found = [digest for digest in self.digests() if digest.startswith(wanted)]
        if len(found) != 1:
            known = ", ".join(found) if found else "; see `py_rt bundle list`"
            raise BundleError(
                f"{len(found)} bundles in {self.root} begin with {wanted!r}{': ' if found else ''}{known}"
            )
        return found[0]

    def place(self, manifest: Manifest, files: Mapping[str, bytes]) -> bool:
        """Put a bundle into the store at once; `False` when it was there already.

        Raises:
            BundleError: what is there under that digest has another manifest.
        """
        target = self.folder(manifest.digest)
        if target.is_dir():
            if _read(target / MANIFEST) != manifest.to_bytes():
                raise BundleError(f"{target} was changed since it was built: remove it and build again")
            return False
        self.root.mkdir(parents=True, exist_ok=True)
        fresh = Path(tempfile.mkdtemp(prefix=".building-", dir=self.root))
        try:
            for path, content in {**files, MANIFEST: manifest.to_bytes()}.items():
                write_once(fresh / path, content, mode=BUNDLE_MODE)
            fresh.chmod(0o755)
            sync_folder(fresh)
            fresh.rename(target)
        except OSError:
            shutil.rmtree(fresh, ignore_errors=True)
            if target.is_dir():  # another builder of the same bundle came first
                return False
            raise
        sync_folder(self.root)
        return True

    def read_file(self, digest: str, path: str) -> bytes:
        """Read a file of a bundle, unjudged.

        Raises:
            BundleError: it is not there.
        """
        return _read(self.folder(digest) / path)

    def put_signature(self, digest: str, role: str, envelope: bytes) -> Path:
        """Put a statement beside a bundle, in place of an older one of that role."""
        path = self.signature(digest, role)
        replace_file(path, envelope, mode=BESIDE_MODE)
        return path

    def put_approval(self, approval: Approval, envelope: bytes) -> Path:
        """Put an approval beside its bundle, and keep it.

        Raises:
            BundleError: an approval of that slot and serial is there already.
        """
        kept = self.kept_approval(approval.digest, approval.slot, approval.serial)
        if kept.exists():
            raise BundleError(f"{kept} is there already: an approval is never rewritten; take a higher serial")
        replace_file(kept, envelope, mode=BESIDE_MODE)
        return self.put_signature(approval.digest, "approver", envelope)

    def withdraw_approval(self, approval: Approval, before: bytes | None) -> None:
        """Take an approval back that nobody may see, and put the former one in its place."""
        self.kept_approval(approval.digest, approval.slot, approval.serial).unlink(missing_ok=True)
        newest = self.signature(approval.digest, "approver")
        if before is None:
            newest.unlink(missing_ok=True)
        else:
            replace_file(newest, before, mode=BESIDE_MODE)

    def approvals(self, digest: str) -> list[Approval]:
        """Every approval of a bundle, by slot and serial; nothing of it is judged.

        Raises:
            BundleError: a statement cannot be read.
        """
        found = [Approval.from_envelope(content)[0] for content in self._kept(digest)]
        return sorted(found, key=lambda approval: (approval.slot, approval.serial))

    def trusted_approvals(self, digest: str, keys: Sequence[TrustedKey]) -> list[Approval]:
        """Approvals of a bundle whose signature is that of a key which may approve at their stage.

        Raises:
            BundleError: a statement cannot be read.
        """
        found = (Approval.trusted(content, keys) for content in self._kept(digest))
        return [approval for approval in found if approval is not None and approval.digest == digest]

    def highest_serial(self, slot: int, keys: Sequence[TrustedKey]) -> int:
        """The highest serial of an approval for a slot that a trusted key has signed, 0 when there is none.

        What nobody signed does not count: otherwise one file with the largest number would end all approving.

        Raises:
            BundleError: a statement cannot be read.
        """
        all_of_them = (approval for digest in self.digests() for approval in self.trusted_approvals(digest, keys))
        return max((approval.serial for approval in all_of_them if approval.slot == slot), default=0)

    def _kept(self, digest: str) -> list[bytes]:
        return [_read(path) for path in self.kept_approval(digest, 0, 0).parent.glob("*.dsse.json")]

    def put_record(self, digest: str, record: Mapping[str, object]) -> None:
        """Keep when and by which run a bundle was built; the first record stays."""
        path = self.record(digest)
        if not path.exists():
            replace_file(path, canonical_json({"digest": checked_digest(digest), **record}), mode=BESIDE_MODE)

    def read_record(self, digest: str) -> dict[str, Any]:
        """When and by which run a bundle was built; empty when nobody kept it."""
        path = self.record(digest)
        if not path.exists():
            return {}
        try:
            record: dict[str, Any] = json.loads(_read(path))
        except ValueError as error:
            raise BundleError(f"{path} is not JSON: {error}") from error
        return record

    def alias(self, slot: int, name: str) -> str | None:
        """The digest that an alias of a slot points to.

        Raises:
            BundleError: there is no such alias, or its file holds no digest.
        """
        path = self._alias_path(slot, name)
        return checked_digest(_read(path).decode("ascii", "replace").strip()) if path.exists() else None

    def set_alias(self, slot: int, name: str, digest: str) -> None:
        """Point an alias of a slot to a bundle of this store.

        Raises:
            BundleError: there is no such alias, or no such bundle.
        """
        if not self.folder(digest).is_dir():
            raise BundleError(f"{self.folder(digest)} is not there: an alias points to a bundle of its store")
        replace_file(self._alias_path(slot, name), f"{checked_digest(digest)}\n".encode(), mode=BESIDE_MODE)

    def promote(self, slot: int, digest: str) -> None:
        """Note that a bundle runs in a slot: the champion before becomes the previous one."""
        with self.locked():
            before = self.alias(slot, "champion")
            if before == digest:
                return
            if before is not None:
                self.set_alias(slot, "previous", before)
            self.set_alias(slot, "champion", digest)
            if self.alias(slot, "challenger") == digest:
                self._alias_path(slot, "challenger").unlink()

    def aliases(self) -> dict[str, str]:
        """Every alias as `slot/name`, with its digest."""
        paths = sorted(path for name in ALIASES for path in (self.root / "aliases").glob(f"*/{name}"))
        return {f"{path.parent.name}/{path.name}": _read(path).decode("ascii", "replace").strip() for path in paths}

    def listed(self) -> list[Listed]:
        """Every bundle, by name and version.

        Raises:
            BundleError: a manifest or a statement cannot be read.
        """
        by_digest: dict[str, list[str]] = {}
        for alias, digest in self.aliases().items():
            by_digest.setdefault(digest, []).append(alias)
        found = [self._listed(digest, tuple(by_digest.get(digest, ()))) for digest in self.digests()]
        return sorted(found, key=lambda bundle: (bundle.name, bundle.version, bundle.digest))

    def _listed(self, digest: str, aliases: tuple[str, ...]) -> Listed:
        path = self.folder(digest) / MANIFEST
        try:
            manifest = json.loads(_read(path))
            name, version, instrument = (str(manifest[key]) for key in ("name", "version", "instrument"))
        except (ValueError, KeyError, TypeError) as error:
            raise BundleError(f"{path} is no manifest: {error!r}; remove the folder and build again") from error
        built = self.signature(digest, "builder").exists()
        approvals = tuple(self.approvals(digest))
        return Listed(digest, name, version, instrument, built=built, approvals=approvals, aliases=aliases)

    @contextmanager
    def locked(self) -> Iterator[None]:
        """Hold the store against other writers of serials and aliases."""
        self.root.mkdir(parents=True, exist_ok=True)
        with (self.root / ".lock").open("w") as lock:
            fcntl.flock(lock, fcntl.LOCK_EX)
            yield

    def _alias_path(self, slot: int, name: str) -> Path:
        if name not in ALIASES or slot < 0:
            raise BundleError(f"no alias is called {slot}/{name}; a slot has {', '.join(ALIASES)}")
        return self.root / "aliases" / str(slot) / name


def _read(path: Path) -> bytes:
    try:
        return path.read_bytes()
    except OSError as error:
        raise BundleError(f"{path}: {error.strerror}") from error

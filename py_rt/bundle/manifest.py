"""`manifest.json`: the closed list of a bundle's files, in the one spelling whose hash is the bundle's identity.

Canonical JSON has sorted keys, no spaces and UTF-8 text; the Rust reader writes what it read and refuses a bundle
whose bytes differ.
"""

from __future__ import annotations

import hashlib
import json
import re
from dataclasses import dataclass
from typing import TYPE_CHECKING

from py_rt.errors import BundleError

if TYPE_CHECKING:
    from collections.abc import Mapping

MANIFEST = "manifest.json"
LAYOUT = (
    "features.json",
    "golden.bin",
    "model.onnx",
    "provenance.json",
    "reports/backtest.json",
    "reports/gates.json",
    "reports/model_card.md",
    "reports/parity.json",
    "risk_limits.toml",
    "strategy.toml",
)
"""Every file of a bundle beside its manifest: all of them, and no other."""

MIN_ENGINE_VERSION = "0.1.0"
"""The first engine that reads this layout."""

SCHEMA_VERSION = 1
_DIGEST = re.compile(r"[0-9a-f]{64}")


def canonical_json(value: object) -> bytes:
    """Write a value in the one spelling that is hashed and signed.

    Raises:
        ValueError: a number is not finite.

    >>> canonical_json({"b": [1, "é"], "a": None}).decode()
    '{"a":null,"b":[1,"é"]}'
    """
    return json.dumps(value, sort_keys=True, separators=(",", ":"), ensure_ascii=False, allow_nan=False).encode()


def sha256_hex(content: bytes) -> str:
    """The SHA-256 of bytes, lower-case hexadecimal."""
    return hashlib.sha256(content).hexdigest()


def checked_digest(text: str) -> str:
    """Take a bundle's digest, with or without the `sha256-` of its folder.

    Raises:
        BundleError: it is none.

    >>> checked_digest("sha256-" + "ab" * 32) == "ab" * 32
    True
    """
    digest = text.removeprefix("sha256-")
    if _DIGEST.fullmatch(digest) is None:
        raise BundleError(
            f"{text!r} is no bundle digest: 64 lower-case hexadecimal digits, as `py_rt bundle list` shows"
        )
    return digest


@dataclass(frozen=True)
class Manifest:
    """What a bundle is, and its files.

    Attributes:
        name: of the bundle; its model bears the same.
        version: major.minor.patch; its strategy bears the same.
        instrument: the venue's symbol.
        files: size and SHA-256 by path.
        min_engine_version: oldest engine that can run it.
    """

    name: str
    version: str
    instrument: str
    files: Mapping[str, tuple[int, str]]
    min_engine_version: str = MIN_ENGINE_VERSION

    @classmethod
    def of(cls, files: Mapping[str, bytes], *, name: str, version: str, instrument: str) -> Manifest:
        """Describe files.

        Raises:
            BundleError: a file of the layout is missing, or one is not of it.
        """
        missing = sorted(set(LAYOUT) - set(files))
        foreign = sorted(set(files) - set(LAYOUT))
        if missing or foreign:
            raise BundleError(
                f"a bundle has exactly the files {', '.join(LAYOUT)}; missing: {missing or 'none'}, "
                f"not allowed: {foreign or 'none'}"
            )
        listed = {path: (len(files[path]), sha256_hex(files[path])) for path in LAYOUT}
        return cls(name, version, instrument, listed)

    def to_bytes(self) -> bytes:
        """The canonical bytes.

        >>> Manifest("b", "1.0.0", "BTCUSDT", {"x": (1, "00")}).to_bytes().decode()[:55]
        '{"files":[{"path":"x","sha256":"00","size":1}],"instrum'
        """
        files = [{"path": path, "size": size, "sha256": sha256} for path, (size, sha256) in sorted(self.files.items())]
        return canonical_json(
            {
                "schema_version": SCHEMA_VERSION,
                "name": self.name,
                "version": self.version,
                "instrument": self.instrument,
                "min_engine_version": self.min_engine_version,
                "files": files,
            }
        )

    @property
    def digest(self) -> str:
        """The bundle's identity."""
        return sha256_hex(self.to_bytes())

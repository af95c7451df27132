"""Building a bundle: files in, a folder named by their hash out; signed by the builder when the reader accepts it."""

from __future__ import annotations

import re
from dataclasses import dataclass
from decimal import Decimal, InvalidOperation
from typing import TYPE_CHECKING

from py_rt.bundle import verdict
from py_rt.bundle.manifest import Manifest
from py_rt.bundle.statement import builder_envelope, decimal_text
from py_rt.errors import BundleError

if TYPE_CHECKING:
    from collections.abc import Mapping
    from pathlib import Path

    from py_rt.bundle.keys import SigningKey
    from py_rt.bundle.store import BundleStore

_MODEL_TABLE = re.compile(r"^\[ml_model\][^\n]*\n", re.MULTILINE)
_VOLATILITY = re.compile(r"^\s*daily_volatility\s*=", re.MULTILINE)
_VERSION = re.compile(r'^version\s*=\s*"([^"]+)"', re.MULTILINE)


@dataclass(frozen=True)
class BuiltBundle:
    """A bundle in a store.

    Attributes:
        digest: its identity.
        folder: where it lies.
        created: whether it was made now; otherwise it was there already, the same to the last byte.
    """

    digest: str
    folder: Path
    created: bool


def strategy_with_volatility(text: str, daily_volatility: str) -> str:
    r"""Write the standard deviation of daily returns into a strategy file; the rest of the text stays.

    Args:
        text: of a strategy file without it.
        daily_volatility: as decimal text, a share.

    Raises:
        BundleError: the file has one already or has no model, or the number is none above 0.

    >>> print(strategy_with_volatility("[ml_model]\npath = 'm'\n", "0.0350"))
    [ml_model]
    daily_volatility = 0.035              # written by the bundle's build
    path = 'm'
    <BLANKLINE>
    """
    if _VOLATILITY.search(text):
        raise BundleError("the strategy file has a daily_volatility already: it is written by the bundle's build only")
    table = _MODEL_TABLE.search(text)
    if table is None:
        raise BundleError("the strategy file has no table [ml_model]: a bundle needs a model")
    try:
        value = Decimal(daily_volatility)
    except InvalidOperation as error:
        raise BundleError(f"daily volatility is {daily_volatility!r}; allowed is a number above 0") from error
    if not (value.is_finite() and value > 0):
        raise BundleError(f"daily volatility is {daily_volatility!r}; allowed is a number above 0")
    number = decimal_text(value)
    line = f"daily_volatility = {number if '.' in number else number + '.0'}"
    return f"{text[: table.end()]}{line:<37} # written by the bundle's build\n{text[table.end() :]}"


def strategy_version(text: str) -> str:
    r"""The version of a strategy file, which its bundle bears too.

    Raises:
        BundleError: it has none.

    >>> strategy_version('[strategy]\nversion = "1.2.0"\n')
    '1.2.0'
    """
    found = _VERSION.search(text)
    if found is None:
        raise BundleError("the strategy file has no version: write major.minor.patch under [strategy]")
    return found.group(1)


def build_bundle(
    store: BundleStore, files: Mapping[str, bytes], *, name: str, version: str, instrument: str
) -> BuiltBundle:
    """Put files into the store as a bundle. The same files give the same bundle, once.

    Args:
        store: where.
        files: content by path, exactly those of :data:`py_rt.bundle.manifest.LAYOUT`.
        name: of the bundle; the model's metadata bears the same.
        version: the strategy's.
        instrument: the venue's symbol.

    Raises:
        BundleError: files are missing or foreign, or what lies there under this digest was changed.
    """
    manifest = Manifest.of(files, name=name, version=version, instrument=instrument)
    created = store.place(manifest, files)
    return BuiltBundle(manifest.digest, store.folder(manifest.digest), created)


def sign_as_builder(store: BundleStore, digest: str, key: SigningKey, *, risk_policy: str) -> Path:
    """Vouch for a bundle that the reader accepts.

    Args:
        store: where it lies.
        digest: of the bundle.
        key: the builder's.
        risk_policy: text of the `risk_limits.toml` that no limit may be looser than.

    Raises:
        RefusedBundleError: it does not; nothing is signed.
        BundleError: the policy cannot be read.
    """
    verdict.inspect(store.root, digest, risk_policy=risk_policy).required()
    return store.put_signature(digest, "builder", builder_envelope(digest, key))

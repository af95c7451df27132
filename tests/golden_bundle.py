"""The golden bundle in a home of its own: built anew, signed by its builder and approved, as a person would."""

from __future__ import annotations

import time
from hashlib import sha256
from pathlib import Path
from typing import TYPE_CHECKING, Any

from py_rt.bundle.approve import Request, approve
from py_rt.bundle.build import build_bundle, sign_as_builder, strategy_version
from py_rt.bundle.keys import TRUSTED_KEYS, SigningKey, key_path, read_trusted_keys
from py_rt.bundle.manifest import LAYOUT
from py_rt.bundle.statement import PAPER
from py_rt.bundle.store import BundleStore
from py_rt.defaults import default_root

if TYPE_CHECKING:
    from collections.abc import Callable

    from py_rt.bundle.statement import Approval

GOLDEN = Path(__file__).parent / "contract" / "bundle"
DAY_NS = 86_400 * 10**9
SLOT = 1


def golden_files() -> dict[str, bytes]:
    """Its files by path, without the manifest."""
    folder = next((GOLDEN / "store").glob("sha256-*"))
    return {path: (folder / path).read_bytes() for path in LAYOUT}


def shipped_policy() -> str:
    """The limits that ship with the project."""
    return (default_root() / "config" / "risk_limits.toml").read_text(encoding="utf-8")


def built(
    home: Path,
    strategy: Callable[[str], str] = str,
    *,
    features: Callable[[str], str] = str,
    signed: bool = True,
    instrument: str = "BTCUSDT",
    currency: str = "USDT",
) -> str:
    """Build it with another text of the strategy and features, and sign it by the home's builder; its digest."""
    files = golden_files()
    old = sha256(files["features.json"]).hexdigest()
    files["features.json"] = features(files["features.json"].decode()).encode()
    new = sha256(files["features.json"]).hexdigest()
    # The model and what it came from name the features that they were made for.
    files |= {path: files[path].replace(old.encode(), new.encode()) for path in ("model.onnx", "provenance.json")}
    text = strategy(files["strategy.toml"].decode())
    files["strategy.toml"] = text.encode()
    files["risk_limits.toml"] = in_currency(files["risk_limits.toml"].decode(), currency).encode()
    store = BundleStore(home / "bundles")
    found = build_bundle(store, files, name="golden", version=strategy_version(text), instrument=instrument)
    if signed:
        key = SigningKey.load(key_path(home / "keys", "builder"))
        sign_as_builder(store, found.digest, key, risk_policy=in_currency(shipped_policy(), currency))
    return found.digest


def in_currency(limits: str, currency: str) -> str:
    """Limits of another portfolio currency."""
    return limits.replace('currency = "USDT"', f'currency = "{currency}"')


def of_version(version: str) -> Callable[[str], str]:
    """The strategy under another version, which makes it another bundle."""
    return lambda text: text.replace('"1.0.0"', f'"{version}"')


def approved(
    home: Path,
    digest: str,
    *,
    slot: int = SLOT,
    begins_ns: int | None = None,
    ends_ns: int | None = None,
    currency: str = "USDT",
    **asked: Any,  # noqa: ANN401  # a value of the request
) -> Approval:
    """Approve it for paper by the home's approver, by default from yesterday to tomorrow."""
    now = time.time_ns()
    begins_ns = now - DAY_NS if begins_ns is None else begins_ns
    ends_ns = now + DAY_NS if ends_ns is None else ends_ns
    approval, _ = approve(
        BundleStore(home / "bundles"),
        Request(digest, slot, PAPER, not_before_ns=begins_ns, expires_ns=ends_ns, **asked),
        key=SigningKey.load(key_path(home / "keys", "approver")),
        trusted_keys=read_trusted_keys(home / "keys" / TRUSTED_KEYS)[0],
        risk_policy=in_currency(shipped_policy(), currency),
    )
    return approval

"""Certificates of venues: what `py_rt venue certify` saw of the wire, kept in the home, and their gate."""

from __future__ import annotations

import json
import os
import tempfile
from dataclasses import dataclass
from datetime import UTC, datetime
from pathlib import Path
from typing import TYPE_CHECKING, Any

from py_rt.bundle.gates import Gate, venue_gate
from py_rt.errors import BundleError

if TYPE_CHECKING:
    from collections.abc import Mapping

SCHEMA_VERSION = 1
NS_PER_SECOND = 10**9
NS_PER_DAY = 86_400 * NS_PER_SECOND
VALID_DAYS = 30
"""Age in days above which a venue may have changed too much."""

PRODUCTION = "production"
OF_THE_VENUE = ("testnet", PRODUCTION)
"""Networks that are the venue's own; a server on this machine or elsewhere says nothing of the venue."""

AS_EXPECTED, DIFFERS = "as_expected", "differs"
WANTED = ("schema_version", "venue", "symbol", "network", "verdict", "ended_at_ns", "traded", "steps", "differences")


@dataclass(frozen=True)
class Certificates:
    """Those of a home, and when they are judged.

    Attributes:
        folder: where they lie.
        now_ns: now, ns UTC.
    """

    folder: Path
    now_ns: int

    def gate(self, instrument: str) -> Gate:
        """Whether the instrument's venue was toured lately, at an address of its own, without a difference.

        The newest tour counts, whatever it found: one that differed is not covered by an older one that did not, and
        one of production by none of the testnet.

        Raises:
            BundleError: a file there is no certificate.
        """
        venue = venue_of(instrument)
        if (newest := self._newest(venue)) is None:
            return venue_gate(venue, None, passed=None)
        path, certificate = newest
        age = (self.now_ns - certificate["ended_at_ns"]) / NS_PER_DAY
        if age < 0:
            return venue_gate(venue, f"{path} ends {-age:.1f} days from now: no tour does", passed=False)
        if age > VALID_DAYS:
            return venue_gate(venue, f"{age:.1f} days old", passed=False)
        return venue_gate(venue, f"{certificate['network']}, {summary(certificate)}", passed=is_good(certificate))

    def valid_until_ns(self, instrument: str) -> int | None:
        """Until when the instrument's venue counts as toured, ns UTC; `None`: it never was.

        Raises:
            BundleError: a file there is no certificate.
        """
        newest = self._newest(venue_of(instrument))
        return None if newest is None else int(newest[1]["ended_at_ns"]) + VALID_DAYS * NS_PER_DAY

    def _newest(self, venue: str) -> tuple[Path, dict[str, Any]] | None:
        found = [(path, read(path)) for path in sorted(self.folder.glob("*.json"))]
        real = [each for each in found if each[1]["venue"] == venue and each[1]["network"] in OF_THE_VENUE]
        counting = [each for each in real if each[1]["network"] == PRODUCTION] or real
        return max(counting, key=lambda each: int(each[1]["ended_at_ns"]), default=None)


def venue_of(instrument: str) -> str:
    """Whose symbol it is: each venue has a spelling of its own.

    >>> [venue_of(symbol) for symbol in ("BTCUSDT", "BTC/USD", "BTC-USD")]
    ['binance', 'kraken', 'coinbase']
    """
    return "kraken" if "/" in instrument else "coinbase" if "-" in instrument else "binance"


def is_good(certificate: Mapping[str, Any]) -> bool:
    """Whether a tour of the venue shows that its wire is the one that is expected.

    Every step was tried, an order traded, and what differs is at most a field more than this build knows: venues add
    those without notice, and readers pass over them.

    >>> steps = [{"outcome": "as_expected"}, {"outcome": "not_offered"}]
    >>> good = {"verdict": "as_expected", "steps": steps, "differences": [], "traded": True}
    >>> is_good(good), is_good({**good, "traded": False}), is_good({**good, "steps": []})
    (True, False, False)
    >>> [is_good({**good, "verdict": "differs", "differences": [{"is_addition": more}]}) for more in (True, False)]
    [True, False]
    """
    outcomes = {step["outcome"] for step in certificate["steps"]}
    is_expected = bool(outcomes) and outcomes <= {AS_EXPECTED, "not_offered"}
    differences = certificate["differences"]
    is_told = certificate["verdict"] == (DIFFERS if differences else AS_EXPECTED)
    return is_expected and is_told and certificate["traded"] is True and all(map(_is_more, differences))


def _is_more(difference: Mapping[str, Any]) -> bool:
    return difference.get("is_addition") is True


def summary(certificate: Mapping[str, Any]) -> str:
    """What a certificate says, in a line.

    >>> steps = [{"outcome": "as_expected"}, {"outcome": "differs"}, {"outcome": "not_offered"}]
    >>> summary({"steps": steps, "differences": [{}, {"is_addition": True}], "traded": False})
    '1 steps as expected, 1 differ, 0 not tried, 1 messages or words differ, 1 fields more, no order traded (--trade)'
    """
    outcomes = [step["outcome"] for step in certificate["steps"]]
    count = outcomes.count
    more = sum(_is_more(one) for one in certificate["differences"])
    told = [
        f"{count(AS_EXPECTED)} steps as expected",
        f"{count(DIFFERS)} differ",
        f"{count('not_tried')} not tried",
        f"{len(certificate['differences']) - more} messages or words differ",
        f"{more} fields more",
        "an order traded" if certificate["traded"] else "no order traded (--trade)",
    ]
    return ", ".join(told)


def read(path: Path) -> dict[str, Any]:
    """Read a certificate.

    Raises:
        BundleError: it is none.
    """
    try:
        certificate = parse(path.read_text(encoding="utf-8"))
    except (OSError, UnicodeDecodeError, BundleError) as error:
        raise BundleError(f"{path}: {error}: take it away, or certify the venue again") from error
    return certificate


def parse(text: str) -> dict[str, Any]:
    """The certificate of a text.

    Raises:
        BundleError: it is none.
    """
    try:
        certificate: dict[str, Any] = json.loads(text)
        missing = [key for key in WANTED if key not in certificate]
    except (ValueError, TypeError) as error:
        raise BundleError(f"no certificate: {error}") from error
    if missing or not isinstance(certificate, dict):
        raise BundleError(f"no certificate: {', '.join(missing)} missing")
    if certificate["schema_version"] != SCHEMA_VERSION:
        raise BundleError(f"a certificate of version {certificate['schema_version']}, not {SCHEMA_VERSION}")
    if not _is_whole(certificate):
        raise BundleError("no certificate: steps, differences or ended_at_ns are not what a tour writes")
    return certificate


def _is_whole(certificate: Mapping[str, Any]) -> bool:
    steps, differences = certificate["steps"], certificate["differences"]
    lists = isinstance(steps, list) and isinstance(differences, list)
    return (
        lists
        and all(isinstance(step, dict) and isinstance(step.get("outcome"), str) for step in steps)
        and all(isinstance(one, dict) for one in differences)
        and isinstance(certificate["ended_at_ns"], int)
    )


def keep(folder: Path, certificate: Mapping[str, Any]) -> Path:
    """Write a certificate, whole or not at all, under a name of its venue and time.

    Raises:
        OSError: it cannot be written.
    """
    folder.mkdir(parents=True, exist_ok=True)
    ended = datetime.fromtimestamp(certificate["ended_at_ns"] // NS_PER_SECOND, UTC)
    path = folder / f"{certificate['venue']}-{ended:%Y%m%dT%H%M%SZ}.json"
    handle, name = tempfile.mkstemp(dir=folder, prefix=".", suffix=".part")
    try:
        with os.fdopen(handle, "w", encoding="utf-8") as file:
            json.dump(certificate, file, indent=1)
            file.write("\n")
            file.flush()
            os.fsync(file.fileno())
        Path(name).replace(path)
    except BaseException:
        Path(name).unlink(missing_ok=True)
        raise
    return path

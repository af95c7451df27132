"""The conformance table of the venues: what is proven, by what, and what was never seen live.

python tests/conformance/table.py              prints the page
python tests/conformance/table.py --write      writes docs/reference/venues.md
"""

from __future__ import annotations

import argparse
import re
import sys
import tomllib
from dataclasses import dataclass
from datetime import UTC, datetime
from pathlib import Path

from py_rt.bundle.certificate import NS_PER_SECOND, OF_THE_VENUE, is_good
from py_rt.bundle.certificate import read as read_certificate

ROOT = Path(__file__).resolve().parents[2]
SOURCE = Path(__file__).with_name("venues.toml")
PAGE = ROOT / "docs" / "reference" / "venues.md"
CERTIFICATES = Path(__file__).with_name("certificates")
"""Those of tours at the venues themselves that are kept with the repository; there may be none."""
TOURED = {"binance": "binance_spot", "kraken": "kraken_v2", "coinbase": "coinbase_advanced"}
"""The wire that a tour of a venue goes over."""
KINDS = {"recording": "recording", "client": "foreign client", "documentation": "documentation"}
"""Words of an evidence, strongest first, and what the page calls them."""

HEAD = """# Venues: what is proven, and by what

Made from `tests/conformance/venues.toml` by `python tests/conformance/table.py --write`; a test holds both together and
looks up every test that is named. What a cell says is the strongest evidence there is:

- **recording**: recorded sessions or answers of the real venue are read in place, and hold;
- **foreign client**: a client that we did not write does it against our server of the wire;
- **documentation**: written from the venue's published documentation, and tested against our server or its examples:
  *unproven*;
- `-`: the wire has it not, or it is not written.

What needs an account says beside it when `py_rt venue certify` last toured the venue itself without a difference,
by the certificates in `tests/conformance/certificates/`; **never live** where it did not.
"""
NEVER = """
Whatever needs an account was **never seen live**: no order of this project has reached a real venue.
"""


@dataclass(frozen=True)
class Evidence:
    """One test that shows something."""

    kind: str
    file: str
    test: str


@dataclass(frozen=True)
class Feature:
    """What a wire must keep, and what shows it, by wire."""

    name: str
    is_private: bool
    evidence: dict[str, list[Evidence]]


def read() -> tuple[dict[str, str], list[Feature]]:
    """The wires by their keys, and the features in order.

    Raises:
        ValueError: an evidence of another form, or of a wire that is not listed.
    """
    document = tomllib.loads(SOURCE.read_text(encoding="utf-8"))
    wires: dict[str, str] = document["wires"]
    return wires, [_feature(raw, wires) for raw in document["feature"]]


def _feature(raw: dict[str, object], wires: dict[str, str]) -> Feature:
    evidence: dict[str, list[Evidence]] = {}
    for key, told in raw.items():
        if key in {"name", "private"}:
            continue
        if key not in wires or not isinstance(told, list):
            raise ValueError(f"{SOURCE}: {raw['name']}: {key} is no wire of {', '.join(wires)}")
        evidence[key] = [_evidence(str(one)) for one in told]
    return Feature(str(raw["name"]), bool(raw.get("private", False)), evidence)


def _evidence(text: str) -> Evidence:
    match = re.fullmatch(rf"({'|'.join(KINDS)}) (\S+)::(\w+)", text)
    if match is None:
        raise ValueError(f"{SOURCE}: {text!r} is not '<{'|'.join(KINDS)}> <file>::<test>'")
    return Evidence(*match.groups())


def certified(folder: Path = CERTIFICATES) -> dict[str, str]:
    """The wires whose newest tour, at an address of the venue's own, found no difference; and its day.

    Raises:
        BundleError: a file there is no certificate.
    """
    found = [read_certificate(path) for path in sorted(folder.glob("*.json"))]
    real = [one for one in found if one["network"] in OF_THE_VENUE]
    newest = {one["venue"]: one for one in sorted(real, key=lambda one: int(one["ended_at_ns"]))}
    days: dict[str, str] = {}
    for venue, one in newest.items():
        if is_good(one):
            ended = datetime.fromtimestamp(one["ended_at_ns"] // NS_PER_SECOND, UTC)
            days[TOURED[venue]] = f"{one['network']} {ended:%Y-%m-%d}"
    return days


def page(folder: Path = CERTIFICATES) -> str:
    """The whole page."""
    wires, features = read()
    seen = certified(folder)
    head = HEAD if seen else HEAD + NEVER
    lines = [head, "| | " + " | ".join(wires.values()) + " |", "|---|" + "---|" * len(wires)]
    lines += [f"| {one.name} | " + " | ".join(_cell(one, wire, seen) for wire in wires) + " |" for one in features]
    lines += ["", "## The tests behind it", ""]
    for feature in features:
        lines.append(f"**{feature.name}**")
        for wire, evidence in feature.evidence.items():
            lines += [f"- {wires[wire]}, {KINDS[one.kind]}: `{one.file}`, `{one.test}`" for one in evidence]
        lines.append("")
    return "\n".join(lines)


def _cell(feature: Feature, wire: str, seen: dict[str, str]) -> str:
    kinds = [one.kind for one in feature.evidence.get(wire, [])]
    best = next((KINDS[kind] for kind in KINDS if kind in kinds), "-")
    if not (feature.is_private and kinds):
        return best
    return f"{best}, live: {seen[wire]}" if wire in seen else f"{best}, never live"


def main() -> int:
    """Print the page, or write it."""
    parser = argparse.ArgumentParser(description=(__doc__ or "").splitlines()[0])
    parser.add_argument("--write", action="store_true", help="write docs/reference/venues.md")
    if parser.parse_args().write:
        PAGE.write_text(page(), encoding="utf-8")
    else:
        sys.stdout.write(page())
    return 0


if __name__ == "__main__":
    sys.exit(main())

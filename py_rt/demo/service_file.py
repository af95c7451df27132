"""The service's file for one run, written beside its record."""

from __future__ import annotations

import json
from typing import TYPE_CHECKING

from py_rt.defaults import default_root

if TYPE_CHECKING:
    from collections.abc import Mapping
    from pathlib import Path

MS_PER_BAR = 900_000
CAPITAL = 50_000
"""Of the slot, in the quote currency: the sample strategy takes a tenth of it, half of the largest order."""

TEXT = """# Written by `py_rt demo`: paper trading against the venue server of this run.
extends = {base}

[service]
name = "{name}"
stage = "paper"
run_folder = {run}
bundle_store = {bundles}
trusted_keys_file = {keys}
risk_limits_file = {limits}

[venue]
rest_url = "{rest}"
ws_url = "{ws}"
ws_api_url = "{ws_api}"

[[slot]]
id = {slot}
symbol = "{symbol}"
capital = {capital}.0

[clock]
compression = {compression}

[telemetry]
metrics_port = 0
"""


def write_service_file(
    path: Path, *, home: Path, name: str, slot: int, symbol: str, bar_ms: int, venue: Mapping[str, str]
) -> None:
    """Write it.

    Args:
        path: of the file; the service records beside it.
        home: with bundles and keys.
        name: of the instance.
        slot: that trades.
        symbol: the venue's.
        bar_ms: wall milliseconds of a bar: how fast the venue's time runs follows from it.
        venue: its addresses `rest`, `ws`, `ws_api`.
    """
    config = default_root() / "config"
    quoted = json.dumps  # TOML's basic strings are JSON's
    text = TEXT.format(
        base=quoted(str(config / "base.toml")),
        name=name,
        run=quoted(str(path.parent)),
        bundles=quoted(str(home / "bundles")),
        keys=quoted(str(home / "keys" / "trusted_keys.toml")),
        limits=quoted(str(config / "risk_limits.toml")),
        rest=venue["rest"],
        ws=venue["ws"],
        ws_api=venue["ws_api"],
        slot=slot,
        symbol=symbol,
        capital=CAPITAL,
        compression=MS_PER_BAR / bar_ms,
    )
    path.write_text(text, encoding="utf-8")

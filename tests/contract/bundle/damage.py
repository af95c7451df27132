"""What `cases.json` does to a store. `native/bundle/tests/contract.rs` does the same."""

from __future__ import annotations

import base64
import os
import shutil
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from collections.abc import Iterable
    from pathlib import Path


def apply(store: Path, damage: Iterable[dict[str, Any]]) -> None:
    """Do every damage, in order.

    Args:
        store: a copy that may be damaged.
        damage: `do` is `write`, `flip`, `remove`, `copy`, `symlink` or `hardlink`; paths are relative to the store.
    """
    for step in damage:
        _apply(store, step)


def _apply(store: Path, step: dict[str, Any]) -> None:
    path = store / step["path"]
    path.parent.mkdir(parents=True, exist_ok=True)
    match step["do"]:
        case "write":
            path.unlink(missing_ok=True)
            path.write_bytes(base64.b64decode(step["base64"]))
        case "flip":
            content = bytearray(path.read_bytes())
            content[step["at"]] ^= 1
            path.unlink()
            path.write_bytes(content)
        case "remove":
            if path.is_dir():
                shutil.rmtree(path)
            else:
                path.unlink()
        case "copy":
            source = store / step["from"]
            if source.is_dir():
                shutil.copytree(source, path)
            else:
                shutil.copyfile(source, path)
        case "symlink":
            path.symlink_to(step["to"])
        case "hardlink":
            os.link(store / step["to"], path)
        case other:
            raise ValueError(f"no damage is called {other!r}")

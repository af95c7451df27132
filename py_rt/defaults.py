"""Where the files that ship with the package are: `config/` and `workspace.yaml`."""

from __future__ import annotations

from importlib.metadata import PackageNotFoundError, files
from pathlib import Path

_MARKER = "workspace.yaml"


def default_root() -> Path:
    """Return the folder that holds the shipped `config/` and `workspace.yaml`.

    In a checkout (editable install) that is the checkout itself; in an installed wheel it is the environment's
    `share/py_rt`, found through the installer's own record so that any install scheme works.

    Raises:
        FileNotFoundError: neither place exists, which means a damaged install.

    >>> (default_root() / "workspace.yaml").is_file()
    True
    """
    checkout = Path(__file__).resolve().parent.parent
    if (checkout / _MARKER).is_file():
        return checkout
    try:
        recorded = files("py_rt") or []
    except PackageNotFoundError:
        recorded = []
    for entry in recorded:
        if entry.name == _MARKER and entry.parent.name == "py_rt":
            return Path(str(entry.locate())).resolve().parent
    message = (
        f"the shipped files (config/, {_MARKER}) are neither in {checkout} nor in the installed package's record: "
        "install py_rt again, or run it from a checkout"
    )
    raise FileNotFoundError(message)

"""Where files are: those that ship with the package (`config/`, `workspace.yaml`) and those that a user makes."""

from __future__ import annotations

import os
import shutil
import sys
from importlib.metadata import PackageNotFoundError, files
from pathlib import Path
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from collections.abc import Mapping

_MARKER = "workspace.yaml"

HOME_VARIABLE = "PY_RT_HOME"
HOME_FOLDER = ".py_rt"
CERTIFICATES = "certificates"
"""Folder below the home: what `py_rt venue certify` wrote of venues."""


def home_folder(environ: Mapping[str, str] | None = None) -> Path:
    """Return the folder of everything that is made: `PY_RT_HOME`, or `.py_rt` in the working folder.

    Below it lie `lake`, `bundles`, `certificates`, `keys`, `runs`, `dagster`, `ledger` and `reports`.

    >>> home_folder({"PY_RT_HOME": "/srv/py_rt"}).as_posix()
    '/srv/py_rt'
    >>> home_folder({}).name
    '.py_rt'
    """
    given = (os.environ if environ is None else environ).get(HOME_VARIABLE, "")
    return Path(given).expanduser().absolute() if given else Path.cwd() / HOME_FOLDER


def lake_root(environ: Mapping[str, str] | None = None) -> str:
    """Return the root of the tables: `PY_RT_LAKE`, a folder or an `s3://` URL, or `<home>/lake`.

    >>> lake_root({"PY_RT_HOME": "/srv/py_rt"})
    '/srv/py_rt/lake'
    >>> lake_root({"PY_RT_LAKE": "s3://bucket/lake"})
    's3://bucket/lake'
    """
    return (os.environ if environ is None else environ).get("PY_RT_LAKE") or str(home_folder(environ) / "lake")


def reference_folder(environ: Mapping[str, str] | None = None) -> Path:
    """Return the folder of reference data: `PY_RT_REFERENCE`, or `<home>/reference`.

    >>> reference_folder({"PY_RT_HOME": "/srv/py_rt"}).as_posix()
    '/srv/py_rt/reference'
    """
    given = (os.environ if environ is None else environ).get("PY_RT_REFERENCE", "")
    return Path(given).expanduser().absolute() if given else home_folder(environ) / "reference"


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


def config_file(name: str) -> Path:
    """Return a file of `config/`: the user's own in the working folder, or else the one that ships with the package.

    >>> config_file("imputation.toml").name
    'imputation.toml'
    """
    own = Path.cwd() / "config" / name
    return own if own.is_file() else default_root() / "config" / name


def installed_command(name: str) -> str | None:
    """Where an installed command is: beside the interpreter, or on the path; `None` where it is not installed."""
    return shutil.which(name, path=str(Path(sys.executable).parent)) or shutil.which(name)

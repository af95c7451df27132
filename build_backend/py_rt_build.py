"""The build backend: one wheel holds the Python packages, the compiled module and the commands that are binaries.

maturin builds `py_rt_core` and writes the wheel; what it cannot do is put executables of *other* crates of the
workspace into the same wheel. So before each build this backend lays them into maturin's data folder
(`wheel.data/scripts`), whose content an installer copies to the environment's `bin`.

- Editable installs use the fast `dev` profile, wheels use `release` (thin LTO).
- A wheel also carries the default `config/` and `workspace.yaml` (installed under `share/py_rt`), so that `py_rt`
  runs from any folder. An editable install reads them from the checkout.
- The module's type stub stands beside its crate; maturin looks for it beside `pyproject.toml`, so it is there while
  maturin runs.
"""

from __future__ import annotations

import contextlib
import json
import shutil
import subprocess
import sys
from pathlib import Path
from typing import TYPE_CHECKING, Any

import maturin

if TYPE_CHECKING:
    from collections.abc import Iterator, Mapping

ROOT = Path(__file__).resolve().parent.parent
DATA = ROOT / "wheel.data"
CRATES = ("certify", "feed", "live", "venue_server")
COMMANDS = ("py_rt_certify", "py_rt_feed", "py_rt_live", "py_rt_venue_server")
DEFAULTS = ("config", "workspace.yaml")
SHARE = DATA / "data" / "share" / "py_rt"
STUB = ROOT / "native" / "py_rt_core" / "py_rt_core.pyi"

# maturin reads `[tool.maturin] data` while it writes the metadata, before any build hook runs.
DATA.mkdir(exist_ok=True)

build_sdist = maturin.build_sdist
get_requires_for_build_editable = maturin.get_requires_for_build_editable
get_requires_for_build_sdist = maturin.get_requires_for_build_sdist
get_requires_for_build_wheel = maturin.get_requires_for_build_wheel
prepare_metadata_for_build_editable = maturin.prepare_metadata_for_build_editable
prepare_metadata_for_build_wheel = maturin.prepare_metadata_for_build_wheel


def build_wheel(
    wheel_directory: str,
    config_settings: Mapping[str, Any] | None = None,
    metadata_directory: str | None = None,
) -> str:
    """Build the wheel with the `release` profile; return its file name."""
    _fill_data(profile="release", editable=False)
    with _stub_beside_pyproject():
        return str(maturin.build_wheel(wheel_directory, config_settings, metadata_directory))


def build_editable(
    wheel_directory: str,
    config_settings: Mapping[str, Any] | None = None,
    metadata_directory: str | None = None,
) -> str:
    """Build the editable wheel with the `dev` profile; return its file name."""
    _fill_data(profile="dev", editable=True)
    with _stub_beside_pyproject():
        return str(maturin.build_editable(wheel_directory, config_settings, metadata_directory))


@contextlib.contextmanager
def _stub_beside_pyproject() -> Iterator[None]:
    staged = ROOT / STUB.name
    if STUB.is_file():
        shutil.copy2(STUB, staged)
    try:
        yield
    finally:
        staged.unlink(missing_ok=True)


def _fill_data(*, profile: str, editable: bool) -> None:
    """Replace the data folder's content by freshly built commands and, for a wheel, the default files."""
    for stale in ("data", "scripts"):
        shutil.rmtree(DATA / stale, ignore_errors=True)
    scripts = DATA / "scripts"
    scripts.mkdir(parents=True)
    for name, executable in _build_commands(profile).items():
        shutil.copy2(executable, scripts / name)
    if not editable:
        _copy_defaults()


def _copy_defaults() -> None:
    SHARE.mkdir(parents=True)
    for name in DEFAULTS:
        source = ROOT / name
        if source.is_dir():
            shutil.copytree(source, SHARE / name)
        else:
            shutil.copy2(source, SHARE / name)


def _build_commands(profile: str) -> dict[str, Path]:
    """Build the executables; return the path of each by name.

    Raises:
        SystemExit: cargo failed (its own messages are already on stderr) or left an executable out.
    """
    command = ["cargo", "build", "--locked", "--profile", profile, "--message-format=json-render-diagnostics"]
    for crate in CRATES:
        command += ["-p", crate]
    done = subprocess.run(command, cwd=ROOT, stdout=subprocess.PIPE, text=True, check=False)
    if done.returncode != 0:
        sys.exit(f"py_rt build: `{' '.join(command)}` failed with status {done.returncode}; see the messages above")
    messages = (json.loads(line) for line in done.stdout.splitlines() if line.startswith("{"))
    built = {
        message["target"]["name"]: Path(message["executable"])
        for message in messages
        if message.get("executable") and message["target"]["name"] in COMMANDS
    }
    missing = sorted(set(COMMANDS) - set(built))
    if missing:
        sys.exit(f"py_rt build: cargo reported success but built no {', '.join(missing)}")
    return built

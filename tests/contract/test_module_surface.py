"""The stub of the compiled module says what is in it: names, members, arguments; both ways."""

from __future__ import annotations

import subprocess
import sys
from pathlib import Path

import py_rt_core
import pytest

ROOT = Path(__file__).resolve().parents[2]
STUB = ROOT / "native" / "py_rt_core" / "py_rt_core.pyi"

# What maturin's package puts around the module.
ALLOWED = ("py_rt_core.__all__", "py_rt_core.py_rt_core")


def compare(folder: Path, stub_path: Path | None = None) -> subprocess.CompletedProcess[str]:
    """Compares stub and module; `stub_path` is a folder with a stub to take instead of the installed one."""
    allowed = folder / "allowed.txt"
    allowed.write_text("\n".join(name.replace(".", r"\.") for name in ALLOWED))
    settings = folder / "mypy.ini"
    settings.write_text(f"[mypy]\nmypy_path = {stub_path}\n" if stub_path else "[mypy]\n")
    # PEP 800's base classes: typing's own marker for them is younger than the Python we start at.
    flags = ["--concise", "--ignore-disjoint-bases", "--allowlist", str(allowed), "--mypy-config-file", str(settings)]
    command = [sys.executable, "-m", "mypy.stubtest", "py_rt_core", *flags]
    return subprocess.run(command, cwd=folder, capture_output=True, text=True, check=False)


def test_the_stub_and_the_module_agree(tmp_path: Path) -> None:
    done = compare(tmp_path)
    assert done.returncode == 0, f"{STUB.relative_to(ROOT)} and the compiled module differ:\n{done.stdout}{done.stderr}"


def test_a_name_that_the_stub_leaves_out_is_found(tmp_path: Path) -> None:
    planted = tmp_path / "stubs" / "py_rt_core"
    planted.mkdir(parents=True)
    text = STUB.read_text(encoding="utf-8").replace("def record_dtype(", "def record_type(")
    (planted / "__init__.pyi").write_text(text, encoding="utf-8")
    done = compare(tmp_path, planted.parent)
    found = done.stdout.splitlines()
    assert any("py_rt_core.record_dtype is not present in stub" in line for line in found), done.stdout + done.stderr
    assert any("py_rt_core.record_type is not present at runtime" in line for line in found)


def test_the_installed_stub_is_this_one() -> None:
    origin = py_rt_core.__file__
    assert origin is not None
    installed = Path(origin).with_name("__init__.pyi")
    if not installed.is_file():
        pytest.fail(f"{installed} is missing: the wheel was built without its stub")
    assert installed.read_text(encoding="utf-8") == STUB.read_text(encoding="utf-8"), "install the module again"

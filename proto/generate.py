"""Write both languages' messages from the schema in this folder.

`python proto/generate.py` writes; with `--check` nothing is left changed and the exit status is 1 if what is committed
differs from what the schema gives. Rust is written by an example of `native/messaging`, Python by grpcio-tools; neither
needs a `protoc` on the machine.
"""

from __future__ import annotations

import argparse
import re
import subprocess
import sys
import tempfile
from pathlib import Path

ROOT = Path(__file__).resolve().parent.parent
SCHEMA = Path("py_rt/wire/v1")
RUST_OUT = ROOT / "native/messaging/src/wire"
RUST_GENERATED = ("py_rt.wire.v1.rs",)
PYTHON_OUT = ROOT / "py_rt/bridge/wire/v1"
BANNER = "# Generated from proto/py_rt/wire/v1 by `make proto`. Do not edit.\n"
INITS = {
    PYTHON_OUT / "__init__.py": '"""Messages of the wire, version 1."""\n',
    PYTHON_OUT.parent
    / "__init__.py": '"""Generated messages; everything else speaks in `py_rt.bridge`\'s own types."""\n',
}


def main() -> int:
    """Generate, or with `--check` compare; return the exit status."""
    parser = argparse.ArgumentParser(description="Write both languages' messages from proto/.")
    parser.add_argument("--check", action="store_true", help="change nothing; fail if the committed code differs")
    check = parser.parse_args().check
    before = _snapshot()
    _write_rust()
    _write_python()
    after = _snapshot()
    changed = sorted(path for path in before.keys() | after.keys() if before.get(path) != after.get(path))
    for path in changed:
        sys.stdout.write(f"{'differs' if check else 'wrote'}: {path.relative_to(ROOT)}\n")
    if check and changed:
        _restore(before, changed)
        sys.stderr.write("the committed messages are not what proto/ gives: run `make proto` and commit the result\n")
        return 1
    return 0


def _snapshot() -> dict[Path, bytes]:
    paths = [RUST_OUT / name for name in RUST_GENERATED]
    paths += [path for path in PYTHON_OUT.parent.rglob("*") if path.suffix in {".py", ".pyi"}]
    return {path: path.read_bytes() for path in paths if path.is_file()}


def _restore(before: dict[Path, bytes], changed: list[Path]) -> None:
    for path in changed:
        if path in before:
            path.write_bytes(before[path])
        else:
            path.unlink()


def _write_rust() -> None:
    command = ["cargo", "run", "--quiet", "--locked", "-p", "messaging", "--example", "generate"]
    subprocess.run(command, cwd=ROOT, check=True)


def _write_python() -> None:
    """Replace the Python messages; their imports move from the schema's package to `py_rt.bridge.wire.v1`."""
    sources = sorted(str(path.relative_to(ROOT / "proto")) for path in (ROOT / "proto" / SCHEMA).glob("*.proto"))
    with tempfile.TemporaryDirectory() as folder:
        command = [sys.executable, "-m", "grpc_tools.protoc", "-I.", f"--python_out={folder}", f"--pyi_out={folder}"]
        subprocess.run([*command, *sources], cwd=ROOT / "proto", check=True)
        PYTHON_OUT.mkdir(parents=True, exist_ok=True)
        for stale in PYTHON_OUT.glob("*_pb2.py*"):
            stale.unlink()
        for generated in sorted((Path(folder) / SCHEMA).iterdir()):
            text = re.sub(
                r"^from py_rt\.wire\.v1 import",
                "from py_rt.bridge.wire.v1 import",
                generated.read_text(),
                flags=re.MULTILINE,
            )
            (PYTHON_OUT / generated.name).write_text(BANNER + text)
    for path, text in INITS.items():
        path.write_text(text)


if __name__ == "__main__":
    sys.exit(main())

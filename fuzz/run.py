"""Build the fuzz targets with coverage and run each for some seconds.

The corpus grows in `<target folder>/fuzz/corpus/<target>` and is kept between runs; it begins with the project's own
samples and, where they are at hand, with messages of the recorded sessions (read in place, never copied into the
project). An input that fails is written to `<target folder>/fuzz/failures`, and the command says how to run it again.

Example: `make fuzz SECONDS=60`, or `python fuzz/run.py --seconds 5 config_files commands`.
"""

from __future__ import annotations

import argparse
import gzip
import itertools
import json
import os
import re
import subprocess
import sys
import tomllib
from hashlib import sha256
from pathlib import Path
from typing import TYPE_CHECKING

import pyarrow as pa

if TYPE_CHECKING:
    from collections.abc import Iterator

ROOT = Path(__file__).resolve().parents[1]
HERE = ROOT / "fuzz"
RECORDINGS = ROOT.parent / "shared" / "data"
TRIPLE = "x86_64-unknown-linux-gnu"
COVERAGE = (
    "-Cpasses=sancov-module",
    "-Cllvm-args=-sanitizer-coverage-level=4",
    "-Cllvm-args=-sanitizer-coverage-inline-8bit-counters",
    "-Cllvm-args=-sanitizer-coverage-pc-table",
    "-Cllvm-args=-sanitizer-coverage-trace-compares",
    "-Ccodegen-units=1",
)
MEMORY_MB = 2_048
INPUT_BYTES_MAX = 65_536
SEEDS_MAX = 400
"""Of one recording: further lines are of shapes that were there before."""
ENTRIES = {
    "coinbase_stream": "ws_coinbase_advanced_20260809",
    "independent_reserve_stream": "ws_independent_reserve_l3_20220403",
}
"""Recordings of cryptofeed, by the target that reads their wire."""
SKIP_TO = 97
"""Every so many lines of a recording become a seed."""
BEGINNING_BYTES = 8_192
"""Of a recording that is a seed as a whole."""


def main() -> int:
    """Build, run, and say what became of each target; 1 when an input failed."""
    parser = argparse.ArgumentParser(description=(__doc__ or "").splitlines()[0])
    parser.add_argument("targets", nargs="*", help="default: all")
    parser.add_argument("--seconds", type=int, default=60, help="of each target (default 60)")
    options = parser.parse_args()
    known = _targets()
    wanted = options.targets or known
    if unknown := sorted(set(wanted) - set(known)):
        parser.error(f"no such target: {', '.join(unknown)}; there are {', '.join(known)}")
    folder = Path(os.environ.get("CARGO_TARGET_DIR", ROOT / "target")) / "fuzz"
    _build(folder)
    failed = [target for target in wanted if not _run(folder, target, options.seconds)]
    print(f"{len(wanted) - len(failed)} of {len(wanted)} targets held" + "".join(f"; {one} failed" for one in failed))
    return 1 if failed else 0


def _targets() -> list[str]:
    manifest = tomllib.loads((HERE / "Cargo.toml").read_text(encoding="utf-8"))
    return [target["name"] for target in manifest["bin"]]


def _build(folder: Path) -> None:
    environment = {**os.environ, "CARGO_TARGET_DIR": str(folder), "RUSTFLAGS": " ".join(COVERAGE)}
    # With a triple the flags reach the targets, not what runs while they are built.
    command = ["cargo", "build", "--release", "--locked", "--bins", "--target", TRIPLE]
    subprocess.run(command, cwd=HERE, env=environment, check=True)


def _run(folder: Path, target: str, seconds: int) -> bool:
    corpus, failures = folder / "corpus" / target, folder / "failures"
    for path in (corpus, failures):
        path.mkdir(parents=True, exist_ok=True)
    for seed in itertools.chain(_samples(target), _recorded(target)):
        (corpus / sha256(seed).hexdigest()[:16]).write_bytes(seed)
    binary = folder / TRIPLE / "release" / target
    command = [
        str(binary),
        f"-max_total_time={seconds}",
        f"-max_len={INPUT_BYTES_MAX}",
        f"-rss_limit_mb={MEMORY_MB}",
        f"-artifact_prefix={failures}/{target}-",
        "-timeout=10",
        "-print_final_stats=1",
        str(corpus),
    ]
    ran = subprocess.run(command, cwd=folder, capture_output=True, text=True, check=False)
    figures = dict(re.findall(r"^stat::(\w+):\s+(\d+)", ran.stderr, flags=re.MULTILINE))
    covered = re.findall(r" cov: (\d+)", ran.stderr)
    executed = int(figures.get("number_of_executed_units", 0))
    says = "held" if ran.returncode == 0 else "FAILED"
    print(f"{target:24} {says:6} {executed:>12,} inputs, {covered[-1] if covered else 0:>6} edges", flush=True)
    if ran.returncode != 0:
        print(ran.stderr[-4_000:])
        print(f"run it again: {binary} {failures}/{target}-*")
    return ran.returncode == 0


def _samples(target: str) -> Iterator[bytes]:
    """What the project itself has of this kind."""
    match target:
        case "journal_records":
            yield from _golden_records()
        case "kraken_account":
            yield from _texts("native/venues/src/kraken")
            words = (ROOT / "native/venues/src/kraken/account_tests.rs").read_text(encoding="utf-8")
            found = re.findall(r'= r#"(\{.*?\})"#;', words, flags=re.DOTALL)
            reports = [re.sub(r"\s*\n\s*", "", word) for word in found]
            for channel, kind in itertools.product(("executions", "balances"), ("snapshot", "update")):
                around = '{"channel":"%s","type":"%s","data":[%s],"sequence":1}'
                yield from ((around % (channel, kind, report)).encode() for report in reports)
                yield (around % (channel, kind, ",".join(reports))).encode()
        case "commands":
            golden = (ROOT / "tests/contract/commands/golden.txt").read_text(encoding="utf-8")
            yield from (bytes.fromhex(word) for word in re.findall(r"\b(?:[0-9a-f]{2}){4,}\b", golden))
        case "config_files" | "expressions":
            yield from _configured(target)
        case "bundle_files":
            paths = sorted(path for path in (ROOT / "tests/contract/bundle").rglob("*") if path.is_file())
            yield from (path.read_bytes() for path in paths if path.stat().st_size <= INPUT_BYTES_MAX)
        case "coinbase_account" | "coinbase_answers":
            yield from _texts("native/venues/src/coinbase")
        case "binance_account" | "binance_answers":
            yield from _texts("native/venues/src/binance", "native/venues/tests")
        case _:
            pass


def _configured(target: str) -> Iterator[bytes]:
    """The files of `config/`, or the expressions in them."""
    if target == "config_files":
        yield from (path.read_bytes() for path in sorted((ROOT / "config").rglob("*.toml")))
        return
    for path in sorted((ROOT / "config" / "features" / "catalogue").glob("*.toml")):
        tables = tomllib.loads(path.read_text(encoding="utf-8"))["feature"]
        yield from (table["expression"].replace("{n}", "20").encode() for table in tables)


def _texts(*folders: str) -> Iterator[bytes]:
    """What the tests of these folders give their readers: objects and lists."""
    for path in sorted(path for folder in folders for path in (ROOT / folder).rglob("*.rs")):
        for text in re.findall(r'r#"([\[{].*?)"#', path.read_text(encoding="utf-8"), flags=re.DOTALL):
            line = re.sub(r"\s*\n\s*", "", text)
            yield line.replace("{{", "{").replace("}}", "}").encode()


def _golden_records() -> Iterator[bytes]:
    kinds = ("event", "action", "header")
    golden = (ROOT / "native/journal/tests/format/golden_v1.txt").read_text(encoding="utf-8")
    for name, payload in re.findall(r"^(\w+)\S* ([0-9a-f]+)$", golden, flags=re.MULTILINE):
        yield bytes([kinds.index(name)]) + bytes.fromhex(payload)


def _recorded(target: str) -> Iterator[bytes]:
    """Messages of recorded sessions, the stamp of the recorder cut off; or the beginnings of whole recordings."""
    if target == "recordings":
        yield from _beginnings()
    if folder := ENTRIES.get(target):
        yield from _entries(folder)
    if target == "kraken_stream":
        yield from _kraken()
    if target != "binance_stream":
        return
    for path in sorted(RECORDINGS.glob("ws_binance_*/*.gz")):
        with gzip.open(path, "rb") as lines:
            for line in itertools.islice(lines, 0, SEEDS_MAX * SKIP_TO, SKIP_TO):
                yield line.split(b" ", 1)[1].rstrip(b"\n")


def _entries(folder: str) -> Iterator[bytes]:
    """Messages and answers of a recording of cryptofeed that are no longer than an input may be."""
    for path in sorted((RECORDINGS / folder).glob("*.zst")):
        with pa.input_stream(str(path), compression="zstd") as lines:
            entries = [json.loads(line) for line in lines.read().splitlines()]
        data = [entry["data"].encode() for entry in entries if entry["t"] in {"recv", "http"}]
        short = [message for message in data if len(message) <= INPUT_BYTES_MAX]
        yield from short[: 2 * SKIP_TO]
        yield from short[2 * SKIP_TO :: SKIP_TO]


def _kraken() -> Iterator[bytes]:
    """Messages of both versions of its wire, as they came."""
    for path in sorted((RECORDINGS / "ws_kraken_v1_20210405").glob("*.gz")):
        with gzip.open(path, "rb") as lines:
            received = (line.split(b": ", 1)[1].rstrip(b"\n") for line in lines if line[:1].isdigit())
            yield from itertools.islice(received, 0, SEEDS_MAX * SKIP_TO, SKIP_TO)
    for path in sorted((RECORDINGS / "ws_kraken_v2_btcusd_d10_20260816").glob("*.ndjson")):
        for line in path.read_bytes().splitlines():
            if b'"frame": ' in line:
                yield line.split(b'"frame": ', 1)[1].removesuffix(b"}")


def _beginnings() -> Iterator[bytes]:
    for path in sorted(RECORDINGS.glob("ws_*/*")):
        match path.suffix:
            case ".gz":
                with gzip.open(path, "rb") as packed:
                    yield packed.read(BEGINNING_BYTES)
            case ".ndjson":
                yield path.read_bytes()[:BEGINNING_BYTES]
            case _:
                pass


if __name__ == "__main__":
    sys.exit(main())

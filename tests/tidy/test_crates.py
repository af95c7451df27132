"""A crate boundary is a rule: who depends on whom, who knows which library, what each crate says it is."""

from __future__ import annotations

import json
import re
import subprocess
import tomllib
from functools import cache
from pathlib import Path
from typing import Any

import pytest

from tests.tidy import sources

# The table of ARCHITECTURE.md. A new edge is a decision: change both, in one commit, with the reason.
DEPENDENCIES = {
    "domain": set(),
    "engine": {"domain"},
    "config": {"domain", "engine"},
    "simulation": {"domain"},
    "journal": {"domain", "engine"},
    "bundle": {"domain", "engine", "config"},
    "inference": {"engine"},
    "backtest": {"domain", "engine", "simulation"},
    "venues": {"domain"},
    "venue_server": {"domain", "recording", "simulation"},
    "recording": {"domain"},
    "feed": {"domain", "recording", "venues"},
    "certify": {"config", "domain", "venues"},
    "ipc": {"domain"},
    "messaging": {"domain"},
    "live": {
        "domain", "engine", "config", "simulation", "journal", "bundle", "inference", "venues", "feed", "ipc",
        "messaging",
    },
    "py_rt_core": {
        "domain", "engine", "config", "simulation", "backtest", "bundle", "inference", "ipc", "journal",
    },
}  # fmt: skip

# Crates that a crate's tests may use beside those.
TEST_DEPENDENCIES: dict[str, set[str]] = {
    # The book's bench makes a stream where no recorded one is at hand.
    "engine": {"simulation"},
    "live": {"venue_server"},
    "venues": {"venue_server"},
}

# The only crates that may know a library (tests and benches may use any).
KNOWN_BY = {
    "anyhow": {"live"},
    "arrow-array": {"py_rt_core"},
    "arrow-schema": {"py_rt_core"},
    "axum": {"live", "venue_server"},
    "memmap2": {"ipc"},
    "numpy": {"py_rt_core"},
    "prost": {"messaging"},
    "pyo3": {"py_rt_core"},
    "reqwest": {"venues"},
    "tokio": {"certify", "feed", "live", "venue_server", "venues"},
    "tokio-tungstenite": {"venues"},
    "zmq": {"messaging"},
}

# Crates without I/O name every library they use.
PURE = {
    "domain": {"thiserror"},
    "engine": {"libm", "thiserror"},
    "simulation": {"rand_chacha", "rand_core", "thiserror"},
    "backtest": {"thiserror"},
    "inference": {"libm", "thiserror"},
}

# The one file of py_rt_core that speaks Arrow's C interface.
ARROW_FILE = "native/py_rt_core/src/arrow.rs"

# A conversion from a float, or a function that takes one.
FLOAT_DOOR = re.compile(r"\bFrom\s*<\s*f(32|64)\s*>|\bfn\s+\w+[^{;]*\([^{;]*:\s*f(32|64)\b")


@cache
def packages() -> dict[str, dict[str, Any]]:
    command = ["cargo", "metadata", "--no-deps", "--offline", "--format-version", "1"]
    done = subprocess.run(command, cwd=sources.ROOT, check=True, capture_output=True, text=True)
    return {package["name"]: package for package in json.loads(done.stdout)["packages"]}


def named(package: dict[str, Any], *kinds: str | None) -> set[str]:
    return {dependency["name"] for dependency in package["dependencies"] if dependency["kind"] in kinds}


def test_every_crate_stands_in_the_table() -> None:
    assert packages().keys() == DEPENDENCIES.keys()


@pytest.mark.parametrize("crate", DEPENDENCIES)
def test_a_crate_depends_on_what_the_table_allows(crate: str) -> None:
    ours = named(packages()[crate], None, "build") & DEPENDENCIES.keys()
    assert ours <= DEPENDENCIES[crate], f"{crate} may not depend on {sorted(ours - DEPENDENCIES[crate])}"
    in_tests = named(packages()[crate], "dev") & DEPENDENCIES.keys()
    allowed = DEPENDENCIES[crate] | TEST_DEPENDENCIES.get(crate, set())
    assert in_tests <= allowed, f"tests of {crate} may not use {sorted(in_tests - allowed)}"


@pytest.mark.parametrize("library", KNOWN_BY)
def test_a_library_is_known_only_where_the_table_says(library: str) -> None:
    users = {name for name, package in packages().items() if library in named(package, None, "build")}
    assert users <= KNOWN_BY[library], f"{library} is for {sorted(KNOWN_BY[library])} only"


@pytest.mark.parametrize("crate", PURE)
def test_a_crate_without_io_names_its_libraries(crate: str) -> None:
    foreign = named(packages()[crate], None, "build") - DEPENDENCIES.keys()
    assert foreign <= PURE[crate], f"{crate} has no I/O; {sorted(foreign - PURE[crate])} needs a decision in PURE"


@pytest.mark.parametrize("crate", DEPENDENCIES)
def test_versions_of_libraries_stand_in_the_workspace_only(crate: str) -> None:
    manifest = tomllib.loads(sources.read(Path(f"native/{crate}/Cargo.toml")))
    tables = [manifest, *manifest.get("target", {}).values()]
    kinds = ("dependencies", "dev-dependencies", "build-dependencies")
    named_here = [
        name
        for table in tables
        for kind in kinds
        for name, value in table.get(kind, {}).items()
        if not (isinstance(value, dict) and value.get("workspace"))
    ]
    assert not named_here, f"{crate}: give {named_here} a version under [workspace.dependencies], say workspace = true"


@pytest.mark.parametrize("crate", DEPENDENCIES)
def test_a_crate_says_its_sentence(crate: str) -> None:
    package = packages()[crate]
    folder = sources.ROOT / "native" / crate / "src"
    entry = folder / "lib.rs" if (folder / "lib.rs").is_file() else folder / "main.rs"
    lines = entry.read_text().splitlines()
    first = next((number for number, line in enumerate(lines) if line.startswith("//!")), None)
    assert first is not None, f"{entry} has no crate documentation"
    paragraph = []
    for line in lines[first:]:
        if not line.startswith("//! "):
            break
        paragraph.append(line.removeprefix("//! "))
    assert plain(package["description"]) == plain(" ".join(paragraph)), (
        f"{crate}: the first paragraph of its documentation and the description in its Cargo.toml differ"
    )


def plain(sentence: str) -> str:
    """A sentence without what only formatting adds."""
    return re.sub(r"^\w+: ", "", sentence.replace("`", "")).strip().rstrip(".").lower()


@pytest.mark.parametrize("crate", DEPENDENCIES)
def test_a_crate_has_the_workspace_lints(crate: str) -> None:
    wanted = tomllib.loads(sources.read(Path("Cargo.toml")))["workspace"]["lints"]
    lints = tomllib.loads(sources.read(Path(f"native/{crate}/Cargo.toml"))).get("lints", {})
    if lints == {"workspace": True}:
        return
    assert crate in {"ipc", "py_rt_core"}, f"{crate} must say `[lints] workspace = true`"
    own = {**wanted["rust"], "unsafe_code": "deny"}
    extra = {name: level for name, level in lints["rust"].items() if name not in own}
    assert extra.keys() <= {"unexpected_cfgs"}
    assert lints == {**wanted, "rust": {**own, **extra}}


def test_unsafe_lives_in_ipc_and_the_arrow_file_only() -> None:
    found = []
    for path in sources.with_suffix(".rs"):
        name = path.as_posix()
        if name.startswith("native/ipc/") or name == ARROW_FILE:
            continue
        bare = sources.bare_rust(sources.read(path)).splitlines()
        found += [f"{name}:{number}" for number, line in enumerate(bare, 1) if re.search(r"\bunsafe\b", line)]
    assert not found, "\n".join(found)


# How an order leaves the service: opened by egress, carried by its errand, sent by the desk.
WAY_OUT = {
    r"\.into_inner\(\)": {"egress.rs"},
    r"Errand::Submit\b": {"egress.rs", "desk.rs"},
    r"\.submit_encoded\(|gateway\s*\.submit\(": {"desk.rs"},
}


@pytest.mark.parametrize("way", WAY_OUT)
def test_an_approved_order_leaves_the_service_by_one_way(way: str) -> None:
    service = [path for path in sources.with_suffix(".rs") if path.is_relative_to("native/live/src")]
    found = {path.name for path in service if re.search(way, sources.bare_rust(sources.read(path)))}
    assert found == WAY_OUT[way]


def test_the_engine_repeats_the_workspace_clippy_settings() -> None:
    root = tomllib.loads(sources.read(Path("clippy.toml")))
    engine = tomllib.loads(sources.read(Path("native/engine/clippy.toml")))
    assert {name: engine.get(name) for name in root} == root


def test_the_engine_may_not_use_platform_maths() -> None:
    banned = {
        entry["path"] for entry in tomllib.loads(sources.read(Path("native/engine/clippy.toml")))["disallowed-methods"]
    }
    maths = (
        "sin cos tan asin acos atan atan2 sinh cosh tanh asinh acosh atanh sin_cos exp exp2 exp_m1 "
        "ln ln_1p log log2 log10 cbrt hypot powf powi"
    )
    assert {f"{kind}::{name}" for kind in ("f32", "f64") for name in maths.split()} <= banned


def test_prices_never_come_from_a_float() -> None:
    found = []
    for path in sources.with_suffix(".rs"):
        if not path.as_posix().startswith("native/domain/src/"):
            continue
        bare = sources.bare_rust(sources.read(path))
        found += [
            f"{path}:{bare.count(chr(10), 0, match.start()) + 1}: {' '.join(match.group().split())}"
            for match in FLOAT_DOOR.finditer(bare)
        ]
    assert not found, "\n".join(found)


def test_versions_agree() -> None:
    cargo = tomllib.loads(sources.read(Path("Cargo.toml")))["workspace"]["package"]
    project = tomllib.loads(sources.read(Path("pyproject.toml")))["project"]
    channel = tomllib.loads(sources.read(Path("rust-toolchain.toml")))["toolchain"]["channel"]
    assert cargo["version"] == project["version"]
    assert channel.startswith(cargo["rust-version"])

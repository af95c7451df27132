from __future__ import annotations

from typing import TYPE_CHECKING

import pytest

from assets import versions
from assets.versions import code_version
from py_rt.data import cleaning, schemas

if TYPE_CHECKING:
    from collections.abc import Iterator
    from pathlib import Path


@pytest.fixture
def project(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """A project of a few modules, and an engine of one file."""
    texts = {
        "assets/models.py": "import assets.raw\nimport py_rt.apart\n",
        "py_rt/__init__.py": "",
        "py_rt/apart.py": "",
        "py_rt/errors.py": "class E(Exception): ...\n",
        "py_rt/ml/__init__.py": "",
        "py_rt/ml/train.py": "import json\nfrom py_rt.ml import scores\ndef f():\n    from py_rt.errors import E\n",
        "py_rt/ml/scores.py": "import numpy as np\nif TYPE_CHECKING:\n    from py_rt.apart import A\n",
        "py_rt/ml/features.py": "import py_rt_core\n",
    }
    for name, text in texts.items():
        (tmp_path / name).parent.mkdir(parents=True, exist_ok=True)
        (tmp_path / name).write_text(text)
    monkeypatch.setattr(versions, "_ROOT", tmp_path)
    monkeypatch.setattr(versions, "_engine", lambda: "engine 1")
    monkeypatch.setattr(versions, "_library", lambda name: f"{name} 1")
    versions._read.cache_clear()
    return tmp_path


@pytest.fixture(autouse=True)
def read_again() -> Iterator[None]:
    versions._read.cache_clear()
    yield
    versions._read.cache_clear()


def changes(project: Path, name: str, *modules: str) -> bool:
    """Whether the version changes with the text of a file."""
    before = code_version(*modules)
    (project / name).write_text((project / name).read_text() + "# touched\n")
    versions._read.cache_clear()
    return code_version(*modules) != before


@pytest.mark.parametrize(
    ("name", "wanted"),
    [
        ("py_rt/ml/train.py", True),
        ("py_rt/ml/scores.py", True),  # imported
        ("py_rt/errors.py", True),  # imported inside a function
        ("py_rt/apart.py", False),  # imported for its types only
        ("assets/models.py", False),
    ],
)
def test_the_version_follows_what_is_imported(project: Path, name: str, wanted: bool) -> None:
    assert changes(project, name, "py_rt.ml.train") is wanted


def test_a_module_of_assets_counts_with_its_own_text_only(project: Path) -> None:
    assert changes(project, "assets/models.py", "assets.models")
    assert not changes(project, "py_rt/apart.py", "assets.models")


def test_the_engines_binary_counts_where_it_is_reached(project: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    assert project.is_dir()
    features, train = code_version("py_rt.ml.features"), code_version("py_rt.ml.train")
    monkeypatch.setattr(versions, "_engine", lambda: "engine 2")
    assert code_version("py_rt.ml.features") != features
    assert code_version("py_rt.ml.train") == train


def test_versions_of_libraries_count_where_they_are_reached(project: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    assert project.is_dir()
    features, train = code_version("py_rt.ml.features"), code_version("py_rt.ml.train")
    monkeypatch.setattr(versions, "_library", lambda name: f"{name} 2")
    assert code_version("py_rt.ml.features") == features
    assert code_version("py_rt.ml.train") != train


def test_the_content_of_configuration_counts(project: Path) -> None:
    file = project / "limits.toml"
    file.write_text("a = 1\n")
    before = code_version("py_rt.errors", files=[file])
    file.write_text("a = 2\n")
    assert len({before, code_version("py_rt.errors", files=[file]), code_version("py_rt.errors")}) == 3


def test_a_module_without_a_source_file_is_refused(project: Path) -> None:
    assert project.is_dir()
    with pytest.raises(ModuleNotFoundError, match=r"py_rt\.nothing has no source file"):
        code_version("py_rt.nothing")


def test_the_project_itself_has_versions() -> None:
    assert code_version(cleaning) == code_version("py_rt.data.cleaning")
    assert len({code_version(cleaning), code_version(schemas), code_version(cleaning, schemas)}) == 2
    assert len(versions._engine()) == 64
    assert versions._library("sklearn").count(".") >= 1
    assert versions._library("no_such_library_at_all") == "not installed"

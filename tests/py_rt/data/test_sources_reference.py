"""The page of definitions names every key, option, type and kind that there is, and no other."""

from __future__ import annotations

import importlib
import re
from dataclasses import fields
from pathlib import Path
from typing import get_args

import pytest

from py_rt.data.ingestion import definition
from py_rt.data.ingestion.catalog import KINDS
from py_rt.data.ingestion.columns import ColumnType
from py_rt.data.ingestion.rest import LIMIT_OPTIONS, READING_OPTIONS
from py_rt.data.ingestion.source import Expected

PAGE = (Path(__file__).resolve().parents[3] / "docs" / "reference" / "sources.md").read_text()


def section(name: str) -> str:
    (found,) = re.findall(rf"^## {re.escape(name)}\n(.*?)(?=^## |\Z)", PAGE, re.MULTILINE | re.DOTALL)
    return str(found)


def listed(text: str) -> set[str]:
    """Words in the first cell of every row of the tables."""
    cells = [line.split("|")[1] for line in text.splitlines() if line.startswith("| ")]
    return {word for cell in cells for word in re.findall(r"`([^`]+)`", cell)}


@pytest.mark.parametrize("kind", KINDS)
def test_every_option_of_a_kind_is_listed(kind: str) -> None:
    options = set(importlib.import_module(KINDS[kind].partition(":")[0]).OPTIONS)
    shared = set(LIMIT_OPTIONS) | set(READING_OPTIONS)
    assert listed(section(kind)) - shared == options - shared
    assert f"`{kind}`" in section("What all kinds share")


def test_what_kinds_share_is_listed() -> None:
    assert listed(section("Requests")) == set(LIMIT_OPTIONS)
    assert listed(section("Bodies")) == set(READING_OPTIONS)
    shared = section("What all kinds share")
    for key in (*definition._TOP, *definition._COLUMN, *definition._KNOWN, *(one.name for one in fields(Expected))):
        assert re.search(rf"`\[*{key}\]*`", shared), key
    for kind in get_args(ColumnType):
        assert f"`{kind}`" in shared


@pytest.mark.parametrize(("option", "default"), [(name, one.default) for name, one in LIMIT_OPTIONS.items()])
def test_defaults_of_requests_are_as_they_stand(option: str, default: float) -> None:
    (line,) = [line for line in section("Requests").splitlines() if line.startswith(f"| `{option}`")]
    assert line.split("|")[3].split()[0] == f"{default:g}" or line.split("|")[3].split()[0] == f"{int(default)}"

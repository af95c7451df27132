"""How rows weigh and features are normalized, read from a file."""

from __future__ import annotations

from typing import TYPE_CHECKING

import pytest

from py_rt.defaults import default_root
from py_rt.ml.features.normalized import Wish
from py_rt.ml.training_policy import PolicyError, TrainingPolicy

if TYPE_CHECKING:
    from pathlib import Path


def test_by_default_nothing_is_done() -> None:
    assert TrainingPolicy.read(default_root() / "config" / "training.toml") == TrainingPolicy()


def test_a_file_says_weights_and_wishes(tmp_path: Path) -> None:
    path = tmp_path / "training.toml"
    path.write_text(
        'sample_weights = "uniqueness"\noldest_weight = 0.5\n'
        '[normalize]\nret_1 = "robust"\nvol_20 = { method = "winsorized", tail = 0.05 }\n'
    )
    wishes = {"ret_1": Wish("robust", 0.01), "vol_20": Wish("winsorized", 0.05)}
    assert TrainingPolicy.read(path) == TrainingPolicy("uniqueness", 0.5, wishes)


@pytest.mark.parametrize(
    ("text", "words"),
    [
        ("weights = 1", "weights: allowed are sample_weights, oldest_weight, normalize, label"),
        ('sample_weights = "some"', "allowed are equal, uniqueness"),
        ("oldest_weight = 0.5", "needs sample_weights"),
        ('sample_weights = "uniqueness"\noldest_weight = -1', "above -1 and at most 1"),
        ("oldest_weight = true", "is a number"),
        ('[normalize]\nret_1 = "scale"', "no method is called 'scale'"),
        ("[normalize]\nret_1 = 3", "wanted a method"),
        ('[normalize]\nret_1 = { method = "robust", tail = 0.1 }', "only winsorized has a tail"),
        ('[normalize]\nret_1 = { method = "winsorized", tail = 0.5 }', "allowed is 0 to below 0.5"),
        ('[label]\nkind = "coin"', "allowed are forward_return, triple_barrier, trend_scanning"),
        ("[label]\nhorizon = 3", "allowed are kind, horizon_bars"),
        ("[normalize", "no TOML"),
    ],
)
def test_what_cannot_be_is_refused_with_file_and_key(tmp_path: Path, text: str, words: str) -> None:
    path = tmp_path / "training.toml"
    path.write_text(text)
    with pytest.raises(PolicyError, match=words) as refused:
        TrainingPolicy.read(path)
    assert str(path) in str(refused.value)


def test_an_absent_file_is_refused(tmp_path: Path) -> None:
    with pytest.raises(PolicyError, match="cannot be read"):
        TrainingPolicy.read(tmp_path / "training.toml")

"""What assets are given is what the environment and `config/` say."""

from __future__ import annotations

from typing import TYPE_CHECKING

import pytest

from pipelines.resources import bar_rules
from py_rt.data.imputation import Policy
from py_rt.errors import DataError

if TYPE_CHECKING:
    from pathlib import Path


def test_the_policy_of_the_volume_comes_from_the_users_own_file(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.chdir(tmp_path)
    assert bar_rules({}).volume is None
    (tmp_path / "config").mkdir()
    own = tmp_path / "config" / "imputation.toml"
    own.write_text('[clean_bars.volume]\nkind = "linear"\n')
    assert bar_rules({"PY_RT_INSTRUMENT": "ETHUSDT"}).volume == Policy("linear")
    own.write_text('[bundled_indices.close]\nkind = "linear"\n')
    assert bar_rules({}).volume is None
    for text, words in (
        ('[clean_bars.close]\nkind = "linear"\n', "of bars the volume is imputed, and nothing else"),
        ('[labels.ret]\nkind = "linear"\n', "labels: imputed are clean_bars and tables of sources"),
    ):
        own.write_text(text)
        with pytest.raises(DataError, match=words):
            bar_rules({})

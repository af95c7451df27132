"""Every set of features is tried, and what breaks a promise is named."""

from __future__ import annotations

from typing import TYPE_CHECKING

import dagster as dg
import numpy as np
import polars as pl
import pytest

from assets.data_checks import sets_result
from py_rt.ml.features.set_checks import CATALOGUE, SetReport, judged, set_files

if TYPE_CHECKING:
    from pathlib import Path

BAR_NS = 900 * 10**9


@pytest.fixture(scope="module")
def bars() -> pl.DataFrame:
    rng = np.random.default_rng(3)
    rows = 900
    close = 5_000_000_000 + np.cumsum(rng.integers(-500, 501, rows)) * 10_000
    opened = np.r_[close[0], close[:-1]]
    ts_open = np.arange(rows) * BAR_NS
    return pl.DataFrame(
        {
            "ts_open": ts_open,
            "ts_close": ts_open + BAR_NS,
            "open": opened,
            "high": np.maximum(opened, close) + 10_000,
            "low": np.minimum(opened, close) - 10_000,
            "close": close,
            "volume": rng.integers(1, 9, rows) * 10**8,
        }
    )


@pytest.fixture
def mine(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """The user's own folder of sets, in the working folder."""
    monkeypatch.chdir(tmp_path)
    folder = tmp_path / "config" / "features"
    folder.mkdir(parents=True)
    return folder


def by_name(bars: pl.DataFrame) -> dict[str, SetReport]:
    return {report.name: report for report in judged(bars)}


def test_a_model_of_what_these_bars_do_not_say_is_untried(bars: pl.DataFrame, mine: Path) -> None:
    (mine / "funding.toml").write_text(
        'bar_seconds = 900\n[[slow]]\nname = "funding_rate"\nunit = "number"\nmax_age_seconds = 60\n'
        '[[feature]]\nname = "funding"\nkind = "expression"\nexpression = "funding_rate"\nunit = "number"\n'
    )
    report = by_name(bars)["funding"]
    assert (report.features, report.untried, report.problem) == (0, ("funding",), "")


def test_the_catalogue_and_the_models_features_hold(bars: pl.DataFrame) -> None:
    reports = by_name(bars)
    assert reports.keys() == {CATALOGUE, "btc_15m"}
    assert [report.findings for report in reports.values()] == [(), ()]
    assert [report.problem for report in reports.values()] == ["", ""]
    assert reports[CATALOGUE].features > 300
    assert {"ema_200", "reference_beta_60"} <= set(reports[CATALOGUE].untried)  # too few bars; no reference
    assert reports["btc_15m"].features == 12
    result = sets_result(list(reports.values()), bars.height)
    assert result.passed
    assert result.metadata["sets"] == dg.MetadataValue.int(2)


def test_planted_faults_are_found_in_whatever_set_they_stand(bars: pl.DataFrame, mine: Path) -> None:
    (mine / "good.toml").write_text('[[feature]]\nname = "gap"\nexpression = "close / ema(close, 9, 64) - 1"\n')
    (mine / "spied.py").write_text("def tomorrow(bars):\n    return bars['close'].shift(-1) / bars['close'] - 1\n")
    spied = '[[feature]]\nname = "tomorrow"\npython = "spied.py:tomorrow"\noffline = true\n'
    (mine / "spied.toml").write_text(f'{spied}[[feature]]\nname = "ret"\nexpression = "close / lag(close, 1) - 1"\n')
    (mine / "broken.toml").write_text('[[feature]]\nname = "x"\nexpression = "close +"\n')
    (mine / "raising.py").write_text("def f(bars):\n    raise KeyError('close')\n")
    (mine / "raising.toml").write_text('[[feature]]\nname = "y"\npython = "raising.py:f"\noffline = true\n')
    ratio = '[[feature]]\nname = "z"\nkind = "expression"\nunit = "number"\nexpression = "close / open"\n'
    (mine / "model.toml").write_text(f"bar_seconds = 900\n{ratio}")
    reports = by_name(bars)
    assert set_files()["good"] == mine / "good.toml"
    assert [(one.feature, one.rule) for one in reports["spied"].findings] == [("tomorrow", "look_ahead")]
    assert (reports["good"].findings, reports["good"].problem, reports["good"].features) == ((), "", 1)
    assert (reports["model"].findings, reports["model"].features) == ((), 1)
    assert "feature x" in reports["broken"].problem
    assert "KeyError" in reports["raising"].problem
    result = sets_result(list(reports.values()), bars.height)
    assert not result.passed
    assert result.severity == dg.AssetCheckSeverity.ERROR
    told = str(result.metadata["examples"].value)
    assert "spied: tomorrow look_ahead" in told
    assert "broken: " in told


def test_without_bars_nothing_was_tried_and_nothing_is_claimed(bars: pl.DataFrame) -> None:
    reports = by_name(bars.clear())
    assert {report.features for report in reports.values()} == {0}
    assert len(reports[CATALOGUE].untried) > 300

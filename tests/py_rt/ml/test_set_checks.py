"""Every set of features is tried, and what breaks a promise is named."""

from __future__ import annotations

from datetime import date
from typing import TYPE_CHECKING

import dagster as dg
import numpy as np
import polars as pl
import pytest

from assets.data_checks import sets_result
from py_rt.data.schemas import FLOW_BARS
from py_rt.data.storage import DayWindow, Lake, write_window
from py_rt.ml.features.known_tables import KnownColumn
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
    reason = "these bars have no funding_rate"
    assert (report.features, report.untried, report.problem) == (0, {"funding": reason}, "")


def test_the_catalogue_and_the_models_features_hold(bars: pl.DataFrame) -> None:
    reports = by_name(bars)
    assert reports.keys() == {CATALOGUE, "btc_15m"}
    assert [report.findings for report in reports.values()] == [(), ()]
    assert [report.problem for report in reports.values()] == ["", ""]
    assert reports[CATALOGUE].features > 300
    untried = reports[CATALOGUE].untried
    assert untried["ema_200"] == "the 900 bars of clean_bars are too few to show whether it forgets"
    assert untried["microprice"] == "nothing was recorded: flow_bars has no bars of this instrument"
    assert untried["earnings_yield"] == "no [earnings_per_share] in config/known.toml"
    # A reference instrument and the volatility index stand in installed packages.
    assert reports[CATALOGUE].tried_on.keys() == {"clean_bars", "NASDAQ beside SP500"}
    assert "reference_beta_60" not in untried
    assert reports["btc_15m"].features == 12
    result = sets_result(list(reports.values()), bars.height)
    assert result.passed
    assert result.metadata["sets"] == dg.MetadataValue.int(2)


def test_what_is_known_beside_the_bars_is_tried_on_too(bars: pl.DataFrame, mine: Path) -> None:
    lake = Lake(str(mine / "lake"))
    named = bars.with_columns(pl.lit("BTCUSDT").alias("instrument"), date=pl.lit(date(1970, 1, 1)))
    inputs = [name for name, dtype in FLOW_BARS.schema.items() if dtype == pl.Float64]
    number = pl.int_range(1, pl.len() + 1, dtype=pl.Int64).cast(pl.Float64)
    recorded = named.select(
        pl.lit("kraken").alias("venue"),
        pl.lit("BTC/USDT").alias("symbol"),
        "ts_open",
        "ts_close",
        *((5.0 + (number * (at + 3) % 17)).alias(name) for at, name in enumerate(inputs)),
        "date",
    )
    window = DayWindow(date(1970, 1, 1), date(1970, 1, 2))
    write_window(lake.table_uri("flow_bars"), FLOW_BARS.conform(recorded), window)
    facts = named.select(pl.col("ts_open").alias("ts_known"), number.alias("rate"), "date").gather_every(7)
    write_window(lake.uri("raw", "funding"), facts, window)
    known = {"funding_rate": KnownColumn("funding", "rate"), "sentiment": KnownColumn("nowhere", "score")}
    (mine / "spied.toml").write_text(
        '[[feature]]\nname = "calm"\nexpression = "funding_rate / (1 + std(funding_rate, 9))"\n'
        '[[feature]]\nname = "moody"\nexpression = "sentiment - mean(sentiment, 3)"\n'
        '[[feature]]\nname = "pressed"\nexpression = "mean(order_flow, 3) / bid_quantity"\n'
    )
    reports = {report.name: report for report in judged(named, lake, known)}
    mine_now = reports["spied"]
    assert mine_now.tried_on == {"clean_bars": 1, "flow_bars": 1}
    assert mine_now.untried == {"moody": "table nowhere is not in the lake yet"}
    assert reports[CATALOGUE].tried_on["flow_bars"] > 50
    assert [report.findings for report in reports.values()] == [()] * len(reports)
    result = sets_result(list(reports.values()), named.height)
    reasons = result.metadata["untried_by_reason"].value
    assert isinstance(reasons, dict)
    assert reasons["table nowhere is not in the lake yet"] > 1  # those of the catalogue, too
    assert sum(reasons.values()) == result.metadata["untried"].value


def test_planted_faults_are_found_in_whatever_set_they_stand(bars: pl.DataFrame, mine: Path) -> None:
    (mine / "good.toml").write_text('[[feature]]\nname = "gap"\nexpression = "close / ema(close, 9, 64) - 1"\n')
    (mine / "spied.py").write_text("def tomorrow(bars):\n    return bars['close'].shift(-1) / bars['close'] - 1\n")
    spied = '[[feature]]\nname = "tomorrow"\npython = "spied.py:tomorrow"\noffline = true\n'
    (mine / "spied.toml").write_text(f'{spied}[[feature]]\nname = "ret"\nexpression = "close / lag(close, 1) - 1"\n')
    (mine / "broken.toml").write_text('[[feature]]\nname = "x"\nexpression = "close +"\n')
    (mine / "raising.py").write_text("def f(bars):\n    raise KeyError('close')\n")
    (mine / "raising.toml").write_text('[[feature]]\nname = "y"\npython = "raising.py:f"\noffline = true\n')
    (mine / "leaving.py").write_text("def f(bars):\n    return bars['close']\n\n\nraise SystemExit(0)\n")
    (mine / "leaving.toml").write_text('[[feature]]\nname = "y"\npython = "leaving.py:f"\noffline = true\n')
    ratio = '[[feature]]\nname = "z"\nkind = "expression"\nunit = "number"\nexpression = "close / open"\n'
    (mine / "model.toml").write_text(f"bar_seconds = 900\n{ratio}")
    reports = by_name(bars)
    assert set_files()["good"] == mine / "good.toml"
    assert [(one.feature, one.rule) for one in reports["spied"].findings] == [("tomorrow", "look_ahead")]
    assert (reports["good"].findings, reports["good"].problem, reports["good"].features) == ((), "", 1)
    assert (reports["model"].findings, reports["model"].features) == ((), 1)
    assert "feature x" in reports["broken"].problem
    assert "KeyError" in reports["raising"].problem
    assert "SystemExit" in reports["leaving"].problem
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

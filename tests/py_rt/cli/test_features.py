"""`py_rt features`: what it computes, finds and refuses, as a shell sees it."""

from __future__ import annotations

import json
from pathlib import Path

import numpy as np
import polars as pl
import pytest

from py_rt.cli.main import main

MODEL = Path(__file__).parents[3] / "config" / "features" / "btc_15m.toml"
BAR_S = 900
START_S = 1_633_046_400


@pytest.fixture(scope="module")
def bars(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A CSV of 15-minute bars, one of them missing."""
    random = np.random.default_rng(1)
    close = np.round(40_000 * np.exp(np.cumsum(random.normal(0, 0.002, 1_000))), 2)
    opened = np.concatenate([close[:1], close[:-1]])
    table = pl.DataFrame(
        {
            "timestamp": START_S + BAR_S * np.arange(close.size),
            "Open": opened,
            "High": np.round(np.maximum(opened, close) + random.exponential(20, close.size), 2),
            "Low": np.round(np.minimum(opened, close) - random.exponential(20, close.size), 2),
            "Close": close,
            "Volume": np.round(random.exponential(5, close.size), 4),
        }
    )
    path = tmp_path_factory.mktemp("bars") / "bars.csv"
    table.filter(pl.int_range(pl.len()) != 700).write_csv(path)
    return path


def run(capsys: pytest.CaptureFixture[str], *arguments: str) -> tuple[int, str, str]:
    status = main(["features", *arguments])
    told = capsys.readouterr()
    return status, told.out, told.err


@pytest.mark.parametrize("suffix", [".csv", ".csv.gz", ".parquet"])
def test_features_are_computed_in_the_order_asked_for(
    bars: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str], suffix: str
) -> None:
    out = tmp_path / f"features{suffix}"
    status, told, _ = run(capsys, "compute", "rsi_14,sma_20", "--in", str(bars), "--out", str(out), "--json")
    assert status == 0
    assert json.loads(told)["features"] == ["rsi_14", "sma_20"]
    made = pl.read_parquet(out) if suffix == ".parquet" else pl.read_csv(out)
    assert made.columns == ["timestamp", "rsi_14", "sma_20", "is_warm"]
    close = pl.read_csv(bars)["Close"]
    assert made["sma_20"][500] == pytest.approx(close[481:501].mean(), rel=1e-12)
    assert made["sma_20"][18] is None or np.isnan(made["sma_20"][18])


def test_both_paths_and_a_second_run_write_the_same_bytes(
    bars: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    for name, more in (("a", []), ("b", []), ("c", ["--incremental"])):
        assert (
            run(capsys, "compute", "all", "--in", str(bars), "--out", str(tmp_path / f"{name}.csv.gz"), *more)[0] == 0
        )
    first, *others = ((tmp_path / f"{name}.csv.gz").read_bytes() for name in "abc")
    assert all(other == first for other in others)


def test_rows_stand_as_in_the_file(bars: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    pl.read_csv(bars).reverse().write_csv(tmp_path / "newest_first.csv")
    for source, out in ((bars, "a.csv"), (tmp_path / "newest_first.csv", "b.csv")):
        assert run(capsys, "compute", "ema_20", "--in", str(source), "--out", str(tmp_path / out))[0] == 0
    assert pl.read_csv(tmp_path / "a.csv").reverse().equals(pl.read_csv(tmp_path / "b.csv"))


@pytest.mark.parametrize("more", [[], ["--incremental"]])
def test_a_model_s_file_computes_what_its_bundle_does(
    bars: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str], more: list[str]
) -> None:
    out = tmp_path / "model.parquet"
    status, told, _ = run(capsys, "compute", "--set", str(MODEL), "--in", str(bars), "--out", str(out), "--json", *more)
    assert status == 0
    made = pl.read_parquet(out)
    assert json.loads(told)["warm_rows"] == int(made["is_warm"].sum()) > 300
    # The missing bar makes the features begin anew.
    assert made["is_warm"][699]
    assert not made["is_warm"][700:800].any()
    close = pl.read_csv(bars)["Close"]
    assert made["ret_4"][600] == pytest.approx(close[600] / close[596] - 1, rel=1e-5)


def test_a_planted_look_into_the_future_is_found(
    bars: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    (tmp_path / "mine.py").write_text("def future(bars):\n    return bars['close'].shift(-1)\n")
    (tmp_path / "set.toml").write_text('[[feature]]\nname = "future"\npython = "mine.py:future"\noffline = true\n')
    status, told, _ = run(capsys, "check", "--set", str(tmp_path / "set.toml"), "--in", str(bars), "--json")
    assert status == 3
    (finding,) = json.loads(told)["findings"]
    assert (finding["feature"], finding["rule"]) == ("future", "look_ahead")
    assert run(capsys, "check", "rsi_14,macd_signal", "--in", str(bars))[0] == 0
    assert run(capsys, "check", "--set", str(MODEL), "--in", str(bars))[0] == 0


@pytest.mark.parametrize(
    ("arguments", "why"),
    [
        (["rsi_15"], "near are"),
        ([], "name features of the catalogue"),
        (["vpin_20"], "reads buy_volume, sell_volume"),
    ],
)
def test_what_is_asked_for_wrongly_is_told(
    bars: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str], arguments: list[str], why: str
) -> None:
    status, _, told = run(capsys, "compute", *arguments, "--in", str(bars), "--out", str(tmp_path / "x.csv"))
    assert status == 2
    assert why in told
    assert list(tmp_path.iterdir()) == []


@pytest.mark.parametrize(
    ("line", "why"),
    [
        ("nonsense,1,1,1,1,1", "cannot be read"),
        ("1634000000,1,inf,1,1,1", "'inf'"),
        ("1633046400,1,1,1,1,1", "is not after"),
        ("timestamp,Open,High,Low,Close,Volume", "is the header again"),
    ],
)
def test_a_wrong_row_is_named(
    bars: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str], line: str, why: str
) -> None:
    path = tmp_path / "wrong.csv"
    path.write_text(bars.read_text() + line + "\n")
    status, _, told = run(capsys, "compute", "sma_20", "--in", str(path), "--out", str(tmp_path / "x.csv"))
    assert status == 2
    assert "row 1001" in told
    assert why in told


SLOW_SET = """bar_seconds = 900
[[slow]]
name = "funding_rate"
unit = "number"
max_age_seconds = 28800
[[slow]]
name = "fair_value"
unit = "price"
max_age_seconds = 86400
[[feature]]
name = "funding_change"
kind = "expression"
expression = "delta(funding_rate, 2)"
unit = "number"
[[feature]]
name = "discount"
kind = "expression"
expression = "fair_value / close - 1"
unit = "number"
"""


def test_a_models_set_reads_what_was_known_and_nothing_too_old(
    bars: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    features, known, out = tmp_path / "set.toml", tmp_path / "known.csv", tmp_path / "made.csv"
    features.write_text(SLOW_SET)
    times = [START_S + hours * 3_600 for hours in (10, 20, 26, 60)]
    rows = [f"{times[0]},0.25,40000.5", f"{times[1]},0.75,41000", f"{times[2]},,41000", f"{times[3]},0.5,39000"]
    known.write_text("\n".join(["ts_known,funding_rate,fair_value", *rows]) + "\n")
    line = ["compute", "--set", str(features), "--in", str(bars), "--out", str(out)]
    status, _, told = run(capsys, *line)
    assert (status, "reads funding_rate, fair_value" in told) == (2, True)
    line += ["--known", str(known)]
    assert run(capsys, *line)[0] == 0
    whole = out.read_bytes()
    assert run(capsys, *line, "--incremental")[0] == 0
    assert out.read_bytes() == whole
    made, close = pl.read_csv(out), pl.read_csv(bars)["Close"]

    def at(hours: float) -> dict[str, float]:
        return made.row(int(hours * 3_600) // BAR_S - 1, named=True)

    assert [at(hours)["is_warm"] for hours in (10, 10.5, 18, 18.25, 20.5, 25.75, 26, 61)] == [
        False,
        True,
        True,
        False,
        True,
        True,
        False,
        True,
    ]
    assert (at(10.5)["funding_change"], at(20.5)["funding_change"]) == (0.0, 0.0)
    expected = 40_000.5 / close[int(10.5 * 4) - 1] - 1
    assert at(10.5)["discount"] == pytest.approx(expected, rel=1e-6)
    assert run(capsys, "check", "--set", str(features), "--in", str(bars), "--known", str(known))[0] == 0


def test_what_is_read_is_never_written_over(bars: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    copy = tmp_path / "bars.csv"
    copy.write_bytes(bars.read_bytes())
    status, _, told = run(capsys, "compute", "sma_20", "--in", str(copy), "--out", str(tmp_path / "." / "bars.csv"))
    assert status == 2
    assert "would be lost" in told
    assert copy.read_bytes() == bars.read_bytes()


def test_a_feature_is_explained(capsys: pytest.CaptureFixture[str]) -> None:
    status, told, _ = run(capsys, "explain", "atr_14", "--json")
    facts = json.loads(told)
    assert status == 0
    assert (facts["unit"], facts["inputs"], facts["lookback"]) == ("price", ["high", "low", "close"], 15)
    assert len(json.loads(run(capsys, "list", "--json")[1])) > 400

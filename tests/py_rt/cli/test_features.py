"""`py_rt features`: what it computes, finds and refuses, as a shell sees it."""

from __future__ import annotations

import json
import re
from pathlib import Path

import numpy as np
import polars as pl
import pytest

from py_rt.cli.main import main
from py_rt.data.bar_files import read_bar_file
from py_rt.ml.features.catalogue import CatalogueError
from py_rt.ml.features.model_set import ModelFrame
from py_rt.ml.features.technical import FeatureSet

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
    # JSON has no NaN, and the row before the cut has no value on fewer bars.
    assert finding["cut"] is None
    assert finding["whole"] > 0
    assert run(capsys, "check", "rsi_14,macd_signal", "--in", str(bars))[0] == 0
    assert run(capsys, "check", "--set", str(MODEL), "--in", str(bars))[0] == 0


@pytest.mark.parametrize(
    ("arguments", "why"),
    [
        (["rsi_15"], "near are"),
        (["RSI_14"], "near are rsi_14"),
        (["WILLR"], "near are williams_r_14"),
        ([], "name features of the catalogue"),
        (["vpin_20"], r"^bars\.csv: feature vpin_20: reads buy_volume, sell_volume.*--column ROLE=NAME"),
        (["reference_beta_20"], "reads reference_close.*--reference FILE"),
        (["earnings_yield"], "reads earnings_per_share.*--known FILE"),
        (["sma_20", "--time-zone", "Mars/Olympus"], "'Mars/Olympus' is none"),
        (["sma_20", "--close", "XNYS"], "speak of the facts of --known"),
    ],
)
def test_what_is_asked_for_wrongly_is_told(
    bars: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str], arguments: list[str], why: str
) -> None:
    status, _, told = run(capsys, "compute", *arguments, "--in", str(bars), "--out", str(tmp_path / "x.csv"))
    assert status == 2
    assert re.search(why, told), told
    assert list(tmp_path.iterdir()) == []


@pytest.mark.parametrize(
    ("feature", "why"),
    [
        ('name = "x"\nexpression = "x + 1"', '"x" is made of itself: x -> x'),
        ('name = "x"\nexpression = "close + volume"', 'at 7: "\\+" between price and quantity'),
        ('name = "x"\nexpression = "mean(close, 5000)"', "at 13: mean of 5000; allowed is a whole number"),
        ('name = "rsi_41"', "the catalogue has no feature of its name; near are .*rsi_14"),
    ],
)
def test_a_wrong_expression_is_told_with_its_file_and_place(
    bars: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str], feature: str, why: str
) -> None:
    path = tmp_path / "mine.toml"
    path.write_text(f"[[feature]]\n{feature}\n")
    status, _, told = run(capsys, "compute", "--set", str(path), "--in", str(bars), "--out", str(tmp_path / "x.csv"))
    assert status == 2
    assert re.search(f"{re.escape(str(path))}: feature .*{why}", told), told
    assert list(tmp_path.iterdir()) == [path]


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


@pytest.mark.parametrize("command", ["explain", "compute"])
def test_each_example_of_the_help_is_a_paragraph(command: str, capsys: pytest.CaptureFixture[str]) -> None:
    said = run(capsys, command, "--help")[1]
    assert len(re.findall(r"^ +Example: py_rt features", said, re.MULTILINE)) == said.count("Example:") == 2


def test_a_feature_is_explained(capsys: pytest.CaptureFixture[str]) -> None:
    status, told, _ = run(capsys, "explain", "atr_14", "--json")
    facts = json.loads(told)
    assert status == 0
    assert (facts["unit"], facts["inputs"], facts["lookback"]) == ("price", ["high", "low", "close"], 15)
    listed = json.loads(run(capsys, "list", "--json")[1])
    assert len(listed) > 400
    assert facts in listed
    assert facts["restarts"] == ["wilder restarts after 400 bars: at most 4e-13 of its seed is left"]
    # One that reads another column, as text.
    status, told, _ = run(capsys, "explain", "earnings_yield")
    assert (status, "when told earnings_per_share" in told) == (0, True)


def own_set(folder: Path, body: str) -> Path:
    """A set of one feature in Python, `own`."""
    (folder / "mine.py").write_text(f"import polars as pl\n\n\ndef own(bars):\n    {body}\n")
    path = folder / "set.toml"
    path.write_text('[[feature]]\nname = "own"\npython = "mine.py:own"\noffline = true\n')
    return path


def test_a_look_into_the_future_in_one_row_of_hundreds_is_found(
    bars: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    body = "return (bars['close'].shift(-1) * (bars['number'] % 451 == 5)).fill_null(0)"
    status, told, _ = run(capsys, "check", "--set", str(own_set(tmp_path, body)), "--in", str(bars), "--json")
    facts = json.loads(told)
    assert status == 3
    (finding,) = facts["findings"]
    time = pl.read_csv(bars)["timestamp"][finding["row"]]
    assert (finding["feature"], finding["rule"], time // BAR_S % 451) == ("own", "look_ahead", 5)
    assert finding["time"] == str(time)
    # Hundreds of rows that follow each other, and some in every part of the file.
    assert 512 < facts["rows_cut"] < 600


def test_what_python_changes_in_its_bars_hides_nothing_and_reaches_no_other_feature(
    bars: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    # The highest close from here on: once it stands in the bars, fewer of them give the same again.
    highest = "bars['close'].reverse().cum_max().reverse()"
    path = own_set(tmp_path, f"return bars.replace_column(bars.get_column_index('close'), {highest})['close']")
    path.write_text(path.read_text() + '[[feature]]\nname = "plain"\nexpression = "close"\n')
    with (tmp_path / "mine.py").open("a") as file:
        file.write("\n\ndef after(bars):\n    return bars['close']\n")
    path.write_text(f'{path.read_text()}[[feature]]\nname = "after"\npython = "mine.py:after"\noffline = true\n')
    status, told, _ = run(capsys, "check", "--set", str(path), "--in", str(bars), "--json")
    assert status == 3
    assert [(one["feature"], one["rule"]) for one in json.loads(told)["findings"]] == [("own", "look_ahead")]
    out = tmp_path / "out.parquet"
    assert run(capsys, "compute", "--set", str(path), "--in", str(bars), "--out", str(out))[0] == 0
    made = pl.read_parquet(out)
    close = pl.read_csv(bars)["Close"]
    assert made["plain"].to_list() == close.to_list()
    # Python is given prices in units of 1e-8.
    assert made["after"].to_list() == [round(price * 1e8) for price in close]
    assert made["own"][0] == made["after"].max()


@pytest.mark.parametrize(
    "body", ["return bars['close'].shift(-1)\n\n\nraise SystemExit(0)", "import sys\n    sys.exit(3)"]
)
def test_python_that_exits_has_failed(
    bars: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str], body: str
) -> None:
    path = own_set(tmp_path, body)
    status, told, error = run(capsys, "check", "--set", str(path), "--in", str(bars))
    assert (status, told) == (2, "")
    assert re.search(r"feature own: .*SystemExit: [03] \(mine\.py, line \d+\)", error)


def test_expressions_that_exceed_a_bound_together_are_told_by_the_first_that_does(
    bars: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    feature = '[[feature]]\nname = "spread_{0}"\nexpression = "mad(close, {0})"\n'
    path = tmp_path / "set.toml"
    path.write_text("".join(feature.format(4_000 + at) for at in range(17)))
    status, told, error = run(capsys, "check", "--set", str(path), "--in", str(bars))
    assert (status, told) == (2, "")
    assert "set.toml: feature spread_4016: together with the 16 before it: at 1: mad" in error
    assert "65536 values" in error


def test_what_python_keeps_from_one_computing_hides_nothing_from_the_next(
    bars: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    path = own_set(tmp_path, "return bars['ts_open'].replace_strict(SEEN, default=None) if SEEN else seen(bars)")
    seen = "    SEEN.update(zip(bars['ts_open'], bars['close'].shift(-1)))\n    return own(bars)\n"
    (tmp_path / "mine.py").write_text(
        f"SEEN = {{}}\n\n\ndef seen(bars):\n{seen}\n\n{(tmp_path / 'mine.py').read_text()}"
    )
    status, told, _ = run(capsys, "check", "--set", str(path), "--in", str(bars), "--json")
    assert status == 3
    assert [one["rule"] for one in json.loads(told)["findings"]] == ["look_ahead"]


@pytest.mark.parametrize(
    ("body", "rules", "untried"),
    [
        ("return bars['close'].cum_sum()", ["warm_up"], []),
        ("return bars['close'].cum_max()", ["warm_up"], []),
        ("return bars['close'].cum_sum() / (1 + pl.int_range(bars.height, eager=True))", ["warm_up"], []),
        ("return bars['close'].ewm_mean(span=4_000, adjust=False)", ["warm_up"], []),
        # Running sums leave other last bits.
        ("return bars['close'].rolling_std(50)", [], []),
        ("return bars['close'].ewm_mean(span=20, adjust=False)", [], []),
        # It forgets, and not within so few bars.
        ("return bars['close'].ewm_mean(span=150, adjust=False)", [], ["own"]),
        ("return bars['close'].rolling_mean(999)", [], ["own"]),
    ],
)
def test_python_that_never_forgets_is_found(
    bars: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str], body: str, rules: list[str], untried: list[str]
) -> None:
    status, told, _ = run(capsys, "check", "--set", str(own_set(tmp_path, body)), "--in", str(bars), "--json")
    facts = json.loads(told)
    assert [one["rule"] for one in facts["findings"]] == rules
    assert (status, facts["warm_up_untried"]) == (3 if rules else 0, untried)


@pytest.mark.parametrize("command", ["compute", "check"])
def test_a_feature_without_any_value_and_a_name_of_the_catalogue_are_told(
    bars: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str], command: str
) -> None:
    path = tmp_path / "set.toml"
    written = {"rsi_14": "close", "sma_20": "mean(close, 20)", "root": "sqrt(-close)"}
    tables = [f'[[feature]]\nname = "{name}"\nexpression = "{text}"\n' for name, text in written.items()]
    path.write_text("".join(tables) + '[[feature]]\nname = "rsi_2"\n')
    line = [command, "--set", str(path), "--in", str(bars)]
    line += ["--out", str(tmp_path / "out.csv")] if command == "compute" else []
    status, told, _ = run(capsys, *line, "--json")
    facts = json.loads(told)
    assert (status, facts["valueless"], facts["redefined"]) == (0, ["root"], ["rsi_14"])
    told = run(capsys, *line)[1]
    assert "no bar has a value of: root\n" in told
    assert re.search(r"catalogue.*: rsi_14\n", told)


def test_a_look_far_into_the_future_changes_rows_long_before_the_cut(
    bars: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    # The oldest row tells the newest close.
    body = "return pl.Series([bars['close'][-1]] + [0.0] * (bars.height - 1))"
    status, told, _ = run(capsys, "check", "--set", str(own_set(tmp_path, body)), "--in", str(bars), "--json")
    assert status == 3
    assert [(one["rule"], one["row"]) for one in json.loads(told)["findings"]] == [("look_ahead", 0)]


def test_a_bar_without_a_number_is_named_by_its_time_whichever_way_the_file_stands(bars: Path, tmp_path: Path) -> None:
    table = pl.read_csv(bars).with_columns(
        pl.when(pl.int_range(pl.len()) == 30).then(None).otherwise("Close").alias("Close")
    )
    for order in (table, table.reverse()):
        order.write_csv(tmp_path / "bars.csv")
        with pytest.raises(CatalogueError, match=f"the bar of {table['timestamp'][30]}: a number is missing"):
            ModelFrame(MODEL, read_bar_file(tmp_path / "bars.csv"))


def test_the_noise_of_computed_prices_is_none_to_a_model(bars: Path, tmp_path: Path) -> None:
    table = pl.read_csv(bars)
    noisy = table.with_columns(pl.col("Close") * (1 + 4e-16))
    assert not noisy["Close"].equals(table["Close"])
    noisy.write_csv(tmp_path / "noisy.csv")
    plain, read = read_bar_file(bars), read_bar_file(tmp_path / "noisy.csv")
    assert not read.bars["close"].equals(plain.bars["close"])
    assert ModelFrame(MODEL, read).compute().equals(ModelFrame(MODEL, plain).compute())


def test_of_a_model_s_features_the_one_that_breaks_is_named(bars: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    frame = ModelFrame(MODEL, read_bar_file(bars))
    assert frame.check().findings == ()
    whole = FeatureSet.compute

    def broken(self: FeatureSet, table: pl.DataFrame) -> pl.DataFrame:
        return whole(self, table).with_columns(pl.col("ret_4").shift(-1))

    monkeypatch.setattr(FeatureSet, "compute", broken)
    assert {(one.feature, one.rule) for one in frame.check().findings} == {
        ("ret_4", "look_ahead"),
        ("ret_4", "warm_up"),
    }


@pytest.mark.parametrize(
    ("body", "why"),
    [
        ("return bars['nothing']", "fails on 999 bars: ColumnNotFoundError.*mine.py, line 5"),
        ("return pl.Series(['high'] * bars.height)", "values of type String; allowed are numbers"),
        ("return bars['close'].to_list()", "gives list; allowed is a Polars series of 999 numbers"),
        ("return bars['close'].head(3)", "gives 3 values"),
        ("return (", "cannot be loaded: SyntaxError.*mine.py, line 5"),
    ],
)
def test_python_that_fails_is_told_with_its_line(
    bars: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str], body: str, why: str
) -> None:
    out = tmp_path / "x.csv"
    status, _, told = run(
        capsys, "compute", "--set", str(own_set(tmp_path, body)), "--in", str(bars), "--out", str(out)
    )
    assert status == 2
    assert re.search(f"feature own: .*{why}", told), told
    assert not out.exists()


@pytest.mark.parametrize(
    ("body", "needs", "status"),
    [
        ("return bars['close'].rolling_mean(31, center=True)", 400, 3),
        ("return bars['close'].rolling_mean(31)", 400, 0),
        ("return bars['close'].rolling_mean(31)", 999, 2),
    ],
)
@pytest.mark.parametrize("rows", [999, 500])
def test_python_that_needs_many_bars_is_tried_on_as_many(
    bars: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str], body: str, needs: int, status: int, rows: int
) -> None:
    few = tmp_path / "few.csv"
    pl.read_csv(bars).tail(rows).write_csv(few)
    needs = min(needs, rows)
    path = own_set(tmp_path, f"assert bars.height >= {needs}\n    {body}")
    assert run(capsys, "compute", "--set", str(path), "--in", str(few), "--out", str(tmp_path / "x.csv"))[0] == 0
    ended, told, _ = run(capsys, "check", "--set", str(path), "--in", str(few), "--json")
    facts = json.loads(told)
    assert ended == status
    if status == 2:
        assert "feature own: fails on" in facts["error"]
        return
    assert {one["rule"] for one in facts["findings"]} == ({"look_ahead"} if status else set())
    (failing,) = facts["failing"]
    (most,) = re.findall(r"feature own: fails on (\d+) bars: AssertionError.*mine.py, line 5", failing)
    assert 0 < int(most) < needs


@pytest.mark.parametrize("name", ["timestamp", "is_warm", "close", "number", "sentiment", "or"])
def test_a_name_that_stands_for_something_else_is_refused(
    bars: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str], name: str
) -> None:
    path = tmp_path / "set.toml"
    path.write_text(f'[[feature]]\nname = "{name}"\nexpression = "close / lag(close, 1)"\n')
    status, _, told = run(capsys, "compute", "--set", str(path), "--in", str(bars), "--out", str(tmp_path / "x.csv"))
    assert status == 2
    assert name in told


def test_a_feature_of_the_catalogue_goes_live_as_it_is_written_out(
    bars: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    tables = [
        run(capsys, "explain", name, "--expanded", "--window", "48")[1] for name in ("zscore_20", "rsi_2", "adx_14")
    ]
    path = tmp_path / "features.toml"
    path.write_text("bar_seconds = 900\n" + "".join(tables))
    assert run(capsys, "check", "--set", str(path), "--in", str(bars))[0] == 0
    out = tmp_path / "live.parquet"
    assert run(capsys, "compute", "--set", str(path), "--in", str(bars), "--out", str(out))[0] == 0
    live = pl.read_parquet(out)
    assert run(capsys, "compute", "zscore_20", "--in", str(bars), "--out", str(out))[0] == 0
    # Up to the missing bar, where the service begins anew.
    assert live["zscore_20"][400:700].to_list() == pl.read_parquet(out)["zscore_20"][400:700].cast(pl.Float32).to_list()
    # As a set of research it is taken, too.
    path.write_text("".join(tables))
    assert run(capsys, "check", "--set", str(path), "--in", str(bars))[0] == 0
    status, _, told = run(capsys, "explain", "depth_imbalance", "--expanded")
    assert (status, "no bundle takes it: the column bid_depth" in told) == (2, True)
    assert (
        json.loads(run(capsys, "explain", "ema_200", "--json")[1])["online"] == "with restart windows of 1024 at most"
    )


def test_facts_reach_a_daily_bar_by_the_hours_of_its_venue(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    bars = tmp_path / "bars.csv"
    days = ["2024-01-04", "2024-01-05", "2024-01-08"]
    bars.write_text("Date,Open,High,Low,Close,Volume\n" + "".join(f"{day},2,2,2,2,1\n" for day in days))
    known = tmp_path / "known.csv"
    # Half an hour after the close of the 5th, and at its noon.
    known.write_text("ts_known,symbol,sentiment\n2024-01-05T21:30:00Z,AAA,0.5\n2024-01-05T17:00:00Z,BBB,0.25\n")
    out = tmp_path / "out.csv"
    arguments = ["compute", "sentiment_level", "--in", str(bars), "--known", str(known), "--out", str(out)]
    status, _, told = run(capsys, *arguments)
    assert (status, "say whose with --known-symbol" in told, out.exists()) == (2, True, False)
    for symbol, close, expected in (
        ("AAA", "XNYS", "8"),
        ("BBB", "XNYS", "58"),
        ("BBB", "", "8"),
        ("AAA", "24/7", "58"),
    ):
        assert run(capsys, *arguments, "--known-symbol", symbol, "--close", close)[0] == 0
        made = pl.read_csv(out, infer_schema=False).drop_nulls("sentiment_level")
        assert "".join(day[-1] for day in made["Date"]) == expected, (symbol, close)


def test_a_model_of_daily_bars_is_given_facts_where_the_service_decides(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    bars, known, model = (tmp_path / name for name in ("bars.csv", "known.csv", "model.toml"))
    days = [f"2024-01-0{day}" for day in range(4, 8)]
    bars.write_text("Date,Open,High,Low,Close,Volume\n" + "".join(f"{day},2,2,2,2,1\n" for day in days))
    known.write_text("ts_known,sentiment\n2024-01-05T21:30:00Z,0.5\n")
    feature = '[[feature]]\nname = "level"\nkind = "expression"\nexpression = "sentiment"\nunit = "number"\n'
    slow = '[[slow]]\nname = "sentiment"\nunit = "number"\nmax_age_seconds = 864000\n'
    for text, first in ((f"bar_seconds = 86400\n{slow}{feature}", "5"), (feature, "6")):
        model.write_text(text)
        out = tmp_path / "out.csv"
        arguments = ["compute", "--set", str(model), "--in", str(bars), "--known", str(known), "--out", str(out)]
        assert run(capsys, *arguments)[0] == 0
        assert pl.read_csv(out, infer_schema=False).drop_nulls("level")["Date"][0] == f"2024-01-0{first}"

"""`py_rt data bars`, `reports`, `sentiment` and `convert`: what they make is what other commands take."""

from __future__ import annotations

import json
import os
import re
from pathlib import Path

import numpy as np
import polars as pl
import py_rt_core
import pytest

from py_rt.cli.main import main
from py_rt.data.bar_files import read_bar_file
from py_rt.data.event_bars import Rule, bars_of, read_quotes, read_trades
from py_rt.data.formats import read_file, scales_of
from py_rt.data.ingestion.fundamental import METRICS
from py_rt.ml.features.expressions import Expressions, readable
from py_rt.ml.features.known import read_facts

SHARED = Path(os.environ.get("PY_RT_SHARED_DATA", Path(__file__).resolve().parents[4] / "shared" / "data"))
needs_shared = pytest.mark.skipif(not SHARED.is_dir(), reason=f"recorded market data not found at {SHARED}")

START_NS = 1_704_067_200 * 10**9
MINUTE_NS = 60 * 10**9
MINUTES = 90
UNITS = 10**8


def run(capsys: pytest.CaptureFixture[str], *arguments: str | Path) -> tuple[int, str, str]:
    status = main(["data", *map(str, arguments)])
    told = capsys.readouterr()
    return status, told.out, told.err


def events() -> tuple[pl.DataFrame, pl.DataFrame]:
    """Quotes and trades of 90 minutes in units of 1e-8; in the 40th minute nothing is traded."""
    random = np.random.default_rng(7)
    ts = START_NS + np.sort(random.integers(0, MINUTES * MINUTE_NS, 3_000))
    bid = (40_000_00 + np.cumsum(random.integers(-2, 3, ts.size))) * (UNITS // 100)
    quotes = pl.DataFrame(
        {
            "ts": ts,
            "bid": bid,
            "bid_quantity": random.integers(1, 9_000, ts.size) * 1_000,
            "ask": bid + random.integers(1, 5, ts.size) * (UNITS // 100),
            "ask_quantity": random.integers(1, 9_000, ts.size) * 1_000,
            "bid_depth": [0] * ts.size,
            "ask_depth": [0] * ts.size,
        }
    )
    # Venues tell milliseconds: several trades share one.
    traded = START_NS + np.sort(random.integers(0, MINUTES * 60_000, 6_000)) // 20 * 20 * 10**6
    trades = pl.DataFrame(
        {
            "ts": traded,
            "price": (40_000_00 + random.integers(-400, 400, traded.size)) * (UNITS // 100),
            "quantity": random.integers(1, 5_000, traded.size) * 1_000,
            "side": random.choice([1, -1], traded.size),
        }
    )
    return quotes, trades.filter((pl.col("ts") - START_NS) // MINUTE_NS != 40)


def as_people_write(frame: pl.DataFrame, path: Path, **names: str) -> Path:
    """A CSV as venues publish it: ISO times, decimal numbers, names of their own."""
    at = pl.from_epoch("ts", time_unit="ns").dt.strftime("%Y-%m-%dT%H:%M:%S%.9fZ")
    numbers = [name for name in frame.columns if name not in {"ts", "side"}]
    side = [pl.col("side").replace_strict({1: "BUY", -1: "SELL"})] if "side" in frame.columns else []
    frame.select(at, *((pl.col(name) / UNITS).round(8) for name in numbers), *side).rename(names).write_csv(path)
    return path


@pytest.fixture(scope="module")
def files(tmp_path_factory: pytest.TempPathFactory) -> tuple[Path, Path]:
    folder = tmp_path_factory.mktemp("events")
    quotes, trades = events()
    names = {
        "ts": "time",
        "bid": "Bid Price",
        "bid_quantity": "Bid Size",
        "ask": "Ask Price",
        "ask_quantity": "Ask Size",
    }
    return (
        as_people_write(trades, folder / "trades.csv", ts="timestamp", quantity="qty"),
        as_people_write(quotes.drop("bid_depth", "ask_depth"), folder / "quotes.csv", **names),
    )


def test_trades_and_quotes_are_read_to_the_last_digit(files: tuple[Path, Path]) -> None:
    quotes, trades = events()
    assert read_trades(files[0]).equals(trades)
    assert read_quotes(files[1]).equals(quotes)


def test_minutes_of_trades_and_quotes_have_every_feature_of_order_flow(
    files: tuple[Path, Path], tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    quotes, trades = events()
    out, made = tmp_path / "minutes.parquet", tmp_path / "features.parquet"
    told = run(capsys, "bars", files[0], "--quotes", files[1], "--rule", "time", "--size", "60", "--out", out, "--json")
    assert told[0] == 0, told
    assert json.loads(told[1])["bars"] == MINUTES - 1
    names = [feature.name for feature in readable(read_bar_file(out).bars.columns) if feature.family == "flow"]
    assert {"spread_bps", "microprice", "vpin_20", "kyle_lambda_20"} <= set(names)
    assert main(["features", "compute", ",".join(names), "--in", str(out), "--out", str(made)]) == 0
    numbers, columns = py_rt_core.flow_columns(quotes, trades, MINUTE_NS)
    flow = pl.DataFrame([pl.Series("number", numbers), *(pl.Series(name, values) for name, values in columns)])
    bars = pl.read_parquet(out)
    closes = trades.group_by(pl.col("ts") // MINUTE_NS, maintain_order=True).agg(pl.col("price").last())
    close = flow.join(closes, left_on="number", right_on="ts", how="left", maintain_order="left")[
        "price"
    ].forward_fill()
    assert (bars["close"] * UNITS).round().cast(pl.Int64).to_list() == close.to_list()
    assert bars.row(40, named=True)["volume"] == 0
    # To the last bit where the engine counts whole units; its means over time are no whole units.
    read = read_bar_file(out).bars
    for name in ("order_flow", "buy_volume", "trades", "mid_variation", "bid", "ask_quantity", "sell_intensity"):
        assert read[name].equals(flow[name]), name
    direct = Expressions([feature for feature in readable(read.columns) if feature.name in names])
    whole = direct.compute(flow.with_columns(*(read[name] for name in ("open", "high", "low", "close", "volume"))))
    computed = pl.read_parquet(made)
    for name in names:
        ours, theirs = computed[name].to_numpy(), whole[name].to_numpy()
        assert np.isfinite(ours).any(), name
        np.testing.assert_allclose(ours, theirs, rtol=1e-9, atol=1e-12, err_msg=name)


@pytest.mark.parametrize(
    ("rule", "size"),
    [
        ("ticks", "50"),
        ("volume", "1"),
        ("dollars", "40000"),
        ("ticks_imbalance", "40"),
        ("volume_imbalance", "40"),
        ("dollars_imbalance", "40"),
        ("ticks_run", "40"),
        ("volume_run", "40"),
        ("dollars_run", "40"),
    ],
)
def test_bars_of_every_rule_are_the_engines_and_features_read_them(
    files: tuple[Path, Path], tmp_path: Path, capsys: pytest.CaptureFixture[str], rule: str, size: str
) -> None:
    out, made = tmp_path / "bars.csv", tmp_path / "features.parquet"
    assert run(capsys, "bars", files[0], "--rule", rule, "--size", size, "--out", out)[0] == 0
    engine = pl.DataFrame(dict(py_rt_core.event_bars(events()[1], rule, float(size), 20.0)))
    file = read_bar_file(out)
    for name in ("open", "high", "low", "close", "volume", "buy_volume"):
        assert file.bars[name].to_list() == engine[name].to_list(), name
    assert file.bars["trades"].to_list() == engine["trades"].to_list()
    moved = file.ts_open - engine["ts_open"]
    assert moved.min() == 0
    assert int(moved.max()) < file.bars.height  # type: ignore[arg-type]
    asked = ["features", "compute", "sma_5,rsi_14", "--in", str(out), "--out", str(made)]
    assert main(asked) == 0
    average = (engine["close"] / UNITS).rolling_mean(5)
    np.testing.assert_allclose(pl.read_parquet(made)["sma_5"].to_numpy()[4:], average.to_numpy()[4:], rtol=1e-12)


def test_bars_that_open_at_one_instant_stand_behind_each_other() -> None:
    trades = pl.DataFrame({"ts": [5, 5, 5, 6], "price": [UNITS] * 4, "quantity": [UNITS] * 4, "side": [1, 1, -1, 1]})
    bars = bars_of(trades, Rule("ticks", 1.0))
    assert bars["ts_open"].to_list() == [5, 6, 7, 8]
    assert bars["sell_volume"].to_list() == [0, 0, 1, 0]
    assert (bars["ts_close"] >= bars["ts_open"]).all()


def test_who_took_is_read_of_the_maker_or_told_by_the_tick_rule(tmp_path: Path) -> None:
    path = tmp_path / "trades.csv"
    path.write_text("time,price,qty,is_buyer_maker\n1704067200,7,1,true\n1704067201,8,1,false\n1704067202,8,1,true\n")
    assert read_trades(path)["side"].to_list() == [-1, 1, -1]
    assert read_trades(path, by_tick_rule=True)["side"].to_list() == [1, 1, 1]
    path.write_text("time,price,qty\n1704067200,7,1\n1704067201,6,1\n1704067202,6,1\n1704067203,6.5,1\n")
    assert read_trades(path, by_tick_rule=True)["side"].to_list() == [1, -1, -1, 1]


@pytest.mark.parametrize(
    ("text", "why"),
    [
        ("time,price,qty\n1704067200,7,1\n", "no column that says who took .* --tick-rule"),
        ("time,price,qty,side\n1704067200,7,1,buy\n1704067199,7,1,buy\n", "row 3: time '1704067199' is before"),
        ("time,price,qty,side\n1704067200,7,1,both\n", "row 2: side 'both' says no side; allowed are buy"),
        ("time,price,qty,side\n1704067200,inf,1,buy\n", "row 2: price 'inf' is no number of 1e-8 or more"),
        ("time,price,qty,side\nnever,7,1,buy\n", "row 2: time 'never' cannot be read as a time"),
        ("time,price,side\n1704067200,7,buy\n", "no column for quantity: usual names are quantity, qty"),
        ("time,price,qty,side\n1704067200,7,1,buy\n", "1 trades make no whole bar by ticks 2"),
    ],
)
def test_trades_that_cannot_be_used_are_told_and_nothing_is_written(
    tmp_path: Path, capsys: pytest.CaptureFixture[str], text: str, why: str
) -> None:
    path, out = tmp_path / "trades.csv", tmp_path / "bars.csv"
    path.write_text(text)
    status, _, told = run(capsys, "bars", path, "--rule", "ticks", "--size", "2", "--out", out)
    assert status == 2
    assert re.search(why, told), told
    assert not out.exists()


def test_a_rule_that_is_none_and_quotes_beside_events_are_refused(
    files: tuple[Path, Path], tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    out = tmp_path / "bars.csv"
    status, _, told = run(capsys, "bars", files[0], "--rule", "weather", "--size", "2", "--out", out)
    assert (status, "there are time, and ticks, volume, dollars" in told) == (2, True)
    status, _, told = run(
        capsys, "bars", files[0], "--quotes", files[1], "--rule", "ticks", "--size", "2", "--out", out
    )
    assert (status, "say --rule time" in told) == (2, True)
    status, _, told = run(capsys, "bars", files[0], "--rule", "time", "--size", "nan", "--out", out)
    assert (status, "bars of nan s" in told) == (2, True)
    status, _, told = run(capsys, "bars", files[0], "--rule", "ticks", "--size", "2", "--out", files[0])
    assert (status, "would be lost" in told) == (2, True)


HEADER = "collected,symbol,end_date,amend,period_focus,fiscal_year,doc_type," + ",".join(METRICS) + "\n"


def report(collected: str, end: str, doc_type: str, focus: str, **said: str) -> str:
    values = [said.get(name, "") for name in METRICS]
    return ",".join((collected, "ACME", end, "False", focus, end[:4], doc_type, *values)) + "\n"


def test_reports_become_facts_that_features_and_tell_take(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    archive, known = tmp_path / "reports.csv", tmp_path / "known.csv"
    archive.write_text(
        HEADER
        + report("20140303", "2013-12-31", "10-K", "FY", eps_diluted="1.0", assets="50")
        + report("20150302", "2014-12-31", "10-K", "FY", eps_basic="2.0", dividend="0.5")
        + report("20150501", "2015-03-31", "10-Q", "Q1", eps_diluted="0.7")
        + report("20150601", "2013-12-31", "10-K", "FY", eps_diluted="0.8")
        + report("20150701", "2014-12-31", "10-K", "FY", eps_diluted="1.5")
    )
    assert run(capsys, "reports", archive, "--symbol", "ACME", "--out", known)[0] == 0
    made = pl.read_csv(known)
    assert made["earnings_per_share"].to_list() == [1.0, 2.0, 2.0, 2.0, 1.5]
    assert made["earnings_per_share_before"].to_list() == [None, 1.0, 1.0, 0.8, 0.8]
    assert made["eps_diluted"].to_list() == [1.0, None, 0.7, 0.7, 0.7]
    assert made["dividends_per_share"].to_list() == [None, 0.5, 0.5, 0.5, None]
    bars, out = tmp_path / "bars.csv", tmp_path / "out.csv"
    bars.write_text("Date,Close\n2015-02-27,10\n2015-03-02,10\n2015-07-01,10\n")
    asked = ["features", "compute", "earnings_yield", "--in", str(bars), "--known", str(known), "--close", "XNYS"]
    assert main([*asked, "--out", str(out)]) == 0
    assert pl.read_csv(out)["earnings_yield"].to_list() == [0.1, 0.2, 0.15]
    # What `py_rt tell` reads: every column, without a choice of names.
    assert set(read_facts(known).columns) == set(made.columns) - {"symbol"}
    status, _, told = run(capsys, "reports", archive, "--symbol", "ACNE", "--out", known)
    assert (status, "there are ACME" in told) == (2, True)


@needs_shared
def test_every_company_of_a_real_archive_gets_its_facts(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    known = tmp_path / "known.parquet"
    archive = SHARED / "fundamentals_prices_us_2015_2017" / "reports.csv.gz"
    assert run(capsys, "reports", archive, "--out", known)[0] == 0
    made = pl.read_parquet(known)
    assert not made.select("symbol", "ts_known").is_duplicated().any()
    assert made["earnings_per_share"].count() > 10_000
    symbol = made.filter(pl.col("earnings_per_share_before").is_not_null())["symbol"][0]
    assert read_facts(known, symbol=symbol).height == made.filter(pl.col("symbol") == symbol).height


TEXTS = [
    {"symbol": "A", "created_at": "2024-01-02T10:00:00Z", "text": "great results, best year ever"},
    {"symbol": "A", "created_at": "2024-01-02T11:00:00Z", "text": "great results, best year ever"},
    {"symbol": "A", "created_at": "2024-01-02T22:00:00Z", "text": "awful fraud, terrible loss"},
    {"symbol": "B", "created_at": "2024-01-03T09:00:00Z", "text": "hacked and stolen"},
]


def test_texts_become_sentiment_that_features_take(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    texts, known = tmp_path / "texts.jsonl", tmp_path / "sentiment.csv"
    texts.write_text("".join(json.dumps(one) + "\n" for one in TEXTS))
    assert run(capsys, "sentiment", texts, "--day-end", "21:00", "--out", known)[0] == 0
    made = pl.read_csv(known)
    assert made["symbol"].to_list() == ["A", "A", "B"]
    assert made["texts"].to_list() == [2, 1, 1]
    assert made["sentiment"][0] > 0.5
    assert made["sentiment"][1] < -0.5
    ends = pl.from_epoch(made["ts_known"], "ns").dt.strftime("%dT%H:%M").to_list()
    assert ends == ["02T21:00", "03T21:00", "03T21:00"]
    bars, out = tmp_path / "bars.csv", tmp_path / "out.csv"
    bars.write_text("timestamp,Close\n2024-01-02T20:00:00Z,1\n2024-01-02T21:00:00Z,1\n")
    asked = ["features", "compute", "sentiment_level", "--in", str(bars), "--known", str(known), "--known-symbol", "A"]
    assert main([*asked, "--out", str(out)]) == 0
    assert pl.read_csv(out)["sentiment_level"].to_list() == [made["sentiment"][0]] * 2
    assert run(capsys, "sentiment", texts, "--symbol", "A", "--no-repeats", "--out", known)[0] == 0
    assert pl.read_csv(known)["texts"].to_list() == [2]
    assert run(capsys, "sentiment", texts, "--day-end", "evening", "--out", known)[0] == 2


def test_texts_of_a_table_are_scored_as_those_of_json_lines(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    lines, table = tmp_path / "texts.jsonl", tmp_path / "texts.parquet"
    lines.write_text("".join(json.dumps(one) + "\n" for one in TEXTS))
    at = pl.col("created_at").str.to_datetime(time_zone="UTC", time_unit="ns").dt.epoch("ns")
    pl.DataFrame(TEXTS).select("symbol", at.alias("ts_known"), pl.col("text").alias("title")).write_parquet(table)
    assert run(capsys, "sentiment", lines, "--out", tmp_path / "a.csv")[0] == 0
    asked: list[str | Path] = [
        "sentiment",
        table,
        "--field",
        "sent=ts_known",
        "--field",
        "text=title",
        "--out",
        tmp_path / "b.csv",
    ]
    assert run(capsys, *asked)[0] == 0
    assert (tmp_path / "a.csv").read_bytes() == (tmp_path / "b.csv").read_bytes()
    status, _, told = run(capsys, "sentiment", table, "--out", tmp_path / "b.csv")
    assert (status, "row 1: has no created_at, text" in told) == (2, True), told


def test_sentiment_of_a_graph_over_hashed_words(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    onnx = pytest.importorskip("onnx")
    helper, tensor = onnx.helper, onnx.TensorProto
    from py_rt.ml.features.sentiment import hashed_words

    width = 64
    weights = np.linspace(-1, 1, width, dtype=np.float32).reshape(width, 1)
    graph = helper.make_graph(
        [helper.make_node("MatMul", ["words", "weights"], ["score"])],
        "linear",
        [helper.make_tensor_value_info("words", tensor.FLOAT, [None, width])],
        [helper.make_tensor_value_info("score", tensor.FLOAT, [None, 1])],
        [onnx.numpy_helper.from_array(weights, "weights")],
    )
    model = helper.make_model(graph, opset_imports=[helper.make_opsetid("", 17)], ir_version=8)
    path, texts, known = tmp_path / "words.onnx", tmp_path / "texts.jsonl", tmp_path / "known.parquet"
    path.write_bytes(model.SerializeToString())
    texts.write_text("".join(json.dumps(one) + "\n" for one in TEXTS))
    told = run(capsys, "sentiment", texts, "--symbol", "B", "--model", path, "--out", known, "--json")
    assert told[0] == 0, told
    assert json.loads(told[1])["scorer"].startswith("words.onnx-")
    expected = float((hashed_words(["hacked and stolen"], width=width)["words"] @ weights)[0, 0])
    assert pl.read_parquet(known)["sentiment"][0] == pytest.approx(expected, rel=1e-6)
    path.write_text("no graph")
    status, _, why = run(capsys, "sentiment", texts, "--model", path, "--out", known)
    assert (status, "no ONNX graph" in why) == (2, True)


def npz(path: Path) -> Path:
    names = ("ev", "exch_ts", "local_ts", "px", "qty", "order_id", "ival", "fval")
    kinds = ("u8", "i8", "i8", "f8", "f8", "u8", "i8", "f8")
    buy, sell, at_venue = 1 << 29, 1 << 28, 1 << 31
    rows = [
        (2 | side | at_venue, START_NS + at * 10**9, START_NS, 60_000.01 + at, 0.1 * (at + 1), 0, 0, 0.0)
        for at, side in enumerate((buy, sell, buy, buy))
    ]
    rows.insert(2, (1 | buy | at_venue, START_NS + 10**9, START_NS, 59_999.5, 0.0, 0, 0, 0.0))
    np.savez_compressed(path, data=np.array(rows, dtype=list(zip(names, kinds, strict=True))))
    return path


def test_events_of_hftbacktest_become_files_and_bars(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    source, events_file, out = npz(tmp_path / "day.npz"), tmp_path / "day.parquet", tmp_path / "bars.csv"
    assert run(capsys, "convert", source, events_file)[0] == 0
    assert scales_of(events_file) == {"price": 8, "quantity": 8}
    trades = read_trades(events_file)
    assert trades["price"].to_list() == [6_000_001_000_000 + at * UNITS for at in range(4)]
    assert trades["side"].to_list() == [1, -1, 1, 1]
    assert run(capsys, "bars", events_file, "--rule", "ticks", "--size", "2", "--out", out)[0] == 0
    assert pl.read_csv(out)["buy_volume"].to_list() == [0.1, 0.7]
    text = tmp_path / "day.csv"
    assert run(capsys, "convert", source, text)[0] == 0
    assert pl.read_csv(text, schema_overrides={"price": pl.String})["price"][2] == "59999.5"
    assert read_trades(text).equals(trades)


def test_every_kind_of_file_comes_back_as_it_was(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    first = tmp_path / "a.csv"
    first.write_text("code,count,price,word\n007,1,0.1,x\n008,,-2.5e-7,\n")
    for name in ("b.parquet", "c.h5", "d.hdf5", "e.csv.gz"):
        assert run(capsys, "convert", first, tmp_path / name)[0] == 0
    rows = read_file(tmp_path / "c.h5")
    assert rows.rows() == [("007", 1, 0.1, "x"), ("008", None, -2.5e-7, "")]
    assert read_file(tmp_path / "b.parquet").equals(rows)
    assert run(capsys, "convert", tmp_path / "d.hdf5", tmp_path / "f.parquet")[0] == 0
    assert (tmp_path / "f.parquet").read_bytes() == (tmp_path / "b.parquet").read_bytes()
    assert run(capsys, "convert", first, tmp_path / "c.h5", "--table", "other")[0] == 0
    assert read_file(tmp_path / "c.h5", group="other").equals(read_file(tmp_path / "c.h5"))


def test_names_and_long_numbers_of_a_csv_stay_what_they_are(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    first, kept, back = tmp_path / "a.csv", tmp_path / "b.parquet", tmp_path / "c.csv"
    first.write_text(
        "id,odd,ticker,gap,size\n"
        "12345678901234567890,9007199254740993,NAN,nan,9007199254740991\n"
        "12345678901234567891,-1.5,INF,2.5,0.5\n"
    )
    assert run(capsys, "convert", first, kept)[0] == 0
    assert [str(dtype) for dtype in read_file(kept).dtypes] == ["String", "String", "String", "Float64", "Float64"]
    assert run(capsys, "convert", kept, back)[0] == 0
    assert [line.split(",")[:3] for line in back.read_text().splitlines()] == [
        line.split(",")[:3] for line in first.read_text().splitlines()
    ]


@pytest.mark.parametrize(
    ("source", "target", "why"),
    [
        ("a.csv", "a.csv", "would be lost"),
        ("a.csv", "b.xlsx", "must end with .csv"),
        ("a.xlsx", "b.csv", "is of no kind that is read"),
        ("absent.parquet", "b.csv", "absent.parquet"),
        ("cut.h5", "b.csv", "cut off or no HDF5 file"),
    ],
)
def test_files_that_cannot_be_converted_are_told(
    tmp_path: Path, capsys: pytest.CaptureFixture[str], source: str, target: str, why: str
) -> None:
    (tmp_path / "a.csv").write_text("a,b\n1,2\n")
    (tmp_path / "cut.h5").write_bytes(b"\x89HDF")
    status, _, told = run(capsys, "convert", tmp_path / source, tmp_path / target)
    assert (status, why in told) == (2, True), told
    assert (tmp_path / "a.csv").read_text() == "a,b\n1,2\n"

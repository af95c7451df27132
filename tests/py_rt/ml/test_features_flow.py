"""What happened in a bar beside its prices, and bars that close by events: against plain loops over the same events."""

from __future__ import annotations

import math
from itertools import pairwise
from typing import TYPE_CHECKING

import numpy as np
import polars as pl
import py_rt_core
import pytest

from py_rt.data.bar_files import read_bar_file, with_reference
from py_rt.errors import SourceError
from py_rt.ml.features.catalogue import CatalogueError, catalogue
from py_rt.ml.features.expressions import Expressions, chosen
from py_rt.ml.features.technical import FeatureError, FeatureSet, rows_that_differ_online

if TYPE_CHECKING:
    from pathlib import Path

BAR_NS = 60_000_000_000
NS_PER_SECOND = 1_000_000_000
BARS = 400


def events(seed: int) -> tuple[pl.DataFrame, pl.DataFrame]:
    """Quotes and trades of a market that moves by ticks; now and then its book is not known."""
    random = np.random.default_rng(seed)
    count = BARS * 25
    ts = np.sort(random.integers(0, BARS * BAR_NS, count))
    bid = 1_000_000 + np.cumsum(random.integers(-1, 2, count)) * 100
    lost = random.random(count) < 0.01
    quotes = pl.DataFrame(
        {
            "ts": ts,
            "bid": np.where(lost, 0, bid),
            "bid_quantity": random.integers(1, 50, count) * 1_000,
            "ask": bid + 100 * random.integers(1, 4, count),
            "ask_quantity": random.integers(1, 50, count) * 1_000,
            "bid_depth": random.integers(50, 500, count) * 1_000,
            "ask_depth": random.integers(50, 500, count) * 1_000,
        }
    )
    traded = np.sort(random.integers(0, BARS * BAR_NS, count // 2))
    trades = pl.DataFrame(
        {
            "ts": traded,
            "price": 1_000_000 + random.integers(-50, 50, traded.size) * 100,
            "quantity": random.integers(1, 90, traded.size) * 1_000,
            "side": random.choice([1, -1], traded.size),
        }
    )
    return quotes, trades


def flow_of(quotes: pl.DataFrame, trades: pl.DataFrame) -> pl.DataFrame:
    numbers, columns = py_rt_core.flow_columns(quotes, trades, BAR_NS)
    return pl.DataFrame([pl.Series("number", numbers), *(pl.Series(name, column) for name, column in columns)])


def test_a_models_set_reads_them_in_every_path_alike(tmp_path: Path) -> None:
    path = tmp_path / "set.toml"
    path.write_text(
        "bar_seconds = 60\n"
        '[[feature]]\nname = "pressure"\nkind = "expression"\nunit = "number"\n'
        'expression = "mean(order_flow, 3) / (bid_quantity + ask_quantity)"\n'
        '[[feature]]\nname = "bought"\nkind = "expression"\nunit = "number"\n'
        'expression = "if(trades > 0, buy_volume / (buy_volume + sell_volume), 0.5)"\n'
    )
    features = FeatureSet.from_toml(path)
    assert features.columns[6:] == (
        "bid_quantity",
        "ask_quantity",
        "order_flow",
        "buy_volume",
        "sell_volume",
        "trades",
    )
    quotes, trades = events(7)
    flow = flow_of(quotes, trades)
    prices = pl.DataFrame({name: pl.Series([100] * flow.height) for name in ("open", "high", "low", "close", "volume")})
    bars = pl.concat([prices.with_columns(ts_open=flow["number"] * BAR_NS), flow], how="horizontal")
    made = features.compute(bars)
    assert made["is_warm"].sum() > BARS // 2
    assert rows_that_differ_online(features, bars, 0) == []
    expected = flow["order_flow"].rolling_mean(3) / (flow["bid_quantity"] + flow["ask_quantity"])
    row = int(made["is_warm"].arg_max() or 0)
    assert made["pressure"][row] == pytest.approx(expected[row], rel=1e-6)
    with pytest.raises(FeatureError, match="bars lack bid_quantity"):
        features.compute(bars.drop("bid_quantity"))


def added_and_removed(price: int, before: int, new_price: int, now: int) -> tuple[int, int]:
    if new_price > price:
        return now, 0
    if new_price < price:
        return 0, before
    return max(now - before, 0), max(before - now, 0)


def test_sums_are_those_of_a_plain_loop() -> None:
    quotes, trades = events(1)
    made = flow_of(quotes, trades).head(BARS - 1)
    expected = {name: [0.0] * made.height for name in ("order_flow", "buy_volume", "trades", "mid_path", "bid_removed")}
    for before, now in pairwise(quotes.iter_rows(named=True)):
        at = now["ts"] // BAR_NS
        if at >= made.height or before["bid"] == 0 or now["bid"] == 0:
            continue
        bid = added_and_removed(before["bid"], before["bid_quantity"], now["bid"], now["bid_quantity"])
        ask = added_and_removed(-before["ask"], before["ask_quantity"], -now["ask"], now["ask_quantity"])
        expected["order_flow"][at] += bid[0] - bid[1] - ask[0] + ask[1]
        expected["bid_removed"][at] += bid[1]
        expected["mid_path"][at] += abs(now["bid"] + now["ask"] - before["bid"] - before["ask"]) / 2
    for trade in trades.iter_rows(named=True):
        at = trade["ts"] // BAR_NS
        if at < made.height:
            expected["trades"][at] += 1
            expected["buy_volume"][at] += trade["quantity"] if trade["side"] == 1 else 0
    for name, values in expected.items():
        assert made[name].to_list() == values, name
    assert made["number"].to_list() == list(range(made.height))


def test_intensities_are_sums_of_fading_trades_known_after_a_whole_step_of_the_grid() -> None:
    quotes, trades = events(2)
    made = flow_of(quotes, trades)
    # Steps of 300 s: the first is whole only by chance, the second ends with bar 9.
    assert made["sell_intensity"].is_nan().sum() == 9
    for at in (9, 77, BARS - 2):
        close = (at + 1) * BAR_NS
        sold = trades.filter((pl.col("ts") < close) & (pl.col("side") == -1))
        exact = sum(math.exp(-(close - ts) / (10 * NS_PER_SECOND)) for ts in sold["ts"])
        assert made["sell_intensity"][at] == pytest.approx(exact, rel=1e-11)


@pytest.mark.parametrize(
    ("changed", "why"),
    [
        ({"bid_depth": -1}, "row 3: quantities .* allowed are none below 0"),
        ({"ts": 2**62}, "bars of 60000000000 ns; allowed are 8000000"),
    ],
)
def test_a_wrong_quote_is_refused(changed: dict[str, int], why: str) -> None:
    quotes, trades = events(2)
    column, value = next(iter(changed.items()))
    rows = quotes.head(4).with_columns(
        pl.when(pl.int_range(pl.len()) == 3).then(value).otherwise(pl.col(column)).alias(column)
    )
    with pytest.raises(py_rt_core.CoreError, match=why):
        py_rt_core.flow_columns(rows, trades.head(0), BAR_NS)


def test_features_of_the_flow_have_the_same_bits_by_both_paths_and_values() -> None:
    bars = flow_of(*events(3))
    features = [feature for feature in catalogue().values() if feature.family == "flow"]
    program = Expressions(features)
    whole, single = program.compute(bars), program.compute_one_by_one(bars)
    for name in program.names:
        assert np.array_equal(whole[name].to_numpy().view(np.uint64), single[name].to_numpy().view(np.uint64)), name
        assert whole[name].is_not_nan().sum() > BARS // 3, name
    assert whole["queue_imbalance"].drop_nans().is_between(-1, 1).all()
    assert whole["vpin_20"].drop_nans().is_between(0, 1).all()


def test_where_the_book_stands_still_and_nothing_is_traded_every_feature_has_a_value() -> None:
    program = Expressions([feature for feature in catalogue().values() if feature.family == "flow"])
    book = {"bid": 100.0, "ask": 101.0, "bid_quantity": 1.0, "ask_quantity": 2.0, "bid_depth": 5.0, "ask_depth": 7.0}
    inputs = {name for needs in program.needs for name in needs.inputs}
    still = {name: np.full(100, book.get(name, 0.0) * 1e8) for name in inputs}
    made = program.compute(pl.DataFrame({"number": np.arange(100), **still})).select(program.names).row(99, named=True)
    assert not [name for name, value in made.items() if math.isnan(value)]
    assert {made["kyle_lambda_20"], made["order_flow_impact_20"], made["order_flow_fit_20"]} == {0.0}
    assert made["microprice"] == pytest.approx((100 * 2 + 101) / 3)


def test_bars_without_quotes_are_told_what_they_lack() -> None:
    bars = pl.DataFrame({"number": [1], "close": [1e8]})
    with pytest.raises(
        CatalogueError, match="spread_bps: reads bid, ask, which these bars do not have; they have close"
    ):
        Expressions(chosen(["spread_bps"])).compute(bars)


@pytest.mark.parametrize("rule", ["ticks", "volume", "dollars", "ticks_imbalance", "volume_run", "dollars_imbalance"])
def test_bars_of_events_hold_the_trades_in_order(rule: str) -> None:
    _, trades = events(4)
    size = {"ticks": 40.0, "volume": 0.01, "dollars": 0.0001}.get(rule, 50.0)
    bars = pl.DataFrame(dict(py_rt_core.event_bars(trades, rule, size, 20.0)))
    assert bars.height > 5
    held = trades.head(int(bars["trades"].sum()))
    assert int(bars["volume"].sum()) == int(held["quantity"].sum())
    ends = bars["trades"].cum_sum().to_list()
    for begin, end, bar in zip([0, *ends], ends, bars.iter_rows(named=True), strict=False):
        own = held.slice(begin, end - begin)
        assert (bar["open"], bar["close"]) == (own["price"][0], own["price"][-1])
        assert (bar["high"], bar["low"]) == (own["price"].max(), own["price"].min())
        assert bar["buy_volume"] == own.filter(pl.col("side") == 1)["quantity"].sum()
        if rule == "ticks":
            assert bar["trades"] == 40


@pytest.mark.parametrize(
    ("column", "value", "why"),
    [("side", 0, "row 5: side is 0"), ("quantity", 0, "row 5: price"), ("ts", -1, "row 5: the time -1 is before")],
)
def test_a_wrong_trade_is_refused_with_its_row(column: str, value: int, why: str) -> None:
    _, trades = events(5)
    wrong = trades.with_columns(
        pl.when(pl.int_range(pl.len()) == 5).then(value).otherwise(pl.col(column)).alias(column)
    )
    with pytest.raises(py_rt_core.CoreError, match=why):
        py_rt_core.event_bars(wrong, "ticks", 10.0, 20.0)


def test_an_unknown_rule_is_answered_with_the_known_ones() -> None:
    with pytest.raises(py_rt_core.CoreError, match="there are time, and ticks, volume, dollars"):
        py_rt_core.event_bars(events(6)[1], "weather", 10.0, 20.0)


def test_a_reference_stands_beside_the_bars_of_its_own_time_only(tmp_path: Path) -> None:
    random = np.random.default_rng(8)
    days = pl.date_range(pl.date(2024, 1, 1), pl.date(2024, 6, 30), eager=True)
    close = np.round(100 * np.exp(np.cumsum(random.normal(0, 0.01, days.len()))), 2)
    market = np.round(50 * np.exp(np.cumsum(random.normal(0, 0.01, days.len()))), 2)

    def write(name: str, values: np.ndarray, kept: np.ndarray) -> Path:
        prices = dict.fromkeys(("Open", "High", "Low", "Close"), values[kept])
        table = pl.DataFrame({"Date": days.filter(pl.Series(kept)), **prices, "Volume": np.ones(int(kept.sum()))})
        path = tmp_path / name
        table.write_csv(path)
        return path

    everyone = np.ones(days.len(), dtype=bool)
    there = everyone.copy()
    there[77] = False
    file = with_reference(
        read_bar_file(write("own.csv", close, everyone)), read_bar_file(write("market.csv", market, there))
    )
    assert np.isnan(file.bars["reference_close"][77])
    assert file.bars["reference_close"][78] == pytest.approx(market[78] * 1e8, rel=1e-15)
    beta = Expressions(chosen(["reference_beta_20"])).compute(file.bars)["reference_beta_20"].to_numpy()
    ours, theirs = np.diff(np.log(close)), np.diff(np.log(market))
    for row in (40, 76, 120):
        x, y = ours[row - 20 : row], theirs[row - 20 : row]
        assert beta[row] == pytest.approx(np.cov(x, y)[0, 1] / np.var(y, ddof=1), rel=1e-9)
    # The missing bar is in the windows of its own return, of the next one, and of the twenty behind them.
    assert np.isnan(beta[77:98]).all()
    assert not np.isnan(beta[98:]).any()


def test_a_reference_that_stands_still_explains_nothing_and_one_that_is_the_same_everything() -> None:
    random = np.random.default_rng(9)
    close = pl.Series(np.round(100 * np.exp(np.cumsum(random.normal(0, 0.01, 300))), 2) * 1e8)
    features = [feature for feature in catalogue().values() if feature.family == "cross"]
    names = [feature.name for feature in features]

    def beside(reference: pl.Series) -> pl.DataFrame:
        columns = {"number": pl.int_range(300, eager=True), "close": close, "reference_close": reference}
        return Expressions(features).compute(pl.DataFrame(columns)).select(names).tail(40)

    still, same = beside(pl.Series([1e8] * 300)), beside(close)
    assert not still.select(pl.any_horizontal(pl.all().is_nan().any())).item()
    assert set(still["reference_beta_20"]) == set(still["reference_correlation_60"]) == {0.0}
    assert set(still["idiosyncratic_share_20"]) == {1.0}
    assert same["idiosyncratic_share_20"].min() == pytest.approx(0, abs=1e-12)
    assert same["idiosyncratic_share_20"].is_between(0, 1).all()


def test_a_reference_of_longer_bars_is_refused_because_it_would_tell_the_future(tmp_path: Path) -> None:
    prices = {name: [1.0, 2.0, 3.0] for name in ("Open", "High", "Low", "Close")}
    hours = pl.DataFrame({"Date": [f"2024-01-01 0{hour}:00:00" for hour in range(3)], **prices})
    days = pl.DataFrame({"Date": [f"2024-01-0{day}" for day in range(1, 4)], **prices})
    hours.write_csv(tmp_path / "hours.csv")
    days.write_csv(tmp_path / "days.csv")
    with pytest.raises(SourceError, match="allowed are bars of one length"):
        with_reference(read_bar_file(tmp_path / "hours.csv"), read_bar_file(tmp_path / "days.csv"))

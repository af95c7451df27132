"""Every feature of the catalogue: TA-Lib agrees where it defines the same, both paths give the same bits."""

from __future__ import annotations

import os
import re
from pathlib import Path

import numpy as np
import polars as pl
import pytest
import talib
import talib.abstract

from py_rt.data.bar_files import read_bar_file, units
from py_rt.data.ingestion.market_data import open_source
from py_rt.ml.features.catalogue import CatalogueError, Feature, catalogue, read_features
from py_rt.ml.features.expanded import expand
from py_rt.ml.features.expressions import WARM, Expressions, chosen, readable
from py_rt.ml.features.sets import FeatureFrame
from py_rt.ml.features.technical import FeatureSet, rows_that_differ_online
from py_rt.ml.regime import RegimeModel

SHARED = Path(os.environ.get("PY_RT_SHARED_DATA", Path(__file__).parents[4] / "shared" / "data"))
CALL = re.compile(r"(\w+)\((.*)\)(?:\[(\d)\])?")
COLUMNS = ("open", "high", "low", "close", "volume")
BARS = (*COLUMNS, "day_fraction", "week_fraction")
TOLERANCE = 1e-9
FLOATS = {"BBANDS"}
"""Functions of TA-Lib whose numbers, but for the first, are floats."""
DIGITS_LOST = {"linear_regression_slope_14", "linear_regression_angle_14", "correlation_high_low_30", "beta_high_low_5"}
"""Where TA-Lib's sums of raw prices lose more digits than the tolerance allows in a market that hardly moves."""
NOTHING_LEFT = {"rsi_2", "stoch_rsi_14"}
"""In a halt: averages that restarted within it have nothing left, and a range of equal values is rounding."""


def table(seed: int, rows: int, *, price: float, step: float, places: int) -> pl.DataFrame:
    """Bars of a random walk, prices to so many decimal places, some bars without any change or trade."""
    random = np.random.default_rng(seed)
    moves = random.normal(0, step, rows) * (random.random(rows) > 0.1)
    close = np.round(price * np.exp(np.cumsum(moves)), places)
    opened = np.concatenate([[close[0]], close[:-1]])
    high = np.round(np.maximum(opened, close) + random.exponential(price * step, rows) * (moves != 0), places)
    low = np.round(np.minimum(opened, close) - random.exponential(price * step, rows) * (moves != 0), places)
    volume = np.round(random.exponential(10, rows) * (random.random(rows) > 0.05), 4)
    columns = dict(zip(COLUMNS, (opened, high, low, close, volume), strict=True))
    day = pl.Series(np.arange(rows) % 96 / 96)
    week = pl.Series(np.arange(rows) % 672 / 672)
    return pl.DataFrame({name: units(values) for name, values in columns.items()}).with_columns(
        number=pl.int_range(rows, dtype=pl.Int64), day_fraction=day, week_fraction=week
    )


def of_ta_lib(feature: Feature, bars: pl.DataFrame, scale: float = 1e8) -> np.ndarray:
    found = CALL.fullmatch(feature.ta_lib)
    assert found is not None, feature.ta_lib
    words = found[2].split(", ")
    arguments: list[object] = []
    for place, word in enumerate(words):
        if word in COLUMNS:
            arguments.append(bars[word].to_numpy() / scale)
        else:
            is_float = "." in word or (found[1] in FLOATS and place > 1)
            arguments.append(float(word) if is_float else int(word))
    made = getattr(talib, found[1])(*arguments)
    values = np.asarray(made[int(found[3])] if found[3] else made, dtype=float)
    if found[1].startswith("CDL"):
        # Zero stands for "no pattern" and for "too few bars" there.
        values[: talib.abstract.Function(found[1]).lookback] = np.nan  # type: ignore[attr-defined]
    return values


def differing(ours: np.ndarray, theirs: np.ndarray) -> float:
    """Largest difference where TA-Lib has a value, over its size or the usual size of its values."""
    there = ~np.isnan(theirs)
    assert not np.isnan(ours[there]).any(), "TA-Lib has a value where we have none"
    size = np.maximum(np.abs(theirs), np.median(np.abs(theirs[there])))
    off = np.abs(ours - theirs)[there]
    return float(np.max(off / np.where(size > 0, size, 1.0)[there]))


KNOWN = [feature for feature in catalogue().values() if feature.ta_lib]


def halted(bars: pl.DataFrame, first: int, rows: int) -> pl.DataFrame:
    """The bars with a halt: so many at the close before, without any trade."""
    is_halted = pl.int_range(bars.height, eager=True).is_between(first, first + rows - 1)
    still = [
        pl.when(is_halted).then(bars["close"][first - 1]).otherwise(pl.col(name)).alias(name) for name in COLUMNS[:4]
    ]
    return bars.with_columns(*still, pl.when(is_halted).then(0.0).otherwise(pl.col("volume")).alias("volume"))


HALT = 1_000, 100
MARKETS = {
    "stock": table(1, 3_000, price=40.0, step=2e-2, places=2),
    "coin": table(2, 20_000, price=60_000.0, step=1e-3, places=2),
    "cent": table(3, 2_000, price=0.0123, step=3e-2, places=8),
    "halted": halted(table(4, 3_000, price=40.0, step=2e-2, places=2), *HALT),
}


@pytest.mark.parametrize("market", MARKETS)
def test_what_ta_lib_defines_agrees_with_it(market: str) -> None:
    bars = MARKETS[market]
    made = Expressions(KNOWN).compute(bars)
    off = {one.name: differing(made[one.name].to_numpy(), of_ta_lib(one, bars)) for one in KNOWN}
    excepted = DIGITS_LOST | (NOTHING_LEFT if market == "halted" else set())
    assert not {name: by for name, by in off.items() if by > TOLERANCE and name not in excepted}


EARLIER = {"macd": 8, "stoch_fast_k_14": 2, "stoch_rsi_14": 2}
"""Rows for which TA-Lib waits although it could tell: until another of its outputs can."""


def test_first_values_stand_where_ta_lib_has_its_own() -> None:
    bars = MARKETS["stock"].head(500)
    made = Expressions(KNOWN).compute(bars)
    first = {
        one.name: [int((~np.isnan(values)).argmax()) for values in (made[one.name].to_numpy(), of_ta_lib(one, bars))]
        for one in KNOWN
    }
    assert {name: theirs - ours for name, (ours, theirs) in first.items() if ours != theirs} == EARLIER


@pytest.mark.parametrize("column", COLUMNS)
def test_what_is_made_of_an_unknown_number_is_unknown(column: str) -> None:
    bars, row = MARKETS["stock"].head(700), 400
    frame = FeatureFrame([one for one in readable(BARS) if not expand(one).restarts])

    def with_cell(value: float) -> pl.DataFrame:
        cells = bars[column].to_numpy().copy()
        cells[row] = value
        return frame.compute(bars.with_columns(pl.Series(column, cells)))

    whole, unknown, others = frame.compute(bars), with_cell(np.nan), [with_cell(1.3e9), with_cell(7.9e9)]
    reads = {}
    for name in frame.names:
        ours = whole[name].to_numpy()
        made_of_it = np.logical_or.reduce([one[name].to_numpy() != ours for one in others]) & ~np.isnan(ours)
        reads[name] = bool(made_of_it.any())
        assert np.isnan(unknown[name].to_numpy()[made_of_it]).all(), name
    assert sum(reads.values()) > 10


MOVEMENT = {"plus_dm_14", "minus_dm_14", "plus_di_14", "minus_di_14", "dx_14", "adx_14", "adxr_14"}
RECEIVED: dict[str, set[str]] = {
    # Its prices carry the noise of an adjustment: units of 1e-8 must not take it away.
    "NVT-L-1d-bad-div-fixed": {"rsi_2", "stoch_rsi_14", "williams_r_14", *DIGITS_LOST},
    "TEP-PA-1d-bad-div-fixed": set(),
    "SCR-TO-1d-bad-div-fixed": {"money_flow_index_14", "high_wave"},
    "KMR-L-1d-no-bad-divs": {
        "long_line",
        "spinning_top",
        "high_wave",
        "doji_star",
        *MOVEMENT - {"plus_dm_14", "plus_di_14"},
    },
}
"""Files of shares, and what differs in each of them for the reasons that the reference gives."""


@pytest.mark.parametrize("name", RECEIVED)
def test_on_received_prices_ta_lib_agrees_but_for_what_the_reference_says(name: str) -> None:
    path = SHARED / "dirty_bars_with_answers" / f"{name}.csv.gz"
    if not path.is_file():
        pytest.skip(f"no {path}")
    received = pl.read_csv(path, infer_schema_length=None).rename(str.lower)
    plain = received.select(pl.col(*COLUMNS).cast(pl.Float64))
    made = FeatureFrame(KNOWN).compute(read_bar_file(path).bars)
    off = {one.name: differing(made[one.name].to_numpy(), of_ta_lib(one, plain, 1.0)) for one in KNOWN}
    assert {one for one, by in off.items() if by > TOLERANCE} <= RECEIVED[name]


@pytest.mark.parametrize("rows", [HALT[1], 600])
def test_in_a_halt_every_feature_has_a_value_but_for_those_that_say_so(rows: int) -> None:
    frame, first = FeatureFrame(readable(BARS)), HALT[0]
    bars = halted(MARKETS["stock"], first, rows)
    made, usual = frame.compute(bars), frame.compute(MARKETS["stock"])
    unknown = {
        name for name in frame.names if (made[name].is_nan() & usual[name].is_not_nan()).slice(first, rows).any()
    }
    # Qlib gives none of these where a series does not move, and there is no illiquidity of what is not traded.
    assert {name.rpartition("_")[0] for name in unknown} == {"rsqr", "corr", "cord", "amihud"}
    assert made["vwap_20"][first + 50] == pytest.approx(bars["close"][first] / 1e8)
    still = ("ultimate_oscillator", "vortex_plus_14", "return_skewness_20", "stoch_rsi_14", "on_balance_volume_20")
    assert {made[name][first + 99] for name in still} == {0.0}


def test_amihud_leaves_bars_without_a_trade_out() -> None:
    bars = MARKETS["stock"].head(200)
    assert (bars["volume"] == 0).sum() > 5
    close, volume = bars["close"] / 1e8, bars["volume"] / 1e8
    each = (close.log().diff().abs() / (close * volume)).to_list()[180:200]
    traded = [one for one, is_traded in zip(each, volume[180:200] > 0, strict=True) if is_traded]
    assert len(traded) < 20
    made = Expressions(chosen(["amihud_20"])).compute(bars)["amihud_20"][199]
    assert made == pytest.approx(sum(traded) / len(traded), rel=1e-9)


def test_cusum_is_that_of_a_plain_loop_and_crosses_its_threshold() -> None:
    # So many bars that the one who speaks began with them.
    bars = MARKETS["stock"].head(1_000)
    program = Expressions([*chosen(["cusum_2", "cusum_way_2"]), Feature("width", "std(log_return_1, 60)", "", "", "")])
    made = program.compute(bars)
    up = down = 0.0
    events, ways = [], []
    for change, width in zip((bars["close"] / 1e8).log().diff().fill_null(float("nan")), made["width"], strict=True):
        if np.isnan(change) or np.isnan(width):
            up = down = 0.0
            events.append(np.nan)
            ways.append(np.nan)
            continue
        up, down = max(up + change, 0.0), min(down + change, 0.0)
        event = -1.0 if down < -2 * width else 1.0 if up > 2 * width else 0.0
        up, down = (0.0 if event > 0 else up), (0.0 if event < 0 else down)
        events.append(event)
        ways.append((up + down) / width)
    assert events.count(1.0) > 20 < events.count(-1.0)
    assert np.array_equal(made["cusum_2"].to_numpy(), events, equal_nan=True)
    assert made["cusum_way_2"].to_numpy() == pytest.approx(np.array(ways), abs=1e-9, nan_ok=True)


def test_the_wild_regime_is_that_of_the_filter_which_research_fits() -> None:
    bars = MARKETS["coin"].head(4_000)
    made = Expressions([*chosen(["wild_regime_60"]), Feature("x", "log_return_1 / std(log_return_1, 60)", "", "", "")])
    frame = made.compute(bars)
    stay = np.array([0.98, 0.95])
    chain = np.array([[stay[0], 1 - stay[0]], [1 - stay[1], stay[1]]])
    start = np.array([1 - stay[1], 1 - stay[0]]) / (2 - stay.sum())
    model = RegimeModel(("x",), start, chain, np.zeros((2, 1)), np.array([[0.7**2], [2.0**2]]))
    filtered = model.filtered(frame.select("x"))[:, 1]
    warm = frame[WARM].to_numpy()
    assert warm.sum() > 2_000
    assert np.ptp(filtered[warm]) > 0.9
    assert frame["wild_regime_60"].to_numpy()[warm] == pytest.approx(filtered[warm], abs=1e-10)


def test_the_catalogue_has_over_three_hundred_features_with_formula_source_and_words() -> None:
    assert len(catalogue()) >= 300
    assert sum(feature.family == "alpha158" for feature in catalogue().values()) == 158
    assert all(feature.what and (feature.source or feature.ta_lib) for feature in catalogue().values())


@pytest.mark.parametrize("market", MARKETS)
def test_batch_and_bar_by_bar_give_the_same_bits(market: str) -> None:
    bars = MARKETS[market].head(3_000)
    frame = FeatureFrame(readable(BARS))
    whole, single = frame.compute(bars), frame.compute(bars, one_by_one=True)
    for name in frame.names:
        left, right = (made[name].to_numpy().view(np.uint64) for made in (whole, single))
        assert np.array_equal(left, right), name
    assert whole[WARM].equals(single[WARM])


def test_over_the_bundled_bars_both_paths_give_the_same_bits_and_nothing_looks_ahead() -> None:
    received = open_source("bundled").daily_bars()
    # Some prices are missing: features are unknown there, and nothing else.
    read = received.select(pl.col(*COLUMNS).cast(pl.Float64, strict=False).fill_null(float("nan")))
    numbers = {name: units(read[name].to_numpy()) for name in COLUMNS}
    rows = received.height
    fractions = {name: np.zeros(rows) for name in ("day_fraction", "week_fraction")}
    bars = pl.DataFrame({**numbers, **fractions, "number": np.arange(rows)})
    frame = FeatureFrame(readable(BARS))
    whole, single = frame.compute(bars), frame.compute(bars, one_by_one=True)
    for name in frame.names:
        assert np.array_equal(whole[name].to_numpy().view(np.uint64), single[name].to_numpy().view(np.uint64)), name
    assert frame.check(bars).findings == ()


def test_no_feature_looks_ahead_or_never_forgets() -> None:
    assert FeatureFrame(readable(BARS)).check(MARKETS["coin"].head(9_000)).findings == ()


def test_a_feature_that_looks_ahead_is_found(tmp_path: Path) -> None:
    (tmp_path / "mine.py").write_text("def future(bars):\n    return bars['close'].shift(-1) / bars['close']\n")
    (tmp_path / "set.toml").write_text(
        """[[feature]]
name = "future"
python = "mine.py:future"
offline = true
[[feature]]
name = "rsi_14"
"""
    )
    found = FeatureFrame(read_features(tmp_path / "set.toml")).check(MARKETS["stock"]).findings
    assert [(one.feature, one.rule) for one in found] == [("future", "look_ahead")]


@pytest.mark.parametrize(
    ("text", "why"),
    [
        ("", "no table"),
        ('[[feature]]\nname = "no_such"', "no feature of its name"),
        ('[[feature]]\nname = "Up"\nexpression = "close"', "a to z"),
        ('[[feature]]\nname = "a"\nexpresion = "close"', "unknown key expresion"),
        ('[[feature]]\nname = "a_{n}"\nexpression = "close"', "braces"),
        ('[[feature]]\nname = "a"\npython = "mine.py:f"', "offline = true"),
        (
            '[[feature]]\nname = "a_{n}"\nexpression = "lag(close, {n})"\neach = { n = [1], m = [1, 2] }',
            "equal lengths",
        ),
        ("[[feature", "no TOML"),
        ('colums = 5\n[[feature]]\nname = "a"\nexpression = "close"', "unknown key colums"),
        ('columns = 5\n[[feature]]\nname = "a"\nexpression = "close"', "columns is 5; allowed is a table"),
        ('[columns]\nfoo = 3\n[[feature]]\nname = "a"\nexpression = "foo"', "foo = 3; allowed are number, price"),
        ('[columns]\nclose = "number"\n[[feature]]\nname = "a"\nexpression = "close"', "'close' is a column's"),
        ('[[feature]]\nname = "is_warm"\nexpression = "close"', "'is_warm' is a column's or a word"),
        ('[[feature]]\nname = "volume"\nexpression = "close"', "'volume' is a column's"),
        ('[[feature]]\nname = "2nd"\nexpression = "close"', "begins with no digit"),
        (
            '[[feature]]\nname = "a"\nexpression = "close"\n[[feature]]\nname = "a"\nexpression = "open"',
            "a stands for several things",
        ),
        ('[[feature]]\nname = "Up"\npython = "mine.py:f"\noffline = true', "a to z"),
    ],
)
def test_a_wrong_set_is_refused_with_what_is_allowed(tmp_path: Path, text: str, why: str) -> None:
    path = tmp_path / "set.toml"
    path.write_text(text)
    with pytest.raises(CatalogueError, match=why):
        read_features(path)


@pytest.mark.parametrize(
    ("expression", "why"),
    [
        ("close + volume", 'at 7: "\\+" between price and quantity'),
        ("mine + 1", "is made of itself"),
        ("mean(close, 5000)", "whole number from 1 to 4096"),
        ("lag(close, -1)", "whole number from 1"),
        ("close if open", "an operator or the end"),
    ],
)
def test_a_wrong_expression_names_feature_and_place(expression: str, why: str) -> None:
    with pytest.raises(CatalogueError, match=f"feature mine: .*{why}"):
        Expressions([Feature("mine", expression, "", "", "")])


def test_a_column_has_one_unit_and_a_name_one_meaning() -> None:
    for columns in ({"sentiment": "price"}, {"rsi_14": "number"}):
        with pytest.raises(CatalogueError, match=f"{next(iter(columns))} stands for two things"):
            Expressions([Feature("mine", "close", "", "", "", columns=tuple(columns.items()))])
    with pytest.raises(CatalogueError, match="sentiment stands for two things"):
        Expressions([Feature("sentiment", "close", "", "", "")])


def test_an_unknown_name_is_answered_with_near_ones() -> None:
    with pytest.raises(CatalogueError, match="rsi_14"):
        chosen(["rsi_15"])


def test_recorded_bars_agree_with_ta_lib() -> None:
    path = SHARED / "bars_crypto_hourly_daily" / "BTC-PERP_1min_20211231_20220201.csv.gz"
    if not path.is_file():
        pytest.skip(f"{path} is absent")
    bars = read_bar_file(path).bars
    made = Expressions(KNOWN).compute(bars)
    off = {one.name: differing(made[one.name].to_numpy(), of_ta_lib(one, bars)) for one in KNOWN}
    assert not {name: by for name, by in off.items() if by > TOLERANCE and name not in DIGITS_LOST}


def test_a_model_s_feature_file_computes_the_same_expressions() -> None:
    file = Path(__file__).parents[2] / "contract" / "config" / "good" / "features.expression.toml"
    features = FeatureSet.from_toml(file)
    market = MARKETS["coin"].head(2_000)
    bars = market.select(
        (pl.col("number") * features.bar_ns).alias("ts_open"), pl.col(*COLUMNS).cast(pl.Int64)
    ).with_columns(high=pl.max_horizontal("open", "high", "close"), low=pl.min_horizontal("open", "low", "close"))
    made = features.compute(bars)
    assert rows_that_differ_online(features, bars, 700) == []
    text = "(close - ema(close, 20, 128)) / std(close, 20)"
    ours = Expressions([Feature("stretch", text, "", "", "")]).compute(market)
    warm = made["is_warm"].to_numpy()
    assert warm[features.warmup_bars :].all()
    expected = ours["stretch"].to_numpy().astype(np.float32)
    assert np.array_equal(made["stretch"].to_numpy()[warm], expected[warm])

"""Cleaning: raw rows become a full grid of bars; every raw row is either in a bar or kept out with one reason.

The same days give the same bars whether they are cleaned alone or together with others, because a day looks back a
fixed number of days (`LOOKBACK_DAYS`) and never ahead of itself:

* a gap is filled with empty bars (prices repeat the last close, volume 0) as far as the last close lies within the
  look-back, and to the end of a day only when the source is known to reach beyond that day;
* a missing volume is replaced by the median of the observed volumes of the 96 bars before it, or by what the policy of
  the column says (`config/imputation.toml`), which looks back no further than cleaning does.

All numbers are integers of 1e-8. Volumes in quote currency become base volumes by the typical price (high + low +
close) / 3, rounded half to even.
"""

from __future__ import annotations

from dataclasses import dataclass
from datetime import timedelta
from typing import TYPE_CHECKING

import numpy as np
import polars as pl

from py_rt.data import imputation
from py_rt.data.fixed_point import UNITS_PER_ONE, Rounding, divide_half_even, read_units
from py_rt.data.schemas import CLEAN_BARS, MIN_TRADED_UNITS, QUARANTINED_BARS, RECEIVED_COLUMNS, STAGED_BARS
from py_rt.data.timestamps import NS_PER_DAY, read_utc_ns
from py_rt.errors import DataError

if TYPE_CHECKING:
    from numpy.typing import NDArray

    from py_rt.data.storage import DayWindow

BAR_NS = 900 * 1_000_000_000
"""Length of a bar: 15 minutes."""

LOOKBACK_DAYS = 7
"""Days before the first cleaned day that are read; a longer gap is not filled."""

MEDIAN_BARS = 96
"""Bars before a missing volume from which it is imputed."""

MAX_TRADED = 10**26
"""Largest volume as received (units of 1e-8) that is taken for a number; its base conversion stays within 128 bits."""

_PRICES = ("open", "high", "low", "close")
_MAX_INT64 = 2**63 - 1


@dataclass(frozen=True, slots=True)
class BarRules:
    """What depends on the instrument.

    Attributes:
        instrument: our name of it.
        bar_ns: length of a bar in ns; divides a day.
        price_rounding: whether prices with digits below 1e-8 are kept out (`exact`) or rounded (`half_even`).
        volume: how missing volumes are imputed; `None` is by the median of the `MEDIAN_BARS` before.

    Raises:
        DataError: the bar length does not divide a day, or the policy leaves volumes missing or looks back further
            than `LOOKBACK_DAYS`.
    """

    instrument: str = "BTCUSDT"
    bar_ns: int = BAR_NS
    price_rounding: Rounding = "exact"
    volume: imputation.Policy | None = None

    def __post_init__(self) -> None:
        if self.bar_ns <= 0 or NS_PER_DAY % self.bar_ns:
            raise DataError(f"a bar of {self.bar_ns} ns does not divide a day into whole bars")
        if self.volume is None:
            return
        if self.volume.kind == "leave":
            raise DataError("volume: a bar needs one, so the policy `leave` is none; leave the policy out instead")
        most = LOOKBACK_DAYS * NS_PER_DAY // self.bar_ns
        if self.volume.window + self.volume.limit > most:
            reach = f"window {self.volume.window} and limit {self.volume.limit} are more than {most} bars together"
            raise DataError(f"volume: {reach}, which is how far cleaning looks back: a day alone would be another one")


def stage(raw: pl.DataFrame, rules: BarRules, window: DayWindow) -> pl.DataFrame:
    """Judge every raw row and lay the good ones on the grid, for the days of `window`.

    Args:
        raw: rows of `raw_bars`, from `LOOKBACK_DAYS` before the window to its end; later rows are ignored.
        rules: of the instrument.
        window: days to clean.

    Returns:
        Rows of `staged_bars`: published bars (`reason` is null) by time, then rows kept out by file and row.
    """
    raw = raw.filter(pl.col("date") < window.end)
    judged = judge(raw, rules)
    bars = _with_volume(_on_grid(judged, rules), rules)
    kept_out = judged.filter(pl.col("reason").is_not_null()).with_columns(
        ts_close=pl.col("ts_open") + rules.bar_ns, volume=pl.lit(None, dtype=pl.Int64)
    )
    columns = STAGED_BARS.schema.names()
    staged = pl.concat(
        [_completed(bars, columns), _completed(kept_out.sort("source_sha256", "source_row"), columns)], how="vertical"
    )
    return STAGED_BARS.conform(staged.filter(window.holds("date")).with_columns(instrument=pl.lit(rules.instrument)))


def published(staged: pl.DataFrame) -> pl.DataFrame:
    """The rows of `staged_bars` that become `clean_bars`, by time."""
    kept = staged.filter(pl.col("reason").is_null())
    return CLEAN_BARS.conform(kept.select(CLEAN_BARS.schema.names()).sort("ts_open"))


def quarantined(staged: pl.DataFrame) -> pl.DataFrame:
    """The rows of `staged_bars` that become `quarantined_bars`, by file and row."""
    out = staged.filter(pl.col("reason").is_not_null())
    return QUARANTINED_BARS.conform(out.select(QUARANTINED_BARS.schema.names()).sort("source_sha256", "source_row"))


def _completed(frame: pl.DataFrame, columns: list[str]) -> pl.DataFrame:
    schema = STAGED_BARS.schema
    return frame.select(
        (pl.col(name) if name in frame.columns else pl.lit(None)).cast(schema[name]).alias(name) for name in columns
    )


def judge(raw: pl.DataFrame, rules: BarRules) -> pl.DataFrame:
    """Read every row's numbers and give it at most one reason to be kept out.

    Returns:
        One row per raw row, by file and row: `ts_open`, prices (Int64), `traded` and `base` (Int128: the volume as
        received and in base), `volume_unit`, `reason`, `detail`, the received texts, `source_row`, `source_sha256`,
        `source_end`, `date`.
    """
    rows = _read(raw.sort("file", "row_number"), rules).with_columns(_base_volume().alias("base"))
    rows = rows.with_columns(_own_reason(rules).alias("reason"))
    follower_off_grid = (pl.col("reason").shift(-1) == "off_grid") & (pl.col("file").shift(-1) == pl.col("file"))
    inside = pl.col("ts_open").shift(-1).is_between(pl.col("ts_open"), pl.col("ts_open") + rules.bar_ns, closed="none")
    # A row off the grid is the price at the moment the file was made: the bar before it was still running.
    unfinished = pl.col("reason").is_null() & follower_off_grid & inside
    rows = rows.with_columns(pl.when(unfinished).then(pl.lit("unfinished_bar")).otherwise("reason").alias("reason"))
    rows = _mark_repeated(rows)
    return rows.with_columns(_detail().alias("detail")).drop("file")


def _read(raw: pl.DataFrame, rules: BarRules) -> pl.DataFrame:
    zones = raw["time_zone"].unique().to_list()
    ts = pl.Series("ts_open", [None] * raw.height, dtype=pl.Int64)
    for zone in zones:
        here = raw["time_zone"] == zone
        ts = read_utc_ns(raw["datetime"], zone).zip_with(here, ts)
    read = {name: read_units(raw[name], rules.price_rounding).cast(pl.Int64, strict=False) for name in _PRICES}
    received = [pl.col(name).alias(f"received_{name}") for name in RECEIVED_COLUMNS]
    return raw.select(
        ts.alias("ts_open"),
        *(series.alias(name) for name, series in read.items()),
        read_units(raw["volume"], "half_even").alias("traded"),
        "volume_unit",
        *received,
        "file",
        pl.col("row_number").alias("source_row"),
        pl.col("file_sha256").alias("source_sha256"),
        "source_end",
        "date",
    )


def _base_volume() -> pl.Expr:
    """The volume in base units of 1e-8; null where the row has no such thing."""
    typical_sum = pl.sum_horizontal(pl.col(name).cast(pl.Int128) for name in ("high", "low", "close"))
    readable = pl.col("traded").is_between(0, MAX_TRADED) & (typical_sum > 0)
    from_quote = divide_half_even(
        3 * UNITS_PER_ONE * pl.when(readable).then("traded"), pl.when(readable).then(typical_sum)
    )
    return pl.when(pl.col("volume_unit") == "quote").then(from_quote).otherwise(pl.when(readable).then("traded"))


def _own_reason(rules: BarRules) -> pl.Expr:
    """The first reason that a row has by itself."""
    o, h, low, c = (pl.col(name) for name in _PRICES)
    tests = {
        "unreadable_time": pl.col("ts_open").is_null(),
        "unreadable_price": pl.any_horizontal(pl.col(name).is_null() for name in _PRICES),
        "unreadable_volume": pl.col("traded").is_null()
        | (pl.col("traded") > MAX_TRADED)
        | (pl.col("base") > _MAX_INT64),
        "nonpositive_price": pl.min_horizontal(o, h, low, c) <= 0,
        "negative_volume": pl.col("traded") < 0,
        "inconsistent_prices": (pl.max_horizontal(o, low, c) > h) | (pl.min_horizontal(o, h, c) < low),
        "off_grid": pl.col("ts_open") % rules.bar_ns != 0,
    }
    return pl.coalesce(pl.when(test).then(pl.lit(reason)) for reason, test in tests.items())


def _mark_repeated(rows: pl.DataFrame) -> pl.DataFrame:
    """Of several good rows for one bar the last one stands: equal ones before it are duplicates, others restated."""
    good = pl.col("reason").is_null()
    order = pl.int_range(pl.len())
    values = ("open", "high", "low", "close", "traded", "volume_unit")
    last = (
        rows.with_columns(order.alias("order"))
        .filter(good)
        .group_by("ts_open")
        .agg(pl.col("order").last().alias("last"), *(pl.col(name).last().alias(f"last_{name}") for name in values))
    )
    rows = rows.with_columns(order.alias("order")).join(last, on="ts_open", how="left", maintain_order="left")
    earlier = good & (pl.col("order") < pl.col("last"))
    same = pl.all_horizontal(pl.col(name) == pl.col(f"last_{name}") for name in values)
    reason = (
        pl.when(earlier & same).then(pl.lit("duplicate")).when(earlier).then(pl.lit("restated")).otherwise("reason")
    )
    return rows.with_columns(reason.alias("reason")).drop("order", "last", *(f"last_{name}" for name in values))


def _detail() -> pl.Expr:
    texts = {name: pl.col(f"received_{name}").fill_null("(absent)") for name in RECEIVED_COLUMNS}
    prices = pl.format("open {} high {} low {} close {}", *(texts[name] for name in _PRICES))
    words = {
        "unreadable_time": pl.format("no readable time: {}", texts["datetime"]),
        "unreadable_price": pl.format("not all prices are numbers of at most 8 decimals: {}", prices),
        "unreadable_volume": pl.format("no readable volume: {}", texts["volume"]),
        "nonpositive_price": pl.format("a price is not above zero: {}", prices),
        "negative_volume": pl.format("the volume is negative: {}", texts["volume"]),
        "inconsistent_prices": pl.format("high is not the highest or low not the lowest: {}", prices),
        "off_grid": pl.format("the time is no start of a bar: {}", texts["datetime"]),
        "unfinished_bar": pl.format("the bar of {} was still running when the file was made", texts["datetime"]),
        "restated": pl.format("a later row for {} has other values", texts["datetime"]),
        "duplicate": pl.format("a later row for {} has the same values", texts["datetime"]),
    }
    return pl.coalesce(pl.when(pl.col("reason") == reason).then(text) for reason, text in words.items())


def _on_grid(judged: pl.DataFrame, rules: BarRules) -> pl.DataFrame:
    """Good rows by time with the gaps between them filled, each with the close before it (`previous_close`)."""
    good = judged.filter(pl.col("reason").is_null()).drop("reason", "detail")
    if good.is_empty():
        return good.with_columns(previous_close=pl.lit(None, dtype=pl.Int64), ts_close=pl.lit(None, dtype=pl.Int64))
    first, last = good.select(pl.col("ts_open").min().alias("a"), pl.col("ts_open").max().alias("b")).row(0)
    reach = _day_start(judged["source_end"].max()) - rules.bar_ns  # last bar of the last day known to be over
    end = max(last, min(_day_start(last) + (LOOKBACK_DAYS + 1) * NS_PER_DAY, reach))
    grid = pl.DataFrame({"ts_open": pl.int_range(first, end + rules.bar_ns, rules.bar_ns, eager=True)})
    day = pl.from_epoch("ts_open", time_unit="ns").dt.date()
    bars = grid.join(good.drop("date"), on="ts_open", how="left", maintain_order="left").with_columns(
        day.alias("date"), pl.col("source_row").is_not_null().alias("real")
    )
    real_ts = pl.when("real").then("ts_open").forward_fill()
    bars = bars.with_columns(
        real_ts.shift(1).alias("previous_ts"), pl.col("close").forward_fill().shift(1).alias("previous_close")
    )
    day_start = pl.col("ts_open") // NS_PER_DAY * NS_PER_DAY
    in_reach = pl.col("previous_ts") >= day_start - LOOKBACK_DAYS * NS_PER_DAY
    bars = bars.with_columns(pl.when(in_reach).then("previous_close").alias("previous_close"))
    bars = bars.join(_over_until(judged, bars), on="date", how="left", maintain_order="left")
    known = pl.col("real") | (pl.col("previous_close").is_not_null() & (pl.col("ts_open") <= pl.col("known_until")))
    return bars.filter(known).with_columns(
        *(pl.coalesce(name, "previous_close").alias(name) for name in _PRICES),
        ts_close=pl.col("ts_open") + rules.bar_ns,
    )


def _day_start(ts: object) -> int:
    if not isinstance(ts, int):
        raise DataError("raw rows say nothing about how far their source reaches (source_end)")
    return ts // NS_PER_DAY * NS_PER_DAY


def _over_until(judged: pl.DataFrame, bars: pl.DataFrame) -> pl.DataFrame:
    """Per day, until when its bars are known: its end when the source reaches beyond it, else its last good row.

    How far the source reaches is what its rows of the day and of the look-back before it say.
    """
    days = bars.select(pl.col("date").unique().sort())
    ends = judged.group_by("date").agg(pl.col("source_end").max())
    reach = [
        days.join(
            ends.with_columns(pl.col("date").dt.offset_by(f"{back}d")), on="date", how="left", maintain_order="left"
        )["source_end"].alias(f"back_{back}")
        for back in range(LOOKBACK_DAYS + 1)
    ]
    reached = days.with_columns(pl.max_horizontal(*reach).alias("reach"))
    last_good = bars.filter("real").group_by("date").agg(pl.col("ts_open").max().alias("last_good"))
    next_day = (pl.col("date") + timedelta(days=1)).cast(pl.Datetime("ns")).dt.epoch("ns")
    return (
        reached.join(last_good, on="date", how="left", maintain_order="left")
        .with_columns(next_day.alias("next_day"))
        .select(
            "date",
            pl.when(pl.col("reach") >= pl.col("next_day"))
            .then(pl.col("next_day") - 1)
            .otherwise("last_good")
            .alias("known_until"),
        )
    )


def _with_volume(bars: pl.DataFrame, rules: BarRules) -> pl.DataFrame:
    """Give every bar its base volume and say whether it is empty or imputed."""
    flat = (pl.col("high") == pl.col("low")) & (pl.col("open") == pl.col("previous_close"))
    silent = pl.col("traded") == 0
    empty = pl.col("source_row").is_null() | (silent & flat.fill_null(value=False))
    bars = bars.with_columns(empty.alias("is_empty"), (silent & ~empty).fill_null(value=False).alias("volume_imputed"))
    observed = pl.when(~pl.col("is_empty") & ~pl.col("volume_imputed")).then(
        pl.max_horizontal("base", pl.lit(MIN_TRADED_UNITS, dtype=pl.Int128))
    )
    bars = bars.with_columns(observed.cast(pl.Int64).alias("observed"))
    imputed = _trailing_medians(bars, MEDIAN_BARS * rules.bar_ns)
    if rules.volume is not None:
        imputed = pl.select(pl.coalesce(_by_policy(bars, rules.volume, rules.bar_ns), imputed)).to_series()
    volume = pl.when("is_empty").then(0).otherwise(pl.coalesce("observed", imputed))
    return bars.with_columns(volume.cast(pl.Int64).alias("volume"))


def _trailing_medians(bars: pl.DataFrame, span_ns: int) -> pl.Series:
    """For each imputed bar, the lower median of the volumes observed in the `span_ns` before it.

    Without any it is the least volume a traded bar can have.
    """
    seen = bars.filter(pl.col("observed").is_not_null())
    times: NDArray[np.int64] = seen["ts_open"].to_numpy()
    volumes: NDArray[np.int64] = seen["observed"].to_numpy()
    wanted = bars["volume_imputed"]
    at: NDArray[np.int64] = bars["ts_open"].filter(wanted).to_numpy()
    starts, ends = np.searchsorted(times, at - span_ns, side="left"), np.searchsorted(times, at, side="left")
    medians = [
        int(np.partition(volumes[a:b], (b - a - 1) // 2)[(b - a - 1) // 2]) if b > a else MIN_TRADED_UNITS
        for a, b in zip(starts.tolist(), ends.tolist(), strict=True)
    ]
    result = pl.Series("imputed", [None] * bars.height, dtype=pl.Int64)
    return result.scatter(wanted.arg_true(), pl.Series(medians, dtype=pl.Int64)) if medians else result


def _by_policy(bars: pl.DataFrame, policy: imputation.Policy, bar_ns: int) -> pl.Series:
    """For each imputed bar what the policy says; null beyond its limit, and where its window holds no volume.

    Window and limit are spans of time: what is cleaned before the look-back of a day then changes nothing in it.
    """
    traded = bars.with_row_index("at").filter(~pl.col("is_empty"))
    times: NDArray[np.int64] = traded["ts_open"].to_numpy()
    values: NDArray[np.float64] = traded["observed"].cast(pl.Float64).fill_null(np.nan).to_numpy()
    missing = np.isnan(values)
    observed = np.flatnonzero(~missing)
    starts = np.flatnonzero(missing & ~np.r_[False, missing[:-1]])
    places, volumes = [], []
    for start in starts.tolist():
        reach = np.searchsorted(times, times[start] - policy.window * bar_ns)
        known = observed[np.searchsorted(observed, reach) : np.searchsorted(observed, start)]
        if not known.size:
            continue
        seen = missing[start : int(np.searchsorted(times, times[start] + policy.limit * bar_ns))]
        length = seen.size if seen.all() else int(seen.argmin())
        guess = imputation.guesses(values, known, start, length, policy)
        volumes += [max(MIN_TRADED_UNITS, min(_MAX_INT64, round(float(one)))) for one in guess]
        places += traded["at"][start : start + length].to_list()
    result = pl.Series("by_policy", [None] * bars.height, dtype=pl.Int64)
    return result.scatter(places, pl.Series(volumes, dtype=pl.Int64)) if places else result

"""Features over columns beside TA-Lib, polars-talib and pandas-ta-classic: the same bars, taking turns.

Ours is what `py_rt features compute` runs: the catalogue's expressions through PyO3, on all cores, which take parts
of the table one after the other. The others run as their documentation calls them; TA-Lib and polars-talib on one
thread. The module of the tests is built to be built fast: `measured` runs this file in a process of its own that
imports the one which the benches' profile made.

    python -m benches.feature_columns --samples 3      prints the rows, with the module that is installed
"""

from __future__ import annotations

import argparse
import inspect
import json
import os
import shutil
import sys
import tempfile
import time
from dataclasses import asdict
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np
import polars as pl
import talib

from benches.figures import Figures, Line, paired_ratio, read_line
from benches.programs import ROOT, output
from py_rt.data.bar_files import units
from py_rt.ml.features.expressions import Expressions, chosen, readable

if TYPE_CHECKING:
    from collections.abc import Callable, Mapping, Sequence

    from numpy.typing import NDArray

BARS = 1_000_000
"""Of the single features."""
SET_BARS = 100_000
"""Of whole sets beside pandas-ta-classic, which takes seconds for them."""
COLUMNS = ("open", "high", "low", "close", "volume")
KB_OF_MB = 1_024
FIFTY = 50
SYMBOLS, MINUTES = 6_000, 390
"""Of a day of the whole US market, regular hours."""
PER_BAR = 100_000

Arrays = dict[str, "NDArray[np.float64]"]
Single = tuple[str, list[str], "Callable[[Arrays], object]"]

SINGLES: tuple[Single, ...] = (
    ("columns_sma", ["sma_20"], lambda a: talib.SMA(a["close"], 20)),
    ("columns_ema", ["ema_20"], lambda a: talib.EMA(a["close"], 20)),
    ("columns_rsi", ["rsi_14"], lambda a: talib.RSI(a["close"], 14)),
    ("columns_macd", ["macd", "macd_signal", "macd_histogram"], lambda a: talib.MACD(a["close"], 12, 26, 9)),
    ("columns_atr", ["atr_14"], lambda a: talib.ATR(a["high"], a["low"], a["close"], 14)),
    (
        "columns_bbands",
        ["bollinger_upper_20", "sma_20", "bollinger_lower_20"],
        lambda a: talib.BBANDS(a["close"], 20, 2.0, 2.0),
    ),
    ("columns_adx", ["adx_14"], lambda a: talib.ADX(a["high"], a["low"], a["close"], 14)),
)

# Of pandas-ta-classic: the call, its arguments, and our names of what it gives.
SHARED: tuple[tuple[str, Mapping[str, Any], tuple[str, ...]], ...] = (
    ("sma", {"length": 20}, ("sma_20",)),
    ("ema", {"length": 20}, ("ema_20",)),
    ("wma", {"length": 20}, ("wma_20",)),
    ("dema", {"length": 20}, ("dema_20",)),
    ("tema", {"length": 20}, ("tema_20",)),
    ("trima", {"length": 20}, ("trima_20",)),
    ("kama", {"length": 10}, ("kama_10",)),
    ("t3", {"length": 5}, ("t3_5",)),
    ("midpoint", {"length": 14}, ("midpoint_14",)),
    ("midprice", {"length": 14}, ("midprice_14",)),
    ("linreg", {"length": 14}, ("linear_regression_14",)),
    ("rsi", {"length": 14}, ("rsi_14",)),
    ("cmo", {"length": 14}, ("cmo_14",)),
    ("macd", {}, ("macd", "macd_signal", "macd_histogram")),
    ("apo", {}, ("apo_12_26",)),
    ("mom", {"length": 10}, ("momentum_10",)),
    ("roc", {"length": 10}, ("rate_of_change_10",)),
    ("trix", {"length": 15}, ("trix_15",)),
    ("cci", {"length": 20}, ("cci_20",)),
    ("stoch", {}, ("stoch_fast_k_14", "stoch_fast_d_14")),
    ("stochrsi", {}, ("stoch_rsi_14",)),
    ("willr", {"length": 14}, ("williams_r_14",)),
    ("uo", {}, ("ultimate_oscillator",)),
    ("aroon", {"length": 14}, ("aroon_up_14", "aroon_down_14", "aroon_oscillator_14")),
    ("adx", {"length": 14}, ("adx_14", "plus_di_14", "minus_di_14")),
    ("atr", {"length": 14}, ("atr_14",)),
    ("natr", {"length": 14}, ("natr_14",)),
    ("stdev", {"length": 20}, ("stddev_20",)),
    ("variance", {"length": 20}, ("variance_20",)),
    ("bbands", {"length": 20}, ("bollinger_upper_20", "bollinger_lower_20", "bollinger_width_20")),
    ("bop", {}, ("balance_of_power",)),
    ("mfi", {"length": 14}, ("money_flow_index_14",)),
    ("psar", {}, ("parabolic_sar",)),
    ("cmf", {"length": 20}, ("chaikin_money_flow_20",)),
    ("efi", {"length": 13}, ("force_index_13",)),
    ("vortex", {"length": 14}, ("vortex_plus_14", "vortex_minus_14")),
    ("coppock", {}, ("coppock",)),
    ("massi", {}, ("mass_index_25",)),
    ("chop", {"length": 14}, ("choppiness_14",)),
    ("er", {"length": 10}, ("efficiency_ratio_10",)),
    ("ui", {"length": 14}, ("ulcer_index_14",)),
    ("kc", {"length": 20}, ("keltner_upper_20", "keltner_lower_20")),
    ("donchian", {"lower_length": 20, "upper_length": 20}, ("donchian_position_20",)),
    ("zscore", {"length": 20}, ("zscore_20",)),
    ("skew", {"length": 20}, ("return_skewness_20",)),
    ("kurtosis", {"length": 20}, ("return_kurtosis_20",)),
)


def market(rows: int) -> tuple[pl.DataFrame, Arrays]:
    """Bars of a random walk near 60,000: ours, and plain arrays."""
    random = np.random.default_rng(1)
    close = np.round(60_000 * np.exp(np.cumsum(random.normal(0, 1e-4, rows))), 2)
    opened = np.concatenate([close[:1], close[:-1]])
    high = np.round(np.maximum(opened, close) + random.exponential(3, rows), 2)
    low = np.round(np.minimum(opened, close) - random.exponential(3, rows), 2)
    arrays = dict(zip(COLUMNS, (opened, high, low, close, np.round(random.exponential(10, rows), 4)), strict=True))
    still = dict.fromkeys(("day_fraction", "week_fraction"), np.zeros(rows))
    bars = pl.DataFrame({name: units(values) for name, values in arrays.items()} | still | {"number": np.arange(rows)})
    return bars, arrays


def _ms(work: Callable[[], object]) -> float:
    started = time.perf_counter()
    work()
    return (time.perf_counter() - started) * 1_000


def _line(row: str, subject: str, anchor: str, pairs: Sequence[tuple[float, float]], **facts: float) -> Line:
    ours, theirs = [pair[0] for pair in pairs], [pair[1] for pair in pairs]
    ratio = paired_ratio(ours, theirs)
    return Line(row, "ms", subject, Figures.of(ours), anchor, Figures.of(theirs), ratio, facts)


def run(samples: int) -> list[Line]:
    """One round: each pair `samples` times in turn, once before."""
    bars, arrays = market(BARS)
    lines = []
    for row, names, theirs in SINGLES:
        ours = Expressions(chosen(names))
        pairs = [(_ms(lambda o=ours: o.compute(bars)), _ms(lambda t=theirs: t(arrays))) for _ in range(samples + 1)]  # type: ignore[misc]
        lines.append(_line(row, ", ".join(names), f"TA-Lib {talib.__version__}", pairs[1:], bars=float(BARS)))
    lines += [_polars_talib(bars, arrays, samples), _pandas_ta(samples), _all(bars)]
    fifty = chosen([name for _, _, names in SHARED for name in names][:FIFTY])
    few = bars.head(PER_BAR)
    lines.append(_per_bar("expressions_per_bar", Expressions(fifty), few, samples))
    lines.append(_per_bar("expressions_per_bar_all", Expressions(readable(bars.columns)), few, 1))
    return [*lines, _market_day(Expressions(fifty))]


def measured(module: Path, samples: int) -> list[Line]:
    """One round in a process of its own, with this build of `py_rt_core`.

    Raises:
        BenchError: it failed.
    """
    with tempfile.TemporaryDirectory() as folder:
        package = Path(folder) / "py_rt_core"
        package.mkdir()
        shutil.copy(module, package / "py_rt_core.abi3.so")
        (package / "__init__.py").write_text("from .py_rt_core import *\n", encoding="utf-8")
        path = os.pathsep.join([folder, str(ROOT)])
        command = [sys.executable, "-m", "benches.feature_columns", "--samples", str(samples)]
        return [read_line(line) for line in output(command, {"PYTHONPATH": path}).splitlines()]


def _polars_talib(bars: pl.DataFrame, arrays: Arrays, samples: int) -> Line:
    import polars_talib as plta

    frame = pl.DataFrame(arrays)
    close = pl.col("close")
    theirs = [
        plta.sma(close, timeperiod=20).alias("sma"),
        plta.ema(close, timeperiod=20).alias("ema"),
        plta.rsi(close, timeperiod=14).alias("rsi"),
        plta.atr(pl.col("high"), pl.col("low"), close, timeperiod=14).alias("atr"),
        plta.adx(pl.col("high"), pl.col("low"), close, timeperiod=14).alias("adx"),
    ]
    ours = Expressions(chosen(["sma_20", "ema_20", "rsi_14", "atr_14", "adx_14"]))
    pairs = [(_ms(lambda: ours.compute(bars)), _ms(lambda: frame.select(theirs))) for _ in range(samples + 1)]
    return _line("columns_five", ", ".join(ours.names), "polars-talib", pairs[1:], bars=float(BARS))


def _pandas_ta(samples: int) -> Line:
    import pandas_ta_classic

    bars, arrays = market(SET_BARS)
    import pandas as pd

    frame = pd.DataFrame(arrays, index=pd.date_range("2020-01-01", periods=SET_BARS, freq="min"))

    def theirs() -> None:
        for name, options, _ in SHARED:
            function = getattr(pandas_ta_classic, name)
            wanted = inspect.signature(function).parameters
            given = {column: frame[column] for column in COLUMNS if column in wanted}
            given |= {"open_": frame["open"]} if "open_" in wanted else {}
            function(**given, **options)

    ours = Expressions(chosen([name for _, _, names in SHARED for name in names]))
    pairs = [(_ms(lambda: ours.compute(bars)), _ms(theirs)) for _ in range(min(samples, 2) + 1)]
    facts = {"bars": float(SET_BARS), "calls": float(len(SHARED)), "features": float(len(ours.names))}
    return _line("columns_shared_set", f"{len(ours.names)} features", "pandas-ta-classic", pairs[1:], **facts)


def _all(bars: pl.DataFrame) -> Line:
    ours = Expressions(readable(bars.columns))
    took: list[float] = []
    grown = _growth_mb(lambda: took.append(_ms(lambda: ours.compute(bars))))
    facts = {"features": float(len(ours.names)), "bars": float(BARS), "peak_growth_mb": grown}
    return Line("columns_all", "ms", f"{len(ours.names)} features", Figures.of(took), None, None, None, facts)


def _per_bar(row: str, ours: Expressions, bars: pl.DataFrame, samples: int) -> Line:
    """What one more bar takes on the path of the service, all of the bars one by one."""
    made = np.empty((len(ours.names), bars.height))
    took = [_ms(lambda: ours.program.compute_one_by_one(bars, made)) * 1e6 / bars.height for _ in range(samples + 1)]
    facts = {"features": float(len(ours.names)), "operations": float(ours.program.operations)}
    subject = f"{len(ours.names)} features, bar by bar"
    return Line(row, "ns per bar", subject, Figures.of(took[1:]), None, None, None, facts)


def _market_day(ours: Expressions) -> Line:
    """A day of minutes of a whole market, from a Parquet file as received to a Parquet file of features."""
    random = np.random.default_rng(2)
    rows = SYMBOLS * MINUTES
    close = 50 * np.exp(np.cumsum(random.normal(0, 5e-4, (SYMBOLS, MINUTES)), axis=1)).ravel()
    spread = close * random.exponential(5e-4, rows)
    raw = pl.DataFrame(
        {
            "symbol": np.repeat([f"S{number:04}" for number in range(SYMBOLS)], MINUTES),
            "minute": np.tile(np.arange(MINUTES), SYMBOLS),
            "open": np.round(close, 2),
            "high": np.round(close + spread, 2),
            "low": np.round(close - spread, 2),
            "close": np.round(close, 2),
            "volume": np.round(random.exponential(300, rows)),
        }
    ).sample(fraction=1.0, shuffle=True, seed=3)
    with tempfile.TemporaryDirectory() as folder:
        received, written = Path(folder) / "raw.parquet", Path(folder) / "features.parquet"
        raw.write_parquet(received)
        del raw
        took: list[float] = []
        grown = _growth_mb(lambda: took.append(_ms(lambda: _day(ours, received, written))))
        facts = {"symbols": float(SYMBOLS), "rows": float(rows), "features": float(len(ours.names))}
        facts |= {"peak_growth_mb": grown, "written_mb": written.stat().st_size / KB_OF_MB**2}
    return Line("market_day", "ms", "raw minutes to features, written", Figures.of(took), None, None, None, facts)


def _day(ours: Expressions, received: Path, written: Path) -> None:
    """Read, judged, put in order, computed, written: a symbol's minutes follow each other, no symbol another."""
    sound = (pl.col("low") > 0) & (pl.col("low") <= pl.min_horizontal("open", "close"))
    sound &= (pl.col("high") >= pl.max_horizontal("open", "close")) & (pl.col("volume") >= 0)
    bars = pl.read_parquet(received).filter(sound).unique(["symbol", "minute"]).sort("symbol", "minute")
    number = pl.col("symbol").rank("dense").cast(pl.Int64) * 2 * MINUTES + pl.col("minute")
    inside = [pl.Series(name, units(bars[name].to_numpy())) for name in COLUMNS]
    made = ours.compute(bars.select(number=number, day_fraction=0.0, week_fraction=0.0).with_columns(inside))
    bars.select("symbol", "minute").hstack(made).write_parquet(written)


def _growth_mb(work: Callable[[], object]) -> float:
    """By how much the memory of this process grows at most while it works."""
    Path("/proc/self/clear_refs").write_text("5", encoding="ascii")  # the highest so far is forgotten: proc(5)
    before = _peak_mb()
    work()
    return _peak_mb() - before


def _peak_mb() -> float:
    lines = Path("/proc/self/status").read_text(encoding="ascii").splitlines()
    return next(int(line.split()[1]) / KB_OF_MB for line in lines if line.startswith("VmHWM:"))


def main() -> None:
    """Prints the rows of one round."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--samples", type=int, default=7, help="measurements of each pair (default 7)")
    for line in run(parser.parse_args().samples):
        print(json.dumps(asdict(line)))


if __name__ == "__main__":
    main()

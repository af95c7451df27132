"""Worked examples of chart indicators: what they print beside their bars equals our features, digit by digit.

Where a sheet differs, its recursion begins otherwise (`CONVERGING`): Wilder's averages of `cs-adx` with the first
change, the exponential averages of `cs-macd` and `cs-tsi` with the first value, ours (as TA-Lib's) with the mean of the
first values. The difference fades as the rows go on. Not compared, since they are too short to fade: `cs-atr` and
`cs-rsi` (averages that begin with zeros), `cs-stochrsi` (over such an RSI), `cs-fi`, `cs-ppo`, `cs-kc`. Others have no
feature: cumulative lines (`cs-accum`, `cs-obv`, `cs-vpt`), `cs-stc`, `cs-pvo`, `cs-easeofmovement`.
"""

from __future__ import annotations

import csv
import os
from pathlib import Path

import numpy as np
import pytest

from py_rt.data.bar_files import read_bar_file
from py_rt.ml.features.catalogue import Feature, catalogue
from py_rt.ml.features.sets import FeatureFrame

SHARED = Path(os.environ.get("PY_RT_SHARED_DATA", Path(__file__).resolve().parents[4] / "shared" / "data"))
FOLDER = SHARED / "indicator_sheets_stockcharts"

needs_sheets = pytest.mark.skipif(not FOLDER.is_dir(), reason=f"no sheets at {FOLDER}: set PY_RT_SHARED_DATA")

EXACT = [
    ("cs-bbands", "MiddleBand", "sma_20"),
    ("cs-bbands", "HighBand", "bollinger_upper_20"),
    ("cs-bbands", "LowBand", "bollinger_lower_20"),
    ("cs-bbands", "WidthBand", "100 * bollinger_width_20"),
    ("cs-bbands", "PercentageBand", "bollinger_position_20"),
    ("cs-cci", "CCI", "cci_20"),
    ("cs-dc", "dc_percentage", "donchian_position_20"),
    ("cs-fi", "FI_1", "delta(close, 1) * volume"),
    ("cs-kama", "KAMA", "kama_10"),
    ("cs-mfi", "MFI", "money_flow_index_14"),
    ("cs-percentr", "Williams_%R", "williams_r_14"),
    ("cs-psar", "psar_up", "parabolic_sar"),
    ("cs-roc", "ROC", "100 * (close / lag(close, 12) - 1)"),
    ("cs-soo", "SO", "stoch_fast_k_14"),
    ("cs-soo", "SO_SIG", "stoch_fast_d_14"),
    ("cs-ultosc", "Ult_Osc", "ultimate_oscillator"),
    ("cs-vortex", "+VI14", "vortex_plus_14"),
    ("cs-vortex", "-VI14", "vortex_minus_14"),
    ("cs-vwap", "vwap", "sum(typical_price * volume, 14) / sum(volume, 14)"),
    ("cs-wma", "WMA", "wma(close, 9)"),
]
"""Sheet, its column, and the feature (or an expression over features)."""

_TSI = "100 * {0}delta(close, 1){1} / {0}abs(delta(close, 1)){1}".format("smooth(smooth(", ", 0.07692), 0.1428)")
"""`tsi_25_13` with the weights 2/26 and 2/14 rounded as in the sheet; unrounded it stays 0.005 away."""

CONVERGING = [
    ("cs-adx", "ADX", "adx_14", 1e-6),
    ("cs-adx", "+DI14", "plus_di_14", 1e-6),
    ("cs-adx", "-DI14", "minus_di_14", 1e-6),
    ("cs-macd", "short_ema", "ema_12", 1e-8),
    ("cs-macd", "long_ema", "ema_26", 1e-4),
    ("cs-macd", "MACD_line", "macd", 1e-4),
    ("cs-macd", "MACD_signal", "macd_signal", 2e-4),
    ("cs-tsi", "TSI", _TSI, 1e-8),
]
"""The same, and what is left of the beginning in the last row."""

PRINTED_MAX = 9
"""Digits beyond which a sheet shows how its program rounds."""


def compared(sheet: str, column: str, expression: str) -> tuple[np.ndarray, np.ndarray, int]:
    """What the sheet says and what we compute in the rows in which both say something, and the digits printed."""
    path = FOLDER / f"{sheet}.csv"
    with path.open(encoding="utf-8", newline="") as stream:
        header, *rows = csv.reader(stream)
    cells = [row[header.index(column)] for row in rows]
    feature = catalogue().get(expression) or Feature("of_the_sheet", expression, "", "", "")
    ours = FeatureFrame([feature]).compute(read_bar_file(path).bars).to_series(0).to_numpy()
    theirs = np.array([float(cell) if cell else np.nan for cell in cells])
    both = ~np.isnan(ours) & ~np.isnan(theirs)
    return theirs[both], ours[both], min(PRINTED_MAX, max(len(cell.partition(".")[2]) for cell in cells))


@needs_sheets
@pytest.mark.parametrize(("sheet", "column", "expression"), EXACT, ids=lambda value: value)
def test_a_sheet_s_values_are_ours_as_printed(sheet: str, column: str, expression: str) -> None:
    theirs, ours, digits = compared(sheet, column, expression)
    assert len(theirs) >= 2
    np.testing.assert_allclose(ours, theirs, rtol=1e-12, atol=10.0**-digits)


@needs_sheets
@pytest.mark.parametrize(("sheet", "column", "expression", "left"), CONVERGING)
def test_what_begins_otherwise_converges(sheet: str, column: str, expression: str, left: float) -> None:
    theirs, ours, _ = compared(sheet, column, expression)
    apart = np.abs(theirs - ours)
    assert apart[-1] < left
    assert apart[-20:].max() < apart[:20].max() / 5

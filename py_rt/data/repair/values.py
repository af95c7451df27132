"""Cells that are no prices.

=======================  ============================================================================================
`wrong_type`             text where a number stands in other rows: a number with thousands separators, a currency's
                         sign or a letter for thousands (`$1,234.50`, `1.2M`) is repaired, anything else quarantined
`infinity`               a price, volume, payment or split that is infinite or as good as that: quarantined
`zero_price`             a price of zero: quarantined
`negative_price`         a price below zero: its sign is repaired when the number without it is the row's own price,
                         else the row is quarantined
`negative_volume`        also of the quoted currency: quarantined
`negative_payment`       a dividend or capital gain below zero: quarantined
`negative_split`         quarantined
`zero_volume`            a volume of zero beside prices that moved, where hardly any row has none: flagged
`missing_value`          a close from the adjusted close, or the other way around, where the rows beside agree on their
                         ratio: repaired; a row without any price: flagged; another missing price: quarantined
`swapped_columns`        high and low in each other's column: swapped back (other columns: `swaps`)
`crossed_values`         a high below the low: quarantined; an open or close outside them: flagged, since quotes that
                         are carried from the day before look like this
`adjusted_close`         an adjusted close that is not above zero, infinite or missing: from the close and the ratio of
                         the rows beside it where they agree, else quarantined; one whose ratio to the close alone
                         differs from both sides: the cell that lies outside the row's low and high is repaired
=======================  ============================================================================================
"""

from __future__ import annotations

from typing import TYPE_CHECKING

import numpy as np

from py_rt.data.bar_files import LARGEST
from py_rt.data.bar_numbers import is_empty, read_number
from py_rt.data.repair import swaps
from py_rt.data.repair.levels import factor_log, of_unit, typical_log
from py_rt.data.repair.sheet import local_noise
from py_rt.data.repair.swaps import ADJUSTED, PRICE_ROUNDING, SINGLE_RATIO, SWAPPED, ratio_beside

if TYPE_CHECKING:
    from py_rt.data.repair.sheet import Numbers, Sheet

MISSING = "missing_value"
CROSSED = "crossed_values"
ZERO_VOLUME = "zero_volume"

SWAPPED_RANGES = 10.0
SWAPPED_RANGE = 0.05
"""Range of a row, in usual ones and in logs, up to which its low and high are taken for swapped and not for wrong."""
SILENT_SHARE = 0.02
SILENT_ROWS = 3
"""Share of rows without volume, and their number, up to which they are odd."""

ADJUSTED_CLOSE = "adj_close"
NEVER_NEGATIVE = {
    "volume": "negative_volume",
    "quote_volume": "negative_volume",
    "dividend": "negative_payment",
    "capital_gain": "negative_payment",
    "split": "negative_split",
}
"""Roles of what is never below zero but may be zero (of a split: none), and the rule of each."""


def sift(sheet: Sheet) -> None:
    """Judge the cells one by one."""
    _find_wrong_types(sheet)
    sheet.drop_quarantined()
    _find_infinities(sheet)
    sheet.drop_quarantined()
    swaps.repair_volumes(sheet)
    _find_nonpositive(sheet)
    sheet.drop_quarantined()
    _find_missing(sheet)


def _find_wrong_types(sheet: Sheet) -> None:
    for role in sheet.values:
        for place in np.flatnonzero(np.isnan(sheet.values[role])):
            text = sheet.bars.number_text(int(sheet.rows[place]), role)
            if is_empty(text) or int(sheet.rows[place]) in sheet.quarantined:
                continue
            if (number := read_number(text)) is not None:
                what = "thousands separators" if "," in text else "a currency's sign, or a letter for thousands or more"
                sheet.repair("wrong_type", int(place), {role: number}, {"text": text, "what": what})
            else:
                sheet.quarantine("wrong_type", int(place), (role,), {"text": text, "wanted": "a number"})


def _find_infinities(sheet: Sheet) -> None:
    for role, numbers in sheet.values.items():
        if role == ADJUSTED_CLOSE:
            continue  # it follows from the close
        for place in np.flatnonzero(np.abs(numbers) > LARGEST):
            if int(sheet.rows[place]) not in sheet.quarantined:
                sheet.quarantine("infinity", int(place), (role,), {"value": float(numbers[place])})


def _find_nonpositive(sheet: Sheet) -> None:
    usual = typical_log(sheet)
    for role, numbers in sheet.prices().items():
        for place in np.flatnonzero(numbers <= 0):
            if int(sheet.rows[place]) in sheet.quarantined:
                continue
            value = float(numbers[place])
            if value < 0 and _sign_only(sheet, role, int(place), usual):
                sheet.repair("negative_price", int(place), {role: -value}, {"usual_price": float(np.exp(usual[place]))})
            else:
                rule = "negative_price" if value < 0 else "zero_price"
                sheet.quarantine(rule, int(place), (role,), {"value": value})
    if sheet.has("volume"):
        _find_silent(sheet)
    for role, rule in NEVER_NEGATIVE.items():
        for place in np.flatnonzero(sheet.values[role] < 0) if sheet.has(role) else []:
            if int(sheet.rows[place]) not in sheet.quarantined:
                sheet.quarantine(rule, int(place), (role,), {"value": float(sheet.values[role][place])})


def _find_silent(sheet: Sheet) -> None:
    """Point at rows without volume whose prices moved, in a file in which hardly any row has none."""
    volume, prices = sheet.values["volume"], np.vstack(list(sheet.prices().values()))
    silent = volume == 0
    moved = np.nanmax(prices, axis=0, initial=-np.inf) > np.nanmin(prices, axis=0, initial=np.inf)
    if not silent.any() or (silent.mean() > SILENT_SHARE and silent.sum() > SILENT_ROWS):
        return
    for place in np.flatnonzero(silent & moved):
        sheet.flag(ZERO_VOLUME, int(place), ("volume",), {"volume": 0.0, "rows_without_volume": int(silent.sum())})


def _sign_only(sheet: Sheet, role: str, place: int, usual: Numbers) -> bool:
    """Whether a negative price is the row's price without its sign: within the range of the row's other prices."""
    others = [float(numbers[place]) for name, numbers in sheet.prices().items() if name != role]
    others = [one for one in others if one > 0]
    if not others or not np.isfinite(usual[place]):
        return False
    size = abs(float(sheet.values[role][place]))
    margin = 1 + 3 * local_noise(np.diff(usual), place)
    return min(others) / margin <= size <= max(others) * margin


def _find_missing(sheet: Sheet) -> None:
    prices = sheet.prices()
    stack = np.vstack(list(prices.values()))
    missing = np.isnan(stack)
    ratios = factor_log(sheet)
    volume = sheet.values.get("volume")
    volumes = volume[~np.isnan(volume)] if volume is not None else np.empty(0)
    usually_silent = volumes.size > 0 and float(np.median(volumes)) == 0.0
    for place in np.flatnonzero(missing.any(axis=0)):
        where = int(place)
        empty = [role for role, gone in zip(prices, missing[:, place], strict=True) if gone]
        if missing[:, place].all():
            _note_empty_row(sheet, where, empty, fill_volume=usually_silent)
        elif (
            empty == ["close"] and (ratio := ratio_beside(sheet, ratios, where)) is not None and sheet.has("adj_close")
        ):
            close = float(sheet.values["adj_close"][place] / np.exp(ratio))
            if np.isfinite(close) and close > 0:
                evidence = {"adjusted_over_close_beside": float(np.exp(ratio))}
                sheet.repair(MISSING, where, {"close": close}, evidence)
            else:
                sheet.quarantine(MISSING, where, empty, {"missing": empty})
        else:
            sheet.quarantine(MISSING, where, empty, {"missing": empty})
    if volume is not None:
        for place in np.flatnonzero(np.isnan(sheet.values["volume"]) & ~missing.any(axis=0)):
            sheet.flag(MISSING, int(place), ("volume",), {"missing": ["volume"]})


def _note_empty_row(sheet: Sheet, place: int, empty: list[str], *, fill_volume: bool) -> None:
    """A row without prices is a bar without trades; where most bars of the file are, its volume is zero like theirs."""
    sheet.flag(MISSING, place, empty, {"missing": empty, "what": "no price at all: a bar without trades"})
    if fill_volume and np.isnan(sheet.values["volume"][place]):
        sheet.repair(
            MISSING, place, {"volume": 0.0}, {"usual_volume": 0.0, "what": "a bar without prices has no trades"}
        )


# --- prices that cross, adjusted closes ---------------------------------------------------------------------


def repair_crossed(sheet: Sheet) -> None:
    """Swap highs and lows back; set aside or point at rows whose prices cross."""
    if not (sheet.has("high") and sheet.has("low")):
        return
    high, low = sheet.values["high"], sheet.values["low"]
    inner = [numbers for role, numbers in sheet.prices().items() if role in {"open", "close"}]
    top, bottom = np.fmax.reduce(inner), np.fmin.reduce(inner)
    up, down = 1 + PRICE_ROUNDING, 1 - PRICE_ROUNDING
    with np.errstate(invalid="ignore", divide="ignore"):
        ranges = np.abs(np.log(high / low))
    known = ranges[~np.isnan(ranges)]
    usual = max(SWAPPED_RANGES * float(np.median(known)), SWAPPED_RANGE) if known.size else 0.0
    for place in np.flatnonzero(high < low * down):
        upper, lower = float(low[place]), float(high[place])
        evidence = {"high": lower, "low": upper}
        if top[place] <= upper * up and bottom[place] >= lower * down and ranges[place] <= usual:
            sheet.repair(SWAPPED, int(place), {"high": upper, "low": lower}, evidence)
        else:
            sheet.quarantine(CROSSED, int(place), tuple(sheet.prices()), evidence)
    for place in np.flatnonzero(((top > high * up) | (bottom < low * down)) & (high >= low)):
        if int(sheet.rows[place]) not in sheet.quarantined:
            evidence = {role: float(numbers[place]) for role, numbers in sheet.prices().items()}
            sheet.flag(CROSSED, int(place), tuple(sheet.prices()), evidence)


def repair_single_ratios(sheet: Sheet) -> None:
    """A row whose ratio of adjusted close to close alone differs from both sides: one of the two cells is wrong.

    The one is right that lies within the row's low and high (the adjusted close after the ratio is taken out).
    """
    if not (sheet.has("adj_close") and sheet.has("high") and sheet.has("low")):
        return
    ratios = factor_log(sheet)
    known = np.flatnonzero(np.isfinite(ratios))
    steps = np.diff(ratios[known])
    ticks = sheet.tick("close"), sheet.tick("adj_close")
    for k in np.flatnonzero(np.abs(steps[:-1]) >= SINGLE_RATIO) + 1 if len(steps) else []:
        before, here, after = ratios[known[k - 1 : k + 2]]
        close, adjusted = (float(sheet.values[role][known[k]]) for role in ("close", "adj_close"))
        # Half a last decimal of four numbers: two of this row, two of those beside, which are about as large.
        rounded = ticks[0] / close + ticks[1] / min(adjusted, close * float(np.exp(before)))
        least = max(SINGLE_RATIO, 8 * local_noise(steps, int(k) - 1, floor=0.0)) + rounded
        if (
            of_unit(np.array(here - before))
            or abs(here - before) < least
            or abs(after - before) > abs(here - before) / 20
        ):
            continue
        place = int(known[k])
        low, high = (float(sheet.values[role][place]) for role in ("low", "high"))
        other = adjusted / float(np.exp(before))
        inside = [low * (1 - PRICE_ROUNDING) <= one <= high * (1 + PRICE_ROUNDING) for one in (close, other)]
        evidence = {"ratio_beside": float(np.exp(before)), "ratio_here": float(np.exp(here)), "low": low, "high": high}
        if inside == [True, False]:
            sheet.repair(ADJUSTED, place, {"adj_close": close * float(np.exp(before))}, evidence)
        elif inside == [False, True]:
            sheet.repair(ADJUSTED, place, {"close": other}, evidence)
        else:
            sheet.flag(ADJUSTED, place, ("close", "adj_close"), evidence)


def repair_adjusted(sheet: Sheet) -> None:
    """Adjusted closes that are none, after dividends had their chance."""
    if not sheet.has("adj_close"):
        return
    adjusted, close = sheet.values["adj_close"], sheet.values["close"]
    usable = (adjusted > 0) & (adjusted <= LARGEST)
    ratios = factor_log(sheet)
    for place in np.flatnonzero(~usable & (close > 0)):
        ratio = ratio_beside(sheet, ratios, int(place))
        evidence = {"value": float(adjusted[place])}
        if ratio is not None:
            value = float(close[place] * np.exp(ratio))
            sheet.repair(ADJUSTED, int(place), {"adj_close": value}, evidence | {"ratio_beside": float(np.exp(ratio))})
        elif np.isnan(adjusted[place]):
            sheet.flag(ADJUSTED, int(place), ("adj_close",), evidence | {"what": "missing, and the rows beside differ"})
        else:
            sheet.quarantine(ADJUSTED, int(place), ("adj_close",), evidence)

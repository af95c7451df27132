"""Cells that are no prices.

=======================  ============================================================================================
`wrong_type`             text where a number stands in other rows: a number with thousands separators, a currency's
                         sign or a letter for thousands (`$1,234.50`, `1.2M`) is repaired, anything else quarantined
`infinity`               an infinite price or volume: quarantined
`zero_price`             a price of zero: quarantined
`negative_price`         a price below zero: its sign is repaired when the number without it is the row's own price,
                         else the row is quarantined
`negative_volume`        quarantined
`missing_value`          a close from the adjusted close, or the other way around, where the rows beside agree on their
                         ratio: repaired; a row without any price: flagged; another missing price: quarantined
`swapped_columns`        high and low, a price and the volume, or the volumes in base and in quote currency, in each
                         other's column: swapped back where the row is then in order and in line with its neighbors
`crossed_values`         a high below the low: quarantined; an open or close outside them: flagged, since quotes that
                         are carried from the day before look like this
`adjusted_close`         an adjusted close that is not above zero, infinite or missing: from the close and the ratio of
                         the rows beside it where they agree, else quarantined; one whose ratio to the close alone
                         differs from both sides: the cell that lies outside the row's low and high is repaired
=======================  ============================================================================================
"""

from __future__ import annotations

import itertools
from typing import TYPE_CHECKING

import numpy as np

from py_rt.data.bar_columns import PRICES
from py_rt.data.bar_numbers import is_empty, read_number
from py_rt.data.repair.levels import factor_log, of_unit, typical_log
from py_rt.data.repair.sheet import local_noise

if TYPE_CHECKING:
    from py_rt.data.repair.sheet import Numbers, Sheet

MISSING = "missing_value"
SWAPPED = "swapped_columns"
CROSSED = "crossed_values"
ADJUSTED = "adjusted_close"

INFINITE_WORDS = frozenset({"inf", "infinity"})
PRICE_ROUNDING = 1e-6
"""Relative size below which prices are the same; sources that compute in 32 bits differ by less."""
QUOTIENT = 0.25
"""Log distance up to which the quotient of two volumes is the price."""
NAMED_SHARE = 0.05
"""Share of rows from which on a file names its two volumes as their quotient says."""
FAR = float(np.log(3.0))
"""Log distance beyond which a cell is of no price of its neighborhood."""

NAMED_ORDER_MAX, NAMED_ORDER_MIN = 0.5, 0.99
"""Share of rows in order up to which two columns may have each other's names, and from which swapped ones are right."""
NAMED_ROWS = 20
"""Rows that must show that two columns of prices have each other's names."""
EXACT = 2e-4
"""Log distance within which a ratio of adjusted close to close is that of the rows beside."""
USUAL_RANGES = 2.5
"""Usual ranges of a row within which its prices lie."""
SINGLE_RATIO = 0.01
"""Log distance from both sides from which the ratio of adjusted close to close of a row is wrong, not rounded."""


def sift(sheet: Sheet) -> None:
    """Judge the cells one by one."""
    _find_wrong_types(sheet)
    sheet.drop_quarantined()
    _find_infinities(sheet)
    sheet.drop_quarantined()
    _repair_swapped_volumes(sheet)
    _repair_swapped_volume(sheet)
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
    for role in (*PRICES, "volume"):
        if not sheet.has(role):
            continue
        for place in np.flatnonzero(np.isinf(sheet.values[role])):
            if int(sheet.rows[place]) not in sheet.quarantined:
                sheet.quarantine("infinity", int(place), (role,), {"value": float(sheet.values[role][place])})


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
        for place in np.flatnonzero(sheet.values["volume"] < 0):
            if int(sheet.rows[place]) not in sheet.quarantined:
                value = float(sheet.values["volume"][place])
                sheet.quarantine("negative_volume", int(place), ("volume",), {"value": value})


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
            empty == ["close"] and (ratio := _ratio_beside(sheet, ratios, where)) is not None and sheet.has("adj_close")
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


def _ratio_beside(sheet: Sheet, ratios: Numbers, place: int) -> float | None:
    """Log ratio of adjusted close to close of the rows before and after, where they agree.

    Where they differ because one of the rows is an ex-date, the row's own side of it.
    """
    known = np.flatnonzero(np.isfinite(ratios))
    before, after = known[known < place], known[known > place]
    if not before.size or not after.size:
        return None
    one, other = float(ratios[before[-1]]), float(ratios[after[0]])
    if abs(one - other) < 1e-3:
        return one
    paid = [sheet.values[role] for role in ("dividend", "split", "capital_gain") if sheet.has(role)]
    here = any((amounts[before[-1] + 1 : place + 1] > 0).any() for amounts in paid)
    later = any((amounts[place + 1 : after[0] + 1] > 0).any() for amounts in paid)
    if here == later:
        return None
    return other if here else one


# --- columns that were swapped, prices that cross ---------------------------------------------------------------------


def _repair_swapped_volumes(sheet: Sheet) -> None:
    """Volumes in base and in quote currency: the second over the first is the price, or they are swapped.

    A file that has them the other way around throughout names them so; one that has both is wrong in the rows whose
    quotient is not the price.
    """
    if not (sheet.has("volume") and sheet.has("quote_volume")):
        return
    base, quote = sheet.values["volume"], sheet.values["quote_volume"]
    usual = typical_log(sheet)
    usable = (base > 0) & (quote > 0) & np.isfinite(usual)
    quotient = np.log(np.where(usable, quote, 1.0) / np.where(usable, base, 1.0))
    right = usable & (np.abs(quotient - usual) < QUOTIENT)
    swapped = usable & (np.abs(quotient + usual) < QUOTIENT) & (np.abs(usual) > 2 * QUOTIENT)
    if right.sum() < NAMED_SHARE * usable.sum():
        return
    for place in np.flatnonzero(swapped):
        evidence = {"usual_price": float(np.exp(usual[place])), "quotient": float(np.exp(quotient[place]))}
        one, other = float(base[place]), float(quote[place])
        sheet.repair(SWAPPED, int(place), {"volume": other, "quote_volume": one}, evidence)


def _repair_swapped_volume(sheet: Sheet) -> None:
    """A volume that is a price of the row, beside a price that is far from every price around."""
    if not sheet.has("volume"):
        return
    usual = typical_log(sheet)
    with np.errstate(invalid="ignore", divide="ignore"):
        like_price = np.abs(np.log(sheet.values["volume"]) - usual) < 0.25
    for place in np.flatnonzero(like_price):
        for role, numbers in sheet.prices().items():
            value, volume = float(numbers[place]), float(sheet.values["volume"][place])
            if value > 0 and abs(np.log(value) - usual[place]) > FAR and _usual_volume(sheet, int(place), value):
                evidence = {"usual_price": float(np.exp(usual[place])), "usual_volume": _median_volume(sheet)}
                sheet.repair(SWAPPED, int(place), {role: volume, "volume": value}, evidence)
                break


def _median_volume(sheet: Sheet) -> float:
    volume = sheet.values["volume"]
    traded = volume[volume > 0]
    return float(np.median(traded)) if traded.size else 0.0


def _usual_volume(sheet: Sheet, place: int, value: float) -> bool:
    """Whether a number is nearer to the file's usual volume than to the row's usual price."""
    median = _median_volume(sheet)
    price = float(sheet.values["volume"][place])
    return median > 0 and abs(np.log(value / median)) < abs(np.log(value / price))


def repair_swapped_close(sheet: Sheet) -> None:
    """Swap a close back that stands in another price's column, where the adjusted close proves which one it is."""
    if not all(sheet.has(role) for role in ("adj_close", "high", "low")):
        return
    _repair_named_adjusted(sheet)
    ratios = factor_log(sheet)
    known = np.flatnonzero(np.isfinite(ratios))
    off = np.abs(np.diff(ratios[known])) >= SINGLE_RATIO
    usual = USUAL_RANGES * float(np.nanmedian(np.abs(np.log(sheet.values["high"] / sheet.values["low"]))))
    for k in np.flatnonzero(off[:-1] & off[1:]) + 1 if len(off) else []:
        place = int(known[k])
        ratio = _ratio_beside(sheet, ratios, place)
        if ratio is None or abs(ratios[place] - ratio) < SINGLE_RATIO:
            continue
        row = {role: float(sheet.values[role][place]) for role in (*sheet.prices(), "adj_close")}
        # A close that is off beside a true one that equals another price looks alike, but for how far it is off.
        partners = [role for role in row if role == "adj_close" or 0 < abs(np.log(row["close"] / row[role])) < usual]
        swaps = [row | {"close": row[role], role: row["close"]} for role in partners]
        right = [
            one for one in swaps if _is_in_order(one) and abs(np.log(one["adj_close"] / one["close"]) - ratio) < EXACT
        ]
        changes = [{role: value for role, value in one.items() if value != row[role]} for one in right]
        if len(changes) == 1:
            sheet.repair(SWAPPED, place, changes[0], {"adjusted_over_close_beside": float(np.exp(ratio))})


def _is_in_order(row: dict[str, float]) -> bool:
    inner = [row[role] for role in ("open", "close") if role in row]
    return row["low"] * (1 - PRICE_ROUNDING) <= min(inner) and max(inner) <= row["high"] * (1 + PRICE_ROUNDING)


def _repair_named_adjusted(sheet: Sheet) -> None:
    """Swap whole columns of closes and adjusted closes that have each other's names.

    Then the adjusted close lies within the row's prices and the close does not, and dividends seem to have raised it. A
    close that is as traded beside prices that are adjusted is above its adjusted close, not below.
    """
    close, adjusted, high, low = (sheet.values[role] for role in ("close", "adj_close", "high", "low"))
    top, bottom = high * (1 + PRICE_ROUNDING), low * (1 - PRICE_ROUNDING)
    inside, adjusted_inside = (close >= bottom) & (close <= top), (adjusted >= bottom) & (adjusted <= top)
    swapped = adjusted_inside & ~inside & (close < adjusted)
    if swapped.sum() < NAMED_SHARE * sheet.height or (inside & ~adjusted_inside).any():
        return
    evidence = {"rows_with_close_out_of_range": int(swapped.sum()), "what": "the columns have each other's names"}
    for place in np.flatnonzero((close != adjusted) & np.isfinite(close) & np.isfinite(adjusted)):
        one, other = float(close[place]), float(adjusted[place])
        sheet.repair(SWAPPED, int(place), {"close": other, "adj_close": one}, evidence)


def repair_swapped_prices(sheet: Sheet) -> None:
    """Swap whole columns back that have each other's names: most rows are out of order, swapped hardly any is."""
    if set(sheet.prices()) != set(PRICES):
        return
    prices = sheet.prices()
    if _share_in_order(prices) > NAMED_ORDER_MAX:
        return
    for inner, outer in itertools.product(("open", "close"), ("high", "low")):
        if _share_in_order(prices | {inner: prices[outer], outer: prices[inner]}) < NAMED_ORDER_MIN:
            continue
        one, other = prices[inner].copy(), prices[outer].copy()
        if (one != other).sum() < NAMED_ROWS:
            return
        for place in np.flatnonzero(one != other):
            after = {inner: float(other[place]), outer: float(one[place])}
            sheet.repair(SWAPPED, int(place), after, {"what": "the columns have each other's names"})
        return


def _share_in_order(prices: dict[str, Numbers]) -> float:
    top, bottom = np.fmax(prices["open"], prices["close"]), np.fmin(prices["open"], prices["close"])
    up, down = prices["high"] * (1 + PRICE_ROUNDING), prices["low"] * (1 - PRICE_ROUNDING)
    known = np.isfinite(top + bottom + up + down)
    return float(((top <= up) & (bottom >= down))[known].mean()) if known.any() else 1.0


def repair_crossed(sheet: Sheet) -> None:
    """Swap highs and lows back; set aside or point at rows whose prices cross."""
    if not (sheet.has("high") and sheet.has("low")):
        return
    high, low = sheet.values["high"], sheet.values["low"]
    inner = [numbers for role, numbers in sheet.prices().items() if role in {"open", "close"}]
    top, bottom = np.fmax.reduce(inner), np.fmin.reduce(inner)
    up, down = 1 + PRICE_ROUNDING, 1 - PRICE_ROUNDING
    for place in np.flatnonzero(high < low * down):
        upper, lower = float(low[place]), float(high[place])
        evidence = {"high": lower, "low": upper}
        if top[place] <= upper * up and bottom[place] >= lower * down:
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
    usable = (adjusted > 0) & np.isfinite(adjusted)
    ratios = factor_log(sheet)
    for place in np.flatnonzero(~usable & (close > 0)):
        ratio = _ratio_beside(sheet, ratios, int(place))
        evidence = {"value": float(adjusted[place])}
        if ratio is not None:
            value = float(close[place] * np.exp(ratio))
            sheet.repair(ADJUSTED, int(place), {"adj_close": value}, evidence | {"ratio_beside": float(np.exp(ratio))})
        elif np.isnan(adjusted[place]):
            sheet.flag(ADJUSTED, int(place), ("adj_close",), evidence | {"what": "missing, and the rows beside differ"})
        else:
            sheet.quarantine(ADJUSTED, int(place), ("adj_close",), evidence)

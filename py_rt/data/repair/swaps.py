"""Cells in each other's column, in single rows or throughout.

A swap is undone where it alone puts the row, or the file, in order: a volume that is a price of its row beside a price
that is none, a close that the ratio of the adjusted close proves to stand in another column, columns that have each
other's names.
"""

from __future__ import annotations

import itertools
from typing import TYPE_CHECKING

import numpy as np

from py_rt.data.bar_columns import PRICES
from py_rt.data.repair.levels import factor_log, typical_log

if TYPE_CHECKING:
    from py_rt.data.repair.sheet import Numbers, Sheet

SWAPPED = "swapped_columns"
ADJUSTED = "adjusted_close"
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
NAMED_ADJUSTED_ROWS = 5
"""The same of a close and an adjusted close."""
NAMED_VOLUME = 0.9
ADJUSTED_RANGE = 50.0
"""Share of rows that must show that a volume and another column have each other's names; how many times lower than its
close an adjusted close may be."""
EXACT = 2e-4
"""Log distance within which a ratio of adjusted close to close is that of the rows beside."""
USUAL_RANGES = 2.5
"""Usual ranges of a row within which its prices lie."""
SINGLE_RATIO = 0.01
"""Log distance from both sides from which the ratio of adjusted close to close of a row is wrong, not rounded."""


def repair_volumes(sheet: Sheet) -> None:
    """Swap volumes back that stand in the column of a price, of the adjusted close or of the other volume."""
    _repair_two_volumes(sheet)
    for role in ("open", "close", "adj_close"):
        _repair_named_volume(sheet, role)
    _repair_volume(sheet)
    _repair_adjusted_volume(sheet)


def _repair_named_volume(sheet: Sheet, role: str) -> None:
    """Swap a volume back that has the name of another column throughout: the other's values are what it should hold."""
    if not (sheet.has("volume") and sheet.has(role) and sheet.has("high") and sheet.has("low")):
        return
    volume, named = sheet.values["volume"], sheet.values[role]
    high, low = sheet.values["high"], sheet.values["low"]
    if role == "adj_close":  # which lies anywhere below the close
        high, low = high * np.exp(FAR), low / ADJUSTED_RANGE
    margin = 1 + 0.1 * (high / low - 1) + PRICE_ROUNDING
    inside = (volume >= low / margin) & (volume <= high * margin)
    outside = ~((named >= low / margin / 3) & (named <= high * margin * 3))
    known = np.isfinite(volume + named + high + low)
    if known.sum() < NAMED_ROWS or inside[known].mean() < NAMED_VOLUME or outside[known].mean() < NAMED_VOLUME:
        return
    for place in np.flatnonzero(known & (volume != named)):
        after = {role: float(volume[place]), "volume": float(named[place])}
        sheet.repair(SWAPPED, int(place), after, {"what": "the columns have each other's names"})


def _repair_adjusted_volume(sheet: Sheet) -> None:
    """Swap a volume back that stands in the column of the adjusted close: the ratio beside proves it."""
    if not (sheet.has("volume") and sheet.has("adj_close")):
        return
    close, adjusted, volume = (sheet.values[role] for role in ("close", "adj_close", "volume"))
    far = ~(np.abs(np.log(np.where(adjusted > 0, adjusted, np.nan) / close)) < FAR)
    odd = np.flatnonzero(far & np.isfinite(adjusted) & (volume > 0) & (close > 0))
    ratios = factor_log(sheet)
    ratios[odd] = np.nan
    for place in odd:
        ratio = ratio_beside(sheet, ratios, int(place))
        if ratio is not None and abs(float(np.log(volume[place] / close[place])) - ratio) < EXACT:
            after = {"adj_close": float(volume[place]), "volume": float(adjusted[place])}
            sheet.repair(SWAPPED, int(place), after, {"adjusted_over_close_beside": float(np.exp(ratio))})


def _repair_two_volumes(sheet: Sheet) -> None:
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


def _repair_volume(sheet: Sheet) -> None:
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


# --- closes and other prices -----------------------------------------------------------------------------------------


def repair_swapped_close(sheet: Sheet) -> None:
    """Swap a close back that stands in another price's column, where the adjusted close proves which one it is."""
    if not all(sheet.has(role) for role in ("adj_close", "high", "low")):
        return
    ratios = factor_log(sheet)
    known = np.flatnonzero(np.isfinite(ratios))
    off = np.abs(np.diff(ratios[known])) >= SINGLE_RATIO
    if not off.any():
        return
    usual = USUAL_RANGES * float(np.nanmedian(np.abs(np.log(sheet.values["high"] / sheet.values["low"]))))
    for k in np.flatnonzero(off[:-1] & off[1:]) + 1:
        place = int(known[k])
        ratio = ratio_beside(sheet, ratios, place)
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


def repair_named_adjusted(sheet: Sheet) -> None:
    """Swap whole columns of closes and adjusted closes that have each other's names.

    Then the adjusted close lies within the row's prices and the close does not, and dividends seem to have raised it. A
    close that is as traded beside prices that are adjusted is above its adjusted close, not below.
    """
    if not all(sheet.has(role) for role in ("adj_close", "high", "low")):
        return
    close, adjusted, high, low = (sheet.values[role] for role in ("close", "adj_close", "high", "low"))
    top, bottom = high * (1 + PRICE_ROUNDING), low * (1 - PRICE_ROUNDING)
    inside, adjusted_inside = (close >= bottom) & (close <= top), (adjusted >= bottom) & (adjusted <= top)
    swapped = adjusted_inside & ~inside & (close < adjusted)
    differ = np.flatnonzero(np.abs(np.log(np.where(adjusted > 0, adjusted, 1.0) / close)) > SINGLE_RATIO / 5)
    wrongly = int((inside & ~adjusted_inside).sum())
    if swapped.sum() < max(NAMED_SHARE * sheet.height, NAMED_ADJUSTED_ROWS) or 50 * wrongly > swapped.sum():
        return
    if not differ.size or len(differ) < NAMED_ORDER_MIN * (differ[-1] + 1):
        return  # what dividends do to all older rows, single rows do not
    if float(np.median(np.abs(np.diff(factor_log(sheet))))) > EXACT:
        return  # nor do two prices that both move
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


def ratio_beside(sheet: Sheet, ratios: Numbers, place: int) -> float | None:
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

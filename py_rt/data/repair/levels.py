"""Stretches of rows on another level than their neighbors: a wrong unit.

It shows as a jump of the log price by log 100, as for pence and pounds, up to what prices usually move; by log 1,000 or
10,000, as of lost decimal marks, where a jump back by the same ends a longer stretch. Between jumps lie stretches; the
question is which stretch is wrong, and the answer must follow from the series: the rows that were traded are right
where only one level was. Else, after one change of level, the newest rows are, unless they are few; after several the
smaller part is wrong. A source that changes back and forth proves nothing, and quotes without trades between good rows
are flagged only.

The adjusted close of a repaired row is scaled along when its ratio to the close was right before the repair.
"""

from __future__ import annotations

import itertools
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

import numpy as np

from py_rt.data.bar_columns import PRICES
from py_rt.data.repair.sheet import local_noise

if TYPE_CHECKING:
    from numpy.typing import NDArray

    from py_rt.data.repair.sheet import Numbers, Sheet

UNIT = "unit_error"

LOG_10 = float(np.log(10.0))
LOG_100 = float(np.log(100.0))
UNIT_SLACK = 0.4
"""How far a jump may lie from log 100: prices move at the same time."""
ADJUSTED_SLACK = 0.05
"""How far a jump of adjusted close over close may lie from log 100: the price does not move in it."""
ADJUSTED_USUAL = float(np.log(3.0))
"""How far adjusted closes usually lie from their closes."""
RARE_DECADES = (3, 4)
RARE_ROWS = 6
"""Powers of ten of rarer units, and of how many rows a stretch of one must be; a shorter one may be any mistake."""
GIANT_LOG = 3.0
"""Jumps beyond this are changes of unit, or spoil the reckoning of levels."""
STRETCHES_MAX = 3
"""Wrong stretches of more than one row up to which the smaller part of a file is taken for the wrong one."""
WRONG_SHARE_MAX = 0.10
"""Share of wrong rows up to which it is, whatever the number of stretches."""
WRONG_SHARE_FEW_MAX = 0.45
"""Share of wrong rows up to which it is when there are few stretches."""
WRONG_SHARE_ALONE_MAX = 0.35
ALONE_ROWS = 2.0
"""Share of wrong rows up to which it is when they stand alone: half of the wrong stretches are of so few rows."""
USUAL_SHARE = 0.75
"""Share of rows from which on their unit is the file's usual one, although another is not proven to be wrong."""
FEW_ROWS = 3
"""Rows above which a single newest one is few, however short the file."""
VOLUMES_BESIDE = 10
VOLUMES_REACH = 40
VOLUME_ROWS = 8
"""What volumes are compared with: so many beside, within so many rows; and of how many rows they must be."""
VOLUME_SPREAD = 0.3
VOLUME_LEAD = 6.0
VOLUME_LOG_MIN = 0.6
"""Least standard deviation of their logs; the lead in natural log units from which they are right; the least log factor
that can be told from what volumes do."""
BESIDE = 50
"""Rows beside a stretch among which one is looked for that tells what is wrong in it."""
ALL = slice(None)
WHOLE_VOLUME = 100
"""Volumes from here on stay whole where they are."""


@dataclass(frozen=True, slots=True)
class Jump:
    """A change of level.

    Attributes:
        place: of the first row on the new level.
        decades: how many powers of ten up (2) or down (-2).
        step: log step seen.
    """

    place: int
    decades: int
    step: float


def typical_log(sheet: Sheet) -> Numbers:
    """Log of each row's median price; NaN where no price is above zero."""
    prices = np.vstack(list(sheet.prices().values()))
    usable = np.where((prices > 0) & np.isfinite(prices), prices, np.nan)
    known = np.isfinite(usable).any(axis=0)
    result = np.full(sheet.height, np.nan)
    if known.any():
        result[known] = np.log(np.nanmedian(usable[:, known], axis=0))
    return result


def factor_log(sheet: Sheet, rows: slice = ALL) -> Numbers:
    """Log of adjusted close over close; NaN where there is none."""
    close = sheet.values["close"][rows]
    if not sheet.has("adj_close"):
        return np.full(len(close), np.nan)
    adjusted = sheet.values["adj_close"][rows]
    usable = (close > 0) & (adjusted > 0) & np.isfinite(close) & np.isfinite(adjusted)
    return np.log(np.where(usable, adjusted, 1.0) / np.where(usable, close, 1.0)) + np.where(usable, 0.0, np.nan)


def steps_of(log_price: Numbers) -> tuple[NDArray[np.int64], Numbers]:
    """Places with a price, and the log step into each but the first."""
    known = np.flatnonzero(np.isfinite(log_price))
    return known, np.diff(log_price[known])


def splits_of(sheet: Sheet) -> Numbers:
    """Ratio of the split of each place; 0 where there is none."""
    if not sheet.has("split"):
        return np.zeros(sheet.height)
    ratios = sheet.values["split"]
    return np.where(np.isfinite(ratios) & (ratios > 0) & (ratios != 1.0), ratios, 0.0)


# --- units -----------------------------------------------------------------------------------------------------------


def repair_units(sheet: Sheet) -> None:
    """Bring stretches of rows that are powers of ten too high or low to the level of the others."""
    known, steps = steps_of(_without_spikes(typical_log(sheet)))
    splits = np.abs(np.log(np.where(splits_of(sheet) == 0, 1.0, splits_of(sheet))))
    jumps, others = [], 0
    by_unit, decades = _changes_of_unit(steps), _decades(steps)
    for k in np.flatnonzero(np.abs(steps) > GIANT_LOG):
        place = int(known[k + 1])
        comes_back = k + 1 < len(steps) and by_unit[k + 1] and steps[k] * steps[k + 1] < 0
        of_split = splits[place] * (1 if comes_back else np.array([1, 2]))  # twice, of one applied the wrong way
        if decades[k] and (np.abs(np.abs(steps[k]) - of_split) > UNIT_SLACK).all():
            jumps.append(Jump(place, int(decades[k]), float(steps[k])))
        else:
            others += 1
    if not jumps:
        return
    level = np.zeros(sheet.height, dtype=int)
    for jump in jumps:
        level[jump.place :] += jump.decades
    right = _right_level(sheet, level[known], known, len(jumps))
    if others > 0 and len(jumps) > 1:
        right = "beside changes of the unit there are other jumps as large; what belongs together is not proven"
    if isinstance(right, str):
        for jump in jumps:
            sheet.flag(UNIT, jump.place, ("close",), {"why": right, "log_step": jump.step})
        rows = {one: sheet.rows[known[level[known] == one]] for one in np.unique(level[known])}
        most = max(rows.values(), key=len)
        is_usual = len(most) >= USUAL_SHARE * len(known)
        sheet.unsure |= set(sheet.rows.tolist()) - (set(most.tolist()) if is_usual else set())
        return
    for first, last, at in _stretches(level, known):
        if at != right:
            _repair_stretch(sheet, known, (first, last), 10.0 ** (right - at), len(jumps))


def _without_spikes(log_price: Numbers) -> Numbers:
    """Log prices without single rows that are giant spikes of no known factor: they say nothing of the levels."""
    known, steps = steps_of(log_price)
    odd = (np.abs(steps) > GIANT_LOG) & ~of_unit(steps, most=1)
    around = steps[:-1] + steps[1:]
    back = (np.abs(around) <= GIANT_LOG) | of_unit(around)
    alone = odd[:-1] & odd[1:] & (steps[:-1] * steps[1:] < 0) & back
    cleared = log_price.copy()
    cleared[known[np.flatnonzero(alone) + 1]] = np.nan
    return cleared


def of_unit(steps: Numbers, most: int = 2) -> NDArray[np.bool_]:
    """Whether log steps are changes of the unit; of up to two, from a hundredth to a hundredfold."""
    found = np.zeros(np.shape(steps), dtype=bool)
    for times in range(1, most + 1):
        found |= np.abs(np.abs(steps) - times * LOG_100) <= UNIT_SLACK
    return found


def _changes_of_unit(steps: Numbers) -> NDArray[np.bool_]:
    """Whether steps are changes of the unit; of two only beside one of one that comes back from it or goes to it."""
    single, double = of_unit(steps, most=1), of_unit(steps)
    back = np.append(steps[:-1] * steps[1:] < 0, False)
    beside: NDArray[np.bool_] = (np.append(single[1:], False) & back) | np.append(False, single[:-1] & back[:-1])
    return single | (double & beside)


def _decades(steps: Numbers) -> NDArray[np.int_]:
    """Powers of ten by which steps change the unit; of rarer units only where the level comes back by the same."""
    found = np.where(_changes_of_unit(steps), 2 * np.round(steps / LOG_100), 0).astype(int)
    nearest = np.round(steps / LOG_10)
    near = np.isin(np.abs(nearest), RARE_DECADES) & (np.abs(steps - nearest * LOG_10) <= UNIT_SLACK)
    for first, last in itertools.pairwise(np.flatnonzero(np.abs(steps) > GIANT_LOG)):
        if near[first] and near[last] and nearest[first] == -nearest[last] and last - first >= RARE_ROWS:
            found[first], found[last] = nearest[first], nearest[last]
    return found


def _stretches(level: NDArray[np.int_], known: NDArray[np.int64]) -> list[tuple[int, int, int]]:
    """First and last place and level of each run of rows on one level."""
    at = level[known]
    starts = np.flatnonzero(np.r_[True, np.diff(at) != 0])
    ends = np.r_[starts[1:] - 1, len(known) - 1]
    return [(int(known[a]), int(known[b]), int(at[a])) for a, b in zip(starts, ends, strict=True)]


def _right_level(sheet: Sheet, at: NDArray[np.int_], known: NDArray[np.int64], jumps: int) -> int | str:
    """The level whose rows are right, or why none is proven to be.

    Args:
        sheet: the rows.
        at: level of each place of `known`.
        known: places that have prices.
        jumps: how often the level changes.
    """
    traded = sheet.volume()[known] > 0
    levels = [int(one) for one in np.unique(at)]
    with_trades = [one for one in levels if traded[at == one].any()]
    if len(with_trades) == 1:
        return with_trades[0]
    if jumps == 1:
        newest = int(at[-1])
        count = int((at == newest).sum())
        few = count <= WRONG_SHARE_MAX * len(at) or (count == 1 and len(at) > FEW_ROWS)
        return int(at[0]) if few else newest
    right = max(levels, key=lambda one: int((at == one).sum()))
    share = float((at != right).mean())
    runs = np.diff(np.flatnonzero(np.r_[True, np.diff(at) != 0, True]))
    wrong_runs = at[np.flatnonzero(np.r_[True, np.diff(at) != 0])] != right
    few = int((wrong_runs & (runs > 1)).sum()) <= STRETCHES_MAX and share <= WRONG_SHARE_FEW_MAX
    lone = share <= WRONG_SHARE_ALONE_MAX and float(np.median(runs[wrong_runs])) <= ALONE_ROWS
    if few or lone or share <= WRONG_SHARE_MAX:
        return right
    return "the unit changes back and forth, and several units were traded in; which is right is not proven"


def _repair_stretch(
    sheet: Sheet, known: NDArray[np.int64], stretch: tuple[int, int], factor: float, jumps: int
) -> None:
    first, last = stretch
    start, end = np.searchsorted(known, (first, last + 1))
    rows = known[start:end].tolist()
    enclosed = first > known[0] and last < known[-1]
    evidence: dict[str, Any] = {"factor": factor, "rows_in_stretch": len(rows), "changes_of_level": jumps}
    volume = sheet.volume()
    if enclosed and len(rows) > 1 and not (volume[rows] > 0).any() and (volume[known] > 0).any():
        why = "quotes without trades between rows of the other unit; what was quoted is not proven"
        sheet.flag(UNIT, first, ("close",), {"why": why, **evidence})
        return
    scale(sheet, UNIT, rows, factor, evidence, volume=False)


def scale(sheet: Sheet, rule: str, places: list[int], factor: float, evidence: dict[str, Any], *, volume: bool) -> None:
    """Multiply what is wrong of the rows: prices and adjusted close, or one of the two."""
    prices, adjusted = what_is_wrong(sheet, places, factor)
    volume = volume and prices and sheet.has("volume")
    for place in places:
        after = {}
        if prices:
            known = {role: numbers[place] for role, numbers in sheet.prices().items() if np.isfinite(numbers[place])}
            after = {role: float(value * factor) for role, value in known.items()}
        if adjusted and np.isfinite(sheet.values["adj_close"][place]):
            after["adj_close"] = float(sheet.values["adj_close"][place] * factor)
        if volume and sheet.values["volume"][place] > 0:
            traded = float(sheet.values["volume"][place] / factor)
            whole = sheet.bars.text(int(sheet.rows[place]), "volume").isdigit() and traded >= WHOLE_VOLUME
            after["volume"] = float(round(traded)) if whole else traded
        sheet.repair(rule, place, after, evidence)


def volume_is_right(sheet: Sheet, places: list[int], factor: float) -> bool:
    """Whether the volumes of rows lack no factor although the prices do: they are proven to be like those beside.

    Only rows with others close by on both sides can prove it: what is traded changes over the years.
    """
    if not sheet.has("volume") or abs(np.log(factor)) < VOLUME_LOG_MIN:
        return False
    with np.errstate(invalid="ignore", divide="ignore"):
        logs = np.log(np.where(sheet.values["volume"] > 0, sheet.values["volume"], np.nan))
    others = np.setdiff1d(np.flatnonzero(np.isfinite(logs)), places)
    at = np.searchsorted(others, places)
    half = VOLUMES_BESIDE // 2
    off = []
    for place, k in zip(places, at, strict=True):
        beside = others[max(0, k - half) : k + half]
        if np.isfinite(logs[place]) and len(beside) == 2 * half and np.ptp(beside) <= VOLUMES_REACH:
            off.append(logs[place] - np.median(logs[beside]))
    if len(off) < VOLUME_ROWS:
        return False
    spread = max(float(np.std(np.diff(logs[others]))) / np.sqrt(2), VOLUME_SPREAD)
    # Log likelihood of no factor over that of one, for normal log volumes.
    lead = sum((one - np.log(factor)) ** 2 - one**2 for one in off) / (2 * spread**2)
    return bool(lead > VOLUME_LEAD)


def what_is_wrong(sheet: Sheet, places: list[int], factor: float) -> tuple[bool, bool]:
    """Whether the prices and whether the adjusted close of rows lack a factor: their ratio beside tells."""
    first, last = min(places), max(places)
    start = max(0, first - BESIDE)
    ratios = factor_log(sheet, slice(start, last + 1 + BESIDE))
    inside = np.asarray(places) - start
    here = ratios[inside]
    here = here[np.isfinite(here)]
    others = np.setdiff1d(np.flatnonzero(np.isfinite(ratios)), inside)
    if not here.size:
        return True, False
    if not others.size:
        return True, True
    nearest = others[np.argmin(np.abs(others - np.median(inside)))]
    off = float(np.median(here)) - float(ratios[nearest])
    readings = {(True, True): 0.0, (False, True): -np.log(factor), (True, False): np.log(factor)}
    return min(readings, key=lambda wrong: abs(off - readings[wrong]))


# --- single cells ----------------------------------------------------------------------------------------------------


def repair_unit_cells(sheet: Sheet) -> None:
    """Repair single prices of a row that are 100 times too high or low, where the rest of the row is not."""
    prices = sheet.prices()
    if len(prices) < 3:
        return
    names = [role for role in PRICES if role in prices]
    stack = np.vstack([prices[role] for role in names])
    usable = np.where((stack > 0) & np.isfinite(stack), stack, np.nan)
    logs = np.log(usable)
    complete = np.isfinite(logs).all(axis=0)
    spread = np.where(complete, logs.max(axis=0) - logs.min(axis=0), 0.0)
    for place in np.flatnonzero(np.abs(spread - LOG_100) < 0.7):
        _repair_cells_of(sheet, int(place), names, logs)
    _repair_adjusted_cells(sheet)


def _reference(logs: Numbers, place: int) -> float:
    """Log of the usual price around a row, without the row."""
    around = np.r_[logs[:, max(0, place - 5) : place].ravel(), logs[:, place + 1 : place + 6].ravel()]
    around = around[np.isfinite(around)]
    return float(np.median(around)) if around.size else float("nan")


def _repair_cells_of(sheet: Sheet, place: int, names: list[str], logs: Numbers) -> None:
    usual = _reference(logs, place)
    if not np.isfinite(usual):
        return
    times = np.round((logs[:, place] - usual) / LOG_100)
    repaired = logs[:, place] - times * LOG_100
    tolerance = max(0.3, 6 * local_noise(np.diff(np.nanmedian(logs, axis=0)), place))
    close_by = np.abs(repaired - usual) < min(tolerance, 0.7)
    if not close_by.all() or not (np.abs(times) <= 1).all() or not (times == 0).any():
        return
    wrong = [role for role, one in zip(names, times, strict=True) if one]
    after = {role: float(sheet.values[role][place] * 100.0 ** -times[names.index(role)]) for role in wrong}
    evidence = {"usual_price": float(np.exp(usual)), "factor": [float(100.0**-one) for one in times if one]}
    if "close" in after:
        factor = after["close"] / float(sheet.values["close"][place])
        if what_is_wrong(sheet, [place], factor)[1]:
            after["adj_close"] = float(sheet.values["adj_close"][place] * factor)
    sheet.repair(UNIT, place, after, evidence)
    logs[:, place] = repaired


def _repair_adjusted_cells(sheet: Sheet) -> None:
    """Adjusted closes that alone are 100 times off, between rows that are not, or up to an end of the file."""
    known, steps = steps_of(factor_log(sheet))
    close = np.log(sheet.values["close"])
    moved = of_unit(np.diff(close[known])) if len(known) else np.zeros(0, dtype=bool)  # then it is the close
    jumps = np.flatnonzero((np.abs(np.abs(steps) - LOG_100) < ADJUSTED_SLACK) & ~moved)
    here = 0
    while here < len(jumps):
        first = int(jumps[here])
        end = int(jumps[here + 1]) if here + 1 < len(jumps) else None
        if end is None or steps[first] * steps[end] > 0:
            _repair_adjusted_end(sheet, known, first, float(steps[first]), alone=len(jumps) == 1)
            here += 1
            continue
        factor = 0.01 if steps[first] > 0 else 100.0
        inside = float(np.median(factor_log(sheet)[known[first + 1 : end + 1]]))
        if abs(inside) < abs(inside + np.log(factor)):  # it lies by its closes: the jump pairs with an earlier one
            _repair_adjusted_end(sheet, known, first, float(steps[first]), alone=False)
            here += 1
            continue
        _scale_adjusted(sheet, known[first + 1 : end + 1], factor)
        here += 2


def _repair_adjusted_end(sheet: Sheet, known: NDArray[np.int64], first: int, step: float, *, alone: bool) -> None:
    """Adjusted closes that change by 100 once: the side is wrong that is far from its closes, beside one that is not.

    Where something was paid or split the change may be an adjustment, however wrong.
    """
    ratios = factor_log(sheet)[known]
    sides = [float(np.median(ratios[: first + 1])), float(np.median(ratios[first + 1 :]))]
    usual = [abs(one) < ADJUSTED_USUAL for one in sides]
    at = int(known[first + 1])
    around = slice(max(0, at - 1), at + 2)
    paid = [sheet.values[role][around] for role in ("dividend", "split", "capital_gain") if sheet.has(role)]
    happened = any(((amounts > 0) & (amounts != 1)).any() for amounts in paid)
    if not alone or happened or usual[0] == usual[1]:
        why = "the adjusted close alone changes by 100, and not back; which side is right is not proven"
        sheet.flag(UNIT, at, ("adj_close",), {"why": why, "log_step": step})
        return
    wrong = known[: first + 1] if usual[1] else known[first + 1 :]
    _scale_adjusted(sheet, wrong, 100.0 if (step > 0) == usual[1] else 0.01)


def _scale_adjusted(sheet: Sheet, places: NDArray[np.int64], factor: float) -> None:
    evidence = {"factor": factor, "rows_in_stretch": len(places)}
    for place in places:
        value = float(sheet.values["adj_close"][place] * factor)
        sheet.repair(UNIT, int(place), {"adj_close": value}, evidence)

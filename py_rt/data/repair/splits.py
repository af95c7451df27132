"""Rows, and single prices of rows, to which a split of the file was not applied, or wrongly.

They lie between jumps of the adjusted log price by the log of the ratio, up to what prices usually move. Of the levels
the newest rows' is right, since adjusting runs backwards from them.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import numpy as np

from py_rt.data.repair.levels import (
    Jump,
    factor_log,
    scale,
    splits_of,
    steps_of,
    typical_log,
    volume_is_right,
)
from py_rt.data.repair.sheet import local_noise
from py_rt.data.timestamps import NS_PER_DAY

if TYPE_CHECKING:
    from numpy.typing import NDArray

    from py_rt.data.repair.sheet import Numbers, Sheet

SPLIT = "bad_split"

NEAR_SPLIT_ROWS = 60
NEAR_SPLIT_DAYS = 100
NEXT_ROWS = 5
"""How far from a split's row a level may change on one side only, in rows and days; or in rows alone."""
FAR_SHARE_MAX = 0.2
"""Share of the file up to which a stretch far from the split is the wrong part, not the right one."""
FLAG_LOG_MIN = 1.0
FLAG_SIGMAS = 8.0
"""Size of a split, and of a change of level in standard deviations, from which one far from the split is flagged."""
MOVE_COST_MAX = 20.0
CHANGE_COST = 3.0
"""Cost of a jump that is a move of the price, at most, and of a change of level beside how badly it fits."""
LONE_ROWS = 2
"""Rows of a stretch up to which each of its volumes speaks for itself."""
CELLS_LOG_MIN = 0.4
CELLS_ROWS = 5
"""Least log ratio of a split that may be missing in a part of a row's prices, and the rows beside that show it."""
CELLS_FAR_MIN = 3
"""Rows from which on such rows are believed far from the split."""
SPLIT_LOG_MIN = 0.04
"""Splits of less than 4 % are lost in what prices move."""


def repair_splits(sheet: Sheet) -> None:
    """Bring rows to which a split of the file was not applied, or wrongly, to the level of the newest rows."""
    ratios = splits_of(sheet)
    for place in np.flatnonzero(ratios)[::-1]:
        log_ratio = float(np.log(ratios[place]))
        if abs(log_ratio) < SPLIT_LOG_MIN:
            continue
        for log_factor in (log_ratio, 2 * log_ratio):
            series = _split_series(sheet)
            jumps = _split_jumps(sheet, series, int(place), log_factor)
            near = [jump for jump in jumps if _is_near(sheet, jump.place, int(place))]
            if any(_repair_split(sheet, series, int(place), some, log_factor) for some in (jumps, near) if some):
                break
        else:
            _flag_far(sheet, int(place), log_ratio)


def repair_split_cells(sheet: Sheet) -> None:
    """Bring single prices of rows to which a split was not applied to the level of the row's others.

    From the newest row back, since a row's newer ones are right: which of its prices lie with them says which do not.
    """
    prices = sheet.prices()
    if len(prices) < 3:
        return
    ratios = splits_of(sheet)
    for split in np.flatnonzero(ratios)[::-1]:
        size = float(np.log(ratios[split]))
        if abs(size) >= CELLS_LOG_MIN:
            _repair_cells(sheet, int(split), size)


def _repair_cells(sheet: Sheet, split: int, size: float) -> None:
    logs = np.log(np.vstack(list(sheet.prices().values())))
    spread = logs.max(axis=0) - logs.min(axis=0)
    usual = float(np.nanmedian(spread[split:])) if np.isfinite(spread[split:]).any() else 0.0
    allowed = min(abs(size) / 3, max(8 * usual, 0.05))
    torn = np.flatnonzero(np.abs(spread - abs(size)) <= allowed)
    found: dict[int, dict[str, float]] = {}
    for place in torn[::-1]:
        beside = logs[:, place + 1 : place + 1 + CELLS_ROWS]
        if not beside.size or np.isnan(beside).all():
            continue
        off = logs[:, place] - float(np.nanmedian(beside))
        lacks = np.abs(off - size) < np.abs(off)
        fixed = logs[:, place] - np.where(lacks, size, 0.0)
        if lacks.all() or not lacks.any() or fixed.max() - fixed.min() > allowed:
            continue
        logs[:, place] = fixed
        names = [role for role, one in zip(sheet.prices(), lacks, strict=True) if one]
        found[int(place)] = {role: float(sheet.values[role][place] * np.exp(-size)) for role in names}
    near = {place for place in found if _is_near(sheet, place, split)}
    ratios = factor_log(sheet)
    for place, after in found.items():
        if len(found) < CELLS_FAR_MIN and place not in near:
            continue
        if "close" in after and sheet.has("adj_close"):
            # Newer rows are right by now.
            here = float(ratios[place] - np.nanmedian(ratios[place + 1 : place + 1 + CELLS_ROWS]))
            ratios[place] += size
            if abs(here) < abs(here + size):
                after["adj_close"] = float(sheet.values["adj_close"][place] * np.exp(-size))
                ratios[place] -= size
        evidence = {"split_row": int(sheet.rows[split]), "split_ratio": float(np.exp(size)), "rows": len(found)}
        sheet.repair(SPLIT, place, after, evidence)


def _flag_far(sheet: Sheet, split: int, log_ratio: float) -> None:
    """Point at exact changes of level by a large split far before its row: which side is wrong is not proven."""
    if abs(log_ratio) < FLAG_LOG_MIN:
        return
    series = _split_series(sheet)
    known, steps = steps_of(series)
    places = set(np.flatnonzero(splits_of(sheet)).tolist())
    for jump in _split_jumps(sheet, series, split, log_ratio):
        at = int(np.searchsorted(known[1:], jump.place))
        sigmas = abs(jump.step) / local_noise(steps, at)
        if jump.place in places or sigmas < FLAG_SIGMAS or abs(abs(jump.step) - abs(log_ratio)) > 0.1:
            continue
        why = "the level changes by a split of another row; which side lacks it is not proven"
        evidence = {"why": why, "split_row": int(sheet.rows[split]), "log_step": jump.step, "sigmas": sigmas}
        sheet.flag(SPLIT, jump.place, ("close",), evidence)


def _split_series(sheet: Sheet) -> Numbers:
    """Log prices free of dividends and of how the file shows splits: adjusted where the file says how."""
    log_price, factor = typical_log(sheet), factor_log(sheet)
    usable = np.isfinite(factor[np.isfinite(log_price)])
    return log_price + factor if usable.size and usable.all() else log_price


def _is_near(sheet: Sheet, place: int, split: int) -> bool:
    days = abs(int(sheet.ns[place]) - int(sheet.ns[split])) / NS_PER_DAY
    rows = abs(place - split)
    return rows <= NEXT_ROWS or (rows <= NEAR_SPLIT_ROWS and days <= NEAR_SPLIT_DAYS)


def _split_jumps(sheet: Sheet, series: Numbers, split: int, log_factor: float) -> list[Jump]:
    """Changes of level by the factor of a split."""
    known, steps = steps_of(series)
    size = abs(log_factor)
    jumps = []
    for k in np.flatnonzero(np.abs(np.abs(steps) - size) <= max(0.3 * size, 0.02)):
        place, sigma = int(known[k + 1]), local_noise(steps, int(k))
        paid = _paid_log(sheet, int(known[k]), place)
        if paid and abs(steps[k] - paid) < max(3 * sigma, 0.05):
            continue  # a dividend that is not adjusted for
        if (place <= split or _is_near(sheet, place, split)) and abs(steps[k]) >= 5 * sigma:
            jumps.append(Jump(place, 1 if steps[k] * log_factor > 0 else -1, float(steps[k])))
    return jumps


def _paid_log(sheet: Sheet, before: int, place: int) -> float:
    """Log step of a price that falls by the dividend of a row; 0 where nothing was paid, or more than the price."""
    if not sheet.has("dividend") or not sheet.values["dividend"][place] > 0:
        return 0.0
    share = float(sheet.values["dividend"][place] / sheet.values["close"][before])
    return float(np.log1p(-share)) if share < 1 else 0.0


def _repair_split(sheet: Sheet, series: Numbers, split: int, jumps: list[Jump], log_factor: float) -> bool:
    """Repair the stretches that lack the factor, or have it twice. Returns whether anything was repaired."""
    proven: list[tuple[int, list[int], dict[str, Any]]] = []
    known, steps = steps_of(series)
    by_place = {jump.place: jump for jump in jumps}
    for first, end_of, times in _wrong_stretches(known, steps, jumps, log_factor):
        edges = [by_place[place] for place in (first, end_of) if place in by_place]
        if _stretch_is_proven(sheet, steps, split, (first, end_of), edges, log_factor):
            places = [p for p in range(first, end_of) if np.isfinite(sheet.values["close"][p])]
            proven.append((times, places, _split_evidence(sheet, split, end_of - first, edges)))
    if not proven:
        return False
    factor = float(np.exp(proven[0][0] * log_factor))
    lone = [place for _, places, _ in proven if len(places) <= LONE_ROWS for place in places]
    volume = not volume_is_right(sheet, lone, factor)
    for _, places, evidence in proven:
        scale(sheet, SPLIT, places, factor, evidence, volume=volume)
    return True


def _wrong_stretches(
    known: NDArray[np.int64], steps: Numbers, jumps: list[Jump], log_factor: float
) -> list[tuple[int, int, int]]:
    """First place, end and missing factors of each stretch on another level than the newest row.

    Of all ways to take jumps for changes of level and others for moves of the price the likeliest: going back from the
    newest row a file is right or lacks the factor, or right or has it twice.
    """
    at = np.searchsorted(known[1:], [jump.place for jump in jumps])
    sigmas = [local_noise(steps, int(k)) for k in at]
    ways = {times: _walk_back(jumps, sigmas, log_factor, times) for times in (1, -1)}
    times = min(ways, key=lambda one: ways[one][0])
    taken = sorted(ways[times][1])
    edges = [0, *taken] if len(taken) % 2 else taken
    return [(first, end, times) for first, end in zip(edges[::2], edges[1::2], strict=True)][::-1]


def _walk_back(jumps: list[Jump], sigmas: list[float], log_factor: float, times: int) -> tuple[float, list[int]]:
    """Least cost, in natural log units, and the places of the jumps that are changes of level."""
    costs = {False: 0.0, True: float("inf")}  # of being right, and of lacking the factor, before a jump
    came: list[dict[bool, bool]] = []
    for jump, sigma in zip(reversed(jumps), reversed(sigmas), strict=True):
        stay = min(abs(jump.step) / sigma, MOVE_COST_MAX)
        change = {
            state: abs(jump.step - (times if state else -times) * log_factor) / sigma + CHANGE_COST
            for state in (False, True)
        }
        stays = {state: costs[state] + stay <= costs[not state] + change[state] for state in (False, True)}
        came.append({state: state if stays[state] else not state for state in (False, True)})
        costs = {
            state: costs[state] + stay if stays[state] else costs[not state] + change[state] for state in (False, True)
        }
    state = costs[True] < costs[False]
    cost, taken = costs[state], []
    for jump, before in zip(jumps, reversed(came), strict=True):
        if before[state] != state:
            taken.append(jump.place)
        state = before[state]
    return cost, taken


def _stretch_is_proven(  # a stretch, its split and its ends
    sheet: Sheet, steps: Numbers, split: int, stretch: tuple[int, int], edges: list[Jump], log_factor: float
) -> bool:
    """Whether a stretch lacks the factor: by its ends, by how near the split is and, if nothing else, by the others."""
    first, end = stretch
    are_near = [_is_near(sheet, jump.place, split) for jump in edges]
    near = all(are_near)
    tight = all(
        abs(abs(jump.step) - abs(log_factor)) <= max(3 * local_noise(steps, jump.place), 0.02) for jump in edges
    )
    if first > 0:
        small = end - first <= FAR_SHARE_MAX * sheet.height
        traded = bool((sheet.volume()[first:end] > 0).any())
        return near or (tight and (any(are_near) or (small and traded)))
    edge = edges[-1]
    if not sheet.has("adj_close") and edge.place == split:
        return _other_splits_are_applied(sheet, split)
    size, sigma = abs(log_factor), local_noise(steps, edge.place)
    fits = abs(abs(edge.step) - size) <= max(0.12 * size, 10 * sigma)
    return near and (tight or (fits and abs(edge.step) > 8 * sigma))


def _other_splits_are_applied(sheet: Sheet, split: int) -> bool:
    """Without an adjusted close: whether the file's other splits show no jump, so that this one is to show none."""
    others = [int(place) for place in np.flatnonzero(splits_of(sheet)) if place != split and place > 0]
    log_price, ratios = typical_log(sheet), splits_of(sheet)
    applied = [
        abs(log_price[place] - log_price[place - 1] + np.log(ratios[place])) > abs(np.log(ratios[place])) / 2
        for place in others
    ]
    return bool(applied) and all(applied)


def _split_evidence(sheet: Sheet, split: int, rows: int, edges: list[Jump]) -> dict[str, Any]:
    return {
        "split_row": int(sheet.rows[split]),
        "split_ratio": float(sheet.values["split"][split]),
        "rows_in_stretch": rows,
        "log_steps_at_its_ends": [jump.step for jump in edges],
    }

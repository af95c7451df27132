"""Rows to which a split of the file was not applied, or wrongly.

They lie between jumps of the adjusted log price by the log of the ratio, up to what prices usually move. Of the levels
the newest rows' is right, since adjusting runs backwards from them.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import numpy as np

from py_rt.data.repair.levels import Jump, factor_log, scale, splits_of, steps_of, typical_log
from py_rt.data.repair.sheet import local_noise
from py_rt.data.timestamps import NS_PER_DAY

if TYPE_CHECKING:
    from py_rt.data.repair.sheet import Numbers, Sheet

SPLIT = "bad_split"

NEAR_SPLIT_ROWS = 60
NEAR_SPLIT_DAYS = 100
"""How far from a split's row a level may change on one side only."""
FAR_SHARE_MAX = 0.2
"""Share of the file up to which a stretch far from the split is the wrong part, not the right one."""
FLAG_LOG_MIN = 1.0
FLAG_SIGMAS = 8.0
"""Size of a split, and of a change of level in standard deviations, from which one far from the split is flagged."""
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
    return abs(place - split) <= NEAR_SPLIT_ROWS and days <= NEAR_SPLIT_DAYS


def _split_jumps(sheet: Sheet, series: Numbers, split: int, log_factor: float) -> list[Jump]:
    """Changes of level by the factor of a split."""
    known, steps = steps_of(series)
    size = abs(log_factor)
    jumps = []
    for k in np.flatnonzero(np.abs(np.abs(steps) - size) <= max(0.3 * size, 0.02)):
        place, sigma = int(known[k + 1]), local_noise(steps, int(k))
        # Far before the split a fall of the market looks like a small split: only an exact jump counts there.
        exact = place <= split and abs(abs(steps[k]) - size) <= max(3 * sigma, 0.02)
        if (exact or _is_near(sheet, place, split)) and abs(steps[k]) >= 5 * sigma:
            jumps.append(Jump(place, 1 if steps[k] * log_factor > 0 else -1, float(steps[k])))
    return jumps


def _repair_split(sheet: Sheet, series: Numbers, split: int, jumps: list[Jump], log_factor: float) -> bool:
    """Go back from the newest row; between jumps rows lack the factor. Returns whether anything was repaired."""
    missing = 0
    end = sheet.height
    wrong: list[tuple[int, int, int]] = []
    for jump in reversed(jumps):
        if missing:
            wrong.append((jump.place, end, missing))
        missing += jump.times
        end = jump.place
    if missing:
        wrong.append((0, end, missing))
    if any(abs(times) > 1 for _, _, times in wrong):
        return False
    repaired = False
    for first, end_of, times in wrong:
        edges = [jump for jump in jumps if jump.place in {first, end_of}]
        if _stretch_is_proven(sheet, series, split, (first, end_of), edges, log_factor):
            places = [p for p in range(first, end_of) if np.isfinite(sheet.values["close"][p])]
            evidence = _split_evidence(sheet, split, end_of - first, edges)
            scale(sheet, SPLIT, places, float(np.exp(times * log_factor)), evidence, volume=True)
            repaired = True
    return repaired


def _stretch_is_proven(  # a stretch, its split and its ends
    sheet: Sheet, series: Numbers, split: int, stretch: tuple[int, int], edges: list[Jump], log_factor: float
) -> bool:
    """Whether a stretch lacks the factor: by its ends, by how near the split is and, if nothing else, by the others."""
    first, end = stretch
    are_near = [_is_near(sheet, jump.place, split) for jump in edges]
    near = all(are_near)
    steps = steps_of(series)[1]
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

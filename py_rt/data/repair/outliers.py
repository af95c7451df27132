"""Spikes and stale runs.

=======================  ============================================================================================
`stale_run`              a traded bar that repeats the bar before it in every price and the volume: quarantined; runs of
                         quotes without any movement, and of bars that moved and stand there again several times with
                         other volumes or none: flagged once a run
`outlier_spike`          one row, or one price of a row, far from the rows on both sides, which agree: quarantined when
                         it is farther than anything the series does otherwise, else flagged; a jump that nothing
                         explains, beyond any market, back after a stretch, or near an end of the file: flagged
=======================  ============================================================================================
"""

from __future__ import annotations

import itertools
from typing import TYPE_CHECKING

import numpy as np

from py_rt.data.repair.findings import Action
from py_rt.data.repair.levels import GIANT_LOG, UNIT, UNIT_SLACK, of_unit, splits_of, typical_log
from py_rt.data.repair.sheet import NOISE_REACH, SIGMA_FLOOR, local_noise

if TYPE_CHECKING:
    from numpy.typing import NDArray

    from py_rt.data.repair.sheet import Numbers, Sheet

STALE = "stale_run"
SPIKE = "outlier_spike"

STALE_ROWS = 10
STALE_ROWS_LIVELY = 2
"""Repetitions of a row from which a run is pointed at; fewer in a file in which hardly any row stands still."""
LIVELY_SHARE = 0.03
"""Share of rows that stand still up to which a file is one."""
COPIED_ROWS = 2
COPIED_CHANCE = 0.01
"""Repetitions of a bar that moved from which a run is pointed at; how many such runs the file has by chance at most."""
ROUND_DIGITS = 2
"""Digits up to which a volume is a round one, such as 300, that two bars may have by chance."""
SPIKE_TICKS = 5.5
"""Least distance of a spike, in last decimals of the file: what moves by less is a price of few ticks."""
SPIKE_LEAST = 0.05
"""Least log distance of a spike that is pointed at."""
SPIKE_LOG = float(np.log(1.5))
"""Least log distance of a spike that is set aside."""
CELL_LOG = float(np.log(2.5))
"""Least log distance of a single price that is set aside; lows of a crash are real up to here and beyond."""
RUN_LOG = float(np.log(3.0))
RUN_ROWS = 5
RUN_REACH = 10
"""Least log distance of several rows in a row that are pointed at; how many they are at most; rows beside them."""
JUMPS_TOLD = frozenset({UNIT, "bad_split", SPIKE})
"""Rules that speak of jumps of the price."""
REACH = 5
"""Rows on each side that a row between two others is compared with."""
SPIKE_SIGMAS = 12.0
"""Least distance of a spike, in standard deviations of the rows around."""


def find_stale(sheet: Sheet) -> None:
    """Set aside bars that were copied, and point at quotes that do not move."""
    prices = np.vstack(list(sheet.prices().values()))
    if sheet.height < 2:
        return
    same = (prices[:, 1:] == prices[:, :-1]).all(axis=0)
    if sheet.has("high") and sheet.has("low"):
        copied = same & (sheet.values["high"] > sheet.values["low"])[1:]
        volume = sheet.values["volume"] if sheet.has("volume") else np.zeros(sheet.height)
        traded = copied & (volume[1:] == volume[:-1]) & (volume[1:] > 0)
        for place in np.flatnonzero(traded) + 1:
            evidence = {"volume": float(volume[place]), "same_as_row": int(sheet.rows[place - 1])}
            alone = not traded[max(0, place - 2) : place + 1].sum() > 1
            act = sheet.flag if alone and _is_round(float(volume[place])) else sheet.quarantine
            act(STALE, int(place), (*sheet.prices(), "volume"), evidence)
        _flag_copies(sheet, prices, copied & ~traded)
    _flag_runs(sheet, same & (prices[:, 1:].max(axis=0) == prices[:, 1:].min(axis=0)))


def _is_round(volume: float) -> bool:
    """Whether a volume has few digits: 1200 and 0.05, but not 1234."""
    digits = f"{volume:.12e}".partition("e")[0].replace(".", "").rstrip("0")
    return len(digits) <= ROUND_DIGITS


def _flag_copies(sheet: Sheet, prices: Numbers, copied: NDArray[np.bool_]) -> None:
    """Point at bars that moved as far as usual and stand there again and again, when their volumes prove nothing.

    Bars of few ticks come again by themselves: what counts is the step between the prices of the file, since columns
    may have more decimals than the market.
    """
    if not copied.any():
        return
    ranges = (sheet.values["high"] - sheet.values["low"])[1:]
    steps = np.diff(np.unique(prices[np.isfinite(prices)]))
    least = max(SPIKE_TICKS * float(steps.min()), float(np.median(ranges[ranges > 0])) / 2)
    total = int(copied.sum())
    for first, rows in _runs(copied):
        by_chance = copied.size * ((total - rows + 1) / (copied.size - rows + 1)) ** rows
        if rows >= COPIED_ROWS and ranges[first] > least and by_chance <= COPIED_CHANCE:
            evidence = {"rows": rows, "until_row": int(sheet.rows[first + rows]), "expected_by_chance": by_chance}
            sheet.flag(STALE, first + 1, tuple(sheet.prices()), evidence)


def _runs(found: NDArray[np.bool_]) -> list[tuple[int, int]]:
    """First place and length of each run."""
    edges = np.diff(np.r_[0, found.astype(int), 0])
    starts, ends = np.flatnonzero(edges == 1), np.flatnonzero(edges == -1)
    return list(zip(starts.tolist(), (ends - starts).tolist(), strict=True))


def _flag_runs(sheet: Sheet, still: NDArray[np.bool_]) -> None:
    total = int(still.sum())
    for first, rows in _runs(still):
        others = (total - rows) / max(1, still.size - rows)
        if rows >= (STALE_ROWS_LIVELY if others <= LIVELY_SHARE else STALE_ROWS):
            evidence = {"rows": rows, "until_row": int(sheet.rows[first + rows])}
            sheet.flag(STALE, first + 1, tuple(sheet.prices()), evidence)


def find_spikes(sheet: Sheet) -> None:
    """Rows, and single highs and lows, far from both sides."""
    log_price = typical_log(sheet)
    known = np.flatnonzero(np.isfinite(log_price))
    if len(known) < 7:
        return
    levels = log_price[known]
    steps = np.diff(levels)
    unproven = any(one.rule == UNIT and one.action is Action.FLAGGED for one in sheet.findings)
    ticks = SPIKE_TICKS * max(sheet.tick(role) for role in sheet.prices())
    back = (steps[:-1] * steps[1:] < 0) & (np.minimum(np.abs(steps[:-1]), np.abs(steps[1:])) >= SPIKE_LEAST)
    for k in np.flatnonzero(back[1:-1]) + 2:
        if unproven and of_unit(steps[k - 1 : k + 1]).any():
            continue  # which of the rows is of the other unit was not proven
        _judge_row(sheet, int(known[k]), levels, steps, int(k), ticks)
    _judge_runs(sheet, known, levels, steps, unproven=unproven)
    _judge_cells(sheet, log_price, steps)
    _flag_jumps(sheet, log_price, ticks)


def _judge_runs(sheet: Sheet, known: NDArray[np.int64], levels: Numbers, steps: Numbers, *, unproven: bool) -> None:
    """A few rows in a row that are far from both sides, which agree: set aside where no market moves so far."""
    large = np.flatnonzero((np.abs(steps) >= RUN_LOG) & ~(unproven & of_unit(steps)))
    for first, last in itertools.pairwise(large):
        rows = int(last - first)
        size = float(min(abs(steps[first]), abs(steps[last])))
        between = abs(float(levels[last + 1] - levels[first]))
        if not 2 <= rows <= RUN_ROWS or steps[first] * steps[last] > 0 or between > size / 4:
            continue
        if size < SPIKE_SIGMAS * _noise_without(steps, [int(first), int(last)], int(first)):
            continue
        beside = np.r_[levels[max(0, first - RUN_REACH) : first + 1], levels[last + 1 : last + 1 + RUN_REACH]]
        usual, here = float(np.median(beside)), float(levels[first + 1])
        if abs(here - usual) < abs(float(levels[first]) - usual):
            continue
        evidence = {"rows": rows, "log_distance": size, "log_distance_of_neighbors": between}
        act = sheet.quarantine if size >= GIANT_LOG else sheet.flag
        for place in known[first + 1 : last + 1]:
            act(SPIKE, int(place), tuple(sheet.prices()), evidence)


def _noise_without(steps: Numbers, wrong: list[int], place: int) -> float:
    """`local_noise` of the steps but the wrong ones, which lie close by; only those around are looked at."""
    start = max(0, place - NOISE_REACH)
    around = steps[start : place + NOISE_REACH + len(wrong) + 1]
    return local_noise(np.delete(around, np.asarray(wrong) - start), place - start)


def _judge_row(sheet: Sheet, place: int, levels: Numbers, steps: Numbers, k: int, least: float) -> None:
    size = min(abs(steps[k - 1]), abs(steps[k]))
    between = abs(levels[k + 1] - levels[k - 1])
    moved = min(abs(float(np.exp(levels[k]) - np.exp(levels[beside]))) for beside in (k - 1, k + 1))
    if between > size / 4 or moved < least or size < SPIKE_SIGMAS * SIGMA_FLOOR:
        return
    sigma = _noise_without(steps, [k - 1, k], k)
    if size < SPIKE_SIGMAS * sigma:
        return
    usual = float(np.median(np.delete(levels[max(0, k - REACH) : k + REACH + 1], min(k, REACH))))
    if abs(levels[k] - usual) < abs(levels[k + 1] - usual):
        return  # it lies between two rows that are far from all others
    evidence = {"log_distance": float(size), "sigma": sigma, "log_distance_of_neighbors": float(between)}
    if size >= SPIKE_LOG:
        sheet.quarantine(SPIKE, place, tuple(sheet.prices()), evidence)
    else:
        sheet.flag(SPIKE, place, tuple(sheet.prices()), evidence)


def _flag_jumps(sheet: Sheet, log_price: Numbers, least: float) -> None:
    """Point at what is left of jumps: beyond any market, back after a stretch, or a few rows from an end of the file.

    Other jumps may be a split that the file does not name.
    """
    gone = np.isin(sheet.rows, sorted(sheet.quarantined))
    known = np.flatnonzero(np.isfinite(log_price) & ~gone)
    levels, splits = log_price[known], np.abs(np.log(np.where(splits_of(sheet) > 0, splits_of(sheet), 1.0)))
    steps = np.diff(levels)
    flagged = [one for one in sheet.findings if one.action is Action.FLAGGED and one.rule in JUMPS_TOLD]
    told, unproven = {one.row for one in flagged}, any(one.rule == UNIT for one in flagged)
    large = np.flatnonzero(np.abs(steps) >= RUN_LOG)
    back = [abs(steps[a] + steps[b]) <= min(abs(steps[a]), abs(steps[b])) / 4 for a, b in itertools.pairwise(large)]
    for at, k in enumerate(large.tolist()):
        size, place = abs(float(steps[k])), int(known[k + 1])
        is_near_end = min(k + 1, len(steps) - k) <= RUN_REACH
        moved = abs(float(np.exp(levels[k + 1]) - np.exp(levels[k])))
        if not (size > GIANT_LOG or is_near_end or any(back[max(0, at - 1) : at + 1])) or moved < least:
            continue
        if (unproven and of_unit(steps[k])) or (splits[place] > 0 and abs(size - splits[place]) <= UNIT_SLACK):
            continue
        sigma = _noise_without(steps, [k], k)
        beside = {sheet.bars.row_of_file(int(sheet.rows[one])) for one in known[k : k + 2]}
        if size >= SPIKE_SIGMAS * sigma and not told & beside:
            evidence = {"log_step": float(steps[k]), "sigma": sigma}
            sheet.flag(SPIKE, place, tuple(sheet.prices()), evidence)


def _judge_cells(sheet: Sheet, log_price: Numbers, steps: Numbers) -> None:
    """A price that alone is far from the row's others and from both neighbors."""
    sigma = local_noise(steps, len(steps) // 2, reach=len(steps))
    for role, numbers in sheet.prices().items():
        with np.errstate(invalid="ignore", divide="ignore"):
            distance = np.abs(np.log(numbers) - log_price)
        for place in np.flatnonzero(distance > max(SPIKE_LOG, SPIKE_SIGMAS * sigma)):
            row = int(sheet.rows[place])
            if row in sheet.quarantined or not 0 < place < sheet.height - 1:
                continue
            nearest = _nearest_price(sheet, role, int(place))
            if nearest > SPIKE_LOG:
                evidence = {"log_distance": float(distance[place]), "log_distance_of_nearest": nearest, "sigma": sigma}
                if nearest >= CELL_LOG:
                    sheet.quarantine(SPIKE, int(place), (role,), evidence)
                else:
                    sheet.flag(SPIKE, int(place), (role,), evidence)


def _nearest_price(sheet: Sheet, role: str, place: int) -> float:
    """Log distance of a price to the nearest of the row's others and of the rows on both sides."""
    value = float(sheet.values[role][place])
    others = [
        float(numbers[at])
        for name, numbers in sheet.prices().items()
        for at in range(max(0, place - 2), min(sheet.height, place + 3))
        if (at != place or name != role) and numbers[at] > 0
    ]
    return min((abs(float(np.log(value / one))) for one in others), default=0.0)

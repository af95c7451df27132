"""The steps of the adjusted close, read as dividends, and the adjusted close restated.

The adjusted close over the close is a step function: backwards over an ex-date it falls by the share of the price that
was paid, ``1 - dividend / close before``. So each dividend stands in the file twice, once as an amount and once as a
step, and the fall of the price on the ex-date is a third witness.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

import numpy as np

from py_rt.data.repair.levels import typical_log
from py_rt.data.repair.sheet import local_noise

if TYPE_CHECKING:
    from collections.abc import Mapping

    from numpy.typing import NDArray

    from py_rt.data.repair.sheet import Numbers, Sheet

DAY_SECONDS = 86_400.0
STEP_MIN = 5e-4
"""Least step of the adjusted close that is taken for one, beside the noise of its rounding."""


SLACK = 0.04
COARSE_SLACK = 0.15
"""Relative size by which a step and a share may differ: in files of days and shorter; at least, in those of weeks."""


@dataclass(frozen=True, slots=True)
class ExDate:
    """A row on which a dividend is paid, or on which the adjusted close steps as if one were.

    Attributes:
        place: of the row.
        before: place of the last row before it that has prices.
        base: close of that row.
        amount: dividend of the row.
        share: amount over base.
        step: share by which the adjusted close steps; NaN without an adjusted close.
        step_at: place before which the adjusted close is lower; the row's own, or the next in a file of weeks.
        falls: least and greatest share by which the row's prices lie below base.
        fall: share by which the close lies below base.
        sigma: standard deviation of a row's log return.
        rounding: by how much step and share may differ because the file rounds.
        slack: relative size by which step and share may differ: in a file of weeks the close before is not known.
        later_splits: ratios of the splits after the row, each and all together.
    """

    place: int
    before: int
    base: float
    amount: float
    share: float
    step: float
    step_at: int
    falls: tuple[float, float]
    fall: float
    sigma: float
    rounding: float
    slack: float
    later_splits: tuple[float, ...]

    def miss(self, share: float) -> float:
        """How far a share lies outside what the prices fell, in standard deviations."""
        low, high = self.falls
        return max(low - share, share - high, 0.0) / self.sigma

    def surprise(self, share: float) -> float:
        """Size of the return that remains after adding a share back, in standard deviations."""
        if share >= 1 or self.fall >= 1:
            return float("inf")
        return float(abs(np.log1p(-self.fall) - np.log1p(-share))) / self.sigma


@dataclass(frozen=True, slots=True)
class Prices:
    """What ex-dates are read from.

    Attributes:
        close: closes of all places.
        ratio: adjusted close over close.
        known: places that have prices.
        steps: log returns between them.
        floor: least standard deviation of a return that is assumed.
        ticks: last decimals of close, adjusted close and dividend.
        lag: rows from a dividend to its step.
    """

    close: Numbers
    ratio: Numbers
    known: NDArray[np.int64]
    steps: Numbers
    floor: float
    ticks: tuple[float, float, float]
    lag: int


def read_prices(sheet: Sheet) -> Prices:
    """The closes, the adjusted over the close, and the places that have prices."""
    close = sheet.values["close"]
    log_price = typical_log(sheet)
    known = np.flatnonzero(np.isfinite(log_price) & (close > 0))
    ratio = np.full(sheet.height, np.nan)
    if sheet.has("adj_close"):
        with np.errstate(invalid="ignore", over="ignore", divide="ignore"):
            ratio[known] = sheet.values["adj_close"][known] / close[known]
    floor = 0.01 if sheet.bar_seconds() >= DAY_SECONDS / 2 else 0.005
    ticks = (sheet.tick("close"), sheet.tick("adj_close"), sheet.tick("dividend"))
    lag = _lag(sheet, ratio[known], known) if is_coarse(sheet) and sheet.has("dividend") else 0
    return Prices(close, ratio, known, np.diff(np.log(close[known])), floor, ticks, lag)


def _lag(sheet: Sheet, ratio: Numbers, known: NDArray[np.int64]) -> int:
    """Rows from a dividend to its step: in a file of weeks some sources step into the dividend's row, some after it."""
    paid = np.flatnonzero(sheet.values["dividend"][known] > 0)
    with np.errstate(invalid="ignore", over="ignore", divide="ignore"):
        stepped = np.abs(1 - ratio[:-1] / ratio[1:]) > STEP_MIN
    into = stepped[paid[paid > 0] - 1].sum()
    after = stepped[paid[paid < len(known) - 1]].sum()
    return int(after > into)


def is_coarse(sheet: Sheet) -> bool:
    """Whether a row holds several days, so that the close before an ex-date is not in the file."""
    return sheet.bar_seconds() > 4 * DAY_SECONDS


def ex_date(sheet: Sheet, prices: Prices, place: int) -> ExDate | None:
    """The witnesses of a dividend on a row; `None` where the row, or every row before it, has no prices."""
    k = int(np.searchsorted(prices.known, place))
    if k == 0 or k >= len(prices.known) or prices.known[k] != place:
        return None
    before = int(prices.known[k - 1])
    base = float(prices.close[before])
    amount = float(sheet.values["dividend"][place]) if sheet.has("dividend") else 0.0
    amount = amount if np.isfinite(amount) else 0.0
    row = [float(numbers[place]) for numbers in sheet.prices().values() if numbers[place] > 0]
    at = min(k + prices.lag, len(prices.known) - 1)
    falls = (1 - max(row) / base, 1 - min(row) / base)
    sigma = local_noise(prices.steps, k - 1, floor=prices.floor)
    fall = 1 - float(prices.close[place]) / base
    return ExDate(
        place=place,
        before=before,
        base=base,
        amount=amount,
        share=amount / base,
        step=step_into(prices, at),
        step_at=int(prices.known[at]),
        falls=falls,
        fall=fall,
        sigma=sigma,
        rounding=_rounding(prices, before, place),
        slack=_coarse_slack(falls) if is_coarse(sheet) else SLACK,
        later_splits=_later_splits(sheet, place),
    )


def _coarse_slack(falls: tuple[float, float]) -> float:
    """What a row of a week leaves open: the close before the ex-date was anywhere in it."""
    least, most = 1 - falls[1], 1 - falls[0]
    return max(COARSE_SLACK, 1.1 / max(least, 0.1) - 1, 1 - 0.9 / most)


def _later_splits(sheet: Sheet, place: int) -> tuple[float, ...]:
    later = sheet.values["split"][place + 1 :] if sheet.has("split") else np.ones(0)
    ratios = later[np.isfinite(later) & (later > 0) & (later != 1)]
    return tuple(sorted({*ratios.tolist(), float(np.prod(ratios))} - {1.0}))


def _rounding(prices: Prices, before: int, place: int) -> float:
    """Half a last decimal of each number that goes into a step and a share, relative to the number."""
    tick_close, tick_adjusted, tick_dividend = prices.ticks
    lost = tick_dividend / 2 / float(prices.close[before])
    for at in (before, place):
        close = float(prices.close[at])
        adjusted = abs(close * float(prices.ratio[at])) if np.isfinite(prices.ratio[at]) else close
        lost += tick_close / 2 / close + (tick_adjusted / 2 / adjusted if adjusted > 0 else 0.0)
    return lost


def step_into(prices: Prices, k: int) -> float:
    """Share by which the adjusted close steps into the k-th row that has prices."""
    before, here = prices.ratio[prices.known[k - 1]], prices.ratio[prices.known[k]]
    with np.errstate(invalid="ignore", over="ignore", divide="ignore"):
        return float(1 - before / here)


def usual_step(prices: Prices, without: set[int]) -> float:
    """Size below which steps of the adjusted close are rounding, from the rows that are no ex-dates."""
    ratio = prices.ratio[prices.known]
    with np.errstate(invalid="ignore", over="ignore", divide="ignore"):
        steps = np.abs(1 - ratio[:-1] / ratio[1:])
    others = np.array([int(place) not in without for place in prices.known[1:]], dtype=bool)
    steps = steps[others & np.isfinite(steps)] if len(steps) else steps
    return max(STEP_MIN, 8 * float(np.quantile(steps, 0.9))) if len(steps) else STEP_MIN


@dataclass(frozen=True, slots=True)
class Restated:
    """A step of the adjusted close put right: before `at`, by `share` instead of `step`."""

    at: int
    step: float
    share: float
    rule: str
    row: int


def restate(sheet: Sheet, prices: Prices, restated: list[Restated], shares: Mapping[int, float]) -> None:
    """Restate the adjusted close of all rows before steps that were put right.

    Args:
        sheet: the rows.
        prices: as read before.
        restated: the steps.
        shares: place to the right share of every ex-date, for adjusted closes that are beyond numbers and are made
            anew from the closes.
    """
    restated = [one for one in restated if not _same(one.step, one.share)]
    if not restated or not sheet.has("adj_close"):
        return
    last = max(restated, key=lambda one: one.at)
    broken = not np.isfinite(prices.ratio[prices.known]).all() or any(one.step == 1 for one in restated)
    new = _made_anew(prices, shares) if broken else _multiplied(sheet, prices, restated)
    old = sheet.values["adj_close"]
    for place in prices.known[prices.known < last.at]:
        causes = [one for one in restated if one.at > place]
        if new[place] == old[place] or not np.isfinite(new[place]):
            continue
        nearest = min(causes, key=lambda one: one.at)
        sheet.repair(nearest.rule, int(place), {"adj_close": float(new[place])}, _evidence(causes))


def _evidence(causes: list[Restated]) -> dict[str, Any]:
    return {
        "restated_for_rows": [one.row for one in causes][:10],
        "steps_before": [one.step for one in causes][:10],
        "steps_after": [one.share for one in causes][:10],
    }


def _same(step: float, share: float) -> bool:
    return bool(np.isfinite(step)) and abs(step - share) < 1e-12


def _multiplied(sheet: Sheet, prices: Prices, restated: list[Restated]) -> Numbers:
    scale = np.ones(sheet.height)
    for one in restated:
        scale[: one.at] *= (1 - one.share) / (1 - one.step)
    new = sheet.values["adj_close"].copy()
    changed = scale != 1.0
    new[changed] *= scale[changed]
    new[~np.isin(np.arange(sheet.height), prices.known)] = np.nan
    return new


def _made_anew(prices: Prices, shares: Mapping[int, float]) -> Numbers:
    anchor = float(prices.ratio[prices.known[-1]])
    scale = np.full(len(prices.close), anchor if np.isfinite(anchor) and anchor > 0 else 1.0)
    for place, share in shares.items():
        scale[:place] *= 1 - share
    new: Numbers = prices.close * scale
    return new

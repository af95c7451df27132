"""Capital gains of funds that are counted twice.

A fund's row may list dividends and capital gains. Where the dividends already hold the gains, and the adjusted close
was made from both, the gains are in it twice. The price tells: on its ex-dates the fund falls by what was paid, once.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

import numpy as np

from py_rt.data.repair.adjustments import Restated, ex_date, read_prices, restate

if TYPE_CHECKING:
    from py_rt.data.repair.adjustments import ExDate
    from py_rt.data.repair.sheet import Sheet

RULE = "capital_gain_twice"

LEAD = 3.0
"""By how much more likely, in natural log units, counting once must make the falls of the price."""


def repair_capital_gains(sheet: Sheet) -> None:
    """Take capital gains out of dividends that hold them, and restate the adjusted close."""
    if not (sheet.has("capital_gain") and sheet.has("dividend")):
        return
    gains = sheet.values["capital_gain"]
    prices = read_prices(sheet)
    if len(prices.known) < 2:
        return
    both = np.flatnonzero((gains > 0) & (sheet.values["dividend"] >= gains * (1 - 1e-9)))
    events = [one for one in (ex_date(sheet, prices, int(place)) for place in both) if one is not None]
    events = [one for one in events if one.share + gains[one.place] / one.base < 1]
    if not events:
        return
    lead = sum(_lead(event, float(gains[event.place])) for event in events)
    if lead < LEAD:
        if lead > 0:
            _flag(sheet, events, lead)
        return
    restated = []
    for event in events:
        gain = float(gains[event.place])
        evidence = {
            "what": "the dividend holds the capital gain: the price fell by the dividend alone",
            "close_before": event.base,
            "dividend_over_close": event.share,
            "with_gain_over_close": event.share + gain / event.base,
            "price_fell": event.fall,
            "adjusted_step": event.step,
            "lead_of_all": lead,
        }
        sheet.repair(RULE, event.place, {"dividend": event.amount - gain}, evidence)
        if np.isfinite(event.step) and event.step < 1:
            restated.append(Restated(event.step_at, event.step, event.share, RULE, int(sheet.rows[event.place])))
    restate(sheet, prices, restated, {one.at: one.share for one in restated})


def _flag(sheet: Sheet, events: list[ExDate], lead: float) -> None:
    for event in events:
        why = "the dividend may hold the capital gain; the falls of the price do not prove it"
        sheet.flag(RULE, event.place, ("dividend", "capital_gain"), {"why": why, "lead_of_all": lead})


def _lead(event: ExDate, gain: float) -> float:
    """Log likelihood of the fall of the price for the dividend alone over that for dividend and gain."""
    once, twice = event.surprise(event.share), event.surprise(event.share + gain / event.base)
    return min(twice, 12.0) - min(once, 12.0)

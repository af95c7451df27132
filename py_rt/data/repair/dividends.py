"""Dividends: wrong by 100 or by a split, missing, twice, on the wrong row, or not in the adjusted close.

Of each ex-date there are three witnesses: the amount, the step of the adjusted close, and the fall of the price. Where
they agree nothing is done. Where they do not, the few ways in which sources fail are compared by how likely each makes
what is seen (natural log units): an amount or a step that is wrong costs `WRONG`; the price speaks by how many
standard deviations a dividend lies outside the day's fall; the size of a dividend is judged against the file's other
dividends, or against what companies usually pay. A repair needs a lead of `LEAD` over every other reading, which
several ex-dates with the same defect may reach together.
"""

from __future__ import annotations

import itertools
from dataclasses import dataclass, replace
from typing import TYPE_CHECKING, Any

import numpy as np

from py_rt.data.repair.adjustments import (
    SLACK,
    ExDate,
    Restated,
    ex_date,
    is_coarse,
    read_prices,
    restate,
    step_into,
    usual_step,
)
from py_rt.data.repair.findings import Action
from py_rt.data.repair.swaps import ADJUSTED
from py_rt.data.timestamps import NS_PER_DAY

if TYPE_CHECKING:
    from py_rt.data.repair.adjustments import Prices
    from py_rt.data.repair.sheet import Sheet

RULE = "bad_dividend"

WRONG = 4.0
"""Cost of a witness that is wrong in a known way."""
STRANGE = 6.0
"""Cost of a witness that is wrong in no known way."""
FALSE = 8.0
"""Cost of an amount for a dividend that never was."""
ALONG = 1.0
"""Cost of a step that repeats the error of the amount it was made from."""
LEAD = 3.0
"""Lead of a repair over the other readings."""
LEAD_EACH = 1.0
"""Lead that each of several ex-dates with the same defect needs at least."""
UNDONE = 0.02
"""Least step of the adjusted close back beside an ex-date by which one of the two rows is wrong."""
LARGE_SHARE = 0.2
"""Dividends beyond this share of the price are hundredfold ones before they are ones that the prices hold already."""
PRICE_MISS = 2.0
"""Standard deviations by which the price must miss a dividend that only the price speaks against."""
USUAL_SHARE = 0.012
USUAL_WIDTH = 1.2
"""A dividend is usually about 1.2 % of the price, within a factor of e^1.2."""
PEER_WIDTH = 0.9
"""A file's dividends are within a factor of e^0.9 of each other."""
ALIKE = 0.3
"""Log distance within which a dividend is a hundredfold or a hundredth of its peers, and hardly by chance."""
SPLIT_LOG_MIN = 0.3
"""Splits from which on an amount of before the split can be told from one of after it."""
SCALE_LOG = 0.15
SCALE_EVENTS = 3
"""Other ex-dates with about the same multiple of step to share from which on prices are on another scale."""
AS_ADJUSTED = "the amount is not what the adjusted close was made for"
TWICE_ROWS = 7
"""Two dividends of one size so near each other are one, announced for two days, unless the file pays so often."""
UNADJUSTED_TWIN = 3.0
"""How much worse one of two such dividends fits that the adjusted close does not know of, in standard deviations."""
TWICE_LEAD = 0.5
"""How much worse the price must fit to one of two such dividends that are not on adjacent rows."""


@dataclass(frozen=True, slots=True)
class Reading:
    """One way to read an ex-date.

    Attributes:
        share: the true dividend over the close before.
        amount_factor: of the amount to the truth: 1 as it is, 0.01, 100, 0 for a dividend that was not.
        score: log likelihood, up to a constant of the ex-date.
        what: in words.
    """

    share: float
    amount_factor: float
    score: float
    what: str


def repair_dividends(sheet: Sheet) -> None:
    """Put dividends and the steps of the adjusted close right where their witnesses prove it."""
    if not sheet.has("dividend"):
        return
    prices = read_prices(sheet)
    if len(prices.known) < 2:
        return
    capital = sheet.values["capital_gain"] if sheet.has("capital_gain") else np.zeros(sheet.height)
    paid = [int(place) for place in np.flatnonzero(sheet.values["dividend"] > 0) if not capital[place] > 0]
    events = [one for one in (ex_date(sheet, prices, place) for place in paid) if one is not None]
    odd = {one.row for one in sheet.findings if one.rule == ADJUSTED and one.action is Action.FLAGGED}
    events = [one for one in events if _is_readable(sheet, one, odd)]
    size = usual_step(prices, set(paid))
    events = [one for one in events if _stands(sheet, prices, one, set(paid), size)]
    if _priced_in(events, size):
        for event in events:
            why = "neither the adjusted close nor the price knows of the dividends: both seem to hold them already"
            sheet.flag(RULE, event.place, ("adj_close",), {"why": why})
        return
    restated: list[Restated] = []
    events = _without_twins(sheet, events, restated, size)
    events = _moved(sheet, prices, events, restated, size)
    shares = _judge(sheet, events, restated, size)
    restate(sheet, prices, restated, shares)
    _find_missing(sheet, prices, set(paid) | {one.at for one in restated}, size)


def _is_readable(sheet: Sheet, event: ExDate, odd: set[int]) -> bool:
    """Whether the row and the one before are free of doubt, and in a file of weeks next to each other in the file."""
    rows = int(sheet.rows[event.before]), int(sheet.rows[event.place])
    if sheet.unsure & set(rows) or odd & {sheet.bars.row_of_file(row) for row in rows}:
        return False
    return not is_coarse(sheet) or abs(rows[1] - rows[0]) == 1


def _stands(sheet: Sheet, prices: Prices, event: ExDate, paid: set[int], size: float) -> bool:
    """Whether the step of an ex-date is not undone on a row beside, as where one close or adjusted close is wrong."""
    k = int(np.searchsorted(prices.known, event.step_at))
    for beside in (k - 1, k + 1):
        if not 0 < beside < len(prices.known) or int(prices.known[beside]) in paid:
            continue
        back = step_into(prices, beside)
        if np.isfinite(back) and abs(back) > max(8 * size, UNDONE) and back * event.step < 0:
            why = "the adjusted close steps, and back on a row beside: one of the rows is wrong"
            sheet.flag(RULE, event.place, ("dividend", "adj_close"), {"why": why, "steps": [event.step, back]})
            return False
    return True


def _priced_in(events: list[ExDate], size: float) -> bool:
    """Whether the adjusted close steps for no dividend and the prices, all together, fell for none."""
    if (
        len(events) < 3
        or max(event.share for event in events) > LARGE_SHARE
        or not all(np.isfinite(e.step) and abs(e.step) < min(size, e.share / 4) for e in events)
    ):
        return False
    return sum(_price(event, event.share) - _price(event, 0.0) for event in events) < -LEAD


# --- twice, and on the wrong row -------------------------------------------------------------------------------------


def _without_twins(sheet: Sheet, events: list[ExDate], restated: list[Restated], size: float) -> list[ExDate]:
    """Of two dividends of about one size within days, keep the one that the price knows of."""
    gone: set[int] = set()
    gaps = np.diff([event.place for event in events])
    often = float(np.quantile(gaps, 0.75)) if len(gaps) > 1 else np.inf
    for one, other in itertools.pairwise(events):
        gap = other.place - one.place
        near = gap <= min(TWICE_ROWS, often / 2) and one.place not in gone
        if not near or not _are_alike(one, other):
            continue
        if is_coarse(sheet):
            gone |= _unadjusted_twin(sheet, one, other, size)
            continue
        fits = [(event.miss(event.share) + event.surprise(event.share)) for event in (one, other)]
        adjusted = [_near(event, event.share, size) for event in (one, other)]
        if adjusted[0] != adjusted[1] and all(np.isfinite(event.step) for event in (one, other)):
            fits[adjusted.index(False)] += UNADJUSTED_TWIN  # the adjusted close knows of the other
        if max(fits) < 0.5 * one.share / one.sigma and one.share > 3 * one.sigma:
            continue  # the price fell twice
        false, true = (other, one) if fits[0] <= fits[1] else (one, other)
        if gap > 1 and max(fits) - min(fits) < TWICE_LEAD:
            why = "the same dividend stands on two rows; which of them the price fell for is not proven"
            sheet.flag(RULE, false.place, ("dividend",), {"why": why, "other_row": int(sheet.rows[true.place])})
            continue
        gone.add(false.place)
        evidence = {
            "what": "the same dividend stands on two rows; the price fell for the other one",
            "other_row": int(sheet.rows[true.place]),
            "misfit_here": max(fits),
            "misfit_there": min(fits),
        }
        sheet.repair(RULE, false.place, {"dividend": 0.0}, evidence)
        if false.step > size or _near(false, false.share, size):
            restated.append(Restated(false.step_at, false.step, 0.0, RULE, int(sheet.rows[false.place])))
    return [event for event in events if event.place not in gone]


def _unadjusted_twin(sheet: Sheet, one: ExDate, other: ExDate, size: float) -> set[int]:
    """In a file of weeks point at one of two dividends of one amount that the adjusted close does not know of."""
    adjusted = [_near(event, event.share, size) for event in (one, other)]
    if adjusted[0] == adjusted[1] or not np.isclose(one.amount, other.amount, rtol=1e-3):
        return set()
    false, true = (one, other) if adjusted[1] else (other, one)
    why = "the same dividend stands on two rows, and the adjusted close knows of one: this one, or its step, is false"
    sheet.flag(RULE, false.place, ("dividend",), {"why": why, "other_row": int(sheet.rows[true.place])})
    return {false.place}


def _are_alike(one: ExDate, other: ExDate) -> bool:
    """Whether two dividends may be one: of about one size on adjacent rows, of one amount farther apart."""
    if other.place - one.place > 1:
        return bool(np.isclose(one.amount, other.amount, rtol=1e-3))
    return one.share > 0 and other.share > 0 and bool(abs(np.log(one.share / other.share)) < 0.25)


def _moved(sheet: Sheet, prices: Prices, events: list[ExDate], restated: list[Restated], size: float) -> list[ExDate]:
    """Move a large dividend to the row beside it on which the price fell, when it did not fall on its own."""
    kept = []
    for event in events:
        target = _better_row(sheet, prices, event, size)
        if target is None:
            kept.append(event)
            continue
        rows = int(sheet.rows[event.place]), int(sheet.rows[target.place])
        evidence = {
            "what": "the price fell on the row beside it",
            "fall_here": event.falls[1],
            "fall_there": target.falls[1],
            "dividend_over_close": event.share,
        }
        sheet.repair(RULE, event.place, {"dividend": 0.0}, evidence | {"moved_to_row": rows[1]})
        sheet.repair(RULE, target.place, {"dividend": event.amount}, evidence | {"moved_from_row": rows[0]})
        if np.isfinite(event.step):
            restated.append(Restated(event.step_at, event.step, 0.0, RULE, rows[0]))
            restated.append(Restated(target.step_at, target.step, event.amount / target.base, RULE, rows[1]))
        kept.append(replace(target, amount=event.amount, share=event.amount / target.base, step=event.share))
    return kept


def _better_row(sheet: Sheet, prices: Prices, event: ExDate, size: float) -> ExDate | None:
    if event.share < 0.05 or event.share >= 1 or event.miss(event.share) < 4 or is_coarse(sheet):
        return None
    if np.isfinite(event.step) and not _near(event, event.share, size):
        return None
    k = int(np.searchsorted(prices.known, event.place))
    for beside in (k + 1, k - 1):
        if not 0 < beside < len(prices.known):
            continue
        target = ex_date(sheet, prices, int(prices.known[beside]))
        if target is None or target.amount or abs(target.step) > size:
            continue
        share = event.amount / target.base
        gain = _price(event, 0.0) + _price(target, share) - _price(event, event.share) - _price(target, 0.0)
        as_hundredth = _price(event, event.share / 100) - _price(event, event.share)
        if (
            target.miss(share) < 1
            and gain > LEAD + 1
            and gain + _usual(share, None) - 3.0 > (as_hundredth + _usual(event.share / 100, None) - WRONG - ALONG)
        ):
            return target
    return None


# --- wrong by 100, not adjusted, adjusted wrongly --------------------------------------------------------------------


def _judge(sheet: Sheet, events: list[ExDate], restated: list[Restated], size: float) -> dict[int, float]:
    """Read each ex-date, alone first and then beside its peers; repair what is proven.

    Returns:
        Place before which the adjusted close is lower, to the true share, of each ex-date.
    """
    alone = [_readings(event, None, size)[0].share for event in events]
    chosen = []
    for i, event in enumerate(events):
        peers = [share for j, share in enumerate(alone) if j != i and share > 0]
        chosen.append(_readings(event, _peer(peers), size))
    leads = [readings[0].score - _next_other(readings) for readings in chosen]
    pooled: dict[str, float] = {}
    for event, readings, lead in zip(events, chosen, leads, strict=True):
        if lead >= LEAD_EACH and not _agrees(sheet, event, readings[0], size):
            pooled[readings[0].what] = pooled.get(readings[0].what, 0.0) + lead
    scaled = _on_another_scale(events)
    shares = {}
    for event, readings, lead in zip(events, chosen, leads, strict=True):
        best = readings[0]
        proven = lead >= LEAD or (lead >= LEAD_EACH and pooled.get(best.what, lead) >= LEAD)
        proven = proven and event.place not in scaled and not _needs_price(event, best, size)
        shares[event.step_at] = best.share if proven else event.share
        _act(sheet, event, best, lead, restated, size, proven=proven)
    return shares


def _needs_price(event: ExDate, best: Reading, size: float) -> bool:
    """Whether a reading has only the price to speak for it, and the price does not.

    A dividend that is taken away, or made smaller although amount and adjusted close agree on it, is one that the price
    did not fall for.
    """
    is_against_both = best.amount_factor < 1 and _near(event, event.share, size)
    return (best.amount_factor == 0 or is_against_both) and event.miss(event.share) < PRICE_MISS


def _on_another_scale(events: list[ExDate]) -> set[int]:
    """Ex-dates whose steps are all the same multiple of their shares, and none that a known error makes.

    Their prices are on another scale than their dividends; what is wrong is not one dividend.
    """
    multiple = {e.place: float(np.log(e.step / e.share)) for e in events if 0 < e.step < 1 and 0 < e.share < 1}
    # Steps of twice the share are dividends adjusted for twice, unless a split of 2 explains them.
    of_two = any(abs(abs(np.log(ratio)) - np.log(2)) < SCALE_LOG for event in events for ratio in event.later_splits)
    twice = float("inf") if of_two else float(np.log(2))
    found = set()
    for place, one in multiple.items():
        alike = sum(abs(other - one) < SCALE_LOG for other in multiple.values()) - 1
        known = abs(one) < SCALE_LOG or abs(one - twice) < SCALE_LOG / 3 or abs(one) > np.log(30)
        if alike >= SCALE_EVENTS and not known:
            found.add(place)
    return found


def _peer(shares: list[float]) -> float | None:
    """The usual share of a file's other dividends, when they are alike."""
    if len(shares) < 2:
        return None
    usual = float(np.median(shares))
    alike = np.abs(np.log(np.array(shares) / usual)) < np.log(3.0)
    return usual if alike.mean() >= 0.75 else None


def _next_other(readings: list[Reading]) -> float:
    others = [one.score for one in readings[1:] if one.amount_factor != readings[0].amount_factor]
    return max(others, default=float("-inf"))


def _step_agrees(sheet: Sheet, event: ExDate, best: Reading, size: float) -> bool:
    return not sheet.has("adj_close") or _near(event, best.share, size)


def _agrees(sheet: Sheet, event: ExDate, best: Reading, size: float) -> bool:
    """Whether a reading leaves everything as it is."""
    return best.amount_factor == 1 and _step_agrees(sheet, event, best, size)


def _act(  # an ex-date, its reading and where to write
    sheet: Sheet, event: ExDate, best: Reading, lead: float, restated: list[Restated], size: float, *, proven: bool
) -> None:
    if _agrees(sheet, event, best, size):
        return
    step_is_right = _step_agrees(sheet, event, best, size)
    evidence: dict[str, Any] = {
        "what": best.what,
        "close_before": event.base,
        "dividend_over_close": event.share,
        "adjusted_step": event.step,
        "price_fell_from": event.falls[0],
        "price_fell_to": event.falls[1],
        "lead": min(lead, 1e6),
    }
    impossible = not np.isfinite(event.step) or event.step >= 1 or event.step < 0
    known_error = impossible or _known_wrong_step(event, best.share, size)
    if not proven or (best.amount_factor == 1 and not known_error):
        sheet.flag(RULE, event.place, ("dividend",), evidence)
        return
    if best.amount_factor != 1:
        sheet.repair(RULE, event.place, {"dividend": event.amount * best.amount_factor}, evidence)
    elif not step_is_right:
        sheet.flag(RULE, event.place, ("dividend",), evidence | {"done": "the adjusted close before it is restated"})
    if not step_is_right:
        restated.append(Restated(event.step_at, event.step, best.share, RULE, int(sheet.rows[event.place])))


def _readings(event: ExDate, peer: float | None, size: float) -> list[Reading]:
    """The ways to read an ex-date, the likeliest first."""
    ways = [
        (1.0, "the amount is right, the adjusted close is not"),
        (0.01, "the amount is 100 times too large"),
        (100.0, "the amount is 100 times too small"),
        (0.0, "the price knows of no dividend"),
    ]
    before_split = "the amount is one of before a split, the prices are adjusted for it"
    ways += [(1 / ratio, before_split) for ratio in event.later_splits if abs(float(np.log(ratio))) > SPLIT_LOG_MIN]
    shares = [event.share * factor for factor, _ in ways]
    exact = event.slack <= SLACK
    if exact and 0 < event.step < 1 and not any(_near(event, share, size) for share in shares):
        ways.append((event.step / event.share, AS_ADJUSTED))
    readings = []
    for factor, what in ways:
        share = event.share * factor
        if share >= 1 or (factor > 1 and not _asks_for_more(event, factor, peer, size)):
            continue
        score = (
            _price(event, share)
            + _usual(share, peer)
            - _amount_cost(factor, what)
            - (
                WRONG
                if factor == 0 and any(_like_peers(event.share * one, peer, ALIKE) for one in (0.01, 100.0))
                else 0.0
            )
            - _step_cost(event, share, factor, size)
        )
        readings.append(Reading(share, factor, score, what))
    readings.sort(key=lambda one: -one.score)
    return readings


def _asks_for_more(event: ExDate, factor: float, peer: float | None, size: float) -> bool:
    """Whether a larger amount is what the adjusted close says, or the price, or all the file's other dividends."""
    more = event.share * factor
    if _near(event, more, size):
        return True
    return event.miss(more) < 2 and (event.miss(event.share) >= 2 or _like_peers(more, peer))


def _like_peers(share: float, peer: float | None, width: float = 1.0) -> bool:
    return peer is not None and share > 0 and abs(float(np.log(share / peer))) < width


def _price(event: ExDate, share: float) -> float:
    return -min(12.0, event.miss(share)) - min(3.0, 0.3 * event.surprise(share))


def _usual(share: float, peer: float | None) -> float:
    """How usual the size of a dividend is; one that is a peer's but for a factor of 100 is less usual than any."""
    if share <= 0:
        return -1.0
    factor = 1.0
    for width, strangeness in ((1.0, 1.5), (ALIKE, 2.0)):
        if _like_peers(share * 100, peer, width) or _like_peers(share / 100, peer, width):
            factor = strangeness
    center, width = (peer, PEER_WIDTH) if peer else (USUAL_SHARE, USUAL_WIDTH)
    return -min(factor * STRANGE, 0.5 * float(np.log(share / center) / width) ** 2)


def _amount_cost(factor: float, what: str) -> float:
    if factor == 1:
        return 0.0
    if factor == 0:
        return FALSE
    return STRANGE if what == AS_ADJUSTED else WRONG


def _step_cost(event: ExDate, share: float, factor: float, size: float) -> float:
    step = event.step
    if np.isnan(step) or not np.isfinite(step) or step >= 1 or step < -size:
        return 0.0  # says nothing, of any reading
    if _near(event, share, size):
        return 0.0
    if factor != 1 and _near(event, event.share, size):
        return ALONG
    return WRONG if share > 0 and _known_wrong_step(event, share, size) else STRANGE


def _known_wrong_step(event: ExDate, share: float, size: float) -> bool:
    """Not adjusted, adjusted by a hundredth or hundredfold, or adjusted twice."""
    wrong = (0.0, share / 100, share * 100, 1 - (1 - share) ** 2)
    return any(_near(event, one, size) for one in wrong)


def _near(event: ExDate, share: float, size: float) -> bool:
    """Whether the adjusted close steps by a share, up to what the file rounds and leaves open."""
    allowed = max(event.slack * abs(share), min(size, abs(share) / 4), event.rounding, 1e-7)
    return bool(np.isfinite(event.step)) and abs(event.step - share) <= allowed


# --- adjusted for, but not listed ------------------------------------------------------------------------------------


def _find_missing(sheet: Sheet, prices: Prices, listed: set[int], size: float) -> None:
    """List a dividend that only the adjusted close knows of."""
    if not sheet.has("adj_close") or not np.isfinite(prices.ratio[prices.known]).all():
        return
    prices = read_prices(sheet)
    splits = sheet.values["split"] if sheet.has("split") else np.zeros(sheet.height)
    gains = sheet.values["capital_gain"] if sheet.has("capital_gain") else np.zeros(sheet.height)
    for k in range(1, len(prices.known)):
        place, step = int(prices.known[k]), step_into(prices, k)
        beside = {int(one) for one in prices.known[max(0, k - 1) : k + 2]}
        if not size < abs(step) < 0.5 or beside & listed or splits[place] > 0 or gains[place] > 0:
            continue
        event = ex_date(sheet, prices, place)
        if (
            event is None
            or event.amount
            or not _stays(prices, k, step, listed)
            or not _stand_together(sheet, prices, k)
        ):
            continue
        evidence = {
            "what": "the adjusted close steps as for a dividend that is not listed",
            "adjusted_step": step,
            "close_before": event.base,
            "price_fell_from": event.falls[0],
            "price_fell_to": event.falls[1],
        }
        # In a file of weeks the close before is not known, and with it the amount.
        is_proven = event.miss(step) < 3 and event.surprise(step) < 6 and _adjoin(sheet, prices, k)
        if step > 0 and is_proven and not is_coarse(sheet):
            sheet.repair(RULE, place, {"dividend": step * event.base}, evidence)
        else:
            sheet.flag(RULE, place, ("dividend",), evidence)


def _stays(prices: Prices, k: int, step: float, listed: set[int]) -> bool:
    """Whether the adjusted close stays where it stepped: one that comes back is no dividend."""
    first, last = max(1, k - 3), min(len(prices.known) - 1, k + 3)
    near = [one for one in range(first, last + 1) if one != k and int(prices.known[one]) not in listed]
    others = [step_into(prices, one) for one in near]
    return all(abs(one) < abs(step) / 4 for one in others)


def _stand_together(sheet: Sheet, prices: Prices, k: int) -> bool:
    """Whether no row was set aside between a row and the one before: it may have paid."""
    before, here = int(prices.known[k - 1]), int(prices.known[k])
    return here - before == 1 and abs(int(sheet.rows[here]) - int(sheet.rows[before])) == 1


def _adjoin(sheet: Sheet, prices: Prices, k: int) -> bool:
    """Whether no weekday lies between a row and the one before: a row that an earlier run set aside may have paid."""
    # Half a day later the midnight of every zone is on its own day.
    days = (sheet.ns[prices.known[k - 1 : k + 1]] + NS_PER_DAY // 2) // NS_PER_DAY
    return bool(np.busday_count(*days.astype("datetime64[D]")) <= 1)

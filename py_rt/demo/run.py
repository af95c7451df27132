"""The demo, step by step."""

from __future__ import annotations

import time
from contextlib import ExitStack
from typing import TYPE_CHECKING, Any

from py_rt.demo import bundles, children, market, proof
from py_rt.demo.children import DemoError, VenueOptions
from py_rt.demo.report import Outcome
from py_rt.demo.service_file import MS_PER_BAR, write_service_file
from py_rt.demo.trading import LOOK_S, SLOT, SYMBOL, Desk, Goals, Session

if TYPE_CHECKING:
    from collections.abc import Mapping

    from py_rt.bundle.statement import Approval
    from py_rt.demo.bundles import Candidate
    from py_rt.demo.children import Child
    from py_rt.demo.place import Place
    from py_rt.demo.show import Show, Step

INSTANCE = "demo"
BAR_MS = 40
"""Wall milliseconds of a 15-minute bar: the venue's time runs 22,500 times as fast as ours."""

SEED = 7
HISTORY = 500
FIRST_DAY = "2021-12-01"
"""Both bundles' models were trained on what came before."""

BALANCE = 100_000
LEVEL_MIN, LEVEL_MAX = "0.005", "0.12"
"""Sizes of the venue's price levels: a book so thin that orders of the demo's size meet several."""

READY_PATIENCE_S = 30.0
RECORD_PATIENCE_S = 120.0
TRADING_MAX_S = 60.0
BEFORE_SWAP_S = 2.0
NS_PER_S = 1_000_000_000
TIMEOUT_AFTER_SWAP_S = 120
FASTER_FILLS = {"timeout_seconds": TIMEOUT_AFTER_SWAP_S, "limit_offset_bps": 1}
"""What the operator sets after the swap: orders nearer to the market that wait longer."""

SHORT = 12
NOT_MADE_YET = "not made yet"
"""The reason of an asset's first time, which needs no line."""


def run_demo(place: Place, show: Show, *, goals: Goals | None = None) -> Outcome:
    """Make assets, approve two bundles, trade on paper with a swap, replay.

    Args:
        place: where.
        show: where progress is told.
        goals: what the run must contain.

    Raises:
        DemoError: a step failed; the message says why, `show.at` which.
        PyRtError: of the part that failed.
    """
    began = time.monotonic()
    goals = goals or Goals()
    with show.step("keys", "one key for each role of a house") as step:
        made = bundles.make_keys(place.home)
        step.result(f"{len(made)} keys made, trusted for paper only" if made else "those of an earlier run")
    with show.step("assets", "tables, features, models, backtests and signed candidates, by Dagster") as step:
        assets, candidates = make_assets(place, step)
    with ExitStack() as stack:
        with show.step("venue", "a simulated venue, and the service beside it") as step:
            service, desk = open_market(place, stack, step)
        with show.step("deploy", "approve the first bundle; the sensor finds it and commands the service") as step:
            approvals = [deploy(place, candidates[0], step)]
        with show.step("trading", f"on paper, until there are {goals}") as step:
            session = desk.settle(trade(desk, place, candidates, goals, approvals, step))
            session.ended_otherwise |= proof.cancelled_early(place.run, session.timed_out())
            step.result(str(session.counts()))
        with show.step("stop", "SIGTERM") as step:
            status = service.stop()
            step.result(f"orders cancelled, account reconciled, record on disk: exit status {status}")
    with show.step("replay", "the record again, from its first event, in a fresh process") as step:
        with proof.start_parity(place) as replay:
            verdict = proof.verdict_of(replay)
        step.result("identical" if verdict.get("identical") else "NOT identical")
    with show.step("features", "what decided, against the table of research") as step:
        matched = proof.match_features(place.home, place.run, approvals[-1].digest)
        step.result(f"{matched.equal} of {matched.rows} rows equal the offline table")
    return Outcome(
        assets=assets,
        candidates=candidates,
        approvals=tuple(approvals),
        signatures=proof.signatures(place.home, approvals),
        session=session,
        goals=goals,
        exit_status=status,
        features=matched,
        parity=verdict,
        place=place,
        seconds=time.monotonic() - began,
    )


def make_assets(place: Place, step: Step) -> tuple[dict[str, Any], tuple[Candidate, Candidate]]:
    """Run the main job; its summary, and the two newest candidates.

    Raises:
        DemoError: it failed.
    """
    heard = Heard(step)
    log = place.log("assets")
    status = children.hear_module("pipelines.run", ["--job", "main_job", "--reuse", "--json"], place, log, heard.hear)
    if status != 0 or not heard.summary:
        said = heard.failed or [f"python -m pipelines.run ended with {status} and said nothing about it"]
        raise DemoError("\n".join([*said, f"log: {log}"]))
    summary = heard.summary
    made = f"{summary['materializations']} materialisations of {summary['assets']} assets"
    reused = f", {summary['reused']} reused" if summary["reused"] else ""
    passed = f", {summary['checks_passed']} checks passed" if summary["checks_passed"] else ""
    step.result(f"{made}{reused}{passed}")
    return summary, bundles.newest_two(place.home)


class Heard:
    """What the run of assets has said.

    Attributes:
        summary: its last line.
        failed: what went wrong, a line each.
    """

    def __init__(self, step: Step) -> None:
        """Nothing yet.

        Args:
            step: where it is told.
        """
        self._step = step
        self._done = 0
        self.summary: dict[str, Any] = {}
        self.failed: list[str] = []

    def hear(self, line: Mapping[str, Any]) -> None:
        """Take one line."""
        match line["event"]:
            case "step_started":
                self._step.progress(f"step {self._done + 1}: {line['step']}")
            case "reused":
                many = f", {line['count']} partitions" if line["count"] > 1 else ""
                self._step.note(f"{line['asset']}{many}  reused")
            case "stale" if line["reason"] != NOT_MADE_YET:
                self._step.note(f"{line['asset']}  to be made again: {line['reason']}")
            case "step_finished":
                self._done += 1
                many = f", {line['partitions']} partitions" if line.get("partitions", 1) > 1 else ""
                self._step.note(f"{line['step']}{many}  {line['seconds']:.1f} s")
            case "check" if not line["passed"]:
                failed = f"check {line['check']} of {line['asset']}"
                if line["severity"] == "ERROR":
                    self.failed.append(f"{failed} failed: {line['metadata']}")
                else:
                    self._step.note(f"{failed} warns")
            case "step_failed" | "error":
                self.failed.append(f"{line.get('step', 'run')}: {line['error']}")
            case "summary":
                self.summary = dict(line)


def open_market(place: Place, stack: ExitStack, step: Step) -> tuple[Child, Desk]:
    """Start venue and service; they end with the stack, the service first.

    Raises:
        DemoError: one of them did not start.
    """
    bars = place.work / "bars.csv"
    market.write_bars(place.home, bars)
    key = children.ApiKey.fresh()
    first = market.day_ns(FIRST_DAY)
    options = VenueOptions(bars, first, HISTORY, BAR_MS, SEED, BALANCE, (LEVEL_MIN, LEVEL_MAX))
    venue, addresses = children.start_venue(options, key, place.log("venue"))
    stack.enter_context(venue)
    config = place.work / "service.toml"
    write_service_file(config, home=place.home, name=INSTANCE, slot=SLOT, symbol=SYMBOL, bar_ms=BAR_MS, venue=addresses)
    service, live = children.start_service(config, place.work, key, place.log("service"))
    stack.enter_context(service)
    desk = Desk(live["endpoints"]["command"], place.home / "keys", INSTANCE)
    stack.callback(desk.close)
    desk.wait_until_ready(READY_PATIENCE_S)
    faster = MS_PER_BAR // BAR_MS
    step.result(f"bars from {FIRST_DAY} on, {faster:,} times as fast; the service waits for a bundle")
    return service, desk


def deploy(place: Place, candidate: Candidate, step: Step) -> Approval:
    """Approve a bundle, make its asset `approved_bundle`, and let the sensor bring it to the service.

    Raises:
        DemoError: it was not deployed, or not recorded.
    """
    approval = bundles.approve_for_paper(place.home, candidate.digest, SLOT)
    record = ["--select", "approved_bundle", "--partition", candidate.month, "--json"]
    replies: list[dict[str, Any]] = []
    recording_log, log = place.log("approved_bundle"), place.log("deploy")
    with children.start_module("pipelines.run", record, place, recording_log) as recording:
        status = children.hear_module("pipelines.deploy", ["--json"], place, log, replies.append)
        reply = replies[-1] if replies else {}
        if status != 0 or [done["digest"] for done in reply.get("deployed", ())] != [candidate.digest]:
            said = "; ".join(reply.get("failed", ())) or reply.get("reason") or f"it ended with {status}"
            raise DemoError(f"the sensor did not deploy sha256-{candidate.digest[:SHORT]}: {said}\nlog: {log}")
        if recording.wait(RECORD_PATIENCE_S) != 0:
            raise recording.failure(f"did not make approved_bundle of {candidate.month}")
    done = reply["deployed"][0]
    name = f"sha256-{candidate.digest[:SHORT]}"
    step.result(f"{name} approved; the sensor deployed serial {done['serial']} to {done['instance']}")
    return approval


def trade(  # each is a different part of the run
    desk: Desk,
    place: Place,
    candidates: tuple[Candidate, Candidate],
    goals: Goals,
    approvals: list[Approval],
    step: Step,
) -> Session:
    """Trade until the goals are reached: the first bundle, a swap under way, then orders nearer to the market."""
    first, second = (candidate.digest for candidate in candidates)
    timeouts_ns = {
        first: bundles.order_timeout_s(place.home, first) * NS_PER_S,
        second: TIMEOUT_AFTER_SWAP_S * NS_PER_S,
    }
    ends = time.monotonic() + TRADING_MAX_S
    session = desk.look(None, timeouts_ns)
    is_swapped = False
    while session.missing(goals) and time.monotonic() < ends:
        time.sleep(LOOK_S)
        session = desk.look(session, timeouts_ns)
        counts = session.counts()
        step.progress(str(counts), counts.share_of(goals))
        if not is_swapped and step.seconds > BEFORE_SWAP_S:
            approvals.append(deploy(place, candidates[1], step))
            for name, value in FASTER_FILLS.items():
                desk.client.set_parameter(SLOT, name, value)
            is_swapped = True
            step.note(f"swapped to sha256-{second[:SHORT]} between two events; orders now nearer to the market")
    return session

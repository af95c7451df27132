"""The demo, step by step."""

from __future__ import annotations

import time
from concurrent.futures import ThreadPoolExecutor
from contextlib import ExitStack
from dataclasses import dataclass
from datetime import UTC, datetime
from typing import TYPE_CHECKING, Any

from py_rt.demo import bundles, children, market, proof
from py_rt.demo.children import DemoError, VenueOptions
from py_rt.demo.report import Outcome
from py_rt.demo.service_file import MS_PER_BAR, write_service_file
from py_rt.demo.trading import LOOK_S, SLOT, SYMBOL, Desk, Goals, Session

if TYPE_CHECKING:
    from pathlib import Path

    from py_rt.bundle.statement import Approval
    from py_rt.demo.bundles import Candidate
    from py_rt.demo.children import Child
    from py_rt.demo.show import Show, Step

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
TRADING_MAX_S = 60.0
BEFORE_SWAP_S = 3.0
NS_PER_S = 1_000_000_000
FASTER_FILLS = {"timeout_seconds": 120, "limit_offset_bps": 1}
"""What the operator sets after the swap: orders nearer to the market that wait longer."""


@dataclass(frozen=True)
class Place:
    """Where one run lies.

    Attributes:
        home: the folder of everything that is made.
        run: folder of the run.
    """

    home: Path
    run: Path

    @classmethod
    def fresh(cls, home: Path) -> Place:
        """A new run, named by the time."""
        run = home / "runs" / f"demo-{datetime.now(UTC):%Y%m%d-%H%M%S}"
        run.mkdir(parents=True, mode=0o700)
        return cls(home, run)


def run_demo(home: Path, show: Show, *, goals: Goals | None = None) -> Outcome:
    """Make assets, approve two bundles, trade on paper with a swap, replay.

    Args:
        home: the folder of everything that is made.
        show: where progress is told.
        goals: what the run must contain.

    Raises:
        DemoError: a step failed; the message says which and why.
        PyRtError: of the part that failed.
    """
    began = time.monotonic()
    goals = goals or Goals()
    with show.step("keys") as step:
        made = bundles.make_keys(home)
        step.result(f"{len(made)} keys made, trusted for paper only" if made else "those of an earlier run")
    with show.step("assets") as step:
        assets, candidates = make_assets(home, step)
    place = Place.fresh(home)
    approvals: list[Approval] = []
    with ExitStack() as stack:
        with show.step("venue") as step:
            service, desk = open_market(place, stack, step)
        with show.step("deploy") as step:
            approvals.append(deploy(place.home, candidates[0], step))
        with show.step("trading") as step:
            session = trade(desk, place.home, candidates, goals, approvals, step)
        with show.step("stop") as step:
            status = service.stop()
            step.result(f"SIGTERM: orders cancelled, reconciled, record on disk, exit status {status}")
    with show.step("replay") as step:
        verdict = proof.parity(place.run, home)
        step.result("identical" if verdict.get("identical") else "NOT identical")
    with show.step("features") as step:
        matched = proof.match_features(home, place.run)
        step.result(f"{matched.equal} of {matched.rows} rows equal the offline table")
    builder, approver = bundles.signers(home)
    return Outcome(
        assets=assets,
        candidates=candidates,
        approvals=(approvals[0], approvals[1]),
        builder=builder,
        approver=approver,
        session=session,
        goals=goals,
        exit_status=status,
        features=matched,
        parity=verdict,
        home=home,
        run=place.run,
        seconds=time.monotonic() - began,
    )


def make_assets(home: Path, step: Step) -> tuple[dict[str, Any], tuple[Candidate, Candidate]]:
    """Run the main job; its summary, and the two newest candidates.

    Raises:
        DemoError: it failed.
    """
    summary: dict[str, Any] = {}
    failed: list[str] = []
    done = 0

    def hear(line: dict[str, Any]) -> None:
        nonlocal done
        match line["event"]:
            case "step_started":
                step.progress(line["step"])
            case "step_finished":
                done += 1
                many = f", {line['partitions']} partitions" if line.get("partitions", 1) > 1 else ""
                step.note(f"{line['step']}{many}  {line['seconds']:.1f} s")
            case "check" if not line["passed"] and line["severity"] == "ERROR":
                failed.append(f"check {line['check']} of {line['asset']} failed")
            case "step_failed" | "error":
                failed.append(f"{line.get('step', 'run')}: {line['error']}")
            case "stderr":
                failed.append(line["text"])
            case "summary":
                summary.update(line)

    status = children.run_module("pipelines.run", ["--job", "main_job", "--json"], home=home, on_line=hear)
    if status != 0 or not summary:
        raise DemoError("\n".join(["the assets could not be made", *failed]))
    made = f"{summary['materializations']} materialisations of {summary['assets']} assets"
    step.result(f"{made}, {summary['checks_passed']} checks passed")
    return summary, bundles.newest_two(home)


def open_market(place: Place, stack: ExitStack, step: Step) -> tuple[Child, Desk]:
    """Start venue and service."""
    bars = place.run / "bars.csv"
    market.write_bars(place.home, bars)
    key = children.ApiKey.fresh()
    first = market.day_ns(FIRST_DAY)
    options = VenueOptions(bars, first, HISTORY, BAR_MS, SEED, BALANCE, (LEVEL_MIN, LEVEL_MAX))
    venue, addresses = children.start_venue(options, key, place.run / "venue.log")
    stack.enter_context(venue)
    config = place.run / "service.toml"
    write_service_file(config, home=place.home, name="demo", slot=SLOT, symbol=SYMBOL, bar_ms=BAR_MS, venue=addresses)
    service, live = children.start_service(config, place.run, key, place.run / "service.log")
    stack.enter_context(service)
    desk = Desk(live["endpoints"]["command"], place.home / "keys", "demo")
    stack.callback(desk.close)
    desk.wait_until_ready(READY_PATIENCE_S)
    faster = MS_PER_BAR // BAR_MS
    step.result(f"bars from {FIRST_DAY} on, {faster:,} times as fast; the service waits for a bundle")
    return service, desk


def deploy(home: Path, candidate: Candidate, step: Step) -> Approval:
    """Approve a bundle, make its asset `approved_bundle`, and let the sensor bring it to the service.

    Raises:
        DemoError: it was not deployed, or not recorded.
    """
    approval = bundles.approve_for_paper(home, candidate.digest, SLOT)
    record = ["--select", "approved_bundle", "--partition", candidate.month, "--json"]
    recorded: list[dict[str, Any]] = []
    replies: list[dict[str, Any]] = []
    with ThreadPoolExecutor(max_workers=1) as beside:
        recording = beside.submit(children.run_module, "pipelines.run", record, home=home, on_line=recorded.append)
        status = children.run_module("pipelines.deploy", ["--json"], home=home, on_line=replies.append)
    reply = replies[0] if replies else {}
    if status != 0 or [done["digest"] for done in reply.get("deployed", ())] != [candidate.digest]:
        raise DemoError(f"{candidate.digest} was not deployed: {reply}")
    if recording.result() != 0:
        raise DemoError(f"approved_bundle of {candidate.month} was not made: {recorded[-1:]}")
    done = reply["deployed"][0]
    step.result(
        f"sha256-{candidate.digest[:12]} approved; the sensor deployed serial {done['serial']} to {done['instance']}"
    )
    return approval


def trade(  # each is a different part of the run
    desk: Desk,
    home: Path,
    candidates: tuple[Candidate, Candidate],
    goals: Goals,
    approvals: list[Approval],
    step: Step,
) -> Session:
    """Trade until the goals are reached: the first bundle, a swap under way, then orders nearer to the market."""
    timeout_ns = bundles.order_timeout_s(home, candidates[0].digest) * NS_PER_S
    ends = time.monotonic() + TRADING_MAX_S
    session = desk.look(None, timeout_ns)
    is_swapped = False
    while session.missing(goals) and time.monotonic() < ends:
        time.sleep(LOOK_S)
        session = desk.look(session, timeout_ns)
        counts = session.counts()
        step.progress(f"{counts.orders} orders, {counts.fills} fills", min(1.0, step.seconds / TRADING_MAX_S))
        if not is_swapped and step.seconds > BEFORE_SWAP_S:
            approvals.append(deploy(home, candidates[1], step))
            step.note(f"swapped to sha256-{candidates[1].digest[:12]} between two events")
            for name, value in FASTER_FILLS.items():
                desk.client.set_parameter(SLOT, name, value)
            is_swapped = True
    counts = session.counts()
    step.result(
        f"{counts.orders} orders, {counts.fills} fills, {counts.partial} partly filled, {counts.timeouts} timed out"
    )
    return session

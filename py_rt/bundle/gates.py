"""`reports/gates.json`: what was measured before anybody was asked to approve, and what each stage demands of it.

A gate that nobody measured says so; it never counts as passed. The approver signs the hash of this file.
"""

from __future__ import annotations

import json
from dataclasses import asdict, dataclass
from typing import TYPE_CHECKING, Any

from py_rt.bundle.manifest import canonical_json
from py_rt.bundle.statement import PAPER, STAGES
from py_rt.errors import BundleError

if TYPE_CHECKING:
    from collections.abc import Iterable, Mapping

SCHEMA_VERSION = 1
NS_PER_YEAR = 365 * 86_400 * 10**9
WANTED_YEARS = 3.0
WANTED_SHARPE = 1.5
WANTED_DEFLATED_SHARPE = 0.95

FOR_PAPER = ("onnx_parity", "no_look_ahead", "cost_stress_reported", "limits_within_policy")
"""Gates of stage paper."""

FOR_LIVE = (
    "backtest_years",
    "walk_forward_optimization",
    "out_of_sample_sharpe",
    "limits_within_policy",
    "paper_trading_month",
    "latency",
    "failover",
    "dashboards",
)
"""The specification's list 9.1, in its order: what stands before any real money."""

UNMEASURED = {
    "walk_forward_optimization": ("Walk-forward optimization completed", "completed"),
    "paper_trading_month": ("Paper trading results verified", "1 month or more"),
    "latency": ("Latency benchmarks met", "below 100 microseconds"),
    "failover": ("Failover mechanisms tested", "tested"),
    "dashboards": ("Monitoring dashboards configured", "configured"),
}
"""Gates of that list that nothing here measures yet."""


VENUE_GATE = "venue_certificate"
"""Measured when a stage is asked for, not when a bundle is built: it ages, and a venue changes."""


class GatesError(BundleError):
    """A stage that is asked for and whose gates are not all passed.

    Attributes:
        gates: what the stage demands, passed or not.
    """

    def __init__(self, stage: str, gates: tuple[Gate, ...]) -> None:
        """Say which gates stand in the way.

        Args:
            stage: asked for.
            gates: all that it demands.
        """
        self.stage = stage
        self.gates = gates
        failed = sum(gate.passed is not True for gate in gates)
        lines = "\n".join(f"  {gate}" for gate in gates)
        super().__init__(f"stage {stage} is refused: {failed} of {len(gates)} gates are not passed\n{lines}")


@dataclass(frozen=True)
class Gate:
    """One thing that was measured, or not.

    Attributes:
        name: for programs.
        title: for people.
        wanted: what passes, in words.
        value: what was measured; `None` is not evaluated.
        passed: whether that is enough; `None` is not evaluated.
    """

    name: str
    title: str
    wanted: str
    value: float | int | str | None = None
    passed: bool | None = None

    def __str__(self) -> str:
        """One line.

        >>> print(Gate("latency", "Latency benchmarks met", "below 100 microseconds"))
        [not evaluated] Latency benchmarks met: wanted below 100 microseconds
        """
        mark = {True: "passed", False: "FAILED", None: "not evaluated"}[self.passed]
        found = (
            "" if self.value is None else f" {self.value:.6g}" if isinstance(self.value, float) else f" {self.value}"
        )
        return f"[{mark}] {self.title}:{found}{';' if found else ''} wanted {self.wanted}"


@dataclass(frozen=True)
class Gates:
    """All gates of a bundle, and the trials behind its numbers.

    Attributes:
        gates: by name.
        ledger: `count` and `sha256` of the trial ledger's last line when they were measured: whoever shortens the
            ledger later is found out.
    """

    gates: Mapping[str, Gate]
    ledger: Mapping[str, int | str]

    @classmethod
    def of(cls, gates: Iterable[Gate], ledger: Mapping[str, int | str]) -> Gates:
        """Collect what was measured; what the lists name beside it is not evaluated."""
        found = {gate.name: gate for gate in gates}
        for name, (title, wanted) in UNMEASURED.items():
            found.setdefault(name, Gate(name, title, wanted))
        return cls(found, dict(ledger))

    def to_bytes(self) -> bytes:
        """The file's bytes."""
        listed = [asdict(gate) for _, gate in sorted(self.gates.items())]
        return canonical_json({"schema_version": SCHEMA_VERSION, "gates": listed, "ledger": dict(self.ledger)})

    @classmethod
    def from_bytes(cls, content: bytes) -> Gates:
        """Read the file.

        Raises:
            BundleError: it is no such file.
        """
        try:
            read: dict[str, Any] = json.loads(content)
            if read.pop("schema_version") != SCHEMA_VERSION:
                raise BundleError(f"reports/gates.json: schema_version is not {SCHEMA_VERSION}: build the bundle again")
            gates = [Gate(**gate) for gate in read.pop("gates")]
            return cls({gate.name: gate for gate in gates}, **read)
        except (ValueError, KeyError, TypeError) as error:
            raise BundleError(f"reports/gates.json cannot be read: {error!r}; build the bundle again") from error

    def demanded(self, stage: str) -> tuple[Gate, ...]:
        """What a stage demands, in order.

        Raises:
            BundleError: there is no such stage.
        """
        if stage not in STAGES:
            raise BundleError(f"no stage is called {stage!r}; there are {', '.join(STAGES)}")
        names = list(FOR_PAPER)
        if stage != PAPER:
            # The list comes first, whole and in its order: that is what is asked before real money.
            names = [*FOR_LIVE, "deflated_sharpe", *(name for name in FOR_PAPER if name not in FOR_LIVE)]
            names.append(VENUE_GATE)
            names += [f"results_at_{before}" for before in STAGES[1 : STAGES.index(stage)]]
        return tuple(self.gates.get(name) or Gate(name, name.replace("_", " "), "passed") for name in names)

    def beside(self, gate: Gate) -> Gates:
        """The same with one more gate, which is measured now."""
        return Gates({**self.gates, gate.name: gate}, self.ledger)

    def require(self, stage: str) -> None:
        """Refuse a stage whose gates are not all passed.

        Raises:
            GatesError: with every gate and its number.
        """
        demanded = self.demanded(stage)
        if not all(gate.passed is True for gate in demanded):
            raise GatesError(stage, demanded)


def venue_gate(venue: str, found: str | None, *, passed: bool | None) -> Gate:
    """The venue was toured lately, and its wire is the one that is expected; `None`: it was never seen live."""
    title = f"Wire of {venue} certified (`py_rt venue certify {venue}`)"
    return Gate(
        VENUE_GATE, title, "at the venue, within 30 days, with --trade, no difference, nothing left out", found, passed
    )


def parity_gate(parity: Mapping[str, Any], thresholds: Iterable[float]) -> Gate:
    """The ONNX file answers as the booster does, also at the probabilities at which the strategy decides."""
    wanted = f"at most {parity['max_allowed_diff']:g} over {parity['min_rows']} rows or more, no changed decision"
    title = "ONNX Runtime and LightGBM agree (largest difference)"
    unseen = [f"{threshold:g}" for threshold in thresholds if threshold not in parity["thresholds"]]
    if unseen:
        return Gate("onnx_parity", title, wanted, f"not compared at {' and '.join(unseen)}", passed=False)
    return Gate("onnx_parity", title, wanted, float(parity["max_abs_diff"]), bool(parity["passed"]))


def look_ahead_gate(cuts: int, changed: int) -> Gate:
    """Features recomputed on bars cut off at t have the same bits at t; without a warm row there is nothing to see."""
    title = f"No feature looks ahead (rows of {cuts} that change)"
    found = changed if cuts else "no row is warm"
    return Gate("no_look_ahead", title, "0 of at least 1", found, cuts > 0 and changed == 0)


def limits_gate(looser: int) -> Gate:
    """No limit of the bundle is looser than the policy's."""
    return Gate("limits_within_policy", "Risk limits configured (looser than the policy)", "0", looser, looser == 0)


def backtest_gates(backtest: Mapping[str, Any]) -> list[Gate]:
    """What the backtest's numbers say: length, Sharpe ratio, the same at higher costs."""
    base, stress, factor = backtest["base"], backtest["stress"], backtest["stress_factor"]
    years = base["periods"] * base["bar_ns"] / NS_PER_YEAR
    sharpe = float(base["annual_sharpe"])
    after = stress.get("total_return")
    return [
        Gate("backtest_years", "Backtest on 3+ years of data", "3 years", years, years >= WANTED_YEARS),
        Gate("out_of_sample_sharpe", "Out-of-sample Sharpe ratio, annual", "above 1.5", sharpe, sharpe > WANTED_SHARPE),
        Gate(
            "cost_stress_reported",
            f"Total return at {factor} x costs",
            "reported, at 2 x or more",
            after,
            after is not None and factor >= 2,
        ),
    ]


def luck_gate(deflated_sharpe: float | None) -> Gate:
    """The probability that the result is more than the best of so many worthless trials."""
    passed = deflated_sharpe is not None and deflated_sharpe >= WANTED_DEFLATED_SHARPE
    title, wanted = "Deflated Sharpe ratio", f"{WANTED_DEFLATED_SHARPE:g} or more"
    return Gate("deflated_sharpe", title, wanted, deflated_sharpe, None if deflated_sharpe is None else passed)

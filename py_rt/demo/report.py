"""What the demo says at its end, for people and for programs."""

from __future__ import annotations

import json
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from collections.abc import Mapping
    from pathlib import Path

    from py_rt.bridge.records import Pnl
    from py_rt.bundle.statement import Approval
    from py_rt.demo.bundles import Candidate
    from py_rt.demo.proof import FeatureMatch
    from py_rt.demo.trading import Goals, Session

SHORT = 12
NAME_WIDTH = 14


@dataclass(frozen=True)
class Outcome:
    """Everything that one run of the demo found.

    Attributes:
        assets: the summary of the Dagster run.
        candidates: the two bundles, the one that ended trading last.
        approvals: of both.
        builder: id of the key that built them.
        approver: id of the key that approved them.
        session: trading, as it ended.
        goals: what it had to contain.
        exit_status: of the service after SIGTERM.
        features: online against offline.
        parity: verdict of the replay.
        home: the folder of everything that is made.
        run: folder of the run.
        seconds: the whole demo took.
    """

    assets: Mapping[str, Any]
    candidates: tuple[Candidate, Candidate]
    approvals: tuple[Approval, Approval]
    builder: str
    approver: str
    session: Session
    goals: Goals
    exit_status: int
    features: FeatureMatch
    parity: Mapping[str, Any]
    home: Path
    run: Path
    seconds: float

    def failures(self) -> list[str]:
        """What did not hold."""
        found = [f"{name}: {text}" for name, text in self.session.missing(self.goals).items()]
        if not self.assets.get("success"):
            found.append("assets: the run or one of its checks failed")
        if self.exit_status != 0:
            found.append(f"service: it ended with {self.exit_status} after SIGTERM, not 0")
        if self.features.equal != self.features.rows or not self.features.rows:
            found.append(f"features: {self.features.equal} of {self.features.rows} rows equal the offline table")
        if not self.parity.get("identical"):
            found.append(f"replay: {self.parity.get('error') or 'it differs'}")
        return found

    def facts(self) -> dict[str, Any]:
        """As one JSON object; money as decimal text."""
        counts = vars(self.session.counts())
        total = self.session.pnl[-1] if self.session.pnl else None
        return {
            "ok": not self.failures(),
            "failures": self.failures(),
            "assets": dict(self.assets),
            "bundles": [
                {"month": one.month, "digest": one.digest, "serial": approval.serial, "stage": approval.stage}
                for one, approval in zip(self.candidates, self.approvals, strict=True)
            ],
            "model": self.model(),
            "trading": counts,
            "pnl": total and _pnl(total),
            "positions": [
                {"instrument": str(one.instrument), "quantity": str(one.quantity)}
                for one in self.session.positions
                if one.slot is None
            ],
            "latency_ns": {
                one.stage: {"count": one.count, "p50": one.p50_ns, "p99": one.p99_ns, "max": one.max_ns}
                for one in self.session.status.latencies
            },
            "features": vars(self.features),
            "parity": dict(self.parity),
            "run": str(self.run),
            "report": str(self.html),
            "seconds": round(self.seconds, 1),
        }

    @property
    def html(self) -> Path:
        """The report of the newer bundle's backtest."""
        return self.home / "reports" / f"backtest_threshold-{self.candidates[1].month[:7]}.html"

    def model(self) -> dict[str, Any]:
        """Out-of-sample numbers of the newer bundle's model and backtest."""
        month = self.candidates[1].month
        artifacts = self.home / "artifacts"
        scores = _read(artifacts / "models" / "model_lgbm" / month / "scores.json")
        backtest = _read(artifacts / "backtests" / "backtest_threshold" / month / "backtest.json")
        base = backtest.get("base", {})
        return {
            "month": month,
            "auc": scores.get("auc"),
            "log_loss": scores.get("log_loss"),
            "base_log_loss": scores.get("base_log_loss"),
            "total_return": base.get("total_return"),
            "annual_sharpe": base.get("annual_sharpe"),
            "deflated_sharpe": base.get("deflated_sharpe"),
            "max_drawdown": base.get("max_drawdown"),
            "trials": base.get("trials"),
        }


def _pnl(total: Pnl) -> dict[str, Any]:
    """Amounts as decimal text; `None` is unknown."""
    return {
        "realized": str(total.realized.amount),
        "unrealized": total.unrealized and str(total.unrealized.amount),
        "fees": [f"{fee.amount} {fee.currency}" for fee in total.fees],
        "equity": total.equity and str(total.equity.amount),
        "currency": total.realized.currency,
    }


def _read(path: Path) -> dict[str, Any]:
    try:
        read: dict[str, Any] = json.loads(path.read_text(encoding="utf-8"))
    except (OSError, ValueError):
        return {}
    return read


def text(outcome: Outcome) -> str:
    """The summary for people."""
    lines = [
        *_offline(outcome),
        *_trading(outcome),
        *_latencies(outcome),
        *_proof(outcome),
        "",
        *_what_next(outcome),
    ]
    failures = outcome.failures()
    verdict = "NOT everything held:" if failures else f"Everything held, in {outcome.seconds:.0f} s."
    return "\n".join(["", *lines, "", verdict, *(f"  - {one}" for one in failures)])


def _row(name: str, value: str) -> str:
    return f"{name:<{NAME_WIDTH}}{value}"


def _offline(outcome: Outcome) -> list[str]:
    assets, model = outcome.assets, outcome.model()
    failed = len(assets.get("checks_failed", []))
    made = f"{assets.get('materializations', 0)} materialisations of {assets.get('assets', 0)} assets"
    reused = f", {assets['reused']} reused" if assets.get("reused") else ""
    checks = f"{assets.get('checks_passed', 0)} checks passed, {assets.get('checks_warned', 0)} warned, {failed} failed"
    lines = [_row("assets", f"{made}{reused}; {checks}")]
    if model["auc"] is not None:
        scores = f"AUC {model['auc']:.4f}, log loss {model['log_loss']:.5f} (a constant: {model['base_log_loss']:.5f})"
        lines.append(_row("model", f"out of sample in {model['month'][:7]}: {scores}"))
    if model["total_return"] is not None:
        lines.append(
            _row(
                "backtest",
                f"return {model['total_return']:+.2%}, Sharpe {model['annual_sharpe']:.2f} a year, drawdown "
                f"{model['max_drawdown']:.2%}, deflated Sharpe {model['deflated_sharpe']:.4f} "
                f"({model['trials']} trials)",
            )
        )
    for one, approval in zip(outcome.candidates, outcome.approvals, strict=True):
        said = f"sha256-{one.digest[:SHORT]} ({one.month[:7]}), stage {approval.stage}, serial {approval.serial}"
        lines.append(_row("bundle", said))
    signed = f"builder {outcome.builder[:SHORT]}, approver {outcome.approver[:SHORT]}: two keys, both verified"
    return [*lines, _row("signatures", signed)]


def _trading(outcome: Outcome) -> list[str]:
    counts = outcome.session.counts()
    did = f"{counts.orders} orders, {counts.fills} fills, {counts.partial} partly filled, {counts.timeouts} timed out"
    lines = [_row("trading", f"{did}, {counts.swaps} bundle swap{'s' if counts.swaps != 1 else ''}")]
    for total in outcome.session.pnl:
        if total.slot is None:
            fees = ", ".join(f"{fee.amount} {fee.currency}" for fee in total.fees) or "none"
            unrealized = f"{total.unrealized.amount:+}" if total.unrealized else "unknown"
            equity = total.equity.amount if total.equity else "unknown"
            money = f"realized {total.realized.amount:+}, unrealized {unrealized} {total.realized.currency}"
            lines.append(_row("P&L", f"{money}; fees {fees}; equity {equity}"))
    whole = (one for one in outcome.session.positions if one.slot is None)
    return [*lines, *(_row("position", f"{one.quantity} of {one.instrument}") for one in whole)]


def _latencies(outcome: Outcome) -> list[str]:
    lines = [_row("latency", f"{'stage':<12}{'p50 us':>10}{'p99 us':>10}{'count':>10}")]
    for one in outcome.session.status.latencies:
        numbers = f"{one.p50_ns / 1_000:>10.1f}{one.p99_ns / 1_000:>10.1f}{one.count:>10}"
        lines.append(_row("", f"{one.stage:<12}{numbers}"))
    return lines


def _proof(outcome: Outcome) -> list[str]:
    features, parity = outcome.features, outcome.parity
    counted = f"{parity.get('events', 0)} events, {parity.get('actions', 0)} actions"
    verdict = "identical" if parity.get("identical") else "NOT identical"
    rows = f"{features.equal} of {features.rows} online feature rows equal the offline table bit for bit"
    return [_row("features", rows), _row("replay", f"{counted}: {verdict}")]


def _what_next(outcome: Outcome) -> list[str]:
    newest = outcome.candidates[1].digest
    last = outcome.session.orders[0].client_order_id if outcome.session.orders else "e1-s1-1"
    return [
        _row("report", str(outcome.html)),
        _row("bundle", str(outcome.home / "bundles" / f"sha256-{newest}")),
        _row("run", str(outcome.run)),
        _row("what next", f"py_rt trace {last}      an order, back to its raw files"),
        _row("", f"py_rt parity {outcome.run.name}      the replay again"),
        _row("", "py_rt ui      the graph of assets, in a browser"),
        _row("", "py_rt --help      everything else"),
    ]

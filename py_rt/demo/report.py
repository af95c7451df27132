"""What the demo says at its end, for people and for programs."""

from __future__ import annotations

import json
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

from py_rt.bridge.vocabulary import OrderStatus
from py_rt.demo.next_steps import NextStep, next_steps
from py_rt.demo.service_file import CAPITAL

if TYPE_CHECKING:
    from collections.abc import Mapping
    from pathlib import Path

    from py_rt.bridge.records import Pnl
    from py_rt.bundle.statement import Approval
    from py_rt.demo.bundles import Candidate
    from py_rt.demo.place import Place
    from py_rt.demo.proof import FeatureMatch, Signatures
    from py_rt.demo.trading import Goals, Session

NAME_WIDTH = 12


@dataclass(frozen=True)
class Outcome:
    """Everything that one run of the demo found.

    Attributes:
        assets: the summary of the Dagster run.
        candidates: the two bundles, the one that ended trading last.
        approvals: of those that were approved, in the same order.
        signatures: what the reader says of them.
        session: trading, as it ended.
        goals: what it had to contain.
        exit_status: of the service after SIGTERM.
        features: online against offline.
        parity: verdict of the replay.
        place: where everything lies.
        seconds: the whole demo took.
    """

    assets: Mapping[str, Any]
    candidates: tuple[Candidate, Candidate]
    approvals: tuple[Approval, ...]
    signatures: Signatures
    session: Session
    goals: Goals
    exit_status: int
    features: FeatureMatch
    parity: Mapping[str, Any]
    place: Place
    seconds: float

    def failures(self) -> list[str]:
        """What did not hold."""
        found = [f"{name}: {text}" for name, text in self.session.missing(self.goals).items()]
        if not self.assets.get("success"):
            found.append("assets: the run or one of its checks failed")
        if len(self.approvals) < len(self.candidates):
            found.append(f"bundles: {len(self.approvals)} of {len(self.candidates)} were approved")
        found += [f"signatures: sha256-{digest}: {why}" for digest, why in self.signatures.refused.items()]
        if self.exit_status != 0:
            found.append(f"service: it ended with {self.exit_status} after SIGTERM, not 0")
        if self.features.equal != self.features.rows or not self.features.rows:
            found.append(f"features: {self.features.equal} of {self.features.rows} rows equal the offline table")
        if not self.parity.get("identical"):
            found.append(f"replay: {self.parity.get('error') or self.parity.get('difference') or 'it differs'}")
        return found + [f"{path} is not there" for path in (self.html, self.bundle) if not path.exists()]

    def facts(self) -> dict[str, Any]:
        """As one JSON object; money as decimal text."""
        total = self.total()
        return {
            "ok": not self.failures(),
            "failures": self.failures(),
            "assets": dict(self.assets),
            "bundles": [
                {"month": one.month, "digest": one.digest, "serial": approval.serial, "stage": approval.stage}
                for one, approval in zip(self.candidates, self.approvals, strict=False)
            ],
            "signatures": {**vars(self.signatures), "refused": dict(self.signatures.refused)},
            "model": self.model(),
            "trading": vars(self.session.counts()),
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
            "home": str(self.place.home),
            "run": str(self.place.run),
            "report": str(self.html),
            "bundle": str(self.bundle),
            "next": [step.command for step in self.next_steps()],
            "seconds": round(self.seconds, 1),
        }

    @property
    def html(self) -> Path:
        """The report of the newer bundle's backtest."""
        return self.place.home / "reports" / f"backtest_threshold-{self.candidates[1].month[:7]}.html"

    @property
    def bundle(self) -> Path:
        """The newer bundle."""
        return self.place.home / "bundles" / f"sha256-{self.candidates[1].digest}"

    def total(self) -> Pnl | None:
        """Profit and loss of the account; `None` when the service told none."""
        return next((one for one in self.session.pnl if one.slot is None), None)

    def next_steps(self) -> list[NextStep]:
        """What to type now."""
        # One that risk denied was never sent: there is nothing to walk back.
        sent = (order.client_order_id for order in self.session.orders if order.status is not OrderStatus.DENIED)
        return next_steps(self.place, next(sent, None), self.candidates[1].digest)

    def model(self) -> dict[str, Any]:
        """Out-of-sample numbers of the newer bundle's model and backtest."""
        month = self.candidates[1].month
        artifacts = self.place.home / "artifacts"
        scores = _read(artifacts / "models" / "model_lgbm" / month / "scores.json")
        backtest = _read(artifacts / "backtests" / "backtest_threshold" / month / "backtest.json")
        base = backtest.get("base", {})
        return {
            "month": month,
            **{name: scores.get(name) for name in ("auc", "log_loss", "base_log_loss")},
            **{
                name: base.get(name)
                for name in ("total_return", "annual_sharpe", "deflated_sharpe", "max_drawdown", "trials")
            },
        }


def _pnl(total: Pnl) -> dict[str, Any]:
    """Amounts as decimal text; `None` is unknown."""
    return {
        "realized": str(total.realized.amount),
        "unrealized": total.unrealized and str(total.unrealized.amount),
        "fees": [f"{fee.amount} {fee.currency}" for fee in total.fees],
        "equity": str(total.equity.amount),
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
    parts = (_offline, _bundles, _trading, _latencies, _proof, _paths, _what_next)
    lines = [line for part in parts for line in part(outcome)]
    failures = outcome.failures()
    verdict = "NOT everything held:" if failures else f"Everything held, in {outcome.seconds:.0f} s."
    return "\n".join(["", *lines, "", verdict, *(f"  - {one}" for one in failures)])


def _rows(name: str, *values: str) -> list[str]:
    """A name, and what belongs to it, below each other.

    >>> _rows("fees", "1 USDT", "2 BTC")
    ['fees        1 USDT', '            2 BTC']
    """
    return [f"{'' if place else name:<{NAME_WIDTH}}{value}" for place, value in enumerate(values)]


def _offline(outcome: Outcome) -> list[str]:
    assets, model = outcome.assets, outcome.model()
    failed = len(assets.get("checks_failed", []))
    made = f"{assets.get('materializations', 0)} materialisations of {assets.get('assets', 0)} assets"
    if assets.get("reused"):
        made += f", {assets['reused']} reused unchanged"
    passed, warned = assets.get("checks_passed", 0), assets.get("checks_warned", 0)
    checks = f"{passed} checks passed, {warned} warned, {failed} failed"
    if not passed + warned + failed:
        checks = "no check had to run again"
    lines = _rows("assets", made, checks)
    month = f"out of sample, {model['month'][:7]}:"
    if model["auc"] is not None:
        scores = f"AUC {model['auc']:.4f}, log loss {model['log_loss']:.5f} (a constant: {model['base_log_loss']:.5f})"
        lines += _rows("model", f"{month} {scores}")
    if model["total_return"] is not None:
        gained = f"return {model['total_return']:+.2%}, drawdown {model['max_drawdown']:.2%}"
        sharpe = f"Sharpe {model['annual_sharpe']:.2f} a year; deflated for {model['trials']} trials: "
        lines += _rows("backtest", f"{month} {gained}", f"{sharpe}{model['deflated_sharpe']:.4f}")
    return lines


def _bundles(outcome: Outcome) -> list[str]:
    pairs = zip(outcome.candidates, outcome.approvals, strict=False)
    values = [f"sha256-{one.digest}" for one in outcome.candidates]
    said = [f"  {one.month[:7]}: stage {approval.stage}, serial {approval.serial}" for one, approval in pairs]
    signed = outcome.signatures
    judged = "REFUSED by the service's reader" if signed.refused else "both verified by the service's own reader"
    bundle_rows = [line for pair in zip(values, said, strict=False) for line in pair]
    return [
        *_rows("bundles", *bundle_rows),
        *_rows("signatures", f"builder  {signed.builder}", f"approver {signed.approver}", judged),
    ]


def _trading(outcome: Outcome) -> list[str]:
    lines = _rows("trading", str(outcome.session.counts()))
    total = outcome.total()
    if total is None:
        lines += _rows("P&L", "unknown")
    else:
        currency = total.realized.currency
        unrealized = "unknown" if total.unrealized is None else f"{total.unrealized.amount:+,.2f}"
        fees = ", ".join(f"{fee.amount.normalize():,f} {fee.currency}" for fee in total.fees) or "none"
        lines += _rows(
            "P&L",
            f"{total.equity.amount - CAPITAL:+,.2f} {currency} of paper money: no order left this machine",
            f"realized {total.realized.amount:+,.2f}, unrealized {unrealized}, fees {fees}",
            f"equity {total.equity.amount:,.2f} of {CAPITAL:,.2f} {currency}",
        )
    whole = [f"{one.quantity} of {one.instrument}" for one in outcome.session.positions if one.slot is None]
    return lines + _rows("position", *(whole or ["none"]))


def _latencies(outcome: Outcome) -> list[str]:
    heads = f"{'stage':<12}{'p50 us':>10}{'p99 us':>10}{'count':>10}"
    rows = [
        f"{one.stage:<12}{one.p50_ns / 1_000:>10.1f}{one.p99_ns / 1_000:>10.1f}{one.count:>10,}"
        for one in outcome.session.status.latencies
    ]
    return _rows("latency", heads, *rows)


def _proof(outcome: Outcome) -> list[str]:
    features, parity = outcome.features, outcome.parity
    counted = f"{parity.get('events', 0)} events, {parity.get('actions', 0)} actions"
    verdict = "identical" if parity.get("identical") else "NOT identical"
    rows = f"{features.equal} of {features.rows} online feature rows equal the offline table bit for bit"
    return [*_rows("features", rows), *_rows("replay", f"{counted}: {verdict}")]


def _paths(outcome: Outcome) -> list[str]:
    return [
        *_rows("report", str(outcome.html)),
        *_rows("bundle", str(outcome.bundle)),
        *_rows("run", str(outcome.place.run)),
    ]


def _what_next(outcome: Outcome) -> list[str]:
    lines = [""]
    for step in outcome.next_steps():
        lines += [f"# {step.what}", step.command]
    return lines

"""What a service tells and what a run finds, made by hand: everything held, until a test says otherwise."""

from __future__ import annotations

import json
from decimal import Decimal
from typing import TYPE_CHECKING, Any

from py_rt.bridge.records import Fill, Order, Pnl, Position, ServiceStatus, SlotStatus, StageLatency
from py_rt.bridge.vocabulary import (
    ControlLevel,
    InstrumentName,
    Liquidity,
    Money,
    OrderStatus,
    OrderType,
    ServiceState,
    Side,
    TimeInForce,
)
from py_rt.bundle.statement import PAPER, Approval
from py_rt.demo.bundles import Candidate
from py_rt.demo.place import Place
from py_rt.demo.proof import FeatureMatch, Signatures
from py_rt.demo.report import Outcome
from py_rt.demo.trading import Goals, Session

if TYPE_CHECKING:
    from pathlib import Path

OLD, NEW = "a" * 64, "b" * 64
TIMEOUT_NS = 30 * 10**9
BTCUSDT = InstrumentName("binance", "BTCUSDT")


def usdt(amount: str) -> Money:
    return Money(Decimal(amount), "USDT")


def order(number: int = 1, **changed: Any) -> Order:  # noqa: ANN401
    facts: dict[str, Any] = {
        "client_order_id": f"e1-s1-{number}",
        "instrument": BTCUSDT,
        "side": Side.BUY,
        "order_type": OrderType.LIMIT,
        "price": Decimal(50_000),
        "quantity": Decimal("0.1"),
        "time_in_force": TimeInForce.GTC,
        "post_only": False,
        "reduce_only": False,
        "status": OrderStatus.ACCEPTED,
        "filled_quantity": Decimal(0),
        "average_price": None,
        "venue_order_id": str(number),
        "ts_created": 0,
        "ts_updated": 0,
        "bundle_digest": OLD,
        "reason": None,
    }
    return Order(**{**facts, **changed})


def timed_out_order(number: int = 1, **changed: Any) -> Order:  # noqa: ANN401
    return order(number, **{"status": OrderStatus.CANCELED, "ts_updated": TIMEOUT_NS, **changed})


def fill(number: int, client_order_id: str | None) -> Fill:
    quantity, fee = Decimal("0.01"), usdt("0.05")
    price, maker = Decimal(50_000), Liquidity.MAKER
    return Fill(client_order_id, 1, BTCUSDT, 0, number, Side.BUY, price, quantity, fee, maker, usdt("0"))


def status(*, orders_sent: int = 50, fills: int = 20) -> ServiceStatus:
    slot = SlotStatus(
        slot=1,
        level=ControlLevel.PAUSED,
        active=None,
        previous=None,
        warm=True,
        open_orders=0,
        orders_sent=orders_sent,
        fills=fills,
    )
    return ServiceStatus(
        instance="demo",
        run_id="demo-1",
        version="0.1.0",
        epoch=1,
        ts=0,
        ts_started=0,
        state=ServiceState.TRADING,
        slots=(slot,),
        venues=(),
        controls=(),
        journal=None,
        latencies=(StageLatency("decision", 45, 183_300, 1_351_700, 2_000_000),),
    )


def pnl(*, slot: int | None = None, unrealized: str | None = "-41.97") -> Pnl:
    known = None if unrealized is None else usdt(unrealized)
    return Pnl(slot, 0, usdt("-265.98548498"), known, (usdt("39.55077378"),), usdt("49652.49374124"), usdt("50000"))


def session(**changed: Any) -> Session:  # noqa: ANN401
    facts: dict[str, Any] = {
        "status": status(),
        "timeouts_ns": {OLD: TIMEOUT_NS},
        "digests": [OLD, NEW],
        "orders": (timed_out_order(2), order(1, filled_quantity=Decimal("0.05"))),
        "fills": (fill(1, "e1-s1-1"),),
        "positions": (
            Position(None, BTCUSDT, 0, Decimal("0.05"), usdt("2500"), usdt("0"), usdt("0"), None, None),
            Position(1, BTCUSDT, 0, Decimal("0.05"), usdt("2500"), usdt("0"), usdt("0"), None, None),
        ),
        "pnl": (pnl(slot=1), pnl()),
    }
    return Session(**{**facts, **changed})


def approval(digest: str, serial: int) -> Approval:
    return Approval(digest, 1, PAPER, Decimal(1), 0, 10, serial, "c" * 64)


def outcome(home: Path, **changed: Any) -> Outcome:  # noqa: ANN401
    """A run that held; its report, bundle and scores are made below `home`."""
    run = home / "runs" / "demo-1"
    facts: dict[str, Any] = {
        "assets": {
            "success": True,
            "materializations": 582,
            "assets": 16,
            "checks_passed": 42,
            "checks_warned": 4,
            "checks_failed": [],
        },
        "candidates": (Candidate("2021-11-01", OLD), Candidate("2021-12-01", NEW)),
        "approvals": (approval(OLD, 1), approval(NEW, 2)),
        "signatures": Signatures("d" * 64, "e" * 64, {}),
        "session": session(),
        "goals": Goals(),
        "exit_status": 0,
        "features": FeatureMatch(367, 367, 0, None),
        "parity": {"identical": True, "events": 95_930, "actions": 1_289, "lives": 1, "difference": None},
        "place": Place(home, run, run),
        "seconds": 41.26,
    }
    made = Outcome(**{**facts, **changed})
    made.html.parent.mkdir(parents=True, exist_ok=True)
    made.html.write_text("<html></html>", encoding="utf-8")
    made.bundle.mkdir(parents=True, exist_ok=True)
    scores = home / "artifacts" / "models" / "model_lgbm" / "2021-12-01" / "scores.json"
    scores.parent.mkdir(parents=True, exist_ok=True)
    scores.write_text(json.dumps({"auc": 0.5175, "log_loss": 0.69217, "base_log_loss": 0.69228}), encoding="utf-8")
    return made

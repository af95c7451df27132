"""Both languages write the same bytes: every command of the golden file, its body and its signed message."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING

import pytest
from cryptography.hazmat.primitives.asymmetric import ec

from py_rt.bridge.commands import CommandClient, Scope, Signer
from py_rt.bridge.vocabulary import Side
from py_rt.bridge.wire.v1 import commands_pb2

if TYPE_CHECKING:
    from collections.abc import Callable

GOLDEN = Path(__file__).parent / "commands" / "golden.txt"
EXPIRES = 1_700_000_060_000_000_000
INSTANCE = "paper-1"
BTCUSDT = "binance/BTCUSDT"

# The same words as native/messaging/tests/messages/samples.rs.
COMMANDS: dict[str, Callable[[CommandClient], object]] = {
    "deploy": lambda client: client.deploy(1, "ab" * 32),
    "rollback": lambda client: client.rollback(1),
    "set_parameter": lambda client: client.set_parameter(1, "entry_threshold", "0.620"),
    "set_parameter_negative": lambda client: client.set_parameter(65_535, "limit_offset_bps", "-0.00000001"),
    "start_all": lambda client: client.start(Scope.parse("all")),
    "pause_venue": lambda client: client.pause(Scope.parse("venue:binance")),
    "cancel_instrument": lambda client: client.cancel(Scope.parse(f"instrument:{BTCUSDT}")),
    "cancel_order": lambda client: client.cancel(Scope.parse("order:e3-s1-42")),
    "reduce_only_slot_zero": lambda client: client.reduce_only(Scope.parse("slot:0")),
    "flatten": lambda client: client.flatten(Scope.everything(), max_slippage_bps=50),
    "flatten_without_slippage": lambda client: client.flatten(Scope.instrument(BTCUSDT), max_slippage_bps=0),
    "kill": lambda client: client.kill(Scope.everything()),
    "rearm": lambda client: client.rearm(Scope.slot(0), reason="venue is back, books agree"),
    "manual_order_limit": lambda client: client.manual_order(1, BTCUSDT, Side.SELL, "0.25", price="61837.63"),
    "manual_order_market": lambda client: client.manual_order(0, BTCUSDT, Side.BUY, "0.25"),
    "manual_cancel": lambda client: client.manual_cancel("e3-s1-42"),
    "query_status": lambda client: client.status(),
    "query_orders": lambda client: client.orders(open_only=True, limit=1000),
    "query_orders_of_slot_zero": lambda client: client.orders(0, limit=1),
    "query_positions": lambda client: client.positions(),
    "query_fills": lambda client: client.fills(1, limit=20),
    "query_pnl": lambda client: client.pnl(),
    "snapshot": lambda client: client.snapshot(),
    "tell_slow": lambda client: client.tell_slow(
        BTCUSDT, "funding_rate", 0.0001, valid_from=1_700_000_000_000_000_000, max_age_s=32_400
    ),
    "tell_slow_unknown": lambda client: client.tell_slow(
        BTCUSDT, "sentiment", None, valid_from=1_700_000_000_000_000_000, max_age_s=32_400
    ),
}
QUERIES = {"status", "orders", "positions", "fills", "pnl", "snapshot"}
ROLE_SEEDS = {"viewer": 1, "operator": 2, "deployer": 3, "killer": 4}


class Recorder(CommandClient):
    """Keeps what would be sent, and answers it."""

    sent: commands_pb2.Command

    def _executed(self, name: str, command: commands_pb2.Command) -> commands_pb2.Ack:
        self.sent = command
        answer = name.removeprefix("query_")
        ack = commands_pb2.Ack(outcome=commands_pb2.OUTCOME_APPLIED)
        if answer in QUERIES:
            getattr(ack, answer).SetInParent()
            if answer in {"status", "snapshot"}:
                status = ack.status if answer == "status" else ack.snapshot.status
                status.state = commands_pb2.SERVICE_STATE_TRADING
        return ack


@pytest.fixture
def recorder(tmp_path: Path) -> Recorder:
    tmp_path.chmod(0o700)
    return Recorder(f"ipc://{tmp_path}/command.sock", signer(1), INSTANCE)


def signer(seed: int) -> Signer:
    return Signer(ec.derive_private_key(int.from_bytes(bytes([seed]) * 32, "big"), ec.SECP256R1()))


def golden() -> list[tuple[str, bytes, bytes]]:
    lines = [line.split() for line in GOLDEN.read_text(encoding="utf-8").splitlines() if not line.startswith("#")]
    return [(name, bytes.fromhex(body), bytes.fromhex(message)) for name, body, message in lines]


def test_the_file_holds_every_command_of_the_schema() -> None:
    assert [name for name, _, _ in golden()] == list(COMMANDS)
    kinds = {commands_pb2.Command.FromString(body).WhichOneof("action") for _, body, _ in golden()}
    assert kinds == {field.name for field in commands_pb2.Command.DESCRIPTOR.oneofs_by_name["action"].fields}


@pytest.mark.parametrize("name", COMMANDS)
def test_a_command_has_the_bytes_that_rust_gives_it(recorder: Recorder, name: str) -> None:
    counter, (_, body, message) = next(entry for entry in enumerate(golden(), start=1) if entry[1][0] == name)
    COMMANDS[name](recorder)
    recorder.sent.command_id = f"golden-{counter}"
    assert recorder.sent.SerializeToString(deterministic=True) == body
    claimed = commands_pb2.SignedCommand.FromString(message)
    keys = [signer(seed) for seed in ROLE_SEEDS.values()]
    (key,) = (key for key in keys if key.key_id == claimed.key_id.hex())
    assert key.sign(body, counter=counter, expires=EXPIRES, instance=INSTANCE) == message
    recorder.close()

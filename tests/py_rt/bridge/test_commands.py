"""What the client does when the other side is slow, silent, gone, or talks nonsense: a service made of a few lines."""

from __future__ import annotations

import socket as sockets
import threading
import time
from typing import TYPE_CHECKING, Self

import pytest
import zmq
from cryptography.hazmat.primitives.asymmetric import ec

from py_rt.bridge.commands import CommandClient, CommandError, NoAnswerError, Scope, Signer, UnreachableError
from py_rt.bridge.vocabulary import MessageError, Outcome
from py_rt.bridge.wire.v1 import commands_pb2

if TYPE_CHECKING:
    from collections.abc import Callable
    from pathlib import Path
    from types import TracebackType

    Answers = Callable[[int, commands_pb2.SignedCommand], list[bytes]]

TURN_MS = 20
APPLIED, ACCEPTED = commands_pb2.OUTCOME_APPLIED, commands_pb2.OUTCOME_ACCEPTED
PATIENCE_S = 20.0
SHORT_S = 0.2


def ack(request: commands_pb2.SignedCommand, outcome: commands_pb2.Outcome = APPLIED, shift: int = 0) -> bytes:
    command_id = commands_pb2.Command.FromString(request.body).command_id
    counter = request.counter + shift
    message = commands_pb2.Ack(key_id=request.key_id, counter=counter, command_id=command_id, outcome=outcome)
    return message.SerializeToString()


class Scripted:
    """Answers the n-th message with what the script says."""

    def __init__(self, folder: Path, answers: Answers) -> None:
        folder.chmod(0o700)
        self.endpoint = f"ipc://{folder}/command.sock"
        self.received: list[bytes] = []
        self.answers = answers
        self.ending = threading.Event()
        self.context: zmq.Context[zmq.Socket[bytes]] = zmq.Context()
        self.socket = self.context.socket(zmq.ROUTER)
        self.socket.linger = 0
        self.socket.bind(self.endpoint)
        self.thread = threading.Thread(target=self.serve)

    def serve(self) -> None:
        while not self.ending.is_set():
            if self.socket.poll(TURN_MS):
                peer, message = self.socket.recv_multipart()
                self.received.append(message)
                for answer in self.answers(len(self.received), commands_pb2.SignedCommand.FromString(message)):
                    self.socket.send_multipart([peer, answer])

    def client(self, timeout_s: float = PATIENCE_S) -> CommandClient:
        signer = Signer(ec.generate_private_key(ec.SECP256R1()))
        return CommandClient(self.endpoint, signer, "paper-1", timeout_s=timeout_s)

    def __enter__(self) -> Self:
        self.thread.start()
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self.ending.set()
        self.thread.join()
        self.socket.close(linger=0)
        self.context.term()


def test_a_lost_answer_is_asked_for_with_the_very_same_bytes(tmp_path: Path) -> None:
    with Scripted(tmp_path, lambda time_, request: [] if time_ == 1 else [ack(request)]) as service:
        with service.client(SHORT_S) as client:
            assert client.kill(Scope.everything()).outcome is Outcome.APPLIED
        assert len(service.received) == 2
        assert service.received[0] == service.received[1]


def test_after_its_acceptance_the_outcome_is_waited_for(tmp_path: Path) -> None:
    def answers(time_: int, request: commands_pb2.SignedCommand) -> list[bytes]:
        return [ack(request, ACCEPTED), ack(request, ACCEPTED), ack(request)][: 2 if time_ == 1 else 3]

    with Scripted(tmp_path, answers) as service, service.client(SHORT_S) as client:
        assert client.kill(Scope.everything()).outcome is Outcome.APPLIED


def test_a_service_that_hangs_is_told_from_one_that_is_not_there(tmp_path: Path) -> None:
    tmp_path.chmod(0o700)
    signer, endpoint = Signer(ec.generate_private_key(ec.SECP256R1())), f"ipc://{tmp_path}/command.sock"
    client = CommandClient(endpoint, signer, "paper-1", timeout_s=SHORT_S)
    with client, sockets.socket(sockets.AF_UNIX, sockets.SOCK_STREAM) as stopped:
        stopped.bind(f"{tmp_path}/command.sock")
        stopped.listen()  # and never takes a connection, as a process that was sent SIGSTOP
        with pytest.raises(UnreachableError, match=r"does not answer within 0\.2 s: .* Nothing was sent\.$"):
            client.status()
        stopped.close()
        with pytest.raises(UnreachableError, match=r"no service listens at .* Nothing was sent\.$"):
            client.status()


def test_an_outcome_that_never_comes_is_said_to_be_unknown(tmp_path: Path) -> None:
    with Scripted(tmp_path, lambda _, request: [ack(request, ACCEPTED)]) as service:
        with service.client(SHORT_S) as client, pytest.raises(NoAnswerError, match="accepted, but its outcome") as lost:
            client.kill(Scope.everything())
        assert set(service.received) == {lost.value.pending.message}
        assert len(service.received) == 3


def test_answers_to_something_else_are_dropped(tmp_path: Path) -> None:
    def answers(_: int, request: commands_pb2.SignedCommand) -> list[bytes]:
        other = commands_pb2.SignedCommand.FromString(request.SerializeToString())
        other.key_id = bytes(32)
        failed = commands_pb2.OUTCOME_FAILED
        return [ack(request, failed, shift=-1), ack(request, failed, shift=1), ack(other, failed), ack(request)]

    with Scripted(tmp_path, answers) as service, service.client() as client:
        assert client.kill(Scope.everything()).outcome is Outcome.APPLIED


def test_an_answer_that_could_not_name_the_command_is_taken_as_ours(tmp_path: Path) -> None:
    nameless = commands_pb2.Ack(
        outcome=commands_pb2.OUTCOME_REFUSED, refusal=commands_pb2.REFUSAL_REASON_MALFORMED, text="no"
    )
    with (
        Scripted(tmp_path, lambda *_: [nameless.SerializeToString()]) as service,
        service.client() as client,
        pytest.raises(CommandError, match=r"kill refused \(malformed\): no"),
    ):
        client.kill(Scope.everything())


@pytest.mark.parametrize("answer", [b"\xff\xff", commands_pb2.Ack(text="?").SerializeToString()])
def test_nonsense_is_an_error_and_not_an_outcome(tmp_path: Path, answer: bytes) -> None:
    with (
        Scripted(tmp_path, lambda *_: [answer]) as service,
        service.client() as client,
        pytest.raises(MessageError),
    ):
        client.kill(Scope.everything())


def test_an_answer_of_another_kind_is_refused(tmp_path: Path) -> None:
    with (
        Scripted(tmp_path, lambda _, request: [ack(request)]) as service,
        service.client() as client,
        pytest.raises(MessageError, match="answered query_pnl with nothing"),
    ):
        client.pnl()


def test_counters_rise_though_the_clock_stands(tmp_path: Path) -> None:
    with Scripted(tmp_path, lambda _, request: [ack(request)]) as service:
        now = time.time_ns()
        signer = Signer(ec.generate_private_key(ec.SECP256R1()))
        with CommandClient(service.endpoint, signer, "paper-1", timeout_s=PATIENCE_S, now_ns=lambda: now) as client:
            for _ in range(3):
                client.pause(Scope.slot(1))
        sent = [commands_pb2.SignedCommand.FromString(message) for message in service.received]
    assert [message.counter - now for message in sent] == [0, 1, 2]
    # Valid for as long as the client may go on asking, and a margin.
    assert {message.expires - now for message in sent} == {int((3 * PATIENCE_S + 30) * 10**9)}


@pytest.mark.parametrize("mode", [0o755, 0o770, 0o701])
def test_a_directory_that_others_may_enter_is_refused(tmp_path: Path, mode: int) -> None:
    tmp_path.chmod(mode)
    signer = Signer(ec.generate_private_key(ec.SECP256R1()))
    with pytest.raises(UnreachableError, match="somebody else could answer there"):
        CommandClient(f"ipc://{tmp_path}/command.sock", signer, "paper-1")


@pytest.mark.parametrize("endpoint", ["tcp://127.0.0.1:1", "inproc://x", "ipc://relative", "ipc://@abstract", "/tmp/x"])
def test_only_ipc_is_an_endpoint(endpoint: str) -> None:
    signer = Signer(ec.generate_private_key(ec.SECP256R1()))
    with pytest.raises(UnreachableError, match="only ipc:// and an absolute path"):
        CommandClient(endpoint, signer, "paper-1")


def test_a_directory_that_is_not_there_asks_whether_the_service_runs(tmp_path: Path) -> None:
    signer = Signer(ec.generate_private_key(ec.SECP256R1()))
    with pytest.raises(UnreachableError, match=r"is the service running\?"):
        CommandClient(f"ipc://{tmp_path}/absent/command.sock", signer, "paper-1")


@pytest.mark.parametrize("timeout_s", [0, -1, 601, float("nan")])
def test_a_timeout_has_bounds(tmp_path: Path, timeout_s: float) -> None:
    signer = Signer(ec.generate_private_key(ec.SECP256R1()))
    with pytest.raises(CommandError, match="timeout_s"):
        CommandClient(f"ipc://{tmp_path}/command.sock", signer, "paper-1", timeout_s=timeout_s)

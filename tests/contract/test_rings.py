"""Shared memory between the two languages: equal values, the layout as written down, and nothing believed unjudged.

The service is a real other process. Hostile memory is made here in Python, from the layout's map in
`native/ipc/src/layout.rs` and the exchange's in `native/ipc/src/shared_memory/wire.rs`, and served by this process.
"""

from __future__ import annotations

import fcntl
import mmap
import os
import socket as sockets
import struct
import threading
import time
from concurrent.futures import ThreadPoolExecutor
from typing import TYPE_CHECKING, Self

import numpy as np
import py_rt_core
import pytest
from py_rt_core import CoreError, FlagsReader, RingReader, TableReader

from tests.py_rt.bridge.feed import Feed, sample

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator
    from pathlib import Path
    from types import TracebackType

    import numpy.typing as npt

PATIENCE_MS = 60_000
ROW = 128
HEADER = 384
CAPACITY = 64
# Byte offsets of the header's fields.
MAGIC, LAYOUT_HASH, KIND, SLOT_BYTES, SLOTS, EPOCH, CURSOR, HEARTBEAT = 0, 8, 24, 32, 40, 56, 128, 256
QUESTION = struct.Struct("<8sII48s")
ANSWER = struct.Struct("<8sII1008s")
PROTOCOL = b"PYRTSEG1"
SHRINK, GROW, SEAL, FUTURE_WRITE = fcntl.F_SEAL_SHRINK, fcntl.F_SEAL_GROW, fcntl.F_SEAL_SEAL, 0x10


@pytest.fixture
def socket(tmp_path: Path) -> Path:
    return tmp_path / "run" / "segments.sock"


@pytest.fixture
def feed(socket: Path) -> Iterator[Feed]:
    with Feed(socket, capacity=CAPACITY) as feed:
        yield feed


def same(row: npt.NDArray[np.void], expected: dict[str, object]) -> None:
    """Compares every field of one row, putting halves of 128 bits together."""
    names = set(row.dtype.names or ())
    for name, value in expected.items():
        if name in names:
            found = row[name].tolist()
            assert found == (value.encode() if isinstance(value, str) else value), name
        else:
            assert (int(row[f"{name}_high"]) << 64) + int(row[f"{name}_low"]) == value, name
    compared = {name.removesuffix("_low").removesuffix("_high") for name in names}
    assert compared == expected.keys() | {"kind"}


def test_every_record_arrives_with_equal_values(socket: Path) -> None:
    codes = {name: code for name, code, _ in py_rt_core.record_kinds()}
    with Feed(socket, capacity=1024) as feed, RingReader(socket, "market", "first") as reader:
        feed.publish(900)
        arrays, found = reader.poll(1_000)
        assert (found.records, found.missed, found.writer_alive, found.epoch) == (900, 0, True, 1)
    assert {kind: len(rows) for kind, rows in arrays.items()} == dict.fromkeys(codes, 150)
    for number in range(900):
        kind, expected = sample(number)
        row = arrays[kind][number // 6]
        same(row, expected)
        assert row["kind"] == codes[kind]


def test_the_types_are_those_of_the_description() -> None:
    for name, _, fields in py_rt_core.record_kinds():
        dtype = py_rt_core.record_dtype(name)
        assert dtype.itemsize == ROW
        assert dtype.names == tuple(field for field, *_ in fields)
        for field, offset, numpy_type, unit in fields:
            assert dtype.fields is not None
            assert dtype.fields[field][:2] == (np.dtype(numpy_type), offset)
            assert unit
    with pytest.raises(CoreError, match='kind "candle" does not exist: the kinds are top_of_book, trade, bar'):
        py_rt_core.record_dtype("candle")


def test_rows_of_the_callers_own_are_filled_in_order_and_used_again(feed: Feed, socket: Path) -> None:
    rows = np.zeros((24, ROW), np.uint8)
    with RingReader(socket, "market", "first") as reader:
        feed.publish(30)
        assert reader.poll_into(rows).records == 24
        assert rows[:, :8].copy().view("<u8").ravel().tolist() == list(range(24))
        for number, row in enumerate(rows):
            kind, expected = sample(number)
            same(row.view(py_rt_core.record_dtype(kind))[0], expected)
        assert reader.poll_into(rows, timeout_ms=PATIENCE_MS).records == 6
        assert rows[:, :8].copy().view("<u8").ravel().tolist() == [*range(24, 30), *range(6, 24)]
        assert (reader.position, reader.backlog, reader.capacity, reader.name) == (30, 0, CAPACITY, "market")
        assert reader.writer_pid == feed.process.pid


def test_rows_that_cannot_be_filled_are_refused(feed: Feed, socket: Path) -> None:
    read_only = np.zeros((4, ROW), np.uint8)
    read_only.flags.writeable = False
    strided = np.zeros((4, 2 * ROW), np.uint8)[:, ::2]
    busy = np.zeros((4, ROW), np.uint8)
    with RingReader(socket, "market", "newest") as reader, ThreadPoolExecutor(1) as pool:
        filling = pool.submit(reader.poll_into, busy, PATIENCE_MS)
        with pytest.raises(CoreError, match="that nobody else is filling"):  # noqa: PT012  # either thread may be second
            while not filling.done():
                reader.poll_into(busy)
            filling.result()
        feed.publish(1)
    with RingReader(socket, "market", "first") as reader:
        for rows in (read_only, strided, np.zeros(ROW, np.int8), [0] * ROW, None):
            with pytest.raises(CoreError, match="rows must be a writable, contiguous uint8 array"):
                reader.poll_into(rows)  # type: ignore[arg-type]
        for size in (0, ROW - 1, ROW + 1):
            with pytest.raises(CoreError, match=f"{size} bytes does not hold whole rows"):
                reader.poll_into(np.zeros(size, np.uint8))
        for count in (0, 1 << 21):
            with pytest.raises(CoreError, match="max_records"):
                reader.poll(count)
        assert reader.poll()[1].records == 1, "nothing was lost by refusing"


def test_threads_share_a_reader_without_losing_or_doubling_a_record(socket: Path) -> None:
    count, threads = 20_000, 4
    taken: list[list[int]] = [[] for _ in range(threads)]
    with Feed(socket, capacity=1 << 15) as feed, RingReader(socket, "market", "first") as reader:

        def take(mine: list[int]) -> None:
            while sum(map(len, taken)) < count:
                arrays, _ = reader.poll(7, timeout_ms=1)
                mine.extend(int(index) for rows in arrays.values() for index in rows["index"])

        readers = [threading.Thread(target=take, args=(mine,)) for mine in taken]
        for thread in readers:
            thread.start()
        feed.publish(count)
        for thread in readers:
            thread.join()
        assert reader.missed == 0
    assert sorted(index for mine in taken for index in mine) == list(range(count))


def test_a_table_shows_the_latest_of_each_entry(feed: Feed, socket: Path) -> None:
    table = TableReader(socket, "positions")
    assert (table.entries, table.epoch, table.writer_alive, table.name) == (4, 1, True, "positions")
    assert table.read(0) is None
    assert table.snapshot() == {}
    for entry, number in ((1, 11), (3, 12), (1, 13)):
        feed.ask(f"put {entry} {number}")
    row = table.read(1)
    assert row is not None
    assert row.dtype == py_rt_core.record_dtype("position")
    same(row[0], sample(17)[1] | position(13, version=2))
    entries, rows = table.snapshot()["position"]
    assert (entries.tolist(), rows["index"].tolist()) == ([1, 3], [2, 1])
    same(rows[1], position(12, version=1))
    with pytest.raises(CoreError, match="entry 4 is not in this table: its entries are 0 to 3"):
        table.read(4)
    feed.kill()
    # A heartbeat is fresh for 10 ms after the last one; then the kernel is asked.
    deadline = time.monotonic() + PATIENCE_MS / 1000
    while table.writer_alive:
        assert time.monotonic() < deadline, "a dead writer is noticed"
    assert table.read(3) is not None, "the last state stays"


def position(number: int, version: int) -> dict[str, object]:
    """The position that the other process makes of any number."""
    ts_event = 1_632_700_000_000_000_000 + number * 1_000_000
    price = 4_000_000_000_000 + number * 1_000
    return {
        "index": version, "instrument": number % 7, "slot": 1 + number % 3, "ts_event": ts_event,
        "ts_received": ts_event + 250, "quantity": -number, "average_entry_price": price, "mark_price": price + 3,
        "realized_pnl": number - (1 << 80), "unrealized_pnl": (1 << 81) - number, "fees": number,
        "equity": number - 2**127, "open_orders": number % 5,
    }  # fmt: skip


def test_the_stopping_ladder_is_seen_at_once(feed: Feed, socket: Path) -> None:
    flags = FlagsReader(socket, "stops")
    assert (flags.entries, flags.epoch, flags.writer_alive, flags.name) == (4, 1, True, "stops")
    assert flags.get(0) == ()
    feed.ask("raise 0 kill")
    feed.ask("raise 0 pause")
    feed.ask("raise 2 reduce-only")
    assert (flags.get(0), flags.get(1), flags.get(2)) == (("paused", "killed"), (), ("reduce-only",))
    feed.ask("lower 0 kill")
    assert flags.get(0) == ("paused",)
    with pytest.raises(CoreError, match="flag entry 4 does not exist"):
        flags.get(4)
    feed.finish()
    assert (flags.get(0), flags.writer_alive) == (("paused",), False)


def fetch(socket: Path, name: str) -> int:
    """Asks the service for a segment as any program could; its descriptor."""
    with sockets.socket(sockets.AF_UNIX) as client:
        client.connect(str(socket))
        client.sendall(QUESTION.pack(PROTOCOL, len(name), 0, name.encode()))
        first, descriptors, *_ = sockets.recv_fds(client, ANSWER.size, 1)
        while len(first) < ANSWER.size:
            first += client.recv(ANSWER.size - len(first))
    assert ANSWER.unpack(first)[:2] == (PROTOCOL, 1)
    return descriptors[0]


def test_the_memory_is_laid_out_as_written_down_and_cannot_be_written(feed: Feed, socket: Path) -> None:
    feed.publish(CAPACITY + 5)
    fd = fetch(socket, "market")
    try:
        memory = os.pread(fd, HEADER + CAPACITY * ROW, 0)
        word = struct.Struct("<Q")
        assert memory[:8] == b"PYRTSHM1"
        at = {name: word.unpack_from(memory, name)[0] for name in (KIND, SLOT_BYTES, SLOTS, EPOCH, CURSOR)}
        assert at == {KIND: 1, SLOT_BYTES: ROW, SLOTS: CAPACITY, EPOCH: 1, CURSOR: CAPACITY + 5}
        for number in range(5, CAPACITY + 5):
            slot = memory[HEADER + number % CAPACITY * ROW :][:ROW]
            assert word.unpack_from(slot)[0] == 2 * number + 2
            kind, expected = sample(number)
            row = np.frombuffer(word.pack(number) + slot[8:], py_rt_core.record_dtype(kind))[0]
            same(row, expected)
        with pytest.raises(PermissionError):
            mmap.mmap(fd, HEADER)
        with pytest.raises(PermissionError):
            os.pwrite(fd, b"x", 0)
        with pytest.raises(PermissionError):
            os.truncate(fd, 0)
    finally:
        os.close(fd)


class Impostor:
    """Serves memory of its own making, as somebody of the same user could."""

    def __init__(self, socket: Path, header: bytes, *, size: int | None = None, seals: int | None = None) -> None:
        self.fd = os.memfd_create("impostor", os.MFD_CLOEXEC | os.MFD_ALLOW_SEALING)
        size = HEADER + CAPACITY * ROW if size is None else size
        os.ftruncate(self.fd, size)
        self.memory = mmap.mmap(self.fd, max(size, HEADER)) if size >= HEADER else mmap.mmap(-1, HEADER)
        self.memory[:HEADER] = header
        self.put(HEARTBEAT, time.monotonic_ns())
        wanted = SHRINK | GROW | SEAL | FUTURE_WRITE if seals is None else seals
        fcntl.fcntl(self.fd, fcntl.F_ADD_SEALS, wanted)
        self.answer = ANSWER.pack(PROTOCOL, 1, 0, b"")
        self.listener = sockets.socket(sockets.AF_UNIX)
        self.listener.bind(str(socket))
        self.listener.listen()
        self.thread = threading.Thread(target=self._serve)
        self.thread.start()

    def _serve(self) -> None:
        while True:
            try:
                client, _ = self.listener.accept()
            except OSError:
                return
            with client:
                client.recv(QUESTION.size)
                if self.answer:
                    sockets.send_fds(client, [self.answer], [self.fd])

    def put(self, offset: int, word: int) -> None:
        """Writes one word."""
        struct.pack_into("<Q", self.memory, offset, word)

    def publish(self, number: int, payload: bytes, *, sequence: int | None = None) -> None:
        """Puts a record into its slot."""
        start = HEADER + number % CAPACITY * ROW
        self.memory[start + 8 : start + ROW] = payload
        self.put(start, 2 * number + 2 if sequence is None else sequence)
        self.put(CURSOR, number + 1)

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, raised: BaseException | None, trace: TracebackType | None
    ) -> None:
        self.listener.shutdown(sockets.SHUT_RDWR)
        self.thread.join()
        self.listener.close()
        self.memory.close()
        os.close(self.fd)


@pytest.fixture
def true_segment(feed: Feed, socket: Path) -> tuple[bytes, list[bytes]]:
    """The header of an honest ring, and the payloads of its first records."""
    feed.publish(6)
    fd = fetch(socket, "market")
    memory = os.pread(fd, HEADER + CAPACITY * ROW, 0)
    os.close(fd)
    header = bytearray(memory[:HEADER])
    struct.pack_into("<Q", header, CURSOR, 0)
    return bytes(header), [memory[HEADER + number * ROW + 8 :][: ROW - 8] for number in range(6)]


def altered(offset: int, word: int) -> Callable[[bytes], bytes]:
    """A change of one word of a header."""
    return lambda header: header[:offset] + struct.pack("<Q", word) + header[offset + 8 :]


@pytest.mark.parametrize(
    ("change", "size", "seals", "reason"),
    [
        (bytes, HEADER + CAPACITY * ROW - 8, None, "its header implies 8576"),
        (bytes, HEADER + 2 * CAPACITY * ROW, None, "its header implies 8576"),
        (bytes, 10, None, "its size is 10 bytes, allowed are 384 to"),
        (altered(SLOTS, 1 << 40), None, None, "states 1099511627776 slots"),
        (altered(SLOTS, 0), None, None, "states 0 slots"),
        (altered(SLOTS, 65), None, None, "states 65 slots"),
        (altered(SLOT_BYTES, 1 << 60), None, None, "slots of 1152921504606846976 bytes"),
        (altered(MAGIC, 0), None, None, "is not a segment of py_rt"),
        (altered(LAYOUT_HASH, 1), None, None, "from the same package"),
        (altered(KIND, 2), None, None, "it is of kind 2"),
        (altered(CURSOR, 1 << 63), None, None, "cursor 9223372036854775808 contradicts"),
        (lambda header: b"\xff" * len(header), None, None, "is not a segment of py_rt"),
        (bytes, None, SHRINK, "not sealed as it must be"),
        (bytes, None, SHRINK | GROW | FUTURE_WRITE, "not sealed as it must be"),
    ],
)
def test_memory_that_is_no_ring_is_refused(
    tmp_path: Path,
    true_segment: tuple[bytes, list[bytes]],
    change: Callable[[bytes], bytes],
    size: int | None,
    seals: int | None,
    reason: str,
) -> None:
    hostile = tmp_path / "hostile.sock"
    with (
        Impostor(hostile, change(true_segment[0]), size=size, seals=seals),
        pytest.raises(CoreError, match=reason),
    ):
        RingReader(hostile, "market")


@pytest.mark.parametrize(
    ("answer", "reason"),
    [
        (b"", "cannot exchange with"),
        (b"\x00" * ANSWER.size, "answered with bytes that are no answer"),
        (ANSWER.pack(PROTOCOL, 9, 0, b""), "answered with bytes that are no answer"),
        (ANSWER.pack(PROTOCOL, 2, 1 << 31, b""), "answered with bytes that are no answer"),
        (ANSWER.pack(PROTOCOL, 1, 0, b"")[:-1], "cannot exchange with"),
    ],
)
def test_an_answer_that_is_none_is_refused(
    tmp_path: Path, true_segment: tuple[bytes, list[bytes]], answer: bytes, reason: str
) -> None:
    hostile = tmp_path / "hostile.sock"
    with Impostor(hostile, true_segment[0]) as impostor:
        impostor.answer = answer
        with pytest.raises(CoreError, match=reason):
            RingReader(hostile, "market")


def test_a_record_that_is_none_is_refused_after_those_before_it(
    tmp_path: Path, true_segment: tuple[bytes, list[bytes]]
) -> None:
    header, payloads = true_segment
    hostile = tmp_path / "hostile.sock"
    bad_kind = struct.pack("<H", 77) + payloads[1][2:]
    bad_price = payloads[1][:32] + struct.pack("<q", -1) + payloads[1][40:]
    spare_bits = payloads[1][:-1] + b"\x01"
    for garbage, reason in (
        (bad_kind, "record kind 77 is unknown"),
        (bad_price, "field price of a Trade record"),
        (spare_bits, "bits that belong to no field"),
    ):
        with Impostor(hostile, header) as impostor, RingReader(hostile, "market", "first") as reader:
            assert reader.writer_alive
            for number, payload in enumerate([payloads[0], garbage, payloads[2]]):
                impostor.publish(number, payload)
            arrays, found = reader.poll()
            assert (found.records, list(arrays)) == (1, ["top_of_book"]), "what came before is good"
            rows = np.zeros((4, ROW), np.uint8)
            for _ in range(2):
                with pytest.raises(CoreError, match=f"ring market is corrupt: record 1: .*{reason}"):
                    reader.poll(timeout_ms=PATIENCE_MS)
                with pytest.raises(CoreError, match="ring market is corrupt: record 1"):
                    reader.poll_into(rows)
            assert reader.reattach() == "same"
        hostile.unlink()


def test_a_ring_that_contradicts_itself_is_refused(tmp_path: Path, true_segment: tuple[bytes, list[bytes]]) -> None:
    header, payloads = true_segment
    hostile = tmp_path / "hostile.sock"
    with Impostor(hostile, header) as impostor, RingReader(hostile, "market", "first") as reader:
        impostor.publish(0, payloads[0], sequence=7)
        with pytest.raises(CoreError, match="ring market is corrupt: cursor 1 contradicts"):
            reader.poll(timeout_ms=PATIENCE_MS)
        impostor.publish(0, payloads[0])
        assert reader.poll()[1].records == 1
        impostor.put(EPOCH, 9)
        with pytest.raises(CoreError, match="changed its epoch from 1 to 9 in place"):
            reader.poll(timeout_ms=PATIENCE_MS)


def test_a_writer_that_claims_and_does_not_write_costs_no_more_than_the_wait(
    tmp_path: Path, true_segment: tuple[bytes, list[bytes]]
) -> None:
    hostile = tmp_path / "hostile.sock"
    with Impostor(hostile, true_segment[0]) as impostor, RingReader(hostile, "market", "first") as reader:
        impostor.put(CURSOR, 50)
        assert reader.backlog == 50
        arrays, found = reader.poll(timeout_ms=20)
        assert (arrays, found.records, found.missed) == ({}, 0, 0)
        # A heartbeat of the future is no heartbeat.
        impostor.put(HEARTBEAT, 2**63)
        assert not reader.writer_alive
        assert not reader.poll(timeout_ms=PATIENCE_MS)[1].writer_alive

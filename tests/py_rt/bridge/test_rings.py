"""The facade over shared memory, against a real other process that publishes, falls silent, dies and comes back."""

from __future__ import annotations

import os
import re
import signal
import threading
import time
from concurrent.futures import ThreadPoolExecutor
from typing import TYPE_CHECKING

import numpy as np
import polars as pl
import pytest

from py_rt.bridge.market_data import KINDS, Batch, MarketDataReader, RingError, read_table
from tests.py_rt.bridge.feed import Feed, sample

if TYPE_CHECKING:
    from collections.abc import Iterator
    from pathlib import Path

# Longest that anything here waits for another process; nothing waits so long unless it is broken.
PATIENCE_MS = 60_000
PATIENCE_S = PATIENCE_MS / 1000


@pytest.fixture
def socket(tmp_path: Path) -> Path:
    return tmp_path / "run" / "segments.sock"


@pytest.fixture
def feed(socket: Path) -> Iterator[Feed]:
    with Feed(socket) as feed:
        yield feed


def numbers(batch: Batch) -> list[int]:
    """Indexes of a batch's records, of all kinds, in order."""
    return sorted(int(index) for rows in batch.arrays.values() for index in rows["index"])


def test_iterating_gives_everything_by_kind_and_ends_when_nothing_comes(feed: Feed, socket: Path) -> None:
    feed.publish(60)
    with MarketDataReader(socket, start="first", max_records=25, idle_ms=1) as reader:
        batches = list(reader)
        assert [batch.records for batch in batches] == [25, 25, 10]
        assert [number for batch in batches for number in numbers(batch)] == list(range(60))
        for batch in batches:
            assert batch.arrays.keys() == KINDS.keys()
            assert all(rows.dtype == KINDS[kind].dtype for kind, rows in batch.arrays.items())
        feed.publish(1)
        assert [numbers(batch) for batch in reader] == [[60]], "iterating again goes on"
        assert (reader.missed, reader.restarts, reader.epoch) == (0, 0, 1)


def test_a_reader_begins_where_it_is_told(feed: Feed, socket: Path) -> None:
    feed.publish(100)
    with MarketDataReader(socket, start="newest") as newest, MarketDataReader(socket) as oldest:
        with MarketDataReader(socket, start="first") as first:
            batch = first.read()
            assert (batch.missed, numbers(batch)) == (44, list(range(44, 100))), "7/8 of 64 slots are safe"
        assert (oldest.read().missed, newest.read().records) == (0, 0)
        feed.publish(1)
        assert numbers(newest.read()) == [100]


def test_a_frame_has_the_exact_values_in_columns_of_integers(feed: Feed, socket: Path) -> None:
    feed.publish(60)
    with MarketDataReader(socket, start="first") as reader:
        batch = reader.read()
    for kind in KINDS:
        expected = [fields for said, fields in map(sample, range(60)) if said == kind]
        frame = batch.frame(kind)
        assert frame.select(expected[0].keys()).to_dicts() == expected
        assert set(frame.columns) == expected[0].keys()
    floats = {
        f"{kind}.{name}"
        for kind, described in KINDS.items()
        for name, dtype in described.frame().schema.items()
        if dtype.is_float() or dtype.is_nested()
    }
    assert floats == {"signal.score", "signal.probability", "signal.features"}
    assert batch.frame("position").schema["equity"] == pl.Int128
    with pytest.raises(RingError, match="the kinds are top_of_book, trade, bar, signal, fill, position"):
        batch.frame("candle")


def test_an_empty_frame_has_the_types_of_a_full_one(feed: Feed, socket: Path) -> None:
    with MarketDataReader(socket) as reader:
        empty = reader.read()
        assert (empty.records, empty.writer_alive) == (0, True)
        feed.publish(6)
        full = reader.read()
    for kind in KINDS:
        assert empty.frame(kind).schema == full.frame(kind).schema
        assert (empty.frame(kind).height, full.frame(kind).height) == (0, 1)


def test_a_slow_reader_is_told_exactly_what_it_missed(feed: Feed, socket: Path) -> None:
    with MarketDataReader(socket, start="first") as reader:
        feed.publish(1_000)
        batch = reader.read()
        assert batch.missed + batch.records == 1_000
        assert numbers(batch) == list(range(batch.missed, 1_000)), "one gap, and its size is the count"
        feed.publish(10)
        assert (reader.read().missed, reader.missed) == (0, batch.missed)
        feed.publish(500)
        again = reader.read()
        assert again.missed + again.records == 500
        assert reader.missed == batch.missed + again.missed


def test_reading_while_the_service_publishes_loses_nothing_uncounted(feed: Feed, socket: Path) -> None:
    count, seen, lost = 200_000, [-1], 0
    with MarketDataReader(socket, start="first") as reader:
        feed.send(f"publish {count}")
        while seen[-1] < count - 1:
            batch = reader.read(PATIENCE_MS)
            assert batch.writer_alive
            lost += batch.missed
            seen.extend(numbers(batch))
        assert feed.answer() == f"published {count}"
    gaps = np.diff(seen) - 1
    assert (gaps >= 0).all()
    assert gaps.sum() == lost == count + 1 - len(seen)


def test_waiting_ends_with_the_first_record_and_lets_other_threads_run(feed: Feed, socket: Path) -> None:
    with MarketDataReader(socket) as reader, ThreadPoolExecutor(1) as pool:
        started = threading.Event()

        def wait() -> Batch:
            started.set()
            return reader.read(PATIENCE_MS)

        waiting = pool.submit(wait)
        assert started.wait(PATIENCE_S)
        # Were the interpreter held, this thread would not come to publish before the other one gave up.
        before = time.monotonic()
        feed.publish(1)
        assert waiting.result(PATIENCE_S).records == 1
        assert time.monotonic() - before < PATIENCE_S / 2


def test_waiting_is_bounded(feed: Feed, socket: Path) -> None:
    with MarketDataReader(socket) as reader:
        before = time.monotonic()
        batch = reader.read(30)
        assert time.monotonic() - before >= 0.03
        assert (batch.records, batch.writer_alive) == (0, True)
        with pytest.raises(RingError, match="timeout_ms is 3600001: allowed are 0 to 3600000"):
            reader.read(3_600_001)
    assert feed.process.poll() is None


class InterruptedWaitError(Exception):
    """What the signal's handler raises."""


def test_a_signal_ends_a_wait(feed: Feed, socket: Path) -> None:
    def interrupt(_number: int, _frame: object) -> None:
        raise InterruptedWaitError

    previous = signal.signal(signal.SIGUSR1, interrupt)
    try:
        with MarketDataReader(socket) as reader:
            before = time.monotonic()
            timer = threading.Timer(0.05, os.kill, (os.getpid(), signal.SIGUSR1))
            with pytest.raises(InterruptedWaitError):  # noqa: PT012  # the signal may come before the wait begins
                timer.start()
                reader.read(PATIENCE_MS)
            assert time.monotonic() - before < PATIENCE_S / 2
            feed.publish(1)
            assert reader.read(PATIENCE_MS).records == 1, "the reader is as good as before"
    finally:
        signal.signal(signal.SIGUSR1, previous)


def test_what_a_killed_service_left_is_read_and_its_successor_is_found(feed: Feed, socket: Path) -> None:
    with MarketDataReader(socket, start="first") as reader:
        feed.publish(10)
        feed.kill()
        left = reader.read(PATIENCE_MS)
        assert (left.records, left.missed, left.epoch) == (10, 0, 1)
        gone = reader.read(50)
        assert (gone.records, gone.writer_alive, gone.epoch, reader.restarts) == (0, False, 1, 0)

        with Feed(socket, epoch=2) as successor:
            successor.publish(7)
            batch = reader.read(PATIENCE_MS)
            assert (numbers(batch), batch.missed, batch.epoch) == (list(range(7)), 0, 2)
            assert (reader.epoch, reader.restarts, reader.missed) == (2, 1, 0)


def test_what_a_successor_overwrote_before_it_was_found_is_counted(feed: Feed, socket: Path) -> None:
    with MarketDataReader(socket, start="newest") as reader:
        feed.finish()
        with Feed(socket, capacity=8, epoch=5) as successor:
            successor.publish(100)
            batch = reader.read(PATIENCE_MS)
            assert (batch.epoch, batch.missed + batch.records) == (5, 100)
            assert reader.missed == batch.missed >= 92


def test_a_reader_that_waits_goes_on_with_the_successor(feed: Feed, socket: Path) -> None:
    with MarketDataReader(socket) as reader, ThreadPoolExecutor(1) as pool:
        waiting = pool.submit(reader.read, PATIENCE_MS)
        feed.kill()
        with Feed(socket, epoch=2) as successor:
            successor.publish(3)
            batch = waiting.result(PATIENCE_S)
            assert (batch.epoch, batch.records) == (2, 3)


def test_a_successor_that_is_not_newer_is_refused(socket: Path) -> None:
    with Feed(socket, epoch=5) as first, MarketDataReader(socket) as reader:
        first.kill()
        with Feed(socket, epoch=5), pytest.raises(RingError, match=r"without a newer epoch \(5 before, 5 now\)"):
            reader.read(PATIENCE_MS)


def test_what_is_not_there_is_named(feed: Feed, socket: Path, tmp_path: Path) -> None:
    offered = "offered are market, market_cache, parameters.answer, parameters.request, positions, stops"
    with pytest.raises(RingError, match=re.escape(offered)):
        MarketDataReader(socket, "fills")
    with pytest.raises(RingError, match="kind 2, asked for was Ring"):
        MarketDataReader(socket, "positions")
    with pytest.raises(RingError, match='segment name "a/b" is not allowed'):
        MarketDataReader(socket, "a/b")
    with pytest.raises(RingError, match="cannot connect to"):
        MarketDataReader(tmp_path / "nobody.sock")
    with pytest.raises(RingError, match="allowed are oldest, newest, first"):
        MarketDataReader(socket, start="latest")  # type: ignore[arg-type]
    assert feed.process.poll() is None


def test_a_table_is_a_frame_of_what_is_true_now(feed: Feed, socket: Path) -> None:
    assert read_table(socket, "positions") == {}
    for entry, number in ((2, 5), (0, 11), (2, 17)):
        assert feed.ask(f"put {entry} {number}").startswith("version ")
    frame = read_table(socket, "positions")["position"]
    expected = [{"entry": 0} | sample(11)[1] | {"index": 1}, {"entry": 2} | sample(17)[1] | {"index": 2}]
    assert frame.select(expected[0].keys()).to_dicts() == expected
    with pytest.raises(RingError, match="kind 1, asked for was Table"):
        read_table(socket, "market")


def test_a_closed_reader_says_so(feed: Feed, socket: Path) -> None:
    reader = MarketDataReader(socket)
    reader.close()
    reader.close()
    with pytest.raises(RingError, match="the reader of ring market is closed"):
        reader.read()
    assert feed.process.poll() is None

"""Recordings of Kraken and Coinbase as the wire: a copy that our recorder takes is the original."""

from __future__ import annotations

import json
import signal
import subprocess
import zlib
from contextlib import contextmanager
from datetime import UTC, datetime, timedelta
from typing import TYPE_CHECKING, Any

import pytest

from py_rt.bridge.market_data import MarketDataCache
from tests.contract.live_service import LiveService, find_command, until
from tests.contract.test_record import checked, feed, files, recorder, served, stopped, until_written
from tests.contract.test_recorded_venue import SAME_OF_BOOK, SHARED, state
from tests.processes import session

if TYPE_CHECKING:
    from collections.abc import Iterator, Sequence
    from pathlib import Path

KRAKEN = SHARED / "ws_kraken_v2_btcusd_d10_20260816" / "kraken_v2_btcusd_d10_20260816_first6s.ndjson"
COINBASE = SHARED / "ws_coinbase_advanced_20260809" / "COINBASE_first12s.jsonl.zst"
SYMBOLS = {"kraken": ["BTC/USD"], "coinbase": ["BTC-USD", "ETH-USD"]}


@contextmanager
def venue(recordings: Sequence[Path], speed: str = "max") -> Iterator[dict[str, str]]:
    """Where the recordings are served."""
    command = [find_command("py_rt_venue_server"), "--recording", *recordings, "--speed", speed]
    with session(list(map(str, command)), stdout=subprocess.PIPE) as server:
        assert server.stdout is not None
        addresses: dict[str, str] = json.loads(server.stdout.readline())
        yield addresses


def messages(paths: Sequence[Path]) -> list[bytes]:
    """What was received, without handshakes and states, whose numbers and times are of the connection."""
    lines = (line.partition(b'"frame":') for path in paths for line in path.read_bytes().splitlines())
    received = [frame.strip().removesuffix(b"}") for head, mark, frame in lines if mark and b'"dir"' not in head]
    return [one for one in received if one.startswith(b'{"channel"') and not one.startswith(b'{"channel":"status"')]


def copied(name: str, recordings: Sequence[Path], out: Path, *options: str, speed: str = "max") -> dict[str, Any]:
    """The check of a copy that was taken from the wire until its end."""
    symbols = [word for symbol in SYMBOLS[name] for word in ("--symbol", symbol)][1:]
    with venue(recordings, speed) as addresses:
        url = addresses["rest"]
        first, *others = symbols[:1], symbols[1:]
        with recorder(url, out, "--plain", *others[0], *options, symbol=first[0], venue=name) as it:
            until(lambda: bool(state(url)["is_done"]), "the end of the recording")
            size = 0

            def is_still() -> bool:
                nonlocal size
                before, size = size, sum(file.stat().st_size for file in files(out))
                return size == before > 0

            until(is_still, "the end of the copy")
            it.send_signal(signal.SIGTERM)
            summary, _ = stopped(it)
    assert (summary["error"], summary["gaps"], summary["errors"]) == (None, 0, 0)
    return checked(files(out))


def same_books(original: dict[str, Any], copy: dict[str, Any]) -> None:
    (was,), (now,) = original["connections"], copy["connections"]
    assert now["wire"] == was["wire"]
    names = [name for name in SAME_OF_BOOK if name not in {"last_update_id", "trades"}]
    one, other = ({book["symbol"]: book for book in connection["books"]} for connection in (was, now))
    assert one.keys() == other.keys()
    for symbol, book in one.items():
        assert {name: other[symbol][name] for name in names} == {name: book[name] for name in names}
        assert other[symbol]["trades"]["count"] == book["trades"]["count"]
        assert other[symbol]["checksums"] == book["checksums"]


@pytest.mark.parametrize("speed", ["20", "max"])
def test_a_copy_of_kraken_is_the_original(speed: str, tmp_path: Path) -> None:
    if not KRAKEN.is_file():
        pytest.skip(f"no recorded data at {KRAKEN}: set PY_RT_SHARED_DATA")
    out = tmp_path / "copy"
    copy = copied("kraken", [KRAKEN], out, "--depth", "10", speed=speed)
    same_books(checked([KRAKEN]), copy)
    assert copy["totals"]["checksums_right"] == 54
    # Message for message, the bytes are the venue's own.
    assert messages(files(out)) == messages([KRAKEN])


@pytest.mark.parametrize("speed", ["20", "max"])
def test_a_copy_of_coinbase_is_the_original(speed: str, tmp_path: Path) -> None:
    if not COINBASE.is_file():
        pytest.skip(f"no recorded data at {COINBASE}: set PY_RT_SHARED_DATA")
    copy = copied("coinbase", [COINBASE], tmp_path / "copy", speed=speed)
    same_books(checked([COINBASE]), copy)
    assert copy["totals"]["gaps"] == 0


@pytest.mark.parametrize("name", ["kraken", "coinbase"])
def test_a_recording_of_a_recording_is_the_recording(name: str, tmp_path: Path) -> None:
    """Taken by our recorder both times: events are equal, and so are bytes where no count is the connection's own."""
    symbol = SYMBOLS[name][0]
    first, second = tmp_path / "first", tmp_path / "second"
    with served(tmp_path, name, symbol) as url, recorder(url, first, "--plain", symbol=symbol, venue=name) as it:
        until_written(first)
        it.send_signal(signal.SIGTERM)
        stopped(it)
    with venue(files(first)) as addresses:
        url = addresses["rest"]
        with recorder(url, second, "--plain", symbol=symbol, venue=name) as it:
            until(lambda: bool(state(url)["is_done"]), "the end of the recording")
            until(lambda: len(books(files(second))) == len(books(files(first))), "the end of the copy")
            it.send_signal(signal.SIGTERM)
            stopped(it)
    same_books(checked(files(first)), checked(files(second)))
    assert events(files(second)) == events(files(first))
    if name == "kraken":
        assert messages(files(second)) == messages(files(first))


def books(paths: Sequence[Path]) -> list[bytes]:
    return [one for one in messages(paths) if one.startswith((b'{"channel":"book"', b'{"channel":"l2_data"'))]


def events(paths: Sequence[Path]) -> list[dict[str, Any]]:
    """What is played of it, without what is the connection's own."""
    played = [json.loads(line) for line in feed("replay", *paths).splitlines()]
    own = {"ts_received", "update_id"}
    return [{name: value for name, value in event.items() if name not in own} for event in played]


def made_up(folder: Path) -> Path:
    """Half a minute of Kraken with a hundred levels subscribed, as a service asks for them."""
    level = '{{"price":{price:.1f},"qty":{quantity:.8f}}}'.format
    began = 1_790_000_000 * 10**9
    bids = {100.0 - tick / 10: 1.0 for tick in range(12)}
    asks = {100.1 + tick / 10: 1.0 for tick in range(12)}
    asked = '{"method":"subscribe","params":{"channel":"book","symbol":["BTC/USD"],"depth":100,"snapshot":true}}'
    lines = [{"url": "wss://ws.kraken.com/v2"}, {"dir": asked}]
    for at in range(60):
        is_snapshot = at == 0
        bids[100.0] = 1.0 + at
        told = (bids, asks) if is_snapshot else ({100.0: bids[100.0]}, {})
        texts = [",".join(level(price=price, quantity=quantity) for price, quantity in side.items()) for side in told]
        best = [*sorted(asks.items())[:10], *sorted(bids.items(), reverse=True)[:10]]
        digits = "".join(f"{price * 10:.0f}{quantity * 10**8:.0f}" for price, quantity in best)
        moment = datetime.fromtimestamp(began // 10**9, UTC) + timedelta(seconds=at / 2)
        kind = "snapshot" if is_snapshot else "update"
        lines.append(
            {
                "frame": f'{{"channel":"book","type":"{kind}","data":[{{"symbol":"BTC/USD",'
                f'"bids":[{texts[0]}],"asks":[{texts[1]}],"checksum":{zlib.crc32(digits.encode())},'
                f'"timestamp":"{moment:%Y-%m-%dT%H:%M:%S.%f}Z"}}]}}'
            }
        )
        lines.append({"frame": '{"channel":"heartbeat"}'})
    path = folder / "kraken.jsonl"
    with path.open("w", encoding="utf-8") as file:
        for at, line in enumerate(lines):
            ((name, text),) = line.items()
            said = {"url": f'"url":{json.dumps(text)}', "dir": f'"dir":"tx","frame":{text}'}.get(
                name, f'"frame":{text}'
            )
            file.write(f'{{"rx_ns":{began + at * 10**9 // 4},"conn":"market",{said}}}\n')
    return path


@pytest.mark.e2e
@pytest.mark.parametrize("name", ["kraken", "coinbase"])
def test_a_service_on_paper_has_the_book_of_a_recording(name: str, tmp_path: Path) -> None:
    if name == "coinbase" and not COINBASE.is_file():
        pytest.skip(f"no recorded data at {COINBASE}: set PY_RT_SHARED_DATA")
    recording = COINBASE if name == "coinbase" else made_up(tmp_path)
    symbol = SYMBOLS[name][0]
    home = tmp_path / "home"
    home.mkdir()
    with venue([recording], "1") as addresses, LiveService(home, 'gateway = "simulated"') as live:
        at_venue(live, name, symbol, addresses)
        live.start()
        with MarketDataCache(live.run / "segments.sock") as cache:
            until(lambda: cache.book(symbol).state == "valid", "a book")
            book = cache.book(symbol)
    assert book.bids[0, 0] < book.asks[0, 0]
    if name == "kraken":
        assert (int(book.bids[0, 0]), int(book.asks[0, 0])) == (10_000_000_000, 10_010_000_000)


def at_venue(live: LiveService, name: str, symbol: str, addresses: dict[str, str]) -> None:
    """Have a service listen to another venue, whose instrument is quoted in dollars."""
    door = {"name": name, "gateway": "simulated", "rest_url": addresses["rest"]}
    door |= {"ws_url": addresses["ws"], "ws_api_url": addresses["ws"]}
    config = live.home / "service.toml"
    head, _, rest = config.read_text(encoding="utf-8").partition("[venue]")
    after = rest[rest.index("[[instrument]]") :].replace("BTCUSDT", symbol)
    text = head + "[venue]\n" + "".join(f'{key} = "{value}"\n' for key, value in door.items()) + after
    # Time stands still there until somebody listens, so that its rate cannot be measured before.
    text += "[clock]\ncompression = 1.0\n"
    config.write_text(text.replace('"USDT"', '"USD"'), encoding="utf-8")
    policy = live.home / "risk_limits.toml"
    policy.write_text(policy.read_text(encoding="utf-8").replace('"USDT"', '"USD"'), encoding="utf-8")

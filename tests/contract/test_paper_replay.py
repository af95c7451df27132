"""What was ordered of paper: a recording taken while the service traded gives its decisions again."""

from __future__ import annotations

import json
import os
import signal
import subprocess
import sys
import time
from contextlib import contextmanager
from datetime import UTC, datetime, timedelta
from typing import TYPE_CHECKING, Any

import polars as pl
import py_rt_core
import pytest

from py_rt.bridge.vocabulary import OrderStatus, Outcome, ServiceState
from py_rt.bundle.store import BundleStore
from py_rt.data.ingestion.recordings import Recordings
from py_rt.data.storage import DayWindow
from py_rt.ml.features.technical import WARM, FeatureSet
from tests import golden_bundle
from tests.contract.live_service import ROOT, SLOT, LiveService, bars_csv, find_command, until
from tests.processes import session

if TYPE_CHECKING:
    from collections.abc import Iterator
    from pathlib import Path

pytestmark = pytest.mark.e2e

MAIN = "import sys; from py_rt.cli.main import main; sys.exit(main(sys.argv[1:]))"
SECOND_NS = 10**9
AHEAD_NS = 2 * SECOND_NS
HISTORY = 300
FILLS = 4
DIFFERENT, REFUSED = 1, 2
# Two receivers hear one market a little apart: with no way between decision and venue, what an order meets is the same.
SIMULATED = "[simulated]\norder_latency_ms = 0\nreport_latency_ms = 0\n"


class RealTimeService(LiveService):
    """Bars of a second at this machine's time and pace: a recorder stamps what it hears with its clock."""

    trades = (2, 4)
    """Fewest and most of a second."""
    spec = f'"bar_ns":{SECOND_NS}'

    def __init__(self, home: Path) -> None:
        super().__init__(home, 'gateway = "simulated"')
        file = home / "service.toml"
        text = file.read_text(encoding="utf-8").replace("bar_seconds = 900", "bar_seconds = 1")
        file.write_text(text + SIMULATED, encoding="utf-8")

    def _venue(self) -> tuple[subprocess.Popen[str], dict[str, str]]:
        # A little ahead, for the time that it takes to start: what was received before it happened closes no bar.
        first = time.time_ns() // SECOND_NS * SECOND_NS + AHEAD_NS
        bars = self.home / "bars.csv"
        bars.write_text(bars_csv(first - HISTORY * SECOND_NS, SECOND_NS), encoding="utf-8")
        command = [str(find_command("py_rt_venue_server")), "--bars", str(bars), "--seed", "7", "--bar-ms", "1000"]
        command += ["--from", str(first), "--warmup-bars", str(HISTORY)]
        command += ["--trades-min", str(self.trades[0]), "--trades-max", str(self.trades[1])]
        venue = subprocess.Popen(command, stdout=subprocess.PIPE, text=True)
        assert venue.stdout is not None
        ready: dict[str, str] = json.loads(venue.stdout.readline())
        return venue, ready

    def bundle(self) -> str:
        """One that trades on bars of a second, at once."""

        def strategy(text: str) -> str:
            text = text.replace("bar_seconds = 900", "bar_seconds = 1").replace('"limit"', '"market"')
            return text.replace("lookback_period = 20", "lookback_period = 2")

        bar = ('"bar_ns":900000000000', self.spec)
        digest = golden_bundle.built(self.home, strategy, features=lambda text: text.replace(*bar))
        golden_bundle.approved(self.home, digest)
        return digest

    def filled(self) -> int:
        """How many orders have been filled so far."""
        with self.client() as client:
            return sum(order.status is OrderStatus.FILLED for order in client.orders().orders)

    def is_enough(self, recordings: Path) -> bool:
        """Whether what there is to see has happened; the recordings are taken beside."""
        return any(recordings.iterdir()) and self.filled() >= FILLS


class ServiceOverTrades(RealTimeService):
    """Bars that close with every other trade, of a busy market."""

    trades = (40, 60)
    size = 2
    spec = f'{RealTimeService.spec},"bars":{{"rule":"ticks","size":"{size}"}}'
    enough = 2_000

    def is_enough(self, recordings: Path) -> bool:
        return sum(file.read_bytes().count(b'"e":"trade"') for file in recordings.iterdir()) > self.enough


def py_rt(*words: str | Path) -> list[str]:
    return [sys.executable, "-c", MAIN, *map(str, words)]


def environment() -> dict[str, str]:
    folder = find_command("py_rt_live").parent
    return {**os.environ, "PATH": f"{folder}{os.pathsep}{os.environ.get('PATH', '')}"}


@contextmanager
def recorder(url: str, out: Path) -> Iterator[subprocess.Popen[str]]:
    command = py_rt("record", "--venue", "binance", "--symbol", "BTCUSDT", "--out", out, "--url", url, "--plain")
    with session(command, cwd=ROOT, env=environment(), stdout=subprocess.PIPE, stderr=subprocess.PIPE) as process:
        until(lambda: any(b"depthUpdate" in file.read_bytes() for file in out.glob("*_*")), "a recording")
        yield process


def replay(live: LiveService, digest: str, *words: str | Path, status: int = 0) -> subprocess.CompletedProcess[str]:
    command = py_rt("replay", "--bundle", digest, "--config", live.home / "service.toml", *words)
    done = subprocess.run(command, cwd=ROOT, env=environment(), capture_output=True, text=True, check=False)
    assert done.returncode == status, done.stderr + done.stdout
    return done


def document(live: LiveService, digest: str, *words: str | Path, status: int = 0) -> dict[str, Any]:
    report: dict[str, Any] = json.loads(replay(live, digest, "--json", *words, status=status).stdout)
    assert report["schema"] == "py_rt.replay/1"
    return report


@pytest.fixture(scope="module")
def traded(tmp_path_factory: pytest.TempPathFactory) -> Iterator[tuple[LiveService, str, list[Path]]]:
    """A run that is over, what traded in it, and what was recorded beside it."""
    with run_of(RealTimeService(tmp_path_factory.mktemp("paper_replay"))) as found:
        yield found


@contextmanager
def run_of(service: RealTimeService) -> Iterator[tuple[LiveService, str, list[Path]]]:
    home = service.home
    with service as live, recorder(live.addresses["rest"], home / "recordings") as recording:
        live.start()
        with live.client() as client:
            until(lambda: client.status().state is ServiceState.WAITING, "an account that agrees")
        digest = live.bundle()
        with live.client("deployer") as client:
            assert client.deploy(SLOT, digest).outcome is Outcome.APPLIED
        until(lambda: service.is_enough(home / "recordings"), "fills, and what leads to them")
        assert live.stop() == 0
        recording.send_signal(signal.SIGTERM)
        _, said = recording.communicate(timeout=60)
        assert recording.returncode == 0, said
        yield live, digest, sorted((home / "recordings").glob("*_*"))


def test_a_recording_gives_the_decisions_and_fills_of_the_run_beside_it(
    traded: tuple[LiveService, str, list[Path]],
) -> None:
    live, digest, files = traded
    report = document(live, digest, "--run", live.run, *files)
    assert report["run"]["identical"], report["run"]["difference"]
    assert report["torn"] == []
    assert report["run"]["orders"] == report["run"]["compared"] >= FILLS
    assert report["run"]["fills"] >= FILLS
    said = replay(live, digest, "--run", live.run, *files).stdout
    orders = report["run"]["orders"]
    assert f"{orders} of its {orders} orders were sent in the recorded time, all the same" in said


def test_bars_of_trades_have_the_features_of_research(tmp_path: Path) -> None:
    with run_of(ServiceOverTrades(tmp_path)) as (live, digest, files):
        report = document(live, digest, "--run", live.run, *files)
        assert report["run"]["identical"], report["run"]["difference"]
        assert report["run"]["fills"] >= 1
        _, closes, online, *_ = py_rt_core.journal_signals(live.run / "journal")
        features = FeatureSet.from_canonical(
            BundleStore(tmp_path / "bundles").read_file(digest, "features.json").decode()
        )
        trades = trades_of(files[0].parent)
    closed = trades["ts"].to_list().index(int(closes[0]))
    # The row that is warm first closes with the last of its trades.
    first = closed + 1 - ServiceOverTrades.size * (first_warm_row(features) + 1)
    rows = researched(features, trades.slice(first)).filter(WARM).head(len(closes))
    assert rows["ts_close"].to_list() == closes.tolist()
    assert rows.select(features.names).to_numpy().tobytes() == online.tobytes()
    assert len(closes) > features.warmup_bars


def trades_of(folder: Path) -> pl.DataFrame:
    """Recorded trades as the engine's bars are made of."""
    today = datetime.now(UTC).date()
    days = DayWindow(today - timedelta(days=1), today + timedelta(days=1))
    recorded = Recordings(folder, find_command("py_rt_feed")).export(days).trades
    bought = pl.when(pl.col("aggressor") == "buy").then(1).otherwise(-1).cast(pl.Int64).alias("side")
    return recorded.collect().select(pl.col("ts_event").alias("ts"), "price", "quantity", bought)


def researched(features: FeatureSet, trades: pl.DataFrame) -> pl.DataFrame:
    """Bars of trades and their features."""
    bars = pl.DataFrame(dict(py_rt_core.event_bars(trades, "ticks", ServiceOverTrades.size, 20)))
    return bars.hstack(features.compute(bars))


def first_warm_row(features: FeatureSet) -> int:
    one = {"price": 10**8, "quantity": 10**8, "side": 1}
    trades = pl.DataFrame([{"ts": at, **one} for at in range(ServiceOverTrades.size * features.warmup_bars)])
    return int(researched(features, trades)[WARM].arg_max() or 0)


def test_another_market_is_not_the_run_and_the_first_difference_is_named(
    traded: tuple[LiveService, str, list[Path]],
) -> None:
    live, digest, (file, *_) = traded
    deaf = live.home / "without_trades"
    deaf.write_text(file.read_text(encoding="utf-8").replace('"e":"trade"', '"e":"traded"'), encoding="utf-8")
    report = document(live, digest, "--run", live.run, deaf, status=DIFFERENT)
    assert report["run"]["identical"] is False
    assert report["run"]["difference"].startswith("action 1: in the run ")


def test_of_a_recording_that_was_cut_short_it_says_how_much_was_compared(
    traded: tuple[LiveService, str, list[Path]],
) -> None:
    live, digest, (file, *_) = traded
    whole = file.read_bytes()
    report = document(live, digest, "--run", live.run, file)
    first, second = (order["ts_ns"] for order in report["orders"][:2])
    lines = whole.splitlines(keepends=True)

    def until(ts_ns: int) -> Path:
        """What was received until then, and half a record more."""
        heard = [line for line in lines if int(line.split(b'_ns":', 1)[1].split(b",")[0].rstrip(b"}\n")) <= ts_ns]
        path = live.home / f"until_{ts_ns}"
        path.write_bytes(b"".join(heard) + lines[len(heard)][:40])
        return path

    cut = until((first + second) // 2)
    report = document(live, digest, "--run", live.run, cut)
    assert report["torn"] == [str(cut)]
    assert (report["run"]["compared"], report["run"]["identical"]) == (1, True)
    assert "ends in the middle of a record" in replay(live, digest, "--run", live.run, cut).stdout
    before = document(live, digest, "--run", live.run, until(first - SECOND_NS), status=DIFFERENT)
    assert "nothing to compare" in before["run"]["difference"]


def test_what_cannot_be_replayed_is_refused_with_the_reason(traded: tuple[LiveService, str, list[Path]]) -> None:
    live, digest, (file, *_) = traded
    run = ("--run", live.run)
    text = file.read_text(encoding="utf-8")

    def made(name: str, content: str) -> Path:
        path = live.home / name
        path.write_text(content, encoding="utf-8")
        return path

    ether = made("ether", text.replace("BTCUSDT", "ETHUSDT").replace("btcusdt", "ethusdt"))
    kraken = made("kraken", '1700000000000000000 {"channel":"status","type":"update","data":[{"system":"online"}]}\n')
    late = made("late", "".join(text.splitlines(keepends=True)[-200:]))
    unapproved = golden_bundle.built(live.home, golden_bundle.of_version("1.0.7"))
    for words, reason in (
        ((digest, ether), "the recording does not speak of BTCUSDT, only of ETHUSDT"),
        ((digest, *run, ether), "the recording does not speak of BTCUSDT, only of ETHUSDT"),
        ((digest, kraken), "the recording is of kraken_v2, and [venue] name is binance"),
        ((digest, file, kraken), "the files are of several wires: replay one venue at a time"),
        ((digest, file, file), "a file is named twice"),
        ((digest, made("empty", "")), "it holds no line"),
        ((digest, live.home / "no_such"), "No such file"),
        ((digest, *run, late), "the recording begins after the run's bundle was activated"),
        ((digest, "--run", "no_such", file), "no run no_such"),
        (("0" * 64, file), "is not there"),
        (("0" * 64, *run, file), "this bundle never ran"),
        (("f0", file), "64 hexadecimal digits"),
        ((unapproved, file), "the approver has not signed"),
    ):
        done = replay(live, str(words[0]), *words[1:], status=REFUSED)
        assert reason in done.stderr, (words, done.stderr)
        assert not done.stdout


@pytest.mark.parametrize("name", ["py_rt", "py_rt_live"])
def test_its_help_shows_how_to_call_it(name: str) -> None:
    command = py_rt() if name == "py_rt" else [str(find_command(name))]
    done = subprocess.run([*command, "replay", "--help"], cwd=ROOT, capture_output=True, text=True, check=False)
    said = " ".join(done.stdout.split())
    assert f"Example: {name} replay recordings/*.zst --bundle" in said
    assert "Exit status: 0 played" in said

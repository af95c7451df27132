"""ccxt as a source: against a small exchange of our own on loopback, and against the project's venue server."""

from __future__ import annotations

import json
import os
import shutil
import subprocess
import sys
import urllib.request
from contextlib import contextmanager
from datetime import UTC, date, datetime
from decimal import Decimal
from pathlib import Path
from typing import TYPE_CHECKING, Any

import polars as pl
import pytest

from py_rt.data.ingestion.catalog import source_of
from py_rt.data.ingestion.definition import DefinitionError, read_definition
from py_rt.data.ingestion.ingest import ingest
from py_rt.data.ingestion.publishing import rows_of_days
from py_rt.data.ingestion.received import Received
from py_rt.data.storage import DayWindow
from tests.processes import session
from tests.py_rt.data.loopback import Asked, Reply, serving

if TYPE_CHECKING:
    from collections.abc import Iterator

    from py_rt.data.ingestion.source import PartitionedSource

NOW = 1_750_000_000 * 10**9
DAY = "2021-09-28"
DAY_MS = 1_632_787_200_000
WINDOW = DayWindow(date(2021, 9, 28), date(2021, 9, 29))
BAR_MS = 900_000

SETTINGS = """
[options.settings.urls.api]
public = "{api}"
private = "{api}"
[options.settings.options]
defaultType = "spot"
[options.settings.options.fetchMarkets]
types = ["spot"]
"""


def define(folder: Path, url: str, more: str = "") -> PartitionedSource:
    path = folder / "market.toml"
    head = 'kind = "ccxt"\n[options]\nexchange = "binance"\nsymbol = "BTC/USDT"\nrequests_per_second = 1000\n'
    limits = "attempts = 2\nwait_max_s = 0.05\n"
    path.write_text(head + limits + more + SETTINGS.format(api=f"{url}/api/v3"))
    return source_of(read_definition(path))


RULES = {
    "symbols": [
        {
            "symbol": "BTCUSDT",
            "status": "TRADING",
            "baseAsset": "BTC",
            "quoteAsset": "USDT",
            "baseAssetPrecision": 8,
            "quotePrecision": 8,
            "isSpotTradingAllowed": True,
            "permissions": ["SPOT"],
            "permissionSets": [["SPOT"]],
            "orderTypes": ["LIMIT"],
            "filters": [
                {"filterType": "PRICE_FILTER", "minPrice": "0.01", "maxPrice": "1000000", "tickSize": "0.01"},
                {"filterType": "LOT_SIZE", "minQty": "0.00001", "maxQty": "9000", "stepSize": "0.00001"},
            ],
        }
    ]
}


class Exchange:
    """Candles and trades that are there, given a page at a time, fewer than are asked for."""

    def __init__(self, *, most: int, hole: range = range(0), trades: int = 0) -> None:
        self.most, self.hole = most, hole
        self.trades = [self.trade(number) for number in range(trades)]
        self.failures = 0

    @staticmethod
    def trade(number: int) -> dict[str, object]:
        at = DAY_MS - 5_000 + number * 1_000 // 3  # three a second, from before the day on
        return {
            "a": number,
            "p": f"42000.{number:08}"[:14],
            "q": "0.10000001",
            "T": at,
            "m": bool(number % 2),
            "M": True,
        }

    def answer(self, asked: Asked) -> Reply:
        if asked.path.endswith("exchangeInfo"):
            return Reply(json.dumps(RULES).encode())
        if self.failures:
            self.failures -= 1
            return Reply(b"{}", 503)
        start = int(asked.query["startTime"])
        if asked.path.endswith("klines"):
            first = -(-start // BAR_MS)
            numbers = [n for n in range(first, first + 200) if n - DAY_MS // BAR_MS not in self.hole][: self.most]
            bars = [
                [n * BAR_MS, "0.1", "0.3", "0.05", f"0.{n % 97 + 1:02}", "7.5", 0, "0", 0, "0", "0", "0"]
                for n in numbers
            ]
            # As exchanges do: a window of so many bars, whether they are there or not.
            return Reply(json.dumps([bar for bar in bars if int(str(bar[0])) < start + 150 * BAR_MS]).encode())
        found = [trade for trade in self.trades if int(str(trade["T"])) >= start]
        return Reply(json.dumps(found[: self.most]).encode())


def landed(source: PartitionedSource, folder: Path) -> pl.DataFrame:
    received = Received(folder / "landing", "market")
    done = ingest(source, [DAY], received, None, lambda: NOW)
    assert not done.failed, done.failed
    return rows_of_days(source, received, WINDOW)


def test_a_day_of_candles_is_whole_although_pages_are_short(tmp_path: Path) -> None:
    exchange = Exchange(most=40)
    exchange.failures = 1
    with serving(exchange.answer) as server:
        rows = landed(define(tmp_path, server.url), tmp_path)
    assert rows["ts_open"].to_list() == [(DAY_MS + n * BAR_MS) * 10**6 for n in range(96)]
    assert rows["open"].unique().to_list() == [10_000_000]
    assert rows["payload"].n_unique() > 2


def test_a_hole_longer_than_a_page_is_stepped_over(tmp_path: Path) -> None:
    exchange = Exchange(most=40, hole=range(10, 90))
    with serving(exchange.answer) as server:
        rows = landed(define(tmp_path, server.url), tmp_path)
    numbers = ((rows["ts_open"] // 10**6 - DAY_MS) // BAR_MS).to_list()
    assert numbers == [*range(10), *range(90, 96)]


def test_a_day_of_trades_is_whole_and_doubles_nothing(tmp_path: Path) -> None:
    exchange = Exchange(most=50, trades=400)
    with serving(exchange.answer) as server:
        rows = landed(define(tmp_path, server.url, 'data = "trades"\nlimit = 50\n'), tmp_path)
    wanted = [trade for trade in exchange.trades if int(str(trade["T"])) >= DAY_MS]
    assert rows["trade_id"].to_list() == [str(trade["a"]) for trade in wanted]
    assert rows["quantity"].unique().to_list() == [10_000_001]
    assert set(rows["side"].unique()) == {"buy", "sell"}


def test_more_trades_in_a_millisecond_than_a_page_holds_are_an_error(tmp_path: Path) -> None:
    exchange = Exchange(most=5, trades=10)
    for trade in exchange.trades:
        trade["T"] = DAY_MS + 7
    with serving(exchange.answer) as server:
        source = define(tmp_path, server.url, 'data = "trades"\nlimit = 5\n')
        done = ingest(source, [DAY], Received(tmp_path / "landing", "market"), None, lambda: NOW)
    assert "5 trades or more within one millisecond; raise limit" in done.failed[0].problem


def test_an_exchange_that_fails_is_named(tmp_path: Path) -> None:
    exchange = Exchange(most=40)
    exchange.failures = 100
    with serving(exchange.answer) as server:
        source = define(tmp_path, server.url)
        done = ingest(source, [DAY], Received(tmp_path / "landing", "market"), None, lambda: NOW)
    assert f"source market: {DAY}/page-00001: binance cannot give it (ExchangeNotAvailable)" in done.failed[0].problem


def test_today_is_not_landed_unfinished(tmp_path: Path) -> None:
    source = define(tmp_path, "http://127.0.0.1:9")
    done = ingest(source, ["2999-01-01"], Received(tmp_path / "landing", "market"), None, lambda: NOW)
    assert [step.outcome for step in done.steps] == ["absent"]


@pytest.mark.parametrize(
    ("more", "words"),
    [
        ('data = "books"\n', "is 'books'; allowed are 'candles', 'trades'"),
        ('settings = {apiKey = "k"}\n', "holds apiKey: public data needs no key"),
    ],
)
def test_wrong_options_are_refused(tmp_path: Path, more: str, words: str) -> None:
    path = tmp_path / "market.toml"
    path.write_text(f'kind = "ccxt"\n[options]\nexchange = "binance"\nsymbol = "BTC/USDT"\n{more}')
    with pytest.raises(DefinitionError, match=words):
        source_of(read_definition(path))
    path.write_text('kind = "ccxt"\n[options]\nexchange = "bynance"\nsymbol = "BTC/USDT"\n')
    with pytest.raises(DefinitionError, match="ccxt knows no 'bynance'"):
        source_of(read_definition(path))


def venue_server() -> Path | None:
    named = os.environ.get("PY_RT_VENUE_SERVER")
    beside = Path(sys.executable).with_name("py_rt_venue_server")
    found = named or (str(beside) if beside.is_file() else shutil.which("py_rt_venue_server"))
    return Path(found) if found else None


def new_key() -> str:
    """A private key as Coinbase gives them, its line ends written out."""
    from cryptography.hazmat.primitives import serialization
    from cryptography.hazmat.primitives.asymmetric import ec

    key = ec.generate_private_key(ec.SECP256R1())
    form = (serialization.Encoding.PEM, serialization.PrivateFormat.TraditionalOpenSSL, serialization.NoEncryption())
    return key.private_bytes(*form).decode().strip().replace("\n", "\\n")


WIRES = {
    "binance": ("BTCUSDT", "BTC/USDT", SETTINGS.replace("{api}", "{rest}/api/v3"), "a_secret_of_the_test"),
    "kraken": (
        "BTC/USD",
        "BTC/USD",
        '[options.settings.urls.api]\npublic = "{rest}"\nprivate = "{rest}"\n',
        "YV9zZWNyZXRfb2ZfdGhlX3Rlc3Q=",
    ),
    "coinbase": (
        "BTC-USD",
        "BTC/USD",
        '[options.settings.has]\nfetchCurrencies = false\n[options.settings.urls.api]\nrest = "{rest}"\n',
        "",
    ),
}
"""Exchange: its name of the instrument, ccxt's, how ccxt is sent to the server, a secret of the exchange's form."""


@contextmanager
def played(folder: Path, exchange: str, bars: int) -> Iterator[str]:
    """The address of a venue server that has played some bars of the day."""
    command = venue_server()
    if command is None:
        pytest.skip("py_rt_venue_server is not built: run `make build`, or name it in PY_RT_VENUE_SERVER")
    lines = [
        f"{(DAY_MS + n * BAR_MS) * 10**6},{c},{float(c) + 1},{float(c) - 1},{c},12.5" for n, c in enumerate(CLOSES)
    ]
    (folder / "bars.csv").write_text("ts_open,open,high,low,close,volume\n" + "\n".join(lines) + "\n")
    theirs, _, _, secret = WIRES[exchange]
    arguments = ["--bars", str(folder / "bars.csv"), "--venue", exchange, "--symbol", theirs, "--seed", "5"]
    environ = {**os.environ, "PY_RT_VENUE_KEYS": f"a_key_of_the_test:{secret or new_key()}"}
    line = [str(command), *arguments, "--bar-ms", "1000", "--start-paused"]
    with session(line, stdout=subprocess.PIPE, env=environ) as server:
        assert server.stdout is not None
        rest = str(json.loads(server.stdout.readline())["rest"])
        body = json.dumps({"ms": bars * BAR_MS}).encode()
        request = urllib.request.Request(f"{rest}/admin/advance", body, method="POST")
        with urllib.request.urlopen(request, timeout=60) as answer:
            assert answer.status == 200
        yield rest


# Prices are multiples of 1/256: exact in every form.
CLOSES = [f"{42_000 + number + number / 256}" for number in range(100)]


def asked_of(folder: Path, exchange: str, rest: str, more: str) -> PartitionedSource:
    """The source that asks a venue server by ccxt."""
    _, symbol, settings, _ = WIRES[exchange]
    path = folder / "market.toml"
    head = f'kind = "ccxt"\n[options]\nexchange = "{exchange}"\nsymbol = "{symbol}"\nrequests_per_second = 1000\n'
    path.write_text(head + more + settings.format(rest=rest))
    return source_of(read_definition(path))


@pytest.mark.parametrize("exchange", WIRES)
def test_candles_of_the_venue_server_are_what_it_plays(tmp_path: Path, exchange: str) -> None:
    with played(tmp_path, exchange, 97) as rest:
        rows = landed(asked_of(tmp_path, exchange, rest, "limit = 20\n"), tmp_path)
    assert rows.height == 96
    assert rows["close"].to_list() == [round(float(close) * 10**8) for close in CLOSES[:96]]


TAPES = {
    "binance": ("/api/v3/trades?symbol=BTCUSDT&limit=1000", ""),
    "kraken": ("/0/public/Trades?pair=XBTUSD&since=0", "limit = 20\n"),
    "coinbase": ("/api/v3/brokerage/market/products/BTC-USD/ticker?limit=1000", "limit = 1000\n"),
}
"""Exchange: where its wire tells all trades, and how the source asks for them."""

RECENT = """
kind = "rest"
first_day = {day}
key = ["trade_id"]
[options]
url = "{rest}/api/v3/trades?symbol=BTCUSDT&limit=1000&startTime={{date_ms}}"
{columns}
[known]
column = "ts_event"
"""


def units(text: str) -> int:
    return int(Decimal(text) * 10**8)


def told(exchange: str, answer: Any) -> list[tuple[str, int, str, int, int]]:  # noqa: ANN401  # as JSON has it
    """Number, time in ms, side that took, price and quantity of each trade, as the wire writes them."""
    if exchange == "binance":
        return [
            (str(t["id"]), t["time"], "sell" if t["isBuyerMaker"] else "buy", units(t["price"]), units(t["qty"]))
            for t in answer
        ]
    if exchange == "kraken":
        (trades,) = [trades for name, trades in answer["result"].items() if name != "last"]
        return [
            (str(t[6]), round(t[2] * 1000), {"b": "buy", "s": "sell"}[t[3]], units(t[0]), units(t[1])) for t in trades
        ]
    rested = {"BUY": "sell", "SELL": "buy"}  # it names the order that rested
    ms = [round(datetime.fromisoformat(t["time"]).timestamp() * 1000) for t in answer["trades"]]
    return [
        (t["trade_id"], at, rested[t["side"]], units(t["price"]), units(t["size"]))
        for t, at in reversed(list(zip(answer["trades"], ms, strict=True)))
    ]


@pytest.mark.parametrize("exchange", TAPES)
def test_trades_of_the_venue_server_are_what_its_wire_tells(tmp_path: Path, exchange: str) -> None:
    place, more = TAPES[exchange]
    with played(tmp_path, exchange, 5) as rest:
        with urllib.request.urlopen(f"{rest}{place}", timeout=60) as answer:
            wanted = told(exchange, json.load(answer))
        if exchange == "binance":  # ccxt asks Binance for aggregated trades, which the server does not have
            types = {"trade_id": ("id", "text"), "ts_event": ("time", "time"), "price": ("price", "decimal")}
            types |= {"quantity": ("qty", "decimal"), "side": ("isBuyerMaker", "text")}
            columns = "".join(
                f'[[column]]\nname = "{name}"\nfrom = "{member}"\ntype = "{kind}"\n'
                for name, (member, kind) in types.items()
            )
            (tmp_path / "market.toml").write_text(RECENT.format(rest=rest, day=DAY, columns=columns))
            rows = landed(source_of(read_definition(tmp_path / "market.toml")), tmp_path)
            rows = rows.with_columns(pl.col("side").replace({"true": "sell", "false": "buy"}))
        else:
            rows = landed(asked_of(tmp_path, exchange, rest, f'data = "trades"\n{more}'), tmp_path)
    found = rows.select("trade_id", pl.col("ts_event") // 10**6, "side", "price", "quantity").rows()
    assert found == wanted
    assert len(wanted) > 100
    assert wanted[0][1] == DAY_MS  # a trade at the very begin of the day counts
    assert rows["payload"].n_unique() > (5 if exchange == "kraken" else 0)
    assert {row[2] for row in found} == {"buy", "sell"}


def test_an_exchange_that_wants_an_end_is_asked_for_shorter_times_until_a_page_holds_all(tmp_path: Path) -> None:
    stamps = [DAY_MS + number * 1_500 for number in range(120)] + [DAY_MS + 80_000_000 + n * 10_000 for n in range(30)]
    asked_for = []

    def newest(asked: Asked) -> Reply:
        if asked.path.endswith("/ticker"):
            first, last = (int(asked.query[end]) * 1_000 for end in ("start", "end"))
            asked_for.append((first, last))
            within = [at for at in stamps if first <= at <= last][::-1][: int(asked.query["limit"])]
            trades = [
                {
                    "trade_id": str(stamps.index(at)),
                    "product_id": "BTC-USD",
                    "price": "42000.5",
                    "size": "0.1",
                    "time": datetime.fromtimestamp(at / 1000, UTC).isoformat().replace("+00:00", "Z"),
                    "side": "SELL",
                }
                for at in within
            ]
            return Reply(json.dumps({"trades": trades}).encode())
        is_spot = asked.query.get("product_type", "SPOT") == "SPOT"
        return Reply(json.dumps(PRODUCTS if is_spot else {"products": [], "num_products": 0}).encode())

    with serving(newest) as server:
        source = asked_of(tmp_path, "coinbase", server.url, 'data = "trades"\nlimit = 50\n')
        rows = landed(source, tmp_path)
    assert rows["trade_id"].to_list() == [str(number) for number in range(150)]
    assert set(rows["side"]) == {"buy"}
    assert len(asked_for) < 60


PRODUCTS = {
    "products": [
        {
            "product_id": "BTC-USD",
            "base_currency_id": "BTC",
            "quote_currency_id": "USD",
            "base_increment": "0.00000001",
            "quote_increment": "0.01",
            "price_increment": "0.01",
            "base_min_size": "0.00000001",
            "base_max_size": "3400",
            "quote_min_size": "1",
            "quote_max_size": "150000000",
            "status": "online",
            "product_type": "SPOT",
            "price": "42000",
        }
    ],
    "num_products": 1,
}

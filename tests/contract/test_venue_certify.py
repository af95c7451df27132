"""`py_rt venue certify` against the venue server: a healthy wire of each venue, and faults that must show."""

from __future__ import annotations

import base64
import hashlib
import json
import os
import shutil
import signal
import subprocess
import sys
import urllib.request
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any

import pytest
from cryptography.hazmat.primitives import serialization
from cryptography.hazmat.primitives.asymmetric import ec

from py_rt.bundle.certificate import Certificates
from tests.contract.live_service import BAR_MS, FIRST_OPEN_NS, HISTORY, ROOT, SPAN_NS, bars_csv, find_command, until
from tests.processes import session

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator

pytestmark = pytest.mark.e2e

MAIN = "import sys; from py_rt.cli.main import main; sys.exit(main(sys.argv[1:]))"
AS_EXPECTED, DIFFERS, WRONG, REFUSED, UNUSABLE = 0, 1, 2, 3, 4
PATIENCE_S = 120.0
SYMBOLS = {"binance": "BTCUSDT", "kraken": "BTC/USD", "coinbase": "BTC-USD"}
KEYS = {"binance": "key-of-the-tour", "kraken": "key-of-the-tour", "coinbase": "organizations/tour/apiKeys/tour"}
NOT_OFFERED = {
    "binance": {"dead man's switch"},
    "kraken": set(),
    "coinbase": {"order entry over a socket", "dead man's switch"},
}

CONFIG = """
[service]
name = "tour"
stage = "paper"
run_folder = "run"
bundle_store = "bundles"
trusted_keys_file = "trusted_keys.toml"
risk_limits_file = "risk_limits.toml"
portfolio_currency = "USDT"
[venue]
name = "{venue}"
rest_url = "{rest}"
ws_url = "{ws}"
ws_api_url = "{account}"
[[instrument]]
symbol = "{symbol}"
[[slot]]
id = 1
symbol = "{symbol}"
capital = 1000.0
[engine]
bar_seconds = 900
"""


def secret_of(venue: str) -> str:
    if venue == "coinbase":
        form = serialization.PrivateFormat.TraditionalOpenSSL
        key = ec.generate_private_key(ec.SECP256R1())
        pem = key.private_bytes(serialization.Encoding.PEM, form, serialization.NoEncryption()).decode()
        return pem.strip().replace("\n", "\\n")
    return base64.b64encode(b"secret of the tour, long enough").decode()


@dataclass
class Venue:
    """A venue server, and a home from which it is toured."""

    name: str
    home: Path
    secret: str
    rest: str

    def fault(self, kind: str, **fields: object) -> None:
        body = json.dumps({"kind": kind, **fields}).encode()
        with urllib.request.urlopen(f"{self.rest}/admin/faults", data=body, timeout=10) as answer:
            assert answer.status == 200

    def state(self) -> dict[str, Any]:
        with urllib.request.urlopen(f"{self.rest}/admin/state", timeout=10) as answer:
            state: dict[str, Any] = json.load(answer)
        return state

    def account(self) -> dict[str, Any]:
        account: dict[str, Any] = self.state()["accounts"][0]
        return account

    def environment(self) -> dict[str, str]:
        folder = find_command("py_rt_certify").parent
        prefix = f"PY_RT_{self.name.upper()}_API"
        return {
            **os.environ,
            "PATH": f"{folder}{os.pathsep}{os.environ.get('PATH', '')}",
            "PY_RT_HOME": str(self.home),
            f"{prefix}_KEY": KEYS[self.name],
            f"{prefix}_SECRET": self.secret,
        }

    def command(self, *options: str) -> list[str]:
        line = [sys.executable, "-c", MAIN, "venue", "certify", self.name]
        return [*line, "--config", str(self.home / "service.toml"), *options]

    def toured(self, *options: str, status: int) -> str:
        """What the command said, on either way."""
        pipes: dict[str, Any] = {"capture_output": True, "text": True, "stdin": subprocess.DEVNULL}
        done = subprocess.run(
            self.command(*options), check=False, cwd=ROOT, env=self.environment(), timeout=PATIENCE_S, **pipes
        )
        assert done.returncode == status, done.stdout + done.stderr
        for secret in (self.secret, *self.secret.split("\\n")[1:-1]):
            assert secret not in done.stdout + done.stderr
        said: str = done.stdout + done.stderr
        return said

    def certificate(self, *options: str, status: int) -> dict[str, Any]:
        found: dict[str, Any] = json.loads(self.toured(*options, "--json", status=status))
        return found

    def certificates(self) -> list[Path]:
        return sorted((self.home / "certificates").glob("*"))


@contextmanager
def serving(name: str, home: Path) -> Iterator[Venue]:
    bars = home / "bars.csv"
    bars.write_text(bars_csv(), encoding="utf-8")
    first = FIRST_OPEN_NS + HISTORY * SPAN_NS
    line = [str(find_command("py_rt_venue_server")), "--venue", name, "--bars", str(bars), "--seed", "7"]
    line += ["--bar-ms", str(BAR_MS), "--from", str(first), "--warmup-bars", str(HISTORY)]
    secret = secret_of(name)
    environment = {**os.environ, "PY_RT_VENUE_KEYS": f"{KEYS[name]}:{secret}"}
    with session(line, stdout=subprocess.PIPE, env=environment) as server:
        assert server.stdout is not None
        ready = json.loads(server.stdout.readline())
        text = CONFIG.format(
            venue=name,
            symbol=SYMBOLS[name],
            rest=ready["rest"],
            ws=ready["ws"],
            account=ready.get("ws_api", ready["ws"]),
        )
        (home / "service.toml").write_text(text, encoding="utf-8")
        yield Venue(name, home, secret, ready["rest"])


@pytest.fixture
def serve(tmp_path: Path) -> Iterator[Callable[[str], Venue]]:
    """Starts the venue of a name."""
    stack = []

    def start(name: str) -> Venue:
        context = serving(name, tmp_path)
        stack.append(context)
        return context.__enter__()

    yield start
    for context in stack:
        context.__exit__(None, None, None)


def outcomes(certificate: dict[str, Any]) -> dict[str, str]:
    return {step["name"]: step["outcome"] for step in certificate["steps"]}


def step(certificate: dict[str, Any], name: str) -> dict[str, Any]:
    found: dict[str, Any] = next(step for step in certificate["steps"] if step["name"] == name)
    return found


@pytest.mark.parametrize("name", SYMBOLS)
def test_a_healthy_wire_is_certified_and_nothing_is_left_of_the_tour(serve: Callable[[str], Venue], name: str) -> None:
    venue = serve(name)
    certificate = venue.certificate("--trade", status=AS_EXPECTED)
    assert certificate["differences"] == []
    found = outcomes(certificate)
    assert {step for step, outcome in found.items() if outcome == "not_offered"} == NOT_OFFERED[name]
    assert set(found.values()) <= {"as_expected", "not_offered"}
    assert len(found) >= 25
    account = venue.account()
    assert account["open_orders"] == []
    assert account["orders"] >= 4
    assert account["fills"] >= 1
    path = venue.home / "certificates"
    (file,) = venue.certificates()
    kept = json.loads(file.read_text(encoding="utf-8"))
    assert {**kept, "certificate": str(file)} == certificate
    installed = shutil.which("py_rt_certify", path=str(Path(sys.executable).parent))
    binary = Path(installed) if installed else find_command("py_rt_certify")
    assert kept["binary"]["sha256"] == hashlib.sha256(binary.read_bytes()).hexdigest()
    assert (kept["network"], kept["venue"], kept["symbol"]) == ("loopback", name, SYMBOLS[name])
    assert venue.secret not in file.read_text(encoding="utf-8")
    # What a server on this machine says proves nothing of the venue.
    gate = Certificates(path, kept["ended_at_ns"]).gate(SYMBOLS[name])
    assert gate.passed is None


@pytest.mark.parametrize("name", SYMBOLS)
def test_a_key_that_may_withdraw_is_refused_before_anything_is_placed(serve: Callable[[str], Venue], name: str) -> None:
    venue = serve(name)
    venue.fault("key_rights", withdraw=True)
    said = venue.toured(status=REFUSED)
    assert f"PY_RT_{name.upper()}_API_KEY may withdraw funds" in said
    assert venue.account()["orders"] == 0
    assert venue.certificates() == []


RIGHTS = {
    "binance": "/sapi/v1/account/apiRestrictions",
    "kraken": "/0/private/GetApiKeyInfo",
    "coinbase": "/api/v3/brokerage/key_permissions",
}


@pytest.mark.parametrize("name", RIGHTS)
def test_a_key_whose_rights_are_not_told_is_refused_before_anything_is_placed(
    serve: Callable[[str], Venue], name: str
) -> None:
    venue = serve(name)
    venue.fault("rewrite_answer", path=RIGHTS[name], **{"from": "{", "to": "<html>{"}, count=100)
    said = venue.toured(status=UNUSABLE)
    assert "the venue could not be used" in said
    assert venue.account()["orders"] == 0
    assert venue.certificates() == []


FOREIGN = {
    "refid": None,
    "userref": None,
    "status": "open",
    "opentm": 1.0,
    "starttm": 0,
    "expiretm": 0,
    "descr": {
        "pair": "ETHUSD",
        "type": "buy",
        "ordertype": "limit",
        "price": "1.0",
        "price2": "0",
        "leverage": "none",
        "order": "buy 1.0 ETHUSD @ limit 1.0",
        "close": "",
    },
    **dict.fromkeys(("vol", "vol_exec", "cost", "fee", "price", "stopprice", "limitprice"), "0.0"),
    "misc": "",
    "oflags": "fciq",
}


def test_the_switch_of_a_whole_account_is_not_tried_where_another_pair_has_an_order(
    serve: Callable[[str], Venue],
) -> None:
    venue = serve("kraken")
    listed = json.dumps({"open": {"OAAAAA-BBBBB-CCCCCC": FOREIGN}})[1:-1]
    venue.fault("rewrite_answer", path="/0/private/OpenOrders", **{"from": '"open":{}', "to": listed}, count=100_000)
    certificate = venue.certificate(status=DIFFERS)
    switch = step(certificate, "dead man's switch")
    assert switch["outcome"] == "not_tried"
    assert "1 open orders of the account are not the tour's" in switch["seen"][0]
    found = outcomes(certificate)
    assert "dead man's switch taken off" not in found
    # Of the toured pair alone: nothing is in its way.
    assert found["cancel all"] == "as_expected"


@pytest.mark.parametrize("name", SYMBOLS)
def test_an_order_of_unknown_outcome_differs_and_is_taken_back(serve: Callable[[str], Venue], name: str) -> None:
    venue = serve(name)
    venue.fault("unknown_outcome", request="place", executed=True, answer="http502")
    certificate = venue.certificate(status=DIFFERS)
    placed = step(certificate, "post-only order placed")
    assert placed["outcome"] == "differs"
    assert "OutcomeUnknown" in placed["seen"][0]
    assert outcomes(certificate)["nothing left resting"] == "as_expected"
    assert venue.account()["open_orders"] == []
    assert certificate["verdict"] == "differs"


@pytest.mark.parametrize(
    ("name", "message"), [("binance", "Account is on fire."), ("kraken", "EOrder:On fire"), ("coinbase", "ON_FIRE")]
)
def test_a_cancel_that_is_refused_differs_with_the_venue_s_words_and_is_made_up_for(
    serve: Callable[[str], Venue], name: str, message: str
) -> None:
    venue = serve(name)
    venue.fault("reject", request="cancel", code=-2010, message=message)
    certificate = venue.certificate("--patience-s", "5", status=DIFFERS)
    canceled = step(certificate, "order canceled")
    assert canceled["outcome"] == "differs"
    assert any(message in word for word in canceled["words"]), canceled
    # The others are asked all the same.
    assert outcomes(certificate)["bad signature refused"] == "as_expected"
    assert venue.account()["open_orders"] == []


STRAYS = {
    "binance": [
        ("market", '{"stream":"btcusdt@news","data":{"e":"news","E":1}}', "a kind that this build does not know"),
        ("account", '{"subscriptionId":0,"event":{"e":"accountNews","E":1}}', "a word that this build does not know"),
    ],
    "kraken": [
        ("market", '{"channel":"news","type":"update","data":[]}', "a kind that this build does not know"),
        (
            "account",
            '{"channel":"news","type":"update","data":[],"sequence":1}',
            "a word that this build does not know",
        ),
    ],
    "coinbase": [
        ("market", '{"channel":"news","events":[]}', "a kind of message that this build does not know"),
        ("account", '{"channel":"news","events":[]}', "a kind of message that this build does not know"),
    ],
}


@pytest.mark.parametrize("name", STRAYS)
def test_what_nobody_expects_is_written_down_word_by_word(serve: Callable[[str], Venue], name: str) -> None:
    venue = serve(name)
    # The tour is held at a cancel while the strays are sent.
    venue.fault("delay", request="cancel", ms=3_000)
    pipes: dict[str, Any] = {"stdout": subprocess.PIPE, "stderr": subprocess.PIPE}
    line = venue.command("--json")
    with session(line, cwd=ROOT, env=venue.environment(), **pipes) as tour:
        until(lambda: bool(venue.account()["orders"]), "an order")
        for target, text, _ in STRAYS[name]:
            venue.fault("stray", target=target, text=text)
        out, said = tour.communicate(timeout=PATIENCE_S)
        assert tour.returncode == DIFFERS, out + said
    found = {(one["what"], one["text"]) for one in json.loads(out)["differences"]}
    assert {(what, text) for _, text, what in STRAYS[name]} <= found


MORE = "a field that this build does not know"
CHANGED: dict[str, list[tuple[str, str, str, set[tuple[str, str, bool]]]]] = {
    "binance": [
        (
            "/api/v3/exchangeInfo",
            '"icebergAllowed":',
            '"icebergs":[],"icebergAllowed":',
            {("exchangeInfo", f"symbols[].icebergs: {MORE}", True)},
        ),
        (
            "/api/v3/exchangeInfo",
            '"ocoAllowed":',
            '"oco":',
            {
                ("exchangeInfo", "symbols[].ocoAllowed: missing", False),
                ("exchangeInfo", f"symbols[].oco: {MORE}", True),
            },
        ),
        ("trade", '"M":', '"M":{},"N":', {("market streams: trade", "data.M: object, not bool", False)}),
        ("account", '"g":', '"gg":', {("account stream: executionReport", "event.g: missing", False)}),
    ],
    "kraken": [
        (
            "/0/public/AssetPairs",
            '"margin_stop":',
            '"news":[],"margin_stop":',
            {("asset pairs", f"result.*.news: {MORE}", True)},
        ),
        (
            "/0/public/AssetPairs",
            '"margin_call":',
            '"call":',
            {("asset pairs", "result.*.margin_call: missing", False)},
        ),
        (
            "trade",
            '"ord_type":"',
            '"ord_type":{},"was":"',
            {("market streams: trade update", "data[].ord_type: object, not text", False)},
        ),
        (
            "account",
            '"order_status":',
            '"status":',
            {("account stream: executions update", "data[].order_status: missing", False)},
        ),
    ],
    "coinbase": [
        (
            "/api/v3/brokerage/market/products",
            '"watched":',
            '"news":[],"watched":',
            {("products", f"products[].news: {MORE}", True)},
        ),
        (
            "/api/v3/brokerage/market/products",
            '"view_only":',
            '"viewed":',
            {("products", "products[].view_only: missing", False)},
        ),
        (
            "quote",
            '"high_52_w":',
            '"high_52_w":7,"was":',
            {("market streams: ticker update", "events[].tickers[].high_52_w: integer, not text", False)},
        ),
        (
            "account",
            '"creation_time":',
            '"created":',
            {("account stream: user update", "events[].orders[].creation_time: missing", False)},
        ),
    ],
}
"""In the answer to a path, or in a message of a class: what becomes of which text, and what is found."""


@pytest.mark.parametrize("name", CHANGED)
def test_a_field_more_a_missing_one_and_another_type_are_written_down(serve: Callable[[str], Venue], name: str) -> None:
    venue = serve(name)
    for place, before, after, _ in CHANGED[name]:
        where = {"path": place} if place.startswith("/") else {"class": place}
        fault = "rewrite_answer" if "path" in where else "rewrite_frame"
        venue.fault(fault, **where, **{"from": before, "to": after})
    certificate = venue.certificate("--patience-s", "10", status=DIFFERS)
    found = {(one["place"], one["what"], one["is_addition"]) for one in certificate["differences"]}
    for *_, expected in CHANGED[name]:
        assert expected <= found
    assert venue.account()["open_orders"] == []


def test_what_only_the_slow_reader_can_read_differs(serve: Callable[[str], Venue]) -> None:
    venue = serve("binance")
    venue.fault("delay", request="cancel", ms=3_000)
    pipes: dict[str, Any] = {"stdout": subprocess.PIPE, "stderr": subprocess.PIPE}
    ticker = '{"stream":"btcusdt@bookTicker", "data":{"u":1,"s":"BTCUSDT","b":"1.00","B":"1","a":"2.00","A":"1"}}'
    with session(venue.command("--json"), cwd=ROOT, env=venue.environment(), **pipes) as tour:
        until(lambda: bool(venue.account()["orders"]), "an order")
        venue.fault("stray", target="market", text=ticker)
        out, said = tour.communicate(timeout=PATIENCE_S)
    assert tour.returncode == DIFFERS, out + said
    assert ("only the slow reader could read it", ticker) in {
        (one["what"], one["text"]) for one in json.loads(out)["differences"]
    }


@pytest.mark.parametrize(
    ("name", "kind", "fields", "differing"),
    [
        ("binance", "mode", {"mode": "cancel_only"}, "rules"),
        ("kraken", "bad_checksum", {"count": 3}, "market streams to the end"),
        ("coinbase", "frames", {"class": "book", "fault": "drop", "count": 3}, "market streams to the end"),
        (
            "binance",
            "frames",
            {"class": "account", "fault": "drop", "count": 5_000},
            "order told by the account's stream",
        ),
        (
            "kraken",
            "frames",
            {"class": "account", "fault": "drop", "count": 5_000},
            "order told by the account's stream",
        ),
        (
            "coinbase",
            "frames",
            {"class": "account", "fault": "drop", "count": 5_000},
            "order told by the account's stream",
        ),
        ("binance", "silence", {"ms": 600_000}, "market streams"),
        ("kraken", "silence", {"ms": 600_000}, "market streams"),
        ("coinbase", "silence", {"ms": 600_000}, "market streams"),
    ],
)
def test_a_fault_of_the_wire_shows_in_its_step(
    serve: Callable[[str], Venue], name: str, kind: str, fields: dict[str, object], differing: str
) -> None:
    venue = serve(name)
    venue.fault(kind, **fields)
    certificate = venue.certificate("--patience-s", "4", status=DIFFERS)
    assert outcomes(certificate)[differing] == "differs"
    assert venue.account()["open_orders"] == []


@pytest.mark.parametrize(
    ("name", "stop"),
    [
        ("binance", signal.SIGINT),
        ("kraken", signal.SIGINT),
        ("coinbase", signal.SIGINT),
        ("binance", signal.SIGTERM),
        ("binance", signal.SIGHUP),
    ],
)
def test_a_tour_that_is_stopped_takes_its_order_back_and_says_so(
    serve: Callable[[str], Venue], name: str, stop: signal.Signals
) -> None:
    venue = serve(name)
    # The stream never tells of the order that rests: the tour waits there.
    venue.fault("frames", **{"class": "account", "fault": "drop", "count": 5_000})
    pipes: dict[str, Any] = {"stdout": subprocess.PIPE, "stderr": subprocess.PIPE}
    with session(venue.command("--json"), cwd=ROOT, env=venue.environment(), **pipes) as tour:
        until(lambda: bool(venue.account()["open_orders"]), "an order at rest")
        # What rests cannot even be asked for.
        venue.fault("reject", request="query", code=-1102, message="EGeneral:Not now", count=2)
        tour.send_signal(stop)
        out, said = tour.communicate(timeout=PATIENCE_S)
        assert tour.returncode == DIFFERS, said
    certificate = json.loads(out)
    assert step(certificate, "whole tour")["outcome"] == "not_tried"
    assert step(certificate, "nothing left resting")["outcome"] == "as_expected"
    assert venue.account()["open_orders"] == []
    assert len(venue.certificates()) == 1


def test_orders_dearer_than_allowed_are_not_placed(serve: Callable[[str], Venue]) -> None:
    venue = serve("binance")
    certificate = venue.certificate("--max-notional", "0.01", status=DIFFERS)
    assert step(certificate, "post-only order placed")["outcome"] == "not_tried"
    assert "more than --max-notional 0.01" in step(certificate, "post-only order placed")["seen"][0]
    assert certificate["verdict"] == "not_tried"
    assert venue.account()["orders"] == 0


def test_real_money_needs_consent_with_the_largest_amount_named(serve: Callable[[str], Venue]) -> None:
    venue = serve("kraken")
    said = venue.toured("--production", "--max-notional", "12.5", status=REFUSED)
    assert "https://api.kraken.com" in said
    assert "at most 12.5" in said
    # The command below asks for it as well, whoever starts it.
    line = [str(find_command("py_rt_certify")), "--config", str(venue.home / "service.toml"), "--production"]
    for consent in ([], ["--consent", venue.rest]):
        done = subprocess.run(
            [*line, *consent],
            check=False,
            capture_output=True,
            text=True,
            env=venue.environment(),
            timeout=PATIENCE_S,
        )
        assert (done.returncode, done.stdout) == (REFUSED, ""), "agreed to another address"
        assert "nothing was sent" in done.stderr
    assert "kraken has no test network" in venue.toured("--testnet", status=WRONG)


def test_somebody_elses_server_needs_consent_too(serve: Callable[[str], Venue]) -> None:
    venue = serve("binance")
    file = venue.home / "service.toml"
    text = file.read_text(encoding="utf-8")
    port = venue.rest.rpartition(":")[2]
    for scheme in ("http", "ws"):
        text = text.replace(f"{scheme}://127.0.0.1:{port}", f"{scheme}s://venue.example.org:{port}")
    file.write_text(text, encoding="utf-8")
    assert "whatever money stands behind this address" in venue.toured("--trade", status=REFUSED)


def test_what_is_asked_for_wrongly_is_told(serve: Callable[[str], Venue], monkeypatch: pytest.MonkeyPatch) -> None:
    venue = serve("binance")
    file = venue.home / "service.toml"
    other = Venue("kraken", venue.home, venue.secret, venue.rest)
    assert "is a file of binance, not of kraken" in other.toured(status=WRONG)
    assert "--max-notional" in venue.toured("--max-notional", "-1", status=WRONG)
    environment = venue.environment()
    del environment["PY_RT_BINANCE_API_SECRET"]
    monkeypatch.setattr(Venue, "environment", lambda _: environment)
    assert "PY_RT_BINANCE_API_SECRET is not set" in venue.toured(status=WRONG)
    file.write_text(file.read_text(encoding="utf-8").replace("rest_url", "rest_ulr"), encoding="utf-8")
    assert "did you mean" in venue.toured(status=WRONG)
    assert venue.certificates() == []

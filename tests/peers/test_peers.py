"""Clients that we did not write, unchanged, against the simulated venue on each of its wires.

They live in an environment of their own (`make peers`); each runs as a script of `clients/` there. A book counts as
the venue's when its best levels are those that the venue's own depth call gives, asked without a library in between.
"""

from __future__ import annotations

import datetime as dt
import json
import os
import ssl
import subprocess
import time
import urllib.request
from contextlib import contextmanager
from pathlib import Path
from typing import TYPE_CHECKING, Any

import pytest
from cryptography import x509
from cryptography.hazmat.primitives import hashes, serialization
from cryptography.hazmat.primitives.asymmetric import ec

from tests.contract.test_venue_server_ccxt import COMMAND, find_command

if TYPE_CHECKING:
    from collections.abc import Iterator

ROOT = Path(__file__).resolve().parents[2]
CLIENTS = Path(__file__).parent / "clients"
PEERS = Path(os.environ.get("PY_RT_PEERS", ROOT / ".peers"))
SPAN_S = 900
BARS = 12
TICK = 1 / 256

pytestmark = [
    pytest.mark.e2e,
    pytest.mark.skipif(
        not (PEERS / "bin" / "python").exists(),
        reason=f"the environment of foreign clients is not at {PEERS}: run `make peers`",
    ),
]


def private_key() -> str:
    """A key of Coinbase's wire."""
    key = ec.generate_private_key(ec.SECP256R1())
    form = serialization.PrivateFormat.TraditionalOpenSSL
    return key.private_bytes(serialization.Encoding.PEM, form, serialization.NoEncryption()).decode()


KEYS = {
    "binance": ("key_of_the_foreign_client", "secret_of_the_foreign_client"),
    "kraken": ("key_of_the_foreign_client", "c2VjcmV0X29mX3RoZV9mb3JlaWduX2NsaWVudA=="),
    "coinbase": ("organizations/one/apiKeys/alpha", private_key()),
}


def certificate(folder: Path) -> tuple[Path, Path]:
    """A certificate for this machine that signs itself, and its key."""
    key = ec.generate_private_key(ec.SECP256R1())
    name = x509.Name([x509.NameAttribute(x509.NameOID.COMMON_NAME, "localhost")])
    now = dt.datetime.now(dt.UTC)
    built = (
        x509.CertificateBuilder()
        .subject_name(name)
        .issuer_name(name)
        .public_key(key.public_key())
        .serial_number(x509.random_serial_number())
        .not_valid_before(now - dt.timedelta(days=1))
        .not_valid_after(now + dt.timedelta(days=1))
        .add_extension(x509.SubjectAlternativeName([x509.DNSName("localhost")]), critical=False)
        .add_extension(x509.BasicConstraints(ca=True, path_length=None), critical=True)
        .sign(key, hashes.SHA256())
    )
    cert_file, key_file = folder / "cert.pem", folder / "key.pem"
    cert_file.write_bytes(built.public_bytes(serialization.Encoding.PEM))
    form = serialization.PrivateFormat.PKCS8
    key_file.write_bytes(key.private_bytes(serialization.Encoding.PEM, form, serialization.NoEncryption()))
    return cert_file, key_file


def bars_csv(opens_s: int) -> str:
    """Bars around 40,000: these clients sign with their own clocks, so the record begins about now."""
    lines = ["ts_open,open,high,low,close,volume"]
    for number in range(BARS):
        open_, high, low, close = (40_000 + (number * 37 % 411 + move) * TICK for move in (0, 9_001, -8_000, 500))
        lines.append(f"{(opens_s + number * SPAN_S) * 1_000_000_000},{open_},{high},{low},{close},321.5")
    return "\n".join(lines) + "\n"


@contextmanager
def served(venue: str, folder: Path, *, tls: bool = False) -> Iterator[dict[str, Any]]:
    """A server whose time stands until a script moves it; what a script is told of it."""
    command = find_command()
    if command is None:
        pytest.skip(f"{COMMAND} is not built: run `cargo build -p venue_server`, or name it in PY_RT_VENUE_SERVER")
    opens_s = int(time.time()) // SPAN_S * SPAN_S
    bars = folder / "bars.csv"
    bars.write_text(bars_csv(opens_s))
    arguments = ["--venue", venue, "--bars", str(bars), "--seed", "5", "--bar-ms", "1000", "--start-paused"]
    key, secret = KEYS[venue]
    given: dict[str, Any] = {"key": key, "secret": secret}
    if tls:
        cert_file, key_file = certificate(folder)
        arguments += ["--tls-cert", str(cert_file), "--tls-key", str(key_file)]
        given["cert"] = str(cert_file)
    secret_line = secret.replace("\n", "\\n")
    environment = {**os.environ, "PY_RT_VENUE_KEYS": f"{key}:{secret_line}"}
    with subprocess.Popen([command, *arguments], stdout=subprocess.PIPE, text=True, env=environment) as process:
        try:
            assert process.stdout is not None
            ready = json.loads(process.stdout.readline())
            # The certificate is for a name, not for an address.
            given["rest"], given["ws"] = (ready[name].replace("127.0.0.1", "localhost") for name in ("rest", "ws"))
            if tls and venue == "kraken":
                given["ws"] = ready["ws_v1"].replace("127.0.0.1", "localhost")
            advance(given, (int(time.time()) - opens_s) * 1_000 + 1_000)
            yield given
        finally:
            process.terminate()
            assert process.wait(timeout=20) == 0


def advance(given: dict[str, Any], ms: int) -> None:
    context = ssl.create_default_context(cafile=given["cert"]) if "cert" in given else None
    data = json.dumps({"ms": ms}).encode()
    request = urllib.request.Request(f"{given['rest']}/admin/advance", data, method="POST")
    with urllib.request.urlopen(request, timeout=10, context=context) as answer:
        answer.read()


def run(script: str, given: dict[str, Any], folder: Path, *arguments: str) -> dict[str, Any]:
    """Runs a client's script in the clients' environment; what it reports."""
    environment = {**os.environ, "PYTHONPATH": str(ROOT)}
    if "cert" in given:
        environment |= {"SSL_CERT_FILE": given["cert"], "REQUESTS_CA_BUNDLE": given["cert"]}
    done = subprocess.run(
        [PEERS / "bin" / "python", CLIENTS / script, *arguments],
        input=json.dumps(given), capture_output=True, text=True, cwd=folder, env=environment, timeout=240, check=False,
    )  # fmt: skip
    assert done.returncode == 0, f"{script}: {done.stderr[-4_000:]}"
    report: dict[str, Any] = json.loads(done.stdout)
    return report


def test_ccxt_trades_on_binances_wire_and_builds_its_book(tmp_path: Path) -> None:
    with served("binance", tmp_path) as given:
        report = run("ccxt_binance.py", given, tmp_path)
    assert report["order"] == ["open", 39_900, True, "canceled"]
    assert report["books"] >= 20
    errors = report["errors"]
    assert errors["signature"][0] == "AuthenticationError"
    assert errors["stale"][0] == "InvalidNonce"
    assert errors["symbol"][0] == "BadSymbol"
    assert "NOTIONAL" in errors["filter"][1]


def test_python_binance_trades_and_builds_its_book(tmp_path: Path) -> None:
    with served("binance", tmp_path) as given:
        report = run("python_binance.py", given, tmp_path)
    assert report["order"] == ["NEW", 39_900, True, "CANCELED"]
    assert report["books"] >= 20
    expected = {"signature": "code=-1022", "stale": "code=-1021", "symbol": "code=-1121", "filter": "NOTIONAL"}
    assert {name: word in report["errors"][name][1] for name, word in expected.items()} == dict.fromkeys(expected, True)


def test_binance_connector_trades_and_its_socket_brings_the_book(tmp_path: Path) -> None:
    with served("binance", tmp_path) as given:
        report = run("binance_connector.py", given, tmp_path)
    assert report["order"] == ["NEW", 39_900, True, "CANCELED"]
    assert report["books"] >= 20
    expected = {"signature": "-1022", "symbol": "-1121", "filter": "NOTIONAL"}
    assert {name: word in report["errors"][name][1] for name, word in expected.items()} == dict.fromkeys(expected, True)


def test_cryptofeed_builds_binances_book_over_tls(tmp_path: Path) -> None:
    with served("binance", tmp_path, tls=True) as given:
        report = run("cryptofeed_books.py", given, tmp_path, "binance")
    assert report["books"] == 20


def test_websocat_prints_what_comes(tmp_path: Path) -> None:
    with served("binance", tmp_path) as given:
        listening = subprocess.Popen(
            [PEERS / "bin" / "websocat", "-n", "-1", f"{given['ws']}/ws/btcusdt@trade"],
            stdout=subprocess.PIPE, stdin=subprocess.DEVNULL, text=True,
        )  # fmt: skip
        try:
            deadline = time.monotonic() + 20
            while connections(given) == 0:
                assert time.monotonic() < deadline, "websocat does not connect"
            advance(given, 600_000)
            assert listening.stdout is not None
            trade = json.loads(listening.stdout.readline())
            assert (trade["e"], trade["s"]) == ("trade", "BTCUSDT")
        finally:
            listening.kill()
            listening.wait()


def connections(given: dict[str, Any]) -> int:
    with urllib.request.urlopen(f"{given['rest']}/admin/state", timeout=10) as answer:
        market: int = json.load(answer)["connections"]["market"]
    return market


def test_ccxt_trades_on_krakens_wire_and_builds_its_book(tmp_path: Path) -> None:
    with served("kraken", tmp_path) as given:
        report = run("ccxt_kraken.py", given, tmp_path)
    assert report["order"] == ["open", 39_900, True, "canceled"]
    assert report["filled"] == pytest.approx(0.02)
    assert report["balance"] == pytest.approx(10.02)
    assert (report["books"], report["told"]) == (20, True)
    expected = {
        "signature": "EAPI:Invalid signature",
        "symbol": "EQuery:Unknown asset pair",
        "filter": "EOrder:Order minimum not met",
        "stale": "EService:Deadline elapsed",
    }
    assert {name: word in report["errors"][name][1] for name, word in expected.items()} == dict.fromkeys(expected, True)


def test_cryptofeed_verifies_krakens_checksums_over_tls(tmp_path: Path) -> None:
    with served("kraken", tmp_path, tls=True) as given:
        report = run("cryptofeed_books.py", given, tmp_path, "kraken")
    assert report["books"] == 20
    assert report["checksums"] >= 15


def test_ccxt_trades_on_coinbases_wire_and_builds_its_book(tmp_path: Path) -> None:
    with served("coinbase", tmp_path) as given:
        report = run("ccxt_coinbase.py", given, tmp_path)
    assert report["order"] == ["open", 39_900, True, "canceled"]
    assert report["filled"] == pytest.approx(800, rel=1e-3)
    assert report["books"] == 20
    kinds = {name: error[0] for name, error in report["errors"].items()}
    assert (kinds["signature"], kinds["stale"]) == ("AuthenticationError", "AuthenticationError")
    assert "Order size too small" in report["errors"]["filter"][1]
    assert "product_id" in report["errors"]["symbol"][1]

"""The built service beside the built venue server, with keys of every role and a bundle that may be deployed."""

from __future__ import annotations

import json
import os
import shutil
import subprocess
import sys
import time
import urllib.request
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any, Self

import pytest
from cryptography.hazmat.primitives import serialization
from cryptography.hazmat.primitives.asymmetric import ec

from py_rt.bridge.commands import CommandClient, Signer
from py_rt.bundle.keys import TRUSTED_KEYS, create_key, key_path
from tests import golden_bundle

if TYPE_CHECKING:
    from collections.abc import Callable
    from types import TracebackType

ROOT = Path(__file__).resolve().parents[2]
INSTANCE = "contract"
SLOT = golden_bundle.SLOT
ROLES = ("viewer", "operator", "deployer", "killer")
API_KEY = "key_of_the_contract_test"
SECRET = "secret_of_the_contract_test"
SPAN_NS = 900 * 10**9
FIRST_OPEN_NS = 1_632_700_800 * 10**9
HISTORY = 300
BARS = 900
# One bar in three seconds: 300 times as fast as it was.
BAR_MS = 3_000
PATIENCE_S = 60.0
# How often a state is asked for while it is waited for.
INTERVAL_S = 0.05
DAY_NS = golden_bundle.DAY_NS

CONFIG = """
[service]
name = "{instance}"
stage = "paper"
run_folder = "{home}/run"
bundle_store = "{home}/bundles"
trusted_keys_file = "{home}/keys/{trusted}"
risk_limits_file = "{home}/risk_limits.toml"
portfolio_currency = "{currency}"
[venue]
name = "{venue}"
{gateway}
rest_url = "{rest}"
ws_url = "{ws}"
ws_api_url = "{ws_api}"
[[instrument]]
symbol = "{symbol}"
[[slot]]
id = {slot}
symbol = "{symbol}"
capital = 100000.0
[engine]
bar_seconds = 900
[telemetry]
metrics_port = 0
"""


@dataclass(frozen=True)
class Wire:
    """A venue as the service speaks to it.

    Attributes:
        name: of the venue.
        symbol: the venue's name of the instrument.
        currency: in which it is paid for.
        api_key: names the account.
        secret: signs for it.
        strange_secret: of the same form, and another key's.
    """

    name: str
    symbol: str
    currency: str
    api_key: str
    secret: str
    strange_secret: str

    @property
    def instrument(self) -> str:
        """Our name of it."""
        return f"{self.name}/{self.symbol}"

    def keys(self, *, api_key: str | None = None, secret: str | None = None, suffix: str = "") -> dict[str, str]:
        """The environment by which a process learns the key."""
        prefix = f"PY_RT_{self.name.upper()}"
        return {
            f"{prefix}_API_KEY{suffix}": self.api_key if api_key is None else api_key,
            f"{prefix}_API_SECRET{suffix}": self.secret if secret is None else secret,
        }

    @property
    def watchdog_key(self) -> str:
        """Another key of the account."""
        return f"{self.api_key}-watchdog"

    def watchdog_keys(self, *, secret: str | None = None) -> dict[str, str]:
        """The environment by which a watchdog learns its own key."""
        secret = self.strange_secret if secret is None else secret
        return self.keys(api_key=self.watchdog_key, secret=secret, suffix="_WATCHDOG")

    def venue_keys(self) -> dict[str, str]:
        """The environment by which the venue server learns both keys of the account."""
        second = f"{self.watchdog_key}@{self.api_key}:{self.strange_secret}"
        return {"PY_RT_VENUE_KEYS": f"{self.api_key}:{self.secret},{second}"}


def pem(seed: int) -> str:
    """A P-256 key as Coinbase hands it out, in one line."""
    key = ec.derive_private_key(seed, ec.SECP256R1())
    text = key.private_bytes(
        serialization.Encoding.PEM, serialization.PrivateFormat.TraditionalOpenSSL, serialization.NoEncryption()
    )
    return text.decode().strip().replace("\n", "\\n")


BINANCE = Wire("binance", "BTCUSDT", "USDT", API_KEY, SECRET, "another_secret_of_the_account")
KRAKEN = Wire(
    "kraken",
    "BTC/USD",
    "USD",
    API_KEY,
    "AAECAwQFBgcICQoLDA0ODxAREhMUFRYXGBkaGxwdHh8=",
    "ICECAwQFBgcICQoLDA0ODxAREhMUFRYXGBkaGxwdHh8=",
)
COINBASE = Wire("coinbase", "BTC-USD", "USD", "organizations/0f/apiKeys/1e", pem(7), pem(9))


def find_command(name: str) -> Path:
    """A built command: named by the environment, installed, or in a target folder."""
    if named := os.environ.get(f"{name.upper()}_BINARY"):
        return Path(named)
    targets = [Path(os.environ.get("CARGO_TARGET_DIR", ROOT / "target")), ROOT / "target"]
    places = [*(target / kind for target in targets for kind in ("debug", "release")), Path(sys.executable).parent]
    found = next((place / name for place in places if (place / name).is_file()), None)
    found = found or (Path(on_path) if (on_path := shutil.which(name)) else None)
    if found is None:
        pytest.skip(f"{name} is not built: run `cargo build -p certify -p feed -p live -p venue_server --bins`")
    return found


def bars_csv(first_ns: int = FIRST_OPEN_NS, span_ns: int = SPAN_NS) -> str:
    """A market that swings gently around 100."""
    lines = ["ts_open,open,high,low,close,volume"]
    for number in range(BARS):
        open_, close = (100 + 0.2 * abs(at % 12 - 6) for at in (number, number + 1))
        high, low = max(open_, close) + 0.07, min(open_, close) - 0.07
        lines.append(f"{first_ns + number * span_ns},{open_:.2f},{high:.2f},{low:.2f},{close:.2f},4000")
    return "\n".join(lines) + "\n"


def until(condition: Callable[[], bool], what: str) -> None:
    """Asks again until it is so."""
    ends = time.monotonic() + PATIENCE_S
    while not condition():
        assert time.monotonic() < ends, f"{what} did not come in {PATIENCE_S:g} s"
        time.sleep(INTERVAL_S)


def started_venue(home: Path, wire: Wire, *, port: int = 0) -> tuple[subprocess.Popen[str], dict[str, str]]:
    """A venue server with the gentle market, and its addresses; port 0 takes a free one."""
    bars = home / "bars.csv"
    bars.write_text(bars_csv(), encoding="utf-8")
    first = FIRST_OPEN_NS + HISTORY * SPAN_NS
    command = [str(find_command("py_rt_venue_server")), "--bars", str(bars), "--seed", "7", "--port", str(port)]
    command += ["--bar-ms", str(BAR_MS), "--from", str(first), "--warmup-bars", str(HISTORY)]
    command += ["--venue", wire.name, "--symbol", wire.symbol]
    environment = {**os.environ, **wire.venue_keys()}
    venue = subprocess.Popen(command, stdout=subprocess.PIPE, text=True, env=environment)
    assert venue.stdout is not None
    ready: dict[str, str] = json.loads(venue.stdout.readline())
    return venue, ready


class LiveService:
    """One venue, and one life after the other of the service beside it.

    Args:
        home: where everything is made.
        gateway: a line of `[venue]`: with a simulated one the service is given no key of the venue.
        wire: over which it speaks.
    """

    def __init__(self, home: Path, gateway: str = 'gateway = "venue"', wire: Wire = BINANCE) -> None:
        self.home = home
        self.wire = wire
        self.has_keys = "simulated" not in gateway
        self.run = home / "run"
        for role in (*ROLES, "builder", "approver"):
            create_key(home / "keys", role)
        # Trusted by nobody: its list lies elsewhere.
        create_key(home / "stranger", "operator")
        self.write_policy()
        self.venue, self.addresses = self._venue()
        addresses = self.addresses
        text = CONFIG.format(
            instance=INSTANCE,
            home=home,
            slot=SLOT,
            trusted=TRUSTED_KEYS,
            rest=addresses["rest"],
            ws=addresses["ws"],
            ws_api=addresses.get("ws_api", addresses["ws"]),
            gateway=gateway,
            venue=wire.name,
            symbol=wire.symbol,
            currency=wire.currency,
        )
        (home / "service.toml").write_text(text, encoding="utf-8")
        self.venue_url = addresses["rest"]
        self.service: subprocess.Popen[bytes] | None = None

    def write_policy(self, *, is_stricter: bool = False) -> None:
        """Give the service its own limits, which it reads when it starts; stricter ones refuse the golden bundle."""
        policy = golden_bundle.in_currency(golden_bundle.shipped_policy(), self.wire.currency)
        if is_stricter:
            policy = policy.replace("max_order_rate_per_min = 60", "max_order_rate_per_min = 30")
        (self.home / "risk_limits.toml").write_text(policy, encoding="utf-8")

    def _venue(self) -> tuple[subprocess.Popen[str], dict[str, str]]:
        return started_venue(self.home, self.wire)

    def start(self) -> None:
        """A new life; returns when its doors are open."""
        service = self._spawn()
        self.service = service

        def is_open() -> bool:
            assert service.poll() is None, f"the service has ended:\n{self.log[-4_000:]}"
            file = self.run / "live.json"
            return file.exists() and json.loads(file.read_text(encoding="utf-8"))["pid"] == service.pid

        until(is_open, "an open service")

    def fault(self, kind: str, **fields: object) -> None:
        """Tells the venue what to do wrong."""
        data = json.dumps({"kind": kind, **fields}).encode()
        with urllib.request.urlopen(f"{self.venue_url}/admin/faults", data=data, timeout=10) as answer:
            assert answer.status == 200

    def refused_start(self, *, api_key: str | None = None, secret: str | None = None) -> int:
        """The exit status of a life that does not begin."""
        self.service = self._spawn(api_key=api_key, secret=secret)
        return self.service.wait(PATIENCE_S)

    def _spawn(self, *, api_key: str | None = None, secret: str | None = None) -> subprocess.Popen[bytes]:
        command = [str(find_command("py_rt_live")), "--config", str(self.home / "service.toml")]
        keys = self.wire.keys(api_key=api_key, secret=secret)
        environment = {name: value for name, value in os.environ.items() if name not in keys}
        environment |= keys if self.has_keys else {}
        with (self.home / "service.log").open("ab") as log:
            return subprocess.Popen(command, stdout=log, stderr=log, env=environment)

    def stop(self) -> int:
        """Ends the life in order."""
        assert self.service is not None
        self.service.terminate()
        return self.service.wait(PATIENCE_S)

    def kill(self) -> None:
        """Ends the life at once."""
        assert self.service is not None
        self.service.kill()
        self.service.wait(PATIENCE_S)

    @property
    def log(self) -> str:
        """What all lives wrote."""
        return (self.home / "service.log").read_text(encoding="utf-8")

    @property
    def live(self) -> dict[str, Any]:
        """What the service says of itself in its folder."""
        read: dict[str, Any] = json.loads((self.run / "live.json").read_text(encoding="utf-8"))
        return read

    def endpoint(self, name: str) -> str:
        """One of its doors."""
        return str(self.live["endpoints"][name])

    def signer(self, role: str) -> Signer:
        """The key of a role, or of `stranger`."""
        path = (
            key_path(self.home / "stranger", "operator") if role == "stranger" else key_path(self.home / "keys", role)
        )
        return Signer.load(path)

    def client(self, role: str = "operator", *, timeout_s: float = 20.0, instance: str = INSTANCE) -> CommandClient:
        """A client with the key of a role."""
        return CommandClient(self.endpoint("command"), self.signer(role), instance, timeout_s=timeout_s)

    def metrics(self) -> dict[str, float]:
        """Its counters, by name and labels."""
        with urllib.request.urlopen(self.endpoint("metrics"), timeout=10) as answer:
            lines = answer.read().decode().splitlines()
        return {name: float(value) for name, _, value in (line.rpartition(" ") for line in lines if line[:1] != "#")}

    def venue_state(self) -> dict[str, Any]:
        """The venue from inside."""
        with urllib.request.urlopen(f"{self.addresses['rest']}/admin/state", timeout=10) as answer:
            read: dict[str, Any] = json.load(answer)
        return read

    def approved_bundle(self, strategy: Callable[[str], str] = str) -> str:
        """The digest of the golden files as a bundle that both keys of this home have signed."""
        currency = self.wire.currency
        venue = f'exchange = "{self.wire.name}"'
        digest = golden_bundle.built(
            self.home,
            lambda text: strategy(text).replace('exchange = "binance"', venue),
            instrument=self.wire.symbol,
            currency=currency,
        )
        golden_bundle.approved(self.home, digest, currency=currency)
        return digest

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        for process in (self.service, self.venue):
            if process is not None and process.poll() is None:
                process.kill()
                process.wait(PATIENCE_S)
        if self.venue.stdout is not None:
            self.venue.stdout.close()

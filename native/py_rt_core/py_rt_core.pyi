"""The Rust half of py_rt, as Python calls it."""

from collections.abc import Mapping, Sequence
from os import PathLike
from types import TracebackType
from typing import Any, Literal, Protocol, Self, final

import numpy as np
import numpy.typing as npt

class _ArrowStream(Protocol):
    def __arrow_c_stream__(self, requested_schema: object | None = None) -> object: ...

@final
class BacktestResults:
    """What a backtest came to. Times are ns UTC; money is whole numbers of 1e-16 quote currency, exact."""

    @property
    def equity(self) -> Table:
        """`ts`, `equity` (Decimal): at the start, and at the end of every bar."""
    @property
    def fills(self) -> Table:
        """`ts`, `client_order_id`, `side`, `price`, `quantity`, `fee`, `fee_asset`, `liquidity`, `realized`."""
    @property
    def signals(self) -> Table:
        """`ts_close`, `raw_score`, `probability`, `decision` and the features by name; empty without features."""
    @property
    def events(self) -> int: ...
    @property
    def orders(self) -> int:
        """Orders that left for the venue."""
    @property
    def cancels(self) -> int: ...
    @property
    def ends(self) -> dict[str, int]:
        """How orders ended: Filled, Canceled, Expired, Rejected."""
    @property
    def denials(self) -> dict[str, int]:
        """Orders that risk refused, by reason."""
    @property
    def alerts(self) -> dict[str, int]:
        """What the engine would have called a person for, by kind."""
    @property
    def position(self) -> int:
        """Base quantity at the end, units of 1e-8."""
    @property
    def cost(self) -> int: ...
    @property
    def realized(self) -> int: ...
    @property
    def unrealized(self) -> int: ...
    @property
    def fees(self) -> int:
        """Fees paid in the quote currency."""
    @property
    def foreign_fees(self) -> dict[str, int]:
        """Fees by asset, where it is neither base nor quote; units of 1e-16."""
    @property
    def mark(self) -> int:
        """The last mid, units of 1e-8."""
    @property
    def final_equity(self) -> int: ...
    @property
    def capital(self) -> int: ...
    @property
    def tick_size(self) -> int:
        """Units of 1e-8."""
    @property
    def bar_ns(self) -> int: ...

@final
class BarView:
    """A bar that closed. Times are ns UTC, prices and volume units of 1e-8."""

    @property
    def ts_open(self) -> int: ...
    @property
    def ts_close(self) -> int: ...
    @property
    def open(self) -> int: ...
    @property
    def high(self) -> int: ...
    @property
    def low(self) -> int: ...
    @property
    def close(self) -> int: ...
    @property
    def volume(self) -> int: ...
    @property
    def features(self) -> list[float]:
        """Values of the features (float32), in order; empty without features or while they are not warm."""
    @property
    def raw_score(self) -> float | None: ...
    @property
    def probability(self) -> float | None: ...

@final
class CancelWorking:
    """A wish to cancel the working orders of one side ("Buy" or "Sell"), or of both."""

    def __new__(cls, side: str | None = None) -> CancelWorking: ...

class CoreError(ValueError):
    """Input that py_rt_core refuses; the message says what is allowed."""

@final
class FeatureStream:
    """The features of a specification, one bar at a time: what the service does."""

    def __new__(cls, spec_json: str, before: int = 0) -> FeatureStream: ...
    def push(
        self,
        ts_open: int,
        open: int,  # noqa: A002  # the standard word for the price
        high: int,
        low: int,
        close: int,
        volume: int,
        beside: Sequence[float] = ...,
        ts_close: int | None = None,
    ) -> list[float] | None:
        """Take one bar and its `columns_beside`; give its row (float32 values), or None while a feature is not warm.

        A bar of events is the one after the bar before (`before` stand in front of the first), and says when it closed.
        """

@final
class FlagsReader:
    """The stopping ladder of a running service. Entry 0 is the whole service, the others are its slots."""

    def __new__(cls, socket_path: str | PathLike[str], name: str) -> FlagsReader: ...
    def get(self, entry: int) -> tuple[str, ...]:
        """The rungs that are raised: "paused", "canceling", "reduce-only", "flattening", "killed"."""
    @property
    def entries(self) -> int: ...
    @property
    def epoch(self) -> int: ...
    @property
    def writer_alive(self) -> bool:
        """When it is not, the flags are those of its last moment; make a new reader."""
    @property
    def name(self) -> str: ...

@final
class MarketCacheReader:
    """What is known now of each instrument of a running service: book, last trade, venue, itself."""

    def __new__(cls, socket_path: str | PathLike[str], name: str) -> MarketCacheReader: ...
    def read(self, instrument: int) -> npt.NDArray[np.void]:
        """An instrument's row as a structured array of shape (1,), whole and of one moment."""
    def snapshot(self) -> npt.NDArray[np.void]:
        """Every instrument's row, by index."""
    def consolidated(
        self, members: Sequence[tuple[int, int]], max_age_ns: int, after_fees: bool, now: int | None = None
    ) -> tuple[
        int,
        list[tuple[int, Literal["taken", "invalid", "stale"], int | None]],
        npt.NDArray[np.int64],
        npt.NDArray[np.int64],
    ]:
        """Several venues as one market: the time, standings with ages, bids and asks in rows of four.

        `members`: index and taker fee in 1e-8 of a ten-thousandth. A row: instrument, price, net price, quantity.
        """
    def now(self) -> int | None:
        """Service time, ns UTC; it goes on when the service is gone."""
    def reattach(self) -> Literal["newer", "same", "absent"]:
        """Ask the service again, after a restart of it."""
    @property
    def silent_for_ns(self) -> int | None:
        """Wall time since the service's last sign of life."""
    @property
    def instruments(self) -> int: ...
    @property
    def epoch(self) -> int:
        """The writer's life; grows with every restart of the service."""
    @property
    def writer_alive(self) -> bool: ...
    @property
    def name(self) -> str: ...
    def close(self) -> None:
        """Let the cache go; a second time does nothing."""
    def __enter__(self) -> Self: ...
    def __exit__(
        self, kind: type[BaseException] | None, raised: BaseException | None, trace: TracebackType | None, /
    ) -> None: ...

@final
class Order:
    """An order that a strategy wants: at the market without a price, else at its limit or better."""

    def __new__(
        cls,
        side: str,
        quantity: int,
        price: int | None = None,
        *,
        time_in_force: str | None = None,
        post_only: bool = False,
        reduce_only: bool = False,
        timeout_ms: int | None = None,
    ) -> Order:
        """`side`: "Buy" or "Sell"; `quantity`, `price`: units of 1e-8; `time_in_force`: "gtc", "ioc" or "fok"."""

@final
class OrderUpdate:
    """One of the slot's orders after a change."""

    @property
    def client_order_id(self) -> str: ...
    @property
    def status(self) -> str:
        """Submitted, Accepted, PartiallyFilled, Filled, PendingCancel, Canceled, Rejected, Denied, Expired, Unknown."""
    @property
    def filled(self) -> int: ...
    @property
    def quantity(self) -> int: ...

@final
class ParameterAnswer:
    """The service's latest answer to a request for parameters."""

    @property
    def answered_version(self) -> int:
        """The request this answers."""
    @property
    def applied_version(self) -> int:
        """The last request that took effect, 0 when none did."""
    @property
    def status(self) -> Literal["applied", "refused", "malformed"]: ...
    @property
    def reason(self) -> str:
        """Why it was not applied; empty when it was."""
    @property
    def answered_ns(self) -> int:
        """CLOCK_MONOTONIC."""

@final
class ParameterWriter:
    """Changes parameters of a running service; one process at a time."""

    def __new__(cls, socket_path: str | PathLike[str], name: str) -> ParameterWriter: ...
    def request(self, slot: int, changes: dict[str, str], ts_requested: int | None = None) -> int:
        """Ask for changes (decimal text) that take effect together or not at all; give the request's version."""
    def answer(self) -> ParameterAnswer | None:
        """The service's latest answer; None before its first."""
    def wait(self, version: int, timeout_ms: int) -> ParameterAnswer | None:
        """Wait for the answer to a request; None when there is none by then, or the service ended."""
    @property
    def service_alive(self) -> bool: ...
    @property
    def epoch(self) -> int: ...
    @property
    def name(self) -> str: ...
    def close(self) -> None:
        """Let others write; a second time does nothing."""
    def __enter__(self) -> Self: ...
    def __exit__(
        self, kind: type[BaseException] | None, raised: BaseException | None, trace: TracebackType | None, /
    ) -> None: ...

@final
class QuoteView:
    """The best bid and ask after a change, units of 1e-8."""

    @property
    def ts_event(self) -> int: ...
    @property
    def bid(self) -> int: ...
    @property
    def bid_quantity(self) -> int: ...
    @property
    def ask(self) -> int: ...
    @property
    def ask_quantity(self) -> int: ...

@final
class RingPoll:
    """What one poll found."""

    @property
    def records(self) -> int:
        """Records delivered."""
    @property
    def missed(self) -> int:
        """Records lost since the last poll because the writer overtook this reader; exact."""
    @property
    def writer_alive(self) -> bool:
        """When it is not and `records` is 0, nothing more will come: reattach."""
    @property
    def epoch(self) -> int:
        """The writer's life."""

@final
class RingReader:
    """Reads a ring of a running service; each record goes to one of the threads that ask."""

    def __new__(
        cls, socket_path: str | PathLike[str], name: str, start: Literal["oldest", "newest", "first"] = "oldest"
    ) -> RingReader: ...
    def poll(self, max_records: int = 4096, timeout_ms: int = 0) -> tuple[dict[str, npt.NDArray[np.void]], RingPoll]:
        """Take records as one structured array per kind; wait at most `timeout_ms` for the first."""
    def poll_into(self, rows: npt.NDArray[np.uint8], timeout_ms: int = 0) -> RingPoll:
        """`poll` into the caller's own rows of 128 bytes, in the ring's order, without an allocation."""
    def reattach(self) -> Literal["newer", "same", "absent"]:
        """Ask the service again, after a restart of it; what is left in the old ring is given up."""
    @property
    def epoch(self) -> int:
        """The writer's life; grows with every restart of the service."""
    @property
    def writer_alive(self) -> bool: ...
    @property
    def writer_pid(self) -> int: ...
    @property
    def position(self) -> int:
        """Index of the next record this reader wants."""
    @property
    def backlog(self) -> int:
        """Records that wait, by the writer's own count; more than the capacity means that some are lost."""
    @property
    def missed(self) -> int:
        """All records lost so far, in every life of the writer."""
    @property
    def capacity(self) -> int:
        """Slots of the ring."""
    @property
    def name(self) -> str: ...
    def close(self) -> None:
        """Let the ring go; a second time does nothing."""
    def __enter__(self) -> Self: ...
    def __exit__(
        self, kind: type[BaseException] | None, raised: BaseException | None, trace: TracebackType | None, /
    ) -> None: ...

@final
class SlotView:
    """What a strategy may know of its slot: ns UTC, units of 1e-8; bid and ask are None without a valid book."""

    @property
    def now(self) -> int: ...
    @property
    def position(self) -> int: ...
    @property
    def open_buys(self) -> int: ...
    @property
    def open_sells(self) -> int: ...
    @property
    def equity(self) -> int: ...
    @property
    def bid(self) -> int | None: ...
    @property
    def bid_quantity(self) -> int | None: ...
    @property
    def ask(self) -> int | None: ...
    @property
    def ask_quantity(self) -> int | None: ...
    @property
    def tick_size(self) -> int: ...
    @property
    def lot_size(self) -> int: ...
    def quantity_for(self, value: int) -> int:
        """Base quantity that `value` (units of 1e-8 quote) buys at the ask, in whole lots; 0 without a book."""

@final
class Table:
    """A table in Arrow memory: `polars.DataFrame(table)` takes it without a copy."""

    @property
    def columns(self) -> list[str]: ...
    def __len__(self) -> int: ...
    def __getitem__(self, name: str, /) -> Any:  # noqa: ANN401  # by type: array of numbers, list of texts, list of money
        """A column: numbers and truths as a numpy array, texts as a list, money as a list of whole numbers of 1e-16."""
    def __arrow_c_stream__(self, requested_schema: object | None = None) -> object: ...

@final
class TableReader:
    """The latest record of each entry of a running service's table; a row's `index` is the entry's version."""

    def __new__(cls, socket_path: str | PathLike[str], name: str) -> TableReader: ...
    def read(self, entry: int) -> npt.NDArray[np.void] | None:
        """An entry as a structured array of shape (1,); None when it was never written."""
    def snapshot(self) -> dict[str, tuple[npt.NDArray[np.int64], npt.NDArray[np.void]]]:
        """All written entries by kind: their numbers, and their rows in the same order."""
    @property
    def entries(self) -> int: ...
    @property
    def epoch(self) -> int: ...
    @property
    def writer_alive(self) -> bool:
        """When it is not, make a new reader."""
    @property
    def name(self) -> str: ...

def backtest_strategy(
    data: _ArrowStream | Mapping[str, object] | Sequence[Sequence[int]] | npt.NDArray[Any],
    strategy: object,
    config: Mapping[str, object] | None = None,
    trades: _ArrowStream | None = None,
) -> BacktestResults:
    """Run a strategy over bars, or quotes and trades; the same engine, risk and order path as live."""

def bundle_words() -> tuple[list[str], list[str]]:
    """Names of the stages of an approval, ascending, and of the roles of keys."""

def calculate_sma(prices: Sequence[float] | npt.NDArray[Any] | object, window: int) -> npt.NDArray[np.float64]:
    """Simple moving average of the last `window` prices; the first `window - 1` values are NaN."""

def check_config(kind: str, path: str) -> None:
    """Check a configuration file; raise CoreError with every fault, one a line."""

def config_keys(kind: str) -> list[tuple[str, str, str, str | None, str, str]]:
    """Every key of a kind of file: path, type and range, presence, default, unit, meaning."""

def config_kinds() -> list[str]:
    """Names of the kinds of files."""

def columns_beside(spec_json: str) -> list[str]:
    """Names of the columns that a specification reads beside those of bars: of flow, and its slow parameters."""

def compute_features(
    spec_json: str, frame: _ArrowStream
) -> tuple[list[npt.NDArray[np.float32]], npt.NDArray[np.bool_]]:
    """Features of every bar of a frame, and which rows are warm."""

@final
class FeatureProgram:
    """Expressions, read: over columns of bars, or one bar at a time."""

    def __new__(
        cls, expressions: list[str], definitions: dict[str, str], columns: list[tuple[str, str]] = ...
    ) -> Self: ...
    @property
    def operations(self) -> int:
        """Operations of the program, after equal ones were found."""

    def describe(self) -> list[tuple[str, int, int, list[str]]]:
        """For each expression: unit, lookback, warm-up, inputs."""

    def compute(self, frame: _ArrowStream, out: npt.NDArray[np.float64]) -> Table:
        """Writes the values of each expression for every bar; column `is_warm`: which bars are warm."""

    def compute_one_by_one(self, frame: _ArrowStream, out: npt.NDArray[np.float64]) -> Table:
        """The same by the path of the service: one bar at a time, on one thread."""

    def stream(self) -> FeatureRunner:
        """A cold stream of the same."""

@final
class FeatureRunner:
    """Expressions, one bar at a time."""

    def push(self, number: int, inputs: Sequence[float]) -> list[float]:
        """Each expression's value at the bar of a number."""

    @property
    def seen(self) -> int:
        """Bars since the stream began."""

    def save(self) -> bytes:
        """What it remembers."""

    def restore(self, saved: bytes) -> None:
        """Remembers what was saved."""

def event_bars(trades: _ArrowStream, rule: str, size: float, bars: float) -> list[tuple[str, npt.NDArray[np.int64]]]:
    """Bars of trades by a rule: names and columns."""

def flow_columns(
    quotes: _ArrowStream, trades: _ArrowStream, bar_ns: int
) -> tuple[npt.NDArray[np.int64], list[tuple[str, npt.NDArray[np.float64]]]]:
    """Numbers of the intervals, and names and columns of what happened in them."""

def feature_functions() -> list[tuple[str, str, str]]:
    """The functions of expressions: name, arguments, meaning."""

def column_addresses(frame: _ArrowStream) -> list[tuple[str, int]]:
    """Where the columns of a frame are read: of a frame of one piece, where its owner keeps them."""

def feature_inputs() -> list[str]:
    """Names of the columns that expressions read."""

def feature_spec_json(text: str, file_name: str) -> str:
    """Canonical JSON of a feature file: the bytes whose SHA-256 is the specification's identity."""

def inspect_bundle(store: str | PathLike[str], digest: str, *, risk_policy: str | None = None) -> dict[str, Any]:
    """Judge a bundle without signatures: {"ok": True, ...} or {"ok": False, "refusal": word, "reason": text}."""

def looser_limits(limits: str, policy: str) -> list[str]:
    """Every limit of one `risk_limits.toml` that is looser than another's, a sentence each."""

def market_cache_codes() -> list[tuple[str, list[str]]]:
    """What the codes in a row of the market cache mean, by field: the place of a name is its code."""

def market_cache_dtype() -> np.dtype[np.void]:
    """The structured numpy type of an instrument's row in the market cache."""

def record_dtype(kind: str) -> np.dtype[np.void]:
    """The structured numpy type of a kind's rows, 128 bytes each."""

def record_kinds() -> list[tuple[str, int, list[tuple[str, int, str, str]]]]:
    """The kinds of records: name, code, and each field's name, byte offset, numpy type and unit."""

def trusted_keys(text: str, file_name: str = "trusted_keys.toml") -> list[dict[str, str]]:
    """The keys of a `trusted_keys.toml`: id, role, highest_stage, public_key_pem; CoreError where it is not valid."""

def verify_built_bundle(
    store: str | PathLike[str], digest: str, trusted_keys_toml: str, *, risk_policy: str | None = None
) -> dict[str, Any]:
    """Judge a bundle as far as its builder vouches for it; answers as `inspect_bundle`."""

def verify_bundle(
    store: str | PathLike[str],
    digest: str,
    trusted_keys_toml: str,
    slot: int,
    stage: str,
    now_ns: int,
    serial_floor: int,
    *,
    risk_policy: str | None = None,
    previously_active: Sequence[str] | None = None,
) -> dict[str, Any]:
    """Judge a bundle as the service does before it takes a slot over; answers as `inspect_bundle`."""

def journal_signals(
    journal: str | PathLike[str],
) -> tuple[
    npt.NDArray[np.uint16],
    npt.NDArray[np.int64],
    npt.NDArray[np.float32],
    npt.NDArray[np.float32],
    npt.NDArray[np.float32],
    list[str],
]:
    """Every signal of a run whose features were warm: slot, ts_close, features, raw score, probability, decision."""

def replay_journal(journal: str | PathLike[str], store: str | PathLike[str], trusted_keys: str) -> dict[str, Any]:
    """Replay the journal of a run from record 0 and compare every action byte for byte."""

def trace_order(journal: str | PathLike[str], order: str) -> dict[str, Any] | None:
    """Follow one of our orders through the record of a run; None when the record has no such order."""

def warmup_bars(spec_json: str) -> int:
    """Bars after which every feature has a value, wherever the stream begins."""

"""The Rust half of py_rt, as Python calls it."""

from collections.abc import Mapping, Sequence
from typing import Any, Protocol

import numpy as np
import numpy.typing as npt

class _ArrowStream(Protocol):
    def __arrow_c_stream__(self, requested_schema: object | None = None) -> object: ...

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

class CancelWorking:
    """A wish to cancel the working orders of one side ("Buy" or "Sell"), or of both."""

    def __new__(cls, side: str | None = None) -> CancelWorking: ...

class CoreError(ValueError):
    """Input that py_rt_core refuses; the message says what is allowed."""

class FeatureStream:
    """The features of a specification, one bar at a time: what the service does."""

    def __new__(cls, spec_json: str) -> FeatureStream: ...
    def push(
        self,
        ts_open: int,
        open: int,  # noqa: A002  # the standard word for the price
        high: int,
        low: int,
        close: int,
        volume: int,
    ) -> list[float] | None:
        """Take one bar; give its row (float32 values), or None while a feature is not warm."""

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

class Table:
    """A table in Arrow memory: `polars.DataFrame(table)` takes it without a copy."""

    @property
    def columns(self) -> list[str]: ...
    def __len__(self) -> int: ...
    def __getitem__(self, name: str) -> Any:  # noqa: ANN401  # by type: array of numbers, list of texts, list of money
        """A column: numbers as a numpy array, texts as a list, money as a list of whole numbers of 1e-16."""
    def __arrow_c_stream__(self, requested_schema: object | None = None) -> object: ...

def backtest_strategy(
    data: _ArrowStream | Mapping[str, object] | Sequence[Sequence[int]] | npt.NDArray[Any],
    strategy: object,
    config: Mapping[str, object] | None = None,
) -> BacktestResults:
    """Run a strategy over bars or quotes; the same engine, risk and order path as live."""

def calculate_sma(prices: Sequence[float] | npt.NDArray[Any] | object, window: int) -> npt.NDArray[np.float64]:
    """Simple moving average of the last `window` prices; the first `window - 1` values are NaN."""

def check_config(kind: str, path: str) -> None:
    """Check a configuration file; raise CoreError with every fault, one a line."""

def config_keys(kind: str) -> list[tuple[str, str, str, str | None, str, str]]:
    """Every key of a kind of file: path, type and range, presence, default, unit, meaning."""

def config_kinds() -> list[str]:
    """Names of the kinds of files."""

def compute_features(
    spec_json: str, frame: _ArrowStream
) -> tuple[list[npt.NDArray[np.float32]], npt.NDArray[np.bool_]]:
    """Features of every bar of a frame, and which rows are warm."""

def feature_spec_json(text: str, file_name: str) -> str:
    """Canonical JSON of a feature file: the bytes whose SHA-256 is the specification's identity."""

def warmup_bars(spec_json: str) -> int:
    """Bars after which every feature has a value, wherever the stream begins."""

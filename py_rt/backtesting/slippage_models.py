"""What trading costs: commission, spread and latency of the simulated venue.

The market impact of an order is that of the book it meets: what is displayed is taken once, and a larger order walks
the levels behind it (`native/simulation`). Numbers with a fraction are text, `int` or `Decimal`, so that they reach
Rust exactly as they are written.
"""

from __future__ import annotations

from dataclasses import asdict, dataclass, replace
from decimal import Decimal

from py_rt.errors import PyRtError

Number = str | int | Decimal


class CostError(PyRtError):
    """Costs outside their range."""


@dataclass(frozen=True, kw_only=True)
class CostModel:
    """Costs of a backtest; the defaults are those of the lowest tier of Binance spot, and of a connection over land.

    Attributes:
        maker_bps: commission of resting orders, ten-thousandths of the value.
        taker_bps: commission of orders that take.
        fee_asset: code of the quote (the default) or base currency, `received` (what the trade brings in), or the
            code of a third asset, which needs `fee_asset_price`.
        fee_asset_price: quote currency for one unit of the third asset.
        spread_min_ppm: narrowest spread in millionths of the price; bars only, quotes have their own.
        spread_max_ppm: widest spread.
        latency_ms: delay of each leg: market data to us, orders to the venue, reports to us.
        latency_jitter_ms: most that is added to it, by the seed.

    >>> CostModel().times(2).taker_bps
    Decimal('20')
    """

    maker_bps: Number = "10"
    taker_bps: Number = "10"
    fee_asset: str | None = None
    fee_asset_price: Number | None = None
    spread_min_ppm: int = 10
    spread_max_ppm: int = 100
    latency_ms: Number = "50"
    latency_jitter_ms: Number = "10"

    def __post_init__(self) -> None:
        """Refuses spreads out of order."""
        if not 0 <= self.spread_min_ppm <= self.spread_max_ppm:
            raise CostError(
                f"spread is {self.spread_min_ppm} to {self.spread_max_ppm} ppm; expected 0 <= min <= max <= 100000"
            )

    def times(self, factor: int) -> CostModel:
        """Commission and spread `factor` times as high: what is left of a strategy whose costs were guessed too low."""
        return replace(
            self,
            maker_bps=factor * Decimal(self.maker_bps),
            taker_bps=factor * Decimal(self.taker_bps),
            spread_min_ppm=factor * self.spread_min_ppm,
            spread_max_ppm=factor * self.spread_max_ppm,
        )

    def to_mapping(self) -> dict[str, str | int | None]:
        """The keys of `py_rt_core.backtest_strategy`'s config; also what a record of the run holds."""
        return {key: str(value) if isinstance(value, Decimal) else value for key, value in asdict(self).items()}

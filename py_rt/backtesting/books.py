"""What the fills of a backtest say: trades, costs, and whether position and equity follow from them to the unit."""

from __future__ import annotations

from dataclasses import dataclass
from decimal import Decimal
from typing import TYPE_CHECKING, NamedTuple

if TYPE_CHECKING:
    from collections.abc import Iterator

    from py_rt_core import BacktestResults

    from py_rt.backtesting.slippage_models import CostModel

SCALE = 10**8
MONEY_SCALE = SCALE * SCALE
BPS = 10_000


class Fill(NamedTuple):
    """One fill in whole numbers: price and quantity in units of 1e-8, the fee in units of 1e-16 of its asset."""

    side: str
    price: int
    quantity: int
    fee: int
    fee_asset: str
    liquidity: str

    @property
    def sign(self) -> int:
        """Plus or minus one: the direction of the position's change."""
        return 1 if self.side == "Buy" else -1

    @property
    def notional(self) -> int:
        """Value, units of 1e-16."""
        return self.price * self.quantity


@dataclass(frozen=True)
class Books:
    """The fills, added up.

    Attributes:
        trades: profit of every round trip (flat to flat) after commission, in the order in which they closed.
        traded_notional: value bought plus sold.
        commission: what the venue took, in quote currency.
        faults: where position, equity or commission does not follow from the fills; empty for a sound run.
    """

    trades: tuple[float, ...]
    traded_notional: float
    commission: float
    faults: tuple[str, ...]


def fills_of(results: BacktestResults) -> Iterator[Fill]:
    """The fills in whole numbers, in order."""
    table = results.fills
    names = ("side", "price", "quantity", "fee", "fee_asset", "liquidity")
    columns = [table[name] for name in names]
    for side, price, quantity, fee, fee_asset, liquidity in zip(*columns, strict=True):
        yield Fill(side, int(price), int(quantity), fee, fee_asset, liquidity)


def add_up(results: BacktestResults, costs: CostModel, *, base: str, quote: str, lot_size: int = 1) -> Books:
    """Add the fills up and compare with what the engine says.

    Args:
        results: of the run.
        costs: what it was charged by.
        base: code of the base currency.
        quote: code of the quote currency.
        lot_size: units of 1e-8; less than one lot counts as flat.
    """
    position, cash, opened_at = 0, results.capital, results.capital
    notional, commission = 0, Decimal(0)
    trades: list[float] = []
    faults: list[str] = []
    for number, fill in enumerate(fills_of(results), start=1):
        fee = _fee_in_quote(fill, costs, base=base, quote=quote)
        faults += [f"fill {number}: {fault}" for fault in _fee_faults(fill, costs, quote)]
        position += fill.sign * fill.quantity - (fill.fee // SCALE if fill.fee_asset == base else 0)
        cash -= fill.sign * fill.notional + (fill.fee if fill.fee_asset == quote else 0)
        notional += fill.notional
        commission += fee
        if position < lot_size:
            trades.append((cash - opened_at) / MONEY_SCALE)
            opened_at = cash
    if position != results.position:
        faults.append(f"the fills sum to {position} units of base, the engine holds {results.position}")
    equity = cash + position * results.mark
    if equity != results.final_equity:
        faults.append(f"the fills make an equity of {equity} units of 1e-16, the engine has {results.final_equity}")
    return Books(tuple(trades), notional / MONEY_SCALE, float(commission), tuple(faults))


def _fee_in_quote(fill: Fill, costs: CostModel, *, base: str, quote: str) -> Decimal:
    fee = Decimal(fill.fee) / MONEY_SCALE
    if fill.fee_asset == quote:
        return fee
    price = Decimal(fill.price) / SCALE if fill.fee_asset == base else Decimal(costs.fee_asset_price or 0)
    return fee * price


def _fee_faults(fill: Fill, costs: CostModel, quote: str) -> list[str]:
    """The venue charges its rate, rounded up to 1e-8; in another asset only the sign of the amount is looked at."""
    rate = Decimal(costs.maker_bps if fill.liquidity == "Maker" else costs.taker_bps)
    if fill.fee_asset != quote:
        return [] if fill.fee > 0 or rate <= 0 else [f"no fee was charged at {rate} bps"]
    charged = -(-fill.notional * int(rate * SCALE) // (BPS * SCALE * SCALE)) * SCALE
    return [] if fill.fee == charged else [f"the fee is {fill.fee} units of 1e-16, {rate} bps are {charged}"]

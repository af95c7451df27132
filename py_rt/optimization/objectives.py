"""What a search over parameters tries to improve, measured out of fold.

``log_loss`` is the default: a proper score over every row. A Sharpe ratio over a few months rests on a handful of
trades and mostly rewards luck; it is recorded for every trial all the same, so that the deflated ratio can count it.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, Literal

from py_rt.errors import PyRtError

if TYPE_CHECKING:
    from collections.abc import Callable

    from py_rt.ml.pipeline import CrossValidation


class ObjectiveError(PyRtError):
    """An objective that does not exist or is undefined on the data."""


@dataclass(frozen=True)
class Objective:
    """A named number of a cross-validation and the direction that is better."""

    name: str
    direction: Literal["minimize", "maximize"]
    value: Callable[[CrossValidation], float]

    def better(self, one: float, other: float) -> bool:
        """True when ``one`` is strictly better than ``other``.

        >>> objective("log_loss").better(0.68, 0.69), objective("sharpe").better(0.1, 0.2)
        (True, False)
        """
        return one < other if self.direction == "minimize" else one > other


def _auc(result: CrossValidation) -> float:
    if result.scores.auc is None:
        raise ObjectiveError("AUC is undefined: the test rows hold one label only")
    return result.scores.auc


OBJECTIVES = {
    item.name: item
    for item in (
        Objective("log_loss", "minimize", lambda result: result.scores.log_loss),
        Objective("brier", "minimize", lambda result: result.scores.brier),
        Objective("auc", "maximize", _auc),
        Objective("sharpe", "maximize", lambda result: result.policy.sharpe),
        Objective("calmar", "maximize", lambda result: result.policy.calmar),
    )
}


def objective(name: str) -> Objective:
    """The objective of that name.

    Raises:
        ObjectiveError: unknown; the message lists those there are.
    """
    try:
        return OBJECTIVES[name]
    except KeyError:
        raise ObjectiveError(f"objective is {name!r}; allowed are {sorted(OBJECTIVES)}") from None

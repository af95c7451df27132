"""Normalization of columns: fitted on training rows only, applied anywhere by a few plain numbers.

======================  =====================================================================================
`z_score`               (x - mean) / standard deviation (of the population)
`min_max`               (x - min) / (max - min): 0 to 1 on the training rows
`robust`                (x - median) / (interquartile range / 1.349): a z-score that outliers do not move
`winsorized`            x held within two quantiles of the training rows, then the z-score of that
`rank`                  the share of the training values below x, half of the equal ones counted
======================  =====================================================================================

A fitted normalization is numbers and nothing else, so that whoever has them computes the same: with `x` held within
`low` and `high`, the result is ``(x - center) / scale`` held within +-`OUTPUT_MAX`, in this order, in 64-bit floats;
of `rank` it is ``(below + equal / 2) / len(knots)``. `py_rt.ml.features.normalized` writes
it as an expression that the engine runs. What is not finite stays unknown (NaN). A column that does not
vary on the training rows has scale 0, and all its results are 0: what it would be worth was not seen.
"""

from __future__ import annotations

import json
import math
from bisect import bisect_left, bisect_right
from dataclasses import asdict, dataclass
from typing import TYPE_CHECKING, Any, Literal, get_args

import numpy as np

from py_rt.errors import DataError

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence

    from numpy.typing import NDArray

    Numbers = NDArray[np.float64]

Method = Literal["z_score", "min_max", "robust", "winsorized", "rank"]
METHODS: tuple[Method, ...] = get_args(Method)

OUTPUT_MAX = 1e6
"""Largest result; a value so far from its training rows says no more than that."""

KNOTS_MAX = 1_024
"""Most training values that a rank keeps; of more, evenly spaced ones in order of size."""

VALUES_MIN = 2
"""Fewest finite training values."""

TAIL = 0.01
"""Share of the training rows on each side that `winsorized` holds back."""

WHOLE_WITHIN = 1e-9
"""How far below a whole number of rows a share of them still counts as that number."""

IQR_OF_NORMAL = 1.3489795003921634
"""Interquartile range of the standard normal distribution."""


class FitError(DataError):
    """A normalization that cannot be fitted or read."""


@dataclass(frozen=True, slots=True)
class Normalization:
    """A fitted normalization of one column.

    Attributes:
        method: one of `METHODS`.
        center: what is taken off.
        scale: what is divided by; 0 for a column that did not vary.
        low: least value that is told apart; `None` for no bound.
        high: greatest such value.
        knots: of `rank`, training values in order of size; else empty.
        rows: finite training values that it was fitted on.
    """

    method: Method
    center: float = 0.0
    scale: float = 1.0
    low: float | None = None
    high: float | None = None
    knots: tuple[float, ...] = ()
    rows: int = 0

    def apply(self, values: Numbers) -> Numbers:
        """Normalize a column.

        Args:
            values: Float64, any length; NaN where unknown.

        Returns:
            Float64 of the same length; NaN where the value is not finite.
        """
        x = np.asarray(values, dtype=np.float64)
        finite = np.isfinite(x)
        if self.method == "rank":
            knots = np.asarray(self.knots)
            below, upto = np.searchsorted(knots, x, side="left"), np.searchsorted(knots, x, side="right")
            result: Numbers = (below + (upto - below) / 2) / len(knots)
        elif self.scale == 0:
            result = np.zeros_like(x)
        else:
            held = x if self.low is None else np.where(x > self.low, x, self.low)
            held = held if self.high is None else np.where(held < self.high, held, self.high)
            with np.errstate(over="ignore", invalid="ignore"):
                result = np.clip((held - self.center) / self.scale, -OUTPUT_MAX, OUTPUT_MAX)
        return np.where(finite, result, np.nan)

    def apply_one(self, value: float) -> float:
        """Normalize one value, as it is done online; equal to `apply` bit for bit.

        >>> Normalization("z_score", center=10.0, scale=2.0).apply_one(13.0)
        1.5
        """
        if not math.isfinite(value):
            return math.nan
        if self.method == "rank":
            below, upto = bisect_left(self.knots, value), bisect_right(self.knots, value)
            return (below + (upto - below) / 2) / len(self.knots)
        if self.scale == 0:
            return 0.0
        held = value if self.low is None or value > self.low else self.low
        held = held if self.high is None or held < self.high else self.high
        return max(-OUTPUT_MAX, min(OUTPUT_MAX, (held - self.center) / self.scale))

    def as_json(self) -> dict[str, Any]:
        """The numbers, for a feature specification."""
        return asdict(self) | {"knots": list(self.knots)}


def from_json(facts: Mapping[str, Any]) -> Normalization:
    """A normalization from what `Normalization.as_json` gave.

    Raises:
        FitError: it is none: an unknown or missing member, a method that there is not, a number that is none.

    >>> from_json(Normalization("min_max", 1.0, 3.0, rows=9).as_json()) == Normalization("min_max", 1.0, 3.0, rows=9)
    True
    """
    names = set(Normalization.__dataclass_fields__)
    if set(facts) != names:
        problem = f"has {sorted(facts)}, needed are {sorted(names)}"
        raise FitError(f"normalization: {problem}; fit it again")
    if facts["method"] not in METHODS:
        raise FitError(f"normalization: no method is called {facts['method']!r}; there are {', '.join(METHODS)}")
    numbers = [facts["center"], facts["scale"], *facts["knots"]]
    numbers += [facts[name] for name in ("low", "high") if facts[name] is not None]
    if not all(isinstance(one, int | float) and math.isfinite(one) for one in numbers) or facts["scale"] < 0:
        raise FitError("normalization: center, scale, low, high and knots are finite numbers, scale is not below 0")
    knots = tuple(float(one) for one in facts["knots"])
    if (facts["method"] == "rank") != bool(knots) or list(knots) != sorted(knots):
        raise FitError("normalization: rank has knots in order of size, no other method has any")
    return Normalization(**{**facts, "knots": knots})


def fit(values: Numbers, method: Method, tail: float = TAIL, knots: int = KNOTS_MAX) -> Normalization:
    """Fit a normalization on training rows.

    Args:
        values: the training rows of a column and no others; what is not finite is left out.
        method: one of `METHODS`.
        tail: of `winsorized`, the share held back on each side, 0 to below 0.5.
        knots: of `rank`, how many values it keeps at most.

    Raises:
        FitError: fewer than `VALUES_MIN` finite values, or no such method, tail or number of knots.

    >>> fit(np.array([1.0, 2.0, 3.0]), "min_max").as_json()["scale"]
    2.0
    """
    if method not in METHODS:
        raise FitError(f"no method is called {method!r}; there are {', '.join(METHODS)}")
    if not 0 <= tail < 0.5:
        raise FitError(f"a tail of {tail} is no share from 0 to below 0.5")
    if not VALUES_MIN <= knots <= KNOTS_MAX:
        raise FitError(f"{knots} knots; allowed are {VALUES_MIN} to {KNOTS_MAX}")
    x = np.asarray(values, dtype=np.float64)
    x = np.sort(x[np.isfinite(x)])
    if len(x) < VALUES_MIN:
        raise FitError(f"{len(x)} finite training values, at least {VALUES_MIN} are needed; take more rows")
    if method == "rank":
        kept = x[np.linspace(0, len(x) - 1, min(len(x), knots)).round().astype(int)]
        return Normalization(method, knots=tuple(kept.tolist()), rows=len(x))
    low = high = None
    if method == "winsorized":
        # As a float 0.29 * 100 is 28.999...96: the product of a share in decimals is off by its last bits.
        # No tolerance cuts past the middle.
        cut = min(math.floor(tail * len(x) + WHOLE_WITHIN), (len(x) - 1) // 2)
        low, high = float(x[cut]), float(x[len(x) - 1 - cut])
        x = np.clip(x, low, high)
    center, scale = _place_and_spread(x, method)
    return Normalization(method, center, scale, low, high, rows=len(x))


def _place_and_spread(x: Numbers, method: Method) -> tuple[float, float]:
    """Center and scale of sorted values; exact sums, in units of their size so that nothing overflows."""
    if x[0] == x[-1]:
        return float(x[0]), 0.0
    unit = 2.0 ** max(min(math.frexp(float(np.abs(x).max()))[1], 1_000), -1_000)
    u = x / unit
    if method == "min_max":
        center, scale = float(u[0]), float(u[-1] - u[0])
    else:
        center, scale = _moments(u)
        if method == "robust":
            median, quarters = float(np.median(u)), np.quantile(u, [0.25, 0.75])
            spread = float(quarters[1] - quarters[0]) / IQR_OF_NORMAL
            # Where more than half of the values are one, the quartiles say nothing of the spread.
            center, scale = median, spread or scale
    limit = float(np.finfo(np.float64).max)
    return max(-limit, min(limit, center * unit)), min(limit, scale * unit)


def _moments(u: Numbers) -> tuple[float, float]:
    mean = math.fsum(u) / len(u)
    return mean, math.sqrt(math.fsum((u - mean) ** 2) / len(u))


@dataclass(frozen=True, slots=True)
class Window:
    """Rows to fit on and the rows after them to apply to, half-open.

    Attributes:
        train_start: first training row.
        train_end: row after the last training row.
        apply_end: row after the last row that the fit is applied to; the first is `train_end`.

    Raises:
        FitError: the rows are not in this order.
    """

    train_start: int
    train_end: int
    apply_end: int

    def __post_init__(self) -> None:
        if not 0 <= self.train_start < self.train_end <= self.apply_end:
            raise FitError(f"{self}: needed is 0 <= train_start < train_end <= apply_end")


def expanding_windows(rows: int, first: int, step: int) -> list[Window]:
    """Windows that train on everything before and apply to the next `step` rows.

    >>> expanding_windows(10, 4, 3)
    [Window(train_start=0, train_end=4, apply_end=7), Window(train_start=0, train_end=7, apply_end=10)]
    """
    if first < 1 or step < 1:
        raise FitError(f"first ({first}) and step ({step}) are rows, at least 1")
    return [Window(0, end, min(end + step, rows)) for end in range(first, rows, step)]


def walk_forward(
    values: Numbers, windows: Sequence[Window], method: Method, tail: float = TAIL
) -> tuple[Numbers, list[Normalization]]:
    """Normalize each window's rows by what was fitted on the rows before them.

    Args:
        values: a column in order of time.
        windows: by their rows; where two apply to one row, the later one counts.
        method: one of `METHODS`.
        tail: as in `fit`.

    Returns:
        The normalized column, NaN in rows that no window applies to; and the fit of each window.

    Raises:
        FitError: a window reaches beyond the column, or cannot be fitted.
    """
    x = np.asarray(values, dtype=np.float64)
    result = np.full(len(x), np.nan)
    fitted = []
    for window in windows:
        if window.apply_end > len(x):
            raise FitError(f"{window} reaches beyond the {len(x)} rows of the column")
        one = fit(x[window.train_start : window.train_end], method, tail)
        result[window.train_end : window.apply_end] = one.apply(x[window.train_end : window.apply_end])
        fitted.append(one)
    return result, fitted


def to_text(normalizations: Mapping[str, Normalization]) -> str:
    """Fits by column as canonical JSON: the same fits are the same text."""
    facts = {name: one.as_json() for name, one in sorted(normalizations.items())}
    return json.dumps(facts, sort_keys=True, separators=(",", ":"), allow_nan=False)


def from_text(text: str) -> dict[str, Normalization]:
    """Fits by column from what `to_text` gave.

    Raises:
        FitError: it is no such text.
    """
    try:
        facts = json.loads(text)
    except json.JSONDecodeError as error:
        raise FitError(f"normalizations are no JSON: {error}") from error
    if not isinstance(facts, dict):
        raise FitError("normalizations are one JSON object: column to numbers")
    return {name: from_json(one) for name, one in facts.items()}

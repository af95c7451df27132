"""Which of the labels a model is asked to predict: the table `[label]` of `config/training.toml`.

A model says how probable a rise is, so that every kind becomes 1 or 0: 1 where the price rose over the horizon
(`forward_return`), where the return until a barrier was touched, or until the end of patience, is above zero
(`triple_barrier`), where the straightest trend that begins at the bar leads upwards (`trend_scanning`).
"""

from __future__ import annotations

import tomllib
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, Literal, get_args

import polars as pl

from py_rt.ml.labels import LabelError, forward_return_labels, trend_scanning_labels, triple_barrier_labels

if TYPE_CHECKING:
    from pathlib import Path

Kind = Literal["forward_return", "triple_barrier", "trend_scanning"]
KINDS: tuple[Kind, ...] = get_args(Kind)

HORIZON_BARS = 4
HORIZON_BARS_MAX = 96
"""Longest look ahead: the bars of one day, which is how far after a day its labels are known."""


@dataclass(frozen=True, slots=True)
class LabelRule:
    """How bars are labelled.

    Attributes:
        kind: one of `KINDS`.
        horizon_bars: how far a label looks ahead, 1 to `HORIZON_BARS_MAX`; of `trend_scanning` the longest line.
        upper: of `triple_barrier`, distance of the barrier above as a ratio of the close; `None` is no such barrier.
        lower: likewise below.
        min_horizon_bars: of `trend_scanning`, the shortest line, at least 2.

    Raises:
        LabelError: a value out of range, or one that the kind does not take.
    """

    kind: Kind = "forward_return"
    horizon_bars: int = HORIZON_BARS
    upper: float | None = None
    lower: float | None = None
    min_horizon_bars: int | None = None

    def __post_init__(self) -> None:
        if self.kind not in KINDS:
            raise LabelError(f"label.kind is {self.kind!r}; allowed are {', '.join(KINDS)}")
        if not _is_whole(self.horizon_bars) or not 1 <= self.horizon_bars <= HORIZON_BARS_MAX:
            raise LabelError(f"label.horizon_bars is {self.horizon_bars!r}; allowed are 1 to {HORIZON_BARS_MAX}")
        barriers = [one for one in (self.upper, self.lower) if one is not None]
        if (self.kind == "triple_barrier") != bool(barriers):
            raise LabelError("label.upper and label.lower: a triple barrier needs one of them, no other kind has any")
        if any(isinstance(one, bool) or not isinstance(one, int | float) or not 0 < one <= 1 for one in barriers):
            raise LabelError("label.upper and label.lower are ratios of the close, above 0 and at most 1")
        self._check_shortest()

    def _check_shortest(self) -> None:
        shortest = self.min_horizon_bars
        if (self.kind == "trend_scanning") != (shortest is not None):
            raise LabelError("label.min_horizon_bars: trend scanning needs it, no other kind has it")
        if shortest is not None and (not _is_whole(shortest) or not 2 <= shortest <= self.horizon_bars):
            raise LabelError(f"label.min_horizon_bars is {shortest!r}; allowed are 2 to {self.horizon_bars}")

    @classmethod
    def read(cls, path: Path) -> LabelRule:
        """Read the table `[label]` of a file; without one it is the default.

        Raises:
            LabelError: it cannot be read, or says something else; path and key are named.
        """
        try:
            facts = tomllib.loads(path.read_text(encoding="utf-8")).get("label", {})
        except (OSError, tomllib.TOMLDecodeError, UnicodeDecodeError) as error:
            raise LabelError(f"{path} cannot be read: {error}") from error
        try:
            return cls.of(facts)
        except LabelError as error:
            raise LabelError(f"{path}: {error}") from error

    @classmethod
    def of(cls, facts: Any) -> LabelRule:  # noqa: ANN401  # whatever the file says
        """A rule of what a file says.

        Raises:
            LabelError: an unknown key, or as for the rule itself.
        """
        names = tuple(cls.__dataclass_fields__)
        if not isinstance(facts, dict) or not set(facts) <= set(names):
            raise LabelError(f"label is {facts!r}; allowed are {', '.join(names)}")
        return cls(**facts)

    @property
    def words(self) -> str:
        """What label 1 means, where it is no return over a fixed horizon; else nothing.

        >>> LabelRule("trend_scanning", horizon_bars=24, min_horizon_bars=5).words
        'the straightest trend over the next 5 to 24 bars leads upwards'
        """
        if self.kind == "forward_return":
            return ""
        if self.kind == "trend_scanning":
            return (
                f"the straightest trend over the next {self.min_horizon_bars} to {self.horizon_bars} bars leads upwards"
            )
        named = [(self.upper, "above"), (self.lower, "below")]
        barriers = " or ".join(f"{ratio:g} {side}" for ratio, side in named if ratio is not None)
        return (
            f"the return until the close is {barriers} the present one, or {self.horizon_bars} bars on, is above zero"
        )

    def labelled(self, bars: pl.DataFrame, bar_ns: int) -> pl.DataFrame:
        """Label every bar whose future is complete.

        Args:
            bars: as for `py_rt.ml.labels.forward_return_labels`.
            bar_ns: distance between two closes in nanoseconds.

        Returns:
            The bars that have one, with `label` (Int8, 1 or 0), `label_end_ts` and `ret`.

        Raises:
            LabelError: bars of which no labels can be made.

        >>> bars = pl.DataFrame({"ts_close": range(5), "close": [100, 103, 101, 96, 97]})
        >>> rule = LabelRule("triple_barrier", horizon_bars=2, upper=0.02, lower=0.02)
        >>> rule.labelled(bars, 1).select("label", "label_end_ts").rows()
        [(1, 1), (0, 3), (0, 3)]
        """
        if self.kind == "forward_return":
            return forward_return_labels(bars, horizon_bars=self.horizon_bars, bar_ns=bar_ns)
        if self.kind == "triple_barrier":
            made = triple_barrier_labels(
                bars, upper=self.upper, lower=self.lower, horizon_bars=self.horizon_bars, bar_ns=bar_ns
            )
            return made.with_columns((pl.col("ret") > 0).cast(pl.Int8).alias("label"))
        made = trend_scanning_labels(
            bars, min_horizon_bars=self.min_horizon_bars or 2, max_horizon_bars=self.horizon_bars, bar_ns=bar_ns
        )
        return made.with_columns((pl.col("label") > 0).cast(pl.Int8).alias("label"))


def _is_whole(value: object) -> bool:
    return isinstance(value, int) and not isinstance(value, bool)

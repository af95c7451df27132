"""What a model says on trades as they were captured, held against what it says on its training source.

A model learns from bars of one source and trades on those that the service makes of the venue's trades. Where the two
differ, research speaks of another market than the service. So bars are made of the captured trades, the
model's features computed on them by the engine, with the source's bars before them as the service warms up from
history; and features, scores and decisions are compared with those on the source's own bars, bar by bar.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING

import numpy as np
import polars as pl

from py_rt.data.anomalies import MIN_SAMPLE, feature_drift
from py_rt.errors import PyRtError
from py_rt.ml import export
from py_rt.ml.features.flow_tables import is_of
from py_rt.ml.features.technical import BAR_COLUMNS, WARM, FeatureSet

if TYPE_CHECKING:
    from numpy.typing import NDArray

SCORE_DIFFERENCE_MAX = 0.005
"""Largest mean difference of a score (a probability) that is no drift."""

ENTER, HOLD, LEAVE = "enter", "hold", "leave"

_MAX_INT64 = 2**63 - 1
_TRADE_COLUMNS = ("session", "ts_event", "trade_id", "price", "quantity")


class CaptureError(PyRtError):
    """Trades of which no bars of one instrument can be made."""


@dataclass(frozen=True)
class Model:
    """What a bundle decides by.

    Attributes:
        features: its specification.
        onnx: the model's file.
        leave_below: probability below which it leaves.
        enter_at: probability at or above which it enters.
    """

    features: FeatureSet
    onnx: bytes
    leave_below: float
    enter_at: float

    def scores(self, rows: NDArray[np.float32]) -> NDArray[np.float32]:
        """Probabilities of rows of features."""
        return export.score(self.onnx, rows) if rows.size else np.zeros(0, dtype=np.float32)

    def decisions(self, scores: NDArray[np.float32]) -> list[str]:
        """What the strategy's thresholds make of scores."""
        exact = scores.astype(np.float64)
        said = np.select([exact >= self.enter_at, exact < self.leave_below], [ENTER, LEAVE], HOLD)
        return [str(one) for one in said]


def instrument_trades(trades: pl.LazyFrame, instrument: str) -> pl.DataFrame:
    """The trades of one instrument, each once, in the venue's order.

    Args:
        trades: rows of `raw_trades`; only what is needed of them is read.
        instrument: our name; venues write it with and without a stroke.

    Raises:
        CaptureError: several venues trade something of that name.
    """
    found = trades.filter(is_of(instrument)).select("venue", *_TRADE_COLUMNS).collect(engine="streaming")
    venues = found["venue"].unique().sort().to_list()
    if len(venues) > 1:
        raise CaptureError(f"{instrument} was recorded at {', '.join(venues)}; record the venue that is traded alone")
    # Two connections that overlap tell a trade twice.
    return (
        found.drop("venue")
        .sort("ts_event", "trade_id", "session")
        .unique("trade_id", keep="first", maintain_order=True)
    )


def whole_bars(trades: pl.DataFrame, spans: pl.DataFrame, bar_ns: int) -> pl.DataFrame:
    """Bars of the intervals that were listened to from begin to end; what was joined or left midway is not guessed.

    Args:
        trades: from :func:`instrument_trades`.
        spans: from :func:`listened`.
        bar_ns: length of a bar in ns.

    Returns:
        `BAR_COLUMNS` (Int64) in order of time. An interval without a trade has the close before it and no volume; it is
        left out where no close is known.
    """
    starts = [
        at
        for first, last in spans.select("first", "last").iter_rows()
        for at in range(-(-first // bar_ns) * bar_ns, last - bar_ns + 1, bar_ns)
    ]
    grid = pl.DataFrame({"ts_open": sorted(set(starts))}, schema={"ts_open": pl.Int64})
    made = trades.group_by((pl.col("ts_event") // bar_ns * bar_ns).alias("ts_open"), maintain_order=True).agg(
        pl.col("price").first().alias("open"),
        pl.col("price").max().alias("high"),
        pl.col("price").min().alias("low"),
        pl.col("price").last().alias("close"),
        pl.col("quantity").cast(pl.Int128).sum().clip(0, _MAX_INT64).cast(pl.Int64).alias("volume"),
    )
    bars = grid.join(made, on="ts_open", how="left").sort("ts_open")
    before = (
        trades.select(pl.col("ts_event").alias("ts_open"), pl.col("price").alias("before")).sort("ts_open")
        if trades.height
        else pl.DataFrame(schema={"ts_open": pl.Int64, "before": pl.Int64})
    )
    bars = bars.join_asof(before, on="ts_open", strategy="backward", allow_exact_matches=False)
    prices = [pl.coalesce(name, "before").alias(name) for name in ("open", "high", "low", "close")]
    filled = bars.with_columns(*prices, pl.col("volume").fill_null(0))
    return filled.filter(pl.col("close").is_not_null()).select(BAR_COLUMNS)


def listened(trades: pl.DataFrame) -> pl.DataFrame:
    """Spans of venue time that were listened to without a break: `first` and `last` (UTC ns) of each connection.

    What a connection heard before its first trade and after its last one does not count.
    """
    spans = trades.group_by("session").agg(
        pl.col("ts_event").min().alias("first"), pl.col("ts_event").max().alias("last")
    )
    return spans.select("first", "last").sort("first")


@dataclass(frozen=True)
class Comparison:
    """What was found.

    Attributes:
        rows: a row per bar compared: `ts_close`, the scores and decisions of both sides, `features_equal` (how many
            have the same bits).
        drift: of each feature and of the score, from `anomalies.feature_drift`, with `equal` (rows of the same bits)
            and `largest` (difference).
        captured_bars: whole bars made of the trades.
        unknown_bars: of these, bars that the source does not have.
    """

    rows: pl.DataFrame
    drift: pl.DataFrame
    captured_bars: int
    unknown_bars: int

    @property
    def changed_decisions(self) -> int:
        """Bars on which the two sides decide otherwise."""
        return self.rows.filter(pl.col("decision_captured") != pl.col("decision_training")).height

    @property
    def mean_score_difference(self) -> float:
        """Mean distance of the two scores of a bar."""
        return float((self.rows["score_captured"] - self.rows["score_training"]).abs().mean() or 0.0)  # type: ignore[arg-type]

    @property
    def features_moved(self) -> list[str]:
        """Features whose distribution moved."""
        return self.drift.filter(pl.col("is_drift") & (pl.col("feature") != SCORE))["feature"].to_list()

    @property
    def is_drift(self) -> bool:
        """Whether scores or decisions drifted."""
        moved = self.drift.filter(pl.col("is_drift") & (pl.col("feature") == SCORE)).height > 0
        return moved or self.changed_decisions > 0 or self.mean_score_difference > SCORE_DIFFERENCE_MAX


SCORE = "score"


def compare(model: Model, captured: pl.DataFrame, source: pl.DataFrame) -> Comparison:
    """Hold a model on captured bars against the model on its source's bars.

    Args:
        model: of the bundle.
        captured: from :func:`whole_bars`, with the columns that the model's features read beside those of bars.
        source: bars of the training source, with the same columns, in order of time, from the model's warm-up before
            the captured ones on.
    """
    bar_ns = model.features.bar_ns
    ours = source.select(model.features.columns).sort("ts_open")
    known = captured.join(ours, on="ts_open", how="semi")
    spliced = pl.concat([ours.join(known, on="ts_open", how="anti"), known.select(model.features.columns)]).sort(
        "ts_open"
    )
    both = [_warm_rows(model.features, bars, known) for bars in (spliced, ours)]
    common = both[0].join(both[1], on="ts_open", how="semi").select("ts_open")
    names = list(model.features.names)
    sides = [common.join(side, on="ts_open", how="left", maintain_order="left") for side in both]
    matrices = [side.select(names).to_numpy().astype(np.float32) for side in sides]
    scores = [model.scores(np.ascontiguousarray(matrix)) for matrix in matrices]
    same = matrices[0].view(np.uint32) == matrices[1].view(np.uint32)
    rows = pl.DataFrame(
        {
            "ts_close": common["ts_open"] + bar_ns,
            "score_captured": pl.Series(scores[0], dtype=pl.Float32).cast(pl.Float64),
            "score_training": pl.Series(scores[1], dtype=pl.Float32).cast(pl.Float64),
            "decision_captured": pl.Series(model.decisions(scores[0]), dtype=pl.String),
            "decision_training": pl.Series(model.decisions(scores[1]), dtype=pl.String),
            "features_equal": pl.Series(same.sum(axis=1), dtype=pl.Int64),
        }
    )
    return Comparison(rows, _drift(names, sides, rows, same), captured.height, captured.height - known.height)


def _warm_rows(features: FeatureSet, bars: pl.DataFrame, wanted: pl.DataFrame) -> pl.DataFrame:
    made = bars.select("ts_open").hstack(features.compute(bars))
    return made.filter(WARM).join(wanted.select("ts_open"), on="ts_open", how="semi")


def _drift(names: list[str], sides: list[pl.DataFrame], rows: pl.DataFrame, same: NDArray[np.bool_]) -> pl.DataFrame:
    captured = sides[0].select(names).with_columns(rows["score_captured"].cast(pl.Float32).alias(SCORE))
    training = sides[1].select(names).with_columns(rows["score_training"].cast(pl.Float32).alias(SCORE))
    equal = [*same.sum(axis=0).tolist(), rows.filter(pl.col("score_captured") == pl.col("score_training")).height]
    largest = [(captured[name] - training[name]).abs().max() for name in (*names, SCORE)]
    measured = feature_drift(training, captured, columns=[*names, SCORE])
    return measured.with_columns(
        pl.Series("equal", equal, dtype=pl.Int64), pl.Series("largest", largest, dtype=pl.Float64)
    )


def verdict_words(found: Comparison) -> str:
    """What a comparison came to, in a sentence.

    With fewer than `MIN_SAMPLE` bars distributions are not judged: scores and decisions are, bar by bar.
    """
    if not found.rows.height:
        return (
            f"nothing compared: {found.captured_bars} whole bars captured, {found.unknown_bars} unknown to the source"
        )
    judged = "" if found.rows.height >= MIN_SAMPLE else f" (distributions need {MIN_SAMPLE} bars)"
    decisions = f"{found.changed_decisions} of {found.rows.height} decisions differ"
    scores = f"scores by {found.mean_score_difference:.2g} in the mean"
    return f"{decisions}, {scores}, {len(found.features_moved)} features moved{judged}"

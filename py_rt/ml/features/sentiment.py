"""What texts say about a symbol, as a number per day that was known by the end of that day.

A text becomes known at a moment, and not on a date that somebody filed it under. So texts are gathered by the moment
they were known: those of a day are the ones known until its end and after the end of the day before, and their numbers
are valid from that end on. A decision taken earlier does not see them.

Any scorer that turns texts into numbers from -1 to 1 may stand behind :class:`TextScorer`: a lexicon
(:class:`VaderScorer`; Hutto and Gilbert, "VADER", ICWSM 2014), or an ONNX graph behind an encoder of texts
(:class:`OnnxScorer`).
"""

from __future__ import annotations

import re
import zlib
from functools import partial
from typing import TYPE_CHECKING, Any, Protocol

import numpy as np
import polars as pl

from py_rt.data.timestamps import NS_PER_DAY
from py_rt.errors import PyRtError

if TYPE_CHECKING:
    from collections.abc import Callable, Mapping, Sequence
    from pathlib import Path

    from numpy.typing import NDArray

MAX_CHARACTERS = 10_000
"""Of a longer text the beginning is scored."""

MAX_TEXTS = 10_000_000
"""Most texts of one call."""

BATCH = 512
"""Texts that a graph gets at once."""

POSITIVE, NEGATIVE = 0.05, -0.05
"""Bounds of a positive and of a negative text, as VADER's authors draw them."""

COLUMNS = ("texts", "mean", "positive_share", "negative_share", "spread")


class SentimentError(PyRtError):
    """Texts or a scorer that cannot be used."""


class TextScorer(Protocol):
    """Turns texts into numbers; the same text gets the same number each time."""

    @property
    def name(self) -> str:
        """What is kept beside the numbers, so that nobody mixes two scorers."""

    def scores(self, texts: Sequence[str]) -> NDArray[np.float64]:
        """One number from -1 (bad) to 1 (good) per text."""


class VaderScorer:
    """The lexicon and rules of VADER: made for short, informal English.

    >>> VaderScorer().scores(["Regulator approves ETF, inflows surge", "Exchange hacked, funds stolen", ""]).tolist()
    [0.4019, -0.7096, 0.0]
    """

    def __init__(self) -> None:
        """Read the lexicon."""
        from vaderSentiment.vaderSentiment import SentimentIntensityAnalyzer  # type: ignore[import-untyped]

        self._analyzer = SentimentIntensityAnalyzer()

    @property
    def name(self) -> str:
        """Name and version."""
        from importlib.metadata import version

        return f"vader-{version('vaderSentiment')}"

    def scores(self, texts: Sequence[str]) -> NDArray[np.float64]:
        """The compound score of each text."""
        found = [self._analyzer.polarity_scores(text[:MAX_CHARACTERS])["compound"] for text in texts]
        return np.array(found, dtype=np.float64)


_WORD = re.compile(r"[a-z][a-z']+|[!?]")


def hashed_words(texts: Sequence[str], *, width: int = 4_096) -> dict[str, NDArray[np.float32]]:
    """Encode texts as shares of hashed words: the simplest encoder, the same on every machine.

    Args:
        texts: in any language that has words of latin letters.
        width: numbers per text; words that share a number are not told apart.

    Returns:
        `words`, an array of (texts, width), rows of unit length, or of zeros without words.
    """
    rows = np.zeros((len(texts), width), dtype=np.float32)
    for at, text in enumerate(texts):
        for word in _WORD.findall(text[:MAX_CHARACTERS].lower()):
            rows[at, zlib.crc32(word.encode()) % width] += 1.0
    lengths = np.linalg.norm(rows, axis=1, keepdims=True)
    rows /= np.where(lengths > 0, lengths, np.float32(1.0))
    return {"words": rows}


class OnnxScorer:
    """An ONNX graph behind an encoder of texts."""

    def __init__(self, model: Path, encode: Callable[[Sequence[str]], Mapping[str, NDArray[Any]]], name: str) -> None:
        """Open the graph.

        Args:
            model: its file; it has one output of one number per text.
            encode: turns texts into the graph's inputs, by name.
            name: of the scorer.

        Raises:
            SentimentError: the file is no graph that can be run.
        """
        import onnxruntime

        options = onnxruntime.SessionOptions()
        options.intra_op_num_threads = options.inter_op_num_threads = 1
        try:
            self._session = onnxruntime.InferenceSession(str(model), options, providers=["CPUExecutionProvider"])
        except Exception as error:  # the library has an error type for each thing that can be wrong with a file
            raise SentimentError(f"{model.name} is no ONNX graph that can be run: {error}") from error
        self._encode, self._name = encode, name

    @property
    def name(self) -> str:
        """As it was given."""
        return self._name

    def width_of(self, name: str) -> int:
        """Numbers per text of the graph's only input.

        Raises:
            SentimentError: it has other inputs, or does not say how wide it is.
        """
        found = [(one.name, one.shape) for one in self._session.get_inputs()]
        if len(found) == 1 and found[0][0] == name and len(found[0][1]) == 2 and isinstance(found[0][1][1], int):
            return int(found[0][1][1])
        raise SentimentError(f"{self._name} has the inputs {found}; allowed is one, {name}, of (texts, a width)")

    def scores(self, texts: Sequence[str]) -> NDArray[np.float64]:
        """What the graph says of each text, held within -1 and 1.

        Raises:
            SentimentError: the graph gives another number of numbers, or none.
        """
        if not texts:
            return np.zeros(0)
        parts = []
        for first in range(0, len(texts), BATCH):
            batch = texts[first : first + BATCH]
            found = np.asarray(self._session.run(None, dict(self._encode(batch)))[0], dtype=np.float64).reshape(-1)
            if found.size != len(batch) or not np.isfinite(found).all():
                raise SentimentError(
                    f"{self._name} gave {found.size} numbers for {len(batch)} texts, or some not finite"
                )
            parts.append(np.clip(found, -1.0, 1.0))
        return np.concatenate(parts)


def words_scorer(model: Path) -> OnnxScorer:
    """An ONNX graph whose one input `words` is as wide as :func:`hashed_words` makes it; named by its file and hash.

    Raises:
        SentimentError: the file cannot be run, or has another input.
    """
    import hashlib

    scorer = OnnxScorer(model, hashed_words, model.name)
    width = scorer.width_of("words")
    sha256 = hashlib.sha256(model.read_bytes()).hexdigest()
    return OnnxScorer(model, partial(hashed_words, width=width), f"{model.name}-{sha256[:12]}")


def scored(texts: pl.DataFrame, scorer: TextScorer) -> pl.DataFrame:
    """Score texts; equal ones once.

    Args:
        texts: with `symbol` (String), `ts_known` (Int64, UTC ns: when the text could be read by us) and `text`
            (String); further columns are kept.
        scorer: behind the interface.

    Returns:
        The rows with `score` (Float64).

    Raises:
        SentimentError: a column missing, an absent value, too many texts, a score that is none.
    """
    missing = {"symbol", "ts_known", "text"} - set(texts.columns)
    if missing:
        raise SentimentError(f"texts lack the columns {sorted(missing)}; they have {texts.columns}")
    absent = [name for name in ("symbol", "ts_known", "text") if texts[name].null_count()]
    if absent:
        raise SentimentError(f"texts have no value in {', '.join(absent)}; a text without a time cannot be used")
    if texts.height > MAX_TEXTS:
        raise SentimentError(f"{texts.height} texts, at most {MAX_TEXTS} are scored at once")
    unique = texts["text"].unique(maintain_order=True)
    scores = scorer.scores(unique.to_list())
    if scores.shape != (unique.len(),) or not (np.abs(scores) <= 1).all():
        raise SentimentError(f"{scorer.name} gave other than one number from -1 to 1 for each of {unique.len()} texts")
    table = pl.DataFrame({"text": unique, "score": scores}, schema={"text": pl.String, "score": pl.Float64})
    return texts.join(table, on="text", how="left", maintain_order="left")


def daily_sentiment(texts: pl.DataFrame, scorer: TextScorer, *, day_end_ns: int = NS_PER_DAY) -> pl.DataFrame:
    """Gather texts by symbol and day of becoming known.

    Args:
        texts: as for :func:`scored`.
        scorer: behind the interface.
        day_end_ns: when a day ends, in ns after its UTC midnight; 21 hours is when New York closes in winter. A text
            known exactly then belongs to the day.

    Returns:
        By symbol and day: `symbol`, `date`, `ts_valid_from` (Int64, UTC ns: the day's end), `texts` (Int64), `mean`,
        `positive_share`, `negative_share` and `spread` (standard deviation, 0 of one text) of the scores, and `scorer`.
        A day without texts has no row: nothing was said, which is not the same as neutral.

    Raises:
        SentimentError: as for :func:`scored`; an end outside the day.
    """
    if not 0 < day_end_ns <= NS_PER_DAY:
        raise SentimentError(f"a day ends {day_end_ns} ns after midnight; allowed is above 0 and at most {NS_PER_DAY}")
    day = -((day_end_ns - pl.col("ts_known").cast(pl.Int64)) // NS_PER_DAY)
    score = pl.col("score").sort_by("score")  # sums of one order: what came first must not change the last bit
    gathered = (
        scored(texts, scorer)
        .with_columns(day.alias("day"))
        .group_by("symbol", "day")
        .agg(
            pl.len().cast(pl.Int64).alias("texts"),
            score.mean().alias("mean"),
            (score >= POSITIVE).mean().alias("positive_share"),
            (score <= NEGATIVE).mean().alias("negative_share"),
            score.std(ddof=0).alias("spread"),
        )
        .sort("symbol", "day")
    )
    valid_from = pl.col("day") * NS_PER_DAY + day_end_ns
    date = pl.col("day").cast(pl.Int32).cast(pl.Date).alias("date")
    named = pl.lit(scorer.name).alias("scorer")
    return gathered.select("symbol", date, valid_from.alias("ts_valid_from"), *COLUMNS, named)


def known_sentiment(texts: pl.DataFrame, scorer: TextScorer, *, day_end_ns: int = NS_PER_DAY) -> pl.DataFrame:
    """Sentiment of days as facts with the time at which they were known: `sentiment` and `texts` of the catalogue.

    Args:
        texts: as for :func:`scored`.
        scorer: behind the interface.
        day_end_ns: as for :func:`daily_sentiment`.

    Returns:
        `symbol`, `ts_known` (the day's end), `sentiment` (mean of the scores), `texts` (how many), `positive_share`,
        `negative_share`, `spread`.

    Raises:
        SentimentError: as for :func:`daily_sentiment`.
    """
    names = {"ts_valid_from": "ts_known", "mean": "sentiment"}
    kept = ("symbol", "ts_known", "sentiment", "texts", "positive_share", "negative_share", "spread")
    return daily_sentiment(texts, scorer, day_end_ns=day_end_ns).rename(names).select(kept)


def as_known(rows: pl.DataFrame, sentiment: pl.DataFrame, *, max_age_ns: int, time: str = "ts_close") -> pl.DataFrame:
    """Give each row the newest sentiment of its symbol that was valid by then.

    Args:
        rows: with `symbol` and a time; further columns are kept.
        sentiment: from :func:`daily_sentiment`.
        max_age_ns: what became valid longer ago is too old, and absent.
        time: column of the moment of decision (Int64, UTC ns).

    Returns:
        The rows in their order, with `sentiment_<name>` for each number and `sentiment_ts_valid_from`; null where
        nothing was known or it was too old.

    Raises:
        SentimentError: a column missing, or an age below 0.
    """
    missing = {"symbol", time} - set(rows.columns)
    if missing or max_age_ns < 0:
        raise SentimentError(f"rows lack {sorted(missing)}, or the age {max_age_ns} ns is below 0")
    known = sentiment.select(
        "symbol",
        pl.col("ts_valid_from").alias("sentiment_ts_valid_from"),
        *(pl.col(name).alias(f"sentiment_{name}") for name in COLUMNS),
    ).sort("sentiment_ts_valid_from", "symbol")
    joined = (
        rows.with_row_index("_order")
        .sort(time, "_order")
        .join_asof(
            known,
            left_on=time,
            right_on="sentiment_ts_valid_from",
            by="symbol",
            strategy="backward",
            coalesce=False,
            check_sortedness=False,
        )
        .sort("_order")
        .drop("_order")
    )
    fresh = pl.col(time) - pl.col("sentiment_ts_valid_from") <= max_age_ns
    names = ["sentiment_ts_valid_from", *(f"sentiment_{name}" for name in COLUMNS)]
    return joined.with_columns(pl.when(fresh).then(pl.col(name)).alias(name) for name in names)

"""Sentiment of texts: against human ratings, and as of when it was known."""

from __future__ import annotations

import gzip
import json
import os
from datetime import UTC, date, datetime
from pathlib import Path
from typing import TYPE_CHECKING

import numpy as np
import onnx
import polars as pl
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from onnx import TensorProto, helper, numpy_helper
from scipy import stats

from py_rt.data.timestamps import NS_PER_DAY
from py_rt.ml.features.sentiment import (
    OnnxScorer,
    SentimentError,
    TextScorer,
    VaderScorer,
    as_known,
    daily_sentiment,
    hashed_words,
    scored,
)

if TYPE_CHECKING:
    from collections.abc import Sequence

    from numpy.typing import NDArray

SHARED = Path(os.environ.get("PY_RT_SHARED_DATA", Path(__file__).resolve().parents[4] / "shared" / "data"))
RATED = SHARED / "sentiment_ground_truth"
STOCKNET = SHARED / "stocknet_prices_tweets" / "tweets.jsonl.zst"
needs_ratings = pytest.mark.skipif(not RATED.is_dir(), reason=f"no {RATED}")
needs_tweets = pytest.mark.skipif(not STOCKNET.is_file(), reason=f"no {STOCKNET}")

HOUR = 3_600 * 10**9
NEW_YORK_CLOSE = 21 * HOUR


def rated(name: str) -> tuple[list[str], NDArray[np.float64]]:
    lines = gzip.decompress((RATED / f"{name}_GroundTruth.txt.gz").read_bytes()).decode("utf-8").split("\n")
    rows = [line.split("\t", 2) for line in lines if line.strip()]
    return [row[2] for row in rows], np.array([float(row[1]) for row in rows])


def tweets(symbols: set[str]) -> pl.DataFrame:
    rows = []
    for line in pl.read_csv(
        STOCKNET, has_header=False, separator="\x01", quote_char=None, new_columns=["line"], infer_schema=False
    )["line"]:
        tweet = json.loads(line)
        if tweet["symbol"] in symbols:
            moment = datetime.strptime(tweet["created_at"], "%a %b %d %H:%M:%S %z %Y")
            rows.append((tweet["symbol"], int(moment.timestamp()) * 10**9, " ".join(tweet["text"]), tweet["day"]))
    return pl.DataFrame(rows, schema=["symbol", "ts_known", "text", "day"], orient="row")


@pytest.fixture(scope="module")
def vader() -> VaderScorer:
    return VaderScorer()


@needs_ratings
@pytest.mark.parametrize(
    ("name", "count", "pearson", "spearman"),
    [("tweets", 4_200, 0.872, 0.838), ("nytEditorialSnippets", 5_190, 0.503, 0.480)],
)
def test_scores_agree_with_people(vader: VaderScorer, name: str, count: int, pearson: float, spearman: float) -> None:
    texts, ratings = rated(name)
    assert len(texts) == count
    scores = vader.scores(texts)
    # Of short informal texts the lexicon knows much, of editorials half as much; both stand here as measured.
    assert stats.pearsonr(scores, ratings).statistic == pytest.approx(pearson, abs=0.005)
    assert stats.spearmanr(scores, ratings).statistic == pytest.approx(spearman, abs=0.005)


def trained_graph(path: Path, texts: list[str], ratings: NDArray[np.float64]) -> Path:
    """A graph with one layer over hashed words, fitted by ridge regression."""
    words = hashed_words(texts)["words"].astype(np.float64)
    weights = np.linalg.solve(words.T @ words + np.eye(words.shape[1]), words.T @ (ratings / 4.0))
    head = numpy_helper.from_array(weights.astype(np.float32).reshape(-1, 1), "head")
    nodes = [helper.make_node("MatMul", ["words", "head"], ["raw"]), helper.make_node("Tanh", ["raw"], ["score"])]
    inputs = [helper.make_tensor_value_info("words", TensorProto.FLOAT, [None, weights.size])]
    outputs = [helper.make_tensor_value_info("score", TensorProto.FLOAT, [None, 1])]
    graph = helper.make_graph(nodes, "sentiment", inputs, outputs, [head])
    model = helper.make_model(graph, opset_imports=[helper.make_opsetid("", 17)], ir_version=9)
    onnx.checker.check_model(model)
    path.write_bytes(model.SerializeToString())
    return path


@needs_ratings
def test_a_graph_stands_behind_the_same_interface(tmp_path: Path, vader: VaderScorer) -> None:
    texts, ratings = rated("tweets")
    train = np.arange(len(texts)) % 4 != 0
    graph = trained_graph(
        tmp_path / "head.onnx", [text for text, one in zip(texts, train, strict=True) if one], ratings[train]
    )
    scorer = OnnxScorer(graph, hashed_words, "hashed-words")
    unseen = [text for text, one in zip(texts, train, strict=True) if not one]
    scores = scorer.scores(unseen)
    assert stats.spearmanr(scores, ratings[~train]).statistic > 0.45
    rows = pl.DataFrame({"symbol": ["A"] * len(unseen), "ts_known": range(1, len(unseen) + 1), "text": unseen})
    for one in (scorer, vader):
        made = daily_sentiment(rows, one)
        assert made["scorer"].to_list() == [one.name]
        assert made["texts"].to_list() == [len(unseen)]
    assert scorer.scores([]).shape == (0,)
    (tmp_path / "odd.onnx").write_bytes(b"<html>")
    with pytest.raises(SentimentError, match="no ONNX graph"):
        OnnxScorer(tmp_path / "odd.onnx", hashed_words, "odd")
    with pytest.raises(SentimentError, match="numbers for 2 texts"):
        OnnxScorer(graph, lambda texts: hashed_words([*texts, "one more"]), "long").scores(["a", "b"])


@needs_tweets
def test_real_tweets_count_on_the_day_by_whose_end_they_were_known(vader: VaderScorer) -> None:
    rows = tweets({"BAC", "GOOG"})
    assert rows.height > 1_000
    daily = daily_sentiment(rows, vader, day_end_ns=NEW_YORK_CLOSE)
    assert daily["texts"].sum() == rows.height
    assert (daily["mean"].abs() <= 1).all()
    # By the date that the tweets are filed under, many would be known too early.
    ends = pl.col("day").str.to_date().cast(pl.Datetime("ns")).dt.epoch("ns") + NEW_YORK_CLOSE
    assert rows.filter(pl.col("ts_known") > ends).height > 0.05 * rows.height
    for row in daily.sample(40, seed=1).iter_rows(named=True):
        end = row["ts_valid_from"]
        assert datetime.fromtimestamp(end / 10**9, UTC).date() == row["date"]
        of_day = rows.filter(
            (pl.col("symbol") == row["symbol"]) & pl.col("ts_known").is_between(end - NS_PER_DAY + 1, end)
        )
        assert of_day.height == row["texts"]
        assert row["mean"] == pytest.approx(vader.scores(of_day["text"].to_list()).mean())


class Lengths:
    """A scorer whose numbers are easy to foresee."""

    name = "lengths"

    def scores(self, texts: Sequence[str]) -> NDArray[np.float64]:
        return np.array([min(1.0, len(text) / 10) for text in texts], dtype=np.float64)


def texts(*rows: tuple[str, int, str]) -> pl.DataFrame:
    return pl.DataFrame(list(rows), schema={"symbol": pl.String, "ts_known": pl.Int64, "text": pl.String}, orient="row")


def lengths() -> TextScorer:
    return Lengths()


def test_a_text_known_exactly_at_the_end_belongs_to_the_day_and_one_later_to_the_next() -> None:
    end = 10 * NS_PER_DAY + NEW_YORK_CLOSE
    made = daily_sentiment(texts(("A", end, "abc"), ("A", end + 1, "abcde")), lengths(), day_end_ns=NEW_YORK_CLOSE)
    assert made.select("date", "ts_valid_from", "texts", "mean").rows() == [
        (date(1970, 1, 11), end, 1, 0.3),
        (date(1970, 1, 12), end + NS_PER_DAY, 1, 0.5),
    ]
    assert made["spread"].to_list() == [0.0, 0.0]


moments = st.lists(
    st.tuples(st.sampled_from("AB"), st.integers(-3 * NS_PER_DAY, 6 * NS_PER_DAY), st.text("ab", max_size=9)),
    max_size=30,
)


@settings(deadline=None)
@given(moments, st.integers(-2 * NS_PER_DAY, 6 * NS_PER_DAY), st.sampled_from([NS_PER_DAY, NEW_YORK_CLOSE]))
def test_what_was_valid_at_a_moment_does_not_change_with_texts_known_later(
    rows: list[tuple[str, int, str]], moment: int, day_end: int
) -> None:
    whole = daily_sentiment(texts(*rows), lengths(), day_end_ns=day_end)
    known = daily_sentiment(texts(*(row for row in rows if row[1] <= moment)), lengths(), day_end_ns=day_end)
    assert whole.filter(pl.col("ts_valid_from") <= moment).equals(known.filter(pl.col("ts_valid_from") <= moment))
    assert daily_sentiment(texts(*reversed(rows)), lengths(), day_end_ns=day_end).equals(whole)


@settings(deadline=None)
@given(moments, st.lists(st.integers(-3 * NS_PER_DAY, 8 * NS_PER_DAY), min_size=1, max_size=10), st.integers(0, 3))
def test_a_row_gets_the_newest_that_was_valid_and_not_too_old(
    rows: list[tuple[str, int, str]], times: list[int], days: int
) -> None:
    daily = daily_sentiment(texts(*rows), lengths())
    bars = pl.DataFrame({"symbol": ["A"] * len(times), "ts_close": times, "n": range(len(times))})
    joined = as_known(bars, daily, max_age_ns=days * NS_PER_DAY)
    assert joined["n"].to_list() == list(range(len(times)))
    for row in joined.iter_rows(named=True):
        valid = daily.filter((pl.col("symbol") == "A") & (pl.col("ts_valid_from") <= row["ts_close"]))
        newest = valid.sort("ts_valid_from").tail(1)
        fresh = newest.filter(row["ts_close"] - pl.col("ts_valid_from") <= days * NS_PER_DAY)
        wanted = fresh.select("ts_valid_from", "mean").row(0) if fresh.height else (None, None)
        assert (row["sentiment_ts_valid_from"], row["sentiment_mean"]) == wanted


class Wild(Lengths):
    def scores(self, texts: Sequence[str]) -> NDArray[np.float64]:
        return np.full(len(texts), np.nan)


def test_unfit_texts_and_scorers_are_refused(monkeypatch: pytest.MonkeyPatch) -> None:
    with pytest.raises(SentimentError, match=r"lack the columns \['ts_known'\]"):
        scored(texts(("A", 1, "x")).drop("ts_known"), lengths())
    with pytest.raises(SentimentError, match="no value in ts_known"):
        scored(texts(("A", 1, "x")).with_columns(ts_known=pl.lit(None, dtype=pl.Int64)), lengths())
    with pytest.raises(SentimentError, match="one number from -1 to 1"):
        scored(texts(("A", 1, "x")), Wild())
    for end in (0, NS_PER_DAY + 1):
        with pytest.raises(SentimentError, match="a day ends"):
            daily_sentiment(texts(), lengths(), day_end_ns=end)
    with pytest.raises(SentimentError, match="below 0"):
        as_known(pl.DataFrame({"symbol": ["A"], "ts_close": [1]}), daily_sentiment(texts(), lengths()), max_age_ns=-1)
    monkeypatch.setattr("py_rt.ml.features.sentiment.MAX_TEXTS", 1)
    with pytest.raises(SentimentError, match="at most 1 are scored"):
        scored(texts(("A", 1, "x"), ("A", 2, "y")), lengths())

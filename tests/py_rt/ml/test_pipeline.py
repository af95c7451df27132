"""From tables to a trained model: joining, cutting by time, naming data, cross-validation, scoring."""

from __future__ import annotations

import hashlib
from dataclasses import replace

import numpy as np
import polars as pl
import pytest

from py_rt.ml import pipeline as p
from py_rt.ml.models.classifiers import LightGbmParams
from py_rt.ml.scores import SignalPolicy
from py_rt.ml.validation import Split, purged_train, walk_forward
from tests.synthetic import BAR_NS, HORIZON_BARS, WARM_UP_BARS, SyntheticTables, synthetic_tables
from tests.synthetic import FEATURE_NAMES as FEATURES

CONTRACT = p.FeatureContract(FEATURES, "ab" * 32)
SMALL = LightGbmParams(trees=30, leaves=8, min_leaf_rows=40, learning_rate=0.1)


@pytest.fixture(scope="module")
def tables() -> SyntheticTables:
    return synthetic_tables(6_300, seed=3)


@pytest.fixture(scope="module")
def joined(tables: SyntheticTables) -> pl.DataFrame:
    return p.join_labels(tables.features, tables.labels, FEATURES)


def test_only_warm_and_labelled_rows_remain(tables: SyntheticTables, joined: pl.DataFrame) -> None:
    assert joined.height == tables.features.height - WARM_UP_BARS - HORIZON_BARS
    assert joined.columns == ["instrument", "ts_close", *FEATURES, "label", "label_end_ts", "ret"]
    assert joined["ts_close"].is_sorted()


def test_join_order_does_not_depend_on_the_order_of_rows(tables: SyntheticTables, joined: pl.DataFrame) -> None:
    shuffled = p.join_labels(
        tables.features.sample(fraction=1, shuffle=True, seed=1), tables.labels.reverse(), FEATURES
    )
    assert shuffled.equals(joined)


def _nan(table: pl.DataFrame) -> pl.DataFrame:
    last = pl.int_range(pl.len()) == table.height - 1
    return table.with_columns(pl.when(last).then(float("nan")).otherwise(pl.col("macd")).cast(pl.Float32).alias("macd"))


def test_unfit_tables_are_refused(tables: SyntheticTables) -> None:
    f, lab = tables.features, tables.labels
    other = f.with_columns(pl.lit("ETHUSDT").alias("instrument"), (pl.col("ts_close") + 1).alias("ts_close"))
    other_labels = lab.with_columns(pl.lit("ETHUSDT").alias("instrument"), (pl.col("ts_close") + 1).alias("ts_close"))
    cases = (
        (f.drop("macd"), lab, r"features lack the columns \['macd'\]"),
        (f, lab.drop("ret"), r"labels lack the columns \['ret'\]"),
        (f.with_columns(pl.col("macd").cast(pl.Float64)), lab, r"\['macd'\] are not Float32"),
        (pl.concat([f, f.tail(1)]), lab, "features hold an instrument and ts_close twice"),
        (f, pl.concat([lab, lab.head(1)]), "labels hold an instrument and ts_close twice"),
        (pl.concat([f, other]), pl.concat([lab, other_labels]), "several instruments"),
        (_nan(f.head(5_000)), lab.head(5_000), r"missing or infinite features: \{'macd': 1\}"),
    )
    for features, labels, message in cases:
        with pytest.raises(p.TrainingError, match=message):
            p.join_labels(features, labels, FEATURES)


def test_a_label_without_its_features_is_refused(tables: SyntheticTables) -> None:
    absent = tables.features.filter(pl.int_range(pl.len()).is_in([70, 71]).not_())
    first = tables.features["ts_close"][70]
    with pytest.raises(p.TrainingError, match=rf"2 of \d+ labelled rows have no features .* ts_close {first}: make"):
        p.join_labels(absent, tables.labels, FEATURES)


def test_the_cut_is_strict_and_keeps_the_embargo(joined: pl.DataFrame) -> None:
    cutoff = joined["ts_close"][3_000]
    embargo = 16 * BAR_NS
    kept = p.rows_known_before(joined, cutoff, embargo_ns=embargo)
    assert kept["label_end_ts"].max() == cutoff - embargo - BAR_NS
    assert kept.height == 3_000 - HORIZON_BARS - 16
    month = p.rows_decided_within(joined, cutoff, cutoff + 10 * BAR_NS)
    assert month["ts_close"].to_list() == [cutoff + i * BAR_NS for i in range(10)]


def test_changing_any_value_name_or_type_changes_the_data_set(joined: pl.DataFrame) -> None:
    table = joined.head(50)
    known = p.dataset_id(table)
    assert known == p.dataset_id(pl.concat([table.head(20), table.tail(30)], rechunk=False))
    changed = [
        table.with_columns(pl.when(pl.int_range(pl.len()) == 7).then(0.5).otherwise(pl.col("ret")).alias("ret")),
        table.rename({"macd": "macd_2"}),
        table.cast({"macd": pl.Float64}),
        table.head(49),
        table.with_columns(pl.lit("ETHUSDT").alias("instrument")),
        table.select(reversed(table.columns)),
    ]
    assert len({known, *(p.dataset_id(item) for item in changed)}) == len(changed) + 1


def test_a_data_set_with_holes_has_no_name() -> None:
    with pytest.raises(p.TrainingError, match="column a has nulls"):
        p.dataset_id(pl.DataFrame({"a": [1, None]}))


def test_arrays_have_the_promised_types_and_ignore_further_columns(joined: pl.DataFrame) -> None:
    data = p.training_data(joined, FEATURES)
    assert data.features.shape == (joined.height, 12)
    arrays = (data.features, data.labels, data.returns, data.starts, data.ends)
    assert [str(array.dtype) for array in arrays] == ["float32", "int8", "float64", "int64", "int64"]
    more = joined.with_columns(pl.lit(1).alias("month"))
    assert p.training_data(more, FEATURES).dataset_id == data.dataset_id


def test_empty_and_unordered_tables_are_refused(joined: pl.DataFrame) -> None:
    with pytest.raises(p.TrainingError, match="no rows"):
        p.training_data(joined.head(0), FEATURES)
    with pytest.raises(p.TrainingError, match="not strictly ascending"):
        p.training_data(joined.reverse(), FEATURES)


def test_cross_validation_scores_every_tested_row_once_and_repeats_itself(joined: pl.DataFrame) -> None:
    data = p.training_data(joined, FEATURES)
    splits = walk_forward(data.starts, data.ends, folds=3, embargo=16 * BAR_NS)
    one, two = (p.cross_validate(data, SMALL, splits=splits, policy=SignalPolicy(), seed=7) for _ in range(2))
    assert one.probabilities.tobytes() == two.probabilities.tobytes()
    assert one.rows.tolist() == list(range(splits[0].test[0], data.labels.size))
    assert one.scores.rows == sum(fold.test_rows for fold in one.folds)
    assert one.policy.period_ns == HORIZON_BARS * BAR_NS
    # The planted relation is found, and by folds that never saw it.
    assert one.scores.auc is not None
    assert 0.6 < one.scores.auc < 0.8
    assert one.scores.log_loss < one.scores.base_log_loss


def test_overlapping_labels_leak_without_purging_and_do_not_with_it() -> None:
    tables = synthetic_tables(700, seed=11)
    # The only feature is the time itself: neighbours in time share most of their label, nothing else is to be known.
    columns = {name: pl.lit(0.0, dtype=pl.Float32) for name in FEATURES} | {"macd": pl.int_range(pl.len())}
    timed = tables.features.with_columns(item.cast(pl.Float32).alias(name) for name, item in columns.items())
    data = p.training_data(p.join_labels(timed, tables.labels, FEATURES), FEATURES)
    rows = np.arange(data.labels.size)
    test = rows[rows % 5 == 0]
    params = LightGbmParams(trees=200, leaves=64, min_leaf_rows=1, learning_rate=0.2, lambda_l2=0.0, row_share=1.0)
    unpurged = [Split(np.setdiff1d(rows, test), test)]
    leaky = p.cross_validate(data, params, splits=unpurged, policy=SignalPolicy(), seed=7)
    splits = [Split(purged_train(data.starts, data.ends, block, embargo=0), block) for block in np.array_split(rows, 5)]
    honest = p.cross_validate(data, params, splits=splits, policy=SignalPolicy(), seed=7)
    assert leaky.scores.auc is not None
    assert honest.scores.auc is not None
    assert leaky.scores.auc > 0.75
    assert honest.scores.auc < 0.6


def test_testing_a_row_twice_is_refused(joined: pl.DataFrame) -> None:
    data = p.training_data(joined.head(500), FEATURES)
    split = Split(np.arange(300), np.arange(400, 450))
    with pytest.raises(p.TrainingError, match="test a row twice"):
        p.cross_validate(data, SMALL, splits=[split, split], policy=SignalPolicy(), seed=7)


def test_a_model_survives_its_json(joined: pl.DataFrame) -> None:
    data = p.training_data(joined, FEATURES)
    model = p.train(data, SMALL, contract=CONTRACT, seed=7)
    assert p.TrainedModel.from_json(model.to_json()) == model
    assert model.to_json() == p.train(data, SMALL, contract=CONTRACT, seed=7).to_json()
    with pytest.raises(p.TrainingError, match="train it again"):
        p.TrainedModel.from_json(b'{"text":"x"}')


def test_another_feature_order_is_refused(joined: pl.DataFrame) -> None:
    swapped = p.FeatureContract((FEATURES[1], FEATURES[0], *FEATURES[2:]), "ab" * 32)
    with pytest.raises(p.TrainingError, match="the specification says"):
        p.train(p.training_data(joined, FEATURES), SMALL, contract=swapped, seed=7)


def test_scoring_refuses_rows_the_model_could_have_seen(joined: pl.DataFrame) -> None:
    cutoff = joined["ts_close"][4_000]
    model = p.train(
        p.training_data(p.rows_known_before(joined, cutoff, embargo_ns=0), FEATURES), SMALL, contract=CONTRACT, seed=7
    )
    later = p.training_data(p.rows_decided_within(joined, cutoff, 2**62), FEATURES)
    assert p.evaluate(model, later).rows == later.labels.size
    with pytest.raises(p.TrainingError, match="not out of sample"):
        p.evaluate(model, p.training_data(joined.slice(3_990), FEATURES))
    with pytest.raises(p.TrainingError, match="trained on"):
        p.evaluate(model, replace(later, feature_names=FEATURES[::-1]))
    assert p.evaluate_table(model, joined.head(0)) is None


def test_the_contract_is_read_from_the_canonical_specification() -> None:
    text = b'{"features":[{"name":"a"},{"name":"b"}],"schema_version":1}'
    contract = p.FeatureContract.from_canonical_json(text)
    assert contract == p.FeatureContract(("a", "b"), hashlib.sha256(text).hexdigest())
    for bad in (b"{}", b"no json", b'{"features":[]}', b'{"features":[{"name":"a"},{"name":"a"}]}'):
        with pytest.raises(p.TrainingError):
            p.FeatureContract.from_canonical_json(bad)


def test_thinned_feature_rows_span_the_whole_time(tables: SyntheticTables) -> None:
    whole = p.warm_features(tables.features, FEATURES)
    thin = p.warm_features(tables.features, FEATURES, at_most=1_024)
    assert whole.shape == (tables.features.height - WARM_UP_BARS, 12)
    assert thin.shape == (1_024, 12)
    assert (thin[0] == whole[0]).all()
    assert (thin[-1] == whole[-1]).all()
